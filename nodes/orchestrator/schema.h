/* SPDX-License-Identifier: MIT */
/* schema.h - the version of the database's schema, as this instance saw it last: with each renewal of its
 * lease. A node runs on its own schema and on the one before, on which it leaves alone what needs the newer
 * one; so the nodes of an installation are replaced one by one, and migrated before, after or meanwhile.
 *
 * Owns      Nothing; the number is struct orchestrator's.
 * Threads   schema_at_least from any thread; schema_look from main, then from the ownership thread.
 * Errors    As postgres.h.
 */
#ifndef ORCHESTRATOR_SCHEMA_H
#define ORCHESTRATOR_SCHEMA_H

#include "orchestrator/orchestrator.h"

#define SCHEMA_WITH_BREAKERS 8 /* service_breakers, held_steps */

enum error_code schema_look(struct orchestrator *orchestrator, struct postgres *postgres,
                            struct error *error) MUST_USE;
/* False for a few seconds after the migration too, until it is seen. */
bool schema_at_least(const struct orchestrator *orchestrator, int version);

#endif
