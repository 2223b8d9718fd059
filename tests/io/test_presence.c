/* SPDX-License-Identifier: MIT */
/* lib/io/presence against a real PostgreSQL; events are caught on their way to the producer. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/log.h"
#include "io/mock_broker.h"
#include "io/postgres.h"
#include "io/presence.h"
#include "io/process.h"

#define ID "0190a1b2-0000-7000-8000-000000000002"
#define MESSAGES_MAX 64

struct caught {
    char *topic;
    char *key;
    struct json *value;
    char type[64]; /* header ce_type */
    uint64_t tag;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct caught messages[MESSAGES_MAX];
    int count;
    int asked;
    int refusals; /* so many messages are refused first */
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct config config;
static struct postgres *db;
static struct error error;

static enum error_code catch_message(void *context, const struct kafka_message *message,
                                     struct error *failure)
{
    (void)context;
    pthread_mutex_lock(&seen.lock);
    if (seen.count == MESSAGES_MAX || seen.refusals > 0) {
        seen.refusals -= seen.refusals > 0;
        pthread_mutex_unlock(&seen.lock);
        return error_set(failure, ERR_LIMIT, "full");
    }
    struct caught *caught = &seen.messages[seen.count++];
    caught->topic = strdup(message->topic);
    caught->key = strndup(message->key, message->key_bytes);
    caught->value = json_parse(message->value, message->value_bytes, NULL, NULL);
    caught->tag = message->tag_a;
    for (int i = 0; i < message->headers_count; i++)
        if (strcmp(message->headers[i].name, "ce_type") == 0)
            memcpy(caught->type, message->headers[i].value, message->headers[i].bytes);
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
    return ERR_OK;
}

static void ask(void *context, struct presence_status *status)
{
    (void)context;
    seen.asked++;
    status->health = "degraded";
    status->active_operations = 3;
    status->active_states = json_object();
    json_object_set(status->active_states, "PROCESSING", json_int(3));
}

static const char *lookup(const char *name, void *context)
{
    (void)context;
    return strcmp(name, "ENVIRONMENT") == 0 ? "staging"
           : strcmp(name, "API_KEY") == 0   ? "k1234567890abcdefgh"
                                            : NULL;
}

static void run_file(const char *path)
{
    struct buffer sql = {0};
    char piece[4096];
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s: run it in the root of the repository", path);
    for (size_t got; (got = fread(piece, 1, sizeof piece, file)) > 0;)
        buffer_append(&sql, piece, got);
    fclose(file);
    ck_assert_msg(postgres_script(db, buffer_text(&sql), &error) == ERR_OK, "%s", error.text);
    buffer_fini(&sql);
}

static void setup(void)
{
    struct buffer faults = {0};
    ck_assert_msg(config_load(&config, FOR_ORCHESTRATOR, lookup, NULL, &faults) == 0, "%s",
                  buffer_text(&faults));
    buffer_fini(&faults);
    db = postgres_new(getenv("DATABASE_URL"), "test", NULL);
    ck_assert_int_eq(
        postgres_script(db, "DROP SCHEMA public CASCADE; CREATE SCHEMA public", &error), ERR_OK);
    run_file("migrations/0004_node_registrations.up.sql");
}

static void teardown(void)
{
    for (int i = 0; i < seen.count; i++) {
        free(seen.messages[i].topic);
        free(seen.messages[i].key);
        json_release(seen.messages[i].value);
    }
    memset(seen.messages, 0, sizeof seen.messages);
    seen.count = seen.asked = seen.refusals = 0;
    postgres_free(db);
    config_fini(&config);
}

static void wait_for_messages(int count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&seen.lock);
    while (seen.count < count)
        ck_assert_msg(pthread_cond_timedwait(&seen.changed, &seen.lock, &until) == 0,
                      "nothing came in time");
    pthread_mutex_unlock(&seen.lock);
}

static struct presence *start(int heartbeat_ms, const char *url)
{
    return presence_start(&(struct presence_options){.config = &config,
                                                     .node_type = "orchestrator",
                                                     .node_id = ID,
                                                     .api_url = "http://host:8060",
                                                     .metrics_url = "http://host:9091/metrics",
                                                     .database_url = url,
                                                     .publish = catch_message,
                                                     .ask = ask,
                                                     .heartbeat_ms = heartbeat_ms});
}

static const char *member(const struct json *object, const char *a, const char *b)
{
    return json_string_or(json_get(json_get(object, a), b), "");
}

