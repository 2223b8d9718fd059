/* SPDX-License-Identifier: MIT */
#include "reducer/store_rebuild.h"

#include <stdlib.h>
#include <string.h>

#include "reducer/store_internal.h"

/* The first values of nearly all statements here. */
static void set_place(const struct store *store, struct postgres_value *values, int32_t partition)
{
    postgres_set_string(&values[0], store->cluster_id);
    postgres_set_string(&values[1], store->topic);
    postgres_set_int4(&values[2], partition);
}

static int64_t time_or_none(const struct postgres_rows *rows, int column)
{
    return postgres_rows_null(rows, 0, column) ? WINDOW_NO_TIME
                                               : postgres_rows_instant(rows, 0, column);
}

/* -- definitions -- */

static bool same_text(const struct postgres_rows *rows, int row, int column, const char *text)
{
    size_t bytes;
    const char *found = postgres_rows_text(rows, row, column, &bytes);
    return found && bytes == strlen(text) && memcmp(found, text, bytes) == 0;
}

/* Takes the windows and the rules of a definition from its row. */
static enum error_code take_definition(struct store *store, struct aggregation_set *set, int index,
                                       const struct postgres_rows *rows, int row,
                                       struct store_counted *counted, struct error *error)
{
    const struct aggregation *definition = set->items[index];
    if (!postgres_rows_null(rows, row, 3) && !same_text(rows, row, 3, definition->content_hash))
        return error_set(error, ERR_CONFIG,
                         "the file of the aggregation %s %s counts something else than reducers do "
                         "under this version",
                         definition->name, definition->version);
    if (postgres_rows_null(rows, row, 5))
        return error_set(error, ERR_CONFIG,
                         "by which settings reducers count the aggregation %s %s is not known: no "
                         "reducer has had its file since the last migration of the schema",
                         definition->name, definition->version);
    const struct store_settings settings = {.tolerance_ms = postgres_rows_int(rows, row, 6),
                                            .groups = (int32_t)postgres_rows_int(rows, row, 7)};
    if (counted->known && (settings.tolerance_ms != counted->settings.tolerance_ms ||
                           settings.groups != counted->settings.groups))
        return error_set(error, ERR_CONFIG,
                         "reducers have counted the aggregation %s %s by another "
                         "AGGREGATION_WATERMARK_TOLERANCE_MS or MAX_AGGREGATION_GROUPS than others",
                         definition->name, definition->version);
    if (!aggregation_set_window(set, index, postgres_rows_int(rows, row, 5) * 1000,
                                postgres_rows_int(rows, row, 4) * 1000))
        return error_set(error, ERR_CONFIG,
                         "the aggregation %s %s has other windows here than at the reducers",
                         definition->name, definition->version);
    counted->known |= UINT64_C(1) << index;
    counted->settings = settings;
    if (postgres_rows_bool(rows, row, 8))
        counted->otherwise |= UINT64_C(1) << index;
    store->ids[index] = (int32_t)postgres_rows_int(rows, row, 0);
    return ERR_OK;
}

enum error_code store_look_up(struct store *store, const char *cluster_id,
                              struct aggregation_set *set, struct store_counted *counted,
                              struct error *error)
{
    static const char sql[] = "SELECT id, name, version, content_hash, lateness_ms, size_ms,"
                              " tolerance_ms, groups, counted_otherwise"
                              " FROM aggregation_definitions";
    struct postgres_rows *rows = NULL;
    free(store->cluster_id);
    store->cluster_id = must_strdup(cluster_id);
    *counted = (struct store_counted){0};
    enum error_code code = postgres_query(store->load, sql, NULL, 0, &rows, error);
    for (int row = 0; !code && row < postgres_rows_count(rows); row++) {
        for (int i = 0; i < set->count && !code; i++) {
            if (same_text(rows, row, 1, set->items[i]->name) &&
                same_text(rows, row, 2, set->items[i]->version))
                code = take_definition(store, set, i, rows, row, counted, error);
        }
    }
    postgres_rows_free(rows);
    return code;
}

/* -- a picture -- */

