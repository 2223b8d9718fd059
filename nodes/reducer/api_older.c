/* SPDX-License-Identifier: MIT */
/* api_older.c - paths and shapes of the older system, filled with real figures. */
#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "io/clock.h"
#include "reducer/query.h"
#include "reducer/service.h"

#define NAMESPACE_OLDER_DEFAULT "omninode.bridge"

struct figures {
    int64_t stamps, workflows, size_bytes;
    double average_ms;
};

/* A measure as a number; 0 when the row has none of that name, or nothing was seen. */
static double figure(const struct aggregate *row, const char *name)
{
    struct json *value = aggregate_value_named(row, name);
    double number = json_double_value(value);
    json_release(value);
    return number;
}

static enum error_code read_figures(struct service *service, const char *namespace,
                                    struct figures *figures, struct error *error)
{
    struct query_rows rows = {0};
    enum error_code code = service_total(service, namespace, &rows, error);
    if (code)
        return code;
    if (rows.count > 0 && !rows.items[0].unreadable) {
        const struct aggregate *total = rows.items[0].merged;
        figures->stamps = total->events;
        figures->size_bytes = (int64_t)figure(total, "total_size_bytes");
        figures->workflows = (int64_t)figure(total, "unique_workflows");
        figures->average_ms = figure(total, "avg_processing_time_ms");
    }
    query_rows_fini(&rows);
    return ERR_OK;
}

void handle_snapshot(struct http_request *request, struct http_response *response, void *context)
{
    static const char *const known[] = {"namespace", "after", "timeout_ms", NULL};
    struct figures figures = {0};
    struct error error = {0};
    char now[INSTANT_TEXT_BYTES];
    const char *namespace = http_query(request, "namespace");
    namespace = namespace ? namespace : NAMESPACE_OLDER_DEFAULT;
    enum error_code code = http_query_known(request, known, &error);
    if (!code && !service_wait_after(context, request, response))
        return;
    if (!code)
        code = read_figures(context, namespace, &figures, &error);
    if (code) {
        http_problem(response, &error);
        return;
    }
    struct json *summary = json_object();
    json_object_set(summary, "workflows_processed", json_int(figures.workflows));
    json_object_set(summary, "metadata_stamps_created", json_int(figures.stamps));
    json_object_set(summary, "average_latency_ms", json_double(figures.average_ms));
    struct json *snapshot = json_object();
    json_object_set(snapshot, "timestamp", json_text(instant_format(clock_now_us(), now)));
    json_object_set(snapshot, "namespace", json_text(namespace));
    json_object_set(snapshot, "total_items", json_int(figures.stamps));
    json_object_set(snapshot, "state_summary", summary);
    struct json *answer = json_object();
    json_object_set(answer, "success", json_bool(true));
    json_object_set(answer, "snapshot", snapshot);
    http_json(response, 200, answer);
    json_release(answer);
}

/* namespace, aggregation_type (any text, as it always was) and limit. */
static enum error_code read_query(const struct json *body, const char **namespace,
                                  struct error *error)
{
    if (json_type_of(body) != JSON_OBJECT)
        return error_set(error, ERR_INVALID, "the body must be a JSON object");
    for (size_t i = 0; i < json_size(body); i++) {
        size_t bytes;
        const char *name = json_name_at(body, i, &bytes);
        if (strcmp(name, "namespace") != 0 && strcmp(name, "aggregation_type") != 0 &&
            strcmp(name, "limit") != 0)
            return error_set_field(
                error, ERR_INVALID, name,
                "\"%.60s\" is not known here; namespace, aggregation_type and limit are", name);
    }
    const struct json *limit = json_get(body, "limit");
    if (limit && (!json_is_int(limit) || json_int_value(limit) < 1 ||
                  json_int_value(limit) > LIST_ITEMS_MAX))
        return error_set_field(error, ERR_INVALID, "limit",
                               "limit must be a whole number from 1 to %d", LIST_ITEMS_MAX);
    const struct json *wanted = json_get(body, "namespace");
    if (wanted && json_type_of(wanted) != JSON_STRING)
        return error_set_field(error, ERR_INVALID, "namespace", "namespace must be a text");
    *namespace = json_string_or(wanted, NAMESPACE_OLDER_DEFAULT);
    return ERR_OK;
}

void handle_aggregation_query(struct http_request *request, struct http_response *response,
                              void *context)
{
    struct figures figures = {0};
    struct error error = {0};
    const char *namespace = NULL;
    struct json *body = json_parse(request->body, request->body_bytes, &error, NULL);
    enum error_code code = body ? read_query(body, &namespace, &error) : ERR_SYNTAX;
    if (!code)
        code = read_figures(context, namespace, &figures, &error);
    if (code) {
        http_problem(response, &error);
    } else {
        struct json *data = json_object();
        /* The topic tells of stamps that were made; workflows that failed made none. */
        json_object_set(data, "total_workflows", json_int(figures.workflows));
        json_object_set(data, "successful_workflows", json_int(figures.workflows));
        json_object_set(data, "average_processing_time_ms", json_double(figures.average_ms));
        json_object_set(data, "total_size_bytes", json_int(figures.size_bytes));
        struct json *answer = json_object();
        json_object_set(answer, "success", json_bool(true));
        json_object_set(answer, "total_count", json_int(figures.stamps));
        json_object_set(answer, "aggregated_data", data);
        json_object_set(answer, "namespace", json_text(namespace));
        http_json(response, 200, answer);
        json_release(answer);
    }
    json_release(body);
}
