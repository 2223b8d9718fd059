/* SPDX-License-Identifier: MIT */
/* store_load.c - a partition's lanes, totals and windows back into the core. Rows by their keys stand in
 * store_rows.c. */
#include <stdlib.h>
#include <string.h>

#include "reducer/store_internal.h"

#define PAGE_ROWS 2000  /* of a definition, with their states */
#define PAGE_KEYS 20000 /* without */
#define PAGE_COLUMNS 7

/* Newest windows first, since their rows are the likely ones: what does not fit stays in the store, and only
 * its keys are read. */
#define PAGE(columns)                                                                              \
    "SELECT u.n, r.window_start, r.group_key" columns                                              \
    " FROM unnest($2::int4[], $3::int8[], $4::timestamptz[], $5::timestamptz[], $6::text[])"       \
    " WITH ORDINALITY AS u (definition, window_ms, after_start, before_start, before_group, n)"    \
    " CROSS JOIN LATERAL (SELECT * FROM aggregation_rows a WHERE a.definition = u.definition"      \
    " AND a.window_ms = u.window_ms AND a.partition = $1"                                          \
    " AND a.window_start > coalesce(u.after_start, '-infinity')"                                   \
    " AND (a.window_start, a.group_key) < (coalesce(u.before_start, 'infinity'), u.before_group)"  \
    " ORDER BY a.window_start DESC, a.group_key DESC LIMIT $7) AS r"

/* Rows of one definition on the partition, those with after < start < before. */
struct range {
    int aggregation;
    int64_t after_us;   /* WINDOW_NO_TIME: from the first one on */
    int64_t before_us;  /* WINDOW_NO_TIME: to the last one */
    char *before_group; /* of rows that start at before_us those before this group count too */
    size_t before_bytes;
    int64_t found; /* on the last page */
};

struct loading {
    struct store *store;
    struct reducer *reducer;
    struct reducer_partition *partition;
    struct range ranges[AGGREGATIONS_MAX];
    int count;
    struct reducer_wanted split; /* rows of the page with sets in pieces */
};

static void push_time(struct postgres_value *value, int64_t time_us)
{
    if (time_us == WINDOW_NO_TIME)
        postgres_push_null(value);
    else
        postgres_push_instant(value, time_us);
}

static enum error_code read_page(struct loading *loading, bool states, struct postgres_rows **rows,
                                 struct error *error)
{
    static const char states_sql[] = PAGE(", r.revision, r.events, r.state");
    static const char keys_sql[] = PAGE("");
    static const enum postgres_type types[] = {PG_INT4, PG_INT8, PG_TIMESTAMPTZ, PG_TIMESTAMPTZ,
                                               PG_TEXT};
    struct postgres_value values[PAGE_COLUMNS] = {0};
    postgres_set_int4(&values[0], loading->partition->number);
    for (int i = 1; i < PAGE_COLUMNS - 1; i++)
        postgres_array_start(&values[i], types[i - 1]);
    for (int i = 0; i < loading->count; i++) {
        const struct range *range = &loading->ranges[i];
        const struct aggregation_set *set = loading->store->set;
        const struct aggregation_window *window =
            &set->windows[set->items[range->aggregation]->window];
        postgres_push_int4(&values[1], loading->store->ids[range->aggregation]);
        postgres_push_int8(&values[2], window->windowed ? window->size_us / 1000 : 0);
        push_time(&values[3], range->after_us);
        push_time(&values[4], range->before_us);
        postgres_push_text(&values[5], range->before_group ? range->before_group : "",
                           range->before_bytes);
    }
    postgres_set_int8(&values[6], states ? PAGE_ROWS : PAGE_KEYS);
    enum error_code code = postgres_query(loading->store->load, states ? states_sql : keys_sql,
                                          values, PAGE_COLUMNS, rows, error);
    for (int i = 0; i < PAGE_COLUMNS; i++)
        postgres_value_fini(&values[i]);
    return code;
}

