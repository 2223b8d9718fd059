/* SPDX-License-Identifier: MIT */
/* explanation.h - why a workflow is where it is: what it waits for, since when, what happens next and when;
 * in a sentence and in fields. Pure: made from a workflow in memory (engine_explain), or from what is stored of
 * one that is not.
 *
 * Owns      An explanation owns its texts; explanation_free releases them.
 * Threads   It is made by one thread and read by another.
 * Units     *_us microseconds since 1970 UTC; left_us a length.
 */
#ifndef ORCHESTRATOR_CORE_EXPLANATION_H
#define ORCHESTRATOR_CORE_EXPLANATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/uuid.h"
#include "core/json.h"
#include "orchestrator/core/workflow.h"

#define EXPLANATION_WAITS_MAX 20 /* that are listed; the sentence tells of fewer */

/* What is waited for: "waiting_for" in the answer. */
enum explanation_cause {
    EXPLANATION_NOTHING,  /* it has ended */
    EXPLANATION_START,    /* its turn among those that wait to start */
    EXPLANATION_SLOT,     /* a free slot for its call */
    EXPLANATION_BREAKER,  /* the breaker of its service: it is held */
    EXPLANATION_LIMIT,    /* a limit on calls of its service */
    EXPLANATION_ANSWER,   /* of a service, or of our own API which starts a workflow */
    EXPLANATION_AGAIN,    /* the call was not taken and is made again */
    EXPLANATION_RETRY,    /* the delay before the next attempt */
    EXPLANATION_TIMER,    /* of a Wait state */
    EXPLANATION_TOKEN,    /* an answer by a task token */
    EXPLANATION_SIGNAL,   /* a signal */
    EXPLANATION_CHILD,    /* the end of a workflow that it started */
    EXPLANATION_RESUME,   /* paused; of a wait: its answer is recorded and held */
    EXPLANATION_SEVERAL,  /* branches or items, each for something of its own */
    EXPLANATION_COMMIT,   /* it has ended, and that is being written to the database */
    EXPLANATION_LOADING,  /* its shard was taken just now */
    EXPLANATION_OWNER,    /* another instance has it and has not answered */
    EXPLANATION_TAKEOVER, /* nobody alive has its shard */
    EXPLANATION_REPAIR,   /* its records cannot be applied, so nobody runs it */
    EXPLANATION_CAUSES
};
const char *explanation_cause_name(enum explanation_cause cause); /* "answer"; NULL for nothing */

/* One thing that is waited for. */
struct explanation_wait {
    enum explanation_cause cause;
    uint32_t number; /* workflow_wait.wait */
    int service;     /* whose breaker its call asks, by number; -1: none */
    char *path;      /* of the state */
    char
        *subject; /* name of the service or the signal, id of the child; NULL where there is none */
    char *breaker_reason;      /* why the breaker that holds it is not closed; else NULL */
    bool by_hand;              /* somebody holds the service */
    char *error, *error_cause; /* of the last attempt, while the next one is delayed; else NULL */
    uint32_t attempt;          /* from 1; while it is delayed, the next one */
    uint32_t retry, retries_max;
    int64_t since_us;
    int64_t next_us;  /* when it goes on by itself, or 0 */
    int64_t limit_us; /* when it fails if nothing comes, or 0 */
    int64_t left_us;  /* of a timer that a pause has stopped */
    int64_t ahead;    /* calls that are made before it */
};

/* Where its state was found. */
enum explanation_source {
    EXPLANATION_LIVE,  /* in memory */
    EXPLANATION_STORED /* in the database; cause says why it is not in memory, if it has not ended */
};

struct explanation {
    struct uuid id;
    enum explanation_source source;
    enum explanation_cause cause; /* of one that has not ended and is not in memory, else NOTHING */
    enum workflow_state state;
    int16_t shard; /* -1: not known */
    int16_t run;   /* 0: not known */
    char *step;    /* the present state of the outermost level, or NULL */
    int64_t created_us, started_us, completed_us, paused_us, deadline_us;
    int64_t ahead;                  /* of one that waits to start: workflows before it */
    int64_t slots, calls;           /* calls that may be made at a time, and that are being made */
    struct explanation_wait *waits; /* by age, at most EXPLANATION_WAITS_MAX */
    size_t waits_count, waits_total;
    char *error, *error_cause;   /* of FAILED, CANCELLED */
    char *failed_in;             /* path of the state that failed; NULL: not known, or none did */
    bool retry_known, can_retry; /* of FAILED */
    bool database_down;
    char *instance, *instance_url; /* that owns the shard, as far as it is known */
    int64_t lease_us;              /* until when; 0: not known */
};
struct explanation *explanation_new(void) MUST_USE;
void explanation_free(struct explanation *explanation);

/* The waits of a workflow in memory. services name the services called; before heard_us no heartbeat could
 * be taken (workflow_wait_limit_us). */
struct services;
void explanation_add_waits(struct explanation *explanation, struct workflow *workflow,
                           const struct services *services, int64_t heard_us);
/* The end of one that has ended: error, where it failed, and whether it can go on. */
void explanation_add_end(struct explanation *explanation, const struct workflow *workflow);

/* What the whole workflow waits for. */
enum explanation_cause explanation_cause_of(const struct explanation *explanation);
void explanation_sentence(const struct explanation *explanation, int64_t now_us,
                          struct buffer *out);
/* The answer of GET /api/v1/workflows/{id}/explain. */
struct json *explanation_json(const struct explanation *explanation, int64_t now_us) MUST_USE;

#endif
