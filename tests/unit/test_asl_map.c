/* SPDX-License-Identifier: MIT */
/* Map states, variables, task tokens and heartbeats. */
#include "asl_story.h"

#include "base/limits.h"

#define EACH_TASK "{StartAt: T, States: {T: {Type: Task, Resource: r, End: true}}}"
#define MAP(fields) "{StartAt: M, States: {M: {Type: Map, End: true, " fields "}}}"

/* Definition, input, script, and the whole story. */
static const struct {
    const char *definition, *input, *script, *story;
} stories[] = {
    /* as many at a time as allowed; results by item, whatever the order of the answers */
    {MAP("MaxConcurrency: 2, ItemProcessor: " EACH_TASK), "[10,20,30]",
     "ok 2 \"b\"\nok 3 \"c\"\nok 1 \"a\"",
     "enter M [10,20,30]\nenter T 10\ncall 1 M/0/T 0.1 r 10\nenter T 20\ncall 2 M/1/T 1.1 r 20\n"
     "exit T \"b\"\nenter T 30\ncall 3 M/2/T 2.1 r 30\nexit T \"c\"\nexit T \"a\"\n"
     "exit M [\"a\",\"b\",\"c\"]\nsucceeded [\"a\",\"b\",\"c\"]\n"},
    /* the path form, and $$.Map.Item */
    {MAP("ItemsPath: $.list, MaxConcurrencyPath: $.n, ResultPath: $.out, ItemSelector: "
         "{i.$: $$.Map.Item.Index, v.$: $$.Map.Item.Value, n.$: $.n}, ItemProcessor: {StartAt: P, "
         "States: {P: {Type: Pass, Parameters: {all.$: $, again.$: $$.Map.Item.Value}, "
         "OutputPath: $.again, End: true}}}"),
     "{\"list\":[7,8],\"n\":1}", "",
     "enter M {\"list\":[7,8],\"n\":1}\nenter P {\"i\":0,\"v\":7,\"n\":1}\nexit P 7\n"
     "enter P {\"i\":1,\"v\":8,\"n\":1}\nexit P 8\n"
     "exit M {\"list\":[7,8],\"n\":1,\"out\":[7,8]}\nsucceeded "
     "{\"list\":[7,8],\"n\":1,\"out\":[7,8]}\n"},
    {MAP("ItemProcessor: " EACH_TASK), "[]", "", "enter M []\nexit M []\nsucceeded []\n"},
    {MAP("ItemProcessor: " EACH_TASK), "{}", "",
     "enter M {}\nfailed States.Runtime: The items of the state \"M\", at $, must be an array, not "
     "object.\n"},
    {MAP("ItemsPath: $.none, ItemProcessor: " EACH_TASK), "{}", "",
     "enter M {}\nfailed States.Runtime: The items of the state \"M\", at $.none, must be an "
     "array, "
     "not nothing.\n"},
    {MAP("MaxConcurrencyPath: $.n, ItemsPath: $.l, ItemProcessor: " EACH_TASK),
     "{\"l\":[1],\"n\":-1}", "",
     "enter M {\"l\":[1],\"n\":-1}\nfailed States.Runtime: $.n of the state \"M\" must find a "
     "whole "
     "number from 0 to 9223372036854775807.\n"},
    /* an item that fails ends the others; Retry begins all items again, Catch goes on */
    {"{StartAt: M, States: {M: {Type: Map, Next: Z, Retry: [{ErrorEquals: [E], MaxAttempts: 1}], "
     "Catch: [{ErrorEquals: [States.BranchFailed], ResultPath: $.e, Next: Z}], ItemsPath: $.l, "
     "ItemProcessor: " EACH_TASK "}, Z: {Type: Succeed}}}",
     "{\"l\":[1,2]}", "fail 2 E one\nfire 3\nok 4 0\nfail 5 E two\nconflict ok 4 0",
     "enter M {\"l\":[1,2]}\nenter T 1\ncall 1 M/0/T 0.1 r 1\nenter T 2\ncall 2 M/1/T 1.1 r 2\n"
     "abandon 1 M/0/T\nretry 3 M 0.2 +1s E\nenter T 1\ncall 4 M/0/T 2.1 r 1\nenter T 2\n"
     "call 5 M/1/T 3.1 r 2\nexit T 0\ncaught M E: two\n"
     "exit M {\"l\":[1,2],\"e\":{\"Error\":\"E\",\"Cause\":\"two\"}}\n"
     "enter Z {\"l\":[1,2],\"e\":{\"Error\":\"E\",\"Cause\":\"two\"}}\n"
     "exit Z {\"l\":[1,2],\"e\":{\"Error\":\"E\",\"Cause\":\"two\"}}\n"
     "succeeded {\"l\":[1,2],\"e\":{\"Error\":\"E\",\"Cause\":\"two\"}}\n"},
    /* within each other, and Parallel in between: paths name the items */
    {MAP("ItemProcessor: {StartAt: N, States: {N: {Type: Map, Next: Q, ItemProcessor: " EACH_TASK
         "}, Q: {Type: Parallel, End: true, Branches: [{StartAt: B, States: {B: {Type: Task, "
         "Resource: s, Parameters: {i.$: $$.Map.Item.Index}, End: true}}}]}}}"),
     "[[5,6]]", "ok 2 6\nok 1 5\nok 3 0",
     "enter M [[5,6]]\nenter N [5,6]\nenter T 5\ncall 1 M/0/N/0/T 0.1 r 5\nenter T 6\n"
     "call 2 M/0/N/1/T 1.1 r 6\nexit T 6\nexit T 5\nexit N [5,6]\nenter Q [5,6]\nenter B [5,6]\n"
     "call 3 M/0/Q/0/B 0.1 s {\"i\":0}\nexit B 0\nexit Q [0]\nexit M [[0]]\nsucceeded [[0]]\n"},
    /* a / in a name does not make two places look the same */
    {"{StartAt: M, States: {M: {Type: Map, Next: M/0/T, ItemProcessor: {StartAt: T, States: {T: "
     "{Type: "
     "Task, Resource: r, End: true}}}}, M/0/T: {Type: Task, Resource: r, End: true}}}",
     "[1]", "ok 1 1\nok 2 2",
     "enter M [1]\nenter T 1\ncall 1 M/0/T 0.1 r 1\nexit T 1\nexit M [1]\nenter M/0/T [1]\n"
     "call 2 M~10~1T 0.1 r [1]\nexit M/0/T 2\nsucceeded 2\n"},
    /* a selector that cannot be evaluated fails the Map state, also in the middle */
    {MAP("MaxConcurrency: 1, ItemSelector: {x.$: $$.Map.Item.Value.a}, ItemProcessor: " EACH_TASK),
     "[{\"a\":1},{\"b\":2}]", "ok 1 0",
     "enter M [{\"a\":1},{\"b\":2}]\nenter T {\"x\":1}\ncall 1 M/0/T 0.1 r {\"x\":1}\nexit T 0\n"
     "failed States.ParameterPathFailure: The path $$.Map.Item.Value.a given for the field \"x.$\" "
     "finds nothing in the context object.\n"},

    /* variables hold from the next state on; all of a state sees the old ones */
    {"{StartAt: A, States: {A: {Type: Pass, Assign: {x: 1, y.$: $.v}, Next: B}, B: {Type: Pass, "
     "Assign: {x.$: $y, y.$: $x}, Parameters: {x.$: $x, y.$: $y}, Next: C}, C: {Type: Pass, "
     "Parameters: {x.$: $x, y.$: $y}, End: true}}}",
     "{\"v\":{\"w\":2}}", "",
     "enter A {\"v\":{\"w\":2}}\nexit A {\"v\":{\"w\":2}}\nenter B {\"v\":{\"w\":2}}\n"
     "exit B {\"x\":1,\"y\":{\"w\":2}}\nenter C {\"x\":1,\"y\":{\"w\":2}}\n"
     "exit C {\"x\":{\"w\":2},\"y\":1}\nsucceeded {\"x\":{\"w\":2},\"y\":1}\n"},
    /* a task assigns from its raw result; an error from the error output, and keeps nothing else */
    {"{StartAt: A, States: {A: {Type: Task, Resource: r, Assign: {x.$: $.k}, ResultSelector: "
     "{z.$: $.none}, Retry: [{ErrorEquals: [States.ParameterPathFailure], MaxAttempts: 0}], Catch: "
     "[{ErrorEquals: [States.ALL], Assign: {e.$: $.Error}, Next: B}], Next: B}, B: {Type: Choice, "
     "Choices: [{Variable: $x, IsPresent: true, Next: C}], Default: D}, C: {Type: Succeed}, D: "
     "{Type: Succeed, InputPath: $e}}}",
     "{}", "ok 1 {\"k\":1}",
     "enter A {}\ncall 1 A 0.1 r {}\ncaught A States.ParameterPathFailure: The path $.none given "
     "for the field \"z.$\" finds nothing in the state's data.\n"
     "exit A {\"Error\":\"States.ParameterPathFailure\",\"Cause\":\"The path $.none given for the "
     "field \\\"z.$\\\" finds nothing in the state's data.\"}\n"
     "enter B {\"Error\":\"States.ParameterPathFailure\",\"Cause\":\"The path $.none given for the "
     "field \\\"z.$\\\" finds nothing in the state's data.\"}\n"
     "exit B {\"Error\":\"States.ParameterPathFailure\",\"Cause\":\"The path $.none given for the "
     "field \\\"z.$\\\" finds nothing in the state's data.\"}\n"
     "enter D {\"Error\":\"States.ParameterPathFailure\",\"Cause\":\"The path $.none given for the "
     "field \\\"z.$\\\" finds nothing in the state's data.\"}\n"
     "exit D \"States.ParameterPathFailure\"\nsucceeded \"States.ParameterPathFailure\"\n"},
    /* a choice rule's own, else that of the Default */
    {"{StartAt: A, States: {A: {Type: Choice, Choices: [{Variable: $.n, NumericEquals: 1, Assign: "
     "{x: one}, Next: B}], Assign: {x: other}, Default: B}, B: {Type: Pass, InputPath: $x, End: "
     "true}}}",
     "{\"n\":1}", "",
     "enter A {\"n\":1}\nexit A {\"n\":1}\nenter B {\"n\":1}\nexit B \"one\"\nsucceeded \"one\"\n"},
    {"{StartAt: A, States: {A: {Type: Choice, Choices: [{Variable: $.n, NumericEquals: 1, Assign: "
     "{x: one}, Next: B}], Assign: {x: other}, Default: B}, B: {Type: Pass, InputPath: $x, End: "
     "true}}}",
     "{\"n\":2}", "",
     "enter A {\"n\":2}\nexit A {\"n\":2}\nenter B {\"n\":2}\nexit B \"other\"\nsucceeded "
     "\"other\"\n"},
    /* Wait assigns when it is over; a loop counts */
    {"{StartAt: A, States: {A: {Type: Pass, Assign: {n: 0}, Next: B}, B: {Type: Wait, Seconds: 5, "
     "Assign: {n.$: 'States.MathAdd($n, 1)'}, Next: C}, C: {Type: Choice, Choices: [{Variable: $n, "
     "NumericLessThan: 2, Next: B}], Default: D}, D: {Type: Succeed, InputPath: $n}}}",
     "{}", "fire 1\nfire 2",
     "enter A {}\nexit A {}\nenter B {}\ntimer 1 B 0.1 +5s\nexit B {}\nenter C {}\nexit C {}\n"
     "enter B {}\ntimer 2 B 1.1 +5s\nexit B {}\nenter C {}\nexit C {}\nenter D {}\nexit D "
     "2\nsucceeded 2\n"},
    /* each item has variables of its own, and reads those around */
    {"{StartAt: A, States: {A: {Type: Pass, Assign: {base: 100}, Next: M}, M: {Type: Map, End: "
     "true, ItemProcessor: {StartAt: P, States: {P: {Type: Pass, Assign: {sum.$: "
     "'States.MathAdd($base, $)'}, Next: Q}, Q: {Type: Pass, InputPath: $sum, End: true}}}}}}",
     "[1,2]", "",
     "enter A [1,2]\nexit A [1,2]\nenter M [1,2]\nenter P 1\nexit P 1\nenter P 2\nexit P 2\n"
     "enter Q 1\nexit Q 101\nenter Q 2\nexit Q 102\nexit M [101,102]\nsucceeded [101,102]\n"},

    /* a token belongs to one attempt; only tasks that wait for it have one */
    {"{StartAt: A, States: {A: {Type: Task, Resource: r.waitForTaskToken, TimeoutSeconds: 60, "
     "HeartbeatSecondsPath: $.h, Parameters: {t.$: $$.Task.Token}, Retry: [{ErrorEquals: "
     "[States.ALL]}], End: true}}}",
     "{\"h\":9}", "fail 1 States.HeartbeatTimeout late\nfire 2\nok 3 \"fine\"",
     "enter A {\"h\":9}\ncall 1 A 0.1 r.waitForTaskToken {\"t\":\"token-1\"} timeout 60000 "
     "heartbeat 9000\nretry 2 A 0.2 +1s States.HeartbeatTimeout\ncall 3 A 0.2 r.waitForTaskToken "
     "{\"t\":\"token-3\"} timeout 60000 heartbeat 9000\nexit A \"fine\"\nsucceeded \"fine\"\n"},
    {"{StartAt: A, States: {A: {Type: Task, Resource: r, Parameters: {t.$: $$.Task.Token}, End: "
     "true}}}",
     "{}", "",
     "enter A {}\nfailed States.ParameterPathFailure: The path $$.Task.Token given for the field "
     "\"t.$\" finds nothing in the context object.\n"},
};

