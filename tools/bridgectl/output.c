/* SPDX-License-Identifier: MIT */
/* output.c - tables for people, JSON for scripts, a progress bar on a terminal. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl.h"
#include "io/clock.h"

#define PROGRESS_CELLS 30
#define PROGRESS_EVERY_US 100000

char *plain_text(const char *text)
{
    char *copy = must_strdup(text);
    for (unsigned char *p = (unsigned char *)copy; *p != '\0'; p++) {
        bool second_half = p[0] == 0xC2 && p[1] >= 0x80 && p[1] <= 0x9F; /* U+0080 to U+009F */
        if (*p < 0x20 || *p == 0x7F || second_half)
            *p = '?';
        if (second_half)
            *++p = '?';
    }
    return copy;
}

void table_start(struct table *table, int columns, const char *const *head)
{
    *table = (struct table){.columns = columns};
    for (int i = 0; i < columns; i++)
        table_cell(table, head[i]);
}

void table_cell(struct table *table, const char *text)
{
    text_list_add(&table->cells, plain_text(text != NULL && text[0] != '\0' ? text : "-"));
}

void table_cell_int(struct table *table, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    table_cell(table, text);
}

/* Characters, not octets: continuation octets of UTF-8 take no room. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static int column_width(const struct table *table, int column)
{
    int widest = 0;
    for (size_t i = (size_t)column; i < table->cells.count; i += (size_t)table->columns) {
        int width = width_of(table->cells.items[i]);
        widest = width > widest ? width : widest;
    }
    return widest;
}

void table_print(struct table *table, const struct ctl *ctl)
{
    int *widths = must_calloc((unsigned long)table->columns, sizeof *widths);
    for (int column = 0; column < table->columns; column++)
        widths[column] = column_width(table, column);
    for (size_t i = 0; i < table->cells.count; i++) {
        int column = (int)(i % (size_t)table->columns);
        bool last = column == table->columns - 1;
        const char *text = table->cells.items[i];
        const char *colour = i < (size_t)table->columns ? "" : state_colour(ctl, text);
        int padding = last ? 0 : widths[column] - width_of(text) + 2;
        printf("%s%s%s%*s%s", colour, text, colour[0] != '\0' ? colour_end(ctl) : "", padding, "",
               last ? "\n" : "");
    }
    free(widths);
    for (size_t i = 0; i < table->cells.count; i++)
        free((char *)(uintptr_t)table->cells.items[i]); /* the table's own copies */
    text_list_fini(&table->cells);
}

void print_json(const struct json *value)
{
    struct buffer text = {0};
    json_write(value, &text);
    puts(buffer_text(&text));
    buffer_fini(&text);
}

int fail(const struct error *error)
{
    return fail_text("%s", error->text[0] != '\0' ? error->text : error_code_text(error->code));
}

int fail_text(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char text[2 * ERROR_TEXT_BYTES];
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char *plain = plain_text(text);
    fprintf(stderr, "error: %s\n", plain);
    free(plain);
    return EXIT_NO;
}

const char *state_colour(const struct ctl *ctl, const char *state)
{
    static const char *const good[] = {"COMPLETED", "healthy", "ok", "applied", NULL};
    static const char *const bad[] = {"FAILED",  "unhealthy",   "missing",
                                      "changed", "unreachable", NULL};
    static const char *const between[] = {"PENDING",  "PROCESSING", "CANCELLED",
                                          "degraded", "pending",    NULL};
    static const struct {
        const char *const *names;
        const char *colour;
    } kinds[] = {{good, "\x1b[32m"}, {bad, "\x1b[31m"}, {between, "\x1b[33m"}};
    if (!ctl->colour)
        return "";
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++)
        for (const char *const *name = kinds[kind].names; *name != NULL; name++)
            if (strcmp(*name, state) == 0)
                return kinds[kind].colour;
    return "";
}

const char *colour_end(const struct ctl *ctl) { return ctl->colour ? "\x1b[0m" : ""; }

void progress_start(struct progress *progress, const struct ctl *ctl)
{
    *progress = (struct progress){.shown = ctl->progress, .started_us = clock_monotonic_us()};
}

void progress_draw(struct progress *progress, int64_t done, int64_t total, int64_t failed)
{
    int64_t now_us = clock_monotonic_us();
    if (!progress->shown || (done < total && now_us - progress->drawn_us < PROGRESS_EVERY_US))
        return;
    progress->drawn_us = now_us;
    double seconds = (double)(now_us - progress->started_us) / 1e6;
    int cells = total > 0 ? (int)(done * PROGRESS_CELLS / total) : PROGRESS_CELLS;
    char bar[PROGRESS_CELLS + 1];
    for (int i = 0; i < PROGRESS_CELLS; i++)
        bar[i] = i < cells ? '#' : '.';
    bar[PROGRESS_CELLS] = '\0';
    fprintf(stderr, "\r[%s] %" PRId64 "/%" PRId64 "  %.0f/s  %" PRId64 " failed \x1b[K", bar, done,
            total, seconds > 0 ? (double)done / seconds : 0.0, failed);
    fflush(stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        fputc('\n', stderr);
    progress->shown = false;
}
