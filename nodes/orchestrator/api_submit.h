/* SPDX-License-Identifier: MIT */
/* api_submit.h - one submission on its way from its JSON to its answer: what api_submit.c and api_batch.c share.
 *
 * Owns      An attempt owns its submission and its ticket.
 * Lifetime  Zeroed, attempt_begin, attempt_await, attempt_finish, attempt_fini.
 * Threads   Each attempt on one HTTP thread.
 * Units     *_ms milliseconds.
 * Errors    In attempt.error.
 */
#ifndef ORCHESTRATOR_API_SUBMIT_H
#define ORCHESTRATOR_API_SUBMIT_H

#include "orchestrator/api.h"
#include "orchestrator/core/submission.h"

/* One submission under way. */
struct attempt {
    struct submission submission;
    const struct contract *contract;
    struct ticket *ticket; /* ours, once posted */
    bool duplicate;        /* the workflow was there before */
    const char *parent;    /* token of the step that started it, or NULL; lent by the request */
    bool
        is_child; /* started by a workflow of ours, which must not wait for room that it takes itself */
    struct uuid id;     /* of the workflow */
    struct error error; /* code is ERR_OK while all is well */
};

/* Up to the worker's mailbox. */
void attempt_begin(struct orchestrator *orchestrator, struct attempt *attempt,
                   const struct json *body, const char *key, const char *traceparent,
                   bool wants_end);
/* From the mailbox to the commit. */
void attempt_await(struct attempt *attempt);
/* Status and body of one submission's answer. */
struct json *attempt_finish(struct orchestrator *orchestrator, struct attempt *attempt,
                            int64_t wait_ms, int *status) MUST_USE;
void attempt_fini(struct attempt *attempt);
void attempt_count_refusal(enum error_code code);
/* The parsed body, or NULL after answering. */
struct json *attempt_read_body(struct http_request *request,
                               struct http_response *response) MUST_USE;

#endif
