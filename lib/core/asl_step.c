/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "core/asl_work.h"

/* -- leaving a state -- */

static void execution_end(struct asl_execution *execution)
{
    asl_frame_free(execution, execution->root);
    execution->root = NULL;
    execution->ended = true;
}

/* The frames stay as they are, so that the execution can go on from there. */
static void execution_fail(struct asl_execution *execution, const struct asl_failure *failure)
{
    asl_frame_abandon(execution, execution->root);
    asl_effect_failure(asl_effect_add(execution->effects, ASL_FAILED, NULL), failure);
    execution->ended = execution->failed = true;
}

void asl_frame_go(struct asl_execution *execution, struct asl_frame *frame,
                  const struct asl_state *state, struct asl_data *data)
{
    json_release(frame->raw.json);
    frame->raw = *data;
    *data = (struct asl_data){0};
    frame->state = state;
    frame->fresh = true;
    asl_ready_add(execution, frame);
}

/* The frame's list of states has ended with this output, which is taken over. */
static void frame_finish(struct asl_execution *execution, struct asl_frame *frame,
                         struct asl_data *output)
{
    if (frame->parent) {
        asl_work_child_ended(execution, frame->parent, frame->branch, output);
        return;
    }
    asl_effect_hold(asl_effect_add(execution->effects, ASL_SUCCEEDED, NULL), output->json);
    asl_data_fini(output);
    execution_end(execution);
}

/* Leaves the state for the given one (NULL: the end); *data becomes the next one's raw input. */
static void state_exit(struct asl_execution *execution, struct asl_frame *frame,
                       const struct asl_state *next, struct asl_data *data)
{
    asl_effect_hold(asl_frame_effect(execution, ASL_STATE_EXITED, frame), data->json);
    if (frame->assigned) {
        json_release(frame->variables);
        frame->variables = frame->assigned;
        frame->assigned = NULL;
    }
    if (next)
        asl_frame_go(execution, frame, next, data);
    else
        frame_finish(execution, frame, data);
}

void asl_state_output(struct asl_execution *execution, struct asl_frame *frame,
                      const struct asl_state *next, struct asl_data *data)
{
    struct asl_failure failure = {0};
    struct asl_data output = {0};
    bool fine = asl_flow_output(execution, frame, data, &output, &failure);
    asl_data_fini(data);
    if (fine) {
        state_exit(execution, frame, next, &output);
    } else {
        asl_data_fini(&output);
        asl_state_failed(execution, frame, &failure);
    }
    asl_failure_clear(&failure);
}

void asl_state_succeeded(struct asl_execution *execution, struct asl_frame *frame,
                         struct asl_data *result)
{
    const struct asl_state *state = frame->state;
    struct asl_failure failure = {0};
    if (asl_data_fits(execution, result, state, &failure) &&
        asl_flow_assign(execution, frame, state->assign, result, &failure) &&
        asl_flow_shape(execution, frame, state->result_selector, NULL, result, &failure) &&
        asl_flow_combine(execution, frame, state->result_path, state->result_discarded, result,
                         &failure)) {
        asl_state_output(execution, frame, state->next, result);
    } else {
        asl_data_fini(result);
        asl_state_failed(execution, frame, &failure);
    }
    asl_failure_clear(&failure);
}

/* -- when a state fails -- */

/* For the delay of a retry: drawn by the shell where a call has failed; a failure of the states
 * themselves comes without. */
static double jitter(struct asl_execution *execution)
{
    if (execution->random > 0)
        return execution->random;
    return (double)(asl_draw(execution->seed, &execution->draws) >> 11) * 0x1p-53;
}

/* The number of the retrier that lets the state try again; retriers_count when none does. The first one that
 * names the error decides. */
static size_t retrier_of(const struct asl_frame *frame, const struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    for (size_t i = 0; i < state->retriers_count; i++)
        if (asl_error_matches(state->retriers[i].names, failure))
            return frame->retries[i] < state->retriers[i].max_attempts ? i : state->retriers_count;
    return state->retriers_count;
}

