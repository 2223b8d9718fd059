/* SPDX-License-Identifier: MIT */
/* Task resources: their table, the checks of their parameters, tokens, and the calls that start children. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/contract.h"
#include "orchestrator/core/task.h"
#include "orchestrator/core/task_token.h"

static const uint8_t secret[TASK_SECRET_BYTES] = "a secret of thirty-two octets..";

/* -- names -- */

static const struct {
    const char *alias, *name;
} names[] = {
    {"onex:http:invoke", "onex:http:invoke"},
    {"arn:aws:states:::http:invoke", "onex:http:invoke"},
    {"arn:aws:states:::http:invoke.waitForTaskToken", "onex:http:invoke.waitForTaskToken"},
    {"arn:aws:states:::states:startExecution", "onex:workflow:start"},
    {"arn:aws:states:::states:startExecution.sync", "onex:workflow:start.sync"},
    {"arn:aws:states:::states:startExecution.sync:2", "onex:workflow:start.sync"},
    {"arn:aws:states:::states:startExecution.waitForTaskToken",
     "onex:workflow:start.waitForTaskToken"},
    {"onex:event:publish", "onex:event:publish"},
    {"onex:event:publish.waitForTaskToken", "onex:event:publish.waitForTaskToken"},
    {"onex:signal:wait", "onex:signal:wait"},
};

START_TEST(each_name_and_alias_is_known)
{
    const struct task_resource *resource = task_resource_find(names[_i].alias);
    ck_assert_ptr_nonnull(resource);
    ck_assert_str_eq(resource->name, names[_i].name);
}
END_TEST

