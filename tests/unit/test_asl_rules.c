/* SPDX-License-Identifier: MIT */
/* The rules of data flow, choices, waits and errors, one by one: only what counts of each story
 * is compared. */
#include "asl_story.h"

#define ONE(state) "{StartAt: A, States: {A: {" state "}}}"
#define PASS(fields) ONE("Type: Pass, End: true, " fields)
#define TASK(fields) ONE("Type: Task, Resource: r, End: true, " fields)

/* -- data flow -- */

static const struct {
    const char *definition, *input, *script, *end;
} flows[] = {
    /* InputPath, OutputPath, ResultPath and null */
    {PASS("InputPath: $.a"), "{\"a\":{\"b\":1}}", "", "succeeded {\"b\":1}"},
    {PASS("InputPath: null"), "{\"a\":1}", "", "succeeded {}"},
    {PASS("OutputPath: $.a"), "{\"a\":[1]}", "", "succeeded [1]"},
    {PASS("OutputPath: null"), "{\"a\":1}", "", "succeeded {}"},
    {PASS("ResultPath: null, Result: 5"), "{\"a\":1}", "", "succeeded {\"a\":1}"},
    {PASS("InputPath: '$.a[*].b'"), "{\"a\":[{\"b\":1},{\"b\":2}]}", "", "succeeded [1,2]"},
    {PASS("InputPath: $.none"), "{}", "",
     "failed States.Runtime: The InputPath $.none of the state \"A\" finds nothing."},
    {PASS("OutputPath: $.none"), "{}", "",
     "failed States.Runtime: The OutputPath $.none of the state \"A\" finds nothing."},
    {PASS("InputPath: $$.Execution.Name"), "{}", "", "succeeded \"run one\""},
    {PASS("Result: {x.$: $.a}"), "{\"a\":1}", "",
     "succeeded {\"x.$\":\"$.a\"}"}, /* Result is no template */
    {PASS("Result: null"), "{\"a\":1}", "", "succeeded null"},
    /* ResultPath works on the raw input, not on what InputPath selects */
    {PASS("InputPath: $.a, ResultPath: $.copy"), "{\"a\":1,\"b\":2}", "",
     "succeeded {\"a\":1,\"b\":2,\"copy\":1}"},
    {PASS("ResultPath: $.a.b, Result: 1"), "{\"a\":5}", "",
     "failed States.ResultPathMatchFailure: The ResultPath $.a.b of the state \"A\" does not fit "
     "the state's input."},
    {PASS("ResultPath: $.a, Result: 1"), "[1]", "",
     "failed States.ResultPathMatchFailure: The ResultPath $.a of the state \"A\" does not fit the "
     "state's input."},
    /* Parameters */
    {PASS("Parameters: {fixed: 1, flagged.$: $.flag, deep: {x.$: $.vals, list: [1, {y.$: "
          "'$.vals[0]'}]}}"),
     "{\"flag\":7,\"vals\":[3,6]}", "",
     "succeeded {\"fixed\":1,\"flagged\":7,\"deep\":{\"x\":[3,6],\"list\":[1,{\"y\":3}]}}"},
    {PASS("Parameters: {all.$: $}"), "{\"a\":1}", "", "succeeded {\"all\":{\"a\":1}}"},
    {PASS("Parameters: {}"), "5", "", "succeeded {}"},
    {PASS("InputPath: $.in, Parameters: {x.$: $.v}"), "{\"in\":{\"v\":1},\"v\":2}", "",
     "succeeded {\"x\":1}"},
    {PASS("Parameters: {x.$: $.none}"), "{}", "",
     "failed States.ParameterPathFailure: The path $.none given for the field \"x.$\" finds "
     "nothing in the state's "
     "data."},
    {PASS("Parameters: {x.$: $$.None}"), "{}", "",
     "failed States.ParameterPathFailure: The path $$.None given for the field \"x.$\" finds "
     "nothing in the context "
     "object."},
    /* the context object */
    {PASS("Parameters: {id.$: $$.Execution.Id, in.$: $$.Execution.Input.a, start.$: "
          "$$.Execution.StartTime, s.$: "
          "$$.State.Name, e.$: $$.State.EnteredTime, r.$: $$.State.RetryCount, m.$: "
          "$$.StateMachine.Name, i.$: "
          "$$.StateMachine.Id}"),
     "{\"a\":1}", "",
     "succeeded "
     "{\"id\":\"w-1\",\"in\":1,\"start\":\"2026-01-01T00:00:00.000Z\",\"s\":\"A\",\"e\":\"2026-01-"
     "01T00:00:"
     "00.000Z\",\"r\":0,\"m\":\"machine one\",\"i\":\"m-1\"}"},
    /* ResultSelector, then ResultPath, then OutputPath */
    {TASK("ResultSelector: {total.$: $.sum, name.$: $$.State.Name}, ResultPath: $.result, "
          "OutputPath: $.result"),
     "{\"a\":1}", "ok 1 {\"sum\":3,\"more\":4}", "succeeded {\"total\":3,\"name\":\"A\"}"},
    {TASK("ResultSelector: {x.$: $.none}"), "{}", "ok 1 {}",
     "failed States.ParameterPathFailure: The path $.none given for the field \"x.$\" finds "
     "nothing in the state's "
     "data."},
    {TASK("ResultPath: null"), "{\"a\":1}", "ok 1 5", "succeeded {\"a\":1}"},
    {TASK("Comment: plain"), "5", "ok 1 null", "succeeded null"},
    {ONE("Type: Succeed, InputPath: $.a, OutputPath: $.b"), "{\"a\":{\"b\":9}}", "", "succeeded 9"},
    /* Parallel */
    {ONE("Type: Parallel, End: true, Parameters: {v.$: $.x}, ResultSelector: {first.$: '$[0]'}, "
         "ResultPath: $.p, Branches: "
         "[{StartAt: B, States: {B: {Type: Succeed}}}, {StartAt: C, States: {C: {Type: Pass, "
         "Result: 2, End: true}}}]"),
     "{\"x\":1}", "", "succeeded {\"x\":1,\"p\":{\"first\":{\"v\":1}}}"},
    {ONE("Type: Parallel, End: true, Branches: [{StartAt: B, States: {B: {Type: Parallel, End: "
         "true, Branches: [{StartAt: D, "
         "States: {D: {Type: Task, Resource: r, End: true}}}]}}}, {StartAt: C, States: {C: {Type: "
         "Wait, Seconds: 1, End: "
         "true}}}]"),
     "1", "ok 2 5\nfire 1", "succeeded [[5],1]"},
    /* Fail */
    {ONE("Type: Fail"), "{}", "", "failed : "},
    {ONE("Type: Fail, Error: E, Cause: why"), "{}", "", "failed E: why"},
    {ONE("Type: Fail, ErrorPath: $.e, CausePath: $$.State.Name"), "{\"e\":\"Mine\"}", "",
     "failed Mine: A"},
    {ONE("Type: Fail, ErrorPath: $.e"), "{\"e\":5}", "",
     "failed States.Runtime: ErrorPath of the state \"A\" must find a text."},
};

