/* SPDX-License-Identifier: MIT */
/* Do the warnings find the mistakes they are for, and stay silent beside them? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/asl_lint.h"
#include "core/asl_loops.h"
#include "core/contract.h"

#define MACHINE(states) "{StartAt: A, States: {" states ", Z: {Type: Succeed}}}"
#define LIMITED(seconds, states)                                                                   \
    "{StartAt: A, TimeoutSeconds: " #seconds ", States: {" states ", Z: {Type: Succeed}}}"
#define TASK "Type: Task, Resource: r"
#define ASKS(path) "Parameters: {a.$: " path "}"
#define IF(condition, next) "Choices: [{" condition ", Next: " next "}]"
#define POLL "B: {Type: Choice, " IF("Variable: $.status, StringEquals: DONE", "Z") ", Default: "

static const struct {
    const char *definition; /* YAML for short */
    const char *expected;   /* code and pointer of each warning */
} cases[] = {
    /* nothing leads out */
    {MACHINE("A: {Type: Choice, " IF(
         "Variable: $.a, IsNull: true",
         "Z") ", Default: B}, B: {Type: Wait, Seconds: 1, Next: C}, C: {Type: Pass, Next: B}"),
     "ASL_LOOP_NEVER_LEFT /States/B\n"},
    {MACHINE("A: {Type: Choice, " IF("Variable: $.a, IsNull: true",
                                     "Z") ", Default: B}, B: {Type: Wait, Seconds: 1, Next: B}"),
     "ASL_LOOP_NEVER_LEFT /States/B\n"},
    {MACHINE(
         "A: {Type: Choice, " IF("Variable: $.a, IsNull: true",
                                 "Z") ", Default: B}, B: {" TASK
                                      ", Next: B, Catch: [{ErrorEquals: [States.ALL], Next: Z}]}"),
     ""},
    {"{StartAt: A, States: {A: {Type: Pass, Next: A}}}", ""}, /* ASL_NO_END says it */

    /* a Choice that sees the same each time */
    {MACHINE("A: {Type: Pass, Next: B}, " POLL "A}"), "ASL_LOOP_CHANGES_NOTHING /States/A\n"},
    {MACHINE("A: {Type: Wait, Seconds: 5, Next: B}, " POLL "A}"),
     "ASL_LOOP_CHANGES_NOTHING /States/A\n"},
    {MACHINE("A: {Type: Pass, ResultPath: null, Result: 1, Next: B}, " POLL "A}"),
     "ASL_LOOP_CHANGES_NOTHING /States/A\n"},
    {MACHINE("A: {Type: Pass, ResultPath: $.other, Result: 1, Next: B}, " POLL "A}"),
     "ASL_LOOP_CHANGES_NOTHING /States/A\n"},
    {MACHINE("A: {" TASK ", " ASKS("$.id") ", ResultPath: $.job, Next: W}, W: {Type: Wait, "
                                           "Seconds: 5, Next: B}, " POLL "A}"),
     "ASL_LOOP_CHANGES_NOTHING /States/A\n"},
    {MACHINE("A: {" TASK ", " ASKS("$.id") ", ResultPath: $.status, Next: W}, W: {Type: Wait, "
                                           "Seconds: 5, Next: B}, " POLL "A}"),
     ""},
    {MACHINE("A: {" TASK ", " ASKS("$.id") ", Next: W}, W: {Type: Wait, Seconds: 5, Next: B}, " POLL
                                           "A}"),
     ""}, /* the result replaces all */
    {MACHINE("A: {" TASK ", " ASKS(
         "$.id") ", ResultPath: $.job, Next: W, Catch: [{ErrorEquals: "
                 "[Gone], Next: Z}]}, W: {Type: Wait, Seconds: 5, Next: B}, " POLL "A}"),
     ""}, /* an error ends it */
    {MACHINE("A: {Type: Wait, Seconds: 5, Next: B}, B: {Type: Choice, " IF(
         "Variable: $$.State.EnteredTime, TimestampGreaterThanPath: $.until", "Z") ", Default: A}"),
     ""}, /* time goes by */
    {MACHINE("A: {Type: Pass, Parameters: {n.$: 'States.MathAdd($.n, 1)'}, Next: B}, B: {Type: "
             "Choice, " IF("Variable: $.n, NumericGreaterThan: 3", "Z") ", Default: A}"),
     ""}, /* a counter */
    {MACHINE("A: {Type: Pass, Parameters: {v.$: 'States.MathAdd($.n.v, 1)'}, ResultPath: $.n, "
             "Next: B}, B: {Type: Choice, " IF("Variable: $.n.v, NumericGreaterThan: 3",
                                               "Z") ", Default: A}"),
     ""},
    {MACHINE("A: {Type: Pass, ResultPath: null, Assign: {n.$: 'States.MathAdd($n, 1)'}, Next: B}, "
             "B: {Type: Choice, " IF("Variable: $n, NumericGreaterThan: 3", "Z") ", Default: A}"),
     ""},
    {MACHINE("A: {Type: Pass, ResultPath: null, Assign: {m.$: 'States.MathAdd($m, 1)'}, Next: B}, "
             "B: {Type: Choice, " IF("Variable: $n, NumericGreaterThan: 3", "Z") ", Default: A}"),
     "ASL_LOOP_CHANGES_NOTHING /States/A\n"},
    {MACHINE("A: {Type: Pass, InputPath: $.rest, Next: B}, " POLL "A}"), ""},
    {MACHINE("A: {Type: Pass, OutputPath: $.rest, Next: B}, " POLL "A}"), ""},
    {"{StartAt: P, States: {P: {Type: Parallel, End: true, Branches: [" MACHINE(
         "A: {Type: Pass, Next: B}, " POLL "A}") "]}}}",
     "ASL_LOOP_CHANGES_NOTHING /States/P/Branches/0/States/A\n"},
    {"{StartAt: M, States: {M: {Type: Map, End: true, ItemProcessor: " MACHINE(
         "A: {Type: Pass, Next: B}, " POLL "A}") "}}}",
     "ASL_LOOP_CHANGES_NOTHING /States/M/ItemProcessor/States/A\n"},

    /* the same question without a pause */
    {MACHINE("A: {" TASK ", " ASKS("$.id") ", ResultPath: $.status, Next: B}, " POLL "A}"),
     "ASL_LOOP_WITHOUT_WAIT /States/A\n"},
    {MACHINE("A: {" TASK ", " ASKS("$.status.next") ", ResultPath: $.status, Next: B}, " POLL "A}"),
     ""}, /* page after page */
    {MACHINE("A: {" TASK ", ResultPath: $.status, Next: B}, " POLL "A}"), ""},
    {MACHINE("A: {" TASK
             ", " ASKS("$.id") ", ResultPath: $.status, Next: B}, " POLL
                               "C}, C: {Type: Pass, Parameters: {v.$: 'States.MathAdd($.n.v, 1)'}, "
                               "ResultPath: $.n, "
                               "Next: D}, D: {Type: Choice, " IF(
                                   "Variable: $.n.v, NumericLessThan: 5", "A") ", Default: Z}"),
     ""}, /* at most five times */
    {MACHINE("A: {" TASK ", " ASKS("$.id") ", End: true, Catch: [{ErrorEquals: [States.ALL], "
                                           "ResultPath: $.error, Next: A}]}"),
     "ASL_LOOP_WITHOUT_WAIT /States/A\n"},
    {MACHINE("A: {Type: Task, Resource: r.waitForTaskToken, TimeoutSeconds: 5, " ASKS(
         "$.id") ", ResultPath: $.status, Next: B}, " POLL "A}"),
     ""}, /* somebody answers */
    {MACHINE("A: {" TASK ", Parameters: {a.$: \"States.Format('$.status', $.id)\"}, ResultPath: "
             "$.status, Next: B}, " POLL "A}"),
     "ASL_LOOP_WITHOUT_WAIT /States/A\n"}, /* a path in quotes is a text */
    {MACHINE("A: {" TASK
             ", Parameters: {a.$: \"States.Format('it\\\\'s', $.status)\"}, ResultPath: "
             "$.status, Next: B}, " POLL "A}"),
     ""},
    {MACHINE("A: {" TASK ", InputPath: $.id, " ASKS("$.status") ", ResultPath: $.status, Next: "
                                                                "B}, " POLL "A}"),
     "ASL_LOOP_WITHOUT_WAIT /States/A\n"}, /* $.status of $.id */

    {MACHINE("A: {" TASK ", " ASKS("$.id") ", ResultPath: $.status, Next: P}, P: {Type: Parallel, "
                                           "ResultPath: null, Next: B, Branches: [{StartAt: Q, "
                                           "States: {Q: {Type: Wait, Seconds: 5, "
                                           "End: true}}}]}, " POLL "A}"),
     ""}, /* there may be a pause inside */
    {MACHINE("A: {" TASK ", " ASKS("$.id") ", ResultPath: $.status, Next: M}, M: {Type: Map, "
                                           "ResultPath: null, Next: B, ItemProcessor: {StartAt: Q, "
                                           "States: {Q: {Type: Wait, Seconds: "
                                           "5, End: true}}}}, " POLL "A}"),
     ""},
    {MACHINE("A: {" TASK ", " ASKS(
         "$.id") ", ResultPath: $.status, Next: C}, C: {Type: Pass, "
                 "Parameters: {v.$: 'States.MathAdd($.n.v, 1)'}, ResultPath: $.n, Next: B}, B: "
                 "{Type: "
                 "Choice, " IF("Variable: $.status, StringEquals: DONE",
                               "D") ", Default: A}, D: {Type: "
                                    "Choice, " IF("Variable: $.n.v, NumericLessThan: 5",
                                                  "Z") ", Default: Z}"),
     "ASL_LOOP_WITHOUT_WAIT /States/A\n"}, /* what is counted is looked at too late */
    {MACHINE("A: {" TASK ", " ASKS("$.id") ", ResultPath: $.status, Next: B}, B: {Type: Choice, "
                                           "Choices: [{Variable: $.status, StringEquals: DONE, "
                                           "Next: Z}], Default: W}, W: {Type: "
                                           "Wait, Seconds: 5, Next: X}, X: {Type: Choice, " IF(
                                               "Variable: $.hold, BooleanEquals: "
                                               "true",
                                               "W") ", Default: A}"),
     "ASL_LOOP_CHANGES_NOTHING /States/W\n"}, /* a small loop within one that is fine */

    {MACHINE("A: {" TASK ", Parameters: {a.$: \"States.Format('x $.status', $$.status)\"}, "
             "ResultPath: $.status, Next: B}, " POLL "A}"),
     "ASL_LOOP_WITHOUT_WAIT /States/A\n"}, /* the context object is other data */
    {MACHINE("A: {" TASK
             ", Parameters: {l: [1, {a.$: $.status.next}]}, ResultPath: $.status, Next: "
             "B}, " POLL "A}"),
     ""},

    /* what rules look at, however deep */
    {MACHINE("A: {" TASK
             ", " ASKS("$.id") ", ResultPath: $.status, Next: W}, W: {Type: Wait, "
                               "Seconds: 5, Next: B}, B: {Type: Choice, " IF(
                                   "Not: {Variable: $.status, IsNull: true}", "Z") ", Default: A}"),
     ""},
    {MACHINE("A: {" TASK ", " ASKS("$.id") ", ResultPath: $.status, Next: W}, W: {Type: Wait, "
                                           "Seconds: 5, Next: B}, B: {Type: Choice, " IF(
                                               "And: [{Variable: $.status, IsNull: true}]",
                                               "Z") ", Default: A}"),
     ""},
    {MACHINE("A: {" TASK ", " ASKS("$.id") ", ResultPath: $.status, Next: W}, W: {Type: Wait, "
                                           "Seconds: 5, Next: B}, B: {Type: Choice, " IF(
                                               "Or: [{Variable: $.status, IsNull: true}]",
                                               "Z") ", Default: A}"),
     ""},
    {MACHINE(
         "A: {Type: Pass, ResultPath: null, Assign: {count: 5}, Next: B}, B: {Type: Choice, " IF(
             "Variable: $count, NumericGreaterThan: 3", "Z") ", Default: A}"),
     ""},

    /* time */
    {LIMITED(10, "A: {" TASK ", TimeoutSeconds: 11, End: true}"),
     "ASL_TIMEOUT_TOO_LONG /States/A/TimeoutSeconds\n"},
    {LIMITED(10, "A: {" TASK ", TimeoutSeconds: 10, End: true}"), ""},
    {MACHINE("A: {" TASK ", TimeoutSeconds: 11, End: true}"), ""},
    {LIMITED(10, "A: {Type: Wait, Seconds: 11, End: true}"),
     "ASL_WAITS_TOO_LONG /TimeoutSeconds\nASL_TIMEOUT_TOO_LONG /States/A/Seconds\n"},
    {LIMITED(10, "A: {Type: Wait, Seconds: 6, Next: B}, B: {Type: Wait, Seconds: 5, Next: Z}"),
     "ASL_WAITS_TOO_LONG /TimeoutSeconds\n"},
    {LIMITED(10, "A: {Type: Wait, Seconds: 6, Next: B}, B: {Type: Wait, Seconds: 4, Next: Z}"), ""},
    {LIMITED(10, "A: {Type: Choice, " IF(
                     "Variable: $.a, IsNull: true",
                     "Z") ", Default: B}, B: {Type: Wait, Seconds: 6, Next: C}, C: {Type: Wait, "
                          "Seconds: 6, Next: Z}"),
     ""}, /* there is a shorter way */
    {LIMITED(10, "A: {Type: Choice, " IF(
                     "Variable: $.a, IsNull: true",
                     "F") ", Default: B}, B: {Type: Wait, Seconds: 6, Next: C}, C: {Type: Wait, "
                          "Seconds: 6, Next: Z}, F: {Type: Fail}"),
     "ASL_WAITS_TOO_LONG /TimeoutSeconds\n"}, /* that to Fail does not count */
    {LIMITED(10, "A: {Type: Choice, " IF(
                     "Variable: $.a, IsNull: true",
                     "Z") ", Default: B}, B: {Type: Wait, Seconds: 6, Next: C}, C: {Type: Wait, "
                          "Seconds: 6, End: true}"),
     ""}, /* the nearest end counts */
    {LIMITED(10, "A: {Type: Parallel, Next: B, Branches: [{StartAt: C, States: {C: {Type: Wait, "
                 "Seconds: 1, End: true}}}, {StartAt: D, States: {D: {Type: Wait, Seconds: 7, End: "
                 "true}}}]}, B: {Type: Wait, Seconds: 4, Next: Z}"),
     "ASL_WAITS_TOO_LONG /TimeoutSeconds\n"}, /* the slowest branch counts */
    {LIMITED(10, "A: {Type: Parallel, Next: B, Branches: [{StartAt: C, States: {C: {Type: Wait, "
                 "Seconds: 5, End: true}}}, {StartAt: D, States: {D: {Type: Wait, Seconds: 6, End: "
                 "true}}}]}, B: {Type: Wait, Seconds: 4, Next: Z}"),
     ""},
    {LIMITED(10, "A: {" TASK ", End: true, Retry: [{ErrorEquals: [E], IntervalSeconds: 2, "
                 "MaxAttempts: 3}]}"),
     "ASL_RETRIES_TOO_LONG /States/A/Retry\n"}, /* 2 + 4 + 8 */
    {LIMITED(10, "A: {" TASK ", End: true, Retry: [{ErrorEquals: [E], IntervalSeconds: 2, "
                 "MaxAttempts: 2}]}"),
     ""},
    {LIMITED(10, "A: {" TASK ", End: true, Retry: [{ErrorEquals: [E]}]}"), ""}, /* 1 + 2 + 4 */
    {LIMITED(7, "A: {" TASK ", End: true, Retry: [{ErrorEquals: [E]}]}"), ""},
    {LIMITED(6, "A: {" TASK ", End: true, Retry: [{ErrorEquals: [E]}]}"),
     "ASL_RETRIES_TOO_LONG /States/A/Retry\n"},
    {LIMITED(10, "A: {" TASK ", End: true, Retry: [{ErrorEquals: [E], MaxAttempts: 5, "
                 "MaxDelaySeconds: 2}]}"),
     ""}, /* 1 + 2 + 2 + 2 + 2 */
    {LIMITED(8, "A: {" TASK ", End: true, Retry: [{ErrorEquals: [E], MaxAttempts: 5, "
                "MaxDelaySeconds: 2}]}"),
     "ASL_RETRIES_TOO_LONG /States/A/Retry\n"},
    {LIMITED(15, "A: {" TASK ", TimeoutSeconds: 4, End: true, Retry: [{ErrorEquals: [E], "
                 "BackoffRate: 1}]}"),
     "ASL_RETRIES_TOO_LONG /States/A/Retry\n"}, /* four attempts of 4 s, three delays of 1 s */
    {LIMITED(19, "A: {" TASK ", TimeoutSeconds: 4, End: true, Retry: [{ErrorEquals: [E], "
                 "BackoffRate: 1}]}"),
     ""},
    {LIMITED(99999999, "A: {" TASK ", End: true, Retry: [{ErrorEquals: [E], BackoffRate: 1, "
                       "MaxAttempts: 99999999}]}"),
     ""},
    {LIMITED(99999998, "A: {" TASK ", End: true, Retry: [{ErrorEquals: [E], BackoffRate: 1, "
                       "MaxAttempts: 99999999}]}"),
     "ASL_RETRIES_TOO_LONG /States/A/Retry\n"},
    {MACHINE("A: {Type: Task, Resource: r.waitForTaskToken, End: true}"),
     "ASL_NO_TIMEOUT /States/A\n"},
    {MACHINE("A: {Type: Task, Resource: 'onex:signal:wait', End: true}"),
     "ASL_NO_TIMEOUT /States/A\n"},
    {MACHINE("A: {Type: Task, Resource: 'onex:workflow:start.sync', End: true}"),
     "ASL_NO_TIMEOUT /States/A\n"},
    {MACHINE("A: {Type: Task, Resource: r.waitForTaskToken, HeartbeatSeconds: 5, End: true}"), ""},
    {MACHINE("A: {Type: Task, Resource: 'onex:event:publish:to:all', End: true}"), ""},
    {MACHINE("A: {Type: Task, Resource: r.waitForTaskToken, TimeoutSecondsPath: $.t, End: true}"),
     ""},
    {LIMITED(10, "A: {Type: Task, Resource: r.waitForTaskToken, End: true}"), ""},
    {MACHINE("A: {" TASK ", End: true}"), ""}, /* a call has the timeout of its service */

    /* error names */
    {MACHINE("A: {" TASK ", End: true, Retry: [{ErrorEquals: [E, F]}, {ErrorEquals: [F, G]}]}"),
     "ASL_ERROR_TAKEN /States/A/Retry/1/ErrorEquals/0\n"},
    {MACHINE("A: {" TASK ", End: true, Retry: [{ErrorEquals: [E, E]}]}"),
     "ASL_ERROR_TAKEN /States/A/Retry/0/ErrorEquals/1\n"},
    {MACHINE("A: {" TASK ", End: true, Retry: [{ErrorEquals: [E]}], Catch: [{ErrorEquals: [E], "
             "Next: Z}]}"),
     ""},
    {MACHINE("A: {" TASK ", End: true, Catch: [{ErrorEquals: [States.TaskFailed], Next: Z}, "
             "{ErrorEquals: [E, States.Timeout, States.DataLimitExceeded], Next: Z}]}"),
     "ASL_ERROR_TAKEN /States/A/Catch/1/ErrorEquals/0\n"},
    {MACHINE("A: {" TASK ", End: true, Catch: [{ErrorEquals: [States.Timeout], Next: Z}, "
             "{ErrorEquals: [States.HeartbeatTimeout], Next: Z}, {ErrorEquals: [States.ALL], Next: "
             "Z}]}"),
     "ASL_ERROR_TAKEN /States/A/Catch/1/ErrorEquals/0\n"},

    /* choice rules */
    {MACHINE("A: {Type: Choice, Choices: [{Variable: $.a, NumericEquals: 1, Next: Z}, {Variable: "
             "$.a, NumericEquals: 2, Next: Z}, {NumericEquals: 1.0, Variable: $.a, Comment: c, "
             "Next: B}]}, B: {Type: Fail}"),
     "ASL_CHOICE_REPEATED /States/A/Choices/2\n"},
    {MACHINE("A: {Type: Choice, Choices: [{Variable: $.a, StringEquals: b, Next: Z}, {Variable: "
             "$.a, StringLessThan: b, Next: Z}, {Variable: $.b, StringEquals: b, Next: Z}]}"),
     ""},
    {MACHINE("A: {Type: Choice, Choices: [{Not: {Variable: $.a, IsNull: true}, Next: Z}, {Not: "
             "{Variable: $.a, IsNull: true}, Next: Z}, {Not: {Variable: $.a, IsNull: false}, Next: "
             "Z}]}"),
     "ASL_CHOICE_REPEATED /States/A/Choices/1\n"},

    {MACHINE("A: {Type: Choice, Choices: [{Variable: $.a, IsNull: true, Next: Z}, {Not: {Variable: "
             "$.a, IsNull: true}, Next: Z}, {Variable: $.a, IsNull: false, Next: Z}]}"),
     ""},

    /* what a Catch throws away */
    {MACHINE("A: {" TASK ", Next: Z, Catch: [{ErrorEquals: [States.ALL], Next: B}]}, B: {" TASK
             ", Parameters: {a.$: $.order.id, b.$: $.name}, End: true}"),
     "ASL_INPUT_LOST /States/A/Catch/0\n"}, /* once for a Catch */
    {MACHINE("A: {" TASK ", Next: Z, Catch: [{ErrorEquals: [E], Next: Z}, {ErrorEquals: "
             "[States.ALL], Next: B}]}, B: {" TASK ", " ASKS("$.order.id") ", End: true}"),
     "ASL_INPUT_LOST /States/A/Catch/1\n"},
    {MACHINE("A: {" TASK ", Next: Z, Catch: [{ErrorEquals: [States.ALL], Next: B, ResultPath: "
             "$.error}]}, B: {" TASK ", " ASKS("$.order.id") ", End: true}"),
     ""},
    {MACHINE("A: {" TASK ", Next: Z, Catch: [{ErrorEquals: [States.ALL], Next: B, ResultPath: "
             "null}]}, B: {" TASK ", " ASKS("$.order.id") ", End: true}"),
     ""},
    {MACHINE("A: {" TASK ", Next: Z, Catch: [{ErrorEquals: [States.ALL], Next: B}]}, B: {" TASK
             ", Parameters: {a.$: $.Error, b.$: 'States.StringToJson($.Cause)', c.$: $, d.$: "
             "$$.Execution.Id, e.$: $saved}, End: true}"),
     ""},
    {MACHINE("A: {" TASK ", Next: Z, Catch: [{ErrorEquals: [States.ALL], Next: B}]}, B: {Type: "
             "Choice, " IF("Variable: $.order, IsPresent: true", "Z") ", Default: Z}"),
     ""},
    {MACHINE("A: {" TASK ", Next: Z, Catch: [{ErrorEquals: [States.ALL], Next: B, ResultPath: "
             "$}]}, B: {Type: Wait, SecondsPath: $.pause, End: true}"),
     "ASL_INPUT_LOST /States/A/Catch/0\n"},
    {MACHINE("A: {" TASK ", Next: Z, Catch: [{ErrorEquals: [States.ALL], Next: B}]}, B: {Type: "
             "Pass, InputPath: $.Errors, End: true}"),
     "ASL_INPUT_LOST /States/A/Catch/0\n"},

    /* what asl_compile refuses must not stop the rest */
    {"[]", ""},
    {"{StartAt: A, States: {A: 5, B: {Type: Choice, Choices: 5, Catch: {}}}}", ""},
    {"{StartAt: A, TimeoutSeconds: x, States: {A: {Type: Task, Retry: [5, {MaxAttempts: x}], "
     "Catch: "
     "[5], Next: 7, End: true}}}",
     ""},
};

