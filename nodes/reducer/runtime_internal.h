/* SPDX-License-Identifier: MIT */
/* runtime_internal.h - what runtime.c, runtime_group.c and runtime_records.c share. */
#ifndef REDUCER_RUNTIME_INTERNAL_H
#define REDUCER_RUNTIME_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/uuid.h"
#include "io/kafka_consumer.h"
#include "reducer/core/reducer.h"
#include "reducer/reading.h"
#include "reducer/runtime.h"
#include "reducer/store.h"

#define RETRY_FIRST_MS 50 /* after a failed transaction or a broker that does not answer */
#define RETRY_MAX_MS 2000
#define FLUSH_WAIT_MS 3000 /* longest wait for the database before a partition is given up */
#define BROKER_ASKS 3      /* so often it is asked before it counts as away, */
#define BROKER_ASK_MS 1000 /* so long each time; a stop comes in between */
#define TICK_MS 1000
#define DESERTED_FIRST_MS 10000 /* after a move of the group, longer than a session lasts */
#define DESERTED_MAX_MS 300000

enum idle_note {
    IDLE_NOT_NOTED,
    IDLE_NOTED,  /* in the database: other reducers do not wait for the partition */
    IDLE_ENDING, /* the snapshot under way takes it back */
};

struct runtime {
    struct runtime_options options;
    struct reducer reducer;
    struct store *store;
    struct reducer_wanted wanted; /* rows that are being loaded */
    struct kafka_consumer *consumer;
    struct reading *reading;
    char *topic, *dead_letter_topic, *instance_id;
    pthread_t thread;
    int kafka_fd; /* eventfd: something to consume */
    int wake_fd;  /* eventfd: stop, or someone waits for a commit */
    atomic_bool stopping;
    atomic_int waiters;

    /* Batches. */
    int64_t gathered; /* records since the last snapshot */
    int64_t gathered_since_us;
    int64_t lag;        /* records of our partitions not read yet, looked at with each tick */
    int64_t per_second; /* records that the last batch counted in a second */
    bool in_flight;
    bool resend; /* the snapshot's fate is to be asked for, then perhaps sent again */
    int64_t in_flight_events;
    int64_t in_flight_since_us, sent_at_us;
    int64_t retry_at_us;
    int retry_ms;
    bool wants_write;
    bool paused;
    bool restart; /* the consumer must be made anew */
    bool
        displaced; /* another process has our instance id: we go on as a member without a place of its own */

    /* The reducer's own events: an aggregation lasts from joining the group to leaving it. */
    char aggregation_id[UUID_TEXT_BYTES]; /* "" before its first batch */
    int64_t aggregation_since_us, told_at_us;
    int64_t batches, items, told_items;

    /* Partitions. */
    int64_t quiet_since_us[PARTITIONS_MAX]; /* monotonic time of the last record or assignment */
    enum idle_note idle[PARTITIONS_MAX];
    int64_t stepped_at_us;             /* the last step of the loop */
    uint64_t passed[PARTITIONS_MAX];   /* batches up to this one were read before the last seek */
    int64_t hole_end[PARTITIONS_MAX];  /* offset after a hole that was looked at twice; 0: none */
    bool out_of_range[PARTITIONS_MAX]; /* the broker no longer has the record to be read next */
    bool any_out_of_range;
    int64_t gaps_count_at_us;
    bool finals_fail;                 /* the database did not take the last ones */
    uint64_t progress_commits;        /* commits that the group was told of */
    struct backfill *backfill;        /* counts the past of new aggregations; NULL: nothing to do */
    uint64_t pending[PARTITIONS_MAX]; /* a bit for each aggregation whose past is not counted yet */
    bool windows_open;                /* some windows may not be final */
    int64_t tick_at_us, finalize_at_us;
    int64_t note_idle_at_us; /* the same while none is open: people ask which partitions are idle */
    int64_t deserted_at_us;  /* when to look for partitions that nobody took; INT64_MAX: not now */
    int deserted_ms;

    /* Shown to other threads. */
    pthread_mutex_t lock;
    pthread_cond_t committed;
    uint64_t commits;
    struct runtime_status status;
    char cluster_id[128];
    atomic_int partitions;
};

/* runtime_group.c */
enum error_code runtime_open(struct runtime *runtime, struct error *error) MUST_USE;
void runtime_close(struct runtime *runtime);
void runtime_rebalance(struct runtime *runtime);
void runtime_tick(struct runtime *runtime, int64_t now_us);
void runtime_report_progress(struct runtime *runtime);
void runtime_restart_quiet(struct runtime *runtime, int64_t now_us);
/* Around a snapshot: partitions with records in it are idle no more once it is committed. */
void runtime_end_idle(struct runtime *runtime);
void runtime_idle_ended(struct runtime *runtime);

/* runtime_gaps.c */
/* Where reading goes on: what the broker dropped unread is a gap, written down and skipped; a topic that is
 * shorter than what was read was made anew and is read from its start. */
enum error_code runtime_place(struct runtime *runtime, struct store_assignment *assignments,
                              int count, struct error *error) MUST_USE;
/* The same for partitions that met a gap while they were read, as soon as what came before is committed. */
void runtime_pass_gaps(struct runtime *runtime);
/* Asks for the gaps that nobody has filled, which also tells whether the database is there. */
void runtime_count_gaps(struct runtime *runtime, int64_t now_us);
void runtime_tell_lane_gap(const struct reducer_record *record,
                           const struct reducer_outcome *outcome);
/* False when the broker came back as another cluster, whose offsets begin again: the consumer is made anew. */
bool runtime_same_cluster(struct runtime *runtime);

/* runtime_past.c */
void runtime_start_past(struct runtime *runtime);
void runtime_follow_past(struct runtime *runtime);

/* runtime_memory.c: rows leave memory, and gauges show what is there */
void runtime_let_go(struct runtime *runtime);
bool runtime_is_full(const struct runtime *runtime); /* nothing more is read before a commit */
void runtime_show_memory(struct runtime *runtime);

/* runtime_records.c */
void runtime_take_batch(struct runtime *runtime, const struct reading_batch *batch);

/* runtime_events.c: messages for the next snapshot */
void runtime_tell_updates(struct runtime *runtime, int64_t now_us);
void runtime_tell_batch(struct runtime *runtime, int64_t now_us);
void runtime_tell_failure(struct runtime *runtime, const struct error *error);
bool runtime_tell_end(struct runtime *runtime); /* true when there is a message to commit */

/* runtime.c */
bool runtime_is_far_behind(const struct runtime *runtime);
bool runtime_flush(struct runtime *runtime, int timeout_ms); /* everything gathered is committed */
void runtime_broker_state(struct runtime *runtime, bool fine, const char *detail);
void runtime_database_state(struct runtime *runtime, bool fine, const char *detail);
void runtime_pause_ms(struct runtime *runtime, int ms); /* sleeps unless the stop comes */

#endif
