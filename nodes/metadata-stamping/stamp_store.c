/* SPDX-License-Identifier: MIT */
#include "metadata-stamping/stamp_store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "io/clock.h"
#include "io/log.h"
#include "io/postgres.h"
#include "io/unified.h"
#include "metadata-stamping/stamp_writer.h"

struct stamp_store {
    struct postgres_pool *pool; /* for reads */
    struct stamp_writer *writer;
    pthread_mutex_t check_lock;
    bool checking;      /* one thread asks, the others take the last answer */
    int64_t checked_us; /* monotonic */
    struct error check_error;
};

bool stamp_store_configured(void)
{
    static const char *const names[] = {"DATABASE_URL",      "DATABASE_URL_FILE",
                                        "POSTGRES_HOST",     "POSTGRES_HOST_FILE",
                                        "POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && *value != '\0')
            return true;
    }
    return false;
}

struct stamp_store *stamp_store_new(const struct config *config)
{
    struct stamp_store *store = must_calloc(1, sizeof *store);
    char *url = config_database_url(config);
    store->pool = postgres_pool_new(
        url, "metadata-stamping", (int)config->postgres_pool_min_size,
        (int)config->postgres_pool_max_size, (int)config->postgres_query_timeout,
        (int)config->postgres_acquire_timeout, (int)config->postgres_connection_max_age);
    store->writer = stamp_writer_new(url, (int)config->postgres_query_timeout);
    free(url);
    pthread_mutex_init(&store->check_lock, NULL);
    store->checked_us = clock_monotonic_us() - STORE_SILENT_MS * 1000;
    error_set(&store->check_error, ERR_DATABASE, "the database was not asked yet");
    return store;
}

void stamp_store_free(struct stamp_store *store)
{
    if (store == NULL)
        return;
    stamp_writer_free(store->writer);
    postgres_pool_free(store->pool);
    pthread_mutex_destroy(&store->check_lock);
    free(store);
}

/* The database's own words name hosts and roles: they go to the log, once a second at most. */
static void log_reason(const char *sqlstate, const struct error *error)
{
    static atomic_int_least64_t last_us;
    int64_t now_us = clock_monotonic_us();
    int64_t before_us = atomic_load(&last_us);
    if (now_us - before_us > 1000000 &&
        atomic_compare_exchange_strong(&last_us, &before_us, now_us))
        log_warning("database call failed", LOG_TEXT("sqlstate", sqlstate),
                    LOG_TEXT("reason", error->text));
}

enum error_code stamp_store_explain(enum error_code code, const char *sqlstate, struct error *error)
{
    if (code == ERR_OK)
        return code;
    if (code == ERR_INTERNAL && strncmp(sqlstate, "22", 2) == 0)
        return error_set(error, ERR_INVALID, "a value of the request cannot be stored");
    log_reason(sqlstate, error);
    if (code == ERR_INTERNAL && strcmp(sqlstate, "42P01") == 0)
        return error_set(error, ERR_DATABASE,
                         "the table metadata_stamps is missing; run bridgectl migrate up");
    if (code == ERR_INTERNAL || code == ERR_TIMEOUT)
        return error_set(error, ERR_DATABASE, "the database refused the statement (SQLSTATE %.5s)",
                         sqlstate);
    return error_set(error, code, "%s", error_code_text(code));
}

/* One statement on a pooled connection. */
static enum error_code query(struct stamp_store *store, const char *sql,
                             const struct postgres_value *values, int count,
                             struct postgres_rows **rows, struct error *error)
{
    struct postgres *postgres;
    enum error_code code = postgres_pool_get(store->pool, &postgres, error);
    if (code != ERR_OK)
        return stamp_store_explain(code, "", error);
    code = postgres_query(postgres, sql, values, count, rows, error);
    code = stamp_store_explain(code, postgres_sqlstate(postgres), error);
    postgres_pool_put(store->pool, postgres);
    return code;
}

static void values_fini(struct postgres_value *values, int count)
{
    for (int i = 0; i < count; i++)
        postgres_value_fini(&values[i]);
}

enum error_code stamp_store_put(struct stamp_store *store, const struct stamp_request *request,
                                const char *hash, const char *stamp_data, struct stamp_row *row,
                                struct error *error)
{
    return stamp_writer_put(store->writer, request, hash, stamp_data, row, error);
}

#define ROW_COLUMNS                                                                                \
    "id, workflow_id, file_hash, file_path, file_size, content_type, stamp_data::text, "           \
    "protocol_version,"                                                                            \
    " intelligence_data::text, version, op_id, namespace, metadata_version, created_at, "          \
    "updated_at"

static void append_uuid(const struct postgres_rows *rows, int row, int column, const char *name,
                        struct buffer *out)
{
    char text[UUID_TEXT_BYTES];
    struct uuid uuid = postgres_rows_uuid(rows, row, column);
    bool is_null = postgres_rows_null(rows, row, column);
    unified_text(out, name, is_null ? NULL : uuid_format(&uuid, text));
}

