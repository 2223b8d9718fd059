/* SPDX-License-Identifier: MIT */
#include "core/event_routes.h"

#include <stdlib.h>
#include <string.h>

#include "core/contract.h"

static int by_type(const void *a, const void *b)
{
    return strcmp(((const struct event_route *)a)->type, ((const struct event_route *)b)->type);
}

static char *expand(const char *topic, const char *environment)
{
    struct buffer out = {0};
    for (const char *mark; (mark = strstr(topic, "{env}")) != NULL; topic = mark + 5) {
        buffer_append(&out, topic, (size_t)(mark - topic));
        buffer_append_text(&out, environment);
    }
    buffer_append_text(&out, topic);
    return buffer_take(&out);
}

static bool is_topic(const char *topic)
{
    size_t bytes = strlen(topic);
    return bytes > 0 && bytes <= TOPIC_BYTES_MAX && strcmp(topic, ".") != 0 &&
           strcmp(topic, "..") != 0 &&
           strspn(topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               bytes;
}

static void read_route(struct event_routes *routes, const char *type, const struct json *value,
                       const char *environment, const struct source_map *map,
                       struct findings *findings)
{
    char *topic = expand(json_string_or(value, ""), environment);
    if (!is_topic(topic))
        finding_add(findings, FINDING_ERROR, map, "/routes", "ROUTE_TOPIC",
                    "the topic of %s is %s; it must be 1 to 249 characters of A-Z a-z 0-9 . _ -, "
                    "not only . or ..",
                    type, topic);
    routes->items[routes->count++] = (struct event_route){must_strdup(type), topic};
}

struct event_routes *event_routes_parse(const char *file, const char *text, size_t bytes,
                                        const char *environment, struct findings *findings)
{
    struct source_map *map = NULL;
    size_t errors = findings->errors;
    struct json *document = yaml_parse(file, text, bytes, &map, findings);
    if (document == NULL) {
        source_map_free(map);
        return NULL;
    }
    const struct json *entries = json_get(document, "routes");
    if (json_type_of(entries) != JSON_OBJECT) {
        finding_add(findings, FINDING_ERROR, map, "", "ROUTES_MISSING",
                    "the file needs an object named routes");
        entries = NULL;
    }
    struct event_routes *routes = must_calloc(1, sizeof *routes);
    routes->items = must_calloc(json_size(entries) + 1, sizeof *routes->items);
    for (size_t i = 0; i < json_size(entries); i++)
        read_route(routes, json_name_at(entries, i, NULL), json_member_at(entries, i), environment,
                   map, findings);
    qsort(routes->items, routes->count, sizeof *routes->items, by_type);
    source_map_free(map);
    json_release(document);
    if (findings->errors > errors) {
        event_routes_free(routes);
        return NULL;
    }
    return routes;
}

void event_routes_free(struct event_routes *routes)
{
    if (routes == NULL)
        return;
    for (size_t i = 0; i < routes->count; i++) {
        free(routes->items[i].type);
        free(routes->items[i].topic);
    }
    free(routes->items);
    free(routes);
}

const char *event_routes_topic(const struct event_routes *routes, const char *type)
{
    struct event_route key = {.type = (char *)(uintptr_t)type};
    const struct event_route *found =
        bsearch(&key, routes->items, routes->count, sizeof *routes->items, by_type);
    return found == NULL ? NULL : found->topic;
}
