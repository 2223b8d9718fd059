/* SPDX-License-Identifier: MIT */
/* Stories of one workflow: records go in; states, published events and open waits come out. */
#include "workflow_script.h"

static struct contract *stamping;

static void setup(void) { stamping = story_stamping(); }
static void teardown(void) { contract_free(stamping); }

static void check_ended(struct workflow *workflow, enum workflow_state state, int64_t completed_us)
{
    ck_assert_str_eq(workflow_state_name(workflow_state(workflow)), workflow_state_name(state));
    ck_assert_int_eq(workflow_completed_us(workflow), completed_us);
    ck_assert_uint_eq(workflow_waits(workflow), 0);
    ck_assert_str_eq(workflow_current_step(workflow), "");
}

/* Events are told before waits. */
#define STARTED                                                                                    \
    " -> PROCESSING\n"                                                                             \
    "  stamp_workflow_started\n"                                                                   \
    "  workflow_state_transition\n"                                                                \
    "  onextree_intelligence_requested\n"                                                          \
    "  +1 gather/0/hash_generation#1\n"                                                            \
    "  +2 gather/1/onextree_intelligence#1\n"
#define HASH_DONE(wait)                                                                            \
    "ok " wait "  -> PROCESSING\n"                                                                 \
    "  workflow_step_completed\n"                                                                  \
    "  blake3_hash_generated\n"
#define STAMP_DONE(wait)                                                                           \
    "ok " wait "  -> COMPLETED\n"                                                                  \
    "  workflow_step_completed\n"                                                                  \
    "  metadata_stamp_created\n"                                                                   \
    "  workflow_state_transition\n"                                                                \
    "  stamp_workflow_completed\n"
#define CALLS_STAMP(wait) "  +" wait " stamp_creation#1\n"

START_TEST(stamping_succeeds)
{
    struct workflow *workflow = check_story(
        stamping, INPUT, "accepted\nstarted\nok 2 " KNOWN "\nok 1 " HASHED "\nok 3 " STAMPED,
        "accepted -> PENDING\n"
        "started" STARTED "ok 2  -> PROCESSING\n"
        "  workflow_step_completed\n"
        "  onextree_intelligence_received\n" HASH_DONE("1") CALLS_STAMP("3") STAMP_DONE("3"));
    check_ended(workflow, WORKFLOW_COMPLETED, STORY_START_US + 4 * SECOND_US);
    ck_assert_int_eq(workflow_started_us(workflow), STORY_START_US + 1 * SECOND_US);
    ck_assert_int_eq(workflow_deadline_us(workflow), STORY_START_US + 61 * SECOND_US);
    ck_assert_ptr_null(workflow_error(workflow));
    ck_assert_int_eq(workflow_records(workflow), 5);
    check_json(workflow_result(workflow),
               "{\"stamp_id\":\"s-1\",\"stamp\":\"text\",\"stamp_type\":\"lightweight\","
               "\"content_hash\":\"h2\",\"file_hash\":\"" HASH "\",\"file_path\":\"a/b.txt\","
               "\"file_size\":5,\"content_type\":\"text/plain\",\"namespace\":\"docs\","
               "\"intelligence_status\":\"success\",\"intelligence_data\":{\"confidence_score\":"
               "0.9},\"hash_generation_time_ms\":1.5,\"created_at\":\"2026-01-01T00:00:03Z\","
               "\"version\":1,\"metadata_version\":\"0.1\"}");
    workflow_free(workflow);
}
END_TEST

/* No event of a step that did not succeed; the workflow completes. */
START_TEST(stamping_degrades_without_intelligence)
{
    struct workflow *workflow = check_story(
        stamping, INPUT, "started\nok 1 " HASHED "\nfail 2 States.Timeout@0.1 late\nok 3 " STAMPED,
        "started" STARTED HASH_DONE(
            "1") "fail 2 States.Timeout@0.1 late -> PROCESSING\n" CALLS_STAMP("3") STAMP_DONE("3"));
    check_ended(workflow, WORKFLOW_COMPLETED, STORY_START_US + 3 * SECOND_US);
    const struct json *result = workflow_result(workflow);
    ck_assert_str_eq(json_string_or(json_get(result, "intelligence_status"), ""), "degraded");
    check_json(json_get(result, "intelligence_data"), "{}");
    workflow_free(workflow);
}
END_TEST