START_TEST(test_flow)
{
    char *told = story_of(flows[_i].definition, flows[_i].input, flows[_i].script);
    char *whole = must_strdup(told);
    ck_assert_msg(strcmp(last_line(told), flows[_i].end) == 0, "%s\nexpected: %s", whole,
                  flows[_i].end);
    free(whole);
    free(told);
}
END_TEST

/* -- waits -- */

static const struct {
    const char *form, *input, *timer; /* the line after "enter" */
} waits[] = {
    {"Seconds: 10", "{}", "timer 1 A 0.1 +10s"},
    {"Seconds: 0", "{}", "timer 1 A 0.1 +0s"},
    {"SecondsPath: $.s", "{\"s\":7}", "timer 1 A 0.1 +7s"},
    {"Timestamp: '2026-01-01T00:01:00.5Z'", "{}", "timer 1 A 0.1 +60.5s"},
    {"Timestamp: '2025-12-31T23:59:00Z'", "{}", "timer 1 A 0.1 +-60s"},
    {"TimestampPath: $.t", "{\"t\":\"2026-01-01T02:00:00+01:00\"}", "timer 1 A 0.1 +3600s"},
    {"SecondsPath: $.s", "{\"s\":-1}",
     "failed States.Runtime: $.s of the state \"A\" must find a whole number from 0 to 99999999."},
    {"SecondsPath: $.s", "{\"s\":\"7\"}",
     "failed States.Runtime: $.s of the state \"A\" must find a whole number from 0 to 99999999."},
    {"SecondsPath: $.s", "{}",
     "failed States.Runtime: $.s of the state \"A\" must find a whole number from 0 to 99999999."},
    {"TimestampPath: $.t", "{\"t\":\"soon\"}",
     "failed States.Runtime: $.t of the state \"A\" must find an RFC 3339 timestamp."},
};