START_TEST(test_warnings)
{
    struct findings findings = {0};
    struct source_map *map = NULL;
    struct json *document =
        yaml_parse("t.yaml", cases[_i].definition, strlen(cases[_i].definition), &map, &findings);
    ck_assert_msg(document != NULL, "%s", cases[_i].definition);
    struct asl_outline *outline = asl_outline_new(document, "");
    asl_lint(outline, map, &findings);
    findings_sort(&findings, 0);
    struct buffer told = {0};
    for (size_t i = 0; i < findings.count; i++)
        buffer_append_format(&told, "%s %s\n", findings.items[i].code, findings.items[i].pointer);
    ck_assert_msg(strcmp(buffer_text(&told), cases[_i].expected) == 0, "%s\ntold: %sexpected: %s",
                  cases[_i].definition, buffer_text(&told), cases[_i].expected);
    ck_assert_uint_eq(findings.errors, 0);
    asl_outline_free(outline);
    json_release(document);
    source_map_free(map);
    findings_fini(&findings);
    buffer_fini(&told);
}
END_TEST

/* -- loops -- */

static char *loops_of(const char *definition)
{
    struct findings findings = {0};
    struct json *document = yaml_parse("t.yaml", definition, strlen(definition), NULL, &findings);
    struct asl_outline *outline = asl_outline_new(document, "");
    struct asl_loops loops;
    struct buffer told = {0};
    asl_loops_find(&loops, &outline->scope, NULL);
    for (size_t i = 0; i < loops.count; i++) {
        asl_loops_describe(&loops, i, &told);
        buffer_append_text(&told, "\n");
    }
    asl_loops_fini(&loops);
    asl_outline_free(outline);
    json_release(document);
    findings_fini(&findings);
    return buffer_take(&told);
}

