/* SPDX-License-Identifier: MIT */
#include "io/unified.h"

struct buffer *unified_begin(struct http_response *response, const char *status)
{
    buffer_clear(&response->body);
    buffer_append_text(&response->body, "{\"status\":");
    buffer_append_json_text(&response->body, status);
    buffer_append_text(&response->body, ",\"data\":");
    return &response->body;
}

void unified_end(struct http_response *response, const char *message, const char *metadata)
{
    buffer_append_text(&response->body, ",\"error\":null,\"message\":");
    buffer_append_json_text(&response->body, message);
    buffer_append_text(&response->body, ",\"metadata\":");
    buffer_append_text(&response->body, metadata != NULL ? metadata : "{}");
    buffer_append_char(&response->body, '}');
}

void unified_error(struct http_response *response, int status, const char *code, const char *field,
                   const char *message)
{
    struct buffer *body = &response->body;
    buffer_clear(body);
    response->status = status;
    buffer_append_text(body,
                       "{\"detail\":{\"status\":\"error\",\"data\":null,\"error\":[{\"code\":");
    buffer_append_json_text(body, code);
    buffer_append_text(body, ",\"field\":");
    buffer_append_json_text(body, field != NULL && *field != '\0' ? field : NULL);
    buffer_append_text(body, ",\"message\":");
    buffer_append_json_text(body, message);
    buffer_append_text(body, "}],\"message\":");
    buffer_append_json_text(body, message);
    buffer_append_text(body, ",\"metadata\":{}}}");
    if (status == 503)
        http_retry_after(response, 1);
}

void unified_fail(struct http_response *response, const struct error *error)
{
    int status = error_code_status(error->code);
    const char *code = status == 422 || status == 400   ? "VALIDATION_ERROR"
                       : status == 413                  ? "CONTENT_TOO_LARGE"
                       : status == 503 || status == 504 ? "DATABASE_CONNECTION_ERROR"
                       : status == 507                  ? "MEMORY_ERROR"
                                                        : "RUNTIME_ERROR";
    unified_error(response, status, code, error->field,
                  error->text[0] != '\0' ? error->text : error_code_text(error->code));
}

void unified_name(struct buffer *body, const char *name)
{
    char last = body->bytes > 0 ? body->data[body->bytes - 1] : '{';
    buffer_append_text(body, last == '{' || last == '[' ? "\"" : ",\"");
    buffer_append_text(body, name);
    buffer_append(body, "\":", 2);
}

void unified_text(struct buffer *body, const char *name, const char *value)
{
    unified_name(body, name);
    buffer_append_json_text(body, value);
}

void unified_int(struct buffer *body, const char *name, int64_t value)
{
    unified_name(body, name);
    buffer_append_int(body, value);
}

void unified_bool(struct buffer *body, const char *name, bool value)
{
    unified_name(body, name);
    buffer_append_text(body, value ? "true" : "false");
}

void unified_decimal(struct buffer *body, const char *name, double value)
{
    unified_name(body, name);
    buffer_append_format(body, "%.3f", value);
}

void unified_json(struct buffer *body, const char *name, const char *json_text)
{
    unified_name(body, name);
    buffer_append_text(body, json_text);
}
