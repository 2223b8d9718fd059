/* SPDX-License-Identifier: MIT */
/* reducer.c - see the header; tables are open addressing with powers of two. */
#include "reducer/core/reducer.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define CAPACITY_FIRST 16

void reducer_init(struct reducer *reducer, const struct window_rules *rules)
{
    *reducer = (struct reducer){.rules = *rules};
}

void reducer_fini(struct reducer *reducer)
{
    for (int32_t i = 0; i < PARTITIONS_MAX; i++)
        reducer_revoke(reducer, i);
    free(reducer->dirty);
    event_fini(&reducer->event);
}

/* -- lanes -- */

static struct reducer_lane *lane_slot(struct reducer_lane *lanes, size_t capacity, const char *name, size_t bytes,
                                      uint64_t hash)
{
    size_t slot = hash & (capacity - 1);
    while (lanes[slot].name[0] && (lanes[slot].hash != hash || strlen(lanes[slot].name) != bytes ||
                                   memcmp(lanes[slot].name, name, bytes) != 0))
        slot = (slot + 1) & (capacity - 1);
    return &lanes[slot];
}

static void grow_lanes(struct reducer_partition *partition)
{
    size_t capacity = partition->lanes_capacity ? partition->lanes_capacity * 2 : CAPACITY_FIRST;
    struct reducer_lane *lanes = must_calloc(capacity, sizeof(*lanes));
    for (size_t i = 0; i < partition->lanes_capacity; i++) {
        const struct reducer_lane *lane = &partition->lanes[i];
        if (lane->name[0])
            *lane_slot(lanes, capacity, lane->name, strlen(lane->name), lane->hash) = *lane;
    }
    free(partition->lanes);
    partition->lanes = lanes;
    partition->lanes_capacity = capacity;
}

static const struct reducer_lane *find_lane(const struct reducer_partition *partition, const char *name, size_t bytes)
{
    if (partition->lanes_count == 0)
        return NULL;
    const struct reducer_lane *lane =
        lane_slot(partition->lanes, partition->lanes_capacity, name, bytes, XXH3_64bits(name, bytes));
    return lane->name[0] ? lane : NULL;
}

static struct reducer_lane *make_lane(struct reducer_partition *partition, const char *name, size_t bytes)
{
    if (partition->lanes_count * 2 >= partition->lanes_capacity)
        grow_lanes(partition);
    uint64_t hash = XXH3_64bits(name, bytes);
    struct reducer_lane *lane = lane_slot(partition->lanes, partition->lanes_capacity, name, bytes, hash);
    if (!lane->name[0]) {
        memcpy(lane->name, name, bytes);
        lane->name[bytes] = 0;
        lane->hash = hash;
        lane->last_seq = -1;
        partition->lanes_count++;
    }
    return lane;
}

void reducer_load_lane(struct reducer_partition *partition, const char *lane, size_t bytes, int64_t last_seq)
{
    BUG_IF(bytes == 0 || bytes > LANE_BYTES_MAX);
    make_lane(partition, lane, bytes)->last_seq = last_seq;
}

int64_t reducer_lane_seq(const struct reducer_partition *partition, const char *lane, size_t bytes)
{
    const struct reducer_lane *known = find_lane(partition, lane, bytes);
    return known ? known->last_seq : -1;
}

/* -- rows -- */

static uint64_t row_hash(enum aggregation_type type, int64_t start_us, const char *group, size_t bytes)
{
    uint64_t seed = (uint64_t)start_us * 0x9e3779b97f4a7c15ull + (uint64_t)type;
    return XXH3_64bits_withSeed(group, bytes, seed);
}

static size_t row_slot(struct aggregate **rows, size_t capacity, uint64_t hash, enum aggregation_type type,
                       int64_t start_us, const char *group, size_t bytes)
{
    size_t slot = hash & (capacity - 1);
    for (; rows[slot]; slot = (slot + 1) & (capacity - 1)) {
        const struct aggregate *row = rows[slot];
        if (row->hash == hash && row->type == type && row->start_us == start_us && row->group_bytes == bytes &&
            memcmp(row->group, group, bytes) == 0)
            break;
    }
    return slot;
}

