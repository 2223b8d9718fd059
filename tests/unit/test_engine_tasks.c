/* SPDX-License-Identifier: MIT */
/* Stories of the engine: tasks that outlast their call, signals, children. */
#include "engine_story.h"

static const char token_task[] = MACHINE(
    "    A: { Type: Task, Resource: onex:http:invoke.waitForTaskToken, TimeoutSeconds: 60,\n"
    "         HeartbeatSeconds: 10, End: true }\n");
static const char token_retried[] =
    MACHINE("    A:\n      Type: Task\n      Resource: onex:http:invoke.waitForTaskToken\n"
            "      TimeoutSeconds: 5\n      End: true\n"
            "      Retry: [ { ErrorEquals: [States.Timeout], IntervalSeconds: 2 } ]\n");
static const char child_task[] = MACHINE(
    "    A: { Type: Task, Resource: onex:workflow:start.sync, TimeoutSeconds: 60, End: true,\n"
    "         Parameters: { workflow_type: w } }\n");
static const char signal_task[] =
    MACHINE("    A: { Type: Task, Resource: onex:signal:wait, TimeoutSeconds: 30, End: true,\n"
            "         Parameters: { signal_name: go } }\n");

static const char signals_for_ever[] =
    MACHINE("    A: { Type: Task, Resource: onex:signal:wait, ResultPath: $.go, Next: A,\n"
            "         Parameters: { signal_name: go },\n"
            "         Catch: [ { ErrorEquals: [States.Timeout], Next: B } ] }\n"
            "    B: { Type: Succeed }\n");

static void event(enum engine_event_type type, unsigned number, uint32_t wait, const char *error)
{
    struct json *result = json_object();
    give((struct engine_event){.type = type,
                               .id = story_id(number),
                               .wait = wait,
                               .attempt = 1,
                               .after_us = 3 * SECOND_US,
                               .result = error == NULL ? result : NULL,
                               .error = error,
                               .cause = error == NULL ? NULL : "because"});
    json_release(result);
}

static void give_signal_of(unsigned number, const char *name, const char *key, const char *text)
{
    struct json *data = story_json(text);
    give((struct engine_event){
        .type = ENGINE_SIGNAL, .id = story_id(number), .signal = name, .key = key, .result = data});
    json_release(data);
}

static void give_large_signal(const char *name, size_t bytes)
{
    char *text = must_alloc(bytes + 1);
    memset(text, 'x', bytes);
    text[bytes] = '\0';
    struct json *data = json_text(text);
    give((struct engine_event){
        .type = ENGINE_SIGNAL, .id = story_id(1), .signal = name, .result = data});
    json_release(data);
    free(text);
}

static void give_signal(unsigned number, const char *name, const char *key)
{
    give_signal_of(number, name, key, "7");
}

static void child_started(unsigned number, unsigned child)
{
    char id[UUID_TEXT_BYTES];
    struct uuid of = story_id(child);
    struct json *result = json_object();
    json_object_set(result, "workflow_id", json_text(uuid_format(&of, id)));
    give((struct engine_event){.type = ENGINE_DELIVERED,
                               .id = story_id(number),
                               .wait = 1,
                               .attempt = 1,
                               .result = result});
    json_release(result);
}

START_TEST(a_delivered_task_holds_no_slot)
{
    open_engine(token_task, 1);
    submit(1);
    submit(2);
    check_told("started 1 seq 0+2 new\ncall 1/1 A#1\naccepted 2 seq 2+0 new\n");
    event(ENGINE_DELIVERED, 1, 1, NULL);
    check_told("delivered 1 seq 2+0\nstarted 2 seq 2+2\ncall 2/1 A#1\n");
    check_counts(2, 0, 1);
    event(ENGINE_DELIVERED, 1, 1, NULL);
    check_told("stale 1\n");
    event(ENGINE_TASK_ENDED, 1, 1, NULL);
    check_told("stale 1\n");
    event(ENGINE_TOKEN, 1, 1, NULL);
    check_told("succeeded 1 seq 4+3 ended\n");
    event(ENGINE_TOKEN, 1, 1, NULL);
    event(ENGINE_HEARTBEAT, 1, 1, NULL);
    check_told("stale 1\nstale 1\n");
    check_counts(1, 0, 1);
}
END_TEST

START_TEST(what_is_kept_and_recorded_weighs)
{
    open_engine(signals_for_ever, 1);
    submit(1);
    int64_t bytes = engine_live_bytes(engine);
    give_large_signal("other", 100000); /* kept */
    ck_assert_int_eq(engine_live_bytes(engine), bytes + 100002);
    give_large_signal("go", 300000); /* recorded, and from now on in the data */
    ck_assert_int_ge(engine_live_bytes(engine), bytes + 400002);
    ck_assert_int_le(engine_live_bytes(engine), bytes + 402000);
    for (int i = 0; i < 50; i++) /* each takes the place of the one before */
        give_large_signal("go", 300000);
    ck_assert_int_ge(engine_live_bytes(engine), bytes + 400002);
    ck_assert_int_le(engine_live_bytes(engine), bytes + 900000);
    cancel(1);
    check_counts(0, 0, 0);
    ck_assert_int_eq(engine_live_bytes(engine), 0);
}
END_TEST

