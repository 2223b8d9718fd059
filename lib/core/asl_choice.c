/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "core/asl_internal.h"

enum operand_type {
    OPERAND_STRING,
    OPERAND_NUMBER,
    OPERAND_BOOLEAN,
    OPERAND_TIMESTAMP,
    OPERAND_PATTERN,
    OPERAND_TEST
};
enum relation { EQUALS, LESS, GREATER, LESS_EQUALS, GREATER_EQUALS };
enum test_type { IS_NULL, IS_PRESENT, IS_NUMERIC, IS_STRING, IS_BOOLEAN, IS_TIMESTAMP };

struct operator
{
    const char *name; /* without "Path" */
    enum operand_type operand;
    int relation; /* enum relation, or enum test_type of OPERAND_TEST */
    bool has_path_form;
};

static const struct operator operators[] = {
    {"StringEquals", OPERAND_STRING, EQUALS, true},
    {"StringLessThan", OPERAND_STRING, LESS, true},
    {"StringGreaterThan", OPERAND_STRING, GREATER, true},
    {"StringLessThanEquals", OPERAND_STRING, LESS_EQUALS, true},
    {"StringGreaterThanEquals", OPERAND_STRING, GREATER_EQUALS, true},
    {"StringMatches", OPERAND_PATTERN, EQUALS, false},
    {"NumericEquals", OPERAND_NUMBER, EQUALS, true},
    {"NumericLessThan", OPERAND_NUMBER, LESS, true},
    {"NumericGreaterThan", OPERAND_NUMBER, GREATER, true},
    {"NumericLessThanEquals", OPERAND_NUMBER, LESS_EQUALS, true},
    {"NumericGreaterThanEquals", OPERAND_NUMBER, GREATER_EQUALS, true},
    {"BooleanEquals", OPERAND_BOOLEAN, EQUALS, true},
    {"TimestampEquals", OPERAND_TIMESTAMP, EQUALS, true},
    {"TimestampLessThan", OPERAND_TIMESTAMP, LESS, true},
    {"TimestampGreaterThan", OPERAND_TIMESTAMP, GREATER, true},
    {"TimestampLessThanEquals", OPERAND_TIMESTAMP, LESS_EQUALS, true},
    {"TimestampGreaterThanEquals", OPERAND_TIMESTAMP, GREATER_EQUALS, true},
    {"IsNull", OPERAND_TEST, IS_NULL, false},
    {"IsPresent", OPERAND_TEST, IS_PRESENT, false},
    {"IsNumeric", OPERAND_TEST, IS_NUMERIC, false},
    {"IsString", OPERAND_TEST, IS_STRING, false},
    {"IsBoolean", OPERAND_TEST, IS_BOOLEAN, false},
    {"IsTimestamp", OPERAND_TEST, IS_TIMESTAMP, false},
};
#define OPERATORS_COUNT (sizeof operators / sizeof *operators)

enum rule_type { RULE_AND, RULE_OR, RULE_NOT, RULE_COMPARISON };

/* A point in time; nine digits of a fraction count. */
struct timestamp {
    int64_t us;
    int nanoseconds; /* beyond the microseconds */
};

struct asl_rule {
    enum rule_type type;
    struct asl_rule **rules; /* of And, Or, Not */
    size_t count;
    struct jsonpath *variable;
    const struct operator* operator;
    const struct json *operand; /* lent by the definition; NULL with the path form */
    struct jsonpath *operand_path;
    struct timestamp operand_timestamp;
};

void asl_rule_free(struct asl_rule *rule)
{
    if (!rule)
        return;
    for (size_t i = 0; i < rule->count; i++)
        asl_rule_free(rule->rules[i]);
    free(rule->rules);
    jsonpath_free(rule->variable);
    jsonpath_free(rule->operand_path);
    free(rule);
}

/* -- compiling -- */

static const struct operator* operator_find(const char *name, bool *is_path)
{
    size_t bytes = strlen(name);
    for (size_t i = 0; i < OPERATORS_COUNT; i++) {
        size_t length = strlen(operators[i].name);
        if (strncmp(name, operators[i].name, length) != 0)
            continue;
        *is_path = bytes == length + 4 && strcmp(name + length, "Path") == 0;
        if (bytes == length || (*is_path && operators[i].has_path_form))
            return &operators[i];
    }
    return NULL;
}

