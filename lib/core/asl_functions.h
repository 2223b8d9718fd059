/* SPDX-License-Identifier: MIT */
/* asl_functions.h - the table of intrinsic functions. For asl_*.c only.
 *
 * A function is one row: its name, how many arguments it takes, and a C function that makes a value
 * of them. What depends on chance (UUID, MathRandom) is drawn from the execution's id and a
 * counter, so that the same execution draws the same again.
 */
#ifndef CORE_ASL_FUNCTIONS_H
#define CORE_ASL_FUNCTIONS_H

#include "core/asl_internal.h"

#define ASL_ARGUMENTS_MAX 64
#define ASL_FUNCTION_TEXT_CHARACTERS_MAX 10000 /* of Base64Encode, Base64Decode and Hash */
#define ASL_FUNCTION_RANGE_MAX 1000            /* items of ArrayRange */
#define ASL_FUNCTION_SEPARATORS_BYTES_MAX 1024 /* second argument of StringSplit */

struct asl_values {
    const struct asl_function *function;
    struct json *items[ASL_ARGUMENTS_MAX];
    size_t count;
    const char
        *pattern; /* the first argument as written, escapes and all, when it is a literal text */
    size_t pattern_bytes;
    const struct asl_view *view;
};

/* A new reference, or NULL with *failure. */
typedef struct json *asl_function_run(const struct asl_values *values, struct asl_failure *failure);

struct asl_function {
    const char *name; /* without "States." */
    unsigned least, most;
    asl_function_run *run;
};

extern const struct asl_function asl_functions[];
extern const size_t asl_functions_count;

/* Most octets that the text of a result may have. */
size_t asl_function_bytes_max(const struct asl_values *values);
/* The same for a result past that, States.DataLimitExceeded. */
struct json *asl_function_too_large(const struct asl_values *values, struct asl_failure *failure);
/* Fills *failure with "States.<name>: ..." and returns NULL. */
struct json *asl_function_fail(const struct asl_values *values, struct asl_failure *failure,
                               const char *text);

/* asl_functions_text.c */
asl_function_run asl_function_format, asl_function_string_to_json, asl_function_json_to_string,
    asl_function_base64_encode, asl_function_base64_decode, asl_function_hash,
    asl_function_string_split, asl_function_uuid;
/* asl_functions_array.c */
asl_function_run asl_function_array, asl_function_array_partition, asl_function_array_contains,
    asl_function_array_range, asl_function_array_get_item, asl_function_array_length,
    asl_function_array_unique, asl_function_json_merge, asl_function_math_random,
    asl_function_math_add;

#endif