START_TEST(startup_beat_and_shutdown)
{
    struct presence *presence = start(600000, getenv("DATABASE_URL"));
    wait_for_messages(2);
    presence_stop(presence);
    ck_assert_int_eq(seen.count, 3);
    const struct caught *m = seen.messages;
    ck_assert_str_eq(m[0].topic, "staging.omninode_bridge.onex.evt.node-introspection.v1");
    ck_assert_str_eq(m[1].topic, "staging.omninode_bridge.onex.evt.node-heartbeat.v1");
    ck_assert_str_eq(m[2].topic, "staging.omninode_bridge.onex.evt.node-introspection.v1");
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(m[i].key, ID);
        ck_assert(m[i].tag == PRESENCE_TAG);
        ck_assert_str_eq(json_string_or(json_get(m[i].value, "event_type"), ""), m[i].type);
        ck_assert_str_eq(member(m[i].value, "payload", "node_id"), ID);
        ck_assert_str_eq(member(m[i].value, "metadata", "event_category"), "node_lifecycle");
    }
    const struct json *first = json_get(m[0].value, "payload"),
                      *beat = json_get(m[1].value, "payload");
    ck_assert_str_eq(member(first, "metadata", "reason"), "startup");
    ck_assert_str_eq(member(first, "endpoints", "orchestration"),
                     "http://host:8060/api/v1/workflows");
    ck_assert_str_eq(member(first, "endpoints", "metrics"), "http://host:9091/metrics");
    ck_assert_str_eq(json_string_or(json_get(beat, "health_status"), ""), "degraded");
    ck_assert_int_eq(json_int_value(json_get(beat, "active_operations")), 3);
    ck_assert(json_double_value(json_get(json_get(beat, "resource_usage"), "memory_mb")) > 1);
    ck_assert_str_eq(member(json_get(m[2].value, "payload"), "metadata", "reason"), "shutdown");
}
END_TEST

static char *row(const char *sql)
{
    struct postgres_rows *rows = NULL;
    ck_assert_msg(postgres_query(db, sql, NULL, 0, &rows, &error) == ERR_OK, "%s", error.text);
    char *text =
        postgres_rows_count(rows) == 0 ? strdup("") : strdup(postgres_rows_text(rows, 0, 0, NULL));
    postgres_rows_free(rows);
    return text;
}

#define ck_row(sql, expected)                                                                      \
    do {                                                                                           \
        char *text_ = row(sql);                                                                    \
        ck_assert_str_eq(text_, expected);                                                         \
        free(text_);                                                                               \
    } while (0)

/* The next beat is ten minutes away: what was refused is sent again long before it, and only that. */
START_TEST(what_was_refused_is_sent_again)
{
    seen.refusals = 3; /* both of the start, then the introspection again */
    struct presence *presence = start(600000, NULL);
    wait_for_messages(2);
    presence_stop(presence);
    ck_assert_int_eq(seen.count, 3);
    const struct caught *m = seen.messages;
    ck_assert_str_eq(m[0].type, "node_heartbeat");
    ck_assert_str_eq(m[1].type, "node_introspection");
    ck_assert_str_eq(member(json_get(m[1].value, "payload"), "metadata", "reason"), "startup");
    ck_assert_str_eq(member(json_get(m[2].value, "payload"), "metadata", "reason"), "shutdown");
}
END_TEST

START_TEST(the_row_follows)
{
    ck_assert_int_eq(
        postgres_script(
            db,
            "INSERT INTO node_registrations(node_id, node_type, node_version, last_heartbeat)"
            " VALUES ('old', 'reducer', '1', now() - interval '2 days'),"
            " ('live', 'reducer', '1', now())",
            &error),
        ERR_OK);
    struct presence *presence = start(30, getenv("DATABASE_URL"));
    wait_for_messages(1 + 3); /* the third heartbeat: the first two rows are written */
    ck_row("SELECT health_status || ' ' || health_endpoint || ' ' || (capabilities -> 'fsm_states' "
           "->> 'active_workflows')"
           " FROM node_registrations WHERE node_id = '" ID "'",
           "DEGRADED http://host:8060/health 3");
    ck_row("SELECT string_agg(node_id, ',' ORDER BY node_id) FROM node_registrations", ID ",live");
    presence_stop(presence);
    ck_row("SELECT health_status || ' ' || (metadata ->> 'reason') || ' ' || (registered_at < "
           "updated_at)"
           " FROM node_registrations WHERE node_id = '" ID "'",
           "STOPPED shutdown true");
}
END_TEST

