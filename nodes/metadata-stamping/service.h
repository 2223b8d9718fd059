/* SPDX-License-Identifier: MIT */
/* service.h - MetadataStamping: BLAKE3 hashes and ONEX stamps over HTTP, stamps kept in PostgreSQL.
 *
 * The database counts as configured when DATABASE_URL, POSTGRES_PASSWORD or POSTGRES_HOST (or one of
 * their _FILE variants) is set in the environment. Without it the service still stamps: stamp_id is
 * then a fresh UUID that nobody keeps, the answer's metadata says "stored": false, and paths that
 * read stamps answer 503 DATABASE_NOT_CONFIGURED. With it, a stamp that could not be stored is a 503.
 *
 * Threads   Handlers run on HTTP threads and share the service, which changes only inside the pool.
 */
#ifndef METADATA_STAMPING_SERVICE_H
#define METADATA_STAMPING_SERVICE_H

#include "io/http_server.h"
#include "metadata-stamping/stamp_store.h"

#define STAMPING_PREFIX "/api/v1/metadata-stamping"

struct service {
    struct stamp_store *store; /* NULL: no database is configured */
    int64_t started_us;        /* monotonic */
};

extern const struct http_route service_routes[];

/* api_stamp.c */
http_handler handle_stamp, handle_stamp_only, handle_validate, handle_hash, handle_batch;
/* api_read.c */
http_handler handle_get_stamp, handle_namespace;
/* api_about.c */
http_handler handle_about, handle_health, handle_health_live, handle_health_ready,
    handle_service_health;
http_handler handle_validate_protocol, handle_transformers, handle_schemas;

/* A JSON body, or NULL after the response was filled with the fault. */
struct json *service_body(const struct http_request *request,
                          struct http_response *response) MUST_USE;
/* Time since `start_us` (monotonic) in milliseconds. */
double service_elapsed_ms(int64_t start_us);
/* {execution_time_ms, file_size_bytes, cpu_usage_percent, performance_grade} as the member `name`;
 * grade A below a_ms, B below b_ms, else C. */
void service_performance(struct buffer *body, const char *name, double elapsed_ms, size_t bytes,
                         double a_ms, double b_ms);

#endif
