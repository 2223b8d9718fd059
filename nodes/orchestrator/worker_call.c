/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/crash_point.h"
#include "io/log.h"
#include "orchestrator/core/task.h"
#include "orchestrator/worker_internal.h"

#define STARTS_MAX 8              /* calls of our own API at a time, for each worker */
#define OWN_CALL_TIMEOUT_MS 15000 /* longer than the API waits for a commit */

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
    worker->starts -= call->task->kind == TASK_WORKFLOW;
    HASH_DEL(worker->calls, call);
    metrics_gauge_add(METRIC_CALLS_IN_FLIGHT, 0, 0, -1);
    free(call);
}

static void observe(const struct call *call, bool failed)
{
    if (call->service >= 0)
        metrics_observe(METRIC_STEP_DURATION, call->service, failed,
                        (double)(clock_monotonic_us() - call->started_us) / 1e6);
}

/* What the call says, to the engine. */
static void answer(struct worker *worker, const struct call *call, const struct task_answer *said,
                   bool parks)
{
    static const enum engine_event_type types[] = {[TASK_RESULT] = ENGINE_TASK_ENDED,
                                                   [TASK_FAILED] = ENGINE_TASK_ENDED,
                                                   [TASK_DELIVERED] = ENGINE_DELIVERED,
                                                   [TASK_AGAIN] = ENGINE_AGAIN};
    bool failed = said->kind == TASK_FAILED;
    struct engine_event event = {
        .type = failed && parks ? ENGINE_PARKED : types[said->kind],
        .now_us = clock_now_us(),
        .id = call->key.id,
        .wait = call->key.wait,
        .attempt = call->key.attempt,
        .after_us = said->again_us,
        .duration_us = clock_monotonic_us() - call->started_us,
        .random = failed ? clock_random_unit() : 0,
        .result = said->result,
        .error = failed ? said->failure.error : NULL,
        .cause = failed ? buffer_text(&said->failure.cause) : NULL,
    };
    observe(call, failed);
    worker_step(worker, &event, NULL);
}

/* Is the service sick? What is wrong with the call itself says nothing about that. */
static enum breaker_outcome outcome_of(const struct http_multi_answer *http)
{
    bool answered = http->code == ERR_OK || http->code == ERR_TOO_LARGE;
    bool sick =
        http->code == ERR_OK && (http->status >= 500 || http->status == 429 || http->status == 408);
    return answered && !sick ? BREAKER_GOOD : BREAKER_BAD;
}

static bool passed_call_ended(struct worker *worker, const struct call *call,
                              enum breaker_outcome outcome)
{
    return call->passed_by >= 0 && breakers_end(&worker->gate, call->passed_by, call->era, outcome,
                                                clock_monotonic_us() - call->started_us);
}

void worker_call_drop(struct worker *worker, const struct batch_call *call)
{
    if (call->service >= 0)
        (void)breakers_end(&worker->gate, call->service, call->era, BREAKER_UNKNOWN, 0);
}

void worker_call_done(void *context, const struct http_multi_answer *http)
{
    struct worker *worker = context;
    struct call *call = http->user;
    struct task_answer said = {0};
    struct call ended = *call;
    CRASH_POINT("call_answered");
    forget(worker, call);
    bool parks = passed_call_ended(worker, &ended, outcome_of(http));
    if (http->code == ERR_OK) {
        struct http_task_response response = {http->status, http->headers, http->headers_bytes,
                                              http->body, http->body_bytes};
        task_read(ended.task, &response, &said);
    } else {
        task_no_response(ended.task, http->code == ERR_TIMEOUT,
                         http->code == ERR_TOO_LARGE ? "the response is larger than the limit"
                                                     : http->text,
                         &said);
    }
    if (ended.task->kind == TASK_WORKFLOW &&
        (said.kind == TASK_RESULT || said.kind == TASK_DELIVERED))
        metrics_add(METRIC_CHILDREN, 0, 0, 1);
    answer(worker, &ended, &said, parks);
    task_answer_fini(&said);
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
    if (service < 0)
        return OWN_CALL_TIMEOUT_MS;
    const struct services *services = registry_services(worker->orchestrator->registry);
    int64_t of_service = services->items[service].timeout_ms;
    int64_t usual_ms =
        of_service > 0 ? of_service : worker->orchestrator->config->orchestrator_step_timeout_ms;
    bool outlasts = workflow_wait_outlasts_call(wait); /* then its TimeoutSeconds is the engine's */
    return wait->timeout_ms > 0 && (!outlasts || wait->timeout_ms < usual_ms) ? wait->timeout_ms
                                                                              : usual_ms;
}

static struct call *new_call(struct worker *worker, const struct batch_call *passed,
                             const struct workflow_wait *wait)
{
    struct call *call = must_calloc(1, sizeof *call);
    call->key = make_key(&passed->id, wait->wait);
    call->key.attempt = wait->attempt;
    call->passed_by = passed->service;
    call->era = passed->era;
    call->worker = worker;
    call->task = wait->task;
    call->started_us = clock_monotonic_us();
    worker->starts += wait->task->kind == TASK_WORKFLOW;
    HASH_ADD(hh, worker->calls, key, offsetof(struct call_key, attempt), call);
    metrics_gauge_add(METRIC_CALLS_IN_FLIGHT, 0, 0, 1);
    return call;
}

