/* SPDX-License-Identifier: MIT */
/* store.h - what the reducer keeps in PostgreSQL: offsets, lanes, rows, dead letters, all in one transaction.
 *
 * store_snapshot copies what changed into arrays; store_send starts the transaction without waiting, and
 * the same arrays are sent again after a lost connection, so the core may go on meanwhile.
 *
 * Owns      Two connections: one for the transaction in flight, one for loading.
 * Threads   One.
 * Errors    ERR_FENCED: a partition of the snapshot belongs to someone else. ERR_DATABASE,
 *           ERR_OUTCOME_UNKNOWN: ask store_outcome before sending again.
 */
#ifndef REDUCER_STORE_H
#define REDUCER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "io/postgres.h"
#include "reducer/core/reducer.h"

struct store;

#define STORE_PIECE_BASE (-1) /* first_value of the piece that holds an estimate's registers */

struct store_assignment {
    int32_t partition;
    int64_t epoch;
    int64_t next_offset;
    int64_t newest_us; /* WINDOW_NO_TIME: none */
    uint64_t pending;  /* a bit for each aggregation whose past is to be counted first */
};

/* By what rows are counted besides the definitions; written down with them. */
struct store_settings {
    int64_t tolerance_ms; /* of watermarks */
    int32_t groups;       /* of an aggregation in one window on one partition */
};

/* The set must outlive the store. */
struct store *store_new(const char *url, const char *topic, const char *instance,
                        const struct aggregation_set *set) MUST_USE;
void store_free(struct store *store);
/* Writes the definitions down; before anything else but store_use_cluster. ERR_CONFIG: one of them counts
 * otherwise than what was written down under its name and version. */
enum error_code store_register(struct store *store, struct error *error) MUST_USE;
/* Offsets belong to (cluster id, topic); makes the rows of all partitions. */
enum error_code store_use_cluster(struct store *store, const char *cluster_id, int32_t partitions,
                                  struct error *error) MUST_USE;

/* Raises the epochs of partitions and tells what is stored of them, in the order given. */
enum error_code store_assign(struct store *store, const int32_t *partitions, int count,
                             struct store_assignment *assignments, struct error *error) MUST_USE;
/* Tells the core which windows were pruned; part of store_load. */
enum error_code store_load_pruned(struct store *store, struct reducer *reducer,
                                  struct error *error) MUST_USE;
/* Before store_register. */
void store_set(struct store *store, struct store_settings settings);
/* The name under which partitions are taken on from now on. */
void store_set_instance(struct store *store, const char *instance);
/* Partitions that were assigned to this instance last and are not among those given: nobody took them since. */
enum error_code store_count_deserted(struct store *store, const int32_t *assigned, int count,
                                     int *deserted, struct error *error) MUST_USE;
/* Hands the partition to the core with its lanes, totals and open windows, as many of their rows as fit. */
enum error_code store_load(struct store *store, struct reducer *reducer,
                           const struct store_assignment *assignment, struct error *error) MUST_USE;
/* Of a partition that is read to its next_offset and committed: the past of these aggregations is counted up
 * to there, so they count with the others from now on. ERR_FENCED: the partition is another's. */
enum error_code store_join(struct store *store, struct reducer *reducer,
                           struct reducer_partition *partition, uint64_t aggregations,
                           struct error *error) MUST_USE;

/* A store that counts the past, beside another one that moves the offsets: its snapshots write rows only. */
void store_count_the_past(struct store *store);
/* Drops what an earlier attempt left of the aggregations that the reducer's partitions count. */
enum error_code store_clear(struct store *store, const struct reducer *reducer,
                            struct error *error) MUST_USE;
/* Sends the snapshot and waits for its outcome. */
enum error_code store_commit(struct store *store, struct error *error) MUST_USE;

/* Rows of one older window of an aggregation. */
enum error_code store_load_window(struct store *store, struct reducer *reducer,
                                  struct reducer_partition *partition, int aggregation,
                                  int64_t start_us, struct error *error) MUST_USE;
/* Fills the rows that are wanted; none is wanted then. After an error it may be asked again. */
enum error_code store_load_wanted(struct store *store, struct reducer *reducer,
                                  struct reducer_wanted *wanted, struct error *error) MUST_USE;
/* Records that the broker no longer had when they were to be read. */
struct store_gap {
    int32_t partition;
    int64_t epoch;
    int64_t next_offset; /* of the partition, as it is committed */
    int64_t from_offset,
        to_offset; /* the first one gone, the first one that is there; equal: none */
};
/* Moves the partition to to_offset and writes the gap down, in one transaction. */
enum error_code store_note_gap(struct store *store, const struct store_gap *gap,
                               struct error *error) MUST_USE;
/* Gaps of the topic that nobody has filled. */
enum error_code store_count_gaps(struct store *store, int64_t *unfilled,
                                 struct error *error) MUST_USE;

struct store_message {
    const char *event_id; /* the same whenever it is published */
    const char *topic;
    const char *event_type;
    const void *key; /* may be NULL */
    size_t key_bytes;
    const void *value;
    size_t value_bytes;
};
/* A message for the outbox, written with the next snapshot. Everything is copied. */
void store_add_message(struct store *store, const struct store_message *message);
size_t store_messages(const struct store *store);       /* that wait for the next snapshot */
size_t store_messages_bytes(const struct store *store); /* of their values */

void store_forget(
    struct store *store); /* drops messages and snapshot; nothing of them was committed */
void store_snapshot(struct store *store, struct reducer *reducer);
enum error_code store_send(struct store *store, struct error *error) MUST_USE;
enum error_code store_poll(struct store *store, bool *done, bool *wants_write,
                           struct error *error) MUST_USE;
int store_socket(const struct store *store);
bool store_connected(const struct store *store);
/* After a lost reply: is the snapshot in the database? ERR_FENCED when it can no longer get there. */
enum error_code store_outcome(struct store *store, bool *committed, struct error *error) MUST_USE;
/* Messages in the snapshot that was committed last. */
size_t store_snapshot_messages(const struct store *store);

struct store_rules {
    int64_t tolerance_ms, idle_ms;
    const char *final_topic; /* where finals are announced; NULL: nowhere */
    const char *node_id;     /* source of the announcements */
    const char *environment;
};
struct store_finals {
    bool open;         /* windows are left that are not final */
    bool more;         /* some of them could have been made final as well: call again */
    int64_t announced; /* messages that were put into the outbox */
};
struct store_idle {
    int32_t partition;
    int64_t epoch;
    bool idle;
};
/* Notes which of our partitions are idle, or no longer are, then makes final what can be, so much at once.
 * ERR_FENCED: one of them is another's. */
enum error_code store_finalize(struct store *store, const struct store_rules *rules,
                               const struct store_idle *idle, int count, struct store_finals *found,
                               struct error *error) MUST_USE;

#endif
