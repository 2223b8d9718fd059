/* SPDX-License-Identifier: MIT */
/* store_internal.h - what store.c and store_load.c share. */
#ifndef REDUCER_STORE_INTERNAL_H
#define REDUCER_STORE_INTERNAL_H

#include "reducer/store.h"

enum {
    FENCE_COLUMNS = 7,
    LANE_COLUMNS = 4,
    ROW_COLUMNS = 9,
    DROP_COLUMNS = 6,
    ADD_COLUMNS = 8,
    MESSAGE_COLUMNS = 5
};

struct store {
    struct postgres *write;
    struct postgres *load;
    char *topic;
    char *instance;
    char *cluster_id;
    const struct aggregation_set *set;
    int32_t ids[AGGREGATIONS_MAX]; /* of the set's definitions in aggregation_definitions */
    bool registered;
    /* The snapshot: parameters of the statements of one transaction. */
    struct postgres_value fence[FENCE_COLUMNS];
    struct postgres_value lanes[LANE_COLUMNS];
    struct postgres_value rows[ROW_COLUMNS];
    struct postgres_value drops[DROP_COLUMNS];
    struct postgres_value adds[ADD_COLUMNS];
    struct postgres_value messages[MESSAGE_COLUMNS];
    /* One partition of the snapshot: where it stands tells whether the snapshot was committed. */
    int32_t probe_partition;
    int64_t probe_epoch, probe_before, probe_after;
    struct postgres_value next_messages[MESSAGE_COLUMNS]; /* of the snapshot to come */
    struct buffer scratch;
};

#endif
