/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "reducer/core/reducer.h"

#include "aggregation_files.h"

#define BASE_US 1763740800000000ll /* 2025-11-21T16:00:00Z, a window's start */
#define TOLERANCE_US 1000000
#define DEFAULT_NAMESPACE "omninode.services.metadata"

static struct aggregation_set *set;
static struct reducer reducer;
static int64_t offset;

static void setup(void)
{
    set = aggregation_set_new(&defaults);
    add_shipped(set, "namespace_grouping");
    add_shipped(set, "namespace_total");
    add_shipped(set, "time_window");
    reducer_init(&reducer, set, TOLERANCE_US);
    reducer_assign(&reducer, 3, 1, 100, WINDOW_NO_TIME, WINDOW_NO_TIME);
    offset = 100;
}

static void teardown(void)
{
    reducer_fini(&reducer);
    aggregation_set_free(set);
}

/* A stamp at BASE + after_ms; lane NULL: a record of another producer. */
static struct reducer_outcome give(const char *namespace, const char *workflow, int64_t after_ms,
                                   const char *lane, const char *seq)
{
    static char value[512];
    char time[INSTANT_TEXT_BYTES];
    int bytes = snprintf(
        value, sizeof(value),
        "{\"event_type\":\"stamp_workflow_completed\",\"event_timestamp\":\"%s\",\"payload\":{"
        "\"namespace\":\"%s\","
        "\"workflow_id\":\"%s\",\"file_hash\":\"h-%s\",\"file_size\":10,\"processing_time_ms\":4}}",
        instant_format_us(BASE_US + after_ms * 1000, time), namespace, workflow, workflow);
    const struct reducer_record record = {
        .partition = 3,
        .offset = offset++,
        .key = workflow,
        .key_bytes = strlen(workflow),
        .value = value,
        .value_bytes = (size_t)bytes,
        .lane = lane,
        .lane_bytes = lane ? strlen(lane) : 0,
        .seq = seq,
        .seq_bytes = seq ? strlen(seq) : 0,
    };
    return reducer_record(&reducer, &record);
}

static struct reducer_outcome give_text(const char *value)
{
    const struct reducer_record record = {.partition = 3,
                                          .offset = offset++,
                                          .key = "k",
                                          .key_bytes = 1,
                                          .value = value,
                                          .value_bytes = value ? strlen(value) : 0};
    return reducer_record(&reducer, &record);
}

static struct aggregate *row(const char *type, int64_t start_ms, const char *group)
{
    const struct aggregation *definition = aggregation_set_find(set, type, strlen(type));
    bool windowed = set->windows[definition->window].windowed;
    return reducer_row(&reducer, reducer.partitions[3], definition->index,
                       windowed ? BASE_US + start_ms * 1000 : 0, group, strlen(group));
}

static double figure(const struct aggregate *of, const char *name)
{
    struct json *value = aggregate_value_named(of, name);
    ck_assert_msg(value != NULL, "no measure %s", name);
    double number = json_double_value(value);
    json_release(value);
    return number;
}

START_TEST(a_stamp_is_counted_in_its_window_and_in_the_totals)
{
    ck_assert_int_eq(give("a", "w1", 100, NULL, NULL).verdict, RECORD_COUNTED);
    ck_assert_int_eq(give("a", "w2", 4900, NULL, NULL).verdict, RECORD_COUNTED);
    ck_assert_int_eq(give("b", "w3", 5000, NULL, NULL).verdict, RECORD_COUNTED);
    ck_assert_int_eq(row("namespace_grouping", 0, "a")->events, 2);
    ck_assert_int_eq(row("namespace_grouping", 5000, "b")->events, 1);
    ck_assert_int_eq(row("time_window", 0, "")->events, 2);
    ck_assert_double_eq_tol(figure(row("time_window", 5000, ""), "p95_latency_ms"), 4, 0.04);
    ck_assert_double_eq(figure(row("namespace_total", 0, "a"), "total_size_bytes"), 20);
    ck_assert_double_eq(figure(row("namespace_total", 0, "a"), "unique_workflows"), 2);
    ck_assert_int_eq(reducer.partitions[3]->next_offset, 103);
}
END_TEST