/* Likewise of the catcher. */
static size_t catcher_of(const struct asl_state *state, const struct asl_failure *failure)
{
    size_t i = 0;
    while (i < state->catchers_count && !asl_error_matches(state->catchers[i].names, failure))
        i++;
    return i;
}

/* Whether the state, or one around it, retries or catches the failure. */
static bool is_handled(const struct asl_frame *frame, const struct asl_failure *failure)
{
    struct asl_failure seen = *failure;
    for (; frame; frame = frame->parent, seen.from_branch = true)
        if (retrier_of(frame, &seen) < frame->state->retriers_count ||
            catcher_of(frame->state, &seen) < frame->state->catchers_count)
            return true;
    return false;
}

static bool state_retry(struct asl_execution *execution, struct asl_frame *frame,
                        const struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    size_t i = retrier_of(frame, failure);
    if (i == state->retriers_count)
        return false;
    int64_t delay_us = asl_retry_delay_us(&state->retriers[i], frame->retries[i]++,
                                          state->retriers[i].full_jitter ? jitter(execution) : 0);
    frame->retrying = true;
    struct asl_effect *effect = asl_frame_effect(execution, ASL_TIMER, frame);
    effect->wait = asl_wait_open(execution, frame);
    effect->due_us = execution->now_us + delay_us;
    effect->retry = true;
    effect->retry_number = frame->retries[i];
    effect->retries_max = state->retriers[i].max_attempts;
    effect->attempt = frame->attempt + 1;
    asl_effect_failure(effect, failure);
    return true;
}

static struct asl_data error_output(const struct asl_failure *failure)
{
    struct json *output = json_object();
    json_object_set(output, "Error", json_text(failure->error));
    json_object_set(output, "Cause", json_text(failure->cause));
    return (struct asl_data){output, asl_bound_of(output)};
}

static bool state_catch(struct asl_execution *execution, struct asl_frame *frame,
                        struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    size_t i = catcher_of(state, failure);
    if (i == state->catchers_count)
        return false;
    const struct asl_catcher *catcher = &state->catchers[i];
    struct asl_data data = error_output(failure);
    struct asl_failure second = {0};
    if (!asl_data_fits(execution, &data, state, &second) ||
        !asl_flow_assign(execution, frame, catcher->assign, &data, &second) ||
        !asl_flow_combine(execution, frame, catcher->result_path, catcher->result_discarded, &data,
                          &second)) {
        asl_data_fini(&data);
        asl_failure_set_texts(failure, second.error, second.cause);
        asl_failure_clear(&second);
        return false;
    }
    asl_effect_failure(asl_frame_effect(execution, ASL_STATE_CAUGHT, frame), failure);
    state_exit(execution, frame, catcher->next, &data);
    return true;
}

void asl_state_failed(struct asl_execution *execution, struct asl_frame *frame,
                      struct asl_failure *failure)
{
    json_release(frame->assigned);
    frame->assigned = NULL;
    if (!is_handled(frame, failure)) {
        frame->failed = true;
        execution_fail(execution, failure);
        return;
    }
    if (frame->team) {
        asl_frame_abandon(execution, frame);
        asl_team_free(execution, frame);
    }
    if (state_retry(execution, frame, failure) || state_catch(execution, frame, failure))
        return;
    if (!frame->parent) { /* its catcher failed */
        frame->failed = true;
        execution_fail(execution, failure);
        return;
    }
    failure->from_branch = true;
    asl_state_failed(execution, frame->parent, failure);
}

