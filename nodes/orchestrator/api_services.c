/* SPDX-License-Identifier: MIT */
/* The services that workflows call: their breakers, what is held for them, hold and release. */
#include <stdlib.h>

#include "orchestrator/api.h"
#include "orchestrator/breakers.h"

/* Steps held by all instances. */
struct held {
    int64_t steps, oldest_us;
};

static const char sql_held[] = "SELECT service, count(*), min(held_at) FROM held_steps "
                               "WHERE released_at IS NULL GROUP BY service";

static enum error_code read_held(struct orchestrator *orchestrator, struct held *held,
                                 struct error *error)
{
    const struct services *services = registry_services(orchestrator->registry);
    struct postgres *postgres;
    struct postgres_rows *rows = NULL;
    if (!breakers_keep_holds(orchestrator))
        return ERR_OK; /* what is held is not written down */
    enum error_code code = postgres_pool_get(orchestrator->pool, &postgres, error);
    if (code != ERR_OK)
        return code;
    code = postgres_query(postgres, sql_held, NULL, 0, &rows, error);
    postgres_pool_put(orchestrator->pool, postgres);
    for (int i = 0; code == ERR_OK && i < postgres_rows_count(rows); i++) {
        int service = services_index(services, postgres_rows_text(rows, i, 0, NULL));
        if (service >= 0)
            held[service] =
                (struct held){postgres_rows_int(rows, i, 1), postgres_rows_instant(rows, i, 2)};
    }
    postgres_rows_free(rows);
    return code;
}

static void set_limits(struct json *object, const struct service *service)
{
    json_object_set(object, "when_open", json_text(service->hold_when_open ? "hold" : "fail"));
    json_object_set(object, "max_concurrent_calls",
                    service->concurrency == 0 ? json_null() : json_int(service->concurrency));
    json_object_set(object, "rate_limit_per_second",
                    service->rate_per_second == 0 ? json_null()
                                                  : json_int(service->rate_per_second));
    json_object_set(object, "held_steps_max", json_int(service->held_max));
}

static struct json *service_json(struct orchestrator *orchestrator, int index,
                                 const struct held *held)
{
    static const char *const states[BREAKER_STATES] = {"CLOSED", "OPEN", "HALF_OPEN"};
    const struct service *service = &registry_services(orchestrator->registry)->items[index];
    struct json *object = json_object(), *here = json_object();
    struct breakers_status status;
    breakers_status(orchestrator->breakers, index, &status);
    bool shared = breakers_keep_holds(orchestrator);
    json_object_set(object, "name", json_text(service->name));
    json_object_set(object, "state", json_text(states[status.state]));
    json_object_set(object, "by_hand", json_bool(status.by_hand));
    json_object_set(object, "since", api_instant(status.since_us));
    json_object_set(object, "reason",
                    *status.reason == '\0' ? json_null() : json_text(status.reason));
    json_object_set(object, "probe_in_ms",
                    status.probe_after_us < 0 ? json_null()
                                              : json_int(status.probe_after_us / 1000));
    json_object_set(object, "held", json_int(shared ? held->steps : status.held));
    json_object_set(object, "held_since", api_instant(held->oldest_us));
    set_limits(object, service);
    json_object_set(here, "probes", json_bool(status.probes));
    json_object_set(here, "released", json_int(status.released));
    json_object_set(here, "in_flight", json_int(status.in_flight));
    json_object_set(here, "held", json_int(status.held));
    json_object_set(here, "calls", json_int(status.calls));
    json_object_set(here, "failures", json_int(status.failures));
    json_object_set(here, "slow", json_int(status.slow));
    json_object_set(object, "instance", here);
    return object;
}

static void answer_one(struct http_response *response, struct orchestrator *orchestrator, int index)
{
    struct held *held =
        must_calloc((size_t)registry_services(orchestrator->registry)->count + 1, sizeof *held);
    struct error error = {0};
    if (read_held(orchestrator, held, &error) != ERR_OK) {
        api_fail(response, &error);
        free(held);
        return;
    }
    struct json *object = service_json(orchestrator, index, &held[index]);
    free(held);
    http_json(response, 200, object);
    json_release(object);
}

void api_services(struct http_request *request, struct http_response *response, void *context)
{
    struct orchestrator *orchestrator = context;
    struct held *held =
        must_calloc((size_t)registry_services(orchestrator->registry)->count + 1, sizeof *held);
    struct error error = {0};
    (void)request;
    if (read_held(orchestrator, held, &error) != ERR_OK) {
        api_fail(response, &error);
        free(held);
        return;
    }
    struct json *page = json_object(), *items = json_array();
    for (int i = 0; i < registry_services(orchestrator->registry)->count; i++)
        json_array_append(items, service_json(orchestrator, i, &held[i]));
    free(held);
    json_object_set(page, "items", items);
    http_json(response, 200, page);
    json_release(page);
}

/* -1 after answering that there is none. */
static int find_service(struct http_request *request, struct http_response *response,
                        const struct orchestrator *orchestrator)
{
    const char *name = http_path_parameter(request, "service");
    int index = services_index(registry_services(orchestrator->registry), name);
    struct error error = {0};
    if (index >= 0)
        return index;
    error_set_field(&error, ERR_NOT_FOUND, "service", "there is no service %s in services.yaml",
                    name);
    api_fail(response, &error);
    return -1;
}

void api_service(struct http_request *request, struct http_response *response, void *context)
{
    int index = find_service(request, response, context);
    if (index >= 0)
        answer_one(response, context, index);
}

static void say(struct http_request *request, struct http_response *response,
                struct orchestrator *orchestrator,
                enum error_code (*command)(struct breakers *breakers, int service,
                                           struct error *error))
{
    struct error error = {0};
    int index = find_service(request, response, orchestrator);
    if (index < 0)
        return;
    if (command(orchestrator->breakers, index, &error) != ERR_OK)
        api_fail(response, &error);
    else
        answer_one(response, orchestrator, index);
}

void api_service_hold(struct http_request *request, struct http_response *response, void *context)
{
    say(request, response, context, breakers_hold);
}

void api_service_release(struct http_request *request, struct http_response *response,
                         void *context)
{
    say(request, response, context, breakers_release);
}
