/* SPDX-License-Identifier: MIT */
/* query.c - one statement for the rows of a page, one for the values behind their distinct counts. */
#include "reducer/query.h"

#include <stdlib.h>
#include <string.h>

#include "core/window.h"
#include "reducer/store.h"

/* Columns of both row queries. */
enum { LOADED, DEFINITION, WINDOW_MS, START, GROUP, REVISION, EVENTS, STATE, FINAL };
#define ROW_COLUMNS                                                                                \
    "l.n, r.definition, r.window_ms, r.window_start, r.group_key, r.revision, r.events, r.state"
/* The definitions asked for, by name and version; n is their place in the arrays, from 1. */
#define LOADED_DEFINITIONS                                                                         \
    "WITH loaded AS MATERIALIZED (SELECT d.id, u.n"                                                \
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (name, version, n)"                 \
    " JOIN aggregation_definitions d USING (name, version))"

static const char sql_windows[] = LOADED_DEFINITIONS
    ", keys AS (SELECT DISTINCT definition, window_ms, window_start, group_key FROM "
    "aggregation_rows"
    " WHERE definition IN (SELECT id FROM loaded) AND window_ms > 0"
    " AND ($3::text IS NULL OR group_key = $3)"
    " AND ($4::timestamptz IS NULL OR window_start >= $4)"
    " AND ($5::timestamptz IS NULL OR window_start < $5)"
    " AND (NOT $6::bool OR is_open)"
    " AND ($7::timestamptz IS NULL OR (window_start, definition, group_key, window_ms) < ($7, "
    "$8::int4, $9::text, $10::int8))"
    " ORDER BY window_start DESC, definition DESC, group_key DESC, window_ms DESC LIMIT $11::int8)"
    " SELECT " ROW_COLUMNS ", f.final_at IS NOT NULL FROM keys JOIN aggregation_rows r"
    " USING (definition, window_ms, window_start, group_key) JOIN loaded l ON l.id = r.definition"
    " LEFT JOIN aggregation_finals f USING (definition, window_ms, window_start, group_key)"
    " ORDER BY r.window_start DESC, r.definition DESC, r.group_key DESC, r.window_ms DESC, "
    "r.partition";
static const char sql_totals[] = LOADED_DEFINITIONS
    ", keys AS (SELECT DISTINCT definition, group_key FROM aggregation_rows"
    " WHERE definition IN (SELECT id FROM loaded) AND window_ms = 0"
    " AND ($3::text IS NULL OR group_key = $3)"
    " AND ($4::text IS NULL OR group_key > $4) ORDER BY group_key LIMIT $5::int8)"
    " SELECT " ROW_COLUMNS ", false FROM keys JOIN aggregation_rows r USING (definition, group_key)"
    " JOIN loaded l ON l.id = r.definition WHERE r.window_ms = 0 ORDER BY r.group_key, r.partition";
static const char sql_values[] =
    "SELECT u.n, v.cell, v.first_value, v.hashes FROM unnest($1::int4[], $2::int4[], "
    "$3::int8[], $4::timestamptz[], $5::text[])"
    " AS u (n, definition, window_ms, window_start, group_key)"
    " JOIN aggregation_values v USING (definition, window_ms, window_start, group_key)"
    " ORDER BY u.n, v.partition, v.cell, v.first_value";

static void release(struct postgres_value *values, int count)
{
    for (int i = 0; i < count; i++)
        postgres_value_fini(&values[i]);
}

static bool read_row(const struct aggregation_set *set, const struct aggregation *only,
                     const struct postgres_rows *rows, int i, struct query_row *row)
{
    size_t bytes, group_bytes;
    const char *group = postgres_rows_text(rows, i, GROUP, &group_bytes);
    const struct aggregation *definition =
        only ? only : set->items[postgres_rows_int(rows, i, LOADED) - 1];
    row->merged = aggregate_new(set, definition, -1, postgres_rows_instant(rows, i, START), group,
                                group_bytes);
    row->definition = (int32_t)postgres_rows_int(rows, i, DEFINITION);
    row->window_ms = postgres_rows_int(rows, i, WINDOW_MS);
    row->merged->revision = (int32_t)postgres_rows_int(rows, i, REVISION);
    row->merged->events = postgres_rows_int(rows, i, EVENTS);
    row->final = postgres_rows_bool(rows, i, FINAL);
    if (row->window_ms > 0) /* as it was counted, which may be another length than now */
        row->merged->end_us = row->merged->start_us + row->window_ms * 1000;
    const char *state = postgres_rows_text(rows, i, STATE, &bytes);
    if (aggregate_decode(row->merged, state, bytes))
        return true;
    aggregate_free(row->merged);
    return false;
}

static bool same_key(const struct query_row *a, const struct query_row *b)
{
    return a->definition == b->definition && a->window_ms == b->window_ms &&
           a->merged->start_us == b->merged->start_us &&
           a->merged->group_bytes == b->merged->group_bytes &&
           memcmp(a->merged->group, b->merged->group, a->merged->group_bytes) == 0;
}

/* Rows of one key follow each other; they become one. Rows that cannot be read are left out. */
static void merge_rows(const struct aggregation_set *set, const struct aggregation *only,
                       const struct postgres_rows *from, struct query_rows *rows)
{
    int count = postgres_rows_count(from);
    rows->items = must_calloc((unsigned long)count + 1, sizeof(*rows->items));
    for (int i = 0; i < count; i++) {
        struct query_row row = {0};
        if (!read_row(set, only, from, i, &row))
            continue;
        struct query_row *last = rows->count > 0 ? &rows->items[rows->count - 1] : NULL;
        if (last && same_key(last, &row)) {
            aggregate_merge(last->merged, row.merged);
            aggregate_free(row.merged);
        } else {
            rows->items[rows->count++] = row;
        }
    }
}

