/* SPDX-License-Identifier: MIT */
/* Do paths keep within their bounds, and do they hold what must hold for any document? */
#include <stdint.h>
#include <stdio.h>

#include "base/limits.h"
#include "jsonpath_table.h"

/* -- seeded randomness: the same in each run -- */

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % below);
}

static const char *const member_names[] = {"a", "b", "c d", "\xc3\xa9", "x'y", "q\"\\r"};
#define MEMBER_NAMES (sizeof member_names / sizeof *member_names)

static struct json *random_value(unsigned depth)
{
    uint32_t kind = draw(depth > 0 ? 8 : 5);
    if (kind == 0)
        return json_null();
    if (kind == 1)
        return json_bool(draw(2) == 0);
    if (kind == 2)
        return json_text(member_names[draw(MEMBER_NAMES)]);
    if (kind < 5)
        return json_int((int64_t)draw(5) - 2);
    bool array = kind == 5;
    struct json *value = array ? json_array() : json_object();
    for (uint32_t i = draw(5); i > 0; i--) {
        struct json *member = random_value(depth - 1);
        if (array)
            json_array_append(value, member);
        else
            json_object_set(value, member_names[draw(MEMBER_NAMES)], member);
    }
    return value;
}

static struct json *find_text(const char *text, const struct json *root)
{
    struct jsonpath *path = table_compile(text);
    struct json *found = jsonpath_get(path, root);
    jsonpath_free(path);
    return found;
}

/* -- properties -- */

static const struct json *child_of(const struct json *value, size_t index)
{
    return json_type_of(value) == JSON_ARRAY ? json_at(value, index) : json_member_at(value, index);
}

static size_t values_inside(const struct json *value)
{
    size_t count = 0;
    for (size_t i = 0; i < json_size(value); i++)
        count += 1 + values_inside(child_of(value, i));
    return count;
}

/* Every value is found by the path of its place, from the front and from the end. */
static void every_place(const struct json *root, const struct json *value, struct buffer *path)
{
    struct json *found = find_text(buffer_text(path), root);
    ck_assert_msg(found == value || json_equal(found, value), "%s", buffer_text(path));
    json_release(found);
    size_t place = path->bytes, size = json_size(value);
    for (size_t i = 0; i < size; i++) {
        if (json_type_of(value) == JSON_OBJECT) {
            size_t bytes = 0;
            const char *name = json_name_at(value, i, &bytes);
            buffer_append_char(path, '[');
            buffer_append_json_string(path, name, bytes);
            buffer_append_char(path, ']');
        } else {
            buffer_append_format(path, "[%ld]", draw(2) ? (long)i : (long)i - (long)size);
        }
        every_place(root, child_of(value, i), path);
        path->bytes = place;
        path->data[place] = '\0';
    }
}

START_TEST(test_places)
{
    seed = 11;
    for (int i = 0; i < 300; i++) {
        struct json *root = random_value(4);
        struct buffer path = {0};
        buffer_append_text(&path, "$");
        every_place(root, root, &path);
        buffer_fini(&path);
        struct json *all = find_text("$..*", root);
        ck_assert_uint_eq(json_size(all), values_inside(root));
        json_release(all);
        json_release(root);
    }
}
END_TEST

/* A slice, said in another way: which indexes belong to it. */
static bool in_slice(long i, long size, const long *start, const long *end, long step)
{
    long from = start ? *start + (*start < 0 ? size : 0) : step > 0 ? 0 : size - 1;
    long to = end ? *end + (*end < 0 ? size : 0) : step > 0 ? size : -1;
    if (step > 0) {
        from = from < 0 ? 0 : from;
        return i >= from && i < to && (i - from) % step == 0;
    }
    from = from > size - 1 ? size - 1 : from;
    to = to < -1 ? -1 : to;
    return i <= from && i > to && (from - i) % -step == 0;
}