START_TEST(test_stories)
{
    char *told = story_of(stories[_i].definition, stories[_i].input, stories[_i].script);
    ck_assert_str_eq(told, stories[_i].story);
    free(told);
}
END_TEST

static struct json *numbers(int count)
{
    struct json *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append(array, json_int(i));
    return array;
}

static struct asl_machine *compile_yaml(const char *yaml)
{
    char *definition = json_of(yaml);
    struct asl_machine *machine = story_compile(definition);
    free(definition);
    return machine;
}

/* Answers every call at once until the execution ends; the most calls that were open at a time. */
static size_t drive(const struct asl_machine *machine, struct json *input, bool *succeeded,
                    char *error)
{
    struct asl_identity identity = {"w", "w", "m", "m", STORY_START_US, NULL, NULL};
    struct asl_execution *execution = asl_execution_new(machine, &identity, input);
    struct asl_effects effects = {0};
    struct asl_event event = {.type = ASL_START, .now_us = STORY_START_US};
    uint32_t *calls = must_calloc(ASL_MAP_ITEMS_MAX * 2, sizeof *calls);
    size_t count = 0, most = 0;
    *succeeded = false;
    ck_assert_int_eq(asl_step(execution, &event, &effects), ERR_OK);
    while (!asl_execution_ended(execution) || effects.count) {
        for (size_t i = 0; i < effects.count; i++) {
            if (effects.items[i].type == ASL_CALL)
                calls[count++] = effects.items[i].wait;
            *succeeded = *succeeded || effects.items[i].type == ASL_SUCCEEDED;
            if (effects.items[i].type == ASL_FAILED)
                snprintf(error, 64, "%s", effects.items[i].error);
        }
        most = count > most ? count : most;
        asl_effects_clear(&effects);
        if (asl_execution_ended(execution))
            break;
        event = (struct asl_event){
            .type = ASL_TASK_SUCCEEDED, .now_us = STORY_START_US, .wait = calls[--count]};
        ck_assert_int_eq(asl_step(execution, &event, &effects), ERR_OK);
    }
    free(calls);
    asl_effects_fini(&effects);
    asl_execution_free(execution);
    json_release(input);
    return most;
}