static enum error_code read_partition(struct store *store, int32_t partition,
                                      struct store_picture *picture, struct error *error)
{
    static const char sql[] =
        "SELECT p.next_offset, p.newest_event_at,"
        " (SELECT max(e.newest_event_at) FROM reducer_partitions e"
        "   WHERE e.topic = p.topic AND e.cluster_id <> p.cluster_id),"
        " (SELECT max(g.newest_event_at) FROM reducer_gaps g WHERE g.cluster_id = p.cluster_id"
        "   AND g.topic = p.topic AND g.partition = p.partition),"
        " (SELECT coalesce(sum(g.to_offset - g.from_offset), 0)::int8 FROM reducer_gaps g"
        "   WHERE g.cluster_id = p.cluster_id AND g.topic = p.topic"
        "   AND g.partition = p.partition AND g.filled_at IS NULL)"
        " FROM reducer_partitions p"
        " WHERE p.cluster_id = $1 AND p.topic = $2 AND p.partition = $3";
    struct postgres_value values[3] = {0};
    struct postgres_rows *rows = NULL;
    set_place(store, values, partition);
    enum error_code code = postgres_query(store->load, sql, values, 3, &rows, error);
    postgres_values_fini(values, 3);
    if (!code && postgres_rows_count(rows) != 1)
        code = error_set(error, ERR_NOT_FOUND, "no reducer has had partition %d of %s",
                         (int)partition, store->topic);
    if (!code) {
        picture->next_offset = postgres_rows_int(rows, 0, 0);
        picture->newest_us = time_or_none(rows, 1);
        picture->earlier_us = time_or_none(rows, 2);
        picture->before_gaps_us = time_or_none(rows, 3);
        picture->unfilled_records = postgres_rows_int(rows, 0, 4);
    }
    postgres_rows_free(rows);
    return code;
}

/* Before anything was noted (`counted` is null) all were counted from the beginning. */
enum error_code store_begins(struct store *store, int32_t partition,
                             int64_t begins[AGGREGATIONS_MAX], struct error *error)
{
    static const char sql[] =
        "SELECT p.counted IS NULL, u.definition, coalesce(u.begin, 0) FROM reducer_partitions p"
        " LEFT JOIN LATERAL unnest(p.counted, p.counted_from) AS u (definition, begin) ON true"
        " WHERE p.cluster_id = $1 AND p.topic = $2 AND p.partition = $3";
    struct postgres_value values[3] = {0};
    struct postgres_rows *rows = NULL;
    set_place(store, values, partition);
    enum error_code code = postgres_query(store->load, sql, values, 3, &rows, error);
    postgres_values_fini(values, 3);
    for (int i = 0; i < store->set->count; i++)
        begins[i] = STORE_NOT_COUNTED;
    for (int row = 0; !code && row < postgres_rows_count(rows); row++) {
        bool all = postgres_rows_bool(rows, row, 0);
        for (int i = 0; i < store->set->count; i++) {
            if (store->ids[i] > 0 && (all || postgres_rows_int(rows, row, 1) == store->ids[i]))
                begins[i] = all ? 0 : postgres_rows_int(rows, row, 2);
        }
    }
    postgres_rows_free(rows);
    return code;
}

/* Two columns: the definitions, and how long their windows are here. */
static void set_windows(const struct store *store, struct postgres_value *values)
{
    postgres_array_start(&values[0], PG_INT4);
    postgres_array_start(&values[1], PG_INT8);
    for (int i = 0; i < store->set->count; i++) {
        const struct aggregation_window *window =
            &store->set->windows[store->set->items[i]->window];
        postgres_push_int4(&values[0], store->ids[i]);
        postgres_push_int8(&values[1], window->windowed ? window->size_us / 1000 : 0);
    }
}

/* Rows that store_load_rows passes over. */
static enum error_code count_unknown(struct store *store, int32_t partition, int64_t *count,
                                     struct error *error)
{
    static const char sql[] =
        "SELECT count(*) FROM aggregation_rows r WHERE r.partition = $1 AND NOT EXISTS ("
        " SELECT FROM unnest($2::int4[], $3::int8[]) AS u (definition, window_ms)"
        " WHERE u.definition = r.definition AND u.window_ms = r.window_ms)";
    struct postgres_value values[3] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_int4(&values[0], partition);
    set_windows(store, &values[1]);
    enum error_code code = postgres_query(store->load, sql, values, 3, &rows, error);
    postgres_values_fini(values, 3);
    if (!code)
        *count = postgres_rows_int(rows, 0, 0);
    postgres_rows_free(rows);
    return code;
}

static enum error_code fill_picture(struct store *store, struct reducer *reducer, int32_t number,
                                    struct store_picture *picture, struct error *error)
{
    enum error_code code = read_partition(store, number, picture, error);
    if (!code)
        code = store_begins(store, number, picture->begins, error);
    if (!code)
        code = count_unknown(store, number, &picture->unknown_rows, error);
    if (!code)
        code = store_load_pruned(store, reducer, error);
    if (code)
        return code;
    struct reducer_partition *partition = reducer_assign(reducer, number, 0, picture->next_offset,
                                                         picture->newest_us, WINDOW_NO_TIME);
    code = store_load_lanes(store, partition, error);
    return code ? code
                : store_load_rows(store, reducer, partition, UINT64_MAX, WINDOW_NO_TIME, error);
}

