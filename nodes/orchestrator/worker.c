/* SPDX-License-Identifier: MIT */
#include "orchestrator/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/log.h"
#include "orchestrator/worker_internal.h"

#define EPOLL_MAILBOX UINT64_MAX
#define EPOLL_POSTGRES (UINT64_MAX - 1)
#define EPOLL_EVENTS 64
#define TIMEOUT_MS_MAX 1000
#define RETRY_LOAD_US 100000

/* -- mailbox -- */

static void ring(struct worker *worker)
{
    uint64_t one = 1;
    ssize_t written = write(worker->mailbox_fd, &one, sizeof one);
    (void)written;
}

static void refuse_mail(struct worker *worker, struct ticket *ticket)
{
    if (ticket->question == TICKET_SUBMIT)
        atomic_fetch_sub(&worker->orchestrator->queued, 1);
    worker_refuse(ticket, ERR_STOPPING);
}

void worker_post(struct worker *worker, struct ticket *ticket)
{
    ticket->next = NULL;
    pthread_mutex_lock(&worker->lock);
    if (worker->halted) {
        pthread_mutex_unlock(&worker->lock);
        refuse_mail(worker, ticket);
        return;
    }
    bool was_empty = worker->mail_first == NULL;
    if (was_empty)
        worker->mail_first = ticket;
    else
        worker->mail_last->next = ticket;
    worker->mail_last = ticket;
    pthread_mutex_unlock(&worker->lock);
    metrics_gauge_add(METRIC_MAILBOX, 0, 0, 1);
    if (was_empty)
        ring(worker);
}

void worker_take(struct worker *worker, const struct worker_lane *lanes, int count)
{
    pthread_mutex_lock(&worker->lock);
    worker->takes =
        must_realloc(worker->takes, (size_t)(worker->takes_count + count) * sizeof *lanes);
    memcpy(worker->takes + worker->takes_count, lanes, (size_t)count * sizeof *lanes);
    worker->takes_count += count;
    atomic_store(&worker->settled, false);
    pthread_mutex_unlock(&worker->lock);
    ring(worker);
}

bool worker_database_up(const struct worker *worker)
{
    return atomic_load_explicit(&worker->database_up, memory_order_relaxed);
}
bool worker_settled(const struct worker *worker) { return atomic_load(&worker->settled); }
int64_t worker_live_bytes(const struct worker *worker) { return atomic_load(&worker->live_bytes); }
int64_t worker_live(const struct worker *worker) { return atomic_load(&worker->live); }

/* -- taking shards -- */

static void on_workflow(void *context, struct workflow *workflow)
{
    struct worker *worker = context;
    worker_child_loaded(worker, workflow);
    if (workflow_state(workflow) == WORKFLOW_PENDING)
        atomic_fetch_add(&worker->orchestrator->queued, 1);
    worker_step(
        worker,
        &(struct engine_event){.type = ENGINE_LOAD, .now_us = clock_now_us(), .workflow = workflow},
        NULL);
}

static void own(struct worker *worker, const struct worker_lane *lane)
{
    worker->lanes[lane->shard] = *lane;
    worker->owned[lane->shard] = true;
    engine_lane_open(worker->engine, lane->shard, lane->next_seq);
    publisher_lane_open(worker->orchestrator->publisher, lane->shard, lane->next_seq,
                        lane->published_seq, lane->cluster_id);
    atomic_fetch_or(&worker->orchestrator->owned[lane->shard / 64], UINT64_C(1)
                                                                        << (lane->shard % 64));
    metrics_gauge_add(METRIC_SHARDS_OWNED, 0, 0, 1);
}

/* The rows as they are now: after a refused batch those in memory may be wrong. Shards that have another
 * epoch meanwhile are left out. */
