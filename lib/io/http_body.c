/* SPDX-License-Identifier: MIT */
/* Reading a request's body within its bounds. */
#include <civetweb.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "io/clock.h"
#include "io/http_internal.h"

#define BODY_BYTES_DEFAULT 65536u
#define BODY_BYTES_UNCOUNTED 65536u
#define BODY_STEP_BYTES 65536u

/* Small bodies are not counted: the number of threads bounds them. */
static bool reserve(struct http_exchange *exchange, size_t bytes)
{
    if (bytes <= BODY_BYTES_UNCOUNTED || bytes <= exchange->body_bytes_reserved)
        return true;
    size_t more = bytes - exchange->body_bytes_reserved;
    atomic_size_t *total = exchange->bodies_bytes;
    if (atomic_fetch_add(total, more) + more > HTTP_BODIES_BYTES_MAX) {
        atomic_fetch_sub(total, more);
        return false;
    }
    exchange->body_bytes_reserved = bytes;
    return true;
}

enum body_result { BODY_READ, BODY_BROKEN, BODY_NO_ROOM };

static enum body_result read_all(struct http_exchange *exchange, size_t bytes_max,
                                 bool length_known, size_t length)
{
    struct buffer *body = &exchange->body;
    buffer_clear(body);
    while (!length_known || body->bytes < length) {
        /* As much again as has come: memory follows what was sent, not what was announced. */
        size_t room = body->bytes > BODY_STEP_BYTES ? body->bytes : BODY_STEP_BYTES;
        if (length_known && room > length - body->bytes)
            room = length - body->bytes;
        if (body->bytes > bytes_max)
            return BODY_READ; /* chunked and too large: the caller tells */
        if (!reserve(exchange, body->bytes + room))
            return BODY_NO_ROOM;
        buffer_reserve(body, room);
        int got = mg_read(exchange->connection, body->data + body->bytes, room);
        if (got < 0)
            return BODY_BROKEN;
        if (got == 0)
            break;
        body->bytes += (size_t)got;
        atomic_store_explicit(&exchange->body_bytes_read, body->bytes, memory_order_relaxed);
    }
    buffer_reserve(body, 1);
    body->data[body->bytes] = '\0';
    return !length_known || body->bytes == length ? BODY_READ : BODY_BROKEN;
}

bool http_exchange_take_body(struct http_exchange *exchange, const struct http_route *route)
{
    const struct mg_request_info *info = mg_get_request_info(exchange->connection);
    size_t bytes_max = route->body_bytes_max > 0 ? route->body_bytes_max : BODY_BYTES_DEFAULT;
    bool length_known = mg_get_header(exchange->connection, "Content-Length") != NULL;
    bool chunked = mg_get_header(exchange->connection, "Transfer-Encoding") != NULL;
    if (length_known && chunked) { /* two lengths: a proxy before us may believe the other one */
        http_exchange_refuse(exchange, ERR_INVALID, 400, "two_lengths",
                             "a request has Content-Length or Transfer-Encoding, not both");
        return false;
    }
    if (!length_known && !chunked) {
        bool wants = strcmp(info->request_method, "POST") == 0 ||
                     strcmp(info->request_method, "PUT") == 0 ||
                     strcmp(info->request_method, "PATCH") == 0;
        if (wants && route->body_bytes_max > 0)
            http_exchange_refuse(exchange, ERR_INVALID, 411, "length_required",
                                 "a Content-Length or chunked encoding is required");
        return !wants || route->body_bytes_max == 0;
    }
    char text[128];
    snprintf(text, sizeof text, "the body is larger than %zu bytes, the limit of this path",
             bytes_max);
    size_t length = length_known && info->content_length > 0 ? (size_t)info->content_length : 0;
    exchange->close = true; /* until the body is read to its end */
    if (length > bytes_max) {
        http_exchange_refuse(exchange, ERR_TOO_LARGE, 413, error_code_name(ERR_TOO_LARGE), text);
        return false;
    }
    if (length_known && length == 0) {
        exchange->close = false;
        return true;
    }
    const char *expect = mg_get_header(exchange->connection, "Expect");
    if (expect != NULL && strcasecmp(expect, "100-continue") == 0)
        mg_write(exchange->connection, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    atomic_store(&exchange->body_bytes_read, 0);
    atomic_store(&exchange->remote_port, info->remote_port);
    atomic_store(&exchange->body_started_us, clock_monotonic_us());
    enum body_result result = read_all(exchange, bytes_max, length_known, length);
    atomic_store(&exchange->body_started_us, 0);
    if (result == BODY_NO_ROOM) {
        http_exchange_refuse(exchange, ERR_UNAVAILABLE, 503, "too_many_bodies",
                             "too many large requests at one time");
        http_retry_after(&exchange->response, 1);
        return false;
    }
    if (result == BODY_BROKEN) {
        http_exchange_refuse(exchange, ERR_INVALID, 400, "incomplete_body",
                             "the body ended before its stated length or came too slowly");
        return false;
    }
    if (exchange->body.bytes > bytes_max) {
        http_exchange_refuse(exchange, ERR_TOO_LARGE, 413, error_code_name(ERR_TOO_LARGE), text);
        return false;
    }
    exchange->close = false;
    exchange->request.body = buffer_text(&exchange->body);
    exchange->request.body_bytes = exchange->body.bytes;
    return true;
}

void http_exchange_release_body(struct http_exchange *exchange)
{
    if (exchange->body_bytes_reserved > 0)
        atomic_fetch_sub(exchange->bodies_bytes, exchange->body_bytes_reserved);
    exchange->body_bytes_reserved = 0;
}
