/* SPDX-License-Identifier: MIT */
#include "core/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/source_map.h"

static void finding_fini(struct finding *finding)
{
    free(finding->file);
    free(finding->code);
    free(finding->pointer);
    free(finding->text);
}

void findings_fini(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        finding_fini(&findings->items[i]);
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
    if (findings->count >= FINDINGS_MAX) {
        findings->left_out++;
        return;
    }
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

/* By place; at one place what comes first in the alphabet, so that the order never depends on the
 * order of the checks. */
static int by_place(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    int order = strcmp(x->code, y->code);
    return order ? order : strcmp(x->text, y->text);
}

void findings_sort(struct findings *findings, size_t from)
{
    if (findings->count <= from)
        return;
    qsort(findings->items + from, findings->count - from, sizeof *findings->items, by_place);
    size_t kept = from + 1;
    for (size_t i = from + 1; i < findings->count; i++) {
        struct finding *finding = &findings->items[i];
        if (by_place(finding, &findings->items[kept - 1]) != 0) {
            findings->items[kept++] = *finding;
            continue;
        }
        findings->errors -= finding->severity == FINDING_ERROR;
        finding_fini(finding);
    }
    findings->count = kept;
}

void findings_write(const struct findings *findings, struct buffer *out)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        buffer_append_format(
            out, "%s:%d:%d: %s %s: %s\n", finding->file, finding->line, finding->column,
            finding->severity == FINDING_ERROR ? "error" : "warning", finding->code, finding->text);
    }
    if (findings->left_out > 0)
        buffer_append_format(out, "and %zu more\n", findings->left_out);
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
        json_object_set(item, "message", json_text(finding->text));
        json_array_append(list, item);
    }
    return list;
}
