/* SPDX-License-Identifier: MIT */
/* retention.c - the pruning thread. */
#include "reducer/retention.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/log.h"
#include "io/postgres.h"

#define APPLICATION_NAME "bridge-reducer retention"
/* Nobody waits for what is deleted here: no commit of its own reaches the disk. A session that is stopped
 * loses the advisory lock with its connection. */
#define SETTINGS                                                                                   \
    "-c synchronous_commit=off -c lock_timeout=1000 -c statement_timeout=30000 "                   \
    "-c idle_session_timeout=30000 -c idle_in_transaction_session_timeout=5000 "                   \
    "-c tcp_user_timeout=5000"
#define REPLY_TIMEOUT_MS 40000
#define LOCK_KEY 0x6f6e657870726ell /* of the advisory lock: one pruner at a time */
#define ROUND_KEYS 10000            /* groups of windows for which pruned_until is raised at once */
#define BATCH_KEYS 200              /* groups of windows in one transaction */
#define PAUSE_SHARE 4         /* a pause is so many times as long as what was done before it, */
#define PAUSE_MS_MIN 20       /* and not shorter */
#define WRITERS_LOOK_MS 200   /* how often it is asked whether older transactions have ended, */
#define WRITERS_LOOKS_MAX 150 /* and how many times, until the next interval */
#define GAPS_KEPT_DAYS 90     /* after they were filled */

struct retention {
    struct postgres *postgres;
    int64_t interval_ms;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
};

/* What is to be pruned of one definition. */
struct round {
    int32_t definition;
    int64_t days; /* that it is kept */
    int64_t keys;
    int64_t from_us, to_us; /* by the time the finals were made */
    int64_t ended_us;       /* the latest end of their windows, not after pruned_until */
    int64_t rows;           /* deleted */
};

/* True when it is time to stop. */
static bool rest(struct retention *retention, int64_t ms)
{
    int64_t until_us = clock_monotonic_us() + (int64_t)ms * 1000;
    pthread_mutex_lock(&retention->lock);
    while (!retention->stopping && clock_wait(&retention->changed, &retention->lock, until_us))
        continue;
    bool stopping = retention->stopping;
    pthread_mutex_unlock(&retention->lock);
    return stopping;
}

static enum error_code ask_int(struct retention *retention, const char *sql,
                               const struct postgres_value *values, int count, int64_t *answer,
                               struct error *error)
{
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_query(retention->postgres, sql, values, count, &rows, error);
    if (!code)
        *answer = postgres_rows_int(rows, 0, 0);
    postgres_rows_free(rows);
    return code;
}

/* Raises pruned_until for what is due next; round->keys becomes 0 when nothing is. */
static enum error_code begin_round(struct retention *retention, struct round *round,
                                   struct error *error)
{
    static const char sql[] =
        "WITH due AS MATERIALIZED (SELECT f.window_start + f.window_ms * interval '1 ms' AS ended,"
        "   f.final_at FROM aggregation_finals f WHERE f.definition = $1"
        "   AND f.final_at < now() - $2::int8 * interval '1 day'"
        "   AND f.window_start + f.window_ms * interval '1 ms' < now() - $2::int8 * interval '1 "
        "day'"
        "   ORDER BY f.final_at LIMIT $3::int8)"
        " UPDATE aggregation_definitions SET"
        "   pruned_until = greatest(pruned_until, (SELECT max(ended) FROM due))"
        " WHERE id = $1 AND EXISTS (SELECT FROM due)"
        " RETURNING (SELECT count(*) FROM due), (SELECT min(final_at) FROM due),"
        "   (SELECT max(final_at) FROM due), (SELECT max(ended) FROM due)";
    struct postgres_value values[3] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_int4(&values[0], round->definition);
    postgres_set_int8(&values[1], round->days);
    postgres_set_int8(&values[2], ROUND_KEYS);
    enum error_code code = postgres_query(retention->postgres, sql, values, 3, &rows, error);
    postgres_values_fini(values, 3);
    round->keys = 0;
    if (!code && postgres_rows_count(rows) == 1) {
        round->keys = postgres_rows_int(rows, 0, 0);
        round->from_us = postgres_rows_instant(rows, 0, 1);
        round->to_us = postgres_rows_instant(rows, 0, 2);
        round->ended_us = postgres_rows_instant(rows, 0, 3);
    }
    postgres_rows_free(rows);
    return code;
}

