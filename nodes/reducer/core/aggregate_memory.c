/* SPDX-License-Identifier: MIT */
/* aggregate_memory.c - the memory of a row. */
#include <stdlib.h>
#include <string.h>

#include "reducer/core/aggregate_internal.h"

#define ALLOCATION_BYTES 16 /* what the allocator adds to a piece of memory */
#define TABLE_BYTES 48      /* of the tables that find a row: two or four slots of 16 octets each */

static size_t set_bytes(const struct aggregate_set *set)
{
    const struct distinct *values = &set->values;
    size_t bytes = sizeof(*set) + ALLOCATION_BYTES;
    bytes += values->capacity * sizeof(*values->slots);
    bytes += values->values_capacity * sizeof(*values->values);
    bytes += values->registers ? DISTINCT_REGISTERS : 0;
    return bytes + 2 * ALLOCATION_BYTES;
}

static size_t cell_bytes(enum aggregation_cell_kind kind, const struct aggregate_cell *cell)
{
    if (kind == CELL_DISTINCT && cell->set)
        return set_bytes(cell->set);
    if (kind == CELL_HISTOGRAM && cell->histogram)
        return sizeof(*cell->histogram) +
               (size_t)cell->histogram->size * sizeof(*cell->histogram->counts) +
               2 * ALLOCATION_BYTES;
    if ((kind == CELL_FIRST || kind == CELL_LAST) && cell->text)
        return sizeof(*cell->text) + ALLOCATION_BYTES +
               (cell->text->longer ? cell->text->bytes + ALLOCATION_BYTES : 0);
    return 0;
}

size_t aggregate_bytes(const struct aggregate *row)
{
    const struct aggregation *definition = row->definition;
    size_t bytes = sizeof(*row) + (size_t)definition->cells_count * sizeof(row->cells[0]) +
                   row->group_bytes + ALLOCATION_BYTES + TABLE_BYTES;
    for (int i = 0; i < definition->cells_count; i++)
        bytes += cell_bytes(definition->cells[i].kind, &row->cells[i]);
    return bytes;
}
