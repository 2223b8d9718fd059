/* SPDX-License-Identifier: MIT */
/* topics.c - the topics that the nodes need: list, create, check. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "bridgectl.h"
#include "core/event_routes.h"
#include "io/clock.h"
#include "io/contract_files.h"
#include "io/kafka_admin.h"

#define CALL_TIMEOUT_MS 5000
#define WAIT_SECONDS_DEFAULT 30
#define TRY_EVERY_MS 200
#define TOPICS_MAX 512

struct topics {
    struct kafka_topic *items;
    int count;
};

static void topics_fini(struct topics *topics)
{
    for (int i = 0; i < topics->count; i++)
        free(topics->items[i].name);
    free(topics->items);
    *topics = (struct topics){0};
}

/* Takes the name over; a name that is there already counts once. */
static void add(const struct ctl *ctl, struct topics *topics, char *name, int64_t partitions)
{
    for (int i = 0; i < topics->count; i++) {
        if (strcmp(topics->items[i].name, name) == 0) {
            free(name);
            return;
        }
    }
    topics->items[topics->count++] =
        (struct kafka_topic){.name = name,
                             .partitions = (int32_t)partitions,
                             .replicas = (int32_t)ctl->config->kafka_replication_factor};
}

static void add_with_dead_letters(const struct ctl *ctl, struct topics *topics, const char *name,
                                  int64_t partitions)
{
    struct buffer dead = {0};
    buffer_append_format(&dead, "%s.dlq", name);
    add(ctl, topics, must_strdup(name), partitions);
    add(ctl, topics, buffer_take(&dead), ctl->config->kafka_default_partitions);
}

/* The workflow topic with its dead-letter topic, then the typed topics of contracts/events.yaml. */
static enum error_code declared(const struct ctl *ctl, struct topics *topics, struct error *error)
{
    struct findings findings = {0};
    enum error_code code = ERR_OK;
    topics->items = must_calloc(TOPICS_MAX, sizeof *topics->items);
    add_with_dead_letters(ctl, topics, ctl->config->kafka_workflow_topic,
                          ctl->config->kafka_workflow_partitions);
    struct event_routes *routes = event_routes_load(
        ctl->config->contracts_dir, config_topic_environment(ctl->config), &findings);
    if (routes == NULL)
        code = error_set(error, ERR_CONFIG, "%s:%d:%d: %s", findings.items[0].file,
                         findings.items[0].line, findings.items[0].column, findings.items[0].text);
    for (size_t i = 0; routes != NULL && i < routes->count && topics->count < TOPICS_MAX; i++)
        add(ctl, topics, must_strdup(routes->items[i].topic),
            ctl->config->kafka_default_partitions);
    event_routes_free(routes);
    findings_fini(&findings);
    return code;
}

static struct json *topic_json(const struct kafka_topic *topic, const char *status)
{
    struct json *item = json_object();
    json_object_set(item, "topic", json_text(topic->name));
    json_object_set(item, "partitions", json_int(topic->partitions));
    json_object_set(item, "replicas", json_int(topic->replicas));
    if (status != NULL)
        json_object_set(item, "status", json_text(status));
    if (topic->code != ERR_OK)
        json_object_set(item, "detail", json_text(topic->text));
    return item;
}

/* statuses may be NULL: the declared topics alone. */
static void print_topics(const struct ctl *ctl, const struct topics *topics,
                         const char *const *statuses, bool as_json)
{
    static const char *const head[] = {"TOPIC", "PARTITIONS", "STATUS", "DETAIL"};
    if (as_json) {
        struct json *list = json_array();
        for (int i = 0; i < topics->count; i++)
            json_array_append(list,
                              topic_json(&topics->items[i], statuses != NULL ? statuses[i] : NULL));
        print_json(list);
        json_release(list);
        return;
    }
    struct table table;
    table_start(&table, statuses != NULL ? 4 : 2, head);
    for (int i = 0; i < topics->count; i++) {
        table_cell(&table, topics->items[i].name);
        table_cell_int(&table, topics->items[i].partitions);
        if (statuses == NULL)
            continue;
        table_cell(&table, statuses[i]);
        table_cell(&table, topics->items[i].code != ERR_OK ? topics->items[i].text : NULL);
    }
    table_print(&table, ctl);
}

/* -- the commands -- */

