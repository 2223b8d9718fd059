/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/workflow.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "orchestrator/core/workflow_event.h"
#include "orchestrator/core/workflow_internal.h"

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
    for (size_t i = 0; i < outcome->events_count; i++) {
        json_release(outcome->events[i].payload);
        free(outcome->events[i].own_type);
    }
    free(outcome->state_path);
    outcome->state_path = NULL;
    outcome->events_count = outcome->events_numbered = outcome->opened_count = 0;
    outcome->abandoned_count = outcome->children_count = outcome->unheld_count = 0;
    outcome->deadline_us = 0;
    outcome->resumed = false;
    outcome->from = outcome->to = WORKFLOW_NONE;
}

void workflow_outcome_fini(struct workflow_outcome *outcome)
{
    workflow_outcome_clear(outcome);
    free(outcome->events);
    free(outcome->opened);
    free(outcome->abandoned);
    free(outcome->children);
    free(outcome->unheld);
    *outcome = (struct workflow_outcome){0};
}

void workflow_outcome_publish(struct workflow_outcome *outcome, const char *type, char *own_type,
                              struct json *payload)
{
    if (outcome->events_count == outcome->events_capacity) {
        outcome->events_capacity = outcome->events_capacity == 0 ? 4 : outcome->events_capacity * 2;
        outcome->events =
            must_realloc(outcome->events, outcome->events_capacity * sizeof *outcome->events);
    }
    outcome->events_numbered++;
    outcome->events[outcome->events_count++] = (struct workflow_published){type, own_type, payload};
}

/* -- life -- */

struct workflow *workflow_new(const struct contract *contract, const struct workflow_head *head,
                              const struct workflow_environment *environment)
{
    struct workflow *workflow = must_calloc(1, sizeof *workflow);
    workflow->contract = contract;
    workflow->environment = environment;
    workflow->head = *head;
    workflow->last_us = head->created_us;
    int64_t own = asl_machine_timeout_ms(contract->machine);
    workflow->timeout_ms = own > 0 ? own : environment->timeout_ms;
    workflow->current_step = must_strdup("");
    return workflow;
}

void workflow_free(struct workflow *workflow)
{
    if (workflow == NULL)
        return;
    workflow_waits_free(workflow);
    workflow_signals_free(workflow);
    workflow_pause_fini(workflow);
    asl_execution_free(workflow->execution);
    free(workflow->head.namespace);
    free(workflow->head.correlation_id);
    free(workflow->head.traceparent);
    free(workflow->head.parent_token);
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

int64_t workflow_deadline_us(const struct workflow *workflow) { return workflow->deadline_us; }

int64_t workflow_limit_us(const struct workflow *workflow)
{
    bool named = asl_machine_timeout_ms(workflow->contract->machine) > 0;
    return named ? 0 : workflow->timeout_ms * 1000;
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
    if (outcome->silent) {
        outcome->events_numbered += workflow_event_wanted(workflow, moment);
        return;
    }
    struct json *payload = workflow_event_payload(workflow, moment, &type);
    if (payload != NULL)
        workflow_outcome_publish(outcome, type, NULL, payload);
}

static void change_state(struct workflow *workflow, enum workflow_state to,
                         const struct workflow_record *record, struct workflow_outcome *outcome)
{
    enum workflow_state from = workflow->state;
    workflow->state = to;
    outcome->to = to;
    if (to == WORKFLOW_PENDING)
        return;
    if (to == WORKFLOW_PROCESSING && from != WORKFLOW_FAILED)
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
    for (size_t i = 0; i < workflow->waits_count; i++)
        workflow_wait_abandon(workflow, workflow_wait_at(workflow, i), outcome);
    workflow->local_count = 0;
    workflow_pause_fini(workflow);
    outcome->opened_count = 0;
    change_state(workflow, to, record, outcome);
    static const enum moment_kind kinds[] = {[WORKFLOW_COMPLETED] = MOMENT_WORKFLOW_COMPLETED,
                                             [WORKFLOW_FAILED] = MOMENT_WORKFLOW_FAILED,
                                             [WORKFLOW_CANCELLED] = MOMENT_WORKFLOW_CANCELLED};
    publish(
        workflow, outcome,
        &(struct workflow_moment){.kind = kinds[to], .record = record, .data = workflow->result});
}

static void open_wait(struct workflow *workflow, const struct asl_effect *effect,
                      const struct workflow_record *record, struct workflow_outcome *outcome)
{
    const struct workflow_wait *wait = workflow_wait_open(workflow, effect, record->at_us);
    workflow_number_push(&outcome->opened, &outcome->opened_count, &outcome->opened_capacity,
                         effect->wait);
    if (wait->task != NULL && wait->task->local)
        workflow_number_push(&workflow->local, &workflow->local_count, &workflow->local_capacity,
                             effect->wait);
}

static void succeeded(struct workflow *workflow, const struct json *output,
                      const struct workflow_record *record, struct workflow_outcome *outcome)
{
    struct error error = {0};
    if (contract_output_fits(workflow->contract, output, &error)) {
        workflow->result = json_hold(output);
        finish(workflow, WORKFLOW_COMPLETED, record, outcome);
        return;
    }
    set_text(&workflow->error, CONTRACT_OUTPUT_INVALID);
    set_text(&workflow->cause, error.text);
    finish(workflow, WORKFLOW_FAILED, record, outcome);
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
        open_wait(workflow, effect, record, outcome);
        if (effect->attempt == 1) {
            moment.kind = MOMENT_STEP_OWN_REQUESTED;
            publish(workflow, outcome, &moment);
        }
        break;
    case ASL_TIMER:
        open_wait(workflow, effect, record, outcome);
        break;
    case ASL_ABANDON:
        workflow_wait_abandon(workflow, workflow_wait_find(workflow, effect->wait), outcome);
        break;
    case ASL_SUCCEEDED:
        succeeded(workflow, effect->data, record, outcome);
        break;
    case ASL_FAILED:
        set_text(&workflow->error, effect->error);
        set_text(&workflow->cause, effect->cause);
        finish(workflow, record->kind == RECORD_CANCELLED ? WORKFLOW_CANCELLED : WORKFLOW_FAILED,
               record, outcome);
        break;
    }
}