static void cut_to(struct query_rows *rows, int limit)
{
    rows->more = rows->count > limit;
    while (rows->count > limit)
        aggregate_free(rows->items[--rows->count].merged);
}

static void add_piece(struct aggregate *row, int64_t cell, int64_t first, const char *hashes,
                      size_t bytes)
{
    struct aggregate_set *set = aggregate_set_of(row, (int)cell);
    if (!set)
        return;
    if (first == STORE_PIECE_BASE && bytes == DISTINCT_REGISTERS) {
        struct distinct base = {0};
        distinct_load_registers(&base, (const uint8_t *)hashes);
        distinct_merge(&set->values, &base);
        distinct_fini(&base);
        return;
    }
    for (size_t at = 0; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t)) {
        uint64_t hash;
        memcpy(&hash, hashes + at, sizeof(hash));
        distinct_add(&set->values, hash);
    }
}

static enum error_code add_values(struct postgres *postgres, struct query_rows *rows,
                                  struct error *error)
{
    static const enum postgres_type types[] = {PG_INT4, PG_INT4, PG_INT8, PG_TIMESTAMPTZ, PG_TEXT};
    struct postgres_value values[5] = {0};
    struct postgres_rows *pieces = NULL;
    for (int i = 0; i < 5; i++)
        postgres_array_start(&values[i], types[i]);
    for (int i = 0; i < rows->count; i++) {
        const struct query_row *row = &rows->items[i];
        if (row->merged->definition->distincts_count == 0)
            continue;
        postgres_push_int4(&values[0], i);
        postgres_push_int4(&values[1], row->definition);
        postgres_push_int8(&values[2], row->window_ms);
        postgres_push_instant(&values[3], row->merged->start_us);
        postgres_push_text(&values[4], row->merged->group, row->merged->group_bytes);
    }
    enum error_code code = values[0].count > 0
                               ? postgres_query(postgres, sql_values, values, 5, &pieces, error)
                               : ERR_OK;
    release(values, 5);
    for (int i = 0; !code && pieces && i < postgres_rows_count(pieces); i++) {
        size_t bytes;
        const char *hashes = postgres_rows_text(pieces, i, 3, &bytes);
        add_piece(rows->items[postgres_rows_int(pieces, i, 0)].merged,
                  postgres_rows_int(pieces, i, 1), postgres_rows_int(pieces, i, 2), hashes, bytes);
    }
    postgres_rows_free(pieces);
    return code;
}

static enum error_code finish(struct postgres *postgres, const struct aggregation_set *set,
                              const struct aggregation *only, struct postgres_rows *found,
                              int limit, struct query_rows *rows, struct error *error)
{
    merge_rows(set, only, found, rows);
    postgres_rows_free(found);
    cut_to(rows, limit);
    enum error_code code = add_values(postgres, rows, error);
    if (code)
        query_rows_fini(rows);
    return code;
}

static void set_instant(struct postgres_value *value, int64_t instant_us)
{
    if (instant_us == WINDOW_NO_TIME)
        postgres_set_null(value, PG_TIMESTAMPTZ);
    else
        postgres_set_instant(value, instant_us);
}

/* The first two parameters: one definition, or all of the set. */
static void set_definitions(struct postgres_value values[2], const struct aggregation_set *set,
                            const struct aggregation *only)
{
    postgres_array_start(&values[0], PG_TEXT);
    postgres_array_start(&values[1], PG_TEXT);
    for (int i = 0; i < set->count; i++) {
        if (only && set->items[i] != only)
            continue;
        postgres_push_string(&values[0], set->items[i]->name);
        postgres_push_string(&values[1], set->items[i]->version);
    }
}

enum error_code query_windows(struct postgres *postgres, const struct aggregation_set *set,
                              const struct query_filter *filter, struct query_rows *rows,
                              struct error *error)
{
    struct postgres_value values[11] = {0};
    struct postgres_rows *found = NULL;
    *rows = (struct query_rows){0};
    set_definitions(values, set, filter->type);
    postgres_set_string(&values[2], filter->group);
    set_instant(&values[3], filter->from_us);
    set_instant(&values[4], filter->to_us);
    postgres_set_bool(&values[5], filter->open_only);
    set_instant(&values[6], filter->has_cursor ? filter->after_start_us : WINDOW_NO_TIME);
    postgres_set_int4(&values[7], filter->after_definition);
    postgres_set_string(&values[8], filter->after_group);
    postgres_set_int8(&values[9], filter->after_window_ms);
    postgres_set_int8(&values[10], filter->limit + 1);
    enum error_code code = postgres_query(postgres, sql_windows, values, 11, &found, error);
    release(values, 11);
    return code ? code : finish(postgres, set, filter->type, found, filter->limit, rows, error);
}

enum error_code query_totals(struct postgres *postgres, const struct aggregation_set *set,
                             const struct aggregation *definition, const char *group,
                             const char *after, int limit, struct query_rows *rows,
                             struct error *error)
{
    struct postgres_value values[5] = {0};
    struct postgres_rows *found = NULL;
    *rows = (struct query_rows){0};
    set_definitions(values, set, definition);
    postgres_set_string(&values[2], group);
    postgres_set_string(&values[3], after);
    postgres_set_int8(&values[4], limit + 1);
    enum error_code code = postgres_query(postgres, sql_totals, values, 5, &found, error);
    release(values, 5);
    return code ? code : finish(postgres, set, definition, found, limit, rows, error);
}

void query_rows_fini(struct query_rows *rows)
{
    for (int i = 0; i < rows->count; i++)
        aggregate_free(rows->items[i].merged);
    free(rows->items);
    *rows = (struct query_rows){0};
}
