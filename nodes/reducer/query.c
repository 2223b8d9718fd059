/* SPDX-License-Identifier: MIT */
/* query.c - one statement for the rows of a page, one for the values behind their distinct counts. Which of the
 * statements depends on the order and on the filter that an index answers. */
#include "reducer/query.h"

#include <stdlib.h>
#include <string.h>

#include "core/window.h"
#include "reducer/store.h"

/* The definitions asked for, by name and version; n is their place in the arrays, from 1. */
#define LOADED                                                                                     \
    "WITH loaded AS MATERIALIZED (SELECT d.id, u.n"                                                \
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (name, version, n)"                 \
    " JOIN aggregation_definitions d USING (name, version))"

/* Where a definition's rows begin: behind the cursor ($3 to $6), or at the end of the time asked for ($3 with
 * $4 = -1). Of definitions that come before the cursor's in this direction the rows of its own start are
 * over, of those behind it they are all still to come. */
#define BOUND_START "(CASE WHEN l.id < $4::int4 THEN $3::timestamptz + interval '1 us' ELSE $3 END)"
#define BEFORE_BOUND                                                                               \
    " AND (r.window_start, r.group_key, r.window_ms) < (coalesce(" BOUND_START ", 'infinity'),"    \
    " CASE WHEN l.id = $4 THEN $5::text ELSE '' END, CASE WHEN l.id = $4 THEN $6::int8 ELSE 0 "    \
    "END)"                                                                                         \
    " AND r.window_start >= coalesce($7::timestamptz, '-infinity')"
#define BEHIND_BOUND                                                                               \
    " AND (r.window_start, r.group_key, r.window_ms) > (coalesce(" BOUND_START ", '-infinity'),"   \
    " CASE WHEN l.id = $4 THEN $5::text ELSE '' END, CASE WHEN l.id = $4 THEN $6::int8 ELSE -1 "   \
    "END)"                                                                                         \
    " AND r.window_start < coalesce($7::timestamptz, 'infinity')"

#define FINAL_OF(row)                                                                              \
    "((SELECT true FROM aggregation_finals f WHERE f.definition = " row ".definition"              \
    " AND f.window_ms = " row ".window_ms AND f.window_start = " row ".window_start"               \
    " AND f.group_key = " row ".group_key) IS NOT NULL)"

/* Length, state, and keys of a group of several: then the group is a JSON array. */
#define FILTERED                                                                                   \
    " AND ($8::int8 IS NULL OR r.window_ms = $8)"                                                  \
    " AND ($9::bool IS NULL OR $9 = " FINAL_OF(                                                    \
        "r") ")"                                                                                   \
             " AND ($10::int4[] IS NULL OR CASE WHEN left(r.group_key, 1) = '[' THEN NOT EXISTS (" \
             "SELECT FROM unnest($10, $11::text[]) AS k (place, value)"                            \
             " WHERE r.group_key::json ->> k.place IS DISTINCT FROM k.value) END)"

/* The keys of a page: so many of each definition, walking through the index by start, then so many of all. */
#define KEYS_OF_EACH(bound, order, more)                                                           \
    ", keys AS (SELECT e.* FROM loaded l CROSS JOIN LATERAL ("                                     \
    "SELECT DISTINCT r.definition, r.window_start, r.group_key, r.window_ms"                       \
    " FROM aggregation_rows r WHERE r.definition = l.id" bound FILTERED more                       \
    " ORDER BY r.window_start" order ", r.group_key" order ", r.window_ms" order                   \
    " LIMIT $12::int8)"                                                                            \
    " AS e ORDER BY e.window_start" order ", e.definition" order ", e.group_key" order             \
    ", e.window_ms" order " LIMIT $12)"
/* The same from the windows that are open, which are few beside all others; OFFSET 0 keeps it from walking
 * through those as well when there are fewer than a page. */
#define KEYS_OF_OPEN(bound, order)                                                                 \
    ", keys AS (SELECT DISTINCT r.* FROM loaded l CROSS JOIN LATERAL ("                            \
    "SELECT a.definition, a.window_start, a.group_key, a.window_ms FROM aggregation_rows a"        \
    " WHERE a.definition = l.id AND a.is_open AND a.window_end IS NOT NULL OFFSET 0) AS r"         \
    " WHERE true" bound FILTERED " ORDER BY r.window_start" order ", r.definition" order           \
    ", r.group_key" order ", r.window_ms" order " LIMIT $12::int8)"

