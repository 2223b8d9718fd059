/* SPDX-License-Identifier: MIT */
/* lib/io/consul against an agent made of lib/io/http_server that keeps what it is told. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/consul.h"
#include "io/http_server.h"
#include "io/log.h"

#define ID "0190a1b2-0000-7000-8000-000000000001"
#define SERVICE "omninode-bridge-reducer-" ID

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct json *document; /* the service as registered, or NULL */
    int registered, asked, deregistered;
    int refuse; /* so many registrations are answered 500 */
} agent = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct http_server *server;
static struct config config;

static void on_register(struct http_request *request, struct http_response *response, void *context)
{
    (void)context;
    struct json *document = json_parse(request->body, request->body_bytes, NULL, NULL);
    pthread_mutex_lock(&agent.lock);
    if (agent.refuse > 0 || document == NULL ||
        strcmp(request->content_type, "application/json") != 0) {
        agent.refuse--;
        response->status = 500;
        json_release(document);
    } else {
        json_release(agent.document);
        agent.document = document;
        agent.registered++;
    }
    pthread_cond_broadcast(&agent.changed);
    pthread_mutex_unlock(&agent.lock);
}

static void on_get(struct http_request *request, struct http_response *response, void *context)
{
    (void)context;
    const char *id = http_path_parameter(request, "id");
    pthread_mutex_lock(&agent.lock);
    agent.asked++;
    bool known = agent.document != NULL &&
                 strcmp(json_string_or(json_get(agent.document, "ID"), ""), id) == 0;
    if (known)
        http_json(response, 200, agent.document);
    else
        response->status = 404;
    pthread_cond_broadcast(&agent.changed);
    pthread_mutex_unlock(&agent.lock);
}

static void on_deregister(struct http_request *request, struct http_response *response,
                          void *context)
{
    (void)context;
    (void)response;
    pthread_mutex_lock(&agent.lock);
    ck_assert_str_eq(http_path_parameter(request, "id"), SERVICE);
    agent.deregistered++;
    pthread_cond_broadcast(&agent.changed);
    pthread_mutex_unlock(&agent.lock);
}

static const struct http_route routes[] = {
    {.method = "PUT",
     .path = "/v1/agent/service/register",
     .handler = on_register,
     .flags = HTTP_OPEN},
    {.method = "GET", .path = "/v1/agent/service/{id}", .handler = on_get, .flags = HTTP_OPEN},
    {.method = "PUT",
     .path = "/v1/agent/service/deregister/{id}",
     .handler = on_deregister,
     .flags = HTTP_OPEN},
    {0},
};

static const char *lookup(const char *name, void *context)
{
    (void)context;
    return strcmp(name, "CONSUL_HOST") == 0 ? "127.0.0.1" : NULL;
}

static void start_agent(int port)
{
    struct error error;
    struct http_server_options options = {
        .address = "127.0.0.1", .port = port, .threads = 4, .routes = routes, .config = &config};
    ck_assert_msg(http_server_start(&server, &options, &error) == ERR_OK, "%s", error.text);
}

static void setup(void)
{
    struct buffer faults = {0};
    ck_assert_msg(config_load(&config, FOR_REDUCER, lookup, NULL, &faults) == 0, "%s",
                  buffer_text(&faults));
    buffer_fini(&faults);
    agent.registered = agent.asked = agent.deregistered = agent.refuse = 0;
    start_agent(0);
}

static void teardown(void)
{
    if (server != NULL)
        http_server_stop(server);
    server = NULL;
    json_release(agent.document);
    agent.document = NULL;
    config_fini(&config);
}

static void wait_for(const int *counter, int value)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&agent.lock);
    while (*counter < value)
        ck_assert_msg(pthread_cond_timedwait(&agent.changed, &agent.lock, &until) == 0,
                      "nothing came in time");
    pthread_mutex_unlock(&agent.lock);
}

static struct consul *start(int port)
{
    return consul_start(&(struct consul_options){.agent_host = "127.0.0.1",
                                                 .agent_port = port,
                                                 .node_type = "reducer",
                                                 .node_id = ID,
                                                 .host = "10.1.2.3",
                                                 .port = 8061,
                                                 .metrics_port = 9092,
                                                 .namespace = "space",
                                                 .environment = "staging",
                                                 .watch_interval_ms = 20,
                                                 .retry_interval_ms = 20});
}

static const char *text(const struct json *object, const char *name)
{
    return json_string_or(json_get(object, name), "");
}

