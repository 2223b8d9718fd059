/* SPDX-License-Identifier: MIT */
/* Workflows whose end another workflow waits for. Start and end are told to the parent's worker right after
 * their commit; what it did not hear of (a crash between the two, another instance) is found in the
 * database. A child whose parent no longer waits is cancelled. */
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/log.h"
#include "orchestrator/core/task.h"
#include "orchestrator/notes.h"
#include "orchestrator/worker_internal.h"

#define LOOK_US 3000000    /* between two looks for ends that were not told */
#define LOOK_MAX 256       /* children looked for at a time */
#define LOOK_SOON_US 10000 /* after a note: more of them may follow */

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

/* False when no other workflow waits for its end; the end of its first run was the one waited for. */
static bool parent_of(const struct worker *worker, const struct workflow *workflow,
                      struct task_token *parent)
{
    const char *text = workflow_head(workflow)->parent_token;
    return text != NULL && workflow_head(workflow)->run == 1 &&
           task_token_read(worker->orchestrator->environment.token_secret, text, parent);
}

static struct ticket *message(const struct task_token *parent)
{
    struct ticket *ticket = ticket_new();
    ticket->id = parent->workflow_id;
    ticket->at_shard = parent->shard;
    ticket->wait = parent->wait;
    return ticket;
}

/* To be sent after the commit. */
static void tell_later(struct worker *worker, struct ticket *ticket)
{
    ticket->next = worker->gathering.told;
    worker->gathering.told = ticket;
}

/* To the parent's worker, or as a note to the parent's instance. */
static void send(struct worker *worker, struct ticket *ticket)
{
    struct orchestrator *orchestrator = worker->orchestrator;
    if (orchestrator_owns(orchestrator, ticket->at_shard)) {
        worker_post(worker_of(worker, ticket->at_shard), ticket);
    } else {
        notes_send(
            orchestrator,
            &(struct note){.kind = ticket->question == TICKET_LIVES ? NOTE_LIVES : NOTE_ENDED,
                           .shard = ticket->at_shard,
                           .parent = ticket->id,
                           .child = ticket->child,
                           .wait = ticket->wait});
        ticket_release(ticket);
    }
    ticket_release(ticket);
}

static struct ticket *life_sign(const struct uuid *child, const struct task_token *parent)
{
    struct ticket *ticket = message(parent);
    ticket->question = TICKET_LIVES;
    ticket->child = *child;
    return ticket;
}

static void add_link(struct worker *worker, const struct child_link *link)
{
    if (worker->links_count == worker->links_capacity) {
        worker->links_capacity = worker->links_capacity == 0 ? 16 : worker->links_capacity * 2;
        worker->links = must_realloc(worker->links, worker->links_capacity * sizeof *worker->links);
    }
    worker->links[worker->links_count++] = *link;
}

/* The parent hears of it at once, and is asked once more a few seconds later: it may have stopped to
 * wait in the very moment of the start. */
void worker_child_started(struct worker *worker, const struct workflow *workflow)
{
    struct child_link link = {.child = workflow_head(workflow)->id};
    if (!parent_of(worker, workflow, &link.parent))
        return;
    tell_later(worker, life_sign(&link.child, &link.parent));
    add_link(worker, &link);
}

void worker_child_ended(struct worker *worker, const struct workflow *workflow)
{
    struct task_token parent;
    struct task_answer answer = {0};
    char id[UUID_TEXT_BYTES];
    if (!parent_of(worker, workflow, &parent))
        return;
    task_workflow_ended(uuid_format(&workflow_head(workflow)->id, id),
                        workflow_state_name(workflow_state(workflow)), workflow_result(workflow),
                        workflow_error(workflow), workflow_cause(workflow), &answer);
    count_end(workflow_state(workflow));
    struct ticket *ticket = message(&parent);
    ticket->question = TICKET_CHILD;
    ticket->data = json_hold(answer.result);
    if (answer.kind == TASK_FAILED) {
        ticket->name = must_strdup(answer.failure.error);
        ticket->cause = must_strdup(buffer_text(&answer.failure.cause));
    }
    tell_later(worker, ticket);
    task_answer_fini(&answer);
}

