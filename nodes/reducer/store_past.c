/* SPDX-License-Identifier: MIT */
/* store_past.c - aggregations that came later and ask for the topic's past: which are counted where. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reducer/store_internal.h"

/* The column has ",3,17," for the ids 3 and 17; null: none was noted. */
static bool has_id(const struct postgres_rows *rows, int row, int column, int32_t id)
{
    char wanted[16];
    size_t bytes = 0;
    int wanted_bytes = snprintf(wanted, sizeof(wanted), ",%d,", (int)id);
    const char *ids = postgres_rows_text(rows, row, column, &bytes);
    return ids && memmem(ids, bytes, wanted, (size_t)wanted_bytes) != NULL;
}

uint64_t store_pending(const struct store *store, const struct postgres_rows *rows, int row,
                       int column, const struct store_assignment *assignment)
{
    uint64_t pending = 0;
    if (assignment->next_offset == 0 && assignment->newest_us == WINDOW_NO_TIME)
        return 0; /* it begins at the beginning anyway */
    for (int i = 0; i < store->set->count; i++) {
        if (store->set->items[i]->backfill && !has_id(rows, row, column, store->ids[i]))
            pending |= UINT64_C(1) << i;
    }
    return pending;
}

static void push_ids(const struct store *store, struct postgres_value *value, uint64_t aggregations)
{
    postgres_array_start(value, PG_INT4);
    for (int i = 0; i < store->set->count; i++) {
        if (aggregations >> i & 1)
            postgres_push_int4(value, store->ids[i]);
    }
}

/* Where an aggregation is noted already nothing is written. *noted: partitions that were. `past`: they count
 * from the topic's beginning, else from next_offset on; so do those that have rows already where nothing was noted
 * before (a database of schema 5). */
static enum error_code add_counted(struct store *store, const int32_t *partitions,
                                   const int64_t *epochs, int count, uint64_t aggregations,
                                   bool past, int *noted, struct error *error)
{
    static const char sql[] =
        "UPDATE reducer_partitions p SET counted = p.counted ||"
        " ARRAY(SELECT unnest($5::int4[]) EXCEPT SELECT unnest(p.counted) ORDER BY 1),"
        " counted_from = coalesce(p.counted_from,"
        "   array_fill(0::int8, ARRAY[coalesce(cardinality(p.counted), 0)]))"
        "   || ARRAY(SELECT CASE WHEN $6 OR (p.counted IS NULL AND EXISTS"
        "       (SELECT FROM aggregation_rows r"
        "         WHERE r.definition = fresh.id AND r.partition = p.partition))"
        "     THEN 0 ELSE p.next_offset END"
        "     FROM (SELECT unnest($5::int4[]) EXCEPT SELECT unnest(p.counted)) AS fresh (id)"
        "     ORDER BY fresh.id)"
        " FROM unnest($3::int4[], $4::int8[]) AS u (partition, epoch)"
        " WHERE p.cluster_id = $1 AND p.topic = $2 AND p.partition = u.partition"
        " AND p.epoch = u.epoch AND (p.counted IS NULL OR NOT p.counted @> $5) RETURNING 1::int4";
    struct postgres_value values[6] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], store->cluster_id);
    postgres_set_string(&values[1], store->topic);
    postgres_array_start(&values[2], PG_INT4);
    postgres_array_start(&values[3], PG_INT8);
    for (int i = 0; i < count; i++) {
        postgres_push_int4(&values[2], partitions[i]);
        postgres_push_int8(&values[3], epochs[i]);
    }
    push_ids(store, &values[4], aggregations);
    postgres_set_bool(&values[5], past);
    enum error_code code = postgres_query(store->load, sql, values, 6, &rows, error);
    for (int i = 0; i < 6; i++)
        postgres_value_fini(&values[i]);
    if (!code)
        *noted = postgres_rows_count(rows);
    postgres_rows_free(rows);
    return code;
}

/* One statement for the partitions that lack nothing, as nearly always; one for each of the others. */
enum error_code store_note_counted(struct store *store, const struct store_assignment *assignments,
                                   int count, struct error *error)
{
    int32_t *partitions = must_calloc((size_t)count + 1, sizeof(*partitions));
    int64_t *epochs = must_calloc((size_t)count + 1, sizeof(*epochs));
    enum error_code code = ERR_OK;
    int complete = 0, noted;
    for (int i = 0; i < count && !code; i++) {
        if (assignments[i].pending) {
            code = add_counted(store, &assignments[i].partition, &assignments[i].epoch, 1,
                               ~assignments[i].pending, false, &noted, error);
        } else {
            partitions[complete] = assignments[i].partition;
            epochs[complete++] = assignments[i].epoch;
        }
    }
    if (!code && complete > 0)
        code = add_counted(store, partitions, epochs, complete, UINT64_MAX, false, &noted, error);
    free(partitions);
    free(epochs);
    return code;
}

enum error_code store_join(struct store *store, struct reducer *reducer,
                           struct reducer_partition *partition, uint64_t aggregations,
                           struct error *error)
{
    enum error_code code = store_load_rows(store, reducer, partition, aggregations,
                                           reducer_watermark(reducer, partition), error);
    int noted = 0;
    if (!code)
        code = add_counted(store, &partition->number, &partition->epoch, 1, aggregations, true,
                           &noted, error);
    if (!code && noted != 1)
        code = error_set(error, ERR_FENCED, "partition %d belongs to another reducer",
                         (int)partition->number);
    if (!code)
        partition->counting |= aggregations;
    return code;
}

enum error_code store_clear(struct store *store, const struct reducer *reducer, struct error *error)
{
    static const char hold[] = "SELECT reducer_hold($1, $2, $3, $4)";
    static const char values_sql[] = "DELETE FROM aggregation_values v USING unnest($1::int4[],"
                                     " $2::int4[]) AS u (definition, partition)"
                                     " WHERE v.definition = u.definition"
                                     " AND v.partition = u.partition";
    static const char rows_sql[] = "DELETE FROM aggregation_rows r USING unnest($1::int4[],"
                                   " $2::int4[]) AS u (definition, partition)"
                                   " WHERE r.definition = u.definition"
                                   " AND r.partition = u.partition";
    struct postgres_value held[4] = {0}, keys[2] = {0};
    postgres_set_string(&held[0], store->cluster_id);
    postgres_set_string(&held[1], store->topic);
    postgres_array_start(&held[2], PG_INT4);
    postgres_array_start(&held[3], PG_INT8);
    postgres_array_start(&keys[0], PG_INT4);
    postgres_array_start(&keys[1], PG_INT4);
    for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
        const struct reducer_partition *partition = reducer->partitions[p];
        if (!partition)
            continue;
        postgres_push_int4(&held[2], p);
        postgres_push_int8(&held[3], partition->epoch);
        for (int i = 0; i < store->set->count; i++) {
            if (!(partition->counting >> i & 1))
                continue;
            postgres_push_int4(&keys[0], store->ids[i]);
            postgres_push_int4(&keys[1], p);
        }
    }
    enum error_code code = postgres_batch_begin(store->write, error);
    if (!code)
        code = postgres_batch_add(store->write, hold, held, 4, error);
    if (!code)
        code = postgres_batch_add(store->write, values_sql, keys, 2, error);
    if (!code)
        code = postgres_batch_add(store->write, rows_sql, keys, 2, error);
    if (!code)
        code = postgres_batch_run(store->write, -1, NULL, error);
    for (int i = 0; i < 4; i++)
        postgres_value_fini(&held[i]);
    for (int i = 0; i < 2; i++)
        postgres_value_fini(&keys[i]);
    return code;
}
