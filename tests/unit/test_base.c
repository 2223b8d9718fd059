/* SPDX-License-Identifier: MIT */
/* Are octets, times, ids and errors put together and taken apart as their standards say? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/instant.h"
#include "base/uuid.h"

/* -- buffer -- */

START_TEST(a_buffer_grows_and_stays_ended)
{
    struct buffer buffer = {0};
    ck_assert_str_eq(buffer_text(&buffer), "");
    for (int i = 0; i < 1000; i++)
        buffer_append_char(&buffer, (char)('a' + i % 26));
    ck_assert_uint_eq(buffer.bytes, 1000);
    ck_assert_uint_eq(strlen(buffer_text(&buffer)), 1000);
    buffer_clear(&buffer);
    ck_assert_str_eq(buffer_text(&buffer), "");
    buffer_append_int(&buffer, INT64_MIN);
    buffer_append_char(&buffer, ' ');
    buffer_append_int(&buffer, INT64_MAX);
    buffer_append_format(&buffer, " %s-%d", "x", 7);
    ck_assert_str_eq(buffer_text(&buffer), "-9223372036854775808 9223372036854775807 x-7");
    char *taken = buffer_take(&buffer);
    ck_assert_str_eq(buffer_text(&buffer), "");
    ck_assert_uint_eq(buffer.bytes, 0);
    free(taken);
    taken = buffer_take(&buffer); /* an empty one is a text too */
    ck_assert_str_eq(taken, "");
    free(taken);
}
END_TEST

static void expect_json(const char *text, size_t bytes, const char *expected)
{
    struct buffer buffer = {0};
    buffer_append_json_string(&buffer, text, bytes);
    ck_assert_str_eq(buffer_text(&buffer), expected);
    buffer_fini(&buffer);
}

START_TEST(json_strings_are_escaped)
{
    expect_json("", 0, "\"\"");
    expect_json("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
    expect_json("\b\f\n\r\t\x01\x1f\x7f", 8, "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    expect_json("a\0b", 3, "\"a\\u0000b\"");
    expect_json("h\xc3\xb6z\xf0\x9f\x98\x80", 8, "\"h\xc3\xb6z\xf0\x9f\x98\x80\"");
    expect_json("a\xff"
                "b\xc3",
                4,
                "\"a\xef\xbf\xbd"
                "b\xef\xbf\xbd\""); /* not UTF-8: U+FFFD */
    struct buffer buffer = {0};
    buffer_append_json_text(&buffer, NULL);
    ck_assert_str_eq(buffer_text(&buffer), "null");
    buffer_fini(&buffer);
}
END_TEST

/* RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF. */
START_TEST(utf8_is_what_rfc_3629_says)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x41",
                                      "\xe0\x9f\xbf",
                                      "\xe2\x82",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xfe",
                                      "\xff",
                                      "ok\xe2\x28\xa1"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_msg(utf8_is_valid(good[i], strlen(good[i])), "good %zu", i);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!utf8_is_valid(bad[i], strlen(bad[i])), "bad %zu", i);
    ck_assert(utf8_is_valid("a\0b", 3));
    char text[] = "\x80"
                  "a\xf0\x9f\x98\xc3\xa9\xed\xa0\x80z\xe2\x82";
    ck_assert_uint_eq(utf8_keep(text, sizeof text - 1), 4);
    ck_assert_mem_eq(text, "a\xc3\xa9z", 4);
}
END_TEST

/* -- instants -- */

static const struct {
    const char *text;
    int64_t instant_us;
} instants[] = {
    {"1970-01-01T00:00:00.000000Z", 0},
    {"1969-12-31T23:59:59.999999Z", -1},
    {"2000-02-29T12:34:56.789012Z", 951827696789012},
    {"2026-11-21T16:31:00.123000Z", 1795278660123000},
    {"2100-02-28T23:59:59.000000Z", 4107542399000000},
    {"0001-01-01T00:00:00.000000Z", -62135596800000000},
    {"0000-01-01T00:00:00.000000Z", INSTANT_FIRST_US},
    {"9999-12-31T23:59:59.999999Z", INSTANT_LAST_US},
};

