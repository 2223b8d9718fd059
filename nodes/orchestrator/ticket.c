/* SPDX-License-Identifier: MIT */
#include "orchestrator/ticket.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "io/clock.h"

struct ticket_sync {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    atomic_int holders;
};

struct ticket *ticket_new(void)
{
    struct ticket *ticket = must_calloc(1, sizeof *ticket);
    struct ticket_sync *sync = must_calloc(1, sizeof *sync);
    pthread_mutex_init(&sync->lock, NULL);
    clock_condition_init(&sync->answered);
    atomic_init(&sync->holders, 2);
    ticket->internal = sync;
    return ticket;
}

struct ticket *ticket_hold(struct ticket *ticket)
{
    struct ticket_sync *sync = ticket->internal;
    atomic_fetch_add(&sync->holders, 1);
    return ticket;
}

bool ticket_is_deserted(struct ticket *ticket)
{
    struct ticket_sync *sync = ticket->internal;
    return atomic_load(&sync->holders) == 1;
}

void ticket_release(struct ticket *ticket)
{
    struct ticket_sync *sync = ticket->internal;
    if (atomic_fetch_sub(&sync->holders, 1) != 1)
        return;
    pthread_mutex_destroy(&sync->lock);
    pthread_cond_destroy(&sync->answered);
    free(sync);
    workflow_free(ticket->workflow);
    free(ticket->key);
    free(ticket->cause);
    free(ticket->name);
    json_release(ticket->data);
    json_release(ticket->result);
    free(ticket->error);
    free(ticket->error_cause);
    explanation_free(ticket->explanation);
    free(ticket);
}

void ticket_lock(struct ticket *ticket)
{
    struct ticket_sync *sync = ticket->internal;
    pthread_mutex_lock(&sync->lock);
}

void ticket_unlock(struct ticket *ticket)
{
    struct ticket_sync *sync = ticket->internal;
    pthread_mutex_unlock(&sync->lock);
}

void ticket_answer(struct ticket *ticket, enum ticket_stage stage)
{
    struct ticket_sync *sync = ticket->internal;
    ticket->stage = stage;
    pthread_cond_signal(&sync->answered);
    pthread_mutex_unlock(&sync->lock);
}

bool ticket_wait(struct ticket *ticket, enum ticket_stage stage, int64_t deadline_us)
{
    struct ticket_sync *sync = ticket->internal;
    pthread_mutex_lock(&sync->lock);
    while (ticket->stage == stage)
        if (!clock_wait(&sync->answered, &sync->lock, deadline_us))
            break;
    bool moved = ticket->stage != stage;
    pthread_mutex_unlock(&sync->lock);
    return moved;
}

void ticket_append(struct ticket **first, struct ticket **last, struct ticket *ticket)
{
    ticket->next = NULL;
    if (*first == NULL)
        *first = ticket;
    else
        (*last)->next = ticket;
    *last = ticket;
}
