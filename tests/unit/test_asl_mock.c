/* SPDX-License-Identifier: MIT */
/* Does a run alone take its mocks, its clock and its order as the header says? */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/asl_mock.h"
#include "core/contract.h"

static struct json *json_of(const char *yaml)
{
    struct findings findings = {0};
    struct json *value = yaml_parse("t.yaml", yaml, strlen(yaml), NULL, &findings);
    ck_assert_msg(value != NULL, "%s: %s", yaml, findings.count ? findings.items[0].text : "");
    findings_fini(&findings);
    return value;
}

static struct asl_machine *machine_of(const char *yaml)
{
    struct findings findings = {0};
    struct json *definition = json_of(yaml);
    struct asl_machine *machine = asl_compile(definition, NULL, NULL, NULL, &findings);
    ck_assert_msg(machine != NULL, "%s: %s", yaml, findings.count ? findings.items[0].text : "");
    json_release(definition);
    findings_fini(&findings);
    return machine;
}

/* "+A" entered, "-A" left, then how it ended; free() it. */
static char *told(const struct asl_mock_result *result, int64_t start_us)
{
    struct buffer out = {0};
    for (size_t i = 0; i < json_size(result->states); i++) {
        const struct json *state = json_at(result->states, i);
        bool entered = strcmp(json_string_value(json_get(state, "event"), NULL), "Entered") == 0;
        ck_assert_ptr_nonnull(json_get(state, entered ? "input" : "output"));
        ck_assert_uint_eq(json_size(state), 3);
        buffer_append_format(&out, "%c%s ", entered ? '+' : '-',
                             json_string_value(json_get(state, "name"), NULL));
    }
    buffer_append_text(&out, asl_mock_status_name(result->status));
    if (result->output) {
        buffer_append_char(&out, ' ');
        json_write(result->output, &out);
    }
    if (result->error)
        buffer_append_format(&out, " %s", result->error);
    if (result->cause)
        buffer_append_format(&out, ": %s", result->cause);
    buffer_append_format(&out, " %gs %zu", (double)(result->end_us - start_us) / 1e6,
                         result->mocks_used);
    return buffer_take(&out);
}

static char *run(const char *definition, const char *input, const char *mocks)
{
    struct asl_machine *machine = machine_of(definition);
    struct json *input_json = input ? json_of(input) : NULL;
    struct json *mocks_json = mocks ? json_of(mocks) : NULL;
    struct asl_mock_options options = {
        .input = input_json, .mocks = mocks_json, .name = "m", .start_us = ASL_MOCK_START_US};
    struct asl_mock_result result;
    asl_mock_run(machine, &options, &result);
    char *text = told(&result, options.start_us);
    asl_mock_result_fini(&result);
    json_release(input_json);
    json_release(mocks_json);
    asl_machine_free(machine);
    return text;
}

#define ends_as(definition, input, mocks, expected)                                                \
    do {                                                                                           \
        char *story = run(definition, input, mocks);                                               \
        ck_assert_str_eq(story, expected);                                                         \
        free(story);                                                                               \
    } while (0)

#define TASK(rest) "{Type: Task, Resource: r, " rest "}"
#define ONE(state) "{StartAt: A, States: {A: " state "}}"
#define PAIR                                                                                       \
    "{StartAt: P, States: {P: {Type: Parallel, End: true, Branches: ["                             \
    "{StartAt: L, States: {L: " TASK("End: true") "}},"                                            \
                                                  "{StartAt: R, States: {R: " TASK(                \
                                                      "End: true") "}}]}}}"

/* -- which mock serves which attempt -- */

START_TEST(test_mocks_without_a_state_serve_in_start_order)
{
    ends_as(PAIR, NULL, "[{output: 1}, {output: 2}]", "+P +L +R -L -R -P SUCCEEDED [1,2] 0s 2");
}
END_TEST

