/* SPDX-License-Identifier: MIT */
#include "audit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/murmur2.h"
#include "orchestrator/core/workflow.h"

#define PAGE_ROWS 5000

/* -- opening -- */

/* Partitions of the log are one of each month, from the month before the first start on: when the oldest one
 * begins later, older ones were dropped. */
static const char sql_identity[] =
    "SELECT i.incarnation, i.shards::int, "
    "coalesce((SELECT (extract(epoch FROM to_date(right(min(c.relname), 6), 'YYYYMM')::timestamp "
    "AT TIME ZONE 'UTC') * 1000)::bigint FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid "
    "WHERE h.inhparent = 'workflow_events'::regclass "
    "HAVING to_date(right(min(c.relname), 6), 'YYYYMM')::timestamp AT TIME ZONE 'UTC' > "
    "i.created_at), 0)::bigint, "
    "(SELECT min(created_at) FROM workflow_executions), clock_timestamp() FROM bridge_identity i";

enum error_code audit_open_log(struct audit *audit, struct error *error)
{
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_query(audit->postgres, sql_identity, NULL, 0, &rows, error);
    if (!code) {
        int64_t now_us = postgres_rows_instant(rows, 0, 4);
        int64_t from_us =
            postgres_rows_null(rows, 0, 3) ? now_us : postgres_rows_instant(rows, 0, 3);
        audit->incarnation = postgres_rows_int(rows, 0, 0);
        audit->shards = (int)postgres_rows_int(rows, 0, 1);
        audit->oldest_ms = postgres_rows_int(rows, 0, 2);
        audit->lanes = must_calloc((unsigned long)audit->shards, sizeof *audit->lanes);
        activity_init(&audit->activity, audit->shards, from_us < now_us ? from_us : now_us, now_us);
        if (audit->oldest_ms > 0)
            audit_unchecked(audit, "months of the log were dropped: numbers of lanes and workflows "
                                   "of that time are not missed");
    }
    postgres_rows_free(rows);
    return code;
}

static enum error_code ask_lanes(struct audit *audit, bool after, struct error *error)
{
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_query(
        audit->postgres, "SELECT shard::int, next_seq, published_seq, cluster_id FROM shards", NULL,
        0, &rows, error);
    for (int i = 0; !code && i < postgres_rows_count(rows); i++) {
        int64_t shard = postgres_rows_int(rows, i, 0);
        size_t bytes = 0;
        const char *cluster = postgres_rows_text(rows, i, 3, &bytes);
        bool same = bytes == strlen(audit->rebuild.cluster_id) &&
                    memcmp(cluster, audit->rebuild.cluster_id, bytes) == 0;
        int64_t published = same ? postgres_rows_int(rows, i, 2) : 0;
        if (shard < 0 || shard >= audit->shards)
            continue;
        struct audit_lane *lane = &audit->lanes[shard];
        lane->next_seq = postgres_rows_int(rows, i, 1);
        lane->published_seq = published;
        if (!after)
            lane->demanded_seq = published;
    }
    postgres_rows_free(rows);
    return code;
}

enum error_code audit_ask_published(struct audit *audit, struct error *error)
{
    return ask_lanes(audit, false, error);
}

/* -- workflows -- */

static const char sql_workflows[] =
    "SELECT p.id, p.shard::int, p.run::int, p.namespace, p.current_state, p.created_at, "
    "p.completed_at, t.ends, t.says, e.records, e.last_n FROM "
    "(SELECT id, shard, run, namespace, current_state, created_at, completed_at "
    "FROM workflow_executions WHERE id > $1 ORDER BY id LIMIT $2) p "
    "LEFT JOIN LATERAL (SELECT count(*) AS ends, "
    "coalesce(bool_or(f.run = p.run AND f.to_state = p.current_state), false) AS says "
    "FROM fsm_transitions f WHERE f.entity_id = p.id "
    "AND f.to_state IN ('COMPLETED', 'FAILED', 'CANCELLED')) t ON true "
    "LEFT JOIN LATERAL (SELECT count(*) AS records, coalesce(max(w.n), -1) AS last_n "
    "FROM workflow_events w WHERE w.workflow_id = p.id) e ON true ORDER BY p.id";

