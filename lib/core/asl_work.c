/* SPDX-License-Identifier: MIT */
#include "core/asl_work.h"

#include <stdlib.h>
#include <string.h>

#include "base/instant.h"

/* A whole number that a path finds; -1 with the failure when it is none. */
static int64_t number_at(struct asl_execution *execution, const struct asl_frame *frame,
                         const struct jsonpath *path, const struct json *data, int64_t min,
                         int64_t max, struct asl_failure *failure)
{
    struct asl_view view = asl_view_open(execution, frame, NULL, data);
    struct json *value = asl_view_get(&view, path, failure);
    asl_view_close(&view);
    int64_t number = json_int_value(value);
    if (!json_is_int(value) || number < min || number > max) {
        asl_failure_set(failure, ASL_ERROR_RUNTIME,
                        "%s of the state \"%s\" must find a whole number from %lld to %lld.",
                        jsonpath_text(path), frame->state->name, (long long)min, (long long)max);
        number = -1;
    }
    json_release(value);
    return number;
}

/* -- Task -- */

/* A time limit in milliseconds: that of the definition, or at a path of what InputPath selects. */
static bool limit_ms(struct asl_execution *execution, const struct asl_frame *frame, int64_t fixed,
                     const struct jsonpath *path, int64_t *limit, struct asl_failure *failure)
{
    *limit = fixed;
    if (!path)
        return true;
    struct asl_data input;
    int64_t seconds = -1;
    if (asl_flow_input(execution, frame, false, &input, failure))
        seconds = number_at(execution, frame, path, input.json, 1, ASL_SECONDS_MAX, failure);
    asl_data_fini(&input);
    *limit = seconds * 1000;
    return seconds > 0;
}

static void task_work(struct asl_execution *execution, struct asl_frame *frame,
                      struct asl_data *input, struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    int64_t timeout_ms, heartbeat_ms;
    if (!limit_ms(execution, frame, state->timeout_ms, state->timeout_path, &timeout_ms, failure) ||
        !limit_ms(execution, frame, state->heartbeat_ms, state->heartbeat_path, &heartbeat_ms,
                  failure))
        return;
    if (timeout_ms > 0 && heartbeat_ms >= timeout_ms) {
        asl_failure_set(failure, ASL_ERROR_RUNTIME,
                        "The heartbeat of the state \"%s\" must be smaller than its timeout.",
                        state->name);
        return;
    }
    struct asl_effect *effect = asl_frame_effect(execution, ASL_CALL, frame);
    effect->wait = asl_wait_open(execution, frame);
    execution->calls++;
    effect->resource = state->resource;
    effect->timeout_ms = timeout_ms;
    effect->heartbeat_ms = heartbeat_ms;
    asl_effect_hold(effect, input->json);
    asl_data_fini(input);
}

/* -- Pass -- */

static void pass_work(struct asl_execution *execution, struct asl_frame *frame,
                      struct asl_data *input, struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    if (state->result) {
        asl_data_fini(input);
        *input = (struct asl_data){json_hold(state->result), asl_bound_of(state->result)};
    }
    if (asl_flow_assign(execution, frame, state->assign, input, failure) &&
        asl_flow_combine(execution, frame, state->result_path, state->result_discarded, input,
                         failure))
        asl_state_output(execution, frame, state->next, input);
}

/* -- Wait -- */

