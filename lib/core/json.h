/* SPDX-License-Identifier: MIT */
/* json.h - immutable JSON values, shared by reference count. Pure.
 *
 * A workflow's data passes from state to state and must not be copied on the way, so values never
 * change once built: json_object_with() makes a new object whose other members are shared. (cJSON's
 * trees have one owner, turn 2^53+1 into another number and let invalid UTF-8 pass, which the database
 * then refuses; the unit tests hold this parser against cJSON where the two must agree.)
 *
 * Owns      Each json is released by json_release when its last reference goes. Functions that
 *           return struct json * give a new reference, unless they say "lent". Functions that take
 *           `struct json *member` TAKE the reference over; `const struct json *` is only read.
 * Threads   Reference counts are atomic; a value may be read by many threads.
 * Units     *_bytes are octets of UTF-8.
 * Errors    json_parse gives NULL with line, column and sentence. NULL arguments where a value is
 *           expected read as "absent": type JSON_ABSENT, size 0, text NULL.
 * Source    RFC 8259, strict: no comments, no trailing text, UTF-8 only, \u0000 refused (PostgreSQL
 *           cannot hold it), a duplicate name in an object: the last one wins.
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum json_type {
    JSON_ABSENT,
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json;

struct json_position {
    int line;   /* from 1 */
    int column; /* from 1, in octets */
};

struct json *json_parse(const char *text, size_t bytes, struct error *error,
                        struct json_position *position) MUST_USE; /* error, position may be NULL */
void json_write(const struct json *value, struct buffer *out);    /* compact */
char *json_to_text(const struct json *value) MUST_USE;            /* free() */
size_t json_text_bytes(const struct json *value);                 /* size of the compact form */
size_t json_depth(const struct json *value); /* arrays and objects within each other */
/* The same, and how deep arrays and objects lie within each other. The counting stops past `most`; what is
 * given back is then more than most. */
size_t json_text_bytes_within(const struct json *value, size_t most, size_t *depth);

struct json *json_hold(const struct json *value); /* one more reference; NULL gives NULL */
void json_release(struct json *value);            /* NULL is fine */

/* Making values. */
struct json *json_null(void) MUST_USE;
struct json *json_bool(bool value) MUST_USE;
struct json *json_int(int64_t value) MUST_USE;
struct json *json_double(double value) MUST_USE; /* NaN and infinity become null */
struct json *json_string(const char *text, size_t bytes) MUST_USE; /* must be valid UTF-8 */
struct json *json_text(const char *text) MUST_USE;                 /* NUL-ended; NULL gives null */
struct json *json_array(void) MUST_USE;
struct json *json_object(void) MUST_USE;
/* While a value has one reference it may still be built: these change it in place and take member. */
void json_array_append(struct json *array, struct json *member);
void json_object_set(struct json *object, const char *name, struct json *member);
void json_object_set_bytes(struct json *object, const char *name, size_t name_bytes,
                           struct json *member); /* the same, name with its length */
/* New containers that share all other members with the given one. */
struct json *json_object_with(const struct json *object, const char *name, size_t name_bytes,
                              struct json *member) MUST_USE;
struct json *json_array_with(const struct json *array, size_t index, struct json *member) MUST_USE;
/* An array or object of the same size, with the same names, whose members are null: json_put_at fills
 * them in while it has one reference, taking member. */
struct json *json_blank(const struct json *shape) MUST_USE;
void json_put_at(struct json *container, size_t index, struct json *member);

/* Reading values. Results are lent: valid while the container is held. */
enum json_type json_type_of(const struct json *value);
const char *json_type_name(const struct json *value); /* "object", "number", ... */
bool json_is_true(const struct json *value);
bool json_is_int(const struct json *value);       /* a number without fraction that fits int64_t */
int64_t json_int_value(const struct json *value); /* 0 when not a number; truncates */
double json_double_value(const struct json *value);
const char *json_string_value(const struct json *value, size_t *bytes); /* NULL when no string */
const char *json_string_or(const struct json *value, const char *fallback);
size_t json_size(const struct json *value); /* members of an array or object, else 0 */
const struct json *json_at(const struct json *array, size_t index);
const struct json *json_get(const struct json *object, const char *name);
const struct json *json_get_bytes(const struct json *object, const char *name, size_t name_bytes);
const char *json_name_at(const struct json *object, size_t index, size_t *bytes);
const struct json *json_member_at(const struct json *object, size_t index);
bool json_equal(const struct json *a,
                const struct json *b); /* numbers by value, member order ignored */
/* The order of two numbers, or of two texts by their code points: below, at or above 0. */
int json_compare(const struct json *a, const struct json *b);

#endif
