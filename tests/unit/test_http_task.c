/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/multipart.h"
#include "orchestrator/core/http_task.h"

static const char services_text[] =
    "services:\n"
    "  stamping: { base_url: http://stamping:8053/, api_key_variable: STAMPING_KEY }\n"
    "  tree: { base_url: http://tree:8080 }\n"
    "  tree-new: { base_url: http://tree:8080/new }\n";

static struct services *services;
static struct http_task_request request;
static struct http_task_failure failure;

static const char *lookup(const char *name, void *context)
{
    (void)context;
    return strcmp(name, "STAMPING_KEY") == 0 ? "s3cret" : NULL;
}

static void setup(void)
{
    struct findings findings = {0};
    services = services_parse("services.yaml", services_text, strlen(services_text), lookup, NULL,
                              &findings);
    ck_assert_ptr_nonnull(services);
    findings_fini(&findings);
}

static void clear(void)
{
    http_task_request_fini(&request);
    buffer_fini(&failure.cause);
    request = (struct http_task_request){0};
    failure = (struct http_task_failure){0};
}

static void teardown(void)
{
    clear();
    services_free(services);
}

static struct json *json_of(const char *text)
{
    struct error error = {0};
    struct json *value = json_parse(text, strlen(text), &error, NULL);
    ck_assert_msg(value != NULL, "%s: %s", error.text, text);
    return value;
}

static bool build(const char *parameters)
{
    static const struct http_task_identity identity = {"w:A:0", "corr-1", NULL};
    clear();
    struct json *given = json_of(parameters);
    bool fine = http_task_build(&request, given, services, &identity, &failure);
    json_release(given);
    return fine;
}

static void built(const char *parameters)
{
    ck_assert_msg(build(parameters), "%s: %s", failure.error, buffer_text(&failure.cause));
}

/* -- requests -- */

static const struct {
    const char *parameters, *url;
} urls[] = {
    {"{\"Service\":\"tree\"}", "http://tree:8080"},
    {"{\"Service\":\"tree\",\"Path\":\"/a/b\"}", "http://tree:8080/a/b"},
    {"{\"Service\":\"tree\",\"Path\":\"a\"}", "http://tree:8080/a"},
    {"{\"Service\":\"stamping\",\"Path\":\"/a\"}", "http://stamping:8053/a"},
    {"{\"Service\":\"tree\",\"Path\":\"/a b?c#d\\\"\"}", "http://tree:8080/a%20b%3Fc%23d%22"},
    {"{\"Service\":\"tree\",\"Path\":\"/\\u00e9\\r\\n/%41;@:\"}",
     "http://tree:8080/%C3%A9%0D%0A/%41;@:"},
    {"{\"Service\":\"tree\",\"QueryParameters\":{\"q\":\"a b&c=d\",\"\\u00e4\":\"/?\"}}",
     "http://tree:8080?q=a%20b%26c%3Dd&%C3%A4=%2F%3F"},
    {"{\"Service\":\"tree\",\"Path\":\"/\",\"QueryParameters\":{\"n\":5,\"t\":true,\"e\":\"\"}}",
     "http://tree:8080/?n=5&t=true&e="},
    {"{\"Service\":\"tree\",\"QueryParameters\":{\"a\":[\"x\",2,\"z\"],\"none\":[],\"b\":\"y\"}}",
     "http://tree:8080?a=x&a=2&a=z&b=y"},
    {"{\"ApiEndpoint\":\"http://tree:8080/x?y=1\",\"QueryParameters\":{\"z\":\"2\"}}",
     "http://tree:8080/x?y=1&z=2"},
    {"{\"ApiEndpoint\":\"http://tree:8080\",\"Path\":\"/x\"}", "http://tree:8080/x"},
};

START_TEST(urls_are_built)
{
    built(urls[_i].parameters);
    ck_assert_str_eq(buffer_text(&request.url), urls[_i].url);
}
END_TEST

