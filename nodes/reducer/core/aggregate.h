/* SPDX-License-Identifier: MIT */
/* aggregate.h - the whole state of one row: what was counted for (type, window, group, partition), how it is
 * merged with the other partitions' rows, and the names under which its figures are shown. Pure.
 *
 * A new aggregation type is a line in the table of aggregate.c: its name, what it groups by and what it
 * measures.
 *
 * Owns      A row owns its group text, sets and histogram; aggregate_fini releases.
 * Threads   One at a time per row.
 * Units     *_us microseconds since 1970 UTC, *_ms milliseconds, *_bytes octets.
 */
#ifndef REDUCER_CORE_AGGREGATE_H
#define REDUCER_CORE_AGGREGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "core/distinct.h"
#include "core/histogram.h"
#include "core/json.h"
#include "reducer/core/event.h"

enum aggregation_type { AGGREGATION_NAMESPACE, AGGREGATION_TIME_WINDOW, AGGREGATION_NAMESPACE_TOTAL, AGGREGATION_TYPES };
enum aggregate_set { SET_FILE_HASHES, SET_WORKFLOWS, SET_FILE_TYPES, AGGREGATE_SETS };

struct aggregation {
    const char *name;
    bool windowed; /* else one row for all time, window_start 0 */
    bool by_namespace;
    bool sets;    /* counts distinct values */
    bool latency; /* keeps a histogram of processing times */
};
extern const struct aggregation aggregations[AGGREGATION_TYPES];
/* AGGREGATION_TYPES when there is no such name. */
enum aggregation_type aggregation_by_name(const char *name, size_t bytes);

struct aggregate {
    enum aggregation_type type;
    int32_t partition;
    int64_t start_us;
    int64_t end_us; /* INT64_MAX when not windowed */
    char *group;
    size_t group_bytes;
    uint64_t hash; /* of the key */
    int64_t stamps;
    int64_t size_bytes;
    int64_t latency_count;
    double latency_sum_ms;
    int64_t first_us;
    int64_t last_us;
    int32_t revision; /* 1, and one more for each late event */
    struct histogram latency;
    struct distinct sets[AGGREGATE_SETS];
    int32_t chunks[AGGREGATE_SETS]; /* pieces of each set in the store */
    bool dirty;
};

void aggregate_init(struct aggregate *row, enum aggregation_type type, int32_t partition, int64_t start_us, int64_t end_us,
                    const char *group, size_t group_bytes);
void aggregate_fini(struct aggregate *row);
void aggregate_add(struct aggregate *row, const struct event *event, bool late);
void aggregate_merge(struct aggregate *into, const struct aggregate *from);

/* What does not fit plain columns: the histogram. The sets are stored in pieces of their own. */
void aggregate_encode(const struct aggregate *row, struct buffer *out);
bool aggregate_decode(struct aggregate *row, const void *data, size_t bytes) MUST_USE;

/* The figures under their public names. */
struct json *aggregate_values(const struct aggregate *row) MUST_USE;

#endif
