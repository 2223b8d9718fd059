/* SPDX-License-Identifier: MIT */
/* publisher.h - carries committed events to the broker, lane by lane, in order, at least once.
 *
 * A lane is LIVE when everything committed on it was handed to the producer: the worker then passes
 * each committed batch straight from memory. When the producer's queue is full, at start, and after a
 * fatal producer error the lane is in BACKLOG: the publisher's own thread reads the log from the
 * database, rebuilds the events by replay, and hands them over until it has caught up.
 * Delivery reports move the lane's published_seq, which rides on the next commit.
 *
 * Owns      The producer, its thread, one database connection, the lanes.
 * Threads   publisher_commit from the worker that owns the shard; the rest from any thread.
 * Errors    publisher_open: ERR_NOT_FOUND names a topic that is missing; an unreachable broker is no
 *           error (events wait in the outbox, and the log says "Failed to publish Kafka event").
 */
#ifndef ORCHESTRATOR_PUBLISHER_H
#define ORCHESTRATOR_PUBLISHER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/config.h"
#include "core/event_routes.h"
#include "io/kafka.h"
#include "orchestrator/core/workflow.h"
#include "orchestrator/publisher_event.h"
#include "orchestrator/registry.h"

#define PUBLISHER_CLUSTER_BYTES 64

struct publisher;

struct publisher_options {
    const struct config *config;
    const char *node_id;
    int64_t incarnation;
    struct registry *registry;
    const struct event_routes *routes;
    const char *database_url;
    const struct workflow_environment *environment;
};

enum error_code publisher_open(struct publisher **publisher,
                               const struct publisher_options *options,
                               struct error *error) MUST_USE;
void publisher_start(struct publisher *publisher);
/* Flushes what it can within the time and frees. */
void publisher_close(struct publisher *publisher, int flush_ms);
struct kafka_producer *publisher_producer(struct publisher *publisher);
bool publisher_reachable(const struct publisher *publisher);

/* Appends the published events of one applied record. */
void publisher_build(const struct publisher *publisher, const struct workflow *workflow,
                     const struct workflow_record *record, const struct workflow_outcome *outcome,
                     int64_t seq, struct publisher_events *events);

/* The shard is ours from now on; what lies beyond published_seq is published again. */
void publisher_lane_open(struct publisher *publisher, int16_t shard, int64_t next_seq,
                         int64_t published_seq, const char *cluster_id);
void publisher_lane_close(struct publisher *publisher, int16_t shard);
/* Everything up to last_seq is committed; events holds what was committed now. */
void publisher_commit(struct publisher *publisher, const struct publisher_events *events);
/* What the next commit shall store. */
int64_t publisher_published(struct publisher *publisher, int16_t shard,
                            char cluster_id[PUBLISHER_CLUSTER_BYTES]);
/* "1763742660.7" */
void publisher_lane_name(const struct publisher *publisher, int16_t shard, char name[32]);

#endif
