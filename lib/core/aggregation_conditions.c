/* SPDX-License-Identifier: MIT */
/* aggregation_conditions.c - tests of fields: {field: event_type, equals: order_placed}. */
#include <stdlib.h>
#include <string.h>

#include "core/aggregation_internal.h"

struct test_name {
    const char *name;
    enum aggregation_test test;
    bool negated;
    enum { VALUE, LIST, TEXT, FLAG, NUMBER } takes;
};

static const struct test_name tests[] = {
    {"equals", TEST_EQUALS, false, VALUE},
    {"not_equals", TEST_EQUALS, true, VALUE},
    {"in", TEST_EQUALS, false, LIST},
    {"not_in", TEST_EQUALS, true, LIST},
    {"prefix", TEST_PREFIX, false, TEXT},
    {"exists", TEST_EXISTS, false, FLAG},
    {"less", TEST_LESS, false, NUMBER},
    {"less_or_equal", TEST_LESS_OR_EQUAL, false, NUMBER},
    {"greater", TEST_GREATER, false, NUMBER},
    {"greater_or_equal", TEST_GREATER_OR_EQUAL, false, NUMBER},
};
#define TESTS (sizeof tests / sizeof tests[0])

static void add_choice(struct aggregation_reader *reader, const char *name,
                       const struct json *value, struct aggregation_condition *condition)
{
    struct aggregation_choice *choice = &condition->choices[condition->choices_count++];
    choice->type = json_type_of(value);
    if (choice->type == JSON_STRING)
        choice->text = must_strdup(json_string_value(value, &choice->bytes));
    else if (choice->type == JSON_NUMBER)
        choice->number = json_double_value(value);
    else if (choice->type != JSON_TRUE && choice->type != JSON_FALSE)
        aggregation_fault(reader, name, "AGGREGATION_BAD_CONDITION",
                          "%s compares with texts, numbers, true and false", name);
}

static void read_choices(struct aggregation_reader *reader, const struct test_name *test,
                         const struct json *value, struct aggregation_condition *condition)
{
    size_t count = test->takes == LIST ? json_size(value) : 1;
    if (test->takes == LIST &&
        (json_type_of(value) != JSON_ARRAY || count == 0 || count > AGGREGATION_CHOICES_MAX)) {
        aggregation_fault(reader, test->name, "AGGREGATION_BAD_CONDITION",
                          "%s is a list of 1 to %d values", test->name, AGGREGATION_CHOICES_MAX);
        return;
    }
    if (test->takes == TEXT && json_type_of(value) != JSON_STRING)
        aggregation_fault(reader, test->name, "AGGREGATION_BAD_CONDITION", "%s is a text",
                          test->name);
    condition->choices = must_calloc(count, sizeof *condition->choices);
    for (size_t i = 0; i < count; i++)
        add_choice(reader, test->name, test->takes == LIST ? json_at(value, i) : value, condition);
}

static void read_test(struct aggregation_reader *reader, const struct test_name *test,
                      const struct json *value, int field, struct aggregation_filter *filter)
{
    struct aggregation_condition condition = {
        .field = field, .test = test->test, .negated = test->negated};
    enum json_type type = json_type_of(value);
    if (test->takes == FLAG && type != JSON_TRUE && type != JSON_FALSE)
        aggregation_fault(reader, test->name, "AGGREGATION_BAD_CONDITION", "%s is true or false",
                          test->name);
    else if (test->takes == FLAG)
        condition.negated = type == JSON_FALSE;
    else if (test->takes == NUMBER && type != JSON_NUMBER)
        aggregation_fault(reader, test->name, "AGGREGATION_BAD_CONDITION", "%s is a number",
                          test->name);
    else if (test->takes == NUMBER)
        condition.number = json_double_value(value);
    else
        read_choices(reader, test, value, &condition);
    filter->conditions[filter->count++] = aggregation_intern_condition(reader->set, &condition);
}

/* -1: the filter is full. */
int aggregation_read_condition(struct aggregation_reader *reader, const struct json *object,
                               struct aggregation_filter *filter)
{
    int made = 0;
    if (json_type_of(object) != JSON_OBJECT || !json_get(object, "field")) {
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_CONDITION",
                          "a condition is an object with a field and what it is compared with");
        return 0;
    }
    int field = aggregation_read_field(reader, json_get(object, "field"));
    for (size_t i = 0; i < json_size(object); i++) {
        const char *name = json_name_at(object, i, NULL);
        size_t test = 0;
        if (strcmp(name, "field") == 0)
            continue;
        while (test < TESTS && strcmp(tests[test].name, name) != 0)
            test++;
        if (filter->count == AGGREGATION_CONDITIONS_MAX) {
            aggregation_fault(reader, NULL, "AGGREGATION_LIMIT", "more than %d conditions",
                              AGGREGATION_CONDITIONS_MAX);
            return -1;
        }
        if (test == TESTS)
            aggregation_fault(reader, name, "AGGREGATION_UNKNOWN_MEMBER",
                              "there is no test \"%.80s\"", name);
        else
            read_test(reader, &tests[test], json_member_at(object, i), field, filter);
        made++;
    }
    if (made == 0)
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_CONDITION",
                          "a condition compares its field with something");
    return made;
}
