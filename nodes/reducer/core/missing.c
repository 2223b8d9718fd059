/* SPDX-License-Identifier: MIT */
#include "reducer/core/missing.h"

#include <stdlib.h>
#include <string.h>

/* The lane, made when it is new; NULL when this is no name of one. */
static struct missing_lane *lane_of(struct missing *missing, const char *name, size_t bytes)
{
    if (bytes == 0 || bytes > LANE_BYTES_MAX || memchr(name, 0, bytes))
        return NULL;
    for (size_t i = 0; i < missing->count; i++) {
        struct missing_lane *lane = &missing->lanes[i];
        if (strlen(lane->name) == bytes && memcmp(lane->name, name, bytes) == 0)
            return lane;
    }
    if (missing->count == missing->capacity) {
        missing->capacity = missing->capacity ? missing->capacity * 2 : 32;
        missing->lanes = must_realloc(missing->lanes, missing->capacity * sizeof(*missing->lanes));
    }
    struct missing_lane *lane = &missing->lanes[missing->count++];
    *lane = (struct missing_lane){0};
    memcpy(lane->name, name, bytes);
    return lane;
}

void missing_before(struct missing *missing, const char *name, size_t bytes, int64_t seq)
{
    struct missing_lane *lane = lane_of(missing, name, bytes);
    if (lane && seq > lane->before)
        lane->before = seq;
}

void missing_after(struct missing *missing, const char *name, size_t bytes, int64_t seq)
{
    struct missing_lane *lane = lane_of(missing, name, bytes);
    if (lane && lane->after == 0)
        lane->after = seq;
}

void missing_published(struct missing *missing, const char *name, size_t bytes, int64_t published,
                       int64_t committed)
{
    struct missing_lane *lane = lane_of(missing, name, bytes);
    if (!lane)
        return;
    lane->published = published;
    lane->committed = committed;
}

bool missing_range(const struct missing_lane *lane, int64_t *first, int64_t *last)
{
    *first = lane->before + 1;
    *last = lane->after > 0 ? lane->after - 1 : lane->published;
    return *first <= *last;
}

bool missing_is_unsettled(const struct missing_lane *lane)
{
    return lane->after == 0 && lane->committed > lane->published && lane->committed > lane->before;
}

bool missing_is_renamed(const struct missing *missing, const struct missing_lane *lane)
{
    const char *shard = strrchr(lane->name, '.');
    for (size_t i = 0; shard && lane->before == 0 && i < missing->count; i++) {
        const struct missing_lane *other = &missing->lanes[i];
        const char *same = strrchr(other->name, '.');
        if (other != lane && same && strcmp(same, shard) == 0 &&
            (other->before > 0 || other->after > 0))
            return true;
    }
    return false;
}

void missing_fini(struct missing *missing)
{
    free(missing->lanes);
    *missing = (struct missing){0};
}
