/* SPDX-License-Identifier: MIT */
/* Aggregations as files: what is refused, what each measure counts, windows that hop, rows as octets. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregation_files.h"
#include "base/instant.h"
#include "reducer/core/reducer.h"

#define BASE_US 1763740800000000ll /* 2025-11-21T16:00:00Z, a window's start */

static struct aggregation_set *set;
static struct reducer reducer;
static int64_t offset;

static void setup(void) { set = aggregation_set_new(&defaults); }
static void teardown(void)
{
    reducer_fini(&reducer);
    reducer = (struct reducer){0};
    aggregation_set_free(set);
}

static void begin(void)
{
    reducer_init(&reducer, set, 1000000);
    reducer_assign(&reducer, 1, 1, 0, WINDOW_NO_TIME, WINDOW_NO_TIME);
    reducer_assign(&reducer, 2, 1, 0, WINDOW_NO_TIME, WINDOW_NO_TIME);
    offset = 0;
}

/* An event of type "order" at BASE + after_ms with this payload. */
static struct reducer_outcome give(int32_t partition, int64_t after_ms, const char *payload)
{
    static char value[8192];
    char time[INSTANT_TEXT_BYTES];
    int bytes = snprintf(value, sizeof(value),
                         "{\"event_type\":\"order\",\"event_timestamp\":\"%s\",\"payload\":%s}",
                         instant_format_us(BASE_US + after_ms * 1000, time), payload);
    const struct reducer_record record = {.partition = partition,
                                          .offset = offset++,
                                          .key = "key-1",
                                          .key_bytes = 5,
                                          .value = value,
                                          .value_bytes = (size_t)bytes};
    return reducer_record(&reducer, &record);
}

static struct aggregate *row_of(int32_t partition, int64_t start_ms, const char *group)
{
    bool windowed = set->windows[set->items[0]->window].windowed;
    return reducer_row(&reducer, reducer.partitions[partition], 0,
                       windowed ? BASE_US + start_ms * 1000 : 0, group, strlen(group));
}

/* The values of a row as JSON text. */
static const char *values_of(const struct aggregate *row)
{
    static char text[4096];
    struct buffer out = {0};
    struct json *values = aggregate_values(set, row);
    json_write(values, &out);
    json_release(values);
    snprintf(text, sizeof(text), "%s", buffer_text(&out));
    buffer_fini(&out);
    return text;
}

#define HEAD "name: orders\nversion: 1.0.0\n"
#define COUNT_ONE "measures: {n: count}\n"

