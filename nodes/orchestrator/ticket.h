/* SPDX-License-Identifier: MIT */
/* ticket.h - a request on its way from an HTTP thread to a worker and its answer back.
 *
 * Owns      A ticket is shared by the thread that waits and the worker that answers; the last one to
 *           release it frees it, whatever answered in the meantime.
 * Threads   The waiting thread and one worker.
 * Units     *_us: deadlines by clock_monotonic_us, times since 1970 UTC.
 */
#ifndef ORCHESTRATOR_TICKET_H
#define ORCHESTRATOR_TICKET_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/core/engine.h"

enum ticket_question {
    TICKET_SUBMIT,
    TICKET_CANCEL,
    TICKET_PAUSE,
    TICKET_RESUME,
    TICKET_RETRY, /* of a FAILED workflow */
    TICKET_WATCH,
    TICKET_TOKEN,     /* wait, data or name and cause: a task token's answer */
    TICKET_HEARTBEAT, /* wait */
    TICKET_CHILD,     /* wait, data or name and cause: the end of a child */
    TICKET_LIVES,     /* wait, child: it lives; is its end still waited for? */
    TICKET_LOOK,      /* a child that ended elsewhere: look in the database */
    TICKET_SIGNAL,    /* name, key, data */
    TICKET_EXPLAIN,   /* why is it where it is? */
    TICKET_ORPHAN     /* parent, wait: which no longer waits for the end of the workflow */
};

enum ticket_stage {
    TICKET_OPEN,      /* no answer yet */
    TICKET_ACCEPTED,  /* committed: id, state and times are filled */
    TICKET_ENDED,     /* the workflow ended: result, error, after */
    TICKET_DUPLICATE, /* the key belongs to the workflow `id`; same_body */
    TICKET_REFUSED,   /* code says why */
    TICKET_NOT_LIVE,  /* no live workflow here has the id: the database knows */
    TICKET_STALE,     /* nobody waits for it (any more) */
    TICKET_EXPLAINED, /* explanation: of the workflow as it is in memory, committed or not */
};

struct ticket {
    /* the question */
    enum ticket_question question;
    int16_t
        at_shard; /* of the workflow; of TICKET_RETRY and those after TICKET_WATCH but the last */
    int16_t run;  /* TICKET_RETRY: the one that failed */
    uint32_t wait;
    struct uuid parent;
    struct uuid child; /* of TICKET_LIVES; loaded: it was there when the shards were loaded */
    bool loaded;
    char *name;        /* of the signal, or of the error */
    struct json *data; /* or NULL */
    struct uuid id;
    struct workflow *workflow; /* TICKET_SUBMIT: taken by the worker */
    char *key;                 /* or NULL */
    uint8_t body_hash[BODY_HASH_BYTES];
    int64_t read_us; /* clock_monotonic_us of the look for the key in the database */
    char *cause;
    bool wants_end;      /* answer the end of the workflow too */
    struct ticket *next; /* in a mailbox or among the watchers of a workflow */
    /* the answer; read it after ticket_wait */
    enum ticket_stage stage;
    enum error_code code;
    bool accepted; /* TICKET_ACCEPTED was given, whatever followed */
    bool same_body;
    enum workflow_state state;
    int64_t created_us, started_us, completed_us;
    struct json *result;
    char *error, *error_cause;
    int16_t shard;
    int64_t after_seq;
    struct explanation *explanation;
    void *internal;
};

struct ticket *ticket_new(void) MUST_USE;       /* held twice: by the caller and for the worker */
void ticket_release(struct ticket *ticket);     /* by either side */
bool ticket_is_deserted(struct ticket *ticket); /* asked by the worker: nobody else holds it */
struct ticket *ticket_hold(struct ticket *ticket);
/* To the end of a list: a mailbox, or tickets that wait. */
void ticket_append(struct ticket **first, struct ticket **last, struct ticket *ticket);
/* The answer is read and changed under the lock; ticket_answer wakes the waiter. */
void ticket_lock(struct ticket *ticket);
void ticket_unlock(struct ticket *ticket);
void ticket_answer(struct ticket *ticket, enum ticket_stage stage); /* locked before; unlocks */
/* The waiter's side: true when the stage is no longer `stage` before the deadline. */
bool ticket_wait(struct ticket *ticket, enum ticket_stage stage, int64_t deadline_us);

#endif
