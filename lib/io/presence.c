/* SPDX-License-Identifier: MIT */
#include "io/presence.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/instant.h"
#include "base/metrics.h"
#include "core/envelope.h"
#include "io/clock.h"
#include "io/log.h"
#include "io/postgres.h"
#include "io/process.h"

#define REPLY_TIMEOUT_MS 5000
#define FLUSH_MS 2000   /* of an own producer, when it ends */
#define RETRY_US 500000 /* the first pause after what could not be told; the next ones double */

/* What a beat tells. */
#define TELL_INTROSPECTION 1u
#define TELL_HEARTBEAT 2u
#define TELL_ROW 4u

struct presence {
    struct presence_node node;
    char *environment;
    char *namespace;
    char *introspection_topic;
    char *heartbeat_topic;
    struct presence_options options; /* texts in it are not used after the start */
    struct postgres *postgres;       /* NULL: no row is kept */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    int64_t started_us; /* monotonic */
    double cpu_seconds; /* at the last beat */
    int64_t cpu_us;     /* monotonic, of the last beat */
    bool database_complained;
};

static char *topic(const struct config *config, const char *name)
{
    struct buffer text = {0};
    buffer_append_format(&text, "%s.omninode_bridge.onex.evt.%s.v1",
                         config_topic_environment(config), name);
    return buffer_take(&text);
}

char *presence_introspection_topic(const struct config *config)
{
    return topic(config, "node-introspection");
}
char *presence_heartbeat_topic(const struct config *config)
{
    return topic(config, "node-heartbeat");
}

/* -- events -- */

static void ignore_delivery(void *context, uint64_t tag_a, uint64_t tag_b, enum error_code code,
                            const char *text)
{
    (void)context;
    (void)tag_a;
    (void)tag_b;
    (void)code;
    (void)text;
}

static void end_own_producer(struct presence *presence)
{
    if (presence->options.own_producer && presence->options.producer != NULL) {
        if (kafka_producer_reachable(presence->options.producer))
            kafka_producer_flush(presence->options.producer, FLUSH_MS);
        kafka_producer_free(presence->options.producer);
        presence->options.producer = NULL;
    }
}

static void make_own_producer(struct presence *presence)
{
    struct presence_options *options = &presence->options;
    if (options->producer != NULL && kafka_producer_fatal(options->producer))
        end_own_producer(presence);
    struct error error = {0};
    if (options->producer == NULL &&
        kafka_producer_new(&options->producer, options->config, "bridge-presence", ignore_delivery,
                           NULL, &error) != ERR_OK) {
        log_warning("presence has no producer, will try again", LOG_TEXT("error", error.text));
        options->producer = NULL;
    }
}

static enum error_code publish_message(struct presence *presence,
                                       const struct kafka_message *message, struct error *error)
{
    if (presence->options.publish != NULL)
        return presence->options.publish(presence->options.context, message, error);
    return kafka_produce(presence->options.producer, message, error);
}

/* Takes the payload; false: nothing was sent. */
static bool publish(struct presence *presence, const char *topic_name, const char *type,
                    struct json *payload, int64_t now_us)
{
    struct buffer value = {0};
    struct envelope envelope = {.event_id = clock_uuid_v7(),
                                .event_type = type,
                                .event_us = now_us,
                                .source_node_id = presence->node.node_id,
                                .environment = presence->environment,
                                .partition_key = presence->node.node_id,
                                .payload = payload,
                                .event_category = "node_lifecycle",
                                .node_type = presence->node.node_type,
                                .namespace = presence->namespace};
    envelope_write(&value, &envelope);
    char id[UUID_TEXT_BYTES], time[INSTANT_TEXT_BYTES];
    uuid_format(&envelope.event_id, id);
    instant_format_us(now_us, time);
    const struct kafka_header headers[] = {
        {"ce_specversion", "1.0", 3},
        {"ce_id", id, strlen(id)},
        {"ce_type", type, strlen(type)},
        {"ce_source", ENVELOPE_CE_SOURCE, strlen(ENVELOPE_CE_SOURCE)},
        {"ce_time", time, strlen(time)},
        {"content-type", ENVELOPE_CONTENT_TYPE, strlen(ENVELOPE_CONTENT_TYPE)},
    };
    struct kafka_message message = {.topic = topic_name,
                                    .partition = -1,
                                    .key = presence->node.node_id,
                                    .key_bytes = strlen(presence->node.node_id),
                                    .value = buffer_text(&value),
                                    .value_bytes = value.bytes,
                                    .headers = headers,
                                    .headers_count = (int)(sizeof headers / sizeof *headers),
                                    .timestamp_ms = now_us / 1000,
                                    .tag_a = PRESENCE_TAG};
    struct error error = {0};
    bool sent = publish_message(presence, &message, &error) == ERR_OK;
    if (!sent)
        log_warning("Failed to publish Kafka event", LOG_TEXT("topic", topic_name),
                    LOG_TEXT("error", error.text));
    buffer_fini(&value);
    json_release(payload);
    return sent;
}

/* -- the row -- */

