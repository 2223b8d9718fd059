/* SPDX-License-Identifier: MIT */
#include "core/contract.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/asl_lint.h"
#include "core/contract_internal.h"
#include "core/similar.h"
#include "core/source_map.h"
#include "core/task_resource.h"

/* -- semantic versions, semver.org -- */

static bool is_identifier_character(char c) { return isalnum((unsigned char)c) || c == '-'; }

/* Dotted identifiers; numeric ones without leading zeros when `strict`. Returns what follows,
 * NULL on error. */
static const char *identifiers_skip(const char *at, bool strict)
{
    for (;;) {
        const char *start = at;
        bool numeric = true;
        for (; is_identifier_character(*at); at++)
            numeric = numeric && isdigit((unsigned char)*at);
        if (at == start || (strict && numeric && at - start > 1 && *start == '0'))
            return NULL;
        if (*at != '.')
            return at;
        at++;
    }
}

bool contract_version_is_valid(const char *version)
{
    const char *at = version;
    for (int part = 0; part < 3; part++) {
        const char *start = at;
        while (isdigit((unsigned char)*at))
            at++;
        if (at == start || at - start > 9 || (at - start > 1 && *start == '0'))
            return false;
        if (part < 2 && *at++ != '.')
            return false;
    }
    if (*at == '-')
        at = identifiers_skip(at + 1, true);
    if (at && *at == '+')
        at = identifiers_skip(at + 1, false);
    return at && *at == '\0';
}

static int compare_identifiers(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    bool a_numeric = strspn(a, "0123456789") >= a_bytes,
         b_numeric = strspn(b, "0123456789") >= b_bytes;
    if (a_numeric != b_numeric)
        return a_numeric ? -1 : 1;
    if (a_numeric && a_bytes != b_bytes)
        return a_bytes < b_bytes ? -1 : 1;
    int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);
    return order ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

static int compare_prerelease(const char *a, const char *b)
{
    while (*a && *b && *a != '+' && *b != '+') {
        size_t a_bytes = strcspn(a, ".+"), b_bytes = strcspn(b, ".+");
        int order = compare_identifiers(a, a_bytes, b, b_bytes);
        if (order)
            return order;
        a += a_bytes + (a[a_bytes] == '.');
        b += b_bytes + (b[b_bytes] == '.');
    }
    bool a_more = *a && *a != '+', b_more = *b && *b != '+';
    return a_more - b_more;
}

int contract_version_compare(const char *a, const char *b)
{
    for (int part = 0; part < 3; part++) {
        char *a_end, *b_end;
        long x = strtol(a, &a_end, 10), y = strtol(b, &b_end, 10);
        if (x != y)
            return x < y ? -1 : 1;
        a = *a_end == '.' ? a_end + 1 : a_end;
        b = *b_end == '.' ? b_end + 1 : b_end;
    }
    bool a_pre = *a == '-', b_pre = *b == '-';
    if (a_pre != b_pre)
        return a_pre ? -1 : 1; /* a pre-release comes before its release */
    return a_pre ? compare_prerelease(a + 1, b + 1) : 0;
}

bool contract_version_is_prerelease(const char *version)
{
    return version[strcspn(version, "-+")] == '-';
}

/* -- the head -- */

bool contract_name_is_valid(const char *name)
{
    size_t bytes = strlen(name);
    if (bytes == 0 || bytes > NAME_BYTES_MAX || !isalnum((unsigned char)name[0]))
        return false;
    for (const char *at = name; *at; at++) {
        if (!isalnum((unsigned char)*at) && !strchr("._-", *at))
            return false;
    }
    return true;
}

static void fields_check(struct contract_loader *loader)
{
    static const char *const known[] = {
        "name",         "version", "description",   "services", "input_state",
        "output_state", "events",  "state_machine", "metadata", "verify"};
    struct buffer pointer = {0}, question = {0};
    for (size_t i = 0; i < json_size(loader->document); i++) {
        size_t bytes = 0, k = 0;
        const char *name = json_name_at(loader->document, i, &bytes);
        while (k < sizeof known / sizeof *known && strcmp(known[k], name) != 0)
            k++;
        if (k < sizeof known / sizeof *known)
            continue;
        buffer_clear(&pointer);
        pointer_append(&pointer, name, bytes);
        struct similar similar = {.name = name};
        for (k = 0; k < sizeof known / sizeof *known; k++)
            similar_try(&similar, known[k]);
        finding_add(loader->findings, FINDING_ERROR, loader->map, buffer_text(&pointer),
                    "CONTRACT_UNKNOWN_FIELD", "a contract has no field \"%s\"%s", name,
                    similar_ask(&similar, &question));
    }
    buffer_fini(&question);
    buffer_fini(&pointer);
}

