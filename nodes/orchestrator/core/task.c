/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/task.h"

#define AGAIN_US 1000000 /* before a call that was not answered is made again */

struct task_functions {
    bool (*build)(struct http_task_request *request, const struct json *parameters,
                  const struct task_context *context, struct http_task_failure *failure);
    void (*read)(const struct task_resource *resource, const struct http_task_response *response,
                 struct task_answer *answer);
    bool repeats; /* a call without a response is made again: it cannot do its work twice */
};

static bool build_http(struct http_task_request *request, const struct json *parameters,
                       const struct task_context *context, struct http_task_failure *failure)
{
    return http_task_build(request, parameters, context->services, &context->identity, failure);
}

/* Of a call whose answer comes by a token only the status is kept. */
static void read_http(const struct task_resource *resource,
                      const struct http_task_response *response, struct task_answer *answer)
{
    answer->result = http_task_result(response, &answer->failure);
    answer->kind = answer->result == NULL ? TASK_FAILED : TASK_RESULT;
    if (answer->result == NULL || !resource->waits_for_token)
        return;
    json_release(answer->result);
    answer->kind = TASK_DELIVERED;
    answer->result = json_object();
    json_object_set(answer->result, "StatusCode", json_int(response->status));
}

static const struct task_functions functions[TASK_KINDS] = {
    [TASK_HTTP] = {build_http, read_http, false},
    [TASK_WORKFLOW] = {task_workflow_build, task_workflow_read, true},
};

void task_answer_fini(struct task_answer *answer)
{
    json_release(answer->result);
    buffer_fini(&answer->failure.cause);
    *answer = (struct task_answer){0};
}

bool task_build(struct http_task_request *request, const struct json *parameters,
                const struct task_context *context, struct http_task_failure *failure)
{
    enum task_kind kind = context->resource->kind;
    BUG_IF(functions[kind].build == NULL);
    return functions[kind].build(request, parameters, context, failure);
}

void task_read(const struct task_resource *resource, const struct http_task_response *response,
               struct task_answer *answer)
{
    BUG_IF(functions[resource->kind].read == NULL);
    functions[resource->kind].read(resource, response, answer);
}

void task_no_response(const struct task_resource *resource, bool timed_out, const char *cause,
                      struct task_answer *answer)
{
    if (functions[resource->kind].repeats) {
        answer->kind = TASK_AGAIN;
        answer->again_us = AGAIN_US;
        return;
    }
    answer->kind = TASK_FAILED;
    http_task_fail(&answer->failure, timed_out ? "States.Timeout" : "States.Http.Socket", "%s",
                   cause);
}
