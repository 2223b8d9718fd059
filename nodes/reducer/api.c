/* SPDX-License-Identifier: MIT */
/* api.c - the reducer's HTTP API: rows of windows, totals, watermarks. */
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

static struct json *row_json(const struct aggregation_set *set, const struct query_row *row)
{
    const struct aggregate *merged = row->merged;
    struct json *item = json_object();
    json_object_set(item, "type", json_text(merged->definition->name));
    json_object_set(item, "version", json_text(merged->definition->version));
    json_object_set(item, "window_start", instant_json(merged->start_us));
    json_object_set(item, "window_end", instant_json(merged->end_us));
    json_object_set(item, "group", json_string(merged->group, merged->group_bytes));
    json_object_set(item, "revision", json_int(merged->revision));
    json_object_set(item, "final", json_bool(row->final));
    json_object_set(item, "values", aggregate_values(set, merged));
    return item;
}

/* window start in microseconds, length in milliseconds, definition and group: what the next page comes
 * after. */
static struct json *cursor_json(const struct query_row *last)
{
    struct buffer text = {0};
    buffer_append_format(&text, "%lld.%lld.%d.", (long long)last->merged->start_us,
                         (long long)last->window_ms, (int)last->definition);
    for (size_t i = 0; i < last->merged->group_bytes; i++)
        buffer_append_format(&text, "%02x", (unsigned)(unsigned char)last->merged->group[i]);
    struct json *cursor = json_string(buffer_text(&text), text.bytes);
    buffer_fini(&text);
    return cursor;
}

static bool read_hex(const char *hex, char *out, size_t capacity)
{
    size_t digits = strlen(hex);
    if (digits % 2 != 0 || digits / 2 >= capacity)
        return false;
    for (size_t i = 0; i < digits / 2; i++) {
        unsigned octet;
        if (sscanf(hex + 2 * i, "%2x", &octet) != 1)
            return false;
        out[i] = (char)octet;
    }
    out[digits / 2] = 0;
    return true;
}

static enum error_code read_cursor(const char *text, struct query_filter *filter,
                                   struct error *error)
{
    long long start_us, window_ms;
    int definition, read = 0;
    if (!text)
        return ERR_OK;
    if (sscanf(text, "%lld.%lld.%d.%n", &start_us, &window_ms, &definition, &read) < 3 ||
        read == 0 || !read_hex(text + read, filter->after_group, sizeof(filter->after_group)))
        return error_set_field(error, ERR_INVALID, "cursor",
                               "cursor is not a next_cursor of this list");
    filter->has_cursor = true;
    filter->after_start_us = start_us;
    filter->after_window_ms = window_ms;
    filter->after_definition = definition;
    return ERR_OK;
}

static enum error_code read_instant(struct http_request *request, const char *name,
                                    int64_t *instant_us, struct error *error)
{
    const char *text = http_query(request, name);
    *instant_us = WINDOW_NO_TIME;
    if (!text || instant_parse(text, strlen(text), instant_us))
        return ERR_OK;
    return error_set_field(error, ERR_INVALID, name,
                           "%s is \"%.60s\"; it must be a time such as 2026-11-21T16:31:00Z", name,
                           text);
}

static enum error_code bad_type(const struct aggregation_set *set, const char *type,
                                struct error *error)
{
    struct buffer names = {0};
    for (int i = 0; i < set->count; i++) {
        if (set->windows[set->items[i]->window].windowed)
            buffer_append_format(&names, "%s%s", names.bytes > 0 ? ", " : "", set->items[i]->name);
    }
    enum error_code code =
        error_set_field(error, ERR_INVALID, "type", "type is \"%.60s\"; it must be one of %s", type,
                        buffer_text(&names));
    buffer_fini(&names);
    return code;
}

/* namespace=X is group=X of an aggregation that groups by namespace: namespace_grouping unless type says
 * which. */
static enum error_code read_group(struct http_request *request, const struct aggregation_set *set,
                                  struct query_filter *filter, struct error *error)
{
    const char *namespace = http_query(request, "namespace");
    const char *type = http_query(request, "type");
    filter->group = http_query(request, "group");
    if (namespace && !type)
        type = "namespace_grouping";
    if (type) {
        filter->type = aggregation_set_find(set, type, strlen(type));
        if (!filter->type || !set->windows[filter->type->window].windowed)
            return bad_type(set, type, error);
    }
    if (!namespace)
        return ERR_OK;
    const struct aggregation_group *group = &set->groups[filter->type->group];
    if (filter->group && strcmp(filter->group, namespace) != 0)
        return error_set_field(error, ERR_INVALID, "namespace",
                               "namespace and group name different groups");
    if (group->count != 1 || strcmp(group->keys[0].name, "namespace") != 0)
        return error_set_field(error, ERR_INVALID, "namespace",
                               "namespace goes with a type that groups by namespace alone");
    filter->group = namespace;
    return ERR_OK;
}

