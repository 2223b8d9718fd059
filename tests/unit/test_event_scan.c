/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/event_scan.h"
#include "core/json.h"

/* What these tests want of an event. */
enum {
    EVENT_ID,
    EVENT_TYPE,
    PAYLOAD,
    NAMESPACE,
    FILE_HASH,
    FILE_SIZE,
    PROCESSING_TIME_MS,
    TO_STATE,
    METADATA_NAMESPACE,
    WANTED
};
static const char *const wanted[WANTED] = {"event_id",
                                           "event_type",
                                           "payload",
                                           "payload.namespace",
                                           "payload.file_hash",
                                           "payload.file_size",
                                           "payload.processing_time_ms",
                                           "payload.to_state",
                                           "metadata.namespace"};
static struct event_paths *paths;
static struct event_hints hints; /* of all tests: what one event taught must not disturb another */
static int slots[WANTED];

static void setup(void)
{
    paths = event_paths_new();
    for (int i = 0; i < WANTED; i++)
        slots[i] = event_paths_add(paths, wanted[i], strlen(wanted[i]));
}

static void teardown(void) { event_paths_free(paths); }

struct found {
    struct event_value slots[EVENT_SLOTS_MAX];
    struct event_value values[WANTED];
};

static const char *scan(const char *text, size_t bytes, struct found *found)
{
    const char *fault = event_scan(paths, &hints, text, bytes, found->slots);
    for (int i = 0; i < WANTED; i++)
        found->values[i] = found->slots[slots[i]];
    return fault;
}

static const char full[] = "{\"envelope_version\":\"1.0\",\"event_id\":\"e-1\",\"event_type\":"
                           "\"stamp_workflow_completed\","
                           "\"event_timestamp\":\"2026-11-21T16:31:00.123456Z\",\"correlation_id\":"
                           "null,\"nested\":{\"payload\":{\"namespace\":\"no\"},"
                           "\"list\":[1,-2.5e3,{\"a\":[true,false,null,\"\\\"}]\"]}]},\"payload\":{"
                           "\"namespace\":\"a.b\",\"workflow_id\":\"w-1\","
                           "\"file_hash\":\"\\u00e9\\ud83d\\ude00\\n\",\"file_size\":1234,"
                           "\"content_type\":\"text/plain\",\"inner\":{\"namespace\":\"no\"},"
                           "\"processing_time_ms\":12.5},\"metadata\":{\"namespace\":\"meta\"}}";

static const char *text(const struct found *fields, int field)
{
    static struct buffer scratch;
    static char copy[256];
    size_t bytes;
    const char *found = event_value_text(&fields->values[field], &scratch, &bytes);
    if (!found)
        return NULL;
    memcpy(copy, found, bytes);
    copy[bytes] = 0;
    return copy;
}

START_TEST(wanted_fields_are_found_where_they_belong)
{
    struct found fields;
    int64_t size;
    double time_ms;
    ck_assert_ptr_null(scan(full, sizeof(full) - 1, &fields));
    ck_assert_str_eq(text(&fields, EVENT_ID), "e-1");
    ck_assert_str_eq(text(&fields, EVENT_TYPE), "stamp_workflow_completed");
    ck_assert_str_eq(text(&fields, NAMESPACE), "a.b");
    ck_assert_str_eq(text(&fields, METADATA_NAMESPACE), "meta");
    ck_assert_str_eq(text(&fields, FILE_HASH), "\xc3\xa9\xf0\x9f\x98\x80\n");
    ck_assert(event_value_int(&fields.values[FILE_SIZE], &size));
    ck_assert_int_eq(size, 1234);
    ck_assert(event_value_double(&fields.values[PROCESSING_TIME_MS], &time_ms));
    ck_assert_double_eq(time_ms, 12.5);
    ck_assert_int_eq(fields.values[PAYLOAD].type, JSON_OBJECT);
    ck_assert_int_eq(fields.values[TO_STATE].type, JSON_ABSENT);
    ck_assert(!event_value_int(&fields.values[NAMESPACE], &size));
}
END_TEST