static const struct {
    const char *text;
    const char *finding;
} refused[] = {
    {"[", "YAML_SYNTAX"},
    {"- a", "1:1: error AGGREGATION_BAD_VALUE"},
    {"version: 1.0.0\n" COUNT_ONE, "AGGREGATION_MISSING: name is missing"},
    {"name: Orders\nversion: 1.0.0\n" COUNT_ONE, "1:1: error AGGREGATION_BAD_NAME"},
    {"name: orders\nversion: 1\n" COUNT_ONE, "2:1: error AGGREGATION_BAD_VALUE"},
    {"name: orders\nversion: a.b\n" COUNT_ONE, "2:1: error AGGREGATION_BAD_VERSION"},
    {HEAD "measure: {n: count}\n" COUNT_ONE, "3:1: error AGGREGATION_UNKNOWN_MEMBER"},
    {HEAD, "AGGREGATION_LIMIT: measures is an object"},
    {HEAD "fields: {a: [{path: b}]}\n" COUNT_ONE, "AGGREGATION_BAD_VALUE: a field is an object"},
    {HEAD "measures: {n: cont}\n", "AGGREGATION_BAD_MEASURE"},
    {HEAD "measures: {n: {sum: nothing}}\n", "AGGREGATION_UNKNOWN_FIELD"},
    {HEAD "measures: {n: {sum: payload..a}}\n", "AGGREGATION_BAD_PATH"},
    {HEAD "measures: {n: {sum: a.b.c.d.e.f.g.h.i}}\n", "AGGREGATION_BAD_PATH"},
    {HEAD "measures: {n: {percentile: payload.a}}\n", "AGGREGATION_BAD_MEASURE"},
    {HEAD "measures: {n: {percentile: payload.a, p: 101}}\n", "AGGREGATION_BAD_MEASURE"},
    {HEAD "measures: {n: {ratio: [a, b]}}\n", "AGGREGATION_BAD_MEASURE"},
    {HEAD "measures: {unique_counts_exact: count}\n", "AGGREGATION_NAME_TAKEN"},
    {HEAD "group_by: [payload.n]\n" COUNT_ONE, "AGGREGATION_NAME_TAKEN"},
    {HEAD "measures: {\"no name\": count}\n", "AGGREGATION_BAD_NAME"},
    {HEAD "window: {type: none}\nmeasures: {n: rate}\n", "AGGREGATION_BAD_MEASURE"},
    {HEAD "window: {type: sliding}\n" COUNT_ONE, "3:10: error AGGREGATION_BAD_WINDOW"},
    {HEAD "window: {type: hopping, size_ms: 1000}\n" COUNT_ONE, "AGGREGATION_BAD_WINDOW"},
    {HEAD "window: {type: hopping, size_ms: 1000, hop_ms: 300}\n" COUNT_ONE,
     "AGGREGATION_BAD_WINDOW"},
    {HEAD "window: {type: hopping, size_ms: 100000, hop_ms: 10}\n" COUNT_ONE,
     "AGGREGATION_BAD_WINDOW"},
    {HEAD "window: {type: tumbling, hop_ms: 100}\n" COUNT_ONE, "AGGREGATION_BAD_WINDOW"},
    {HEAD "window: {type: none, size_ms: 100}\n" COUNT_ONE, "AGGREGATION_BAD_WINDOW"},
    {HEAD "window: {size_ms: 5}\n" COUNT_ONE, "3:10: error AGGREGATION_BAD_VALUE"},
    {HEAD "filter: {field: event_type, equals: a}\n" COUNT_ONE, "AGGREGATION_BAD_VALUE"},
    {HEAD "filter: [{field: event_type}]\n" COUNT_ONE, "AGGREGATION_BAD_CONDITION"},
    {HEAD "filter: [{equals: a}]\n" COUNT_ONE, "AGGREGATION_BAD_CONDITION"},
    {HEAD "filter: [{field: event_type, is: a}]\n" COUNT_ONE, "AGGREGATION_UNKNOWN_MEMBER"},
    {HEAD "filter: [{field: event_type, in: a}]\n" COUNT_ONE, "AGGREGATION_BAD_CONDITION"},
    {HEAD "filter: [{field: payload.a, less: a}]\n" COUNT_ONE, "AGGREGATION_BAD_CONDITION"},
    {HEAD "filter: [{field: payload.a, exists: 1}]\n" COUNT_ONE, "AGGREGATION_BAD_CONDITION"},
    {HEAD "filter: [{field: payload.a, equals: [1]}]\n" COUNT_ONE, "AGGREGATION_BAD_CONDITION"},
    {HEAD "group_by: [{name: s, field: payload.a, buckets: [{name: x, to: 1}]}]\n" COUNT_ONE,
     "AGGREGATION_BAD_BUCKETS"},
    {HEAD "group_by: [{name: s, field: payload.a, buckets: [{name: x, to: 2}, {name: y, to: 1}, "
          "{name: z}]}]\n" COUNT_ONE,
     "the bounds of buckets must rise"},
    {HEAD "group_by: [payload.a, payload.b.a]\n" COUNT_ONE, "AGGREGATION_NAME_TAKEN"},
    {HEAD "fields: {a: {path: payload.a, type: word}}\n" COUNT_ONE, "AGGREGATION_BAD_VALUE"},
    {HEAD "fields: {a: {path: payload.a, minimum: 1}}\n" COUNT_ONE, "AGGREGATION_BAD_VALUE"},
    {HEAD "fields: {a: {path: [a.a, a.b, a.c, a.d, a.e]}}\n" COUNT_ONE, "AGGREGATION_LIMIT"},
    {HEAD "fields: {a: {path: payload.a, type: number, default: \"1\"}}\n" COUNT_ONE,
     "AGGREGATION_BAD_VALUE"},
    {HEAD "invalid: drop\n" COUNT_ONE, "AGGREGATION_BAD_VALUE"},
    {HEAD "retention_days: -1\n" COUNT_ONE, "AGGREGATION_BAD_VALUE"},
};

