/* SPDX-License-Identifier: MIT */
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "io/log.h"
#include "orchestrator/registry_internal.h"

#define DELETE_TRIES 3

static void fini_values(struct postgres_value *values, int count)
{
    for (int i = 0; i < count; i++)
        postgres_value_fini(&values[i]);
}

/* -- writing -- */

#define CONTRACT_COLUMNS 5

/* name, version, file, content, content_sha256 */
static void set_contract(struct postgres_value *values, const struct contract *contract)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    struct buffer file = {0};
    char *content = json_to_text(contract->document);
    /* A plain state machine has no head: its name is in the file's name. */
    bool plain = json_get(contract->document, "state_machine") == NULL;
    buffer_append_format(&file, "%s%s", contract->name, plain ? ".asl.json" : ".json");
    SHA256((const unsigned char *)content, strlen(content), hash);
    postgres_set_string(&values[0], contract->name);
    postgres_set_string(&values[1], contract->version);
    postgres_set_string(&values[2], buffer_text(&file));
    postgres_set_string(&values[3], content);
    postgres_set_bytea(&values[4], hash, sizeof hash);
    buffer_fini(&file);
    free(content);
}

/* Is the content under this version the one of set_contract? Sets *found, *same and *deleted. */
static enum error_code compare_stored(struct postgres *postgres,
                                      const struct postgres_value *values, bool *found, bool *same,
                                      bool *deleted, struct error *error)
{
    static const char sql[] = "SELECT content_sha256 = $3, deleted_at IS NOT NULL FROM contracts "
                              "WHERE name = $1 AND version = $2";
    const struct postgres_value asked[3] = {values[0], values[1], values[4]};
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_query(postgres, sql, asked, 3, &rows, error);
    *found = code == ERR_OK && postgres_rows_count(rows) > 0;
    *same = *found && postgres_rows_bool(rows, 0, 0);
    *deleted = *found && postgres_rows_bool(rows, 0, 1);
    postgres_rows_free(rows);
    return code;
}

enum error_code registry_store_file(struct postgres *postgres, const struct contract *contract,
                                    struct error *error)
{
    static const char sql[] =
        "INSERT INTO contracts (name, version, file, content, content_sha256) "
        "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    struct postgres_value values[CONTRACT_COLUMNS] = {{0}};
    bool found = false, same = false, deleted;
    set_contract(values, contract);
    enum error_code code = postgres_query(postgres, sql, values, CONTRACT_COLUMNS, NULL, error);
    if (code == ERR_OK)
        code = compare_stored(postgres, values, &found, &same, &deleted, error);
    if (code == ERR_OK && !same)
        code = error_set(error, ERR_CONFIG,
                         "contract %s version %s differs from the one already used under this "
                         "version; give it a higher version",
                         contract->name, contract->version);
    fini_values(values, CONTRACT_COLUMNS);
    return code;
}

/* Whether the version was there and not deleted; no row when there was nothing to do. Whoever
 * listens is told when the transaction is committed. */
static const char sql_publish[] =
    "WITH offered AS (SELECT 1 FROM contracts WHERE name = $1 AND version = $2 AND deleted_at IS "
    "NULL) "
    "INSERT INTO contracts AS c (name, version, file, content, content_sha256, source) "
    "VALUES ($1, $2, $3, $4, $5, 'published') "
    "ON CONFLICT (name, version) DO UPDATE SET source = 'published', deleted_at = NULL "
    "WHERE c.content_sha256 = excluded.content_sha256 AND (c.source <> 'published' OR c.deleted_at "
    "IS NOT NULL) "
    "RETURNING EXISTS (SELECT 1 FROM offered), pg_notify('" REGISTRY_CHANNEL "', '')::text";

static enum error_code write_published(struct postgres *postgres,
                                       const struct postgres_value *values,
                                       enum registry_outcome *outcome, struct error *error)
{
    struct postgres_rows *rows = NULL;
    bool found, same, deleted;
    enum error_code code =
        postgres_query(postgres, sql_publish, values, CONTRACT_COLUMNS, &rows, error);
    bool written = code == ERR_OK && postgres_rows_count(rows) > 0;
    if (written)
        *outcome = postgres_rows_bool(rows, 0, 0) ? REGISTRY_UNCHANGED : REGISTRY_CREATED;
    postgres_rows_free(rows);
    if (code != ERR_OK || written)
        return code;
    code = compare_stored(postgres, values, &found, &same, &deleted, error);
    *outcome = same ? REGISTRY_UNCHANGED : REGISTRY_DIFFERS;
    return code;
}