static void append_row(const struct postgres_rows *rows, int row, struct buffer *out)
{
    char time[INSTANT_TEXT_BYTES];
    buffer_append_char(out, '{');
    append_uuid(rows, row, 0, "id", out);
    append_uuid(rows, row, 0, "stamp_id", out);
    append_uuid(rows, row, 1, "workflow_id", out);
    unified_text(out, "file_hash", postgres_rows_text(rows, row, 2, NULL));
    unified_text(out, "file_path", postgres_rows_text(rows, row, 3, NULL));
    unified_int(out, "file_size", postgres_rows_int(rows, row, 4));
    unified_text(out, "content_type", postgres_rows_text(rows, row, 5, NULL));
    unified_json(out, "stamp_data", postgres_rows_text(rows, row, 6, NULL));
    unified_text(out, "protocol_version", postgres_rows_text(rows, row, 7, NULL));
    unified_json(out, "intelligence_data", postgres_rows_text(rows, row, 8, NULL));
    unified_int(out, "version", postgres_rows_int(rows, row, 9));
    append_uuid(rows, row, 10, "op_id", out);
    unified_text(out, "namespace", postgres_rows_text(rows, row, 11, NULL));
    unified_text(out, "metadata_version", postgres_rows_text(rows, row, 12, NULL));
    unified_text(out, "created_at", instant_format_us(postgres_rows_instant(rows, row, 13), time));
    unified_text(out, "updated_at", instant_format_us(postgres_rows_instant(rows, row, 14), time));
    buffer_append_char(out, '}');
}

enum error_code stamp_store_get(struct stamp_store *store, const char *hash, const char *namespace,
                                struct buffer *out, struct error *error)
{
    struct postgres_value values[2] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], hash);
    postgres_set_string(&values[1], namespace);
    enum error_code code =
        query(store,
              "SELECT " ROW_COLUMNS " FROM metadata_stamps WHERE file_hash = $1 AND"
              " ($2::text IS NULL OR namespace = $2) ORDER BY created_at DESC, id DESC LIMIT 1",
              values, 2, &rows, error);
    if (code == ERR_OK && postgres_rows_count(rows) == 0)
        code = error_set(error, ERR_NOT_FOUND, "no stamp has this hash");
    else if (code == ERR_OK)
        append_row(rows, 0, out);
    postgres_rows_free(rows);
    values_fini(values, 2);
    return code;
}

static enum error_code count_namespace(struct stamp_store *store,
                                       const struct postgres_value *namespace, int64_t *total,
                                       struct error *error)
{
    struct postgres_rows *rows = NULL;
    enum error_code code = query(store, "SELECT count(*) FROM metadata_stamps WHERE namespace = $1",
                                 namespace, 1, &rows, error);
    *total = code == ERR_OK ? postgres_rows_int(rows, 0, 0) : 0;
    postgres_rows_free(rows);
    return code;
}

enum error_code stamp_store_list(struct stamp_store *store, const char *namespace, int64_t limit,
                                 int64_t offset, struct buffer *out, int64_t *shown, int64_t *total,
                                 struct error *error)
{
    struct postgres_value values[3] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], namespace);
    postgres_set_int8(&values[1], limit);
    postgres_set_int8(&values[2], offset);
    enum error_code code = count_namespace(store, values, total, error);
    if (code == ERR_OK)
        code = query(store,
                     "SELECT " ROW_COLUMNS " FROM metadata_stamps WHERE namespace = $1"
                     " ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3",
                     values, 3, &rows, error);
    *shown = code == ERR_OK ? postgres_rows_count(rows) : 0;
    buffer_append_char(out, '[');
    for (int i = 0; i < *shown; i++) {
        if (i > 0)
            buffer_append_char(out, ',');
        append_row(rows, i, out);
    }
    buffer_append_char(out, ']');
    postgres_rows_free(rows);
    values_fini(values, 3);
    return code;
}

/* Asks the database; the caller has set checking. */
static void check_now(struct stamp_store *store)
{
    struct postgres_rows *rows = NULL;
    struct error found = {0};
    enum error_code code =
        query(store, "SELECT id FROM metadata_stamps LIMIT 0", NULL, 0, &rows, &found);
    postgres_rows_free(rows);
    found.code = code;
    pthread_mutex_lock(&store->check_lock);
    if (code != store->check_error.code)
        log_info("database state changed", LOG_TEXT("state", error_code_name(code)));
    store->check_error = found;
    store->checked_us = clock_monotonic_us();
    store->checking = false;
    pthread_mutex_unlock(&store->check_lock);
}

enum error_code stamp_store_check(struct stamp_store *store, struct error *error)
{
    pthread_mutex_lock(&store->check_lock);
    int64_t age_us = clock_monotonic_us() - store->checked_us;
    bool mine = !store->checking && age_us > STORE_CHECK_MS * 1000;
    store->checking |= mine;
    pthread_mutex_unlock(&store->check_lock);
    if (mine)
        check_now(store);
    pthread_mutex_lock(&store->check_lock);
    *error = store->check_error;
    /* Somebody else has been asking for long: nobody waits behind them. */
    if (store->checking && age_us > STORE_SILENT_MS * 1000)
        error_set(error, ERR_DATABASE, "the database does not answer");
    pthread_mutex_unlock(&store->check_lock);
    return error->code;
}
