/* SPDX-License-Identifier: MIT */
/* Is the name that was meant found, and none where nothing is near? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/similar.h"

static const struct {
    const char *name;
    const char *candidates[4];
    const char *best; /* NULL: none */
} cases[] = {
    {"Sey", {"Say", "Sale", "Do"}, "Say"},
    {"ship", {"Shop", "Ship", "Trip"}, "Ship"}, /* another case is no mistake */
    {"inventroy", {"invent", "inventory"}, "inventory"},
    {"Nxet", {"Next"}, "Next"}, /* two that changed places are one mistake */
    {"abcdef", {"badcfe"}, NULL},
    {"ResultPth", {"Result", "ResultPath", "ResultSelector"}, "ResultPath"},
    {"Resutl", {"ResultPath", "Result"}, "Result"},
    {"ab", {"ac", "b"}, NULL}, /* too short to tell */
    {"abc", {"abd"}, "abd"},
    {"abc", {"ade"}, NULL},
    {"order", {"stamp", "hash"}, NULL},
    {"order", {"order"}, NULL},              /* no question where nothing is wrong */
    {"first", {"firsts", "fist"}, "firsts"}, /* of equals the first */
    {"", {"a"}, NULL},
    {"12345678901234567890123456789012345678901234567890123456789012345678901234567890a",
     {"12345678901234567890123456789012345678901234567890123456789012345678901234567890"},
     NULL}, /* too long to be compared */
    {"1234567890123456789012345678901234567890123456789012345678901234567890123456789",
     {"12345678901234567890123456789012345678901234567890123456789012345678901234567890"},
     "12345678901234567890123456789012345678901234567890123456789012345678901234567890"},
};

START_TEST(test_case)
{
    struct similar similar = {.name = cases[_i].name};
    for (size_t i = 0; cases[_i].candidates[i]; i++)
        similar_try(&similar, cases[_i].candidates[i]);
    if (cases[_i].best)
        ck_assert_str_eq(similar.best, cases[_i].best);
    else
        ck_assert_ptr_null(similar.best);
    struct buffer text = {0}, expected = {0};
    if (cases[_i].best)
        buffer_append_format(&expected, "; did you mean \"%s\"?", cases[_i].best);
    ck_assert_str_eq(similar_ask(&similar, &text), buffer_text(&expected));
    buffer_fini(&text);
    buffer_fini(&expected);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("similar");
    TCase *names = tcase_create("names");
    tcase_add_loop_test(names, test_case, 0, (int)(sizeof cases / sizeof *cases));
    suite_add_tcase(suite, names);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
