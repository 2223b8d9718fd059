/* SPDX-License-Identifier: MIT */
/* store.c - the write transaction and the assignment of partitions. Loading stands in store_load.c. */
#include "reducer/store.h"

#include <stdlib.h>
#include <string.h>

#include "io/log.h"
#include "reducer/store_internal.h"

#define WRITE_NAME "bridge-reducer write" /* application_name of the connection that writes */
#define WRITE_SETTINGS                                                                             \
    "-c synchronous_commit=on -c idle_in_transaction_session_timeout=5000 -c lock_timeout=5000 "   \
    "-c tcp_user_timeout=5000 -c statement_timeout=30000"
#define REPLY_TIMEOUT_MS 10000
#define PIECES_MAX 64 /* pieces of a distinct set in the store before they are joined */

static const char sql_fence[] = "SELECT reducer_fence($1, $2, $3, $4, $5, $6, $7)";
static const char sql_hold[] = "SELECT reducer_hold($1, $2, $3, $4)";
static const char sql_lanes[] =
    "INSERT INTO reducer_lanes (topic, partition, lane, last_seq)"
    " SELECT $1, u.* FROM unnest($2::int4[], $3::text[], $4::int8[]) AS u"
    " ON CONFLICT (topic, partition, lane) DO UPDATE SET last_seq = excluded.last_seq";
static const char sql_check_pruned[] = "SELECT reducer_check_pruned($1, $2)";
#define INSERT_ROWS                                                                                \
    "INSERT INTO aggregation_rows (definition, window_ms, window_start, group_key, partition,"     \
    " window_end, revision, events, state)"                                                        \
    " SELECT * FROM unnest($1::int4[], $2::int8[], $3::timestamptz[], $4::text[], $5::int4[],"     \
    " $6::timestamptz[], $7::int4[], $8::int8[], $9::bytea[])"
static const char sql_new_rows[] = INSERT_ROWS;
static const char sql_rows[] = INSERT_ROWS
    " ON CONFLICT (definition, window_ms, window_start, group_key, partition) DO UPDATE SET"
    " revision = excluded.revision, events = excluded.events, state = excluded.state,"
    " updated_at = now()";
static const char sql_drop_values[] =
    "DELETE FROM aggregation_values v USING unnest($1::int4[], $2::int8[], $3::timestamptz[],"
    " $4::text[], $5::int4[], $6::int2[])"
    " AS u (definition, window_ms, window_start, group_key, partition, cell)"
    " WHERE v.definition = u.definition AND v.window_ms = u.window_ms"
    " AND v.window_start = u.window_start AND v.group_key = u.group_key"
    " AND v.partition = u.partition AND v.cell = u.cell";
static const char sql_add_values[] =
    "INSERT INTO aggregation_values (definition, window_ms, window_start, group_key, partition,"
    " cell, first_value, hashes)"
    " SELECT * FROM unnest($1::int4[], $2::int8[], $3::timestamptz[], $4::text[], $5::int4[],"
    " $6::int2[], $7::int4[], $8::bytea[])";
static const char sql_messages[] =
    "INSERT INTO reducer_outbox (event_id, topic, event_type, key, value)"
    " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bytea[])";

static const enum postgres_type fence_types[] = {PG_TEXT, PG_TEXT, PG_INT4,       PG_INT8,
                                                 PG_INT8, PG_INT8, PG_TIMESTAMPTZ};
static const enum postgres_type lanes_types[] = {PG_TEXT, PG_INT4, PG_TEXT, PG_INT8};
static const enum postgres_type rows_types[] = {
    PG_INT4, PG_INT8, PG_TIMESTAMPTZ, PG_TEXT, PG_INT4, PG_TIMESTAMPTZ, PG_INT4, PG_INT8, PG_BYTEA,
};
static const enum postgres_type drop_types[] = {PG_INT4, PG_INT8, PG_TIMESTAMPTZ,
                                                PG_TEXT, PG_INT4, PG_INT2};
