/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/http_task.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "base/limits.h"

#define CAUSE_BYTES_MAX 1024
#define BOUNDARY "onex-form-7d9f3c5b1e8a46d2"
#define BOUNDARY_BYTES (sizeof BOUNDARY + 17)

bool http_task_fail(struct http_task_failure *failure, const char *error, const char *format, ...)
{
    va_list arguments;
    failure->error = error;
    buffer_clear(&failure->cause);
    va_start(arguments, format);
    buffer_append_format_list(&failure->cause, format, arguments);
    va_end(arguments);
    return false;
}

/* RFC 3986 unreserved characters stay; in a path the slash and what is already encoded as well. */
static void append_encoded(struct buffer *out, const char *text, const char *also)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (isalnum((unsigned char)*p) || strchr("-._~", *p) != NULL || strchr(also, *p) != NULL)
            buffer_append_char(out, *p);
        else
            buffer_append_format(out, "%%%02X", (unsigned char)*p);
    }
}

static void append_scalar(struct buffer *out, const struct json *value)
{
    const char *text = json_string_value(value, NULL);
    if (text != NULL)
        buffer_append_text(out, text);
    else
        json_write(value, out);
}

static void append_query(struct buffer *url, const char *name, const struct json *value)
{
    struct buffer text = {0};
    append_scalar(&text, value);
    buffer_append_char(url, strchr(buffer_text(url), '?') == NULL ? '?' : '&');
    append_encoded(url, name, "");
    buffer_append_char(url, '=');
    append_encoded(url, buffer_text(&text), "");
    buffer_fini(&text);
}

/* A segment "..", written plainly or as %2e, would leave the service's base URL. */
static bool leaves_base(const char *path)
{
    for (const char *p = path; *p != '\0' && *p != '?';) {
        int dots = 0;
        const char *segment = p;
        while (*p == '.' || strncasecmp(p, "%2e", 3) == 0) {
            p += *p == '.' ? 1 : 3;
            dots++;
        }
        bool whole = *p == '\0' || *p == '/' || *p == '?';
        if (dots == 2 && whole && p > segment)
            return true;
        p += strcspn(p, "/?");
        p += *p == '/';
    }
    return false;
}

int http_task_service(const struct json *parameters, const struct services *services)
{
    const char *service = json_string_value(json_get(parameters, "Service"), NULL);
    const char *endpoint = json_string_value(json_get(parameters, "ApiEndpoint"), NULL);
    return service != NULL    ? services_index(services, service)
           : endpoint != NULL ? services_index_of_url(services, endpoint)
                              : -1;
}

static bool is_url_text(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return false;
    return true;
}

static bool build_url(struct http_task_request *request, const struct json *parameters,
                      const struct services *services, struct http_task_failure *failure)
{
    const char *service = json_string_value(json_get(parameters, "Service"), NULL);
    const char *endpoint = json_string_value(json_get(parameters, "ApiEndpoint"), NULL);
    const char *path = json_string_or(json_get(parameters, "Path"), "");
    if (service == NULL && endpoint == NULL)
        return http_task_fail(failure, HTTP_TASK_BAD_PARAMETERS,
                              "Parameters need Service or ApiEndpoint");
    request->service = http_task_service(parameters, services);
    if (request->service < 0)
        return http_task_fail(failure, "States.Permissions",
                              "%s is not a service of contracts/services.yaml",
                              service != NULL ? service : endpoint);
    if (leaves_base(path) || (service == NULL && leaves_base(endpoint)))
        return http_task_fail(failure, HTTP_TASK_BAD_PARAMETERS, "the path %s has a segment ..",
                              *path != '\0' ? path : endpoint);
    if (service == NULL && !is_url_text(endpoint))
        return http_task_fail(failure, HTTP_TASK_BAD_PARAMETERS,
                              "ApiEndpoint has a space or a control character; it must be a URL");
    buffer_append_text(&request->url,
                       service != NULL ? services->items[request->service].base_url : endpoint);
    if (*path != '\0' && *path != '/')
        buffer_append_char(&request->url, '/');
    append_encoded(&request->url, path, "/%:@!$&'()*+,;=");
    const struct json *query = json_get(parameters, "QueryParameters");
    for (size_t i = 0; i < json_size(query); i++) {
        const struct json *value = json_member_at(query, i);
        const char *name = json_name_at(query, i, NULL);
        if (json_type_of(value) != JSON_ARRAY)
            append_query(&request->url, name, value);
        for (size_t k = 0; json_type_of(value) == JSON_ARRAY && k < json_size(value); k++)
            append_query(&request->url, name, json_at(value, k));
    }
    return true;
}

