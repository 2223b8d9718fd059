/* SPDX-License-Identifier: MIT */
#include "core/layout.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NODE_GAP 28.0
#define BEND_GAP 14.0
#define LAYER_GAP 16.0
#define SWEEPS 12

/* A box, the label of an edge, or the place where an edge passes through a layer. */
struct vertex {
    double width, height, x;
    size_t layer, order;
    size_t edge; /* SIZE_MAX: a box */
};

/* Part of an edge between two layers that follow each other. */
struct segment {
    size_t upper, lower;
};

struct work {
    struct layout *layout;
    bool *reversed; /* by edge: it leads upwards */
    size_t *layer;  /* by box */
    struct vertex *vertices;
    size_t vertices_count;
    struct segment *segments;
    size_t segments_count;
    size_t *chain; /* by edge: its first segment; the others follow */
    size_t **layers;
    size_t *layer_sizes;
    size_t layers_count;
    size_t *first_up,
        *first_down; /* by vertex, into the two lists of segments; one more at the end */
    size_t *ups, *downs;
    double *key; /* by vertex: what a layer is sorted by */
};

/* -- which edges lead upwards, and the layers -- */

struct outgoing {
    size_t *first; /* by box, one more at the end */
    size_t *edges;
};

static void outgoing_make(struct outgoing *outgoing, const struct layout *layout)
{
    outgoing->first = must_calloc(layout->nodes_count + 2, sizeof *outgoing->first);
    outgoing->edges = must_calloc(layout->edges_count + 1, sizeof *outgoing->edges);
    for (size_t e = 0; e < layout->edges_count; e++)
        outgoing->first[layout->edges[e].from + 2]++;
    for (size_t i = 2; i < layout->nodes_count + 2; i++)
        outgoing->first[i] += outgoing->first[i - 1];
    for (size_t e = 0; e < layout->edges_count; e++)
        outgoing->edges[outgoing->first[layout->edges[e].from + 1]++] = e;
}

/* Depth first from the start; an edge to a box that is being looked at closes a circle. */
static void circles_open(struct work *work, const struct outgoing *outgoing)
{
    struct layout *layout = work->layout;
    size_t count = layout->nodes_count;
    char *colour = must_calloc(count + 1, 1); /* 0: unseen, 1: being looked at, 2: done */
    size_t *stack = must_calloc(count + 1, sizeof *stack);
    size_t *next = must_calloc(count + 1, sizeof *next);
    for (size_t root = 0; root < count; root++) {
        size_t depth = 0;
        if (colour[root] == 0)
            stack[depth++] = root, colour[root] = 1;
        while (depth > 0) {
            size_t at = stack[depth - 1];
            if (outgoing->first[at] + next[at] == outgoing->first[at + 1]) {
                colour[at] = 2;
                depth--;
                continue;
            }
            size_t e = outgoing->edges[outgoing->first[at] + next[at]++];
            size_t to = layout->edges[e].to;
            work->reversed[e] = colour[to] == 1;
            if (colour[to] == 0)
                stack[depth++] = to, colour[to] = 1;
        }
    }
    free(colour);
    free(stack);
    free(next);
}

/* As far down as the longest way leads; boxes stand in even layers, labels fit between them. */
static void layers_assign(struct work *work)
{
    struct layout *layout = work->layout;
    bool moved = true;
    for (size_t round = 0; moved && round <= layout->nodes_count; round++) {
        moved = false;
        for (size_t e = 0; e < layout->edges_count; e++) {
            const struct layout_edge *edge = &layout->edges[e];
            size_t upper = work->reversed[e] ? edge->to : edge->from;
            size_t lower = work->reversed[e] ? edge->from : edge->to;
            if (upper != lower && work->layer[lower] < work->layer[upper] + 2) {
                work->layer[lower] = work->layer[upper] + 2;
                moved = true;
            }
        }
    }
}

/* -- vertices and segments -- */

static size_t vertex_add(struct work *work, double width, double height, size_t layer, size_t edge)
{
    work->vertices[work->vertices_count] = (struct vertex){width, height, 0, layer, 0, edge};
    return work->vertices_count++;
}

static void edge_cut(struct work *work, size_t e)
{
    const struct layout_edge *edge = &work->layout->edges[e];
    size_t upper = work->reversed[e] ? edge->to : edge->from;
    size_t lower = work->reversed[e] ? edge->from : edge->to;
    /* The label stands beside the edge's own source. */
    size_t labelled = work->reversed[e] ? work->layer[lower] - 1 : work->layer[upper] + 1;
    work->chain[e] = work->segments_count;
    size_t last = upper;
    for (size_t layer = work->layer[upper] + 1; upper != lower && layer < work->layer[lower];
         layer++) {
        bool label = layer == labelled;
        size_t bend = vertex_add(work, label ? edge->label_width : 0,
                                 label ? edge->label_height : 0, layer, e);
        work->segments[work->segments_count++] = (struct segment){last, bend};
        last = bend;
    }
    if (upper != lower)
        work->segments[work->segments_count++] = (struct segment){last, lower};
}

