/* SPDX-License-Identifier: MIT */
#include "orchestrator/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/metrics.h"
#include "io/contract_files.h"
#include "io/log.h"
#include "orchestrator/registry_internal.h"

#define PARSE_STACK_BYTES (8u << 20)

const char *registry_source_name(enum registry_source source)
{
    return source == REGISTRY_PUBLISHED ? "published" : "file";
}

/* -- parsing -- */

static bool is_service(const char *name, void *services)
{
    return services_index(services, name) >= 0;
}

struct parsing {
    const struct registry *registry;
    const char *file, *text;
    size_t bytes;
    bool any_service;
    struct findings *findings;
    struct contract *contract;
};

static void *parse(void *context)
{
    struct parsing *parsing = context;
    parsing->contract = contract_parse_among(parsing->file, parsing->text, parsing->bytes,
                                             parsing->any_service ? NULL : is_service,
                                             parsing->registry->services, parsing->findings);
    return NULL;
}

struct contract *registry_parse(const struct registry *registry, const char *file, const char *text,
                                size_t bytes, bool any_service, struct findings *findings)
{
    struct parsing parsing = {registry, file, text, bytes, any_service, findings, NULL};
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, PARSE_STACK_BYTES);
    int failed = pthread_create(&thread, &attributes, parse, &parsing);
    pthread_attr_destroy(&attributes);
    if (failed != 0) {
        finding_add(findings, FINDING_ERROR, NULL, "", "CONTRACT_UNREADABLE",
                    "there is no thread to check %s with: %s", file, strerror(failed));
        return NULL;
    }
    pthread_join(thread, NULL);
    return parsing.contract;
}

struct contract *registry_check(const struct registry *registry, const char *file, const char *text,
                                size_t bytes, struct findings *findings)
{
    return registry_parse(registry, file, text, bytes, false, findings);
}

/* -- versions in memory -- */

static int compare(const struct registry_entry *entry, const char *name, const char *version)
{
    int order = strcmp(entry->name, name);
    if (order == 0)
        order = contract_version_compare(entry->version, version);
    return order != 0 ? order : strcmp(entry->version, version);
}

/* Index of the first entry that is not before (name, version); version NULL: behind all of the
 * name. */
