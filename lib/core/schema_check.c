/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json_hash.h"
#include "core/schema_internal.h"

#define SCHEMA_CHECK_DEPTH_MAX 512
#define SCHEMA_MATCH_LIMIT 1000000
#define SCHEMA_SHOWN_BYTES_MAX 60 /* of a faulty value in the sentence */

struct checker {
    struct error *error; /* NULL: only the answer counts */
    struct buffer field;
    unsigned depth;
};

static bool node_check(struct checker *checker, const struct schema_node *node,
                       const struct json *value);

static bool fault(struct checker *checker, const char *format, ...) PRINTF_LIKE(2, 3);
static bool fault(struct checker *checker, const char *format, ...)
{
    if (checker->error) {
        char text[ERROR_TEXT_BYTES];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        const char *field = buffer_text(&checker->field);
        (void)error_set_field(checker->error, ERR_INVALID, field, "%s %s",
                              *field ? field : "the value", text);
    }
    return false;
}

/* Asks without keeping the fault. */
static bool holds(struct checker *checker, const struct schema_node *node, const struct json *value)
{
    struct error *error = checker->error;
    checker->error = NULL;
    bool answer = node_check(checker, node, value);
    checker->error = error;
    return answer;
}

static bool member_check(struct checker *checker, const struct schema_node *node,
                         const struct json *value, const char *name, size_t bytes)
{
    size_t length = checker->field.bytes;
    if (length)
        buffer_append_char(&checker->field, '.');
    buffer_append(&checker->field, name, bytes);
    bool answer = node_check(checker, node, value);
    checker->field.bytes = length;
    if (checker->field.data)
        checker->field.data[length] = '\0';
    return answer;
}

static bool item_check(struct checker *checker, const struct schema_node *node,
                       const struct json *value, size_t index)
{
    size_t length = checker->field.bytes;
    buffer_append_format(&checker->field, "[%zu]", index);
    bool answer = node_check(checker, node, value);
    checker->field.bytes = length;
    checker->field.data[length] = '\0';
    return answer;
}

static void show(const struct json *value, char text[SCHEMA_SHOWN_BYTES_MAX + 4])
{
    enum json_type type = json_type_of(value);
    if (type == JSON_ARRAY || type == JSON_OBJECT) {
        snprintf(text, SCHEMA_SHOWN_BYTES_MAX, "%s", type == JSON_ARRAY ? "an array" : "an object");
        return;
    }
    size_t bytes = 0;
    const char *string = json_string_value(value, &bytes);
    if (bytes > SCHEMA_SHOWN_BYTES_MAX - 10) {
        size_t cut = SCHEMA_SHOWN_BYTES_MAX - 10;
        while (cut > 0 && ((unsigned char)string[cut] & 0xC0) == 0x80)
            cut--;
        snprintf(text, SCHEMA_SHOWN_BYTES_MAX + 4, "\"%.*s...\"", (int)cut, string);
        return;
    }
    char *written = json_to_text(value);
    snprintf(text, SCHEMA_SHOWN_BYTES_MAX + 4, "%s", written);
    free(written);
}

/* -- type, const, enum -- */

static bool is_whole(const struct json *value)
{
    double number = json_double_value(value);
    return json_is_int(value) || (isfinite(number) && number == floor(number));
}

static unsigned types_of(const struct json *value)
{
    switch (json_type_of(value)) {
    case JSON_NULL:
        return SCHEMA_NULL;
    case JSON_FALSE:
    case JSON_TRUE:
        return SCHEMA_BOOLEAN;
    case JSON_NUMBER:
        return SCHEMA_NUMBER | (is_whole(value) ? SCHEMA_INTEGER : 0u);
    case JSON_STRING:
        return SCHEMA_STRING;
    case JSON_ARRAY:
        return SCHEMA_ARRAY;
    case JSON_OBJECT:
        return SCHEMA_OBJECT;
    case JSON_ABSENT:
        break;
    }
    return 0;
}

