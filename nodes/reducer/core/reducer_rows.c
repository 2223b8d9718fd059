/* SPDX-License-Identifier: MIT */
/* reducer_rows.c - the rows of partitions: how they are found, which of them are in the store alone, and what
 * leaves memory. Tables are open addressing with powers of two.
 *
 * Source    Which row leaves: the second-chance ("clock") algorithm, Corbato 1968. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/plain.h"
#include "base/text_hash.h"
#include "reducer/core/reducer_internal.h"

#define CAPACITY_FIRST 16
#define SWEEP_SHARE 4 /* a sweep when a quarter of the rows is new */
#define SLOTS_PER_ROW_MAX 4
#define SPILL_SHARE 64 /* so much below the bound spilling stops */
#define SPILL_STEPS_MAX                                                                            \
    65536 /* rows looked at in one go, so that it takes a few milliseconds at most */
#define SPILL_STRIDE 1024 /* of them on one partition, before the next one's turn */

/* -- groups of a window -- */

static size_t groups_slot(struct reducer_groups **table, size_t capacity, int aggregation,
                          int64_t start_us)
{
    size_t slot = reducer_row_hash(aggregation, start_us, 0) & (capacity - 1);
    while (table[slot] &&
           (table[slot]->aggregation != aggregation || table[slot]->start_us != start_us))
        slot = (slot + 1) & (capacity - 1);
    return slot;
}

static void place_groups(struct reducer_partition *partition, size_t capacity)
{
    struct reducer_groups **table = must_calloc(capacity, sizeof(struct reducer_groups *));
    for (size_t i = 0; i < partition->groups_capacity; i++) {
        struct reducer_groups *groups = partition->groups[i];
        if (groups)
            table[groups_slot(table, capacity, groups->aggregation, groups->start_us)] = groups;
    }
    free(partition->groups);
    partition->groups = table;
    partition->groups_capacity = capacity;
}

/* NULL when the window has no groups. */
static struct reducer_groups *find_groups(struct reducer_partition *partition, int aggregation,
                                          int64_t start_us)
{
    struct reducer_groups *latest = partition->latest[aggregation];
    if (latest && latest->start_us == start_us)
        return latest;
    if (partition->groups_count == 0)
        return NULL;
    struct reducer_groups *found = partition->groups[groups_slot(
        partition->groups, partition->groups_capacity, aggregation, start_us)];
    if (found)
        partition->latest[aggregation] = found;
    return found;
}

static struct reducer_groups *make_groups(struct reducer_partition *partition, int aggregation,
                                          int64_t start_us)
{
    struct reducer_groups *groups = find_groups(partition, aggregation, start_us);
    if (groups)
        return groups;
    if (partition->groups_count * 2 >= partition->groups_capacity)
        place_groups(partition,
                     partition->groups_capacity ? partition->groups_capacity * 2 : CAPACITY_FIRST);
    groups = must_calloc(1, sizeof(*groups));
    groups->aggregation = aggregation;
    groups->start_us = start_us;
    partition->groups[groups_slot(partition->groups, partition->groups_capacity, aggregation,
                                  start_us)] = groups;
    partition->groups_count++;
    partition->latest[aggregation] = groups;
    return groups;
}

static struct reducer_groups *groups_of(struct reducer_partition *partition,
                                        const struct aggregate *row)
{
    return make_groups(partition, row->definition->index, row->start_us);
}

static void note_away(struct reducer *reducer, struct reducer_partition *partition,
                      struct reducer_groups *groups, uint64_t hash)
{
    key_set_add(&groups->left, hash);
    groups->away++;
    partition->away++;
    reducer->rows_away++;
}

static void forget_away(struct reducer *reducer, struct reducer_partition *partition,
                        struct reducer_groups *groups, size_t count)
{
    groups->away -= count;
    partition->away -= count;
    reducer->rows_away -= count;
    if (groups->away == 0)
        key_set_fini(&groups->left);
}

/* -- rows -- */

static struct reducer_key key_of(int aggregation, int64_t start_us, const char *group, size_t bytes)
{
    return (struct reducer_key){aggregation, start_us, group, bytes, text_hash(group, bytes)};
}

/* Places rows anew; slots without a row fall out. */
static void place_rows(struct reducer_partition *partition, size_t capacity)
{
    struct reducer_slot *slots = must_calloc(capacity, sizeof(*slots));
    for (size_t i = 0; i < partition->rows_capacity; i++) {
        if (!partition->rows[i].row)
            continue;
        size_t at = partition->rows[i].hash & (capacity - 1);
        while (slots[at].row)
            at = (at + 1) & (capacity - 1);
        slots[at] = partition->rows[i];
    }
    free(partition->rows);
    partition->rows = slots;
    partition->rows_capacity = capacity;
}