static enum error_code read_filter(struct http_request *request, const struct aggregation_set *set,
                                   struct query_filter *filter, struct error *error)
{
    static const char *const known[] = {"type",  "group",  "namespace", "from",       "to",
                                        "limit", "cursor", "after",     "timeout_ms", NULL};
    int64_t limit = 0;
    enum error_code code = http_query_known(request, known, error);
    if (!code)
        code = read_group(request, set, filter, error);
    if (!code)
        code = read_instant(request, "from", &filter->from_us, error);
    if (!code)
        code = read_instant(request, "to", &filter->to_us, error);
    if (!code)
        code =
            http_query_int(request, "limit", 1, LIST_ITEMS_MAX, LIST_ITEMS_DEFAULT, &limit, error);
    if (!code)
        code = read_cursor(http_query(request, "cursor"), filter, error);
    filter->limit = (int)limit;
    return code;
}

static void answer_windows(struct http_request *request, struct http_response *response,
                           struct service *service, bool open_only)
{
    struct query_filter filter = {.open_only = open_only};
    struct query_rows rows = {0};
    struct error error = {0};
    struct postgres *postgres;
    enum error_code code = read_filter(request, service->aggregations, &filter, &error);
    if (code) {
        http_problem(response, &error);
        return;
    }
    if (!service_wait_after(service, request, response))
        return;
    code = postgres_pool_get(service->pool, &postgres, &error);
    if (!code) {
        code = query_windows(postgres, service->aggregations, &filter, &rows, &error);
        postgres_pool_put(service->pool, postgres);
    }
    if (code) {
        http_problem(response, &error);
        return;
    }
    struct json *page = json_object();
    struct json *items = json_array();
    for (int i = 0; i < rows.count; i++)
        json_array_append(items, row_json(service->aggregations, &rows.items[i]));
    json_object_set(page, "items", items);
    json_object_set(page, "next_cursor",
                    rows.more ? cursor_json(&rows.items[rows.count - 1]) : json_null());
    http_json(response, 200, page);
    json_release(page);
    query_rows_fini(&rows);
}

void handle_aggregations(struct http_request *request, struct http_response *response,
                         void *context)
{
    answer_windows(request, response, context, false);
}

void handle_windows_open(struct http_request *request, struct http_response *response,
                         void *context)
{
    answer_windows(request, response, context, true);
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

/* -- totals -- */

static struct json *total_json(const struct aggregation_set *set, const struct query_row *row)
{
    struct json *item = json_object();
    json_object_set(item, "namespace", json_string(row->merged->group, row->merged->group_bytes));
    json_object_set(item, "values", aggregate_values(set, row->merged));
    return item;
}

enum error_code service_totals(struct service *service, const char *namespace, const char *after,
                               int limit, struct query_rows *rows, struct error *error)
{
    const struct aggregation *total = aggregation_set_find(
        service->aggregations, AGGREGATION_OF_TOTALS, strlen(AGGREGATION_OF_TOTALS));
    struct postgres *postgres;
    if (!total)
        return error_set(error, ERR_NOT_FOUND,
                         "there is no aggregation " AGGREGATION_OF_TOTALS " in the contracts");
    enum error_code code = postgres_pool_get(service->pool, &postgres, error);
    if (code)
        return code;
    code =
        query_totals(postgres, service->aggregations, total, namespace, after, limit, rows, error);
    postgres_pool_put(service->pool, postgres);
    return code;
}

void handle_namespaces(struct http_request *request, struct http_response *response, void *context)
{
    static const char *const known[] = {"namespace", "limit",      "cursor",
                                        "after",     "timeout_ms", NULL};
    struct service *service = context;
    struct query_rows rows = {0};
    struct error error = {0};
    int64_t limit = 0;
    enum error_code code = http_query_known(request, known, &error);
    if (!code)
        code =
            http_query_int(request, "limit", 1, LIST_ITEMS_MAX, LIST_ITEMS_DEFAULT, &limit, &error);
    if (!code && !service_wait_after(service, request, response))
        return;
    if (!code)
        code = service_totals(service, http_query(request, "namespace"),
                              http_query(request, "cursor"), (int)limit, &rows, &error);
    if (code) {
        http_problem(response, &error);
        return;
    }
    struct json *page = json_object();
    struct json *items = json_array();
    for (int i = 0; i < rows.count; i++)
        json_array_append(items, total_json(service->aggregations, &rows.items[i]));
    const struct query_row *last = rows.more ? &rows.items[rows.count - 1] : NULL;
    json_object_set(page, "items", items);
    json_object_set(page, "next_cursor",
                    last ? json_string(last->merged->group, last->merged->group_bytes)
                         : json_null());
    http_json(response, 200, page);
    json_release(page);
    query_rows_fini(&rows);
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
