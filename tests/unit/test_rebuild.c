/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/instant.h"
#include "reducer/core/compare.h"
#include "reducer/core/missing.h"

#include "aggregation_files.h"

#define BASE_US 1763740800000000ll /* 2025-11-21T16:00:00Z, a window's start */
#define PARTITION 3
#define WORKFLOW "0190a0a0-0000-7000-8000-000000000001"

static struct aggregation_set *set;
static struct reducer left, right;

static void setup(void)
{
    set = aggregation_set_new(&defaults);
    add_shipped(set, "namespace_grouping");
    add_shipped(set, "namespace_total");
    reducer_init(&left, set, 1000000);
    reducer_init(&right, set, 1000000);
    reducer_assign(&left, PARTITION, 1, 0, WINDOW_NO_TIME, WINDOW_NO_TIME);
    reducer_assign(&right, PARTITION, 1, 0, WINDOW_NO_TIME, WINDOW_NO_TIME);
}

static void teardown(void)
{
    reducer_fini(&left);
    reducer_fini(&right);
    aggregation_set_free(set);
}

static struct reducer_record stamp(int64_t offset, int64_t after_ms, int size)
{
    static char values[4][512]; /* the last few stay */
    static int used;
    char *value = values[used++ % 4];
    char time[INSTANT_TEXT_BYTES];
    int bytes = snprintf(value, sizeof(values[0]),
                         "{\"event_type\":\"stamp_workflow_completed\",\"event_timestamp\":\"%s\","
                         "\"payload\":{\"namespace\":\"demo\",\"workflow_id\":\"" WORKFLOW
                         "\",\"file_hash\":\"h\",\"file_size\":%d,\"processing_time_ms\":4}}",
                         instant_format_us(BASE_US + after_ms * 1000, time), size);
    return (struct reducer_record){.partition = PARTITION,
                                   .offset = offset,
                                   .key = WORKFLOW,
                                   .key_bytes = strlen(WORKFLOW),
                                   .value = value,
                                   .value_bytes = (size_t)bytes};
}

static void give(struct reducer *reducer, int64_t offset, int64_t after_ms, int size)
{
    const struct reducer_record record = stamp(offset, after_ms, size);
    ck_assert_int_eq(reducer_record(reducer, &record).verdict, RECORD_COUNTED);
}

static const struct aggregate *row_of(struct reducer *reducer, int aggregation, int64_t start_us)
{
    return reducer_find_row(reducer->partitions[PARTITION], aggregation, start_us, "demo", 4);
}

/* -- comparing -- */

START_TEST(rows_of_the_same_records_are_equal)
{
    struct compare_difference difference = {0};
    give(&left, 0, 0, 10);
    give(&left, 1, 100, 20);
    give(&right, 0, 0, 10);
    give(&right, 1, 100, 20);
    ck_assert(compare_rows(row_of(&left, 0, BASE_US), row_of(&right, 0, BASE_US), &difference));
    ck_assert(compare_rows(row_of(&left, 1, 0), row_of(&right, 1, 0), &difference));
    ck_assert_ptr_null(difference.field);
}
END_TEST

START_TEST(the_first_field_that_differs_is_named_with_both_values)
{
    struct compare_difference difference = {0};
    give(&left, 0, 0, 10);
    give(&right, 0, 0, 11);
    ck_assert(!compare_rows(row_of(&left, 0, BASE_US), row_of(&right, 0, BASE_US), &difference));
    ck_assert_str_eq(difference.field, "total_size_bytes");
    ck_assert_int_eq(json_int_value(difference.counted), 10);
    ck_assert_int_eq(json_int_value(difference.stored), 11);
    compare_difference_fini(&difference);
}
END_TEST

START_TEST(a_late_event_and_a_missing_one_are_told_apart)
{
    struct compare_difference difference = {0};
    const struct reducer_record record = stamp(1, 100, 20);
    give(&left, 0, 0, 10);
    give(&left, 1, 100, 20);
    give(&right, 0, 0, 10);
    ck_assert(!compare_rows(row_of(&left, 0, BASE_US), row_of(&right, 0, BASE_US), &difference));
    ck_assert_str_eq(difference.field, "events");
    compare_difference_fini(&difference);
    ck_assert_int_eq(reducer_missed(&right, &record).verdict, RECORD_LATE);
    ck_assert(!compare_rows(row_of(&left, 0, BASE_US), row_of(&right, 0, BASE_US), &difference));
    ck_assert_str_eq(difference.field, "revision");
    compare_difference_fini(&difference);
}
END_TEST

START_TEST(a_row_that_one_side_lacks_is_a_difference)
{
    struct compare_difference difference = {0};
    give(&left, 0, 0, 10);
    ck_assert_ptr_null(row_of(&right, 0, BASE_US));
    ck_assert(!compare_rows(row_of(&left, 0, BASE_US), NULL, &difference));
    ck_assert_str_eq(difference.field, "row");
    ck_assert_int_eq(json_type_of(difference.stored), JSON_NULL);
    compare_difference_fini(&difference);
}
END_TEST

/* -- events that the broker dropped -- */

START_TEST(a_missed_event_counts_however_late_and_moves_nothing_else)
{
    struct reducer_partition *partition = left.partitions[PARTITION];
    const struct reducer_record record = stamp(0, 0, 10);
    give(&left, 7, 3600000, 10);
    reducer_snapshot_taken(&left);
    ck_assert_int_eq(reducer_missed(&left, &record).verdict, RECORD_LATE);
    ck_assert_int_eq(row_of(&left, 0, BASE_US)->revision, 2);
    ck_assert_int_eq(row_of(&left, 1, 0)->events, 2);
    ck_assert_int_eq(partition->next_offset, 8);
    ck_assert_int_eq(partition->newest_us, BASE_US + 3600000000ll);
    ck_assert(!partition->dirty);
}
END_TEST

