/* SPDX-License-Identifier: MIT */
/* worker.h - an engine thread: carries out what the pure engine decides for its shards. One epoll over
 * the mailbox, the PostgreSQL socket and libcurl's sockets; one transaction in flight while the next
 * batch gathers (group commit without a timer); calls, replies and events only after the commit.
 *
 * Owns      Its thread, engine, database connection and outgoing calls.
 * Threads   worker_post and the questions from any thread; the rest is the worker's own.
 * Errors    A batch whose outcome is unknown is looked up (shards.commits) and sent again when it is
 *           not in. A fenced batch makes the worker forget its shards. Any other refusal of a batch
 *           makes it load its shards anew; those who wait get ERR_OUTCOME_UNKNOWN.
 */
#ifndef ORCHESTRATOR_WORKER_H
#define ORCHESTRATOR_WORKER_H

#include "orchestrator/orchestrator.h"
#include "orchestrator/ticket.h"

struct worker;

struct worker_lane {
    int16_t shard;
    int64_t epoch, commits, next_seq, published_seq;
    char cluster_id[PUBLISHER_CLUSTER_BYTES];
};

struct worker *worker_start(struct orchestrator *orchestrator, int index) MUST_USE;
/* The worker's reference of the ticket goes along. */
void worker_post(struct worker *worker, struct ticket *ticket);
void worker_wake(struct worker *worker); /* a breaker that it asked has changed */
/* The shards are ours: take them, load their workflows and go on. The array is copied. */
void worker_take(struct worker *worker, const struct worker_lane *lanes, int count);
/* Asks for shards back. Each comes out of worker_given once everything of it is committed and nothing more
 * will be; owners_doubt tells when. Also after it was lost meanwhile. */
void worker_give(struct worker *worker, const int16_t *shards, int count);
int worker_given(struct worker *worker, struct worker_lane *lanes); /* SHARDS_MAX at most */
bool worker_database_up(const struct worker *worker);
bool worker_serving(const struct worker *worker); /* all shards handed to it are ours */
bool worker_settled(const struct worker *worker); /* and their workflows loaded */
int64_t worker_live(const struct worker *worker); /* workflows in memory */
/* All workers' workflows hold MAX_WORKFLOW_MEMORY_MB. */
bool worker_memory_full(const struct orchestrator *orchestrator);
/* Finishes the transaction in flight, lets the shards go, ends the thread. Whoever asks from now on is
 * refused with ERR_STOPPING, so HTTP threads may still hold the worker; worker_free when none does. */
void worker_halt(struct worker *worker);
void worker_free(struct worker *worker);

#endif
