/* SPDX-License-Identifier: MIT */
/* key_set.h - which keys are meant, by their 64-bit hashes alone: at most 22 octets a key. Two keys with one
 * hash are not told apart. Pure.
 *
 * Owns      Its memory; zeroed is a valid empty set; key_set_fini releases.
 * Threads   One at a time.
 */
#ifndef REDUCER_CORE_KEY_SET_H
#define REDUCER_CORE_KEY_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct key_set {
    uint64_t *slots; /* open addressing, 0 is free */
    size_t count, capacity;
};

void key_set_add(struct key_set *set, uint64_t hash);
bool key_set_has(const struct key_set *set, uint64_t hash);
void key_set_fini(struct key_set *set);

#endif
