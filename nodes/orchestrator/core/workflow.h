/* SPDX-License-Identifier: MIT */
/* workflow.h - one workflow: its life (PENDING, PROCESSING, then an end), its interpreter, and the
 * events that are published for it. Pure, and a function of (contract, head, records) alone: recovery
 * and republishing apply the same records again and get the same answers.
 *
 * Owns      A workflow holds its head's texts and json, and lends the contract (which the registry
 *           keeps for the life of the process).
 * Lifetime  What an outcome points to is valid until the next call on the workflow or the outcome.
 * Threads   One thread at a time.
 * Units     *_us microseconds since 1970 UTC, *_ms milliseconds.
 * Errors    workflow_apply gives ERR_CONFLICT and changes nothing when the record names a wait that is
 *           not open, or a command that the present state does not allow.
 */
#ifndef ORCHESTRATOR_CORE_WORKFLOW_H
#define ORCHESTRATOR_CORE_WORKFLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "core/asl.h"
#include "core/contract.h"
#include "core/json.h"
#include "core/task_resource.h"
#include "orchestrator/core/task_token.h"

enum workflow_state {
    WORKFLOW_NONE,
    WORKFLOW_PENDING,
    WORKFLOW_PROCESSING,
    WORKFLOW_COMPLETED,
    WORKFLOW_FAILED,
    WORKFLOW_CANCELLED
};
const char *workflow_state_name(enum workflow_state state); /* "PENDING"; "" for WORKFLOW_NONE */
enum workflow_state workflow_state_of_name(const char *name);
bool workflow_state_ended(enum workflow_state state);

/* Stored in workflow_events.kind: never renumber. */
enum record_kind {
    RECORD_ACCEPTED = 0,       /* committed, waits for a free slot */
    RECORD_STARTED = 1,        /* begins; as first record it is accepted and started at once */
    RECORD_TASK_SUCCEEDED = 2, /* payload: the result */
    RECORD_TASK_FAILED = 3,    /* error, cause; random: jitter of the retry delay */
    RECORD_TIMER_FIRED = 4,
    RECORD_CANCELLED = 5,
    RECORD_TIMED_OUT = 6, /* the workflow's own time limit */
    RECORD_TASK_DELIVERED =
        7,                /* the call was answered, its wait goes on; payload: what it answered */
    RECORD_HEARTBEAT = 8, /* of a task token */
    RECORD_SIGNAL =
        9, /* payload {name, key, data}; wait: the one it ends, 0: kept until one opens */
    RECORD_PAUSED = 10,  /* no call, no timer and no start from here on; answers are held */
    RECORD_RESUMED = 11, /* times move by the length of the pause, held answers are taken */
    RECORD_RETRIED = 12, /* run n + 1 of a failed workflow: it goes on where it failed */
    RECORD_KINDS
};

/* One event from outside, as recorded. */
struct workflow_record {
    int32_t n; /* position in the workflow, from 0 */
    enum record_kind kind;
    int64_t at_us;
    uint32_t wait;
    uint32_t attempt;
    int64_t duration_us; /* of a call; of RECORD_STARTED: workflow_limit_us */
    double random;
    const char *error;
    const char *cause;
    const struct json *payload;
};

struct workflow_head {
    struct uuid id;
    int16_t shard;
    int16_t run; /* from 1; each RECORD_RETRIED adds one */
    char *namespace;
    char *correlation_id; /* or NULL */
    char *traceparent;    /* or NULL */
    char *parent_token;   /* of the parent's step that waits for this workflow's end, or NULL */
    struct json *input;
    struct json *metadata; /* or NULL */
    int64_t input_bytes;   /* of the input's text */
    int64_t created_us;
};

/* Why the next attempt is delayed. */
struct workflow_retry {
    uint32_t number,
        max; /* this is retry `number` of the `max` that the state allows for the error */
    char *error, *cause; /* of the last attempt; the cause cut to RETRY_CAUSE_BYTES_MAX */
};

