/* SPDX-License-Identifier: MIT */
/* schema_internal.h - a compiled schema, shared by schema.c (compiles) and schema_check.c (checks).
 *
 * Owns      struct schema owns its nodes (a list, linked by next_made) and one reference to its
 *           document, which lends the values that nodes point to.
 */
#ifndef CORE_SCHEMA_INTERNAL_H
#define CORE_SCHEMA_INTERNAL_H

#include <stdint.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/schema.h"

enum {
    SCHEMA_NULL = 1,
    SCHEMA_BOOLEAN = 2,
    SCHEMA_NUMBER = 4,
    SCHEMA_INTEGER = 8,
    SCHEMA_STRING = 16,
    SCHEMA_ARRAY = 32,
    SCHEMA_OBJECT = 64,
};

struct schema_node;

struct schema_named {
    char *name;
    size_t bytes;
    struct schema_node *node; /* of properties, dependentSchemas */
    pcre2_code *pattern;      /* of patternProperties */
};

struct schema_node_list {
    struct schema_node **items;
    size_t count;
};

struct schema_named_list {
    struct schema_named *items;
    size_t count;
};

struct schema_bound {
    bool set;
    double value;
};

struct schema_count_bound {
    bool set;
    uint64_t value;
};

struct schema_node {
    struct schema_node *next_made; /* all nodes of the schema, for freeing */
    char *pointer;                 /* place in the document, target of $ref */
    bool never;                    /* the schema false */
    unsigned types;                /* 0: any */
    const struct json *constant;
    const struct json *enumeration;
    struct schema_bound minimum, maximum, above, below, multiple;
    struct schema_count_bound min_length, max_length, min_items, max_items, min_members,
        max_members, min_contains, max_contains;
    pcre2_code *pattern;
    char *pattern_text;
    bool unique;
    struct schema_node *items, *contains, *additional, *names, *negated, *condition, *then_node,
        *else_node, *reference;
    const char *reference_text;
    struct schema_node_list prefix, all_of, any_of, one_of;
    struct schema_named_list properties, patterns, dependents;
    const struct json *required;
    const struct json *dependent_required;
};

struct schema {
    struct json *document;
    struct schema_node *made;
    struct schema_node *root;
    size_t count;
};

#endif
