/* SPDX-License-Identifier: MIT */
/* Is a contract read whole, and is everything wrong with it told at once and in its place? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/contract.h"

static const char good[] =
    "# a comment\n"
    "name: echo\n"
    "version: 1.2.3\n"
    "description: says it again\n"
    "services: [echo-service]\n"
    "input_state:\n"
    "  type: object\n"
    "  required: [text]\n"
    "  properties: {text: {type: string, minLength: 1}}\n"
    "events:\n"
    "  workflow_started: {type: echo_started, payload: {text.$: $.input.text}}\n"
    "  steps:\n"
    "    Say: {completed: {type: echo_said}}\n"
    "state_machine:\n"
    "  StartAt: Say\n"
    "  States:\n"
    "    Say:\n"
    "      Type: Task\n"
    "      Resource: onex:http:invoke\n"
    "      Parameters: {Service: echo-service, Method: GET, Path: /echo}\n"
    "      End: true\n";

/* The contract's text with one line replaced. */
static char *with(const char *line, const char *instead)
{
    const char *at = strstr(good, line);
    ck_assert_ptr_nonnull(at);
    struct buffer text = {0};
    buffer_append(&text, good, (size_t)(at - good));
    buffer_append_text(&text, instead);
    buffer_append_text(&text, at + strlen(line));
    return buffer_take(&text);
}

static bool is_echo_service(const char *name, void *context)
{
    (void)context;
    return strcmp(name, "echo-service") == 0;
}

static char *findings_of(const char *file, const char *text)
{
    struct findings findings = {0};
    struct contract *contract = contract_parse(file, text, strlen(text), &findings);
    ck_assert_int_eq(contract == NULL, findings.errors > 0);
    contract_free(contract);
    struct buffer out = {0};
    findings_write(&findings, &out);
    findings_fini(&findings);
    char *told = must_strdup(buffer_text(&out));
    buffer_fini(&out);
    return told;
}

static void findings_are(const char *file, const char *text, const char *expected)
{
    char *told = findings_of(file, text);
    ck_assert_str_eq(told, expected);
    free(told);
}

START_TEST(test_good_contract)
{
    struct findings findings = {0};
    struct contract *contract = contract_parse("echo.yaml", good, strlen(good), &findings);
    ck_assert_uint_eq(findings.count, 0);
    ck_assert_ptr_nonnull(contract);
    ck_assert_str_eq(contract->name, "echo");
    ck_assert_str_eq(contract->version, "1.2.3");
    ck_assert_str_eq(contract->description, "says it again");
    ck_assert_uint_eq(json_size(contract->services), 1);
    ck_assert_ptr_nonnull(json_get(contract->events, "steps"));
    ck_assert_ptr_null(contract->output_schema);
    struct error error = {0};
    struct json *input = json_parse("{\"text\":\"\"}", 11, NULL, NULL);
    ck_assert_int_eq(schema_check(contract->input_schema, input, "input", &error), ERR_INVALID);
    ck_assert_str_eq(error.field, "input.text");
    json_release(input);
    contract_free(contract);
    findings_fini(&findings);
}
END_TEST

START_TEST(test_services_that_exist)
{
    char *text = with("services: [echo-service]", "services: [gone, echo-service, other]");
    struct findings findings = {0};
    struct buffer told = {0};
    struct contract *contract =
        contract_parse_among("c.yaml", good, strlen(good), is_echo_service, NULL, &findings);
    ck_assert_ptr_nonnull(contract);
    contract_free(contract);
    ck_assert_ptr_null(
        contract_parse_among("c.yaml", text, strlen(text), is_echo_service, NULL, &findings));
    findings_write(&findings, &told);
    ck_assert_str_eq(buffer_text(&told),
                     "c.yaml:5:12: error CONTRACT_UNKNOWN_SERVICE: the service \"gone\" is not in "
                     "services.yaml\n"
                     "c.yaml:5:12: warning CONTRACT_UNUSED_SERVICE: no state calls the service "
                     "\"gone\"\n"
                     "c.yaml:5:32: error CONTRACT_UNKNOWN_SERVICE: the service \"other\" is not in "
                     "services.yaml\n"
                     "c.yaml:5:32: warning CONTRACT_UNUSED_SERVICE: no state calls the service "
                     "\"other\"\n");
    buffer_fini(&told);
    findings_fini(&findings);
    free(text);
}
END_TEST

