/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/limits.h"
#include "orchestrator/core/engine_internal.h"

void engine_queue_push(struct queue *queue, const struct place *place)
{
    if (queue->count == queue->capacity) {
        size_t capacity = queue->capacity == 0 ? 64 : queue->capacity * 2;
        struct place *places = must_alloc(capacity * sizeof *places);
        for (size_t i = 0; i < queue->count; i++)
            places[i] = queue->places[(queue->head + i) & (queue->capacity - 1)];
        free(queue->places);
        *queue = (struct queue){places, 0, queue->count, capacity};
    }
    queue->places[(queue->head + queue->count++) & (queue->capacity - 1)] = *place;
}

static bool queue_pop(struct queue *queue, struct place *place)
{
    if (queue->count == 0)
        return false;
    *place = queue->places[queue->head];
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    queue->count--;
    return true;
}

/* -- effects -- */

struct engine_effect *engine_effect_push(struct engine_effects *effects,
                                         enum engine_effect_type type)
{
    if (effects->count == effects->capacity) {
        size_t capacity = effects->capacity == 0 ? 8 : effects->capacity * 2;
        effects->items = must_realloc(effects->items, capacity * sizeof *effects->items);
        memset(effects->items + effects->capacity, 0,
               (capacity - effects->capacity) * sizeof *effects->items);
        effects->capacity = capacity;
    }
    struct engine_effect *effect = &effects->items[effects->count++];
    struct workflow_outcome outcome = effect->outcome;
    *effect = (struct engine_effect){.type = type, .outcome = outcome, .service = -1};
    return effect;
}

void engine_effects_clear(struct engine_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        if (effects->items[i].ended)
            workflow_free(effects->items[i].workflow);
        workflow_outcome_clear(&effects->items[i].outcome);
        json_release(effects->items[i].own_payload);
    }
    effects->count = 0;
}

void engine_effects_fini(struct engine_effects *effects)
{
    engine_effects_clear(effects);
    for (size_t i = 0; i < effects->capacity; i++)
        workflow_outcome_fini(&effects->items[i].outcome);
    free(effects->items);
    *effects = (struct engine_effects){0};
}

/* -- life -- */

struct engine *engine_new(int64_t slots)
{
    struct engine *engine = must_calloc(1, sizeof *engine);
    engine->slots = slots;
    engine->gate_due_us = INT64_MAX;
    return engine;
}

void engine_free(struct engine *engine)
{
    if (engine == NULL)
        return;
    struct live *live, *next_live;
    HASH_ITER(hh, engine->live, live, next_live)
    {
        HASH_DEL(engine->live, live);
        workflow_free(live->workflow);
        free(live);
    }
    engine_gate_fini(engine);
    recent_keys_fini(&engine->keys);
    free(engine->ready.places);
    free(engine->loaded.places);
    free(engine->pending.places);
    free(engine->children.places);
    timers_fini(&engine->timers);
    free(engine);
}

int64_t engine_next_due_us(const struct engine *engine)
{
    int64_t due_us = timers_next_us(&engine->timers);
    return due_us < engine->gate_due_us ? due_us : engine->gate_due_us;
}
void engine_heard(struct engine *engine, int64_t now_us) { engine->heard_us = now_us; }
int64_t engine_live_bytes(const struct engine *engine) { return engine->live_bytes; }
size_t engine_live(const struct engine *engine) { return HASH_COUNT(engine->live); }
size_t engine_pending(const struct engine *engine) { return engine->pending_count; }
size_t engine_in_flight(const struct engine *engine) { return (size_t)engine->in_flight; }

static struct live *find_live(struct engine *engine, const struct uuid *id)
{
    struct live *live;
    HASH_FIND(hh, engine->live, id, sizeof *id, live);
    return live;
}

struct workflow *engine_find(struct engine *engine, const struct uuid *id)
{
    struct live *live = find_live(engine, id);
    return live == NULL ? NULL : live->workflow;
}