START_TEST(test_wait)
{
    struct buffer definition = {0};
    buffer_append_format(&definition, ONE("Type: Wait, End: true, %s"), waits[_i].form);
    bool fails = strncmp(waits[_i].timer, "failed", 6) == 0;
    char *told = story_of(buffer_text(&definition), waits[_i].input, "");
    ck_assert_str_eq(last_line(told), waits[_i].timer);
    free(told);
    if (!fails) {
        told = story_of(buffer_text(&definition), waits[_i].input,
                        "conflict ok 1 {}\nfire 1\nconflict fire 1");
        ck_assert_int_eq(strncmp(last_line(told), "succeeded", 9), 0);
        free(told);
    }
    buffer_fini(&definition);
}
END_TEST

/* -- errors: which names match which -- */

static const struct {
    const char *names, *error;
    bool matches;
} matches[] = {
    {"E", "E", true},
    {"E", "F", false},
    {"E", "e", false},
    {"States.ALL", "E", true},
    {"States.ALL", "States.Timeout", true},
    {"States.ALL", "States.Http.StatusCode.503", true},
    {"States.ALL", "States.Runtime", false},
    {"States.Runtime", "States.Runtime", false},
    {"States.ALL", "States.DataLimitExceeded", false},
    {"States.TaskFailed", "States.DataLimitExceeded", false},
    {"States.DataLimitExceeded", "States.DataLimitExceeded", true},
    {"States.TaskFailed", "E", true},
    {"States.TaskFailed", "States.TaskFailed", true},
    {"States.TaskFailed", "States.Timeout", false},
    {"States.Timeout", "States.HeartbeatTimeout", true},
    {"States.HeartbeatTimeout", "States.Timeout", false},
    {"States.BranchFailed", "E", false},
    {"F, E", "E", true},
};

START_TEST(test_matching)
{
    struct buffer definition = {0}, script = {0};
    buffer_append_format(&definition,
                         "{StartAt: A, States: {A: {Type: Task, Resource: r, End: true, Catch: "
                         "[{ErrorEquals: [%s], Next: "
                         "C}]}, C: {Type: Succeed}}}",
                         matches[_i].names);
    buffer_append_format(&script, "fail 1 %s why", matches[_i].error);
    char *told = story_of(buffer_text(&definition), "{}", buffer_text(&script));
    ck_assert_msg((strstr(told, "caught A ") != NULL) == matches[_i].matches, "%s\n%s",
                  buffer_text(&definition), told);
    free(told);
    buffer_fini(&definition);
    buffer_fini(&script);
}
END_TEST

START_TEST(test_each_retrier_counts_for_itself)
{
    char *told = story_of(
        "{StartAt: A, States: {A: {Type: Task, Resource: r, End: true, Retry: [{ErrorEquals: [E], "
        "MaxAttempts: 1}, {ErrorEquals: [F], MaxAttempts: 2, IntervalSeconds: 5, BackoffRate: "
        "1}]}}}",
        "{}", "fail 1 E a\nfire 2\nfail 3 F b\nfire 4\nfail 5 F c\nfire 6\nfail 7 E d");
    ck_assert_ptr_nonnull(strstr(told, "retry 2 A 0.2 +1s E\n"));
    ck_assert_ptr_nonnull(strstr(told, "retry 4 A 0.3 +5s F\n"));
    ck_assert_ptr_nonnull(strstr(told, "retry 6 A 0.4 +5s F\n"));
    ck_assert_str_eq(last_line(told), "failed E: d");
    free(told);
}
END_TEST

