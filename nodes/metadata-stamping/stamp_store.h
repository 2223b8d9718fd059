/* SPDX-License-Identifier: MIT */
/* stamp_store.h - the table metadata_stamps: one row per (namespace, hash), written once.
 *
 * Threads   Any; reads take a connection from a pool, writes go in groups (stamp_writer.h).
 * Errors    ERR_DATABASE, ERR_UNAVAILABLE, ERR_TIMEOUT: try again later, nothing is pretended.
 *           ERR_INVALID: PostgreSQL cannot hold a value. ERR_NOT_FOUND: no such row.
 */
#ifndef METADATA_STAMPING_STAMP_STORE_H
#define METADATA_STAMPING_STAMP_STORE_H

#include "base/buffer.h"
#include "base/config.h"
#include "metadata-stamping/core/stamp_request.h"

#define NAMESPACE_LIST_DEFAULT 50

struct stamp_store;

/* What the row says, which may be older than the request. */
struct stamp_row {
    struct uuid id;
    int64_t created_us;
    struct uuid op_id;
    int32_t version;
    char metadata_version[STAMP_VERSION_TEXT_BYTES_MAX + 1];
    bool created; /* false: it was there before */
};

/* Are the variables that name a database set? See service.h. */
bool stamp_store_configured(void);
struct stamp_store *stamp_store_new(const struct config *config) MUST_USE;
void stamp_store_free(struct stamp_store *store);

/* What a failed statement means for the request: a value that PostgreSQL cannot hold (SQLSTATE class
 * 22) is its own fault, everything else the database's. Returns the code that *error then has. */
enum error_code stamp_store_explain(enum error_code code, const char *sqlstate,
                                    struct error *error);

/* In: id, created_us and op_id proposed for a new row. Out: the row that is there now. */
enum error_code stamp_store_put(struct stamp_store *store, const struct stamp_request *request,
                                const char *hash, const char *stamp_data, struct stamp_row *row,
                                struct error *error) MUST_USE;
/* Appends the row as a JSON object; namespace NULL takes the newest of all namespaces. */
enum error_code stamp_store_get(struct stamp_store *store, const char *hash, const char *namespace,
                                struct buffer *out, struct error *error) MUST_USE;
/* Appends the rows of a namespace as a JSON array, newest first; *total counts all of them. */
enum error_code stamp_store_list(struct stamp_store *store, const char *namespace, int64_t limit,
                                 int64_t offset, struct buffer *out, int64_t *shown, int64_t *total,
                                 struct error *error) MUST_USE;
/* Can stamps be read and written now? The answer is at most STORE_CHECK_MS old, or says so when the
 * database has been silent for STORE_SILENT_MS. */
#define STORE_CHECK_MS 500
#define STORE_SILENT_MS 2000
enum error_code stamp_store_check(struct stamp_store *store, struct error *error) MUST_USE;

#endif