static enum error_code vertices_make(struct work *work)
{
    struct layout *layout = work->layout;
    size_t bends = 0;
    for (size_t e = 0; e < layout->edges_count; e++) {
        size_t a = work->layer[layout->edges[e].from], b = work->layer[layout->edges[e].to];
        bends += a > b ? a - b : b - a;
        if (bends + layout->nodes_count > LAYOUT_VERTICES_MAX)
            return ERR_TOO_LARGE;
    }
    work->vertices = must_calloc(layout->nodes_count + bends + 1, sizeof *work->vertices);
    work->segments = must_calloc(bends + layout->edges_count + 1, sizeof *work->segments);
    work->chain = must_calloc(layout->edges_count + 1, sizeof *work->chain);
    for (size_t i = 0; i < layout->nodes_count; i++)
        vertex_add(work, layout->nodes[i].width, layout->nodes[i].height, work->layer[i], SIZE_MAX);
    for (size_t e = 0; e < layout->edges_count; e++)
        edge_cut(work, e);
    return ERR_OK;
}

static void layers_fill(struct work *work)
{
    for (size_t i = 0; i < work->vertices_count; i++) {
        if (work->vertices[i].layer >= work->layers_count)
            work->layers_count = work->vertices[i].layer + 1;
    }
    work->layers = must_calloc(work->layers_count + 1, sizeof *work->layers);
    work->layer_sizes = must_calloc(work->layers_count + 1, sizeof *work->layer_sizes);
    for (size_t i = 0; i < work->vertices_count; i++)
        work->layer_sizes[work->vertices[i].layer]++;
    for (size_t l = 0; l < work->layers_count; l++) {
        work->layers[l] = must_calloc(work->layer_sizes[l] + 1, sizeof **work->layers);
        work->layer_sizes[l] = 0;
    }
    for (size_t i = 0; i < work->vertices_count; i++) {
        struct vertex *vertex = &work->vertices[i];
        vertex->order = work->layer_sizes[vertex->layer];
        work->layers[vertex->layer][work->layer_sizes[vertex->layer]++] = i;
    }
}

/* The segments of each vertex, upwards and downwards. */
static void neighbours_make(struct work *work)
{
    size_t count = work->vertices_count;
    work->first_up = must_calloc(count + 2, sizeof *work->first_up);
    work->first_down = must_calloc(count + 2, sizeof *work->first_down);
    work->ups = must_calloc(work->segments_count + 1, sizeof *work->ups);
    work->downs = must_calloc(work->segments_count + 1, sizeof *work->downs);
    work->key = must_calloc(count + 1, sizeof *work->key);
    for (size_t s = 0; s < work->segments_count; s++) {
        work->first_up[work->segments[s].lower + 2]++;
        work->first_down[work->segments[s].upper + 2]++;
    }
    for (size_t i = 2; i < count + 2; i++) {
        work->first_up[i] += work->first_up[i - 1];
        work->first_down[i] += work->first_down[i - 1];
    }
    for (size_t s = 0; s < work->segments_count; s++) {
        work->ups[work->first_up[work->segments[s].lower + 1]++] = work->segments[s].upper;
        work->downs[work->first_down[work->segments[s].upper + 1]++] = work->segments[s].lower;
    }
}

/* -- the order within the layers -- */

static void layer_sort(struct work *work, size_t l)
{
    size_t *layer = work->layers[l];
    for (size_t i = 1; i < work->layer_sizes[l]; i++) { /* nearly sorted, and stable */
        size_t moved = layer[i], k = i;
        for (; k > 0 && work->key[layer[k - 1]] > work->key[moved]; k--)
            layer[k] = layer[k - 1];
        layer[k] = moved;
    }
    for (size_t i = 0; i < work->layer_sizes[l]; i++)
        work->vertices[layer[i]].order = i;
}

static void layer_order(struct work *work, size_t l, const size_t *first, const size_t *list)
{
    for (size_t i = 0; i < work->layer_sizes[l]; i++) {
        size_t v = work->layers[l][i];
        double sum = 0;
        for (size_t k = first[v]; k < first[v + 1]; k++)
            sum += (double)work->vertices[list[k]].order;
        size_t count = first[v + 1] - first[v];
        work->key[v] = count > 0 ? sum / (double)count : (double)work->vertices[v].order;
    }
    layer_sort(work, l);
}

