/* SPDX-License-Identifier: MIT */
#include "core/json.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/json_internal.h"

/* What is built step by step begins with this and doubles. */
#define ITEMS_FIRST 4u
#define NAMES_BYTES_FIRST 48u
#define INDEX_FROM_MEMBERS 16u /* smaller objects are looked through */

/* null, true and false exist once; their count never reaches zero. */
static struct json constant_null = {.references = 1, .type = JSON_NULL};
static struct json constant_true = {.references = 1, .type = JSON_TRUE};
static struct json constant_false = {.references = 1, .type = JSON_FALSE};

static bool is_constant(const struct json *value)
{
    return value->type == JSON_NULL || value->type == JSON_TRUE || value->type == JSON_FALSE;
}

/* The head and so many octets behind it. */
static struct json *new_value(enum json_type type, size_t more_bytes)
{
    struct json *value = must_alloc(sizeof *value + more_bytes);
    *value = (struct json){.type = (uint8_t)type};
    atomic_init(&value->references, 1);
    return value;
}

static uint32_t checked(size_t count)
{
    BUG_IF(count > UINT32_MAX);
    return (uint32_t)count;
}

static size_t members_bytes(size_t capacity, size_t names_capacity)
{
    return sizeof(struct json_members) + capacity * sizeof(struct json_member) + names_capacity;
}

struct json *json_hold(const struct json *value)
{
    struct json *held = (struct json *)(uintptr_t)value;
    if (held != NULL && !is_constant(held))
        atomic_fetch_add_explicit(&held->references, 1, memory_order_relaxed);
    return held;
}

static void destroy(struct json *value)
{
    if (value->type == JSON_ARRAY) {
        for (size_t i = 0; i < value->count; i++)
            json_release(value->items[i]);
        if (value->own_block)
            free(value->items);
    } else if (value->type == JSON_OBJECT) {
        for (size_t i = 0; i < value->count; i++)
            json_release(value->members->list[i].value);
        if (value->members != NULL)
            free(atomic_load_explicit(&value->members->index, memory_order_relaxed));
        if (value->own_block)
            free(value->members);
    }
    free(value);
}

void json_release(struct json *value)
{
    if (value == NULL || is_constant(value))
        return;
    /* The only reference is ours, so nobody else can take one meanwhile: no locked instruction. */
    if (atomic_load_explicit(&value->references, memory_order_acquire) == 1 ||
        atomic_fetch_sub_explicit(&value->references, 1, memory_order_acq_rel) == 1)
        destroy(value);
}

struct json *json_null(void) { return &constant_null; }
struct json *json_bool(bool value) { return value ? &constant_true : &constant_false; }

struct json *json_int(int64_t number)
{
    struct json *value = new_value(JSON_NUMBER, 0);
    value->is_int = true;
    value->int_value = number;
    return value;
}

struct json *json_double(double number)
{
    if (!isfinite(number))
        return json_null();
    struct json *value = new_value(JSON_NUMBER, 0);
    value->double_value = number;
    return value;
}

struct json *json_string(const char *text, size_t bytes)
{
    size_t inside = sizeof(struct json) - offsetof(struct json, int_value);
    struct json *value = new_value(JSON_STRING, bytes < inside ? 0 : bytes + 1 - inside);
    value->count = checked(bytes);
    memcpy(text_of(value), text, bytes);
    text_of(value)[bytes] = '\0';
    return value;
}

struct json *json_text(const char *text)
{
    return text == NULL ? json_null() : json_string(text, strlen(text));
}
struct json *json_array(void) { return new_value(JSON_ARRAY, 0); }
struct json *json_object(void) { return new_value(JSON_OBJECT, 0); }

struct json *json_array_of(struct json *const *items, size_t count)
{
    struct json *array = new_value(JSON_ARRAY, count * sizeof *items);
    array->count = array->capacity = checked(count);
    array->items = (struct json **)(array + 1);
    if (items != NULL)
        memcpy(array->items, items, count * sizeof *items);
    return array;
}

/* An object with room for so many members, none of them set. */
static struct json *object_sized(size_t capacity, size_t names_capacity)
{
    struct json *object = new_value(JSON_OBJECT, members_bytes(capacity, names_capacity));
    object->capacity = checked(capacity);
    object->members = (struct json_members *)(object + 1);
    *object->members = (struct json_members){.names_capacity = checked(names_capacity)};
    return object;
}

