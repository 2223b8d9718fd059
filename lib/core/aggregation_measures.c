/* SPDX-License-Identifier: MIT */
/* aggregation_measures.c - measures, and the cells of a row that they need. */
#include <string.h>

#include "core/aggregation_internal.h"

/* Which kinds a measure may be: what it is written as, and the cell behind it. */
struct kind_name {
    const char *name;
    enum aggregation_measure_kind kind;
    enum aggregation_cell_kind cell;
    bool of_field; /* else of events */
};

static const struct kind_name kinds[] = {
    {"count", MEASURE_COUNT, CELL_COUNT, false},
    {"rate", MEASURE_RATE, CELL_COUNT, false},
    {"sum", MEASURE_SUM, CELL_SUM, true},
    {"avg", MEASURE_AVG, CELL_SUM, true},
    {"min", MEASURE_MIN, CELL_MIN, true},
    {"max", MEASURE_MAX, CELL_MAX, true},
    {"distinct", MEASURE_DISTINCT, CELL_DISTINCT, true},
    {"percentile", MEASURE_PERCENTILE, CELL_HISTOGRAM, true},
    {"first", MEASURE_FIRST, CELL_FIRST, true},
    {"last", MEASURE_LAST, CELL_LAST, true},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

/* The cell of the definition that keeps this; made when there is none. */
static int cell_of(struct aggregation_reader *reader, enum aggregation_cell_kind kind, int field,
                   int where)
{
    struct aggregation *made = reader->made;
    for (int i = 0; i < made->cells_count; i++) {
        const struct aggregation_cell *cell = &made->cells[i];
        if (cell->kind == kind && cell->field == field && cell->where == where)
            return i;
    }
    if (made->cells_count == AGGREGATION_CELLS_MAX) {
        aggregation_fault(reader, NULL, "AGGREGATION_LIMIT",
                          "the measures keep more than %d different things", AGGREGATION_CELLS_MAX);
        return 0;
    }
    enum aggregation_field_type type =
        field == AGGREGATION_NONE ? FIELD_OF_ANY : reader->set->fields[field].type;
    bool ordered = kind == CELL_MIN || kind == CELL_MAX;
    made->cells[made->cells_count] = (struct aggregation_cell){
        .kind = kind,
        .field = field,
        .where = where,
        .whole = ((kind == CELL_SUM || ordered) && type == FIELD_OF_INTEGER) ||
                 (ordered && type == FIELD_OF_TIME),
        .time = ordered && type == FIELD_OF_TIME,
    };
    made->distincts_count += kind == CELL_DISTINCT;
    made->distincts |= (uint64_t)(kind == CELL_DISTINCT) << made->cells_count;
    return made->cells_count++;
}

static int read_where(struct aggregation_reader *reader, const struct json *object,
                      const char *name)
{
    const struct json *list = json_get(object, name);
    if (!list)
        return AGGREGATION_NONE;
    size_t before = aggregation_enter(reader, name);
    int filter = aggregation_read_filter(reader, list);
    pointer_cut(&reader->pointer, before);
    return filter;
}

static void read_percentile(struct aggregation_reader *reader, const struct json *object,
                            struct aggregation_measure *measure)
{
    const struct json *p = json_get(object, "p");
    measure->share = json_double_value(p) / 100.0;
    if (json_type_of(p) != JSON_NUMBER || !(measure->share > 0 && measure->share <= 1))
        aggregation_fault(reader, "p", "AGGREGATION_BAD_MEASURE",
                          "a percentile has p, a number above 0 and up to 100");
}

/* {sum: F, where: [...]}, {count: {where: [...]}}, {percentile: F, p: 95} */
static void read_kind(struct aggregation_reader *reader, const struct kind_name *kind,
                      const struct json *object, struct aggregation_measure *measure)
{
    static const char *const inside[] = {"where", NULL};
    const char *const beside[] = {kind->name, "where",
                                  kind->kind == MEASURE_PERCENTILE ? "p" : NULL, NULL};
    const struct json *what = json_get(object, kind->name);
    int field = AGGREGATION_NONE, where;
    aggregation_known(reader, object, beside);
    size_t before = aggregation_enter(reader, kind->name);
    if (kind->of_field) {
        field = aggregation_read_field(reader, what);
        pointer_cut(&reader->pointer, before);
        where = read_where(reader, object, "where");
    } else {
        aggregation_known(reader, what, inside);
        where = read_where(reader, what, "where");
        pointer_cut(&reader->pointer, before);
    }
    if (kind->kind == MEASURE_PERCENTILE)
        read_percentile(reader, object, measure);
    measure->kind = kind->kind;
    measure->cell = cell_of(reader, kind->cell, field, where);
    measure->is_time = (kind->kind == MEASURE_MIN || kind->kind == MEASURE_MAX) &&
                       reader->set->fields[field].type == FIELD_OF_TIME;
}

/* Both lists of conditions as one. */
static int join_filters(struct aggregation_reader *reader, int a, int b)
{
    struct aggregation_filter both = {.count = 0};
    const int parts[] = {b, a};
    for (int part = 0; part < 2; part++) {
        if (parts[part] == AGGREGATION_NONE)
            continue;
        const struct aggregation_filter *filter = &reader->set->filters[parts[part]];
        for (int i = 0; i < filter->count; i++) {
            if (both.count == AGGREGATION_CONDITIONS_MAX) {
                aggregation_fault(reader, NULL, "AGGREGATION_LIMIT", "more than %d conditions",
                                  AGGREGATION_CONDITIONS_MAX);
                return a;
            }
            both.conditions[both.count++] = filter->conditions[i];
        }
    }
    return aggregation_intern_filter(reader->set, &both);
}

static void read_share(struct aggregation_reader *reader, const struct json *object,
                       struct aggregation_measure *measure)
{
    static const char *const known[] = {"share", "of", NULL};
    aggregation_known(reader, object, known);
    int share = read_where(reader, object, "share");
    int of = read_where(reader, object, "of");
    measure->kind = MEASURE_SHARE;
    measure->cell = cell_of(reader, CELL_COUNT, AGGREGATION_NONE, join_filters(reader, share, of));
    measure->per = cell_of(reader, CELL_COUNT, AGGREGATION_NONE, of);
}

static int measure_named(const struct aggregation *made, const struct json *name)
{
    for (int i = 0; i < made->measures_count; i++) {
        enum aggregation_measure_kind kind = made->measures[i].kind;
        if (strcmp(made->measures[i].name, json_string_or(name, "")) == 0 &&
            kind != MEASURE_FIRST && kind != MEASURE_LAST && kind != MEASURE_RATIO &&
            kind != MEASURE_WINDOW_START && kind != MEASURE_WINDOW_END &&
            !made->measures[i].is_time)
            return i;
    }
    return -1;
}

static void read_ratio(struct aggregation_reader *reader, const struct json *object,
                       struct aggregation_measure *measure)
{
    static const char *const known[] = {"ratio", NULL};
    const struct json *pair = json_get(object, "ratio");
    aggregation_known(reader, object, known);
    measure->kind = MEASURE_RATIO;
    measure->cell = measure_named(reader->made, json_at(pair, 0));
    measure->per = measure_named(reader->made, json_at(pair, 1));
    if (json_type_of(pair) != JSON_ARRAY || json_size(pair) != 2 || measure->cell < 0 ||
        measure->per < 0)
        aggregation_fault(reader, "ratio", "AGGREGATION_BAD_MEASURE",
                          "a ratio is a list of two measures of numbers that stand above it");
}

/* A measure without members: count, rate, window_start, window_end. */
static void read_word(struct aggregation_reader *reader, const char *word,
                      struct aggregation_measure *measure)
{
    if (strcmp(word, "window_start") == 0) {
        measure->kind = MEASURE_WINDOW_START;
    } else if (strcmp(word, "window_end") == 0) {
        measure->kind = MEASURE_WINDOW_END;
    } else if (strcmp(word, "count") == 0 || strcmp(word, "rate") == 0) {
        measure->kind = word[0] == 'c' ? MEASURE_COUNT : MEASURE_RATE;
        measure->cell = cell_of(reader, CELL_COUNT, AGGREGATION_NONE, AGGREGATION_NONE);
    } else {
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_MEASURE",
                          "\"%.80s\" is no measure; alone stand count, rate, window_start, "
                          "window_end",
                          word);
    }
}

