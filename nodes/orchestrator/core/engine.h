/* SPDX-License-Identifier: MIT */
/* engine.h - the workflows of one worker's shards: admission, slots, timers, lanes. Pure: the same
 * events give the same effects; the runtime (orchestrator/worker.h) carries effects out.
 *
 * Owns      The engine owns its workflows. An ended workflow passes to the effects list, which frees
 *           it at the next engine_effects_clear.
 * Lifetime  Effects are valid until engine_effects_clear.
 * Threads   One thread owns an engine.
 * Units     *_us microseconds since 1970 UTC.
 * Errors    None to the caller: what is stale or not allowed is an effect of its own.
 *
 * Save before send: ENGINE_RECORDED effects are written and committed; only then are the ENGINE_CALL
 * effects made, replies given and events published.
 */
#ifndef ORCHESTRATOR_CORE_ENGINE_H
#define ORCHESTRATOR_CORE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/core/breaker.h"
#include "orchestrator/core/explanation.h"
#include "orchestrator/core/services.h"
#include "orchestrator/core/workflow.h"

struct engine;

/* How calls that the breaker of their service does not let pass end. */
#define ENGINE_CIRCUIT_OPEN "Service.CircuitOpen" /* it is open, and the service says fail */
#define ENGINE_HELD_LIMIT "Service.HeldLimit"     /* held_steps_max steps are held already */

#define BODY_HASH_BYTES 8
/* How long the engine remembers keys: longer than the time between a reader's look at the database
 * and the arrival of its submission (SUBMIT_AGE_US_MAX), so that no repeat slips between the two. */
#define KEY_MEMORY_US 20000000
#define SUBMIT_AGE_US_MAX 10000000
_Static_assert(KEY_MEMORY_US > SUBMIT_AGE_US_MAX,
               "a key must be remembered longer than a submission travels");

enum engine_event_type {
    ENGINE_SUBMIT,     /* workflow, key, body_hash */
    ENGINE_LOAD,       /* workflow with its records applied: at start and takeover */
    ENGINE_TASK_ENDED, /* id, wait, attempt, duration_us, random, result or error and cause */
    ENGINE_TICK,       /* the time has come for a timer */
    ENGINE_CANCEL,     /* id, cause */
    ENGINE_DELIVERED,  /* id, wait, attempt, result: the call was answered, its wait goes on */
    ENGINE_AGAIN,      /* id, wait, attempt, after_us: the call was not taken and is made again */
    ENGINE_TOKEN,      /* id, wait, random, result or error and cause: the token's answer */
    ENGINE_CHILD,      /* likewise: the end of the workflow that the wait started */
    ENGINE_HEARTBEAT,  /* id, wait */
    ENGINE_SIGNAL,     /* id, signal, key, result: its data */
    ENGINE_PAUSE,      /* id */
    ENGINE_RESUME,     /* id */
    ENGINE_RETRY,      /* workflow: a failed one with its records applied */
    ENGINE_PARKED, /* as ENGINE_TASK_ENDED with an error: the breaker of its service wants it held */
    ENGINE_GATE,   /* a breaker has changed */
};

/* What the store kept of a held step: one of `holds` of ENGINE_LOAD. */
struct engine_hold {
    struct uuid id;
    uint32_t wait;
    int64_t held_us; /* 0: it was released */
    int64_t excluded_us;
};

struct engine_event {
    enum engine_event_type type;
    int64_t now_us;
    struct workflow *workflow; /* taken */
    const struct engine_hold *holds;
    size_t holds_count;
    const char *key; /* idempotency key, or NULL */
    const char *signal;
    int64_t after_us;
    uint8_t body_hash[BODY_HASH_BYTES];
    struct uuid id;
    uint32_t wait;
    uint32_t attempt;
    int64_t duration_us;
    double random;
    const struct json *result;
    const char *error;
    const char *cause;
};

