/* SPDX-License-Identifier: MIT */
/* Do stamps keep their form, never stack, and leave the hash as it was? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "metadata-stamping/core/protocol.h"
#include "metadata-stamping/core/stamp.h"
#include "metadata-stamping/core/stamp_request.h"

#define UID "01a1ff1a-3a5d-7642-bce5-ade9b67950cf"
#define CREATED_US 1795278690123456 /* 2026-11-21T16:31:30.123456Z */
#define HASH_OF_ABC "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"

static struct buffer stamped, stripped, stamp, scratch;

static void hash_of(const char *content, char hash[CONTENT_HASH_TEXT_BYTES])
{
    stamp_hash(content, strlen(content), &scratch, hash);
}

static const char *make(enum stamp_type type, const char *content)
{
    char hash[CONTENT_HASH_TEXT_BYTES];
    struct error error;
    ck_assert_int_eq(stamp_strip(content, strlen(content), &stripped, &error), ERR_OK);
    stamp_hash(buffer_text(&stripped), stripped.bytes, &scratch, hash);
    struct stamp_fields fields = {.type = type,
                                  .uid = UID,
                                  .hash = hash,
                                  .created_us = CREATED_US,
                                  .protocol_version = "1.0",
                                  .file_size_bytes = -1};
    buffer_clear(&stamp);
    buffer_clear(&stamped);
    stamp_write(&fields, &stamp);
    stamp_apply(type, buffer_text(&stamp), stamp.bytes, buffer_text(&stripped), stripped.bytes,
                &stamped);
    return buffer_text(&stamped);
}

static const char *strip(const char *content)
{
    struct error error;
    ck_assert_int_eq(stamp_strip(content, strlen(content), &stripped, &error), ERR_OK);
    return buffer_text(&stripped);
}

START_TEST(test_lightweight_layout)
{
    struct stamp_fields fields = {.type = STAMP_LIGHTWEIGHT,
                                  .uid = UID,
                                  .hash = HASH_OF_ABC,
                                  .created_us = CREATED_US,
                                  .protocol_version = "1.0",
                                  .author = "me",
                                  .version = "2"};
    buffer_clear(&stamp);
    stamp_write(&fields, &stamp);
    ck_assert_str_eq(buffer_text(&stamp), "# ONEX:uid=" UID ",hash=" HASH_OF_ABC
                                          ",ts=2026-11-21T16:31:30.123456+00:00,author=me,v=2");
    ck_assert_str_eq(make(STAMP_LIGHTWEIGHT, "abc"), "# ONEX:uid=" UID ",hash=" HASH_OF_ABC
                                                     ",ts=2026-11-21T16:31:30.123456+00:00\nabc");
}
END_TEST

START_TEST(test_rich_layout)
{
    struct stamp_fields fields = {.type = STAMP_RICH,
                                  .uid = UID,
                                  .hash = HASH_OF_ABC,
                                  .created_us = CREATED_US,
                                  .protocol_version = "1.0",
                                  .file_path = "a/b.txt",
                                  .content_type = "text/plain",
                                  .file_size_bytes = 3,
                                  .integrity = true};
    buffer_clear(&stamp);
    stamp_write(&fields, &stamp);
    ck_assert_str_eq(buffer_text(&stamp),
                     "<!-- ONEX_METADATA_START -->\n<!-- ONEX Metadata Stamp\n  uid: " UID
                     "\n  hash: " HASH_OF_ABC "\n  timestamp: 2026-11-21T16:31:30.123456+00:00\n  "
                     "protocol_version: 1.0\n  file_path: a/b.txt\n"
                     "  file_size: 3\n  content_type: text/plain\n  integrity:\n    algorithm: "
                     "BLAKE3\n    hash: " HASH_OF_ABC "\n-->\n<!-- ONEX_METADATA_END -->");
    ck_assert(strncmp(make(STAMP_RICH, "abc"), "abc\n\n<!-- ONEX_METADATA_START -->\n", 33) == 0);
}
END_TEST

