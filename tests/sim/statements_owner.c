/* SPDX-License-Identifier: MIT */
/* statements_owner.c - instances and the owners of shards. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "statements_internal.h"
#include "world.h"

#define EPOCH_US INT64_C(946684800000000)

static struct row *instance_row(struct cell id)
{
    const struct table *table = &tables[TABLE_INSTANCES];
    for (int i = 0; i < table->count; i++)
        if (!table->rows[i]->gone && cell_equal(table->rows[i]->cells[INSTANCES_ID], id))
            return table->rows[i];
    return NULL;
}

static bool has_lapsed(const struct query *query, const struct row *instance)
{
    return cell_instant_us(instance->cells[INSTANCES_LEASE]) < query->now_us;
}

static bool lock_is_free(const struct query *query, const struct row *instance)
{
    return query->lock(cell_number(instance->cells[INSTANCES_KEY]), false);
}

/* Ours first, then by the end of their leases. */
enum error_code owner_select_instances(struct query *query)
{
    static const struct column columns[] = {{"instance_id", PG_UUID},  {"advertised_url", PG_TEXT},
                                            {"lapsed", PG_BOOL},       {"lock_free", PG_BOOL},
                                            {"peer_address", PG_TEXT}, {"has_address", PG_BOOL}};
    const struct table *table = &tables[TABLE_INSTANCES];
    struct cell us = statement_scalar(&query->values[0]);
    struct statement_row *found = must_calloc((size_t)table->count + 1, sizeof *found);
    int count = 0;
    for (int i = 0; i < table->count; i++)
        if (!table->rows[i]->gone)
            found[count++] =
                (struct statement_row){table->rows[i], statement_order(INSTANCES_LEASE, -1), true};
    qsort(found, (size_t)count, sizeof *found, statement_by_order);
    statement_result(query, columns, 6);
    int out = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < count; i++) {
            const struct row *row = found[i].row;
            bool ours = cell_equal(row->cells[INSTANCES_ID], us);
            if (ours != (pass == 0))
                continue;
            statement_set(query, out, 0, row->cells[INSTANCES_ID]);
            statement_set(query, out, 1, row->cells[INSTANCES_URL]);
            statement_set(query, out, 2, cell_bool(has_lapsed(query, row)));
            statement_set(query, out, 3, cell_bool(!ours && lock_is_free(query, row)));
            statement_set(query, out, 4, row->cells[INSTANCES_ADDRESS]);
            statement_set(query, out++, 5, cell_bool(true));
        }
    free(found);
    return ERR_OK;
}

enum error_code owner_set_address(struct query *query)
{
    struct row *row = instance_row(statement_scalar(&query->values[0]));
    if (row != NULL)
        table_set(row, INSTANCES_ADDRESS, statement_scalar(&query->values[1]));
    return ERR_OK;
}

enum error_code owner_end_sessions(struct query *query)
{
    struct cell *gone = statement_elements(&query->values[0]);
    for (int i = 0; i < query->values[0].count; i++) {
        char name[80] = "bridge-orchestrator ";
        struct uuid id;
        memcpy(id.octets, gone[i].data, sizeof id.octets);
        uuid_format(&id, name + strlen(name));
        query->terminate(name);
    }
    free(gone);
    return ERR_OK;
}

static bool is_free(struct cell us, struct cell owner, bool wanted, const struct cell *gone,
                    int gone_count)
{
    if (owner.bytes >= 0 && statement_is_among(owner, gone, gone_count))
        return true;
    if (wanted && (owner.bytes < 0 || cell_equal(owner, us)))
        return true;
    return owner.bytes >= 0 && !cell_equal(owner, us) && instance_row(owner) == NULL;
}

enum error_code owner_claim(struct query *query)
{
    static const struct column columns[] = {{"shard", PG_INT2},         {"epoch", PG_INT8},
                                            {"commits", PG_INT8},       {"next_seq", PG_INT8},
                                            {"published_seq", PG_INT8}, {"cluster_id", PG_TEXT},
                                            {"taken", PG_BOOL}};
    static const int places[] = {SHARDS_SHARD, SHARDS_EPOCH,     SHARDS_COMMITS,
                                 SHARDS_NEXT,  SHARDS_PUBLISHED, SHARDS_CLUSTER};
    struct cell us = statement_scalar(&query->values[0]),
                *suspects = statement_elements(&query->values[1]),
                *wanted = statement_elements(&query->values[2]);
    int gone = 0, out = 0;
    for (int i = 0; i < query->values[1].count; i++) {
        struct row *row = instance_row(suspects[i]);
        if (row == NULL || !(has_lapsed(query, row) || lock_is_free(query, row)))
            continue;
        table_remove(row);
        suspects[gone++] = suspects[i];
        sim.count.takeovers++;
    }
    statement_result(query, columns, 7);
    for (int i = 0; i < tables[TABLE_SHARDS].count; i++) {
        struct row *row = tables[TABLE_SHARDS].rows[i];
        bool is_wanted =
            statement_is_among(row->cells[SHARDS_SHARD], wanted, query->values[2].count);
        if (!is_free(us, row->cells[SHARDS_OWNER], is_wanted, suspects, gone))
            continue;
        table_set(row, SHARDS_OWNER, is_wanted ? us : cell_null());
        table_set(row, SHARDS_EPOCH, cell_int(PG_INT8, cell_number(row->cells[SHARDS_EPOCH]) + 1));
        for (int k = 0; k < 6; k++)
            statement_set(query, out, k, row->cells[places[k]]);
        statement_set(query, out++, 6, cell_bool(is_wanted));
    }
    free(suspects);
    free(wanted);
    return ERR_OK;
}

