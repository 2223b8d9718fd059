/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/engine_internal.h"

/* How many entries of a queue before the given place still count. */
static int64_t count_ahead(struct engine *engine, const struct queue *queue,
                           const struct place *own,
                           bool (*counts)(struct engine *engine, const struct place *place))
{
    int64_t ahead = 0;
    for (size_t i = 0; i < queue->count; i++) {
        const struct place *place = &queue->places[(queue->head + i) & (queue->capacity - 1)];
        if (uuid_equal(&place->id, &own->id) && place->wait == own->wait)
            break;
        ahead += counts(engine, place);
    }
    return ahead;
}

static bool is_pending(struct engine *engine, const struct place *place)
{
    const struct workflow *workflow = engine_find(engine, &place->id);
    return workflow != NULL && engine_waits_to_start(workflow);
}

static bool is_callable(struct engine *engine, const struct place *place)
{
    struct workflow *workflow = engine_find(engine, &place->id);
    return workflow != NULL &&
           engine_waits_to_call(workflow, workflow_wait_find(workflow, place->wait));
}

/* Calls of workflows as they were loaded take turns with the others: of both queues so many come first. */
static int64_t calls_ahead(struct engine *engine, const struct place *own)
{
    static const struct place nobody;
    int64_t ready = count_ahead(engine, &engine->ready, own, is_callable);
    int64_t all_ready = count_ahead(engine, &engine->ready, &nobody, is_callable);
    int64_t loaded = count_ahead(engine, &engine->loaded, own, is_callable);
    int64_t all_loaded = count_ahead(engine, &engine->loaded, &nobody, is_callable);
    if (loaded < all_loaded)
        return loaded + (all_ready < loaded ? all_ready : loaded);
    return ready + (all_loaded < ready ? all_loaded : ready);
}

static void add_places(struct engine *engine, struct workflow *workflow,
                       struct explanation *explanation)
{
    struct place own = {.id = explanation->id};
    if (explanation->state == WORKFLOW_PENDING && explanation->paused_us == 0)
        explanation->ahead = count_ahead(engine, &engine->pending, &own, is_pending);
    for (size_t i = 0; i < explanation->waits_count; i++) {
        struct explanation_wait *wait = &explanation->waits[i];
        own.wait = wait->number;
        if (wait->cause != EXPLANATION_SLOT)
            continue;
        wait->ahead = engine_gate_ahead(engine, workflow, workflow_wait_find(workflow, own.wait));
        if (wait->ahead < 0)
            wait->ahead = calls_ahead(engine, &own);
        if (wait->service >= 0 && engine->in_flight < engine->slots)
            wait->cause = EXPLANATION_LIMIT; /* there is a slot: its service has no place */
    }
}

struct explanation *engine_explain(struct engine *engine, const struct uuid *id,
                                   const struct services *services)
{
    struct workflow *workflow = engine_find(engine, id);
    if (workflow == NULL)
        return NULL;
    const struct workflow_head *head = workflow_head(workflow);
    struct explanation *explanation = explanation_new();
    const char *step = workflow_current_step(workflow);
    explanation->id = *id;
    explanation->state = workflow_state(workflow);
    explanation->shard = head->shard;
    explanation->run = head->run;
    explanation->step = *step == '\0' ? NULL : must_strdup(step);
    explanation->created_us = head->created_us;
    explanation->started_us = workflow_started_us(workflow);
    explanation->paused_us = workflow_paused_us(workflow);
    if (explanation->paused_us == 0)
        explanation->deadline_us = workflow_deadline_us(workflow);
    explanation->slots = engine->slots;
    explanation->calls = engine->in_flight;
    explanation_add_waits(explanation, workflow, services, engine->heard_us);
    add_places(engine, workflow, explanation);
    return explanation;
}
