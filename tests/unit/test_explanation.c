/* SPDX-License-Identifier: MIT */
/* Does a workflow say what it waits for, since when and what comes next, in each state that it can be in? */
#include "engine_story.h"
#include "orchestrator/core/explanation.h"
#include "orchestrator/core/services.h"

#define START "2026-01-01T00:00:00.000Z"

static void at(int64_t seconds) { now_us = STORY_START_US + seconds * SECOND_US; }

static struct service desk = {.name = (char *)"desk", .base_url = (char *)"http://desk"};
static const struct services services = {&desk, 1};

static struct explanation *explained(unsigned number)
{
    struct uuid id = story_id(number);
    return engine_explain(engine, &id, &services);
}

static void check_sentence(const struct explanation *explanation, const char *waiting_for,
                           const char *sentence)
{
    struct buffer text = {0};
    struct json *fields = explanation_json(explanation, now_us);
    explanation_sentence(explanation, now_us, &text);
    ck_assert_str_eq(buffer_text(&text), sentence);
    ck_assert_str_eq(json_string_or(json_get(fields, "explanation"), ""), sentence);
    ck_assert_str_eq(json_string_or(json_get(fields, "waiting_for"), "nothing"), waiting_for);
    json_release(fields);
    buffer_fini(&text);
}

static void check(unsigned number, const char *waiting_for, const char *sentence)
{
    struct explanation *explanation = explained(number);
    ck_assert_ptr_nonnull(explanation);
    check_sentence(explanation, waiting_for, sentence);
    explanation_free(explanation);
}

static const char call_of_desk[] = "services: [desk]\n" MACHINE(
    "    A: { " TASK ", Parameters: { Service: desk, Path: /a, Method: GET }, End: true }\n");

START_TEST(a_call_and_its_queue)
{
    open_engine(call_of_desk, 1);
    submit(1);
    submit(2);
    submit(3);
    at(2);
    check(1, "answer", "A waits for an answer of desk since " START " (2 s).");
    check(2, "start",
          "Waits to start since " START
          " (2 s) and is the next: all of 1 calls at a time are being made.");
    check(3, "start",
          "Waits to start since " START
          " (2 s) behind 1 other: all of 1 calls at a time are being made.");
    command(ENGINE_PAUSE, 2);
    check(3, "start",
          "Waits to start since " START
          " (2 s) and is the next: all of 1 calls at a time are being made.");
    at(200);
    check(2, "resume",
          "Paused since 2026-01-01T00:00:02.000Z (3 min): no call, timer or state begins until it "
          "is resumed; it has not started.");
    ck_assert_ptr_null(explained(4));
}
END_TEST

START_TEST(a_service_named_by_its_url)
{
    open_engine(
        MACHINE("    A: { " TASK
                ", Parameters: { ApiEndpoint: 'http://desk/a', Method: GET }, End: true }\n"),
        1);
    submit(1);
    check(1, "answer", "A waits for an answer of desk since " START " (0 s).");
}
END_TEST

START_TEST(a_retry_says_which_and_why)
{
    open_engine(call_retried, 1);
    submit(1);
    answer(1, 1, 1, "Busy");
    at(1);
    check(1, "retry", "A is tried again in 1 s, retry 1 of 2, because of Busy: because.");
    struct explanation *explanation = explained(1);
    struct json *fields = explanation_json(explanation, now_us);
    ck_assert_int_eq(json_int_value(json_get(fields, "attempt")), 2);
    ck_assert_int_eq(json_int_value(json_get(fields, "retry")), 1);
    ck_assert_int_eq(json_int_value(json_get(fields, "max_retries")), 2);
    ck_assert_str_eq(json_string_or(json_get(fields, "next_at"), ""),
                     "2026-01-01T00:00:02.000000Z");
    ck_assert_str_eq(json_string_or(json_get(fields, "next"), ""), "attempt");
    ck_assert_str_eq(json_string_or(json_get(json_get(fields, "reason"), "error"), ""), "Busy");
    json_release(fields);
    explanation_free(explanation);
    command(ENGINE_PAUSE, 1);
    at(9);
    check(1, "resume",
          "Paused since 2026-01-01T00:00:01.000Z (8 s): no call, timer or state begins until it is "
          "resumed; the delay before the next attempt of A stands still with 1 s left, retry 1 of "
          "2, because of Busy: because.");
    command(ENGINE_RESUME, 1);
    tick_at(11);
    check(
        1, "answer",
        "A waits for its workflow to be started since 2026-01-01T00:00:11.000Z (0 s), attempt 2.");
}
END_TEST

