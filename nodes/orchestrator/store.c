/* SPDX-License-Identifier: MIT */
#include "orchestrator/store.h"

#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/log.h"

/* -- writing -- */

static const char sql_fence[] = "SELECT shard_fence($1, $2, $3, $4, $5, $6)";
static const char sql_keys[] =
    "INSERT INTO workflow_keys (shard, namespace, key, workflow_id, body_hash, created_at) "
    "SELECT * FROM unnest($1::smallint[], $2::text[], $3::text[], $4::uuid[], $5::bytea[], "
    "$6::timestamptz[])";
static const char sql_new[] = "INSERT INTO workflow_executions (id, shard, correlation_id, "
                              "workflow_type, contract_version, namespace, current_state, "
                              "input, metadata, traceparent, created_at, started_at, parent_token) "
                              "SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::text[], "
                              "$4::text[], $5::text[], $6::text[], $7::text[], $8::json[], "
                              "$9::json[], $10::text[], $11::timestamptz[], $12::timestamptz[], "
                              "$13::text[])";
static const char sql_events[] = "INSERT INTO workflow_events (workflow_id, n, shard, seq, "
                                 "seq_count, run, kind, wait, attempt, duration_us, at, random, "
                                 "state_path, current_step, error, cause, payload) "
                                 "SELECT * FROM unnest($1::uuid[], $2::int[], $3::smallint[], "
                                 "$4::bigint[], $5::smallint[], $6::smallint[], $7::smallint[], "
                                 "$8::int[], $9::smallint[], $10::bigint[], $11::timestamptz[], "
                                 "$12::float8[], $13::text[], $14::text[], $15::text[], "
                                 "$16::text[], $17::json[])";
static const char sql_transitions[] = "INSERT INTO fsm_transitions (entity_id, run, from_state, "
                                      "to_state, transition_event, created_at) "
                                      "SELECT * FROM unnest($1::uuid[], $2::smallint[], "
                                      "$3::text[], $4::text[], $5::text[], $6::timestamptz[])";
/* A workflow may change twice in a batch; an UPDATE would take either change, so it is given the last one. */
static const char sql_update[] =
    "UPDATE workflow_executions w SET current_state = u.state, started_at = u.started_at, "
    "completed_at = u.completed_at, "
    "result = u.result, run = u.run, error_code = u.error, error_message = u.cause, "
    "execution_time_ms = u.took "
    "FROM (SELECT DISTINCT ON (id) * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], "
    "$4::timestamptz[], $5::json[], $6::text[], $7::text[], $8::bigint[], $9::smallint[]) WITH "
    "ORDINALITY "
    "AS n (id, state, started_at, completed_at, result, error, cause, took, run, place) "
    "ORDER BY id, place DESC) u WHERE w.id = u.id";

#define FENCE_COLUMNS 6
#define KEY_COLUMNS 6
#define NEW_COLUMNS 13
#define EVENT_COLUMNS 17
#define TRANSITION_COLUMNS 6
#define UPDATE_COLUMNS 9

struct store_batch {
    struct postgres_value fence[FENCE_COLUMNS];
    struct postgres_value keys[KEY_COLUMNS];
    struct postgres_value new[NEW_COLUMNS];
    struct postgres_value events[EVENT_COLUMNS];
    struct postgres_value transitions[TRANSITION_COLUMNS];
    struct postgres_value updates[UPDATE_COLUMNS];
    struct store_holds holds;
    int records;
    struct buffer scratch;
};

static void start_arrays(struct postgres_value *values, const enum postgres_type *types, int count)
{
    for (int i = 0; i < count; i++)
        postgres_array_start(&values[i], types[i]);
}

