/* SPDX-License-Identifier: MIT */
/* aggregate.h - the whole state of one row: what was counted for (aggregation, window, group, partition), how
 * it is merged with the other partitions' rows, and the figures under their names. Pure.
 *
 * A row holds one cell for each cell of its definition (core/aggregation.h), in that order.
 *
 * Stored form: an octet ROW_CODEC_VERSION, an octet with the number of cells, then 16 octets a cell (count
 * and value, both big-endian; value an int64 or the bits of a double), which SQL can read; then for each
 * distinct, histogram, first and last cell a length (varint) and so many octets. A set of up to
 * INLINE_VALUES_MAX values stands there; a larger one is stored in pieces of its own.
 *
 * Owns      A row owns its group text, sets, histograms and texts; aggregate_free releases.
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
#include "core/aggregation.h"
#include "core/distinct.h"
#include "core/histogram.h"
#include "core/json.h"
#include "reducer/core/event.h"

#define ROW_CODEC_VERSION 2
#define ROW_HEAD_BYTES 2
#define ROW_CELL_BYTES 16
#define INLINE_VALUES_MAX 64 /* values of a set that are stored with their row */

/* Different values; see core/distinct.h. */
struct aggregate_set {
    struct distinct values;
    int32_t pieces; /* in the store; 0: the set is stored with its row */
};

/* The first or last value. */
struct aggregate_text {
    int64_t time_us;
    int64_t offset;
    int32_t partition;
    enum json_type type; /* JSON_ABSENT: none yet */
    size_t bytes;
    char data[AGGREGATION_TEXT_BYTES_MAX < 40 ? AGGREGATION_TEXT_BYTES_MAX : 40]; /* when it fits */
    char *longer;                                                                 /* else here */
};

struct aggregate_cell {
    int64_t
        count; /* events, or values seen; of a set: different values of this partition when stored */
    union {
        double number;
        int64_t whole;
        struct aggregate_set *set;
        struct histogram *histogram;
        struct aggregate_text *text;
    };
};

struct aggregate {
    const struct aggregation *definition;
    int32_t partition;
    int32_t revision; /* 1, and one more for each late event */
    int64_t start_us;
    int64_t end_us;  /* INT64_MAX when not windowed */
    int64_t events;  /* counted in it */
    uint64_t hash;   /* of the key */
    int64_t told_us; /* when window_updated was last said of it; 0: never */
    size_t group_bytes;
    char *group;       /* behind the cells */
    uint32_t bytes;    /* counted in struct reducer */
    uint32_t snapshot; /* the last one that it is part of */
    bool dirty;
    bool stored;  /* the store has it, or the snapshot under way brings it there */
    bool touched; /* since spilling came by */
    struct aggregate_cell cells[];
};

struct aggregate *aggregate_new(const struct aggregation_set *set,
                                const struct aggregation *definition, int32_t partition,
                                int64_t start_us, const char *group, size_t group_bytes) MUST_USE;
void aggregate_free(struct aggregate *row); /* NULL is fine */
/* What its cells hold is gone. */
void aggregate_clear(struct aggregate *row);
size_t aggregate_bytes(const struct aggregate *row); /* memory, with what the allocator adds */
/* Begin to fetch what counting the event read last will look at: first the row's sets, then what is in them.
 * For rows that were not looked at for a while the waiting is most of the work. */
void aggregate_prefetch_sets(const struct aggregate *row);
void aggregate_prefetch_values(const struct aggregate *row, struct event *event);
/* Counts the event read last. */
void aggregate_add(struct aggregate *row, struct event *event, bool late);
void aggregate_merge(struct aggregate *into, const struct aggregate *from);

void aggregate_encode(const struct aggregate *row, struct buffer *out);
/* Into a new row. False when the octets are not those of a row of this definition. */
bool aggregate_decode(struct aggregate *row, const void *data, size_t bytes) MUST_USE;

/* The set of a cell, made when there is none; NULL when the cell is of another kind. */
struct aggregate_set *aggregate_set_of(struct aggregate *row, int cell);

/* Whether the set is stored with its row. */
bool aggregate_set_is_inline(const struct aggregate_set *set);

/* The figures under their public names; keys of the group first. */
struct json *aggregate_values(const struct aggregation_set *set,
                              const struct aggregate *row) MUST_USE;
/* One measure; a number, text or null. */
struct json *aggregate_value(const struct aggregate *row, int measure) MUST_USE;
/* By name; NULL when the definition has no such measure. */
struct json *aggregate_value_named(const struct aggregate *row, const char *name) MUST_USE;

#endif