void reducer_rows_grow(struct reducer_partition *partition)
{
    place_rows(partition, partition->rows_capacity ? partition->rows_capacity * 2 : CAPACITY_FIRST);
}

static struct aggregate *make_row(struct reducer *reducer, struct reducer_partition *partition,
                                  const struct reducer_key *key, struct reducer_slot *slot)
{
    struct aggregate *row =
        aggregate_new(reducer->set, reducer->set->items[key->aggregation], partition->number,
                      key->start_us, key->group, key->group_bytes);
    row->hash = slot->hash;
    slot->row = row;
    reducer_row_filled(reducer, row);
    partition->rows_count++;
    partition->rows_made++;
    reducer->rows_count++;
    groups_of(partition, row)->here++;
    return row;
}

/* Before the row is freed. */
static void forget_row(struct reducer *reducer, struct reducer_partition *partition,
                       const struct aggregate *row)
{
    reducer->rows_bytes -= row->bytes;
    reducer->rows_count--;
    partition->rows_count--;
    groups_of(partition, row)->here--;
}

struct aggregate *reducer_row(struct reducer *reducer, struct reducer_partition *partition,
                              int aggregation, int64_t start_us, const char *group,
                              size_t group_bytes)
{
    const struct reducer_key key = key_of(aggregation, start_us, group, group_bytes);
    struct reducer_slot *slot = reducer_find_slot(partition, &key);
    return slot->row ? slot->row : make_row(reducer, partition, &key, slot);
}

struct aggregate *reducer_find_row(struct reducer_partition *partition, int aggregation,
                                   int64_t start_us, const char *group, size_t group_bytes)
{
    const struct reducer_key key = key_of(aggregation, start_us, group, group_bytes);
    return reducer_find_slot(partition, &key)->row;
}

/* Whether no further group has a row of its own. */
static bool is_full(const struct reducer *reducer, struct reducer_partition *partition,
                    const struct reducer_key *key)
{
    if (reducer->bounds.groups == 0)
        return false;
    const struct reducer_groups *groups = find_groups(partition, key->aggregation, key->start_us);
    return groups && groups->here + groups->away >= reducer->bounds.groups;
}

static struct reducer_key key_of_others(const struct reducer *reducer,
                                        const struct reducer_key *key)
{
    const struct aggregation *aggregation = reducer->set->items[key->aggregation];
    int keys = reducer->set->groups[aggregation->group].count;
    return (struct reducer_key){
        key->aggregation, key->start_us, reducer->group_of_others[keys].text,
        reducer->group_of_others[keys].bytes, reducer->group_of_others[keys].hash};
}

struct aggregate *reducer_new_row(struct reducer *reducer, struct reducer_partition *partition,
                                  const struct reducer_key *key, struct reducer_slot *slot)
{
    if (!is_full(reducer, partition, key))
        return make_row(reducer, partition, key, slot);
    const struct reducer_key others = key_of_others(reducer, key);
    reducer->others++;
    slot = reducer_find_slot(partition, &others);
    return slot->row ? slot->row : make_row(reducer, partition, &others, slot);
}

void reducer_wanted_add(struct reducer_wanted *wanted, struct aggregate *row)
{
    if (wanted->count == wanted->capacity) {
        wanted->capacity = wanted->capacity ? wanted->capacity * 2 : CAPACITY_FIRST;
        wanted->rows = must_realloc(wanted->rows, wanted->capacity * sizeof(struct aggregate *));
    }
    wanted->rows[wanted->count++] = row;
}

bool reducer_is_away(struct reducer *reducer, struct reducer_partition *partition,
                     const struct reducer_key *key, struct reducer_wanted *wanted)
{
    const struct reducer_groups *groups = find_groups(partition, key->aggregation, key->start_us);
    if (!groups || groups->away == 0)
        return false;
    struct reducer_key found = *key;
    struct reducer_slot *slot = reducer_find_slot(partition, &found);
    if (!slot->row && !key_set_has(&groups->left, slot->hash) && is_full(reducer, partition, key)) {
        found = key_of_others(reducer, key);
        slot = reducer_find_slot(partition, &found);
    }
    if (slot->row || !key_set_has(&groups->left, slot->hash))
        return false;
    if (wanted)
        reducer_wanted_add(wanted, make_row(reducer, partition, &found, slot));
    return true;
}

void reducer_row_back(struct reducer *reducer, struct aggregate *row)
{
    struct reducer_partition *partition = reducer->partitions[row->partition];
    reducer_row_filled(reducer, row);
    reducer->loaded++;
    forget_away(reducer, partition, groups_of(partition, row), 1);
}

