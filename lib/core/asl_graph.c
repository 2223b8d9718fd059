/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "core/asl_internal.h"

struct walk {
    const struct asl_scope *scope;
    bool *reached;
    const struct asl_state **waiting; /* reached, and not looked at yet */
    size_t waiting_count;
};

static void walk_reach(struct walk *walk, const struct asl_state *state)
{
    if (!state)
        return;
    size_t i = (size_t)(state - walk->scope->states);
    if (walk->reached[i])
        return;
    walk->reached[i] = true;
    walk->waiting[walk->waiting_count++] = state;
}

static bool is_terminal(const struct asl_state *state)
{
    return state->type == ASL_SUCCEED || state->type == ASL_FAIL ||
           (state->type != ASL_CHOICE && !state->next);
}

/* Every state is reached from the start, and an end is reached. */
void asl_graph_check(struct asl_compiler *compiler, const struct asl_scope *scope)
{
    struct walk walk = {scope, must_calloc(scope->count, sizeof *walk.reached),
                        must_calloc(scope->count, sizeof *walk.waiting), 0};
    bool terminal = false;
    walk_reach(&walk, scope->start);
    while (walk.waiting_count > 0) {
        const struct asl_state *state = walk.waiting[--walk.waiting_count];
        terminal = terminal || is_terminal(state);
        walk_reach(&walk, state->next);
        walk_reach(&walk, state->choice_default);
        for (size_t i = 0; i < state->choices_count; i++)
            walk_reach(&walk, state->choices[i].next);
        for (size_t i = 0; i < state->catchers_count; i++)
            walk_reach(&walk, state->catchers[i].next);
    }
    size_t place = compiler->pointer.bytes;
    pointer_append(&compiler->pointer, "States", strlen("States"));
    for (size_t i = 0; i < scope->count; i++) {
        if (!walk.reached[i])
            asl_report_at(compiler, scope->states[i].name, "ASL_UNREACHABLE_STATE",
                          "nothing leads to the state \"%s\"", scope->states[i].name);
    }
    pointer_cut(&compiler->pointer, place);
    if (!terminal)
        asl_report(compiler, FINDING_ERROR, "ASL_NO_END", "no path from StartAt reaches an end");
    free(walk.reached);
    free(walk.waiting);
}
