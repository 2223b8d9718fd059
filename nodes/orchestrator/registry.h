/* SPDX-License-Identifier: MIT */
/* registry.h - the contracts this process knows: those of CONTRACTS_DIR, those that were published,
 * and versions no longer offered that running workflows still need, read from the database on
 * demand.
 *
 * Owns      Its contracts, until the process ends: workflows lend them.
 * Threads   Any, but registry_open, registry_store and registry_reload: one thread. Look-ups take a
 *           read lock for a binary search; nothing else is done under a lock, least of all a query.
 * Units     *_us microseconds since 1970 UTC.
 * Errors    As postgres.h. ERR_CONFIG with all findings when a file of CONTRACTS_DIR is not valid
 *           or a version comes with other content than the database has. ERR_NOT_FOUND for an
 *           unknown version, ERR_CONFLICT for one that cannot be deleted.
 *
 * A version is offered to new workflows when it is in CONTRACTS_DIR or was published, is not
 * deleted, and every service it names is in services.yaml. Its content never changes: the table
 * contracts, which all instances share, holds one content for one (name, version) for good.
 */
#ifndef ORCHESTRATOR_REGISTRY_H
#define ORCHESTRATOR_REGISTRY_H

#include "base/buffer.h"
#include "core/contract.h"
#include "io/postgres.h"
#include "orchestrator/core/services.h"

#define REGISTRY_CHANNEL "bridge_contracts" /* LISTEN: something was published or deleted */

struct registry;

enum registry_source { REGISTRY_FILE, REGISTRY_PUBLISHED };
const char *registry_source_name(enum registry_source source); /* "file", "published" */

struct registry_version {
    const struct contract *contract;
    enum registry_source source;
    int64_t created_us;
    int64_t deleted_us; /* 0: not deleted */
    int64_t live;       /* workflows on it that have not ended */
    bool offered;
};

/* Reads services.yaml and workflows/ of CONTRACTS_DIR. Faults go to *faults, a line each. */
enum error_code registry_open(struct registry **registry, const char *directory,
                              struct buffer *faults) MUST_USE;
/* Writes the directory's contracts to the database, refusing a version whose content differs there;
 * then reads the published ones. */
enum error_code registry_store(struct registry *registry, struct postgres *postgres,
                               struct error *error) MUST_USE;
void registry_free(struct registry *registry);

/* Reads the directory again. A file with findings leaves what came of it before; of a file that is
 * gone, the versions are no longer offered. Nothing has changed when the directory cannot be read or
 * the database not be written. services.yaml is not read again. */
enum error_code registry_reload(struct registry *registry, struct postgres *postgres,
                                struct findings *findings, struct error *error) MUST_USE;
/* Takes over what was published and deleted, here or by another instance: of one name, or NULL:
 * all. */
enum error_code registry_refresh(struct registry *registry, struct postgres *postgres,
                                 const char *name, struct error *error) MUST_USE;

const struct services *registry_services(const struct registry *registry);
/* The version of a name that new workflows get: the highest that is no pre-release; or NULL. */
const struct contract *registry_newest(struct registry *registry, const char *name);
/* An offered version, or NULL. */
const struct contract *registry_offered(struct registry *registry, const char *name,
                                        const char *version);
/* A version, offered or not; looked up in the database when it is not in memory (postgres may be
 * NULL). *contract is NULL when there is none, or when what the database has cannot be read any
 * more. */
enum error_code registry_version(struct registry *registry, struct postgres *postgres,
                                 const char *name, const char *version,
                                 const struct contract **contract, struct error *error) MUST_USE;
/* The same with what the database says about it. ERR_NOT_FOUND when there is none. */
enum error_code registry_describe(struct registry *registry, struct postgres *postgres,
                                  const char *name, const char *version,
                                  struct registry_version *described, struct error *error) MUST_USE;
/* Offered versions sorted by name, the highest version of a name first; `name` NULL: all. `live` is
 * not filled. free() the array. */
struct registry_version *registry_list(struct registry *registry, const char *name,
                                       size_t *count) MUST_USE;

/* All the checks that loading a file makes. contract_free() what comes, or publish it. */
struct contract *registry_check(const struct registry *registry, const char *file, const char *text,
                                size_t bytes, struct findings *findings) MUST_USE;

enum registry_outcome {
    REGISTRY_CREATED,   /* it is offered from now on */
    REGISTRY_UNCHANGED, /* the version was there with this content */
    REGISTRY_DIFFERS,   /* the version is there with other content: nothing was done */
};
/* Takes the contract over; ERR_LIMIT past CONTRACT_VERSIONS_MAX. `only_ask` changes nothing, and
 * tells what would come of it. */
enum error_code registry_publish(struct registry *registry, struct postgres *postgres,
                                 struct contract *contract, bool only_ask,
                                 enum registry_outcome *outcome, struct error *error) MUST_USE;
/* No longer offered, and kept for reading; deleting twice is fine. ERR_CONFLICT with
 * described->live when workflows on it have not ended. */
enum error_code registry_delete(struct registry *registry, struct postgres *postgres,
                                const char *name, const char *version,
                                struct registry_version *described, struct error *error) MUST_USE;

#endif
