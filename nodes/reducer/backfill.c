/* SPDX-License-Identifier: MIT */
/* backfill.c - the thread that counts the past. */
#include "reducer/backfill.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "io/kafka_consumer.h"
#include "io/log.h"
#include "reducer/core/reducer.h"
#include "reducer/record.h"
#include "reducer/store.h"

#define CONSUME_MAX 1024
#define CONSUME_MS 50
#define DIRTY_MAX 5000 /* rows in one transaction */
#define COMMIT_EVERY_US 200000
#define RETRY_MS 500
#define BROKER_TIMEOUT_MS 3000

struct backfill {
    const struct runtime_options *options;
    struct backfill_partition *partitions;
    int count;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool stopping;
    int64_t limits[PARTITIONS_MAX];
    int64_t places[PARTITIONS_MAX];
    bool taken[PARTITIONS_MAX]; /* their rows are the runtime's now */
    /* Of the thread alone, like the partitions once it runs. */
    struct kafka_consumer *consumer;
    struct store *store;
    struct reducer reducer;
    bool at_limit[PARTITIONS_MAX]; /* and paused */
    int64_t committed_us;
};

static bool is_stopping(struct backfill *backfill)
{
    pthread_mutex_lock(&backfill->lock);
    bool stopping = backfill->stopping;
    pthread_mutex_unlock(&backfill->lock);
    return stopping;
}

static int64_t limit_of(struct backfill *backfill, int32_t partition)
{
    pthread_mutex_lock(&backfill->lock);
    int64_t limit = backfill->limits[partition];
    pthread_mutex_unlock(&backfill->lock);
    return limit;
}

/* -- opening -- */

static enum error_code open_topic(struct backfill *backfill, struct error *error)
{
    const struct kafka_consumer_options options = {
        .topic = backfill->options->topic,
        .group = backfill->options->config->kafka_consumer_group,
        .client_id = "bridge-reducer-backfill",
        .event_fd = -1,
    };
    char *cluster_id = NULL;
    int32_t partitions = 0;
    enum error_code code =
        kafka_consumer_new(&backfill->consumer, backfill->options->config, &options, error);
    if (!code)
        code = kafka_consumer_cluster_id(backfill->consumer, BROKER_TIMEOUT_MS, &cluster_id, error);
    if (!code)
        code = kafka_consumer_partitions(backfill->consumer, BROKER_TIMEOUT_MS, &partitions, error);
    if (!code)
        code = store_register(backfill->store, error);
    if (!code)
        code = store_use_cluster(backfill->store, cluster_id, partitions, error);
    if (!code)
        code = store_load_pruned(backfill->store, &backfill->reducer, error);
    free(cluster_id);
    return code;
}

/* What the runtime has taken over is neither cleared nor counted again. */
static void leave_out_taken(struct backfill *backfill)
{
    int kept = 0;
    pthread_mutex_lock(&backfill->lock);
    for (int i = 0; i < backfill->count; i++) {
        if (!backfill->taken[backfill->partitions[i].number])
            backfill->partitions[kept++] = backfill->partitions[i];
    }
    backfill->count = kept;
    pthread_mutex_unlock(&backfill->lock);
}

/* Every partition from the oldest record that the broker has. */
static enum error_code read_from_the_beginning(struct backfill *backfill, struct error *error)
{
    int count = backfill->count;
    int32_t *numbers = must_calloc((size_t)count, sizeof(*numbers));
    int64_t *offsets = must_calloc(2 * (size_t)count, sizeof(*offsets));
    for (int i = 0; i < count; i++)
        numbers[i] = backfill->partitions[i].number;
    enum error_code code = kafka_offsets_of(backfill->consumer, numbers, count, BROKER_TIMEOUT_MS,
                                            offsets, offsets + count, error);
    for (int i = 0; i < count && !code; i++) {
        const struct backfill_partition *wanted = &backfill->partitions[i];
        struct reducer_partition *partition =
            reducer_assign(&backfill->reducer, wanted->number, wanted->epoch, offsets[i],
                           WINDOW_NO_TIME, WINDOW_NO_TIME);
        partition->counting = wanted->aggregations;
        partition->judging = UINT64_MAX; /* dead letters of others count nowhere */
    }
    if (!code)
        code = store_clear(backfill->store, &backfill->reducer, error);
    if (!code)
        code = kafka_read_from(backfill->consumer, numbers, offsets, count, error);
    free(numbers);
    free(offsets);
    return code;
}

