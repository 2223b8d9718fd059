/* SPDX-License-Identifier: MIT */
#include "core/source_map.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct source_entry {
    char *pointer;
    int line;
    int column;
};

struct source_map {
    char *file;
    char *base;
    struct source_entry *entries;
    size_t count;
    size_t capacity;
    size_t *slots; /* twice the capacity: the number of an entry, from 1; the last of equal ones */
};

struct source_map *source_map_new(const char *file)
{
    struct source_map *map = must_calloc(1, sizeof *map);
    map->file = must_strdup(file);
    return map;
}

void source_map_free(struct source_map *map)
{
    if (!map)
        return;
    for (size_t i = 0; i < map->count; i++)
        free(map->entries[i].pointer);
    free(map->entries);
    free(map->slots);
    free(map->base);
    free(map->file);
    free(map);
}

const char *source_map_file(const struct source_map *map) { return map->file; }

void source_map_set_base(struct source_map *map, const char *pointer)
{
    free(map->base);
    map->base = must_strdup(pointer);
}

const char *source_map_base(const struct source_map *map) { return map->base ? map->base : ""; }

/* The slot of the pointer, or the empty one where it belongs. */
static size_t *slot_of(const struct source_map *map, const char *pointer, size_t bytes)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)pointer[i]) * UINT64_C(1099511628211);
    size_t count = 2 * map->capacity, slot = (size_t)(hash ^ (hash >> 29)) % count;
    while (map->slots[slot]) {
        const char *other = map->entries[map->slots[slot] - 1].pointer;
        if (strncmp(other, pointer, bytes) == 0 && other[bytes] == '\0')
            break;
        slot = (slot + 1) % count;
    }
    return &map->slots[slot];
}

static void entry_index(struct source_map *map, size_t i)
{
    const char *pointer = map->entries[i].pointer;
    *slot_of(map, pointer, strlen(pointer)) = i + 1;
}

void source_map_add(struct source_map *map, const char *pointer, int line, int column)
{
    if (map->count == map->capacity) {
        map->capacity = map->capacity ? map->capacity * 2 : 64;
        map->entries = must_realloc(map->entries, map->capacity * sizeof *map->entries);
        free(map->slots);
        map->slots = must_calloc(2 * map->capacity, sizeof *map->slots);
        for (size_t i = 0; i < map->count; i++)
            entry_index(map, i);
    }
    map->entries[map->count] = (struct source_entry){must_strdup(pointer), line, column};
    entry_index(map, map->count++);
}

bool source_map_find(const struct source_map *map, const char *pointer, int *line, int *column)
{
    size_t bytes = strlen(pointer), found = 0;
    while (map->count > 0 && !(found = *slot_of(map, pointer, bytes)) && bytes > 0) {
        while (pointer[--bytes] != '/' && bytes > 0)
            ;
    }
    if (!found)
        return false;
    *line = map->entries[found - 1].line;
    *column = map->entries[found - 1].column;
    return true;
}

void pointer_append(struct buffer *pointer, const char *name, size_t bytes)
{
    buffer_append_char(pointer, '/');
    for (size_t i = 0; i < bytes; i++) {
        if (name[i] == '~')
            buffer_append_text(pointer, "~0");
        else if (name[i] == '/')
            buffer_append_text(pointer, "~1");
        else
            buffer_append_char(pointer, name[i]);
    }
}

void pointer_append_index(struct buffer *pointer, size_t index)
{
    buffer_append_char(pointer, '/');
    buffer_append_int(pointer, (int64_t)index);
}

void pointer_cut(struct buffer *pointer, size_t bytes)
{
    if (!pointer->data)
        return;
    pointer->bytes = bytes;
    pointer->data[bytes] = '\0';
}

/* -- places in JSON text -- */

struct scan {
    const char *at;
    const char *end;
    const char *line_start;
    int line;
    struct buffer pointer;
    struct source_map *map;
    struct findings *findings;
};

static void scan_value(struct scan *scan);

static void scan_space(struct scan *scan)
{
    for (; scan->at < scan->end; scan->at++) {
        char c = *scan->at;
        if (c == '\n') {
            scan->line++;
            scan->line_start = scan->at + 1;
        } else if (c != ' ' && c != '\t' && c != '\r') {
            return;
        }
    }
}

static void scan_string(struct scan *scan)
{
    for (scan->at++; scan->at < scan->end && *scan->at != '"'; scan->at++) {
        if (*scan->at == '\\')
            scan->at++;
    }
    scan->at++;
}

static void scan_place(struct scan *scan)
{
    source_map_add(scan->map, buffer_text(&scan->pointer), scan->line,
                   (int)(scan->at - scan->line_start) + 1);
}

/* The pointer must have the name as it is once read, so its escapes are undone by the reader
 * itself. */
static void scan_name(struct scan *scan, struct json **seen)
{
    const char *start = scan->at;
    struct scan before = *scan;
    scan_string(scan);
    struct json *name = json_parse(start, (size_t)(scan->at - start), NULL, NULL);
    size_t bytes = 0;
    const char *text = json_string_value(name, &bytes);
    if (text) {
        pointer_append(&scan->pointer, text, bytes);
        before.pointer = scan->pointer;
        scan_place(&before);
        if (json_get_bytes(*seen, text, bytes))
            finding_add(scan->findings, FINDING_ERROR, scan->map, buffer_text(&scan->pointer),
                        "JSON_DUPLICATE_NAME", "the name \"%s\" is given twice in one object",
                        text);
        json_object_set_bytes(*seen, text, bytes, json_null());
    }
    json_release(name);
}

static void scan_object(struct scan *scan)
{
    struct json *seen = json_object();
    scan->at++;
    scan_space(scan);
    while (scan->at < scan->end && *scan->at != '}') {
        size_t length = scan->pointer.bytes;
        scan_name(scan, &seen);
        scan_space(scan);
        scan->at++; /* : */
        scan_space(scan);
        scan_value(scan);
        pointer_cut(&scan->pointer, length);
        scan_space(scan);
        if (scan->at < scan->end && *scan->at == ',')
            scan->at++;
        scan_space(scan);
    }
    scan->at++;
    json_release(seen);
}

static void scan_array(struct scan *scan)
{
    scan->at++;
    scan_space(scan);
    for (size_t i = 0; scan->at < scan->end && *scan->at != ']'; i++) {
        size_t length = scan->pointer.bytes;
        pointer_append_index(&scan->pointer, i);
        scan_place(scan);
        scan_value(scan);
        pointer_cut(&scan->pointer, length);
        scan_space(scan);
        if (scan->at < scan->end && *scan->at == ',')
            scan->at++;
        scan_space(scan);
    }
    scan->at++;
}

/* Depth is bounded: json_parse has accepted the text. */
static void scan_value(struct scan *scan)
{
    if (scan->at >= scan->end)
        return;
    if (*scan->at == '{')
        scan_object(scan);
    else if (*scan->at == '[')
        scan_array(scan);
    else if (*scan->at == '"')
        scan_string(scan);
    else
        while (scan->at < scan->end && !strchr(",]} \t\r\n", *scan->at))
            scan->at++;
}

void source_map_scan_json(struct source_map *map, const char *text, size_t bytes,
                          struct findings *findings)
{
    struct scan scan = {text, text + bytes, text, 1, {0}, map, findings};
    scan_space(&scan);
    scan_place(&scan);
    scan_value(&scan);
    buffer_fini(&scan.pointer);
}
