/* SPDX-License-Identifier: MIT */
/* lib/io/postgres against a real server: DATABASE_URL names a throw-away one (tools/with-postgres.sh). */
#include <check.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/postgres.h"

static const char *url;
static struct postgres *db;
static struct error error;

static void setup(void)
{
    url = getenv("DATABASE_URL");
    ck_assert_msg(url != NULL, "DATABASE_URL is not set: run it by tools/with-postgres.sh");
    db = postgres_new(url, "test", "-c lock_timeout=5s");
    memset(&error, 0, sizeof error);
    ck_assert_msg(
        postgres_script(
            db,
            "DROP TABLE IF EXISTS t; CREATE TABLE t(id int PRIMARY KEY, word text, j jsonb);"
            "CREATE OR REPLACE FUNCTION fence(epoch int) RETURNS void LANGUAGE plpgsql AS"
            " $$ BEGIN IF epoch <> 7 THEN RAISE EXCEPTION 'stale epoch %', epoch"
            " USING ERRCODE = 'OB001'; END IF; END $$;",
            &error) == ERR_OK,
        "%s", error.text);
}

static void teardown(void) { postgres_free(db); }

static void ok(enum error_code code)
{
    ck_assert_msg(code == ERR_OK, "%s: %s", error_code_name(code), error.text);
}

static int64_t number(const char *sql)
{
    struct postgres_rows *rows;
    ok(postgres_query(db, sql, NULL, 0, &rows, &error));
    int64_t n = postgres_rows_int(rows, 0, 0);
    postgres_rows_free(rows);
    return n;
}

START_TEST(scalars_go_and_come_back)
{
    struct postgres_value v[9] = {0};
    struct uuid uuid = clock_uuid_v7();
    postgres_set_bool(&v[0], true);
    postgres_set_int2(&v[1], -2);
    postgres_set_int4(&v[2], INT32_MIN);
    postgres_set_int8(&v[3], INT64_MIN);
    postgres_set_double(&v[4], -0.5);
    postgres_set_text(&v[5], "z\xc3\xa4hl", 5);
    postgres_set_bytea(&v[6], "a\0b", 3);
    postgres_set_uuid(&v[7], &uuid);
    postgres_set_instant(&v[8], 1700000000123456);
    struct postgres_rows *r;
    ok(postgres_query(db, "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $9::text", v, 9, &r, &error));
    ck_assert_int_eq(postgres_rows_count(r), 1);
    ck_assert(postgres_rows_bool(r, 0, 0));
    ck_assert_int_eq(postgres_rows_int(r, 0, 1), -2);
    ck_assert_int_eq(postgres_rows_int(r, 0, 2), INT32_MIN);
    ck_assert(postgres_rows_int(r, 0, 3) == INT64_MIN);
    ck_assert_double_eq(postgres_rows_double(r, 0, 4), -0.5);
    size_t bytes;
    ck_assert_str_eq(postgres_rows_text(r, 0, 5, &bytes), "z\xc3\xa4hl");
    ck_assert_uint_eq(bytes, 5);
    ck_assert_int_eq(memcmp(postgres_rows_text(r, 0, 6, &bytes), "a\0b", 3), 0);
    ck_assert_uint_eq(bytes, 3);
    struct uuid back = postgres_rows_uuid(r, 0, 7);
    ck_assert(uuid_equal(&back, &uuid));
    ck_assert(postgres_rows_instant(r, 0, 8) == 1700000000123456);
    ck_assert(strncmp(postgres_rows_text(r, 0, 9, NULL), "2023-11-14", 10) == 0);
    postgres_rows_free(r);
    for (int i = 0; i < 9; i++)
        postgres_value_fini(&v[i]);
}
END_TEST

