/* SPDX-License-Identifier: MIT */
/* api_explain.c - why a workflow is where it is: asked of the workers, which know what lives here, also while
 * the database is away; else of the instance that owns its shard; else told from the database. */
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "orchestrator/api.h"
#include "orchestrator/api_forward.h"
#include "orchestrator/store.h"
#include "orchestrator/worker.h"

#define ASK_TIMEOUT_US 2000000     /* of all workers together */
#define OWNER_TIMEOUT_US 3000000   /* of another instance, which asks its workers */
#define ASK_TRIES 2                /* it may begin or end between the look here and there */
#define REPLAY_BYTES_MAX (4 << 20) /* stored, of a failed workflow that is read back */

/* -- in memory -- */

/* NULL when the worker does not have it; *error when it did not say. */
static struct explanation *ask(struct worker *worker, const struct uuid *id, int64_t deadline_us,
                               struct error *error)
{
    struct ticket *ticket = ticket_new();
    struct explanation *explanation = NULL;
    ticket->question = TICKET_EXPLAIN;
    ticket->id = *id;
    worker_post(worker, ticket);
    bool answered = ticket_wait(ticket, TICKET_OPEN, deadline_us);
    if (!answered)
        error_set(error, ERR_TIMEOUT, "a worker is too busy to answer");
    ticket_lock(ticket);
    explanation = ticket->explanation;
    ticket->explanation = NULL;
    ticket_unlock(ticket);
    ticket_release(ticket);
    return explanation;
}

/* The id does not say which shard it is of, and the database may be away: all are asked. */
static struct explanation *ask_all(struct orchestrator *orchestrator, const struct uuid *id,
                                   struct error *error)
{
    struct explanation *explanation = NULL;
    int64_t deadline_us = clock_monotonic_us() + ASK_TIMEOUT_US;
    for (int i = 0; i < orchestrator->workers_count && explanation == NULL; i++)
        explanation = ask(orchestrator->workers[i], id, deadline_us, error);
    if (explanation == NULL)
        return NULL;
    struct owner owner = {.known = false};
    if (explanation->shard >= 0)
        owners_of(orchestrator, explanation->shard, &owner);
    explanation->instance = must_strdup(orchestrator->node_id);
    if (owner.known && owner.ours)
        explanation->instance_url = must_strdup(owner.url);
    error->code = ERR_OK;
    return explanation;
}

/* -- in the database -- */

static const char sql_stored[] =
    "SELECT w.current_state, w.shard, w.run, w.created_at, w.started_at, w.completed_at, "
    "w.error_code, w.error_message, s.owner, i.advertised_url, i.lease_expires_at, "
    "coalesce(i.lease_expires_at > clock_timestamp(), false), "
    "(SELECT e.current_step FROM workflow_events e WHERE e.workflow_id = w.id ORDER BY e.n DESC "
    "LIMIT 1), coalesce(pg_column_size(w.input), 0) "
    "FROM workflow_executions w LEFT JOIN shards s ON s.shard = w.shard "
    "LEFT JOIN instances i ON i.instance_id = s.owner WHERE w.id = $1";
static const char sql_weight[] = "SELECT coalesce(sum(coalesce(pg_column_size(payload), 0) + 64), "
                                 "0)::bigint FROM workflow_events "
                                 "WHERE workflow_id = $1";

enum {
    COLUMN_STATE,
    COLUMN_SHARD,
    COLUMN_RUN,
    COLUMN_CREATED,
    COLUMN_STARTED,
    COLUMN_COMPLETED,
    COLUMN_ERROR,
    COLUMN_CAUSE,
    COLUMN_OWNER,
    COLUMN_URL,
    COLUMN_LEASE,
    COLUMN_OWNED,
    COLUMN_STEP,
    COLUMN_INPUT_BYTES
};

static char *text_at(const struct postgres_rows *rows, int column)
{
    const char *text = postgres_rows_text(rows, 0, column, NULL);
    return text == NULL ? NULL : must_strdup(text);
}

static int64_t instant_at(const struct postgres_rows *rows, int column)
{
    return postgres_rows_null(rows, 0, column) ? 0 : postgres_rows_instant(rows, 0, column);
}

static struct explanation *read_row(const struct orchestrator *orchestrator, const struct uuid *id,
                                    const struct postgres_rows *rows)
{
    struct explanation *explanation = explanation_new();
    char owner[UUID_TEXT_BYTES];
    explanation->id = *id;
    explanation->source = EXPLANATION_STORED;
    explanation->state = workflow_state_of_name(postgres_rows_text(rows, 0, COLUMN_STATE, NULL));
    explanation->shard = (int16_t)postgres_rows_int(rows, 0, COLUMN_SHARD);
    explanation->run = (int16_t)postgres_rows_int(rows, 0, COLUMN_RUN);
    explanation->created_us = instant_at(rows, COLUMN_CREATED);
    explanation->started_us = instant_at(rows, COLUMN_STARTED);
    explanation->completed_us = instant_at(rows, COLUMN_COMPLETED);
    explanation->error = text_at(rows, COLUMN_ERROR);
    explanation->error_cause = text_at(rows, COLUMN_CAUSE);
    explanation->step = text_at(rows, COLUMN_STEP);
    explanation->lease_us = instant_at(rows, COLUMN_LEASE);
    explanation->instance_url = text_at(rows, COLUMN_URL);
    struct uuid of_owner = {0};
    if (!postgres_rows_null(rows, 0, COLUMN_OWNER)) {
        of_owner = postgres_rows_uuid(rows, 0, COLUMN_OWNER);
        explanation->instance = must_strdup(uuid_format(&of_owner, owner));
    }
    if (!workflow_state_ended(explanation->state))
        explanation->cause = !postgres_rows_bool(rows, 0, COLUMN_OWNED) ? EXPLANATION_TAKEOVER
                             : uuid_equal(&of_owner, &orchestrator->instance_id)
                                 ? EXPLANATION_LOADING
                                 : EXPLANATION_OWNER;
    return explanation;
}

