/* SPDX-License-Identifier: MIT */
/* rebuild.c - holds the reducers' rows against the topic, and writes anew what is wrong or missing. */
#include "rebuild.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "io/contract_files.h"
#include "io/kafka_admin.h"
#include "io/migrate.h"

#define BROKER_TIMEOUT_MS 10000

/* -- opening -- */

static enum error_code check_schema(const char *url, struct error *error)
{
    struct postgres *postgres = postgres_new(url, "bridgectl", NULL);
    enum error_code code =
        migrate_check_schema(postgres, SCHEMA_VERSION_OLDEST, SCHEMA_VERSION_NEWEST, error);
    postgres_free(postgres);
    return code;
}

static enum error_code read_definitions(struct rebuild *rebuild, struct error *error)
{
    const struct config *config = rebuild->ctl->config;
    const struct aggregation_defaults defaults = {
        .size_ms = config->aggregation_window_size_ms,
        .lateness_ms = config->aggregation_allowed_lateness_ms,
    };
    struct findings findings = {0};
    enum error_code code =
        aggregation_files_load(config->contracts_dir, &defaults, &rebuild->set, &findings, error);
    if (!code && !rebuild->set)
        code = error_set(error, ERR_CONFIG,
                         "the aggregations in %s are not valid: see bridgectl aggregations check",
                         config->contracts_dir);
    findings_fini(&findings);
    return code;
}

/* By the list of all topics: a broker may make one that is asked for by name. */
static enum error_code check_topic(const struct config *config, struct error *error)
{
    struct kafka_topic *topics = NULL;
    int count = 0;
    bool there = false;
    enum error_code code = kafka_topics_list(config, BROKER_TIMEOUT_MS, &topics, &count, error);
    for (int i = 0; i < count; i++)
        there = there || strcmp(topics[i].name, config->kafka_workflow_topic) == 0;
    kafka_topics_free(topics, count);
    return code || there
               ? code
               : error_set(error, ERR_NOT_FOUND, "nothing to compare: topic %s does not exist",
                           config->kafka_workflow_topic);
}

enum error_code rebuild_open_topic(struct rebuild *rebuild, struct error *error)
{
    const struct config *config = rebuild->ctl->config;
    const struct kafka_consumer_options options = {
        .topic = config->kafka_workflow_topic,
        .group = "bridgectl-rebuild", /* never joined */
        .client_id = "bridgectl",
        .event_fd = -1,
    };
    enum error_code code = check_topic(config, error);
    if (!code)
        code = kafka_consumer_new(&rebuild->consumer, config, &options, error);
    if (!code)
        code = kafka_consumer_cluster_id(rebuild->consumer, BROKER_TIMEOUT_MS, &rebuild->cluster_id,
                                         error);
    if (!code)
        code = kafka_consumer_partitions(rebuild->consumer, BROKER_TIMEOUT_MS, &rebuild->partitions,
                                         error);
    if (!code && rebuild->partitions > PARTITIONS_MAX)
        code = error_set(error, ERR_LIMIT, "the topic has more than %d partitions", PARTITIONS_MAX);
    return code;
}

enum error_code rebuild_open(struct rebuild *rebuild, struct error *error)
{
    rebuild->database_url = config_database_url(rebuild->ctl->config);
    enum error_code code = check_schema(rebuild->database_url, error);
    if (!code)
        code = read_definitions(rebuild, error);
    if (!code && !rebuild->consumer)
        code = rebuild_open_topic(rebuild, error);
    if (code)
        return code;
    rebuild->store = store_new(rebuild->database_url, rebuild->ctl->config->kafka_workflow_topic,
                               "bridgectl", rebuild->set);
    code =
        store_look_up(rebuild->store, rebuild->cluster_id, rebuild->set, &rebuild->counted, error);
    if (!code && !rebuild->counted.known)
        code =
            error_set(error, ERR_NOT_FOUND,
                      "nothing to compare: no reducer has counted by the files in %s/aggregations",
                      rebuild->ctl->config->contracts_dir);
    return code;
}

/* Where other settings held before, the topic does not say by which of them a row was counted. */
static enum error_code check_repair(const struct rebuild *rebuild, struct error *error)
{
    for (int i = 0; rebuild->repairs && !rebuild->accepts && i < rebuild->set->count; i++) {
        if ((rebuild->only < 0 || rebuild->only == i) && rebuild->counted.otherwise >> i & 1)
            return error_set(error, ERR_CONFIG,
                             "the aggregation %s was counted by other settings before (windows, "
                             "lateness, tolerance or groups), so its older rows may be right as "
                             "they are; --accept writes them by the settings of now",
                             rebuild->set->items[i]->name);
    }
    return ERR_OK;
}

