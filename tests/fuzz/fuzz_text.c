/* SPDX-License-Identifier: MIT */
/* Short texts that come from outside: times, UUIDs, versions, names, task tokens, cursors. What is read is written
 * the same way again, and nobody can make a token up. */
#include "base/instant.h"
#include "base/uuid.h"
#include "core/contract.h"
#include "core/identifier.h"
#include "core/task_resource.h"
#include "fuzz.h"
#include "orchestrator/core/submission.h"
#include "orchestrator/core/task_token.h"
#include "reducer/core/page_cursor.h"

static const uint8_t secret[TASK_SECRET_BYTES] = "a secret that no input can know.";

static void as_instant(const char *text, size_t bytes)
{
    static struct instant_minute minute;
    int64_t instant_us = 7, near_us = 7, again_us;
    char written[INSTANT_TEXT_BYTES];
    bool read = instant_parse(text, bytes, &instant_us);
    FUZZ_CHECK(instant_parse_near(&minute, text, bytes, &near_us) == read);
    FUZZ_CHECK(near_us == instant_us && (read || instant_us == 7));
    if (!read)
        return;
    FUZZ_CHECK(instant_us >= INSTANT_FIRST_US && instant_us <= INSTANT_LAST_US);
    instant_format_us(instant_us, written);
    FUZZ_CHECK(instant_parse(written, strlen(written), &again_us) && again_us == instant_us);
    instant_format(instant_us, written);
    FUZZ_CHECK(instant_parse(written, strlen(written), &again_us) && again_us <= instant_us &&
               instant_us - again_us < 1000);
}

static void as_uuid(const char *text, size_t bytes)
{
    struct uuid uuid, again;
    char written[UUID_TEXT_BYTES];
    if (!uuid_parse(text, bytes, &uuid))
        return;
    uuid_format(&uuid, written);
    FUZZ_CHECK(uuid_parse(written, strlen(written), &again) && uuid_equal(&uuid, &again));
    FUZZ_CHECK(bytes == strlen(written) && strncasecmp(text, written, bytes) == 0);
}

static void as_versions(const char *a, const char *b)
{
    if (!contract_version_is_valid(a) || !contract_version_is_valid(b))
        return;
    int order = contract_version_compare(a, b);
    int back = contract_version_compare(b, a);
    FUZZ_CHECK((order < 0) == (back > 0) && (order == 0) == (back == 0));
    FUZZ_CHECK(contract_version_compare(a, a) == 0);
    (void)contract_version_is_prerelease(a);
}

static void as_token(const char *text, const uint8_t *bytes, size_t count)
{
    struct task_token token = {0}, read;
    char written[TASK_TOKEN_BYTES_MAX];
    FUZZ_CHECK(!task_token_read(secret, text, &read));
    if (count < sizeof token.workflow_id.octets + 4)
        return;
    memcpy(token.workflow_id.octets, bytes, sizeof token.workflow_id.octets);
    token.shard = bytes[16];
    token.wait = (uint32_t)bytes[17] << 24 | (uint32_t)bytes[18] << 8 | bytes[19];
    task_token_write(secret, &token, written);
    FUZZ_CHECK(task_token_read(secret, written, &read) && read.shard == token.shard &&
               read.wait == token.wait && uuid_equal(&read.workflow_id, &token.workflow_id));
    size_t at = bytes[0] % strlen(written);
    written[at] = written[at] == 'A' ? 'B' : 'A';
    FUZZ_CHECK(!task_token_read(secret, written, &read));
}

static void as_cursor(const char *text)
{
    struct page_cursor cursor, again;
    struct buffer written = {0};
    if (!page_cursor_read(text, &cursor))
        return;
    FUZZ_CHECK(cursor.definition >= 0 && utf8_is_valid(cursor.group, strlen(cursor.group)));
    page_cursor_write(&cursor, &written);
    FUZZ_CHECK(page_cursor_read(buffer_text(&written), &again));
    FUZZ_CHECK(cursor.start_us == again.start_us && cursor.window_ms == again.window_ms &&
               cursor.definition == again.definition && cursor.oldest_first == again.oldest_first &&
               strcmp(cursor.group, again.group) == 0);
    buffer_fini(&written);
}

static void as_after(const char *text)
{
    struct after_token token;
    char *copy = must_strdup(text);
    if (after_token_read(copy, &token))
        FUZZ_CHECK(token.lane[0] && token.workflow[0] && token.seq >= 0 &&
                   utf8_is_valid(token.lane, strlen(token.lane)) &&
                   utf8_is_valid(token.workflow, strlen(token.workflow)));
    free(copy);
}

static void as_names(const char *text, size_t bytes)
{
    if (utf8_is_valid(text, bytes)) {
        size_t characters = 0, taken = identifier_bytes(text, bytes, &characters);
        FUZZ_CHECK(taken <= bytes && characters <= taken && utf8_is_valid(text, taken));
        FUZZ_CHECK(taken == 0 || identifier_bytes(text, taken, NULL) == taken);
        FUZZ_CHECK(utf8_characters(text, bytes) <= bytes);
    }
    FUZZ_CHECK(!task_name_is_valid(text) || (bytes > 0 && bytes <= NAME_BYTES_MAX));
    FUZZ_CHECK(!submission_key_is_valid(text) ||
               (bytes <= IDEMPOTENCY_KEY_BYTES_MAX && utf8_is_valid(text, bytes)));
    (void)task_event_type_reserved(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct fuzz_rest rest = {(const char *)bytes, count};
    char *first = fuzz_take_line(&rest), *second = fuzz_take_line(&rest);
    as_instant(first, strlen(first));
    as_uuid(first, strlen(first));
    as_versions(first, second);
    as_token(first, bytes, count);
    as_cursor(first);
    as_after(first);
    as_names(first, strlen(first));
    free(second);
    free(first);
    return 0;
}
