/* SPDX-License-Identifier: MIT */
#include "statements_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define ARRAY_HEADER_BYTES 20

/* -- parameters -- */

struct cell statement_scalar(const struct postgres_value *value)
{
    return value->is_null ? cell_null()
                          : (struct cell){(int32_t)value->wire.bytes, value->wire.data};
}

/* free() them; they point into the value. */
struct cell *statement_elements(const struct postgres_value *value)
{
    struct cell *cells = must_calloc((size_t)value->count + 1, sizeof *cells);
    const char *place = value->wire.data + ARRAY_HEADER_BYTES;
    for (int i = 0; i < value->count; i++) {
        int32_t bytes = (int32_t)cell_number((struct cell){4, place});
        cells[i] = (struct cell){bytes, place + 4};
        place += 4 + (bytes < 0 ? 0 : bytes);
    }
    return cells;
}

bool statement_is_among(struct cell cell, const struct cell *cells, int count)
{
    for (int i = 0; i < count; i++)
        if (cell_equal(cell, cells[i]))
            return true;
    return false;
}

/* -- results -- */

void statement_result(struct query *query, const struct column *columns, int count)
{
    PGresAttDesc attributes[COLUMNS_MAX] = {{0}};
    query->result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    for (int i = 0; i < count; i++) {
        attributes[i].name = (char *)(uintptr_t)columns[i].name;
        attributes[i].format = 1;
        attributes[i].typid = columns[i].type;
        attributes[i].typlen = -1;
    }
    PQsetResultAttrs(query->result, count, attributes);
}

void statement_set(struct query *query, int row, int column, struct cell cell)
{
    static char empty[1];
    char *data = cell.bytes <= 0 ? empty : (char *)(uintptr_t)cell.data;
    PQsetvalue(query->result, row, column, cell.bytes < 0 ? NULL : data, cell.bytes);
}

void statement_value(struct query *query, enum postgres_type type, struct cell cell)
{
    statement_result(query, &(struct column){"value", type}, 1);
    statement_set(query, 0, 0, cell);
}

/* Names between a place in the text and `end`, as columns of the table: "w.id, seq". */
static int read_columns(const struct table *table, const char *from, const char *end,
                        int columns[COLUMNS_MAX])
{
    int count = 0;
    while (from < end) {
        while (from < end && !isalpha((unsigned char)*from))
            from++;
        const char *word = from;
        while (from < end && (isalnum((unsigned char)*from) || *from == '_'))
            from++;
        if (from < end && *from == '.') {
            from++;
            continue;
        }
        if (from == word)
            break;
        columns[count] = table_column(table, word, (size_t)(from - word));
        if (columns[count++] < 0)
            world_fail("the twin does not know column %.*s of %s", (int)(from - word), word,
                       table->name);
    }
    return count;
}

typedef bool row_wanted(const struct query *query, const struct row *row, const void *context);

int statement_by_order(const void *a, const void *b)
{
    const struct statement_row *x = a, *y = b;
    for (const int *column = x->order; *column >= 0; column++) {
        int order = cell_compare(x->row->cells[*column], y->row->cells[*column]);
        if (order != 0)
            return x->descending ? -order : order;
    }
    return 0;
}

/* The rows that are wanted, in the order of the columns `order`, ended by -1. free() them. */
static struct statement_row *select_rows(const struct query *query, const struct table *table,
                                         row_wanted *wanted, const void *context, const int *order,
                                         int *count)
{
    struct statement_row *found = must_calloc((size_t)table->count + 1, sizeof *found);
    *count = 0;
    for (int i = 0; i < table->count; i++)
        if (!table->rows[i]->gone && wanted(query, table->rows[i], context))
            found[(*count)++] = (struct statement_row){table->rows[i], order, false};
    qsort(found, (size_t)*count, sizeof *found, statement_by_order);
    return found;
}

