/* SPDX-License-Identifier: MIT */
/* runtime_group.c - joining the group, taking partitions on and giving them up, watermarks and finals. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/crash_point.h"
#include "io/log.h"
#include "reducer/backfill.h"
#include "reducer/outbox.h"
#include "reducer/runtime_internal.h"

#define AWAY_MS 2000 /* between two steps: the process was stopped, or something took that long */

static void count_partitions(struct runtime *runtime)
{
    int count = 0;
    for (int32_t i = 0; i < PARTITIONS_MAX; i++)
        count += runtime->reducer.partitions[i] != NULL;
    metrics_gauge_set(METRIC_PARTITIONS_ASSIGNED, 0, 0, count);
    pthread_mutex_lock(&runtime->lock);
    runtime->status.partitions_assigned = count;
    pthread_mutex_unlock(&runtime->lock);
}

static enum error_code ask_broker(struct runtime *runtime, char **cluster_id, int32_t *partitions,
                                  struct error *error)
{
    enum error_code code = error_set(error, ERR_BROKER, "the reducer is stopping");
    for (int i = 0; i < BROKER_ASKS && code == ERR_BROKER && !runtime_stopping(runtime); i++) {
        free(*cluster_id);
        *cluster_id = NULL;
        code = kafka_consumer_cluster_id(runtime->consumer, BROKER_ASK_MS, cluster_id, error);
        if (!code)
            code = kafka_consumer_partitions(runtime->consumer, BROKER_ASK_MS, partitions, error);
    }
    return code;
}

enum error_code runtime_open(struct runtime *runtime, struct error *error)
{
    const struct kafka_consumer_options options = {
        .topic = runtime->topic,
        .group = runtime->options.config->kafka_consumer_group,
        .instance_id = runtime->displaced ? "" : runtime->instance_id,
        .client_id = "bridge-reducer",
        .event_fd = runtime->kafka_fd,
    };
    char *cluster_id = NULL;
    int32_t partitions = 0;
    enum error_code code =
        kafka_consumer_new(&runtime->consumer, runtime->options.config, &options, error);
    if (code)
        return code;
    code = ask_broker(runtime, &cluster_id, &partitions, error);
    if (!code && partitions > PARTITIONS_MAX)
        code = error_set(error, ERR_CONFIG, "topic %s has %d partitions; at most %d are supported",
                         runtime->topic, (int)partitions, PARTITIONS_MAX);
    if (code) {
        runtime_broker_state(runtime, false, error->text);
    } else {
        runtime_broker_state(runtime, true, "");
        code = store_register(runtime->store, error);
        if (!code)
            code = store_use_cluster(runtime->store, cluster_id, partitions, error);
        runtime_database_state(runtime, !code, code ? error->text : "");
    }
    if (!code)
        code = kafka_consumer_join(runtime->consumer, error);
    if (code) {
        kafka_consumer_free(runtime->consumer);
        runtime->consumer = NULL;
    } else {
        pthread_mutex_lock(&runtime->lock);
        snprintf(runtime->cluster_id, sizeof(runtime->cluster_id), "%s", cluster_id);
        pthread_mutex_unlock(&runtime->lock);
        atomic_store(&runtime->partitions, partitions);
        runtime->windows_open = true;
        log_info("reading the workflow topic", LOG_TEXT("topic", runtime->topic),
                 LOG_TEXT("cluster_id", cluster_id), LOG_INT("partitions", partitions));
    }
    free(cluster_id);
    return code;
}

void runtime_close(struct runtime *runtime)
{
    backfill_stop(runtime->backfill);
    runtime->backfill = NULL;
    for (int32_t i = 0; i < PARTITIONS_MAX; i++)
        reducer_revoke(&runtime->reducer, i);
    count_partitions(runtime);
    reading_drop(runtime->reading);
    kafka_consumer_free(runtime->consumer);
    runtime->consumer = NULL;
    runtime->paused = false;
}

static enum error_code take_on(struct runtime *runtime, const struct kafka_rebalance *move,
                               int64_t *offsets, struct error *error)
{
    struct store_assignment *assignments =
        must_calloc((unsigned long)move->count + 1, sizeof(*assignments));
    enum error_code code = ERR_OK;
    if (move->count > 0)
        code = store_assign(runtime->store, move->partitions, move->count, assignments, error);
    CRASH_POINT("assigned");
    if (move->count > 0 && !code)
        code = runtime_place(runtime, assignments, move->count, error);
    for (int i = 0; i < move->count && !code; i++) {
        code = store_load(runtime->store, &runtime->reducer, &assignments[i], error);
        offsets[i] = assignments[i].next_offset;
        runtime->pending[move->partitions[i]] = code ? 0 : assignments[i].pending;
        runtime->quiet_since_us[move->partitions[i]] = clock_monotonic_us();
        runtime->idle[move->partitions[i]] = IDLE_NOT_NOTED;
        runtime->hole_end[move->partitions[i]] = 0;
        runtime->passed[move->partitions[i]] = reading_given(runtime->reading);
        runtime->out_of_range[move->partitions[i]] = false;
    }
    free(assignments);
    if (code)
        return code;
    CRASH_POINT("partitions_loaded");
    return kafka_assign(runtime->consumer, offsets, error);
}

