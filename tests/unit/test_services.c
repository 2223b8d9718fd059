/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/services.h"
#include "workflow_story.h"

static const char *const variables[][2] = {
    {"TREE_URL", "https://other:8443///"},
    {"EMPTY", ""},
    {"KEY", "s3cret"},
    {"BAD_URL", "ftp://tree"},
};

static const char *lookup(const char *name, void *context)
{
    ck_assert_ptr_eq(context, (void *)variables);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (strcmp(variables[i][0], name) == 0)
            return variables[i][1];
    return NULL;
}

static struct services *parse(const char *text, struct findings *findings)
{
    return services_parse("services.yaml", text, strlen(text), lookup, (void *)(uintptr_t)variables,
                          findings);
}

static struct services *parsed(const char *text)
{
    struct findings findings = {0};
    struct buffer told = {0};
    struct services *services = parse(text, &findings);
    findings_write(&findings, &told);
    ck_assert_msg(services != NULL, "%s", buffer_text(&told));
    ck_assert_str_eq(buffer_text(&told), "");
    buffer_fini(&told);
    findings_fini(&findings);
    return services;
}

START_TEST(every_member_is_read)
{
    struct services *services =
        parsed("services:\n"
               "  tree:\n    base_url_variable: TREE_URL\n    base_url: http://tree:8080\n"
               "    api_key_variable: KEY\n    timeout_ms: 5000\n    when_open: fail\n"
               "  stamping:\n    base_url_variable: UNSET\n    base_url: http://stamping:8053/\n"
               "    api_key_variable: UNSET\n    timeout_ms: 86400000\n    when_open: hold\n"
               "  plain:\n    base_url_variable: EMPTY\n    base_url: http://plain/v1\n"
               "    api_key_variable: EMPTY\n");
    ck_assert_int_eq(services->count, 3);
    const struct service *service = &services->items[0];
    ck_assert_str_eq(service->name, "tree");
    ck_assert_str_eq(service->base_url, "https://other:8443");
    ck_assert_str_eq(service->api_key, "s3cret");
    ck_assert_int_eq(service->timeout_ms, 5000);
    ck_assert(!service->hold_when_open);
    service = &services->items[1];
    ck_assert_str_eq(service->base_url, "http://stamping:8053");
    ck_assert_ptr_null(service->api_key);
    ck_assert_int_eq(service->timeout_ms, 86400000);
    ck_assert(service->hold_when_open);
    service = &services->items[2];
    ck_assert_str_eq(service->base_url, "http://plain/v1");
    ck_assert_ptr_null(service->api_key);
    ck_assert_int_eq(service->timeout_ms, 0);
    ck_assert(service->hold_when_open);
    services_free(services);
}
END_TEST

START_TEST(services_are_found)
{
    struct services *services = parsed("services:\n  a: { base_url: http://h:1 }\n"
                                       "  ab: { base_url: http://h:1/v2 }\n"
                                       "  c: { base_url: http://h:12 }\n"
                                       "  d: { base_url: http://k/v2 }\n"
                                       "  e: { base_url: http://k }\n");
    ck_assert_int_eq(services_index_of_url(services, "http://k/v2/x"), 3);
    ck_assert_int_eq(services_index_of_url(services, "http://k/x"), 4);
    ck_assert_int_eq(services_index(services, "ab"), 1);
    ck_assert_int_eq(services_index(services, "b"), -1);
    ck_assert_int_eq(services_index(services, ""), -1);
    ck_assert_int_eq(services_index_of_url(services, "http://h:1"), 0);
    ck_assert_int_eq(services_index_of_url(services, "http://h:1?q"), 0);
    ck_assert_int_eq(services_index_of_url(services, "http://h:1/v1"), 0);
    ck_assert_int_eq(services_index_of_url(services, "http://h:1/v2/x"), 1);
    ck_assert_int_eq(services_index_of_url(services, "http://h:1/v23"), 0);
    ck_assert_int_eq(services_index_of_url(services, "http://h:12/"), 2);
    ck_assert_int_eq(services_index_of_url(services, "http://h:123/"), -1);
    ck_assert_int_eq(services_index_of_url(services, "http://h"), -1);
    ck_assert_int_eq(services_index_of_url(services, ""), -1);
    services_free(services);
}
END_TEST

