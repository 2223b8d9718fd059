/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "core/asl_frame.h"

static void state_failed(struct asl_execution *execution, struct asl_frame *frame,
                         struct asl_failure *failure);

/* -- small helpers -- */

static struct asl_effect *effect_for(struct asl_execution *execution, enum asl_effect_type type,
                                     const struct asl_frame *frame)
{
    struct asl_effect *effect = asl_effect_add(execution->effects, type, frame->state);
    effect->visit = frame->visit;
    effect->attempt = frame->attempt;
    return effect;
}

static void data_fini(struct asl_data *data)
{
    json_release(data->json);
    *data = (struct asl_data){0};
}

static bool within_limits(const struct asl_execution *execution, const struct asl_bound *bound)
{
    return bound->bytes <= execution->data_bytes_max && bound->depth <= ASL_DATA_DEPTH_MAX;
}

/* False, with the failure, when the data are larger than a state may have. They are counted only
 * when the bounds alone do not settle it. */
static bool data_fits(const struct asl_execution *execution, struct asl_data *data,
                      const struct asl_state *state, struct asl_failure *failure)
{
    if (within_limits(execution, &data->bound))
        return true;
    data->bound.depth = asl_bound_of(data->json).depth;
    if (data->bound.depth > ASL_DATA_DEPTH_MAX) {
        asl_failure_set(failure, ASL_ERROR_DATA_LIMIT,
                        "The data of the state \"%s\" are nested %zu deep; at most %d are allowed.",
                        state->name, data->bound.depth, ASL_DATA_DEPTH_MAX);
        return false;
    }
    data->bound.bytes = json_text_bytes(data->json);
    if (within_limits(execution, &data->bound))
        return true;
    asl_failure_set(failure, ASL_ERROR_DATA_LIMIT,
                    "The data of the state \"%s\" have %zu octets; at most %zu are allowed.",
                    state->name, data->bound.bytes, execution->data_bytes_max);
    return false;
}

static struct json *context_of(const struct asl_execution *execution, const struct asl_frame *frame)
{
    char entered[INSTANT_TEXT_BYTES];
    struct json *state = json_object();
    json_object_set(state, "EnteredTime", json_text(instant_format(frame->entered_us, entered)));
    json_object_set(state, "Name", json_text(frame->state->name));
    json_object_set(state, "RetryCount", json_int((int64_t)frame->attempt - 1));
    return json_object_with(execution->context, "State", strlen("State"), state);
}

/* A view of data for the frame's state; the context is made only when a path looks at it. */
static struct asl_view view_open(struct asl_execution *execution, const struct asl_frame *frame,
                                 const struct json *data)
{
    struct json *context = frame->state->uses_context ? context_of(execution, frame) : NULL;
    return (struct asl_view){data, context, execution->seed, &execution->draws};
}

static void view_close(struct asl_view *view) { json_release((struct json *)view->context); }

/* -- data flow: InputPath, Parameters, ResultSelector, ResultPath, OutputPath -- */

/* What InputPath or OutputPath selects. */
static bool data_select(struct asl_execution *execution, const struct asl_frame *frame,
                        const struct jsonpath *path, bool none, const char *field,
                        const struct asl_data *from, struct asl_data *to,
                        struct asl_failure *failure)
{
    if (none) {
        *to = (struct asl_data){json_object(), {2, 1}};
        return true;
    }
    if (!path || (jsonpath_is_root(path) && !jsonpath_is_context(path))) {
        *to = (struct asl_data){json_hold(from->json), from->bound};
        return true;
    }
    struct asl_view view = view_open(execution, frame, from->json);
    to->json = asl_view_get(&view, path);
    view_close(&view);
    if (jsonpath_is_context(path) || jsonpath_may_repeat(path))
        to->bound = asl_bound_of(to->json);
    else
        to->bound = (struct asl_bound){from->bound.bytes + 2,
                                       from->bound.depth + !jsonpath_is_definite(path)};
    if (to->json)
        return true;
    asl_failure_set(failure, ASL_ERROR_RUNTIME, "The %s %s of the state \"%s\" finds nothing.",
                    field, jsonpath_text(path), frame->state->name);
    return false;
}