static enum error_code ask_published(struct postgres *postgres, const struct postgres_value *values,
                                     enum registry_outcome *outcome, struct error *error)
{
    bool found, same, deleted;
    enum error_code code = compare_stored(postgres, values, &found, &same, &deleted, error);
    *outcome = !found || (same && deleted) ? REGISTRY_CREATED
               : same                      ? REGISTRY_UNCHANGED
                                           : REGISTRY_DIFFERS;
    return code;
}

enum error_code registry_publish(struct registry *registry, struct postgres *postgres,
                                 struct contract *contract, bool only_ask,
                                 enum registry_outcome *outcome, struct error *error)
{
    struct postgres_value values[CONTRACT_COLUMNS] = {{0}};
    if (registry_count_offered(registry) >= CONTRACT_VERSIONS_MAX) {
        contract_free(contract);
        return error_set(error, ERR_LIMIT,
                         "%d contract versions are offered already; delete some first",
                         CONTRACT_VERSIONS_MAX);
    }
    set_contract(values, contract);
    enum error_code code = only_ask ? ask_published(postgres, values, outcome, error)
                                    : write_published(postgres, values, outcome, error);
    fini_values(values, CONTRACT_COLUMNS);
    if (code != ERR_OK || only_ask || *outcome == REGISTRY_DIFFERS) {
        contract_free(contract);
        return code;
    }
    pthread_rwlock_wrlock(&registry->lock);
    struct registry_entry *entry =
        registry_adopt(registry, contract->name, contract->version, contract);
    pthread_rwlock_unlock(&registry->lock);
    struct error later = {0};
    if (registry_refresh(registry, postgres, entry->name, &later) != ERR_OK)
        log_warning("a published contract is offered here a little later",
                    LOG_TEXT("contract", entry->name), LOG_TEXT("error", later.text));
    return ERR_OK;
}

/* -- reading -- */

static enum error_code read_version(const struct registry *registry, struct postgres *postgres,
                                    const char *name, const char *version,
                                    struct contract **contract, struct error *error)
{
    struct postgres_value values[2] = {{0}};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], name);
    postgres_set_string(&values[1], version);
    enum error_code code = postgres_query(
        postgres, "SELECT file, content FROM contracts WHERE name = $1 AND version = $2", values, 2,
        &rows, error);
    if (code == ERR_OK && postgres_rows_count(rows) > 0) {
        struct findings findings = {0};
        size_t bytes, file_bytes;
        const char *content = postgres_rows_text(rows, 0, 1, &bytes);
        const char *file_text = postgres_rows_text(rows, 0, 0, &file_bytes);
        char *file = must_strndup(file_text, file_bytes);
        *contract = registry_parse(registry, file, content, bytes, true, &findings);
        if (*contract == NULL)
            log_error("a stored contract cannot be read any more", LOG_TEXT("contract", name),
                      LOG_TEXT("version", version),
                      LOG_TEXT("finding", findings.count > 0 ? findings.items[0].text : ""));
        findings_fini(&findings);
        free(file);
    }
    postgres_rows_free(rows);
    fini_values(values, 2);
    return code;
}

enum error_code registry_version(struct registry *registry, struct postgres *postgres,
                                 const char *name, const char *version,
                                 const struct contract **contract, struct error *error)
{
    pthread_rwlock_rdlock(&registry->lock);
    const struct registry_entry *known = registry_find(registry, name, version);
    *contract = known == NULL ? NULL : known->contract;
    pthread_rwlock_unlock(&registry->lock);
    if (*contract != NULL || postgres == NULL)
        return ERR_OK;
    struct contract *read = NULL;
    enum error_code code = read_version(registry, postgres, name, version, &read, error);
    if (read == NULL)
        return code;
    pthread_rwlock_wrlock(&registry->lock);
    *contract = registry_adopt(registry, name, version, read)->contract;
    pthread_rwlock_unlock(&registry->lock);
    return code;
}

