/* SPDX-License-Identifier: MIT */
#include "core/jsonpath.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

#define JSONPATH_SEGMENTS_MAX 128
#define JSONPATH_INDEX_DIGITS_MAX 9

enum segment_type { SEGMENT_NAME, SEGMENT_INDEX, SEGMENT_ALL };

struct segment {
    enum segment_type type;
    char *name;
    size_t name_bytes;
    long index; /* below 0: counted from the end */
};

struct jsonpath {
    char *text;
    bool context;
    bool definite;
    bool reference;
    bool may_repeat;
    char *variable; /* NULL: none */
    size_t count;
    struct segment segments[];
};

struct reader {
    const char *text;
    const char *at;
    const char *end;
    struct segment segments[JSONPATH_SEGMENTS_MAX];
    size_t count;
    struct error *error;
};

static bool refuse(struct reader *reader, const char *what)
{
    error_set(reader->error, ERR_INVALID, "\"%.*s\" %s at character %zu",
              (int)(reader->end - reader->text), reader->text, what,
              (size_t)(reader->at - reader->text) + 1);
    return false;
}

static struct segment *segment_add(struct reader *reader, enum segment_type type)
{
    if (reader->count == JSONPATH_SEGMENTS_MAX) {
        refuse(reader, "has too many parts");
        return NULL;
    }
    struct segment *segment = &reader->segments[reader->count++];
    *segment = (struct segment){.type = type};
    return segment;
}

static bool ends_name(char c) { return strchr(".[]()*'\",:?@ \t\r\n", c) != NULL; }

static bool read_dotted(struct reader *reader)
{
    if (reader->at < reader->end && *reader->at == '.')
        return refuse(reader, "uses recursive descent (..), which is not supported yet,");
    if (reader->at < reader->end && *reader->at == '*') {
        reader->at++;
        return segment_add(reader, SEGMENT_ALL) != NULL;
    }
    const char *start = reader->at;
    while (reader->at < reader->end && !ends_name(*reader->at))
        reader->at++;
    if (reader->at == start)
        return refuse(reader, "lacks a name");
    if (reader->at < reader->end && *reader->at == '(')
        return refuse(reader, "uses a function, which is not supported,");
    struct segment *segment = segment_add(reader, SEGMENT_NAME);
    if (!segment)
        return false;
    segment->name_bytes = (size_t)(reader->at - start);
    segment->name = must_strndup(start, segment->name_bytes);
    return true;
}

static bool read_quoted(struct reader *reader)
{
    char quote = *reader->at++;
    struct buffer name = {0};
    while (reader->at < reader->end && *reader->at != quote) {
        if (*reader->at == '\\' && reader->at + 1 < reader->end)
            reader->at++;
        buffer_append_char(&name, *reader->at++);
    }
    if (reader->at >= reader->end) {
        buffer_fini(&name);
        return refuse(reader, "has a quoted name without its end");
    }
    reader->at++;
    struct segment *segment = segment_add(reader, SEGMENT_NAME);
    if (!segment) {
        buffer_fini(&name);
        return false;
    }
    segment->name_bytes = name.bytes;
    segment->name = name.bytes ? buffer_take(&name) : must_strdup("");
    buffer_fini(&name);
    return true;
}

static bool read_index(struct reader *reader)
{
    bool negative = *reader->at == '-';
    if (negative)
        reader->at++;
    const char *start = reader->at;
    long index = 0;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
        if (reader->at - start == JSONPATH_INDEX_DIGITS_MAX)
            return refuse(reader, "has an index that is too large");
        index = index * 10 + (*reader->at++ - '0');
    }
    if (reader->at == start)
        return refuse(reader, "lacks an index");
    struct segment *segment = segment_add(reader, SEGMENT_INDEX);
    if (!segment)
        return false;
    segment->index = negative ? -index : index;
    return true;
}

static void skip_spaces(struct reader *reader)
{
    while (reader->at < reader->end && *reader->at == ' ')
        reader->at++;
}

static bool read_bracket(struct reader *reader)
{
    skip_spaces(reader);
    if (reader->at >= reader->end)
        return refuse(reader, "has a [ without its ]");
    char c = *reader->at;
    bool fine;
    if (c == '*') {
        reader->at++;
        fine = segment_add(reader, SEGMENT_ALL) != NULL;
    } else if (c == '\'' || c == '"') {
        fine = read_quoted(reader);
    } else if (c == '?' || c == '(') {
        return refuse(reader, "uses a filter or script, which is not supported yet,");
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        fine = read_index(reader);
    } else if (c == ':') {
        return refuse(reader, "uses a slice, which is not supported yet,");
    } else {
        return refuse(reader, "lacks an index, a quoted name or *");
    }
    if (!fine)
        return false;
    skip_spaces(reader);
    if (reader->at < reader->end && *reader->at == ':')
        return refuse(reader, "uses a slice, which is not supported yet,");
    if (reader->at < reader->end && *reader->at == ',')
        return refuse(reader, "uses a union, which is not supported yet,");
    if (reader->at >= reader->end || *reader->at != ']')
        return refuse(reader, "has a [ without its ]");
    reader->at++;
    return true;
}

