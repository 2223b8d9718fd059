/* SPDX-License-Identifier: MIT */
/* store_load.c - a partition's lanes, totals and windows back into the core. */
#include <string.h>

#include "reducer/store_internal.h"

/* Rows of a partition, for definitions with the length of their windows and a time each: definition by
 * definition through the primary key, whatever the planner thinks of the number of rows. */
#define KEYS 4
#define EACH_KEY(columns, table, times)                                                            \
    "SELECT r.* FROM unnest($2::int4[], $3::int8[], $4::timestamptz[]) AS u (definition,"          \
    " window_ms, at) CROSS JOIN LATERAL (SELECT " columns " FROM " table " r"                      \
    " WHERE r.definition = u.definition AND r.window_ms = u.window_ms AND " times                  \
    " AND r.partition = $1 OFFSET 0) AS r"
#define ROWS_AT(times)                                                                             \
    EACH_KEY("r.definition, r.window_start, r.group_key, r.revision, r.events, r.state",           \
             "aggregation_rows", times)
#define VALUES_AT(times)                                                                           \
    EACH_KEY("r.definition, r.window_start, r.group_key, r.cell, r.first_value, r.hashes",         \
             "aggregation_values", times)                                                          \
    " ORDER BY r.definition, r.window_start, r.group_key, r.cell, r.first_value"
#define AFTER "r.window_start > coalesce(u.at, '-infinity')"
#define AT "r.window_start = u.at"

static enum error_code bad_row(struct error *error, const char *what)
{
    return error_set(error, ERR_INTERNAL, "%s holds a row that this program cannot read", what);
}

/* Rows of a definition that is not loaded stay as they are. */
static struct aggregate *row_at(struct store *store, struct reducer *reducer,
                                struct reducer_partition *partition,
                                const struct postgres_rows *rows, int row)
{
    size_t group_bytes;
    int64_t id = postgres_rows_int(rows, row, 0);
    const char *group = postgres_rows_text(rows, row, 2, &group_bytes);
    for (int i = 0; i < store->set->count; i++) {
        if (store->ids[i] == id)
            return reducer_row(reducer, partition, i, postgres_rows_instant(rows, row, 1), group,
                               group_bytes);
    }
    return NULL;
}

static enum error_code fill_rows(struct store *store, struct reducer *reducer,
                                 struct reducer_partition *partition,
                                 const struct postgres_rows *rows, struct error *error)
{
    for (int i = 0; i < postgres_rows_count(rows); i++) {
        struct aggregate *row = row_at(store, reducer, partition, rows, i);
        if (!row)
            continue;
        row->revision = (int32_t)postgres_rows_int(rows, i, 3);
        row->events = postgres_rows_int(rows, i, 4);
        size_t bytes;
        const char *state = postgres_rows_text(rows, i, 5, &bytes);
        if (!aggregate_decode(row, state, bytes))
            return bad_row(error, "aggregation_rows");
    }
    return ERR_OK;
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

static enum error_code fill_values(struct store *store, struct reducer *reducer,
                                   struct reducer_partition *partition,
                                   const struct postgres_rows *rows, struct error *error)
{
    for (int i = 0; i < postgres_rows_count(rows); i++) {
        struct aggregate *row = row_at(store, reducer, partition, rows, i);
        size_t bytes;
        const char *octets = postgres_rows_text(rows, i, 5, &bytes);
        if (!row)
            continue;
        struct aggregate_set *set = aggregate_set_of(row, (int)postgres_rows_int(rows, i, 3));
        if (!set || !fill_set(&set->values, postgres_rows_int(rows, i, 4), octets, bytes))
            return bad_row(error, "aggregation_values");
        set->pieces++;
    }
    return ERR_OK;
}

static enum error_code load_rows(struct store *store, struct reducer *reducer,
                                 struct reducer_partition *partition, const char *rows_sql,
                                 const char *values_sql, const struct postgres_value *values,
                                 struct error *error)
{
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_query(store->load, rows_sql, values, KEYS, &rows, error);
    if (!code)
        code = fill_rows(store, reducer, partition, rows, error);
    postgres_rows_free(rows);
    rows = NULL;
    if (!code)
        code = postgres_query(store->load, values_sql, values, KEYS, &rows, error);
    if (!code)
        code = fill_values(store, reducer, partition, rows, error);
    postgres_rows_free(rows);
    return code;
}

enum error_code store_load_lanes(struct store *store, struct reducer_partition *partition,
                                 struct error *error)
{
    static const char sql[] =
        "SELECT lane, last_seq FROM reducer_lanes WHERE topic = $1 AND partition = $2";
    struct postgres_value values[2] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], store->topic);
    postgres_set_int4(&values[1], partition->number);
    enum error_code code = postgres_query(store->load, sql, values, 2, &rows, error);
    for (int i = 0; !code && i < postgres_rows_count(rows); i++) {
        size_t bytes;
        const char *lane = postgres_rows_text(rows, i, 0, &bytes);
        if (bytes == 0 || bytes > LANE_BYTES_MAX)
            code = bad_row(error, "reducer_lanes");
        else
            reducer_load_lane(partition, lane, bytes, postgres_rows_int(rows, i, 1));
    }
    postgres_rows_free(rows);
    postgres_value_fini(&values[0]);
    postgres_value_fini(&values[1]);
    return code;
}

