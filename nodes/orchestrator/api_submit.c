/* SPDX-License-Identifier: MIT */
#include "orchestrator/api_submit.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "orchestrator/api_forward.h"
#include "orchestrator/core/task.h"
#include "orchestrator/worker.h"

#define ACCEPT_TIMEOUT_US 10000000 /* longest wait for the commit; past it the outcome is unknown */
#define WATCH_POLL_US 5000 /* between looks at a workflow that ends on its way to the database */
#define OWNED_ID_TRIES 1000
#define NO_WAIT_RETRY_SECONDS 1

int16_t orchestrator_shard(const struct orchestrator *orchestrator, const char *namespace,
                           const char *key)
{
    XXH64_hash_t seed = XXH3_64bits(namespace, strlen(namespace));
    return (int16_t)(XXH3_64bits_withSeed(key, strlen(key), seed) % (unsigned)orchestrator->shards);
}

void attempt_fini(struct attempt *attempt)
{
    submission_fini(&attempt->submission);
    if (attempt->ticket != NULL)
        ticket_release(attempt->ticket);
    attempt->submission = (struct submission){0};
    attempt->ticket = NULL;
}

void attempt_count_refusal(enum error_code code)
{
    int reason = 5;
    switch ((int)code) {
    case ERR_QUEUE_FULL:
        reason = 0;
        break;
    case ERR_DATABASE:
        reason = 1;
        break;
    case ERR_INVALID:
    case ERR_SYNTAX:
    case ERR_TOO_LARGE:
    case ERR_NOT_FOUND:
        reason = 2;
        break;
    case ERR_KEY_REUSED:
        reason = 3;
        break;
    case ERR_STOPPING:
        reason = 4;
        break;
    default:
        break;
    }
    metrics_add(METRIC_WORKFLOW_REFUSED, reason, 0, 1);
}

/* Looks the key up among those in the database. */
static enum error_code find_key(struct orchestrator *orchestrator, struct attempt *attempt,
                                int16_t shard)
{
    static const char sql[] = "SELECT workflow_id, body_hash FROM workflow_keys WHERE shard = $1 "
                              "AND namespace = $2 AND key = $3";
    struct postgres *postgres;
    struct postgres_value values[3] = {{0}};
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_pool_get(orchestrator->pool, &postgres, &attempt->error);
    if (code != ERR_OK)
        return code;
    postgres_set_int2(&values[0], shard);
    postgres_set_string(&values[1], attempt->submission.namespace);
    postgres_set_string(&values[2], attempt->submission.key);
    code = postgres_query(postgres, sql, values, 3, &rows, &attempt->error);
    postgres_pool_put(orchestrator->pool, postgres);
    if (code == ERR_OK && postgres_rows_count(rows) > 0) {
        size_t bytes;
        const char *hash = postgres_rows_text(rows, 0, 1, &bytes);
        attempt->duplicate = true;
        attempt->id = postgres_rows_uuid(rows, 0, 0);
        if (bytes != BODY_HASH_BYTES || memcmp(hash, attempt->submission.body_hash, bytes) != 0)
            code = error_set(
                &attempt->error, ERR_KEY_REUSED,
                "the idempotency key %.255s was used with another body in namespace %.128s",
                attempt->submission.key, attempt->submission.namespace);
    }
    postgres_rows_free(rows);
    for (int i = 0; i < 3; i++)
        postgres_value_fini(&values[i]);
    return code;
}

/* A shard of ours: that of the key, or for a submission without a key that of a fresh id. */
static enum error_code choose_shard(struct orchestrator *orchestrator, struct attempt *attempt,
                                    int16_t *shard)
{
    const struct submission *submission = &attempt->submission;
    attempt->id = clock_uuid_v7();
    if (submission->key != NULL) {
        *shard = orchestrator_shard(orchestrator, submission->namespace, submission->key);
        return orchestrator_owns(orchestrator, *shard)
                   ? ERR_OK
                   : error_set(
                         &attempt->error, ERR_NOT_OWNER,
                         "shard %d of this key belongs to another instance, or is being taken over",
                         *shard);
    }
    for (int i = 0; i < OWNED_ID_TRIES; i++) {
        *shard = (int16_t)(XXH3_64bits(&attempt->id, sizeof attempt->id) %
                           (unsigned)orchestrator->shards);
        if (orchestrator_owns(orchestrator, *shard))
            return ERR_OK;
        attempt->id = clock_uuid_v7();
    }
    return error_set(&attempt->error, ERR_NOT_OWNER, "this instance owns no shard at the moment");
}

