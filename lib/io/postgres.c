/* SPDX-License-Identifier: MIT */
/* One connection: opening, healing, errors, scripts. Batches are in postgres_batch.c. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "io/postgres_internal.h"

struct postgres *postgres_new(const char *url, const char *name, const char *settings)
{
    struct postgres *postgres = must_calloc(1, sizeof *postgres);
    postgres->url = must_strdup(url);
    postgres->name = must_strdup(name);
    postgres->settings = must_strdup(settings == NULL ? "" : settings);
    return postgres;
}

void postgres_free(struct postgres *postgres)
{
    if (postgres == NULL)
        return;
    postgres_disconnect(postgres);
    postgres_statements_free(postgres);
    free(postgres->operations);
    free(postgres->send_values);
    free(postgres->send_lengths);
    free(postgres->send_formats);
    free(postgres->settings);
    free(postgres->name);
    free(postgres->url);
    free(postgres);
}

void postgres_set_reply_timeout(struct postgres *postgres, int timeout_ms)
{
    postgres->reply_timeout_ms = timeout_ms;
}

bool postgres_connected(const struct postgres *postgres)
{
    return postgres->connection != NULL && PQstatus(postgres->connection) == CONNECTION_OK;
}

void postgres_disconnect(struct postgres *postgres)
{
    PQclear(postgres->kept);
    postgres->kept = NULL;
    PQfinish(postgres->connection);
    postgres->connection = NULL;
    postgres->state = BATCH_NONE;
    postgres_statements_forget(postgres);
}

int postgres_socket(const struct postgres *postgres)
{
    return postgres->connection == NULL ? -1 : PQsocket(postgres->connection);
}

int postgres_backend_pid(const struct postgres *postgres)
{
    return postgres->connection == NULL ? 0 : PQbackendPID(postgres->connection);
}

int64_t postgres_connected_us(const struct postgres *postgres)
{
    return postgres->connection == NULL ? 0 : postgres->connected_us;
}

bool postgres_notified(struct postgres *postgres)
{
    bool any = false;
    PGnotify *notification;
    if (postgres_is_dead(postgres)) /* reads what has come */
        return false;
    while ((notification = PQnotifies(postgres->connection)) != NULL) {
        any = true;
        PQfreemem(notification);
    }
    return any;
}

const char *postgres_sqlstate(const struct postgres *postgres) { return postgres->sqlstate; }

/* -- errors -- */

/* Class 08 and the server's own shutdown and start-up, lack of resources, a standby. */
bool postgres_sqlstate_is_connection(const char *sqlstate)
{
    static const char *const states[] = {"57P01", "57P02", "57P03", "57P05", "25P03", "25006"};
    if (strncmp(sqlstate, "08", 2) == 0 || strncmp(sqlstate, "53", 2) == 0)
        return true;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(sqlstate, states[i]) == 0)
            return true;
    return false;
}

static enum error_code code_of(const char *sqlstate)
{
    if (strcmp(sqlstate, "OB001") == 0)
        return ERR_FENCED;
    if (strcmp(sqlstate, "23505") == 0)
        return ERR_CONFLICT;
    if (strcmp(sqlstate, "57014") == 0 || strcmp(sqlstate, "55P03") == 0)
        return ERR_TIMEOUT;
    if (strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "40P01") == 0)
        return ERR_UNAVAILABLE;
    return postgres_sqlstate_is_connection(sqlstate) ? ERR_DATABASE : ERR_INTERNAL;
}

enum error_code postgres_result_error(struct postgres *postgres, const PGresult *result,
                                      struct error *error)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (sqlstate == NULL)
        sqlstate = "08006"; /* libpq's own words about a lost connection bear no code */
    if (message == NULL)
        message = PQresultErrorMessage(result);
    snprintf(postgres->sqlstate, sizeof postgres->sqlstate, "%s", sqlstate);
    if (strcmp(sqlstate, "0A000") == 0 || strcmp(sqlstate, "26000") == 0)
        postgres->stale = true;
    return error_set(error, code_of(sqlstate), "PostgreSQL: %.*s (SQLSTATE %s)",
                     (int)strcspn(message, "\n"), message, sqlstate);
}

