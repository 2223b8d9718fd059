/* SPDX-License-Identifier: MIT */
#include <limits.h>

#include "core/jsonpath_internal.h"

#define COMPARED_BYTES_PER_VISIT 64

/* One search. Everything it looks at is counted, so that it ends in bounded time. */
struct search {
    const struct json *root;
    struct json *found; /* NULL: it only matters whether there is a value, and not null */
    bool exists;
    bool weighs; /* what is found is measured too */
    bool too_much;
    size_t visits;
    size_t bytes;   /* of what was found, at least */
    unsigned depth; /* of calls within each other */
};

static bool is_array(const struct json *value) { return json_type_of(value) == JSON_ARRAY; }
static bool is_object(const struct json *value) { return json_type_of(value) == JSON_OBJECT; }

static const struct json *child_at(const struct json *value, size_t index)
{
    return is_array(value) ? json_at(value, index) : json_member_at(value, index);
}

static const struct json *at_index(const struct json *array, long index)
{
    size_t size = json_size(array);
    if (!is_array(array) || size > LONG_MAX)
        return NULL;
    index += index < 0 ? (long)size : 0;
    return index >= 0 ? json_at(array, (size_t)index) : NULL;
}

static const struct json *named(const struct json *object, const struct part_name *name)
{
    return json_get_bytes(object, name->text, name->bytes);
}

const struct json *part_step(const struct part *part, const struct json *value)
{
    return part->type == PART_NAME ? named(value, &part->name) : at_index(value, part->index);
}

/* Where parts that are all names and indexes lead. */
static const struct json *follow(const struct parts *parts, const struct json *value)
{
    for (size_t i = 0; value && i < parts->count; i++)
        value = part_step(&parts->items[i], value);
    return value;
}

/* Counts what is about to be looked at; false: stop. */
static bool visit(struct search *search, size_t values)
{
    search->visits += values;
    if (search->visits > JSONPATH_VISITS_MAX)
        search->too_much = true;
    return !search->too_much;
}

/* Adds to *bytes what the text of the value has at least; false: stop. */
static bool weigh(struct search *search, const struct json *value, unsigned depth, size_t *bytes)
{
    size_t text_bytes = 0;
    json_string_value(value, &text_bytes);
    *bytes += text_bytes + 2; /* a digit and a comma, or the quotes */
    if (*bytes > JSONPATH_RESULT_BYTES_MAX || depth > JSONPATH_DEPTH_MAX)
        search->too_much = true;
    if (!visit(search, 1))
        return false;
    for (size_t i = 0; i < json_size(value); i++) {
        size_t name_bytes = 0;
        json_name_at(value, i, &name_bytes);
        *bytes += name_bytes + 1;
        if (!weigh(search, child_at(value, i), depth + 1, bytes))
            return false;
    }
    return true;
}

/* -- what was found -- */

/* Takes value over. */
static bool take(struct search *search, struct json *value)
{
    if (!search->found) {
        search->exists = json_type_of(value) != JSON_NULL;
        json_release(value);
        return !search->exists;
    }
    if (json_size(search->found) == JSONPATH_RESULTS_MAX)
        search->too_much = true;
    if (search->too_much || (search->weighs && !weigh(search, value, 0, &search->bytes))) {
        json_release(value);
        return false;
    }
    json_array_append(search->found, value);
    return true;
}

/* -- filters -- */

static bool walk(struct search *search, const struct parts *parts, size_t at,
                 const struct json *value);

static const struct json *operand_value(struct search *search, const struct filter_operand *operand,
                                        const struct json *member)
{
    if (operand->constant)
        return operand->constant;
    search->visits += operand->parts.count;
    return follow(&operand->parts, operand->from_root ? search->root : member);
}

static bool compare(enum filter_relation relation, const struct json *a, const struct json *b)
{
    bool equal = a && b && json_equal(a, b);
    if (relation == EQUAL || relation == NOT_EQUAL)
        return equal == (relation == EQUAL);
    enum json_type type = json_type_of(a);
    if (type != json_type_of(b) || (type != JSON_NUMBER && type != JSON_STRING))
        return equal && (relation == LESS_OR_EQUAL || relation == GREATER_OR_EQUAL);
    int order = json_compare(a, b);
    if (order == 0)
        return relation == LESS_OR_EQUAL || relation == GREATER_OR_EQUAL;
    return (order < 0) == (relation == LESS || relation == LESS_OR_EQUAL);
}