static void loops_are(const char *definition, const char *expected)
{
    char *told = loops_of(definition);
    ck_assert_str_eq(told ? told : "", expected);
    free(told);
}

START_TEST(test_loops)
{
    loops_are("{StartAt: A, States: {A: {Type: Pass, Next: B}, B: {Type: Pass, End: true}}}", "");
    loops_are("{StartAt: A, States: {A: {Type: Pass, Next: A}}}", "A -> A\n");
    loops_are("{StartAt: A, States: {A: {Type: Pass, Next: B}, B: {Type: Pass, Next: C}, C: {Type: "
              "Choice, Choices: [{Next: B}], Default: D}, D: {Type: Choice, Choices: [{Next: D}], "
              "Default: E}, E: {Type: Pass, End: true}}}",
              "D -> D\nB -> C -> B\n");
    loops_are("{StartAt: C, States: {A: {Type: Pass, Next: B}, B: {Type: Pass, Next: A}, C: {Type: "
              "Choice, Choices: [{Next: A}], Default: D}, D: {Type: Pass, Next: C}}}",
              "A -> B -> A\nC -> D -> C\n"); /* one leads into the other, which is done already */
    loops_are("{StartAt: A, States: {A: {Type: Pass, Next: B}, B: {Type: Pass, Next: C}, C: {Type: "
              "Pass, Next: D}, D: {Type: Pass, Next: E}, E: {Type: Pass, Next: F}, F: {Type: Pass, "
              "Next: G}, G: {Type: Pass, Next: H}, H: {Type: Pass, Next: I}, I: {Type: Pass, Next: "
              "A}}}",
              "A -> B -> C -> D -> E -> F -> G -> H -> I -> A\n");
    loops_are("{StartAt: A, States: {A: {Type: Pass, Next: B}, B: {Type: Choice, Choices: [{Next: "
              "C}], Default: A}, C: {Type: Pass, Next: B}}}",
              "A -> B -> A\n"); /* one largest set */
    loops_are("{StartAt: A, States: {A: {Type: Pass, Next: B}, B: {Type: Pass, Next: C}, C: {Type: "
              "Pass, Next: D}, D: {Type: Pass, Next: E}, E: {Type: Pass, Next: F}, F: {Type: Pass, "
              "Next: G}, G: {Type: Pass, Next: H}, H: {Type: Pass, Next: I}, I: {Type: Pass, Next: "
              "J}, J: {Type: Pass, Next: A}}}",
              "A -> B -> C -> D -> E -> F -> G -> H -> I -> ... -> A\n");
}
END_TEST

