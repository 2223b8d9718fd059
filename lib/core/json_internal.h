/* SPDX-License-Identifier: MIT */
/* json_internal.h - how values lie in memory, for json.c, json_parse.c and json_write.c; nobody else includes it.
 *
 * A value is one block wherever its size is known when it is made: the text of a string, the items of an
 * array, the members of an object and then their names follow the head. Only what grows while it is built
 * has its items or members in a block of their own.
 */
#ifndef CORE_JSON_INTERNAL_H
#define CORE_JSON_INTERNAL_H

#include <stdatomic.h>

#include "core/json.h"

struct json_member {
    uint32_t name_at; /* in the names that follow the members */
    uint32_t name_bytes;
    struct json *value;
};

struct json_members {
    uint32_t names_bytes; /* used, NULs included */
    uint32_t names_capacity;
    /* Where names stand, of an object with many: made when one is first looked for. A table of
     * member numbers + 1 by hash of the name, its size in front. */
    _Atomic(uint32_t *) index;
    struct json_member list[]; /* as many as the object's capacity, then the names */
};

struct json {
    atomic_uint references;
    uint8_t type;
    bool is_int;       /* of a number: int_value holds it exactly */
    bool own_block;    /* of a container: items or members must be freed */
    uint32_t count;    /* members, or octets of a string */
    uint32_t capacity; /* of a container */
    union {
        int64_t int_value;
        double double_value;
        struct json **items;
        struct json_members *members;
    };
};

/* A string's text takes the place of the union. */
static inline char *text_of(const struct json *string)
{
    return (char *)(uintptr_t)string + offsetof(struct json, int_value);
}

static inline char *names_of(const struct json *object)
{
    return (char *)(object->members->list + object->capacity);
}

static inline const char *name_of(const struct json *object, const struct json_member *member)
{
    return names_of(object) + member->name_at;
}

/* Both of exactly this size, taking the values; names are NUL-ended, member after member. items may be
 * NULL, to be filled in by the caller. */
struct json *json_array_of(struct json *const *items, size_t count) MUST_USE;
struct json *json_object_of(const struct json_member *members, size_t count, const char *names,
                            size_t names_bytes) MUST_USE;

#endif
