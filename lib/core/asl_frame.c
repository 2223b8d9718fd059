/* SPDX-License-Identifier: MIT */
#include "core/asl_frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/instant.h"

/* -- ready frames, first in first out -- */

void asl_ready_add(struct asl_execution *execution, struct asl_frame *frame)
{
    BUG_IF(frame->ready);
    frame->ready = true;
    frame->ready_before = execution->ready_last;
    frame->ready_after = NULL;
    if (execution->ready_last)
        execution->ready_last->ready_after = frame;
    else
        execution->ready_first = frame;
    execution->ready_last = frame;
}

static void ready_remove(struct asl_execution *execution, struct asl_frame *frame)
{
    if (!frame->ready)
        return;
    if (frame->ready_before)
        frame->ready_before->ready_after = frame->ready_after;
    else
        execution->ready_first = frame->ready_after;
    if (frame->ready_after)
        frame->ready_after->ready_before = frame->ready_before;
    else
        execution->ready_last = frame->ready_before;
    frame->ready = false;
}

struct asl_frame *asl_ready_take(struct asl_execution *execution)
{
    struct asl_frame *frame = execution->ready_first;
    if (frame)
        ready_remove(execution, frame);
    return frame;
}

/* -- waits -- */

uint32_t asl_wait_open(struct asl_execution *execution, struct asl_frame *frame)
{
    BUG_IF(frame->wait);
    if (execution->waits_count == execution->waits_capacity) {
        execution->waits_capacity = execution->waits_capacity ? execution->waits_capacity * 2 : 4;
        execution->waits =
            must_realloc(execution->waits, execution->waits_capacity * sizeof *execution->waits);
    }
    frame->wait = ++execution->waits_given;
    execution->waits[execution->waits_count++] = (struct asl_open_wait){frame->wait, frame};
    return frame->wait;
}

