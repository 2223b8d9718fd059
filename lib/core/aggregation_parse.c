/* SPDX-License-Identifier: MIT */
/* aggregation_parse.c - one file of contracts/aggregations: its head, fields, groups and window. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/aggregation_internal.h"
#include "core/contract.h"

#define RETENTION_DAYS_MAX 36500

void aggregation_fault(struct aggregation_reader *reader, const char *name, const char *code,
                       const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t before = reader->pointer.bytes;
    if (name)
        pointer_append(&reader->pointer, name, strlen(name));
    finding_add(reader->findings, FINDING_ERROR, reader->map, buffer_text(&reader->pointer), code,
                "%s", text);
    pointer_cut(&reader->pointer, before);
}

size_t aggregation_enter(struct aggregation_reader *reader, const char *name)
{
    size_t before = reader->pointer.bytes;
    pointer_append(&reader->pointer, name, strlen(name));
    return before;
}

/* Members that the object may not have. */
void aggregation_known(struct aggregation_reader *reader, const struct json *object,
                       const char *const *names)
{
    size_t count = json_type_of(object) == JSON_OBJECT ? json_size(object) : 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = json_name_at(object, i, NULL);
        const char *const *known = names;
        while (*known && strcmp(*known, name) != 0)
            known++;
        if (!*known)
            aggregation_fault(reader, name, "AGGREGATION_UNKNOWN_MEMBER",
                              "there is no member \"%.80s\" here", name);
    }
}

/* A letter or _, then letters, digits and _. */
bool aggregation_name_is_valid(const char *name, size_t bytes)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char more[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    return bytes > 0 && bytes <= AGGREGATION_NAME_BYTES_MAX && strspn(name, letters) > 0 &&
           strspn(name, more) == bytes;
}

static const char *read_text(struct aggregation_reader *reader, const struct json *object,
                             const char *name, bool required)
{
    const struct json *value = json_get(object, name);
    if (json_type_of(value) == JSON_STRING)
        return json_string_or(value, "");
    if (value)
        aggregation_fault(reader, name, "AGGREGATION_BAD_VALUE", "%s must be a text", name);
    else if (required)
        aggregation_fault(reader, NULL, "AGGREGATION_MISSING", "%s is missing", name);
    return NULL;
}

static bool read_bool(struct aggregation_reader *reader, const struct json *object,
                      const char *name, bool fallback)
{
    const struct json *value = json_get(object, name);
    enum json_type type = json_type_of(value);
    if (type == JSON_TRUE || type == JSON_FALSE)
        return type == JSON_TRUE;
    if (value)
        aggregation_fault(reader, name, "AGGREGATION_BAD_VALUE", "%s must be true or false", name);
    return fallback;
}

static int64_t read_int(struct aggregation_reader *reader, const struct json *object,
                        const char *name, int64_t min, int64_t max, int64_t fallback)
{
    const struct json *value = json_get(object, name);
    if (!value)
        return fallback;
    if (json_is_int(value) && json_int_value(value) >= min && json_int_value(value) <= max)
        return json_int_value(value);
    aggregation_fault(reader, name, "AGGREGATION_BAD_VALUE",
                      "%s must be a whole number from %lld to %lld", name, (long long)min,
                      (long long)max);
    return fallback;
}

static bool read_double(struct aggregation_reader *reader, const struct json *object,
                        const char *name, double *number)
{
    const struct json *value = json_get(object, name);
    if (!value)
        return false;
    *number = json_double_value(value);
    if (json_type_of(value) != JSON_NUMBER)
        aggregation_fault(reader, name, "AGGREGATION_BAD_VALUE", "%s must be a number", name);
    return json_type_of(value) == JSON_NUMBER;
}

/* -- fields -- */

