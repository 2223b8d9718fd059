/* SPDX-License-Identifier: MIT */
/* event_scan.h - reads the few fields that aggregations need out of an event envelope, in one pass and
 * without building a tree. Accepts and refuses exactly the texts that json_parse does. Pure.
 *
 * Owns      Nothing; values point into the scanned text.
 * Threads   Any; no globals.
 * Errors    event_scan gives a literal that says what is wrong, or NULL when all is well.
 * Source    ModelOnexEnvelopeV1; RFC 8259. Of a name that comes twice the last one counts.
 */
#ifndef CORE_EVENT_SCAN_H
#define CORE_EVENT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "core/json.h"

/* EVENT_FIELD(symbol, container, name) */
#define EVENT_FIELDS                                                                                                   \
    EVENT_FIELD(EVENT_ID, EVENT_TOP, "event_id")                                                                       \
    EVENT_FIELD(EVENT_TYPE, EVENT_TOP, "event_type")                                                                   \
    EVENT_FIELD(EVENT_TIMESTAMP, EVENT_TOP, "event_timestamp")                                                         \
    EVENT_FIELD(PAYLOAD, EVENT_TOP, "payload")                                                                         \
    EVENT_FIELD(METADATA, EVENT_TOP, "metadata")                                                                       \
    EVENT_FIELD(NAMESPACE, EVENT_PAYLOAD, "namespace")                                                                 \
    EVENT_FIELD(WORKFLOW_ID, EVENT_PAYLOAD, "workflow_id")                                                             \
    EVENT_FIELD(WORKFLOW_STATE, EVENT_PAYLOAD, "workflow_state")                                                       \
    EVENT_FIELD(FILE_HASH, EVENT_PAYLOAD, "file_hash")                                                                 \
    EVENT_FIELD(FILE_SIZE, EVENT_PAYLOAD, "file_size")                                                                 \
    EVENT_FIELD(CONTENT_TYPE, EVENT_PAYLOAD, "content_type")                                                           \
    EVENT_FIELD(PROCESSING_TIME_MS, EVENT_PAYLOAD, "processing_time_ms")                                               \
    EVENT_FIELD(FROM_STATE, EVENT_PAYLOAD, "from_state")                                                               \
    EVENT_FIELD(TO_STATE, EVENT_PAYLOAD, "to_state")                                                                   \
    EVENT_FIELD(METADATA_NAMESPACE, EVENT_METADATA, "namespace")

enum event_field {
#define EVENT_FIELD(symbol, container, name) EVENT_FIELD_##symbol,
    EVENT_FIELDS
#undef EVENT_FIELD
        EVENT_FIELDS_COUNT
};

struct event_value {
    enum json_type type; /* JSON_ABSENT when the envelope has no such field */
    bool escaped;        /* a string with escapes: read it with event_value_text */
    const char *data;    /* a string's inside, or the text of any other value */
    size_t bytes;
};

struct event_fields {
    struct event_value values[EVENT_FIELDS_COUNT];
};

const char *event_scan(const char *text, size_t bytes, struct event_fields *fields) MUST_USE;

/* The string itself: lent from the event, or decoded into *scratch (which is emptied) when it has
 * escapes. NULL when the value is no string. */
const char *event_value_text(const struct event_value *value, struct buffer *scratch, size_t *bytes);
/* False when the value is no number. */
bool event_value_double(const struct event_value *value, double *number);
/* False when the value is no number without fraction that fits. */
bool event_value_int(const struct event_value *value, int64_t *number);
const char *event_field_name(enum event_field field);

#endif
