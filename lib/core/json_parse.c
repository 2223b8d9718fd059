/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/limits.h"
#include "base/plain.h"
#include "core/json_internal.h"

struct parser {
    const char *start, *p, *end;
    const char *fault; /* sentence, NULL while all is well */
    int depth;
    struct buffer text; /* the string being read */
    /* What the containers that are open have so far, the innermost on top: it is made when it ends, so its
     * block has the right size. */
    struct json_member *open; /* of an array: name_bytes is not used */
    size_t open_count, open_capacity;
    struct buffer names; /* of the open objects' members, NUL-ended */
};

static struct json *parse_value(struct parser *parser);

static struct json *fail(struct parser *parser, const char *sentence)
{
    if (parser->fault == NULL)
        parser->fault = sentence;
    return NULL;
}

static void skip_space(struct parser *parser)
{
    while (parser->p < parser->end &&
           (*parser->p == ' ' || *parser->p == '\n' || *parser->p == '\r' || *parser->p == '\t'))
        parser->p++;
}

static bool accept(struct parser *parser, char c)
{
    if (parser->p >= parser->end || *parser->p != c)
        return false;
    parser->p++;
    return true;
}

static int32_t read_hex4(struct parser *parser)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = parser->p < parser->end ? *parser->p++ : '\0';
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            fail(parser, "a \\u escape needs four hexadecimal digits");
            return -1;
        }
        value = value << 4 | digit;
    }
    return value;
}

static void read_unicode_escape(struct parser *parser)
{
    int32_t code = read_hex4(parser);
    if (code >= 0xd800 && code < 0xdc00) {
        if (!accept(parser, '\\') || !accept(parser, 'u')) {
            fail(parser, "a high surrogate must be followed by a low one");
            return;
        }
        int32_t low = read_hex4(parser);
        if (low < 0xdc00 || low > 0xdfff) {
            fail(parser, "a high surrogate must be followed by a low one");
            return;
        }
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        fail(parser, "a low surrogate stands alone");
        return;
    }
    if (code == 0)
        fail(parser, "\\u0000 cannot be stored");
    else if (code > 0)
        buffer_append_character(&parser->text, (uint32_t)code);
}

static void read_escape(struct parser *parser)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = parser->p < parser->end ? *parser->p++ : '\0';
    const char *found = c == '\0' ? NULL : strchr(from, c);
    if (c == 'u')
        read_unicode_escape(parser);
    else if (found != NULL)
        buffer_append_char(&parser->text, to[found - from]);
    else
        fail(parser, "unknown escape in a string");
}

/* Reads a string after its opening quote. Gives where its text stands: in the input when it has no
 * escapes, else in parser->text. */
static bool read_string(struct parser *parser, const char **text, size_t *bytes)
{
    const char *plain = parser->p;
    bool escaped = false;
    buffer_clear(&parser->text);
    for (;;) {
        parser->p += plain_string_run(parser->p, (size_t)(parser->end - parser->p));
        while (parser->p < parser->end && *parser->p != '"' && *parser->p != '\\' &&
               (unsigned char)*parser->p >= 0x20)
            parser->p++;
        if (parser->p >= parser->end)
            return fail(parser, "the text ends inside a string") != NULL;
        if ((unsigned char)*parser->p < 0x20)
            return fail(parser, "a control character in a string must be escaped") != NULL;
        if (*parser->p == '"')
            break;
        buffer_append(&parser->text, plain, (size_t)(parser->p - plain));
        escaped = true;
        parser->p++;
        read_escape(parser);
        if (parser->fault != NULL)
            return false;
        plain = parser->p;
    }
    if (escaped)
        buffer_append(&parser->text, plain, (size_t)(parser->p - plain));
    *text = escaped ? buffer_text(&parser->text) : plain;
    *bytes = escaped ? parser->text.bytes : (size_t)(parser->p - plain);
    parser->p++;
    return true;
}

static size_t skip_digits(struct parser *parser)
{
    const char *from = parser->p;
    while (parser->p < parser->end && *parser->p >= '0' && *parser->p <= '9')
        parser->p++;
    return (size_t)(parser->p - from);
}

#define INT_DIGITS_EXACT 18
#define NUMBER_BYTES_MAX 512