void reducer_row_away(struct reducer *reducer, struct reducer_partition *partition, int aggregation,
                      int64_t start_us, const char *group, size_t group_bytes)
{
    const struct reducer_key key = key_of(aggregation, start_us, group, group_bytes);
    const struct reducer_slot *slot = reducer_find_slot(partition, &key);
    if (!slot->row)
        note_away(reducer, partition, make_groups(partition, aggregation, start_us), slot->hash);
}

void reducer_row_filled(struct reducer *reducer, struct aggregate *row)
{
    size_t bytes = aggregate_bytes(row);
    reducer->rows_bytes += bytes - row->bytes;
    row->bytes = (uint32_t)bytes;
}

/* ["(other groups)","(other groups)"] for two keys, the name itself for one. */
void reducer_rows_init(struct reducer *reducer)
{
    for (int keys = 1; keys <= AGGREGATION_KEYS_MAX; keys++) {
        char *text = reducer->group_of_others[keys].text;
        size_t room = sizeof(reducer->group_of_others[keys].text), bytes = 0;
        for (int i = 0; i < keys; i++)
            bytes +=
                (size_t)snprintf(text + bytes, room - bytes, keys == 1 ? "%s%s%s" : "%s\"%s\"%s",
                                 i == 0 && keys > 1 ? "[" : "", GROUP_OF_OTHERS,
                                 keys == 1      ? ""
                                 : i + 1 < keys ? ","
                                                : "]");
        reducer->group_of_others[keys].bytes = bytes;
        reducer->group_of_others[keys].hash = text_hash(text, bytes);
    }
}

void reducer_forget_window(struct reducer *reducer, struct reducer_partition *partition,
                           int aggregation, int64_t start_us)
{
    struct reducer_groups *groups = make_groups(partition, aggregation, start_us);
    for (size_t i = 0; groups->here > 0 && i < partition->rows_capacity; i++) {
        struct aggregate *row = partition->rows[i].row;
        if (!row || row->definition->index != aggregation || row->start_us != start_us)
            continue;
        forget_row(reducer, partition, row);
        aggregate_free(row);
        partition->rows[i].row = NULL;
    }
    forget_away(reducer, partition, groups, groups->away);
    if (partition->rows_capacity > 0)
        place_rows(partition, partition->rows_capacity);
}

void reducer_rows_fini(struct reducer *reducer, struct reducer_partition *partition)
{
    for (size_t i = 0; i < partition->rows_capacity; i++) {
        if (partition->rows[i].row)
            reducer->rows_bytes -= partition->rows[i].row->bytes;
        aggregate_free(partition->rows[i].row);
    }
    for (size_t i = 0; i < partition->groups_capacity; i++) {
        if (partition->groups[i])
            key_set_fini(&partition->groups[i]->left);
        free(partition->groups[i]);
    }
    reducer->rows_count -= partition->rows_count;
    reducer->rows_away -= partition->away;
    free(partition->rows);
    free(partition->groups);
}

/* -- closed windows -- */

static bool is_closed(const struct reducer *reducer, int aggregation, int64_t start_us,
                      int64_t watermark_us)
{
    const struct aggregation_window *window =
        &reducer->set->windows[reducer->set->items[aggregation]->window];
    return window->windowed &&
           window_is_closed(start_us + window->size_us, watermark_us, window->lateness_us);
}

bool reducer_is_open(const struct reducer *reducer, const struct reducer_partition *partition,
                     const struct reducer_groups *groups)
{
    return reducer->set->windows[reducer->set->items[groups->aggregation]->window].windowed &&
           !is_closed(reducer, groups->aggregation, groups->start_us,
                      reducer_watermark(reducer, partition));
}

static void sweep_groups(struct reducer *reducer, struct reducer_partition *partition,
                         int64_t watermark_us)
{
    size_t kept = 0;
    for (size_t i = 0; i < partition->groups_capacity; i++) {
        struct reducer_groups *groups = partition->groups[i];
        if (!groups)
            continue;
        kept++;
        if (groups->here > 0 ||
            !is_closed(reducer, groups->aggregation, groups->start_us, watermark_us))
            continue;
        forget_away(reducer, partition, groups, groups->away);
        free(groups);
        partition->groups[i] = NULL;
        kept--;
    }
    if (kept == partition->groups_count)
        return;
    memset(partition->latest, 0, sizeof(partition->latest));
    partition->groups_count = kept;
    size_t capacity = CAPACITY_FIRST;
    while (capacity < kept * 4)
        capacity *= 2;
    place_groups(partition, capacity);
}

