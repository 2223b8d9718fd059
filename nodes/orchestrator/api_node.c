/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/assets.h"
#include "io/clock.h"
#include "io/health.h"
#include "io/http_client.h"
#include "orchestrator/api.h"
#include "orchestrator/notes.h"
#include "orchestrator/worker.h"

#define SERVICE_NAME "NodeBridgeOrchestrator"
#define HEALTH_CACHE_US 5000000 /* services are asked at most this often */
#define HEALTH_TIMEOUT_MS 1000
#define COMPONENTS_MAX (3 + 32)

/* -- health -- */

static void set_component(struct health_component *component, const char *name, bool is_critical,
                          enum health_status status, int64_t began_us, const char *message)
{
    health_component_set(component, name, is_critical, status, clock_monotonic_us() - began_us,
                         message);
}

static void check_node(struct orchestrator *orchestrator, struct health_component *component)
{
    bool stopping = atomic_load(&orchestrator->stopping);
    bool serving = atomic_load(&orchestrator->claimed), settled = true;
    for (int i = 0; i < orchestrator->workers_count; i++) {
        serving = serving && worker_serving(orchestrator->workers[i]);
        settled = settled && worker_settled(orchestrator->workers[i]);
    }
    set_component(component, "node_runtime", true,
                  stopping || !serving ? HEALTH_UNHEALTHY : HEALTH_HEALTHY, clock_monotonic_us(),
                  stopping   ? "stopping"
                  : !serving ? "taking shards"
                  : !settled ? "running; workflows are being loaded"
                             : "running");
}

static void check_database(struct orchestrator *orchestrator, struct health_component *component)
{
    int64_t began_us = clock_monotonic_us();
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct error error = {0};
    pthread_mutex_lock(&lock);
    enum error_code code = postgres_query(orchestrator->health, "SELECT 1", NULL, 0, NULL, &error);
    pthread_mutex_unlock(&lock);
    set_component(component, "database", true, code == ERR_OK ? HEALTH_HEALTHY : HEALTH_UNHEALTHY,
                  began_us, code == ERR_OK ? "connected" : error.text);
}

static void check_kafka(struct orchestrator *orchestrator, struct health_component *component)
{
    bool reachable = publisher_reachable(orchestrator->publisher);
    set_component(component, "kafka", false, reachable ? HEALTH_HEALTHY : HEALTH_DEGRADED,
                  clock_monotonic_us(),
                  reachable ? "connected" : "no broker can be reached; events wait in the outbox");
}

/* Answers of the services, kept for HEALTH_CACHE_US. */
static struct {
    pthread_mutex_t lock;
    int64_t checked_us;
    struct health_component components[COMPONENTS_MAX];
    int count;
} service_health = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void check_service(struct http_client *client, const struct service *service,
                          struct health_component *component)
{
    int64_t began_us = clock_monotonic_us();
    struct buffer url = {0};
    struct http_reply reply = {0};
    struct error error = {0};
    char message[64];
    buffer_append_format(&url, "%s/health", service->base_url);
    enum error_code code = http_client_call(
        client, &(struct http_call){.url = buffer_text(&url), .timeout_ms = HEALTH_TIMEOUT_MS},
        &reply, &error);
    snprintf(message, sizeof message, "GET /health answered %d", reply.status);
    set_component(component, service->name, false,
                  code == ERR_OK && reply.status == 200 ? HEALTH_HEALTHY
                  : code == ERR_OK                      ? HEALTH_DEGRADED
                                                        : HEALTH_UNHEALTHY,
                  began_us, code == ERR_OK ? message : error.text);
    http_reply_fini(&reply);
    buffer_fini(&url);
}

static int check_services(struct orchestrator *orchestrator, struct health_component *components,
                          int room)
{
    const struct services *services = registry_services(orchestrator->registry);
    pthread_mutex_lock(&service_health.lock);
    if (service_health.checked_us == 0 ||
        clock_monotonic_us() - service_health.checked_us > HEALTH_CACHE_US) {
        struct http_client *client = http_client_new();
        service_health.count = services->count < COMPONENTS_MAX ? services->count : COMPONENTS_MAX;
        for (int i = 0; i < service_health.count; i++)
            check_service(client, &services->items[i], &service_health.components[i]);
        http_client_free(client);
        service_health.checked_us = clock_monotonic_us();
    }
    int count = service_health.count < room ? service_health.count : room;
    memcpy(components, service_health.components, (size_t)count * sizeof *components);
    pthread_mutex_unlock(&service_health.lock);
    return count;
}

static void answer_health(struct orchestrator *orchestrator, struct http_response *response,
                          const struct health_component *components, int count)
{
    struct health_node node = {SERVICE_NAME, orchestrator->node_id,
                               clock_monotonic_us() - orchestrator->started_us};
    health_answer(response, &node, components, count, NULL);
}

