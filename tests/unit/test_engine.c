/* SPDX-License-Identifier: MIT */
/* Slots, answers and keys of the engine. */
#include "engine_story.h"

/* -- slots -- */

START_TEST(slots_bound_calls_and_the_pending_start_in_order)
{
    open_engine(one_call, 2);
    for (unsigned i = 1; i <= 5; i++)
        submit(i);
    check_told("started 1 seq 0+2 new\ncall 1/1 A#1\n"
               "started 2 seq 2+2 new\ncall 2/1 A#1\n"
               "accepted 3 seq 4+0 new\naccepted 4 seq 4+0 new\naccepted 5 seq 4+0 new\n");
    check_counts(5, 3, 2);
    ok(2, 1);
    check_told("succeeded 2 seq 4+3 ended\nstarted 3 seq 7+2\ncall 3/1 A#1\n");
    check_counts(4, 2, 2);
    answer(1, 1, 1, "Broken");
    check_told("failed 1 seq 9+2 ended\nstarted 4 seq 11+2\ncall 4/1 A#1\n");
    ok(4, 1);
    check_told("succeeded 4 seq 13+3 ended\nstarted 5 seq 16+2\ncall 5/1 A#1\n");
    ok(3, 1);
    ok(5, 1);
    check_told("succeeded 3 seq 18+3 ended\nsucceeded 5 seq 21+3 ended\n");
    check_counts(0, 0, 0);
}
END_TEST

/* What was accepted earlier goes first, even when a slot is free at the time of a submission. */
START_TEST(nobody_overtakes_the_pending)
{
    open_engine(two_calls, 1);
    submit(1);
    submit(2);
    check_told("started 1 seq 0+2 new\ncall 1/1 A/0/B#1\naccepted 2 seq 2+0 new\n");
    ok(1, 1);
    check_told("succeeded 1 seq 2+1\ncall 1/2 A/1/C#1\n");
    submit(3);
    ok(1, 2);
    check_told("accepted 3 seq 3+0 new\nsucceeded 1 seq 3+3 ended\nstarted 2 seq 6+2\n"
               "call 2/1 A/0/B#1\n");
    check_counts(2, 1, 1);
}
END_TEST

/* Forty wait all the time, while the queue goes round many times. */
START_TEST(the_order_holds_for_long)
{
    enum { WAITING = 40, COUNT = 1000 };
    char started[64];
    open_engine(one_call, 1);
    for (unsigned i = 0; i < WAITING; i++)
        submit(i);
    for (unsigned i = 0; i + WAITING < COUNT; i++) {
        submit(i + WAITING);
        buffer_clear(&told);
        ok(i, 1);
        snprintf(started, sizeof started, "\nstarted %u seq", i + 1);
        ck_assert_ptr_nonnull(strstr(buffer_text(&told), started));
        check_counts(WAITING, WAITING - 1, 1);
    }
}
END_TEST

START_TEST(workflows_that_wait_hold_no_slot)
{
    open_engine(waits, 1);
    submit(1);
    submit(2);
    submit(3);
    check_told("started 1 seq 0+2 new\nstarted 2 seq 2+2 new\nstarted 3 seq 4+2 new\n");
    check_counts(3, 0, 0);
}
END_TEST

START_TEST(a_retry_delay_frees_the_slot)
{
    open_engine(call_retried, 1);
    submit(1);
    submit(2);
    buffer_clear(&told);
    answer(1, 1, 1, "Busy");
    check_told("failed 1 seq 2+0\nstarted 2 seq 2+2\ncall 2/1 A#1\n");
    tick_at(2);
    check_told("fired 1 seq 4+0\n");
    check_counts(2, 0, 1);
    ok(2, 1);
    check_told("succeeded 2 seq 4+3 ended\ncall 1/3 A#2\n");
    answer(1, 3, 2, NULL);
    check_told("succeeded 1 seq 7+3 ended\n");
    check_counts(0, 0, 0);
}
END_TEST

