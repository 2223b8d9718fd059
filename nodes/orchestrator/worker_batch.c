/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/crash_point.h"
#include "io/log.h"
#include "orchestrator/worker_internal.h"

#define RELOAD_US INT64_C(50000) /* before shards are loaded anew; doubles each time in a row */
#define RELOAD_DOUBLINGS_MAX 7
#define RESEND_US 50000          /* between tries to reach the database again */
#define PUBLISHED_LAG_US 1000000 /* an idle worker writes a moved published_seq this late */

/* -- replies -- */

void worker_refuse(struct ticket *ticket, enum error_code code)
{
    ticket_lock(ticket);
    ticket->code = code;
    ticket_answer(ticket, TICKET_REFUSED);
    ticket_release(ticket);
}

static struct batch_reply *push_reply(struct batch *batch, struct ticket *ticket,
                                      enum ticket_stage stage)
{
    if (batch->replies_count == batch->replies_capacity) {
        batch->replies_capacity = batch->replies_capacity == 0 ? 16 : batch->replies_capacity * 2;
        batch->replies =
            must_realloc(batch->replies, batch->replies_capacity * sizeof *batch->replies);
    }
    struct batch_reply *reply = &batch->replies[batch->replies_count++];
    *reply = (struct batch_reply){.ticket = ticket, .stage = stage};
    return reply;
}

static void describe(struct batch_reply *reply, const struct engine_effect *effect)
{
    const struct workflow *workflow = effect->workflow;
    const struct workflow_head *head = workflow_head(workflow);
    reply->id = head->id;
    reply->state = workflow_state(workflow);
    reply->shard = head->shard;
    reply->created_us = head->created_us;
    reply->started_us = workflow_started_us(workflow);
    reply->completed_us = workflow_completed_us(workflow);
    reply->after_seq = effect->seq + (int64_t)effect->outcome.events_count - 1;
    if (reply->stage != TICKET_ENDED)
        return;
    reply->result = json_hold(workflow_result(workflow));
    reply->error = workflow_error(workflow) == NULL ? NULL : must_strdup(workflow_error(workflow));
    reply->cause = workflow_cause(workflow) == NULL ? NULL : must_strdup(workflow_cause(workflow));
}

static void give(struct batch_reply *reply)
{
    struct ticket *ticket = reply->ticket;
    ticket_lock(ticket);
    ticket->accepted = ticket->accepted || reply->stage == TICKET_ACCEPTED;
    ticket->same_body = reply->same_body;
    if (reply->stage != TICKET_NOT_LIVE)
        ticket->id = reply->id;
    ticket->state = reply->state;
    ticket->shard = reply->shard;
    ticket->created_us = reply->created_us;
    ticket->started_us = reply->started_us;
    ticket->completed_us = reply->completed_us;
    ticket->after_seq = reply->after_seq;
    ticket->result = reply->result;
    ticket->error = reply->error;
    ticket->error_cause = reply->cause;
    ticket_answer(ticket, reply->stage);
    ticket_release(ticket);
}

/* Tickets whose HTTP thread has stopped waiting. */
static void drop_deserted(struct watchers *watchers)
{
    for (struct ticket **place = &watchers->first; *place != NULL;) {
        struct ticket *ticket = *place;
        if (!ticket_is_deserted(ticket)) {
            place = &ticket->next;
            continue;
        }
        *place = ticket->next;
        ticket_release(ticket);
    }
}

void worker_watch(struct worker *worker, const struct uuid *id, struct ticket *ticket)
{
    struct watchers *watchers;
    HASH_FIND(hh, worker->watchers, id, sizeof *id, watchers);
    if (watchers == NULL) {
        watchers = must_calloc(1, sizeof *watchers);
        watchers->id = *id;
        HASH_ADD(hh, worker->watchers, id, sizeof watchers->id, watchers);
    }
    drop_deserted(watchers);
    ticket->next = watchers->first;
    watchers->first = ticket;
}

/* The workflow ends with this batch: its watchers are told after the commit. */
static void move_watchers(struct worker *worker, const struct engine_effect *effect)
{
    struct watchers *watchers;
    HASH_FIND(hh, worker->watchers, &effect->id, sizeof effect->id, watchers);
    if (watchers == NULL)
        return;
    for (struct ticket *ticket = watchers->first, *next; ticket != NULL; ticket = next) {
        next = ticket->next;
        describe(push_reply(&worker->gathering, ticket, TICKET_ENDED), effect);
    }
    HASH_DEL(worker->watchers, watchers);
    free(watchers);
}

