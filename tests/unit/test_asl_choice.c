/* SPDX-License-Identifier: MIT */
/* Does each comparison of a Choice state hold when the States Language says so, and only then? */
#include "asl_story.h"

static const struct {
    const char *rule;
    const char *input; /* of $.v and $.w */
    char expected;     /* y: the rule holds, n: not, !: States.Runtime */
} rules[] = {
    {"StringEquals: a", "{\"v\":\"a\"}", 'y'},
    {"StringEquals: a", "{\"v\":\"A\"}", 'n'},
    {"StringEquals: a", "{\"v\":5}", 'n'}, /* another type is no match */
    {"StringEquals: a", "{}", '!'},
    {"StringLessThan: b", "{\"v\":\"a\"}", 'y'},
    {"StringLessThan: b", "{\"v\":\"ab\"}", 'y'},
    {"StringLessThan: b", "{\"v\":\"b\"}", 'n'},
    {"StringGreaterThan: b", "{\"v\":\"b\"}", 'n'},
    {"StringGreaterThan: b", "{\"v\":\"ba\"}", 'y'},
    {"StringLessThanEquals: b", "{\"v\":\"b\"}", 'y'},
    {"StringGreaterThanEquals: b", "{\"v\":\"b\"}", 'y'},
    {"StringGreaterThanEquals: b", "{\"v\":\"a\"}", 'n'},
    {"StringEqualsPath: $.w", "{\"v\":\"a\",\"w\":\"a\"}", 'y'},
    {"StringEqualsPath: $.w", "{\"v\":\"a\",\"w\":1}", 'n'},
    {"StringEqualsPath: $.w", "{\"v\":\"a\"}", '!'},
    {"StringLessThanPath: $.w", "{\"v\":\"a\",\"w\":\"b\"}", 'y'},
    {"StringGreaterThanPath: $.w", "{\"v\":\"a\",\"w\":\"b\"}", 'n'},
    {"StringLessThanEqualsPath: $.w", "{\"v\":\"b\",\"w\":\"b\"}", 'y'},
    {"StringGreaterThanEqualsPath: $.w", "{\"v\":\"b\",\"w\":\"b\"}", 'y'},
    {"NumericEquals: 1", "{\"v\":1.0}", 'y'},
    {"NumericEquals: 1", "{\"v\":\"1\"}", 'n'},
    {"NumericEquals: 9007199254740993", "{\"v\":9007199254740992}", 'n'},
    {"NumericLessThan: 1.5", "{\"v\":1}", 'y'},
    {"NumericGreaterThan: 1", "{\"v\":1}", 'n'},
    {"NumericLessThanEquals: 1", "{\"v\":1}", 'y'},
    {"NumericGreaterThanEquals: 1", "{\"v\":0.99}", 'n'},
    {"NumericEqualsPath: $.w", "{\"v\":2,\"w\":2}", 'y'},
    {"NumericLessThanPath: $.w", "{\"v\":2,\"w\":2}", 'n'},
    {"NumericGreaterThanPath: $.w", "{\"v\":3,\"w\":2}", 'y'},
    {"NumericLessThanEqualsPath: $.w", "{\"v\":2,\"w\":2}", 'y'},
    {"NumericGreaterThanEqualsPath: $.w", "{\"v\":1,\"w\":2}", 'n'},
    {"BooleanEquals: true", "{\"v\":true}", 'y'},
    {"BooleanEquals: false", "{\"v\":false}", 'y'},
    {"BooleanEquals: true", "{\"v\":\"true\"}", 'n'},
    {"BooleanEqualsPath: $.w", "{\"v\":true,\"w\":false}", 'n'},
    {"BooleanEqualsPath: $.w", "{\"v\":false,\"w\":false}", 'y'},
    {"TimestampEquals: '2026-01-01T00:00:00Z'", "{\"v\":\"2026-01-01T02:00:00+02:00\"}", 'y'},
    {"TimestampEquals: '2026-01-01T00:00:00Z'", "{\"v\":\"2026-01-01T00:00:00.000001Z\"}", 'n'},
    {"TimestampEquals: '2026-01-01T00:00:00Z'", "{\"v\":\"2026-01-01\"}", 'n'},
    {"TimestampLessThan: '2026-01-01T00:00:00Z'", "{\"v\":\"2025-12-31T23:59:59.999Z\"}", 'y'},
    {"TimestampGreaterThan: '2026-01-01T00:00:00Z'", "{\"v\":\"2026-01-01T00:00:00Z\"}", 'n'},
    {"TimestampLessThanEquals: '2026-01-01T00:00:00Z'", "{\"v\":\"2026-01-01T00:00:00Z\"}", 'y'},
    {"TimestampGreaterThanEquals: '2026-01-01T00:00:00Z'", "{\"v\":\"2026-01-01T00:00:01Z\"}", 'y'},
    {"TimestampEqualsPath: $.w",
     "{\"v\":\"2026-01-01T00:00:00Z\",\"w\":\"2026-01-01T00:00:00.0Z\"}", 'y'},
    {"TimestampLessThanPath: $.w",
     "{\"v\":\"2026-01-01T00:00:00Z\",\"w\":\"2026-01-02T00:00:00Z\"}", 'y'},
    {"TimestampGreaterThanPath: $.w", "{\"v\":\"2026-01-01T00:00:00Z\",\"w\":\"never\"}", 'n'},
    {"TimestampLessThanEqualsPath: $.w",
     "{\"v\":\"2026-01-03T00:00:00Z\",\"w\":\"2026-01-02T00:00:00Z\"}", 'n'},
    {"TimestampGreaterThanEqualsPath: $.w",
     "{\"v\":\"2026-01-03T00:00:00Z\",\"w\":\"2026-01-02T00:00:00Z\"}", 'y'},
    {"IsNull: true", "{\"v\":null}", 'y'},
    {"IsNull: false", "{\"v\":1}", 'y'},
    {"IsNull: true", "{}", '!'},
    {"IsPresent: true", "{\"v\":null}", 'y'},
    {"IsPresent: true", "{}", 'n'},
    {"IsPresent: false", "{}", 'y'},
    {"IsNumeric: true", "{\"v\":1}", 'y'},
    {"IsNumeric: true", "{\"v\":\"1\"}", 'n'},
    {"IsString: true", "{\"v\":\"\"}", 'y'},
    {"IsString: false", "{\"v\":\"\"}", 'n'},
    {"IsBoolean: true", "{\"v\":false}", 'y'},
    {"IsBoolean: true", "{\"v\":0}", 'n'},
    {"IsTimestamp: true", "{\"v\":\"2026-01-01T00:00:00.123456789+01:00\"}", 'y'},
    {"IsTimestamp: true", "{\"v\":\"2026-01-01t00:00:00z\"}", 'n'},
    {"IsTimestamp: false", "{\"v\":5}", 'y'},
    {"StringMatches: '*.log'", "{\"v\":\"zebra.log\"}", 'y'},
    {"StringMatches: 'log-*.txt'", "{\"v\":\"log-2026-01.txt\"}", 'y'},
    {"StringMatches: 'foo*.*'", "{\"v\":\"foo23.log\"}", 'y'},
    {"StringMatches: '*'", "{\"v\":\"\"}", 'y'},
    {"StringMatches: 'a'", "{\"v\":\"ab\"}", 'n'},
    {"StringMatches: 'a?c'", "{\"v\":\"abc\"}", 'n'}, /* only * is special */
    {"StringMatches: 'a\\*c'", "{\"v\":\"a*c\"}", 'y'},
    {"StringMatches: 'a\\*c'", "{\"v\":\"abc\"}", 'n'},
    {"StringMatches: 'a\\\\*'", "{\"v\":\"a\\\\bc\"}", 'y'},
    {"StringMatches: 'a\\\\*'", "{\"v\":\"abc\"}", 'n'},
    {"StringMatches: '*a*b*'", "{\"v\":\"xxaxxbxx\"}", 'y'},
    {"StringMatches: '*a*b'", "{\"v\":\"abab\"}", 'y'},
    {"StringMatches: '*a*b'", "{\"v\":\"abac\"}", 'n'},
    {"StringMatches: '*'", "{\"v\":5}", 'n'},
};