static const struct {
    const char *text, *code, *said;
    int line;
} faults[] = {
    {"services: {\n", "YAML_SYNTAX", "no YAML", 2},
    {"name: x\n", "SERVICES_MISSING", "services", 1},
    {"services: []\n", "SERVICES_MISSING", "services", 1},
    {"services: [{base_url: http://a}]\n", "SERVICES_MISSING", "services", 1},
    {"services:\n  a: { base_url: http://a, baseurl: http://b }\n", "SERVICE_UNKNOWN_FIELD",
     "baseurl", 2},
    {"services:\n  a: {}\n", "SERVICE_BASE_URL", "(none)", 2},
    {"services:\n  a: text\n", "SERVICE_BASE_URL", "(none)", 2},
    {"services:\n  a: { base_url: a:80 }\n", "SERVICE_BASE_URL", "a:80", 2},
    {"services:\n  a: { base_url: 'http://' }\n", "SERVICE_BASE_URL", "http://", 2},
    {"services:\n  a: { base_url: 'https:///' }\n", "SERVICE_BASE_URL", "https://", 2},
    {"services:\n  a: { base_url: http://a, base_url_variable: BAD_URL }\n", "SERVICE_BASE_URL",
     "ftp://tree", 2},
    {"services:\n  a: { base_url_variable: UNSET }\n", "SERVICE_BASE_URL", "base_url_variable", 2},
    {"services:\n  a: { base_url: http://a, timeout_ms: 0 }\n", "SERVICE_TIMEOUT", "1 to 86400000",
     2},
    {"services:\n  a: { base_url: http://a, timeout_ms: -5 }\n", "SERVICE_TIMEOUT", "1 to 86400000",
     2},
    {"services:\n  a: { base_url: http://a, timeout_ms: 86400001 }\n", "SERVICE_TIMEOUT",
     "86400000", 2},
    {"services:\n  a: { base_url: http://a, timeout_ms: 1.5 }\n", "SERVICE_TIMEOUT", "whole number",
     2},
    {"services:\n  a: { base_url: http://a, timeout_ms: '5' }\n", "SERVICE_TIMEOUT", "whole number",
     2},
    {"services:\n  a: { base_url: http://a, when_open: maybe }\n", "SERVICE_WHEN_OPEN", "maybe", 2},
    {"services:\n  a: { base_url: http://a, when_open: true }\n", "SERVICE_WHEN_OPEN",
     "hold or fail", 2},
};

START_TEST(a_fault_is_one_finding)
{
    struct findings findings = {0};
    struct services *services = parse(faults[_i].text, &findings);
    ck_assert_ptr_null(services);
    ck_assert_uint_eq(findings.errors, 1);
    ck_assert_str_eq(findings.items[0].code, faults[_i].code);
    ck_assert_str_eq(findings.items[0].file, "services.yaml");
    ck_assert_int_eq(findings.items[0].line, faults[_i].line);
    ck_assert_msg(strstr(findings.items[0].text, faults[_i].said) != NULL, "%s",
                  findings.items[0].text);
    findings_fini(&findings);
}
END_TEST

START_TEST(all_faults_are_told_at_once)
{
    struct findings findings = {0};
    ck_assert_ptr_null(parse("services:\n  a: { base_url: x, timeout_ms: 0 }\n"
                             "  b: { base_url: http://b, when_open: x, more: 1 }\n",
                             &findings));
    ck_assert_uint_eq(findings.errors, 4);
    findings_fini(&findings);
}
END_TEST

/* The file that ships: with and without the variables that it names. */
START_TEST(the_shipped_file_is_fine)
{
    char *text = story_file("contracts/services.yaml");
    struct services *services = parsed(text);
    int stamping = services_index(services, "metadata-stamping");
    int tree = services_index(services, "onextree");
    ck_assert_int_ge(stamping, 0);
    ck_assert_int_ge(tree, 0);
    ck_assert_str_eq(services->items[stamping].base_url, "http://metadata-stamping:8053");
    ck_assert(services->items[stamping].hold_when_open);
    ck_assert_int_eq(services->items[tree].timeout_ms, 5000);
    ck_assert(!services->items[tree].hold_when_open);
    services_free(services);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("services");
    TCase *tests = tcase_create("services");
    tcase_add_test(tests, every_member_is_read);
    tcase_add_test(tests, services_are_found);
    tcase_add_loop_test(tests, a_fault_is_one_finding, 0, (int)(sizeof faults / sizeof *faults));
    tcase_add_test(tests, all_faults_are_told_at_once);
    tcase_add_test(tests, the_shipped_file_is_fine);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
