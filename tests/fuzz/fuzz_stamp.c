/* SPDX-License-Identifier: MIT */
/* Texts with and without stamps: taking stamps away is final, undoes stamping octet by octet, and neither changes
 * the hash. */
#include "fuzz.h"
#include "metadata-stamping/core/protocol.h"
#include "metadata-stamping/core/stamp.h"

static void stamp_and_strip(enum stamp_type type, const struct buffer *plain)
{
    struct buffer scratch = {0}, stamp = {0}, stamped = {0}, stripped = {0};
    struct error error = {0};
    struct stamp_found found;
    char hash[CONTENT_HASH_TEXT_BYTES], again[CONTENT_HASH_TEXT_BYTES];
    stamp_hash(buffer_text(plain), plain->bytes, &scratch, hash);
    const struct stamp_fields fields = {.type = type,
                                        .uid = "0191-a",
                                        .hash = hash,
                                        .created_us = 1763740800000000,
                                        .protocol_version = "1.0",
                                        .author = "somebody",
                                        .file_path = "a/b.c",
                                        .file_size_bytes = (int64_t)plain->bytes,
                                        .integrity = true};
    stamp_write(&fields, &stamp);
    stamp_apply(type, stamp.data, stamp.bytes, buffer_text(plain), plain->bytes, &stamped);
    FUZZ_CHECK(stamp_find(stamped.data, stamped.bytes, 0, &found));
    FUZZ_CHECK(found.type == type && found.end <= stamped.bytes && found.start < found.end);
    FUZZ_CHECK(found.hash_bytes == strlen(hash) && memcmp(found.hash, hash, strlen(hash)) == 0);
    FUZZ_CHECK(stamp_strip(stamped.data, stamped.bytes, &stripped, &error) == ERR_OK);
    FUZZ_CHECK(fuzz_same(&stripped, plain));
    stamp_hash(stamped.data, stamped.bytes, &scratch, again);
    FUZZ_CHECK(strcmp(hash, again) == 0);
    buffer_fini(&stripped);
    buffer_fini(&stamped);
    buffer_fini(&stamp);
    buffer_fini(&scratch);
}

static void check_protocol(const char *text, size_t bytes)
{
    static const char *const levels[] = {"basic", "standard", "strict"};
    bool stricter = true;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        struct protocol_report report;
        protocol_check(text, bytes, PROTOCOL_NAME, levels[i], &report);
        FUZZ_CHECK(report.issues_count >= 0 && report.issues_count <= PROTOCOL_ISSUES_MAX);
        FUZZ_CHECK(report.recommendations_count <= PROTOCOL_ISSUES_MAX);
        FUZZ_CHECK(stricter || !report.valid); /* what basic refuses, strict refuses too */
        stricter = report.valid;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    const char *text = (const char *)bytes;
    struct buffer plain = {0}, again = {0};
    struct error error = {0};
    struct stamp_found found;
    check_protocol(text, count);
    if (stamp_strip(text, count, &plain, &error) == ERR_OK) {
        FUZZ_CHECK(!stamp_find(buffer_text(&plain), plain.bytes, 0, &found));
        FUZZ_CHECK(stamp_strip(buffer_text(&plain), plain.bytes, &again, &error) == ERR_OK);
        FUZZ_CHECK(fuzz_same(&plain, &again));
        stamp_and_strip(STAMP_LIGHTWEIGHT, &plain);
        if (!stamp_opens_rich(buffer_text(&plain), plain.bytes))
            stamp_and_strip(STAMP_RICH, &plain);
    } else {
        FUZZ_CHECK(error.text[0]);
    }
    buffer_fini(&plain);
    buffer_fini(&again);
    return 0;
}
