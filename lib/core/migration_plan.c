/* SPDX-License-Identifier: MIT */
#include "core/migration_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_DIGITS 4
#define UP_END ".up.sql"
#define DOWN_END ".down.sql"

void migration_plan_fini(struct migration_plan *plan)
{
    free(plan->items);
    memset(plan, 0, sizeof *plan);
}

struct migration *migration_plan_find(struct migration_plan *plan, int version)
{
    for (int i = 0; i < plan->count; i++)
        if (plan->items[i].version == version)
            return &plan->items[i];
    return NULL;
}

static struct migration *add(struct migration_plan *plan, int version, const char *name,
                             size_t name_bytes)
{
    if (plan->count == plan->capacity) {
        plan->capacity = plan->capacity == 0 ? 16 : plan->capacity * 2;
        plan->items = must_realloc(plan->items, (size_t)plan->capacity * sizeof *plan->items);
    }
    struct migration *migration = &plan->items[plan->count++];
    *migration = (struct migration){.version = version};
    snprintf(migration->name, sizeof migration->name, "%.*s", (int)name_bytes, name);
    return migration;
}

static bool ends_with(const char *text, size_t bytes, const char *end)
{
    size_t end_bytes = strlen(end);
    return bytes >= end_bytes && memcmp(text + bytes - end_bytes, end, end_bytes) == 0;
}

static bool is_name(const char *text, size_t bytes)
{
    if (bytes == 0 || bytes >= NAME_BYTES_MAX)
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") >= bytes;
}

enum error_code migration_plan_add_file(struct migration_plan *plan, const char *file_name,
                                        bool *taken, struct error *error)
{
    size_t bytes = strlen(file_name);
    *taken = false;
    if (file_name[0] == '.' || !ends_with(file_name, bytes, ".sql"))
        return ERR_OK;
    bool up = ends_with(file_name, bytes, UP_END), down = ends_with(file_name, bytes, DOWN_END);
    size_t end_bytes = up ? strlen(UP_END) : strlen(DOWN_END);
    size_t digits = strspn(file_name, "0123456789");
    bool fits = (up || down) && digits == VERSION_DIGITS && file_name[VERSION_DIGITS] == '_' &&
                bytes > VERSION_DIGITS + 1 + end_bytes &&
                is_name(file_name + VERSION_DIGITS + 1, bytes - VERSION_DIGITS - 1 - end_bytes);
    int version = fits ? atoi(file_name) : 0;
    if (version == 0)
        return error_set(error, ERR_CONFIG,
                         "%s: the name must be NNNN_name.up.sql or NNNN_name.down.sql, with NNNN "
                         "from 0001 and a name "
                         "of a-z, 0-9 and _.",
                         file_name);
    const char *name = file_name + VERSION_DIGITS + 1;
    size_t name_bytes = bytes - VERSION_DIGITS - 1 - end_bytes;
    struct migration *migration = migration_plan_find(plan, version);
    if (migration != NULL &&
        (strlen(migration->name) != name_bytes || memcmp(migration->name, name, name_bytes) != 0))
        return error_set(error, ERR_CONFIG, "%s: the number %04d is already used by %04d_%s.",
                         file_name, version, version, migration->name);
    if (migration == NULL)
        migration = add(plan, version, name, name_bytes);
    *(up ? &migration->has_up : &migration->has_down) = true;
    *taken = true;
    return ERR_OK;
}

enum error_code migration_plan_add_applied(struct migration_plan *plan, int version,
                                           const char *name, const char *checksum,
                                           int64_t applied_us, struct error *error)
{
    if (version < 1 || version > MIGRATION_VERSION_MAX)
        return error_set(error, ERR_SCHEMA,
                         "schema_migrations holds the version %d, which is not within 1 to %d.",
                         version, MIGRATION_VERSION_MAX);
    struct migration *migration = migration_plan_find(plan, version);
    if (migration == NULL)
        migration = add(plan, version, name, strlen(name));
    migration->applied = true;
    migration->applied_us = applied_us;
    snprintf(migration->applied_checksum, sizeof migration->applied_checksum, "%s", checksum);
    return ERR_OK;
}

static int by_version(const void *a, const void *b)
{
    return ((const struct migration *)a)->version - ((const struct migration *)b)->version;
}

enum error_code migration_plan_check_files(struct migration_plan *plan, struct error *error)
{
    if (plan->count == 0)
        return error_set(error, ERR_CONFIG, "There are no migrations (NNNN_name.up.sql) here.");
    qsort(plan->items, (size_t)plan->count, sizeof *plan->items, by_version);
    for (int i = 0; i < plan->count; i++) {
        const struct migration *migration = &plan->items[i];
        if (migration->version != i + 1)
            return error_set(error, ERR_CONFIG,
                             "%04d_%s: there is a gap before it; number %04d is missing.",
                             migration->version, migration->name, i + 1);
        if (!migration->has_up || !migration->has_down)
            return error_set(error, ERR_CONFIG, "%04d_%s.%s.sql is missing.", migration->version,
                             migration->name, migration->has_up ? "down" : "up");
    }
    return ERR_OK;
}

enum error_code migration_plan_check_applied(const struct migration_plan *plan, struct error *error)
{
    int version = migration_plan_version(plan);
    for (int i = 0; i < plan->count; i++) {
        const struct migration *migration = &plan->items[i];
        if (migration->applied && !migration->has_up)
            return error_set(error, ERR_SCHEMA,
                             "The database has migration %04d (%s), which this release does not "
                             "know. Use the release "
                             "that applied it.",
                             migration->version, migration->name);
        if (migration->applied && strcmp(migration->checksum, migration->applied_checksum) != 0)
            return error_set(error, ERR_CONFIG,
                             "%04d_%s.up.sql has changed since it was applied (SHA-256 is %.12s, "
                             "was %.12s). Restore the "
                             "file and put the change into a new migration.",
                             migration->version, migration->name, migration->checksum,
                             migration->applied_checksum);
        if (!migration->applied && migration->version < version)
            return error_set(error, ERR_SCHEMA,
                             "Migration %04d (%s) was never applied, but %04d was.",
                             migration->version, migration->name, version);
    }
    return ERR_OK;
}

int migration_plan_version(const struct migration_plan *plan)
{
    int version = 0;
    for (int i = 0; i < plan->count; i++)
        if (plan->items[i].applied && plan->items[i].version > version)
            version = plan->items[i].version;
    return version;
}

int migration_plan_newest(const struct migration_plan *plan)
{
    int version = 0;
    for (int i = 0; i < plan->count; i++)
        if (plan->items[i].has_up && plan->items[i].version > version)
            version = plan->items[i].version;
    return version;
}
