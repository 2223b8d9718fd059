/* SPDX-License-Identifier: MIT */
/* store.h - workflows in PostgreSQL: one pipelined transaction per batch of records, and reading them
 * back for recovery and for publishing again.
 *
 * Owns      A batch owns its arrays and keeps their memory from one transaction to the next.
 * Threads   One thread per batch and per connection.
 * Errors    As postgres.h; ERR_FENCED when a shard of the batch is no longer ours.
 */
#ifndef ORCHESTRATOR_STORE_H
#define ORCHESTRATOR_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "io/postgres.h"
#include "orchestrator/core/engine.h"
#include "orchestrator/registry.h"
#include "orchestrator/store_hold.h"

/* Settings of the connections that write (rules.md: sessions end by themselves below the lease time). */
#define STORE_SETTINGS                                                                             \
    "-c synchronous_commit=on -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c "     \
    "enable_hashjoin=off "                                                                         \
    "-c enable_mergejoin=off -c idle_in_transaction_session_timeout=10s -c lock_timeout=5s -c "    \
    "statement_timeout=10s "                                                                       \
    "-c jit=off"

/* What the fence checks and moves: one for each shard a batch touches. */
struct store_lane {
    int16_t shard;
    int64_t epoch;
    int64_t commits; /* before this transaction */
    int64_t next_seq;
    int64_t published_seq;
    char cluster_id[64];
};

struct store_batch; /* arrays of the statements */

struct store_batch *store_batch_new(void) MUST_USE;
void store_batch_free(struct store_batch *batch);
void store_batch_clear(struct store_batch *batch);
int store_batch_records(const struct store_batch *batch);
struct store_holds *store_batch_holds(struct store_batch *batch); /* written with it */
/* Adds the rows of an ENGINE_RECORDED effect. key and body_hash of a new workflow, or NULL. */
void store_batch_add(struct store_batch *batch, const struct engine_effect *effect, const char *key,
                     const uint8_t *body_hash);
/* Puts the whole transaction into the connection's pipeline: the fence first. */
enum error_code store_batch_put(struct store_batch *batch, struct postgres *postgres,
                                const struct store_lane *lanes, int count,
                                struct error *error) MUST_USE;

/* Reads workflows and applies their records in order. `on_record` sees each record after it was
 * applied, with the lane number of its first event; `on_workflow` sees the workflow after its last
 * record and takes it over (workflow_free). A record that does not fit stops that workflow loudly:
 * it is left out and counted. Either callback may be NULL. */
typedef void store_on_record(void *context, const struct workflow *workflow,
                             const struct workflow_record *record,
                             const struct workflow_outcome *outcome, int64_t seq);
typedef void store_on_workflow(void *context, struct workflow *workflow);

/* The live workflows of shards: named when it is opened, then read a chunk at a time, some of the newest first
 * and the others in the order of their ids, so that a worker can do other work between two chunks. What begins later is not among them. Everything
 * it is given is lent until it is freed. */
struct store_loading;
enum error_code store_loading_open(struct store_loading **out, struct postgres *postgres,
                                   struct registry *registry, const int16_t *shards, int count,
                                   const struct workflow_environment *environment,
                                   store_on_workflow *on_workflow, void *context,
                                   struct error *error) MUST_USE;
bool store_loading_ended(const struct store_loading *loading);
/* hurry: other work waits, so read few. */
enum error_code store_loading_next(struct store_loading *loading, bool hurry,
                                   struct error *error) MUST_USE;
void store_loading_free(struct store_loading *loading);

/* One workflow, ended or not; on_workflow is not called when there is none, or when it cannot be read. */
enum error_code store_read_workflow(struct postgres *postgres, struct registry *registry,
                                    const struct uuid *id,
                                    const struct workflow_environment *environment,
                                    store_on_workflow *on_workflow, void *context,
                                    struct error *error) MUST_USE;

/* The workflows whose records lie on a lane after `after_seq`, at most `limit` records. *last_seq is the
 * last lane number read, after_seq when there was none. Records come in the order of workflows, not of
 * the lane: the caller sorts. */
enum error_code store_read_lane(struct postgres *postgres, struct registry *registry, int16_t shard,
                                int64_t after_seq, int limit,
                                const struct workflow_environment *environment,
                                store_on_record *on_record, void *context, int64_t *last_seq,
                                struct error *error) MUST_USE;

#endif
