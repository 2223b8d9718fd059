/* SPDX-License-Identifier: MIT */
/* aggregate.c - rows of counted events. Their stored form is in aggregate_codec.c, their figures in
 * aggregate_values.c. */
#include "reducer/core/aggregate.h"

#include <stdlib.h>
#include <string.h>

#include "reducer/core/aggregate_internal.h"

struct aggregate *aggregate_new(const struct aggregation_set *set,
                                const struct aggregation *definition, int32_t partition,
                                int64_t start_us, const char *group, size_t group_bytes)
{
    const struct aggregation_window *window = &set->windows[definition->window];
    size_t cells_bytes = (size_t)definition->cells_count * sizeof(struct aggregate_cell);
    struct aggregate *row = must_alloc(sizeof(*row) + cells_bytes + group_bytes + 1);
    *row = (struct aggregate){
        .definition = definition,
        .partition = partition,
        .revision = 1,
        .start_us = start_us,
        .end_us = window->windowed ? start_us + window->size_us : INT64_MAX,
        .group_bytes = group_bytes,
    };
    memset(row->cells, 0, cells_bytes);
    row->group = (char *)row->cells + cells_bytes;
    memcpy(row->group, group, group_bytes);
    row->group[group_bytes] = 0;
    return row;
}

static void release_cell(enum aggregation_cell_kind kind, struct aggregate_cell *cell)
{
    if (kind == CELL_DISTINCT && cell->set) {
        distinct_fini(&cell->set->values);
        free(cell->set);
    } else if (kind == CELL_HISTOGRAM && cell->histogram) {
        histogram_fini(cell->histogram);
        free(cell->histogram);
    } else if ((kind == CELL_FIRST || kind == CELL_LAST) && cell->text) {
        free(cell->text->longer);
        free(cell->text);
    }
}

static void release_cells(struct aggregate *row)
{
    for (int i = 0; i < row->definition->cells_count; i++)
        release_cell(row->definition->cells[i].kind, &row->cells[i]);
}

void aggregate_free(struct aggregate *row)
{
    if (!row)
        return;
    release_cells(row);
    free(row);
}

void aggregate_clear(struct aggregate *row)
{
    release_cells(row);
    memset(row->cells, 0, (size_t)row->definition->cells_count * sizeof(row->cells[0]));
}

struct aggregate_set *aggregate_set_of(struct aggregate *row, int cell)
{
    if (cell < 0 || cell >= row->definition->cells_count ||
        row->definition->cells[cell].kind != CELL_DISTINCT)
        return NULL;
    if (!row->cells[cell].set)
        row->cells[cell].set = must_calloc(1, sizeof(struct aggregate_set));
    return row->cells[cell].set;
}

struct histogram *aggregate_histogram_of(struct aggregate_cell *cell)
{
    if (!cell->histogram)
        cell->histogram = must_calloc(1, sizeof(*cell->histogram));
    return cell->histogram;
}

/* Sums stop at the ends of int64_t instead of turning round. */
static int64_t add_whole(int64_t a, int64_t b)
{
    int64_t sum;
    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return b > 0 ? INT64_MAX : INT64_MIN;
}

/* Whether (time, offset, partition) takes the place of what the text holds. */
static bool comes_before(const struct aggregate_text *a, const struct aggregate_text *b)
{
    if (a->time_us != b->time_us)
        return a->time_us < b->time_us;
    if (a->partition != b->partition)
        return a->partition < b->partition;
    return a->offset < b->offset;
}

void aggregate_text_set(struct aggregate_text *text, enum json_type type, const char *data,
                        size_t bytes)
{
    if (type == JSON_STRING && bytes > AGGREGATION_TEXT_BYTES_MAX) {
        bytes = AGGREGATION_TEXT_BYTES_MAX;
        while (bytes > 0 && ((unsigned char)data[bytes] & 0xc0) == 0x80)
            bytes--; /* not within a character */
    }
    text->type = type;
    text->bytes = bytes;
    if (bytes <= sizeof(text->data)) {
        memcpy(text->data, data, bytes);
        return;
    }
    text->longer = must_realloc(text->longer, bytes);
    memcpy(text->longer, data, bytes);
}

const char *aggregate_text_data(const struct aggregate_text *text)
{
    return text->bytes <= sizeof(text->data) ? text->data : text->longer;
}

/* Takes over `from` when it comes first (or last). */
static void offer_text(struct aggregate_cell *cell, bool first, const struct aggregate_text *from,
                       const char *data)
{
    if (!cell->text)
        cell->text = must_calloc(1, sizeof(*cell->text));
    struct aggregate_text *text = cell->text;
    if (text->type != JSON_ABSENT && !(first ? comes_before(from, text) : comes_before(text, from)))
        return;
    text->time_us = from->time_us;
    text->offset = from->offset;
    text->partition = from->partition;
    aggregate_text_set(text, from->type, data, from->bytes);
}

