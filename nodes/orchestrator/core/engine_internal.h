/* SPDX-License-Identifier: MIT */
/* engine_internal.h - what the files engine*.c share; nobody else includes it.
 *
 *     engine.c          admission, slots, timers, answers
 *     engine_explain.c  why a workflow is where it is
 *     engine_shard.c    lanes, and giving up a shard
 *     engine_command.c  what people tell a workflow: signals, cancel, pause, resume, retry
 */
#ifndef ORCHESTRATOR_CORE_ENGINE_INTERNAL_H
#define ORCHESTRATOR_CORE_ENGINE_INTERNAL_H

#include <uthash.h>

#include "orchestrator/core/engine.h"
#include "orchestrator/core/recent_keys.h"
#include "orchestrator/core/timers.h"

struct live {
    struct uuid id;
    struct workflow *workflow;
    UT_hash_handle hh;
};

/* A queue of (workflow, wait); entries that are no longer true are skipped when they come up. */
struct place {
    struct uuid id;
    uint32_t wait;
};

struct queue {
    struct place *places;
    size_t head, count, capacity; /* capacity is a power of two */
};

struct engine {
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
