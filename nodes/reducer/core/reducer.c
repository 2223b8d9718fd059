/* SPDX-License-Identifier: MIT */
/* reducer.c - see the header; tables are open addressing with powers of two. */
#include "reducer/core/reducer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/plain.h"
#include "base/text_hash.h"
#include "reducer/core/reducer_internal.h"

#define CAPACITY_FIRST 16
#define HITS_MAX 16      /* rows that are fetched together */
#define CELLS_PER_LINE 4 /* octets of a cache line by those of a cell */

void reducer_init(struct reducer *reducer, const struct aggregation_set *set, int64_t tolerance_us)
{
    *reducer = (struct reducer){.set = set, .tolerance_us = tolerance_us, .sweep_us = INT64_MAX};
    for (int i = 0; i < set->windows_count; i++) {
        if (set->windows[i].windowed && set->windows[i].size_us < reducer->sweep_us)
            reducer->sweep_us = set->windows[i].size_us;
    }
    for (int i = 0; i < AGGREGATIONS_MAX; i++)
        reducer->pruned_us[i] = WINDOW_NO_TIME;
    event_init(&reducer->event, set);
    reducer_rows_init(reducer);
}

void reducer_fini(struct reducer *reducer)
{
    for (int32_t i = 0; i < PARTITIONS_MAX; i++)
        reducer_revoke(reducer, i);
    free(reducer->dirty);
    event_fini(&reducer->event);
}

/* -- lanes -- */

static struct reducer_lane *lane_slot(struct reducer_lane *lanes, size_t capacity, const char *name,
                                      size_t bytes, uint64_t hash)
{
    size_t slot = hash & (capacity - 1);
    while (lanes[slot].bytes > 0 && (lanes[slot].hash != hash || lanes[slot].bytes != bytes ||
                                     !plain_same(lanes[slot].name, name, bytes)))
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
            *lane_slot(lanes, capacity, lane->name, lane->bytes, lane->hash) = *lane;
    }
    free(partition->lanes);
    partition->lanes = lanes;
    partition->lanes_capacity = capacity;
}

static struct reducer_lane *find_lane(const struct reducer_partition *partition, const char *name,
                                      size_t bytes)
{
    if (partition->lanes_count == 0)
        return NULL;
    struct reducer_lane *lane =
        lane_slot(partition->lanes, partition->lanes_capacity, name, bytes, text_hash(name, bytes));
    return lane->name[0] ? lane : NULL;
}

static struct reducer_lane *make_lane(struct reducer_partition *partition, const char *name,
                                      size_t bytes)
{
    if (partition->lanes_count * 2 >= partition->lanes_capacity)
        grow_lanes(partition);
    uint64_t hash = text_hash(name, bytes);
    struct reducer_lane *lane =
        lane_slot(partition->lanes, partition->lanes_capacity, name, bytes, hash);
    if (!lane->name[0]) {
        memcpy(lane->name, name, bytes);
        lane->name[bytes] = 0;
        lane->bytes = bytes;
        lane->hash = hash;
        lane->last_seq = -1;
        partition->lanes_count++;
    }
    return lane;
}

void reducer_load_lane(struct reducer_partition *partition, const char *lane, size_t bytes,
                       int64_t last_seq)
{
    BUG_IF(bytes == 0 || bytes > LANE_BYTES_MAX);
    make_lane(partition, lane, bytes)->last_seq = last_seq;
}

void reducer_pass_gap(struct reducer_partition *partition, int64_t offset)
{
    BUG_IF(partition->dirty);
    partition->next_offset = offset;
    partition->committed_offset = offset;
}

void reducer_raise_lane(struct reducer_partition *partition, const char *name, size_t bytes,
                        int64_t last_seq)
{
    BUG_IF(bytes == 0 || bytes > LANE_BYTES_MAX);
    struct reducer_lane *lane = make_lane(partition, name, bytes);
    if (last_seq <= lane->last_seq)
        return;
    lane->last_seq = last_seq;
    lane->dirty = true;
    partition->dirty = true;
}

