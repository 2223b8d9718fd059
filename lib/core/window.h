/* SPDX-License-Identifier: MIT */
/* window.h - event-time windows: where an event belongs and whether it comes in time. Pure.
 *
 * Windows are [start, start + size), start a multiple of hop since the epoch. Tumbling ones have hop = size;
 * of hopping ones an event falls into several.
 *
 * Units     *_us microseconds since 1970 UTC or lengths.
 */
#ifndef CORE_WINDOW_H
#define CORE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_NO_TIME INT64_MIN /* no event was seen yet */

enum window_arrival { WINDOW_ON_TIME, WINDOW_LATE, WINDOW_TOO_LATE };

/* The newest window that an event falls into; the others start hop, 2 hop, ... earlier, as long as they end
 * after the event. */
int64_t window_start(int64_t event_us, int64_t hop_us);
/* Watermark of a partition whose newest event so far is newest_us; WINDOW_NO_TIME while there is none. */
int64_t window_watermark(int64_t newest_us, int64_t tolerance_us);
/* Judges a window that ends at end_us by a watermark. */
enum window_arrival window_arrival(int64_t end_us, int64_t watermark_us, int64_t lateness_us);
/* True when no record of a source with this watermark can change the window any more. */
bool window_is_closed(int64_t end_us, int64_t watermark_us, int64_t lateness_us);

#endif