/* -- reading -- */

static enum error_code take(struct backfill *backfill, const struct kafka_record *from,
                            struct error *error)
{
    const struct reducer_record record = record_read(from);
    struct reducer_outcome outcome = reducer_record(&backfill->reducer, &record);
    if (outcome.verdict != RECORD_NEEDS_ROWS)
        return ERR_OK;
    struct reducer_wanted wanted = {0};
    (void)reducer_want(&backfill->reducer, &record, &wanted);
    enum error_code code = store_load_wanted(backfill->store, &backfill->reducer, &wanted, error);
    free(wanted.rows);
    if (!code)
        (void)reducer_record(&backfill->reducer, &record);
    return code;
}

/* The record is the runtime's to read first: it is read again when the limit has moved. */
static enum error_code stay(struct backfill *backfill, int32_t partition, int64_t offset,
                            struct error *error)
{
    if (backfill->at_limit[partition])
        return ERR_OK;
    backfill->at_limit[partition] = true;
    enum error_code code = kafka_seek(backfill->consumer, partition, offset, error);
    return code ? code : kafka_pause(backfill->consumer, &partition, 1, true, error);
}

static enum error_code go_on(struct backfill *backfill, struct error *error)
{
    enum error_code code = ERR_OK;
    for (int i = 0; i < backfill->count && !code; i++) {
        int32_t number = backfill->partitions[i].number;
        const struct reducer_partition *partition = backfill->reducer.partitions[number];
        if (!backfill->at_limit[number] || limit_of(backfill, number) <= partition->next_offset)
            continue;
        backfill->at_limit[number] = false;
        code = kafka_pause(backfill->consumer, &number, 1, false, error);
    }
    return code;
}

static enum error_code read_some(struct backfill *backfill, struct error *error)
{
    struct kafka_record records[CONSUME_MAX];
    enum error_code code = go_on(backfill, error);
    int count = code ? 0 : kafka_consume(backfill->consumer, CONSUME_MS, records, CONSUME_MAX);
    for (int i = 0; i < count; i++) {
        const struct kafka_record *record = &records[i];
        bool ours = !record->code && record->partition >= 0 && record->partition < PARTITIONS_MAX &&
                    backfill->reducer.partitions[record->partition];
        if (!code && record->code && record->code != ERR_BROKER)
            code = error_set(error, record->code, "the next record is no longer on the broker");
        else if (!code && ours && record->offset >= limit_of(backfill, record->partition))
            code = stay(backfill, record->partition, record->offset, error);
        else if (!code && ours && !backfill->at_limit[record->partition])
            code = take(backfill, record, error);
        kafka_records_free(&records[i], 1);
    }
    return code;
}

/* What is counted is committed, and told to the runtime. */
static enum error_code commit(struct backfill *backfill, struct error *error)
{
    bool any = backfill->reducer.dirty_count > 0;
    enum error_code code = ERR_OK;
    store_snapshot(backfill->store, &backfill->reducer);
    if (any)
        code = store_commit(backfill->store, error);
    if (code)
        return code;
    reducer_snapshot_stored(&backfill->reducer);
    reducer_sweep(&backfill->reducer);
    reducer_spill(&backfill->reducer);
    backfill->committed_us = clock_monotonic_us();
    pthread_mutex_lock(&backfill->lock);
    for (int i = 0; i < backfill->count; i++) {
        int32_t number = backfill->partitions[i].number;
        backfill->places[number] = backfill->reducer.partitions[number]->committed_offset;
    }
    pthread_cond_broadcast(&backfill->moved);
    pthread_mutex_unlock(&backfill->lock);
    return ERR_OK;
}

static bool has_news(const struct backfill *backfill)
{
    for (int i = 0; i < backfill->count; i++) {
        if (backfill->reducer.partitions[backfill->partitions[i].number]->dirty)
            return true;
    }
    return false;
}

