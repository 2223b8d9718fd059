/* SPDX-License-Identifier: MIT */
/* health.c - asks the nodes how they are. */
#include <string.h>
#include <time.h>

#include "bridgectl.h"
#include "io/clock.h"

#define CALL_TIMEOUT_MS 5000
#define LOOK_EVERY_MS 100

struct node_health {
    const char *name;
    const char *url;
    bool reached;
    struct json *body;
    struct error error;
};

static bool is_well(const struct node_health *node)
{
    const char *status = json_string_or(json_get(node->body, "status"), "");
    return node->reached && strcmp(status, "unhealthy") != 0;
}

static void ask(const struct ctl *ctl, struct node_health *node)
{
    struct api_answer answer = {0};
    struct api *api = api_new(ctl, node->url);
    json_release(node->body);
    node->body = NULL;
    node->reached = false;
    if (api_call(api, "GET", "/health", NULL, NULL, CALL_TIMEOUT_MS, &answer, &node->error) ==
        ERR_OK) {
        if (json_type_of(json_get(answer.body, "status")) == JSON_STRING) {
            node->reached = true;
            node->body = json_hold(answer.body);
        } else {
            error_set(&node->error, ERR_UNAVAILABLE, "%s/health answered %d without a status",
                      node->url, answer.status);
        }
    }
    api_answer_fini(&answer);
    api_free(api);
}

/* Components come as an array of objects with a name, or as an object by name. */
static void add_components(struct table *table, const char *node, const struct json *components)
{
    bool by_name = json_type_of(components) == JSON_OBJECT;
    for (size_t i = 0; i < json_size(components); i++) {
        const struct json *component =
            by_name ? json_member_at(components, i) : json_at(components, i);
        table_cell(table, node);
        table_cell(table, by_name ? json_name_at(components, i, NULL)
                                  : json_string_or(json_get(component, "name"), ""));
        table_cell(table, json_string_or(json_get(component, "status"), ""));
        table_cell(table, json_string_or(json_get(component, "message"), ""));
    }
}

static void print_table(const struct ctl *ctl, const struct node_health *nodes, int count)
{
    static const char *const head[] = {"NODE", "COMPONENT", "STATUS", "DETAIL"};
    struct table table;
    table_start(&table, 4, head);
    for (int i = 0; i < count; i++) {
        table_cell(&table, nodes[i].name);
        table_cell(&table, NULL);
        table_cell(&table, nodes[i].reached ? json_string_or(json_get(nodes[i].body, "status"), "")
                                            : "unreachable");
        table_cell(&table, nodes[i].reached ? nodes[i].url : nodes[i].error.text);
        add_components(&table, nodes[i].name, json_get(nodes[i].body, "components"));
    }
    table_print(&table, ctl);
}

static void print_all_json(const struct node_health *nodes, int count)
{
    struct json *object = json_object();
    for (int i = 0; i < count; i++) {
        struct json *one = nodes[i].reached ? json_hold(nodes[i].body) : json_object();
        if (!nodes[i].reached) {
            json_object_set(one, "status", json_text("unreachable"));
            json_object_set(one, "detail", json_text(nodes[i].error.text));
        }
        json_object_set(object, nodes[i].name, one);
    }
    print_json(object);
    json_release(object);
}

static int run_health(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    bool as_json = false;
    int64_t wait_seconds = 0;
    struct text_list none = {0};
    const struct argument table[] = {
        {"--wait", ARGUMENT_INT, &wait_seconds, "SECONDS",
         "wait until both are well, at most so long", 0, 3600},
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print one JSON object", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 0, 0, &none);
    if (outcome == EXIT_GO_ON) {
        struct node_health nodes[] = {
            {.name = "orchestrator", .url = ctl->config->orchestrator_url},
            {.name = "reducer", .url = ctl->config->reducer_url}};
        int64_t until_us = clock_monotonic_us() + wait_seconds * 1000000;
        for (;;) {
            ask(ctl, &nodes[0]);
            ask(ctl, &nodes[1]);
            outcome = is_well(&nodes[0]) && is_well(&nodes[1]) ? EXIT_FINE : EXIT_NO;
            if (outcome == EXIT_FINE || clock_monotonic_us() >= until_us)
                break;
            nanosleep(&(struct timespec){0, LOOK_EVERY_MS * 1000000}, NULL);
        }
        if (as_json)
            print_all_json(nodes, 2);
        else
            print_table(ctl, nodes, 2);
        json_release(nodes[0].body);
        json_release(nodes[1].body);
    }
    text_list_fini(&none);
    return outcome;
}

const struct command health_commands[] = {
    {.name = "health",
     .summary = "show how the orchestrator and the reducer are",
     .usage = "[--wait SECONDS] [--json]",
     .prose = "Exits 1 when one of them cannot be reached or is unhealthy.",
     .example = "bridgectl health --wait 30",
     .run = run_health},
    {.name = NULL},
};