/* Parameters or ResultSelector; *data is replaced. */
static bool data_shape(struct asl_execution *execution, const struct asl_frame *frame,
                       const struct asl_template *template, struct asl_data *data,
                       struct asl_failure *failure)
{
    if (!template)
        return true;
    struct asl_view view = view_open(execution, frame, data->json);
    struct asl_data shaped = {0};
    shaped.json = asl_template_run(template, &view, &data->bound, &shaped.bound, failure);
    view_close(&view);
    if (!shaped.json)
        return false;
    data_fini(data);
    *data = shaped;
    return data_fits(execution, data, frame->state, failure);
}

/* Puts a result into the raw input at ResultPath; *data, the result, is replaced. */
static bool data_combine(struct asl_execution *execution, const struct asl_frame *frame,
                         const struct jsonpath *path, bool discarded, struct asl_data *data,
                         struct asl_failure *failure)
{
    if (!discarded && (!path || jsonpath_is_root(path)))
        return true;
    const struct asl_data *raw = &frame->raw;
    if (discarded) {
        data_fini(data);
        *data = (struct asl_data){json_hold(raw->json), raw->bound};
        return true;
    }
    struct json *combined = jsonpath_put(path, raw->json, data->json);
    data->json = combined;
    data->bound.bytes += raw->bound.bytes + strlen(jsonpath_text(path)) * 6 + 4;
    data->bound.depth += jsonpath_depth(path);
    if (data->bound.depth < raw->bound.depth)
        data->bound.depth = raw->bound.depth;
    if (combined)
        return data_fits(execution, data, frame->state, failure);
    asl_failure_set(failure, ASL_ERROR_RESULT_PATH,
                    "The ResultPath %s of the state \"%s\" does not fit the state's input.",
                    jsonpath_text(path), frame->state->name);
    return false;
}

/* The state's effective input; after Parameters when `shape`. */
static bool data_input(struct asl_execution *execution, const struct asl_frame *frame, bool shape,
                       struct asl_data *input, struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    *input = (struct asl_data){0};
    return data_select(execution, frame, state->input_path, state->input_none, "InputPath",
                       &frame->raw, input, failure) &&
           (!shape || data_shape(execution, frame, state->parameters, input, failure));
}

/* -- leaving a state -- */

static void execution_end(struct asl_execution *execution)
{
    asl_frame_free(execution, execution->root);
    execution->root = NULL;
    execution->ended = true;
}

static void execution_fail(struct asl_execution *execution, const struct asl_failure *failure)
{
    asl_frame_abandon(execution, execution->root);
    asl_effect_failure(asl_effect_add(execution->effects, ASL_FAILED, NULL), failure);
    execution_end(execution);
}

/* The frame goes on with the given state; *data is taken over. */
static void frame_go(struct asl_execution *execution, struct asl_frame *frame,
                     const struct asl_state *state, struct asl_data *data)
{
    json_release(frame->raw.json);
    frame->raw = *data;
    *data = (struct asl_data){0};
    frame->state = state;
    frame->fresh = true;
    asl_ready_add(execution, frame);
}

static void state_succeeded(struct asl_execution *execution, struct asl_frame *frame,
                            struct asl_data *result);

