/* SPDX-License-Identifier: MIT */
#include "core/lane_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define PAGE_EVENTS 65536
#define MARK_NONE 0
#define MARK_ASKED 1 /* lane_check_expect has been there */

/* The last octets of an event id are those of a hash. */
static uint16_t mark_of(const struct uuid *event_id)
{
    uint16_t mark = (uint16_t)(event_id->octets[14] << 8 | event_id->octets[15]);
    return mark > MARK_ASKED ? mark : MARK_ASKED + 1;
}

static uint16_t *find(const struct lane_check *lane, int64_t seq)
{
    int64_t page = seq / PAGE_EVENTS;
    if (seq < 0 || page >= lane->pages_count || lane->pages[page] == NULL)
        return NULL;
    return &lane->pages[page][seq % PAGE_EVENTS];
}

static uint16_t *make(struct lane_check *lane, int64_t seq)
{
    int64_t page = seq / PAGE_EVENTS;
    if (page >= lane->pages_count) {
        int64_t count = lane->pages_count * 2 > page ? lane->pages_count * 2 : page + 1;
        lane->pages = must_realloc(lane->pages, (unsigned long)count * sizeof *lane->pages);
        for (int64_t i = lane->pages_count; i < count; i++)
            lane->pages[i] = NULL;
        lane->pages_count = count;
    }
    if (lane->pages[page] == NULL)
        lane->pages[page] = must_calloc(PAGE_EVENTS, sizeof **lane->pages);
    return &lane->pages[page][seq % PAGE_EVENTS];
}

enum lane_sight lane_check_saw(struct lane_check *lane, int32_t partition, int64_t seq,
                               const struct uuid *event_id)
{
    if (seq < 1 || seq >= LANE_CHECK_EVENTS_MAX || partition < 0 ||
        partition >= LANE_CHECK_PARTITIONS_MAX)
        return LANE_SIGHT_BEYOND;
    uint16_t *mark = make(lane, seq);
    if (*mark != MARK_NONE)
        return *mark == mark_of(event_id) ? LANE_SIGHT_REPEAT : LANE_SIGHT_DOUBLED;
    *mark = mark_of(event_id);
    lane->numbers++;
    if (lane->first_seq[partition] == 0)
        lane->first_seq[partition] = seq;
    if (seq < lane->last_seq[partition])
        return LANE_SIGHT_MISORDERED;
    lane->last_seq[partition] = seq;
    return LANE_SIGHT_FIRST;
}

enum lane_fit lane_check_expect(struct lane_check *lane, int64_t seq, const struct uuid *event_id)
{
    uint16_t *mark = find(lane, seq);
    if (mark == NULL || *mark == MARK_NONE)
        return LANE_FIT_MISSING;
    bool same = *mark == mark_of(event_id);
    if (*mark != MARK_ASKED)
        lane->numbers--;
    *mark = MARK_ASKED;
    return same ? LANE_FIT_SEEN : LANE_FIT_OTHER;
}

void lane_check_fini(struct lane_check *lane)
{
    for (int64_t i = 0; i < lane->pages_count; i++)
        free(lane->pages[i]);
    free(lane->pages);
    memset(lane, 0, sizeof *lane);
}
