/* SPDX-License-Identifier: MIT */
/* instant.h - points in time as microseconds since 1970-01-01 UTC, and their RFC 3339 text.
 * Pure: the clock is read in lib/io/clock.c only.
 *
 * Units     *_us microseconds, *_ms milliseconds.
 */
#ifndef BASE_INSTANT_H
#define BASE_INSTANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSTANT_TEXT_BYTES 32
/* What RFC 3339 can write: 0000-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z. */
#define INSTANT_FIRST_US INT64_C(-62167219200000000)
#define INSTANT_LAST_US INT64_C(253402300799999999)

/* Writes "2026-11-21T16:31:00.123Z" (milliseconds) and returns text. Years outside 0000 to 9999, which only a
 * window around such a time can reach, get a sign and six digits. */
char *instant_format(int64_t instant_us, char text[INSTANT_TEXT_BYTES]);
/* The same with six digits. */
char *instant_format_us(int64_t instant_us, char text[INSTANT_TEXT_BYTES]);
/* Reads RFC 3339 with any offset and 0 to 9 fraction digits (upper-case T and Z as the States
 * Language asks). False when it is not one, or in UTC outside the years 0000 to 9999; *instant_us is then
 * unchanged. */
bool instant_parse(const char *text, size_t bytes, int64_t *instant_us);

#define INSTANT_MINUTE_BYTES 17 /* "2026-11-21T16:31:" */

/* The minute that was read last; zeroed: none. */
struct instant_minute {
    char text[INSTANT_MINUTE_BYTES];
    int64_t instant_us;
};
/* instant_parse for texts that mostly lie in the same minute of UTC as the one before. */
bool instant_parse_near(struct instant_minute *last, const char *text, size_t bytes,
                        int64_t *instant_us);

#endif
