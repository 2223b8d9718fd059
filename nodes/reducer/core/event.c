/* SPDX-License-Identifier: MIT */
/* event.c - from scanned fields to a stamp. */
#include "reducer/core/event.h"

#include <stdio.h>
#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "core/distinct.h"
#include "core/event_scan.h"

#define STAMP_TYPE "stamp_workflow_completed"

static const char *say(struct event *event, enum event_field field, const char *what)
{
    snprintf(event->reason, sizeof(event->reason), "%s %s", event_field_name(field), what);
    return event->reason;
}

/* A wanted text; NULL when it is absent, null or no string. */
static const char *text_of(const struct event_fields *fields, enum event_field field, struct buffer *scratch,
                           size_t *bytes)
{
    return event_value_text(&fields->values[field], scratch, bytes);
}

static bool is_missing(const struct event_fields *fields, enum event_field field)
{
    enum json_type type = fields->values[field].type;
    return type == JSON_ABSENT || type == JSON_NULL;
}

static const char *read_time(struct event *event, const struct event_fields *fields, int64_t record_us)
{
    size_t bytes;
    const char *text = text_of(fields, EVENT_FIELD_EVENT_TIMESTAMP, &event->scratch, &bytes);
    if (!text)
        return say(event, EVENT_FIELD_EVENT_TIMESTAMP, "is missing or no string");
    if (!instant_parse(text, bytes, &event->time_us))
        return say(event, EVENT_FIELD_EVENT_TIMESTAMP, "is not a time as RFC 3339 has it");
    if (record_us > 0 && event->time_us > record_us + EVENT_FUTURE_MAX_US)
        return say(event, EVENT_FIELD_EVENT_TIMESTAMP, "is more than seven days after the record itself");
    return NULL;
}

static const char *read_namespace(struct event *event, const struct event_fields *fields)
{
    enum event_field field = is_missing(fields, EVENT_FIELD_NAMESPACE) ? EVENT_FIELD_METADATA_NAMESPACE
                                                                       : EVENT_FIELD_NAMESPACE;
    event->namespace = EVENT_NAMESPACE_DEFAULT;
    event->namespace_bytes = sizeof(EVENT_NAMESPACE_DEFAULT) - 1;
    if (is_missing(fields, field))
        return NULL;
    event->namespace = text_of(fields, field, &event->namespace_text, &event->namespace_bytes);
    if (!event->namespace)
        return say(event, field, "is no string");
    if (event->namespace_bytes > NAMESPACE_BYTES_MAX)
        return say(event, field, "is longer than 255 octets");
    return NULL;
}

static const char *read_hash(struct event *event, const struct event_fields *fields, enum event_field field,
                             uint64_t *hash)
{
    size_t bytes;
    const char *text = text_of(fields, field, &event->scratch, &bytes);
    if (!text || bytes == 0)
        return say(event, field, "is missing or no text");
    *hash = distinct_hash(text, bytes);
    return NULL;
}

static const char *read_numbers(struct event *event, const struct event_fields *fields)
{
    if (!event_value_int(&fields->values[EVENT_FIELD_FILE_SIZE], &event->size_bytes) || event->size_bytes < 0)
        return say(event, EVENT_FIELD_FILE_SIZE, "is missing or no whole number from 0 up");
    event->has_processing_time = !is_missing(fields, EVENT_FIELD_PROCESSING_TIME_MS);
    if (event->has_processing_time &&
        (!event_value_double(&fields->values[EVENT_FIELD_PROCESSING_TIME_MS], &event->processing_time_ms) ||
         event->processing_time_ms < 0))
        return say(event, EVENT_FIELD_PROCESSING_TIME_MS, "is no number from 0 up");
    return NULL;
}

static const char *read_stamp(struct event *event, const struct event_fields *fields, const char *key, size_t key_bytes)
{
    const char *fault = read_namespace(event, fields);
    if (!fault)
        fault = read_hash(event, fields, EVENT_FIELD_FILE_HASH, &event->file_hash);
    if (!fault && is_missing(fields, EVENT_FIELD_WORKFLOW_ID) && key && key_bytes > 0)
        event->workflow = distinct_hash(key, key_bytes);
    else if (!fault)
        fault = read_hash(event, fields, EVENT_FIELD_WORKFLOW_ID, &event->workflow);
    if (!fault && is_missing(fields, EVENT_FIELD_CONTENT_TYPE))
        event->content_type = distinct_hash(EVENT_CONTENT_TYPE_DEFAULT, sizeof(EVENT_CONTENT_TYPE_DEFAULT) - 1);
    else if (!fault)
        fault = read_hash(event, fields, EVENT_FIELD_CONTENT_TYPE, &event->content_type);
    if (!fault)
        fault = read_numbers(event, fields);
    return fault;
}

const char *event_read(struct event *event, const char *key, size_t key_bytes, const char *value, size_t value_bytes,
                       int64_t record_us)
{
    struct event_fields fields;
    size_t bytes;
    event->is_stamp = false;
    if (!value)
        return "the record has no value";
    const char *fault = event_scan(value, value_bytes, &fields);
    if (fault)
        return fault;
    const char *type = text_of(&fields, EVENT_FIELD_EVENT_TYPE, &event->scratch, &bytes);
    if (!type || bytes == 0)
        return say(event, EVENT_FIELD_EVENT_TYPE, "is missing or no text");
    event->is_stamp = bytes == sizeof(STAMP_TYPE) - 1 && memcmp(type, STAMP_TYPE, bytes) == 0;
    if (fields.values[EVENT_FIELD_PAYLOAD].type != JSON_OBJECT)
        return say(event, EVENT_FIELD_PAYLOAD, "is missing or no object");
    fault = read_time(event, &fields, record_us);
    if (!fault && event->is_stamp)
        fault = read_stamp(event, &fields, key, key_bytes);
    return fault;
}

void event_fini(struct event *event)
{
    buffer_fini(&event->namespace_text);
    buffer_fini(&event->scratch);
}
