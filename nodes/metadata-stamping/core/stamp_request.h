/* SPDX-License-Identifier: MIT */
/* stamp_request.h - the bodies of MetadataStamping's requests: which fields, which values. Pure.
 *
 * Lifetime  Texts are lent by the JSON value a request was read from.
 * Errors    ERR_INVALID names the field.
 */
#ifndef METADATA_STAMPING_CORE_STAMP_REQUEST_H
#define METADATA_STAMPING_CORE_STAMP_REQUEST_H

#include "base/limits.h"
#include "base/uuid.h"
#include "core/fields.h"
#include "metadata-stamping/core/stamp.h"

#define STAMP_CONTENT_BYTES_MAX (100u << 20) /* one content to stamp or validate */
#define STAMP_BODY_BYTES_MAX (128u << 20)    /* its request, JSON escapes included */
#define HASH_BODY_BYTES_MAX (500u << 20)     /* one content to hash */
#define STAMP_VERSION_TEXT_BYTES_MAX 10
#define STAMP_PATH_BYTES_MAX (4u * FILE_PATH_BYTES_MAX) /* so many characters of four octets */
#define STAMP_CONTENT_TYPE_BYTES_MAX (4u * 255u)
#define STAMP_NAMESPACE_DEFAULT "omninode.services.metadata"

extern const struct field stamp_request_fields[];
extern const struct field validate_request_fields[];
extern const struct field batch_request_fields[];
extern const struct field batch_item_fields[];
extern const struct field protocol_request_fields[];

struct stamp_request {
    const char *content;
    size_t content_bytes;
    size_t file_bytes; /* without stamps; stamp_request_prepare tells */
    enum stamp_type type;
    bool include_metadata;
    bool validate_integrity;
    const char *file_path;
    const char *content_type; /* NULL when not given */
    const char *namespace;
    const char *protocol_version;
    const char *metadata_version;
    const struct json *metadata;          /* NULL when not given */
    const struct json *intelligence_data; /* likewise */
    int32_t version;
    bool has_op_id;
    struct uuid op_id;
    bool has_workflow_id;
    struct uuid workflow_id;
};

/* ERR_TOO_LARGE when the member "content" has more than STAMP_CONTENT_BYTES_MAX octets. */
enum error_code stamp_content_fits(const struct json *body, struct error *error) MUST_USE;
enum error_code stamp_request_read(struct stamp_request *request, const struct json *body,
                                   struct error *error) MUST_USE;
/* One item of a batch, with the batch's options and defaults. */
enum error_code stamp_request_read_item(struct stamp_request *request, const struct json *batch,
                                        size_t index, struct error *error) MUST_USE;

/* The content without stamps and its hash. */
enum error_code stamp_request_prepare(struct stamp_request *request, struct buffer *content,
                                      char hash[CONTENT_HASH_TEXT_BYTES],
                                      struct error *error) MUST_USE;
/* The text of the request's stamp. */
void stamp_request_stamp(const struct stamp_request *request, const char *hash,
                         const struct uuid *uid, int64_t created_us, struct buffer *stamp);
/* What is stored as stamp_data, as JSON text. */
void stamp_request_data(const struct stamp_request *request, const char *hash,
                        const struct uuid *uid, int64_t created_us, const struct buffer *stamp,
                        struct buffer *out);

#endif
