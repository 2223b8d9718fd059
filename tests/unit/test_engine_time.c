/* SPDX-License-Identifier: MIT */
/* Timers, lanes and recovery of the engine. */
#include "engine_story.h"

/* -- timers -- */

START_TEST(timers_fire_in_order)
{
    open_engine(waits_by_input, 1);
    submit_to(1, 0, "{\"s\":30}");
    submit_to(2, 0, "{\"s\":10}");
    submit_to(3, 0, "{\"s\":20}");
    buffer_clear(&told);
    ck_assert_int_eq(engine_next_due_us(engine), STORY_START_US + 10 * SECOND_US);
    tick_at(9);
    check_told("");
    tick_at(20);
    check_told("fired 2 seq 6+2 ended\nfired 3 seq 8+2 ended\n");
    ck_assert_int_eq(engine_next_due_us(engine), STORY_START_US + 30 * SECOND_US);
    tick_at(30);
    check_told("fired 1 seq 10+2 ended\n");
    tick_at(100);
    check_told("");
    ck_assert_int_eq(engine_next_due_us(engine), INT64_MAX);
}
END_TEST

START_TEST(the_time_limit_counts_from_the_start)
{
    open_engine(one_call, 1);
    submit(1);
    submit(2);
    buffer_clear(&told);
    tick_at(59);
    check_told("");
    tick_at(60);
    check_told("timed-out 1 seq 2+2 ended\nabandon 1/1\nstarted 2 seq 4+2\ncall 2/1 A#1\n");
    tick_at(119);
    check_told("");
    tick_at(120);
    check_told("timed-out 2 seq 6+2 ended\nabandon 2/1\n");
    check_counts(0, 0, 0);
}
END_TEST

/* The wall clock may go back: what is recorded stays in order, and nothing becomes due again. */
START_TEST(a_workflows_time_does_not_go_back)
{
    struct uuid id = story_id(1);
    open_engine(waits, 1);
    submit(1);
    tick_at(-3600);
    command(ENGINE_PAUSE, 1);
    ck_assert_int_eq(workflow_paused_us(engine_find(engine, &id)), STORY_START_US);
    command(ENGINE_RESUME, 1);
    ck_assert_int_eq(workflow_last_us(engine_find(engine, &id)), STORY_START_US);
    ck_assert_int_eq(engine_next_due_us(engine), STORY_START_US + 20 * SECOND_US);
}
END_TEST

/* A state that waits for nothing must not keep the thread for ever; its time limit ends it. */
START_TEST(a_loop_of_empty_waits_lets_others_live)
{
    open_engine(waits_for_nothing, 1);
    submit(1);
    buffer_clear(&told);
    tick_at(0);
    check_told("fired 1 seq 2+0\nfired 1 seq 2+0\n");
    ck_assert_int_eq(engine_next_due_us(engine), now_us);
    tick_at(61);
    ck_assert_ptr_nonnull(strstr(buffer_text(&told), "timed-out 1 seq 2+2 ended\n"));
    check_counts(0, 0, 0);
}
END_TEST

/* The heap is swept while the timers of a new workflow are added: its own must stay. */
START_TEST(a_sweep_leaves_the_timers_of_a_new_workflow)
{
    enum { COUNT = 2500 };
    open_engine(waits_twice, 1);
    for (unsigned i = 0; i < COUNT; i++)
        submit(i);
    check_counts(COUNT, 0, 0);
    tick_at(20);
    check_counts(0, 0, 0);
}
END_TEST

START_TEST(timers_of_the_ended_do_not_pile_up)
{
    open_engine(one_call, 1);
    for (unsigned i = 0; i < 20000; i++) {
        now_us++;
        submit(i);
        ok(i, 1);
        buffer_clear(&told);
    }
    check_counts(0, 0, 0);
    size_t fired = 0;
    while (engine_next_due_us(engine) != INT64_MAX) {
        now_us = engine_next_due_us(engine);
        give((struct engine_event){.type = ENGINE_TICK});
        ck_assert_uint_le(++fired, 2048);
    }
    check_told("");
}
END_TEST

/* -- lanes -- */