START_TEST(test_retry_delays)
{
    /* interval 3, rate 2, at most 10: 3, 6, 10, 10; the jitter takes a random part of each */
    static const char machine[] = "{StartAt: A, States: {A: {Type: Task, Resource: r, End: true, "
                                  "Retry: [{ErrorEquals: [States.ALL], "
                                  "IntervalSeconds: 3, MaxAttempts: 4, MaxDelaySeconds: 10%s}]}}}";
    struct buffer definition = {0};
    buffer_append_format(&definition, machine, "");
    char *told = story_of(buffer_text(&definition), "{}",
                          "fail 1 E a\nfire 2\nfail 3 E a\nfire 4\nfail 5 E a\nfire 6\nfail 7 E "
                          "a\nfire 8\nfail 9 E a");
    ck_assert_ptr_nonnull(strstr(told, "retry 2 A 0.2 +3s"));
    ck_assert_ptr_nonnull(strstr(told, "retry 4 A 0.3 +6s"));
    ck_assert_ptr_nonnull(strstr(told, "retry 6 A 0.4 +10s"));
    ck_assert_ptr_nonnull(strstr(told, "retry 8 A 0.5 +10s"));
    ck_assert_str_eq(last_line(told), "failed E: a");
    free(told);
    buffer_clear(&definition);
    buffer_append_format(&definition, machine, ", JitterStrategy: FULL");
    told = story_of(buffer_text(&definition), "{}",
                    "fail 1 E@0.5 a\nfire 2\nfail 3 E@0.25 a\nfire 4\nfail 5 E@0.001 a");
    ck_assert_ptr_nonnull(strstr(told, "retry 2 A 0.2 +1.5s"));
    ck_assert_ptr_nonnull(strstr(told, "retry 4 A 0.3 +1.5s"));
    ck_assert_ptr_nonnull(strstr(told, "retry 6 A 0.4 +0.01s"));
    free(told);
    buffer_fini(&definition);
}
END_TEST

/* A failure that is no call's own draws its jitter from the execution's id: the same again, and not 0. */
START_TEST(test_jitter_without_a_call)
{
    char *told = story_of(
        "{StartAt: A, States: {A: {Type: Parallel, End: true, Retry: [{ErrorEquals: [States.ALL], "
        "IntervalSeconds: 1000, BackoffRate: 1, JitterStrategy: FULL}], Branches: [{StartAt: F, "
        "States: "
        "{F: {Type: Fail, Error: E}}}]}}}",
        "{}", "fire 1\nfire 2");
    double delays[3] = {0};
    const char *at = told;
    for (int i = 0; i < 3; i++) {
        at = strstr(at, "retry ");
        ck_assert_ptr_nonnull(at);
        ck_assert_int_eq(sscanf(at++, "retry %*u A %*[0-9.] +%lf", &delays[i]), 1);
        ck_assert(delays[i] > 0 && delays[i] < 1000);
    }
    ck_assert(delays[0] != delays[1] && delays[1] != delays[2]);
    free(told);
}
END_TEST

START_TEST(test_no_attempts_means_no_retry)
{
    char *told =
        story_of(TASK("Retry: [{ErrorEquals: [E], MaxAttempts: 0}, {ErrorEquals: [States.ALL]}]"),
                 "{}", "fail 1 E a");
    ck_assert_str_eq(last_line(told), "failed E: a");
    free(told);
}
END_TEST

START_TEST(test_parameters_see_the_retry_count)
{
    char *told = story_of(
        TASK("Parameters: {n.$: $$.State.RetryCount}, Retry: [{ErrorEquals: [States.ALL]}]"), "{}",
        "fail 1 E a\nfire 2\nok 3 1");
    ck_assert_ptr_nonnull(strstr(told, "call 1 A 0.1 r {\"n\":0}\n"));
    ck_assert_ptr_nonnull(strstr(told, "call 3 A 0.2 r {\"n\":1}\n"));
    free(told);
}
END_TEST

