/* SPDX-License-Identifier: MIT */
/* envelope.h - the wire form of an event: ModelOnexEnvelopeV1 as JSON, and its Kafka headers. Pure.
 *
 * Owns      Nothing; texts and json are the caller's.
 * Threads   No globals.
 * Units     *_us microseconds since 1970.
 * Errors    None: writing cannot fail.
 * Source    The older system's envelope; header names of the CloudEvents Kafka binding, binary mode.
 */
#ifndef CORE_ENVELOPE_H
#define CORE_ENVELOPE_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/uuid.h"
#include "core/json.h"

struct envelope {
    struct uuid event_id;
    const char *event_type;      /* "stamp_workflow_completed" */
    int64_t event_us;            /* event_timestamp */
    const char *source_node_id;  /* the node's UUID as text */
    const char *source_instance; /* or NULL */
    const char *correlation_id;  /* or NULL */
    const char *causation_id;    /* or NULL */
    const char *environment;     /* "development" */
    const char *partition_key;   /* or NULL */
    const struct json *payload;  /* object; node_id and published_at are added when it has none */
    const char
        *event_category;   /* "workflow_orchestration", "metadata_aggregation", "node_lifecycle" */
    const char *node_type; /* "orchestrator" or "reducer" */
    const char *namespace;
};

#define ENVELOPE_CONTENT_TYPE "application/json"
#define ENVELOPE_CE_SOURCE "omninode-bridge"

/* Appends the envelope as one JSON object. */
void envelope_write(struct buffer *out, const struct envelope *envelope);

#endif