static const enum postgres_type add_types[] = {PG_INT4, PG_INT8, PG_TIMESTAMPTZ, PG_TEXT,
                                               PG_INT4, PG_INT2, PG_INT4,        PG_BYTEA};
static const enum postgres_type message_types[] = {PG_TEXT, PG_TEXT, PG_TEXT, PG_BYTEA, PG_BYTEA};

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

struct store *store_new(const char *url, const char *topic, const char *instance,
                        const struct aggregation_set *set)
{
    struct store *store = must_calloc(1, sizeof(*store));
    store->write = postgres_new(url, WRITE_NAME, WRITE_SETTINGS);
    store->load = postgres_new(url, "bridge-reducer load", WRITE_SETTINGS);
    postgres_set_reply_timeout(store->write, REPLY_TIMEOUT_MS);
    postgres_set_reply_timeout(store->load, 3 * REPLY_TIMEOUT_MS);
    store->topic = must_strdup(topic);
    store->instance = must_strdup(instance);
    store->cluster_id = must_strdup("");
    store->set = set;
    for (int i = 0; i < MESSAGE_COLUMNS; i++)
        postgres_array_start(&store->next_messages[i], message_types[i]);
    return store;
}

void store_set(struct store *store, struct store_settings settings) { store->settings = settings; }

void store_free(struct store *store)
{
    if (!store)
        return;
    postgres_values_fini(store->fence, FENCE_COLUMNS);
    postgres_values_fini(store->lanes, LANE_COLUMNS);
    postgres_values_fini(store->rows, ROW_COLUMNS);
    postgres_values_fini(store->new_rows, ROW_COLUMNS);
    postgres_values_fini(store->drops, DROP_COLUMNS);
    postgres_values_fini(store->adds, ADD_COLUMNS);
    postgres_values_fini(store->messages, MESSAGE_COLUMNS);
    postgres_values_fini(store->oldest, OLDEST_COLUMNS);
    postgres_values_fini(store->next_messages, MESSAGE_COLUMNS);
    postgres_values_fini(store->replaced, REPLACED_COLUMNS);
    postgres_values_fini(store->gaps, GAP_COLUMNS);
    buffer_fini(&store->scratch);
    postgres_free(store->write);
    postgres_free(store->load);
    free(store->topic);
    free(store->instance);
    free(store->cluster_id);
    free(store);
}

/* -- the snapshot -- */

static void start_arrays(struct postgres_value *values, const enum postgres_type *types, int first,
                         int count)
{
    for (int i = first; i < count; i++)
        postgres_array_start(&values[i], types[i]);
}

static void snapshot_partitions(struct store *store, const struct reducer *reducer)
{
    postgres_set_string(&store->fence[0], store->cluster_id);
    postgres_set_string(&store->fence[1], store->topic);
    postgres_set_string(&store->lanes[0], store->topic);
    start_arrays(store->fence, fence_types, 2, COUNT(fence_types));
    start_arrays(store->lanes, lanes_types, 1, COUNT(lanes_types));
    store->probe_partition = -1;
    for (int32_t number = 0; number < PARTITIONS_MAX; number++) {
        const struct reducer_partition *partition = reducer->partitions[number];
        if (!partition || !partition->dirty)
            continue;
        postgres_push_int4(&store->fence[2], number);
        postgres_push_int8(&store->fence[3], partition->epoch);
        postgres_push_int8(&store->fence[4], partition->committed_offset);
        postgres_push_int8(&store->fence[5], partition->next_offset);
        if (partition->newest_us == WINDOW_NO_TIME)
            postgres_push_null(&store->fence[6]);
        else
            postgres_push_instant(&store->fence[6], partition->newest_us);
        store->probe_partition = number;
        store->probe_epoch = partition->epoch;
        store->probe_before = partition->committed_offset;
        store->probe_after = partition->next_offset;
        for (size_t i = 0; i < partition->lanes_capacity; i++) {
            const struct reducer_lane *lane = &partition->lanes[i];
            if (!lane->name[0] || !lane->dirty)
                continue;
            postgres_push_int4(&store->lanes[1], number);
            postgres_push_string(&store->lanes[2], lane->name);
            postgres_push_int8(&store->lanes[3], lane->last_seq);
        }
    }
}

