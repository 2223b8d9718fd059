/* SPDX-License-Identifier: MIT */
#include "audit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "base/text_hash.h"
#include "orchestrator/core/workflow.h"

/* -- lines of JSON -- */

typedef enum error_code on_line(struct audit *audit, const struct json *line, struct error *error);

static enum error_code read_lines(struct audit *audit, const char *path, on_line *take,
                                  struct error *error)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (file == NULL)
        return error_set(error, ERR_NOT_FOUND, "%s cannot be read: %s", path, strerror(errno));
    enum error_code code = ERR_OK;
    char *text = NULL;
    size_t capacity = 0;
    int64_t number = 0;
    for (ssize_t bytes; !code && (bytes = getline(&text, &capacity, file)) >= 0;) {
        struct error fault = {0};
        struct json_position position;
        number++;
        if (text[0] == '\n')
            continue;
        struct json *line = json_parse(text, (size_t)bytes, &fault, &position);
        code = line ? take(audit, line, &fault) : ERR_INVALID;
        if (code)
            error_set(error, code, "%s, line %lld: %s", path, (long long)number, fault.text);
        json_release(line);
    }
    if (!code && ferror(file))
        code = error_set(error, ERR_INTERNAL, "%s cannot be read to its end", path);
    free(text);
    if (file != stdin)
        fclose(file);
    return code;
}

/* -- the ledger -- */

static struct audit_entry *push_entry(struct audit_ledger *ledger)
{
    if (ledger->count == ledger->capacity) {
        ledger->capacity = ledger->capacity ? ledger->capacity * 2 : 1024;
        ledger->entries = must_realloc(ledger->entries, ledger->capacity * sizeof *ledger->entries);
    }
    struct audit_entry *entry = &ledger->entries[ledger->count++];
    memset(entry, 0, sizeof *entry);
    return entry;
}

static uint64_t hash_key(uint64_t namespace, const char *key, size_t bytes)
{
    uint64_t hash = XXH3_64bits_withSeed(key, bytes, namespace);
    return hash ? hash : 1;
}

/* One submission as its client knows it; `namespace` is of the line around it, or NULL. */
static enum error_code take_entry(struct audit *audit, const struct json *line,
                                  const struct json *namespace, struct error *error)
{
    struct audit_ledger *ledger = &audit->ledger;
    size_t id_bytes = 0, bytes = 0;
    struct uuid id;
    const char *id_text = json_string_value(json_get(line, "workflow_id"), &id_bytes);
    if (json_get(line, "namespace"))
    namespace = json_get(line, "namespace");
    if (id_text == NULL)
        return ERR_OK; /* a submission that was not accepted */
    if (!uuid_parse(id_text, id_bytes, &id))
        return error_set(error, ERR_INVALID, "workflow_id is no UUID");
    if (ledger->count >= AUDIT_LEDGER_LINES_MAX)
        return error_set(error, ERR_LIMIT, "more than %d lines", AUDIT_LEDGER_LINES_MAX);
    struct audit_entry *entry = push_entry(ledger);
    const char *text = json_string_value(namespace, &bytes);
    entry->id = id;
    entry->namespace = text ? text_hash(text, bytes) : 0;
    text = json_string_value(json_get(line, "key"), &bytes);
    entry->key = text ? hash_key(entry->namespace, text, bytes) : 0;
    enum workflow_state state = workflow_state_of_name(json_string_or(json_get(line, "state"), ""));
    entry->state = workflow_state_ended(state) ? (uint8_t)state : WORKFLOW_NONE;
    return ERR_OK;
}

/* A line may also be what `bridgectl submit --json` printed: many workflows of one namespace. */
static enum error_code take_line(struct audit *audit, const struct json *line, struct error *error)
{
    const struct json *many = json_get(line, "workflows");
    enum error_code code = ERR_OK;
    audit->ledger.lines++;
    if (many == NULL)
        return take_entry(audit, line, NULL, error);
    for (size_t i = 0; i < json_size(many) && !code; i++)
        code = take_entry(audit, json_at(many, i), json_get(line, "namespace"), error);
    return code;
}

static int by_key(const void *a, const void *b)
{
    const struct audit_entry *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return memcmp(&x->id, &y->id, sizeof x->id);
}