int64_t reducer_lane_seq(const struct reducer_partition *partition, const char *lane, size_t bytes)
{
    const struct reducer_lane *known = find_lane(partition, lane, bytes);
    return known ? known->last_seq : -1;
}

/* -- rows -- */

void reducer_mark(struct reducer *reducer, struct aggregate *row)
{
    row->dirty = true;
    if (reducer->dirty_count == reducer->dirty_capacity) {
        reducer->dirty_capacity =
            reducer->dirty_capacity ? reducer->dirty_capacity * 2 : CAPACITY_FIRST;
        reducer->dirty =
            must_realloc(reducer->dirty, reducer->dirty_capacity * sizeof(struct aggregate *));
    }
    reducer->dirty[reducer->dirty_count++] = row;
}

/* -- partitions -- */

struct reducer_partition *reducer_assign(struct reducer *reducer, int32_t number, int64_t epoch,
                                         int64_t next_offset, int64_t newest_us, int64_t loaded_us)
{
    BUG_IF(number < 0 || number >= PARTITIONS_MAX);
    reducer_revoke(reducer, number);
    struct reducer_partition *partition = must_calloc(1, sizeof(*partition));
    partition->number = number;
    partition->epoch = epoch;
    partition->next_offset = partition->committed_offset = next_offset;
    partition->newest_us = newest_us;
    partition->loaded_us = loaded_us;
    partition->swept_us = WINDOW_NO_TIME;
    partition->counting = UINT64_MAX;
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
    reducer_rows_fini(reducer, partition);
    free(partition->lanes);
    free(partition->loaded);
    free(partition);
    reducer->partitions[number] = NULL;
}

void reducer_window_loaded(struct reducer_partition *partition, int aggregation, int64_t start_us)
{
    partition->loaded =
        must_realloc(partition->loaded, (partition->loaded_count + 1) * sizeof(*partition->loaded));
    partition->loaded[partition->loaded_count++] = (struct reducer_window){aggregation, start_us};
}

static bool window_in_memory(const struct reducer_partition *partition,
                             const struct aggregation_window *window, int aggregation,
                             int64_t start_us)
{
    if (!window_is_closed(start_us + window->size_us, partition->loaded_us, window->lateness_us))
        return true;
    for (size_t i = 0; i < partition->loaded_count; i++) {
        if (partition->loaded[i].aggregation == aggregation &&
            partition->loaded[i].start_us == start_us)
            return true;
    }
    return false;
}

int64_t reducer_watermark(const struct reducer *reducer, const struct reducer_partition *partition)
{
    return window_watermark(partition->newest_us, reducer->tolerance_us);
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

int64_t reducer_record_seq(const struct reducer_record *record)
{
    return read_seq(record->seq, record->seq_bytes);
}

struct identity {
    bool has_lane;
    struct reducer_lane *lane; /* NULL: not known here yet */
    int64_t seq;
    int64_t last_seq; /* -1: the lane is new here */
    const char *fault;
};

static struct identity identify(const struct reducer_partition *partition,
                                const struct reducer_record *record)
{
    struct identity identity = {.last_seq = -1};
    if (!record->lane || !record->seq)
        return identity;
    identity.has_lane = true;
    identity.seq = read_seq(record->seq, record->seq_bytes);
    if (identity.seq < 0)
        identity.fault = "the header seq is no number";
    else if ((identity.lane = find_lane(partition, record->lane, record->lane_bytes)))
        identity.last_seq = identity.lane->last_seq;
    else if (record->lane_bytes == 0 || record->lane_bytes > LANE_BYTES_MAX ||
             memchr(record->lane, 0, record->lane_bytes) ||
             !utf8_is_valid(record->lane, record->lane_bytes))
        identity.fault = "the header lane is not a text of 1 to 40 octets";
    else if (partition->lanes_count >= LANES_MAX)
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
        struct reducer_lane *lane = identity->lane
                                        ? identity->lane
                                        : make_lane(partition, record->lane, record->lane_bytes);
        lane->last_seq = identity->seq;
        lane->dirty = true;
    }
}

