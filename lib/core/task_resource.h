/* SPDX-License-Identifier: MIT */
/* task_resource.h - what a Task state may name as its Resource, in one table, and what can be checked of
 * its Parameters when a contract is loaded. What a resource does stands with the orchestrator
 * (orchestrator/core/task.h). Pure.
 *
 * Owns      The table is constant.
 * Threads   Any.
 * Errors    task_parameters_check adds findings.
 */
#ifndef CORE_TASK_RESOURCE_H
#define CORE_TASK_RESOURCE_H

#include <stdbool.h>

#include "core/finding.h"

enum task_kind { TASK_HTTP, TASK_WORKFLOW, TASK_EVENT, TASK_SIGNAL, TASK_KINDS };

struct task_resource {
    const char *name;
    const char *aliases[2]; /* as other services write it; NULL where there is none */
    enum task_kind kind;
    bool waits_for_token; /* the call, or event, only hands the work over; its token ends it */
    bool waits_for_end;   /* likewise; the end of the workflow that it started ends it */
    bool local;           /* no call: it begins, and often ends, inside the workflow */
};

/* NULL when there is no such resource. */
const struct task_resource *task_resource_find(const char *name);
/* For asl_compile. */
bool task_resource_known(const char *name, void *context);

/* What is static in the Parameters of a state: unknown members, missing ones, values of the wrong form.
 * `pointer` is the state's place. */
void task_parameters_check(const struct task_resource *resource, const struct json *parameters,
                           const char *pointer, const struct source_map *source,
                           struct findings *findings);

/* Event types with these beginnings belong to the life of workflows: nobody else may publish them. */
bool task_event_type_reserved(const char *type);
/* Letters, digits, dots, - and _; 1 to NAME_BYTES_MAX of them, not dots alone: names of events and signals. */
bool task_name_is_valid(const char *name);

/* A member by its name or, when there is none, by its other name. */
const struct json *task_parameter(const struct json *parameters, const char *name,
                                  const char *other);

#endif
