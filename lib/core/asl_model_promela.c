/* SPDX-License-Identifier: MIT */
/* asl_model_promela.c - the model as Promela: a process for each branch of a Parallel and each
 * item of a Map.
 *
 * A process tells whoever started it which branch it is and how it ended: 0, or the number of an
 * error plus 1. When a branch fails, its siblings are stopped: a process leaves its body as soon
 * as stopped[_pid] is set, and stops its own branches first. States of a loop that can be left are
 * progress states, so a cycle without progress is a loop that nothing leads out of.
 */
#include <stdlib.h>
#include <string.h>

#include "core/asl_loops.h"
#include "core/asl_model_internal.h"

#define RETRIES_MAX 2 /* of one visit, whatever MaxAttempts says */

struct writer {
    const struct asl_model *model;
    struct asl_model_errors names;
    struct buffer *out;
    size_t scopes_count;
};

/* -- small pieces -- */

/* A name within a comment, which it must not end. */
static void comment(struct buffer *out, const char *text)
{
    buffer_append_text(out, "/* ");
    for (const char *at = text; *at; at++) {
        bool odd = (unsigned char)*at < 0x20 || *at == 0x7F || *at == '*' || *at == '\\';
        buffer_append_char(out, odd ? '?' : *at);
    }
    buffer_append_text(out, " */");
}

static void undo_check(struct writer *writer, const struct outline_state *state)
{
    for (size_t p = 0; p < writer->model->pairs_count; p++) {
        if (writer->model->pairs[p].undo == state)
            buffer_append_format(writer->out, " assert(owed_%zu); owed_%zu = 0;", p, p);
    }
}

static void done_mark(struct writer *writer, const struct outline_state *state)
{
    for (size_t p = 0; p < writer->model->pairs_count; p++) {
        if (writer->model->pairs[p].done == state)
            buffer_append_format(writer->out, " owed_%zu = 1;", p);
    }
}

/* To a state of the same scope, or the end of the scope. */
static void go(struct writer *writer, const struct outline_state *to)
{
    if (to)
        buffer_append_format(writer->out, " goto s%zu\n", to->serial);
    else
        buffer_append_text(writer->out, " outcome = 0; goto ended\n");
}

static void go_failed(struct writer *writer, const struct outline_edge *edge, size_t error)
{
    if (edge)
        go(writer, edge->to);
    else
        buffer_append_format(writer->out, " outcome = %zu; goto ended\n", error + 1);
}

/* -- states -- */

static void task_write(struct writer *writer, const struct outline_state *state)
{
    struct buffer *out = writer->out;
    buffer_append_format(out, "    do\n    :: atomic { true;");
    done_mark(writer, state);
    buffer_append_text(out, " };");
    go(writer, asl_model_next(state));
    for (size_t i = 0; i < writer->names.count; i++) {
        const char *name = writer->names.items[i];
        buffer_append_text(out, "    :: true; ");
        comment(out, name);
        if (asl_model_is_retried(state, name, false))
            buffer_append_format(out, " if :: tries < %d -> tries++; goto again_%zu :: else fi;",
                                 RETRIES_MAX, state->serial);
        go_failed(writer, asl_model_catcher(state, name, false), i);
    }
    buffer_append_text(out, "    od;\n");
}

static void choice_write(struct writer *writer, const struct outline_state *state)
{
    buffer_append_text(writer->out, "    if\n");
    for (size_t e = 0; e < state->edges_count; e++) {
        buffer_append_text(writer->out, "    :: true;");
        go(writer, state->edges[e].to);
    }
    if (!json_get(state->document, "Default")) {
        buffer_append_text(writer->out, "    :: true;");
        go_failed(writer, NULL, asl_model_errors_find(&writer->names, "States.NoChoiceMatched"));
    }
    buffer_append_text(writer->out, "    fi;\n");
}

static void fail_write(struct writer *writer, const struct outline_state *state)
{
    const char *own = json_string_or(json_get(state->document, "Error"), ERROR_OTHER);
    bool any = json_get(state->document, "ErrorPath") != NULL;
    buffer_append_text(writer->out, "    if\n");
    for (size_t i = 0; i < writer->names.count; i++) {
        if (!any && strcmp(writer->names.items[i], own) != 0)
            continue;
        buffer_append_text(writer->out, "    :: true;");
        go_failed(writer, NULL, i);
    }
    buffer_append_text(writer->out, "    fi;\n");
}

/* Starts the branches, waits for them one after the other in the order in which they end. */
static void branches_write(struct writer *writer, const struct outline_state *state,
                           const size_t *inner)
{
    struct buffer *out = writer->out;
    size_t count = state->scopes_count * asl_model_copies(state);
    buffer_append_text(out, "    running = 0;\n");
    for (size_t i = 0; i < count; i++)
        buffer_append_format(
            out,
            "    atomic { child[%zu] = run scope_%zu(down, %zu); stopped[child[%zu]] "
            "= 0; running++ };\n",
            i, inner[i / asl_model_copies(state)], i, i);
    buffer_append_text(out, "    do\n    :: running > 0 -> down ? who, answer; child[who] = 0; "
                            "running--;\n"
                            "        if :: answer != 0 -> break :: else fi\n"
                            "    :: running == 0 -> answer = 0; break\n    od;\n");
    buffer_append_text(out, "    if\n    :: answer == 0 -> ");
    done_mark(writer, state);
    go(writer, asl_model_next(state));
    buffer_append_text(out, "    :: else -> d_step {");
    for (size_t i = 0; i < count; i++)
        buffer_append_format(
            out, " if :: child[%zu] -> stopped[child[%zu]] = 1; child[%zu] = 0 :: else fi;", i, i,
            i);
    buffer_append_text(out, " };\n        if\n");
    for (size_t i = 0; i < writer->names.count; i++) {
        buffer_append_format(out, "        :: answer == %zu -> ", i + 1);
        comment(out, writer->names.items[i]);
        go_failed(writer, asl_model_catcher(state, writer->names.items[i], true), i);
    }
    buffer_append_text(out, "        fi\n    fi;\n");
}

