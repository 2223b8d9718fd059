/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdlib.h>

#include "orchestrator/core/timers.h"

static bool all_wanted(const struct timer *timer, void *context)
{
    (void)timer;
    (void)context;
    return true;
}

static bool even_wanted(const struct timer *timer, void *context)
{
    ++*(int *)context;
    return timer->wait % 2 == 0;
}

static bool none_wanted(const struct timer *timer, void *context)
{
    (void)timer;
    (void)context;
    return false;
}

static void add(struct timers *timers, int64_t due_us, uint32_t wait, timer_wanted *wanted,
                void *context)
{
    timers_add(timers, &(struct timer){.due_us = due_us, .wait = wait}, wanted, context);
}

START_TEST(an_empty_heap_has_nothing)
{
    struct timers timers = {0};
    struct timer timer;
    ck_assert_int_eq(timers_next_us(&timers), INT64_MAX);
    ck_assert(!timers_pop(&timers, INT64_MAX, &timer));
    timers_fini(&timers);
}
END_TEST

START_TEST(only_what_is_due_comes_up)
{
    struct timers timers = {0};
    struct timer timer;
    add(&timers, 100, 1, all_wanted, NULL);
    ck_assert_int_eq(timers_next_us(&timers), 100);
    ck_assert(!timers_pop(&timers, 99, &timer));
    ck_assert(timers_pop(&timers, 100, &timer));
    ck_assert_uint_eq(timer.wait, 1);
    ck_assert_int_eq(timers_next_us(&timers), INT64_MAX);
    timers_fini(&timers);
}
END_TEST

/* 3,000 timers in a scattered order, each taken once, earliest first, while others are added. */
START_TEST(they_come_up_in_order)
{
    enum { COUNT = 3000 };
    static bool seen[COUNT];
    struct timers timers = {0};
    struct timer timer;
    for (uint32_t i = 0; i < COUNT; i++) {
        seen[i] = false;
        add(&timers, (int64_t)(i * 7919u % COUNT), i, all_wanted, NULL);
    }
    int64_t last = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        ck_assert_int_le(timers_next_us(&timers), COUNT);
        ck_assert(timers_pop(&timers, COUNT, &timer));
        ck_assert_int_ge(timer.due_us, last);
        ck_assert(!seen[timer.wait]);
        seen[timer.wait] = true;
        last = timer.due_us;
    }
    ck_assert(!timers_pop(&timers, INT64_MAX, &timer));
    timers_fini(&timers);
}
END_TEST

START_TEST(a_sweep_keeps_the_wanted_in_order)
{
    struct timers timers = {0};
    struct timer timer;
    int asked = 0;
    for (uint32_t i = 0; i < 1024; i++)
        add(&timers, 5000 - (int64_t)i, i, even_wanted, &asked);
    ck_assert_int_eq(asked, 0);
    add(&timers, 1, 4000, even_wanted, &asked);
    ck_assert_int_eq(asked, 1024);
    ck_assert_uint_eq(timers.count, 513);
    ck_assert(timers_pop(&timers, 5000, &timer));
    ck_assert_uint_eq(timer.wait, 4000);
    for (uint32_t i = 1024; i > 0; i -= 2) {
        ck_assert(timers_pop(&timers, 5000, &timer));
        ck_assert_uint_eq(timer.wait, i - 2);
    }
    ck_assert_uint_eq(timers.count, 0);
    timers_fini(&timers);
}
END_TEST

START_TEST(the_heap_stays_bounded_when_nobody_waits)
{
    struct timers timers = {0};
    for (uint32_t i = 0; i < 100000; i++) {
        add(&timers, 1000000 + i, i, none_wanted, NULL);
        ck_assert_uint_le(timers.count, 1024);
    }
    ck_assert_uint_le(timers.capacity, 2048);
    timers_fini(&timers);
}
END_TEST

/* Many live timers: sweeps become rare, each looks at twice the timers of the one before. */
START_TEST(sweeps_are_rare_when_all_are_wanted)
{
    struct timers timers = {0};
    int asked = 0;
    for (uint32_t i = 0; i < 100000; i++)
        add(&timers, i, 2 * i, even_wanted, &asked);
    ck_assert_uint_eq(timers.count, 100000);
    ck_assert_int_le(asked, 200000);
    timers_fini(&timers);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timers");
    TCase *tests = tcase_create("timers");
    tcase_add_test(tests, an_empty_heap_has_nothing);
    tcase_add_test(tests, only_what_is_due_comes_up);
    tcase_add_test(tests, they_come_up_in_order);
    tcase_add_test(tests, a_sweep_keeps_the_wanted_in_order);
    tcase_add_test(tests, the_heap_stays_bounded_when_nobody_waits);
    tcase_add_test(tests, sweeps_are_rare_when_all_are_wanted);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
