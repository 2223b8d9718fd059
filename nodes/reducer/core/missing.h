/* SPDX-License-Identifier: MIT */
/* missing.h - which numbers of which lanes were in a gap: records of a partition that the broker dropped
 * before they were counted. Pure.
 *
 * Of each lane is known the last number counted before the gap, the number of the first record after it
 * (later ones of the lane are counted, or repeats), and how far the lane was published. What lies between the
 * first two was in the gap; of a lane that shows no record after it, what lies between the first and the
 * third. A lane's records are spread over all partitions: of the range, those belong that have a key of this
 * one.
 *
 * Owns      Its memory; zeroed is empty; missing_fini releases.
 * Threads   One at a time.
 */
#ifndef REDUCER_CORE_MISSING_H
#define REDUCER_CORE_MISSING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reducer/core/reducer.h"

struct missing_lane {
    char name[LANE_BYTES_MAX + 1];
    int64_t before;    /* last number counted before the gap; 0: none */
    int64_t after;     /* number of the first record after it; 0: none was seen */
    int64_t published; /* 0: not known */
    int64_t committed; /* last number that the lane has given to an event; 0: not known */
};

struct missing {
    struct missing_lane *lanes;
    size_t count, capacity;
};

/* Names of more than LANE_BYTES_MAX octets are no lanes and are passed over. */
void missing_before(struct missing *missing, const char *lane, size_t bytes, int64_t seq);
void missing_after(struct missing *missing, const char *lane, size_t bytes, int64_t seq);
void missing_published(struct missing *missing, const char *lane, size_t bytes, int64_t published,
                       int64_t committed);
/* The numbers from *first to *last were in the gap, as far as their keys belong to the partition. False: none. */
bool missing_range(const struct missing_lane *lane, int64_t *first, int64_t *last);
/* True when some of the lane's events are recorded and not known to be published, and no record after the
 * gap tells: they may be in the gap or still to come. */
bool missing_is_unsettled(const struct missing_lane *lane);
/* True when the lane has no number before the gap, and another one of its shard (what stands behind the dot of
 * "incarnation.shard") has one before or after it: a database that was restored goes on under a new name, and where
 * the new lane began is not known. */
bool missing_is_renamed(const struct missing *missing, const struct missing_lane *lane);
void missing_fini(struct missing *missing);

#endif
