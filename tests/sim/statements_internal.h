/* SPDX-License-Identifier: MIT */
/* statements_internal.h - between the parts of the statements.
 *
 *     statements.c         which text is which statement; workflows, their records and keys
 *     statements_owner.c   instances, and the owners of shards
 *     statements_hold.c    breakers of services, held steps
 */
#ifndef SIM_STATEMENTS_INTERNAL_H
#define SIM_STATEMENTS_INTERNAL_H

#include "statements.h"

enum {
    SHARDS_SHARD,
    SHARDS_OWNER,
    SHARDS_EPOCH,
    SHARDS_COMMITS,
    SHARDS_NEXT,
    SHARDS_PUBLISHED,
    SHARDS_CLUSTER
};
enum {
    INSTANCES_ID,
    INSTANCES_URL,
    INSTANCES_KEY,
    INSTANCES_LEASE,
    INSTANCES_VERSION,
    INSTANCES_ADDRESS
};

/* A parameter; the elements of one that is an array (free() them, they point into the value). */
struct cell statement_scalar(const struct postgres_value *value);
struct cell *statement_elements(const struct postgres_value *value);
bool statement_is_among(struct cell cell, const struct cell *cells, int count);

/* The result: its columns, then each cell; or one value; or no row at all. */
void statement_result(struct query *query, const struct column *columns, int count);
void statement_set(struct query *query, int row, int column, struct cell cell);
void statement_value(struct query *query, enum postgres_type type, struct cell cell);
enum error_code statement_nothing(struct query *query);

struct row *statement_shard(int64_t shard);

/* For qsort: rows by the columns `order`, ended by -1. */
struct statement_row {
    const struct row *row;
    const int *order;
    bool descending;
};
int statement_by_order(const void *a, const void *b);
const int *statement_order(int first, int second);

enum error_code owner_select_instances(struct query *query);
enum error_code owner_set_address(struct query *query);
enum error_code owner_end_sessions(struct query *query);
enum error_code owner_claim(struct query *query);
enum error_code owner_select_owners(struct query *query);
enum error_code owner_renew_lease(struct query *query);
enum error_code owner_give_back(struct query *query);
enum error_code owner_give(struct query *query);
enum error_code owner_remove_instance(struct query *query);
enum error_code owner_take_lock(struct query *query);

enum error_code hold_steps(struct query *query);
enum error_code hold_release(struct query *query);
enum error_code hold_end(struct query *query);
enum error_code hold_remove(struct query *query);
enum error_code hold_read(struct query *query);
enum error_code hold_view(struct query *query);
enum error_code breaker_write(struct query *query);
enum error_code breaker_read(struct query *query);
enum error_code breaker_count_instances(struct query *query);

#endif