START_TEST(other_names_are_not)
{
    static const char *const unknown[] = {
        "",          "onex:http:invoke.sync", "onex:signal:wait.sync",
        "onex:http", "ONEX:HTTP:INVOKE",      "onex:event:publish2"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        ck_assert_msg(!task_resource_known(unknown[i], NULL), "%s", unknown[i]);
}
END_TEST

/* -- parameters, as a contract is loaded -- */

static const struct {
    const char *resource, *parameters, *finding; /* NULL: none */
} checks[] = {
    {"onex:http:invoke", "{ Service: s, Path: /x, Method: PUT, Headers: { a: b } }", NULL},
    {"onex:http:invoke", "{ Service.$: $.s, Path.$: $.p, Method.$: $.m }", NULL},
    {"onex:http:invoke", "{ ApiEndpoint: 'http://x/y' }", NULL},
    {"onex:http:invoke", "{ Path: /x }",
     "TASK_MISSING_PARAMETER: the parameter "
     "Service is missing"},
    {"onex:http:invoke", "{ Service: s }", "TASK_MISSING_PARAMETER: the parameter Path is missing"},
    {"onex:http:invoke", "{ Service: s, Path: /x, Boby: 1 }",
     "TASK_UNKNOWN_PARAMETER: this parameter is not known here; known are Service, ApiEndpoint"},
    {"onex:http:invoke", "{ Service: s, Path: /x, Method: FETCH }",
     "TASK_BAD_PARAMETER: Method must be one of GET POST"},
    {"onex:http:invoke", "{ Service: s, Path: /x, Headers: [] }",
     "TASK_BAD_PARAMETER: Headers must be an object"},
    {"onex:workflow:start", "{ workflow_type: w, input: {}, version: 1.0.0, namespace: n }", NULL},
    {"onex:workflow:start.sync", "{ StateMachineArn.$: $.w, Input.$: $ , Name: k }", NULL},
    {"onex:workflow:start.sync", "{ input: {} }",
     "TASK_MISSING_PARAMETER: the parameter workflow_type is missing"},
    {"onex:workflow:start", "{ workflow_type: 7 }",
     "TASK_BAD_PARAMETER: workflow_type must be a text that is not empty"},
    {"onex:workflow:start", "{ workflow_type: w, inptu: {} }", "TASK_UNKNOWN_PARAMETER"},
    {"onex:event:publish", "{ event_type: order_told, payload: { a.$: $.b } }", NULL},
    {"onex:event:publish", "{ type.$: $.t }", NULL},
    {"onex:event:publish", "{ payload: {} }",
     "TASK_MISSING_PARAMETER: the parameter event_type is missing"},
    {"onex:event:publish", "{ event_type: workflow_completed }",
     "TASK_BAD_PARAMETER: the event type workflow_completed is reserved"},
    {"onex:event:publish", "{ event_type: stamp_workflow_completed }", "is reserved"},
    {"onex:event:publish", "{ event_type: 'a b' }", "must be letters, digits"},
    {"onex:event:publish", "{ event_type: a, payload: 7 }", "payload must be an object"},
    {"onex:signal:wait", "{ signal_name: go }", NULL},
    {"onex:signal:wait", "{ Name.$: $.n }", NULL},
    {"onex:signal:wait", "{}", "TASK_MISSING_PARAMETER: the parameter signal_name is missing"},
    {"onex:signal:wait", "{ signal_name: '..' }", "the signal name .. must be letters"},
    {"onex:signal:wait", "{ signal_name: '...a' }", NULL},
    {"onex:signal:wait", "{ signal_name: 'g/o' }", "the signal name g/o must be letters"},
};

START_TEST(parameters_are_checked)
{
    struct buffer text = {0}, told = {0};
    struct findings findings = {0};
    buffer_append_format(&text,
                         "name: n\nversion: 1.0.0\nservices: [s]\nstate_machine: { StartAt: A, "
                         "States: { A: { Type: Task, End: true, TimeoutSeconds: 5, Resource: "
                         "'%s',\n Parameters: %s } } }\n",
                         checks[_i].resource, checks[_i].parameters);
    struct contract *contract = contract_parse("c.yaml", buffer_text(&text), text.bytes, &findings);
    findings_write(&findings, &told);
    ck_assert_msg((contract != NULL) == (checks[_i].finding == NULL), "%s", buffer_text(&told));
    const char *wanted = checks[_i].finding == NULL ? "" : strstr(checks[_i].finding, "TASK_");
    wanted = wanted == NULL ? checks[_i].finding : wanted;
    ck_assert_msg(strstr(buffer_text(&told), wanted) != NULL, "%s", buffer_text(&told));
    if (checks[_i].finding != NULL)
        ck_assert_msg(strstr(buffer_text(&told), "c.yaml:5:") != NULL, "%s", buffer_text(&told));
    contract_free(contract);
    findings_fini(&findings);
    buffer_fini(&told);
    buffer_fini(&text);
}
END_TEST

START_TEST(parameters_within_branches_and_items_are_checked)
{
    static const char text[] =
        "name: n\nversion: 1.0.0\nstate_machine:\n  StartAt: A\n  States:\n    A:\n"
        "      Type: Parallel\n      End: true\n      Branches:\n        - StartAt: B\n"
        "          States:\n            B:\n              Type: Map\n              End: true\n"
        "              ItemProcessor:\n                StartAt: C\n                States:\n"
        "                  C: { Type: Task, Resource: onex:signal:wait, End: true,\n"
        "                       Parameters: { signal: x } }\n";
    struct buffer told = {0};
    struct findings findings = {0};
    ck_assert_ptr_null(contract_parse("c.yaml", text, strlen(text), &findings));
    findings_write(&findings, &told);
    ck_assert_msg(strstr(buffer_text(&told), "c.yaml:19:38: error TASK_UNKNOWN_PARAMETER") != NULL,
                  "%s", buffer_text(&told));
    findings_fini(&findings);
    buffer_fini(&told);
}
END_TEST

/* -- tokens -- */

static struct task_token a_token(void)
{
    struct task_token token = {.shard = 15, .wait = 0x01020304};
    for (int i = 0; i < 16; i++)
        token.workflow_id.octets[i] = (uint8_t)(i * 17);
    return token;
}

START_TEST(a_token_names_its_wait)
{
    char text[TASK_TOKEN_BYTES_MAX], again[TASK_TOKEN_BYTES_MAX];
    struct task_token token = a_token(), read = {0};
    task_token_write(secret, &token, text);
    task_token_write(secret, &token, again);
    ck_assert_str_eq(text, again);
    ck_assert_uint_eq(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789-_"),
                      strlen(text));
    ck_assert(task_token_read(secret, text, &read));
    ck_assert_int_eq(read.shard, 15);
    ck_assert_uint_eq(read.wait, 0x01020304);
    ck_assert(uuid_equal(&read.workflow_id, &token.workflow_id));
}
END_TEST

START_TEST(no_other_text_is_a_token)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ \x80";
    uint8_t other[TASK_SECRET_BYTES];
    char text[TASK_TOKEN_BYTES_MAX], changed[TASK_TOKEN_BYTES_MAX + 2];
    struct task_token token = a_token(), read;
    memcpy(other, secret, sizeof other);
    other[31] ^= 1;
    task_token_write(secret, &token, text);
    ck_assert(!task_token_read(other, text, &read));
    for (size_t i = 0; i < strlen(text); i++)
        for (const char *letter = letters; *letter != '\0'; letter++) {
            strcpy(changed, text);
            changed[i] = *letter;
            ck_assert_msg(task_token_read(secret, changed, &read) == (*letter == text[i]), "%s",
                          changed);
        }
    for (size_t bytes = 0; bytes < strlen(text); bytes++) {
        memcpy(changed, text, bytes);
        changed[bytes] = '\0';
        ck_assert(!task_token_read(secret, changed, &read));
    }
    strcpy(changed, text);
    strcat(changed, "A");
    ck_assert(!task_token_read(secret, changed, &read));
}
END_TEST

