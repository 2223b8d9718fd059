/* SPDX-License-Identifier: MIT */
/* chance.h - decisions drawn from given bytes, so that the same bytes decide the same. When they are
 * used up every decision is 0.
 */
#ifndef TESTS_FUZZ_CHANCE_H
#define TESTS_FUZZ_CHANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chance {
    const uint8_t *bytes;
    size_t count;
    size_t at;
};

/* One of 0 to choices - 1; choices is at most 256. */
static inline unsigned chance_of(struct chance *chance, unsigned choices)
{
    unsigned byte = chance->at < chance->count ? chance->bytes[chance->at++] : 0;
    return choices ? byte % choices : 0;
}

/* True about once in n, never once the bytes are used up. */
static inline bool chance_once_in(struct chance *chance, unsigned n)
{
    return chance_of(chance, n) == n - 1;
}

static inline bool chance_is_left(const struct chance *chance)
{
    return chance->at < chance->count;
}

#define chance_pick(chance, list) ((list)[chance_of((chance), sizeof(list) / sizeof *(list))])

#endif