START_TEST(abandoned_calls_free_their_slots)
{
    open_engine(two_calls, 2);
    submit(1);
    submit(2);
    buffer_clear(&told);
    check_counts(2, 1, 2);
    answer(1, 1, 1, "Broken");
    check_told("failed 1 seq 2+2 ended\nabandon 1/2\nstarted 2 seq 4+2\ncall 2/1 A/0/B#1\n"
               "call 2/2 A/1/C#1\n");
    check_counts(1, 0, 2);
    submit(3);
    cancel(2);
    check_told("accepted 3 seq 6+0 new\ncancelled 2 seq 6+2 ended\nabandon 2/1\nabandon 2/2\n"
               "started 3 seq 8+2\ncall 3/1 A/0/B#1\ncall 3/2 A/1/C#1\n");
    check_counts(1, 0, 2);
}
END_TEST

/* Its call still stood in line: nothing was in flight, so nothing is given back twice. */
START_TEST(a_call_that_was_never_made_frees_nothing)
{
    open_engine(two_calls, 1);
    submit(1);
    buffer_clear(&told);
    cancel(1);
    check_told("cancelled 1 seq 2+2 ended\nabandon 1/1\nabandon 1/2\n");
    check_counts(0, 0, 0);
    submit(2);
    submit(3);
    check_told("started 2 seq 4+2 new\ncall 2/1 A/0/B#1\naccepted 3 seq 6+0 new\n");
    check_counts(2, 1, 1);
}
END_TEST

START_TEST(a_pending_workflow_can_be_cancelled)
{
    open_engine(one_call, 1);
    submit(1);
    submit(2);
    submit(3);
    buffer_clear(&told);
    cancel(2);
    check_told("cancelled 2 seq 2+2 ended\n");
    check_counts(2, 1, 1);
    ok(1, 1);
    check_told("succeeded 1 seq 4+3 ended\nstarted 3 seq 7+2\ncall 3/1 A#1\n");
    check_counts(1, 0, 1);
}
END_TEST

START_TEST(a_workflow_may_end_with_its_first_record)
{
    open_engine(ends_at_once, 1);
    submit_key(1, "docs", "k", 1);
    check_told("started 1 seq 0+4 new ended\n");
    check_counts(0, 0, 0);
    submit_key(2, "docs", "k", 1);
    check_told("duplicate 1 same\n");
    ck_assert_int_eq(engine_next_due_us(engine), INT64_MAX);
}
END_TEST

/* -- answers -- */

START_TEST(stale_answers_change_nothing)
{
    open_engine(call_retried, 1);
    submit(1);
    submit(2);
    buffer_clear(&told);
    ok(7, 1);
    ok(2, 1);
    ok(1, 2);
    answer(1, 1, 2, NULL);
    check_told("stale 7\nstale 2\nstale 1\nstale 1\n");
    check_counts(2, 1, 1);
    answer(1, 1, 1, "Busy");
    buffer_clear(&told);
    answer(1, 1, 1, "Busy");
    ok(1, 3);
    check_told("stale 1\nstale 1\n");
    ok(2, 1);
    buffer_clear(&told);
    ok(2, 1);
    check_told("stale 2\n");
    struct uuid id = story_id(1);
    ck_assert_int_eq(workflow_records(engine_find(engine, &id)), 2);
}
END_TEST

START_TEST(an_answer_of_a_call_that_waits_for_a_slot_is_stale)
{
    open_engine(two_calls, 1);
    submit(1);
    buffer_clear(&told);
    ok(1, 2);
    check_told("stale 1\n");
    ok(1, 1);
    check_told("succeeded 1 seq 2+1\ncall 1/2 A/1/C#1\n");
    ok(1, 2);
    check_told("succeeded 1 seq 3+3 ended\n");
}
END_TEST

START_TEST(nobody_cancels_what_is_not_there)
{
    open_engine(one_call, 1);
    submit(1);
    ok(1, 1);
    buffer_clear(&told);
    cancel(1);
    cancel(9);
    check_told("unknown 1\nunknown 9\n");
}
END_TEST