/* When a Wait state is over; false with the failure. */
static bool wait_due(struct asl_execution *execution, const struct asl_frame *frame,
                     const struct json *input, int64_t *due_us, struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    if (state->wait_seconds_path) {
        int64_t seconds = number_at(execution, frame, state->wait_seconds_path, input, 0,
                                    ASL_SECONDS_MAX, failure);
        *due_us = execution->now_us + seconds * 1000000;
        return seconds >= 0;
    }
    if (!state->wait_until_path) {
        *due_us = state->wait_has_until ? state->wait_until_us : execution->now_us + state->wait_us;
        return true;
    }
    struct asl_view view = asl_view_open(execution, frame, NULL, input);
    struct json *value = asl_view_get(&view, state->wait_until_path, failure);
    asl_view_close(&view);
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

static void wait_work(struct asl_execution *execution, struct asl_frame *frame,
                      struct asl_data *input, struct asl_failure *failure)
{
    int64_t due_us = 0;
    if (!wait_due(execution, frame, input->json, &due_us, failure))
        return;
    struct asl_effect *effect = asl_frame_effect(execution, ASL_TIMER, frame);
    effect->wait = asl_wait_open(execution, frame);
    effect->due_us = due_us;
    asl_data_fini(input);
}

/* -- Choice -- */

static void choice_work(struct asl_execution *execution, struct asl_frame *frame,
                        struct asl_data *input, struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    struct asl_view view = asl_view_open(execution, frame, NULL, input->json);
    enum asl_truth truth = ASL_FALSE;
    size_t i = 0;
    while (i < state->choices_count &&
           (truth = asl_rule_test(state->choices[i].rule, &view, failure)) == ASL_FALSE)
        i++;
    asl_view_close(&view);
    if (truth == ASL_UNDECIDED)
        return;
    const struct asl_state *next =
        truth == ASL_TRUE ? state->choices[i].next : state->choice_default;
    if (!next)
        asl_failure_set(failure, ASL_ERROR_NO_CHOICE,
                        "No choice of the state \"%s\" fits, and it has no Default.", state->name);
    else if (asl_flow_assign(execution, frame,
                             truth == ASL_TRUE ? state->choices[i].assign : state->assign, input,
                             failure))
        asl_state_output(execution, frame, next, input);
}

/* -- Fail -- */

/* The text of Error or Cause; "" when the state gives none, NULL with the failure. */
static char *fail_text(struct asl_execution *execution, const struct asl_frame *frame,
                       const struct asl_text *text, const struct json *input, const char *field,
                       struct asl_failure *failure)
{
    if (!text->path && !text->call)
        return must_strdup(text->text ? text->text : "");
    struct asl_bound ignored;
    struct asl_view view = asl_view_open(execution, frame, NULL, input);
    struct json *value = text->path ? asl_view_get(&view, text->path, failure)
                                    : asl_call_run(text->call, &view, &ignored, failure);
    asl_view_close(&view);
    char *found = NULL;
    if (json_type_of(value) == JSON_STRING)
        found = must_strdup(json_string_value(value, NULL));
    else
        asl_failure_set(failure, ASL_ERROR_RUNTIME, "%sPath of the state \"%s\" must find a text.",
                        field, frame->state->name);
    json_release(value);
    return found;
}

static void fail_work(struct asl_execution *execution, const struct asl_frame *frame,
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

/* -- Parallel and Map: children -- */

/* State paths below a Map state name the item; elsewhere those of the machine hold. */
static char *child_prefix(const struct asl_frame *frame, size_t branch, bool is_item)
{
    if (!frame->prefix && !is_item)
        return NULL;
    struct buffer prefix = {0};
    buffer_append_format(&prefix, "%s%s/%zu/", frame->prefix ? frame->prefix : frame->scope->path,
                         frame->state->path + strlen(frame->scope->path), branch);
    return buffer_take(&prefix);
}

static void child_start(struct asl_execution *execution, struct asl_frame *frame, size_t branch,
                        const struct asl_scope *scope, struct json *item, struct asl_data *data)
{
    struct asl_frame *child = asl_frame_new(frame, scope, (uint32_t)branch);
    child->prefix = child_prefix(frame, branch, item != NULL);
    child->item = item;
    if (item)
        execution->frames += scope->frames;
    frame->team->children[branch] = child;
    frame->team->running++;
    asl_frame_go(execution, child, scope->start, data);
}

static void parallel_work(struct asl_execution *execution, struct asl_frame *frame,
                          struct asl_data *input)
{
    const struct asl_state *state = frame->state;
    frame->team = asl_team_new(frame, state->branches_count, state->branches_count);
    for (size_t i = 0; i < state->branches_count; i++) {
        struct asl_data data = {json_hold(input->json), input->bound};
        child_start(execution, frame, i, &state->branches[i], NULL, &data);
    }
    frame->team->next = state->branches_count;
    asl_data_fini(input);
}

/* Begins the next item of a Map state. */
static bool item_start(struct asl_execution *execution, struct asl_frame *frame,
                       struct asl_failure *failure)
{
    struct asl_team *team = frame->team;
    const struct asl_state *state = frame->state;
    const struct json *value = json_at(team->items, team->next);
    struct asl_item item = {team->next, value};
    struct asl_data data = {0};
    if (state->parameters) {
        data = (struct asl_data){json_hold(team->input.json), team->input.bound};
        if (!asl_flow_shape(execution, frame, state->parameters, &item, &data, failure)) {
            asl_data_fini(&data);
            return false;
        }
    } else {
        data = (struct asl_data){json_hold(value), asl_measure(&execution->meter, value)};
    }
    child_start(execution, frame, team->next++, &state->branches[0], json_hold(value), &data);
    return true;
}

/* Begins items until enough run. Where the whole execution runs too much, this state still goes on
 * with one at a time. (A Parallel state has begun all its branches when it is asked.) */
static bool items_start(struct asl_execution *execution, struct asl_frame *frame,
                        struct asl_failure *failure)
{
    struct asl_team *team = frame->team;
    size_t frames = frame->state->branches[0].frames;
    while (team->next < team->count && team->running < team->most &&
           (team->running == 0 || execution->frames + frames <= ASL_FRAMES_MAX))
        if (!item_start(execution, frame, failure))
            return false;
    return true;
}

static bool items_find(struct asl_execution *execution, const struct asl_frame *frame,
                       const struct json *input, struct json **items, struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    *items = json_hold(input);
    if (state->items_path) {
        struct asl_view view = asl_view_open(execution, frame, NULL, input);
        json_release(*items);
        *items = asl_view_get(&view, state->items_path, failure);
        asl_view_close(&view);
    }
    const char *path = state->items_path ? jsonpath_text(state->items_path) : "$";
    if (json_type_of(*items) != JSON_ARRAY)
        asl_failure_set(failure, ASL_ERROR_RUNTIME,
                        "The items of the state \"%s\", at %s, must be an array, not %s.",
                        state->name, path, *items ? json_type_name(*items) : "nothing");
    else if (json_size(*items) > ASL_MAP_ITEMS_MAX)
        asl_failure_set(failure, ASL_ERROR_DATA_LIMIT,
                        "The state \"%s\" has %zu items; at most %d are allowed.", state->name,
                        json_size(*items), ASL_MAP_ITEMS_MAX);
    return !failure->error;
}

static void map_work(struct asl_execution *execution, struct asl_frame *frame,
                     struct asl_data *input, struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    int64_t most = state->max_concurrency;
    if (state->max_concurrency_path)
        most = number_at(execution, frame, state->max_concurrency_path, input->json, 0, INT64_MAX,
                         failure);
    if (most == 0)
        most = ASL_MAP_CONCURRENCY_DEFAULT;
    if (most > ASL_MAP_CONCURRENCY_MAX)
        most = ASL_MAP_CONCURRENCY_MAX;
    struct json *items = NULL;
    if (most < 0 || !items_find(execution, frame, input->json, &items, failure)) {
        json_release(items);
        return;
    }
    if (json_size(items) == 0) {
        json_release(items);
        asl_data_fini(input);
        struct asl_data nothing = {json_array(), {2, 1}};
        asl_state_succeeded(execution, frame, &nothing);
        return;
    }
    frame->team = asl_team_new(frame, json_size(items), (size_t)most);
    frame->team->items = items;
    frame->team->input = *input;
    *input = (struct asl_data){0};
    (void)items_start(execution, frame, failure); /* the caller sees the failure */
}

/* The results so far must fit the data of a state, so that they do not pile up in memory. */
static bool results_fit(const struct asl_execution *execution, const struct asl_frame *frame,
                        struct asl_failure *failure)
{
    struct asl_team *team = frame->team;
    size_t depth, most = execution->meter.data_bytes_max;
    if (team->results_bound.bytes <= most)
        return true;
    if (!team->results_counted) {
        team->results_counted = true;
        team->results_bound.bytes = 0;
        for (size_t i = 0; i < team->count && team->results_bound.bytes <= most; i++)
            if (team->results[i])
                team->results_bound.bytes +=
                    json_text_bytes_within(team->results[i], most, &depth) + 1;
    }
    if (team->results_bound.bytes > most)
        asl_failure_set(failure, ASL_ERROR_DATA_LIMIT,
                        "The results of the state \"%s\" have more than %zu octets.",
                        frame->state->name, most);
    return !failure->error;
}

static void team_succeeded(struct asl_execution *execution, struct asl_frame *frame)
{
    struct asl_team *team = frame->team;
    struct asl_bound bound = {team->results_bound.bytes + 2, team->results_bound.depth + 1};
    struct asl_data result = {json_array(), bound};
    for (size_t i = 0; i < team->count; i++) {
        json_array_append(result.json, team->results[i]);
        team->results[i] = NULL;
    }
    asl_team_free(execution, frame);
    asl_state_succeeded(execution, frame, &result);
}

void asl_work_child_ended(struct asl_execution *execution, struct asl_frame *frame, uint32_t branch,
                          struct asl_data *output)
{
    struct asl_team *team = frame->team;
    struct asl_failure failure = {0};
    asl_frame_free(execution, team->children[branch]);
    team->children[branch] = NULL;
    team->running--;
    team->results[branch] = output->json;
    size_t depth;
    team->results_bound.bytes +=
        1 + (team->results_counted
                 ? json_text_bytes_within(output->json, execution->meter.data_bytes_max, &depth)
                 : output->bound.bytes);
    if (output->bound.depth > team->results_bound.depth)
        team->results_bound.depth = output->bound.depth;
    *output = (struct asl_data){0};
    if (!results_fit(execution, frame, &failure) || !items_start(execution, frame, &failure))
        asl_state_failed(execution, frame, &failure);
    else if (team->running == 0)
        team_succeeded(execution, frame);
    asl_failure_clear(&failure);
}

/* -- all kinds -- */

void asl_work(struct asl_execution *execution, struct asl_frame *frame, struct asl_data *input,
              struct asl_failure *failure)
{
    switch (frame->state->type) {
    case ASL_TASK:
        task_work(execution, frame, input, failure);
        return;
    case ASL_PASS:
        pass_work(execution, frame, input, failure);
        return;
    case ASL_CHOICE:
        choice_work(execution, frame, input, failure);
        return;
    case ASL_WAIT:
        wait_work(execution, frame, input, failure);
        return;
    case ASL_SUCCEED:
        asl_state_output(execution, frame, NULL, input);
        return;
    case ASL_FAIL:
        fail_work(execution, frame, input->json, failure);
        return;
    case ASL_PARALLEL:
        parallel_work(execution, frame, input);
        return;
    case ASL_MAP:
        map_work(execution, frame, input, failure);
        return;
    case ASL_STATE_TYPES:
        break;
    }
    BUG_IF(true);
}
