/* SPDX-License-Identifier: MIT */
/* presence_payload.h - payloads of NODE_INTROSPECTION and NODE_HEARTBEAT events. Pure: time and
 * measurements come in as arguments.
 *
 * Owns      Nothing; functions give new json references.
 * Threads   No globals.
 * Units     *_us microseconds since 1970, *_bytes octets, percent of one core or of the memory.
 */
#ifndef CORE_PRESENCE_PAYLOAD_H
#define CORE_PRESENCE_PAYLOAD_H

#include <stdint.h>

#include "core/json.h"

struct presence_node {
    char *node_type; /* "orchestrator" or "reducer" */
    char *node_id;
    char *api_url;     /* "http://host:8060" */
    char *metrics_url; /* "" when there is none */
};

struct presence_usage {
    double cpu_percent;
    double memory_bytes;
    double memory_total_bytes;
    double memory_available_bytes;
    int cpu_cores;
    double uptime_seconds;
};

/* What a node says about itself. */
struct presence_status {
    const char *health; /* literal: healthy, degraded, unhealthy, critical, recovering */
    int64_t active_operations;
    int64_t last_activity_us;   /* 0: now */
    struct json *active_states; /* object state -> count, or NULL; a reference of its own */
};

struct json *presence_capabilities(const struct presence_node *node,
                                   const struct presence_usage *usage,
                                   const struct presence_status *status) MUST_USE;
struct json *presence_endpoints(const struct presence_node *node) MUST_USE;
struct json *presence_metadata(const char *environment, const char *reason) MUST_USE;
struct json *presence_introspection(const struct presence_node *node,
                                    const struct presence_usage *usage,
                                    const struct presence_status *status, const char *environment,
                                    const char *reason, int64_t now_us) MUST_USE;
struct json *presence_heartbeat(const struct presence_node *node,
                                const struct presence_usage *usage,
                                const struct presence_status *status, const char *environment,
                                int64_t now_us) MUST_USE;

#endif
