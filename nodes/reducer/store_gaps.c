/* SPDX-License-Identifier: MIT */
/* store_gaps.c - moving a partition past records that the broker no longer has, and noting that. */
#include "reducer/store_internal.h"

/* The same gap can only come again when the topic was made anew: it is one gap then, from the earlier one's
 * lanes on unless that was filled. */
static const char sql_note[] =
    "WITH moved AS (UPDATE reducer_partitions SET next_offset = $7,"
    "   missing_records = missing_records + $7 - $6, updated_at = now()"
    "   WHERE cluster_id = $1 AND topic = $2 AND partition = $3 AND epoch = $4 AND next_offset = $5"
    "   RETURNING newest_event_at),"
    " known AS (SELECT coalesce(array_agg(lane ORDER BY lane), '{}') AS lanes,"
    "   coalesce(array_agg(last_seq ORDER BY lane), '{}') AS last_seqs"
    "   FROM reducer_lanes WHERE topic = $2 AND partition = $3),"
    " noted AS (INSERT INTO reducer_gaps AS g (cluster_id, topic, partition, from_offset, "
    "to_offset,"
    "   lanes, last_seqs, newest_event_at)"
    "   SELECT $1, $2, $3, $6, $7, known.lanes, known.last_seqs, moved.newest_event_at"
    "   FROM moved, known WHERE $6 < $7"
    "   ON CONFLICT (cluster_id, topic, partition, from_offset) DO UPDATE SET"
    "   to_offset = greatest(g.to_offset, excluded.to_offset), noted_at = excluded.noted_at,"
    "   lanes = CASE WHEN g.filled_at IS NULL THEN g.lanes ELSE excluded.lanes END,"
    "   last_seqs = CASE WHEN g.filled_at IS NULL THEN g.last_seqs ELSE excluded.last_seqs END,"
    "   newest_event_at = CASE WHEN g.filled_at IS NULL THEN g.newest_event_at"
    "     ELSE excluded.newest_event_at END, filled_at = NULL, filled_events = NULL)"
    " SELECT count(*) FROM moved";

enum error_code store_note_gap(struct store *store, const struct store_gap *gap,
                               struct error *error)
{
    struct postgres_value values[7] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], store->cluster_id);
    postgres_set_string(&values[1], store->topic);
    postgres_set_int4(&values[2], gap->partition);
    postgres_set_int8(&values[3], gap->epoch);
    postgres_set_int8(&values[4], gap->next_offset);
    postgres_set_int8(&values[5], gap->from_offset);
    postgres_set_int8(&values[6], gap->to_offset);
    enum error_code code = postgres_query(store->load, sql_note, values, 7, &rows, error);
    for (int i = 0; i < 7; i++)
        postgres_value_fini(&values[i]);
    if (code)
        return code;
    if (postgres_rows_int(rows, 0, 0) != 1)
        code = error_set(error, ERR_FENCED, "partition %d belongs to another reducer",
                         (int)gap->partition);
    postgres_rows_free(rows);
    return code;
}

enum error_code store_count_gaps(struct store *store, int64_t *unfilled, struct error *error)
{
    static const char sql[] = "SELECT count(*) FROM reducer_gaps"
                              " WHERE cluster_id = $1 AND topic = $2 AND filled_at IS NULL";
    struct postgres_value values[2] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], store->cluster_id);
    postgres_set_string(&values[1], store->topic);
    enum error_code code = postgres_query(store->load, sql, values, 2, &rows, error);
    for (int i = 0; i < 2; i++)
        postgres_value_fini(&values[i]);
    if (code)
        return code;
    *unfilled = postgres_rows_int(rows, 0, 0);
    postgres_rows_free(rows);
    return ERR_OK;
}