/* Ends the workflow in the middle of what the interpreter says: it is not asked again. */
static void end_full(struct workflow *workflow, const struct workflow_record *record,
                     struct workflow_outcome *outcome)
{
    set_text(&workflow->error, "States.Runtime");
    set_text(&workflow->cause, "too many events to publish without waiting for anything");
    finish(workflow, record->kind == RECORD_CANCELLED ? WORKFLOW_CANCELLED : WORKFLOW_FAILED,
           record, outcome);
}

/* Feeds one event to the interpreter and takes what it says. */
static enum error_code feed(struct workflow *workflow, const struct asl_event *event,
                            const struct workflow_record *record, struct workflow_outcome *outcome)
{
    struct asl_effects effects = {0}; /* not kept: workflows that wait shall be small */
    enum error_code code = asl_step(workflow->execution, event, &effects);
    if (code != ERR_OK)
        goto out;
    struct workflow_wait *answered =
        event->wait == 0 ? NULL : workflow_wait_find(workflow, event->wait);
    if (answered != NULL && event->wait == record->wait)
        set_text(&outcome->state_path, answered->state_path);
    workflow_wait_close(workflow, answered, outcome);
    for (size_t i = 0; i < effects.count; i++) {
        take_effect(workflow, &effects.items[i], record, outcome);
        if (effects.items[i].type == ASL_STATE_CAUGHT)
            i++; /* the exit that follows completes nothing */
        if (outcome->events_numbered > EVENTS_PER_RECORD_MAX &&
            !workflow_state_ended(workflow->state)) {
            end_full(workflow, record, outcome);
            break;
        }
    }
out:
    asl_effects_fini(&effects);
    return code;
}

/* So much came of one record that no more may: the tasks answered at once, and the events. */
static bool is_full(const struct workflow *workflow, const struct workflow_outcome *outcome,
                    size_t answered)
{
    return answered >= LOCAL_TASKS_PER_RECORD_MAX ||
           workflow->local_bytes >= LOCAL_BYTES_PER_RECORD_MAX ||
           outcome->events_numbered >= EVENTS_PER_RECORD_MAX;
}

