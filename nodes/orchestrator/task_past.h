/* SPDX-License-Identifier: MIT */
/* task_past.h - what the records of workflows say about tasks and signals that are over. Asked by HTTP
 * threads when a worker has nothing to say any more.
 *
 * Owns      The text in a task_end is the caller's.
 * Threads   Any; takes a connection of the orchestrator's pool for one query.
 * Errors    Those of the database.
 */
#ifndef ORCHESTRATOR_TASK_PAST_H
#define ORCHESTRATOR_TASK_PAST_H

#include "orchestrator/orchestrator.h"

enum task_signal_past {
    TASK_SIGNAL_NEW,  /* no signal with this key was taken */
    TASK_SIGNAL_SAME, /* it was, with the same name and data */
    TASK_SIGNAL_OTHER
};
/* content: workflow_signal_content of the signal that came. */
enum error_code task_past_signal(struct orchestrator *orchestrator, const struct uuid *id,
                                 const char *key, uint64_t content, enum task_signal_past *past,
                                 struct error *error) MUST_USE;

struct task_end {
    enum { TASK_GIVEN_UP, TASK_SUCCEEDED, TASK_FAILURE } kind;
    char *error; /* of TASK_FAILURE, a time limit too */
};
enum error_code task_past_end(struct orchestrator *orchestrator, const struct task_token *token,
                              struct task_end *end, struct error *error) MUST_USE;

#endif