/* -- effects -- */

static void push_call(struct batch *batch, const struct engine_effect *effect)
{
    if (batch->calls_count == batch->calls_capacity) {
        batch->calls_capacity = batch->calls_capacity == 0 ? 16 : batch->calls_capacity * 2;
        batch->calls = must_realloc(batch->calls, batch->calls_capacity * sizeof *batch->calls);
    }
    batch->calls[batch->calls_count++] =
        (struct batch_call){effect->id, effect->wait, effect->service, effect->era};
}

static void push_end(struct batch *batch, const struct workflow *workflow)
{
    if (batch->ends_count == batch->ends_capacity) {
        batch->ends_capacity = batch->ends_capacity == 0 ? 16 : batch->ends_capacity * 2;
        batch->ends = must_realloc(batch->ends, batch->ends_capacity * sizeof *batch->ends);
    }
    batch->ends[batch->ends_count++] =
        (struct batch_end){workflow_head(workflow)->id, workflow_state(workflow),
                           workflow_completed_us(workflow) - workflow_head(workflow)->created_us};
}

/* On an older schema a held step is one only in memory. */
static void take_hold(struct worker *worker, const struct engine_effect *effect)
{
    const struct services *services = registry_services(worker->orchestrator->registry);
    if (!breakers_keep_holds(worker->orchestrator))
        return;
    bool held = effect->type == ENGINE_HELD;
    int16_t shard = held ? workflow_head(effect->workflow)->shard : effect->shard;
    store_holds_add(store_batch_holds(worker->gathering.store), effect,
                    held ? services->items[effect->service].name : NULL);
    worker->gathering.touched[shard] = true;
}

static void take_recorded(struct worker *worker, const struct engine_effect *effect,
                          struct ticket *ticket)
{
    struct batch *batch = &worker->gathering;
    bool is_submission = effect->is_new && ticket != NULL;
    store_batch_add(batch->store, effect, is_submission ? ticket->key : NULL,
                    is_submission ? ticket->body_hash : NULL);
    publisher_build(worker->orchestrator->publisher, effect->workflow, &effect->record,
                    &effect->outcome, effect->seq, &batch->events);
    batch->touched[workflow_head(effect->workflow)->shard] = true;
    if (effect->is_new) {
        worker_child_started(worker, effect->workflow);
        batch->accepted++;
    }
    batch->queued += effect->queued;
    if (effect->ended)
        push_end(batch, effect->workflow);
    if (is_submission) {
        bool both = ticket->wants_end;
        describe(push_reply(batch, both ? ticket_hold(ticket) : ticket, TICKET_ACCEPTED), effect);
        if (both)
            worker_watch(worker, &effect->id, ticket);
    } else if (ticket != NULL) {
        bool cancel = ticket->question == TICKET_CANCEL;
        describe(push_reply(batch, ticket, cancel ? TICKET_ENDED : TICKET_ACCEPTED), effect);
    }
    if (effect->ended && workflow_was_held(effect->workflow) &&
        breakers_keep_holds(worker->orchestrator))
        store_holds_end(store_batch_holds(batch->store), &effect->id);
    if (effect->ended) {
        move_watchers(worker, effect);
        worker_child_ended(worker, effect->workflow);
    }
}

/* What the database knows of the workflow is asked for after the transactions under way: its end may be in
 * one of them. */
void worker_reply_not_live(struct worker *worker, struct ticket *ticket)
{
    push_reply(&worker->gathering, ticket, TICKET_NOT_LIVE);
}

/* True when the ticket was answered. */
static bool take_effect(struct worker *worker, const struct engine_effect *effect,
                        struct ticket *ticket)
{
    struct batch_reply *reply;
    switch (effect->type) {
    case ENGINE_RECORDED:
        take_recorded(worker, effect, ticket);
        return true;
    case ENGINE_CALL:
        push_call(&worker->gathering, effect);
        break;
    case ENGINE_ABANDON:
        worker_abandon(worker, &effect->id, effect->wait);
        break;
    case ENGINE_ORPHAN:
        worker_orphan(worker, &(struct engine_child){effect->parent, effect->wait, effect->id});
        break;
    case ENGINE_HELD:
    case ENGINE_UNHELD:
        take_hold(worker, effect);
        break;
    case ENGINE_DUPLICATE:
        reply = push_reply(&worker->gathering, ticket, TICKET_DUPLICATE);
        reply->id = effect->id;
        reply->same_body = effect->same_body;
        if (ticket->question == TICKET_SUBMIT)
            atomic_fetch_sub(&worker->orchestrator->queued, 1);
        return true;
    case ENGINE_HEARD:
        describe(push_reply(&worker->gathering, ticket, TICKET_ACCEPTED), effect);
        return true;
    case ENGINE_UNKNOWN:
        worker_reply_not_live(worker, ticket);
        return true;
    case ENGINE_FULL:
        worker_refuse(ticket, ERR_LIMIT);
        return true;
    case ENGINE_STALE:
        if (ticket != NULL)
            push_reply(&worker->gathering, ticket, TICKET_STALE)->id = effect->id;
        else
            metrics_add(METRIC_STALE_ANSWERS, 0, 0, 1);
        return true;
    }
    return false;
}

