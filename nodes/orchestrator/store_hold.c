/* SPDX-License-Identifier: MIT */
#include "orchestrator/store_hold.h"

#include <stdlib.h>

/* A step may be held and released twice in a batch: its last state counts. */
static const char sql_held[] =
    "INSERT INTO held_steps (workflow_id, wait, shard, service, state_path, attempt, held_at, "
    "released_at, excluded_us) SELECT DISTINCT ON (workflow_id, wait) workflow_id, wait, shard, "
    "service, state_path, attempt, held_at, released_at, excluded_us "
    "FROM unnest($1::uuid[], $2::int[], $3::smallint[], $4::text[], $5::text[], $6::smallint[], "
    "$7::timestamptz[], $8::timestamptz[], $9::bigint[]) WITH ORDINALITY AS u (workflow_id, wait, "
    "shard, service, state_path, attempt, held_at, released_at, excluded_us, place) "
    "ORDER BY workflow_id, wait, place DESC "
    "ON CONFLICT (workflow_id, wait) DO UPDATE SET held_at = excluded.held_at, "
    "released_at = excluded.released_at, excluded_us = excluded.excluded_us";
static const char sql_unheld[] =
    "UPDATE held_steps h SET released_at = u.released_at, excluded_us = h.excluded_us + u.excluded "
    "FROM unnest($1::uuid[], $2::int[], $3::timestamptz[], $4::bigint[]) "
    "AS u (workflow_id, wait, released_at, excluded) "
    "WHERE h.workflow_id = u.workflow_id AND h.wait = u.wait";
static const char sql_ended[] = "DELETE FROM held_steps WHERE workflow_id = ANY ($1)";

void store_holds_clear(struct store_holds *holds)
{
    static const enum postgres_type held[STORE_HOLD_COLUMNS] = {
        PG_UUID, PG_INT4,        PG_INT2,        PG_TEXT, PG_TEXT,
        PG_INT2, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ, PG_INT8};
    static const enum postgres_type unheld[STORE_UNHOLD_COLUMNS] = {PG_UUID, PG_INT4,
                                                                    PG_TIMESTAMPTZ, PG_INT8};
    for (int i = 0; i < STORE_HOLD_COLUMNS; i++)
        postgres_array_start(&holds->held[i], held[i]);
    for (int i = 0; i < STORE_UNHOLD_COLUMNS; i++)
        postgres_array_start(&holds->unheld[i], unheld[i]);
    postgres_array_start(&holds->ended, PG_UUID);
}

void store_holds_fini(struct store_holds *holds)
{
    postgres_values_fini(holds->held, STORE_HOLD_COLUMNS);
    postgres_values_fini(holds->unheld, STORE_UNHOLD_COLUMNS);
    postgres_value_fini(&holds->ended);
}

bool store_holds_empty(const struct store_holds *holds)
{
    return holds->held[0].count + holds->unheld[0].count + holds->ended.count == 0;
}

void store_holds_add(struct store_holds *holds, const struct engine_effect *effect,
                     const char *service)
{
    if (effect->type == ENGINE_UNHELD) {
        struct postgres_value *column = holds->unheld;
        postgres_push_uuid(column++, &effect->id);
        postgres_push_int4(column++, (int32_t)effect->wait);
        postgres_push_instant(column++, effect->at_us);
        postgres_push_int8(column, effect->excluded_us);
        return;
    }
    const struct workflow_wait *wait = workflow_wait_find(effect->workflow, effect->wait);
    if (wait == NULL)
        return; /* closed in the same step: what follows says so */
    struct postgres_value *column = holds->held;
    bool held = wait->held_us != 0;
    postgres_push_uuid(column++, &effect->id);
    postgres_push_int4(column++, (int32_t)effect->wait);
    postgres_push_int2(column++, workflow_head(effect->workflow)->shard);
    postgres_push_string(column++, service);
    postgres_push_string(column++, wait->state_path);
    postgres_push_int2(column++, (int16_t)wait->attempt);
    postgres_push_instant(column++, held ? wait->held_us : effect->at_us);
    if (held)
        postgres_push_null(column++);
    else
        postgres_push_instant(column++, effect->at_us);
    postgres_push_int8(column, wait->excluded_us);
}

void store_holds_end(struct store_holds *holds, const struct uuid *workflow)
{
    postgres_push_uuid(&holds->ended, workflow);
}

enum error_code store_holds_put(const struct store_holds *holds, struct postgres *postgres,
                                struct error *error)
{
    enum error_code code = ERR_OK;
    if (holds->held[0].count > 0)
        code = postgres_batch_add(postgres, sql_held, holds->held, STORE_HOLD_COLUMNS, error);
    if (code == ERR_OK && holds->unheld[0].count > 0)
        code = postgres_batch_add(postgres, sql_unheld, holds->unheld, STORE_UNHOLD_COLUMNS, error);
    if (code == ERR_OK && holds->ended.count > 0)
        code = postgres_batch_add(postgres, sql_ended, &holds->ended, 1, error);
    return code;
}

/* A node that knows nothing of held steps may have ended their workflows. An outage that began a minute ago has no
 * statistics yet: EXCEPT takes each row once whatever is expected, a join may take all rows for each. */
static const char sql_remove[] =
    "DELETE FROM held_steps WHERE workflow_id IN (SELECT workflow_id FROM held_steps "
    "WHERE shard = ANY ($1) EXCEPT SELECT id FROM workflow_executions WHERE shard = ANY ($1) "
    "AND completed_at IS NULL)";
static const char sql_read[] =
    "SELECT workflow_id, wait, held_at, released_at IS NULL, excluded_us FROM held_steps "
    "WHERE shard = ANY ($1) ORDER BY workflow_id, held_at";

enum error_code store_holds_read(struct postgres *postgres, const int16_t *shards, int count,
                                 struct engine_hold **holds, size_t *holds_count,
                                 struct error *error)
{
    struct postgres_value value = {0};
    struct postgres_rows *rows = NULL;
    postgres_array_start(&value, PG_INT2);
    for (int i = 0; i < count; i++)
        postgres_push_int2(&value, shards[i]);
    enum error_code code = postgres_query(postgres, sql_remove, &value, 1, NULL, error);
    if (code == ERR_OK)
        code = postgres_query(postgres, sql_read, &value, 1, &rows, error);
    if (code == ERR_OK) {
        size_t found = (size_t)postgres_rows_count(rows);
        *holds = must_calloc(found + 1, sizeof **holds);
        *holds_count = found;
        for (int i = 0; i < (int)found; i++)
            (*holds)[i] = (struct engine_hold){
                .id = postgres_rows_uuid(rows, i, 0),
                .wait = (uint32_t)postgres_rows_int(rows, i, 1),
                .held_us = postgres_rows_bool(rows, i, 3) ? postgres_rows_instant(rows, i, 2) : 0,
                .excluded_us = postgres_rows_int(rows, i, 4)};
    }
    postgres_rows_free(rows);
    postgres_value_fini(&value);
    return code;
}
