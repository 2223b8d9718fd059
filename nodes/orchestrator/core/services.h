/* SPDX-License-Identifier: MIT */
/* services.h - the services that workflows may call: contracts/services.yaml. Pure.
 *
 * Owns      A table is immutable once parsed.
 * Threads   Read-only, so any.
 * Units     *_ms milliseconds.
 * Errors    services_parse collects findings and gives NULL when one is an error.
 *
 *     services:
 *       metadata-stamping:
 *         base_url_variable: METADATA_STAMPING_SERVICE_URL   # environment variable with the base URL
 *         base_url: http://metadata-stamping:8053            # when the variable is unset
 *         timeout_ms: 30000          # of one attempt whose state names no TimeoutSeconds
 *         api_key_variable: ...      # optional: variable with a key sent as X-API-Key
 *         when_open: hold            # hold | fail, for the breaker
 *         namespace_weights: {a: 3}  # optional: turns of namespaces whose calls wait; 1 for the others
 *         ...                        # the numbers of services.c: thresholds, limits
 */
#ifndef ORCHESTRATOR_CORE_SERVICES_H
#define ORCHESTRATOR_CORE_SERVICES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "core/finding.h"

#define SERVICE_HELD_MAX 100000 /* held_steps_max unless it is set */

struct service_weight {
    char *namespace;
    int64_t weight;
};

struct service {
    char *name;
    char *base_url;     /* without a slash at the end */
    char *api_key;      /* or NULL */
    int64_t timeout_ms; /* 0: ORCHESTRATOR_STEP_TIMEOUT_MS */
    bool hold_when_open;
    bool hold_counts; /* held time counts toward the deadline of a workflow */
    int64_t failure_rate_threshold, slow_call_rate_threshold; /* percent */
    int64_t slow_call_ms;
    int64_t minimum_calls, window_calls;
    int64_t open_ms, round_ms;
    int64_t concurrency;     /* calls at a time of all instances; 0: ORCHESTRATOR_CONCURRENCY's */
    int64_t rate_per_second; /* of all instances; 0: no limit */
    int64_t held_max;        /* steps held by one instance */
    struct service_weight *weights;
    int weights_count;
};

struct services {
    struct service *items;
    int count;
};

struct services *services_parse(const char *file, const char *text, size_t bytes,
                                config_lookup *lookup, void *context,
                                struct findings *findings) MUST_USE;
void services_free(struct services *services);
int services_index(const struct services *services, const char *name); /* -1 when there is none */
int64_t service_weight(const struct service *service, const char *namespace);
/* The service whose base URL the url starts with, the longest one; -1 when there is none. */
int services_index_of_url(const struct services *services, const char *url);

#endif
