/* SPDX-License-Identifier: MIT */
/* layout.h - places the boxes of a directed graph in layers, from top to bottom, and routes its
 * edges. Pure.
 *
 * Owns      The caller owns struct layout and its arrays; layout_run fills in the places and
 *           allocates each edge's points, layout_fini frees those.
 * Threads   One thread at a time.
 * Units     Everything is in pixels; y grows downwards.
 * Errors    ERR_TOO_LARGE when the graph would need more than LAYOUT_VERTICES_MAX places.
 * Source    K. Sugiyama, S. Tagawa, M. Toda, Methods for visual understanding of hierarchical
 *           system structures, 1981 (layers, dummy vertices, barycentres); pool adjacent violators
 *           for the distances within a layer.
 */
#ifndef CORE_LAYOUT_H
#define CORE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define LAYOUT_VERTICES_MAX 200000 /* boxes, labels and bends */

struct layout_point {
    double x, y;
};

struct layout_node {
    double width, height; /* in */
    double port_width;    /* in; the part of its width, in the middle, that edges touch; 0: all */
    double x, y;          /* out: the middle of its upper side */
};

struct layout_edge {
    size_t from, to;                  /* in; an edge to itself gets no points */
    double label_width, label_height; /* in; 0: none */
    struct layout_point label;        /* out: the middle of the label */
    struct layout_point *points;      /* out: from the source to the target */
    size_t points_count;
};

struct layout {
    struct layout_node *nodes; /* the first one is the start */
    size_t nodes_count;
    struct layout_edge *edges;
    size_t edges_count;
    double width, height; /* out */
};

enum error_code layout_run(struct layout *layout) MUST_USE;
void layout_fini(struct layout *layout); /* the points of the edges */

#endif
