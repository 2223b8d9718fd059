/* SPDX-License-Identifier: MIT */
/* twin_postgres.c - io/postgres.h over tables in memory. A request is on its way to the server, is carried
 * out there whatever has become of its sender meanwhile, and its answer is on its way back; the connection
 * may break at each of these points. Values, rows and the pool are the library's own. */
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "io/migrate.h"
#include "statements.h"
#include "world.h"

#define CONNECTIONS_MAX 512
#define STATEMENTS_MAX 16
#define STATEMENT_TIMEOUT_US (10 * SECOND_US)

struct statement {
    const char *sql;
    struct postgres_value *values;
    int count;
};

struct request {
    struct connection *connection;
    uint64_t session;
    struct statement statements[STATEMENTS_MAX];
    int count, rows_of;
    bool is_select;
    bool done;
    enum error_code code;
    struct error error;
    PGresult *result;
};

struct connection {
    struct postgres base; /* what the library's other files read of it */
    struct process *process;
    bool up;    /* as this side believes */
    bool alive; /* the session at the server */
    uint64_t session;
    int64_t lock; /* advisory; 0: none */
    bool listens, notified;
    int socket;
    struct request *building, *flying;
};

static struct {
    struct connection *connections[CONNECTIONS_MAX];
    int count;
    uint64_t sessions;
    int64_t away_until_us, slow_until_us;
    struct chance chance;
    struct connection *running; /* whose request is carried out */
} database;

void database_start(void)
{
    static const struct cell none = {-1, NULL};
    database.count = 0;
    database.sessions = 0;
    database.away_until_us = database.slow_until_us = 0;
    database.chance = chance_of(sim.options.seed, 0xdb);
    tables_start();
    tables_begin();
    for (int16_t shard = 0; shard < WORLD_SHARDS; shard++) {
        struct cell cells[COLUMNS_MAX] = {cell_int(PG_INT2, shard),
                                          none,
                                          cell_int(PG_INT8, 0),
                                          cell_int(PG_INT8, 0),
                                          cell_int(PG_INT8, 1),
                                          cell_int(PG_INT8, 0),
                                          cell_text("")};
        table_insert(&tables[TABLE_SHARDS], cells);
    }
    tables_commit();
}

void database_end(void) { tables_end(); }

static struct connection *of(const struct postgres *postgres)
{
    return (struct connection *)(uintptr_t)postgres;
}

/* -- requests -- */

static bool begins(const char *sql, const char *word)
{
    return strncmp(sql, word, strlen(word)) == 0;
}

static void request_free(struct request *request)
{
    if (request == NULL)
        return;
    for (int i = 0; i < request->count; i++) {
        postgres_values_fini(request->statements[i].values, request->statements[i].count);
        free(request->statements[i].values);
    }
    PQclear(request->result);
    free(request);
}

static void request_add(struct request *request, const char *sql,
                        const struct postgres_value *values, int count)
{
    BUG_IF(request->count == STATEMENTS_MAX);
    struct statement *statement = &request->statements[request->count++];
    *statement = (struct statement){sql, must_calloc((size_t)count + 1, sizeof *values), count};
    for (int i = 0; i < count; i++) {
        statement->values[i] = values[i];
        statement->values[i].wire = (struct buffer){0};
        buffer_append(&statement->values[i].wire, buffer_text(&values[i].wire),
                      values[i].wire.bytes);
    }
    request->is_select = count >= 0 && (begins(sql, "SELECT") || begins(sql, "SHOW"));
}

static void answer(struct connection *connection, struct request *request, enum error_code code)
{
    if (request == NULL || request->done)
        return;
    request->done = true;
    request->code = code;
    if (code != ERR_OK && request->error.code == ERR_OK)
        error_set(&request->error, code, "%s", error_code_text(code));
    fiber_wake(request);
    fiber_socket_set(connection->socket, true);
}

/* The session ends; this side sees it when it looks. */
static void end_session(struct connection *connection)
{
    if (!connection->alive)
        return;
    connection->alive = false;
    connection->lock = 0;
    connection->listens = false;
    if (connection->flying != NULL)
        answer(connection, connection->flying,
               connection->flying->is_select ? ERR_DATABASE : ERR_OUTCOME_UNKNOWN);
    fiber_socket_set(connection->socket, true);
}

