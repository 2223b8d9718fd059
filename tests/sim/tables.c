/* SPDX-License-Identifier: MIT */
#include "tables.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

#define EPOCH_US INT64_C(946684800000000) /* 2000-01-01, where PostgreSQL's instants begin */
#define ARENA_BYTES (1u << 20)

#define COLUMNS(name, ...) static const struct column name[] = {__VA_ARGS__}
COLUMNS(shards, {"shard", PG_INT2}, {"owner", PG_UUID}, {"epoch", PG_INT8}, {"commits", PG_INT8},
        {"next_seq", PG_INT8}, {"published_seq", PG_INT8}, {"cluster_id", PG_TEXT});
COLUMNS(instances, {"instance_id", PG_UUID}, {"advertised_url", PG_TEXT}, {"lock_key", PG_INT8},
        {"lease_expires_at", PG_TIMESTAMPTZ}, {"version", PG_TEXT}, {"peer_address", PG_TEXT});
COLUMNS(keys, {"shard", PG_INT2}, {"namespace", PG_TEXT}, {"key", PG_TEXT},
        {"workflow_id", PG_UUID}, {"body_hash", PG_BYTEA}, {"created_at", PG_TIMESTAMPTZ});
COLUMNS(executions, {"id", PG_UUID}, {"shard", PG_INT2}, {"run", PG_INT2},
        {"correlation_id", PG_TEXT}, {"workflow_type", PG_TEXT}, {"contract_version", PG_TEXT},
        {"namespace", PG_TEXT}, {"current_state", PG_TEXT}, {"input", PG_JSON},
        {"metadata", PG_JSON}, {"traceparent", PG_TEXT}, {"result", PG_JSON},
        {"error_code", PG_TEXT}, {"error_message", PG_TEXT}, {"created_at", PG_TIMESTAMPTZ},
        {"started_at", PG_TIMESTAMPTZ}, {"completed_at", PG_TIMESTAMPTZ},
        {"execution_time_ms", PG_INT8}, {"parent_token", PG_TEXT});
COLUMNS(events, {"workflow_id", PG_UUID}, {"n", PG_INT4}, {"shard", PG_INT2}, {"seq", PG_INT8},
        {"seq_count", PG_INT2}, {"run", PG_INT2}, {"kind", PG_INT2}, {"wait", PG_INT4},
        {"attempt", PG_INT2}, {"duration_us", PG_INT8}, {"at", PG_TIMESTAMPTZ},
        {"random", PG_DOUBLE}, {"state_path", PG_TEXT}, {"current_step", PG_TEXT},
        {"error", PG_TEXT}, {"cause", PG_TEXT}, {"payload", PG_JSON});
COLUMNS(transitions, {"entity_id", PG_UUID}, {"run", PG_INT2}, {"from_state", PG_TEXT},
        {"to_state", PG_TEXT}, {"transition_event", PG_TEXT}, {"created_at", PG_TIMESTAMPTZ});
COLUMNS(held, {"workflow_id", PG_UUID}, {"wait", PG_INT4}, {"shard", PG_INT2}, {"service", PG_TEXT},
        {"state_path", PG_TEXT}, {"attempt", PG_INT2}, {"held_at", PG_TIMESTAMPTZ},
        {"released_at", PG_TIMESTAMPTZ}, {"excluded_us", PG_INT8});
COLUMNS(breakers, {"service", PG_TEXT}, {"state", PG_TEXT}, {"by_hand", PG_BOOL},
        {"since", PG_TIMESTAMPTZ}, {"reason", PG_TEXT}, {"released", PG_INT4}, {"prober", PG_UUID},
        {"revision", PG_INT8}, {"changed_at", PG_TIMESTAMPTZ});