static bool is_traceparent(const char *text)
{
    if (text == NULL || strlen(text) != 55)
        return false;
    for (int i = 0; i < 55; i++) {
        bool dash = i == 2 || i == 35 || i == 52;
        if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    }
    return true;
}

static char *copy(const char *text) { return text == NULL ? NULL : must_strdup(text); }

static void post(struct orchestrator *orchestrator, struct attempt *attempt, int16_t shard,
                 int64_t read_us, const char *traceparent, bool wants_end)
{
    struct submission *submission = &attempt->submission;
    struct workflow_head head = {
        .id = attempt->id,
        .shard = shard,
        .run = 1,
        .namespace = copy(submission->namespace),
        .correlation_id = copy(submission->correlation_id),
        .traceparent = is_traceparent(traceparent) ? copy(traceparent) : NULL,
        .parent_token = copy(attempt->parent),
        .input = json_hold(submission->input),
        .input_bytes = (int64_t)json_text_bytes(submission->input),
        .metadata = submission->metadata == NULL ? NULL : json_hold(submission->metadata),
        .created_us = clock_now_us(),
    };
    struct ticket *ticket = ticket_new();
    ticket->question = TICKET_SUBMIT;
    ticket->workflow = workflow_new(attempt->contract, &head, &orchestrator->environment);
    ticket->key = copy(submission->key);
    memcpy(ticket->body_hash, submission->body_hash, BODY_HASH_BYTES);
    ticket->read_us = read_us;
    ticket->wants_end = wants_end;
    attempt->ticket = ticket;
    worker_post(orchestrator->workers[shard % orchestrator->workers_count], ticket);
}

static void look_up(struct registry *registry, struct attempt *attempt)
{
    const struct submission *submission = &attempt->submission;
    attempt->contract = submission->version == NULL
                            ? registry_newest(registry, submission->workflow)
                            : registry_offered(registry, submission->workflow, submission->version);
}

/* What this instance does not know another one may have published a moment ago. */
static enum error_code find_contract(struct orchestrator *orchestrator, struct attempt *attempt)
{
    const struct submission *submission = &attempt->submission;
    look_up(orchestrator->registry, attempt);
    if (attempt->contract == NULL) {
        struct postgres *postgres;
        enum error_code code = postgres_pool_get(orchestrator->pool, &postgres, &attempt->error);
        if (code == ERR_OK) {
            code = registry_refresh(orchestrator->registry, postgres, submission->workflow,
                                    &attempt->error);
            postgres_pool_put(orchestrator->pool, postgres);
        }
        if (code != ERR_OK)
            return code;
        look_up(orchestrator->registry, attempt);
    }
    if (attempt->contract == NULL)
        return error_set_field(
            &attempt->error, ERR_INVALID, "workflow",
            "there is no contract %s%s%s; GET /api/v1/contracts lists those there are",
            submission->workflow, submission->version == NULL ? "" : " version ",
            submission->version == NULL ? "" : submission->version);
    return submission_complete(&attempt->submission, attempt->contract, &attempt->error);
}

/* A repeat gets its workflow, even when its contract would refuse the submission by now. */
static enum error_code find_contract_or_repeat(struct orchestrator *orchestrator,
                                               struct attempt *attempt)
{
    const struct submission *submission = &attempt->submission;
    enum error_code code = find_contract(orchestrator, attempt);
    if (code != ERR_INVALID || submission->key == NULL)
        return code;
    struct error refused = attempt->error;
    attempt->error = (struct error){0};
    code = find_key(orchestrator, attempt,
                    orchestrator_shard(orchestrator, submission->namespace, submission->key));
    if (code == ERR_OK && !attempt->duplicate) {
        attempt->error = refused;
        code = refused.code;
    }
    return code;
}