/* What the engine holds, for other threads and as metrics (the sum over all workers). */
static void show_engine(struct worker *worker)
{
    long long live = (long long)engine_live(worker->engine);
    long long pending = (long long)engine_pending(worker->engine);
    long long bytes = engine_live_bytes(worker->engine);
    metrics_gauge_add(METRIC_WORKFLOWS_LIVE, 0, 0, (double)(live - atomic_load(&worker->live)));
    metrics_gauge_add(METRIC_WORKFLOW_QUEUE, 0, 0, (double)(pending - worker->pending));
    metrics_gauge_add(METRIC_WORKFLOWS_LIVE_BYTES, 0, 0,
                      (double)(bytes - atomic_load(&worker->live_bytes)));
    worker->pending = pending;
    atomic_store_explicit(&worker->live, live, memory_order_relaxed);
    atomic_store_explicit(&worker->live_bytes, bytes, memory_order_relaxed);
}

void worker_step(struct worker *worker, const struct engine_event *event, struct ticket *ticket)
{
    engine_effects_clear(&worker->effects);
    engine_step(worker->engine, event, &worker->effects);
    for (size_t i = 0; i < worker->effects.count; i++) {
        const struct engine_effect *effect = &worker->effects.items[i];
        /* A step may also start other workflows in freed slots: the ticket belongs to its own. */
        bool own = ticket != NULL && (effect->type != ENGINE_RECORDED || effect->is_new ||
                                      uuid_equal(&effect->id, &event->id));
        if (take_effect(worker, effect, own ? ticket : NULL) && own)
            ticket = NULL;
    }
    if (ticket != NULL)
        worker_refuse(ticket, ERR_CONFLICT);
    engine_effects_clear(&worker->effects);
    show_engine(worker);
}

/* -- batches -- */

static void batch_clear(struct batch *batch)
{
    store_batch_clear(batch->store);
    worker_children_drop(batch);
    publisher_events_clear(&batch->events);
    batch->calls_count = batch->replies_count = batch->ends_count = 0;
    batch->accepted = 0;
    batch->queued = 0;
    batch->lanes_count = 0;
    memset(batch->touched, 0, sizeof batch->touched);
}

void worker_batch_drop(struct worker *worker, struct batch *batch, enum error_code code)
{
    for (size_t i = 0; i < batch->calls_count; i++)
        worker_call_drop(worker, &batch->calls[i]);
    for (size_t i = 0; i < batch->replies_count; i++) {
        json_release(batch->replies[i].result);
        free(batch->replies[i].error);
        free(batch->replies[i].cause);
        worker_refuse(batch->replies[i].ticket, code);
    }
    batch_clear(batch);
}

void worker_batch_fini(struct batch *batch)
{
    store_batch_free(batch->store);
    publisher_events_fini(&batch->events);
    free(batch->calls);
    free(batch->replies);
    free(batch->ends);
    free(batch->orphans);
}

static bool batch_is_empty(const struct batch *batch)
{
    return store_batch_records(batch->store) == 0 && batch->calls_count == 0 &&
           store_holds_empty(store_batch_holds(batch->store)) && batch->replies_count == 0 &&
           batch->orphans_count == 0;
}

bool worker_has_gathered(const struct worker *worker)
{
    return !batch_is_empty(&worker->gathering);
}

static void count_ends(const struct batch *batch)
{
    static const int label[] = {
        [WORKFLOW_COMPLETED] = 0, [WORKFLOW_FAILED] = 1, [WORKFLOW_CANCELLED] = 2};
    for (size_t i = 0; i < batch->ends_count; i++) {
        int result = label[batch->ends[i].state];
        metrics_add(METRIC_WORKFLOW_TOTAL, result, 0, 1);
        metrics_observe(METRIC_WORKFLOW_DURATION, result, 0,
                        (double)batch->ends[i].took_us / 1000.0);
        if (batch->ends[i].state == WORKFLOW_FAILED)
            metrics_add(METRIC_WORKFLOW_ERRORS, 0, 0, 1);
    }
}