static void add_text(struct aggregate *row, int number, struct event *event)
{
    const struct aggregation_cell *what = &row->definition->cells[number];
    const struct event_field *field = event_field(event, what->field);
    if (field->type == JSON_ABSENT ||
        (field->type != JSON_STRING && field->bytes > AGGREGATION_TEXT_BYTES_MAX))
        return;
    struct aggregate_text offered = {.time_us = event->time_us,
                                     .offset = event->offset,
                                     .partition = row->partition,
                                     .type = field->type,
                                     .bytes = field->bytes};
    row->cells[number].count++;
    offer_text(&row->cells[number], what->kind == CELL_FIRST, &offered, field->text);
}

static inline void keep_extreme(struct aggregate_cell *cell, const struct aggregation_cell *what,
                                int64_t whole, double number)
{
    bool first = cell->count == 0, least = what->kind == CELL_MIN;
    if (what->whole && (first || (least ? whole < cell->whole : whole > cell->whole)))
        cell->whole = whole;
    else if (!what->whole && (first || (least ? number < cell->number : number > cell->number)))
        cell->number = number;
}

static inline void add_sum(struct aggregate_cell *cell, const struct aggregation_cell *what,
                           const struct event_field *field)
{
    if (!field)
        return;
    if (what->whole)
        cell->whole = add_whole(cell->whole, field->whole);
    else
        cell->number += field->number;
    cell->count++;
}

static inline void add_extreme(struct aggregate_cell *cell, const struct aggregation_cell *what,
                               struct event *event)
{
    const struct event_field *field = what->time ? NULL : event_field_number(event, what->field);
    if (what->time)
        keep_extreme(cell, what, event->time_us, 0);
    else if (field)
        keep_extreme(cell, what, field->whole, field->number);
    else
        return;
    cell->count++;
}

static inline void add_value(struct aggregate_cell *cell, uint64_t hash)
{
    if (!hash)
        return;
    if (!cell->set)
        cell->set = must_calloc(1, sizeof(struct aggregate_set));
    distinct_add(&cell->set->values, hash);
}

static inline void add_to_histogram(struct aggregate_cell *cell, const struct event_field *field)
{
    if (!field)
        return;
    histogram_add(aggregate_histogram_of(cell), field->number);
    cell->count++;
}

void aggregate_prefetch_sets(const struct aggregate *row)
{
    for (uint64_t cells = row->definition->distincts; cells; cells &= cells - 1)
        __builtin_prefetch(row->cells[__builtin_ctzll(cells)].set);
}

void aggregate_prefetch_values(const struct aggregate *row, struct event *event)
{
    for (uint64_t cells = row->definition->distincts; cells; cells &= cells - 1) {
        int cell = __builtin_ctzll(cells);
        if (row->cells[cell].set)
            distinct_prefetch(&row->cells[cell].set->values,
                              event_field_hash(event, row->definition->cells[cell].field));
    }
}

void aggregate_add(struct aggregate *row, struct event *event, bool late)
{
    const struct aggregation_cell *what = row->definition->cells;
    const struct aggregation_cell *end = what + row->definition->cells_count;
    row->events++;
    row->revision += late;
    for (struct aggregate_cell *cell = row->cells; what < end; what++, cell++) {
        if (!event_filter_holds(event, what->where))
            continue;
        switch (what->kind) {
        case CELL_COUNT:
            cell->count++;
            break;
        case CELL_SUM:
            add_sum(cell, what, event_field_number(event, what->field));
            break;
        case CELL_MIN:
        case CELL_MAX:
            add_extreme(cell, what, event);
            break;
        case CELL_DISTINCT:
            add_value(cell, event_field_hash(event, what->field));
            break;
        case CELL_HISTOGRAM:
            add_to_histogram(cell, event_field_number(event, what->field));
            break;
        case CELL_FIRST:
        case CELL_LAST:
            add_text(row, (int)(cell - row->cells), event);
            break;
        }
    }
}

static void merge_cell(struct aggregate *into, const struct aggregate *from, int number)
{
    const struct aggregation_cell *what = &into->definition->cells[number];
    struct aggregate_cell *cell = &into->cells[number];
    const struct aggregate_cell *other = &from->cells[number];
    switch (what->kind) {
    case CELL_COUNT:
        break;
    case CELL_DISTINCT:
        if (other->set)
            distinct_merge(&aggregate_set_of(into, number)->values, &other->set->values);
        return; /* the set knows its count */
    case CELL_HISTOGRAM:
        if (other->histogram)
            histogram_merge(aggregate_histogram_of(cell), other->histogram);
        break;
    case CELL_FIRST:
    case CELL_LAST:
        if (other->text && other->text->type != JSON_ABSENT)
            offer_text(cell, what->kind == CELL_FIRST, other->text,
                       aggregate_text_data(other->text));
        break;
    case CELL_MIN:
    case CELL_MAX:
        if (other->count > 0 && what->whole)
            keep_extreme(cell, what, other->whole, 0);
        else if (other->count > 0)
            keep_extreme(cell, what, 0, other->number);
        break;
    case CELL_SUM:
        if (what->whole)
            cell->whole = add_whole(cell->whole, other->whole);
        else
            cell->number += other->number;
        break;
    }
    cell->count += other->count;
}

void aggregate_merge(struct aggregate *into, const struct aggregate *from)
{
    into->events += from->events;
    into->revision += from->revision - 1;
    for (int i = 0; i < into->definition->cells_count; i++)
        merge_cell(into, from, i);
}