/* Places rows anew, without those that are given up (NULL). */
static void place_rows(struct reducer_partition *partition, struct aggregate **old, size_t old_capacity, size_t capacity)
{
    struct aggregate **rows = must_calloc(capacity, sizeof(*rows));
    for (size_t i = 0; i < old_capacity; i++) {
        struct aggregate *row = old[i];
        if (row)
            rows[row_slot(rows, capacity, row->hash, row->type, row->start_us, row->group, row->group_bytes)] = row;
    }
    free(old);
    partition->rows = rows;
    partition->rows_capacity = capacity;
}

struct aggregate *reducer_row(struct reducer *reducer, struct reducer_partition *partition, enum aggregation_type type,
                              int64_t start_us, const char *group, size_t group_bytes)
{
    if (partition->rows_count * 2 >= partition->rows_capacity)
        place_rows(partition, partition->rows, partition->rows_capacity,
                   partition->rows_capacity ? partition->rows_capacity * 2 : CAPACITY_FIRST);
    uint64_t hash = row_hash(type, start_us, group, group_bytes);
    size_t slot = row_slot(partition->rows, partition->rows_capacity, hash, type, start_us, group, group_bytes);
    if (!partition->rows[slot]) {
        struct aggregate *row = must_alloc(sizeof(*row));
        int64_t end_us = aggregations[type].windowed ? start_us + reducer->rules.size_us : INT64_MAX;
        aggregate_init(row, type, partition->number, start_us, end_us, group, group_bytes);
        row->hash = hash;
        partition->rows[slot] = row;
        partition->rows_count++;
        reducer->rows_count++;
    }
    return partition->rows[slot];
}

static void mark_dirty(struct reducer *reducer, struct aggregate *row)
{
    if (row->dirty)
        return;
    row->dirty = true;
    if (reducer->dirty_count == reducer->dirty_capacity) {
        reducer->dirty_capacity = reducer->dirty_capacity ? reducer->dirty_capacity * 2 : CAPACITY_FIRST;
        reducer->dirty = must_realloc(reducer->dirty, reducer->dirty_capacity * sizeof(struct aggregate *));
    }
    reducer->dirty[reducer->dirty_count++] = row;
}

/* -- partitions -- */

struct reducer_partition *reducer_assign(struct reducer *reducer, int32_t number, int64_t epoch, int64_t next_offset,
                                         int64_t newest_us, int64_t complete_us)
{
    BUG_IF(number < 0 || number >= PARTITIONS_MAX);
    reducer_revoke(reducer, number);
    struct reducer_partition *partition = must_calloc(1, sizeof(*partition));
    partition->number = number;
    partition->epoch = epoch;
    partition->next_offset = partition->committed_offset = next_offset;
    partition->newest_us = newest_us;
    partition->complete_us = complete_us;
    partition->swept_us = WINDOW_NO_TIME;
    reducer->partitions[number] = partition;
    return partition;
}

static void forget_dirty(struct reducer *reducer, int32_t number)
{
    size_t kept = 0;
    for (size_t i = 0; i < reducer->dirty_count; i++) {
        if (reducer->dirty[i]->partition != number)
            reducer->dirty[kept++] = reducer->dirty[i];
    }
    reducer->dirty_count = kept;
}

void reducer_revoke(struct reducer *reducer, int32_t number)
{
    if (number < 0 || number >= PARTITIONS_MAX || !reducer->partitions[number])
        return;
    struct reducer_partition *partition = reducer->partitions[number];
    forget_dirty(reducer, number);
    for (size_t i = 0; i < partition->rows_capacity; i++) {
        if (partition->rows[i]) {
            aggregate_fini(partition->rows[i]);
            free(partition->rows[i]);
        }
    }
    reducer->rows_count -= partition->rows_count;
    free(partition->rows);
    free(partition->lanes);
    free(partition->loaded_starts);
    free(partition);
    reducer->partitions[number] = NULL;
}

