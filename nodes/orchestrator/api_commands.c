/* SPDX-License-Identifier: MIT */
/* cancel, pause, resume, retry: commands for one workflow. Each may be said twice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "orchestrator/api.h"
#include "orchestrator/api_forward.h"
#include "orchestrator/worker.h"

#define COMMAND_TIMEOUT_US 10000000
#define RUN_MAX 32767

/* What the body of a command may say. */
struct wish {
    char *cause;
    int64_t run; /* 0: any */
};

struct command {
    enum ticket_question question;
    const char *member; /* the one that the body may have, or NULL */
    bool of_failed;     /* for a FAILED workflow, not for one that lives */
};

void api_refuse_ended(struct http_response *response, enum workflow_state state)
{
    struct error error = {0};
    struct json *extra = json_object();
    error_set(&error, ERR_CONFLICT, "the workflow has ended: it is %s", workflow_state_name(state));
    json_object_set(extra, "state", json_text(workflow_state_name(state)));
    http_problem_with(response, &error, 409, "workflow_ended", extra);
}

static void refuse_retry(struct http_response *response, enum workflow_state state)
{
    struct error error = {0};
    struct json *extra = json_object();
    bool failed = state == WORKFLOW_FAILED;
    error_set(&error, ERR_CONFLICT,
              failed ? "the workflow cannot go on: it failed before its first state, or after its "
                       "last one: it is %s"
                     : "only a FAILED workflow can be retried: it is %s",
              workflow_state_name(state));
    json_object_set(extra, "state", json_text(workflow_state_name(state)));
    http_problem_with(response, &error, 409,
                      failed ? "workflow_cannot_go_on" : "workflow_not_failed", extra);
}

/* An empty body is fine. False after answering. */
static bool read_wish(struct http_request *request, struct http_response *response,
                      const struct command *command, struct wish *wish)
{
    struct error error = {0};
    *wish = (struct wish){0};
    if (request->body_bytes == 0)
        return true;
    struct json *body = json_parse(request->body, request->body_bytes, &error, NULL);
    const struct json *value = command->member == NULL ? NULL : json_get(body, command->member);
    bool of_cause = command->question == TICKET_CANCEL;
    const char *text = of_cause ? json_string_value(value, NULL) : NULL;
    wish->run = !of_cause && json_is_int(value) ? json_int_value(value) : 0;
    bool fits = text != NULL || (wish->run >= 1 && wish->run <= RUN_MAX);
    if (body != NULL && (json_type_of(body) != JSON_OBJECT || json_size(body) != (size_t)fits)) {
        if (command->member == NULL)
            error_set_field(&error, ERR_INVALID, "body", "the body must be empty or {}");
        else if (of_cause)
            error_set_field(&error, ERR_INVALID, "cause",
                            "the body must be empty or an object with the one text member cause");
        else
            error_set_field(&error, ERR_INVALID, "run",
                            "the body must be empty or an object with the one member run, a whole "
                            "number from 1 to %d",
                            RUN_MAX);
    }
    if (text != NULL)
        wish->cause = must_strdup(text);
    json_release(body);
    if (error.code == ERR_OK)
        return true;
    free(wish->cause);
    api_fail(response, &error);
    return false;
}

static int64_t run_of(const struct workflow_view *view)
{
    return json_int_value(json_get(view->object, "run"));
}

/* *done: the workflow took the command. */
static enum error_code send(struct orchestrator *orchestrator, const struct command *command,
                            const struct uuid *id, const struct workflow_view *view,
                            const struct wish *wish, bool *done, struct error *error)
{
    int16_t shard = view->shard;
    if (!orchestrator_owns(orchestrator, shard))
        return error_set(error, ERR_NOT_OWNER,
                         "shard %d of this workflow belongs to another instance", shard);
    struct ticket *ticket = ticket_new();
    ticket->question = command->question;
    ticket->id = *id;
    ticket->at_shard = shard;
    ticket->run = (int16_t)run_of(view);
    if (command->question == TICKET_CANCEL)
        ticket->cause = must_strdup(wish->cause == NULL ? "cancelled by request" : wish->cause);
    worker_post(orchestrator->workers[shard % orchestrator->workers_count], ticket);
    ticket_wait(ticket, TICKET_OPEN, clock_monotonic_us() + COMMAND_TIMEOUT_US);
    enum error_code code = ERR_OK;
    if (ticket->stage == TICKET_OPEN)
        code = error_set(error, ERR_OUTCOME_UNKNOWN,
                         "the database has not confirmed the command in time");
    else if (ticket->stage == TICKET_REFUSED)
        code = error_set(error, ticket->code, "%s", error_code_text(ticket->code));
    *done = ticket->stage == TICKET_ENDED || ticket->stage == TICKET_ACCEPTED;
    ticket_release(ticket);
    return code;
}