static const char upsert_sql[] =
    "INSERT INTO node_registrations AS r (node_id, node_type, node_version, capabilities, "
    "endpoints, metadata,"
    " health_status, health_endpoint, last_heartbeat)"
    " VALUES ($1, $2, $3, $4::jsonb, $5::jsonb, $6::jsonb, upper($7), $8, now())"
    " ON CONFLICT (node_id) DO UPDATE SET node_type = excluded.node_type, node_version = "
    "excluded.node_version,"
    " capabilities = excluded.capabilities, endpoints = excluded.endpoints, metadata = "
    "excluded.metadata,"
    " health_status = excluded.health_status, health_endpoint = excluded.health_endpoint,"
    " last_heartbeat = excluded.last_heartbeat, updated_at = now()";

/* Nodes get a new id at each start, so rows of the dead are taken away by the next one that starts. */
static const char forget_sql[] =
    "DELETE FROM node_registrations WHERE last_heartbeat < now() - interval '1 day'";

static void set_json(struct postgres_value *value, struct json *json)
{
    char *text = json_to_text(json);
    postgres_set_string(value, text);
    free(text);
    json_release(json);
}

static bool save_row(struct presence *presence, const struct presence_usage *usage,
                     const struct presence_status *status, const char *reason, bool first)
{
    struct postgres_value values[8] = {0};
    struct buffer health_endpoint = {0};
    buffer_append_format(&health_endpoint, "%s/health", presence->node.api_url);
    postgres_set_string(&values[0], presence->node.node_id);
    postgres_set_string(&values[1], presence->node.node_type);
    postgres_set_string(&values[2], VERSION);
    set_json(&values[3], presence_capabilities(&presence->node, usage, status));
    set_json(&values[4], presence_endpoints(&presence->node));
    set_json(&values[5], presence_metadata(presence->environment, reason));
    postgres_set_string(&values[6], status->health);
    postgres_set_string(&values[7], buffer_text(&health_endpoint));
    struct error error = {0};
    enum error_code code = postgres_query(presence->postgres, upsert_sql, values, 8, NULL, &error);
    if (code == ERR_OK && first)
        code = postgres_query(presence->postgres, forget_sql, NULL, 0, NULL, &error);
    if (code != ERR_OK && !presence->database_complained)
        log_warning("node registration could not be saved, will try again",
                    LOG_TEXT("error", error.text));
    presence->database_complained = code != ERR_OK;
    buffer_fini(&health_endpoint);
    for (int i = 0; i < 8; i++)
        postgres_value_fini(&values[i]);
    return code == ERR_OK;
}

/* -- beats -- */

static struct presence_usage measure(struct presence *presence)
{
    process_metrics_update();
    int64_t now_us = clock_monotonic_us();
    double cpu_seconds = metrics_read(METRIC_PROCESS_CPU, 0, 0);
    double passed = (double)(now_us - presence->cpu_us) / 1e6;
    double page_bytes = (double)sysconf(_SC_PAGESIZE);
    struct presence_usage usage = {
        .cpu_percent = passed > 0 ? (cpu_seconds - presence->cpu_seconds) / passed * 100 : 0,
        .memory_bytes = metrics_read(METRIC_PROCESS_RSS, 0, 0),
        .memory_total_bytes = (double)sysconf(_SC_PHYS_PAGES) * page_bytes,
        .memory_available_bytes = (double)sysconf(_SC_AVPHYS_PAGES) * page_bytes,
        .cpu_cores = (int)sysconf(_SC_NPROCESSORS_ONLN),
        .uptime_seconds = (double)(now_us - presence->started_us) / 1e6,
    };
    presence->cpu_seconds = cpu_seconds;
    presence->cpu_us = now_us;
    return usage;
}

static bool publishes(const struct presence *presence)
{
    return presence->options.publish != NULL || presence->options.producer != NULL;
}

/* A beat that cannot be sent now would only mislead when the broker is back. */
static bool broker_is_away(const struct presence *presence)
{
    return presence->options.publish == NULL &&
           !kafka_producer_reachable(presence->options.producer);
}

/* Tells what is asked for; gives what could not be told. */
static unsigned beat(struct presence *presence, unsigned what, const char *reason, bool first,
                     bool last)
{
    struct presence_status status = {.health = "healthy"};
    if (presence->options.own_producer)
        make_own_producer(presence);
    if (presence->options.ask != NULL)
        presence->options.ask(presence->options.context, &status);
    if (last)
        status.health = "stopped";
    struct presence_usage usage = measure(presence);
    int64_t now_us = clock_now_us();
    if (status.last_activity_us == 0)
        status.last_activity_us = now_us;
    unsigned owed = presence->options.own_producer && !publishes(presence)
                        ? what & (TELL_INTROSPECTION | TELL_HEARTBEAT)
                        : 0;
    bool speaks = publishes(presence) && (first || !broker_is_away(presence));
    if (speaks && (what & TELL_INTROSPECTION) &&
        !publish(presence, presence->introspection_topic, "node_introspection",
                 presence_introspection(&presence->node, &usage, &status, presence->environment,
                                        reason, now_us),
                 now_us))
        owed |= TELL_INTROSPECTION;
    if (speaks && (what & TELL_HEARTBEAT) &&
        !publish(
            presence, presence->heartbeat_topic, "node_heartbeat",
            presence_heartbeat(&presence->node, &usage, &status, presence->environment, now_us),
            now_us))
        owed |= TELL_HEARTBEAT;
    if (presence->postgres != NULL && (what & TELL_ROW) &&
        (!last || postgres_connected(presence->postgres)) &&
        !save_row(presence, &usage, &status, reason == NULL ? "heartbeat" : reason, first))
        owed |= TELL_ROW;
    json_release(status.active_states);
    return owed;
}