void attempt_begin(struct orchestrator *orchestrator, struct attempt *attempt,
                   const struct json *body, const char *key, const char *traceparent,
                   bool wants_end)
{
    int16_t shard = 0;
    enum error_code code = submission_read(
        &attempt->submission, body, key, orchestrator->config->default_namespace, &attempt->error);
    if (code == ERR_OK)
        code = find_contract_or_repeat(orchestrator, attempt);
    if (code != ERR_OK || attempt->duplicate)
        return;
    int64_t read_us = clock_monotonic_us();
    if (atomic_load(&orchestrator->stopping))
        code = error_set(&attempt->error, ERR_STOPPING, "this instance is stopping");
    if (code == ERR_OK)
        code = choose_shard(orchestrator, attempt, &shard);
    if (code == ERR_OK &&
        !worker_database_up(orchestrator->workers[shard % orchestrator->workers_count]))
        code = error_set(&attempt->error, ERR_DATABASE,
                         "the database cannot be reached; nothing was accepted");
    if (code == ERR_OK && attempt->submission.key != NULL)
        code = find_key(orchestrator, attempt, shard);
    if (code != ERR_OK || attempt->duplicate)
        return;
    if (!attempt->is_child && worker_memory_full(orchestrator)) {
        error_set(&attempt->error, ERR_LIMIT,
                  "the workflows in memory hold %lld MiB already (MAX_WORKFLOW_MEMORY_MB)",
                  (long long)orchestrator->config->max_workflow_memory_mb);
        return;
    }
    if (atomic_fetch_add(&orchestrator->queued, 1) >=
        orchestrator->config->max_workflow_queue_size) {
        atomic_fetch_sub(&orchestrator->queued, 1);
        error_set(&attempt->error, ERR_QUEUE_FULL,
                  "%lld workflows wait to start already (MAX_WORKFLOW_QUEUE_SIZE)",
                  (long long)orchestrator->config->max_workflow_queue_size);
        return;
    }
    post(orchestrator, attempt, shard, read_us, traceparent, wants_end);
}

void attempt_await(struct attempt *attempt)
{
    struct ticket *ticket = attempt->ticket;
    if (attempt->error.code != ERR_OK || ticket == NULL)
        return;
    if (!ticket_wait(ticket, TICKET_OPEN, clock_monotonic_us() + ACCEPT_TIMEOUT_US)) {
        error_set(
            &attempt->error, ERR_OUTCOME_UNKNOWN,
            "the database has not confirmed the submission in time; it may have been accepted");
        return;
    }
    ticket_lock(ticket);
    if (ticket->stage == TICKET_REFUSED && !ticket->accepted) {
        error_set(&attempt->error, ticket->code, "%s", error_code_text(ticket->code));
    } else if (ticket->stage == TICKET_DUPLICATE) {
        attempt->duplicate = true;
        attempt->id = ticket->id;
        if (!ticket->same_body)
            error_set(&attempt->error, ERR_KEY_REUSED,
                      "the idempotency key %.255s was used with another body in namespace %.128s",
                      attempt->submission.key, attempt->submission.namespace);
    }
    ticket_unlock(ticket);
}

/* Waits for the end of a workflow that is there already. True when it has ended. */
static bool await_end(struct orchestrator *orchestrator, const struct uuid *id, int16_t shard,
                      int64_t deadline_us)
{
    struct ticket *ticket = ticket_new();
    ticket->question = TICKET_WATCH;
    ticket->id = *id;
    worker_post(orchestrator->workers[shard % orchestrator->workers_count], ticket);
    bool ended = ticket_wait(ticket, TICKET_OPEN, deadline_us) && ticket->stage == TICKET_ENDED;
    ticket_release(ticket);
    return ended;
}

/* The workflow as it is now, waiting for its end when asked to: the answer to a repeat. */
static enum error_code view_duplicate(struct orchestrator *orchestrator,
                                      const struct attempt *attempt, int64_t wait_ms,
                                      struct workflow_view *view, struct error *error)
{
    int64_t deadline_us = clock_monotonic_us() + wait_ms * 1000;
    enum error_code code = workflow_view_read(orchestrator, &attempt->id, true, view, error);
    while (code == ERR_OK && !atomic_load(&orchestrator->stopping) &&
           !workflow_state_ended(view->state) && clock_monotonic_us() < deadline_us) {
        bool ended = await_end(orchestrator, &attempt->id, view->shard, deadline_us);
        json_release(view->object);
        view->object = NULL;
        code = workflow_view_read(orchestrator, &attempt->id, true, view, error);
        if (!ended && code == ERR_OK && !workflow_state_ended(view->state) &&
            clock_monotonic_us() < deadline_us)
            clock_sleep_us(WATCH_POLL_US);
    }
    return code;
}

