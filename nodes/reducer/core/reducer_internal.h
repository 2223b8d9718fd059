/* SPDX-License-Identifier: MIT */
/* reducer_internal.h - what reducer.c and reducer_rows.c share. */
#ifndef REDUCER_CORE_REDUCER_INTERNAL_H
#define REDUCER_CORE_REDUCER_INTERNAL_H

#include "base/plain.h"
#include "reducer/core/reducer.h"

/* What a row is found by, within its partition. */
struct reducer_key {
    int aggregation;
    int64_t start_us;
    const char *group;
    size_t group_bytes;
    uint64_t group_hash;
};

void reducer_rows_init(struct reducer *reducer);
void reducer_rows_fini(struct reducer *reducer, struct reducer_partition *partition);
void reducer_rows_grow(struct reducer_partition *partition);
/* The row that counts a key that has none in memory and none in the store; `slot` is the key's. */
struct aggregate *reducer_new_row(struct reducer *reducer, struct reducer_partition *partition,
                                  const struct reducer_key *key, struct reducer_slot *slot);
/* Whether the row that counts the key may be in the store alone. It is then made and added to `wanted`,
 * unless that is NULL. */
bool reducer_is_away(struct reducer *reducer, struct reducer_partition *partition,
                     const struct reducer_key *key, struct reducer_wanted *wanted);

static inline uint64_t reducer_row_hash(int aggregation, int64_t start_us, uint64_t group_hash)
{
    uint64_t mixed =
        group_hash ^ ((uint64_t)start_us + (uint64_t)aggregation) * 0x9e3779b97f4a7c15ull;
    return mixed ^ mixed >> 29;
}

/* The row's slot, or the free one where it belongs, with the hash; valid until the next look. */
static inline struct reducer_slot *reducer_find_slot(struct reducer_partition *partition,
                                                     const struct reducer_key *key)
{
    if (partition->rows_count * 2 >= partition->rows_capacity)
        reducer_rows_grow(partition);
    struct reducer_slot *slots = partition->rows;
    size_t capacity = partition->rows_capacity;
    uint64_t hash = reducer_row_hash(key->aggregation, key->start_us, key->group_hash);
    size_t at = hash & (capacity - 1);
    for (; slots[at].row; at = (at + 1) & (capacity - 1)) {
        const struct aggregate *row = slots[at].row;
        if (slots[at].hash == hash && row->definition->index == key->aggregation &&
            row->start_us == key->start_us && row->group_bytes == key->group_bytes &&
            plain_same(row->group, key->group, key->group_bytes))
            return &slots[at];
    }
    slots[at].hash = hash;
    return &slots[at];
}

/* The row that counts the key, made when it is new. It must not be away. */
static inline struct aggregate *reducer_take_row(struct reducer *reducer,
                                                 struct reducer_partition *partition,
                                                 const struct reducer_key *key)
{
    struct reducer_slot *slot = reducer_find_slot(partition, key);
    return slot->row ? slot->row : reducer_new_row(reducer, partition, key, slot);
}

#endif