struct json *json_object_of(const struct json_member *members, size_t count, const char *names,
                            size_t names_bytes)
{
    if (count == 0)
        return json_object();
    struct json *object = object_sized(count, names_bytes);
    object->count = (uint32_t)count;
    object->members->names_bytes = (uint32_t)names_bytes;
    memcpy(object->members->list, members, count * sizeof *members);
    memcpy(names_of(object), names, names_bytes);
    return object;
}

static void check_building(const struct json *container, enum json_type type)
{
    BUG_IF(container == NULL || container->type != type ||
           atomic_load(&container->references) != 1);
}

void json_array_append(struct json *array, struct json *member)
{
    check_building(array, JSON_ARRAY);
    if (array->count == array->capacity) {
        uint32_t capacity =
            checked(array->capacity < ITEMS_FIRST ? ITEMS_FIRST : (size_t)array->capacity * 2);
        struct json **items = array->own_block ? array->items : NULL;
        items = must_realloc(items, capacity * sizeof *items);
        if (!array->own_block && array->count > 0)
            memcpy(items, array->items, array->count * sizeof *items);
        array->items = items;
        array->capacity = capacity;
        array->own_block = true;
    }
    array->items[array->count++] = member;
}

/* -- the index of large objects -- */

/* The slot of the name, or the free one where it would stand. */
static uint32_t *index_slot(const struct json *object, uint32_t *index, const char *name,
                            size_t name_bytes)
{
    uint32_t mask = index[0] - 1;
    for (uint32_t at = (uint32_t)XXH3_64bits(name, name_bytes) & mask;; at = (at + 1) & mask) {
        uint32_t *slot = &index[1 + at];
        if (*slot == 0)
            return slot;
        const struct json_member *member = &object->members->list[*slot - 1];
        if (member->name_bytes == name_bytes &&
            memcmp(name_of(object, member), name, name_bytes) == 0)
            return slot;
    }
}

static uint32_t *index_new(const struct json *object)
{
    uint32_t slots = 4 * INDEX_FROM_MEMBERS;
    while (slots / 2 < object->count)
        slots *= 2;
    uint32_t *index = must_calloc((size_t)slots + 1, sizeof *index);
    index[0] = slots;
    for (uint32_t i = 0; i < object->count; i++) {
        const struct json_member *member = &object->members->list[i];
        *index_slot(object, index, name_of(object, member), member->name_bytes) = i + 1;
    }
    return index;
}

static struct json_member *index_find(const struct json *object, const char *name,
                                      size_t name_bytes)
{
    uint32_t *index = atomic_load_explicit(&object->members->index, memory_order_acquire);
    if (index == NULL) {
        uint32_t *made = index_new(object);
        if (atomic_compare_exchange_strong(&object->members->index, &index, made))
            index = made;
        else
            free(made); /* another thread was first */
    }
    uint32_t slot = *index_slot(object, index, name, name_bytes);
    return slot == 0 ? NULL : &object->members->list[slot - 1];
}

/* The last member is new; an index that is full is made again when it is needed. */
static void index_add(struct json *object)
{
    uint32_t *index = atomic_load_explicit(&object->members->index, memory_order_relaxed);
    if (index == NULL)
        return;
    if (index[0] / 2 < object->count) {
        atomic_store_explicit(&object->members->index, NULL, memory_order_relaxed);
        free(index);
        return;
    }
    const struct json_member *member = &object->members->list[object->count - 1];
    *index_slot(object, index, name_of(object, member), member->name_bytes) = object->count;
}

static struct json_member *find(const struct json *object, const char *name, size_t name_bytes)
{
    if (object == NULL || object->type != JSON_OBJECT || object->count == 0)
        return NULL;
    if (object->count > INDEX_FROM_MEMBERS)
        return index_find(object, name, name_bytes);
    const char *names = names_of(object);
    struct json_member *member = object->members->list, *end = member + object->count;
    for (; member < end; member++)
        if (member->name_bytes == name_bytes &&
            (name_bytes == 0 || (names[member->name_at] == *name &&
                                 memcmp(names + member->name_at, name, name_bytes) == 0)))
            return member;
    return NULL;
}

/* Room for one more member with a name of so many octets. */
static void object_grow(struct json *object, size_t name_bytes)
{
    struct json_members *old = object->members;
    size_t used = old == NULL ? 0 : old->names_bytes;
    size_t names_capacity = old == NULL ? NAMES_BYTES_FIRST : old->names_capacity;
    size_t capacity = object->capacity;
    if (object->count == capacity)
        capacity = capacity < ITEMS_FIRST ? ITEMS_FIRST : capacity * 2;
    while (used + name_bytes + 1 > names_capacity)
        names_capacity *= 2;
    struct json_members *members = must_alloc(members_bytes(capacity, names_capacity));
    *members = (struct json_members){.names_bytes = checked(used),
                                     .names_capacity = checked(names_capacity)};
    if (old != NULL) {
        atomic_init(&members->index, atomic_load_explicit(&old->index, memory_order_relaxed));
        atomic_init(&old->index, NULL);
    }
    if (used > 0) {
        memcpy(members->list, old->list, object->count * sizeof *old->list);
        memcpy(members->list + capacity, names_of(object), used);
    }
    if (object->own_block)
        free(old);
    object->members = members;
    object->capacity = checked(capacity);
    object->own_block = true;
}

