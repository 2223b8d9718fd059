/* SPDX-License-Identifier: MIT */
/* When a breaker opens, how it is probed, what it lets through. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/breaker.h"

#define SECOND INT64_C(1000000)

static const struct breaker_settings usual = {
    .holds = true,
    .failure_rate = 50,
    .slow_rate = 100,
    .minimum_calls = 4,
    .window_calls = 8,
    .slow_us = SECOND,
    .open_us = 10 * SECOND,
    .round_us = SECOND / 4,
    .patience_us = 40 * SECOND,
    .calls = 8,
    .round_calls_max = 8,
};

static struct breaker breaker;
static int64_t now_us;

static void setup(void)
{
    now_us = 1000 * SECOND;
    breaker_init(&breaker, &usual, now_us);
}

static uint32_t pass(void)
{
    struct breaker_answer answer = breaker_ask(&breaker, now_us);
    ck_assert_int_eq(answer.verdict, BREAKER_PASS);
    return answer.era;
}

static void refused(enum breaker_verdict verdict, int64_t after_us)
{
    struct breaker_answer answer = breaker_ask(&breaker, now_us);
    ck_assert_int_eq(answer.verdict, verdict);
    ck_assert_int_eq(answer.after_us, after_us);
}

static bool call(enum breaker_outcome outcome, int64_t took_us)
{
    uint32_t era = pass();
    now_us += took_us;
    return breaker_end(&breaker, era, outcome, took_us, now_us);
}

static void sicken(void)
{
    for (int i = 0; i < usual.minimum_calls; i++)
        (void)call(BREAKER_BAD, 0);
    ck_assert_int_eq(breaker.state, BREAKER_OPEN);
}

static void probe(void)
{
    now_us += usual.open_us;
    refused(BREAKER_PARK, INT64_MAX);
    ck_assert(breaker.wants_probe);
    breaker_grant(&breaker, now_us);
}

START_TEST(it_opens_by_the_share_of_failures)
{
    ck_assert(!call(BREAKER_BAD, 0));
    ck_assert(!call(BREAKER_BAD, 0));
    ck_assert(!call(BREAKER_BAD, 0));
    ck_assert_int_eq(breaker.state, BREAKER_CLOSED);
    ck_assert(call(BREAKER_BAD, 0)); /* the one that opens it is parked already */
    ck_assert_int_eq(breaker.state, BREAKER_OPEN);
    ck_assert_str_eq(breaker.reason, "4 of the last 4 calls failed");
    ck_assert(breaker.changed);
    refused(BREAKER_PARK, usual.open_us);
}
END_TEST

START_TEST(it_stays_closed_below_the_share)
{
    for (int i = 0; i < 100; i++)
        (void)call(i % 3 == 2 ? BREAKER_BAD : BREAKER_GOOD, 0);
    ck_assert_int_eq(breaker.state, BREAKER_CLOSED);
    ck_assert_int_eq(breaker.window_count, usual.window_calls);
    for (int i = 0; i < 3 && breaker.state == BREAKER_CLOSED; i++)
        (void)call(BREAKER_BAD, 0);
    ck_assert_int_eq(breaker.state, BREAKER_OPEN);
}
END_TEST

START_TEST(it_opens_by_slow_calls)
{
    for (int i = 0; i < 3; i++)
        ck_assert(!call(BREAKER_GOOD, 2 * SECOND));
    ck_assert(!call(BREAKER_GOOD, 2 * SECOND)); /* an answer that came is taken */
    ck_assert_int_eq(breaker.state, BREAKER_OPEN);
    ck_assert_str_eq(breaker.reason, "4 of the last 4 calls took longer than 1000 ms");
}
END_TEST

