/* SPDX-License-Identifier: MIT */
/* statements_hold.c - the breakers of services, and the steps that they hold. */
#include <stdlib.h>
#include <string.h>

#include "statements_internal.h"
#include "world.h"

#define EPOCH_US INT64_C(946684800000000)
#define HELD_COLUMNS 9

enum {
    HELD_WORKFLOW,
    HELD_WAIT,
    HELD_SHARD,
    HELD_SERVICE,
    HELD_PATH,
    HELD_ATTEMPT,
    HELD_AT,
    HELD_RELEASED,
    HELD_EXCLUDED
};
enum {
    BREAKERS_SERVICE,
    BREAKERS_STATE,
    BREAKERS_BY_HAND,
    BREAKERS_SINCE,
    BREAKERS_REASON,
    BREAKERS_RELEASED,
    BREAKERS_PROBER,
    BREAKERS_REVISION,
    BREAKERS_CHANGED
};

static struct cell instant(int64_t at_us) { return cell_int(PG_INT8, at_us - EPOCH_US); }

/* -- held steps -- */

static struct row *held_row(struct cell workflow, struct cell wait)
{
    const struct table *table = &tables[TABLE_HELD];
    for (int i = 0; i < table->count; i++)
        if (!table->rows[i]->gone && cell_equal(table->rows[i]->cells[HELD_WORKFLOW], workflow) &&
            cell_equal(table->rows[i]->cells[HELD_WAIT], wait))
            return table->rows[i];
    return NULL;
}

/* In their order, so that the last of several counts. */
enum error_code hold_steps(struct query *query)
{
    struct cell *columns[HELD_COLUMNS], cells[COLUMNS_MAX];
    for (int k = 0; k < HELD_COLUMNS; k++)
        columns[k] = statement_elements(&query->values[k]);
    for (int i = 0; i < query->values[0].count; i++) {
        struct row *row = held_row(columns[HELD_WORKFLOW][i], columns[HELD_WAIT][i]);
        for (int k = 0; k < COLUMNS_MAX; k++)
            cells[k] = k < HELD_COLUMNS ? columns[k][i] : cell_null();
        if (row == NULL)
            table_insert(&tables[TABLE_HELD], cells);
        for (int k = HELD_AT; row != NULL && k <= HELD_EXCLUDED; k++)
            table_set(row, k, cells[k]);
    }
    for (int k = 0; k < HELD_COLUMNS; k++)
        free(columns[k]);
    return ERR_OK;
}

enum error_code hold_release(struct query *query)
{
    struct cell *columns[4];
    for (int k = 0; k < 4; k++)
        columns[k] = statement_elements(&query->values[k]);
    for (int i = 0; i < query->values[0].count; i++) {
        struct row *row = held_row(columns[0][i], columns[1][i]);
        if (row == NULL)
            continue;
        int64_t excluded_us = cell_number(row->cells[HELD_EXCLUDED]) + cell_number(columns[3][i]);
        table_set(row, HELD_RELEASED, columns[2][i]);
        table_set(row, HELD_EXCLUDED, cell_int(PG_INT8, excluded_us));
    }
    for (int k = 0; k < 4; k++)
        free(columns[k]);
    return ERR_OK;
}

enum error_code hold_end(struct query *query)
{
    const struct table *table = &tables[TABLE_HELD];
    struct cell *ended = statement_elements(&query->values[0]);
    for (int i = 0; i < table->count; i++)
        if (!table->rows[i]->gone &&
            statement_is_among(table->rows[i]->cells[HELD_WORKFLOW], ended, query->values[0].count))
            table_remove(table->rows[i]);
    free(ended);
    return ERR_OK;
}

static bool is_live(struct cell workflow)
{
    const struct table *table = &tables[TABLE_EXECUTIONS];
    int completed = table_column(table, "completed_at", strlen("completed_at"));
    for (int i = 0; i < table->count; i++)
        if (cell_equal(table->rows[i]->cells[0], workflow))
            return table->rows[i]->cells[completed].bytes < 0;
    return false;
}

/* Those of workflows that have ended, on some shards. */
enum error_code hold_remove(struct query *query)
{
    const struct table *table = &tables[TABLE_HELD];
    struct cell *shards = statement_elements(&query->values[0]);
    for (int i = 0; i < table->count; i++)
        if (!table->rows[i]->gone &&
            statement_is_among(table->rows[i]->cells[HELD_SHARD], shards, query->values[0].count) &&
            !is_live(table->rows[i]->cells[HELD_WORKFLOW]))
            table_remove(table->rows[i]);
    free(shards);
    return ERR_OK;
}

/* Of some shards; what is in the order of the rows matters to nobody. */
enum error_code hold_read(struct query *query)
{
    static const struct column columns[] = {{"workflow_id", PG_UUID},
                                            {"wait", PG_INT4},
                                            {"held_at", PG_TIMESTAMPTZ},
                                            {"held", PG_BOOL},
                                            {"excluded_us", PG_INT8}};
    const struct table *table = &tables[TABLE_HELD];
    struct cell *shards = statement_elements(&query->values[0]);
    struct statement_row *rows = must_calloc((size_t)table->count + 1, sizeof *rows);
    int count = 0;
    for (int i = 0; i < table->count; i++)
        if (!table->rows[i]->gone &&
            statement_is_among(table->rows[i]->cells[HELD_SHARD], shards, query->values[0].count))
            rows[count++] = (struct statement_row){table->rows[i],
                                                   statement_order(HELD_WORKFLOW, HELD_AT), false};
    qsort(rows, (size_t)count, sizeof *rows, statement_by_order);
    statement_result(query, columns, 5);
    for (int i = 0; i < count; i++) {
        const struct cell *cells = rows[i].row->cells;
        statement_set(query, i, 0, cells[HELD_WORKFLOW]);
        statement_set(query, i, 1, cells[HELD_WAIT]);
        statement_set(query, i, 2, cells[HELD_AT]);
        statement_set(query, i, 3, cell_bool(cells[HELD_RELEASED].bytes < 0));
        statement_set(query, i, 4, cells[HELD_EXCLUDED]);
    }
    free(rows);
    free(shards);
    return ERR_OK;
}