START_TEST(test_a_mock_with_a_state_serves_that_state_only)
{
    ends_as(PAIR, NULL, "[{state: R, output: 1}, {output: 2}]",
            "+P +L +R -L -R -P SUCCEEDED [2,1] 0s 2");
    ends_as(ONE(TASK("End: true")), NULL, "[{state: B, output: 1}]",
            "+A FAILED States.TaskFailed: No mock is left for the state \"A\". 0s 0");
}
END_TEST

START_TEST(test_a_mock_that_names_the_state_comes_before_one_that_names_none)
{
    ends_as("{StartAt: A, States: {A: " TASK("Next: B") ", B: " TASK("End: true") "}}", NULL,
            "[{output: 1}, {state: A, output: 2}]", "+A -A +B -B SUCCEEDED 1 0s 2");
}
END_TEST

START_TEST(test_each_attempt_takes_one)
{
    ends_as(ONE(TASK("Retry: [{ErrorEquals: [E], IntervalSeconds: 3}], End: true")), NULL,
            "[{error: E, cause: first}, {state: A, error: E}, {output: 7}]",
            "+A -A SUCCEEDED 7 9s 3");
    ends_as(ONE(TASK("Retry: [{ErrorEquals: [E], MaxAttempts: 1}], End: true")), NULL,
            "[{error: E}, {error: E, cause: last}, {output: 7}]", "+A FAILED E: last 1s 2");
}
END_TEST

START_TEST(test_without_a_mock_a_task_fails)
{
    ends_as(ONE(TASK("End: true")), NULL, NULL,
            "+A FAILED States.TaskFailed: No mock is left for the state \"A\". 0s 0");
    ends_as("{StartAt: A, States: {B: {Type: Succeed, OutputPath: $.Error}, A: " TASK(
                "Catch: [{ErrorEquals: [States.TaskFailed], Next: B}], End: true") "}}",
            NULL, "[]", "+A -A +B -B SUCCEEDED \"States.TaskFailed\" 0s 0");
}
END_TEST

START_TEST(test_an_output_may_be_anything)
{
    ends_as(ONE(TASK("End: true")), "[1]", "[{output: null}]", "+A -A SUCCEEDED null 0s 1");
    ends_as(ONE(TASK("End: true")), "x", "[{output: [false], error: null, state: null}]",
            "+A -A SUCCEEDED [false] 0s 1");
}
END_TEST

/* -- the clock -- */

START_TEST(test_timers_fire_when_no_answer_is_left)
{
    ends_as("{StartAt: P, States: {P: {Type: Parallel, End: true, Branches: ["
            "{StartAt: W, States: {W: {Type: Wait, Seconds: 0, End: true}}},"
            "{StartAt: A, States: {A: " TASK("Next: B") ", B: " TASK("End: true") "}}]}}}",
            NULL, "[{output: 1}, {output: 2}]", "+P +W +A -A +B -B -W -P SUCCEEDED [{},2] 0s 2");
}
END_TEST

START_TEST(test_timers_fire_the_earliest_first)
{
    ends_as("{StartAt: P, States: {P: {Type: Parallel, End: true, Branches: ["
            "{StartAt: U, States: {U: {Type: Wait, Seconds: 9, End: true}}},"
            "{StartAt: V, States: {V: {Type: Wait, Seconds: 3, Next: V2}, "
            "V2: {Type: Wait, Seconds: 5, End: true}}},"
            "{StartAt: W, States: {W: {Type: Wait, Seconds: 8, End: true}}},"
            "{StartAt: X, States: {X: {Type: Wait, Seconds: 3, End: true}}}]}}}",
            NULL, NULL, "+P +U +V +W +X -V +V2 -X -W -V2 -U -P SUCCEEDED [{},{},{},{}] 9s 0");
}
END_TEST

START_TEST(test_the_clock_does_not_go_back)
{
    ends_as("{StartAt: W, States: {W: {Type: Wait, Seconds: 5, Next: V}, "
            "V: {Type: Wait, Timestamp: '2000-01-01T00:00:00Z', Next: T}, "
            "T: {Type: Pass, Parameters: {t.$: $$.State.EnteredTime, s.$: "
            "$$.Execution.StartTime}, End: true}}}",
            NULL, NULL,
            "+W -W +V -V +T -T SUCCEEDED {\"t\":\"2026-01-01T00:00:05.000Z\","
            "\"s\":\"2026-01-01T00:00:00.000Z\"} 5s 0");
}
END_TEST

