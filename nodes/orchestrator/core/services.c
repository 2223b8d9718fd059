/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/services.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/contract.h"
#include "orchestrator/core/breaker.h"

#define TIMEOUT_MS_MAX 86400000
#define WEIGHT_MAX 1000

struct reading {
    const struct source_map *map;
    struct findings *findings;
    config_lookup *lookup;
    void *context;
};

/* Members that are whole numbers; 0 stands for "none" only where it is the usual value or the least. */
static const struct number {
    const char *name;
    size_t offset;
    int64_t min, max, usual;
} numbers[] = {
    {"timeout_ms", offsetof(struct service, timeout_ms), 1, TIMEOUT_MS_MAX, 0},
    {"failure_rate_threshold", offsetof(struct service, failure_rate_threshold), 1, 100, 50},
    {"slow_call_rate_threshold", offsetof(struct service, slow_call_rate_threshold), 1, 100, 100},
    {"slow_call_duration_threshold_ms", offsetof(struct service, slow_call_ms), 1, TIMEOUT_MS_MAX,
     60000},
    {"minimum_number_of_calls", offsetof(struct service, minimum_calls), 1, BREAKER_WINDOW_MAX, 20},
    {"sliding_window_size", offsetof(struct service, window_calls), 1, BREAKER_WINDOW_MAX, 50},
    {"wait_duration_in_open_state_ms", offsetof(struct service, open_ms), 1, TIMEOUT_MS_MAX, 10000},
    {"release_interval_ms", offsetof(struct service, round_ms), 0, 60000, 250},
    {"max_concurrent_calls", offsetof(struct service, concurrency), 0, 100000, 0},
    {"rate_limit_per_second", offsetof(struct service, rate_per_second), 0, 1000000, 0},
    {"held_steps_max", offsetof(struct service, held_max), 0, 10000000, SERVICE_HELD_MAX},
};
#define NUMBERS (sizeof numbers / sizeof *numbers)

static const char *const members[] = {
    "base_url_variable",           "base_url", "api_key_variable", "when_open", "namespace_weights",
    "hold_counts_toward_deadline", NULL};

static bool is_member(const char *name)
{
    for (int m = 0; members[m] != NULL; m++)
        if (strcmp(members[m], name) == 0)
            return true;
    for (size_t n = 0; n < NUMBERS; n++)
        if (strcmp(numbers[n].name, name) == 0)
            return true;
    return false;
}

static void check_members(const struct reading *reading, const struct json *entry,
                          const char *pointer)
{
    struct buffer known = {0};
    for (int m = 0; members[m] != NULL; m++)
        buffer_append_format(&known, "%s, ", members[m]);
    for (size_t n = 0; n < NUMBERS; n++)
        buffer_append_format(&known, "%s%s", n == 0 ? "" : ", ", numbers[n].name);
    for (size_t i = 0; i < json_size(entry); i++) {
        const char *name = json_name_at(entry, i, NULL);
        if (!is_member(name))
            finding_add(reading->findings, FINDING_ERROR, reading->map, pointer,
                        "SERVICE_UNKNOWN_FIELD", "field %s is not known here; known are %s", name,
                        buffer_text(&known));
    }
    buffer_fini(&known);
}

static void read_numbers(const struct reading *reading, struct service *service,
                         const struct json *entry, const char *pointer)
{
    for (size_t n = 0; n < NUMBERS; n++) {
        const struct number *number = &numbers[n];
        const struct json *member = json_get(entry, number->name);
        int64_t value = member == NULL ? number->usual : json_int_value(member);
        if (member != NULL && (!json_is_int(member) || value < number->min || value > number->max))
            finding_add(reading->findings, FINDING_ERROR, reading->map, pointer,
                        strcmp(number->name, "timeout_ms") == 0 ? "SERVICE_TIMEOUT"
                                                                : "SERVICE_NUMBER",
                        "%s must be a whole number from %lld to %lld", number->name,
                        (long long)number->min, (long long)number->max);
        memcpy((char *)service + number->offset, &value, sizeof value);
    }
    if (service->minimum_calls > service->window_calls)
        finding_add(reading->findings, FINDING_ERROR, reading->map, pointer, "SERVICE_NUMBER",
                    "minimum_number_of_calls (%lld) must not be larger than sliding_window_size "
                    "(%lld)",
                    (long long)service->minimum_calls, (long long)service->window_calls);
}

static void read_weights(const struct reading *reading, struct service *service,
                         const struct json *weights, const char *pointer)
{
    size_t count = json_size(weights);
    if (weights != NULL && json_type_of(weights) != JSON_OBJECT)
        finding_add(reading->findings, FINDING_ERROR, reading->map, pointer, "SERVICE_WEIGHTS",
                    "namespace_weights must be an object: a weight for each namespace");
    if (json_type_of(weights) != JSON_OBJECT || count == 0)
        return;
    service->weights = must_calloc(count, sizeof *service->weights);
    for (size_t i = 0; i < count; i++) {
        const struct json *weight = json_member_at(weights, i);
        const char *namespace = json_name_at(weights, i, NULL);
        int64_t value = json_int_value(weight);
        if (!json_is_int(weight) || value < 1 || value > WEIGHT_MAX)
            finding_add(reading->findings, FINDING_ERROR, reading->map, pointer, "SERVICE_WEIGHTS",
                        "the weight of %s must be a whole number from 1 to %d", namespace,
                        WEIGHT_MAX);
        service->weights[service->weights_count++] =
            (struct service_weight){must_strdup(namespace), value};
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
    read_numbers(reading, service, entry, pointer);
    read_weights(reading, service, json_get(entry, "namespace_weights"), pointer);
    const struct json *counts = json_get(entry, "hold_counts_toward_deadline");
    service->hold_counts = json_type_of(counts) == JSON_TRUE;
    if (counts != NULL && !service->hold_counts && json_type_of(counts) != JSON_FALSE)
        finding_add(reading->findings, FINDING_ERROR, reading->map, pointer, "SERVICE_HOLD_COUNTS",
                    "hold_counts_toward_deadline must be true or false");
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
    if (json_type_of(entries) != JSON_OBJECT) {
        finding_add(findings, FINDING_ERROR, map, "", "SERVICES_MISSING",
                    "the file needs an object named services");
        entries = NULL;
    }
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
        for (int w = 0; w < services->items[i].weights_count; w++)
            free(services->items[i].weights[w].namespace);
        free(services->items[i].weights);
    }
    free(services->items);
    free(services);
}

int64_t service_weight(const struct service *service, const char *namespace)
{
    for (int i = 0; i < service->weights_count; i++)
        if (strcmp(service->weights[i].namespace, namespace) == 0)
            return service->weights[i].weight;
    return 1;
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
