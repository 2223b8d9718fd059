/* SPDX-License-Identifier: MIT */
/* kafka_consumer.h - one topic read as a member of a consumer group, offsets kept by the caller.
 *
 * Group membership is static (group.instance.id) and cooperative-sticky, session timeout 6 s. The
 * group's moves are not carried out inside a callback: kafka_consume notes them, the caller finishes
 * the records it was given, takes each move with kafka_rebalance_next and answers it with
 * kafka_assign or kafka_unassign. So a record is never handed out after its partition was given up.
 *
 * Owns      The librdkafka handle. Records are lent until kafka_records_free.
 * Threads   One thread, but for kafka_consumer_reachable.
 * Errors    A record's code: ERR_OK; ERR_CONFLICT: the next offset is no longer on the broker;
 *           ERR_NOT_FOUND: the topic is missing; ERR_BROKER: anything else the group reported.
 */
#ifndef IO_KAFKA_CONSUMER_H
#define IO_KAFKA_CONSUMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"

struct kafka_consumer;

struct kafka_consumer_options {
    const char *topic;
    const char *group;
    const char *instance_id; /* static membership; "": a member without a place of its own; NULL: no
                                member, reads what kafka_read_from says */
    const char *client_id;
    int event_fd; /* eventfd that becomes readable when something waits to be consumed; -1: none */
};

struct kafka_record {
    enum error_code code;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* of the record; 0 when it has none */
    const char *key; /* NULL when absent */
    size_t key_bytes;
    const char *value; /* NULL when absent */
    size_t value_bytes;
    void *internal;
};

struct kafka_text {
    const char *data; /* NULL when the header is absent */
    size_t bytes;
};

struct kafka_rebalance {
    bool assign; /* else these partitions are to be given up */
    bool lost;   /* given up already: another member may have them */
    const int32_t *partitions;
    int count;
};

enum error_code kafka_consumer_new(struct kafka_consumer **consumer, const struct config *config,
                                   const struct kafka_consumer_options *options, struct error *error) MUST_USE;
/* Becomes a member of the group: as late as possible, because one that is freed before its first assignment
 * has to wait for it. */
enum error_code kafka_consumer_join(struct kafka_consumer *consumer, struct error *error) MUST_USE;
/* Gives partitions and place back to the group, so that others have them at once; nothing more is to be
 * consumed. Takes a second at most; what could not be given back goes when the session is over. */
void kafka_consumer_leave(struct kafka_consumer *consumer);
/* A static member that did not leave keeps its place until its session is over, and has its partitions again
 * when it joins before. Takes at most a few seconds. */
void kafka_consumer_free(struct kafka_consumer *consumer); /* NULL is fine */
bool kafka_consumers_closing(void);                        /* such a thread is at work */

/* Up to max records; 0 when the time passed or a rebalance waits. */
int kafka_consume(struct kafka_consumer *consumer, int timeout_ms, struct kafka_record *records, int max);
void kafka_records_free(struct kafka_record *records, int count);
/* Values of the named headers in one pass (the last one of each name wins). */
void kafka_record_headers(const struct kafka_record *record, const char *const *names, struct kafka_text *values,
                          int count);

/* The oldest move of the group that was not answered yet; lent until it is answered. */
bool kafka_rebalance_next(struct kafka_consumer *consumer, struct kafka_rebalance *rebalance);
enum error_code kafka_assign(struct kafka_consumer *consumer, const int64_t *offsets, struct error *error) MUST_USE;
enum error_code kafka_unassign(struct kafka_consumer *consumer, struct error *error) MUST_USE;

/* Of a consumer that is no member: the partitions that it reads, and where each begins. */
enum error_code kafka_read_from(struct kafka_consumer *consumer, const int32_t *partitions, const int64_t *offsets,
                                int count, struct error *error) MUST_USE;

enum error_code kafka_pause(struct kafka_consumer *consumer, const int32_t *partitions, int count, bool pause,
                            struct error *error) MUST_USE;
/* Reads an assigned partition from this offset on; records of it that were fetched before are dropped, but
 * those of the same kafka_consume are the caller's to drop. */
enum error_code kafka_seek(struct kafka_consumer *consumer, int32_t partition, int64_t offset,
                           struct error *error) MUST_USE;
/* The same after ERR_CONFLICT, when the partition is not read any more until this is called. */
enum error_code kafka_read_again(struct kafka_consumer *consumer, int32_t partition, int64_t offset,
                                 struct error *error) MUST_USE;
/* Tells the group how far it is read, for lag tools only; never waits. */
void kafka_commit_progress(struct kafka_consumer *consumer, const int32_t *partitions, const int64_t *offsets,
                           int count);
/* First offset kept and the offset after the last record, as the broker has them now. */
enum error_code kafka_offsets(struct kafka_consumer *consumer, int32_t partition, int timeout_ms, int64_t *first,
                              int64_t *end, struct error *error) MUST_USE;
/* The same of many partitions, as quickly. */
enum error_code kafka_offsets_of(struct kafka_consumer *consumer, const int32_t *partitions, int count,
                                 int timeout_ms, int64_t *firsts, int64_t *ends, struct error *error) MUST_USE;
/* The end alone, with half as many requests. */
enum error_code kafka_ends_of(struct kafka_consumer *consumer, const int32_t *partitions, int count, int timeout_ms,
                              int64_t *ends, struct error *error) MUST_USE;
/* The same as last seen in a fetch, without asking; false when none was answered yet. */
bool kafka_offsets_known(struct kafka_consumer *consumer, int32_t partition, int64_t *first, int64_t *end);
enum error_code kafka_consumer_cluster_id(struct kafka_consumer *consumer, int timeout_ms, char **id,
                                          struct error *error) MUST_USE;
enum error_code kafka_consumer_partitions(struct kafka_consumer *consumer, int timeout_ms, int32_t *partitions,
                                          struct error *error) MUST_USE;
bool kafka_consumer_reachable(const struct kafka_consumer *consumer);
/* A fatal error; make a new consumer. */
bool kafka_consumer_fatal(const struct kafka_consumer *consumer);
/* It is one of those: another process joined with the same instance id. */
bool kafka_consumer_fenced(const struct kafka_consumer *consumer);

#endif