void engine_add_live(struct engine *engine, struct workflow *workflow)
{
    struct live *live = must_calloc(1, sizeof *live);
    live->id = workflow_head(workflow)->id;
    live->workflow = workflow;
    engine->live_bytes += workflow_weight(workflow);
    HASH_ADD(hh, engine->live, id, sizeof live->id, live);
}

void engine_remove_live(struct engine *engine, const struct uuid *id)
{
    struct live *live = find_live(engine, id);
    HASH_DEL(engine->live, live);
    engine->live_bytes -= workflow_weight(live->workflow);
    free(live);
}

/* -- records -- */

/* A pause moves times, and a heartbeat moves a limit: timers of earlier ones mean nothing. */
static bool timer_counts(struct workflow *workflow, const struct timer *timer)
{
    if (timer->wait == 0)
        return !workflow_stands_still(workflow) && timer->due_us == workflow_deadline_us(workflow);
    const struct workflow_wait *wait = workflow_wait_find(workflow, timer->wait);
    if (wait == NULL)
        return false;
    return wait->is_timer ? timer->due_us == wait->due_us
                          : timer->due_us == wait->limit_us || timer->due_us == wait->again_us;
}

static bool timer_is_wanted(const struct timer *timer, void *context)
{
    struct workflow *workflow = engine_find(context, &timer->id);
    return workflow != NULL && timer_counts(workflow, timer);
}

void engine_set_timer(struct engine *engine, int64_t due_us, const struct uuid *id, uint32_t wait)
{
    timers_add(&engine->timers, &(struct timer){due_us, *id, wait}, timer_is_wanted, engine);
}

void engine_set_limit(struct engine *engine, const struct uuid *id, struct workflow_wait *wait)
{
    const char *error;
    int64_t limit_us = workflow_wait_limit_us(wait, engine->heard_us, &error);
    if (limit_us == INT64_MAX || limit_us == wait->limit_us)
        return;
    wait->limit_us = limit_us;
    engine_set_timer(engine, limit_us, id, wait->wait);
}

/* Its end is asked for, until it is known. */
static void watch_child(struct engine *engine, const struct uuid *id, struct workflow_wait *wait)
{
    if (!wait->watched)
        engine_queue_push(&engine->children, &(struct place){*id, wait->wait});
    wait->watched = true;
}

/* What an open wait needs: a timer, a call (its place is in `calls`), a limit on its time. */
static void attend(struct engine *engine, const struct workflow *workflow,
                   struct workflow_wait *wait, struct queue *calls)
{
    const struct uuid *id = &workflow_head(workflow)->id;
    if (wait->is_timer)
        engine_set_timer(engine, wait->due_us, id, wait->wait);
    else if (wait->delivered && wait->task->waits_for_end)
        watch_child(engine, id, wait);
    else if (!wait->delivered && !wait->task->local)
        engine_gate_queue(engine, workflow, wait, calls);
    engine_set_limit(engine, id, wait);
}

/* What a workflow needs that was loaded, or paused until now. */
static void attend_all(struct engine *engine, struct workflow *workflow, struct queue *calls)
{
    struct uuid id = workflow_head(workflow)->id;
    if (workflow_state(workflow) == WORKFLOW_PENDING)
        engine_queue_push(&engine->pending, &(struct place){.id = id});
    for (size_t i = 0; i < workflow_wait_places(workflow); i++) {
        struct workflow_wait *wait = workflow_wait_at(workflow, i);
        if (wait != NULL)
            attend(engine, workflow, wait, calls);
    }
}

static void push_orphan(struct engine_effects *effects, const struct uuid *child,
                        const struct uuid *parent, uint32_t wait)
{
    struct engine_effect *effect = engine_effect_push(effects, ENGINE_ORPHAN);
    effect->id = *child;
    effect->parent = *parent;
    effect->wait = wait;
}

