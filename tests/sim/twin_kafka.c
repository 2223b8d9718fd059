/* SPDX-License-Identifier: MIT */
/* twin_kafka.c - io/kafka.h: a broker with partitions, and producers with the order of an idempotent one:
 * for each producer and partition first in, first out, each message once. Acknowledgements come late; what
 * was not acknowledged when its producer died may be on the topic or not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/murmur2.h"
#include "io/kafka.h"
#include "world.h"

#define PRODUCERS_MAX 256
#define LANES (WORLD_PARTITIONS + 1) /* the last one: all typed topics */
#define CLUSTER "sim-cluster"

struct outgoing {
    struct outgoing *next;
    struct kafka_producer *producer;
    int partition; /* WORLD_PARTITIONS: of a typed topic */
    int64_t ready_us;
    struct broker_record record;
    uint64_t tag_a, tag_b;
};

struct kafka_producer {
    struct process *process;
    kafka_delivered *delivered;
    void *context;
    struct outgoing *first[LANES], *last[LANES]; /* on their way to the broker */
    struct outgoing *acknowledged, *acknowledged_last;
    int64_t queue;
    int64_t dead_us; /* what comes later than that has not reached the broker */
    bool fatal, freed;
};

static struct {
    struct broker_record **logs[WORLD_PARTITIONS];
    int64_t counts[WORLD_PARTITIONS], capacities[WORLD_PARTITIONS];
    int64_t down_until_us[LANES];
    uint8_t *published[WORLD_SHARDS];
    int64_t published_max[WORLD_SHARDS];
    struct kafka_producer *producers[PRODUCERS_MAX];
    int producers_count;
    struct chance chance;
} broker;

void broker_start(void)
{
    memset(&broker, 0, sizeof broker);
    broker.chance = chance_of(sim.options.seed, 0xb20);
}

void broker_end(void)
{
    for (int p = 0; p < WORLD_PARTITIONS; p++) {
        for (int64_t i = 0; i < broker.counts[p]; i++) {
            free(broker.logs[p][i]->key);
            free(broker.logs[p][i]->value);
            free(broker.logs[p][i]->lane);
            free(broker.logs[p][i]);
        }
        free(broker.logs[p]);
    }
    for (int s = 0; s < WORLD_SHARDS; s++)
        free(broker.published[s]);
}

const struct broker_record *broker_record(int partition, int64_t offset)
{
    return offset < broker.counts[partition] ? broker.logs[partition][offset] : NULL;
}

static int shard_of(const char *lane)
{
    const char *dot = strrchr(lane, '.');
    return dot == NULL ? 0 : atoi(dot + 1);
}

bool broker_has(int shard, int64_t seq)
{
    return seq < broker.published_max[shard] && broker.published[shard][seq] != 0;
}

static void note_published(int shard, int64_t seq)
{
    if (seq >= broker.published_max[shard]) {
        int64_t max = seq * 2 + 64;
        broker.published[shard] = must_realloc(broker.published[shard], (size_t)max);
        memset(broker.published[shard] + broker.published_max[shard], 0,
               (size_t)(max - broker.published_max[shard]));
        broker.published_max[shard] = max;
    }
    sim.count.repeats += broker.published[shard][seq] != 0;
    broker.published[shard][seq] = 1;
}

static void append(struct outgoing *message)
{
    int p = message->partition;
    if (p == WORLD_PARTITIONS)
        return;
    if (broker.counts[p] == broker.capacities[p]) {
        broker.capacities[p] = broker.capacities[p] == 0 ? 256 : broker.capacities[p] * 2;
        broker.logs[p] =
            must_realloc(broker.logs[p], (size_t)broker.capacities[p] * sizeof *broker.logs[p]);
    }
    struct broker_record *record = must_calloc(1, sizeof *record);
    *record = message->record;
    message->record = (struct broker_record){0};
    record->offset = broker.counts[p];
    broker.logs[p][broker.counts[p]++] = record;
    sim.count.events++;
    note_published(shard_of(record->lane), record->seq);
    world_tell(TOLD_BROKER, "%s: partition %d has lane %s seq %lld at %lld",
               message->producer->process->name, p, record->lane, (long long)record->seq,
               (long long)record->offset);
}

