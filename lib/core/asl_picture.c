/* SPDX-License-Identifier: MIT */
#include "core/asl_picture.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "core/asl_picture_internal.h"

static const struct {
    const char *name, *media_type;
} formats[] = {
    [ASL_PICTURE_MERMAID] = {"mermaid", "text/vnd.mermaid; charset=utf-8"},
    [ASL_PICTURE_DOT] = {"dot", "text/vnd.graphviz; charset=utf-8"},
    [ASL_PICTURE_SVG] = {"svg", "image/svg+xml"},
    [ASL_PICTURE_TEXT] = {"text", "text/plain; charset=utf-8"},
};

bool asl_picture_format_parse(const char *name, enum asl_picture_format *format)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            *format = (enum asl_picture_format)i;
            return true;
        }
    }
    return false;
}

const char *asl_picture_media_type(enum asl_picture_format format)
{
    return formats[format].media_type;
}

static void indent(struct buffer *out, int depth)
{
    for (int i = 0; i < depth; i++)
        buffer_append_text(out, "    ");
}

/* -- Mermaid -- */

/* Letters, digits and what has no meaning in Mermaid stay; the rest becomes a numeric entity. */
static void mermaid_text(struct buffer *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (isalnum(c) || c >= 0x80 || strchr(" _.,=()/$*?!'", *at))
            buffer_append_char(out, *at);
        else if (c < 0x20)
            buffer_append_char(out, ' ');
        else
            buffer_append_format(out, "#%u;", c);
    }
}

static void mermaid_edge(struct buffer *out, const struct outline_state *state,
                         const struct outline_edge *edge, int depth)
{
    struct buffer label = {0};
    asl_picture_edge_label(edge, &label);
    indent(out, depth);
    buffer_append_format(out, "s%zu --> s%zu", state->serial, edge->to->serial);
    if (label.bytes > 0) {
        buffer_append_text(out, " : ");
        mermaid_text(out, buffer_text(&label));
    }
    buffer_append_char(out, '\n');
    buffer_fini(&label);
}

static void mermaid_scope(struct buffer *out, const struct outline_scope *scope, int depth);

static void mermaid_state(struct buffer *out, const struct outline_state *state, int depth)
{
    struct buffer kind = {0};
    asl_picture_state_label(state, &kind);
    indent(out, depth);
    buffer_append_text(out, "state \"");
    mermaid_text(out, state->name);
    if (state->scopes_count > 0) { /* a second line would stand inside the box */
        buffer_append_text(out, " (");
        mermaid_text(out, buffer_text(&kind));
        buffer_append_text(out, ")");
    }
    buffer_append_format(out, "\" as s%zu", state->serial);
    if (state->scopes_count > 0)
        buffer_append_text(out, " {");
    buffer_append_char(out, '\n');
    for (size_t i = 0; i < state->scopes_count; i++) {
        if (i > 0) {
            indent(out, depth + 1);
            buffer_append_text(out, "--\n");
        }
        mermaid_scope(out, &state->scopes[i], depth + 1);
    }
    indent(out, depth);
    if (state->scopes_count > 0) {
        buffer_append_text(out, "}\n");
    } else {
        buffer_append_format(out, "s%zu : ", state->serial);
        mermaid_text(out, buffer_text(&kind));
        buffer_append_char(out, '\n');
    }
    buffer_fini(&kind);
}

static void mermaid_scope(struct buffer *out, const struct outline_scope *scope, int depth)
{
    for (size_t i = 0; i < scope->count; i++)
        mermaid_state(out, &scope->states[i], depth);
    if (scope->start) {
        indent(out, depth);
        buffer_append_format(out, "[*] --> s%zu\n", scope->start->serial);
    }
    for (size_t i = 0; i < scope->count; i++) {
        const struct outline_state *state = &scope->states[i];
        for (size_t e = 0; e < state->edges_count; e++)
            mermaid_edge(out, state, &state->edges[e], depth);
        if (state->ends) {
            indent(out, depth);
            buffer_append_format(out, "s%zu --> [*]\n", state->serial);
        }
    }
}

/* -- DOT -- */

static void dot_escaped(struct buffer *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        if (*at == '"' || *at == '\\')
            buffer_append_char(out, '\\');
        buffer_append_char(out, (unsigned char)*at < 0x20 ? ' ' : *at);
    }
}

static void dot_text(struct buffer *out, const char *text)
{
    buffer_append_char(out, '"');
    dot_escaped(out, text);
    buffer_append_char(out, '"');
}

static void dot_edge(struct buffer *out, const struct outline_state *state,
                     const struct outline_edge *edge, int depth)
{
    struct buffer label = {0};
    asl_picture_edge_label(edge, &label);
    indent(out, depth);
    bool composite = state->scopes_count > 0;
    buffer_append_format(out, "%c%zu -> s%zu [label=", composite ? 'j' : 's', state->serial,
                         edge->to->serial);
    dot_text(out, buffer_text(&label));
    buffer_append_text(out, edge->type == OUTLINE_CATCH ? ", style=dashed];\n" : "];\n");
    buffer_fini(&label);
}

static void dot_scope(struct buffer *out, const struct outline_scope *scope, const char *end,
                      int depth);

static void dot_node(struct buffer *out, const struct outline_state *state, int depth)
{
    struct buffer kind = {0};
    asl_picture_state_label(state, &kind);
    indent(out, depth);
    buffer_append_format(out, "s%zu [label=\"", state->serial);
    dot_escaped(out, state->name);
    buffer_append_text(out, "\\n");
    dot_escaped(out, buffer_text(&kind));
    buffer_append_text(out, state->type == OUTLINE_CHOICE ? "\", shape=diamond, style=\"\"];\n"
                                                          : "\"];\n");
    buffer_fini(&kind);
}

