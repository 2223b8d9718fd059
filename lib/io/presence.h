/* SPDX-License-Identifier: MIT */
/* presence.h - a node makes itself known: introspection and heartbeat events on topics of their own, and
 * its row in node_registrations.
 *
 * Owns      struct presence owns its thread, one database connection and copies of all texts. The
 *           producer is the caller's and must outlive it.
 * Lifetime  presence_start after the HTTP listener is up; presence_stop says "shutdown" and frees.
 * Threads   Start and stop from one thread. The status function is called on the presence thread.
 * Units     Heartbeats every 30 s, introspection every 300 s; one database statement per heartbeat.
 * Errors    None: a broker or database that is away is logged, and the next beat tries again.
 */
#ifndef IO_PRESENCE_H
#define IO_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "core/json.h"
#include "io/kafka.h"

struct presence;

#define PRESENCE_HEARTBEAT_MS 30000
#define PRESENCE_INTROSPECTION_BEATS 10 /* heartbeats between two periodic introspections */

/* What a node says about itself at a beat. Filled by the node's status function. */
struct presence_status {
    const char *health;       /* literal: healthy, degraded, unhealthy, critical, recovering */
    int64_t active_operations;
    int64_t last_activity_us; /* 0: now */
    struct json *active_states; /* object state -> count, or NULL; taken */
};
typedef void presence_ask(void *context, struct presence_status *status);

struct presence_options {
    const struct config *config; /* read during presence_start only */
    const char *node_type;       /* "orchestrator" or "reducer" */
    const char *node_id;         /* UUID as text */
    const char *api_url;         /* "http://host:8060", as others reach it */
    const char *metrics_url;     /* "http://host:9091/metrics" */
    const char *database_url;    /* NULL: no row is kept */
    struct kafka_producer *producer; /* NULL: no events */
    presence_ask *ask;           /* NULL: always healthy */
    void *context;
    int heartbeat_ms;            /* 0: PRESENCE_HEARTBEAT_MS */
};

struct presence *presence_start(const struct presence_options *options);
void presence_stop(struct presence *presence); /* NULL is fine */

/* Names of the two topics, free() them. */
char *presence_introspection_topic(const struct config *config) MUST_USE;
char *presence_heartbeat_topic(const struct config *config) MUST_USE;

#endif
