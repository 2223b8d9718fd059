/* SPDX-License-Identifier: MIT */
/* Does each intrinsic function give what the States Language says, and refuse what it must? */
#include "asl_story.h"

#define INPUT                                                                                      \
    "{\"s\":\"Foo\",\"n\":5,\"a\":[1,2,3,4,5,6,7,8,9],\"o\":{\"x\":1},\"t\":true,\"z\":null,"      \
    "\"json\":\"{\\\"k\\\": [1, "                                                                  \
    "2]}\",\"tpl\":\"{}-\\\\{\\\\}\",\"dup\":[1,1.0,\"a\",{\"p\":1,\"q\":2},{\"q\":2,\"p\":1},"    \
    "\"a\",null,null],\"a,b)\":4}"

/* Written as in a definition; NULL: States.IntrinsicFailure. */
static const struct {
    const char *call, *result;
} cases[] = {
    {"States.Format('Hello, my name is {}.', $.s)", "\"Hello, my name is Foo.\""},
    {"States.Format('{} {} {} {}', $.n, $.t, $.z, 1.5)", "\"5 true null 1.5\""},
    {"States.Format('no argument')", "\"no argument\""},
    {"States.Format('\\{\\} it\\'s a \\\\ {}', $.n)", "\"{} it's a \\\\ 5\""},
    {"States.Format($.tpl, 'x')", "\"x-{}\""},
    {"States.Format('{}')", NULL},
    {"States.Format('{}', 1, 2)", NULL},
    {"States.Format('{}', $.o)", NULL},
    {"States.Format($.n)", NULL},
    {"States.StringToJson($.json)", "{\"k\":[1,2]}"},
    {"States.StringToJson('no json')", NULL},
    {"States.StringToJson($.n)", NULL},
    {"States.JsonToString($.o)", "\"{\\\"x\\\":1}\""},
    {"States.JsonToString('a')", "\"\\\"a\\\"\""},
    {"States.Array()", "[]"},
    {"States.Array('Foo', 2, $.o, null, true)", "[\"Foo\",2,{\"x\":1},null,true]"},
    {"States.ArrayPartition($.a, 4)", "[[1,2,3,4],[5,6,7,8],[9]]"},
    {"States.ArrayPartition($.a, 9)", "[[1,2,3,4,5,6,7,8,9]]"},
    {"States.ArrayPartition(States.Array(), 4)", "[]"},
    {"States.ArrayPartition($.a, 0)", NULL},
    {"States.ArrayPartition($.s, 4)", NULL},
    {"States.ArrayContains($.a, 5)", "true"},
    {"States.ArrayContains($.a, '5')", "false"},
    {"States.ArrayContains($.dup, States.StringToJson('{\"q\":2,\"p\":1}'))", "true"},
    {"States.ArrayContains($.o, 5)", NULL},
    {"States.ArrayRange(1, 9, 2)", "[1,3,5,7,9]"},
    {"States.ArrayRange(5, 1, -2)", "[5,3,1]"},
    {"States.ArrayRange(5, 1, 2)", "[]"},
    {"States.ArrayRange(1, 1, 1)", "[1]"},
    {"States.ArrayRange(1, 9, 0)", NULL},
    {"States.ArrayRange(1, 1001, 1)", NULL},
    {"States.ArrayRange('1', 9, 1)", NULL},
    {"States.ArrayGetItem($.a, 5)", "6"},
    {"States.ArrayGetItem($.a, 9)", NULL},
    {"States.ArrayGetItem($.a, -1)", NULL},
    {"States.ArrayLength($.a)", "9"},
    {"States.ArrayLength($.s)", NULL},
    {"States.ArrayUnique($.dup)", "[1,\"a\",{\"p\":1,\"q\":2},null]"},
    {"States.ArrayUnique($.o)", NULL},
    {"States.Base64Encode('Data to encode')", "\"RGF0YSB0byBlbmNvZGU=\""},
    {"States.Base64Encode('')", "\"\""},
    {"States.Base64Encode($.n)", NULL},
    {"States.Base64Decode('RGF0YSB0byBlbmNvZGU=')", "\"Data to encode\""},
    {"States.Base64Decode('YQ==')", "\"a\""},
    {"States.Base64Decode('YQ')", NULL},
    {"States.Base64Decode('Y===')", NULL},
    {"States.Base64Decode('Y Q==')", NULL},
    {"States.Base64Decode('/w==')", NULL}, /* no UTF-8 */
    {"States.Hash('input data', 'SHA-1')", "\"aaff4a450a104cd177d28d18d74485e8cae074b7\""},
    {"States.Hash('abc', 'MD5')", "\"900150983cd24fb0d6963f7d28e17f72\""},
    {"States.Hash('abc', 'SHA-256')",
     "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\""},
    {"States.Hash('abc', 'SHA-384')", "\"cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43"
                                      "ff5bed8086072ba1e7cc2358baeca134c825a7\""},
    {"States.Hash('abc', 'SHA-512')", "\"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b"
                                      "55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9a"
                                      "c94fa54ca49f\""},
    {"States.Hash('abc', 'SHA256')", NULL},
    {"States.JsonMerge(States.StringToJson('{\"a\":1,\"b\":{\"c\":1}}'), "
     "States.StringToJson('{\"b\":2,\"d\":3}'), false)",
     "{\"a\":1,\"b\":2,\"d\":3}"},
    {"States.JsonMerge(States.StringToJson('{\"a\":{\"x\":1,\"y\":2},\"b\":3}'), "
     "States.StringToJson('{\"a\":{\"y\":4},\"b\":{}}'), true)",
     "{\"a\":{\"x\":1,\"y\":4},\"b\":{}}"},
    {"States.JsonMerge($.o, $.o, 1)", NULL},
    {"States.JsonMerge($.o, $.a, false)", NULL},
    {"States.MathRandom(1, 2)", "1"},
    {"States.MathRandom(3, 4, 99)", "3"},
    {"States.MathRandom(2, 2)", NULL},
    {"States.MathRandom('1', 2)", NULL},
    {"States.MathAdd(111, -1)", "110"},
    {"States.MathAdd(1.5, 1)", "3"},
    {"States.MathAdd(2147483647, 1)", NULL},
    {"States.MathAdd(2147483648, 0)", NULL},
    {"States.MathAdd('1', 1)", NULL},
    {"States.StringSplit('1,2,3,4,5', ',')", "[\"1\",\"2\",\"3\",\"4\",\"5\"]"},
    {"States.StringSplit('This.is+a,test=string', '.+,=')",
     "[\"This\",\"is\",\"a\",\"test\",\"string\"]"},
    {"States.StringSplit('a,,b', ',')", "[\"a\",\"b\"]"},
    {"States.StringSplit('abc', '')", "[\"abc\"]"},
    {"States.StringSplit($.n, ',')", NULL},
    /* nested, with spaces and paths of every form */
    {"States.Array( States.Format('{}', States.ArrayGetItem(States.StringSplit('a-b', '-'), 1)) , "
     "$.a[0] , $['o']['x'] )",
     "[\"b\",1,1]"},
    {"States.ArrayLength($.a[*])", "9"},
    {"States.ArrayLength($.a[?(@ > 3 && (@ < 6 || @ == 9))])", "3"},
    {"States.Array($.a[0,1], $['s','n'], $.a\\,b\\), $.dup[?(@ == \"),\" || @ == 'a')], $..x)",
     "[[1,2],{\"s\":\"Foo\",\"n\":5},4,[\"a\",\"a\"],[1]]"},
    {"States.Array($['s'], $$.State.Name, $$.Execution.Id)", "[\"Foo\",\"A\",\"w-1\"]"},
};

