/* SPDX-License-Identifier: MIT */
/* health.c - live never depends on others; ready is 503 while the database or the broker is down. */
#include <stdio.h>

#include "base/instant.h"
#include "io/clock.h"
#include "reducer/service.h"

struct component {
    const char *name;
    bool critical;
    bool fine;
    bool degraded;
    const char *detail;
    double check_ms;
};

enum { NODE_RUNTIME, DATABASE, KAFKA, AGGREGATION_BUFFER, COMPONENTS };

static enum error_code ask_database(struct service *service, struct error *error)
{
    struct postgres *postgres;
    enum error_code code = postgres_pool_get(service->pool, &postgres, error);
    if (code)
        return code;
    code = postgres_query(postgres, "SELECT 1", NULL, 0, NULL, error);
    postgres_pool_put(service->pool, postgres);
    return code;
}

static void check(struct service *service, struct component components[COMPONENTS], struct error *database_error,
                  struct runtime_status *status)
{
    runtime_status(service->runtime, status);
    int64_t start_us = clock_monotonic_us();
    bool database_ok = ask_database(service, database_error) == ERR_OK;
    double database_ms = (double)(clock_monotonic_us() - start_us) / 1e3;
    bool full = status->uncommitted >= service->config->max_aggregation_queue_size;
    components[NODE_RUNTIME] = (struct component){"node_runtime", true, true, false, "running", 0};
    components[DATABASE] = (struct component){"database", true, database_ok, false,
                                              database_ok ? "connected" : database_error->text, database_ms};
    components[KAFKA] = (struct component){"kafka", true, status->broker_ok, false,
                                           status->broker_ok ? "connected" : status->detail, 0};
    components[AGGREGATION_BUFFER] =
        (struct component){"aggregation_buffer", false, true, full,
                           full ? "full: the partitions are paused" : "events are committed as they come", 0};
}

static const char *status_of(const struct component *component)
{
    return !component->fine ? "unhealthy" : component->degraded ? "degraded" : "healthy";
}

static struct json *component_json(const struct component *component, const char *now)
{
    struct json *item = json_object();
    json_object_set(item, "name", json_text(component->name));
    json_object_set(item, "status", json_text(status_of(component)));
    json_object_set(item, "detail", json_text(component->detail));
    json_object_set(item, "check_duration_ms", json_double(component->check_ms));
    json_object_set(item, "checked_at", json_text(now));
    json_object_set(item, "is_critical", json_bool(component->critical));
    return item;
}

static void answer_health(struct service *service, struct http_response *response)
{
    struct component components[COMPONENTS];
    struct error error = {0};
    struct runtime_status status;
    char now[INSTANT_TEXT_BYTES];
    check(service, components, &error, &status);
    instant_format(clock_now_us(), now);
    bool fine = true;
    bool degraded = false;
    struct json *list = json_array();
    for (int i = 0; i < COMPONENTS; i++) {
        fine = fine && (components[i].fine || !components[i].critical);
        degraded = degraded || !components[i].fine || components[i].degraded;
        json_array_append(list, component_json(&components[i], now));
    }
    struct json *body = json_object();
    json_object_set(body, "status", json_text(!fine ? "unhealthy" : degraded ? "degraded" : "healthy"));
    json_object_set(body, "service", json_text("NodeBridgeReducer"));
    json_object_set(body, "version", json_text(VERSION));
    json_object_set(body, "node_id", json_text(service->node_id));
    json_object_set(body, "node_type", json_text("NodeBridgeReducer"));
    json_object_set(body, "uptime_seconds", json_double((double)(clock_monotonic_us() - service->started_us) / 1e6));
    json_object_set(body, "timestamp", json_text(now));
    json_object_set(body, "partitions_assigned", json_int(status.partitions_assigned));
    json_object_set(body, "lag", json_int(status.lag));
    json_object_set(body, "components", list);
    http_json(response, fine ? 200 : 503, body);
    json_release(body);
    if (!fine)
        http_retry_after(response, 1);
}

void handle_health(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    answer_health(context, response);
}

void handle_health_ready(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    answer_health(context, response);
}

void handle_health_live(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    (void)context;
    struct json *body = json_object();
    json_object_set(body, "status", json_text("healthy"));
    json_object_set(body, "service", json_text("NodeBridgeReducer"));
    json_object_set(body, "version", json_text(VERSION));
    http_json(response, 200, body);
    json_release(body);
}