static void rule_is(const char *rule, const char *input, char expected)
{
    struct buffer definition = {0};
    buffer_append_format(
        &definition,
        "{StartAt: A, States: {A: {Type: Choice, Default: N, Choices: [{%s, Next: Y}]}, "
        "Y: {Type: Pass, Result: y, End: true}, N: {Type: Pass, Result: n, End: true}}}",
        rule);
    char *told = story_of(buffer_text(&definition), input, "");
    const char *end = last_line(told);
    char got = strncmp(end, "failed States.Runtime", 21) == 0 ? '!' : end[strlen("succeeded \"")];
    ck_assert_msg(got == expected, "%s on %s: %c (%s)", rule, input, got, end);
    free(told);
    buffer_fini(&definition);
}

START_TEST(test_rule)
{
    struct buffer rule = {0};
    buffer_append_format(&rule, "Variable: $.v, %s", rules[_i].rule);
    rule_is(buffer_text(&rule), rules[_i].input, rules[_i].expected);
    buffer_fini(&rule);
}
END_TEST

START_TEST(test_boolean_rules)
{
    rule_is("And: [{Variable: $.v, IsPresent: true}, {Variable: $.v, NumericEquals: 1}]",
            "{\"v\":1}", 'y');
    rule_is("And: [{Variable: $.v, IsPresent: true}, {Variable: $.v, NumericEquals: 1}]", "{}",
            'n'); /* stops early */
    rule_is("Or: [{Variable: $.v, IsPresent: false}, {Variable: $.v, NumericEquals: 1}]", "{}",
            'y');
    rule_is("Or: [{Variable: $.v, NumericEquals: 2}, {Variable: $.v, NumericEquals: 1}]",
            "{\"v\":1}", 'y');
    rule_is("Or: [{Variable: $.v, NumericEquals: 2}, {Variable: $.v, NumericEquals: 1}]",
            "{\"v\":3}", 'n');
    rule_is("Not: {Variable: $.v, NumericEquals: 2}", "{\"v\":3}", 'y');
    rule_is("Not: {Variable: $.v, NumericEquals: 2}", "{\"v\":2}", 'n');
    rule_is("Not: {Variable: $.v, NumericEquals: 2}", "{}", '!');
    rule_is("And: [{Not: {Or: [{Variable: $.v, NumericEquals: 2}, {Variable: $.v, NumericEquals: "
            "3}]}}]",
            "{\"v\":4}", 'y');
    rule_is("Variable: $$.State.Name, StringEquals: A", "{}", 'y');
}
END_TEST

START_TEST(test_first_choice_wins)
{
    char *told = story_of("{StartAt: A, States: {A: {Type: Choice, Choices: [{Variable: $.v, "
                          "NumericLessThan: 5, Next: B}, "
                          "{Variable: $.v, NumericLessThan: 9, Next: C}]}, B: {Type: Pass, Result: "
                          "b, End: true}, C: {Type: "
                          "Pass, Result: c, End: true}}}",
                          "{\"v\":3}", "");
    ck_assert_str_eq(last_line(told), "succeeded \"b\"");
    free(told);
    told = story_of("{StartAt: A, States: {A: {Type: Choice, Choices: [{Variable: $.v, "
                    "NumericLessThan: 5, Next: B}]}, "
                    "B: {Type: Succeed}}}",
                    "{\"v\":7}", "");
    ck_assert_str_eq(
        last_line(told),
        "failed States.NoChoiceMatched: No choice of the state \"A\" fits, and it has no Default.");
    free(told);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("asl_choice");
    TCase *all = tcase_create("rules");
    tcase_add_loop_test(all, test_rule, 0, (int)(sizeof rules / sizeof *rules));
    tcase_add_test(all, test_boolean_rules);
    tcase_add_test(all, test_first_choice_wins);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
