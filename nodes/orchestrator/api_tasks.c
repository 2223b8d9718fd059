/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "orchestrator/api.h"
#include "orchestrator/api_forward.h"
#include "orchestrator/core/submission.h"
#include "orchestrator/core/task.h"
#include "orchestrator/task_past.h"
#include "orchestrator/worker.h"

#define COMMAND_TIMEOUT_US 10000000
#define ERROR_NAME_BYTES_MAX 256
#define CAUSE_BYTES_MAX 32768

/* Posts the question and waits for the commit of what it did. ERR_OK: *stage says what became of
 * it; *same: of a duplicate, that it said the same. */
static enum error_code ask(struct orchestrator *orchestrator, struct ticket *ticket,
                           enum ticket_stage *stage, enum workflow_state *state, bool *same,
                           struct error *error)
{
    struct worker *worker = orchestrator->workers[ticket->at_shard % orchestrator->workers_count];
    if (!orchestrator_owns(orchestrator, ticket->at_shard)) {
        ticket_release(ticket);
        ticket_release(ticket);
        return error_set(error, ERR_NOT_OWNER,
                         "the workflow belongs to another instance, or is being taken over");
    }
    worker_post(worker, ticket);
    ticket_wait(ticket, TICKET_OPEN, clock_monotonic_us() + COMMAND_TIMEOUT_US);
    ticket_lock(ticket);
    *stage = ticket->stage;
    *state = ticket->state;
    *same = ticket->same_body;
    enum error_code code = ticket->code;
    ticket_unlock(ticket);
    ticket_release(ticket);
    if (*stage == TICKET_OPEN)
        return error_set(error, ERR_OUTCOME_UNKNOWN,
                         "the database has not confirmed the command in time");
    if (*stage == TICKET_REFUSED && code == ERR_LIMIT && worker_memory_full(orchestrator))
        return error_set(error, code,
                         "the workflows in memory hold %lld MiB already (MAX_WORKFLOW_MEMORY_MB)",
                         (long long)orchestrator->config->max_workflow_memory_mb);
    return *stage == TICKET_REFUSED ? error_set(error, code, "%s", error_code_text(code)) : ERR_OK;
}

/* False after answering 415: there is a body, and it says that it is something else than JSON. */
static bool is_json(const struct http_request *request, struct http_response *response)
{
    static const char *const types[] = {"application/json", NULL};
    struct error error = {0};
    if (request->body_bytes == 0 || *request->content_type == '\0' ||
        api_type_is(request->content_type, types))
        return true;
    error_set_field(&error, ERR_INVALID, "Content-Type",
                    "Content-Type is \"%.64s\"; it must be application/json",
                    request->content_type);
    http_problem_with(response, &error, 415, "unsupported_media_type", NULL);
    return false;
}

/* The parsed body, null when there is none. NULL with *error. */
static struct json *read_body(const struct http_request *request, struct error *error)
{
    if (request->body_bytes == 0)
        return json_null();
    struct json *body = json_parse(request->body, request->body_bytes, error, NULL);
    if (json_depth(body) <= ASL_DATA_DEPTH_MAX)
        return body;
    error_set(error, ERR_INVALID, "the body is nested more than %d deep", ASL_DATA_DEPTH_MAX);
    json_release(body);
    return NULL;
}

static void answer(struct http_response *response, const struct uuid *id, enum workflow_state state)
{
    char text[UUID_TEXT_BYTES];
    struct json *object = json_object();
    json_object_set(object, "workflow_id", json_text(uuid_format(id, text)));
    json_object_set(object, "state", json_text(workflow_state_name(state)));
    http_json(response, 200, object);
    json_release(object);
}

/* -- task tokens -- */

/* The values of the metric's label. */
enum token_call { CALL_SUCCESS, CALL_FAILURE, CALL_HEARTBEAT };
enum token_outcome { TOKEN_ACCEPTED, TOKEN_ENDED, TOKEN_REFUSED };

static bool read_token(struct http_request *request, struct http_response *response,
                       const struct orchestrator *orchestrator, struct task_token *token)
{
    const char *text = http_path_parameter(request, "token");
    if (text != NULL && task_token_read(orchestrator->environment.token_secret, text, token) &&
        token->shard >= 0 && token->shard < orchestrator->shards)
        return true;
    struct error error = {0};
    error_set_field(&error, ERR_NOT_FOUND, "token", "this is not a task token of this system");
    http_problem_with(response, &error, 404, "unknown_token", NULL);
    return false;
}