static void check_slice(long size, const long *start, const long *end, long step)
{
    struct buffer text = {0};
    buffer_append_text(&text, "$[");
    if (start)
        buffer_append_format(&text, "%ld", *start);
    buffer_append_text(&text, ":");
    if (end)
        buffer_append_format(&text, "%ld", *end);
    buffer_append_format(&text, ":%ld]", step);
    struct json *root = json_array(), *expected = json_array();
    for (long i = 0; i < size; i++)
        json_array_append(root, json_int(i));
    for (long n = 0; n < size; n++) {
        long i = step > 0 ? n : size - 1 - n;
        if (in_slice(i, size, start, end, step))
            json_array_append(expected, json_int(i));
    }
    struct json *found = find_text(buffer_text(&text), root);
    ck_assert_msg(json_equal(found, expected), "%s of %ld", buffer_text(&text), size);
    json_release(found);
    json_release(expected);
    json_release(root);
    buffer_fini(&text);
}

START_TEST(test_slices)
{
    for (long size = 0; size <= 4; size++)
        for (long start = -7; start <= 6; start++)
            for (long end = -7; end <= 6; end++)
                for (long step = -3; step <= 3; step++)
                    if (step != 0)
                        check_slice(size, start < 6 ? &start : NULL, end < 6 ? &end : NULL, step);
}
END_TEST

static const char *const tests[] = {
    "@.a",      "@.a == 1",  "@.b < 1",     "@ >= 0",      "@.a != @.b", "@..b",
    "@[0] > 0", "@ == null", "@.a || @[1]", "@.* && !@.b", "@ == 'a'",   "@.b <= $[0].b",
};
#define TESTS (sizeof tests / sizeof *tests)

/* How many members the filter selects: `before` a `between` b `after`. */
static size_t selected(const struct json *root, const char *before, const char *a,
                       const char *between, const char *b, const char *after)
{
    struct buffer text = {0};
    const char *const parts[] = {"$[?(", before, a, between, b, after, ")]"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        buffer_append_text(&text, parts[i]);
    struct json *found = find_text(buffer_text(&text), root);
    size_t count = json_size(found);
    json_release(found);
    buffer_fini(&text);
    return count;
}

/* A test and its opposite share the members out, and what De Morgan said of && and ||. */
START_TEST(test_logic)
{
    seed = 23;
    for (int i = 0; i < 400; i++) {
        struct json *root = json_array();
        for (uint32_t n = draw(8); n > 0; n--)
            json_array_append(root, random_value(2));
        const char *a = tests[draw(TESTS)], *b = tests[draw(TESTS)];
        size_t yes = selected(root, "(", a, ")", "", "");
        ck_assert_uint_eq(yes + selected(root, "!(", a, ")", "", ""), json_size(root));
        size_t both = selected(root, "(", a, ") && (", b, ")");
        ck_assert_uint_eq(both, selected(root, "!(!(", a, ") || !(", b, "))"));
        size_t either = selected(root, "(", a, ") || (", b, ")");
        ck_assert_uint_eq(either + both, yes + selected(root, "(", b, ")", "", ""));
        json_release(root);
    }
}
END_TEST

/* -- random texts: nothing crashes, what is refused is explained, what is accepted can be asked -- */

static size_t depth_of(const struct json *value)
{
    size_t depth = 0;
    for (size_t i = 0; i < json_size(value); i++) {
        size_t inside = depth_of(child_of(value, i));
        depth = inside > depth ? inside : depth;
    }
    return json_type_of(value) >= JSON_ARRAY ? depth + 1 : 0;
}

/* Returns whether it was accepted. */
static bool ask(const char *text, size_t bytes, const struct json *root)
{
    struct error error = {0};
    struct jsonpath *path = jsonpath_compile(text, bytes, &error);
    if (!path) {
        ck_assert_msg(error.code == ERR_INVALID && strstr(error.text, " at character "), "%s",
                      error.text);
        return false;
    }
    struct json *found = jsonpath_get(path, root);
    if (jsonpath_is_definite(path))
        ck_assert(!found || depth_of(found) <= depth_of(root));
    else
        ck_assert(!found || json_type_of(found) == JSON_ARRAY);
    if (found && !jsonpath_may_repeat(path)) {
        ck_assert_msg(json_text_bytes(found) <= json_text_bytes(root) + 2, "%s", text);
        ck_assert_uint_le(depth_of(found), depth_of(root) + !jsonpath_is_definite(path));
    }
    json_release(found);
    jsonpath_free(path);
    return true;
}

static const char *const pieces[] = {
    "$",
    ".a",
    "..",
    "[",
    "]",
    "*",
    "['a']",
    "[\"b\"]",
    "[0]",
    "[-1]",
    "[1:]",
    "[::-1]",
    ",",
    "0",
    ":",
    "?(",
    ")",
    "@",
    "@.a",
    "==",
    "!",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    "'a'",
    "\"",
    "'",
    "\\",
    "true",
    "null",
    "1.5",
    "-",
    " ",
    "word",
    ".*",
    "[*]",
    "$$",
    "\xc3\xa9",
    "\xff",
    "\\u00e9",
    "[?(@.a > 0)]",
    "['a','b']",
    "[0,1]",
    "..a",
};
#define PIECES (sizeof pieces / sizeof *pieces)

START_TEST(test_random)
{
    seed = 97;
    struct json *root = table_parse("{\"a\":[{\"a\":1,\"b\":[2,{\"a\":3}]},{\"b\":null},[0,[1]]],"
                                    "\"b\":{\"a\":{\"b\":\"word\"}},\"word\":true}");
    size_t accepted = 0;
    for (int i = 0; i < 60000; i++) {
        struct buffer text = {0};
        buffer_append_text(&text, draw(8) ? "$" : "");
        for (uint32_t n = draw(9); n > 0; n--) {
            if (draw(12) == 0)
                buffer_append_char(&text, (char)draw(256));
            else
                buffer_append_text(&text, pieces[draw(PIECES)]);
        }
        accepted += ask(buffer_text(&text), text.bytes, root);
        buffer_fini(&text);
    }
    ck_assert_uint_gt(accepted, 3000); /* else the test tests little */
    json_release(root);
}
END_TEST

/* Each prefix of good paths, and each with one octet changed. */
START_TEST(test_damaged)
{
    static const char *const good[] = {
        "$.store.book[?(@.price < 10 && !(@.isbn || @['a b'] == 'x\\'y'))]..title",
        "$..['a',\"b\"][0,-1].*[-3:7:2][?(@..x[*])]['\\ud83d\\ude00\\n']",
        "$orders.\\u00e9\\.x[?((((@ != null))))]",
    };
    struct json *root = table_parse("{\"store\":{\"book\":[{\"price\":1,\"title\":\"t\"}]}}");
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t bytes = strlen(good[i]);
        ck_assert(ask(good[i], bytes, root));
        for (size_t at = 0; at < bytes; at++) {
            char text[128];
            memcpy(text, good[i], bytes + 1);
            ask(text, at, root);
            for (int c = 0; c < 256; c++) {
                text[at] = (char)c;
                ask(text, bytes, root);
            }
        }
    }
    json_release(root);
}
END_TEST