static void select_into(struct query *query, enum table_name name, row_wanted *wanted,
                        const void *context, const int *order)
{
    const struct table *table = &tables[name];
    int columns[COLUMNS_MAX], count;
    const char *from = strstr(query->sql, " FROM ");
    int width = read_columns(table, query->sql + strlen("SELECT "), from, columns);
    struct column described[COLUMNS_MAX];
    for (int i = 0; i < width; i++)
        described[i] = table->columns[columns[i]];
    statement_result(query, described, width);
    struct statement_row *rows = select_rows(query, table, wanted, context, order, &count);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < width; k++)
            statement_set(query, i, k, rows[i].row->cells[columns[k]]);
    free(rows);
}

/* -- conditions -- */

enum { EVENTS_WORKFLOW, EVENTS_N, EVENTS_SHARD, EVENTS_SEQ, EVENTS_COUNT };

static int column_of(enum table_name table, const char *name)
{
    return table_column(&tables[table], name, strlen(name));
}

struct choice {
    int column;
    const struct cell *cells;
    int count;
    int null_column; /* that must be null, or -1 */
};

static bool in_choice(const struct query *query, const struct row *row, const void *context)
{
    const struct choice *choice = context;
    (void)query;
    return statement_is_among(row->cells[choice->column], choice->cells, choice->count) &&
           (choice->null_column < 0 || row->cells[choice->null_column].bytes < 0);
}

const int *statement_order(int first, int second)
{
    static int order[3];
    order[0] = first;
    order[1] = second;
    order[2] = -1;
    return order;
}

/* SELECT ... FROM table WHERE column = ANY($1) ORDER BY ... */
static void select_any(struct query *query, enum table_name table, int column, int second)
{
    struct cell *cells = statement_elements(&query->values[0]);
    struct choice choice = {column, cells, query->values[0].count, -1};
    select_into(query, table, in_choice, &choice, statement_order(column, second));
    free(cells);
}

static void select_one(struct query *query, enum table_name table, int column, int order)
{
    struct cell cell = statement_scalar(&query->values[0]);
    struct choice choice = {column, &cell, 1, -1};
    select_into(query, table, in_choice, &choice, statement_order(order, -1));
}

/* -- writing -- */

struct row *statement_shard(int64_t shard)
{
    for (int i = 0; i < tables[TABLE_SHARDS].count; i++)
        if (cell_number(tables[TABLE_SHARDS].rows[i]->cells[SHARDS_SHARD]) == shard)
            return tables[TABLE_SHARDS].rows[i];
    return NULL;
}

static enum error_code fence(struct query *query)
{
    struct cell *columns[6];
    int matched = 0, count = query->values[0].count;
    for (int i = 0; i < 6; i++)
        columns[i] = statement_elements(&query->values[i]);
    for (int i = 0; i < count; i++) {
        struct row *row = statement_shard(cell_number(columns[0][i]));
        if (row == NULL || !cell_equal(row->cells[SHARDS_EPOCH], columns[1][i]) ||
            !cell_equal(row->cells[SHARDS_COMMITS], columns[2][i]))
            continue;
        matched++;
        table_set(row, SHARDS_COMMITS,
                  cell_int(PG_INT8, cell_number(row->cells[SHARDS_COMMITS]) + 1));
        table_set(row, SHARDS_NEXT, columns[3][i]);
        table_set(row, SHARDS_PUBLISHED, columns[4][i]);
        table_set(row, SHARDS_CLUSTER, columns[5][i]);
    }
    for (int i = 0; i < 6; i++)
        free(columns[i]);
    statement_value(query, PG_TEXT, cell_text(""));
    if (matched == count)
        return ERR_OK;
    return error_set(query->error, ERR_FENCED,
                     "fenced: %d of %d shards have another epoch or commit count", count - matched,
                     count);
}

