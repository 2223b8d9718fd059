/* SPDX-License-Identifier: MIT */
/* store_rows.c - the states of rows by their keys, and the pieces of their sets. */
#include <stdlib.h>
#include <string.h>

#include "reducer/store_internal.h"

#define KEYS                                                                                       \
    " FROM unnest($1::int4[], $2::int8[], $3::timestamptz[], $4::text[], $5::int4[])"              \
    " WITH ORDINALITY AS u (definition, window_ms, window_start, group_key, partition, n)"
#define OF_KEY                                                                                     \
    " WHERE a.definition = u.definition AND a.window_ms = u.window_ms"                             \
    " AND a.window_start = u.window_start AND a.group_key = u.group_key"                           \
    " AND a.partition = u.partition"

enum error_code store_bad_row(struct error *error, const char *table)
{
    return error_set(error, ERR_INTERNAL, "%s holds a row that this program cannot read", table);
}

/* Whether a set of the row has values, and they are not in its state: they are stored in pieces then. */
static bool has_pieces(const struct aggregate *row, const char *state)
{
    static const char none[sizeof(int64_t)] = {0};
    for (int i = 0; row->definition->distincts_count > 0 && i < row->definition->cells_count; i++) {
        const char *count = state + ROW_HEAD_BYTES + (size_t)i * ROW_CELL_BYTES;
        if (row->definition->cells[i].kind == CELL_DISTINCT && !row->cells[i].set &&
            memcmp(count, none, sizeof(none)) != 0)
            return true;
    }
    return false;
}

bool store_fill_row(struct aggregate *row, const struct postgres_rows *rows, int number, int column,
                    struct reducer_wanted *split)
{
    size_t bytes;
    const char *state = postgres_rows_text(rows, number, column + 2, &bytes);
    aggregate_clear(row);
    row->stored = true;
    row->revision = (int32_t)postgres_rows_int(rows, number, column);
    row->events = postgres_rows_int(rows, number, column + 1);
    if (!aggregate_decode(row, state, bytes))
        return false;
    if (has_pieces(row, state))
        reducer_wanted_add(split, row);
    return true;
}

static bool fill_set(struct distinct *set, int64_t first, const char *octets, size_t bytes)
{
    if (first == STORE_PIECE_BASE) {
        if (bytes == DISTINCT_REGISTERS)
            distinct_load_registers(set, (const uint8_t *)octets);
        return bytes == DISTINCT_REGISTERS;
    }
    for (size_t at = 0; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t)) {
        uint64_t hash;
        memcpy(&hash, octets + at, sizeof(hash));
        distinct_add(set, hash);
    }
    distinct_mark_stored(set);
    return bytes % sizeof(uint64_t) == 0;
}

static enum error_code query_keys(struct store *store, const char *sql,
                                  const struct reducer_wanted *wanted, struct postgres_rows **rows,
                                  struct error *error)
{
    static const enum postgres_type types[KEY_COLUMNS] = {PG_INT4, PG_INT8, PG_TIMESTAMPTZ, PG_TEXT,
                                                          PG_INT4};
    struct postgres_value values[KEY_COLUMNS] = {0};
    for (int i = 0; i < KEY_COLUMNS; i++)
        postgres_array_start(&values[i], types[i]);
    for (size_t i = 0; i < wanted->count; i++)
        store_push_key(store, values, wanted->rows[i]);
    enum error_code code = postgres_query(store->load, sql, values, KEY_COLUMNS, rows, error);
    for (int i = 0; i < KEY_COLUMNS; i++)
        postgres_value_fini(&values[i]);
    return code;
}

enum error_code store_fill_pieces(struct store *store, struct reducer *reducer,
                                  const struct reducer_wanted *split, struct error *error)
{
    static const char sql[] =
        "SELECT u.n, v.cell, v.first_value, v.hashes" KEYS
        " CROSS JOIN LATERAL (SELECT * FROM aggregation_values a" OF_KEY " OFFSET 0) AS v"
        " ORDER BY u.n, v.cell, v.first_value";
    struct postgres_rows *rows = NULL;
    if (split->count == 0)
        return ERR_OK;
    enum error_code code = query_keys(store, sql, split, &rows, error);
    for (int i = 0; !code && i < postgres_rows_count(rows); i++) {
        struct aggregate *row = split->rows[postgres_rows_int(rows, i, 0) - 1];
        struct aggregate_set *set = aggregate_set_of(row, (int)postgres_rows_int(rows, i, 1));
        size_t bytes;
        const char *octets = postgres_rows_text(rows, i, 3, &bytes);
        if (!set || !fill_set(&set->values, postgres_rows_int(rows, i, 2), octets, bytes))
            code = store_bad_row(error, "aggregation_values");
        else
            set->pieces++;
    }
    postgres_rows_free(rows);
    for (size_t i = 0; !code && i < split->count; i++)
        reducer_row_filled(reducer, split->rows[i]);
    return code;
}

enum error_code store_load_wanted(struct store *store, struct reducer *reducer,
                                  struct reducer_wanted *wanted, struct error *error)
{
    static const char sql[] =
        "SELECT u.n, r.revision, r.events, r.state" KEYS
        " CROSS JOIN LATERAL (SELECT * FROM aggregation_rows a" OF_KEY " LIMIT 1) AS r";
    struct postgres_rows *rows = NULL;
    struct reducer_wanted split = {0};
    if (wanted->count == 0)
        return ERR_OK;
    enum error_code code = query_keys(store, sql, wanted, &rows, error);
    for (int i = 0; !code && i < postgres_rows_count(rows); i++) {
        struct aggregate *row = wanted->rows[postgres_rows_int(rows, i, 0) - 1];
        if (!store_fill_row(row, rows, i, 1, &split))
            code = store_bad_row(error, "aggregation_rows");
    }
    if (!code)
        code = store_fill_pieces(store, reducer, &split, error);
    for (int i = 0; !code && i < postgres_rows_count(rows); i++)
        reducer_row_back(reducer, wanted->rows[postgres_rows_int(rows, i, 0) - 1]);
    postgres_rows_free(rows);
    free(split.rows);
    if (!code)
        wanted->count = 0;
    return code;
}
