/* SPDX-License-Identifier: MIT */
/* api.c - the reducer's routes; what is loaded; watermarks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "core/window.h"
#include "io/assets.h"
#include "reducer/query.h"
#include "reducer/service.h"

static void handle_index(struct http_request *request, struct http_response *response,
                         void *context)
{
    (void)request;
    (void)context;
    http_asset(response, &asset_reducer_index_html, ASSET_PAGE);
}

static void handle_docs(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    (void)context;
    http_asset(response, &asset_docs_html, ASSET_PAGE);
}

static void handle_openapi(struct http_request *request, struct http_response *response,
                           void *context)
{
    (void)request;
    (void)context;
    http_asset(response, &asset_reducer_openapi_json, ASSET_JSON);
}

const struct http_route service_routes[] = {
    {"GET", "/api/v1/aggregations", handle_aggregations, 0, 0},
    {"GET", "/api/v1/aggregations/definitions", handle_definitions, 0, 0},
    {"GET", "/api/v1/namespaces", handle_namespaces, 0, 0},
    {"GET", "/api/v1/windows/open", handle_windows_open, 0, 0},
    {"GET", "/api/v1/windows/explain", handle_window_explain, 0, 0},
    {"GET", "/api/v1/watermark", handle_watermark, 0, 0},
    {"GET", "/state/snapshot", handle_snapshot, 0, 0},
    {"POST", "/aggregation/query", handle_aggregation_query, 0, 65536},
    {"GET", "/health", handle_health, HTTP_OPEN, 0},
    {"GET", "/health/live", handle_health_live, HTTP_OPEN, 0},
    {"GET", "/health/ready", handle_health_ready, HTTP_OPEN, 0},
    {"GET", "/metrics", http_handle_metrics, HTTP_OPEN, 0},
    {"GET", "/openapi.json", handle_openapi, HTTP_OPEN, 0},
    {"GET", "/docs", handle_docs, HTTP_OPEN, 0},
    {"GET", "/", handle_index, HTTP_OPEN, 0},
    {0},
};

static struct json *instant_json(int64_t instant_us)
{
    char text[INSTANT_TEXT_BYTES];
    return json_text(instant_format(instant_us, text));
}

/* What is loaded. */
void handle_definitions(struct http_request *request, struct http_response *response, void *context)
{
    static const char *const known[] = {NULL};
    const struct service *service = context;
    struct error error = {0};
    if (http_query_known(request, known, &error)) {
        http_problem(response, &error);
        return;
    }
    struct json *page = json_object();
    struct json *items = json_array();
    for (int i = 0; i < service->aggregations->count; i++)
        json_array_append(
            items, aggregation_describe(service->aggregations, service->aggregations->items[i]));
    json_object_set(page, "items", items);
    json_object_set(page, "next_cursor", json_null());
    http_json(response, 200, page);
    json_release(page);
}

/* -- watermarks -- */

static const char sql_watermark[] =
    "SELECT partition, next_offset, newest_event_at - $3::int8 * interval '1 ms', newest_event_at,"
    " idle_at IS NOT NULL AND idle_at > clock_timestamp() - $4::int8 * interval '1 ms', epoch, "
    "owner, missing_records"
    " FROM reducer_partitions WHERE cluster_id = $1 AND topic = $2 ORDER BY partition";

static struct json *partition_json(const struct postgres_rows *rows, int row)
{
    size_t bytes;
    struct json *item = json_object();
    json_object_set(item, "partition", json_int(postgres_rows_int(rows, row, 0)));
    json_object_set(item, "offset", json_int(postgres_rows_int(rows, row, 1)));
    bool none = postgres_rows_null(rows, row, 2);
    json_object_set(item, "watermark",
                    none ? json_null() : instant_json(postgres_rows_instant(rows, row, 2)));
    json_object_set(item, "newest_event_at",
                    none ? json_null() : instant_json(postgres_rows_instant(rows, row, 3)));
    json_object_set(item, "idle", json_bool(postgres_rows_bool(rows, row, 4)));
    json_object_set(item, "epoch", json_int(postgres_rows_int(rows, row, 5)));
    const char *owner = postgres_rows_text(rows, row, 6, &bytes);
    json_object_set(item, "owner", bytes > 0 ? json_string(owner, bytes) : json_null());
    json_object_set(item, "missing_records", json_int(postgres_rows_int(rows, row, 7)));
    return item;
}

static enum error_code query_watermark(struct service *service, struct postgres_rows **rows,
                                       struct error *error)
{
    char cluster_id[128];
    struct postgres_value values[4] = {0};
    struct postgres *postgres;
    runtime_cluster_id(service->runtime, cluster_id, sizeof(cluster_id));
    enum error_code code = postgres_pool_get(service->pool, &postgres, error);
    if (code)
        return code;
    postgres_set_string(&values[0], cluster_id);
    postgres_set_string(&values[1], service->topic);
    postgres_set_int8(&values[2], service->config->aggregation_watermark_tolerance_ms);
    postgres_set_int8(&values[3], 2 * service->config->partition_idle_ms);
    code = postgres_query(postgres, sql_watermark, values, 4, rows, error);
    for (int i = 0; i < 4; i++)
        postgres_value_fini(&values[i]);
    postgres_pool_put(service->pool, postgres);
    return code;
}

void handle_watermark(struct http_request *request, struct http_response *response, void *context)
{
    static const char *const known[] = {"after", "timeout_ms", NULL};
    struct service *service = context;
    struct postgres_rows *rows = NULL;
    struct error error = {0};
    enum error_code code = http_query_known(request, known, &error);
    if (!code && !service_wait_after(service, request, response))
        return;
    struct json *page = json_object();
    if (!code)
        code = service_add_gaps(service, page, &error);
    if (!code)
        code = query_watermark(service, &rows, &error);
    if (code) {
        http_problem(response, &error);
        json_release(page);
        return;
    }
    struct json *items = json_array();
    for (int i = 0; i < postgres_rows_count(rows); i++)
        json_array_append(items, partition_json(rows, i));
    postgres_rows_free(rows);
    json_object_set(page, "items", items);
    json_object_set(page, "next_cursor", json_null());
    json_object_set(page, "topic", json_text(service->topic));
    http_json(response, 200, page);
    json_release(page);
}
