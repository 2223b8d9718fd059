/* SPDX-License-Identifier: MIT */
/* postgres.h - libpq behind a small face: one connection with prepared statements, pipelined batches
 * with binary arrays (one transaction and one round trip each), and a pool for reads.
 *
 * Owns      struct postgres owns one connection; struct postgres_rows owns one result.
 * Threads   A connection belongs to one thread at a time. The pool may be used from any thread.
 * Errors    ERR_DATABASE: not connected or connection lost; the connection heals itself at the next
 *           call (postgres_connected tells). ERR_CONFLICT: unique violation (SQLSTATE 23505).
 *           ERR_FENCED: our own SQLSTATE OB001, raised by fence functions. ERR_TIMEOUT: query
 *           cancelled. ERR_INTERNAL: any other server error; text holds its message.
 *           ERR_OUTCOME_UNKNOWN: the connection broke after a commit was sent (postgres_query: unless
 *           the statement begins with SELECT or SHOW, then ERR_DATABASE). ERR_UNAVAILABLE: deadlock or
 *           serialization failure, rolled back, may be repeated.
 * SQL takes parameters only; no text is ever pasted into a statement. There are no transactions over
 * several calls (a healed connection would not be inside): use a batch, or one script.
 */
#ifndef IO_POSTGRES_H
#define IO_POSTGRES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/uuid.h"

struct postgres;
struct postgres_rows;

/* Values of PostgreSQL's type catalogue that we send. */
enum postgres_type {
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_INT8 = 20,
    PG_INT2 = 21,
    PG_INT4 = 23,
    PG_TEXT = 25,
    PG_JSON = 114,
    PG_DOUBLE = 701,
    PG_TIMESTAMPTZ = 1184,
    PG_UUID = 2950,
};

/* One parameter: a scalar, or an array under construction. Zeroed is an unset parameter (NULL). */
struct postgres_value {
    enum postgres_type type;
    bool is_array;
    bool is_null;
    int32_t count; /* elements of an array */
    bool has_null;
    struct buffer
        wire; /* binary form as it is sent; an array's header is kept right by each push */
};

/* Scalars. Each replaces what the value held; wire memory is kept for the next use. */
void postgres_set_null(struct postgres_value *value, enum postgres_type type);
void postgres_set_bool(struct postgres_value *value, bool v);
void postgres_set_int2(struct postgres_value *value, int16_t v);
void postgres_set_int4(struct postgres_value *value, int32_t v);
void postgres_set_int8(struct postgres_value *value, int64_t v);
void postgres_set_double(struct postgres_value *value, double v);
void postgres_set_text(struct postgres_value *value, const char *text, size_t bytes);
void postgres_set_string(struct postgres_value *value, const char *text); /* NULL gives NULL */
void postgres_set_bytea(struct postgres_value *value, const void *data, size_t bytes);
void postgres_set_uuid(struct postgres_value *value, const struct uuid *uuid);
void postgres_set_instant(struct postgres_value *value, int64_t instant_us); /* timestamptz */
/* Arrays: start, then one push per row. */
void postgres_array_start(struct postgres_value *value, enum postgres_type element);
void postgres_push_null(struct postgres_value *value);
void postgres_push_bool(struct postgres_value *value, bool v);
void postgres_push_int2(struct postgres_value *value, int16_t v);
void postgres_push_int4(struct postgres_value *value, int32_t v);
void postgres_push_int8(struct postgres_value *value, int64_t v);
void postgres_push_double(struct postgres_value *value, double v);
void postgres_push_text(struct postgres_value *value, const char *text, size_t bytes);
void postgres_push_string(struct postgres_value *value, const char *text); /* NULL gives NULL */
void postgres_push_bytea(struct postgres_value *value, const void *data, size_t bytes);
void postgres_push_uuid(struct postgres_value *value, const struct uuid *uuid);
void postgres_push_instant(struct postgres_value *value, int64_t instant_us);
void postgres_value_fini(struct postgres_value *value);
void postgres_values_fini(struct postgres_value *values, int count);

/* A connection. `name` is application_name; `settings` are extra "-c x=y" options or NULL. Opening
 * only remembers the url: the first query connects. */
struct postgres *postgres_new(const char *url, const char *name, const char *settings) MUST_USE;
void postgres_free(struct postgres *postgres);
bool postgres_connected(const struct postgres *postgres);
enum error_code postgres_connect(struct postgres *postgres,
                                 struct error *error) MUST_USE; /* no-op when up */
