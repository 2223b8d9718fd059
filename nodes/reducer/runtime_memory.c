/* SPDX-License-Identifier: MIT */
/* runtime_memory.c - rows leave memory when it is full, and gauges show what is there. */
#include <stdlib.h>

#include "base/metrics.h"
#include "io/log.h"
#include "reducer/runtime_internal.h"

#define OVERDRAFT_SHARE 8 /* of the bound: rows that cannot leave yet may take so much more */
#define MESSAGES_BYTES_MAX (32u << 20) /* dead letters and announcements of the next commit */

static size_t limit_bytes(const struct runtime *runtime)
{
    size_t bound = runtime->reducer.bounds.rows_bytes;
    return bound + bound / OVERDRAFT_SHARE;
}

struct store_settings runtime_settings(const struct config *config)
{
    return (struct store_settings){.tolerance_ms = config->aggregation_watermark_tolerance_ms,
                                   .groups = (int32_t)config->max_aggregation_groups};
}

struct reducer_bounds runtime_bounds(const struct config *config)
{
    return (struct reducer_bounds){
        .rows_bytes = (size_t)config->max_aggregation_memory_mb * 1024 * 1024,
        .groups = (size_t)config->max_aggregation_groups,
    };
}

void runtime_let_go(struct runtime *runtime) { reducer_spill(&runtime->reducer); }

/* Rows and messages that are not committed cannot leave; when they take too much, the next commit comes first. */
bool runtime_is_full(const struct runtime *runtime)
{
    bool rows = runtime->reducer.bounds.rows_bytes > 0 &&
                runtime->reducer.rows_bytes > limit_bytes(runtime);
    return (rows || store_messages_bytes(runtime->store) > MESSAGES_BYTES_MAX) &&
           (runtime->gathered > 0 || runtime->in_flight || runtime->resend);
}

static int compare_windows(const void *a, const void *b)
{
    const struct reducer_window *one = a, *other = b;
    if (one->aggregation != other->aggregation)
        return one->aggregation < other->aggregation ? -1 : 1;
    return (one->start_us > other->start_us) - (one->start_us < other->start_us);
}

/* Windows that have groups and are not closed, each once although it is open on many partitions. */
static size_t count_windows(const struct reducer *reducer, size_t *largest)
{
    size_t count = 0, capacity = 0, different = 0;
    struct reducer_window *open = NULL;
    for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
        const struct reducer_partition *partition = reducer->partitions[p];
        for (size_t i = 0; partition && i < partition->groups_capacity; i++) {
            const struct reducer_groups *groups = partition->groups[i];
            if (!groups)
                continue;
            if (groups->here + groups->away > *largest)
                *largest = groups->here + groups->away;
            if (!reducer_is_open(reducer, partition, groups))
                continue;
            if (count == capacity) {
                capacity = capacity ? capacity * 2 : 64;
                open = must_realloc(open, capacity * sizeof(*open));
            }
            open[count++] = (struct reducer_window){groups->aggregation, groups->start_us};
        }
    }
    if (count > 0)
        qsort(open, count, sizeof(*open), compare_windows);
    for (size_t i = 0; i < count; i++)
        different += i == 0 || compare_windows(&open[i - 1], &open[i]) != 0;
    free(open);
    return different;
}

/* Partitions of which nothing is read now. */
static int count_paused(const struct runtime *runtime)
{
    int64_t waiting = runtime->gathered + runtime->in_flight_events;
    return runtime->paused || runtime_is_full(runtime) ||
                   waiting >= runtime->options.config->max_aggregation_queue_size
               ? runtime->status.partitions_assigned
               : 0;
}

void runtime_show_memory(struct runtime *runtime)
{
    struct reducer *reducer = &runtime->reducer;
    size_t largest = 0, windows = count_windows(reducer, &largest);
    metrics_gauge_set(METRIC_PARTITIONS_PAUSED, 0, 0, count_paused(runtime));
    metrics_gauge_set(METRIC_WINDOWS_OPEN, 0, 0, (double)windows);
    metrics_gauge_set(METRIC_GROUPS_LARGEST, 0, 0, (double)largest);
    metrics_gauge_set(METRIC_ROWS_IN_MEMORY, 0, 0, (double)reducer->rows_count);
    metrics_gauge_set(METRIC_ROWS_MEMORY, 0, 0, (double)reducer->rows_bytes);
    metrics_gauge_set(METRIC_ROWS_AWAY, 0, 0, (double)reducer->rows_away);
    metrics_add(METRIC_ROWS_SPILLED, 0, 0, reducer->spilled);
    metrics_add(METRIC_ROWS_LOADED, 0, 0, reducer->loaded);
    metrics_add(METRIC_OTHER_GROUPS, 0, 0, reducer->others);
    if (reducer->others > 0)
        log_warning(
            "windows have more groups than MAX_AGGREGATION_GROUPS; further ones are counted "
            "together",
            LOG_INT("events", (int64_t)reducer->others));
    reducer->spilled = reducer->loaded = reducer->others = 0;
}