/* Without an event on this cluster, windows that the partition had open before are the likely ones. */
static enum error_code newest_before(struct store *store, int32_t partition, int64_t *newest_us,
                                     struct error *error)
{
    static const char sql[] =
        "SELECT max(newest_event_at) FROM reducer_partitions WHERE partition = $1";
    struct postgres_value value = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_int4(&value, partition);
    enum error_code code = postgres_query(store->load, sql, &value, 1, &rows, error);
    postgres_value_fini(&value);
    if (!code && !postgres_rows_null(rows, 0, 0))
        *newest_us = postgres_rows_instant(rows, 0, 0);
    postgres_rows_free(rows);
    return code;
}

static void start_keys(struct postgres_value values[KEYS], int32_t partition)
{
    postgres_set_int4(&values[0], partition);
    postgres_array_start(&values[1], PG_INT4);
    postgres_array_start(&values[2], PG_INT8);
    postgres_array_start(&values[3], PG_TIMESTAMPTZ);
}

static void push_keys(struct store *store, struct postgres_value values[KEYS], int number,
                      int64_t at_us)
{
    const struct aggregation_window *window =
        &store->set->windows[store->set->items[number]->window];
    postgres_push_int4(&values[1], store->ids[number]);
    postgres_push_int8(&values[2], window->windowed ? window->size_us / 1000 : 0);
    if (at_us == WINDOW_NO_TIME)
        postgres_push_null(&values[3]);
    else
        postgres_push_instant(&values[3], at_us);
}

enum error_code store_load_rows(struct store *store, struct reducer *reducer,
                                struct reducer_partition *partition, uint64_t aggregations,
                                int64_t watermark_us, struct error *error)
{
    static const char rows_sql[] = ROWS_AT(AFTER);
    static const char values_sql[] = VALUES_AT(AFTER);
    struct postgres_value values[KEYS] = {0};
    start_keys(values, partition->number);
    for (int i = 0; i < store->set->count; i++) {
        const struct aggregation_window *window =
            &store->set->windows[store->set->items[i]->window];
        bool all = !window->windowed || watermark_us == WINDOW_NO_TIME;
        if (!(aggregations >> i & 1))
            continue;
        push_keys(store, values, i,
                  all ? WINDOW_NO_TIME : watermark_us - window->lateness_us - window->size_us);
    }
    enum error_code code =
        load_rows(store, reducer, partition, rows_sql, values_sql, values, error);
    for (int i = 0; i < KEYS; i++)
        postgres_value_fini(&values[i]);
    return code;
}

enum error_code store_load_pruned(struct store *store, struct reducer *reducer, struct error *error)
{
    static const char sql[] =
        "SELECT id, pruned_until FROM aggregation_definitions WHERE pruned_until IS NOT NULL";
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_query(store->load, sql, NULL, 0, &rows, error);
    for (int row = 0; !code && row < postgres_rows_count(rows); row++) {
        for (int i = 0; i < store->set->count; i++) {
            if (store->ids[i] == postgres_rows_int(rows, row, 0))
                reducer->pruned_us[i] = postgres_rows_instant(rows, row, 1);
        }
    }
    postgres_rows_free(rows);
    return code;
}

enum error_code store_load(struct store *store, struct reducer *reducer,
                           const struct store_assignment *assignment, struct error *error)
{
    int64_t newest_us = assignment->newest_us;
    enum error_code code = newest_us == WINDOW_NO_TIME
                               ? newest_before(store, assignment->partition, &newest_us, error)
                               : ERR_OK;
    if (code)
        return code;
    code = store_load_pruned(store, reducer, error);
    if (code)
        return code;
    int64_t watermark_us = window_watermark(newest_us, reducer->tolerance_us);
    struct reducer_partition *partition =
        reducer_assign(reducer, assignment->partition, assignment->epoch, assignment->next_offset,
                       assignment->newest_us, watermark_us);
    code = store_load_lanes(store, partition, error);
    if (!code)
        code =
            store_load_rows(store, reducer, partition, ~assignment->pending, watermark_us, error);
    partition->counting = ~assignment->pending;
    if (code)
        reducer_revoke(reducer, assignment->partition);
    return code;
}

enum error_code store_load_window(struct store *store, struct reducer *reducer,
                                  struct reducer_partition *partition, int aggregation,
                                  int64_t start_us, struct error *error)
{
    static const char rows_sql[] = ROWS_AT(AT);
    static const char values_sql[] = VALUES_AT(AT);
    struct postgres_value values[KEYS] = {0};
    start_keys(values, partition->number);
    push_keys(store, values, aggregation, start_us);
    enum error_code code =
        load_rows(store, reducer, partition, rows_sql, values_sql, values, error);
    for (int i = 0; i < KEYS; i++)
        postgres_value_fini(&values[i]);
    if (!code)
        reducer_window_loaded(partition, aggregation, start_us);
    return code;
}