static void assign(struct runtime *runtime, const struct kafka_rebalance *move)
{
    int64_t *offsets = must_calloc((unsigned long)move->count + 1, sizeof(*offsets));
    struct error error = {0};
    int count = move->count;
    enum error_code code = take_on(runtime, move, offsets, &error);
    if (code) {
        /* Joining again asks for the partitions once more, and loads them then. */
        log_error("partitions could not be taken on", LOG_TEXT("reason", (const char *)error.text));
        if (code == ERR_BROKER)
            runtime_broker_state(runtime, false, error.text);
        else
            runtime_database_state(runtime, false, error.text);
        runtime->restart = true;
        runtime_pause_ms(runtime, RETRY_FIRST_MS);
    } else {
        runtime_database_state(runtime, true, "");
        log_info("partitions assigned", LOG_INT("count", count));
    }
    runtime->windows_open = true;
    free(offsets);
}

static void give_up(struct runtime *runtime, const struct kafka_rebalance *move)
{
    struct error error = {0};
    int count = move->count;
    CRASH_POINT("revoked");
    if (move->lost || !runtime_flush(runtime, FLUSH_WAIT_MS)) {
        /* What was gathered may hold dead letters of these partitions, so all of it is read again. */
        log_warning(
            "partitions are given up with uncommitted events; their next owner reads them again");
        runtime->restart = true;
        return;
    }
    for (int i = 0; i < move->count; i++)
        reducer_revoke(&runtime->reducer, move->partitions[i]);
    if (kafka_unassign(runtime->consumer, &error)) {
        log_error("partitions could not be given up", LOG_TEXT("reason", (const char *)error.text));
        runtime->restart = true;
    }
    log_info("partitions given up", LOG_INT("count", count));
}

void runtime_rebalance(struct runtime *runtime)
{
    struct kafka_rebalance move;
    bool moved = false;
    while (!runtime->restart && kafka_rebalance_next(runtime->consumer, &move)) {
        if (move.assign)
            assign(runtime, &move);
        else
            give_up(runtime, &move);
        moved = true;
    }
    if (!moved)
        return;
    runtime->deserted_at_us = clock_monotonic_us() + runtime->deserted_ms * INT64_C(1000);
    count_partitions(runtime);
    if (!runtime->restart)
        runtime_start_past(runtime);
}

/* -- what happens by time -- */

static void update_lag(struct runtime *runtime)
{
    int64_t lag = 0;
    for (int32_t i = 0; i < PARTITIONS_MAX; i++) {
        const struct reducer_partition *partition = runtime->reducer.partitions[i];
        int64_t first, end;
        if (partition && kafka_offsets_known(runtime->consumer, i, &first, &end) &&
            end > partition->next_offset)
            lag += end - partition->next_offset;
    }
    lag += runtime->gathered + runtime->in_flight_events;
    metrics_gauge_set(METRIC_CONSUMER_LAG, 0, 0, (double)lag);
    runtime->lag = lag;
    pthread_mutex_lock(&runtime->lock);
    runtime->status.lag = lag;
    pthread_mutex_unlock(&runtime->lock);
}

/* The group's own offsets are for lag tools; the ones that count are in the database. */
void runtime_report_progress(struct runtime *runtime)
{
    int32_t numbers[PARTITIONS_MAX];
    int64_t offsets[PARTITIONS_MAX];
    int count = 0;
    if (runtime->in_flight || runtime->resend || runtime->progress_commits == runtime->commits)
        return;
    runtime->progress_commits = runtime->commits;
    for (int32_t i = 0; i < PARTITIONS_MAX; i++) {
        const struct reducer_partition *partition = runtime->reducer.partitions[i];
        if (!partition)
            continue;
        numbers[count] = i;
        offsets[count++] = partition->committed_offset;
    }
    kafka_commit_progress(runtime->consumer, numbers, offsets, count);
}

/* Nobody watched the partitions, so how long they have been quiet begins anew. */
void runtime_restart_quiet(struct runtime *runtime, int64_t now_us)
{
    for (int32_t i = 0; i < PARTITIONS_MAX; i++)
        runtime->quiet_since_us[i] = now_us;
}

