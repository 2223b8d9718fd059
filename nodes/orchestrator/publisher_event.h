/* SPDX-License-Identifier: MIT */
/* publisher_event.h - events on their way to the broker: envelopes made from a record's outcome, and the
 * Kafka headers of one event. No clock, no I/O: the same record gives the same octets again.
 *
 * Owns      struct publisher_events owns its memory; zeroed is empty.
 * Threads   One thread at a time per list.
 */
#ifndef ORCHESTRATOR_PUBLISHER_EVENT_H
#define ORCHESTRATOR_PUBLISHER_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/instant.h"
#include "base/uuid.h"
#include "io/kafka.h"
#include "orchestrator/core/workflow.h"

/* Events of one or more records, made before the commit and handed over after it. */
struct publisher_event {
    int16_t shard;
    int64_t seq;
    int64_t at_us;
    struct uuid workflow_id;
    struct uuid event_id;
    size_t type_offset;  /* in values: NUL-ended */
    size_t value_offset; /* in values */
    size_t value_bytes;
    size_t traceparent_offset; /* in values */
    size_t traceparent_bytes;
};

struct publisher_events {
    struct publisher_event *items;
    size_t count, capacity;
    struct buffer values;
};
void publisher_events_clear(struct publisher_events *events);
void publisher_events_fini(struct publisher_events *events);

/* Appends the published events of one applied record; seq is the lane number of the first. */
void publisher_events_add(struct publisher_events *events, const char *node_id,
                          const char *environment, const struct workflow *workflow,
                          const struct workflow_record *record,
                          const struct workflow_outcome *outcome, int64_t seq);

#define PUBLISHER_HEADERS_MAX 10

struct publisher_headers {
    struct kafka_header items[PUBLISHER_HEADERS_MAX];
    char seq[24], previous[24], id[UUID_TEXT_BYTES], time[INSTANT_TEXT_BYTES];
};

/* lane, seq, prev_seq (unless previous is negative: not known), traceparent and the CloudEvents headers.
 * The items point into *out, values and lane. Gives their number. */
int publisher_event_headers(const struct publisher_event *event, const char *values,
                            const char *lane, int64_t previous, struct publisher_headers *out);

#endif
