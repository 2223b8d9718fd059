/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/instant.h"
#include "orchestrator/api.h"
#include "orchestrator/breakers.h"

static void set_text(struct json *object, const char *name, const char *text)
{
    json_object_set(object, name, json_text(text));
}

static void set_instant(struct json *object, const char *name, int64_t instant_us)
{
    json_object_set(object, name, api_instant(instant_us));
}

void view_set_column(struct json *object, const char *name, const struct postgres_rows *rows,
                     int row, int column)
{
    size_t bytes;
    const char *text = postgres_rows_text(rows, row, column, &bytes);
    json_object_set(object, name, text == NULL ? json_null() : json_string(text, bytes));
}

void view_set_instant_column(struct json *object, const char *name,
                             const struct postgres_rows *rows, int row, int column)
{
    set_instant(object, name,
                postgres_rows_null(rows, row, column) ? 0
                                                      : postgres_rows_instant(rows, row, column));
}

static struct json *error_json(const char *error, const char *cause)
{
    if (error == NULL)
        return json_null();
    struct json *object = json_object();
    set_text(object, "error", error);
    set_text(object, "cause", cause);
    return object;
}

static void set_after(struct json *object, const struct orchestrator *orchestrator, int16_t shard,
                      int64_t seq, const char *id)
{
    char lane[32], token[UUID_TEXT_BYTES + 64];
    publisher_lane_name(orchestrator->publisher, shard, lane);
    snprintf(token, sizeof token, "%s:%lld:%s", lane, (long long)seq, id);
    set_text(object, "after", token);
}

struct json *workflow_view_of_ticket(const struct orchestrator *orchestrator,
                                     const struct ticket *ticket, const char *workflow,
                                     const char *version, const char *namespace,
                                     const char *correlation_id)
{
    struct json *object = json_object();
    char id[UUID_TEXT_BYTES];
    set_text(object, "workflow_id", uuid_format(&ticket->id, id));
    set_text(object, "workflow", workflow);
    set_text(object, "version", version);
    set_text(object, "namespace", namespace);
    set_text(object, "state", workflow_state_name(ticket->state));
    set_text(object, "correlation_id", correlation_id);
    set_instant(object, "created_at", ticket->created_us);
    set_instant(object, "started_at", ticket->started_us);
    if (ticket->stage != TICKET_ENDED)
        return object;
    set_instant(object, "ended_at", ticket->completed_us);
    json_object_set(object, "result",
                    ticket->result == NULL ? json_null() : json_hold(ticket->result));
    json_object_set(object, "error", error_json(ticket->error, ticket->error_cause));
    set_after(object, orchestrator, ticket->shard, ticket->after_seq, id);
    return object;
}

struct json *workflow_view_row(const struct postgres_rows *rows, int row)
{
    struct json *object = json_object();
    struct uuid id = postgres_rows_uuid(rows, row, 0);
    char text[UUID_TEXT_BYTES];
    set_text(object, "workflow_id", uuid_format(&id, text));
    view_set_column(object, "workflow", rows, row, 4);
    view_set_column(object, "version", rows, row, 5);
    view_set_column(object, "namespace", rows, row, 6);
    view_set_column(object, "state", rows, row, 7);
    view_set_column(object, "correlation_id", rows, row, 3);
    json_object_set(object, "run", json_int(postgres_rows_int(rows, row, 2)));
    json_object_set(
        object, "error",
        error_json(postgres_rows_text(rows, row, 8, NULL), postgres_rows_text(rows, row, 9, NULL)));
    view_set_instant_column(object, "created_at", rows, row, 10);
    view_set_instant_column(object, "started_at", rows, row, 11);
    view_set_instant_column(object, "ended_at", rows, row, 12);
    return object;
}

/* Column numbers in sql_one. */
#define COLUMN_RESULT WORKFLOW_VIEW_COUNT
#define COLUMN_METADATA (WORKFLOW_VIEW_COUNT + 1)

static const char sql_one[] = "SELECT " WORKFLOW_VIEW_COLUMNS
                              ", w.result, w.metadata FROM workflow_executions w WHERE w.id = $1";
static const char sql_events[] = "SELECT n, kind, seq + seq_count - 1, attempt, duration_us, at, "
                                 "state_path, current_step, error "
                                 "FROM workflow_events WHERE workflow_id = $1 ORDER BY n";

static const char sql_held[] = "SELECT state_path, service, attempt, held_at FROM held_steps "
                               "WHERE workflow_id = $1 AND released_at IS NULL ORDER BY held_at";

/* Steps that are held now: calls that are not made before their service is well. */
static void add_held(struct json *steps, const struct postgres_rows *rows)
{
    for (int i = 0; i < postgres_rows_count(rows); i++) {
        struct json *step = json_object();
        const char *path = postgres_rows_text(rows, i, 0, NULL), *slash = strrchr(path, '/');
        set_text(step, "step", slash == NULL ? path : slash + 1);
        set_text(step, "path", path);
        set_text(step, "type", "Task");
        set_text(step, "state", "HELD");
        json_object_set(step, "attempts", json_int(postgres_rows_int(rows, i, 2) - 1));
        set_instant(step, "started_at", 0);
        set_instant(step, "ended_at", 0);
        json_object_set(step, "error", json_null());
        view_set_column(step, "service", rows, i, 1);
        view_set_instant_column(step, "held_since", rows, i, 3);
        json_array_append(steps, step);
    }
}