void store_push_key(struct store *store, struct postgres_value *values, const struct aggregate *row)
{
    bool windowed = row->end_us != INT64_MAX;
    postgres_push_int4(&values[0], store->ids[row->definition->index]);
    postgres_push_int8(&values[1], windowed ? (row->end_us - row->start_us) / 1000 : 0);
    postgres_push_instant(&values[2], row->start_us);
    postgres_push_text(&values[3], row->group, row->group_bytes);
    postgres_push_int4(&values[4], row->partition);
}

static void snapshot_row(struct store *store, const struct aggregate *row)
{
    struct postgres_value *rows = row->stored ? store->rows : store->new_rows;
    store_push_key(store, rows, row);
    if (row->end_us != INT64_MAX)
        postgres_push_instant(&rows[5], row->end_us);
    else
        postgres_push_null(&rows[5]);
    postgres_push_int4(&rows[6], row->revision);
    postgres_push_int8(&rows[7], row->events);
    buffer_clear(&store->scratch);
    aggregate_encode(row, &store->scratch);
    postgres_push_bytea(&rows[8], store->scratch.data, store->scratch.bytes);
}

static void add_piece(struct store *store, struct aggregate *row, int cell, int32_t first,
                      const void *octets, size_t bytes)
{
    store_push_key(store, store->adds, row);
    postgres_push_int2(&store->adds[5], (int16_t)cell);
    postgres_push_int4(&store->adds[6], first);
    postgres_push_bytea(&store->adds[7], octets, bytes);
    row->cells[cell].set->pieces++;
}

static void drop_pieces(struct store *store, struct aggregate *row, int cell)
{
    if (row->cells[cell].set->pieces == 0)
        return;
    store_push_key(store, store->drops, row);
    postgres_push_int2(&store->drops[5], (int16_t)cell);
    row->cells[cell].set->pieces = 0;
}

/* Small sets stand in their row. Larger ones are appended to; now and then their pieces are joined. */
static void snapshot_set(struct store *store, struct aggregate *row, int cell)
{
    const struct aggregate_set *kept = row->cells[cell].set;
    if (!kept || aggregate_set_is_inline(kept))
        return;
    struct distinct *set = &row->cells[cell].set->values;
    size_t count;
    const uint64_t *fresh = distinct_fresh(set, &count);
    bool join = count > 0 && kept->pieces >= PIECES_MAX;
    if (!distinct_is_exact(set) && (join || set->converted)) {
        drop_pieces(store, row, cell);
        add_piece(store, row, cell, STORE_PIECE_BASE, set->registers, DISTINCT_REGISTERS);
        distinct_new_base(set);
    } else if (join) {
        drop_pieces(store, row, cell);
        add_piece(store, row, cell, 0, set->values, set->count * sizeof(*set->values));
    } else if (count > 0) {
        add_piece(store, row, cell, (int32_t)set->stored, fresh, count * sizeof(*fresh));
    }
}

static void snapshot_sets(struct store *store, struct aggregate *row)
{
    const struct aggregation *definition = row->definition;
    for (int i = 0; definition->distincts_count > 0 && i < definition->cells_count; i++) {
        if (definition->cells[i].kind == CELL_DISTINCT)
            snapshot_set(store, row, i);
    }
}