/* -- windows -- */

static void find_windows(const struct aggregation_window *window, const struct event *event,
                         int64_t watermark_us, struct reducer_windows *windows)
{
    windows->seen = event->number;
    if (windows->count == 0 || event->time_us < windows->newest_us ||
        event->time_us - windows->newest_us >= window->hop_us) /* not where the last one was */
        windows->newest_us = window_start(event->time_us, window->hop_us);
    windows->count = 0;
    for (int64_t start_us = windows->newest_us; start_us + window->size_us > event->time_us;
         start_us -= window->hop_us)
        windows->arrivals[windows->count++] =
            window_arrival(start_us + window->size_us, watermark_us, window->lateness_us);
}

/* The windows of one kind that the event falls into; the same for all aggregations that share it. */
static inline const struct reducer_windows *windows_of(struct reducer *reducer, int number,
                                                       int64_t watermark_us)
{
    struct reducer_windows *windows = &reducer->windows[number];
    if (windows->seen != reducer->event.number)
        find_windows(&reducer->set->windows[number], &reducer->event, watermark_us, windows);
    return windows;
}

static bool window_is_pruned(const struct reducer *reducer, int aggregation, int64_t start_us)
{
    const struct aggregation_window *window =
        &reducer->set->windows[reducer->set->items[aggregation]->window];
    return start_us + window->size_us <= reducer->pruned_us[aggregation];
}

/* The first window that the event changes and that is not in memory. */
static bool needs_window(struct reducer *reducer, const struct reducer_partition *partition,
                         int64_t watermark_us, struct reducer_outcome *outcome)
{
    if (partition->loaded_us == WINDOW_NO_TIME)
        return false;
    for (uint64_t counts = reducer->event.counts; counts; counts &= counts - 1) {
        int number = __builtin_ctzll(counts);
        const struct aggregation_window *window =
            &reducer->set->windows[reducer->set->items[number]->window];
        if (!window->windowed)
            continue;
        const struct reducer_windows *windows =
            windows_of(reducer, reducer->set->items[number]->window, watermark_us);
        for (int i = 0; i < windows->count; i++) {
            int64_t start_us = windows->newest_us - i * window->hop_us;
            if (windows->arrivals[i] == WINDOW_TOO_LATE ||
                window_is_pruned(reducer, number, start_us) ||
                window_in_memory(partition, window, number, start_us))
                continue;
            *outcome = (struct reducer_outcome){
                .verdict = RECORD_NEEDS_WINDOW, .aggregation = number, .window_start_us = start_us};
            return true;
        }
    }
    return false;
}

/* The first row that the event changes and that is not in memory; with `wanted` all of them. */
static bool find_away(struct reducer *reducer, struct reducer_partition *partition,
                      int64_t watermark_us, struct reducer_wanted *wanted)
{
    bool found = false;
    for (uint64_t counts = reducer->event.counts; counts; counts &= counts - 1) {
        int number = __builtin_ctzll(counts);
        const struct aggregation *aggregation = reducer->set->items[number];
        const struct aggregation_window *window = &reducer->set->windows[aggregation->window];
        const struct event_group *group = event_group(&reducer->event, aggregation->group);
        const struct reducer_windows *windows =
            window->windowed ? windows_of(reducer, aggregation->window, watermark_us) : NULL;
        for (int i = 0; i < (windows ? windows->count : 1); i++) {
            int64_t start_us = windows ? windows->newest_us - i * window->hop_us : 0;
            const struct reducer_key key = {number, start_us, group->text, group->bytes,
                                            group->hash};
            if ((windows && (windows->arrivals[i] == WINDOW_TOO_LATE ||
                             window_is_pruned(reducer, number, start_us))) ||
                !reducer_is_away(reducer, partition, &key, wanted))
                continue;
            if (!wanted)
                return true;
            found = true;
        }
    }
    return found;
}

