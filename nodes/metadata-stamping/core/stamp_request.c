/* SPDX-License-Identifier: MIT */
#include "metadata-stamping/core/stamp_request.h"

#include <stdio.h>
#include <string.h>

static const struct field stamp_options[] = {
    {"stamp_type", FIELD_CHOICE, false, 0, 0, "lightweight|rich", NULL},
    {"include_metadata", FIELD_BOOL, false, 0, 0, NULL, NULL},
    {"validate_integrity", FIELD_BOOL, false, 0, 0, NULL, NULL},
    {0},
};

const struct field stamp_request_fields[] = {
    {"content", FIELD_TEXT, true, 0, STAMP_CONTENT_BYTES_MAX, NULL, NULL},
    {"file_path", FIELD_TEXT, false, 0, STAMP_PATH_BYTES_MAX, NULL, NULL},
    {"content_type", FIELD_TEXT, false, 0, STAMP_CONTENT_TYPE_BYTES_MAX, NULL, NULL},
    {"options", FIELD_OBJECT, false, 0, 0, NULL, stamp_options},
    {"metadata", FIELD_OBJECT, false, 0, 0, NULL, NULL},
    {"protocol_version", FIELD_LINE, false, 1, STAMP_VERSION_TEXT_BYTES_MAX, NULL, NULL},
    {"namespace", FIELD_TEXT, false, 1, NAMESPACE_BYTES_MAX, NULL, NULL},
    {"intelligence_data", FIELD_OBJECT, false, 0, 0, NULL, NULL},
    {"version", FIELD_INT, false, 1, INT32_MAX, NULL, NULL},
    {"op_id", FIELD_UUID, false, 0, 0, NULL, NULL},
    {"metadata_version", FIELD_LINE, false, 1, STAMP_VERSION_TEXT_BYTES_MAX, NULL, NULL},
    {"workflow_id", FIELD_UUID, false, 0, 0, NULL, NULL},
    {0},
};

static const struct field validate_options[] = {
    {"strict_mode", FIELD_BOOL, false, 0, 0, NULL, NULL},
    {"expected_hash", FIELD_LINE, false, CONTENT_HASH_DIGITS, CONTENT_HASH_DIGITS, NULL, NULL},
    {"check_tampering", FIELD_BOOL, false, 0, 0, NULL, NULL},
    {0},
};

const struct field validate_request_fields[] = {
    {"content", FIELD_TEXT, true, 0, STAMP_CONTENT_BYTES_MAX, NULL, NULL},
    {"options", FIELD_OBJECT, false, 0, 0, NULL, validate_options},
    {"namespace", FIELD_TEXT, false, 1, NAMESPACE_BYTES_MAX, NULL, NULL},
    {0},
};

const struct field batch_request_fields[] = {
    {"items", FIELD_ARRAY, true, 0, HTTP_BATCH_ITEMS_MAX, NULL, NULL},
    {"options", FIELD_OBJECT, false, 0, 0, NULL, stamp_options},
    {"protocol_version", FIELD_LINE, false, 1, STAMP_VERSION_TEXT_BYTES_MAX, NULL, NULL},
    {"namespace", FIELD_TEXT, false, 1, NAMESPACE_BYTES_MAX, NULL, NULL},
    {0},
};

const struct field batch_item_fields[] = {
    {"id", FIELD_LINE, true, 1, 255, NULL, NULL},
    {"content", FIELD_TEXT, true, 0, STAMP_CONTENT_BYTES_MAX, NULL, NULL},
    {"file_path", FIELD_TEXT, false, 0, STAMP_PATH_BYTES_MAX, NULL, NULL},
    {"namespace", FIELD_TEXT, false, 1, NAMESPACE_BYTES_MAX, NULL, NULL},
    {"metadata", FIELD_OBJECT, false, 0, 0, NULL, NULL},
    {0},
};

const struct field protocol_request_fields[] = {
    {"content", FIELD_TEXT, true, 0, STAMP_CONTENT_BYTES_MAX, NULL, NULL},
    {"target_protocol", FIELD_LINE, false, 1, 64, NULL, NULL},
    {"validation_level", FIELD_CHOICE, false, 0, 0, "basic|standard|strict", NULL},
    {"namespace", FIELD_TEXT, false, 1, NAMESPACE_BYTES_MAX, NULL, NULL},
    {0},
};

static const struct json *object_or_null(const struct json *value)
{
    return json_type_of(value) == JSON_OBJECT ? value : NULL;
}

static enum error_code check_value(const char *field, const char *text, struct error *error)
{
    if (text == NULL ||
        (strlen(text) <= STAMP_PATH_BYTES_MAX && stamp_value_fits(text, strlen(text))))
        return ERR_OK;
    return error_set_field(error, ERR_INVALID, field,
                           "%s cannot stand in a stamp: control characters, \"-->\" and more than "
                           "%u octets are not allowed",
                           field, STAMP_PATH_BYTES_MAX);
}

/* What becomes part of the stamp's line (author, version) or comment (path, type) must not break it. */
static enum error_code check_stamp_values(const struct stamp_request *request, struct error *error)
{
    if (!request->include_metadata)
        return ERR_OK;
    bool rich = request->type == STAMP_RICH;
    const char *first = rich ? request->file_path : fields_text(request->metadata, "author", NULL);
    const char *second =
        rich ? request->content_type : fields_text(request->metadata, "version", NULL);
    enum error_code code = check_value(rich ? "file_path" : "metadata.author", first, error);
    return code != ERR_OK ? code
                          : check_value(rich ? "content_type" : "metadata.version", second, error);
}