/* Gives the connection up; the next call makes a new one. */
enum error_code postgres_lost(struct postgres *postgres, enum error_code code, struct error *error)
{
    const char *message = postgres->connection == NULL ? "" : PQerrorMessage(postgres->connection);
    if (message[0] == '\0')
        message = "the connection was closed";
    error_set(error, code, "%s PostgreSQL: %.*s",
              code == ERR_OUTCOME_UNKNOWN ? "The transaction was sent and its outcome is not known."
                                          : "No connection to",
              (int)strcspn(message, "\n"), message);
    snprintf(postgres->sqlstate, sizeof postgres->sqlstate, "08006");
    postgres_disconnect(postgres);
    return code;
}

/* -- waiting -- */

int64_t postgres_reply_deadline_us(const struct postgres *postgres)
{
    return postgres->reply_timeout_ms == 0
               ? 0
               : clock_monotonic_us() + (int64_t)postgres->reply_timeout_ms * 1000;
}

enum error_code postgres_wait(struct postgres *postgres, bool for_write, int64_t deadline_us,
                              struct error *error)
{
    struct pollfd place = {.fd = PQsocket(postgres->connection),
                           .events = (short)(for_write ? POLLIN | POLLOUT : POLLIN)};
    for (;;) {
        int timeout_ms = -1;
        if (deadline_us != 0) {
            int64_t left_us = deadline_us - clock_monotonic_us();
            timeout_ms = left_us <= 0 ? 0 : (int)(left_us / 1000 + 1);
        }
        int ready = poll(&place, 1, timeout_ms);
        if (ready > 0)
            return ERR_OK;
        if (ready == 0)
            return error_set(error, ERR_TIMEOUT, "PostgreSQL did not answer in time.");
        if (errno != EINTR)
            return error_set(error, ERR_DATABASE, "poll: %s", strerror(errno));
    }
}

/* True when the server has closed an idle connection, or has said that it is about to: libpq treats
 * such words as a notice. */
bool postgres_is_dead(const struct postgres *postgres)
{
    if (!postgres_connected(postgres) || postgres->stale)
        return true;
    struct pollfd place = {.fd = PQsocket(postgres->connection), .events = POLLIN};
    if (poll(&place, 1, 0) == 0)
        return false;
    if (!PQconsumeInput(postgres->connection) || PQstatus(postgres->connection) != CONNECTION_OK)
        return true;
    (void)PQisBusy(postgres->connection); /* parses what came in */
    return postgres->stale ||
           (poll(&place, 1, 0) > 0 && (place.revents & (POLLHUP | POLLERR)) != 0);
}

/* -- connecting -- */

/* Notices are not shown, but one of them is "terminating connection". */
static void take_notice(void *context, const PGresult *notice)
{
    struct postgres *postgres = context;
    const char *sqlstate = PQresultErrorField(notice, PG_DIAG_SQLSTATE);
    if (sqlstate != NULL && postgres_sqlstate_is_connection(sqlstate))
        postgres->stale = true;
}

/* What holds for every connection, then "options" of the url, then our own settings; the last one wins.
 * Statements are small and many: compiling one costs a hundred times what it takes. free() it. */
static char *all_options(const struct postgres *postgres)
{
    struct buffer options = {0};
    buffer_append_text(&options, "-c jit=off ");
    PQconninfoOption *parsed = PQconninfoParse(postgres->url, NULL);
    for (PQconninfoOption *option = parsed; option != NULL && option->keyword != NULL; option++)
        if (strcmp(option->keyword, "options") == 0 && option->val != NULL)
            buffer_append_format(&options, "%s ", option->val);
    PQconninfoFree(parsed);
    buffer_append_text(&options, postgres->settings);
    return buffer_take(&options);
}

