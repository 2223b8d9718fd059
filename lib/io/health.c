/* SPDX-License-Identifier: MIT */
#include "io/health.h"

#include <stdio.h>

#include "base/instant.h"
#include "io/clock.h"

void health_component_set(struct health_component *component, const char *name, bool is_critical,
                          enum health_status status, int64_t check_us, const char *message)
{
    *component = (struct health_component){
        .name = name, .status = status, .is_critical = is_critical, .check_us = check_us};
    snprintf(component->message, sizeof component->message, "%.*s", HEALTH_TEXT_BYTES - 1, message);
}

const char *health_status_name(enum health_status status)
{
    static const char *const names[] = {"healthy", "degraded", "unhealthy"};
    return names[status];
}

enum health_status health_overall(const struct health_component *components, int count)
{
    enum health_status overall = HEALTH_HEALTHY;
    for (int i = 0; i < count; i++) {
        if (components[i].status == HEALTH_UNHEALTHY && components[i].is_critical)
            return HEALTH_UNHEALTHY;
        if (components[i].status != HEALTH_HEALTHY)
            overall = HEALTH_DEGRADED;
    }
    return overall;
}

static struct json *component_json(const struct health_component *component, const char *now)
{
    struct json *object = json_object();
    json_object_set(object, "name", json_text(component->name));
    json_object_set(object, "status", json_text(health_status_name(component->status)));
    json_object_set(object, "message", json_text(component->message));
    json_object_set(object, "is_critical", json_bool(component->is_critical));
    json_object_set(object, "check_duration_ms", json_double((double)component->check_us / 1000.0));
    json_object_set(object, "timestamp", json_text(now));
    return object;
}

static struct json *summary_json(const struct health_component *components, int count)
{
    static const char *const names[] = {"healthy_components", "degraded_components",
                                        "unhealthy_components"};
    int counts[3] = {0}, critical = 0;
    for (int i = 0; i < count; i++) {
        counts[components[i].status]++;
        critical += components[i].status == HEALTH_UNHEALTHY && components[i].is_critical;
    }
    struct json *object = json_object();
    json_object_set(object, "total_components", json_int(count));
    for (int i = 0; i < 3; i++)
        json_object_set(object, names[i], json_int(counts[i]));
    json_object_set(object, "critical_unhealthy", json_int(critical));
    return object;
}

void health_answer(struct http_response *response, const struct health_node *node,
                   const struct health_component *components, int count, struct json *extra)
{
    char now[INSTANT_TEXT_BYTES];
    enum health_status overall = health_overall(components, count);
    instant_format(clock_now_us(), now);
    struct json *object = json_object(), *list = json_array();
    json_object_set(object, "status", json_text(health_status_name(overall)));
    json_object_set(object, "overall_status", json_text(health_status_name(overall)));
    json_object_set(object, "service", json_text(node->service));
    json_object_set(object, "version", json_text(VERSION));
    json_object_set(object, "node_id", json_text(node->node_id));
    json_object_set(object, "uptime_seconds", json_double((double)node->uptime_us / 1e6));
    json_object_set(object, "timestamp", json_text(now));
    for (int i = 0; i < count; i++)
        json_array_append(list, component_json(&components[i], now));
    json_object_set(object, "components", list);
    json_object_set(object, "summary", summary_json(components, count));
    for (size_t i = 0; i < json_size(extra); i++)
        json_object_set(object, json_name_at(extra, i, NULL), json_hold(json_member_at(extra, i)));
    json_release(extra);
    if (overall == HEALTH_UNHEALTHY)
        http_retry_after(response, 1);
    http_json(response, overall == HEALTH_UNHEALTHY ? 503 : 200, object);
    json_release(object);
}
