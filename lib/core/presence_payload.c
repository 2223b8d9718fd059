/* SPDX-License-Identifier: MIT */
#include "core/presence_payload.h"

#include <math.h>
#include <string.h>

#include "base/buffer.h"
#include "base/instant.h"

static bool is_reducer(const struct presence_node *node)
{
    return strcmp(node->node_type, "reducer") == 0;
}

static struct json *texts(const char *const *items)
{
    struct json *array = json_array();
    for (; *items != NULL; items++)
        json_array_append(array, json_text(*items));
    return array;
}

static struct json *rounded(double value, double digits)
{
    return json_double(round(value * digits) / digits);
}

static struct json *operations(const struct presence_node *node)
{
    static const char *const orchestrator[] = {"execute_orchestration", "coordinate_workflow",
                                               "manage_state", "route_operations", NULL};
    static const char *const reducer[] = {"execute_reduction", "aggregate_data", "reduce_results",
                                          "manage_state", NULL};
    return texts(is_reducer(node) ? reducer : orchestrator);
}

static struct json *fsm_states(const struct presence_status *status)
{
    static const char *const states[] = {"PENDING", "PROCESSING", "COMPLETED",
                                         "FAILED",  "CANCELLED",  NULL};
    struct json *object = json_object();
    json_object_set(object, "supported_states", texts(states));
    json_object_set(object, "active_workflows", json_int(status->active_operations));
    json_object_set(object, "active_states",
                    status->active_states == NULL ? json_object()
                                                  : json_hold(status->active_states));
    return object;
}

struct json *presence_capabilities(const struct presence_node *node,
                                   const struct presence_usage *usage,
                                   const struct presence_status *status)
{
    struct json *object = json_object();
    json_object_set(object, "node_type", json_text(node->node_type));
    json_object_set(object, "fsm_states", fsm_states(status));
    json_object_set(object, "supported_operations", operations(node));
    struct json *limits = json_object();
    json_object_set(limits, "cpu_cores_available", json_int(usage->cpu_cores));
    json_object_set(limits, "memory_available_gb",
                    rounded(usage->memory_available_bytes / (1 << 30), 100));
    json_object_set(limits, "current_memory_usage_mb",
                    rounded(usage->memory_bytes / (1 << 20), 10));
    json_object_set(object, "resource_limits", limits);
    if (!is_reducer(node)) {
        struct json *services = json_object();
        json_object_set(services, "metadata_stamping", json_bool(true));
        json_object_set(services, "onextree", json_bool(true));
        json_object_set(object, "service_integration", services);
    }
    return object;
}

static void endpoint(struct json *object, const char *name, const char *base, const char *path)
{
    struct buffer url = {0};
    buffer_append_text(&url, base);
    buffer_append_text(&url, path);
    json_object_set(object, name, json_text(buffer_text(&url)));
    buffer_fini(&url);
}

struct json *presence_endpoints(const struct presence_node *node)
{
    struct json *object = json_object();
    endpoint(object, "health", node->api_url, "/health");
    endpoint(object, "api", node->api_url, "");
    if (node->metrics_url[0] != '\0')
        endpoint(object, "metrics", node->metrics_url, "");
    if (is_reducer(node))
        endpoint(object, "aggregation", node->api_url, "/api/v1/aggregations");
    else
        endpoint(object, "orchestration", node->api_url, "/api/v1/workflows");
    return object;
}

struct json *presence_metadata(const char *environment, const char *reason)
{
    struct json *object = json_object();
    if (reason != NULL)
        json_object_set(object, "reason", json_text(reason));
    json_object_set(object, "version", json_text(VERSION));
    json_object_set(object, "environment", json_text(environment));
    return object;
}

static struct json *instant(int64_t instant_us)
{
    char text[INSTANT_TEXT_BYTES];
    return json_text(instant_format_us(instant_us, text));
}

struct json *presence_introspection(const struct presence_node *node,
                                    const struct presence_usage *usage,
                                    const struct presence_status *status, const char *environment,
                                    const char *reason, int64_t now_us)
{
    struct json *object = json_object();
    json_object_set(object, "node_id", json_text(node->node_id));
    json_object_set(object, "node_type", json_text(node->node_type));
    json_object_set(object, "capabilities", presence_capabilities(node, usage, status));
    json_object_set(object, "endpoints", presence_endpoints(node));
    json_object_set(object, "metadata", presence_metadata(environment, reason));
    json_object_set(object, "timestamp", instant(now_us));
    json_object_set(object, "epoch", json_int(1));
    return object;
}

struct json *presence_heartbeat(const struct presence_node *node,
                                const struct presence_usage *usage,
                                const struct presence_status *status, const char *environment,
                                int64_t now_us)
{
    struct json *object = json_object(), *resources = json_object();
    json_object_set(resources, "cpu_percent", rounded(usage->cpu_percent, 10));
    json_object_set(resources, "memory_mb", rounded(usage->memory_bytes / (1 << 20), 10));
    double total = usage->memory_total_bytes;
    json_object_set(resources, "memory_percent",
                    rounded(total > 0 ? usage->memory_bytes / total * 100 : 0, 100));
    json_object_set(object, "node_id", json_text(node->node_id));
    json_object_set(object, "node_type", json_text(node->node_type));
    json_object_set(object, "health_status", json_text(status->health));
    json_object_set(object, "uptime_seconds", rounded(usage->uptime_seconds, 1000));
    json_object_set(object, "last_activity_timestamp", instant(status->last_activity_us));
    json_object_set(object, "active_operations", json_int(status->active_operations));
    json_object_set(object, "resource_usage", resources);
    json_object_set(object, "metadata", presence_metadata(environment, NULL));
    json_object_set(object, "timestamp", instant(now_us));
    return object;
}
