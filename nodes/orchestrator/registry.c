/* SPDX-License-Identifier: MIT */
#include "orchestrator/registry.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "io/contract_files.h"
#include "io/log.h"

struct registry {
    pthread_mutex_t lock;
    struct services *services;
    struct contract_files files; /* of the directory; their contracts pass to `items` */
    const struct contract **items;
    size_t count, capacity;
    size_t offered; /* the first so many are of the directory, the rest older versions */
};

static void add(struct registry *registry, const struct contract *contract)
{
    if (registry->count == registry->capacity) {
        registry->capacity = registry->capacity == 0 ? 16 : registry->capacity * 2;
        registry->items =
            must_realloc(registry->items, registry->capacity * sizeof *registry->items);
    }
    registry->items[registry->count++] = contract;
}

static struct services *read_services(const char *directory, struct buffer *faults)
{
    struct buffer path = {0};
    struct findings findings = {0};
    struct services *services = NULL;
    size_t bytes;
    char *text = contract_directory_read(directory, "services.yaml", &path, &bytes, &findings);
    if (text != NULL)
        services = services_parse(buffer_text(&path), text, bytes, config_getenv, NULL, &findings);
    findings_write(&findings, faults);
    findings_fini(&findings);
    buffer_fini(&path);
    free(text);
    return services;
}

/* Every service that a contract names must be one of services.yaml. */
static void check_services(const struct registry *registry, const struct contract *contract,
                           struct buffer *faults)
{
    for (size_t i = 0; i < json_size(contract->services); i++) {
        const char *name = json_string_or(json_at(contract->services, i), "");
        if (services_index(registry->services, name) < 0)
            buffer_append_format(faults, "contract %s: service %s is not in services.yaml\n",
                                 contract->name, name);
    }
}

enum error_code registry_open(struct registry **out, const char *directory, struct buffer *faults)
{
    struct registry *registry = must_calloc(1, sizeof *registry);
    struct findings findings = {0};
    struct error error = {0};
    pthread_mutex_init(&registry->lock, NULL);
    registry->services = read_services(directory, faults);
    if (contract_files_load(directory, &registry->files, &findings, &error) != ERR_OK &&
        findings.errors == 0)
        buffer_append_format(faults, "%s\n", error.text);
    if (findings.errors > 0)
        findings_write(&findings, faults);
    findings_fini(&findings);
    for (size_t i = 0; i < registry->files.count; i++) {
        add(registry, registry->files.items[i]);
        if (registry->services != NULL)
            check_services(registry, registry->files.items[i], faults);
    }
    registry->offered = registry->count;
    if (faults->bytes > 0) {
        registry_free(registry);
        return ERR_CONFIG;
    }
    *out = registry;
    return ERR_OK;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL)
        return;
    for (size_t i = registry->offered; i < registry->count; i++)
        contract_free((struct contract *)(uintptr_t)registry->items[i]);
    contract_files_fini(&registry->files);
    services_free(registry->services);
    free(registry->items);
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}

const struct services *registry_services(const struct registry *registry)
{
    return registry->services;
}

/* A plain state machine has no head: its name is in the file's name. */
static void file_name(const struct contract *contract, struct buffer *name)
{
    bool plain = json_get(contract->document, "state_machine") == NULL;
    buffer_append_format(name, "%s%s", contract->name, plain ? ".asl.json" : ".json");
}