START_TEST(what_is_wrong_with_a_file_is_said_with_its_place)
{
    struct findings findings = {0};
    struct buffer text = {0};
    const char *file = refused[_i].text;
    ck_assert_ptr_null(aggregation_set_parse(set, "orders.yaml", file, strlen(file), &findings));
    findings_write(&findings, &text);
    ck_assert_msg(strstr(buffer_text(&text), refused[_i].finding) != NULL, "%s\nis said to be\n%s",
                  file, buffer_text(&text));
    ck_assert_int_eq(strncmp(buffer_text(&text), "orders.yaml:", 12), 0);
    buffer_fini(&text);
    findings_fini(&findings);
}
END_TEST

START_TEST(a_name_is_taken_once)
{
    struct findings findings = {0};
    add_text(set, "a.yaml", HEAD COUNT_ONE);
    ck_assert_ptr_null(
        aggregation_set_parse(set, "b.yaml", HEAD COUNT_ONE, strlen(HEAD COUNT_ONE), &findings));
    ck_assert_str_eq(findings.items[0].code, "AGGREGATION_NAME_TAKEN");
    findings_fini(&findings);
}
END_TEST

START_TEST(the_hash_is_of_what_counts)
{
    struct aggregation_set *other = aggregation_set_new(&defaults),
                           *third = aggregation_set_new(&defaults);
    const struct aggregation *a = add_text(set, "a.yaml", HEAD COUNT_ONE);
    const struct aggregation *b =
        add_text(other, "b.yaml", HEAD "description: new words\nretention_days: 3\n" COUNT_ONE);
    const struct aggregation *c =
        add_text(third, "c.yaml", HEAD "filter: [{field: event_type, equals: x}]\n" COUNT_ONE);
    ck_assert_str_eq(a->content_hash, b->content_hash);
    ck_assert_str_ne(a->content_hash, c->content_hash);
    aggregation_set_free(other);
    aggregation_set_free(third);
}
END_TEST

static const char *const shipped[] = {
    "namespace_grouping",          "namespace_total", "time_window",
    "file_type_grouping",          "size_buckets",    "workflow_grouping",
    "workflow_status_distribution"};

START_TEST(the_shipped_ones_are_fine_and_share_what_they_read)
{
    for (size_t i = 0; i < sizeof(shipped) / sizeof(shipped[0]); i++)
        ck_assert_str_eq(add_shipped(set, shipped[i])->name, shipped[i]);
    ck_assert_int_eq(set->windows_count, 2);   /* tumbling, none */
    ck_assert_int_eq(set->audiences_count, 3); /* stamps, workflows, states */
    ck_assert_int_le(event_paths_count(set->paths), 20);
}
END_TEST

#define MEASURES                                                                                   \
    "fields: {amount: {path: payload.amount, type: integer}}\n"                                    \
    "group_by: [payload.city]\n"                                                                   \
    "measures:\n"                                                                                  \
    "  n: count\n"                                                                                 \
    "  big: {count: {where: [{field: amount, greater: 10}]}}\n"                                    \
    "  per_second: rate\n"                                                                         \
    "  total: {sum: amount}\n"                                                                     \
    "  mean: {avg: amount}\n"                                                                      \
    "  least: {min: amount}\n"                                                                     \
    "  most: {max: amount}\n"                                                                      \
    "  weight: {sum: payload.weight}\n"                                                            \
    "  buyers: {distinct: payload.buyer}\n"                                                        \
    "  p50: {percentile: amount, p: 50}\n"                                                         \
    "  opening: {first: payload.buyer}\n"                                                          \
    "  closing: {last: payload.weight}\n"                                                          \
    "  since: {min: event_timestamp}\n"                                                            \
    "  big_share: {share: [{field: amount, greater: 10}], of: [{field: amount, exists: true}]}\n"  \
    "  spent_each: {ratio: [total, buyers]}\n"                                                     \
    "  window_end: window_end\n"

static void give_orders(void)
{
    give(1, 200, "{\"city\":\"Ulm\",\"amount\":5,\"buyer\":\"b\",\"weight\":1.5}");
    give(2, 100, "{\"city\":\"Ulm\",\"amount\":20,\"buyer\":\"a\"}");
    give(1, 300, "{\"city\":\"Ulm\",\"buyer\":\"b\",\"weight\":\"heavy\"}");
    give(2, 400, "{\"city\":\"Ulm\",\"amount\":-5,\"buyer\":7,\"weight\":0.25}");
    give(2, 400, "{\"city\":\"Bonn\",\"amount\":1000}");
}

