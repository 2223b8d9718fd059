/* SPDX-License-Identifier: MIT */
#include "core/asl_flow.h"

#include <string.h>

#include "base/instant.h"

/* -- sizes -- */

void asl_data_fini(struct asl_data *data)
{
    json_release(data->json);
    *data = (struct asl_data){0};
}

bool asl_data_fits(struct asl_execution *execution, struct asl_data *data,
                   const struct asl_state *state, struct asl_failure *failure)
{
    return asl_data_within(&execution->meter, data->json, &data->bound, failure,
                           "The data of the state", state->name);
}

/* -- what paths see -- */

static struct json *state_context(const struct asl_frame *frame)
{
    char entered[INSTANT_TEXT_BYTES];
    struct json *state = json_object();
    json_object_set(state, "EnteredTime", json_text(instant_format(frame->entered_us, entered)));
    json_object_set(state, "Name", json_text(frame->state->name));
    json_object_set(state, "RetryCount", json_int((int64_t)frame->attempt - 1));
    return state;
}

/* The item that the frame works on, its own or that of the nearest frame around it. */
static struct json *item_context(const struct asl_frame *frame, const struct asl_item *item)
{
    struct asl_item around;
    if (!item) {
        while (frame && !frame->item)
            frame = frame->parent;
        if (!frame)
            return NULL;
        around = (struct asl_item){frame->branch, frame->item};
        item = &around;
    }
    struct json *members = json_object();
    json_object_set(members, "Index", json_int((int64_t)item->index));
    json_object_set(members, "Value", json_hold(item->value));
    struct json *map = json_object();
    json_object_set(map, "Item", members);
    return map;
}

static struct json *task_context(const struct asl_execution *execution,
                                 const struct asl_frame *frame)
{
    if (!frame->state->has_token || !execution->token || !frame->token)
        return NULL;
    char token[ASL_TOKEN_BYTES];
    execution->token(execution->token_context, frame->token, token);
    struct json *task = json_object();
    json_object_set(task, "Token", json_text(token));
    return task;
}

static void context_add(struct json **context, const char *name, struct json *member)
{
    if (!member)
        return;
    struct json *wider = json_object_with(*context, name, strlen(name), member);
    json_release(*context);
    *context = wider;
}

static struct json *context_of(const struct asl_execution *execution, const struct asl_frame *frame,
                               const struct asl_item *item)
{
    struct json *context = json_hold(execution->context);
    context_add(&context, "State", state_context(frame));
    context_add(&context, "Map", item_context(frame, item));
    context_add(&context, "Task", task_context(execution, frame));
    return context;
}

struct asl_view asl_view_open(struct asl_execution *execution, const struct asl_frame *frame,
                              const struct asl_item *item, const struct json *data)
{
    struct json *context = frame->state->uses_context ? context_of(execution, frame, item) : NULL;
    return (struct asl_view){
        data, context, frame, &execution->meter, execution->seed, &execution->draws};
}

void asl_view_close(struct asl_view *view) { json_release((struct json *)view->context); }

const struct json *asl_variable_find(const struct asl_frame *frame, const char *name)
{
    for (; frame; frame = frame->parent) {
        const struct json *value = json_get(frame->variables, name);
        if (value)
            return value;
    }
    return NULL;
}

/* -- from the input to the output -- */

static bool selects_all(const struct jsonpath *path)
{
    return !path ||
           (jsonpath_is_root(path) && !jsonpath_is_context(path) && !jsonpath_variable(path));
}

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
    if (selects_all(path)) {
        *to = (struct asl_data){json_hold(from->json), from->bound};
        return true;
    }
    struct asl_view view = asl_view_open(execution, frame, NULL, from->json);
    to->json = asl_view_get(&view, path, failure);
    if (to->json)
        to->bound = asl_selected_bound(&view, path, &from->bound, to->json);
    asl_view_close(&view);
    if (to->json)
        return true;
    asl_failure_set(failure, ASL_ERROR_RUNTIME, "The %s %s of the state \"%s\" finds nothing.",
                    field, jsonpath_text(path), frame->state->name);
    return false;
}

bool asl_flow_shape(struct asl_execution *execution, const struct asl_frame *frame,
                    const struct asl_template *template, const struct asl_item *item,
                    struct asl_data *data, struct asl_failure *failure)
{
    if (!template)
        return true;
    struct asl_view view = asl_view_open(execution, frame, item, data->json);
    struct asl_data shaped = {0};
    shaped.json = asl_template_run(template, &view, &data->bound, &shaped.bound, failure);
    asl_view_close(&view);
    if (!shaped.json)
        return false;
    asl_data_fini(data);
    *data = shaped;
    return asl_data_fits(execution, data, frame->state, failure);
}