static enum error_code count_the_past(struct backfill *backfill, struct error *error)
{
    enum error_code code = open_topic(backfill, error);
    if (!code)
        code = read_from_the_beginning(backfill, error);
    if (!code)
        code = commit(backfill, error);
    while (!code && !is_stopping(backfill)) {
        code = read_some(backfill, error);
        if (!code && has_news(backfill) &&
            (backfill->reducer.dirty_count >= DIRTY_MAX ||
             clock_monotonic_us() - backfill->committed_us >= COMMIT_EVERY_US))
            code = commit(backfill, error);
    }
    return code;
}

static void close_topic(struct backfill *backfill)
{
    kafka_consumer_free(backfill->consumer);
    backfill->consumer = NULL;
    store_free(backfill->store);
    backfill->store = NULL;
    reducer_fini(&backfill->reducer);
    memset(backfill->at_limit, 0, sizeof(backfill->at_limit));
}

static void *run(void *argument)
{
    struct backfill *backfill = argument;
    const struct runtime_options *options = backfill->options;
    while (!is_stopping(backfill)) {
        struct error error = {0};
        leave_out_taken(backfill);
        backfill->store = store_new(options->database_url, options->topic, options->instance_id,
                                    options->aggregations);
        store_set(backfill->store, runtime_settings(options->config));
        store_count_the_past(backfill->store);
        reducer_init(&backfill->reducer, options->aggregations,
                     options->config->aggregation_watermark_tolerance_ms * 1000);
        backfill->reducer.bounds = runtime_bounds(options->config);
        if (backfill->count > 0 && count_the_past(backfill, &error))
            log_warning("counting the past begins again",
                        LOG_TEXT("reason", (const char *)error.text));
        close_topic(backfill);
        int64_t until_us = clock_monotonic_us() + RETRY_MS * 1000;
        pthread_mutex_lock(&backfill->lock);
        for (int i = 0; i < backfill->count; i++)
            backfill->places[backfill->partitions[i].number] = -1;
        while (!backfill->stopping && clock_wait(&backfill->moved, &backfill->lock, until_us))
            continue;
        pthread_mutex_unlock(&backfill->lock);
    }
    return NULL;
}

/* -- for the runtime -- */

struct backfill *backfill_start(const struct runtime_options *options,
                                const struct backfill_partition *partitions, int count)
{
    struct backfill *backfill = must_calloc(1, sizeof(*backfill));
    backfill->options = options;
    backfill->count = count;
    backfill->partitions = must_calloc((size_t)count, sizeof(*partitions));
    memcpy(backfill->partitions, partitions, (size_t)count * sizeof(*partitions));
    for (int i = 0; i < count; i++) {
        backfill->limits[partitions[i].number] = partitions[i].limit;
        backfill->places[partitions[i].number] = -1;
    }
    pthread_mutex_init(&backfill->lock, NULL);
    clock_condition_init(&backfill->moved);
    if (pthread_create(&backfill->thread, NULL, run, backfill) == 0)
        return backfill;
    free(backfill->partitions);
    free(backfill);
    return NULL;
}

void backfill_limit(struct backfill *backfill, int32_t partition, int64_t limit)
{
    pthread_mutex_lock(&backfill->lock);
    backfill->limits[partition] = limit;
    pthread_mutex_unlock(&backfill->lock);
}

int64_t backfill_place(struct backfill *backfill, int32_t partition)
{
    pthread_mutex_lock(&backfill->lock);
    int64_t place = backfill->places[partition];
    pthread_mutex_unlock(&backfill->lock);
    return place;
}

bool backfill_take(struct backfill *backfill, int32_t partition, int64_t place, int timeout_ms)
{
    int64_t until_us = clock_monotonic_us() + (int64_t)timeout_ms * 1000;
    pthread_mutex_lock(&backfill->lock);
    while (backfill->places[partition] != place &&
           clock_wait(&backfill->moved, &backfill->lock, until_us))
        continue;
    bool there = backfill->places[partition] == place;
    backfill->taken[partition] = there;
    pthread_mutex_unlock(&backfill->lock);
    return there;
}

void backfill_stop(struct backfill *backfill)
{
    if (!backfill)
        return;
    pthread_mutex_lock(&backfill->lock);
    backfill->stopping = true;
    pthread_cond_broadcast(&backfill->moved);
    pthread_mutex_unlock(&backfill->lock);
    pthread_join(backfill->thread, NULL);
    pthread_mutex_destroy(&backfill->lock);
    pthread_cond_destroy(&backfill->moved);
    free(backfill->partitions);
    free(backfill);
}