START_TEST(test_many_items)
{
    static const struct {
        const char *definition;
        int items;
        size_t most;
        const char *error;
    } runs[] = {
        {MAP("MaxConcurrency: 100, ItemProcessor: " EACH_TASK), 10000, 100, ""},
        {MAP("ItemProcessor: " EACH_TASK), 1000, ASL_MAP_CONCURRENCY_DEFAULT, ""},
        {MAP("MaxConcurrency: 5000, ItemProcessor: " EACH_TASK), 3000, ASL_MAP_CONCURRENCY_MAX, ""},
        /* Pass states wait for nothing, and so many of them are no endless loop */
        {MAP("ItemProcessor: {StartAt: P, States: {P: {Type: Pass, End: true}}}"), 50000, 0, ""},
        {MAP("ItemProcessor: {StartAt: P, States: {P: {Type: Pass, End: true}}}"),
         ASL_MAP_ITEMS_MAX + 1, 0, "States.DataLimitExceeded"},
        {MAP("ItemProcessor: {StartAt: P, States: {P: {Type: Pass, Next: Q}, Q: {Type: Pass, End: "
             "true}}}"),
         60000, 0, ""},
        {MAP("ItemProcessor: {StartAt: P, States: {P: {Type: Pass, Next: Q}, Q: {Type: Pass, Next: "
             "R}, R: {Type: Pass, Next: S}, S: {Type: Pass, Next: T}, T: {Type: Pass, End: "
             "true}}}"),
         ASL_MAP_ITEMS_MAX, 0, "States.Runtime"},
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct asl_machine *machine = compile_yaml(runs[i].definition);
        bool succeeded;
        char error[64] = "";
        size_t most = drive(machine, numbers(runs[i].items), &succeeded, error);
        ck_assert_uint_eq(most, runs[i].most);
        ck_assert_str_eq(error, runs[i].error);
        ck_assert_int_eq(succeeded, !*runs[i].error);
        asl_machine_free(machine);
    }
}
END_TEST

