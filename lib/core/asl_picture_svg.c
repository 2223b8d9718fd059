/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "core/asl_picture_internal.h"
#include "core/layout.h"

#define NAME_PIXELS 7.6 /* of one character, on average */
#define KIND_PIXELS 6.2
#define LABEL_PIXELS 5.9
#define LABEL_LINE 13.0
#define BOX_HEIGHT 42.0
#define BOX_PADDING 14.0
#define HEAD_HEIGHT 40.0 /* of a Parallel or Map, above its branches */
#define INNER_PADDING 14.0
#define MARGIN 16.0
#define DOT_SIZE 14.0 /* start and end */
#define LOOP_WIDTH 26.0
#define LINES_MAX 64      /* of the labels of one edge */
#define LINE_BYTES_MAX 24 /* of a label that stays on one line */

static const char style[] =
    "<style>text{font-family:sans-serif;fill:#222}.n{font-size:13px;font-weight:600}"
    ".k{font-size:11px;fill:#555}.l{font-size:10.5px;fill:#333;paint-order:stroke;stroke:#fff;"
    "stroke-width:4px}.b{fill:#f5f5f5;stroke:#666}.Task{fill:#e8f1fd;stroke:#2f6fb2}"
    ".Choice{fill:#fff5d6;stroke:#b58b1d}.Wait{fill:#f0e9fb;stroke:#7a55b3}"
    ".Succeed{fill:#e2f5e5;stroke:#3c8c4a}.Fail{fill:#fde6e4;stroke:#bb4a40}"
    ".Parallel,.Map{fill:#fafbfc;stroke:#5a7a8c}.r{fill:none;stroke:#b4c2cb;stroke-dasharray:2 3}"
    ".e{fill:none;stroke:#555;stroke-width:1.2}.c{fill:none;stroke:#bb4a40;stroke-width:1.2;"
    "stroke-dasharray:5 4}</style>\n"
    "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" "
    "markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" "
    "fill=\"#555\"/></marker></defs>\n";

/* All transitions from one state to another of one kind. */
struct drawn_edge {
    char *lines[LINES_MAX];
    size_t lines_count;
    bool caught;
};

/* One scope with its places: node 0 is the start, 1 to count the states, the last one the end. */
struct drawn_scope {
    const struct outline_scope *scope;
    struct layout layout;
    struct drawn_edge *edges;   /* beside layout.edges */
    struct drawn_scope **inner; /* by state: its scopes; NULL */
    double *box_width;          /* by state, without room for an edge to itself */
};

static double text_width(const char *text, double pixels)
{
    double width = 0;
    for (const char *at = text; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if ((c & 0xC0) != 0x80)
            width += c >= 0xE3 ? 2 * pixels : pixels; /* most of Asia's characters are wide */
    }
    return width;
}

static double larger(double a, double b) { return a > b ? a : b; }

/* -- measuring -- */

static void edge_add(struct drawn_scope *drawn, size_t from, size_t to, char *label, bool caught)
{
    struct layout *layout = &drawn->layout;
    size_t e = 0;
    while (e < layout->edges_count &&
           (layout->edges[e].from != from || layout->edges[e].to != to ||
            drawn->edges[e].caught != caught || drawn->edges[e].lines_count == LINES_MAX))
        e++;
    if (e == layout->edges_count) {
        layout->edges[layout->edges_count++] = (struct layout_edge){.from = from, .to = to};
        drawn->edges[e].caught = caught;
    }
    if (!label)
        return;
    struct layout_edge *edge = &layout->edges[e];
    drawn->edges[e].lines[drawn->edges[e].lines_count++] = label;
    edge->label_width = larger(edge->label_width, text_width(label, LABEL_PIXELS) + 8);
    edge->label_height += LABEL_LINE;
}

/* A long label stands on two lines, cut at the space nearest to its middle. */
static void label_add(struct drawn_scope *drawn, size_t from, size_t to, char *label, bool caught)
{
    size_t bytes = label ? strlen(label) : 0, cut = 0;
    for (size_t i = 1; bytes > LINE_BYTES_MAX && i < bytes; i++) {
        size_t distance = i > bytes / 2 ? i - bytes / 2 : bytes / 2 - i;
        size_t best = cut > bytes / 2 ? cut - bytes / 2 : bytes / 2 - cut;
        if (label[i] == ' ' && distance < best)
            cut = i;
    }
    if (cut > 0) {
        edge_add(drawn, from, to, must_strndup(label, cut), caught);
        memmove(label, label + cut + 1, bytes - cut);
    }
    edge_add(drawn, from, to, label, caught);
}

