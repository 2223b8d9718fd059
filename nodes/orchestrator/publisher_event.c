/* SPDX-License-Identifier: MIT */
#include "orchestrator/publisher_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/envelope.h"

void publisher_events_clear(struct publisher_events *events)
{
    events->count = 0;
    buffer_clear(&events->values);
}

void publisher_events_fini(struct publisher_events *events)
{
    free(events->items);
    buffer_fini(&events->values);
    *events = (struct publisher_events){0};
}

static struct publisher_event *push_event(struct publisher_events *events)
{
    if (events->count == events->capacity) {
        events->capacity = events->capacity == 0 ? 32 : events->capacity * 2;
        events->items = must_realloc(events->items, events->capacity * sizeof *events->items);
    }
    return &events->items[events->count++];
}

/* A payload too large for the broker is replaced: its event keeps its place and its identity. */
static void shorten(struct envelope *envelope, struct buffer *values, size_t offset)
{
    struct json *payload = json_object();
    json_object_set(payload, "workflow_id", json_hold(json_get(envelope->payload, "workflow_id")));
    json_object_set(payload, "namespace", json_hold(json_get(envelope->payload, "namespace")));
    json_object_set(payload, "payload_omitted", json_text("larger than EVENT_BYTES_MAX"));
    envelope->payload = payload;
    values->bytes = offset;
    envelope_write(values, envelope);
    json_release(payload);
}

static void append_hex(struct buffer *out, const uint8_t *octets, int count)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < count; i++) {
        char text[2] = {digits[octets[i] >> 4], digits[octets[i] & 15]};
        buffer_append(out, text, 2);
    }
}

/* The caller's trace context, else one made from the workflow's id. */
static void append_traceparent(struct buffer *out, const struct workflow_head *head)
{
    if (head->traceparent != NULL) {
        buffer_append_text(out, head->traceparent);
        return;
    }
    buffer_append_text(out, "00-");
    append_hex(out, head->id.octets, 16);
    buffer_append_char(out, '-');
    append_hex(out, head->id.octets + 8, 8);
    buffer_append_text(out, "-01");
}

void publisher_events_add(struct publisher_events *events, const char *node_id,
                          const char *environment, const struct workflow *workflow,
                          const struct workflow_record *record,
                          const struct workflow_outcome *outcome, int64_t seq)
{
    const struct workflow_head *head = workflow_head(workflow);
    char key[UUID_TEXT_BYTES];
    uuid_format(&head->id, key);
    for (size_t i = 0; i < outcome->events_count; i++) {
        size_t offset = events->values.bytes;
        struct envelope envelope = {
            .event_id = workflow_event_id(workflow, record->n, i),
            .event_type = outcome->events[i].type,
            .event_us = record->at_us,
            .source_node_id = node_id,
            .correlation_id = head->correlation_id,
            .environment = environment,
            .partition_key = key,
            .payload = outcome->events[i].payload,
            .event_category = "workflow_orchestration",
            .node_type = "orchestrator",
            .namespace = head->namespace,
        };
        envelope_write(&events->values, &envelope);
        if (events->values.bytes - offset > EVENT_BYTES_MAX)
            shorten(&envelope, &events->values, offset);
        struct publisher_event *event = push_event(events);
        *event = (struct publisher_event){.shard = head->shard,
                                          .seq = seq + (int64_t)i,
                                          .at_us = record->at_us,
                                          .workflow_id = head->id,
                                          .event_id = envelope.event_id,
                                          .value_offset = offset,
                                          .value_bytes = events->values.bytes - offset};
        event->traceparent_offset = events->values.bytes;
        append_traceparent(&events->values, head);
        event->traceparent_bytes = events->values.bytes - event->traceparent_offset;
        event->type_offset = events->values.bytes;
        buffer_append(&events->values, envelope.event_type, strlen(envelope.event_type) + 1);
    }
}

int publisher_event_headers(const struct publisher_event *event, const char *values,
                            const char *lane, int64_t previous, struct publisher_headers *out)
{
    struct kafka_header *headers = out->items;
    const char *type = values + event->type_offset;
    int count = 0;
    snprintf(out->seq, sizeof out->seq, "%lld", (long long)event->seq);
    snprintf(out->previous, sizeof out->previous, "%lld", (long long)previous);
    uuid_format(&event->event_id, out->id);
    instant_format_us(event->at_us, out->time);
    headers[count++] = (struct kafka_header){"lane", lane, strlen(lane)};
    headers[count++] = (struct kafka_header){"seq", out->seq, strlen(out->seq)};
    if (previous >= 0)
        headers[count++] = (struct kafka_header){"prev_seq", out->previous, strlen(out->previous)};
    headers[count++] = (struct kafka_header){"traceparent", values + event->traceparent_offset,
                                             event->traceparent_bytes};
    headers[count++] = (struct kafka_header){"ce_id", out->id, strlen(out->id)};
    headers[count++] = (struct kafka_header){"ce_type", type, strlen(type)};
    headers[count++] =
        (struct kafka_header){"ce_source", ENVELOPE_CE_SOURCE, strlen(ENVELOPE_CE_SOURCE)};
    headers[count++] = (struct kafka_header){"ce_specversion", "1.0", 3};
    headers[count++] = (struct kafka_header){"ce_time", out->time, strlen(out->time)};
    headers[count++] =
        (struct kafka_header){"content-type", ENVELOPE_CONTENT_TYPE, strlen(ENVELOPE_CONTENT_TYPE)};
    return count;
}
