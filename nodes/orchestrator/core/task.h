/* SPDX-License-Identifier: MIT */
/* task.h - what the resources of Task states do: one table of functions, a file each. Pure.
 *
 *     http_task.c       onex:http:invoke, also with a token
 *     task_workflow.c   onex:workflow:start, .sync, .waitForTaskToken
 *     task_event.c      onex:event:publish: local, answered at once; also with a token
 *     task_signal.c     onex:signal:wait: local, ends when the signal comes
 *
 * A resource that makes a call has it built from the parameters and its response read. A local one has
 * its parameters read when the state begins; the rest is workflow.c's.
 *
 * Owns      struct task_answer owns its result and cause; release it with task_answer_fini.
 * Threads   No globals.
 * Units     *_us microseconds.
 */
#ifndef ORCHESTRATOR_CORE_TASK_H
#define ORCHESTRATOR_CORE_TASK_H

#include "core/task_resource.h"
#include "orchestrator/core/http_task.h"

struct task_context {
    const struct task_resource *resource;
    const struct services *services;
    struct http_task_identity identity;
    const char *namespace;  /* of the workflow */
    const char *own_url;    /* of this node's API */
    const char *credential; /* for it */
    const char *token;      /* of the wait; NULL when its end is not told to it */
};

enum task_answer_kind {
    TASK_RESULT,    /* the attempt succeeded */
    TASK_FAILED,    /* the attempt failed */
    TASK_DELIVERED, /* the work is handed over, the wait goes on */
    TASK_AGAIN,     /* not taken now: make the same call again after a while */
};

struct task_answer {
    enum task_answer_kind kind;
    struct json *result; /* of TASK_RESULT and TASK_DELIVERED */
    struct http_task_failure failure;
    int64_t again_us;
};
void task_answer_fini(struct task_answer *answer);

/* False with *failure: the attempt ends so, without a call. */
bool task_build(struct http_task_request *request, const struct json *parameters,
                const struct task_context *context, struct http_task_failure *failure) MUST_USE;
void task_read(const struct task_resource *resource, const struct http_task_response *response,
               struct task_answer *answer);
/* No complete response came: in time, or at all. */
void task_no_response(const struct task_resource *resource, bool timed_out, const char *cause,
                      struct task_answer *answer);

/* -- onex:workflow:start (task_workflow.c) -- */

/* Headers of the call that starts a child; taken with the credential only. */
#define TASK_HEADER_CREDENTIAL "X-Bridge-Instance"
#define TASK_HEADER_PARENT "X-Bridge-Parent-Token"

bool task_workflow_build(struct http_task_request *request, const struct json *parameters,
                         const struct task_context *context,
                         struct http_task_failure *failure) MUST_USE;
void task_workflow_read(const struct task_resource *resource,
                        const struct http_task_response *response, struct task_answer *answer);
/* How the end of a child answers its parent's step; output of COMPLETED, error and cause of the others. */
void task_workflow_ended(const char *workflow_id, const char *state, const struct json *output,
                         const char *error, const char *cause, struct task_answer *answer);

/* -- local ones -- */

struct task_event {
    const char *type;
    const struct json *payload; /* an object, or NULL */
    size_t payload_bytes;
};
bool task_event_read(const struct json *parameters, struct task_event *event,
                     struct http_task_failure *failure) MUST_USE;
/* The name, lent by the parameters; NULL with *failure. */
const char *task_signal_name(const struct json *parameters,
                             struct http_task_failure *failure) MUST_USE;

#endif
