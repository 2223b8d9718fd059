/* SPDX-License-Identifier: MIT */
#include "orchestrator/publisher.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/metrics.h"
#include "core/murmur2.h"
#include "io/clock.h"
#include "io/crash_point.h"
#include "io/log.h"
#include "io/presence.h"
#include "orchestrator/store.h"

#define BACKLOG_CHUNK 500      /* records read from the log at a time */
#define SEED_RECORDS 1000      /* looked through for the last seq on each partition */
#define BROKER_TIMEOUT_MS 3000 /* of questions at start */
#define RETRY_US 200000        /* between tries while the broker or the database is away */
#define IDLE_US 1000000        /* the thread's look around when nothing was reported */
#define PARTITIONS_MAX 1024
#define PRODUCERS_RETIRED_MAX 16

#define COPY_WORKFLOW 1u /* on the workflow topic */
#define COPY_TYPED 2u    /* on the typed topic */

enum lane_mode { LANE_CLOSED, LANE_BACKLOG, LANE_LIVE };

struct lane {
    pthread_mutex_t lock;
    enum lane_mode mode;
    bool seeded;         /* previous_seq is known */
    uint32_t generation; /* answers to older ones are stale */
    int64_t committed_seq;
    int64_t produced_seq;
    int64_t published_seq;
    char cluster_id[PUBLISHER_CLUSTER_BYTES]; /* of the broker that published_seq speaks of */
    uint8_t *unacknowledged; /* bits of COPY_..., of published_seq + 1 + i; a ring */
    size_t ring_capacity, ring_head;
    int64_t previous_seq[PARTITIONS_MAX]; /* -1: not known */
};

struct publisher {
    const struct config *config;
    const struct workflow_environment *environment;
    char *node_id;
    int64_t incarnation;
    struct registry *registry;
    const struct event_routes *routes;
    struct postgres *postgres;
    _Atomic(struct kafka_producer *) producer;
    int32_t partitions;         /* 0 until the broker was asked; set before any lane is LIVE */
    _Atomic(char *) cluster_id; /* NULL until then */
    struct lane lanes[SHARDS_MAX];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool woken, started;
    atomic_bool stopping;
    struct kafka_producer *retired[PRODUCERS_RETIRED_MAX]; /* others may still hold them */
    size_t retired_count;
    bool told_unreachable;
    atomic_bool reachable;
};

void publisher_build(const struct publisher *publisher, const struct workflow *workflow,
                     const struct workflow_record *record, const struct workflow_outcome *outcome,
                     int64_t seq, struct publisher_events *events)
{
    publisher_events_add(events, publisher->node_id, publisher->config->environment, workflow,
                         record, outcome, seq);
}

/* -- lanes; the lane's lock is held -- */

static uint8_t *copies_of(struct lane *lane, int64_t seq)
{
    return &lane->unacknowledged[(lane->ring_head + (size_t)(seq - lane->published_seq - 1)) &
                                 (lane->ring_capacity - 1)];
}

static void ring_reserve(struct lane *lane, int64_t seq)
{
    size_t needed = (size_t)(seq - lane->published_seq);
    if (needed <= lane->ring_capacity)
        return;
    size_t capacity = lane->ring_capacity == 0 ? 256 : lane->ring_capacity;
    while (capacity < needed)
        capacity *= 2;
    uint8_t *ring = must_calloc(capacity, 1);
    for (size_t i = 0; i < lane->ring_capacity; i++)
        ring[i] = lane->unacknowledged[(lane->ring_head + i) & (lane->ring_capacity - 1)];
    free(lane->unacknowledged);
    lane->unacknowledged = ring;
    lane->ring_capacity = capacity;
    lane->ring_head = 0;
}

static void advance_published(struct lane *lane)
{
    while (lane->published_seq < lane->produced_seq &&
           *copies_of(lane, lane->published_seq + 1) == 0) {
        lane->ring_head = (lane->ring_head + 1) & (lane->ring_capacity - 1);
        lane->published_seq++;
    }
}

static void set_backlog(struct lane *lane)
{
    lane->mode = LANE_BACKLOG;
    lane->generation++;
    lane->produced_seq = lane->published_seq;
    lane->seeded = false;
    if (lane->unacknowledged != NULL)
        memset(lane->unacknowledged, 0, lane->ring_capacity);
}

#define TAG(shard, generation) ((uint64_t)(uint16_t)(shard) << 32 | (generation))

