/* SPDX-License-Identifier: MIT */
/* world.h - what the parts of the simulation share: the settings of a run, its story, and what the twins tell
 * the checks.
 *
 *     fiber.c       processes, threads, the clock
 *     tables.c      rows in memory, with unique keys and a way back
 *     twin_postgres.c, statements.c    io/postgres.h: connections, transactions; what statements do
 *     twin_kafka.c  io/kafka.h: a broker with partitions, idempotent producers
 *     twin_http.c   io/http_multi.h and io/http_server.h: services, and the way to the nodes
 *     twin_peers.c  io/peers.h: connections between nodes
 *     twin_clock.c  io/clock.h, io/log.h
 *     node.c        orchestrators: the node's own code on the twins
 *     reducers.c    reducers: their core, with a store and a group around it
 *     client.c      those who submit, and what they were told
 *     checks.c      what must hold after each step, and at the end
 *     main.c        seeds, stories, the search for the shortest one
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/config.h"
#include "base/uuid.h"
#include "fiber.h"
#include "orchestrator/orchestrator.h"

#define WORLD_START_US INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */
#define SECOND_US INT64_C(1000000)
#define WORLD_SHARDS 4
#define WORLD_PARTITIONS 3
#define WORLD_NODES_MAX 3
#define WORLD_INCARNATION 1767225600

/* What may go wrong; a run can be made without some of it (--without). */
enum fault {
    FAULT_CRASH,      /* a node is killed at an effect */
    FAULT_FREEZE,     /* a node stops, longer than its lease, and wakes up */
    FAULT_CLOCK,      /* wall clocks jump */
    FAULT_CONNECTION, /* connections to the database break, before or after the commit */
    FAULT_DATABASE,   /* the database is away for a while */
    FAULT_SLOW_DISK,
    FAULT_BROKER,  /* partitions that do not answer, late and lost acknowledgements, fatal errors */
    FAULT_SERVICE, /* calls fail, time out, are slow, are answered twice */
    FAULT_NETWORK, /* requests of clients and their answers get lost */
    FAULT_STOP,    /* a node is told to end, and another one comes */
    FAULT_SICK,    /* a service fails every call for a while */
    FAULTS
};
extern const char *const fault_names[FAULTS];

enum told { TOLD_LOG, TOLD_FAULT, TOLD_STORE, TOLD_BROKER, TOLD_CALL, TOLD_CLIENT, TOLD_CHECK };

struct world_options {
    uint64_t seed;
    unsigned without; /* bits of enum fault */
    uint64_t skip;    /* bits of planned faults */
    int workflows;    /* 0: drawn from the seed */
    int nodes;        /* likewise */
    bool verbose;
};

struct sim {
    struct world_options options;
    struct chance chance;
    uint64_t hash; /* of everything that was told */
    uint64_t steps;
    bool keep_story;
    bool unchecked; /* checks.c is not asked: no nodes, no broker */
    bool failed;
    char failure[1024];
    bool healing; /* nothing goes wrong any more */
    struct config config;
    struct registry *registry;
    struct event_routes *routes;
    /* counts over all seeds of this run */
    struct {
        uint64_t workflows, commits, crashes, freezes, takeovers, events, repeats, calls, spared;
    } count;
};
extern struct sim sim;

bool world_faulty(enum fault fault); /* may it go wrong now? */
void world_tell(enum told kind, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* -- node.c -- */
struct node {
    struct process *process;
    struct orchestrator *orchestrator;
    int place;
    bool up;       /* takes requests */
    bool stopping; /* told to end */
};
extern struct node nodes[WORLD_NODES_MAX];
void node_start(int place);
struct node *node_of(const struct process *process);
void nodes_plan_faults(void);
void nodes_heal(void);

/* -- client.c -- */
void clients_start(int workflows);
bool clients_done(void);

/* -- twin_postgres.c -- */
void database_start(void);
void database_end(void);
void database_break(struct process *process); /* its connections end, as when it is killed */
void database_away(int64_t us);

/* -- twin_kafka.c -- */
void broker_start(void);
void broker_end(void);
void broker_break(struct process *process);
void broker_away(int partition, int64_t us); /* one partition; WORLD_PARTITIONS: the typed topics */
struct broker_record {
    int64_t offset;
    char *key, *value, *lane;
    size_t value_bytes;
    int64_t seq, prev_seq; /* prev_seq -1: none */
    int64_t timestamp_ms;
};
const struct broker_record *broker_record(int partition, int64_t offset); /* NULL: none yet */
bool broker_has(int shard, int64_t seq);

/* -- twin_http.c -- */
void services_start(void);
void services_end(void);
void services_break(struct process *process);
void service_sick(int64_t us); /* the one that holds when its breaker is open */
/* A request to a node's API, from a fiber of any process; status 0: no answer came. */
struct http_reply {
    int status;
    struct buffer body;
};
void http_ask(int place, const char *method, const char *path, const char *key, const char *body,
              int64_t timeout_us, struct http_reply *reply);

/* -- twin_peers.c -- */
void links_start(void);
void links_break(struct process *process);

/* -- reducers.c -- */
void reducers_start(void);
void reducers_end(void);
void reducers_break(struct process *process);
struct process *reducer_process(int place);
bool reducers_caught_up(void);
int64_t reducers_total(const char *namespace);
void reducers_check(void);

/* -- checks.c -- */
void checks_start(void);
void checks_end(void);
/* A transaction was committed; rows it wrote are told before. */
void check_commit(const struct process *process);
void check_call(const struct process *process, const char *key);
void check_produced(const struct process *process, int shard, int64_t seq, const char *workflow);
void check_accepted(const char *id, const char *key);
void check_has_ended(const char *id, const char *command); /* as its client was told */
/* The call failed while the breaker of its service, which holds, was open. */
void check_spared(const struct process *process, const char *key);
const char *check_paused(void); /* a workflow that stands still, or NULL */
void check_tell_unfinished(struct buffer *out);
bool check_all_ended(void);
void check_end(void);

#endif