bool asl_flow_combine(struct asl_execution *execution, const struct asl_frame *frame,
                      const struct jsonpath *path, bool discarded, struct asl_data *data,
                      struct asl_failure *failure)
{
    if (!discarded && (!path || jsonpath_is_root(path)))
        return true;
    const struct asl_data *raw = &frame->raw;
    if (discarded) {
        asl_data_fini(data);
        *data = (struct asl_data){json_hold(raw->json), raw->bound};
        return true;
    }
    asl_meter_made(&execution->meter, jsonpath_put_members(path, raw->json) * ASL_MEMBER_BYTES);
    struct json *combined = jsonpath_put(path, raw->json, data->json);
    data->json = combined;
    data->bound.bytes += raw->bound.bytes + strlen(jsonpath_text(path)) * 6 + 4;
    data->bound.depth += jsonpath_depth(path);
    if (data->bound.depth < raw->bound.depth)
        data->bound.depth = raw->bound.depth;
    if (combined)
        return asl_data_fits(execution, data, frame->state, failure);
    asl_failure_set(failure, ASL_ERROR_RESULT_PATH,
                    "The ResultPath %s of the state \"%s\" does not fit the state's input.",
                    jsonpath_text(path), frame->state->name);
    return false;
}

bool asl_flow_input(struct asl_execution *execution, const struct asl_frame *frame, bool shape,
                    struct asl_data *input, struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    *input = (struct asl_data){0};
    return data_select(execution, frame, state->input_path, state->input_none, "InputPath",
                       &frame->raw, input, failure) &&
           asl_data_fits(execution, input, state, failure) &&
           (!shape || asl_flow_shape(execution, frame, state->parameters, NULL, input, failure));
}

bool asl_flow_output(struct asl_execution *execution, const struct asl_frame *frame,
                     const struct asl_data *data, struct asl_data *output,
                     struct asl_failure *failure)
{
    const struct asl_state *state = frame->state;
    *output = (struct asl_data){0};
    return data_select(execution, frame, state->output_path, state->output_none, "OutputPath", data,
                       output, failure) &&
           asl_data_fits(execution, output, state, failure);
}

/* -- variables -- */

/* The frame's variables with the members of values in place of older ones. */
static struct json *variables_with(const struct asl_frame *frame, const struct json *values)
{
    struct json *variables = json_object();
    for (size_t i = 0; i < json_size(frame->variables); i++) {
        size_t bytes = 0;
        const char *name = json_name_at(frame->variables, i, &bytes);
        json_object_set_bytes(variables, name, bytes,
                              json_hold(json_member_at(frame->variables, i)));
    }
    for (size_t i = 0; i < json_size(values); i++) {
        size_t bytes = 0;
        const char *name = json_name_at(values, i, &bytes);
        json_object_set_bytes(variables, name, bytes, json_hold(json_member_at(values, i)));
    }
    return variables;
}

/* All variables of the scope together. */
static bool variables_fit(struct asl_execution *execution, const struct asl_frame *frame,
                          const struct json *variables, struct asl_failure *failure)
{
    size_t depth, bytes = asl_measure(&execution->meter, variables).bytes;
    if (bytes > ASL_VARIABLES_BYTES_MAX)
        bytes = json_text_bytes_within(variables, ASL_VARIABLES_BYTES_MAX, &depth);
    if (bytes > ASL_VARIABLES_BYTES_MAX)
        asl_failure_set(failure, ASL_ERROR_DATA_LIMIT,
                        "The variables have more than %u octets after the state \"%s\".",
                        ASL_VARIABLES_BYTES_MAX, frame->state->name);
    return !failure->error;
}

bool asl_flow_assign(struct asl_execution *execution, struct asl_frame *frame,
                     const struct asl_template *assign, const struct asl_data *data,
                     struct asl_failure *failure)
{
    if (!assign)
        return true;
    struct asl_data values = {json_hold(data->json), data->bound};
    bool fine = asl_flow_shape(execution, frame, assign, NULL, &values, failure);
    struct json *variables = fine ? variables_with(frame, values.json) : NULL;
    asl_data_fini(&values);
    if (!fine || !variables_fit(execution, frame, variables, failure)) {
        json_release(variables);
        return false;
    }
    asl_meter_made(&execution->meter, json_size(variables) * ASL_MEMBER_BYTES);
    json_release(frame->assigned);
    frame->assigned = variables;
    return true;
}