enum error_code postgres_connect(struct postgres *postgres, struct error *error)
{
    if (postgres->state != BATCH_NONE || !postgres_is_dead(postgres))
        return ERR_OK;
    postgres_disconnect(postgres);
    postgres->stale = false;
    char *options = all_options(postgres);
    /* What stands before dbname can be changed by the url, what stands behind cannot. */
    const char *const names[] = {"connect_timeout",
                                 "keepalives",
                                 "keepalives_idle",
                                 "keepalives_interval",
                                 "keepalives_count",
                                 "tcp_user_timeout",
                                 "application_name",
                                 "dbname",
                                 "client_encoding",
                                 "options",
                                 NULL};
    const char *const values[] = {"5",           "1",    "5",     "2", "3", "10000", postgres->name,
                                  postgres->url, "UTF8", options, NULL};
    postgres->connection = PQconnectdbParams(names, values, 1);
    free(options);
    if (!postgres_connected(postgres))
        return postgres_lost(postgres, ERR_DATABASE, error);
    PQsetNoticeReceiver(postgres->connection, take_notice, postgres);
    if (PQsetnonblocking(postgres->connection, 1) != 0 ||
        !PQenterPipelineMode(postgres->connection))
        return postgres_lost(postgres, ERR_DATABASE, error);
    postgres->connected_us = clock_monotonic_us();
    return ERR_OK;
}

/* -- scripts -- */

static enum error_code script_results(struct postgres *postgres, struct error *error)
{
    PGconn *connection = postgres->connection;
    enum error_code code = ERR_OK;
    int64_t deadline_us = postgres_reply_deadline_us(postgres);
    for (;;) {
        int unsent = PQflush(connection);
        while (unsent == 0 && !PQisBusy(connection)) {
            PGresult *result = PQgetResult(connection);
            if (PQstatus(connection) != CONNECTION_OK) {
                PQclear(result);
                return postgres_lost(postgres, ERR_OUTCOME_UNKNOWN, error);
            }
            if (result == NULL)
                return code;
            if (PQresultStatus(result) == PGRES_FATAL_ERROR && code == ERR_OK)
                code = postgres_result_error(postgres, result, error);
            PQclear(result);
        }
        enum error_code waited = postgres_wait(postgres, unsent == 1, deadline_us, error);
        if (waited != ERR_OK || !PQconsumeInput(connection))
            return postgres_lost(postgres, ERR_OUTCOME_UNKNOWN, error);
    }
}

enum error_code postgres_script(struct postgres *postgres, const char *sql, struct error *error)
{
    BUG_IF(postgres->state != BATCH_NONE);
    postgres->sqlstate[0] = '\0';
    enum error_code code = postgres_connect(postgres, error);
    if (code != ERR_OK)
        return code;
    if (!PQexitPipelineMode(postgres->connection) || !PQsendQuery(postgres->connection, sql))
        return postgres_lost(postgres, ERR_DATABASE, error);
    code = script_results(postgres, error);
    if (postgres->connection != NULL && !PQenterPipelineMode(postgres->connection))
        return postgres_lost(postgres, ERR_DATABASE, error);
    return code;
}

/* -- one statement -- */

/* A statement that only reads can be repeated without harm, so its loss is a plain one. */
static bool only_reads(const char *sql)
{
    sql += strspn(sql, " \t\r\n");
    return strncasecmp(sql, "select", 6) == 0 || strncasecmp(sql, "show", 4) == 0;
}

enum error_code postgres_query(struct postgres *postgres, const char *sql,
                               const struct postgres_value *values, int count,
                               struct postgres_rows **rows, struct error *error)
{
    if (rows != NULL)
        *rows = NULL;
    enum error_code code = postgres_batch_begin(postgres, error);
    if (code == ERR_OK)
        code = postgres_batch_add(postgres, sql, values, count, error);
    if (code == ERR_OK)
        code = postgres_batch_run(postgres, 0, rows, error);
    if (code == ERR_OUTCOME_UNKNOWN && only_reads(sql)) {
        code = ERR_DATABASE;
        if (error != NULL)
            error->code = code;
    }
    return code;
}
