/* SPDX-License-Identifier: MIT */
/* shards.c - who owns which shard, and what is on it. */
#include "bridgectl.h"

static void print_shards(const struct ctl *ctl, const struct json *items)
{
    static const char *const head[] = {"SHARD", "LANE", "OWNER", "URL", "EPOCH", "BACKLOG", "LIVE"};
    struct table table;
    table_start(&table, 7, head);
    for (size_t i = 0; i < json_size(items); i++) {
        const struct json *item = json_at(items, i);
        table_cell_int(&table, json_int_value(json_get(item, "shard")));
        table_cell(&table, json_string_or(json_get(item, "lane"), NULL));
        table_cell(&table, json_string_or(json_get(item, "owner"), NULL));
        table_cell(&table, json_string_or(json_get(item, "url"), NULL));
        table_cell_int(&table, json_int_value(json_get(item, "epoch")));
        table_cell_int(&table, json_int_value(json_get(item, "backlog")));
        table_cell_int(&table, json_int_value(json_get(item, "live_workflows")));
    }
    table_print(&table, ctl);
}

static int run_shards(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run_items_list(ctl, command, argc, argv, ctl->config->orchestrator_url, "/api/v1/shards",
                          print_shards);
}

const struct command shard_commands[] = {
    {.name = "shards",
     .summary = "show which orchestrator owns which shard",
     .usage = "[--json]",
     .prose = "BACKLOG counts events that the broker has not acknowledged yet, LIVE workflows that "
              "have not\n"
              "ended. A shard without an owner is taken by another orchestrator in a moment.",
     .example = "bridgectl shards",
     .run = run_shards},
    {.name = NULL},
};
