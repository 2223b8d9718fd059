/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "io/clock.h"
#include "orchestrator/api.h"
#include "orchestrator/schema.h"
#include "orchestrator/worker.h"

void api_fail(struct http_response *response, const struct error *error)
{
    if (error_code_retry(error->code) != RETRY_NEVER)
        http_retry_after(response, API_RETRY_AFTER_S);
    http_problem(response, error);
}

bool api_path_id(struct http_request *request, struct http_response *response, struct uuid *id)
{
    const char *text = http_path_parameter(request, "workflow_id");
    if (text != NULL && uuid_parse(text, strlen(text), id))
        return true;
    struct error error = {0};
    error_set_field(&error, ERR_NOT_FOUND, "workflow_id",
                    "there is no workflow %.64s; ids are UUIDs", text == NULL ? "" : text);
    api_fail(response, &error);
    return false;
}

void api_get(struct http_request *request, struct http_response *response, void *context)
{
    struct workflow_view view = {0};
    struct error error = {0};
    struct uuid id;
    if (!api_path_id(request, response, &id))
        return;
    if (workflow_view_read(context, &id, true, &view, &error) == ERR_OK)
        http_json(response, 200, view.object);
    else
        api_fail(response, &error);
    json_release(view.object);
}

struct json *api_instant(int64_t instant_us)
{
    char text[INSTANT_TEXT_BYTES];
    return json_text(instant_us == 0 ? NULL : instant_format_us(instant_us, text));
}