/* -- producers -- */

static void acknowledge(void *context)
{
    struct outgoing *message = context;
    struct kafka_producer *producer = message->producer;
    message->next = NULL;
    if (producer->acknowledged == NULL)
        producer->acknowledged = message;
    else
        producer->acknowledged_last->next = message;
    producer->acknowledged_last = message;
    fiber_wake(producer);
}

/* Messages whose time has come reach the broker, in order. */
static void pump(void *context)
{
    struct outgoing *message = context;
    struct kafka_producer *producer = message->producer;
    int lane = message->partition;
    int64_t now_us = fiber_now_us();
    while ((message = producer->first[lane]) != NULL) {
        int64_t wait_us = message->ready_us;
        if (producer->dead_us != 0 && now_us > producer->dead_us)
            return;
        if (producer->process->alive && producer->process->frozen_until_us > wait_us)
            wait_us = producer->process->frozen_until_us;
        if (broker.down_until_us[lane] > wait_us)
            wait_us = broker.down_until_us[lane];
        if (wait_us > now_us) {
            fiber_at(wait_us, pump, message);
            return;
        }
        producer->first[lane] = message->next;
        append(message);
        int64_t ack_us = chance_between(&broker.chance, 50, 3000);
        if (world_faulty(FAULT_BROKER) && chance_one_in(&broker.chance, 40))
            ack_us =
                chance_between(&broker.chance, 10000, 4 * SECOND_US); /* lost and asked again */
        if (!producer->fatal)
            fiber_at(now_us + ack_us, acknowledge, message);
    }
}

static void *poll_acknowledgements(void *context)
{
    struct kafka_producer *producer = context;
    while (!producer->freed) {
        struct outgoing *message = producer->acknowledged;
        if (message == NULL) {
            (void)fiber_wait(producer, INT64_MAX - 1);
            continue;
        }
        producer->acknowledged = message->next;
        producer->queue--;
        fiber_effect();
        producer->delivered(producer->context, message->tag_a, message->tag_b,
                            producer->fatal ? ERR_BROKER : ERR_OK, "");
    }
    return NULL;
}

/* Everything that is not acknowledged fails; of it the broker may have some. */
static void die_of_error(struct kafka_producer *producer)
{
    world_tell(TOLD_FAULT, "%s: fatal error of the producer", producer->process->name);
    producer->fatal = true;
    for (int lane = 0; lane < LANES; lane++) {
        struct outgoing *message = producer->first[lane];
        producer->first[lane] = NULL;
        for (struct outgoing *next; message != NULL; message = next) {
            next = message->next;
            acknowledge(message);
        }
    }
}

void broker_break(struct process *process)
{
    for (int i = 0; i < broker.producers_count; i++)
        if (broker.producers[i]->process == process)
            broker.producers[i]->dead_us = fiber_now_us() + chance_between(&broker.chance, 1, 2000);
}

enum error_code kafka_producer_new(struct kafka_producer **out, const struct config *config,
                                   const char *client_id, kafka_delivered *delivered, void *context,
                                   struct error *error)
{
    struct kafka_producer *producer = must_calloc(1, sizeof *producer);
    (void)config, (void)client_id, (void)error;
    BUG_IF(broker.producers_count == PRODUCERS_MAX);
    producer->process = fiber_process();
    producer->delivered = delivered;
    producer->context = context;
    broker.producers[broker.producers_count++] = producer;
    process_start(producer->process, poll_acknowledgements, producer);
    *out = producer;
    return ERR_OK;
}

static char *copy(const void *data, size_t bytes)
{
    char *copied = must_alloc(bytes + 1);
    memcpy(copied, data, bytes);
    copied[bytes] = '\0';
    return copied;
}

