/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "core/multipart.h"
#include "io/http_internal.h"
#include "io/process.h"

_Thread_local struct http_exchange *http_exchange_current;

void http_response_header(struct http_response *response, const char *name, const char *value)
{
    buffer_append_text(&response->headers, name);
    buffer_append(&response->headers, ": ", 2);
    for (const char *c = value; *c != '\0'; c++) {
        if (*c != '\r' && *c != '\n')
            buffer_append_char(&response->headers, *c);
    }
    buffer_append(&response->headers, "\r\n", 2);
}

void http_json(struct http_response *response, int status, const struct json *value)
{
    response->status = status;
    response->content_type = "application/json";
    buffer_clear(&response->body);
    json_write(value, &response->body);
}

static void append_member(struct buffer *body, const char *name, const char *value)
{
    buffer_append_text(body, ",\"");
    buffer_append_text(body, name);
    buffer_append_text(body, "\":");
    buffer_append_json_text(body, value);
}

void http_problem_with(struct http_response *response, const struct error *error, int status,
                       const char *code, struct json *extra_members)
{
    struct buffer *body = &response->body;
    response->status = status;
    response->content_type = "application/problem+json";
    buffer_clear(body);
    buffer_append_text(body, "{\"type\":\"urn:omninode-bridge:problem:");
    buffer_append_text(body, code);
    buffer_append_char(body, '"');
    append_member(body, "title", error_code_text(error->code));
    buffer_append_text(body, ",\"status\":");
    buffer_append_int(body, status);
    append_member(body, "detail",
                  error->text[0] != '\0' ? error->text : error_code_text(error->code));
    append_member(body, "code", code);
    if (error->field[0] != '\0')
        append_member(body, "field", error->field);
    if (http_exchange_current != NULL && http_exchange_current->request.path != NULL)
        append_member(body, "instance", http_exchange_current->request.path);
    for (size_t i = 0; i < json_size(extra_members); i++) {
        size_t bytes;
        const char *name = json_name_at(extra_members, i, &bytes);
        buffer_append_char(body, ',');
        buffer_append_json_string(body, name, bytes);
        buffer_append_char(body, ':');
        json_write(json_member_at(extra_members, i), body);
    }
    buffer_append_char(body, '}');
    json_release(extra_members);
}

void http_problem(struct http_response *response, const struct error *error)
{
    http_problem_with(response, error, error_code_status(error->code), error_code_name(error->code),
                      NULL);
    if (error_code_status(error->code) == 503)
        http_retry_after(response, 1);
}

void http_retry_after(struct http_response *response, int seconds)
{
    /* Said at most once: a handler's own figure comes after http_problem's and replaces it. */
    char *old =
        response->headers.bytes > 0 ? strstr(response->headers.data, "Retry-After: ") : NULL;
    if (old != NULL) {
        char *end = strstr(old, "\r\n");
        size_t tail = response->headers.bytes - (size_t)(end + 2 - response->headers.data);
        memmove(old, end + 2, tail + 1);
        response->headers.bytes -= (size_t)(end + 2 - old);
    }
    char text[16];
    snprintf(text, sizeof text, "%d", seconds);
    http_response_header(response, "Retry-After", text);
}

void http_handle_metrics(struct http_request *request, struct http_response *response,
                         void *context)
{
    (void)request;
    (void)context;
    process_metrics_update();
    response->content_type = METRICS_CONTENT_TYPE;
    metrics_write(&response->body);
}

const char *http_path_parameter(const struct http_request *request, const char *name)
{
    const struct http_exchange *exchange = request->internal;
    return route_parameter(http_server_routes(exchange->server), exchange->route, &exchange->path,
                           name);
}

enum error_code http_exchange_parse_query(struct http_exchange *exchange, struct error *error)
{
    buffer_clear(&exchange->query_text);
    buffer_append_text(&exchange->query_text, exchange->request.query_string != NULL
                                                  ? exchange->request.query_string
                                                  : "");
    exchange->query_count = 0;
    if (exchange->query_text.bytes == 0 ||
        query_parse(exchange->query_text.data, exchange->query, QUERY_PARAMETERS_MAX,
                    &exchange->query_count))
        return ERR_OK;
    exchange->query_count = 0;
    return error_set(error, ERR_INVALID,
                     "the query string is not well formed or has more than %d parameters",
                     QUERY_PARAMETERS_MAX);
}

const char *http_query(struct http_request *request, const char *name)
{
    const struct http_exchange *exchange = request->internal;
    for (int i = 0; i < exchange->query_count; i++) {
        if (strcmp(exchange->query[i].name, name) == 0)
            return exchange->query[i].value;
    }
    return NULL;
}

enum error_code http_query_int(struct http_request *request, const char *name, int64_t min,
                               int64_t max, int64_t fallback, int64_t *value, struct error *error)
{
    *value = fallback;
    const char *text = http_query(request, name);
    if (text == NULL)
        return ERR_OK;
    char *end;
    long long number = strtoll(text, &end, 10);
    bool begins =
        (*text >= '0' && *text <= '9') || *text == '-'; /* strtoll takes blanks and + too */
    if (!begins || *end != '\0' || strlen(text) > 18 || number < min || number > max)
        return error_set_field(
            error, ERR_INVALID, name,
            "query parameter %s is \"%.64s\", allowed are whole numbers from %lld to %lld", name,
            text, (long long)min, (long long)max);
    *value = number;
    return ERR_OK;
}

static bool given_before(const struct http_exchange *exchange, int number)
{
    for (int i = 0; i < number; i++) {
        if (strcmp(exchange->query[i].name, exchange->query[number].name) == 0)
            return true;
    }
    return false;
}

enum error_code http_query_known(struct http_request *request, const char *const *names,
                                 struct error *error)
{
    const struct http_exchange *exchange = request->internal;
    enum error_code code = ERR_OK;
    for (int i = 0; code == ERR_OK && i < exchange->query_count; i++) {
        const char *name = exchange->query[i].name;
        bool known = false;
        for (int j = 0; names[j] != NULL; j++)
            known |= strcmp(names[j], name) == 0;
        if (!known)
            code = error_set_field(error, ERR_INVALID, name,
                                   "query parameter %.64s is not known here", name);
        else if (strcmp(name, HTTP_QUERY_REPEATED) != 0 && given_before(exchange, i))
            code = error_set_field(error, ERR_INVALID, name,
                                   "query parameter %.64s is given more than once", name);
    }
    return code;
}

bool http_form_part(struct http_request *request, const char *name, const char **data,
                    size_t *bytes, const char **filename)
{
    struct http_exchange *exchange = request->internal;
    struct multipart_part part;
    if (!multipart_find(request->content_type, request->body, request->body_bytes, name, &part))
        return false;
    *data = part.data;
    *bytes = part.bytes;
    if (filename == NULL)
        return true;
    *filename = "";
    if (part.filename[0] != '\0' && exchange->form_filenames_count < HTTP_FORM_PARTS_MAX) {
        char *copy = must_strdup(part.filename);
        exchange->form_filenames[exchange->form_filenames_count++] = copy;
        *filename = copy;
    }
    return true;
}