/* Something outside that the workflow waits for: a call's answer, a token's, a signal, a timer. */
struct workflow_wait {
    uint32_t wait;
    uint32_t visit;
    uint32_t attempt;
    bool is_timer;
    bool called;    /* the shell was asked to make the call; workflow_wait_set_called */
    bool delivered; /* the call was answered, what it started goes on */
    bool answered;  /* while the workflow was paused: the answer is held */
    bool closed;    /* its place in the list is empty */
    const struct task_resource *task; /* NULL of a timer */
    int64_t due_us;                   /* of a timer */
    int64_t opened_us;
    int64_t heartbeat_us; /* of the last recorded one; opened_us before */
    int64_t beat_us;      /* the engine's: of the last one that was not recorded, or 0 */
    int64_t timeout_ms;   /* 0: the state names none */
    int64_t heartbeat_ms; /* likewise */
    int64_t again_us;     /* the engine's: when a call that was not taken is made again, or 0 */
    uint8_t again_count;  /* the engine's: how often the call was not taken */
    int64_t limit_us;     /* the engine's: when its timer comes up, or 0 */
    int guard;            /* the engine's: 1 + the service whose breaker its call asks; 0: none */
    uint32_t era;         /* the engine's: of that breaker when it let the call pass */
    const char *refusal;  /* the engine's: the error that its call ends with, unmade; or NULL */
    int64_t held_us;      /* since when its breaker holds it; 0: it does not */
    int64_t released_us;  /* when it was released last, or 0 */
    int64_t excluded_us;  /* by which its releases moved the deadline of the workflow */
    bool hold_counts;     /* held time counts toward time limits */
    bool watched;         /* the engine's: the end of its child is asked for */
    bool started;         /* the engine's: child started, before its call was answered */
    struct uuid child;
    char *state;
    char *state_path;
    struct workflow_retry *retry; /* of a timer that delays the next attempt, else NULL */
    const char *signal_name;      /* of one that waits for a signal; lent by parameters */
    struct json *parameters;
    struct json *delivery; /* what the call answered, when delivered */
    size_t delivery_bytes; /* its text */
};
/* Ends by something else than the answer of a call of ours: it holds no slot meanwhile, and its time
 * limits are the engine's. */
bool workflow_wait_outlasts_call(const struct workflow_wait *wait);
/* When its time is up: TimeoutSeconds or HeartbeatSeconds of one that outlasts its call; INT64_MAX when
 * neither is set. Before heard_us no heartbeat could be taken, so none is missed. *error is the name of
 * what has then happened. */
int64_t workflow_wait_limit_us(const struct workflow_wait *wait, int64_t heard_us,
                               const char **error);
/* The workflow that it started and whose end it waits for; false when there is none. */
bool workflow_wait_child(const struct workflow_wait *wait, struct uuid *id);

/* A started workflow, and the wait that waits for its end. */
struct workflow_child {
    struct uuid id;
    uint32_t wait;
};

/* A held wait that was closed, and the service that it was held for. */
struct workflow_unheld {
    uint32_t wait;
    int service;
};

struct workflow_published {
    const char *type; /* of the contract, or own_type */
    char *own_type;   /* of an event that a Task publishes, else NULL */
    struct json *payload;
};

/* What one record did. Zero it before first use; workflow_outcome_fini releases. */
struct workflow_outcome {
    enum workflow_state from, to; /* equal when the state did not change */
    struct workflow_published *events;
    size_t events_count, events_capacity;
    uint32_t *opened; /* numbers of waits that opened */
    size_t opened_count, opened_capacity;
    uint32_t *abandoned; /* numbers of calls that nobody waits for any more */
    size_t abandoned_count, abandoned_capacity;
    struct workflow_child *children; /* started workflows whose end nobody waits for any more */
    size_t children_count, children_capacity;
    struct workflow_unheld *unheld;
    size_t unheld_count, unheld_capacity;
    bool silent;            /* set by the caller, kept by clear: events are not wanted */
    size_t events_numbered; /* like events_count, silent or not */
    char *state_path;       /* of the wait that the record answered, or NULL */
    int64_t deadline_us;    /* set by a record that started, resumed or retried it, else 0 */
    bool resumed;           /* after a pause: what it waits for wants to be attended again */
};
void workflow_outcome_clear(struct workflow_outcome *outcome);
void workflow_outcome_fini(struct workflow_outcome *outcome);

struct workflow;

/* What is the same for all workflows of a node. */
struct workflow_environment {
    int64_t timeout_ms; /* of a workflow whose contract names none */
    uint8_t token_secret[TASK_SECRET_BYTES];
};

/* Takes the head's texts and json over; lends the environment. */
struct workflow *workflow_new(const struct contract *contract, const struct workflow_head *head,
                              const struct workflow_environment *environment) MUST_USE;
void workflow_free(struct workflow *workflow);

enum error_code workflow_apply(struct workflow *workflow, const struct workflow_record *record,
                               struct workflow_outcome *outcome) MUST_USE;