START_TEST(the_service_of_a_request)
{
    built("{\"Service\":\"stamping\"}");
    ck_assert_int_eq(request.service, 0);
    built("{\"ApiEndpoint\":\"http://tree:8080/x\"}");
    ck_assert_int_eq(request.service, 1);
    built("{\"ApiEndpoint\":\"http://tree:8080/new/x\"}");
    ck_assert_int_eq(request.service, 2);
    built("{\"ApiEndpoint\":\"http://tree:8080/newer\"}");
    ck_assert_int_eq(request.service, 1);
}
END_TEST

static const struct {
    const char *parameters, *error, *cause;
} refused[] = {
    {"{}", "States.ParameterPathFailure", "Service or ApiEndpoint"},
    {"{\"Service\":\"other\"}", "States.Permissions", "other is not a service"},
    {"{\"ApiEndpoint\":\"http://tree:8080/x\\r\\ny\"}", "States.ParameterPathFailure",
     "control character"},
    {"{\"ApiEndpoint\":\"http://tree:8080/x y\"}", "States.ParameterPathFailure", "space"},
    {"{\"ApiEndpoint\":\"http://evil/\"}", "States.Permissions", "http://evil/ is not"},
    {"{\"ApiEndpoint\":\"http://tree:80801/\"}", "States.Permissions", "is not a service"},
    {"{\"ApiEndpoint\":\"http://tree:8080.evil/\"}", "States.Permissions", "is not a service"},
    {"{\"ApiEndpoint\":\"http://tree:8080@evil/\"}", "States.Permissions", "is not a service"},
    {"{\"Service\":\"tree\",\"Path\":\"/a/../b\"}", "States.ParameterPathFailure", "segment .."},
    {"{\"Service\":\"tree\",\"Path\":\"/a/%2E.\"}", "States.ParameterPathFailure", "segment .."},
    {"{\"ApiEndpoint\":\"http://tree:8080/..\"}", "States.ParameterPathFailure", "segment .."},
    {"{\"Service\":\"tree\",\"Method\":\"BREW\"}", "States.ParameterPathFailure", "Method BREW"},
    {"{\"Service\":\"tree\",\"Method\":\"get\"}", "States.ParameterPathFailure", "Method get"},
    {"{\"Service\":\"tree\",\"Headers\":{\"A\":\"b\\r\\nEvil: 1\"}}", "States.ParameterPathFailure",
     "header A"},
    {"{\"Service\":\"tree\",\"Headers\":{\"A\":\"b\\nEvil: 1\"}}", "States.ParameterPathFailure",
     "header A"},
    {"{\"Service\":\"tree\",\"Headers\":{\"A\\nEvil\":\"b\"}}", "States.ParameterPathFailure",
     "header A"},
    {"{\"Service\":\"tree\",\"Headers\":{\"A: b\":\"c\"}}", "States.ParameterPathFailure",
     "header A: b"},
    {"{\"Service\":\"tree\",\"Headers\":{\"A b\":\"c\"}}", "States.ParameterPathFailure",
     "header A b"},
    {"{\"Service\":\"tree\",\"Headers\":{\"\":\"c\"}}", "States.ParameterPathFailure", "header"},
    {"{\"Service\":\"tree\",\"RequestBody\":\"x\",\"Headers\":{\"Content-Type\":\"a/b\\nEvil: "
     "1\"}}",
     "States.ParameterPathFailure", "header Content-Type"},
};

START_TEST(what_cannot_be_sent_is_an_error)
{
    ck_assert(!build(refused[_i].parameters));
    ck_assert_str_eq(failure.error, refused[_i].error);
    ck_assert_msg(strstr(buffer_text(&failure.cause), refused[_i].cause) != NULL, "%s",
                  buffer_text(&failure.cause));
}
END_TEST

