/* SPDX-License-Identifier: MIT */
#include "io/migrate.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/log.h"

#define DEADLOCK_TRIES 20
#define LOCK_KEY 0x6f6e65785f6d6967 /* "onex_mig": of pg_advisory_lock */

/* -- files -- */

static enum error_code read_file(const char *path, struct buffer *out, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return error_set(error, ERR_CONFIG, "%s: %s.", path, strerror(errno));
    char piece[8192];
    size_t got;
    while ((got = fread(piece, 1, sizeof piece, file)) > 0)
        buffer_append(out, piece, got);
    bool failed = ferror(file) != 0;
    fclose(file);
    return failed ? error_set(error, ERR_CONFIG, "%s: cannot be read.", path) : ERR_OK;
}

static enum error_code read_migration(const char *directory, const struct migration *migration,
                                      bool up, struct buffer *sql, struct error *error)
{
    struct buffer path = {0};
    buffer_append_format(&path, "%s/%04d_%s.%s.sql", directory, migration->version, migration->name,
                         up ? "up" : "down");
    buffer_clear(sql);
    enum error_code code = read_file(buffer_text(&path), sql, error);
    buffer_fini(&path);
    return code;
}

static void checksum_of(const struct buffer *sql, char checksum[MIGRATION_CHECKSUM_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int bytes = 0;
    BUG_IF(EVP_Digest(buffer_text(sql), sql->bytes, digest, &bytes, EVP_sha256(), NULL) != 1 ||
           bytes != 32);
    for (unsigned int i = 0; i < bytes; i++)
        snprintf(checksum + (size_t)i * 2, 3, "%02x", digest[i]);
}

static enum error_code plan_files(const char *directory, struct migration_plan *plan,
                                  struct error *error)
{
    DIR *folder = opendir(directory);
    if (folder == NULL)
        return error_set(error, ERR_CONFIG, "The directory of migrations %s cannot be opened: %s.",
                         directory, strerror(errno));
    enum error_code code = ERR_OK;
    bool taken;
    for (struct dirent *entry; code == ERR_OK && (entry = readdir(folder)) != NULL;)
        code = migration_plan_add_file(plan, entry->d_name, &taken, error);
    closedir(folder);
    if (code == ERR_OK)
        code = migration_plan_check_files(plan, error);
    struct buffer sql = {0};
    for (int i = 0; i < plan->count && code == ERR_OK; i++) {
        code = read_migration(directory, &plan->items[i], true, &sql, error);
        checksum_of(&sql, plan->items[i].checksum);
    }
    buffer_fini(&sql);
    return code;
}

/* -- the table -- */

static enum error_code table_exists(struct postgres *postgres, bool *exists, struct error *error)
{
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_query(
        postgres, "SELECT to_regclass('schema_migrations') IS NOT NULL", NULL, 0, &rows, error);
    if (code == ERR_OK)
        *exists = postgres_rows_bool(rows, 0, 0);
    postgres_rows_free(rows);
    return code;
}

static enum error_code plan_applied(struct postgres *postgres, struct migration_plan *plan,
                                    struct error *error)
{
    bool exists = false;
    enum error_code code = table_exists(postgres, &exists, error);
    if (code != ERR_OK || !exists)
        return code;
    struct postgres_rows *rows = NULL;
    code = postgres_query(
        postgres,
        "SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version", NULL,
        0, &rows, error);
    for (int i = 0; i < postgres_rows_count(rows) && code == ERR_OK; i++)
        code = migration_plan_add_applied(
            plan, (int)postgres_rows_int(rows, i, 0), postgres_rows_text(rows, i, 1, NULL),
            postgres_rows_text(rows, i, 2, NULL), postgres_rows_instant(rows, i, 3), error);
    postgres_rows_free(rows);
    return code;
}

enum error_code migrate_status(struct postgres *postgres, const char *directory,
                               struct migration_plan *plan, struct error *error)
{
    enum error_code code = plan_files(directory, plan, error);
    return code != ERR_OK ? code : plan_applied(postgres, plan, error);
}

/* -- steps -- */

/* Tells the session what the script below shall record. A connection that breaks and heals in between
 * has lost these settings (and the lock), so the script then fails as a whole. */
static enum error_code announce(struct postgres *postgres, const struct migration *migration,
                                struct error *error)
{
    struct postgres_value values[3] = {0};
    postgres_set_int4(&values[0], migration->version);
    postgres_set_string(&values[1], migration->name);
    postgres_set_string(&values[2], migration->checksum);
    enum error_code code =
        postgres_query(postgres,
                       "SELECT set_config('bridge_migration.version', $1::text, false),"
                       " set_config('bridge_migration.name', $2, false),"
                       " set_config('bridge_migration.checksum', $3, false)",
                       values, 3, NULL, error);
    for (int i = 0; i < 3; i++)
        postgres_value_fini(&values[i]);
    return code;
}

static const char record_up[] = "\n;INSERT INTO schema_migrations (version, name, checksum) VALUES"
                                " (current_setting('bridge_migration.version')::integer,"
                                " current_setting('bridge_migration.name'),"
                                " current_setting('bridge_migration.checksum')); COMMIT";
static const char record_down[] =
    "\n;DELETE FROM schema_migrations WHERE"
    " version = current_setting('bridge_migration.version')::integer; COMMIT";

/* A node that writes meanwhile may hold what the next statement of the migration locks, and wait for what it has
 * locked: when PostgreSQL ends such a tie at the cost of the migration, all of it is done again. */
static enum error_code run_script(struct postgres *postgres, const char *script,
                                  struct error *error)
{
    enum error_code code = postgres_script(postgres, script, error);
    for (int tries = 1; tries < DEADLOCK_TRIES && code == ERR_UNAVAILABLE; tries++) {
        *error = (struct error){0};
        code = postgres_script(postgres, "ROLLBACK", error);
        if (code == ERR_OK)
            code = postgres_script(postgres, script, error);
    }
    return code;
}

/* The file and its row are one transaction and one script. */
static enum error_code apply(struct postgres *postgres, const char *directory,
                             const struct migration *migration, bool up, struct error *error)
{
    struct buffer sql = {0}, script = {0};
    struct error cause = {0};
    enum error_code code = read_migration(directory, migration, up, &sql, &cause);
    if (code == ERR_OK)
        code = announce(postgres, migration, &cause);
    buffer_append_text(&script, "BEGIN;\n");
    buffer_append(&script, buffer_text(&sql), sql.bytes);
    buffer_append_text(&script, up ? record_up : record_down);
    if (code == ERR_OK)
        code = run_script(postgres, buffer_text(&script), &cause);
    if (code != ERR_OK)
        postgres_disconnect(postgres); /* rolls back and gives the lock free */
    buffer_fini(&script);
    buffer_fini(&sql);
    if (code != ERR_OK)
        return error_set(error, code, "%04d_%s.%s.sql: %s", migration->version, migration->name,
                         up ? "up" : "down", cause.text);
    log_info(up ? "migration applied" : "migration taken back",
             LOG_INT("version", migration->version), LOG_TEXT("name", migration->name));
    return ERR_OK;
}

static enum error_code lock(struct postgres *postgres, bool take, struct error *error)
{
    struct postgres_value key = {0};
    postgres_set_int8(&key, LOCK_KEY);
    enum error_code code =
        take ? postgres_query(postgres, "SELECT pg_advisory_lock($1)", &key, 1, NULL, error)
             : postgres_query(postgres, "SELECT pg_advisory_unlock($1)", &key, 1, NULL, error);
    postgres_value_fini(&key);
    return code;
}

struct walk {
    struct postgres *postgres;
    const char *directory;
    bool up;
    bool dry_run;
    migrate_step *step;
    void *context;
};

static enum error_code walk_plan(const struct walk *walk, const struct migration_plan *plan,
                                 int target, struct error *error)
{
    int version = migration_plan_version(plan);
    enum error_code code = ERR_OK;
    while (code == ERR_OK && (walk->up ? version < target : version > target)) {
        /* Files are checked: item n-1 is version n. */
        const struct migration *migration = &plan->items[walk->up ? version : version - 1];
        if (!walk->dry_run)
            code = apply(walk->postgres, walk->directory, migration, walk->up, error);
        if (code == ERR_OK && walk->step != NULL)
            walk->step(walk->context, migration, walk->up, walk->dry_run);
        version += walk->up ? 1 : -1;
    }
    return code;
}

static enum error_code choose_target(const struct migration_plan *plan, bool up, int *target,
                                     struct error *error)
{
    int newest = migration_plan_newest(plan), version = migration_plan_version(plan);
    if (up && *target == 0)
        *target = newest;
    if (!up && *target == MIGRATE_ONE)
        *target = version > 0 ? version - 1 : 0;
    if (*target < 0 || *target > newest)
        return error_set(error, ERR_CONFIG, "There is no migration %d; versions here are 0 to %d.",
                         *target, newest);
    return ERR_OK;
}

static enum error_code walk_locked(const struct walk *walk, int target, struct error *error)
{
    enum error_code code = ERR_OK;
    if (!walk->dry_run)
        code = postgres_script(
            walk->postgres,
            "CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY, name text "
            "NOT "
            "NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
            error);
    struct migration_plan plan = {0};
    if (code == ERR_OK)
        code = migrate_status(walk->postgres, walk->directory, &plan, error);
    if (code == ERR_OK)
        code = migration_plan_check_applied(&plan, error);
    if (code == ERR_OK)
        code = choose_target(&plan, walk->up, &target, error);
    if (code == ERR_OK)
        code = walk_plan(walk, &plan, target, error);
    migration_plan_fini(&plan);
    return code;
}

static enum error_code run(const struct walk *walk, int target, struct error *error)
{
    enum error_code code = lock(walk->postgres, true, error);
    if (code != ERR_OK)
        return code;
    code = walk_locked(walk, target, error);
    struct error ignored;
    if (postgres_connected(walk->postgres) && lock(walk->postgres, false, &ignored) != ERR_OK)
        postgres_disconnect(walk->postgres);
    return code;
}

enum error_code migrate_up(struct postgres *postgres, const char *directory, int target,
                           bool dry_run, migrate_step *step, void *context, struct error *error)
{
    return run(&(struct walk){.postgres = postgres,
                              .directory = directory,
                              .up = true,
                              .dry_run = dry_run,
                              .step = step,
                              .context = context},
               target, error);
}

enum error_code migrate_down(struct postgres *postgres, const char *directory, int target,
                             bool dry_run, migrate_step *step, void *context, struct error *error)
{
    return run(&(struct walk){.postgres = postgres,
                              .directory = directory,
                              .dry_run = dry_run,
                              .step = step,
                              .context = context},
               target, error);
}

enum error_code migrate_version(struct postgres *postgres, int *version, struct error *error)
{
    bool exists = false;
    struct postgres_rows *rows = NULL;
    enum error_code code = table_exists(postgres, &exists, error);
    if (code == ERR_OK && exists)
        code = postgres_query(postgres, "SELECT coalesce(max(version), 0) FROM schema_migrations",
                              NULL, 0, &rows, error);
    *version = code == ERR_OK && exists ? (int)postgres_rows_int(rows, 0, 0) : 0;
    postgres_rows_free(rows);
    return code;
}

enum error_code migrate_check_schema(struct postgres *postgres, int oldest, int newest,
                                     struct error *error)
{
    int version = 0;
    enum error_code code = migrate_version(postgres, &version, error);
    if (code != ERR_OK || (version >= oldest && version <= newest))
        return code;
    if (version < oldest)
        return error_set(error, ERR_SCHEMA,
                         "The database schema is at version %d; this program needs %d to %d. Run: "
                         "bridgectl migrate up",
                         version, oldest, newest);
    return error_set(error, ERR_SCHEMA,
                     "The database schema is at version %d; this program knows %d to %d. Run a "
                     "newer program, or with "
                     "the newer bridgectl: bridgectl migrate down --to %d",
                     version, oldest, newest, newest);
}