void rebuild_close(struct rebuild *rebuild)
{
    store_free(rebuild->store);
    kafka_consumer_free(rebuild->consumer);
    aggregation_set_free(rebuild->set);
    json_release(rebuild->report.first);
    json_release(rebuild->report.gaps);
    free(rebuild->cluster_id);
    free(rebuild->database_url);
}

/* -- partition by partition -- */

/* How much is to be read, for the progress; partitions that cannot be asked are told of later. */
static void measure(struct rebuild *rebuild)
{
    for (int32_t i = 0; i < rebuild->partitions; i++) {
        struct error error = {0};
        int64_t first, end, place = 0;
        if (kafka_offsets(rebuild->consumer, i, BROKER_TIMEOUT_MS, &first, &end, &error) ==
                ERR_OK &&
            store_place(rebuild->store, i, &place, &error) == ERR_OK && place > first)
            rebuild->total += place - first;
    }
}

/* The first of all differences, with the records behind it. */
static enum error_code describe_first(struct rebuild *rebuild,
                                      const struct rebuild_partition *partition,
                                      const struct rebuild_pair *pair, struct error *error)
{
    const struct aggregate *row = pair->counted ? pair->counted : pair->stored;
    int64_t first, last;
    enum error_code code = rebuild_offsets(rebuild, partition, row, &first, &last, error);
    if (code)
        return code;
    rebuild->report.first = rebuild_describe(pair);
    json_object_set(rebuild->report.first, "first_offset",
                    first < 0 ? json_null() : json_int(first));
    json_object_set(rebuild->report.first, "last_offset", last < 0 ? json_null() : json_int(last));
    return ERR_OK;
}

static enum error_code look_at(struct rebuild *rebuild, int32_t number, struct error *error)
{
    struct rebuild_partition partition;
    struct rebuild_pairs pairs = {0};
    struct rebuild_report before = rebuild->report;
    enum error_code code = rebuild_count(rebuild, &partition, number, error);
    if (!code) {
        rebuild_compare(rebuild, &partition, &pairs);
        rebuild->report.differences += (int64_t)pairs.count;
    }
    if (!code && pairs.count > 0 && !rebuild->report.first)
        code = describe_first(rebuild, &partition, &pairs.items[0], error);
    if (!code && pairs.count > 0 && rebuild->repairs)
        code = rebuild_repair(rebuild, &partition, &pairs, error);
    if (code) { /* it may be looked at once more, and is told once */
        if (rebuild->report.first != before.first)
            json_release(rebuild->report.first);
        rebuild->report = before;
    }
    rebuild_pairs_fini(&pairs);
    rebuild_partition_fini(&partition);
    return code;
}

/* Reducers that write at the same moment, and a broker that drops what is being read, are met again. */
enum error_code rebuild_look_at_all(struct rebuild *rebuild, struct error *error)
{
    enum error_code code = ERR_OK;
    measure(rebuild);
    progress_start(&rebuild->progress, rebuild->ctl);
    for (int32_t i = 0; i < rebuild->partitions && !code; i++) {
        int64_t place = -1;
        code = store_place(rebuild->store, i, &place, error);
        if (!code && place < 0) {
            rebuild->report.unread++;
            continue;
        }
        int tries = 0;
        do {
            code = code ? code : look_at(rebuild, i, error);
        } while ((code == ERR_FENCED || code == ERR_CONFLICT) && ++tries < REBUILD_TRIES_MAX &&
                 !(code = ERR_OK));
    }
    rebuild->report.records = rebuild->done;
    progress_draw(&rebuild->progress, rebuild->done, rebuild->done, rebuild->report.differences);
    progress_end(&rebuild->progress);
    return code;
}

/* -- telling -- */

static void tell_value(const char *before, const struct json *value)
{
    char *text = json_to_text(value);
    char *plain = plain_text(text);
    printf("%s%s", before, plain);
    free(plain);
    free(text);
}