enum error_code store_picture(struct store *store, struct reducer *reducer, int32_t partition,
                              struct store_picture *picture, struct error *error)
{
    struct error ignored = {0};
    *picture = (struct store_picture){0};
    enum error_code code = postgres_script(store->load,
                                           "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                                           "SET LOCAL statement_timeout = 0;"
                                           "SET LOCAL idle_in_transaction_session_timeout = 0",
                                           error);
    int64_t session_us = postgres_connected_us(store->load);
    if (!code)
        code = fill_picture(store, reducer, partition, picture, error);
    if (!code && postgres_connected_us(store->load) != session_us)
        code = error_set(error, ERR_DATABASE, "the connection was lost in the middle of a picture");
    if (postgres_connected(store->load) &&
        postgres_script(store->load, "ROLLBACK", code ? &ignored : error))
        code = code ? code : ERR_DATABASE;
    return code;
}

enum error_code store_place(struct store *store, int32_t partition, int64_t *next_offset,
                            struct error *error)
{
    static const char sql[] = "SELECT next_offset FROM reducer_partitions"
                              " WHERE cluster_id = $1 AND topic = $2 AND partition = $3";
    struct postgres_value values[3] = {0};
    struct postgres_rows *rows = NULL;
    set_place(store, values, partition);
    enum error_code code = postgres_query(store->load, sql, values, 3, &rows, error);
    postgres_values_fini(values, 3);
    if (!code && postgres_rows_count(rows) == 1)
        *next_offset = postgres_rows_int(rows, 0, 0);
    postgres_rows_free(rows);
    return code;
}

/* -- writing -- */

/* The owner stays the one that it was: it takes the partition back as soon as it finds itself fenced. */
enum error_code store_take_over(struct store *store, int32_t partition,
                                struct store_assignment *assignment, struct error *error)
{
    static const char sql[] = "UPDATE reducer_partitions SET epoch = epoch + 1, updated_at = now()"
                              " WHERE cluster_id = $1 AND topic = $2 AND partition = $3"
                              " RETURNING epoch, next_offset, newest_event_at";
    struct postgres_value values[3] = {0};
    struct postgres_rows *rows = NULL;
    set_place(store, values, partition);
    enum error_code code = postgres_query(store->load, sql, values, 3, &rows, error);
    postgres_values_fini(values, 3);
    if (!code && postgres_rows_count(rows) != 1)
        code = error_set(error, ERR_NOT_FOUND, "no reducer has had partition %d of %s",
                         (int)partition, store->topic);
    if (!code)
        *assignment = (struct store_assignment){
            .partition = partition,
            .epoch = postgres_rows_int(rows, 0, 0),
            .next_offset = postgres_rows_int(rows, 0, 1),
            .newest_us =
                postgres_rows_null(rows, 0, 2) ? WINDOW_NO_TIME : postgres_rows_instant(rows, 0, 2),
        };
    postgres_rows_free(rows);
    return code;
}

enum error_code store_load_from(struct store *store, struct reducer *reducer,
                                const struct store_assignment *assignment, int64_t from_us,
                                struct error *error)
{
    struct reducer_partition *partition =
        reducer_assign(reducer, assignment->partition, assignment->epoch, assignment->next_offset,
                       assignment->newest_us, from_us);
    enum error_code code = store_load_pruned(store, reducer, error);
    if (!code)
        code = store_load_lanes(store, partition, error);
    if (!code)
        code = store_load_rows(store, reducer, partition, UINT64_MAX, from_us, error);
    if (code)
        reducer_revoke(reducer, assignment->partition);
    return code;
}

void store_replace(struct store *store, const struct aggregate *row, bool gone)
{
    static const enum postgres_type types[REPLACED_COLUMNS] = {PG_INT4, PG_INT8, PG_TIMESTAMPTZ,
                                                               PG_TEXT, PG_INT4, PG_BOOL};
    for (int i = 0; i < REPLACED_COLUMNS && !store->replaced[i].is_array; i++)
        postgres_array_start(&store->replaced[i], types[i]);
    store_push_key(store, store->replaced, row);
    postgres_push_bool(&store->replaced[5], gone);
}

void store_fill_gap(struct store *store, int32_t partition, int64_t from_offset, int64_t to_offset,
                    int64_t events)
{
    if (!store->gaps[3].is_array) {
        postgres_set_string(&store->gaps[0], store->cluster_id);
        postgres_set_string(&store->gaps[1], store->topic);
        postgres_set_int4(&store->gaps[2], partition);
        postgres_array_start(&store->gaps[3], PG_INT8);
        postgres_array_start(&store->gaps[4], PG_INT8);
        postgres_array_start(&store->gaps[5], PG_INT8);
    }
    postgres_push_int8(&store->gaps[3], from_offset);
    postgres_push_int8(&store->gaps[4], to_offset);
    postgres_push_int8(&store->gaps[5], events);
}