static void wake(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    publisher->woken = true;
    pthread_cond_signal(&publisher->wake);
    pthread_mutex_unlock(&publisher->lock);
}

static void on_delivered(void *context, uint64_t tag_a, uint64_t tag_b, enum error_code code,
                         const char *text)
{
    struct publisher *publisher = context;
    struct lane *lane = &publisher->lanes[(tag_a >> 32) & (SHARDS_MAX - 1)];
    int64_t seq = (int64_t)(tag_b >> 2);
    bool failed = code != ERR_OK && code != ERR_STOPPING;
    CRASH_POINT("delivered");
    if (tag_a == PRESENCE_TAG)
        return; /* an event of the node itself, outside the lanes */
    pthread_mutex_lock(&lane->lock);
    if (lane->generation == (uint32_t)tag_a && seq > lane->published_seq &&
        seq <= lane->produced_seq + 1) {
        if (failed) {
            set_backlog(lane);
        } else if (code == ERR_OK) {
            *copies_of(lane, seq) &= (uint8_t) ~(tag_b & 3);
            advance_published(lane);
        }
    }
    pthread_mutex_unlock(&lane->lock);
    metrics_add(METRIC_EVENTS_PUBLISHED, failed, 0, 1);
    if (failed) {
        log_error("Failed to publish Kafka event", LOG_INT("shard", (int64_t)(tag_a >> 32)),
                  LOG_INT("seq", seq), LOG_TEXT("error", text));
        wake(publisher);
    }
}

/* Hands one event over: to the workflow topic and, when it has a route, to its typed topic. */
static bool produce(struct publisher *publisher, struct lane *lane,
                    const struct publisher_event *event, const char *values)
{
    if (kafka_producer_queue(publisher->producer) + 2 > publisher->config->kafka_queue_events_max)
        return false;
    char key[UUID_TEXT_BYTES];
    uuid_format(&event->workflow_id, key);
    int32_t partition = kafka_partition_of_key(key, UUID_TEXT_BYTES - 1, publisher->partitions);
    struct publisher_headers headers;
    char lane_name[32];
    publisher_lane_name(publisher, event->shard, lane_name);
    struct kafka_message message = {
        .topic = publisher->config->kafka_workflow_topic,
        .partition = partition,
        .key = key,
        .key_bytes = UUID_TEXT_BYTES - 1,
        .value = values + event->value_offset,
        .value_bytes = event->value_bytes,
        .headers = headers.items,
        .headers_count = publisher_event_headers(event, values, lane_name,
                                                 lane->previous_seq[partition], &headers),
        .timestamp_ms = event->at_us / 1000,
        .tag_a = TAG(event->shard, lane->generation),
        .tag_b = (uint64_t)event->seq << 2 | COPY_WORKFLOW,
    };
    const char *topic = event_routes_topic(publisher->routes, values + event->type_offset);
    ring_reserve(lane, event->seq);
    *copies_of(lane, event->seq) = topic == NULL ? COPY_WORKFLOW : COPY_WORKFLOW | COPY_TYPED;
    if (kafka_produce(publisher->producer, &message, NULL) != ERR_OK)
        return false;
    CRASH_POINT("half_produced");
    if (topic != NULL) {
        message.topic = topic;
        message.partition = -1;
        message.tag_b = (uint64_t)event->seq << 2 | COPY_TYPED;
        if (kafka_produce(publisher->producer, &message, NULL) != ERR_OK)
            return false;
    }
    lane->previous_seq[partition] = event->seq;
    lane->produced_seq = event->seq;
    return true;
}

void publisher_commit(struct publisher *publisher, const struct publisher_events *events)
{
    bool behind = false;
    for (size_t i = 0; i < events->count;) {
        int16_t shard = events->items[i].shard;
        struct lane *lane = &publisher->lanes[shard];
        pthread_mutex_lock(&lane->lock);
        for (; i < events->count && events->items[i].shard == shard; i++) {
            const struct publisher_event *event = &events->items[i];
            if (lane->mode == LANE_LIVE && lane->produced_seq + 1 == event->seq &&
                !produce(publisher, lane, event, events->values.data))
                lane->mode = LANE_BACKLOG;
            if (event->seq > lane->committed_seq)
                lane->committed_seq = event->seq;
        }
        behind = behind || lane->mode == LANE_BACKLOG;
        pthread_mutex_unlock(&lane->lock);
    }
    if (behind)
        wake(publisher);
}