void reducer_window_loaded(struct reducer_partition *partition, int64_t start_us)
{
    partition->loaded_starts =
        must_realloc(partition->loaded_starts, (partition->loaded_count + 1) * sizeof(*partition->loaded_starts));
    partition->loaded_starts[partition->loaded_count++] = start_us;
}

static bool window_in_memory(const struct reducer_partition *partition, int64_t start_us, int64_t size_us)
{
    if (start_us + size_us > partition->complete_us)
        return true;
    for (size_t i = 0; i < partition->loaded_count; i++) {
        if (partition->loaded_starts[i] == start_us)
            return true;
    }
    return false;
}

int64_t reducer_watermark(const struct reducer *reducer, const struct reducer_partition *partition)
{
    return window_watermark(partition->newest_us, &reducer->rules);
}

/* -- records -- */

/* A decimal number of at most 18 digits, -1 when it is none. */
static int64_t read_seq(const char *text, size_t bytes)
{
    int64_t value = 0;
    if (!text || bytes == 0 || bytes > 18)
        return -1;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

struct identity {
    bool has_lane;
    int64_t seq;
    int64_t last_seq; /* -1: the lane is new here */
    const char *fault;
};

static struct identity identify(const struct reducer_partition *partition, const struct reducer_record *record)
{
    struct identity identity = {.last_seq = -1};
    if (!record->lane || !record->seq)
        return identity;
    identity.has_lane = true;
    identity.seq = read_seq(record->seq, record->seq_bytes);
    if (identity.seq < 0)
        identity.fault = "the header seq is no number";
    else if (record->lane_bytes == 0 || record->lane_bytes > LANE_BYTES_MAX || memchr(record->lane, 0, record->lane_bytes) ||
             !utf8_is_valid(record->lane, record->lane_bytes))
        identity.fault = "the header lane is not a text of 1 to 40 octets";
    else
        identity.last_seq = reducer_lane_seq(partition, record->lane, record->lane_bytes);
    if (!identity.fault && identity.last_seq < 0 && partition->lanes_count >= LANES_MAX)
        identity.fault = "the partition has too many lanes";
    identity.has_lane = !identity.fault;
    return identity;
}

/* Notes that the record was read, whatever it said. */
static void advance(struct reducer_partition *partition, const struct reducer_record *record,
                    const struct identity *identity)
{
    partition->next_offset = record->offset + 1;
    partition->dirty = true;
    if (identity->has_lane && identity->seq > identity->last_seq) {
        struct reducer_lane *lane = make_lane(partition, record->lane, record->lane_bytes);
        lane->last_seq = identity->seq;
        lane->dirty = true;
    }
}

static void count_row(struct reducer *reducer, struct reducer_partition *partition, enum aggregation_type type,
                      int64_t start_us, bool late)
{
    const struct event *event = &reducer->event;
    bool by_namespace = aggregations[type].by_namespace;
    struct aggregate *row = reducer_row(reducer, partition, type, start_us, by_namespace ? event->namespace : "",
                                        by_namespace ? event->namespace_bytes : 0);
    aggregate_add(row, event, late);
    mark_dirty(reducer, row);
}

static void count_stamp(struct reducer *reducer, struct reducer_partition *partition, int64_t start_us,
                        enum window_arrival arrival)
{
    for (enum aggregation_type type = 0; type < AGGREGATION_TYPES; type++) {
        if (!aggregations[type].windowed)
            count_row(reducer, partition, type, 0, false);
        else if (arrival != WINDOW_TOO_LATE)
            count_row(reducer, partition, type, start_us, arrival == WINDOW_LATE);
    }
}

/* Lanes begin with seq 1, so a prev_seq of 0 says that there was none before. */
static bool proves_gap(const struct reducer_record *record, const struct identity *identity)
{
    int64_t seen = identity->last_seq > 0 ? identity->last_seq : 0;
    return identity->has_lane && read_seq(record->prev_seq, record->prev_seq_bytes) > seen;
}

struct reducer_outcome reducer_record(struct reducer *reducer, const struct reducer_record *record)
{
    struct reducer_outcome outcome = {.verdict = RECORD_SKIPPED};
    struct reducer_partition *partition =
        record->partition >= 0 && record->partition < PARTITIONS_MAX ? reducer->partitions[record->partition] : NULL;
    if (!partition || record->offset < partition->next_offset)
        return outcome;
    struct identity identity = identify(partition, record);
    if (identity.has_lane && identity.seq <= identity.last_seq) {
        advance(partition, record, &identity);
        outcome.verdict = RECORD_REPEAT;
        return outcome;
    }
    struct event *event = &reducer->event;
    outcome.reason = identity.fault;
    if (!outcome.reason)
        outcome.reason = event_read(event, record->key, record->key_bytes, record->value, record->value_bytes,
                                    record->timestamp_ms * 1000);
    if (outcome.reason) {
        outcome.missing = proves_gap(record, &identity);
        advance(partition, record, &identity);
        outcome.verdict = RECORD_MALFORMED;
        return outcome;
    }
    const struct window_rules *rules = &reducer->rules;
    int64_t start_us = window_start(event->time_us, rules->size_us);
    enum window_arrival arrival =
        window_arrival(start_us + rules->size_us, window_watermark(partition->newest_us, rules), rules);
    if (event->is_stamp && arrival != WINDOW_TOO_LATE && !window_in_memory(partition, start_us, rules->size_us)) {
        outcome.verdict = RECORD_NEEDS_WINDOW;
        outcome.window_start_us = start_us;
        return outcome;
    }
    outcome.missing = proves_gap(record, &identity);
    advance(partition, record, &identity);
    if (event->time_us > partition->newest_us)
        partition->newest_us = event->time_us;
    if (!event->is_stamp) {
        outcome.verdict = RECORD_IGNORED;
        return outcome;
    }
    count_stamp(reducer, partition, start_us, arrival);
    outcome.verdict = arrival == WINDOW_ON_TIME ? RECORD_COUNTED : arrival == WINDOW_LATE ? RECORD_LATE : RECORD_TOO_LATE;
    if (outcome.verdict == RECORD_TOO_LATE)
        outcome.reason = "the event came after its window's end and the allowed lateness";
    return outcome;
}

void reducer_snapshot_taken(struct reducer *reducer)
{
    for (size_t i = 0; i < reducer->dirty_count; i++) {
        struct aggregate *row = reducer->dirty[i];
        row->dirty = false;
        for (int set = 0; set < AGGREGATE_SETS; set++)
            distinct_mark_stored(&row->sets[set]);
    }
    reducer->dirty_count = 0;
    for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
        struct reducer_partition *partition = reducer->partitions[p];
        if (!partition || !partition->dirty)
            continue;
        partition->dirty = false;
        partition->committed_offset = partition->next_offset;
        for (size_t i = 0; i < partition->lanes_capacity; i++)
            partition->lanes[i].dirty = false;
    }
}

