/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <string.h>

#include "core/migration_plan.h"

static struct migration_plan plan;
static struct error error;

static void setup(void) { memset(&error, 0, sizeof error); }
static void teardown(void) { migration_plan_fini(&plan); }

static enum error_code file(const char *name)
{
    bool taken;
    return migration_plan_add_file(&plan, name, &taken, &error);
}

static void files(int count)
{
    static const char *const names[] = {"0002_b.down.sql", "0001_a.up.sql",   "0002_b.up.sql",
                                        "0001_a.down.sql", "0003_c.down.sql", "0003_c.up.sql"};
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(file(names[i]), ERR_OK);
}

static void checksums(void)
{
    for (int i = 0; i < plan.count; i++)
        strcpy(plan.items[i].checksum, "aaaa");
}

START_TEST(files_are_sorted_by_number)
{
    files(6);
    ck_assert_int_eq(migration_plan_check_files(&plan, &error), ERR_OK);
    ck_assert_int_eq(plan.count, 3);
    ck_assert_str_eq(plan.items[0].name, "a");
    ck_assert_str_eq(plan.items[2].name, "c");
    ck_assert_int_eq(migration_plan_newest(&plan), 3);
    ck_assert_int_eq(migration_plan_version(&plan), 0);
}
END_TEST

START_TEST(other_files_are_left_alone)
{
    bool taken = true;
    ck_assert_int_eq(migration_plan_add_file(&plan, "README.md", &taken, &error), ERR_OK);
    ck_assert(!taken);
    ck_assert_int_eq(migration_plan_add_file(&plan, ".0001_a.up.sql", &taken, &error), ERR_OK);
    ck_assert(!taken);
    ck_assert_int_eq(migration_plan_add_file(&plan, "0001_a.up.sql", &taken, &error), ERR_OK);
    ck_assert(taken);
}
END_TEST

START_TEST(names_that_do_not_fit)
{
    static const char *const bad[] = {"1_a.up.sql",    "00001_a.up.sql", "0001-a.up.sql",
                                      "0001_.up.sql",  "0001_A.up.sql",  "0001_a.sql",
                                      "0000_a.up.sql", "a.up.sql",       "sql.up.sql",
                                      "0001.up.sql",   "0001_a b.up.sql"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(file(bad[i]) == ERR_CONFIG, "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(error.text, bad[i]));
    }
    ck_assert_int_eq(plan.count, 0);
}
END_TEST

START_TEST(a_number_used_twice)
{
    ck_assert_int_eq(file("0001_a.up.sql"), ERR_OK);
    ck_assert_int_eq(file("0001_ab.up.sql"), ERR_CONFIG);
    ck_assert_str_eq(error.text, "0001_ab.up.sql: the number 0001 is already used by 0001_a.");
}
END_TEST

START_TEST(a_gap)
{
    ck_assert_int_eq(file("0001_a.up.sql"), ERR_OK);
    ck_assert_int_eq(file("0001_a.down.sql"), ERR_OK);
    ck_assert_int_eq(file("0003_c.up.sql"), ERR_OK);
    ck_assert_int_eq(file("0003_c.down.sql"), ERR_OK);
    ck_assert_int_eq(migration_plan_check_files(&plan, &error), ERR_CONFIG);
    ck_assert_str_eq(error.text, "0003_c: there is a gap before it; number 0002 is missing.");
}
END_TEST

START_TEST(a_missing_half)
{
    files(3);
    ck_assert_int_eq(migration_plan_check_files(&plan, &error), ERR_CONFIG);
    ck_assert_str_eq(error.text, "0001_a.down.sql is missing.");
    migration_plan_fini(&plan);
    ck_assert_int_eq(file("0001_a.down.sql"), ERR_OK);
    ck_assert_int_eq(migration_plan_check_files(&plan, &error), ERR_CONFIG);
    ck_assert_str_eq(error.text, "0001_a.up.sql is missing.");
}
END_TEST

START_TEST(no_files_at_all)
{
    ck_assert_int_eq(migration_plan_check_files(&plan, &error), ERR_CONFIG);
}
END_TEST

START_TEST(applied_rows_that_fit)
{
    files(6);
    ck_assert_int_eq(migration_plan_check_files(&plan, &error), ERR_OK);
    checksums();
    ck_assert_int_eq(migration_plan_add_applied(&plan, 1, "a", "aaaa", 5, &error), ERR_OK);
    ck_assert_int_eq(migration_plan_add_applied(&plan, 2, "b", "aaaa", 6, &error), ERR_OK);
    ck_assert_int_eq(migration_plan_check_applied(&plan, &error), ERR_OK);
    ck_assert_int_eq(migration_plan_version(&plan), 2);
    ck_assert(migration_plan_find(&plan, 2)->applied_us == 6);
    ck_assert_ptr_null(migration_plan_find(&plan, 4));
}
END_TEST

START_TEST(an_applied_file_has_changed)
{
    files(6);
    ck_assert_int_eq(migration_plan_check_files(&plan, &error), ERR_OK);
    checksums();
    ck_assert_int_eq(migration_plan_add_applied(&plan, 1, "a", "bbbb", 5, &error), ERR_OK);
    ck_assert_int_eq(migration_plan_check_applied(&plan, &error), ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(
        error.text, "0001_a.up.sql has changed since it was applied (SHA-256 is aaaa, was bbbb)"));
}
END_TEST

START_TEST(the_database_knows_more_than_the_files)
{
    files(6);
    ck_assert_int_eq(migration_plan_check_files(&plan, &error), ERR_OK);
    checksums();
    for (int v = 1; v <= 4; v++)
        ck_assert_int_eq(migration_plan_add_applied(&plan, v, "x", "aaaa", 5, &error), ERR_OK);
    ck_assert_int_eq(migration_plan_newest(&plan), 3);
    ck_assert_int_eq(migration_plan_check_applied(&plan, &error), ERR_SCHEMA);
    ck_assert_ptr_nonnull(strstr(error.text, "0004"));
    ck_assert_int_eq(migration_plan_add_applied(&plan, 0, "x", "aaaa", 5, &error), ERR_SCHEMA);
    ck_assert_int_eq(migration_plan_add_applied(&plan, 10000, "x", "aaaa", 5, &error), ERR_SCHEMA);
}
END_TEST

START_TEST(a_hole_in_the_applied_rows)
{
    files(6);
    ck_assert_int_eq(migration_plan_check_files(&plan, &error), ERR_OK);
    checksums();
    ck_assert_int_eq(migration_plan_add_applied(&plan, 1, "a", "aaaa", 5, &error), ERR_OK);
    ck_assert_int_eq(migration_plan_add_applied(&plan, 3, "c", "aaaa", 5, &error), ERR_OK);
    ck_assert_int_eq(migration_plan_check_applied(&plan, &error), ERR_SCHEMA);
    ck_assert_str_eq(error.text, "Migration 0002 (b) was never applied, but 0003 was.");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("migration_plan");
    TCase *tests = tcase_create("migration_plan");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, files_are_sorted_by_number);
    tcase_add_test(tests, other_files_are_left_alone);
    tcase_add_test(tests, names_that_do_not_fit);
    tcase_add_test(tests, a_number_used_twice);
    tcase_add_test(tests, a_gap);
    tcase_add_test(tests, a_missing_half);
    tcase_add_test(tests, no_files_at_all);
    tcase_add_test(tests, applied_rows_that_fit);
    tcase_add_test(tests, an_applied_file_has_changed);
    tcase_add_test(tests, the_database_knows_more_than_the_files);
    tcase_add_test(tests, a_hole_in_the_applied_rows);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
