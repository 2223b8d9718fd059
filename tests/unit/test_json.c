/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/json_hash.h"

static struct json *parse(const char *text)
{
    return json_parse(text, strlen(text), NULL, NULL);
}

static char *round_trip(const char *text)
{
    struct json *value = json_parse(text, strlen(text), NULL, NULL);
    if (value == NULL)
        return NULL;
    char *out = json_to_text(value);
    json_release(value);
    return out;
}

static void check_same(const char *text, const char *expected)
{
    char *out = round_trip(text);
    ck_assert_msg(out != NULL, "refused: %s", text);
    ck_assert_str_eq(out, expected);
    free(out);
}

START_TEST(values_come_back_as_they_were)
{
    check_same(" {\"a\" : [1, 2.5, -3, true, false, null], \"b\":\"x\"} ", "{\"a\":[1,2.5,-3,true,false,null],\"b\":\"x\"}");
    check_same("9007199254740993", "9007199254740993");
    check_same("-9223372036854775808", "-9223372036854775808");
    check_same("9223372036854775807", "9223372036854775807");
    check_same("0.1", "0.1");
    check_same("1e3", "1000.0");
    check_same("\"\\u00e9\\ud83d\\ude00\\n\"", "\"\xc3\xa9\xf0\x9f\x98\x80\\n\"");
    check_same("{\"a\":1,\"a\":2}", "{\"a\":2}");
}
END_TEST

static const char *const refused[] = {
    "", " ", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "01", "1.", ".5", "+1", "1e", "nul", "\"\\x\"", "\"\\u12\"",
    "\"\\ud800\"", "\"\\udc00\"", "\"\\u0000\"", "\"\t\"", "\"open", "[1] 2", "'a'", "\"\xff\"", "\"\xc0\x80\"", "NaN", "1e999",
};

START_TEST(bad_text_is_refused_with_a_place)
{
    struct error error = {0};
    struct json_position position = {0};
    ck_assert_ptr_null(json_parse(refused[_i], strlen(refused[_i]), &error, &position));
    ck_assert_int_eq(error.code, ERR_SYNTAX);
    ck_assert_int_ge(position.line, 1);
    ck_assert_int_gt((int)strlen(error.text), 10);
}
END_TEST

START_TEST(place_is_line_and_column)
{
    struct json_position position;
    const char *text = "{\n  \"a\": x\n}";
    ck_assert_ptr_null(json_parse(text, strlen(text), NULL, &position));
    ck_assert_int_eq(position.line, 2);
    ck_assert_int_eq(position.column, 8);
}
END_TEST

START_TEST(depth_is_bounded)
{
    char text[2000];
    memset(text, '[', sizeof text);
    ck_assert_ptr_null(json_parse(text, sizeof text, NULL, NULL));
}
END_TEST

START_TEST(with_shares_members_and_leaves_the_old_object)
{
    struct json *old = parse("{\"a\":{\"b\":1},\"c\":2}");
    struct json *new = json_object_with(old, "c", 1, json_int(3));
    ck_assert_ptr_eq(json_get(old, "a"), json_get(new, "a"));
    ck_assert_int_eq(json_int_value(json_get(old, "c")), 2);
    ck_assert_int_eq(json_int_value(json_get(new, "c")), 3);
    json_release(old);
    ck_assert_int_eq(json_int_value(json_get(json_get(new, "a"), "b")), 1);
    json_release(new);
}
END_TEST

START_TEST(equality_ignores_member_order_and_number_form)
{
    struct json *a = parse("{\"x\":1,\"y\":[1.0,\"s\"]}");
    struct json *b = parse("{\"y\":[1,\"s\"],\"x\":1}");
    struct json *c = parse("{\"y\":[2,\"s\"],\"x\":1}");
    ck_assert(json_equal(a, b));
    ck_assert(!json_equal(a, c));
    json_release(a);
    json_release(b);
    json_release(c);
}
END_TEST

