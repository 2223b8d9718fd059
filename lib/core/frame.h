/* SPDX-License-Identifier: MIT */
/* frame.h - tables and bars as lines of text for a terminal of so many columns. Pure.
 *
 * Texts must be without control characters. Widths count characters: octets of UTF-8 that go on take no room.
 * A line is never wider than asked; every line ends with a newline.
 */
#ifndef CORE_FRAME_H
#define CORE_FRAME_H

#include <stdbool.h>

#include "base/buffer.h"

#define FRAME_LABEL_SHARE 2 /* labels take at most the width divided by this */

struct frame_bar {
    const char *label;
    bool known; /* else a dash stands for the value */
    double value;
};

/* Cells row by row, the head first; columns are aligned, and what goes beyond the width is cut. */
void frame_table(struct buffer *out, const char *const *cells, int columns, int rows, int width);
/* One line for each: label, bar, value. The longest bar is that of the largest value; values below 0 have
 * none. `colour` and `colour_end` stand around the bar and take no room; "" for none. */
void frame_bars(struct buffer *out, const struct frame_bar *bars, int count, int width,
                const char *colour, const char *colour_end);
/* The number without a useless fraction: "12", "0.25", "1.5e+12". */
void frame_number(double value, char text[32]);

#endif