static const char *types_text(unsigned types, char text[96])
{
    static const char *const names[] = {"null",     "a boolean", "a number", "an integer",
                                        "a string", "an array",  "an object"};
    size_t bytes = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (types & (1u << i))
            bytes +=
                (size_t)snprintf(text + bytes, 96 - bytes, "%s%s", bytes ? " or " : "", names[i]);
    }
    return text;
}

static bool value_check(struct checker *checker, const struct schema_node *node,
                        const struct json *value)
{
    char shown[SCHEMA_SHOWN_BYTES_MAX + 4], expected[96];
    if (node->types && !(node->types & types_of(value)))
        return fault(checker, "must be %s, not %s", types_text(node->types, expected),
                     json_type_name(value));
    if (node->constant && !json_equal(node->constant, value)) {
        char constant[SCHEMA_SHOWN_BYTES_MAX + 4];
        show(value, shown);
        show(node->constant, constant);
        return fault(checker, "must be %s, not %s", constant, shown);
    }
    if (!node->enumeration)
        return true;
    for (size_t i = 0; i < json_size(node->enumeration); i++) {
        if (json_equal(json_at(node->enumeration, i), value))
            return true;
    }
    if (!checker->error)
        return false;
    char *list = json_to_text(node->enumeration);
    show(value, shown);
    fault(checker, "is %s; allowed are %s", shown, list);
    free(list);
    return false;
}

/* -- numbers and texts -- */

static bool is_multiple(double value, double step)
{
    double quotient = value / step;
    if (!isfinite(quotient))
        return fmod(value, step) == 0.0;
    return fabs(quotient - round(quotient)) < 1e-9 * fmax(1.0, fabs(quotient)) &&
           (fabs(quotient) < 1e9 || fmod(value, step) == 0.0);
}

static bool number_check(struct checker *checker, const struct schema_node *node,
                         const struct json *value)
{
    double number = json_double_value(value);
    if (node->minimum.set && number < node->minimum.value)
        return fault(checker, "is %.15g; it must be at least %.15g", number, node->minimum.value);
    if (node->maximum.set && number > node->maximum.value)
        return fault(checker, "is %.15g; it must be at most %.15g", number, node->maximum.value);
    if (node->above.set && number <= node->above.value)
        return fault(checker, "is %.15g; it must be above %.15g", number, node->above.value);
    if (node->below.set && number >= node->below.value)
        return fault(checker, "is %.15g; it must be below %.15g", number, node->below.value);
    if (node->multiple.set && !is_multiple(number, node->multiple.value))
        return fault(checker, "is %.15g; it must be a multiple of %.15g", number,
                     node->multiple.value);
    return true;
}

static bool pattern_fits(const pcre2_code *pattern, const char *text, size_t bytes)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    BUG_IF(!data || !context);
    pcre2_set_match_limit(context, SCHEMA_MATCH_LIMIT);
    int found = pcre2_match(pattern, (PCRE2_SPTR)text, bytes, 0, PCRE2_NO_UTF_CHECK, data, context);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
    return found >= 0;
}

static bool text_check(struct checker *checker, const struct schema_node *node,
                       const struct json *value)
{
    size_t bytes = 0;
    const char *text = json_string_value(value, &bytes);
    if (node->min_length.set || node->max_length.set) {
        size_t count = utf8_characters(text, bytes);
        if (node->min_length.set && count < node->min_length.value)
            return fault(checker, "has %zu characters; it must have at least %" PRIu64, count,
                         node->min_length.value);
        if (node->max_length.set && count > node->max_length.value)
            return fault(checker, "has %zu characters; it must have at most %" PRIu64, count,
                         node->max_length.value);
    }
    if (node->pattern && !pattern_fits(node->pattern, text, bytes)) {
        char shown[SCHEMA_SHOWN_BYTES_MAX + 4];
        show(value, shown);
        return fault(checker, "is %s; it must match the pattern %s", shown, node->pattern_text);
    }
    return true;
}

/* -- arrays -- */

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