static const struct {
    const char *line, *instead, *expected;
} faults[] = {
    {"version: 1.2.3", "version: 1.2",
     "c.yaml:3:1: error CONTRACT_BAD_FIELD: version must be a text\n"},
    {"version: 1.2.3", "version: 01.2.3",
     "c.yaml:3:1: error CONTRACT_BAD_VERSION: \"01.2.3\" is no semantic version like 1.2.3\n"},
    {"name: echo\n", "name: 'a b'\n",
     "c.yaml:2:1: error CONTRACT_BAD_NAME: the name \"a b\" must be 1 to 128 letters, digits, "
     "dots, - and _\n"},
    {"description:", "descripton:",
     "c.yaml:4:1: error CONTRACT_UNKNOWN_FIELD: a contract has no field \"descripton\"; did you "
     "mean \"description\"?\n"},
    {"Service: echo-service", "Service: other",
     "c.yaml:5:12: warning CONTRACT_UNUSED_SERVICE: no state calls the service \"echo-service\"\n"
     "c.yaml:20:20: error CONTRACT_UNDECLARED_SERVICE: the state \"Say\" calls the service "
     "\"other\", which is not in "
     "the contract's services\n"},
    {"onex:http:invoke", "onex:http:invok",
     "c.yaml:19:7: error ASL_UNKNOWN_RESOURCE: the resource \"onex:http:invok\" is not known\n"},
    {"    Say: {completed:", "    Sai: {completed:",
     "c.yaml:13:5: error CONTRACT_UNKNOWN_STATE: events are given for the state \"Sai\", and there "
     "is none\n"},
    {"$.input.text", "$.input.text()",
     "c.yaml:11:52: error ASL_BAD_PATH: the path \"$.input.text()\" calls a function, which paths "
     "do not have (States.ArrayLength and others are intrinsic functions), at character 13\n"},
    {"minLength: 1", "minLenght: 1",
     "c.yaml:9:37: error SCHEMA_UNSUPPORTED_KEYWORD: the keyword \"minLenght\" is not supported\n"},
    {"Service: echo-service", "Service.$: $.service", ""}, /* whichever the data name */
    {"Service: echo-service", "ApiEndpoint: https://x.example",
     "c.yaml:5:12: warning CONTRACT_UNUSED_SERVICE: no state calls the service \"echo-service\"\n"},
    {"description: says it again", "verify: {compensations: {Say: Say}}", ""},
    {"description: says it again", "verify: {compensations: {Say: Sey}}",
     "c.yaml:4:26: error CONTRACT_UNKNOWN_STATE: a compensation names the state \"Sey\", and there "
     "is none\n"},
    {"description: says it again", "verify: {compensations: {Say: 1}}",
     "c.yaml:4:26: error CONTRACT_BAD_FIELD: a compensation is told as \"state that undoes: state "
     "that it undoes\"\n"},
    {"description: says it again", "verify: {compensation: {Say: Say}}",
     "c.yaml:4:1: error CONTRACT_BAD_FIELD: verify must be an object with one field, the object "
     "compensations\n"},
    {"description: says it again", "verify: {compensations: {}, x: 1}",
     "c.yaml:4:1: error CONTRACT_BAD_FIELD: verify must be an object with one field, the object "
     "compensations\n"},
    {"      End: true\n", "      Next: Sey\n",
     "c.yaml:21:7: error ASL_UNKNOWN_STATE: Next names \"Sey\", and there is no such state here; "
     "did you mean \"Say\"?\n"},
    {"  StartAt: Say\n", "  StartAt: Say\n   x: 1\n",
     "c.yaml:15:12: error YAML_SYNTAX: the file is no YAML: invalid multiline plain key\n"},
};

START_TEST(test_fault)
{
    char *text = with(faults[_i].line, faults[_i].instead);
    findings_are("c.yaml", text, faults[_i].expected);
    free(text);
}
END_TEST

START_TEST(test_all_findings_at_once)
{
    findings_are(
        "bad.json",
        "{\"name\": \"x\",\n \"version\": \"1\",\n \"surprise\": 1,\n \"state_machine\": {}\n}",
        "bad.json:2:2: error CONTRACT_BAD_VERSION: \"1\" is no semantic version like 1.2.3\n"
        "bad.json:3:2: error CONTRACT_UNKNOWN_FIELD: a contract has no field \"surprise\"\n"
        "bad.json:4:2: error ASL_MISSING_FIELD: States must be an object with at least one "
        "state\n");
}
END_TEST

START_TEST(test_json_syntax)
{
    char *told = findings_of("bad.json", "{\"name\": \"x\",\n \"version\": }");
    ck_assert_ptr_nonnull(strstr(told, "bad.json:2:13: error JSON_SYNTAX: "));
    free(told);
    findings_are(
        "twice.json",
        "{\"name\": \"x\", \"version\": \"1.0.0\",\n \"name\": \"y\",\n"
        "\"state_machine\": {\"StartAt\": \"A\", \"States\": {\"A\": {\"Type\": \"Succeed\"}}}}",
        "twice.json:2:2: error JSON_DUPLICATE_NAME: the name \"name\" is given twice in one "
        "object\n");
}
END_TEST

