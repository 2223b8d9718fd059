/* SPDX-License-Identifier: MIT */
#include "core/event_routes.h"
#include "workflow_story.h"

static struct event_routes *parse(const char *text, const char *environment,
                                  struct findings *findings)
{
    return event_routes_parse("events.yaml", text, strlen(text), environment, findings);
}

static struct event_routes *parsed(const char *text, const char *environment)
{
    struct findings findings = {0};
    struct buffer told = {0};
    struct event_routes *routes = parse(text, environment, &findings);
    findings_write(&findings, &told);
    ck_assert_msg(routes != NULL, "%s", buffer_text(&told));
    buffer_fini(&told);
    findings_fini(&findings);
    return routes;
}

START_TEST(a_type_has_its_topic)
{
    struct event_routes *routes = parsed("name: events\nroutes:\n"
                                         "  zebra: '{env}.evt.zebra.v1'\n"
                                         "  ant: plain\n"
                                         "  bee: 'a{env}b{env}'\n"
                                         "  bees: '{env}'\n",
                                         "staging");
    ck_assert_uint_eq(routes->count, 4);
    ck_assert_str_eq(event_routes_topic(routes, "zebra"), "staging.evt.zebra.v1");
    ck_assert_str_eq(event_routes_topic(routes, "ant"), "plain");
    ck_assert_str_eq(event_routes_topic(routes, "bee"), "astagingbstaging");
    ck_assert_str_eq(event_routes_topic(routes, "bees"), "staging");
    ck_assert_ptr_null(event_routes_topic(routes, "be"));
    ck_assert_ptr_null(event_routes_topic(routes, "beess"));
    ck_assert_ptr_null(event_routes_topic(routes, ""));
    for (size_t i = 1; i < routes->count; i++)
        ck_assert_int_lt(strcmp(routes->items[i - 1].type, routes->items[i].type), 0);
    event_routes_free(routes);
}
END_TEST

START_TEST(no_routes_are_no_fault)
{
    struct event_routes *routes = parsed("routes: {}\n", "dev");
    ck_assert_ptr_null(event_routes_topic(routes, "any"));
    event_routes_free(routes);
}
END_TEST

static const struct {
    const char *text, *code, *said;
} faults[] = {
    {"routes: {", "YAML_SYNTAX", ""},
    {"name: events\n", "ROUTES_MISSING", "routes"},
    {"routes: []\n", "ROUTES_MISSING", "routes"},
    {"routes: [{ a: b }]\n", "ROUTES_MISSING", "routes"},
    {"routes: { a: '' }\n", "ROUTE_TOPIC", "the topic of a is "},
    {"routes: { a: 5 }\n", "ROUTE_TOPIC", "the topic of a"},
    {"routes: { a: [x] }\n", "ROUTE_TOPIC", "the topic of a"},
    {"routes: { a: 'x y' }\n", "ROUTE_TOPIC", "x y"},
    {"routes: { a: 'x/y' }\n", "ROUTE_TOPIC", "A-Z a-z 0-9 . _ -"},
    {"routes: { a: '{Env}.x' }\n", "ROUTE_TOPIC", "{Env}.x"},
    {"routes: { a: . }\n", "ROUTE_TOPIC", "is .;"},
    {"routes: { a: .. }\n", "ROUTE_TOPIC", "is ..;"},
};

START_TEST(a_fault_is_one_finding)
{
    struct findings findings = {0};
    ck_assert_ptr_null(parse(faults[_i].text, "dev", &findings));
    ck_assert_uint_eq(findings.errors, 1);
    ck_assert_str_eq(findings.items[0].code, faults[_i].code);
    ck_assert_str_eq(findings.items[0].file, "events.yaml");
    ck_assert_msg(strstr(findings.items[0].text, faults[_i].said) != NULL, "%s",
                  findings.items[0].text);
    findings_fini(&findings);
}
END_TEST

/* 249 octets, counted after {env} was replaced. */
START_TEST(a_topic_has_a_longest)
{
    for (size_t extra = 0; extra < 2; extra++) {
        struct findings findings = {0};
        struct buffer text = {0};
        buffer_append_text(&text, "routes: { a: '{env}");
        for (size_t i = 0; i < TOPIC_BYTES_MAX - 3 + extra; i++)
            buffer_append_char(&text, 'x');
        buffer_append_text(&text, "' }\n");
        struct event_routes *routes = parse(buffer_text(&text), "dev", &findings);
        ck_assert_int_eq(routes != NULL, extra == 0);
        event_routes_free(routes);
        findings_fini(&findings);
        buffer_fini(&text);
    }
}
END_TEST

/* Every event that the stamping contract declares has a topic in the file that ships. */
START_TEST(the_shipped_routes_are_fine)
{
    char *text = story_file("contracts/events.yaml");
    struct event_routes *routes = parsed(text, "dev");
    struct contract *contract = story_stamping();
    size_t seen = 0;
    for (size_t i = 0; i < json_size(contract->events); i++) {
        const char *type =
            json_string_value(json_get(json_member_at(contract->events, i), "type"), NULL);
        if (type == NULL)
            continue;
        ck_assert_msg(event_routes_topic(routes, type) != NULL, "%s", type);
        seen++;
    }
    const struct json *steps = json_get(contract->events, "steps");
    for (size_t i = 0; i < json_size(steps); i++) {
        const struct json *step = json_member_at(steps, i);
        for (size_t k = 0; k < json_size(step); k++, seen++) {
            const char *type = json_string_or(json_get(json_member_at(step, k), "type"), "");
            ck_assert_msg(event_routes_topic(routes, type) != NULL, "%s", type);
        }
    }
    ck_assert_uint_eq(seen, 8);
    ck_assert_str_eq(event_routes_topic(routes, "workflow_step_completed"),
                     "dev.omninode_bridge.onex.evt.workflow-step-completed.v1");
    ck_assert_ptr_nonnull(event_routes_topic(routes, "workflow_state_transition"));
    contract_free(contract);
    event_routes_free(routes);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event_routes");
    TCase *tests = tcase_create("event_routes");
    tcase_add_test(tests, a_type_has_its_topic);
    tcase_add_test(tests, no_routes_are_no_fault);
    tcase_add_loop_test(tests, a_fault_is_one_finding, 0, (int)(sizeof faults / sizeof *faults));
    tcase_add_test(tests, a_topic_has_a_longest);
    tcase_add_test(tests, the_shipped_routes_are_fine);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
