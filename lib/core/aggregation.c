/* SPDX-License-Identifier: MIT */
/* aggregation.c - the set: its shared tables, finding and describing definitions. */
#include "core/aggregation.h"

#include <stdlib.h>
#include <string.h>

#include "core/aggregation_internal.h"

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_double(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

struct aggregation_set *aggregation_set_new(const struct aggregation_defaults *defaults)
{
    struct aggregation_set *set = must_calloc(1, sizeof *set);
    set->defaults = *defaults;
    set->paths = event_paths_new();
    set->event_type_slot = event_paths_add(set->paths, "event_type", 10);
    set->event_timestamp_slot = event_paths_add(set->paths, "event_timestamp", 15);
    set->payload_slot = event_paths_add(set->paths, "payload", 7);
    return set;
}

static void field_fini(struct aggregation_field *field)
{
    free(field->name);
    free(field->fallback);
}

void aggregation_condition_fini(struct aggregation_condition *condition)
{
    for (int i = 0; i < condition->choices_count; i++)
        free(condition->choices[i].text);
    free(condition->choices);
}

void aggregation_group_fini(struct aggregation_group *group)
{
    for (int i = 0; i < group->count; i++) {
        for (int b = 0; b < group->keys[i].buckets_count; b++)
            free(group->keys[i].buckets[b].name);
        free(group->keys[i].buckets);
        free(group->keys[i].name);
    }
}

void aggregation_free(struct aggregation *aggregation)
{
    for (int i = 0; i < aggregation->measures_count; i++)
        free(aggregation->measures[i].name);
    json_release(aggregation->document);
    free(aggregation->name);
    free(aggregation->version);
    free(aggregation->description);
    free(aggregation);
}

void aggregation_set_free(struct aggregation_set *set)
{
    if (!set)
        return;
    for (int i = 0; i < set->count; i++)
        aggregation_free(set->items[i]);
    for (int i = 0; i < set->fields_count; i++)
        field_fini(&set->fields[i]);
    for (int i = 0; i < set->conditions_count; i++)
        aggregation_condition_fini(&set->conditions[i]);
    for (int i = 0; i < set->groups_count; i++)
        aggregation_group_fini(&set->groups[i]);
    free(set->fields);
    free(set->conditions);
    free(set->filters);
    free(set->groups);
    event_paths_free(set->paths);
    free(set);
}

const struct aggregation *aggregation_set_find(const struct aggregation_set *set, const char *name,
                                               size_t bytes)
{
    for (int i = 0; i < set->count; i++) {
        if (strlen(set->items[i]->name) == bytes && memcmp(set->items[i]->name, name, bytes) == 0)
            return set->items[i];
    }
    return NULL;
}

/* -- shared tables -- */

/* Room for one more entry; sizes are small, so the tables grow one by one. */
static void *grown(void *table, int count, size_t entry_bytes)
{
    return must_realloc(table, (size_t)(count + 1) * entry_bytes);
}

static bool same_field(const struct aggregation_field *a, const struct aggregation_field *b)
{
    return same_text(a->name, b->name) && a->slots_count == b->slots_count &&
           memcmp(a->slots, b->slots, (size_t)a->slots_count * sizeof a->slots[0]) == 0 &&
           a->type == b->type && a->required == b->required &&
           same_text(a->fallback, b->fallback) && a->has_minimum == b->has_minimum &&
           a->has_maximum == b->has_maximum && same_double(a->minimum, b->minimum) &&
           same_double(a->maximum, b->maximum) && a->bytes_max == b->bytes_max;
}

int aggregation_intern_field(struct aggregation_set *set, struct aggregation_field *field)
{
    for (int i = 0; i < set->fields_count; i++) {
        if (same_field(&set->fields[i], field)) {
            field_fini(field);
            return i;
        }
    }
    if (set->fields_count == AGGREGATION_FIELDS_MAX) {
        field_fini(field);
        return -1;
    }
    set->fields = grown(set->fields, set->fields_count, sizeof *set->fields);
    set->fields[set->fields_count] = *field;
    return set->fields_count++;
}

static bool same_condition(const struct aggregation_condition *a,
                           const struct aggregation_condition *b)
{
    if (a->field != b->field || a->test != b->test || a->negated != b->negated ||
        a->choices_count != b->choices_count || !same_double(a->number, b->number))
        return false;
    for (int i = 0; i < a->choices_count; i++) {
        const struct aggregation_choice *x = &a->choices[i], *y = &b->choices[i];
        if (x->type != y->type || !same_double(x->number, y->number) ||
            !same_text(x->text, y->text))
            return false;
    }
    return true;
}

int aggregation_intern_condition(struct aggregation_set *set,
                                 struct aggregation_condition *condition)
{
    for (int i = 0; i < set->conditions_count; i++) {
        if (same_condition(&set->conditions[i], condition)) {
            aggregation_condition_fini(condition);
            return i;
        }
    }
    set->conditions = grown(set->conditions, set->conditions_count, sizeof *set->conditions);
    set->conditions[set->conditions_count] = *condition;
    return set->conditions_count++;
}

int aggregation_intern_filter(struct aggregation_set *set, const struct aggregation_filter *filter)
{
    if (filter->count == 0)
        return AGGREGATION_NONE;
    for (int i = 0; i < set->filters_count; i++) {
        if (set->filters[i].count == filter->count &&
            memcmp(set->filters[i].conditions, filter->conditions,
                   (size_t)filter->count * sizeof filter->conditions[0]) == 0)
            return i;
    }
    set->filters = grown(set->filters, set->filters_count, sizeof *set->filters);
    set->filters[set->filters_count] = *filter;
    return set->filters_count++;
}

static bool same_group(const struct aggregation_group *a, const struct aggregation_group *b)
{
    bool same = a->count == b->count;
    for (int i = 0; same && i < a->count; i++) {
        const struct aggregation_key *x = &a->keys[i], *y = &b->keys[i];
        same = same_text(x->name, y->name) && x->field == y->field &&
               x->buckets_count == y->buckets_count;
        for (int k = 0; same && k < x->buckets_count; k++)
            same = same_text(x->buckets[k].name, y->buckets[k].name) &&
                   same_double(x->buckets[k].to, y->buckets[k].to);
    }
    return same;
}

int aggregation_intern_group(struct aggregation_set *set, struct aggregation_group *group)
{
    for (int i = 0; i < set->groups_count; i++) {
        if (same_group(&set->groups[i], group)) {
            aggregation_group_fini(group);
            return i;
        }
    }
    set->groups = grown(set->groups, set->groups_count, sizeof *set->groups);
    set->groups[set->groups_count] = *group;
    return set->groups_count++;
}

int aggregation_intern_window(struct aggregation_set *set, const struct aggregation_window *window)
{
    for (int i = 0; i < set->windows_count; i++) {
        const struct aggregation_window *known = &set->windows[i];
        if (known->windowed == window->windowed && known->size_us == window->size_us &&
            known->hop_us == window->hop_us && known->lateness_us == window->lateness_us)
            return i;
    }
    if (set->windows_count == AGGREGATIONS_MAX)
        return 0; /* only after files that were refused */
    set->windows[set->windows_count] = *window;
    return set->windows_count++;
}

int aggregation_intern_audience(struct aggregation_set *set,
                                const struct aggregation_audience *audience)
{
    for (int i = 0; i < set->audiences_count; i++) {
        struct aggregation_audience *known = &set->audiences[i];
        if (known->filter == audience->filter && known->fields_count == audience->fields_count &&
            known->invalid_is_dead_letter == audience->invalid_is_dead_letter &&
            memcmp(known->fields, audience->fields,
                   (size_t)audience->fields_count * sizeof audience->fields[0]) == 0) {
            known->members |= audience->members;
            return i;
        }
    }
    set->audiences[set->audiences_count] = *audience;
    return set->audiences_count++;
}

/* -- describing -- */

const char *aggregation_measure_kind_name(enum aggregation_measure_kind kind)
{
    static const char *const names[] = {
        [MEASURE_COUNT] = "count",
        [MEASURE_SUM] = "sum",
        [MEASURE_MIN] = "min",
        [MEASURE_MAX] = "max",
        [MEASURE_AVG] = "avg",
        [MEASURE_DISTINCT] = "distinct",
        [MEASURE_PERCENTILE] = "percentile",
        [MEASURE_RATE] = "rate",
        [MEASURE_FIRST] = "first",
        [MEASURE_LAST] = "last",
        [MEASURE_SHARE] = "share",
        [MEASURE_RATIO] = "ratio",
        [MEASURE_WINDOW_START] = "window_start",
        [MEASURE_WINDOW_END] = "window_end",
    };
    return names[kind];
}

static struct json *describe_window(const struct aggregation_window *window)
{
    struct json *described = json_object();
    bool hopping = window->windowed && window->hop_us != window->size_us;
    json_object_set(described, "type",
                    json_text(!window->windowed ? "none"
                              : hopping         ? "hopping"
                                                : "tumbling"));
    if (!window->windowed)
        return described;
    json_object_set(described, "size_ms", json_int(window->size_us / 1000));
    if (hopping)
        json_object_set(described, "hop_ms", json_int(window->hop_us / 1000));
    json_object_set(described, "lateness_ms", json_int(window->lateness_us / 1000));
    return described;
}

/* Definitions share windows, so all of them are numbered anew. */
bool aggregation_set_window(struct aggregation_set *set, int index, int64_t size_us,
                            int64_t lateness_us)
{
    struct aggregation_window windows[AGGREGATIONS_MAX];
    for (int i = 0; i < set->count; i++)
        windows[i] = set->windows[set->items[i]->window];
    struct aggregation_window *window = &windows[index];
    bool hops = window->hop_us != window->size_us;
    if (window->windowed != (size_us > 0) ||
        (hops && (size_us % window->hop_us || size_us / window->hop_us > AGGREGATION_WINDOWS_MAX)))
        return false;
    window->size_us = size_us;
    window->hop_us = hops ? window->hop_us : size_us;
    window->lateness_us = lateness_us;
    set->windows_count = 0;
    for (int i = 0; i < set->count; i++)
        set->items[i]->window = aggregation_intern_window(set, &windows[i]);
    return true;
}

struct json *aggregation_describe(const struct aggregation_set *set,
                                  const struct aggregation *aggregation)
{
    return json_object_with(aggregation->document, "window", strlen("window"),
                            describe_window(&set->windows[aggregation->window]));
}
