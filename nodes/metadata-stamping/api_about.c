/* SPDX-License-Identifier: MIT */
/* What the service is, whether it is well, and which forms it knows. */
#include <string.h>

#include "base/instant.h"
#include "io/clock.h"
#include "io/unified.h"
#include "metadata-stamping/core/protocol.h"
#include "metadata-stamping/service.h"

/* ERR_OK when stamps can be made as configured: with a database, when that answers. */
static enum error_code ready(const struct service *service, struct error *error)
{
    *error = (struct error){0};
    return service->store == NULL ? ERR_OK : stamp_store_check(service->store, error);
}

void handle_about(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    const struct service *service = context;
    struct buffer *body = unified_begin(response, "success");
    buffer_append_char(body, '{');
    unified_text(body, "service", "metadata-stamping");
    unified_text(body, "version", VERSION);
    unified_text(body, "database", service->store != NULL ? "configured" : "not configured");
    unified_name(body, "endpoints");
    buffer_append_char(body, '[');
    for (const struct http_route *route = service_routes; route->path != NULL; route++) {
        if (route != service_routes)
            buffer_append_char(body, ',');
        buffer_append_format(body, "\"%s %s\"", route->method, route->path);
    }
    buffer_append_text(body, "]}");
    unified_end(response, "MetadataStamping", NULL);
}

/* The plain shape of the older application level. */
void handle_health(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    struct error error;
    bool well = ready(context, &error) == ERR_OK;
    struct buffer *body = &response->body;
    response->status = well ? 200 : 503;
    buffer_append_char(body, '{');
    unified_text(body, "status", well ? "ok" : "unavailable");
    unified_text(body, "service", "metadata-stamping");
    if (!well) {
        unified_text(body, "reason", error.text);
        http_retry_after(response, 1);
    }
    buffer_append_char(body, '}');
}

static double uptime_s(const struct service *service)
{
    return (double)(clock_monotonic_us() - service->started_us) / 1e6;
}

void handle_health_live(struct http_request *request, struct http_response *response, void *context)
{
    (void)request;
    struct buffer *body = unified_begin(response, "success");
    buffer_append_text(body, "{\"alive\":true");
    unified_decimal(body, "uptime_seconds", uptime_s(context));
    buffer_append_char(body, '}');
    unified_end(response, "Alive", NULL);
}

static void append_component(struct buffer *body, const char *name, const char *status,
                             const char *detail, double elapsed_ms)
{
    unified_name(body, name);
    buffer_append_char(body, '{');
    unified_text(body, "status", status);
    unified_text(body, "detail", detail);
    unified_decimal(body, "check_duration_ms", elapsed_ms);
    buffer_append_char(body, '}');
}

static void answer_components(struct http_response *response, const struct service *service,
                              const char *flag)
{
    char time[INSTANT_TEXT_BYTES];
    struct error error;
    int64_t start_us = clock_monotonic_us();
    bool well = ready(service, &error) == ERR_OK;
    double elapsed_ms = service_elapsed_ms(start_us);
    struct buffer *body = unified_begin(response, well ? "success" : "error");
    response->status = well ? 200 : 503;
    buffer_append_char(body, '{');
    if (flag != NULL)
        unified_bool(body, flag, well);
    unified_text(body, "status", well ? "healthy" : "unhealthy");
    unified_text(body, "version", VERSION);
    unified_decimal(body, "uptime_seconds", uptime_s(service));
    unified_text(body, "timestamp", instant_format(clock_now_us(), time));
    unified_name(body, "components");
    buffer_append_char(body, '{');
    append_component(body, "hash_generator", "healthy", "BLAKE3", 0);
    append_component(body, "database",
                     service->store == NULL ? "not_configured"
                     : well                 ? "healthy"
                                            : "unhealthy",
                     service->store == NULL ? "stamps are made and not kept"
                     : well                 ? "stamps are kept"
                                            : error.text,
                     elapsed_ms);
    buffer_append_text(body, "}}");
    unified_end(response, well ? "Ready" : "Not ready", NULL);
    if (!well)
        http_retry_after(response, 1);
}

void handle_health_ready(struct http_request *request, struct http_response *response,
                         void *context)
{
    (void)request;
    answer_components(response, context, "ready");
}

