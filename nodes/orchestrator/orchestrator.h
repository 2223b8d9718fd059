/* SPDX-License-Identifier: MIT */
/* orchestrator.h - what the parts of the node share. main.c makes it, the rest reads it.
 *
 * Owns      main.c owns every part; they outlive the HTTP server and the workers.
 * Threads   Constant after the start, but for the atomics.
 */
#ifndef ORCHESTRATOR_ORCHESTRATOR_H
#define ORCHESTRATOR_ORCHESTRATOR_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/config.h"
#include "base/limits.h"
#include "base/uuid.h"
#include "io/postgres.h"
#include "orchestrator/core/workflow.h"
#include "orchestrator/owners.h"
#include "orchestrator/publisher.h"
#include "orchestrator/registry.h"

struct worker;
struct breakers;
struct ownership;
struct forward;

struct orchestrator {
    const struct config *config;
    struct uuid instance_id;
    char node_id[UUID_TEXT_BYTES]; /* the same as text */
    char *database_url;
    struct registry *registry;
    struct event_routes *routes;
    struct publisher *publisher;
    struct postgres_pool *pool;
    struct postgres *health; /* api_node.c asks the database over it, under a lock of its own */
    struct ownership *ownership;
    struct breakers *breakers;
    struct owners *owners;     /* who owns which shard, for everybody */
    struct forward *forward;   /* to other instances */
    atomic_int forwarding;     /* HTTP threads that ask them, beyond those that may wait */
    atomic_int schema_version; /* of the database, as seen last: schema.h */
    int shards;
    int workers_count;
    struct worker *workers[WORKERS_MAX];     /* shard s belongs to worker s % workers_count */
    struct workflow_environment environment; /* lent to every workflow */
    char credential[TASK_CREDENTIAL_BYTES];  /* for the API of an instance of this database */
    char *own_url;                           /* of this instance's API, on this machine */
    atomic_llong queued;                     /* submissions on their way and workflows PENDING */
    atomic_bool stopping;
    atomic_bool
        claimed; /* the first claim of shards is done: what comes to this instance has come */
    _Atomic(uint64_t) owned[SHARDS_MAX / 64]; /* shards we own, a bit each */
    int64_t started_us;                       /* clock_monotonic_us */
};

static inline bool orchestrator_owns(const struct orchestrator *orchestrator, int shard)
{
    return atomic_load_explicit(&orchestrator->owned[shard / 64], memory_order_relaxed) >>
               (shard % 64) &
           1;
}

/* shard = hash(namespace, key) mod shards. */
int16_t orchestrator_shard(const struct orchestrator *orchestrator, const char *namespace,
                           const char *key);

#endif