static char *run_call(const char *call)
{
    struct json *parameters = json_object();
    json_object_set(parameters, "r.$", json_text(call));
    char *text = json_to_text(parameters);
    json_release(parameters);
    struct buffer definition = {0};
    buffer_append_format(&definition,
                         "{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Pass\",\"End\":true,"
                         "\"OutputPath\":\"$.r\","
                         "\"Parameters\":%s}}}",
                         text);
    char *told = story_run(buffer_text(&definition), INPUT, "");
    char *end = strrchr(told, '\n');
    *end = '\0';
    char *line = must_strdup(strrchr(told, '\n') + 1);
    free(told);
    free(text);
    buffer_fini(&definition);
    return line;
}

START_TEST(test_function)
{
    char *line = run_call(cases[_i].call);
    struct buffer expected = {0};
    if (cases[_i].result)
        buffer_append_format(&expected, "succeeded %s", cases[_i].result);
    else
        buffer_append_text(&expected, "failed States.IntrinsicFailure: States.");
    bool fine = cases[_i].result ? strcmp(line, buffer_text(&expected)) == 0
                                 : strncmp(line, buffer_text(&expected), expected.bytes) == 0;
    ck_assert_msg(fine, "%s: %s", cases[_i].call, line);
    buffer_fini(&expected);
    free(line);
}
END_TEST

