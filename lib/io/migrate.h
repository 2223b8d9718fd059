/* SPDX-License-Identifier: MIT */
/* migrate.h - brings the database's schema to a version: migrations/NNNN_name.up.sql and .down.sql, in
 * order, each in one transaction together with its row in schema_migrations (version, name, checksum,
 * applied_at).
 *
 * Owns      Nothing; the connection and the plan are the caller's.
 * Threads   One thread per connection. Several programs may migrate at once: an advisory lock lets one
 *           in at a time, and the others then find nothing left to do.
 * Errors    ERR_CONFIG: the files are at fault (migration_plan.h), ERR_SCHEMA: the database is,
 *           ERR_DATABASE and ERR_INTERNAL as in postgres.h; the text names the file.
 */
#ifndef IO_MIGRATE_H
#define IO_MIGRATE_H

#include <stdbool.h>

#include "base/error.h"
#include "core/migration_plan.h"
#include "io/postgres.h"

/* The schema versions that programs of this release run on. */
#define SCHEMA_VERSION_NEWEST 8
#define SCHEMA_VERSION_OLDEST 7

/* Called after each step (before it would be done, in a dry run). */
typedef void migrate_step(void *context, const struct migration *migration, bool up, bool dry_run);

/* Applies what is missing up to `target` (0: all files). */
enum error_code migrate_up(struct postgres *postgres, const char *directory, int target,
                           bool dry_run, migrate_step *step, void *context,
                           struct error *error) MUST_USE;
/* Takes back what is above `target` (0: everything; MIGRATE_ONE: the last one). */
#define MIGRATE_ONE (-1)
enum error_code migrate_down(struct postgres *postgres, const char *directory, int target,
                             bool dry_run, migrate_step *step, void *context,
                             struct error *error) MUST_USE;
/* Fills *plan (zeroed; migration_plan_fini) with files and applied rows, sorted by version. Changed
 * checksums and versions without files are left for the caller to see (migration_plan_check_applied). */
enum error_code migrate_status(struct postgres *postgres, const char *directory,
                               struct migration_plan *plan, struct error *error) MUST_USE;

/* The version of the newest migration that is applied; 0: none. */
enum error_code migrate_version(struct postgres *postgres, int *version,
                                struct error *error) MUST_USE;
/* ERR_SCHEMA, with what to run, unless the database's version lies within the two. */
enum error_code migrate_check_schema(struct postgres *postgres, int oldest, int newest,
                                     struct error *error) MUST_USE;

#endif
