/* SPDX-License-Identifier: MIT */
/* Does a path find, and put, what the States Language says? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/jsonpath.h"

static const char document[] =
    "{\"a\":{\"b\":[10,{\"c\":\"x\"},[1,2]],\"n\":null,\"e\":[],\"my "
    "key\":1,\"my-key\":2,\"it's\":3,\"\":4,\"\xc3\xa9\":5},"
    "\"list\":[{\"id\":1,\"t\":\"p\"},{\"id\":2},{\"t\":\"q\"}],\"$\":6,\"0\":7}";

static struct json *parse(const char *text)
{
    struct json *value = json_parse(text, strlen(text), NULL, NULL);
    ck_assert_msg(value != NULL, "%s", text);
    return value;
}

static const struct {
    const char *path, *found; /* NULL: nothing */
} gets[] = {
    {"$.a.b[0]", "10"},
    {"$.a.b[1].c", "\"x\""},
    {"$['a']['b'][2][1]", "2"},
    {"$[\"a\"].b[0]", "10"},
    {"$.a.b[-1]", "[1,2]"},
    {"$.a.b[-3]", "10"},
    {"$.a.b[-4]", NULL},
    {"$.a.b[3]", NULL},
    {"$.a.n", "null"},
    {"$.a.n.x", NULL},
    {"$.a.missing", NULL},
    {"$.a['my key']", "1"},
    {"$.a.my-key", "2"},
    {"$.a['it\\'s']", "3"},
    {"$.a['']", "4"},
    {"$.a.\xc3\xa9", "5"},
    {"$['$']", "6"},
    {"$.0", "7"},
    {"$[0]", NULL},
    {"$.a.b.length", NULL},
    {"$.a.b[*]", "[10,{\"c\":\"x\"},[1,2]]"},
    {"$.a.b.*", "[10,{\"c\":\"x\"},[1,2]]"},
    {"$.a.b[*].c", "[\"x\"]"},
    {"$.a.b[*][*]", "[\"x\",1,2]"},
    {"$.a.e[*]", "[]"},
    {"$.list[*].id", "[1,2]"},
    {"$.list[*]['t']", "[\"p\",\"q\"]"},
    {"$.list[*].none", "[]"},
    {"$.none[*]", "[]"},
    {"$.none[*].id", "[]"},
    {"$.a.n[*]", "[]"},
    {"$[ 'a' ].b[ 0 ]", "10"},
    {"$$.a.b[0]", "10"},
};

START_TEST(test_get)
{
    struct error error = {0};
    struct jsonpath *path = jsonpath_compile(gets[_i].path, strlen(gets[_i].path), &error);
    ck_assert_msg(path != NULL, "%s", error.text);
    struct json *root = parse(document);
    struct json *found = jsonpath_get(path, root);
    char *text = found ? json_to_text(found) : NULL;
    if (gets[_i].found)
        ck_assert_msg(text && strcmp(text, gets[_i].found) == 0, "%s: %s", gets[_i].path,
                      text ? text : "nothing");
    else
        ck_assert_msg(!text, "%s: %s", gets[_i].path, text);
    free(text);
    json_release(found);
    json_release(root);
    jsonpath_free(path);
}
END_TEST

static const char *const bad_paths[] = {
    "",
    "a",
    ".a",
    "$_a",
    "$.",
    "$.a.",
    "$.a b",
    "$[",
    "$[]",
    "$[a]",
    "$['a]",
    "$['a'",
    "$[0",
    "$[1.5]",
    "$[-]",
    "$.a[0]b",
    "$.a.length()",
    "$.a[(1)]",
    "$[9999999999]",
    "$ ",
    "$.a[*",
    "$$$.a",
};

START_TEST(test_refused)
{
    struct error error = {0};
    struct jsonpath *path = jsonpath_compile(bad_paths[_i], strlen(bad_paths[_i]), &error);
    ck_assert_msg(path == NULL, "%s was accepted", bad_paths[_i]);
    ck_assert_ptr_nonnull(strstr(error.text, "character"));
}
END_TEST

START_TEST(test_kinds)
{
    static const struct {
        const char *path;
        bool context, definite, root, reference;
    } kinds[] = {
        {"$", false, true, true, true},
        {"$$", true, true, true, true},
        {"$.a[0]['b']", false, true, false, true},
        {"$.a[-1]", false, true, false, false},
        {"$.a[*]", false, false, false, false},
        {"$$.Execution.Id", true, true, false, true},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct jsonpath *path = jsonpath_compile(kinds[i].path, strlen(kinds[i].path), NULL);
        ck_assert_ptr_nonnull(path);
        ck_assert(jsonpath_is_context(path) == kinds[i].context);
        ck_assert(jsonpath_is_definite(path) == kinds[i].definite);
        ck_assert(jsonpath_is_root(path) == kinds[i].root);
        ck_assert(jsonpath_is_reference(path) == kinds[i].reference);
        ck_assert_str_eq(jsonpath_text(path), kinds[i].path);
        jsonpath_free(path);
    }
}
END_TEST

static const struct {
    const char *root, *path, *result; /* NULL: does not fit */
} puts_[] = {
    {"{\"a\":1}", "$", "9"},
    {"{\"a\":1}", "$.b", "{\"a\":1,\"b\":9}"},
    {"{\"a\":1}", "$.a", "{\"a\":9}"},
    {"{\"a\":1}", "$.b.c.d", "{\"a\":1,\"b\":{\"c\":{\"d\":9}}}"},
    {"{\"a\":{\"x\":1},\"z\":2}", "$.a.y", "{\"a\":{\"x\":1,\"y\":9},\"z\":2}"},
    {"{\"a\":[1,2]}", "$.a[1]", "{\"a\":[1,9]}"},
    {"{\"a\":[{\"b\":1}]}", "$.a[0].b", "{\"a\":[{\"b\":9}]}"},
    {"{\"a\":[1,2]}", "$.a[2]", NULL},
    {"{\"a\":[1,2]}", "$.a.b", NULL},
    {"{\"a\":1}", "$.a.b", NULL},
    {"{\"a\":1}", "$.b[0]", NULL},
    {"{\"a\":null}", "$.a.b", NULL},
    {"\"text\"", "$.a", NULL},
    {"[1,2]", "$[0]", "[9,2]"},
    {"[1,2]", "$.a", NULL},
};

START_TEST(test_put)
{
    struct jsonpath *path = jsonpath_compile(puts_[_i].path, strlen(puts_[_i].path), NULL);
    struct json *root = parse(puts_[_i].root);
    struct json *changed = jsonpath_put(path, root, json_int(9));
    char *text = changed ? json_to_text(changed) : NULL;
    if (puts_[_i].result)
        ck_assert_msg(text && strcmp(text, puts_[_i].result) == 0, "%s", text ? text : "nothing");
    else
        ck_assert_ptr_null(text);
    char *before = json_to_text(root);
    ck_assert_str_eq(before, puts_[_i].root); /* the old value is as it was */
    free(before);
    free(text);
    json_release(changed);
    json_release(root);
    jsonpath_free(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jsonpath");
    TCase *paths = tcase_create("paths");
    tcase_add_loop_test(paths, test_get, 0, (int)(sizeof gets / sizeof *gets));
    tcase_add_loop_test(paths, test_refused, 0, (int)(sizeof bad_paths / sizeof *bad_paths));
    tcase_add_test(paths, test_kinds);
    tcase_add_loop_test(paths, test_put, 0, (int)(sizeof puts_ / sizeof *puts_));
    suite_add_tcase(suite, paths);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
