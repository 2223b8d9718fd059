/* SPDX-License-Identifier: MIT */
/* asl_loops.h - the loops among the states of one scope. Pure.
 *
 * A loop is a largest set of states that all lead to each other (a strongly connected component
 * with at least one transition inside).
 *
 * Owns      struct asl_loops owns its arrays; states belong to the outline.
 * Threads   One thread at a time.
 * Source    R. Tarjan, Depth-first search and linear graph algorithms, 1972; without recursion,
 *           because a scope may have thousands of states and a thread a small stack.
 */
#ifndef CORE_ASL_LOOPS_H
#define CORE_ASL_LOOPS_H

#include "base/buffer.h"
#include "core/asl_outline.h"

#define NO_LOOP SIZE_MAX

struct asl_loops {
    const struct outline_scope *scope;
    size_t *loop_of; /* by the number of a state; NO_LOOP */
    size_t count;
    size_t *members; /* numbers of states, loop by loop, each in the order of the file */
    size_t *first;   /* by loop, into members; one more at the end */
};

/* `left_out` (by number; NULL: none) takes states away before loops are looked for. */
void asl_loops_find(struct asl_loops *loops, const struct outline_scope *scope,
                    const bool *left_out);
void asl_loops_fini(struct asl_loops *loops);
/* The shortest way round from the loop's first state (in the order of the file): "A -> B -> A". */
void asl_loops_describe(const struct asl_loops *loops, size_t loop, struct buffer *out);
const struct outline_state *asl_loops_first(const struct asl_loops *loops, size_t loop);

#endif
