/* SPDX-License-Identifier: MIT */
/* What `bridgectl audit` judges by: lane_check and activity. */
#include <check.h>
#include <stdlib.h>

#include "core/activity.h"
#include "core/lane_check.h"

static struct uuid event(int number)
{
    return (struct uuid){{[14] = (uint8_t)(number >> 8), [15] = (uint8_t)number}};
}

static enum lane_sight saw(struct lane_check *lane, int partition, int64_t seq, int number)
{
    struct uuid id = event(number);
    return lane_check_saw(lane, partition, seq, &id);
}

static enum lane_fit expect(struct lane_check *lane, int64_t seq, int number)
{
    struct uuid id = event(number);
    return lane_check_expect(lane, seq, &id);
}

START_TEST(a_repeat_is_told_from_a_double)
{
    struct lane_check lane = {0};
    ck_assert_int_eq(saw(&lane, 0, 1, 101), LANE_SIGHT_FIRST);
    ck_assert_int_eq(saw(&lane, 3, 2, 102), LANE_SIGHT_FIRST);
    ck_assert_int_eq(saw(&lane, 0, 1, 101), LANE_SIGHT_REPEAT);
    ck_assert_int_eq(saw(&lane, 0, 2, 102), LANE_SIGHT_REPEAT);
    ck_assert_int_eq(saw(&lane, 0, 2, 999), LANE_SIGHT_DOUBLED);
    lane_check_fini(&lane);
}
END_TEST

START_TEST(a_new_number_below_another_of_its_partition_is_out_of_order)
{
    struct lane_check lane = {0};
    ck_assert_int_eq(saw(&lane, 0, 5, 105), LANE_SIGHT_FIRST);
    ck_assert_int_eq(saw(&lane, 1, 4, 104), LANE_SIGHT_FIRST);
    ck_assert_int_eq(saw(&lane, 0, 3, 103), LANE_SIGHT_MISORDERED);
    ck_assert_int_eq(saw(&lane, 0, 6, 106), LANE_SIGHT_FIRST);
    ck_assert_int_eq(lane.first_seq[0], 5);
    ck_assert_int_eq(lane.first_seq[1], 4);
    lane_check_fini(&lane);
}
END_TEST

START_TEST(the_log_finds_what_is_missing_wrong_and_not_its_own)
{
    struct lane_check lane = {0};
    saw(&lane, 0, 1, 101);
    saw(&lane, 0, 3, 777);
    saw(&lane, 0, 200000, 108);
    ck_assert_int_eq(expect(&lane, 1, 101), LANE_FIT_SEEN);
    ck_assert_int_eq(expect(&lane, 2, 102), LANE_FIT_MISSING);
    ck_assert_int_eq(expect(&lane, 3, 103), LANE_FIT_OTHER);
    ck_assert_int_eq(expect(&lane, 100000000, 103), LANE_FIT_MISSING);
    ck_assert_int_eq(lane.numbers, 1);                       /* 200000 is on the topic alone */
    ck_assert_int_eq(expect(&lane, 1, 101), LANE_FIT_OTHER); /* asked for a second time */
    ck_assert_int_eq(lane.numbers, 1);
    lane_check_fini(&lane);
}
END_TEST

START_TEST(numbers_outside_are_refused)
{
    struct lane_check lane = {0};
    ck_assert_int_eq(saw(&lane, 0, 0, 1), LANE_SIGHT_BEYOND);
    ck_assert_int_eq(saw(&lane, 0, -5, 1), LANE_SIGHT_BEYOND);
    ck_assert_int_eq(saw(&lane, 0, LANE_CHECK_EVENTS_MAX, 1), LANE_SIGHT_BEYOND);
    ck_assert_int_eq(saw(&lane, LANE_CHECK_PARTITIONS_MAX, 1, 1), LANE_SIGHT_BEYOND);
    ck_assert_int_eq(lane.pages_count, 0);
}
END_TEST

#define MS 1000

START_TEST(a_gap_counts_only_while_something_is_alive)
{
    struct activity activity;
    int64_t from_us;
    activity_init(&activity, 2, 0, 10000 * MS);
    ck_assert_int_eq(activity.piece_us, 10 * MS);
    activity_lived(&activity, 0, 1000 * MS, 3000 * MS);
    activity_moved(&activity, 0, 1000 * MS);
    activity_moved(&activity, 1, 1500 * MS); /* another row's movement ends a gap */
    activity_moved(&activity, 0, 3000 * MS);
    activity_lived(&activity, 1, 9000 * MS, INT64_MAX);
    activity_close(&activity);
    ck_assert_int_eq(activity_longest_gap(&activity, &from_us), 1490 * MS);
    ck_assert_int_eq(from_us, 1510 * MS);
    activity_fini(&activity);
}
END_TEST

START_TEST(a_gap_may_last_to_the_end)
{
    struct activity activity;
    int64_t from_us;
    activity_init(&activity, 1, 0, 10000 * MS - 1);
    activity_lived(&activity, 0, 8000 * MS, INT64_MAX);
    activity_moved(&activity, 0, 8000 * MS);
    activity_close(&activity);
    ck_assert_int_eq(activity_longest_gap(&activity, &from_us), 1990 * MS);
    activity_fini(&activity);
}
END_TEST

START_TEST(recovery_is_the_slowest_row_that_was_alive)
{
    struct activity activity;
    activity_init(&activity, 3, 0, 10000 * MS);
    activity_lived(&activity, 0, 0, 5000 * MS);
    activity_lived(&activity, 1, 0, 5000 * MS); /* row 2 is idle and does not count */
    activity_moved(&activity, 0, 1100 * MS);
    activity_moved(&activity, 1, 1700 * MS);
    activity_moved(&activity, 2, 4000 * MS);
    activity_close(&activity);
    ck_assert_int_eq(activity_recovery(&activity, 1000 * MS), 700 * MS);
    ck_assert_int_eq(activity_recovery(&activity, 3000 * MS), -1); /* nothing moved any more */
    ck_assert_int_eq(activity_recovery(&activity, 6000 * MS), -1); /* nothing was alive */
    activity_fini(&activity);
}
END_TEST

START_TEST(years_fit_into_the_same_memory)
{
    struct activity activity;
    int64_t year_us = INT64_C(365) * 86400 * 1000000, from_us;
    activity_init(&activity, 16, 0, 10 * year_us);
    ck_assert_int_le(activity.rows * (activity.pieces + 1), ACTIVITY_CELLS_MAX);
    activity_lived(&activity, 15, 0, INT64_MAX);
    activity_moved(&activity, 15, 0);
    activity_moved(&activity, 15, 10 * year_us);
    activity_close(&activity);
    ck_assert_int_gt(activity_longest_gap(&activity, &from_us), 9 * year_us);
    activity_fini(&activity);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("audit");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, a_repeat_is_told_from_a_double);
    tcase_add_test(tests, a_new_number_below_another_of_its_partition_is_out_of_order);
    tcase_add_test(tests, the_log_finds_what_is_missing_wrong_and_not_its_own);
    tcase_add_test(tests, numbers_outside_are_refused);
    tcase_add_test(tests, a_gap_counts_only_while_something_is_alive);
    tcase_add_test(tests, a_gap_may_last_to_the_end);
    tcase_add_test(tests, recovery_is_the_slowest_row_that_was_alive);
    tcase_add_test(tests, years_fit_into_the_same_memory);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