static char *text_take(struct contract_loader *loader, const char *name, const char *pointer,
                       bool required)
{
    const struct json *value = json_get(loader->document, name);
    if (json_type_of(value) == JSON_STRING)
        return must_strdup(json_string_value(value, NULL));
    if (value || required)
        finding_add(loader->findings, FINDING_ERROR, loader->map, pointer, "CONTRACT_BAD_FIELD",
                    value ? "%s must be a text" : "the field %s is missing", name);
    return must_strdup("");
}

static void services_find(struct contract_loader *loader, const struct json *services)
{
    struct buffer pointer = {0};
    for (size_t i = 0; i < json_size(services); i++) {
        const char *name = json_string_or(json_at(services, i), "");
        if (loader->service_known(name, loader->service_context))
            continue;
        buffer_clear(&pointer);
        buffer_append_format(&pointer, "/services/%zu", i);
        finding_add(loader->findings, FINDING_ERROR, loader->map, buffer_text(&pointer),
                    "CONTRACT_UNKNOWN_SERVICE", "the service \"%s\" is not in services.yaml", name);
    }
    buffer_fini(&pointer);
}

static void services_check(struct contract_loader *loader)
{
    const struct json *services = json_get(loader->document, "services");
    if (!services)
        return;
    bool fine = json_type_of(services) == JSON_ARRAY;
    for (size_t i = 0; fine && i < json_size(services); i++)
        fine = contract_name_is_valid(json_string_or(json_at(services, i), ""));
    if (!fine)
        finding_add(loader->findings, FINDING_ERROR, loader->map, "/services", "CONTRACT_BAD_FIELD",
                    "services must be a list of service names");
    else
        loader->contract->services = json_hold(services);
    if (fine && loader->service_known != NULL)
        services_find(loader, services);
}

static struct schema *schema_take(struct contract_loader *loader, const char *name,
                                  const char *pointer)
{
    const struct json *document = json_get(loader->document, name);
    return document ? schema_compile(document, pointer, loader->map, loader->findings) : NULL;
}

/* -- whole contracts -- */

static bool is_text(const struct contract_loader *loader, const char *name)
{
    return json_type_of(json_get(loader->document, name)) == JSON_STRING;
}

static void head_read(struct contract_loader *loader)
{
    struct contract *contract = loader->contract;
    fields_check(loader);
    contract->name = text_take(loader, "name", "/name", true);
    contract->version = text_take(loader, "version", "/version", true);
    contract->description = text_take(loader, "description", "/description", false);
    if (is_text(loader, "name") && !contract_name_is_valid(contract->name))
        finding_add(loader->findings, FINDING_ERROR, loader->map, "/name", "CONTRACT_BAD_NAME",
                    "the name \"%s\" must be 1 to %d letters, digits, dots, - and _",
                    contract->name, NAME_BYTES_MAX);
    if (is_text(loader, "version") && (strlen(contract->version) > NAME_BYTES_MAX ||
                                       !contract_version_is_valid(contract->version)))
        finding_add(loader->findings, FINDING_ERROR, loader->map, "/version",
                    "CONTRACT_BAD_VERSION", "\"%s\" is no semantic version like 1.2.3",
                    contract->version);
    services_check(loader);
    contract->input_schema = schema_take(loader, "input_state", "/input_state");
    contract->output_schema = schema_take(loader, "output_state", "/output_state");
}

static void machine_read(struct contract_loader *loader, const struct json *definition,
                         const char *base)
{
    source_map_set_base(loader->map, base);
    if (!definition) {
        finding_add(loader->findings, FINDING_ERROR, loader->map, "", "CONTRACT_BAD_FIELD",
                    "the field state_machine is missing");
        return;
    }
    loader->contract->machine =
        asl_compile(definition, loader->map, loader->mocked ? NULL : task_resource_known, NULL,
                    loader->findings);
    loader->outline = asl_outline_new(definition, base);
    if (!loader->mocked) {
        contract_tasks_check(loader);
        asl_lint(loader->outline, loader->map, loader->findings);
    }
}

static void contract_read(struct contract_loader *loader)
{
    if (json_type_of(loader->document) != JSON_OBJECT) {
        finding_add(loader->findings, FINDING_ERROR, loader->map, "", "CONTRACT_BAD_FIELD",
                    "a contract must be an object");
        return;
    }
    head_read(loader);
    machine_read(loader, json_get(loader->document, "state_machine"), "/state_machine");
    if (!loader->mocked)
        contract_services_check(loader);
    contract_events_check(loader);
    contract_verify_check(loader);
}

