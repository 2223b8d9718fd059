/* SPDX-License-Identifier: MIT */
/* A failed execution goes on where it failed: what was answered stays answered, what failed and what was
 * abandoned begins anew as a further attempt of the same visit. */
#include "asl_story.h"

static void check(const char *definition, const char *input, const char *script,
                  const char *expected)
{
    char *told = story_of(definition, input, script);
    ck_assert_str_eq(told, expected);
    free(told);
}

static const char one_task[] =
    "{StartAt: A, States: {A: {Type: Task, Resource: r, Next: B,"
    " Retry: [{ErrorEquals: [E], MaxAttempts: 1}]}, B: {Type: Task, Resource: s, End: true}}}";

START_TEST(the_failed_state_begins_again)
{
    check(one_task, "{}", "ok 1 {\"a\":1}\nfail 2 E gone\nretry\nok 3 {\"b\":2}",
          "enter A {}\ncall 1 A 0.1 r {}\n"
          "exit A {\"a\":1}\nenter B {\"a\":1}\ncall 2 B 0.1 s {\"a\":1}\n"
          "failed E: gone\n"
          "call 3 B 0.2 s {\"a\":1}\n"
          "exit B {\"b\":2}\nsucceeded {\"b\":2}\n");
}
END_TEST

START_TEST(retriers_count_anew)
{
    check(one_task, "{}", "fail 1 E one\nfire 2\nfail 3 E two\nretry\nfail 4 E three\nfire 5",
          "enter A {}\n"
          "call 1 A 0.1 r {}\n"
          "retry 2 A 0.2 +1s E\n"
          "call 3 A 0.2 r {}\n"
          "failed E: two\n"
          "call 4 A 0.3 r {}\n"
          "retry 5 A 0.4 +1s E\n"
          "call 6 A 0.4 r {}\n");
}
END_TEST

START_TEST(branches_keep_what_they_have)
{
    check("{StartAt: P, States: {P: {Type: Parallel, End: true, Branches: ["
          "{StartAt: A, States: {A: {Type: Task, Resource: a, End: true}}},"
          "{StartAt: B, States: {B: {Type: Task, Resource: b, End: true}}},"
          "{StartAt: C, States: {C: {Type: Wait, Seconds: 9, End: true}}}]}}}",
          "{}", "ok 1 \"one\"\nfail 2 E gone\nconflict fire 3\nretry\nfire 5\nok 4 \"two\"",
          "enter P {}\n"
          "enter A {}\n"
          "call 1 P/0/A 0.1 a {}\n"
          "enter B {}\n"
          "call 2 P/1/B 0.1 b {}\n"
          "enter C {}\n"
          "timer 3 P/2/C 0.1 +9s\n"
          "exit A \"one\"\n"
          "abandon 3 P/2/C\n"
          "failed E: gone\n"
          "call 4 P/1/B 0.2 b {}\n"
          "timer 5 P/2/C 0.2 +9s\n"
          "exit C {}\n"
          "exit B \"two\"\n"
          "exit P [\"one\",\"two\",{}]\n"
          "succeeded [\"one\",\"two\",{}]\n");
}
END_TEST

START_TEST(it_goes_on_after_a_stop)
{
    check(one_task, "{}", "stop States.Timeout late\nretry\nok 2 {}\nok 3 {}",
          "enter A {}\n"
          "call 1 A 0.1 r {}\n"
          "abandon 1 A\n"
          "failed States.Timeout: late\n"
          "call 2 A 0.2 r {}\n"
          "exit A {}\n"
          "enter B {}\n"
          "call 3 B 0.1 s {}\n"
          "exit B {}\n"
          "succeeded {}\n");
}
END_TEST

START_TEST(a_fail_state_fails_again)
{
    check("{StartAt: F, States: {F: {Type: Fail, Error: E, Cause: because}}}", "{}", "retry\nretry",
          "enter F {}\n"
          "failed E: because\n"
          "failed E: because\n"
          "failed E: because\n");
}
END_TEST

START_TEST(items_of_a_map_keep_what_they_have)
{
    check("{StartAt: M, States: {M: {Type: Map, MaxConcurrency: 2, End: true, ItemProcessor: "
          "{StartAt: A, States: {A: {Type: Task, Resource: a, End: true}}}}}}",
          "[1,2,3]", "ok 1 10\nfail 2 E gone\nretry\nok 4 20\nok 5 30",
          "enter M [1,2,3]\n"
          "enter A 1\n"
          "call 1 M/0/A 0.1 a 1\n"
          "enter A 2\n"
          "call 2 M/1/A 1.1 a 2\n"
          "exit A 10\n"
          "enter A 3\n"
          "call 3 M/2/A 2.1 a 3\n"
          "abandon 3 M/2/A\n"
          "failed E: gone\n"
          "call 4 M/1/A 1.2 a 2\n"
          "call 5 M/2/A 2.2 a 3\n"
          "exit A 20\n"
          "exit A 30\n"
          "exit M [10,20,30]\n"
          "succeeded [10,20,30]\n");
}
END_TEST

/* A state that was about to be entered has not counted its retries yet. */
START_TEST(what_was_about_to_begin_begins)
{
    check(
        "{StartAt: P, States: {P: {Type: Parallel, End: true, Branches: ["
        "{StartAt: M, States: {M: {Type: Map, ItemsPath: $.none, Next: X, Retry: [{ErrorEquals: "
        "[E]}],"
        " ItemProcessor: {StartAt: A, States: {A: {Type: Pass, End: true}}}},"
        "  X: {Type: Task, Resource: x, End: true, Retry: [{ErrorEquals: [E]}, {ErrorEquals: [F]},"
        "   {ErrorEquals: [G]}, {ErrorEquals: [H]}, {ErrorEquals: [I]}, {ErrorEquals: [J]}]}}},"
        "{StartAt: F, States: {F: {Type: Fail, Error: Bad}}}]}}}",
        "{\"none\":[]}", "retry",
        "enter P {\"none\":[]}\n"
        "enter M {\"none\":[]}\n"
        "exit M []\n"
        "enter F {\"none\":[]}\n"
        "failed Bad: \n"
        "enter X []\n"
        "call 1 P/0/X 0.1 x []\n"
        "abandon 1 P/0/X\n"
        "failed Bad: \n");
}
END_TEST

START_TEST(what_did_not_fail_cannot_be_retried)
{
    check(one_task, "{}", "conflict retry\nok 1 {}\nok 2 {}\nconflict retry",
          "enter A {}\n"
          "call 1 A 0.1 r {}\n"
          "exit A {}\n"
          "enter B {}\n"
          "call 2 B 0.1 s {}\n"
          "exit B {}\n"
          "succeeded {}\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("asl_retry");
    TCase *tests = tcase_create("asl_retry");
    tcase_add_test(tests, the_failed_state_begins_again);
    tcase_add_test(tests, retriers_count_anew);
    tcase_add_test(tests, branches_keep_what_they_have);
    tcase_add_test(tests, it_goes_on_after_a_stop);
    tcase_add_test(tests, a_fail_state_fails_again);
    tcase_add_test(tests, items_of_a_map_keep_what_they_have);
    tcase_add_test(tests, what_was_about_to_begin_begins);
    tcase_add_test(tests, what_did_not_fail_cannot_be_retried);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