static size_t lower_bound(const struct registry *registry, const char *name, const char *version)
{
    size_t from = 0, to = registry->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        const struct registry_entry *entry = registry->entries[middle];
        bool before =
            version == NULL ? strcmp(entry->name, name) <= 0 : compare(entry, name, version) < 0;
        if (before)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

struct registry_entry *registry_find(const struct registry *registry, const char *name,
                                     const char *version)
{
    size_t at = lower_bound(registry, name, version);
    return at < registry->count && compare(registry->entries[at], name, version) == 0
               ? registry->entries[at]
               : NULL;
}

static bool is_callable(const struct registry *registry, const struct contract *contract)
{
    for (size_t i = 0; i < json_size(contract->services); i++)
        if (!is_service(json_string_or(json_at(contract->services, i), ""), registry->services))
            return false;
    return true;
}

static struct registry_entry *insert(struct registry *registry, const char *name,
                                     const char *version)
{
    size_t at = lower_bound(registry, name, version);
    if (registry->count == registry->capacity) {
        registry->capacity = registry->capacity == 0 ? 16 : registry->capacity * 2;
        registry->entries = must_realloc(registry->entries, registry->capacity * sizeof(void *));
    }
    memmove(registry->entries + at + 1, registry->entries + at,
            (registry->count - at) * sizeof(void *));
    struct registry_entry *entry = must_calloc(1, sizeof *entry);
    entry->name = must_strdup(name);
    entry->version = must_strdup(version);
    registry->entries[at] = entry;
    registry->count++;
    return entry;
}

struct registry_entry *registry_adopt(struct registry *registry, const char *name,
                                      const char *version, struct contract *contract)
{
    struct registry_entry *entry = registry_find(registry, name, version);
    if (entry == NULL)
        entry = insert(registry, name, version);
    if (entry->contract == NULL && contract != NULL) {
        entry->contract = contract;
        entry->callable = is_callable(registry, contract);
    } else {
        contract_free(contract);
    }
    return entry;
}

bool registry_is_offered(const struct registry_entry *entry)
{
    return entry->contract != NULL && entry->callable && entry->deleted_us == 0 &&
           (entry->in_files || entry->source == REGISTRY_PUBLISHED);
}

size_t registry_count_offered(struct registry *registry)
{
    size_t offered = 0;
    pthread_rwlock_rdlock(&registry->lock);
    for (size_t i = 0; i < registry->count; i++)
        offered += registry_is_offered(registry->entries[i]);
    pthread_rwlock_unlock(&registry->lock);
    metrics_gauge_set(METRIC_CONTRACTS_OFFERED, 0, 0, (double)offered);
    return offered;
}

/* -- the files of the directory -- */

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

static void files_free(struct registry *registry)
{
    for (size_t i = 0; i < registry->files_count; i++)
        free(registry->files[i].path);
    free(registry->files);
}

static struct registry_entry *entry_of_file(const struct registry *registry, const char *path)
{
    for (size_t i = 0; i < registry->files_count; i++)
        if (strcmp(registry->files[i].path, path) == 0)
            return registry->files[i].entry;
    return NULL;
}

/* Takes the contracts over; a file without one keeps what came of it before. */
static void take_files(struct registry *registry, struct contract_files *loaded)
{
    struct registry_file *files = must_calloc(loaded->count + 1, sizeof *files);
    pthread_rwlock_wrlock(&registry->lock);
    for (size_t i = 0; i < loaded->count; i++) {
        struct contract *contract = loaded->items[i].contract;
        files[i].path = must_strdup(loaded->items[i].path);
        files[i].entry = contract == NULL ? entry_of_file(registry, files[i].path)
                                          : registry_adopt(registry, contract->name,
                                                           contract->version, contract);
        loaded->items[i].contract = NULL;
    }
    for (size_t i = 0; i < registry->count; i++)
        registry->entries[i]->in_files = false;
    for (size_t i = 0; i < loaded->count; i++)
        if (files[i].entry != NULL)
            files[i].entry->in_files = true;
    pthread_rwlock_unlock(&registry->lock);
    files_free(registry);
    registry->files = files;
    registry->files_count = loaded->count;
}

static enum error_code load_files(struct registry *registry, struct contract_files *files,
                                  struct findings *findings, struct error *error)
{
    return contract_files_load(registry->directory, registry->services == NULL ? NULL : is_service,
                               registry->services, files, findings, error);
}

enum error_code registry_open(struct registry **out, const char *directory, struct buffer *faults)
{
    struct registry *registry = must_calloc(1, sizeof *registry);
    struct contract_files files = {0};
    struct findings findings = {0};
    struct error error = {0};
    pthread_rwlock_init(&registry->lock, NULL);
    registry->directory = must_strdup(directory);
    registry->services = read_services(directory, faults);
    if (load_files(registry, &files, &findings, &error) != ERR_OK)
        buffer_append_format(faults, "%s\n", error.text);
    if (findings.errors > 0)
        findings_write(&findings, faults);
    findings_fini(&findings);
    bool fine = faults->bytes == 0;
    if (fine)
        take_files(registry, &files);
    contract_files_fini(&files);
    if (!fine) {
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
    for (size_t i = 0; i < registry->count; i++) {
        struct registry_entry *entry = registry->entries[i];
        contract_free((struct contract *)(uintptr_t)entry->contract);
        free(entry->name);
        free(entry->version);
        free(entry);
    }
    files_free(registry);
    services_free(registry->services);
    free(registry->entries);
    free(registry->directory);
    pthread_rwlock_destroy(&registry->lock);
    free(registry);
}

/* A version that was deleted comes back by publishing it, not by its file. */
static void tell_deleted(struct registry *registry)
{
    pthread_rwlock_rdlock(&registry->lock);
    for (size_t i = 0; i < registry->files_count; i++) {
        const struct registry_entry *entry = registry->files[i].entry;
        if (entry != NULL && entry->deleted_us != 0)
            log_warning("contract version was deleted and is not offered, though its file is there",
                        LOG_TEXT("contract", entry->name), LOG_TEXT("version", entry->version),
                        LOG_TEXT("file", registry->files[i].path));
    }
    pthread_rwlock_unlock(&registry->lock);
}

enum error_code registry_store(struct registry *registry, struct postgres *postgres,
                               struct error *error)
{
    enum error_code code = ERR_OK;
    for (size_t i = 0; i < registry->files_count && code == ERR_OK; i++)
        code = registry_store_file(postgres, registry->files[i].entry->contract, error);
    if (code == ERR_OK)
        code = registry_refresh(registry, postgres, NULL, error);
    if (code == ERR_OK)
        tell_deleted(registry);
    return code;
}

/* Each loaded contract to the database; refuses one whose version is there with other content. */
static enum error_code store_loaded(struct contract_files *files, struct postgres *postgres,
                                    struct findings *findings, struct error *error)
{
    for (size_t i = 0; i < files->count; i++) {
        struct contract_file *file = &files->items[i];
        if (file->contract == NULL)
            continue;
        enum error_code code = registry_store_file(postgres, file->contract, error);
        if (code == ERR_CONFIG) {
            struct source_map *map = source_map_new(file->path);
            finding_add(findings, FINDING_ERROR, map, "", "CONTRACT_VERSION_DIFFERS", "%s",
                        error->text);
            source_map_free(map);
            contract_free(file->contract);
            file->contract = NULL;
        } else if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

enum error_code registry_reload(struct registry *registry, struct postgres *postgres,
                                struct findings *findings, struct error *error)
{
    struct contract_files files = {0};
    enum error_code code = load_files(registry, &files, findings, error);
    if (code == ERR_OK)
        code = store_loaded(&files, postgres, findings, error);
    if (code == ERR_OK) {
        take_files(registry, &files);
        code = registry_refresh(registry, postgres, NULL, error);
        tell_deleted(registry);
    }
    contract_files_fini(&files);
    return code;
}

/* -- look-ups -- */

const struct services *registry_services(const struct registry *registry)
{
    return registry->services;
}

const struct contract *registry_newest(struct registry *registry, const char *name)
{
    const struct contract *newest = NULL;
    pthread_rwlock_rdlock(&registry->lock);
    for (size_t i = lower_bound(registry, name, NULL); newest == NULL && i > 0; i--) {
        const struct registry_entry *entry = registry->entries[i - 1];
        if (strcmp(entry->name, name) != 0)
            break;
        if (registry_is_offered(entry) && !contract_version_is_prerelease(entry->version))
            newest = entry->contract;
    }
    pthread_rwlock_unlock(&registry->lock);
    return newest;
}

const struct contract *registry_offered(struct registry *registry, const char *name,
                                        const char *version)
{
    pthread_rwlock_rdlock(&registry->lock);
    const struct registry_entry *entry = registry_find(registry, name, version);
    const struct contract *contract =
        entry != NULL && registry_is_offered(entry) ? entry->contract : NULL;
    pthread_rwlock_unlock(&registry->lock);
    return contract;
}

struct registry_version *registry_list(struct registry *registry, const char *name, size_t *count)
{
    pthread_rwlock_rdlock(&registry->lock);
    struct registry_version *list = must_calloc(registry->count + 1, sizeof *list);
    *count = 0;
    for (size_t first = 0, next; first < registry->count; first = next) {
        const char *of = registry->entries[first]->name;
        next = lower_bound(registry, of, NULL);
        for (size_t i = next; (name == NULL || strcmp(name, of) == 0) && i > first; i--) {
            const struct registry_entry *entry = registry->entries[i - 1];
            if (registry_is_offered(entry))
                list[(*count)++] = (struct registry_version){.contract = entry->contract,
                                                             .source = entry->source,
                                                             .created_us = entry->created_us,
                                                             .offered = true};
        }
    }
    pthread_rwlock_unlock(&registry->lock);
    return list;
}