static void read_measure(struct aggregation_reader *reader, const struct json *value,
                         struct aggregation_measure *measure)
{
    if (json_type_of(value) == JSON_STRING) {
        read_word(reader, json_string_or(value, ""), measure);
    } else if (json_get(value, "share")) {
        read_share(reader, value, measure);
    } else if (json_get(value, "ratio")) {
        read_ratio(reader, value, measure);
    } else {
        size_t kind = 0;
        while (kind < KINDS && !json_get(value, kinds[kind].name))
            kind++;
        if (kind < KINDS)
            read_kind(reader, &kinds[kind], value, measure);
        else
            aggregation_fault(reader, NULL, "AGGREGATION_BAD_MEASURE",
                              "a measure is one of count, sum, avg, min, max, distinct, "
                              "percentile, rate, first, last, share, ratio");
    }
    bool needs_window = measure->kind == MEASURE_RATE || measure->kind == MEASURE_WINDOW_START ||
                        measure->kind == MEASURE_WINDOW_END;
    if (needs_window && !reader->set->windows[reader->made->window].windowed)
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_MEASURE", "there is no %s without windows",
                          aggregation_measure_kind_name(measure->kind));
}

static void check_name(struct aggregation_reader *reader, const char *name)
{
    const struct aggregation *made = reader->made;
    const struct aggregation_group *group = &reader->set->groups[made->group];
    bool taken = strcmp(name, AGGREGATION_EXACT) == 0;
    for (int i = 0; i < group->count; i++)
        taken = taken || strcmp(group->keys[i].name, name) == 0;
    if (taken)
        aggregation_fault(reader, NULL, "AGGREGATION_NAME_TAKEN",
                          "the name %s is that of a key, or taken by the reducer", name);
    if (!aggregation_name_is_valid(name, strlen(name)))
        aggregation_fault(reader, NULL, "AGGREGATION_BAD_NAME",
                          "the name of a measure is letters, digits and _, at most %d",
                          AGGREGATION_NAME_BYTES_MAX);
}

void aggregation_read_measures(struct aggregation_reader *reader, const struct json *measures)
{
    struct aggregation *made = reader->made;
    size_t before = aggregation_enter(reader, "measures");
    if (json_type_of(measures) != JSON_OBJECT || json_size(measures) == 0 ||
        json_size(measures) > AGGREGATION_MEASURES_MAX) {
        aggregation_fault(reader, NULL, "AGGREGATION_LIMIT",
                          "measures is an object with 1 to %d measures", AGGREGATION_MEASURES_MAX);
        measures = NULL;
    }
    for (size_t i = 0; i < json_size(measures); i++) {
        const char *name = json_name_at(measures, i, NULL);
        struct aggregation_measure measure = {.name = must_strdup(name)};
        size_t here = aggregation_enter(reader, name);
        check_name(reader, name);
        read_measure(reader, json_member_at(measures, i), &measure);
        made->measures[made->measures_count++] = measure;
        pointer_cut(&reader->pointer, here);
    }
    pointer_cut(&reader->pointer, before);
}