enum error_code store_gap_stands(struct store *store, int32_t partition, int64_t from_offset,
                                 int64_t to_offset, bool *stands, struct error *error)
{
    static const char sql[] = "SELECT FROM reducer_gaps WHERE cluster_id = $1 AND topic = $2"
                              " AND partition = $3 AND from_offset = $4 AND to_offset = $5"
                              " AND filled_at IS NULL";
    struct postgres_value values[5] = {0};
    struct postgres_rows *rows = NULL;
    set_place(store, values, partition);
    postgres_set_int8(&values[3], from_offset);
    postgres_set_int8(&values[4], to_offset);
    enum error_code code = postgres_query(store->load, sql, values, 5, &rows, error);
    postgres_values_fini(values, 5);
    *stands = !code && postgres_rows_count(rows) == 1;
    postgres_rows_free(rows);
    return code;
}

void store_forget_rebuilt(struct store *store)
{
    for (int i = 0; i < REPLACED_COLUMNS; i++) {
        postgres_value_fini(&store->replaced[i]);
        store->replaced[i] = (struct postgres_value){0};
    }
    for (int i = 0; i < GAP_COLUMNS; i++) {
        postgres_value_fini(&store->gaps[i]);
        store->gaps[i] = (struct postgres_value){0};
    }
}

#define WITH_REPLACED(table)                                                                       \
    "DELETE FROM " table " r USING unnest($1::int4[], $2::int8[], $3::timestamptz[], $4::text[],"  \
    " $5::int4[], $6::bool[]) AS u (definition, window_ms, window_start, group_key, partition, "   \
    "gone)"                                                                                        \
    " WHERE r.definition = u.definition AND r.window_ms = u.window_ms"                             \
    " AND r.window_start = u.window_start AND r.group_key = u.group_key"                           \
    " AND r.partition = u.partition"

enum error_code store_add_rebuilt(struct store *store, struct error *error)
{
    /* filled_events of null is refused by the table's check: what is filled already is not filled again. */
    static const char fill[] =
        "UPDATE reducer_gaps g SET filled_at = now(), filled_events ="
        "   CASE WHEN g.filled_at IS NULL AND g.to_offset = u.to_offset THEN u.events END"
        " FROM unnest($4::int8[], $5::int8[], $6::int8[]) AS u (from_offset, to_offset, events)"
        " WHERE g.cluster_id = $1 AND g.topic = $2 AND g.partition = $3"
        " AND g.from_offset = u.from_offset";
    enum error_code code = ERR_OK;
    if (store->replaced[0].count > 0)
        code = postgres_batch_add(store->write, WITH_REPLACED("aggregation_values"),
                                  store->replaced, REPLACED_COLUMNS, error);
    if (!code && store->replaced[0].count > 0)
        code = postgres_batch_add(store->write, WITH_REPLACED("aggregation_rows") " AND u.gone",
                                  store->replaced, REPLACED_COLUMNS, error);
    if (!code && store->gaps[3].count > 0)
        code = postgres_batch_add(store->write, fill, store->gaps, GAP_COLUMNS, error);
    return code;
}

/* -- gaps -- */

enum error_code store_gaps(struct store *store, struct postgres_rows **rows, struct error *error)
{
    static const char sql[] =
        "SELECT g.partition, g.from_offset, g.to_offset, u.lane, u.seq FROM reducer_gaps g"
        " LEFT JOIN LATERAL unnest(g.lanes, g.last_seqs) AS u (lane, seq) ON true"
        " WHERE g.cluster_id = $1 AND g.topic = $2 AND g.filled_at IS NULL"
        " ORDER BY g.partition, g.from_offset";
    struct postgres_value values[2] = {0};
    postgres_set_string(&values[0], store->cluster_id);
    postgres_set_string(&values[1], store->topic);
    enum error_code code = postgres_query(store->load, sql, values, 2, rows, error);
    postgres_values_fini(values, 2);
    return code;
}

enum error_code store_gaps_elsewhere(struct store *store, int64_t *count, struct error *error)
{
    static const char sql[] = "SELECT count(*) FROM reducer_gaps"
                              " WHERE cluster_id <> $1 AND topic = $2 AND filled_at IS NULL";
    struct postgres_value values[2] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], store->cluster_id);
    postgres_set_string(&values[1], store->topic);
    enum error_code code = postgres_query(store->load, sql, values, 2, &rows, error);
    postgres_values_fini(values, 2);
    if (!code)
        *count = postgres_rows_int(rows, 0, 0);
    postgres_rows_free(rows);
    return code;
}