static enum error_code read_lanes(struct worker *worker, struct worker_lane *lanes, int *count,
                                  struct error *error)
{
    struct postgres_value value = {0};
    struct postgres_rows *rows = NULL;
    int kept = 0;
    postgres_array_start(&value, PG_INT2);
    for (int i = 0; i < *count; i++)
        postgres_push_int2(&value, lanes[i].shard);
    enum error_code code = postgres_query(
        worker->postgres,
        "SELECT shard, epoch, commits, next_seq, published_seq, cluster_id FROM shards "
        "WHERE shard = ANY($1) ORDER BY shard",
        &value, 1, &rows, error);
    struct worker_lane fresh[SHARDS_MAX];
    for (int i = 0; code == ERR_OK && i < postgres_rows_count(rows); i++) {
        struct worker_lane lane = {.shard = (int16_t)postgres_rows_int(rows, i, 0),
                                   .epoch = postgres_rows_int(rows, i, 1),
                                   .commits = postgres_rows_int(rows, i, 2),
                                   .next_seq = postgres_rows_int(rows, i, 3),
                                   .published_seq = postgres_rows_int(rows, i, 4)};
        snprintf(lane.cluster_id, sizeof lane.cluster_id, "%s",
                 postgres_rows_text(rows, i, 5, NULL));
        for (int k = 0; k < *count; k++)
            if (lanes[k].shard == lane.shard && lanes[k].epoch == lane.epoch)
                fresh[kept++] = lane;
    }
    if (code == ERR_OK) {
        memcpy(lanes, fresh, (size_t)kept * sizeof *lanes);
        *count = kept;
    }
    postgres_rows_free(rows);
    postgres_value_fini(&value);
    return code;
}

/* Loads the live workflows of shards that are ours. False when the database did not answer: then the
 * lanes are put back to be taken later. */
bool worker_load(struct worker *worker, const struct worker_lane *given, int given_count)
{
    struct worker_lane lanes[SHARDS_MAX];
    int16_t shards[SHARDS_MAX];
    int count = given_count;
    struct error error = {0};
    memcpy(lanes, given, (size_t)count * sizeof *lanes);
    enum error_code code = postgres_connect(worker->postgres, &error);
    if (code == ERR_OK)
        code = read_lanes(worker, lanes, &count, &error);
    for (int i = 0; i < count; i++)
        shards[i] = lanes[i].shard;
    int64_t began_us = clock_monotonic_us();
    for (int i = 0; i < count && code == ERR_OK; i++)
        own(worker, &lanes[i]);
    if (code == ERR_OK)
        code = store_load_live(worker->postgres, worker->orchestrator->registry, shards, count,
                               &worker->orchestrator->environment, on_workflow, worker, &error);
    worker_watch_postgres(worker, false);
    atomic_store(&worker->database_up, code == ERR_OK);
    if (code == ERR_OK) {
        log_info("shards loaded", LOG_INT("worker", worker->index), LOG_INT("shards", count),
                 LOG_INT("workflows", (int64_t)engine_live(worker->engine)),
                 LOG_INT("duration_us", clock_monotonic_us() - began_us));
        return true;
    }
    log_warning("shards cannot be loaded and are tried again", LOG_INT("worker", worker->index),
                LOG_TEXT("error", error.text));
    worker_release_shards(worker, ERR_DATABASE);
    worker_take(worker, given, given_count);
    worker->load_us = clock_monotonic_us() + RETRY_LOAD_US;
    return false;
}

/* -- the loop -- */

void worker_watch_postgres(struct worker *worker, bool wants_write)
{
    int fd = postgres_socket(worker->postgres);
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? (uint32_t)EPOLLOUT : 0),
                                .data.u64 = EPOLL_POSTGRES};
    if (fd == worker->postgres_fd && fd >= 0 && wants_write == worker->postgres_wants_write &&
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0)
        return;
    if (worker->postgres_fd >= 0 && worker->postgres_fd != fd)
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, worker->postgres_fd, NULL);
    if (fd >= 0 && epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    worker->postgres_fd = fd;
    worker->postgres_wants_write = wants_write;
}