/* Until every transaction has ended that ran when pruned_until was raised: *ended is false when one still
 * runs after a while, or when it is time to stop. */
static enum error_code wait_for_writers(struct retention *retention, bool *ended,
                                        struct error *error)
{
    int64_t running = 0, oldest = 0;
    *ended = false;
    enum error_code code =
        ask_int(retention, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8", NULL, 0,
                &running, error);
    for (int looks = 0; !code && !*ended && looks < WRITERS_LOOKS_MAX; looks++) {
        code = ask_int(retention, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8",
                       NULL, 0, &oldest, error);
        *ended = oldest >= running;
        if (!*ended && rest(retention, WRITERS_LOOK_MS))
            break;
    }
    return code;
}

/* Rows of the group of a window that another table names: looked up one by one, whatever the planner thinks
 * of the number of them. */
#define ROWS_OF(table, key)                                                                        \
    " FROM " table " r WHERE r.definition = " key ".definition AND r.window_ms = " key             \
    ".window_ms AND r.window_start = " key ".window_start AND r.group_key = " key ".group_key"

/* One transaction; nothing writes these rows any more, so their places hold. A group with a row that is open again (of a partition that came late) waits until that is
 * final too. *keys: how many groups went. */
static enum error_code delete_batch(struct retention *retention, struct round *round, int64_t *keys,
                                    struct error *error)
{
    static const char sql[] =
        "WITH seen AS MATERIALIZED (SELECT f.ctid AS place, f.* FROM aggregation_finals f"
        "   WHERE f.definition = $1 AND f.final_at >= $2 AND f.final_at <= $3"
        "   AND f.window_start + f.window_ms * interval '1 ms' <= $4"
        "   ORDER BY f.final_at LIMIT $5::int8),"
        " doomed AS MATERIALIZED (SELECT * FROM seen s WHERE NOT EXISTS (SELECT" ROWS_OF(
            "aggregation_rows",
            "s") " AND r.is_open OFFSET 0)),"
                 " rows AS (DELETE FROM aggregation_rows WHERE ctid = ANY (ARRAY(SELECT r.ctid "
                 "FROM doomed d"
                 "   CROSS JOIN LATERAL (SELECT r.ctid" ROWS_OF(
                     "aggregation_rows",
                     "d") " OFFSET 0) AS r))"
                          "   RETURNING 1),"
                          " pieces AS (DELETE FROM aggregation_values WHERE ctid = ANY "
                          "(ARRAY(SELECT r.ctid"
                          "   FROM doomed d CROSS JOIN LATERAL (SELECT r.ctid" ROWS_OF(
                              "aggregation_values",
                              "d") "   OFFSET 0) AS r))),"
                                   " finals AS (DELETE FROM aggregation_finals WHERE ctid = ANY "
                                   "(ARRAY(SELECT place FROM doomed)))"
                                   " SELECT (SELECT count(*) FROM doomed), (SELECT count(*) FROM "
                                   "rows),"
                                   "   (SELECT max(final_at) FROM doomed)";
    struct postgres_value values[5] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_int4(&values[0], round->definition);
    postgres_set_instant(&values[1], round->from_us);
    postgres_set_instant(&values[2], round->to_us);
    postgres_set_instant(&values[3], round->ended_us);
    postgres_set_int8(&values[4], BATCH_KEYS);
    enum error_code code = postgres_query(retention->postgres, sql, values, 5, &rows, error);
    postgres_values_fini(values, 5);
    if (!code) {
        *keys = postgres_rows_int(rows, 0, 0);
        round->rows += postgres_rows_int(rows, 0, 1);
        metrics_add(METRIC_PRUNED_ROWS, 0, 0, (uint64_t)postgres_rows_int(rows, 0, 1));
        if (*keys > 0)
            round->from_us = postgres_rows_instant(rows, 0, 2);
    }
    postgres_rows_free(rows);
    return code;
}

static enum error_code delete_round(struct retention *retention, struct round *round, bool *stop,
                                    struct error *error)
{
    int64_t keys = 1;
    enum error_code code = ERR_OK;
    while (!code && keys > 0 && !*stop) {
        int64_t began_us = clock_monotonic_us();
        code = delete_batch(retention, round, &keys, error);
        int64_t pause_ms = (clock_monotonic_us() - began_us) * PAUSE_SHARE / 1000;
        *stop = rest(retention, pause_ms < PAUSE_MS_MIN ? PAUSE_MS_MIN : pause_ms);
    }
    return code;
}