START_TEST(test_plain_machine)
{
    static const char text[] =
        "{\"Comment\": \"waits\", \"StartAt\": \"A\", \"States\": {\"A\": {\"Type\": \"Wait\", "
        "\"Seconds\": 1, \"End\": true}}}";
    struct findings findings = {0};
    struct contract *contract =
        contract_parse("some/dir/pause.asl.json", text, strlen(text), &findings);
    ck_assert_ptr_nonnull(contract);
    ck_assert_str_eq(contract->name, "pause");
    ck_assert_str_eq(contract->version, "1.0.0");
    ck_assert_str_eq(contract->description, "waits");
    contract_free(contract);
    findings_fini(&findings);
    findings_are(
        "pause.asl.json",
        "{\"StartAt\": \"A\",\n \"States\": {\"A\": {\"Type\": \"Wait\",\n \"End\": 1}}}",
        "pause.asl.json:2:13: error ASL_BAD_WAIT: the Wait state \"A\" needs exactly one of "
        "Seconds, SecondsPath, Timestamp and TimestampPath\n"
        "pause.asl.json:2:13: error ASL_MISSING_NEXT: the state \"A\" has neither Next nor End\n"
        "pause.asl.json:3:2: error ASL_BAD_TYPE: End must be true or false\n");
}
END_TEST

/* semver.org, section 11: the example of its own and the rules before it. */
START_TEST(test_versions)
{
    static const char *const order[] = {"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
                                        "1.0.0-beta",  "1.0.0-beta.2",  "1.0.0-beta.11",
                                        "1.0.0-rc.1",  "1.0.0",         "1.0.1",
                                        "1.2.0",       "1.10.0",        "2.0.0"};
    for (size_t a = 0; a < sizeof order / sizeof *order; a++) {
        for (size_t b = 0; b < sizeof order / sizeof *order; b++) {
            int compared = contract_version_compare(order[a], order[b]);
            ck_assert_msg((compared > 0) == (a > b) && (compared < 0) == (a < b), "%s %s: %d",
                          order[a], order[b], compared);
        }
    }
    ck_assert_int_eq(contract_version_compare("1.0.0+build.1", "1.0.0+build.2"), 0);
    ck_assert_int_eq(contract_version_compare("1.0.0-a+x", "1.0.0-a"), 0);
    ck_assert(contract_version_is_prerelease("1.0.0-a+x"));
    ck_assert(!contract_version_is_prerelease("1.0.0+a-b") &&
              !contract_version_is_prerelease("1.0.0"));
}
END_TEST

static const struct {
    const char *yaml, *json; /* json NULL: refused */
} documents[] = {
    {"a: no\nb: yes\nc: on\n", "{\"a\":\"no\",\"b\":\"yes\",\"c\":\"on\"}"},
    {"[1, -2, 0x1F, 0o17, 1.5, 1e3, .5, 1.2.3, '1', ~, null, True, FALSE, '']",
     "[1,-2,31,15,1.5,1000.0,0.5,\"1.2.3\",\"1\",null,null,true,false,\"\"]"},
    {"a: &x {b: 1}\nc: *x\n", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}"},
    {"a: |\n  one\n  two\nb: >-\n  one\n  two\n", "{\"a\":\"one\\ntwo\\n\",\"b\":\"one two\"}"},
    {"a: !!str 5", "{\"a\":\"5\"}"},
    {"\"\\u00e9\": \"\\t\"", "{\"\xc3\xa9\":\"\\t\"}"},
    {"a:", "{\"a\":null}"},
    {"a: 1\na: 2", NULL},
    {"a: [1, 2", NULL},
    {"a: .inf", NULL},
    {"a: !other 5", NULL},
    {"<<: {a: 1}", NULL},
    {"? [1]\n: 2", NULL},
    {"a: *x", NULL},
    {"a: \"\\0\"", NULL},
    {"", NULL},
    {"--- 1\n--- 2\n", NULL},
    {"a: &x [*x]", NULL},
    {"%YAML 1.2\n---\na: 1\n", NULL},
    {"a: b\x01", NULL},
    {"a: \xff", NULL},
};