/* Local tasks that began with this record, and those that begin while they are dealt with. */
static void run_local(struct workflow *workflow, const struct workflow_record *record,
                      struct workflow_outcome *outcome)
{
    struct workflow_record now = *record; /* they take no time, and no retry delay was drawn */
    now.wait = 0;
    now.duration_us = 0;
    size_t answered = 0;
    workflow->local_bytes = 0;
    for (size_t i = 0; i < workflow->local_count; i++) {
        struct workflow_wait *wait = workflow_wait_find(workflow, workflow->local[i]);
        struct http_task_failure failure = {0};
        struct asl_event event = {.type = ASL_STOP,
                                  .now_us = now.at_us,
                                  .error = "States.Runtime",
                                  .cause = "too many tasks in a row that wait for nothing"};
        if (wait == NULL)
            continue;
        if (is_full(workflow, outcome, answered) ||
            workflow_local_begin(workflow, wait, &now, outcome, &event, &failure)) {
            enum error_code code = feed(workflow, &event, &now, outcome);
            BUG_IF(code != ERR_OK);
            answered++;
        }
        json_release((struct json *)(uintptr_t)event.result);
        buffer_fini(&failure.cause);
    }
    workflow->local_count = 0;
}

static enum error_code step(struct workflow *workflow, const struct asl_event *event,
                            const struct workflow_record *record, struct workflow_outcome *outcome)
{
    enum error_code code = feed(workflow, event, record, outcome);
    if (code != ERR_OK)
        return code;
    run_local(workflow, record, outcome);
    if (!workflow_state_ended(workflow->state))
        set_text(&workflow->current_step, asl_execution_current(workflow->execution));
    return ERR_OK;
}

static void make_token(void *context, uint32_t wait, char token[ASL_TOKEN_BYTES])
{
    workflow_wait_token(context, wait, token);
}

static void set_deadline(struct workflow *workflow, int64_t deadline_us,
                         struct workflow_outcome *outcome)
{
    workflow->deadline_us = outcome->deadline_us = deadline_us;
}