static const char ulm[] = "{\"city\":\"Ulm\",\"n\":4,\"big\":1,\"per_second\":0.8,\"total\":20,"
                          "\"mean\":6.666666666666667,\"least\":-5,\"most\":20,"
                          "\"weight\":1.75,\"buyers\":3,\"p50\":";
static const char ulm_rest[] =
    ",\"opening\":\"a\",\"closing\":0.25,\"since\":\"2025-11-21T16:00:00.100000Z\","
    "\"big_share\":0.3333333333333333,\"spent_each\":6.666666666666667,"
    "\"window_end\":\"2025-11-21T16:00:05.000000Z\",\"unique_counts_exact\":true}";

START_TEST(measures_of_merged_partitions)
{
    add_text(set, "orders.yaml", HEAD MEASURES);
    begin();
    give_orders();
    struct aggregate *merged = row_of(1, 0, "Ulm");
    aggregate_merge(merged, row_of(2, 0, "Ulm"));
    const char *values = values_of(merged);
    ck_assert_msg(strncmp(values, ulm, sizeof(ulm) - 1) == 0, "%s", values);
    ck_assert_double_eq_tol(strtod(values + sizeof(ulm) - 1, NULL), 5, 0.05);
    ck_assert_str_eq(strstr(values, ",\"opening\""), ulm_rest);
    ck_assert_int_eq(merged->events, 4);
}
END_TEST

START_TEST(an_empty_row_has_nulls_where_nothing_was_seen)
{
    add_text(set, "orders.yaml", HEAD MEASURES);
    begin();
    ck_assert_str_eq(
        values_of(row_of(1, 0, "Ulm")),
        "{\"city\":\"Ulm\",\"n\":0,\"big\":0,\"per_second\":0.0,\"total\":0,\"mean\":null,"
        "\"least\":null,\"most\":null,"
        "\"weight\":0.0,\"buyers\":0,\"p50\":null,\"opening\":null,\"closing\":null,\"since\":null,"
        "\"big_share\":null,\"spent_each\":null,\"window_end\":\"2025-11-21T16:00:05.000000Z\","
        "\"unique_counts_exact\":true}");
}
END_TEST

START_TEST(a_row_survives_its_encoding)
{
    char before[4096], longer[2048] = "{\"city\":\"Ulm\",\"buyer\":\"";
    struct buffer octets = {0};
    add_text(set, "orders.yaml", HEAD MEASURES);
    begin();
    give_orders();
    memset(longer + strlen(longer), 'x', 1500);
    strcat(longer, "\"}");
    give(1, 50, longer); /* the first buyer has a long name, which is cut */
    struct aggregate *row = row_of(1, 0, "Ulm");
    aggregate_encode(row, &octets);
    struct aggregate *copy = aggregate_new(set, set->items[0], 1, BASE_US, "Ulm", 3);
    ck_assert(aggregate_decode(copy, octets.data, octets.bytes));
    snprintf(before, sizeof(before), "%s", values_of(row));
    ck_assert_str_eq(values_of(copy), before);
    aggregate_free(copy);
    for (size_t bytes = 0; bytes < octets.bytes; bytes++) { /* what is cut off is no row */
        copy = aggregate_new(set, set->items[0], 1, BASE_US, "Ulm", 3);
        ck_assert(!aggregate_decode(copy, octets.data, bytes));
        aggregate_free(copy);
    }
    copy = aggregate_new(set, set->items[0], 1, BASE_US, "Ulm", 3);
    octets.data[ROW_HEAD_BYTES] = 0x40; /* a count that nothing can have counted */
    ck_assert(!aggregate_decode(copy, octets.data, octets.bytes));
    aggregate_free(copy);
    copy = aggregate_new(set, set->items[0], 1, BASE_US, "Ulm", 3);
    octets.data[ROW_HEAD_BYTES] = 0;
    memset(memmem(octets.data, octets.bytes, "xxxx", 4), 0, 1); /* a text that JSON cannot have */
    ck_assert(!aggregate_decode(copy, octets.data, octets.bytes));
    aggregate_free(copy);
    buffer_fini(&octets);
}
END_TEST

