/* SPDX-License-Identifier: MIT */
/* lane_check.h - which numbers of one lane a reader of the topic has seen, and whether they are the events that
 * the log has under these numbers. Pure.
 *
 * A lane's events carry numbers without gaps. On the topic they are spread over partitions; inside each, a number
 * that is seen for the first time is above all before it. A number seen again must be the same event: a repeat.
 *
 * Owns      Two octets for each event, in pages, at most LANE_CHECK_EVENTS_MAX events; zeroed is an empty lane;
 *           lane_check_fini releases.
 * Threads   One at a time.
 * Errors    lane_check_saw gives LANE_SIGHT_BEYOND for a number that is not kept. Of each event id 16 bits are
 *           kept: one wrong event in 65,535 is taken for the right one.
 */
#ifndef CORE_LANE_CHECK_H
#define CORE_LANE_CHECK_H

#include <stdint.h>

#include "base/uuid.h"

#define LANE_CHECK_EVENTS_MAX (INT64_C(1) << 28) /* of one lane: 512 MiB */
#define LANE_CHECK_PARTITIONS_MAX 1024

struct lane_check {
    uint16_t **pages;
    int64_t pages_count;
    int64_t first_seq[LANE_CHECK_PARTITIONS_MAX]; /* seen on each partition; 0: none yet */
    int64_t last_seq[LANE_CHECK_PARTITIONS_MAX];
    int64_t numbers; /* that were seen and that no lane_check_expect has asked for */
};

enum lane_sight {
    LANE_SIGHT_FIRST,      /* new, and above all before it on its partition */
    LANE_SIGHT_REPEAT,     /* the same event again */
    LANE_SIGHT_MISORDERED, /* new, and below one before it: a reader takes it for a repeat */
    LANE_SIGHT_DOUBLED,    /* another event under this number */
    LANE_SIGHT_BEYOND,
};
enum lane_sight lane_check_saw(struct lane_check *lane, int32_t partition, int64_t seq,
                               const struct uuid *event_id);

enum lane_fit {
    LANE_FIT_SEEN,
    LANE_FIT_MISSING,
    LANE_FIT_OTHER, /* another event was seen under this number */
};
/* What the log says. Each number is asked for once; it is not counted in `numbers` any more. */
enum lane_fit lane_check_expect(struct lane_check *lane, int64_t seq, const struct uuid *event_id);

void lane_check_fini(struct lane_check *lane);

#endif