void store_batch_clear(struct store_batch *batch)
{
    static const enum postgres_type keys[KEY_COLUMNS] = {PG_INT2, PG_TEXT,  PG_TEXT,
                                                         PG_UUID, PG_BYTEA, PG_TIMESTAMPTZ};
    static const enum postgres_type new[NEW_COLUMNS] = {
        PG_UUID, PG_INT2, PG_TEXT, PG_TEXT,        PG_TEXT,        PG_TEXT, PG_TEXT,
        PG_JSON, PG_JSON, PG_TEXT, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_TEXT};
    static const enum postgres_type events[EVENT_COLUMNS] = {
        PG_UUID, PG_INT4,        PG_INT2,   PG_INT8, PG_INT2, PG_INT2, PG_INT2, PG_INT4, PG_INT2,
        PG_INT8, PG_TIMESTAMPTZ, PG_DOUBLE, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_JSON};
    static const enum postgres_type transitions[TRANSITION_COLUMNS] = {
        PG_UUID, PG_INT2, PG_TEXT, PG_TEXT, PG_TEXT, PG_TIMESTAMPTZ};
    static const enum postgres_type updates[UPDATE_COLUMNS] = {
        PG_UUID, PG_TEXT, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_JSON,
        PG_TEXT, PG_TEXT, PG_INT8,        PG_INT2};
    start_arrays(batch->keys, keys, KEY_COLUMNS);
    start_arrays(batch->new, new, NEW_COLUMNS);
    start_arrays(batch->events, events, EVENT_COLUMNS);
    start_arrays(batch->transitions, transitions, TRANSITION_COLUMNS);
    start_arrays(batch->updates, updates, UPDATE_COLUMNS);
    store_holds_clear(&batch->holds);
    batch->records = 0;
}

struct store_batch *store_batch_new(void)
{
    struct store_batch *batch = must_calloc(1, sizeof *batch);
    store_batch_clear(batch);
    return batch;
}

static void fini_arrays(struct postgres_value *values, int count)
{
    for (int i = 0; i < count; i++)
        postgres_value_fini(&values[i]);
}

void store_batch_free(struct store_batch *batch)
{
    if (batch == NULL)
        return;
    fini_arrays(batch->fence, FENCE_COLUMNS);
    fini_arrays(batch->keys, KEY_COLUMNS);
    fini_arrays(batch->new, NEW_COLUMNS);
    fini_arrays(batch->events, EVENT_COLUMNS);
    fini_arrays(batch->transitions, TRANSITION_COLUMNS);
    fini_arrays(batch->updates, UPDATE_COLUMNS);
    store_holds_fini(&batch->holds);
    buffer_fini(&batch->scratch);
    free(batch);
}

struct store_holds *store_batch_holds(struct store_batch *batch) { return &batch->holds; }
int store_batch_records(const struct store_batch *batch) { return batch->records; }

static void push_json(struct store_batch *batch, struct postgres_value *value,
                      const struct json *json)
{
    if (json == NULL) {
        postgres_push_null(value);
        return;
    }
    buffer_clear(&batch->scratch);
    json_write(json, &batch->scratch);
    postgres_push_text(value, batch->scratch.data, batch->scratch.bytes);
}

static void push_instant_or_null(struct postgres_value *value, int64_t instant_us)
{
    if (instant_us == 0)
        postgres_push_null(value);
    else
        postgres_push_instant(value, instant_us);
}

static void add_key(struct store_batch *batch, const struct workflow_head *head, const char *key,
                    const uint8_t *body_hash)
{
    struct postgres_value *column = batch->keys;
    postgres_push_int2(column++, head->shard);
    postgres_push_string(column++, head->namespace);
    postgres_push_string(column++, key);
    postgres_push_uuid(column++, &head->id);
    postgres_push_bytea(column++, body_hash, BODY_HASH_BYTES);
    postgres_push_instant(column, head->created_us);
}

