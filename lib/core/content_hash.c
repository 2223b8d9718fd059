/* SPDX-License-Identifier: MIT */
#include "core/content_hash.h"

#include <blake3.h>
#include <ctype.h>

_Static_assert(CONTENT_HASH_DIGITS == 2 * BLAKE3_OUT_LEN, "two digits per octet");

char *content_hash(const void *octets, size_t bytes, char text[CONTENT_HASH_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    blake3_hasher hasher;
    uint8_t hash[BLAKE3_OUT_LEN];
    blake3_hasher_init(&hasher);
    blake3_hasher_update(&hasher, octets, bytes);
    blake3_hasher_finalize(&hasher, hash, sizeof hash);
    for (int i = 0; i < BLAKE3_OUT_LEN; i++) {
        text[2 * i] = digits[hash[i] >> 4];
        text[2 * i + 1] = digits[hash[i] & 15];
    }
    text[CONTENT_HASH_DIGITS] = '\0';
    return text;
}

bool content_hash_is_text(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes && bytes == CONTENT_HASH_DIGITS; i++) {
        if (!isxdigit((unsigned char)text[i]))
            return false;
    }
    return bytes == CONTENT_HASH_DIGITS;
}