static bool lock(int64_t key, bool take)
{
    for (int i = 0; i < database.count; i++)
        if (database.connections[i]->alive && database.connections[i]->lock == key &&
            database.connections[i] != database.running)
            return false;
    if (take)
        database.running->lock = key;
    return true;
}

static void terminate(const char *name)
{
    for (int i = 0; i < database.count; i++)
        if (database.connections[i]->alive && strcmp(database.connections[i]->base.name, name) == 0)
            end_session(database.connections[i]);
}

static void listen(void) { database.running->listens = true; }

static void hear(void *context)
{
    struct connection *connection = context;
    if (!connection->alive || !connection->listens)
        return;
    connection->notified = true;
    fiber_socket_set(connection->socket, true);
}

static void notify(void)
{
    for (int i = 0; i < database.count; i++)
        if (database.connections[i]->alive && database.connections[i]->listens)
            fiber_at(fiber_now_us() + chance_between(&database.chance, 50, 2000), hear,
                     database.connections[i]);
}

static bool world_draws(enum fault fault, int64_t one_in)
{
    return world_faulty(fault) && chance_one_in(&database.chance, one_in);
}

static void carry_out(struct connection *connection, struct request *request)
{
    enum error_code code = ERR_OK;
    database.running = connection;
    tables_begin();
    for (int i = 0; i < request->count && code == ERR_OK; i++) {
        struct query query = {.sql = request->statements[i].sql,
                              .values = request->statements[i].values,
                              .count = request->statements[i].count,
                              .lock = lock,
                              .terminate = terminate,
                              .listen = listen,
                              .notify = notify,
                              .busy = world_draws(FAULT_CONNECTION, 30),
                              .now_us = fiber_now_us(),
                              .error = &request->error};
        code = statement_run(&query);
        if (code == ERR_OK && i == request->rows_of)
            request->result = query.result;
        else
            PQclear(query.result);
    }
    request->code = code;
    if (code != ERR_OK) {
        tables_take_back();
        PQclear(request->result);
        request->result = NULL;
        return;
    }
    tables_commit();
    sim.count.commits++;
    check_commit(connection->process);
}

static void reply(void *context)
{
    struct request *request = context;
    if (request->connection->session == request->session && request->connection->alive)
        answer(request->connection, request, request->code);
}

static void hang_up_on(void *context)
{
    struct request *request = context;
    if (request->connection->session == request->session)
        end_session(request->connection);
}

static void arrive(void *context)
{
    struct request *request = context;
    struct connection *connection = request->connection;
    if (connection->session != request->session || !connection->alive)
        return;
    bool write = !request->is_select;
    if (world_draws(FAULT_CONNECTION, 400)) {
        world_tell(TOLD_STORE, "%s: the connection breaks before the request is carried out",
                   connection->process->name);
        end_session(connection);
        return;
    }
    if (write && world_draws(FAULT_CONNECTION, 600)) {
        answer(connection, request, ERR_UNAVAILABLE); /* and a server that shuts down hangs up */
        if (chance_one_in(&database.chance, 2))
            fiber_at(fiber_now_us() + chance_between(&database.chance, 1, 60000), hang_up_on,
                     request);
        return;
    }
    carry_out(connection, request);
    world_tell(TOLD_STORE, "%s: %.60s%s: %s", connection->process->name, request->statements[0].sql,
               request->count > 1 ? " ..." : "", error_code_name(request->code));
    if (!connection->process->alive) { /* nobody listens any more */
        end_session(connection);
        return;
    }
    if (world_draws(FAULT_CONNECTION, write ? 60 : 400)) {
        world_tell(TOLD_STORE, "%s: the connection breaks before the answer",
                   connection->process->name);
        end_session(connection);
        return;
    }
    fiber_at(fiber_now_us() + chance_between(&database.chance, 40, 300), reply, request);
}

