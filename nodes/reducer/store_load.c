/* SPDX-License-Identifier: MIT */
/* store_load.c - a partition's lanes, totals and windows back into the core. */
#include <string.h>

#include "reducer/store_internal.h"

#define ROW_SELECT                                                                                 \
    "SELECT aggregation, window_start, group_key, revision, stamps, size_bytes, latency_count, "   \
    "latency_sum_ms,"                                                                              \
    " first_at, last_at, sketch FROM aggregation_rows"
#define VALUE_SELECT                                                                               \
    "SELECT aggregation, window_start, group_key, value_set, first_value, hashes FROM "            \
    "aggregation_values"
#define VALUE_ORDER " ORDER BY aggregation, window_start, group_key, value_set, first_value"

static enum error_code bad_row(struct error *error, const char *what)
{
    return error_set(error, ERR_INTERNAL, "%s holds a row that this program cannot read", what);
}

/* Rows of an aggregation this program does not have stay as they are. */
static struct aggregate *row_at(struct reducer *reducer, struct reducer_partition *partition,
                                const struct postgres_rows *rows, int row)
{
    size_t name_bytes, group_bytes;
    const char *name = postgres_rows_text(rows, row, 0, &name_bytes);
    const char *group = postgres_rows_text(rows, row, 2, &group_bytes);
    enum aggregation_type type = aggregation_by_name(name, name_bytes);
    if (type == AGGREGATION_TYPES)
        return NULL;
    return reducer_row(reducer, partition, type, postgres_rows_instant(rows, row, 1), group,
                       group_bytes);
}

static enum error_code fill_rows(struct reducer *reducer, struct reducer_partition *partition,
                                 const struct postgres_rows *rows, struct error *error)
{
    for (int i = 0; i < postgres_rows_count(rows); i++) {
        struct aggregate *row = row_at(reducer, partition, rows, i);
        if (!row)
            continue;
        row->revision = (int32_t)postgres_rows_int(rows, i, 3);
        row->stamps = postgres_rows_int(rows, i, 4);
        row->size_bytes = postgres_rows_int(rows, i, 5);
        row->latency_count = postgres_rows_int(rows, i, 6);
        row->latency_sum_ms = postgres_rows_double(rows, i, 7);
        row->first_us = postgres_rows_instant(rows, i, 8);
        row->last_us = postgres_rows_instant(rows, i, 9);
        size_t bytes;
        const char *sketch = postgres_rows_text(rows, i, 10, &bytes);
        if (!aggregate_decode(row, sketch, bytes))
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

static enum error_code fill_values(struct reducer *reducer, struct reducer_partition *partition,
                                   const struct postgres_rows *rows, struct error *error)
{
    for (int i = 0; i < postgres_rows_count(rows); i++) {
        struct aggregate *row = row_at(reducer, partition, rows, i);
        int64_t set = postgres_rows_int(rows, i, 3);
        size_t bytes;
        const char *octets = postgres_rows_text(rows, i, 5, &bytes);
        if (!row)
            continue;
        if (set < 0 || set >= AGGREGATE_SETS ||
            !fill_set(&row->sets[set], postgres_rows_int(rows, i, 4), octets, bytes))
            return bad_row(error, "aggregation_values");
        row->chunks[set]++;
    }
    return ERR_OK;
}

static enum error_code load_rows(struct store *store, struct reducer *reducer,
                                 struct reducer_partition *partition, const char *rows_sql,
                                 const char *values_sql, const struct postgres_value *values,
                                 struct error *error)
{
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_query(store->load, rows_sql, values, 3, &rows, error);
    if (!code)
        code = fill_rows(reducer, partition, rows, error);
    postgres_rows_free(rows);
    rows = NULL;
    if (!code)
        code = postgres_query(store->load, values_sql, values, 3, &rows, error);
    if (!code)
        code = fill_values(reducer, partition, rows, error);
    postgres_rows_free(rows);
    return code;
}

static enum error_code load_lanes(struct store *store, struct reducer_partition *partition,
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

static void key_values(struct postgres_value values[3], const struct reducer *reducer,
                       int32_t partition, int64_t at_us)
{
    postgres_set_int4(&values[0], partition);
    postgres_set_int8(&values[1], reducer->rules.size_us / 1000);
    if (at_us == WINDOW_NO_TIME)
        postgres_set_null(&values[2], PG_TIMESTAMPTZ);
    else
        postgres_set_instant(&values[2], at_us);
}

enum error_code store_load(struct store *store, struct reducer *reducer,
                           const struct store_assignment *assignment, struct error *error)
{
    static const char rows_sql[] =
        ROW_SELECT " WHERE partition = $1 AND (window_end IS NULL OR ((window_end > $3 OR $3 IS "
                   "NULL) AND window_ms = $2))";
    static const char values_sql[] = VALUE_SELECT
        " WHERE partition = $1 AND (window_ms = 0 OR ((window_start > $3 - $2 * interval '1 ms'"
        " OR $3 IS NULL) AND window_ms = $2))" VALUE_ORDER;
    const struct window_rules *rules = &reducer->rules;
    int64_t newest_us = assignment->newest_us;
    enum error_code code = newest_us == WINDOW_NO_TIME
                               ? newest_before(store, assignment->partition, &newest_us, error)
                               : ERR_OK;
    if (code)
        return code;
    int64_t complete_us = newest_us == WINDOW_NO_TIME
                              ? WINDOW_NO_TIME
                              : window_watermark(newest_us, rules) - rules->lateness_us;
    struct reducer_partition *partition =
        reducer_assign(reducer, assignment->partition, assignment->epoch, assignment->next_offset,
                       assignment->newest_us, complete_us);
    struct postgres_value values[3] = {0};
    key_values(values, reducer, assignment->partition, complete_us);
    code = load_lanes(store, partition, error);
    if (!code)
        code = load_rows(store, reducer, partition, rows_sql, values_sql, values, error);
    for (int i = 0; i < 3; i++)
        postgres_value_fini(&values[i]);
    if (code)
        reducer_revoke(reducer, assignment->partition);
    return code;
}

enum error_code store_load_window(struct store *store, struct reducer *reducer,
                                  struct reducer_partition *partition, int64_t start_us,
                                  struct error *error)
{
    static const char rows_sql[] =
        ROW_SELECT " WHERE partition = $1 AND window_ms = $2 AND window_start = $3";
    static const char values_sql[] =
        VALUE_SELECT " WHERE partition = $1 AND window_ms = $2 AND window_start = $3" VALUE_ORDER;
    struct postgres_value values[3] = {0};
    key_values(values, reducer, partition->number, start_us);
    enum error_code code =
        load_rows(store, reducer, partition, rows_sql, values_sql, values, error);
    for (int i = 0; i < 3; i++)
        postgres_value_fini(&values[i]);
    if (!code)
        reducer_window_loaded(partition, start_us);
    return code;
}
