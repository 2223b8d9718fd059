/* SPDX-License-Identifier: MIT */
/* timers.h - a heap of points in time. A timer that nobody wants any more stays until it comes up or
 * until the heap has doubled, when the unwanted ones are swept out.
 *
 * Owns      Its array; zeroed is empty.
 * Threads   One.
 * Units     *_us microseconds since 1970 UTC.
 */
#ifndef ORCHESTRATOR_CORE_TIMERS_H
#define ORCHESTRATOR_CORE_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

struct timer {
    int64_t due_us;
    struct uuid id;
    uint32_t wait; /* 0: the time limit of the workflow itself */
};

struct timers {
    struct timer *items;
    size_t count, capacity;
    size_t sweep_at; /* when count reaches it, unwanted timers are removed */
};

typedef bool timer_wanted(const struct timer *timer, void *context);

void timers_fini(struct timers *timers);
void timers_add(struct timers *timers, const struct timer *timer, timer_wanted *wanted,
                void *context);
/* Takes the earliest when it is due. */
bool timers_pop(struct timers *timers, int64_t now_us, struct timer *timer);
int64_t timers_next_us(const struct timers *timers); /* INT64_MAX when there is none */

#endif
