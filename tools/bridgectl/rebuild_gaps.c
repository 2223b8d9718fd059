/* SPDX-License-Identifier: MIT */
/* rebuild_gaps.c - which events were in a gap (reducer/core/missing.h), made again from the transition log as
 * the orchestrator does it, and counted as late ones. */
#include "rebuild.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/murmur2.h"
#include "orchestrator/publisher_event.h"
#include "orchestrator/registry.h"
#include "orchestrator/store.h"
#include "reducer/core/missing.h"

#define OFFSETS_TIMEOUT_MS 10000
#define TOLD_BYTES 320
#define READ_CHUNK 500 /* records of the log at a time */

/* An event that was in the gap. */
struct lost_event {
    struct uuid workflow_id;
    int64_t at_us;
    size_t offset, bytes; /* of its envelope, in texts */
};

/* As it is noted. */
struct piece {
    int64_t from_offset, to_offset;
};

/* Gaps that follow one another without a record between them are one. */
struct gap {
    int32_t partition;
    int64_t from_offset, to_offset;
    struct piece *pieces;
    size_t pieces_count;
    struct missing missing;
    struct lost_event *events;
    size_t events_count, events_capacity;
    struct buffer texts;
    int64_t oldest_us; /* of the events */
    int64_t lost;      /* numbers that the log does not have any more */
};

struct filling {
    struct rebuild *rebuild;
    struct postgres *log;
    struct registry *registry;
    struct workflow_environment environment;
    int64_t incarnation;
    struct gap *gaps;
    size_t count;
};

static void gap_fini(struct gap *gap)
{
    missing_fini(&gap->missing);
    buffer_fini(&gap->texts);
    free(gap->events);
    free(gap->pieces);
}

/* -- what was noted -- */

static struct gap *gap_of(struct filling *filling, int32_t partition, int64_t from, int64_t to)
{
    struct gap *last = filling->count > 0 ? &filling->gaps[filling->count - 1] : NULL;
    if (last && last->partition == partition &&
        last->pieces[last->pieces_count - 1].from_offset == from)
        return last;
    if (!last || last->partition != partition || last->to_offset != from) {
        filling->gaps = must_realloc(filling->gaps, (filling->count + 1) * sizeof(*filling->gaps));
        last = &filling->gaps[filling->count++];
        *last = (struct gap){.partition = partition, .from_offset = from, .oldest_us = INT64_MAX};
    }
    last->pieces = must_realloc(last->pieces, (last->pieces_count + 1) * sizeof(*last->pieces));
    last->pieces[last->pieces_count++] = (struct piece){from, to};
    last->to_offset = to;
    return last;
}

static enum error_code read_gaps(struct filling *filling, struct error *error)
{
    struct postgres_rows *rows = NULL;
    enum error_code code = store_gaps(filling->rebuild->store, &rows, error);
    for (int i = 0; !code && i < postgres_rows_count(rows); i++) {
        size_t bytes = 0;
        const char *lane = postgres_rows_text(rows, i, 3, &bytes);
        struct gap *gap = gap_of(filling, (int32_t)postgres_rows_int(rows, i, 0),
                                 postgres_rows_int(rows, i, 1), postgres_rows_int(rows, i, 2));
        if (lane)
            missing_before(&gap->missing, lane, bytes, postgres_rows_int(rows, i, 4));
    }
    postgres_rows_free(rows);
    return code;
}

