/* SPDX-License-Identifier: MIT */
/* runtime.c - the loop: consume, gather, commit. */
#include "reducer/runtime.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/crash_point.h"
#include "io/log.h"
#include "reducer/outbox.h"
#include "reducer/runtime_internal.h"

#define IDLE_WAIT_MS 500
#define FAR_BEHIND_INTERVALS 20 /* between two commits */
#define FAR_BEHIND_LEAST 20000  /* records */

static void note_state(struct runtime *runtime, bool *state, char *why, bool fine,
                       const char *detail, const char *well, const char *ill)
{
    pthread_mutex_lock(&runtime->lock);
    bool changed = *state != fine;
    *state = fine;
    snprintf(why, sizeof(runtime->status.database_detail), "%s", fine ? "" : detail);
    pthread_mutex_unlock(&runtime->lock);
    if (changed && fine)
        log_info(well);
    else if (changed)
        log_error(ill, LOG_TEXT("reason", detail));
}

void runtime_broker_state(struct runtime *runtime, bool fine, const char *detail)
{
    note_state(runtime, &runtime->status.broker_ok, runtime->status.broker_detail, fine, detail,
               "the broker answers", "the broker does not answer");
}

void runtime_database_state(struct runtime *runtime, bool fine, const char *detail)
{
    note_state(runtime, &runtime->status.database_ok, runtime->status.database_detail, fine, detail,
               "the database takes batches", "the database takes no batches");
}

static void drain_fd(int fd)
{
    uint64_t count;
    if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        log_warning("eventfd cannot be read");
}

