/* SPDX-License-Identifier: MIT */
/* workflow_internal.h - what the files workflow*.c share; nobody else includes it.
 *
 *     workflow.c         life, records, the interpreter's effects
 *     workflow_wait.c    what is waited for
 *     workflow_local.c   tasks that need no call: events to publish, signals
 *     workflow_weight.c  what it holds in memory
 *     workflow_pause.c   while it is paused
 *     workflow_hold.c    while steps of it are held
 */
#ifndef ORCHESTRATOR_CORE_WORKFLOW_INTERNAL_H
#define ORCHESTRATOR_CORE_WORKFLOW_INTERNAL_H

#include "orchestrator/core/task.h"
#include "orchestrator/core/workflow.h"

struct kept_signal {
    char *name;
    struct json *data;
    size_t bytes;
};

struct signal_key {
    uint64_t high, low;
    uint64_t content; /* workflow_signal_content */
};

struct signals {
    struct kept_signal *kept; /* in order of arrival */
    size_t kept_count, kept_capacity, kept_bytes;
    struct signal_key *keys; /* hashes, sorted */
    size_t keys_count, keys_capacity;
};

struct workflow_weight {
    size_t delivered_bytes; /* of open waits */
    size_t counted_bytes;   /* of the data between states, when it was counted last */
    size_t added_bytes;     /* recorded since */
};

struct workflow_pause {
    int64_t since_us; /* 0: it is not paused */
    struct workflow_record
        *held; /* answers that came meanwhile, in order; texts and payloads owned */
    size_t held_count, held_capacity;
};

struct workflow_hold {
    int standing;     /* held waits because of which the deadline stands still */
    int64_t since_us; /* since when; 0: it does not */
    bool ever;
};

struct workflow {
    const struct contract *contract;
    const struct workflow_environment *environment;
    struct workflow_head head;
    enum workflow_state state;
    struct asl_execution *execution;
    struct workflow_wait *waits; /* by rising number; closed ones are removed now and then */
    size_t waits_count, waits_capacity, waits_open;
    int64_t calls;
    uint32_t *local; /* local tasks that began and are not dealt with yet */
    size_t local_count, local_capacity;
    size_t local_bytes; /* payloads of the events they published, of one record */
    struct signals signals;
    struct workflow_weight weight;
    struct workflow_pause pause;
    struct workflow_hold hold;
    int32_t records;
    uint32_t steps_completed;
    int64_t timeout_ms;
    int64_t started_us, completed_us, last_us, deadline_us;
    char *current_step;
    struct json *result;
    char *error, *cause;
};

/* workflow_wait.c */
struct workflow_wait *workflow_wait_open(struct workflow *workflow, const struct asl_effect *effect,
                                         int64_t now_us);
void workflow_wait_close(struct workflow *workflow, struct workflow_wait *wait,
                         struct workflow_outcome *outcome);
/* Nobody waits for it any more: its call or its child is told so. */
void workflow_wait_abandon(struct workflow *workflow, struct workflow_wait *wait,
                           struct workflow_outcome *outcome);
void workflow_waits_free(struct workflow *workflow);
void workflow_number_push(uint32_t **numbers, size_t *count, size_t *capacity, uint32_t number);

/* workflow.c */
/* Takes payload and own_type. */
void workflow_outcome_publish(struct workflow_outcome *outcome, const char *type, char *own_type,
                              struct json *payload);

/* What an answer that is recorded does: the result or failure of a wait, or a signal's data. */
enum error_code workflow_take_answer(struct workflow *workflow,
                                     const struct workflow_record *record,
                                     struct workflow_outcome *outcome);

/* workflow_pause.c */
void workflow_pause_begin(struct workflow *workflow, int64_t now_us);
/* Keeps an answer until the end of the pause. ERR_CONFLICT when nobody waits for it. */
enum error_code workflow_pause_hold(struct workflow *workflow, const struct workflow_record *record,
                                    struct workflow_outcome *outcome);
/* Times move by the length of the pause; then the held answers are taken, as if they came now. */
void workflow_pause_end(struct workflow *workflow, const struct workflow_record *record,
                        struct workflow_outcome *outcome);
void workflow_pause_fini(struct workflow *workflow);

/* workflow_hold.c */
/* A wait is closed, held or not. */
void workflow_hold_close(struct workflow *workflow, const struct workflow_wait *wait,
                         struct workflow_outcome *outcome);

/* workflow_weight.c */
/* After a record that was applied; with what the kept signals weighed before. */
void workflow_weigh(struct workflow *workflow, const struct workflow_record *record,
                    size_t kept_bytes_before);

/* workflow_local.c */
/* Deals with one local task: true when *event answers its wait now; release event->result. The texts of
 * *event point into *failure. */
bool workflow_local_begin(struct workflow *workflow, struct workflow_wait *wait,
                          const struct workflow_record *record, struct workflow_outcome *outcome,
                          struct asl_event *event, struct http_task_failure *failure);
/* A recorded signal is remembered, and kept when it ends no wait. ERR_CONFLICT when it does not fit. */
enum error_code workflow_signal_take(struct workflow *workflow,
                                     const struct workflow_record *record);
void workflow_signals_free(struct workflow *workflow);

#endif