static void edges_collect(struct drawn_scope *drawn)
{
    const struct outline_scope *scope = drawn->scope;
    size_t most = scope->count + 2;
    for (size_t i = 0; i < scope->count; i++)
        most += scope->states[i].edges_count;
    drawn->layout.edges = must_calloc(most, sizeof *drawn->layout.edges);
    drawn->edges = must_calloc(most, sizeof *drawn->edges);
    if (scope->start)
        edge_add(drawn, 0, scope->start->number + 1, NULL, false);
    for (size_t i = 0; i < scope->count; i++) {
        const struct outline_state *state = &scope->states[i];
        for (size_t e = 0; e < state->edges_count; e++) {
            struct buffer label = {0};
            asl_picture_edge_label(&state->edges[e], &label);
            label_add(drawn, i + 1, state->edges[e].to->number + 1,
                      label.bytes > 0 ? buffer_take(&label) : NULL,
                      state->edges[e].type == OUTLINE_CATCH);
            buffer_fini(&label);
        }
        if (state->ends)
            edge_add(drawn, i + 1, scope->count + 1, NULL, false);
    }
}

static enum error_code scope_measure(struct drawn_scope *drawn, const struct outline_scope *scope);

static enum error_code state_measure(struct drawn_scope *drawn, size_t i)
{
    const struct outline_state *state = &drawn->scope->states[i];
    struct buffer kind = {0};
    asl_picture_state_label(state, &kind);
    double width =
        larger(text_width(state->name, NAME_PIXELS), text_width(buffer_text(&kind), KIND_PIXELS)) +
        2 * BOX_PADDING + (state->type == OUTLINE_CHOICE ? 2 * BOX_PADDING : 0);
    buffer_fini(&kind);
    double height = BOX_HEIGHT;
    if (state->scopes_count > 0) {
        double inner = INNER_PADDING, tallest = 0;
        drawn->inner[i] = must_calloc(state->scopes_count, sizeof **drawn->inner);
        for (size_t k = 0; k < state->scopes_count; k++) {
            enum error_code code = scope_measure(&drawn->inner[i][k], &state->scopes[k]);
            if (code != ERR_OK)
                return code;
            inner += drawn->inner[i][k].layout.width + 3 * INNER_PADDING;
            tallest = larger(tallest, drawn->inner[i][k].layout.height);
        }
        width = larger(width, inner - INNER_PADDING);
        height = HEAD_HEIGHT + tallest + 3 * INNER_PADDING;
    }
    drawn->box_width[i] = width;
    drawn->layout.nodes[i + 1] =
        (struct layout_node){.width = width, .height = height, .port_width = width};
    return ERR_OK;
}

/* An edge to the state itself is drawn at its right side; the other side is left as wide. */
static void loops_widen(struct drawn_scope *drawn)
{
    for (size_t e = 0; e < drawn->layout.edges_count; e++) {
        const struct layout_edge *edge = &drawn->layout.edges[e];
        if (edge->from != edge->to)
            continue;
        struct layout_node *node = &drawn->layout.nodes[edge->from];
        node->width += 2 * (LOOP_WIDTH + edge->label_width);
        node->height = larger(node->height, edge->label_height);
    }
}

static enum error_code scope_measure(struct drawn_scope *drawn, const struct outline_scope *scope)
{
    drawn->scope = scope;
    drawn->inner = must_calloc(scope->count + 1, sizeof *drawn->inner);
    drawn->box_width = must_calloc(scope->count + 1, sizeof *drawn->box_width);
    drawn->layout.nodes = must_calloc(scope->count + 2, sizeof *drawn->layout.nodes);
    bool ends = false;
    for (size_t i = 0; i < scope->count; i++)
        ends = ends || scope->states[i].ends;
    drawn->layout.nodes_count = scope->count + (ends ? 2 : 1);
    drawn->layout.nodes[0] = (struct layout_node){.width = DOT_SIZE, .height = DOT_SIZE};
    drawn->layout.nodes[scope->count + (ends ? 1 : 0)].width = DOT_SIZE;
    drawn->layout.nodes[scope->count + (ends ? 1 : 0)].height = DOT_SIZE;
    for (size_t i = 0; i < scope->count; i++) {
        enum error_code code = state_measure(drawn, i);
        if (code != ERR_OK)
            return code;
    }
    edges_collect(drawn);
    loops_widen(drawn);
    return layout_run(&drawn->layout);
}