static bool unique_check(struct checker *checker, const struct json *array)
{
    size_t count = json_size(array);
    struct hashed *items = must_calloc(count + 1, sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = (struct hashed){json_hash(json_at(array, i)), i};
    qsort(items, count, sizeof *items, by_hash);
    bool unique = true;
    for (size_t i = 0; unique && i < count; i++) {
        for (size_t k = i + 1; unique && k < count && items[k].hash == items[i].hash; k++) {
            if (json_equal(json_at(array, items[i].index), json_at(array, items[k].index)))
                unique = fault(checker, "has the same value at %zu and %zu", items[i].index,
                               items[k].index);
        }
    }
    free(items);
    return unique;
}

static bool contains_check(struct checker *checker, const struct schema_node *node,
                           const struct json *array)
{
    uint64_t found = 0, least = node->min_contains.set ? node->min_contains.value : 1;
    for (size_t i = 0; i < json_size(array); i++)
        found += holds(checker, node->contains, json_at(array, i));
    if (found < least)
        return fault(checker,
                     "has %" PRIu64 " items that fit \"contains\"; it must have at least %" PRIu64,
                     found, least);
    if (node->max_contains.set && found > node->max_contains.value)
        return fault(checker,
                     "has %" PRIu64 " items that fit \"contains\"; it must have at most %" PRIu64,
                     found, node->max_contains.value);
    return true;
}

static bool array_check(struct checker *checker, const struct schema_node *node,
                        const struct json *array)
{
    size_t count = json_size(array);
    if (node->min_items.set && count < node->min_items.value)
        return fault(checker, "has %zu items; it must have at least %" PRIu64, count,
                     node->min_items.value);
    if (node->max_items.set && count > node->max_items.value)
        return fault(checker, "has %zu items; it must have at most %" PRIu64, count,
                     node->max_items.value);
    for (size_t i = 0; i < count; i++) {
        const struct schema_node *item =
            i < node->prefix.count ? node->prefix.items[i] : node->items;
        if (item && !item_check(checker, item, json_at(array, i), i))
            return false;
    }
    return (!node->contains || contains_check(checker, node, array)) &&
           (!node->unique || unique_check(checker, array));
}

/* -- objects -- */

static const struct schema_node *property_find(const struct schema_node *node, const char *name,
                                               size_t bytes)
{
    for (size_t i = 0; i < node->properties.count; i++) {
        const struct schema_named *named = &node->properties.items[i];
        if (named->bytes == bytes && memcmp(named->name, name, bytes) == 0)
            return named->node;
    }
    return NULL;
}

static bool property_check(struct checker *checker, const struct schema_node *node,
                           const struct json *object, size_t index)
{
    size_t bytes = 0;
    const char *name = json_name_at(object, index, &bytes);
    const struct json *value = json_member_at(object, index);
    const struct schema_node *known = property_find(node, name, bytes);
    bool additional = !known;
    if (known && !member_check(checker, known, value, name, bytes))
        return false;
    for (size_t i = 0; i < node->patterns.count; i++) {
        if (!pattern_fits(node->patterns.items[i].pattern, name, bytes))
            continue;
        additional = false;
        if (!member_check(checker, node->patterns.items[i].node, value, name, bytes))
            return false;
    }
    if (additional && node->additional) {
        if (node->additional->never)
            return fault(checker, "has the unknown field \"%.*s\"", (int)bytes, name);
        return member_check(checker, node->additional, value, name, bytes);
    }
    return true;
}

static bool names_check(struct checker *checker, const struct schema_node *node,
                        const struct json *object)
{
    for (size_t i = 0; node->names && i < json_size(object); i++) {
        size_t bytes = 0;
        const char *text = json_name_at(object, i, &bytes);
        struct json *name = json_string(text, bytes);
        bool fine = holds(checker, node->names, name);
        json_release(name);
        if (!fine)
            return fault(checker, "has the name \"%.*s\", which is not allowed", (int)bytes, text);
    }
    return true;
}

static bool required_check(struct checker *checker, const struct json *names,
                           const struct json *object)
{
    for (size_t i = 0; i < json_size(names); i++) {
        size_t bytes = 0;
        const char *name = json_string_value(json_at(names, i), &bytes);
        if (!json_get_bytes(object, name, bytes))
            return fault(checker, "lacks the field \"%.*s\"", (int)bytes, name);
    }
    return true;
}

static bool object_check(struct checker *checker, const struct schema_node *node,
                         const struct json *object)
{
    size_t count = json_size(object);
    if (node->min_members.set && count < node->min_members.value)
        return fault(checker, "has %zu fields; it must have at least %" PRIu64, count,
                     node->min_members.value);
    if (node->max_members.set && count > node->max_members.value)
        return fault(checker, "has %zu fields; it must have at most %" PRIu64, count,
                     node->max_members.value);
    if (!required_check(checker, node->required, object) || !names_check(checker, node, object))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!property_check(checker, node, object, i))
            return false;
    }
    for (size_t i = 0; i < json_size(node->dependent_required); i++) {
        size_t bytes = 0;
        const char *name = json_name_at(node->dependent_required, i, &bytes);
        if (json_get_bytes(object, name, bytes) &&
            !required_check(checker, json_member_at(node->dependent_required, i), object))
            return false;
    }
    for (size_t i = 0; i < node->dependents.count; i++) {
        const struct schema_named *named = &node->dependents.items[i];
        if (json_get_bytes(object, named->name, named->bytes) &&
            !node_check(checker, named->node, object))
            return false;
    }
    return true;
}