/* In a pattern a backslash stands only before * and another backslash. */
static bool pattern_is_fine(const char *pattern, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (pattern[i] != '\\')
            continue;
        i++;
        if (i == bytes || (pattern[i] != '*' && pattern[i] != '\\'))
            return false;
    }
    return true;
}

static bool read_timestamp(const struct json *value, struct timestamp *timestamp)
{
    size_t bytes = 0;
    const char *text = json_string_value(value, &bytes);
    if (!text || !instant_parse(text, bytes, &timestamp->us))
        return false;
    const char *digits = strchr(text, '.');
    timestamp->nanoseconds = 0;
    if (digits && strspn(digits + 1, "0123456789") > 6) {
        int unit = 100;
        for (digits += 7; *digits >= '0' && *digits <= '9'; digits++, unit /= 10)
            timestamp->nanoseconds += (*digits - '0') * unit;
    }
    return true;
}

static int compare_timestamps(const struct timestamp *a, const struct timestamp *b)
{
    if (a->us != b->us)
        return a->us < b->us ? -1 : 1;
    return (a->nanoseconds > b->nanoseconds) - (a->nanoseconds < b->nanoseconds);
}

static void operand_compile(struct asl_compiler *compiler, struct asl_rule *rule,
                            const struct json *value)
{
    const char *expected = NULL;
    enum json_type type = json_type_of(value);
    size_t bytes = 0;
    const char *text = json_string_value(value, &bytes);
    rule->operand = value;
    switch (rule->operator->operand) {
    case OPERAND_STRING:
        expected = type == JSON_STRING ? NULL : "a text";
        break;
    case OPERAND_PATTERN:
        expected = text && pattern_is_fine(text, bytes)
                       ? NULL
                       : "a text where \\ stands only before * and \\";
        break;
    case OPERAND_NUMBER:
        expected = type == JSON_NUMBER ? NULL : "a number";
        break;
    case OPERAND_BOOLEAN:
    case OPERAND_TEST:
        expected = type == JSON_TRUE || type == JSON_FALSE ? NULL : "true or false";
        break;
    case OPERAND_TIMESTAMP:
        expected = read_timestamp(value, &rule->operand_timestamp)
                       ? NULL
                       : "an RFC 3339 timestamp with upper-case T and Z, like 2026-01-31T12:00:00Z";
        break;
    }
    if (expected)
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_TYPE", "%s must be %s", rule->operator->name,
                   expected);
}

static struct jsonpath *path_member(struct asl_compiler *compiler, const struct json *document,
                                    const char *name)
{
    size_t place = compiler->pointer.bytes;
    pointer_append(&compiler->pointer, name, strlen(name));
    struct jsonpath *path = asl_compile_path(compiler, json_get(document, name), ASL_ANY_PATH);
    pointer_cut(&compiler->pointer, place);
    return path;
}

static void comparison_compile(struct asl_compiler *compiler, struct asl_rule *rule,
                               const struct json *document)
{
    rule->type = RULE_COMPARISON;
    rule->variable = path_member(compiler, document, "Variable");
    for (size_t i = 0; i < json_size(document); i++) {
        const char *name = json_name_at(document, i, NULL);
        bool is_path = false;
        const struct operator* operator= operator_find(name, &is_path);
        if (!operator)
            continue;
        if (rule->operator) {
            asl_report_at(compiler, name, "ASL_BAD_CHOICE",
                          "a choice rule has one comparison; %s is a second one", name);
            continue;
        }
        rule->operator= operator;
        if (is_path) {
            rule->operand_path = path_member(compiler, document, name);
            continue;
        }
        size_t place = compiler->pointer.bytes;
        pointer_append(&compiler->pointer, name, strlen(name));
        operand_compile(compiler, rule, json_member_at(document, i));
        pointer_cut(&compiler->pointer, place);
    }
    if (!rule->operator)
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_CHOICE",
                   "a choice rule with Variable needs a comparison, like StringEquals");
}

static void boolean_compile(struct asl_compiler *compiler, struct asl_rule *rule, const char *name,
                            const struct json *value)
{
    size_t place = compiler->pointer.bytes;
    pointer_append(&compiler->pointer, name, strlen(name));
    bool list = rule->type != RULE_NOT;
    if (json_type_of(value) != (list ? JSON_ARRAY : JSON_OBJECT) ||
        (list && json_size(value) == 0)) {
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_CHOICE", "%s must be %s", name,
                   list ? "a list with at least one choice rule" : "a choice rule");
    } else {
        rule->count = list ? json_size(value) : 1;
        rule->rules = must_calloc(rule->count, sizeof *rule->rules);
        for (size_t i = 0; i < rule->count; i++) {
            size_t inner = compiler->pointer.bytes;
            if (list)
                pointer_append_index(&compiler->pointer, i);
            rule->rules[i] = asl_rule_compile(compiler, list ? json_at(value, i) : value, true);
            pointer_cut(&compiler->pointer, inner);
        }
    }
    pointer_cut(&compiler->pointer, place);
}