static enum error_code open_log(struct filling *filling, struct error *error)
{
    const struct config *config = filling->rebuild->ctl->config;
    struct workflow_environment *environment = &filling->environment;
    struct buffer faults = {0};
    struct postgres_rows *rows = NULL;
    size_t bytes = 0;
    environment->timeout_ms = config->orchestrator_workflow_timeout_ms;
    filling->log = postgres_new(filling->rebuild->database_url, "bridgectl", STORE_SETTINGS);
    enum error_code code = registry_open(&filling->registry, config->contracts_dir, &faults);
    if (code)
        error_set(error, code, "the contracts in %s are not valid: %s", config->contracts_dir,
                  buffer_text(&faults));
    if (!code)
        code = postgres_query(filling->log, "SELECT incarnation, token_secret FROM bridge_identity",
                              NULL, 0, &rows, error);
    if (!code) {
        const char *secret = postgres_rows_text(rows, 0, 1, &bytes);
        filling->incarnation = postgres_rows_int(rows, 0, 0);
        if (secret && bytes == sizeof(environment->token_secret))
            memcpy(environment->token_secret, secret, bytes);
    }
    postgres_rows_free(rows);
    buffer_fini(&faults);
    return code;
}

/* -- which numbers are missing -- */

/* Before the end of the topic is asked for: what is published by now lies before it. */
static enum error_code ask_published(struct filling *filling, struct gap *gap, struct error *error)
{
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_query(
        filling->log, "SELECT shard, next_seq, published_seq, cluster_id FROM shards", NULL, 0,
        &rows, error);
    for (int i = 0; !code && i < postgres_rows_count(rows); i++) {
        char name[LANE_BYTES_MAX + 1];
        size_t bytes;
        const char *cluster = postgres_rows_text(rows, i, 3, &bytes);
        bool same = bytes == strlen(filling->rebuild->cluster_id) &&
                    memcmp(cluster, filling->rebuild->cluster_id, bytes) == 0;
        snprintf(name, sizeof(name), "%" PRId64 ".%d", filling->incarnation,
                 (int)postgres_rows_int(rows, i, 0));
        missing_published(&gap->missing, name, strlen(name),
                          same ? postgres_rows_int(rows, i, 2) : 0,
                          postgres_rows_int(rows, i, 1) - 1);
    }
    postgres_rows_free(rows);
    return code;
}

static void take_after(void *context, const struct reducer_record *record)
{
    struct gap *gap = context;
    int64_t seq = reducer_record_seq(record);
    if (record->lane && seq > 0)
        missing_after(&gap->missing, record->lane, record->lane_bytes, seq);
}

/* The shard of one of this database's lanes, else -1. */
static int16_t shard_of(const struct filling *filling, const char *lane)
{
    char *end;
    if (strtoll(lane, &end, 10) != filling->incarnation || *end != '.')
        return -1;
    return (int16_t)strtol(end + 1, NULL, 10);
}

/* -- their events, from the log -- */

struct reading {
    struct filling *filling;
    struct publisher_events events;
    int64_t after_seq, last_seq;
};

static void on_record(void *context, const struct workflow *workflow,
                      const struct workflow_record *record, const struct workflow_outcome *outcome,
                      int64_t seq)
{
    struct reading *reading = context;
    if (seq + (int64_t)outcome->events_count > reading->after_seq + 1 && seq <= reading->last_seq)
        publisher_events_add(&reading->events, "bridgectl",
                             reading->filling->rebuild->ctl->config->environment, workflow, record,
                             outcome, seq);
}

static void keep_event(struct gap *gap, const struct publisher_event *event, const char *value)
{
    if (gap->events_count == gap->events_capacity) {
        gap->events_capacity = gap->events_capacity ? gap->events_capacity * 2 : 64;
        gap->events = must_realloc(gap->events, gap->events_capacity * sizeof(*gap->events));
    }
    gap->events[gap->events_count++] = (struct lost_event){.workflow_id = event->workflow_id,
                                                           .at_us = event->at_us,
                                                           .offset = gap->texts.bytes,
                                                           .bytes = event->value_bytes};
    buffer_append(&gap->texts, value, event->value_bytes);
    if (event->at_us < gap->oldest_us)
        gap->oldest_us = event->at_us;
}

