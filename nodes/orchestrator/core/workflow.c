/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/workflow.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/instant.h"
#include "orchestrator/core/workflow_event.h"

struct workflow {
    const struct contract *contract;
    struct workflow_head head;
    enum workflow_state state;
    struct asl_execution *execution;
    struct workflow_wait *waits; /* open ones, in order of creation */
    size_t waits_count, waits_capacity;
    int32_t records;
    uint32_t steps_completed;
    int64_t timeout_ms;
    int64_t started_us, completed_us, last_us;
    char *current_step;
    struct json *result;
    char *error, *cause;
};

static const char *const state_names[] = {"",          "PENDING", "PROCESSING",
                                          "COMPLETED", "FAILED",  "CANCELLED"};

const char *workflow_state_name(enum workflow_state state) { return state_names[state]; }
bool workflow_state_ended(enum workflow_state state) { return state >= WORKFLOW_COMPLETED; }

enum workflow_state workflow_state_of_name(const char *name)
{
    for (int i = WORKFLOW_PENDING; i <= WORKFLOW_CANCELLED; i++)
        if (strcmp(name, state_names[i]) == 0)
            return (enum workflow_state)i;
    return WORKFLOW_NONE;
}

/* -- outcome -- */

void workflow_outcome_clear(struct workflow_outcome *outcome)
{
    for (size_t i = 0; i < outcome->events_count; i++)
        json_release(outcome->events[i].payload);
    free(outcome->state_path);
    outcome->state_path = NULL;
    outcome->events_count = outcome->opened_count = outcome->abandoned_count = 0;
    outcome->deadline_us = 0;
    outcome->from = outcome->to = WORKFLOW_NONE;
}

void workflow_outcome_fini(struct workflow_outcome *outcome)
{
    workflow_outcome_clear(outcome);
    free(outcome->events);
    free(outcome->opened);
    free(outcome->abandoned);
    *outcome = (struct workflow_outcome){0};
}

static void push_number(uint32_t **numbers, size_t *count, size_t *capacity, uint32_t number)
{
    if (*count == *capacity) {
        *capacity = *capacity == 0 ? 4 : *capacity * 2;
        *numbers = must_realloc(*numbers, *capacity * sizeof **numbers);
    }
    (*numbers)[(*count)++] = number;
}

/* Takes payload. */
static void push_event(struct workflow_outcome *outcome, const char *type, struct json *payload)
{
    if (outcome->events_count == outcome->events_capacity) {
        outcome->events_capacity = outcome->events_capacity == 0 ? 4 : outcome->events_capacity * 2;
        outcome->events =
            must_realloc(outcome->events, outcome->events_capacity * sizeof *outcome->events);
    }
    outcome->events[outcome->events_count++] = (struct workflow_published){type, payload};
}

/* -- life -- */

struct workflow *workflow_new(const struct contract *contract, const struct workflow_head *head,
                              int64_t timeout_ms)
{
    struct workflow *workflow = must_calloc(1, sizeof *workflow);
    workflow->contract = contract;
    workflow->head = *head;
    workflow->last_us = head->created_us;
    int64_t own = asl_machine_timeout_ms(contract->machine);
    workflow->timeout_ms = own > 0 ? own : timeout_ms;
    workflow->current_step = must_strdup("");
    return workflow;
}

static void free_wait(struct workflow_wait *wait)
{
    free(wait->state);
    free(wait->state_path);
    free(wait->resource);
    json_release(wait->parameters);
}

void workflow_free(struct workflow *workflow)
{
    if (workflow == NULL)
        return;
    for (size_t i = 0; i < workflow->waits_count; i++)
        free_wait(&workflow->waits[i]);
    free(workflow->waits);
    asl_execution_free(workflow->execution);
    free(workflow->head.namespace);
    free(workflow->head.correlation_id);
    free(workflow->head.traceparent);
    json_release(workflow->head.input);
    json_release(workflow->head.metadata);
    json_release(workflow->result);
    free(workflow->current_step);
    free(workflow->error);
    free(workflow->cause);
    free(workflow);
}

