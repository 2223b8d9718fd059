/* SPDX-License-Identifier: MIT */
/* main.c - wires the orchestrator: contracts, database, broker, workers, ownership, HTTP. Faults of
 * configuration, schema, contracts and topics stop the start with one sentence.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/consul.h"
#include "io/contract_files.h"
#include "io/log.h"
#include "io/migrate.h"
#include "io/node.h"
#include "io/presence.h"
#include "orchestrator/api.h"
#include "orchestrator/breakers.h"
#include "orchestrator/core/task.h"
#include "orchestrator/forward.h"
#include "orchestrator/ownership.h"
#include "orchestrator/schema.h"
#include "orchestrator/worker.h"

static const char usage[] = "bridge-orchestrator\n\nAccepts workflows over HTTP and drives each "
                            "through the state machine of its\n"
                            "contract, durably. Settings are environment variables:";

#define DATABASE_TRIES_US 15000000 /* how long a start waits for a database that is not there yet */
#define DATABASE_RETRY_US 200000
#define HEALTH_REPLY_TIMEOUT_MS 2000
#define SETTLE_TIMEOUT_US 30000000
#define FORWARDS_MAX 512 /* requests under way to other instances; or half of HTTP_THREADS */
#define HAND_OVER_PART 4 /* of the time that a stop may take: to give the shards to others */

struct parts {
    struct orchestrator orchestrator;
    struct http_server *server;
    struct http_server *metrics_server;
    struct presence *presence;
    struct consul *consul;
};

static enum error_code read_routes(struct orchestrator *orchestrator, struct buffer *faults)
{
    struct findings findings = {0};
    orchestrator->routes =
        event_routes_load(orchestrator->config->contracts_dir,
                          config_topic_environment(orchestrator->config), &findings);
    if (orchestrator->routes == NULL)
        findings_write(&findings, faults);
    findings_fini(&findings);
    return orchestrator->routes == NULL ? ERR_CONFIG : ERR_OK;
}

/* Everything that CONTRACTS_DIR holds; all faults at once. */
static enum error_code read_contracts(struct orchestrator *orchestrator, struct error *error)
{
    struct buffer faults = {0};
    enum error_code code =
        registry_open(&orchestrator->registry, orchestrator->config->contracts_dir, &faults);
    if (read_routes(orchestrator, &faults) != ERR_OK)
        code = ERR_CONFIG;
    if (code != ERR_OK) {
        fputs(buffer_text(&faults), stderr);
        error_set(error, code, "the contracts in %s are not valid; nothing was started",
                  orchestrator->config->contracts_dir);
    }
    buffer_fini(&faults);
    return code;
}

static enum error_code connect_patiently(struct postgres *postgres, struct error *error)
{
    int64_t until_us = clock_monotonic_us() + DATABASE_TRIES_US;
    enum error_code code;
    while ((code = postgres_connect(postgres, error)) == ERR_DATABASE &&
           clock_monotonic_us() < until_us)
        clock_sleep_us(DATABASE_RETRY_US);
    return code;
}

/* A database that was copied or restored elsewhere gets lanes of its own. */
static const char sql_identity[] =
    "UPDATE bridge_identity SET incarnation = greatest(incarnation + 1, extract(epoch FROM "
    "clock_timestamp())::bigint), "
    "system_identifier = c.system_identifier, database_oid = d.oid::bigint "
    "FROM pg_control_system() c, pg_database d WHERE d.datname = current_database() "
    "AND (bridge_identity.system_identifier <> c.system_identifier OR database_oid <> "
    "d.oid::bigint)";

/* What task tokens are signed with, and what instances know one another by. */
static enum error_code take_secret(struct orchestrator *orchestrator,
                                   const struct postgres_rows *rows, struct error *error)
{
    struct workflow_environment *environment = &orchestrator->environment;
    size_t bytes = 0;
    const char *secret = postgres_rows_text(rows, 0, 2, &bytes);
    if (secret == NULL || bytes != sizeof environment->token_secret)
        return error_set(error, ERR_SCHEMA, "bridge_identity.token_secret is not of %zu octets",
                         sizeof environment->token_secret);
    memcpy(environment->token_secret, secret, bytes);
    environment->timeout_ms = orchestrator->config->orchestrator_workflow_timeout_ms;
    task_credential(environment->token_secret, orchestrator->credential);
    return ERR_OK;
}