START_TEST(hopping_windows_overlap_and_are_late_one_by_one)
{
    add_text(set, "orders.yaml",
             HEAD
             "window: {type: hopping, size_ms: 5000, hop_ms: 1000, lateness_ms: 2000}\n" COUNT_ONE);
    begin();
    ck_assert_int_eq(give(1, 4500, "{}").verdict, RECORD_COUNTED);
    for (int start = 0; start <= 4000; start += 1000)
        ck_assert_int_eq(row_of(1, start, "")->events, 1);
    ck_assert_int_eq(row_of(1, 5000, "")->events, 0);
    ck_assert_int_eq(give(1, 8100, "{}").verdict, RECORD_COUNTED); /* watermark 7100 */
    ck_assert_int_eq(give(1, 5500, "{}").verdict, RECORD_LATE);    /* ends at 6000 to 10000 */
    ck_assert_int_eq(row_of(1, 1000, "")->revision, 2);
    ck_assert_int_eq(row_of(1, 2000, "")->revision, 2);
    ck_assert_int_eq(row_of(1, 3000, "")->revision, 1);
    struct reducer_outcome outcome =
        give(1, 4900, "{}"); /* the window that ended at 5000 is closed */
    ck_assert_int_eq(outcome.verdict, RECORD_TOO_LATE);
    ck_assert_ptr_nonnull(strstr(outcome.reason, "late"));
    ck_assert_ptr_nonnull(strstr(outcome.reason, "orders"));
    ck_assert_int_eq(row_of(1, 0, "")->events, 1);
    ck_assert_int_eq(row_of(1, 1000, "")->events, 3);
}
END_TEST

static const struct {
    const char *filter;
    const char *payload;
    bool counts;
} conditions[] = {
    {"{field: payload.a, equals: x}", "{\"a\":\"x\"}", true},
    {"{field: payload.a, equals: x}", "{\"a\":\"\\u0078\"}", true},
    {"{field: payload.a, equals: x}", "{}", false},
    {"{field: payload.a, equals: 5}", "{\"a\":5.0}", true},
    {"{field: payload.a, equals: 5}", "{\"a\":\"5\"}", false},
    {"{field: payload.a, equals: true}", "{\"a\":true}", true},
    {"{field: payload.a, equals: true}", "{\"a\":false}", false},
    {"{field: payload.a, not_equals: x}", "{\"a\":\"y\"}", true},
    {"{field: payload.a, not_equals: x}", "{}", true},
    {"{field: payload.a, not_equals: x}", "{\"a\":\"x\"}", false},
    {"{field: payload.a, in: [x, 3]}", "{\"a\":3}", true},
    {"{field: payload.a, in: [x, 3]}", "{\"a\":\"z\"}", false},
    {"{field: payload.a, not_in: [x, 3]}", "{\"a\":\"z\"}", true},
    {"{field: payload.a, prefix: ab}", "{\"a\":\"abc\"}", true},
    {"{field: payload.a, prefix: ab}", "{\"a\":\"a\"}", false},
    {"{field: payload.a, exists: true}", "{\"a\":null}", false},
    {"{field: payload.a, exists: true}", "{\"a\":0}", true},
    {"{field: payload.a, exists: false}", "{}", true},
    {"{field: payload.a, less: 3}", "{\"a\":2.5}", true},
    {"{field: payload.a, less: 3}", "{\"a\":3}", false},
    {"{field: payload.a, less_or_equal: 3}", "{\"a\":3}", true},
    {"{field: payload.a, greater: 3}", "{\"a\":\"4\"}", false},
    {"{field: payload.a, greater_or_equal: -1.5}", "{\"a\":-1.5}", true},
    {"{field: payload.a, greater: 1, less: 3}", "{\"a\":2}", true},
    {"{field: payload.a, greater: 1, less: 3}", "{\"a\":4}", false},
    {"{field: payload.a.b.c, equals: x}", "{\"a\":{\"c\":\"y\",\"b\":{\"c\":\"x\"}}}", true},
    {"{field: payload.a.b.c, equals: x}", "{\"a\":{\"b\":[{\"c\":\"x\"}]}}", false},
    {"{field: record.key, equals: key-1}", "{}", true},
    {"{field: event_type, equals: order}, {field: payload.a, exists: true}", "{}", false},
};

