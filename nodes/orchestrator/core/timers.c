/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/timers.h"

#include <stdlib.h>

#include "base/error.h"

#define SWEEP_FIRST 1024u

void timers_fini(struct timers *timers)
{
    free(timers->items);
    *timers = (struct timers){0};
}

static void sift_up(struct timers *timers, size_t index)
{
    struct timer moving = timers->items[index];
    while (index > 0 && timers->items[(index - 1) / 2].due_us > moving.due_us) {
        timers->items[index] = timers->items[(index - 1) / 2];
        index = (index - 1) / 2;
    }
    timers->items[index] = moving;
}

static void sift_down(struct timers *timers, size_t index)
{
    struct timer moving = timers->items[index];
    for (size_t child; (child = 2 * index + 1) < timers->count; index = child) {
        if (child + 1 < timers->count &&
            timers->items[child + 1].due_us < timers->items[child].due_us)
            child++;
        if (timers->items[child].due_us >= moving.due_us)
            break;
        timers->items[index] = timers->items[child];
    }
    timers->items[index] = moving;
}

static void sweep(struct timers *timers, timer_wanted *wanted, void *context)
{
    size_t kept = 0;
    for (size_t i = 0; i < timers->count; i++)
        if (wanted(&timers->items[i], context))
            timers->items[kept++] = timers->items[i];
    timers->count = kept;
    for (size_t i = kept / 2; i-- > 0;)
        sift_down(timers, i);
    timers->sweep_at = kept * 2 < SWEEP_FIRST ? SWEEP_FIRST : kept * 2;
}

void timers_add(struct timers *timers, const struct timer *timer, timer_wanted *wanted,
                void *context)
{
    if (timers->sweep_at == 0)
        timers->sweep_at = SWEEP_FIRST;
    if (timers->count >= timers->sweep_at)
        sweep(timers, wanted, context);
    if (timers->count == timers->capacity) {
        timers->capacity = timers->capacity == 0 ? 64 : timers->capacity * 2;
        timers->items = must_realloc(timers->items, timers->capacity * sizeof *timers->items);
    }
    timers->items[timers->count++] = *timer;
    sift_up(timers, timers->count - 1);
}

bool timers_pop(struct timers *timers, int64_t now_us, struct timer *timer)
{
    if (timers->count == 0 || timers->items[0].due_us > now_us)
        return false;
    *timer = timers->items[0];
    timers->items[0] = timers->items[--timers->count];
    if (timers->count > 0)
        sift_down(timers, 0);
    return true;
}

int64_t timers_next_us(const struct timers *timers)
{
    return timers->count == 0 ? INT64_MAX : timers->items[0].due_us;
}