enum error_code owner_select_owners(struct query *query)
{
    static const struct column columns[] = {
        {"shard", PG_INT2}, {"owner", PG_UUID}, {"epoch", PG_INT8}, {"advertised_url", PG_TEXT}};
    statement_result(query, columns, 4);
    for (int i = 0; i < tables[TABLE_SHARDS].count; i++) {
        const struct row *row = tables[TABLE_SHARDS].rows[i];
        const struct row *instance = instance_row(row->cells[SHARDS_OWNER]);
        statement_set(query, i, 0, row->cells[SHARDS_SHARD]);
        statement_set(query, i, 1, row->cells[SHARDS_OWNER]);
        statement_set(query, i, 2, row->cells[SHARDS_EPOCH]);
        statement_set(query, i, 3, instance == NULL ? cell_null() : instance->cells[INSTANCES_URL]);
    }
    return ERR_OK;
}

enum error_code owner_renew_lease(struct query *query)
{
    struct cell id = statement_scalar(&query->values[0]);
    double seconds;
    uint64_t bits = (uint64_t)cell_number(statement_scalar(&query->values[3]));
    memcpy(&seconds, &bits, sizeof seconds);
    struct cell until =
        cell_int(PG_INT8, query->now_us - EPOCH_US + (int64_t)(seconds * 1000000.0));
    struct row *row = instance_row(id);
    statement_value(query, PG_BOOL, cell_bool(row == NULL)); /* xmax = 0 */
    if (row != NULL) {
        table_set(row, INSTANCES_LEASE, until);
        return ERR_OK;
    }
    struct cell cells[COLUMNS_MAX] = {
        id,    statement_scalar(&query->values[1]), statement_scalar(&query->values[2]),
        until, statement_scalar(&query->values[4]), cell_null()};
    table_insert(&tables[TABLE_INSTANCES], cells);
    return ERR_OK;
}

static void give_row(struct row *row)
{
    table_set(row, SHARDS_OWNER, cell_null());
    table_set(row, SHARDS_EPOCH, cell_int(PG_INT8, cell_number(row->cells[SHARDS_EPOCH]) + 1));
}

/* All of an owner's, or those of $2. */
enum error_code owner_give_back(struct query *query)
{
    struct cell us = statement_scalar(&query->values[0]);
    struct cell *wanted = query->count > 1 ? statement_elements(&query->values[1]) : NULL;
    for (int i = 0; i < tables[TABLE_SHARDS].count; i++) {
        struct row *row = tables[TABLE_SHARDS].rows[i];
        bool is_wanted = wanted == NULL || statement_is_among(row->cells[SHARDS_SHARD], wanted,
                                                              query->values[1].count);
        if (cell_equal(row->cells[SHARDS_OWNER], us) && is_wanted)
            give_row(row);
    }
    free(wanted);
    return ERR_OK;
}

enum error_code owner_give(struct query *query)
{
    struct cell us = statement_scalar(&query->values[0]), *columns[4];
    for (int i = 0; i < 4; i++)
        columns[i] = statement_elements(&query->values[i + 1]);
    for (int i = 0; i < query->values[1].count; i++) {
        struct row *row = statement_shard(cell_number(columns[0][i]));
        if (row == NULL || !cell_equal(row->cells[SHARDS_EPOCH], columns[1][i]) ||
            !cell_equal(row->cells[SHARDS_OWNER], us))
            continue;
        give_row(row);
        table_set(row, SHARDS_PUBLISHED, columns[2][i]);
        table_set(row, SHARDS_CLUSTER, columns[3][i]);
    }
    for (int i = 0; i < 4; i++)
        free(columns[i]);
    return ERR_OK;
}

enum error_code owner_remove_instance(struct query *query)
{
    struct row *row = instance_row(statement_scalar(&query->values[0]));
    if (row != NULL)
        table_remove(row);
    return ERR_OK;
}

enum error_code owner_take_lock(struct query *query)
{
    bool taken =
        !query->busy && query->lock(cell_number(statement_scalar(&query->values[0])), true);
    statement_value(query, PG_BOOL, cell_bool(taken));
    return ERR_OK;
}