void api_health(struct http_request *request, struct http_response *response, void *context)
{
    struct health_component components[COMPONENTS_MAX];
    (void)request;
    check_node(context, &components[0]);
    check_database(context, &components[1]);
    check_kafka(context, &components[2]);
    int services = check_services(context, components + 3, COMPONENTS_MAX - 3);
    answer_health(context, response, components, 3 + services);
}

void api_health_ready(struct http_request *request, struct http_response *response, void *context)
{
    struct health_component components[3];
    (void)request;
    check_node(context, &components[0]);
    check_database(context, &components[1]);
    check_kafka(context, &components[2]);
    answer_health(context, response, components, 3);
}

void api_health_live(struct http_request *request, struct http_response *response, void *context)
{
    struct health_component component;
    (void)request;
    set_component(&component, "process", true, HEALTH_HEALTHY, clock_monotonic_us(), "alive");
    answer_health(context, response, &component, 1);
}

/* -- pages -- */

void api_openapi(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    (void)context;
    http_asset(response, &asset_orchestrator_openapi_json, ASSET_JSON);
}

void api_docs(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    (void)context;
    http_asset(response, &asset_docs_html, ASSET_PAGE);
}

void api_index(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    (void)context;
    http_asset(response, &asset_orchestrator_index_html, ASSET_PAGE);
}

const struct http_route api_routes[] = {
    {"POST", "/api/v1/workflows", api_submit, HTTP_TRUSTED, HTTP_BODY_BYTES_MAX},
    {"GET", "/api/v1/workflows", api_list, 0, 0},
    {"POST", "/api/v1/workflows/batch", api_submit_batch, HTTP_TRUSTED, HTTP_BATCH_BODY_BYTES_MAX},
    {"GET", "/api/v1/workflows/{workflow_id}", api_get, 0, 0},
    {"GET", "/api/v1/workflows/{workflow_id}/history", api_history, 0, 0},
    {"GET", "/api/v1/workflows/{workflow_id}/explain", api_explain, HTTP_TRUSTED, 0},
    {"POST", "/api/v1/workflows/{workflow_id}/cancel", api_cancel, HTTP_TRUSTED, 0},
    {"POST", "/api/v1/workflows/{workflow_id}/pause", api_pause, HTTP_TRUSTED, 0},
    {"POST", "/api/v1/workflows/{workflow_id}/resume", api_resume, HTTP_TRUSTED, 0},
    {"POST", "/api/v1/workflows/{workflow_id}/retry", api_retry, HTTP_TRUSTED, 0},
    {"POST", "/api/v1/workflows/{workflow_id}/signals/{signal_name}", api_signal, HTTP_TRUSTED,
     SIGNAL_BYTES_MAX},
    {"POST", "/api/v1/tasks/{token}/success", api_task_success, HTTP_TRUSTED, SIGNAL_BYTES_MAX},
    {"POST", "/api/v1/tasks/{token}/failure", api_task_failure, HTTP_TRUSTED, 0},
    {"POST", "/api/v1/tasks/{token}/heartbeat", api_task_heartbeat, HTTP_TRUSTED, 0},
    {"POST", "/api/v1/notes", api_note, HTTP_TRUSTED | HTTP_HIDDEN, 0},
    {"GET", "/api/v1/shards", api_shards, 0, 0},
    {"GET", "/api/v1/contracts", api_contracts, 0, 0},
    {"POST", "/api/v1/contracts", api_contract_publish, 0, CONTRACT_BYTES_MAX},
    {"GET", "/api/v1/contracts/{name}", api_contract, 0, 0},
    {"GET", "/api/v1/contracts/{name}/versions/{version}", api_contract_version, 0, 0},
    {"DELETE", "/api/v1/contracts/{name}/versions/{version}", api_contract_delete, 0, 0},
    {"GET", "/api/v1/services", api_services, 0, 0},
    {"GET", "/api/v1/services/{service}", api_service, 0, 0},
    {"POST", "/api/v1/services/{service}/hold", api_service_hold, 0, 0},
    {"POST", "/api/v1/services/{service}/release", api_service_release, 0, 0},
    {"POST", "/workflow/submit", api_submit_older, HTTP_TRUSTED, HTTP_BODY_BYTES_MAX},
    {"GET", "/workflow/{workflow_id}/status", api_status_older, 0, 0},
    {"GET", "/health", api_health, HTTP_OPEN, 0},
    {"GET", "/health/live", api_health_live, HTTP_OPEN, 0},
    {"GET", "/health/ready", api_health_ready, HTTP_OPEN, 0},
    {"GET", "/metrics", http_handle_metrics, HTTP_OPEN, 0},
    {"GET", "/openapi.json", api_openapi, HTTP_OPEN, 0},
    {"GET", "/docs", api_docs, HTTP_OPEN, 0},
    {"GET", "/", api_index, HTTP_OPEN, 0},
    {0},
};
