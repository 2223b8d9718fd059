/* SPDX-License-Identifier: MIT */
/* kafka.h - librdkafka: an idempotent producer, a consumer with stored offsets, topic administration.
 *
 * Owns      Each object owns its librdkafka handle. Records lent by the consumer live until
 *           kafka_records_free.
 * Threads   The producer may be used from any thread; delivery callbacks run on its own poll thread.
 *           A consumer belongs to one thread; its rebalance callbacks run inside kafka_consume.
 * Errors    ERR_LIMIT: the producer's queue is full, nothing was taken. ERR_BROKER: no broker can be
 *           reached in time, or the producer had a fatal error (kafka_producer_fatal tells: make a
 *           new one). ERR_NOT_FOUND: a topic is missing; the text names it.
 */
#ifndef IO_KAFKA_H
#define IO_KAFKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"

struct kafka_producer;

struct kafka_header {
    const char *name;
    const char *value;
    size_t bytes;
};

struct kafka_message {
    const char *topic;
    int32_t partition; /* -1: by key, murmur2_random as Java clients */
    const void *key;
    size_t key_bytes;
    const void *value;
    size_t value_bytes;
    const struct kafka_header *headers;
    int headers_count;
    int64_t timestamp_ms; /* 0: now */
    uint64_t tag_a;       /* come back in the delivery callback */
    uint64_t tag_b;
};

/* code ERR_OK: acknowledged by the broker. ERR_STOPPING: the producer is being freed before the broker
 * acknowledged; the event may or may not be on the topic. Runs on the producer's poll thread (during
 * kafka_producer_flush and kafka_producer_free also on the caller's). */
typedef void kafka_delivered(void *context, uint64_t tag_a, uint64_t tag_b, enum error_code code,
                             const char *text);

/* enable.idempotence, enable.gapless.guarantee, acks=all, message.timeout.ms=0. */
enum error_code kafka_producer_new(struct kafka_producer **producer, const struct config *config,
                                   const char *client_id, kafka_delivered *delivered, void *context,
                                   struct error *error) MUST_USE;
/* Copies key, value and headers. */
enum error_code kafka_produce(struct kafka_producer *producer, const struct kafka_message *message,
                              struct error *error) MUST_USE;
bool kafka_producer_fatal(const struct kafka_producer *producer);
int64_t kafka_producer_queue(
    const struct kafka_producer *producer); /* events not yet acknowledged */
/* Waits until all is acknowledged or the time is over; gives what remains. */
int64_t kafka_producer_flush(struct kafka_producer *producer, int timeout_ms);
void kafka_producer_free(struct kafka_producer *producer);

/* The id of the cluster the producer talks to; free() it. */
enum error_code kafka_cluster_id(struct kafka_producer *producer, int timeout_ms, char **id,
                                 struct error *error) MUST_USE;
/* ERR_NOT_FOUND names the topic that does not exist. */
enum error_code kafka_topic_partitions(struct kafka_producer *producer, const char *topic,
                                       int timeout_ms, int32_t *partitions,
                                       struct error *error) MUST_USE;
/* Which of the topics the broker does not have: one request for all of them. */
enum error_code kafka_topics_missing(struct kafka_producer *producer, const char *const *topics,
                                     int count, int timeout_ms, bool *missing,
                                     struct error *error) MUST_USE;
bool kafka_producer_reachable(
    const struct kafka_producer *producer); /* last known broker state, for health */

#endif