START_TEST(a_retry_of_a_retry_counts_on)
{
    open_engine(call_retried, 1);
    submit(1);
    answer(1, 1, 1, "Busy");
    tick_at(2);
    answer(1, 3, 2, "Busy");
    check(1, "retry", "A is tried again in 4 s, retry 2 of 2, because of Busy: because.");
}
END_TEST

START_TEST(a_timer)
{
    open_engine(waits, 1);
    submit(1);
    at(5);
    check(1, "timer", "A waits until 2026-01-01T00:00:20.000Z and goes on in 15 s.");
    at(25);
    check(1, "timer", "A waits until 2026-01-01T00:00:20.000Z and goes on now.");
    at(5);
    command(ENGINE_PAUSE, 1);
    check(1, "resume",
          "Paused since 2026-01-01T00:00:05.000Z (0 s): no call, timer or state begins until it is "
          "resumed; the timer of A stands still with 15 s left.");
}
END_TEST

START_TEST(several_are_told_together_and_bounded)
{
    open_engine(call_and_wait, 1);
    submit(1);
    check(
        1, "several",
        "3 branches or items are under way: A/0/B waits for its workflow to be started since " START
        " (0 s); A/1/C waits for a free slot since " START
        " (0 s): 1 of 1 calls are being made, 0 are ahead of it; A/2/D waits until "
        "2026-01-01T00:00:30.000Z and goes on in 30 s.");
    command(ENGINE_PAUSE, 1);
    ok(1, 1);
    struct explanation *explanation = explained(1);
    ck_assert_int_eq(explanation->waits[0].cause, EXPLANATION_RESUME);
    explanation_free(explanation);
}
END_TEST

START_TEST(very_many_are_counted)
{
    open_engine(MACHINE("    A:\n      Type: Map\n      End: true\n      ItemProcessor:\n"
                        "        StartAt: B\n"
                        "        States: { B: { Type: Wait, Seconds: 9, End: true } }\n"),
                1);
    submit_to(1, 0,
              "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30]");
    struct explanation *explanation = explained(1);
    struct json *fields = explanation_json(explanation, now_us);
    ck_assert_uint_eq(json_size(json_get(fields, "waits")), EXPLANATION_WAITS_MAX);
    ck_assert_int_eq(json_int_value(json_get(fields, "waits_total")), 30);
    ck_assert_ptr_nonnull(
        strstr(json_string_or(json_get(fields, "explanation"), ""), "; and 27 more."));
    json_release(fields);
    explanation_free(explanation);
}
END_TEST

START_TEST(a_task_token)
{
    open_engine("services: [desk]\n" MACHINE(
                    "    A: { Type: Task, Resource: 'onex:http:invoke.waitForTaskToken',\n"
                    "         TimeoutSeconds: 40, End: true,\n"
                    "         Parameters: { Service: desk, Path: /a, Method: POST } }\n"),
                1);
    submit(1);
    check(1, "answer", "A waits for an answer of desk since " START " (0 s).");
    give((struct engine_event){
        .type = ENGINE_DELIVERED, .id = story_id(1), .wait = 1, .attempt = 1});
    at(3);
    check(1, "token",
          "A waits for an answer by its task token since " START
          " (3 s), and fails if nothing comes until 2026-01-01T00:00:40.000Z.");
}
END_TEST

START_TEST(a_signal)
{
    open_engine(MACHINE("    A: { Type: Task, Resource: 'onex:signal:wait', End: true,\n"
                        "         Parameters: { signal_name: go } }\n"),
                1);
    submit(1);
    check(1, "signal", "A waits for the signal go since " START " (0 s).");
}
END_TEST

START_TEST(a_child)
{
    open_engine(MACHINE("    A: { Type: Task, Resource: 'onex:workflow:start.sync', End: true,\n"
                        "         Parameters: { workflow_type: child, input: {} } }\n"),
                1);
    submit(1);
    check(1, "answer", "A waits for its workflow to be started since " START " (0 s).");
    give((struct engine_event){
        .type = ENGINE_AGAIN, .id = story_id(1), .wait = 1, .attempt = 1, .after_us = SECOND_US});
    check(1, "call", "A could not start its workflow, which is tried again in 1 s.");
    tick_at(1);
    struct json *result = story_json("{\"workflow_id\":\"019aa119-c3a8-7000-8000-000000000009\"}");
    give((struct engine_event){
        .type = ENGINE_DELIVERED, .id = story_id(1), .wait = 1, .attempt = 1, .result = result});
    json_release(result);
    check(1, "child",
          "A waits for the end of the workflow 019aa119-c3a8-7000-8000-000000000009 since " START
          " (1 s).");
}
END_TEST

