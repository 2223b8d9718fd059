/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "core/asl_lint_internal.h"
#include "core/asl_loops.h"

struct checker {
    struct asl_lint *lint;
    const struct outline_scope *scope;
    bool *told; /* by the number of a state: it is part of a loop that was reported */
};

typedef const char *loop_rule(const struct asl_loops *loops, size_t loop);

static bool is_told(const struct checker *checker, const struct asl_loops *loops, size_t loop)
{
    for (size_t m = loops->first[loop]; m < loops->first[loop + 1]; m++) {
        if (checker->told[loops->members[m]])
            return true;
    }
    return false;
}

static void loop_report(struct checker *checker, const struct asl_loops *loops, size_t loop,
                        const char *code, const char *text)
{
    struct buffer names = {0};
    if (checker->lint->findings->count < FINDINGS_MAX) /* those past it are counted only */
        asl_loops_describe(loops, loop, &names);
    asl_lint_report(checker->lint, asl_loops_first(loops, loop)->pointer, "", code,
                    "the loop %s %s", buffer_text(&names), text);
    buffer_fini(&names);
    for (size_t m = loops->first[loop]; m < loops->first[loop + 1]; m++)
        checker->told[loops->members[m]] = true;
}

/* Reports each loop, of those that remain without some states, for which the rule gives a text. */
static void loops_check(struct checker *checker, const bool *left_out, const char *code,
                        loop_rule *rule)
{
    struct asl_loops loops;
    asl_loops_find(&loops, checker->scope, left_out);
    for (size_t loop = 0; loop < loops.count; loop++) {
        const char *text = is_told(checker, &loops, loop) ? NULL : rule(&loops, loop);
        if (text)
            loop_report(checker, &loops, loop, code, text);
    }
    asl_loops_fini(&loops);
}

static bool stays(const struct asl_loops *loops, size_t loop, const struct outline_edge *edge)
{
    return loops->loop_of[edge->to->number] == loop;
}

/* -- nothing leads out -- */

static const char *never_left(const struct asl_loops *loops, size_t loop)
{
    for (size_t m = loops->first[loop]; m < loops->first[loop + 1]; m++) {
        const struct outline_state *state = &loops->scope->states[loops->members[m]];
        if (state->ends)
            return NULL;
        for (size_t e = 0; e < state->edges_count; e++) {
            if (!stays(loops, loop, &state->edges[e]))
                return NULL;
        }
    }
    return "is never left: nothing leads out of it, so the workflow can only fail or be stopped";
}

/* -- what would end the loop does not change in it -- */

/* A state that passes its data on as it is, and decides by nothing but the data. */
static bool is_idle(const struct outline_state *state)
{
    if (state->type != OUTLINE_PASS && state->type != OUTLINE_CHOICE && state->type != OUTLINE_WAIT)
        return false;
    struct touches reads = {0}, writes = {0};
    touches_read(&reads, state);
    for (size_t e = 0; e < state->edges_count; e++)
        touches_write(&writes, state, &state->edges[e]);
    bool idle = writes.count == 0 && !(state->type == OUTLINE_CHOICE && reads.context);
    touches_fini(&reads);
    touches_fini(&writes);
    return idle;
}

static const char *changes_nothing(const struct asl_loops *loops, size_t loop)
{
    (void)loops, (void)loop;
    return "changes nothing that its Choices look at: once it has been gone round, it is never "
           "left";
}

/* What the states of the loop change for each other: `only_counting` asks for those of Pass and
 * Assign. */
static void loop_writes(const struct asl_loops *loops, size_t loop, bool only_counting,
                        struct touches *touches)
{
    for (size_t m = loops->first[loop]; m < loops->first[loop + 1]; m++) {
        const struct outline_state *state = &loops->scope->states[loops->members[m]];
        for (size_t e = 0; e < state->edges_count; e++) {
            const struct outline_edge *edge = &state->edges[e];
            bool counts = state->type == OUTLINE_PASS || json_get(state->document, "Assign") ||
                          json_get(edge->document, "Assign");
            if (stays(loops, loop, edge) && (counts || !only_counting))
                touches_write(touches, state, edge);
        }
    }
    touches_sort(touches);
}

