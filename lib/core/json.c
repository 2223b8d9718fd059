/* SPDX-License-Identifier: MIT */
#include "core/json.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json_internal.h"

/* Containers grow by doubling: capacity is the next power of two of count, at least this. */
#define CONTAINER_FIRST 4u

/* null, true and false exist once; their count never reaches zero. */
static struct json constant_null = {.references = 1, .type = JSON_NULL};
static struct json constant_true = {.references = 1, .type = JSON_TRUE};
static struct json constant_false = {.references = 1, .type = JSON_FALSE};

static bool is_constant(const struct json *value)
{
    return value->type == JSON_NULL || value->type == JSON_TRUE || value->type == JSON_FALSE;
}

static struct json *new_value(enum json_type type)
{
    struct json *value = must_alloc(sizeof *value);
    *value = (struct json){.type = (uint8_t)type};
    atomic_init(&value->references, 1);
    return value;
}

struct json *json_hold(const struct json *value)
{
    struct json *held = (struct json *)(uintptr_t)value;
    if (held != NULL && !is_constant(held))
        atomic_fetch_add_explicit(&held->references, 1, memory_order_relaxed);
    return held;
}

void json_release(struct json *value)
{
    if (value == NULL || is_constant(value))
        return;
    if (atomic_fetch_sub_explicit(&value->references, 1, memory_order_acq_rel) != 1)
        return;
    if (value->type == JSON_ARRAY) {
        for (size_t i = 0; i < value->count; i++)
            json_release(value->items[i]);
        free(value->items);
    } else if (value->type == JSON_OBJECT) {
        for (size_t i = 0; i < value->count; i++) {
            free(value->members[i].name);
            json_release(value->members[i].value);
        }
        free(value->members);
    } else if (value->type == JSON_STRING) {
        free(value->text);
    }
    free(value);
}

struct json *json_null(void) { return &constant_null; }
struct json *json_bool(bool value) { return value ? &constant_true : &constant_false; }

struct json *json_int(int64_t number)
{
    struct json *value = new_value(JSON_NUMBER);
    value->is_int = true;
    value->int_value = number;
    return value;
}

struct json *json_double(double number)
{
    if (!isfinite(number))
        return json_null();
    struct json *value = new_value(JSON_NUMBER);
    value->double_value = number;
    return value;
}

struct json *json_string(const char *text, size_t bytes)
{
    struct json *value = new_value(JSON_STRING);
    value->text = must_strndup(text, bytes);
    value->count = bytes;
    return value;
}

struct json *json_text(const char *text)
{
    return text == NULL ? json_null() : json_string(text, strlen(text));
}
struct json *json_array(void) { return new_value(JSON_ARRAY); }
struct json *json_object(void) { return new_value(JSON_OBJECT); }

static bool must_grow(size_t count)
{
    return count == 0 || (count >= CONTAINER_FIRST && (count & (count - 1)) == 0);
}
static size_t grown(size_t count) { return count == 0 ? CONTAINER_FIRST : count * 2; }

static void check_building(const struct json *container, enum json_type type)
{
    BUG_IF(container == NULL || container->type != type ||
           atomic_load(&container->references) != 1);
}

void json_array_append(struct json *array, struct json *member)
{
    check_building(array, JSON_ARRAY);
    if (must_grow(array->count))
        array->items = must_realloc(array->items, grown(array->count) * sizeof *array->items);
    array->items[array->count++] = member;
}

static struct json_member *find(const struct json *object, const char *name, size_t name_bytes)
{
    if (object == NULL || object->type != JSON_OBJECT)
        return NULL;
    for (size_t i = 0; i < object->count; i++) {
        struct json_member *member = &object->members[i];
        if (member->name_bytes == name_bytes && memcmp(member->name, name, name_bytes) == 0)
            return member;
    }
    return NULL;
}

void json_append_member(struct json *object, char *name, size_t name_bytes, struct json *value)
{
    if (must_grow(object->count))
        object->members =
            must_realloc(object->members, grown(object->count) * sizeof *object->members);
    object->members[object->count++] = (struct json_member){name, name_bytes, value};
}

void json_object_set_bytes(struct json *object, const char *name, size_t name_bytes,
                           struct json *member)
{
    check_building(object, JSON_OBJECT);
    struct json_member *present = find(object, name, name_bytes);
    if (present != NULL) {
        json_release(present->value);
        present->value = member;
        return;
    }
    json_append_member(object, must_strndup(name, name_bytes), name_bytes, member);
}

void json_object_set(struct json *object, const char *name, struct json *member)
{
    json_object_set_bytes(object, name, strlen(name), member);
}

struct json *json_object_with(const struct json *object, const char *name, size_t name_bytes,
                              struct json *member)
{
    struct json *copy = json_object();
    for (size_t i = 0; i < json_size(object) && object->type == JSON_OBJECT; i++) {
        const struct json_member *old = &object->members[i];
        json_append_member(copy, must_strndup(old->name, old->name_bytes), old->name_bytes,
                           json_hold(old->value));
    }
    json_object_set_bytes(copy, name, name_bytes, member);
    return copy;
}

struct json *json_array_with(const struct json *array, size_t index, struct json *member)
{
    struct json *copy = json_array();
    for (size_t i = 0; i < json_size(array) && array->type == JSON_ARRAY; i++)
        json_array_append(copy, i == index ? member : json_hold(array->items[i]));
    if (index >= json_size(array))
        json_array_append(copy, member);
    return copy;
}

