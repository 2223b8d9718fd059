/* SPDX-License-Identifier: MIT */
/* main.c - wires the reducer: configuration, schema check, outbox, runtime, HTTP, presence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "core/event_routes.h"
#include "io/clock.h"
#include "io/consul.h"
#include "io/contract_files.h"
#include "io/kafka_consumer.h"
#include "io/log.h"
#include "io/migrate.h"
#include "io/node.h"
#include "io/presence.h"
#include "io/process.h"
#include "reducer/outbox.h"
#include "reducer/retention.h"
#include "reducer/service.h"

static const char usage[] = "bridge-reducer\n\nCounts what the workflow topic says, in windows of "
                            "event time. Settings are environment variables:";

struct parts {
    struct node node;
    struct service service;
    struct outbox *outbox;
    struct retention *retention;
    struct http_server *server;
    struct http_server *metrics;
    struct consul *consul;
    struct presence *presence;
    struct event_routes *routes;
    struct aggregation_set *aggregations;
    char *database_url;
    char topic[256];
    char dead_letter_topic[264];
    char instance_id[256];
    char node_id[UUID_TEXT_BYTES];
};

static void reload(const struct config *fresh, void *context)
{
    http_server_reload_keys(context, fresh);
}

static void name_things(struct parts *parts)
{
    const struct config *config = &parts->node.config;
    struct uuid id = clock_uuid_v7();
    uuid_format(&id, parts->node_id);
    if (config->kafka_workflow_topic && config->kafka_workflow_topic[0])
        snprintf(parts->topic, sizeof(parts->topic), "%s", config->kafka_workflow_topic);
    else
        snprintf(parts->topic, sizeof(parts->topic), "%s.omninode_bridge.onex.workflows.v1",
                 config_topic_environment(config));
    snprintf(parts->dead_letter_topic, sizeof(parts->dead_letter_topic), "%s.dlq", parts->topic);
    if (config->reducer_instance_id && config->reducer_instance_id[0])
        snprintf(parts->instance_id, sizeof(parts->instance_id), "%s", config->reducer_instance_id);
    else if (gethostname(parts->instance_id, sizeof(parts->instance_id) - 1) != 0)
        snprintf(parts->instance_id, sizeof(parts->instance_id), "%s", parts->node_id);
}

/* A database that is away does not stop the start; a schema that is not known does. */
static enum error_code check_schema(const char *url, struct error *error)
{
    struct postgres *postgres = postgres_new(url, "bridge-reducer start", NULL);
    enum error_code code =
        migrate_check_schema(postgres, SCHEMA_VERSION_OLDEST, SCHEMA_VERSION_NEWEST, error);
    postgres_free(postgres);
    if (code != ERR_DATABASE)
        return code;
    log_warning("the database cannot be reached yet",
                LOG_TEXT("reason", (const char *)error->text));
    return ERR_OK;
}

static enum error_code refuse(struct findings *findings, struct error *error)
{
    struct buffer faults = {0};
    findings_write(findings, &faults);
    enum error_code code = error_set(error, ERR_CONFIG, "%s", buffer_text(&faults));
    buffer_fini(&faults);
    return code;
}

/* contracts/events.yaml: where the reducer's own events go; contracts/aggregations: what it counts. */
static enum error_code read_contracts(struct parts *parts, struct error *error)
{
    const struct config *config = &parts->node.config;
    const struct aggregation_defaults defaults = {
        .size_ms = config->aggregation_window_size_ms,
        .lateness_ms = config->aggregation_allowed_lateness_ms,
    };
    struct findings findings = {0};
    enum error_code code = ERR_OK;
    parts->routes =
        event_routes_load(config->contracts_dir, config_topic_environment(config), &findings);
    if (!parts->routes)
        code = refuse(&findings, error);
    if (!code)
        code = aggregation_files_load(config->contracts_dir, &defaults, &parts->aggregations,
                                      &findings, error);
    if (!code && findings.errors > 0)
        code = refuse(&findings, error);
    findings_fini(&findings);
    return code;
}

static enum error_code start_http(struct parts *parts, struct error *error)
{
    const struct config *config = &parts->node.config;
    const struct http_server_options options = {
        .address = config->bind_address,
        .port = (int)config->reducer_port,
        .threads = (int)config->http_threads,
        .routes = service_routes,
        .context = &parts->service,
        .config = config,
    };
    enum error_code code = http_server_start(&parts->server, &options, error);
    if (!code)
        code = http_metrics_start(&parts->metrics, config->bind_address,
                                  (int)config->reducer_metrics_port, config, error);
    return code;
}