void handle_service_health(struct http_request *request, struct http_response *response,
                           void *context)
{
    (void)request;
    answer_components(response, context, NULL);
}

/* -- protocol -- */

static void append_list(struct buffer *body, const char *name, const char *const *texts, int count)
{
    unified_name(body, name);
    buffer_append_char(body, '[');
    for (int i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_char(body, ',');
        buffer_append_json_text(body, texts[i]);
    }
    buffer_append_char(body, ']');
}

static void answer_protocol(struct http_response *response, const struct json *wanted)
{
    int64_t start_us = clock_monotonic_us();
    size_t bytes;
    const char *content = json_string_value(json_get(wanted, "content"), &bytes);
    const char *target = fields_text(wanted, "target_protocol", PROTOCOL_NAME);
    struct protocol_report report;
    protocol_check(content, bytes, target, fields_text(wanted, "validation_level", "standard"),
                   &report);
    struct buffer *body = unified_begin(response, "success");
    buffer_append_text(body, "{\"validation_result\":{");
    unified_bool(body, "is_valid", report.valid);
    unified_text(body, "protocol_version", target);
    unified_text(body, "compliance_level", report.level);
    append_list(body, "issues", report.issues, report.issues_count);
    append_list(body, "recommendations", report.recommendations, report.recommendations_count);
    buffer_append_char(body, '}');
    service_performance(body, "performance_metrics", service_elapsed_ms(start_us), bytes, 10, 50);
    buffer_append_char(body, '}');
    unified_end(response, "Protocol checked", NULL);
}

void handle_validate_protocol(struct http_request *request, struct http_response *response,
                              void *context)
{
    (void)context;
    struct error error = {0};
    struct json *body = service_body(request, response);
    if (body == NULL)
        return;
    if (stamp_content_fits(body, &error) == ERR_OK &&
        fields_check(protocol_request_fields, body, "", &error) == ERR_OK)
        answer_protocol(response, body);
    else
        unified_fail(response, &error);
    json_release(body);
}

/* -- transformers and schemas -- */

static const struct {
    const char *name;
    const char *path;
    const char *schema; /* of its request */
    const char *description;
} transformers[] = {
    {"stamp", STAMPING_PREFIX "/transform/stamp", "stamp_request",
     "Text to stamped text; nothing is stored."},
    {"validate", STAMPING_PREFIX "/transform/validate", "validate_request",
     "Stamped text to what its stamps are worth."},
};

void handle_transformers(struct http_request *request, struct http_response *response,
                         void *context)
{
    (void)request;
    (void)context;
    int count = (int)(sizeof transformers / sizeof *transformers);
    struct buffer *body = unified_begin(response, "success");
    buffer_append_text(body, "{\"transformers\":[");
    for (int i = 0; i < count; i++) {
        buffer_append_text(body, i > 0 ? ",{" : "{");
        unified_text(body, "name", transformers[i].name);
        unified_text(body, "version", VERSION);
        unified_text(body, "path", transformers[i].path);
        unified_text(body, "input_schema", transformers[i].schema);
        unified_text(body, "description", transformers[i].description);
        buffer_append_char(body, '}');
    }
    buffer_append_char(body, ']');
    unified_int(body, "count", count);
    buffer_append_char(body, '}');
    unified_end(response, "Transformers", NULL);
}

void handle_schemas(struct http_request *request, struct http_response *response, void *context)
{
    static const struct {
        const char *name;
        const struct field *fields;
    } schemas[] = {
        {"stamp_request", stamp_request_fields},
        {"validate_request", validate_request_fields},
        {"batch_request", batch_request_fields},
        {"batch_item", batch_item_fields},
        {"validate_protocol_request", protocol_request_fields},
    };
    (void)request;
    (void)context;
    struct buffer *body = unified_begin(response, "success");
    buffer_append_text(body, "{\"schemas\":{");
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        struct json *schema = fields_schema(schemas[i].fields);
        unified_name(body, schemas[i].name);
        json_write(schema, body);
        json_release(schema);
    }
    buffer_append_text(body, "}}");
    unified_end(response, "Schemas", NULL);
}