/* Of what was read up to last_seq: the events of this partition. Gives how many numbers there were in all. */
static int64_t keep_events(const struct filling *filling, struct gap *gap,
                           const struct reading *reading, int64_t last_seq)
{
    int64_t found = 0;
    for (size_t i = 0; i < reading->events.count; i++) {
        const struct publisher_event *event = &reading->events.items[i];
        char key[UUID_TEXT_BYTES];
        if (event->seq <= reading->after_seq || event->seq > last_seq)
            continue;
        found++;
        uuid_format(&event->workflow_id, key);
        if (kafka_partition_of_key(key, UUID_TEXT_BYTES - 1, filling->rebuild->partitions) ==
            gap->partition)
            keep_event(gap, event, reading->events.values.data + event->value_offset);
    }
    return found;
}

static enum error_code read_range(struct filling *filling, struct gap *gap, int16_t shard,
                                  int64_t first, int64_t last, struct error *error)
{
    struct reading reading = {.filling = filling, .after_seq = first - 1, .last_seq = last};
    enum error_code code = ERR_OK;
    int64_t found = 0;
    while (!code && reading.after_seq < last) {
        int64_t read_up_to = 0;
        publisher_events_clear(&reading.events);
        code =
            store_read_lane(filling->log, filling->registry, shard, reading.after_seq, READ_CHUNK,
                            &filling->environment, on_record, &reading, &read_up_to, error);
        if (code || read_up_to <= reading.after_seq)
            break;
        int64_t up_to = read_up_to < last ? read_up_to : last;
        found += keep_events(filling, gap, &reading, up_to);
        reading.after_seq = up_to;
    }
    publisher_events_fini(&reading.events);
    gap->lost += code ? 0 : last - first + 1 - found;
    return code;
}

/* Numbers that were in the gap and that this database's log can tell of. */
static bool range_of(const struct filling *filling, const struct gap *gap,
                     const struct missing_lane *lane, int64_t *first, int64_t *last)
{
    return missing_range(lane, first, last) && shard_of(filling, lane->name) >= 0 &&
           !missing_is_renamed(&gap->missing, lane);
}

static enum error_code read_events(struct filling *filling, struct gap *gap, struct error *error)
{
    enum error_code code = ERR_OK;
    for (size_t i = 0; i < gap->missing.count && !code; i++) {
        const struct missing_lane *lane = &gap->missing.lanes[i];
        int64_t first, last;
        if (!missing_range(lane, &first, &last))
            continue;
        if (range_of(filling, gap, lane, &first, &last))
            code = read_range(filling, gap, shard_of(filling, lane->name), first, last, error);
        else
            gap->lost += last - first + 1;
    }
    return code;
}

/* -- counting them -- */

static void count_events(const struct gap *gap, struct reducer *reducer)
{
    for (size_t i = 0; i < gap->events_count; i++) {
        const struct lost_event *event = &gap->events[i];
        char key[UUID_TEXT_BYTES];
        uuid_format(&event->workflow_id, key);
        const struct reducer_record record = {
            .partition = gap->partition,
            .offset = gap->from_offset,
            .timestamp_ms = event->at_us / 1000,
            .key = key,
            .key_bytes = UUID_TEXT_BYTES - 1,
            .value = gap->texts.data + event->offset,
            .value_bytes = event->bytes,
        };
        (void)reducer_missed(reducer, &record);
    }
}

/* Gives from where each aggregation is counted, and a reason not to fill the gap, or NULL. */
static enum error_code look_once_more(struct filling *filling, const struct gap *gap,
                                      int64_t begins[AGGREGATIONS_MAX], const char **unknown,
                                      struct error *error)
{
    struct store *store = filling->rebuild->store;
    const struct aggregation_set *set = filling->rebuild->set;
    enum error_code code = store_begins(store, gap->partition, begins, error);
    bool stands = true;
    for (size_t i = 0; i < gap->pieces_count && stands && !code; i++)
        code = store_gap_stands(store, gap->partition, gap->pieces[i].from_offset,
                                gap->pieces[i].to_offset, &stands, error);
    *unknown =
        stands ? NULL : "not filled here: it was filled or set aside meanwhile, or has grown";
    for (int i = 0; i < set->count && stands; i++) {
        if (set->items[i]->backfill && begins[i] == STORE_NOT_COUNTED)
            *unknown = "not filled: reducers are still counting the past of an aggregation; try "
                       "again when they have";
    }
    return code;
}

