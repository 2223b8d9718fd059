/* SPDX-License-Identifier: MIT */
/* runtime.h - the thread that reads the topic, moves the core and commits: one transaction is in flight
 * while the next batch gathers.
 *
 * Owns      The core, the store, the consumer and the thread.
 * Threads   start, stop and free from the main thread; the rest from any.
 */
#ifndef REDUCER_RUNTIME_H
#define REDUCER_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"
#include "core/aggregation.h"
#include "core/event_routes.h"
#include "reducer/store.h"

#define AGGREGATION_OF_TOTALS "namespace_total" /* what /api/v1/namespaces shows */

struct runtime;
struct outbox;
struct reducer_bounds;

struct runtime_options {
    const struct config *config;
    const char *database_url;
    const char *topic;
    const char *dead_letter_topic;
    const char *instance_id;
    const char *node_id;
    const struct event_routes *routes; /* of the reducer's own events; must outlive the runtime */
    const struct aggregation_set *aggregations; /* must outlive the runtime */
    struct outbox *outbox;                      /* is told when a commit has put messages into it */
};

enum error_code runtime_start(struct runtime **runtime, const struct runtime_options *options,
                              struct error *error) MUST_USE;
/* Commits what was gathered, leaves the group, ends the thread. Others may still ask until runtime_free. */
void runtime_stop(struct runtime *runtime);
bool runtime_stopping(struct runtime *runtime);
void runtime_free(struct runtime *runtime); /* NULL is fine */

/* What the options say about memory and groups. */
struct reducer_bounds runtime_bounds(const struct config *config);
struct store_settings runtime_settings(const struct config *config);

struct runtime_status {
    bool database_ok;
    bool broker_ok;
    int partitions_assigned;
    int64_t uncommitted; /* events read and not committed */
    int64_t lag;
    int64_t gaps_unfilled;                         /* of the whole topic */
    char database_detail[160], broker_detail[160]; /* why it is not well, else "" */
};
void runtime_status(struct runtime *runtime, struct runtime_status *status);
/* cluster id of the topic that is read; "" before the broker was reached. Copied. */
void runtime_cluster_id(struct runtime *runtime, char *id, size_t capacity);
int32_t runtime_partitions(
    const struct runtime *runtime); /* of the topic; 0 before it was reached */

/* Waits for the next commit of this instance, at most timeout_ms; while someone waits, nothing is held
 * back for a fuller batch. */
void runtime_wait_commit(struct runtime *runtime, int timeout_ms);

#endif