static void check_broker(struct runtime *runtime)
{
    bool reachable = kafka_consumer_reachable(runtime->consumer);
    runtime_broker_state(runtime, reachable, "no broker answers");
    if (reachable)
        (void)runtime_same_cluster(runtime);
    else
        runtime_restart_quiet(runtime, clock_monotonic_us());
}

/* Without asking: read to the end of the last fetch, and nothing came for long enough. */
static bool seems_idle(struct runtime *runtime, const struct reducer_partition *partition,
                       int64_t now_us)
{
    int64_t idle_us = runtime->options.config->partition_idle_ms * 1000;
    int64_t first, end;
    return !partition->dirty && now_us - runtime->quiet_since_us[partition->number] >= idle_us &&
           kafka_offsets_known(runtime->consumer, partition->number, &first, &end) &&
           end <= partition->next_offset;
}

/* What was fetched last may be old, because the process slept or nothing could be fetched: the broker is asked
 * where they end now. Those that do not answer are not idle, and are asked again after a quiet time. */
static void ask_for_ends(struct runtime *runtime, struct store_idle *idle, int count,
                         int64_t now_us)
{
    int32_t *numbers = must_calloc((size_t)count, sizeof(*numbers));
    int64_t *ends = must_calloc((size_t)count, sizeof(*ends));
    struct error error = {0};
    for (int i = 0; i < count; i++)
        numbers[i] = idle[i].partition;
    enum error_code code =
        kafka_ends_of(runtime->consumer, numbers, count, BROKER_ASK_MS, ends, &error);
    for (int i = 0; i < count; i++) {
        int64_t next_offset = runtime->reducer.partitions[numbers[i]]->next_offset;
        idle[i].idle = !code && ends[i] >= 0 && ends[i] <= next_offset;
        if (!idle[i].idle)
            runtime->quiet_since_us[numbers[i]] = now_us;
    }
    if (code)
        log_debug("partitions do not count as idle", LOG_TEXT("reason", (const char *)error.text));
    free(numbers);
    free(ends);
}

/* The partitions that are idle, and those that were noted as such and no longer are. -1: one of these has
 * records that are not committed, so no window is final before they are. */
static int idle_partitions(struct runtime *runtime, int64_t now_us, struct store_idle *idle)
{
    bool seems[PARTITIONS_MAX] = {false};
    int asked = 0, count = 0;
    for (int32_t i = 0; i < PARTITIONS_MAX; i++) {
        const struct reducer_partition *partition = runtime->reducer.partitions[i];
        if (!partition)
            continue;
        seems[i] = seems_idle(runtime, partition, now_us);
        if (seems[i])
            idle[asked++] = (struct store_idle){.partition = i, .epoch = partition->epoch};
        else if (runtime->idle[i] == IDLE_ENDING ||
                 (runtime->idle[i] == IDLE_NOTED && partition->dirty))
            return -1;
    }
    if (asked > 0)
        ask_for_ends(runtime, idle, asked, now_us);
    for (int i = 0; i < asked; i++) {
        if (idle[i].idle || runtime->idle[idle[i].partition] == IDLE_NOTED)
            idle[count++] = idle[i];
    }
    for (int32_t i = 0; i < PARTITIONS_MAX; i++) {
        const struct reducer_partition *partition = runtime->reducer.partitions[i];
        if (partition && !seems[i] && runtime->idle[i] == IDLE_NOTED)
            idle[count++] = (struct store_idle){.partition = i, .epoch = partition->epoch};
    }
    return count;
}

void runtime_end_idle(struct runtime *runtime)
{
    for (int32_t i = 0; i < PARTITIONS_MAX; i++) {
        const struct reducer_partition *partition = runtime->reducer.partitions[i];
        if (partition && partition->dirty && runtime->idle[i] == IDLE_NOTED)
            runtime->idle[i] = IDLE_ENDING;
    }
}

void runtime_idle_ended(struct runtime *runtime)
{
    for (int32_t i = 0; i < PARTITIONS_MAX; i++) {
        if (runtime->idle[i] == IDLE_ENDING)
            runtime->idle[i] = IDLE_NOT_NOTED;
    }
}

/* Windows of other reducers may wait for our partitions. */
static bool shares_the_topic(const struct runtime *runtime)
{
    int count = 0;
    for (int32_t i = 0; i < PARTITIONS_MAX; i++)
        count += runtime->reducer.partitions[i] != NULL;
    return count > 0 && count < runtime_partitions(runtime);
}