/* The batch is in the database: replies, events, calls, in this order. */
static void after_commit(struct worker *worker)
{
    struct batch *batch = &worker->flying;
    CRASH_POINT("commit_done");
    worker->reloads = 0;
    if (batch->lanes_count > 0)
        worker->committed_us = clock_monotonic_us();
    for (int i = 0; i < batch->lanes_count; i++) {
        struct worker_lane *lane = &worker->lanes[batch->lanes[i].shard];
        lane->commits++;
        lane->next_seq = batch->lanes[i].next_seq;
        lane->published_seq = batch->lanes[i].published_seq;
        memcpy(lane->cluster_id, batch->lanes[i].cluster_id, sizeof lane->cluster_id);
    }
    if (store_batch_records(batch->store) > 0) {
        metrics_observe(METRIC_COMMIT_BATCH, 0, 0, store_batch_records(batch->store));
        metrics_observe(METRIC_COMMIT_DURATION, 0, 0,
                        (double)(worker->committed_us - worker->sent_us) / 1e6);
    }
    metrics_add(METRIC_WORKFLOW_ACCEPTED, 0, 0, batch->accepted);
    atomic_fetch_add(&worker->orchestrator->queued, batch->queued);
    count_ends(batch);
    for (size_t i = 0; i < batch->replies_count; i++)
        give(&batch->replies[i]);
    batch->replies_count = 0;
    CRASH_POINT("replied");
    publisher_commit(worker->orchestrator->publisher, &batch->events);
    CRASH_POINT("published");
    worker_children_after_commit(worker, batch);
    worker->store_state = STORE_IDLE;
    for (size_t i = 0; i < batch->calls_count; i++)
        worker_call(worker, &batch->calls[i]);
    if (batch->calls_count > 0)
        CRASH_POINT("called");
    batch_clear(batch);
    worker_leave_end(worker);
}

void worker_disown(struct worker *worker, int16_t shard)
{
    struct orchestrator *orchestrator = worker->orchestrator;
    worker->owned[shard] = false;
    atomic_fetch_and(&orchestrator->owned[shard / 64], ~(UINT64_C(1) << (shard % 64)));
    publisher_lane_close(orchestrator->publisher, shard);
    metrics_gauge_add(METRIC_SHARDS_OWNED, 0, 0, -1);
}

/* Gives the shards up: those who wait are refused with `code`, calls under way are dropped. The ownership
 * thread hears of it when they are not to be taken again. */
void worker_release_shards(struct worker *worker, enum error_code code)
{
    struct orchestrator *orchestrator = worker->orchestrator;
    long long queued = (long long)engine_pending(worker->engine) - worker->flying.queued -
                       worker->gathering.queued;
    /* What was sent may be in the database, whatever follows. */
    worker_batch_drop(worker, &worker->flying,
                      worker->store_state == STORE_IDLE ? code : ERR_OUTCOME_UNKNOWN);
    worker_batch_drop(worker, &worker->gathering, code);
    worker_calls_drop(worker);
    worker_loading_drop(worker);
    struct watchers *watchers, *next;
    HASH_ITER(hh, worker->watchers, watchers, next)
    {
        for (struct ticket *ticket = watchers->first, *after; ticket != NULL; ticket = after) {
            after = ticket->next;
            worker_refuse(ticket, code);
        }
        HASH_DEL(worker->watchers, watchers);
        free(watchers);
    }
    for (int16_t shard = 0; shard < orchestrator->shards; shard++) {
        if (!worker->owned[shard])
            continue;
        if (code == ERR_FENCED || worker_asked(worker, shard))
            worker_left(worker, shard);
        else
            worker_disown(worker, shard);
    }
    worker_leave_settle(worker);
    atomic_fetch_sub(&orchestrator->queued, queued);
    worker->links_count = 0;
    engine_free(worker->engine);
    worker->engine = worker_engine_new(worker);
    show_engine(worker);
    worker->store_state = STORE_IDLE;
}

/* -- the transaction -- */

static bool lane_moved(struct worker *worker, int16_t shard, char *cluster_id)
{
    const struct worker_lane *lane = &worker->lanes[shard];
    int64_t published = publisher_published(worker->orchestrator->publisher, shard, cluster_id);
    return published != lane->published_seq || strcmp(cluster_id, lane->cluster_id) != 0;
}