/* A window that is as old as any of its aggregation in the snapshot. */
static void snapshot_oldest(struct store *store, const struct reducer *reducer)
{
    int64_t oldest_us[AGGREGATIONS_MAX];
    for (int i = 0; i < store->set->count; i++)
        oldest_us[i] = INT64_MAX;
    for (size_t i = 0; i < reducer->dirty_count; i++) {
        const struct aggregate *row = reducer->dirty[i];
        if (row->end_us < oldest_us[row->definition->index])
            oldest_us[row->definition->index] = row->end_us;
    }
    postgres_array_start(&store->oldest[0], PG_INT4);
    postgres_array_start(&store->oldest[1], PG_TIMESTAMPTZ);
    for (int i = 0; i < store->set->count; i++) {
        if (oldest_us[i] == INT64_MAX)
            continue;
        postgres_push_int4(&store->oldest[0], store->ids[i]);
        postgres_push_instant(&store->oldest[1], oldest_us[i]);
    }
}

void store_snapshot(struct store *store, struct reducer *reducer)
{
    snapshot_oldest(store, reducer);
    snapshot_partitions(store, reducer);
    start_arrays(store->rows, rows_types, 0, COUNT(rows_types));
    start_arrays(store->new_rows, rows_types, 0, COUNT(rows_types));
    start_arrays(store->drops, drop_types, 0, COUNT(drop_types));
    start_arrays(store->adds, add_types, 0, COUNT(add_types));
    for (size_t i = 0; i < reducer->dirty_count; i++) {
        snapshot_sets(store, reducer->dirty[i]); /* before the row says where they stand */
        snapshot_row(store, reducer->dirty[i]);
    }
    for (int i = 0; i < MESSAGE_COLUMNS; i++) {
        struct postgres_value ready = store->next_messages[i];
        store->next_messages[i] = store->messages[i];
        store->messages[i] = ready;
        postgres_array_start(&store->next_messages[i], message_types[i]);
    }
    reducer_snapshot_taken(reducer);
}

void store_add_message(struct store *store, const struct store_message *message)
{
    struct postgres_value *columns = store->next_messages;
    postgres_push_string(&columns[0], message->event_id);
    postgres_push_string(&columns[1], message->topic);
    postgres_push_string(&columns[2], message->event_type);
    if (message->key)
        postgres_push_bytea(&columns[3], message->key, message->key_bytes);
    else
        postgres_push_null(&columns[3]);
    postgres_push_bytea(&columns[4], message->value, message->value_bytes);
}

void store_forget(struct store *store)
{
    start_arrays(store->next_messages, message_types, 0, MESSAGE_COLUMNS);
    start_arrays(store->messages, message_types, 0, MESSAGE_COLUMNS);
}

size_t store_messages(const struct store *store) { return (size_t)store->next_messages[0].count; }
size_t store_messages_bytes(const struct store *store)
{
    return store->next_messages[MESSAGE_COLUMNS - 1].wire.bytes;
}
size_t store_snapshot_messages(const struct store *store)
{
    return (size_t)store->messages[0].count;
}

static enum error_code add_if_any(struct store *store, const char *sql,
                                  const struct postgres_value *values, int count, int array,
                                  struct error *error)
{
    return values[array].count == 0 ? ERR_OK
                                    : postgres_batch_add(store->write, sql, values, count, error);
}

/* The transaction as a batch that was not sent yet. */
static enum error_code fill_batch(struct store *store, struct error *error)
{
    enum error_code code = postgres_batch_begin(store->write, error);
    if (!code && store->of_the_past)
        code = postgres_batch_add(store->write, sql_hold, store->fence, HOLD_COLUMNS, error);
    else if (!code)
        code = postgres_batch_add(store->write, sql_fence, store->fence, FENCE_COLUMNS, error);
    if (!code && !store->of_the_past)
        code = add_if_any(store, sql_lanes, store->lanes, LANE_COLUMNS, 1, error);
    if (!code)
        code = add_if_any(store, sql_check_pruned, store->oldest, OLDEST_COLUMNS, 0, error);
    if (!code)
        code = store_add_rebuilt(store, error);
    if (!code)
        code = add_if_any(store, sql_rows, store->rows, ROW_COLUMNS, 0, error);
    if (!code)
        code = add_if_any(store, store->insert_new ? sql_new_rows : sql_rows, store->new_rows,
                          ROW_COLUMNS, 0, error);
    if (!code)
        code = add_if_any(store, sql_drop_values, store->drops, DROP_COLUMNS, 0, error);
    if (!code)
        code = add_if_any(store, sql_add_values, store->adds, ADD_COLUMNS, 0, error);
    if (!code)
        code = add_if_any(store, sql_messages, store->messages, MESSAGE_COLUMNS, 0, error);
    return code;
}

