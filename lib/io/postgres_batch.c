/* SPDX-License-Identifier: MIT */
/* Batches: libpq's pipeline mode with one sync at the end. The server runs what stands before the sync
 * as one transaction, so the whole batch is one round trip and commits or rolls back as one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "io/postgres_internal.h"

enum error_code postgres_batch_begin(struct postgres *postgres, struct error *error)
{
    BUG_IF(postgres->state == BATCH_SENT);
    if (postgres->state ==
        BATCH_BUILDING) /* given up by the caller; its statements may be on the way */
        postgres_disconnect(postgres);
    postgres->sqlstate[0] = '\0';
    enum error_code code = postgres_connect(postgres, error);
    if (code != ERR_OK)
        return code;
    postgres->state = BATCH_BUILDING;
    postgres->operations_count = 0;
    postgres->operations_done = 0;
    postgres->executions_done = 0;
    postgres->failed = false;
    postgres->failed_for_sure = false;
    return ERR_OK;
}

static void remember(struct postgres *postgres, int prepares)
{
    if (postgres->operations_count == postgres->operations_capacity) {
        postgres->operations_capacity =
            postgres->operations_capacity == 0 ? 32 : postgres->operations_capacity * 2;
        postgres->operations =
            must_realloc(postgres->operations,
                         (size_t)postgres->operations_capacity * sizeof *postgres->operations);
    }
    postgres->operations[postgres->operations_count++].prepares = prepares;
}

static void lend_values(struct postgres *postgres, const struct postgres_value *values, int count)
{
    if (count > postgres->send_capacity) {
        size_t n = (size_t)count;
        postgres->send_capacity = count;
        postgres->send_values =
            must_realloc(postgres->send_values, n * sizeof *postgres->send_values);
        postgres->send_lengths =
            must_realloc(postgres->send_lengths, n * sizeof *postgres->send_lengths);
        postgres->send_formats =
            must_realloc(postgres->send_formats, n * sizeof *postgres->send_formats);
    }
    for (int i = 0; i < count; i++) {
        const struct postgres_value *value = &values[i];
        bool is_null = value->is_null || value->type == 0;
        postgres->send_values[i] = is_null ? NULL : buffer_text(&value->wire);
        postgres->send_lengths[i] = (int)value->wire.bytes;
        postgres->send_formats[i] = 1;
    }
}

static bool send_unprepared(struct postgres *postgres, const char *sql,
                            const struct postgres_value *values, int count)
{
    uint32_t *types = must_calloc((size_t)count + 1, sizeof *types);
    for (int i = 0; i < count; i++)
        types[i] = postgres_value_oid(&values[i]);
    bool sent = PQsendQueryParams(postgres->connection, sql, count, types, postgres->send_values,
                                  postgres->send_lengths, postgres->send_formats, 1) != 0;
    free(types);
    return sent;
}

static bool send_prepared(struct postgres *postgres, int number, int count)
{
    char name[24];
    snprintf(name, sizeof name, "s%d", number);
    struct postgres_statement *statement = &postgres->statements[number];
    if (!statement->prepared && !statement->pending) {
        if (!PQsendPrepare(postgres->connection, name, statement->sql, count, statement->types))
            return false;
        statement->pending = true;
        remember(postgres, number);
    }
    return PQsendQueryPrepared(postgres->connection, name, count, postgres->send_values,
                               postgres->send_lengths, postgres->send_formats, 1) != 0;
}

enum error_code postgres_batch_add(struct postgres *postgres, const char *sql,
                                   const struct postgres_value *values, int count,
                                   struct error *error)
{
    BUG_IF(postgres->state == BATCH_SENT);
    if (postgres->state != BATCH_BUILDING)
        return error_set(error, ERR_DATABASE, "The batch has already failed.");
    lend_values(postgres, values, count);
    int number = postgres_statement_find(postgres, sql, values, count);
    bool sent = number < 0 ? send_unprepared(postgres, sql, values, count)
                           : send_prepared(postgres, number, count);
    if (!sent)
        return postgres_lost(postgres, ERR_DATABASE, error);
    remember(postgres, -1);
    return ERR_OK;
}

enum error_code postgres_batch_start(struct postgres *postgres, int rows_of, struct error *error)
{
    BUG_IF(postgres->state == BATCH_SENT);
    if (postgres->state != BATCH_BUILDING)
        return error_set(error, ERR_DATABASE, "The batch has already failed.");
    postgres->rows_of = rows_of;
    if (!PQpipelineSync(postgres->connection))
        return postgres_lost(postgres, ERR_DATABASE, error);
    postgres->state = BATCH_SENT;
    if (PQflush(postgres->connection) < 0)
        return postgres_lost(postgres, ERR_OUTCOME_UNKNOWN, error);
    return ERR_OK;
}