/* Adds an alternative to the field. */
static void read_path(struct aggregation_reader *reader, const struct json *value,
                      struct aggregation_field *field)
{
    size_t bytes = 0;
    const char *path = json_string_value(value, &bytes);
    int slot = -1;
    if (path && strcmp(path, "record.key") == 0)
        slot = AGGREGATION_RECORD_KEY;
    else if (path)
        slot = event_paths_add(reader->set->paths, path, bytes);
    if (slot == -1)
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_PATH",
                          "\"%.80s\" is no path: names with dots between them, at most %d",
                          path ? path : "", EVENT_PATH_DEPTH_MAX);
    else if (field->slots_count < AGGREGATION_ALTERNATIVES_MAX)
        field->slots[field->slots_count++] = slot;
}

static void read_paths(struct aggregation_reader *reader, const struct json *value,
                       struct aggregation_field *field)
{
    size_t before = aggregation_enter(reader, "path");
    if (json_type_of(value) != JSON_ARRAY) {
        read_path(reader, value, field);
    } else if (json_size(value) == 0 || json_size(value) > AGGREGATION_ALTERNATIVES_MAX) {
        aggregation_fault(reader, NULL, "AGGREGATION_LIMIT", "a field has 1 to %d paths",
                          AGGREGATION_ALTERNATIVES_MAX);
    } else {
        for (size_t i = 0; i < json_size(value); i++)
            read_path(reader, json_at(value, i), field);
    }
    pointer_cut(&reader->pointer, before);
}

static enum aggregation_field_type read_type(struct aggregation_reader *reader,
                                             const struct json *object)
{
    static const char *const names[] = {
        [FIELD_OF_ANY] = "any",
        [FIELD_OF_TEXT] = "text",
        [FIELD_OF_INTEGER] = "integer",
        [FIELD_OF_NUMBER] = "number",
    };
    const char *name = read_text(reader, object, "type", false);
    for (int i = 0; name && i <= FIELD_OF_NUMBER; i++) {
        if (strcmp(names[i], name) == 0)
            return (enum aggregation_field_type)i;
    }
    if (name)
        aggregation_fault(reader, "type", "AGGREGATION_BAD_VALUE",
                          "the type is \"%.40s\"; it must be any, text, integer or number", name);
    return FIELD_OF_ANY;
}

static void read_bounds(struct aggregation_reader *reader, const struct json *object,
                        struct aggregation_field *field)
{
    bool numbers = field->type == FIELD_OF_INTEGER || field->type == FIELD_OF_NUMBER;
    field->has_minimum = read_double(reader, object, "minimum", &field->minimum);
    field->has_maximum = read_double(reader, object, "maximum", &field->maximum);
    if ((field->has_minimum || field->has_maximum) && !numbers)
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_VALUE",
                          "minimum and maximum need type integer or number");
    field->bytes_max =
        (size_t)read_int(reader, object, "bytes_max", 1, EVENT_BYTES_MAX, EVENT_BYTES_MAX);
    if (json_get(object, "bytes_max") && field->type != FIELD_OF_TEXT)
        aggregation_fault(reader, "bytes_max", "AGGREGATION_BAD_VALUE",
                          "bytes_max needs type text");
}

static void read_declared(struct aggregation_reader *reader, const char *name,
                          const struct json *object)
{
    static const char *const known[] = {"path",    "default", "type",      "required",
                                        "minimum", "maximum", "bytes_max", NULL};
    struct aggregation_field field = {.name = must_strdup(name)};
    size_t before = aggregation_enter(reader, name);
    if (json_type_of(object) != JSON_OBJECT)
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_VALUE",
                          "a field is an object with a path");
    aggregation_known(reader, object, known);
    read_paths(reader, json_get(object, "path"), &field);
    field.type = read_type(reader, object);
    field.required = read_bool(reader, object, "required", false);
    const char *fallback = read_text(reader, object, "default", false);
    if (fallback) {
        field.fallback = must_strdup(fallback);
        field.fallback_bytes = strlen(fallback);
    }
    if (fallback && (field.type == FIELD_OF_INTEGER || field.type == FIELD_OF_NUMBER))
        aggregation_fault(reader, "default", "AGGREGATION_BAD_VALUE",
                          "a default is a text, so the type must be text or any");
    read_bounds(reader, object, &field);
    if (!aggregation_name_is_valid(name, strlen(name)))
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_NAME",
                          "the name of a field is letters, digits and _, at most %d",
                          AGGREGATION_NAME_BYTES_MAX);
    int number = aggregation_intern_field(reader->set, &field);
    if (number < 0)
        aggregation_fault(reader, NULL, "AGGREGATION_LIMIT",
                          "all aggregations together have more than %d fields",
                          AGGREGATION_FIELDS_MAX);
    reader->declared_names[reader->declared_count] = must_strdup(name);
    reader->declared_fields[reader->declared_count++] = number < 0 ? 0 : number;
    pointer_cut(&reader->pointer, before);
}

