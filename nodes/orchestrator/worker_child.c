/* SPDX-License-Identifier: MIT */
/* Ends of workflows that other workflows wait for. They are told right after their commit; a parent whose
 * worker did not hear of it (a crash between the two, another instance) finds it in the database. */
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/log.h"
#include "orchestrator/core/task.h"
#include "orchestrator/worker_internal.h"

#define LOOK_US 3000000 /* between two looks for ends that were not told */
#define LOOK_MAX 256    /* children looked for at a time */

static struct worker *worker_of(struct worker *worker, int shard)
{
    struct orchestrator *orchestrator = worker->orchestrator;
    return orchestrator->workers[shard % orchestrator->workers_count];
}

static void count_end(enum workflow_state state)
{
    static const int label[] = {
        [WORKFLOW_COMPLETED] = 1, [WORKFLOW_FAILED] = 2, [WORKFLOW_CANCELLED] = 3};
    metrics_add(METRIC_CHILDREN, label[state], 0, 1);
}

void worker_child_ended(struct worker *worker, const struct workflow *workflow)
{
    const struct workflow_head *head = workflow_head(workflow);
    struct task_token token;
    struct task_answer answer = {0};
    char id[UUID_TEXT_BYTES];
    if (head->parent_token == NULL ||
        !task_token_read(worker->orchestrator->environment.token_secret, head->parent_token,
                         &token))
        return;
    task_workflow_ended(uuid_format(&head->id, id), workflow_state_name(workflow_state(workflow)),
                        workflow_result(workflow), workflow_error(workflow),
                        workflow_cause(workflow), &answer);
    count_end(workflow_state(workflow));
    struct ticket *ticket = ticket_new();
    ticket->question = TICKET_CHILD;
    ticket->id = token.workflow_id;
    ticket->at_shard = token.shard;
    ticket->wait = token.wait;
    ticket->data = json_hold(answer.result);
    if (answer.kind == TASK_FAILED) {
        ticket->name = must_strdup(answer.failure.error);
        ticket->cause = must_strdup(buffer_text(&answer.failure.cause));
    }
    ticket->next = worker->gathering.told;
    worker->gathering.told = ticket;
    task_answer_fini(&answer);
}

void worker_orphan(struct worker *worker, const struct uuid *id)
{
    struct batch *batch = &worker->gathering;
    if (batch->orphans_count == batch->orphans_capacity) {
        batch->orphans_capacity = batch->orphans_capacity == 0 ? 8 : batch->orphans_capacity * 2;
        batch->orphans =
            must_realloc(batch->orphans, batch->orphans_capacity * sizeof *batch->orphans);
    }
    batch->orphans[batch->orphans_count++] = *id;
}

/* The shard of a child is not known here, so every worker is asked; those without it do nothing. */
static void cancel_orphan(struct worker *worker, const struct uuid *id)
{
    for (int i = 0; i < worker->orchestrator->workers_count; i++) {
        struct ticket *ticket = ticket_new();
        ticket->question = TICKET_CANCEL;
        ticket->id = *id;
        ticket->cause = must_strdup("the workflow that started it no longer waits for its end");
        worker_post(worker->orchestrator->workers[i], ticket);
        ticket_release(ticket);
    }
}

void worker_children_after_commit(struct worker *worker, struct batch *batch)
{
    for (struct ticket *ticket = batch->told, *next; ticket != NULL; ticket = next) {
        next = ticket->next;
        if (orchestrator_owns(worker->orchestrator, ticket->at_shard))
            worker_post(worker_of(worker, ticket->at_shard), ticket);
        else
            ticket_release(ticket);
        ticket_release(ticket);
    }
    for (size_t i = 0; i < batch->orphans_count; i++)
        cancel_orphan(worker, &batch->orphans[i]);
    batch->told = NULL;
    batch->orphans_count = 0;
}

void worker_children_drop(struct batch *batch)
{
    for (struct ticket *ticket = batch->told, *next; ticket != NULL; ticket = next) {
        next = ticket->next;
        ticket_release(ticket);
        ticket_release(ticket);
    }
    batch->told = NULL;
    batch->orphans_count = 0;
}

/* -- ends that were not told -- */

static const char sql_ended[] =
    "SELECT id, current_state, result, error_code, error_message FROM workflow_executions "
    "WHERE id = ANY($1) AND completed_at IS NOT NULL";

static const char *text_at(const struct postgres_rows *rows, int row, int column)
{
    return postgres_rows_null(rows, row, column) ? NULL
                                                 : postgres_rows_text(rows, row, column, NULL);
}

static void tell(struct worker *worker, const struct engine_child *child,
                 const struct postgres_rows *rows, int row)
{
    struct task_answer answer = {0};
    size_t bytes = 0;
    char id[UUID_TEXT_BYTES];
    const char *text = postgres_rows_text(rows, row, 2, &bytes);
    struct json *result = text == NULL ? NULL : json_parse(text, bytes, NULL, NULL);
    task_workflow_ended(uuid_format(&child->child, id), postgres_rows_text(rows, row, 1, NULL),
                        result, text_at(rows, row, 3), text_at(rows, row, 4), &answer);
    struct engine_event event = {
        .type = ENGINE_CHILD,
        .now_us = clock_now_us(),
        .id = child->id,
        .wait = child->wait,
        .random = clock_random_unit(),
        .result = answer.result,
        .error = answer.kind == TASK_FAILED ? answer.failure.error : NULL,
        .cause = buffer_text(&answer.failure.cause),
    };
    worker_step(worker, &event, NULL);
    task_answer_fini(&answer);
    json_release(result);
}

int64_t worker_children_due_us(const struct worker *worker)
{
    bool can = worker->store_state == STORE_IDLE && worker_database_up(worker);
    return can && engine_waits_for_children(worker->engine) ? worker->children_us : INT64_MAX;
}

void worker_children_look(struct worker *worker)
{
    struct engine_child children[LOOK_MAX];
    struct postgres_value ids = {0};
    struct postgres_rows *rows = NULL;
    struct error error = {0};
    size_t count = engine_children(worker->engine, children, LOOK_MAX);
    worker->children_us = clock_monotonic_us() + LOOK_US;
    if (count == 0)
        return;
    postgres_array_start(&ids, PG_UUID);
    for (size_t i = 0; i < count; i++)
        postgres_push_uuid(&ids, &children[i].child);
    if (postgres_query(worker->postgres, sql_ended, &ids, 1, &rows, &error) != ERR_OK)
        log_warning("ends of child workflows cannot be looked up", LOG_INT("worker", worker->index),
                    LOG_TEXT("error", error.text));
    for (int row = 0; row < postgres_rows_count(rows); row++) {
        struct uuid id = postgres_rows_uuid(rows, row, 0);
        for (size_t i = 0; i < count; i++)
            if (uuid_equal(&children[i].child, &id))
                tell(worker, &children[i], rows, row);
    }
    postgres_rows_free(rows);
    postgres_value_fini(&ids);
    worker_watch_postgres(worker, false);
}