static bool rule_fields_check(struct asl_compiler *compiler, const struct json *document,
                              bool nested)
{
    unsigned kinds = 0;
    for (size_t i = 0; i < json_size(document); i++) {
        const char *name = json_name_at(document, i, NULL);
        bool is_path;
        if (!strcmp(name, "And") || !strcmp(name, "Or") || !strcmp(name, "Not") ||
            !strcmp(name, "Variable"))
            kinds++;
        else if ((!strcmp(name, "Next") || !strcmp(name, "Assign")) && nested)
            asl_report_at(compiler, name, "ASL_BAD_CHOICE",
                          "%s stands only in the outermost choice rule", name);
        else if (!strcmp(name, "Condition") || !strcmp(name, "Output"))
            asl_report_at(compiler, name, "ASL_UNSUPPORTED_FIELD",
                          "%s belongs to JSONata, which is not supported", name);
        else if (strcmp(name, "Next") && strcmp(name, "Assign") && strcmp(name, "Comment") &&
                 !operator_find(name, &is_path))
            asl_report_at(compiler, name, "ASL_UNKNOWN_FIELD", "a choice rule has no field \"%s\"",
                          name);
    }
    if (kinds != 1)
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_CHOICE",
                   "a choice rule needs exactly one of Variable, And, Or and Not");
    return kinds == 1;
}

struct asl_rule *asl_rule_compile(struct asl_compiler *compiler, const struct json *document,
                                  bool nested)
{
    struct asl_rule *rule = must_calloc(1, sizeof *rule);
    if (json_type_of(document) != JSON_OBJECT || compiler->inner_depth >= ASL_NESTING_MAX) {
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_CHOICE",
                   "a choice rule must be an object, nested at most %d deep", ASL_NESTING_MAX);
        return rule;
    }
    if (!rule_fields_check(compiler, document, nested))
        return rule;
    compiler->inner_depth++;
    static const char *const names[] = {[RULE_AND] = "And", [RULE_OR] = "Or", [RULE_NOT] = "Not"};
    if (json_get(document, "Variable"))
        comparison_compile(compiler, rule, document);
    for (int type = RULE_AND; type <= RULE_NOT; type++) {
        const struct json *value = json_get(document, names[type]);
        if (value) {
            rule->type = (enum rule_type)type;
            boolean_compile(compiler, rule, names[type], value);
        }
    }
    compiler->inner_depth--;
    return rule;
}

/* -- testing -- */

/* Reads the pattern up to its next * or its end into *piece, without escapes; true when a * follows. */
static bool piece_read(const char **at, const char *end, struct buffer *piece)
{
    buffer_clear(piece);
    while (*at < end && **at != '*') {
        *at += **at == '\\' && *at + 1 < end;
        buffer_append_char(piece, *(*at)++);
    }
    bool star = *at < end;
    *at += star;
    return star;
}

/* The first piece begins the text, the last one ends it, those between are taken where they come
 * first: the time grows with the sum of the lengths. */
bool asl_string_matches(const char *pattern, size_t pattern_bytes, const char *text, size_t bytes)
{
    const char *at = pattern, *end = pattern + pattern_bytes, *text_end = text + bytes;
    struct buffer piece = {0};
    bool star = piece_read(&at, end, &piece);
    bool fits = (star ? piece.bytes <= bytes : piece.bytes == bytes) &&
                memcmp(buffer_text(&piece), text, piece.bytes) == 0;
    text += fits ? piece.bytes : 0;
    while (fits && star) {
        star = piece_read(&at, end, &piece);
        size_t left = (size_t)(text_end - text);
        const char *found = NULL;
        if (star)
            found = memmem(text, left, buffer_text(&piece), piece.bytes);
        else if (piece.bytes <= left)
            found = text_end - piece.bytes;
        fits = found && memcmp(found, buffer_text(&piece), piece.bytes) == 0;
        if (fits)
            text = found + piece.bytes;
    }
    buffer_fini(&piece);
    return fits;
}

