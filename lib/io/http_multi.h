/* SPDX-License-Identifier: MIT */
/* http_multi.h - many HTTP calls at once on one thread: libcurl's multi interface on the caller's epoll.
 *
 * Owns      Its connections and the calls under way. Requests are copied at start.
 * Lifetime  The answer lent to the callback lives until the callback returns.
 * Threads   One thread owns an http_multi; callbacks run inside http_multi_event, _tick and _start's
 *           successors, never inside http_multi_start or http_multi_cancel.
 * Units     *_ms milliseconds.
 * Errors    ERR_TIMEOUT: no complete answer in time. ERR_TOO_LARGE: more than HTTP_RESPONSE_BYTES_MAX.
 *           ERR_UNAVAILABLE: no connection, or it broke; text says what libcurl said.
 */
#ifndef IO_HTTP_MULTI_H
#define IO_HTTP_MULTI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct http_multi;
struct http_multi_call;

struct http_multi_request {
    const char *method;
    const char *url;
    const char *headers; /* "Name: value\n" lines */
    const char *body;    /* NULL: none */
    size_t body_bytes;
    int64_t timeout_ms;
    void *user; /* comes back in the answer */
};

struct http_multi_answer {
    void *user;
    enum error_code code; /* ERR_OK when a response came, whatever its status */
    const char *text;     /* of an error */
    bool reached;         /* the request, or a part of it, was written: it may have been taken */
    int status;
    const char *headers; /* "Name: value\r\n" lines */
    size_t headers_bytes;
    const char *body;
    size_t body_bytes;
};

typedef void http_multi_done(void *context, const struct http_multi_answer *answer);

/* Sockets are added to epoll_fd with their number as data.u64. */
struct http_multi *http_multi_new(int epoll_fd, int connections_max, http_multi_done *done,
                                  void *context) MUST_USE;
void http_multi_free(struct http_multi *multi); /* drops calls under way without an answer */

struct http_multi_call *http_multi_start(struct http_multi *multi,
                                         const struct http_multi_request *request);
void http_multi_cancel(struct http_multi *multi,
                       struct http_multi_call *call); /* no answer will come */

void http_multi_event(struct http_multi *multi, int socket, uint32_t epoll_events);
int64_t http_multi_due_us(
    const struct http_multi *multi);            /* by clock_monotonic_us; INT64_MAX: never */
void http_multi_tick(struct http_multi *multi); /* when due */

#endif