static bool needs_rows(struct reducer *reducer, struct reducer_partition *partition,
                       int64_t watermark_us, struct reducer_outcome *outcome)
{
    if (partition->away == 0 || !find_away(reducer, partition, watermark_us, NULL))
        return false;
    outcome->verdict = RECORD_NEEDS_ROWS;
    return true;
}

/* Rows that the event counts in. They lie far apart, so what counting needs of them is fetched for all of them
 * at the same time, step by step. */
struct hits {
    struct aggregate *rows[HITS_MAX];
    bool late[HITS_MAX];
    int count;
};

static void prefetch_slot(const struct reducer *reducer, const struct reducer_partition *partition,
                          int aggregation, int64_t start_us)
{
    const struct event_group *group =
        &reducer->event.groups[reducer->set->items[aggregation]->group];
    if (partition->rows_capacity > 0)
        __builtin_prefetch(&partition->rows[reducer_row_hash(aggregation, start_us, group->hash) &
                                            (partition->rows_capacity - 1)]);
}

/* The newest window of each aggregation: nearly all rows are there. */
static void prefetch_slots(struct reducer *reducer, const struct reducer_partition *partition,
                           int64_t watermark_us)
{
    for (uint64_t counts = reducer->event.counts; counts; counts &= counts - 1) {
        int number = __builtin_ctzll(counts);
        int kind = reducer->set->items[number]->window;
        bool windowed = reducer->set->windows[kind].windowed;
        prefetch_slot(reducer, partition, number,
                      windowed ? windows_of(reducer, kind, watermark_us)->newest_us : 0);
    }
}

static void count_hits(struct reducer *reducer, struct hits *hits)
{
    struct event *event = &reducer->event;
    for (int i = 0; i < hits->count; i++)
        aggregate_prefetch_sets(hits->rows[i]);
    for (int i = 0; i < hits->count; i++)
        aggregate_prefetch_values(hits->rows[i], event);
    for (int i = 0; i < hits->count; i++) {
        aggregate_add(hits->rows[i], event, hits->late[i]);
        if (!hits->rows[i]->dirty)
            reducer_mark(reducer, hits->rows[i]);
    }
    hits->count = 0;
}

static void add_hit(struct reducer *reducer, struct reducer_partition *partition, int aggregation,
                    int64_t start_us, bool late, struct hits *hits)
{
    const struct event_group *group =
        event_group(&reducer->event, reducer->set->items[aggregation]->group);
    if (hits->count == HITS_MAX)
        count_hits(reducer, hits);
    const struct reducer_key key = {aggregation, start_us, group->text, group->bytes, group->hash};
    struct aggregate *row = reducer_take_row(reducer, partition, &key);
    row->touched = true;
    __builtin_prefetch(row->cells + CELLS_PER_LINE);
    hits->rows[hits->count] = row;
    hits->late[hits->count++] = late;
}

static const char *too_late(struct reducer *reducer, int aggregation, bool pruned)
{
    snprintf(reducer->reason, sizeof(reducer->reason),
             "the event came too late: its window of %s %s", reducer->set->items[aggregation]->name,
             pruned ? "was pruned" : "had ended, and the allowed lateness after it");
    return reducer->reason;
}

