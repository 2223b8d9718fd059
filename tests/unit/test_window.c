/* SPDX-License-Identifier: MIT */
/* Windows, and the sketches that rows of windows hold. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "core/distinct.h"
#include "core/histogram.h"
#include "core/window.h"

#define TOLERANCE_US 1000000
#define LATENESS_US 60000000

START_TEST(windows_are_aligned_to_the_epoch)
{
    ck_assert_int_eq(window_start(0, 5000000), 0);
    ck_assert_int_eq(window_start(4999999, 5000000), 0);
    ck_assert_int_eq(window_start(5000000, 5000000), 5000000);
    ck_assert_int_eq(window_start(-1, 5000000), -5000000);
    ck_assert_int_eq(window_start(-5000000, 5000000), -5000000);
}
END_TEST

START_TEST(an_event_is_late_when_the_watermark_has_passed_the_end_of_its_window)
{
    ck_assert_int_eq(window_watermark(WINDOW_NO_TIME, TOLERANCE_US), WINDOW_NO_TIME);
    int64_t watermark = window_watermark(101000000, TOLERANCE_US);
    ck_assert_int_eq(watermark, 100000000);
    ck_assert_int_eq(window_arrival(1, WINDOW_NO_TIME, LATENESS_US), WINDOW_ON_TIME);
    ck_assert_int_eq(window_arrival(100000001, watermark, LATENESS_US), WINDOW_ON_TIME);
    ck_assert_int_eq(window_arrival(100000000, watermark, LATENESS_US), WINDOW_LATE);
    ck_assert_int_eq(window_arrival(40000001, watermark, LATENESS_US), WINDOW_LATE);
    ck_assert_int_eq(window_arrival(40000000, watermark, LATENESS_US), WINDOW_TOO_LATE);
    ck_assert(window_is_closed(40000000, watermark, LATENESS_US));
    ck_assert(!window_is_closed(40000001, watermark, LATENESS_US));
    ck_assert(!window_is_closed(40000000, WINDOW_NO_TIME, LATENESS_US));
}
END_TEST

START_TEST(percentiles_are_within_one_percent_of_the_nearest_rank)
{
    struct histogram all = {0}, odd = {0}, even = {0};
    double values[10000];
    for (int i = 0; i < 10000; i++) {
        values[i] = 0.01 * exp(i * 0.0017); /* rising, over seven orders of magnitude */
        histogram_add(i % 2 ? &odd : &even, values[i]);
        histogram_add(&all, values[i]);
    }
    histogram_merge(&odd, &even);
    for (double share = 0.01; share <= 1.0; share += 0.01) {
        double exact = values[(int)ceil(share * 10000) - 1];
        ck_assert_double_le(fabs(histogram_percentile(&all, share) - exact), exact * 0.0100001);
        ck_assert_double_eq(histogram_percentile(&odd, share), histogram_percentile(&all, share));
    }
    histogram_fini(&all);
    histogram_fini(&odd);
    histogram_fini(&even);
}
END_TEST

START_TEST(a_histogram_survives_its_encoding)
{
    struct histogram histogram = {0}, copy = {0};
    struct buffer out = {0};
    histogram_add(&histogram, 0);
    histogram_add(&histogram, 1e-9);
    histogram_add(&histogram, 1e300);
    for (int i = 1; i < 300; i++)
        histogram_add(&histogram, i * 1.5);
    histogram_encode(&histogram, &out);
    ck_assert(histogram_decode(&copy, out.data, out.bytes));
    ck_assert_uint_eq(copy.total, 302);
    ck_assert_uint_eq(copy.zeros, 2);
    for (double share = 0.1; share <= 1.0; share += 0.1)
        ck_assert_double_eq(histogram_percentile(&copy, share),
                            histogram_percentile(&histogram, share));
    ck_assert(!histogram_decode(&copy, out.data, out.bytes - 1));
    ck_assert(!histogram_decode(&copy, "\xff\xff\xff", 3));
    ck_assert_uint_eq(copy.total, 0);
    histogram_fini(&histogram);
    histogram_fini(&copy);
    buffer_fini(&out);
}
END_TEST

static uint64_t hash_of(uint64_t n) { return distinct_hash(&n, sizeof(n)); }

START_TEST(distinct_counts_are_exact_up_to_the_bound)
{
    struct distinct set = {0};
    for (int round = 0; round < 2; round++) {
        for (uint64_t n = 0; n < DISTINCT_EXACT_MAX; n++)
            distinct_add(&set, hash_of(n));
    }
    ck_assert(distinct_is_exact(&set));
    ck_assert_int_eq(distinct_count(&set), DISTINCT_EXACT_MAX);
    distinct_add(&set, hash_of(DISTINCT_EXACT_MAX));
    ck_assert(!distinct_is_exact(&set));
    for (uint64_t n = 0; n < 500000; n++)
        distinct_add(&set, hash_of(n));
    ck_assert_double_le(fabs((double)distinct_count(&set) - 500000), 500000 * 0.05);
    distinct_fini(&set);
}
END_TEST

START_TEST(merged_sets_count_common_values_once)
{
    struct distinct a = {0}, b = {0}, large = {0};
    for (uint64_t n = 0; n < 3000; n++) {
        distinct_add(&a, hash_of(n));
        distinct_add(&b, hash_of(n + 2000));
    }
    for (uint64_t n = 0; n < 100000; n++)
        distinct_add(&large, hash_of(n));
    distinct_merge(&a, &b);
    ck_assert_int_eq(distinct_count(&a), 5000);
    int64_t before = distinct_count(&large);
    distinct_merge(&large, &a);
    ck_assert_int_eq(distinct_count(&large), before);
    distinct_merge(&a, &large);
    ck_assert_int_eq(distinct_count(&a), before);
    distinct_fini(&a);
    distinct_fini(&b);
    distinct_fini(&large);
}
END_TEST

/* What a store does: appends what is fresh, writes a base when there is a new one. */
START_TEST(what_is_appended_rebuilds_the_set)
{
    struct distinct set = {0}, copy = {0};
    for (uint64_t n = 0; n < 60000; n++) {
        distinct_add(&set, hash_of(n * n % 40009));
        if (n % 777 != 0)
            continue;
        if (set.converted) {
            distinct_load_registers(&copy, set.registers);
            distinct_new_base(&set);
        }
        size_t count;
        const uint64_t *fresh = distinct_fresh(&set, &count);
        for (size_t i = 0; i < count; i++)
            distinct_add(&copy, fresh[i]);
        distinct_mark_stored(&set);
        ck_assert_int_eq(distinct_is_exact(&copy), distinct_is_exact(&set));
        ck_assert_int_eq(distinct_count(&copy), distinct_count(&set));
    }
    ck_assert(!distinct_is_exact(&set));
    distinct_fini(&set);
    distinct_fini(&copy);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("window");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, windows_are_aligned_to_the_epoch);
    tcase_add_test(tests, an_event_is_late_when_the_watermark_has_passed_the_end_of_its_window);
    tcase_add_test(tests, percentiles_are_within_one_percent_of_the_nearest_rank);
    tcase_add_test(tests, a_histogram_survives_its_encoding);
    tcase_add_test(tests, distinct_counts_are_exact_up_to_the_bound);
    tcase_add_test(tests, merged_sets_count_common_values_once);
    tcase_add_test(tests, what_is_appended_rebuilds_the_set);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