static void finalize(struct runtime *runtime, int64_t now_us)
{
    const struct config *config = runtime->options.config;
    const struct store_rules rules = {
        .tolerance_ms = config->aggregation_watermark_tolerance_ms,
        .idle_ms = 2 * config->partition_idle_ms,
        .final_topic = event_routes_topic(runtime->options.routes, "window_final"),
        .node_id = runtime->options.node_id,
        .environment = config->environment,
    };
    struct store_idle idle[PARTITIONS_MAX];
    struct error error = {0};
    struct store_finals found = {.open = true};
    int count = idle_partitions(runtime, now_us, idle);
    if (count < 0)
        return;
    enum error_code code = store_finalize(runtime->store, &rules, idle, count, &found, &error);
    if (code == ERR_FENCED) { /* without a record there would be no commit to find it out by */
        log_warning("a partition was taken over; joining the group again",
                    LOG_TEXT("reason", (const char *)error.text));
        runtime->restart = true;
        return;
    }
    runtime->finals_fail = code != ERR_OK;
    if (runtime->finals_fail) {
        runtime_database_state(runtime, false, error.text);
        return;
    }
    for (int i = 0; i < count; i++)
        runtime->idle[idle[i].partition] = idle[i].idle ? IDLE_NOTED : IDLE_NOT_NOTED;
    runtime->windows_open = found.open || shares_the_topic(runtime);
    if (found.more && !runtime_is_far_behind(runtime)) { /* as much time for records as it took */
        int64_t after_us = clock_monotonic_us();
        runtime->finalize_at_us = after_us + (after_us - now_us);
    }
    if (found.announced > 0)
        outbox_wake(runtime->options.outbox);
}

/* Two processes with one instance id must not take the place from each other for ever: the older one does
 * without it. Both work; only its restarts take longer. */
static void check_place(struct runtime *runtime)
{
    if (!kafka_consumer_fatal(runtime->consumer))
        return;
    runtime->restart = true;
    if (!kafka_consumer_fenced(runtime->consumer))
        return;
    runtime->displaced = true;
    store_set_instance(runtime->store, runtime->options.node_id);
    log_error(
        "another reducer has the same REDUCER_INSTANCE_ID: give each its own. This one goes on "
        "without a place of its own in the group",
        LOG_TEXT("instance_id", runtime->instance_id));
}

/* A member that is killed in the middle of a cooperative move and comes back to its static place gets what it had
 * by then, and the group does not move on: what it was to hand over stays with nobody. The partitions' last
 * owner finds that out and leaves the group, which then moves. */
static void check_deserted(struct runtime *runtime, int64_t now_us)
{
    int32_t assigned[PARTITIONS_MAX];
    struct error error = {0};
    int count = 0, deserted = 0;
    if (now_us < runtime->deserted_at_us || runtime->resend)
        return;
    for (int32_t i = 0; i < PARTITIONS_MAX; i++)
        if (runtime->reducer.partitions[i])
            assigned[count++] = i;
    runtime->deserted_at_us = INT64_MAX;
    if (store_count_deserted(runtime->store, assigned, count, &deserted, &error)) {
        runtime_database_state(runtime, false, error.text);
        runtime->deserted_at_us = now_us + runtime->deserted_ms * INT64_C(1000);
    } else if (deserted == 0) {
        runtime->deserted_ms = DESERTED_FIRST_MS;
    } else {
        log_warning(
            "partitions that were given up were taken by nobody; leaving the group, so that "
            "it assigns them anew",
            LOG_INT("partitions", deserted));
        if (runtime->deserted_ms < DESERTED_MAX_MS)
            runtime->deserted_ms *= 2;
        kafka_consumer_leave(runtime->consumer);
        runtime->restart = true;
    }
}

void runtime_tick(struct runtime *runtime, int64_t now_us)
{
    if (now_us - runtime->stepped_at_us > AWAY_MS * 1000)
        runtime_restart_quiet(runtime, now_us);
    runtime->stepped_at_us = now_us;
    if (now_us >= runtime->tick_at_us) {
        runtime->tick_at_us = now_us + TICK_MS * 1000;
        update_lag(runtime);
        runtime_show_memory(runtime);
        runtime_report_progress(runtime);
        runtime_follow_past(runtime);
        check_broker(runtime);
        runtime_count_gaps(runtime, now_us);
        check_place(runtime);
        check_deserted(runtime, now_us);
    }
    bool due = runtime->windows_open ? now_us >= runtime->finalize_at_us
                                     : now_us >= runtime->note_idle_at_us;
    if (due && !runtime->resend) {
        int64_t idle_ms = runtime->options.config->partition_idle_ms;
        runtime->finalize_at_us = now_us + (idle_ms / 2 < TICK_MS ? idle_ms / 2 : TICK_MS) * 1000;
        runtime->note_idle_at_us = now_us + idle_ms * 1000;
        finalize(runtime, now_us);
    }
}
