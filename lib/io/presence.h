/* SPDX-License-Identifier: MIT */
/* presence.h - a node makes itself known: introspection and heartbeat events on topics of their own, and
 * its row in node_registrations.
 *
 * Owns      struct presence owns its thread, one database connection and copies of all texts. The
 *           producer is the caller's and must outlive it: stop presence, then flush the producer.
 * Lifetime  presence_start after the HTTP listener is up; presence_stop says "shutdown" and frees.
 * Threads   Start and stop from one thread. The status function is called on the presence thread.
 * Units     Heartbeats every 30 s, introspection every 300 s; one database statement per heartbeat.
 * Errors    None: a broker or database that is away is logged. What could not be told is tried again
 *           after half a second, then with pauses that double until the next beat.
 */
#ifndef IO_PRESENCE_H
#define IO_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "core/presence_payload.h"
#include "io/kafka.h"

struct presence;

#define PRESENCE_TAG UINT64_MAX
#define PRESENCE_HEARTBEAT_MS 30000
#define PRESENCE_INTROSPECTION_BEATS 10 /* heartbeats between two periodic introspections */

/* The node's own functions. ask fills the status (zeroed but for health) at each beat; active_states is
 * taken over. */
typedef enum error_code presence_publish(void *context, const struct kafka_message *message,
                                         struct error *error);
typedef void presence_ask(void *context, struct presence_status *status);

struct presence_options {
    const struct config *config;
    const char *node_type;    /* "orchestrator" or "reducer" */
    const char *node_id;      /* UUID as text */
    const char *api_url;      /* "http://host:8060", as others reach it */
    const char *metrics_url;  /* "http://host:9091/metrics" */
    const char *database_url; /* NULL: no row is kept */
    /* Where events go: the node's own function (for a node that may change its producer), else the
     * producer, else one that presence makes for itself (config must outlive it then), else nowhere.
     * Their tag_a is PRESENCE_TAG and tag_b is 0, so that the owner's delivery callback can tell them
     * from its own. */
    presence_publish *publish;
    struct kafka_producer *producer;
    bool own_producer;
    presence_ask *ask; /* NULL: always healthy */
    void *context;     /* of ask and publish */
    int heartbeat_ms;  /* 0: PRESENCE_HEARTBEAT_MS */
};

struct presence *presence_start(const struct presence_options *options);
void presence_stop(struct presence *presence); /* NULL is fine */

/* Names of the two topics, free() them. */
char *presence_introspection_topic(const struct config *config) MUST_USE;
char *presence_heartbeat_topic(const struct config *config) MUST_USE;

#endif
