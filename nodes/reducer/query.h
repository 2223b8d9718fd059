/* SPDX-License-Identifier: MIT */
/* query.h - rows of the database with their partitions merged, as the API shows them.
 *
 * Rows of definitions that are not loaded are left out.
 *
 * Owns      struct query_rows owns its rows; query_rows_fini releases.
 * Threads   Any; each call uses the given connection.
 */
#ifndef REDUCER_QUERY_H
#define REDUCER_QUERY_H

#include "io/postgres.h"
#include "reducer/core/aggregate.h"

struct query_row {
    struct aggregate *merged;
    int32_t definition; /* its number in the database */
    int64_t window_ms;
    bool final;
};

struct query_rows {
    struct query_row *items;
    int count;
    bool more; /* there are rows after the last one */
};

/* Unset filters: NULL texts, WINDOW_NO_TIME times. */
struct query_filter {
    const struct aggregation *type; /* NULL: all */
    const char *group;
    int64_t from_us, to_us;
    bool open_only;
    int limit;
    bool has_cursor; /* go on after this key */
    int64_t after_start_us, after_window_ms;
    int32_t after_definition;
    char after_group[AGGREGATION_GROUP_BYTES_MAX + 1];
};

/* Windows of the definitions of the set, the newest first. */
enum error_code query_windows(struct postgres *postgres, const struct aggregation_set *set,
                              const struct query_filter *filter, struct query_rows *rows,
                              struct error *error) MUST_USE;
/* Rows for all time of a definition, in the order of groups. */
enum error_code query_totals(struct postgres *postgres, const struct aggregation_set *set,
                             const struct aggregation *definition, const char *group,
                             const char *after, int limit, struct query_rows *rows,
                             struct error *error) MUST_USE;
void query_rows_fini(struct query_rows *rows);

#endif
