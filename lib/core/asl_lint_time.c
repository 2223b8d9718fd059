/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/asl_lint_internal.h"

#define NEVER INT64_MAX

static int64_t seconds_of(const struct outline_state *state, const char *field)
{
    return json_int_value(json_get(state->document, field));
}

/* -- one state -- */

static void timeout_check(struct asl_lint *lint, const struct outline_state *state)
{
    const char *field = state->type == OUTLINE_WAIT ? "Seconds" : "TimeoutSeconds";
    int64_t seconds = seconds_of(state, field);
    if (lint->deadline_s <= 0 || seconds <= lint->deadline_s)
        return;
    asl_lint_report(lint, state->pointer,
                    state->type == OUTLINE_WAIT ? "/Seconds" : "/TimeoutSeconds",
                    "ASL_TIMEOUT_TOO_LONG",
                    "the state \"%s\" may last %" PRId64
                    " seconds, the whole workflow only %" PRId64 " (TimeoutSeconds of the machine)",
                    state->name, seconds, lint->deadline_s);
}

/* Seconds that the retries of one retrier last at most. Delays never get shorter, so past the first
 * thousand the last one stands for the rest. */
static double retrier_lasts(const struct json *retrier, int64_t timeout_s)
{
    const struct json *interval = json_get(retrier, "IntervalSeconds");
    const struct json *rate = json_get(retrier, "BackoffRate");
    const struct json *attempts = json_get(retrier, "MaxAttempts");
    double delay = interval ? json_double_value(interval) : 1, seconds = 0;
    double most = json_double_value(json_get(retrier, "MaxDelaySeconds"));
    int64_t left = attempts ? json_int_value(attempts) : 3;
    for (int k = 0; k < 1000 && left > 1; k++, left--) {
        seconds += (most > 0 ? fmin(delay, most) : delay) + (double)timeout_s;
        delay *= rate ? json_double_value(rate) : 2;
    }
    if (left > 0)
        seconds += (double)left * ((most > 0 ? fmin(delay, most) : delay) + (double)timeout_s);
    return seconds;
}

static void retries_check(struct asl_lint *lint, const struct outline_state *state)
{
    const struct json *retriers = json_get(state->document, "Retry");
    if (!retriers || lint->deadline_s <= 0)
        return;
    int64_t timeout_s = seconds_of(state, "TimeoutSeconds");
    double seconds = (double)timeout_s;
    for (size_t i = 0; json_type_of(retriers) == JSON_ARRAY && i < json_size(retriers); i++)
        seconds += retrier_lasts(json_at(retriers, i), timeout_s);
    if (timeout_s <= lint->deadline_s && seconds > (double)lint->deadline_s)
        asl_lint_report(
            lint, state->pointer, "/Retry", "ASL_RETRIES_TOO_LONG",
            "the attempts of \"%s\" and the delays between them may last longer than the "
            "%" PRId64 " seconds of the whole workflow, so that the last ones never run",
            state->name, lint->deadline_s);
}

static void unbounded_check(struct asl_lint *lint, const struct outline_state *state)
{
    static const char *const bounds[] = {"TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds",
                                         "HeartbeatSecondsPath"};
    if (state->type != OUTLINE_TASK || lint->deadline_s > 0 || !outline_waits_for_others(state))
        return;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        if (json_get(state->document, bounds[i]))
            return;
    }
    asl_lint_report(lint, state->pointer, "", "ASL_NO_TIMEOUT",
                    "the Task \"%s\" waits for somebody else, and neither it nor the machine has "
                    "TimeoutSeconds: an answer that never comes is not noticed",
                    state->name);
}

void asl_lint_time(struct asl_lint *lint, const struct outline_state *state)
{
    if (state->type == OUTLINE_WAIT || state->type == OUTLINE_TASK)
        timeout_check(lint, state);
    retries_check(lint, state);
    unbounded_check(lint, state);
}

/* -- the Waits of a whole way -- */

static int64_t shortest(const struct outline_scope *scope);

/* Seconds that a state needs at least before it succeeds. */
static int64_t least(const struct outline_state *state)
{
    int64_t seconds = 0;
    if (state->type == OUTLINE_WAIT)
        return seconds_of(state, "Seconds");
    for (size_t i = 0; state->type == OUTLINE_PARALLEL && i < state->scopes_count; i++) {
        int64_t branch = shortest(&state->scopes[i]);
        if (branch > seconds)
            seconds = branch;
    }
    return seconds; /* a Map may have no items */
}

static size_t nearest(const int64_t *distance, const bool *done, size_t count)
{
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        if (!done[i] && distance[i] < NEVER && (found == SIZE_MAX || distance[i] < distance[found]))
            found = i;
    }
    return found;
}

/* From the start of a scope to the nearest successful end, by the seconds of its Waits; NEVER when
 * there is none. */
static int64_t shortest(const struct outline_scope *scope)
{
    int64_t *distance = must_calloc(scope->count + 1, sizeof *distance), found = NEVER;
    bool *done = must_calloc(scope->count + 1, sizeof *done);
    for (size_t i = 0; i < scope->count; i++)
        distance[i] = &scope->states[i] == scope->start ? 0 : NEVER;
    for (size_t i; (i = nearest(distance, done, scope->count)) != SIZE_MAX;) {
        const struct outline_state *state = &scope->states[i];
        int64_t seconds = least(state);
        int64_t after = seconds == NEVER ? NEVER : distance[i] + seconds;
        done[i] = true;
        if (state->ends && state->type != OUTLINE_FAIL && after < found)
            found = after;
        for (size_t e = 0; e < state->edges_count; e++) {
            int64_t there = state->edges[e].type == OUTLINE_CATCH ? distance[i] : after;
            if (there < distance[state->edges[e].to->number])
                distance[state->edges[e].to->number] = there;
        }
    }
    free(distance);
    free(done);
    return found;
}

static void waits_add(const struct outline_scope *scope, void *context)
{
    int64_t *sum = context;
    for (size_t i = 0; i < scope->count; i++) {
        if (scope->states[i].type == OUTLINE_WAIT)
            *sum += seconds_of(&scope->states[i], "Seconds");
    }
}

void asl_lint_waits(struct asl_lint *lint)
{
    int64_t all = 0;
    outline_scopes_visit(&lint->outline->scope, waits_add, &all);
    if (lint->deadline_s <= 0 || all <= lint->deadline_s)
        return;
    int64_t seconds = shortest(&lint->outline->scope);
    if (seconds == NEVER || seconds <= lint->deadline_s)
        return;
    const char *pointer = lint->outline->scope.pointer;
    asl_lint_report(lint, pointer, "/TimeoutSeconds", "ASL_WAITS_TOO_LONG",
                    "the Waits on every way to a successful end last at least %" PRId64
                    " seconds, the whole workflow only %" PRId64,
                    seconds, lint->deadline_s);
}
