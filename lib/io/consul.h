/* SPDX-License-Identifier: MIT */
/* consul.h - registration of a node with a Consul agent, by a thread of its own: the start never waits
 * for Consul, and a node that the agent has forgotten is registered again.
 *
 * Owns      struct consul owns its thread and copies of all texts.
 * Lifetime  consul_start before or after the HTTP listener; consul_stop deregisters (within
 *           CONSUL_STOP_MS) and frees.
 * Threads   Start and stop from one thread.
 * Errors    None: a Consul that is away is logged once and tried again.
 * Source    PUT /v1/agent/service/register, /v1/agent/service/deregister/{id}, GET /v1/agent/service/{id}.
 */
#ifndef IO_CONSUL_H
#define IO_CONSUL_H

#include <stdbool.h>

#include "base/config.h"

struct consul;

#define CONSUL_CHECK_INTERVAL_S 10 /* how often the agent asks for the node's health */
#define CONSUL_WATCH_INTERVAL_MS                                                                   \
    10000 /* how often the node looks whether the agent still knows it */
#define CONSUL_RETRY_INTERVAL_MS 2000
#define CONSUL_STOP_MS 2000

struct consul_options {
    const char *agent_host;
    int agent_port;
    const char *node_type; /* "orchestrator" or "reducer": gives the name omninode-bridge-<type> */
    const char *node_id;   /* UUID as text; with the name it is the service id */
    const char *host;      /* where others reach the node; see consul_advertised_host */
    int port;
    int metrics_port; /* 0: none; told in Meta */
    const char *namespace;
    const char *environment;
    const char *const *tags; /* further tags, ended by NULL; or NULL */
    int watch_interval_ms;   /* 0: CONSUL_WATCH_INTERVAL_MS */
    int retry_interval_ms;   /* 0: CONSUL_RETRY_INTERVAL_MS */
};

struct consul *consul_start(const struct consul_options *options);
/* The same from the configuration: NULL when registration is off (CONSUL_HOST is empty, or
 * CONSUL_ENABLE_REGISTRATION is false). `port` and `metrics_port` are the ports really taken. */
struct consul *consul_start_from_config(const struct config *config, const char *node_type,
                                        const char *node_id, int port, int metrics_port);
bool consul_registered(const struct consul *consul); /* NULL gives false */
void consul_stop(struct consul *consul);             /* NULL is fine */

/* ADVERTISED_HOST, else the address of this host by which `peer_host` is reached, else the host's name.
 * free() it. */
char *advertised_host(const struct config *config, const char *peer_host, int peer_port) MUST_USE;

#endif