/* The time limit that the record which starts it must say, so that later settings do not change it; 0 when
 * its contract names one. */
int64_t workflow_limit_us(const struct workflow *workflow);

const struct workflow_head *workflow_head(const struct workflow *workflow);
const struct contract *workflow_contract(const struct workflow *workflow);
enum workflow_state workflow_state(const struct workflow *workflow);
int32_t workflow_records(const struct workflow *workflow); /* how many were applied: the next n */
int64_t workflow_started_us(const struct workflow *workflow);
int64_t workflow_completed_us(const struct workflow *workflow);
int64_t workflow_last_us(const struct workflow *workflow); /* of its last record, or its creation */
/* About the text of what it holds: input, kept signals, results. Branches under way are not counted. */
int64_t workflow_weight(const struct workflow *workflow);
int64_t workflow_deadline_us(const struct workflow *workflow);
bool workflow_paused(const struct workflow *workflow);
int64_t workflow_paused_us(const struct workflow *workflow);         /* since when; 0: it is not */
const char *workflow_current_step(const struct workflow *workflow);  /* "" when none */
const struct json *workflow_result(const struct workflow *workflow); /* of COMPLETED */
const char *workflow_error(const struct workflow *workflow); /* of FAILED, CANCELLED; else NULL */
const char *workflow_cause(const struct workflow *workflow);
bool workflow_can_retry(const struct workflow *workflow); /* would RECORD_RETRIED be taken? */
/* Appends the path of the state whose failure ended it; false when none did. */
bool workflow_failed_in(const struct workflow *workflow, struct buffer *path);
/* Waits, by rising number: lent until the next workflow_apply. Some places may be empty. */
size_t workflow_wait_places(const struct workflow *workflow);
size_t workflow_waits(const struct workflow *workflow);                          /* open ones */
struct workflow_wait *workflow_wait_at(struct workflow *workflow, size_t place); /* NULL: empty */
struct workflow_wait *workflow_wait_find(struct workflow *workflow, uint32_t wait);
void workflow_wait_set_called(struct workflow *workflow, struct workflow_wait *wait, bool called);
int64_t workflow_calls(const struct workflow *workflow); /* calls handed to the shell, unanswered */
/* <workflow>:<state path>:<visit>: the idempotency key of its call, the same for every attempt. Where a
 * token is handed over, or a child is waited for, each attempt is other work: :<attempt> from the second. */
void workflow_wait_key(const struct workflow *workflow, const struct workflow_wait *wait,
                       struct buffer *key);
void workflow_wait_token(const struct workflow *workflow, uint32_t wait,
                         char token[TASK_TOKEN_BYTES_MAX]);

/* -- held steps (workflow_hold.c) -- */
/* `counts`: toward time limits; else those of the wait and of the workflow stand still. */
void workflow_hold(struct workflow *workflow, struct workflow_wait *wait, int64_t since_us,
                   bool counts);
/* Both give by how much the deadline moved. */
int64_t workflow_release(struct workflow *workflow, struct workflow_wait *wait, int64_t now_us);
int64_t workflow_hold_settle(struct workflow *workflow,
                             int64_t now_us); /* held waits were closed */
/* After the records were applied: what an earlier hold moved. The wait may be closed: NULL. */
void workflow_hold_restore(struct workflow *workflow, struct workflow_wait *wait,
                           int64_t excluded_us);
bool workflow_stands_still(const struct workflow *workflow); /* its deadline does not come nearer */
bool workflow_was_held(const struct workflow *workflow);     /* a step of it, at some time */

/* -- signals -- */
bool workflow_signal_known(const struct workflow *workflow, const char *key); /* of one recorded */
/* A hash of what a signal says: a repeat under the same key must say the same. */
uint64_t workflow_signal_content(const char *name, const struct json *data);
bool workflow_signal_repeats(const struct workflow *workflow, const char *key, uint64_t content);
uint32_t workflow_signal_wait(struct workflow *workflow, const char *name); /* oldest; 0: none */
bool workflow_signal_fits(const struct workflow *workflow, const struct json *data); /* one more */

/* The deterministic id of the event number `index` of record n: the same after any crash. */
struct uuid workflow_event_id(const struct workflow *workflow, int32_t n, size_t index);
/* The same by what stands in the log; run as it was after the record. */
struct uuid workflow_event_id_of(const struct uuid *id, int16_t run, int32_t n, size_t index);

#endif
