/* SPDX-License-Identifier: MIT */
/* Stories of one workflow whose tasks wait for tokens, children and signals, or publish events. */
#include "workflow_script.h"

#include "base/limits.h"

#define STARTED " -> PROCESSING\n  workflow_started\n  workflow_state_transition\n"
#define STEP "  workflow_step_completed\n"
#define COMPLETED " -> COMPLETED\n"
#define DONE STEP "  workflow_state_transition\n  workflow_completed\n"

static struct contract *machine(const char *states)
{
    struct buffer text = {0};
    buffer_append_format(
        &text, "name: n\nversion: 1.0.0\nstate_machine:\n  StartAt: A\n  States:\n%s", states);
    struct contract *contract = story_contract(buffer_text(&text));
    buffer_fini(&text);
    return contract;
}

#define TOKEN_TASK                                                                                 \
    "    A:\n      Type: Task\n      Resource: onex:http:invoke.waitForTaskToken\n"                \
    "      TimeoutSeconds: 60\n      HeartbeatSeconds: 10\n      End: true\n"                      \
    "      Parameters: { ApiEndpoint: there, RequestBody: { t.$: $$.Task.Token } }\n"
#define CHILD_TASK                                                                                 \
    "    A: { Type: Task, Resource: onex:workflow:start.sync, End: true,\n"                        \
    "         Parameters: { workflow_type: w } }\n"
#define SIGNAL_TASK(name, next)                                                                    \
    "Type: Task, Resource: onex:signal:wait, Parameters: { signal_name: " name " }, " next
#define EVENT_TASK(payload, next)                                                                  \
    "Type: Task, Resource: onex:event:publish, Parameters: { event_type: told, payload: " payload  \
    " }, " next