START_TEST(nulls_go_and_come_back)
{
    struct postgres_value v[3] = {0};
    postgres_set_string(&v[0], NULL);
    postgres_set_null(&v[1], PG_INT8);
    struct postgres_rows *r;
    ok(postgres_query(db, "SELECT $1, $2, $3::text", v, 3, &r, &error));
    for (int i = 0; i < 3; i++)
        ck_assert(postgres_rows_null(r, 0, i));
    ck_assert_ptr_null(postgres_rows_text(r, 0, 0, NULL));
    ck_assert_int_eq(postgres_rows_int(r, 0, 1), 0);
    postgres_rows_free(r);
    ck_assert_int_eq(postgres_rows_count(NULL), 0);
}
END_TEST

START_TEST(sums_json_and_narrow_types_can_be_read)
{
    struct postgres_rows *r;
    ok(postgres_query(db,
                      "SELECT sum(x), avg(x), -12345678901234.5::numeric, '{\"a\": 1}'::jsonb, "
                      "1.5::real, 'n'::name,"
                      " 0.00025::numeric, 'NaN'::numeric, 100000000::numeric"
                      " FROM unnest('{9000000000,1}'::bigint[]) x",
                      NULL, 0, &r, &error));
    ck_assert(postgres_rows_int(r, 0, 0) == 9000000001);
    ck_assert_double_eq_tol(postgres_rows_double(r, 0, 1), 4500000000.5, 1e-6);
    ck_assert(postgres_rows_int(r, 0, 2) == -12345678901234);
    ck_assert_double_eq_tol(postgres_rows_double(r, 0, 2), -12345678901234.5, 1e-2);
    ck_assert_str_eq(postgres_rows_text(r, 0, 3, NULL), "{\"a\": 1}");
    ck_assert_double_eq(postgres_rows_double(r, 0, 4), 1.5);
    ck_assert_str_eq(postgres_rows_text(r, 0, 5, NULL), "n");
    ck_assert_double_eq_tol(postgres_rows_double(r, 0, 6), 0.00025, 1e-12);
    ck_assert(isnan(postgres_rows_double(r, 0, 7)));
    ck_assert(postgres_rows_int(r, 0, 8) == 100000000);
    postgres_rows_free(r);
}
END_TEST

START_TEST(arrays_of_every_type)
{
    struct postgres_value v[10] = {0};
    static const enum postgres_type types[10] = {PG_BOOL,        PG_INT2, PG_INT4,  PG_INT8,
                                                 PG_DOUBLE,      PG_TEXT, PG_BYTEA, PG_UUID,
                                                 PG_TIMESTAMPTZ, PG_JSON};
    struct uuid uuid = clock_uuid_v7();
    for (int i = 0; i < 10; i++)
        postgres_array_start(&v[i], types[i]);
    for (int i = 0; i < 3; i++) {
        postgres_push_bool(&v[0], i == 1);
        postgres_push_int2(&v[1], (int16_t)i);
        postgres_push_int4(&v[2], -i);
        postgres_push_int8(&v[3], (int64_t)i << 40);
        postgres_push_double(&v[4], i * 0.25);
        postgres_push_string(&v[5], i == 1 ? NULL : "word");
        postgres_push_bytea(&v[6], "\0\1", 2);
        postgres_push_uuid(&v[7], &uuid);
        postgres_push_instant(&v[8], i);
        postgres_push_string(&v[9], "[1]");
    }
    struct postgres_rows *r;
    ok(postgres_query(db,
                      "SELECT a, b, c, d, e, f, g, h, i, j::jsonb FROM unnest($1, $2, $3, $4, $5, "
                      "$6, $7, $8, $9, $10)"
                      " x(a, b, c, d, e, f, g, h, i, j)",
                      v, 10, &r, &error));
    ck_assert_int_eq(postgres_rows_count(r), 3);
    ck_assert(!postgres_rows_bool(r, 0, 0) && postgres_rows_bool(r, 1, 0));
    ck_assert_int_eq(postgres_rows_int(r, 2, 1), 2);
    ck_assert_int_eq(postgres_rows_int(r, 2, 2), -2);
    ck_assert(postgres_rows_int(r, 2, 3) == (int64_t)2 << 40);
    ck_assert_double_eq(postgres_rows_double(r, 1, 4), 0.25);
    ck_assert(postgres_rows_null(r, 1, 5) && !postgres_rows_null(r, 2, 5));
    ck_assert_str_eq(postgres_rows_text(r, 2, 9, NULL), "[1]");
    ck_assert(postgres_rows_instant(r, 2, 8) == 2);
    struct uuid back = postgres_rows_uuid(r, 2, 7);
    ck_assert(uuid_equal(&back, &uuid));
    postgres_rows_free(r);
    for (int i = 0; i < 10; i++)
        postgres_value_fini(&v[i]);
}
END_TEST