/* Begins again what failed, and what was abandoned because of it. */
static void frame_retry(struct asl_execution *execution, struct asl_frame *frame)
{
    if (frame->failed && frame->team)
        asl_team_free(execution, frame);
    if (frame->retries && !frame->fresh) /* else they are those of the state before */
        memset(frame->retries, 0, frame->state->retriers_count * sizeof *frame->retries);
    for (size_t i = 0; frame->team && i < frame->team->count; i++)
        if (frame->team->children[i])
            frame_retry(execution, frame->team->children[i]);
    bool waited = frame->wait != 0;
    if (waited)
        asl_wait_close(execution, frame->wait);
    if (!waited && !frame->failed)
        return;
    frame->failed = frame->retrying = false;
    frame->in_a_row = 0;
    frame->attempt++;
    asl_ready_add(execution, frame);
}

/* -- entering a state -- */

static void state_enter(struct asl_execution *execution, struct asl_frame *frame)
{
    const struct asl_state *state = frame->state;
    frame->fresh = false;
    frame->visit = execution->visits[state->index]++;
    frame->attempt = 1;
    frame->entered_us = execution->now_us;
    free(frame->retries);
    frame->retries =
        state->retriers_count ? must_calloc(state->retriers_count, sizeof *frame->retries) : NULL;
    asl_effect_hold(asl_frame_effect(execution, ASL_STATE_ENTERED, frame), frame->raw.json);
}

/* Whoever goes round in circles ends here. */
static bool may_go_on(struct asl_execution *execution, struct asl_frame *frame,
                      struct asl_failure *failure)
{
    frame->in_a_row++;
    execution->transitions++;
    execution->transitions_life++;
    asl_meter_made(&execution->meter, 2 * sizeof(struct asl_effect));
    if (frame->in_a_row > ASL_TRANSITIONS_IN_A_ROW_MAX)
        asl_failure_set(
            failure, ASL_ERROR_RUNTIME,
            "More than %d states in a row without waiting for anything, the last one \"%s\".",
            ASL_TRANSITIONS_IN_A_ROW_MAX, frame->state->name);
    else if (execution->transitions > ASL_TRANSITIONS_PER_STEP_MAX)
        asl_failure_set(failure, ASL_ERROR_RUNTIME,
                        "The branches and items entered more than %d states without waiting for "
                        "anything, the last one \"%s\".",
                        ASL_TRANSITIONS_PER_STEP_MAX, frame->state->name);
    else if (execution->calls >= ASL_CALLS_PER_STEP_MAX)
        asl_failure_set(failure, ASL_ERROR_RUNTIME,
                        "The branches and items began %d tasks without waiting for the end of one, "
                        "the last state was \"%s\".",
                        ASL_CALLS_PER_STEP_MAX, frame->state->name);
    else if (execution->transitions_life > ASL_TRANSITIONS_MAX)
        asl_failure_set(failure, ASL_ERROR_RUNTIME,
                        "More than %d states were entered, the last one \"%s\".",
                        ASL_TRANSITIONS_MAX, frame->state->name);
    return !failure->error && asl_meter_fits(&execution->meter, failure);
}

static void frame_run(struct asl_execution *execution, struct asl_frame *frame)
{
    struct asl_failure failure = {0};
    struct asl_data input = {0};
    if (frame->fresh)
        state_enter(execution, frame);
    frame->token = execution->waits_given + 1;
    if (may_go_on(execution, frame, &failure) &&
        asl_flow_input(execution, frame, frame->state->type != ASL_MAP, &input, &failure))
        asl_work(execution, frame, &input, &failure);
    if (failure.error) {
        asl_data_fini(&input);
        asl_state_failed(execution, frame, &failure);
    }
    asl_failure_clear(&failure);
}

/* -- events -- */

static void begin(struct asl_execution *execution)
{
    const struct asl_scope *scope = &execution->machine->scope;
    execution->started = true;
    execution->root = asl_frame_new(NULL, scope, 0);
    struct asl_data input = {json_hold(execution->input),
                             asl_measure(&execution->meter, execution->input)};
    struct asl_failure failure = {0};
    if (asl_data_fits(execution, &input, scope->start, &failure))
        asl_frame_go(execution, execution->root, scope->start, &input);
    else
        execution_fail(execution, &failure);
    asl_data_fini(&input);
    asl_failure_clear(&failure);
}