START_TEST(filters_say_which_events_count)
{
    char text[512];
    snprintf(text, sizeof(text), HEAD "filter: [%s]\n" COUNT_ONE, conditions[_i].filter);
    add_text(set, "orders.yaml", text);
    begin();
    ck_assert_int_eq(give(1, 0, conditions[_i].payload).verdict,
                     conditions[_i].counts ? RECORD_COUNTED : RECORD_IGNORED);
}
END_TEST

START_TEST(groups_of_several_keys_are_lists)
{
    add_text(set, "orders.yaml",
             HEAD "fields: {kind: {path: payload.kind, default: none}}\n"
                  "group_by: [payload.city, kind, {name: size, field: payload.amount, buckets: "
                  "[{name: small, to: 10}, {name: large}]}]\n" COUNT_ONE);
    begin();
    give(1, 0, "{\"city\":\"a\\\"b\",\"kind\":\"k\",\"amount\":10}");
    give(1, 0, "{\"city\":\"Ulm\",\"amount\":10.5}");
    ck_assert_int_eq(row_of(1, 0, "[\"a\\\"b\",\"k\",\"small\"]")->events, 1);
    ck_assert_int_eq(row_of(1, 0, "[\"Ulm\",\"none\",\"large\"]")->events, 1);
    ck_assert_str_eq(values_of(row_of(1, 0, "[\"a\\\"b\",\"k\",\"small\"]")),
                     "{\"city\":\"a\\\"b\",\"kind\":\"k\",\"size\":\"small\",\"n\":1}");
    struct reducer_outcome outcome = give(1, 0, "{\"city\":\"Ulm\"}"); /* no amount, no bucket */
    ck_assert_int_eq(outcome.verdict, RECORD_IGNORED);
    ck_assert(outcome.invalid);
}
END_TEST

START_TEST(broken_rules_skip_or_make_dead_letters)
{
    static const char rules[] = "fields: {amount: {path: payload.amount, type: integer, minimum: "
                                "1, required: true}}\n" COUNT_ONE;
    char text[512];
    snprintf(text, sizeof(text), HEAD "invalid: %s\n%s", _i ? "dead_letter" : "skip", rules);
    add_text(set, "orders.yaml", text);
    add_text(set, "all.yaml", "name: everything\nversion: 1.0.0\n" COUNT_ONE);
    begin();
    ck_assert_int_eq(give(1, 0, "{\"amount\":1}").verdict, RECORD_COUNTED);
    static const char *const broken[] = {"{}", "{\"amount\":0}", "{\"amount\":1.5}",
                                         "{\"amount\":\"1\"}"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct reducer_outcome outcome = give(1, 0, broken[i]);
        ck_assert_int_eq(outcome.verdict, _i ? RECORD_MALFORMED : RECORD_COUNTED);
        ck_assert_int_eq(outcome.invalid, _i == 0);
        if (_i)
            ck_assert_int_eq(strncmp(outcome.reason, "amount is missing", 17), 0);
    }
    ck_assert_int_eq(row_of(1, 0, "")->events, 1);
    ck_assert_int_eq(reducer_row(&reducer, reducer.partitions[1], 1, BASE_US, "", 0)->events,
                     _i ? 1 : 5);
}
END_TEST

START_TEST(a_partition_counts_only_what_it_is_told_to)
{
    add_text(set, "orders.yaml", HEAD COUNT_ONE);
    add_text(set, "all.yaml", "name: everything\nversion: 1.0.0\n" COUNT_ONE);
    begin();
    reducer.partitions[1]->counting = 2;
    ck_assert_int_eq(give(1, 0, "{}").verdict, RECORD_COUNTED);
    reducer.partitions[1]->counting = 0;
    ck_assert_int_eq(give(1, 0, "{}").verdict, RECORD_IGNORED);
    ck_assert_int_eq(give(2, 0, "{}").verdict, RECORD_COUNTED);
    ck_assert_int_eq(row_of(1, 0, "")->events, 0);
    ck_assert_int_eq(row_of(2, 0, "")->events, 1);
    ck_assert_int_eq(reducer_row(&reducer, reducer.partitions[1], 1, BASE_US, "", 0)->events, 1);
}
END_TEST

#define STRICT                                                                                     \
    "name: strict\nversion: 1.0.0\ninvalid: dead_letter\n"                                         \
    "fields: {amount: {path: payload.amount, type: integer, required: true}}\n" COUNT_ONE

