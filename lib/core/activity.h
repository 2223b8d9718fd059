/* SPDX-License-Identifier: MIT */
/* activity.h - when anything moved and when anything was alive, for the longest time in which nothing moved
 * although something was alive, and for how long it took to move again after a fault. Pure.
 *
 * Time is cut into equal pieces: everything is told to a piece's length, which grows with the time looked at.
 * Rows are independent of each other (shards: what one owner's death stops).
 *
 * Owns      Five octets for each piece of each row, ACTIVITY_CELLS_MAX of them at most; activity_fini releases.
 * Lifetime  activity_init, then moved and lived in any order, activity_close once, then the questions.
 * Threads   One at a time.
 * Units     *_us microseconds since 1970 UTC, durations microseconds.
 */
#ifndef CORE_ACTIVITY_H
#define CORE_ACTIVITY_H

#include <stdbool.h>
#include <stdint.h>

#define ACTIVITY_CELLS_MAX (INT64_C(1) << 23) /* 40 MiB */
#define ACTIVITY_PIECE_US_MIN 10000

struct activity {
    int64_t from_us, piece_us;
    int rows;
    int64_t pieces;
    uint8_t *moved;
    int32_t *alive; /* differences until activity_close, then how many */
};

void activity_init(struct activity *activity, int rows, int64_t from_us, int64_t to_us);
void activity_fini(struct activity *activity);
void activity_moved(struct activity *activity, int row, int64_t at_us);
/* until_us INT64_MAX: it still is. */
void activity_lived(struct activity *activity, int row, int64_t from_us, int64_t until_us);
void activity_close(struct activity *activity);

/* Longest time without a movement of any row while something was alive all along; 0: there was none. */
int64_t activity_longest_gap(const struct activity *activity, int64_t *from_us);
/* How long after a moment the last row moved of those in which something was alive then; -1: nothing was, or one
 * of them never did. */
int64_t activity_recovery(const struct activity *activity, int64_t at_us);

#endif
