/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/log.h"
#include "orchestrator/store.h"

#define LOAD_CHUNK 500 /* workflows read at a time */
#define LOAD_NEWEST 64 /* read first: those most likely at work, and whose clients wait */
#define LOAD_HURRY 50  /* read at a time while others wait for their turn */
#define LOAD_CHUNK_BYTES                                                                           \
    (4 << 20) /* of their inputs and records as stored, unless one alone is larger */

/* Materialised, so that the index of live workflows is used: for the order alone the planner would read
 * every workflow there ever was by its key. */
static const char sql_live[] =
    "WITH live AS MATERIALIZED (SELECT id, pg_column_size(input)::bigint AS bytes "
    "FROM workflow_executions WHERE shard = ANY($1) AND completed_at IS NULL) "
    "SELECT id, bytes FROM live ORDER BY id";
static const char sql_sizes[] = "SELECT id, pg_column_size(input)::bigint FROM workflow_executions "
                                "WHERE id = ANY($1) ORDER BY id";
/* The ids of a chunk, its first and its last: the array alone would not keep other partitions out. */
static const char sql_heads[] =
    "SELECT id, shard, correlation_id, workflow_type, contract_version, namespace, input, "
    "metadata, traceparent, created_at, parent_token "
    "FROM workflow_executions WHERE id = ANY($1) AND id BETWEEN $2 AND $3 ORDER BY id";
static const char sql_record_sizes[] =
    "SELECT workflow_id, coalesce(sum(pg_column_size(payload)), 0)::bigint FROM workflow_events "
    "WHERE workflow_id = ANY($1) AND workflow_id BETWEEN $2 AND $3 "
    "GROUP BY workflow_id ORDER BY workflow_id";
static const char sql_records[] =
    "SELECT workflow_id, n, seq, kind, wait, attempt, duration_us, at, random, error, cause, "
    "payload, seq_count "
    "FROM workflow_events WHERE workflow_id = ANY($1) AND workflow_id BETWEEN $2 AND $3 "
    "ORDER BY workflow_id, n";
static const char sql_lane[] = "SELECT workflow_id, seq + seq_count - 1 FROM workflow_events "
                               "WHERE shard = $1 AND seq + seq_count > $2 + 1 AND seq_count > 0 "
                               "ORDER BY seq + seq_count LIMIT $3";

struct reading {
    struct registry *registry;
    struct postgres *postgres;
    const struct workflow_environment *environment;
    store_on_record *on_record;
    store_on_workflow *on_workflow;
    void *context;
};

static char *text_or_null(const struct postgres_rows *rows, int row, int column)
{
    size_t bytes;
    const char *text = postgres_rows_text(rows, row, column, &bytes);
    return text == NULL ? NULL : must_strndup(text, bytes);
}

static struct json *json_or_null(const struct postgres_rows *rows, int row, int column)
{
    size_t bytes;
    const char *text = postgres_rows_text(rows, row, column, &bytes);
    return text == NULL ? NULL : json_parse(text, bytes, NULL, NULL);
}

/* *workflow is NULL when its contract cannot be had any more. */
static enum error_code read_head(const struct reading *reading, const struct postgres_rows *rows,
                                 int row, struct workflow **workflow, struct error *error_out)
{
    char *name = text_or_null(rows, row, 3), *version = text_or_null(rows, row, 4);
    const struct contract *contract;
    enum error_code code =
        registry_version(reading->registry, reading->postgres, name, version, &contract, error_out);
    struct uuid id = postgres_rows_uuid(rows, row, 0);
    size_t input_bytes = 0;
    *workflow = NULL;
    if (code == ERR_OK && contract == NULL) {
        char text[UUID_TEXT_BYTES];
        log_error("contract of a workflow is missing",
                  LOG_TEXT("workflow_id", uuid_format(&id, text)), LOG_TEXT("contract", name),
                  LOG_TEXT("version", version));
    } else if (code == ERR_OK) {
        struct workflow_head head = {
            .id = id,
            .shard = (int16_t)postgres_rows_int(rows, row, 1),
            .run = 1, /* its records raise it */
            .correlation_id = text_or_null(rows, row, 2),
            .namespace = text_or_null(rows, row, 5),
            .input = json_or_null(rows, row, 6),
            .metadata = json_or_null(rows, row, 7),
            .traceparent = text_or_null(rows, row, 8),
            .created_us = postgres_rows_instant(rows, row, 9),
            .parent_token = text_or_null(rows, row, 10),
        };
        postgres_rows_text(rows, row, 6, &input_bytes);
        head.input_bytes = (int64_t)input_bytes;
        *workflow = workflow_new(contract, &head, reading->environment);
    }
    free(name);
    free(version);
    return code;
}