START_TEST(a_token_that_is_early_abandons_the_call)
{
    open_engine(token_task, 1);
    submit(1);
    buffer_clear(&told);
    event(ENGINE_TOKEN, 1, 1, "No");
    check_told("failed 1 seq 2+2 ended\nabandon 1/1\n");
    check_counts(0, 0, 0);
    event(ENGINE_DELIVERED, 1, 1, NULL);
    check_told("stale 1\n");
}
END_TEST

START_TEST(plain_calls_take_no_token)
{
    open_engine(one_call, 1);
    submit(1);
    buffer_clear(&told);
    event(ENGINE_TOKEN, 1, 1, NULL);
    event(ENGINE_HEARTBEAT, 1, 1, NULL);
    event(ENGINE_CHILD, 1, 1, NULL);
    event(ENGINE_TOKEN, 9, 1, NULL);
    check_told("stale 1\nstale 1\nstale 1\nstale 9\n");
    tick_at(100000);
    check_told("timed-out 1 seq 2+2 ended\nabandon 1/1\n");
}
END_TEST

START_TEST(heartbeats_put_the_limit_off)
{
    open_engine(token_task, 1);
    submit(1);
    event(ENGINE_DELIVERED, 1, 1, NULL);
    buffer_clear(&told);
    now_us += 8 * SECOND_US;
    event(ENGINE_HEARTBEAT, 1, 1, NULL);
    check_told("heartbeat 1 seq 2+0\n");
    tick_at(10);
    check_told("");
    ck_assert_int_eq(engine_next_due_us(engine), STORY_START_US + 18 * SECOND_US);
    tick_at(18);
    check_told("failed 1 seq 2+2 ended\n");
}
END_TEST

START_TEST(few_heartbeats_are_recorded_and_all_count)
{
    open_engine(token_task, 1);
    submit(1);
    event(ENGINE_DELIVERED, 1, 1, NULL);
    buffer_clear(&told);
    for (int i = 1; i <= 40; i++) {
        now_us += SECOND_US / 10;
        event(ENGINE_HEARTBEAT, 1, 1, NULL);
    }
    const char *heard = "heard 1\nheard 1\nheard 1\nheard 1\nheard 1\nheard 1\nheard 1\n"
                        "heard 1\nheard 1\nheartbeat 1 seq 2+0\n";
    struct buffer expected = {0};
    for (int i = 0; i < 4; i++)
        buffer_append_text(&expected, heard);
    check_told(buffer_text(&expected));
    buffer_fini(&expected);
    now_us += SECOND_US / 2;
    event(ENGINE_HEARTBEAT, 1, 1, NULL);
    check_told("heard 1\n");
    tick_at(14);
    check_told("");
    tick_at(15);
    check_told("failed 1 seq 2+2 ended\n");
}
END_TEST

START_TEST(heartbeats_that_mean_nothing_are_not_recorded)
{
    open_engine(token_retried, 1);
    submit(1);
    event(ENGINE_DELIVERED, 1, 1, NULL);
    buffer_clear(&told);
    now_us += 4 * SECOND_US;
    event(ENGINE_HEARTBEAT, 1, 1, NULL);
    check_told("heard 1\n");
}
END_TEST

START_TEST(a_time_limit_ends_the_attempt_and_the_next_one_has_its_own)
{
    open_engine(token_retried, 1);
    submit(1);
    event(ENGINE_DELIVERED, 1, 1, NULL);
    buffer_clear(&told);
    tick_at(5);
    check_told("failed 1 seq 2+0\n");
    tick_at(7);
    check_told("fired 1 seq 2+0\ncall 1/3 A#2\n");
    tick_at(11);
    check_told("");
    tick_at(12);
    check_told("failed 1 seq 2+0\nabandon 1/3\n");
    check_counts(1, 0, 0);
}
END_TEST

START_TEST(a_signal_before_the_start_leaves_the_queue_as_it_is)
{
    open_engine(one_call, 1);
    submit(1);
    submit(2);
    check_counts(2, 1, 1);
    give_signal(2, "early", "k");
    check_counts(2, 1, 1);
    ok(1, 1);
    check_counts(1, 0, 1);
}
END_TEST

