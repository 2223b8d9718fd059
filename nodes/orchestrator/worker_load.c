/* SPDX-License-Identifier: MIT */
/* worker_load.c - taking shards, and loading their live workflows a chunk at a time.
 *
 * A worker serves as soon as it owns its shards: it takes submissions, and between two turns of its loop it
 * loads a chunk. A question about a workflow that may not be there yet is kept until all are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/crash_point.h"
#include "io/log.h"
#include "orchestrator/worker_internal.h"

#define RETRY_LOAD_US 100000

/* The held steps of a workflow. */
static const struct engine_hold *holds_of(const struct worker *worker, const struct uuid *id,
                                          size_t *count)
{
    size_t low = 0, high = worker->holds_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(&worker->holds[middle].id, id, sizeof *id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *count = 0;
    while (low + *count < worker->holds_count && uuid_equal(&worker->holds[low + *count].id, id))
        (*count)++;
    return worker->holds + low;
}

static void on_workflow(void *context, struct workflow *workflow)
{
    struct worker *worker = context;
    if (!worker_owns(worker, workflow_head(workflow)->shard)) { /* given up since they were named */
        workflow_free(workflow);
        return;
    }
    size_t holds_count;
    const struct engine_hold *holds = holds_of(worker, &workflow_head(workflow)->id, &holds_count);
    worker_child_loaded(worker, workflow);
    if (workflow_state(workflow) == WORKFLOW_PENDING && !workflow_paused(workflow))
        atomic_fetch_add(&worker->orchestrator->queued, 1);
    worker_step(worker,
                &(struct engine_event){.type = ENGINE_LOAD,
                                       .now_us = clock_now_us(),
                                       .workflow = workflow,
                                       .holds = holds,
                                       .holds_count = holds_count},
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

/* The shards could not be loaded: all that were ours and those given are taken again later, but for those that
 * others asked for: with them worker_release_shards is done. */
static void retake(struct worker *worker, const struct worker_lane *given, int given_count,
                   const struct error *error)
{
    struct worker_lane lanes[2 * SHARDS_MAX];
    int count = 0;
    for (int16_t shard = 0; shard < worker->orchestrator->shards; shard++) {
        bool is_given = false;
        for (int i = 0; i < given_count; i++)
            is_given = is_given || given[i].shard == shard;
        if (worker_owns(worker, shard) && !is_given && !worker_asked(worker, shard))
            lanes[count++] = worker->lanes[shard];
    }
    for (int i = 0; i < given_count; i++)
        lanes[count++] = given[i];
    log_warning("shards cannot be loaded and are tried again", LOG_INT("worker", worker->index),
                LOG_TEXT("error", error->text));
    atomic_store(&worker->database_up, false);
    worker_release_shards(worker, ERR_DATABASE);
    worker_take(worker, lanes, count);
    worker->load_us = clock_monotonic_us() + RETRY_LOAD_US;
}

/* Makes shards ours and names their live workflows. False when the database did not answer: then the lanes are
 * put back to be taken later. */
static bool open_shards(struct worker *worker, const struct worker_lane *given, int given_count)
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
    CRASH_POINT("before_load");
    if (code == ERR_OK && breakers_keep_holds(worker->orchestrator))
        code = store_holds_read(worker->postgres, shards, count, &worker->holds,
                                &worker->holds_count, &error);
    if (code == ERR_OK)
        code = store_loading_open(&worker->loading, worker->postgres,
                                  worker->orchestrator->registry, shards, count,
                                  &worker->orchestrator->environment, on_workflow, worker, &error);
    worker_watch_postgres(worker, false);
    if (code != ERR_OK) {
        retake(worker, given, given_count, &error);
        return false;
    }
    for (int i = 0; i < count; i++)
        own(worker, &lanes[i]);
    for (int i = 0; i < given_count; i++)
        if (!worker->owned[given[i].shard]) /* it has another epoch already */
            worker_left(worker, given[i].shard);
    worker->loading_us = clock_monotonic_us();
    atomic_store(&worker->database_up, true);
    return true;
}

void worker_take_shards(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    struct worker_lane *lanes = worker->takes;
    int count = worker->takes_count;
    bool later = worker->store_state != STORE_IDLE || worker->loading != NULL ||
                 clock_monotonic_us() < worker->load_us;
    if (count > 0 && !later) {
        worker->takes = NULL;
        worker->takes_count = 0;
    }
    pthread_mutex_unlock(&worker->lock);
    if (count == 0 || later)
        return;
    bool opened = open_shards(worker, lanes, count);
    free(lanes);
    pthread_mutex_lock(&worker->lock);
    if (opened && worker->takes_count == 0)
        atomic_store(&worker->serving, true);
    pthread_mutex_unlock(&worker->lock);
}

static void loaded(struct worker *worker)
{
    CRASH_POINT("loaded");
    log_info("shards loaded", LOG_INT("worker", worker->index),
             LOG_INT("workflows", (int64_t)engine_live(worker->engine)),
             LOG_INT("duration_us", clock_monotonic_us() - worker->loading_us));
    worker_loading_drop(worker);
    engine_heard(worker->engine, clock_now_us());
    pthread_mutex_lock(&worker->lock);
    if (worker->takes_count == 0)
        atomic_store(&worker->settled, true);
    pthread_mutex_unlock(&worker->lock);
}

void worker_loading_drop(struct worker *worker)
{
    store_loading_free(worker->loading);
    worker->loading = NULL;
    free(worker->holds);
    worker->holds = NULL;
    worker->holds_count = 0;
}

bool worker_can_load(const struct worker *worker)
{
    return worker->loading != NULL && worker->store_state == STORE_IDLE &&
           worker_database_up(worker);
}

void worker_load_more(struct worker *worker)
{
    struct error error = {0};
    if (!worker_can_load(worker))
        return;
    if (store_loading_ended(worker->loading))
        loaded(worker);
    else if (store_loading_next(worker->loading, engine_in_flight(worker->engine) > 0, &error) !=
             ERR_OK)
        retake(worker, NULL, 0, &error);
}

/* -- retries: the workflow is read back, then goes on -- */

static void keep_workflow(void *context, struct workflow *workflow)
{
    *(struct workflow **)context = workflow;
}

/* It ended, and the database does not know yet. */
static bool ends_now(const struct worker *worker, const struct uuid *id)
{
    for (size_t i = 0; i < worker->gathering.ends_count; i++)
        if (uuid_equal(&worker->gathering.ends[i].id, id))
            return true;
    return false;
}

static void take_retry(struct worker *worker, struct ticket *ticket)
{
    struct workflow *workflow = NULL;
    struct error error = {0};
    if (worker->stop || !worker_owns(worker, ticket->at_shard)) {
        worker_refuse(ticket, worker->stop ? ERR_STOPPING : ERR_NOT_OWNER);
        return;
    }
    if (worker_memory_full(worker->orchestrator)) {
        worker_refuse(ticket, ERR_LIMIT);
        return;
    }
    if (engine_find(worker->engine, &ticket->id) != NULL) {
        worker_reply_not_live(worker, ticket);
        return;
    }
    enum error_code code =
        store_read_workflow(worker->postgres, worker->orchestrator->registry, &ticket->id,
                            &worker->orchestrator->environment, keep_workflow, &workflow, &error);
    worker_watch_postgres(worker, false);
    if (code != ERR_OK) {
        worker_refuse(ticket, code);
        return;
    }
    if (workflow == NULL || workflow_head(workflow)->run != ticket->run) {
        workflow_free(workflow);
        worker_reply_not_live(worker, ticket);
        return;
    }
    worker_step(
        worker,
        &(struct engine_event){
            .type = ENGINE_RETRY, .now_us = clock_now_us(), .id = ticket->id, .workflow = workflow},
        ticket);
}

void worker_take_retries(struct worker *worker)
{
    struct ticket *ticket = worker->retries_first;
    if (ticket == NULL || worker->store_state != STORE_IDLE || worker->loading != NULL)
        return;
    worker->retries_first = worker->retries_last = NULL;
    for (struct ticket *next; ticket != NULL; ticket = next) {
        next = ticket->next;
        if (!worker_database_up(worker))
            worker_refuse(ticket, ERR_DATABASE);
        else if (ends_now(worker, &ticket->id))
            ticket_append(&worker->retries_first, &worker->retries_last, ticket);
        else
            take_retry(worker, ticket);
    }
}
