/* SPDX-License-Identifier: MIT */
/* The paths that make and check stamps. */
#include <string.h>
#include <strings.h>

#include "base/instant.h"
#include "base/metrics.h"
#include "io/clock.h"
#include "io/unified.h"
#include "metadata-stamping/service.h"

/* Grades of the older service: A below the first figure, B below the second. */
#define GRADE_HASH_A_MS 1.0
#define GRADE_HASH_B_MS 2.0
#define GRADE_VALIDATE_A_MS 10.0
#define GRADE_VALIDATE_B_MS 50.0
#define GRADE_BATCH_A_MS 1000.0
#define GRADE_BATCH_B_MS 5000.0

struct made {
    struct buffer content; /* without stamps */
    struct buffer stamp;
    char hash[CONTENT_HASH_TEXT_BYTES];
    struct stamp_row row;
    bool stored;
};

static void made_fini(struct made *made)
{
    buffer_fini(&made->content);
    buffer_fini(&made->stamp);
}

/* Stores the stamp. When the row was there before, the stamp is written again with its identity and
 * time: the same request gives the same stamp. */
static enum error_code keep(struct service *service, const struct stamp_request *request,
                            struct made *made, struct error *error)
{
    struct buffer data = {0};
    stamp_request_data(request, made->hash, &made->row.id, made->row.created_us, &made->stamp,
                       &data);
    enum error_code code =
        stamp_store_put(service->store, request, made->hash, buffer_text(&data), &made->row, error);
    buffer_fini(&data);
    if (code == ERR_OK && !made->row.created)
        stamp_request_stamp(request, made->hash, &made->row.id, made->row.created_us, &made->stamp);
    made->stored = code == ERR_OK;
    return code;
}

static enum error_code make(struct service *service, struct stamp_request *request, bool store,
                            struct made *made, struct error *error)
{
    *made = (struct made){.row = {.id = clock_uuid_v7(),
                                  .created_us = clock_now_us(),
                                  .version = request->version,
                                  .created = true}};
    made->row.op_id = request->has_op_id ? request->op_id : clock_uuid_v7();
    memcpy(made->row.metadata_version, request->metadata_version,
           strlen(request->metadata_version) + 1);
    enum error_code code = stamp_request_prepare(request, &made->content, made->hash, error);
    if (code != ERR_OK)
        return code;
    stamp_request_stamp(request, made->hash, &made->row.id, made->row.created_us, &made->stamp);
    if (store && service->store != NULL)
        code = keep(service, request, made, error);
    if (code == ERR_OK && made->row.created)
        metrics_add(METRIC_STAMPS, 0, 0, 1);
    return code;
}

static void append_uuid(struct buffer *body, const char *name, const struct uuid *uuid)
{
    char text[UUID_TEXT_BYTES];
    unified_text(body, name, uuid_format(uuid, text));
}

static void append_stamped(struct buffer *body, const struct stamp_request *request,
                           const struct made *made)
{
    struct buffer stamped = {0};
    stamp_apply(request->type, buffer_text(&made->stamp), made->stamp.bytes,
                buffer_text(&made->content), made->content.bytes, &stamped);
    unified_name(body, "stamped_content");
    buffer_append_json_string(body, buffer_text(&stamped), stamped.bytes);
    buffer_fini(&stamped);
}

static void answer_stamp(struct http_response *response, const struct stamp_request *request,
                         const struct made *made, double elapsed_ms)
{
    char time[INSTANT_TEXT_BYTES];
    struct buffer *body = unified_begin(response, "success");
    buffer_append_text(body, "{\"success\":true");
    append_uuid(body, "stamp_id", &made->row.id);
    unified_text(body, "file_hash", made->hash);
    append_stamped(body, request, made);
    unified_text(body, "stamp", buffer_text(&made->stamp));
    unified_text(body, "stamp_type", stamp_type_name(request->type));
    service_performance(body, "performance_metrics", elapsed_ms, request->content_bytes,
                        GRADE_HASH_A_MS, GRADE_HASH_B_MS);
    unified_text(body, "created_at", instant_format_us(made->row.created_us, time));
    append_uuid(body, "op_id", &made->row.op_id);
    unified_text(body, "namespace", request->namespace);
    unified_int(body, "version", made->row.version);
    unified_text(body, "metadata_version", made->row.metadata_version);
    buffer_append_char(body, '}');
    unified_end(response, made->row.created ? "Content stamped" : "Content had been stamped before",
                !made->stored       ? "{\"stored\":false,\"repeated\":false}"
                : made->row.created ? "{\"stored\":true,\"repeated\":false}"
                                    : "{\"stored\":true,\"repeated\":true}");
}

static void stamp(struct http_request *request, struct http_response *response,
                  struct service *service, bool store)
{
    int64_t start_us = clock_monotonic_us();
    struct error error = {0};
    struct stamp_request wanted;
    struct made made = {0};
    struct json *body = service_body(request, response);
    if (body == NULL)
        return;
    if (stamp_request_read(&wanted, body, &error) == ERR_OK &&
        make(service, &wanted, store, &made, &error) == ERR_OK)
        answer_stamp(response, &wanted, &made, service_elapsed_ms(start_us));
    else
        unified_fail(response, &error);
    made_fini(&made);
    json_release(body);
}