/* With growing pauses: 3 s, 6 s, ... */
START_TEST(what_is_not_taken_is_called_again_later)
{
    open_engine(child_task, 1);
    submit(1);
    submit(2);
    buffer_clear(&told);
    event(ENGINE_AGAIN, 1, 1, NULL);
    check_told("started 2 seq 2+2\ncall 2/1 A#1\n");
    tick_at(2);
    check_told("");
    child_started(2, 20);
    check_told("delivered 2 seq 4+0\n");
    check_counts(2, 0, 0);
    tick_at(3);
    check_told("call 1/1 A#1\n");
    event(ENGINE_AGAIN, 1, 1, NULL);
    tick_at(8);
    check_told("");
    tick_at(9);
    check_told("call 1/1 A#1\n");
    event(ENGINE_AGAIN, 1, 1, NULL);
    tick_at(60);
    check_told("failed 1 seq 4+2 ended\ntimed-out 2 seq 6+2 ended\norphan 20 of 2/1\n");
}
END_TEST

START_TEST(children_are_looked_for_while_they_are_waited_for)
{
    struct engine_child children[4];
    open_engine(child_task, 4);
    for (unsigned i = 1; i <= 3; i++) {
        submit(i);
        child_started(i, 10 + i);
    }
    ck_assert(engine_waits_for_children(engine));
    ck_assert_uint_eq(engine_children(engine, children, 2), 2);
    ck_assert_uint_eq(number_of(&children[1].child), 12);
    ck_assert_uint_eq(engine_children(engine, children, 4), 3);
    ck_assert_uint_eq(number_of(&children[0].id), 3);
    buffer_clear(&told);
    event(ENGINE_CHILD, 2, 1, NULL);
    check_told("succeeded 2 seq 6+3 ended\n");
    cancel(1);
    check_told("cancelled 1 seq 9+2 ended\norphan 11 of 1/1\n");
    ck_assert_uint_eq(engine_children(engine, children, 4), 1);
    event(ENGINE_CHILD, 3, 1, "States.TaskFailed");
    ck_assert_uint_eq(engine_children(engine, children, 4), 0);
    ck_assert(!engine_waits_for_children(engine));
}
END_TEST

static bool life_sign(unsigned number, uint32_t wait, unsigned child)
{
    struct engine_child sign = {story_id(number), wait, story_id(child)};
    return engine_child_started(engine, &sign);
}

START_TEST(a_child_that_was_seen_is_not_left_behind)
{
    open_engine(child_task, 4);
    for (unsigned i = 1; i <= 4; i++)
        submit(i);
    buffer_clear(&told);
    for (unsigned i = 1; i <= 4; i++)
        ck_assert(life_sign(i, 1, 10 + i));
    cancel(1);
    check_told("cancelled 1 seq 8+2 ended\nabandon 1/1\norphan 11 of 1/1\n");
    event(ENGINE_TASK_ENDED, 2, 1, "Lost");
    check_told("orphan 12 of 2/1\nfailed 2 seq 10+2 ended\n");
    child_started(3, 13);
    cancel(3);
    check_told("delivered 3 seq 12+0\ncancelled 3 seq 12+2 ended\norphan 13 of 3/1\n");
    event(ENGINE_CHILD, 4, 1, "States.TaskFailed");
    check_told("failed 4 seq 14+2 ended\nabandon 4/1\n");
    ck_assert(!life_sign(1, 1, 11));
    ck_assert(!life_sign(9, 1, 11));
    submit(5);
    ck_assert(!life_sign(5, 2, 11));
}
END_TEST

START_TEST(signals_are_taken_kept_and_known_again)
{
    open_engine(signal_task, 1);
    submit(1);
    buffer_clear(&told);
    check_counts(1, 0, 0);
    give_signal(1, "other", "k");
    give_signal(1, "other", "k");
    give_signal(9, "go", NULL);
    check_told("signal 1 seq 2+0\nduplicate 1 same\nunknown 9\n");
    give_signal_of(1, "other", "k", "8");
    give_signal(1, "go", "k");
    check_told("duplicate 1 other\nduplicate 1 other\n");
    give_signal(1, "go", NULL);
    check_told("signal 1 seq 2+3 ended\n");
    give_signal(1, "go", NULL);
    check_told("unknown 1\n");
}
END_TEST

START_TEST(signals_past_the_bound_are_refused_but_for_those_waited_for)
{
    open_engine(signal_task, 1);
    submit(1);
    for (int i = 0; i < SIGNALS_KEPT_MAX; i++)
        give_signal(1, "other", NULL);
    buffer_clear(&told);
    give_signal(1, "other", NULL);
    check_told("full 1\n");
    give_signal(1, "go", NULL);
    check_told("signal 1 seq 2+3 ended\n");
}
END_TEST

START_TEST(a_signal_that_does_not_come_times_out)
{
    open_engine(signal_task, 1);
    submit(1);
    buffer_clear(&told);
    tick_at(30);
    check_told("failed 1 seq 2+2 ended\n");
}
END_TEST

