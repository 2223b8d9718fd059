/* SPDX-License-Identifier: MIT */
/* store_internal.h - what store.c and store_load.c share. */
#ifndef REDUCER_STORE_INTERNAL_H
#define REDUCER_STORE_INTERNAL_H

#include "reducer/store.h"

enum {
    FENCE_COLUMNS = 7,
    HOLD_COLUMNS = 4, /* the first ones of the fence */
    LANE_COLUMNS = 4,
    ROW_COLUMNS = 9,
    DROP_COLUMNS = 6,
    ADD_COLUMNS = 8,
    OLDEST_COLUMNS = 2,
    MESSAGE_COLUMNS = 5,
    KEY_COLUMNS = 5, /* of a row; the first ones of rows, drops and adds */
    REPLACED_COLUMNS = 6,
    GAP_COLUMNS = 6
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
    struct store_settings settings;
    bool of_the_past; /* counts what came before: holds partitions, moves no offsets and no lanes */
    /* The snapshot: parameters of the statements of one transaction. */
    struct postgres_value fence[FENCE_COLUMNS];
    struct postgres_value lanes[LANE_COLUMNS];
    struct postgres_value rows[ROW_COLUMNS];
    struct postgres_value new_rows[ROW_COLUMNS]; /* that the store does not have */
    bool
        insert_new; /* these are inserted without looking for older ones; one that is there all the same refuses the transaction */
    bool found_older; /* it was refused; the next time they are looked for */
    struct postgres_value drops[DROP_COLUMNS];
    struct postgres_value adds[ADD_COLUMNS];
    struct postgres_value messages[MESSAGE_COLUMNS];
    struct postgres_value
        oldest[OLDEST_COLUMNS]; /* earliest end of the windows of each definition */
    /* One partition of the snapshot: where it stands tells whether the snapshot was committed. */
    int32_t probe_partition;
    int64_t probe_epoch, probe_before, probe_after;
    struct postgres_value next_messages[MESSAGE_COLUMNS]; /* of the snapshot to come */
    /* Of the next transactions, until store_forget_rebuilt. */
    struct postgres_value replaced[REPLACED_COLUMNS]; /* rows written anew, or taken away */
    struct postgres_value gaps[GAP_COLUMNS];          /* that are filled */
    struct buffer scratch;
};

/* store_past.c: which aggregations are not counted in a partition yet although they ask for its past. */
uint64_t store_pending(const struct store *store, const struct postgres_rows *rows, int row,
                       int column, const struct store_assignment *assignment);
enum error_code store_note_counted(struct store *store, const struct store_assignment *assignments,
                                   int count, struct error *error) MUST_USE;
/* store.c */
void store_push_key(struct store *store, struct postgres_value *values,
                    const struct aggregate *row);
/* store_rebuild.c: what a transaction that repairs says between its fence and its rows. */
enum error_code store_add_rebuilt(struct store *store, struct error *error) MUST_USE;
/* store_load.c */
enum error_code store_load_lanes(struct store *store, struct reducer_partition *partition,
                                 struct error *error) MUST_USE;
/* Rows for all time, and windows that were open at the watermark, of these aggregations. */
enum error_code store_load_rows(struct store *store, struct reducer *reducer,
                                struct reducer_partition *partition, uint64_t aggregations,
                                int64_t watermark_us, struct error *error) MUST_USE;
enum error_code store_bad_row(struct error *error, const char *table);
/* store_rows.c: revision, events and state, three columns from this one on, into a row. Rows with sets in
 * pieces are added to `split`. False when the state cannot be read. */
bool store_fill_row(struct aggregate *row, const struct postgres_rows *rows, int number, int column,
                    struct reducer_wanted *split) MUST_USE;
/* The pieces of their sets. */
enum error_code store_fill_pieces(struct store *store, struct reducer *reducer,
                                  const struct reducer_wanted *split, struct error *error) MUST_USE;

#endif