static enum error_code store_one(struct postgres *postgres, const struct contract *contract,
                                 struct error *error)
{
    static const char sql[] =
        "WITH given AS (INSERT INTO contracts (name, version, file, content, content_sha256) "
        "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING content_sha256) "
        "SELECT content_sha256 FROM given UNION ALL "
        "SELECT content_sha256 FROM contracts WHERE name = $1 AND version = $2";
    struct postgres_value values[5] = {{0}};
    struct postgres_rows *rows = NULL;
    struct buffer file = {0};
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char *content = json_to_text(contract->document);
    SHA256((const unsigned char *)content, strlen(content), hash);
    file_name(contract, &file);
    postgres_set_string(&values[0], contract->name);
    postgres_set_string(&values[1], contract->version);
    postgres_set_string(&values[2], buffer_text(&file));
    postgres_set_string(&values[3], content);
    postgres_set_bytea(&values[4], hash, sizeof hash);
    enum error_code code = postgres_query(postgres, sql, values, 5, &rows, error);
    if (code == ERR_OK && postgres_rows_count(rows) > 0) {
        size_t bytes;
        const char *stored = postgres_rows_text(rows, 0, 0, &bytes);
        if (bytes != sizeof hash || memcmp(stored, hash, bytes) != 0)
            code = error_set(error, ERR_CONFIG,
                             "contract %s version %s differs from the one already used under this "
                             "version; give it a higher version",
                             contract->name, contract->version);
    }
    postgres_rows_free(rows);
    for (int i = 0; i < 5; i++)
        postgres_value_fini(&values[i]);
    buffer_fini(&file);
    free(content);
    return code;
}

enum error_code registry_store(struct registry *registry, struct postgres *postgres,
                               struct error *error)
{
    enum error_code code = ERR_OK;
    for (size_t i = 0; i < registry->offered && code == ERR_OK; i++)
        code = store_one(postgres, registry->items[i], error);
    return code;
}

static const struct contract *find(const struct registry *registry, const char *name,
                                   const char *version)
{
    for (size_t i = 0; i < registry->count; i++)
        if (strcmp(registry->items[i]->name, name) == 0 &&
            strcmp(registry->items[i]->version, version) == 0)
            return registry->items[i];
    return NULL;
}

static enum error_code read_version(struct postgres *postgres, const char *name,
                                    const char *version, struct contract **contract,
                                    struct error *error)
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
        char *file = must_strndup(postgres_rows_text(rows, 0, 0, &file_bytes), file_bytes);
        *contract = contract_parse(file, content, bytes, &findings);
        findings_fini(&findings);
        free(file);
    }
    postgres_rows_free(rows);
    for (int i = 0; i < 2; i++)
        postgres_value_fini(&values[i]);
    return code;
}

enum error_code registry_version(struct registry *registry, struct postgres *postgres,
                                 const char *name, const char *version,
                                 const struct contract **contract, struct error *error)
{
    pthread_mutex_lock(&registry->lock);
    *contract = find(registry, name, version);
    pthread_mutex_unlock(&registry->lock);
    if (*contract != NULL || postgres == NULL)
        return ERR_OK;
    struct contract *older = NULL;
    enum error_code code = read_version(postgres, name, version, &older, error);
    pthread_mutex_lock(&registry->lock);
    *contract = find(registry, name, version); /* another thread may have read it meanwhile */
    if (*contract == NULL && older != NULL) {
        add(registry, older);
        *contract = older;
        older = NULL;
    }
    pthread_mutex_unlock(&registry->lock);
    contract_free(older);
    return code;
}

const struct contract *registry_newest(struct registry *registry, const char *name)
{
    const struct contract *newest = NULL;
    for (size_t i = 0; i < registry->offered; i++) {
        const struct contract *contract = registry->files.items[i];
        if (strcmp(contract->name, name) == 0 &&
            (newest == NULL || contract_version_compare(contract->version, newest->version) > 0))
            newest = contract;
    }
    return newest;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct contract *const *)a)->name,
                  (*(const struct contract *const *)b)->name);
}

const struct contract **registry_list(struct registry *registry, size_t *count)
{
    const struct contract **list = must_calloc(registry->offered + 1, sizeof *list);
    *count = 0;
    for (size_t i = 0; i < registry->offered; i++)
        if (registry_newest(registry, registry->files.items[i]->name) == registry->files.items[i])
            list[(*count)++] = registry->files.items[i];
    qsort(list, *count, sizeof *list, by_name);
    return list;
}