static void take_outcome(struct engine *engine, struct workflow *workflow,
                         const struct workflow_outcome *outcome, struct engine_effects *effects)
{
    struct uuid id = workflow_head(workflow)->id;
    for (size_t i = 0; i < outcome->opened_count && !outcome->resumed; i++) {
        struct workflow_wait *wait = workflow_wait_find(workflow, outcome->opened[i]);
        if (wait != NULL)
            attend(engine, workflow, wait, &engine->ready);
    }
    if (outcome->resumed)
        attend_all(engine, workflow, &engine->ready);
    if (outcome->deadline_us != 0 && !workflow_state_ended(outcome->to))
        engine_set_timer(engine, outcome->deadline_us, &id, 0);
    for (size_t i = 0; i < outcome->abandoned_count; i++) {
        struct engine_effect *effect = engine_effect_push(effects, ENGINE_ABANDON);
        effect->id = id;
        effect->wait = outcome->abandoned[i];
    }
    for (size_t i = 0; i < outcome->children_count; i++)
        push_orphan(effects, &outcome->children[i].id, &id, outcome->children[i].wait);
}

bool engine_waits_to_start(const struct workflow *workflow)
{
    return workflow_state(workflow) == WORKFLOW_PENDING && !workflow_paused(workflow);
}

bool engine_record(struct engine *engine, struct workflow *workflow, struct workflow_record *record,
                   struct engine_effects *effects)
{
    struct engine_effect *effect = engine_effect_push(effects, ENGINE_RECORDED);
    size_t index = effects->count - 1;
    int16_t shard = workflow_head(workflow)->shard;
    enum workflow_state before = workflow_state(workflow);
    bool queued_before = before == WORKFLOW_NONE || engine_waits_to_start(workflow);
    int64_t calls_before = workflow_calls(workflow);
    int64_t weight_before = workflow_weight(workflow);
    record->n = workflow_records(workflow);
    if (record->at_us < workflow_last_us(workflow))
        record->at_us =
            workflow_last_us(workflow); /* the wall clock may go back, a workflow's time does not */
    if (workflow_apply(workflow, record, &effect->outcome) != ERR_OK) {
        effects->count--;
        return false;
    }
    engine->in_flight -= calls_before - workflow_calls(workflow);
    engine->live_bytes += workflow_weight(workflow) - weight_before;
    effect->workflow = workflow;
    effect->id = workflow_head(workflow)->id;
    effect->record = *record;
    effect->is_new = before == WORKFLOW_NONE;
    effect->ended = workflow_state_ended(workflow_state(workflow));
    effect->seq = engine->next_seq[shard];
    engine->next_seq[shard] += (int64_t)effect->outcome.events_count;
    effect->queued = engine_waits_to_start(workflow) - queued_before;
    if (before != WORKFLOW_NONE)
        engine->pending_count += (size_t)effect->queued;
    if (effect->ended)
        engine_remove_live(engine, &effect->id);
    struct workflow_outcome outcome = effect->outcome; /* pushing may move the effects */
    take_outcome(engine, workflow, &outcome, effects);
    if (outcome.unheld_count > 0)
        engine_gate_unhold(engine, workflow, &outcome, record->at_us, effects);
    return !effects->items[index].ended;
}

static bool start_next(struct engine *engine, int64_t now_us, struct engine_effects *effects)
{
    struct place place;
    while (queue_pop(&engine->pending, &place)) {
        struct workflow *workflow = engine_find(engine, &place.id);
        if (workflow == NULL || !engine_waits_to_start(workflow))
            continue;
        (void)engine_record(engine, workflow,
                            &(struct workflow_record){.kind = RECORD_STARTED,
                                                      .at_us = now_us,
                                                      .duration_us = workflow_limit_us(workflow)},
                            effects);
        return true;
    }
    return false;
}

