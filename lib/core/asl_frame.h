/* SPDX-License-Identifier: MIT */
/* asl_frame.h - what runs: a tree of frames, and the waits that are open. For asl_*.c only.
 *
 * A frame runs one list of states: the root runs the machine, a child one branch of the Parallel
 * state its parent stands in.
 *
 * Owns      A frame owns its data, its children and their results.
 */
#ifndef CORE_ASL_FRAME_H
#define CORE_ASL_FRAME_H

#include "core/asl_internal.h"

struct asl_frame {
    struct asl_frame *parent;
    uint32_t branch; /* which of the parent's branches */
    const struct asl_scope *scope;

    const struct asl_state *state;
    struct asl_data raw; /* the state's input before InputPath */
    int64_t entered_us;
    uint32_t visit;
    uint32_t attempt;
    uint32_t *retries; /* how often each retrier was used in this visit */
    uint32_t wait;     /* 0: waits for nothing of its own */
    bool retrying;     /* the wait is the delay before the next attempt */
    bool fresh;        /* made ready by a transition, so the state is entered, not tried again */

    struct asl_frame **children; /* NULL where a branch has finished */
    struct json **results;
    size_t children_count;
    size_t running;
    struct asl_bound results_bound;

    bool ready; /* in the list of frames to go on with */
    struct asl_frame *ready_before;
    struct asl_frame *ready_after;
};

struct asl_open_wait {
    uint32_t number;
    struct asl_frame *frame;
};

struct asl_execution {
    const struct asl_machine *machine;
    struct json *input;
    struct json *context; /* $$ without State; NULL when no state looks at it */
    char *seed;
    uint64_t draws;
    size_t data_bytes_max; /* limit on the data of a state */
    uint32_t *visits;      /* by index of state */
    struct asl_frame *root;
    struct asl_open_wait *waits; /* by rising number */
    size_t waits_count;
    size_t waits_capacity;
    uint32_t waits_given;
    struct asl_frame *ready_first;
    struct asl_frame *ready_last;
    bool started;
    bool ended;
    /* while a step runs */
    int64_t now_us;
    double random;
    uint32_t transitions;
    struct asl_effects *effects;
};

struct asl_frame *asl_frame_new(struct asl_frame *parent, const struct asl_scope *scope,
                                uint32_t branch) MUST_USE;
/* Frees the frame and all below it; their waits are forgotten without a word. */
void asl_frame_free(struct asl_execution *execution, struct asl_frame *frame);
/* Frees all below the frame. */
void asl_frame_clear_children(struct asl_execution *execution, struct asl_frame *frame);
/* Tells the shell that the waits of all frames below (and of the frame itself) are not wanted any
 * more. */
void asl_frame_abandon(struct asl_execution *execution, struct asl_frame *frame);

void asl_ready_add(struct asl_execution *execution, struct asl_frame *frame);
struct asl_frame *asl_ready_take(struct asl_execution *execution);

uint32_t asl_wait_open(struct asl_execution *execution, struct asl_frame *frame);
struct asl_frame *asl_wait_find(const struct asl_execution *execution, uint32_t number);
void asl_wait_close(struct asl_execution *execution, uint32_t number);

#endif