/* The connection broke after the sync had been given to libpq. When the server has already refused a
 * statement of the batch nothing can have been committed; otherwise nobody knows. */
static enum error_code lost_after_sync(struct postgres *postgres, struct error *error)
{
    if (!postgres->failed_for_sure)
        return postgres_lost(postgres, ERR_OUTCOME_UNKNOWN, error);
    enum error_code code = postgres->failure.code;
    if (error != NULL)
        *error = postgres->failure;
    postgres_disconnect(postgres);
    return code;
}

static void take_failure(struct postgres *postgres, const PGresult *result)
{
    if (postgres->failed || PQresultErrorField(result, PG_DIAG_SQLSTATE) == NULL)
        return;
    char severity[16];
    const char *field = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    snprintf(severity, sizeof severity, "%s", field == NULL ? "" : field);
    postgres->failed = true;
    postgres_result_error(postgres, result, &postgres->failure);
    /* All statements done: a FATAL may have come after the commit, an ERROR came instead of it. */
    bool before_commit = postgres->operations_done < postgres->operations_count;
    postgres->failed_for_sure = before_commit || strcmp(severity, "ERROR") == 0;
}

static void take_result(struct postgres *postgres, PGresult *result)
{
    bool known = postgres->operations_done < postgres->operations_count;
    int prepares = known ? postgres->operations[postgres->operations_done].prepares : -1;
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        if (prepares >= 0)
            postgres->statements[prepares].prepared = true;
        else if (known && postgres->executions_done == postgres->rows_of) {
            PQclear(postgres->kept);
            postgres->kept = result;
            return;
        }
        break;
    case PGRES_PIPELINE_ABORTED:
        break;
    case PGRES_EMPTY_QUERY:
    case PGRES_COPY_OUT:
    case PGRES_COPY_IN:
    case PGRES_COPY_BOTH:
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
    case PGRES_FATAL_ERROR:
    case PGRES_SINGLE_TUPLE:
    case PGRES_PIPELINE_SYNC:
    default:
        take_failure(postgres, result);
        break;
    }
    PQclear(result);
}

/* A NULL from libpq ends the results of one operation. */
static void next_operation(struct postgres *postgres)
{
    if (postgres->operations_done == postgres->operations_count)
        return;
    int prepares = postgres->operations[postgres->operations_done++].prepares;
    if (prepares >= 0)
        postgres->statements[prepares].pending = false;
    else
        postgres->executions_done++;
}

static enum error_code finish(struct postgres *postgres, struct postgres_rows **rows,
                              struct error *error)
{
    postgres->state = BATCH_NONE;
    if (!postgres->failed && rows != NULL)
        *rows = (struct postgres_rows *)postgres->kept;
    else
        PQclear(postgres->kept);
    postgres->kept = NULL;
    if (!postgres->failed)
        return ERR_OK;
    if (error != NULL)
        *error = postgres->failure;
    return postgres->failure.code;
}

enum error_code postgres_batch_poll(struct postgres *postgres, bool *done, bool *wants_write,
                                    struct postgres_rows **rows, struct error *error)
{
    BUG_IF(postgres->state != BATCH_SENT);
    PGconn *connection = postgres->connection;
    if (rows != NULL)
        *rows = NULL;
    *done = true;
    *wants_write = false;
    bool readable = PQconsumeInput(connection) != 0;
    int unsent = PQflush(connection);
    while (!PQisBusy(connection)) {
        PGresult *result = PQgetResult(connection);
        if (result != NULL && PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            return finish(postgres, rows, error);
        }
        if (result != NULL)
            take_result(postgres, result);
        else
            next_operation(postgres);
        if (PQstatus(connection) != CONNECTION_OK)
            return lost_after_sync(postgres, error);
    }
    if (!readable || unsent < 0 || PQstatus(connection) != CONNECTION_OK)
        return lost_after_sync(postgres, error);
    *done = false;
    *wants_write = unsent == 1;
    return ERR_OK;
}

enum error_code postgres_batch_run(struct postgres *postgres, int rows_of,
                                   struct postgres_rows **rows, struct error *error)
{
    if (rows != NULL)
        *rows = NULL;
    enum error_code code = postgres_batch_start(postgres, rows_of, error);
    if (code != ERR_OK)
        return code;
    int64_t deadline_us = postgres_reply_deadline_us(postgres);
    for (;;) {
        bool done, wants_write;
        code = postgres_batch_poll(postgres, &done, &wants_write, rows, error);
        if (done)
            return code;
        if (postgres_wait(postgres, wants_write, deadline_us, error) != ERR_OK) {
            postgres_disconnect(postgres);
            return error_set(error, ERR_OUTCOME_UNKNOWN, "PostgreSQL gave no answer within %d ms.",
                             postgres->reply_timeout_ms);
        }
    }
}