static void copy_record(struct broker_record *record, const struct kafka_message *message)
{
    *record = (struct broker_record){.key = copy(message->key, message->key_bytes),
                                     .value = copy(message->value, message->value_bytes),
                                     .value_bytes = message->value_bytes,
                                     .prev_seq = -1,
                                     .timestamp_ms = message->timestamp_ms};
    for (int i = 0; i < message->headers_count; i++) {
        const struct kafka_header *header = &message->headers[i];
        if (strcmp(header->name, "lane") == 0)
            record->lane = copy(header->value, header->bytes);
        else if (strcmp(header->name, "seq") == 0)
            record->seq = atoll(header->value);
        else if (strcmp(header->name, "prev_seq") == 0)
            record->prev_seq = atoll(header->value);
    }
}

enum error_code kafka_produce(struct kafka_producer *producer, const struct kafka_message *message,
                              struct error *error)
{
    fiber_effect();
    if (world_faulty(FAULT_BROKER) && !producer->fatal && chance_one_in(&broker.chance, 1500))
        die_of_error(producer);
    if (producer->fatal)
        return error_set(error, ERR_BROKER, "the producer had a fatal error");
    if (producer->queue >= sim.config.kafka_queue_events_max)
        return error_set(error, ERR_LIMIT, "the queue is full");
    struct outgoing *added = must_calloc(1, sizeof *added);
    bool typed = strcmp(message->topic, sim.config.kafka_workflow_topic) != 0;
    added->producer = producer;
    added->partition = typed ? WORLD_PARTITIONS : message->partition;
    added->tag_a = message->tag_a;
    added->tag_b = message->tag_b;
    added->ready_us = fiber_now_us() + chance_between(&broker.chance, 30, 2000);
    copy_record(&added->record, message);
    if (!typed)
        check_produced(producer->process, shard_of(added->record.lane), added->record.seq,
                       added->record.key);
    producer->queue++;
    int lane = added->partition;
    if (producer->first[lane] == NULL)
        producer->first[lane] = added;
    else
        producer->last[lane]->next = added;
    producer->last[lane] = added;
    fiber_at(added->ready_us, pump, added);
    return ERR_OK;
}

bool kafka_producer_fatal(const struct kafka_producer *producer) { return producer->fatal; }
int64_t kafka_producer_queue(const struct kafka_producer *producer) { return producer->queue; }

int64_t kafka_producer_flush(struct kafka_producer *producer, int timeout_ms)
{
    int64_t until_us = fiber_now_us() + timeout_ms * INT64_C(1000);
    while (producer->queue > 0 && fiber_now_us() < until_us)
        fiber_sleep_us(1000);
    return producer->queue;
}

void kafka_producer_free(struct kafka_producer *producer)
{
    producer->freed = true;
    producer->dead_us = fiber_now_us();
    fiber_wake(producer);
}

static enum error_code ask(struct error *error)
{
    fiber_effect();
    fiber_sleep_us(chance_between(&broker.chance, 200, 2000));
    return broker.down_until_us[0] > fiber_now_us()
               ? error_set(error, ERR_BROKER, "no broker can be reached")
               : ERR_OK;
}

enum error_code kafka_cluster_id(struct kafka_producer *producer, int timeout_ms, char **id,
                                 struct error *error)
{
    (void)producer, (void)timeout_ms;
    enum error_code code = ask(error);
    if (code == ERR_OK)
        *id = must_strdup(CLUSTER);
    return code;
}

enum error_code kafka_topic_partitions(struct kafka_producer *producer, const char *topic,
                                       int timeout_ms, int32_t *partitions, struct error *error)
{
    (void)producer, (void)timeout_ms, (void)topic;
    *partitions = WORLD_PARTITIONS;
    return ask(error);
}

enum error_code kafka_topics_missing(struct kafka_producer *producer, const char *const *topics,
                                     int count, int timeout_ms, bool *missing, struct error *error)
{
    (void)producer, (void)timeout_ms, (void)topics;
    memset(missing, 0, (size_t)count * sizeof *missing);
    return ask(error);
}

bool kafka_producer_reachable(const struct kafka_producer *producer)
{
    (void)producer;
    return broker.down_until_us[0] <= fiber_now_us();
}

void broker_away(int partition, int64_t us)
{
    broker.down_until_us[partition] = fiber_now_us() + us;
}