void handle_stamp(struct http_request *request, struct http_response *response, void *context)
{
    stamp(request, response, context, true);
}

/* POST /transform/stamp: the stamped text, nothing stored. */
void handle_stamp_only(struct http_request *request, struct http_response *response, void *context)
{
    stamp(request, response, context, false);
}

/* -- batch -- */

/* ERR_OK, or the item's fault; the item's answer is appended either way. */
static enum error_code batch_item(struct service *service, const struct json *batch, size_t index,
                                  struct buffer *body, struct error *error)
{
    int64_t start_us = clock_monotonic_us();
    struct stamp_request wanted;
    struct made made = {0};
    const struct json *item = json_at(json_get(batch, "items"), index);
    enum error_code code = stamp_request_read_item(&wanted, batch, index, error);
    if (code == ERR_OK)
        code = make(service, &wanted, true, &made, error);
    buffer_append_text(body, index > 0 ? ",{" : "{");
    unified_text(body, "id", fields_text(item, "id", NULL));
    unified_bool(body, "success", code == ERR_OK);
    if (code == ERR_OK) {
        append_uuid(body, "stamp_id", &made.row.id);
        unified_text(body, "file_hash", made.hash);
        unified_text(body, "stamp", buffer_text(&made.stamp));
        unified_json(body, "error", "null");
        service_performance(body, "performance_metrics", service_elapsed_ms(start_us),
                            wanted.content_bytes, GRADE_HASH_A_MS, GRADE_HASH_B_MS);
    } else {
        unified_text(body, "error", error->text);
    }
    buffer_append_char(body, '}');
    made_fini(&made);
    return code;
}

static size_t content_bytes(const struct json *items)
{
    size_t total = 0;
    for (size_t i = 0; i < json_size(items); i++) {
        size_t bytes;
        if (json_string_value(json_get(json_at(items, i), "content"), &bytes) != NULL)
            total += bytes;
    }
    return total;
}

static void batch(struct service *service, const struct json *wanted,
                  struct http_response *response)
{
    int64_t start_us = clock_monotonic_us();
    const struct json *items = json_get(wanted, "items");
    struct buffer results = {0};
    struct error error = {0};
    size_t failed = 0;
    size_t count = json_size(items);
    enum error_code code = ERR_OK;
    for (size_t i = 0; i < count; i++) {
        code = batch_item(service, wanted, i, &results, &error);
        failed += code != ERR_OK;
        if (error_code_retry(code) != RETRY_NEVER && failed == i + 1) {
            unified_fail(response,
                         &error); /* the database is down and nothing is stored: say so at once */
            buffer_fini(&results);
            return;
        }
    }
    struct buffer *body = unified_begin(response, failed == 0       ? "success"
                                                  : failed == count ? "error"
                                                                    : "partial");
    buffer_append_char(body, '{');
    unified_int(body, "total_items", (int64_t)count);
    unified_int(body, "successful_items", (int64_t)(count - failed));
    unified_int(body, "failed_items", (int64_t)failed);
    unified_name(body, "results");
    buffer_append_char(body, '[');
    buffer_append(body, buffer_text(&results), results.bytes);
    buffer_append_char(body, ']');
    service_performance(body, "overall_performance", service_elapsed_ms(start_us),
                        content_bytes(items), GRADE_BATCH_A_MS, GRADE_BATCH_B_MS);
    buffer_append_char(body, '}');
    unified_end(response, failed == 0 ? "All items stamped" : "Some items could not be stamped",
                NULL);
    buffer_fini(&results);
}

void handle_batch(struct http_request *request, struct http_response *response, void *context)
{
    struct error error = {0};
    struct json *body = service_body(request, response);
    if (body == NULL)
        return;
    if (fields_check(batch_request_fields, body, "", &error) != ERR_OK)
        unified_fail(response, &error);
    else if (json_size(json_get(body, "items")) == 0)
        unified_error(response, 400, "EMPTY_BATCH_REQUEST", "items",
                      "items is empty; a batch has at least one item");
    else
        batch(context, body, response);
    json_release(body);
}

/* -- validate -- */

struct verdict {
    const char *expected; /* NULL: not asked for */
    bool strict;
    bool compare; /* check_tampering */
    size_t found;
    size_t valid;
};

static void append_detail(struct buffer *body, const struct stamp_found *found, const char *current,
                          bool valid)
{
    buffer_append_char(body, '{');
    unified_text(body, "stamp_type", stamp_type_name(found->type));
    unified_name(body, "stamp_hash");
    if (found->hash != NULL)
        buffer_append_json_string(body, found->hash, found->hash_bytes);
    else
        buffer_append_text(body, "null");
    unified_bool(body, "is_valid", valid);
    unified_text(body, "current_hash", current);
    buffer_append_char(body, '}');
}

