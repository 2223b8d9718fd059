/* SPDX-License-Identifier: MIT */
/* services.c - the breakers of services: services, services hold, services release. */
#include <stdlib.h>
#include <string.h>

#include "bridgectl.h"

#define CALL_TIMEOUT_MS 30000

static void print_services(const struct ctl *ctl, const struct json *items)
{
    static const char *const head[] = {"SERVICE", "STATE", "BY HAND", "SINCE", "HELD", "REASON"};
    struct table table;
    table_start(&table, 6, head);
    for (size_t i = 0; i < json_size(items); i++) {
        const struct json *item = json_at(items, i);
        table_cell(&table, json_string_or(json_get(item, "name"), NULL));
        table_cell(&table, json_string_or(json_get(item, "state"), NULL));
        table_cell(&table, json_type_of(json_get(item, "by_hand")) == JSON_TRUE ? "yes" : "no");
        table_cell(&table, json_string_or(json_get(item, "since"), NULL));
        table_cell_int(&table, json_int_value(json_get(item, "held")));
        table_cell(&table, json_string_or(json_get(item, "reason"), NULL));
    }
    table_print(&table, ctl);
}

/* One call; what comes of it is shown as a table of services. */
static int ask(const struct ctl *ctl, const char *method, const char *path, bool as_json)
{
    struct api *api = api_new(ctl, ctl->config->orchestrator_url);
    struct api_answer answer = {0};
    struct error error = {0};
    int status = EXIT_FINE;
    if (api_get(api, method, path, CALL_TIMEOUT_MS, &answer, &error) != ERR_OK) {
        status = fail(&error);
    } else if (as_json) {
        print_json(answer.body);
    } else if (json_get(answer.body, "items") != NULL) {
        print_services(ctl, json_get(answer.body, "items"));
    } else {
        struct json *items = json_array();
        json_array_append(items, json_hold(answer.body));
        print_services(ctl, items);
        json_release(items);
    }
    api_answer_fini(&answer);
    api_free(api);
    return status;
}

static int run(const struct ctl *ctl, const struct command *command, int argc, char **argv,
               const char *method, const char *verb)
{
    bool as_json = false;
    struct text_list names = {0};
    struct buffer path = {0};
    const struct argument table[] = {
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "the answer as JSON", 0, 0}, {0}};
    int status = arguments_parse(command, table, argc, argv, *verb != '\0', 1, &names);
    if (status == EXIT_GO_ON) {
        buffer_append_text(&path, "/api/v1/services");
        if (names.count > 0) {
            buffer_append_char(&path, '/');
            append_encoded(&path, names.items[0]);
        }
        buffer_append_text(&path, verb);
        status = ask(ctl, method, buffer_text(&path), as_json);
    }
    buffer_fini(&path);
    text_list_fini(&names);
    return status;
}

static int run_services(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run(ctl, command, argc, argv, "GET", "");
}

static int run_hold(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run(ctl, command, argc, argv, "POST", "/hold");
}

static int run_release(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run(ctl, command, argc, argv, "POST", "/release");
}

const struct command service_commands[] = {
    {.name = "services hold",
     .summary = "Hold all calls to a service",
     .usage = "[--json] NAME",
     .prose = "Opens the breaker by hand, on all instances, until it is released: steps are held "
              "without\nburning attempts, or fail at once where the service says when_open: fail. "
              "Calls under way\nare finished. Holding twice is fine.",
     .example = "bridgectl services hold metadata-stamping",
     .run = run_hold},
    {.name = "services release",
     .summary = "Let calls to a service pass again",
     .usage = "[--json] NAME",
     .prose = "Of a breaker that is open, by hand or not: the next call probes the service at "
              "once, and each\nround that succeeds doubles what is released. Releasing twice is "
              "fine.",
     .example = "bridgectl services release metadata-stamping",
     .run = run_release},
    {.name = "services",
     .summary = "Show the services that workflows call, and their breakers",
     .usage = "[--json] [NAME]",
     .prose = "State of each circuit breaker, since when and why, and how many steps are held.",
     .example = "bridgectl services",
     .run = run_services},
    {0},
};