static size_t wait_place(const struct asl_execution *execution, uint32_t number)
{
    size_t low = 0, high = execution->waits_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (execution->waits[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct asl_frame *asl_wait_find(const struct asl_execution *execution, uint32_t number)
{
    size_t place = wait_place(execution, number);
    bool found = place < execution->waits_count && execution->waits[place].number == number;
    return found ? execution->waits[place].frame : NULL;
}

void asl_wait_close(struct asl_execution *execution, uint32_t number)
{
    size_t place = wait_place(execution, number);
    BUG_IF(place >= execution->waits_count || execution->waits[place].number != number);
    execution->waits[place].frame->wait = 0;
    execution->waits_count--;
    memmove(&execution->waits[place], &execution->waits[place + 1],
            (execution->waits_count - place) * sizeof *execution->waits);
}

/* -- frames -- */

struct asl_frame *asl_frame_new(struct asl_frame *parent, const struct asl_scope *scope,
                                uint32_t branch)
{
    struct asl_frame *frame = must_calloc(1, sizeof *frame);
    frame->parent = parent;
    frame->scope = scope;
    frame->branch = branch;
    return frame;
}

struct asl_team *asl_team_new(struct asl_frame *frame, size_t count, size_t most)
{
    BUG_IF(frame->team);
    struct asl_team *team = must_calloc(1, sizeof *team);
    team->count = count;
    team->most = most;
    team->children = must_calloc(count, sizeof *team->children);
    team->results = must_calloc(count, sizeof *team->results);
    return team;
}

void asl_team_free(struct asl_execution *execution, struct asl_frame *frame)
{
    struct asl_team *team = frame->team;
    if (!team)
        return;
    for (size_t i = 0; i < team->count; i++) {
        if (team->children[i])
            asl_frame_free(execution, team->children[i]);
        json_release(team->results[i]);
    }
    free(team->children);
    free(team->results);
    json_release(team->input.json);
    json_release(team->items);
    free(team);
    frame->team = NULL;
}

void asl_frame_free(struct asl_execution *execution, struct asl_frame *frame)
{
    asl_team_free(execution, frame);
    ready_remove(execution, frame);
    if (frame->wait)
        asl_wait_close(execution, frame->wait);
    if (frame->item)
        execution->frames -= frame->scope->frames;
    json_release(frame->item);
    json_release(frame->variables);
    json_release(frame->assigned);
    json_release(frame->raw.json);
    free(frame->prefix);
    free(frame->retries);
    free(frame);
}

void asl_frame_abandon(struct asl_execution *execution, struct asl_frame *frame)
{
    if (frame->wait) {
        struct asl_effect *effect = asl_frame_effect(execution, ASL_ABANDON, frame);
        effect->wait = frame->wait;
        effect->retry = frame->retrying;
    }
    for (size_t i = 0; frame->team && i < frame->team->count; i++)
        if (frame->team->children[i])
            asl_frame_abandon(execution, frame->team->children[i]);
}

static void append_path(const struct asl_frame *frame, struct buffer *path)
{
    const char *path_of_machine = frame->state->path;
    if (frame->prefix)
        buffer_append_format(path, "%s%s", frame->prefix,
                             path_of_machine + strlen(frame->scope->path));
    else
        buffer_append_text(path, path_of_machine);
}

/* The innermost failure is the cause of the others. */
static const struct asl_frame *failed_frame(const struct asl_frame *frame)
{
    for (size_t i = 0; frame->team && i < frame->team->count; i++) {
        const struct asl_frame *child = frame->team->children[i];
        const struct asl_frame *failed = child ? failed_frame(child) : NULL;
        if (failed)
            return failed;
    }
    return frame->failed && frame->state ? frame : NULL;
}

bool asl_execution_failed_in(const struct asl_execution *execution, struct buffer *path)
{
    const struct asl_frame *failed =
        execution->failed && execution->root ? failed_frame(execution->root) : NULL;
    if (failed)
        append_path(failed, path);
    return failed != NULL;
}

struct asl_effect *asl_frame_effect(struct asl_execution *execution, enum asl_effect_type type,
                                    const struct asl_frame *frame)
{
    struct asl_effect *effect = asl_effect_add(execution->effects, type, frame->state);
    effect->visit = frame->visit;
    effect->attempt = frame->attempt;
    if (frame->prefix) {
        struct buffer path = {0};
        append_path(frame, &path);
        effect->own = buffer_take(&path);
        effect->state_path = effect->own;
    }
    return effect;
}

/* -- executions -- */

static struct json *context_new(const struct asl_identity *identity, const struct json *input)
{
    char start[INSTANT_TEXT_BYTES];
    struct json *execution = json_object();
    json_object_set(execution, "Id", json_text(identity->execution_id));
    json_object_set(execution, "Input", json_hold(input));
    json_object_set(execution, "Name", json_text(identity->execution_name));
    json_object_set(execution, "StartTime", json_text(instant_format(identity->start_us, start)));
    struct json *machine = json_object();
    json_object_set(machine, "Id", json_text(identity->machine_id));
    json_object_set(machine, "Name", json_text(identity->machine_name));
    struct json *context = json_object();
    json_object_set(context, "Execution", execution);
    json_object_set(context, "StateMachine", machine);
    return context;
}

struct asl_execution *asl_execution_new(const struct asl_machine *machine,
                                        const struct asl_identity *identity,
                                        const struct json *input)
{
    struct asl_execution *execution = must_calloc(1, sizeof *execution);
    execution->machine = machine;
    execution->input = json_hold(input);
    execution->context = machine->uses_context ? context_new(identity, input) : NULL;
    execution->seed = must_strdup(identity->execution_id ? identity->execution_id : "");
    execution->visits = must_calloc(machine->states_count, sizeof *execution->visits);
    execution->meter.data_bytes_max = STATE_DATA_BYTES_MAX;
    execution->token = identity->token;
    execution->token_context = identity->token_context;
    return execution;
}

void asl_execution_free(struct asl_execution *execution)
{
    if (!execution)
        return;
    if (execution->root)
        asl_frame_free(execution, execution->root);
    json_release(execution->input);
    json_release(execution->context);
    free(execution->seed);
    free(execution->visits);
    free(execution->waits);
    free(execution);
}

void asl_execution_limit_data(struct asl_execution *execution, size_t bytes_max)
{
    execution->meter.data_bytes_max = bytes_max;
}

bool asl_execution_ended(const struct asl_execution *execution) { return execution->ended; }

size_t asl_execution_data_bytes(const struct asl_execution *execution)
{
    const struct asl_frame *root = execution->root;
    size_t bytes = 0;
    if (root == NULL)
        return bytes;
    if (root->raw.json != NULL && root->raw.json != execution->input)
        bytes += json_text_bytes(root->raw.json);
    if (root->variables != NULL)
        bytes += json_text_bytes(root->variables);
    return root->team == NULL ? bytes : bytes + root->team->results_bound.bytes;
}

const char *asl_execution_current(const struct asl_execution *execution)
{
    const struct asl_frame *root = execution->root;
    return root && root->state ? root->state->name : "";
}
