/* SPDX-License-Identifier: MIT */
/* ownership.h - this instance's lease and its part of the shards: a quiet connection holds an advisory lock
 * while the process lives, and the lease is renewed by the database's clock. The death of another instance is
 * heard by the end of a connection to it (io/peers.h) and confirmed by its lock; a hung one is known by its
 * lease. Shards are spread as core/spread.h has it, and each new owner raises the epoch. The same connection
 * hears when shards are free, and when a contract was published or deleted.
 *
 * Owns      Its thread, the quiet connection, the connections to other instances.
 * Threads   ownership_open from main before the workers get anything; then its own thread, and one that
 *           keeps house.
 * Errors    As postgres.h.
 */
#ifndef ORCHESTRATOR_OWNERSHIP_H
#define ORCHESTRATOR_OWNERSHIP_H

#include "orchestrator/orchestrator.h"

struct ownership;

/* Connects to the database meanwhile; the caller frees it with ownership_close whatever follows. */
struct ownership *ownership_new(struct orchestrator *orchestrator) MUST_USE;
/* Registers the instance and hands the shards it gets to the workers. */
enum error_code ownership_open(struct ownership *ownership, const char *advertised_url,
                               struct error *error) MUST_USE;
void ownership_start(struct ownership *ownership);
/* Gives all shards to the others, in good order, and waits until they have taken them: true when they were given
 * in time (clock_monotonic_us). What is asked afterwards belongs to them. */
bool ownership_leave(struct ownership *ownership, int64_t until_us);
/* Gives the shards back, so that others need not wait for the lease; after the workers have stopped. */
void ownership_close(struct ownership *ownership);

#endif