static bool is_header_text(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

static void append_header(struct http_task_request *request, const char *name, const char *value)
{
    if (value != NULL && is_header_text(value))
        buffer_append_format(&request->headers, "%s: %s\n", name, value);
}

/* Set for every call by us; a contract cannot change them. */
static bool is_own_header(const char *name)
{
    static const char *const own[] = {"Idempotency-Key", "X-Correlation-ID", "traceparent"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcasecmp(own[i], name) == 0)
            return true;
    return false;
}

/* Adds the caller's headers; gives the Content-Type among them through *content_type. */
static bool build_headers(struct http_task_request *request, const struct json *headers,
                          const struct json **content_type, struct http_task_failure *failure)
{
    *content_type = NULL;
    for (size_t i = 0; i < json_size(headers); i++) {
        const char *name = json_name_at(headers, i, NULL);
        const struct json *value = json_member_at(headers, i);
        struct buffer text = {0};
        append_scalar(&text, value);
        bool fine = *name != '\0' && is_header_text(name) && strpbrk(name, ": ") == NULL &&
                    is_header_text(buffer_text(&text));
        if (fine && strcasecmp(name, "Content-Type") == 0)
            *content_type = value;
        else if (fine && !is_own_header(name))
            append_header(request, name, buffer_text(&text));
        buffer_fini(&text);
        if (!fine)
            return http_task_fail(failure, HTTP_TASK_BAD_PARAMETERS,
                                  "header %s is not one that can be sent", name);
    }
    return true;
}

static void append_quoted(struct buffer *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"')
            buffer_append_text(out, "%22");
        else if (*p == '\r' || *p == '\n')
            buffer_append_text(out, *p == '\r' ? "%0D" : "%0A");
        else
            buffer_append_char(out, *p);
    }
}

static void append_part(struct buffer *body, const char *boundary, const char *name,
                        const struct json *value)
{
    bool file = json_type_of(value) == JSON_OBJECT && json_get(value, "content") != NULL;
    const struct json *content = file ? json_get(value, "content") : value;
    size_t bytes;
    const char *text = json_string_value(content, &bytes);
    buffer_append_format(body, "--%s\r\nContent-Disposition: form-data; name=\"", boundary);
    append_quoted(body, name);
    if (file) {
        buffer_append_text(body, "\"; filename=\"");
        append_quoted(body, json_string_or(json_get(value, "filename"), "data"));
        buffer_append_text(body, "\"\r\nContent-Type: ");
        append_quoted(body,
                      json_string_or(json_get(value, "content_type"), "application/octet-stream"));
    } else {
        buffer_append_char(body, '"');
    }
    buffer_append_text(body, "\r\n\r\n");
    if (text != NULL)
        buffer_append(body, text, bytes);
    else
        json_write(content, body);
    buffer_append_text(body, "\r\n");
}

static size_t occurrences(const struct buffer *body, const char *text)
{
    size_t count = 0, bytes = strlen(text);
    const char *at = buffer_text(body), *end = at + body->bytes;
    while ((at = memmem(at, (size_t)(end - at), text, bytes)) != NULL) {
        at += bytes;
        count++;
    }
    return count;
}

/* A boundary must stand nowhere in the parts, which are anybody's documents. One that does is followed
 * by one made from the octets before: nobody can write it into them, and each attempt sends the same. */
