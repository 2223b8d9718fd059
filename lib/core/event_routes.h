/* SPDX-License-Identifier: MIT */
/* event_routes.h - contracts/events.yaml: which typed topic an event goes to beside the workflow topic.
 *
 * Owns      A table is immutable once parsed.
 * Threads   Read-only, so any.
 * Errors    event_routes_parse collects findings and gives NULL when one is an error.
 */
#ifndef CORE_EVENT_ROUTES_H
#define CORE_EVENT_ROUTES_H

#include <stddef.h>

#include "core/finding.h"

#define TOPIC_BYTES_MAX 249

struct event_route {
    char *type;
    char *topic; /* "{env}" replaced */
};

struct event_routes {
    struct event_route *items; /* sorted by type */
    size_t count;
};

struct event_routes *event_routes_parse(const char *file, const char *text, size_t bytes,
                                        const char *environment,
                                        struct findings *findings) MUST_USE;
void event_routes_free(struct event_routes *routes);
const char *event_routes_topic(const struct event_routes *routes,
                               const char *type); /* NULL: none */

#endif