/* Says what ended the task: the caller may have been it, and have lost the answer. */
static void refuse_ended(struct orchestrator *orchestrator, const struct task_token *token,
                         struct http_response *response)
{
    static const char *const ends[] = {
        [TASK_GIVEN_UP] = "abandoned", [TASK_SUCCEEDED] = "success", [TASK_FAILURE] = "failure"};
    struct task_end end = {0};
    struct error error = {0};
    if (task_past_end(orchestrator, token, &end, &error) != ERR_OK) {
        api_fail(response, &error);
        return;
    }
    struct json *extra = json_object();
    json_object_set(extra, "ended_by", json_text(ends[end.kind]));
    if (end.kind == TASK_FAILURE)
        json_object_set(extra, "task_error", json_text(end.error));
    error_set(&error, ERR_CONFLICT, "nobody waits for this task any more: %s%.256s",
              end.kind == TASK_SUCCEEDED ? "it was answered with success"
              : end.kind == TASK_FAILURE ? "it failed with "
                                         : "it was abandoned",
              end.kind == TASK_FAILURE ? end.error : "");
    http_problem_with(response, &error, 409, "task_ended", extra);
    free(end.error);
}

/* A text of the body; what is missing stays NULL. */
static enum error_code take_text(const struct json *body, const char *name, size_t bytes_max,
                                 char **text, struct error *error)
{
    size_t bytes = 0;
    const struct json *value = json_get(body, name);
    const char *given = json_string_value(value, &bytes);
    if (value == NULL || json_type_of(value) == JSON_NULL)
        return ERR_OK;
    if (given == NULL || bytes > bytes_max)
        return error_set_field(error, ERR_INVALID, name, "%s must be a text of at most %zu bytes",
                               name, bytes_max);
    *text = must_strndup(given, bytes);
    return ERR_OK;
}

static enum error_code check_members(const struct json *body, const char *const known[2],
                                     struct error *error)
{
    if (json_type_of(body) != JSON_OBJECT && json_type_of(body) != JSON_NULL)
        return error_set(error, ERR_INVALID, "the body is a %s; it must be an object",
                         json_type_name(body));
    for (size_t i = 0; i < json_size(body); i++) {
        const char *name = json_name_at(body, i, NULL);
        if (strcmp(name, known[0]) != 0 && (known[1] == NULL || strcmp(name, known[1]) != 0))
            return error_set_field(error, ERR_INVALID, name,
                                   "field %.64s is not known; known are %s%s%s", name, known[0],
                                   known[1] == NULL ? "" : ", ", known[1] == NULL ? "" : known[1]);
    }
    return ERR_OK;
}

/* What the body says, for the ticket. */
static enum error_code read_answer(const struct json *body, enum token_call call,
                                   struct ticket *ticket, struct error *error)
{
    static const char *const known[][2] = {{"output", NULL}, {"error", "cause"}};
    if (call == CALL_HEARTBEAT)
        return ERR_OK;
    enum error_code code = check_members(body, known[call], error);
    if (code != ERR_OK)
        return code;
    if (call == CALL_SUCCESS) {
        const struct json *output = json_get(body, "output");
        ticket->data = output == NULL ? json_null() : json_hold(output);
        return ERR_OK;
    }
    code = take_text(body, "error", ERROR_NAME_BYTES_MAX, &ticket->name, error);
    if (code == ERR_OK)
        code = take_text(body, "cause", CAUSE_BYTES_MAX, &ticket->cause, error);
    if (ticket->name == NULL)
        ticket->name = must_strdup("States.TaskFailed");
    return code;
}

struct token_question {
    struct task_token token;
    enum token_call call;
    const struct json *body;
};

/* ERR_OK: *stage says what became of it. */
static enum error_code ask_token(struct orchestrator *orchestrator,
                                 const struct token_question *question, enum ticket_stage *stage,
                                 enum workflow_state *state, struct error *error)
{
    bool same = false;
    struct ticket *ticket = ticket_new();
    ticket->question = question->call == CALL_HEARTBEAT ? TICKET_HEARTBEAT : TICKET_TOKEN;
    ticket->id = question->token.workflow_id;
    ticket->at_shard = question->token.shard;
    ticket->wait = question->token.wait;
    *error = (struct error){0};
    enum error_code code = read_answer(question->body, question->call, ticket, error);
    if (code == ERR_OK)
        return ask(orchestrator, ticket, stage, state, &same, error);
    ticket_release(ticket);
    ticket_release(ticket);
    return code;
}