START_TEST(test_a_loop_counts_visits)
{
    char *told = story_of(
        "{StartAt: A, States: {A: {Type: Task, Resource: r, Next: B, Retry: [{ErrorEquals: [E], "
        "MaxAttempts: 1}]}, B: {Type: Choice, Choices: [{Variable: $.go, BooleanEquals: true, "
        "Next: A}], "
        "Default: C}, C: {Type: Succeed}}}",
        "{}", "fail 1 E a\nfire 2\nok 3 {\"go\":true}\nfail 4 E a\nfire 5\nok 6 {\"go\":false}");
    ck_assert_ptr_nonnull(strstr(told, "call 3 A 0.2 r"));
    ck_assert_ptr_nonnull(strstr(told, "call 4 A 1.1 r"));
    ck_assert_ptr_nonnull(
        strstr(told, "retry 5 A 1.2 +1s E")); /* the counter begins anew with the visit */
    ck_assert_str_eq(last_line(told), "succeeded {\"go\":false}");
    free(told);
}
END_TEST

#define AROUND(fields)                                                                             \
    "{StartAt: P, States: {C: {Type: Pass, End: true}, P: {Type: Parallel, Next: C, " fields       \
    ", Branches: [{StartAt: L, States: {L: {Type: Task, Resource: r, End: true}}}, {StartAt: R, "  \
    "States: {R: {Type: Task, "                                                                    \
    "Resource: r, End: true}}}]}}}"

START_TEST(test_parallel_is_tried_again_as_a_whole)
{
    char *told = story_of(AROUND("Retry: [{ErrorEquals: [E], MaxAttempts: 1}]"), "{}",
                          "ok 1 1\nfail 2 E a\nconflict ok 2 1\nfire 3\nok 4 5\nok 5 6");
    ck_assert_ptr_nonnull(
        strstr(told, "retry 3 P 0.2 +1s E\nenter L {}\ncall 4 P/0/L 1.1 r {}\nenter R {}\ncall 5 "
                     "P/1/R 1.1 r {}\n"));
    ck_assert_str_eq(last_line(told), "succeeded [5,6]");
    free(told);
}
END_TEST

/* The failing of an inner Parallel leaves the waits of the outer one's other branches alone. */
START_TEST(test_only_the_siblings_are_abandoned)
{
    char *told = story_of(
        "{StartAt: P, States: {P: {Type: Parallel, End: true, Branches: [{StartAt: W, States: {W: "
        "{Type: Wait, Seconds: 9, End: true}}}, {StartAt: Q, States: {Q: {Type: Parallel, End: "
        "true, "
        "Catch: [{ErrorEquals: [E], Next: C}], Branches: [{StartAt: L, States: {L: {Type: Task, "
        "Resource: r, End: true}}}, {StartAt: R, States: {R: {Type: Task, Resource: r, End: "
        "true}}}]}, C: {Type: Pass, Result: 5, End: true}}}]}}}",
        "1", "fail 2 E x\nconflict ok 3 1\nfire 1");
    ck_assert_ptr_nonnull(strstr(told, "abandon 3 P/1/Q/1/R\n"));
    ck_assert_ptr_null(strstr(told, "abandon 1"));
    ck_assert_str_eq(last_line(told), "succeeded [1,5]");
    free(told);
}
END_TEST

/* A branch that fails at once: its siblings are never entered. */
START_TEST(test_siblings_that_have_not_begun)
{
    char *told =
        story_of("{StartAt: P, States: {P: {Type: Parallel, End: true, Catch: [{ErrorEquals: "
                 "[E], Next: C}], Branches: [{StartAt: F, States: {F: {Type: Fail, Error: "
                 "E}}}, {StartAt: R, States: {R: {Type: Task, Resource: r, End: true}}}]}, "
                 "C: {Type: Task, Resource: s, End: true}}}",
                 "{}", "ok 1 7");
    ck_assert_ptr_null(strstr(told, "enter R"));
    ck_assert_ptr_null(strstr(told, "abandon"));
    ck_assert_ptr_nonnull(strstr(told, "call 1 C 0.1 s "));
    ck_assert_str_eq(last_line(told), "succeeded 7");
    free(told);
}
END_TEST

START_TEST(test_runtime_errors_in_a_branch_end_everything)
{
    char *told =
        story_of("{StartAt: P, States: {P: {Type: Parallel, End: true, Catch: [{ErrorEquals: "
                 "[States.ALL], Next: "
                 "C}], Branches: [{StartAt: W, States: {W: {Type: Wait, Seconds: 5, End: true}}}, "
                 "{StartAt: B, "
                 "States: {B: {Type: Pass, InputPath: $.none, End: true}}}]}, C: {Type: Succeed}}}",
                 "{}", "");
    ck_assert_ptr_nonnull(strstr(told, "abandon 1 P/0/W\n"));
    ck_assert_str_eq(
        last_line(told),
        "failed States.Runtime: The InputPath $.none of the state \"B\" finds nothing.");
    free(told);
}
END_TEST

