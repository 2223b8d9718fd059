/* SPDX-License-Identifier: MIT */
/* worker_internal.h - what the files worker*.c share; nobody else includes it.
 *
 *     worker.c         life of the thread, epoll, mailbox
 *     worker_load.c    taking shards and loading their workflows
 *     worker_leave.c   giving shards up
 *     worker_batch.c   effects to rows, the transaction, what follows the commit
 *     worker_explain.c why a workflow is where it is
 *     worker_call.c    calls to services, and to our own API
 *     worker_child.c   workflows that were started by others: their ends, told and looked for
 */
#ifndef ORCHESTRATOR_WORKER_INTERNAL_H
#define ORCHESTRATOR_WORKER_INTERNAL_H

#include <pthread.h>
#include <uthash.h>

#include "io/http_multi.h"
#include "orchestrator/breakers.h"
#include "orchestrator/store.h"
#include "orchestrator/worker.h"

/* A call to make once the commit is confirmed. */
struct batch_call {
    struct uuid id;
    uint32_t wait;
    int service; /* whose breaker let it pass; -1: none was asked */
    uint32_t era;
};

/* What those who wait are told once the commit is confirmed. */
struct batch_reply {
    struct ticket *ticket;
    enum ticket_stage stage;
    struct uuid id;
    bool same_body;
    enum workflow_state state;
    int16_t shard;
    int64_t created_us, started_us, completed_us, after_seq;
    struct json *result;
    char *error, *cause;
};

struct batch_end {
    struct uuid id;
    enum workflow_state state;
    int64_t took_us;
};

struct batch {
    struct store_batch *store;
    struct publisher_events events;
    struct batch_call *calls;
    size_t calls_count, calls_capacity;
    struct batch_reply *replies;
    size_t replies_count, replies_capacity;
    struct batch_end *ends;
    size_t ends_count, ends_capacity;
    struct ticket *told;          /* starts and ends of children, for their parents' workers */
    struct engine_child *orphans; /* workflows to cancel: nobody waits for their end any more */
    size_t orphans_count, orphans_capacity;
    uint64_t accepted; /* workflows */
    long long queued;  /* how many more of them wait to start */
    bool touched[SHARDS_MAX];
    struct store_lane lanes[SHARDS_MAX]; /* as sent */
    int lanes_count;
};

/* Those who wait for the end of a workflow. */
struct watchers {
    struct uuid id;
    struct ticket *first;
    UT_hash_handle hh;
};

/* A workflow that was loaded, and the step that waits for its end. */
struct child_link {
    struct uuid child;
    struct task_token parent;
    bool ripe; /* it is looked after at the next look; a child just started at the one after */
};

struct call_key {
    struct uuid id;
    uint32_t wait;
    uint32_t attempt;
};

struct call {
    struct call_key key; /* memset before filling: hashed with its padding */
    struct http_multi_call *handle;
    struct worker *worker;
    const struct task_resource *task;
    int service;   /* -1: our own API */
    int passed_by; /* the service whose breaker let it pass; -1: none was asked */
    uint32_t era;  /* of that breaker */
    int64_t started_us;
    UT_hash_handle hh;
};

enum store_state {
    STORE_IDLE,
    STORE_FLYING, /* a transaction is under way */
    STORE_RESEND, /* the flying batch waits for the database, or for its outcome to be looked up */
};

struct worker {
    struct orchestrator *orchestrator;
    int index;
    pthread_t thread;
    int epoll_fd, mailbox_fd;
    pthread_mutex_t lock; /* the mailbox */
    struct ticket *mail_first, *mail_last;
    struct worker_lane *takes;
    atomic_int takes_count;
    atomic_bool stop, woken;
    bool halted; /* under the lock */
    atomic_bool database_up, serving, settled;
    atomic_llong live, live_bytes;
    long long pending; /* as shown last */
    struct postgres *postgres;
    int postgres_fd; /* in epoll, -1 when not */
    bool postgres_wants_write;
    struct http_multi *http;
    struct breakers_view gate; /* before its engine */
    struct engine *engine;
    struct engine_effects effects;
    struct batch gathering, flying;
    enum store_state store_state;
    bool outcome_unknown;
    int64_t sent_us, retry_us, load_us, committed_us;
    struct engine_hold *holds; /* of workflows that are being loaded, by id */
    size_t holds_count;
    struct store_loading *loading;               /* NULL: all workflows of our shards are there */
    int64_t loading_us;                          /* since when */
    struct ticket *kept_first, *kept_last;       /* asked meanwhile */
    struct ticket *retries_first, *retries_last; /* wait for the connection to be free */
    int reloads;                                 /* in a row */
    struct worker_lane lanes[SHARDS_MAX];        /* owned ones, by shard */
    bool owned[SHARDS_MAX];
    bool asked[SHARDS_MAX]; /* to be given up; under the lock */
    atomic_bool asked_any;
    bool leaving[SHARDS_MAX]; /* their workflows are gone, the last transaction is under way */
    struct worker_lane left[SHARDS_MAX]; /* under the lock: given up, and not asked for yet */
    int left_count;
    struct watchers *watchers;
    struct call *calls;
    int starts;                 /* of them, calls of our own API */
    struct batch_call *waiting; /* calls of our own API that wait for their turn */
    size_t waiting_count, waiting_capacity;
    int64_t children_us; /* when ends of children are looked for next, while any are waited for */
    struct child_link *links; /* of children loaded or started: are they orphans? */
    size_t links_count, links_capacity;
};

