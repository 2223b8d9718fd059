/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "orchestrator/core/workflow_internal.h"

#define KEY_PATH_BYTES_MAX                                                                         \
    150 /* of a state path in an idempotency key; a longer one goes by its hash */

void workflow_number_push(uint32_t **numbers, size_t *count, size_t *capacity, uint32_t number)
{
    if (*count == *capacity) {
        *capacity = *capacity == 0 ? 4 : *capacity * 2;
        *numbers = must_realloc(*numbers, *capacity * sizeof **numbers);
    }
    (*numbers)[(*count)++] = number;
}

size_t workflow_wait_places(const struct workflow *workflow) { return workflow->waits_count; }
size_t workflow_waits(const struct workflow *workflow) { return workflow->waits_open; }
int64_t workflow_calls(const struct workflow *workflow) { return workflow->calls; }

struct workflow_wait *workflow_wait_at(struct workflow *workflow, size_t place)
{
    bool open = place < workflow->waits_count && !workflow->waits[place].closed;
    return open ? &workflow->waits[place] : NULL;
}

struct workflow_wait *workflow_wait_find(struct workflow *workflow, uint32_t wait)
{
    size_t low = 0, high = workflow->waits_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (workflow->waits[middle].wait < wait)
            low = middle + 1;
        else
            high = middle;
    }
    struct workflow_wait *found = workflow_wait_at(workflow, low);
    return found != NULL && found->wait == wait ? found : NULL;
}

void workflow_wait_set_called(struct workflow *workflow, struct workflow_wait *wait, bool called)
{
    workflow->calls += called - wait->called;
    wait->called = called;
}

void workflow_wait_token(const struct workflow *workflow, uint32_t wait,
                         char token[TASK_TOKEN_BYTES_MAX])
{
    struct task_token of = {workflow->head.shard, workflow->head.id, wait};
    task_token_write(workflow->environment->token_secret, &of, token);
}

/* As an HTTP header takes it: a long path by its hash, what is not visible ASCII as %XX. */
static void append_path(struct buffer *key, const char *path)
{
    struct buffer visible = {0};
    for (const char *at = path; *at != '\0'; at++) {
        if (*at > ' ' && *at < 0x7F && *at != '%')
            buffer_append_char(&visible, *at);
        else
            buffer_append_format(&visible, "%%%02X", (unsigned char)*at);
    }
    if (visible.bytes > KEY_PATH_BYTES_MAX) {
        XXH128_hash_t hash = XXH3_128bits(path, strlen(path));
        buffer_append_format(key, "~%016llx%016llx", (unsigned long long)hash.high64,
                             (unsigned long long)hash.low64);
    } else {
        buffer_append(key, visible.data, visible.bytes);
    }
    buffer_fini(&visible);
}

void workflow_wait_key(const struct workflow *workflow, const struct workflow_wait *wait,
                       struct buffer *key)
{
    char id[UUID_TEXT_BYTES];
    buffer_append_format(key, "%s:", uuid_format(&workflow->head.id, id));
    append_path(key, wait->state_path);
    buffer_append_format(key, ":%u", wait->visit);
    if (wait->attempt > 1 && (wait->task->waits_for_token || wait->task->waits_for_end))
        buffer_append_format(key, ":%u", wait->attempt);
}

bool workflow_wait_outlasts_call(const struct workflow_wait *wait)
{
    return wait->task != NULL &&
           (wait->task->local || wait->task->kind == TASK_WORKFLOW || wait->task->waits_for_token);
}

int64_t workflow_wait_limit_us(const struct workflow_wait *wait, int64_t heard_us,
                               const char **error)
{
    int64_t limit_us = INT64_MAX;
    int64_t beat_us = wait->heartbeat_us > heard_us ? wait->heartbeat_us : heard_us;
    if (wait->beat_us > beat_us)
        beat_us = wait->beat_us;
    bool stands_still = wait->held_us != 0 && !wait->hold_counts;
    if (!workflow_wait_outlasts_call(wait) || stands_still)
        return limit_us;
    if (wait->timeout_ms > 0) {
        limit_us = wait->opened_us + wait->timeout_ms * 1000;
        *error = "States.Timeout";
    }
    if (wait->heartbeat_ms > 0 && beat_us + wait->heartbeat_ms * 1000 < limit_us) {
        limit_us = beat_us + wait->heartbeat_ms * 1000;
        *error = "States.HeartbeatTimeout";
    }
    return limit_us;
}

