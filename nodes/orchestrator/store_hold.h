/* SPDX-License-Identifier: MIT */
/* store_hold.h - held steps in PostgreSQL: rows of held_steps, written with a batch (store.h).
 *
 * Owns      struct store_holds owns its arrays; what store_holds_read gives is the caller's to free().
 * Threads   One thread per batch and per connection.
 * Errors    As postgres.h.
 */
#ifndef ORCHESTRATOR_STORE_HOLD_H
#define ORCHESTRATOR_STORE_HOLD_H

#include "io/postgres.h"
#include "orchestrator/core/engine.h"

#define STORE_HOLD_COLUMNS 9
#define STORE_UNHOLD_COLUMNS 4

struct store_holds {
    struct postgres_value held[STORE_HOLD_COLUMNS];
    struct postgres_value unheld[STORE_UNHOLD_COLUMNS];
    struct postgres_value ended; /* workflows */
};

void store_holds_clear(struct store_holds *holds); /* before the first use as well */
void store_holds_fini(struct store_holds *holds);
bool store_holds_empty(const struct store_holds *holds);
/* The rows of an ENGINE_HELD or ENGINE_UNHELD effect; `service` is the name of the one that it speaks of. */
void store_holds_add(struct store_holds *holds, const struct engine_effect *effect,
                     const char *service);
void store_holds_end(struct store_holds *holds, const struct uuid *workflow);
enum error_code store_holds_put(const struct store_holds *holds, struct postgres *postgres,
                                struct error *error) MUST_USE;

/* What is kept of the live workflows of shards, by id. Rows of workflows that have ended are removed. */
enum error_code store_holds_read(struct postgres *postgres, const int16_t *shards, int count,
                                 struct engine_hold **holds, size_t *holds_count,
                                 struct error *error) MUST_USE;

#endif
