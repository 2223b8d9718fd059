/* SPDX-License-Identifier: MIT */
#include "base/plain.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* The octet that decides stands at each place of a text of 24 octets, between each kind of neighbours. */
static void check_runs(unsigned char c, unsigned char around)
{
    for (size_t at = 0; at < 24; at++) {
        char text[24];
        memset(text, around, sizeof text);
        text[at] = (char)c;
        bool special = c < 0x20 || c == '"' || c == '\\';
        bool around_ends = around >= 0x80;
        ck_assert_uint_eq(plain_string_run(text, sizeof text), special ? at : sizeof text);
        ck_assert_uint_eq(plain_ascii_run(text, sizeof text), around_ends
                                                                  ? (at == 0 && c < 0x80 ? 1 : 0)
                                                              : c >= 0x80 ? at
                                                                          : sizeof text);
        ck_assert_uint_eq(plain_run(text, sizeof text),
                          around_ends            ? (at == 0 && c < 0x80 && !special ? 1 : 0)
                          : c >= 0x80 || special ? at
                                                 : sizeof text);
    }
}

START_TEST(test_every_octet)
{
    for (unsigned c = 0; c < 256; c++) {
        check_runs((unsigned char)c, 'a');
        check_runs((unsigned char)c, 0x7f);
        check_runs((unsigned char)c, '!');
        check_runs((unsigned char)c, 0xe2);
        check_runs((unsigned char)c, '#');
    }
}
END_TEST

START_TEST(test_what_is_left_of_a_word)
{
    for (size_t bytes = 0; bytes < 40; bytes++) {
        char *text =
            malloc(bytes + 1); /* its end is the end of the block: nothing behind it is read */
        memset(text, 'x', bytes);
        ck_assert_uint_eq(plain_run(text, bytes), bytes / 8 * 8);
        free(text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plain");
    TCase *cases = tcase_create("runs");
    tcase_add_test(cases, test_every_octet);
    tcase_add_test(cases, test_what_is_left_of_a_word);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