static void plain_machine_read(struct contract_loader *loader, const char *file)
{
    static const char *const endings[] = {".json", ".yaml", ".yml", ".asl"};
    const char *slash = strrchr(file, '/');
    char *stem = must_strdup(slash ? slash + 1 : file);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (text_ends_with(stem, endings[i]))
            stem[strlen(stem) - strlen(endings[i])] = '\0';
    }
    loader->contract->name = stem;
    loader->contract->version = must_strdup("1.0.0");
    loader->contract->description =
        must_strdup(json_string_or(json_get(loader->document, "Comment"), ""));
    if (!loader->mocked && !contract_name_is_valid(loader->contract->name))
        finding_add(loader->findings, FINDING_ERROR, loader->map, "", "CONTRACT_BAD_NAME",
                    "the file's name \"%s\" must be 1 to %d letters, digits, dots, - and _",
                    loader->contract->name, NAME_BYTES_MAX);
    machine_read(loader, loader->document, "");
}

struct json *json_document_parse(const char *file, const char *text, size_t bytes,
                                 struct source_map **map, struct findings *findings)
{
    struct error error = {0};
    struct json_position position = {1, 1};
    struct json *document = json_parse(text, bytes, &error, &position);
    *map = source_map_new(file);
    if (document) {
        source_map_scan_json(*map, text, bytes, findings);
    } else {
        source_map_add(*map, "", position.line, position.column);
        finding_add(findings, FINDING_ERROR, *map, "", "JSON_SYNTAX", "the file is no JSON: %s",
                    error.text);
    }
    return document;
}

/* Is the document a state machine alone? */
static bool is_plain_machine(const struct contract_loader *loader, const char *file)
{
    return text_ends_with(file, ".asl.json") ||
           (loader->mocked && json_get(loader->document, "StartAt") &&
            !json_get(loader->document, "state_machine"));
}

/* `loader` says with what: mocked, service_known; the rest is filled here. */
static struct contract *parse(const char *file, const char *text, size_t bytes,
                              struct contract_loader loader, struct findings *findings)
{
    size_t errors_before = findings->errors, findings_before = findings->count;
    struct source_map *map = NULL;
    if (bytes > CONTRACT_BYTES_MAX) {
        map = source_map_new(file);
        finding_add(findings, FINDING_ERROR, map, "", "CONTRACT_TOO_LARGE",
                    "the file has %zu octets; a contract has at most %u", bytes,
                    CONTRACT_BYTES_MAX);
        source_map_free(map);
        return NULL;
    }
    struct json *document = text_ends_with(file, ".json")
                                ? json_document_parse(file, text, bytes, &map, findings)
                                : yaml_parse(file, text, bytes, &map, findings);
    struct contract *contract = must_calloc(1, sizeof *contract);
    contract->document = document;
    loader.contract = contract;
    loader.map = map;
    loader.findings = findings;
    loader.document = document;
    if (document && is_plain_machine(&loader, file))
        plain_machine_read(&loader, file);
    else if (document)
        contract_read(&loader);
    asl_outline_free(loader.outline);
    source_map_free(map);
    findings_sort(findings, findings_before);
    if (findings->errors == errors_before)
        return contract;
    contract_free(contract);
    return NULL;
}

struct contract *contract_parse(const char *file, const char *text, size_t bytes,
                                struct findings *findings)
{
    return parse(file, text, bytes, (struct contract_loader){0}, findings);
}

struct contract *contract_parse_among(const char *file, const char *text, size_t bytes,
                                      contract_service_known *known, void *context,
                                      struct findings *findings)
{
    return parse(file, text, bytes,
                 (struct contract_loader){.service_known = known, .service_context = context},
                 findings);
}

struct contract *contract_parse_for_mocks(const char *file, const char *text, size_t bytes,
                                          struct findings *findings)
{
    return parse(file, text, bytes, (struct contract_loader){.mocked = true}, findings);
}

const struct contract_event *contract_event_find(const struct contract *contract, const char *state,
                                                 const char *name)
{
    for (size_t i = 0; i < contract->declared_count; i++) {
        const struct contract_event *event = &contract->declared[i];
        if (strcmp(event->state, state) == 0 && strcmp(event->name, name) == 0)
            return event;
    }
    return NULL;
}

bool contract_output_fits(const struct contract *contract, const struct json *output,
                          struct error *error)
{
    return !contract->output_schema ||
           schema_check(contract->output_schema, output, "output", error) == ERR_OK;
}

void contract_free(struct contract *contract)
{
    if (!contract)
        return;
    free(contract->name);
    free(contract->version);
    free(contract->description);
    json_release(contract->document);
    schema_free(contract->input_schema);
    schema_free(contract->output_schema);
    json_release(contract->services);
    json_release(contract->events);
    for (size_t i = 0; i < contract->declared_count; i++)
        asl_template_free(contract->declared[i].payload);
    free(contract->declared);
    asl_machine_free(contract->machine);
    free(contract);
}