START_TEST(a_record_carries_what_the_event_said)
{
    open_engine(call_retried, 1);
    submit(1);
    struct engine_event event = {.type = ENGINE_TASK_ENDED,
                                 .now_us = now_us + 5,
                                 .id = story_id(1),
                                 .wait = 1,
                                 .attempt = 1,
                                 .duration_us = 77,
                                 .random = 0.25,
                                 .error = "Busy",
                                 .cause = "queue"};
    engine_step(engine, &event, &effects);
    const struct engine_effect *effect = &effects.items[0];
    ck_assert_int_eq(effect->type, ENGINE_RECORDED);
    ck_assert_int_eq(effect->record.n, 1);
    ck_assert_int_eq(effect->record.kind, RECORD_TASK_FAILED);
    ck_assert_int_eq(effect->record.at_us, STORY_START_US + 5);
    ck_assert_int_eq(effect->record.duration_us, 77);
    ck_assert(effect->record.random > 0.24 && effect->record.random < 0.26);
    ck_assert_uint_eq(effect->record.wait, 1);
    ck_assert_uint_eq(effect->record.attempt, 1);
    ck_assert_str_eq(effect->record.error, "Busy");
    ck_assert_str_eq(effect->record.cause, "queue");
    ck_assert_str_eq(effect->outcome.state_path, "A");
    ck_assert_ptr_eq(effect->workflow, engine_find(engine, &effect->id));
    engine_effects_clear(&effects);
}
END_TEST

/* -- idempotency keys -- */

START_TEST(a_key_is_one_workflow)
{
    open_engine(one_call, 2);
    submit_key(1, "docs", "k", 1);
    submit_key(2, "docs", "k", 1);
    submit_key(3, "docs", "k", 2);
    check_told("started 1 seq 0+2 new\ncall 1/1 A#1\nduplicate 1 same\nduplicate 1 other\n");
    check_counts(1, 0, 1);
    submit_key(4, "docs", "l", 1);
    submit_key(5, "doc", "sk", 1);
    submit_key(6, "other", "k", 1);
    submit(7);
    submit(8);
    check_told("started 4 seq 2+2 new\ncall 4/1 A#1\naccepted 5 seq 4+0 new\n"
               "accepted 6 seq 4+0 new\naccepted 7 seq 4+0 new\naccepted 8 seq 4+0 new\n");
}
END_TEST

START_TEST(keys_are_forgotten_in_time)
{
    open_engine(one_call, 1);
    submit_key(1, "docs", "k", 1);
    ok(1, 1);
    now_us = STORY_START_US + 5;
    submit_key(2, "docs", "l", 1);
    buffer_clear(&told);
    now_us = STORY_START_US + KEY_MEMORY_US;
    submit_key(3, "docs", "k", 1);
    check_told("duplicate 1 same\n");
    now_us++;
    submit_key(4, "docs", "k", 2);
    submit_key(5, "docs", "l", 1);
    check_told("accepted 4 seq 7+0 new\nduplicate 2 same\n");
    now_us += 5;
    submit_key(6, "docs", "l", 1);
    submit_key(7, "docs", "k", 2);
    check_told("accepted 6 seq 7+0 new\nduplicate 4 same\n");
    now_us += 10ll * KEY_MEMORY_US;
    give((struct engine_event){.type = ENGINE_TICK});
    buffer_clear(&told);
    submit_key(8, "docs", "k", 1);
    check_told("accepted 8 seq 11+0 new\n");
}
END_TEST

START_TEST(keys_and_namespaces_may_be_as_long_as_they_may_be)
{
    char namespace[NAMESPACE_BYTES_MAX + 1], key[IDEMPOTENCY_KEY_BYTES_MAX + 1];
    memset(namespace, 'n', sizeof namespace);
    memset(key, 'k', sizeof key);
    namespace[NAMESPACE_BYTES_MAX] = key[IDEMPOTENCY_KEY_BYTES_MAX] = '\0';
    open_engine(one_call, 1);
    submit_key(1, namespace, key, 1);
    submit_key(2, namespace, key, 1);
    check_told("started 1 seq 0+2 new\ncall 1/1 A#1\nduplicate 1 same\n");
}
END_TEST

