/* SPDX-License-Identifier: MIT */
/* Calls that a breaker lets pass, holds or refuses, as the engine sees it. */
#include "engine_story.h"

static const char guarded_call[] = "services: [tree]\n" MACHINE(
    "    A: { " TASK ", Parameters: { Service: tree, Path: /leaf, Method: GET }, End: true }\n");

static struct service_weight weights[] = {{(char *)(uintptr_t) "important", 2}};
static struct service tree = {.name = (char *)(uintptr_t) "tree",
                              .base_url = (char *)(uintptr_t) "http://tree",
                              .hold_when_open = true,
                              .weights = weights,
                              .weights_count = 1};
static const struct services services = {.items = &tree, .count = 1};

static enum breaker_verdict verdict;
static int64_t passes; /* left; then it parks */
static size_t held, held_max;

static struct breaker_answer ask(void *context, int service, int64_t asked_us)
{
    (void)context;
    ck_assert_int_eq(service, 0);
    ck_assert_int_eq(asked_us, now_us);
    if (passes > 0) {
        passes--;
        return (struct breaker_answer){.verdict = BREAKER_PASS, .era = 7};
    }
    return (struct breaker_answer){.verdict = verdict, .after_us = 5 * SECOND_US};
}

static bool park(void *context, int service, bool before)
{
    (void)context;
    (void)service;
    if (held >= held_max && !before)
        return false;
    held++;
    return true;
}

static void unpark(void *context, int service, size_t count)
{
    (void)context;
    (void)service;
    held -= count;
}

static void open_gated(int64_t slots)
{
    open_engine(guarded_call, slots);
    engine_set_gate(engine, &(struct engine_gate){
                                .services = &services, .ask = ask, .park = park, .unpark = unpark});
    verdict = BREAKER_PARK;
    passes = 0;
    held = 0;
    held_max = 100;
    tree.hold_counts = false;
}

static void fail_parked(unsigned number, uint32_t wait)
{
    give((struct engine_event){.type = ENGINE_PARKED,
                               .id = story_id(number),
                               .wait = wait,
                               .attempt = 1,
                               .error = "States.Http.Socket",
                               .cause = "refused"});
}

/* A held step has no slot, makes no record, and its call is made when the breaker lets it pass. */
START_TEST(held_and_released)
{
    open_gated(1);
    submit(1);
    submit(2);
    check_told("started 1 seq 0+2 new\nheld 1/1\nstarted 2 seq 2+2 new\nheld 2/1\n");
    check_counts(2, 0, 0);
    ck_assert_uint_eq(held, 2);
    ck_assert_int_eq(engine_next_due_us(engine), now_us + 5 * SECOND_US);
    passes = 1;
    tick_at(5);
    check_told("released 1/1\ncall 1/1 A#1\n");
    check_counts(2, 0, 1);
    passes = 10;
    ok(1, 1);
    check_told("succeeded 1 seq 4+3 ended\nreleased 2/1\ncall 2/1 A#1\n");
    ck_assert_uint_eq(held, 0);
}
END_TEST

/* The probe failed: no attempt is burned, and it is held as if it had been all the time. */
START_TEST(a_probe_that_fails_is_held_again)
{
    open_gated(4);
    submit(1);
    passes = 1;
    tick_at(10);
    check_told("started 1 seq 0+2 new\nheld 1/1\nreleased 1/1\ncall 1/1 A#1\n");
    now_us += 30 * SECOND_US;
    fail_parked(1, 1);
    check_told("held 1/1\n");
    check_counts(1, 0, 0);
    struct uuid id = story_id(1);
    const struct workflow_wait *wait = workflow_wait_find(engine_find(engine, &id), 1);
    ck_assert_int_eq(wait->held_us, STORY_START_US + 10 * SECOND_US);
    ck_assert_uint_eq(wait->attempt, 1);
}
END_TEST

/* The time limit of the workflow (60 s) stands still while a step of it is held. */
START_TEST(held_time_does_not_count)
{
    open_gated(4);
    submit(1);
    buffer_clear(&told);
    tick_at(61);
    tick_at(100);
    check_told("");
    passes = 1;
    tick_at(101);
    check_told("released 1/1\ncall 1/1 A#1\n");
    tick_at(101 + 59);
    check_told("");
    tick_at(101 + 60);
    check_told("timed-out 1 seq 2+2 ended\nabandon 1/1\n");
}
END_TEST

START_TEST(held_time_counts_when_it_is_wanted)
{
    open_gated(4);
    tree.hold_counts = true;
    submit(1);
    buffer_clear(&told);
    tick_at(60);
    check_told("timed-out 1 seq 2+2 ended\nabandon 1/1\n");
    ck_assert_uint_eq(held, 0);
}
END_TEST

