/* SPDX-License-Identifier: MIT */
/* health.h - the answer of /health, /health/live and /health/ready: components with status, detail and
 * check time. Live never depends on others; ready is 503 when a needed part is down.
 *
 * Owns      Nothing; components are the caller's.
 * Threads   Any.
 * Units     *_us microseconds.
 */
#ifndef IO_HEALTH_H
#define IO_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "io/http_server.h"

enum health_status { HEALTH_HEALTHY, HEALTH_DEGRADED, HEALTH_UNHEALTHY };

#define HEALTH_TEXT_BYTES 200

struct health_component {
    const char *name;
    enum health_status status;
    bool is_critical; /* unhealthy makes the whole unhealthy, otherwise degraded */
    int64_t check_us; /* how long the check took */
    char message[HEALTH_TEXT_BYTES];
};

struct health_node {
    const char *service; /* "NodeBridgeOrchestrator" */
    const char *node_id;
    int64_t uptime_us;
};

void health_component_set(struct health_component *component, const char *name, bool is_critical,
                          enum health_status status, int64_t check_us, const char *message);
const char *health_status_name(enum health_status status);
enum health_status health_overall(const struct health_component *components, int count);
/* 200, or 503 with Retry-After when the overall status is unhealthy. The members of extra, when given, are
 * added; it is taken. */
void health_answer(struct http_response *response, const struct health_node *node,
                   const struct health_component *components, int count, struct json *extra);

#endif