START_TEST(a_repeat_is_known_by_lane_and_seq)
{
    ck_assert_int_eq(give("a", "w1", 0, "1.7", "5").verdict, RECORD_COUNTED);
    ck_assert_int_eq(give("a", "w1", 0, "1.7", "5").verdict, RECORD_REPEAT);
    ck_assert_int_eq(give("a", "w0", 0, "1.7", "4").verdict, RECORD_REPEAT);
    ck_assert_int_eq(give("a", "w2", 0, "1.8", "4").verdict, RECORD_COUNTED);
    ck_assert_int_eq(give("a", "w3", 0, "2.7", "1").verdict, RECORD_COUNTED);
    ck_assert_int_eq(row("namespace_total", 0, "a")->events, 3);
    ck_assert_int_eq(reducer_lane_seq(reducer.partitions[3], "1.7", 3), 5);
    ck_assert_int_eq(reducer_lane_seq(reducer.partitions[3], "9.9", 3), -1);
}
END_TEST

START_TEST(a_record_is_read_once_by_its_offset)
{
    ck_assert_int_eq(give("a", "w1", 0, NULL, NULL).verdict, RECORD_COUNTED);
    offset = 100;
    ck_assert_int_eq(give("a", "w1", 0, NULL, NULL).verdict, RECORD_SKIPPED);
    offset = 99;
    ck_assert_int_eq(give("a", "w1", 0, NULL, NULL).verdict, RECORD_SKIPPED);
    ck_assert_int_eq(row("namespace_total", 0, "a")->events, 1);
    reducer_revoke(&reducer, 3);
    offset = 500;
    ck_assert_int_eq(give("a", "w1", 0, NULL, NULL).verdict, RECORD_SKIPPED);
}
END_TEST

/* A producer sets the time of its records, and may say anything. */
START_TEST(any_time_of_a_record_is_taken)
{
    static const int64_t times_ms[] = {0, -1, INT64_MIN, INT64_MAX, INT64_MAX / 1000};
    for (size_t i = 0; i < sizeof times_ms / sizeof *times_ms; i++) {
        static const char value[] =
            "{\"event_type\":\"x\",\"event_timestamp\":\"2025-11-21T16:00:00Z\",\"payload\":{}}";
        const struct reducer_record record = {.partition = 3,
                                              .offset = offset++,
                                              .timestamp_ms = times_ms[i],
                                              .value = value,
                                              .value_bytes = sizeof value - 1};
        ck_assert_int_eq(reducer_record(&reducer, &record).verdict, RECORD_IGNORED);
    }
}
END_TEST

START_TEST(late_events_make_a_revision_and_too_late_ones_are_dead_letters)
{
    give("a", "w1", 0, NULL, NULL);
    give("a", "w2", 6000, NULL, NULL); /* watermark 5000: the first window has ended */
    ck_assert_int_eq(give("a", "w3", 10, NULL, NULL).verdict, RECORD_LATE);
    ck_assert_int_eq(row("namespace_grouping", 0, "a")->revision, 2);
    ck_assert_int_eq(row("time_window", 0, "")->revision, 2);
    ck_assert_int_eq(give("a", "w4", 65999, NULL, NULL).verdict, RECORD_COUNTED);
    ck_assert_int_eq(give("a", "w5", 20, NULL, NULL).verdict, RECORD_LATE); /* watermark 64999 */
    ck_assert_int_eq(give("a", "w6", 66000, NULL, NULL).verdict, RECORD_COUNTED);
    struct reducer_outcome outcome = give("a", "w7", 30, NULL, NULL);
    ck_assert_int_eq(outcome.verdict, RECORD_TOO_LATE);
    ck_assert_ptr_nonnull(outcome.reason);
    ck_assert_int_eq(row("namespace_grouping", 0, "a")->events, 3);
    ck_assert_int_eq(row("namespace_grouping", 0, "a")->revision, 3);
    ck_assert_int_eq(row("namespace_total", 0, "a")->events, 7);
    ck_assert_int_eq(row("namespace_total", 0, "a")->revision, 1);
}
END_TEST