static enum error_code start(struct parts *parts, struct error *error)
{
    const struct config *config = &parts->node.config;
    parts->database_url = config_database_url(config);
    name_things(parts);
    enum error_code code = read_contracts(parts, error);
    if (!code)
        code = check_schema(parts->database_url, error);
    if (code)
        return code;
    parts->service = (struct service){.config = config,
                                      .topic = parts->topic,
                                      .node_id = parts->node_id,
                                      .aggregations = parts->aggregations,
                                      .started_us = clock_monotonic_us()};
    parts->service.pool = postgres_pool_new(
        parts->database_url, "bridge-reducer read", (int)config->postgres_pool_min_size,
        (int)config->postgres_pool_max_size, (int)config->postgres_query_timeout,
        (int)config->postgres_acquire_timeout, (int)config->postgres_connection_max_age);
    code = outbox_start(&parts->outbox, config, parts->database_url, error);
    if (code)
        return code;
    const struct runtime_options options = {
        .config = config,
        .database_url = parts->database_url,
        .topic = parts->topic,
        .dead_letter_topic = parts->dead_letter_topic,
        .instance_id = parts->instance_id,
        .node_id = parts->node_id,
        .routes = parts->routes,
        .aggregations = parts->aggregations,
        .outbox = parts->outbox,
    };
    code = runtime_start(&parts->service.runtime, &options, error);
    if (!code)
        code = retention_start(&parts->retention, config, parts->database_url, error);
    return code ? code : start_http(parts, error);
}

static void ask(void *context, struct presence_status *status)
{
    const struct parts *parts = context;
    struct runtime_status now;
    runtime_status(parts->service.runtime, &now);
    status->health = now.database_ok && now.broker_ok ? "healthy" : "degraded";
    status->active_operations = now.uncommitted;
}

static enum error_code publish(void *context, const struct kafka_message *message,
                               struct error *error)
{
    const struct parts *parts = context;
    return outbox_publish(parts->outbox, message, error);
}

/* Tells those who should know of us. */
static void announce(struct parts *parts)
{
    const struct config *config = &parts->node.config;
    int port = http_server_port(parts->server), metrics_port = http_server_port(parts->metrics);
    char *host = advertised_host(config, NULL, 0);
    struct buffer api = {0}, metrics = {0};
    buffer_append_format(&api, "http://%s:%d", host, port);
    buffer_append_format(&metrics, "http://%s:%d/metrics", host, metrics_port);
    parts->presence = presence_start(&(struct presence_options){
        .config = config,
        .node_type = "reducer",
        .node_id = parts->node_id,
        .api_url = buffer_text(&api),
        .metrics_url = buffer_text(&metrics),
        .database_url = parts->database_url,
        .publish = publish,
        .ask = ask,
        .context = parts,
    });
    parts->consul = consul_start_from_config(config, "reducer", parts->node_id, port, metrics_port);
    buffer_fini(&metrics);
    buffer_fini(&api);
    free(host);
}

static void stop(struct parts *parts)
{
    consul_stop(parts->consul);
    presence_stop(parts->presence);
    if (parts->server)
        http_server_refuse(parts->server);
    if (parts->service.runtime)
        runtime_stop(parts->service.runtime);
    retention_stop(parts->retention);
    outbox_stop(parts->outbox);
    if (parts->server)
        http_server_stop(parts->server);
    if (parts->metrics)
        http_server_stop(parts->metrics);
    runtime_free(parts->service.runtime);
    if (parts->service.pool)
        postgres_pool_free(parts->service.pool);
    event_routes_free(parts->routes);
    aggregation_set_free(parts->aggregations);
    free(parts->database_url);
}

int main(int argc, char **argv)
{
    static struct parts parts;
    struct error error = {0};
    int status = node_begin(&parts.node, FOR_REDUCER, "bridge-reducer", usage, argc, argv);
    if (status != NODE_GO)
        return status;
    if (start(&parts, &error)) {
        stop(&parts);
        return node_fail(&parts.node, &error);
    }
    int port = http_server_port(parts.server);
    announce(&parts);
    node_ready(&parts.node, port);
    node_wait(&parts.node, reload, parts.server);
    stop(&parts);
    status = node_end(&parts.node);
    if (kafka_consumers_closing())
        _exit(status);
    return status;
}