START_TEST(an_empty_array_and_a_reused_one)
{
    struct postgres_value v = {0};
    struct postgres_rows *r;
    for (int round = 0; round < 3; round++) {
        postgres_array_start(&v, PG_INT4);
        for (int i = 0; i < round; i++)
            postgres_push_int4(&v, i);
        ok(postgres_query(db, "SELECT cardinality($1), array_ndims($1), $1[1]", &v, 1, &r, &error));
        ck_assert_int_eq(postgres_rows_int(r, 0, 0), round);
        ck_assert_int_eq(postgres_rows_null(r, 0, 1), round == 0);
        ck_assert_int_eq(postgres_rows_null(r, 0, 2), round == 0); /* numbered from 1 */
        postgres_rows_free(r);
    }
    postgres_value_fini(&v);
}
END_TEST

static enum error_code add(int id, const char *word)
{
    struct postgres_value v[2] = {0};
    postgres_set_int4(&v[0], id);
    postgres_set_string(&v[1], word);
    enum error_code code =
        postgres_batch_add(db, "INSERT INTO t(id, word) VALUES ($1, $2)", v, 2, &error);
    postgres_value_fini(&v[0]);
    postgres_value_fini(&v[1]);
    return code;
}

START_TEST(a_batch_is_one_transaction)
{
    struct postgres_rows *r;
    ok(postgres_batch_begin(db, &error));
    ok(add(1, "a"));
    ok(postgres_batch_add(db, "SELECT count(*), pg_current_xact_id()::text FROM t", NULL, 0,
                          &error));
    ok(add(2, "b"));
    ok(postgres_batch_run(db, 1, &r, &error));
    ck_assert_int_eq(postgres_rows_int(r, 0, 0), 1);
    postgres_rows_free(r);
    ck_assert_int_eq(number("SELECT count(DISTINCT xmin::text) FROM t"), 1);
    ck_assert_int_eq(number("SELECT count(*) FROM t"), 2);
}
END_TEST

START_TEST(a_failed_statement_rolls_all_back)
{
    ok(postgres_batch_begin(db, &error));
    ok(add(1, "a"));
    ok(add(1, "again"));
    ok(add(3, "never"));
    ck_assert_int_eq(postgres_batch_run(db, 0, NULL, &error), ERR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(error.text, "t_pkey"));
    ck_assert_str_eq(postgres_sqlstate(db), "23505");
    ck_assert_int_eq(number("SELECT count(*) FROM t"), 0);
    ok(postgres_batch_begin(db, &error)); /* the same connection works on */
    ok(add(1, "a"));
    ok(postgres_batch_run(db, 0, NULL, &error));
    ck_assert_int_eq(number("SELECT count(*) FROM t"), 1);
}
END_TEST

