/* SPDX-License-Identifier: MIT */
/* fields.h - the members a request body may have, as a table: checks a body, describes itself as
 * JSON Schema. Pure.
 *
 * Threads   Tables are literals; no globals.
 * Errors    fields_check: ERR_INVALID with the field's dotted path, its value's fault and what is
 *           allowed. A member that the table does not have is an error; null counts as absent.
 */
#ifndef CORE_FIELDS_H
#define CORE_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "core/json.h"

enum field_type {
    FIELD_TEXT,
    FIELD_LINE,
    FIELD_CHOICE,
    FIELD_BOOL,
    FIELD_INT,
    FIELD_UUID,
    FIELD_OBJECT,
    FIELD_ARRAY
};

struct field {
    const char *name;     /* NULL ends a table */
    enum field_type type; /* FIELD_LINE: text without control characters */
    bool required;
    int64_t min; /* octets of text, value of an int, members of an array */
    int64_t max;
    const char *choices;         /* FIELD_CHOICE: "a|b" */
    const struct field *members; /* FIELD_OBJECT: its table; NULL allows any member */
};

/* `where` is the path of the object ("" at the top, "items[3]"). */
enum error_code fields_check(const struct field *fields, const struct json *object,
                             const char *where, struct error *error) MUST_USE;
struct json *fields_schema(const struct field *fields) MUST_USE;

/* Values of a checked object, with what counts when they are absent. */
const char *fields_text(const struct json *object, const char *name, const char *fallback);
bool fields_bool(const struct json *object, const char *name, bool fallback);
int64_t fields_int(const struct json *object, const char *name, int64_t fallback);

#endif
