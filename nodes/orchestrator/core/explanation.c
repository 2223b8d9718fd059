/* SPDX-License-Identifier: MIT */
/* explanation.c - what is known of a workflow that is explained; explanation_text.c says it. */
#include "orchestrator/core/explanation.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "orchestrator/core/services.h"

static const char *const cause_names[EXPLANATION_CAUSES] = {
    [EXPLANATION_START] = "start",       [EXPLANATION_SLOT] = "slot",
    [EXPLANATION_BREAKER] = "breaker",   [EXPLANATION_LIMIT] = "limit",
    [EXPLANATION_ANSWER] = "answer",     [EXPLANATION_AGAIN] = "call",
    [EXPLANATION_RETRY] = "retry",       [EXPLANATION_TIMER] = "timer",
    [EXPLANATION_TOKEN] = "token",       [EXPLANATION_SIGNAL] = "signal",
    [EXPLANATION_CHILD] = "child",       [EXPLANATION_RESUME] = "resume",
    [EXPLANATION_SEVERAL] = "several",   [EXPLANATION_COMMIT] = "commit",
    [EXPLANATION_LOADING] = "loading",   [EXPLANATION_OWNER] = "owner",
    [EXPLANATION_TAKEOVER] = "takeover", [EXPLANATION_REPAIR] = "repair",
};
const char *explanation_cause_name(enum explanation_cause cause) { return cause_names[cause]; }

struct explanation *explanation_new(void)
{
    struct explanation *explanation = must_calloc(1, sizeof *explanation);
    explanation->waits = must_calloc(EXPLANATION_WAITS_MAX, sizeof *explanation->waits);
    return explanation;
}

void explanation_free(struct explanation *explanation)
{
    if (explanation == NULL)
        return;
    for (size_t i = 0; i < explanation->waits_count; i++) {
        free(explanation->waits[i].path);
        free(explanation->waits[i].subject);
        free(explanation->waits[i].breaker_reason);
        free(explanation->waits[i].error);
        free(explanation->waits[i].error_cause);
    }
    free(explanation->waits);
    free(explanation->step);
    free(explanation->error);
    free(explanation->error_cause);
    free(explanation->failed_in);
    free(explanation->instance);
    free(explanation->instance_url);
    free(explanation);
}

static char *copy(const char *text) { return text == NULL ? NULL : must_strdup(text); }

/* -- what a workflow in memory waits for -- */

static enum explanation_cause cause_of_task(const struct workflow_wait *wait)
{
    const struct task_resource *task = wait->task;
    if (wait->answered)
        return EXPLANATION_RESUME;
    if (wait->delivered || task->local)
        return task->kind == TASK_SIGNAL   ? EXPLANATION_SIGNAL
               : task->waits_for_token     ? EXPLANATION_TOKEN
               : wait->task->waits_for_end ? EXPLANATION_CHILD
                                           : EXPLANATION_ANSWER;
    if (wait->held_us != 0)
        return EXPLANATION_BREAKER;
    if (wait->again_us != 0)
        return EXPLANATION_AGAIN;
    return wait->called ? EXPLANATION_ANSWER : EXPLANATION_SLOT;
}

static char *service_of(const struct workflow_wait *wait, const struct services *services)
{
    const char *service = json_string_or(json_get(wait->parameters, "Service"), NULL);
    const char *endpoint = json_string_or(json_get(wait->parameters, "ApiEndpoint"), NULL);
    int index = service != NULL || endpoint == NULL || services == NULL
                    ? -1
                    : services_index_of_url(services, endpoint);
    return copy(index < 0 ? service : services->items[index].name);
}

static char *subject_of(const struct workflow_wait *wait, const struct services *services)
{
    char text[UUID_TEXT_BYTES];
    struct uuid child;
    if (wait->is_timer)
        return NULL;
    if (wait->task->kind == TASK_HTTP)
        return service_of(wait, services);
    if (wait->task->kind == TASK_SIGNAL)
        return copy(wait->signal_name);
    return workflow_wait_child(wait, &child) ? must_strdup(uuid_format(&child, text)) : NULL;
}

/* Times that stand still while it is paused are a length. */
static void set_times(struct explanation_wait *told, const struct workflow_wait *wait,
                      int64_t paused_us, int64_t heard_us)
{
    const char *error;
    int64_t limit_us = workflow_wait_limit_us(wait, heard_us, &error);
    told->since_us = wait->held_us != 0 ? wait->held_us : wait->opened_us;
    if (wait->is_timer && paused_us != 0)
        told->left_us = wait->due_us > paused_us ? wait->due_us - paused_us : 0;
    else if (wait->is_timer)
        told->next_us = wait->due_us;
    else if (paused_us == 0 && told->cause == EXPLANATION_AGAIN)
        told->next_us = wait->again_us;
    if (paused_us == 0 && limit_us != INT64_MAX)
        told->limit_us = limit_us;
}

void explanation_add_waits(struct explanation *explanation, struct workflow *workflow,
                           const struct services *services, int64_t heard_us)
{
    explanation->waits_total = workflow_waits(workflow);
    for (size_t i = 0; i < workflow_wait_places(workflow); i++) {
        const struct workflow_wait *wait = workflow_wait_at(workflow, i);
        if (wait == NULL)
            continue;
        if (explanation->waits_count == EXPLANATION_WAITS_MAX)
            return;
        struct explanation_wait *told = &explanation->waits[explanation->waits_count++];
        told->cause = wait->retry != NULL ? EXPLANATION_RETRY
                      : wait->is_timer    ? EXPLANATION_TIMER
                                          : cause_of_task(wait);
        told->number = wait->wait;
        told->service = wait->guard - 1;
        told->path = must_strdup(wait->state_path);
        told->subject = subject_of(wait, services);
        told->attempt = wait->attempt;
        set_times(told, wait, explanation->paused_us, heard_us);
        if (wait->retry == NULL)
            continue;
        told->retry = wait->retry->number;
        told->retries_max = wait->retry->max;
        told->error = must_strdup(wait->retry->error);
        told->error_cause = must_strdup(wait->retry->cause);
    }
}

void explanation_add_end(struct explanation *explanation, const struct workflow *workflow)
{
    struct buffer path = {0};
    explanation->retry_known = true;
    explanation->can_retry = workflow_can_retry(workflow);
    if (workflow_failed_in(workflow, &path))
        explanation->failed_in = buffer_take(&path);
    buffer_fini(&path);
}

enum explanation_cause explanation_cause_of(const struct explanation *explanation)
{
    if (workflow_state_ended(explanation->state))
        return EXPLANATION_NOTHING;
    if (explanation->source == EXPLANATION_STORED || explanation->cause != EXPLANATION_NOTHING)
        return explanation->cause;
    if (explanation->paused_us != 0)
        return EXPLANATION_RESUME;
    if (explanation->state == WORKFLOW_PENDING)
        return EXPLANATION_START;
    if (explanation->waits_total > 1)
        return EXPLANATION_SEVERAL;
    return explanation->waits_count == 0 ? EXPLANATION_NOTHING : explanation->waits[0].cause;
}