static void check_stamps(const char *content, size_t bytes, const char *current,
                         struct verdict *verdict, struct buffer *details)
{
    struct stamp_found found;
    for (size_t from = 0; stamp_find(content, bytes, from, &found); from = found.end) {
        bool formed = found.hash != NULL && content_hash_is_text(found.hash, found.hash_bytes);
        bool same = formed && strncasecmp(found.hash, current, CONTENT_HASH_DIGITS) == 0;
        bool valid = verdict->compare ? same : formed;
        if (verdict->found++ > 0)
            buffer_append_char(details, ',');
        verdict->valid += valid;
        append_detail(details, &found, current, valid);
    }
}

static bool is_valid(const struct verdict *verdict, const char *current)
{
    if (verdict->expected != NULL && strcasecmp(verdict->expected, current) != 0)
        return false;
    return verdict->valid > 0 && (!verdict->strict || verdict->valid == verdict->found);
}

static void validate(const struct json *wanted, struct http_response *response)
{
    int64_t start_us = clock_monotonic_us();
    const struct json *options = json_get(wanted, "options");
    struct verdict verdict = {.expected = fields_text(options, "expected_hash", NULL),
                              .strict = fields_bool(options, "strict_mode", true),
                              .compare = fields_bool(options, "check_tampering", true)};
    size_t bytes;
    const char *content = json_string_value(json_get(wanted, "content"), &bytes);
    char current[CONTENT_HASH_TEXT_BYTES];
    struct buffer scratch = {0};
    struct buffer details = {0};
    stamp_hash(content, bytes, &scratch, current);
    check_stamps(content, bytes, current, &verdict, &details);
    struct buffer *body = unified_begin(response, "success");
    buffer_append_text(body, "{\"success\":true");
    unified_bool(body, "is_valid", is_valid(&verdict, current));
    unified_int(body, "stamps_found", (int64_t)verdict.found);
    unified_text(body, "current_hash", current);
    unified_name(body, "validation_details");
    buffer_append_char(body, '[');
    buffer_append(body, buffer_text(&details), details.bytes);
    buffer_append_char(body, ']');
    service_performance(body, "performance_metrics", service_elapsed_ms(start_us), bytes,
                        GRADE_VALIDATE_A_MS, GRADE_VALIDATE_B_MS);
    buffer_append_char(body, '}');
    unified_end(response, verdict.found == 0 ? "No stamp found" : "Stamps checked", NULL);
    buffer_fini(&scratch);
    buffer_fini(&details);
}

void handle_validate(struct http_request *request, struct http_response *response, void *context)
{
    (void)context;
    struct error error = {0};
    struct json *body = service_body(request, response);
    if (body == NULL)
        return;
    if (stamp_content_fits(body, &error) == ERR_OK &&
        fields_check(validate_request_fields, body, "", &error) == ERR_OK)
        validate(body, response);
    else
        unified_fail(response, &error);
    json_release(body);
}

/* -- hash -- */

/* The octets to hash: a multipart part "file", or the whole body. False: response filled. */
static bool take_octets(struct http_request *request, struct http_response *response,
                        const char **data, size_t *bytes)
{
    const char *type = request->content_type;
    if (strncasecmp(type, "multipart/", 10) == 0) {
        if (http_form_part(request, "file", data, bytes, NULL))
            return true;
        unified_error(response, 422, "VALIDATION_ERROR", "file", "the form has no part named file");
        return false;
    }
    if (*type == '\0' || strncasecmp(type, "application/octet-stream", 24) == 0 ||
        strncasecmp(type, "text/", 5) == 0) {
        *data = request->body;
        *bytes = request->body_bytes;
        return true;
    }
    unified_error(response, 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type",
                  "send a multipart form with a part named file, or the octets themselves as "
                  "application/octet-stream or text/plain");
    return false;
}

void handle_hash(struct http_request *request, struct http_response *response, void *context)
{
    static const char *const known[] = {"namespace", NULL};
    (void)context;
    int64_t start_us = clock_monotonic_us();
    struct error error = {0};
    const char *data;
    size_t bytes;
    char hash[CONTENT_HASH_TEXT_BYTES];
    if (http_query_known(request, known, &error) != ERR_OK) {
        unified_fail(response, &error);
        return;
    }
    if (!take_octets(request, response, &data, &bytes))
        return;
    content_hash(data, bytes, hash);
    metrics_add(METRIC_HASHES, 0, 0, 1);
    double elapsed_ms = service_elapsed_ms(start_us);
    struct buffer *body = unified_begin(response, "success");
    buffer_append_char(body, '{');
    unified_text(body, "file_hash", hash);
    unified_decimal(body, "execution_time_ms", elapsed_ms);
    unified_int(body, "file_size_bytes", (int64_t)bytes);
    unified_text(body, "performance_grade",
                 elapsed_ms < GRADE_HASH_A_MS   ? "A"
                 : elapsed_ms < GRADE_HASH_B_MS ? "B"
                                                : "C");
    buffer_append_char(body, '}');
    unified_end(response, "Hash generated", NULL);
}
