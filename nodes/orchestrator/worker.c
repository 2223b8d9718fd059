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
#define SMALL_ANSWER_BYTES 65536

/* -- mailbox -- */

void worker_ring(struct worker *worker)
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

static void refuse_all(struct worker *worker, struct ticket *ticket)
{
    for (struct ticket *next; ticket != NULL; ticket = next) {
        next = ticket->next;
        refuse_mail(worker, ticket);
    }
}

void worker_post(struct worker *worker, struct ticket *ticket)
{
    pthread_mutex_lock(&worker->lock);
    if (worker->halted) {
        pthread_mutex_unlock(&worker->lock);
        refuse_mail(worker, ticket);
        return;
    }
    bool was_empty = worker->mail_first == NULL;
    ticket_append(&worker->mail_first, &worker->mail_last, ticket);
    pthread_mutex_unlock(&worker->lock);
    metrics_gauge_add(METRIC_MAILBOX, 0, 0, 1);
    if (was_empty)
        worker_ring(worker);
}

static bool runs_any(const struct worker *worker)
{
    const struct orchestrator *orchestrator = worker->orchestrator;
    for (int s = worker->index; s < orchestrator->shards; s += orchestrator->workers_count)
        if (orchestrator_owns(orchestrator, s))
            return true;
    return false;
}

void worker_wake(struct worker *worker)
{
    if (!atomic_exchange(&worker->woken, true))
        worker_ring(worker);
}

void worker_take(struct worker *worker, const struct worker_lane *lanes, int count)
{
    pthread_mutex_lock(&worker->lock);
    worker->takes =
        must_realloc(worker->takes, (size_t)(worker->takes_count + count) * sizeof *lanes);
    memcpy(worker->takes + worker->takes_count, lanes, (size_t)count * sizeof *lanes);
    worker->takes_count += count;
    if (!runs_any(worker))
        atomic_store(&worker->serving, false);
    atomic_store(&worker->settled, false);
    pthread_mutex_unlock(&worker->lock);
    worker_ring(worker);
}

bool worker_database_up(const struct worker *worker)
{
    return atomic_load_explicit(&worker->database_up, memory_order_relaxed);
}
bool worker_serving(const struct worker *worker) { return atomic_load(&worker->serving); }
bool worker_settled(const struct worker *worker) { return atomic_load(&worker->settled); }
int64_t worker_live(const struct worker *worker) { return atomic_load(&worker->live); }

