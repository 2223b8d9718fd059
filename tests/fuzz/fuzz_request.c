/* SPDX-License-Identifier: MIT */
/* A request: key (first line) and body (the rest) as a submission, as the requests of MetadataStamping. A body says
 * the same whatever the order of its members; what is stamped keeps its hash and loses the stamp again. */
#include "fuzz.h"
#include "metadata-stamping/core/protocol.h"
#include "metadata-stamping/core/stamp_request.h"
#include "orchestrator/core/submission.h"

#define CONTRACT                                                                                   \
    "name: metadata_stamping\nversion: 1.0.0\n"                                                    \
    "input_state: {type: object, required: [content], properties: {content: {type: string, "       \
    "minLength: 1}, namespace: {type: string, default: n}, enable_intelligence: {type: boolean, "  \
    "default: true}, list: {type: array, items: {type: integer, minimum: 0}, uniqueItems: true}, " \
    "kind: {enum: [a, 1, null]}, code: {type: string, pattern: '^[a-z]+[0-9]*$', maxLength: "      \
    "9}}}\n"                                                                                       \
    "state_machine: {StartAt: A, States: {A: {Type: Succeed}}}\n"

static struct contract *contract;

static struct json *turned(const struct json *body)
{
    struct json *other = json_object();
    for (size_t i = json_size(body); i > 0; i--) {
        size_t name_bytes;
        const char *name = json_name_at(body, i - 1, &name_bytes);
        json_object_set_bytes(other, name, name_bytes, json_hold(json_member_at(body, i - 1)));
    }
    return other;
}

static void check_submission(const struct submission *submission)
{
    FUZZ_CHECK(submission->workflow && submission->workflow[0] && submission->namespace &&
               submission->input);
    FUZZ_CHECK(!submission->key || strlen(submission->key) <= IDEMPOTENCY_KEY_BYTES_MAX);
    FUZZ_CHECK(!submission->correlation_id ||
               strlen(submission->correlation_id) <= CORRELATION_ID_BYTES_MAX);
}

static void submit(const struct json *body, const char *key)
{
    struct submission first = {0}, second = {0};
    struct error error = {0}, other_error = {0};
    struct json *other = turned(body);
    enum error_code code = submission_read(&first, body, key, "default", &error);
    enum error_code other_code = submission_read(&second, other, key, "default", &other_error);
    FUZZ_CHECK((code == ERR_OK) == (other_code == ERR_OK));
    FUZZ_CHECK(code == ERR_OK || (error.text[0] && utf8_is_valid(error.text, strlen(error.text)) &&
                                  utf8_is_valid(error.field, strlen(error.field))));
    if (code == ERR_OK) {
        FUZZ_CHECK(memcmp(first.body_hash, second.body_hash, BODY_HASH_BYTES) == 0);
        check_submission(&first);
        if (submission_complete(&first, contract, &error) == ERR_OK) {
            struct json *completed = json_hold(first.input);
            FUZZ_CHECK(submission_complete(&first, contract, &error) == ERR_OK);
            FUZZ_CHECK(json_equal(first.input, completed));
            json_release(completed);
        }
    }
    submission_fini(&first);
    submission_fini(&second);
    json_release(other);
}

static void stamp(struct stamp_request *request)
{
    struct buffer content = {0}, stamp = {0}, stamped = {0}, data = {0};
    struct error error = {0};
    struct uuid uid = {{1, 2, 3}};
    char hash[CONTENT_HASH_TEXT_BYTES], again[CONTENT_HASH_TEXT_BYTES];
    if (stamp_request_prepare(request, &content, hash, &error) == ERR_OK) {
        stamp_request_stamp(request, hash, &uid, 1763740800000000, &stamp);
        stamp_request_data(request, hash, &uid, 1763740800000000, &stamp, &data);
        struct json *stored = json_parse(data.data, data.bytes, NULL, NULL);
        FUZZ_CHECK(stored != NULL);
        json_release(stored);
        stamp_apply(request->type, stamp.data, stamp.bytes, buffer_text(&content), content.bytes,
                    &stamped);
        struct stamp_request next = *request;
        next.content = stamped.data;
        next.content_bytes = stamped.bytes;
        buffer_clear(&stamp);
        FUZZ_CHECK(stamp_request_prepare(&next, &stamp, again, &error) == ERR_OK);
        FUZZ_CHECK(strcmp(hash, again) == 0 && fuzz_same(&stamp, &content));
        struct protocol_report report;
        protocol_check(stamped.data, stamped.bytes, PROTOCOL_NAME, "strict", &report);
        FUZZ_CHECK(report.issues_count <= PROTOCOL_ISSUES_MAX);
    }
    buffer_fini(&data);
    buffer_fini(&stamped);
    buffer_fini(&stamp);
    buffer_fini(&content);
}

static void ask_stamping(const struct json *body)
{
    static const struct field *const tables[] = {validate_request_fields, protocol_request_fields,
                                                 batch_request_fields};
    struct stamp_request request;
    struct error error = {0};
    if (stamp_request_read(&request, body, &error) == ERR_OK)
        stamp(&request);
    else
        FUZZ_CHECK(error.text[0] && utf8_is_valid(error.text, strlen(error.text)));
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (fields_check(tables[i], body, "", &error) == ERR_OK &&
            tables[i] == batch_request_fields)
            for (size_t k = 0; k < json_size(json_get(body, "items")); k++)
                if (stamp_request_read_item(&request, body, k, &error) == ERR_OK)
                    stamp(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct fuzz_rest rest = {(const char *)bytes, count};
    struct findings findings = {0};
    if (!contract)
        contract = contract_parse("a.yaml", CONTRACT, sizeof CONTRACT - 1, &findings);
    FUZZ_CHECK(contract != NULL);
    char *key = fuzz_take_line(&rest);
    struct json *body = json_parse(rest.text, rest.bytes, NULL, NULL);
    if (body) {
        if (json_type_of(body) == JSON_OBJECT)
            submit(body, key[0] ? key : NULL);
        ask_stamping(body);
    }
    json_release(body);
    findings_fini(&findings);
    free(key);
    return 0;
}