/* What was published speaks of one cluster; another one has seen nothing of this lane. */
static void fit_cluster(struct publisher *publisher, struct lane *lane)
{
    const char *present = atomic_load(&publisher->cluster_id);
    if (present == NULL || strcmp(lane->cluster_id, present) == 0)
        return;
    snprintf(lane->cluster_id, sizeof lane->cluster_id, "%s", present);
    lane->published_seq = 0;
}

void publisher_lane_open(struct publisher *publisher, int16_t shard, int64_t next_seq,
                         int64_t published_seq, const char *cluster_id)
{
    struct lane *lane = &publisher->lanes[shard];
    pthread_mutex_lock(&lane->lock);
    lane->published_seq = published_seq;
    snprintf(lane->cluster_id, sizeof lane->cluster_id, "%s", cluster_id);
    fit_cluster(publisher, lane);
    lane->committed_seq = next_seq - 1;
    set_backlog(lane);
    pthread_mutex_unlock(&lane->lock);
    wake(publisher);
}

void publisher_lane_close(struct publisher *publisher, int16_t shard)
{
    struct lane *lane = &publisher->lanes[shard];
    pthread_mutex_lock(&lane->lock);
    lane->mode = LANE_CLOSED;
    lane->generation++;
    pthread_mutex_unlock(&lane->lock);
}

int64_t publisher_published(struct publisher *publisher, int16_t shard,
                            char cluster_id[PUBLISHER_CLUSTER_BYTES])
{
    struct lane *lane = &publisher->lanes[shard];
    pthread_mutex_lock(&lane->lock);
    int64_t seq = lane->published_seq;
    memcpy(cluster_id, lane->cluster_id, PUBLISHER_CLUSTER_BYTES);
    pthread_mutex_unlock(&lane->lock);
    return seq;
}

void publisher_lane_name(const struct publisher *publisher, int16_t shard, char name[32])
{
    snprintf(name, 32, "%lld.%d", (long long)publisher->incarnation, shard);
}

/* -- the backlog thread -- */

/* A record's events may be published in part, so its last one may lie beyond; seq_count is a smallint. */
static const char sql_seed[] =
    "SELECT workflow_id, least(seq + seq_count - 1, $2) FROM workflow_events "
    "WHERE shard = $1 AND seq + seq_count <= $2 + 32768 AND seq <= $2 AND seq_count > 0 "
    "ORDER BY seq + seq_count DESC LIMIT $3";

/* Learns the lane's last seq on each partition before published_seq, for the prev_seq header. */
static enum error_code seed(struct publisher *publisher, int16_t shard, int64_t published_seq,
                            int64_t *previous, struct error *error)
{
    struct postgres_value values[3] = {{0}};
    struct postgres_rows *rows = NULL;
    for (int32_t i = 0; i < publisher->partitions; i++)
        previous[i] = published_seq == 0 ? 0 : -1;
    if (published_seq == 0)
        return ERR_OK;
    postgres_set_int2(&values[0], shard);
    postgres_set_int8(&values[1], published_seq);
    postgres_set_int8(&values[2], SEED_RECORDS);
    enum error_code code = postgres_query(publisher->postgres, sql_seed, values, 3, &rows, error);
    int count = code == ERR_OK ? postgres_rows_count(rows) : 0;
    for (int i = 0; i < count; i++) {
        struct uuid id = postgres_rows_uuid(rows, i, 0);
        char key[UUID_TEXT_BYTES];
        uuid_format(&id, key);
        int32_t partition = kafka_partition_of_key(key, UUID_TEXT_BYTES - 1, publisher->partitions);
        if (previous[partition] < 0)
            previous[partition] = postgres_rows_int(rows, i, 1);
    }
    for (int32_t i = 0; i < publisher->partitions && code == ERR_OK && count < SEED_RECORDS; i++)
        if (previous[i] < 0)
            previous[i] = 0; /* the whole lane was looked through */
    postgres_rows_free(rows);
    for (int i = 0; i < 3; i++)
        postgres_value_fini(&values[i]);
    return code;
}

struct rebuilding {
    struct publisher *publisher;
    struct publisher_events events;
    int64_t after_seq, last_seq;
    int16_t shard;
};

static void on_record(void *context, const struct workflow *workflow,
                      const struct workflow_record *record, const struct workflow_outcome *outcome,
                      int64_t seq)
{
    struct rebuilding *rebuilding = context;
    if (seq + (int64_t)outcome->events_count > rebuilding->after_seq + 1)
        publisher_build(rebuilding->publisher, workflow, record, outcome, seq, &rebuilding->events);
}