static enum error_code read_database(struct orchestrator *orchestrator, int64_t *incarnation,
                                     struct error *error)
{
    struct postgres *postgres =
        postgres_new(orchestrator->database_url, "bridge-orchestrator start", NULL);
    struct postgres_rows *rows = NULL;
    enum error_code code = connect_patiently(postgres, error);
    if (code == ERR_OK)
        code = migrate_check_schema(postgres, SCHEMA_VERSION_OLDEST, SCHEMA_VERSION_NEWEST, error);
    if (code == ERR_OK)
        code = schema_look(orchestrator, postgres, error);
    if (code == ERR_OK)
        code = postgres_query(postgres, sql_identity, NULL, 0, NULL, error);
    if (code == ERR_OK)
        code = registry_store(orchestrator->registry, postgres, error);
    if (code == ERR_OK)
        code = postgres_query(postgres,
                              "SELECT incarnation, shards, token_secret FROM bridge_identity", NULL,
                              0, &rows, error);
    if (code == ERR_OK) {
        *incarnation = postgres_rows_int(rows, 0, 0);
        orchestrator->shards = (int)postgres_rows_int(rows, 0, 1);
        code = take_secret(orchestrator, rows, error);
    }
    postgres_rows_free(rows);
    postgres_free(postgres);
    return code;
}

static void name_series(const struct orchestrator *orchestrator)
{
    const struct services *services = registry_services(orchestrator->registry);
    const char *names[METRIC_LABEL_VALUES_MAX];
    int count = 0;
    for (; count < services->count && count < METRIC_LABEL_VALUES_MAX; count++)
        names[count] = services->items[count].name;
    static const enum metric_id by_service[] = {METRIC_STEP_DURATION,   METRIC_BREAKER_STATE,
                                                METRIC_SERVICE_HELD,    METRIC_SERVICE_CALLS,
                                                METRIC_SERVICE_REFUSED, METRIC_SERVICE_SLOW};
    for (size_t i = 0; i < sizeof by_service / sizeof *by_service; i++)
        metrics_label_values(by_service[i], 0, names, count);
}

static enum error_code start_engine(struct orchestrator *orchestrator, struct error *error)
{
    int64_t incarnation = 0;
    enum error_code code = read_database(orchestrator, &incarnation, error);
    if (code != ERR_OK)
        return code;
    orchestrator->owners = owners_new();
    struct publisher_options options = {
        .config = orchestrator->config,
        .node_id = orchestrator->node_id,
        .incarnation = incarnation,
        .registry = orchestrator->registry,
        .routes = orchestrator->routes,
        .database_url = orchestrator->database_url,
        .environment = &orchestrator->environment,
    };
    code = breakers_open(&orchestrator->breakers, orchestrator, error);
    if (code != ERR_OK)
        return code;
    code = publisher_open(&orchestrator->publisher, &options, error);
    if (code != ERR_OK)
        return code;
    publisher_start(orchestrator->publisher);
    orchestrator->pool = postgres_pool_new(orchestrator->database_url, "bridge-orchestrator read",
                                           (int)orchestrator->config->postgres_pool_min_size,
                                           (int)orchestrator->config->postgres_pool_max_size,
                                           (int)orchestrator->config->postgres_query_timeout,
                                           (int)orchestrator->config->postgres_acquire_timeout,
                                           (int)orchestrator->config->postgres_connection_max_age);
    orchestrator->health =
        postgres_new(orchestrator->database_url, "bridge-orchestrator health", NULL);
    postgres_set_reply_timeout(orchestrator->health, HEALTH_REPLY_TIMEOUT_MS);
    int64_t forwards = orchestrator->config->http_threads / 2;
    orchestrator->forward = forward_new(forwards < FORWARDS_MAX ? (int)forwards : FORWARDS_MAX);
    orchestrator->workers_count = (int)orchestrator->config->orchestrator_workers;
    if (orchestrator->workers_count > orchestrator->shards)
        orchestrator->workers_count = orchestrator->shards;
    for (int i = 0; i < orchestrator->workers_count; i++)
        orchestrator->workers[i] = worker_start(orchestrator, i);
    breakers_start(orchestrator->breakers);
    return ERR_OK;
}

