/* SPDX-License-Identifier: MIT */
/* Calls to services wait in a queue of their service until its breaker and its limits let them pass. While the
 * breaker is not closed those that wait are held: written down, without a slot and without an attempt. */
#include <stdlib.h>

#include "orchestrator/core/engine_internal.h"
#include "orchestrator/core/http_task.h"

void engine_set_gate(struct engine *engine, const struct engine_gate *gate)
{
    engine->gate = *gate;
    engine->gated = must_calloc((size_t)gate->services->count + 1, sizeof *engine->gated);
}

static int services_count(const struct engine *engine)
{
    return engine->gated == NULL ? 0 : engine->gate.services->count;
}

void engine_gate_fini(struct engine *engine)
{
    for (int i = 0; i < services_count(engine); i++) {
        if (engine->gated[i].held > 0)
            engine->gate.unpark(engine->gate.context, i, engine->gated[i].held);
        fair_queue_fini(&engine->gated[i].waiting);
        fair_queue_fini(&engine->gated[i].loaded);
    }
    free(engine->gated);
}

static const struct service *service_at(const struct engine *engine, int service)
{
    return &engine->gate.services->items[service];
}

void engine_gate_queue(struct engine *engine, const struct workflow *workflow,
                       struct workflow_wait *wait, struct queue *calls)
{
    const struct workflow_head *head = workflow_head(workflow);
    struct place place = {head->id, wait->wait};
    if (engine->gated != NULL && wait->guard == 0 && wait->task->kind == TASK_HTTP)
        wait->guard = 1 + http_task_service(wait->parameters, engine->gate.services);
    if (wait->guard == 0) {
        engine_queue_push(calls, &place);
        return;
    }
    int service = wait->guard - 1;
    struct gated *gated = &engine->gated[service];
    fair_queue_push(calls == &engine->loaded ? &gated->loaded : &gated->waiting, head->namespace,
                    service_weight(service_at(engine, service), head->namespace), &place);
}

int64_t engine_gate_ahead(const struct engine *engine, const struct workflow *workflow,
                          const struct workflow_wait *wait)
{
    if (wait->guard == 0)
        return -1;
    const struct gated *gated = &engine->gated[wait->guard - 1];
    const struct workflow_head *head = workflow_head(workflow);
    struct place place = {head->id, wait->wait};
    int64_t waiting = fair_queue_ahead(&gated->waiting, head->namespace, &place);
    int64_t loaded = fair_queue_ahead(&gated->loaded, head->namespace, &place);
    int64_t own = waiting >= 0 ? waiting : loaded;
    int64_t others = (int64_t)(waiting >= 0 ? gated->loaded.count : gated->waiting.count);
    return own < 0 ? 0 : own + (others < own ? others : own);
}

void engine_gate_begin(struct engine *engine)
{
    engine->gate_due_us = INT64_MAX;
    for (int i = 0; i < services_count(engine); i++)
        engine->gated[i].blocked = false;
}

/* -- calls -- */

void engine_make_call(struct engine *engine, struct workflow *workflow, struct workflow_wait *wait,
                      int service, struct engine_effects *effects)
{
    workflow_wait_set_called(workflow, wait, true);
    engine->in_flight++;
    struct engine_effect *effect = engine_effect_push(effects, ENGINE_CALL);
    effect->workflow = workflow;
    effect->id = workflow_head(workflow)->id;
    effect->wait = wait->wait;
    effect->service = service;
    effect->era = wait->era;
}

/* -- holding and releasing -- */

static void push_held(const struct workflow *workflow, const struct workflow_wait *wait,
                      int64_t now_us, struct engine_effects *effects)
{
    struct engine_effect *effect = engine_effect_push(effects, ENGINE_HELD);
    effect->workflow = (struct workflow *)(uintptr_t)workflow;
    effect->id = workflow_head(workflow)->id;
    effect->wait = wait->wait;
    effect->service = wait->guard - 1;
    effect->at_us = now_us;
}

static void set_deadline(struct engine *engine, const struct workflow *workflow)
{
    engine_set_timer(engine, workflow_deadline_us(workflow), &workflow_head(workflow)->id, 0);
}