static void read_fields(struct aggregation_reader *reader, const struct json *fields)
{
    if (!fields)
        return;
    size_t before = aggregation_enter(reader, "fields");
    if (json_type_of(fields) != JSON_OBJECT || json_size(fields) > AGGREGATION_RULES_MAX)
        aggregation_fault(reader, NULL, "AGGREGATION_LIMIT", "fields is an object of at most %d",
                          AGGREGATION_RULES_MAX);
    else
        for (size_t i = 0; i < json_size(fields); i++)
            read_declared(reader, json_name_at(fields, i, NULL), json_member_at(fields, i));
    pointer_cut(&reader->pointer, before);
}

static bool is_envelope_member(const char *name)
{
    static const char *const names[] = {"envelope_version", "event_id",        "event_type",
                                        "event_version",    "event_timestamp", "source_node_id",
                                        "source_service",   "source_version",  "source_instance",
                                        "correlation_id",   "causation_id",    "environment",
                                        "region",           "partition_key"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* A declared name or a path, as a field of the set; after a fault a field that has no value. */
int aggregation_read_field(struct aggregation_reader *reader, const struct json *value)
{
    size_t bytes = 0;
    const char *text = json_string_value(value, &bytes);
    for (int i = 0; text && i < reader->declared_count; i++) {
        if (strcmp(reader->declared_names[i], text) == 0)
            return reader->declared_fields[i];
    }
    struct aggregation_field field = {.name = must_strdup(text ? text : ""),
                                      .bytes_max = EVENT_BYTES_MAX};
    if (text && !strchr(text, '.') && !is_envelope_member(text))
        aggregation_fault(reader, NULL, "AGGREGATION_UNKNOWN_FIELD",
                          "\"%.80s\" is neither under fields nor a member of the envelope", text);
    else
        read_path(reader, value, &field);
    if (text && strcmp(text, "event_timestamp") == 0)
        field.type = FIELD_OF_TIME;
    int number = aggregation_intern_field(reader->set, &field);
    if (number < 0)
        aggregation_fault(reader, NULL, "AGGREGATION_LIMIT",
                          "all aggregations together have more than %d fields",
                          AGGREGATION_FIELDS_MAX);
    return number < 0 ? 0 : number;
}

/* -- conditions -- */

int aggregation_read_filter(struct aggregation_reader *reader, const struct json *list)
{
    struct aggregation_filter filter = {.count = 0};
    if (!list)
        return AGGREGATION_NONE;
    if (json_type_of(list) != JSON_ARRAY || json_size(list) == 0)
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_VALUE",
                          "this must be a list of conditions");
    for (size_t i = 0; i < json_size(list); i++) {
        size_t before = reader->pointer.bytes;
        pointer_append_index(&reader->pointer, i);
        if (aggregation_read_condition(reader, json_at(list, i), &filter) < 0)
            i = json_size(list); /* too many; said once */
        pointer_cut(&reader->pointer, before);
    }
    return aggregation_intern_filter(reader->set, &filter);
}

/* -- groups -- */

static void read_bucket(struct aggregation_reader *reader, const struct json *object,
                        struct aggregation_key *key, bool last)
{
    static const char *const known[] = {"name", "to", NULL};
    struct aggregation_bucket *bucket = &key->buckets[key->buckets_count++];
    aggregation_known(reader, object, known);
    const char *name = read_text(reader, object, "name", true);
    bucket->name = must_strdup(name ? name : "");
    bucket->name_bytes = strlen(bucket->name);
    bucket->to = HUGE_VAL;
    bool has_to = read_double(reader, object, "to", &bucket->to);
    if (has_to == last)
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_BUCKETS",
                          "every bucket but the last has a bound \"to\"");
    if (key->buckets_count > 1 && bucket->to <= key->buckets[key->buckets_count - 2].to)
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_BUCKETS",
                          "the bounds of buckets must rise");
}

