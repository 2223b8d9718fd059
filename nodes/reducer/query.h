/* SPDX-License-Identifier: MIT */
/* query.h - rows of the database with their partitions merged, as the API shows them.
 *
 * Rows come by window start, then definition, group and window length, newest or oldest first. Rows for all
 * time have no start: they come in the order of their groups.
 *
 * Owns      struct query_rows owns its rows, struct query_partitions its items; ..._fini releases.
 * Threads   Any; each call uses the given connection.
 */
#ifndef REDUCER_QUERY_H
#define REDUCER_QUERY_H

#include "io/postgres.h"
#include "reducer/core/aggregate.h"
#include "reducer/core/explain.h"

struct query_row {
    struct aggregate *merged;
    int32_t definition; /* its number in the database */
    int64_t window_ms;  /* 0: for all time */
    bool final;
    bool unreadable; /* no row of its key could be read: it has its place, but nothing to show */
};

struct query_rows {
    struct query_row *items;
    int count;
    bool more; /* there are rows after the last one */
};

enum query_state { QUERY_ANY, QUERY_OPEN, QUERY_FINAL };

/* One key of a group of several. */
struct query_key {
    int place; /* in the group, from 0 */
    const char *value;
};

/* Unset filters: NULL texts, WINDOW_NO_TIME times, zeros. */
struct query_filter {
    const struct aggregation *type; /* NULL: all of the set that have windows */
    const char *group;
    struct query_key keys[AGGREGATION_KEYS_MAX];
    int keys_count;
    int64_t from_us, to_us; /* of window starts: at or after, before */
    int64_t window_ms;
    enum query_state state;
    bool oldest_first;
    int limit;
    bool has_cursor; /* go on after this key */
    int64_t after_start_us, after_window_ms;
    int32_t after_definition;
    char after_group[AGGREGATION_GROUP_BYTES_MAX + 1];
};

enum error_code query_rows(struct postgres *postgres, const struct aggregation_set *set,
                           const struct query_filter *filter, struct query_rows *rows,
                           struct error *error) MUST_USE;
void query_rows_fini(struct query_rows *rows);

/* A definition as it was written down when a reducer last had its file, in a set of its own that the caller
 * frees. `version` may be NULL: the one that was made last. ERR_NOT_FOUND: there never was one of this name
 * and version; ERR_CONFLICT: it was there, and how it reads was not kept. */
enum error_code query_definition(struct postgres *postgres, const char *name, const char *version,
                                 const struct aggregation_defaults *defaults,
                                 struct aggregation_set **set, struct error *error) MUST_USE;

/* What is stored of one window and group, partitions merged. */
struct query_window {
    int32_t definition; /* its number in the database; 0: it was never written down */
    int64_t window_ms;  /* of its rows; as asked when there are none */
    int64_t events;     /* 0: there are no rows */
    int32_t revision;
    int64_t updated_us; /* of times: WINDOW_NO_TIME when there is none */
    int64_t final_us;
    int64_t pruned_until_us;
    int64_t lateness_ms; /* by which finals are made; -1: it was never written down */
};
/* Of windows of several lengths that begin together the one that is window_ms long is preferred. */
enum error_code query_window(struct postgres *postgres, const struct aggregation *definition,
                             int64_t start_us, const char *group, int64_t window_ms,
                             struct query_window *window, struct error *error) MUST_USE;

struct query_partitions {
    char cluster_id[128];
    const char *topic;
    int64_t tolerance_ms, idle_ms;
    int32_t
        past_of; /* a definition that is to count the past before it makes anything final; 0: none */
    struct explain_partition *items; /* owners are copied; unread is -1 */
    int64_t *next_offsets;           /* of each */
    int count;
};
/* Fills in items, by number, and next_offsets. */
enum error_code query_partitions(struct postgres *postgres, struct query_partitions *partitions,
                                 struct error *error) MUST_USE;
void query_partitions_fini(struct query_partitions *partitions);

#endif
