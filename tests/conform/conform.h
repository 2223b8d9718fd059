/* SPDX-License-Identifier: MIT */
/* conform.h - what the database must do for an orchestrator, asked by the node's own statements: one suite for
 * the twin (twin.c) and for a real PostgreSQL (real.c), so that the twin is like it.
 *
 * Lifetime  What it gives is valid until it is asked again.
 * Errors    conform_run gives NULL, or a sentence that says what is otherwise.
 */
#ifndef CONFORM_H
#define CONFORM_H

#include "io/postgres.h"
#include "orchestrator/registry.h"

/* `rows`: counts the rows of a table; the database holds nothing but shards without owners. */
const char *conform_run(struct postgres *postgres, struct registry *registry,
                        int64_t (*rows)(const char *table));

#endif
