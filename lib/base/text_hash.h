/* SPDX-License-Identifier: MIT */
/* text_hash.h - XXH3 of short texts, without a call.
 *
 * Owns      Nothing.
 * Threads   Any.
 * Source    xxHash (Yann Collet), whose header brings the function along when it is asked to; the values
 *           are those of XXH3_64bits.
 */
#ifndef BASE_TEXT_HASH_H
#define BASE_TEXT_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Never 0, which may stand for no text. */
static inline uint64_t text_hash(const void *data, size_t bytes)
{
    uint64_t hash = XXH3_64bits(data, bytes);
    return hash ? hash : 1;
}

#endif