bool engine_waits_to_call(const struct workflow *workflow, const struct workflow_wait *wait)
{
    return wait != NULL && !wait->called && !wait->delivered && !wait->answered &&
           wait->again_us == 0 && !workflow_paused(workflow);
}

/* Workflows that were loaded take turns with the others: neither waits for all of the other's calls. */
static bool pop_call(struct engine *engine, struct place *place)
{
    engine->loaded_next = !engine->loaded_next;
    struct queue *first = engine->loaded_next ? &engine->loaded : &engine->ready;
    struct queue *second = engine->loaded_next ? &engine->ready : &engine->loaded;
    return queue_pop(first, place) || queue_pop(second, place);
}

static bool call_next(struct engine *engine, struct engine_effects *effects)
{
    struct place place;
    while (pop_call(engine, &place)) {
        struct workflow *workflow = engine_find(engine, &place.id);
        struct workflow_wait *wait =
            workflow == NULL ? NULL : workflow_wait_find(workflow, place.wait);
        if (!engine_waits_to_call(workflow, wait))
            continue;
        engine_make_call(engine, workflow, wait, -1, effects);
        return true;
    }
    return false;
}

/* Fills free slots: calls of running workflows first, then workflows that wait to start. */
static void dispatch(struct engine *engine, int64_t now_us, struct engine_effects *effects)
{
    engine_gate_begin(engine);
    while (engine->in_flight < engine->slots)
        if (!call_next(engine, effects) && !engine_gate_next(engine, now_us, effects) &&
            !start_next(engine, now_us, effects))
            break;
}

static void submit(struct engine *engine, const struct engine_event *event,
                   struct engine_effects *effects)
{
    struct workflow *workflow = event->workflow;
    const struct workflow_head *head = workflow_head(workflow);
    if (event->key != NULL) {
        const struct recent_key *known =
            recent_keys_find(&engine->keys, head->namespace, event->key);
        if (known != NULL) {
            struct engine_effect *effect = engine_effect_push(effects, ENGINE_DUPLICATE);
            effect->id = known->id;
            effect->same_body = memcmp(known->body_hash, event->body_hash, BODY_HASH_BYTES) == 0;
            workflow_free(workflow);
            return;
        }
        recent_keys_add(&engine->keys, head->namespace, event->key, &head->id, event->body_hash,
                        event->now_us);
    }
    bool at_once =
        engine->pending_count == 0 &&
        engine->in_flight + (int64_t)(engine->ready.count + engine->loaded.count) < engine->slots;
    struct workflow_record first = {.kind = at_once ? RECORD_STARTED : RECORD_ACCEPTED,
                                    .at_us = event->now_us,
                                    .duration_us = at_once ? workflow_limit_us(workflow) : 0};
    struct place place = {.id = head->id};
    engine_add_live(engine, workflow); /* before its timers are set: a sweep asks who lives */
    bool lives = engine_record(engine, workflow, &first, effects);
    BUG_IF(effects->count == 0); /* a new workflow takes its first record */
    if (lives && !at_once) {     /* one that ended at once belongs to the effects */
        engine->pending_count++;
        engine_queue_push(&engine->pending, &place);
    }
}

static void load(struct engine *engine, const struct engine_event *event,
                 struct engine_effects *effects)
{
    struct workflow *workflow = event->workflow;
    engine_heard(engine, event->now_us);
    struct uuid id = workflow_head(workflow)->id;
    engine_add_live(engine, workflow);
    attend_all(engine, workflow, &engine->loaded);
    engine_gate_restore(engine, workflow, event, effects);
    engine->pending_count += engine_waits_to_start(workflow);
    if (workflow_state(workflow) != WORKFLOW_PENDING)
        engine_set_timer(engine, workflow_deadline_us(workflow), &id, 0);
}