START_TEST(nothing_is_counted_under_a_window_that_was_pruned)
{
    const struct aggregation *definition = row("time_window", 0, "")->definition;
    reducer.pruned_us[definition->index] = BASE_US + 5000000; /* as the first window ends */
    struct reducer_outcome outcome = give("a", "w1", 10, NULL, NULL);
    ck_assert_int_eq(outcome.verdict, RECORD_TOO_LATE);
    ck_assert_ptr_nonnull(strstr(outcome.reason, "time_window was pruned"));
    ck_assert_int_eq(row("time_window", 0, "")->events, 0);
    ck_assert_int_eq(row("namespace_grouping", 0, "a")->events, 1);
    ck_assert_int_eq(row("namespace_total", 0, "a")->events, 1);
    ck_assert_int_eq(give("a", "w2", 5000, NULL, NULL).verdict, RECORD_COUNTED);
    ck_assert_int_eq(row("time_window", 5000, "")->events, 1);
}
END_TEST

static const char *const malformed[] = {
    NULL,
    "",
    "garbage",
    "[]",
    "{}",
    "{\"event_type\":\"x\",\"payload\":{}}",
    "{\"event_type\":\"x\",\"event_timestamp\":\"yesterday\",\"payload\":{}}",
    "{\"event_type\":\"x\",\"event_timestamp\":\"2026-11-21T16:31:00Z\"}",
    "{\"event_type\":7,\"event_timestamp\":\"2026-11-21T16:31:00Z\",\"payload\":{}}",
    "{\"event_type\":\"stamp_workflow_completed\",\"event_timestamp\":\"2026-11-21T16:31:00Z\","
    "\"payload\":{}}",
    "{\"event_type\":\"stamp_workflow_completed\",\"event_timestamp\":\"2026-11-21T16:31:00Z\","
    "\"payload\":{\"file_hash\":\"h\"}}",
    "{\"event_type\":\"stamp_workflow_completed\",\"event_timestamp\":\"2026-11-21T16:31:00Z\","
    "\"payload\":{\"file_hash\":\"h\",\"file_size\":-1}}",
    "{\"event_type\":\"stamp_workflow_completed\",\"event_timestamp\":\"2026-11-21T16:31:00Z\","
    "\"payload\":{\"file_hash\":\"h\",\"file_size\":1,\"namespace\":5}}",
    "{\"event_type\":\"stamp_workflow_completed\",\"event_timestamp\":\"2026-11-21T16:31:00Z\","
    "\"payload\":{\"file_hash\":\"h\",\"file_size\":1,\"processing_time_ms\":\"fast\"}}",
};

START_TEST(what_cannot_be_understood_is_a_dead_letter_and_the_stream_goes_on)
{
    struct reducer_outcome outcome = give_text(malformed[_i]);
    ck_assert_int_eq(outcome.verdict, RECORD_MALFORMED);
    ck_assert_int_gt((int)strlen(outcome.reason), 10);
    ck_assert_int_eq(reducer.partitions[3]->next_offset, 101);
    ck_assert_int_eq(give("a", "w1", 0, NULL, NULL).verdict, RECORD_COUNTED);
}
END_TEST

START_TEST(other_events_move_the_watermark_and_count_for_nothing)
{
    ck_assert_int_eq(give_text("{\"event_type\":\"workflow_started\",\"event_timestamp\":\"2025-11-"
                               "21T16:00:09Z\",\"payload\":{}}")
                         .verdict,
                     RECORD_IGNORED);
    ck_assert_int_eq(reducer_watermark(&reducer, reducer.partitions[3]), BASE_US + 8000000);
    ck_assert_uint_eq(reducer.dirty_count, 0);
    ck_assert(reducer.partitions[3]->dirty);
    ck_assert_int_eq(give("a", "w1", 0, NULL, NULL).verdict, RECORD_LATE);
}
END_TEST

