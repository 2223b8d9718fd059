/* SPDX-License-Identifier: MIT */
/* lib/io/migrate against a real server: files of a temporary directory, then the real ones. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/log.h"
#include "io/migrate.h"

static struct postgres *db;
static struct error error;
static char directory[64];
static int steps;
static int last_step;

static void count_step(void *context, const struct migration *migration, bool up, bool dry_run)
{
    (void)context;
    (void)dry_run;
    steps++;
    last_step = up ? migration->version : -migration->version;
}

static void put(const char *name, const char *sql)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(sql, file);
    fclose(file);
}

static void drop(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    ck_assert_int_eq(unlink(path), 0);
}

static void setup(void)
{
    db = postgres_new(getenv("DATABASE_URL"), "test", NULL);
    strcpy(directory, "/tmp/test-migrate-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(
        postgres_script(db, "DROP SCHEMA public CASCADE; CREATE SCHEMA public", &error), ERR_OK);
    put("0001_one.up.sql", "CREATE TABLE one(a int)");
    put("0001_one.down.sql", "DROP TABLE one");
    put("0002_two.up.sql", "CREATE TABLE two(a int); -- a comment at the end");
    put("0002_two.down.sql", "DROP TABLE two;\n");
    steps = 0;
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0);
    postgres_free(db);
}

static bool table(const char *name)
{
    struct postgres_value v = {0};
    struct postgres_rows *rows;
    postgres_set_string(&v, name);
    ck_assert_int_eq(postgres_query(db, "SELECT to_regclass($1) IS NOT NULL", &v, 1, &rows, &error),
                     ERR_OK);
    bool there = postgres_rows_bool(rows, 0, 0);
    postgres_rows_free(rows);
    postgres_value_fini(&v);
    return there;
}

static enum error_code up(int target)
{
    return migrate_up(db, directory, target, false, count_step, NULL, &error);
}

static enum error_code down(int target)
{
    return migrate_down(db, directory, target, false, count_step, NULL, &error);
}

START_TEST(up_and_down)
{
    ck_assert_msg(up(0) == ERR_OK, "%s", error.text);
    ck_assert_int_eq(steps, 2);
    ck_assert(table("one") && table("two"));
    ck_assert_int_eq(up(0), ERR_OK);
    ck_assert_int_eq(steps, 2);
    ck_assert_int_eq(down(MIGRATE_ONE), ERR_OK);
    ck_assert_int_eq(last_step, -2);
    ck_assert(table("one") && !table("two"));
    ck_assert_int_eq(up(0), ERR_OK);
    ck_assert_int_eq(down(0), ERR_OK);
    ck_assert(!table("one") && !table("two"));
    ck_assert_int_eq(down(MIGRATE_ONE), ERR_OK);
    ck_assert_int_eq(up(1), ERR_OK);
    ck_assert(table("one") && !table("two"));
    ck_assert_int_eq(up(3), ERR_CONFIG);
    ck_assert_str_eq(error.text, "There is no migration 3; versions here are 0 to 2.");
}
END_TEST

START_TEST(a_dry_run_changes_nothing)
{
    ck_assert_int_eq(migrate_up(db, directory, 0, true, count_step, NULL, &error), ERR_OK);
    ck_assert_int_eq(steps, 2);
    ck_assert(!table("one") && !table("schema_migrations"));
    ck_assert_int_eq(up(0), ERR_OK);
    ck_assert_int_eq(migrate_down(db, directory, 0, true, count_step, NULL, &error), ERR_OK);
    ck_assert_int_eq(steps, 6);
    ck_assert_int_eq(last_step, -1);
    ck_assert(table("two"));
}
END_TEST

START_TEST(a_failing_file_is_rolled_back_whole)
{
    put("0002_two.up.sql", "CREATE TABLE two(a int); SELECT 1/0;");
    ck_assert_int_eq(up(0), ERR_INTERNAL);
    ck_assert_str_eq(error.text, "0002_two.up.sql: PostgreSQL: division by zero (SQLSTATE 22012)");
    ck_assert(table("one") && !table("two"));
    put("0002_two.up.sql", "CREATE TABLE two(a int)");
    ck_assert_int_eq(up(0), ERR_OK);
    ck_assert(table("two"));
}
END_TEST

START_TEST(a_changed_file_is_refused_and_shown)
{
    ck_assert_int_eq(up(0), ERR_OK);
    put("0001_one.up.sql", "CREATE TABLE one(a bigint)");
    ck_assert_int_eq(up(0), ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "0001_one.up.sql has changed"));
    struct migration_plan plan = {0};
    ck_assert_int_eq(migrate_status(db, directory, &plan, &error), ERR_OK);
    ck_assert_int_eq(plan.count, 2);
    ck_assert(plan.items[0].applied &&
              strcmp(plan.items[0].checksum, plan.items[0].applied_checksum) != 0);
    ck_assert(plan.items[1].applied &&
              strcmp(plan.items[1].checksum, plan.items[1].applied_checksum) == 0);
    ck_assert(plan.items[1].applied_us > 1700000000000000);
    migration_plan_fini(&plan);
}
END_TEST

START_TEST(a_missing_file_or_directory)
{
    drop("0001_one.down.sql");
    ck_assert_int_eq(up(0), ERR_CONFIG);
    ck_assert_str_eq(error.text, "0001_one.down.sql is missing.");
    ck_assert_int_eq(migrate_up(db, "/nonexistent", 0, false, NULL, NULL, &error), ERR_CONFIG);
}
END_TEST

START_TEST(versions_a_program_accepts)
{
    ck_assert_int_eq(migrate_check_schema(db, 1, 2, &error), ERR_SCHEMA);
    ck_assert_str_eq(error.text, "The database schema is at version 0; this program needs 1 to 2. "
                                 "Run: bridgectl migrate up");
    ck_assert_int_eq(up(1), ERR_OK);
    ck_assert_int_eq(migrate_check_schema(db, 1, 2, &error), ERR_OK);
    ck_assert_int_eq(migrate_check_schema(db, 2, 2, &error), ERR_SCHEMA);
    ck_assert_int_eq(up(2), ERR_OK);
    ck_assert_int_eq(migrate_check_schema(db, 1, 2, &error), ERR_OK);
    ck_assert_int_eq(migrate_check_schema(db, 1, 1, &error), ERR_SCHEMA);
    ck_assert_ptr_nonnull(strstr(error.text, "migrate down --to 1"));
}
END_TEST

static void *up_in_a_thread(void *context)
{
    struct postgres *mine = postgres_new(getenv("DATABASE_URL"), "test", NULL);
    struct error failure;
    *(enum error_code *)context = migrate_up(mine, directory, 0, false, NULL, NULL, &failure);
    postgres_free(mine);
    return NULL;
}

START_TEST(several_at_once)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    enum error_code codes[THREADS];
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, up_in_a_thread, &codes[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(codes[i], ERR_OK);
    }
    ck_assert(table("two"));
}
END_TEST

START_TEST(the_real_migrations_go_up_and_down_and_up)
{
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(migrate_up(db, "migrations", 0, false, NULL, NULL, &error) == ERR_OK, "%s",
                      error.text);
        ck_assert_msg(migrate_check_schema(db, SCHEMA_VERSION_OLDEST, SCHEMA_VERSION_NEWEST,
                                           &error) == ERR_OK,
                      "%s", error.text);
        ck_assert_msg(migrate_down(db, "migrations", 0, false, NULL, NULL, &error) == ERR_OK, "%s",
                      error.text);
        struct postgres_rows *rows;
        ck_assert_int_eq(
            postgres_query(
                db,
                "SELECT (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = "
                "relnamespace"
                " WHERE nspname = 'public' AND relname !~ '^schema_migrations')"
                " + (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace"
                " WHERE nspname = 'public') + (SELECT count(*) FROM pg_type t JOIN pg_namespace n"
                " ON n.oid = typnamespace WHERE nspname = 'public' AND typname !~ "
                "'schema_migrations')",
                NULL, 0, &rows, &error),
            ERR_OK);
        ck_assert_int_eq(postgres_rows_int(rows, 0, 0), 0); /* nothing is left behind */
        postgres_rows_free(rows);
    }
}
END_TEST

int main(void)
{
    log_init("test", "error");
    Suite *suite = suite_create("migrate");
    TCase *tests = tcase_create("migrate");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, up_and_down);
    tcase_add_test(tests, a_dry_run_changes_nothing);
    tcase_add_test(tests, a_failing_file_is_rolled_back_whole);
    tcase_add_test(tests, a_changed_file_is_refused_and_shown);
    tcase_add_test(tests, a_missing_file_or_directory);
    tcase_add_test(tests, versions_a_program_accepts);
    tcase_add_test(tests, several_at_once);
    tcase_add_test(tests, the_real_migrations_go_up_and_down_and_up);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
