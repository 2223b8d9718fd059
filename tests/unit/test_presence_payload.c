/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdlib.h>

#include "core/presence_payload.h"

static const struct presence_usage usage = {.cpu_percent = 12.34,
                                            .memory_bytes = 16.5 * (1 << 20),
                                            .memory_total_bytes = 1024.0 * (1 << 20),
                                            .memory_available_bytes = 512.0 * (1 << 20),
                                            .cpu_cores = 2,
                                            .uptime_seconds = 1.25};
static char orchestrator_type[] = "orchestrator", reducer_type[] = "reducer", id[] = "n1";
static char api[] = "http://h:1", metrics[] = "http://h:2/metrics", none[] = "";
static const struct presence_node orchestrator = {orchestrator_type, id, api, metrics};
static const struct presence_node reducer = {reducer_type, id, api, none};

static void is(struct json *value, const char *expected)
{
    char *text = json_to_text(value);
    ck_assert_str_eq(text, expected);
    free(text);
    json_release(value);
}

START_TEST(heartbeat)
{
    struct presence_status status = {
        .health = "healthy", .active_operations = 4, .last_activity_us = 1000000};
    is(presence_heartbeat(&reducer, &usage, &status, "development", 2000000),
       "{\"node_id\":\"n1\",\"node_type\":\"reducer\",\"health_status\":\"healthy\",\"uptime_"
       "seconds\":1.25,"
       "\"last_activity_timestamp\":\"1970-01-01T00:00:01.000000Z\",\"active_operations\":4,"
       "\"resource_usage\":{\"cpu_percent\":12.3,\"memory_mb\":16.5,\"memory_percent\":1.61},"
       "\"metadata\":{\"version\":\"" VERSION "\",\"environment\":\"development\"},"
       "\"timestamp\":\"1970-01-01T00:00:02.000000Z\"}");
}
END_TEST

START_TEST(introspection)
{
    struct json *states = json_object();
    json_object_set(states, "PENDING", json_int(1));
    struct presence_status status = {
        .health = "healthy", .active_operations = 4, .active_states = states};
    is(presence_introspection(&orchestrator, &usage, &status, "development", "startup", 2000000),
       "{\"node_id\":\"n1\",\"node_type\":\"orchestrator\",\"capabilities\":{\"node_type\":"
       "\"orchestrator\","
       "\"fsm_states\":{\"supported_states\":[\"PENDING\",\"PROCESSING\",\"COMPLETED\",\"FAILED\","
       "\"CANCELLED\"],"
       "\"active_workflows\":4,\"active_states\":{\"PENDING\":1}},"
       "\"supported_operations\":[\"execute_orchestration\",\"coordinate_workflow\",\"manage_"
       "state\",\"route_operations\"],"
       "\"resource_limits\":{\"cpu_cores_available\":2,\"memory_available_gb\":0.5,\"current_"
       "memory_usage_mb\":16.5},"
       "\"service_integration\":{\"metadata_stamping\":true,\"onextree\":true}},"
       "\"endpoints\":{\"health\":\"http://h:1/health\",\"api\":\"http://h:1\",\"metrics\":\"http:/"
       "/h:2/metrics\","
       "\"orchestration\":\"http://h:1/api/v1/workflows\"},"
       "\"metadata\":{\"reason\":\"startup\",\"version\":\"" VERSION
       "\",\"environment\":\"development\"},"
       "\"timestamp\":\"1970-01-01T00:00:02.000000Z\",\"epoch\":1}");
    json_release(states);
}
END_TEST

START_TEST(a_reducer_has_its_own_operations_and_endpoints)
{
    struct presence_status status = {.health = "healthy"};
    struct json *capabilities = presence_capabilities(&reducer, &usage, &status);
    is(json_hold(json_get(capabilities, "supported_operations")),
       "[\"execute_reduction\",\"aggregate_data\",\"reduce_results\",\"manage_state\"]");
    ck_assert_ptr_null(json_get(capabilities, "service_integration"));
    json_release(capabilities);
    is(presence_endpoints(&reducer), "{\"health\":\"http://h:1/health\",\"api\":\"http://"
                                     "h:1\",\"aggregation\":\"http://h:1/api/v1/aggregations\"}");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("presence_payload");
    TCase *tests = tcase_create("presence_payload");
    tcase_add_test(tests, heartbeat);
    tcase_add_test(tests, introspection);
    tcase_add_test(tests, a_reducer_has_its_own_operations_and_endpoints);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