static void scope_fini(struct drawn_scope *drawn)
{
    if (!drawn->scope)
        return;
    for (size_t i = 0; i < drawn->scope->count; i++) {
        for (size_t k = 0; drawn->inner[i] && k < drawn->scope->states[i].scopes_count; k++)
            scope_fini(&drawn->inner[i][k]);
        free(drawn->inner[i]);
    }
    for (size_t e = 0; e < drawn->layout.edges_count; e++) {
        for (size_t l = 0; l < drawn->edges[e].lines_count; l++)
            free(drawn->edges[e].lines[l]);
    }
    layout_fini(&drawn->layout);
    free(drawn->layout.nodes);
    free(drawn->layout.edges);
    free(drawn->edges);
    free(drawn->inner);
    free(drawn->box_width);
}

/* -- drawing -- */

static void xml_text(struct buffer *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        if (*at == '&')
            buffer_append_text(out, "&amp;");
        else if (*at == '<')
            buffer_append_text(out, "&lt;");
        else if (*at == '>')
            buffer_append_text(out, "&gt;");
        else if (*at == '"')
            buffer_append_text(out, "&quot;");
        else
            buffer_append_char(out, (unsigned char)*at < 0x20 || *at == 0x7F ? ' ' : *at);
    }
}

static void text_draw(struct buffer *out, const char *class, const char *anchor, double x, double y,
                      const char *text)
{
    buffer_append_format(out, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">", class,
                         anchor, x, y);
    xml_text(out, text);
    buffer_append_text(out, "</text>");
}

static void labels_draw(struct buffer *out, const struct drawn_edge *edge, const char *anchor,
                        double x, double middle)
{
    double y = middle - LABEL_LINE * (double)edge->lines_count / 2 + LABEL_LINE - 3;
    for (size_t l = 0; l < edge->lines_count; l++, y += LABEL_LINE)
        text_draw(out, "l", anchor, x, y, edge->lines[l]);
}

static void loop_draw(struct buffer *out, const struct drawn_scope *drawn, size_t e, double x,
                      double y)
{
    const struct layout_edge *edge = &drawn->layout.edges[e];
    const struct layout_node *node = &drawn->layout.nodes[edge->from];
    double side = x + node->x + drawn->box_width[edge->from - 1] / 2;
    double middle = y + node->y + node->height / 2;
    buffer_append_format(out,
                         "<path class=\"%c\" marker-end=\"url(#arrow)\" d=\"M%.1f %.1fc%.1f -6 "
                         "%.1f 22 0 16\"/>",
                         drawn->edges[e].caught ? 'c' : 'e', side, middle - 8, LOOP_WIDTH,
                         LOOP_WIDTH);
    labels_draw(out, &drawn->edges[e], "start", side + LOOP_WIDTH - 2, middle);
    buffer_append_char(out, '\n');
}

static void edge_draw(struct buffer *out, const struct drawn_scope *drawn, size_t e, double x,
                      double y)
{
    const struct layout_edge *edge = &drawn->layout.edges[e];
    if (edge->from == edge->to) {
        loop_draw(out, drawn, e, x, y);
        return;
    }
    buffer_append_format(out, "<path class=\"%c\" marker-end=\"url(#arrow)\" d=\"M%.1f %.1f",
                         drawn->edges[e].caught ? 'c' : 'e', x + edge->points[0].x,
                         y + edge->points[0].y);
    for (size_t i = 1; i < edge->points_count; i++) {
        const struct layout_point *from = &edge->points[i - 1], *to = &edge->points[i];
        double half = y + (from->y + to->y) / 2;
        buffer_append_format(out, "C%.1f %.1f %.1f %.1f %.1f %.1f", x + from->x, half, x + to->x,
                             half, x + to->x, y + to->y);
    }
    buffer_append_text(out, "\"/>");
    labels_draw(out, &drawn->edges[e], "middle", x + edge->label.x, y + edge->label.y);
    buffer_append_char(out, '\n');
}

static void scope_draw(struct buffer *out, const struct drawn_scope *drawn, double x, double y);

static void inner_draw(struct buffer *out, const struct drawn_scope *drawn, size_t i, double left,
                       double top)
{
    const struct outline_state *state = &drawn->scope->states[i];
    double x = left + INNER_PADDING, used = INNER_PADDING;
    for (size_t k = 0; k < state->scopes_count; k++)
        used += drawn->inner[i][k].layout.width + 3 * INNER_PADDING;
    x += (drawn->box_width[i] - (used - INNER_PADDING)) / 2 - INNER_PADDING / 2;
    for (size_t k = 0; k < state->scopes_count; k++) {
        const struct layout *inner = &drawn->inner[i][k].layout;
        buffer_append_format(out,
                             "<rect class=\"r\" rx=\"6\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                             "height=\"%.1f\"/>\n",
                             x, top + HEAD_HEIGHT, inner->width + 2 * INNER_PADDING,
                             drawn->layout.nodes[i + 1].height - HEAD_HEIGHT - INNER_PADDING);
        scope_draw(out, &drawn->inner[i][k], x + INNER_PADDING, top + HEAD_HEIGHT + INNER_PADDING);
        x += inner->width + 3 * INNER_PADDING;
    }
}

