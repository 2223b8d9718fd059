/* SPDX-License-Identifier: MIT */
/* registry_internal.h - what the files of the registry share; nobody else includes it.
 *
 *     registry.c           versions in memory, look-ups, the files of CONTRACTS_DIR
 *     registry_database.c  the table contracts: publishing, deleting, following the others
 */
#ifndef ORCHESTRATOR_REGISTRY_INTERNAL_H
#define ORCHESTRATOR_REGISTRY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "orchestrator/registry.h"

struct registry_entry {
    char *name;
    char *version;
    const struct contract *contract; /* NULL: what the database has cannot be read */
    bool callable;                   /* all its services are in services.yaml */
    bool in_files;
    enum registry_source source; /* as the database says */
    int64_t created_us;
    int64_t deleted_us;
};

/* What came of a file the last time it was valid. */
struct registry_file {
    char *path;
    struct registry_entry *entry;
};

struct registry {
    char *directory;
    struct services *services;
    struct registry_file *files; /* of the one thread that reads the directory */
    size_t files_count;
    /* Of every refresh, drawn before its query: an older answer must not undo a newer one. */
    atomic_uint_fast64_t serial;
    pthread_rwlock_t lock;           /* of all that follows */
    struct registry_entry **entries; /* by name, then version; none is ever removed */
    size_t count, capacity;
    uint64_t applied; /* serial of the newest refresh of all names that was taken over */
};

/* Under the write lock. Takes the contract over (it is freed when the version is there already). */
struct registry_entry *registry_adopt(struct registry *registry, const char *name,
                                      const char *version, struct contract *contract);
struct registry_entry *registry_find(const struct registry *registry, const char *name,
                                     const char *version); /* under a lock */
bool registry_is_offered(const struct registry_entry *entry);
/* contract_parse_among with the registry's services (`any_service`: without) on a thread of its
 * own, since the stacks of HTTP threads are too small for it. */
struct contract *registry_parse(const struct registry *registry, const char *file, const char *text,
                                size_t bytes, bool any_service, struct findings *findings) MUST_USE;
/* Writes a contract of a file. ERR_CONFIG when the version is there with other content. */
enum error_code registry_store_file(struct postgres *postgres, const struct contract *contract,
                                    struct error *error) MUST_USE;
size_t registry_count_offered(struct registry *registry); /* and moves the gauge */

#endif