/* A workflow ends once per run: the second unique index of fsm_transitions, over ends alone. */
static bool ends_twice(const struct row *row)
{
    const struct table *table = &tables[TABLE_TRANSITIONS];
    int to = column_of(TABLE_TRANSITIONS, "to_state");
    if (!workflow_state_ended(workflow_state_of_name(row->cells[to].data)))
        return false;
    for (int i = 0; i < table->count; i++) {
        const struct row *other = table->rows[i];
        if (other != row && cell_equal(other->cells[0], row->cells[0]) &&
            cell_equal(other->cells[1], row->cells[1]) &&
            workflow_state_ended(workflow_state_of_name(other->cells[to].data)))
            return true;
    }
    return false;
}

/* INSERT INTO table (columns) SELECT * FROM unnest($1::type[], ...) */
static enum error_code insert(struct query *query)
{
    const char *name = query->sql + strlen("INSERT INTO ");
    const char *open = strchr(name, '('), *close = strchr(name, ')');
    struct table *table = table_find(name, (size_t)(open - name) - 1);
    int columns[COLUMNS_MAX];
    if (table == NULL || strstr(close, "FROM unnest(") == NULL) {
        world_fail("the twin of the database does not know: %s", query->sql);
        return ERR_INTERNAL;
    }
    int width = read_columns(table, open + 1, close, columns);
    struct cell *values[COLUMNS_MAX];
    for (int k = 0; k < width; k++)
        values[k] = statement_elements(&query->values[k]);
    enum error_code code = ERR_OK;
    for (int i = 0; i < query->values[0].count && code == ERR_OK; i++) {
        struct cell cells[COLUMNS_MAX];
        for (int k = 0; k < COLUMNS_MAX; k++)
            cells[k] = cell_null();
        int run = table_column(table, "run", 3);
        if (run >= 0)
            cells[run] = cell_int(PG_INT2, 1); /* DEFAULT 1 */
        for (int k = 0; k < width; k++)
            cells[columns[k]] = values[k][i];
        const struct row *row = table_insert(table, cells);
        if (table_conflict(table, row) != NULL ||
            (table == &tables[TABLE_TRANSITIONS] && ends_twice(row)))
            code = error_set(query->error, ERR_CONFLICT, "duplicate key value in %s", table->name);
    }
    for (int k = 0; k < width; k++)
        free(values[k]);
    return code;
}

/* The columns between "AS n (" and ")" of the update of workflow_executions, in the order of its arrays. */
static enum error_code update_executions(struct query *query)
{
    static const char *const names[] = {
        "id",         "current_state", "started_at",        "completed_at", "result",
        "error_code", "error_message", "execution_time_ms", "run"};
    const struct table *table = &tables[TABLE_EXECUTIONS];
    struct cell *values[9];
    if (query->count != 9 || strstr(query->sql, "(id, state, started_at, completed_at, result, "
                                                "error, cause, took, run, place)") == NULL) {
        world_fail("the twin of the database does not know: %s", query->sql);
        return ERR_INTERNAL;
    }
    for (int k = 0; k < 9; k++)
        values[k] = statement_elements(&query->values[k]);
    for (int i = 0; i < query->values[0].count; i++)
        for (int r = 0; r < table->count; r++)
            if (cell_equal(table->rows[r]->cells[0], values[0][i]))
                for (int k = 1; k < 9; k++)
                    table_set(table->rows[r], column_of(TABLE_EXECUTIONS, names[k]), values[k][i]);
    for (int k = 0; k < 9; k++)
        free(values[k]);
    return ERR_OK;
}

/* -- reading -- */

enum error_code statement_nothing(struct query *query)
{
    statement_result(query, &(struct column){"nothing", PG_TEXT}, 1);
    return ERR_OK;
}

static enum error_code listen(struct query *query)
{
    query->listen();
    return statement_nothing(query);
}

static enum error_code notify(struct query *query)
{
    query->notify();
    return statement_nothing(query);
}

