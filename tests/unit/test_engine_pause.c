/* SPDX-License-Identifier: MIT */
/* Pause, resume and retry: what an engine does with a workflow that stands still, and with one that failed. */
#include "engine_story.h"

static void at(int64_t seconds) { now_us = STORY_START_US + seconds * SECOND_US; }

START_TEST(a_pause_stops_calls_and_timers)
{
    open_engine(call_and_wait, 1);
    submit(1);
    check_told("started 1 seq 0+2 new\ncall 1/1 A/0/B#1\n");
    at(5);
    command(ENGINE_PAUSE, 1);
    check_told("paused 1 seq 2+0\n");
    ok(1, 1);
    check_told("succeeded 1 seq 2+0\n");
    check_counts(1, 0, 0);
    tick_at(100);
    check_told("");
    at(105);
    command(ENGINE_RESUME, 1);
    check_told("resumed 1 seq 2+1\ncall 1/2 A/1/C#1\n");
    ok(1, 2);
    check_told("succeeded 1 seq 3+1\n");
    tick_at(129);
    check_told("");
    tick_at(130);
    check_told("fired 1 seq 4+2 ended\n");
}
END_TEST

START_TEST(the_time_limit_moves_by_the_pause)
{
    open_engine(one_call, 1);
    submit(1);
    at(10);
    command(ENGINE_PAUSE, 1);
    at(1000);
    command(ENGINE_RESUME, 1);
    buffer_clear(&told);
    tick_at(1049);
    check_told("");
    tick_at(1050);
    check_told("timed-out 1 seq 2+2 ended\nabandon 1/1\n");
}
END_TEST

START_TEST(said_twice_is_said_once)
{
    open_engine(one_call, 1);
    submit(1);
    buffer_clear(&told);
    command(ENGINE_RESUME, 1);
    check_told("heard 1\n");
    command(ENGINE_PAUSE, 1);
    command(ENGINE_PAUSE, 1);
    check_told("paused 1 seq 2+0\nheard 1\n");
    command(ENGINE_RESUME, 1);
    command(ENGINE_RESUME, 1);
    check_told("resumed 1 seq 2+0\nheard 1\n");
    ok(1, 1);
    check_told("succeeded 1 seq 2+3 ended\n");
    command(ENGINE_PAUSE, 1);
    check_told("unknown 1\n");
}
END_TEST

START_TEST(what_waits_to_start_waits_on)
{
    open_engine(one_call, 1);
    submit(1);
    submit(2);
    submit(3);
    command(ENGINE_PAUSE, 2);
    buffer_clear(&told);
    check_counts(3, 1, 1);
    ok(1, 1);
    check_told("succeeded 1 seq 2+3 ended\nstarted 3 seq 5+2\ncall 3/1 A#1\n");
    ok(3, 1);
    check_told("succeeded 3 seq 7+3 ended\n");
    check_counts(1, 0, 0);
    command(ENGINE_RESUME, 2);
    check_told("resumed 2 seq 10+0\nstarted 2 seq 10+2\ncall 2/1 A#1\n");
    check_counts(1, 0, 1);
}
END_TEST

START_TEST(a_paused_one_can_be_cancelled)
{
    open_engine(one_call, 1);
    submit(1);
    command(ENGINE_PAUSE, 1);
    ok(1, 1);
    buffer_clear(&told);
    cancel(1);
    check_told("cancelled 1 seq 2+2 ended\n");
    check_counts(0, 0, 0);
}
END_TEST

/* -- retry -- */

static const struct workflow_record failed[] = {
    {.kind = RECORD_STARTED, .at_us = STORY_START_US},
    {.kind = RECORD_TASK_SUCCEEDED, .at_us = STORY_START_US + 2 * SECOND_US, .wait = 1},
    {.kind = RECORD_TASK_FAILED, .at_us = STORY_START_US + 3 * SECOND_US, .wait = 2, .error = "E"},
};

START_TEST(a_failed_one_goes_on_with_what_it_has)
{
    open_engine(two_calls, 8);
    at(500);
    struct workflow *workflow = recovered(1, failed, 3);
    ck_assert_int_eq(workflow_state(workflow), WORKFLOW_FAILED);
    give((struct engine_event){.type = ENGINE_RETRY, .workflow = workflow});
    check_told("retried 1 seq 0+1\ncall 1/3 A/1/C#2\n");
    ck_assert_int_eq(workflow_head(workflow)->run, 2);
    ck_assert_ptr_null(workflow_error(workflow));
    check_counts(1, 0, 1);
    tick_at(559);
    check_told("");
    answer(1, 3, 2, NULL);
    check_told("succeeded 1 seq 1+3 ended\n");
}
END_TEST

START_TEST(a_new_run_has_a_time_limit_of_its_own)
{
    open_engine(two_calls, 8);
    at(500);
    give((struct engine_event){.type = ENGINE_RETRY, .workflow = recovered(1, failed, 3)});
    buffer_clear(&told);
    tick_at(560);
    check_told("timed-out 1 seq 1+2 ended\nabandon 1/3\n");
}
END_TEST

START_TEST(one_that_lives_or_cannot_go_on_is_not_retried)
{
    open_engine(two_calls, 8);
    give((struct engine_event){.type = ENGINE_RETRY, .workflow = recovered(1, failed, 3)});
    buffer_clear(&told);
    give((struct engine_event){.type = ENGINE_RETRY, .workflow = recovered(1, failed, 3)});
    check_told("unknown 1\n");
    give((struct engine_event){.type = ENGINE_RETRY, .workflow = recovered(2, failed, 2)});
    check_told("unknown 2\n");
    check_counts(1, 0, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine_pause");
    TCase *tests = tcase_create("engine_pause");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, a_pause_stops_calls_and_timers);
    tcase_add_test(tests, the_time_limit_moves_by_the_pause);
    tcase_add_test(tests, said_twice_is_said_once);
    tcase_add_test(tests, what_waits_to_start_waits_on);
    tcase_add_test(tests, a_paused_one_can_be_cancelled);
    tcase_add_test(tests, a_failed_one_goes_on_with_what_it_has);
    tcase_add_test(tests, a_new_run_has_a_time_limit_of_its_own);
    tcase_add_test(tests, one_that_lives_or_cannot_go_on_is_not_retried);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures != 0;
}