const struct workflow_head *workflow_head(const struct workflow *workflow)
{
    return &workflow->head;
}
const struct contract *workflow_contract(const struct workflow *workflow)
{
    return workflow->contract;
}
enum workflow_state workflow_state(const struct workflow *workflow) { return workflow->state; }
int32_t workflow_records(const struct workflow *workflow) { return workflow->records; }
int64_t workflow_started_us(const struct workflow *workflow) { return workflow->started_us; }
int64_t workflow_completed_us(const struct workflow *workflow) { return workflow->completed_us; }
const char *workflow_current_step(const struct workflow *workflow)
{
    return workflow->current_step;
}
const struct json *workflow_result(const struct workflow *workflow) { return workflow->result; }
const char *workflow_error(const struct workflow *workflow) { return workflow->error; }
const char *workflow_cause(const struct workflow *workflow) { return workflow->cause; }
int64_t workflow_last_us(const struct workflow *workflow) { return workflow->last_us; }
size_t workflow_waits(const struct workflow *workflow) { return workflow->waits_count; }

int64_t workflow_deadline_us(const struct workflow *workflow)
{
    return workflow->started_us + workflow->timeout_ms * 1000;
}

struct workflow_wait *workflow_wait_at(struct workflow *workflow, size_t index)
{
    return index < workflow->waits_count ? &workflow->waits[index] : NULL;
}

struct workflow_wait *workflow_wait_find(struct workflow *workflow, uint32_t wait)
{
    for (size_t i = 0; i < workflow->waits_count; i++)
        if (workflow->waits[i].wait == wait)
            return &workflow->waits[i];
    return NULL;
}

static void open_wait(struct workflow *workflow, const struct asl_effect *effect,
                      struct workflow_outcome *outcome)
{
    if (workflow->waits_count == workflow->waits_capacity) {
        workflow->waits_capacity = workflow->waits_capacity == 0 ? 2 : workflow->waits_capacity * 2;
        workflow->waits =
            must_realloc(workflow->waits, workflow->waits_capacity * sizeof *workflow->waits);
    }
    workflow->waits[workflow->waits_count++] = (struct workflow_wait){
        .wait = effect->wait,
        .visit = effect->visit,
        .attempt = effect->attempt,
        .is_timer = effect->type == ASL_TIMER,
        .due_us = effect->due_us,
        .timeout_ms = effect->timeout_ms,
        .state = must_strdup(effect->state),
        .state_path = must_strdup(effect->state_path),
        .resource = effect->resource == NULL ? NULL : must_strdup(effect->resource),
        .parameters = json_hold(effect->data),
    };
    push_number(&outcome->opened, &outcome->opened_count, &outcome->opened_capacity, effect->wait);
}

static void close_wait(struct workflow *workflow, uint32_t wait)
{
    struct workflow_wait *found = workflow_wait_find(workflow, wait);
    if (found == NULL)
        return;
    size_t index = (size_t)(found - workflow->waits);
    free_wait(found);
    memmove(found, found + 1, (workflow->waits_count - index - 1) * sizeof *found);
    workflow->waits_count--;
}

/* A timer that is no longer wanted is nobody's to stop: it finds nothing when it comes up. */
static void abandon_wait(struct workflow *workflow, uint32_t wait, struct workflow_outcome *outcome)
{
    const struct workflow_wait *found = workflow_wait_find(workflow, wait);
    if (found != NULL && !found->is_timer)
        push_number(&outcome->abandoned, &outcome->abandoned_count, &outcome->abandoned_capacity,
                    wait);
    close_wait(workflow, wait);
}

static void set_text(char **text, const char *value)
{
    free(*text);
    *text = value == NULL ? NULL : must_strdup(value);
}

/* -- published events -- */

static void publish(struct workflow *workflow, struct workflow_outcome *outcome,
                    const struct workflow_moment *moment)
{
    const char *type;
    if (outcome->silent)
        return;
    struct json *payload = workflow_event_payload(workflow, moment, &type);
    if (payload != NULL)
        push_event(outcome, type, payload);
}

static void change_state(struct workflow *workflow, enum workflow_state to,
                         const struct workflow_record *record, struct workflow_outcome *outcome)
{
    enum workflow_state from = workflow->state;
    workflow->state = to;
    outcome->to = to;
    if (to == WORKFLOW_PENDING)
        return;
    if (to == WORKFLOW_PROCESSING)
        publish(workflow, outcome,
                &(struct workflow_moment){.kind = MOMENT_WORKFLOW_STARTED, .record = record});
    publish(workflow, outcome,
            &(struct workflow_moment){.kind = MOMENT_TRANSITION,
                                      .record = record,
                                      .from = from == WORKFLOW_NONE ? WORKFLOW_PENDING : from,
                                      .to = to});
}