/* -- bounds -- */

/* start, `middle` count times, end. */
static char *repeated(const char *start, const char *middle, size_t count, const char *end)
{
    struct buffer text = {0};
    buffer_append_text(&text, start);
    for (size_t i = 0; i < count; i++)
        buffer_append_text(&text, middle);
    buffer_append_text(&text, end);
    return buffer_take(&text);
}

static void compiles(char *text, const char *told)
{
    struct error error = {0};
    struct jsonpath *path = jsonpath_compile(text, strlen(text), &error);
    ck_assert_msg((path != NULL) == (told == NULL), "%s", error.text);
    if (told)
        ck_assert_msg(strstr(error.text, told), "%s", error.text);
    jsonpath_free(path);
    free(text);
}

START_TEST(test_text_bounds)
{
    compiles(repeated("$", ".a", JSONPATH_PARTS_MAX, ""), NULL);
    compiles(repeated("$", ".a", JSONPATH_PARTS_MAX + 1, ""), "has more than 128 parts");
    compiles(repeated("$[?(@", "[0]", JSONPATH_PARTS_MAX + 1, ")]"), "has more than 128 parts");
    compiles(repeated("$.", "a", JSONPATH_BYTES_MAX - 2, ""), NULL);
    compiles(repeated("$.", "a", JSONPATH_BYTES_MAX - 1, ""), "is longer than 16384 octets");
    compiles(repeated("$", "a", ASL_VARIABLE_NAME_CHARACTERS_MAX, ".b"), NULL);
    compiles(repeated("$", "a", ASL_VARIABLE_NAME_CHARACTERS_MAX + 1, ".b"),
             "names a variable with more than 80 characters");
    compiles(repeated("$", "\xf0\x9d\x94\x98", ASL_VARIABLE_NAME_CHARACTERS_MAX, ""), NULL);
    compiles(repeated("$[?", "(", JSONPATH_FILTER_NESTING_MAX - 1, "@.a"), "lacks the )");
    compiles(repeated("$[?", "(", JSONPATH_FILTER_NESTING_MAX, "@.a"), "nested more than 16 deep");
    compiles(repeated("$[?", "!", JSONPATH_FILTER_NESTING_MAX - 1, "@.a]"), NULL);
    compiles(repeated("$[?", "!", 8000, "@.a]"), "nested more than 16 deep");
    compiles(repeated("$", "[?(@", 3000, ""), "nested more than 16 deep");
    compiles(repeated("$[?(@.a", "&&@.a", 3000, ")]"), NULL);
    compiles(repeated("$[0", ",0", JSONPATH_UNION_MAX - 1, "]"), NULL);
    compiles(repeated("$[0", ",0", JSONPATH_UNION_MAX, "]"), "has a union of more than 256");
    compiles(repeated("$['a'", ",'a'", JSONPATH_UNION_MAX - 1, "]"), NULL);
    compiles(repeated("$['a'", ",'a'", JSONPATH_UNION_MAX, "]"), "has a union of more than 256");
}
END_TEST