START_TEST(headers_of_a_request)
{
    static const struct http_task_identity identity = {"w:A:0", "corr-1", "00-abc-01"};
    struct json *given = json_of("{\"Service\":\"stamping\",\"Headers\":{\"X-A\":\"b\",\"X-N\":5,"
                                 "\"x-correlation-id\":\"mine\",\"Traceparent\":\"mine\"}}");
    ck_assert(http_task_build(&request, given, services, &identity, &failure));
    json_release(given);
    ck_assert_str_eq(buffer_text(&request.headers),
                     "X-A: b\nX-N: 5\nIdempotency-Key: w:A:0\n"
                     "X-Correlation-ID: corr-1\ntraceparent: 00-abc-01\n"
                     "X-API-Key: s3cret\n");
    built("{\"Service\":\"tree\"}");
    ck_assert_str_eq(buffer_text(&request.headers),
                     "Idempotency-Key: w:A:0\nX-Correlation-ID: corr-1\n");
}
END_TEST

/* A correlation id comes from a client. */
START_TEST(an_identity_cannot_inject_headers)
{
    static const struct http_task_identity identity = {"w:A:0", "c\nEvil: 1", NULL};
    struct json *given = json_of("{\"Service\":\"tree\"}");
    ck_assert(http_task_build(&request, given, services, &identity, &failure));
    json_release(given);
    ck_assert_str_eq(buffer_text(&request.headers), "Idempotency-Key: w:A:0\n");
}
END_TEST

START_TEST(methods)
{
    built("{\"Service\":\"tree\"}");
    ck_assert_str_eq(request.method, "GET");
    ck_assert(!request.has_body);
    built("{\"Service\":\"tree\",\"RequestBody\":{}}");
    ck_assert_str_eq(request.method, "POST");
    ck_assert(request.has_body);
    built("{\"Service\":\"tree\",\"Method\":\"DELETE\"}");
    ck_assert_str_eq(request.method, "DELETE");
    built("{\"Service\":\"tree\",\"Method\":\"PUT\",\"RequestBody\":null}");
    ck_assert_str_eq(request.method, "PUT");
    ck_assert_str_eq(buffer_text(&request.body), "null");
}
END_TEST

/* -- bodies -- */

static const struct {
    const char *headers, *body, *content_type, *sent;
} bodies[] = {
    {"{}", "{\"a\":[1,\"\\u00e9\\n\"]}", "application/json", "{\"a\":[1,\"\xc3\xa9\\n\"]}"},
    {"{}", "\"text\"", "application/json", "\"text\""},
    {"{\"content-type\":\"text/plain\"}", "\"a\\\"b\\n\"", "text/plain", "a\"b\n"},
    {"{\"Content-Type\":\"application/vnd.x+json\"}", "\"t\"", "application/vnd.x+json", "\"t\""},
    {"{\"Content-Type\":\"text/plain\"}", "{\"a\":1}", "text/plain", "{\"a\":1}"},
    {"{\"Content-Type\":\"multipart/form-data\"}", "\"raw\"", "multipart/form-data", "raw"},
};

START_TEST(bodies_are_sent_as_they_say)
{
    struct buffer parameters = {0}, header = {0};
    buffer_append_format(&parameters, "{\"Service\":\"tree\",\"Headers\":%s,\"RequestBody\":%s}",
                         bodies[_i].headers, bodies[_i].body);
    built(buffer_text(&parameters));
    buffer_append_format(&header, "Content-Type: %s\n", bodies[_i].content_type);
    ck_assert_str_eq(buffer_text(&request.body), bodies[_i].sent);
    const char *found = strcasestr(buffer_text(&request.headers), "content-type");
    ck_assert_ptr_nonnull(found);
    ck_assert_int_eq(strncmp(found, buffer_text(&header), header.bytes), 0);
    ck_assert_ptr_null(strcasestr(found + 1, "content-type"));
    buffer_fini(&parameters);
    buffer_fini(&header);
}
END_TEST

/* The Content-Type that was sent, cut out of the request's headers. */
static const char *form_type(char *text, size_t bytes)
{
    const char *found = strstr(buffer_text(&request.headers), "Content-Type: ");
    ck_assert_ptr_nonnull(found);
    snprintf(text, bytes, "%.*s", (int)strcspn(found + 14, "\n"), found + 14);
    return text;
}