static enum error_code apply_row(const struct reading *reading, struct workflow *workflow,
                                 const struct postgres_rows *rows, int row,
                                 struct workflow_outcome *outcome)
{
    char *error = text_or_null(rows, row, 9), *cause = text_or_null(rows, row, 10);
    struct json *payload = json_or_null(rows, row, 11);
    struct workflow_record record = {
        .n = (int32_t)postgres_rows_int(rows, row, 1),
        .kind = (enum record_kind)postgres_rows_int(rows, row, 3),
        .wait = (uint32_t)postgres_rows_int(rows, row, 4),
        .attempt = (uint32_t)postgres_rows_int(rows, row, 5),
        .duration_us = postgres_rows_int(rows, row, 6),
        .at_us = postgres_rows_instant(rows, row, 7),
        .random = postgres_rows_double(rows, row, 8),
        .error = error,
        .cause = cause,
        .payload = payload,
    };
    enum error_code code = workflow_apply(workflow, &record, outcome);
    if (code == ERR_OK && reading->on_record != NULL &&
        (int64_t)outcome->events_count != postgres_rows_int(rows, row, 12))
        code = ERR_CONFLICT; /* its lane numbers would no longer fit */
    if (code == ERR_OK && reading->on_record != NULL)
        reading->on_record(reading->context, workflow, &record, outcome,
                           postgres_rows_int(rows, row, 2));
    free(error);
    free(cause);
    json_release(payload);
    return code;
}

static void diverged(const struct workflow *workflow, int64_t n)
{
    char text[UUID_TEXT_BYTES];
    metrics_add(METRIC_REPLAY_DIVERGENCE, 0, 0, 1);
    log_error("ReplayDivergence: a record does not fit its workflow, which is stopped",
              LOG_TEXT("workflow_id", uuid_format(&workflow_head(workflow)->id, text)),
              LOG_INT("record", n));
}

/* Both results are ordered by workflow id: one walk over the two. */
static enum error_code replay(const struct reading *reading, const struct postgres_rows *heads,
                              const struct postgres_rows *records, struct error *error)
{
    struct workflow_outcome outcome = {.silent = reading->on_record == NULL};
    int row = 0, rows = postgres_rows_count(records);
    enum error_code code = ERR_OK;
    for (int i = 0; i < postgres_rows_count(heads); i++) {
        struct uuid id = postgres_rows_uuid(heads, i, 0);
        struct workflow *workflow;
        code = read_head(reading, heads, i, &workflow, error);
        if (code != ERR_OK)
            break;
        bool fits = workflow != NULL;
        for (; row < rows; row++) {
            struct uuid of = postgres_rows_uuid(records, row, 0);
            if (!uuid_equal(&of, &id))
                break;
            if (fits && apply_row(reading, workflow, records, row, &outcome) != ERR_OK) {
                diverged(workflow, postgres_rows_int(records, row, 1));
                fits = false;
            }
        }
        if (fits && reading->on_workflow != NULL)
            reading->on_workflow(reading->context, workflow);
        else
            workflow_free(workflow);
    }
    workflow_outcome_fini(&outcome);
    return code;
}

#define CHUNK_VALUES 3

static enum error_code read_chunk(const struct reading *reading,
                                  const struct postgres_value chunk[CHUNK_VALUES],
                                  struct error *error)
{
    struct postgres_rows *heads = NULL, *records = NULL;
    enum error_code code =
        postgres_query(reading->postgres, sql_heads, chunk, CHUNK_VALUES, &heads, error);
    if (code == ERR_OK)
        code = postgres_query(reading->postgres, sql_records, chunk, CHUNK_VALUES, &records, error);
    if (code == ERR_OK)
        code = replay(reading, heads, records, error);
    postgres_rows_free(heads);
    postgres_rows_free(records);
    return code;
}