static void layers_order(struct work *work)
{
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        for (size_t l = 1; l < work->layers_count; l++)
            layer_order(work, l, work->first_up, work->ups);
        if (sweep == SWEEPS - 1)
            break;
        for (size_t l = work->layers_count - 1; l-- > 0;)
            layer_order(work, l, work->first_down, work->downs);
    }
}

/* -- places -- */

static double gap_between(const struct vertex *a, const struct vertex *b)
{
    double gap = a->edge == SIZE_MAX && b->edge == SIZE_MAX ? NODE_GAP : BEND_GAP;
    return (a->width + b->width) / 2 + gap;
}

struct block {
    double sum, count;
    size_t last;
};

/* As near to what each vertex wants as the distances within the layer allow (least squares). */
static void layer_place(struct work *work, size_t l, const double *wanted)
{
    size_t count = work->layer_sizes[l], blocks_count = 0;
    struct block *blocks = must_calloc(count + 1, sizeof *blocks);
    double *offset = must_calloc(count + 1, sizeof *offset);
    for (size_t i = 0; i < count; i++) {
        struct vertex *vertex = &work->vertices[work->layers[l][i]];
        if (i > 0)
            offset[i] =
                offset[i - 1] + gap_between(&work->vertices[work->layers[l][i - 1]], vertex);
        blocks[blocks_count++] = (struct block){wanted[i] - offset[i], 1, i};
        while (blocks_count > 1) {
            struct block *a = &blocks[blocks_count - 2], *b = &blocks[blocks_count - 1];
            if (a->sum / a->count <= b->sum / b->count)
                break;
            *a = (struct block){a->sum + b->sum, a->count + b->count, b->last};
            blocks_count--;
        }
    }
    for (size_t b = 0, i = 0; b < blocks_count; b++) {
        for (; i <= blocks[b].last; i++)
            work->vertices[work->layers[l][i]].x = blocks[b].sum / blocks[b].count + offset[i];
    }
    free(blocks);
    free(offset);
}

static void layer_centre(struct work *work, size_t l, bool up, bool down)
{
    size_t count = work->layer_sizes[l];
    double *wanted = must_calloc(count + 1, sizeof *wanted);
    for (size_t i = 0; i < count; i++) {
        size_t v = work->layers[l][i];
        double sum = 0, n = 0;
        for (size_t k = work->first_up[v]; up && k < work->first_up[v + 1]; k++, n++)
            sum += work->vertices[work->ups[k]].x;
        for (size_t k = work->first_down[v]; down && k < work->first_down[v + 1]; k++, n++)
            sum += work->vertices[work->downs[k]].x;
        wanted[i] = n > 0 ? sum / n : work->vertices[v].x;
    }
    layer_place(work, l, wanted);
    free(wanted);
}

static void vertices_place(struct work *work)
{
    for (size_t l = 0; l < work->layers_count; l++)
        layer_centre(work, l, true, false);
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        for (size_t l = work->layers_count; l-- > 0;)
            layer_centre(work, l, sweep > 2, true);
        for (size_t l = 0; l < work->layers_count; l++)
            layer_centre(work, l, true, sweep > 2);
    }
    double left = INFINITY, right = -INFINITY;
    for (size_t i = 0; i < work->vertices_count; i++) {
        left = fmin(left, work->vertices[i].x - work->vertices[i].width / 2);
        right = fmax(right, work->vertices[i].x + work->vertices[i].width / 2);
    }
    for (size_t i = 0; i < work->vertices_count; i++)
        work->vertices[i].x -= left;
    work->layout->width = right - left;
}

/* -- the results -- */

struct port {
    double other; /* where the other end is */
    size_t segment;
};

static int by_other(const void *a, const void *b)
{
    double x = ((const struct port *)a)->other, y = ((const struct port *)b)->other;
    return (x > y) - (x < y);
}

/* Where segments touch the lower (or upper) side of the boxes: side by side in the order of their
 * other ends, within the middle of the side. */
static void ports_spread(const struct work *work, bool lower_side, double *at)
{
    struct port *ports = must_calloc(work->segments_count + 1, sizeof *ports);
    const size_t *first = lower_side ? work->first_down : work->first_up;
    size_t *fill = must_calloc(work->vertices_count + 1, sizeof *fill);
    for (size_t s = 0; s < work->segments_count; s++) {
        size_t v = lower_side ? work->segments[s].upper : work->segments[s].lower;
        size_t other = lower_side ? work->segments[s].lower : work->segments[s].upper;
        ports[first[v] + fill[v]++] = (struct port){work->vertices[other].x, s};
    }
    for (size_t v = 0; v < work->vertices_count; v++) {
        size_t count = first[v + 1] - first[v];
        const struct vertex *vertex = &work->vertices[v];
        qsort(ports + first[v], count, sizeof *ports, by_other);
        double room = 0;
        if (vertex->edge == SIZE_MAX) {
            double part = work->layout->nodes[v].port_width;
            room = fmin((part > 0 ? part : vertex->width) * 0.7, 40.0 * (double)count);
        }
        for (size_t k = 0; k < count; k++)
            at[ports[first[v] + k].segment] =
                vertex->x + room * (((double)k + 0.5) / (double)count - 0.5);
    }
    free(ports);
    free(fill);
}

