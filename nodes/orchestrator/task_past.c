/* SPDX-License-Identifier: MIT */
#include "orchestrator/task_past.h"

static const char sql_signal[] =
    "SELECT payload FROM workflow_events "
    "WHERE workflow_id = $1 AND kind = $2 AND payload ->> 'key' = $3 ORDER BY n LIMIT 1";
static const char sql_end[] =
    "SELECT kind, error FROM workflow_events "
    "WHERE workflow_id = $1 AND wait = $2 AND kind IN ($3, $4) ORDER BY n LIMIT 1";

static enum error_code ask(struct orchestrator *orchestrator, const char *sql,
                           struct postgres_value *values, int count, struct postgres_rows **rows,
                           struct error *error)
{
    struct postgres *postgres;
    enum error_code code = postgres_pool_get(orchestrator->pool, &postgres, error);
    if (code == ERR_OK) {
        code = postgres_query(postgres, sql, values, count, rows, error);
        postgres_pool_put(orchestrator->pool, postgres);
    }
    for (int i = 0; i < count; i++)
        postgres_value_fini(&values[i]);
    return code;
}

enum error_code task_past_signal(struct orchestrator *orchestrator, const struct uuid *id,
                                 const char *key, uint64_t content, enum task_signal_past *past,
                                 struct error *error)
{
    struct postgres_value values[3] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_uuid(&values[0], id);
    postgres_set_int2(&values[1], RECORD_SIGNAL);
    postgres_set_string(&values[2], key);
    enum error_code code = ask(orchestrator, sql_signal, values, 3, &rows, error);
    *past = TASK_SIGNAL_NEW;
    if (code == ERR_OK && postgres_rows_count(rows) > 0) {
        size_t bytes;
        const char *stored = postgres_rows_text(rows, 0, 0, &bytes);
        struct json *payload = json_parse(stored, bytes, NULL, NULL);
        uint64_t taken = workflow_signal_content(json_string_or(json_get(payload, "name"), ""),
                                                 json_get(payload, "data"));
        *past = taken == content ? TASK_SIGNAL_SAME : TASK_SIGNAL_OTHER;
        json_release(payload);
    }
    postgres_rows_free(rows);
    return code;
}

enum error_code task_past_end(struct orchestrator *orchestrator, const struct task_token *token,
                              struct task_end *end, struct error *error)
{
    struct postgres_value values[4] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_uuid(&values[0], &token->workflow_id);
    postgres_set_int4(&values[1], (int32_t)token->wait);
    postgres_set_int2(&values[2], RECORD_TASK_SUCCEEDED);
    postgres_set_int2(&values[3], RECORD_TASK_FAILED);
    enum error_code code = ask(orchestrator, sql_end, values, 4, &rows, error);
    *end = (struct task_end){.kind = TASK_GIVEN_UP};
    if (code == ERR_OK && postgres_rows_count(rows) > 0) {
        const char *text =
            postgres_rows_null(rows, 0, 1) ? "" : postgres_rows_text(rows, 0, 1, NULL);
        bool failed = postgres_rows_int(rows, 0, 0) == RECORD_TASK_FAILED;
        end->kind = failed ? TASK_FAILURE : TASK_SUCCEEDED;
        end->error = must_strdup(text);
    }
    postgres_rows_free(rows);
    return code;
}