/* How this process reaches its own API. */
static char *own_url(const struct config *config, int port)
{
    struct buffer url = {0};
    const char *address = config->bind_address;
    bool any = *address == '\0' || strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
    bool six = strchr(address, ':') != NULL;
    buffer_append_format(&url, !any && six ? "http://[%s]:%d" : "http://%s:%d",
                         any ? "127.0.0.1" : address, port);
    return buffer_take(&url);
}

static enum error_code start_http(struct parts *parts, struct error *error)
{
    const struct config *config = parts->orchestrator.config;
    struct http_server_options options = {
        .address = config->bind_address,
        .port = (int)config->orchestrator_port,
        .threads = (int)config->http_threads,
        .routes = api_routes,
        .context = &parts->orchestrator,
        .config = config,
        .credential_header = TASK_HEADER_CREDENTIAL,
        .credential = parts->orchestrator.credential,
    };
    enum error_code code = http_server_start(&parts->server, &options, error);
    if (code == ERR_OK)
        parts->orchestrator.own_url = own_url(config, http_server_port(parts->server));
    if (code == ERR_OK)
        code = http_metrics_start(&parts->metrics_server, config->bind_address,
                                  (int)config->orchestrator_metrics_port, config, error);
    return code;
}

static void ask(void *context, struct presence_status *status)
{
    struct orchestrator *orchestrator = context;
    for (int i = 0; i < orchestrator->workers_count; i++)
        status->active_operations += worker_live(orchestrator->workers[i]);
}

/* The publisher may change its producer, so presence asks for it each time. */
static enum error_code publish_presence(void *context, const struct kafka_message *message,
                                        struct error *error)
{
    struct orchestrator *orchestrator = context;
    return kafka_produce(publisher_producer(orchestrator->publisher), message, error);
}

/* Shards, then those who should know of us. */
static enum error_code join(struct parts *parts, struct error *error)
{
    struct orchestrator *orchestrator = &parts->orchestrator;
    const struct config *config = orchestrator->config;
    struct buffer api = {0}, metrics = {0};
    char *host = advertised_host(config, "", 0);
    int port = http_server_port(parts->server),
        metrics_port = http_server_port(parts->metrics_server);
    if (*config->orchestrator_advertised_url != '\0')
        buffer_append_text(&api, config->orchestrator_advertised_url);
    else
        buffer_append_format(&api, "http://%s:%d", host, port);
    buffer_append_format(&metrics, "http://%s:%d/metrics", host, metrics_port);
    enum error_code code = ownership_open(orchestrator->ownership, buffer_text(&api), error);
    if (code == ERR_OK) {
        ownership_start(orchestrator->ownership);
        int64_t until_us = clock_monotonic_us() + SETTLE_TIMEOUT_US;
        for (int i = 0; i < orchestrator->workers_count; i++)
            while (!worker_serving(orchestrator->workers[i]) && clock_monotonic_us() < until_us)
                clock_sleep_us(500);
        struct presence_options presence = {.config = config,
                                            .node_type = "orchestrator",
                                            .node_id = orchestrator->node_id,
                                            .api_url = buffer_text(&api),
                                            .metrics_url = buffer_text(&metrics),
                                            .database_url = orchestrator->database_url,
                                            .publish = publish_presence,
                                            .ask = ask,
                                            .context = orchestrator};
        parts->presence = presence_start(&presence);
        parts->consul = consul_start_from_config(config, "orchestrator", orchestrator->node_id,
                                                 port, metrics_port);
    }
    buffer_fini(&api);
    buffer_fini(&metrics);
    free(host);
    return code;
}