/* What is asked once is told once, however often it is tried. */
START_TEST(a_retry_is_not_told_as_another_request)
{
    struct workflow *workflow = check_story(
        stamping, INPUT,
        "started\nfail 2 States.Http.Socket@0.5 refused\nfire 3\nfail 4 States.Http.Socket refused",
        "started" STARTED "fail 2 States.Http.Socket@0.5 refused -> PROCESSING\n"
        "  ~3 gather/1/onextree_intelligence#2 after 0.5s\n"
        "fire 3 -> PROCESSING\n  +4 gather/1/onextree_intelligence#2\n"
        "fail 4 States.Http.Socket refused -> PROCESSING\n");
    ck_assert_uint_eq(workflow_waits(workflow), 1);
    ck_assert_str_eq(workflow_current_step(workflow), "gather");
    workflow_free(workflow);
}
END_TEST

START_TEST(stamping_skips_intelligence_that_nobody_wants)
{
    struct workflow *workflow = check_story(
        stamping,
        "{\"content\":\"x\",\"file_path\":\"f\",\"content_type\":\"text/plain\","
        "\"enable_intelligence\":false,\"namespace\":\"docs\"}",
        "started\nok 1 " HASHED "\nok 2 " STAMPED,
        "started -> PROCESSING\n"
        "  stamp_workflow_started\n"
        "  workflow_state_transition\n"
        "  +1 gather/0/hash_generation#1\n" HASH_DONE("1") CALLS_STAMP("2") STAMP_DONE("2"));
    ck_assert_str_eq(json_string_or(json_get(workflow_result(workflow), "intelligence_status"), ""),
                     "skipped");
    workflow_free(workflow);
}
END_TEST

/* Five retries with full jitter: delays of 1, 2, 4, 8 and 10 seconds times the recorded random. */
START_TEST(stamping_fails_when_the_hash_does)
{
    struct workflow *workflow =
        check_story(stamping, INPUT,
                    "started\n"
                    "fail 1 States.Http.Socket@0.5 refused\nfire 3\n"
                    "fail 4 States.Http.StatusCode.503@0.5 busy\nfire 5\n"
                    "fail 6 States.Timeout@0.5 late\nfire 7\n"
                    "fail 8 States.Http.StatusCode.500@0.5 oops\nfire 9\n"
                    "fail 10 States.Http.Socket@0.5 refused\nfire 11\n"
                    "fail 12 States.Http.Socket@0.5 refused again",
                    "started" STARTED "fail 1 States.Http.Socket@0.5 refused -> PROCESSING\n"
                    "  ~3 gather/0/hash_generation#2 after 0.5s\n"
                    "fire 3 -> PROCESSING\n  +4 gather/0/hash_generation#2\n"
                    "fail 4 States.Http.StatusCode.503@0.5 busy -> PROCESSING\n"
                    "  ~5 gather/0/hash_generation#3 after 1s\n"
                    "fire 5 -> PROCESSING\n  +6 gather/0/hash_generation#3\n"
                    "fail 6 States.Timeout@0.5 late -> PROCESSING\n"
                    "  ~7 gather/0/hash_generation#4 after 2s\n"
                    "fire 7 -> PROCESSING\n  +8 gather/0/hash_generation#4\n"
                    "fail 8 States.Http.StatusCode.500@0.5 oops -> PROCESSING\n"
                    "  ~9 gather/0/hash_generation#5 after 4s\n"
                    "fire 9 -> PROCESSING\n  +10 gather/0/hash_generation#5\n"
                    "fail 10 States.Http.Socket@0.5 refused -> PROCESSING\n"
                    "  ~11 gather/0/hash_generation#6 after 5s\n"
                    "fire 11 -> PROCESSING\n  +12 gather/0/hash_generation#6\n"
                    "fail 12 States.Http.Socket@0.5 refused again -> FAILED\n"
                    "  workflow_state_transition\n"
                    "  stamp_workflow_failed\n"
                    "  -2\n");
    check_ended(workflow, WORKFLOW_FAILED, STORY_START_US + 11 * SECOND_US);
    ck_assert_str_eq(workflow_error(workflow), "States.Http.Socket");
    ck_assert_str_eq(workflow_cause(workflow), "refused again");
    ck_assert_ptr_null(workflow_result(workflow));
    workflow_free(workflow);
}
END_TEST