START_TEST(test_yaml)
{
    struct findings findings = {0};
    struct json *value =
        yaml_parse("t.yaml", documents[_i].yaml, strlen(documents[_i].yaml), NULL, &findings);
    if (documents[_i].json) {
        struct buffer told = {0};
        findings_write(&findings, &told);
        ck_assert_msg(value != NULL, "%s", buffer_text(&told));
        buffer_fini(&told);
        char *text = json_to_text(value);
        ck_assert_str_eq(text, documents[_i].json);
        free(text);
    } else {
        ck_assert_msg(!value && findings.errors == 1, "accepted: %s", documents[_i].yaml);
    }
    json_release(value);
    findings_fini(&findings);
}
END_TEST

static const struct {
    const char *json, *yaml;
} written[] = {
    {"{\"name\":\"greet\",\"version\":\"1.0.0\",\"services\":[],\"a\":{}}",
     "name: greet\nversion: \"1.0.0\"\nservices: []\na: {}\n"},
    {"{\"S\":{\"Next\":\"B c\",\"x.$\":\"$.a\",\"list\":[1,-2.5,null,true]}}",
     "S:\n  Next: \"B c\"\n  x.$: $.a\n  list:\n    - 1\n    - -2.5\n    - null\n    - true\n"},
    {"[{\"a\":1,\"b\":[[1],[{}]]},[]]", "- a: 1\n  b:\n    - - 1\n    - - {}\n- []\n"},
    {"[\"no\",\"Y\",\"TRUE\",\"null\",\"~\",\"\",\"1\",\"1e3\",\"-\",\"a: b\",\"a #b\"]",
     "- \"no\"\n- \"Y\"\n- \"TRUE\"\n- \"null\"\n- \"~\"\n- \"\"\n- \"1\"\n- \"1e3\"\n- \"-\"\n- "
     "\"a: b\"\n- \"a #b\"\n"},
    {"{\"\":\"two\\nlines\\t\\u001f\",\"a:b\":\"\xc3\xa4 \xf0\x9f\x98\x80\",\"<<\":\"&a *b !c\"}",
     "\"\": \"two\\nlines\\t\\u001f\"\n\"a:b\": \"\xc3\xa4 \xf0\x9f\x98\x80\"\n\"<<\": \"&a *b "
     "!c\"\n"},
    {"\"text\"", "text\n"},
    {"7", "7\n"},
    {"[\"2\x7f\xc2\x85\xc2\xa0\xe2\x80\xa8\xe2\x80\xaa\xef\xbb\xbf\xef\xbf\xbf\xef\xbf\xbd\"]",
     "- \"2\\u007f\\u0085\xc2\xa0\\u2028\xe2\x80\xaa\\ufeff\\uffff\xef\xbf\xbd\"\n"},
};

/* What is written is read again as the same. */
START_TEST(test_yaml_written)
{
    struct findings findings = {0};
    struct buffer text = {0};
    struct json *value = json_parse(written[_i].json, strlen(written[_i].json), NULL, NULL);
    ck_assert_ptr_nonnull(value);
    yaml_write(value, &text);
    ck_assert_str_eq(buffer_text(&text), written[_i].yaml);
    struct json *again = yaml_parse("t.yaml", text.data, text.bytes, NULL, &findings);
    struct buffer told = {0};
    findings_write(&findings, &told);
    ck_assert_msg(json_equal(value, again), "%s", buffer_text(&told));
    buffer_fini(&told);
    json_release(again);
    json_release(value);
    buffer_fini(&text);
    findings_fini(&findings);
}
END_TEST

/* Aliases of aliases: a few lines that would become a billion values. */
START_TEST(test_yaml_bomb)
{
    struct buffer text = {0};
    buffer_append_text(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 10; i++)
        buffer_append_format(&text, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i,
                             i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    struct findings findings = {0};
    ck_assert_ptr_null(yaml_parse("bomb.yaml", text.data, text.bytes, NULL, &findings));
    ck_assert_uint_eq(findings.count, 1);
    ck_assert_str_eq(findings.items[0].code, "YAML_TOO_LARGE");
    findings_fini(&findings);
    buffer_fini(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract");
    TCase *contracts = tcase_create("contracts");
    tcase_add_test(contracts, test_good_contract);
    tcase_add_test(contracts, test_services_that_exist);
    tcase_add_loop_test(contracts, test_fault, 0, (int)(sizeof faults / sizeof *faults));
    tcase_add_test(contracts, test_all_findings_at_once);
    tcase_add_test(contracts, test_json_syntax);
    tcase_add_test(contracts, test_plain_machine);
    tcase_add_test(contracts, test_versions);
    tcase_add_loop_test(contracts, test_yaml, 0, (int)(sizeof documents / sizeof *documents));
    tcase_add_loop_test(contracts, test_yaml_written, 0, (int)(sizeof written / sizeof *written));
    tcase_add_test(contracts, test_yaml_bomb);
    suite_add_tcase(suite, contracts);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