void worker_child_loaded(struct worker *worker, const struct workflow *workflow)
{
    struct child_link link = {.child = workflow_head(workflow)->id, .ripe = true};
    if (parent_of(worker, workflow, &link.parent))
        add_link(worker, &link);
}

void worker_orphan(struct worker *worker, const struct engine_child *orphan)
{
    struct batch *batch = &worker->gathering;
    if (batch->orphans_count == batch->orphans_capacity) {
        batch->orphans_capacity = batch->orphans_capacity == 0 ? 8 : batch->orphans_capacity * 2;
        batch->orphans =
            must_realloc(batch->orphans, batch->orphans_capacity * sizeof *batch->orphans);
    }
    batch->orphans[batch->orphans_count++] = *orphan;
}

/* The shard of a child is not known here, so every worker is asked, here and elsewhere; those without it do
 * nothing. */
static void cancel_orphan(struct worker *worker, const struct engine_child *orphan)
{
    for (int i = 0; i < worker->orchestrator->workers_count; i++) {
        struct ticket *ticket = ticket_new();
        ticket->question = TICKET_ORPHAN;
        ticket->id = orphan->child;
        ticket->parent = orphan->id;
        ticket->wait = orphan->wait;
        worker_post(worker->orchestrator->workers[i], ticket);
        ticket_release(ticket);
    }
    if (engine_find(worker->engine, &orphan->child) == NULL)
        notes_send(worker->orchestrator, &(struct note){.kind = NOTE_ORPHAN,
                                                        .parent = orphan->id,
                                                        .child = orphan->child,
                                                        .wait = orphan->wait});
}

/* Only who started it may cancel it: an idempotency key leads to workflows of others, too. */
void worker_child_orphaned(struct worker *worker, struct ticket *ticket)
{
    struct task_token parent;
    const struct workflow *workflow = engine_find(worker->engine, &ticket->id);
    if (workflow != NULL && parent_of(worker, workflow, &parent) &&
        uuid_equal(&parent.workflow_id, &ticket->parent) && parent.wait == ticket->wait)
        worker_step(worker,
                    &(struct engine_event){
                        .type = ENGINE_CANCEL,
                        .now_us = clock_now_us(),
                        .id = ticket->id,
                        .cause = "the workflow that started it no longer waits for its end"},
                    NULL);
    ticket_release(ticket);
}

/* Nobody waits for the child when its parent's wait is closed, or the parent has ended. One that was there
 * when the shards were loaded is asked for in the database first: its parent may have been left out. */
void worker_child_lives(struct worker *worker, struct ticket *ticket)
{
    struct engine_child child = {ticket->id, ticket->wait, ticket->child};
    bool unknown = engine_find(worker->engine, &ticket->id) == NULL && ticket->loaded;
    if (!unknown && !engine_child_started(worker->engine, &child))
        cancel_orphan(worker, &child);
    ticket_release(ticket);
}

