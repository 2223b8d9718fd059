/* SPDX-License-Identifier: MIT */
/* audit.c - is anything lost or doubled? Clients' ledger, database, topic and aggregates held against each other. */
#include "audit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "io/migrate.h"

#define OFFSETS_TIMEOUT_MS 10000
#define DATABASE_SETTINGS "-c default_transaction_read_only=on"

void audit_found(struct audit *audit, enum audit_check check, int64_t count, const char *format,
                 ...)
{
    struct audit_found *found = &audit->found[check];
    va_list arguments;
    va_start(arguments, format);
    if (found->count == 0) {
        vsnprintf(found->example, sizeof found->example, format, arguments);
        error_trim(found->example, sizeof found->example);
    }
    va_end(arguments);
    found->count += count;
}

void audit_unchecked(struct audit *audit, const char *format, ...)
{
    char text[ERROR_TEXT_BYTES + AUDIT_EXAMPLE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    error_trim(text, sizeof text);
    va_end(arguments);
    text_list_add(&audit->unchecked, must_strdup(text));
}

/* -- aggregates -- */

static void note_rows(struct audit *audit)
{
    const struct rebuild_report *report = &audit->rebuild.report;
    const struct {
        int64_t count;
        const char *what;
    } left[] = {
        {report->dropped_rows, "rows: the broker has dropped records that may count in them"},
        {report->pruned_rows, "rows: their windows were pruned"},
        {report->unknown_rows, "rows: their aggregation has no file here, or other windows"},
        {report->uncounted, "aggregations of partitions in which they are not counted yet"},
        {report->unread, "partitions that no reducer has had"},
        {report->unfilled_records, "records that were dropped before they were counted: see "
                                   "bridgectl rebuild --fill-gaps"},
    };
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
        if (left[i].count > 0)
            audit_unchecked(audit, "%" PRId64 " %s", left[i].count, left[i].what);
    if (report->differences > 0) {
        char *first = json_to_text(report->first);
        audit_found(audit, AUDIT_DIFFERENCES, report->differences, "%s", first);
        free(first);
    }
}

/* How far the reducers are behind the end of the topic. */
static enum error_code note_lag(struct audit *audit, struct error *error)
{
    enum error_code code = ERR_OK;
    for (int32_t i = 0; i < audit->rebuild.partitions && !code; i++) {
        int64_t first, end, place = 0;
        code = kafka_offsets(audit->rebuild.consumer, i, OFFSETS_TIMEOUT_MS, &first, &end, error);
        if (!code)
            code = store_place(audit->rebuild.store, i, &place, error);
        if (!code && place < first)
            place = first;
        if (!code && place < end)
            audit_found(audit, AUDIT_UNREAD, end - place, "partition %d from offset %" PRId64,
                        (int)i, place);
    }
    return code;
}

static enum error_code look_at_aggregates(struct audit *audit, struct error *error)
{
    enum error_code code = rebuild_open(&audit->rebuild, error);
    if (code == ERR_NOT_FOUND) {
        audit_unchecked(audit, "aggregates: %s", error->text);
        return ERR_OK;
    }
    if (!code)
        code = rebuild_look_at_all(&audit->rebuild, error);
    if (!code)
        code = note_lag(audit, error);
    if (!code)
        note_rows(audit);
    return code;
}

/* -- the command -- */

static enum error_code open_database(struct audit *audit, struct error *error)
{
    char *url = config_database_url(audit->ctl->config);
    audit->postgres = postgres_new(url, "bridgectl audit", DATABASE_SETTINGS);
    free(url);
    return migrate_check_schema(audit->postgres, SCHEMA_VERSION_OLDEST, SCHEMA_VERSION_NEWEST,
                                error);
}

/* The order matters: see audit.h. */
static enum error_code look(struct audit *audit, struct error *error)
{
    enum error_code code = open_database(audit, error);
    if (!code)
        code = rebuild_open_topic(&audit->rebuild, error);
    if (!code)
        code = audit_open_log(audit, error);
    if (!code)
        code = audit_ask_published(audit, error);
    if (!code)
        code = audit_read_topic(audit, error);
    if (!code)
        code = audit_read_workflows(audit, error);
    if (!code)
        code = audit_read_lanes(audit, error);
    if (!code)
        code = look_at_aggregates(audit, error);
    if (code)
        return code;
    audit_ledger_close(audit);
    if (audit->foreign > 0)
        audit_unchecked(audit,
                        "%" PRId64 " records of the topic that are not of this database's "
                        "lanes: of other producers, or from before a restore",
                        audit->foreign);
    if (audit->unknown > 0)
        audit_unchecked(audit,
                        "%" PRId64 " events whose records the broker or the log have dropped",
                        audit->unknown);
    if (audit->ledger_pruned > 0)
        audit_unchecked(audit, "%" PRId64 " workflows of the ledger: their month was dropped",
                        audit->ledger_pruned);
    if (!audit->has_ledger)
        audit_unchecked(audit, "what clients were told: there is no --ledger");
    return ERR_OK;
}

static void close_all(struct audit *audit)
{
    for (int i = 0; audit->lanes && i < audit->shards; i++)
        lane_check_fini(&audit->lanes[i].check);
    for (size_t i = 0; i < audit->unchecked.count; i++)
        free((char *)(uintptr_t)audit->unchecked.items[i]); /* our own copies */
    text_list_fini(&audit->unchecked);
    activity_fini(&audit->activity);
    audit_ledger_fini(&audit->ledger);
    rebuild_close(&audit->rebuild);
    postgres_free(audit->postgres);
    free(audit->faults);
    free(audit->lanes);
    free(audit->dropped);
}

static int tell(struct audit *audit, bool as_json)
{
    if (as_json) {
        struct json *told = audit_json(audit);
        print_json(told);
        json_release(told);
    } else {
        audit_tell(audit);
    }
    return audit_is_fine(audit) ? EXIT_FINE : EXIT_NO;
}

static int run_audit(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    struct audit audit = {.ctl = ctl, .rebuild = {.ctl = ctl, .only = -1}};
    const char *ledger = NULL, *faults = NULL;
    bool as_json = false;
    struct text_list none = {0};
    struct error error = {0};
    audit.rebuild.from_us = WINDOW_NO_TIME;
    const struct argument table[] = {
        {"--ledger", ARGUMENT_TEXT, &ledger, "FILE",
         "what clients were told: JSON lines {workflow_id, namespace, key, state}, or what submit "
         "--json prints; - is standard input",
         0, 0},
        {"--complete", ARGUMENT_FLAG, &audit.complete, NULL,
         "the ledger has every workflow of its namespaces: another one is doubled", 0, 0},
        {"--settled", ARGUMENT_FLAG, &audit.settled, NULL,
         "nothing is under way any more: what is unfinished, unpublished or uncounted is a fault",
         0, 0},
        {"--faults", ARGUMENT_TEXT, &faults, "FILE",
         "JSON lines {at, what}: how long work stood still after each", 0, 0},
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print JSON", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 0, 0, &none);
    text_list_fini(&none);
    if (outcome != EXIT_GO_ON)
        return outcome;
    if (audit.complete && !ledger)
        return usage_fault(command, "--complete goes with --ledger");
    enum error_code code = ledger ? audit_read_ledger(&audit, ledger, &error) : ERR_OK;
    if (!code && faults)
        code = audit_read_faults(&audit, faults, &error);
    if (!code)
        code = look(&audit, &error);
    outcome = code ? fail(&error) : tell(&audit, as_json);
    close_all(&audit);
    return outcome;
}

const struct command audit_commands[] = {
    {.name = "audit",
     .summary =
         "is anything lost, doubled or miscounted? ledger, database, topic and rows compared",
     .usage = "[--ledger FILE [--complete]] [--settled] [--faults FILE] [--json]",
     .prose =
         "Reads only, and everything may run on meanwhile. Every workflow has its end once and "
         "its\n"
         "history whole; lanes have no gap; every published event is on the topic, in order, and "
         "is\n"
         "the one of the log; rows of the reducers are what the topic says (as rebuild --verify).\n"
         "With a ledger: nothing that a client was told of is missing, and no key gave two "
         "workflows.\n"
         "Tells what could not be checked. Exits 1 when anything is wrong.\n"
         "Holds two octets for each event of the log, 40 for each line of the ledger, and the "
         "rows\n"
         "of one partition twice.",
     .example = "bridgectl audit\n"
                "bridgectl audit --ledger accepted.jsonl --settled --json",
     .run = run_audit},
    {.name = NULL},
};