/* Of one workflow, the line that was told its end comes last. */
static int by_id(const void *a, const void *b)
{
    const struct audit_entry *x = a, *y = b;
    int order = memcmp(&x->id, &y->id, sizeof x->id);
    return order ? order : x->state - y->state;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void find_doubled_keys(struct audit *audit)
{
    struct audit_ledger *ledger = &audit->ledger;
    qsort(ledger->entries, ledger->count, sizeof *ledger->entries, by_key);
    for (size_t i = 1; i < ledger->count; i++) {
        const struct audit_entry *before = &ledger->entries[i - 1], *entry = &ledger->entries[i];
        char text[UUID_TEXT_BYTES], other[UUID_TEXT_BYTES];
        if (entry->key && entry->key == before->key && !uuid_equal(&entry->id, &before->id))
            audit_found(audit, AUDIT_DOUBLED, 1, "the same key gave the workflows %s and %s",
                        uuid_format(&before->id, other), uuid_format(&entry->id, text));
    }
}

/* Each workflow once, and the namespaces that occur. */
static void close_up(struct audit *audit)
{
    struct audit_ledger *ledger = &audit->ledger;
    size_t count = 0;
    qsort(ledger->entries, ledger->count, sizeof *ledger->entries, by_id);
    for (size_t i = 0; i < ledger->count; i++) {
        if (i + 1 < ledger->count && uuid_equal(&ledger->entries[i].id, &ledger->entries[i + 1].id))
            continue;
        ledger->entries[count++] = ledger->entries[i];
    }
    ledger->count = count;
    ledger->namespaces = must_calloc(count + 1, sizeof *ledger->namespaces);
    for (size_t i = 0; i < count; i++)
        ledger->namespaces[i] = ledger->entries[i].namespace;
    qsort(ledger->namespaces, count, sizeof *ledger->namespaces, by_value);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || ledger->namespaces[i] != ledger->namespaces[i - 1])
            ledger->namespaces[ledger->namespaces_count++] = ledger->namespaces[i];
}

enum error_code audit_read_ledger(struct audit *audit, const char *path, struct error *error)
{
    audit->has_ledger = true;
    enum error_code code = read_lines(audit, path, take_line, error);
    if (!code && audit->ledger.count > 0) {
        find_doubled_keys(audit);
        close_up(audit);
    }
    return code;
}

struct audit_entry *audit_ledger_find(struct audit *audit, const struct uuid *id)
{
    size_t low = 0, high = audit->ledger.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct audit_entry *entry = &audit->ledger.entries[middle];
        int order = memcmp(&entry->id, id, sizeof *id);
        if (order == 0)
            return entry;
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

bool audit_ledger_knows_namespace(const struct audit *audit, const char *namespace, size_t bytes)
{
    uint64_t hash = text_hash(namespace, bytes);
    return audit->ledger.namespaces_count > 0 &&
           bsearch(&hash, audit->ledger.namespaces, audit->ledger.namespaces_count, sizeof hash,
                   by_value) != NULL;
}

void audit_ledger_close(struct audit *audit)
{
    for (size_t i = 0; i < audit->ledger.count; i++) {
        const struct audit_entry *entry = &audit->ledger.entries[i];
        char text[UUID_TEXT_BYTES];
        if (entry->seen)
            continue;
        if (uuid_v7_ms(&entry->id) < audit->oldest_ms)
            audit->ledger_pruned++;
        else
            audit_found(audit, AUDIT_LOST, 1, "workflow %s was accepted and is not there",
                        uuid_format(&entry->id, text));
    }
}

void audit_ledger_fini(struct audit_ledger *ledger)
{
    free(ledger->entries);
    free(ledger->namespaces);
}

/* -- what was done to it -- */

static enum error_code take_fault(struct audit *audit, const struct json *line, struct error *error)
{
    size_t bytes = 0;
    int64_t at_us;
    const char *at = json_string_value(json_get(line, "at"), &bytes);
    if (at == NULL || !instant_parse(at, bytes, &at_us))
        return error_set(error, ERR_INVALID, "at is no time such as 2026-03-01T12:00:00Z");
    if (audit->faults_count >= AUDIT_FAULTS_MAX)
        return error_set(error, ERR_LIMIT, "more than %d lines", AUDIT_FAULTS_MAX);
    if (audit->faults_count == audit->faults_capacity) {
        audit->faults_capacity = audit->faults_capacity ? audit->faults_capacity * 2 : 64;
        audit->faults = must_realloc(audit->faults, audit->faults_capacity * sizeof *audit->faults);
    }
    struct audit_fault *fault = &audit->faults[audit->faults_count++];
    fault->at_us = at_us;
    snprintf(fault->what, sizeof fault->what, "%s",
             json_string_or(json_get(line, "what"), "a fault"));
    return ERR_OK;
}

enum error_code audit_read_faults(struct audit *audit, const char *path, struct error *error)
{
    return read_lines(audit, path, take_fault, error);
}
