/* SPDX-License-Identifier: MIT */
/* aggregations.c - checks files of aggregations, and shows those that the reducer has loaded. */
#include <stdlib.h>
#include <string.h>

#include "bridgectl.h"
#include "io/contract_files.h"

/* Files are checked together: two of one name are a fault. */
static int check_all(const struct command *command, const struct documents *documents, bool named,
                     bool as_json)
{
    (void)named; /* one file is checked whatever its name */
    const struct aggregation_defaults defaults = {.size_ms = 5000, .lateness_ms = 60000};
    struct aggregation_set *set = aggregation_set_new(&defaults);
    struct findings findings = {0};
    size_t files = 0, missing = (size_t)documents->missing;
    for (size_t i = 0; i < documents->count; i++) {
        const char *path = documents->items[i].path;
        size_t before = findings.count;
        if (!is_contract_file(path) && documents->count > 1)
            continue;
        files++;
        if (!aggregation_file_load(set, path, &findings))
            findings_sort(&findings, before);
    }
    int outcome = findings.errors > 0 || missing > 0 ? EXIT_NO : EXIT_FINE;
    if (files == 0 && missing == 0)
        outcome = usage_fault(command, "there is no .yaml, .yml or .json file to check");
    else
        print_findings(&findings, files, missing, as_json);
    findings_fini(&findings);
    aggregation_set_free(set);
    return outcome;
}

static int run_check(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run_files_check(ctl, command, argc, argv, "aggregations", check_all);
}

/* "tumbling 5 s", "hopping 60 s every 10 s", "all time" */
static void window_cell(struct table *table, const struct json *window)
{
    struct buffer text = {0};
    const char *type = json_string_or(json_get(window, "type"), "");
    double size_s = json_double_value(json_get(window, "size_ms")) / 1000;
    double hop_s = json_double_value(json_get(window, "hop_ms")) / 1000;
    if (strcmp(type, "none") == 0)
        buffer_append_text(&text, "all time");
    else if (hop_s > 0)
        buffer_append_format(&text, "%s %g s every %g s", type, size_s, hop_s);
    else
        buffer_append_format(&text, "%s %g s", type, size_s);
    table_cell(table, buffer_text(&text));
    buffer_fini(&text);
}

/* A key is a field, a path whose last name counts, or an object with a name or a field. */
static const char *key_name(const struct json *key)
{
    const char *name = json_string_or(key, json_string_or(json_get(key, "field"), ""));
    const char *dot = strrchr(name, '.');
    return json_string_or(json_get(key, "name"), dot ? dot + 1 : name);
}

static void names_cell(struct table *table, const struct json *names)
{
    struct buffer text = {0};
    bool members = json_type_of(names) == JSON_OBJECT;
    for (size_t i = 0; i < json_size(names); i++)
        buffer_append_format(&text, "%s%s", i > 0 ? ", " : "",
                             members ? json_name_at(names, i, NULL) : key_name(json_at(names, i)));
    table_cell(table, text.bytes > 0 ? buffer_text(&text) : NULL);
    buffer_fini(&text);
}

static void print_definitions(const struct ctl *ctl, const struct json *items)
{
    static const char *const head[] = {"NAME", "VERSION", "WINDOW", "GROUP BY", "MEASURES"};
    struct table table;
    table_start(&table, 5, head);
    for (size_t i = 0; i < json_size(items); i++) {
        const struct json *item = json_at(items, i);
        table_cell(&table, json_string_or(json_get(item, "name"), ""));
        table_cell(&table, json_string_or(json_get(item, "version"), ""));
        window_cell(&table, json_get(item, "window"));
        names_cell(&table, json_get(item, "group_by"));
        names_cell(&table, json_get(item, "measures"));
    }
    table_print(&table, ctl);
}

static int run_list(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run_items_list(ctl, command, argc, argv, ctl->config->reducer_url,
                          "/api/v1/aggregations/definitions", print_definitions);
}

const struct command aggregation_commands[] = {
    {.name = "aggregations check",
     .summary = "check files of aggregations: what the reducer would count",
     .usage = "[PATH...] [--json]",
     .prose = "PATH is a file or a directory; CONTRACTS_DIR/aggregations without one. Findings are "
              "printed as\n"
              "file:line:column. Exits 1 when there is one.",
     .example = "bridgectl aggregations check contracts/aggregations",
     .run = run_check},
    {.name = "aggregations list",
     .summary = "aggregations that the reducer has loaded",
     .usage = "[--json]",
     .prose = "Asks the reducer at REDUCER_URL.",
     .example = "bridgectl aggregations list",
     .run = run_list},
    {.name = NULL},
};