static void read_buckets(struct aggregation_reader *reader, const struct json *list,
                         struct aggregation_key *key)
{
    size_t count = json_size(list), before = aggregation_enter(reader, "buckets");
    if (json_type_of(list) != JSON_ARRAY || count == 0 || count > AGGREGATION_BUCKETS_MAX) {
        aggregation_fault(reader, NULL, "AGGREGATION_LIMIT", "buckets is a list of 1 to %d",
                          AGGREGATION_BUCKETS_MAX);
        count = 0;
    }
    key->buckets = must_calloc(count + 1, sizeof *key->buckets);
    for (size_t i = 0; i < count; i++) {
        size_t here = reader->pointer.bytes;
        pointer_append_index(&reader->pointer, i);
        read_bucket(reader, json_at(list, i), key, i + 1 == count);
        pointer_cut(&reader->pointer, here);
    }
    pointer_cut(&reader->pointer, before);
}

static void read_key(struct aggregation_reader *reader, const struct json *value,
                     struct aggregation_key *key)
{
    static const char *const known[] = {"name", "field", "buckets", NULL};
    const char *name = NULL;
    if (json_type_of(value) == JSON_OBJECT) {
        aggregation_known(reader, value, known);
        name = read_text(reader, value, "name", false);
        const struct json *field = json_get(value, "field");
        if (!name)
            name = json_string_or(field, "");
        key->field = aggregation_read_field(reader, field);
        if (json_get(value, "buckets"))
            read_buckets(reader, json_get(value, "buckets"), key);
    } else {
        name = json_string_or(value, "");
        key->field = aggregation_read_field(reader, value);
    }
    const char *dot = strrchr(name, '.');
    key->name = must_strdup(dot ? dot + 1 : name);
    if (!aggregation_name_is_valid(key->name, strlen(key->name)))
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_NAME",
                          "the name of a key is letters, digits and _, at most %d",
                          AGGREGATION_NAME_BYTES_MAX);
}

static int read_group(struct aggregation_reader *reader, const struct json *list)
{
    struct aggregation_group group = {.count = 0};
    size_t before = aggregation_enter(reader, "group_by");
    if (list && (json_type_of(list) != JSON_ARRAY || json_size(list) == 0 ||
                 json_size(list) > AGGREGATION_KEYS_MAX)) {
        aggregation_fault(reader, NULL, "AGGREGATION_LIMIT", "group_by is a list of 1 to %d keys",
                          AGGREGATION_KEYS_MAX);
        list = NULL;
    }
    for (size_t i = 0; i < json_size(list); i++) {
        size_t here = reader->pointer.bytes;
        pointer_append_index(&reader->pointer, i);
        read_key(reader, json_at(list, i), &group.keys[group.count++]);
        for (int k = 0; k + 1 < group.count; k++) {
            if (strcmp(group.keys[k].name, group.keys[group.count - 1].name) == 0)
                aggregation_fault(reader, NULL, "AGGREGATION_NAME_TAKEN",
                                  "there is another key named %s", group.keys[k].name);
        }
        pointer_cut(&reader->pointer, here);
    }
    pointer_cut(&reader->pointer, before);
    return aggregation_intern_group(reader->set, &group);
}

/* -- window -- */