START_TEST(a_token_ends_the_task)
{
    struct contract *contract = machine(TOKEN_TASK);
    struct workflow *workflow = check_story(
        contract, "{}", "started\ndelivered 1 {\"StatusCode\":200}\nbeat 1\nok 1 {\"a\":1}",
        "started" STARTED "  +1 A#1\n"
        "delivered 1  -> PROCESSING\n"
        "beat 1 -> PROCESSING\n"
        "ok 1 " COMPLETED DONE);
    check_json(workflow_result(workflow), "{\"a\":1}");
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

/* The time without a sign of life is counted without the pause: one that came in it counts at its end. */
START_TEST(a_pause_does_not_stretch_heartbeats)
{
    struct contract *contract = machine(TOKEN_TASK);
    struct workflow *workflow =
        run(contract, "{}", "started\ndelivered 1 {}\npaused\nbeat 1\nresumed", NULL, false);
    const char *error = NULL;
    int64_t now_us = STORY_START_US + 4 * SECOND_US;
    ck_assert_int_eq(workflow_wait_limit_us(workflow_wait_find(workflow, 1), 0, &error),
                     now_us + 10 * SECOND_US);
    workflow_free(workflow);
    workflow = run(contract, "{}", "started\ndelivered 1 {}\npaused\nresumed", NULL, false);
    ck_assert_int_eq(workflow_wait_limit_us(workflow_wait_find(workflow, 1), 0, &error),
                     STORY_START_US + 11 * SECOND_US);
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

START_TEST(the_token_in_the_parameters_is_the_waits)
{
    struct contract *contract = machine(TOKEN_TASK);
    struct workflow *workflow = run(contract, "{}", "started", NULL, false);
    char token[TASK_TOKEN_BYTES_MAX];
    struct workflow_wait *wait = workflow_wait_find(workflow, 1);
    workflow_wait_token(workflow, 1, token);
    const struct json *body = json_get(wait->parameters, "RequestBody");
    ck_assert_str_eq(json_string_or(json_get(body, "t"), ""), token);
    ck_assert(workflow_wait_outlasts_call(wait));
    const char *error = NULL;
    ck_assert_int_eq(workflow_wait_limit_us(wait, 0, &error), STORY_START_US + 10 * SECOND_US);
    ck_assert_str_eq(error, "States.HeartbeatTimeout");
    ck_assert_int_eq(workflow_wait_limit_us(wait, STORY_START_US + 7 * SECOND_US, &error),
                     STORY_START_US + 17 * SECOND_US);
    wait->heartbeat_us += 55 * SECOND_US;
    ck_assert_int_eq(workflow_wait_limit_us(wait, 0, &error), STORY_START_US + 60 * SECOND_US);
    ck_assert_str_eq(error, "States.Timeout");
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

START_TEST(each_attempt_that_hands_a_token_over_has_its_own_key)
{
    static const char *const keys[][2] = {
        {"onex:http:invoke", ":A:0"},
        {"onex:http:invoke.waitForTaskToken", ":A:0:2"},
        {"onex:workflow:start", ":A:0"},
        {"onex:workflow:start.sync", ":A:0:2"},
        {"onex:workflow:start.waitForTaskToken", ":A:0:2"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct buffer states = {0}, first = {0}, second = {0};
        buffer_append_format(&states,
                             "    A: { Type: Task, Resource: '%s', End: true,\n"
                             "         Retry: [ { ErrorEquals: [Busy] } ] }\n",
                             keys[i][0]);
        struct contract *contract = machine(buffer_text(&states));
        struct workflow *workflow = run(contract, "{}", "started", NULL, false);
        workflow_wait_key(workflow, workflow_wait_find(workflow, 1), &first);
        workflow_free(workflow);
        workflow = run(contract, "{}", "started\nfail 1 Busy x\nfire 2", NULL, false);
        workflow_wait_key(workflow, workflow_wait_find(workflow, 3), &second);
        ck_assert_str_eq(strchr(buffer_text(&first), ':'), ":A:0");
        ck_assert_str_eq(strchr(buffer_text(&second), ':'), keys[i][1]);
        workflow_free(workflow);
        contract_free(contract);
        buffer_fini(&states);
        buffer_fini(&first);
        buffer_fini(&second);
    }
}
END_TEST

START_TEST(a_heartbeat_moves_the_limit)
{
    struct contract *contract = machine(TOKEN_TASK);
    struct workflow *workflow = run(contract, "{}", "started\nbeat 1\nbeat 1", NULL, false);
    const char *error = NULL;
    ck_assert_int_eq(workflow_wait_limit_us(workflow_wait_find(workflow, 1), 0, &error),
                     STORY_START_US + 12 * SECOND_US);
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

START_TEST(signals_come_early_and_late)
{
    struct contract *contract = machine("    A: { " SIGNAL_TASK(
        "one", "ResultPath: $.a, Next: B") " }\n"
                                           "    B: { " SIGNAL_TASK(
                                               "two",
                                               "ResultPath: $.b, Next: C") " }\n"
                                                                           "    C: { " SIGNAL_TASK(
                                                                               "two",
                                                                               "ResultPath: $.c, "
                                                                               "End: true") " }\n");
    struct workflow *workflow =
        check_story(contract, "{}",
                    "accepted\nsignal 0 two k 2\nstarted\nsignal 0 other - 0\nsignal 1 one - 1\n"
                    "signal 3 two - 3",
                    "accepted -> PENDING\n"
                    "signal 0 two k 2 -> PENDING\n"
                    "started" STARTED "  +1 A#1\n"
                    "signal 0 other - 0 -> PROCESSING\n"
                    "signal 1 one - 1 -> PROCESSING\n" STEP STEP "  +3 C#1\n"
                    "signal 3 two - 3" COMPLETED DONE);
    check_json(workflow_result(workflow), "{\"a\":1,\"b\":2,\"c\":3}");
    ck_assert(workflow_signal_known(workflow, "k"));
    ck_assert(!workflow_signal_known(workflow, "l"));
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

START_TEST(the_oldest_wait_of_a_name_takes_the_signal)
{
    struct contract *contract =
        machine("    A:\n      Type: Parallel\n      End: true\n      Branches:\n"
                "        - { StartAt: B, States: { B: { " SIGNAL_TASK(
                    "go", "End: true") " } } }\n"
                                       "        - { StartAt: C, States: { C: { " SIGNAL_TASK(
                                           "go", "End: true") " } } }\n");
    struct workflow *workflow = run(contract, "{}", "started", NULL, false);
    struct workflow_outcome outcome = {0};
    ck_assert_uint_eq(workflow_signal_wait(workflow, "go"), 1);
    ck_assert_uint_eq(workflow_signal_wait(workflow, "no"), 0);
    struct json *payload = story_json("{\"name\":\"go\",\"key\":null,\"data\":1}");
    struct workflow_record wrong = {
        .n = 1, .kind = RECORD_SIGNAL, .wait = 2, .payload = payload, .at_us = STORY_START_US};
    ck_assert_int_eq(workflow_apply(workflow, &wrong, &outcome), ERR_CONFLICT);
    wrong.wait = 0;
    ck_assert_int_eq(workflow_apply(workflow, &wrong, &outcome), ERR_CONFLICT);
    wrong.wait = 1;
    ck_assert_int_eq(workflow_apply(workflow, &wrong, &outcome), ERR_OK);
    ck_assert_uint_eq(workflow_signal_wait(workflow, "go"), 2);
    json_release(payload);
    workflow_outcome_fini(&outcome);
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

START_TEST(kept_signals_have_a_bound)
{
    struct contract *contract = machine("    A: { " SIGNAL_TASK("one", "End: true") " }\n");
    struct workflow *workflow = run(contract, "{}", "started", NULL, false);
    struct workflow_outcome outcome = {0};
    struct json *payload = story_json("{\"name\":\"x\",\"key\":null,\"data\":1}");
    for (int n = 1; n <= SIGNALS_KEPT_MAX; n++) {
        ck_assert(workflow_signal_fits(workflow, json_get(payload, "data")));
        struct workflow_record record = {
            .n = n, .kind = RECORD_SIGNAL, .payload = payload, .at_us = STORY_START_US};
        ck_assert_int_eq(workflow_apply(workflow, &record, &outcome), ERR_OK);
    }
    ck_assert(!workflow_signal_fits(workflow, json_get(payload, "data")));
    json_release(payload);
    workflow_outcome_fini(&outcome);
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

START_TEST(events_are_published_within_the_record)
{
    struct contract *contract = machine("    A: { " EVENT_TASK(
        "{ n: 1 }", "ResultPath: $.first, Next: B") " }\n"
                                                    "    B: { " EVENT_TASK(
                                                        "{ n.$: $.first.event_type }",
                                                        "Next: C") " }\n"
                                                                   "    C: { Type: Wait, Seconds: "
                                                                   "5, End: true }\n");
    struct buffer out = {0};
    struct workflow *workflow =
        check_story(contract, "{}", "started\nfire 3",
                    "started" STARTED "  told\n" STEP "  told\n" STEP "  ~3 C#1 after 5s\n"
                    "fire 3" COMPLETED "  workflow_state_transition\n  workflow_completed\n");
    /* The result names the id under which the event is published. */
    struct uuid second = workflow_event_id(workflow, 0, 4);
    char id[UUID_TEXT_BYTES];
    ck_assert_str_eq(json_string_or(json_get(workflow_result(workflow), "event_id"), ""),
                     uuid_format(&second, id));
    workflow_free(workflow);
    buffer_fini(&out);
    contract_free(contract);
}
END_TEST

START_TEST(an_unheard_replay_numbers_the_same_events)
{
    struct contract *contract = machine("    A: { " EVENT_TASK(
        "{ n: 1 }", "Next: B") " }\n"
                               "    B: { " EVENT_TASK(
                                   "{ n: 2 }",
                                   "Next: C") " }\n"
                                              "    C: { Type: Wait, Seconds: 5, End: true }\n");
    struct workflow *heard = run(contract, "{}", "started\nfire 3", NULL, false);
    struct workflow *unheard = begin(contract, "{}");
    struct workflow_outcome outcome = {.silent = true};
    struct workflow_record started = {.kind = RECORD_STARTED, .at_us = STORY_START_US};
    struct workflow_record fired = {
        .n = 1, .kind = RECORD_TIMER_FIRED, .wait = 3, .at_us = STORY_START_US + 5 * SECOND_US};
    ck_assert_int_eq(workflow_apply(unheard, &started, &outcome), ERR_OK);
    ck_assert_uint_eq(outcome.events_count, 0);
    ck_assert_int_eq(workflow_apply(unheard, &fired, &outcome), ERR_OK);
    ck_assert(json_equal(workflow_result(heard), workflow_result(unheard)));
    workflow_outcome_fini(&outcome);
    workflow_free(heard);
    workflow_free(unheard);
    contract_free(contract);
}
END_TEST

START_TEST(an_event_that_cannot_be_published_fails_its_task)
{
    struct contract *contract =
        machine("    A:\n      Type: Task\n      Resource: onex:event:publish\n"
                "      Parameters: { event_type.$: $.type, payload.$: $.payload }\n"
                "      Catch: [ { ErrorEquals: [States.DataLimitExceeded], Next: D }, "
                "{ ErrorEquals: [States.ALL], Next: C } ]\n      End: true\n"
                "    C: { Type: Succeed }\n    D: { Type: Pass, Result: large, End: true }\n");
    static const char *const types[] = {"workflow_completed", "stamp_workflow_completed", "a b",
                                        ""};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct buffer input = {0};
        buffer_append_format(&input, "{\"type\":\"%s\",\"payload\":{}}", types[i]);
        struct workflow *workflow = run(contract, buffer_text(&input), "started", NULL, false);
        ck_assert_str_eq(json_string_or(json_get(workflow_result(workflow), "Error"), ""),
                         "States.ParameterPathFailure");
        workflow_free(workflow);
        buffer_fini(&input);
    }
    struct buffer input = {0};
    buffer_append_text(&input, "{\"type\":\"t\",\"payload\":{\"x\":\"");
    for (int i = 0; i < EVENT_BYTES_MAX; i++)
        buffer_append_char(&input, 'x');
    buffer_append_text(&input, "\"}}");
    struct workflow *workflow = run(contract, buffer_text(&input), "started", NULL, false);
    check_json(workflow_result(workflow), "\"large\"");
    workflow_free(workflow);
    buffer_fini(&input);
    contract_free(contract);
}
END_TEST

START_TEST(an_endless_loop_of_events_ends)
{
    struct contract *contract = machine(
        "    A: { " EVENT_TASK("{}", "Next: B") " }\n"
                                                "    B: { Type: Choice, Default: A, Choices: [ { "
                                                "Variable: $.s, IsPresent: true, Next: C } ] }\n"
                                                "    C: { Type: Succeed }\n");
    struct workflow_outcome outcome = {0};
    struct workflow *workflow = begin(contract, "{}");
    struct workflow_record started = {.kind = RECORD_STARTED, .at_us = STORY_START_US};
    ck_assert_int_eq(workflow_apply(workflow, &started, &outcome), ERR_OK);
    ck_assert_int_eq(workflow_state(workflow), WORKFLOW_FAILED);
    ck_assert_str_eq(workflow_error(workflow), "States.Runtime");
    ck_assert_uint_lt(outcome.events_count, 32768); /* a record's count is a smallint */
    workflow_outcome_fini(&outcome);
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

/* A Map of `items` that publishes an event of `bytes` for each; the state it ends in. */
static enum workflow_state publish_many(int items, size_t bytes, bool silent)
{
    struct contract *contract =
        machine("    A:\n      Type: Map\n      ItemsPath: $.items\n      End: true\n"
                "      ItemProcessor:\n        StartAt: B\n        States:\n"
                "          B: { Type: Task, Resource: onex:event:publish, End: true,\n"
                "               Parameters: { event_type: told, payload.$: $ } }\n");
    struct buffer input = {0};
    buffer_append_text(&input, "{\"items\":[");
    for (int i = 0; i < items; i++) {
        buffer_append_format(&input, "%s{\"x\":\"", i == 0 ? "" : ",");
        for (size_t k = 0; k < bytes; k++)
            buffer_append_char(&input, 'x');
        buffer_append_text(&input, "\"}");
    }
    buffer_append_text(&input, "]}");
    struct workflow *workflow = begin(contract, buffer_text(&input));
    struct workflow_outcome outcome = {.silent = silent};
    struct workflow_record started = {.kind = RECORD_STARTED, .at_us = STORY_START_US};
    ck_assert_int_eq(workflow_apply(workflow, &started, &outcome), ERR_OK);
    ck_assert_uint_le(outcome.events_numbered, 32767);
    enum workflow_state state = workflow_state(workflow);
    workflow_outcome_fini(&outcome);
    workflow_free(workflow);
    buffer_fini(&input);
    contract_free(contract);
    return state;
}

START_TEST(what_one_record_may_publish_is_bounded)
{
    for (int silent = 0; silent < 2; silent++) {
        ck_assert_int_eq(publish_many(LOCAL_TASKS_PER_RECORD_MAX, 1, silent), WORKFLOW_COMPLETED);
        ck_assert_int_eq(publish_many(LOCAL_TASKS_PER_RECORD_MAX + 1, 1, silent), WORKFLOW_FAILED);
        ck_assert_int_eq(publish_many(16, EVENT_BYTES_MAX / 2, silent), WORKFLOW_COMPLETED);
    }
}
END_TEST

/* Publishes an event for each of `items`; then goes round in circles, each time beginning tasks, with an
 * event for each, that are given up at once since one branch fails. */
static struct contract *round_and_round(void)
{
    struct buffer text = {0}, events = {0};
    buffer_append_text(&text,
                       "    A:\n      Type: Map\n      ItemsPath: $.items\n      Next: P\n"
                       "      ResultPath: null\n"
                       "      ItemProcessor:\n        StartAt: B\n        States:\n"
                       "          B: { Type: Task, Resource: onex:event:publish, End: true,\n"
                       "               Parameters: { event_type: told, payload: {} } }\n"
                       "    P:\n      Type: Parallel\n      End: true\n"
                       "      Catch: [ { ErrorEquals: [States.ALL], Next: P } ]\n"
                       "      Branches:\n");
    buffer_append_text(&events, "events:\n  steps:\n    B: { requested: { type: b1 }, "
                                "completed: { type: b2 } }\n");
    for (int i = 0; i < 35; i++) {
        buffer_append_format(&text,
                             "        - { StartAt: T%d, States: { T%d: { Type: Task, "
                             "Resource: onex:http:invoke, End: true } } }\n",
                             i, i);
        buffer_append_format(&events, "    T%d: { requested: { type: asked } }\n", i);
    }
    buffer_append_text(&text, "        - { StartAt: F, States: { F: { Type: Fail } } }\n");
    buffer_append_text(&text, buffer_text(&events));
    struct contract *contract = machine(buffer_text(&text));
    buffer_fini(&text);
    buffer_fini(&events);
    return contract;
}

static void check_round(int items, bool silent, const char *cause)
{
    struct contract *contract = round_and_round();
    struct buffer input = {0};
    buffer_append_text(&input, "{\"items\":[");
    for (int i = 0; i < items; i++)
        buffer_append_text(&input, i == 0 ? "1" : ",1");
    buffer_append_text(&input, "]}");
    struct workflow *workflow = begin(contract, buffer_text(&input));
    struct workflow_outcome outcome = {.silent = silent};
    struct workflow_record started = {.kind = RECORD_STARTED, .at_us = STORY_START_US};
    ck_assert_int_eq(workflow_apply(workflow, &started, &outcome), ERR_OK);
    ck_assert_int_eq(workflow_state(workflow), WORKFLOW_FAILED);
    ck_assert_str_eq(workflow_error(workflow), "States.Runtime");
    ck_assert_msg(strstr(workflow_cause(workflow), cause) != NULL, "%s", workflow_cause(workflow));
    ck_assert_uint_le(outcome.events_numbered, 32767); /* a record's count is a smallint */
    if (!silent)
        ck_assert_str_eq(outcome.events[outcome.events_count - 1].type, "workflow_failed");
    ck_assert_uint_eq(outcome.opened_count, 0);
    ck_assert_uint_eq(workflow_waits(workflow), 0);
    workflow_outcome_fini(&outcome);
    workflow_free(workflow);
    buffer_fini(&input);
    contract_free(contract);
}

START_TEST(tasks_begun_and_given_up_in_one_record_are_bounded)
{
    for (int silent = 0; silent < 2; silent++) {
        check_round(0, silent, "tasks without waiting");
        check_round(LOCAL_TASKS_PER_RECORD_MAX - 100, silent, "too many events");
    }
}
END_TEST

START_TEST(an_event_with_a_token_waits_for_its_answer)
{
    struct contract *contract =
        machine("    A:\n      Type: Task\n      Resource: onex:event:publish.waitForTaskToken\n"
                "      Parameters: { event_type: asked, payload: { t.$: $$.Task.Token } }\n"
                "      End: true\n");
    workflow_free(check_story(contract, "{}", "started\nbeat 1\nok 1 5",
                              "started" STARTED "  asked\n  +1 A#1\n"
                              "beat 1 -> PROCESSING\n"
                              "ok 1 5" COMPLETED DONE));
    contract_free(contract);
}
END_TEST

START_TEST(a_child_that_nobody_waits_for_is_named)
{
    struct contract *contract = machine(CHILD_TASK);
    workflow_free(check_story(
        contract, "{}",
        "started\n"
        "delivered 1 {\"workflow_id\":\"019aa119-c3a8-7000-8000-000000000009\"}\ncancel why",
        "started" STARTED "  +1 A#1\n"
        "delivered 1  -> PROCESSING\n"
        "cancel why -> CANCELLED\n  workflow_state_transition\n  workflow_cancelled\n"
        "  child 9 abandoned\n"));
    contract_free(contract);
}
END_TEST

START_TEST(records_that_do_not_fit_are_refused)
{
    static const char *const misfits[] = {"beat 1", "delivered 1 {}", "beat 2", "delivered 2 {}"};
    struct contract *contract =
        machine("    A: { Type: Task, Resource: onex:http:invoke, End: true }\n");
    for (size_t i = 0; i < sizeof misfits / sizeof misfits[0]; i++) {
        struct workflow *workflow = run(contract, "{}", "started", NULL, false);
        struct workflow_outcome outcome = {0};
        struct json *result;
        char *copy = must_strdup(misfits[i]);
        struct workflow_record record = read_record(copy, 1, &result);
        ck_assert_int_eq(workflow_apply(workflow, &record, &outcome), ERR_CONFLICT);
        ck_assert_int_eq(workflow_records(workflow), 1);
        json_release(result);
        free(copy);
        workflow_outcome_fini(&outcome);
        workflow_free(workflow);
    }
    contract_free(contract);
}
END_TEST

/* -- many waits -- */

#define MANY 10000

START_TEST(ten_thousand_waits_are_not_slow)
{
    struct contract *contract = machine(
        "    A:\n      Type: Map\n      MaxConcurrency: 1000\n      End: true\n"
        "      ItemsPath: $.items\n      ItemProcessor:\n        StartAt: B\n        States:\n"
        "          B: { Type: Task, Resource: onex:http:invoke.waitForTaskToken, End: true,\n"
        "               Parameters: { ApiEndpoint: there, RequestBody.$: $$.Task.Token } }\n");
    struct buffer input = {0};
    buffer_append_text(&input, "{\"items\":[");
    for (int i = 0; i < MANY; i++)
        buffer_append_format(&input, "%s%d", i == 0 ? "" : ",", i);
    buffer_append_text(&input, "]}");
    struct workflow *workflow = begin(contract, buffer_text(&input));
    struct workflow_outcome outcome = {0};
    struct workflow_record record = {.kind = RECORD_STARTED, .at_us = STORY_START_US};
    struct json *result = json_int(1);
    ck_assert_int_eq(workflow_apply(workflow, &record, &outcome), ERR_OK);
    for (uint32_t i = 1; i <= MANY; i++) {
        struct workflow_wait *wait = workflow_wait_find(workflow, i);
        ck_assert_ptr_nonnull(wait);
        workflow_wait_set_called(workflow, wait, true);
        ck_assert_int_eq(workflow_calls(workflow), 1);
        record = (struct workflow_record){.n = workflow_records(workflow),
                                          .kind = RECORD_TASK_SUCCEEDED,
                                          .wait = i,
                                          .payload = result,
                                          .at_us = STORY_START_US};
        ck_assert_int_eq(workflow_apply(workflow, &record, &outcome), ERR_OK);
        ck_assert_ptr_null(workflow_wait_find(workflow, i));
        ck_assert_uint_le(workflow_wait_places(workflow), 4096);
    }
    ck_assert_int_eq(workflow_state(workflow), WORKFLOW_COMPLETED);
    ck_assert_uint_eq(json_size(workflow_result(workflow)), MANY);
    json_release(result);
    workflow_outcome_fini(&outcome);
    workflow_free(workflow);
    buffer_fini(&input);
    contract_free(contract);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("workflow_tasks");
    TCase *tests = tcase_create("workflow_tasks");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_token_ends_the_task);
    tcase_add_test(tests, a_pause_does_not_stretch_heartbeats);
    tcase_add_test(tests, the_token_in_the_parameters_is_the_waits);
    tcase_add_test(tests, each_attempt_that_hands_a_token_over_has_its_own_key);
    tcase_add_test(tests, a_heartbeat_moves_the_limit);
    tcase_add_test(tests, signals_come_early_and_late);
    tcase_add_test(tests, the_oldest_wait_of_a_name_takes_the_signal);
    tcase_add_test(tests, kept_signals_have_a_bound);
    tcase_add_test(tests, events_are_published_within_the_record);
    tcase_add_test(tests, an_unheard_replay_numbers_the_same_events);
    tcase_add_test(tests, an_event_that_cannot_be_published_fails_its_task);
    tcase_add_test(tests, an_endless_loop_of_events_ends);
    tcase_add_test(tests, what_one_record_may_publish_is_bounded);
    tcase_add_test(tests, tasks_begun_and_given_up_in_one_record_are_bounded);
    tcase_add_test(tests, an_event_with_a_token_waits_for_its_answer);
    tcase_add_test(tests, a_child_that_nobody_waits_for_is_named);
    tcase_add_test(tests, records_that_do_not_fit_are_refused);
    tcase_add_test(tests, ten_thousand_waits_are_not_slow);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
