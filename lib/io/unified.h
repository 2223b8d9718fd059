/* SPDX-License-Identifier: MIT */
/* unified.h - the answer shape of the companion services: {status, data, error, message, metadata}.
 *
 *     struct buffer *body = unified_begin(response, "success");
 *     ... append one JSON value: the data ...
 *     unified_end(response, "Hash generated", NULL);
 */
#ifndef IO_UNIFIED_H
#define IO_UNIFIED_H

#include "io/http_server.h"

/* `status` is success, error or partial. */
struct buffer *unified_begin(struct http_response *response, const char *status);
/* `metadata` is JSON text, or NULL for {}. */
void unified_end(struct http_response *response, const char *message, const char *metadata);
/* {"detail": {status: "error", data: null, error: [{code, field, message}], message, metadata}}; the
 * nesting is that of the older service. Retry-After is added to 503. */
void unified_error(struct http_response *response, int status, const char *code, const char *field,
                   const char *message);
/* From our own error table: ERR_INVALID is VALIDATION_ERROR, ERR_DATABASE and its like
 * DATABASE_CONNECTION_ERROR, and so on. */
void unified_fail(struct http_response *response, const struct error *error);

/* `,"name":value` (the comma only when the buffer does not end in '{' or '['). */
void unified_text(struct buffer *body, const char *name, const char *value); /* NULL gives null */
void unified_int(struct buffer *body, const char *name, int64_t value);
void unified_bool(struct buffer *body, const char *name, bool value);
void unified_decimal(struct buffer *body, const char *name, double value); /* three digits */
void unified_json(struct buffer *body, const char *name, const char *json_text);
void unified_name(struct buffer *body, const char *name);

#endif
