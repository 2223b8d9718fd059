/* SPDX-License-Identifier: MIT */
/* store_finalize.c - which windows are final. */
#include "reducer/store_internal.h"

#define FINALIZE_ROWS 2000 /* rows in one transaction; the next ones follow */
enum { FINALIZE_VALUES = 9 };

static enum error_code note_idle(struct store *store, const struct store_idle *idle, int count,
                                 struct error *error)
{
    static const char sql[] =
        "UPDATE reducer_partitions p SET idle_at = CASE WHEN u.idle THEN now() END"
        " FROM unnest($3::int4[], $4::int8[], $5::bool[]) AS u (partition, epoch, idle)"
        " WHERE p.cluster_id = $1 AND p.topic = $2 AND p.partition = u.partition"
        " AND p.epoch = u.epoch RETURNING 1::int4";
    struct postgres_value values[5] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], store->cluster_id);
    postgres_set_string(&values[1], store->topic);
    postgres_array_start(&values[2], PG_INT4);
    postgres_array_start(&values[3], PG_INT8);
    postgres_array_start(&values[4], PG_BOOL);
    for (int i = 0; i < count; i++) {
        postgres_push_int4(&values[2], idle[i].partition);
        postgres_push_int8(&values[3], idle[i].epoch);
        postgres_push_bool(&values[4], idle[i].idle);
    }
    enum error_code code = postgres_query(store->load, sql, values, 5, &rows, error);
    postgres_values_fini(values, 5);
    if (!code && postgres_rows_count(rows) != count)
        code = error_set(error, ERR_FENCED, "%d of %d idle partitions belong to another reducer",
                         count - postgres_rows_count(rows), count);
    postgres_rows_free(rows);
    return code;
}

/* One statement: the finals of windows that are closed, their rows no longer open, the announcements. Rows
 * are closed by their place: one that was written meanwhile stays open until the next time. An aggregation
 * whose past is still being counted ($8: those that ask for it) has no finals yet. */
static const char sql_finalize[] =
    "WITH low AS MATERIALIZED (SELECT reducer_low_watermark($1, $2, $3::int8 * interval '1 ms', "
    "$4::int8 * interval '1 ms') AS at),"
    " due AS MATERIALIZED (SELECT r.*, d.name, d.version"
    "   FROM low CROSS JOIN aggregation_definitions d CROSS JOIN LATERAL (SELECT ctid AS place,"
    "     definition, window_ms, window_start, group_key, window_end FROM aggregation_rows"
    "     WHERE definition = d.id AND is_open AND window_end IS NOT NULL"
    "     AND window_end <= low.at - d.lateness_ms * interval '1 ms'"
    "     ORDER BY window_end LIMIT $9::int8) AS r"
    "   WHERE NOT (d.id = ANY ($8::int4[]) AND EXISTS (SELECT FROM reducer_partitions p"
    "     WHERE p.cluster_id = $1 AND p.topic = $2 AND NOT d.id = ANY (p.counted)))"
    "   LIMIT $9::int8),"
    " keys AS MATERIALIZED (SELECT DISTINCT ON (definition, window_ms, window_start, group_key) *"
    "   FROM due ORDER BY definition, window_ms, window_start, group_key),"
    " made AS (INSERT INTO aggregation_finals (definition, window_ms, window_start, group_key)"
    "   SELECT definition, window_ms, window_start, group_key FROM keys ON CONFLICT DO NOTHING"
    "   RETURNING *),"
    " closed AS (UPDATE aggregation_rows SET is_open = false"
    "   WHERE ctid = ANY (ARRAY(SELECT place FROM due))),"
    " told AS (INSERT INTO reducer_outbox (event_id, topic, event_type, key, value)"
    "   SELECT id, $5, 'window_final', convert_to(group_key, 'UTF8'), convert_to(json_build_object("
    "     'envelope_version', '1.0', 'event_id', id, 'event_type', 'window_final', "
    "'event_version', '1.0',"
    "     'event_timestamp', to_char(now() AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),"
    "     'source_node_id', $6::text, 'source_service', 'omninode-bridge', 'source_version', "
    "'1.0.0',"
    "     'source_instance', NULL, 'correlation_id', NULL, 'causation_id', NULL, 'environment', "
    "$7::text,"
    "     'region', NULL, 'partition_key', group_key, 'payload', json_build_object('type', name,"
    "       'version', version,"
    "       'window_start', to_char(window_start AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"
    "       'window_end', to_char(window_end AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"
    "       'group', group_key),"
    "     'metadata', json_build_object('event_category', 'metadata_aggregation', 'node_type', "
    "'reducer',"
    "       'namespace', group_key))::text, 'UTF8')"
    "   FROM (SELECT d.*, md5(concat_ws('|', 'final', d.name, d.version, d.window_ms,"
    "     extract(epoch FROM d.window_start), d.group_key))::uuid::text AS id"
    "     FROM made JOIN keys d USING (definition, window_ms, window_start, group_key)) AS f"
    "   WHERE $5::text IS NOT NULL RETURNING 1)"
    " SELECT (SELECT count(*) FROM due), (SELECT count(*) FROM told),"
    "   (SELECT window_end FROM aggregation_rows WHERE is_open AND window_end IS NOT NULL"
    "     ORDER BY definition, window_end LIMIT 1) IS NOT NULL";

enum error_code store_finalize(struct store *store, const struct store_rules *rules,
                               const struct store_idle *idle, int count, struct store_finals *found,
                               struct error *error)
{
    enum error_code code = count > 0 ? note_idle(store, idle, count, error) : ERR_OK;
    struct postgres_value values[FINALIZE_VALUES] = {0};
    postgres_set_string(&values[0], store->cluster_id);
    postgres_set_string(&values[1], store->topic);
    postgres_set_int8(&values[2], rules->tolerance_ms);
    postgres_set_int8(&values[3], rules->idle_ms);
    postgres_set_string(&values[4], rules->final_topic);
    postgres_set_string(&values[5], rules->node_id);
    postgres_set_string(&values[6], rules->environment);
    postgres_array_start(&values[7], PG_INT4);
    for (int i = 0; i < store->set->count; i++) {
        if (store->set->items[i]->backfill)
            postgres_push_int4(&values[7], store->ids[i]);
    }
    postgres_set_int8(&values[8], FINALIZE_ROWS);
    struct postgres_rows *rows = NULL;
    if (!code)
        code = postgres_query(store->load, sql_finalize, values, FINALIZE_VALUES, &rows, error);
    if (!code) {
        found->more = postgres_rows_int(rows, 0, 0) == FINALIZE_ROWS;
        found->announced = postgres_rows_int(rows, 0, 1);
        found->open = postgres_rows_bool(rows, 0, 2);
    }
    postgres_rows_free(rows);
    postgres_values_fini(values, FINALIZE_VALUES);
    return code;
}