static enum error_code select_live(struct query *query)
{
    static const struct column columns[] = {{"id", PG_UUID}, {"bytes", PG_INT8}};
    const struct table *table = &tables[TABLE_EXECUTIONS];
    struct cell *cells = statement_elements(&query->values[0]);
    bool live = strncmp(query->sql, "WITH live", 9) == 0;
    struct choice choice = {live ? column_of(TABLE_EXECUTIONS, "shard") : 0, cells,
                            query->values[0].count,
                            live ? column_of(TABLE_EXECUTIONS, "completed_at") : -1};
    int count, input = column_of(TABLE_EXECUTIONS, "input");
    struct statement_row *rows =
        select_rows(query, table, in_choice, &choice, statement_order(0, -1), &count);
    statement_result(query, columns, 2);
    for (int i = 0; i < count; i++) {
        statement_set(query, i, 0, rows[i].row->cells[0]);
        statement_set(query, i, 1, cell_int(PG_INT8, rows[i].row->cells[input].bytes));
    }
    free(rows);
    free(cells);
    return ERR_OK;
}

static enum error_code select_record_sizes(struct query *query)
{
    static const struct column columns[] = {{"workflow_id", PG_UUID}, {"bytes", PG_INT8}};
    const struct table *table = &tables[TABLE_EVENTS];
    struct cell *cells = statement_elements(&query->values[0]);
    struct choice choice = {EVENTS_WORKFLOW, cells, query->values[0].count, -1};
    int count, payload = column_of(TABLE_EVENTS, "payload"), rows_out = 0;
    struct statement_row *rows =
        select_rows(query, table, in_choice, &choice, statement_order(EVENTS_WORKFLOW, -1), &count);
    statement_result(query, columns, 2);
    for (int i = 0; i < count;) {
        int64_t bytes = 0;
        struct cell id = rows[i].row->cells[0];
        for (; i < count && cell_equal(rows[i].row->cells[0], id); i++)
            bytes += rows[i].row->cells[payload].bytes > 0 ? rows[i].row->cells[payload].bytes : 0;
        statement_set(query, rows_out, 0, id);
        statement_set(query, rows_out++, 1, cell_int(PG_INT8, bytes));
    }
    free(rows);
    free(cells);
    return ERR_OK;
}

static int by_end(const void *a, const void *b)
{
    const struct row *x = ((const struct statement_row *)a)->row,
                     *y = ((const struct statement_row *)b)->row;
    int64_t p = cell_number(x->cells[EVENTS_SEQ]) + cell_number(x->cells[EVENTS_COUNT]);
    int64_t q = cell_number(y->cells[EVENTS_SEQ]) + cell_number(y->cells[EVENTS_COUNT]);
    return p < q ? -1 : p > q;
}

static bool on_lane(const struct query *query, const struct row *row, const void *context)
{
    (void)context;
    return cell_equal(row->cells[EVENTS_SHARD], statement_scalar(&query->values[0])) &&
           cell_number(row->cells[EVENTS_COUNT]) > 0;
}

/* Both of store_read_lane and of the publisher's look for the last numbers on each partition. */
static enum error_code select_lane(struct query *query)
{
    static const struct column columns[] = {{"workflow_id", PG_UUID}, {"seq", PG_INT8}};
    bool backwards = strstr(query->sql, "DESC") != NULL;
    int64_t bound = cell_number(statement_scalar(&query->values[1]));
    int64_t limit = cell_number(statement_scalar(&query->values[2]));
    int count, out = 0;
    struct statement_row *rows =
        select_rows(query, &tables[TABLE_EVENTS], on_lane, NULL, statement_order(-1, -1), &count);
    qsort(rows, (size_t)count, sizeof *rows, by_end);
    statement_result(query, columns, 2);
    for (int k = 0; k < count && out < limit; k++) {
        const struct row *row = rows[backwards ? count - 1 - k : k].row;
        int64_t seq = cell_number(row->cells[EVENTS_SEQ]);
        int64_t last = seq + cell_number(row->cells[EVENTS_COUNT]) - 1;
        if (backwards ? seq > bound : last <= bound)
            continue;
        statement_set(query, out, 0, row->cells[EVENTS_WORKFLOW]);
        statement_set(query, out++, 1, cell_int(PG_INT8, backwards && last > bound ? bound : last));
    }
    free(rows);
    return ERR_OK;
}

