/* SPDX-License-Identifier: MIT */
/* Is a cursor read as it was written, and nothing else taken for one? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "reducer/core/page_cursor.h"

#define COUNT(list) (int)(sizeof(list) / sizeof *(list))

static const struct page_cursor cursors[] = {
    {true, 1763740800000000, 5000, 7, "a:b"},
    {false, 0, 0, 0, ""},
    {false, -1763740800000000, 366LL * 86400 * 1000, INT32_MAX, "[\"\xc3\xa9\",\"\"]"},
    {true, INSTANT_LAST_US, 1, 1, "x"},
};

START_TEST(a_cursor_is_read_as_it_was_written)
{
    struct buffer text = {0};
    struct page_cursor read;
    page_cursor_write(&cursors[_i], &text);
    ck_assert(page_cursor_read(buffer_text(&text), &read));
    ck_assert_int_eq(read.oldest_first, cursors[_i].oldest_first);
    ck_assert_int_eq(read.start_us, cursors[_i].start_us);
    ck_assert_int_eq(read.window_ms, cursors[_i].window_ms);
    ck_assert_int_eq(read.definition, cursors[_i].definition);
    ck_assert_str_eq(read.group, cursors[_i].group);
    buffer_fini(&text);
}
END_TEST

START_TEST(the_text_stays)
{
    struct page_cursor read;
    ck_assert(page_cursor_read("a.1763740800000000.5000.7.613a62", &read));
    ck_assert_str_eq(read.group, "a:b");
}
END_TEST

static const char *const no_cursors[] = {
    "a",
    "x.1.2.3.",
    "a.1.2.3",
    "a.1.2.",
    "a.1..3.",
    "a. 1.2.3.",
    "a.+1.2.3.",
    "a.1.2.-3.",
    "a.1.2.2147483648.",
    "a.9223372036854775808.2.3.",
    "a.999999999999999999.2.3.",
    "a.-62300000000000000.2.3.x",
    "a.1.2.3.6",
    "a.1.2.3.+1",
    "a.1.2.3. 1",
    "a.1.2.3.0x",
    "a.1.2.3.6100",
    "a.1.2.3.ff",
    "a.1.2.3.6A",
};

START_TEST(other_texts_are_no_cursors)
{
    struct page_cursor read;
    ck_assert(!page_cursor_read(no_cursors[_i], &read));
}
END_TEST

START_TEST(a_group_has_its_limit)
{
    struct page_cursor long_one = {.oldest_first = true}, read;
    struct buffer text = {0};
    memset(long_one.group, 'g', AGGREGATION_GROUP_BYTES_MAX);
    page_cursor_write(&long_one, &text);
    ck_assert(page_cursor_read(buffer_text(&text), &read));
    ck_assert_str_eq(read.group, long_one.group);
    buffer_append_text(&text, "67");
    ck_assert(!page_cursor_read(buffer_text(&text), &read));
    buffer_fini(&text);
}
END_TEST

static const struct {
    const char *text, *lane, *workflow;
    int64_t seq;
} tokens[] = {
    {"1.7:5:w", "1.7", "w", 5},
    {"1.7%3A0%3Aa:b", "1.7", "a:b", 0},
    {"l:999999999999999999:%c3%a9", "l", "\xc3\xa9", 999999999999999999},
};

START_TEST(a_token_is_cut)
{
    struct after_token token;
    char *text = strdup(tokens[_i].text);
    ck_assert(after_token_read(text, &token));
    ck_assert_str_eq(token.lane, tokens[_i].lane);
    ck_assert_str_eq(token.workflow, tokens[_i].workflow);
    ck_assert_int_eq(token.seq, tokens[_i].seq);
    free(text);
}
END_TEST

static const char *const no_tokens[] = {"",
                                        "l",
                                        "l:5",
                                        "l:5:",
                                        ":5:w",
                                        "l::w",
                                        "l:x:w",
                                        "l:-1:w",
                                        "l: 5:w",
                                        "l:5%:w",
                                        "%ff:5:w",
                                        "l:5:%00",
                                        "l:1999999999999999999:w"};

START_TEST(other_texts_are_no_tokens)
{
    struct after_token token;
    char *text = strdup(no_tokens[_i]);
    ck_assert(!after_token_read(text, &token));
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("page_cursor");
    TCase *tests = tcase_create("page_cursor");
    tcase_add_loop_test(tests, a_cursor_is_read_as_it_was_written, 0, COUNT(cursors));
    tcase_add_test(tests, the_text_stays);
    tcase_add_loop_test(tests, other_texts_are_no_cursors, 0, COUNT(no_cursors));
    tcase_add_test(tests, a_group_has_its_limit);
    tcase_add_loop_test(tests, a_token_is_cut, 0, COUNT(tokens));
    tcase_add_loop_test(tests, other_texts_are_no_tokens, 0, COUNT(no_tokens));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
