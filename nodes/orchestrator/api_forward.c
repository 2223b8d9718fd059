/* SPDX-License-Identifier: MIT */
#include "orchestrator/api_forward.h"

#include <stdio.h>
#include <string.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "orchestrator/api.h"
#include "orchestrator/core/task.h"
#include "orchestrator/owners.h"
#include "orchestrator/worker.h"

#define ANSWER_LOOK_US 50000 /* while an owner answers: is it still the owner? */
#define DOUBT_US 200000      /* between two doubts of one request */
#define EARLY_MS 100         /* an answer so long before the end of the client's ?wait= is early */

/* The values of the metric's label. */
enum outcome { OUTCOME_ANSWERED, OUTCOME_HERE, OUTCOME_REFUSED, OUTCOME_UNKNOWN };

bool api_is_elsewhere(const struct error *error)
{
    return error->code == ERR_NOT_OWNER || error->code == ERR_STOPPING || error->code == ERR_FENCED;
}

bool api_was_forwarded(const struct http_request *request, const char *for_whom)
{
    const char *value = http_header(request, FORWARD_HEADER);
    return value != NULL && (for_whom == NULL || strcmp(value, for_whom) == 0);
}

int64_t api_wait_left_ms(const struct api_forward *forward)
{
    int64_t left_us =
        forward->wait_until_us == 0 ? 0 : forward->wait_until_us - clock_monotonic_us();
    return left_us <= 0 ? 0 : (left_us + 999) / 1000;
}

void api_forward_key(struct api_forward *forward)
{
    struct uuid id = clock_uuid_v7();
    char text[UUID_TEXT_BYTES];
    if (forward->key != NULL)
        return;
    snprintf(forward->own_key, sizeof forward->own_key, "bridge-%s", uuid_format(&id, text));
    forward->key = forward->own_key;
}

/* -- the request as it is sent on -- */

static void add_header(struct buffer *headers, const char *name, const char *value)
{
    if (value != NULL && *value != '\0')
        buffer_append_format(headers, "%s: %s\n", name, value);
}

/* The owner takes our word for the client: we have looked at its key, and at its https. */
static void write_headers(const struct orchestrator *orchestrator,
                          const struct http_request *request, const struct api_forward *forward,
                          struct buffer *headers)
{
    static const char *const kept[] = {"Authorization", "X-API-Key",        "traceparent",
                                       "tracestate",    "X-Correlation-ID", "X-Request-ID"};
    add_header(headers, FORWARD_HEADER, forward->child ? FORWARD_FOR_CHILD : FORWARD_FOR_CLIENT);
    add_header(headers, TASK_HEADER_CREDENTIAL, orchestrator->credential);
    if (forward->child)
        add_header(headers, TASK_HEADER_PARENT, http_header(request, TASK_HEADER_PARENT));
    add_header(headers, "Content-Type", request->content_type);
    add_header(headers, "Idempotency-Key", forward->key);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        add_header(headers, kept[i], http_header(request, kept[i]));
}

