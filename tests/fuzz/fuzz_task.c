/* SPDX-License-Identifier: MIT */
/* Parameters of a call (first line, JSON) and the response to it (headers up to an empty line, then the body): what is
 * sent stays at the service's address and on its header lines, and each response has one meaning. */
#include "core/multipart.h"
#include "fuzz.h"
#include "orchestrator/core/task.h"

#define SERVICES                                                                                   \
    "services: {a: {base_url: 'http://a:1'}, b: {base_url: 'http://b/base', timeout_ms: 5}}\n"

static struct services *services;

static const char *no_variable(const char *name, void *context)
{
    (void)name, (void)context;
    return NULL;
}

static bool is_plain(const struct buffer *text)
{
    for (size_t i = 0; i < text->bytes; i++)
        if ((unsigned char)text->data[i] <= ' ' || text->data[i] == 0x7f)
            return false;
    return true;
}

static void check_headers(const struct buffer *headers)
{
    const char *at = buffer_text(headers), *end = at + headers->bytes;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const char *colon = memchr(at, ':', (size_t)(end - at));
        FUZZ_CHECK(stop && colon && colon > at && colon < stop);
        for (const char *p = at; p < stop; p++)
            FUZZ_CHECK((unsigned char)*p >= ' ' && *p != 0x7f);
        at = stop + 1;
    }
}

/* A form that is sent can be read: each member is the part of its name. */
static void check_form(const struct http_task_request *request, const struct json *body)
{
    const char *type = strstr(buffer_text(&request->headers), "Content-Type: multipart/form-data");
    if (!type || json_type_of(body) != JSON_OBJECT)
        return;
    type += strlen("Content-Type: ");
    char *content_type = must_strndup(type, strcspn(type, "\n"));
    struct multipart_part part;
    const struct json *member = json_get(body, "document");
    size_t bytes;
    const char *text = json_string_value(member, &bytes);
    if (text && strchr(content_type, '='))
        FUZZ_CHECK(multipart_find(content_type, buffer_text(&request->body), request->body.bytes,
                                  "document", &part) &&
                   part.bytes == bytes && memcmp(part.data, text, bytes) == 0);
    free(content_type);
}

static void build(const struct json *parameters, const char *resource_name)
{
    const struct task_context context = {
        .resource = task_resource_find(resource_name),
        .services = services,
        .identity = {"w:state:0", "correlation", NULL},
        .namespace = "n",
        .own_url = "http://own:8060",
        .credential = "credential",
        .token = "token",
    };
    struct http_task_request request = {0};
    struct http_task_failure failure = {0};
    FUZZ_CHECK(context.resource != NULL);
    if (task_build(&request, parameters, &context, &failure)) {
        const char *base =
            request.service >= 0 ? services->items[request.service].base_url : context.own_url;
        FUZZ_CHECK(strncmp(buffer_text(&request.url), base, strlen(base)) == 0);
        FUZZ_CHECK(is_plain(&request.url) && request.method);
        FUZZ_CHECK(request.url.bytes == strlen(base) ||
                   strchr("/?#", request.url.data[strlen(base)]));
        check_headers(&request.headers);
        check_form(&request, json_get(parameters, "RequestBody"));
    } else {
        FUZZ_CHECK(failure.error && failure.cause.bytes > 0);
    }
    http_task_request_fini(&request);
    buffer_fini(&failure.cause);
}

static void read_answer(const struct http_task_response *response, const char *resource_name)
{
    struct task_answer answer = {0};
    task_read(task_resource_find(resource_name), response, &answer);
    if (answer.kind == TASK_FAILED)
        FUZZ_CHECK(answer.failure.error && answer.failure.error[0]);
    if (answer.kind == TASK_RESULT || answer.kind == TASK_DELIVERED) {
        char *text = json_to_text(answer.result);
        struct json *read = json_parse(text, strlen(text), NULL, NULL); /* it will be stored */
        FUZZ_CHECK(read != NULL && json_equal(read, answer.result));
        json_release(read);
        free(text);
    }
    FUZZ_CHECK(answer.kind != TASK_AGAIN || answer.again_us >= 0);
    task_answer_fini(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const char *const resources[] = {"onex:http:invoke", "onex:http:invoke.waitForTaskToken",
                                            "onex:workflow:start", "onex:workflow:start.sync"};
    static const int statuses[] = {200, 201, 202, 204, 301, 400, 404, 409, 429, 500, 503, 0};
    struct fuzz_rest rest = {(const char *)bytes, count};
    struct findings findings = {0};
    if (!services)
        services = services_parse("services.yaml", SERVICES, sizeof SERVICES - 1, no_variable, NULL,
                                  &findings);
    FUZZ_CHECK(services != NULL);
    char *line = fuzz_take_line(&rest);
    struct json *parameters = json_parse(line, strlen(line), NULL, NULL);
    const char *gap = rest.bytes > 3 ? memmem(rest.text, rest.bytes, "\n\n", 2) : NULL;
    const char *body = gap ? gap + 2 : rest.text;
    size_t status = body < rest.text + rest.bytes ? (unsigned char)body[0] : 0;
    const struct http_task_response response = {
        .status = statuses[status % (sizeof statuses / sizeof *statuses)],
        .headers = rest.text ? rest.text : "",
        .headers_bytes = gap ? (size_t)(gap + 1 - rest.text) : 0,
        .body = rest.bytes ? body : "",
        .body_bytes = rest.bytes - (size_t)(body - rest.text)};
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        if (parameters && json_type_of(parameters) == JSON_OBJECT)
            build(parameters, resources[i]);
        read_answer(&response, resources[i]);
    }
    json_release(parameters);
    findings_fini(&findings);
    free(line);
    return 0;
}