enum engine_effect_type {
    ENGINE_RECORDED,  /* write: workflow, record, outcome, seq; is_new, ended */
    ENGINE_CALL,      /* make the call of workflow's open wait, after the commit; service, era. A
                         wait with a refusal: let it end with that error instead */
    ENGINE_ABANDON,   /* stop the call of (id, wait) */
    ENGINE_DUPLICATE, /* answer of ENGINE_SUBMIT: id has the key; same_body. Of ENGINE_SIGNAL: the
                         signal with this key is recorded already, same_body: and it said the same */
    ENGINE_UNKNOWN, /* answer of a command: no live workflow has this id. Of ENGINE_RETRY: it cannot
                         go on, or lives already */
    ENGINE_STALE,   /* an answer came for something nobody waits for */
    ENGINE_HEARD,   /* answer of ENGINE_HEARTBEAT, PAUSE and RESUME: taken, and nothing to record;
                         workflow */
    ENGINE_FULL,    /* answer of ENGINE_SIGNAL: no more are kept */
    ENGINE_ORPHAN, /* the wait (parent, wait) no longer waits for the end of the workflow `id`, which
                         is to be cancelled if it was started by that wait */
    ENGINE_HELD, /* write: workflow's open wait is held, or released again: its fields say which */
    ENGINE_UNHELD, /* write: the closed wait (id, wait) is no longer held; at_us, excluded_us */
};

struct engine_effect {
    enum engine_effect_type type;
    struct workflow *workflow; /* lent; of an ended one: owned by the list */
    struct uuid id;
    struct workflow_record record; /* texts and payload are those of the event */
    struct json *own_payload;      /* the record's, when the engine made it; owned by the list */
    struct workflow_outcome outcome;
    int64_t seq; /* first lane number of the published events */
    int queued;  /* 1: it waits to start now, -1: no longer; a new one is counted before */
    bool is_new;
    bool ended;
    bool same_body;
    uint32_t wait;
    struct uuid parent;
    int service; /* -1: none that is asked */
    uint32_t era;
    int16_t shard;
    int64_t at_us, excluded_us;
};

struct engine_effects {
    struct engine_effect *items;
    size_t count;
    size_t capacity; /* items beyond count keep their outcome's memory */
};
void engine_effects_clear(struct engine_effects *effects);
void engine_effects_fini(struct engine_effects *effects);

/* Who lets calls to services pass. `context` and `services` are lent. */
struct engine_gate {
    void *context;
    const struct services *services;
    struct breaker_answer (*ask)(void *context, int service, int64_t now_us);
    /* False: as many as may be are held. What was held `before`, elsewhere or until it was probed, always is. */
    bool (*park)(void *context, int service, bool before);
    void (*unpark)(void *context, int service, size_t count); /* they are held no longer */
};

/* slots: calls in flight at most. */
struct engine *engine_new(int64_t slots) MUST_USE;
/* Before the first event; without it every call may be made. */
void engine_set_gate(struct engine *engine, const struct engine_gate *gate);
void engine_free(struct engine *engine); /* with all its workflows */
void engine_lane_open(struct engine *engine, int16_t shard, int64_t next_seq);
int64_t engine_lane_next(const struct engine *engine, int16_t shard);
/* Forgets the shard's workflows, which go on elsewhere: no effects, calls under way are the caller's to
 * stop. How many they were. */
size_t engine_shard_close(struct engine *engine, int16_t shard);

void engine_step(struct engine *engine, const struct engine_event *event,
                 struct engine_effects *effects);

/* Heartbeats can be taken again from now on: those missed before are not held against anybody. Loading a
 * workflow says so too. */
void engine_heard(struct engine *engine, int64_t now_us);

/* Started workflows whose end is waited for, at most `max`, in turn: the next call goes on. */
struct engine_child {
    struct uuid id; /* of the parent */
    uint32_t wait;
    struct uuid child;
};
/* It was started by this wait: remembered until the call of the wait is answered. False when nobody waits
 * for its end. */
bool engine_child_started(struct engine *engine, const struct engine_child *child);
bool engine_waits_for_children(const struct engine *engine);
size_t engine_children(struct engine *engine, struct engine_child *children, size_t max);

int64_t engine_next_due_us(
    const struct engine *engine); /* of the earliest timer; INT64_MAX when none */
size_t engine_live(const struct engine *engine);
int64_t engine_live_bytes(const struct engine *engine); /* what they hold, as text */
size_t engine_pending(const struct engine *engine);     /* accepted, not started */
size_t engine_in_flight(const struct engine *engine);
struct workflow *engine_find(struct engine *engine, const struct uuid *id);
/* Why it is where it is; NULL when no live workflow has the id. */
struct explanation *engine_explain(struct engine *engine, const struct uuid *id,
                                   const struct services *services) MUST_USE;

#endif
