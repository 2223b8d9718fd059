/* SPDX-License-Identifier: MIT */
/* Does the schema checker agree with the published test suite where the keywords are shared? */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/schema.h"

#ifndef SUITE_DIRECTORY
#define SUITE_DIRECTORY "/usr/share/json-schema-test-suite/tests/draft7"
#endif

static struct json *parse(const char *text)
{
    struct error error = {0};
    struct json *value = json_parse(text, strlen(text), &error, NULL);
    ck_assert_msg(value != NULL, "%s: %s", error.text, text);
    return value;
}

static struct json *read_suite(const char *name)
{
    struct buffer path = {0}, text = {0};
    buffer_append_format(&path, "%s/%s", SUITE_DIRECTORY, name);
    FILE *stream = fopen(buffer_text(&path), "r");
    ck_assert_msg(stream != NULL, "%s is missing: install json-schema-test-suite",
                  buffer_text(&path));
    char piece[4096];
    for (size_t bytes; (bytes = fread(piece, 1, sizeof piece, stream)) > 0;)
        buffer_append(&text, piece, bytes);
    fclose(stream);
    struct json *suite = json_parse(text.data, text.bytes, NULL, NULL);
    buffer_fini(&path);
    buffer_fini(&text);
    return suite;
}

/* Files whose keyword has the same meaning in draft 7 and 2020-12, and how many of their tests run
 * here. Left out: groups of items.json with a list (prefixItems since 2020-12) and of ref.json with
 * remote schemas, "definitions" ($defs since 2019-09), $ref into unknown keywords, or siblings that
 * draft 7 ignores. */
static const struct {
    const char *file;
    size_t tests;
} suites[] = {
    {"additionalProperties.json", 14},
    {"allOf.json", 14},
    {"anyOf.json", 14},
    {"boolean_schema.json", 18},
    {"const.json", 12},
    {"contains.json", 13},
    {"default.json", 4},
    {"enum.json", 9},
    {"exclusiveMaximum.json", 4},
    {"exclusiveMinimum.json", 4},
    {"if-then-else.json", 18},
    {"maxItems.json", 4},
    {"maxLength.json", 5},
    {"maxProperties.json", 6},
    {"maximum.json", 4},
    {"minItems.json", 4},
    {"minLength.json", 5},
    {"minProperties.json", 6},
    {"minimum.json", 4},
    {"multipleOf.json", 8},
    {"not.json", 12},
    {"oneOf.json", 15},
    {"pattern.json", 4},
    {"patternProperties.json", 21},
    {"properties.json", 18},
    {"propertyNames.json", 10},
    {"required.json", 7},
    {"type.json", 59},
    {"uniqueItems.json", 13},
    {"items.json", 8},
    {"ref.json", 8},
};

static size_t group_run(const char *file, const struct json *group)
{
    const char *about = json_string_or(json_get(group, "description"), "");
    struct findings findings = {0};
    struct schema *schema = schema_compile(json_get(group, "schema"), "", NULL, &findings);
    size_t ran = 0;
    const struct json *tests = json_get(group, "tests");
    for (size_t i = 0; schema && i < json_size(tests); i++, ran++) {
        const struct json *test = json_at(tests, i);
        struct error error = {0};
        bool valid = schema_check(schema, json_get(test, "data"), "", &error) == ERR_OK;
        ck_assert_msg(valid == json_is_true(json_get(test, "valid")), "%s, %s, %s: %s", file, about,
                      json_string_or(json_get(test, "description"), ""),
                      valid ? "accepted" : error.text);
    }
    schema_free(schema);
    findings_fini(&findings);
    return ran;
}

START_TEST(test_published_suite)
{
    struct json *suite = read_suite(suites[_i].file);
    ck_assert_msg(suite != NULL, "%s", suites[_i].file);
    size_t ran = 0;
    for (size_t i = 0; i < json_size(suite); i++)
        ran += group_run(suites[_i].file, json_at(suite, i));
    ck_assert_uint_eq(ran, suites[_i].tests);
    json_release(suite);
}
END_TEST

/* -- keywords of 2020-12 that draft 7 lacks, and the sentences of faults -- */