#define WAITS(seconds)                                                                             \
    "{TimeoutSeconds: 5, StartAt: W, States: {W: {Type: Wait, Seconds: " seconds ", End: true}}}"
#define OVER "States.Timeout: The TimeoutSeconds of the state machine have passed. 5s "

START_TEST(test_the_machines_timeout)
{
    ends_as(WAITS("5"), NULL, NULL, "+W -W SUCCEEDED {} 5s 0");
    ends_as(WAITS("6"), NULL, NULL, "+W TIMED_OUT " OVER "0");
    ends_as("{TimeoutSeconds: 5, StartAt: A, States: {B: {Type: Succeed}, A: " TASK(
                "Retry: [{ErrorEquals: [E], IntervalSeconds: 9}], "
                "Catch: [{ErrorEquals: [States.ALL], Next: B}], End: true") "}}",
            NULL, "[{error: E}]", "+A TIMED_OUT " OVER "1");
}
END_TEST

START_TEST(test_a_tasks_timeout_is_a_mock_and_a_failure)
{
    ends_as(ONE(TASK("TimeoutSeconds: 3, End: true")), NULL, "[{error: States.Timeout}]",
            "+A FAILED States.Timeout 0s 1");
}
END_TEST

START_TEST(test_jitter_is_a_half)
{
    ends_as(ONE(TASK("Retry: [{ErrorEquals: [E], IntervalSeconds: 8, JitterStrategy: FULL}], "
                     "End: true")),
            NULL, "[{error: E}, {output: 1}]", "+A -A SUCCEEDED 1 4s 2");
}
END_TEST

/* -- siblings, tokens, limits -- */

START_TEST(test_what_is_abandoned_is_not_answered)
{
    ends_as("{StartAt: P, States: {P: {Type: Parallel, Next: T, "
            "Catch: [{ErrorEquals: [States.ALL], Next: T}], Branches: ["
            "{StartAt: L, States: {L: " TASK(
                "End: true") "}},"
                             "{StartAt: W, States: {W: {Type: Wait, Seconds: 1, End: true}}},"
                             "{StartAt: R, States: {R: " TASK("End: true") "}}]}, T: " TASK(
                                 "End: true") "}}",
            NULL, "[{error: E}, {output: lost}, {output: last}]",
            "+P +L +W +R -P +T -T SUCCEEDED \"last\" 0s 3");
}
END_TEST

/* Notes the parameters of the calls. */
static void see_calls(void *context, const struct asl_event *event,
                      const struct asl_effects *effects)
{
    (void)event;
    for (size_t i = 0; effects && i < effects->count; i++) {
        if (effects->items[i].type == ASL_CALL)
            json_write(effects->items[i].data, context);
    }
}

START_TEST(test_task_tokens_are_always_the_same)
{
    struct asl_machine *machine =
        machine_of("{StartAt: W, States: {W: {Type: Wait, Seconds: 1, Next: A}, A: "
                   "{Type: Task, Resource: 'x.waitForTaskToken', Parameters: {t.$: $$.Task.Token}, "
                   "Retry: [{ErrorEquals: [E]}], End: true}}}");
    struct json *mocks = json_of("[{error: E}, {output: 1}]");
    struct buffer calls = {0};
    struct asl_mock_options options = {.mocks = mocks, .on_step = see_calls, .context = &calls};
    struct asl_mock_result result;
    asl_mock_run(machine, &options, &result);
    ck_assert_str_eq(buffer_text(&calls), "{\"t\":\"token-2\"}{\"t\":\"token-4\"}");
    asl_mock_result_fini(&result);
    buffer_fini(&calls);
    json_release(mocks);
    asl_machine_free(machine);
}
END_TEST