static void fill_lanes(struct worker *worker, struct batch *batch, bool idle)
{
    batch->lanes_count = 0;
    for (int16_t shard = 0; shard < worker->orchestrator->shards; shard++) {
        char cluster_id[PUBLISHER_CLUSTER_BYTES];
        if (!worker->owned[shard] ||
            !(batch->touched[shard] || (idle && lane_moved(worker, shard, cluster_id))))
            continue;
        const struct worker_lane *lane = &worker->lanes[shard];
        struct store_lane *row = &batch->lanes[batch->lanes_count++];
        *row = (struct store_lane){.shard = shard,
                                   .epoch = lane->epoch,
                                   .commits = lane->commits,
                                   .next_seq = engine_lane_next(worker->engine, shard)};
        row->published_seq =
            publisher_published(worker->orchestrator->publisher, shard, row->cluster_id);
    }
}

static void send_flying(struct worker *worker)
{
    struct error error = {0};
    struct batch *batch = &worker->flying;
    worker->sent_us = clock_monotonic_us();
    CRASH_POINT("commit_unsent");
    enum error_code code =
        store_batch_put(batch->store, worker->postgres, batch->lanes, batch->lanes_count, &error);
    if (code == ERR_OK)
        code = postgres_batch_start(worker->postgres, 0, &error);
    if (code == ERR_OK) {
        CRASH_POINT("commit_sent");
        worker->store_state = STORE_FLYING;
        worker_watch_postgres(worker, true);
        worker_store_poll(worker);
        return;
    }
    worker->store_state = STORE_RESEND;
    worker->outcome_unknown = worker->outcome_unknown || code == ERR_OUTCOME_UNKNOWN;
    worker->retry_us = clock_monotonic_us() + RESEND_US;
    atomic_store(&worker->database_up, false);
    worker_watch_postgres(worker, false);
    log_warning("database cannot be reached", LOG_INT("worker", worker->index),
                LOG_TEXT("error", error.text));
}

/* After a lost connection: is the batch in? Our commit counter tells. */
static enum error_code look_up_outcome(struct worker *worker, bool *is_in, struct error *error)
{
    struct postgres_value value = {0};
    struct postgres_rows *rows = NULL;
    const struct store_lane *lane = &worker->flying.lanes[0];
    postgres_set_int2(&value, lane->shard);
    enum error_code code =
        postgres_query(worker->postgres, "SELECT epoch, commits FROM shards WHERE shard = $1",
                       &value, 1, &rows, error);
    if (code == ERR_OK && postgres_rows_int(rows, 0, 0) != lane->epoch)
        code = error_set(error, ERR_FENCED, "shard %d has another owner", lane->shard);
    if (code == ERR_OK)
        *is_in = postgres_rows_int(rows, 0, 1) == lane->commits + 1;
    postgres_rows_free(rows);
    postgres_value_fini(&value);
    return code;
}

static void database_back(struct worker *worker)
{
    if (atomic_exchange(&worker->database_up, true))
        return;
    engine_heard(worker->engine, clock_now_us());
    log_info("database is back", LOG_INT("worker", worker->index));
}

static void fenced(struct worker *worker, const char *text)
{
    log_error("fenced: this instance no longer owns its shards and stops writing",
              LOG_INT("worker", worker->index), LOG_TEXT("error", text));
    worker_release_shards(worker, ERR_FENCED);
}

/* The database refused the batch for a reason we did not foresee: what is in it wins. */
static void reload(struct worker *worker, const struct error *error)
{
    struct worker_lane lanes[SHARDS_MAX];
    int count = 0;
    log_error("a batch was refused; its shards are loaded anew", LOG_INT("worker", worker->index),
              LOG_TEXT("error", error->text));
    for (int16_t shard = 0; shard < worker->orchestrator->shards; shard++)
        if (worker->owned[shard] && !worker_asked(worker, shard))
            lanes[count++] = worker->lanes[shard];
    worker_release_shards(worker, ERR_OUTCOME_UNKNOWN);
    worker_take(worker, lanes, count);
    worker->load_us = clock_monotonic_us() + (RELOAD_US << worker->reloads);
    if (worker->reloads < RELOAD_DOUBLINGS_MAX)
        worker->reloads++;
}

