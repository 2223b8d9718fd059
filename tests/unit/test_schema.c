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

/* -- draft 7 in the spelling of 2020-12 -- */

static struct json *modern(const struct json *schema);

static struct json *modern_list(const struct json *list)
{
    struct json *made = json_array();
    for (size_t i = 0; i < json_size(list); i++)
        json_array_append(made, modern(json_at(list, i)));
    return made;
}

static struct json *modern_map(const struct json *map)
{
    struct json *made = json_object();
    for (size_t i = 0; i < json_size(map); i++)
        json_object_set(made, json_name_at(map, i, NULL), modern(json_member_at(map, i)));
    return made;
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

/* "dependencies" became two keywords. */
static void dependencies_set(struct json *made, const struct json *dependencies)
{
    struct json *required = json_object(), *schemas = json_object();
    for (size_t i = 0; i < json_size(dependencies); i++) {
        const char *name = json_name_at(dependencies, i, NULL);
        const struct json *member = json_member_at(dependencies, i);
        if (json_type_of(member) == JSON_ARRAY)
            json_object_set(required, name, json_hold(member));
        else
            json_object_set(schemas, name, modern(member));
    }
    json_object_set(made, "dependentRequired", required);
    json_object_set(made, "dependentSchemas", schemas);
}

static struct json *modern_reference(const char *text)
{
    static const char *const places[][2] = {{"#/definitions/", "#/$defs/"},
                                            {"#/items/0", "#/prefixItems/0"}};
    struct buffer made = {0};
    for (size_t i = 0; i < 2 && made.bytes == 0; i++) {
        size_t bytes = strlen(places[i][0]);
        if (strncmp(text, places[i][0], bytes) == 0)
            buffer_append_format(&made, "%s%s", places[i][1], text + bytes);
    }
    struct json *reference = json_text(made.bytes > 0 ? buffer_text(&made) : text);
    buffer_fini(&made);
    return reference;
}

static void keyword_set(struct json *made, const struct json *schema, const char *name,
                        const struct json *member)
{
    static const char *const maps[] = {"properties", "patternProperties", NULL};
    static const char *const lists[] = {"allOf", "anyOf", "oneOf", NULL};
    static const char *const schemas[] = {"items",         "contains", "additionalProperties",
                                          "propertyNames", "not",      "if",
                                          "then",          "else",     NULL};
    bool tuple = json_type_of(json_get(schema, "items")) == JSON_ARRAY;
    if (strcmp(name, "definitions") == 0)
        json_object_set(made, "$defs", modern_map(member));
    else if (strcmp(name, "dependencies") == 0)
        dependencies_set(made, member);
    else if (strcmp(name, "$ref") == 0 && json_string_or(member, NULL))
        json_object_set(made, name, modern_reference(json_string_or(member, NULL)));
    else if (strcmp(name, "items") == 0 && tuple)
        json_object_set(made, "prefixItems", modern_list(member));
    else if (strcmp(name, "additionalItems") == 0 && tuple)
        json_object_set(made, "items", modern(member));
    else if (strcmp(name, "additionalItems") == 0)
        return; /* says nothing without a list */
    else if (is_one_of(name, maps))
        json_object_set(made, name, modern_map(member));
    else if (is_one_of(name, lists))
        json_object_set(made, name, modern_list(member));
    else
        json_object_set(made, name, is_one_of(name, schemas) ? modern(member) : json_hold(member));
}

/* The same schema as 2020-12 writes it. */
static struct json *modern(const struct json *schema)
{
    if (json_type_of(schema) != JSON_OBJECT)
        return json_hold(schema);
    struct json *made = json_object();
    for (size_t i = 0; i < json_size(schema); i++)
        keyword_set(made, schema, json_name_at(schema, i, NULL), json_member_at(schema, i));
    return made;
}

/* -- the published suite -- */

#define PAGE "docs/json-schema.md"
#define WHY_REMOTE "schemas of other files are refused: a contract stands alone"
#define WHY_REF                                                                                    \
    "schemas of other files, pointers into unknown keywords (both refused); siblings of `$ref`, "  \
    "which draft 7 ignores and 2020-12 does not"

/* Every file of the suite: how many tests it has, how many fit as they are written, how many more in the
 * spelling of 2020-12, and why the rest is left out. */
static const struct {
    const char *file;
    size_t tests, fit, fit_modern;
    const char *why;
} suites[] = {
    {"additionalItems.json", 9, 0, 9, ""},
    {"additionalProperties.json", 14, 14, 0, ""},
    {"allOf.json", 14, 14, 0, ""},
    {"anyOf.json", 14, 14, 0, ""},
    {"boolean_schema.json", 18, 18, 0, ""},
    {"const.json", 12, 12, 0, ""},
    {"contains.json", 13, 13, 0, ""},
    {"default.json", 4, 4, 0, ""},
    {"definitions.json", 2, 0, 0, WHY_REMOTE},
    {"dependencies.json", 24, 0, 24, ""},
    {"enum.json", 9, 9, 0, ""},
    {"exclusiveMaximum.json", 4, 4, 0, ""},
    {"exclusiveMinimum.json", 4, 4, 0, ""},
    {"if-then-else.json", 18, 18, 0, ""},
    {"items.json", 17, 8, 9, ""},
    {"maxItems.json", 4, 4, 0, ""},
    {"maxLength.json", 5, 5, 0, ""},
    {"maxProperties.json", 6, 6, 0, ""},
    {"maximum.json", 4, 4, 0, ""},
    {"minItems.json", 4, 4, 0, ""},
    {"minLength.json", 5, 5, 0, ""},
    {"minProperties.json", 6, 6, 0, ""},
    {"minimum.json", 4, 4, 0, ""},
    {"multipleOf.json", 8, 8, 0, ""},
    {"not.json", 12, 12, 0, ""},
    {"oneOf.json", 15, 15, 0, ""},
    {"pattern.json", 4, 4, 0, ""},
    {"patternProperties.json", 21, 21, 0, ""},
    {"properties.json", 18, 18, 0, ""},
    {"propertyNames.json", 10, 10, 0, ""},
    {"ref.json", 27, 8, 6, WHY_REF},
    {"refRemote.json", 15, 0, 0, WHY_REMOTE},
    {"required.json", 7, 7, 0, ""},
    {"type.json", 59, 59, 0, ""},
    {"uniqueItems.json", 13, 13, 0, ""},
};
#define SUITES (sizeof suites / sizeof *suites)

struct tally {
    size_t tests, fit, fit_modern;
};

/* Runs the tests of a group; false when its schema is refused. */
static bool group_run(const char *file, const struct json *group, const struct json *document)
{
    const char *about = json_string_or(json_get(group, "description"), "");
    struct findings findings = {0};
    struct schema *schema = schema_compile(document, "", NULL, &findings);
    const struct json *tests = json_get(group, "tests");
    for (size_t i = 0; schema && i < json_size(tests); i++) {
        const struct json *test = json_at(tests, i);
        struct error error = {0};
        bool valid = schema_check(schema, json_get(test, "data"), "", &error) == ERR_OK;
        ck_assert_msg(valid == json_is_true(json_get(test, "valid")), "%s, %s, %s: %s", file, about,
                      json_string_or(json_get(test, "description"), ""),
                      valid ? "accepted" : error.text);
    }
    bool ran = schema != NULL;
    schema_free(schema);
    findings_fini(&findings);
    return ran;
}

/* In draft 7 a $ref silences what stands beside it; since 2019-09 it does not. */
static bool is_draft7_only(const struct json *group)
{
    return strcmp(json_string_or(json_get(group, "description"), ""),
                  "ref overrides any sibling keywords") == 0;
}

static struct tally suite_run(const char *file)
{
    struct json *suite = read_suite(file);
    ck_assert_msg(suite != NULL, "%s", file);
    struct tally tally = {0};
    for (size_t i = 0; i < json_size(suite); i++) {
        const struct json *group = json_at(suite, i), *schema = json_get(group, "schema");
        size_t count = json_size(json_get(group, "tests"));
        tally.tests += count;
        struct json *rewritten = modern(schema);
        if (group_run(file, group, schema))
            tally.fit += count;
        else if (!is_draft7_only(group) && group_run(file, group, rewritten))
            tally.fit_modern += count;
        json_release(rewritten);
    }
    json_release(suite);
    return tally;
}

START_TEST(test_published_suite)
{
    struct tally tally = suite_run(suites[_i].file);
    ck_assert_uint_eq(tally.tests, suites[_i].tests);
    ck_assert_uint_eq(tally.fit, suites[_i].fit);
    ck_assert_uint_eq(tally.fit_modern, suites[_i].fit_modern);
    ck_assert((*suites[_i].why != 0) == (tally.tests > tally.fit + tally.fit_modern));
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
    {"{\"$defs\":{\"a~b/c%d\":{\"const\":1}},\"$ref\":\"#/$defs/a~0b~1c%25d\"}", "1", NULL},
    {"{\"$defs\":{\"a~b/c%d\":{\"const\":1}},\"$ref\":\"#/$defs/a~0b~1c%25d\"}", "2",
     "input must be 1, not 2"},
    {"{\"$defs\":{\"n\":{\"maxItems\":3}},\"$ref\":\"#/$defs/n\",\"minItems\":2}", "[1,2,3]", NULL},
    {"{\"$defs\":{\"n\":{\"maxItems\":3}},\"$ref\":\"#/$defs/n\",\"minItems\":2}", "[1]",
     "input has 1 items; it must have at least 2"},
    {"{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"$id\":\"urn:x\"}", "1", NULL},
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

/* -- the tables of the documentation -- */

static void suites_write(struct buffer *out)
{
    struct tally sum = {0};
    buffer_append_text(out, "| file of the suite | tests | fit as written | fit in the spelling of "
                            "2020-12 | left out, because |\n| --- | --: | --: | --: | --- |\n");
    for (size_t i = 0; i < SUITES; i++) {
        buffer_append_format(out, "| `%s` | %zu | %zu | %zu | %s |\n", suites[i].file,
                             suites[i].tests, suites[i].fit, suites[i].fit_modern, suites[i].why);
        sum.tests += suites[i].tests;
        sum.fit += suites[i].fit;
        sum.fit_modern += suites[i].fit_modern;
    }
    buffer_append_format(out, "| all | %zu | %zu | %zu | |\n", sum.tests, sum.fit, sum.fit_modern);
}

static void cases_write(struct buffer *out)
{
    buffer_append_text(out, "| schema | value | |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        buffer_append_format(out, "| `%s` | `%s` | %s |\n", cases[i].schema, cases[i].value,
                             cases[i].fault ? cases[i].fault : "fits");
}

START_TEST(test_page_has_the_tables)
{
    FILE *stream = fopen(PAGE, "r");
    ck_assert_msg(stream != NULL, "%s cannot be read: run this from the top of the tree", PAGE);
    struct buffer page = {0};
    char piece[4096];
    for (size_t bytes; (bytes = fread(piece, 1, sizeof piece, stream)) > 0;)
        buffer_append(&page, piece, bytes);
    fclose(stream);
    void (*const writers[])(struct buffer *) = {suites_write, cases_write};
    for (size_t i = 0; i < 2; i++) {
        struct buffer table = {0};
        writers[i](&table);
        ck_assert_msg(strstr(buffer_text(&page), buffer_text(&table)) != NULL,
                      "%s is old: test_schema --tables prints what belongs there", PAGE);
        buffer_fini(&table);
    }
    buffer_fini(&page);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--tables") == 0) {
        struct buffer tables = {0};
        suites_write(&tables);
        buffer_append_char(&tables, '\n');
        cases_write(&tables);
        fputs(buffer_text(&tables), stdout);
        buffer_fini(&tables);
        return 0;
    }
    Suite *suite = suite_create("schema");
    TCase *published = tcase_create("published");
    tcase_add_loop_test(published, test_published_suite, 0, (int)SUITES);
    suite_add_tcase(suite, published);
    TCase *own = tcase_create("own");
    tcase_add_loop_test(own, test_case, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_loop_test(own, test_refused, 0, (int)(sizeof refused / sizeof *refused));
    tcase_add_test(own, test_page_has_the_tables);
    suite_add_tcase(suite, own);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