enum error_code store_send(struct store *store, struct error *error)
{
    store->insert_new = !store->found_older;
    enum error_code code = fill_batch(store, error);
    return code ? code : postgres_batch_start(store->write, -1, error);
}

/* Of the past, or a repair: most of the rows are there. */
enum error_code store_commit(struct store *store, struct error *error)
{
    store->insert_new = false;
    enum error_code code = fill_batch(store, error);
    return code ? code : postgres_batch_run(store->write, -1, NULL, error);
}

void store_count_the_past(struct store *store) { store->of_the_past = true; }

enum error_code store_poll(struct store *store, bool *done, bool *wants_write, struct error *error)
{
    enum error_code code = postgres_batch_poll(store->write, done, wants_write, NULL, error);
    if (*done)
        store->found_older = code == ERR_CONFLICT;
    return code;
}

int store_socket(const struct store *store) { return postgres_socket(store->write); }
bool store_connected(const struct store *store) { return postgres_connected(store->write); }

/* -- partitions -- */

/* A reducer that was stopped in the middle of its pipeline holds row locks, and its backend waits for the rest
 * of it: no timeout of the server applies there. One that lives leaves no gap of seconds between two
 * statements of a transaction, so such a backend is ended before rows of partitions are touched. */
static enum error_code end_stopped_writers(struct store *store, struct error *error)
{
    static const char sql[] =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = '" WRITE_NAME "' AND datname = current_database()"
        " AND usename = current_user AND backend_xid IS NOT NULL"
        " AND wait_event IN ('ClientRead', 'ClientWrite')"
        " AND greatest(query_start, state_change) < clock_timestamp() - interval '3 s'";
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_query(store->load, sql, NULL, 0, &rows, error);
    if (!code && postgres_rows_count(rows) > 0)
        log_warning("ended transactions of reducers that have stopped",
                    LOG_INT("count", postgres_rows_count(rows)));
    postgres_rows_free(rows);
    return code;
}

enum error_code store_use_cluster(struct store *store, const char *cluster_id, int32_t partitions,
                                  struct error *error)
{
    static const char sql[] = "INSERT INTO reducer_partitions (cluster_id, topic, partition)"
                              " SELECT $1, $2, n FROM generate_series(0, $3::int4 - 1) AS n"
                              " WHERE NOT EXISTS (SELECT FROM reducer_partitions p"
                              " WHERE p.cluster_id = $1 AND p.topic = $2 AND p.partition = n)"
                              " ON CONFLICT DO NOTHING";
    struct postgres_value values[3] = {0};
    free(store->cluster_id);
    store->cluster_id = must_strdup(cluster_id);
    postgres_set_string(&values[0], cluster_id);
    postgres_set_string(&values[1], store->topic);
    postgres_set_int4(&values[2], partitions);
    enum error_code code = postgres_query(store->load, sql, values, 3, NULL, error);
    postgres_values_fini(values, 3);
    return code;
}