struct json *api_older_state(const char *state)
{
    char *text = must_strdup(state);
    for (char *p = text; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    struct json *value = json_text(text);
    free(text);
    return value;
}

void api_status_older(struct http_request *request, struct http_response *response, void *context)
{
    struct workflow_view view = {0};
    struct error error = {0};
    struct uuid id;
    if (!api_path_id(request, response, &id))
        return;
    if (workflow_view_read(context, &id, true, &view, &error) != ERR_OK) {
        api_fail(response, &error);
        return;
    }
    struct json *answer = json_object();
    const struct json *step = json_get(view.object, "current_step");
    json_object_set(answer, "workflow_id", json_hold(json_get(view.object, "workflow_id")));
    json_object_set(answer, "state", api_older_state(workflow_state_name(view.state)));
    json_object_set(answer, "current_step", step == NULL ? json_null() : json_hold(step));
    json_object_set(answer, "result", json_hold(json_get(view.object, "result")));
    http_json(response, 200, answer);
    json_release(answer);
    json_release(view.object);
}

/* -- list -- */

#define SCHEMA_OF_PAUSES 8 /* workflow_executions.paused_at */

struct list_query {
    const char *namespace, *state, *workflow, *paused;
    bool wants_paused;
    int64_t since_us; /* 0: all */
    struct uuid cursor;
    bool has_cursor;
    int64_t limit;
};

/* With a namespace the statement is one of its own, so that its index is used whatever plan was made first;
 * likewise with paused=, which has an index of its own. */
static void write_list_sql(const struct list_query *query, bool knows_pauses, struct buffer *sql)
{
    static const char paused[] = "w.paused_at IS NOT NULL AND w.completed_at IS NULL";
    buffer_append_format(
        sql, "SELECT " WORKFLOW_VIEW_COLUMNS ", %s FROM workflow_executions w WHERE %s ",
        knows_pauses ? "CASE WHEN w.completed_at IS NULL THEN w.paused_at END"
                     : "NULL::timestamptz",
        query->namespace == NULL ? "$1::text IS NULL" : "w.namespace = $1");
    if (query->paused != NULL)
        buffer_append_format(sql, query->wants_paused ? "AND %s " : "AND NOT (%s) ", paused);
    buffer_append_text(
        sql,
        "AND ($2::text IS NULL OR w.current_state = $2) "
        "AND ($3::text IS NULL OR w.workflow_type = $3) "
        "AND w.id >= coalesce(uuid_floor($4::timestamptz), "
        "'00000000-0000-0000-0000-000000000000') "
        "AND w.id < coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') ORDER BY w.id DESC "
        "LIMIT $6");
}

static enum error_code read_list_query(struct http_request *request, struct list_query *query,
                                       struct error *error)
{
    static const char *const known[] = {"namespace", "state", "workflow", "paused",
                                        "since",     "limit", "cursor",   NULL};
    enum error_code code = http_query_known(request, known, error);
    if (code == ERR_OK)
        code = http_query_int(request, "limit", 1, LIST_ITEMS_MAX, LIST_ITEMS_DEFAULT,
                              &query->limit, error);
    if (code != ERR_OK)
        return code;
    const char *since = http_query(request, "since"), *cursor = http_query(request, "cursor");
    query->namespace = http_query(request, "namespace");
    query->state = http_query(request, "state");
    query->workflow = http_query(request, "workflow");
    query->paused = http_query(request, "paused");
    query->wants_paused = query->paused != NULL && strcmp(query->paused, "true") == 0;
    if (query->paused != NULL && !query->wants_paused && strcmp(query->paused, "false") != 0)
        return error_set_field(error, ERR_INVALID, "paused",
                               "paused is %.64s; it must be true or false", query->paused);
    if (query->state != NULL && workflow_state_of_name(query->state) == WORKFLOW_NONE)
        return error_set_field(
            error, ERR_INVALID, "state",
            "state is %.64s; it must be one of PENDING, PROCESSING, COMPLETED, FAILED, CANCELLED",
            query->state);
    if (since != NULL && !instant_parse(since, strlen(since), &query->since_us))
        return error_set_field(error, ERR_INVALID, "since",
                               "since is %.64s; it must be a time such as 2026-11-21T16:31:00Z",
                               since);
    query->has_cursor = cursor != NULL;
    if (cursor != NULL && !uuid_parse(cursor, strlen(cursor), &query->cursor))
        return error_set_field(error, ERR_INVALID, "cursor",
                               "cursor is %.64s; give back the next_cursor of the page before",
                               cursor);
    return ERR_OK;
}

static enum error_code query_list(struct orchestrator *orchestrator, const struct list_query *query,
                                  struct postgres_rows **rows, struct error *error)
{
    struct postgres *postgres;
    struct postgres_value values[6] = {{0}};
    struct buffer sql = {0};
    bool knows_pauses = schema_at_least(orchestrator, SCHEMA_OF_PAUSES);
    if (query->paused != NULL && !knows_pauses)
        return error_set_field(error, ERR_UNAVAILABLE, "paused",
                               "paused= needs the schema %d: bridgectl migrate up",
                               SCHEMA_OF_PAUSES);
    enum error_code code = postgres_pool_get(orchestrator->pool, &postgres, error);
    if (code != ERR_OK)
        return code;
    postgres_set_string(&values[0], query->namespace);
    postgres_set_string(&values[1], query->state);
    postgres_set_string(&values[2], query->workflow);
    if (query->since_us == 0)
        postgres_set_null(&values[3], PG_TIMESTAMPTZ);
    else
        postgres_set_instant(&values[3], query->since_us);
    if (query->has_cursor)
        postgres_set_uuid(&values[4], &query->cursor);
    else
        postgres_set_null(&values[4], PG_UUID);
    postgres_set_int8(&values[5],
                      query->limit + 1); /* one more tells whether there is a next page */
    write_list_sql(query, knows_pauses, &sql);
    code = postgres_query(postgres, buffer_text(&sql), values, 6, rows, error);
    buffer_fini(&sql);
    postgres_pool_put(orchestrator->pool, postgres);
    for (int i = 0; i < 6; i++)
        postgres_value_fini(&values[i]);
    return code;
}

void api_list(struct http_request *request, struct http_response *response, void *context)
{
    struct list_query query = {0};
    struct postgres_rows *rows = NULL;
    struct error error = {0};
    enum error_code code = read_list_query(request, &query, &error);
    if (code == ERR_OK)
        code = query_list(context, &query, &rows, &error);
    if (code != ERR_OK) {
        api_fail(response, &error);
        return;
    }
    int count = postgres_rows_count(rows), shown = count > query.limit ? (int)query.limit : count;
    struct json *answer = json_object(), *items = json_array();
    for (int i = 0; i < shown; i++) {
        struct json *item = workflow_view_row(rows, i);
        view_set_instant_column(item, "paused_at", rows, i, WORKFLOW_VIEW_COUNT);
        json_array_append(items, item);
    }
    const struct json *last =
        json_get(json_at(items, shown > 0 ? (size_t)shown - 1 : 0), "workflow_id");
    json_object_set(answer, "next_cursor", count > shown ? json_hold(last) : json_null());
    json_object_set(answer, "items", items);
    http_json(response, 200, answer);
    json_release(answer);
    postgres_rows_free(rows);
}

/* -- history -- */

/* Transitions of the workflow's life and the records between them, in order of time. */
static const char sql_history[] =
    "SELECT at, type, from_state, to_state, step, attempt, error, cause, seq FROM ("
    " SELECT created_at AS at, CASE WHEN to_state IN ('PENDING', 'PROCESSING') THEN 0 ELSE 2 END "
    "AS place, run::int AS part, "
    "  'workflow_state_transition' AS type, from_state, to_state, NULL::text AS step, NULL::int AS "
    "attempt, "
    "  transition_event AS error, NULL::text AS cause, NULL::bigint AS seq, CASE to_state WHEN "
    "'PENDING' THEN 0 ELSE 1 END AS n "
    "  FROM fsm_transitions WHERE entity_id = $1"
    " UNION ALL"
    " SELECT at, 1, run::int, (ARRAY['accepted', 'started', 'task_succeeded', 'task_failed', "
    "'timer_fired', 'cancelled', 'timed_out', 'task_delivered', 'heartbeat', 'signal', 'paused', "
    "'resumed', 'retried'])[kind + 1], "
    "  NULL, NULL, regexp_replace(state_path, '^.*/', ''), nullif(attempt, 0)::int, error, cause, "
    "seq, n "
    "  FROM workflow_events WHERE workflow_id = $1) h ORDER BY at, place, n";

static void set_int_column(struct json *object, const char *name, const struct postgres_rows *rows,
                           int row, int column)
{
    json_object_set(object, name,
                    postgres_rows_null(rows, row, column)
                        ? json_null()
                        : json_int(postgres_rows_int(rows, row, column)));
}

static struct json *history_item(const struct postgres_rows *rows, int row)
{
    struct json *item = json_object();
    char at[INSTANT_TEXT_BYTES];
    bool transition =
        strcmp(postgres_rows_text(rows, row, 1, NULL), "workflow_state_transition") == 0;
    json_object_set(item, "at",
                    json_text(instant_format_us(postgres_rows_instant(rows, row, 0), at)));
    view_set_column(item, "type", rows, row, 1);
    view_set_column(item, "from_state", rows, row, 2);
    view_set_column(item, "to_state", rows, row, 3);
    view_set_column(item, "step", rows, row, 4);
    set_int_column(item, "attempt", rows, row, 5);
    if (transition)
        view_set_column(item, "trigger", rows, row, 6);
    json_object_set(item, "error", json_null());
    if (!transition)
        view_set_column(item, "error", rows, row, 6);
    view_set_column(item, "cause", rows, row, 7);
    set_int_column(item, "seq", rows, row, 8);
    return item;
}

static enum error_code read_history(struct orchestrator *orchestrator, const struct uuid *id,
                                    struct postgres_rows **rows, struct error *error)
{
    struct postgres *postgres;
    struct postgres_value value = {0};
    char text[UUID_TEXT_BYTES];
    enum error_code code = postgres_pool_get(orchestrator->pool, &postgres, error);
    if (code != ERR_OK)
        return code;
    postgres_set_uuid(&value, id);
    code = postgres_query(postgres, sql_history, &value, 1, rows, error);
    postgres_pool_put(orchestrator->pool, postgres);
    postgres_value_fini(&value);
    if (code == ERR_OK && postgres_rows_count(*rows) == 0)
        code = error_set_field(error, ERR_NOT_FOUND, "workflow_id", "there is no workflow %s",
                               uuid_format(id, text));
    return code;
}

void api_history(struct http_request *request, struct http_response *response, void *context)
{
    struct postgres_rows *rows = NULL;
    struct error error = {0};
    struct uuid id;
    if (!api_path_id(request, response, &id))
        return;
    if (read_history(context, &id, &rows, &error) != ERR_OK) {
        postgres_rows_free(rows);
        api_fail(response, &error);
        return;
    }
    struct json *answer = json_object(), *items = json_array();
    for (int i = 0; i < postgres_rows_count(rows); i++)
        json_array_append(items, history_item(rows, i));
    json_object_set(answer, "items", items);
    json_object_set(answer, "next_cursor", json_null());
    http_json(response, 200, answer);
    json_release(answer);
    postgres_rows_free(rows);
}