START_TEST(of_a_name_that_comes_twice_the_last_one_counts)
{
    static const char twice[] = "{\"payload\":{\"namespace\":\"x\",\"file_size\":1},\"event_type\":"
                                "\"a\",\"event_type\":\"b\","
                                "\"payload\":{\"file_size\":2,\"file_size\":3}}";
    static const char replaced[] = "{\"payload\":{\"namespace\":\"x\"},\"payload\":7}";
    static const char escaped[] = "{\"p\\u0061yload\":{\"n\\u0061mespace\":\"y\"}}";
    struct found fields;
    int64_t size;
    ck_assert_ptr_null(scan(twice, sizeof(twice) - 1, &fields));
    ck_assert_str_eq(text(&fields, EVENT_TYPE), "b");
    ck_assert_ptr_null(text(&fields, NAMESPACE));
    ck_assert(event_value_int(&fields.values[FILE_SIZE], &size));
    ck_assert_int_eq(size, 3);
    ck_assert_ptr_null(scan(replaced, sizeof(replaced) - 1, &fields));
    ck_assert_int_eq(fields.values[PAYLOAD].type, JSON_NUMBER);
    ck_assert_int_eq(fields.values[NAMESPACE].type, JSON_ABSENT);
    ck_assert_ptr_null(scan(escaped, sizeof(escaped) - 1, &fields));
    ck_assert_str_eq(text(&fields, NAMESPACE), "y");
}
END_TEST

START_TEST(whole_numbers_are_read_however_they_are_written)
{
    static const struct {
        const char *number;
        bool fine;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-7", true, -7},
        {"1e3", true, 1000},
        {"12.0", true, 12},
        {"12.5", false, 0},
        {"1e300", false, 0},
        {"900000000000000000", true, 900000000000000000},
        {"99999999999999999999", false, 0},
        {"-0", true, 0},
        {"-0.0", true, 0},
        {"2.5e1", true, 25},
        {"9007199254740993", true, 9007199254740993},
        {"-9999999999999999", true, -9999999999999999},
        {"123456789012.345", false, 0},
        {"-0.1", false, 0},
        {"12345678901234.0", true, 12345678901234},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char event[96];
        struct found fields;
        int64_t value = 0;
        int bytes =
            snprintf(event, sizeof(event), "{\"payload\":{\"file_size\":%s}}", cases[i].number);
        ck_assert_ptr_null(scan(event, (size_t)bytes, &fields));
        ck_assert_msg(event_value_int(&fields.values[FILE_SIZE], &value) == cases[i].fine, "%s",
                      cases[i].number);
        if (cases[i].fine)
            ck_assert_int_eq(value, cases[i].value);
        double number = -1, alone = -2;
        int64_t whole = 0;
        bool is_whole = false;
        ck_assert(event_value_double(&fields.values[FILE_SIZE], &alone));
        ck_assert(event_value_number(&fields.values[FILE_SIZE], &number, &whole, &is_whole));
        ck_assert_msg(number >= alone && number <= alone, "%s", cases[i].number);
        ck_assert_msg(is_whole == cases[i].fine, "%s", cases[i].number);
        if (is_whole)
            ck_assert_int_eq(whole, cases[i].value);
    }
}
END_TEST

/* A name is compared with what stood there in an event before, so events that nearly agree come one after the
 * other. */
START_TEST(what_an_event_taught_changes_nothing)
{
    static const char *const events[] = {
        "{\"event_id\":\"1\",\"event_type\":\"x\",\"payload\":{\"namespace\":\"a\",\"file_size\":1}"
        "}",
        "{\"event_id\":\"1\",\"event_typo\":\"x\",\"payload\":{\"namespace\":\"a\",\"file_sizes\":"
        "1}}",
        "{\"event_id\":\"1\",\"namespace\":\"x\",\"other\":{\"namespace\":\"a\",\"file_size\":1}}",
        "{\"event_id\" : "
        "\"1\",\"event_type\":\"x\",\"payload\":{\"file_size\":1,\"namespace\":\"a\"}}",
        "{\"payload\":{\"file_size\":1,\"namespace\":\"a\"},\"event_id\":\"1\",\"payload\":{}}",
    };
    enum { EVENTS = sizeof(events) / sizeof(events[0]) };
    for (int i = 0; i < EVENTS * EVENTS * EVENTS; i++) {
        const char *event = events[i / (i % 2 ? 1 : EVENTS) % EVENTS];
        struct event_hints none = {0};
        struct event_value plain[EVENT_SLOTS_MAX], taught[EVENT_SLOTS_MAX];
        ck_assert_ptr_null(event_scan(paths, &none, event, strlen(event), plain));
        ck_assert_ptr_null(event_scan(paths, &hints, event, strlen(event), taught));
        for (int slot = 0; slot < event_paths_count(paths); slot++) {
            ck_assert_int_eq(plain[slot].type, taught[slot].type);
            ck_assert_ptr_eq(plain[slot].data, taught[slot].data);
            ck_assert_uint_eq(plain[slot].bytes, taught[slot].bytes);
        }
    }
}
END_TEST