/* Counts the event where it belongs. */
static void count_event(struct reducer *reducer, struct reducer_partition *partition,
                        int64_t watermark_us, struct reducer_outcome *outcome)
{
    struct hits hits;
    hits.count = 0;
    outcome->verdict = reducer->event.counts ? RECORD_COUNTED : RECORD_IGNORED;
    prefetch_slots(reducer, partition, watermark_us);
    for (uint64_t counts = reducer->event.counts; counts; counts &= counts - 1) {
        int number = __builtin_ctzll(counts);
        int kind = reducer->set->items[number]->window;
        if (!reducer->set->windows[kind].windowed) {
            add_hit(reducer, partition, number, 0, false, &hits);
            continue;
        }
        const struct reducer_windows *windows = windows_of(reducer, kind, watermark_us);
        for (int i = 0; i < windows->count; i++) {
            int64_t start_us = windows->newest_us - i * reducer->set->windows[kind].hop_us;
            bool pruned = window_is_pruned(reducer, number, start_us);
            enum window_arrival arrival = pruned ? WINDOW_TOO_LATE : windows->arrivals[i];
            if (arrival == WINDOW_TOO_LATE && outcome->verdict != RECORD_TOO_LATE)
                outcome->reason = too_late(reducer, number, pruned);
            if (arrival == WINDOW_TOO_LATE)
                outcome->verdict = RECORD_TOO_LATE;
            else
                add_hit(reducer, partition, number, start_us, arrival == WINDOW_LATE, &hits);
            if (arrival == WINDOW_LATE && outcome->verdict == RECORD_COUNTED)
                outcome->verdict = RECORD_LATE;
        }
    }
    count_hits(reducer, &hits);
}

/* A database that was copied or restored goes on with a new lane ("incarnation.shard"), whose first record in the
 * partition names a number of the old one. Only when exactly that was the last one seen of an older lane of the
 * shard is nothing missing: with a higher one records were lost, with a lower one it is not known. */
static bool follows_older_lane(const struct reducer_partition *partition,
                               const struct reducer_record *record, int64_t previous)
{
    const char *shard = memrchr(record->lane, '.', record->lane_bytes);
    if (!shard)
        return false;
    size_t shard_bytes = (size_t)(record->lane + record->lane_bytes - shard);
    int64_t incarnation = read_seq(record->lane, record->lane_bytes - shard_bytes);
    for (size_t i = 0; i < partition->lanes_capacity; i++) {
        const struct reducer_lane *lane = &partition->lanes[i];
        if (lane->last_seq != previous || lane->bytes <= shard_bytes ||
            !plain_same(lane->name + lane->bytes - shard_bytes, shard, shard_bytes))
            continue;
        int64_t older = read_seq(lane->name, lane->bytes - shard_bytes);
        if (older >= 0 && older < incarnation)
            return true;
    }
    return false;
}

/* Lanes begin with seq 1, so a prev_seq of 0 says that there was none before. */
static bool proves_gap(const struct reducer_partition *partition,
                       const struct reducer_record *record, const struct identity *identity)
{
    int64_t seen = identity->last_seq > 0 ? identity->last_seq : 0;
    int64_t previous = read_seq(record->prev_seq, record->prev_seq_bytes);
    return identity->has_lane && previous > seen &&
           (identity->lane || !follows_older_lane(partition, record, previous));
}

/* The broker's or the producer's word: anything can stand there. 0: it says nothing. */
static int64_t time_of_record(int64_t timestamp_ms)
{
    if (timestamp_ms < 0)
        return 0;
    return timestamp_ms > INSTANT_LAST_US / 1000 ? INSTANT_LAST_US : timestamp_ms * 1000;
}

/* What the record says; NULL when it was understood. */
static const char *read_event(struct reducer *reducer, const struct reducer_partition *partition,
                              const struct reducer_record *record)
{
    const struct event_record event = {
        .offset = record->offset,
        .judging = partition->counting | partition->judging,
        .timestamp_us = time_of_record(record->timestamp_ms),
        .key = record->key,
        .key_bytes = record->key_bytes,
        .value = record->value,
        .value_bytes = record->value_bytes,
        .values = record->values,
        .fault = record->fault,
    };
    const char *reason = event_read(&reducer->event, &event);
    reducer->event.counts &= partition->counting;
    reducer->event.invalid &= partition->counting;
    return reason;
}

