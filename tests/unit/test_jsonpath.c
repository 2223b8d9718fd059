/* SPDX-License-Identifier: MIT */
/* Does a path find, and put, what the States Language and the reference service say? */
#include "jsonpath_table.h"

static const char document[] =
    "{\"a\":{\"b\":[10,{\"c\":\"x\"},[1,2]],\"n\":null,\"e\":[],\"my "
    "key\":1,\"my-key\":2,\"it's\":3,\"\":4,\"\xc3\xa9\":5},"
    "\"list\":[{\"id\":1,\"t\":\"p\"},{\"id\":2},{\"t\":\"q\"}],\"$\":6,\"0\":7}";

static const struct table_row gets[] = {
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

/* Names: escapes in both notations, spaces, what only looks like an operator. */
static const char names_document[] =
    "{\"store.book\":1,\"foo@bar\":{\"baz[[\":{\"?pretty\":2}},\"&\xd0\x96\xe4\xb8\xad\":{"
    "\"\xf0\x90\x8d\x86\":3},\"a'b\":4,\"a\\\"b\":5,\"a\\\\b\":6,\"line\\nfeed\":7,"
    "\"\xc3\xa9t\xc3\xa9\":8,"
    "\"*\":9,\"..\":10,\"a,b\":11,\"]\":12,\"-\":13,\"store\":{\"book\":14},\"bn\":15,"
    "\"a b\":16,\"\\t\":17,\"@\":18,\"/\":19,\"a=b\":20,\"=~\":21,\"length\":22}";

static const struct table_row names[] = {
    {"$.store\\.book", "1"}, /* the examples of the specification */
    {"$.\\stor\\e.boo\\k", "14"},
    {"$.foo\\@bar.baz\\[\\[.\\?pretty", "2"},
    {"$.&\xd0\x96\xe4\xb8\xad.\xf0\x90\x8d\x86", "3"},
    {"$.&\xd0\x96\xe4\xb8\xad.\\uD800\\uDF46", "3"},
    {"$.&\\u0416\\u4e2D['\\ud800\\udf46']", "3"},
    {"$['store']['book']", "14"},
    {"$['store.book']", "1"},
    {"$['a\\'b']", "4"},
    {"$[\"a'b\"]", "4"},
    {"$['a\"b']", "5"},
    {"$[\"a\\\"b\"]", "5"},
    {"$['a\\\\b']", "6"},
    {"$.a\\\\b", "6"},
    {"$['line\\nfeed']", "7"},
    {"$.b\\n", "15"}, /* \n is a character of its own only between quotes */
    {"$.\xc3\xa9t\xc3\xa9", "8"},
    {"$['\\u00e9t\\u00E9']", "8"},
    {"$['*']", "9"},
    {"$.\\*", "9"},
    {"$['..']", "10"},
    {"$.\\.\\.", "10"},
    {"$['a,b']", "11"},
    {"$[']']", "12"},
    {"$.-", "13"},
    {"$.['store'].['book']", "14"}, /* as the service's documentation writes it */
    {"$[ 'a b' ]", "16"},
    {"$[\t\"a b\"\r\n]", "16"},
    {"$['\\t']", "17"},
    {"$['@']", "18"},
    {"$['\\/']", "19"},
    {"$.a=b", "20"},
    {"$.=~", "21"},
    {"$.length", "22"},
    {"$.store.book.none", NULL},
    {"$.store[0]", NULL},
};

static const char array_document[] = "{\"a\":[0,1,2,3,4],\"o\":{\"x\":[10,11],\"y\":[20],\"z\":5},"
                                     "\"e\":[],\"t\":\"text\",\"n\":null,"
                                     "\"m\":[[1,2],[3],4,{\"k\":5}]}";

static const struct table_row arrays[] = {
    {"$.a[0:2]", "[0,1]"},
    {"$.a[1:]", "[1,2,3,4]"},
    {"$.a[:2]", "[0,1]"},
    {"$.a[-2:]", "[3,4]"},
    {"$.a[:-2]", "[0,1,2]"},
    {"$.a[-3:-1]", "[2,3]"},
    {"$.a[::2]", "[0,2,4]"},
    {"$.a[1::2]", "[1,3]"},
    {"$.a[ 1 : 4 : 2 ]", "[1,3]"},
    {"$.a[:]", "[0,1,2,3,4]"},
    {"$.a[::]", "[0,1,2,3,4]"},
    {"$.a[::-1]", "[4,3,2,1,0]"},
    {"$.a[3:0:-2]", "[3,1]"},
    {"$.a[3:1]", "[]"},
    {"$.a[5:]", "[]"},
    {"$.a[-9:1]", "[0]"},
    {"$.a[2:99]", "[2,3,4]"},
    {"$.a[999999999:999999999:999999999]", "[]"},
    {"$.a[-999999999::-999999999]", "[]"},
    {"$.e[0:1]", "[]"},
    {"$.m[0:2][0]", "[1,3]"},
    {"$.m[0:2][:1]", "[1,3]"},
    {"$.a[0,2]", "[0,2]"},
    {"$.a[4,0,-1]", "[4,0,4]"},
    {"$.a[1,1]", "[1,1]"},
    {"$.a[0,9]", "[0]"},
    {"$.a[8,9]", "[]"},
    {"$.m[0,1][0]", "[1,3]"},
    {"$.o['x','y']", "{\"x\":[10,11],\"y\":[20]}"},
    {"$.o['y' , \"x\"]", "{\"y\":[20],\"x\":[10,11]}"},
    {"$.o['x','none']", "{\"x\":[10,11]}"},
    {"$.o['none','nothing']", "{}"},
    {"$.o['x','x']", "{\"x\":[10,11]}"},
    {"$.none['x','y']", NULL},
    {"$.a['x','y']", NULL},
    {"$.o['x','y'][0]", "[10,20]"},
    {"$.o['x','y','none'][*]", "[10,11,20]"},
    {"$.m[*]['k','l']", "[{\"k\":5}]"},
    {"$.o.*[0]", "[10,20]"},
    {"$.o[*]", "[[10,11],[20],5]"},
    {"$.*[0]", "[0,[1,2]]"},
    {"$.m[*].k", "[5]"},
    {"$.m.*.*", "[1,2,3,5]"},
    /* What is missing before the first part that can find several. */
    {"$.none[1:]", "[]"},
    {"$.none[0,1]", "[]"},
    {"$.none.more[*].x", "[]"},
    {"$.none..x", "[]"},
    {"$.a[9][*]", "[]"},
    {"$.t.x[*]", "[]"},
    {"$.t[*]", "[]"},
    {"$.n[*]", "[]"},
    {"$.n[1:]", "[]"},
    {"$.n[0][*]", "[]"},
    {"$.t[1:]", NULL},
    {"$.o[1:]", NULL},
    {"$.o[0,1]", NULL},
    {"$[0:1]", NULL},
    {"$.t[0][*]", NULL},
    /* And after it. */
    {"$.m[*][1:]", "[2]"},
    {"$.m[*][0,1]", "[1,2,3]"},
    {"$.o.*[0]", "[10,20]"},
};

static const char tree_document[] =
    "{\"x\":1,\"a\":{\"x\":2,\"b\":[{\"x\":3,\"y\":{\"x\":4}},[{\"x\":5}],6]},\"c\":{\"y\":7}}";

static const struct table_row descents[] = {
    {"$..x", "[1,2,3,4,5]"},
    {"$..['x']", "[1,2,3,4,5]"},
    {"$.a..x", "[2,3,4,5]"},
    {"$.a.b..x", "[3,4,5]"},
    {"$..y", "[{\"x\":4},7]"},
    {"$..y.x", "[4]"},
    {"$..y..x", "[4]"},
    {"$..b[0].x", "[3]"},
    {"$..[0]", "[{\"x\":3,\"y\":{\"x\":4}},{\"x\":5}]"},
    {"$..[0].x", "[3,5]"},
    {"$..[-1]", "[6,{\"x\":5}]"},
    {"$..[0,2]", "[{\"x\":3,\"y\":{\"x\":4}},6,{\"x\":5}]"},
    {"$..[1:]", "[[{\"x\":5}],6]"},
    {"$.c..*", "[7]"},
    {"$.a.b[1]..*", "[{\"x\":5},5]"},
    {"$.c..[*]", "[7]"},
    {"$..['x','y']", "[{\"x\":3,\"y\":{\"x\":4}}]"},
    {"$..['x','y'].x", "[4]"},
    {"$..none", "[]"},
    {"$.x..x", "[]"},
    {"$..b..x", "[3,4,5]"},
    {"$..*.x", "[2,3,4,5]"},
    {"$.a..b..y..x", "[4]"},
};

START_TEST(test_get) { table_check(document, &gets[_i]); }
END_TEST

START_TEST(test_names) { table_check(names_document, &names[_i]); }
END_TEST

START_TEST(test_arrays) { table_check(array_document, &arrays[_i]); }
END_TEST

START_TEST(test_descents) { table_check(tree_document, &descents[_i]); }
END_TEST

/* "$name" gives the value of the variable as root, and the context object is a root like others. */
static const struct table_row variables[] = {
    {"$v", "{\"a\":[1,{\"b\":2}]}"},
    {"$v.a[0]", "1"},
    {"$v['a'][1].b", "2"},
    {"$v.a[*].b", "[2]"},
    {"$v..b", "[2]"},
    {"$v.none", NULL},
    {"$v[0]", NULL},
    {"$$.a[0]", "1"},
    {"$$['a'][1]['b']", "2"},
    {"$$..b", "[2]"},
    {"$v.a[?(@.b)].b", "[2]"},
};

START_TEST(test_variables) { table_check("{\"a\":[1,{\"b\":2}]}", &variables[_i]); }
END_TEST

static const struct {
    const char *path, *name; /* NULL: no variable */
} variable_names[] = {
    {"$", NULL},
    {"$.a", NULL},
    {"$['a']", NULL},
    {"$$", NULL},
    {"$$.a", NULL},
    {"$a", "a"},
    {"$order.id", "order"},
    {"$list[0]", "list"},
    {"$list..x", "list"},
    {"$Ab_9", "Ab_9"},
    {"$\xc3\xa9t\xc3\xa9.x", "\xc3\xa9t\xc3\xa9"},
    {"$\xe4\xb8\xad\xe6\x96\x87", "\xe4\xb8\xad\xe6\x96\x87"},
    {"$e\xcc\x81", "e\xcc\x81"}, /* a combining accent may follow */
    {"$x\xd9\xa1", "x\xd9\xa1"}, /* so may a digit of another script */
    {"$\xf0\x9d\x94\x98", "\xf0\x9d\x94\x98"},
};

START_TEST(test_variable_names)
{
    struct jsonpath *path = table_compile(variable_names[_i].path);
    const char *name = jsonpath_variable(path), *expected = variable_names[_i].name;
    ck_assert_int_eq(name == NULL, expected == NULL);
    if (expected)
        ck_assert_str_eq(name, expected);
    jsonpath_free(path);
}
END_TEST

/* What is refused, and what is said of it. */
static const struct {
    const char *path, *told;
} bad_paths[] = {
    {"", "\"\" does not begin with $ at character 1"},
    {"a", "\"a\" does not begin with $ at character 1"},
    {".a", "does not begin with $ at character 1"},
    {"$.", "\"$.\" lacks a name, [ or * after the dot at character 3"},
    {"$.a.", "lacks a name, [ or * after the dot at character 5"},
    {"$..", "lacks a name, [ or * after the dot at character 4"},
    {"$...a", "lacks a name, [ or * after the dot at character 4"},
    {"$.a b", "neither .name nor [...] at character 4"},
    {"$ ", "nor a variable's name, which begins with a letter, after the $ at character 2"},
    {"$a b", "neither .name nor [...] at character 3"},
    {"$_a", "which begins with a letter"},
    {"$9", "which begins with a letter"},
    {"$a-b", "neither .name nor [...] at character 3"},
    {"$*", "which begins with a letter"},
    {"$\xe2\x82\xac", "which begins with a letter"}, /* a currency sign is none */
    {"$$$.a", "neither .name nor [...] at character 3"},
    {"$$a", "neither .name nor [...] at character 3"},
    {"$.*b", "neither .name nor [...] at character 4"},
    {"$[*]b", "neither .name nor [...] at character 5"},
    {"$.a[0]b", "neither .name nor [...] at character 7"},
    {"$[", "lacks an index, a quoted name, * or a filter ?(...) after the [ at character 3"},
    {"$[]", "lacks an index, a quoted name, * or a filter ?(...) after the [ at character 3"},
    {"$[a]", "lacks an index, a quoted name, * or a filter ?(...) after the ["},
    {"$[+1]", "lacks an index"},
    {"$['a]", "has a quoted text without its closing quote at character 6"},
    {"$[\"a']", "has a quoted text without its closing quote"},
    {"$['a'", "lacks the ]"},
    {"$['a' 'b']", "lacks the ]"},
    {"$['a',]", "lacks a quoted name after the comma at character 7"},
    {"$['a',0]", "lacks a quoted name after the comma at character 7"},
    {"$['a',*]", "lacks a quoted name after the comma"},
    {"$['a\\", "ends with a \\; a character must follow it"},
    {"$.a\\", "ends with a \\; a character must follow it at character 5"},
    {"$['\\u12']", "needs four hexadecimal digits, not 0000, after \\u"},
    {"$['\\u12g4']", "needs four hexadecimal digits"},
    {"$['\\u0000']", "needs four hexadecimal digits, not 0000, after \\u"},
    {"$['\\ud800']", "has half of a pair like \\ud83d\\ude00"},
    {"$['\\ud800\\u0041']", "has half of a pair"},
    {"$['\\udc00\\ud800']", "has half of a pair"},
    {"$['\\udc00\\udc00']", "has half of a pair"},
    {"$['\\ud800\\ue000']", "has half of a pair"},
    {"$[0", "lacks the ] (a union has only indexes or only quoted names) at character 4"},
    {"$[0,'a']", "lacks a whole number at character 5"},
    {"$[0,]", "lacks a whole number at character 5"},
    {"$[,0]", "lacks an index"},
    {"$[0,1:2]", "lacks the ] (a union has only indexes"},
    {"$[1:2,3]", "lacks the ] (a union has only indexes"},
    {"$[1.5]", "lacks the ]"},
    {"$[1e3]", "lacks the ]"},
    {"$[-]", "lacks a whole number at character 4"},
    {"$[--1]", "lacks a whole number at character 4"},
    {"$[9999999999]", "has an index of more than 9 digits"},
    {"$[1:2:0]", "has a slice whose step is 0"},
    {"$[1:2:-0]", "has a slice whose step is 0"},
    {"$[1:2:3:4]", "lacks the ]"},
    {"$[1:a]", "lacks the ]"},
    {"$.a[*", "lacks the ]"},
    {"$.a[**]", "lacks the ]"},
    {"$.a[(1)]", "has a script, which paths do not have ([-1] is the last), at character 5"},
    {"$.a[(@.length-1)]", "has a script"},
    {"$.a.length()", "calls a function, which paths do not have (States.ArrayLength and others are "
                     "intrinsic functions), at character 11"},
    {"$..book.length()", "calls a function"},
    {"$.\xc3\xa9[", "after the [ at character 5"}, /* characters are counted, not octets */
    {"$.a\xff", "\"\" is no UTF-8 text at character 1"},
    {"@.a", "does not begin with $"},
    {" $.a", "does not begin with $"},
    {"$.a ", "neither .name nor [...] at character 4"},
    {"$.a:b", "neither .name nor [...] at character 4"},
    {"$.a,$.b", "neither .name nor [...] at character 4"},
};

START_TEST(test_refused)
{
    struct error error = {0};
    const char *text = bad_paths[_i].path;
    struct jsonpath *path = jsonpath_compile(text, strlen(text), &error);
    ck_assert_msg(path == NULL, "%s was accepted", text);
    ck_assert_msg(strstr(error.text, bad_paths[_i].told), "%s: %s", text, error.text);
    ck_assert_ptr_nonnull(strstr(error.text, " at character "));
    ck_assert_int_eq(error.code, ERR_INVALID);
    ck_assert_ptr_null(jsonpath_compile(text, strlen(text), NULL)); /* error may be NULL */
}
END_TEST

static const struct {
    const char *path;
    bool context, definite, root, reference, repeats;
    size_t depth;
} kinds[] = {
    {"$", false, true, true, true, false, 0},
    {"$$", true, true, true, true, false, 0},
    {"$v", false, true, true, true, false, 0},
    {"$v.a[3]", false, true, false, true, false, 2},
    {"$.a[0]['b']", false, true, false, true, false, 3},
    {"$.['b']", false, true, false, true, false, 1},
    {"$.a[-1]", false, true, false, false, false, 2},
    {"$.a[-0]", false, true, false, true, false, 2},
    {"$.a[*]", false, false, false, false, false, 2},
    {"$.*", false, false, false, false, false, 1},
    {"$.a[0:1]", false, false, false, false, false, 2},
    {"$.a[0,1]", false, false, false, false, true, 2},
    {"$['a','b']", false, true, false, false, false, 1},
    {"$['a','b'].c", false, false, false, false, true, 2},
    {"$[*]['a','b']", false, false, false, false, false, 2},
    {"$..a", false, false, false, false, true, 1},
    {"$.a..b.c", false, false, false, false, true, 3},
    {"$..['a','b']", false, false, false, false, true, 1},
    {"$.a[?(@..b)]", false, false, false, false, false, 2},
    {"$$.Execution.Id", true, true, false, true, false, 2},
};

START_TEST(test_kinds)
{
    struct jsonpath *path = table_compile(kinds[_i].path);
    ck_assert(jsonpath_is_context(path) == kinds[_i].context);
    ck_assert(jsonpath_is_definite(path) == kinds[_i].definite);
    ck_assert(jsonpath_is_root(path) == kinds[_i].root);
    ck_assert(jsonpath_is_reference(path) == kinds[_i].reference);
    ck_assert(jsonpath_may_repeat(path) == kinds[_i].repeats);
    ck_assert_uint_eq(jsonpath_depth(path), kinds[_i].depth);
    ck_assert_str_eq(jsonpath_text(path), kinds[_i].path);
    jsonpath_free(path);
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
    struct jsonpath *path = table_compile(puts_[_i].path);
    struct json *root = table_parse(puts_[_i].root);
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

START_TEST(test_nothing)
{
    struct jsonpath *path = table_compile("$..x");
    ck_assert_ptr_null(jsonpath_get(path, NULL));
    jsonpath_free(path);
    path = table_compile("$");
    ck_assert_ptr_null(jsonpath_get(path, NULL));
    jsonpath_free(path);
    jsonpath_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jsonpath");
    TCase *paths = tcase_create("paths");
    tcase_add_loop_test(paths, test_get, 0, ROWS(gets));
    tcase_add_loop_test(paths, test_names, 0, ROWS(names));
    tcase_add_loop_test(paths, test_arrays, 0, ROWS(arrays));
    tcase_add_loop_test(paths, test_descents, 0, ROWS(descents));
    tcase_add_loop_test(paths, test_variables, 0, ROWS(variables));
    tcase_add_loop_test(paths, test_variable_names, 0, ROWS(variable_names));
    tcase_add_loop_test(paths, test_refused, 0, ROWS(bad_paths));
    tcase_add_loop_test(paths, test_kinds, 0, ROWS(kinds));
    tcase_add_loop_test(paths, test_put, 0, ROWS(puts_));
    tcase_add_test(paths, test_nothing);
    suite_add_tcase(suite, paths);
    return table_run(suite);
}
