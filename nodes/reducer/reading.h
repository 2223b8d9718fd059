/* SPDX-License-Identifier: MIT */
/* reading.h - records read ahead: while one batch is counted, other threads look through the next ones for the
 * headers and members that counting asks for, and free those that were counted.
 *
 * A batch goes round: reading_empty lends one to fill, reading_give hands it on, reading_next lends the oldest
 * given one when it was looked through, reading_done gives it back. Batches keep their order.
 *
 * Owns      Batches, and the records in them from reading_give on.
 * Lifetime  All records must be back (reading_drop) before their consumer is freed.
 * Threads   The functions belong to one thread, the one that counts.
 * Errors    A thread that cannot be started is no error: its work is done by the one that counts.
 */
#ifndef REDUCER_READING_H
#define REDUCER_READING_H

#include "core/event_scan.h"
#include "io/kafka_consumer.h"
#include "reducer/core/reducer.h"

#define READING_RECORDS_MAX 512 /* of a batch */

struct reading_batch {
    int count;
    uint64_t number; /* the first one given has 1 */
    struct kafka_record records[READING_RECORDS_MAX];
    struct reducer_record read[READING_RECORDS_MAX]; /* by reading_next; those without a code */
};

struct reading;

/* The paths must outlive it. `threads` besides the one that counts, none is fine. */
struct reading *reading_new(const struct event_paths *paths, int threads) MUST_USE;
void reading_free(struct reading *reading); /* NULL is fine */

struct reading_batch *reading_empty(struct reading *reading);
void reading_give(struct reading *reading, struct reading_batch *batch);
/* NULL when none was given. Waits for it otherwise. */
struct reading_batch *reading_next(struct reading *reading);
void reading_done(struct reading *reading, struct reading_batch *batch);
int64_t reading_records(const struct reading *reading); /* given and not lent yet */
uint64_t reading_given(const struct reading *reading);  /* the number of the last one */
/* As many may wait as keep all threads busy. */
bool reading_is_full(const struct reading *reading);
/* Records that were given are freed uncounted. No batch is lent. */
void reading_drop(struct reading *reading);

#endif
