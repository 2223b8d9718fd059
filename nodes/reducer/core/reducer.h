/* SPDX-License-Identifier: MIT */
/* reducer.h - the reducer's decisions: for each record of the topic whether it counts, is a repeat, is late
 * or cannot be understood, and which rows it changes. A pure function of the records and the stored state.
 *
 * Each partition is a state of its own: next offset, newest event time, last seq of each lane, rows of open
 * windows. reducer_record moves it; the runtime writes what changed (reducer_dirty_*) together with the
 * offsets in one transaction, and after a crash loads it again.
 *
 * Counted   A record counts in every aggregation whose filter it passes (event.h), in each of the windows that
 *           its time falls into.
 * Repeats   A record with lane and seq is a repeat when seq <= the last seq of that lane on its partition. A
 *           record without them counts once by its offset.
 * Late      Judged window by window, by the newest event time at lower offsets of the same partition, never by
 *           a clock. A record that came too late for one of its windows is a dead letter, and counts in
 *           the others all the same; rows for all time have no window to be late for.
 * Pruned    A window that ended by pruned_us of its aggregation is gone for good: a record for it is too late,
 *           whatever its partition has seen, since a new row would show a part of the window as if it were all.
 *
 * Owns      Everything it points to.
 * Threads   One.
 * Errors    None: a record that cannot be understood is a verdict with a reason.
 */
#ifndef REDUCER_CORE_REDUCER_H
#define REDUCER_CORE_REDUCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/aggregation.h"
#include "core/window.h"
#include "reducer/core/aggregate.h"

#define LANE_BYTES_MAX 40
#define LANES_MAX 65536 /* lanes of one partition; records of further ones are dead letters */
#define PARTITIONS_MAX 1024

struct reducer_lane {
    char name[LANE_BYTES_MAX + 1];
    size_t bytes; /* 0: free */
    uint64_t hash;
    int64_t last_seq;
    bool dirty;
};

struct reducer_slot {
    uint64_t hash;
    struct aggregate *row; /* NULL: free */
};

/* A window at or before loaded_us that was loaded. */
struct reducer_window {
    int aggregation;
    int64_t start_us;
};

struct reducer_partition {
    int32_t number;
    int64_t epoch;            /* of the assignment, given by the store */
    int64_t next_offset;      /* of the record to be read next */
    int64_t committed_offset; /* next_offset as the store will have it after the last snapshot */
    int64_t newest_us;        /* WINDOW_NO_TIME: no event yet */
    int64_t
        loaded_us; /* rows of windows that were open at this watermark are in memory; others must
                                 be loaded. WINDOW_NO_TIME: all are in memory */
    uint64_t counting; /* a bit for each aggregation that is counted here; all of them at first */
    bool dirty;
    struct reducer_slot *rows; /* open addressing */
    size_t rows_count, rows_capacity;
    size_t rows_made;           /* since the last sweep */
    struct reducer_lane *lanes; /* open addressing, name "" is free */
    size_t lanes_count, lanes_capacity;
    struct reducer_window *loaded;
    size_t loaded_count;
    int64_t swept_us; /* watermark at the last reducer_sweep */
};

/* The windows of one kind that the record's time falls into, the newest first. */
struct reducer_windows {
    uint64_t seen; /* the event it was made for */
    int64_t newest_us;
    int count;
    enum window_arrival arrivals[AGGREGATION_WINDOWS_MAX];
};

struct reducer {
    const struct aggregation_set *set;
    int64_t tolerance_us;
    int64_t sweep_us;                                     /* the shortest window */
    struct reducer_partition *partitions[PARTITIONS_MAX]; /* NULL: not ours */
    struct aggregate **dirty;                             /* rows changed since the last snapshot */
    size_t dirty_count, dirty_capacity;
    size_t rows_count;  /* of all partitions */
    struct event event; /* the last record */
    struct reducer_windows windows[AGGREGATIONS_MAX];
    int64_t pruned_us[AGGREGATIONS_MAX]; /* WINDOW_NO_TIME: nothing was */
    char reason[160];
};