static void is_too_much(const char *text, const struct json *root, bool expected)
{
    struct jsonpath *path = table_compile(text);
    bool too_much = !expected;
    struct json *found = jsonpath_find(path, root, &too_much);
    ck_assert_msg(too_much == expected, "%s", text);
    ck_assert_int_eq(found == NULL, expected);
    ck_assert_int_eq(jsonpath_is_definite(path), false);
    json_release(found);
    jsonpath_free(path);
}

/* A long path is cut in the sentence about it, and not within a character. */
START_TEST(test_sentence)
{
    for (size_t i = 0; i < 4; i++) {
        char *start = repeated("$.", "a", i, ""),
             *text = repeated(start, "\xf0\x9d\x94\x98", 99, "[");
        struct error error = {0};
        ck_assert_ptr_null(jsonpath_compile(text, strlen(text), &error));
        ck_assert_msg(utf8_is_valid(error.text, strlen(error.text)), "%s", error.text);
        ck_assert_msg(strstr(error.text, "...\" lacks an index"), "%s", error.text);
        free(text);
        free(start);
    }
}
END_TEST

START_TEST(test_results)
{
    struct json *root = json_array(), *one = json_int(1);
    for (size_t i = 0; i < JSONPATH_RESULTS_MAX; i++)
        json_array_append(root, json_hold(one));
    is_too_much("$[*]", root, false);
    is_too_much("$..*", root, false);
    is_too_much("$[?(@ == 1)]", root, false);
    json_array_append(root, one);
    is_too_much("$[*]", root, true);
    is_too_much("$..*", root, true);
    is_too_much("$[?(@ == 1)]", root, true);
    is_too_much("$[1:]", root, false);
    json_release(root);
}
END_TEST

static struct json *nested(size_t depth)
{
    struct json *value = json_int(1);
    for (size_t i = 0; i < depth; i++) {
        struct json *around = json_array();
        json_array_append(around, value);
        value = around;
    }
    return value;
}

/* Comparing two large values for each member is work too, and so are many names that are missing. */
static void compared_for_each(const struct json *members)
{
    struct json *object = json_object();
    char *letters = repeated("", "x", 600000, "");
    for (size_t i = 0; i < 2; i++) {
        struct json *text = json_array(), *copy = json_array();
        json_array_append(text, json_text(letters));
        for (size_t n = 0; n < json_size(members); n++)
            json_array_append(copy, json_int(1));
        json_object_set(object, i ? "text2" : "text1", text);
        json_object_set(object, i ? "copy2" : "copy1", copy);
    }
    json_object_set(object, "members", json_hold(members));
    is_too_much("$.members[?(@ == $.copy1)]", object, false);
    is_too_much("$.members[?($.copy1 == $.copy1)]", object, false);
    is_too_much("$.members[?($.copy1 == $.copy2)]", object, true);
    is_too_much("$.members[?($.text1 == $.text2)]", object, true);
    is_too_much("$.members[?($.text1[0] < $.text2[0])]", object, true);
    is_too_much("$.members[0:9][?($.text1 == $.text2)]", object, false);
    free(letters);
    json_release(object);
}