static void keep_workflow(void *context, struct workflow *workflow)
{
    *(struct workflow **)context = workflow;
}

/* What only the records of a failed workflow tell: where it failed, and whether it can go on. Left out where
 * there are very many. */
static enum error_code replay(struct orchestrator *orchestrator, struct postgres *postgres,
                              struct explanation *explanation, int64_t input_bytes,
                              struct error *error)
{
    struct postgres_value value = {0};
    struct postgres_rows *rows = NULL;
    struct workflow *workflow = NULL;
    postgres_set_uuid(&value, &explanation->id);
    enum error_code code = postgres_query(postgres, sql_weight, &value, 1, &rows, error);
    bool light = code == ERR_OK && postgres_rows_int(rows, 0, 0) + input_bytes <= REPLAY_BYTES_MAX;
    if (light)
        code = store_read_workflow(postgres, orchestrator->registry, &explanation->id,
                                   &orchestrator->environment, keep_workflow, &workflow, error);
    if (workflow != NULL)
        explanation_add_end(explanation, workflow);
    workflow_free(workflow);
    postgres_rows_free(rows);
    postgres_value_fini(&value);
    return code;
}

static enum error_code read_stored(struct orchestrator *orchestrator, const struct uuid *id,
                                   struct explanation **explanation, struct error *error)
{
    struct postgres *postgres;
    struct postgres_value value = {0};
    struct postgres_rows *rows = NULL;
    char text[UUID_TEXT_BYTES];
    enum error_code code = postgres_pool_get(orchestrator->pool, &postgres, error);
    if (code != ERR_OK)
        return code;
    postgres_set_uuid(&value, id);
    code = postgres_query(postgres, sql_stored, &value, 1, &rows, error);
    if (code == ERR_OK && postgres_rows_count(rows) == 0)
        code = error_set_field(error, ERR_NOT_FOUND, "workflow_id", "there is no workflow %s",
                               uuid_format(id, text));
    if (code == ERR_OK) {
        *explanation = read_row(orchestrator, id, rows);
        if ((*explanation)->state == WORKFLOW_FAILED)
            code = replay(orchestrator, postgres, *explanation,
                          postgres_rows_int(rows, 0, COLUMN_INPUT_BYTES), error);
    }
    postgres_pool_put(orchestrator->pool, postgres);
    postgres_rows_free(rows);
    postgres_value_fini(&value);
    return code;
}

/* All of its shard is in memory here, and it is not. */
static bool is_left_out(const struct orchestrator *orchestrator,
                        const struct explanation *explanation)
{
    return explanation->cause == EXPLANATION_LOADING &&
           orchestrator_owns(orchestrator, explanation->shard) &&
           worker_settled(orchestrator->workers[explanation->shard % orchestrator->workers_count]);
}

static enum error_code explain(struct orchestrator *orchestrator, const struct uuid *id,
                               struct explanation **explanation, struct error *error)
{
    enum error_code code = ERR_OK;
    for (int i = 0; i < ASK_TRIES; i++) {
        explanation_free(*explanation);
        *explanation = ask_all(orchestrator, id, error);
        if (*explanation != NULL)
            return ERR_OK;
        code =
            error->code != ERR_OK ? error->code : read_stored(orchestrator, id, explanation, error);
        if (code != ERR_OK || !is_left_out(orchestrator, *explanation))
            return code;
    }
    (*explanation)->cause = EXPLANATION_REPAIR;
    return ERR_OK;
}

void api_explain(struct http_request *request, struct http_response *response, void *context)
{
    struct explanation *explanation = NULL;
    struct error error = {0};
    struct uuid id;
    if (!api_path_id(request, response, &id))
        return;
    enum error_code code = explain(context, &id, &explanation, &error);
    bool by_owner =
        code == ERR_OK && explanation->cause == EXPLANATION_OWNER &&
        api_forward_question(context, request, response, explanation->shard, OWNER_TIMEOUT_US);
    if (code != ERR_OK) {
        api_fail(response, &error);
    } else if (!by_owner) {
        struct json *answer = explanation_json(explanation, clock_now_us());
        http_json(response, 200, answer);
        json_release(answer);
    }
    explanation_free(explanation);
}