START_TEST(test_catch_result_path_that_does_not_fit)
{
    char *told = story_of(
        "{StartAt: A, States: {A: {Type: Task, Resource: r, End: true, Catch: [{ErrorEquals: "
        "[States.ALL], Next: C, ResultPath: $.a.b}]}, C: {Type: Succeed}}}",
        "{\"a\":1}", "fail 1 E why");
    ck_assert_int_eq(strncmp(last_line(told), "failed States.ResultPathMatchFailure:", 37), 0);
    free(told);
}
END_TEST

START_TEST(test_catch_discards_with_null)
{
    char *told = story_of(
        "{StartAt: A, States: {A: {Type: Task, Resource: r, End: true, Catch: [{ErrorEquals: "
        "[States.ALL], Next: C, ResultPath: null}]}, C: {Type: Succeed}}}",
        "{\"a\":1}", "fail 1 E why");
    ck_assert_str_eq(last_line(told), "succeeded {\"a\":1}");
    free(told);
}
END_TEST

START_TEST(test_failing_parameters_can_be_caught)
{
    char *told = story_of(
        "{StartAt: A, States: {A: {Type: Task, Resource: r, End: true, Parameters: {x.$: $.none}, "
        "Catch: "
        "[{ErrorEquals: [States.ParameterPathFailure], Next: C, ResultPath: null}]}, C: {Type: "
        "Succeed}}}",
        "{\"a\":1}", "");
    ck_assert_str_eq(last_line(told), "succeeded {\"a\":1}");
    free(told);
}
END_TEST

/* -- timeouts, stops, limits -- */

START_TEST(test_task_timeout)
{
    char *told = story_of(TASK("TimeoutSeconds: 5"), "{}", "");
    ck_assert_str_eq(last_line(told), "call 1 A 0.1 r {} timeout 5000");
    free(told);
    told = story_of(TASK("TimeoutSecondsPath: $.t"), "{\"t\":7}", "");
    ck_assert_str_eq(last_line(told), "call 1 A 0.1 r {\"t\":7} timeout 7000");
    free(told);
    told = story_of(TASK("TimeoutSecondsPath: $.t"), "{\"t\":0}", "");
    ck_assert_str_eq(last_line(told), "failed States.Runtime: $.t of the state \"A\" must find a "
                                      "whole number from 1 to 99999999.");
    free(told);
}
END_TEST

START_TEST(test_stop)
{
    char *told =
        story_of(AROUND("Comment: x"), "{}",
                 "ok 1 1\nstop States.Timeout too long\nconflict ok 2 1\nconflict stop E x");
    ck_assert_ptr_nonnull(strstr(told, "abandon 2 P/1/R\nfailed States.Timeout: too long\n"));
    ck_assert_ptr_null(strstr(told, "abandon 1"));
    free(told);
}
END_TEST

START_TEST(test_stale_answers_change_nothing)
{
    char *told =
        story_of(TASK("Comment: x"), "{}",
                 "conflict ok 2 1\nconflict ok 0 1\nconflict fire 1\nok 1 1\nconflict ok 1 2");
    ck_assert_str_eq(last_line(told), "succeeded 1");
    free(told);
}
END_TEST

static void limited_ends(const char *yaml, const char *input, const char *script, size_t bytes_max,
                         const char *end)
{
    char *definition = json_of(yaml);
    char *told = story_run_limited(definition, input, script, bytes_max);
    ck_assert_str_eq(last_line(told), end);
    free(told);
    free(definition);
}