static const char *const contents[] = {
    "",
    "abc",
    "abc\n",
    "\n\nabc",
    "a\n\n\n\nb\n\n\n",
    "  spaced \t\n",
    "\r\nwindows\r\n",
    "# ONEX:uid=,hash=x,ts=1 is no stamp",
    "# ONEX:uid=a,hash=b,ts= is none either",
    "<!-- ONEX_METADATA_END --> alone",
    "\xc2\xa0wide\xe3\x80\x80",
};
#define CONTENTS (sizeof contents / sizeof *contents)

/* Stamping in either form, then again in either form, then removing: nothing is left over. */
START_TEST(test_stamps_never_stack_and_strip_undoes)
{
    for (size_t i = 0; i < CONTENTS; i++) {
        for (int order = 0; order < 4; order++) {
            char *once = strdup(make(order & 1 ? STAMP_RICH : STAMP_LIGHTWEIGHT, contents[i]));
            char *twice = strdup(make(order & 2 ? STAMP_RICH : STAMP_LIGHTWEIGHT, once));
            ck_assert_str_eq(strip(once), contents[i]);
            ck_assert_str_eq(strip(twice), contents[i]);
            struct stamp_found found;
            ck_assert(stamp_find(twice, strlen(twice), 0, &found));
            ck_assert(!stamp_find(twice, strlen(twice), found.end, &found));
            free(once);
            free(twice);
        }
    }
}
END_TEST

START_TEST(test_hash_is_that_of_the_unstamped_content)
{
    for (size_t i = 0; i < CONTENTS; i++) {
        char before[CONTENT_HASH_TEXT_BYTES];
        char after[CONTENT_HASH_TEXT_BYTES];
        hash_of(contents[i], before);
        hash_of(make(STAMP_LIGHTWEIGHT, contents[i]), after);
        ck_assert_str_eq(before, after);
        hash_of(make(STAMP_RICH, contents[i]), after);
        ck_assert_str_eq(before, after);
    }
}
END_TEST

/* The normal form: runs of three and more newlines become two, white space at both ends goes. */
START_TEST(test_normal_form_of_hash_input)
{
    static const char *const same[] = {
        "a\n\nb",
        "a\n\n\nb",
        "a\n\n\n\n\n\nb",
        "\n \t a\n\nb\r\n",
        "\xc2\xa0\x61\n\nb\xe2\x80\x83\xe3\x80\x80",
        "\xe1\x9a\x80\xe2\x81\x9f\x61\n\nb\xe2\x80\xaf\xe2\x80\xa8\xc2\x85"};
    static const char *const other[] = {"a\nb",
                                        "a \n\nb",
                                        "a\n\nB",
                                        "a\n \nb",
                                        "a\n\nb\xe2\x80\x8b",
                                        "a\n\nb\xe2\x80\n"}; /* half a character is no space */
    char expected[CONTENT_HASH_TEXT_BYTES];
    char got[CONTENT_HASH_TEXT_BYTES];
    content_hash("a\n\nb", 4, expected);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        hash_of(same[i], got);
        ck_assert_str_eq(got, expected);
    }
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        hash_of(other[i], got);
        ck_assert_str_ne(got, expected);
    }
}
END_TEST

START_TEST(test_find_gives_type_and_hash)
{
    const char *content = "x # ONEX:uid=a-b_1,hash=00ff,ts=2020-01-01T00:00:00Z tail\n<!-- "
                          "ONEX_METADATA_START -->\n  hash: abcd\n"
                          "<!-- ONEX_METADATA_END -->";
    struct stamp_found found;
    ck_assert(stamp_find(content, strlen(content), 0, &found));
    ck_assert_int_eq(found.type, STAMP_LIGHTWEIGHT);
    ck_assert_uint_eq(found.start, 2);
    ck_assert_uint_eq(found.hash_bytes, 4);
    ck_assert_int_eq(strncmp(found.hash, "00ff", 4), 0);
    ck_assert_int_eq(content[found.end], '\n');
    ck_assert(stamp_find(content, strlen(content), found.end, &found));
    ck_assert_int_eq(found.type, STAMP_RICH);
    ck_assert_int_eq(strncmp(found.hash, "abcd", found.hash_bytes), 0);
    ck_assert_uint_eq(found.end, strlen(content));
}
END_TEST