static void unpark(struct engine *engine, int service)
{
    engine->gated[service].held--;
    engine->gate.unpark(engine->gate.context, service, 1);
}

/* A probe that failed goes on with the hold that it interrupted. */
bool engine_gate_park(struct engine *engine, struct workflow *workflow, struct workflow_wait *wait,
                      int64_t now_us, struct engine_effects *effects)
{
    int service = wait->guard - 1;
    if (workflow_paused(workflow))
        return true; /* it waits for the end of the pause */
    bool before = wait->released_us != 0;
    if (service < 0 || !engine->gate.park(engine->gate.context, service, before))
        return false;
    engine->gated[service].held++;
    workflow_hold(workflow, wait, before ? wait->released_us : now_us,
                  service_at(engine, service)->hold_counts);
    push_held(workflow, wait, now_us, effects);
    return true;
}

static void release(struct engine *engine, struct workflow *workflow, struct workflow_wait *wait,
                    int64_t now_us, struct engine_effects *effects)
{
    if (wait->held_us == 0)
        return;
    unpark(engine, wait->guard - 1);
    if (workflow_release(workflow, wait, now_us) > 0)
        set_deadline(engine, workflow);
    engine_set_limit(engine, &workflow_head(workflow)->id, wait);
    push_held(workflow, wait, now_us, effects);
}

void engine_gate_unhold(struct engine *engine, struct workflow *workflow,
                        const struct workflow_outcome *outcome, int64_t now_us,
                        struct engine_effects *effects)
{
    bool ended = workflow_state_ended(workflow_state(workflow));
    int64_t by_us = workflow_hold_settle(workflow, now_us);
    if (by_us > 0 && !ended)
        set_deadline(engine, workflow);
    for (size_t i = 0; i < outcome->unheld_count; i++) {
        unpark(engine, outcome->unheld[i].service);
        if (ended)
            continue;
        struct engine_effect *effect = engine_effect_push(effects, ENGINE_UNHELD);
        effect->id = workflow_head(workflow)->id;
        effect->shard = workflow_head(workflow)->shard;
        effect->wait = outcome->unheld[i].wait;
        effect->at_us = now_us;
        effect->excluded_us = i == 0 ? by_us : 0;
    }
}

void engine_gate_pause(struct engine *engine, struct workflow *workflow, int64_t now_us,
                       struct engine_effects *effects)
{
    for (size_t i = 0; i < workflow_wait_places(workflow); i++) {
        struct workflow_wait *wait = workflow_wait_at(workflow, i);
        if (wait == NULL)
            continue;
        release(engine, workflow, wait, now_us, effects);
        wait->released_us = 0; /* the pause is no part of a hold */
    }
}

void engine_gate_forget(struct engine *engine, struct workflow *workflow)
{
    for (size_t i = 0; i < workflow_wait_places(workflow); i++) {
        const struct workflow_wait *wait = workflow_wait_at(workflow, i);
        if (wait != NULL && wait->held_us != 0)
            unpark(engine, wait->guard - 1);
    }
}

static void restore(struct engine *engine, struct workflow *workflow,
                    const struct engine_hold *hold, int64_t now_us, struct engine_effects *effects)
{
    struct workflow_wait *wait = workflow_wait_find(workflow, hold->wait);
    workflow_hold_restore(workflow, wait, hold->excluded_us);
    if (hold->held_us == 0)
        return;
    if (wait != NULL && wait->guard > 0 && !wait->delivered &&
        engine->gate.park(engine->gate.context, wait->guard - 1, true)) {
        engine->gated[wait->guard - 1].held++;
        workflow_hold(workflow, wait, hold->held_us,
                      service_at(engine, wait->guard - 1)->hold_counts);
        return;
    }
    struct engine_effect *effect = engine_effect_push(effects, ENGINE_UNHELD);
    effect->id = hold->id;
    effect->shard = workflow_head(workflow)->shard;
    effect->wait = hold->wait;
    effect->at_us = now_us;
}