/* Items of items: the inner Map states share what may run at once, and each still goes on. */
START_TEST(test_frames_are_bounded)
{
    struct asl_machine *machine = compile_yaml(
        MAP("MaxConcurrency: 200, ItemProcessor: {StartAt: N, States: {N: {Type: Map, End: true, "
            "MaxConcurrency: 200, ItemProcessor: " EACH_TASK "}}}"));
    struct json *outer = json_array();
    for (int i = 0; i < 200; i++)
        json_array_append(outer, numbers(100));
    bool succeeded;
    char error[64] = "";
    size_t most = drive(machine, outer, &succeeded, error);
    ck_assert(succeeded);
    ck_assert_uint_gt(most, ASL_FRAMES_MAX / 2);
    ck_assert_uint_le(most, ASL_FRAMES_MAX);
    asl_machine_free(machine);
}
END_TEST

/* Branches below the items of a Map state count as well: they wait their turn, nothing fails. */
START_TEST(test_branches_below_items)
{
    struct buffer branches = {0};
    for (int i = 0; i < 30; i++)
        buffer_append_format(
            &branches, "%s{StartAt: T%d, States: {T%d: {Type: Task, Resource: r, End: true}}}",
            i ? ", " : "", i, i);
    struct buffer text = {0};
    buffer_append_format(&text,
                         "{StartAt: M, States: {M: {Type: Map, End: true, MaxConcurrency: 1000, "
                         "ItemProcessor: {StartAt: P, States: {P: {Type: Parallel, End: true, "
                         "Branches: [%s]}}}}}}",
                         buffer_text(&branches));
    struct asl_machine *machine = compile_yaml(buffer_text(&text));
    bool succeeded;
    char error[64] = "";
    size_t most = drive(machine, numbers(1000), &succeeded, error);
    ck_assert_str_eq(error, "");
    ck_assert(succeeded);
    ck_assert_uint_gt(most, ASL_FRAMES_MAX / 2);
    ck_assert_uint_le(most, ASL_FRAMES_MAX);
    asl_machine_free(machine);
    buffer_fini(&branches);
    buffer_fini(&text);
}
END_TEST

