/* SPDX-License-Identifier: MIT */
#include "reducer/dead_letter.h"

#include <string.h>

#include "base/instant.h"

static void append_base64(struct buffer *out, const char *data, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)data;
    for (size_t i = 0; i < bytes; i += 3) {
        uint32_t group = (uint32_t)p[i] << 16;
        size_t have = bytes - i < 3 ? bytes - i : 3;
        if (have > 1)
            group |= (uint32_t)p[i + 1] << 8;
        if (have > 2)
            group |= p[i + 2];
        char text[4] = {digits[group >> 18], digits[group >> 12 & 63],
                        have > 1 ? digits[group >> 6 & 63] : '=',
                        have > 2 ? digits[group & 63] : '='};
        buffer_append(out, text, sizeof(text));
    }
}

/* "name": text, or "name_base64" when the octets are no text; null when there are none. */
static void append_octets(struct buffer *out, const char *name, const char *data, size_t bytes)
{
    bool is_text = data && utf8_is_valid(data, bytes) && !memchr(data, 0, bytes);
    buffer_append_format(out, "\"%s%s\":", name, data && !is_text ? "_base64" : "");
    if (!data) {
        buffer_append_text(out, "null");
    } else if (is_text) {
        buffer_append_json_string(out, data, bytes);
    } else {
        buffer_append_char(out, '"');
        append_base64(out, data, bytes);
        buffer_append_char(out, '"');
    }
    buffer_append_char(out, ',');
}

void dead_letter_write(struct buffer *out, const char *topic, const struct reducer_record *record,
                       const char *reason, int64_t now_us)
{
    char time[INSTANT_TEXT_BYTES];
    buffer_append_text(out, "{\"original_topic\":");
    buffer_append_json_text(out, topic);
    buffer_append_format(out, ",\"original_partition\":%d,\"original_offset\":%lld,",
                         (int)record->partition, (long long)record->offset);
    append_octets(out, "original_key", record->key, record->key_bytes);
    append_octets(out, "original_data", record->value, record->value_bytes);
    buffer_append_text(out, "\"failure_reason\":");
    buffer_append_json_text(out, reason);
    buffer_append_format(out, ",\"failure_timestamp\":\"%s\",\"retry_attempts\":0}",
                         instant_format_us(now_us, time));
}
