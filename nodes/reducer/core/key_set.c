/* SPDX-License-Identifier: MIT */
/* key_set.c - open addressing with linear probing, at most three quarters full. */
#include "reducer/core/key_set.h"

#include <stdlib.h>

#include "base/error.h"

#define CAPACITY_FIRST 16

/* The slot of the hash, or the free one where it belongs. */
static size_t slot_of(const uint64_t *slots, size_t capacity, uint64_t hash)
{
    size_t slot = hash & (capacity - 1);
    while (slots[slot] && slots[slot] != hash)
        slot = (slot + 1) & (capacity - 1);
    return slot;
}

static uint64_t not_zero(uint64_t hash) { return hash ? hash : 1; }

static void grow(struct key_set *set)
{
    size_t capacity = set->capacity ? set->capacity * 2 : CAPACITY_FIRST;
    uint64_t *slots = must_calloc(capacity, sizeof(*slots));
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->slots[i])
            slots[slot_of(slots, capacity, set->slots[i])] = set->slots[i];
    }
    free(set->slots);
    set->slots = slots;
    set->capacity = capacity;
}

void key_set_add(struct key_set *set, uint64_t hash)
{
    if ((set->count + 1) * 4 > set->capacity * 3)
        grow(set);
    size_t slot = slot_of(set->slots, set->capacity, not_zero(hash));
    set->count += set->slots[slot] == 0;
    set->slots[slot] = not_zero(hash);
}

bool key_set_has(const struct key_set *set, uint64_t hash)
{
    return set->capacity > 0 && set->slots[slot_of(set->slots, set->capacity, not_zero(hash))] != 0;
}

void key_set_fini(struct key_set *set)
{
    free(set->slots);
    *set = (struct key_set){0};
}