/* RFC 4231's construction with our secret, computed by another program. */
START_TEST(the_signature_is_hmac_sha256)
{
    char text[TASK_CREDENTIAL_BYTES];
    task_credential(secret, text);
    ck_assert_str_eq(text, "dcf13912b54442ac8de0f296e7ecb73eda69b9ee060e932bcde0c5fb0213cd94");
}
END_TEST

/* -- starting children -- */

static struct json *parse(const char *text)
{
    struct json *value = json_parse(text, strlen(text), NULL, NULL);
    ck_assert_ptr_nonnull(value);
    return value;
}

static bool build(struct http_task_request *request, const char *resource, const char *parameters,
                  const char *token, struct http_task_failure *failure)
{
    struct json *value = parse(parameters);
    struct task_context context = {.resource = task_resource_find(resource),
                                   .identity = {"id:path:0", "corr", "00-trace"},
                                   .namespace = "docs",
                                   .own_url = "http://127.0.0.1:8060",
                                   .credential = "cafe",
                                   .token = token};
    bool built = task_build(request, value, &context, failure);
    json_release(value);
    return built;
}

START_TEST(a_child_is_submitted_to_our_own_api)
{
    struct http_task_request request = {0};
    struct http_task_failure failure = {0};
    ck_assert(build(&request, "onex:workflow:start",
                    "{\"workflow_type\":\"w\",\"input\":{\"a\":1},\"version\":\"1.2.3\"}", NULL,
                    &failure));
    ck_assert_str_eq(request.method, "POST");
    ck_assert_int_eq(request.service, -1);
    ck_assert_str_eq(buffer_text(&request.url), "http://127.0.0.1:8060/api/v1/workflows");
    ck_assert_str_eq(buffer_text(&request.headers),
                     "Content-Type: application/json\nIdempotency-Key: id:path:0\n"
                     "traceparent: 00-trace\nX-Bridge-Instance: cafe\n");
    struct json *body = json_parse(buffer_text(&request.body), request.body.bytes, NULL, NULL);
    struct json *wanted = parse("{\"workflow\":\"w\",\"version\":\"1.2.3\",\"namespace\":\"docs\","
                                "\"correlation_id\":\"corr\",\"input\":{\"a\":1}}");
    ck_assert(json_equal(body, wanted));
    json_release(body);
    json_release(wanted);
    http_task_request_fini(&request);
}
END_TEST