/* -- following what was published and deleted -- */

/* A row of the table as a refresh saw it. */
struct seen {
    char *name, *version;
    enum registry_source source;
    int64_t created_us, deleted_us;
    bool loaded; /* its content was read now */
    struct contract *contract;
};

static struct seen *read_rows(struct postgres *postgres, const char *name, size_t *count,
                              enum error_code *code, struct error *error)
{
    static const char sql[] = "SELECT name, version, source, created_at, deleted_at FROM contracts "
                              "WHERE $1::text IS NULL OR name = $1";
    struct postgres_value value = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&value, name);
    *code = postgres_query(postgres, sql, &value, 1, &rows, error);
    *count = *code == ERR_OK ? (size_t)postgres_rows_count(rows) : 0;
    struct seen *all = must_calloc(*count + 1, sizeof *all);
    for (size_t i = 0; i < *count; i++) {
        int row = (int)i;
        size_t bytes;
        const char *text = postgres_rows_text(rows, row, 0, &bytes);
        all[i].name = must_strndup(text, bytes);
        text = postgres_rows_text(rows, row, 1, &bytes);
        all[i].version = must_strndup(text, bytes);
        text = postgres_rows_text(rows, row, 2, &bytes);
        all[i].source = bytes > 0 && text[0] == 'p' ? REGISTRY_PUBLISHED : REGISTRY_FILE;
        all[i].created_us = postgres_rows_instant(rows, row, 3);
        all[i].deleted_us =
            postgres_rows_null(rows, row, 4) ? 0 : postgres_rows_instant(rows, row, 4);
    }
    postgres_rows_free(rows);
    postgres_value_fini(&value);
    return all;
}

static bool is_known(struct registry *registry, const struct seen *seen)
{
    pthread_rwlock_rdlock(&registry->lock);
    bool known = registry_find(registry, seen->name, seen->version) != NULL;
    pthread_rwlock_unlock(&registry->lock);
    return known;
}

/* Content is read for what is to be offered and not yet in memory. */
static enum error_code load_unknown(struct registry *registry, struct postgres *postgres,
                                    struct seen *all, size_t count, struct error *error)
{
    enum error_code code = ERR_OK;
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        struct seen *seen = &all[i];
        if (seen->source != REGISTRY_PUBLISHED || seen->deleted_us != 0 || is_known(registry, seen))
            continue;
        code = read_version(registry, postgres, seen->name, seen->version, &seen->contract, error);
        seen->loaded = code == ERR_OK;
    }
    return code;
}

/* False when a later refresh of all names has overtaken this one. */
static bool take_over(struct registry *registry, struct seen *all, size_t count, uint64_t serial,
                      bool all_names)
{
    pthread_rwlock_wrlock(&registry->lock);
    bool fresh = serial > registry->applied;
    if (fresh && all_names)
        registry->applied = serial;
    for (size_t i = 0; fresh && i < count; i++) {
        struct seen *seen = &all[i];
        struct registry_entry *entry =
            seen->loaded ? registry_adopt(registry, seen->name, seen->version, seen->contract)
                         : registry_find(registry, seen->name, seen->version);
        seen->contract = NULL;
        if (entry == NULL)
            continue;
        entry->source = seen->source;
        entry->created_us = seen->created_us;
        entry->deleted_us = seen->deleted_us;
        if (seen->loaded && entry->contract != NULL && !entry->callable)
            log_error("a published contract names a service that is not in services.yaml; it is "
                      "not offered here",
                      LOG_TEXT("contract", seen->name), LOG_TEXT("version", seen->version));
    }
    pthread_rwlock_unlock(&registry->lock);
    return fresh;
}

