/* SPDX-License-Identifier: MIT */
/* Texts as contracts/services.yaml and contracts/events.yaml: what is accepted can be found again. */
#include "core/event_routes.h"
#include "fuzz.h"
#include "orchestrator/core/services.h"

static const char *lookup(const char *name, void *context)
{
    (void)context;
    return strcmp(name, "A_URL") == 0 ? "https://a.example:8443/base/" : NULL;
}

static void read_services(const char *text, size_t bytes)
{
    struct findings findings = {0};
    struct services *services =
        services_parse("services.yaml", text, bytes, lookup, NULL, &findings);
    FUZZ_CHECK((services == NULL) == (findings.errors > 0));
    for (int i = 0; services && i < services->count; i++) {
        const struct service *service = &services->items[i];
        int found = services_index(services, service->name);
        int of_url = services_index_of_url(services, service->base_url);
        FUZZ_CHECK(found >= 0 && strcmp(services->items[found].name, service->name) == 0);
        FUZZ_CHECK(!text_ends_with(service->base_url, "/") && service->timeout_ms >= 0);
        FUZZ_CHECK(strncmp(service->base_url, "http", 4) == 0);
        FUZZ_CHECK(of_url >= 0 && strcmp(services->items[of_url].base_url, service->base_url) == 0);
    }
    services_free(services);
    findings_fini(&findings);
}

static void read_routes(const char *text, size_t bytes)
{
    struct findings findings = {0};
    struct event_routes *routes = event_routes_parse("events.yaml", text, bytes, "dev", &findings);
    FUZZ_CHECK((routes == NULL) == (findings.errors > 0));
    for (size_t i = 0; routes && i < routes->count; i++) {
        const char *topic = event_routes_topic(routes, routes->items[i].type);
        FUZZ_CHECK(topic && strcmp(topic, routes->items[i].topic) == 0);
        FUZZ_CHECK(
            topic[0] && strlen(topic) <= TOPIC_BYTES_MAX &&
            strspn(topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                strlen(topic));
    }
    event_routes_free(routes);
    findings_fini(&findings);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    read_services((const char *)bytes, count);
    read_routes((const char *)bytes, count);
    return 0;
}