/* Workflows to read, by id, with the sizes of their inputs. The sizes of their records are asked for so many
 * at a time, ahead of reading them. */
struct naming {
    struct postgres_rows *named;
    int next, end; /* end: the first that is not to be read */
    int sized;     /* up to this one; the sizes are those of the last LOAD_CHUNK before it */
    int64_t sizes[LOAD_CHUNK];
};

static void fill_chunk(const struct naming *naming, int count,
                       struct postgres_value chunk[CHUNK_VALUES])
{
    struct uuid first = postgres_rows_uuid(naming->named, naming->next, 0);
    struct uuid last = postgres_rows_uuid(naming->named, naming->next + count - 1, 0);
    postgres_array_start(&chunk[0], PG_UUID);
    for (int i = 0; i < count; i++) {
        struct uuid id = postgres_rows_uuid(naming->named, naming->next + i, 0);
        postgres_push_uuid(&chunk[0], &id);
    }
    postgres_set_uuid(&chunk[1], &first);
    postgres_set_uuid(&chunk[2], &last);
}

static int64_t *size_of(struct naming *naming, int place)
{
    return &naming->sizes[place % LOAD_CHUNK];
}

static enum error_code ask_sizes(const struct reading *reading, struct naming *naming,
                                 struct error *error)
{
    int left = naming->end - naming->next;
    int count = left < LOAD_CHUNK ? left : LOAD_CHUNK, row = 0;
    struct postgres_value chunk[CHUNK_VALUES] = {{0}};
    struct postgres_rows *rows = NULL;
    fill_chunk(naming, count, chunk);
    enum error_code code =
        postgres_query(reading->postgres, sql_record_sizes, chunk, CHUNK_VALUES, &rows, error);
    for (int i = naming->next; code == ERR_OK && i < naming->next + count; i++) {
        struct uuid id = postgres_rows_uuid(naming->named, i, 0), of;
        *size_of(naming, i) = postgres_rows_int(naming->named, i, 1);
        if (row == postgres_rows_count(rows))
            continue;
        of = postgres_rows_uuid(rows, row, 0);
        if (uuid_equal(&of, &id))
            *size_of(naming, i) += postgres_rows_int(rows, row++, 1);
    }
    if (code == ERR_OK)
        naming->sized = naming->next + count;
    postgres_rows_free(rows);
    for (int i = 0; i < CHUNK_VALUES; i++)
        postgres_value_fini(&chunk[i]);
    return code;
}

/* Reads so many that no answer grows past `most` workflows or LOAD_CHUNK_BYTES. */
static enum error_code read_next(const struct reading *reading, struct naming *naming, int most,
                                 struct error *error)
{
    struct postgres_value chunk[CHUNK_VALUES] = {{0}};
    int count = 0;
    int64_t bytes = 0;
    if (naming->next == naming->sized) {
        enum error_code code = ask_sizes(reading, naming, error);
        if (code != ERR_OK)
            return code;
    }
    do
        bytes += *size_of(naming, naming->next + count++);
    while (count < most && naming->next + count < naming->sized &&
           bytes + *size_of(naming, naming->next + count) <= LOAD_CHUNK_BYTES);
    fill_chunk(naming, count, chunk);
    naming->next += count;
    enum error_code code = read_chunk(reading, chunk, error);
    for (int i = 0; i < CHUNK_VALUES; i++)
        postgres_value_fini(&chunk[i]);
    return code;
}

static enum error_code read_ids(const struct reading *reading, const struct postgres_value *ids,
                                struct error *error)
{
    struct naming naming = {0};
    enum error_code code =
        postgres_query(reading->postgres, sql_sizes, ids, 1, &naming.named, error);
    naming.end = code == ERR_OK ? postgres_rows_count(naming.named) : 0;
    while (naming.next < naming.end && code == ERR_OK)
        code = read_next(reading, &naming, LOAD_CHUNK, error);
    postgres_rows_free(naming.named);
    return code;
}