START_TEST(test_work_of_parts)
{
    struct json *root = json_array();
    for (size_t i = 0; i < 50000; i++)
        json_array_append(root, i % 2 ? json_object() : json_array());
    char *names = repeated("$[*]['a'", ",'a'", JSONPATH_UNION_MAX - 1, "].b");
    char *indexes = repeated("$[*][0", ",0", JSONPATH_UNION_MAX - 1, "]");
    is_too_much("$[*]['a','a'].b", root, false);
    is_too_much("$[*][0,0]", root, false);
    for (size_t i = 0; i < 50000; i++)
        json_array_append(root, i % 2 ? json_object() : json_array());
    char *parts = repeated("$[?(@", ".a", JSONPATH_PARTS_MAX, " == 1)]");
    is_too_much(names, root, true);
    is_too_much(indexes, root, true);
    is_too_much(parts, root, true);
    is_too_much("$[?(@.a == 1)]", root, false);
    free(parts);
    free(names);
    free(indexes);
    json_release(root);
}
END_TEST

START_TEST(test_work)
{
    struct json *deep = nested(JSON_DEPTH_MAX); /* 128! / 124! / 4! ways to pass four ".." */
    is_too_much("$..*..*", deep, false);
    is_too_much("$..*..*..*..*", deep, true);
    is_too_much("$..*..*..*..*..none", deep, true);
    is_too_much("$[?(@..*..*..*..*..none)]", deep, true);
    is_too_much("$[?(!(@..*..*..*..*..none))]", deep, true);
    is_too_much("$[?(@ == 1 || @..*..*..*..*..none)]", deep, true);
    json_release(deep);
    struct json *wide = json_array(); /* little work for each member, much for all */
    for (size_t i = 0; i < 4000; i++)
        json_array_append(wide, json_int(1));
    is_too_much("$..*..none", wide, false);
    is_too_much("$[?($..*..none)]", wide, true);
    is_too_much("$[?($[0:9] || $[0])]", wide, false);
    compared_for_each(wide);
    json_release(wide);
    deep = nested(JSONPATH_DEPTH_MAX - 1);
    is_too_much("$..none", deep, false);
    json_release(deep);
    deep = nested(JSONPATH_DEPTH_MAX);
    is_too_much("$..none", deep, true);
    is_too_much("$[?(@..none)]", deep, true);
    is_too_much("$[0,0]", deep, false);
    json_release(deep);
    deep = nested(JSONPATH_DEPTH_MAX + 2);
    is_too_much("$[0,0]", deep, true);
    json_release(deep);
}
END_TEST

/* A part found many times must not make a text of many times its size. */
START_TEST(test_result_bytes)
{
    size_t bytes = 1u << 20;
    char *letters = malloc(bytes);
    memset(letters, 'x', bytes);
    struct json *root = json_array();
    json_array_append(root, json_string(letters, bytes));
    char *fits = repeated("$[0", ",0", 62, "]"), *exceeds = repeated("$[0", ",0", 63, "]");
    is_too_much(fits, root, false);
    is_too_much(exceeds, root, true);
    struct json *object = json_object();
    json_object_set_bytes(object, letters, bytes - 1, json_null());
    json_array_append(root, object);
    char *names = repeated("$[1", ",1", 63, "]");
    is_too_much(names, root, true);
    free(names);
    free(fits);
    free(exceeds);
    free(letters);
    json_release(root);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jsonpath_bounds");
    TCase *cases = tcase_create("bounds");
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, test_places);
    tcase_add_test(cases, test_slices);
    tcase_add_test(cases, test_logic);
    tcase_add_test(cases, test_random);
    tcase_add_test(cases, test_damaged);
    tcase_add_test(cases, test_text_bounds);
    tcase_add_test(cases, test_sentence);
    tcase_add_test(cases, test_results);
    tcase_add_test(cases, test_work_of_parts);
    tcase_add_test(cases, test_work);
    tcase_add_test(cases, test_result_bytes);
    suite_add_tcase(suite, cases);
    return table_run(suite);
}