static void state_write(struct writer *writer, const struct outline_state *state,
                        const size_t *inner, bool progress)
{
    struct buffer *out = writer->out;
    buffer_append_format(out, "s%zu:", state->serial);
    if (progress)
        buffer_append_format(out, " progress_%zu:", state->serial);
    buffer_append_text(out, " skip; ");
    comment(out, state->name);
    undo_check(writer, state);
    buffer_append_format(out, " tries = 0;\nagain_%zu: skip;\n", state->serial);
    switch (state->type) {
    case OUTLINE_TASK:
        task_write(writer, state);
        break;
    case OUTLINE_CHOICE:
        choice_write(writer, state);
        break;
    case OUTLINE_FAIL:
        fail_write(writer, state);
        break;
    case OUTLINE_PARALLEL:
    case OUTLINE_MAP:
        branches_write(writer, state, inner);
        break;
    case OUTLINE_PASS:
    case OUTLINE_WAIT:
    case OUTLINE_SUCCEED:
    case OUTLINE_UNKNOWN:
        done_mark(writer, state);
        if (asl_model_next(state) || state->ends)
            go(writer, asl_model_next(state));
        else
            buffer_append_text(out, "    false;\n"); /* stuck */
        break;
    }
}

/* -- scopes -- */

/* Loops that something leads out of. */
static bool *left_loops(const struct asl_loops *loops)
{
    bool *left = must_calloc(loops->count + 1, sizeof *left);
    for (size_t i = 0; i < loops->scope->count; i++) {
        const struct outline_state *state = &loops->scope->states[i];
        size_t loop = loops->loop_of[i];
        if (loop == NO_LOOP)
            continue;
        left[loop] = left[loop] || state->ends;
        for (size_t e = 0; e < state->edges_count; e++)
            left[loop] = left[loop] || loops->loop_of[state->edges[e].to->number] != loop;
    }
    return left;
}

static size_t most_children(const struct outline_scope *scope)
{
    size_t most = 1;
    for (size_t i = 0; i < scope->count; i++) {
        size_t count = scope->states[i].scopes_count * asl_model_copies(&scope->states[i]);
        most = count > most ? count : most;
    }
    return most;
}

/* The inner scopes first; gives the number of the scope. */
static size_t scope_write(struct writer *writer, const struct outline_scope *scope)
{
    size_t **inner = must_calloc(scope->count + 1, sizeof *inner);
    for (size_t i = 0; i < scope->count; i++) {
        inner[i] = must_calloc(scope->states[i].scopes_count + 1, sizeof **inner);
        for (size_t k = 0; k < scope->states[i].scopes_count; k++)
            inner[i][k] = scope_write(writer, &scope->states[i].scopes[k]);
    }
    struct asl_loops loops;
    asl_loops_find(&loops, scope, NULL);
    bool *left = left_loops(&loops);
    size_t number = writer->scopes_count++, children = most_children(scope);
    buffer_append_format(
        writer->out,
        "proctype scope_%zu(chan up; byte me)\n{\n    byte tries, running, who; short answer, "
        "outcome; byte "
        "child[%zu];\n    chan down = [0] of { byte, short };\n    {\n    goto s%zu;\n",
        number, children, scope->start ? scope->start->serial : 0);
    for (size_t i = 0; i < scope->count; i++)
        state_write(writer, &scope->states[i], inner[i],
                    loops.loop_of[i] != NO_LOOP && left[loops.loop_of[i]]);
    buffer_append_text(writer->out,
                       "ended: up ! me, outcome\n    } unless { stopped[_pid] -> d_step {");
    for (size_t i = 0; i < children; i++)
        buffer_append_format(writer->out,
                             " if :: child[%zu] -> stopped[child[%zu]] = 1 :: else fi;", i, i);
    buffer_append_text(writer->out, " } }\n}\n\n");
    for (size_t i = 0; i < scope->count; i++)
        free(inner[i]);
    free(inner);
    free(left);
    asl_loops_fini(&loops);
    return number;
}

void asl_model_promela(const struct asl_model *model, const char *title, struct buffer *out)
{
    struct writer writer = {.model = model, .out = out};
    asl_model_errors_collect(&writer.names, model->outline);
    comment(out, title);
    buffer_append_text(out, "\nbool stopped[256];\n");
    for (size_t p = 0; p < model->pairs_count; p++) {
        buffer_append_format(out, "bool owed_%zu; ", p);
        comment(out, model->pairs[p].undo->name);
        buffer_append_char(out, '\n');
    }
    buffer_append_char(out, '\n');
    size_t root = scope_write(&writer, &model->outline->scope);
    buffer_append_format(
        out,
        "init\n{\n    byte me; short outcome;\n    chan up = [0] of { byte, short };\n    "
        "run scope_%zu(up, 0);\n    up ? me, outcome;\n",
        root);
    for (size_t p = 0; p < model->pairs_count; p++)
        buffer_append_format(out, "    assert(outcome == 0 || !owed_%zu);\n", p);
    buffer_append_text(out, "}\n");
    asl_model_errors_fini(&writer.names);
}