static void finish(struct workflow *workflow, enum workflow_state to,
                   const struct workflow_record *record, struct workflow_outcome *outcome)
{
    workflow->completed_us = record->at_us;
    set_text(&workflow->current_step, "");
    for (size_t i = 0; i < workflow->waits_count; i++) {
        if (!workflow->waits[i].is_timer)
            push_number(&outcome->abandoned, &outcome->abandoned_count,
                        &outcome->abandoned_capacity, workflow->waits[i].wait);
        free_wait(&workflow->waits[i]);
    }
    workflow->waits_count = 0;
    outcome->opened_count = 0;
    change_state(workflow, to, record, outcome);
    static const enum moment_kind kinds[] = {[WORKFLOW_COMPLETED] = MOMENT_WORKFLOW_COMPLETED,
                                             [WORKFLOW_FAILED] = MOMENT_WORKFLOW_FAILED,
                                             [WORKFLOW_CANCELLED] = MOMENT_WORKFLOW_CANCELLED};
    publish(
        workflow, outcome,
        &(struct workflow_moment){.kind = kinds[to], .record = record, .data = workflow->result});
}

static void take_effect(struct workflow *workflow, const struct asl_effect *effect,
                        const struct workflow_record *record, struct workflow_outcome *outcome)
{
    struct workflow_moment moment = {
        .record = record, .state = effect->state, .data = effect->data};
    switch (effect->type) {
    case ASL_STATE_ENTERED:
    case ASL_STATE_CAUGHT:
        break;
    case ASL_STATE_EXITED:
        if (strcmp(effect->state_type, "Task") != 0)
            break;
        workflow->steps_completed++;
        moment.kind = MOMENT_STEP_COMPLETED;
        moment.step_order = workflow->steps_completed;
        publish(workflow, outcome, &moment);
        moment.kind = MOMENT_STEP_OWN_COMPLETED;
        publish(workflow, outcome, &moment);
        break;
    case ASL_CALL:
        open_wait(workflow, effect, outcome);
        if (effect->attempt == 1) {
            moment.kind = MOMENT_STEP_OWN_REQUESTED;
            publish(workflow, outcome, &moment);
        }
        break;
    case ASL_TIMER:
        open_wait(workflow, effect, outcome);
        break;
    case ASL_ABANDON:
        abandon_wait(workflow, effect->wait, outcome);
        break;
    case ASL_SUCCEEDED:
        workflow->result = json_hold(effect->data);
        finish(workflow, WORKFLOW_COMPLETED, record, outcome);
        break;
    case ASL_FAILED:
        set_text(&workflow->error, effect->error);
        set_text(&workflow->cause, effect->cause);
        finish(workflow, record->kind == RECORD_CANCELLED ? WORKFLOW_CANCELLED : WORKFLOW_FAILED,
               record, outcome);
        break;
    }
}

static enum error_code step(struct workflow *workflow, const struct asl_event *event,
                            const struct workflow_record *record, struct workflow_outcome *outcome)
{
    struct asl_effects effects = {0}; /* not kept: workflows that wait shall be small */
    enum error_code code = asl_step(workflow->execution, event, &effects);
    if (code != ERR_OK)
        goto out;
    if (record->wait != 0) {
        struct workflow_wait *answered = workflow_wait_find(workflow, record->wait);
        if (answered != NULL)
            set_text(&outcome->state_path, answered->state_path);
        close_wait(workflow, record->wait);
    }
    for (size_t i = 0; i < effects.count; i++) {
        take_effect(workflow, &effects.items[i], record, outcome);
        if (effects.items[i].type == ASL_STATE_CAUGHT)
            i++; /* the exit that follows completes nothing */
    }
    if (!workflow_state_ended(workflow->state))
        set_text(&workflow->current_step, asl_execution_current(workflow->execution));
out:
    asl_effects_fini(&effects);
    return code;
}