START_TEST(a_child_whose_end_is_waited_for_gets_the_token)
{
    struct http_task_request request = {0};
    struct http_task_failure failure = {0};
    ck_assert(build(&request, "onex:workflow:start.sync",
                    "{\"StateMachineArn\":\"arn:aws:states:r:1:stateMachine:w\",\"Input\":7,"
                    "\"namespace\":\"other\"}",
                    "token", &failure));
    ck_assert_ptr_nonnull(strstr(buffer_text(&request.headers), "Idempotency-Key: id:path:0\n"));
    ck_assert_ptr_nonnull(strstr(buffer_text(&request.headers), "X-Bridge-Parent-Token: token\n"));
    ck_assert_ptr_nonnull(strstr(buffer_text(&request.body), "\"workflow\":\"w\""));
    ck_assert_ptr_nonnull(strstr(buffer_text(&request.body), "\"namespace\":\"other\""));
    http_task_request_fini(&request);
    request = (struct http_task_request){0};
    ck_assert(build(&request, "onex:workflow:start.sync",
                    "{\"workflow_type\":\"w\",\"idempotency_key\":\"mine\"}", "token", &failure));
    ck_assert_ptr_nonnull(strstr(buffer_text(&request.headers), "Idempotency-Key: mine\n"));
    http_task_request_fini(&request);
}
END_TEST

START_TEST(what_cannot_be_started_says_why)
{
    static const char *const wrong[] = {"{}",
                                        "{\"workflow_type\":\"\"}",
                                        "{\"workflow_type\":1}",
                                        "{\"workflow_type\":\"w\",\"namespace\":{}}",
                                        "{\"workflow_type\":\"w\",\"Name\":\"two\\nlines\"}",
                                        "{\"workflow_type\":\"w\",\"Name\":\"\"}",
                                        "{\"workflow_type\":\"w\",\"Name\":\" \"}",
                                        "{\"workflow_type\":\"w\",\"idempotency_key\":\" a\"}",
                                        "{\"workflow_type\":\"w\",\"idempotency_key\":\"a \"}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct http_task_request request = {0};
        struct http_task_failure failure = {0};
        ck_assert_msg(!build(&request, "onex:workflow:start", wrong[i], NULL, &failure), "%s",
                      wrong[i]);
        ck_assert_str_eq(failure.error, HTTP_TASK_BAD_PARAMETERS);
        ck_assert_uint_gt(failure.cause.bytes, 0);
        buffer_fini(&failure.cause);
        http_task_request_fini(&request);
    }
}
END_TEST

#define ID "\"workflow_id\":\"019aa119-c3a8-7000-8000-000000000009\""

static const struct {
    const char *resource;
    int status;
    const char *headers, *body;
    enum task_answer_kind kind;
    const char *result; /* JSON, or the error's name */
} answers[] = {
    {"onex:workflow:start", 202, "",
     "{" ID ",\"workflow\":\"w\",\"version\":\"1.0.0\",\"namespace\":\"n\",\"state\":\"PENDING\"}",
     TASK_RESULT, "{" ID ",\"workflow_type\":\"w\",\"version\":\"1.0.0\",\"namespace\":\"n\"}"},
    {"onex:workflow:start.sync", 202, "", "{" ID ",\"state\":\"COMPLETED\"}", TASK_DELIVERED,
     "{" ID ",\"workflow_type\":null,\"version\":null,\"namespace\":null}"},
    {"onex:workflow:start.sync", 200, "", "{" ID ",\"state\":\"COMPLETED\",\"result\":[1]}",
     TASK_RESULT, "{" ID ",\"status\":\"COMPLETED\",\"output\":[1]}"},
    {"onex:workflow:start.sync", 200, "",
     "{" ID ",\"state\":\"FAILED\",\"result\":null,\"error\":{\"error\":\"E\",\"cause\":\"c\"}}",
     TASK_FAILED, "States.TaskFailed"},
    {"onex:workflow:start", 200, "", "{" ID ",\"state\":\"FAILED\",\"result\":null}", TASK_RESULT,
     "{" ID ",\"workflow_type\":null,\"version\":null,\"namespace\":null}"},
    {"onex:workflow:start.waitForTaskToken", 202, "", "{" ID ",\"state\":\"PROCESSING\"}",
     TASK_DELIVERED, "{" ID ",\"workflow_type\":null,\"version\":null,\"namespace\":null}"},
    {"onex:workflow:start", 422, "", "{\"detail\":\"no such\"}", TASK_FAILED,
     "Workflow.StartFailed"},
    {"onex:workflow:start", 409, "", "garbage", TASK_FAILED, "Workflow.StartFailed"},
    {"onex:workflow:start", 200, "", "{}", TASK_FAILED, "Workflow.StartFailed"},
    {"onex:workflow:start", 429, "HTTP/1.1 429\r\nRetry-After: 2\r\n", "", TASK_AGAIN, "2000000"},
    {"onex:workflow:start", 503, "HTTP/1.1 503\r\nretry-after: 9999\r\n", "", TASK_AGAIN,
     "30000000"},
    {"onex:workflow:start", 500, "", "", TASK_AGAIN, "1000000"},
    {"onex:http:invoke.waitForTaskToken", 200, "", "", TASK_DELIVERED, "{\"StatusCode\":200}"},
    {"onex:http:invoke.waitForTaskToken", 503, "", "", TASK_FAILED, "States.Http.StatusCode.503"},
    {"onex:http:invoke", 204, "", "", TASK_RESULT,
     "{\"StatusCode\":204,\"Headers\":{},\"ResponseBody\":null}"},
};