/* Rows, lanes and the mark that the gap is filled, in one transaction; nothing when *unknown says why not. */
static enum error_code write_gap(struct filling *filling, struct gap *gap, const char **unknown,
                                 struct error *error)
{
    struct store *store = filling->rebuild->store;
    struct store_assignment assignment;
    struct reducer reducer;
    int64_t begins[AGGREGATIONS_MAX];
    rebuild_reducer_init(filling->rebuild, &reducer);
    enum error_code code = store_take_over(store, gap->partition, &assignment, error);
    if (!code)
        code = look_once_more(filling, gap, begins, unknown, error);
    if (!code && !*unknown)
        code = store_load_from(store, &reducer, &assignment, gap->oldest_us, error);
    if (code || *unknown) {
        reducer_fini(&reducer);
        return code;
    }
    struct reducer_partition *partition = reducer.partitions[gap->partition];
    partition->counting = 0;
    for (int i = 0; i < reducer.set->count; i++) {
        if (begins[i] <= gap->from_offset)
            partition->counting |= UINT64_C(1) << i;
    }
    count_events(gap, &reducer);
    for (size_t i = 0; i < gap->missing.count; i++) {
        const struct missing_lane *lane = &gap->missing.lanes[i];
        int64_t first, last;
        if (range_of(filling, gap, lane, &first, &last))
            reducer_raise_lane(partition, lane->name, strlen(lane->name), last);
    }
    partition->dirty = true;
    for (size_t i = 0; i < gap->pieces_count; i++)
        store_fill_gap(store, gap->partition, gap->pieces[i].from_offset, gap->pieces[i].to_offset,
                       i == 0 ? (int64_t)gap->events_count : 0);
    store_snapshot(store, &reducer);
    code = store_commit(store, error);
    store_forget_rebuilt(store);
    reducer_fini(&reducer);
    return code;
}

/* -- one gap -- */

/* Records of the gap that the log tells nothing of; below zero, events too many. */
static int64_t left_out(const struct gap *gap)
{
    return gap->to_offset - gap->from_offset - (int64_t)gap->events_count;
}

static void tell_gap(struct filling *filling, const struct gap *gap, bool filled, const char *told)
{
    struct rebuild_report *report = &filling->rebuild->report;
    struct json *item = json_object();
    json_object_set(item, "partition", json_int(gap->partition));
    json_object_set(item, "from_offset", json_int(gap->from_offset));
    json_object_set(item, "to_offset", json_int(gap->to_offset));
    json_object_set(item, "filled", json_bool(filled));
    json_object_set(item, "events", json_int(filled ? (int64_t)gap->events_count : 0));
    json_object_set(item, "records_left_out", json_int(left_out(gap) > 0 ? left_out(gap) : 0));
    json_object_set(item, "lost_numbers", json_int(gap->lost));
    json_object_set(item, "told", json_text(told));
    json_array_append(report->gaps, item);
    report->gaps_left = report->gaps_left || !filled || gap->lost > 0;
}

/* Why it cannot be told what was in the gap; NULL when it can. */
static const char *unknown_because(const struct gap *gap, int64_t first)
{
    if (first > gap->to_offset)
        return "not filled: the broker has dropped records behind it too, so it cannot be told "
               "which of them were counted";
    for (size_t i = 0; i < gap->missing.count; i++) {
        if (missing_is_unsettled(&gap->missing.lanes[i]))
            return "not filled: some events are recorded and not known to be published yet; try "
                   "again when the orchestrator has published them";
    }
    return NULL;
}