START_TEST(test_data_limit)
{
    limited_ends(TASK("Comment: x"), "{}", "ok 1 \"12345678\"", 10, "succeeded \"12345678\"");
    limited_ends(TASK("Comment: x"), "{}", "ok 1 \"123456789\"", 10,
                 "failed States.DataLimitExceeded: The data of the state \"A\" have more than 10 "
                 "octets, which is the most allowed.");
    limited_ends(PASS("Comment: x"), "\"123456789\"", "", 10,
                 "failed States.DataLimitExceeded: The data of the state \"A\" have more than 10 "
                 "octets, which is the most allowed.");
    limited_ends(PASS("Parameters: {a.$: $, b.$: $}"), "\"12345\"", "", 25,
                 "succeeded {\"a\":\"12345\",\"b\":\"12345\"}");
    limited_ends(PASS("Parameters: {a.$: $, b.$: $}"), "\"12345\"", "", 24,
                 "failed States.DataLimitExceeded: The data of the state \"A\" have more than 24 "
                 "octets, which is the most allowed.");
    limited_ends(
        PASS("Parameters: {a.$: $.l, b.$: $.s}"), "{\"l\":\"0123456789\",\"s\":1}", "", 30,
        "succeeded {\"a\":\"0123456789\",\"b\":1}"); /* the bound says more than it is: counted */
    limited_ends(PASS("ResultPath: $.x, Result: 12345"), "{\"a\":1}", "", 17,
                 "succeeded {\"a\":1,\"x\":12345}");
    limited_ends(PASS("ResultPath: $.x, Result: 12345"), "{\"a\":1}", "", 16,
                 "failed States.DataLimitExceeded: The data of the state \"A\" have more than 16 "
                 "octets, which is the most allowed.");
}
END_TEST

/* A long text whose escapes make it twice as long when written. */
START_TEST(test_data_limit_counts_escapes)
{
    struct buffer input = {0};
    buffer_append_char(&input, '"');
    for (int i = 0; i < 300; i++)
        buffer_append_text(&input, "\\\"");
    buffer_append_char(&input, '"');
    limited_ends(PASS("Comment: x"), buffer_text(&input), "", 601,
                 "failed States.DataLimitExceeded: The data of the state \"A\" have more than 601 "
                 "octets, which is the most allowed.");
    buffer_fini(&input);
}
END_TEST

/* A loop that wraps its data once more each time ends as an error, not as a stack that is too small. */
START_TEST(test_data_depth)
{
    char *told =
        story_of("{StartAt: A, States: {A: {Type: Pass, Parameters: {x.$: $}, Next: B}, B: {Type: "
                 "Choice, Choices: [{Variable: $.stop, IsPresent: true, Next: C}], Default: A}, C: "
                 "{Type: Succeed}}}",
                 "{}", "");
    ck_assert_str_eq(last_line(told),
                     "failed States.DataLimitExceeded: The data of the state \"A\" are "
                     "nested 101 deep; at most 100 are allowed.");
    free(told);
    /* the bound grows with each pass, the data do not: it goes on until the limit on states in a row */
    told = story_of(
        "{StartAt: A, States: {A: {Type: Pass, Parameters: {x.$: '$.x[*]'}, Next: B}, B: {Type: "
        "Choice, Choices: [{Variable: $.stop, IsPresent: true, Next: C}], Default: A}, C: {Type: "
        "Succeed}}}",
        "{\"x\":[1]}", "");
    ck_assert_int_eq(strncmp(last_line(told), "failed States.Runtime: More than 10000 states", 45),
                     0);
    free(told);
}
END_TEST

/* The events of a story, given one by one to a fresh execution, make the same effects at every
 * prefix. */
START_TEST(test_every_prefix_tells_the_same)
{
    static const char machine[] =
        AROUND("Retry: [{ErrorEquals: [E], MaxAttempts: 2, JitterStrategy: FULL}]");
    static const char *const events[] = {"ok 1 {\"a\":1}", "fail 2 E@0.7 x", "fire 3",
                                         "fail 4 E@0.1 y", "fire 6",         "ok 8 2",
                                         "ok 7 1"};
    struct buffer script = {0};
    char *before = story_of(machine, "{\"i\":[1,2]}", "");
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        buffer_append_format(&script, "%s\n", events[i]);
        char *told = story_of(machine, "{\"i\":[1,2]}", buffer_text(&script));
        ck_assert_msg(strncmp(told, before, strlen(before)) == 0, "%s\nis no continuation of\n%s",
                      told, before);
        free(before);
        before = told;
    }
    ck_assert_str_eq(last_line(before), "succeeded [1,2]");
    free(before);
    buffer_fini(&script);
}
END_TEST