/* As many states as a machine may have, in one loop: no recursion, no long search. */
START_TEST(test_many_states)
{
    struct buffer text = {0};
    buffer_append_text(&text, "{\"StartAt\":\"S0\",\"States\":{");
    for (int i = 0; i < 10000; i++)
        buffer_append_format(&text, "\"S%d\":{\"Type\":\"Pass\",\"Next\":\"S%d\"},", i,
                             (i + 1) % 10000);
    buffer_append_text(&text, "\"Z\":{\"Type\":\"Succeed\"}}}");
    struct json *document = json_parse(text.data, text.bytes, NULL, NULL);
    ck_assert_ptr_nonnull(document);
    struct findings findings = {0};
    struct asl_outline *outline = asl_outline_new(document, "");
    asl_lint(outline, NULL, &findings);
    ck_assert_uint_eq(findings.count, 1);
    ck_assert_str_eq(findings.items[0].code, "ASL_LOOP_NEVER_LEFT");
    asl_outline_free(outline);
    json_release(document);
    findings_fini(&findings);
    buffer_fini(&text);
}
END_TEST

/* -- the list of findings -- */

START_TEST(test_order_and_bound)
{
    struct findings findings = {0};
    struct source_map *map = source_map_new("f");
    source_map_add(map, "/a", 3, 1);
    source_map_add(map, "/b", 2, 9);
    source_map_add(map, "/c", 2, 1);
    finding_add(&findings, FINDING_ERROR, map, "/z", "FIRST", "of another file");
    static const char *const pointers[] = {"/a", "/b", "/c", "/a", "/b"};
    for (size_t i = 0; i < 5; i++)
        finding_add(&findings, FINDING_ERROR, map, pointers[i], i == 3 ? "B" : "C", "text");
    finding_add(&findings, FINDING_WARNING, map, "/b", "C", "other text");
    findings_sort(&findings, 1);
    struct buffer out = {0};
    findings_write(&findings, &out);
    ck_assert_str_eq(buffer_text(&out),
                     "f:1:1: error FIRST: of another file\nf:2:1: error C: text\nf:2:9: warning C: "
                     "other text\nf:2:9: error C: text\nf:3:1: error B: text\nf:3:1: error C: "
                     "text\n");
    ck_assert_uint_eq(findings.errors, 5);
    struct json *list = findings_json(&findings);
    ck_assert_uint_eq(json_size(list), 6);
    ck_assert_str_eq(json_string_or(json_get(json_at(list, 2), "severity"), ""), "warning");
    ck_assert_str_eq(json_string_or(json_get(json_at(list, 3), "severity"), ""), "error");
    json_release(list);
    while (findings.count < FINDINGS_MAX)
        finding_add(&findings, FINDING_WARNING, map, "/a", "D", "text");
    for (int i = 0; i < 7; i++)
        finding_add(&findings, FINDING_ERROR, map, "/a", "E", "text");
    ck_assert_uint_eq(findings.count, FINDINGS_MAX);
    ck_assert_uint_eq(findings.left_out, 7);
    ck_assert_uint_eq(findings.errors, 12);
    buffer_clear(&out);
    findings_write(&findings, &out);
    ck_assert_str_eq(out.data + out.bytes - strlen("\nand 7 more\n"), "\nand 7 more\n");
    buffer_fini(&out);
    findings_fini(&findings);
    source_map_free(map);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("asl_lint");
    TCase *rules = tcase_create("rules");
    tcase_add_loop_test(rules, test_warnings, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(rules, test_loops);
    tcase_add_test(rules, test_many_states);
    tcase_add_test(rules, test_order_and_bound);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