static void take_submission(struct worker *worker, struct ticket *ticket)
{
    struct orchestrator *orchestrator = worker->orchestrator;
    struct workflow *workflow = ticket->workflow;
    int16_t shard = workflow_head(workflow)->shard;
    enum error_code refusal = worker->stop                  ? ERR_STOPPING
                              : !worker->owned[shard]       ? ERR_NOT_OWNER
                              : !worker_database_up(worker) ? ERR_DATABASE
                              : clock_monotonic_us() - ticket->read_us > SUBMIT_AGE_US_MAX
                                  ? ERR_TIMEOUT
                                  : ERR_OK;
    if (refusal != ERR_OK) {
        atomic_fetch_sub(&orchestrator->queued, 1);
        worker_refuse(ticket, refusal);
        return;
    }
    struct engine_event event = {.type = ENGINE_SUBMIT,
                                 .now_us = clock_now_us(),
                                 .workflow = workflow,
                                 .key = ticket->key,
                                 .id = workflow_head(workflow)->id};
    memcpy(event.body_hash, ticket->body_hash, BODY_HASH_BYTES);
    ticket->workflow = NULL;
    worker_step(worker, &event, ticket);
}

/* A signal, a token's answer or a child's end, for a workflow of a shard that should be ours. */
static void take_message(struct worker *worker, struct ticket *ticket)
{
    static const enum engine_event_type types[] = {[TICKET_TOKEN] = ENGINE_TOKEN,
                                                   [TICKET_HEARTBEAT] = ENGINE_HEARTBEAT,
                                                   [TICKET_CHILD] = ENGINE_CHILD,
                                                   [TICKET_SIGNAL] = ENGINE_SIGNAL};
    bool signal = ticket->question == TICKET_SIGNAL;
    enum error_code refusal = worker->stop                       ? ERR_STOPPING
                              : !worker->owned[ticket->at_shard] ? ERR_NOT_OWNER
                              : !worker_database_up(worker)      ? ERR_DATABASE
                                                                 : ERR_OK;
    if (refusal != ERR_OK) {
        worker_refuse(ticket, refusal);
        return;
    }
    if (ticket->question == TICKET_LIVES) {
        worker_child_lives(worker, ticket);
        return;
    }
    struct engine_event event = {
        .type = types[ticket->question],
        .now_us = clock_now_us(),
        .id = ticket->id,
        .wait = ticket->wait,
        .random = clock_random_unit(),
        .key = ticket->key,
        .signal = signal ? ticket->name : NULL,
        .result = ticket->data,
        .error = signal ? NULL : ticket->name,
        .cause = ticket->cause,
    };
    worker_step(worker, &event, ticket);
}

static void take_ticket(struct worker *worker, struct ticket *ticket)
{
    switch (ticket->question) {
    case TICKET_TOKEN:
    case TICKET_HEARTBEAT:
    case TICKET_CHILD:
    case TICKET_LIVES:
    case TICKET_SIGNAL:
        take_message(worker, ticket);
        break;
    case TICKET_SUBMIT:
        take_submission(worker, ticket);
        break;
    case TICKET_CANCEL:
        worker_step(worker,
                    &(struct engine_event){.type = ENGINE_CANCEL,
                                           .now_us = clock_now_us(),
                                           .id = ticket->id,
                                           .cause = ticket->cause},
                    ticket);
        break;
    case TICKET_WATCH:
        if (engine_find(worker->engine, &ticket->id) != NULL) {
            struct uuid id = ticket->id;
            worker_watch(worker, &id, ticket);
            break;
        }
        worker_reply_not_live(worker, ticket);
        break;
    }
}

static void take_mail(struct worker *worker)
{
    uint64_t rings;
    ssize_t got = read(worker->mailbox_fd, &rings, sizeof rings);
    (void)got;
    pthread_mutex_lock(&worker->lock);
    struct ticket *ticket = worker->mail_first;
    worker->mail_first = worker->mail_last = NULL;
    pthread_mutex_unlock(&worker->lock);
    for (struct ticket *next; ticket != NULL; ticket = next) {
        next = ticket->next;
        metrics_gauge_add(METRIC_MAILBOX, 0, 0, -1);
        take_ticket(worker, ticket);
    }
}