enum error_code store_assign(struct store *store, const int32_t *partitions, int count,
                             struct store_assignment *assignments, struct error *error)
{
    static const char sql[] =
        "INSERT INTO reducer_partitions AS p (cluster_id, topic, partition, epoch, owner)"
        " SELECT $1, $2, n, 1, $3 FROM unnest($4::int4[]) AS n ORDER BY n"
        " ON CONFLICT (cluster_id, topic, partition) DO UPDATE"
        " SET epoch = p.epoch + 1, owner = excluded.owner, idle_at = NULL, updated_at = now()"
        " RETURNING p.partition, p.epoch, p.next_offset, p.newest_event_at,"
        " ',' || array_to_string(p.counted, ',') || ','";
    struct postgres_value values[4] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], store->cluster_id);
    postgres_set_string(&values[1], store->topic);
    postgres_set_string(&values[2], store->instance);
    postgres_array_start(&values[3], PG_INT4);
    for (int i = 0; i < count; i++)
        postgres_push_int4(&values[3], partitions[i]);
    enum error_code code = end_stopped_writers(store, error);
    if (!code)
        code = postgres_query(store->load, sql, values, 4, &rows, error);
    postgres_values_fini(values, 4);
    if (code)
        return code;
    for (int row = 0; row < postgres_rows_count(rows); row++) {
        struct store_assignment found = {
            .partition = (int32_t)postgres_rows_int(rows, row, 0),
            .epoch = postgres_rows_int(rows, row, 1),
            .next_offset = postgres_rows_int(rows, row, 2),
            .newest_us = postgres_rows_null(rows, row, 3) ? WINDOW_NO_TIME
                                                          : postgres_rows_instant(rows, row, 3),
        };
        found.pending = store_pending(store, rows, row, 4, &found);
        for (int i = 0; i < count; i++) {
            if (partitions[i] == found.partition)
                assignments[i] = found;
        }
    }
    bool complete = postgres_rows_count(rows) == count;
    postgres_rows_free(rows);
    if (complete)
        code = store_note_counted(store, assignments, count, error);
    return complete ? code
                    : error_set(error, ERR_INTERNAL,
                                "some partitions have no row in reducer_partitions");
}

void store_set_instance(struct store *store, const char *instance)
{
    free(store->instance);
    store->instance = must_strdup(instance);
}

enum error_code store_count_deserted(struct store *store, const int32_t *assigned, int count,
                                     int *deserted, struct error *error)
{
    static const char sql[] = "SELECT count(*) FROM reducer_partitions WHERE cluster_id = $1"
                              " AND topic = $2 AND owner = $3 AND NOT partition = ANY ($4::int4[])";
    struct postgres_value values[4] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], store->cluster_id);
    postgres_set_string(&values[1], store->topic);
    postgres_set_string(&values[2], store->instance);
    postgres_array_start(&values[3], PG_INT4);
    for (int i = 0; i < count; i++)
        postgres_push_int4(&values[3], assigned[i]);
    enum error_code code = postgres_query(store->load, sql, values, 4, &rows, error);
    *deserted = code ? 0 : (int)postgres_rows_int(rows, 0, 0);
    postgres_rows_free(rows);
    postgres_values_fini(values, 4);
    return code;
}

enum error_code store_outcome(struct store *store, bool *committed, struct error *error)
{
    static const char sql[] = "SELECT epoch, next_offset FROM reducer_partitions"
                              " WHERE cluster_id = $1 AND topic = $2 AND partition = $3";
    struct postgres_value values[3] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], store->cluster_id);
    postgres_set_string(&values[1], store->topic);
    postgres_set_int4(&values[2], store->probe_partition);
    enum error_code code = postgres_query(store->load, sql, values, 3, &rows, error);
    postgres_values_fini(values, 3);
    if (code)
        return code;
    bool ours =
        postgres_rows_count(rows) == 1 && postgres_rows_int(rows, 0, 0) == store->probe_epoch;
    int64_t offset = ours ? postgres_rows_int(rows, 0, 1) : -1;
    postgres_rows_free(rows);
    *committed = offset == store->probe_after;
    if (!*committed && offset != store->probe_before)
        code = error_set(error, ERR_FENCED, "partition %d belongs to another reducer",
                         (int)store->probe_partition);
    return code;
}
