/* SPDX-License-Identifier: MIT */
#include "metadata-stamping/service.h"

#include "io/clock.h"
#include "io/unified.h"

const struct http_route service_routes[] = {
    {"POST", STAMPING_PREFIX "/stamp", handle_stamp, 0, STAMP_BODY_BYTES_MAX},
    {"GET", STAMPING_PREFIX "/stamp/{file_hash}", handle_get_stamp, 0, 0},
    {"POST", STAMPING_PREFIX "/validate", handle_validate, 0, STAMP_BODY_BYTES_MAX},
    {"POST", STAMPING_PREFIX "/hash", handle_hash, 0, HASH_BODY_BYTES_MAX},
    {"POST", STAMPING_PREFIX "/batch", handle_batch, 0, STAMP_BODY_BYTES_MAX},
    {"POST", STAMPING_PREFIX "/stamp/batch", handle_batch, 0, STAMP_BODY_BYTES_MAX},
    {"POST", STAMPING_PREFIX "/validate-protocol", handle_validate_protocol, 0,
     STAMP_BODY_BYTES_MAX},
    {"GET", STAMPING_PREFIX "/namespace/{namespace}", handle_namespace, 0, 0},
    {"POST", STAMPING_PREFIX "/transform/stamp", handle_stamp_only, 0, STAMP_BODY_BYTES_MAX},
    {"POST", STAMPING_PREFIX "/transform/validate", handle_validate, 0, STAMP_BODY_BYTES_MAX},
    {"GET", STAMPING_PREFIX "/transformers", handle_transformers, 0, 0},
    {"GET", STAMPING_PREFIX "/schemas", handle_schemas, 0, 0},
    {"GET", STAMPING_PREFIX "/health", handle_service_health, HTTP_OPEN, 0},
    {"GET", STAMPING_PREFIX "/health/live", handle_health_live, HTTP_OPEN, 0},
    {"GET", STAMPING_PREFIX "/health/ready", handle_health_ready, HTTP_OPEN, 0},
    {"GET", STAMPING_PREFIX "/metrics", http_handle_metrics, HTTP_OPEN | HTTP_HIDDEN, 0},
    {"GET", "/", handle_about, HTTP_OPEN, 0},
    {"GET", "/health", handle_health, HTTP_OPEN, 0},
    {"GET", "/health/live", handle_health_live, HTTP_OPEN, 0},
    {"GET", "/health/ready", handle_health_ready, HTTP_OPEN, 0},
    {"GET", "/metrics", http_handle_metrics, HTTP_OPEN, 0},
    {0},
};

struct json *service_body(const struct http_request *request, struct http_response *response)
{
    struct error error = {0};
    struct json_position position = {0};
    struct json *body = json_parse(request->body, request->body_bytes, &error, &position);
    if (body == NULL)
        unified_fail(response, &error);
    return body;
}

double service_elapsed_ms(int64_t start_us)
{
    return (double)(clock_monotonic_us() - start_us) / 1000.0;
}

void service_performance(struct buffer *body, const char *name, double elapsed_ms, size_t bytes,
                         double a_ms, double b_ms)
{
    unified_name(body, name);
    buffer_append_char(body, '{');
    unified_decimal(body, "execution_time_ms", elapsed_ms);
    unified_int(body, "file_size_bytes", (int64_t)bytes);
    unified_json(body, "cpu_usage_percent", "null");
    unified_text(body, "performance_grade",
                 elapsed_ms < a_ms   ? "A"
                 : elapsed_ms < b_ms ? "B"
                                     : "C");
    buffer_append_char(body, '}');
}
