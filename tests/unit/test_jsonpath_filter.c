/* SPDX-License-Identifier: MIT */
/* Does a filter select what it says? With Goessner's bookstore, by which paths are known. */
#include "jsonpath_table.h"

static const char store[] =
    "{\"store\":{\"book\":["
    "{\"category\":\"reference\",\"author\":\"Nigel Rees\",\"title\":\"Sayings of the Century\","
    "\"price\":8.95},"
    "{\"category\":\"fiction\",\"author\":\"Evelyn Waugh\",\"title\":\"Sword of Honour\","
    "\"price\":12.99},"
    "{\"category\":\"fiction\",\"author\":\"Herman Melville\",\"title\":\"Moby Dick\","
    "\"isbn\":\"0-553-21311-3\",\"price\":8.99},"
    "{\"category\":\"fiction\",\"author\":\"J. R. R. Tolkien\",\"title\":\"The Lord of the Rings\","
    "\"isbn\":\"0-395-19395-8\",\"price\":22.99}],"
    "\"bicycle\":{\"color\":\"red\",\"price\":19.95}},\"expensive\":10}";

#define REES "\"Nigel Rees\""
#define WAUGH "\"Evelyn Waugh\""
#define MELVILLE "\"Herman Melville\""
#define TOLKIEN "\"J. R. R. Tolkien\""
#define ALL4 "[" REES "," WAUGH "," MELVILLE "," TOLKIEN "]"

static const struct table_row books[] = {
    {"$.store.book[*].author", ALL4},
    {"$..author", ALL4},
    {"$..book[2].author", "[" MELVILLE "]"},
    {"$..book[2]['author']", "[" MELVILLE "]"},
    {"$..book[-1].author", "[" TOLKIEN "]"},
    {"$..book[-1:].author", "[" TOLKIEN "]"},
    {"$..book[0,1].author", "[" REES "," WAUGH "]"},
    {"$..book[:2].author", "[" REES "," WAUGH "]"},
    {"$.store..price", "[8.95,12.99,8.99,22.99,19.95]"},
    {"$.store.*.color", "[\"red\"]"},
    {"$.store.*[0].author", "[" REES "]"},
    {"$..book[?(@.isbn)].author", "[" MELVILLE "," TOLKIEN "]"},
    {"$..book[?(@.price<10)].author", "[" REES "," MELVILLE "]"},
    {"$.store.book[?(@.price < 10)].author", "[" REES "," MELVILLE "]"},
    {"$..book[?(@.price <= $['expensive'])].author", "[" REES "," MELVILLE "]"},
    {"$..book[?(@.price>$.expensive)].author", "[" WAUGH "," TOLKIEN "]"},
    {"$.store.book[?(@.price < 10 && @.isbn)].author", "[" MELVILLE "]"},
    {"$.store.book[?(@.price < 10 && !@.isbn)].author", "[" REES "]"},
    {"$.store.book[?(@.price < 10 || @.price > 20)].author", "[" REES "," MELVILLE "," TOLKIEN "]"},
    {"$..[?(@.price > 19)].price", "[22.99,19.95]"},
    {"$..[?(@.color)].color", "[\"red\"]"},
    {"$.store.book[?(@.category==reference)].author", "[" REES "]"},
    {"$..book[?(@.category == fiction)].price", "[12.99,8.99,22.99]"},
    {"$.store.book[?(@.category=='fiction')]['author','price']",
     "[{\"author\":" WAUGH ",\"price\":12.99},{\"author\":" MELVILLE
     ",\"price\":8.99},{\"author\":" TOLKIEN ",\"price\":22.99}]"},
    {"$.store.bicycle[?(@.color == 'red')].price", "[19.95]"},
    {"$.store.bicycle[?(@.color == 'blue')].price", "[]"},
    {"$.store[?(@.bicycle.price == 19.95)].bicycle.color", "[\"red\"]"},
    {"$.store.book[?(@.title > 'S')].author", "[" REES "," WAUGH "," TOLKIEN "]"},
    {"$.store.book[?('S' < @.title)].author", "[" REES "," WAUGH "," TOLKIEN "]"},
};