static int by_seq(const void *a, const void *b)
{
    int64_t x = ((const struct publisher_event *)a)->seq,
            y = ((const struct publisher_event *)b)->seq;
    return x < y ? -1 : x > y;
}

/* Numbers that the log no longer tells of: pruned, or of a workflow whose record does not fit any more.
 * The lane goes on behind them; readers see the gap by prev_seq. */
static void skip_gap(struct lane *lane, int16_t shard, int64_t up_to)
{
    log_error("gap in a lane: events that can no longer be made are left out",
              LOG_INT("shard", shard), LOG_INT("from_seq", lane->produced_seq + 1),
              LOG_INT("to_seq", up_to));
    if (lane->published_seq == lane->produced_seq) { /* nothing unacknowledged before it */
        lane->published_seq = lane->produced_seq = up_to;
        return;
    }
    ring_reserve(lane, up_to);
    for (int64_t seq = lane->produced_seq + 1; seq <= up_to; seq++)
        *copies_of(lane, seq) = 0;
    lane->produced_seq = up_to;
    advance_published(lane);
}

/* Hands over what was rebuilt; true when the producer took all of it. */
static bool produce_rebuilt(struct publisher *publisher, struct lane *lane,
                            struct rebuilding *rebuilding, uint32_t generation)
{
    bool all = true;
    CRASH_POINT("backlog_read");
    qsort(rebuilding->events.items, rebuilding->events.count, sizeof *rebuilding->events.items,
          by_seq);
    pthread_mutex_lock(&lane->lock);
    for (size_t i = 0; i < rebuilding->events.count && all && lane->generation == generation; i++) {
        const struct publisher_event *event = &rebuilding->events.items[i];
        if (event->seq <= lane->produced_seq || event->seq > rebuilding->last_seq)
            continue;
        if (event->seq > lane->produced_seq + 1)
            skip_gap(lane, rebuilding->shard, event->seq - 1);
        all = produce(publisher, lane, event, rebuilding->events.values.data);
    }
    if (all && lane->generation == generation && lane->produced_seq < rebuilding->last_seq)
        skip_gap(lane, rebuilding->shard, rebuilding->last_seq);
    pthread_mutex_unlock(&lane->lock);
    return all;
}

/* One step of a lane in BACKLOG. True when there may be more to do at once. */
static bool work_off(struct publisher *publisher, int16_t shard, struct error *error)
{
    struct lane *lane = &publisher->lanes[shard];
    pthread_mutex_lock(&lane->lock);
    uint32_t generation = lane->generation;
    bool seeded = lane->seeded;
    int64_t produced = lane->produced_seq, published = lane->published_seq;
    bool caught_up = seeded && lane->mode == LANE_BACKLOG && produced >= lane->committed_seq;
    bool wanted = lane->mode == LANE_BACKLOG && !caught_up;
    if (caught_up)
        lane->mode = LANE_LIVE;
    pthread_mutex_unlock(&lane->lock);
    if (!wanted)
        return false;
    if (!seeded) {
        int64_t *previous = must_calloc(PARTITIONS_MAX, sizeof *previous);
        bool known = seed(publisher, shard, published, previous, error) == ERR_OK;
        pthread_mutex_lock(&lane->lock);
        if (known && lane->generation == generation) {
            memcpy(lane->previous_seq, previous, PARTITIONS_MAX * sizeof *previous);
            lane->seeded = true;
        }
        pthread_mutex_unlock(&lane->lock);
        free(previous);
        return known;
    }
    struct rebuilding rebuilding = {.publisher = publisher, .after_seq = produced, .shard = shard};
    bool more = store_read_lane(publisher->postgres, publisher->registry, shard, produced,
                                BACKLOG_CHUNK, publisher->environment, on_record, &rebuilding,
                                &rebuilding.last_seq, error) == ERR_OK &&
                rebuilding.last_seq > produced &&
                produce_rebuilt(publisher, lane, &rebuilding, generation);
    publisher_events_fini(&rebuilding.events);
    return more;
}

/* From then on only this thread produces, until it has found each lane caught up. */
static void all_to_backlog(struct publisher *publisher)
{
    for (int i = 0; i < SHARDS_MAX; i++) {
        struct lane *lane = &publisher->lanes[i];
        pthread_mutex_lock(&lane->lock);
        if (lane->mode != LANE_CLOSED) {
            fit_cluster(publisher, lane);
            set_backlog(lane);
        }
        pthread_mutex_unlock(&lane->lock);
    }
}