static bool compares(struct search *search, const struct filter_test *filter,
                     const struct json *member)
{
    const struct json *left = operand_value(search, &filter->left, member);
    const struct json *right = operand_value(search, &filter->right, member);
    bool paths = !filter->left.constant && !filter->right.constant;
    size_t bytes = 0; /* two large values may be compared for each member */
    if (paths && left != right && json_type_of(left) == json_type_of(right) &&
        !(weigh(search, left, 0, &bytes) && visit(search, bytes / COMPARED_BYTES_PER_VISIT)))
        return false;
    return compare(filter->relation, left, right);
}

static bool exists(struct search *search, const struct filter_operand *path,
                   const struct json *member)
{
    struct search inner = {.root = search->root, .visits = search->visits, .depth = search->depth};
    walk(&inner, &path->parts, 0, path->from_root ? search->root : member);
    search->visits = inner.visits;
    search->too_much = inner.too_much;
    return inner.exists;
}

static bool test(struct search *search, const struct filter_test *filter, const struct json *member)
{
    if (!visit(search, 1))
        return false;
    switch (filter->type) {
    case TEST_EXISTS:
        return exists(search, &filter->left, member);
    case TEST_COMPARISON:
        return compares(search, filter, member);
    case TEST_NOT:
        return !test(search, filter->tests[0], member);
    case TEST_ANY_OF:
    case TEST_ALL_OF: {
        bool decides = filter->type == TEST_ANY_OF;
        for (size_t i = 0; i < filter->count; i++)
            if (test(search, filter->tests[i], member) == decides)
                return decides;
        return !decides;
    }
    }
    return false;
}

/* -- parts -- */

/* The object of those names that are there. */
static struct json *gather(const struct part *part, const struct json *object)
{
    struct json *gathered = json_object();
    for (size_t i = 0; i < part->names.count; i++) {
        const struct part_name *name = &part->names.items[i];
        const struct json *member = named(object, name);
        if (member)
            json_object_set_bytes(gathered, name->text, name->bytes, json_hold(member));
    }
    return gathered;
}

static bool has_all(const struct part *part, const struct json *object)
{
    for (size_t i = 0; i < part->names.count; i++)
        if (!named(object, &part->names.items[i]))
            return false;
    return true;
}

static bool walk_names(struct search *search, const struct parts *parts, size_t at,
                       const struct json *value)
{
    const struct part *part = &parts->items[at];
    if (!is_object(value) || !visit(search, part->names.count))
        return !search->too_much;
    if (part->last && search->found)
        return (part->anywhere && !has_all(part, value)) || take(search, gather(part, value));
    for (size_t i = 0; i < part->names.count; i++) {
        const struct json *member = named(value, &part->names.items[i]);
        if (member && !walk(search, parts, at + 1, member))
            return false;
    }
    return true;
}

static bool walk_indexes(struct search *search, const struct parts *parts, size_t at,
                         const struct json *value)
{
    const struct part *part = &parts->items[at];
    if (!visit(search, part->indexes.count))
        return false;
    for (size_t i = 0; i < part->indexes.count; i++) {
        const struct json *member = at_index(value, part->indexes.items[i]);
        if (member && !walk(search, parts, at + 1, member))
            return false;
    }
    return true;
}

static long clamp(long value, long low, long high)
{
    return value < low ? low : value > high ? high : value;
}

/* RFC 9535, 2.3.4.2.2: bounds are counted from the end when negative, then cut to the array. */
static bool walk_slice(struct search *search, const struct parts *parts, size_t at,
                       const struct json *value)
{
    const struct part *part = &parts->items[at];
    if (!is_array(value))
        return true;
    long size = (long)json_size(value), step = part->slice.step;
    long start = part->slice.start + (part->slice.start < 0 ? size : 0);
    long end = part->slice.end + (part->slice.end < 0 ? size : 0);
    if (!part->slice.has_start)
        start = step > 0 ? 0 : size - 1;
    if (!part->slice.has_end)
        end = step > 0 ? size : -1;
    long low = step > 0 ? 0 : -1;
    start = clamp(start, low, low + size);
    end = clamp(end, low, low + size);
    for (long i = start; step > 0 ? i < end : i > end; i += step)
        if (!walk(search, parts, at + 1, json_at(value, (size_t)i)))
            return false;
    return true;
}

static bool walk_all(struct search *search, const struct parts *parts, size_t at,
                     const struct json *value)
{
    for (size_t i = 0; i < json_size(value); i++)
        if (!walk(search, parts, at + 1, child_at(value, i)))
            return false;
    return true;
}

