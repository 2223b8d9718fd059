/* SPDX-License-Identifier: MIT */
/* Does the interpreter do what the States Language says? One story of effects for each rule. */
#include "asl_story.h"
#include "base/limits.h"

#define ONE(state) "{\"StartAt\":\"A\",\"States\":{\"A\":" state "}}"
#define TASK_END "\"Type\":\"Task\",\"Resource\":\"echo\",\"End\":true"

START_TEST(test_hello_world)
{
    story_is(ONE("{" TASK_END "}"), "{\"x\":1}", "ok 1 {\"y\":2}",
             "enter A {\"x\":1}\n"
             "call 1 A 0.1 echo {\"x\":1}\n"
             "exit A {\"y\":2}\n"
             "succeeded {\"y\":2}\n");
}
END_TEST

START_TEST(test_pass)
{
    story_is("{\"StartAt\":\"A\",\"States\":{"
             "\"A\":{\"Type\":\"Pass\",\"Result\":{\"x\":0.381,\"y\":622.2},\"ResultPath\":\"$."
             "coords\",\"Next\":\"B\"},"
             "\"B\":{\"Type\":\"Succeed\"}}}",
             "{\"georefOf\":\"Home\"}", "",
             "enter A {\"georefOf\":\"Home\"}\n"
             "exit A {\"georefOf\":\"Home\",\"coords\":{\"x\":0.381,\"y\":622.2}}\n"
             "enter B {\"georefOf\":\"Home\",\"coords\":{\"x\":0.381,\"y\":622.2}}\n"
             "exit B {\"georefOf\":\"Home\",\"coords\":{\"x\":0.381,\"y\":622.2}}\n"
             "succeeded {\"georefOf\":\"Home\",\"coords\":{\"x\":0.381,\"y\":622.2}}\n");
}
END_TEST

START_TEST(test_retry_and_catch)
{
    story_is(
        "{\"StartAt\":\"A\",\"States\":{"
        "\"A\":{\"Type\":\"Task\",\"Resource\":\"echo\",\"Next\":\"C\","
        "\"Retry\":[{\"ErrorEquals\":[\"E\"],\"IntervalSeconds\":3,\"MaxAttempts\":2,"
        "\"BackoffRate\":1.5}],"
        "\"Catch\":[{\"ErrorEquals\":[\"States.ALL\"],\"ResultPath\":\"$.error\",\"Next\":\"C\"}]},"
        "\"C\":{\"Type\":\"Succeed\"}}}",
        "{}", "fail 1 E why\nfire 2\nfail 3 E why\nfire 4\nfail 5 E last",
        "enter A {}\n"
        "call 1 A 0.1 echo {}\n"
        "retry 2 A 0.2 +3s E\n"
        "call 3 A 0.2 echo {}\n"
        "retry 4 A 0.3 +4.5s E\n"
        "call 5 A 0.3 echo {}\n"
        "caught A E: last\n"
        "exit A {\"error\":{\"Error\":\"E\",\"Cause\":\"last\"}}\n"
        "enter C {\"error\":{\"Error\":\"E\",\"Cause\":\"last\"}}\n"
        "exit C {\"error\":{\"Error\":\"E\",\"Cause\":\"last\"}}\n"
        "succeeded {\"error\":{\"Error\":\"E\",\"Cause\":\"last\"}}\n");
}
END_TEST

START_TEST(test_parallel)
{
    story_is("{\"StartAt\":\"P\",\"States\":{\"P\":{\"Type\":\"Parallel\",\"End\":true,"
             "\"ResultPath\":\"$.all\",\"Branches\":["
             "{\"StartAt\":\"L\",\"States\":{\"L\":{" TASK_END "}}},"
             "{\"StartAt\":\"R\",\"States\":{\"R\":{" TASK_END "}}}]}}}",
             "{\"i\":1}", "ok 2 \"right\"\nok 1 \"left\"",
             "enter P {\"i\":1}\n"
             "enter L {\"i\":1}\n"
             "call 1 P/0/L 0.1 echo {\"i\":1}\n"
             "enter R {\"i\":1}\n"
             "call 2 P/1/R 0.1 echo {\"i\":1}\n"
             "exit R \"right\"\n"
             "exit L \"left\"\n"
             "exit P {\"i\":1,\"all\":[\"left\",\"right\"]}\n"
             "succeeded {\"i\":1,\"all\":[\"left\",\"right\"]}\n");
}
END_TEST

