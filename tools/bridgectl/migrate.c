/* SPDX-License-Identifier: MIT */
/* migrate.c - brings the database's schema to a version, or tells where it stands. */
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "bridgectl.h"
#include "io/migrate.h"

struct migrate_options {
    const char *directory;
    int64_t target;
    bool dry_run;
    bool json;
};

struct steps {
    const struct migrate_options *options;
    struct json *list;
};

static void take_step(void *context, const struct migration *migration, bool up, bool dry_run)
{
    struct steps *steps = context;
    if (!steps->options->json)
        printf("%s%s %04d_%s\n", dry_run ? "would " : "",
               up ? (dry_run ? "apply" : "applied") : (dry_run ? "revert" : "reverted"),
               migration->version, migration->name);
    struct json *step = json_object();
    json_object_set(step, "version", json_int(migration->version));
    json_object_set(step, "name", json_text(migration->name));
    json_object_set(step, "direction", json_text(up ? "up" : "down"));
    json_object_set(step, "dry_run", json_bool(dry_run));
    json_array_append(steps->list, step);
}

static struct postgres *open_database(const struct ctl *ctl)
{
    char *url = config_database_url(ctl->config);
    struct postgres *postgres = postgres_new(url, "bridgectl", NULL);
    free(url);
    return postgres;
}

static int migrate(const struct ctl *ctl, const struct migrate_options *options, bool up)
{
    struct error error = {0};
    struct steps steps = {.options = options, .list = json_array()};
    struct postgres *postgres = open_database(ctl);
    enum error_code code = up ? migrate_up(postgres, options->directory, (int)options->target,
                                           options->dry_run, take_step, &steps, &error)
                              : migrate_down(postgres, options->directory, (int)options->target,
                                             options->dry_run, take_step, &steps, &error);
    int outcome = EXIT_FINE;
    if (code != ERR_OK)
        outcome = fail(&error);
    else if (options->json)
        print_json(steps.list);
    else if (json_size(steps.list) == 0)
        puts("nothing to do");
    postgres_free(postgres);
    json_release(steps.list);
    return outcome;
}

static int parse(const struct command *command, int argc, char **argv,
                 struct migrate_options *options, bool moves, int64_t target_min)
{
    struct text_list none = {0};
    const struct argument table[] = {
        {"--dir", ARGUMENT_TEXT, &options->directory, "DIR",
         "directory of the migrations (MIGRATIONS_DIR)", 0, 0},
        {"--json", ARGUMENT_FLAG, &options->json, NULL, "print a JSON array", 0, 0},
        /* Status changes nothing: the table ends here for it. */
        {moves ? "--to" : NULL, ARGUMENT_INT, &options->target, "VERSION", "stop at this version",
         target_min, MIGRATION_VERSION_MAX},
        {"--dry-run", ARGUMENT_FLAG, &options->dry_run, NULL,
         "say what would be done, change nothing", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 0, 0, &none);
    text_list_fini(&none);
    return outcome;
}

static int run_up(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    struct migrate_options options = {.directory = ctl->config->migrations_dir};
    int outcome = parse(command, argc, argv, &options, true, 1);
    return outcome == EXIT_GO_ON ? migrate(ctl, &options, true) : outcome;
}

static int run_down(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    struct migrate_options options = {.directory = ctl->config->migrations_dir,
                                      .target = MIGRATE_ONE};
    int outcome = parse(command, argc, argv, &options, true, 0);
    return outcome == EXIT_GO_ON ? migrate(ctl, &options, false) : outcome;
}

/* -- status -- */

static const char *status_of(const struct migration *migration)
{
    if (!migration->applied)
        return "pending";
    if (!migration->has_up)
        return "missing";
    return strcmp(migration->checksum, migration->applied_checksum) == 0 ? "applied" : "changed";
}

static void print_plan(const struct ctl *ctl, const struct migration_plan *plan)
{
    static const char *const head[] = {"VERSION", "NAME", "STATUS", "APPLIED AT"};
    struct table table;
    table_start(&table, 4, head);
    for (int i = 0; i < plan->count; i++) {
        char at[INSTANT_TEXT_BYTES];
        const struct migration *migration = &plan->items[i];
        table_cell_int(&table, migration->version);
        table_cell(&table, migration->name);
        table_cell(&table, status_of(migration));
        table_cell(&table, migration->applied ? instant_format(migration->applied_us, at) : NULL);
    }
    table_print(&table, ctl);
}

static void print_plan_json(const struct migration_plan *plan)
{
    struct json *list = json_array();
    for (int i = 0; i < plan->count; i++) {
        char at[INSTANT_TEXT_BYTES];
        const struct migration *migration = &plan->items[i];
        struct json *item = json_object();
        json_object_set(item, "version", json_int(migration->version));
        json_object_set(item, "name", json_text(migration->name));
        json_object_set(item, "status", json_text(status_of(migration)));
        json_object_set(
            item, "checksum",
            json_text(migration->applied ? migration->applied_checksum : migration->checksum));
        json_object_set(item, "applied_at",
                        migration->applied ? json_text(instant_format(migration->applied_us, at))
                                           : json_null());
        json_array_append(list, item);
    }
    print_json(list);
    json_release(list);
}

static int run_status(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    struct migrate_options options = {.directory = ctl->config->migrations_dir};
    int outcome = parse(command, argc, argv, &options, false, 0);
    if (outcome != EXIT_GO_ON)
        return outcome;
    struct error error = {0};
    struct migration_plan plan = {0};
    struct postgres *postgres = open_database(ctl);
    outcome = EXIT_FINE;
    if (migrate_status(postgres, options.directory, &plan, &error) != ERR_OK) {
        outcome = fail(&error);
    } else {
        for (int i = 0; i < plan.count; i++)
            if (strcmp(status_of(&plan.items[i]), "applied") != 0)
                outcome = EXIT_NO;
        if (options.json)
            print_plan_json(&plan);
        else
            print_plan(ctl, &plan);
    }
    migration_plan_fini(&plan);
    postgres_free(postgres);
    return outcome;
}

const struct command migrate_commands[] = {
    {.name = "migrate up",
     .summary = "apply the migrations that are missing",
     .usage = "[--to VERSION] [--dry-run] [--dir DIR] [--json]",
     .prose = "The database is that of DATABASE_URL or the POSTGRES_ variables. Several may run at "
              "once.",
     .example = "DATABASE_URL=postgresql://postgres@127.0.0.1/omninode_bridge bridgectl migrate up",
     .run = run_up},
    {.name = "migrate down",
     .summary = "take the last migration back, or all above a version",
     .usage = "[--to VERSION] [--dry-run] [--dir DIR] [--json]",
     .prose = "Tables go with their rows. Without --to one migration is taken back; --to 0 takes "
              "back all.",
     .example = "bridgectl migrate down --dry-run",
     .run = run_down},
    {.name = "migrate status",
     .summary = "show which migrations are applied",
     .usage = "[--dir DIR] [--json]",
     .prose = "Exits 1 when one is pending, missing or changed.",
     .example = "bridgectl migrate status",
     .run = run_status},
    {.name = NULL},
};