/* All in one request; one that seems to be missing is asked for by name, which makes it where brokers
 * create topics by themselves and says so where they do not. */
static enum error_code check_typed_topics(struct publisher *publisher, int timeout_ms,
                                          struct error *error)
{
    const struct event_routes *routes = publisher->routes;
    const char **topics = must_calloc(routes->count + 1, sizeof *topics);
    bool *missing = must_calloc(routes->count + 1, sizeof *missing);
    for (size_t i = 0; i < routes->count; i++)
        topics[i] = routes->items[i].topic;
    enum error_code code = kafka_topics_missing(publisher->producer, topics, (int)routes->count,
                                                timeout_ms, missing, error);
    for (size_t i = 0; i < routes->count && code == ERR_OK; i++) {
        int32_t partitions;
        if (missing[i])
            code = kafka_topic_partitions(publisher->producer, topics[i], timeout_ms, &partitions,
                                          error);
    }
    free(topics);
    free(missing);
    return code;
}

/* Asks the broker who it is; lanes opened before that look again at what they know of it. */
static enum error_code ask_broker(struct publisher *publisher, int timeout_ms, struct error *error)
{
    char *id = NULL;
    int32_t partitions = 0;
    enum error_code code =
        kafka_topic_partitions(publisher->producer, publisher->config->kafka_workflow_topic,
                               timeout_ms, &partitions, error);
    if (code == ERR_OK)
        code = check_typed_topics(publisher, timeout_ms, error);
    if (code == ERR_OK)
        code = kafka_cluster_id(publisher->producer, timeout_ms, &id, error);
    if (code != ERR_OK)
        return code;
    publisher->partitions = partitions > PARTITIONS_MAX ? PARTITIONS_MAX : partitions;
    atomic_store(&publisher->cluster_id, id);
    all_to_backlog(publisher);
    return ERR_OK;
}

static void renew_producer(struct publisher *publisher)
{
    struct kafka_producer *fresh = NULL, *old = publisher->producer;
    struct error error = {0};
    if (publisher->retired_count ==
        PRODUCERS_RETIRED_MAX) { /* the oldest has long been out of everybody's hands */
        kafka_producer_free(publisher->retired[0]);
        memmove(publisher->retired, publisher->retired + 1,
                --publisher->retired_count * sizeof *publisher->retired);
    }
    log_error("Failed to publish Kafka event",
              LOG_TEXT("error", "fatal producer error; a new producer takes over"));
    if (kafka_producer_new(&fresh, publisher->config, "bridge-orchestrator", on_delivered,
                           publisher, &error) != ERR_OK)
        return;
    all_to_backlog(
        publisher); /* before the change, so that no lane's newer events overtake older ones */
    atomic_store(&publisher->producer, fresh);
    publisher->retired[publisher->retired_count++] = old;
}

static void look_around(struct publisher *publisher)
{
    int64_t backlog = 0;
    for (int i = 0; i < SHARDS_MAX; i++) {
        struct lane *lane = &publisher->lanes[i];
        pthread_mutex_lock(&lane->lock);
        if (lane->mode != LANE_CLOSED)
            backlog += lane->committed_seq - lane->published_seq;
        pthread_mutex_unlock(&lane->lock);
    }
    metrics_gauge_set(METRIC_OUTBOX_BACKLOG, 0, 0, (double)backlog);
    bool reachable = kafka_producer_reachable(publisher->producer);
    atomic_store(&publisher->reachable, reachable);
    if (!reachable && !publisher->told_unreachable)
        log_warning("Failed to publish Kafka event",
                    LOG_TEXT("error", "no broker can be reached; events wait in the outbox"),
                    LOG_INT("backlog", backlog));
    publisher->told_unreachable = !reachable;
    if (kafka_producer_fatal(publisher->producer))
        renew_producer(publisher);
}

static bool work_off_all(struct publisher *publisher)
{
    bool more = false;
    struct error error = {0};
    if (publisher->partitions == 0 && ask_broker(publisher, BROKER_TIMEOUT_MS, &error) != ERR_OK)
        return false;
    for (int16_t shard = 0; shard < SHARDS_MAX; shard++)
        more = work_off(publisher, shard, &error) || more;
    if (error.code != ERR_OK)
        log_warning("backlog cannot be read", LOG_TEXT("error", error.text));
    return more && error.code == ERR_OK;
}

