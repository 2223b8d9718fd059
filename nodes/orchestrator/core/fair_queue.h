/* SPDX-License-Identifier: MIT */
/* fair_queue.h - calls that wait for one service, by namespace: first come, first served within a namespace,
 * and between namespaces as many in turn as their weights say (a weight of 3 gets three calls where a weight
 * of 1 gets one). Pure.
 *
 * Owns      Its lanes and copies of their names; zeroed is empty. A lane that is empty is forgotten.
 * Threads   One.
 * Units     Counts of calls.
 * Source    Deficit round robin (Shreedhar and Varghese, 1995), with calls that all cost one.
 */
#ifndef ORCHESTRATOR_CORE_FAIR_QUEUE_H
#define ORCHESTRATOR_CORE_FAIR_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"

/* A wait of a workflow. It may be true no longer when its turn comes. */
struct place {
    struct uuid id;
    uint32_t wait;
};

struct fair_lane;

struct fair_queue {
    struct fair_lane *lanes; /* by name */
    struct fair_lane *turn;  /* whose turn it is; they form a ring */
    size_t count;
    size_t fresh; /* of them, not seen by a sweep */
};

void fair_queue_fini(struct fair_queue *queue);
void fair_queue_push(struct fair_queue *queue, const char *namespace, int64_t weight,
                     const struct place *place);

typedef bool fair_queue_wanted(void *context, const struct place *place);
/* The next one, which stays; those before it that nobody wants are dropped. False when there is none. */
bool fair_queue_peek(struct fair_queue *queue, fair_queue_wanted *wanted, void *context,
                     struct place *place) MUST_USE;
void fair_queue_pop(struct fair_queue *queue); /* the one that was peeked */

/* How many come before it; -1 when it is not here. */
int64_t fair_queue_ahead(const struct fair_queue *queue, const char *namespace,
                         const struct place *place);

/* Shows those that no sweep has seen; one for which `keep` says false is dropped. */
void fair_queue_sweep(struct fair_queue *queue, fair_queue_wanted *keep, void *context);

#endif
