/* SPDX-License-Identifier: MIT */
/* onex:workflow:start: a submission to this node's own API, under an idempotency key of its own, so that
 * a crash between call and record starts no second child.
 *
 * Parameters: workflow_type (or StateMachineArn, whose last part it is), version, input, namespace (the
 * parent's unless given), idempotency_key (or Name).
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "orchestrator/core/submission.h"
#include "orchestrator/core/task.h"
#include "orchestrator/core/workflow.h"

#define AGAIN_US_MIN 200000
#define AGAIN_US_MAX 30000000
#define AGAIN_US_DEFAULT 1000000
#define CHILD_CAUSE_BYTES_MAX 8192 /* of a failed child's cause in its parent's; the rest is cut */
#define ERROR_START "Workflow.StartFailed"

/* The text of a member; NULL when it is absent. False when it is something else. */
static bool read_text(const struct json *parameters, const char *name, const char *other,
                      const char **text, struct http_task_failure *failure)
{
    const struct json *value = task_parameter(parameters, name, other);
    *text = json_string_value(value, NULL);
    if (value == NULL || json_type_of(value) == JSON_NULL || *text != NULL)
        return true;
    return http_task_fail(failure, HTTP_TASK_BAD_PARAMETERS, "%s is a %s; it must be a text", name,
                          json_type_name(value));
}

static void set_text(struct json *object, const char *name, const char *text)
{
    if (text != NULL)
        json_object_set(object, name, json_text(text));
}

bool task_workflow_build(struct http_task_request *request, const struct json *parameters,
                         const struct task_context *context, struct http_task_failure *failure)
{
    const char *type, *version, *namespace, *key;
    const struct json *input = task_parameter(parameters, "input", "Input");
    if (!read_text(parameters, "workflow_type", "StateMachineArn", &type, failure) ||
        !read_text(parameters, "version", NULL, &version, failure) ||
        !read_text(parameters, "namespace", NULL, &namespace, failure) ||
        !read_text(parameters, "idempotency_key", "Name", &key, failure))
        return false;
    if (type == NULL || *type == '\0')
        return http_task_fail(failure, HTTP_TASK_BAD_PARAMETERS,
                              "the parameter workflow_type is missing");
    if (key != NULL && !submission_key_is_valid(key))
        return http_task_fail(failure, HTTP_TASK_BAD_PARAMETERS,
                              "idempotency_key must be 1 to %d visible characters without blanks "
                              "at its ends",
                              IDEMPOTENCY_KEY_BYTES_MAX);
    const char *colon = strrchr(type, ':');
    struct json *body = json_object();
    set_text(body, "workflow", colon == NULL ? type : colon + 1);
    set_text(body, "version", version);
    set_text(body, "namespace", namespace == NULL ? context->namespace : namespace);
    set_text(body, "correlation_id", context->identity.correlation_id);
    json_object_set(body, "input", input == NULL ? json_object() : json_hold(input));
    json_write(body, &request->body);
    json_release(body);
    request->service = -1;
    request->method = "POST";
    request->has_body = true;
    buffer_append_format(&request->url, "%s/api/v1/workflows", context->own_url);
    buffer_append_format(&request->headers, "Content-Type: application/json\nIdempotency-Key: %s",
                         key != NULL ? key : context->identity.idempotency_key);
    buffer_append_format(&request->headers, "\ntraceparent: %s\n" TASK_HEADER_CREDENTIAL ": %s\n",
                         context->identity.traceparent, context->credential);
    if (context->token != NULL)
        buffer_append_format(&request->headers, TASK_HEADER_PARENT ": %s\n", context->token);
    return true;
}

static int64_t retry_after_us(const struct http_task_response *response)
{
    static const char name[] = "\nretry-after:";
    int64_t seconds = 0;
    for (size_t i = 0; i < response->headers_bytes; i++) {
        size_t left = response->headers_bytes - i;
        if (left > sizeof name && strncasecmp(response->headers + i, name, sizeof name - 1) == 0)
            for (const char *p = response->headers + i + sizeof name - 1;
                 p < response->headers + response->headers_bytes && *p != '\n'; p++)
                if (*p >= '0' && *p <= '9' && seconds < 1000)
                    seconds = seconds * 10 + (*p - '0');
    }
    int64_t again_us = seconds == 0 ? AGAIN_US_DEFAULT : seconds * 1000000;
    return again_us < AGAIN_US_MIN   ? AGAIN_US_MIN
           : again_us > AGAIN_US_MAX ? AGAIN_US_MAX
                                     : again_us;
}

void task_workflow_ended(const char *workflow_id, const char *state, const struct json *output,
                         const char *error, const char *cause, struct task_answer *answer)
{
    struct json *object = json_object();
    set_text(object, "workflow_id", workflow_id);
    set_text(object, "status", state);
    if (workflow_state_of_name(state) == WORKFLOW_COMPLETED) {
        json_object_set(object, "output", output == NULL ? json_null() : json_hold(output));
        answer->kind = TASK_RESULT;
        answer->result = object;
        return;
    }
    set_text(object, "error", error);
    char *short_cause = NULL;
    if (cause != NULL) {
        short_cause = must_strndup(cause, strnlen(cause, CHILD_CAUSE_BYTES_MAX));
        error_trim(short_cause, CHILD_CAUSE_BYTES_MAX + 1);
    }
    set_text(object, "cause", short_cause);
    free(short_cause);
    answer->kind = TASK_FAILED;
    answer->failure.error = "States.TaskFailed";
    buffer_clear(&answer->failure.cause);
    json_write(object, &answer->failure.cause);
    json_release(object);
}

static void read_started(const struct task_resource *resource, const struct json *body,
                         struct task_answer *answer)
{
    static const char *const kept[][2] = {{"workflow_id", "workflow_id"},
                                          {"workflow", "workflow_type"},
                                          {"version", "version"},
                                          {"namespace", "namespace"}};
    const char *state = json_string_or(json_get(body, "state"), "");
    /* One that ends at once may be answered without its result: then its end is told like any other. */
    if (resource->waits_for_end && workflow_state_ended(workflow_state_of_name(state)) &&
        json_get(body, "result") != NULL) {
        const struct json *error = json_get(body, "error");
        task_workflow_ended(json_string_or(json_get(body, "workflow_id"), ""), state,
                            json_get(body, "result"),
                            json_string_value(json_get(error, "error"), NULL),
                            json_string_value(json_get(error, "cause"), NULL), answer);
        return;
    }
    bool waits = resource->waits_for_end || resource->waits_for_token;
    answer->kind = waits ? TASK_DELIVERED : TASK_RESULT;
    answer->result = json_object();
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        const struct json *value = json_get(body, kept[i][0]);
        json_object_set(answer->result, kept[i][1], value == NULL ? json_null() : json_hold(value));
    }
}

void task_workflow_read(const struct task_resource *resource,
                        const struct http_task_response *response, struct task_answer *answer)
{
    if (response->status == 429 || response->status >= 500) {
        answer->kind = TASK_AGAIN;
        answer->again_us = retry_after_us(response);
        return;
    }
    struct json *body = json_parse(response->body, response->body_bytes, NULL, NULL);
    bool started = response->status >= 200 && response->status <= 299 &&
                   json_type_of(json_get(body, "workflow_id")) == JSON_STRING;
    if (started) {
        read_started(resource, body, answer);
    } else {
        answer->kind = TASK_FAILED;
        http_task_fail(&answer->failure, ERROR_START, "%s",
                       json_string_or(json_get(body, "detail"), "the workflow was not started"));
    }
    json_release(body);
}
