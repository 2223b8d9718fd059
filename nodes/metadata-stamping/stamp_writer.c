/* SPDX-License-Identifier: MIT */
#include "metadata-stamping/stamp_writer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/log.h"
#include "io/postgres.h"

#define ATTEMPTS_MAX 3
#define REPLY_GRACE_S 2 /* the server ends a statement first */

enum {
    V_ID,
    V_WORKFLOW,
    V_HASH,
    V_PATH,
    V_SIZE,
    V_TYPE,
    V_DATA,
    V_PROTOCOL,
    V_INTELLIGENCE,
    V_VERSION,
    V_OP,
    V_NAMESPACE,
    V_METADATA_VERSION,
    V_CREATED,
    VALUES
};

/* One thread's wish; lives on its stack until done. */
struct put {
    const struct stamp_request *request;
    const char *hash;
    const char *stamp_data;
    struct stamp_row *row;
    struct error error;
    bool done;
    pthread_cond_t changed;
    struct put *next;
};

struct stamp_writer {
    pthread_mutex_t lock;
    struct put *first;
    struct put *last;
    bool busy; /* somebody writes; the two below are theirs */
    struct postgres *postgres;
    struct postgres_value values[VALUES];
};

struct stamp_writer *stamp_writer_new(const char *url, int query_timeout_s)
{
    char settings[96];
    struct stamp_writer *writer = must_calloc(1, sizeof *writer);
    /* The statement looks rows up by their unique key, one by one; it must not become a scan of the
     * whole table because the plan was made when the table was small. */
    snprintf(settings, sizeof settings, "-c enable_seqscan=off -c statement_timeout=%ds",
             query_timeout_s);
    writer->postgres = postgres_new(url, "metadata-stamping writer", settings);
    postgres_set_reply_timeout(writer->postgres, (query_timeout_s + REPLY_GRACE_S) * 1000);
    pthread_mutex_init(&writer->lock, NULL);
    return writer;
}

void stamp_writer_free(struct stamp_writer *writer)
{
    if (writer == NULL)
        return;
    BUG_IF(writer->busy || writer->first != NULL);
    for (int i = 0; i < VALUES; i++)
        postgres_value_fini(&writer->values[i]);
    postgres_free(writer->postgres);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}

/* Rows of the group in their order. A stamp that was there before is read from the table; one that
 * another process wrote after our snapshot is in neither and comes back empty: ask again. */
static const char put_sql[] =
    "WITH wish AS (SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], "
    "$5::int8[], $6::text[], $7::text[],"
    " $8::text[], $9::text[], $10::int4[], $11::uuid[], $12::text[], $13::text[], "
    "$14::timestamptz[]) WITH ORDINALITY"
    " AS w(id, workflow_id, file_hash, file_path, file_size, content_type, stamp_data, "
    "protocol_version, intelligence_data,"
    " version, op_id, namespace, metadata_version, created_at, n)),"
    " fresh AS (INSERT INTO metadata_stamps (id, workflow_id, file_hash, file_path, file_size, "
    "content_type, stamp_data,"
    " protocol_version, intelligence_data, version, op_id, namespace, metadata_version, "
    "created_at, updated_at)"
    " SELECT id, workflow_id, file_hash, file_path, file_size, content_type, stamp_data::jsonb, "
    "protocol_version,"
    " intelligence_data::jsonb, version, op_id, namespace, metadata_version, created_at, "
    "created_at FROM wish"
    " ON CONFLICT (namespace, file_hash) DO NOTHING"
    " RETURNING id, created_at, op_id, version, metadata_version, namespace, file_hash)"
    " SELECT COALESCE(f.id, m.id), COALESCE(f.created_at, m.created_at), COALESCE(f.op_id, "
    "m.op_id),"
    " COALESCE(f.version, m.version), COALESCE(f.metadata_version, m.metadata_version), f.id IS "
    "NOT DISTINCT FROM w.id"
    " FROM wish w LEFT JOIN fresh f ON f.namespace = w.namespace AND f.file_hash = w.file_hash"
    " LEFT JOIN LATERAL (SELECT id, created_at, op_id, version, metadata_version FROM "
    "metadata_stamps s"
    " WHERE f.id IS NULL AND s.namespace = w.namespace AND s.file_hash = w.file_hash LIMIT 1) m "
    "ON true ORDER BY w.n";

static void push(struct postgres_value *values, const struct put *put)
{
    const struct stamp_request *request = put->request;
    char *intelligence =
        request->intelligence_data != NULL ? json_to_text(request->intelligence_data) : NULL;
    postgres_push_uuid(&values[V_ID], &put->row->id);
    if (request->has_workflow_id)
        postgres_push_uuid(&values[V_WORKFLOW], &request->workflow_id);
    else
        postgres_push_null(&values[V_WORKFLOW]);
    postgres_push_string(&values[V_HASH], put->hash);
    postgres_push_string(&values[V_PATH], request->file_path);
    postgres_push_int8(&values[V_SIZE], (int64_t)request->file_bytes);
    postgres_push_string(&values[V_TYPE], request->content_type);
    postgres_push_string(&values[V_DATA], put->stamp_data);
    postgres_push_string(&values[V_PROTOCOL], request->protocol_version);
    postgres_push_string(&values[V_INTELLIGENCE], intelligence != NULL ? intelligence : "{}");
    postgres_push_int4(&values[V_VERSION], request->version);
    postgres_push_uuid(&values[V_OP], &put->row->op_id);
    postgres_push_string(&values[V_NAMESPACE], request->namespace);
    postgres_push_string(&values[V_METADATA_VERSION], request->metadata_version);
    postgres_push_instant(&values[V_CREATED], put->row->created_us);
    free(intelligence);
}