static void count_token(enum token_call call, enum error_code code, enum ticket_stage stage)
{
    metrics_add(METRIC_TASK_TOKENS, (int)call,
                code != ERR_OK             ? TOKEN_REFUSED
                : stage == TICKET_ACCEPTED ? TOKEN_ACCEPTED
                                           : TOKEN_ENDED,
                1);
}

/* Here, or by the owner of the workflow. A second answer would hear that the task has ended, so only a
 * heartbeat is said twice. */
static void answer_token(struct http_request *request, struct http_response *response,
                         struct orchestrator *orchestrator, const struct token_question *question)
{
    struct api_forward forward = {.shard = question->token.shard,
                                  .repeats = question->call == CALL_HEARTBEAT};
    struct error error = {0};
    enum ticket_stage stage = TICKET_OPEN;
    enum workflow_state state = WORKFLOW_NONE;
    enum error_code code = ask_token(orchestrator, question, &stage, &state, &error);
    while (api_is_elsewhere(&error)) {
        if (api_forward(orchestrator, request, response, &forward, &error) == API_FORWARD_ANSWERED)
            return;
        code = ask_token(orchestrator, question, &stage, &state, &error);
    }
    count_token(question->call, code, stage);
    if (code != ERR_OK)
        api_fail(response, &error);
    else if (stage == TICKET_ACCEPTED)
        answer(response, &question->token.workflow_id, state);
    else
        refuse_ended(orchestrator, &question->token, response);
}

static void token_call(struct http_request *request, struct http_response *response,
                       struct orchestrator *orchestrator, enum token_call call)
{
    struct token_question question = {.call = call};
    struct error error = {0};
    if (!read_token(request, response, orchestrator, &question.token) ||
        !is_json(request, response)) {
        count_token(call, ERR_INVALID, TICKET_OPEN);
        return;
    }
    struct json *body = read_body(request, &error);
    question.body = body;
    if (body == NULL) {
        count_token(call, error.code, TICKET_OPEN);
        api_fail(response, &error);
        return;
    }
    answer_token(request, response, orchestrator, &question);
    json_release(body);
}

void api_task_success(struct http_request *request, struct http_response *response, void *context)
{
    token_call(request, response, context, CALL_SUCCESS);
}

void api_task_failure(struct http_request *request, struct http_response *response, void *context)
{
    token_call(request, response, context, CALL_FAILURE);
}

void api_task_heartbeat(struct http_request *request, struct http_response *response, void *context)
{
    token_call(request, response, context, CALL_HEARTBEAT);
}

/* -- signals -- */

enum signal_outcome { SIGNAL_ACCEPTED, SIGNAL_REPEATED, SIGNAL_FULL, SIGNAL_REFUSED };

static enum error_code check_signal(const char *name, const char *key, struct error *error)
{
    if (name == NULL || !task_name_is_valid(name))
        return error_set_field(error, ERR_INVALID, "signal_name",
                               "the signal's name must be 1 to %d letters, digits, dots, - and _, "
                               "not dots alone",
                               NAME_BYTES_MAX);
    if (key != NULL && !submission_key_is_valid(key))
        return error_set_field(
            error, ERR_INVALID, "Idempotency-Key",
            "Idempotency-Key has %zu bytes; it must be 1 to %d visible characters", strlen(key),
            IDEMPOTENCY_KEY_BYTES_MAX);
    return ERR_OK;
}

static enum error_code fail_signal(enum workflow_state state, struct error *error)
{
    if (workflow_state_ended(state))
        return error_set(error, ERR_CONFLICT, "the workflow has ended: it is %s",
                         workflow_state_name(state));
    return error_set(error, ERR_UNAVAILABLE, "the workflow cannot take signals at the moment");
}

static enum error_code refuse_key(const char *key, struct error *error)
{
    return error_set(error, ERR_KEY_REUSED,
                     "the idempotency key %.255s was used with another name or data", key);
}

/* The workflow has ended: fine when this signal is one that it took, else refused. */
static enum error_code look_back(struct orchestrator *orchestrator, const struct uuid *id,
                                 const char *name, const char *key, const struct json *data,
                                 enum workflow_state state, enum ticket_stage *stage,
                                 struct error *error)
{
    enum task_signal_past past = TASK_SIGNAL_NEW;
    enum error_code code =
        key == NULL || !workflow_state_ended(state)
            ? ERR_OK
            : task_past_signal(orchestrator, id, key, workflow_signal_content(name, data), &past,
                               error);
    if (code != ERR_OK)
        return code;
    if (past == TASK_SIGNAL_NEW)
        return fail_signal(state, error);
    *stage = TICKET_DUPLICATE;
    return past == TASK_SIGNAL_SAME ? ERR_OK : refuse_key(key, error);
}