static struct json *parse_number(struct parser *parser)
{
    const char *from = parser->p;
    bool negative = accept(parser, '-'), fraction = false;
    const char *first = parser->p;
    size_t digits = skip_digits(parser);
    if (digits == 0 || (digits > 1 && *first == '0'))
        return fail(parser, "not a JSON number");
    size_t int_digits = digits;
    if (accept(parser, '.')) {
        fraction = true;
        if (skip_digits(parser) == 0)
            return fail(parser, "a number needs digits after the point");
    }
    if (accept(parser, 'e') || accept(parser, 'E')) {
        fraction = true;
        if (!accept(parser, '+'))
            accept(parser, '-');
        if (skip_digits(parser) == 0)
            return fail(parser, "a number needs digits in its exponent");
    }
    if (!fraction && int_digits <= INT_DIGITS_EXACT) {
        int64_t value = 0;
        for (const char *p = first; p < parser->p; p++)
            value = value * 10 + (*p - '0');
        if (negative && value == 0)
            return json_double(-0.0);
        return json_int(negative ? -value : value);
    }
    char text[NUMBER_BYTES_MAX];
    size_t bytes = (size_t)(parser->p - from);
    if (bytes >= sizeof text)
        return fail(parser, "a number has too many digits");
    memcpy(text, from, bytes);
    text[bytes] = '\0';
    if (!fraction && int_digits == INT_DIGITS_EXACT + 1) {
        char wide[32];
        int64_t value = strtoll(text, NULL, 10);
        snprintf(wide, sizeof wide, "%lld", (long long)value);
        if (strcmp(wide, text) == 0)
            return json_int(value);
    }
    double number = strtod(text, NULL);
    return isfinite(number) ? json_double(number) : fail(parser, "a number is out of range");
}

static void open_push(struct parser *parser, size_t name_at, size_t name_bytes, struct json *value)
{
    if (parser->open_count == parser->open_capacity) {
        parser->open_capacity = parser->open_capacity == 0 ? 64 : parser->open_capacity * 2;
        parser->open = must_realloc(parser->open, parser->open_capacity * sizeof *parser->open);
    }
    parser->open[parser->open_count++] =
        (struct json_member){(uint32_t)name_at, (uint32_t)name_bytes, value};
}

static struct json *array_end(struct parser *parser, size_t first)
{
    size_t count = parser->open_count - first;
    struct json *array = json_array_of(NULL, count);
    for (size_t i = 0; i < count; i++)
        array->items[i] = parser->open[first + i].value;
    parser->open_count = first;
    return array;
}

static struct json *parse_array(struct parser *parser)
{
    size_t first = parser->open_count;
    skip_space(parser);
    if (accept(parser, ']'))
        return json_array();
    do {
        struct json *item = parse_value(parser);
        if (item == NULL)
            return NULL;
        open_push(parser, 0, 0, item);
        skip_space(parser);
    } while (accept(parser, ','));
    return accept(parser, ']') ? array_end(parser, first)
                               : fail(parser, "expected , or ] in an array");
}

/* The object being read: where its members and their names begin. Once it has many, the names are found by
 * open addressing over numbers of members plus one; a look through all members for each new one would let a
 * single body keep a processor busy for hours. */
struct open_object {
    size_t first;
    size_t names_at;
    uint32_t *slots;
    size_t capacity; /* a power of two; 0 while the object is small */
};

#define INDEX_FROM_MEMBERS 16u

static bool is_named(const struct parser *parser, const struct open_object *object,
                     const struct json_member *member, const char *name, size_t bytes)
{
    return member->name_bytes == bytes &&
           memcmp(parser->names.data + object->names_at + member->name_at, name, bytes) == 0;
}

static size_t index_slot(const struct parser *parser, const struct open_object *object,
                         const char *name, size_t bytes)
{
    size_t slot = (size_t)XXH3_64bits(name, bytes) & (object->capacity - 1);
    for (; object->slots[slot] != 0; slot = (slot + 1) & (object->capacity - 1))
        if (is_named(parser, object, &parser->open[object->first + object->slots[slot] - 1], name,
                     bytes))
            break;
    return slot;
}

static void index_grow(const struct parser *parser, struct open_object *object)
{
    free(object->slots);
    object->capacity = object->capacity == 0 ? 4 * INDEX_FROM_MEMBERS : object->capacity * 2;
    object->slots = must_calloc(object->capacity, sizeof *object->slots);
    for (size_t i = object->first; i < parser->open_count; i++) {
        const struct json_member *member = &parser->open[i];
        const char *name = parser->names.data + object->names_at + member->name_at;
        object->slots[index_slot(parser, object, name, member->name_bytes)] =
            (uint32_t)(i - object->first) + 1;
    }
}

/* The member with the name that was read last, NULL when it is a new one; that one gets its slot. */
static struct json_member *present_member(struct parser *parser, struct open_object *object,
                                          const char *name, size_t bytes)
{
    size_t count = parser->open_count - object->first;
    if (count < INDEX_FROM_MEMBERS) {
        for (size_t i = object->first; i < parser->open_count; i++)
            if (is_named(parser, object, &parser->open[i], name, bytes))
                return &parser->open[i];
        return NULL;
    }
    if (object->capacity < 2 * (count + 1))
        index_grow(parser, object);
    size_t slot = index_slot(parser, object, name, bytes);
    if (object->slots[slot] != 0)
        return &parser->open[object->first + object->slots[slot] - 1];
    object->slots[slot] = (uint32_t)count + 1;
    return NULL;
}