struct json *attempt_finish(struct orchestrator *orchestrator, struct attempt *attempt,
                            int64_t wait_ms, int *status)
{
    if (attempt->error.code != ERR_OK)
        return NULL;
    if (attempt->duplicate) {
        struct workflow_view view = {0};
        enum error_code code =
            view_duplicate(orchestrator, attempt, wait_ms, &view, &attempt->error);
        if (code == ERR_NOT_FOUND) /* its key is known and its row not yet committed */
            error_set(&attempt->error, ERR_OUTCOME_UNKNOWN,
                      "the first submission with this key is still under way");
        *status = workflow_state_ended(view.state) ? 200 : 202;
        return view.object;
    }
    struct ticket *ticket = attempt->ticket;
    if (wait_ms > 0)
        ticket_wait(ticket, TICKET_ACCEPTED, clock_monotonic_us() + wait_ms * 1000);
    ticket_lock(ticket);
    enum ticket_stage stage = ticket->stage;
    struct json *object = workflow_view_of_ticket(
        orchestrator, ticket, attempt->contract->name, attempt->contract->version,
        attempt->submission.namespace, attempt->submission.correlation_id);
    ticket_unlock(ticket);
    *status = stage == TICKET_ENDED ? 200 : 202;
    return object;
}

static void set_location(struct http_response *response, const struct uuid *id)
{
    char path[64] = "/api/v1/workflows/";
    uuid_format(id, path + strlen(path));
    http_response_header(response, "Location", path);
}

struct json *attempt_read_body(struct http_request *request, struct http_response *response)
{
    struct error error = {0};
    struct json *body = json_parse(request->body, request->body_bytes, &error, NULL);
    if (body == NULL)
        api_fail(response, &error);
    return body;
}

/* Nobody waited though that was asked for: when to ask again. */
static void tell_no_wait(struct http_response *response)
{
    http_retry_after(response, NO_WAIT_RETRY_SECONDS);
    response->close = true;
}

/* What was sent to the database when its shard was lost may be in it: with a key the new owner tells. */
static bool is_elsewhere(const struct orchestrator *orchestrator, const struct attempt *attempt,
                         struct api_forward *forward)
{
    const struct submission *submission = &attempt->submission;
    if (attempt->error.code != ERR_OUTCOME_UNKNOWN || submission->key == NULL)
        return api_is_elsewhere(&attempt->error);
    int16_t shard = orchestrator_shard(orchestrator, submission->namespace, submission->key);
    bool lost = !orchestrator_owns(orchestrator, shard);
    forward->unsure = forward->unsure || lost;
    return lost;
}

/* From the body to the commit, here or by the owner of the shard. False when the client has its answer. A
 * submission without a key gets one of ours before another instance is asked, so that it can be said twice. */
static bool accept(struct orchestrator *orchestrator, struct http_request *request,
                   struct http_response *response, struct attempt *attempt,
                   struct api_forward *forward, const struct json *body)
{
    for (;;) {
        attempt_begin(orchestrator, attempt, body, forward->key,
                      http_header(request, "traceparent"), forward->may_wait);
        attempt_await(attempt);
        struct error error = attempt->error;
        if (!is_elsewhere(orchestrator, attempt, forward))
            return true;
        const struct submission *submission = &attempt->submission;
        if (submission->key == NULL)
            api_forward_key(forward);
        forward->shard =
            orchestrator_shard(orchestrator, submission->namespace,
                               submission->key == NULL ? forward->key : submission->key);
        attempt_fini(attempt);
        attempt->error = (struct error){0};
        if (api_forward(orchestrator, request, response, forward, &error) == API_FORWARD_ANSWERED)
            return false;
    }
}

/* What the request says of itself. */
static void begin_request(struct http_request *request, int64_t wait_ms, struct attempt *attempt,
                          struct api_forward *forward)
{
    attempt->is_child = http_trusted(request) && !api_was_forwarded(request, FORWARD_FOR_CLIENT);
    if (attempt->is_child)
        attempt->parent = http_header(request, TASK_HEADER_PARENT);
    *forward = (struct api_forward){.key = http_header(request, "Idempotency-Key"),
                                    .repeats = true,
                                    .child = attempt->is_child};
    /* The end waited for may need other requests: starts of children, answers by token. */
    forward->may_wait = wait_ms > 0 && http_wait_begin(request);
    if (forward->may_wait)
        forward->wait_until_us = clock_monotonic_us() + wait_ms * 1000;
}