/* The open wait an answer names; NULL after counting it as stale. */
static struct workflow_wait *find_wait(struct engine *engine, const struct engine_event *event,
                                       struct workflow **workflow, struct engine_effects *effects)
{
    *workflow = engine_find(engine, &event->id);
    struct workflow_wait *wait =
        *workflow == NULL ? NULL : workflow_wait_find(*workflow, event->wait);
    bool of_call = event->type == ENGINE_TASK_ENDED || event->type == ENGINE_DELIVERED ||
                   event->type == ENGINE_AGAIN || event->type == ENGINE_PARKED;
    bool fits = wait != NULL && !wait->is_timer && !wait->answered;
    if (fits && of_call)
        fits = wait->called && !wait->delivered && wait->attempt == event->attempt;
    else if (fits)
        fits =
            event->type == ENGINE_CHILD ? wait->task->waits_for_end : wait->task->waits_for_token;
    if (fits)
        return wait;
    engine_effect_push(effects, ENGINE_STALE)->id = event->id;
    return NULL;
}

int64_t engine_wait_age_us(const struct workflow_wait *wait, int64_t now_us)
{
    return now_us < wait->opened_us ? 0 : now_us - wait->opened_us;
}

/* Ends a wait by something else than the answer of its call, which may still be on its way and no longer
 * matters. */
static void end_wait(struct engine *engine, struct workflow *workflow,
                     const struct workflow_wait *wait, const struct engine_event *event,
                     struct engine_effects *effects)
{
    bool calling = wait->called && !wait->delivered;
    struct workflow_record end = {
        .kind = event->error == NULL ? RECORD_TASK_SUCCEEDED : RECORD_TASK_FAILED,
        .at_us = event->now_us,
        .wait = wait->wait,
        .attempt = wait->attempt,
        .duration_us = engine_wait_age_us(wait, event->now_us),
        .random = event->random,
        .error = event->error,
        .cause = event->cause,
        .payload = event->error == NULL ? event->result : NULL,
    };
    (void)engine_record(engine, workflow, &end, effects);
    if (calling) {
        struct engine_effect *effect = engine_effect_push(effects, ENGINE_ABANDON);
        effect->id = event->id;
        effect->wait = end.wait;
    }
}

static void task_ended(struct engine *engine, const struct engine_event *event,
                       struct engine_effects *effects)
{
    struct workflow *workflow;
    const struct workflow_wait *wait = find_wait(engine, event, &workflow, effects);
    if (wait == NULL)
        return;
    if (event->type != ENGINE_TASK_ENDED) {
        end_wait(engine, workflow, wait, event, effects);
        return;
    }
    struct uuid child;
    if (event->error != NULL && workflow_wait_child(wait, &child)) /* its start was not answered */
        push_orphan(effects, &child, &event->id, event->wait);
    struct workflow_record answer = {
        .kind = event->error == NULL ? RECORD_TASK_SUCCEEDED : RECORD_TASK_FAILED,
        .at_us = event->now_us,
        .wait = event->wait,
        .attempt = event->attempt,
        .duration_us = event->duration_us,
        .random = event->random,
        .error = event->error,
        .cause = event->cause,
        .payload = event->result,
    };
    (void)engine_record(engine, workflow, &answer, effects);
}

/* The call failed because its service is sick: the attempt does not count. */
static void parked(struct engine *engine, const struct engine_event *event,
                   struct engine_effects *effects)
{
    struct workflow *workflow = NULL;
    struct workflow_wait *wait = find_wait(engine, event, &workflow, effects);
    if (wait == NULL)
        return;
    if (!engine_gate_park(engine, workflow, wait, event->now_us, effects)) {
        struct engine_event failed = *event;
        failed.type = ENGINE_TASK_ENDED;
        task_ended(engine, &failed, effects);
        return;
    }
    workflow_wait_set_called(workflow, wait, false);
    engine->in_flight--;
    engine_gate_queue(engine, workflow, wait, &engine->ready);
}