static const char sql_count[] = "SELECT count(*) FROM workflow_executions";
/* A key of which the workflow is gone; ids of dropped months are not looked for. */
static const char sql_keys[] =
    "SELECT count(*), min(k.key) FROM workflow_keys k WHERE k.workflow_id >= $1 AND NOT EXISTS "
    "(SELECT FROM workflow_executions e WHERE e.id = k.workflow_id)";

static void check_ends(struct audit *audit, const struct postgres_rows *rows, int row,
                       bool has_ended, const char *id)
{
    int64_t run = postgres_rows_int(rows, row, 2), ends = postgres_rows_int(rows, row, 7);
    int64_t expected = has_ended ? run : run - 1;
    bool says = postgres_rows_bool(rows, row, 8);
    if (ends > expected)
        audit_found(audit, AUDIT_DOUBLED, 1,
                    "workflow %s ended %" PRId64 " times in %" PRId64 " runs", id, ends, expected);
    else if (ends < expected || says != has_ended)
        audit_found(audit, AUDIT_BROKEN, 1, "workflow %s: its state and its transitions do not fit",
                    id);
    if (postgres_rows_int(rows, row, 9) != postgres_rows_int(rows, row, 10) + 1)
        audit_found(audit, AUDIT_BROKEN, 1, "workflow %s: a record of it is missing", id);
    else if (postgres_rows_int(rows, row, 9) == 0)
        audit_found(audit, AUDIT_BROKEN, 1, "workflow %s has no records", id);
}

static void check_ledger(struct audit *audit, const struct postgres_rows *rows, int row,
                         const struct uuid *id, enum workflow_state state)
{
    struct audit_entry *entry = audit_ledger_find(audit, id);
    char text[UUID_TEXT_BYTES];
    size_t bytes = 0;
    uuid_format(id, text);
    if (entry == NULL) {
        const char *namespace = postgres_rows_text(rows, row, 3, &bytes);
        if (audit->complete && audit_ledger_knows_namespace(audit, namespace, bytes))
            audit_found(audit, AUDIT_DOUBLED, 1, "workflow %s is in no line of the ledger", text);
        return;
    }
    entry->seen = true;
    audit->ledger_finished += workflow_state_ended(state);
    /* A retry opens a new run: what was told of one before may differ. */
    if (entry->state != WORKFLOW_NONE && entry->state != state &&
        postgres_rows_int(rows, row, 2) == 1)
        audit_found(audit, AUDIT_OTHERWISE, 1, "workflow %s was told to be %s and is %s", text,
                    workflow_state_name((enum workflow_state)entry->state),
                    workflow_state_name(state));
}

static void take_workflow(struct audit *audit, const struct postgres_rows *rows, int row)
{
    struct uuid id = postgres_rows_uuid(rows, row, 0);
    char text[UUID_TEXT_BYTES], name[NAME_BYTES_MAX + 1] = "";
    size_t bytes = 0;
    const char *state_text = postgres_rows_text(rows, row, 4, &bytes);
    if (bytes <= NAME_BYTES_MAX)
        memcpy(name, state_text, bytes);
    enum workflow_state state = workflow_state_of_name(name);
    bool has_ended = workflow_state_ended(state);
    int shard = (int)postgres_rows_int(rows, row, 1);
    uuid_format(&id, text);
    audit->workflows++;
    audit->finished += has_ended;
    if (has_ended == postgres_rows_null(rows, row, 6))
        audit_found(audit, AUDIT_BROKEN, 1, "workflow %s: state and end do not fit", text);
    if (!has_ended)
        audit_found(audit, AUDIT_UNFINISHED, 1, "workflow %s is %s", text, name);
    if (shard >= 0 && shard < audit->shards)
        activity_lived(&audit->activity, shard, postgres_rows_instant(rows, row, 5),
                       postgres_rows_null(rows, row, 6) ? INT64_MAX
                                                        : postgres_rows_instant(rows, row, 6));
    check_ends(audit, rows, row, has_ended, text);
    if (audit->has_ledger)
        check_ledger(audit, rows, row, &id, state);
}