/* What recovery finds: the workflow with its records applied is loaded into a new engine. */
static void load(const char *definition, bool delivered)
{
    open_engine(definition, 1);
    struct workflow *workflow = story_workflow(contract, 1, 0, "{}", now_us, TIMEOUT_MS * 100);
    struct workflow_outcome outcome = {0};
    struct json *result = story_json("{\"workflow_id\":\"019aa119-c3a8-7000-8000-000000000009\"}");
    struct workflow_record started = {.kind = RECORD_STARTED, .at_us = now_us};
    struct workflow_record noted = {
        .n = 1, .kind = RECORD_TASK_DELIVERED, .wait = 1, .at_us = now_us, .payload = result};
    ck_assert_int_eq(workflow_apply(workflow, &started, &outcome), ERR_OK);
    if (delivered)
        ck_assert_int_eq(workflow_apply(workflow, &noted, &outcome), ERR_OK);
    json_release(result);
    workflow_outcome_fini(&outcome);
    now_us += 4 * SECOND_US;
    give((struct engine_event){.type = ENGINE_LOAD, .workflow = workflow});
}

START_TEST(recovery_calls_what_was_not_delivered)
{
    load(token_retried, false);
    check_told("call 1/1 A#1\n");
    tick_at(4);
    check_told("");
    tick_at(5); /* a time limit does not care who was away */
    check_told("failed 1 seq 0+0\nabandon 1/1\n");
}
END_TEST

START_TEST(recovery_calls_nothing_that_was_delivered)
{
    load(token_task, true);
    check_told("");
    check_counts(1, 0, 0);
    event(ENGINE_HEARTBEAT, 1, 1, NULL);
    tick_at(10);
    check_told("heartbeat 1 seq 0+0\n");
    tick_at(14);
    check_told("failed 1 seq 0+2 ended\n");
}
END_TEST

START_TEST(heartbeats_that_could_not_be_taken_are_not_missed)
{
    load(token_task, true);
    tick_at(10); /* 10 s after the last heartbeat, 6 s after the load */
    check_told("");
    now_us += 3 * SECOND_US; /* the database was away */
    engine_heard(engine, now_us);
    tick_at(14);
    check_told("");
    tick_at(22);
    check_told("");
    ck_assert_int_eq(engine_next_due_us(engine), STORY_START_US + 23 * SECOND_US);
    tick_at(23);
    check_told("failed 1 seq 0+2 ended\n");
}
END_TEST

START_TEST(a_time_limit_goes_on_while_heartbeats_could_not_be_taken)
{
    load(token_task, true);
    now_us += 50 * SECOND_US;
    engine_heard(engine, now_us);
    tick_at(59);
    check_told("");
    tick_at(60);
    check_told("failed 1 seq 0+2 ended\n");
}
END_TEST

START_TEST(recovery_looks_for_children)
{
    struct engine_child child;
    load(child_task, true);
    check_told("");
    ck_assert_uint_eq(engine_children(engine, &child, 1), 1);
    ck_assert_uint_eq(number_of(&child.child), 9);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine_tasks");
    TCase *tests = tcase_create("engine_tasks");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, a_delivered_task_holds_no_slot);
    tcase_add_test(tests, a_token_that_is_early_abandons_the_call);
    tcase_add_test(tests, what_is_kept_and_recorded_weighs);
    tcase_add_test(tests, plain_calls_take_no_token);
    tcase_add_test(tests, heartbeats_put_the_limit_off);
    tcase_add_test(tests, few_heartbeats_are_recorded_and_all_count);
    tcase_add_test(tests, heartbeats_that_mean_nothing_are_not_recorded);
    tcase_add_test(tests, a_time_limit_ends_the_attempt_and_the_next_one_has_its_own);
    tcase_add_test(tests, a_signal_before_the_start_leaves_the_queue_as_it_is);
    tcase_add_test(tests, what_is_not_taken_is_called_again_later);
    tcase_add_test(tests, children_are_looked_for_while_they_are_waited_for);
    tcase_add_test(tests, a_child_that_was_seen_is_not_left_behind);
    tcase_add_test(tests, signals_are_taken_kept_and_known_again);
    tcase_add_test(tests, signals_past_the_bound_are_refused_but_for_those_waited_for);
    tcase_add_test(tests, a_signal_that_does_not_come_times_out);
    tcase_add_test(tests, recovery_calls_what_was_not_delivered);
    tcase_add_test(tests, recovery_calls_nothing_that_was_delivered);
    tcase_add_test(tests, heartbeats_that_could_not_be_taken_are_not_missed);
    tcase_add_test(tests, a_time_limit_goes_on_while_heartbeats_could_not_be_taken);
    tcase_add_test(tests, recovery_looks_for_children);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