START_TEST(a_namespace_may_stand_in_the_metadata)
{
    give_text(
        "{\"event_type\":\"stamp_workflow_completed\",\"event_timestamp\":\"2025-11-21T16:00:00Z\","
        "\"payload\":{\"file_hash\":\"h\",\"file_size\":1},\"metadata\":{\"namespace\":\"m\"}}");
    give_text(
        "{\"event_type\":\"stamp_workflow_completed\",\"event_timestamp\":\"2025-11-21T16:00:00Z\","
        "\"payload\":{\"file_hash\":\"h\",\"file_size\":1}}");
    ck_assert_int_eq(row("namespace_grouping", 0, "m")->events, 1);
    ck_assert_int_eq(row("namespace_grouping", 0, DEFAULT_NAMESPACE)->events, 1);
}
END_TEST

START_TEST(prev_seq_proves_a_gap)
{
    struct reducer_record record = {
        .partition = 3,
        .offset = 100,
        .value =
            "{\"event_type\":\"x\",\"event_timestamp\":\"2025-11-21T16:00:00Z\",\"payload\":{}}",
        .lane = "1.1",
        .lane_bytes = 3,
        .seq = "8",
        .seq_bytes = 1,
        .prev_seq = "0",
        .prev_seq_bytes = 1,
    };
    record.value_bytes = strlen(record.value);
    ck_assert(!reducer_record(&reducer, &record).missing);
    record.offset++;
    record.seq = "12";
    record.seq_bytes = 2;
    record.prev_seq = "8";
    ck_assert(!reducer_record(&reducer, &record).missing);
    record.offset++;
    record.seq = "20";
    record.prev_seq = "15";
    record.prev_seq_bytes = 2;
    struct reducer_outcome outcome = reducer_record(&reducer, &record);
    ck_assert(outcome.missing);
    ck_assert_int_eq(outcome.seen_seq, 12);
}
END_TEST

/* The first record of a lane, with prev_seq: does it prove a gap? */
static bool first_proves_gap(const char *lane, const char *seq, const char *previous)
{
    const struct reducer_record record = {
        .partition = 3,
        .offset = offset++,
        .value = "{}",
        .value_bytes = 2,
        .lane = lane,
        .lane_bytes = strlen(lane),
        .seq = seq,
        .seq_bytes = strlen(seq),
        .prev_seq = previous,
        .prev_seq_bytes = strlen(previous),
    };
    return reducer_record(&reducer, &record).missing;
}

START_TEST(a_new_incarnation_goes_on_where_the_lane_before_it_ended)
{
    ck_assert(!first_proves_gap("5.1", "12", "0"));
    ck_assert(!first_proves_gap("7.1", "20", "12"));
    ck_assert(first_proves_gap("8.1", "31", "25"));  /* 7.1 was seen to 20 only */
    ck_assert(first_proves_gap("9.1", "16", "15"));  /* one that the older lanes went past */
    ck_assert(first_proves_gap("9.11", "32", "31")); /* of another shard */
    ck_assert(first_proves_gap("6.1", "32", "31"));  /* of an incarnation before it */
    ck_assert(first_proves_gap("lane", "32", "31")); /* of no shard */
    ck_assert(first_proves_gap("9.1", "40", "31"));  /* known already: only its own numbers count */
}
END_TEST

START_TEST(behind_a_gap_only_later_offsets_are_read)
{
    struct reducer_partition *partition = reducer.partitions[3];
    give("a", "w1", 0, NULL, NULL);
    reducer_snapshot_taken(&reducer);
    reducer_pass_gap(partition, partition->next_offset + 50);
    ck_assert_int_eq(partition->committed_offset, partition->next_offset);
    ck_assert(!partition->dirty);
    ck_assert_int_eq(give("a", "w2", 0, NULL, NULL).verdict, RECORD_SKIPPED);
    offset = partition->next_offset;
    ck_assert_int_eq(give("a", "w2", 0, NULL, NULL).verdict, RECORD_COUNTED);
    ck_assert_int_eq(row("namespace_total", 0, "a")->events, 2);
}
END_TEST

