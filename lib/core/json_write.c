/* SPDX-License-Identifier: MIT */
/* Values as text, and how long that text is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json_internal.h"

static void write_number(const struct json *value, struct buffer *out)
{
    if (value->is_int) {
        buffer_append_int(out, value->int_value);
        return;
    }
    char text[32]; /* the shortest of 15 to 17 digits that reads back as the same number */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value->double_value);
        if (strtod(text, NULL) == value->double_value)
            break;
    }
    buffer_append_text(out, text);
    if (strpbrk(text, ".e") == NULL)
        buffer_append_text(out, ".0");
}

void json_write(const struct json *value, struct buffer *out)
{
    switch (json_type_of(value)) {
    case JSON_ABSENT:
    case JSON_NULL:
        buffer_append_text(out, "null");
        break;
    case JSON_FALSE:
        buffer_append_text(out, "false");
        break;
    case JSON_TRUE:
        buffer_append_text(out, "true");
        break;
    case JSON_NUMBER:
        write_number(value, out);
        break;
    case JSON_STRING:
        buffer_append_json_string(out, text_of(value), value->count);
        break;
    case JSON_ARRAY:
        buffer_append_char(out, '[');
        for (size_t i = 0; i < value->count; i++) {
            if (i > 0)
                buffer_append_char(out, ',');
            json_write(value->items[i], out);
        }
        buffer_append_char(out, ']');
        break;
    case JSON_OBJECT:
        buffer_append_char(out, '{');
        for (size_t i = 0; i < value->count; i++) {
            if (i > 0)
                buffer_append_char(out, ',');
            const struct json_member *member = &value->members->list[i];
            buffer_append_json_string(out, name_of(value, member), member->name_bytes);
            buffer_append_char(out, ':');
            json_write(member->value, out);
        }
        buffer_append_char(out, '}');
        break;
    }
}

char *json_to_text(const struct json *value)
{
    struct buffer out = {0};
    json_write(value, &out);
    return buffer_take(&out);
}

size_t json_depth(const struct json *value)
{
    enum json_type type = json_type_of(value);
    size_t deepest = 0;
    if (type != JSON_ARRAY && type != JSON_OBJECT)
        return 0;
    for (size_t i = 0; i < json_size(value); i++) {
        size_t depth =
            json_depth(type == JSON_ARRAY ? json_at(value, i) : json_member_at(value, i));
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

struct text_count {
    size_t bytes, most;
    size_t depth, deepest;
    struct buffer scratch; /* one scalar at a time */
};

static void count_scalar(struct text_count *count)
{
    count->bytes += count->scratch.bytes;
    buffer_clear(&count->scratch);
}

static void count_text(const struct json *value, struct text_count *count)
{
    if (json_type_of(value) != JSON_ARRAY && json_type_of(value) != JSON_OBJECT) {
        json_write(value, &count->scratch);
        count_scalar(count);
        return;
    }
    count->bytes += 2;
    if (++count->depth > count->deepest)
        count->deepest = count->depth;
    for (size_t i = 0; i < value->count && count->bytes <= count->most; i++) {
        count->bytes += i > 0;
        if (value->type == JSON_OBJECT) {
            const struct json_member *member = &value->members->list[i];
            buffer_append_json_string(&count->scratch, name_of(value, member), member->name_bytes);
            count_scalar(count);
            count->bytes += 1;
            count_text(member->value, count);
        } else {
            count_text(value->items[i], count);
        }
    }
    count->depth--;
}

size_t json_text_bytes_within(const struct json *value, size_t most, size_t *depth)
{
    struct text_count count = {.most = most};
    count_text(value, &count);
    buffer_fini(&count.scratch);
    *depth = count.deepest;
    return count.bytes;
}

size_t json_text_bytes(const struct json *value)
{
    size_t depth;
    return json_text_bytes_within(value, SIZE_MAX, &depth);
}