void worker_children_after_commit(struct worker *worker, struct batch *batch)
{
    for (struct ticket *ticket = batch->told, *next; ticket != NULL; ticket = next) {
        next = ticket->next;
        send(worker, ticket);
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

/* Asks the database which of these workflows have ended; NULL when it does not say. */
static struct postgres_rows *ask_ended(struct worker *worker, struct postgres_value *ids)
{
    struct postgres_rows *rows = NULL;
    struct error error = {0};
    if (postgres_query(worker->postgres, sql_ended, ids, 1, &rows, &error) != ERR_OK)
        log_warning("ends of workflows cannot be looked up", LOG_INT("worker", worker->index),
                    LOG_TEXT("error", error.text));
    postgres_value_fini(ids);
    worker_watch_postgres(worker, false);
    return rows;
}

/* True when there are probably more. */
static bool look_for_ends(struct worker *worker)
{
    struct engine_child children[LOOK_MAX];
    struct postgres_value ids = {0};
    size_t count = engine_children(worker->engine, children, LOOK_MAX);
    if (count == 0)
        return false;
    postgres_array_start(&ids, PG_UUID);
    for (size_t i = 0; i < count; i++)
        postgres_push_uuid(&ids, &children[i].child);
    struct postgres_rows *rows = ask_ended(worker, &ids);
    bool many = postgres_rows_count(rows) > LOOK_MAX / 2;
    for (int row = 0; row < postgres_rows_count(rows); row++) {
        struct uuid id = postgres_rows_uuid(rows, row, 0);
        for (size_t i = 0; i < count; i++)
            if (uuid_equal(&children[i].child, &id))
                tell(worker, &children[i], rows, row);
    }
    postgres_rows_free(rows);
    return many;
}

static bool all_settled(const struct orchestrator *orchestrator)
{
    for (int i = 0; i < orchestrator->workers_count; i++)
        if (!worker_settled(orchestrator->workers[i]))
            return false;
    return true;
}

static bool has_row(const struct postgres_rows *rows, const struct uuid *id)
{
    for (int row = 0; row < postgres_rows_count(rows); row++) {
        struct uuid found = postgres_rows_uuid(rows, row, 0);
        if (uuid_equal(&found, id))
            return true;
    }
    return false;
}

/* Leaves out the children that have ended; the ripe ones come last. */
static size_t ripe_links(struct worker *worker)
{
    size_t count = 0, ripe = 0;
    for (size_t i = 0; i < worker->links_count; i++)
        if (engine_find(worker->engine, &worker->links[i].child) != NULL)
            worker->links[count++] = worker->links[i];
    worker->links_count = count;
    for (size_t i = 0; i + ripe < count;) {
        struct child_link link = worker->links[i];
        if (!link.ripe) {
            worker->links[i++].ripe = true;
            continue;
        }
        ripe++;
        worker->links[i] = worker->links[count - ripe];
        worker->links[count - ripe] = link;
    }
    return ripe;
}

/* Children are seen to when all shards are loaded: a crash may have come between the end of a parent's
 * wait and the cancel of its child. Those of parents elsewhere are seen to as long as they live, for a note
 * may be lost. */
static void look_for_orphans(struct worker *worker)
{
    struct postgres_value ids = {0};
    if (worker->links_count == 0 || !all_settled(worker->orchestrator))
        return;
    size_t ripe = ripe_links(worker);
    size_t first = worker->links_count - (ripe > LOOK_MAX ? LOOK_MAX : ripe), kept = first;
    if (first == worker->links_count)
        return;
    postgres_array_start(&ids, PG_UUID);
    for (size_t i = first; i < worker->links_count; i++)
        postgres_push_uuid(&ids, &worker->links[i].parent.workflow_id);
    struct postgres_rows *rows = ask_ended(worker, &ids);
    if (rows == NULL)
        return;
    for (size_t i = first; i < worker->links_count; i++) {
        const struct child_link *link = &worker->links[i];
        if (has_row(rows, &link->parent.workflow_id)) {
            cancel_orphan(worker, &(struct engine_child){link->parent.workflow_id,
                                                         link->parent.wait, link->child});
            continue;
        }
        struct ticket *ticket = life_sign(&link->child, &link->parent);
        ticket->loaded = true;
        send(worker, ticket);
        if (!orchestrator_owns(worker->orchestrator, link->parent.shard)) {
            worker->links[kept] = *link;
            worker->links[kept++].ripe = false;
        }
    }
    worker->links_count = kept;
    postgres_rows_free(rows);
}

int64_t worker_children_due_us(const struct worker *worker)
{
    bool can = worker->store_state == STORE_IDLE && worker_database_up(worker);
    bool wanted = engine_waits_for_children(worker->engine) || worker->links_count > 0;
    return can && wanted ? worker->children_us : INT64_MAX;
}

void worker_children_look_soon(struct worker *worker)
{
    int64_t soon_us = clock_monotonic_us() + LOOK_SOON_US;
    if (soon_us < worker->children_us)
        worker->children_us = soon_us;
}

void worker_children_look(struct worker *worker)
{
    bool more = look_for_ends(worker);
    worker->children_us = clock_monotonic_us() + (more ? 0 : LOOK_US);
    look_for_orphans(worker);
}