/* Several old stamps, as the older service stacked them, are all replaced. */
START_TEST(test_stacked_stamps_are_all_removed)
{
    const char *stacked = "# ONEX:uid=b,hash=2,ts=2020-01-02T00:00:00+00:00\n# "
                          "ONEX:uid=a,hash=1,ts=2020-01-01T00:00:00+00:00,v=1\ntext\n\n\n"
                          "<!-- ONEX_METADATA_START -->\n1\n<!-- ONEX_METADATA_END -->\n\n<!-- "
                          "ONEX_METADATA_START -->\n2\n<!-- ONEX_METADATA_END -->";
    ck_assert_str_eq(strip(stacked), "text\n");
}
END_TEST

/* A stamp behind other text takes the rest of its line only; the line break is the content's own. */
START_TEST(test_stamp_behind_other_text)
{
    ck_assert_str_eq(strip("x # ONEX:uid=a,hash=b,ts=1 rest\ny"), "x \ny");
    ck_assert_str_eq(strip("x\n# ONEX:uid=a,hash=b,ts=1 rest\ny"), "x\ny");
}
END_TEST

START_TEST(test_hidden_stamps_are_refused_beyond_the_bound)
{
    struct buffer nested = {0};
    struct error error = {0};
    for (int i = 0; i < 40; i++)
        buffer_append_text(&nested, "<!-- ONEX_METADATA_ST");
    buffer_append_text(&nested, "<!-- ONEX_METADATA_START --><!-- ONEX_METADATA_END -->");
    for (int i = 0; i < 40; i++)
        buffer_append_text(&nested, "ART --><!-- ONEX_METADATA_END -->");
    ck_assert_int_eq(stamp_strip(buffer_text(&nested), nested.bytes, &stripped, &error),
                     ERR_INVALID);
    ck_assert_str_eq(error.field, "content");
    buffer_fini(&nested);
}
END_TEST

static enum error_code read_request(const char *text, struct json **body,
                                    struct stamp_request *request, struct error *error)
{
    *body = json_parse(text, strlen(text), error, NULL);
    ck_assert_ptr_nonnull(*body);
    return stamp_request_read(request, *body, error);
}

START_TEST(test_request_fields)
{
    struct json *body;
    struct stamp_request request;
    struct error error = {0};
    ck_assert_int_eq(read_request("{\"content\":\"c\",\"options\":{\"stamp_type\":\"rich\","
                                  "\"include_metadata\":false},\"version\":7,"
                                  "\"op_id\":\"" UID "\",\"workflow_id\":\"" UID
                                  "\",\"namespace\":\"n\",\"metadata_version\":\"0.2\","
                                  "\"intelligence_data\":{\"a\":1},\"file_path\":\"p\"}",
                                  &body, &request, &error),
                     ERR_OK);
    ck_assert_int_eq(request.type, STAMP_RICH);
    ck_assert(!request.include_metadata && request.validate_integrity);
    ck_assert_int_eq(request.version, 7);
    ck_assert(request.has_op_id && request.has_workflow_id);
    ck_assert_str_eq(request.namespace, "n");
    ck_assert_str_eq(request.metadata_version, "0.2");
    ck_assert_str_eq(request.protocol_version, "1.0");
    ck_assert_str_eq(request.file_path, "p");
    ck_assert_ptr_nonnull(request.intelligence_data);
    json_release(body);
}
END_TEST

