/* SPDX-License-Identifier: MIT */
/* rebuild.h - what the files of `bridgectl rebuild` share: the rows of the reducers held against the records
 * of the topic, and written anew from them or from the transition log.
 *
 *     rebuild.c         the command: opens everything, goes through the partitions, tells
 *     rebuild_count.c   reads a partition of the topic; counts it as a reducer would
 *     rebuild_compare.c which rows can be compared, and which differ
 *     rebuild_repair.c  writes the ones that differ
 *     rebuild_gaps.c    counts what the broker dropped, from the transition log
 *
 * Owns      rebuild.c owns struct rebuild. A partition's rows are in memory twice while it is looked at, one
 *           partition at a time.
 * Threads   The main thread.
 */
#ifndef BRIDGECTL_REBUILD_H
#define BRIDGECTL_REBUILD_H

#include "bridgectl.h"
#include "core/aggregation.h"
#include "io/kafka_consumer.h"
#include "reducer/core/compare.h"
#include "reducer/core/reducer.h"
#include "reducer/store_rebuild.h"

#define REBUILD_TRIES_MAX 20 /* of one partition, when a reducer or the broker was quicker */

/* What is told in the end. */
struct rebuild_report {
    int64_t records;      /* read */
    int64_t rows;         /* compared */
    int64_t differences;  /* rows that differ */
    int64_t repaired;     /* rows */
    int64_t kept;         /* doubtful rows that a repair left alone */
    int64_t dropped_rows; /* not compared: records that may have counted in them are gone */
    int64_t pruned_rows;  /* of the topic, and no longer kept by the retention */
    int64_t
        uncounted; /* aggregations of partitions that reducers have not begun, or not caught up with */
    int64_t unknown_rows;     /* of aggregations or windows that are not loaded here */
    int64_t unfilled_records; /* in noted gaps, counted nowhere */
    int64_t unread;           /* partitions that no reducer has had */
    struct json *first;       /* the first difference */
    struct json *gaps;        /* of --fill-gaps */
    bool gaps_left;
};

struct rebuild {
    const struct ctl *ctl;
    struct aggregation_set *set;
    struct store *store;
    struct store_counted counted; /* how the reducers count */
    struct kafka_consumer *consumer;
    char *database_url;
    char *cluster_id;
    int32_t partitions;
    int only; /* this aggregation; -1: all */
    int64_t
        from_us; /* windows that begin here or later; WINDOW_NO_TIME: all, and rows of all time */
    bool repairs;
    bool accepts; /* gaps of which not everything can be counted; doubtful rows */
    struct progress progress;
    int64_t done, total; /* records, for the progress */
    struct rebuild_report report;
};

/* A partition as it is stored, and as its records say. */
struct rebuild_partition {
    int32_t number;
    struct store_picture picture;
    struct reducer stored, counted;
    int64_t first_offset; /* that the broker has */
    int64_t early_us;     /* newest of the first events that were read; WINDOW_NO_TIME: none */
    int64_t early_count;  /* of those */
};

/* -- rebuild.c, for `bridgectl audit` too -- */

/* Topic, consumer, cluster id and number of partitions. ERR_NOT_FOUND: there is no topic. */
enum error_code rebuild_open_topic(struct rebuild *rebuild, struct error *error) MUST_USE;
/* The rest: schema, files, the reducers' store. ERR_NOT_FOUND: no reducer has counted by these files. */
enum error_code rebuild_open(struct rebuild *rebuild, struct error *error) MUST_USE;
void rebuild_close(struct rebuild *rebuild);
/* Compares all rows; mends them when rebuild->repairs. */
enum error_code rebuild_look_at_all(struct rebuild *rebuild, struct error *error) MUST_USE;

/* -- rebuild_count.c -- */

/* Empty, with the reducers' settings; nothing leaves its memory. */
void rebuild_reducer_init(const struct rebuild *rebuild, struct reducer *reducer);
typedef void rebuild_take(void *context, const struct reducer_record *record);
/* Gives the records from one offset up to before another. ERR_CONFLICT: the broker dropped some meanwhile. */
enum error_code rebuild_read(struct rebuild *rebuild, int32_t partition, int64_t from, int64_t to,
                             rebuild_take *take, void *context, struct error *error) MUST_USE;
/* A picture, and the topic's records counted up to it. */
enum error_code rebuild_count(struct rebuild *rebuild, struct rebuild_partition *partition,
                              int32_t number, struct error *error) MUST_USE;
/* Counts on, up to an offset that a reducer has reached since. */
enum error_code rebuild_count_on(struct rebuild *rebuild, struct rebuild_partition *partition,
                                 int64_t to, struct error *error) MUST_USE;
void rebuild_partition_fini(struct rebuild_partition *partition);
/* First and last record that counted into the row; -1 when there is none. */
enum error_code rebuild_offsets(struct rebuild *rebuild, const struct rebuild_partition *partition,
                                const struct aggregate *row, int64_t *first, int64_t *last,
                                struct error *error) MUST_USE;

/* -- rebuild_compare.c -- */

/* A key whose rows differ; one of the two may be NULL. */
struct rebuild_pair {
    const struct aggregate *counted, *stored;
    bool doubtful; /* it, or a later row, would lose events whose records may be gone */
};
struct rebuild_pairs {
    struct rebuild_pair *items; /* by start of the window, aggregation, group */
    size_t count, capacity;
};
void rebuild_compare(struct rebuild *rebuild, const struct rebuild_partition *partition,
                     struct rebuild_pairs *pairs);
void rebuild_pairs_fini(struct rebuild_pairs *pairs);
/* Aggregation, window, group, partition, field and both values of the first pair. */
struct json *rebuild_describe(const struct rebuild_pair *pair) MUST_USE;

/* -- rebuild_repair.c -- */

/* ERR_FENCED: a reducer was quicker; the partition is to be counted again. */
enum error_code rebuild_repair(struct rebuild *rebuild, struct rebuild_partition *partition,
                               const struct rebuild_pairs *pairs, struct error *error) MUST_USE;

/* -- rebuild_gaps.c -- */

enum error_code rebuild_fill_gaps(struct rebuild *rebuild, struct error *error) MUST_USE;

#endif