/* worker_batch.c */
void worker_step(struct worker *worker, const struct engine_event *event, struct ticket *ticket);
void worker_store_start(struct worker *worker);
void worker_store_poll(struct worker *worker);
void worker_store_check_reply(struct worker *worker, int64_t timeout_us);
void worker_reply_not_live(struct worker *worker, struct ticket *ticket);
bool worker_has_gathered(const struct worker *worker);
void worker_store_check_idle(struct worker *worker);
void worker_watch(struct worker *worker, const struct uuid *id, struct ticket *ticket);
void worker_refuse(struct ticket *ticket, enum error_code code);
void worker_batch_drop(struct worker *worker, struct batch *batch,
                       enum error_code code); /* refuses all replies */
void worker_batch_fini(struct batch *batch);
void worker_release_shards(struct worker *worker, enum error_code code);
void worker_disown(struct worker *worker, int16_t shard);

/* worker_load.c */
void worker_take_shards(struct worker *worker);
void worker_load_more(struct worker *worker); /* a chunk, when worker_can_load */
void worker_take_retries(struct worker *worker);
bool worker_can_load(const struct worker *worker);
void worker_loading_drop(struct worker *worker);

/* worker_leave.c */
/* Right before a transaction is put together: true when it is the last one of a shard. */
bool worker_leave_begin(struct worker *worker);
void worker_leave_end(struct worker *worker); /* after the commit */
bool worker_asked(struct worker *worker, int16_t shard);
void worker_left(struct worker *worker, int16_t shard); /* one that was asked for */
void worker_leave_settle(struct worker *worker);

/* worker_call.c */
void worker_call(struct worker *worker, const struct batch_call *call);
void worker_call_drop(struct worker *worker, const struct batch_call *call); /* not made */
void worker_abandon(struct worker *worker, const struct uuid *id, uint32_t wait);
void worker_call_done(void *context, const struct http_multi_answer *answer);
void worker_calls_start_waiting(struct worker *worker);
void worker_calls_drop(struct worker *worker);

/* When the call under way began, and when it is given up; false when none is. */
bool worker_call_times(struct worker *worker, const struct uuid *id, uint32_t wait,
                       int64_t *started_us, int64_t *limit_us);

/* worker_explain.c */
void worker_explain(struct worker *worker, struct ticket *ticket);

/* worker_child.c */
void worker_child_started(struct worker *worker, const struct workflow *workflow);
void worker_child_ended(struct worker *worker, const struct workflow *workflow);
void worker_child_loaded(struct worker *worker, const struct workflow *workflow);
void worker_child_lives(struct worker *worker, struct ticket *ticket);
void worker_orphan(struct worker *worker, const struct engine_child *orphan);
void worker_child_orphaned(struct worker *worker, struct ticket *ticket);
void worker_children_after_commit(struct worker *worker, struct batch *batch);
void worker_children_drop(struct batch *batch);
void worker_children_look(struct worker *worker);
void worker_children_look_soon(struct worker *worker); /* a child has ended at another instance */
int64_t worker_children_due_us(const struct worker *worker); /* by clock_monotonic_us */

/* worker.c */
struct engine *worker_engine_new(struct worker *worker) MUST_USE;
void worker_ring(struct worker *worker);
/* Its workflows are here, and more may come. */
static inline bool worker_owns(const struct worker *worker, int shard)
{
    return worker->owned[shard] && !worker->leaving[shard];
}
void worker_watch_postgres(struct worker *worker, bool wants_write);

#endif
