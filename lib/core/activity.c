/* SPDX-License-Identifier: MIT */
#include "core/activity.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

void activity_init(struct activity *activity, int rows, int64_t from_us, int64_t to_us)
{
    BUG_IF(rows < 1 || to_us < from_us);
    int64_t span_us = to_us - from_us + 1, pieces_max = ACTIVITY_CELLS_MAX / rows - 1;
    int64_t piece_us = (span_us + pieces_max - 1) / pieces_max;
    *activity = (struct activity){.from_us = from_us, .rows = rows};
    activity->piece_us = piece_us > ACTIVITY_PIECE_US_MIN ? piece_us : ACTIVITY_PIECE_US_MIN;
    activity->pieces = (span_us + activity->piece_us - 1) / activity->piece_us;
    unsigned long cells = (unsigned long)rows * (unsigned long)(activity->pieces + 1);
    activity->moved = must_calloc(cells, sizeof *activity->moved);
    activity->alive = must_calloc(cells, sizeof *activity->alive);
}

void activity_fini(struct activity *activity)
{
    free(activity->moved);
    free(activity->alive);
    memset(activity, 0, sizeof *activity);
}

/* What lies outside belongs to the first or the last piece. */
static int64_t piece_of(const struct activity *activity, int64_t at_us)
{
    if (at_us < activity->from_us)
        return 0;
    int64_t piece = (at_us - activity->from_us) / activity->piece_us;
    return piece < activity->pieces ? piece : activity->pieces - 1;
}

static int64_t cell(const struct activity *activity, int row, int64_t piece)
{
    return row * (activity->pieces + 1) + piece;
}

void activity_moved(struct activity *activity, int row, int64_t at_us)
{
    activity->moved[cell(activity, row, piece_of(activity, at_us))] = 1;
}

void activity_lived(struct activity *activity, int row, int64_t from_us, int64_t until_us)
{
    int64_t until = until_us == INT64_MAX ? activity->pieces : piece_of(activity, until_us) + 1;
    activity->alive[cell(activity, row, piece_of(activity, from_us))]++;
    activity->alive[cell(activity, row, until)]--;
}

void activity_close(struct activity *activity)
{
    for (int row = 0; row < activity->rows; row++)
        for (int64_t piece = 1; piece <= activity->pieces; piece++)
            activity->alive[cell(activity, row, piece)] +=
                activity->alive[cell(activity, row, piece - 1)];
}

/* In a piece: whether any row moved, whether anything was alive. */
static void look(const struct activity *activity, int64_t piece, bool *moved, bool *alive)
{
    *moved = *alive = false;
    for (int row = 0; row < activity->rows; row++) {
        *moved = *moved || activity->moved[cell(activity, row, piece)];
        *alive = *alive || activity->alive[cell(activity, row, piece)] > 0;
    }
}

int64_t activity_longest_gap(const struct activity *activity, int64_t *from_us)
{
    int64_t longest = 0, begin = 0;
    *from_us = activity->from_us;
    for (int64_t piece = 0; piece <= activity->pieces; piece++) {
        bool moved = true, alive = false;
        if (piece < activity->pieces)
            look(activity, piece, &moved, &alive);
        if (!moved && alive)
            continue;
        if (piece - begin > longest) {
            longest = piece - begin;
            *from_us = activity->from_us + begin * activity->piece_us;
        }
        begin = piece + 1;
    }
    return longest * activity->piece_us;
}

int64_t activity_recovery(const struct activity *activity, int64_t at_us)
{
    int64_t first = piece_of(activity, at_us), slowest = -1;
    for (int row = 0; row < activity->rows; row++) {
        int64_t piece = first + 1;
        if (activity->alive[cell(activity, row, first)] <= 0)
            continue;
        while (piece < activity->pieces && !activity->moved[cell(activity, row, piece)])
            piece++;
        if (piece >= activity->pieces)
            return -1;
        slowest = piece - first > slowest ? piece - first : slowest;
    }
    return slowest < 0 ? -1 : slowest * activity->piece_us;
}