/* The frame's list of states has ended with this output, which is taken over. */
static void frame_finish(struct asl_execution *execution, struct asl_frame *frame,
                         struct asl_data *output)
{
    struct asl_frame *parent = frame->parent;
    if (!parent) {
        asl_effect_hold(asl_effect_add(execution->effects, ASL_SUCCEEDED, NULL), output->json);
        data_fini(output);
        execution_end(execution);
        return;
    }
    parent->results[frame->branch] = output->json;
    struct asl_bound *bound = &parent->results_bound;
    bound->bytes += output->bound.bytes + 1;
    bound->depth = output->bound.depth > bound->depth ? output->bound.depth : bound->depth;
    *output = (struct asl_data){0};
    parent->children[frame->branch] = NULL;
    parent->running--;
    asl_frame_free(execution, frame);
    if (parent->running > 0)
        return;
    struct asl_data result = {json_array(), {bound->bytes + 2, bound->depth + 1}};
    for (size_t i = 0; i < parent->children_count; i++) {
        json_array_append(result.json, parent->results[i]);
        parent->results[i] = NULL;
    }
    asl_frame_clear_children(execution, parent);
    state_succeeded(execution, parent, &result);
}

/* Leaves the state for the given one (NULL: the end); *data becomes the next one's raw input. */
static void state_exit(struct asl_execution *execution, struct asl_frame *frame,
                       const struct asl_state *next, struct asl_data *data)
{
    asl_effect_hold(effect_for(execution, ASL_STATE_EXITED, frame), data->json);
    if (next)
        frame_go(execution, frame, next, data);
    else
        frame_finish(execution, frame, data);
}

/* Applies OutputPath and leaves; *data is taken over. */
static void state_output(struct asl_execution *execution, struct asl_frame *frame,
                         const struct asl_state *next, struct asl_data *data)
{
    const struct asl_state *state = frame->state;
    struct asl_failure failure = {0};
    struct asl_data output = {0};
    bool fine = data_select(execution, frame, state->output_path, state->output_none, "OutputPath",
                            data, &output, &failure) &&
                data_fits(execution, &output, state, &failure);
    data_fini(data);
    if (fine) {
        state_exit(execution, frame, next, &output);
    } else {
        data_fini(&output);
        state_failed(execution, frame, &failure);
    }
    asl_failure_clear(&failure);
}

/* The state's work has this result, which is taken over. */
static void state_succeeded(struct asl_execution *execution, struct asl_frame *frame,
                            struct asl_data *result)
{
    const struct asl_state *state = frame->state;
    struct asl_failure failure = {0};
    if (data_fits(execution, result, state, &failure) &&
        data_shape(execution, frame, state->result_selector, result, &failure) &&
        data_combine(execution, frame, state->result_path, state->result_discarded, result,
                     &failure)) {
        state_output(execution, frame, state->next, result);
    } else {
        data_fini(result);
        state_failed(execution, frame, &failure);
    }
    asl_failure_clear(&failure);
}

/* -- when a state fails: Retry, then Catch, then whatever is around it -- */

static bool state_retry(struct asl_execution *execution, struct asl_frame *frame,
                        const struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    for (size_t i = 0; i < state->retriers_count; i++) {
        const struct asl_retrier *retrier = &state->retriers[i];
        if (!asl_error_matches(retrier->names, failure))
            continue;
        if (frame->retries[i] >= retrier->max_attempts)
            return false; /* the first retrier that names the error decides */
        int64_t delay_us = asl_retry_delay_us(retrier, frame->retries[i]++, execution->random);
        frame->retrying = true;
        struct asl_effect *effect = effect_for(execution, ASL_TIMER, frame);
        effect->wait = asl_wait_open(execution, frame);
        effect->due_us = execution->now_us + delay_us;
        effect->retry = true;
        effect->attempt = frame->attempt + 1;
        asl_effect_failure(effect, failure);
        return true;
    }
    return false;
}