static void box_draw(struct buffer *out, const struct outline_state *state, double left, double top,
                     double width, double height)
{
    const char *type = outline_type_name(state->type);
    if (state->type == OUTLINE_CHOICE)
        buffer_append_format(out,
                             "<path class=\"b %s\" d=\"M%.1f %.1fh%.1fl14 %.1fl-14 %.1fh%.1fl-14 "
                             "%.1fz\"/>",
                             type, left + 14, top, width - 28, height / 2, height / 2, 28 - width,
                             -height / 2);
    else
        buffer_append_format(out,
                             "<rect class=\"b %s\" rx=\"7\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                             "height=\"%.1f\"/>",
                             state->type == OUTLINE_UNKNOWN ? "" : type, left, top, width, height);
}

static void state_draw(struct buffer *out, const struct drawn_scope *drawn, size_t i, double x,
                       double y)
{
    const struct outline_state *state = &drawn->scope->states[i];
    const struct layout_node *node = &drawn->layout.nodes[i + 1];
    double width = drawn->box_width[i], left = x + node->x - width / 2, top = y + node->y;
    struct buffer kind = {0};
    asl_picture_state_label(state, &kind);
    buffer_append_text(out, "<g><title>");
    xml_text(out, json_string_or(json_get(state->document, "Comment"), state->name));
    buffer_append_text(out, "</title>");
    box_draw(out, state, left, top, width, node->height);
    double first = state->scopes_count > 0 ? top + 16 : top + node->height / 2 - 3;
    text_draw(out, "n", "middle", x + node->x, first, state->name);
    text_draw(out, "k", "middle", x + node->x, first + 15, buffer_text(&kind));
    buffer_append_text(out, "</g>\n");
    buffer_fini(&kind);
    if (state->scopes_count > 0)
        inner_draw(out, drawn, i, left, top);
}

static void dot_draw(struct buffer *out, const struct layout_node *node, double x, double y,
                     bool end)
{
    double cx = x + node->x, cy = y + node->y + DOT_SIZE / 2;
    buffer_append_format(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"#333\"/>", cx, cy,
                         end ? 4.0 : 6.0);
    if (end)
        buffer_append_format(
            out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"6.5\" fill=\"none\" stroke=\"#333\"/>", cx,
            cy);
    buffer_append_char(out, '\n');
}

static void scope_draw(struct buffer *out, const struct drawn_scope *drawn, double x, double y)
{
    size_t count = drawn->scope->count;
    dot_draw(out, &drawn->layout.nodes[0], x, y, false);
    if (drawn->layout.nodes_count == count + 2)
        dot_draw(out, &drawn->layout.nodes[count + 1], x, y, true);
    for (size_t i = 0; i < count; i++)
        state_draw(out, drawn, i, x, y);
    for (size_t e = 0; e < drawn->layout.edges_count; e++)
        edge_draw(out, drawn, e, x, y);
}

enum error_code asl_picture_svg(const struct asl_outline *outline, const char *title,
                                struct buffer *out, struct error *error)
{
    struct drawn_scope drawn = {0};
    enum error_code code = outline->states_count > ASL_PICTURE_STATES_MAX
                               ? ERR_TOO_LARGE
                               : scope_measure(&drawn, &outline->scope);
    if (code != ERR_OK) {
        scope_fini(&drawn);
        return error_set(error, code,
                         "the state machine is too large for a drawing; the forms "
                         "mermaid, dot and text have no bound");
    }
    double width = drawn.layout.width + 2 * MARGIN, height = drawn.layout.height + 2 * MARGIN;
    buffer_append_format(out,
                         "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                         "viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n<title>",
                         width, height, width, height);
    xml_text(out, title);
    buffer_append_text(out, "</title>\n");
    buffer_append_text(out, style);
    buffer_append_text(out, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
    scope_draw(out, &drawn, MARGIN, MARGIN);
    buffer_append_text(out, "</svg>\n");
    scope_fini(&drawn);
    return ERR_OK;
}