static void tell_disagreement(const struct gap *gap, char *told, size_t capacity)
{
    int64_t records = gap->to_offset - gap->from_offset;
    if (left_out(gap) > 0)
        snprintf(told, capacity,
                 "not filled: %" PRId64 " of its %" PRId64 " records are none that the log tells "
                 "of (of other producers, of a lane with another name, or sent twice); --accept "
                 "leaves them out",
                 left_out(gap), records);
    else
        snprintf(
            told, capacity,
            "not filled: the log has %zu events for its %" PRId64 " records, so some of them "
            "came elsewhere, under another name of their lane, or on a topic that was made anew",
            gap->events_count, records);
}

static void tell_filled(const struct gap *gap, char *told, size_t capacity)
{
    int bytes = snprintf(told, capacity, "%zu events counted from the log", gap->events_count);
    if (left_out(gap) > 0)
        bytes += snprintf(told + bytes, capacity - (size_t)bytes,
                          "; %" PRId64 " records left out that it does not tell of", left_out(gap));
    if (gap->lost > 0)
        snprintf(told + bytes, capacity - (size_t)bytes,
                 "; %" PRId64
                 " numbers of its lanes are not in the log (any more), and some of them "
                 "may have been here",
                 gap->lost);
}

static enum error_code fill_gap(struct filling *filling, struct gap *gap, struct error *error)
{
    struct rebuild *rebuild = filling->rebuild;
    int64_t first, end;
    char told[TOLD_BYTES];
    enum error_code code = ask_published(filling, gap, error);
    if (!code)
        code = kafka_offsets(rebuild->consumer, gap->partition, OFFSETS_TIMEOUT_MS, &first, &end,
                             error);
    if (!code && first <= gap->to_offset)
        code = rebuild_read(rebuild, gap->partition, gap->to_offset, end, take_after, gap, error);
    if (code)
        return code;
    const char *unknown = unknown_because(gap, first);
    if (!unknown)
        code = read_events(filling, gap, error);
    if (!unknown && !code && (left_out(gap) < 0 || (left_out(gap) > 0 && !rebuild->accepts))) {
        tell_disagreement(gap, told, sizeof(told));
        unknown = told;
    }
    if (!unknown && !code)
        code = write_gap(filling, gap, &unknown, error);
    for (int tries = 1; code == ERR_FENCED && tries < REBUILD_TRIES_MAX; tries++)
        code = write_gap(filling, gap, &unknown, error);
    if (code)
        return code;
    if (!unknown)
        tell_filled(gap, told, sizeof(told));
    tell_gap(filling, gap, unknown == NULL, unknown ? unknown : told);
    return ERR_OK;
}

enum error_code rebuild_fill_gaps(struct rebuild *rebuild, struct error *error)
{
    struct filling filling = {.rebuild = rebuild};
    int64_t elsewhere = 0;
    rebuild->report.gaps = json_array();
    enum error_code code = read_gaps(&filling, error);
    if (!code)
        code = store_gaps_elsewhere(rebuild->store, &elsewhere, error);
    if (!code && elsewhere > 0)
        fprintf(stderr,
                "%" PRId64 " gaps were noted on brokers that are gone and cannot be filled: it "
                "cannot be told where they ended\n",
                elsewhere);
    if (!code && filling.count > 0)
        code = open_log(&filling, error);
    progress_start(&rebuild->progress, rebuild->ctl);
    for (size_t i = 0; i < filling.count && !code; i++)
        code = fill_gap(&filling, &filling.gaps[i], error);
    progress_end(&rebuild->progress);
    for (size_t i = 0; i < filling.count; i++)
        gap_fini(&filling.gaps[i]);
    free(filling.gaps);
    registry_free(filling.registry);
    postgres_free(filling.log);
    return code;
}
