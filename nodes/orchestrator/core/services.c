/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/services.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/contract.h"

#define TIMEOUT_MS_MAX 86400000

struct reading {
    const struct source_map *map;
    struct findings *findings;
    config_lookup *lookup;
    void *context;
};

static const char *const members[] = {"base_url_variable", "base_url",  "timeout_ms",
                                      "api_key_variable",  "when_open", NULL};

static void check_members(const struct reading *reading, const struct json *entry,
                          const char *pointer)
{
    for (size_t i = 0; i < json_size(entry); i++) {
        const char *name = json_name_at(entry, i, NULL);
        bool known = false;
        for (int m = 0; members[m] != NULL; m++)
            known = known || strcmp(members[m], name) == 0;
        if (!known)
            finding_add(
                reading->findings, FINDING_ERROR, reading->map, pointer, "SERVICE_UNKNOWN_FIELD",
                "field %s is not known here; known are base_url_variable, base_url, timeout_ms, "
                "api_key_variable, when_open",
                name);
    }
}

static bool is_base_url(const char *url)
{
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    return scheme > 0 && url[scheme] != '\0' && url[scheme] != '/';
}

static char *read_base_url(const struct reading *reading, const struct json *entry,
                           const char *pointer)
{
    const char *variable = json_string_value(json_get(entry, "base_url_variable"), NULL);
    const char *url = variable == NULL ? NULL : reading->lookup(variable, reading->context);
    if (url == NULL || *url == '\0')
        url = json_string_value(json_get(entry, "base_url"), NULL);
    if (url == NULL || !is_base_url(url)) {
        finding_add(reading->findings, FINDING_ERROR, reading->map, pointer, "SERVICE_BASE_URL",
                    "the base URL %s must begin with http:// or https:// and a host (base_url, or "
                    "the variable named by "
                    "base_url_variable)",
                    url == NULL ? "(none)" : url);
        return must_strdup("");
    }
    size_t bytes = strlen(url);
    while (bytes > 0 && url[bytes - 1] == '/')
        bytes--;
    return must_strndup(url, bytes);
}

static void read_service(const struct reading *reading, struct service *service, const char *name,
                         const struct json *entry)
{
    char pointer[NAME_BYTES_MAX + 16];
    snprintf(pointer, sizeof pointer, "/services/%.*s", NAME_BYTES_MAX, name);
    service->name = must_strdup(name);
    check_members(reading, entry, pointer);
    service->base_url = read_base_url(reading, entry, pointer);
    const char *key_variable = json_string_value(json_get(entry, "api_key_variable"), NULL);
    const char *key = key_variable == NULL ? NULL : reading->lookup(key_variable, reading->context);
    service->api_key = key == NULL || *key == '\0' ? NULL : must_strdup(key);
    const struct json *timeout = json_get(entry, "timeout_ms");
    service->timeout_ms = json_int_value(timeout);
    if (timeout != NULL &&
        (!json_is_int(timeout) || service->timeout_ms < 1 || service->timeout_ms > TIMEOUT_MS_MAX))
        finding_add(reading->findings, FINDING_ERROR, reading->map, pointer, "SERVICE_TIMEOUT",
                    "timeout_ms must be a whole number from 1 to %d", TIMEOUT_MS_MAX);
    const struct json *choice = json_get(entry, "when_open");
    const char *when_open =
        choice == NULL ? "hold" : json_string_or(choice, json_type_name(choice));
    service->hold_when_open = strcmp(when_open, "hold") == 0;
    if (!service->hold_when_open && strcmp(when_open, "fail") != 0)
        finding_add(reading->findings, FINDING_ERROR, reading->map, pointer, "SERVICE_WHEN_OPEN",
                    "when_open is %s; it must be hold or fail", when_open);
}

struct services *services_parse(const char *file, const char *text, size_t bytes,
                                config_lookup *lookup, void *context, struct findings *findings)
{
    struct source_map *map = NULL;
    size_t errors = findings->errors;
    struct json *document = yaml_parse(file, text, bytes, &map, findings);
    if (document == NULL) {
        source_map_free(map);
        return NULL;
    }
    const struct json *entries = json_get(document, "services");
    struct services *services = must_calloc(1, sizeof *services);
    if (json_type_of(entries) != JSON_OBJECT)
        finding_add(findings, FINDING_ERROR, map, "", "SERVICES_MISSING",
                    "the file needs an object named services");
    services->items = must_calloc(json_size(entries) + 1, sizeof *services->items);
    struct reading reading = {map, findings, lookup, context};
    for (size_t i = 0; i < json_size(entries); i++)
        read_service(&reading, &services->items[services->count++], json_name_at(entries, i, NULL),
                     json_member_at(entries, i));
    source_map_free(map);
    json_release(document);
    if (findings->errors > errors) {
        services_free(services);
        return NULL;
    }
    return services;
}

void services_free(struct services *services)
{
    if (services == NULL)
        return;
    for (int i = 0; i < services->count; i++) {
        free(services->items[i].name);
        free(services->items[i].base_url);
        free(services->items[i].api_key);
    }
    free(services->items);
    free(services);
}

int services_index(const struct services *services, const char *name)
{
    for (int i = 0; i < services->count; i++)
        if (strcmp(services->items[i].name, name) == 0)
            return i;
    return -1;
}

int services_index_of_url(const struct services *services, const char *url)
{
    int found = -1;
    size_t longest = 0;
    for (int i = 0; i < services->count; i++) {
        size_t bytes = strlen(services->items[i].base_url);
        bool fits = strncmp(services->items[i].base_url, url, bytes) == 0 &&
                    (url[bytes] == '/' || url[bytes] == '?' || url[bytes] == '\0');
        if (fits && bytes > longest) {
            found = i;
            longest = bytes;
        }
    }
    return found;
}
