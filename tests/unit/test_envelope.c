/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/envelope.h"

static char *written(const struct envelope *envelope, const char *payload)
{
    struct error error = {0};
    struct buffer out = {0};
    struct envelope whole = *envelope;
    struct json *value = json_parse(payload, strlen(payload), &error, NULL);
    ck_assert_msg(value != NULL, "%s: %s", error.text, payload);
    whole.payload = value;
    buffer_append_text(&out, "before ");
    envelope_write(&out, &whole);
    json_release(value);
    char *text = buffer_take(&out);
    ck_assert_int_eq(strncmp(text, "before ", 7), 0);
    memmove(text, text + 7, strlen(text + 7) + 1);
    return text;
}

static const struct envelope full = {
    .event_id = {{0x01, 0x9a, 0xa1, 0x19, 0xc3, 0xa8, 0x80, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x01}},
    .event_type = "stamp_workflow_completed",
    .event_us = 1767225600000001,
    .source_node_id = "node-1",
    .source_instance = "host:8060",
    .correlation_id = "corr-1",
    .causation_id = "cause-1",
    .environment = "staging",
    .partition_key = "key-1",
    .event_category = "workflow_orchestration",
    .node_type = "orchestrator",
    .namespace = "docs",
};

/* Every member of ModelOnexEnvelopeV1, in its order, and nothing else. */
START_TEST(all_members)
{
    char *text = written(&full, "{\"b\":[1,{\"c\":null}],\"a\":\"\\u00e9\"}");
    ck_assert_str_eq(
        text, "{\"envelope_version\":\"1.0\",\"event_id\":\"019aa119-c3a8-8000-8000-000000000001\","
              "\"event_type\":\"stamp_workflow_completed\",\"event_version\":\"1.0\","
              "\"event_timestamp\":\"2026-01-01T00:00:00.000001Z\",\"source_node_id\":\"node-1\","
              "\"source_service\":\"omninode-bridge\",\"source_version\":\"1.0.0\","
              "\"source_instance\":\"host:8060\",\"correlation_id\":\"corr-1\","
              "\"causation_id\":\"cause-1\",\"environment\":\"staging\",\"region\":null,"
              "\"partition_key\":\"key-1\","
              "\"payload\":{\"b\":[1,{\"c\":null}],\"a\":\"\xc3\xa9\",\"node_id\":\"node-1\","
              "\"published_at\":\"2026-01-01T00:00:00.000001Z\"},"
              "\"metadata\":{\"event_category\":\"workflow_orchestration\","
              "\"node_type\":\"orchestrator\",\"namespace\":\"docs\"}}");
    free(text);
}
END_TEST

START_TEST(what_is_not_known_is_null)
{
    struct envelope envelope = full;
    envelope.source_instance = envelope.correlation_id = envelope.causation_id = NULL;
    envelope.partition_key = envelope.namespace = NULL;
    char *text = written(&envelope, "{}");
    ck_assert_ptr_nonnull(strstr(text, "\"source_instance\":null,\"correlation_id\":null,"
                                       "\"causation_id\":null,"));
    ck_assert_ptr_nonnull(strstr(text, "\"region\":null,\"partition_key\":null,\"payload\":{"
                                       "\"node_id\":\"node-1\",\"published_at\":\""));
    ck_assert_ptr_nonnull(strstr(text, "\"namespace\":null}}"));
    free(text);
}
END_TEST

START_TEST(a_payload_keeps_its_own_node_and_time)
{
    char *text = written(&full, "{\"published_at\":\"then\",\"node_id\":null}");
    ck_assert_ptr_nonnull(
        strstr(text, "\"payload\":{\"published_at\":\"then\",\"node_id\":null},"));
    free(text);
    text = written(&full, "{\"node_id\":\"other\"}");
    ck_assert_ptr_nonnull(strstr(text, "\"payload\":{\"node_id\":\"other\",\"published_at\":\""
                                       "2026-01-01T00:00:00.000001Z\"},"));
    free(text);
}
END_TEST

START_TEST(texts_are_escaped)
{
    struct envelope envelope = full;
    envelope.correlation_id = "a\"b\\c\n";
    envelope.namespace = "\xff";
    char *text = written(&envelope, "{\"x\\\"y\":\"\\n\"}");
    struct error error = {0};
    struct json *value = json_parse(text, strlen(text), &error, NULL);
    ck_assert_msg(value != NULL, "%s: %s", error.text, text);
    ck_assert_str_eq(json_string_or(json_get(value, "correlation_id"), ""), "a\"b\\c\n");
    ck_assert_str_eq(json_string_or(json_get(json_get(value, "payload"), "x\"y"), ""), "\n");
    ck_assert_str_eq(json_string_or(json_get(json_get(value, "metadata"), "namespace"), ""),
                     "\xef\xbf\xbd");
    ck_assert_uint_eq(json_size(value), 16);
    json_release(value);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("envelope");
    TCase *tests = tcase_create("envelope");
    tcase_add_test(tests, all_members);
    tcase_add_test(tests, what_is_not_known_is_null);
    tcase_add_test(tests, a_payload_keeps_its_own_node_and_time);
    tcase_add_test(tests, texts_are_escaped);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