START_TEST(a_statement_behind_a_failure_is_prepared_again)
{
    struct postgres_value epoch = {0};
    postgres_set_int4(&epoch, 6);
    ok(postgres_batch_begin(db, &error));
    ok(postgres_batch_add(db, "SELECT fence($1)", &epoch, 1, &error));
    ok(add(1, "behind"));
    ck_assert_int_eq(postgres_batch_run(db, 0, NULL, &error), ERR_FENCED);
    ck_assert_str_eq(postgres_sqlstate(db), "OB001");
    postgres_set_int4(&epoch, 7);
    ok(postgres_batch_begin(db, &error));
    ok(postgres_batch_add(db, "SELECT fence($1)", &epoch, 1, &error));
    ok(add(1, "behind"));
    ok(postgres_batch_run(db, 0, NULL, &error));
    ck_assert_int_eq(number("SELECT count(*) FROM t"), 1);
    ck_assert_int_eq(
        number("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'"), 1);
    postgres_value_fini(&epoch);
}
END_TEST

START_TEST(a_deferred_constraint_fails_the_commit)
{
    ok(postgres_script(
        db, "ALTER TABLE t ADD CONSTRAINT words UNIQUE (word) DEFERRABLE INITIALLY DEFERRED",
        &error));
    ok(postgres_batch_begin(db, &error));
    ok(add(1, "same"));
    ok(add(2, "same"));
    ck_assert_int_eq(postgres_batch_run(db, 0, NULL, &error), ERR_CONFLICT);
    ck_assert(postgres_connected(db));
    ck_assert_int_eq(number("SELECT count(*) FROM t"), 0);
}
END_TEST

START_TEST(syntax_errors_and_server_messages)
{
    struct postgres_rows *r;
    ck_assert_int_eq(postgres_query(db, "SELEC 1", NULL, 0, &r, &error), ERR_INTERNAL);
    ck_assert_ptr_null(r);
    ck_assert_ptr_nonnull(strstr(error.text, "syntax error"));
    ck_assert_int_eq(postgres_script(db, "CREATE TABLE u(a int); SELECT 1/0", &error),
                     ERR_INTERNAL);
    ck_assert_str_eq(postgres_sqlstate(db), "22012");
    ck_assert_int_eq(number("SELECT count(*) FROM pg_class WHERE relname = 'u'"), 0);
}
END_TEST

START_TEST(the_same_text_with_other_types_is_another_statement)
{
    struct postgres_value v = {0};
    struct postgres_rows *r;
    postgres_set_int4(&v, 4);
    ok(postgres_query(db, "SELECT pg_typeof($1)::text", &v, 1, &r, &error));
    ck_assert_str_eq(postgres_rows_text(r, 0, 0, NULL), "integer");
    postgres_rows_free(r);
    postgres_set_int8(&v, 4);
    ok(postgres_query(db, "SELECT pg_typeof($1)::text", &v, 1, &r, &error));
    ck_assert_str_eq(postgres_rows_text(r, 0, 0, NULL), "bigint");
    postgres_rows_free(r);
    postgres_value_fini(&v);
}
END_TEST

START_TEST(many_statements_past_the_bound)
{
    char sql[64];
    for (int i = 0; i < 1100; i++) {
        snprintf(sql, sizeof sql, "SELECT %d", i);
        ck_assert_int_eq(number(sql), i);
    }
    ck_assert_int_le(number("SELECT count(*) FROM pg_prepared_statements"), 1024);
    ck_assert_int_eq(number("SELECT 3"), 3);
}
END_TEST

START_TEST(a_changed_table_heals_the_statement)
{
    struct postgres_rows *r;
    for (int i = 0; i < 2; i++) {
        ok(postgres_query(db, "SELECT * FROM t", NULL, 0, &r, &error));
        postgres_rows_free(r);
    }
    ok(postgres_script(db, "ALTER TABLE t ADD COLUMN more int", &error));
    ck_assert_int_eq(postgres_query(db, "SELECT * FROM t", NULL, 0, &r, &error), ERR_INTERNAL);
    ok(postgres_query(db, "SELECT * FROM t", NULL, 0, &r, &error));
    postgres_rows_free(r);
    int pid = postgres_backend_pid(db); /* one new connection, not one for each query */
    ck_assert_int_eq(number("SELECT 1"), 1);
    ck_assert_int_eq(postgres_backend_pid(db), pid);
}
END_TEST