static enum error_code check_keys(struct audit *audit, struct error *error)
{
    struct postgres_value oldest = {0};
    struct postgres_rows *rows = NULL;
    static const uint8_t nothing[10] = {0};
    struct uuid floor = uuid_v7(audit->oldest_ms, nothing);
    size_t bytes = 0;
    memset(floor.octets + 6, 0, 10);
    postgres_set_uuid(&oldest, &floor);
    enum error_code code = postgres_query(audit->postgres, sql_keys, &oldest, 1, &rows, error);
    if (!code && postgres_rows_int(rows, 0, 0) > 0) {
        const char *key = postgres_rows_text(rows, 0, 1, &bytes);
        audit_found(audit, AUDIT_LOST, postgres_rows_int(rows, 0, 0),
                    "the key %.*s belongs to a workflow that is not there", (int)bytes, key);
    }
    postgres_rows_free(rows);
    postgres_value_fini(&oldest);
    return code;
}

enum error_code audit_read_workflows(struct audit *audit, struct error *error)
{
    struct postgres_value values[2] = {{0}};
    struct postgres_rows *rows = NULL;
    struct uuid last = {{0}};
    int64_t total = 0;
    int count = PAGE_ROWS;
    enum error_code code = postgres_query(audit->postgres, sql_count, NULL, 0, &rows, error);
    if (!code)
        total = postgres_rows_int(rows, 0, 0);
    postgres_rows_free(rows);
    progress_start(&audit->progress, audit->ctl);
    while (!code && count == PAGE_ROWS) {
        rows = NULL;
        postgres_set_uuid(&values[0], &last);
        postgres_set_int4(&values[1], PAGE_ROWS);
        code = postgres_query(audit->postgres, sql_workflows, values, 2, &rows, error);
        count = code ? 0 : postgres_rows_count(rows);
        for (int i = 0; i < count; i++)
            take_workflow(audit, rows, i);
        if (count > 0)
            last = postgres_rows_uuid(rows, count - 1, 0);
        postgres_rows_free(rows);
        progress_draw(&audit->progress, audit->workflows, total, audit->found[AUDIT_BROKEN].count);
    }
    progress_end(&audit->progress);
    postgres_values_fini(values, 2);
    return code ? code : check_keys(audit, error);
}

/* -- lanes -- */

static const char sql_lane[] =
    "SELECT seq + seq_count, workflow_id, n, seq, seq_count::int, run::int, at "
    "FROM workflow_events WHERE shard = $1 AND seq_count > 0 AND seq + seq_count >= $2 "
    "AND (seq + seq_count, workflow_id, n) > ($2, $3, $4) "
    "ORDER BY seq + seq_count, workflow_id, n LIMIT $5";

struct lane_reading {
    int shard;
    int64_t expected_seq;
    int64_t end; /* of the last row, with its workflow and n: where the next page begins */
    struct uuid id;
    int32_t n;
};

/* Whether the broker may have had the event and dropped it. */
static bool may_be_dropped(const struct audit *audit, const struct lane_check *check,
                           const struct uuid *id, int64_t seq)
{
    char key[UUID_TEXT_BYTES];
    uuid_format(id, key);
    int32_t partition = kafka_partition_of_key(key, UUID_TEXT_BYTES - 1, audit->rebuild.partitions);
    int64_t first = check->first_seq[partition];
    return audit->dropped[partition] && (first == 0 || seq < first);
}

static void check_event(struct audit *audit, int shard, const struct uuid *workflow_id, int64_t seq,
                        const struct uuid *event_id)
{
    struct audit_lane *lane = &audit->lanes[shard];
    char text[UUID_TEXT_BYTES];
    uuid_format(workflow_id, text);
    audit->events++;
    switch (lane_check_expect(&lane->check, seq, event_id)) {
    case LANE_FIT_SEEN:
        break;
    case LANE_FIT_OTHER:
        audit_found(audit, AUDIT_EVENTS_DOUBLED, 1,
                    "lane %d, number %" PRId64 " is another event on the topic than in the log "
                    "(workflow %s)",
                    shard, seq, text);
        break;
    case LANE_FIT_MISSING:
        if (seq >= LANE_CHECK_EVENTS_MAX || may_be_dropped(audit, &lane->check, workflow_id, seq))
            audit->unknown++;
        else if (seq <= lane->demanded_seq)
            audit_found(audit, AUDIT_MISSING, 1,
                        "lane %d, number %" PRId64 " (workflow %s) is not on the topic", shard, seq,
                        text);
        break;
    }
}