static void read_sizes(struct aggregation_reader *reader, const struct json *object,
                       const char *type, struct aggregation_window *window)
{
    bool hopping = strcmp(type, "hopping") == 0;
    int64_t size_ms = read_int(reader, object, "size_ms", 100, AGGREGATION_WINDOW_MS_MAX,
                               reader->set->defaults.size_ms);
    int64_t hop_ms =
        read_int(reader, object, "hop_ms", 10, AGGREGATION_WINDOW_MS_MAX, hopping ? 0 : size_ms);
    window->size_us = size_ms * 1000;
    window->hop_us = hop_ms * 1000;
    window->lateness_us =
        1000 * read_int(reader, object, "lateness_ms", 0, AGGREGATION_WINDOW_MS_MAX,
                        reader->set->defaults.lateness_ms);
    if (!hopping && json_get(object, "hop_ms"))
        aggregation_fault(reader, "hop_ms", "AGGREGATION_BAD_WINDOW", "only hopping windows hop");
    else if (hopping && (hop_ms <= 0 || hop_ms > size_ms || size_ms % hop_ms != 0 ||
                         size_ms / hop_ms > AGGREGATION_WINDOWS_MAX))
        aggregation_fault(reader, "hop_ms", "AGGREGATION_BAD_WINDOW",
                          "size_ms must be hop_ms or a multiple of it, at most %d times",
                          AGGREGATION_WINDOWS_MAX);
}

static struct aggregation_window read_window(struct aggregation_reader *reader,
                                             const struct json *object)
{
    static const char *const known[] = {"type", "size_ms", "hop_ms", "lateness_ms", NULL};
    struct aggregation_window window = {.windowed = true};
    size_t before = aggregation_enter(reader, "window");
    if (object && json_type_of(object) != JSON_OBJECT)
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_WINDOW",
                          "window is an object with a type");
    aggregation_known(reader, object, known);
    const char *type = read_text(reader, object, "type", false);
    type = type ? type : "tumbling";
    window.windowed = strcmp(type, "none") != 0;
    if (strcmp(type, "tumbling") == 0 || strcmp(type, "hopping") == 0)
        read_sizes(reader, object, type, &window);
    else if (window.windowed)
        aggregation_fault(reader, "type", "AGGREGATION_BAD_WINDOW",
                          "the window is \"%.40s\"; it must be tumbling, hopping or none", type);
    else if (json_size(object) > 1)
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_WINDOW",
                          "without windows there is no size_ms, hop_ms or lateness_ms");
    pointer_cut(&reader->pointer, before);
    return window;
}

/* -- the file -- */

static void read_head(struct aggregation_reader *reader, const struct json *document)
{
    struct aggregation *made = reader->made;
    const char *name = read_text(reader, document, "name", true);
    const char *version = read_text(reader, document, "version", true);
    const char *description = read_text(reader, document, "description", false);
    made->name = must_strdup(name ? name : "");
    made->version = must_strdup(version ? version : "");
    made->description = must_strdup(description ? description : "");
    if (name && (!aggregation_name_is_valid(name, strlen(name)) ||
                 strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name)))
        aggregation_fault(reader, "name", "AGGREGATION_BAD_NAME",
                          "the name \"%.80s\" must be lower-case letters, digits and _, at most %d",
                          name, AGGREGATION_NAME_BYTES_MAX);
    if (name && aggregation_set_find(reader->set, name, strlen(name)))
        aggregation_fault(reader, "name", "AGGREGATION_NAME_TAKEN",
                          "another file has an aggregation named %s", name);
    if (version &&
        (!contract_version_is_valid(version) || strlen(version) > AGGREGATION_VERSION_BYTES_MAX))
        aggregation_fault(reader, "version", "AGGREGATION_BAD_VERSION",
                          "\"%.80s\" is no semantic version like 1.2.3", version);
    made->announce_updates = read_bool(reader, document, "announce_updates", true);
    made->backfill = read_bool(reader, document, "backfill", false);
    made->retention_days = read_int(reader, document, "retention_days", 0, RETENTION_DAYS_MAX, 0);
}