#define FORM(body)                                                                                 \
    "{\"Service\":\"stamping\",\"Headers\":{\"Content-Type\":\"multipart/form-data\"},"            \
    "\"RequestBody\":" body "}"

START_TEST(a_form_has_these_octets)
{
    char type[256];
    built(FORM(
        "{\"file\":{\"content\":\"a\\r\\nb\",\"filename\":\"x\\\"y\\n.txt\","
        "\"content_type\":\"text/plain\"},\"note\":\"hi\",\"n\":5,\"raw\":{\"content\":\"\"}}"));
    const char *boundary = strstr(form_type(type, sizeof type), "boundary=");
    ck_assert_ptr_nonnull(boundary);
    boundary += strlen("boundary=");
    struct buffer expected = {0};
    buffer_append_format(
        &expected,
        "--%s\r\n"
        "Content-Disposition: form-data; name=\"file\"; filename=\"x%%22y%%0A.txt\"\r\n"
        "Content-Type: text/plain\r\n\r\na\r\nb\r\n--%s\r\n"
        "Content-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n--%s\r\n"
        "Content-Disposition: form-data; name=\"n\"\r\n\r\n5\r\n--%s\r\n"
        "Content-Disposition: form-data; name=\"raw\"; filename=\"data\"\r\n"
        "Content-Type: application/octet-stream\r\n\r\n\r\n--%s--\r\n",
        boundary, boundary, boundary, boundary, boundary);
    ck_assert_str_eq(buffer_text(&request.body), buffer_text(&expected));
    ck_assert_uint_eq(request.body.bytes, expected.bytes);
    buffer_fini(&expected);
}
END_TEST

/* A document that contains the boundary of an earlier form arrives whole, and adds no field. */
START_TEST(no_content_can_end_its_part)
{
    char type[256], second[256];
    built(FORM("{\"file\":{\"content\":\"x\"}}"));
    const char *boundary = strstr(form_type(type, sizeof type), "boundary=") + strlen("boundary=");
    struct buffer content = {0}, parameters = {0};
    buffer_append_format(
        &content, "a\r\n--%s\r\nContent-Disposition: form-data; name=\"evil\"\r\n\r\n1\r\n--%s--",
        boundary, boundary);
    buffer_append_text(&parameters,
                       "{\"Service\":\"stamping\",\"Headers\":{\"Content-Type\":"
                       "\"multipart/form-data\"},\"RequestBody\":{\"file\":{\"content\":");
    buffer_append_json_text(&parameters, buffer_text(&content));
    buffer_append_text(&parameters, "},\"last\":\"z\"}}");
    built(buffer_text(&parameters));
    struct multipart_part part;
    form_type(second, sizeof second);
    ck_assert(multipart_find(second, request.body.data, request.body.bytes, "file", &part));
    ck_assert_uint_eq(part.bytes, content.bytes);
    ck_assert_mem_eq(part.data, content.data, content.bytes);
    ck_assert(multipart_find(second, request.body.data, request.body.bytes, "last", &part));
    ck_assert(!multipart_find(second, request.body.data, request.body.bytes, "evil", &part));
    char *once = must_strdup(buffer_text(&request.body));
    built(buffer_text(&parameters));
    ck_assert_str_eq(buffer_text(&request.body), once);
    free(once);
    buffer_fini(&content);
    buffer_fini(&parameters);
}
END_TEST

/* -- responses -- */

static struct json *result_of(int status, const char *headers, const char *body, size_t bytes)
{
    clear();
    struct http_task_response response = {status, headers, strlen(headers), body, bytes};
    return http_task_result(&response, &failure);
}