static void tell_first(const struct json *first)
{
    const struct json *from = json_get(first, "first_offset");
    printf("first difference: partition %" PRId64 ", %s %s",
           json_int_value(json_get(first, "partition")),
           json_string_or(json_get(first, "type"), ""),
           json_string_or(json_get(first, "version"), ""));
    if (json_type_of(json_get(first, "window_start")) == JSON_STRING)
        printf(", window %s to %s", json_string_or(json_get(first, "window_start"), ""),
               json_string_or(json_get(first, "window_end"), ""));
    tell_value(", group ", json_get(first, "group"));
    tell_value(", field ", json_get(first, "field"));
    tell_value(": ", json_get(first, "in_topic"));
    tell_value(" by the topic, ", json_get(first, "in_database"));
    printf(" in the database");
    if (json_is_int(from))
        printf(" (records at offsets %" PRId64 " to %" PRId64 ")\n", json_int_value(from),
               json_int_value(json_get(first, "last_offset")));
    else
        printf(" (no record of the topic counts there)\n");
}

static void tell_some(int64_t count, const char *what)
{
    if (count > 0)
        printf("%" PRId64 " %s\n", count, what);
}

static void tell(const struct rebuild *rebuild)
{
    const struct rebuild_report *report = &rebuild->report;
    printf("%" PRId64 " records read, %" PRId64 " rows compared, %" PRId64 " differ\n",
           report->records, report->rows, report->differences);
    if (report->first)
        tell_first(report->first);
    tell_some(report->repaired, "rows written as the topic says");
    tell_some(report->kept,
              "rows left as they are: they or later ones would lose events, and older "
              "records of their partition are gone; --accept writes them all the same");
    tell_some(report->dropped_rows, "rows not compared: the broker has dropped records that may "
                                    "have counted in them");
    tell_some(report->pruned_rows, "rows not compared: their windows were pruned");
    tell_some(report->unknown_rows, "rows not compared: their aggregation has no file here, or "
                                    "other windows");
    tell_some(report->uncounted, "times an aggregation is not counted yet in a partition");
    tell_some(report->unread, "partitions that no reducer has had");
    tell_some(report->unfilled_records, "records were dropped before they were counted: see "
                                        "bridgectl rebuild --fill-gaps");
}

/* Rows or a topic that cannot be compared are not equal to anything. */
static bool nothing_was_compared(const struct rebuild *rebuild)
{
    return rebuild->report.rows == 0 &&
           (rebuild->report.unknown_rows > 0 || rebuild->report.unread == rebuild->partitions);
}

static struct json *report_json(const struct rebuild *rebuild)
{
    const struct rebuild_report *report = &rebuild->report;
    struct json *told = json_object();
    json_object_set(told, "equal",
                    json_bool(report->differences == 0 && !nothing_was_compared(rebuild)));
    json_object_set(told, "records_read", json_int(report->records));
    json_object_set(told, "rows_compared", json_int(report->rows));
    json_object_set(told, "rows_different", json_int(report->differences));
    json_object_set(told, "rows_repaired", json_int(report->repaired));
    json_object_set(told, "rows_kept", json_int(report->kept));
    json_object_set(told, "rows_of_dropped_records", json_int(report->dropped_rows));
    json_object_set(told, "rows_pruned", json_int(report->pruned_rows));
    json_object_set(told, "rows_unknown", json_int(report->unknown_rows));
    json_object_set(told, "aggregations_not_counted", json_int(report->uncounted));
    json_object_set(told, "partitions_not_read", json_int(report->unread));
    json_object_set(told, "records_in_gaps", json_int(report->unfilled_records));
    json_object_set(told, "first_difference",
                    report->first ? json_hold(report->first) : json_null());
    return told;
}

static int tell_gaps(const struct rebuild *rebuild, bool as_json)
{
    const struct json *gaps = rebuild->report.gaps;
    if (as_json)
        print_json(gaps);
    for (size_t i = 0; !as_json && i < json_size(gaps); i++) {
        const struct json *gap = json_at(gaps, i);
        printf("partition %" PRId64 ", offsets %" PRId64 " to %" PRId64 ": %s\n",
               json_int_value(json_get(gap, "partition")),
               json_int_value(json_get(gap, "from_offset")),
               json_int_value(json_get(gap, "to_offset")) - 1,
               json_string_or(json_get(gap, "told"), ""));
    }
    if (!as_json && json_size(gaps) == 0)
        puts("there is no gap to fill");
    return rebuild->report.gaps_left ? EXIT_NO : EXIT_FINE;
}

/* -- the command -- */

struct wishes {
    bool verify, repair, fill, accept, json;
    const char *type, *from;
};