void postgres_disconnect(struct postgres *postgres);
/* True when the server has closed an idle connection; for a socket that became readable between queries. */
bool postgres_is_dead(const struct postgres *postgres);
/* Longest blocking wait for an answer; past it the connection is given up. 0 (the default): no bound. */
void postgres_set_reply_timeout(struct postgres *postgres, int timeout_ms);
int postgres_socket(const struct postgres *postgres); /* -1 when down */
int postgres_backend_pid(const struct postgres *postgres);
/* When the present connection was made, by clock_monotonic_us; 0 when down. Another figure means
 * another session: what was set in the old one (LISTEN) is gone. */
int64_t postgres_connected_us(const struct postgres *postgres);
/* Takes what LISTEN brought so far; true when there was something. Never waits. */
bool postgres_notified(struct postgres *postgres);
const char *postgres_sqlstate(
    const struct postgres *postgres); /* of the last server error, or "" */

/* One statement and its rows. Statements are prepared on first use, keyed by the sql pointer's text,
 * so pass literals. `rows` may be NULL. */
enum error_code postgres_query(struct postgres *postgres, const char *sql,
                               const struct postgres_value *values, int count,
                               struct postgres_rows **rows, struct error *error) MUST_USE;
/* Several statements without parameters (migrations), as one simple query. */
enum error_code postgres_script(struct postgres *postgres, const char *sql,
                                struct error *error) MUST_USE;

/* A pipelined transaction: begin, add statements, then either run (blocking) or start + poll.
 * All statements between begin and end are one transaction (libpq pipeline, one sync). */
enum error_code postgres_batch_begin(struct postgres *postgres, struct error *error) MUST_USE;
enum error_code postgres_batch_add(struct postgres *postgres, const char *sql,
                                   const struct postgres_value *values, int count,
                                   struct error *error) MUST_USE;
/* Blocking: sends, waits, returns the outcome of the transaction. When `rows` is not NULL it takes
 * the result of the statement numbered `rows_of` (from 0). */
enum error_code postgres_batch_run(struct postgres *postgres, int rows_of,
                                   struct postgres_rows **rows, struct error *error) MUST_USE;
/* Non-blocking: start sends what it can; poll reads and writes what the socket allows.
 * *done becomes true when the outcome (the return value) is known; wants_write tells whether to wait
 * for the socket to become writable as well. The result of statement rows_of is kept. */
enum error_code postgres_batch_start(struct postgres *postgres, int rows_of,
                                     struct error *error) MUST_USE;
enum error_code postgres_batch_poll(struct postgres *postgres, bool *done, bool *wants_write,
                                    struct postgres_rows **rows, struct error *error) MUST_USE;

/* Rows are binary; read them by column number. Text stays valid until postgres_rows_free. */
int postgres_rows_count(const struct postgres_rows *rows);
bool postgres_rows_null(const struct postgres_rows *rows, int row, int column);
bool postgres_rows_bool(const struct postgres_rows *rows, int row, int column);
int64_t postgres_rows_int(const struct postgres_rows *rows, int row,
                          int column); /* int2, int4, int8 */
double postgres_rows_double(const struct postgres_rows *rows, int row, int column);
const char *postgres_rows_text(const struct postgres_rows *rows, int row, int column,
                               size_t *bytes); /* text, json, bytea; NULL for null */
struct uuid postgres_rows_uuid(const struct postgres_rows *rows, int row, int column);
int64_t postgres_rows_instant(const struct postgres_rows *rows, int row,
                              int column);           /* us since 1970 */
void postgres_rows_free(struct postgres_rows *rows); /* NULL is fine */

/* A pool for reads. postgres_pool_get waits up to the acquire timeout, then ERR_UNAVAILABLE and the
 * log line "Connection pool exhausted". Utilisation moves db_connection_pool_utilization. */
struct postgres_pool;
struct postgres_pool *postgres_pool_new(const char *url, const char *name, int min_size,
                                        int max_size, int query_timeout_s, int acquire_timeout_s,
                                        int max_age_s) MUST_USE;
void postgres_pool_free(struct postgres_pool *pool);
enum error_code postgres_pool_get(struct postgres_pool *pool, struct postgres **postgres,
                                  struct error *error) MUST_USE;
void postgres_pool_put(struct postgres_pool *pool, struct postgres *postgres);

#endif