static const char things[] =
    "{\"l\":[{\"i\":0,\"v\":1},{\"i\":1,\"v\":1.0},{\"i\":2,\"v\":\"1\"},{\"i\":3,\"v\":true},"
    "{\"i\":4,\"v\":false},{\"i\":5,\"v\":null},{\"i\":6},{\"i\":7,\"v\":[]},{\"i\":8,\"v\":{}},"
    "{\"i\":9,\"v\":\"\"},{\"i\":10,\"v\":-2},{\"i\":11,\"v\":\"b'\\\"\\n\"},"
    "{\"i\":12,\"v\":9007199254740993},{\"i\":13,\"v\":[1]},{\"i\":14,\"v\":{\"w\":{\"x\":1}}}],"
    "\"n\":[3,null,1,\"a\",[1],2,{\"v\":5},true],\"o\":{\"v\":[1]},\"t\":\"text\",\"z\":null,"
    "\"and\":1,\"g\":[{\"k\":1,\"m\":[{\"p\":1},{\"p\":2}]},{\"k\":2,\"m\":[{\"p\":3}]},{\"k\":3}]"
    "}";

static const struct table_row filters[] = {
    /* existence: null is as if it were not there, other values that look empty are there */
    {"$.l[?(@.v)].i", "[0,1,2,3,4,7,8,9,10,11,12,13,14]"},
    {"$.l[?(!@.v)].i", "[5,6]"},
    {"$.l[?(!!@.v)].i", "[0,1,2,3,4,7,8,9,10,11,12,13,14]"},
    {"$.l[?(@.v.w.x)].i", "[14]"},
    {"$.l[?(@['v']['w'])].i", "[14]"},
    {"$.l[?(@.v[0])].i", "[13]"},
    {"$.l[?(@.v[*])].i", "[13,14]"},
    {"$.l[?(@..x)].i", "[14]"},
    {"$.l[?(@['none','v'])].i", "[0,1,2,3,4,7,8,9,10,11,12,13,14]"},
    {"$.l[?(@['none','nothing'])].i", "[]"},
    {"$.l[?(@.v['w','x'])].i", "[14]"},
    {"$.l[?(@..['w','x'])].i", "[14]"},
    {"$.l[?(@..none)].i", "[]"},
    {"$.l[?($.t)].i", "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14]"},
    {"$.l[?($.z)].i", "[]"},
    {"$.n[?(@)]", "[3,1,\"a\",[1],2,{\"v\":5},true]"},
    /* equality */
    {"$.l[?(@.v == 1)].i", "[0,1]"},
    {"$.l[?(@.v == 1.0)].i", "[0,1]"},
    {"$.l[?(@.v==10e-1)].i", "[0,1]"},
    {"$.l[?(1 == @.v)].i", "[0,1]"},
    {"$.l[?(@.v == '1')].i", "[2]"},
    {"$.l[?(@.v == \"1\")].i", "[2]"},
    {"$.l[?(@.v == true)].i", "[3]"},
    {"$.l[?(@.v == false)].i", "[4]"},
    {"$.l[?(@.v == null)].i", "[5]"},
    {"$.l[?(@.v != null)].i", "[0,1,2,3,4,6,7,8,9,10,11,12,13,14]"},
    {"$.l[?(@.v == '')].i", "[9]"},
    {"$.l[?(@.v == -2)].i", "[10]"},
    {"$.l[?(@.v == 'b\\'\"\\n')].i", "[11]"},
    {"$.l[?(@.v == \"b'\\\"\\n\")].i", "[11]"},
    {"$.l[?(@.v == 9007199254740993)].i", "[12]"},
    {"$.l[?(@.v == 9007199254740992)].i", "[]"},
    {"$.l[?(@.v == $.o.v)].i", "[13]"},
    {"$.l[?(@.v != 1 && @.v != '1' && @.i < 5)].i", "[3,4]"},
    {"$.l[?(@.none == @.nothing)].i", "[]"},
    {"$.l[?(@.none != @.nothing && @.i == 0)].i", "[0]"},
    {"$.l[?(@ == @)][?(@.i == 3)].i", "[3]"},
    /* order: numbers with numbers, texts with texts */
    {"$.l[?(@.v < 1)].i", "[10]"},
    {"$.l[?(@.v <= 1)].i", "[0,1,10]"},
    {"$.l[?(@.v > 1)].i", "[12]"},
    {"$.l[?(@.v >= 1)].i", "[0,1,12]"},
    {"$.l[?(@.v > 9007199254740992)].i", "[12]"},
    {"$.l[?(@.v >= 'b')].i", "[11]"},
    {"$.l[?(@.v < 'b')].i", "[2,9]"},
    {"$.l[?(@.v <= true)].i", "[3]"},
    {"$.l[?(@.v < true)].i", "[]"},
    {"$.l[?(@.v >= null)].i", "[5]"},
    {"$.l[?(@.v > null)].i", "[]"},
    {"$.l[?(@.none < 1)].i", "[]"},
    {"$.l[?(@.none >= @.none)].i", "[]"},
    {"$.l[?(@.v < $.o.v)].i", "[]"},
    {"$.l[?(@.v >= $.o.v)].i", "[13]"},
    /* && before ||, ! before both, parentheses before all */
    {"$.l[?(@.i == 0 || @.i == 1 && @.v == 5)].i", "[0]"},
    {"$.l[?((@.i == 0 || @.i == 1) && @.v == 5)].i", "[]"},
    {"$.l[?(@.i == 1 && @.v == 5 || @.i == 0)].i", "[0]"},
    {"$.l[?(!(@.i < 13))].i", "[13,14]"},
    {"$.l[?(!(@.i < 13) && @.v.w)].i", "[14]"},
    {"$.l[?(!(@.i < 13 || @.v.w))].i", "[13]"},
    {"$.l[?(!@.v && @.i > 5)].i", "[6]"},
    {"$.l[?(@.i<2||@.i>13)].i", "[0,1,14]"},
    {"$.l[?(@.i>2&&@.i<5)].i", "[3,4]"},
    {"$.l[?(((@.i == 3)))].i", "[3]"},
    {"$.l[?((@.i) && (@.v==1))].i", "[0,1]"},
    {"$.l[?@.i == 3].i", "[3]"},
    {"$.l[ ? ( @.i == 3 ) ].i", "[3]"},
    {"$.l[?(@.i == 0 || @.i == 1 || @.i == 2)].i", "[0,1,2]"},
    {"$.l[?(@.i != 0 && @.i != 1 && @.i < 4)].i", "[2,3]"},
    /* the member at hand */
    {"$.n[?(@ > 1)]", "[3,2]"},
    {"$.n[?(@ != null)]", "[3,1,\"a\",[1],2,{\"v\":5},true]"},
    {"$.n[?(@ == null)]", "[null]"},
    {"$.n[?(@ == a)]", "[\"a\"]"},
    {"$.n[?(@[0] == 1)]", "[[1]]"},
    {"$.n[?(@ == true)]", "[true]"},
    {"$..[?(@ == 'a')]", "[\"a\"]"},
    {"$.n..[?(@ == 1)]", "[1,1]"},
    {"$.o[?(@.v)]", "[{\"v\":[1]}]"},
    {"$.o[?(@.w)]", "[]"},
    {"$.o.v[?(@ == 1)]", "[1]"},
    /* filters in filters, after and before other parts */
    {"$.g[?(@.m[?(@.p > 1)])].k", "[1,2]"},
    {"$.g[?(@.m[?(@.p > 2)])].k", "[2]"},
    {"$.g[?(!@.m[?(@.p > 2)])].k", "[1,3]"},
    {"$.g[?(@.m[?(@.p == $.and)])].k", "[1]"},
    {"$.g[*].m[?(@.p >= 2)].p", "[2,3]"},
    {"$.g[?(@.k < 3)].m[0].p", "[1,3]"},
    {"$.g[?(@.k < 3)][?(@.m[1])].k", "[1]"},
    {"$.g[?(@.k < 3)]..p", "[1,2,3]"},
    {"$..[?(@.p)].p", "[1,2,3]"},
    {"$.g[0].m[?(@.p)][0]", "[]"},
    /* what is no array or object */
    {"$.none[?(@.v)]", "[]"},
    {"$.z[?(@.v)]", "[]"},
    {"$.t[?(@.v)]", NULL},
    {"$.l[*].v[?(@.w)]", "[{\"w\":{\"x\":1}}]"},
    {"$.l[*].i[?(@.x)]", "[]"},
};