START_TEST(test_templates_outside_a_machine)
{
    struct findings findings = {0};
    struct json *document = story_json("{\"a.$\":\"$.x\",\"b\":[1],\"c.$\":\"$$.id\"}");
    struct asl_template *template = asl_template_new(document, "", NULL, &findings);
    struct json *data = story_json("{\"x\":[1,2]}"), *context = story_json("{\"id\":\"w\"}");
    struct error error = {0};
    struct json *value = asl_template_evaluate(template, data, context, &error);
    char *text = json_to_text(value);
    ck_assert_str_eq(text, "{\"a\":[1,2],\"b\":[1],\"c\":\"w\"}");
    free(text);
    json_release(value);
    ck_assert_ptr_null(asl_template_evaluate(template, context, context, &error));
    ck_assert_str_eq(
        error.text,
        "States.ParameterPathFailure: The path $.x given for the field \"a.$\" finds nothing in "
        "the state's data.");
    asl_template_free(template);
    json_release(document);
    document = story_json("{\"a.$\":\"$[\"}");
    ck_assert_ptr_null(asl_template_new(document, "/events/x", NULL, &findings));
    ck_assert_str_eq(findings.items[0].pointer, "/events/x/a.$");
    findings_fini(&findings);
    json_release(document);
    json_release(data);
    json_release(context);
}
END_TEST

/* A path that would look at the same values again and again ends, by the name of its limit. */
START_TEST(test_too_much)
{
    struct buffer deep = {0};
    for (int i = 0; i < 90; i++)
        buffer_append_text(&deep, "[[0],");
    buffer_append_char(&deep, '0');
    for (int i = 0; i < 90; i++)
        buffer_append_char(&deep, ']');
    static const char *const states[] = {
        PASS("InputPath: '$..*..*..*..*..none'"), PASS("Parameters: {x.$: '$..*..*..*..*..none'}"),
        "{StartAt: A, States: {A: {Type: Choice, Choices: [{Variable: '$..*..*..*..*..none', "
        "IsPresent: true, Next: B}], Default: B}, B: {Type: Succeed}}}"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        char *told = story_of(states[i], buffer_text(&deep), "");
        const char *line = last_line(told);
        ck_assert_msg(strncmp(line, "failed States.DataLimitExceeded: The path $..*", 46) == 0,
                      "%s", line);
        free(told);
    }
    buffer_fini(&deep);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("asl_rules");
    TCase *all = tcase_create("rules");
    tcase_add_loop_test(all, test_flow, 0, (int)(sizeof flows / sizeof *flows));
    tcase_add_loop_test(all, test_wait, 0, (int)(sizeof waits / sizeof *waits));
    tcase_add_loop_test(all, test_matching, 0, (int)(sizeof matches / sizeof *matches));
    tcase_add_test(all, test_each_retrier_counts_for_itself);
    tcase_add_test(all, test_retry_delays);
    tcase_add_test(all, test_jitter_without_a_call);
    tcase_add_test(all, test_no_attempts_means_no_retry);
    tcase_add_test(all, test_parameters_see_the_retry_count);
    tcase_add_test(all, test_a_loop_counts_visits);
    tcase_add_test(all, test_parallel_is_tried_again_as_a_whole);
    tcase_add_test(all, test_only_the_siblings_are_abandoned);
    tcase_add_test(all, test_siblings_that_have_not_begun);
    tcase_add_test(all, test_runtime_errors_in_a_branch_end_everything);
    tcase_add_test(all, test_catch_result_path_that_does_not_fit);
    tcase_add_test(all, test_catch_discards_with_null);
    tcase_add_test(all, test_failing_parameters_can_be_caught);
    tcase_add_test(all, test_task_timeout);
    tcase_add_test(all, test_stop);
    tcase_add_test(all, test_stale_answers_change_nothing);
    tcase_add_test(all, test_data_limit);
    tcase_add_test(all, test_data_depth);
    tcase_add_test(all, test_data_limit_counts_escapes);
    tcase_add_test(all, test_every_prefix_tells_the_same);
    tcase_add_test(all, test_templates_outside_a_machine);
    tcase_add_test(all, test_too_much);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
