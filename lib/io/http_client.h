/* SPDX-License-Identifier: MIT */
/* http_client.h - a small blocking HTTP client on libcurl: command line, Consul, health checks.
 * (The orchestrator's service calls have an engine of their own.)
 *
 *     struct http_client *client = http_client_new();
 *     struct http_reply reply = {0};
 *     const char *headers[] = {"X-API-Key: abc", NULL};
 *     code = http_client_call(client, &(struct http_call){.method = "POST", .url = url,
 *         .headers = headers, .body = text, .body_bytes = bytes, .timeout_ms = 5000}, &reply, &error);
 *     ... reply.status, buffer_text(&reply.body), http_reply_header(&reply, "Retry-After") ...
 *     http_reply_fini(&reply);
 *     http_client_free(client);
 *
 * Owns      A client keeps its connections open for the next call. The caller owns struct http_reply;
 *           zeroed is empty, each call fills it anew and keeps its memory.
 * Threads   A client belongs to one thread at a time.
 * Units     *_ms milliseconds, *_bytes octets.
 * Errors    Any HTTP status is ERR_OK: look at reply.status. ERR_UNAVAILABLE: the host is not known,
 *           refuses, or broke a GET or HEAD off. ERR_OUTCOME_UNKNOWN: another method was sent and the
 *           answer was lost. ERR_TIMEOUT: timeout_ms passed. ERR_TOO_LARGE: the answer is longer than
 *           response_bytes_max. ERR_INVALID: not an http or https URL.
 */
#ifndef IO_HTTP_CLIENT_H
#define IO_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

struct http_client;

struct http_call {
    const char *method; /* NULL: GET */
    const char *url;
    const char *const *headers; /* "Name: value" texts, ended by NULL; or NULL */
    const char *content_type;   /* of the body; NULL: application/json */
    const char *body;           /* NULL: none */
    size_t body_bytes;
    int timeout_ms;            /* 0: HTTP_CLIENT_TIMEOUT_MS */
    size_t response_bytes_max; /* 0: HTTP_RESPONSE_BYTES_MAX */
    /* When set, the body of a 2xx answer goes here piece by piece (event streams) and not to the reply;
     * false ends the call, which then is ERR_OK. A negative timeout_ms means no time limit. */
    bool (*piece)(void *context, const char *data, size_t bytes);
    void *context;
};

struct http_reply {
    int status;
    struct buffer body;
    struct buffer headers; /* the header lines of the last answer, "Name: value\r\n" */
    struct buffer scratch;
};

#define HTTP_CLIENT_TIMEOUT_MS 30000
#define HTTP_CLIENT_CONNECT_TIMEOUT_MS 5000

struct http_client *http_client_new(void) MUST_USE;
void http_client_free(struct http_client *client); /* NULL is fine */
enum error_code http_client_call(struct http_client *client, const struct http_call *call,
                                 struct http_reply *reply, struct error *error) MUST_USE;
/* Value of a header, or NULL. Valid until the next http_reply_header or http_client_call on this reply. */
const char *http_reply_header(struct http_reply *reply, const char *name);
void http_reply_fini(struct http_reply *reply);

/* Percent-encodes one path segment or query value. */
void http_url_encode(struct buffer *out, const char *text);

#endif