static const struct {
    const char *schema, *value;
    const char *fault; /* NULL: valid */
} cases[] = {
    {"{\"prefixItems\":[{\"type\":\"string\"},true],\"items\":false}", "[\"a\",1]", NULL},
    {"{\"prefixItems\":[{\"type\":\"string\"},true],\"items\":false}", "[\"a\",1,2]",
     "input[2] is not allowed"},
    {"{\"prefixItems\":[{\"type\":\"string\"}]}", "[1]", "input[0] must be a string, not number"},
    {"{\"prefixItems\":[{\"type\":\"string\"}]}", "[]", NULL},
    {"{\"contains\":{\"const\":1},\"minContains\":2}", "[1,2,1]", NULL},
    {"{\"contains\":{\"const\":1},\"minContains\":2}", "[1,2]",
     "input has 1 items that fit \"contains\"; it must have at least 2"},
    {"{\"contains\":{\"const\":1},\"minContains\":0}", "[]", NULL},
    {"{\"contains\":{\"const\":1},\"maxContains\":1}", "[1,1]",
     "input has 2 items that fit \"contains\"; it must have at most 1"},
    {"{\"minContains\":2}", "[]", NULL},
    {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"b\":1}", NULL},
    {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}", "input lacks the field \"b\""},
    {"{\"dependentSchemas\":{\"a\":{\"maxProperties\":1}}}", "{\"a\":1,\"b\":2}",
     "input has 2 fields; it must have at most 1"},
    {"{\"dependentSchemas\":{\"a\":{\"maxProperties\":1}}}", "{\"c\":1,\"b\":2}", NULL},
    {"{\"$defs\":{\"n\":{\"type\":\"integer\"}},\"items\":{\"$ref\":\"#/$defs/n\",\"minimum\":2}}",
     "[2]", NULL},
    {"{\"$defs\":{\"n\":{\"type\":\"integer\"}},\"items\":{\"$ref\":\"#/$defs/n\",\"minimum\":2}}",
     "[1]", "input[0] is 1; it must be at least 2"},
    {"{\"$defs\":{\"n\":{\"type\":\"integer\"}},\"items\":{\"$ref\":\"#/$defs/n\",\"minimum\":2}}",
     "[2.5]", "input[0] must be an integer, not number"},
    {"{\"properties\":{\"next\":{\"$ref\":\"#\"}},\"additionalProperties\":false}",
     "{\"next\":{\"next\":{}}}", NULL},
    {"{\"properties\":{\"next\":{\"$ref\":\"#\"}},\"additionalProperties\":false}",
     "{\"next\":{\"nest\":{}}}", "input.next has the unknown field \"nest\""},
    {"{\"$ref\":\"#\"}", "1", "input cannot be checked: the schema refers to itself without end"},
    {"{\"type\":\"integer\"}", "1e300", NULL},
    {"{\"type\":\"integer\"}", "1.5e0", "input must be an integer, not number"},
    {"{\"enum\":[\"a\",null]}", "\"b\"", "input is \"b\"; allowed are [\"a\",null]"},
    {"{\"pattern\":\"^[a-z]+$\"}", "\"ab\\n\"",
     "input is \"ab\\n\"; it must match the pattern ^[a-z]+$"},
    {"{\"maxLength\":2}", "\"\xc3\xa9\xf0\x9f\x92\xa9\"", NULL},
    {"{\"maxLength\":2}", "\"abc\"", "input has 3 characters; it must have at most 2"},
    {"{\"type\":[\"string\",\"null\"]}", "1", "input must be null or a string, not number"},
    {"{\"uniqueItems\":true}", "[{\"a\":1,\"b\":2},{\"b\":2,\"a\":1.0}]",
     "input has the same value at 0 and 1"},
    {"{\"format\":\"date\",\"title\":\"x\",\"default\":1,\"examples\":[1],\"$comment\":\"y\"}",
     "\"no date\"", NULL},
};

START_TEST(test_case)
{
    struct findings findings = {0};
    struct json *document = parse(cases[_i].schema);
    struct schema *schema = schema_compile(document, "", NULL, &findings);
    json_release(document);
    ck_assert_msg(schema != NULL, "%s", cases[_i].schema);
    struct json *value = parse(cases[_i].value);
    struct error error = {0};
    enum error_code code = schema_check(schema, value, "input", &error);
    ck_assert_str_eq(error.text, cases[_i].fault ? cases[_i].fault : "");
    ck_assert_int_eq(code, cases[_i].fault ? ERR_INVALID : ERR_OK);
    json_release(value);
    schema_free(schema);
    findings_fini(&findings);
}
END_TEST

static const struct {
    const char *schema, *pointer, *code;
} refused[] = {
    {"{\"unevaluatedProperties\":false}", "/s/unevaluatedProperties", "SCHEMA_UNSUPPORTED_KEYWORD"},
    {"{\"properties\":{\"a\":{\"$dynamicRef\":\"#x\"}}}", "/s/properties/a/$dynamicRef",
     "SCHEMA_UNSUPPORTED_KEYWORD"},
    {"{\"definitions\":{}}", "/s/definitions", "SCHEMA_UNSUPPORTED_KEYWORD"},
    {"{\"type\":\"text\"}", "/s/type", "SCHEMA_BAD_VALUE"},
    {"{\"minLength\":-1}", "/s/minLength", "SCHEMA_BAD_VALUE"},
    {"{\"multipleOf\":0}", "/s/multipleOf", "SCHEMA_BAD_VALUE"},
    {"{\"required\":[1]}", "/s/required", "SCHEMA_BAD_VALUE"},
    {"{\"pattern\":\"(\"}", "/s/pattern", "SCHEMA_BAD_PATTERN"},
    {"{\"items\":[{}]}", "/s/items", "SCHEMA_BAD_VALUE"},
    {"{\"anyOf\":[]}", "/s/anyOf", "SCHEMA_BAD_VALUE"},
    {"{\"$ref\":\"other.json\"}", "/s/$ref", "SCHEMA_BAD_REFERENCE"},
    {"{\"$ref\":\"#/$defs/none\"}", "/s", "SCHEMA_BAD_REFERENCE"},
    {"3", "/s", "SCHEMA_BAD_VALUE"},
};

START_TEST(test_refused)
{
    struct findings findings = {0};
    struct json *document = parse(refused[_i].schema);
    ck_assert_ptr_null(schema_compile(document, "/s", NULL, &findings));
    ck_assert_uint_eq(findings.count, 1);
    ck_assert_str_eq(findings.items[0].pointer, refused[_i].pointer);
    ck_assert_str_eq(findings.items[0].code, refused[_i].code);
    json_release(document);
    findings_fini(&findings);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema");
    TCase *published = tcase_create("published");
    tcase_add_loop_test(published, test_published_suite, 0, (int)(sizeof suites / sizeof *suites));
    suite_add_tcase(suite, published);
    TCase *own = tcase_create("own");
    tcase_add_loop_test(own, test_case, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_loop_test(own, test_refused, 0, (int)(sizeof refused / sizeof *refused));
    suite_add_tcase(suite, own);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