static void task_succeeded(struct asl_execution *execution, struct asl_frame *frame,
                           const struct json *result)
{
    struct json *value = result ? json_hold(result) : json_null();
    struct asl_data data = {value, asl_measure(&execution->meter, value)};
    asl_state_succeeded(execution, frame, &data);
}

static void task_failed(struct asl_execution *execution, struct asl_frame *frame,
                        const struct asl_event *event)
{
    struct asl_failure failure = {0};
    asl_failure_set_texts(&failure, event->error, event->cause);
    asl_state_failed(execution, frame, &failure);
    asl_failure_clear(&failure);
}

static void timer_fired(struct asl_execution *execution, struct asl_frame *frame)
{
    if (frame->retrying) {
        frame->retrying = false;
        frame->attempt++;
        asl_ready_add(execution, frame);
        return;
    }
    struct asl_data input;
    struct asl_failure failure = {0};
    if (asl_flow_input(execution, frame, false, &input, &failure) &&
        asl_flow_assign(execution, frame, frame->state->assign, &input, &failure)) {
        asl_state_output(execution, frame, frame->state->next, &input);
    } else {
        asl_data_fini(&input);
        asl_state_failed(execution, frame, &failure);
    }
    asl_failure_clear(&failure);
}

static void stop(struct asl_execution *execution, const struct asl_event *event)
{
    struct asl_failure failure = {0};
    asl_failure_set_texts(&failure, event->error, event->cause);
    if (!execution->root)
        execution->root = asl_frame_new(NULL, &execution->machine->scope, 0);
    execution->started = true;
    execution_fail(execution, &failure);
    asl_failure_clear(&failure);
}

bool asl_execution_can_retry(const struct asl_execution *execution)
{
    return execution->failed && execution->root && execution->root->state;
}

static void retry(struct asl_execution *execution)
{
    execution->ended = execution->failed = false;
    frame_retry(execution, execution->root);
}

static enum error_code answer(struct asl_execution *execution, const struct asl_event *event)
{
    struct asl_frame *frame = asl_wait_find(execution, event->wait);
    if (!frame)
        return ERR_CONFLICT;
    bool is_timer = frame->retrying || frame->state->type == ASL_WAIT;
    if (is_timer != (event->type == ASL_TIMER_FIRED))
        return ERR_CONFLICT;
    asl_wait_close(execution, event->wait);
    for (struct asl_frame *waited = frame; waited && !event->at_once; waited = waited->parent)
        waited->in_a_row = 0;
    if (event->type == ASL_TASK_SUCCEEDED)
        task_succeeded(execution, frame, event->result);
    else if (event->type == ASL_TASK_FAILED)
        task_failed(execution, frame, event);
    else
        timer_fired(execution, frame);
    return ERR_OK;
}

enum error_code asl_step(struct asl_execution *execution, const struct asl_event *event,
                         struct asl_effects *effects)
{
    bool fits = event->type == ASL_RETRY   ? asl_execution_can_retry(execution)
                : event->type == ASL_STOP  ? !execution->ended
                : event->type == ASL_START ? !execution->started && !execution->ended
                                           : execution->started && !execution->ended;
    if (!fits)
        return ERR_CONFLICT;
    execution->now_us = event->now_us;
    execution->random = event->random;
    if (!event->at_once) {
        execution->transitions = execution->calls = 0;
        execution->meter.made_bytes = execution->meter.walked_bytes = 0;
    }
    execution->effects = effects;
    enum error_code code = ERR_OK;
    if (event->type == ASL_START)
        begin(execution);
    else if (event->type == ASL_STOP)
        stop(execution, event);
    else if (event->type == ASL_RETRY)
        retry(execution);
    else
        code = answer(execution, event);
    struct asl_frame *frame;
    while (!execution->ended && (frame = asl_ready_take(execution)))
        frame_run(execution, frame);
    execution->effects = NULL;
    return code;
}
