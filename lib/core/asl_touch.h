/* SPDX-License-Identifier: MIT */
/* asl_touch.h - which places of the data a state reads, and which it changes, as far as its
 * definition tells. Pure.
 *
 * A place is the leading part of a path that has plain names only: "$", "$.job.status", "$counter"
 * of a variable. It stands for everything below it, so both sets are never too small: a check that
 * asks for sets that do not meet errs on the silent side.
 *
 * Owns      struct touches owns its texts; zeroed is empty.
 * Threads   One thread at a time.
 */
#ifndef CORE_ASL_TOUCH_H
#define CORE_ASL_TOUCH_H

#include "core/asl_outline.h"

struct touches {
    char **places;
    size_t count;
    size_t capacity;
    bool context; /* reads the context object, whose times differ at each visit */
};

void touches_fini(struct touches *touches);
/* What the rules of a Choice, the payload of a Task and the like look at. */
void touches_read(struct touches *touches, const struct outline_state *state);
/* What differs between the state's input and what the edge hands to the next one, Assign included.
 * */
void touches_write(struct touches *touches, const struct outline_state *state,
                   const struct outline_edge *edge);
/* For touches_meet, once all are there. */
void touches_sort(struct touches *touches);
/* True when one place lies within a place of the other set, which is sorted. */
bool touches_meet(const struct touches *a, const struct touches *sorted);

#endif
