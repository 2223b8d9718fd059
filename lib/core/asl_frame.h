/* SPDX-License-Identifier: MIT */
/* asl_frame.h - what runs: a tree of frames, and the waits that are open. For asl_*.c only.
 *
 * A frame runs one list of states: the root runs the machine, a child one branch of the Parallel
 * state its parent stands in, or the item processor of its Map state for one item.
 *
 * Owns      A frame owns its data, its variables, its children and their results.
 */
#ifndef CORE_ASL_FRAME_H
#define CORE_ASL_FRAME_H

#include "core/asl_internal.h"

/* What the children of a frame in a Parallel or Map state do. */
struct asl_team {
    struct asl_frame **children; /* by branch or item; NULL where none runs */
    struct json **results;       /* likewise, of those that have ended */
    size_t count;
    size_t next;                    /* of the items, the first that has not begun */
    size_t running;                 /* children */
    size_t most;                    /* that may run at once */
    struct asl_data input;          /* Map: the effective input, what ItemSelector sees as $ */
    struct json *items;             /* Map */
    struct asl_bound results_bound; /* of all results together */
    bool results_counted;           /* its octets are exact, since the bounds were too high */
};

struct asl_frame {
    struct asl_frame *parent;
    uint32_t branch; /* which of the parent's branches or items */
    const struct asl_scope *scope;
    struct json *item;      /* of a Map state; NULL for the root and branches */
    char *prefix;           /* of state paths, below a Map state; NULL: the machine's path holds */
    struct json *variables; /* those of this scope; NULL: none yet */

    const struct asl_state *state;
    struct asl_data raw;   /* the state's input before InputPath */
    struct json *assigned; /* variables as they are after this state; NULL: as they are */
    int64_t entered_us;
    uint32_t visit;
    uint32_t attempt;
    uint32_t in_a_row; /* states entered since it last waited for something */
    uint32_t *retries; /* how often each retrier was used in this visit */
    uint32_t wait;     /* 0: waits for nothing of its own */
    uint32_t token;    /* the wait that $$.Task.Token speaks of */
    bool retrying;     /* the wait is the delay before the next attempt */
    bool fresh;        /* made ready by a transition, so the state is entered, not tried again */
    bool failed;       /* its failure ended the execution */

    struct asl_team *team; /* NULL where nothing runs below */

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
    asl_token_make *token;
    void *token_context;
    struct asl_meter meter;    /* of the step that runs */
    uint32_t *visits;          /* by index of state */
    uint32_t transitions_life; /* states entered and attempts made, ever */
    size_t frames;             /* that the items of Map states may run now, all together */
    struct asl_frame *root;
    struct asl_open_wait *waits; /* by rising number */
    size_t waits_count;
    size_t waits_capacity;
    uint32_t waits_given;
    struct asl_frame *ready_first;
    struct asl_frame *ready_last;
    bool started;
    bool ended;
    bool failed; /* ended so, and its frames are still there */
    /* while a step runs */
    int64_t now_us;
    double random;
    uint32_t transitions;
    uint32_t calls;
    struct asl_effects *effects;
};

struct asl_frame *asl_frame_new(struct asl_frame *parent, const struct asl_scope *scope,
                                uint32_t branch) MUST_USE;
/* Frees the frame and all below it; their waits are forgotten without a word. */
void asl_frame_free(struct asl_execution *execution, struct asl_frame *frame);
/* Makes the team of a frame that stands in a Parallel or Map state: nobody runs yet. */
struct asl_team *asl_team_new(struct asl_frame *frame, size_t count, size_t most) MUST_USE;
/* Frees all below the frame. */
void asl_team_free(struct asl_execution *execution, struct asl_frame *frame);
/* Tells the shell that the waits of all frames below (and of the frame itself) are not wanted any
 * more. */
void asl_frame_abandon(struct asl_execution *execution, struct asl_frame *frame);

void asl_ready_add(struct asl_execution *execution, struct asl_frame *frame);
struct asl_frame *asl_ready_take(struct asl_execution *execution);

uint32_t asl_wait_open(struct asl_execution *execution, struct asl_frame *frame);
struct asl_frame *asl_wait_find(const struct asl_execution *execution, uint32_t number);
void asl_wait_close(struct asl_execution *execution, uint32_t number);

/* An effect that speaks of the frame's state. */
struct asl_effect *asl_frame_effect(struct asl_execution *execution, enum asl_effect_type type,
                                    const struct asl_frame *frame);

#endif
