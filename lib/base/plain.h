/* SPDX-License-Identifier: MIT */
/* plain.h - runs of plain octets in a text, eight at a time: what most of any JSON text is made of.
 *
 * Owns      Nothing.
 * Threads   Any.
 * Units     *_bytes are octets.
 * Source    Sean Eron Anderson, "Bit Twiddling Hacks": determine if a word has a zero byte, or one less
 *           than n. A borrow in these tests only ever marks octets after a marked one.
 */
#ifndef BASE_PLAIN_H
#define BASE_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define PLAIN_ONES UINT64_C(0x0101010101010101)
#define PLAIN_HIGHS UINT64_C(0x8080808080808080)
#define PLAIN_HAS_ZERO(word) (((word)-PLAIN_ONES) & ~(word))

static inline uint64_t plain_word(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Control characters, quote and backslash, marked by the high bit of their octet. */
static inline uint64_t plain_specials(uint64_t word)
{
    return ((word - PLAIN_ONES * 0x20) & ~word) | PLAIN_HAS_ZERO(word ^ (PLAIN_ONES * '"')) |
           PLAIN_HAS_ZERO(word ^ (PLAIN_ONES * '\\'));
}

/* How many octets from the first on are not marked in `specials` or `others`. Looks at whole words only: fewer
 * than eight at the end count as not plain. */
static inline size_t plain_run_of(const char *text, size_t bytes, bool specials, bool others)
{
    size_t run = 0;
    for (; bytes - run >= 8; run += 8) {
        uint64_t word = plain_word(text + run);
        uint64_t marks =
            ((specials ? plain_specials(word) : 0) | (others ? word : 0)) & PLAIN_HIGHS;
        if (marks != 0)
            return run + (size_t)__builtin_ctzll(marks) / 8;
    }
    return run;
}

/* Printable ASCII but for quote and backslash. */
static inline size_t plain_run(const char *text, size_t bytes)
{
    size_t run = 0;
#if defined(__SSE2__)
    const __m128i space = _mm_set1_epi8(' '), quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    for (; bytes - run >= 16;
         run += 16) { /* as signed octets, those above ASCII are below the space */
        __m128i octets = _mm_loadu_si128((const __m128i *)(const void *)(text + run));
        __m128i marks = _mm_or_si128(
            _mm_cmplt_epi8(octets, space),
            _mm_or_si128(_mm_cmpeq_epi8(octets, quote), _mm_cmpeq_epi8(octets, backslash)));
        unsigned mask = (unsigned)_mm_movemask_epi8(marks);
        if (mask != 0)
            return run + (size_t)__builtin_ctz(mask);
    }
#endif
    return run + plain_run_of(text + run, bytes - run, true, true);
}
/* What stands for itself in a JSON string, octets of longer characters included. */
static inline size_t plain_string_run(const char *text, size_t bytes)
{
    return plain_run_of(text, bytes, true, false);
}
static inline size_t plain_ascii_run(const char *text, size_t bytes)
{
    return plain_run_of(text, bytes, false, true);
}

/* Whether two texts of that length are equal; for short ones, where a call of memcmp would cost more. */
static inline bool plain_same(const char *a, const char *b, size_t bytes)
{
    if (bytes >= 8) {
        for (size_t i = 0; i + 8 < bytes; i += 8) {
            if (plain_word(a + i) != plain_word(b + i))
                return false;
        }
        return plain_word(a + bytes - 8) == plain_word(b + bytes - 8);
    }
    for (size_t i = 0; i < bytes; i++) {
        if (a[i] != b[i])
            return false;
    }
    return true;
}

#endif