static void take_shards(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    struct worker_lane *lanes = worker->takes;
    int count = worker->takes_count;
    bool later = worker->store_state != STORE_IDLE || clock_monotonic_us() < worker->load_us;
    if (count > 0 && !later) {
        worker->takes = NULL;
        worker->takes_count = 0;
    }
    pthread_mutex_unlock(&worker->lock);
    if (count == 0 || later)
        return;
    for (int i = 0; i < count; i++)
        if (worker->owned[lanes[i].shard])
            worker_release_shards(
                worker, ERR_FENCED); /* given anew: what is in memory is no longer the truth */
    bool loaded = worker_load(worker, lanes, count);
    free(lanes);
    pthread_mutex_lock(&worker->lock);
    if (loaded && worker->takes_count == 0)
        atomic_store(&worker->settled, true);
    pthread_mutex_unlock(&worker->lock);
}

static bool publishing(const struct worker *worker)
{
    for (int shard = 0; shard < worker->orchestrator->shards; shard++)
        if (worker->owned[shard] &&
            worker->lanes[shard].published_seq < worker->lanes[shard].next_seq - 1)
            return true;
    return false;
}

#define STOP_REPLY_TIMEOUT_US 2000000

static int64_t reply_timeout_us(const struct worker *worker)
{
    return worker->stop ? STOP_REPLY_TIMEOUT_US : worker->orchestrator->config->lease_ms * 1000;
}

/* While the database is away timers wait: what they set off could not be written, and would pile up. */
static bool can_write(const struct worker *worker)
{
    return worker->store_state != STORE_RESEND && worker_database_up(worker);
}

static int next_timeout_ms(const struct worker *worker)
{
    int64_t now_us = clock_now_us(), monotonic_us = clock_monotonic_us();
    int64_t wait_us = INT64_MAX, due_us = engine_next_due_us(worker->engine);
    if (due_us != INT64_MAX && can_write(worker))
        wait_us = due_us - now_us;
    if (http_multi_due_us(worker->http) != INT64_MAX &&
        http_multi_due_us(worker->http) - monotonic_us < wait_us)
        wait_us = http_multi_due_us(worker->http) - monotonic_us;
    if ((worker->store_state == STORE_RESEND || !worker_database_up(worker)) &&
        worker->retry_us - monotonic_us < wait_us)
        wait_us = worker->retry_us - monotonic_us;
    if (worker->store_state == STORE_IDLE && worker->takes_count > 0 &&
        worker->load_us - monotonic_us < wait_us)
        wait_us = worker->load_us - monotonic_us;
    if (worker->store_state == STORE_IDLE && worker_database_up(worker) &&
        worker_has_gathered(worker))
        wait_us = 0;
    if (worker->store_state == STORE_FLYING &&
        worker->sent_us + reply_timeout_us(worker) - monotonic_us < wait_us)
        wait_us = worker->sent_us + reply_timeout_us(worker) - monotonic_us;
    if (worker_children_due_us(worker) != INT64_MAX &&
        worker_children_due_us(worker) - monotonic_us < wait_us)
        wait_us = worker_children_due_us(worker) - monotonic_us;
    if (publishing(worker) && wait_us > TIMEOUT_MS_MAX * 1000)
        wait_us = TIMEOUT_MS_MAX * 1000;
    if (wait_us == INT64_MAX)
        return -1;
    return wait_us <= 0          ? 0
           : wait_us > INT32_MAX ? INT32_MAX / 1000
                                 : (int)((wait_us + 999) / 1000);
}

