/* SPDX-License-Identifier: MIT */
/* api_gaps.c - the gaps that /api/v1/watermark shows. */
#include "base/instant.h"
#include "reducer/service.h"

static const char sql_gaps[] =
    "SELECT partition, from_offset, to_offset, noted_at, newest_event_at, count(*) OVER ()"
    " FROM reducer_gaps WHERE cluster_id = $1 AND topic = $2 AND filled_at IS NULL"
    " ORDER BY noted_at DESC, partition, from_offset LIMIT $3::int8";

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

enum error_code service_add_gaps(struct service *service, struct json *page, struct error *error)
{
    char cluster_id[128];
    struct postgres_value values[3] = {0};
    struct postgres_rows *rows = NULL;
    struct postgres *postgres;
    runtime_cluster_id(service->runtime, cluster_id, sizeof(cluster_id));
    enum error_code code = postgres_pool_get(service->pool, &postgres, error);
    if (code)
        return code;
    postgres_set_string(&values[0], cluster_id);
    postgres_set_string(&values[1], service->topic);
    postgres_set_int8(&values[2], GAPS_SHOWN_MAX);
    code = postgres_query(postgres, sql_gaps, values, 3, &rows, error);
    for (int i = 0; i < 3; i++)
        postgres_value_fini(&values[i]);
    postgres_pool_put(service->pool, postgres);
    if (code)
        return code;
    struct json *gaps = json_array();
    int count = postgres_rows_count(rows);
    for (int i = 0; i < count; i++)
        json_array_append(gaps, gap_json(rows, i));
    json_object_set(page, "gaps", gaps);
    json_object_set(page, "gaps_total", json_int(count > 0 ? postgres_rows_int(rows, 0, 5) : 0));
    postgres_rows_free(rows);
    return ERR_OK;
}
