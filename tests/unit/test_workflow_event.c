/* SPDX-License-Identifier: MIT */
/* The payloads of published events, member by member. */
#include "workflow_script.h"

static struct contract *stamping;

static void setup(void) { stamping = story_stamping(); }
static void teardown(void) { contract_free(stamping); }

/* The payload of event number `index` of the last record. */
static void check_payload(const struct contract *contract, const char *script, const char *last,
                          size_t index, const char *type, const char *expected)
{
    struct workflow *workflow = run(contract, INPUT, script, NULL, false);
    struct workflow_outcome outcome = {0};
    struct json *result;
    char *copy = must_strdup(last);
    struct workflow_record record = read_record(copy, workflow_records(workflow), &result);
    ck_assert_int_eq(workflow_apply(workflow, &record, &outcome), ERR_OK);
    ck_assert_uint_gt(outcome.events_count, index);
    ck_assert_str_eq(outcome.events[index].type, type);
    check_json(outcome.events[index].payload, expected);
    json_release(result);
    free(copy);
    workflow_outcome_fini(&outcome);
    workflow_free(workflow);
}

#define ABOUT(second)                                                                              \
    "\"workflow_id\":\"019aa119-c3a8-7000-8000-000000000001\",\"workflow\":\"metadata_stamping\"," \
    "\"namespace\":\"docs\",\"correlation_id\":\"corr-1\",\"run\":1,"                              \
    "\"timestamp\":\"2026-01-01T00:00:0" second ".000000Z\""
#define GATHERED "started\nok 2 " KNOWN "\nok 1 " HASHED

START_TEST(payloads_tell_what_happened)
{
    check_payload(stamping, "", "started", 0, "stamp_workflow_started",
                  "{" ABOUT("0") ",\"workflow_state\":\"processing\",\"file_path\":\"a/b.txt\","
                                 "\"intelligence_enabled\":true,\"mode\":\"durable\"}");
    check_payload(stamping, "", "started", 1, "workflow_state_transition",
                  "{" ABOUT("0") ",\"from_state\":\"PENDING\",\"to_state\":\"PROCESSING\"}");
    check_payload(stamping, "", "started", 2, "onextree_intelligence_requested",
                  "{" ABOUT("0") ",\"file_path\":\"a/b.txt\",\"context\":\"a/b.txt\","
                                 "\"analysis_type\":\"general_content_analysis\"}");
    check_payload(stamping, "started\nok 2 " KNOWN, "ok 1 " HASHED, 0, "workflow_step_completed",
                  "{" ABOUT("2") ",\"step_type\":\"hash_generation\",\"step_order\":2,"
                                 "\"duration_ms\":250}");
    check_payload(stamping, "started", "ok 2 " KNOWN, 1, "onextree_intelligence_received",
                  "{" ABOUT("1") ",\"step_type\":\"onextree_intelligence\",\"duration_ms\":250,"
                                 "\"analysis_time_ms\":250,\"confidence_score\":0.9,"
                                 "\"analysis_result\":{\"confidence_score\":0.9}}");
    check_payload(stamping, GATHERED, "ok 3 " STAMPED, 1, "metadata_stamp_created",
                  "{" ABOUT("3") ",\"step_type\":\"stamp_creation\",\"duration_ms\":250,"
                                 "\"stamp_id\":\"s-1\",\"file_hash\":\"" HASH "\","
                                 "\"file_path\":\"a/b.txt\",\"file_size\":5,"
                                 "\"content_type\":\"text/plain\",\"creation_time_ms\":2,"
                                 "\"version\":1}");
    check_payload(stamping, GATHERED, "ok 3 " STAMPED, 3, "stamp_workflow_completed",
                  "{" ABOUT("3") ",\"workflow_state\":\"completed\","
                                 "\"created_at\":\"2025-12-31T23:59:59.998000Z\","
                                 "\"processing_time_ms\":3002,\"stamp_id\":\"s-1\","
                                 "\"file_hash\":\"" HASH "\",\"file_path\":\"a/b.txt\","
                                 "\"file_size\":5,\"content_type\":\"text/plain\","
                                 "\"intelligence_status\":\"success\"}");
    check_payload(stamping, "started", "fail 1 E why", 1, "stamp_workflow_failed",
                  "{" ABOUT("1") ",\"workflow_state\":\"failed\",\"error_type\":\"E\","
                                 "\"error\":\"why\",\"processing_time_ms\":1002,"
                                 "\"file_path\":\"a/b.txt\"}");
    check_payload(stamping, "accepted", "cancel why", 0, "workflow_state_transition",
                  "{" ABOUT("1") ",\"from_state\":\"PENDING\",\"to_state\":\"CANCELLED\"}");
    check_payload(stamping, "accepted", "cancel why", 1, "stamp_workflow_cancelled",
                  "{" ABOUT("1") ",\"workflow_state\":\"cancelled\","
                                 "\"error_type\":\"Workflow.Cancelled\",\"error\":\"why\","
                                 "\"processing_time_ms\":1002,\"file_path\":\"a/b.txt\"}");
}
END_TEST

/* A template that finds nothing does not stop the workflow: the event says so. */
START_TEST(a_template_that_fails_is_told_in_the_payload)
{
    struct workflow *workflow = begin(stamping, "{\"content\":\"x\",\"enable_intelligence\":false,"
                                                "\"namespace\":\"docs\"}");
    struct workflow_outcome outcome = {0};
    struct workflow_record record = {.kind = RECORD_STARTED, .at_us = STORY_START_US};
    ck_assert_int_eq(workflow_apply(workflow, &record, &outcome), ERR_OK);
    const struct json *payload = outcome.events[0].payload;
    const char *why = json_string_or(json_get(payload, "payload_error"), "");
    ck_assert_msg(strstr(why, "$.input.file_path") != NULL, "%s", why);
    ck_assert_ptr_null(json_get(payload, "mode"));
    ck_assert_ptr_nonnull(json_get(payload, "workflow_id"));
    workflow_outcome_fini(&outcome);
    workflow_free(workflow);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("workflow_event");
    TCase *tests = tcase_create("workflow_event");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, payloads_tell_what_happened);
    tcase_add_test(tests, a_template_that_fails_is_told_in_the_payload);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
