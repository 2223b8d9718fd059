/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/asl_functions.h"
#include "core/json_hash.h"

#define MATH_MIN (-2147483648.0)
#define MATH_MAX 2147483647.0

static bool is_array(const struct json *value) { return json_type_of(value) == JSON_ARRAY; }

/* Numbers with a fraction are rounded to the nearest whole one. */
static bool read_whole(const struct json *value, int64_t *whole)
{
    double number = round(json_double_value(value));
    if (json_type_of(value) != JSON_NUMBER || !(number >= MATH_MIN && number <= MATH_MAX))
        return false;
    *whole = (int64_t)number;
    return true;
}

struct json *asl_function_array(const struct asl_values *values, struct asl_failure *failure)
{
    (void)failure;
    struct json *array = json_array();
    for (size_t i = 0; i < values->count; i++)
        json_array_append(array, json_hold(values->items[i]));
    return array;
}

struct json *asl_function_array_partition(const struct asl_values *values,
                                          struct asl_failure *failure)
{
    int64_t size = 0;
    if (!is_array(values->items[0]) || !read_whole(values->items[1], &size) || size < 1)
        return asl_function_fail(values, failure, "an array and a whole number above 0 are needed");
    struct json *parts = json_array();
    struct json *part = NULL;
    for (size_t i = 0; i < json_size(values->items[0]); i++) {
        if (!part)
            part = json_array();
        json_array_append(part, json_hold(json_at(values->items[0], i)));
        if (json_size(part) == (size_t)size) {
            json_array_append(parts, part);
            part = NULL;
        }
    }
    if (part)
        json_array_append(parts, part);
    return parts;
}

struct json *asl_function_array_contains(const struct asl_values *values,
                                         struct asl_failure *failure)
{
    if (!is_array(values->items[0]))
        return asl_function_fail(values, failure, "the first argument must be an array");
    bool found = false;
    for (size_t i = 0; !found && i < json_size(values->items[0]); i++)
        found = json_equal(json_at(values->items[0], i), values->items[1]);
    return json_bool(found);
}

struct json *asl_function_array_range(const struct asl_values *values, struct asl_failure *failure)
{
    int64_t first = 0, last = 0, step = 0;
    if (!read_whole(values->items[0], &first) || !read_whole(values->items[1], &last) ||
        !read_whole(values->items[2], &step) || step == 0)
        return asl_function_fail(values, failure,
                                 "first, last and a step other than 0 must be whole numbers");
    if ((last - first) / step >= ASL_FUNCTION_RANGE_MAX)
        return asl_function_fail(values, failure, "the range has more than 1000 items");
    struct json *array = json_array();
    for (int64_t at = first; step > 0 ? at <= last : at >= last; at += step)
        json_array_append(array, json_int(at));
    return array;
}

struct json *asl_function_array_get_item(const struct asl_values *values,
                                         struct asl_failure *failure)
{
    int64_t index = -1;
    bool fine = is_array(values->items[0]) && json_is_int(values->items[1]) &&
                read_whole(values->items[1], &index);
    if (!fine || index < 0 || (size_t)index >= json_size(values->items[0]))
        return asl_function_fail(values, failure, "an array and an index inside it are needed");
    return json_hold(json_at(values->items[0], (size_t)index));
}

struct json *asl_function_array_length(const struct asl_values *values, struct asl_failure *failure)
{
    if (!is_array(values->items[0]))
        return asl_function_fail(values, failure, "the argument must be an array");
    return json_int((int64_t)json_size(values->items[0]));
}

struct hashed {
    uint64_t hash;
    size_t index;
};

