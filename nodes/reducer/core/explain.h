/* SPDX-License-Identifier: MIT */
/* explain.h - why a window is or is not final, in a word and in a sentence, from what is stored of it and of
 * the partitions. Pure.
 *
 * A window is final when the smallest watermark over all partitions has passed its end and its lateness; idle
 * partitions do not count (reducer_low_watermark of the migrations says the same in SQL).
 *
 * Owns      Nothing: texts are the caller's.
 * Threads   Any.
 * Units     *_us microseconds since 1970 UTC or lengths, *_ms milliseconds.
 */
#ifndef REDUCER_CORE_EXPLAIN_H
#define REDUCER_CORE_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

#define EXPLAIN_ALL_IDLE INT64_MAX /* as a watermark: no partition holds anything */

struct explain_partition {
    int32_t number;
    int64_t watermark_us; /* WINDOW_NO_TIME: no event was read from it yet */
    bool idle;
    const char *owner; /* "": no reducer ever had it */
    int64_t unread;    /* records behind the stored offset; -1: not known */
    int64_t silent_ms; /* since something was last written for it */
    bool past_pending; /* the aggregation's past is not counted in it yet */
};

struct explain_window {
    const char *type;
    bool windowed;
    int64_t start_us, end_us, lateness_us;
    int64_t events; /* 0: there is no row of it */
    int32_t revision;
    bool has_final;
    int64_t final_us;
    int64_t pruned_until_us; /* WINDOW_NO_TIME: nothing of the aggregation was pruned */
    int64_t retention_days;
    int64_t idle_ms; /* after which a partition that is read to its end is let go */
    const struct explain_partition *partitions;
    int count;
    int64_t lost_records; /* of gaps that nobody has filled and that may hold events of it */
};

enum explain_state {
    EXPLAIN_ALL_TIME,     /* it has no window */
    EXPLAIN_FINAL,        /* announced */
    EXPLAIN_PRUNED,       /* its rows went by retention */
    EXPLAIN_COUNTING,     /* the topic's past is still counted for its aggregation */
    EXPLAIN_OPEN,         /* the smallest watermark has not passed its end */
    EXPLAIN_CLOSING,      /* has passed the end, not the lateness */
    EXPLAIN_DUE,          /* has passed both: final in a moment */
    EXPLAIN_NOT_SEEN_YET, /* no event of it, and one may come */
    EXPLAIN_NEVER_SEEN, /* no event of it, and every partition, idle ones too, would refuse one now */
};

enum explain_hold {
    HOLD_NONE,      /* it does not hold the window */
    HOLD_NO_OWNER,  /* no reducer ever had it */
    HOLD_BEHIND,    /* records wait to be read */
    HOLD_QUIET,     /* read to its end; let go when it has been quiet long enough */
    HOLD_NO_EVENTS, /* nothing was read from it, and how much waits is not known */
    HOLD_WATERMARK, /* its events are not far enough, and how much waits is not known */
};

/* The smallest one of those that are not idle; WINDOW_NO_TIME while one of them has no event yet. */
int64_t explain_low_watermark(const struct explain_partition *partitions, int count);
enum explain_state explain_state(const struct explain_window *window);
const char *explain_state_name(enum explain_state state);
/* Whether, and why, a partition holds the window back. */
enum explain_hold explain_hold(const struct explain_window *window,
                               const struct explain_partition *partition);
const char *explain_hold_name(enum explain_hold hold);
/* The one that holds it longest: NULL when none does. */
const struct explain_partition *explain_holder(const struct explain_window *window);
void explain_sentence(const struct explain_window *window, struct buffer *out);

#endif
