/* SPDX-License-Identifier: MIT */
/* forward.h - requests to other instances: one thread with libcurl's multi interface, so that
 * connections stay open from one request to the next, whichever HTTP thread asks.
 *
 * Owns      Its thread and connections. A call belongs to who began it, until forward_end.
 * Lifetime  The body is lent until forward_end; the rest is copied.
 * Threads   Any thread begins, waits for and ends its own calls.
 * Units     *_us by clock_monotonic_us.
 * Errors    struct forward_answer says what came, and whether the request may have been taken.
 */
#ifndef ORCHESTRATOR_FORWARD_H
#define ORCHESTRATOR_FORWARD_H

#include <stdint.h>

#include "base/buffer.h"
#include "orchestrator/core/forward_rule.h"

struct forward;
struct forward_call;

struct forward_request {
    const char *method;
    const char *url;
    const char *headers; /* "Name: value\n" lines */
    const char *body;
    size_t body_bytes;
    int64_t deadline_us;
    bool waits; /* for the end of a workflow: half of the places are never held by these */
};

struct forward *forward_new(int calls_max) MUST_USE;
void forward_free(struct forward *forward); /* when nobody waits for a call any more */

/* Waits for a place, those that wait for ends not at all. NULL when there was none in time. */
struct forward_call *forward_begin(struct forward *forward,
                                   const struct forward_request *request) MUST_USE;
/* Sent without anybody who waits; dropped when there is no place. */
void forward_post(struct forward *forward, const char *url, const char *headers, const char *body);
/* True when the answer is there. */
bool forward_wait(struct forward *forward, struct forward_call *call, int64_t until_us);
/* Of a call that was waited for to its end, lent until forward_end. */
struct forward_answer forward_answer_of(const struct forward_call *call);
const struct buffer *forward_headers_of(const struct forward_call *call);
/* Gives up what is still under way. */
void forward_end(struct forward *forward, struct forward_call *call);

#endif
