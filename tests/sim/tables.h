/* SPDX-License-Identifier: MIT */
/* tables.h - rows in memory, by named columns; a transaction can be taken back.
 *
 * Owns      Everything lives until tables_end.
 */
#ifndef SIM_TABLES_H
#define SIM_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/postgres.h"

#define COLUMNS_MAX 24

struct cell {
    int32_t bytes; /* -1: null */
    const char *data;
};

struct column {
    const char *name;
    enum postgres_type type;
};

struct row {
    bool gone;
    struct cell cells[COLUMNS_MAX];
};

struct table {
    const char *name;
    const struct column *columns;
    int columns_count;
    const char *unique[2]; /* columns of unique keys, "a,b"; NULL: none */
    struct row **rows;
    int count, capacity;
};

enum table_name {
    TABLE_SHARDS,
    TABLE_INSTANCES,
    TABLE_KEYS,
    TABLE_EXECUTIONS,
    TABLE_EVENTS,
    TABLE_TRANSITIONS,
    TABLE_HELD,
    TABLE_BREAKERS,
    TABLES
};
extern struct table tables[TABLES];

void tables_start(void);
void tables_end(void);
struct table *table_find(const char *name, size_t bytes);
int table_column(const struct table *table, const char *name, size_t bytes); /* -1: none */
struct row *table_insert(struct table *table, const struct cell cells[COLUMNS_MAX]);
void table_set(struct row *row, int column, struct cell cell);
void table_remove(struct row *row);
/* A row that has the same unique key, or NULL. */
const struct row *table_conflict(const struct table *table, const struct row *row);

void tables_begin(void);
void tables_commit(void);
void tables_take_back(void);
/* Rows that were added since tables_begin. */
int tables_added(struct row *const **rows, struct table *const **of);

struct cell cell_int(enum postgres_type type, int64_t value);
struct cell cell_text(const char *text);
struct cell cell_octets(const void *data, size_t bytes);
struct cell cell_bool(bool value);
struct cell cell_null(void);
int64_t cell_number(struct cell cell); /* int2, int4, int8; 0 of null */
bool cell_equal(struct cell a, struct cell b);
int cell_compare(struct cell a, struct cell b); /* as octets */
int64_t cell_instant_us(struct cell cell);

#endif