/* Takes the closed ones out, in time that the openings since the last time have paid for. */
static void make_room(struct workflow *workflow)
{
    if (workflow->waits_open <= workflow->waits_count / 2) {
        size_t kept = 0;
        for (size_t i = 0; i < workflow->waits_count; i++)
            if (!workflow->waits[i].closed)
                workflow->waits[kept++] = workflow->waits[i];
        workflow->waits_count = kept;
    }
    if (workflow->waits_count < workflow->waits_capacity)
        return;
    workflow->waits_capacity = workflow->waits_capacity == 0 ? 1 : workflow->waits_capacity * 2;
    workflow->waits =
        must_realloc(workflow->waits, workflow->waits_capacity * sizeof *workflow->waits);
}

static struct workflow_retry *new_retry(const struct asl_effect *effect)
{
    struct workflow_retry *retry = must_calloc(1, sizeof *retry);
    retry->number = effect->retry_number;
    retry->max = effect->retries_max;
    retry->error = must_strdup(effect->error);
    retry->cause = error_cut(effect->cause, RETRY_CAUSE_BYTES_MAX);
    return retry;
}

struct workflow_wait *workflow_wait_open(struct workflow *workflow, const struct asl_effect *effect,
                                         int64_t now_us)
{
    if (workflow->waits_count == workflow->waits_capacity)
        make_room(workflow);
    struct workflow_wait *wait = &workflow->waits[workflow->waits_count++];
    *wait = (struct workflow_wait){
        .wait = effect->wait,
        .visit = effect->visit,
        .attempt = effect->attempt,
        .is_timer = effect->type == ASL_TIMER,
        .task = effect->resource == NULL ? NULL : task_resource_find(effect->resource),
        .due_us = effect->due_us,
        .opened_us = now_us,
        .heartbeat_us = now_us,
        .timeout_ms = effect->timeout_ms,
        .heartbeat_ms = effect->heartbeat_ms,
        .state = must_strdup(effect->state),
        .state_path = must_strdup(effect->state_path),
        .parameters = json_hold(effect->data),
        .retry = effect->retry ? new_retry(effect) : NULL,
    };
    BUG_IF(!wait->is_timer && wait->task == NULL); /* the contract was checked when it was loaded */
    workflow->waits_open++;
    return wait;
}

static void free_texts(struct workflow_wait *wait)
{
    free(wait->state);
    free(wait->state_path);
    json_release(wait->parameters);
    json_release(wait->delivery);
    if (wait->retry != NULL) {
        free(wait->retry->error);
        free(wait->retry->cause);
        free(wait->retry);
    }
}

void workflow_wait_close(struct workflow *workflow, struct workflow_wait *wait,
                         struct workflow_outcome *outcome)
{
    if (wait == NULL)
        return;
    workflow_hold_close(workflow, wait, outcome);
    if (!wait->delivered)
        workflow_wait_set_called(workflow, wait, false);
    workflow->weight.delivered_bytes -= wait->delivery_bytes;
    free_texts(wait);
    *wait = (struct workflow_wait){.wait = wait->wait, .closed = true};
    workflow->waits_open--;
    if (workflow->waits_open == 0)
        workflow->waits_count = 0;
}

bool workflow_wait_child(const struct workflow_wait *wait, struct uuid *id)
{
    size_t bytes = 0;
    if (wait->started)
        *id = wait->child;
    if (wait->task == NULL || !wait->task->waits_for_end || !wait->delivered)
        return wait->started;
    const char *text = json_string_value(json_get(wait->delivery, "workflow_id"), &bytes);
    return text != NULL && uuid_parse(text, bytes, id);
}

static void push_child(struct workflow_outcome *outcome, const struct workflow_child *child)
{
    if (outcome->children_count == outcome->children_capacity) {
        outcome->children_capacity =
            outcome->children_capacity == 0 ? 4 : outcome->children_capacity * 2;
        outcome->children =
            must_realloc(outcome->children, outcome->children_capacity * sizeof *outcome->children);
    }
    outcome->children[outcome->children_count++] = *child;
}

/* A timer that is no longer wanted is nobody's to stop: it finds nothing when it comes up. */
void workflow_wait_abandon(struct workflow *workflow, struct workflow_wait *wait,
                           struct workflow_outcome *outcome)
{
    struct workflow_child child;
    if (wait == NULL)
        return;
    child.wait = wait->wait;
    if (!wait->is_timer && !wait->task->local && !wait->delivered && !wait->answered)
        workflow_number_push(&outcome->abandoned, &outcome->abandoned_count,
                             &outcome->abandoned_capacity, wait->wait);
    if (!wait->answered && workflow_wait_child(wait, &child.id))
        push_child(outcome, &child);
    workflow_wait_close(workflow, wait, outcome);
}

void workflow_waits_free(struct workflow *workflow)
{
    for (size_t i = 0; i < workflow->waits_count; i++)
        if (!workflow->waits[i].closed)
            free_texts(&workflow->waits[i]);
    free(workflow->waits);
    free(workflow->local);
}