START_TEST(instants_go_there_and_back)
{
    for (size_t i = 0; i < sizeof instants / sizeof instants[0]; i++) {
        char text[INSTANT_TEXT_BYTES];
        int64_t read = 5;
        ck_assert_str_eq(instant_format_us(instants[i].instant_us, text), instants[i].text);
        ck_assert(instant_parse(text, strlen(text), &read));
        ck_assert_int_eq(read, instants[i].instant_us);
    }
    char text[INSTANT_TEXT_BYTES];
    ck_assert_str_eq(instant_format(1999, text),
                     "1970-01-01T00:00:00.001Z"); /* cut off, not rounded */
    ck_assert_str_eq(instant_format(-1, text), "1969-12-31T23:59:59.999Z");
    ck_assert_str_eq(instant_format(INSTANT_FIRST_US - 1, text), "-000001-12-31T23:59:59.999Z");
    ck_assert_str_eq(instant_format(INSTANT_LAST_US + 1, text), "+010000-01-01T00:00:00.000Z");
    ck_assert_uint_lt(strlen(instant_format_us(INT64_MIN, text)), INSTANT_TEXT_BYTES);
}
END_TEST

/* Reading beside the minute read last gives what reading alone gives, for the text and for all that differ from
 * it in one octet. */
static void check_near(const char *text)
{
    static struct instant_minute last;
    static const char with[] = "0569.:Z+- ";
    char other[64];
    size_t bytes = strlen(text);
    ck_assert_uint_lt(bytes, sizeof(other));
    for (size_t at = 0; at <= bytes; at++) {
        for (size_t i = 0; i + 1 < sizeof(with); i++) {
            int64_t alone = -1, near = -1;
            memcpy(other, text, bytes);
            if (at < bytes)
                other[at] = with[i];
            ck_assert(instant_parse(other, bytes, &alone) ==
                      instant_parse_near(&last, other, bytes, &near));
            ck_assert_int_eq(alone, near);
        }
    }
}

START_TEST(offsets_and_fractions_are_read)
{
    static const struct {
        const char *text;
        int64_t instant_us;
    } rows[] = {
        {"1970-01-01T01:00:00+01:00", 0},
        {"1969-12-31T18:30:00-05:30", 0},
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.5Z", 500000},
        {"1970-01-01T00:00:00.123456789Z", 123456},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t read = 5;
        ck_assert_msg(instant_parse(rows[i].text, strlen(rows[i].text), &read), "%s", rows[i].text);
        check_near(rows[i].text);
        ck_assert_int_eq(read, rows[i].instant_us);
    }
}
END_TEST

START_TEST(what_is_no_instant_is_refused)
{
    static const char *const bad[] = {"",
                                      "1970-01-01",
                                      "1970-01-01 00:00:00Z",
                                      "1970-01-01T00:00:00",
                                      "1970-01-01t00:00:00Z",
                                      "1970-01-01T00:00:00z",
                                      "1970-13-01T00:00:00Z",
                                      "1970-00-01T00:00:00Z",
                                      "1970-02-29T00:00:00Z",
                                      "1900-02-29T00:00:00Z",
                                      "1970-01-32T00:00:00Z",
                                      "1970-01-01T24:00:00Z",
                                      "1970-01-01T00:60:00Z",
                                      "1970-01-01T00:00:00.Z",
                                      "1970-01-01T00:00:00.1234567890Z",
                                      "1970-01-01T00:00:00+24:00",
                                      "1970-01-01T00:00:00+0100",
                                      "1970-01-01T00:00:00Z ",
                                      " 1970-01-01T00:00:00Z",
                                      "70-01-01T00:00:00Z",
                                      "0000-01-01T00:00:00+00:01",
                                      "0000-01-01T00:00:00+23:59",
                                      "9999-12-31T23:59:59-00:01",
                                      "9999-12-31T23:59:60Z"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t unchanged = 5;
        ck_assert_msg(!instant_parse(bad[i], strlen(bad[i]), &unchanged), "%s", bad[i]);
        check_near(bad[i]);
        ck_assert_int_eq(unchanged, 5);
    }
}
END_TEST

/* -- ids -- */