/* 1, 2, 4, 8: and no two rounds closer than round_us. */
START_TEST(each_round_that_succeeds_doubles_the_next)
{
    sicken();
    probe();
    for (int64_t calls = 1; calls <= usual.round_calls_max; calls *= 2) {
        uint32_t eras[8];
        ck_assert_int_eq(breaker.state, BREAKER_HALF_OPEN);
        for (int64_t i = 0; i < calls; i++)
            eras[i] = pass();
        refused(BREAKER_PARK, INT64_MAX);
        now_us += SECOND / 10;
        for (int64_t i = 0; i < calls; i++)
            (void)breaker_end(&breaker, eras[i], BREAKER_GOOD, SECOND / 10, now_us);
        if (calls < usual.round_calls_max) {
            refused(BREAKER_PARK, usual.round_us - SECOND / 10);
            now_us += usual.round_us - SECOND / 10;
        }
    }
    ck_assert_int_eq(breaker.state, BREAKER_CLOSED);
    (void)pass();
}
END_TEST

START_TEST(few_calls_close_it_too)
{
    sicken();
    probe();
    int made = 0;
    for (; breaker.state == BREAKER_HALF_OPEN && made < 100; made++) {
        (void)call(BREAKER_GOOD, 0);
        now_us += SECOND;
    }
    ck_assert_int_eq(made, BREAKER_GOOD_CALLS);
    ck_assert_int_eq(breaker.state, BREAKER_CLOSED);
}
END_TEST

START_TEST(a_canary_that_fails_opens_it_again)
{
    sicken();
    probe();
    ck_assert(call(BREAKER_BAD, SECOND));
    ck_assert_int_eq(breaker.state, BREAKER_OPEN);
    refused(BREAKER_PARK, usual.open_us);
    probe();
    ck_assert(!call(BREAKER_GOOD, 2 * SECOND)); /* slow is no success */
    ck_assert_int_eq(breaker.state, BREAKER_OPEN);
}
END_TEST

START_TEST(a_canary_that_was_given_up_is_sent_again)
{
    sicken();
    probe();
    ck_assert(!call(BREAKER_UNKNOWN, 0));
    ck_assert_int_eq(breaker.state, BREAKER_HALF_OPEN);
    (void)pass();
    refused(BREAKER_PARK, INT64_MAX);
}
END_TEST

/* Calls made before a change say nothing about what followed, and are parked while it is not closed. */
START_TEST(late_answers_say_nothing)
{
    uint32_t before = pass();
    uint32_t other = pass();
    sicken();
    probe();
    ck_assert(breaker_end(&breaker, before, BREAKER_BAD, 0, now_us));
    ck_assert_int_eq(breaker.state, BREAKER_HALF_OPEN);
    ck_assert(!breaker_end(&breaker, other, BREAKER_GOOD, 0, now_us));
    ck_assert_int_eq(breaker.round_good, 0);
    ck_assert_int_eq(breaker.in_flight, 0);
}
END_TEST

START_TEST(a_service_of_fail_refuses)
{
    breaker.settings.holds = false;
    for (int i = 0; i < usual.minimum_calls; i++)
        ck_assert(!call(BREAKER_BAD, 0));
    refused(BREAKER_REFUSE, usual.open_us);
    now_us += usual.open_us;
    refused(BREAKER_REFUSE, INT64_MAX);
    ck_assert(breaker.wants_probe);
}
END_TEST

START_TEST(by_hand)
{
    ck_assert(breaker_hold(&breaker, now_us));
    ck_assert(!breaker_hold(&breaker, now_us));
    now_us += 100 * usual.open_us;
    refused(BREAKER_PARK, INT64_MAX);
    ck_assert(!breaker.wants_probe);
    ck_assert(breaker_release(&breaker, now_us));
    ck_assert(!breaker_release(&breaker, now_us));
    refused(BREAKER_PARK, INT64_MAX);
    ck_assert(breaker.wants_probe);
    breaker_grant(&breaker, now_us);
    (void)pass();
}
END_TEST