struct reducer_outcome reducer_record(struct reducer *reducer, const struct reducer_record *record)
{
    struct reducer_outcome outcome = {.verdict = RECORD_SKIPPED};
    struct reducer_partition *partition =
        record->partition >= 0 && record->partition < PARTITIONS_MAX
            ? reducer->partitions[record->partition]
            : NULL;
    if (!partition || record->offset < partition->next_offset)
        return outcome;
    struct identity identity = identify(partition, record);
    if (identity.has_lane && identity.seq <= identity.last_seq) {
        advance(partition, record, &identity);
        outcome.verdict = RECORD_REPEAT;
        return outcome;
    }
    outcome.reason = identity.fault ? identity.fault : read_event(reducer, partition, record);
    int64_t watermark_us = reducer_watermark(reducer, partition);
    if (!outcome.reason && (needs_window(reducer, partition, watermark_us, &outcome) ||
                            needs_rows(reducer, partition, watermark_us, &outcome)))
        return outcome;
    outcome.missing = proves_gap(partition, record, &identity);
    outcome.seen_seq = identity.last_seq > 0 ? identity.last_seq : 0;
    advance(partition, record, &identity);
    if (outcome.reason) {
        outcome.verdict = RECORD_MALFORMED;
        return outcome;
    }
    outcome.invalid = reducer->event.invalid != 0;
    if (reducer->event.time_us > partition->newest_us)
        partition->newest_us = reducer->event.time_us;
    count_event(reducer, partition, watermark_us, &outcome);
    return outcome;
}

/* Whatever the watermark says: every window still takes the event. */
static void judge_as_late(struct reducer *reducer)
{
    for (uint64_t counts = reducer->event.counts; counts; counts &= counts - 1) {
        int kind = reducer->set->items[__builtin_ctzll(counts)]->window;
        if (!reducer->set->windows[kind].windowed)
            continue;
        (void)windows_of(reducer, kind, WINDOW_NO_TIME);
        for (int i = 0; i < reducer->windows[kind].count; i++)
            reducer->windows[kind].arrivals[i] = WINDOW_LATE;
    }
}

struct reducer_outcome reducer_missed(struct reducer *reducer, const struct reducer_record *record)
{
    struct reducer_outcome outcome = {.verdict = RECORD_SKIPPED};
    struct reducer_partition *partition = reducer->partitions[record->partition];
    outcome.reason = read_event(reducer, partition, record);
    if (outcome.reason) {
        outcome.verdict = RECORD_MALFORMED;
        return outcome;
    }
    judge_as_late(reducer);
    if (!needs_window(reducer, partition, WINDOW_NO_TIME, &outcome))
        count_event(reducer, partition, WINDOW_NO_TIME, &outcome);
    return outcome;
}

bool reducer_want(struct reducer *reducer, const struct reducer_record *record,
                  struct reducer_wanted *wanted)
{
    struct reducer_partition *partition =
        record->partition >= 0 && record->partition < PARTITIONS_MAX
            ? reducer->partitions[record->partition]
            : NULL;
    if (wanted->count >= WANTED_MAX)
        return false;
    if (!partition || partition->away == 0 || record->offset < partition->next_offset)
        return true;
    struct identity identity = identify(partition, record);
    if (identity.fault || (identity.has_lane && identity.seq <= identity.last_seq) ||
        read_event(reducer, partition, record))
        return true;
    (void)find_away(reducer, partition, reducer_watermark(reducer, partition), wanted);
    return true;
}

/* What a set that is stored in pieces has now; a smaller one stands in its row. */
static void note_stored(struct aggregate *row)
{
    for (int i = 0; i < row->definition->cells_count; i++) {
        struct aggregate_set *set =
            row->definition->cells[i].kind == CELL_DISTINCT ? row->cells[i].set : NULL;
        if (set && set->pieces > 0)
            distinct_mark_stored(&set->values);
    }
}

void reducer_snapshot_taken(struct reducer *reducer)
{
    reducer->snapshot++;
    for (size_t i = 0; i < reducer->dirty_count; i++) {
        struct aggregate *row = reducer->dirty[i];
        row->dirty = false;
        row->stored = true;
        row->snapshot = reducer->snapshot;
        note_stored(row);
        reducer_row_filled(reducer, row);
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