START_TEST(without_its_database)
{
    open_engine(waits, 1);
    submit(1);
    struct explanation *explanation = explained(1);
    explanation->database_down = true;
    check_sentence(
        explanation, "timer",
        "A waits until 2026-01-01T00:00:20.000Z and goes on in 20 s. The database cannot "
        "be reached: nothing of it is recorded until it can.");
    explanation_free(explanation);
}
END_TEST

static struct breaker_answer verdict;

static struct breaker_answer ask_gate(void *context, int service, int64_t at_us)
{
    (void)context, (void)service, (void)at_us;
    return verdict;
}

static bool park(void *context, int service, bool before)
{
    (void)context, (void)service, (void)before;
    return true;
}

static void unpark(void *context, int service, size_t count)
{
    (void)context, (void)service, (void)count;
}

START_TEST(what_a_breaker_holds)
{
    struct engine_gate gate = {
        .services = &services, .ask = ask_gate, .park = park, .unpark = unpark};
    verdict = (struct breaker_answer){.verdict = BREAKER_WAIT, .after_us = INT64_MAX};
    open_engine(call_of_desk, 1);
    engine_set_gate(engine, &gate);
    submit(1);
    check(1, "limit",
          "A waits for its turn to call desk since " START
          " (0 s): as many calls as may be made of it are being made, 0 are ahead of it.");
    verdict.verdict = BREAKER_PARK;
    submit(2);
    check(2, "breaker", "A is held by the breaker of desk since " START " (0 s).");
    struct explanation *explanation = explained(2);
    struct explanation_wait *wait = &explanation->waits[0];
    wait->next_us = STORY_START_US + 5 * SECOND_US;
    wait->attempt = 2;
    wait->breaker_reason = must_strdup("7 of the last 10 calls failed");
    at(2);
    check_sentence(explanation, "breaker",
                   "A is held by the breaker of desk since " START
                   " (2 s), before attempt 2, because of: 7 of the last 10 calls failed; the "
                   "service is probed in 3 s.");
    wait->by_hand = true;
    wait->attempt = 1;
    check_sentence(explanation, "breaker",
                   "A is held by the breaker of desk since " START
                   " (2 s), because of: 7 of the last 10 calls failed; it goes on when somebody "
                   "releases the service.");
    explanation_free(explanation);
}
END_TEST

/* -- those that are not in memory -- */

static struct explanation *stored(enum workflow_state state, enum explanation_cause cause)
{
    struct explanation *explanation = explanation_new();
    explanation->source = EXPLANATION_STORED;
    explanation->cause = cause;
    explanation->state = state;
    explanation->shard = 5;
    explanation->run = 1;
    explanation->created_us = STORY_START_US;
    explanation->completed_us = workflow_state_ended(state) ? STORY_START_US + 3 * SECOND_US : 0;
    explanation->step = workflow_state_ended(state) ? NULL : must_strdup("A");
    explanation->instance = must_strdup("other");
    explanation->instance_url = must_strdup("http://other:8060");
    return explanation;
}

