/* SPDX-License-Identifier: MIT */
/* ownership.h - this instance's lease and its shards: a quiet connection holds an advisory lock while the
 * process lives, the lease is renewed by the database's clock, and shards without a living owner are
 * taken with a higher epoch. The same connection hears when a contract was published or deleted.
 *
 * Owns      Its thread and the quiet connection.
 * Threads   ownership_open from main before the workers get anything; then its own thread.
 * Errors    As postgres.h.
 */
#ifndef ORCHESTRATOR_OWNERSHIP_H
#define ORCHESTRATOR_OWNERSHIP_H

#include "orchestrator/orchestrator.h"

struct ownership;

/* Registers the instance and hands the shards it gets to the workers. */
enum error_code ownership_open(struct ownership **ownership, struct orchestrator *orchestrator,
                               const char *advertised_url, struct error *error) MUST_USE;
void ownership_start(struct ownership *ownership);
/* Gives the shards back, so that others need not wait for the lease; after the workers have stopped. */
void ownership_close(struct ownership *ownership);

#endif
