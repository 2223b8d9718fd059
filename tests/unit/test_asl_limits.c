/* SPDX-License-Identifier: MIT */
/* Limits of a run that a small definition reaches, and what a failed state must not leave behind. */
#include "asl_story.h"

#include "base/limits.h"
#include "core/asl_internal.h"

static char *limited(const char *yaml, const char *input, const char *script, size_t bytes_max)
{
    char *definition = json_of(yaml);
    char *told = story_run_limited(definition, input, script, bytes_max);
    free(definition);
    return told;
}

static void ends_limited(const char *yaml, const char *input, const char *script, size_t bytes_max,
                         const char *expected)
{
    char *told = limited(yaml, input, script, bytes_max);
    const char *line = last_line(told);
    ck_assert_msg(strncmp(line, expected, strlen(expected)) == 0, "%s: %.300s", yaml, line);
    free(told);
}

#define DATA_LIMIT "failed States.DataLimitExceeded: "

START_TEST(test_sizes)
{
    /* a Result larger than data may be */
    ends_limited("{StartAt: A, States: {A: {Type: Pass, Result: {a: 12345678901234567890}, End: "
                 "true}}}",
                 "{}", "", 20, DATA_LIMIT "The data of the state \"A\" have more than 20 octets");
    /* results are counted when their bounds do not settle it, and what follows is counted too */
    ends_limited("{StartAt: M, States: {M: {Type: Map, End: true, MaxConcurrency: 1, "
                 "ItemProcessor: {StartAt: P, States: {P: {Type: Pass, End: true}}}}}}",
                 "[1,2,3,4,5,6,7,8,9]", "", 24, "succeeded [1,2,3,4,5,6,7,8,9]");
}
END_TEST

/* The list around results is one deeper than they are. */
START_TEST(test_depth_of_results)
{
    static const int depths[] = {ASL_DATA_DEPTH_MAX - 2, ASL_DATA_DEPTH_MAX - 1,
                                 ASL_DATA_DEPTH_MAX};
    for (size_t d = 0; d < 3; d++) {
        struct buffer input = {0};
        for (int i = 0; i < depths[d]; i++)
            buffer_append_char(&input, '[');
        for (int i = 0; i < depths[d]; i++)
            buffer_append_char(&input, ']');
        ends_limited("{StartAt: P, States: {P: {Type: Parallel, End: true, Branches: [{StartAt: A, "
                     "States: {A: {Type: Pass, End: true}}}]}}}",
                     buffer_text(&input), "", 0,
                     depths[d] == ASL_DATA_DEPTH_MAX ? DATA_LIMIT : "succeeded");
        buffer_fini(&input);
    }
}
END_TEST

/* A state that fails after its Assign leaves no variables, also where a Catch takes the error. */
START_TEST(test_a_failed_state_assigns_nothing)
{
    ends_limited("{StartAt: V, States: {V: {Type: Pass, Assign: {x: old}, Next: A}, A: {Type: "
                 "Task, Resource: r, Assign: {x: new}, ResultPath: '$.a.b', Catch: [{ErrorEquals: "
                 "[States.ResultPathMatchFailure], ResultPath: null, Next: B}], Next: B}, B: "
                 "{Type: Pass, Parameters: {x.$: $x}, End: true}}}",
                 "{\"a\":1}", "ok 1 0", 0, "succeeded {\"x\":\"old\"}");
}
END_TEST

START_TEST(test_a_rule_has_its_own_assign)
{
    ends_limited("{StartAt: V, States: {V: {Type: Pass, Assign: {x: old}, Next: C}, C: {Type: "
                 "Choice, Assign: {x: default}, Choices: [{Variable: $.a, IsPresent: true, Next: "
                 "B}], Default: B}, B: {Type: Pass, Parameters: {x.$: $x}, End: true}}}",
                 "{\"a\":1}", "", 0, "succeeded {\"x\":\"old\"}");
}
END_TEST

START_TEST(test_the_item_is_seen_two_branches_down)
{
    ends_limited("{StartAt: M, States: {M: {Type: Map, End: true, ItemProcessor: {StartAt: P, "
                 "States: {P: {Type: Parallel, End: true, Branches: [{StartAt: Q, States: {Q: "
                 "{Type: Parallel, End: true, Branches: [{StartAt: A, States: {A: {Type: Pass, "
                 "Parameters: {i.$: $$.Map.Item.Value}, End: true}}}]}}}]}}}}}}",
                 "[7]", "", 0, "succeeded [[[{\"i\":7}]]]");
}
END_TEST

/* Whose answers come at once goes round within one step's bounds. */
START_TEST(test_answers_at_once)
{
    struct json *document = story_json("{}");
    char *definition =
        json_of("{StartAt: A, States: {A: {Type: Task, Resource: r, Next: B}, B: {Type: "
                "Choice, Choices: [{Variable: $.stop, IsPresent: true, Next: C}], "
                "Default: A}, C: {Type: Succeed}}}");
    struct asl_machine *machine = story_compile(definition);
    struct asl_identity identity = {"w", "w", "m", "m", STORY_START_US, NULL, NULL};
    struct asl_execution *execution = asl_execution_new(machine, &identity, document);
    struct asl_effects effects = {0};
    struct asl_event event = {.type = ASL_START, .now_us = STORY_START_US};
    size_t steps = 0;
    while (!asl_execution_ended(execution) && steps++ <= ASL_TRANSITIONS_IN_A_ROW_MAX) {
        asl_effects_clear(&effects);
        ck_assert_int_eq(asl_step(execution, &event, &effects), ERR_OK);
        event = (struct asl_event){.type = ASL_TASK_SUCCEEDED,
                                   .wait = effects.items[effects.count - 1].wait,
                                   .result = document,
                                   .at_once = true,
                                   .now_us = STORY_START_US};
    }
    ck_assert(asl_execution_ended(execution));
    ck_assert_str_eq(effects.items[effects.count - 1].error, ASL_ERROR_RUNTIME);
    asl_effects_fini(&effects);
    asl_execution_free(execution);
    asl_machine_free(machine);
    json_release(document);
    free(definition);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("asl_limits");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_sizes);
    tcase_add_test(tests, test_depth_of_results);
    tcase_add_test(tests, test_a_failed_state_assigns_nothing);
    tcase_add_test(tests, test_a_rule_has_its_own_assign);
    tcase_add_test(tests, test_the_item_is_seen_two_branches_down);
    tcase_add_test(tests, test_answers_at_once);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