static void build_form(struct http_task_request *request, const struct json *body)
{
    char boundary[BOUNDARY_BYTES] = BOUNDARY, header[BOUNDARY_BYTES + 32];
    for (uint64_t salt = 0;; salt++) {
        buffer_clear(&request->body);
        for (size_t i = 0; i < json_size(body); i++)
            append_part(&request->body, boundary, json_name_at(body, i, NULL),
                        json_member_at(body, i));
        buffer_append_format(&request->body, "--%s--\r\n", boundary);
        if (occurrences(&request->body, boundary) == json_size(body) + 1)
            break;
        uint64_t hash = XXH3_64bits_withSeed(request->body.data, request->body.bytes, salt);
        snprintf(boundary, sizeof boundary, BOUNDARY "-%016llx", (unsigned long long)hash);
    }
    snprintf(header, sizeof header, "multipart/form-data; boundary=%s", boundary);
    append_header(request, "Content-Type", header);
}

static void build_body(struct http_task_request *request, const struct json *body,
                       const char *content_type)
{
    size_t bytes;
    const char *text = json_string_value(body, &bytes);
    request->has_body = true;
    if (content_type != NULL && strncasecmp(content_type, "multipart/form-data", 19) == 0 &&
        json_type_of(body) == JSON_OBJECT) {
        build_form(request, body);
        return;
    }
    append_header(request, "Content-Type",
                  content_type == NULL ? "application/json" : content_type);
    if (text != NULL && content_type != NULL && strcasestr(content_type, "json") == NULL)
        buffer_append(&request->body, text, bytes);
    else
        json_write(body, &request->body);
}