static enum error_code select_heads(struct query *query)
{
    select_any(query, TABLE_EXECUTIONS, 0, -1);
    return ERR_OK;
}

static enum error_code select_records(struct query *query)
{
    select_any(query, TABLE_EVENTS, EVENTS_WORKFLOW, EVENTS_N);
    return ERR_OK;
}

static enum error_code select_shards(struct query *query)
{
    if (query->values[0].is_array)
        select_any(query, TABLE_SHARDS, SHARDS_SHARD, -1);
    else
        select_one(query, TABLE_SHARDS, SHARDS_SHARD, -1);
    return ERR_OK;
}

static bool has_key(const struct query *query, const struct row *row, const void *context)
{
    (void)context;
    return cell_equal(row->cells[0], statement_scalar(&query->values[0])) &&
           cell_equal(row->cells[1], statement_scalar(&query->values[1])) &&
           cell_equal(row->cells[2], statement_scalar(&query->values[2]));
}

static enum error_code select_key(struct query *query)
{
    select_into(query, TABLE_KEYS, has_key, NULL, statement_order(-1, -1));
    return ERR_OK;
}

static enum error_code select_view(struct query *query)
{
    select_one(query, TABLE_EXECUTIONS, 0, -1);
    return ERR_OK;
}

static enum error_code select_history(struct query *query)
{
    static const struct column columns[] = {
        {"n", PG_INT4},          {"kind", PG_INT2},         {"last_seq", PG_INT8},
        {"attempt", PG_INT2},    {"duration_us", PG_INT8},  {"at", PG_TIMESTAMPTZ},
        {"state_path", PG_TEXT}, {"current_step", PG_TEXT}, {"error", PG_TEXT}};
    struct cell id = statement_scalar(&query->values[0]);
    struct choice choice = {EVENTS_WORKFLOW, &id, 1, -1};
    int count;
    struct statement_row *rows = select_rows(query, &tables[TABLE_EVENTS], in_choice, &choice,
                                             statement_order(EVENTS_N, -1), &count);
    statement_result(query, columns, 9);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < 9; k++)
            statement_set(
                query, i, k,
                k == 2 ? cell_int(PG_INT8, cell_number(rows[i].row->cells[EVENTS_SEQ]) +
                                               cell_number(rows[i].row->cells[EVENTS_COUNT]) - 1)
                       : rows[i].row->cells[column_of(TABLE_EVENTS, columns[k].name)]);
    free(rows);
    return ERR_OK;
}

static bool has_ended(const struct query *query, const struct row *row, const void *context)
{
    return in_choice(query, row, context) &&
           row->cells[column_of(TABLE_EXECUTIONS, "completed_at")].bytes >= 0;
}

static enum error_code select_ended(struct query *query)
{
    struct cell *cells = statement_elements(&query->values[0]);
    struct choice choice = {0, cells, query->values[0].count, -1};
    select_into(query, TABLE_EXECUTIONS, has_ended, &choice, statement_order(0, -1));
    free(cells);
    return ERR_OK;
}

static enum error_code no_contracts(struct query *query)
{
    static const struct column columns[] = {{"name", PG_TEXT},
                                            {"version", PG_TEXT},
                                            {"source", PG_TEXT},
                                            {"created_at", PG_TIMESTAMPTZ},
                                            {"deleted_at", PG_TIMESTAMPTZ}};
    statement_result(query, columns, 5);
    return ERR_OK;
}

