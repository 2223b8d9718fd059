/* SPDX-License-Identifier: MIT */
/* json_internal.h - how values lie in memory, for json.c and json_parse.c; nobody else includes it. */
#ifndef CORE_JSON_INTERNAL_H
#define CORE_JSON_INTERNAL_H

#include <stdatomic.h>

#include "core/json.h"

struct json_member {
    char *name;
    size_t name_bytes;
    struct json *value;
};

struct json {
    atomic_uint references;
    uint8_t type;
    bool is_int;  /* of a number: int_value holds it exactly */
    size_t count; /* members, or octets of a string */
    union {
        int64_t int_value;
        double double_value;
        struct json **items;
        struct json_member *members;
        char *text;
    };
};

/* Appends without a look for the same name; takes name and value. */
void json_append_member(struct json *object, char *name, size_t name_bytes, struct json *value);

#endif