START_TEST(test_failing_branch_abandons_its_siblings)
{
    story_is(
        "{\"StartAt\":\"P\",\"States\":{\"P\":{\"Type\":\"Parallel\",\"End\":true,"
        "\"Catch\":[{\"ErrorEquals\":[\"States.BranchFailed\"],\"Next\":\"F\"}],\"Branches\":["
        "{\"StartAt\":\"L\",\"States\":{\"L\":{" TASK_END "}}},"
        "{\"StartAt\":\"W\",\"States\":{\"W\":{\"Type\":\"Wait\",\"Seconds\":10,\"End\":true}}},"
        "{\"StartAt\":\"R\",\"States\":{\"R\":{" TASK_END "}}}]},"
        "\"F\":{\"Type\":\"Fail\",\"Error\":\"Gone\",\"Cause\":\"all of it\"}}}",
        "{}", "fail 1 Bad it is\nconflict ok 3 {}\nconflict fire 2",
        "enter P {}\n"
        "enter L {}\n"
        "call 1 P/0/L 0.1 echo {}\n"
        "enter W {}\n"
        "timer 2 P/1/W 0.1 +10s\n"
        "enter R {}\n"
        "call 3 P/2/R 0.1 echo {}\n"
        "abandon 2 P/1/W\n"
        "abandon 3 P/2/R\n"
        "caught P Bad: it is\n"
        "exit P {\"Error\":\"Bad\",\"Cause\":\"it is\"}\n"
        "enter F {\"Error\":\"Bad\",\"Cause\":\"it is\"}\n"
        "failed Gone: all of it\n");
}
END_TEST

START_TEST(test_choice)
{
    story_is("{\"StartAt\":\"A\",\"States\":{"
             "\"A\":{\"Type\":\"Choice\",\"Choices\":["
             "{\"Not\":{\"Variable\":\"$.type\",\"StringEquals\":\"Private\"},\"Next\":\"Public\"},"
             "{\"And\":[{\"Variable\":\"$.value\",\"NumericGreaterThanEquals\":20},"
             "{\"Variable\":\"$.value\",\"NumericLessThan\":30}],\"Next\":\"Twenties\"}]},"
             "\"Public\":{\"Type\":\"Succeed\"},\"Twenties\":{\"Type\":\"Succeed\"}}}",
             "{\"type\":\"Private\",\"value\":22}", "",
             "enter A {\"type\":\"Private\",\"value\":22}\n"
             "exit A {\"type\":\"Private\",\"value\":22}\n"
             "enter Twenties {\"type\":\"Private\",\"value\":22}\n"
             "exit Twenties {\"type\":\"Private\",\"value\":22}\n"
             "succeeded {\"type\":\"Private\",\"value\":22}\n");
}
END_TEST

START_TEST(test_endless_loop_ends_as_an_error)
{
    char *told = story_run(
        "{\"StartAt\":\"A\",\"States\":{"
        "\"A\":{\"Type\":\"Pass\",\"Next\":\"B\"},"
        "\"B\":{\"Type\":\"Choice\",\"Choices\":[{\"Variable\":\"$.go\",\"BooleanEquals\":true,"
        "\"Next\":\"A\"}],\"Default\":\"C\"},\"C\":{\"Type\":\"Succeed\"}}}",
        "{\"go\":true}", "");
    size_t entered = 0;
    for (const char *at = told; (at = strstr(at, "enter ")); at++)
        entered++;
    ck_assert_uint_eq(entered, ASL_TRANSITIONS_IN_A_ROW_MAX + 1);
    const char *end = strstr(told, "failed ");
    ck_assert_ptr_nonnull(end);
    ck_assert_str_eq(
        end,
        "failed States.Runtime: More than 10000 states in a row without waiting for anything, the "
        "last one \"A\".\n");
    free(told);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("asl");
    TCase *rules = tcase_create("rules");
    tcase_add_test(rules, test_hello_world);
    tcase_add_test(rules, test_pass);
    tcase_add_test(rules, test_retry_and_catch);
    tcase_add_test(rules, test_parallel);
    tcase_add_test(rules, test_failing_branch_abandons_its_siblings);
    tcase_add_test(rules, test_choice);
    tcase_add_test(rules, test_endless_loop_ends_as_an_error);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