enum { LOADED_N, DEFINITION, WINDOW_MS, START, GROUP, REVISION, EVENTS, STATE, FINAL };
/* OFFSET 0 keeps the rows of each key a look into the primary key. */
#define ROWS_OF_KEYS(order)                                                                        \
    " SELECT l.n, k.definition, k.window_ms, k.window_start, k.group_key, r.revision, r.events,"   \
    " r.state, " FINAL_OF(                                                                         \
        "k") " FROM keys k JOIN loaded l ON l.id = k.definition"                                   \
             " CROSS JOIN LATERAL (SELECT a.partition, a.revision, a.events, a.state"              \
             " FROM aggregation_rows a WHERE a.definition = k.definition AND a.window_ms = "       \
             "k.window_ms"                                                                         \
             " AND a.window_start = k.window_start AND a.group_key = k.group_key OFFSET 0) AS r"   \
             " ORDER BY k.window_start" order ", k.definition" order ", k.group_key" order         \
             ", k.window_ms" order ", r.partition"
#define DOWN " DESC"
#define UP ""
#define OF_GROUP " AND r.group_key = $13::text"

static const char sql_rows_newest_first[] =
    LOADED KEYS_OF_EACH(BEFORE_BOUND, DOWN, "") ROWS_OF_KEYS(DOWN);
static const char sql_rows_oldest_first[] =
    LOADED KEYS_OF_EACH(BEHIND_BOUND, UP, "") ROWS_OF_KEYS(UP);
static const char sql_rows_of_group_newest_first[] =
    LOADED KEYS_OF_EACH(BEFORE_BOUND, DOWN, OF_GROUP) ROWS_OF_KEYS(DOWN);
static const char sql_rows_of_group_oldest_first[] =
    LOADED KEYS_OF_EACH(BEHIND_BOUND, UP, OF_GROUP) ROWS_OF_KEYS(UP);
static const char sql_rows_open_newest_first[] =
    LOADED KEYS_OF_OPEN(BEFORE_BOUND, DOWN) ROWS_OF_KEYS(DOWN);
static const char sql_rows_open_oldest_first[] =
    LOADED KEYS_OF_OPEN(BEHIND_BOUND, UP) ROWS_OF_KEYS(UP);
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

static void read_row(const struct aggregation_set *set, const struct aggregation *definition,
                     const struct postgres_rows *rows, int i, struct query_row *row)
{
    size_t bytes, group_bytes;
    const char *group = postgres_rows_text(rows, i, GROUP, &group_bytes);
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
    row->unreadable = !aggregate_decode(row->merged, state, bytes);
}

static bool same_key(const struct query_row *a, const struct query_row *b)
{
    return a->definition == b->definition && a->window_ms == b->window_ms &&
           a->merged->start_us == b->merged->start_us &&
           a->merged->group_bytes == b->merged->group_bytes &&
           memcmp(a->merged->group, b->merged->group, a->merged->group_bytes) == 0;
}

/* What can be read of a key; when nothing can, the key stays, because pages are counted in keys. */
static void merge_row(const struct query_row *row, struct query_row *into)
{
    if (row->unreadable) {
        aggregate_free(row->merged);
    } else if (into->unreadable) {
        aggregate_free(into->merged);
        *into = *row;
    } else {
        aggregate_merge(into->merged, row->merged);
        aggregate_free(row->merged);
    }
}