/* As the service's documentation and its articles have it. */
static const struct table_row documented[] = {
    {"$.jar[?(@.a >= 5)]", "[{\"a\":5},{\"a\":7}]"},
    {"$.foo", "123"},
    {"$.car.cdr", "true"},
    {"$.list[?(@.keep)]", "[{\"keep\":true},{\"keep\":false}]"},
    {"$.list[?(@.keep == true)]", "[{\"keep\":true}]"},
    {"$..interests[?(@.category==home)]",
     "[{\"category\":\"home\",\"type\":\"own\"},{\"category\":\"home\",\"type\":\"rent\"}]"},
};

static const char documented_document[] =
    "{\"foo\":123,\"bar\":[\"a\",\"b\",\"c\"],\"car\":{\"cdr\":true},"
    "\"jar\":[{\"a\":1},{\"a\":5},{\"a\":2},{\"a\":7},{\"a\":3}],"
    "\"list\":[{\"keep\":true},{\"keep\":false},{\"other\":1},{\"keep\":null}],"
    "\"data\":{\"interests\":[{\"category\":\"home\",\"type\":\"own\"},{\"category\":\"auto\"},"
    "{\"category\":\"home\",\"type\":\"rent\"}]}}";

START_TEST(test_books) { table_check(store, &books[_i]); }
END_TEST