START_TEST(an_aggregation_that_does_not_count_makes_no_dead_letters)
{
    add_text(set, "orders.yaml", HEAD COUNT_ONE);
    add_text(set, "strict.yaml", STRICT);
    begin();
    reducer.partitions[1]->counting = 1; /* the strict one came later */
    ck_assert_int_eq(give(1, 0, "{}").verdict, RECORD_COUNTED);
    ck_assert_int_eq(row_of(1, 0, "")->events, 1);
    reducer.partitions[1]->counting = 3;
    ck_assert_int_eq(give(1, 0, "{}").verdict, RECORD_MALFORMED);
    reducer.partitions[1]->counting = 1; /* counted elsewhere, as when one aggregation is rebuilt */
    reducer.partitions[1]->judging = 2;
    ck_assert_int_eq(give(1, 0, "{}").verdict, RECORD_MALFORMED);
    ck_assert_int_eq(row_of(1, 0, "")->events, 1);
}
END_TEST

START_TEST(windows_become_those_of_the_reducers)
{
    const struct aggregation *orders = add_text(set, "orders.yaml", HEAD COUNT_ONE);
    const struct aggregation *all =
        add_text(set, "all.yaml", "name: everything\nversion: 1.0.0\n" COUNT_ONE);
    const struct aggregation *ever =
        add_text(set, "ever.yaml", "name: ever\nversion: 1.0.0\nwindow: {type: none}\n" COUNT_ONE);
    int64_t before_us = set->windows[orders->window].size_us;
    ck_assert(aggregation_set_window(set, all->index, 7000000, 9000000));
    ck_assert_int_eq(set->windows[all->window].size_us, 7000000);
    ck_assert_int_eq(set->windows[all->window].hop_us, 7000000);
    ck_assert_int_eq(set->windows[all->window].lateness_us, 9000000);
    ck_assert_int_eq(set->windows[orders->window].size_us, before_us);
    ck_assert(!set->windows[ever->window].windowed);
    ck_assert(!aggregation_set_window(set, ever->index, 7000000, 0));
}
END_TEST

START_TEST(small_sets_stand_in_their_row_and_large_ones_do_not)
{
    char payload[64];
    add_text(set, "orders.yaml", HEAD "measures: {buyers: {distinct: payload.buyer}}\n");
    begin();
    for (int i = 0; i < INLINE_VALUES_MAX + 1; i++) {
        snprintf(payload, sizeof(payload), "{\"buyer\":%d}", i);
        give(1, 0, payload);
        give(1, 0, payload);
        struct aggregate_set *buyers = aggregate_set_of(row_of(1, 0, ""), 0);
        ck_assert_int_eq(distinct_count(&buyers->values), i + 1);
        ck_assert_int_eq(aggregate_set_is_inline(buyers), i < INLINE_VALUES_MAX);
    }
    struct buffer octets = {0};
    aggregate_encode(row_of(1, 0, ""), &octets);
    ck_assert_uint_eq(octets.bytes, ROW_HEAD_BYTES + ROW_CELL_BYTES + 1);
    buffer_fini(&octets);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("aggregation");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, what_is_wrong_with_a_file_is_said_with_its_place, 0,
                        (int)(sizeof(refused) / sizeof(refused[0])));
    tcase_add_test(tests, a_name_is_taken_once);
    tcase_add_test(tests, the_hash_is_of_what_counts);
    tcase_add_test(tests, the_shipped_ones_are_fine_and_share_what_they_read);
    tcase_add_test(tests, measures_of_merged_partitions);
    tcase_add_test(tests, an_empty_row_has_nulls_where_nothing_was_seen);
    tcase_add_test(tests, a_row_survives_its_encoding);
    tcase_add_test(tests, hopping_windows_overlap_and_are_late_one_by_one);
    tcase_add_loop_test(tests, filters_say_which_events_count, 0,
                        (int)(sizeof(conditions) / sizeof(conditions[0])));
    tcase_add_test(tests, groups_of_several_keys_are_lists);
    tcase_add_test(tests, windows_become_those_of_the_reducers);
    tcase_add_test(tests, an_aggregation_that_does_not_count_makes_no_dead_letters);
    tcase_add_loop_test(tests, broken_rules_skip_or_make_dead_letters, 0, 2);
    tcase_add_test(tests, a_partition_counts_only_what_it_is_told_to);
    tcase_add_test(tests, small_sets_stand_in_their_row_and_large_ones_do_not);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
