/* SPDX-License-Identifier: MIT */
/* Are boxes apart from each other, in order from top to bottom, and do edges end where their boxes
 * are? */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/layout.h"

#define GRAPHS 300
#define NEAR 0.01

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static void graph_make(struct layout *layout, uint64_t seed)
{
    size_t nodes = 1 + next_random(&seed) % 40, edges = next_random(&seed) % (2 * nodes);
    *layout = (struct layout){.nodes = must_calloc(nodes, sizeof *layout->nodes),
                              .nodes_count = nodes,
                              .edges = must_calloc(edges + 1, sizeof *layout->edges),
                              .edges_count = edges};
    for (size_t i = 0; i < nodes; i++) {
        layout->nodes[i].width = (double)(20 + next_random(&seed) % 150);
        layout->nodes[i].height = (double)(10 + next_random(&seed) % 60);
        layout->nodes[i].port_width = next_random(&seed) % 2 ? layout->nodes[i].width / 3 : 0;
    }
    for (size_t e = 0; e < edges; e++) {
        layout->edges[e].from = next_random(&seed) % nodes;
        layout->edges[e].to = next_random(&seed) % nodes;
        if (next_random(&seed) % 3 == 0) {
            layout->edges[e].label_width = (double)(10 + next_random(&seed) % 100);
            layout->edges[e].label_height = 13;
        }
    }
}

static void graph_fini(struct layout *layout)
{
    layout_fini(layout);
    free(layout->nodes);
    free(layout->edges);
}

struct area {
    double left, right, top, bottom;
};

static bool apart(const struct area *a, const struct area *b)
{
    return a->right <= b->left + NEAR || b->right <= a->left + NEAR || a->bottom <= b->top + NEAR ||
           b->bottom <= a->top + NEAR;
}

static struct area node_area(const struct layout_node *node)
{
    return (struct area){node->x - node->width / 2, node->x + node->width / 2, node->y,
                         node->y + node->height};
}

/* Boxes and labels: none covers another, all lie within the picture. */
static void areas_check(const struct layout *layout)
{
    size_t count = layout->nodes_count;
    struct area *areas = must_calloc(count + layout->edges_count + 1, sizeof *areas);
    for (size_t i = 0; i < count; i++)
        areas[i] = node_area(&layout->nodes[i]);
    for (size_t e = 0; e < layout->edges_count; e++) {
        const struct layout_edge *edge = &layout->edges[e];
        if (edge->label_width > 0 && edge->from != edge->to)
            areas[count++] = (struct area){
                edge->label.x - edge->label_width / 2, edge->label.x + edge->label_width / 2,
                edge->label.y - edge->label_height / 2, edge->label.y + edge->label_height / 2};
    }
    for (size_t i = 0; i < count; i++) {
        ck_assert(areas[i].left >= -NEAR && areas[i].right <= layout->width + NEAR);
        ck_assert(areas[i].top >= -NEAR && areas[i].bottom <= layout->height + NEAR);
        for (size_t k = 0; k < i; k++)
            ck_assert(apart(&areas[i], &areas[k]));
    }
    free(areas);
}

/* An end of an edge lies on the upper or lower side of its box. */
static bool touches(const struct layout_point *point, const struct layout_node *node, bool lower)
{
    double side = lower ? node->y + node->height : node->y;
    double width = node->port_width > 0 ? node->port_width : node->width;
    return fabs(point->y - side) < NEAR && fabs(point->x - node->x) <= width / 2 + NEAR;
}

static void edges_check(const struct layout *layout)
{
    for (size_t e = 0; e < layout->edges_count; e++) {
        const struct layout_edge *edge = &layout->edges[e];
        if (edge->from == edge->to) {
            ck_assert_uint_eq(edge->points_count, 0);
            continue;
        }
        ck_assert_uint_ge(edge->points_count, 2);
        const struct layout_point *first = &edge->points[0];
        const struct layout_point *last = &edge->points[edge->points_count - 1];
        bool down = layout->nodes[edge->from].y < layout->nodes[edge->to].y;
        ck_assert(touches(first, &layout->nodes[edge->from], down));
        ck_assert(touches(last, &layout->nodes[edge->to], !down));
        for (size_t i = 1; i < edge->points_count; i++)
            ck_assert(down ? edge->points[i - 1].y <= edge->points[i].y + NEAR
                           : edge->points[i - 1].y >= edge->points[i].y - NEAR);
    }
}