static void add_new(struct store_batch *batch, const struct workflow *workflow)
{
    const struct workflow_head *head = workflow_head(workflow);
    const struct contract *contract = workflow_contract(workflow);
    struct postgres_value *column = batch->new;
    bool started = workflow_state(workflow) != WORKFLOW_PENDING;
    postgres_push_uuid(column++, &head->id);
    postgres_push_int2(column++, head->shard);
    postgres_push_string(column++, head->correlation_id);
    postgres_push_string(column++, contract->name);
    postgres_push_string(column++, contract->version);
    postgres_push_string(column++, head->namespace);
    postgres_push_string(column++, started ? "PROCESSING" : "PENDING");
    push_json(batch, column++, head->input);
    push_json(batch, column++, head->metadata);
    postgres_push_string(column++, head->traceparent);
    postgres_push_instant(column++, head->created_us);
    push_instant_or_null(column++, started ? workflow_started_us(workflow) : 0);
    postgres_push_string(column, head->parent_token);
}

static void add_update(struct store_batch *batch, const struct workflow *workflow)
{
    struct postgres_value *column = batch->updates;
    int64_t completed_us = workflow_completed_us(workflow);
    int64_t took_us = completed_us - workflow_head(workflow)->created_us;
    postgres_push_uuid(column++, &workflow_head(workflow)->id);
    postgres_push_string(column++, workflow_state_name(workflow_state(workflow)));
    push_instant_or_null(column++, workflow_started_us(workflow));
    push_instant_or_null(column++, completed_us);
    push_json(batch, column++, workflow_result(workflow));
    postgres_push_string(column++, workflow_error(workflow));
    postgres_push_string(column++, workflow_cause(workflow));
    if (completed_us == 0)
        postgres_push_null(column++);
    else
        postgres_push_int8(column++,
                           took_us < 0 ? 0 : took_us / 1000); /* clocks of two hosts may differ */
    postgres_push_int2(column, workflow_head(workflow)->run);
}

static void add_event(struct store_batch *batch, const struct engine_effect *effect)
{
    const struct workflow_record *record = &effect->record;
    const struct workflow_head *head = workflow_head(effect->workflow);
    const char *step = workflow_current_step(effect->workflow);
    struct postgres_value *column = batch->events;
    postgres_push_uuid(column++, &head->id);
    BUG_IF(effect->outcome.events_count > INT16_MAX); /* EVENTS_PER_RECORD_MAX */
    postgres_push_int4(column++, record->n);
    postgres_push_int2(column++, head->shard);
    postgres_push_int8(column++, effect->seq);
    postgres_push_int2(column++, (int16_t)effect->outcome.events_count);
    postgres_push_int2(column++, head->run);
    postgres_push_int2(column++, (int16_t)record->kind);
    postgres_push_int4(column++, (int32_t)record->wait);
    postgres_push_int2(column++, (int16_t)record->attempt);
    postgres_push_int8(column++, record->duration_us);
    postgres_push_instant(column++, record->at_us);
    postgres_push_double(column++, record->random);
    postgres_push_string(column++, effect->outcome.state_path);
    postgres_push_string(column++, *step == '\0' ? NULL : step);
    postgres_push_string(column++, record->error);
    postgres_push_string(column++, record->cause);
    push_json(batch, column, record->payload);
}

static void add_transition(struct store_batch *batch, const struct engine_effect *effect,
                           enum workflow_state from, enum workflow_state to)
{
    static const char *const names[RECORD_KINDS] = {"accepted",        "workflow_execution_started",
                                                    "task_succeeded",  "task_failed",
                                                    "timer_fired",     "cancelled",
                                                    "workflow_timeout"};
    static const char *const ends[] = {[WORKFLOW_COMPLETED] = "workflow_execution_succeeded",
                                       [WORKFLOW_FAILED] = "workflow_execution_failed",
                                       [WORKFLOW_CANCELLED] = "workflow_cancelled"};
    const char *event = to == WORKFLOW_PENDING                    ? "accepted"
                        : from == WORKFLOW_FAILED                 ? "workflow_retried"
                        : to == WORKFLOW_PROCESSING               ? "workflow_execution_started"
                        : effect->record.kind == RECORD_TIMED_OUT ? names[RECORD_TIMED_OUT]
                                                                  : ends[to];
    struct postgres_value *column = batch->transitions;
    postgres_push_uuid(column++, &effect->id);
    postgres_push_int2(column++, workflow_head(effect->workflow)->run);
    postgres_push_string(column++, from == WORKFLOW_NONE ? NULL : workflow_state_name(from));
    postgres_push_string(column++, workflow_state_name(to));
    postgres_push_string(column++, event);
    postgres_push_instant(column, effect->record.at_us);
}