#define TABLE(the_name, the_columns, ...)                                                          \
    {                                                                                              \
        .name = the_name, .columns = the_columns,                                                  \
        .columns_count = (int)(sizeof the_columns / sizeof the_columns[0]), .unique = {            \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
struct table tables[TABLES] = {
    [TABLE_SHARDS] = TABLE("shards", shards, "shard"),
    [TABLE_INSTANCES] = TABLE("instances", instances, "instance_id"),
    [TABLE_KEYS] = TABLE("workflow_keys", keys, "shard,namespace,key"),
    [TABLE_EXECUTIONS] = TABLE("workflow_executions", executions, "id"),
    [TABLE_EVENTS] = TABLE("workflow_events", events, "workflow_id,n"),
    [TABLE_TRANSITIONS] = TABLE("fsm_transitions", transitions, "entity_id,run,to_state"),
    [TABLE_HELD] = TABLE("held_steps", held, "workflow_id,wait"),
    [TABLE_BREAKERS] = TABLE("service_breakers", breakers, "service"),
};

enum change_kind { CHANGE_ADDED, CHANGE_SET, CHANGE_REMOVED };
struct change {
    enum change_kind kind;
    struct table *table;
    struct row *row;
    int column;
    struct cell before;
};

static struct {
    char **blocks;
    size_t blocks_count, used;
    struct change *changes;
    int changes_count, changes_capacity;
    struct row **added;
    struct table **added_to;
    int added_count, added_capacity;
} state;

static void *keep(size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (state.blocks_count == 0 || state.used + bytes > ARENA_BYTES) {
        state.blocks = must_realloc(state.blocks, (state.blocks_count + 1) * sizeof *state.blocks);
        state.blocks[state.blocks_count++] = must_alloc(bytes > ARENA_BYTES ? bytes : ARENA_BYTES);
        state.used = 0;
    }
    void *place = state.blocks[state.blocks_count - 1] + state.used;
    state.used += bytes;
    return place;
}

void tables_start(void)
{
    for (int i = 0; i < TABLES; i++)
        tables[i].count = 0;
    state.changes_count = state.added_count = 0;
}

void tables_end(void)
{
    for (size_t i = 0; i < state.blocks_count; i++)
        free(state.blocks[i]);
    state.blocks_count = state.used = 0;
}

struct table *table_find(const char *name, size_t bytes)
{
    for (int i = 0; i < TABLES; i++)
        if (strlen(tables[i].name) == bytes && memcmp(tables[i].name, name, bytes) == 0)
            return &tables[i];
    return NULL;
}

int table_column(const struct table *table, const char *name, size_t bytes)
{
    for (int i = 0; i < table->columns_count; i++)
        if (strlen(table->columns[i].name) == bytes &&
            memcmp(table->columns[i].name, name, bytes) == 0)
            return i;
    return -1;
}

static struct change *note(enum change_kind kind)
{
    if (state.changes_count == state.changes_capacity) {
        state.changes_capacity = state.changes_capacity == 0 ? 64 : state.changes_capacity * 2;
        state.changes =
            must_realloc(state.changes, (size_t)state.changes_capacity * sizeof *state.changes);
    }
    struct change *change = &state.changes[state.changes_count++];
    *change = (struct change){.kind = kind};
    return change;
}

struct row *table_insert(struct table *table, const struct cell cells[COLUMNS_MAX])
{
    struct row *row = keep(sizeof *row);
    row->gone = false;
    for (int i = 0; i < table->columns_count; i++)
        row->cells[i] =
            cells[i].bytes < 0 ? cell_null() : cell_octets(cells[i].data, (size_t)cells[i].bytes);
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? 64 : table->capacity * 2;
        table->rows = must_realloc(table->rows, (size_t)table->capacity * sizeof *table->rows);
    }
    table->rows[table->count++] = row;
    struct change *change = note(CHANGE_ADDED);
    change->table = table;
    change->row = row;
    return row;
}

void table_set(struct row *row, int column, struct cell cell)
{
    struct change *change = note(CHANGE_SET);
    change->row = row;
    change->column = column;
    change->before = row->cells[column];
    row->cells[column] = cell.bytes < 0 ? cell_null() : cell_octets(cell.data, (size_t)cell.bytes);
}

void table_remove(struct row *row)
{
    note(CHANGE_REMOVED)->row = row;
    row->gone = true;
}

static bool same_key(const struct table *table, const char *names, const struct row *a,
                     const struct row *b)
{
    for (const char *name = names; name != NULL;) {
        const char *comma = strchr(name, ',');
        size_t bytes = comma == NULL ? strlen(name) : (size_t)(comma - name);
        int column = table_column(table, name, bytes);
        if (!cell_equal(a->cells[column], b->cells[column]))
            return false;
        name = comma == NULL ? NULL : comma + 1;
    }
    return true;
}

const struct row *table_conflict(const struct table *table, const struct row *row)
{
    for (int k = 0; k < 2 && table->unique[k] != NULL; k++)
        for (int i = 0; i < table->count; i++)
            if (table->rows[i] != row && !table->rows[i]->gone &&
                same_key(table, table->unique[k], table->rows[i], row))
                return table->rows[i];
    return NULL;
}

void tables_begin(void) { state.changes_count = state.added_count = 0; }

void tables_commit(void)
{
    state.added_count = 0;
    for (int i = 0; i < state.changes_count; i++) {
        if (state.changes[i].kind != CHANGE_ADDED)
            continue;
        if (state.added_count == state.added_capacity) {
            state.added_capacity = state.added_capacity == 0 ? 64 : state.added_capacity * 2;
            state.added =
                must_realloc(state.added, (size_t)state.added_capacity * sizeof *state.added);
            state.added_to =
                must_realloc(state.added_to, (size_t)state.added_capacity * sizeof *state.added_to);
        }
        state.added[state.added_count] = state.changes[i].row;
        state.added_to[state.added_count++] = state.changes[i].table;
    }
    state.changes_count = 0;
}

void tables_take_back(void)
{
    while (state.changes_count > 0) {
        struct change *change = &state.changes[--state.changes_count];
        if (change->kind == CHANGE_ADDED)
            change->table->count--; /* added last, so taken back first */
        else if (change->kind == CHANGE_SET)
            change->row->cells[change->column] = change->before;
        else
            change->row->gone = false;
    }
}

int tables_added(struct row *const **rows, struct table *const **of)
{
    *rows = state.added;
    *of = state.added_to;
    return state.added_count;
}

/* -- cells -- */

struct cell cell_octets(const void *data, size_t bytes)
{
    char *place = keep(bytes + 1);
    memcpy(place, data, bytes);
    place[bytes] = '\0';
    return (struct cell){(int32_t)bytes, place};
}

struct cell cell_int(enum postgres_type type, int64_t value)
{
    uint16_t two = htobe16((uint16_t)value);
    uint32_t four = htobe32((uint32_t)value);
    uint64_t eight = htobe64((uint64_t)value);
    if (type == PG_INT2)
        return cell_octets(&two, sizeof two);
    return type == PG_INT4 ? cell_octets(&four, sizeof four) : cell_octets(&eight, sizeof eight);
}

struct cell cell_text(const char *text) { return cell_octets(text, strlen(text)); }
struct cell cell_bool(bool value)
{
    char octet = value;
    return cell_octets(&octet, 1);
}

struct cell cell_null(void) { return (struct cell){-1, NULL}; }

int64_t cell_number(struct cell cell)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (cell.bytes) {
    case 2:
        memcpy(&two, cell.data, sizeof two);
        return (int16_t)be16toh(two);
    case 4:
        memcpy(&four, cell.data, sizeof four);
        return (int32_t)be32toh(four);
    case 8:
        memcpy(&eight, cell.data, sizeof eight);
        return (int64_t)be64toh(eight);
    default:
        return 0;
    }
}

int64_t cell_instant_us(struct cell cell) { return cell_number(cell) + EPOCH_US; }

bool cell_equal(struct cell a, struct cell b)
{
    return a.bytes >= 0 && a.bytes == b.bytes && memcmp(a.data, b.data, (size_t)a.bytes) == 0;
}

int cell_compare(struct cell a, struct cell b)
{
    int32_t bytes = a.bytes < b.bytes ? a.bytes : b.bytes;
    int order = bytes <= 0 ? 0 : memcmp(a.data, b.data, (size_t)bytes);
    return order != 0 ? order : a.bytes - b.bytes;
}