START_TEST(version_7_ids_are_those_of_rfc_9562)
{
    /* The example of RFC 9562, appendix A.6: 017F22E2-79B0-7CC3-98C4-DC0C0C07398F. */
    const uint8_t random[10] = {0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
    struct uuid id = uuid_v7(0x017f22e279b0, random);
    char text[UUID_TEXT_BYTES];
    ck_assert_str_eq(uuid_format(&id, text), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    ck_assert_int_eq(uuid_v7_ms(&id), 0x017f22e279b0);
    struct uuid later = uuid_v7(0x017f22e279b1, (const uint8_t[10]){0});
    ck_assert_int_lt(memcmp(id.octets, later.octets, 16), 0);
}
END_TEST

START_TEST(ids_from_a_hash_say_version_8)
{
    uint8_t hash[16];
    memset(hash, 0xff, sizeof hash);
    struct uuid id = uuid_from_hash(hash), again = uuid_from_hash(hash);
    char text[UUID_TEXT_BYTES];
    ck_assert_str_eq(uuid_format(&id, text), "ffffffff-ffff-8fff-bfff-ffffffffffff");
    ck_assert(uuid_equal(&id, &again));
}
END_TEST

START_TEST(ids_are_read_as_they_are_written)
{
    struct uuid id = {{0}}, other;
    ck_assert(uuid_is_zero(&id));
    ck_assert(uuid_parse("01234567-89ab-cdef-0123-456789ABCDEF", 36, &id));
    char text[UUID_TEXT_BYTES];
    ck_assert_str_eq(uuid_format(&id, text), "01234567-89ab-cdef-0123-456789abcdef");
    ck_assert(!uuid_is_zero(&id));
    static const char *const bad[] = {"",
                                      "01234567-89ab-cdef-0123-456789abcde",
                                      "01234567-89ab-cdef-0123-456789abcdef0",
                                      "0123456789abcdef0123456789abcdef",
                                      "01234567-89ab-cdef-0123-456789abcdeg",
                                      "01234567089ab-cdef-0123-456789abcdef",
                                      "{1234567-89ab-cdef-0123-456789abcdef"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!uuid_parse(bad[i], strlen(bad[i]), &other), "%s", bad[i]);
}
END_TEST

/* -- errors -- */

START_TEST(each_error_has_name_text_and_status)
{
    for (int i = 0; i < ERR_CODES; i++) {
        enum error_code code = (enum error_code)i;
        ck_assert(error_code_name(code)[0] != '\0' && error_code_text(code)[0] != '\0');
        ck_assert_uint_eq(strspn(error_code_name(code), "abcdefghijklmnopqrstuvwxyz_"),
                          strlen(error_code_name(code)));
        ck_assert(error_code_status(code) == 200 ||
                  (error_code_status(code) >= 400 && error_code_status(code) < 600));
        for (int other = 0; other < i; other++)
            ck_assert_str_ne(error_code_name(code), error_code_name((enum error_code)other));
    }
    ck_assert_int_eq(error_code_status(ERR_QUEUE_FULL), 429);
    ck_assert_int_eq(error_code_retry(ERR_OUTCOME_UNKNOWN), RETRY_UNKNOWN);
}
END_TEST

START_TEST(a_sentence_is_kept_and_cut_off)
{
    struct error error = {0};
    ck_assert_int_eq(error_set_field(&error, ERR_INVALID, "input.content", "%s is %d", "it", 5),
                     ERR_INVALID);
    ck_assert_str_eq(error.field, "input.content");
    ck_assert_str_eq(error.text, "it is 5");
    char large[2 * ERROR_TEXT_BYTES];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    ck_assert_int_eq(error_set(&error, ERR_IO, "%s", large), ERR_IO);
    ck_assert_str_eq(error.field, "");
    ck_assert_uint_eq(strlen(error.text), ERROR_TEXT_BYTES - 1);
    ck_assert_int_eq(error_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
    error_set_field(&error, ERR_INVALID, "a\xee\x88", "name %.4s: \xff%.2s.", "abc\xc3\xa9",
                    "\xc3\xa9");
    ck_assert_str_eq(error.text, "name abc: \xc3\xa9."); /* no half characters */
    ck_assert_str_eq(error.field, "a");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *tests = tcase_create("base");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, a_buffer_grows_and_stays_ended);
    tcase_add_test(tests, json_strings_are_escaped);
    tcase_add_test(tests, utf8_is_what_rfc_3629_says);
    tcase_add_test(tests, instants_go_there_and_back);
    tcase_add_test(tests, offsets_and_fractions_are_read);
    tcase_add_test(tests, what_is_no_instant_is_refused);
    tcase_add_test(tests, version_7_ids_are_those_of_rfc_9562);
    tcase_add_test(tests, ids_from_a_hash_say_version_8);
    tcase_add_test(tests, ids_are_read_as_they_are_written);
    tcase_add_test(tests, each_error_has_name_text_and_status);
    tcase_add_test(tests, a_sentence_is_kept_and_cut_off);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