static void sweep_partition(struct reducer *reducer, struct reducer_partition *partition,
                            int64_t watermark_us)
{
    size_t before = partition->rows_count;
    for (size_t i = 0; i < partition->rows_capacity; i++) {
        struct aggregate *row = partition->rows[i].row;
        if (!row || row->dirty ||
            !is_closed(reducer, row->definition->index, row->start_us, watermark_us))
            continue;
        forget_row(reducer, partition, row);
        aggregate_free(row);
        partition->rows[i].row = NULL;
    }
    partition->swept_us = watermark_us;
    partition->rows_made = 0;
    sweep_groups(reducer, partition, watermark_us);
    if (partition->rows_count == before)
        return;
    size_t capacity = partition->rows_capacity;
    while (capacity > CAPACITY_FIRST && partition->rows_count * 4 < capacity)
        capacity /= 2;
    place_rows(partition, capacity);
}

/* Looking at all rows pays when windows have passed and many rows have come. */
void reducer_sweep(struct reducer *reducer)
{
    for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
        struct reducer_partition *partition = reducer->partitions[p];
        if (!partition || partition->newest_us == WINDOW_NO_TIME)
            continue;
        int64_t watermark_us = reducer_watermark(reducer, partition);
        if (partition->swept_us == WINDOW_NO_TIME ||
            (watermark_us - partition->swept_us >= reducer->sweep_us &&
             partition->rows_made * SWEEP_SHARE >= partition->rows_count))
            sweep_partition(reducer, partition, watermark_us);
    }
}

/* -- spilling -- */

bool reducer_has_room(const struct reducer *reducer)
{
    return reducer->bounds.rows_bytes == 0 || reducer->rows_bytes < reducer->bounds.rows_bytes;
}

void reducer_snapshot_stored(struct reducer *reducer)
{
    reducer->snapshot_stored = reducer->snapshot;
}

/* The rows after it move up, so that each is found from its own place on. */
static void free_slot(struct reducer_partition *partition, size_t hole)
{
    struct reducer_slot *slots = partition->rows;
    size_t mask = partition->rows_capacity - 1;
    for (size_t at = (hole + 1) & mask; slots[at].row; at = (at + 1) & mask) {
        size_t home = slots[at].hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        slots[hole] = slots[at];
        hole = at;
    }
    slots[hole].row = NULL;
}

/* A row whose snapshot is not in the store yet would be loaded as it was before. */
static bool may_leave(const struct reducer *reducer, struct aggregate *row)
{
    bool touched = row->touched;
    if (row->dirty ||
        (row->snapshot == reducer->snapshot && reducer->snapshot != reducer->snapshot_stored))
        return false;
    row->touched = false;
    return !touched;
}

static void spill_row(struct reducer *reducer, struct reducer_partition *partition, size_t slot)
{
    struct aggregate *row = partition->rows[slot].row;
    forget_row(reducer, partition, row);
    if (row->events > 0) { /* else no row of the store is meant */
        note_away(reducer, partition, groups_of(partition, row), row->hash);
        reducer->spilled++;
    }
    aggregate_free(row);
    free_slot(partition, slot);
}

/* Looks at some slots from the hand on, at most so many; how many. */
static size_t spill_stride(struct reducer *reducer, struct reducer_partition *partition,
                           size_t slots_max, size_t target_bytes)
{
    size_t max = slots_max < SPILL_STRIDE ? slots_max : SPILL_STRIDE, slots = 0;
    for (; slots < max && reducer->rows_bytes > target_bytes; slots++) {
        if (partition->hand >= partition->rows_capacity)
            partition->hand = 0;
        struct aggregate *row = partition->rows[partition->hand].row;
        if (row && may_leave(reducer, row))
            spill_row(reducer, partition, partition->hand); /* another row may stand there now */
        else
            partition->hand++;
    }
    return slots;
}

void reducer_spill(struct reducer *reducer)
{
    size_t bound = reducer->bounds.rows_bytes, target = bound - bound / SPILL_SHARE;
    size_t steps = reducer->rows_count * SLOTS_PER_ROW_MAX * 2; /* twice round */
    if (bound == 0 || reducer->rows_bytes <= bound)
        return;
    steps = steps < SPILL_STEPS_MAX ? steps : SPILL_STEPS_MAX;
    while (steps > 0 && reducer->rows_count > 0 && reducer->rows_bytes > target) {
        reducer->spill_partition = (reducer->spill_partition + 1) % PARTITIONS_MAX;
        struct reducer_partition *partition = reducer->partitions[reducer->spill_partition];
        if (partition && partition->rows_count > 0)
            steps -= spill_stride(reducer, partition, steps, target);
    }
}