enum json_type json_type_of(const struct json *value)
{
    return value == NULL ? JSON_ABSENT : (enum json_type)value->type;
}

const char *json_type_name(const struct json *value)
{
    static const char *const names[] = {"nothing", "null",   "boolean", "boolean",
                                        "number",  "string", "array",   "object"};
    return names[json_type_of(value)];
}

bool json_is_true(const struct json *value) { return json_type_of(value) == JSON_TRUE; }

/* Doubles from here on cannot be told from their neighbours as integers. */
#define INT64_AS_DOUBLE_END 9223372036854775808.0

bool json_is_int(const struct json *value)
{
    if (json_type_of(value) != JSON_NUMBER)
        return false;
    if (value->is_int)
        return true;
    double number = value->double_value;
    return number >= -INT64_AS_DOUBLE_END && number < INT64_AS_DOUBLE_END &&
           floor(number) == number;
}

int64_t json_int_value(const struct json *value)
{
    if (json_type_of(value) != JSON_NUMBER)
        return 0;
    if (value->is_int)
        return value->int_value;
    if (value->double_value >= INT64_AS_DOUBLE_END)
        return INT64_MAX;
    return value->double_value <= -INT64_AS_DOUBLE_END ? INT64_MIN : (int64_t)value->double_value;
}

double json_double_value(const struct json *value)
{
    if (json_type_of(value) != JSON_NUMBER)
        return 0;
    return value->is_int ? (double)value->int_value : value->double_value;
}

const char *json_string_value(const struct json *value, size_t *bytes)
{
    if (json_type_of(value) != JSON_STRING)
        return NULL;
    if (bytes != NULL)
        *bytes = value->count;
    return value->text;
}

const char *json_string_or(const struct json *value, const char *fallback)
{
    const char *text = json_string_value(value, NULL);
    return text == NULL ? fallback : text;
}

size_t json_size(const struct json *value)
{
    return value != NULL && (value->type == JSON_ARRAY || value->type == JSON_OBJECT) ? value->count
                                                                                      : 0;
}

const struct json *json_at(const struct json *array, size_t index)
{
    return array != NULL && array->type == JSON_ARRAY && index < array->count ? array->items[index]
                                                                              : NULL;
}

const struct json *json_get_bytes(const struct json *object, const char *name, size_t name_bytes)
{
    const struct json_member *member = find(object, name, name_bytes);
    return member == NULL ? NULL : member->value;
}

const struct json *json_get(const struct json *object, const char *name)
{
    return json_get_bytes(object, name, strlen(name));
}

const char *json_name_at(const struct json *object, size_t index, size_t *bytes)
{
    if (object == NULL || object->type != JSON_OBJECT || index >= object->count)
        return NULL;
    if (bytes != NULL)
        *bytes = object->members[index].name_bytes;
    return object->members[index].name;
}

const struct json *json_member_at(const struct json *object, size_t index)
{
    return object != NULL && object->type == JSON_OBJECT && index < object->count
               ? object->members[index].value
               : NULL;
}

static bool members_equal(const struct json *a, const struct json *b)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct json *other = json_get_bytes(b, a->members[i].name, a->members[i].name_bytes);
        if (other == NULL || !json_equal(a->members[i].value, other))
            return false;
    }
    return true;
}

static bool items_equal(const struct json *a, const struct json *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (!json_equal(a->items[i], b->items[i]))
            return false;
    return true;
}

/* Exactly: 2^53 + 1 is not the double 2^53. */
static bool numbers_equal(const struct json *a, const struct json *b)
{
    if (json_is_int(a) != json_is_int(b))
        return false;
    return json_is_int(a) ? json_int_value(a) == json_int_value(b)
                          : a->double_value == b->double_value;
}

bool json_equal(const struct json *a, const struct json *b)
{
    if (a == b)
        return true;
    if (json_type_of(a) != json_type_of(b))
        return false;
    if (a->type == JSON_NUMBER)
        return numbers_equal(a, b);
    if (a->type <= JSON_TRUE)
        return true;
    if (a->count != b->count)
        return false;
    if (a->type == JSON_STRING)
        return memcmp(a->text, b->text, a->count) == 0;
    return a->type == JSON_ARRAY ? items_equal(a, b) : members_equal(a, b);
}

static int compare_texts(const struct json *a, const struct json *b)
{
    int order = memcmp(a->text, b->text, a->count < b->count ? a->count : b->count);
    return order ? order : (a->count > b->count) - (a->count < b->count);
}

int json_compare(const struct json *a, const struct json *b)
{
    BUG_IF(json_type_of(a) != json_type_of(b));
    if (a->type == JSON_STRING)
        return compare_texts(a, b);
    if (json_is_int(a) && json_is_int(b)) {
        int64_t x = json_int_value(a), y = json_int_value(b);
        return (x > y) - (x < y);
    }
    double x = json_double_value(a), y = json_double_value(b);
    return (x > y) - (x < y);
}

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
        buffer_append_json_string(out, value->text, value->count);
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
            buffer_append_json_string(out, value->members[i].name, value->members[i].name_bytes);
            buffer_append_char(out, ':');
            json_write(value->members[i].value, out);
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

size_t json_text_bytes(const struct json *value)
{
    struct buffer out = {0};
    json_write(value, &out);
    size_t bytes = out.bytes;
    buffer_fini(&out);
    return bytes;
}