START_TEST(test_random_graphs)
{
    struct layout layout;
    graph_make(&layout, (uint64_t)_i * 2654435761u + 1);
    ck_assert_int_eq(layout_run(&layout), ERR_OK);
    areas_check(&layout);
    edges_check(&layout);
    graph_fini(&layout);
}
END_TEST

/* A chain stands in one column, the two sides of a diamond beside each other. */
START_TEST(test_shapes)
{
    struct layout_node nodes[4];
    for (size_t i = 0; i < 4; i++)
        nodes[i] = (struct layout_node){.width = 60 + 10 * (double)i, .height = 20};
    struct layout_edge chain[] = {{.from = 0, .to = 1}, {.from = 1, .to = 2}, {.from = 2, .to = 3}};
    struct layout layout = {.nodes = nodes, .nodes_count = 4, .edges = chain, .edges_count = 3};
    ck_assert_int_eq(layout_run(&layout), ERR_OK);
    for (size_t i = 1; i < 4; i++) {
        ck_assert_double_eq_tol(nodes[i].x, nodes[0].x, NEAR);
        ck_assert_double_gt(nodes[i].y, nodes[i - 1].y);
    }
    layout_fini(&layout);
    struct layout_edge diamond[] = {{.from = 0, .to = 1},
                                    {.from = 0, .to = 2},
                                    {.from = 1, .to = 3},
                                    {.from = 2, .to = 3},
                                    {.from = 3, .to = 0}};
    layout.edges = diamond;
    layout.edges_count = 5;
    ck_assert_int_eq(layout_run(&layout), ERR_OK);
    ck_assert_double_eq_tol(nodes[1].y, nodes[2].y, NEAR);
    ck_assert_double_lt(nodes[0].y, nodes[1].y);
    ck_assert_double_lt(nodes[1].y, nodes[3].y);
    ck_assert_double_ge(fabs(nodes[1].x - nodes[2].x), (nodes[1].width + nodes[2].width) / 2);
    layout_fini(&layout);
}
END_TEST

/* The order of the file would cross all edges. */
START_TEST(test_crossings)
{
    struct layout_node nodes[9];
    for (size_t i = 0; i < 9; i++)
        nodes[i] = (struct layout_node){.width = 30, .height = 20};
    struct layout_edge edges[] = {{.from = 0, .to = 1}, {.from = 0, .to = 2}, {.from = 0, .to = 3},
                                  {.from = 0, .to = 4}, {.from = 1, .to = 8}, {.from = 2, .to = 7},
                                  {.from = 3, .to = 6}, {.from = 4, .to = 5}};
    struct layout layout = {.nodes = nodes, .nodes_count = 9, .edges = edges, .edges_count = 8};
    ck_assert_int_eq(layout_run(&layout), ERR_OK);
    for (size_t a = 4; a < 8; a++) {
        for (size_t b = 4; b < a; b++) {
            double above = nodes[edges[a].from].x - nodes[edges[b].from].x;
            double below = nodes[edges[a].to].x - nodes[edges[b].to].x;
            ck_assert_double_gt(above * below, 0);
        }
    }
    layout_fini(&layout);
}
END_TEST

START_TEST(test_too_large)
{
    size_t count = 1200;
    struct layout layout = {.nodes = must_calloc(count, sizeof *layout.nodes),
                            .nodes_count = count,
                            .edges = must_calloc(2 * count, sizeof *layout.edges)};
    for (size_t i = 1; i < count; i++) {
        layout.edges[layout.edges_count++] = (struct layout_edge){.from = i - 1, .to = i};
        layout.edges[layout.edges_count++] = (struct layout_edge){.from = 0, .to = i};
    }
    ck_assert_int_eq(layout_run(&layout), ERR_TOO_LARGE);
    graph_fini(&layout);
    layout = (struct layout){0};
    ck_assert_int_eq(layout_run(&layout), ERR_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layout");
    TCase *rules = tcase_create("rules");
    tcase_add_loop_test(rules, test_random_graphs, 0, GRAPHS);
    tcase_add_test(rules, test_shapes);
    tcase_add_test(rules, test_crossings);
    tcase_add_test(rules, test_too_large);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