static enum error_code start(struct workflow *workflow, const struct workflow_record *record,
                             struct workflow_outcome *outcome)
{
    char id[UUID_TEXT_BYTES];
    struct asl_identity identity = {
        .execution_id = uuid_format(&workflow->head.id, id),
        .execution_name = id,
        .machine_id = workflow->contract->name,
        .machine_name = workflow->contract->name,
        .start_us = record->at_us,
    };
    workflow->started_us = record->at_us;
    outcome->deadline_us = workflow_deadline_us(workflow);
    change_state(workflow, WORKFLOW_PROCESSING, record, outcome);
    workflow->execution =
        asl_execution_new(workflow->contract->machine, &identity, workflow->head.input);
    return step(workflow, &(struct asl_event){.type = ASL_START, .now_us = record->at_us}, record,
                outcome);
}

/* Cancel and time limit: through the interpreter when it runs, at once when it never began. */
static enum error_code stop(struct workflow *workflow, const struct workflow_record *record,
                            struct workflow_outcome *outcome)
{
    const char *error = record->error == NULL ? "States.Timeout" : record->error;
    if (workflow->execution != NULL)
        return step(
            workflow,
            &(struct asl_event){
                .type = ASL_STOP, .now_us = record->at_us, .error = error, .cause = record->cause},
            record, outcome);
    set_text(&workflow->error, error);
    set_text(&workflow->cause, record->cause);
    finish(workflow, record->kind == RECORD_CANCELLED ? WORKFLOW_CANCELLED : WORKFLOW_FAILED,
           record, outcome);
    return ERR_OK;
}

static bool is_allowed(const struct workflow *workflow, enum record_kind kind)
{
    switch (kind) {
    case RECORD_ACCEPTED:
        return workflow->state == WORKFLOW_NONE;
    case RECORD_STARTED:
        return workflow->state == WORKFLOW_NONE || workflow->state == WORKFLOW_PENDING;
    case RECORD_TASK_SUCCEEDED:
    case RECORD_TASK_FAILED:
    case RECORD_TIMER_FIRED:
    case RECORD_TIMED_OUT:
        return workflow->state == WORKFLOW_PROCESSING;
    case RECORD_CANCELLED:
        return workflow->state == WORKFLOW_PENDING || workflow->state == WORKFLOW_PROCESSING;
    case RECORD_KINDS:
        break;
    }
    return false;
}

enum error_code workflow_apply(struct workflow *workflow, const struct workflow_record *record,
                               struct workflow_outcome *outcome)
{
    workflow_outcome_clear(outcome);
    outcome->from = outcome->to = workflow->state;
    if (!is_allowed(workflow, record->kind) || record->n != workflow->records)
        return ERR_CONFLICT;
    struct asl_event event = {.now_us = record->at_us,
                              .wait = record->wait,
                              .result = record->payload,
                              .error = record->error,
                              .cause = record->cause,
                              .random = record->random};
    enum error_code code = ERR_OK;
    switch (record->kind) {
    case RECORD_ACCEPTED:
        change_state(workflow, WORKFLOW_PENDING, record, outcome);
        break;
    case RECORD_STARTED:
        code = start(workflow, record, outcome);
        break;
    case RECORD_TASK_SUCCEEDED:
    case RECORD_TASK_FAILED:
    case RECORD_TIMER_FIRED:
        event.type = record->kind == RECORD_TASK_SUCCEEDED ? ASL_TASK_SUCCEEDED
                     : record->kind == RECORD_TASK_FAILED  ? ASL_TASK_FAILED
                                                           : ASL_TIMER_FIRED;
        code = step(workflow, &event, record, outcome);
        break;
    case RECORD_CANCELLED:
    case RECORD_TIMED_OUT:
        code = stop(workflow, record, outcome);
        break;
    case RECORD_KINDS:
        break;
    }
    if (code == ERR_OK) {
        workflow->records++;
        workflow->last_us = record->at_us;
    }
    return code;
}

struct uuid workflow_event_id(const struct workflow *workflow, int32_t n, size_t index)
{
    struct {
        struct uuid id;
        uint64_t run, n, index;
    } name = {workflow->head.id, (uint64_t)workflow->head.run, (uint64_t)n, index};
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(&name, sizeof name));
    return uuid_from_hash(canonical.digest);
}