START_TEST(test_filters) { table_check(things, &filters[_i]); }
END_TEST

START_TEST(test_documented) { table_check(documented_document, &documented[_i]); }
END_TEST

START_TEST(test_everything)
{
    struct jsonpath *path = table_compile("$..*");
    struct json *root = table_parse(store);
    struct json *found = jsonpath_get(path, root);
    ck_assert_uint_eq(json_size(found), 28); /* 2 + 2 + 4 + (4 + 4 + 5 + 5) + 2 */
    json_release(found);
    json_release(root);
    jsonpath_free(path);
}
END_TEST

static const struct {
    const char *path, *told;
} bad_filters[] = {
    {"$[?]", "lacks a path (@ or $) or a constant (a number, a quoted text, true, false, null) in "
             "its filter at character 4"},
    {"$[?(", "lacks a path (@ or $) or a constant"},
    {"$[?()]", "lacks a path (@ or $) or a constant"},
    {"$[?(@.a]", "lacks the ) of its filter at character 8"},
    {"$[?(@.a)", "lacks the ]"},
    {"$[?(@.a))]", "lacks the ]"},
    {"$[?((@.a)]", "lacks the ) of its filter"},
    {"$[?(@.a ==)]", "lacks a path (@ or $) or a constant"},
    {"$[?(== 1)]", "lacks a path (@ or $) or a constant"},
    {"$[?(@.a = 1)]", "lacks an operator that is known: == != < <= > >= && || or ) at character 9"},
    {"$[?(@.a === 1)]", "lacks an operator that is known"},
    {"$[?(@.a <> 1)]", "lacks an operator that is known"},
    {"$[?(@.a =< 1)]", "lacks an operator that is known"},
    {"$[?(@.a & @.b)]", "lacks the ) of its filter at character 9"},
    {"$[?(@.a and @.b)]", "lacks an operator that is known"},
    {"$[?(@.a in ['x'])]", "lacks an operator that is known"},
    {"$[?(@.a nin [1])]", "lacks an operator that is known"},
    {"$[?(@.a subsetof $.b)]", "lacks an operator that is known"},
    {"$[?(@.a size 2)]", "lacks an operator that is known"},
    {"$[?(@.a empty true)]", "lacks an operator that is known"},
    {"$[?(@.a =~ /x/i)]", "has a regular expression, which paths do not have, at character 9"},
    {"$[?(@.a=~/x/)]", "has a regular expression"},
    {"$[?(@.a + 1 == 2)]", "lacks an operator that is known"},
    {"$[?(@.length() == 1)]", "calls a function"},
    {"$[?(length(@.a) == 1)]", "calls a function"},
    {"$[?(@.a == 1 2)]", "lacks the ) of its filter"},
    {"$[?(@.a == 1 == 2)]", "lacks the ) of its filter"},
    {"$[?(@.a == 01)]", "has a number that JSON does not know at character 12"},
    {"$[?(@.a == .5)]", "has a number that JSON does not know"},
    {"$[?(@.a == +1)]", "has a number that JSON does not know"},
    {"$[?(@.a == 1.)]", "has a number that JSON does not know"},
    {"$[?(@.a == 2024-01-01)]", "has a number that JSON does not know"},
    {"$[?(@.a == 'x)]", "has a quoted text without its closing quote"},
    {"$[?(@.a == [1])]", "lacks a path (@ or $) or a constant"},
    {"$[?(@.a == {})]", "lacks a path (@ or $) or a constant"},
    {"$[?(@.a == $$.b)]", "only @ and $ can"},
    {"$[?(@.a == $v)]",
     "looks into the context object or a variable from a filter; only @ and $ can"},
    {"$[?(true)]", "has a constant that is compared with nothing"},
    {"$[?('x')]", "has a constant that is compared with nothing"},
    {"$[?(@.a && 1)]", "has a constant that is compared with nothing"},
    {"$[?(!@.a == 1)]", "has a ! before a comparison, which needs parentheses: !(... == ...),"},
    {"$[?(!)]", "lacks a path (@ or $) or a constant"},
    {"$[?(@.* == 1)]", "compares a path that can find several values (only names and indexes can "
                       "be compared)"},
    {"$[?(@..a == 1)]", "compares a path that can find several values"},
    {"$[?(1 == @[0,1])]", "compares a path that can find several values"},
    {"$[?(@['a','b'] == 1)]", "compares a path that can find several values"},
    {"$[?(@.a,@.b)]", "lacks an operator that is known"},
    {"$[?(@.a),?(@.b)]", "lacks the ]"},
    {"$[?(@.a || )]", "lacks a path (@ or $) or a constant"},
    {"$[?(@.a &&& @.b)]", "lacks a path (@ or $) or a constant"},
    {"$[?(@.)]", "lacks a name, [ or * after the dot at character 7"},
    {"$[?(@a)]", "lacks an operator that is known"},
    {"$[?(a.b)]", "has a constant that is compared with nothing"},
};

START_TEST(test_refused)
{
    struct error error = {0};
    const char *text = bad_filters[_i].path;
    struct jsonpath *path = jsonpath_compile(text, strlen(text), &error);
    ck_assert_msg(path == NULL, "%s was accepted", text);
    ck_assert_msg(strstr(error.text, bad_filters[_i].told), "%s: %s", text, error.text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jsonpath_filter");
    TCase *cases = tcase_create("filters");
    tcase_add_loop_test(cases, test_books, 0, ROWS(books));
    tcase_add_loop_test(cases, test_filters, 0, ROWS(filters));
    tcase_add_loop_test(cases, test_documented, 0, ROWS(documented));
    tcase_add_test(cases, test_everything);
    tcase_add_loop_test(cases, test_refused, 0, ROWS(bad_filters));
    suite_add_tcase(suite, cases);
    return table_run(suite);
}