static const struct {
    const char *begins;
    const char *holds; /* or NULL */
    enum error_code (*run)(struct query *query);
} statements[] = {
    {"SELECT shard_fence(", NULL, fence},
    {"INSERT INTO held_steps", NULL, hold_steps},
    {"INSERT INTO ", "FROM unnest(", insert},
    {"UPDATE held_steps h SET released_at", NULL, hold_release},
    {"DELETE FROM held_steps WHERE workflow_id", NULL, hold_end},
    {"DELETE FROM held_steps h WHERE shard", NULL, hold_remove},
    {"SELECT workflow_id, wait, held_at", "FROM held_steps", hold_read},
    {"SELECT state_path, service, attempt, held_at", "FROM held_steps", hold_view},
    {"WITH w AS (INSERT INTO service_breakers", NULL, breaker_write},
    {"SELECT service, state, by_hand", "FROM service_breakers", breaker_read},
    {"SELECT count(*) FROM instances", NULL, breaker_count_instances},
    {"UPDATE workflow_executions w SET current_state", NULL, update_executions},
    {"WITH live AS MATERIALIZED", NULL, select_live},
    {"SELECT id, pg_column_size(input)", NULL, select_live},
    {"SELECT workflow_id, coalesce(sum(pg_column_size(payload))", NULL, select_record_sizes},
    {"SELECT id, shard, correlation_id", "FROM workflow_executions WHERE id = ANY", select_heads},
    {"SELECT workflow_id, n, seq, kind", "ORDER BY workflow_id, n", select_records},
    {"SELECT workflow_id, seq + seq_count - 1 FROM", NULL, select_lane},
    {"SELECT workflow_id, least(seq + seq_count - 1, $2)", NULL, select_lane},
    {"SELECT shard, epoch, commits", "FROM shards WHERE shard = ANY", select_shards},
    {"SELECT epoch, commits FROM shards", NULL, select_shards},
    {"SELECT s.shard, s.owner, s.epoch, i.advertised_url", "FROM shards s LEFT JOIN",
     owner_select_owners},
    {"SELECT instance_id, advertised_url, lease_expires_at <", NULL, owner_select_instances},
    {"UPDATE instances SET peer_address", NULL, owner_set_address},
    {"SELECT count(pg_terminate_backend(a.pid))", NULL, owner_end_sessions},
    {"WITH gone AS (DELETE FROM instances i", "UPDATE shards s SET owner", owner_claim},
    {"UPDATE shards s SET owner = NULL, epoch = s.epoch + 1, published_seq", NULL, owner_give},
    {"SELECT pg_try_advisory_lock($1)", NULL, owner_take_lock},
    {"WITH gone AS (DELETE FROM instances WHERE", NULL, owner_renew_lease},
    {"UPDATE shards SET owner = NULL, epoch = epoch + 1", NULL, owner_give_back},
    {"DELETE FROM instances WHERE instance_id", NULL, owner_remove_instance},
    {"SELECT ensure_partitions(", NULL, statement_nothing},
    {"DELETE FROM workflow_keys WHERE ctid", NULL, statement_nothing},
    {"LISTEN ", NULL, listen},
    {"SELECT pg_notify(", NULL, notify},
    {"SELECT 1", NULL, statement_nothing},
    {"SELECT name, version, source", "FROM contracts", no_contracts},
    {"SELECT workflow_id, body_hash FROM workflow_keys", NULL, select_key},
    {"SELECT w.id, ", "WHERE w.id = $1", select_view},
    {"SELECT n, kind, seq + seq_count - 1, attempt", NULL, select_history},
    {"SELECT id, current_state, result", "completed_at IS NOT NULL", select_ended},
};

enum error_code statement_run(struct query *query)
{
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
        if (strncmp(query->sql, statements[i].begins, strlen(statements[i].begins)) == 0 &&
            (statements[i].holds == NULL || strstr(query->sql, statements[i].holds) != NULL))
            return statements[i].run(query);
    world_fail("the twin of the database does not know: %s", query->sql);
    return error_set(query->error, ERR_INTERNAL, "unknown statement");
}