START_TEST(test_request_faults_name_the_field)
{
    static const struct {
        const char *body;
        const char *field;
    } faults[] = {
        {"{}", "content"},
        {"{\"content\":1}", "content"},
        {"{\"content\":\"\",\"contents\":\"\"}", "contents"},
        {"{\"content\":\"\",\"options\":{\"stamp_type\":\"heavy\"}}", "options.stamp_type"},
        {"{\"content\":\"\",\"options\":{\"kind\":1}}", "options.kind"},
        {"{\"content\":\"\",\"version\":0}", "version"},
        {"{\"content\":\"\",\"version\":1.5}", "version"},
        {"{\"content\":\"\",\"op_id\":\"x\"}", "op_id"},
        {"{\"content\":\"\",\"namespace\":\"\"}", "namespace"},
        {"{\"content\":\"\",\"metadata\":{\"author\":\"a\\nb\"}}", "metadata.author"},
        {"{\"content\":\"\",\"file_path\":\"a-->b\",\"options\":{\"stamp_type\":\"rich\"}}",
         "file_path"},
        {"{\"content\":\"\",\"content_type\":\"a\\nb\",\"options\":{\"stamp_type\":\"rich\"}}",
         "content_type"},
        {"{\"content\":\"\",\"metadata\":[]}", "metadata"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct json *body;
        struct stamp_request request;
        struct error error = {0};
        ck_assert_int_eq(read_request(faults[i].body, &body, &request, &error), ERR_INVALID);
        ck_assert_str_eq(error.field, faults[i].field);
        json_release(body);
    }
}
END_TEST

/* A rich stamp after content with an open start mark could not be found again. */
START_TEST(test_open_start_mark_refuses_a_rich_stamp)
{
    struct json *body;
    struct stamp_request request;
    struct error error = {0};
    char hash[CONTENT_HASH_TEXT_BYTES];
    ck_assert_int_eq(
        read_request("{\"content\":\"<!-- ONEX_METADATA_START --> x\"}", &body, &request, &error),
        ERR_OK);
    ck_assert_int_eq(stamp_request_prepare(&request, &stripped, hash, &error), ERR_OK);
    request.type = STAMP_RICH;
    ck_assert_int_eq(stamp_request_prepare(&request, &stripped, hash, &error), ERR_INVALID);
    json_release(body);
}
END_TEST

START_TEST(test_protocol)
{
    struct protocol_report report;
    protocol_check("x", 1, PROTOCOL_NAME, "standard", &report);
    ck_assert(!report.valid);
    ck_assert_str_eq(report.level, "none");
    const char *good = make(STAMP_LIGHTWEIGHT, "x");
    protocol_check(good, strlen(good), PROTOCOL_NAME, "standard", &report);
    ck_assert(report.valid);
    ck_assert_str_eq(report.level, "full");
    protocol_check(good, strlen(good), "other", "standard", &report);
    ck_assert(!report.valid);
    protocol_check(good, strlen(good), PROTOCOL_NAME, "strict", &report);
    ck_assert_str_eq(report.level, "partial");
    const char *block = "# === OmniNode:Tool_Metadata ===\n# metadata_version: 0.1\n# name: t\n# "
                        "namespace: n\n# version: 1\n"
                        "# entrypoint: main\n# protocols_supported: [O.N.E.v0.1]\n";
    good = make(STAMP_LIGHTWEIGHT, block);
    protocol_check(good, strlen(good), PROTOCOL_NAME, "strict", &report);
    ck_assert(report.valid);
    char *broken = strdup(good);
    broken[strlen(broken) - 2] = 'X';
    protocol_check(broken, strlen(broken), PROTOCOL_NAME, "standard", &report);
    ck_assert(!report.valid);
    protocol_check(broken, strlen(broken), PROTOCOL_NAME, "basic", &report);
    ck_assert(report.valid);
    *strstr(broken, "entrypoint") = 'E';
    protocol_check(broken, strlen(broken), PROTOCOL_NAME, "standard", &report);
    ck_assert_str_eq(report.level, "partial");
    free(broken);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stamp");
    TCase *cases = tcase_create("all");
    tcase_add_test(cases, test_lightweight_layout);
    tcase_add_test(cases, test_rich_layout);
    tcase_add_test(cases, test_stamps_never_stack_and_strip_undoes);
    tcase_add_test(cases, test_hash_is_that_of_the_unstamped_content);
    tcase_add_test(cases, test_normal_form_of_hash_input);
    tcase_add_test(cases, test_find_gives_type_and_hash);
    tcase_add_test(cases, test_stacked_stamps_are_all_removed);
    tcase_add_test(cases, test_stamp_behind_other_text);
    tcase_add_test(cases, test_hidden_stamps_are_refused_beyond_the_bound);
    tcase_add_test(cases, test_request_fields);
    tcase_add_test(cases, test_request_faults_name_the_field);
    tcase_add_test(cases, test_open_start_mark_refuses_a_rich_stamp);
    tcase_add_test(cases, test_protocol);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    buffer_fini(&stamped);
    buffer_fini(&stripped);
    buffer_fini(&stamp);
    buffer_fini(&scratch);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