static const struct {
    int status;
    const char *headers, *body, *result;
} results[] = {
    {200, "Content-Type: application/json\r\n", "{\"a\":1}",
     "{\"StatusCode\":200,\"Headers\":{\"content-type\":[\"application/"
     "json\"]},\"ResponseBody\":{\"a\":1}}"},
    {299, "content-type:application/problem+JSON; charset=utf-8\r\n", "null",
     "{\"StatusCode\":299,\"Headers\":{\"content-type\":[\"application/problem+JSON; "
     "charset=utf-8\"]},"
     "\"ResponseBody\":null}"},
    {201, "Content-Type: text/plain\r\n", "{\"a\":1}",
     "{\"StatusCode\":201,\"Headers\":{\"content-type\":[\"text/"
     "plain\"]},\"ResponseBody\":\"{\\\"a\\\":1}\"}"},
    {204, "", "", "{\"StatusCode\":204,\"Headers\":{},\"ResponseBody\":null}"},
    {200, "Content-Type: application/json\r\n", "",
     "{\"StatusCode\":200,\"Headers\":{\"content-type\":[\"application/"
     "json\"]},\"ResponseBody\":null}"},
    {200,
     "HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\nCONTENT-LENGTH: 2\r\nServer: s\r\nX-A:  b "
     "\r\n\r\n",
     "hi", "{\"StatusCode\":200,\"Headers\":{\"x-a\":[\"b\"]},\"ResponseBody\":\"hi\"}"},
    {200, "X-A: 1\r\nX-B: 2\r\nx-a: 3\r\n", "hi",
     "{\"StatusCode\":200,\"Headers\":{\"x-a\":[\"1\",\"3\"],\"x-b\":[\"2\"]},\"ResponseBody\":"
     "\"hi\"}"},
    {200, "X-Bad: \xff\r\nX-A: b", "hi",
     "{\"StatusCode\":200,\"Headers\":{\"x-a\":[\"b\"]},\"ResponseBody\":\"hi\"}"},
};

/* Such a text is in no JSON, and the database would refuse the result. */
START_TEST(a_header_with_nul_is_left_out)
{
    static const char headers[] = "X-A: 1\r\nX-\0B: 2\r\nX-C: \0\r\n";
    const struct http_task_response response = {
        .status = 200, .headers = headers, .headers_bytes = sizeof headers - 1, .body = ""};
    struct json *result = http_task_result(&response, &failure);
    char *text = json_to_text(result);
    ck_assert_str_eq(text,
                     "{\"StatusCode\":200,\"Headers\":{\"x-a\":[\"1\"]},\"ResponseBody\":null}");
    free(text);
    json_release(result);
}
END_TEST

START_TEST(a_success_is_a_result)
{
    struct json *expected = json_of(results[_i].result);
    struct json *result = result_of(results[_i].status, results[_i].headers, results[_i].body,
                                    strlen(results[_i].body));
    ck_assert_ptr_nonnull(result);
    char *text = json_to_text(result);
    ck_assert_msg(json_equal(result, expected), "%s", text);
    free(text);
    json_release(result);
    json_release(expected);
}
END_TEST

START_TEST(a_result_can_be_read_again)
{
    static const char json[] = "Content-Type: application/json\r\n";
    for (int depth = 120; depth <= JSON_DEPTH_MAX; depth++) {
        char body[2 * JSON_DEPTH_MAX + 1];
        memset(body, '[', (size_t)depth);
        memset(body + depth, ']', (size_t)depth);
        struct json *result = result_of(200, json, body, 2 * (size_t)depth);
        ck_assert_int_eq(result != NULL, depth <= JSON_DEPTH_MAX - RECORD_DEPTH_MAX);
        if (result == NULL) {
            ck_assert_str_eq(failure.error, "States.DataLimitExceeded");
            continue;
        }
        ck_assert_uint_eq(json_depth(result), (size_t)depth + 1);
        char *text = json_to_text(result);
        struct json *again = json_parse(text, strlen(text), NULL, NULL);
        ck_assert_ptr_nonnull(again);
        json_release(again);
        json_release(result);
        free(text);
    }
}
END_TEST

START_TEST(another_status_is_an_error_with_the_body_as_cause)
{
    static const int statuses[] = {100, 199, 300, 302, 400, 404, 422, 500, 503, 999};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        char name[64];
        snprintf(name, sizeof name, "States.Http.StatusCode.%d", statuses[i]);
        ck_assert_ptr_null(result_of(statuses[i], "", "{\"why\":1}", 9));
        ck_assert_str_eq(failure.error, name);
        ck_assert_str_eq(buffer_text(&failure.cause), "{\"why\":1}");
    }
}
END_TEST