enum error_code registry_refresh(struct registry *registry, struct postgres *postgres,
                                 const char *name, struct error *error)
{
    enum error_code code;
    bool taken = true;
    do {
        uint64_t serial = atomic_fetch_add(&registry->serial, 1) + 1;
        size_t count;
        struct seen *all = read_rows(postgres, name, &count, &code, error);
        if (code == ERR_OK)
            code = load_unknown(registry, postgres, all, count, error);
        if (code == ERR_OK)
            taken = take_over(registry, all, count, serial, name == NULL);
        for (size_t i = 0; i < count; i++) {
            contract_free(all[i].contract);
            free(all[i].name);
            free(all[i].version);
        }
        free(all);
    } while (code == ERR_OK && !taken && name != NULL);
    registry_count_offered(registry);
    return code;
}

/* -- one version -- */

#define SQL_LIVE                                                                                   \
    "(SELECT count(*) FROM workflow_executions w WHERE w.completed_at IS NULL AND "                \
    "w.workflow_type = c.name AND w.contract_version = c.version)"

static enum error_code describe_row(struct postgres *postgres, const char *name,
                                    const char *version, struct registry_version *described,
                                    struct error *error)
{
    static const char sql[] = "SELECT source = 'published', created_at, deleted_at, " SQL_LIVE
                              " FROM contracts c WHERE name = $1 AND version = $2";
    struct postgres_value values[2] = {{0}};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], name);
    postgres_set_string(&values[1], version);
    enum error_code code = postgres_query(postgres, sql, values, 2, &rows, error);
    if (code == ERR_OK && postgres_rows_count(rows) == 0) {
        code = error_set_field(error, ERR_NOT_FOUND, "version",
                               "there is no contract %.128s version %.128s", name, version);
    } else if (code == ERR_OK) {
        described->source = postgres_rows_bool(rows, 0, 0) ? REGISTRY_PUBLISHED : REGISTRY_FILE;
        described->created_us = postgres_rows_instant(rows, 0, 1);
        described->deleted_us =
            postgres_rows_null(rows, 0, 2) ? 0 : postgres_rows_instant(rows, 0, 2);
        described->live = postgres_rows_int(rows, 0, 3);
    }
    postgres_rows_free(rows);
    fini_values(values, 2);
    return code;
}

enum error_code registry_describe(struct registry *registry, struct postgres *postgres,
                                  const char *name, const char *version,
                                  struct registry_version *described, struct error *error)
{
    *described = (struct registry_version){0};
    enum error_code code = describe_row(postgres, name, version, described, error);
    if (code == ERR_OK)
        code = registry_version(registry, postgres, name, version, &described->contract, error);
    if (code == ERR_OK && described->contract == NULL)
        code = error_set(error, ERR_INTERNAL,
                         "the stored contract %.128s version %.128s cannot be read any more", name,
                         version);
    described->offered = registry_offered(registry, name, version) != NULL;
    return code;
}

enum error_code registry_delete(struct registry *registry, struct postgres *postgres,
                                const char *name, const char *version,
                                struct registry_version *described, struct error *error)
{
    static const char sql[] =
        "UPDATE contracts c SET deleted_at = coalesce(deleted_at, clock_timestamp()) "
        "WHERE name = $1 AND version = $2 AND " SQL_LIVE " = 0 "
        "RETURNING pg_notify('" REGISTRY_CHANNEL "', '')::text";
    struct postgres_value values[2] = {{0}};
    bool deleted = false;
    postgres_set_string(&values[0], name);
    postgres_set_string(&values[1], version);
    *described = (struct registry_version){0};
    enum error_code code = ERR_OK;
    /* The last workflow may end between the refusal and the count. */
    for (int i = 0; i < DELETE_TRIES && code == ERR_OK && !deleted && described->live == 0; i++) {
        struct postgres_rows *rows = NULL;
        code = postgres_query(postgres, sql, values, 2, &rows, error);
        deleted = code == ERR_OK && postgres_rows_count(rows) > 0;
        postgres_rows_free(rows);
        if (code == ERR_OK)
            code = describe_row(postgres, name, version, described, error);
    }
    fini_values(values, 2);
    if (code == ERR_OK && !deleted)
        code =
            error_set(error, ERR_CONFLICT, "%lld workflows on %.128s version %.128s have not ended",
                      (long long)described->live, name, version);
    if (code == ERR_OK)
        code = registry_refresh(registry, postgres, name, error);
    return code;
}