/* -- schemas made of schemas -- */

static bool combined_check(struct checker *checker, const struct schema_node *node,
                           const struct json *value)
{
    for (size_t i = 0; i < node->all_of.count; i++) {
        if (!node_check(checker, node->all_of.items[i], value))
            return false;
    }
    size_t any = 0, one = 0;
    for (size_t i = 0; i < node->any_of.count && any == 0; i++)
        any += holds(checker, node->any_of.items[i], value);
    if (node->any_of.count && !any)
        return fault(checker, "fits none of the %zu alternatives", node->any_of.count);
    for (size_t i = 0; i < node->one_of.count; i++)
        one += holds(checker, node->one_of.items[i], value);
    if (node->one_of.count && one != 1)
        return fault(checker, "fits %zu of the %zu alternatives; it must fit exactly one", one,
                     node->one_of.count);
    if (node->negated && holds(checker, node->negated, value))
        return fault(checker, "fits what is excluded by \"not\"");
    if (node->condition) {
        const struct schema_node *branch =
            holds(checker, node->condition, value) ? node->then_node : node->else_node;
        if (branch && !node_check(checker, branch, value))
            return false;
    }
    return !node->reference || node_check(checker, node->reference, value);
}

static bool node_check(struct checker *checker, const struct schema_node *node,
                       const struct json *value)
{
    if (node->never)
        return fault(checker, "is not allowed");
    if (checker->depth >= SCHEMA_CHECK_DEPTH_MAX)
        return fault(checker, "cannot be checked: the schema refers to itself without end");
    checker->depth++;
    unsigned types = types_of(value);
    bool fine = value_check(checker, node, value) &&
                (!(types & SCHEMA_NUMBER) || number_check(checker, node, value)) &&
                (!(types & SCHEMA_STRING) || text_check(checker, node, value)) &&
                (!(types & SCHEMA_ARRAY) || array_check(checker, node, value)) &&
                (!(types & SCHEMA_OBJECT) || object_check(checker, node, value)) &&
                combined_check(checker, node, value);
    checker->depth--;
    return fine;
}

enum error_code schema_check(const struct schema *schema, const struct json *value,
                             const char *field, struct error *error)
{
    struct checker checker = {.error = error};
    if (field)
        buffer_append_text(&checker.field, field);
    bool fine = !schema || node_check(&checker, schema->root, value);
    buffer_fini(&checker.field);
    return fine ? ERR_OK : ERR_INVALID;
}
