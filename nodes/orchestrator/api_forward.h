/* SPDX-License-Identifier: MIT */
/* api_forward.h - a request for a shard of another instance: its owner is asked, once, and its answer is the
 * client's. While the shard changes hands the request waits for the new owner.
 *
 * Owns      Nothing; keys and bodies are lent by the handler.
 * Threads   HTTP threads.
 * Units     *_us by clock_monotonic_us, *_ms milliseconds.
 */
#ifndef ORCHESTRATOR_API_FORWARD_H
#define ORCHESTRATOR_API_FORWARD_H

#include "io/http_server.h"
#include "orchestrator/forward.h"
#include "orchestrator/orchestrator.h"

/* Says that an instance sent the request, and for whom: such a one is not sent on. */
#define FORWARD_HEADER "X-Bridge-Forwarded"
#define FORWARD_FOR_CLIENT "client"
#define FORWARD_FOR_CHILD "child" /* the start of a workflow by another */

#define FORWARD_LIMIT_US 10000000   /* for the answer, the client's own ?wait= apart */
#define FORWARD_PATIENCE_US 5000000 /* for an owner, while there is none to ask */
#define FORWARD_LOOK_US 20000       /* between two looks for one */

struct api_forward {
    int16_t shard;
    const char *key;                  /* Idempotency-Key to send; NULL: none */
    char own_key[64];                 /* where one of ours stands */
    bool repeats;                     /* the request may be said twice */
    bool child;                       /* it starts a workflow for another */
    bool may_wait;                    /* http_wait_begin was asked, and said yes */
    int64_t wait_until_us;            /* the client's; 0: it does not wait */
    const char *body;                 /* instead of the request's; NULL: the request's */
    int64_t deadline_us, patience_us; /* filled with the first use */
    bool unsure;                      /* it may have been taken by an owner that is gone */
    int times_here;
};

enum api_forwarded {
    API_FORWARD_ANSWERED, /* the response is filled */
    API_FORWARD_HERE,     /* the shard is ours now: the handler does it, or does it again */
};

/* Is this an error for which another instance is asked? */
bool api_is_elsewhere(const struct error *error);
/* The time left to the client's ?wait=. */
int64_t api_wait_left_ms(const struct api_forward *forward);
/* `error` is the handler's own, which the client gets when the request was forwarded to us already. */
enum api_forwarded api_forward(struct orchestrator *orchestrator, struct http_request *request,
                               struct http_response *response, struct api_forward *forward,
                               const struct error *error) MUST_USE;
/* A question that changes nothing: the owner is asked once, and not for long. False when it gave no answer
 * for the client; the handler then says what it knows itself. */
bool api_forward_question(struct orchestrator *orchestrator, struct http_request *request,
                          struct http_response *response, int16_t shard, int64_t limit_us) MUST_USE;
bool api_was_forwarded(const struct http_request *request, const char *for_whom);
/* A key of our own for a request that came without one, so that it can be said twice. */
void api_forward_key(struct api_forward *forward);

#endif
