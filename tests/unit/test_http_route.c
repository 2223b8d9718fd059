/* SPDX-License-Identifier: MIT */
/* Does a request find its handler, its parameters and its form parts? */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/multipart.h"
#include "core/route.h"

static struct route_table *table;

static void make_table(void)
{
    static const char *const routes[][2] = {
        {"GET", "/"},
        {"GET", "/items"},
        {"POST", "/items"},
        {"GET", "/items/{id}"},
        {"GET", "/items/new"},
        {"DELETE", "/items/{id}"},
        {"GET", "/items/{id}/history"},
        {"GET", "/{kind}/x"},
        {"GET", "/items/{id}/{part}"},
        {"PUT", "/items/new"},
    };
    struct error error;
    table = route_table_new();
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        ck_assert_int_eq(route_add(table, routes[i][0], routes[i][1], &error), ERR_OK);
}

static void free_table(void) { route_table_free(table); }

/* Number of the route, -1 for no such path, -2 for no such method, -3 for a broken path. */
static int find(const char *method, const char *path_text)
{
    char text[256];
    struct route_path path;
    int route = -99;
    snprintf(text, sizeof text, "%s", path_text);
    if (!route_path_parse(text, &path))
        return -3;
    enum route_result result = route_find(table, method, &path, &route);
    return result == ROUTE_FOUND ? route : result == ROUTE_NO_PATH ? -1 : -2;
}

START_TEST(test_literal_wins_over_parameter)
{
    ck_assert_int_eq(find("GET", "/"), 0);
    ck_assert_int_eq(find("GET", "/items"), 1);
    ck_assert_int_eq(find("POST", "/items"), 2);
    ck_assert_int_eq(find("GET", "/items/7"), 3);
    ck_assert_int_eq(find("GET", "/items/new"), 4);
    ck_assert_int_eq(find("DELETE", "/items/new"), 5);
    ck_assert_int_eq(find("GET", "/items/7/history"), 6);
    ck_assert_int_eq(find("GET", "/items/7/other"), 8);
    ck_assert_int_eq(find("GET", "/items/x"), 3); /* the leftmost literal decides */
    ck_assert_int_eq(find("GET", "/other/x"), 7);
}
END_TEST

START_TEST(test_head_follows_get_and_nothing_else)
{
    ck_assert_int_eq(find("HEAD", "/items"), 1);
    ck_assert_int_eq(find("HEAD", "/items/new"), 4);
    ck_assert_int_eq(find("PATCH", "/items"), -2);
    ck_assert_int_eq(find("get", "/items"), -2);
}
END_TEST

