/* SPDX-License-Identifier: MIT */
/* health.c - live never depends on others; ready is 503 while the database or the broker is down. */
#include <stdio.h>

#include "io/clock.h"
#include "io/health.h"
#include "reducer/service.h"

#define SERVICE_NAME "NodeBridgeReducer"

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

static void check(struct service *service, struct health_component components[COMPONENTS],
                  const struct runtime_status *status)
{
    struct error error = {0};
    int64_t start_us = clock_monotonic_us();
    bool database_ok = ask_database(service, &error) == ERR_OK;
    if (database_ok && !status->database_ok) {
        database_ok = false; /* it answers, but does not do what the reducer needs */
        error_set(&error, ERR_DATABASE, "%s", status->database_detail);
    }
    bool full = status->uncommitted >= service->config->max_aggregation_queue_size;
    health_component_set(&components[NODE_RUNTIME], "node_runtime", true, HEALTH_HEALTHY, 0,
                         "running");
    health_component_set(&components[DATABASE], "database", true,
                         database_ok ? HEALTH_HEALTHY : HEALTH_UNHEALTHY,
                         clock_monotonic_us() - start_us, database_ok ? "connected" : error.text);
    health_component_set(&components[KAFKA], "kafka", true,
                         status->broker_ok ? HEALTH_HEALTHY : HEALTH_UNHEALTHY, 0,
                         status->broker_ok ? "connected" : status->broker_detail);
    health_component_set(&components[AGGREGATION_BUFFER], "aggregation_buffer", false,
                         full ? HEALTH_DEGRADED : HEALTH_HEALTHY, 0,
                         full ? "full: the partitions are paused"
                              : "events are committed as they come");
}

static struct health_node describe(const struct service *service)
{
    return (struct health_node){SERVICE_NAME, service->node_id,
                                clock_monotonic_us() - service->started_us};
}

static void answer_health(struct service *service, struct http_response *response)
{
    struct health_component components[COMPONENTS];
    struct runtime_status status;
    struct health_node node = describe(service);
    runtime_status(service->runtime, &status);
    check(service, components, &status);
    struct json *extra = json_object();
    json_object_set(extra, "partitions_assigned", json_int(status.partitions_assigned));
    json_object_set(extra, "lag", json_int(status.lag));
    json_object_set(extra, "gaps_unfilled", json_int(status.gaps_unfilled));
    health_answer(response, &node, components, COMPONENTS, extra);
}

void handle_health(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    answer_health(context, response);
}

void handle_health_ready(struct http_request *request, struct http_response *response,
                         void *context)
{
    (void)request;
    answer_health(context, response);
}

void handle_health_live(struct http_request *request, struct http_response *response, void *context)
{
    struct health_component component;
    struct health_node node = describe(context);
    (void)request;
    health_component_set(&component, "process", true, HEALTH_HEALTHY, 0, "alive");
    health_answer(response, &node, &component, 1, NULL);
}
