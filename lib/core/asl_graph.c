/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "core/asl_internal.h"
#include "core/asl_outline.h"

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

/* -- names that are given twice -- */

struct named {
    const struct outline_state **states;
    size_t count;
};

static void scope_collect(const struct outline_scope *scope, void *context)
{
    struct named *named = context;
    for (size_t i = 0; i < scope->count; i++)
        named->states[named->count++] = &scope->states[i];
}

static int by_name_and_place(const void *a, const void *b)
{
    const struct outline_state *x = *(const struct outline_state *const *)a;
    const struct outline_state *y = *(const struct outline_state *const *)b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->serial > y->serial) - (x->serial < y->serial);
}

/* Each state whose name an earlier one of the machine has, in whatever scope. */
void asl_duplicates_report(struct asl_compiler *compiler)
{
    const char *base = compiler->source ? source_map_base(compiler->source) : "";
    struct asl_outline *outline = asl_outline_new(compiler->machine->definition, base);
    struct named named = {must_calloc(outline->states_count + 1, sizeof *named.states), 0};
    outline_scopes_visit(&outline->scope, scope_collect, &named);
    qsort(named.states, named.count, sizeof *named.states, by_name_and_place);
    for (size_t i = 1; i < named.count; i++) {
        const struct outline_state *state = named.states[i];
        if (strcmp(named.states[i - 1]->name, state->name) == 0)
            finding_add(compiler->findings, FINDING_ERROR, compiler->source, state->pointer,
                        "ASL_DUPLICATE_STATE",
                        "the name \"%s\" is used by more than one state of the machine",
                        state->name);
    }
    free(named.states);
    asl_outline_free(outline);
}