static bool holds(int order, int relation)
{
    switch ((enum relation)relation) {
    case EQUALS:
        return order == 0;
    case LESS:
        return order < 0;
    case GREATER:
        return order > 0;
    case LESS_EQUALS:
        return order <= 0;
    case GREATER_EQUALS:
        return order >= 0;
    }
    return false;
}

static bool is_boolean(const struct json *value)
{
    return json_type_of(value) == JSON_TRUE || json_type_of(value) == JSON_FALSE;
}

static bool test_type(int test, const struct json *value)
{
    struct timestamp timestamp;
    switch ((enum test_type)test) {
    case IS_PRESENT:
        return value != NULL;
    case IS_NULL:
        return json_type_of(value) == JSON_NULL;
    case IS_NUMERIC:
        return json_type_of(value) == JSON_NUMBER;
    case IS_STRING:
        return json_type_of(value) == JSON_STRING;
    case IS_BOOLEAN:
        return is_boolean(value);
    case IS_TIMESTAMP:
        return read_timestamp(value, &timestamp);
    }
    return false;
}

/* Values of another type than the operator's compare as false. */
static bool compare(const struct asl_rule *rule, const struct json *value,
                    const struct json *operand)
{
    int relation = rule->operator->relation;
    switch (rule->operator->operand) {
    case OPERAND_STRING:
        return json_type_of(value) == JSON_STRING && json_type_of(operand) == JSON_STRING &&
               holds(json_compare(value, operand), relation);
    case OPERAND_NUMBER:
        return json_type_of(value) == JSON_NUMBER && json_type_of(operand) == JSON_NUMBER &&
               holds(json_compare(value, operand), relation);
    case OPERAND_BOOLEAN:
        return is_boolean(value) && json_type_of(value) == json_type_of(operand);
    case OPERAND_TIMESTAMP: {
        struct timestamp a = {0}, b = rule->operand_timestamp;
        if (!read_timestamp(value, &a) || (rule->operand_path && !read_timestamp(operand, &b)))
            return false;
        return holds(compare_timestamps(&a, &b), relation);
    }
    case OPERAND_PATTERN: {
        size_t pattern_bytes = 0, bytes = 0;
        const char *pattern = json_string_value(operand, &pattern_bytes);
        const char *text = json_string_value(value, &bytes);
        return text && asl_string_matches(pattern, pattern_bytes, text, bytes);
    }
    case OPERAND_TEST:
        return test_type(relation, value) == json_is_true(operand);
    }
    return false;
}

static enum asl_truth missing(const struct jsonpath *path, struct asl_failure *failure)
{
    asl_failure_set(failure, ASL_ERROR_RUNTIME,
                    "The path %s of a choice rule finds nothing in the state's input.",
                    jsonpath_text(path));
    return ASL_UNDECIDED;
}

static enum asl_truth comparison_test(const struct asl_rule *rule, const struct asl_view *view,
                                      struct asl_failure *failure)
{
    struct json *value = asl_view_get(view, rule->variable, failure);
    bool presence =
        rule->operator->operand == OPERAND_TEST && rule->operator->relation == IS_PRESENT;
    if (!value && (!presence || failure->error))
        return missing(rule->variable, failure);
    struct json *operand = rule->operand_path ? asl_view_get(view, rule->operand_path, failure)
                                              : json_hold(rule->operand);
    enum asl_truth truth;
    if (operand)
        truth = compare(rule, value, operand) ? ASL_TRUE : ASL_FALSE;
    else
        truth = missing(rule->operand_path, failure);
    json_release(value);
    json_release(operand);
    return truth;
}

enum asl_truth asl_rule_test(const struct asl_rule *rule, const struct asl_view *view,
                             struct asl_failure *failure)
{
    if (rule->type == RULE_COMPARISON)
        return comparison_test(rule, view, failure);
    /* And stops at the first false, Or at the first true. */
    enum asl_truth stop = rule->type == RULE_AND ? ASL_FALSE : ASL_TRUE;
    enum asl_truth truth = stop;
    for (size_t i = 0; i < rule->count; i++) {
        truth = asl_rule_test(rule->rules[i], view, failure);
        if (truth == ASL_UNDECIDED || (rule->type != RULE_NOT && truth == stop))
            return truth;
    }
    return rule->type == RULE_NOT ? (truth == ASL_TRUE ? ASL_FALSE : ASL_TRUE) : truth;
}
