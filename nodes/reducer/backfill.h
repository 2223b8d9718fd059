/* SPDX-License-Identifier: MIT */
/* backfill.h - counts the topic's past for aggregations that came later (`backfill: true`), beside the
 * running reducer and without touching its offsets.
 *
 * A thread reads the given partitions from their beginning, never past the limit that the runtime sets (its
 * own place), and writes the rows of those aggregations only. When it has come to the runtime's place the
 * runtime takes the partition from it, then the rows, and they count with the others (store_join). After a
 * crash or an error it begins again with those not taken: rows are whole state, and what was left is dropped
 * first. Dead letters were made when the records were
 * first read; none are made here.
 *
 * Owns      Its thread, consumer, store and core.
 * Threads   All functions from the runtime's thread.
 * Units     Offsets are those of the next record to be read.
 */
#ifndef REDUCER_BACKFILL_H
#define REDUCER_BACKFILL_H

#include "reducer/runtime.h"

struct backfill;

struct backfill_partition {
    int32_t number;
    int64_t epoch;
    uint64_t aggregations; /* a bit for each */
    int64_t limit;
};

/* The options are lent until backfill_stop. NULL when no thread could be started. */
struct backfill *backfill_start(const struct runtime_options *options,
                                const struct backfill_partition *partitions, int count);
void backfill_limit(struct backfill *backfill, int32_t partition, int64_t limit);
/* How far the partition is counted and committed; -1 while it is not read yet. */
int64_t backfill_place(struct backfill *backfill, int32_t partition);
/* Waits until it is at the place, and takes it from the thread, which never writes its rows again, not even when
 * it begins again for the others; its limit must not be moved any more. False when the time has passed. */
bool backfill_take(struct backfill *backfill, int32_t partition, int64_t place, int timeout_ms);
void backfill_stop(struct backfill *backfill); /* NULL is fine */

#endif
