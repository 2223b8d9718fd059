/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/forward_rule.h"

static struct forward_answer said(int status, const char *code)
{
    static char body[128];
    snprintf(body, sizeof body, "{\"status\":%d,\"code\":\"%s\"}", status, code);
    return (struct forward_answer){
        .came = true, .reached = true, .status = status, .body = body, .body_bytes = strlen(body)};
}

static enum forward_next judge(struct forward_answer answer, bool repeats, bool moved)
{
    return forward_judge(&answer, &(struct forward_case){.repeats = repeats, .moved = moved});
}

START_TEST(what_the_owner_decided_is_the_clients)
{
    static const int statuses[] = {200, 202, 404, 409, 422, 429, 500};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        for (int repeats = 0; repeats < 2; repeats++)
            ck_assert_int_eq(judge(said(statuses[i], "not_owner"), repeats, true), FORWARD_PASS_ON);
}
END_TEST

START_TEST(what_was_not_taken_is_asked_again)
{
    for (int repeats = 0; repeats < 2; repeats++) {
        ck_assert_int_eq(judge((struct forward_answer){0}, repeats, false), FORWARD_AGAIN);
        ck_assert_int_eq(judge(said(503, "not_owner"), repeats, false), FORWARD_AGAIN);
        ck_assert_int_eq(judge(said(503, "stopping"), repeats, false), FORWARD_AGAIN);
        ck_assert_int_eq(judge(said(503, "fenced"), repeats, false), FORWARD_AGAIN);
    }
}
END_TEST

START_TEST(what_may_have_been_taken_is_said_twice_only_when_that_is_harmless)
{
    const struct forward_answer lost = {.reached = true};
    for (int moved = 0; moved < 2; moved++) {
        ck_assert_int_eq(judge(lost, true, moved), FORWARD_REPEAT);
        ck_assert_int_eq(judge(lost, false, moved), FORWARD_UNKNOWN);
        ck_assert_int_eq(judge(said(503, "outcome_unknown"), true, moved), FORWARD_REPEAT);
        ck_assert_int_eq(judge(said(503, "outcome_unknown"), false, moved), FORWARD_PASS_ON);
    }
}
END_TEST

START_TEST(the_word_of_a_former_owner_is_not_the_last)
{
    ck_assert_int_eq(judge(said(503, "database_unavailable"), true, false), FORWARD_PASS_ON);
    ck_assert_int_eq(judge(said(503, "database_unavailable"), true, true), FORWARD_REPEAT);
    ck_assert_int_eq(judge(said(503, "database_unavailable"), false, true), FORWARD_PASS_ON);
    struct forward_answer page = {
        .came = true, .reached = true, .status = 503, .body = "<html>", .body_bytes = 6};
    ck_assert_int_eq(judge(page, true, false), FORWARD_PASS_ON);
}
END_TEST

START_TEST(who_waits_for_the_end_waits_on_with_the_new_owner)
{
    struct forward_answer accepted = {.came = true, .reached = true, .status = 202, .body = "{}"};
    struct forward_answer ended = {.came = true, .reached = true, .status = 200, .body = "{}"};
    ck_assert_int_eq(forward_judge(&accepted, &(struct forward_case){true, true, true}),
                     FORWARD_REPEAT);
    ck_assert_int_eq(forward_judge(&accepted, &(struct forward_case){true, true, false}),
                     FORWARD_PASS_ON);
    ck_assert_int_eq(forward_judge(&accepted, &(struct forward_case){false, true, true}),
                     FORWARD_PASS_ON);
    ck_assert_int_eq(forward_judge(&ended, &(struct forward_case){true, true, true}),
                     FORWARD_PASS_ON);
}
END_TEST

START_TEST(headers_of_one_connection_stay_there)
{
    static const char *const passed[] = {"Location: /api/v1/workflows/1", "Retry-After: 1",
                                         "WWW-Authenticate: Bearer", "X-Anything: 1"};
    static const char *const kept[] = {"HTTP/1.1 200 OK",         "Connection: close",
                                       "content-length: 12",      "Date: now",
                                       "X-Correlation-ID: abc",   "Transfer-Encoding: chunked",
                                       "X-Frame-Options: DENY",   "access-control-allow-origin: *",
                                       "Content-Type: text/html", "no header"};
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++)
        ck_assert_msg(forward_passes_header(passed[i], strlen(passed[i])), "%s", passed[i]);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        ck_assert_msg(!forward_passes_header(kept[i], strlen(kept[i])), "%s", kept[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("forward_rule");
    TCase *tests = tcase_create("rules");
    tcase_add_test(tests, what_the_owner_decided_is_the_clients);
    tcase_add_test(tests, what_was_not_taken_is_asked_again);
    tcase_add_test(tests, what_may_have_been_taken_is_said_twice_only_when_that_is_harmless);
    tcase_add_test(tests, the_word_of_a_former_owner_is_not_the_last);
    tcase_add_test(tests, who_waits_for_the_end_waits_on_with_the_new_owner);
    tcase_add_test(tests, headers_of_one_connection_stay_there);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