static void take_lane_row(struct audit *audit, struct lane_reading *reading,
                          const struct postgres_rows *rows, int row)
{
    int64_t seq = postgres_rows_int(rows, row, 3), count = postgres_rows_int(rows, row, 4);
    int16_t run = (int16_t)postgres_rows_int(rows, row, 5);
    int64_t hole = seq - reading->expected_seq;
    reading->end = postgres_rows_int(rows, row, 0);
    reading->id = postgres_rows_uuid(rows, row, 1);
    reading->n = (int32_t)postgres_rows_int(rows, row, 2);
    activity_moved(&audit->activity, reading->shard, postgres_rows_instant(rows, row, 6));
    if (hole > 0 && audit->oldest_ms > 0)
        audit->unknown += hole;
    else if (hole != 0)
        audit_found(audit, AUDIT_NUMBERS, hole > 0 ? hole : -hole,
                    "lane %d: numbers from %" PRId64 " are %s", reading->shard,
                    hole > 0 ? reading->expected_seq : seq,
                    hole > 0 ? "not in the log" : "given twice");
    for (int64_t i = 0; i < count; i++) {
        struct uuid id = workflow_event_id_of(&reading->id, run, reading->n, (size_t)i);
        check_event(audit, reading->shard, &reading->id, seq + i, &id);
    }
    if (reading->end > reading->expected_seq)
        reading->expected_seq = reading->end;
}

static enum error_code read_lane(struct audit *audit, int shard, struct error *error)
{
    struct lane_reading reading = {.shard = shard, .expected_seq = 1};
    struct audit_lane *lane = &audit->lanes[shard];
    struct postgres_value values[5] = {{0}};
    int count = PAGE_ROWS, taken = PAGE_ROWS;
    enum error_code code = ERR_OK;
    while (!code && taken == PAGE_ROWS) {
        struct postgres_rows *rows = NULL;
        postgres_set_int2(&values[0], (int16_t)shard);
        postgres_set_int8(&values[1], reading.end);
        postgres_set_uuid(&values[2], &reading.id);
        postgres_set_int4(&values[3], reading.n);
        postgres_set_int4(&values[4], PAGE_ROWS);
        code = postgres_query(audit->postgres, sql_lane, values, 5, &rows, error);
        count = code ? 0 : postgres_rows_count(rows);
        for (taken = 0; taken < count && postgres_rows_int(rows, taken, 3) < lane->next_seq;
             taken++)
            take_lane_row(audit, &reading, rows, taken);
        postgres_rows_free(rows);
        progress_draw(&audit->progress, audit->events, audit->events_total,
                      audit->found[AUDIT_MISSING].count);
    }
    postgres_values_fini(values, 5);
    if (!code && reading.expected_seq < lane->next_seq && audit->oldest_ms == 0)
        audit_found(audit, AUDIT_NUMBERS, lane->next_seq - reading.expected_seq,
                    "lane %d: numbers from %" PRId64 " are not in the log", shard,
                    reading.expected_seq);
    return code;
}

enum error_code audit_read_lanes(struct audit *audit, struct error *error)
{
    enum error_code code = ask_lanes(audit, true, error);
    for (int shard = 0; shard < audit->shards; shard++)
        audit->events_total += audit->lanes[shard].next_seq - 1;
    progress_start(&audit->progress, audit->ctl);
    for (int shard = 0; shard < audit->shards && !code; shard++) {
        struct audit_lane *lane = &audit->lanes[shard];
        int64_t waiting = lane->next_seq - 1 - lane->published_seq;
        code = read_lane(audit, shard, error);
        if (!code && lane->check.numbers > 0 && audit->oldest_ms > 0)
            audit->unknown += lane->check.numbers;
        else if (!code && lane->check.numbers > 0)
            audit_found(audit, AUDIT_UNSAVED, lane->check.numbers, "of lane %d", shard);
        if (!code && waiting > 0)
            audit_found(audit, AUDIT_UNPUBLISHED, waiting, "lane %d, numbers from %" PRId64, shard,
                        lane->published_seq + 1);
        lane_check_fini(&lane->check);
    }
    progress_end(&audit->progress);
    if (!code)
        activity_close(&audit->activity);
    return code;
}