static void write_url(const struct owner *owner, const struct http_request *request,
                      int64_t wait_ms, struct buffer *url)
{
    size_t bytes = strlen(owner->url);
    while (bytes > 0 && owner->url[bytes - 1] == '/')
        bytes--;
    buffer_append(url, owner->url, bytes);
    for (const char *p = request->path; *p != '\0'; p++) {
        if (strchr("/-._~", *p) != NULL || (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
            (*p >= 'A' && *p <= 'Z'))
            buffer_append_char(url, *p);
        else
            buffer_append_format(url, "%%%02X", (unsigned)(unsigned char)*p);
    }
    if (wait_ms > 0)
        buffer_append_format(url, "?wait=%lld", (long long)wait_ms);
}

static void be_patient(struct api_forward *forward)
{
    int64_t wait_us = api_wait_left_ms(forward) * 1000;
    forward->patience_us =
        clock_monotonic_us() + (wait_us > FORWARD_PATIENCE_US ? wait_us : FORWARD_PATIENCE_US);
}

/* -- one try -- */

static bool has_moved(const struct orchestrator *orchestrator, int shard, const struct owner *asked)
{
    struct owner now;
    owners_of(orchestrator, shard, &now);
    return now.ours || (now.known && (now.epoch != asked->epoch ||
                                      !uuid_equal(&now.instance, &asked->instance)));
}

/* Until the answer is there, the time is over, or, of a request that may be said twice, its shard has
 * another owner. */
static void await(const struct orchestrator *orchestrator, const struct api_forward *forward,
                  const struct owner *owner, struct forward_call *call, int64_t deadline_us)
{
    while (!forward_wait(orchestrator->forward, call, clock_monotonic_us() + ANSWER_LOOK_US)) {
        bool ends_early = forward->repeats &&
                          (has_moved(orchestrator, forward->shard, owner) ||
                           (forward->wait_until_us != 0 && atomic_load(&orchestrator->stopping)));
        if (ends_early || clock_monotonic_us() >= deadline_us)
            return;
    }
}

static void pass_on(struct http_response *response, const struct forward_answer *answer,
                    const struct buffer *headers)
{
    static const char problem[] = "application/problem+json";
    const char *text = buffer_text(headers);
    response->status = answer->status;
    response->content_type =
        strcasestr(text, problem) != NULL ? problem : "application/json"; /* the API has no other */
    for (const char *line = text, *end; (end = strstr(line, "\r\n")) != NULL; line = end + 2)
        if (forward_passes_header(line, (size_t)(end - line)))
            buffer_append(&response->headers, line, (size_t)(end - line) + 2);
    buffer_clear(&response->body);
    buffer_append(&response->body, answer->body, answer->body_bytes);
}

/* Nobody is asked while this process stops to wait, nor when too many wait: then the client hears that
 * its workflow is accepted. */
static struct forward_call *begin(struct orchestrator *orchestrator, struct http_request *request,
                                  const struct api_forward *forward, const struct owner *owner,
                                  int64_t *deadline_us)
{
    struct buffer url = {0}, headers = {0};
    struct forward_call *call = NULL;
    int64_t now_us = clock_monotonic_us();
    int64_t wait_ms = atomic_load(&orchestrator->stopping) ? 0 : api_wait_left_ms(forward);
    write_headers(orchestrator, request, forward, &headers);
    for (bool again = true; again && call == NULL; wait_ms = 0) {
        again = wait_ms > 0;
        *deadline_us = now_us + wait_ms * 1000 + FORWARD_LIMIT_US;
        if (*deadline_us > forward->deadline_us)
            *deadline_us = forward->deadline_us;
        buffer_clear(&url);
        write_url(owner, request, wait_ms, &url);
        call = forward_begin(
            orchestrator->forward,
            &(struct forward_request){.method = request->method,
                                      .url = buffer_text(&url),
                                      .headers = buffer_text(&headers),
                                      .body = forward->body == NULL ? request->body : forward->body,
                                      .body_bytes = forward->body == NULL ? request->body_bytes
                                                                          : strlen(forward->body),
                                      .deadline_us = *deadline_us,
                                      .waits = wait_ms > 0});
    }
    buffer_fini(&url);
    buffer_fini(&headers);
    return call;
}

/* True when the client has its answer. */
static bool ask(struct orchestrator *orchestrator, struct http_request *request,
                struct http_response *response, struct api_forward *forward,
                const struct owner *owner, bool *unknown)
{
    int64_t deadline_us = 0;
    struct forward_call *call = begin(orchestrator, request, forward, owner, &deadline_us);
    *unknown = false;
    if (call == NULL)
        return false;
    await(orchestrator, forward, owner, call, deadline_us);
    struct forward_answer answer = {.reached = true};
    bool come_back = false; /* the owner's word to the client */
    if (forward_wait(orchestrator->forward, call, 0)) {
        answer = forward_answer_of(call);
        come_back = strstr(buffer_text(forward_headers_of(call)), "Retry-After:") != NULL;
    }
    struct forward_case of = {.repeats = forward->repeats,
                              .moved = has_moved(orchestrator, forward->shard, owner),
                              .early = api_wait_left_ms(forward) > EARLY_MS && !come_back &&
                                       !atomic_load(&orchestrator->stopping)};
    enum forward_next next = forward_judge(&answer, &of);
    if (next == FORWARD_PASS_ON) {
        pass_on(response, &answer, forward_headers_of(call));
        metrics_add(METRIC_FORWARDED, OUTCOME_ANSWERED, 0, 1);
    } else if (next == FORWARD_REPEAT) {
        forward->unsure = true;
        be_patient(forward);
    }
    *unknown = next == FORWARD_UNKNOWN;
    forward_end(orchestrator->forward, call);
    return next == FORWARD_PASS_ON;
}

bool api_forward_question(struct orchestrator *orchestrator, struct http_request *request,
                          struct http_response *response, int16_t shard, int64_t limit_us)
{
    struct owner owner;
    struct api_forward forward = {
        .shard = shard, .repeats = true, .deadline_us = clock_monotonic_us() + limit_us};
    bool unknown;
    owners_of(orchestrator, shard, &owner);
    if (!owner.known || uuid_equal(&owner.instance, &orchestrator->instance_id) ||
        api_was_forwarded(request, NULL))
        return false;
    return ask(orchestrator, request, response, &forward, &owner, &unknown);
}

/* -- all tries -- */

static enum api_forwarded refuse(struct http_response *response, const struct api_forward *forward,
                                 enum error_code code)
{
    struct error error = {0};
    if (forward->unsure)
        code = ERR_OUTCOME_UNKNOWN;
    error_set(&error, code,
              code == ERR_OUTCOME_UNKNOWN
                  ? "the instance that owns shard %d was asked and has not answered"
              : code == ERR_STOPPING ? "this instance is stopping"
              : code == ERR_DATABASE
                  ? "the database cannot be reached; nothing was accepted"
                  : "shard %d belongs to another instance, or is being taken over",
              forward->shard);
    api_fail(response, &error);
    metrics_add(METRIC_FORWARDED, code == ERR_OUTCOME_UNKNOWN ? OUTCOME_UNKNOWN : OUTCOME_REFUSED,
                0, 1);
    return API_FORWARD_ANSWERED;
}

static bool database_up(const struct orchestrator *orchestrator)
{
    for (int i = 0; i < orchestrator->workers_count; i++)
        if (!worker_database_up(orchestrator->workers[i]))
            return false;
    return true;
}

/* Why it is no use to wait for an owner any longer; ERR_OK: wait. */
static enum error_code give_up(const struct orchestrator *orchestrator,
                               const struct api_forward *forward)
{
    int64_t now_us = clock_monotonic_us();
    if (!database_up(orchestrator))
        return ERR_DATABASE; /* who would take the shard cannot either */
    if (atomic_load(&orchestrator->stopping) && !owners_others_live(orchestrator))
        return ERR_STOPPING;
    return now_us >= forward->patience_us || now_us >= forward->deadline_us ? ERR_NOT_OWNER
                                                                            : ERR_OK;
}

static enum api_forwarded find_and_ask(struct orchestrator *orchestrator,
                                       struct http_request *request, struct http_response *response,
                                       struct api_forward *forward)
{
    int64_t doubted_us = 0;
    for (bool waited = false;; waited = true) {
        struct owner owner;
        bool unknown = false;
        owners_of(orchestrator, forward->shard, &owner);
        bool here = owner.ours && !atomic_load(&orchestrator->stopping);
        if (here && (forward->times_here++ == 0 || waited)) /* a second time not at once */
            return API_FORWARD_HERE;
        if (!here && owner.known && !uuid_equal(&owner.instance, &orchestrator->instance_id) &&
            ask(orchestrator, request, response, forward, &owner, &unknown))
            return API_FORWARD_ANSWERED;
        if (unknown)
            return refuse(response, forward, ERR_OUTCOME_UNKNOWN);
        enum error_code code = give_up(orchestrator, forward);
        if (code != ERR_OK)
            return refuse(response, forward, code);
        if (clock_monotonic_us() - doubted_us > DOUBT_US) {
            owners_doubt(orchestrator);
            doubted_us = clock_monotonic_us();
        }
        clock_sleep_us(FORWARD_LOOK_US);
    }
}

/* Requests that wait for another instance hold a thread each: some are kept for what others ask us. */
static bool may_hold_thread(struct orchestrator *orchestrator, const struct http_request *request,
                            bool *counted)
{
    int64_t threads = orchestrator->config->http_threads;
    int64_t reserved = threads < 2 * HTTP_THREADS_RESERVED ? threads / 2 : HTTP_THREADS_RESERVED;
    *counted = http_wait_begin(request);
    if (*counted || atomic_fetch_add(&orchestrator->forwarding, 1) < reserved / 2)
        return true;
    atomic_fetch_sub(&orchestrator->forwarding, 1);
    return false;
}

enum api_forwarded api_forward(struct orchestrator *orchestrator, struct http_request *request,
                               struct http_response *response, struct api_forward *forward,
                               const struct error *error)
{
    int64_t began_us = clock_monotonic_us();
    bool counted = false;
    if (api_was_forwarded(request, NULL)) {
        api_fail(response, error);
        return API_FORWARD_ANSWERED;
    }
    if (forward->deadline_us == 0) {
        forward->deadline_us = began_us + api_wait_left_ms(forward) * 1000 + FORWARD_LIMIT_US;
        be_patient(forward);
    }
    if (!forward->may_wait && !may_hold_thread(orchestrator, request, &counted))
        return refuse(response, forward, ERR_NOT_OWNER);
    enum api_forwarded forwarded = find_and_ask(orchestrator, request, response, forward);
    if (counted)
        http_wait_end(request);
    else if (!forward->may_wait)
        atomic_fetch_sub(&orchestrator->forwarding, 1);
    if (forwarded == API_FORWARD_HERE)
        metrics_add(METRIC_FORWARDED, OUTCOME_HERE, 0, 1);
    else
        metrics_observe(METRIC_FORWARD_DURATION, 0, 0,
                        (double)(clock_monotonic_us() - began_us) / 1e6);
    return forwarded;
}