START_TEST(those_that_others_have)
{
    static const struct {
        enum explanation_cause cause;
        const char *name, *sentence;
    } cases[] = {
        {EXPLANATION_OWNER, "owner",
         "PROCESSING at A; its shard 5 belongs to the instance other (http://other:8060), which "
         "knows what it waits for and has not answered."},
        {EXPLANATION_TAKEOVER, "takeover",
         "PROCESSING at A; nobody alive owns its shard 5, which is taken over in a moment."},
        {EXPLANATION_LOADING, "loading",
         "PROCESSING at A; its shard 5 was taken over just now and is being loaded."},
        {EXPLANATION_COMMIT, "commit",
         "PROCESSING at A; it has ended, and that is being written to the database."},
        {EXPLANATION_REPAIR, "repair",
         "PROCESSING at A, and stands still: its records cannot be applied to its contract (the "
         "log says ReplayDivergence)."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct explanation *explanation = stored(WORKFLOW_PROCESSING, cases[i].cause);
        check_sentence(explanation, cases[i].name, cases[i].sentence);
        explanation_free(explanation);
    }
}
END_TEST

START_TEST(those_that_have_ended)
{
    struct explanation *explanation = stored(WORKFLOW_COMPLETED, EXPLANATION_NOTHING);
    check_sentence(explanation, "nothing",
                   "Completed at 2026-01-01T00:00:03.000Z, 3 s after it was accepted.");
    explanation_free(explanation);
    explanation = stored(WORKFLOW_CANCELLED, EXPLANATION_NOTHING);
    explanation->error = must_strdup("Workflow.Cancelled");
    explanation->error_cause = must_strdup("not needed");
    explanation->run = 2;
    check_sentence(explanation, "nothing",
                   "Cancelled at 2026-01-01T00:00:03.000Z in run 2, 3 s after it was accepted: "
                   "Workflow.Cancelled: not needed.");
    explanation_free(explanation);
}
END_TEST

/* Where it failed and whether it can go on: what its records say. */
static void check_failure(const char *definition, const char *error, const char *expected)
{
    contract = story_contract(definition);
    const struct workflow_record records[] = {{.kind = RECORD_STARTED, .at_us = STORY_START_US},
                                              {.kind = RECORD_TASK_FAILED,
                                               .at_us = STORY_START_US + SECOND_US,
                                               .wait = 1,
                                               .attempt = 1,
                                               .error = error,
                                               .cause = "because"}};
    struct workflow *workflow = recovered(1, records, error == NULL ? 1 : 2);
    struct explanation *explanation = stored(WORKFLOW_FAILED, EXPLANATION_NOTHING);
    ck_assert_int_eq(workflow_state(workflow), WORKFLOW_FAILED);
    explanation_add_end(explanation, workflow);
    explanation->error = must_strdup(workflow_error(workflow));
    explanation->error_cause = must_strdup(workflow_cause(workflow));
    check_sentence(explanation, "nothing", expected);
    explanation_free(explanation);
    workflow_free(workflow);
    contract_free(contract);
}

START_TEST(where_it_failed)
{
    check_failure(two_calls, "Broken",
                  "Failed at 2026-01-01T00:00:03.000Z, 3 s after it was accepted, in A/0/B, with "
                  "Broken: because. It can be retried, and goes on where it failed.");
    check_failure(MACHINE("    A: { Type: Pass, Next: B }\n"
                          "    B: { Type: Fail, Error: Mine, Cause: told }\n"),
                  NULL,
                  "Failed at 2026-01-01T00:00:03.000Z, 3 s after it was accepted, in B, with Mine: "
                  "told. It can be retried, and goes on where it failed.");
    contract = NULL;
}
END_TEST

START_TEST(what_cannot_be_retried)
{
    struct explanation *explanation = stored(WORKFLOW_FAILED, EXPLANATION_NOTHING);
    explanation->error = must_strdup("Contract.OutputInvalid");
    explanation->retry_known = true;
    check_sentence(
        explanation, "nothing",
        "Failed at 2026-01-01T00:00:03.000Z, 3 s after it was accepted, with "
        "Contract.OutputInvalid. It cannot be retried: it failed before its first state, "
        "or after its last one.");
    explanation_free(explanation);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("explanation");
    TCase *live = tcase_create("in memory"), *not_live = tcase_create("stored");
    tcase_add_checked_fixture(live, NULL, teardown);
    tcase_add_test(live, a_call_and_its_queue);
    tcase_add_test(live, a_service_named_by_its_url);
    tcase_add_test(live, a_retry_says_which_and_why);
    tcase_add_test(live, a_retry_of_a_retry_counts_on);
    tcase_add_test(live, a_timer);
    tcase_add_test(live, several_are_told_together_and_bounded);
    tcase_add_test(live, very_many_are_counted);
    tcase_add_test(live, a_task_token);
    tcase_add_test(live, a_signal);
    tcase_add_test(live, a_child);
    tcase_add_test(live, without_its_database);
    tcase_add_test(live, what_a_breaker_holds);
    suite_add_tcase(suite, live);
    tcase_add_test(not_live, those_that_others_have);
    tcase_add_test(not_live, those_that_have_ended);
    tcase_add_test(not_live, where_it_failed);
    tcase_add_test(not_live, what_cannot_be_retried);
    suite_add_tcase(suite, not_live);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