static const char *known_method(const char *name)
{
    static const char *const methods[] = {"GET",    "POST", "PUT",    "PATCH",
                                          "DELETE", "HEAD", "OPTIONS"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (strcmp(methods[i], name) == 0)
            return methods[i];
    return NULL;
}

bool http_task_build(struct http_task_request *request, const struct json *parameters,
                     const struct services *services, const struct http_task_identity *identity,
                     struct http_task_failure *failure)
{
    const struct json *body = json_get(parameters, "RequestBody"), *content_type;
    const char *method =
        json_string_or(json_get(parameters, "Method"), body == NULL ? "GET" : "POST");
    request->method = known_method(method);
    if (request->method == NULL)
        return http_task_fail(
            failure, HTTP_TASK_BAD_PARAMETERS,
            "Method %s is not one of GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS", method);
    if (!build_url(request, parameters, services, failure) ||
        !build_headers(request, json_get(parameters, "Headers"), &content_type, failure))
        return false;
    if (body != NULL)
        build_body(request, body, json_string_value(content_type, NULL));
    append_header(request, "Idempotency-Key", identity->idempotency_key);
    append_header(request, "X-Correlation-ID", identity->correlation_id);
    append_header(request, "traceparent", identity->traceparent);
    append_header(request, "X-API-Key", services->items[request->service].api_key);
    return true;
}

void http_task_request_fini(struct http_task_request *request)
{
    buffer_fini(&request->url);
    buffer_fini(&request->headers);
    buffer_fini(&request->body);
}

/* Headers about the connection or the browser say nothing to a workflow, and every result is stored. */
static bool is_kept_header(const char *name, size_t bytes)
{
    static const char *const dropped[] = {"date",
                                          "connection",
                                          "keep-alive",
                                          "transfer-encoding",
                                          "content-length",
                                          "server",
                                          "x-content-type-options",
                                          "x-frame-options",
                                          "referrer-policy",
                                          "content-security-policy",
                                          "cache-control",
                                          "x-correlation-id",
                                          "x-request-id"};
    for (size_t i = 0; i < sizeof dropped / sizeof dropped[0]; i++)
        if (strlen(dropped[i]) == bytes && strncasecmp(dropped[i], name, bytes) == 0)
            return false;
    return true;
}

/* Takes value, which joins the others of its name; headers are still being built. */
static void add_value(struct json *headers, const char *name, size_t bytes, struct json *value)
{
    struct json *values = (struct json *)(uintptr_t)json_get_bytes(headers, name, bytes);
    if (values == NULL) {
        values = json_array();
        json_object_set_bytes(headers, name, bytes, values);
    }
    json_array_append(values, value);
}

/* A text that JSON, and so the database, can have. */
static bool is_storable(const char *text, size_t bytes)
{
    return utf8_is_valid(text, bytes) && memchr(text, '\0', bytes) == NULL;
}

static struct json *header_values(const struct http_task_response *response)
{
    struct json *headers = json_object();
    const char *end = response->headers + response->headers_bytes;
    for (const char *line = response->headers; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop == NULL ? end : stop;
        const char *colon = memchr(line, ':', (size_t)(stop - line));
        if (colon != NULL && is_kept_header(line, (size_t)(colon - line))) {
            const char *value = colon + 1, *last = stop;
            while (value < last && (*value == ' ' || *value == '\t'))
                value++;
            while (last > value && (last[-1] == '\r' || last[-1] == ' '))
                last--;
            char name[128];
            size_t bytes =
                (size_t)(colon - line) < sizeof name ? (size_t)(colon - line) : sizeof name - 1;
            for (size_t i = 0; i < bytes; i++)
                name[i] = (char)tolower((unsigned char)line[i]);
            if (is_storable(value, (size_t)(last - value)) && is_storable(name, bytes))
                add_value(headers, name, bytes, json_string(value, (size_t)(last - value)));
        }
        line = stop + 1;
    }
    return headers;
}

static void fail_status(const struct http_task_response *response,
                        struct http_task_failure *failure)
{
    size_t bytes = response->body_bytes < CAUSE_BYTES_MAX ? response->body_bytes : CAUSE_BYTES_MAX;
    for (int cut = 0; cut < 3 && bytes > 0 && !utf8_is_valid(response->body, bytes); cut++)
        bytes--; /* the character that the limit cuts through */
    snprintf(failure->error_text, sizeof failure->error_text, "States.Http.StatusCode.%d",
             response->status);
    failure->error = failure->error_text;
    buffer_clear(&failure->cause);
    if (is_storable(response->body, bytes))
        buffer_append(&failure->cause, response->body, bytes);
}

static struct json *parse_body(const struct http_task_response *response,
                               const struct json *headers, struct http_task_failure *failure)
{
    const char *content_type = json_string_or(json_at(json_get(headers, "content-type"), 0), "");
    if (response->body_bytes == 0)
        return json_null();
    if (strcasestr(content_type, "json") != NULL) {
        struct error error = {0};
        struct json *body = json_parse(response->body, response->body_bytes, &error, NULL);
        if (body == NULL)
            http_task_fail(failure, "States.Http.InvalidBody",
                           "the response says it is JSON and is not: %s", error.text);
        if (body == NULL || json_depth(body) <= JSON_DEPTH_MAX - RECORD_DEPTH_MAX)
            return body;
        json_release(body); /* the record with it could not be read again */
        http_task_fail(failure, "States.DataLimitExceeded",
                       "the response is nested more than %d deep",
                       JSON_DEPTH_MAX - RECORD_DEPTH_MAX);
        return NULL;
    }
    if (!is_storable(response->body, response->body_bytes)) {
        http_task_fail(failure, "States.Http.InvalidBody", "the response is not UTF-8 text");
        return NULL;
    }
    return json_string(response->body, response->body_bytes);
}

struct json *http_task_result(const struct http_task_response *response,
                              struct http_task_failure *failure)
{
    if (response->status < 200 || response->status > 299) {
        fail_status(response, failure);
        return NULL;
    }
    struct json *headers = header_values(response);
    struct json *body = parse_body(response, headers, failure);
    if (body == NULL) {
        json_release(headers);
        return NULL;
    }
    struct json *result = json_object();
    json_object_set(result, "StatusCode", json_int(response->status));
    json_object_set(result, "Headers", headers);
    json_object_set(result, "ResponseBody", body);
    return result;
}