/* More than any socket's buffers hold: the server is stopped until the socket takes no more. */
START_TEST(a_large_batch_without_blocking)
{
    enum { BYTES = 80 << 20 };
    struct postgres_value v = {0};
    char *large = calloc(1, BYTES);
    postgres_set_bytea(&v, large, BYTES);
    free(large);
    ok(postgres_batch_begin(db, &error));
    ok(add(1, "a"));
    kill(postgres_backend_pid(db), SIGSTOP);
    ok(postgres_batch_add(db, "SELECT length($1), $1 FROM t", &v, 1, &error));
    ok(postgres_batch_start(db, 1, &error));
    bool done = false, wants_write = false;
    struct postgres_rows *r = NULL;
    enum error_code code = postgres_batch_poll(db, &done, &wants_write, &r, &error);
    kill(postgres_backend_pid(db), SIGCONT);
    ok(code);
    ck_assert_msg(!done && wants_write, "done %d, wants_write %d", done, wants_write);
    int64_t until_us = clock_monotonic_us() + 100000000;
    while (ok(postgres_batch_poll(db, &done, &wants_write, &r, &error)), !done) {
        ck_assert(clock_monotonic_us() < until_us);
        struct pollfd place = {.fd = postgres_socket(db),
                               .events = (short)(wants_write ? POLLIN | POLLOUT : POLLIN)};
        poll(&place, 1, 1000);
    }
    size_t bytes;
    ck_assert_int_eq(postgres_rows_int(r, 0, 0), BYTES);
    ck_assert_ptr_nonnull(postgres_rows_text(r, 0, 1, &bytes));
    ck_assert_uint_eq(bytes, BYTES);
    postgres_rows_free(r);
    postgres_value_fini(&v);
}
END_TEST

START_TEST(many_rows_by_arrays)
{
    enum { ROWS = 20000 };
    struct postgres_value v[2] = {0};
    postgres_array_start(&v[0], PG_INT4);
    postgres_array_start(&v[1], PG_TEXT);
    for (int i = 0; i < ROWS; i++) {
        postgres_push_int4(&v[0], i);
        postgres_push_string(&v[1], "0123456789012345678901234567890123456789");
    }
    ok(postgres_query(db, "INSERT INTO t(id, word) SELECT * FROM unnest($1, $2)", v, 2, NULL,
                      &error));
    struct postgres_rows *r;
    ok(postgres_query(db, "SELECT id, word FROM t ORDER BY id", NULL, 0, &r, &error));
    ck_assert_int_eq(postgres_rows_count(r), ROWS);
    ck_assert_int_eq(postgres_rows_int(r, ROWS - 1, 0), ROWS - 1);
    postgres_rows_free(r);
    for (int i = 0; i < 2; i++)
        postgres_value_fini(&v[i]);
}
END_TEST

static void end_backend(int pid)
{
    struct postgres *other = postgres_new(url, "other", NULL);
    struct postgres_value v = {0};
    postgres_set_int4(&v, pid);
    ok(postgres_query(other, "SELECT pg_terminate_backend($1, 10000)", &v, 1, NULL, &error));
    postgres_value_fini(&v);
    postgres_free(other);
}

START_TEST(an_idle_connection_that_was_closed_heals_unseen)
{
    ck_assert_int_eq(number("SELECT 1"), 1);
    int pid = postgres_backend_pid(db);
    end_backend(pid);
    ck_assert_int_eq(number("SELECT 2"), 2);
    ck_assert_int_ne(postgres_backend_pid(db), pid);
}
END_TEST

static bool notified_within(struct postgres *postgres, int timeout_ms)
{
    struct pollfd place = {.fd = postgres_socket(postgres), .events = POLLIN};
    return poll(&place, 1, timeout_ms) == 1 && postgres_notified(postgres);
}

