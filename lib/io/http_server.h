/* SPDX-License-Identifier: MIT */
/* http_server.h - civetweb behind routes: path parameters, limits, API keys, problem documents,
 * security headers, request metrics.
 *
 * Owns      The server owns its threads and routes' table copy; handlers' contexts stay the caller's.
 * Lifetime  A request and all texts in it live until the handler returns. The response is filled by
 *           the handler and sent after it returned.
 * Threads   Handlers run on HTTP threads, one per connection, with stacks of 100 KiB (the library's
 *           choice): no large arrays on the stack.
 * Errors    A handler answers an error with http_problem(): RFC 9457, application/problem+json,
 *           members type, title, status, detail, code, field?, instance.
 */
#ifndef IO_HTTP_SERVER_H
#define IO_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/config.h"
#include "base/error.h"
#include "core/json.h"

struct http_request {
    const char *method;       /* "GET" */
    const char *path;         /* decoded path */
    const char *query_string; /* raw, or NULL */
    const char *body;         /* NUL-ended, never NULL */
    size_t body_bytes;
    const char *content_type;   /* or "" */
    const char *remote_address; /* text */
    void *internal;
};

struct http_response {
    int status;               /* 200 unless set */
    const char *content_type; /* literal; application/json unless set */
    struct buffer body;
    struct buffer headers; /* extra header lines "Name: value\r\n"; use http_response_header */
    bool close;            /* the connection after it, which frees its thread for others */
};

typedef void http_handler(struct http_request *request, struct http_response *response,
                          void *context);

#define HTTP_OPEN 1u    /* needs no API key (health, metrics, docs) */
#define HTTP_HIDDEN 2u  /* not counted as a route of its own in metrics ("other") */
#define HTTP_TRUSTED 4u /* instead of an API key over HTTPS, the server's own credential will do */

struct http_route {
    const char *method; /* "GET"; HEAD follows GET */
    const char *path;   /* "/api/v1/workflows/{id}/history"; {name} matches one segment, literal
                           segments win over parameters */
    http_handler *handler;
    unsigned flags;
    size_t body_bytes_max; /* 0: no body is taken beyond 64 KiB; past the limit 413 */
};

struct http_server;

struct http_server_options {
    const char *address;
    int port; /* 0 takes a free one */
    int threads;
    const struct http_route *routes; /* ended by a zeroed one */
    void *context;                   /* given to every handler */
    const struct config *config;     /* keys, CORS, HTTPS rules */
    const char *credential_header;   /* for HTTP_TRUSTED: its name and value; NULL: there is none */
    const char *credential;
};

/* ERR_CONFIG with a sentence that names the port and who holds it when it is busy. */
enum error_code http_server_start(struct http_server **server,
                                  const struct http_server_options *options,
                                  struct error *error) MUST_USE;
int http_server_port(const struct http_server *server);
void http_server_refuse(
    struct http_server *server); /* from now on 503 "stopping" for non-GET requests */
/* No connection begins any more, and each ends with its next answer: who is busy here goes elsewhere and is
 * refused nothing. Returns when it has been quiet for a while; the stop must follow at once. */
void http_server_drain(struct http_server *server);
void http_server_stop(struct http_server *server); /* waits for running handlers, frees */
void http_server_reload_keys(struct http_server *server, const struct config *config);

/* Request access. Texts live until the handler returns. */
const char *http_header(const struct http_request *request,
                        const char *name); /* NULL when absent */
/* A handler asks before it waits for something that other requests may bring about, and tells when it
 * has done so. False: so many wait that only the threads kept for everything else are left, and it must
 * answer without waiting. */
bool http_wait_begin(const struct http_request *request) MUST_USE;
void http_wait_end(const struct http_request *request);
bool http_trusted(const struct http_request *request); /* it shows the server's own credential */
const char *http_path_parameter(const struct http_request *request, const char *name);
const char *http_query(struct http_request *request,
                       const char *name); /* decoded; NULL when absent */
/* Integer query parameter with range; absent gives fallback; ERR_INVALID names it and its range. */
enum error_code http_query_int(struct http_request *request, const char *name, int64_t min,
                               int64_t max, int64_t fallback, int64_t *value,
                               struct error *error) MUST_USE;
#define HTTP_QUERY_REPEATED "after" /* the one parameter that may be given many times */
/* The names of query parameters a handler knows; another one, or one that is given twice, is ERR_INVALID that
 * names it. */
enum error_code http_query_known(struct http_request *request, const char *const *names,
                                 struct error *error) MUST_USE;
/* One part of a multipart/form-data body. False when there is none of that name. */
bool http_form_part(struct http_request *request, const char *name, const char **data,
                    size_t *bytes, const char **filename);

/* Response helpers. */
void http_response_header(struct http_response *response, const char *name, const char *value);
void http_json(struct http_response *response, int status, const struct json *value);
void http_problem(struct http_response *response,
                  const struct error *error); /* status of error->code */
void http_problem_with(struct http_response *response, const struct error *error, int status,
                       const char *code, struct json *extra_members /* taken, may be NULL */);
void http_retry_after(struct http_response *response, int seconds);

/* Routes every server shares: add them to the table. */
void http_handle_metrics(struct http_request *request, struct http_response *response,
                         void *context);

/* A listener for the metrics port alone: GET /metrics and GET /health/live. */
enum error_code http_metrics_start(struct http_server **server, const char *address, int port,
                                   const struct config *config, struct error *error) MUST_USE;

#endif