START_TEST(older_windows_are_asked_for_before_they_are_changed)
{
    reducer_assign(&reducer, 3, 2, 100, WINDOW_NO_TIME, BASE_US + 65000000);
    struct reducer_outcome outcome = give("a", "w1", 100, NULL, NULL);
    ck_assert_int_eq(outcome.verdict, RECORD_NEEDS_WINDOW);
    ck_assert_int_eq(outcome.window_start_us, BASE_US);
    ck_assert_int_eq(reducer.partitions[3]->next_offset, 100);
    row("namespace_grouping", 0, "a")->events = 41;
    reducer_window_loaded(reducer.partitions[3], outcome.aggregation, BASE_US);
    offset = 100;
    outcome = give("a", "w1", 100, NULL, NULL); /* each aggregation has windows of its own */
    ck_assert_int_eq(outcome.verdict, RECORD_NEEDS_WINDOW);
    ck_assert_str_eq(set->items[outcome.aggregation]->name, "time_window");
    reducer_window_loaded(reducer.partitions[3], outcome.aggregation, BASE_US);
    offset = 100;
    ck_assert_int_eq(give("a", "w1", 100, NULL, NULL).verdict, RECORD_COUNTED);
    ck_assert_int_eq(row("namespace_grouping", 0, "a")->events, 42);
    ck_assert_int_eq(give("a", "w2", 5100, NULL, NULL).verdict, RECORD_COUNTED);
}
END_TEST

START_TEST(closed_windows_leave_the_memory_and_totals_stay)
{
    give("a", "w1", 0, NULL, NULL);
    give("a", "w2", 200000, NULL, NULL);
    ck_assert_uint_eq(reducer.rows_count, 5);
    reducer_sweep(&reducer); /* dirty rows stay */
    ck_assert_uint_eq(reducer.rows_count, 5);
    reducer_snapshot_taken(&reducer);
    give("a", "w3", 206000, NULL, NULL);
    reducer_sweep(&reducer);
    ck_assert_uint_eq(reducer.rows_count, 5); /* one total, two windows of two rows each */
    ck_assert_int_eq(row("namespace_total", 0, "a")->events, 3);
    ck_assert_int_eq(row("namespace_grouping", 200000, "a")->events, 1);
}
END_TEST

START_TEST(a_snapshot_moves_the_expected_offset)
{
    give("a", "w1", 0, "1.1", "1");
    ck_assert_uint_eq(reducer.dirty_count, 3);
    ck_assert_int_eq(reducer.partitions[3]->committed_offset, 100);
    reducer_snapshot_taken(&reducer);
    ck_assert_uint_eq(reducer.dirty_count, 0);
    ck_assert_int_eq(reducer.partitions[3]->committed_offset, 101);
    ck_assert(!reducer.partitions[3]->dirty);
    give("a", "w1", 0, "1.1", "1"); /* a repeat changes no row, only the offset */
    ck_assert_uint_eq(reducer.dirty_count, 0);
    ck_assert(reducer.partitions[3]->dirty);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reducer");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_stamp_is_counted_in_its_window_and_in_the_totals);
    tcase_add_test(tests, a_repeat_is_known_by_lane_and_seq);
    tcase_add_test(tests, a_record_is_read_once_by_its_offset);
    tcase_add_test(tests, any_time_of_a_record_is_taken);
    tcase_add_test(tests, behind_a_gap_only_later_offsets_are_read);
    tcase_add_test(tests, nothing_is_counted_under_a_window_that_was_pruned);
    tcase_add_test(tests, late_events_make_a_revision_and_too_late_ones_are_dead_letters);
    tcase_add_loop_test(tests, what_cannot_be_understood_is_a_dead_letter_and_the_stream_goes_on, 0,
                        (int)(sizeof(malformed) / sizeof(malformed[0])));
    tcase_add_test(tests, other_events_move_the_watermark_and_count_for_nothing);
    tcase_add_test(tests, a_namespace_may_stand_in_the_metadata);
    tcase_add_test(tests, prev_seq_proves_a_gap);
    tcase_add_test(tests, a_new_incarnation_goes_on_where_the_lane_before_it_ended);
    tcase_add_test(tests, older_windows_are_asked_for_before_they_are_changed);
    tcase_add_test(tests, closed_windows_leave_the_memory_and_totals_stay);
    tcase_add_test(tests, a_snapshot_moves_the_expected_offset);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