enum error_code store_read_workflow(struct postgres *postgres, struct registry *registry,
                                    const struct uuid *id,
                                    const struct workflow_environment *environment,
                                    store_on_workflow *on_workflow, void *context,
                                    struct error *error)
{
    struct reading reading = {.registry = registry,
                              .postgres = postgres,
                              .environment = environment,
                              .on_workflow = on_workflow,
                              .context = context};
    struct postgres_value ids = {0};
    postgres_array_start(&ids, PG_UUID);
    postgres_push_uuid(&ids, id);
    enum error_code code = read_ids(&reading, &ids, error);
    postgres_value_fini(&ids);
    return code;
}

struct store_loading {
    struct reading reading;
    struct naming newest, rest; /* of the same rows */
};

enum error_code store_loading_open(struct store_loading **out, struct postgres *postgres,
                                   struct registry *registry, const int16_t *shards, int count,
                                   const struct workflow_environment *environment,
                                   store_on_workflow *on_workflow, void *context,
                                   struct error *error)
{
    struct store_loading *loading = must_calloc(1, sizeof *loading);
    loading->reading = (struct reading){.registry = registry,
                                        .postgres = postgres,
                                        .environment = environment,
                                        .on_workflow = on_workflow,
                                        .context = context};
    struct postgres_value value = {0};
    postgres_array_start(&value, PG_INT2);
    for (int i = 0; i < count; i++)
        postgres_push_int2(&value, shards[i]);
    enum error_code code =
        postgres_query(postgres, sql_live, &value, 1, &loading->rest.named, error);
    postgres_value_fini(&value);
    if (code == ERR_OK) {
        int total = postgres_rows_count(loading->rest.named);
        loading->rest.end = total > LOAD_NEWEST ? total - LOAD_NEWEST : 0;
        loading->newest = loading->rest;
        loading->newest.next = loading->newest.sized = loading->rest.end;
        loading->newest.end = total;
        *out = loading;
        return ERR_OK;
    }
    store_loading_free(loading);
    return code;
}

bool store_loading_ended(const struct store_loading *loading)
{
    return loading->newest.next == loading->newest.end && loading->rest.next == loading->rest.end;
}

enum error_code store_loading_next(struct store_loading *loading, bool hurry, struct error *error)
{
    bool newest = loading->newest.next < loading->newest.end;
    return read_next(&loading->reading, newest ? &loading->newest : &loading->rest,
                     hurry ? LOAD_HURRY : LOAD_CHUNK, error);
}

void store_loading_free(struct store_loading *loading)
{
    if (loading == NULL)
        return;
    postgres_rows_free(loading->rest.named);
    free(loading);
}

enum error_code store_read_lane(struct postgres *postgres, struct registry *registry, int16_t shard,
                                int64_t after_seq, int limit,
                                const struct workflow_environment *environment,
                                store_on_record *on_record, void *context, int64_t *last_seq,
                                struct error *error)
{
    struct reading reading = {.registry = registry,
                              .postgres = postgres,
                              .environment = environment,
                              .on_record = on_record,
                              .context = context};
    struct postgres_value values[3] = {{0}}, ids = {0};
    struct postgres_rows *rows = NULL;
    *last_seq = after_seq;
    postgres_set_int2(&values[0], shard);
    postgres_set_int8(&values[1], after_seq);
    postgres_set_int8(&values[2], limit);
    enum error_code code = postgres_query(postgres, sql_lane, values, 3, &rows, error);
    if (code == ERR_OK && postgres_rows_count(rows) > 0) {
        postgres_array_start(&ids, PG_UUID);
        for (int i = 0; i < postgres_rows_count(rows); i++) {
            struct uuid id = postgres_rows_uuid(rows, i, 0);
            postgres_push_uuid(&ids, &id);
            *last_seq = postgres_rows_int(rows, i, 1);
        }
        code = read_ids(&reading, &ids, error);
    }
    postgres_rows_free(rows);
    for (int i = 0; i < 3; i++)
        postgres_value_fini(&values[i]);
    postgres_value_fini(&ids);
    return code;
}