static void delivered(struct engine *engine, const struct engine_event *event,
                      struct engine_effects *effects)
{
    struct workflow *workflow;
    struct workflow_wait *wait = find_wait(engine, event, &workflow, effects);
    if (wait == NULL)
        return;
    struct workflow_record noted = {.kind = RECORD_TASK_DELIVERED,
                                    .at_us = event->now_us,
                                    .wait = event->wait,
                                    .attempt = event->attempt,
                                    .duration_us = event->duration_us,
                                    .payload = event->result};
    (void)engine_record(engine, workflow, &noted, effects);
    if (wait->task->waits_for_end)
        watch_child(engine, &event->id, wait);
}

static void again(struct engine *engine, const struct engine_event *event,
                  struct engine_effects *effects)
{
    struct workflow *workflow;
    struct workflow_wait *wait = find_wait(engine, event, &workflow, effects);
    if (wait == NULL)
        return;
    workflow_wait_set_called(workflow, wait, false);
    engine->in_flight--;
    wait->again_us = event->now_us + (event->after_us << wait->again_count);
    if (wait->again_count < AGAIN_DOUBLINGS_MAX)
        wait->again_count++;
    engine_set_timer(engine, wait->again_us, &event->id, event->wait);
}

/* One now and then is enough: after a restart nobody is late before a whole HeartbeatSeconds. */
static bool is_worth_recording(const struct workflow_wait *wait, int64_t now_us)
{
    int64_t apart_ms = wait->heartbeat_ms / 4;
    if (apart_ms > HEARTBEAT_RECORD_MS)
        apart_ms = HEARTBEAT_RECORD_MS;
    return wait->heartbeat_ms > 0 && now_us - wait->heartbeat_us >= apart_ms * 1000;
}

static void heartbeat(struct engine *engine, const struct engine_event *event,
                      struct engine_effects *effects)
{
    struct workflow *workflow;
    struct workflow_wait *wait = find_wait(engine, event, &workflow, effects);
    if (wait == NULL)
        return;
    if (!is_worth_recording(wait, event->now_us)) {
        struct engine_effect *effect = engine_effect_push(effects, ENGINE_HEARD);
        wait->beat_us = event->now_us;
        effect->workflow = workflow;
        effect->id = event->id;
        return;
    }
    struct workflow_record beat = {.kind = RECORD_HEARTBEAT,
                                   .at_us = event->now_us,
                                   .wait = event->wait,
                                   .attempt = wait->attempt};
    (void)engine_record(engine, workflow, &beat, effects);
}

/* A number in [0, 1) of each wait's own, made from the one that was drawn for the tick. */
static double random_of(double drawn, const struct uuid *id, uint32_t wait)
{
    double sum = drawn + (double)(XXH3_64bits_withSeed(id, sizeof *id, wait) >> 11) * 0x1p-53;
    return sum < 1 ? sum : sum - 1;
}

/* The time of a wait is up, or a call that was not taken is made again. */
static void wait_due(struct engine *engine, struct workflow *workflow, struct workflow_wait *wait,
                     const struct engine_event *event, struct engine_effects *effects)
{
    struct uuid id = workflow_head(workflow)->id;
    const char *error = NULL;
    int64_t limit_us = workflow_wait_limit_us(wait, engine->heard_us, &error);
    if (limit_us <= event->now_us) {
        struct uuid child;
        struct engine_event up = {.now_us = event->now_us,
                                  .id = id,
                                  .random = random_of(event->random, &id, wait->wait),
                                  .error = error,
                                  .cause = "its time is up"};
        if (workflow_wait_child(wait, &child))
            push_orphan(effects, &child, &id, wait->wait);
        end_wait(engine, workflow, wait, &up, effects);
    } else if (wait->again_us != 0 && wait->again_us <= event->now_us) {
        wait->again_us = 0;
        engine_gate_queue(engine, workflow, wait, &engine->ready);
    } else {
        engine_set_limit(engine, &id, wait); /* a heartbeat came meanwhile */
    }
}