/* What LISTEN brings comes while nothing is asked, or beside an answer; a new session must listen anew. */
START_TEST(notifications_come_to_a_quiet_connection)
{
    struct postgres *quiet = postgres_new(url, "quiet", NULL);
    ck_assert(!postgres_notified(quiet));
    ck_assert_int_eq(postgres_connected_us(quiet), 0);
    ok(postgres_query(quiet, "LISTEN test_news", NULL, 0, NULL, &error));
    ck_assert(!postgres_notified(quiet));
    int64_t session = postgres_connected_us(quiet);
    ck_assert_int_gt(session, 0);
    number("SELECT count(pg_notify('test_news', n::text)) FROM generate_series(1, 3) n");
    ck_assert(notified_within(quiet, 5000));
    number("SELECT count(pg_notify('test_news', ''))");
    ok(postgres_query(quiet, "SELECT 1", NULL, 0, NULL, &error));
    ck_assert(postgres_notified(quiet) || notified_within(quiet, 5000));
    ck_assert_int_eq(postgres_connected_us(quiet), session);
    end_backend(postgres_backend_pid(quiet));
    ck_assert(!notified_within(quiet, 5000));
    ck_assert(postgres_is_dead(quiet));
    ok(postgres_query(quiet, "LISTEN test_news", NULL, 0, NULL, &error));
    ck_assert_int_ne(postgres_connected_us(quiet), session);
    postgres_free(quiet);
}
END_TEST

/* The server says that it ends the statement, so nothing is committed and nobody is in doubt. */
START_TEST(a_backend_ended_in_the_middle_is_a_plain_loss)
{
    ok(postgres_batch_begin(db, &error));
    ok(add(1, "a"));
    ok(postgres_batch_add(db, "SELECT pg_sleep(60)", NULL, 0, &error));
    ok(postgres_batch_start(db, 0, &error));
    end_backend(postgres_backend_pid(db));
    bool done = false, wants_write;
    enum error_code code = ERR_OK;
    while (!done) {
        struct pollfd place = {.fd = postgres_socket(db), .events = POLLIN};
        poll(&place, 1, 5000);
        code = postgres_batch_poll(db, &done, &wants_write, NULL, &error);
    }
    ck_assert_int_eq(code, ERR_DATABASE);
    ck_assert_int_eq(number("SELECT count(*) FROM t"), 0);
}
END_TEST

/* All statements are done and the commit is under way: even the server's own FATAL proves nothing. */
START_TEST(a_backend_ended_in_the_commit_leaves_the_outcome_unknown)
{
    ok(postgres_script(db,
                       "CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
                       " $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;"
                       "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON t DEFERRABLE INITIALLY"
                       " DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()",
                       &error));
    ok(postgres_batch_begin(db, &error));
    ok(add(1, "a"));
    ok(postgres_batch_start(db, 0, &error));
    end_backend(postgres_backend_pid(db));
    bool done = false, wants_write;
    enum error_code code = ERR_OK;
    while (!done) {
        struct pollfd place = {.fd = postgres_socket(db), .events = POLLIN};
        poll(&place, 1, 5000);
        code = postgres_batch_poll(db, &done, &wants_write, NULL, &error);
    }
    ck_assert_int_eq(code, ERR_OUTCOME_UNKNOWN);
}
END_TEST

START_TEST(an_answer_that_does_not_come)
{
    postgres_set_reply_timeout(db, 50);
    ck_assert_int_eq(postgres_query(db, "SELECT pg_sleep(5)", NULL, 0, NULL, &error), ERR_DATABASE);
    ck_assert_int_eq(error.code, ERR_DATABASE);
    ck_assert_str_eq(error.text, "PostgreSQL gave no answer within 50 ms.");
    ck_assert_int_eq(
        postgres_query(db, "INSERT INTO t SELECT 1, pg_sleep(5)::text", NULL, 0, NULL, &error),
        ERR_OUTCOME_UNKNOWN);
    ck_assert(!postgres_connected(db));
    postgres_set_reply_timeout(db, 0);
    ok(postgres_query(db,
                      "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                      " WHERE wait_event = 'PgSleep'",
                      NULL, 0, NULL, &error));
    ck_assert_int_eq(number("SELECT count(*) FROM t"), 0);
}
END_TEST