struct reducer_record {
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    const char *key, *value;
    size_t key_bytes, value_bytes;
    const char *lane, *seq, *prev_seq; /* headers, NULL when absent */
    size_t lane_bytes, seq_bytes, prev_seq_bytes;
};

enum reducer_verdict {
    RECORD_COUNTED,
    RECORD_IGNORED, /* understood, and counts for nothing here */
    RECORD_LATE,    /* counted in a new revision */
    RECORD_REPEAT,
    RECORD_TOO_LATE,     /* dead letter; a window or more did not count it */
    RECORD_MALFORMED,    /* dead letter */
    RECORD_SKIPPED,      /* not ours, or an offset that was read before: nothing changed */
    RECORD_NEEDS_WINDOW, /* nothing changed: load the window, then give the record again */
};

struct reducer_outcome {
    enum reducer_verdict verdict;
    const char *reason; /* of a dead letter; valid until the next record */
    bool missing;       /* prev_seq proves that a record of the lane was never seen */
    int64_t seen_seq;   /* the lane's last number before it; 0: none */
    bool invalid;       /* it broke the rules of an aggregation that passes over such records */
    int aggregation;    /* RECORD_NEEDS_WINDOW: of this one, */
    int64_t window_start_us; /* this window */
};

/* The set must outlive the reducer. */
void reducer_init(struct reducer *reducer, const struct aggregation_set *set, int64_t tolerance_us);
void reducer_fini(struct reducer *reducer);

/* Takes a partition on with what is stored of it; then come reducer_load_lane and rows. */
struct reducer_partition *reducer_assign(struct reducer *reducer, int32_t partition, int64_t epoch,
                                         int64_t next_offset, int64_t newest_us, int64_t loaded_us);
void reducer_revoke(struct reducer *reducer, int32_t partition);
void reducer_load_lane(struct reducer_partition *partition, const char *lane, size_t bytes,
                       int64_t last_seq);
/* Records up to the offset are gone; whatever was read before them is committed. */
void reducer_pass_gap(struct reducer_partition *partition, int64_t offset);
/* Numbers of the lane up to this one are counted: goes into the next snapshot. A lower one changes nothing. */
void reducer_raise_lane(struct reducer_partition *partition, const char *lane, size_t bytes,
                        int64_t last_seq);
/* The row, made when it is new; the caller fills in what is stored. */
struct aggregate *reducer_row(struct reducer *reducer, struct reducer_partition *partition,
                              int aggregation, int64_t start_us, const char *group,
                              size_t group_bytes);
void reducer_window_loaded(struct reducer_partition *partition, int aggregation, int64_t start_us);

/* The row, NULL when there is none in memory. */
struct aggregate *reducer_find_row(struct reducer_partition *partition, int aggregation,
                                   int64_t start_us, const char *group, size_t group_bytes);

struct reducer_outcome reducer_record(struct reducer *reducer, const struct reducer_record *record);
/* Counts an event that the broker dropped before it was read: as a late one in all of its windows, which must
 * be in memory (else RECORD_NEEDS_WINDOW). Offsets, lanes and the newest event time stay. */
struct reducer_outcome reducer_missed(struct reducer *reducer, const struct reducer_record *record);
/* The row goes into the next snapshot. */
void reducer_mark(struct reducer *reducer, struct aggregate *row);

/* After dirty rows, lanes and partitions were copied into a transaction. */
void reducer_snapshot_taken(struct reducer *reducer);
/* Forgets rows of windows that no record of their partition can change any more. */
void reducer_sweep(struct reducer *reducer);

int64_t reducer_watermark(const struct reducer *reducer, const struct reducer_partition *partition);
/* What its header says; -1: none, or no number. */
int64_t reducer_record_seq(const struct reducer_record *record);
int64_t reducer_lane_seq(const struct reducer_partition *partition, const char *lane,
                         size_t bytes); /* -1: unknown */

#endif
