/* SPDX-License-Identifier: MIT */
#include "rebuild.h"

#include <stdlib.h>
#include <string.h>

#include "base/instant.h"

/* -- which rows can be compared -- */

struct scope {
    const struct rebuild *rebuild;
    const struct rebuild_partition *partition;
    bool whole;         /* every record that was counted is on the topic */
    int64_t horizon_us; /* else windows that begin earlier may have got records that are not */
};

/* A lane whose last number differs was counted from records that are no longer on the topic, or was raised
 * when a gap was filled. */
static bool same_lanes(const struct reducer_partition *counted,
                       const struct reducer_partition *stored)
{
    if (counted->lanes_count != stored->lanes_count)
        return false;
    for (size_t i = 0; i < stored->lanes_capacity; i++) {
        const struct reducer_lane *lane = &stored->lanes[i];
        if (lane->name[0] &&
            reducer_lane_seq(counted, lane->name, strlen(lane->name)) != lane->last_seq)
            return false;
    }
    return true;
}

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* Records that were dropped are taken to be no newer than the first ones kept behind them, but for the disorder
 * that reducers take: what comes later than that they refuse. Of what was counted before a gap, from another
 * cluster, or from a topic that lacks it, the newest event is known; so it is when a dropped record was newer than
 * all that are kept, and put the watermark where these do not lead. */
static void find_horizon(struct scope *scope)
{
    const struct rebuild_partition *partition = scope->partition;
    const struct reducer_partition *counted = partition->counted.partitions[partition->number];
    const struct reducer_partition *stored = partition->stored.partitions[partition->number];
    const struct aggregation_set *set = scope->rebuild->set;
    bool same = counted->newest_us == stored->newest_us && same_lanes(counted, stored);
    int64_t lateness_us = 0;
    for (int i = 0; i < set->windows_count; i++)
        lateness_us = later(lateness_us, set->windows[i].lateness_us);
    scope->whole =
        partition->first_offset == 0 && partition->picture.earlier_us == WINDOW_NO_TIME && same;
    scope->horizon_us = WINDOW_NO_TIME;
    if (scope->whole)
        return;
    if (partition->picture.earlier_us != WINDOW_NO_TIME)
        scope->horizon_us = partition->picture.earlier_us + 1;
    if (partition->picture.before_gaps_us != WINDOW_NO_TIME)
        scope->horizon_us = later(scope->horizon_us, partition->picture.before_gaps_us + 1);
    if (partition->first_offset > 0 && partition->early_us == WINDOW_NO_TIME)
        scope->horizon_us = INT64_MAX;
    else if (partition->first_offset > 0)
        scope->horizon_us = later(
            scope->horizon_us, partition->early_us + partition->counted.tolerance_us + lateness_us);
    bool dropped_the_newest =
        partition->first_offset > 0 && counted->newest_us != stored->newest_us;
    bool counted_elsewhere = partition->first_offset == 0 && !same;
    if ((dropped_the_newest || counted_elsewhere) && stored->newest_us != WINDOW_NO_TIME)
        scope->horizon_us = later(scope->horizon_us, stored->newest_us + 1);
}

static bool is_windowed(const struct aggregate *row) { return row->end_us != INT64_MAX; }

static bool is_asked_for(const struct scope *scope, const struct aggregate *row)
{
    const struct rebuild *rebuild = scope->rebuild;
    if (rebuild->only >= 0 && row->definition->index != rebuild->only)
        return false;
    if (scope->partition->picture.begins[row->definition->index] == STORE_NOT_COUNTED)
        return false;
    return rebuild->from_us == WINDOW_NO_TIME ||
           (is_windowed(row) && row->start_us >= rebuild->from_us);
}

static bool can_be_known(const struct scope *scope, const struct aggregate *row)
{
    return scope->whole || (is_windowed(row) && row->start_us >= scope->horizon_us);
}

/* By the retention: such rows are about to be deleted, or are. */
static bool is_pruned(const struct scope *scope, const struct aggregate *row)
{
    return is_windowed(row) &&
           row->end_us <= scope->partition->stored.pruned_us[row->definition->index];
}

/* -- comparing -- */

static void add_pair(const struct scope *scope, struct rebuild_pairs *pairs,
                     const struct aggregate *counted, const struct aggregate *stored)
{
    if (pairs->count == pairs->capacity) {
        pairs->capacity = pairs->capacity ? pairs->capacity * 2 : 16;
        pairs->items = must_realloc(pairs->items, pairs->capacity * sizeof(*pairs->items));
    }
    int index = (counted ? counted : stored)->definition->index;
    bool lower = stored && (!counted || counted->events < stored->events);
    bool known = scope->whole && scope->partition->picture.begins[index] == 0;
    pairs->items[pairs->count++] = (struct rebuild_pair){counted, stored, lower && !known};
}

