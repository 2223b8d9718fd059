/* SPDX-License-Identifier: MIT */
#include "core/asl_loops.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_SHOWN_MAX 8

struct visit {
    size_t order; /* from 1; 0: not seen */
    size_t low;   /* earliest state that is on the stack and can be reached */
    size_t edge;  /* next transition to look at */
    bool stacked;
};

struct search {
    struct asl_loops *loops;
    const bool *left_out;
    struct visit *visits;
    size_t *path; /* states that are being looked at, outermost first */
    size_t path_count;
    size_t *stack; /* seen, and not yet part of a finished component */
    size_t stack_count;
    size_t orders;
};

static void enter(struct search *search, size_t state)
{
    search->visits[state] = (struct visit){++search->orders, search->orders, 0, true};
    search->path[search->path_count++] = state;
    search->stack[search->stack_count++] = state;
}

static bool leads_to_itself(const struct outline_state *state)
{
    for (size_t i = 0; i < state->edges_count; i++) {
        if (state->edges[i].to == state)
            return true;
    }
    return false;
}

/* The states above `root` on the stack lead to each other. */
static void component_finish(struct search *search, size_t root)
{
    struct asl_loops *loops = search->loops;
    bool loop = search->stack[search->stack_count - 1] != root ||
                leads_to_itself(&loops->scope->states[root]);
    size_t member;
    do {
        member = search->stack[--search->stack_count];
        search->visits[member].stacked = false;
        loops->loop_of[member] = loop ? loops->count : NO_LOOP;
    } while (member != root);
    loops->count += loop;
}

static void leave(struct search *search, size_t state)
{
    search->path_count--;
    if (search->visits[state].low == search->visits[state].order)
        component_finish(search, state);
    if (search->path_count == 0)
        return;
    struct visit *outer = &search->visits[search->path[search->path_count - 1]];
    if (search->visits[state].low < outer->low)
        outer->low = search->visits[state].low;
}

static void search_from(struct search *search, size_t first)
{
    enter(search, first);
    while (search->path_count > 0) {
        size_t at = search->path[search->path_count - 1];
        const struct outline_state *state = &search->loops->scope->states[at];
        struct visit *visit = &search->visits[at];
        if (visit->edge == state->edges_count) {
            leave(search, at);
            continue;
        }
        size_t to = state->edges[visit->edge++].to->number;
        if (search->left_out && search->left_out[to])
            continue;
        if (search->visits[to].order == 0)
            enter(search, to);
        else if (search->visits[to].stacked && search->visits[to].order < visit->low)
            visit->low = search->visits[to].order;
    }
}

static void members_list(struct asl_loops *loops)
{
    size_t states = loops->scope->count;
    loops->members = must_calloc(states + 1, sizeof *loops->members);
    loops->first = must_calloc(loops->count + 2, sizeof *loops->first);
    for (size_t i = 0; i < states; i++) {
        if (loops->loop_of[i] != NO_LOOP)
            loops->first[loops->loop_of[i] + 2]++;
    }
    for (size_t loop = 2; loop < loops->count + 2; loop++)
        loops->first[loop] += loops->first[loop - 1];
    for (size_t i = 0; i < states; i++) {
        if (loops->loop_of[i] != NO_LOOP)
            loops->members[loops->first[loops->loop_of[i] + 1]++] = i;
    }
}

void asl_loops_find(struct asl_loops *loops, const struct outline_scope *scope,
                    const bool *left_out)
{
    *loops = (struct asl_loops){.scope = scope,
                                .loop_of = must_calloc(scope->count + 1, sizeof *loops->loop_of)};
    struct search search = {.loops = loops,
                            .left_out = left_out,
                            .visits = must_calloc(scope->count + 1, sizeof *search.visits),
                            .path = must_calloc(scope->count + 1, sizeof *search.path),
                            .stack = must_calloc(scope->count + 1, sizeof *search.stack)};
    for (size_t i = 0; i < scope->count; i++)
        loops->loop_of[i] = NO_LOOP;
    for (size_t i = 0; i < scope->count; i++) {
        if (search.visits[i].order == 0 && !(left_out && left_out[i]))
            search_from(&search, i);
    }
    members_list(loops);
    free(search.visits);
    free(search.path);
    free(search.stack);
}

void asl_loops_fini(struct asl_loops *loops)
{
    free(loops->loop_of);
    free(loops->members);
    free(loops->first);
    *loops = (struct asl_loops){0};
}

const struct outline_state *asl_loops_first(const struct asl_loops *loops, size_t loop)
{
    return &loops->scope->states[loops->members[loops->first[loop]]];
}

static void names_append(const struct asl_loops *loops, const size_t *before, size_t last,
                         size_t first, struct buffer *out)
{
    size_t names[NAMES_SHOWN_MAX], count = 0, steps = 0;
    for (size_t at = last; at != first; at = before[at], steps++) {
        if (count == NAMES_SHOWN_MAX)
            memmove(names, names + 1, --count * sizeof *names);
        names[count++] = at;
    }
    buffer_append_text(out, loops->scope->states[first].name);
    while (count > 0)
        buffer_append_format(out, " -> %s", loops->scope->states[names[--count]].name);
    if (steps > NAMES_SHOWN_MAX)
        buffer_append_text(out, " -> ...");
    buffer_append_format(out, " -> %s", loops->scope->states[first].name);
}

void asl_loops_describe(const struct asl_loops *loops, size_t loop, struct buffer *out)
{
    size_t first = asl_loops_first(loops, loop)->number, count = loops->scope->count;
    size_t *before = must_calloc(count, sizeof *before); /* breadth first */
    size_t *queue = must_calloc(count, sizeof *queue);
    for (size_t i = 0; i < count; i++)
        before[i] = SIZE_MAX;
    size_t head = 0, tail = 0, last = first;
    bool found = false;
    queue[tail++] = before[first] = first;
    while (head < tail && !found) {
        const struct outline_state *state = &loops->scope->states[queue[head++]];
        for (size_t i = 0; i < state->edges_count && !found; i++) {
            size_t to = state->edges[i].to->number;
            found = to == first;
            last = state->number;
            if (before[to] == SIZE_MAX && loops->loop_of[to] == loop) {
                before[to] = state->number;
                queue[tail++] = to;
            }
        }
    }
    names_append(loops, before, last, first, out);
    free(before);
    free(queue);
}
