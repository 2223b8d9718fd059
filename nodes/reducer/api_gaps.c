/* SPDX-License-Identifier: MIT */
/* api_gaps.c - the gaps that /api/v1/watermark shows, and those of a window. */
#include "base/instant.h"
#include "reducer/service.h"

static const char sql_gaps[] =
    "SELECT partition, from_offset, to_offset, noted_at, newest_event_at, count(*) OVER ()"
    " FROM reducer_gaps WHERE cluster_id = $1 AND topic = $2 AND filled_at IS NULL"
    " ORDER BY noted_at DESC, partition, from_offset LIMIT $3::int8";

/* Those that may hold events of a window ($4 to $5, lateness $6, tolerance $7): the partition did not let its
 * events go as too late before the gap, and what was read behind the gap does not all come before it. */
static const char sql_gaps_of_window[] =
    "SELECT g.partition, g.from_offset, g.to_offset, g.noted_at, g.newest_event_at,"
    " count(*) OVER (), (sum(g.to_offset - g.from_offset) OVER ())::int8"
    " FROM reducer_gaps g JOIN reducer_partitions p USING (cluster_id, topic, partition)"
    " WHERE g.cluster_id = $1 AND g.topic = $2 AND g.filled_at IS NULL"
    " AND (g.newest_event_at IS NULL OR g.newest_event_at < $5::timestamptz"
    " + ($6::int8 + $7::int8) * interval '1 ms')"
    " AND (p.newest_event_at IS NOT DISTINCT FROM g.newest_event_at OR p.newest_event_at >= $4)"
    " ORDER BY g.noted_at DESC, g.partition, g.from_offset LIMIT $3::int8";

static struct json *instant_json(const struct postgres_rows *rows, int row, int column)
{
    char text[INSTANT_TEXT_BYTES];
    return postgres_rows_null(rows, row, column)
               ? json_null()
               : json_text(instant_format(postgres_rows_instant(rows, row, column), text));
}

static struct json *gap_json(const struct postgres_rows *rows, int row)
{
    struct json *item = json_object();
    int64_t from = postgres_rows_int(rows, row, 1), to = postgres_rows_int(rows, row, 2);
    json_object_set(item, "partition", json_int(postgres_rows_int(rows, row, 0)));
    json_object_set(item, "from_offset", json_int(from));
    json_object_set(item, "to_offset", json_int(to));
    json_object_set(item, "records", json_int(to - from));
    json_object_set(item, "noted_at", instant_json(rows, row, 3));
    json_object_set(item, "newest_event_at", instant_json(rows, row, 4));
    return item;
}

static enum error_code add_gaps(struct service *service, const char *sql,
                                struct postgres_value *values, int count, struct json *page,
                                int64_t *lost, struct error *error)
{
    char cluster_id[128];
    struct postgres_rows *rows = NULL;
    struct postgres *postgres;
    runtime_cluster_id(service->runtime, cluster_id, sizeof(cluster_id));
    postgres_set_string(&values[0], cluster_id);
    postgres_set_string(&values[1], service->topic);
    postgres_set_int8(&values[2], GAPS_SHOWN_MAX);
    enum error_code code = postgres_pool_get(service->pool, &postgres, error);
    if (!code) {
        code = postgres_query(postgres, sql, values, count, &rows, error);
        postgres_pool_put(service->pool, postgres);
    }
    for (int i = 0; i < count; i++)
        postgres_value_fini(&values[i]);
    if (code)
        return code;
    struct json *gaps = json_array();
    int found = postgres_rows_count(rows);
    for (int i = 0; i < found; i++)
        json_array_append(gaps, gap_json(rows, i));
    json_object_set(page, "gaps", gaps);
    json_object_set(page, "gaps_total", json_int(found > 0 ? postgres_rows_int(rows, 0, 5) : 0));
    if (lost)
        *lost = found > 0 ? postgres_rows_int(rows, 0, 6) : 0;
    postgres_rows_free(rows);
    return ERR_OK;
}

enum error_code service_add_gaps(struct service *service, struct json *page, struct error *error)
{
    struct postgres_value values[3] = {0};
    return add_gaps(service, sql_gaps, values, 3, page, NULL, error);
}

enum error_code service_add_window_gaps(struct service *service,
                                        const struct explain_window *window, struct json *page,
                                        int64_t *lost, struct error *error)
{
    struct postgres_value values[7] = {0};
    postgres_set_instant(&values[3], window->start_us);
    postgres_set_instant(&values[4], window->end_us);
    postgres_set_int8(&values[5], window->lateness_us / 1000);
    postgres_set_int8(&values[6], service->config->aggregation_watermark_tolerance_ms);
    return add_gaps(service, sql_gaps_of_window, values, 7, page, lost, error);
}