START_TEST(test_unknown_and_broken_paths)
{
    ck_assert_int_eq(find("GET", "/nothing"), -1);
    ck_assert_int_eq(find("GET", "/items/"), -1);
    ck_assert_int_eq(find("GET", "//x"), -1);
    ck_assert_int_eq(find("GET", "/items/%zz"), -3);
    ck_assert_int_eq(find("GET", "/items/%4"), -3);
    ck_assert_int_eq(find("GET", "/items/%00"), -3);
    ck_assert_int_eq(find("GET", "/items/%ff"), -3);
    ck_assert_int_eq(find("GET", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q"), -3);
    ck_assert_int_eq(find("GET", "items"), -3);
}
END_TEST

START_TEST(test_parameters_are_decoded)
{
    char text[] = "/items/a%2Fb%20c+d/hist%6Fry";
    struct route_path path;
    int route;
    ck_assert(route_path_parse(text, &path));
    ck_assert_int_eq(route_find(table, "GET", &path, &route), ROUTE_FOUND);
    ck_assert_int_eq(route, 6);
    ck_assert_str_eq(route_parameter(table, route, &path, "id"), "a/b c+d");
    ck_assert_ptr_null(route_parameter(table, route, &path, "other"));
}
END_TEST

START_TEST(test_allowed_methods)
{
    char text[] = "/items/new";
    char allowed[128];
    struct route_path path;
    ck_assert(route_path_parse(text, &path));
    route_allowed(table, &path, allowed, sizeof allowed);
    ck_assert_str_eq(allowed, "GET, HEAD, DELETE, PUT");
}
END_TEST

START_TEST(test_bad_patterns_are_refused)
{
    static const char *const bad[] = {"items", "/a//b", "/{}", "/a{b}", "/{b}c", "/a/"};
    struct error error;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(route_add(table, "GET", bad[i], &error), ERR_INVALID);
}
END_TEST

START_TEST(test_query_strings)
{
    struct query_parameter found[4];
    int count;
    char good[] = "a=1&b=x+y%26z&&c&=v";
    ck_assert(query_parse(good, found, 4, &count));
    ck_assert_int_eq(count, 4);
    ck_assert_str_eq(found[0].name, "a");
    ck_assert_str_eq(found[0].value, "1");
    ck_assert_str_eq(found[1].value, "x y&z");
    ck_assert_str_eq(found[2].name, "c");
    ck_assert_str_eq(found[2].value, "");
    char many[] = "a&b&c&d&e";
    ck_assert(!query_parse(many, found, 4, &count));
    char broken[] = "a=%e";
    ck_assert(!query_parse(broken, found, 4, &count));
    char empty[] = "";
    ck_assert(query_parse(empty, found, 4, &count));
    ck_assert_int_eq(count, 0);
}
END_TEST

static bool part(const char *type, const char *body, const char *name, struct multipart_part *found)
{
    return multipart_find(type, body, strlen(body), name, found);
}

START_TEST(test_form_parts)
{
    const char *type = "multipart/form-data; boundary=\"a b\"";
    const char *body =
        "preamble\r\n--a b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n"
        "--a b \r\ncontent-disposition: form-data; filename=\"q\\\"n.txt\"; "
        "name=file\r\nContent-Type: text/plain\r\n\r\n"
        "line\r\n--a\r\n\r\n--a b--\r\n";
    struct multipart_part found;
    ck_assert(part(type, body, "note", &found));
    ck_assert_uint_eq(found.bytes, 5);
    ck_assert(!found.has_filename);
    ck_assert(part(type, body, "file", &found));
    ck_assert_str_eq(found.filename, "q\"n.txt");
    ck_assert_str_eq(found.content_type, "text/plain");
    ck_assert_uint_eq(found.bytes, strlen("line\r\n--a\r\n"));
    ck_assert(!part(type, body, "fil", &found));
}
END_TEST

START_TEST(test_broken_forms)
{
    static const char *const bodies[] = {
        "",
        "--b",
        "--b\r\n",
        "--b--\r\n",
        "--b\r\nContent-Disposition: form-data; name=file\r\n\r\nno end",
        "--b\r\nContent-Disposition: form-data; name=file",
        "--b\r\n\r\nx\r\n--b--",
        "--bad\r\n\r\n",
    };
    struct multipart_part found;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        ck_assert(!part("multipart/form-data; boundary=b", bodies[i], "file", &found));
    const char *good = "--b\r\nContent-Disposition: form-data; name=file\r\n\r\n\r\n--b--";
    ck_assert(part("multipart/form-data; charset=x; boundary=b", good, "file", &found));
    ck_assert_uint_eq(found.bytes, 0);
    good = "--b\r\nContent-Disposition: form-data; name=file\r\n\r\n--b--";
    ck_assert(part("multipart/form-data; boundary=b", good, "file", &found));
    ck_assert_uint_eq(found.bytes, 0);
    ck_assert(!part("multipart/form-data", good, "file", &found));
    ck_assert(!part("multipart/form-data; boundary=", good, "file", &found));
    ck_assert(!part("text/plain; boundary=b", good, "file", &found));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_route");
    TCase *cases = tcase_create("all");
    tcase_add_checked_fixture(cases, make_table, free_table);
    tcase_add_test(cases, test_literal_wins_over_parameter);
    tcase_add_test(cases, test_head_follows_get_and_nothing_else);
    tcase_add_test(cases, test_unknown_and_broken_paths);
    tcase_add_test(cases, test_parameters_are_decoded);
    tcase_add_test(cases, test_allowed_methods);
    tcase_add_test(cases, test_bad_patterns_are_refused);
    tcase_add_test(cases, test_query_strings);
    tcase_add_test(cases, test_form_parts);
    tcase_add_test(cases, test_broken_forms);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