bool worker_call_times(struct worker *worker, const struct uuid *id, uint32_t number,
                       int64_t *started_us, int64_t *limit_us)
{
    const struct call *call = find_call(worker, id, number);
    struct workflow *workflow = engine_find(worker->engine, id);
    if (call == NULL || workflow == NULL)
        return false;
    const struct workflow_wait *wait = workflow_wait_find(workflow, number);
    int64_t age_us = clock_monotonic_us() - call->started_us;
    *started_us = clock_now_us() - age_us;
    *limit_us = *started_us + timeout_of(worker, wait, call->service) * 1000;
    return wait != NULL;
}

/* Calls of our own API take threads of our own server: few at a time. */
static bool must_wait(struct worker *worker, const struct workflow_wait *wait,
                      const struct uuid *id)
{
    if (wait->task->kind != TASK_WORKFLOW || worker->starts < STARTS_MAX)
        return false;
    if (worker->waiting_count == worker->waiting_capacity) {
        worker->waiting_capacity =
            worker->waiting_capacity == 0 ? 16 : worker->waiting_capacity * 2;
        worker->waiting =
            must_realloc(worker->waiting, worker->waiting_capacity * sizeof *worker->waiting);
    }
    worker->waiting[worker->waiting_count++] = (struct batch_call){*id, wait->wait, -1, 0};
    return true;
}

void worker_calls_start_waiting(struct worker *worker)
{
    size_t next = 0;
    if (worker->waiting_count == 0)
        return;
    while (next < worker->waiting_count && worker->starts < STARTS_MAX) {
        struct batch_call call = worker->waiting[next++];
        worker_call(worker, &call);
    }
    worker->waiting_count -= next;
    memmove(worker->waiting, worker->waiting + next,
            worker->waiting_count * sizeof *worker->waiting);
}

static void make_call(struct worker *worker, struct call *call, const struct workflow_wait *wait,
                      const struct task_context *context)
{
    struct http_task_request request = {0};
    struct task_answer said = {.kind = TASK_FAILED};
    bool built = task_build(&request, wait->parameters, context, &said.failure);
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
        (void)passed_call_ended(worker, &ended, BREAKER_UNKNOWN);
        answer(worker, &ended, &said, false);
    }
    http_task_request_fini(&request);
    task_answer_fini(&said);
}

/* Its breaker does not let it pass: it ends without having been made. */
static void refuse(struct worker *worker, const struct uuid *id, const struct workflow_wait *wait)
{
    const struct services *services = registry_services(worker->orchestrator->registry);
    struct call call = {.service = -1, .passed_by = -1, .started_us = clock_monotonic_us()};
    struct task_answer said = {.kind = TASK_FAILED};
    bool open = strcmp(wait->refusal, ENGINE_CIRCUIT_OPEN) == 0;
    call.key = make_key(id, wait->wait);
    call.key.attempt = wait->attempt;
    http_task_fail(&said.failure, wait->refusal,
                   open ? "the circuit breaker of %s is open"
                        : "as many steps as may be are held for %s (held_steps_max)",
                   services->items[wait->guard - 1].name);
    answer(worker, &call, &said, false);
    task_answer_fini(&said);
}

void worker_call(struct worker *worker, const struct batch_call *passed)
{
    const struct uuid *id = &passed->id;
    uint32_t number = passed->wait;
    struct workflow *workflow = engine_find(worker->engine, id);
    struct workflow_wait *wait = workflow == NULL ? NULL : workflow_wait_find(workflow, number);
    if (wait == NULL) {
        worker_call_drop(worker, passed);
        return;
    }
    if (wait->refusal != NULL) {
        refuse(worker, id, wait);
        return;
    }
    if (must_wait(worker, wait, id))
        return;
    const struct workflow_head *head = workflow_head(workflow);
    char workflow_id[UUID_TEXT_BYTES], traceparent[64], token[TASK_TOKEN_BYTES_MAX];
    struct buffer key = {0};
    bool told = wait->task->kind == TASK_WORKFLOW && wait->task->waits_for_end;
    uuid_format(id, workflow_id);
    workflow_wait_key(workflow, wait, &key);
    make_traceparent(head, number, traceparent);
    if (told)
        workflow_wait_token(workflow, number, token);
    struct task_context context = {
        .resource = wait->task,
        .services = registry_services(worker->orchestrator->registry),
        .identity = {.idempotency_key = buffer_text(&key),
                     .correlation_id =
                         head->correlation_id == NULL ? workflow_id : head->correlation_id,
                     .traceparent = traceparent},
        .namespace = head->namespace,
        .own_url = worker->orchestrator->own_url,
        .credential = worker->orchestrator->credential,
        .token = told ? token : NULL,
    };
    make_call(worker, new_call(worker, passed, wait), wait, &context);
    buffer_fini(&key);
}

static void give_up(struct worker *worker, struct call *call)
{
    http_multi_cancel(worker->http, call->handle);
    (void)passed_call_ended(worker, call, BREAKER_UNKNOWN);
    forget(worker, call);
}

void worker_abandon(struct worker *worker, const struct uuid *id, uint32_t wait)
{
    struct call *call = find_call(worker, id, wait);
    if (call == NULL)
        return;
    give_up(worker, call);
}

void worker_calls_drop(struct worker *worker)
{
    struct call *call, *next;
    HASH_ITER(hh, worker->calls, call, next) { give_up(worker, call); }
    worker->waiting_count = 0;
}