static bool parse_member(struct parser *parser, struct open_object *object)
{
    const char *text;
    size_t bytes;
    skip_space(parser);
    if (!accept(parser, '"'))
        return fail(parser, "expected a member name in double quotes") != NULL;
    if (!read_string(parser, &text, &bytes))
        return false;
    size_t name_at = parser->names.bytes;
    buffer_append(&parser->names, text, bytes);
    buffer_append_char(&parser->names, '\0');
    skip_space(parser);
    struct json *value =
        accept(parser, ':') ? parse_value(parser) : fail(parser, "expected : after a member name");
    if (value == NULL)
        return false;
    struct json_member *present =
        present_member(parser, object, parser->names.data + name_at, bytes);
    if (present == NULL) {
        open_push(parser, name_at - object->names_at, bytes, value);
        return true;
    }
    json_release(present->value);
    present->value = value;
    parser->names.bytes = name_at;
    return true;
}

static struct json *object_end(struct parser *parser, const struct open_object *object)
{
    struct json *made = json_object_of(
        parser->open + object->first, parser->open_count - object->first,
        parser->names.data + object->names_at, parser->names.bytes - object->names_at);
    parser->open_count = object->first;
    parser->names.bytes = object->names_at;
    return made;
}

static struct json *parse_object(struct parser *parser)
{
    struct open_object object = {.first = parser->open_count, .names_at = parser->names.bytes};
    bool fine = true;
    skip_space(parser);
    if (accept(parser, '}'))
        return json_object();
    do {
        fine = parse_member(parser, &object);
        skip_space(parser);
    } while (fine && accept(parser, ','));
    free(object.slots);
    if (fine && accept(parser, '}'))
        return object_end(parser, &object);
    return fail(parser, "expected , or } in an object");
}

static struct json *parse_literal(struct parser *parser, const char *word, struct json *value)
{
    size_t bytes = strlen(word);
    if ((size_t)(parser->end - parser->p) < bytes || memcmp(parser->p, word, bytes) != 0)
        return fail(parser, "expected a JSON value");
    parser->p += bytes;
    return value;
}

static struct json *parse_container(struct parser *parser, struct json *(*parse)(struct parser *))
{
    if (++parser->depth > JSON_DEPTH_MAX)
        return fail(parser, "arrays and objects are nested too deeply");
    parser->p++;
    struct json *value = parse(parser);
    parser->depth--;
    return value;
}

static struct json *parse_value(struct parser *parser)
{
    const char *text;
    size_t bytes;
    skip_space(parser);
    switch (parser->p < parser->end ? *parser->p : '\0') {
    case '{':
        return parse_container(parser, parse_object);
    case '[':
        return parse_container(parser, parse_array);
    case '"':
        parser->p++;
        return read_string(parser, &text, &bytes) ? json_string(text, bytes) : NULL;
    case 't':
        return parse_literal(parser, "true", json_bool(true));
    case 'f':
        return parse_literal(parser, "false", json_bool(false));
    case 'n':
        return parse_literal(parser, "null", json_null());
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return parse_number(parser);
    default:
        return fail(parser, parser->p < parser->end ? "expected a JSON value"
                                                    : "the text ends where a value is expected");
    }
}

static struct json_position position_of(const struct parser *parser)
{
    struct json_position position = {1, 1};
    for (const char *p = parser->start; p < parser->p; p++) {
        position.column++;
        if (*p == '\n') {
            position.line++;
            position.column = 1;
        }
    }
    return position;
}

struct json *json_parse(const char *text, size_t bytes, struct error *error,
                        struct json_position *position)
{
    struct parser parser = {.start = text, .p = text, .end = text + bytes};
    struct json *value = NULL;
    if (utf8_is_valid(text, bytes)) {
        value = parse_value(&parser);
        skip_space(&parser);
        if (value != NULL && parser.p < parser.end) {
            json_release(value);
            value = fail(&parser, "text follows after the JSON value");
        }
    } else {
        fail(&parser, "the text is not valid UTF-8");
    }
    if (value == NULL) {
        struct json_position place = position_of(&parser);
        if (position != NULL)
            *position = place;
        (void)error_set(error, ERR_SYNTAX, "line %d column %d: %s", place.line, place.column,
                        parser.fault);
    }
    for (size_t i = 0; i < parser.open_count; i++)
        json_release(parser.open[i].value); /* of a text that ended too early */
    free(parser.open);
    buffer_fini(&parser.names);
    buffer_fini(&parser.text);
    return value;
}
