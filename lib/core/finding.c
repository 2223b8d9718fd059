/* SPDX-License-Identifier: MIT */
#include "core/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/source_map.h"

#define FINDINGS_MAX 1000

void findings_fini(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        struct finding *finding = &findings->items[i];
        free(finding->file);
        free(finding->code);
        free(finding->pointer);
        free(finding->text);
    }
    free(findings->items);
    memset(findings, 0, sizeof *findings);
}

static struct finding *findings_grow(struct findings *findings)
{
    if (findings->count == findings->capacity) {
        findings->capacity = findings->capacity ? findings->capacity * 2 : 8;
        findings->items =
            must_realloc(findings->items, findings->capacity * sizeof *findings->items);
    }
    struct finding *finding = &findings->items[findings->count++];
    memset(finding, 0, sizeof *finding);
    return finding;
}

void finding_add(struct findings *findings, enum finding_severity severity,
                 const struct source_map *map, const char *pointer, const char *code,
                 const char *format, ...)
{
    if (severity == FINDING_ERROR)
        findings->errors++;
    if (findings->count >= FINDINGS_MAX)
        return;
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);

    struct finding *finding = findings_grow(findings);
    finding->severity = severity;
    finding->file = must_strdup(map ? source_map_file(map) : "");
    finding->code = must_strdup(code);
    finding->pointer = must_strdup(pointer ? pointer : "");
    finding->text = must_strdup(text);
    finding->line = 1;
    finding->column = 1;
    if (map)
        source_map_find(map, finding->pointer, &finding->line, &finding->column);
}

void findings_write(const struct findings *findings, struct buffer *out)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        buffer_append_format(
            out, "%s:%d:%d: %s %s: %s\n", finding->file, finding->line, finding->column,
            finding->severity == FINDING_ERROR ? "error" : "warning", finding->code, finding->text);
    }
}

struct json *findings_json(const struct findings *findings)
{
    struct json *list = json_array();
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        struct json *item = json_object();
        json_object_set(item, "severity",
                        json_text(finding->severity == FINDING_ERROR ? "error" : "warning"));
        json_object_set(item, "file", json_text(finding->file));
        json_object_set(item, "line", json_int(finding->line));
        json_object_set(item, "column", json_int(finding->column));
        json_object_set(item, "code", json_text(finding->code));
        json_object_set(item, "pointer", json_text(finding->pointer));
        json_object_set(item, "text", json_text(finding->text));
        json_array_append(list, item);
    }
    return list;
}
