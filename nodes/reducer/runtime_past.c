/* SPDX-License-Identifier: MIT */
/* runtime_past.c - aggregations that came later: their past is counted beside the reducer, then taken over. */
#include <stdlib.h>

#include "io/log.h"
#include "reducer/backfill.h"
#include "reducer/runtime_internal.h"

#define NEAR_RECORDS 20000 /* so near the rest is counted while the reducer waits */
#define JOIN_WAIT_MS 3000

/* After each move of the group: the partitions that are ours now, and what of them is not counted yet. */
void runtime_start_past(struct runtime *runtime)
{
    struct backfill_partition *wanted = must_calloc(PARTITIONS_MAX, sizeof(*wanted));
    int count = 0;
    backfill_stop(runtime->backfill);
    runtime->backfill = NULL;
    for (int32_t i = 0; i < PARTITIONS_MAX; i++) {
        const struct reducer_partition *partition = runtime->reducer.partitions[i];
        if (!partition)
            runtime->pending[i] = 0;
        else if (runtime->pending[i])
            wanted[count++] = (struct backfill_partition){
                .number = i,
                .epoch = partition->epoch,
                .aggregations = runtime->pending[i],
                .limit = partition->next_offset,
            };
    }
    if (count > 0) {
        runtime->backfill = backfill_start(&runtime->options, wanted, count);
        log_info("counting the past of new aggregations", LOG_INT("partitions", count));
    }
    free(wanted);
}

/* Both at the same place, nothing gathered: the rows of the past are those of this place. */
static void join(struct runtime *runtime, struct reducer_partition *partition)
{
    struct error error = {0};
    uint64_t aggregations = runtime->pending[partition->number];
    if (!runtime_flush(runtime, FLUSH_WAIT_MS))
        return;
    backfill_limit(runtime->backfill, partition->number, partition->next_offset);
    if (!backfill_take(runtime->backfill, partition->number, partition->next_offset, JOIN_WAIT_MS))
        return;
    if (store_join(runtime->store, &runtime->reducer, partition, aggregations, &error)) {
        log_error("the past of new aggregations could not be taken over",
                  LOG_TEXT("reason", (const char *)error.text));
        runtime->restart = true;
        return;
    }
    runtime->pending[partition->number] = 0;
    runtime->windows_open = true;
    log_info("the past of new aggregations is counted", LOG_INT("partition", partition->number),
             LOG_INT("offset", partition->next_offset));
}

void runtime_follow_past(struct runtime *runtime)
{
    bool left = false;
    for (int32_t i = 0; runtime->backfill && i < PARTITIONS_MAX && !runtime->restart; i++) {
        struct reducer_partition *partition = runtime->reducer.partitions[i];
        if (!partition || !runtime->pending[i])
            continue;
        int64_t place = backfill_place(runtime->backfill, i);
        backfill_limit(runtime->backfill, i, partition->next_offset);
        if (place >= 0 && partition->next_offset - place <= NEAR_RECORDS)
            join(runtime, partition);
        left = left || runtime->pending[i];
    }
    if (left || runtime->restart)
        return;
    backfill_stop(runtime->backfill);
    runtime->backfill = NULL;
}