static void fill_values(struct postgres_value *values, const struct put *group)
{
    static const enum postgres_type types[VALUES] = {
        [V_ID] = PG_UUID,
        [V_WORKFLOW] = PG_UUID,
        [V_HASH] = PG_TEXT,
        [V_PATH] = PG_TEXT,
        [V_SIZE] = PG_INT8,
        [V_TYPE] = PG_TEXT,
        [V_DATA] = PG_TEXT,
        [V_PROTOCOL] = PG_TEXT,
        [V_INTELLIGENCE] = PG_TEXT,
        [V_VERSION] = PG_INT4,
        [V_OP] = PG_UUID,
        [V_NAMESPACE] = PG_TEXT,
        [V_METADATA_VERSION] = PG_TEXT,
        [V_CREATED] = PG_TIMESTAMPTZ,
    };
    for (int i = 0; i < VALUES; i++)
        postgres_array_start(&values[i], types[i]);
    for (const struct put *put = group; put != NULL; put = put->next)
        push(values, put);
}

/* What the row says goes to the put; empty rows stay not done. */
static void take_row(struct put *put, const struct postgres_rows *rows, int n)
{
    if (postgres_rows_null(rows, n, 0)) {
        error_set(&put->error, ERR_UNAVAILABLE,
                  "the stamp was written and removed again meanwhile");
        return;
    }
    put->row->id = postgres_rows_uuid(rows, n, 0);
    put->row->created_us = postgres_rows_instant(rows, n, 1);
    put->row->op_id = postgres_rows_uuid(rows, n, 2);
    put->row->version = (int32_t)postgres_rows_int(rows, n, 3);
    snprintf(put->row->metadata_version, sizeof put->row->metadata_version, "%s",
             postgres_rows_text(rows, n, 4, NULL));
    put->row->created = postgres_rows_bool(rows, n, 5);
    put->error = (struct error){0};
}

static enum error_code write_once(struct stamp_writer *writer, struct put *group,
                                  struct error *error)
{
    struct postgres_rows *rows = NULL;
    fill_values(writer->values, group);
    enum error_code code =
        postgres_query(writer->postgres, put_sql, writer->values, VALUES, &rows, error);
    if (code == ERR_OK) {
        int n = 0;
        for (struct put *put = group; put != NULL; put = put->next)
            take_row(put, rows, n++);
    } else {
        code = stamp_store_explain(code, postgres_sqlstate(writer->postgres), error);
    }
    postgres_rows_free(rows);
    return code;
}

/* Writes a group that may have a single member; every member's error tells how it went. */
static void write_group(struct stamp_writer *writer, struct put *group)
{
    struct error error = {0};
    enum error_code code = ERR_OUTCOME_UNKNOWN;
    /* The statement does nothing the second time, so a lost answer is asked for again. */
    for (int attempt = 0; attempt < ATTEMPTS_MAX && code == ERR_OUTCOME_UNKNOWN; attempt++)
        code = write_once(writer, group, &error);
    if (code == ERR_OK)
        return;
    for (struct put *put = group; put != NULL; put = put->next) {
        if (code != ERR_INVALID || group->next == NULL) {
            put->error = error;
            continue;
        }
        struct put *rest = put->next; /* one of them is at fault: each for itself */
        put->next = NULL;
        write_group(writer, put);
        put->next = rest;
    }
}

/* Those whose row was in neither place ask again alone. */
static void write_missing(struct stamp_writer *writer, struct put *group)
{
    for (struct put *put = group; put != NULL; put = put->next) {
        for (int attempt = 1; attempt < ATTEMPTS_MAX && put->error.code == ERR_UNAVAILABLE;
             attempt++) {
            struct put *rest = put->next;
            put->next = NULL;
            write_group(writer, put);
            put->next = rest;
        }
    }
}

static struct put *take_group(struct stamp_writer *writer)
{
    struct put *group = writer->first;
    struct put *last = group;
    size_t bytes = strlen(group->stamp_data);
    for (int count = 1; last->next != NULL && count < STAMP_GROUP_MAX; count++) {
        bytes += strlen(last->next->stamp_data);
        if (bytes > STAMP_GROUP_BYTES_MAX)
            break;
        last = last->next;
    }
    writer->first = last->next;
    if (writer->first == NULL)
        writer->last = NULL;
    last->next = NULL;
    return group;
}

/* Called and left with the lock held. */
static void write_for_all(struct stamp_writer *writer)
{
    struct put *group = take_group(writer);
    writer->busy = true;
    pthread_mutex_unlock(&writer->lock);
    write_group(writer, group);
    write_missing(writer, group);
    pthread_mutex_lock(&writer->lock);
    writer->busy = false;
    while (group != NULL) {
        struct put *next = group->next; /* once done, its memory is its thread's again */
        group->done = true;
        pthread_cond_signal(&group->changed);
        group = next;
    }
    if (writer->first != NULL)
        pthread_cond_signal(&writer->first->changed);
}

enum error_code stamp_writer_put(struct stamp_writer *writer, const struct stamp_request *request,
                                 const char *hash, const char *stamp_data, struct stamp_row *row,
                                 struct error *error)
{
    struct put put = {.request = request, .hash = hash, .stamp_data = stamp_data, .row = row};
    pthread_cond_init(&put.changed, NULL);
    pthread_mutex_lock(&writer->lock);
    if (writer->last != NULL)
        writer->last->next = &put;
    else
        writer->first = &put;
    writer->last = &put;
    while (!put.done) {
        if (writer->busy)
            pthread_cond_wait(&put.changed, &writer->lock);
        else
            write_for_all(writer);
    }
    pthread_mutex_unlock(&writer->lock);
    pthread_cond_destroy(&put.changed);
    *error = put.error;
    return put.error.code;
}