static bool is_for(const struct command *command, const struct workflow_view *view,
                   const struct wish *wish)
{
    if (!command->of_failed)
        return !workflow_state_ended(view->state);
    return view->state == WORKFLOW_FAILED && (wish->run == 0 || wish->run == run_of(view));
}

/* The workflow is as if the command had been taken. */
static bool is_so(const struct command *command, const struct workflow_view *view,
                  const struct wish *wish)
{
    if (command->of_failed)
        return wish->run != 0 && run_of(view) > wish->run;
    return command->question == TICKET_CANCEL && view->state == WORKFLOW_CANCELLED;
}

/* The command, with the workflow as it is afterwards. One that woke up late and does not know yet that its shards
 * are gone knows nothing of what happened since. */
static void carry_out(struct orchestrator *orchestrator, const struct command *command,
                      const struct uuid *id, const struct wish *wish, struct workflow_view *view,
                      bool *done, struct error *error)
{
    json_release(view->object);
    *view = (struct workflow_view){0};
    *error = (struct error){0};
    if (workflow_view_read(orchestrator, id, true, view, error) != ERR_OK ||
        !is_for(command, view, wish) ||
        send(orchestrator, command, id, view, wish, done, error) != ERR_OK)
        return;
    json_release(view->object);
    view->object = NULL;
    if (workflow_view_read(orchestrator, id, true, view, error) != ERR_OK)
        *done = false;
    else if (!*done && !command->of_failed && is_for(command, view, wish))
        error_set(error, ERR_NOT_OWNER, "the workflow lives on, in another instance");
}

/* Said twice a command does its work once: a retry names the run that failed. */
static enum api_forwarded ask_owner(struct orchestrator *orchestrator, struct http_request *request,
                                    struct http_response *response, const struct command *command,
                                    const struct workflow_view *view, const struct wish *wish,
                                    struct api_forward *forward, const struct error *error)
{
    char body[32];
    forward->shard = view->shard;
    forward->repeats = true;
    if (command->of_failed && wish->run == 0) {
        snprintf(body, sizeof body, "{\"run\":%lld}", (long long)run_of(view));
        forward->body = body;
    }
    enum api_forwarded forwarded = api_forward(orchestrator, request, response, forward, error);
    forward->body = NULL;
    return forwarded;
}

static void answer(struct http_response *response, const struct command *command,
                   const struct workflow_view *view, const struct wish *wish, bool done)
{
    if (done || is_so(command, view, wish))
        http_json(response, 200, view->object);
    else if (command->of_failed)
        refuse_retry(response, view->state);
    else
        api_refuse_ended(response, view->state);
}

static void run_command(struct http_request *request, struct http_response *response,
                        struct orchestrator *orchestrator, const struct command *command)
{
    struct workflow_view view = {0};
    struct api_forward forward = {0};
    struct error error = {0};
    struct uuid id;
    struct wish wish;
    bool done = false, by_owner = false;
    if (!api_path_id(request, response, &id) || !read_wish(request, response, command, &wish))
        return;
    carry_out(orchestrator, command, &id, &wish, &view, &done, &error);
    while (api_is_elsewhere(&error) && !by_owner) {
        by_owner = ask_owner(orchestrator, request, response, command, &view, &wish, &forward,
                             &error) == API_FORWARD_ANSWERED;
        if (!by_owner)
            carry_out(orchestrator, command, &id, &wish, &view, &done, &error);
    }
    if (!by_owner && error.code != ERR_OK)
        api_fail(response, &error);
    else if (!by_owner)
        answer(response, command, &view, &wish, done);
    json_release(view.object);
    free(wish.cause);
}

void api_cancel(struct http_request *request, struct http_response *response, void *context)
{
    static const struct command cancel = {.question = TICKET_CANCEL, .member = "cause"};
    run_command(request, response, context, &cancel);
}

void api_pause(struct http_request *request, struct http_response *response, void *context)
{
    static const struct command pause = {.question = TICKET_PAUSE};
    run_command(request, response, context, &pause);
}

void api_resume(struct http_request *request, struct http_response *response, void *context)
{
    static const struct command resume = {.question = TICKET_RESUME};
    run_command(request, response, context, &resume);
}

void api_retry(struct http_request *request, struct http_response *response, void *context)
{
    static const struct command retry = {
        .question = TICKET_RETRY, .member = "run", .of_failed = true};
    run_command(request, response, context, &retry);
}