static int rebuild_all(const struct ctl *ctl, const struct wishes *wishes, int64_t from_us)
{
    struct rebuild rebuild = {.ctl = ctl,
                              .only = -1,
                              .from_us = from_us,
                              .repairs = wishes->repair,
                              .accepts = wishes->accept};
    struct error error = {0};
    enum error_code code = rebuild_open(&rebuild, &error);
    if (!code && wishes->type) {
        const struct aggregation *only =
            aggregation_set_find(rebuild.set, wishes->type, strlen(wishes->type));
        rebuild.only = only ? only->index : -1;
        if (!only)
            code = error_set(&error, ERR_NOT_FOUND, "there is no aggregation %.64s", wishes->type);
    }
    if (!code)
        code = check_repair(&rebuild, &error);
    if (!code)
        code = wishes->fill ? rebuild_fill_gaps(&rebuild, &error)
                            : rebuild_look_at_all(&rebuild, &error);
    int outcome = EXIT_FINE;
    if (code) {
        outcome = fail(&error);
    } else if (wishes->fill) {
        outcome = tell_gaps(&rebuild, wishes->json);
    } else {
        struct json *told = report_json(&rebuild);
        outcome =
            rebuild.report.differences > rebuild.report.repaired || nothing_was_compared(&rebuild)
                ? EXIT_NO
                : EXIT_FINE;
        if (wishes->json)
            print_json(told);
        else
            tell(&rebuild);
        json_release(told);
    }
    rebuild_close(&rebuild);
    return outcome;
}

static int run_rebuild(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    struct wishes wishes = {0};
    struct text_list none = {0};
    int64_t from_us = WINDOW_NO_TIME;
    const struct argument table[] = {
        {"--verify", ARGUMENT_FLAG, &wishes.verify, NULL,
         "compare every row with the records of the topic", 0, 0},
        {"--repair", ARGUMENT_FLAG, &wishes.repair, NULL,
         "the same, and write the rows that differ as the topic says", 0, 0},
        {"--fill-gaps", ARGUMENT_FLAG, &wishes.fill, NULL,
         "count what the broker dropped unread, from the transition log", 0, 0},
        {"--accept", ARGUMENT_FLAG, &wishes.accept, NULL,
         "fill gaps of which not all records can be counted; write rows though older records are "
         "gone, or settings were others",
         0, 0},
        {"--type", ARGUMENT_TEXT, &wishes.type, "NAME", "only this aggregation", 0, 0},
        {"--from", ARGUMENT_TEXT, &wishes.from, "TIME",
         "only windows that begin at this time or later (2026-03-01T12:00:00Z)", 0, 0},
        {"--json", ARGUMENT_FLAG, &wishes.json, NULL, "print JSON", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 0, 0, &none);
    text_list_fini(&none);
    if (outcome != EXIT_GO_ON)
        return outcome;
    if (wishes.verify + wishes.repair + wishes.fill != 1)
        return usage_fault(command, "one of --verify, --repair and --fill-gaps must be given");
    if (wishes.accept && wishes.verify)
        return usage_fault(command, "--accept goes with --repair or --fill-gaps");
    if (wishes.fill && (wishes.type || wishes.from))
        return usage_fault(command, "--fill-gaps takes neither --type nor --from");
    if (wishes.from && !instant_parse(wishes.from, strlen(wishes.from), &from_us))
        return usage_fault(command, "--from is no time such as 2026-03-01T12:00:00Z");
    return rebuild_all(ctl, &wishes, from_us);
}

const struct command rebuild_commands[] = {
    {.name = "rebuild",
     .summary = "check what the reducers counted against the topic, and mend it",
     .usage = "--verify | --repair | --fill-gaps [--accept] [--type NAME] [--from TIME] [--json]",
     .prose =
         "Reads the topic from its first record up to where the reducers are, counts it as they "
         "do, and\n"
         "compares every row; they may run on. The first difference is told with the offsets of "
         "the\n"
         "records behind it. Needs the files of CONTRACTS_DIR; windows, lateness, tolerance and "
         "the bound\n"
         "on groups are those that the reducers wrote down. --repair refuses aggregations for "
         "which they\n"
         "were others before.\n"
         "Holds the rows of one partition in memory, twice. Exits 1 when rows differ that were not "
         "mended, when a gap\n"
         "is left, or when nothing could be compared.",
     .example = "bridgectl rebuild --verify\n"
                "bridgectl rebuild --repair --type namespace_grouping",
     .run = run_rebuild},
    {.name = NULL},
};