static bool wait_until(struct presence *presence, int64_t until_us)
{
    pthread_mutex_lock(&presence->lock);
    while (!presence->stopping && clock_wait(&presence->changed, &presence->lock, until_us))
        continue;
    bool stopping = presence->stopping;
    pthread_mutex_unlock(&presence->lock);
    return stopping;
}

/* Until the next beat is due; what could not be told is tried again meanwhile. True: stopping. */
static bool rest(struct presence *presence, unsigned *owed, const char *reason, bool first,
                 int64_t next_us)
{
    int64_t pause_us = RETRY_US;
    for (; *owed != 0 && clock_monotonic_us() + pause_us < next_us; pause_us *= 2) {
        if (wait_until(presence, clock_monotonic_us() + pause_us))
            return true;
        *owed = beat(presence, *owed, reason, first, false);
    }
    return wait_until(presence, next_us);
}

static void *run(void *context)
{
    struct presence *presence = context;
    int64_t period_us = (int64_t)presence->options.heartbeat_ms * 1000;
    int64_t next_us = presence->started_us;
    const char *reason = "startup";
    bool first = true, stopping = false;
    for (int64_t number = 1; !stopping; number++) {
        unsigned introspection = reason != NULL ? TELL_INTROSPECTION : 0;
        unsigned owed =
            beat(presence, introspection | TELL_HEARTBEAT | TELL_ROW, reason, first, false);
        next_us += period_us;
        if (next_us < clock_monotonic_us()) /* stopped for a while: no burst of missed beats */
            next_us = clock_monotonic_us() + period_us;
        stopping = rest(presence, &owed, reason, first, next_us);
        if (owed & TELL_INTROSPECTION)
            continue; /* with the next beat, for the same reason */
        reason = number % PRESENCE_INTROSPECTION_BEATS == 0 ? "periodic" : NULL;
        first = false;
    }
    beat(presence, TELL_INTROSPECTION | TELL_ROW, "shutdown", false, true);
    end_own_producer(presence);
    return NULL;
}

/* -- life -- */

static void copy_node(struct presence_node *node, const struct presence_options *options)
{
    node->node_type = must_strdup(options->node_type);
    node->node_id = must_strdup(options->node_id);
    node->api_url = must_strdup(options->api_url);
    node->metrics_url = must_strdup(options->metrics_url == NULL ? "" : options->metrics_url);
}

struct presence *presence_start(const struct presence_options *options)
{
    struct presence *presence = must_calloc(1, sizeof *presence);
    presence->options = *options;
    if (presence->options.heartbeat_ms <= 0)
        presence->options.heartbeat_ms = PRESENCE_HEARTBEAT_MS;
    if (options->publish != NULL || options->producer != NULL)
        presence->options.own_producer = false;
    copy_node(&presence->node, options);
    presence->environment = must_strdup(options->config->environment);
    presence->namespace = must_strdup(options->config->default_namespace);
    presence->introspection_topic = presence_introspection_topic(options->config);
    presence->heartbeat_topic = presence_heartbeat_topic(options->config);
    if (options->database_url != NULL) {
        presence->postgres =
            postgres_new(options->database_url, "bridge-presence", "-c statement_timeout=5s");
        postgres_set_reply_timeout(presence->postgres, REPLY_TIMEOUT_MS);
    }
    presence->started_us = presence->cpu_us = clock_monotonic_us();
    pthread_mutex_init(&presence->lock, NULL);
    clock_condition_init(&presence->changed);
    BUG_IF(pthread_create(&presence->thread, NULL, run, presence) != 0);
    return presence;
}

void presence_stop(struct presence *presence)
{
    if (presence == NULL)
        return;
    pthread_mutex_lock(&presence->lock);
    presence->stopping = true;
    pthread_cond_signal(&presence->changed);
    pthread_mutex_unlock(&presence->lock);
    pthread_join(presence->thread, NULL);
    postgres_free(presence->postgres);
    pthread_cond_destroy(&presence->changed);
    pthread_mutex_destroy(&presence->lock);
    free(presence->node.node_type);
    free(presence->node.node_id);
    free(presence->node.api_url);
    free(presence->node.metrics_url);
    free(presence->environment);
    free(presence->namespace);
    free(presence->introspection_topic);
    free(presence->heartbeat_topic);
    free(presence);
}
