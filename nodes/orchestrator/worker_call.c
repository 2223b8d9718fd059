/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/log.h"
#include "orchestrator/core/http_task.h"
#include "orchestrator/worker_internal.h"

static struct call_key make_key(const struct uuid *id, uint32_t wait)
{
    struct call_key key;
    memset(&key, 0, sizeof key);
    key.id = *id;
    key.wait = wait;
    return key;
}

static struct call *find_call(struct worker *worker, const struct uuid *id, uint32_t wait)
{
    struct call_key key = make_key(id, wait);
    struct call *call;
    HASH_FIND(hh, worker->calls, &key, offsetof(struct call_key, attempt), call);
    return call;
}

static void forget(struct worker *worker, struct call *call)
{
    HASH_DEL(worker->calls, call);
    metrics_gauge_add(METRIC_CALLS_IN_FLIGHT, 0, 0, -1);
    free(call);
}

static void answer(struct worker *worker, const struct call *call, const struct json *result,
                   const char *error, const char *cause)
{
    struct engine_event event = {
        .type = ENGINE_TASK_ENDED,
        .now_us = clock_now_us(),
        .id = call->key.id,
        .wait = call->key.wait,
        .attempt = call->key.attempt,
        .duration_us = clock_monotonic_us() - call->started_us,
        .random = error == NULL ? 0 : clock_random_unit(),
        .result = result,
        .error = error,
        .cause = cause,
    };
    metrics_observe(METRIC_STEP_DURATION, call->service, error != NULL,
                    (double)event.duration_us / 1e6);
    worker_step(worker, &event, NULL);
}

void worker_call_done(void *context, const struct http_multi_answer *http)
{
    struct worker *worker = context;
    struct call *call = http->user;
    struct http_task_failure failure = {0};
    struct json *result = NULL;
    if (http->code == ERR_OK) {
        struct http_task_response response = {http->status, http->headers, http->headers_bytes,
                                              http->body, http->body_bytes};
        result = http_task_result(&response, &failure);
    } else {
        failure.error = http->code == ERR_TIMEOUT ? "States.Timeout" : "States.Http.Socket";
        buffer_append_text(&failure.cause, http->code == ERR_TOO_LARGE
                                               ? "the response is larger than the limit"
                                               : http->text);
    }
    struct call ended = *call;
    forget(worker, call);
    answer(worker, &ended, result, result == NULL ? failure.error : NULL,
           result == NULL ? buffer_text(&failure.cause) : NULL);
    json_release(result);
    buffer_fini(&failure.cause);
}

/* traceparent of the call: the caller's trace, else one made from the workflow's id. */
static void make_traceparent(const struct workflow_head *head, uint32_t wait, char out[64])
{
    char id[UUID_TEXT_BYTES], hex[33];
    int n = 0;
    for (const char *p = uuid_format(&head->id, id); *p != '\0'; p++)
        if (*p != '-')
            hex[n++] = *p;
    hex[n] = '\0';
    if (head->traceparent != NULL && strlen(head->traceparent) == 55)
        snprintf(out, 64, "%.36s%.8s%08x-01", head->traceparent, hex + 24, wait);
    else
        snprintf(out, 64, "00-%s-%.8s%08x-01", hex, hex + 24, wait);
}

static int64_t timeout_of(const struct worker *worker, const struct workflow_wait *wait,
                          int service)
{
    if (wait->timeout_ms > 0)
        return wait->timeout_ms;
    const struct services *services = registry_services(worker->orchestrator->registry);
    int64_t of_service = service >= 0 ? services->items[service].timeout_ms : 0;
    return of_service > 0 ? of_service : worker->orchestrator->config->orchestrator_step_timeout_ms;
}

static struct call *new_call(struct worker *worker, const struct uuid *id,
                             const struct workflow_wait *wait)
{
    struct call *call = must_calloc(1, sizeof *call);
    call->key = make_key(id, wait->wait);
    call->key.attempt = wait->attempt;
    call->worker = worker;
    call->started_us = clock_monotonic_us();
    HASH_ADD(hh, worker->calls, key, offsetof(struct call_key, attempt), call);
    metrics_gauge_add(METRIC_CALLS_IN_FLIGHT, 0, 0, 1);
    return call;
}

void worker_call(struct worker *worker, const struct uuid *id, uint32_t number)
{
    struct workflow *workflow = engine_find(worker->engine, id);
    struct workflow_wait *wait = workflow == NULL ? NULL : workflow_wait_find(workflow, number);
    if (wait == NULL)
        return;
    const struct workflow_head *head = workflow_head(workflow);
    char workflow_id[UUID_TEXT_BYTES], traceparent[64];
    struct buffer key = {0};
    buffer_append_format(&key, "%s:%s:%u", uuid_format(id, workflow_id), wait->state_path,
                         wait->visit);
    make_traceparent(head, number, traceparent);
    struct http_task_identity identity = {
        .idempotency_key = buffer_text(&key),
        .correlation_id = head->correlation_id == NULL ? workflow_id : head->correlation_id,
        .traceparent = traceparent,
    };
    struct http_task_request request = {0};
    struct http_task_failure failure = {0};
    struct call *call = new_call(worker, id, wait);
    bool built =
        http_task_build(&request, wait->parameters,
                        registry_services(worker->orchestrator->registry), &identity, &failure);
    call->service = request.service;
    if (built) {
        struct http_multi_request http = {
            .method = request.method,
            .url = buffer_text(&request.url),
            .headers = buffer_text(&request.headers),
            .body = request.has_body ? buffer_text(&request.body) : NULL,
            .body_bytes = request.body.bytes,
            .timeout_ms = timeout_of(worker, wait, request.service),
            .user = call,
        };
        call->handle = http_multi_start(worker->http, &http);
    } else {
        struct call ended = *call;
        forget(worker, call);
        answer(worker, &ended, NULL, failure.error, buffer_text(&failure.cause));
    }
    http_task_request_fini(&request);
    buffer_fini(&failure.cause);
    buffer_fini(&key);
}

void worker_abandon(struct worker *worker, const struct uuid *id, uint32_t wait)
{
    struct call *call = find_call(worker, id, wait);
    if (call == NULL)
        return;
    http_multi_cancel(worker->http, call->handle);
    forget(worker, call);
}

void worker_calls_drop(struct worker *worker)
{
    struct call *call, *next;
    HASH_ITER(hh, worker->calls, call, next)
    {
        http_multi_cancel(worker->http, call->handle);
        forget(worker, call);
    }
}
