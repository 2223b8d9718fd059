/* SPDX-License-Identifier: MIT */
/* aggregate_values.c - the figures of a row as people see them. */
#include <math.h>
#include <string.h>

#include "base/instant.h"
#include "reducer/core/aggregate_internal.h"

static struct json *instant_json(int64_t instant_us)
{
    char text[INSTANT_TEXT_BYTES];
    return json_text(instant_format_us(instant_us, text));
}

static struct json *text_json(const struct aggregate_text *text)
{
    if (!text || text->type == JSON_ABSENT)
        return json_null();
    const char *data = aggregate_text_data(text);
    if (text->type == JSON_STRING)
        return json_string(data, text->bytes);
    struct json *value = json_parse(data, text->bytes, NULL, NULL);
    return value ? value : json_null();
}

static struct json *number_json(const struct aggregate *row, int cell)
{
    return row->definition->cells[cell].whole ? json_int(row->cells[cell].whole)
                                              : json_double(row->cells[cell].number);
}

static double sum_of(const struct aggregate *row, int cell)
{
    return row->definition->cells[cell].whole ? (double)row->cells[cell].whole
                                              : row->cells[cell].number;
}

static struct json *quotient(double a, double b)
{
    return b > 0 || b < 0 ? json_double(a / b) : json_null();
}

static double measured_number(const struct aggregate *row, int measure)
{
    struct json *value = aggregate_value(row, measure);
    double number = json_double_value(value);
    json_release(value);
    return number;
}

static struct json *percentile_json(const struct histogram *histogram, double share)
{
    if (!histogram || histogram->total == 0)
        return json_null();
    return json_double(histogram_percentile(histogram, share));
}

struct json *aggregate_value(const struct aggregate *row, int number)
{
    const struct aggregation_measure *measure = &row->definition->measures[number];
    const struct aggregate_cell *cell = &row->cells[measure->cell];
    switch (measure->kind) {
    case MEASURE_COUNT:
        return json_int(cell->count);
    case MEASURE_RATE:
        return json_double((double)cell->count / ((double)(row->end_us - row->start_us) / 1e6));
    case MEASURE_SUM:
        return number_json(row, measure->cell);
    case MEASURE_AVG:
        return quotient(sum_of(row, measure->cell), (double)cell->count);
    case MEASURE_MIN:
    case MEASURE_MAX:
        if (cell->count == 0)
            return json_null();
        return measure->is_time ? instant_json(cell->whole) : number_json(row, measure->cell);
    case MEASURE_DISTINCT:
        return json_int(cell->set ? distinct_count(&cell->set->values) : 0);
    case MEASURE_PERCENTILE:
        return percentile_json(cell->histogram, measure->share);
    case MEASURE_FIRST:
    case MEASURE_LAST:
        return text_json(cell->text);
    case MEASURE_SHARE:
        return quotient((double)cell->count, (double)row->cells[measure->per].count);
    case MEASURE_RATIO:
        return quotient(measured_number(row, measure->cell), measured_number(row, measure->per));
    case MEASURE_WINDOW_START:
        return instant_json(row->start_us);
    case MEASURE_WINDOW_END:
        return instant_json(row->end_us);
    }
    return json_null();
}

struct json *aggregate_value_named(const struct aggregate *row, const char *name)
{
    for (int i = 0; i < row->definition->measures_count; i++) {
        if (strcmp(row->definition->measures[i].name, name) == 0)
            return aggregate_value(row, i);
    }
    return NULL;
}

/* The group's text under the names of its keys. */
static void set_keys(const struct aggregation_group *group, const struct aggregate *row,
                     struct json *values)
{
    if (group->count == 1) {
        json_object_set(values, group->keys[0].name, json_string(row->group, row->group_bytes));
        return;
    }
    struct json *texts = json_parse(row->group, row->group_bytes, NULL, NULL);
    for (int i = 0; i < group->count; i++)
        json_object_set(values, group->keys[i].name, json_hold(json_at(texts, (size_t)i)));
    json_release(texts);
}

struct json *aggregate_values(const struct aggregation_set *set, const struct aggregate *row)
{
    const struct aggregation *definition = row->definition;
    struct json *values = json_object();
    set_keys(&set->groups[definition->group], row, values);
    for (int i = 0; i < definition->measures_count; i++)
        json_object_set(values, definition->measures[i].name, aggregate_value(row, i));
    bool exact = true;
    for (int i = 0; i < definition->cells_count; i++)
        exact = exact && (definition->cells[i].kind != CELL_DISTINCT || !row->cells[i].set ||
                          distinct_is_exact(&row->cells[i].set->values));
    if (definition->distincts_count > 0)
        json_object_set(values, AGGREGATION_EXACT, json_bool(exact));
    return values;
}
