/* SPDX-License-Identifier: MIT */
/* workflow_event.h - names and payloads of the events published for a workflow. Pure.
 *
 * Every contract emits workflow_started, workflow_step_completed, workflow_state_transition and one of
 * workflow_completed, _failed, _cancelled. A contract's `events` section (core/contract.h) renames them,
 * adds members to their payloads, and adds events of its own for single steps.
 *
 * Owns      Payloads are new references, the caller's to release. Type names live as long as the contract.
 * Threads   No globals.
 */
#ifndef ORCHESTRATOR_CORE_WORKFLOW_EVENT_H
#define ORCHESTRATOR_CORE_WORKFLOW_EVENT_H

#include "orchestrator/core/workflow.h"

enum moment_kind {
    MOMENT_WORKFLOW_STARTED,
    MOMENT_TRANSITION,
    MOMENT_STEP_COMPLETED,
    MOMENT_STEP_OWN_REQUESTED, /* the contract's own event, if it names one for this state */
    MOMENT_STEP_OWN_COMPLETED,
    MOMENT_WORKFLOW_COMPLETED,
    MOMENT_WORKFLOW_FAILED,
    MOMENT_WORKFLOW_CANCELLED,
    MOMENT_OWN_EVENT, /* a Task publishes one */
};

struct workflow_moment {
    enum moment_kind kind;
    const struct workflow_record *record; /* what happened */
    enum workflow_state from, to;         /* MOMENT_TRANSITION */
    const char *state;                    /* MOMENT_STEP_... */
    uint32_t step_order;                  /* MOMENT_STEP_COMPLETED: from 1 */
    const struct json *data;              /* the state's input or output, the workflow's output */
};

/* Is an event published for this moment? */
bool workflow_event_wanted(const struct workflow *workflow, const struct workflow_moment *moment);
/* Its payload and type; NULL when none is published. A template that cannot be evaluated leaves its
 * members out; payload member "payload_error" then says why. */
struct json *workflow_event_payload(const struct workflow *workflow,
                                    const struct workflow_moment *moment,
                                    const char **type) MUST_USE;

/* The payload of an event that the workflow publishes itself: the members every event has, and its own
 * (NULL: none) over them. */
struct json *workflow_event_own_payload(const struct workflow *workflow,
                                        const struct workflow_record *record,
                                        const struct json *own) MUST_USE;

#endif
