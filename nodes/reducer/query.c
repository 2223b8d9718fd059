/* SPDX-License-Identifier: MIT */
/* query.c - one statement for the rows of a page, one for the values behind their distinct counts. */
#include "reducer/query.h"

#include <stdlib.h>
#include <string.h>

#include "core/window.h"
#include "reducer/store.h"

/* Columns of both row queries. */
enum {
    AGGREGATION,
    WINDOW_MS,
    START,
    GROUP,
    END,
    REVISION,
    STAMPS,
    SIZE,
    LATENCIES,
    LATENCY,
    FIRST,
    LAST,
    SKETCH,
    FINAL
};
#define ROW_COLUMNS                                                                                \
    "r.aggregation, r.window_ms, r.window_start, r.group_key, r.window_end, r.revision, "          \
    "r.stamps, r.size_bytes,"                                                                      \
    " r.latency_count, r.latency_sum_ms, r.first_at, r.last_at, r.sketch"

static const char sql_windows[] =
    "WITH keys AS (SELECT DISTINCT aggregation, window_ms, window_start, group_key FROM "
    "aggregation_rows"
    " WHERE window_ms > 0 AND ($1::text IS NULL OR aggregation = $1) AND ($2::text IS NULL OR "
    "group_key = $2)"
    " AND ($3::timestamptz IS NULL OR window_start >= $3) AND ($4::timestamptz IS NULL OR "
    "window_start < $4)"
    " AND (NOT $5::bool OR is_open)"
    " AND ($6::timestamptz IS NULL OR (window_start, aggregation, group_key, window_ms) < ($6, "
    "$7::text, $8::text, $9::int8))"
    " ORDER BY window_start DESC, aggregation DESC, group_key DESC, window_ms DESC LIMIT $10::int8)"
    " SELECT " ROW_COLUMNS ", f.final_at IS NOT NULL FROM keys JOIN aggregation_rows r"
    " USING (aggregation, window_ms, window_start, group_key)"
    " LEFT JOIN aggregation_finals f USING (aggregation, window_ms, window_start, group_key)"
    " ORDER BY window_start DESC, aggregation DESC, group_key DESC, window_ms DESC, r.partition";
static const char sql_totals[] =
    "WITH keys AS (SELECT DISTINCT group_key FROM aggregation_rows"
    " WHERE aggregation = 'namespace_total' AND window_ms = 0 AND ($1::text IS NULL OR group_key = "
    "$1)"
    " AND ($2::text IS NULL OR group_key > $2) ORDER BY group_key LIMIT $3::int8)"
    " SELECT " ROW_COLUMNS ", false FROM keys JOIN aggregation_rows r USING (group_key)"
    " WHERE r.aggregation = 'namespace_total' AND r.window_ms = 0 ORDER BY r.group_key, "
    "r.partition";
static const char sql_values[] =
    "SELECT u.n, v.value_set, v.first_value, v.hashes FROM unnest($1::int4[], $2::text[], "
    "$3::int8[], $4::timestamptz[], $5::text[])"
    " AS u (n, aggregation, window_ms, window_start, group_key)"
    " JOIN aggregation_values v USING (aggregation, window_ms, window_start, group_key)"
    " ORDER BY u.n, v.partition, v.value_set, v.first_value";

static void release(struct postgres_value *values, int count)
{
    for (int i = 0; i < count; i++)
        postgres_value_fini(&values[i]);
}

static bool read_row(const struct postgres_rows *rows, int i, struct query_row *row)
{
    size_t bytes, group_bytes;
    const char *name = postgres_rows_text(rows, i, AGGREGATION, &bytes);
    enum aggregation_type type = aggregation_by_name(name, bytes);
    if (type == AGGREGATION_TYPES)
        return false;
    const char *group = postgres_rows_text(rows, i, GROUP, &group_bytes);
    int64_t end_us =
        postgres_rows_null(rows, i, END) ? INT64_MAX : postgres_rows_instant(rows, i, END);
    aggregate_init(&row->merged, type, -1, postgres_rows_instant(rows, i, START), end_us, group,
                   group_bytes);
    row->window_ms = postgres_rows_int(rows, i, WINDOW_MS);
    row->merged.revision = (int32_t)postgres_rows_int(rows, i, REVISION);
    row->merged.stamps = postgres_rows_int(rows, i, STAMPS);
    row->merged.size_bytes = postgres_rows_int(rows, i, SIZE);
    row->merged.latency_count = postgres_rows_int(rows, i, LATENCIES);
    row->merged.latency_sum_ms = postgres_rows_double(rows, i, LATENCY);
    row->merged.first_us = postgres_rows_instant(rows, i, FIRST);
    row->merged.last_us = postgres_rows_instant(rows, i, LAST);
    row->final = postgres_rows_bool(rows, i, FINAL);
    const char *sketch = postgres_rows_text(rows, i, SKETCH, &bytes);
    if (aggregate_decode(&row->merged, sketch, bytes))
        return true;
    aggregate_fini(&row->merged);
    return false;
}

static bool same_key(const struct query_row *a, const struct query_row *b)
{
    return a->merged.type == b->merged.type && a->window_ms == b->window_ms &&
           a->merged.start_us == b->merged.start_us &&
           a->merged.group_bytes == b->merged.group_bytes &&
           memcmp(a->merged.group, b->merged.group, a->merged.group_bytes) == 0;
}

