/* SPDX-License-Identifier: MIT */
/* event.h - what the reducer understands of a record: its time, and the stamp it announces. Pure.
 *
 * Owns      Texts are lent from the record, or from the scratch buffers of struct event (event_fini).
 * Errors    event_read gives a sentence that says why the record cannot be understood, or NULL.
 */
#ifndef REDUCER_CORE_EVENT_H
#define REDUCER_CORE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

#define EVENT_FUTURE_MAX_US (7ll * 86400 * 1000000) /* an event this far ahead of its record is no event */
#define EVENT_NAMESPACE_DEFAULT "omninode.services.metadata"
#define EVENT_CONTENT_TYPE_DEFAULT "application/octet-stream"

struct event {
    int64_t time_us;
    bool is_stamp; /* a stamp_workflow_completed; what follows is set only then */
    const char *namespace;
    size_t namespace_bytes;
    uint64_t file_hash; /* hashes of the texts, for distinct counts */
    uint64_t workflow;
    uint64_t content_type;
    int64_t size_bytes;
    bool has_processing_time;
    double processing_time_ms;
    struct buffer namespace_text; /* used when the text has escapes */
    struct buffer scratch;
    char reason[160];
};

/* record_us is the record's own Kafka timestamp, 0 when it has none. */
const char *event_read(struct event *event, const char *key, size_t key_bytes, const char *value, size_t value_bytes,
                       int64_t record_us);
void event_fini(struct event *event);

#endif