/* Rows of one key follow each other; they become one. */
static void merge_rows(const struct aggregation_set *set, const struct aggregation *const *asked,
                       const struct postgres_rows *from, struct query_rows *rows)
{
    int count = postgres_rows_count(from);
    rows->items = must_calloc((unsigned long)count + 1, sizeof(*rows->items));
    for (int i = 0; i < count; i++) {
        struct query_row row = {0};
        read_row(set, asked[postgres_rows_int(from, i, LOADED_N) - 1], from, i, &row);
        struct query_row *last = rows->count > 0 ? &rows->items[rows->count - 1] : NULL;
        if (last && same_key(last, &row))
            merge_row(&row, last);
        else
            rows->items[rows->count++] = row;
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

static void set_instant(struct postgres_value *value, int64_t instant_us)
{
    if (instant_us == WINDOW_NO_TIME)
        postgres_set_null(value, PG_TIMESTAMPTZ);
    else
        postgres_set_instant(value, instant_us);
}

/* The definitions asked for, as parameters and in their order: one, or all that have windows. */
static void set_definitions(struct postgres_value values[2], const struct aggregation_set *set,
                            const struct aggregation *only,
                            const struct aggregation *asked[AGGREGATIONS_MAX])
{
    int count = 0;
    postgres_array_start(&values[0], PG_TEXT);
    postgres_array_start(&values[1], PG_TEXT);
    for (int i = 0; i < set->count; i++) {
        const struct aggregation *definition = set->items[i];
        if (only ? definition != only : !set->windows[definition->window].windowed)
            continue;
        postgres_push_string(&values[0], definition->name);
        postgres_push_string(&values[1], definition->version);
        asked[count++] = definition;
    }
}

static void set_bounds(struct postgres_value values[5], const struct query_filter *filter)
{
    int64_t near_us = filter->oldest_first ? filter->from_us : filter->to_us;
    int64_t far_us = filter->oldest_first ? filter->to_us : filter->from_us;
    set_instant(&values[0], filter->has_cursor ? filter->after_start_us : near_us);
    postgres_set_int4(&values[1], filter->has_cursor ? filter->after_definition : -1);
    postgres_set_string(&values[2], filter->after_group);
    postgres_set_int8(&values[3], filter->after_window_ms);
    set_instant(&values[4], far_us);
}

static void set_filters(struct postgres_value values[4], const struct query_filter *filter)
{
    if (filter->window_ms > 0)
        postgres_set_int8(&values[0], filter->window_ms);
    else
        postgres_set_null(&values[0], PG_INT8);
    if (filter->state == QUERY_ANY)
        postgres_set_null(&values[1], PG_BOOL);
    else
        postgres_set_bool(&values[1], filter->state == QUERY_FINAL);
    if (filter->keys_count == 0)
        return; /* unset is null */
    postgres_array_start(&values[2], PG_INT4);
    postgres_array_start(&values[3], PG_TEXT);
    for (int i = 0; i < filter->keys_count; i++) {
        postgres_push_int4(&values[2], filter->keys[i].place);
        postgres_push_string(&values[3], filter->keys[i].value);
    }
}

static const char *statement(const struct query_filter *filter)
{
    if (filter->group)
        return filter->oldest_first ? sql_rows_of_group_oldest_first
                                    : sql_rows_of_group_newest_first;
    if (filter->state == QUERY_OPEN)
        return filter->oldest_first ? sql_rows_open_oldest_first : sql_rows_open_newest_first;
    return filter->oldest_first ? sql_rows_oldest_first : sql_rows_newest_first;
}

enum error_code query_rows(struct postgres *postgres, const struct aggregation_set *set,
                           const struct query_filter *filter, struct query_rows *rows,
                           struct error *error)
{
    const struct aggregation *asked[AGGREGATIONS_MAX];
    struct postgres_value values[13] = {0};
    struct postgres_rows *found = NULL;
    *rows = (struct query_rows){0};
    set_definitions(values, set, filter->type, asked);
    set_bounds(&values[2], filter);
    set_filters(&values[7], filter);
    postgres_set_int8(&values[11], filter->limit + 1);
    postgres_set_string(&values[12], filter->group);
    enum error_code code =
        postgres_query(postgres, statement(filter), values, filter->group ? 13 : 12, &found, error);
    release(values, 13);
    if (code)
        return code;
    merge_rows(set, asked, found, rows);
    postgres_rows_free(found);
    cut_to(rows, filter->limit);
    code = add_values(postgres, rows, error);
    if (code)
        query_rows_fini(rows);
    return code;
}

void query_rows_fini(struct query_rows *rows)
{
    for (int i = 0; i < rows->count; i++)
        aggregate_free(rows->items[i].merged);
    free(rows->items);
    *rows = (struct query_rows){0};
}
