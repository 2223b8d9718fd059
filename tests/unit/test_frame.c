/* SPDX-License-Identifier: MIT */
/* Are tables and bars drawn as wide as the terminal and no wider? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/frame.h"

START_TEST(test_table)
{
    static const char *const cells[] = {"WINDOW", "GROUP", "n", "12:00", "caf\xc3\xa9",
                                        "1",      "12:05", "b", "20"};
    static const struct {
        int width;
        const char *text;
    } cases[] = {
        {80, "WINDOW  GROUP  n\n12:00   caf\xc3\xa9   1\n12:05   b      20\n"},
        {16, "WINDOW  GROUP  n\n12:00   caf\xc3\xa9   1\n12:05   b      2\n"},
        {11, "WINDOW  GRO\n12:00   caf\n12:05   b\n"},
        {6, "WINDOW\n12:00\n12:05\n"},
        {1, "W\n1\n1\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer text = {0};
        frame_table(&text, cells, 3, 3, cases[i].width);
        ck_assert_str_eq(buffer_text(&text), cases[i].text);
        buffer_fini(&text);
    }
}
END_TEST

START_TEST(test_bars)
{
    static const struct frame_bar bars[] = {{"12:00 a", true, 10},
                                            {"12:05 b", true, 5},
                                            {"caf\xc3\xa9", true, 0.01},
                                            {"", false, 0},
                                            {"below", true, -3}};
    struct buffer text = {0};
    frame_bars(&text, bars, 5, 25, "", "");
    ck_assert_str_eq(buffer_text(&text), "12:00 a  ##########  10\n"
                                         "12:05 b  #####       5\n"
                                         "caf\xc3\xa9     #           0.01\n"
                                         "                     -\n"
                                         "below                -3\n");
    buffer_clear(&text);
    frame_bars(&text, bars, 1, 20, "<", ">");
    ck_assert_str_eq(buffer_text(&text), "12:00 a  <#######>  10\n");
    buffer_fini(&text);
}
END_TEST

START_TEST(test_narrow_bars)
{
    static const struct frame_bar bars[] = {{"a long label", true, 123456}, {"b", true, 1}};
    for (int width = 0; width < 60; width++) {
        struct buffer text = {0};
        frame_bars(&text, bars, 2, width, "", "");
        const char *end = strchr(buffer_text(&text), '\n');
        ck_assert_ptr_nonnull(end);
        ck_assert_int_le(end - buffer_text(&text), width < 3 ? 3 : width);
        buffer_fini(&text);
    }
    struct buffer none = {0};
    frame_bars(&none, bars, 0, 40, "", "");
    ck_assert_uint_eq(none.bytes, 0);
}
END_TEST

START_TEST(test_numbers)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {-2, "-2"},
                 {0.25, "0.25"},
                 {1.0 / 3, "0.3333"},
                 {123456789, "123456789"},
                 {1.5e16, "1.5e+16"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32];
        frame_number(cases[i].value, text);
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frame");
    TCase *drawing = tcase_create("drawing");
    tcase_add_test(drawing, test_table);
    tcase_add_test(drawing, test_bars);
    tcase_add_test(drawing, test_narrow_bars);
    tcase_add_test(drawing, test_numbers);
    suite_add_tcase(suite, drawing);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