static void turn(struct worker *worker)
{
    struct epoll_event events[EPOLL_EVENTS];
    int count = epoll_wait(worker->epoll_fd, events, EPOLL_EVENTS, next_timeout_ms(worker));
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == EPOLL_MAILBOX)
            take_mail(worker);
        else if (events[i].data.u64 != EPOLL_POSTGRES)
            http_multi_event(worker->http, (int)events[i].data.u64, events[i].events);
        else if (worker->store_state == STORE_FLYING)
            worker_store_poll(worker);
        else
            worker_store_check_idle(worker);
    }
    worker_store_check_reply(worker, reply_timeout_us(worker));
    if (http_multi_due_us(worker->http) <= clock_monotonic_us())
        http_multi_tick(worker->http);
    int64_t now_us = clock_now_us();
    if (can_write(worker) && engine_next_due_us(worker->engine) <= now_us)
        worker_step(worker,
                    &(struct engine_event){
                        .type = ENGINE_TICK, .now_us = now_us, .random = clock_random_unit()},
                    NULL);
    take_shards(worker);
    worker_calls_start_waiting(worker);
    if (worker_children_due_us(worker) <= clock_monotonic_us())
        worker_children_look(worker);
    worker_store_start(worker);
}

static bool stopped(struct worker *worker)
{
    return worker->stop && worker->store_state != STORE_FLYING;
}

static void *run(void *context)
{
    struct worker *worker = context;
    while (!stopped(worker))
        turn(worker);
    take_mail(worker);
    if (worker->store_state == STORE_IDLE && worker_database_up(worker)) {
        worker->committed_us = worker->retry_us =
            0; /* what was recorded and published meanwhile is written too */
        worker_store_start(worker);
        for (int i = 0; i < EPOLL_EVENTS && worker->store_state == STORE_FLYING; i++)
            turn(worker);
    }
    worker_release_shards(worker, ERR_STOPPING);
    return NULL;
}

/* -- life -- */

struct worker *worker_start(struct orchestrator *orchestrator, int index)
{
    struct worker *worker = must_calloc(1, sizeof *worker);
    char name[64];
    snprintf(name, sizeof name, "bridge-orchestrator %s", orchestrator->node_id);
    worker->orchestrator = orchestrator;
    worker->index = index;
    worker->postgres_fd = -1;
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->mailbox_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    BUG_IF(worker->epoll_fd < 0 || worker->mailbox_fd < 0);
    epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->mailbox_fd,
              &(struct epoll_event){.events = EPOLLIN, .data.u64 = EPOLL_MAILBOX});
    pthread_mutex_init(&worker->lock, NULL);
    worker->postgres = postgres_new(orchestrator->database_url, name, STORE_SETTINGS);
    postgres_set_reply_timeout(worker->postgres, (int)orchestrator->config->lease_ms);
    worker->http =
        http_multi_new(worker->epoll_fd, (int)orchestrator->config->orchestrator_concurrency,
                       worker_call_done, worker);
    worker->engine = engine_new(orchestrator->config->orchestrator_concurrency);
    worker->gathering.store = store_batch_new();
    worker->flying.store = store_batch_new();
    atomic_store(&worker->settled, true);
    atomic_store(&worker->database_up, true);
    int failed = pthread_create(&worker->thread, NULL, run, worker);
    BUG_IF(failed);
    return worker;
}

void worker_halt(struct worker *worker)
{
    worker->stop = true;
    ring(worker);
    pthread_join(worker->thread, NULL);
    pthread_mutex_lock(&worker->lock);
    worker->halted = true;
    struct ticket *ticket = worker->mail_first;
    worker->mail_first = worker->mail_last = NULL;
    pthread_mutex_unlock(&worker->lock);
    for (struct ticket *next; ticket != NULL; ticket = next) {
        next = ticket->next;
        refuse_mail(worker, ticket);
    }
}

void worker_free(struct worker *worker)
{
    worker_batch_fini(&worker->gathering);
    worker_batch_fini(&worker->flying);
    engine_effects_fini(&worker->effects);
    engine_free(worker->engine);
    http_multi_free(worker->http);
    postgres_free(worker->postgres);
    free(worker->takes);
    free(worker->waiting);
    free(worker->links);
    close(worker->epoll_fd);
    close(worker->mailbox_fd);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}