/* Those of one workflow that are held now. */
enum error_code hold_view(struct query *query)
{
    static const struct column columns[] = {{"state_path", PG_TEXT},
                                            {"service", PG_TEXT},
                                            {"attempt", PG_INT2},
                                            {"held_at", PG_TIMESTAMPTZ}};
    static const int places[] = {HELD_PATH, HELD_SERVICE, HELD_ATTEMPT, HELD_AT};
    const struct table *table = &tables[TABLE_HELD];
    int out = 0;
    statement_result(query, columns, 4);
    for (int i = 0; i < table->count; i++) {
        const struct row *row = table->rows[i];
        if (row->gone || row->cells[HELD_RELEASED].bytes >= 0 ||
            !cell_equal(row->cells[HELD_WORKFLOW], statement_scalar(&query->values[0])))
            continue;
        for (int k = 0; k < 4; k++)
            statement_set(query, out, k, row->cells[places[k]]);
        out++;
    }
    return ERR_OK;
}

/* -- breakers -- */

static struct row *breaker_row(struct cell service)
{
    const struct table *table = &tables[TABLE_BREAKERS];
    for (int i = 0; i < table->count; i++)
        if (cell_equal(table->rows[i]->cells[BREAKERS_SERVICE], service))
            return table->rows[i];
    return NULL;
}

/* To the revision that the writer knew; no row in the result: another one was quicker. */
enum error_code breaker_write(struct query *query)
{
    static const struct column columns[] = {{"revision", PG_INT8}, {"notified", PG_TEXT}};
    struct cell cells[COLUMNS_MAX];
    for (int k = 0; k < COLUMNS_MAX; k++)
        cells[k] = k < BREAKERS_REVISION ? statement_scalar(&query->values[k]) : cell_null();
    struct row *row = breaker_row(cells[BREAKERS_SERVICE]);
    int64_t known = cell_number(statement_scalar(&query->values[7])), revision = 1;
    double age_s;
    uint64_t bits = (uint64_t)cell_number(cells[BREAKERS_SINCE]);
    memcpy(&age_s, &bits, sizeof age_s);
    statement_result(query, columns, 2);
    if (row == NULL ? known != 0 : cell_number(row->cells[BREAKERS_REVISION]) != known)
        return ERR_OK;
    if (row != NULL)
        revision = known + 1;
    cells[BREAKERS_SINCE] = instant(query->now_us - (int64_t)(age_s * 1e6));
    cells[BREAKERS_REVISION] = cell_int(PG_INT8, revision);
    cells[BREAKERS_CHANGED] = instant(query->now_us);
    if (row == NULL)
        table_insert(&tables[TABLE_BREAKERS], cells);
    for (int k = BREAKERS_STATE; row != NULL && k <= BREAKERS_CHANGED; k++)
        table_set(row, k, cells[k]);
    statement_set(query, 0, 0, cells[BREAKERS_REVISION]);
    statement_set(query, 0, 1, cell_text(""));
    query->notify();
    return ERR_OK;
}

static bool instance_lives(const struct query *query, struct cell id)
{
    const struct table *table = &tables[TABLE_INSTANCES];
    for (int i = 0; i < table->count; i++)
        if (!table->rows[i]->gone && cell_equal(table->rows[i]->cells[INSTANCES_ID], id))
            return cell_instant_us(table->rows[i]->cells[INSTANCES_LEASE]) > query->now_us;
    return false;
}

enum error_code breaker_read(struct query *query)
{
    static const struct column columns[] = {
        {"service", PG_TEXT},  {"state", PG_TEXT}, {"by_hand", PG_BOOL},      {"reason", PG_TEXT},
        {"revision", PG_INT8}, {"age", PG_INT8},   {"since", PG_TIMESTAMPTZ}, {"free", PG_BOOL}};
    static const int places[] = {BREAKERS_SERVICE, BREAKERS_STATE, BREAKERS_BY_HAND,
                                 BREAKERS_REASON, BREAKERS_REVISION};
    const struct table *table = &tables[TABLE_BREAKERS];
    statement_result(query, columns, 8);
    for (int i = 0; i < table->count; i++) {
        const struct cell *cells = table->rows[i]->cells;
        for (int k = 0; k < 5; k++)
            statement_set(query, i, k, cells[places[k]]);
        int64_t age_us = query->now_us - cell_instant_us(cells[BREAKERS_CHANGED]);
        statement_set(query, i, 5, cell_int(PG_INT8, age_us));
        statement_set(query, i, 6, cells[BREAKERS_SINCE]);
        statement_set(query, i, 7, cell_bool(!instance_lives(query, cells[BREAKERS_PROBER])));
    }
    return ERR_OK;
}

enum error_code breaker_count_instances(struct query *query)
{
    const struct table *table = &tables[TABLE_INSTANCES];
    int64_t count = 0;
    for (int i = 0; i < table->count; i++)
        count += !table->rows[i]->gone &&
                 cell_instant_us(table->rows[i]->cells[INSTANCES_LEASE]) > query->now_us;
    statement_value(query, PG_INT8, cell_int(PG_INT8, count));
    return ERR_OK;
}