/* Sends it to the workflow's worker. */
static enum error_code send_signal(struct orchestrator *orchestrator, struct http_request *request,
                                   const struct uuid *id, struct api_forward *forward,
                                   struct json *data, enum ticket_stage *stage,
                                   enum workflow_state *state, struct error *error)
{
    const char *name = http_path_parameter(request, "signal_name");
    const char *key = forward->key;
    struct workflow_view view = {0};
    bool same = false;
    enum error_code code = check_signal(name, key, error);
    if (code == ERR_OK)
        code = workflow_view_read(orchestrator, id, false, &view, error);
    json_release(view.object);
    *state = view.state;
    if (code == ERR_OK && workflow_state_ended(view.state))
        return look_back(orchestrator, id, name, key, data, view.state, stage, error);
    if (code != ERR_OK)
        return code;
    struct ticket *ticket = ticket_new();
    ticket->question = TICKET_SIGNAL;
    ticket->id = *id;
    ticket->at_shard = forward->shard = view.shard;
    ticket->name = must_strdup(name);
    ticket->key = key == NULL ? NULL : must_strdup(key);
    ticket->data = json_hold(data);
    code = ask(orchestrator, ticket, stage, state, &same, error);
    if (code == ERR_LIMIT && !worker_memory_full(orchestrator))
        return error_set(error, code, "the workflow keeps %d signals already, or %u bytes of them",
                         SIGNALS_KEPT_MAX, SIGNALS_KEPT_BYTES_MAX);
    if (code == ERR_OK && *stage == TICKET_NOT_LIVE) { /* it ended on the signal's way */
        view = (struct workflow_view){0};
        code = workflow_view_read(orchestrator, id, false, &view, error);
        json_release(view.object);
        *state = view.state;
        return code != ERR_OK
                   ? code
                   : look_back(orchestrator, id, name, key, data, view.state, stage, error);
    }
    if (code == ERR_OK && *stage == TICKET_DUPLICATE)
        *state = view.state;
    if (code == ERR_OK && *stage == TICKET_DUPLICATE && !same)
        return refuse_key(key, error);
    return code;
}

static void count_signal(enum error_code code, enum ticket_stage stage)
{
    metrics_add(METRIC_SIGNALS,
                code == ERR_LIMIT           ? SIGNAL_FULL
                : code != ERR_OK            ? SIGNAL_REFUSED
                : stage == TICKET_DUPLICATE ? SIGNAL_REPEATED
                                            : SIGNAL_ACCEPTED,
                0, 1);
}

/* Here, or by the owner of the workflow; one without a key gets a key of ours, so that it can be said twice. */
static void take_signal(struct http_request *request, struct http_response *response,
                        struct orchestrator *orchestrator, const struct uuid *id, struct json *data)
{
    struct api_forward forward = {.repeats = true, .key = http_header(request, "Idempotency-Key")};
    struct error error = {0};
    enum ticket_stage stage = TICKET_OPEN;
    enum workflow_state state = WORKFLOW_NONE;
    enum error_code code =
        send_signal(orchestrator, request, id, &forward, data, &stage, &state, &error);
    while (api_is_elsewhere(&error)) {
        api_forward_key(&forward);
        if (api_forward(orchestrator, request, response, &forward, &error) == API_FORWARD_ANSWERED)
            return;
        error = (struct error){0};
        code = send_signal(orchestrator, request, id, &forward, data, &stage, &state, &error);
    }
    count_signal(code, stage);
    if (code == ERR_OK)
        answer(response, id, state);
    else if (code == ERR_CONFLICT)
        api_refuse_ended(response, state);
    else
        api_fail(response, &error);
}

void api_signal(struct http_request *request, struct http_response *response, void *context)
{
    struct error error = {0};
    struct uuid id;
    if (!api_path_id(request, response, &id))
        return;
    if (!is_json(request, response)) {
        count_signal(ERR_INVALID, TICKET_OPEN);
        return;
    }
    struct json *data = read_body(request, &error);
    if (data == NULL) {
        count_signal(error.code, TICKET_OPEN);
        api_fail(response, &error);
        return;
    }
    take_signal(request, response, context, &id, data);
    json_release(data);
}