/* Every way out is by a Choice, and what that looks at is changed by no state of the loop. */
static const char *choices_are_deaf(const struct asl_loops *loops, size_t loop)
{
    struct touches writes = {0};
    loop_writes(loops, loop, false, &writes);
    bool deaf = true;
    for (size_t m = loops->first[loop]; m < loops->first[loop + 1] && deaf; m++) {
        const struct outline_state *state = &loops->scope->states[loops->members[m]];
        bool leaves = state->ends;
        for (size_t e = 0; e < state->edges_count; e++)
            leaves = leaves || !stays(loops, loop, &state->edges[e]);
        if (!leaves)
            continue;
        struct touches reads = {0};
        touches_read(&reads, state);
        deaf = state->type == OUTLINE_CHOICE && !reads.context && !touches_meet(&reads, &writes);
        touches_fini(&reads);
    }
    touches_fini(&writes);
    return deaf ? changes_nothing(loops, loop) : NULL;
}

/* -- the same question again and again -- */

/* True when a state that leaves the loop looks at what a Pass or an Assign of the loop changes: a
 * counter, a list that gets shorter. */
static bool is_bounded(const struct asl_loops *loops, size_t loop)
{
    struct touches counted = {0};
    bool bounded = false;
    loop_writes(loops, loop, true, &counted);
    for (size_t m = loops->first[loop]; m < loops->first[loop + 1] && !bounded; m++) {
        const struct outline_state *state = &loops->scope->states[loops->members[m]];
        if (state->type != OUTLINE_CHOICE)
            continue;
        struct touches reads = {0};
        touches_read(&reads, state);
        bounded = reads.context || touches_meet(&reads, &counted);
        touches_fini(&reads);
    }
    touches_fini(&counted);
    return bounded;
}

static const char *asks_the_same(const struct asl_loops *loops, size_t loop)
{
    struct touches writes = {0};
    bool same = true, tasks = false;
    loop_writes(loops, loop, false, &writes);
    for (size_t m = loops->first[loop]; m < loops->first[loop + 1] && same; m++) {
        const struct outline_state *state = &loops->scope->states[loops->members[m]];
        if (state->type != OUTLINE_TASK)
            continue;
        struct touches reads = {0};
        touches_read(&reads, state);
        tasks = true;
        same = !touches_meet(&reads, &writes);
        touches_fini(&reads);
    }
    touches_fini(&writes);
    return tasks && same && !is_bounded(loops, loop)
               ? "asks the same of its tasks again and again without a Wait"
               : NULL;
}

/* States at which time passes, or whose inside would have to be looked at. */
static bool is_slow(const struct outline_state *state)
{
    return state->type == OUTLINE_WAIT || state->type == OUTLINE_PARALLEL ||
           state->type == OUTLINE_MAP || state->type == OUTLINE_UNKNOWN ||
           outline_waits_for_others(state);
}

void asl_lint_loops(struct asl_lint *lint, const struct outline_scope *scope)
{
    struct checker checker = {lint, scope, must_calloc(scope->count + 1, sizeof *checker.told)};
    bool *left_out = must_calloc(scope->count + 1, sizeof *left_out);
    bool ends = false;
    for (size_t i = 0; i < scope->count; i++)
        ends = ends || scope->states[i].ends;
    if (ends) /* else asl_compile has said ASL_NO_END */
        loops_check(&checker, NULL, "ASL_LOOP_NEVER_LEFT", never_left);
    for (size_t i = 0; i < scope->count; i++)
        left_out[i] = !is_idle(&scope->states[i]);
    if (ends) {
        loops_check(&checker, left_out, "ASL_LOOP_CHANGES_NOTHING", changes_nothing);
        loops_check(&checker, NULL, "ASL_LOOP_CHANGES_NOTHING", choices_are_deaf);
    }
    for (size_t i = 0; i < scope->count; i++)
        left_out[i] = is_slow(&scope->states[i]);
    loops_check(&checker, left_out, "ASL_LOOP_WITHOUT_WAIT", asks_the_same);
    free(left_out);
    free(checker.told);
}
