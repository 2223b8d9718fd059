/* SPDX-License-Identifier: MIT */
/* engine_internal.h - what the files engine*.c share; nobody else includes it.
 *
 *     engine.c          admission, slots, timers, answers
 *     engine_explain.c  why a workflow is where it is
 *     engine_shard.c    lanes, and giving up a shard
 *     engine_gate.c     calls that a service's breaker and limits let pass, or hold
 *     engine_command.c  what people tell a workflow: signals, cancel, pause, resume, retry
 */
#ifndef ORCHESTRATOR_CORE_ENGINE_INTERNAL_H
#define ORCHESTRATOR_CORE_ENGINE_INTERNAL_H

#include <uthash.h>

#include "orchestrator/core/engine.h"
#include "orchestrator/core/fair_queue.h"
#include "orchestrator/core/recent_keys.h"
#include "orchestrator/core/timers.h"

struct live {
    struct uuid id;
    struct workflow *workflow;
    UT_hash_handle hh;
};

/* Entries that are no longer true are skipped when they come up. */
struct queue {
    struct place *places;
    size_t head, count, capacity; /* capacity is a power of two */
};

/* Calls to one service. */
struct gated {
    struct fair_queue waiting;
    struct fair_queue loaded; /* likewise, of workflows as they were loaded */
    bool loaded_next;         /* whose turn it is */
    size_t held;              /* of them */
    bool blocked;             /* none of them passes in this step */
};

struct engine {
    struct engine_gate gate;
    struct gated *gated; /* by service; NULL without a gate */
    int gated_turn;      /* the service that is asked first */
    int64_t gate_due_us; /* when to ask again; INT64_MAX: when told */
    struct live *live;
    struct recent_keys keys;
    struct queue ready;    /* calls that wait for a slot */
    struct queue loaded;   /* likewise, of workflows as they were loaded */
    bool loaded_next;      /* whose turn it is */
    struct queue pending;  /* workflows that wait to start */
    struct queue children; /* waits for the end of started workflows */
    size_t pending_count;  /* of them, those that are still PENDING */
    struct timers timers;
    int64_t slots, in_flight;
    int64_t live_bytes;
    int64_t heard_us; /* since when heartbeats can be taken */
    int64_t next_seq[SHARDS_MAX];
};

/* engine.c */
struct engine_effect *engine_effect_push(struct engine_effects *effects,
                                         enum engine_effect_type type);
/* Applies one record and emits it. False when the workflow has ended, or would not have it. */
bool engine_record(struct engine *engine, struct workflow *workflow, struct workflow_record *record,
                   struct engine_effects *effects);
void engine_add_live(struct engine *engine, struct workflow *workflow);
void engine_remove_live(struct engine *engine, const struct uuid *id);
/* How long it is open; the wall clock may have gone back meanwhile. */
int64_t engine_wait_age_us(const struct workflow_wait *wait, int64_t now_us);

/* A paused one is not in the queue. */
bool engine_waits_to_start(const struct workflow *workflow);
/* Its call is to be made when a slot is free; wait may be NULL. */
bool engine_waits_to_call(const struct workflow *workflow, const struct workflow_wait *wait);
void engine_queue_push(struct queue *queue, const struct place *place);
void engine_set_timer(struct engine *engine, int64_t due_us, const struct uuid *id, uint32_t wait);
void engine_set_limit(struct engine *engine, const struct uuid *id, struct workflow_wait *wait);

/* engine_gate.c */
void engine_make_call(struct engine *engine, struct workflow *workflow, struct workflow_wait *wait,
                      int service, struct engine_effects *effects);
void engine_gate_fini(struct engine *engine);
/* A call that wants to be made takes its place: in `calls` (ready or loaded) when no service is asked, else in
 * the like queue of its service. */
void engine_gate_queue(struct engine *engine, const struct workflow *workflow,
                       struct workflow_wait *wait, struct queue *calls);
/* Calls to its service that come before it; -1 when it does not wait for one. */
int64_t engine_gate_ahead(const struct engine *engine, const struct workflow *workflow,
                          const struct workflow_wait *wait);
/* Its shard is given up. */
void engine_gate_forget(struct engine *engine, struct workflow *workflow);
void engine_gate_begin(struct engine *engine); /* a step: everybody may be asked again */
/* Lets the next call pass; false when none may. */
bool engine_gate_next(struct engine *engine, int64_t now_us, struct engine_effects *effects);
/* False when it cannot be held. */
bool engine_gate_park(struct engine *engine, struct workflow *workflow, struct workflow_wait *wait,
                      int64_t now_us, struct engine_effects *effects);
/* A record closed held waits. */
void engine_gate_unhold(struct engine *engine, struct workflow *workflow,
                        const struct workflow_outcome *outcome, int64_t now_us,
                        struct engine_effects *effects);
/* It is paused: nothing of it is held. */
void engine_gate_pause(struct engine *engine, struct workflow *workflow, int64_t now_us,
                       struct engine_effects *effects);
void engine_gate_restore(struct engine *engine, struct workflow *workflow,
                         const struct engine_event *event, struct engine_effects *effects);

/* engine_command.c: events of engine_step */
void engine_signal(struct engine *engine, const struct engine_event *event,
                   struct engine_effects *effects);
void engine_cancel(struct engine *engine, const struct engine_event *event,
                   struct engine_effects *effects);
void engine_pause(struct engine *engine, const struct engine_event *event,
                  struct engine_effects *effects);
void engine_retry(struct engine *engine, const struct engine_event *event,
                  struct engine_effects *effects);

#endif