/* Past the limit it goes on with an error, as with a service that says fail. */
START_TEST(what_cannot_be_held_is_refused)
{
    open_gated(4);
    held_max = 0;
    submit(1);
    check_told("started 1 seq 0+2 new\ncall 1/1 A#1\n");
    struct uuid id = story_id(1);
    ck_assert_str_eq(workflow_wait_find(engine_find(engine, &id), 1)->refusal, ENGINE_HELD_LIMIT);
    verdict = BREAKER_REFUSE;
    submit(2);
    check_told("started 2 seq 2+2 new\ncall 2/1 A#1\n");
    id = story_id(2);
    ck_assert_str_eq(workflow_wait_find(engine_find(engine, &id), 1)->refusal, ENGINE_CIRCUIT_OPEN);
}
END_TEST

/* The limit is for new ones: what is held already never fails because it was probed or moved here. */
START_TEST(what_was_held_before_is_held_past_the_limit)
{
    open_gated(4);
    submit(1);
    passes = 1;
    tick_at(10);
    held_max = 0;
    fail_parked(1, 1);
    check_told("started 1 seq 0+2 new\nheld 1/1\nreleased 1/1\ncall 1/1 A#1\nheld 1/1\n");
    struct workflow_record begun = {
        .kind = RECORD_STARTED, .at_us = STORY_START_US, .duration_us = TIMEOUT_MS * INT64_C(1000)};
    struct engine_hold hold = {story_id(2), 1, STORY_START_US + 5 * SECOND_US, 0};
    give((struct engine_event){.type = ENGINE_LOAD,
                               .workflow = recovered(2, &begun, 1),
                               .holds = &hold,
                               .holds_count = 1});
    check_told("");
    ck_assert_uint_eq(held, 2);
}
END_TEST

START_TEST(a_limit_lets_it_wait_unheld)
{
    open_gated(4);
    verdict = BREAKER_WAIT;
    submit(1);
    check_told("started 1 seq 0+2 new\n");
    passes = 1;
    command(ENGINE_GATE, 0);
    check_told("call 1/1 A#1\n");
}
END_TEST

START_TEST(nothing_of_a_paused_or_ended_workflow_is_held)
{
    open_gated(4);
    submit(1);
    submit(2);
    buffer_clear(&told);
    command(ENGINE_PAUSE, 1);
    check_told("paused 1 seq 4+0\nreleased 1/1\n");
    cancel(2);
    check_told("cancelled 2 seq 4+2 ended\nabandon 2/1\n");
    ck_assert_uint_eq(held, 0);
    command(ENGINE_RESUME, 1);
    check_told("resumed 1 seq 6+0\nheld 1/1\n");
}
END_TEST

/* What the store kept: since when it is held, and by how much the time limit has moved already. */
START_TEST(a_loaded_workflow_is_still_held)
{
    open_gated(4);
    struct workflow_record begun = {
        .kind = RECORD_STARTED, .at_us = STORY_START_US, .duration_us = TIMEOUT_MS * INT64_C(1000)};
    struct engine_hold hold = {story_id(1), 1, STORY_START_US + 5 * SECOND_US, 20 * SECOND_US};
    now_us = STORY_START_US + 200 * SECOND_US;
    give((struct engine_event){.type = ENGINE_LOAD,
                               .workflow = recovered(1, &begun, 1),
                               .holds = &hold,
                               .holds_count = 1});
    check_told("");
    ck_assert_uint_eq(held, 1);
    passes = 1;
    tick_at(205);
    check_told("released 1/1\ncall 1/1 A#1\n");
    tick_at(200 + 20 + 59);
    check_told("");
    tick_at(200 + 20 + 60);
    check_told("timed-out 1 seq 0+2 ended\nabandon 1/1\n");
}
END_TEST

START_TEST(namespaces_have_their_turns)
{
    open_gated(10);
    for (unsigned i = 1; i <= 4; i++)
        submit_key(i, "common", NULL, 0);
    for (unsigned i = 5; i <= 8; i++)
        submit_key(i, "important", NULL, 0);
    buffer_clear(&told);
    passes = 4;
    tick_at(5);
    check_told("released 1/1\ncall 1/1 A#1\nreleased 5/1\ncall 5/1 A#1\nreleased 6/1\n"
               "call 6/1 A#1\nreleased 2/1\ncall 2/1 A#1\n");
}
END_TEST

START_TEST(a_shard_that_is_given_up_holds_nothing)
{
    open_gated(4);
    submit(1);
    ck_assert_uint_eq(held, 1);
    ck_assert_uint_eq(engine_shard_close(engine, 0), 1);
    ck_assert_uint_eq(held, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine_gate");
    TCase *tests = tcase_create("engine_gate");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, held_and_released);
    tcase_add_test(tests, a_probe_that_fails_is_held_again);
    tcase_add_test(tests, held_time_does_not_count);
    tcase_add_test(tests, held_time_counts_when_it_is_wanted);
    tcase_add_test(tests, what_cannot_be_held_is_refused);
    tcase_add_test(tests, what_was_held_before_is_held_past_the_limit);
    tcase_add_test(tests, a_limit_lets_it_wait_unheld);
    tcase_add_test(tests, nothing_of_a_paused_or_ended_workflow_is_held);
    tcase_add_test(tests, a_loaded_workflow_is_still_held);
    tcase_add_test(tests, namespaces_have_their_turns);
    tcase_add_test(tests, a_shard_that_is_given_up_holds_nothing);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
