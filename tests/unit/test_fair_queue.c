/* SPDX-License-Identifier: MIT */
/* Turns of namespaces in the queue of a service. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/fair_queue.h"

static struct fair_queue queue;

static void teardown(void) { fair_queue_fini(&queue); }

static void push(const char *namespace, int64_t weight, uint32_t wait)
{
    fair_queue_push(&queue, namespace, weight, &(struct place){.wait = wait});
}

static bool all(void *context, const struct place *place)
{
    (void)context;
    return place->wait > 0;
}

static bool odd(void *context, const struct place *place)
{
    int *shown = context;
    if (shown != NULL)
        (*shown)++;
    return place->wait % 2 == 1;
}

static uint32_t take(fair_queue_wanted *wanted)
{
    struct place place;
    if (!fair_queue_peek(&queue, wanted, NULL, &place))
        return 0;
    fair_queue_pop(&queue);
    return place.wait;
}

START_TEST(namespaces_take_turns_by_weight)
{
    for (uint32_t i = 0; i < 40; i++)
        push("many", 1, 100 + i);
    for (uint32_t i = 0; i < 6; i++)
        push("few", 3, 200 + i);
    const uint32_t order[] = {100, 200, 201, 202, 101, 203, 204, 205, 102, 103};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        ck_assert_uint_eq(take(all), order[i]);
    ck_assert_uint_eq(queue.count, 36);
}
END_TEST

/* Who has emptied its lane does not save turns up. */
START_TEST(who_comes_back_has_no_more_than_its_turn)
{
    push("a", 2, 1);
    push("b", 1, 11);
    push("b", 1, 12);
    ck_assert_uint_eq(take(all), 1);
    push("a", 2, 2);
    push("a", 2, 3);
    push("a", 2, 4);
    ck_assert_uint_eq(take(all), 11);
    ck_assert_uint_eq(take(all), 2);
    ck_assert_uint_eq(take(all), 3);
    ck_assert_uint_eq(take(all), 12);
    ck_assert_uint_eq(take(all), 4);
    ck_assert_uint_eq(take(all), 0);
    ck_assert_ptr_null(queue.turn);
}
END_TEST

START_TEST(what_is_no_longer_wanted_costs_no_turn)
{
    push("a", 1, 2);
    push("a", 1, 4);
    push("a", 1, 5);
    push("b", 1, 7);
    ck_assert_uint_eq(take(odd), 5);
    ck_assert_uint_eq(take(odd), 7);
    ck_assert_uint_eq(queue.count, 0);
}
END_TEST

START_TEST(a_sweep_sees_each_once)
{
    int shown = 0;
    for (uint32_t i = 1; i <= 20; i++)
        push(i % 3 == 0 ? "a" : "b", 1, i);
    fair_queue_sweep(&queue, odd, &shown);
    ck_assert_int_eq(shown, 20);
    ck_assert_uint_eq(queue.count, 10);
    push("a", 1, 21);
    push("c", 1, 22);
    fair_queue_sweep(&queue, odd, &shown);
    ck_assert_int_eq(shown, 22);
    ck_assert_uint_eq(queue.count, 11);
    uint32_t sum = 0;
    for (uint32_t wait; (wait = take(all)) != 0;)
        sum += wait;
    ck_assert_uint_eq(sum, 100 + 21);
    ck_assert_uint_eq(queue.fresh, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fair_queue");
    TCase *tcase = tcase_create("fair_queue");
    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, namespaces_take_turns_by_weight);
    tcase_add_test(tcase, who_comes_back_has_no_more_than_its_turn);
    tcase_add_test(tcase, what_is_no_longer_wanted_costs_no_turn);
    tcase_add_test(tcase, a_sweep_sees_each_once);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
