/* SPDX-License-Identifier: MIT */
/* window.h - event-time windows: where an event belongs and whether it comes in time. Pure.
 *
 * Units     *_us microseconds since 1970 UTC or lengths; windows are [start, start + size), aligned to
 *           the epoch.
 */
#ifndef CORE_WINDOW_H
#define CORE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_NO_TIME INT64_MIN /* no event was seen yet */

struct window_rules {
    int64_t size_us;
    int64_t tolerance_us; /* the watermark stays this far behind the newest event */
    int64_t lateness_us;  /* how long after its end, by the watermark, a window takes late events */
};

enum window_arrival { WINDOW_ON_TIME, WINDOW_LATE, WINDOW_TOO_LATE };

int64_t window_start(int64_t event_us, int64_t size_us);
/* Watermark of a partition whose newest event so far is newest_us; WINDOW_NO_TIME while there is none. */
int64_t window_watermark(int64_t newest_us, const struct window_rules *rules);
/* Judges a window that ends at end_us by a watermark. */
enum window_arrival window_arrival(int64_t end_us, int64_t watermark_us, const struct window_rules *rules);
/* True when no record of a source with this watermark can change the window any more. */
bool window_is_closed(int64_t end_us, int64_t watermark_us, const struct window_rules *rules);

#endif