START_TEST(introspection_is_repeated)
{
    struct presence *presence = start(5, NULL);
    wait_for_messages(2 + PRESENCE_INTROSPECTION_BEATS + 1);
    presence_stop(presence);
    int periodic = 0;
    for (int i = 1; i < seen.count; i++)
        periodic +=
            strcmp(member(json_get(seen.messages[i].value, "payload"), "metadata", "reason"),
                   "periodic") == 0;
    ck_assert_int_ge(periodic, 1);
    ck_assert_str_eq(
        member(json_get(seen.messages[1 + PRESENCE_INTROSPECTION_BEATS].value, "payload"),
               "metadata", "reason"),
        "periodic");
}
END_TEST

static void count_delivered(void *context, uint64_t tag_a, uint64_t tag_b, enum error_code code,
                            const char *text)
{
    (void)tag_b;
    (void)text;
    ck_assert(tag_a == PRESENCE_TAG);
    if (code == ERR_OK)
        atomic_fetch_add((atomic_int *)context, 1);
}

START_TEST(a_broker_takes_the_events)
{
    struct mock_broker *broker;
    struct kafka_producer *producer;
    atomic_int delivered = 0;
    ck_assert_msg(mock_broker_new(&broker, 1, &error) == ERR_OK, "%s", error.text);
    free(config.kafka_bootstrap_servers);
    config.kafka_bootstrap_servers = strdup(mock_broker_bootstrap(broker));
    ck_assert_int_eq(
        kafka_producer_new(&producer, &config, "test", count_delivered, &delivered, &error),
        ERR_OK);
    struct presence *presence = presence_start(&(struct presence_options){
        .config = &config,
        .node_type = "reducer",
        .node_id = ID,
        .api_url = "http://host:8061",
        .producer = producer,
    });
    presence_stop(presence);
    ck_assert_int_eq(kafka_producer_flush(producer, 20000), 0);
    ck_assert_int_ge(atomic_load(&delivered),
                     2); /* shutdown is left out when no broker was met yet */
    kafka_producer_free(producer);
    mock_broker_free(broker);
}
END_TEST

START_TEST(a_producer_of_its_own)
{
    struct mock_broker *broker;
    ck_assert_msg(mock_broker_new(&broker, 1, &error) == ERR_OK, "%s", error.text);
    free(config.kafka_bootstrap_servers);
    config.kafka_bootstrap_servers = strdup(mock_broker_bootstrap(broker));
    struct presence *presence = presence_start(&(struct presence_options){
        .config = &config,
        .node_type = "reducer",
        .node_id = ID,
        .api_url = "http://host:8061",
        .own_producer = true,
    });
    char *topic = presence_heartbeat_topic(&config);
    struct buffer command = {0};
    buffer_append_format(&command,
                         "timeout 20 kcat -C -q -u -c 1 -b %s -t %s -o beginning -f '%%k %%s\\n'",
                         config.kafka_bootstrap_servers, topic);
    FILE *pipe = popen(buffer_text(&command), "r");
    char line[4096] = "";
    ck_assert_ptr_nonnull(fgets(line, sizeof line, pipe));
    ck_assert_int_eq(pclose(pipe), 0);
    ck_assert_int_eq(strncmp(line, ID " {\"envelope_version\":", 30), 0);
    ck_assert_ptr_nonnull(strstr(line, "\"event_type\":\"node_heartbeat\""));
    presence_stop(presence);
    buffer_fini(&command);
    free(topic);
    mock_broker_free(broker);
}
END_TEST

START_TEST(a_database_that_is_away_stops_nothing)
{
    struct presence *presence = start(10, "postgresql://postgres@127.0.0.1:1/x");
    wait_for_messages(4);
    presence_stop(presence);
    presence_stop(NULL);
}
END_TEST

int main(void)
{
    log_init("test", "error");
    metrics_init(FOR_ORCHESTRATOR);
    process_metrics_start();
    Suite *suite = suite_create("presence");
    TCase *tests = tcase_create("presence");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, startup_beat_and_shutdown);
    tcase_add_test(tests, what_was_refused_is_sent_again);
    tcase_add_test(tests, the_row_follows);
    tcase_add_test(tests, introspection_is_repeated);
    tcase_add_test(tests, a_broker_takes_the_events);
    tcase_add_test(tests, a_producer_of_its_own);
    tcase_add_test(tests, a_database_that_is_away_stops_nothing);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
