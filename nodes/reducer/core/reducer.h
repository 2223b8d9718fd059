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
 * Memory    Rows above a bound leave it when they are committed and were not touched for longest: they are
 *           whole in the store. What has left is known by its hash, so only a record of such a group must
 *           wait until its rows are loaded (RECORD_NEEDS_ROWS).
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
#include "reducer/core/key_set.h"

#define LANE_BYTES_MAX 40
#define LANES_MAX 65536 /* lanes of one partition; records of further ones are dead letters */
#define PARTITIONS_MAX 1024
#define WANTED_MAX 8192                  /* rows that are loaded at once, or a few more */
#define GROUP_OF_OTHERS "(other groups)" /* counts what comes after reducer_bounds.groups */

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

/* Zero: no bound. */
struct reducer_bounds {
    size_t rows_bytes; /* of all rows in memory */
    size_t groups; /* of an aggregation in one window on one partition; later ones count together */
};

/* The groups of an aggregation in one window on one partition. */
struct reducer_groups {
    int aggregation;
    int64_t start_us;
    size_t here;         /* rows in memory */
    size_t away;         /* rows that are in the store alone */
    struct key_set left; /* rows that ever left memory; empty when none is away */
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
    uint64_t
        judging; /* further ones that may make dead letters: they were counted elsewhere; none at first */
    bool dirty;
    struct reducer_slot *rows; /* open addressing */
    size_t rows_count, rows_capacity;
    size_t rows_made;               /* since the last sweep */
    struct reducer_groups **groups; /* open addressing */
    size_t groups_count, groups_capacity;
    struct reducer_groups *latest[AGGREGATIONS_MAX]; /* looked at last; NULL: none */
    size_t away;                                     /* rows that are in the store alone */
    size_t hand;                                     /* the slot where spilling goes on */
    struct reducer_lane *lanes;                      /* open addressing, name "" is free */
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
    size_t rows_count;            /* of all partitions */
    size_t rows_bytes, rows_away; /* likewise */
    struct reducer_bounds bounds;
    uint32_t snapshot, snapshot_stored; /* numbers of the last ones */
    int32_t spill_partition;            /* where spilling goes on */
    uint64_t spilled, loaded,
        others; /* rows that left and came back; rows' events in GROUP_OF_OTHERS */
    struct {
        char text[AGGREGATION_KEYS_MAX * (sizeof(GROUP_OF_OTHERS) + 2) + 2];
        size_t bytes;
        uint64_t hash;
    } group_of_others[AGGREGATION_KEYS_MAX + 1]; /* by the number of keys */
    struct event event;                          /* the last record */
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
    const struct event_value *values; /* what event_scan found in it, NULL when nobody scanned it */
    const char *fault;                /* what it said */
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
    RECORD_NEEDS_ROWS,   /* nothing changed: load what reducer_want says, then give it again */
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

/* Rows that must come back: in memory already, and empty until the store fills them. */
struct reducer_wanted {
    struct aggregate **rows;
    size_t count, capacity;
};
void reducer_wanted_add(struct reducer_wanted *wanted, struct aggregate *row);

/* The set must outlive the reducer. Bounds are set after it. */
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
/* What was loaded of a window so far is dropped; nothing of it is dirty. */
void reducer_forget_window(struct reducer *reducer, struct reducer_partition *partition,
                           int aggregation, int64_t start_us);
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

/* Adds the rows that a record to come needs and that are away, so that those of many records are loaded
 * together. False when there are enough. All of them must be filled before the next record is given. */
bool reducer_want(struct reducer *reducer, const struct reducer_record *record,
                  struct reducer_wanted *wanted);
/* A row has other cells than when its memory was last counted. */
void reducer_row_filled(struct reducer *reducer, struct aggregate *row);
/* A wanted row was found in the store and filled. */
void reducer_row_back(struct reducer *reducer, struct aggregate *row);
/* A row that is in the store and is not loaded. */
void reducer_row_away(struct reducer *reducer, struct reducer_partition *partition, int aggregation,
                      int64_t start_us, const char *group, size_t group_bytes);
bool reducer_has_room(const struct reducer *reducer);
/* Lets rows leave memory that are committed and were not touched lately, some at a time. */
void reducer_spill(struct reducer *reducer);

/* After dirty rows, lanes and partitions were copied into a transaction. */
void reducer_snapshot_taken(struct reducer *reducer);
/* The snapshot taken last is in the store. */
void reducer_snapshot_stored(struct reducer *reducer);
/* Forgets rows of windows that no record of their partition can change any more. */
void reducer_sweep(struct reducer *reducer);

/* Whether records of the partition can still change the window; false for rows of all time. */
bool reducer_is_open(const struct reducer *reducer, const struct reducer_partition *partition,
                     const struct reducer_groups *groups);
int64_t reducer_watermark(const struct reducer *reducer, const struct reducer_partition *partition);
/* What its header says; -1: none, or no number. */
int64_t reducer_record_seq(const struct reducer_record *record);
int64_t reducer_lane_seq(const struct reducer_partition *partition, const char *lane,
                         size_t bytes); /* -1: unknown */

#endif