/* A cluster with the state itself as its entry, and a bar (j) where its branches meet. */
static void dot_composite(struct buffer *out, const struct outline_state *state, int depth)
{
    indent(out, depth);
    buffer_append_format(out, "subgraph cluster_%zu {\n", state->serial);
    indent(out, depth + 1);
    buffer_append_text(out, "label=\"\"; style=rounded; color=gray;\n");
    dot_node(out, state, depth + 1);
    indent(out, depth + 1);
    buffer_append_format(
        out, "j%zu [label=\"\", shape=box, style=filled, fillcolor=black, height=0.05];\n",
        state->serial);
    struct buffer join = {0};
    buffer_append_format(&join, "j%zu", state->serial);
    for (size_t i = 0; i < state->scopes_count; i++) {
        indent(out, depth + 1);
        buffer_append_format(out, "subgraph cluster_%zu_%zu {\n", state->serial, i);
        indent(out, depth + 2);
        buffer_append_text(out, "label=\"\"; style=dotted; color=gray;\n");
        dot_scope(out, &state->scopes[i], buffer_text(&join), depth + 2);
        indent(out, depth + 1);
        buffer_append_text(out, "}\n");
        if (state->scopes[i].start) {
            indent(out, depth + 1);
            buffer_append_format(out, "s%zu -> s%zu;\n", state->serial,
                                 state->scopes[i].start->serial);
        }
    }
    buffer_fini(&join);
    indent(out, depth);
    buffer_append_text(out, "}\n");
}

static void dot_scope(struct buffer *out, const struct outline_scope *scope, const char *end,
                      int depth)
{
    for (size_t i = 0; i < scope->count; i++) {
        if (scope->states[i].scopes_count > 0)
            dot_composite(out, &scope->states[i], depth);
        else
            dot_node(out, &scope->states[i], depth);
    }
    for (size_t i = 0; i < scope->count; i++) {
        const struct outline_state *state = &scope->states[i];
        for (size_t e = 0; e < state->edges_count; e++)
            dot_edge(out, state, &state->edges[e], depth);
        if (state->ends) {
            indent(out, depth);
            buffer_append_format(out, "%c%zu -> %s;\n", state->scopes_count > 0 ? 'j' : 's',
                                 state->serial, end);
        }
    }
}

static void dot_write(struct buffer *out, const struct asl_outline *outline, const char *title)
{
    buffer_append_text(out, "digraph ");
    dot_text(out, title);
    buffer_append_text(out, " {\n"
                            "    node [shape=box, style=rounded, fontname=\"sans-serif\", "
                            "fontsize=11];\n"
                            "    edge [fontname=\"sans-serif\", fontsize=9];\n"
                            "    start [shape=circle, label=\"\", style=filled, fillcolor=black, "
                            "width=0.15];\n"
                            "    end [shape=doublecircle, label=\"\", style=filled, "
                            "fillcolor=black, width=0.12];\n");
    dot_scope(out, &outline->scope, "end", 1);
    if (outline->scope.start)
        buffer_append_format(out, "    start -> s%zu;\n", outline->scope.start->serial);
    buffer_append_text(out, "}\n");
}

/* -- text -- */

static void text_scope(struct buffer *out, const struct outline_scope *scope, int depth);

static void text_target(struct buffer *out, const struct outline_state *to)
{
    buffer_append_text(out, " -> ");
    asl_picture_text(out, to->name, SIZE_MAX);
}

static void text_state(struct buffer *out, const struct outline_state *state, int depth)
{
    indent(out, depth);
    asl_picture_text(out, state->name, SIZE_MAX);
    buffer_append_text(out, " (");
    asl_picture_state_label(state, out);
    buffer_append_text(out, ")");
    for (size_t e = 0; e < state->edges_count; e++) {
        if (state->edges[e].type == OUTLINE_NEXT)
            text_target(out, state->edges[e].to);
    }
    buffer_append_text(out, state->ends ? " -> end\n" : "\n");
    for (size_t e = 0; e < state->edges_count; e++) {
        if (state->edges[e].type == OUTLINE_NEXT)
            continue;
        indent(out, depth + 1);
        asl_picture_edge_label(&state->edges[e], out);
        text_target(out, state->edges[e].to);
        buffer_append_char(out, '\n');
    }
    for (size_t i = 0; i < state->scopes_count; i++) {
        indent(out, depth + 1);
        if (state->type == OUTLINE_PARALLEL)
            buffer_append_format(out, "branch %zu\n", i);
        else
            buffer_append_text(out, "each item\n");
        text_scope(out, &state->scopes[i], depth + 2);
    }
}

static void text_scope(struct buffer *out, const struct outline_scope *scope, int depth)
{
    if (scope->start)
        text_state(out, scope->start, depth);
    for (size_t i = 0; i < scope->count; i++) {
        if (&scope->states[i] != scope->start)
            text_state(out, &scope->states[i], depth);
    }
}

enum error_code asl_picture_write(const struct json *definition, const char *title,
                                  enum asl_picture_format format, struct buffer *out,
                                  struct error *error)
{
    struct asl_outline *outline = asl_outline_new(definition, "");
    enum error_code code = ERR_OK;
    switch (format) {
    case ASL_PICTURE_MERMAID:
        buffer_append_text(out, "stateDiagram-v2\n    direction TB\n");
        mermaid_scope(out, &outline->scope, 1);
        break;
    case ASL_PICTURE_DOT:
        dot_write(out, outline, title);
        break;
    case ASL_PICTURE_SVG:
        code = asl_picture_svg(outline, title, out, error);
        break;
    case ASL_PICTURE_TEXT:
        text_scope(out, &outline->scope, 0);
        break;
    }
    asl_outline_free(outline);
    return code;
}