START_TEST(limits_of_calls)
{
    uint32_t era = 0;
    for (int64_t i = 0; i < usual.calls; i++)
        era = pass();
    refused(BREAKER_WAIT, INT64_MAX);
    ck_assert(!breaker_end(&breaker, era, BREAKER_GOOD, 0, now_us));
    (void)pass();
    breaker_init(&breaker, &usual, now_us);
    breaker.settings.calls_per_1000s = 20000; /* 20 a second, two at once */
    (void)call(BREAKER_GOOD, 0);
    (void)call(BREAKER_GOOD, 0);
    (void)call(BREAKER_GOOD, 0);
    refused(BREAKER_WAIT, SECOND / 20);
    int made = 0;
    for (int64_t until_us = now_us + 10 * SECOND; now_us < until_us; now_us += 1000)
        if (breaker_ask(&breaker, now_us).verdict == BREAKER_PASS) {
            breaker_end(&breaker, breaker.era, BREAKER_GOOD, 0, now_us);
            made++;
        }
    ck_assert_int_eq(made, 199);
}
END_TEST

static void adopt(enum breaker_state state, bool hand, bool free_to_probe, int64_t age_us)
{
    breaker_adopt(&breaker,
                  &(struct breaker_news){.state = state,
                                         .by_hand = hand,
                                         .free_to_probe = free_to_probe,
                                         .age_us = age_us,
                                         .reason = "told"},
                  now_us);
}

START_TEST(what_others_say)
{
    adopt(BREAKER_OPEN, false, false, usual.open_us - SECOND);
    refused(BREAKER_PARK, SECOND);
    adopt(BREAKER_HALF_OPEN, false, false, 0);
    refused(BREAKER_PARK, usual.patience_us); /* then this instance probes */
    ck_assert(breaker_free(&breaker, now_us));
    ck_assert(!breaker_free(&breaker, now_us)); /* nothing new */
    refused(BREAKER_PARK, INT64_MAX);
    ck_assert(breaker.wants_probe);
    adopt(BREAKER_HALF_OPEN, false, true, 0);
    refused(BREAKER_PARK, INT64_MAX);
    ck_assert(breaker.wants_probe);
    adopt(BREAKER_OPEN, true, false, 10 * usual.open_us);
    refused(BREAKER_PARK, INT64_MAX);
    ck_assert(!breaker.wants_probe && breaker.by_hand);
}
END_TEST

START_TEST(nobody_bursts_when_another_closes_it)
{
    adopt(BREAKER_OPEN, false, false, 0);
    adopt(BREAKER_CLOSED, false, false, 0);
    uint32_t era = pass();
    refused(BREAKER_WAIT, INT64_MAX);
    ck_assert(!breaker_end(&breaker, era, BREAKER_GOOD, 0, now_us));
    refused(BREAKER_WAIT, usual.round_us);
    now_us += usual.round_us;
    (void)pass();
    (void)pass();
    refused(BREAKER_WAIT, INT64_MAX);
    ck_assert(!breaker.changed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("breaker");
    TCase *tcase = tcase_create("breaker");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, it_opens_by_the_share_of_failures);
    tcase_add_test(tcase, it_stays_closed_below_the_share);
    tcase_add_test(tcase, it_opens_by_slow_calls);
    tcase_add_test(tcase, each_round_that_succeeds_doubles_the_next);
    tcase_add_test(tcase, few_calls_close_it_too);
    tcase_add_test(tcase, a_canary_that_fails_opens_it_again);
    tcase_add_test(tcase, a_canary_that_was_given_up_is_sent_again);
    tcase_add_test(tcase, late_answers_say_nothing);
    tcase_add_test(tcase, a_service_of_fail_refuses);
    tcase_add_test(tcase, by_hand);
    tcase_add_test(tcase, limits_of_calls);
    tcase_add_test(tcase, what_others_say);
    tcase_add_test(tcase, nobody_bursts_when_another_closes_it);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