static void batch_failed(struct worker *worker, enum error_code code, const struct error *error)
{
    metrics_add(METRIC_COMMIT_ERRORS, 0, 0, 1);
    switch ((int)code) {
    case ERR_FENCED:
        worker->store_state = STORE_IDLE; /* rolled back: those who wait may ask the new owner */
        fenced(worker, error->text);
        break;
    case ERR_DATABASE:
    case ERR_OUTCOME_UNKNOWN:
        atomic_store(&worker->database_up, false);
        /* fall through */
    case ERR_TIMEOUT:
    case ERR_UNAVAILABLE:
        log_warning("transaction failed and is tried again", LOG_INT("worker", worker->index),
                    LOG_TEXT("error", error->text));
        worker->store_state = STORE_RESEND;
        worker->outcome_unknown = worker->outcome_unknown || code == ERR_OUTCOME_UNKNOWN;
        worker->retry_us = clock_monotonic_us() + RESEND_US;
        worker_watch_postgres(worker, false);
        break;
    default:
        reload(worker, error);
    }
}

/* A server that neither answers nor closes: the outcome will be looked up. */
void worker_store_check_reply(struct worker *worker, int64_t timeout_us)
{
    struct error error = {0};
    if (worker->store_state != STORE_FLYING || clock_monotonic_us() - worker->sent_us < timeout_us)
        return;
    postgres_disconnect(worker->postgres);
    error_set(&error, ERR_OUTCOME_UNKNOWN, "the database does not answer");
    batch_failed(worker, ERR_OUTCOME_UNKNOWN, &error);
}

static void resend(struct worker *worker)
{
    struct error error = {0};
    bool is_in = false;
    worker->retry_us = clock_monotonic_us() + RESEND_US;
    enum error_code code = postgres_connect(worker->postgres, &error);
    if (code == ERR_OK && worker->outcome_unknown)
        code = look_up_outcome(worker, &is_in, &error);
    if (code == ERR_FENCED)
        fenced(worker, error.text);
    if (code != ERR_OK)
        return;
    database_back(worker);
    worker->outcome_unknown = false;
    if (is_in)
        after_commit(worker);
    else
        send_flying(worker);
}

void worker_store_poll(struct worker *worker)
{
    if (worker->store_state != STORE_FLYING)
        return;
    bool done = false, wants_write = false;
    struct error error = {0};
    enum error_code code = postgres_batch_poll(worker->postgres, &done, &wants_write, NULL, &error);
    if (!done) {
        worker_watch_postgres(worker, wants_write);
        return;
    }
    worker_watch_postgres(worker, false);
    if (code == ERR_OK)
        after_commit(worker);
    else
        batch_failed(worker, code, &error);
}

static bool reconnect(struct worker *worker, int64_t now_us)
{
    if (now_us < worker->retry_us)
        return false;
    worker->retry_us = now_us + RESEND_US;
    if (postgres_connect(worker->postgres, NULL) != ERR_OK)
        return false;
    database_back(worker);
    worker_watch_postgres(worker, false);
    return true;
}

void worker_store_start(struct worker *worker)
{
    if (worker->store_state == STORE_FLYING)
        return;
    int64_t now_us = clock_monotonic_us();
    if (worker->store_state == STORE_RESEND) {
        if (now_us >= worker->retry_us)
            resend(worker);
        return;
    }
    if (!atomic_load(&worker->database_up) && !reconnect(worker, now_us))
        return;
    bool leaving = worker_leave_begin(worker);
    bool empty = batch_is_empty(&worker->gathering) && !leaving;
    if (empty && now_us - worker->committed_us < PUBLISHED_LAG_US)
        return;
    if (empty && now_us < worker->retry_us)
        return;
    fill_lanes(worker, &worker->gathering, empty);
    if (empty && worker->gathering.lanes_count == 0) {
        worker->retry_us = now_us + PUBLISHED_LAG_US;
        return;
    }
    struct batch batch = worker->flying;
    worker->flying = worker->gathering;
    worker->gathering = batch;
    if (worker->flying.lanes_count == 0)
        after_commit(worker); /* nothing to write: only calls to make */
    else
        send_flying(worker);
}

void worker_store_check_idle(struct worker *worker)
{
    if (worker->store_state == STORE_FLYING || !postgres_is_dead(worker->postgres))
        return;
    postgres_disconnect(worker->postgres);
    worker_watch_postgres(worker, false);
    atomic_store(&worker->database_up, false);
    if (worker->store_state == STORE_IDLE) /* else the batch is sent again when it is due */
        worker->retry_us = clock_monotonic_us() + RESEND_US;
    log_warning("database connection lost", LOG_INT("worker", worker->index));
}