/* Round after round until nothing is left that is due; what could not go now is due again next time. */
static enum error_code prune_definition(struct retention *retention, struct round *round,
                                        bool *stop, struct error *error)
{
    enum error_code code = ERR_OK;
    int64_t rows_before = -1;
    do {
        rows_before = round->rows;
        code = begin_round(retention, round, error);
        bool ended = true;
        if (!code && round->keys > 0)
            code = wait_for_writers(retention, &ended, error);
        if (!code && round->keys > 0 && ended)
            code = delete_round(retention, round, stop, error);
    } while (!code && !*stop && round->keys == ROUND_KEYS && round->rows > rows_before);
    return code;
}

static enum error_code prune_windows(struct retention *retention, struct error *error)
{
    static const char sql[] =
        "SELECT id, name, retention_days FROM aggregation_definitions WHERE retention_days > 0";
    struct postgres_rows *rows = NULL;
    bool stop = false;
    enum error_code code = postgres_query(retention->postgres, sql, NULL, 0, &rows, error);
    for (int i = 0; !code && !stop && i < postgres_rows_count(rows); i++) {
        struct round round = {.definition = (int32_t)postgres_rows_int(rows, i, 0),
                              .days = postgres_rows_int(rows, i, 2)};
        size_t bytes;
        const char *text = postgres_rows_text(rows, i, 1, &bytes);
        char *name = must_strndup(text, bytes);
        code = prune_definition(retention, &round, &stop, error);
        if (round.rows > 0)
            log_info("windows past their retention were pruned", LOG_TEXT("aggregation", name),
                     LOG_INT("rows", round.rows));
        free(name);
    }
    postgres_rows_free(rows);
    return code;
}

static enum error_code prune_gaps(struct retention *retention, struct error *error)
{
    static const char sql[] =
        "DELETE FROM reducer_gaps WHERE filled_at < now() - $1::int8 * interval '1 day'";
    struct postgres_value days = {0};
    postgres_set_int8(&days, GAPS_KEPT_DAYS);
    enum error_code code = postgres_query(retention->postgres, sql, &days, 1, NULL, error);
    postgres_value_fini(&days);
    return code;
}

/* Nothing when another reducer is at it. */
static enum error_code prune(struct retention *retention, struct error *error)
{
    struct postgres_value key = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_int8(&key, LOCK_KEY);
    enum error_code code = postgres_query(retention->postgres, "SELECT pg_try_advisory_lock($1)",
                                          &key, 1, &rows, error);
    bool ours = !code && postgres_rows_bool(rows, 0, 0);
    postgres_rows_free(rows);
    postgres_value_fini(&key);
    if (ours)
        code = prune_windows(retention, error);
    if (ours && !code)
        code = prune_gaps(retention, error);
    postgres_disconnect(retention->postgres); /* the lock goes with the session */
    return code;
}

static void *run(void *argument)
{
    struct retention *retention = argument;
    while (!rest(retention, retention->interval_ms)) {
        struct error error = {0};
        if (prune(retention, &error))
            log_warning("old windows could not be pruned and are tried again",
                        LOG_TEXT("reason", (const char *)error.text));
    }
    return NULL;
}

enum error_code retention_start(struct retention **retention, const struct config *config,
                                const char *database_url, struct error *error)
{
    if (config->aggregation_prune_interval_ms == 0)
        return ERR_OK;
    struct retention *made = must_calloc(1, sizeof(*made));
    made->interval_ms = config->aggregation_prune_interval_ms;
    made->postgres = postgres_new(database_url, APPLICATION_NAME, SETTINGS);
    postgres_set_reply_timeout(made->postgres, REPLY_TIMEOUT_MS);
    pthread_mutex_init(&made->lock, NULL);
    clock_condition_init(&made->changed);
    if (pthread_create(&made->thread, NULL, run, made) != 0) {
        postgres_free(made->postgres);
        free(made);
        return error_set(error, ERR_INTERNAL, "no thread could be started for the retention");
    }
    *retention = made;
    return ERR_OK;
}

void retention_stop(struct retention *retention)
{
    if (!retention)
        return;
    pthread_mutex_lock(&retention->lock);
    retention->stopping = true;
    pthread_cond_signal(&retention->changed);
    pthread_mutex_unlock(&retention->lock);
    pthread_join(retention->thread, NULL);
    postgres_free(retention->postgres);
    pthread_mutex_destroy(&retention->lock);
    pthread_cond_destroy(&retention->changed);
    free(retention);
}