/* The states between from and to of one record: a workflow that starts at once was PENDING too. */
static void add_transitions(struct store_batch *batch, const struct engine_effect *effect)
{
    enum workflow_state from = effect->outcome.from, to = effect->outcome.to;
    if (from == WORKFLOW_NONE && to != WORKFLOW_PENDING) {
        add_transition(batch, effect, WORKFLOW_NONE, WORKFLOW_PENDING);
        from = WORKFLOW_PENDING;
    }
    bool starts = effect->record.kind == RECORD_STARTED || effect->record.kind == RECORD_RETRIED;
    if (starts && to != WORKFLOW_PROCESSING) {
        add_transition(batch, effect, from, WORKFLOW_PROCESSING);
        from = WORKFLOW_PROCESSING;
    }
    if (from != to)
        add_transition(batch, effect, from, to);
}

void store_batch_add(struct store_batch *batch, const struct engine_effect *effect, const char *key,
                     const uint8_t *body_hash)
{
    if (effect->is_new) {
        add_new(batch, effect->workflow);
        if (key != NULL)
            add_key(batch, workflow_head(effect->workflow), key, body_hash);
    }
    add_event(batch, effect);
    add_transitions(batch, effect);
    if (effect->ended || (!effect->is_new && effect->outcome.from != effect->outcome.to))
        add_update(batch, effect->workflow);
    batch->records++;
}

static void put_lanes(struct store_batch *batch, const struct store_lane *lanes, int count)
{
    static const enum postgres_type types[FENCE_COLUMNS] = {PG_INT2, PG_INT8, PG_INT8,
                                                            PG_INT8, PG_INT8, PG_TEXT};
    start_arrays(batch->fence, types, FENCE_COLUMNS);
    for (int i = 0; i < count; i++) {
        struct postgres_value *column = batch->fence;
        postgres_push_int2(column++, lanes[i].shard);
        postgres_push_int8(column++, lanes[i].epoch);
        postgres_push_int8(column++, lanes[i].commits);
        postgres_push_int8(column++, lanes[i].next_seq);
        postgres_push_int8(column++, lanes[i].published_seq);
        postgres_push_string(column, lanes[i].cluster_id);
    }
}

enum error_code store_batch_put(struct store_batch *batch, struct postgres *postgres,
                                const struct store_lane *lanes, int count, struct error *error)
{
    const struct {
        const char *sql;
        const struct postgres_value *values;
        int columns;
    } statements[] = {{sql_fence, batch->fence, FENCE_COLUMNS},
                      {sql_keys, batch->keys, KEY_COLUMNS},
                      {sql_new, batch->new, NEW_COLUMNS},
                      {sql_events, batch->events, EVENT_COLUMNS},
                      {sql_transitions, batch->transitions, TRANSITION_COLUMNS},
                      {sql_update, batch->updates, UPDATE_COLUMNS}};
    put_lanes(batch, lanes, count);
    enum error_code code = postgres_batch_begin(postgres, error);
    for (size_t i = 0; i < sizeof statements / sizeof statements[0] && code == ERR_OK; i++)
        if (statements[i].values[0].count > 0)
            code = postgres_batch_add(postgres, statements[i].sql, statements[i].values,
                                      statements[i].columns, error);
    if (code == ERR_OK)
        code = store_holds_put(&batch->holds, postgres, error);
    return code;
}