static void compare_pair(const struct scope *scope, const struct aggregate *counted,
                         const struct aggregate *stored, struct rebuild_report *report,
                         struct rebuild_pairs *pairs)
{
    const struct aggregate *row = counted ? counted : stored;
    struct compare_difference difference = {0};
    if (!is_asked_for(scope, row))
        return;
    if (is_pruned(scope, row)) {
        report->pruned_rows++;
    } else if (!can_be_known(scope, row)) {
        report->dropped_rows += stored != NULL;
    } else {
        report->rows++;
        if (!compare_rows(counted, stored, &difference))
            add_pair(scope, pairs, counted, stored);
        compare_difference_fini(&difference);
    }
}

static const struct aggregate *row_of(const struct rebuild_pair *pair)
{
    return pair->counted ? pair->counted : pair->stored;
}

static int by_place(const void *a, const void *b)
{
    const struct aggregate *p = row_of(a), *q = row_of(b);
    if (p->start_us != q->start_us)
        return p->start_us < q->start_us ? -1 : 1;
    if (p->definition->index != q->definition->index)
        return p->definition->index - q->definition->index;
    size_t bytes = p->group_bytes < q->group_bytes ? p->group_bytes : q->group_bytes;
    int order = memcmp(p->group, q->group, bytes);
    return order ? order : (p->group_bytes > q->group_bytes) - (p->group_bytes < q->group_bytes);
}

/* A row that would lose events may have counted records that are gone. They put the watermark at least there, so
 * whether what is kept for earlier windows came late is not known either. */
static void mark_doubtful(struct rebuild_pairs *pairs)
{
    int64_t until_us = WINDOW_NO_TIME;
    for (size_t i = 0; i < pairs->count; i++) {
        if (pairs->items[i].doubtful)
            until_us = row_of(&pairs->items[i])->start_us;
    }
    for (size_t i = 0; i < pairs->count; i++)
        pairs->items[i].doubtful =
            until_us != WINDOW_NO_TIME && row_of(&pairs->items[i])->start_us <= until_us;
}

void rebuild_compare(struct rebuild *rebuild, const struct rebuild_partition *partition,
                     struct rebuild_pairs *pairs)
{
    struct scope scope = {.rebuild = rebuild, .partition = partition};
    struct reducer_partition *counted = partition->counted.partitions[partition->number];
    struct reducer_partition *stored = partition->stored.partitions[partition->number];
    find_horizon(&scope);
    for (size_t i = 0; i < counted->rows_capacity; i++) {
        const struct aggregate *row = counted->rows[i].row;
        if (row)
            compare_pair(&scope, row,
                         reducer_find_row(stored, row->definition->index, row->start_us, row->group,
                                          row->group_bytes),
                         &rebuild->report, pairs);
    }
    for (size_t i = 0; i < stored->rows_capacity; i++) {
        const struct aggregate *row = stored->rows[i].row;
        if (row && !reducer_find_row(counted, row->definition->index, row->start_us, row->group,
                                     row->group_bytes))
            compare_pair(&scope, NULL, row, &rebuild->report, pairs);
    }
    if (pairs->count > 0)
        qsort(pairs->items, pairs->count, sizeof(*pairs->items), by_place);
    mark_doubtful(pairs);
    rebuild->report.unknown_rows += partition->picture.unknown_rows;
    rebuild->report.unfilled_records += partition->picture.unfilled_records;
    for (int i = 0; i < rebuild->set->count; i++) {
        if (rebuild->only < 0 || rebuild->only == i)
            rebuild->report.uncounted += partition->picture.begins[i] == STORE_NOT_COUNTED;
    }
}

void rebuild_pairs_fini(struct rebuild_pairs *pairs)
{
    free(pairs->items);
    *pairs = (struct rebuild_pairs){0};
}

struct json *rebuild_describe(const struct rebuild_pair *pair)
{
    const struct aggregate *row = row_of(pair);
    struct compare_difference difference = {0};
    char start[INSTANT_TEXT_BYTES], end[INSTANT_TEXT_BYTES];
    bool same = compare_rows(pair->counted, pair->stored, &difference);
    struct json *told = json_object();
    json_object_set(told, "type", json_text(row->definition->name));
    json_object_set(told, "version", json_text(row->definition->version));
    json_object_set(told, "window_start",
                    is_windowed(row) ? json_text(instant_format(row->start_us, start))
                                     : json_null());
    json_object_set(told, "window_end",
                    is_windowed(row) ? json_text(instant_format(row->end_us, end)) : json_null());
    json_object_set(told, "group", json_string(row->group, row->group_bytes));
    json_object_set(told, "partition", json_int(row->partition));
    json_object_set(told, "field", json_text(same ? NULL : difference.field));
    json_object_set(told, "in_topic", json_hold(difference.counted));
    json_object_set(told, "in_database", json_hold(difference.stored));
    compare_difference_fini(&difference);
    return told;
}