static bool read_segments(struct reader *reader)
{
    while (reader->at < reader->end) {
        char c = *reader->at;
        if (c != '.' && c != '[')
            return refuse(reader, "has something that is neither .name nor [index]");
        reader->at++;
        if (!(c == '.' ? read_dotted(reader) : read_bracket(reader)))
            return false;
    }
    return true;
}

struct jsonpath *jsonpath_compile(const char *text, size_t bytes, struct error *error)
{
    struct reader reader = {.text = text, .at = text, .end = text + bytes, .error = error};
    if (bytes == 0 || text[0] != '$') {
        refuse(&reader, "does not begin with $");
        return NULL;
    }
    reader.at++;
    bool context = bytes > 1 && text[1] == '$';
    if (context)
        reader.at++;
    if (!read_segments(&reader)) {
        for (size_t i = 0; i < reader.count; i++)
            free(reader.segments[i].name);
        return NULL;
    }
    struct jsonpath *path = must_calloc(1, sizeof *path + reader.count * sizeof path->segments[0]);
    path->text = must_strndup(text, bytes);
    path->context = context;
    path->count = reader.count;
    path->definite = true;
    path->reference = true;
    for (size_t i = 0; i < reader.count; i++) {
        path->segments[i] = reader.segments[i];
        if (path->segments[i].type == SEGMENT_ALL)
            path->definite = path->reference = false;
        if (path->segments[i].index < 0)
            path->reference = false;
    }
    return path;
}

void jsonpath_free(struct jsonpath *path)
{
    if (!path)
        return;
    for (size_t i = 0; i < path->count; i++)
        free(path->segments[i].name);
    free(path->text);
    free(path);
}

bool jsonpath_is_context(const struct jsonpath *path) { return path->context; }

bool jsonpath_is_definite(const struct jsonpath *path) { return path->definite; }

bool jsonpath_is_root(const struct jsonpath *path) { return path->count == 0; }

bool jsonpath_is_reference(const struct jsonpath *path) { return path->reference; }

bool jsonpath_may_repeat(const struct jsonpath *path) { return path->may_repeat; }

const char *jsonpath_variable(const struct jsonpath *path) { return path->variable; }

size_t jsonpath_depth(const struct jsonpath *path) { return path->count; }

const char *jsonpath_text(const struct jsonpath *path) { return path->text; }

static const struct json *step_down(const struct segment *segment, const struct json *value)
{
    if (segment->type == SEGMENT_NAME)
        return json_get_bytes(value, segment->name, segment->name_bytes);
    if (json_type_of(value) != JSON_ARRAY)
        return NULL;
    long index = segment->index;
    long size = (long)json_size(value);
    if (index < 0)
        index += size;
    return index >= 0 && index < size ? json_at(value, (size_t)index) : NULL;
}

/* After a wildcard, what is missing is skipped. */
static void collect(const struct jsonpath *path, size_t at, const struct json *value,
                    struct json *found)
{
    if (at == path->count) {
        json_array_append(found, json_hold(value));
        return;
    }
    const struct segment *segment = &path->segments[at];
    if (segment->type != SEGMENT_ALL) {
        const struct json *below = step_down(segment, value);
        if (below)
            collect(path, at + 1, below, found);
        return;
    }
    bool is_array = json_type_of(value) == JSON_ARRAY;
    for (size_t i = 0; i < json_size(value); i++)
        collect(path, at + 1, is_array ? json_at(value, i) : json_member_at(value, i), found);
}

struct json *jsonpath_get(const struct jsonpath *path, const struct json *root)
{
    const struct json *value = root;
    for (size_t i = 0; value && i < path->count; i++) {
        if (path->segments[i].type == SEGMENT_ALL) {
            struct json *found = json_array();
            collect(path, i, value, found);
            return found;
        }
        value = step_down(&path->segments[i], value);
    }
    return json_hold(value);
}

static struct json *put_at(const struct jsonpath *path, size_t at, const struct json *value,
                           struct json *member)
{
    if (at == path->count)
        return json_hold(member);
    const struct segment *segment = &path->segments[at];
    if (segment->type == SEGMENT_INDEX) {
        const struct json *below = step_down(segment, value);
        struct json *changed = below ? put_at(path, at + 1, below, member) : NULL;
        return changed ? json_array_with(value, (size_t)segment->index, changed) : NULL;
    }
    if (value && json_type_of(value) != JSON_OBJECT)
        return NULL;
    const struct json *below =
        value ? json_get_bytes(value, segment->name, segment->name_bytes) : NULL;
    struct json *changed = put_at(path, at + 1, below, member);
    if (!changed)
        return NULL;
    if (value)
        return json_object_with(value, segment->name, segment->name_bytes, changed);
    struct json *object = json_object();
    json_object_set_bytes(object, segment->name, segment->name_bytes, changed);
    return object;
}

struct json *jsonpath_put(const struct jsonpath *path, const struct json *root, struct json *member)
{
    BUG_IF(!path->reference);
    struct json *changed = put_at(path, 0, root, member);
    json_release(member);
    return changed;
}