START_TEST(answers_are_read)
{
    struct task_answer said = {0};
    struct http_task_response response = {
        .status = answers[_i].status,
        .headers = answers[_i].headers,
        .headers_bytes = strlen(answers[_i].headers),
        .body = answers[_i].body,
        .body_bytes = strlen(answers[_i].body),
    };
    task_read(task_resource_find(answers[_i].resource), &response, &said);
    ck_assert_int_eq(said.kind, answers[_i].kind);
    if (said.kind == TASK_AGAIN) {
        ck_assert_int_eq(said.again_us, atoll(answers[_i].result));
    } else if (said.kind == TASK_FAILED) {
        ck_assert_str_eq(said.failure.error, answers[_i].result);
    } else {
        struct json *wanted = parse(answers[_i].result);
        char *text = json_to_text(said.result);
        ck_assert_msg(json_equal(said.result, wanted), "%s", text);
        free(text);
        json_release(wanted);
    }
    task_answer_fini(&said);
}
END_TEST

START_TEST(a_call_without_answer_is_made_again_only_when_it_does_no_harm)
{
    struct task_answer said = {0};
    task_no_response(task_resource_find("onex:workflow:start.sync"), true, "late", &said);
    ck_assert_int_eq(said.kind, TASK_AGAIN);
    task_answer_fini(&said);
    task_no_response(task_resource_find("onex:http:invoke"), true, "late", &said);
    ck_assert_int_eq(said.kind, TASK_FAILED);
    ck_assert_str_eq(said.failure.error, "States.Timeout");
    task_answer_fini(&said);
    task_no_response(task_resource_find("onex:http:invoke"), false, "refused", &said);
    ck_assert_str_eq(said.failure.error, "States.Http.Socket");
    ck_assert_str_eq(buffer_text(&said.failure.cause), "refused");
    task_answer_fini(&said);
}
END_TEST

#define COUNT(array) (int)(sizeof array / sizeof array[0])

int main(void)
{
    Suite *suite = suite_create("task");
    TCase *tests = tcase_create("task");
    tcase_add_loop_test(tests, each_name_and_alias_is_known, 0, COUNT(names));
    tcase_add_test(tests, other_names_are_not);
    tcase_add_loop_test(tests, parameters_are_checked, 0, COUNT(checks));
    tcase_add_test(tests, parameters_within_branches_and_items_are_checked);
    tcase_add_test(tests, a_token_names_its_wait);
    tcase_add_test(tests, no_other_text_is_a_token);
    tcase_add_test(tests, the_signature_is_hmac_sha256);
    tcase_add_test(tests, a_child_is_submitted_to_our_own_api);
    tcase_add_test(tests, a_child_whose_end_is_waited_for_gets_the_token);
    tcase_add_test(tests, what_cannot_be_started_says_why);
    tcase_add_loop_test(tests, answers_are_read, 0, COUNT(answers));
    tcase_add_test(tests, a_call_without_answer_is_made_again_only_when_it_does_no_harm);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
