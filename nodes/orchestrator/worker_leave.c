/* SPDX-License-Identifier: MIT */
/* worker_leave.c - giving shards up in good order.
 *
 * What was gathered for a shard goes with the next transaction; from then on its workflows are forgotten, so
 * that nothing more is gathered for it. After the commit those who wait are told to ask the new owner, and the
 * ownership thread hears that the shard may be given to others.
 */
#include <stdlib.h>

#include "io/clock.h"
#include "orchestrator/worker_internal.h"

void worker_give(struct worker *worker, const int16_t *shards, int count)
{
    pthread_mutex_lock(&worker->lock);
    for (int i = 0; i < count; i++)
        worker->asked[shards[i]] = true;
    atomic_store(&worker->asked_any, true);
    pthread_mutex_unlock(&worker->lock);
    worker_ring(worker);
}

int worker_given(struct worker *worker, struct worker_lane *lanes)
{
    pthread_mutex_lock(&worker->lock);
    int count = worker->left_count;
    for (int i = 0; i < count; i++)
        lanes[i] = worker->left[i];
    worker->left_count = 0;
    pthread_mutex_unlock(&worker->lock);
    return count;
}

/* Calls whose workflow is no longer here; the new owner makes them again, under the same idempotency key. */
static void drop_calls(struct worker *worker)
{
    struct call *call, *next;
    HASH_ITER(hh, worker->calls, call, next)
    if (engine_find(worker->engine, &call->key.id) == NULL)
        worker_abandon(worker, &call->key.id, call->key.wait);
}

bool worker_asked(struct worker *worker, int16_t shard)
{
    pthread_mutex_lock(&worker->lock);
    bool asked = worker->asked[shard];
    pthread_mutex_unlock(&worker->lock);
    return asked;
}

/* It is not here and not on its way: it was lost since it was asked for. */
static bool is_lost(struct worker *worker, int16_t shard)
{
    return !worker->owned[shard] && worker->takes_count == 0;
}

bool worker_leave_begin(struct worker *worker)
{
    bool any = false;
    if (!atomic_load(&worker->asked_any))
        return false;
    size_t pending = engine_pending(worker->engine);
    for (int16_t shard = 0; shard < worker->orchestrator->shards; shard++) {
        if (worker->leaving[shard] || !worker_asked(worker, shard))
            continue;
        if (is_lost(worker, shard))
            worker_left(worker, shard);
        if (!worker->owned[shard])
            continue;
        worker->leaving[shard] = any = true;
        engine_shard_close(worker->engine, shard);
    }
    worker_leave_settle(worker);
    if (!any)
        return false;
    atomic_fetch_sub(&worker->orchestrator->queued,
                     (long long)(pending - engine_pending(worker->engine)));
    drop_calls(worker);
    worker_step(worker, /* the slots of its calls are free */
                &(struct engine_event){
                    .type = ENGINE_TICK, .now_us = clock_now_us(), .random = clock_random_unit()},
                NULL);
    return true;
}

/* Those who wait for the end of a workflow that is no longer here. */
static void refuse_watchers(struct worker *worker)
{
    struct watchers *watchers, *next;
    HASH_ITER(hh, worker->watchers, watchers, next)
    {
        if (engine_find(worker->engine, &watchers->id) != NULL)
            continue;
        for (struct ticket *ticket = watchers->first, *after; ticket != NULL; ticket = after) {
            after = ticket->next;
            worker_refuse(ticket, ERR_NOT_OWNER);
        }
        HASH_DEL(worker->watchers, watchers);
        free(watchers);
    }
}

void worker_left(struct worker *worker, int16_t shard)
{
    struct worker_lane lane = worker->lanes[shard];
    lane.shard = shard;
    if (worker->owned[shard]) {
        lane.published_seq =
            publisher_published(worker->orchestrator->publisher, shard, lane.cluster_id);
        worker_disown(worker, shard);
    }
    pthread_mutex_lock(&worker->lock);
    worker->asked[shard] = false;
    worker->leaving[shard] = false;
    BUG_IF(worker->left_count == SHARDS_MAX); /* none comes again before it was taken back */
    worker->left[worker->left_count++] = lane;
    pthread_mutex_unlock(&worker->lock);
    owners_doubt(worker->orchestrator);
}

void worker_leave_end(struct worker *worker)
{
    bool any = false;
    if (!atomic_load(&worker->asked_any))
        return;
    for (int16_t shard = 0; shard < worker->orchestrator->shards; shard++) {
        if (!worker->leaving[shard])
            continue;
        worker_left(worker, shard);
        any = true;
    }
    if (any)
        refuse_watchers(worker);
    worker_leave_settle(worker);
}

/* Nothing is asked for any more? */
void worker_leave_settle(struct worker *worker)
{
    bool any = false;
    pthread_mutex_lock(&worker->lock);
    for (int16_t shard = 0; shard < worker->orchestrator->shards; shard++)
        any = any || worker->asked[shard];
    atomic_store(&worker->asked_any, any);
    pthread_mutex_unlock(&worker->lock);
}