/* Results that pile up past the limit end the Map state before they fill the memory. */
START_TEST(test_results_are_bounded)
{
    char *told = story_run_limited(
        "{\"StartAt\":\"M\",\"States\":{\"M\":{\"Type\":\"Map\",\"MaxConcurrency\":1,\"End\":true,"
        "\"ItemProcessor\":{\"StartAt\":\"P\",\"States\":{\"P\":{\"Type\":\"Pass\",\"Result\":"
        "\"0123456789012345678901234567890123456789\",\"End\":true}}}}}}",
        "[1,2,3,4,5,6,7,8,9]", "", 200);
    size_t entered = 0;
    for (const char *at = told; (at = strstr(at, "enter P")); at++)
        entered++;
    ck_assert_uint_eq(entered, 5); /* 43 octets each */
    ck_assert_str_eq(last_line(told), "failed States.DataLimitExceeded: The results of the state "
                                      "\"M\" have more than 200 octets.");
    free(told);
}
END_TEST

/* A loop that waits for a task in one branch of a Parallel state is no endless loop. */
START_TEST(test_waiting_below_counts)
{
    struct asl_machine *machine = compile_yaml(
        "{StartAt: A, States: {A: {Type: Pass, Assign: {n: 0}, Next: G}, G: {Type: Parallel, Next: "
        "C, Branches: [{StartAt: T, States: {T: {Type: Task, Resource: r, End: true}}}]}, C: "
        "{Type: "
        "Pass, Assign: {n.$: 'States.MathAdd($n, 1)'}, Next: D}, D: {Type: Choice, Choices: "
        "[{Variable: $n, NumericLessThan: 6000, Next: G}], Default: E}, E: {Type: Succeed}}}");
    bool succeeded;
    char error[64] = "";
    drive(machine, json_object(), &succeeded, error);
    ck_assert_str_eq(error, "");
    ck_assert(succeeded);
    asl_machine_free(machine);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("asl_map");
    TCase *rules = tcase_create("rules");
    tcase_set_timeout(rules, 60);
    tcase_add_loop_test(rules, test_stories, 0, (int)(sizeof stories / sizeof *stories));
    tcase_add_test(rules, test_many_items);
    tcase_add_test(rules, test_frames_are_bounded);
    tcase_add_test(rules, test_branches_below_items);
    tcase_add_test(rules, test_results_are_bounded);
    tcase_add_test(rules, test_waiting_below_counts);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
