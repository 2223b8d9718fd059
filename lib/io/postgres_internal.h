/* SPDX-License-Identifier: MIT */
/* postgres_internal.h - what the files of lib/io/postgres*.c share. Nobody else includes it.
 *
 * A connection stays in libpq's pipeline mode; only scripts leave it for a moment. The operations sent
 * since the last sync are remembered in order, because that is the order of their results.
 */
#ifndef IO_POSTGRES_INTERNAL_H
#define IO_POSTGRES_INTERNAL_H

#include <libpq-fe.h>

#include "base/limits.h"
#include "io/postgres.h"

enum batch_state {
    BATCH_NONE,
    BATCH_BUILDING, /* begun; statements may be added */
    BATCH_SENT,     /* the sync is on its way; results are awaited */
};

struct postgres_statement {
    uint64_t hash;
    char *sql;
    uint32_t *types;
    int count;
    bool prepared; /* the server has said so */
    bool pending;  /* its preparation is part of the batch under way */
};

struct postgres_operation {
    int prepares; /* number of the statement that it prepares, or -1: it executes one */
};

struct postgres {
    char *url;
    char *name;
    char *settings;
    PGconn *connection;
    int reply_timeout_ms; /* longest blocking wait for an answer; 0: no bound */
    int64_t connected_us; /* monotonic */
    char sqlstate[6];
    bool
        stale; /* the server leaves, or prepared statements no longer fit: reconnect at the next use */

    struct postgres_statement *statements;
    int statements_count;
    int statements_capacity;
    int *slots; /* hash table of statement numbers, -1 is free */
    int slots_count;

    enum batch_state state;
    struct postgres_operation *operations;
    int operations_count;
    int operations_capacity;
    int operations_done;
    int executions_done;
    int rows_of;
    PGresult *kept;
    bool failed; /* the first failure of the batch stands in `failure` */
    bool failed_for_sure;
    struct error failure;

    const char **send_values; /* scratch of one statement */
    int *send_lengths;
    int *send_formats;
    int send_capacity;
};

/* postgres_value.c */
uint32_t postgres_value_oid(const struct postgres_value *value);

/* postgres_statements.c: the cache of prepared statements of one connection. */
int postgres_statement_find(struct postgres *postgres, const char *sql,
                            const struct postgres_value *values, int count);
void postgres_statements_forget(struct postgres *postgres); /* the server lost them */
void postgres_statements_free(struct postgres *postgres);

/* postgres.c */
/* Fills the error from a server's result and remembers its SQLSTATE. */
enum error_code postgres_result_error(struct postgres *postgres, const PGresult *result,
                                      struct error *error);
enum error_code postgres_lost(struct postgres *postgres, enum error_code code, struct error *error);
/* Waits until the socket can be read (or written, when asked). ERR_TIMEOUT when deadline_us passes; 0: none. */
enum error_code postgres_wait(struct postgres *postgres, bool for_write, int64_t deadline_us,
                              struct error *error);
int64_t postgres_reply_deadline_us(const struct postgres *postgres);
bool postgres_sqlstate_is_connection(const char *sqlstate);

#endif
