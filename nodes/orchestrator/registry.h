/* SPDX-License-Identifier: MIT */
/* registry.h - the contracts this process knows: those of CONTRACTS_DIR, and older versions that running
 * workflows still need, read from the database on demand.
 *
 * Owns      Its contracts, until the process ends: workflows lend them.
 * Threads   Any.
 * Errors    ERR_CONFIG with all findings when a file of CONTRACTS_DIR is not valid or a version comes
 *           with other content than the database has. ERR_NOT_FOUND for an unknown name or version.
 */
#ifndef ORCHESTRATOR_REGISTRY_H
#define ORCHESTRATOR_REGISTRY_H

#include "base/buffer.h"
#include "core/contract.h"
#include "io/postgres.h"
#include "orchestrator/core/services.h"

struct registry;

/* Reads CONTRACTS_DIR/services.yaml and CONTRACTS_DIR/workflows. Faults go to *faults, a line each. */
enum error_code registry_open(struct registry **registry, const char *directory,
                              struct buffer *faults) MUST_USE;
/* Writes the directory's contracts to the database; refuses a version whose content differs there. */
enum error_code registry_store(struct registry *registry, struct postgres *postgres,
                               struct error *error) MUST_USE;
void registry_free(struct registry *registry);

const struct services *registry_services(const struct registry *registry);
/* The newest version of a name, or NULL. */
const struct contract *registry_newest(struct registry *registry, const char *name);
/* A version; looked up in the database when it is not in memory (postgres may be NULL). *contract is
 * NULL when there is none, or when what the database has cannot be read any more. */
enum error_code registry_version(struct registry *registry, struct postgres *postgres,
                                 const char *name, const char *version,
                                 const struct contract **contract, struct error *error) MUST_USE;
/* Newest versions, sorted by name; free() the array. */
const struct contract **registry_list(struct registry *registry, size_t *count) MUST_USE;

#endif
