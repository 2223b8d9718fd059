/* SPDX-License-Identifier: MIT */
/* spread.h - which instances are gone, and which shards this one shall take or give, so that all living
 * instances hold equal numbers and few shards move. Pure: every instance that sees the same picture comes to
 * the same plan, so that they take different shards.
 *
 * Owns      Nothing; the plan is written to the caller's memory.
 * Threads   No state.
 * Units     *_us microseconds.
 * Errors    None.
 */
#ifndef ORCHESTRATOR_CORE_SPREAD_H
#define ORCHESTRATOR_CORE_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/uuid.h"

enum spread_link {
    SPREAD_UNKNOWN, /* no address is known, or nothing answers there: the link says nothing */
    SPREAD_TRYING,  /* not known yet */
    SPREAD_LINKED,  /* a connection stands: the process exists, running or stopped */
    SPREAD_ENDED,   /* the connection ended or was refused */
};

struct spread_instance {
    struct uuid id;
    bool lapsed;    /* its lease has run out, by the database's clock */
    bool lock_free; /* nobody holds its advisory lock */
    enum spread_link link;
};

struct spread_shard {
    bool owned; /* in the database */
    struct uuid owner;
    bool here; /* run by this instance, or on its way to or from one of its workers */
};

struct spread {
    struct uuid self;
    bool leaving;       /* this instance stops: it gives all and takes nothing */
    int64_t watched_us; /* how long the database has been seen without a break */
    int64_t settle_us;  /* time for instances to renew their leases after a break */
    const struct spread_instance *instances;
    int instances_count;
    const struct spread_shard *shards;
    int shards_count;
};

struct spread_plan {
    bool gone[INSTANCES_MAX]; /* by place: it is dead, or hangs */
    int16_t take[SHARDS_MAX];
    int take_count;
    int16_t give[SHARDS_MAX];
    int give_count;
    int16_t lost[SHARDS_MAX]; /* here, yet another's in the database */
    int lost_count;
};

/* A process is gone when its lease has run out, or when its lock is free and no connection to it stands. A
 * lock alone may be free for a moment while its owner connects to the database again. */
bool spread_is_gone(const struct spread_instance *instance, int64_t watched_us, int64_t settle_us);
void spread_plan(const struct spread *spread, struct spread_plan *plan);

#endif