static enum error_code start(struct workflow *workflow, const struct workflow_record *record,
                             struct workflow_outcome *outcome)
{
    char id[UUID_TEXT_BYTES];
    struct workflow_record now = *record;
    now.duration_us = 0; /* the start takes no time */
    if (record->duration_us > 0)
        workflow->timeout_ms = record->duration_us / 1000;
    struct asl_identity identity = {
        .execution_id = uuid_format(&workflow->head.id, id),
        .execution_name = id,
        .machine_id = workflow->contract->name,
        .machine_name = workflow->contract->name,
        .start_us = record->at_us,
        .token = make_token,
        .token_context = workflow,
    };
    workflow->started_us = record->at_us;
    set_deadline(workflow, record->at_us + workflow->timeout_ms * 1000, outcome);
    change_state(workflow, WORKFLOW_PROCESSING, &now, outcome);
    workflow->execution =
        asl_execution_new(workflow->contract->machine, &identity, workflow->head.input);
    return step(workflow, &(struct asl_event){.type = ASL_START, .now_us = record->at_us}, &now,
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

/* The call of a wait that goes on without it was answered, or the wait gave a sign of life. */
static enum error_code note(struct workflow *workflow, const struct workflow_record *record,
                            struct workflow_outcome *outcome)
{
    struct workflow_wait *wait = workflow_wait_find(workflow, record->wait);
    bool delivered = record->kind == RECORD_TASK_DELIVERED;
    if (wait == NULL || wait->task == NULL ||
        !(wait->task->waits_for_token || (wait->task->waits_for_end && delivered)) ||
        (delivered && wait->delivered))
        return ERR_CONFLICT;
    set_text(&outcome->state_path, wait->state_path);
    if (!delivered) {
        wait->heartbeat_us = record->at_us;
        return ERR_OK;
    }
    workflow_wait_set_called(workflow, wait, false);
    wait->delivered = true;
    wait->delivery = json_hold(record->payload);
    wait->delivery_bytes = record->payload == NULL ? 0 : json_text_bytes(record->payload);
    workflow->weight.delivered_bytes += wait->delivery_bytes;
    return ERR_OK;
}

enum error_code workflow_take_answer(struct workflow *workflow,
                                     const struct workflow_record *record,
                                     struct workflow_outcome *outcome)
{
    bool signal = record->kind == RECORD_SIGNAL;
    struct asl_event event = {.type = record->kind == RECORD_TASK_FAILED   ? ASL_TASK_FAILED
                                      : record->kind == RECORD_TIMER_FIRED ? ASL_TIMER_FIRED
                                                                           : ASL_TASK_SUCCEEDED,
                              .now_us = record->at_us,
                              .wait = record->wait,
                              .result =
                                  signal ? json_get(record->payload, "data") : record->payload,
                              .error = record->error,
                              .cause = record->cause,
                              .random = record->random};
    if (workflow_paused(workflow))
        return workflow_pause_hold(workflow, record, outcome);
    return step(workflow, &event, record, outcome);
}

static enum error_code take_signal(struct workflow *workflow, const struct workflow_record *record,
                                   struct workflow_outcome *outcome)
{
    enum error_code code = workflow_signal_take(workflow, record);
    if (code != ERR_OK || record->wait == 0)
        return code;
    return workflow_take_answer(workflow, record, outcome);
}

static void resume(struct workflow *workflow, const struct workflow_record *record,
                   struct workflow_outcome *outcome)
{
    workflow_pause_end(workflow, record, outcome);
    if (workflow_state_ended(workflow->state))
        return;
    outcome->resumed = true;
    if (workflow->state == WORKFLOW_PROCESSING)
        outcome->deadline_us = workflow->deadline_us;
}

/* A new run with a time limit of its own. */
static enum error_code retry(struct workflow *workflow, const struct workflow_record *record,
                             struct workflow_outcome *outcome)
{
    workflow->head.run++;
    workflow->completed_us = 0;
    set_text(&workflow->error, NULL);
    set_text(&workflow->cause, NULL);
    set_deadline(workflow, record->at_us + workflow->timeout_ms * 1000, outcome);
    change_state(workflow, WORKFLOW_PROCESSING, record, outcome);
    return step(workflow, &(struct asl_event){.type = ASL_RETRY, .now_us = record->at_us}, record,
                outcome);
}

bool workflow_can_retry(const struct workflow *workflow)
{
    return workflow->state == WORKFLOW_FAILED && workflow->head.run < INT16_MAX &&
           workflow->execution != NULL && asl_execution_can_retry(workflow->execution);
}

bool workflow_failed_in(const struct workflow *workflow, struct buffer *path)
{
    return workflow->state == WORKFLOW_FAILED && workflow->execution != NULL &&
           asl_execution_failed_in(workflow->execution, path);
}

static bool is_allowed(const struct workflow *workflow, enum record_kind kind)
{
    bool lives = workflow->state == WORKFLOW_PENDING || workflow->state == WORKFLOW_PROCESSING;
    bool paused = workflow_paused(workflow);
    switch (kind) {
    case RECORD_ACCEPTED:
        return workflow->state == WORKFLOW_NONE;
    case RECORD_STARTED:
        return workflow->state == WORKFLOW_NONE || (workflow->state == WORKFLOW_PENDING && !paused);
    case RECORD_TASK_SUCCEEDED:
    case RECORD_TASK_FAILED:
    case RECORD_TASK_DELIVERED:
    case RECORD_HEARTBEAT:
        return workflow->state == WORKFLOW_PROCESSING;
    case RECORD_TIMER_FIRED:
    case RECORD_TIMED_OUT:
        return workflow->state == WORKFLOW_PROCESSING && !paused;
    case RECORD_CANCELLED:
    case RECORD_SIGNAL:
        return lives;
    case RECORD_PAUSED:
        return lives && !paused;
    case RECORD_RESUMED:
        return paused;
    case RECORD_RETRIED:
        return workflow_can_retry(workflow);
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
    enum error_code code = ERR_OK;
    size_t kept_bytes = workflow->signals.kept_bytes;
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
        code = workflow_take_answer(workflow, record, outcome);
        break;
    case RECORD_CANCELLED:
    case RECORD_TIMED_OUT:
        code = stop(workflow, record, outcome);
        break;
    case RECORD_TASK_DELIVERED:
    case RECORD_HEARTBEAT:
        code = note(workflow, record, outcome);
        break;
    case RECORD_SIGNAL:
        code = take_signal(workflow, record, outcome);
        break;
    case RECORD_PAUSED:
        workflow_pause_begin(workflow, record->at_us);
        break;
    case RECORD_RESUMED:
        resume(workflow, record, outcome);
        break;
    case RECORD_RETRIED:
        code = retry(workflow, record, outcome);
        break;
    case RECORD_KINDS:
        break;
    }
    if (code == ERR_OK) {
        workflow->records++;
        workflow->last_us = record->at_us;
        workflow_weigh(workflow, record, kept_bytes);
    }
    return code;
}

struct uuid workflow_event_id(const struct workflow *workflow, int32_t n, size_t index)
{
    return workflow_event_id_of(&workflow->head.id, workflow->head.run, n, index);
}

struct uuid workflow_event_id_of(const struct uuid *id, int16_t run, int32_t n, size_t index)
{
    struct {
        struct uuid id;
        uint64_t run, n, index;
    } name = {*id, (uint64_t)run, (uint64_t)n, index};
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(&name, sizeof name));
    return uuid_from_hash(canonical.digest);
}
