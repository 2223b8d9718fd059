/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/submission.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/json_hash.h"

static const char *const general_fields[] = {
    "workflow",       "version",  "input",           "namespace",
    "correlation_id", "metadata", "idempotency_key", NULL};
static const char *const document_fields[] = {
    "content",   "file_path",      "content_type", "enable_intelligence",
    "namespace", "correlation_id", "metadata",     "idempotency_key",
    NULL};

static enum error_code check_fields(const struct json *body, const char *const *known,
                                    struct error *error)
{
    for (size_t i = 0; i < json_size(body); i++) {
        const char *name = json_name_at(body, i, NULL);
        int k = 0;
        while (known[k] != NULL && strcmp(known[k], name) != 0)
            k++;
        if (known[k] != NULL)
            continue;
        struct buffer list = {0};
        for (k = 0; known[k] != NULL; k++)
            buffer_append_format(&list, "%s%s", k == 0 ? "" : ", ", known[k]);
        error_set_field(error, ERR_INVALID, name, "field %.64s is not known; known are %s", name,
                        buffer_text(&list));
        buffer_fini(&list);
        return ERR_INVALID;
    }
    return ERR_OK;
}

static bool is_visible(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

bool submission_key_is_valid(const char *key)
{
    size_t bytes = strlen(key);
    return bytes > 0 && bytes <= IDEMPOTENCY_KEY_BYTES_MAX && is_visible(key, bytes) &&
           utf8_is_valid(key, bytes) && key[0] != ' ' && key[bytes - 1] != ' ';
}

/* An optional text of 1 to bytes_max octets without control characters. */
static enum error_code read_text(const struct json *value, const char *field, size_t bytes_max,
                                 char **text, struct error *error)
{
    size_t bytes;
    const char *given = json_string_value(value, &bytes);
    if (value == NULL || json_type_of(value) == JSON_NULL)
        return ERR_OK;
    if (given == NULL)
        return error_set_field(error, ERR_INVALID, field,
                               "%s is a %s; it must be a text of 1 to %zu bytes", field,
                               json_type_name(value), bytes_max);
    if (bytes == 0 || bytes > bytes_max || !is_visible(given, bytes))
        return error_set_field(
            error, ERR_INVALID, field,
            "%s has %zu bytes; it must be a text of 1 to %zu bytes without control characters",
            field, bytes, bytes_max);
    *text = must_strndup(given, bytes);
    return ERR_OK;
}

static enum error_code read_common(struct submission *submission, const struct json *body,
                                   const char *default_namespace, struct error *error)
{
    const struct json *metadata = json_get(body, "metadata");
    enum error_code code = read_text(json_get(body, "namespace"), "namespace", NAMESPACE_BYTES_MAX,
                                     &submission->namespace, error);
    if (code == ERR_OK)
        code = read_text(json_get(body, "correlation_id"), "correlation_id",
                         CORRELATION_ID_BYTES_MAX, &submission->correlation_id, error);
    if (code != ERR_OK)
        return code;
    if (submission->namespace == NULL)
        submission->namespace = must_strdup(default_namespace);
    if (metadata != NULL && json_type_of(metadata) != JSON_NULL) {
        if (json_type_of(metadata) != JSON_OBJECT)
            return error_set_field(error, ERR_INVALID, "metadata",
                                   "metadata is a %s; it must be an object",
                                   json_type_name(metadata));
        submission->metadata = json_hold(metadata);
    }
    return ERR_OK;
}

static enum error_code check_content(const struct json *content, struct error *error)
{
    size_t bytes = 0;
    if (content != NULL && json_string_value(content, &bytes) == NULL)
        return error_set_field(error, ERR_INVALID, "content", "content is a %s; it must be a text",
                               json_type_name(content));
    if (bytes > CONTENT_BYTES_MAX)
        return error_set_field(error, ERR_TOO_LARGE, "content",
                               "content has %zu bytes; at most %u are taken", bytes,
                               CONTENT_BYTES_MAX);
    return ERR_OK;
}

static enum error_code read_document(struct submission *submission, const struct json *body,
                                     struct error *error)
{
    static const char *const members[] = {"content", "file_path", "content_type",
                                          "enable_intelligence", NULL};
    enum error_code code = check_content(json_get(body, "content"), error);
    if (code != ERR_OK)
        return code;
    struct json *input = json_object();
    for (int i = 0; members[i] != NULL; i++) {
        const struct json *value = json_get(body, members[i]);
        if (value != NULL && json_type_of(value) != JSON_NULL)
            json_object_set(input, members[i], json_hold(value));
    }
    submission->input = input;
    submission->workflow = must_strdup(DEFAULT_WORKFLOW);
    return ERR_OK;
}

static enum error_code read_general(struct submission *submission, const struct json *body,
                                    struct error *error)
{
    const struct json *input = json_get(body, "input");
    enum error_code code = read_text(json_get(body, "workflow"), "workflow", NAME_BYTES_MAX,
                                     &submission->workflow, error);
    if (code == ERR_OK)
        code = read_text(json_get(body, "version"), "version", NAME_BYTES_MAX, &submission->version,
                         error);
    const struct json *content =
        json_get(input, "content"); /* of what type it is, the contract says */
    if (code == ERR_OK && json_type_of(content) == JSON_STRING)
        code = check_content(content, error);
    if (code != ERR_OK)
        return code;
    if (input == NULL)
        return error_set_field(error, ERR_INVALID, "input",
                               "input is missing; it must be the input of the workflow");
    if (submission->workflow == NULL)
        submission->workflow = must_strdup(DEFAULT_WORKFLOW);
    submission->input = json_hold(input);
    return ERR_OK;
}

static void hash_body(struct submission *submission)
{
    struct json *all = json_object();
    json_object_set(all, "workflow", json_text(submission->workflow));
    json_object_set(all, "version", json_text(submission->version));
    json_object_set(all, "namespace", json_text(submission->namespace));
    json_object_set(all, "input", json_hold(submission->input));
    json_object_set(all, "metadata",
                    submission->metadata == NULL ? json_null() : json_hold(submission->metadata));
    uint64_t hash = json_hash(all);
    for (int i = 0; i < BODY_HASH_BYTES; i++)
        submission->body_hash[i] = (uint8_t)(hash >> (8 * i));
    json_release(all);
}

static enum error_code read_key(struct submission *submission, const struct json *body,
                                const char *key, struct error *error)
{
    if (key != NULL && !submission_key_is_valid(key))
        return error_set_field(
            error, ERR_INVALID, "Idempotency-Key",
            "Idempotency-Key has %zu bytes; it must be 1 to %d visible characters", strlen(key),
            IDEMPOTENCY_KEY_BYTES_MAX);
    if (key != NULL) {
        submission->key = must_strdup(key);
        return ERR_OK;
    }
    enum error_code code = read_text(json_get(body, "idempotency_key"), "idempotency_key",
                                     IDEMPOTENCY_KEY_BYTES_MAX, &submission->key, error);
    if (code == ERR_OK && submission->key == NULL && submission->correlation_id != NULL)
        submission->key = must_strdup(submission->correlation_id);
    return code;
}

enum error_code submission_read(struct submission *submission, const struct json *body,
                                const char *key, const char *default_namespace, struct error *error)
{
    if (json_type_of(body) != JSON_OBJECT)
        return error_set(error, ERR_INVALID, "the body is a %s; it must be an object",
                         json_type_name(body));
    bool general = json_get(body, "workflow") != NULL || json_get(body, "input") != NULL;
    enum error_code code = check_fields(body, general ? general_fields : document_fields, error);
    if (code == ERR_OK)
        code = read_common(submission, body, default_namespace, error);
    if (code == ERR_OK)
        code = general ? read_general(submission, body, error)
                       : read_document(submission, body, error);
    if (code == ERR_OK)
        code = read_key(submission, body, key, error);
    if (code == ERR_OK)
        hash_body(submission);
    return code;
}

static void replace_member(struct json **object, const char *name, struct json *value)
{
    struct json *with = json_object_with(*object, name, strlen(name), value);
    json_release(*object);
    *object = with;
}

static void fill_defaults(struct submission *submission, const struct json *properties)
{
    for (size_t i = 0; i < json_size(properties); i++) {
        const char *name = json_name_at(properties, i, NULL);
        const struct json *value = json_get(json_member_at(properties, i), "default");
        if (json_get(submission->input, name) != NULL)
            continue;
        if (value != NULL)
            replace_member(&submission->input, name, json_hold(value));
        else if (strcmp(name, "namespace") == 0)
            replace_member(&submission->input, name, json_text(submission->namespace));
    }
}

enum error_code submission_complete(struct submission *submission, const struct contract *contract,
                                    struct error *error)
{
    if (json_type_of(submission->input) == JSON_OBJECT)
        fill_defaults(submission,
                      json_get(json_get(contract->document, "input_state"), "properties"));
    if (contract->input_schema == NULL)
        return ERR_OK;
    return schema_check(contract->input_schema, submission->input, "input", error);
}

void submission_fini(struct submission *submission)
{
    free(submission->workflow);
    free(submission->version);
    free(submission->namespace);
    free(submission->correlation_id);
    free(submission->key);
    json_release(submission->input);
    json_release(submission->metadata);
    *submission = (struct submission){0};
}