static void sweep_partition(struct reducer *reducer, struct reducer_partition *partition, int64_t watermark_us)
{
    size_t dropped = 0;
    for (size_t i = 0; i < partition->rows_capacity; i++) {
        struct aggregate *row = partition->rows[i];
        if (!row || row->dirty || !aggregations[row->type].windowed ||
            !window_is_closed(row->end_us, watermark_us, &reducer->rules))
            continue;
        aggregate_fini(row);
        free(row);
        partition->rows[i] = NULL;
        dropped++;
    }
    partition->swept_us = watermark_us;
    if (dropped == 0)
        return;
    partition->rows_count -= dropped;
    reducer->rows_count -= dropped;
    size_t capacity = partition->rows_capacity;
    while (capacity > CAPACITY_FIRST && partition->rows_count * 4 < capacity)
        capacity /= 2;
    place_rows(partition, partition->rows, partition->rows_capacity, capacity);
}

void reducer_sweep(struct reducer *reducer)
{
    for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
        struct reducer_partition *partition = reducer->partitions[p];
        if (!partition || partition->newest_us == WINDOW_NO_TIME)
            continue;
        int64_t watermark_us = reducer_watermark(reducer, partition);
        if (partition->swept_us == WINDOW_NO_TIME || watermark_us - partition->swept_us >= reducer->rules.size_us)
            sweep_partition(reducer, partition, watermark_us);
    }
}
