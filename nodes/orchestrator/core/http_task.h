/* SPDX-License-Identifier: MIT */
/* http_task.h - the resource onex:http:invoke: parameters to a request, a response to a result. Pure.
 *
 * Owns      struct http_task_request owns its buffers; zeroed is empty.
 * Threads   No globals.
 * Errors    A request that cannot be built, and a response that is no success, give an error name of
 *           the States Language and a cause; they end the attempt as States.TaskFailed would.
 * Source    The parameters and result of the States Language's reference service for http:invoke.
 *
 * Parameters: Service (a name of services.yaml) with Path, or ApiEndpoint (a URL below a declared base
 * URL); Method (default POST with a body, else GET); Headers; QueryParameters; RequestBody. An object body is
 * sent as JSON. With the header Content-Type: multipart/form-data its members become form fields: a text
 * is a plain field, an object {content, filename?, content_type?} a file. A text body with another
 * Content-Type is sent as it is.
 * Result: {StatusCode, Headers, ResponseBody}; Headers leaves out those of the connection.
 */
#ifndef ORCHESTRATOR_CORE_HTTP_TASK_H
#define ORCHESTRATOR_CORE_HTTP_TASK_H

#include "base/buffer.h"
#include "core/json.h"
#include "orchestrator/core/services.h"

#define HTTP_TASK_BAD_PARAMETERS "States.ParameterPathFailure"

struct http_task_request {
    int service; /* index in services; -1: this node itself */
    const char *method;
    struct buffer url;
    struct buffer headers; /* "Name: value\n" lines */
    struct buffer body;
    bool has_body;
};

struct http_task_identity {
    const char *idempotency_key; /* <workflow>:<state path>:<visit> */
    const char *correlation_id;
    const char *traceparent;
};

struct http_task_failure {
    const char *error; /* literal or inside error_text */
    char error_text[64];
    struct buffer cause;
};

/* Fills *failure; always false. */
bool http_task_fail(struct http_task_failure *failure, const char *error, const char *format, ...)
    PRINTF_LIKE(3, 4);
bool http_task_build(struct http_task_request *request, const struct json *parameters,
                     const struct services *services, const struct http_task_identity *identity,
                     struct http_task_failure *failure) MUST_USE;
/* The service that such parameters name; -1: none of the table. */
int http_task_service(const struct json *parameters, const struct services *services);
void http_task_request_fini(struct http_task_request *request);

struct http_task_response {
    int status;
    const char *headers; /* "Name: value\r\n" lines */
    size_t headers_bytes;
    const char *body;
    size_t body_bytes;
};
/* The result, a new reference; or NULL with *failure filled. */
struct json *http_task_result(const struct http_task_response *response,
                              struct http_task_failure *failure) MUST_USE;

#endif