static void cancel_long(void *context)
{
    struct request *request = context;
    if (request->connection->session == request->session && request->connection->alive)
        answer(request->connection, request, ERR_TIMEOUT);
}

static int64_t latency_us(bool write)
{
    int64_t us = chance_between(&database.chance, 50, write ? 1500 : 500);
    if (world_draws(FAULT_SLOW_DISK, 150))
        database.slow_until_us =
            fiber_now_us() + chance_between(&database.chance, 1, 8) * SECOND_US;
    if (database.slow_until_us > fiber_now_us() && write)
        us += chance_between(&database.chance, 0,
                             chance_one_in(&database.chance, 12) ? 14 * SECOND_US : 200000);
    return us;
}

static void send(struct connection *connection, struct request *request)
{
    int64_t us = latency_us(!request->is_select);
    request->connection = connection;
    request->session = connection->session;
    connection->flying = request;
    fiber_socket_set(connection->socket, false);
    if (!connection->alive) {
        answer(connection, request, request->is_select ? ERR_DATABASE : ERR_OUTCOME_UNKNOWN);
        return;
    }
    if (us > STATEMENT_TIMEOUT_US)
        fiber_at(fiber_now_us() + STATEMENT_TIMEOUT_US, cancel_long, request);
    else
        fiber_at(fiber_now_us() + us, arrive, request);
}

static void hang_up(struct connection *connection)
{
    connection->up = false;
    connection->base.connected_us = 0;
    fiber_socket_close(connection->socket);
    connection->socket = -1;
    connection->notified = false;
    end_session(connection);
}

/* The outcome of the request in flight, which is done. */
static enum error_code take(struct connection *connection, struct postgres_rows **rows,
                            struct error *error)
{
    struct request *request = connection->flying;
    enum error_code code = request->code;
    connection->flying = NULL;
    fiber_socket_set(connection->socket, connection->notified);
    if (code != ERR_OK && error != NULL)
        *error = request->error;
    if (rows != NULL) {
        *rows = (struct postgres_rows *)request->result;
        request->result = NULL;
    }
    if (!connection->alive)
        hang_up(connection);
    return code;
}

/* -- the world's hand -- */

/* A request that reached the server is carried out, whatever became of the sender. */
void database_break(struct process *process)
{
    for (int i = 0; i < database.count; i++) {
        struct connection *connection = database.connections[i];
        bool sent = connection->flying != NULL && !connection->flying->done &&
                    !chance_one_in(&database.chance, 3);
        if (connection->process != process)
            continue;
        connection->socket = -1; /* its number may be another file's now */
        if (!sent)
            end_session(connection);
    }
}

void database_away(int64_t us)
{
    database.away_until_us = fiber_now_us() + us;
    for (int i = 0; i < database.count; i++)
        end_session(database.connections[i]);
}

/* -- io/postgres.h -- */

struct postgres *postgres_new(const char *url, const char *name, const char *settings)
{
    struct connection *connection = must_calloc(1, sizeof *connection);
    (void)settings;
    BUG_IF(database.count == CONNECTIONS_MAX);
    connection->base.url = must_strdup(url);
    connection->base.name = must_strdup(name);
    connection->process = fiber_process();
    connection->socket = -1;
    database.connections[database.count++] = connection;
    return &connection->base;
}

void postgres_free(struct postgres *postgres)
{
    if (postgres != NULL)
        hang_up(of(postgres)); /* its memory stays: something of it may be on its way */
}

bool postgres_connected(const struct postgres *postgres) { return of(postgres)->up; }
int64_t postgres_connected_us(const struct postgres *postgres)
{
    return of(postgres)->base.connected_us;
}
void postgres_disconnect(struct postgres *postgres) { hang_up(of(postgres)); }
bool postgres_is_dead(const struct postgres *postgres)
{
    return of(postgres)->up && !of(postgres)->alive;
}
void postgres_set_reply_timeout(struct postgres *postgres, int timeout_ms)
{
    postgres->reply_timeout_ms = timeout_ms;
}
int postgres_socket(const struct postgres *postgres) { return of(postgres)->socket; }
int postgres_backend_pid(const struct postgres *postgres) { return (int)of(postgres)->session; }
bool postgres_notified(struct postgres *postgres)
{
    struct connection *connection = of(postgres);
    bool notified = connection->notified;
    connection->notified = false;
    if (connection->up && connection->alive)
        fiber_socket_set(connection->socket, false);
    return notified;
}
const char *postgres_sqlstate(const struct postgres *postgres)
{
    (void)postgres;
    return "";
}