START_TEST(an_error_that_is_not_retried_fails_at_once)
{
    struct workflow *workflow =
        check_story(stamping, INPUT, "started\nfail 1 States.Http.StatusCode.422 bad",
                    "started" STARTED "fail 1 States.Http.StatusCode.422 bad -> FAILED\n"
                    "  workflow_state_transition\n  stamp_workflow_failed\n  -2\n");
    ck_assert_str_eq(workflow_error(workflow), "States.Http.StatusCode.422");
    workflow_free(workflow);
}
END_TEST

START_TEST(cancel_before_the_start)
{
    struct workflow *workflow =
        check_story(stamping, INPUT, "accepted\ncancel no longer wanted",
                    "accepted -> PENDING\n"
                    "cancel no longer wanted -> CANCELLED\n"
                    "  workflow_state_transition\n  stamp_workflow_cancelled\n");
    check_ended(workflow, WORKFLOW_CANCELLED, STORY_START_US + 1 * SECOND_US);
    ck_assert_int_eq(workflow_started_us(workflow), 0);
    ck_assert_str_eq(workflow_error(workflow), "Workflow.Cancelled");
    ck_assert_str_eq(workflow_cause(workflow), "no longer wanted");
    workflow_free(workflow);
}
END_TEST

START_TEST(cancel_abandons_calls)
{
    struct workflow *workflow =
        check_story(stamping, INPUT, "started\ncancel stop",
                    "started" STARTED "cancel stop -> CANCELLED\n"
                    "  workflow_state_transition\n  stamp_workflow_cancelled\n  -1\n  -2\n");
    check_ended(workflow, WORKFLOW_CANCELLED, STORY_START_US + 1 * SECOND_US);
    workflow_free(workflow);
}
END_TEST

/* A retry delay is a timer, not a call that could be abandoned. */
START_TEST(cancel_in_a_retry_delay_abandons_the_other_call_only)
{
    struct workflow *workflow =
        check_story(stamping, INPUT, "started\nfail 1 States.Timeout@0.5 late\ncancel stop",
                    "started" STARTED "fail 1 States.Timeout@0.5 late -> PROCESSING\n"
                    "  ~3 gather/0/hash_generation#2 after 0.5s\n"
                    "cancel stop -> CANCELLED\n"
                    "  workflow_state_transition\n  stamp_workflow_cancelled\n  -2\n");
    workflow_free(workflow);
}
END_TEST

START_TEST(the_time_limit_fails_the_workflow)
{
    struct workflow *workflow =
        check_story(stamping, INPUT, "started\nok 1 " HASHED "\ntimeout too long",
                    "started" STARTED HASH_DONE(
                        "1") "timeout too long -> FAILED\n"
                             "  workflow_state_transition\n  stamp_workflow_failed\n  -2\n");
    check_ended(workflow, WORKFLOW_FAILED, STORY_START_US + 2 * SECOND_US);
    ck_assert_str_eq(workflow_error(workflow), "States.Timeout");
    ck_assert_str_eq(workflow_cause(workflow), "too long");
    workflow_free(workflow);
}
END_TEST