/* Both must agree on what JSON is; the scanner takes objects only. */
static void check_agreement(const char *data, size_t bytes)
{
    struct found fields;
    struct json *tree = json_parse(data, bytes, NULL, NULL);
    const char *fault = scan(data, bytes, &fields);
    bool object = json_type_of(tree) == JSON_OBJECT;
    ck_assert_msg(object == (fault == NULL), "they disagree (tree %s, scanner %s) on: %.*s",
                  tree ? json_type_name(tree) : "refuses", fault ? fault : "accepts", (int)bytes,
                  data);
    if (object) {
        const struct json *payload = json_get(tree, "payload");
        const struct json *namespace = json_get(payload, "namespace");
        size_t have_bytes = 0, want_bytes = 0;
        struct buffer scratch = {0};
        const char *have = event_value_text(&fields.values[NAMESPACE], &scratch, &have_bytes);
        const char *want = json_string_value(namespace, &want_bytes);
        ck_assert(json_type_of(payload) == fields.values[PAYLOAD].type);
        ck_assert((have == NULL) == (want == NULL));
        if (want)
            ck_assert(have_bytes == want_bytes && memcmp(have, want, want_bytes) == 0);
        buffer_fini(&scratch);
    }
    json_release(tree);
}

static const char *const texts[] = {
    "",
    " ",
    "{",
    "{}",
    " {\n}\t",
    "{}x",
    "[]",
    "1",
    "null",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{,}",
    "{\"a\":01}",
    "{\"a\":1.}",
    "{\"a\":.5}",
    "{\"a\":+1}",
    "{\"a\":1e}",
    "{\"a\":1e999}",
    "{\"a\":-}",
    "{\"a\":-0}",
    "{\"a\":nul}",
    "{\"a\":true,\"b\":[1,2,]}",
    "{\"a\":[}",
    "{\"a\":\"\\x\"}",
    "{\"a\":\"\\u12\"}",
    "{\"a\":\"\\ud800\"}",
    "{\"a\":\"\\ud800\\u0041\"}",
    "{\"a\":\"\\udc00\"}",
    "{\"a\":\"\\u0000\"}",
    "{\"a\":\"\t\"}",
    "{\"a\":\"open}",
    "{\"a\":\"\xff\"}",
    "{\"a\":\"\xc0\x80\"}",
    "{\"a\":\"\xed\xa0\x80\"}",
    "{\"a\":\"\xf4\x90\x80\x80\"}",
    "{\"a\":\"\xe2\x82\xac\xf0\x9f\x98\x80\"}",
    "{\"payload\":{\"namespace\":\"\\ud83d\\ude00\\/\\b\"}}",
    "{'a':1}",
    "{\"a\" : 1 , \"b\" : [ ] }",
    "\xef\xbb\xbf{}",
    "{\"a\":1}{\"b\":2}",
    "{\"payload\":[{\"namespace\":1}]}",
};

START_TEST(it_accepts_what_the_parser_accepts) { check_agreement(texts[_i], strlen(texts[_i])); }
END_TEST

/* Every prefix, and every octet replaced by a few others: most of them are broken texts. */
START_TEST(it_agrees_with_the_parser_on_damaged_events)
{
    static const char with[] = "\"{}[],:\\0a \x80\xc3\x01-e";
    char damaged[sizeof(full)];
    for (size_t bytes = 0; bytes < sizeof(full); bytes++)
        check_agreement(full, bytes);
    for (size_t at = 0; at + 1 < sizeof(full); at++) {
        for (size_t i = 0; i + 1 < sizeof(with); i++) {
            memcpy(damaged, full, sizeof(full));
            damaged[at] = with[i];
            check_agreement(damaged, sizeof(full) - 1);
        }
    }
}
END_TEST

START_TEST(nesting_is_bounded_as_in_the_parser)
{
    for (int depth = JSON_DEPTH_MAX - 2; depth <= JSON_DEPTH_MAX + 2; depth++) {
        char event[4 * JSON_DEPTH_MAX];
        size_t bytes = 0;
        bytes += (size_t)sprintf(event + bytes, "{\"a\":");
        for (int i = 1; i < depth; i++)
            event[bytes++] = '[';
        for (int i = 1; i < depth; i++)
            event[bytes++] = ']';
        event[bytes++] = '}';
        check_agreement(event, bytes);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event_scan");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, wanted_fields_are_found_where_they_belong);
    tcase_add_test(tests, of_a_name_that_comes_twice_the_last_one_counts);
    tcase_add_test(tests, whole_numbers_are_read_however_they_are_written);
    tcase_add_test(tests, what_an_event_taught_changes_nothing);
    tcase_add_loop_test(tests, it_accepts_what_the_parser_accepts, 0,
                        (int)(sizeof(texts) / sizeof(texts[0])));
    tcase_add_test(tests, it_agrees_with_the_parser_on_damaged_events);
    tcase_add_test(tests, nesting_is_bounded_as_in_the_parser);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