enum error_code postgres_connect(struct postgres *postgres, struct error *error)
{
    struct connection *connection = of(postgres);
    if (connection->up && connection->alive)
        return ERR_OK;
    if (connection->up)
        hang_up(connection);
    fiber_effect();
    fiber_sleep_us(chance_between(&database.chance, 300, 3000));
    if (database.away_until_us > fiber_now_us())
        return error_set(error, ERR_DATABASE, "the database is away");
    connection->up = connection->alive = true;
    connection->session = ++database.sessions;
    connection->base.connected_us = clock_monotonic_us();
    connection->socket = fiber_socket();
    return ERR_OK;
}

/* Waits for the request in flight. */
static enum error_code wait_for(struct connection *connection, struct postgres_rows **rows,
                                struct error *error)
{
    struct request *request = connection->flying;
    int64_t until_us = connection->base.reply_timeout_ms <= 0
                           ? INT64_MAX - 1
                           : fiber_now_us() + connection->base.reply_timeout_ms * INT64_C(1000);
    while (!request->done && fiber_now_us() < until_us)
        (void)fiber_wait(request, until_us);
    if (!request->done)
        end_session(connection);
    enum error_code code = take(connection, rows, error);
    fiber_effect();
    return code;
}

enum error_code postgres_query(struct postgres *postgres, const char *sql,
                               const struct postgres_value *values, int count,
                               struct postgres_rows **rows, struct error *error)
{
    struct connection *connection = of(postgres);
    enum error_code code = postgres_connect(postgres, error);
    if (rows != NULL)
        *rows = NULL;
    if (code != ERR_OK)
        return code;
    struct request *request = must_calloc(1, sizeof *request);
    request_add(request, sql, values, count);
    fiber_effect();
    send(connection, request);
    return wait_for(connection, rows, error);
}

enum error_code postgres_batch_begin(struct postgres *postgres, struct error *error)
{
    struct connection *connection = of(postgres);
    enum error_code code = postgres_connect(postgres, error);
    request_free(connection->building);
    connection->building = must_calloc(1, sizeof *connection->building);
    return code;
}

enum error_code postgres_batch_add(struct postgres *postgres, const char *sql,
                                   const struct postgres_value *values, int count,
                                   struct error *error)
{
    (void)error;
    request_add(of(postgres)->building, sql, values, count);
    return ERR_OK;
}

enum error_code postgres_batch_start(struct postgres *postgres, int rows_of, struct error *error)
{
    struct connection *connection = of(postgres);
    struct request *request = connection->building;
    (void)error;
    connection->building = NULL;
    request->rows_of = rows_of;
    request->is_select = false;
    fiber_effect();
    send(connection, request);
    return ERR_OK;
}

enum error_code postgres_batch_run(struct postgres *postgres, int rows_of,
                                   struct postgres_rows **rows, struct error *error)
{
    enum error_code code = postgres_batch_start(postgres, rows_of, error);
    return code == ERR_OK ? wait_for(of(postgres), rows, error) : code;
}

enum error_code postgres_batch_poll(struct postgres *postgres, bool *done, bool *wants_write,
                                    struct postgres_rows **rows, struct error *error)
{
    struct connection *connection = of(postgres);
    *wants_write = false;
    *done = connection->flying == NULL || connection->flying->done;
    if (!*done || connection->flying == NULL)
        return ERR_OK;
    enum error_code code = take(connection, rows, error);
    fiber_effect();
    return code;
}

enum error_code migrate_version(struct postgres *postgres, int *version, struct error *error)
{
    *version = SCHEMA_VERSION_NEWEST;
    return postgres_query(postgres, "SELECT 1", NULL, 0, NULL, error);
}