static bool state_catch(struct asl_execution *execution, struct asl_frame *frame,
                        struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    size_t i = 0;
    while (i < state->catchers_count && !asl_error_matches(state->catchers[i].names, failure))
        i++;
    if (i == state->catchers_count)
        return false;
    const struct asl_catcher *catcher = &state->catchers[i];
    struct json *output = json_object();
    json_object_set(output, "Error", json_text(failure->error));
    json_object_set(output, "Cause", json_text(failure->cause));
    struct asl_data data = {output, asl_bound_of(output)};
    struct asl_failure second = {0};
    if (!data_combine(execution, frame, catcher->result_path, catcher->result_discarded, &data,
                      &second)) {
        data_fini(&data);
        asl_failure_set_texts(failure, second.error, second.cause);
        asl_failure_clear(&second);
        return false;
    }
    asl_effect_failure(effect_for(execution, ASL_STATE_CAUGHT, frame), failure);
    state_exit(execution, frame, catcher->next, &data);
    return true;
}

static void state_failed(struct asl_execution *execution, struct asl_frame *frame,
                         struct asl_failure *failure)
{
    if (frame->children_count) {
        asl_frame_abandon(execution, frame);
        asl_frame_clear_children(execution, frame);
    }
    if (state_retry(execution, frame, failure) || state_catch(execution, frame, failure))
        return;
    if (!frame->parent) {
        execution_fail(execution, failure);
        return;
    }
    failure->from_branch = true;
    state_failed(execution, frame->parent, failure);
}

/* -- one function for each kind of state; each takes the effective input over -- */

static void task_start(struct asl_execution *execution, struct asl_frame *frame,
                       struct asl_data *input, int64_t timeout_ms)
{
    struct asl_effect *effect = effect_for(execution, ASL_CALL, frame);
    effect->wait = asl_wait_open(execution, frame);
    effect->resource = frame->state->resource;
    effect->timeout_ms = timeout_ms;
    asl_effect_hold(effect, input->json);
    data_fini(input);
}

static void wait_start(struct asl_execution *execution, struct asl_frame *frame, int64_t due_us)
{
    struct asl_effect *effect = effect_for(execution, ASL_TIMER, frame);
    effect->wait = asl_wait_open(execution, frame);
    effect->due_us = due_us;
}

static void parallel_start(struct asl_execution *execution, struct asl_frame *frame,
                           struct asl_data *input)
{
    const struct asl_state *state = frame->state;
    frame->children_count = frame->running = state->branches_count;
    frame->children = must_calloc(frame->children_count, sizeof *frame->children);
    frame->results = must_calloc(frame->children_count, sizeof *frame->results);
    for (size_t i = 0; i < frame->children_count; i++) {
        const struct asl_scope *scope = &state->branches[i];
        struct asl_data data = {json_hold(input->json), input->bound};
        frame->children[i] = asl_frame_new(frame, scope, (uint32_t)i);
        frame_go(execution, frame->children[i], scope->start, &data);
    }
    data_fini(input);
}

/* A whole number of seconds that a path finds; -1 with the failure when it is none. */
static int64_t seconds_at(struct asl_execution *execution, const struct asl_frame *frame,
                          const struct jsonpath *path, const struct json *input, int64_t min,
                          struct asl_failure *failure)
{
    struct asl_view view = view_open(execution, frame, input);
    struct json *value = asl_view_get(&view, path);
    view_close(&view);
    int64_t seconds = json_int_value(value);
    if (!json_is_int(value) || seconds < min || seconds > ASL_SECONDS_MAX) {
        asl_failure_set(failure, ASL_ERROR_RUNTIME,
                        "%s of the state \"%s\" must find a whole number from %d to %d.",
                        jsonpath_text(path), frame->state->name, (int)min, ASL_SECONDS_MAX);
        seconds = -1;
    }
    json_release(value);
    return seconds;
}