static struct json *step_json(const struct postgres_rows *rows, int row)
{
    struct json *step = json_object();
    const char *path = postgres_rows_text(rows, row, 6, NULL);
    const char *slash = path == NULL ? NULL : strrchr(path, '/');
    int64_t ended_us = postgres_rows_instant(rows, row, 5);
    set_text(step, "step", slash == NULL ? path : slash + 1);
    set_text(step, "path", path);
    set_text(step, "type", "Task");
    set_text(step, "state",
             postgres_rows_int(rows, row, 1) == RECORD_TASK_FAILED ? "FAILED" : "COMPLETED");
    json_object_set(step, "attempts", json_int(postgres_rows_int(rows, row, 3)));
    set_instant(step, "started_at", ended_us - postgres_rows_int(rows, row, 4));
    set_instant(step, "ended_at", ended_us);
    view_set_column(step, "error", rows, row, 8);
    return step;
}

/* Steps that ended, the present one, and the token of the last record. */
static void add_events(struct workflow_view *view, const struct orchestrator *orchestrator,
                       const struct postgres_rows *rows, const char *id)
{
    struct json *steps = json_array();
    int count = postgres_rows_count(rows);
    int64_t paused_us = 0;
    for (int i = 0; i < count; i++) {
        int64_t kind = postgres_rows_int(rows, i, 1);
        if (kind == RECORD_PAUSED)
            paused_us = postgres_rows_instant(rows, i, 5);
        else if (kind == RECORD_RESUMED)
            paused_us = 0;
        bool ended_step = kind == RECORD_TASK_SUCCEEDED || kind == RECORD_TASK_FAILED ||
                          (kind == RECORD_SIGNAL && !postgres_rows_null(rows, i, 6));
        if (ended_step)
            json_array_append(steps, step_json(rows, i));
    }
    if (count > 0)
        view_set_column(view->object, "current_step", rows, count - 1, 7);
    if (count > 0 && workflow_state_ended(view->state))
        set_after(view->object, orchestrator, view->shard, postgres_rows_int(rows, count - 1, 2),
                  id);
    set_instant(view->object, "paused_at", workflow_state_ended(view->state) ? 0 : paused_us);
    json_object_set(view->object, "steps", steps);
}

static void set_json_column(struct json *object, const char *name, const struct postgres_rows *rows,
                            int row, int column)
{
    size_t bytes;
    const char *text = postgres_rows_text(rows, row, column, &bytes);
    struct json *value = text == NULL ? NULL : json_parse(text, bytes, NULL, NULL);
    json_object_set(object, name, value == NULL ? json_null() : value);
}

enum error_code workflow_view_read(struct orchestrator *orchestrator, const struct uuid *id,
                                   bool with_steps, struct workflow_view *view, struct error *error)
{
    struct postgres *postgres;
    struct postgres_value value = {0};
    struct postgres_rows *rows = NULL, *events = NULL, *held = NULL;
    char text[UUID_TEXT_BYTES];
    uuid_format(id, text);
    enum error_code code = postgres_pool_get(orchestrator->pool, &postgres, error);
    if (code != ERR_OK)
        return code;
    postgres_set_uuid(&value, id);
    code = postgres_query(postgres, sql_one, &value, 1, &rows, error);
    if (code == ERR_OK && postgres_rows_count(rows) == 0)
        code =
            error_set_field(error, ERR_NOT_FOUND, "workflow_id", "there is no workflow %s", text);
    if (code == ERR_OK && with_steps)
        code = postgres_query(postgres, sql_events, &value, 1, &events, error);
    if (code == ERR_OK && with_steps && breakers_keep_holds(orchestrator))
        code = postgres_query(postgres, sql_held, &value, 1, &held, error);
    postgres_pool_put(orchestrator->pool, postgres);
    if (code == ERR_OK) {
        view->object = workflow_view_row(rows, 0);
        view->state = workflow_state_of_name(postgres_rows_text(rows, 0, 7, NULL));
        view->shard = (int16_t)postgres_rows_int(rows, 0, 1);
        set_json_column(view->object, "result", rows, 0, COLUMN_RESULT);
        set_json_column(view->object, "metadata", rows, 0, COLUMN_METADATA);
        if (with_steps)
            add_events(view, orchestrator, events, text);
        if (held != NULL && !workflow_state_ended(view->state))
            add_held((struct json *)(uintptr_t)json_get(view->object, "steps"), held);
    }
    postgres_rows_free(rows);
    postgres_rows_free(events);
    postgres_rows_free(held);
    postgres_value_fini(&value);
    return code;
}