/* Members of an array, or an object itself. Under ".." each object is met as itself, so it is not
 * looked at once more as a member. */
static bool walk_filter(struct search *search, const struct parts *parts, size_t at,
                        const struct json *value)
{
    const struct part *part = &parts->items[at];
    if (is_object(value) && test(search, part->filter, value))
        return walk(search, parts, at + 1, value);
    for (size_t i = 0; is_array(value) && i < json_size(value); i++) {
        const struct json *member = json_at(value, i);
        if (part->anywhere && is_object(member))
            continue;
        if (test(search, part->filter, member) && !walk(search, parts, at + 1, member))
            return false;
    }
    return true;
}

static bool walk_part(struct search *search, const struct parts *parts, size_t at,
                      const struct json *value)
{
    const struct part *part = &parts->items[at];
    switch (part->type) {
    case PART_NAME:
    case PART_INDEX: {
        const struct json *member = part_step(part, value);
        return !member || walk(search, parts, at + 1, member);
    }
    case PART_ALL:
        return walk_all(search, parts, at, value);
    case PART_NAMES:
        return walk_names(search, parts, at, value);
    case PART_INDEXES:
        return walk_indexes(search, parts, at, value);
    case PART_SLICE:
        return walk_slice(search, parts, at, value);
    case PART_FILTER:
        return walk_filter(search, parts, at, value);
    }
    return true;
}

/* One call deeper; false: stop. */
static bool descend(struct search *search)
{
    if (search->depth == JSONPATH_DEPTH_MAX)
        search->too_much = true;
    if (!visit(search, 1))
        return false;
    search->depth++;
    return true;
}

/* The part at this value, then at each value inside it. */
static bool walk_anywhere(struct search *search, const struct parts *parts, size_t at,
                          const struct json *value)
{
    if (!descend(search))
        return false;
    bool goes_on = walk_part(search, parts, at, value);
    for (size_t i = 0; goes_on && i < json_size(value); i++)
        goes_on = walk_anywhere(search, parts, at, child_at(value, i));
    search->depth--;
    return goes_on;
}

/* false: the search is over. */
static bool walk(struct search *search, const struct parts *parts, size_t at,
                 const struct json *value)
{
    if (at == parts->count)
        return visit(search, 1) && take(search, json_hold(value));
    if (parts->items[at].anywhere)
        return walk_anywhere(search, parts, at, value);
    if (!descend(search))
        return false;
    bool goes_on = walk_part(search, parts, at, value);
    search->depth--;
    return goes_on;
}

/* -- paths -- */

/* Where a path that is not definite ends early: at a missing name the answer is "none"; at a value of a
 * type that the part cannot look into there is no answer. */
static bool fits(const struct part *part, const struct json *value)
{
    if (part->anywhere || json_type_of(value) == JSON_NULL)
        return true;
    if (part->type == PART_INDEX || part->type == PART_INDEXES || part->type == PART_SLICE)
        return is_array(value);
    return part->type != PART_FILTER || is_array(value) || is_object(value);
}

static struct json *find_many(const struct jsonpath *path, size_t at, const struct json *value,
                              const struct json *root, bool *too_much)
{
    if (!fits(&path->parts.items[at], value))
        return NULL;
    struct search search = {.root = root, .found = json_array(), .weighs = path->may_repeat};
    walk(&search, &path->parts, at, value);
    *too_much = search.too_much;
    if (!search.too_much)
        return search.found;
    json_release(search.found);
    return NULL;
}

struct json *jsonpath_find(const struct jsonpath *path, const struct json *root, bool *too_much)
{
    const struct parts *parts = &path->parts;
    const struct json *value = root;
    *too_much = false;
    if (parts->single)
        return json_hold(follow(parts, root));
    for (size_t i = 0; value && i < parts->count; i++) {
        const struct part *part = &parts->items[i];
        if (part->anywhere || (part->type != PART_NAME && part->type != PART_INDEX)) {
            if (!parts->definite)
                return find_many(path, i, value, root, too_much);
            return is_object(value) ? gather(part, value) : NULL;
        }
        const struct json *member = part_step(part, value);
        if (!member && !parts->definite && fits(part, value))
            return json_array();
        value = member;
    }
    return NULL;
}

struct json *jsonpath_get(const struct jsonpath *path, const struct json *root)
{
    bool too_much;
    return jsonpath_find(path, root, &too_much);
}
