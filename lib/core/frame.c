/* SPDX-License-Identifier: MIT */
#include "core/frame.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2 /* blanks between columns */
#define BAR_MIN 1

static int width_of(const char *text) { return (int)utf8_characters(text, strlen(text)); }

/* At most `width` characters of the text, filled with blanks up to `fill`. */
static void append_cell(struct buffer *out, const char *text, int width, int fill)
{
    int written = 0;
    for (const char *p = text; *p != '\0'; p++) {
        bool begins = ((unsigned char)*p & 0xC0) != 0x80;
        if (begins && written == width)
            break;
        written += begins;
        buffer_append_char(out, *p);
    }
    for (; written < fill && written < width; written++)
        buffer_append_char(out, ' ');
}

static int smaller(int a, int b) { return a < b ? a : b; }

void frame_table(struct buffer *out, const char *const *cells, int columns, int rows, int width)
{
    int *widths = must_calloc((unsigned long)columns + 1, sizeof(*widths));
    for (int i = 0; i < columns * rows; i++) {
        int wide = width_of(cells[i]);
        widths[i % columns] = wide > widths[i % columns] ? wide : widths[i % columns];
    }
    for (int row = 0; row < rows; row++) {
        int left = width;
        for (int column = 0; column < columns && left > 0; column++) {
            bool last = column == columns - 1;
            append_cell(out, cells[row * columns + column], left,
                        last ? 0 : smaller(widths[column] + GAP, left));
            left -= widths[column] + GAP;
        }
        while (out->bytes > 0 && out->data[out->bytes - 1] == ' ')
            out->data[--out->bytes] = '\0';
        buffer_append_char(out, '\n');
    }
    free(widths);
}

void frame_number(double value, char text[32])
{
    if (value > -1e15 && value < 1e15 && value == floor(value))
        snprintf(text, 32, "%.0f", value);
    else
        snprintf(text, 32, "%.4g", value);
}

static void append_bar(struct buffer *out, int cells, int room, const char *colour,
                       const char *colour_end)
{
    buffer_append_text(out, colour);
    for (int i = 0; i < cells; i++)
        buffer_append_char(out, '#');
    buffer_append_text(out, colour_end);
    for (int i = cells; i < room; i++)
        buffer_append_char(out, ' ');
}

void frame_bars(struct buffer *out, const struct frame_bar *bars, int count, int width,
                const char *colour, const char *colour_end)
{
    int label = 0, number = 1;
    double largest = 0;
    char text[32];
    for (int i = 0; i < count; i++) {
        frame_number(bars[i].value, text);
        int wide = width_of(bars[i].label), digits = bars[i].known ? (int)strlen(text) : 1;
        label = wide > label ? wide : label;
        number = digits > number ? digits : number;
        if (bars[i].known && bars[i].value > largest)
            largest = bars[i].value;
    }
    label = smaller(label, width / FRAME_LABEL_SHARE);
    int room = width - label - number - 2 * GAP;
    for (int i = 0; i < count; i++) {
        bool drawn = bars[i].known && bars[i].value > 0 && room >= BAR_MIN;
        int cells = drawn ? (int)lround(bars[i].value / largest * room) : 0;
        frame_number(bars[i].value, text);
        append_cell(out, bars[i].label, label, label);
        if (room >= BAR_MIN) {
            buffer_append_text(out, "  ");
            append_bar(out, drawn && cells == 0 ? BAR_MIN : cells, room, colour, colour_end);
        }
        int left = room >= BAR_MIN ? number : smaller(number, width - label - GAP);
        buffer_append_text(out, left > 0 ? "  " : "");
        append_cell(out, bars[i].known ? text : "-", left > 0 ? left : 0, 0);
        buffer_append_char(out, '\n');
    }
}