static void edge_route(const struct work *work, size_t e, const double *tops, const double *heights,
                       const double *from, const double *to)
{
    struct layout_edge *edge = &work->layout->edges[e];
    size_t first = work->chain[e];
    size_t end = e + 1 < work->layout->edges_count ? work->chain[e + 1] : work->segments_count;
    if (end == first)
        return;
    edge->points = must_calloc(2 * (end - first), sizeof *edge->points);
    for (size_t s = first; s < end; s++) {
        const struct vertex *upper = &work->vertices[work->segments[s].upper];
        const struct vertex *lower = &work->vertices[work->segments[s].lower];
        double below = upper->edge == SIZE_MAX ? upper->height : heights[upper->layer];
        edge->points[edge->points_count++] =
            (struct layout_point){from[s], tops[upper->layer] + below};
        edge->points[edge->points_count++] = (struct layout_point){to[s], tops[lower->layer]};
        if (lower->width > 0 && lower->edge == e)
            edge->label =
                (struct layout_point){lower->x, tops[lower->layer] + heights[lower->layer] / 2};
    }
    for (size_t i = 0, k = edge->points_count - 1; work->reversed[e] && i < k; i++, k--) {
        struct layout_point point = edge->points[i];
        edge->points[i] = edge->points[k];
        edge->points[k] = point;
    }
}

static void results_give(const struct work *work)
{
    struct layout *layout = work->layout;
    double *tops = must_calloc(work->layers_count + 1, sizeof *tops);
    double *heights = must_calloc(work->layers_count + 1, sizeof *heights);
    for (size_t i = 0; i < work->vertices_count; i++) {
        size_t l = work->vertices[i].layer;
        heights[l] = fmax(heights[l], work->vertices[i].height);
    }
    double y = 0;
    for (size_t l = 0; l < work->layers_count; l++) {
        tops[l] = y;
        y += heights[l] + LAYER_GAP;
    }
    layout->height = y - LAYER_GAP;
    for (size_t i = 0; i < layout->nodes_count; i++) {
        layout->nodes[i].x = work->vertices[i].x;
        layout->nodes[i].y = tops[work->vertices[i].layer];
    }
    double *from = must_calloc(work->segments_count + 1, sizeof *from);
    double *to = must_calloc(work->segments_count + 1, sizeof *to);
    ports_spread(work, true, from);
    ports_spread(work, false, to);
    for (size_t e = 0; e < layout->edges_count; e++)
        edge_route(work, e, tops, heights, from, to);
    free(from);
    free(to);
    free(tops);
    free(heights);
}

static void work_fini(struct work *work)
{
    for (size_t l = 0; work->layers && l < work->layers_count; l++)
        free(work->layers[l]);
    free(work->layers);
    free(work->layer_sizes);
    free(work->reversed);
    free(work->layer);
    free(work->vertices);
    free(work->segments);
    free(work->chain);
    free(work->first_up);
    free(work->first_down);
    free(work->ups);
    free(work->downs);
    free(work->key);
}

enum error_code layout_run(struct layout *layout)
{
    layout->width = layout->height = 0;
    if (layout->nodes_count == 0)
        return ERR_OK;
    struct work work = {.layout = layout,
                        .reversed = must_calloc(layout->edges_count + 1, sizeof *work.reversed),
                        .layer = must_calloc(layout->nodes_count + 1, sizeof *work.layer)};
    struct outgoing outgoing;
    outgoing_make(&outgoing, layout);
    circles_open(&work, &outgoing);
    free(outgoing.first);
    free(outgoing.edges);
    layers_assign(&work);
    enum error_code code = vertices_make(&work);
    if (code == ERR_OK) {
        layers_fill(&work);
        neighbours_make(&work);
        layers_order(&work);
        vertices_place(&work);
        results_give(&work);
    }
    work_fini(&work);
    return code;
}

void layout_fini(struct layout *layout)
{
    for (size_t e = 0; e < layout->edges_count; e++) {
        free(layout->edges[e].points);
        layout->edges[e].points = NULL;
        layout->edges[e].points_count = 0;
    }
}