static void tick(struct engine *engine, const struct engine_event *event,
                 struct engine_effects *effects)
{
    struct timer timer;
    size_t most =
        engine->timers.count; /* those set on the way that are due at once wait for the next tick */
    while (most-- > 0 && timers_pop(&engine->timers, event->now_us, &timer)) {
        struct workflow *workflow = engine_find(engine, &timer.id);
        if (workflow == NULL || workflow_paused(workflow) || !timer_counts(workflow, &timer))
            continue;
        struct workflow_wait *wait = workflow_wait_find(workflow, timer.wait);
        if (wait != NULL && !wait->is_timer) {
            wait_due(engine, workflow, wait, event, effects);
            continue;
        }
        struct workflow_record fired = {
            .kind = RECORD_TIMER_FIRED, .at_us = event->now_us, .wait = timer.wait};
        if (timer.wait == 0)
            fired = (struct workflow_record){.kind = RECORD_TIMED_OUT,
                                             .at_us = event->now_us,
                                             .error = "States.Timeout",
                                             .cause = "the workflow's time limit has passed"};
        (void)engine_record(engine, workflow, &fired, effects);
    }
}

void engine_step(struct engine *engine, const struct engine_event *event,
                 struct engine_effects *effects)
{
    recent_keys_expire(&engine->keys, event->now_us);
    switch (event->type) {
    case ENGINE_SUBMIT:
        submit(engine, event, effects);
        break;
    case ENGINE_LOAD:
        load(engine, event, effects);
        break;
    case ENGINE_TASK_ENDED:
    case ENGINE_TOKEN:
    case ENGINE_CHILD:
        task_ended(engine, event, effects);
        break;
    case ENGINE_DELIVERED:
        delivered(engine, event, effects);
        break;
    case ENGINE_AGAIN:
        again(engine, event, effects);
        break;
    case ENGINE_HEARTBEAT:
        heartbeat(engine, event, effects);
        break;
    case ENGINE_SIGNAL:
        engine_signal(engine, event, effects);
        break;
    case ENGINE_TICK:
        tick(engine, event, effects);
        break;
    case ENGINE_CANCEL:
        engine_cancel(engine, event, effects);
        break;
    case ENGINE_PAUSE:
    case ENGINE_RESUME:
        engine_pause(engine, event, effects);
        break;
    case ENGINE_RETRY:
        engine_retry(engine, event, effects);
        break;
    case ENGINE_PARKED:
        parked(engine, event, effects);
        break;
    case ENGINE_GATE: /* dispatch asks it */
        break;
    }
    dispatch(engine, event->now_us, effects);
}

bool engine_child_started(struct engine *engine, const struct engine_child *child)
{
    struct workflow *workflow = engine_find(engine, &child->id);
    struct workflow_wait *wait =
        workflow == NULL ? NULL : workflow_wait_find(workflow, child->wait);
    if (wait == NULL || wait->task == NULL || !wait->task->waits_for_end)
        return false;
    wait->started = true;
    wait->child = child->child;
    return true;
}

bool engine_waits_for_children(const struct engine *engine) { return engine->children.count > 0; }

size_t engine_children(struct engine *engine, struct engine_child *children, size_t max)
{
    size_t count = 0;
    struct place place;
    for (size_t left = engine->children.count; left > 0 && count < max; left--) {
        (void)queue_pop(&engine->children, &place);
        struct workflow *workflow = engine_find(engine, &place.id);
        const struct workflow_wait *wait =
            workflow == NULL ? NULL : workflow_wait_find(workflow, place.wait);
        if (wait == NULL || wait->answered || !workflow_wait_child(wait, &children[count].child))
            continue;
        children[count].id = place.id;
        children[count].wait = place.wait;
        count++;
        engine_queue_push(&engine->children, &place);
    }
    return count;
}