bool worker_memory_full(const struct orchestrator *orchestrator)
{
    int64_t bytes = 0;
    for (int i = 0; i < orchestrator->workers_count; i++)
        bytes += atomic_load(&orchestrator->workers[i]->live_bytes);
    return bytes >> 20 >= orchestrator->config->max_workflow_memory_mb;
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
                              : !worker_owns(worker, shard) ? ERR_NOT_OWNER
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

/* When the memory is full nothing comes in that would be kept. What ends a wait helps to end a workflow,
 * which makes room, so it comes in while it is small. */
static bool is_too_heavy(struct worker *worker, const struct ticket *ticket)
{
    bool signal = ticket->question == TICKET_SIGNAL;
    if ((!signal && ticket->question != TICKET_TOKEN) || ticket->data == NULL ||
        !worker_memory_full(worker->orchestrator))
        return false;
    struct workflow *workflow = engine_find(worker->engine, &ticket->id);
    if (workflow == NULL ||
        (signal && ticket->key != NULL && workflow_signal_known(workflow, ticket->key)))
        return false;
    return (signal && workflow_signal_wait(workflow, ticket->name) == 0) ||
           json_text_bytes(ticket->data) > SMALL_ANSWER_BYTES;
}

/* A signal, a token's answer or a child's end, for a workflow of a shard that should be ours. */
static void take_message(struct worker *worker, struct ticket *ticket)
{
    static const enum engine_event_type types[] = {[TICKET_TOKEN] = ENGINE_TOKEN,
                                                   [TICKET_HEARTBEAT] = ENGINE_HEARTBEAT,
                                                   [TICKET_CHILD] = ENGINE_CHILD,
                                                   [TICKET_SIGNAL] = ENGINE_SIGNAL};
    bool signal = ticket->question == TICKET_SIGNAL;
    enum error_code refusal = worker->stop                             ? ERR_STOPPING
                              : !worker_owns(worker, ticket->at_shard) ? ERR_NOT_OWNER
                              : !worker_database_up(worker)            ? ERR_DATABASE
                              : is_too_heavy(worker, ticket)           ? ERR_LIMIT
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

/* A workflow that is not here has ended only if its shard is here. */
static void take_command(struct worker *worker, struct ticket *ticket)
{
    static const enum engine_event_type types[] = {[TICKET_CANCEL] = ENGINE_CANCEL,
                                                   [TICKET_PAUSE] = ENGINE_PAUSE,
                                                   [TICKET_RESUME] = ENGINE_RESUME};
    if (!worker_owns(worker, ticket->at_shard)) {
        worker_refuse(ticket, ERR_NOT_OWNER);
        return;
    }
    worker_step(worker,
                &(struct engine_event){.type = types[ticket->question],
                                       .now_us = clock_now_us(),
                                       .id = ticket->id,
                                       .cause = ticket->cause},
                ticket);
}

static void take_ticket(struct worker *worker, struct ticket *ticket)
{
    if (ticket->question == TICKET_EXPLAIN) {
        worker_explain(worker, ticket);
        return;
    }
    if (worker->loading != NULL && ticket->question != TICKET_SUBMIT &&
        ticket->question != TICKET_LOOK && engine_find(worker->engine, &ticket->id) == NULL) {
        ticket_append(&worker->kept_first, &worker->kept_last, ticket);
        return;
    }
    switch (ticket->question) {
    case TICKET_TOKEN:
    case TICKET_HEARTBEAT:
    case TICKET_CHILD:
    case TICKET_LIVES:
    case TICKET_SIGNAL:
        take_message(worker, ticket);
        break;
    case TICKET_EXPLAIN:
        break; /* answered above, whatever is being loaded */
    case TICKET_ORPHAN:
        worker_child_orphaned(worker, ticket);
        break;
    case TICKET_LOOK:
        worker_children_look_soon(worker);
        ticket_release(ticket);
        break;
    case TICKET_SUBMIT:
        take_submission(worker, ticket);
        break;
    case TICKET_CANCEL:
    case TICKET_PAUSE:
    case TICKET_RESUME:
        take_command(worker, ticket);
        break;
    case TICKET_RETRY:
        ticket_append(&worker->retries_first, &worker->retries_last, ticket);
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

/* What was asked while workflows were being loaded, now that they are there. */
static void ask_kept(struct worker *worker)
{
    if (worker->loading != NULL)
        return;
    struct ticket *ticket = worker->kept_first;
    worker->kept_first = worker->kept_last = NULL;
    for (struct ticket *next; ticket != NULL; ticket = next) {
        next = ticket->next;
        take_ticket(worker, ticket);
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
    if (worker->store_state == STORE_IDLE && worker->loading == NULL && worker->takes_count > 0 &&
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
    if (worker_can_load(worker))
        wait_us = 0;
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
    if (atomic_exchange(&worker->woken, false))
        worker_step(worker,
                    &(struct engine_event){.type = ENGINE_GATE,
                                           .now_us = clock_now_us(),
                                           .random = clock_random_unit()},
                    NULL);
    if (http_multi_due_us(worker->http) <= clock_monotonic_us())
        http_multi_tick(worker->http);
    int64_t now_us = clock_now_us();
    if (can_write(worker) && engine_next_due_us(worker->engine) <= now_us)
        worker_step(worker,
                    &(struct engine_event){
                        .type = ENGINE_TICK, .now_us = now_us, .random = clock_random_unit()},
                    NULL);
    worker_take_shards(worker);
    worker_load_more(worker);
    ask_kept(worker);
    worker_take_retries(worker);
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
    /* Before shards come, so that they need not wait for it. */
    atomic_store(&worker->database_up, postgres_connect(worker->postgres, NULL) == ERR_OK);
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
    refuse_all(worker, worker->kept_first);
    refuse_all(worker, worker->retries_first);
    worker->kept_first = worker->kept_last = worker->retries_first = worker->retries_last = NULL;
    return NULL;
}

/* -- life -- */

struct engine *worker_engine_new(struct worker *worker)
{
    struct engine *engine = engine_new(worker->orchestrator->config->orchestrator_concurrency);
    struct engine_gate gate;
    if (worker->gate.breakers == NULL)
        return engine; /* every call may be made */
    breakers_gate(&worker->gate, &gate);
    engine_set_gate(engine, &gate);
    return engine;
}

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
    worker->gate = (struct breakers_view){orchestrator->breakers, index};
    worker->engine = worker_engine_new(worker);
    worker->gathering.store = store_batch_new();
    worker->flying.store = store_batch_new();
    atomic_store(&worker->serving, true);
    atomic_store(&worker->settled, true);
    atomic_store(&worker->database_up, true);
    int failed = pthread_create(&worker->thread, NULL, run, worker);
    BUG_IF(failed);
    return worker;
}

void worker_halt(struct worker *worker)
{
    worker->stop = true;
    worker_ring(worker);
    pthread_join(worker->thread, NULL);
    pthread_mutex_lock(&worker->lock);
    worker->halted = true;
    struct ticket *ticket = worker->mail_first;
    worker->mail_first = worker->mail_last = NULL;
    pthread_mutex_unlock(&worker->lock);
    refuse_all(worker, ticket);
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
    free(worker->holds);
    close(worker->epoll_fd);
    close(worker->mailbox_fd);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
}