START_TEST(test_data_are_limited_as_the_service_does)
{
    struct buffer input = {0};
    buffer_append_char(&input, '"');
    for (size_t i = 0; i < CONTRACT_RUN_DATA_BYTES_MAX - 2; i++)
        buffer_append_char(&input, 'x');
    buffer_append_char(&input, '"');
    char *fits = run(ONE("{Type: Pass, Result: 1, End: true}"), buffer_text(&input), NULL);
    ck_assert_str_eq(fits, "+A -A SUCCEEDED 1 0s 0");
    input.bytes--;
    buffer_append_text(&input, "x\"");
    char *over = run(ONE("{Type: Pass, Result: 1, End: true}"), buffer_text(&input), NULL);
    ck_assert_ptr_nonnull(strstr(over, "FAILED States.DataLimitExceeded"));
    free(fits);
    free(over);
    buffer_fini(&input);
}
END_TEST

struct seen {
    size_t before, after;
    enum asl_event_type last;
};

static void see(void *context, const struct asl_event *event, const struct asl_effects *effects)
{
    struct seen *seen = context;
    ck_assert_uint_eq(seen->before, seen->after + (effects != NULL));
    seen->before += effects == NULL;
    seen->after += effects != NULL;
    ck_assert(effects == NULL || seen->last == event->type);
    seen->last = event->type;
}

START_TEST(test_each_step_is_seen_before_and_after)
{
    struct asl_machine *machine = machine_of(ONE(TASK("Retry: [{ErrorEquals: [E]}], End: true")));
    struct json *mocks = json_of("[{error: E}, {output: 1}]");
    struct seen seen = {0};
    struct asl_mock_options options = {.mocks = mocks, .on_step = see, .context = &seen};
    struct asl_mock_result result;
    asl_mock_run(machine, &options, &result);
    ck_assert_uint_eq(seen.before, 4); /* start, failed, fired, succeeded */
    ck_assert_uint_eq(seen.after, 4);
    ck_assert_int_eq(seen.last, ASL_TASK_SUCCEEDED);
    asl_mock_result_fini(&result);
    json_release(mocks);
    asl_machine_free(machine);
}
END_TEST

/* -- large ones: these end within the runner's patience only when nothing is quadratic -- */

START_TEST(test_a_hundred_thousand_states)
{
    struct asl_machine *machine =
        machine_of("{StartAt: W, States: {W: {Type: Wait, Seconds: 1, Next: N}, "
                   "N: {Type: Pass, Parameters: {n.$: 'States.MathAdd($.n, 1)'}, Next: C}, "
                   "C: {Type: Choice, Choices: [{Variable: $.n, NumericLessThan: 34000, Next: W}], "
                   "Default: E}, E: {Type: Succeed}}}");
    struct json *input = json_of("{n: 0}");
    struct asl_mock_options options = {.input = input};
    struct asl_mock_result result;
    asl_mock_run(machine, &options, &result);
    ck_assert_int_eq(result.status, ASL_MOCK_SUCCEEDED);
    ck_assert_uint_eq(json_size(result.states), 2 * (3 * 34000 + 1));
    ck_assert_int_eq(result.end_us, 34000ll * 1000000);
    asl_mock_result_fini(&result);
    json_release(input);
    asl_machine_free(machine);
}
END_TEST