/* When a Wait state is over; false with the failure. */
static bool wait_due(struct asl_execution *execution, const struct asl_frame *frame,
                     const struct json *input, int64_t *due_us, struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    if (state->wait_seconds_path) {
        int64_t seconds = seconds_at(execution, frame, state->wait_seconds_path, input, 0, failure);
        *due_us = execution->now_us + seconds * 1000000;
        return seconds >= 0;
    }
    if (!state->wait_until_path) {
        *due_us = state->wait_has_until ? state->wait_until_us : execution->now_us + state->wait_us;
        return true;
    }
    struct asl_view view = view_open(execution, frame, input);
    struct json *value = asl_view_get(&view, state->wait_until_path);
    view_close(&view);
    size_t bytes = 0;
    const char *text = json_string_value(value, &bytes);
    bool fine = text && instant_parse(text, bytes, due_us);
    json_release(value);
    if (!fine)
        asl_failure_set(failure, ASL_ERROR_RUNTIME,
                        "%s of the state \"%s\" must find an RFC 3339 timestamp.",
                        jsonpath_text(state->wait_until_path), state->name);
    return fine;
}

/* The state that the first fitting rule names; NULL with the failure. */
static const struct asl_state *choice_take(struct asl_execution *execution,
                                           const struct asl_frame *frame, const struct json *input,
                                           struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    struct asl_view view = view_open(execution, frame, input);
    const struct asl_state *next = NULL;
    enum asl_truth truth = ASL_FALSE;
    for (size_t i = 0; i < state->choices_count && truth == ASL_FALSE; i++) {
        truth = asl_rule_test(state->choices[i].rule, &view, failure);
        if (truth == ASL_TRUE)
            next = state->choices[i].next;
    }
    view_close(&view);
    if (truth == ASL_FALSE)
        next = state->choice_default;
    if (!next && truth == ASL_FALSE)
        asl_failure_set(failure, ASL_ERROR_NO_CHOICE,
                        "No choice of the state \"%s\" fits, and it has no Default.", state->name);
    return next;
}

/* The text of Error or Cause; "" when the state gives none, NULL with the failure. */
static char *fail_text(struct asl_execution *execution, const struct asl_frame *frame,
                       const struct asl_text *text, const struct json *input, const char *field,
                       struct asl_failure *failure)
{
    if (!text->path && !text->call)
        return must_strdup(text->text ? text->text : "");
    struct asl_view view = view_open(execution, frame, input);
    struct json *value =
        text->path ? asl_view_get(&view, text->path) : asl_call_run(text->call, &view, failure);
    view_close(&view);
    char *found = NULL;
    if (json_type_of(value) == JSON_STRING)
        found = must_strdup(json_string_value(value, NULL));
    else if (!failure->error)
        asl_failure_set(failure, ASL_ERROR_RUNTIME, "%sPath of the state \"%s\" must find a text.",
                        field, frame->state->name);
    json_release(value);
    return found;
}

static void fail_start(struct asl_execution *execution, const struct asl_frame *frame,
                       const struct json *input, struct asl_failure *failure)
{
    char *error = fail_text(execution, frame, &frame->state->error, input, "Error", failure);
    char *cause =
        error ? fail_text(execution, frame, &frame->state->cause, input, "Cause", failure) : NULL;
    if (error && cause)
        asl_failure_set_texts(failure, error, cause);
    free(error);
    free(cause);
}

/* Does the state's work, given its effective input, which is taken over unless there is a
 * failure. */
static void state_work(struct asl_execution *execution, struct asl_frame *frame,
                       struct asl_data *input, struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    int64_t number = 0;
    const struct asl_state *next;
    switch (state->type) {
    case ASL_TASK:
        number = state->timeout_ms;
        if (state->timeout_path)
            number = 1000 *
                     seconds_at(execution, frame, state->timeout_path, frame->raw.json, 1, failure);
        if (number >= 0)
            task_start(execution, frame, input, number);
        return;
    case ASL_PASS:
        if (state->result) {
            data_fini(input);
            *input = (struct asl_data){json_hold(state->result), asl_bound_of(state->result)};
        }
        if (data_combine(execution, frame, state->result_path, state->result_discarded, input,
                         failure))
            state_output(execution, frame, state->next, input);
        return;
    case ASL_CHOICE:
        next = choice_take(execution, frame, input->json, failure);
        if (next)
            state_output(execution, frame, next, input);
        return;
    case ASL_WAIT:
        if (wait_due(execution, frame, input->json, &number, failure)) {
            wait_start(execution, frame, number);
            data_fini(input);
        }
        return;
    case ASL_SUCCEED:
        state_output(execution, frame, NULL, input);
        return;
    case ASL_FAIL:
        fail_start(execution, frame, input->json, failure);
        return;
    case ASL_PARALLEL:
        parallel_start(execution, frame, input);
        return;
    case ASL_STATE_TYPES:
        break;
    }
    BUG_IF(true);
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
    asl_effect_hold(effect_for(execution, ASL_STATE_ENTERED, frame), frame->raw.json);
}