START_TEST(a_raised_lane_makes_repeats_of_what_was_filled)
{
    struct reducer_record record = stamp(0, 0, 10);
    record.lane = "7.1";
    record.lane_bytes = 3;
    record.seq = "12";
    record.seq_bytes = 2;
    ck_assert_int_eq(reducer_record_seq(&record), 12);
    reducer_raise_lane(left.partitions[PARTITION], "7.1", 3, 12);
    reducer_raise_lane(left.partitions[PARTITION], "7.1", 3, 5);
    ck_assert(left.partitions[PARTITION]->dirty);
    ck_assert_int_eq(reducer_record(&left, &record).verdict, RECORD_REPEAT);
}
END_TEST

/* -- what was in a gap -- */

static void check_range(const struct missing *missing, const char *name, int64_t from, int64_t to)
{
    for (size_t i = 0; i < missing->count; i++) {
        int64_t first, last;
        if (strcmp(missing->lanes[i].name, name) != 0)
            continue;
        ck_assert_int_eq(missing_range(&missing->lanes[i], &first, &last), from <= to);
        ck_assert_int_eq(first, from);
        ck_assert_int_eq(last, to);
        return;
    }
    ck_abort_msg("lane %s is not known", name);
}

START_TEST(the_first_record_behind_the_gap_ends_what_is_missing)
{
    struct missing missing = {0};
    missing_before(&missing, "7.1", 3, 10);
    missing_after(&missing, "7.1", 3, 15);
    missing_after(&missing, "7.1", 3, 12); /* sent again later: a repeat */
    missing_after(&missing, "7.2", 3, 4);  /* a lane that was not there before */
    missing_published(&missing, "7.1", 3, 90, 99);
    check_range(&missing, "7.1", 11, 14);
    check_range(&missing, "7.2", 1, 3);
    for (size_t i = 0; i < missing.count; i++)
        ck_assert(!missing_is_unsettled(&missing.lanes[i]));
    missing_fini(&missing);
}
END_TEST

START_TEST(records_sent_again_behind_the_gap_leave_nothing_missing)
{
    struct missing missing = {0};
    missing_before(&missing, "7.1", 3, 10);
    missing_after(&missing, "7.1", 3, 8);
    check_range(&missing, "7.1", 11, 7);
    missing_fini(&missing);
}
END_TEST

START_TEST(a_lane_that_is_silent_behind_the_gap_is_missing_up_to_what_was_published)
{
    struct missing missing = {0};
    missing_before(&missing, "7.1", 3, 10);
    missing_published(&missing, "7.1", 3, 20, 20);
    missing_published(&missing, "7.2", 3, 5,
                      5); /* all of it was in the gap, or on other partitions */
    check_range(&missing, "7.1", 11, 20);
    check_range(&missing, "7.2", 1, 5);
    ck_assert(!missing_is_unsettled(&missing.lanes[0]));
    missing_published(&missing, "7.1", 3, 20, 23);
    ck_assert(missing_is_unsettled(&missing.lanes[0]));
    missing_before(&missing, "7.3", 3,
                   9); /* of another database: nobody says how far it was published */
    check_range(&missing, "7.3", 10, 0);
    missing_fini(&missing);
}
END_TEST

START_TEST(a_lane_of_a_restored_database_begins_nobody_knows_where)
{
    struct missing missing = {0};
    missing_before(&missing, "7.1", 3, 10);
    missing_after(&missing, "8.1", 3, 15); /* 1 to 14 may have come under the old name */
    missing_after(&missing, "8.2", 3, 4);
    ck_assert(!missing_is_renamed(&missing, &missing.lanes[0]));
    ck_assert(missing_is_renamed(&missing, &missing.lanes[1]));
    ck_assert(!missing_is_renamed(&missing, &missing.lanes[2]));
    missing_after(&missing, "7.2", 3, 2); /* counted behind the gap, under the old name */
    ck_assert(missing_is_renamed(&missing, &missing.lanes[2]));
    ck_assert(missing_is_renamed(&missing, &missing.lanes[3]));
    missing_fini(&missing);
}
END_TEST

START_TEST(what_is_no_name_of_a_lane_is_passed_over)
{
    struct missing missing = {0};
    char longer[LANE_BYTES_MAX + 1];
    memset(longer, 'x', sizeof(longer));
    missing_after(&missing, longer, sizeof(longer), 1);
    missing_after(&missing, "", 0, 1);
    missing_after(&missing, "a\0b", 3, 1);
    ck_assert_uint_eq(missing.count, 0);
    missing_fini(&missing);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rebuild");
    TCase *tests = tcase_create("rebuild");
    tcase_add_checked_fixture(tests, setup, teardown);
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, rows_of_the_same_records_are_equal);
    tcase_add_test(tests, the_first_field_that_differs_is_named_with_both_values);
    tcase_add_test(tests, a_late_event_and_a_missing_one_are_told_apart);
    tcase_add_test(tests, a_row_that_one_side_lacks_is_a_difference);
    tcase_add_test(tests, a_missed_event_counts_however_late_and_moves_nothing_else);
    tcase_add_test(tests, a_raised_lane_makes_repeats_of_what_was_filled);
    tcase_add_test(tests, the_first_record_behind_the_gap_ends_what_is_missing);
    tcase_add_test(tests, records_sent_again_behind_the_gap_leave_nothing_missing);
    tcase_add_test(tests, a_lane_that_is_silent_behind_the_gap_is_missing_up_to_what_was_published);
    tcase_add_test(tests, a_lane_of_a_restored_database_begins_nobody_knows_where);
    tcase_add_test(tests, what_is_no_name_of_a_lane_is_passed_over);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