static bool any_backlog(struct publisher *publisher)
{
    bool any = false;
    for (int i = 0; i < SHARDS_MAX; i++) {
        pthread_mutex_lock(&publisher->lanes[i].lock);
        any = any || publisher->lanes[i].mode == LANE_BACKLOG;
        pthread_mutex_unlock(&publisher->lanes[i].lock);
    }
    return any;
}

static void wait_for_work(struct publisher *publisher, int64_t wait_us)
{
    int64_t until_us = clock_monotonic_us() + wait_us;
    pthread_mutex_lock(&publisher->lock);
    while (!publisher->woken && !publisher->stopping &&
           clock_wait(&publisher->wake, &publisher->lock, until_us))
        continue;
    publisher->woken = false;
    pthread_mutex_unlock(&publisher->lock);
}

static void *run(void *context)
{
    struct publisher *publisher = context;
    int64_t looked_us = 0;
    while (!publisher->stopping) {
        bool more = work_off_all(publisher);
        if (clock_monotonic_us() - looked_us >= IDLE_US) {
            look_around(publisher);
            looked_us = clock_monotonic_us();
        }
        if (!more)
            wait_for_work(publisher, any_backlog(publisher) ? RETRY_US : IDLE_US);
    }
    return NULL;
}

/* -- life -- */

enum error_code publisher_open(struct publisher **out, const struct publisher_options *options,
                               struct error *error)
{
    struct publisher *publisher = must_calloc(1, sizeof *publisher);
    publisher->config = options->config;
    publisher->environment = options->environment;
    publisher->node_id = must_strdup(options->node_id);
    publisher->incarnation = options->incarnation;
    publisher->registry = options->registry;
    publisher->routes = options->routes;
    publisher->postgres =
        postgres_new(options->database_url, "bridge-orchestrator outbox", STORE_SETTINGS);
    postgres_set_reply_timeout(publisher->postgres, (int)options->config->lease_ms);
    pthread_mutex_init(&publisher->lock, NULL);
    clock_condition_init(&publisher->wake);
    for (int i = 0; i < SHARDS_MAX; i++)
        pthread_mutex_init(&publisher->lanes[i].lock, NULL);
    struct kafka_producer *producer = NULL;
    enum error_code code = kafka_producer_new(&producer, options->config, "bridge-orchestrator",
                                              on_delivered, publisher, error);
    atomic_store(&publisher->producer, producer);
    if (code == ERR_OK) {
        struct error fault = {0};
        code = ask_broker(publisher, BROKER_TIMEOUT_MS, &fault);
        atomic_store(&publisher->reachable, code == ERR_OK);
        if (code == ERR_NOT_FOUND)
            error_set(error, ERR_NOT_FOUND, "%s; run: bridgectl topics create", fault.text);
        else
            code = ERR_OK;
    }
    if (code != ERR_OK) {
        publisher_close(publisher, 0);
        return code;
    }
    *out = publisher;
    return ERR_OK;
}

void publisher_start(struct publisher *publisher)
{
    int failed = pthread_create(&publisher->thread, NULL, run, publisher);
    BUG_IF(failed);
    publisher->started = true;
}

void publisher_close(struct publisher *publisher, int flush_ms)
{
    if (publisher == NULL)
        return;
    pthread_mutex_lock(&publisher->lock);
    publisher->stopping = true;
    pthread_cond_signal(&publisher->wake);
    pthread_mutex_unlock(&publisher->lock);
    if (publisher->started)
        pthread_join(publisher->thread, NULL);
    if (publisher->producer != NULL) {
        if (flush_ms > 0)
            kafka_producer_flush(publisher->producer, flush_ms);
        kafka_producer_free(publisher->producer);
    }
    for (size_t i = 0; i < publisher->retired_count; i++)
        kafka_producer_free(publisher->retired[i]);
    postgres_free(publisher->postgres);
    for (int i = 0; i < SHARDS_MAX; i++) {
        free(publisher->lanes[i].unacknowledged);
        pthread_mutex_destroy(&publisher->lanes[i].lock);
    }
    pthread_mutex_destroy(&publisher->lock);
    pthread_cond_destroy(&publisher->wake);
    free(publisher->cluster_id);
    free(publisher->node_id);
    free(publisher);
}

struct kafka_producer *publisher_producer(struct publisher *publisher)
{
    return publisher->producer;
}
bool publisher_reachable(const struct publisher *publisher)
{
    return atomic_load(&publisher->reachable);
}