START_TEST(a_batch_given_up_leaves_nothing)
{
    ok(postgres_batch_begin(db, &error));
    ok(add(1, "a"));
    ok(postgres_batch_begin(db, &error));
    ok(add(2, "b"));
    ok(postgres_batch_run(db, 0, NULL, &error));
    ck_assert_int_eq(number("SELECT sum(id) FROM t"), 2);
}
END_TEST

START_TEST(nobody_listens)
{
    struct postgres *nobody = postgres_new("postgresql://postgres@127.0.0.1:1/x", "test", NULL);
    ck_assert_int_eq(postgres_query(nobody, "SELECT 1", NULL, 0, NULL, &error), ERR_DATABASE);
    ck_assert_ptr_nonnull(strstr(error.text, "No connection to PostgreSQL"));
    ck_assert_int_eq(postgres_batch_begin(nobody, &error), ERR_DATABASE);
    ck_assert_int_eq(postgres_batch_add(nobody, "SELECT 1", NULL, 0, &error), ERR_DATABASE);
    ck_assert_int_eq(postgres_batch_run(nobody, 0, NULL, &error), ERR_DATABASE);
    ck_assert_int_eq(postgres_socket(nobody), -1);
    ck_assert(!postgres_connected(nobody));
    postgres_free(nobody);
}
END_TEST

START_TEST(settings_and_name_reach_the_server)
{
    struct postgres_rows *r;
    ok(postgres_query(db,
                      "SELECT current_setting('lock_timeout'), current_setting('application_name')",
                      NULL, 0, &r, &error));
    ck_assert_str_eq(postgres_rows_text(r, 0, 0, NULL), "5s");
    ck_assert_str_eq(postgres_rows_text(r, 0, 1, NULL), "test");
    postgres_rows_free(r);
}
END_TEST

START_TEST(the_pool_is_bounded_and_reuses)
{
    struct postgres_pool *pool = postgres_pool_new(url, "pool", 1, 2, 1, 1, 3600);
    struct postgres *a, *b, *c;
    ok(postgres_pool_get(pool, &a, &error));
    ok(postgres_pool_get(pool, &b, &error));
    ck_assert_double_eq(metrics_read(METRIC_POOL_UTILIZATION, 0, 0), 1.0);
    ck_assert_int_eq(postgres_pool_get(pool, &c, &error), ERR_UNAVAILABLE);
    postgres_pool_put(pool, b);
    ok(postgres_pool_get(pool, &c, &error));
    ck_assert_ptr_eq(c, b);
    ck_assert_int_eq(postgres_query(c, "SELECT pg_sleep(30)", NULL, 0, NULL, &error), ERR_TIMEOUT);
    postgres_pool_put(pool, c);
    postgres_pool_put(pool, a);
    ck_assert_double_eq(metrics_read(METRIC_POOL_UTILIZATION, 0, 0), 0.0);
    postgres_pool_free(pool);
}
END_TEST

static void *give_back(void *context)
{
    struct {
        struct postgres_pool *pool;
        struct postgres *lent;
    } *work = context;
    poll(NULL, 0, 50); /* most likely the other one waits by now; either way it must be quick */
    postgres_pool_put(work->pool, work->lent);
    return NULL;
}

START_TEST(a_waiter_gets_what_another_thread_gives_back)
{
    struct {
        struct postgres_pool *pool;
        struct postgres *lent;
    } work;
    work.pool = postgres_pool_new(url, "pool", 0, 1, 5, 10, 3600);
    ok(postgres_pool_get(work.pool, &work.lent, &error));
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, give_back, &work), 0);
    struct postgres *mine;
    int64_t began_us = clock_monotonic_us();
    ok(postgres_pool_get(work.pool, &mine, &error));
    ck_assert_int_lt(clock_monotonic_us() - began_us, 5000000);
    pthread_join(thread, NULL);
    postgres_pool_put(work.pool, mine);
    postgres_pool_free(work.pool);
}
END_TEST