static bool take_row(struct loading *loading, const struct range *range,
                     const struct postgres_rows *rows, int number, bool state)
{
    size_t bytes;
    const char *group = postgres_rows_text(rows, number, 2, &bytes);
    int64_t start_us = postgres_rows_instant(rows, number, 1);
    if (!state || !reducer_has_room(loading->reducer)) {
        reducer_row_away(loading->reducer, loading->partition, range->aggregation, start_us, group,
                         bytes);
        return true;
    }
    struct aggregate *row = reducer_row(loading->reducer, loading->partition, range->aggregation,
                                        start_us, group, bytes);
    bool fine = store_fill_row(row, rows, number, 3, &loading->split);
    reducer_row_filled(loading->reducer, row);
    return fine;
}

static enum error_code take_page(struct loading *loading, const struct postgres_rows *rows,
                                 bool states, struct error *error)
{
    for (int i = 0; i < loading->count; i++)
        loading->ranges[i].found = 0;
    for (int i = 0; i < postgres_rows_count(rows); i++) {
        struct range *range = &loading->ranges[postgres_rows_int(rows, i, 0) - 1];
        if (!take_row(loading, range, rows, i, states))
            return store_bad_row(error, "aggregation_rows");
        if (++range->found < (states ? PAGE_ROWS : PAGE_KEYS))
            continue;
        const char *group = postgres_rows_text(rows, i, 2, &range->before_bytes);
        free(range->before_group);
        range->before_group = must_strndup(group, range->before_bytes);
        range->before_us = postgres_rows_instant(rows, i, 1);
    }
    return ERR_OK;
}

static void drop_read_ranges(struct loading *loading, int64_t full)
{
    int kept = 0;
    for (int i = 0; i < loading->count; i++) {
        if (loading->ranges[i].found < full)
            free(loading->ranges[i].before_group);
        else
            loading->ranges[kept++] = loading->ranges[i];
    }
    loading->count = kept;
}

static enum error_code load_ranges(struct loading *loading, struct error *error)
{
    enum error_code code = ERR_OK;
    while (!code && loading->count > 0) {
        bool states = reducer_has_room(loading->reducer);
        struct postgres_rows *rows = NULL;
        loading->split.count = 0;
        code = read_page(loading, states, &rows, error);
        if (!code)
            code = take_page(loading, rows, states, error);
        postgres_rows_free(rows);
        if (!code)
            code = store_fill_pieces(loading->store, loading->reducer, &loading->split, error);
        if (!code)
            drop_read_ranges(loading, states ? PAGE_ROWS : PAGE_KEYS);
    }
    drop_read_ranges(loading, INT64_MAX);
    free(loading->split.rows);
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
            code = store_bad_row(error, "reducer_lanes");
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

enum error_code store_load_rows(struct store *store, struct reducer *reducer,
                                struct reducer_partition *partition, uint64_t aggregations,
                                int64_t watermark_us, struct error *error)
{
    struct loading loading = {.store = store, .reducer = reducer, .partition = partition};
    for (int i = 0; i < store->set->count; i++) {
        const struct aggregation_window *window =
            &store->set->windows[store->set->items[i]->window];
        bool all = !window->windowed || watermark_us == WINDOW_NO_TIME;
        if (!(aggregations >> i & 1))
            continue;
        loading.ranges[loading.count++] = (struct range){
            .aggregation = i,
            .after_us = all ? WINDOW_NO_TIME : watermark_us - window->lateness_us - window->size_us,
            .before_us = WINDOW_NO_TIME,
        };
    }
    return load_ranges(&loading, error);
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
    struct loading loading = {.store = store,
                              .reducer = reducer,
                              .partition = partition,
                              .ranges = {{.aggregation = aggregation,
                                          .after_us = start_us - 1,
                                          .before_us = start_us + 1}},
                              .count = 1};
    enum error_code code = load_ranges(&loading, error);
    if (code) /* it is loaded from its beginning the next time */
        reducer_forget_window(reducer, partition, aggregation, start_us);
    else
        reducer_window_loaded(partition, aggregation, start_us);
    return code;
}