static int run_list(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    bool as_json = false;
    struct text_list none = {0};
    const struct argument table[] = {
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print a JSON array", 0, 0}, {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 0, 0, &none);
    text_list_fini(&none);
    if (outcome != EXIT_GO_ON)
        return outcome;
    struct topics topics = {0};
    struct error error = {0};
    outcome = EXIT_FINE;
    if (declared(ctl, &topics, &error) != ERR_OK)
        outcome = fail(&error);
    else
        print_topics(ctl, &topics, NULL, as_json);
    topics_fini(&topics);
    return outcome;
}

/* Asks until the broker answers or the time is over. */
static enum error_code create_patiently(const struct ctl *ctl, struct topics *topics,
                                        int64_t wait_seconds, struct error *error)
{
    int64_t until_us = clock_monotonic_us() + wait_seconds * 1000000;
    for (;;) {
        enum error_code code =
            kafka_topics_create(ctl->config, topics->items, topics->count, CALL_TIMEOUT_MS, error);
        if (code != ERR_BROKER || clock_monotonic_us() >= until_us)
            return code;
        nanosleep(&(struct timespec){0, TRY_EVERY_MS * 1000000}, NULL);
    }
}

static int fail_broker(const struct ctl *ctl, const struct error *error)
{
    return fail_text("%s (KAFKA_BOOTSTRAP_SERVERS=%s)", error->text,
                     ctl->config->kafka_bootstrap_servers);
}

static int create(const struct ctl *ctl, struct topics *topics, int64_t wait_seconds, bool as_json)
{
    const char *statuses[TOPICS_MAX] = {0};
    struct error error = {0};
    int outcome = EXIT_FINE;
    if (create_patiently(ctl, topics, wait_seconds, &error) != ERR_OK)
        return fail_broker(ctl, &error);
    for (int i = 0; i < topics->count; i++) {
        const struct kafka_topic *topic = &topics->items[i];
        statuses[i] = topic->code != ERR_OK ? "refused" : topic->created ? "created" : "exists";
        if (topic->code != ERR_OK)
            outcome = EXIT_NO;
    }
    print_topics(ctl, topics, statuses, as_json);
    return outcome;
}

static int check(const struct ctl *ctl, struct topics *topics, bool as_json)
{
    const char *statuses[TOPICS_MAX] = {0};
    struct kafka_topic *present = NULL;
    int count = 0;
    struct error error = {0};
    int outcome = EXIT_FINE;
    if (kafka_topics_list(ctl->config, CALL_TIMEOUT_MS, &present, &count, &error) != ERR_OK)
        return fail_broker(ctl, &error);
    for (int i = 0; i < topics->count; i++) {
        struct kafka_topic *topic = &topics->items[i];
        statuses[i] = "missing";
        for (int p = 0; p < count; p++) {
            if (strcmp(topic->name, present[p].name) == 0) {
                topic->partitions = present[p].partitions;
                topic->replicas = present[p].replicas;
                statuses[i] = "ok";
            }
        }
        if (strcmp(statuses[i], "missing") == 0)
            outcome = EXIT_NO;
    }
    print_topics(ctl, topics, statuses, as_json);
    kafka_topics_free(present, count);
    return outcome;
}

static int run_broker(const struct ctl *ctl, const struct command *command, int argc, char **argv,
                      bool creates)
{
    bool as_json = false;
    int64_t wait_seconds = WAIT_SECONDS_DEFAULT;
    struct text_list none = {0};
    const struct argument table[] = {
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print a JSON array", 0, 0},
        {creates ? "--wait" : NULL, ARGUMENT_INT, &wait_seconds, "SECONDS",
         "how long to wait for the broker (30)", 0, 3600},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 0, 0, &none);
    text_list_fini(&none);
    if (outcome != EXIT_GO_ON)
        return outcome;
    struct topics topics = {0};
    struct error error = {0};
    if (declared(ctl, &topics, &error) != ERR_OK)
        outcome = fail(&error);
    else
        outcome =
            creates ? create(ctl, &topics, wait_seconds, as_json) : check(ctl, &topics, as_json);
    topics_fini(&topics);
    return outcome;
}

static int run_create(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run_broker(ctl, command, argc, argv, true);
}

static int run_check(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run_broker(ctl, command, argc, argv, false);
}

const struct command topic_commands[] = {
    {.name = "topics create",
     .summary = "create the topics that are missing",
     .usage = "[--wait SECONDS] [--json]",
     .prose =
         "The workflow topic (KAFKA_WORKFLOW_TOPIC), its dead-letter topic, and the typed topics "
         "of\n"
         "CONTRACTS_DIR/events.yaml, with KAFKA_WORKFLOW_PARTITIONS, KAFKA_DEFAULT_PARTITIONS and\n"
         "KAFKA_REPLICATION_FACTOR. A topic that exists is left as it is.",
     .example = "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:29092 bridgectl topics create",
     .run = run_create},
    {.name = "topics list",
     .summary = "list the topics that the nodes need",
     .usage = "[--json]",
     .prose = "As the variables and CONTRACTS_DIR/events.yaml say; the broker is not asked.",
     .example = "bridgectl topics list --json",
     .run = run_list},
    {.name = "topics check",
     .summary = "ask the broker for the topics that the nodes need",
     .usage = "[--json]",
     .prose = "Exits 1 when one is missing.",
     .example = "bridgectl topics check",
     .run = run_check},
    {.name = NULL},
};