static const char *const refused[] = {
    "",
    "Foo",
    "States",
    "States.",
    "States.Foo()",
    "States.Format",
    "States.Format(",
    "States.Format()",
    "States.Format('a",
    "States.Format('a\\b')",
    "States.Format('a',)",
    "States.Format('a' 'b')",
    "States.Format('a'))",
    "States.Format('a') ",
    "States.Array($.)",
    "States.Array(foo)",
    "States.Array(\"a\")",
    "States.Array({})",
    "States.Array(1,,2)",
    "States.UUID(1)",
    "States.ArrayLength()",
    "States.ArrayLength(1, 2)",
    "states.UUID()",
};

START_TEST(test_refused)
{
    struct findings findings = {0};
    struct json *template = json_object();
    json_object_set(template, "r.$", json_text(refused[_i]));
    asl_template_free(asl_template_new(template, "", NULL, &findings));
    ck_assert_msg(findings.errors == 1, "%s was accepted", refused[_i]);
    ck_assert_str_eq(findings.items[0].pointer, "/r.$");
    json_release(template);
    findings_fini(&findings);
}
END_TEST

START_TEST(test_nesting)
{
    for (int depth = 10; depth <= 11; depth++) {
        struct buffer call = {0};
        for (int i = 0; i < depth; i++)
            buffer_append_text(&call, "States.Array(");
        for (int i = 0; i < depth; i++)
            buffer_append_char(&call, ')');
        struct findings findings = {0};
        struct json *template = json_object();
        json_object_set(template, "r.$", json_text(buffer_text(&call)));
        asl_template_free(asl_template_new(template, "", NULL, &findings));
        ck_assert_uint_eq(findings.errors, depth > 10);
        json_release(template);
        findings_fini(&findings);
        buffer_fini(&call);
    }
}
END_TEST

/* story_run tells each story twice, so what is drawn is the same again; two draws of one run
 * differ. */
START_TEST(test_draws)
{
    char *line =
        run_call("States.Array(States.UUID(), States.UUID(), States.MathRandom(0, 1000000), "
                 "States.MathRandom(0, 1000000), States.MathRandom(0, 1000000, 7), "
                 "States.MathRandom(0, 1000000, 7))");
    struct json *list = story_json(line + strlen("succeeded "));
    for (size_t i = 0; i < 2; i++) {
        const char *uuid = json_string_value(json_at(list, i), NULL);
        ck_assert_uint_eq(strlen(uuid), 36);
        ck_assert_int_eq(uuid[14], '4');
        ck_assert_ptr_nonnull(strchr("89ab", uuid[19]));
    }
    ck_assert(!json_equal(json_at(list, 0), json_at(list, 1)));
    ck_assert(!json_equal(json_at(list, 2), json_at(list, 3)));
    ck_assert(json_equal(json_at(list, 4), json_at(list, 5)));
    json_release(list);
    free(line);
}
END_TEST

START_TEST(test_a_missing_path_and_an_error_path)
{
    char *line = run_call("States.ArrayLength($.none)");
    ck_assert_str_eq(line, "failed States.ParameterPathFailure: The path $.none of an intrinsic "
                           "function finds nothing.");
    free(line);
    story_is("{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Fail\",\"Error\":\"E\","
             "\"CausePath\":\"States.Format('{} and "
             "{}', $.a, $.b)\"}}}",
             "{\"a\":1,\"b\":\"two\"}", "",
             "enter A {\"a\":1,\"b\":\"two\"}\nfailed E: 1 and two\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("asl_functions");
    TCase *all = tcase_create("functions");
    tcase_add_loop_test(all, test_function, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_loop_test(all, test_refused, 0, (int)(sizeof refused / sizeof *refused));
    tcase_add_test(all, test_nesting);
    tcase_add_test(all, test_draws);
    tcase_add_test(all, test_a_missing_path_and_an_error_path);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