static void read_audience(struct aggregation_reader *reader, const struct json *document,
                          struct aggregation_audience *audience)
{
    size_t before = aggregation_enter(reader, "filter");
    audience->filter = aggregation_read_filter(reader, json_get(document, "filter"));
    pointer_cut(&reader->pointer, before);
    for (int i = 0; i < reader->declared_count; i++) {
        const struct aggregation_field *field = &reader->set->fields[reader->declared_fields[i]];
        if (field->required || field->type != FIELD_OF_ANY)
            audience->fields[audience->fields_count++] = reader->declared_fields[i];
    }
    const char *invalid = read_text(reader, document, "invalid", false);
    audience->invalid_is_dead_letter = invalid && strcmp(invalid, "dead_letter") == 0;
    if (invalid && !audience->invalid_is_dead_letter && strcmp(invalid, "skip") != 0)
        aggregation_fault(reader, "invalid", "AGGREGATION_BAD_VALUE",
                          "invalid is \"%.40s\"; it must be skip or dead_letter", invalid);
}

/* Of what counts: a new sentence or another retention makes no new aggregation. */
static void hash_document(struct aggregation *made, const struct json *document)
{
    struct json *counts = json_object();
    struct buffer text = {0};
    for (size_t i = 0; i < json_size(document); i++) {
        size_t bytes;
        const char *name = json_name_at(document, i, &bytes);
        if (strcmp(name, "description") != 0 && strcmp(name, "retention_days") != 0 &&
            strcmp(name, "announce_updates") != 0 && strcmp(name, "backfill") != 0)
            json_object_set_bytes(counts, name, bytes, json_hold(json_member_at(document, i)));
    }
    json_write(counts, &text);
    content_hash(text.data, text.bytes, made->content_hash);
    buffer_fini(&text);
    json_release(counts);
}

static void read_document(struct aggregation_reader *reader, const struct json *document)
{
    static const char *const known[] = {"name",    "version",          "description",    "filter",
                                        "invalid", "fields",           "group_by",       "measures",
                                        "window",  "announce_updates", "retention_days", "backfill",
                                        NULL};
    struct aggregation_set *set = reader->set;
    struct aggregation *made = reader->made;
    struct aggregation_audience audience = {.members = UINT64_C(1) << made->index};
    aggregation_known(reader, document, known);
    read_head(reader, document);
    read_fields(reader, json_get(document, "fields"));
    read_audience(reader, document, &audience);
    made->group = read_group(reader, json_get(document, "group_by"));
    struct aggregation_window window = read_window(reader, json_get(document, "window"));
    made->window = aggregation_intern_window(set, &window);
    aggregation_read_measures(reader, json_get(document, "measures"));
    hash_document(made, document);
    if (reader->findings->errors == 0)
        made->audience = aggregation_intern_audience(set, &audience);
}

const struct aggregation *aggregation_set_parse(struct aggregation_set *set, const char *file,
                                                const char *text, size_t bytes,
                                                struct findings *findings)
{
    struct source_map *map = NULL;
    size_t errors = findings->errors;
    struct json *document = yaml_parse(file, text, bytes, &map, findings);
    struct aggregation_reader reader = {.set = set, .map = map, .findings = findings};
    if (document && json_type_of(document) != JSON_OBJECT)
        aggregation_fault(&reader, NULL, "AGGREGATION_BAD_VALUE", "an aggregation is an object");
    if (document && set->count == AGGREGATIONS_MAX)
        aggregation_fault(&reader, NULL, "AGGREGATION_LIMIT", "there are more than %d aggregations",
                          AGGREGATIONS_MAX);
    if (document && findings->errors == errors) {
        reader.made = must_calloc(1, sizeof *reader.made);
        reader.made->index = set->count;
        reader.made->document = json_hold(document);
        read_document(&reader, document);
    }
    for (int i = 0; i < reader.declared_count; i++)
        free(reader.declared_names[i]);
    buffer_fini(&reader.pointer);
    source_map_free(map);
    json_release(document);
    if (findings->errors > errors) {
        if (reader.made)
            aggregation_free(reader.made);
        return NULL;
    }
    set->items[set->count++] = reader.made;
    return reader.made;
}
