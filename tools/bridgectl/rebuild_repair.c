/* SPDX-License-Identifier: MIT */
#include "rebuild.h"

/* Whole rows as the records say; a row that no record counts in is taken away. A set in memory knows what of it
 * is stored, so this works once: another try counts anew. */
static enum error_code write_rows(struct rebuild *rebuild, struct rebuild_partition *partition,
                                  const struct rebuild_pairs *pairs,
                                  const struct store_assignment *assignment, struct error *error)
{
    struct reducer *reducer = &partition->counted;
    struct reducer_partition *counted = reducer->partitions[partition->number];
    reducer_snapshot_taken(reducer); /* nothing of it is to be written but what differs */
    for (size_t i = 0; i < pairs->count; i++) {
        const struct rebuild_pair *pair = &pairs->items[i];
        if (pair->doubtful && !rebuild->accepts)
            continue;
        const struct aggregate *key = pair->counted ? pair->counted : pair->stored;
        struct aggregate *row = reducer_find_row(counted, key->definition->index, key->start_us,
                                                 key->group, key->group_bytes);
        store_replace(rebuild->store, key, row == NULL);
        if (row)
            reducer_mark(reducer, row);
    }
    counted->epoch = assignment->epoch;
    counted->newest_us = assignment->newest_us;
    counted->dirty = true;
    store_snapshot(rebuild->store, reducer);
    enum error_code code = store_commit(rebuild->store, error);
    store_forget_rebuilt(rebuild->store);
    return code;
}

static int64_t count_doubtful(const struct rebuild_pairs *pairs)
{
    int64_t count = 0;
    for (size_t i = 0; i < pairs->count; i++)
        count += pairs->items[i].doubtful;
    return count;
}

enum error_code rebuild_repair(struct rebuild *rebuild, struct rebuild_partition *partition,
                               const struct rebuild_pairs *pairs, struct error *error)
{
    struct store_assignment assignment;
    int64_t kept = rebuild->accepts ? 0 : count_doubtful(pairs);
    if (kept == (int64_t)pairs->count) {
        rebuild->report.kept += kept;
        return ERR_OK;
    }
    int64_t place = partition->picture.next_offset;
    /* Near the end first, so that little is left to count while the partition is taken over. */
    enum error_code code = store_place(rebuild->store, partition->number, &place, error);
    if (!code)
        code = rebuild_count_on(rebuild, partition, place, error);
    if (!code)
        code = store_take_over(rebuild->store, partition->number, &assignment, error);
    if (!code)
        code = rebuild_count_on(rebuild, partition, assignment.next_offset, error);
    if (!code)
        code = write_rows(rebuild, partition, pairs, &assignment, error);
    if (code)
        return code;
    rebuild->report.repaired += (int64_t)pairs->count - kept;
    rebuild->report.kept += kept;
    return ERR_OK;
}