START_TEST(what_is_registered)
{
    struct consul *consul = start(http_server_port(server));
    wait_for(&agent.asked, 1);
    ck_assert(consul_registered(consul));
    ck_assert_str_eq(text(agent.document, "Name"), "omninode-bridge-reducer");
    ck_assert_str_eq(text(agent.document, "ID"), SERVICE);
    ck_assert_str_eq(text(agent.document, "Address"), "10.1.2.3");
    ck_assert_int_eq(json_int_value(json_get(agent.document, "Port")), 8061);
    const struct json *check = json_get(agent.document, "Check"),
                      *meta = json_get(agent.document, "Meta");
    ck_assert_str_eq(text(check, "HTTP"), "http://10.1.2.3:8061/health");
    ck_assert_str_eq(text(check, "Interval"), "10s");
    ck_assert_str_eq(text(check, "DeregisterCriticalServiceAfter"), "90s");
    ck_assert_str_eq(text(meta, "metrics_port"), "9092");
    ck_assert_str_eq(text(meta, "version"), VERSION);
    char *tags = json_to_text(json_get(agent.document, "Tags"));
    ck_assert_ptr_nonnull(
        strstr(tags, "[\"onex\",\"bridge\",\"reducer\",\"version:" VERSION "\",\"omninode_bridge\","
                     "\"node_type:reducer\",\"namespace:space\",\"kafka_enabled:true\"]"));
    free(tags);
    consul_stop(consul);
    ck_assert_int_eq(agent.deregistered, 1);
}
END_TEST

START_TEST(an_agent_that_forgets_is_told_again)
{
    struct consul *consul = start(http_server_port(server));
    wait_for(&agent.asked, 2);
    ck_assert_int_eq(agent.registered, 1); /* and only then */
    pthread_mutex_lock(&agent.lock);
    json_release(agent.document);
    agent.document = NULL;
    pthread_mutex_unlock(&agent.lock);
    wait_for(&agent.registered, 2);
    consul_stop(consul);
}
END_TEST

START_TEST(an_agent_that_refuses_is_asked_again)
{
    agent.refuse = 2;
    struct consul *consul = start(http_server_port(server));
    wait_for(&agent.registered, 1);
    consul_stop(consul);
    ck_assert_int_eq(agent.deregistered, 1);
}
END_TEST

START_TEST(an_agent_that_comes_later)
{
    int port = http_server_port(server);
    http_server_stop(server);
    server = NULL;
    struct consul *consul = start(port); /* does not wait */
    ck_assert(!consul_registered(consul));
    start_agent(port);
    wait_for(&agent.registered, 1);
    consul_stop(consul);
}
END_TEST

START_TEST(a_stop_without_an_agent_is_quick)
{
    int port = http_server_port(server);
    http_server_stop(server);
    server = NULL;
    int64_t began_us = clock_monotonic_us();
    struct consul *consul = start(port);
    consul_stop(consul);
    consul_stop(NULL);
    ck_assert(!consul_registered(NULL));
    ck_assert_int_lt(clock_monotonic_us() - began_us, 3000000);
}
END_TEST

START_TEST(from_the_configuration)
{
    config.consul_port = http_server_port(server);
    struct consul *consul = consul_start_from_config(&config, "reducer", ID, 18061, 0);
    wait_for(&agent.registered, 1);
    ck_assert_str_eq(text(agent.document, "Address"),
                     "127.0.0.1"); /* our address as the agent sees it */
    char *tags = json_to_text(json_get(agent.document, "Tags"));
    ck_assert_ptr_nonnull(strstr(tags, "\"batch_size:100\",\"window_seconds:5\"]"));
    free(tags);
    consul_stop(consul);
    config.consul_enable_registration = false;
    ck_assert_ptr_null(consul_start_from_config(&config, "reducer", ID, 18061, 0));
}
END_TEST

START_TEST(the_advertised_host)
{
    char *host = advertised_host(&config, "127.0.0.1", 8500);
    ck_assert_str_eq(host, "127.0.0.1");
    free(host);
    host = advertised_host(&config, NULL, 0);
    ck_assert_uint_gt(strlen(host), 0);
    free(host);
    free(config.bind_address);
    config.bind_address = strdup("192.0.2.7");
    host = advertised_host(&config, "127.0.0.1", 8500);
    ck_assert_str_eq(host, "192.0.2.7");
    free(host);
    free(config.advertised_host);
    config.advertised_host = strdup("node.example");
    host = advertised_host(&config, "127.0.0.1", 8500);
    ck_assert_str_eq(host, "node.example");
    free(host);
}
END_TEST

int main(void)
{
    log_init("test", "error");
    metrics_init(FOR_REDUCER);
    Suite *suite = suite_create("consul");
    TCase *tests = tcase_create("consul");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_is_registered);
    tcase_add_test(tests, an_agent_that_forgets_is_told_again);
    tcase_add_test(tests, an_agent_that_refuses_is_asked_again);
    tcase_add_test(tests, an_agent_that_comes_later);
    tcase_add_test(tests, a_stop_without_an_agent_is_quick);
    tcase_add_test(tests, from_the_configuration);
    tcase_add_test(tests, the_advertised_host);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
