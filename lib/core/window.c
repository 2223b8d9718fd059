/* SPDX-License-Identifier: MIT */
/* window.c - arithmetic of windows and watermarks. */
#include "core/window.h"

int64_t window_start(int64_t event_us, int64_t hop_us)
{
    int64_t into = event_us % hop_us;
    return event_us - (into < 0 ? into + hop_us : into);
}

int64_t window_watermark(int64_t newest_us, int64_t tolerance_us)
{
    return newest_us == WINDOW_NO_TIME ? WINDOW_NO_TIME : newest_us - tolerance_us;
}

enum window_arrival window_arrival(int64_t end_us, int64_t watermark_us, int64_t lateness_us)
{
    if (watermark_us == WINDOW_NO_TIME || end_us > watermark_us)
        return WINDOW_ON_TIME;
    return window_is_closed(end_us, watermark_us, lateness_us) ? WINDOW_TOO_LATE : WINDOW_LATE;
}

bool window_is_closed(int64_t end_us, int64_t watermark_us, int64_t lateness_us)
{
    return watermark_us != WINDOW_NO_TIME && end_us + lateness_us <= watermark_us;
}