/* Appends without a look for the same name; takes value. */
static void append_member(struct json *object, const char *name, size_t name_bytes,
                          struct json *value)
{
    if (object->count == object->capacity ||
        object->members->names_bytes + name_bytes + 1 > object->members->names_capacity)
        object_grow(object, name_bytes);
    struct json_members *members = object->members;
    char *to = names_of(object) + members->names_bytes;
    memcpy(to, name, name_bytes);
    to[name_bytes] = '\0';
    members->list[object->count++] =
        (struct json_member){members->names_bytes, (uint32_t)name_bytes, value};
    members->names_bytes += (uint32_t)name_bytes + 1;
    index_add(object);
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
    append_member(object, name, name_bytes, member);
}

void json_object_set(struct json *object, const char *name, struct json *member)
{
    json_object_set_bytes(object, name, strlen(name), member);
}

struct json *json_object_with(const struct json *object, const char *name, size_t name_bytes,
                              struct json *member)
{
    size_t count = json_type_of(object) == JSON_OBJECT ? object->count : 0;
    size_t names_bytes = count == 0 ? 0 : object->members->names_bytes;
    const struct json_member *present = find(object, name, name_bytes);
    struct json *copy =
        object_sized(count + (present == NULL), names_bytes + (present == NULL) * (name_bytes + 1));
    for (size_t i = 0; i < count; i++) {
        const struct json_member *old = &object->members->list[i];
        copy->members->list[i] = *old;
        copy->members->list[i].value = old == present ? member : json_hold(old->value);
    }
    if (count > 0)
        memcpy(names_of(copy), names_of(object), names_bytes);
    copy->count = (uint32_t)count;
    copy->members->names_bytes = (uint32_t)names_bytes;
    if (present == NULL)
        append_member(copy, name, name_bytes, member);
    return copy;
}

struct json *json_blank(const struct json *shape)
{
    size_t count = json_size(shape);
    struct json *made;
    if (json_type_of(shape) == JSON_ARRAY) {
        made = json_array_of(NULL, count);
        for (size_t i = 0; i < count; i++)
            made->items[i] = json_null();
        return made;
    }
    if (count == 0)
        return json_object();
    made =
        json_object_of(shape->members->list, count, names_of(shape), shape->members->names_bytes);
    for (size_t i = 0; i < count; i++)
        made->members->list[i].value = json_null();
    return made;
}

void json_put_at(struct json *container, size_t index, struct json *member)
{
    check_building(container, (enum json_type)container->type);
    BUG_IF(index >= json_size(container));
    struct json **place = container->type == JSON_ARRAY ? &container->items[index]
                                                        : &container->members->list[index].value;
    json_release(*place);
    *place = member;
}

struct json *json_array_with(const struct json *array, size_t index, struct json *member)
{
    size_t count = json_type_of(array) == JSON_ARRAY ? array->count : 0;
    struct json *copy = json_array_of(count == 0 ? NULL : array->items, count);
    for (size_t i = 0; i < count; i++)
        copy->items[i] = i == index ? member : json_hold(copy->items[i]);
    if (index >= count)
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
    return text_of(value);
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
        *bytes = object->members->list[index].name_bytes;
    return name_of(object, &object->members->list[index]);
}

const struct json *json_member_at(const struct json *object, size_t index)
{
    return object != NULL && object->type == JSON_OBJECT && index < object->count
               ? object->members->list[index].value
               : NULL;
}

static bool members_equal(const struct json *a, const struct json *b)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct json_member *member = &a->members->list[i];
        const struct json *other = json_get_bytes(b, name_of(a, member), member->name_bytes);
        if (other == NULL || !json_equal(member->value, other))
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
        return memcmp(text_of(a), text_of(b), a->count) == 0;
    return a->type == JSON_ARRAY ? items_equal(a, b) : members_equal(a, b);
}

static int compare_texts(const struct json *a, const struct json *b)
{
    int order = memcmp(text_of(a), text_of(b), a->count < b->count ? a->count : b->count);
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
