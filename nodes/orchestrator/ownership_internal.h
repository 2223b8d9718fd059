/* SPDX-License-Identifier: MIT */
/* ownership_internal.h - what the files ownership*.c share; nobody else includes it.
 *
 *     ownership.c         life of the thread, lock and lease
 *     ownership_shards.c  who lives and who owns what; taking and giving shards
 *     ownership_house.c   partitions and old keys, on a thread of their own
 */
#ifndef ORCHESTRATOR_OWNERSHIP_INTERNAL_H
#define ORCHESTRATOR_OWNERSHIP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "io/peers.h"
#include "orchestrator/core/spread.h"
#include "orchestrator/ownership.h"

#define OWNERSHIP_CHANNEL "bridge_shards" /* LISTEN: shards have another owner, or none */

/* A shard, as the ownership thread sees it. */
enum holding {
    HOLDING_NONE,
    HOLDING_RUN,   /* handed to its worker */
    HOLDING_GIVEN, /* asked back from it */
};

struct house {
    const struct orchestrator *orchestrator;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool started, stopping;
};

struct ownership {
    struct orchestrator *orchestrator;
    struct postgres *postgres;
    struct peers *peers;
    char *advertised_url;
    char peer_address[PEER_ADDRESS_BYTES];
    int64_t lock_key;
    int64_t listening_us; /* postgres_connected_us of the session that listens; 0: none */
    int64_t locked_us;    /* likewise of the one that holds the lock */
    int64_t first_us;     /* likewise of the first one */
    int64_t lease_us;     /* when to renew the lease */
    int64_t look_us;      /* when to look at instances and shards again */
    int64_t looked_us;    /* when that was done last */
    enum holding holdings[SHARDS_MAX];
    struct spread_instance instances[INSTANCES_MAX];
    int instances_count;
    struct spread_shard shards[SHARDS_MAX];
    int64_t epochs[SHARDS_MAX];
    struct owner owners[SHARDS_MAX];
    struct spread_plan plan;
    bool unsure; /* whether an instance lives will be known in a moment */
    struct house house;
    pthread_t thread, connector;
    bool started, connecting;
    atomic_bool stopping, leaving, left;
    atomic_bool followed; /* after that: others own all shards, or there are no others */
    int wake;             /* eventfd */
};

/* ownership_shards.c */
/* Reads who lives and who owns what, and does what is to be done about it. */
enum error_code ownership_look(struct ownership *ownership, struct error *error) MUST_USE;
/* Tells the database of shards that the workers have given up. */
enum error_code ownership_take_back(struct ownership *ownership, struct error *error) MUST_USE;
/* All instances are to look. */
enum error_code ownership_tell(struct ownership *ownership, struct error *error) MUST_USE;

/* ownership_house.c */
void ownership_house_start(struct house *house, const struct orchestrator *orchestrator);
/* Waits for what it is at. */
void ownership_house_stop(struct house *house);

#endif