enum error_code stamp_content_fits(const struct json *body, struct error *error)
{
    size_t bytes;
    if (json_string_value(json_get(body, "content"), &bytes) == NULL ||
        bytes <= STAMP_CONTENT_BYTES_MAX)
        return ERR_OK;
    return error_set_field(error, ERR_TOO_LARGE, "content",
                           "content has %zu octets, the limit is %u", bytes,
                           STAMP_CONTENT_BYTES_MAX);
}

static void read_common(struct stamp_request *request, const struct json *body,
                        const struct json *outer, const char *namespace)
{
    const struct json *options = json_get(outer, "options");
    *request = (struct stamp_request){
        .type = strcmp(fields_text(options, "stamp_type", "lightweight"), "rich") == 0
                    ? STAMP_RICH
                    : STAMP_LIGHTWEIGHT,
        .include_metadata = fields_bool(options, "include_metadata", true),
        .validate_integrity = fields_bool(options, "validate_integrity", true),
        .file_path = fields_text(body, "file_path", ""),
        .content_type = fields_text(body, "content_type", NULL),
        .namespace = fields_text(body, "namespace", fields_text(outer, "namespace", namespace)),
        .protocol_version = fields_text(outer, "protocol_version", "1.0"),
        .metadata_version = fields_text(body, "metadata_version", "0.1"),
        .metadata = object_or_null(json_get(body, "metadata")),
        .intelligence_data = object_or_null(json_get(body, "intelligence_data")),
        .version = (int32_t)fields_int(body, "version", 1),
    };
    request->content = json_string_value(json_get(body, "content"), &request->content_bytes);
}

static bool read_uuid(const struct json *body, const char *name, struct uuid *uuid)
{
    size_t bytes;
    const char *text = json_string_value(json_get(body, name), &bytes);
    return text != NULL && uuid_parse(text, bytes, uuid);
}

enum error_code stamp_request_read(struct stamp_request *request, const struct json *body,
                                   struct error *error)
{
    enum error_code code = stamp_content_fits(body, error);
    if (code == ERR_OK)
        code = fields_check(stamp_request_fields, body, "", error);
    if (code != ERR_OK)
        return code;
    read_common(request, body, body, STAMP_NAMESPACE_DEFAULT);
    request->has_op_id = read_uuid(body, "op_id", &request->op_id);
    request->has_workflow_id = read_uuid(body, "workflow_id", &request->workflow_id);
    return check_stamp_values(request, error);
}

enum error_code stamp_request_read_item(struct stamp_request *request, const struct json *batch,
                                        size_t index, struct error *error)
{
    const struct json *item = json_at(json_get(batch, "items"), index);
    char where[32];
    snprintf(where, sizeof where, "items[%zu]", index);
    enum error_code code = fields_check(batch_item_fields, item, where, error);
    if (code != ERR_OK)
        return code;
    read_common(request, item, batch, "default");
    return check_stamp_values(request, error);
}

enum error_code stamp_request_prepare(struct stamp_request *request, struct buffer *content,
                                      char hash[CONTENT_HASH_TEXT_BYTES], struct error *error)
{
    enum error_code code = stamp_strip(request->content, request->content_bytes, content, error);
    if (code != ERR_OK)
        return code;
    if (request->type == STAMP_RICH && stamp_opens_rich(buffer_text(content), content->bytes))
        return error_set_field(error, ERR_INVALID, "content",
                               "content has the start of a rich stamp without its end; a rich "
                               "stamp cannot be told from it");
    request->file_bytes = content->bytes;
    struct buffer scratch = {0};
    stamp_hash(buffer_text(content), content->bytes, &scratch, hash);
    buffer_fini(&scratch);
    return ERR_OK;
}

void stamp_request_stamp(const struct stamp_request *request, const char *hash,
                         const struct uuid *uid, int64_t created_us, struct buffer *stamp)
{
    char uid_text[UUID_TEXT_BYTES];
    bool with = request->include_metadata;
    const struct stamp_fields fields = {
        .type = request->type,
        .uid = uuid_format(uid, uid_text),
        .hash = hash,
        .created_us = created_us,
        .protocol_version = request->protocol_version,
        .author = with ? fields_text(request->metadata, "author", NULL) : NULL,
        .version = with ? fields_text(request->metadata, "version", NULL) : NULL,
        .file_path = with ? request->file_path : NULL,
        .content_type = with ? request->content_type : NULL,
        .file_size_bytes = with ? (int64_t)request->file_bytes : -1,
        .integrity = request->validate_integrity,
    };
    buffer_clear(stamp);
    stamp_write(&fields, stamp);
}

static void member_text(struct buffer *out, const char *name, const char *value)
{
    buffer_append_text(out, name);
    buffer_append_json_text(out, value);
}

void stamp_request_data(const struct stamp_request *request, const char *hash,
                        const struct uuid *uid, int64_t created_us, const struct buffer *stamp,
                        struct buffer *out)
{
    char uid_text[UUID_TEXT_BYTES];
    char time[STAMP_TIME_BYTES];
    buffer_clear(out);
    member_text(out, "{\"uid\":", uuid_format(uid, uid_text));
    member_text(out, ",\"hash\":", hash);
    member_text(out, ",\"timestamp\":", stamp_time(created_us, time));
    member_text(out, ",\"stamp_type\":", stamp_type_name(request->type));
    buffer_append_text(out, ",\"stamp\":");
    buffer_append_json_string(out, buffer_text(stamp), stamp->bytes);
    member_text(out, ",\"namespace\":", request->namespace);
    member_text(out, ",\"protocol_version\":", request->protocol_version);
    buffer_append_text(out, ",\"metadata\":");
    if (request->metadata != NULL)
        json_write(request->metadata, out);
    else
        buffer_append_text(out, "{}");
    buffer_append_char(out, '}');
}