struct lane_check {
    int64_t next[4];
    size_t records;
};

static void lanes_take(struct lane_check *check)
{
    for (size_t i = 0; i < effects.count; i++) {
        const struct engine_effect *effect = &effects.items[i];
        if (effect->type != ENGINE_RECORDED)
            continue;
        int16_t shard = workflow_head(effect->workflow)->shard;
        ck_assert_int_eq(effect->seq, check->next[shard]);
        ck_assert_int_eq(effect->record.n, workflow_records(effect->workflow) - 1);
        check->next[shard] += (int64_t)effect->outcome.events_count;
        check->records++;
    }
    for (int16_t shard = 0; shard < 4; shard++)
        ck_assert_int_eq(engine_lane_next(engine, shard), check->next[shard]);
    ck_assert_uint_le(engine_in_flight(engine), 5);
    engine_effects_clear(&effects);
}

/* 300 workflows over four lanes, answered, failed and cancelled in a scattered but fixed order. */
START_TEST(lane_numbers_have_no_gaps)
{
    enum { COUNT = 300 };
    struct lane_check check = {.next = {10, 0, 7000000000, 1}};
    open_engine(call_retried, 5);
    for (int16_t shard = 0; shard < 4; shard++)
        engine_lane_open(engine, shard, check.next[shard]);
    uint32_t dice = 1;
    for (unsigned step = 0; step < COUNT || engine_live(engine) > 0; step++) {
        now_us += SECOND_US / 4;
        struct engine_event event = {.type = ENGINE_TICK, .now_us = now_us};
        if (step < COUNT) {
            event.type = ENGINE_SUBMIT;
            event.workflow =
                story_workflow(contract, step, (int16_t)(step % 4), "{}", now_us, TIMEOUT_MS);
        }
        engine_step(engine, &event, &effects);
        lanes_take(&check);
        for (unsigned i = 0; i < COUNT; i++) {
            struct uuid id = story_id(i);
            struct workflow *workflow = engine_find(engine, &id);
            const struct workflow_wait *wait =
                workflow == NULL ? NULL : workflow_wait_at(workflow, 0);
            dice = dice * 1664525u + 1013904223u;
            if (wait == NULL || (dice >> 28) > 3)
                continue;
            event =
                (struct engine_event){.type = (dice >> 28) == 0 ? ENGINE_CANCEL : ENGINE_TASK_ENDED,
                                      .now_us = now_us,
                                      .id = id,
                                      .wait = wait->wait,
                                      .attempt = wait->attempt,
                                      .error = (dice >> 28) < 2 ? "Busy" : NULL,
                                      .cause = ""};
            engine_step(engine, &event, &effects);
            lanes_take(&check);
        }
    }
    check_counts(0, 0, 0);
    ck_assert_uint_gt(check.records, COUNT * 2);
}
END_TEST

/* -- recovery -- */

static void load(struct workflow *workflow)
{
    give((struct engine_event){.type = ENGINE_LOAD, .workflow = workflow});
}

START_TEST(recovery_makes_the_open_calls_again)
{
    const struct workflow_record records[] = {
        {.kind = RECORD_ACCEPTED, .at_us = STORY_START_US},
        {.kind = RECORD_STARTED, .at_us = STORY_START_US + 1 * SECOND_US},
        {.kind = RECORD_TASK_SUCCEEDED, .at_us = STORY_START_US + 2 * SECOND_US, .wait = 1},
    };
    open_engine(call_and_wait, 8);
    engine_lane_open(engine, 0, 3);
    now_us = STORY_START_US + 10 * SECOND_US;
    load(recovered(1, records, 3));
    check_told("call 1/2 A/1/C#1\n");
    check_counts(1, 0, 1);
    ck_assert_int_eq(engine_next_due_us(engine), STORY_START_US + 31 * SECOND_US);
    load(recovered(2, records, 2));
    check_told("call 2/1 A/0/B#1\ncall 2/2 A/1/C#1\n");
    ok(1, 1);
    ok(1, 2);
    check_told("stale 1\nsucceeded 1 seq 3+1\n");
    tick_at(31);
    check_told("fired 1 seq 4+2 ended\nfired 2 seq 6+0\n");
    tick_at(61);
    check_told("timed-out 2 seq 6+2 ended\nabandon 2/1\nabandon 2/2\n");
    check_counts(0, 0, 0);
}
END_TEST