static void answer_submission(struct http_response *response, const struct attempt *attempt,
                              int status, const struct json *answer)
{
    if (attempt->error.code == ERR_OK) {
        set_location(response, &attempt->id);
        http_json(response, status, answer);
    } else {
        attempt_count_refusal(attempt->error.code);
        api_fail(response, &attempt->error);
    }
}

/* The shard was given up while the client waits: the new owner is asked with the same key. True when it has
 * answered. */
static bool wait_elsewhere(struct orchestrator *orchestrator, struct http_request *request,
                           struct http_response *response, const struct attempt *attempt,
                           struct api_forward *forward)
{
    const struct submission *submission = &attempt->submission;
    struct error error = {0};
    if (attempt->error.code != ERR_OK || submission->key == NULL ||
        api_wait_left_ms(forward) == 0 || api_was_forwarded(request, NULL) ||
        atomic_load(&orchestrator->stopping))
        return false;
    forward->shard = orchestrator_shard(orchestrator, submission->namespace, submission->key);
    if (orchestrator_owns(orchestrator, forward->shard))
        return false;
    error_set(&error, ERR_NOT_OWNER, "the workflow belongs to another instance by now");
    return api_forward(orchestrator, request, response, forward, &error) == API_FORWARD_ANSWERED &&
           response->status / 100 == 2;
}

void api_submit(struct http_request *request, struct http_response *response, void *context)
{
    static const char *const known[] = {"wait", NULL};
    struct orchestrator *orchestrator = context;
    struct attempt attempt = {0};
    struct api_forward forward;
    int64_t wait_ms = 0;
    int status = 202;
    if (http_query_known(request, known, &attempt.error) != ERR_OK ||
        http_query_int(request, "wait", 0, HTTP_WAIT_MS_MAX, 0, &wait_ms, &attempt.error) !=
            ERR_OK) {
        api_fail(response, &attempt.error);
        return;
    }
    struct json *body = attempt_read_body(request, response);
    if (body == NULL) {
        attempt_count_refusal(ERR_SYNTAX);
        return;
    }
    begin_request(request, wait_ms, &attempt, &forward);
    if (accept(orchestrator, request, response, &attempt, &forward, body)) {
        struct json *answer =
            attempt_finish(orchestrator, &attempt, api_wait_left_ms(&forward), &status);
        if (status != 202 || !wait_elsewhere(orchestrator, request, response, &attempt, &forward))
            answer_submission(response, &attempt, status, answer);
        json_release(answer);
    } else {
        status = response->status;
    }
    if (forward.may_wait)
        http_wait_end(request);
    else if (wait_ms > 0 && status == 202 && attempt.error.code == ERR_OK)
        tell_no_wait(response);
    json_release(body);
    attempt_fini(&attempt);
}

void api_submit_older(struct http_request *request, struct http_response *response, void *context)
{
    struct orchestrator *orchestrator = context;
    struct attempt attempt = {0};
    struct api_forward forward;
    int status = 201;
    struct json *body = attempt_read_body(request, response);
    if (body == NULL)
        return;
    begin_request(request, 0, &attempt, &forward);
    bool here = accept(orchestrator, request, response, &attempt, &forward, body);
    struct json *workflow = here ? attempt_finish(orchestrator, &attempt, 0, &status) : NULL;
    if (!here) {
        ; /* the owner has answered */
    } else if (attempt.error.code == ERR_OK) {
        struct json *answer = json_object();
        char id[UUID_TEXT_BYTES];
        const char *state = json_string_or(json_get(workflow, "state"), "");
        json_object_set(answer, "success", json_bool(true));
        json_object_set(answer, "workflow_id", json_text(uuid_format(&attempt.id, id)));
        json_object_set(answer, "state", api_older_state(state));
        json_object_set(answer, "message", json_text("Workflow submitted successfully"));
        http_json(response, 201, answer);
        json_release(answer);
    } else {
        attempt_count_refusal(attempt.error.code);
        api_fail(response, &attempt.error);
    }
    json_release(workflow);
    json_release(body);
    attempt_fini(&attempt);
}
