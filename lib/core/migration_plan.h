/* SPDX-License-Identifier: MIT */
/* migration_plan.h - which migrations there are, which are applied, and which steps lead to a version.
 * Pure: the names of files, their checksums and the rows of schema_migrations come in as arguments.
 *
 * Files are NNNN_name.up.sql and NNNN_name.down.sql, numbered from 1 without gaps.
 *
 * Owns      The plan owns its items; zeroed is a valid empty plan.
 * Threads   One thread at a time.
 * Errors    ERR_CONFIG with a sentence that names the file or version: a name that does not fit, a
 *           number used twice, a gap, a missing down or up file, an applied file that has changed.
 *           ERR_SCHEMA: the database has a version whose file is not here.
 */
#ifndef CORE_MIGRATION_PLAN_H
#define CORE_MIGRATION_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"

#define MIGRATION_CHECKSUM_BYTES 65 /* SHA-256 in hexadecimal and NUL */
#define MIGRATION_VERSION_MAX 9999

struct migration {
    int version;
    char name[NAME_BYTES_MAX]; /* "core" of 0001_core.up.sql */
    bool has_up;
    bool has_down;
    char checksum[MIGRATION_CHECKSUM_BYTES]; /* of the up file */
    bool applied;
    char applied_checksum[MIGRATION_CHECKSUM_BYTES];
    int64_t applied_us;
};

struct migration_plan {
    struct migration *items; /* by version, after migration_plan_check */
    int count;
    int capacity;
};

void migration_plan_fini(struct migration_plan *plan);

/* Takes one directory entry. Names that do not end in ".sql" are ignored; *taken tells. */
enum error_code migration_plan_add_file(struct migration_plan *plan, const char *file_name,
                                        bool *taken, struct error *error) MUST_USE;
/* The item of a version, or NULL. Lent until the next add. */
struct migration *migration_plan_find(struct migration_plan *plan, int version);
/* Takes one row of schema_migrations. */
enum error_code migration_plan_add_applied(struct migration_plan *plan, int version,
                                           const char *name, const char *checksum,
                                           int64_t applied_us, struct error *error) MUST_USE;
/* Sorts the files and finds gaps and missing halves. Once all files are added. */
enum error_code migration_plan_check_files(struct migration_plan *plan,
                                           struct error *error) MUST_USE;
/* Holds the applied rows against the files. */
enum error_code migration_plan_check_applied(const struct migration_plan *plan,
                                             struct error *error) MUST_USE;
int migration_plan_version(const struct migration_plan *plan); /* highest applied, 0 when none */
int migration_plan_newest(const struct migration_plan *plan);  /* highest file, 0 when none */

#endif