static void wake(struct runtime *runtime)
{
    uint64_t one = 1;
    if (write(runtime->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        log_warning("eventfd cannot be written");
}

void runtime_pause_ms(struct runtime *runtime, int ms)
{
    struct pollfd wait = {.fd = runtime->wake_fd, .events = POLLIN};
    if (!atomic_load(&runtime->stopping) && poll(&wait, 1, ms) > 0 &&
        !atomic_load(&runtime->stopping))
        drain_fd(runtime->wake_fd);
}

/* -- commits -- */

static void retry_later(struct runtime *runtime, int64_t now_us)
{
    runtime->resend = true;
    runtime->retry_at_us = now_us + runtime->retry_ms * 1000;
    runtime->retry_ms = runtime->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : runtime->retry_ms * 2;
}

static void commit_failed(struct runtime *runtime, enum error_code code, const struct error *error)
{
    metrics_add(METRIC_COMMIT_ERRORS, 0, 0, 1);
    metrics_add(METRIC_AGGREGATION_ERRORS, 0, 0, 1);
    runtime->in_flight = false;
    if (code == ERR_FENCED) {
        log_error("a partition belongs to another reducer now, or a window was pruned; joining the "
                  "group again",
                  LOG_TEXT("reason", (const char *)error->text));
        runtime->restart = true;
        return;
    }
    runtime_database_state(runtime, false, error->text);
    if (runtime->retry_ms == RETRY_FIRST_MS)
        runtime_tell_failure(runtime, error);
    retry_later(runtime, clock_monotonic_us());
}

static void commit_done(struct runtime *runtime)
{
    int64_t now_us = clock_monotonic_us();
    CRASH_POINT("flush_done");
    metrics_add(METRIC_AGGREGATION_ITEMS, 0, 0, (uint64_t)runtime->in_flight_events);
    metrics_observe(METRIC_AGGREGATION_DURATION, 0, 0,
                    (double)(now_us - runtime->in_flight_since_us) / 1e3);
    metrics_observe(METRIC_COMMIT_DURATION, 0, 0, (double)(now_us - runtime->sent_at_us) / 1e6);
    runtime->in_flight = false;
    runtime->resend = false;
    runtime->in_flight_events = 0;
    runtime->retry_ms = RETRY_FIRST_MS;
    runtime->windows_open = true;
    runtime_database_state(runtime, true, "");
    if (store_snapshot_messages(runtime->store) > 0)
        outbox_wake(runtime->options.outbox);
    runtime_idle_ended(runtime);
    reducer_snapshot_stored(&runtime->reducer);
    reducer_sweep(&runtime->reducer);
    pthread_mutex_lock(&runtime->lock);
    runtime->commits++;
    pthread_cond_broadcast(&runtime->committed);
    pthread_mutex_unlock(&runtime->lock);
}

static void send_snapshot(struct runtime *runtime)
{
    struct error error = {0};
    runtime->sent_at_us = clock_monotonic_us();
    enum error_code code = store_send(runtime->store, &error);
    if (code) {
        commit_failed(runtime, code, &error);
        return;
    }
    CRASH_POINT("flush_sent");
    runtime->in_flight = true;
    runtime->resend = false;
    runtime->wants_write = true;
}

static void begin_commit(struct runtime *runtime)
{
    int64_t now_us = clock_monotonic_us();
    if (!runtime_same_cluster(runtime))
        return; /* what was gathered may come from offsets of another log: it is read again */
    runtime_tell_batch(runtime, now_us);
    if (!runtime_is_far_behind(runtime))
        runtime_tell_updates(runtime, now_us);
    runtime_end_idle(runtime);
    store_snapshot(runtime->store, &runtime->reducer);
    CRASH_POINT("flush_unsent");
    runtime->per_second = runtime->gathered * 1000000 / (now_us - runtime->gathered_since_us + 1);
    runtime->in_flight_events = runtime->gathered;
    runtime->in_flight_since_us = runtime->gathered_since_us;
    runtime->gathered = 0;
    send_snapshot(runtime);
}

/* Asks what became of a snapshot whose reply was lost, and sends it again when it is not in. */
static void resend(struct runtime *runtime, int64_t now_us)
{
    struct error error = {0};
    bool committed = false;
    if (now_us < runtime->retry_at_us)
        return;
    enum error_code code = store_outcome(runtime->store, &committed, &error);
    if (code)
        commit_failed(runtime, code, &error);
    else if (committed)
        commit_done(runtime);
    else
        send_snapshot(runtime);
}

static void poll_commit(struct runtime *runtime)
{
    struct error error = {0};
    bool done = false;
    enum error_code code = store_poll(runtime->store, &done, &runtime->wants_write, &error);
    if (done && !code)
        commit_done(runtime);
    else if (code)
        commit_failed(runtime, code, &error);
}

/* A whole queue of records waits, or more than is counted in a second. */
bool runtime_is_far_behind(const struct runtime *runtime)
{
    int64_t least = runtime->per_second > FAR_BEHIND_LEAST ? runtime->per_second : FAR_BEHIND_LEAST;
    int64_t queue = runtime->options.config->max_aggregation_queue_size;
    return runtime->lag >= (queue < least ? queue : least);
}

/* When gathered rows are due: a flush interval after the commit before, so an event that comes alone waits for
 * nothing. One that is far behind gains nothing from commits in quick succession, and they cost the most. */
static int64_t flush_at_us(const struct runtime *runtime)
{
    const struct config *config = runtime->options.config;
    int64_t since_us = runtime->gathered_since_us < runtime->sent_at_us ? runtime->gathered_since_us
                                                                        : runtime->sent_at_us;
    int64_t intervals = runtime_is_far_behind(runtime) ? FAR_BEHIND_INTERVALS : 1;
    return since_us + intervals * config->aggregation_flush_interval_ms * 1000;
}

static bool should_commit(const struct runtime *runtime, int64_t now_us)
{
    const struct config *config = runtime->options.config;
    if (runtime->gathered == 0)
        return false;
    return (!runtime_is_far_behind(runtime) &&
            (int64_t)runtime->reducer.dirty_count >= config->aggregation_batch_size) ||
           runtime->gathered >= config->max_aggregation_queue_size / 2 ||
           now_us >= flush_at_us(runtime) || runtime_is_full(runtime) ||
           atomic_load(&((struct runtime *)(uintptr_t)runtime)->waiters) > 0;
}

static void move_commit(struct runtime *runtime, int64_t now_us)
{
    if (runtime->in_flight)
        poll_commit(runtime);
    else if (runtime->resend)
        resend(runtime, now_us);
    if (!runtime->in_flight && !runtime->resend && !runtime->restart &&
        should_commit(runtime, now_us))
        begin_commit(runtime);
    metrics_gauge_set(METRIC_AGGREGATION_QUEUE, 0, 0,
                      (double)(runtime->gathered + runtime->in_flight_events));
}

/* -- waiting -- */

static int wait_ms(const struct runtime *runtime, int64_t now_us)
{
    int64_t until_us = now_us + IDLE_WAIT_MS * 1000;
    if (runtime->gathered > 0 && !runtime->in_flight && !runtime->resend) {
        int64_t flush_us = flush_at_us(runtime);
        until_us = flush_us < until_us ? flush_us : until_us;
    }
    if (runtime->resend && runtime->retry_at_us < until_us)
        until_us = runtime->retry_at_us;
    if (runtime->windows_open && runtime->finalize_at_us < until_us)
        until_us = runtime->finalize_at_us;
    return until_us <= now_us ? 0 : (int)((until_us - now_us + 999) / 1000);
}

static void wait_for_work(struct runtime *runtime, bool for_records)
{
    struct pollfd fds[3] = {
        {.fd = runtime->wake_fd, .events = POLLIN},
        {.fd = for_records ? runtime->kafka_fd : -1, .events = POLLIN},
        {.fd = runtime->in_flight ? store_socket(runtime->store) : -1,
         .events = (short)(POLLIN | (runtime->wants_write ? POLLOUT : 0))},
    };
    if (poll(fds, 3, wait_ms(runtime, clock_monotonic_us())) <= 0)
        return;
    if (fds[0].revents && !atomic_load(&runtime->stopping))
        drain_fd(runtime->wake_fd);
    if (fds[1].revents)
        drain_fd(runtime->kafka_fd);
}

bool runtime_flush(struct runtime *runtime, int timeout_ms)
{
    int64_t deadline_us = clock_monotonic_us() + timeout_ms * 1000;
    while (runtime->in_flight || runtime->resend || runtime->gathered > 0) {
        int64_t now_us = clock_monotonic_us();
        if (runtime->restart || now_us >= deadline_us)
            return false;
        if (runtime->in_flight)
            poll_commit(runtime);
        else if (runtime->resend)
            resend(runtime, now_us);
        else
            begin_commit(runtime);
        if (runtime->in_flight || runtime->resend) {
            struct pollfd fd = {.fd = runtime->in_flight ? store_socket(runtime->store) : -1,
                                .events = (short)(POLLIN | (runtime->wants_write ? POLLOUT : 0))};
            poll(&fd, 1, RETRY_FIRST_MS);
        }
    }
    return true;
}

/* -- the loop -- */

/* While the database does not take batches, partitions are paused so that the group still gets answers. */
static void pause_if_full(struct runtime *runtime, bool full)
{
    int32_t numbers[PARTITIONS_MAX];
    struct error error = {0};
    int count = 0;
    bool pause = full && runtime->resend;
    if (pause == runtime->paused || runtime->restart)
        return;
    for (int32_t i = 0; i < PARTITIONS_MAX; i++) {
        if (runtime->reducer.partitions[i])
            numbers[count++] = i;
    }
    if (kafka_pause(runtime->consumer, numbers, count, pause, &error))
        log_warning("kafka consumer", LOG_TEXT("reason", (const char *)error.text));
    runtime->paused = pause;
    runtime_restart_quiet(runtime, clock_monotonic_us());
}

/* Records for the threads that read ahead; false when there are none. */
static bool read_ahead(struct runtime *runtime, int64_t room)
{
    int64_t most = runtime->paused ? 1 : room < READING_RECORDS_MAX ? room : READING_RECORDS_MAX;
    if (most <= 0 || reading_is_full(runtime->reading))
        return false;
    struct reading_batch *batch = reading_empty(runtime->reading);
    batch->count = kafka_consume(runtime->consumer, 0, batch->records, (int)most);
    bool found = batch->count > 0;
    if (found)
        reading_give(runtime->reading, batch);
    else
        reading_done(runtime->reading, batch);
    return found;
}

/* Counts the oldest batch when no other could be read beside it; false when there is none. */
static bool count_batch(struct runtime *runtime)
{
    struct reading_batch *batch = reading_next(runtime->reading);
    if (!batch)
        return false;
    runtime_take_batch(runtime, batch);
    reading_done(runtime->reading, batch);
    return true;
}

static void step(struct runtime *runtime)
{
    int64_t now_us = clock_monotonic_us();
    move_commit(runtime, now_us);
    runtime_let_go(runtime);
    int64_t room = runtime->options.config->max_aggregation_queue_size - runtime->gathered -
                   runtime->in_flight_events;
    if (runtime_is_full(runtime))
        room = 0;
    pause_if_full(runtime, room <= 0);
    runtime_rebalance(runtime);
    if (runtime->restart)
        return;
    runtime_tick(runtime, now_us);
    runtime_pass_gaps(runtime);
    if (runtime->restart)
        return;
    bool busy = read_ahead(runtime, room - reading_records(runtime->reading));
    if (room > 0 && (!busy || reading_is_full(runtime->reading)))
        busy |= count_batch(runtime);
    if (!busy)
        wait_for_work(runtime, room > 0 || runtime->paused);
}

static void forget_batches(struct runtime *runtime)
{
    runtime->aggregation_id[0] = 0;
    runtime->wanted.count = 0;
    runtime->gathered = 0;
    runtime->in_flight_events = 0;
    runtime->resend = false;
    runtime->restart = false;
    runtime->retry_ms = RETRY_FIRST_MS;
}

/* Nothing gathered is lost: it is not committed, so it is read again. */
static void rejoin(struct runtime *runtime)
{
    while (runtime->in_flight) {
        struct pollfd fd = {.fd = store_socket(runtime->store), .events = POLLIN};
        poll(&fd, 1, RETRY_FIRST_MS);
        poll_commit(runtime);
    }
    runtime_close(runtime);
    store_forget(runtime->store);
    forget_batches(runtime);
}

static void *run(void *argument)
{
    struct runtime *runtime = argument;
    int again_ms = RETRY_FIRST_MS;
    while (!atomic_load(&runtime->stopping)) {
        if (runtime->consumer && !runtime->restart) {
            step(runtime);
            continue;
        }
        if (runtime->consumer)
            rejoin(runtime);
        struct error error = {0};
        if (runtime_open(runtime, &error) == ERR_OK) {
            again_ms = RETRY_FIRST_MS;
            continue;
        }
        if (again_ms == RETRY_FIRST_MS)
            log_warning("the workflow topic cannot be read yet",
                        LOG_TEXT("reason", (const char *)error.text));
        runtime_pause_ms(runtime, again_ms);
        again_ms = again_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : again_ms * 2;
    }
    if (runtime->consumer) {
        bool flushed = runtime_flush(runtime, FLUSH_WAIT_MS);
        if (flushed && runtime_tell_end(runtime)) {
            begin_commit(runtime);
            flushed = runtime_flush(runtime, FLUSH_WAIT_MS);
        }
        if (!flushed)
            log_warning("stopping with uncommitted events; they are read again at the next start");
        runtime_report_progress(runtime);
        kafka_consumer_leave(runtime->consumer);
        runtime_close(runtime);
    }
    return NULL;
}

static void release(struct runtime *runtime)
{
    store_free(runtime->store);
    reading_free(runtime->reading);
    free(runtime->wanted.rows);
    reducer_fini(&runtime->reducer);
    if (runtime->kafka_fd >= 0)
        close(runtime->kafka_fd);
    if (runtime->wake_fd >= 0)
        close(runtime->wake_fd);
    pthread_mutex_destroy(&runtime->lock);
    pthread_cond_destroy(&runtime->committed);
    free(runtime->topic);
    free(runtime->dead_letter_topic);
    free(runtime->instance_id);
    free(runtime);
}

/* One thread counts; more than there are cores would only wait for each other. */
static int readers(const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t threads = config->reducer_workers < cores ? config->reducer_workers : cores;
    return threads > 1 ? (int)threads - 1 : 0;
}

enum error_code runtime_start(struct runtime **runtime, const struct runtime_options *options,
                              struct error *error)
{
    struct runtime *made = must_calloc(1, sizeof(*made));
    made->options = *options;
    made->topic = must_strdup(options->topic);
    made->dead_letter_topic = must_strdup(options->dead_letter_topic);
    made->instance_id = must_strdup(options->instance_id);
    made->retry_ms = RETRY_FIRST_MS;
    made->deserted_ms = DESERTED_FIRST_MS;
    made->deserted_at_us = INT64_MAX;
    made->reading = reading_new(options->aggregations->paths, readers(options->config));
    made->store = store_new(options->database_url, options->topic, options->instance_id,
                            options->aggregations);
    store_set(made->store, runtime_settings(options->config));
    made->kafka_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    made->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    reducer_init(&made->reducer, options->aggregations,
                 options->config->aggregation_watermark_tolerance_ms * 1000);
    made->reducer.bounds = runtime_bounds(options->config);
    pthread_mutex_init(&made->lock, NULL);
    clock_condition_init(&made->committed);
    made->status.database_ok = made->status.broker_ok = true; /* until the contrary is seen */
    enum error_code code = runtime_open(made, error);
    if (error_code_retry(code) != RETRY_NEVER)
        code = ERR_OK; /* the thread goes on trying, and the node is not ready until then */
    if (!code && pthread_create(&made->thread, NULL, run, made) != 0)
        code = error_set(error, ERR_INTERNAL, "no thread could be started for the reducer");
    if (code) {
        if (made->consumer)
            runtime_close(made);
        release(made);
        return code;
    }
    *runtime = made;
    return ERR_OK;
}

void runtime_stop(struct runtime *runtime)
{
    atomic_store(&runtime->stopping, true);
    wake(runtime);
    pthread_join(runtime->thread, NULL);
    pthread_mutex_lock(&runtime->lock);
    pthread_cond_broadcast(&runtime->committed);
    pthread_mutex_unlock(&runtime->lock);
}

bool runtime_stopping(struct runtime *runtime) { return atomic_load(&runtime->stopping); }

void runtime_free(struct runtime *runtime)
{
    if (runtime)
        release(runtime);
}

void runtime_status(struct runtime *runtime, struct runtime_status *status)
{
    pthread_mutex_lock(&runtime->lock);
    *status = runtime->status;
    pthread_mutex_unlock(&runtime->lock);
    status->uncommitted = (int64_t)metrics_read(METRIC_AGGREGATION_QUEUE, 0, 0);
}

void runtime_cluster_id(struct runtime *runtime, char *id, size_t capacity)
{
    pthread_mutex_lock(&runtime->lock);
    snprintf(id, capacity, "%s", runtime->cluster_id);
    pthread_mutex_unlock(&runtime->lock);
}

int32_t runtime_partitions(const struct runtime *runtime)
{
    return atomic_load(&((struct runtime *)(uintptr_t)runtime)->partitions);
}

void runtime_wait_commit(struct runtime *runtime, int timeout_ms)
{
    int64_t until_us = clock_monotonic_us() + (int64_t)timeout_ms * 1000;
    atomic_fetch_add(&runtime->waiters, 1);
    wake(runtime);
    pthread_mutex_lock(&runtime->lock);
    uint64_t before = runtime->commits;
    while (runtime->commits == before && !atomic_load(&runtime->stopping) &&
           clock_wait(&runtime->committed, &runtime->lock, until_us))
        continue;
    pthread_mutex_unlock(&runtime->lock);
    atomic_fetch_sub(&runtime->waiters, 1);
}
