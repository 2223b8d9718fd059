/* SPDX-License-Identifier: MIT */
/* jsonpath_internal.h - compiled paths, for the files jsonpath*.c; nobody else includes it.
 *
 *     jsonpath_parse.c   text -> parts
 *     jsonpath_filter.c  text of a filter -> tests
 *     jsonpath_find.c    parts and tests against a value
 *     jsonpath.c         the rest of jsonpath.h
 */
#ifndef CORE_JSONPATH_INTERNAL_H
#define CORE_JSONPATH_INTERNAL_H

#include "base/buffer.h"
#include "base/limits.h"
#include "core/jsonpath.h"

/* -- what is compiled -- */

enum part_type {
    PART_NAME,    /* .a ['a'] */
    PART_INDEX,   /* [0] [-1] */
    PART_ALL,     /* .* [*] */
    PART_NAMES,   /* ['a','b'] */
    PART_INDEXES, /* [0,-1] */
    PART_SLICE,   /* [1:-1:2] */
    PART_FILTER   /* [?(@.a > 1)] */
};

struct part_name {
    char *text;
    size_t bytes;
};

struct part {
    enum part_type type;
    bool anywhere; /* follows "..": at this value and at every value inside it */
    bool last;     /* of its path */
    union {
        struct part_name name;
        long index; /* below 0: counted from the end */
        struct {
            struct part_name *items;
            size_t count;
        } names;
        struct {
            long *items;
            size_t count;
        } indexes;
        struct {
            long start, end, step;
            bool has_start, has_end;
        } slice;
        struct filter_test *filter;
    };
};

struct parts {
    struct part *items;
    size_t count;
    bool definite; /* one value or none */
    bool single;   /* only names and indexes, so what it finds is a value of the document itself */
};

struct jsonpath {
    char *text;
    char *variable; /* "$name": NULL when it is none */
    bool context;
    bool reference;
    bool may_repeat;
    struct parts parts;
};

enum filter_test_type { TEST_ANY_OF, TEST_ALL_OF, TEST_NOT, TEST_EXISTS, TEST_COMPARISON };

enum filter_relation { EQUAL, NOT_EQUAL, LESS, LESS_OR_EQUAL, GREATER, GREATER_OR_EQUAL };

struct filter_operand {
    struct json *constant; /* NULL: a path */
    bool from_root;        /* $, else @ */
    struct parts parts;
};

struct filter_test {
    enum filter_test_type type;
    enum filter_relation relation;
    struct filter_operand left, right; /* right of a comparison only */
    struct filter_test **tests;        /* of ANY_OF, ALL_OF, NOT */
    size_t count;
};

/* -- reading -- */

struct path_reader {
    const char *text;
    const char *at;
    const char *end;
    unsigned nesting; /* of filters, parentheses and ! within each other */
    struct error *error;
};

/* Fills the error with what is wrong at reader->at; false, so that one can return it. */
bool path_refuse(struct path_reader *reader, const char *format, ...) PRINTF_LIKE(2, 3);
bool path_next_is(const struct path_reader *reader, char c);
void path_skip_spaces(struct path_reader *reader);
/* One escape, reader->at on its backslash: \uXXXX and, with controls, \n and the like; else the
 * character after it stands for itself. */
bool path_read_escape(struct path_reader *reader, bool controls, struct buffer *out);
/* A text between quotes, reader->at on the first. */
bool path_read_quoted(struct path_reader *reader, struct buffer *out);
/* Parts up to the end of the text or, in a filter, up to what cannot belong to a path. */
bool path_read_parts(struct path_reader *reader, bool in_filter, struct parts *parts);
void parts_fini(struct parts *parts);

/* reader->at after the question mark; NULL when refused. */
struct filter_test *filter_read(struct path_reader *reader) MUST_USE;
void filter_free(struct filter_test *test);

/* -- finding -- */

/* What a name or index finds in value, lent; NULL: nothing. */
const struct json *part_step(const struct part *part, const struct json *value);

#endif
