/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "core/identifier.h"
#include "core/jsonpath_internal.h"

#define INDEX_DIGITS_MAX 9
#define SHOWN_BYTES_MAX 160 /* of a path in the sentence about it */
#define WHAT_BYTES_MAX 256

/* -- the reader -- */

static bool continues_character(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

bool path_refuse(struct path_reader *reader, const char *format, ...)
{
    char what[WHAT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    size_t character = 1;
    for (const char *c = reader->text; c < reader->at; c++)
        character += !continues_character(*c);
    size_t bytes = (size_t)(reader->end - reader->text), shown = bytes;
    if (shown > SHOWN_BYTES_MAX) {
        shown = SHOWN_BYTES_MAX;
        while (shown > 0 && continues_character(reader->text[shown]))
            shown--;
    }
    error_set(reader->error, ERR_INVALID, "\"%.*s%s\" %s at character %zu", (int)shown,
              reader->text, shown < bytes ? "..." : "", what, character);
    return false;
}

bool path_next_is(const struct path_reader *reader, char c)
{
    return reader->at < reader->end && *reader->at == c;
}

static bool take(struct path_reader *reader, char c)
{
    bool is = path_next_is(reader, c);
    reader->at += is;
    return is;
}

void path_skip_spaces(struct path_reader *reader)
{
    while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) && *reader->at != '\0')
        reader->at++;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* -- texts -- */

static bool read_hex(struct path_reader *reader, uint32_t *unit)
{
    *unit = 0;
    if (reader->end - reader->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef";
        char c = reader->at[i];
        const char *digit = strchr(digits, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c);
        if (c == '\0' || !digit)
            return false;
        *unit = *unit << 4 | (uint32_t)(digit - digits);
    }
    reader->at += 4;
    return true;
}

/* After \u. Characters beyond the first 65,536 are written as two of UTF-16. */
static bool read_unicode(struct path_reader *reader, struct buffer *out)
{
    uint32_t character = 0, low = 0;
    if (!read_hex(reader, &character) || character == 0)
        return path_refuse(reader, "needs four hexadecimal digits, not 0000, after \\u");
    if (character >= 0xD800 && character < 0xE000) {
        bool pair = character < 0xDC00 && take(reader, '\\') && take(reader, 'u') &&
                    read_hex(reader, &low) && low >= 0xDC00 && low < 0xE000;
        if (!pair)
            return path_refuse(reader, "has half of a pair like \\ud83d\\ude00");
        character = 0x10000 + ((character - 0xD800) << 10) + (low - 0xDC00);
    }
    buffer_append_character(out, character);
    return true;
}

bool path_read_escape(struct path_reader *reader, bool controls, struct buffer *out)
{
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
    if (++reader->at >= reader->end)
        return path_refuse(reader, "ends with a \\; a character must follow it");
    if (take(reader, 'u'))
        return read_unicode(reader, out);
    char c = *reader->at++;
    const char *control = controls && c != '\0' ? strchr(names, c) : NULL;
    buffer_append_char(out, control ? values[control - names] : c);
    return true;
}

bool path_read_quoted(struct path_reader *reader, struct buffer *out)
{
    char quote = *reader->at++;
    while (reader->at < reader->end && *reader->at != quote) {
        if (*reader->at != '\\')
            buffer_append_char(out, *reader->at++);
        else if (!path_read_escape(reader, true, out))
            return false;
    }
    return take(reader, quote) ||
           path_refuse(reader, "has a quoted text without its closing quote");
}

/* -- parts -- */

static struct part *part_add(struct path_reader *reader, struct parts *parts)
{
    if (parts->count == JSONPATH_PARTS_MAX) {
        path_refuse(reader, "has more than %d parts", JSONPATH_PARTS_MAX);
        return NULL;
    }
    if ((parts->count & (parts->count - 1)) == 0)
        parts->items = must_realloc(parts->items,
                                    (parts->count ? 2 * parts->count : 1) * sizeof *parts->items);
    struct part *part = &parts->items[parts->count++];
    memset(part, 0, sizeof *part);
    part->type = PART_ALL; /* until it is known, so that it can be freed at any time */
    return part;
}

static struct part_name name_take(struct buffer *name)
{
    size_t bytes = name->bytes;
    return (struct part_name){buffer_take(name), bytes};
}

static bool ends_name(char c, bool in_filter)
{
    return c == '\0' || strchr(".[]()*'\",:?@ \t\r\n", c) || (in_filter && strchr("=<>!&|", c));
}

static bool read_name(struct path_reader *reader, bool in_filter, struct part *part)
{
    struct buffer name = {0};
    const char *start = reader->at;
    while (reader->at < reader->end && !ends_name(*reader->at, in_filter)) {
        if (*reader->at != '\\') {
            buffer_append_char(&name, *reader->at++);
        } else if (!path_read_escape(reader, false, &name)) {
            buffer_fini(&name);
            return false;
        }
    }
    if (reader->at > start && !path_next_is(reader, '(')) {
        part->type = PART_NAME;
        part->name = name_take(&name);
        return true;
    }
    buffer_fini(&name);
    return path_refuse(reader, reader->at > start
                                   ? "calls a function, which paths do not have "
                                     "(States.ArrayLength and others are intrinsic functions),"
                                   : "lacks a name, [ or * after the dot");
}

static bool refuse_union(struct path_reader *reader)
{
    return path_refuse(reader, "has a union of more than %d", JSONPATH_UNION_MAX);
}

/* ['a'] or ['a','b'] */
static bool read_names(struct path_reader *reader, struct part *part)
{
    struct part_name *names = NULL;
    size_t count = 0;
    part->type = PART_NAMES;
    do {
        path_skip_spaces(reader);
        if (count == JSONPATH_UNION_MAX)
            return refuse_union(reader);
        if (!path_next_is(reader, '\'') && !path_next_is(reader, '"'))
            return path_refuse(reader, "lacks a quoted name after the comma");
        struct buffer name = {0};
        if (!path_read_quoted(reader, &name)) {
            buffer_fini(&name);
            return false;
        }
        names = must_realloc(names, (count + 1) * sizeof *names);
        names[count++] = name_take(&name);
        part->names.items = names;
        part->names.count = count;
        path_skip_spaces(reader);
    } while (take(reader, ','));
    if (count == 1) {
        struct part_name only = names[0];
        free(names);
        part->type = PART_NAME;
        part->name = only;
    }
    return true;
}

static bool read_number(struct path_reader *reader, long *number)
{
    bool negative = take(reader, '-');
    const char *start = reader->at;
    *number = 0;
    while (reader->at < reader->end && is_digit(*reader->at)) {
        if (reader->at - start == INDEX_DIGITS_MAX)
            return path_refuse(reader, "has an index of more than %d digits", INDEX_DIGITS_MAX);
        *number = *number * 10 + (*reader->at++ - '0');
    }
    if (reader->at == start)
        return path_refuse(reader, "lacks a whole number");
    if (negative)
        *number = -*number;
    return true;
}

static bool next_is_number(const struct path_reader *reader)
{
    return reader->at < reader->end && (*reader->at == '-' || is_digit(*reader->at));
}

/* [start:end:step], the first colon taken. */
static bool read_slice(struct path_reader *reader, struct part *part)
{
    part->slice.step = 1;
    path_skip_spaces(reader);
    part->slice.has_end = next_is_number(reader);
    if (part->slice.has_end && !read_number(reader, &part->slice.end))
        return false;
    path_skip_spaces(reader);
    if (!take(reader, ':'))
        return true;
    path_skip_spaces(reader);
    if (next_is_number(reader) && !read_number(reader, &part->slice.step))
        return false;
    return part->slice.step != 0 || path_refuse(reader, "has a slice whose step is 0");
}

/* [0], [0,2] or [1:2] */
static bool read_numbers(struct path_reader *reader, struct part *part)
{
    long number = 0;
    bool given = next_is_number(reader);
    if (given && !read_number(reader, &number))
        return false;
    path_skip_spaces(reader);
    if (take(reader, ':')) {
        part->type = PART_SLICE;
        part->slice.has_start = given;
        part->slice.start = number;
        return read_slice(reader, part);
    }
    if (!path_next_is(reader, ',')) {
        part->type = PART_INDEX;
        part->index = number;
        return true;
    }
    long *indexes = must_alloc(sizeof *indexes);
    size_t count = 0;
    indexes[count++] = number;
    part->type = PART_INDEXES;
    part->indexes.items = indexes;
    part->indexes.count = count;
    while (take(reader, ',')) {
        path_skip_spaces(reader);
        if (count == JSONPATH_UNION_MAX)
            return refuse_union(reader);
        if (!read_number(reader, &number))
            return false;
        indexes = must_realloc(indexes, (count + 1) * sizeof *indexes);
        indexes[count++] = number;
        part->indexes.items = indexes;
        part->indexes.count = count;
        path_skip_spaces(reader);
    }
    return true;
}

static bool read_filter(struct path_reader *reader, struct part *part)
{
    struct filter_test *filter = filter_read(reader);
    if (!filter)
        return false;
    part->type = PART_FILTER;
    part->filter = filter;
    return true;
}

static bool read_bracket(struct path_reader *reader, struct part *part)
{
    path_skip_spaces(reader);
    bool fine;
    if (path_next_is(reader, '\'') || path_next_is(reader, '"'))
        fine = read_names(reader, part);
    else if (next_is_number(reader) || path_next_is(reader, ':'))
        fine = read_numbers(reader, part);
    else if (take(reader, '?'))
        fine = read_filter(reader, part);
    else if (path_next_is(reader, '('))
        return path_refuse(reader, "has a script, which paths do not have ([-1] is the last),");
    else
        fine = take(reader, '*') || path_refuse(reader, "lacks an index, a quoted name, * or "
                                                        "a filter ?(...) after the [");
    if (!fine)
        return false;
    path_skip_spaces(reader);
    return take(reader, ']') ||
           path_refuse(reader, "lacks the ] (a union has only indexes or only quoted names)");
}

static bool read_part(struct path_reader *reader, bool in_filter, struct parts *parts)
{
    struct part *part = part_add(reader, parts);
    if (!part)
        return false;
    if (take(reader, '['))
        return read_bracket(reader, part);
    reader->at++;
    part->anywhere = take(reader, '.');
    if (take(reader, '['))
        return read_bracket(reader, part);
    return take(reader, '*') || read_name(reader, in_filter, part);
}

static bool is_single(const struct part *part)
{
    return !part->anywhere && (part->type == PART_NAME || part->type == PART_INDEX);
}

bool path_read_parts(struct path_reader *reader, bool in_filter, struct parts *parts)
{
    while (path_next_is(reader, '.') || path_next_is(reader, '['))
        if (!read_part(reader, in_filter, parts))
            return false;
    parts->single = parts->definite = true;
    for (size_t i = 0; i < parts->count; i++) {
        struct part *part = &parts->items[i];
        part->last = i + 1 == parts->count;
        if (is_single(part))
            continue;
        parts->single = false;
        if (part->anywhere || part->type != PART_NAMES || !part->last)
            parts->definite = false;
    }
    return true;
}

void parts_fini(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        struct part *part = &parts->items[i];
        if (part->type == PART_NAME)
            free(part->name.text);
        for (size_t j = 0; part->type == PART_NAMES && j < part->names.count; j++)
            free(part->names.items[j].text);
        if (part->type == PART_NAMES)
            free(part->names.items);
        else if (part->type == PART_INDEXES)
            free(part->indexes.items);
        else if (part->type == PART_FILTER)
            filter_free(part->filter);
    }
    free(parts->items);
    *parts = (struct parts){0};
}