/* Numbers are compared exactly, and what is equal has the same hash. */
START_TEST(numbers_are_equal_by_value)
{
    static const char *const texts[] = {
        "1", "1.0", "10e-1", "0", "-0.0", "9007199254740992", "9007199254740992.0",
        "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
        "1.5", "-1.5", "1e300"};
    static const char classes[] = "aaabbccdefghij";
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
            struct json *a = parse(texts[i]), *b = parse(texts[k]);
            ck_assert_msg(json_equal(a, b) == (classes[i] == classes[k]), "%s %s", texts[i], texts[k]);
            ck_assert_msg((json_hash(a) == json_hash(b)) == (classes[i] == classes[k]), "%s %s",
                          texts[i], texts[k]);
            json_release(a);
            json_release(b);
        }
    }
}
END_TEST

START_TEST(many_members_are_read_in_one_pass)
{
    struct buffer text = {0};
    const int count = 200000; /* a look through all members for each would take minutes */
    buffer_append_char(&text, '{');
    for (int i = 0; i < count; i++)
        buffer_append_format(&text, "\"n%d\":%d,", i, i);
    buffer_append_text(&text, "\"n17\":-1,\"n199999\":-2}");
    struct json *value = json_parse(text.data, text.bytes, NULL, NULL);
    ck_assert_uint_eq(json_size(value), (unsigned)count);
    ck_assert_int_eq(json_int_value(json_get(value, "n17")), -1);
    ck_assert_int_eq(json_int_value(json_get(value, "n199999")), -2);
    ck_assert_int_eq(json_int_value(json_get(value, "n18")), 18);
    json_release(value);
    buffer_fini(&text);
}
END_TEST

/* Random documents: what cJSON prints must read back here to the same tree. */
static cJSON *random_tree(unsigned *seed, int depth)
{
    switch (rand_r(seed) % (depth > 4 ? 4 : 6)) {
    case 0: return cJSON_CreateNumber(rand_r(seed) % 100000 / 8.0);
    case 1: return cJSON_CreateString(rand_r(seed) % 2 ? "plain" : "q\"\\\n\xc3\xa9");
    case 2: return cJSON_CreateBool(rand_r(seed) % 2);
    case 3: return cJSON_CreateNull();
    default: break;
    }
    bool object = rand_r(seed) % 2;
    cJSON *tree = object ? cJSON_CreateObject() : cJSON_CreateArray();
    for (int i = 0, n = rand_r(seed) % 6; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        if (object)
            cJSON_AddItemToObject(tree, name, random_tree(seed, depth + 1));
        else
            cJSON_AddItemToArray(tree, random_tree(seed, depth + 1));
    }
    return tree;
}

START_TEST(agrees_with_cjson)
{
    unsigned seed = (unsigned)_i;
    cJSON *tree = random_tree(&seed, 0);
    char *theirs = cJSON_Print(tree);
    struct json *value = json_parse(theirs, strlen(theirs), NULL, NULL);
    ck_assert_msg(value != NULL, "%s", theirs);
    char *ours = json_to_text(value);
    cJSON *again = cJSON_Parse(ours);
    ck_assert_msg(cJSON_Compare(tree, again, true), "%s\n%s", theirs, ours);
    cJSON_Delete(again);
    cJSON_Delete(tree);
    json_release(value);
    free(ours);
    free(theirs);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *tests = tcase_create("json");
    tcase_add_test(tests, values_come_back_as_they_were);
    tcase_add_loop_test(tests, bad_text_is_refused_with_a_place, 0, sizeof refused / sizeof refused[0]);
    tcase_add_test(tests, place_is_line_and_column);
    tcase_add_test(tests, depth_is_bounded);
    tcase_add_test(tests, with_shares_members_and_leaves_the_old_object);
    tcase_add_test(tests, equality_ignores_member_order_and_number_form);
    tcase_add_test(tests, numbers_are_equal_by_value);
    tcase_add_test(tests, many_members_are_read_in_one_pass);
    tcase_add_loop_test(tests, agrees_with_cjson, 0, 500);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