static int by_hash(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* The first of each run of equal values stays, in the order of the array. */
struct json *asl_function_array_unique(const struct asl_values *values, struct asl_failure *failure)
{
    const struct json *array = values->items[0];
    if (!is_array(array))
        return asl_function_fail(values, failure, "the argument must be an array");
    size_t count = json_size(array);
    struct hashed *items = must_calloc(count + 1, sizeof *items);
    bool *repeated = must_calloc(count + 1, sizeof *repeated);
    for (size_t i = 0; i < count; i++)
        items[i] = (struct hashed){json_hash(json_at(array, i)), i};
    qsort(items, count, sizeof *items, by_hash);
    for (size_t i = 0; i < count; i++) {
        if (repeated[items[i].index])
            continue;
        for (size_t k = i + 1; k < count && items[k].hash == items[i].hash; k++) {
            if (json_equal(json_at(array, items[i].index), json_at(array, items[k].index)))
                repeated[items[k].index] = true;
        }
    }
    struct json *unique = json_array();
    for (size_t i = 0; i < count; i++) {
        if (!repeated[i])
            json_array_append(unique, json_hold(json_at(array, i)));
    }
    free(items);
    free(repeated);
    return unique;
}

/* Members of the second win; with `deep`, objects under the same name are merged likewise. */
static struct json *merge(const struct json *first, const struct json *second, bool deep)
{
    struct json *merged = json_object();
    for (size_t i = 0; i < json_size(first); i++) {
        size_t bytes = 0;
        const char *name = json_name_at(first, i, &bytes);
        json_object_set_bytes(merged, name, bytes, json_hold(json_member_at(first, i)));
    }
    for (size_t i = 0; i < json_size(second); i++) {
        size_t bytes = 0;
        const char *name = json_name_at(second, i, &bytes);
        const struct json *member = json_member_at(second, i);
        const struct json *other = deep ? json_get_bytes(first, name, bytes) : NULL;
        bool both = json_type_of(other) == JSON_OBJECT && json_type_of(member) == JSON_OBJECT;
        json_object_set_bytes(merged, name, bytes,
                              both ? merge(other, member, deep) : json_hold(member));
    }
    return merged;
}

/* The reference service merges only shallowly; the specification's third argument is taken at its
 * word. */
struct json *asl_function_json_merge(const struct asl_values *values, struct asl_failure *failure)
{
    enum json_type deep = json_type_of(values->items[2]);
    if (json_type_of(values->items[0]) != JSON_OBJECT ||
        json_type_of(values->items[1]) != JSON_OBJECT || (deep != JSON_FALSE && deep != JSON_TRUE))
        return asl_function_fail(values, failure, "two objects and true or false are needed");
    return merge(values->items[0], values->items[1], deep == JSON_TRUE);
}

struct json *asl_function_math_add(const struct asl_values *values, struct asl_failure *failure)
{
    int64_t a = 0, b = 0;
    if (!read_whole(values->items[0], &a) || !read_whole(values->items[1], &b))
        return asl_function_fail(values, failure,
                                 "two whole numbers from -2147483648 to 2147483647 are needed");
    if ((double)(a + b) < MATH_MIN || (double)(a + b) > MATH_MAX)
        return asl_function_fail(values, failure,
                                 "the sum is outside of -2147483648 to 2147483647");
    return json_int(a + b);
}

/* splitmix64 */
static uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

uint64_t asl_draw(const char *seed, uint64_t *draws)
{
    return mix(XXH3_64bits(seed, strlen(seed)) + mix((*draws)++));
}

/* From start up to, but not including, end. */
struct json *asl_function_math_random(const struct asl_values *values, struct asl_failure *failure)
{
    int64_t start = 0, end = 0, seed = 0;
    if (!read_whole(values->items[0], &start) || !read_whole(values->items[1], &end) ||
        start >= end)
        return asl_function_fail(values, failure,
                                 "two whole numbers are needed, the first below the second");
    uint64_t drawn;
    if (values->count == 3) {
        if (!read_whole(values->items[2], &seed))
            return asl_function_fail(values, failure, "the seed must be a whole number");
        drawn = mix((uint64_t)seed);
    } else {
        if (!values->view->seed || !values->view->draws)
            return asl_function_fail(values, failure, "there is no execution to draw from");
        drawn = asl_draw(values->view->seed, values->view->draws);
    }
    return json_int(start + (int64_t)(drawn % (uint64_t)(end - start)));
}
