/* SPDX-License-Identifier: MIT */
#include "core/envelope.h"

#include <string.h>

#include "base/instant.h"

static void member(struct buffer *out, const char *name, const char *value)
{
    buffer_append_text(out, name);
    buffer_append_json_text(out, value);
}

static void write_payload(struct buffer *out, const struct envelope *envelope, const char *time)
{
    const char *separator = "{";
    for (size_t i = 0; i < json_size(envelope->payload); i++) {
        size_t bytes;
        const char *name = json_name_at(envelope->payload, i, &bytes);
        buffer_append_text(out, separator);
        buffer_append_json_string(out, name, bytes);
        buffer_append_char(out, ':');
        json_write(json_member_at(envelope->payload, i), out);
        separator = ",";
    }
    if (json_get(envelope->payload, "node_id") == NULL) {
        buffer_append_text(out, separator);
        member(out, "\"node_id\":", envelope->source_node_id);
        separator = ",";
    }
    if (json_get(envelope->payload, "published_at") == NULL) {
        buffer_append_text(out, separator);
        member(out, "\"published_at\":", time);
    }
    buffer_append_char(out, '}');
}

void envelope_write(struct buffer *out, const struct envelope *envelope)
{
    char id[UUID_TEXT_BYTES], time[INSTANT_TEXT_BYTES];
    instant_format_us(envelope->event_us, time);
    member(out,
           "{\"envelope_version\":\"1.0\",\"event_id\":", uuid_format(&envelope->event_id, id));
    member(out, ",\"event_type\":", envelope->event_type);
    member(out, ",\"event_version\":\"1.0\",\"event_timestamp\":", time);
    member(out, ",\"source_node_id\":", envelope->source_node_id);
    member(
        out,
        ",\"source_service\":\"omninode-bridge\",\"source_version\":\"1.0.0\",\"source_instance\":",
        envelope->source_instance);
    member(out, ",\"correlation_id\":", envelope->correlation_id);
    member(out, ",\"causation_id\":", envelope->causation_id);
    member(out, ",\"environment\":", envelope->environment);
    member(out, ",\"region\":null,\"partition_key\":", envelope->partition_key);
    buffer_append_text(out, ",\"payload\":");
    write_payload(out, envelope, time);
    member(out, ",\"metadata\":{\"event_category\":", envelope->event_category);
    member(out, ",\"node_type\":", envelope->node_type);
    member(out, ",\"namespace\":", envelope->namespace);
    buffer_append_text(out, "}}");
}