/* Timers that came up while nobody ran fire at the first tick. */
START_TEST(recovery_finds_what_is_overdue)
{
    const struct workflow_record records[] = {{.kind = RECORD_STARTED, .at_us = STORY_START_US}};
    open_engine(call_and_wait, 8);
    now_us = STORY_START_US + 1000 * SECOND_US;
    load(recovered(1, records, 1));
    buffer_clear(&told);
    tick_at(1000);
    check_told("fired 1 seq 0+0\ntimed-out 1 seq 0+2 ended\nabandon 1/1\nabandon 1/2\n");
}
END_TEST

START_TEST(a_start_records_the_time_limit)
{
    open_engine(one_call, 1);
    struct engine_event event = {
        .type = ENGINE_SUBMIT,
        .now_us = now_us,
        .workflow = story_workflow(contract, 1, 0, "{}", STORY_START_US, TIMEOUT_MS)};
    engine_step(engine, &event, &effects);
    ck_assert_int_eq(effects.items[0].type, ENGINE_RECORDED);
    ck_assert_int_eq(effects.items[0].record.kind, RECORD_STARTED);
    ck_assert_int_eq(effects.items[0].record.duration_us, (int64_t)TIMEOUT_MS * 1000);
}
END_TEST

/* The limit that its start recorded, whatever the node's is now. */
START_TEST(a_running_workflow_keeps_its_time_limit)
{
    const struct workflow_record records[] = {
        {.kind = RECORD_STARTED, .at_us = STORY_START_US, .duration_us = 90 * SECOND_US}};
    open_engine(one_call, 1);
    load(recovered(1, records, 1));
    buffer_clear(&told);
    tick_at(89);
    check_told("");
    tick_at(90);
    check_told("timed-out 1 seq 0+2 ended\nabandon 1/1\n");
}
END_TEST

START_TEST(recovery_ignores_nothing_that_waits_for_a_slot)
{
    const struct workflow_record records[] = {
        {.kind = RECORD_ACCEPTED, .at_us = STORY_START_US},
        {.kind = RECORD_STARTED, .at_us = STORY_START_US},
    };
    open_engine(two_calls, 1);
    load(recovered(1, records, 2));
    load(recovered(2, records, 2));
    load(recovered(3, records, 1));
    load(recovered(4, records, 1));
    check_told("call 1/1 A/0/B#1\n");
    check_counts(4, 2, 1);
    ok(1, 1);
    ok(1, 2);
    check_told("succeeded 1 seq 0+1\ncall 1/2 A/1/C#1\nsucceeded 1 seq 1+3 ended\n"
               "call 2/1 A/0/B#1\n");
    ok(2, 1);
    ok(2, 2);
    check_told("succeeded 2 seq 4+1\ncall 2/2 A/1/C#1\nsucceeded 2 seq 5+3 ended\n"
               "started 3 seq 8+2\ncall 3/1 A/0/B#1\n");
    check_counts(2, 1, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine_time");
    TCase *tests = tcase_create("engine_time");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, timers_fire_in_order);
    tcase_add_test(tests, the_time_limit_counts_from_the_start);
    tcase_add_test(tests, a_workflows_time_does_not_go_back);
    tcase_add_test(tests, a_loop_of_empty_waits_lets_others_live);
    tcase_add_test(tests, a_sweep_leaves_the_timers_of_a_new_workflow);
    tcase_add_test(tests, timers_of_the_ended_do_not_pile_up);
    tcase_add_test(tests, lane_numbers_have_no_gaps);
    tcase_add_test(tests, recovery_makes_the_open_calls_again);
    tcase_add_test(tests, recovery_finds_what_is_overdue);
    tcase_add_test(tests, a_start_records_the_time_limit);
    tcase_add_test(tests, a_running_workflow_keeps_its_time_limit);
    tcase_add_test(tests, recovery_ignores_nothing_that_waits_for_a_slot);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