static void frame_run(struct asl_execution *execution, struct asl_frame *frame)
{
    struct asl_failure failure = {0};
    struct asl_data input = {0};
    if (frame->fresh)
        state_enter(execution, frame);
    if (++execution->transitions > ASL_TRANSITIONS_PER_STEP_MAX)
        asl_failure_set(
            &failure, ASL_ERROR_RUNTIME,
            "More than %d states in a row without waiting for anything, the last one \"%s\".",
            ASL_TRANSITIONS_PER_STEP_MAX, frame->state->name);
    else if (data_input(execution, frame, true, &input, &failure))
        state_work(execution, frame, &input, &failure);
    if (failure.error) {
        data_fini(&input);
        state_failed(execution, frame, &failure);
    }
    asl_failure_clear(&failure);
}

/* -- events -- */

static void begin(struct asl_execution *execution)
{
    execution->started = true;
    execution->root = asl_frame_new(NULL, &execution->machine->scope, 0);
    struct asl_data input = {json_hold(execution->input), asl_bound_of(execution->input)};
    struct asl_failure failure = {0};
    if (data_fits(execution, &input, execution->machine->scope.start, &failure))
        frame_go(execution, execution->root, execution->machine->scope.start, &input);
    else
        execution_fail(execution, &failure);
    data_fini(&input);
    asl_failure_clear(&failure);
}

static void task_succeeded(struct asl_execution *execution, struct asl_frame *frame,
                           const struct json *result)
{
    struct json *value = result ? json_hold(result) : json_null();
    struct asl_data data = {value, asl_bound_of(value)};
    state_succeeded(execution, frame, &data);
}

static void task_failed(struct asl_execution *execution, struct asl_frame *frame,
                        const struct asl_event *event)
{
    struct asl_failure failure = {0};
    asl_failure_set_texts(&failure, event->error, event->cause);
    state_failed(execution, frame, &failure);
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
    if (data_input(execution, frame, false, &input, &failure))
        state_output(execution, frame, frame->state->next, &input);
    else
        state_failed(execution, frame, &failure);
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

static enum error_code answer(struct asl_execution *execution, const struct asl_event *event)
{
    struct asl_frame *frame = asl_wait_find(execution, event->wait);
    if (!frame)
        return ERR_CONFLICT;
    bool is_timer = frame->retrying || frame->state->type == ASL_WAIT;
    if (is_timer != (event->type == ASL_TIMER_FIRED))
        return ERR_CONFLICT;
    asl_wait_close(execution, event->wait);
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
    if (execution->ended || (event->type == ASL_START) == execution->started) {
        bool stop_before_start = event->type == ASL_STOP && !execution->ended;
        if (!stop_before_start)
            return ERR_CONFLICT;
    }
    execution->now_us = event->now_us;
    execution->random = event->random;
    execution->transitions = 0;
    execution->effects = effects;
    enum error_code code = ERR_OK;
    if (event->type == ASL_START)
        begin(execution);
    else if (event->type == ASL_STOP)
        stop(execution, event);
    else
        code = answer(execution, event);
    struct asl_frame *frame;
    while (!execution->ended && (frame = asl_ready_take(execution)))
        frame_run(execution, frame);
    execution->effects = NULL;
    return code;
}