/* -- whole paths -- */

/* $, $$ or $name */
static bool read_root(struct path_reader *reader, struct jsonpath *path)
{
    if (!take(reader, '$'))
        return path_refuse(reader, "does not begin with $");
    path->context = take(reader, '$');
    if (path->context)
        return true;
    size_t characters = 0;
    size_t bytes = identifier_bytes(reader->at, (size_t)(reader->end - reader->at), &characters);
    if (characters > ASL_VARIABLE_NAME_CHARACTERS_MAX)
        return path_refuse(reader, "names a variable with more than %d characters",
                           ASL_VARIABLE_NAME_CHARACTERS_MAX);
    if (bytes > 0)
        path->variable = must_strndup(reader->at, bytes);
    reader->at += bytes;
    return true;
}

static bool read_path(struct path_reader *reader, struct jsonpath *path)
{
    if (!utf8_is_valid(reader->text, (size_t)(reader->end - reader->text))) {
        reader->end = reader->text; /* do not show it */
        return path_refuse(reader, "is no UTF-8 text");
    }
    if (reader->end - reader->text > JSONPATH_BYTES_MAX)
        return path_refuse(reader, "is longer than %d octets", JSONPATH_BYTES_MAX);
    if (!read_root(reader, path) || !path_read_parts(reader, false, &path->parts))
        return false;
    if (reader->at == reader->end)
        return true;
    return path_refuse(reader, path->parts.count || path->context || path->variable
                                   ? "has something that is neither .name nor [...]"
                                   : "has neither .name nor [...] nor a variable's name, which "
                                     "begins with a letter, after the $");
}

static void derive(struct jsonpath *path)
{
    path->reference = path->parts.single;
    for (size_t i = 0; i < path->parts.count; i++) {
        const struct part *part = &path->parts.items[i];
        if (part->type == PART_INDEX && part->index < 0)
            path->reference = false;
        if (part->anywhere || part->type == PART_INDEXES ||
            (part->type == PART_NAMES && !part->last))
            path->may_repeat = true;
    }
}

struct jsonpath *jsonpath_compile(const char *text, size_t bytes, struct error *error)
{
    struct path_reader reader = {.text = text, .at = text, .end = text + bytes, .error = error};
    struct jsonpath *path = must_calloc(1, sizeof *path);
    if (!read_path(&reader, path)) {
        jsonpath_free(path);
        return NULL;
    }
    path->text = must_strndup(text, bytes);
    derive(path);
    return path;
}