START_TEST(a_shard_given_up_leaves_nothing_behind)
{
    open_engine(one_call, 2);
    submit_to(1, 0, "{}");
    submit_to(2, 1, "{}");
    submit_to(3, 1, "{}");
    submit_to(4, 0, "{}");
    buffer_clear(&told);
    check_counts(4, 2, 2);
    ck_assert_uint_eq(engine_shard_close(engine, 1), 2);
    check_counts(2, 1, 1);
    ok(2, 1);
    check_told("stale 2\nstarted 4 seq 2+2\ncall 4/1 A#1\n"); /* its slot is free */
    cancel(3);
    check_told("unknown 3\n");
    tick_at(TIMEOUT_MS / 1000);
    check_told("timed-out 1 seq 4+2 ended\nabandon 1/1\ntimed-out 4 seq 6+2 ended\nabandon 4/1\n");
}
END_TEST

START_TEST(loaded_workflows_and_others_take_turns)
{
    static const char three_calls[] =
        MACHINE("    A:\n      Type: Parallel\n      End: true\n      Branches:\n"
                "        - { StartAt: B, States: { B: { " TASK ", End: true } } }\n"
                "        - { StartAt: C, States: { C: { " TASK ", End: true } } }\n"
                "        - { StartAt: D, States: { D: { " TASK ", End: true } } }\n");
    static const struct workflow_record started = {
        .kind = RECORD_STARTED, .at_us = STORY_START_US, .duration_us = TIMEOUT_MS * 1000LL};
    open_engine(three_calls, 1);
    submit(1);
    for (unsigned n = 2; n <= 3; n++)
        give((struct engine_event){.type = ENGINE_LOAD, .workflow = recovered(n, &started, 1)});
    buffer_clear(&told);
    ok(1, 1);
    check_told("succeeded 1 seq 2+1\ncall 1/2 A/1/C#1\n");
    ok(1, 2);
    check_told("succeeded 1 seq 3+1\ncall 2/1 A/0/B#1\n");
    ok(2, 1);
    check_told("succeeded 2 seq 4+1\ncall 1/3 A/2/D#1\n");
    ok(1, 3);
    check_told("succeeded 1 seq 5+3 ended\ncall 2/2 A/1/C#1\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine");
    TCase *tests = tcase_create("engine");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, slots_bound_calls_and_the_pending_start_in_order);
    tcase_add_test(tests, nobody_overtakes_the_pending);
    tcase_add_test(tests, the_order_holds_for_long);
    tcase_add_test(tests, workflows_that_wait_hold_no_slot);
    tcase_add_test(tests, a_retry_delay_frees_the_slot);
    tcase_add_test(tests, abandoned_calls_free_their_slots);
    tcase_add_test(tests, a_call_that_was_never_made_frees_nothing);
    tcase_add_test(tests, a_pending_workflow_can_be_cancelled);
    tcase_add_test(tests, a_workflow_may_end_with_its_first_record);
    tcase_add_test(tests, stale_answers_change_nothing);
    tcase_add_test(tests, an_answer_of_a_call_that_waits_for_a_slot_is_stale);
    tcase_add_test(tests, nobody_cancels_what_is_not_there);
    tcase_add_test(tests, a_record_carries_what_the_event_said);
    tcase_add_test(tests, a_key_is_one_workflow);
    tcase_add_test(tests, keys_are_forgotten_in_time);
    tcase_add_test(tests, keys_and_namespaces_may_be_as_long_as_they_may_be);
    tcase_add_test(tests, a_shard_given_up_leaves_nothing_behind);
    tcase_add_test(tests, loaded_workflows_and_others_take_turns);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