/* A backend that dies without a word while the commit may be under way: nobody knows the outcome.
 * The whole server restarts then, so this test comes last. */
START_TEST(a_killed_backend_leaves_the_outcome_unknown_and_the_connection_heals)
{
    ok(postgres_batch_begin(db, &error));
    ok(add(1, "a"));
    ok(postgres_batch_add(db, "SELECT pg_sleep(60)", NULL, 0, &error));
    ok(postgres_batch_start(db, 0, &error));
    bool done = false, wants_write;
    ok(postgres_batch_poll(db, &done, &wants_write, NULL, &error));
    ck_assert(!done);
    ck_assert_int_eq(kill(postgres_backend_pid(db), SIGKILL), 0);
    enum error_code code = ERR_OK;
    while (!done) {
        struct pollfd place = {.fd = postgres_socket(db), .events = POLLIN};
        poll(&place, 1, 5000);
        code = postgres_batch_poll(db, &done, &wants_write, NULL, &error);
    }
    ck_assert_int_eq(code, ERR_OUTCOME_UNKNOWN);
    ck_assert(!postgres_connected(db));
    int64_t until_us = clock_monotonic_us() + 30000000;
    while ((code = postgres_query(db, "SELECT 1", NULL, 0, NULL, &error)) != ERR_OK) {
        ck_assert_int_eq(code, ERR_DATABASE);
        ck_assert(clock_monotonic_us() < until_us);
        poll(NULL, 0, 20);
    }
    ck_assert_int_eq(number("SELECT count(*) FROM t"), 0);
}
END_TEST

int main(void)
{
    metrics_init(FOR_ORCHESTRATOR);
    Suite *suite = suite_create("postgres");
    TCase *tests = tcase_create("postgres");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, scalars_go_and_come_back);
    tcase_add_test(tests, nulls_go_and_come_back);
    tcase_add_test(tests, sums_json_and_narrow_types_can_be_read);
    tcase_add_test(tests, arrays_of_every_type);
    tcase_add_test(tests, an_empty_array_and_a_reused_one);
    tcase_add_test(tests, a_batch_is_one_transaction);
    tcase_add_test(tests, a_failed_statement_rolls_all_back);
    tcase_add_test(tests, a_statement_behind_a_failure_is_prepared_again);
    tcase_add_test(tests, a_deferred_constraint_fails_the_commit);
    tcase_add_test(tests, syntax_errors_and_server_messages);
    tcase_add_test(tests, the_same_text_with_other_types_is_another_statement);
    tcase_add_test(tests, many_statements_past_the_bound);
    tcase_add_test(tests, a_changed_table_heals_the_statement);
    tcase_add_test(tests, a_large_batch_without_blocking);
    tcase_add_test(tests, many_rows_by_arrays);
    tcase_add_test(tests, an_idle_connection_that_was_closed_heals_unseen);
    tcase_add_test(tests, notifications_come_to_a_quiet_connection);
    tcase_add_test(tests, a_backend_ended_in_the_middle_is_a_plain_loss);
    tcase_add_test(tests, a_backend_ended_in_the_commit_leaves_the_outcome_unknown);
    tcase_add_test(tests, an_answer_that_does_not_come);
    tcase_add_test(tests, a_batch_given_up_leaves_nothing);
    tcase_add_test(tests, nobody_listens);
    tcase_add_test(tests, settings_and_name_reach_the_server);
    tcase_add_test(tests, the_pool_is_bounded_and_reuses);
    tcase_add_test(tests, a_waiter_gets_what_another_thread_gives_back);
    tcase_add_test(tests, a_killed_backend_leaves_the_outcome_unknown_and_the_connection_heals);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