/* A long cause is cut between two characters, never inside one. */
START_TEST(a_cause_is_cut_to_1024_octets)
{
    char body[5000];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(body, 'a', shift);
        for (size_t i = shift; i + 4 <= sizeof body; i += 4)
            memcpy(body + i, "\xf0\x9f\x98\x80", 4);
        ck_assert_ptr_null(result_of(500, "", body, shift + 4 * 1000));
        ck_assert_uint_eq(failure.cause.bytes, shift == 0 ? 1024 : 1020 + shift);
        ck_assert(utf8_is_valid(failure.cause.data, failure.cause.bytes));
        ck_assert_mem_eq(failure.cause.data, body, failure.cause.bytes);
    }
    ck_assert_ptr_null(result_of(500, "", body, 3 + 4 * 255 + 1));
    ck_assert_uint_eq(failure.cause.bytes, 3 + 4 * 255);
}
END_TEST

START_TEST(a_cause_that_is_no_text_is_left_out)
{
    ck_assert_ptr_null(result_of(500, "", "\xff\xfe oh", 5));
    ck_assert_str_eq(failure.error, "States.Http.StatusCode.500");
    ck_assert_uint_eq(failure.cause.bytes, 0);
    ck_assert_ptr_null(result_of(500, "", "a\0b", 3));
    ck_assert_uint_eq(failure.cause.bytes, 0);
}
END_TEST

static const struct {
    const char *headers, *body;
    size_t bytes;
    const char *cause;
} invalid[] = {
    {"Content-Type: application/json\r\n", "{\"a\":", 5, "says it is JSON and is not"},
    {"Content-Type: application/json\r\n", "<html>", 6, "says it is JSON and is not"},
    {"Content-Type: application/json\r\n", "\"\xff\"", 3, "says it is JSON and is not"},
    {"Content-Type: text/plain\r\n", "a\xc3", 2, "not UTF-8"},
    {"", "\xff\xd8\xff", 3, "not UTF-8"},
    {"", "a\0b", 3, "not UTF-8"},
};

START_TEST(a_body_that_cannot_be_read_is_an_error)
{
    ck_assert_ptr_null(result_of(200, invalid[_i].headers, invalid[_i].body, invalid[_i].bytes));
    ck_assert_str_eq(failure.error, "States.Http.InvalidBody");
    ck_assert_msg(strstr(buffer_text(&failure.cause), invalid[_i].cause) != NULL, "%s",
                  buffer_text(&failure.cause));
}
END_TEST

#define COUNT(table) (int)(sizeof table / sizeof *table)

int main(void)
{
    Suite *suite = suite_create("http_task");
    TCase *tests = tcase_create("http_task");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, urls_are_built, 0, COUNT(urls));
    tcase_add_test(tests, the_service_of_a_request);
    tcase_add_loop_test(tests, what_cannot_be_sent_is_an_error, 0, COUNT(refused));
    tcase_add_test(tests, headers_of_a_request);
    tcase_add_test(tests, an_identity_cannot_inject_headers);
    tcase_add_test(tests, methods);
    tcase_add_loop_test(tests, bodies_are_sent_as_they_say, 0, COUNT(bodies));
    tcase_add_test(tests, a_form_has_these_octets);
    tcase_add_test(tests, no_content_can_end_its_part);
    tcase_add_test(tests, a_header_with_nul_is_left_out);
    tcase_add_loop_test(tests, a_success_is_a_result, 0, COUNT(results));
    tcase_add_test(tests, a_result_can_be_read_again);
    tcase_add_test(tests, another_status_is_an_error_with_the_body_as_cause);
    tcase_add_test(tests, a_cause_is_cut_to_1024_octets);
    tcase_add_test(tests, a_cause_that_is_no_text_is_left_out);
    tcase_add_loop_test(tests, a_body_that_cannot_be_read_is_an_error, 0, COUNT(invalid));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
