/* SPDX-License-Identifier: MIT */
#include "core/csv.h"

#include <stdlib.h>
#include <string.h>

static void append_text(struct buffer *out, const char *text, size_t bytes)
{
    bool guarded =
        bytes > 0 && ((unsigned char)text[0] < ' ' || memchr("=+-@'\x7f", text[0], 6) != NULL);
    bool quoted = bytes == 0;
    for (size_t i = 0; i < bytes && !quoted; i++)
        quoted = memchr(",\"\r\n", text[i], 4) != NULL;
    if (quoted)
        buffer_append_char(out, '"');
    if (guarded)
        buffer_append_char(out, '\'');
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '"')
            buffer_append_char(out, '"');
        buffer_append_char(out, text[i]);
    }
    if (quoted)
        buffer_append_char(out, '"');
}

static void append_value(struct buffer *out, const struct json *value)
{
    enum json_type type = json_type_of(value);
    size_t bytes;
    if (type == JSON_ABSENT || type == JSON_NULL)
        return;
    if (type == JSON_STRING) {
        const char *text = json_string_value(value, &bytes);
        append_text(out, text, bytes);
        return;
    }
    struct buffer written = {0};
    json_write(value, &written);
    if (type == JSON_ARRAY || type == JSON_OBJECT)
        append_text(out, written.data, written.bytes);
    else
        buffer_append(out, written.data, written.bytes);
    buffer_fini(&written);
}

void csv_head(struct buffer *out, const struct csv_column *columns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_char(out, ',');
        append_text(out, columns[i].title, strlen(columns[i].title));
    }
    buffer_append_text(out, "\r\n");
}

void csv_item(struct buffer *out, const struct csv_column *columns, size_t count,
              const struct json *item)
{
    for (size_t i = 0; i < count; i++) {
        const struct json *holder = columns[i].within ? json_get(item, columns[i].within) : item;
        if (i > 0)
            buffer_append_char(out, ',');
        append_value(out, json_get(holder, columns[i].member));
    }
    buffer_append_text(out, "\r\n");
}

void csv_items(struct buffer *out, const struct csv_column *columns, size_t count,
               const struct json *items)
{
    csv_head(out, columns, count);
    for (size_t i = 0; i < json_size(items); i++)
        csv_item(out, columns, count, json_at(items, i));
}

void csv_columns_add(struct csv_columns *columns, const char *title, const char *within,
                     const char *member)
{
    if (columns->count == columns->capacity) {
        columns->capacity = columns->capacity ? 2 * columns->capacity : 32;
        columns->items = must_realloc(columns->items, columns->capacity * sizeof(*columns->items));
    }
    columns->items[columns->count++] =
        (struct csv_column){.title = must_strdup(title), .within = within, .member = member};
}

void csv_columns_fini(struct csv_columns *columns)
{
    for (size_t i = 0; i < columns->count; i++)
        free((char *)(uintptr_t)columns->items[i].title); /* our own copies */
    free(columns->items);
    *columns = (struct csv_columns){0};
}

void csv_columns_add_value(struct csv_columns *columns, const char *name)
{
    struct buffer title = {0};
    bool taken = false;
    for (size_t i = 0; i < columns->count; i++) {
        const struct csv_column *column = &columns->items[i];
        if (column->within && strcmp(column->member, name) == 0)
            return;
        taken = taken || strcmp(column->title, name) == 0;
    }
    buffer_append_format(&title, "%s%s", taken ? "values." : "", name);
    csv_columns_add(columns, buffer_text(&title), "values", name);
    buffer_fini(&title);
}