static void stop(struct parts *parts)
{
    struct orchestrator *orchestrator = &parts->orchestrator;
    int64_t hand_over_us = orchestrator->config == NULL
                               ? 0
                               : orchestrator->config->shutdown_timeout_ms * 1000 / HAND_OVER_PART;
    consul_stop(parts->consul);
    presence_stop(parts->presence);
    /* While others take the shards, requests are still answered: those for them are sent on. */
    bool left = ownership_leave(orchestrator->ownership, clock_monotonic_us() + hand_over_us);
    atomic_store(&orchestrator->stopping, true);
    bool others = left && owners_others_live(orchestrator);
    if (parts->server != NULL && !others)
        http_server_refuse(parts->server);
    for (int i = 0; i < orchestrator->workers_count; i++)
        worker_halt(orchestrator->workers[i]);
    breakers_stop(orchestrator->breakers);
    if (!left)
        ownership_close(orchestrator->ownership); /* others may take the shards from here on */
    if (parts->server != NULL && others)
        http_server_drain(parts->server);
    if (parts->server != NULL)
        http_server_stop(parts->server);
    if (left) /* until now it has told whom to ask */
        ownership_close(orchestrator->ownership);
    if (parts->metrics_server != NULL)
        http_server_stop(parts->metrics_server);
    forward_free(orchestrator->forward);
    for (int i = 0; i < orchestrator->workers_count; i++)
        worker_free(orchestrator->workers[i]);
    int flush_ms =
        orchestrator->config == NULL ? 0 : (int)orchestrator->config->shutdown_timeout_ms / 2;
    publisher_close(orchestrator->publisher, flush_ms);
    if (orchestrator->pool != NULL)
        postgres_pool_free(orchestrator->pool);
    postgres_free(orchestrator->health);
    breakers_free(orchestrator->breakers);
    registry_free(orchestrator->registry);
    event_routes_free(orchestrator->routes);
    free(orchestrator->database_url);
    free(orchestrator->own_url);
    owners_free(orchestrator->owners);
}

static void tell_findings(const struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        if (finding->severity == FINDING_ERROR)
            log_error("contract file refused", LOG_TEXT("file", finding->file),
                      LOG_INT("line", finding->line), LOG_INT("column", finding->column),
                      LOG_TEXT("code", finding->code), LOG_TEXT("reason", finding->text));
    }
}

static void reload_contracts(struct orchestrator *orchestrator)
{
    struct findings findings = {0};
    struct error error = {0};
    struct postgres *postgres;
    enum error_code code = postgres_pool_get(orchestrator->pool, &postgres, &error);
    if (code == ERR_OK) {
        code = registry_reload(orchestrator->registry, postgres, &findings, &error);
        postgres_pool_put(orchestrator->pool, postgres);
    }
    tell_findings(&findings);
    if (code != ERR_OK)
        log_error("contracts cannot be read again, the old ones stay",
                  LOG_TEXT("error", error.text));
    metrics_add(METRIC_CONTRACT_RELOADS, code != ERR_OK || findings.errors > 0, 0, 1);
    findings_fini(&findings);
}

static void reload(const struct config *fresh, void *context)
{
    struct parts *parts = context;
    http_server_reload_keys(parts->server, fresh);
    reload_contracts(&parts->orchestrator);
}

int main(int argc, char **argv)
{
    static struct parts parts;
    struct node node;
    struct error error = {0};
    int status = node_begin(&node, FOR_ORCHESTRATOR, "bridge-orchestrator", usage, argc, argv);
    if (status != NODE_GO)
        return status;
    struct orchestrator *orchestrator = &parts.orchestrator;
    orchestrator->config = &node.config;
    orchestrator->started_us = clock_monotonic_us();
    orchestrator->instance_id = clock_uuid_v7();
    uuid_format(&orchestrator->instance_id, orchestrator->node_id);
    orchestrator->database_url = config_database_url(&node.config);
    enum error_code code = read_contracts(orchestrator, &error);
    if (code == ERR_OK) {
        name_series(orchestrator);
        code = start_engine(orchestrator, &error);
    }
    if (code == ERR_OK) {
        orchestrator->ownership = ownership_new(orchestrator);
        code = start_http(&parts, &error);
    }
    if (code == ERR_OK)
        code = join(&parts, &error);
    if (code != ERR_OK) {
        stop(&parts);
        return node_fail(&node, &error);
    }
    node_ready(&node, http_server_port(parts.server));
    node_wait(&node, reload, &parts);
    stop(&parts);
    return node_end(&node);
}