START_TEST(test_ten_thousand_items_with_named_mocks_and_retries)
{
    enum { ITEMS = 10000 };
    struct asl_machine *machine =
        machine_of("{StartAt: M, States: {M: {Type: Map, MaxConcurrency: 1000, End: true, "
                   "ItemProcessor: {StartAt: A, States: {A: " TASK(
                       "Retry: [{ErrorEquals: [E], MaxAttempts: 99, MaxDelaySeconds: 9}], "
                       "Next: B") ", "
                                  "B: {Type: Wait, "
                                  "SecondsPath: $, End: "
                                  "true}}}}}}");
    struct json *input = json_array(), *mocks = json_array();
    for (int i = 0; i < ITEMS; i++) {
        json_array_append(input, json_int(i));
        struct json *mock = json_object();
        json_object_set(mock, "state", json_text("A"));
        if (i % 10 == 0)
            json_object_set(mock, "error", json_text("E"));
        else
            json_object_set(mock, "output", json_int(i % 7));
        json_array_append(mocks, mock);
    }
    for (int i = 0; i < ITEMS / 10; i++) {
        struct json *mock = json_object();
        json_object_set(mock, "output", json_int(0));
        json_array_append(mocks, mock);
    }
    struct asl_mock_options options = {.input = input, .mocks = mocks};
    struct asl_mock_result result;
    asl_mock_run(machine, &options, &result);
    ck_assert_msg(result.status == ASL_MOCK_SUCCEEDED, "%s: %s", result.error, result.cause);
    ck_assert_uint_eq(json_size(result.output), ITEMS);
    ck_assert_uint_eq(result.mocks_used, ITEMS + ITEMS / 10);
    asl_mock_result_fini(&result);
    json_release(input);
    json_release(mocks);
    asl_machine_free(machine);
}
END_TEST

/* -- are they mocks? -- */

START_TEST(test_findings_of_mocks)
{
    static const struct {
        const char *mocks, *said;
    } cases[] = {
        {"[]", ""},
        {"null", ""},
        {"[{output: 1}, {state: A, output: null}, {error: E}, {error: E, cause: c}]", ""},
        {"[{state: null, output: null, error: E, cause: null}]", ""},
        {"{output: 1}", "/m: mocks must be an array, not object"},
        {"[1]", "/m/0: a mock must be an object, not number"},
        {"[{}]", "/m/0: a mock has either output or error"},
        {"[{output: 1}, {output: 1, error: E}]", "/m/1: a mock has either output or error"},
        {"[{error: 5, output: 1}]", "/m/0: error of a mock must be a text"},
        {"[{output: 1, cause: c}]", "/m/0: cause of a mock goes with error"},
        {"[{output: 1, delay: 5}]",
         "/m/0: a mock has state, output, error and cause, not \"delay\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct findings findings = {0};
        struct json *mocks = json_of(cases[i].mocks);
        struct buffer said = {0};
        asl_mocks_check(mocks, NULL, "/m", &findings);
        for (size_t k = 0; k < findings.count; k++)
            buffer_append_format(&said, "%s%s: %s", k ? "\n" : "", findings.items[k].pointer,
                                 findings.items[k].text);
        ck_assert_str_eq(buffer_text(&said), cases[i].said);
        buffer_fini(&said);
        json_release(mocks);
        findings_fini(&findings);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("asl_mock");
    TCase *rules = tcase_create("rules");
    tcase_set_timeout(rules, 60);
    tcase_add_test(rules, test_mocks_without_a_state_serve_in_start_order);
    tcase_add_test(rules, test_a_mock_with_a_state_serves_that_state_only);
    tcase_add_test(rules, test_a_mock_that_names_the_state_comes_before_one_that_names_none);
    tcase_add_test(rules, test_each_attempt_takes_one);
    tcase_add_test(rules, test_without_a_mock_a_task_fails);
    tcase_add_test(rules, test_an_output_may_be_anything);
    tcase_add_test(rules, test_timers_fire_when_no_answer_is_left);
    tcase_add_test(rules, test_timers_fire_the_earliest_first);
    tcase_add_test(rules, test_the_clock_does_not_go_back);
    tcase_add_test(rules, test_the_machines_timeout);
    tcase_add_test(rules, test_a_tasks_timeout_is_a_mock_and_a_failure);
    tcase_add_test(rules, test_jitter_is_a_half);
    tcase_add_test(rules, test_what_is_abandoned_is_not_answered);
    tcase_add_test(rules, test_task_tokens_are_always_the_same);
    tcase_add_test(rules, test_data_are_limited_as_the_service_does);
    tcase_add_test(rules, test_each_step_is_seen_before_and_after);
    tcase_add_test(rules, test_a_hundred_thousand_states);
    tcase_add_test(rules, test_ten_thousand_items_with_named_mocks_and_retries);
    tcase_add_test(rules, test_findings_of_mocks);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