void engine_gate_restore(struct engine *engine, struct workflow *workflow,
                         const struct engine_event *event, struct engine_effects *effects)
{
    for (size_t i = 0; i < event->holds_count; i++)
        restore(engine, workflow, &event->holds[i], event->now_us, effects);
}

/* -- asking -- */

struct sweep {
    struct engine *engine;
    int64_t now_us;
    struct engine_effects *effects;
    bool refused;
};

static struct workflow_wait *find(struct engine *engine, const struct place *place,
                                  struct workflow **workflow)
{
    *workflow = engine_find(engine, &place->id);
    struct workflow_wait *wait =
        *workflow == NULL ? NULL : workflow_wait_find(*workflow, place->wait);
    return engine_waits_to_call(*workflow, wait) && wait->refusal == NULL ? wait : NULL;
}

static bool is_wanted(void *context, const struct place *place)
{
    struct workflow *workflow;
    return find(context, place, &workflow) != NULL;
}

/* What cannot be held any more goes on with an error. */
static bool hold(void *context, const struct place *place)
{
    struct sweep *sweep = context;
    struct workflow *workflow;
    struct workflow_wait *wait = find(sweep->engine, place, &workflow);
    if (wait == NULL)
        return false;
    if (wait->held_us != 0 ||
        engine_gate_park(sweep->engine, workflow, wait, sweep->now_us, sweep->effects))
        return true;
    wait->refusal = ENGINE_HELD_LIMIT;
    engine_queue_push(&sweep->engine->ready, place);
    sweep->refused = true;
    return false;
}

static void block(struct engine *engine, struct gated *gated, int64_t after_us, int64_t now_us)
{
    gated->blocked = true;
    if (after_us != INT64_MAX && now_us + after_us < engine->gate_due_us)
        engine->gate_due_us = now_us + after_us;
}

/* True when there is another call to make. */
static bool ask(struct engine *engine, int service, struct fair_queue *queue,
                const struct place *place, int64_t now_us, struct engine_effects *effects)
{
    struct gated *gated = &engine->gated[service];
    struct sweep sweep = {engine, now_us, effects, false};
    struct workflow *workflow;
    struct workflow_wait *wait = find(engine, place, &workflow);
    struct breaker_answer answer = engine->gate.ask(engine->gate.context, service, now_us);
    switch (answer.verdict) {
    case BREAKER_PASS:
    case BREAKER_REFUSE:
        fair_queue_pop(queue);
        release(engine, workflow, wait, now_us, effects);
        wait->era = answer.era;
        if (answer.verdict == BREAKER_REFUSE)
            wait->refusal = ENGINE_CIRCUIT_OPEN;
        engine_make_call(engine, workflow, wait, wait->refusal == NULL ? service : -1, effects);
        return true;
    case BREAKER_PARK:
        fair_queue_sweep(&gated->waiting, hold, &sweep);
        fair_queue_sweep(&gated->loaded, hold, &sweep);
        break;
    case BREAKER_WAIT:
        break;
    }
    block(engine, gated, answer.after_us, now_us);
    return sweep.refused;
}

/* Workflows that were loaded take turns with the others. NULL when none waits. */
static struct fair_queue *peek(struct engine *engine, struct gated *gated, struct place *place)
{
    struct fair_queue *first = gated->loaded_next ? &gated->loaded : &gated->waiting;
    struct fair_queue *second = gated->loaded_next ? &gated->waiting : &gated->loaded;
    gated->loaded_next = !gated->loaded_next;
    return fair_queue_peek(first, is_wanted, engine, place)    ? first
           : fair_queue_peek(second, is_wanted, engine, place) ? second
                                                               : NULL;
}

bool engine_gate_next(struct engine *engine, int64_t now_us, struct engine_effects *effects)
{
    int count = services_count(engine);
    for (int i = 0; i < count; i++) {
        int service = (engine->gated_turn + i) % count;
        struct gated *gated = &engine->gated[service];
        struct place place;
        struct fair_queue *queue = gated->blocked ? NULL : peek(engine, gated, &place);
        if (queue == NULL || !ask(engine, service, queue, &place, now_us, effects))
            continue;
        engine->gated_turn = (service + 1) % count;
        return true;
    }
    return false;
}
