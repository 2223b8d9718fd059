/* SPDX-License-Identifier: MIT */
/* store_rebuild.h - the reducer's store for a program that checks, repairs and completes what reducers have
 * counted while they run on.
 *
 * A picture is what is stored of one partition at one moment: rows are kept by partition, so nothing more is
 * needed to compare them with the records below the partition's offset. Who writes takes the partition over
 * first, as a reducer does that is given it: the running one is fenced at its next commit, joins again, takes
 * the partition back and loads what was written. When it is quicker, the write is refused (ERR_FENCED) and
 * may be tried again.
 *
 * Owns      Everything in it is the caller's, as noted.
 * Threads   One.
 * Errors    As store.h.
 */
#ifndef REDUCER_STORE_REBUILD_H
#define REDUCER_STORE_REBUILD_H

#include "reducer/store.h"

#define STORE_NOT_COUNTED INT64_MAX /* an aggregation has not begun in a partition */

/* How reducers count, as they wrote it down; a bit for each aggregation of the set. */
struct store_counted {
    uint64_t known; /* to a reducer; the others have no rows */
    uint64_t
        otherwise; /* counted by other settings before, so that the topic does not say what is right */
    struct store_settings settings; /* when any is known */
};
/* Instead of store_register and store_use_cluster: nothing is written. The windows of the set, which is the
 * store's, become those of the reducers. ERR_CONFIG: an aggregation counts otherwise than what is written down
 * under its name and version, or it is not known by which settings. */
enum error_code store_look_up(struct store *store, const char *cluster_id,
                              struct aggregation_set *set, struct store_counted *counted,
                              struct error *error) MUST_USE;

struct store_picture {
    int64_t next_offset;
    int64_t newest_us;  /* WINDOW_NO_TIME: none */
    int64_t earlier_us; /* newest event counted from other clusters; WINDOW_NO_TIME: none */
    int64_t
        before_gaps_us; /* newest event counted before a gap, filled or not; WINDOW_NO_TIME: none */
    int64_t begins[AGGREGATIONS_MAX]; /* offset from which each is counted; STORE_NOT_COUNTED */
    int64_t unknown_rows;             /* of aggregations or windows that are not loaded here */
    int64_t unfilled_gaps,
        unfilled_records; /* noted and not filled: records that are not counted */
};
/* Hands everything stored of the partition to the core, all of it of one moment. ERR_NOT_FOUND: no reducer has
 * had the partition. */
enum error_code store_picture(struct store *store, struct reducer *reducer, int32_t partition,
                              struct store_picture *picture, struct error *error) MUST_USE;
/* The offset from which each aggregation is counted in the partition, or STORE_NOT_COUNTED. */
enum error_code store_begins(struct store *store, int32_t partition,
                             int64_t begins[AGGREGATIONS_MAX], struct error *error) MUST_USE;
/* Where the partition stands now. */
enum error_code store_place(struct store *store, int32_t partition, int64_t *next_offset,
                            struct error *error) MUST_USE;

/* Raises the epoch. What store_snapshot takes of a reducer that holds the partition with this epoch, and with
 * next_offset as its committed one, can be committed until someone else takes the partition over. */
enum error_code store_take_over(struct store *store, int32_t partition,
                                struct store_assignment *assignment, struct error *error) MUST_USE;
/* A partition that was taken over, with its lanes, rows of all time, and windows that end after from_us. */
enum error_code store_load_from(struct store *store, struct reducer *reducer,
                                const struct store_assignment *assignment, int64_t from_us,
                                struct error *error) MUST_USE;

/* The values behind the stored row go in the next transaction, before the snapshot writes it anew; with `gone`
 * the row goes too. */
void store_replace(struct store *store, const struct aggregate *row, bool gone);
/* The gap is marked as filled in the next transaction, which fails when it was meanwhile, or has grown. All of one
 * transaction are of one partition. */
void store_fill_gap(struct store *store, int32_t partition, int64_t from_offset, int64_t to_offset,
                    int64_t events);
/* Whether the gap is noted with these bounds, and not filled. Asked for after store_take_over, the answer holds
 * until someone else takes the partition over. */
enum error_code store_gap_stands(struct store *store, int32_t partition, int64_t from_offset,
                                 int64_t to_offset, bool *stands, struct error *error) MUST_USE;
/* Nothing of the two above is in the next transaction. */
void store_forget_rebuilt(struct store *store);

/* Gaps of the cluster that are not filled, by partition and offset; a line for each lane: partition, from_offset,
 * to_offset, lane (null: there was none), last_seq. */
enum error_code store_gaps(struct store *store, struct postgres_rows **rows,
                           struct error *error) MUST_USE;
/* How many gaps were noted on other clusters and are not filled. */
enum error_code store_gaps_elsewhere(struct store *store, int64_t *count,
                                     struct error *error) MUST_USE;

#endif