/* Rows of one key follow each other; they become one. Aggregations of another version are left out. */
static void merge_rows(const struct postgres_rows *from, struct query_rows *rows)
{
    int count = postgres_rows_count(from);
    rows->items = must_calloc((unsigned long)count + 1, sizeof(*rows->items));
    for (int i = 0; i < count; i++) {
        struct query_row row = {0};
        if (!read_row(from, i, &row))
            continue;
        struct query_row *last = rows->count > 0 ? &rows->items[rows->count - 1] : NULL;
        if (last && same_key(last, &row)) {
            aggregate_merge(&last->merged, &row.merged);
            aggregate_fini(&row.merged);
        } else {
            rows->items[rows->count++] = row;
        }
    }
}

static void cut_to(struct query_rows *rows, int limit)
{
    rows->more = rows->count > limit;
    while (rows->count > limit)
        aggregate_fini(&rows->items[--rows->count].merged);
}

static void add_piece(struct aggregate *row, int64_t set, int64_t first, const char *hashes,
                      size_t bytes)
{
    if (set < 0 || set >= AGGREGATE_SETS)
        return;
    if (first == STORE_PIECE_BASE && bytes == DISTINCT_REGISTERS) {
        struct distinct base = {0};
        distinct_load_registers(&base, (const uint8_t *)hashes);
        distinct_merge(&row->sets[set], &base);
        distinct_fini(&base);
        return;
    }
    for (size_t at = 0; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t)) {
        uint64_t hash;
        memcpy(&hash, hashes + at, sizeof(hash));
        distinct_add(&row->sets[set], hash);
    }
}

static enum error_code add_values(struct postgres *postgres, struct query_rows *rows,
                                  struct error *error)
{
    static const enum postgres_type types[] = {PG_INT4, PG_TEXT, PG_INT8, PG_TIMESTAMPTZ, PG_TEXT};
    struct postgres_value values[5] = {0};
    struct postgres_rows *pieces = NULL;
    for (int i = 0; i < 5; i++)
        postgres_array_start(&values[i], types[i]);
    for (int i = 0; i < rows->count; i++) {
        const struct query_row *row = &rows->items[i];
        if (!aggregations[row->merged.type].sets)
            continue;
        postgres_push_int4(&values[0], i);
        postgres_push_string(&values[1], aggregations[row->merged.type].name);
        postgres_push_int8(&values[2], row->window_ms);
        postgres_push_instant(&values[3], row->merged.start_us);
        postgres_push_text(&values[4], row->merged.group, row->merged.group_bytes);
    }
    enum error_code code = values[0].count > 0
                               ? postgres_query(postgres, sql_values, values, 5, &pieces, error)
                               : ERR_OK;
    release(values, 5);
    for (int i = 0; !code && pieces && i < postgres_rows_count(pieces); i++) {
        size_t bytes;
        const char *hashes = postgres_rows_text(pieces, i, 3, &bytes);
        add_piece(&rows->items[postgres_rows_int(pieces, i, 0)].merged,
                  postgres_rows_int(pieces, i, 1), postgres_rows_int(pieces, i, 2), hashes, bytes);
    }
    postgres_rows_free(pieces);
    return code;
}

static enum error_code finish(struct postgres *postgres, struct postgres_rows *found, int limit,
                              struct query_rows *rows, struct error *error)
{
    merge_rows(found, rows);
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

enum error_code query_windows(struct postgres *postgres, const struct query_filter *filter,
                              struct query_rows *rows, struct error *error)
{
    struct postgres_value values[10] = {0};
    struct postgres_rows *found = NULL;
    *rows = (struct query_rows){0};
    postgres_set_string(&values[0], filter->type);
    postgres_set_string(&values[1], filter->group);
    set_instant(&values[2], filter->from_us);
    set_instant(&values[3], filter->to_us);
    postgres_set_bool(&values[4], filter->open_only);
    set_instant(&values[5], filter->has_cursor ? filter->after_start_us : WINDOW_NO_TIME);
    postgres_set_string(&values[6], filter->after_type);
    postgres_set_string(&values[7], filter->after_group);
    postgres_set_int8(&values[8], filter->after_window_ms);
    postgres_set_int8(&values[9], filter->limit + 1);
    enum error_code code = postgres_query(postgres, sql_windows, values, 10, &found, error);
    release(values, 10);
    return code ? code : finish(postgres, found, filter->limit, rows, error);
}

enum error_code query_totals(struct postgres *postgres, const char *namespace, const char *after,
                             int limit, struct query_rows *rows, struct error *error)
{
    struct postgres_value values[3] = {0};
    struct postgres_rows *found = NULL;
    *rows = (struct query_rows){0};
    postgres_set_string(&values[0], namespace);
    postgres_set_string(&values[1], after);
    postgres_set_int8(&values[2], limit + 1);
    enum error_code code = postgres_query(postgres, sql_totals, values, 3, &found, error);
    release(values, 3);
    return code ? code : finish(postgres, found, limit, rows, error);
}

void query_rows_fini(struct query_rows *rows)
{
    for (int i = 0; i < rows->count; i++)
        aggregate_fini(&rows->items[i].merged);
    free(rows->items);
    *rows = (struct query_rows){0};
}