START_TEST(the_contracts_own_time_limit_wins)
{
    struct contract *contract = story_contract(
        "name: quick\nversion: 1.0.0\nstate_machine:\n  StartAt: A\n"
        "  TimeoutSeconds: 5\n  States: { A: { Type: Wait, Seconds: 9, End: true } }\n");
    struct workflow *workflow = check_story(contract, "{}", "started",
                                            "started -> PROCESSING\n  workflow_started\n"
                                            "  workflow_state_transition\n  ~1 A#1 after 9s\n");
    ck_assert_int_eq(workflow_deadline_us(workflow), STORY_START_US + 5 * SECOND_US);
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

/* -- other contracts -- */

START_TEST(a_contract_without_states_that_wait_ends_at_once)
{
    struct contract *contract =
        story_contract("name: n\nversion: 1.0.0\nstate_machine:\n  StartAt: A\n"
                       "  States: { A: { Type: Pass, Result: 7, End: true } }\n");
    struct workflow *workflow = check_story(contract, "{}", "started",
                                            "started -> COMPLETED\n"
                                            "  workflow_started\n"
                                            "  workflow_state_transition\n"
                                            "  workflow_state_transition\n"
                                            "  workflow_completed\n");
    check_json(workflow_result(workflow), "7");
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

START_TEST(an_output_that_does_not_fit_fails_the_workflow)
{
    struct contract *contract =
        story_contract("name: n\nversion: 1.0.0\noutput_state: { type: string }\n"
                       "state_machine:\n  StartAt: A\n"
                       "  States: { A: { Type: Pass, Result: 7, End: true } }\n");
    struct workflow *workflow = check_story(contract, "{}", "started",
                                            "started -> FAILED\n"
                                            "  workflow_started\n"
                                            "  workflow_state_transition\n"
                                            "  workflow_state_transition\n"
                                            "  workflow_failed\n");
    ck_assert_ptr_null(workflow_result(workflow));
    ck_assert_str_eq(workflow_error(workflow), "Contract.OutputInvalid");
    ck_assert_ptr_nonnull(strstr(workflow_cause(workflow), "output"));
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

START_TEST(a_loop_visits_its_task_again)
{
    struct contract *contract =
        story_contract("name: n\nversion: 1.0.0\nstate_machine:\n  StartAt: Ask\n  States:\n"
                       "    Ask: { Type: Task, Resource: onex:http:invoke, Next: Look }\n"
                       "    Look:\n      Type: Choice\n      Default: Ask\n"
                       "      Choices: [ { Variable: $.done, BooleanEquals: true, Next: End } ]\n"
                       "    End: { Type: Succeed }\n");
    struct workflow *workflow =
        check_story(contract, "{}", "started\nok 1 {\"done\":false}\nok 2 {\"done\":true}",
                    "started -> PROCESSING\n  workflow_started\n  workflow_state_transition\n"
                    "  +1 Ask#1\n"
                    "ok 1  -> PROCESSING\n  workflow_step_completed\n  +2 Ask#1\n"
                    "ok 2  -> COMPLETED\n  workflow_step_completed\n"
                    "  workflow_state_transition\n  workflow_completed\n");
    workflow_free(workflow);
    workflow = run(contract, "{}", "started", NULL, false);
    ck_assert_uint_eq(workflow_wait_find(workflow, 1)->visit, 0);
    workflow_free(workflow);
    workflow = run(contract, "{}", "started\nok 1 {\"done\":false}", NULL, false);
    ck_assert_uint_eq(workflow_wait_find(workflow, 2)->visit, 1);
    ck_assert_str_eq(workflow_current_step(workflow), "Ask");
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

START_TEST(a_call_that_opens_as_the_workflow_ends_is_not_open)
{
    struct contract *contract = story_contract(
        "name: n\nversion: 1.0.0\nstate_machine:\n  StartAt: A\n  States:\n    A:\n"
        "      Type: Parallel\n      End: true\n      Branches:\n"
        "        - { StartAt: B, States: { B: { Type: Task, Resource: onex:http:invoke, End: true "
        "} } }\n"
        "        - { StartAt: C, States: { C: { Type: Fail, Error: No, Cause: never } } }\n");
    struct workflow *workflow =
        check_story(contract, "{}", "started",
                    "started -> FAILED\n  workflow_started\n"
                    "  workflow_state_transition\n"
                    "  workflow_state_transition\n  workflow_failed\n  -1\n");
    check_ended(workflow, WORKFLOW_FAILED, STORY_START_US);
    ck_assert_str_eq(workflow_error(workflow), "No");
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

START_TEST(the_context_tells_who_and_when)
{
    struct contract *contract = story_contract(
        "name: who\nversion: 1.0.0\nstate_machine:\n  StartAt: A\n  States:\n    A:\n"
        "      Type: Task\n      Resource: onex:http:invoke\n      End: true\n"
        "      Parameters: { ApiEndpoint: there, RequestBody: { 'id.$': $$.Execution.Id,"
        " 'at.$': $$.Execution.StartTime, 'of.$': $$.StateMachine.Name } }\n");
    struct workflow *workflow = run(contract, "{}", "accepted\nstarted", NULL, false);
    check_json(workflow_wait_find(workflow, 1)->parameters,
               "{\"ApiEndpoint\":\"there\",\"RequestBody\":{"
               "\"id\":\"019aa119-c3a8-7000-8000-000000000001\","
               "\"at\":\"2026-01-01T00:00:01.000Z\",\"of\":\"who\"}}");
    workflow_free(workflow);
    contract_free(contract);
}
END_TEST

/* -- records that do not fit -- */

static char *fingerprint(struct workflow *workflow)
{
    struct buffer out = {0};
    buffer_append_format(&out, "%s %d %s %s", workflow_state_name(workflow_state(workflow)),
                         workflow_records(workflow), workflow_current_step(workflow),
                         workflow_error(workflow) == NULL ? "-" : workflow_error(workflow));
    buffer_append_format(&out, " %lld %lld", (long long)workflow_started_us(workflow),
                         (long long)workflow_completed_us(workflow));
    for (size_t i = 0; i < workflow_wait_places(workflow); i++) {
        const struct workflow_wait *wait = workflow_wait_at(workflow, i);
        if (wait == NULL)
            continue;
        buffer_append_format(&out, " %u:%s#%u", wait->wait, wait->state_path, wait->attempt);
    }
    return buffer_take(&out);
}

static const struct {
    const char *script, *refused;
} misfits[] = {
    {"", "ok 1 {}"},
    {"", "timeout x"},
    {"", "cancel x"},
    {"", "fire 1"},
    {"accepted", "accepted"},
    {"accepted", "ok 1 {}"},
    {"accepted", "timeout x"},
    {"started", "started"},
    {"started", "accepted"},
    {"started", "ok 0 {}"},
    {"started", "ok 3 {}"},
    {"started", "fire 1"},
    {"started\nok 1 " HASHED, "ok 1 " HASHED},
    {"started\nfail 1 States.Timeout@0.5 x", "ok 3 {}"},
    {"started\nfail 1 States.Timeout@0.5 x", "fail 1 States.Timeout x"},
    {"started\nfail 1 States.Timeout@0.5 x\nfire 3", "fire 3"},
    {"started\ncancel x", "cancel x"},
    {"started\ncancel x", "ok 1 " HASHED},
    {"accepted\ncancel x", "started"},
    {"started\ntimeout x", "timeout x"},
};

START_TEST(a_record_that_does_not_fit_changes_nothing)
{
    struct workflow *workflow = run(stamping, INPUT, misfits[_i].script, NULL, false);
    char *before = fingerprint(workflow);
    char *copy = must_strdup(misfits[_i].refused);
    struct json *result;
    struct workflow_record record = read_record(copy, workflow_records(workflow), &result);
    struct workflow_outcome outcome = {0};
    ck_assert_int_eq(workflow_apply(workflow, &record, &outcome), ERR_CONFLICT);
    ck_assert_uint_eq(outcome.events_count + outcome.opened_count + outcome.abandoned_count, 0);
    ck_assert_int_eq(outcome.from, outcome.to);
    char *after = fingerprint(workflow);
    ck_assert_str_eq(after, before);
    json_release(result);
    free(after);
    free(before);
    free(copy);
    workflow_outcome_fini(&outcome);
    workflow_free(workflow);
}
END_TEST

START_TEST(a_record_out_of_turn_is_refused_and_the_right_one_still_fits)
{
    struct workflow *workflow = run(stamping, INPUT, "started\nok 2 " KNOWN, NULL, false);
    struct workflow_outcome outcome = {0};
    struct json *hashed = story_json(HASHED);
    struct workflow_record record = {.kind = RECORD_TASK_SUCCEEDED,
                                     .at_us = STORY_START_US + 2 * SECOND_US,
                                     .wait = 1,
                                     .payload = hashed};
    for (record.n = 0; record.n < 5; record.n++)
        if (record.n != 2)
            ck_assert_int_eq(workflow_apply(workflow, &record, &outcome), ERR_CONFLICT);
    record.n = 2;
    ck_assert_int_eq(workflow_apply(workflow, &record, &outcome), ERR_OK);
    ck_assert_str_eq(outcome.state_path, "gather/0/hash_generation");
    ck_assert_uint_eq(outcome.opened_count, 1);
    json_release(hashed);
    workflow_outcome_fini(&outcome);
    workflow_free(workflow);
}
END_TEST

START_TEST(event_ids_are_their_own)
{
    struct workflow *one = begin(stamping, INPUT);
    struct workflow *same = begin(stamping, "{\"content\":\"other\"}");
    struct workflow *two = story_workflow(stamping, 2, 7, INPUT, STORY_START_US, 1000);
    struct uuid ids[32];
    size_t count = 0;
    for (int32_t n = 0; n < 4; n++) {
        for (size_t index = 0; index < 4; index++) {
            ids[count++] = workflow_event_id(one, n, index);
            struct uuid again = workflow_event_id(same, n, index);
            ck_assert(uuid_equal(&ids[count - 1], &again));
            ids[count++] = workflow_event_id(two, n, index);
        }
    }
    for (size_t a = 0; a < count; a++)
        for (size_t b = 0; b < a; b++)
            ck_assert(!uuid_equal(&ids[a], &ids[b]));
    workflow_free(one);
    workflow_free(same);
    workflow_free(two);
}
END_TEST

START_TEST(names_of_states)
{
    static const char *const names[] = {"",          "PENDING", "PROCESSING",
                                        "COMPLETED", "FAILED",  "CANCELLED"};
    for (int i = WORKFLOW_NONE; i <= WORKFLOW_CANCELLED; i++) {
        ck_assert_str_eq(workflow_state_name((enum workflow_state)i), names[i]);
        ck_assert_int_eq(workflow_state_of_name(names[i]), i);
        ck_assert_int_eq(workflow_state_ended((enum workflow_state)i), i >= WORKFLOW_COMPLETED);
    }
    ck_assert_int_eq(workflow_state_of_name("pending"), WORKFLOW_NONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("workflow");
    TCase *stories = tcase_create("stories");
    tcase_add_checked_fixture(stories, setup, teardown);
    tcase_add_test(stories, stamping_succeeds);
    tcase_add_test(stories, stamping_degrades_without_intelligence);
    tcase_add_test(stories, a_retry_is_not_told_as_another_request);
    tcase_add_test(stories, stamping_skips_intelligence_that_nobody_wants);
    tcase_add_test(stories, stamping_fails_when_the_hash_does);
    tcase_add_test(stories, an_error_that_is_not_retried_fails_at_once);
    tcase_add_test(stories, cancel_before_the_start);
    tcase_add_test(stories, cancel_abandons_calls);
    tcase_add_test(stories, cancel_in_a_retry_delay_abandons_the_other_call_only);
    tcase_add_test(stories, the_time_limit_fails_the_workflow);
    tcase_add_test(stories, the_contracts_own_time_limit_wins);
    tcase_add_test(stories, a_contract_without_states_that_wait_ends_at_once);
    tcase_add_test(stories, an_output_that_does_not_fit_fails_the_workflow);
    tcase_add_test(stories, a_loop_visits_its_task_again);
    tcase_add_test(stories, a_call_that_opens_as_the_workflow_ends_is_not_open);
    tcase_add_test(stories, the_context_tells_who_and_when);
    tcase_add_loop_test(stories, a_record_that_does_not_fit_changes_nothing, 0,
                        (int)(sizeof misfits / sizeof *misfits));
    tcase_add_test(stories, a_record_out_of_turn_is_refused_and_the_right_one_still_fits);
    tcase_add_test(stories, event_ids_are_their_own);
    tcase_add_test(stories, names_of_states);
    suite_add_tcase(suite, stories);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
