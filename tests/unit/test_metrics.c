/* SPDX-License-Identifier: MIT */
/* Do the series exist at zero, move, and come out as Prometheus reads them? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"

static char *written(void)
{
    struct buffer out = {0};
    metrics_write(&out);
    return buffer_take(&out);
}

/* The text contains this whole line. */
static bool has_line(const char *text, const char *line)
{
    size_t bytes = strlen(line);
    for (const char *p = text; (p = strstr(p, line)) != NULL; p++)
        if ((p == text || p[-1] == '\n') && p[bytes] == '\n')
            return true;
    return false;
}

static void expect_line(const char *line)
{
    char *text = written();
    ck_assert_msg(has_line(text, line), "no line \"%s\" in\n%s", line, text);
    free(text);
}

static void setup(void) { metrics_init(FOR_ORCHESTRATOR); }

START_TEST(all_series_exist_at_zero)
{
    expect_line("# TYPE workflow_orchestration_total counter");
    expect_line("workflow_orchestration_total{result=\"completed\"} 0");
    expect_line("workflow_orchestration_total{result=\"cancelled\"} 0");
    expect_line("workflow_queue_size 0");
    expect_line("workflow_orchestration_duration_ms_bucket{result=\"failed\",le=\"1\"} 0");
    expect_line("workflow_orchestration_duration_ms_bucket{result=\"failed\",le=\"+Inf\"} 0");
    expect_line("workflow_orchestration_duration_ms_sum{result=\"failed\"} 0");
    expect_line("workflow_orchestration_duration_ms_count{result=\"failed\"} 0");
}
END_TEST

START_TEST(series_of_other_programs_are_absent)
{
    char *text = written();
    ck_assert_ptr_null(strstr(text, "reducer_windows_open"));
    ck_assert_ptr_null(strstr(text, "stamping_stamps_total"));
    free(text);
    metrics_add(METRIC_STAMPS, 0, 0, 5); /* not ours: counts nothing, breaks nothing */
    ck_assert_double_eq(metrics_read(METRIC_STAMPS, 0, 0), 0);
}
END_TEST

START_TEST(counters_and_gauges_move)
{
    metrics_add(METRIC_WORKFLOW_TOTAL, 1, 0, 3);
    metrics_add(METRIC_WORKFLOW_TOTAL, 1, 0, 2);
    metrics_gauge_set(METRIC_WORKFLOW_QUEUE, 0, 0, 7);
    metrics_gauge_add(METRIC_WORKFLOW_QUEUE, 0, 0, -2.5);
    expect_line("workflow_orchestration_total{result=\"completed\"} 0");
    expect_line("workflow_orchestration_total{result=\"failed\"} 5");
    expect_line("workflow_queue_size 4.5");
    ck_assert_double_eq(metrics_read(METRIC_WORKFLOW_TOTAL, 1, 0), 5);
    ck_assert_double_eq(metrics_read(METRIC_WORKFLOW_QUEUE, 0, 0), 4.5);
}
END_TEST

/* Buckets are cumulative, a bound belongs to its bucket, and +Inf equals _count. */
START_TEST(histograms_are_cumulative)
{
    const double values[] = {1, 1.5, 10, 700000};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        metrics_observe(METRIC_WORKFLOW_DURATION, 0, 0, values[i]);
    expect_line("workflow_orchestration_duration_ms_bucket{result=\"completed\",le=\"1\"} 1");
    expect_line("workflow_orchestration_duration_ms_bucket{result=\"completed\",le=\"2\"} 2");
    expect_line("workflow_orchestration_duration_ms_bucket{result=\"completed\",le=\"5\"} 2");
    expect_line("workflow_orchestration_duration_ms_bucket{result=\"completed\",le=\"10\"} 3");
    expect_line("workflow_orchestration_duration_ms_bucket{result=\"completed\",le=\"600000\"} 3");
    expect_line("workflow_orchestration_duration_ms_bucket{result=\"completed\",le=\"+Inf\"} 4");
    expect_line("workflow_orchestration_duration_ms_count{result=\"completed\"} 4");
    expect_line("workflow_orchestration_duration_ms_sum{result=\"completed\"} 700012.5");
    expect_line("workflow_orchestration_duration_ms_count{result=\"failed\"} 0");
}
END_TEST

START_TEST(label_values_given_at_start)
{
    const char *const routes[] = {"/a", "/b\"quoted\\\n"};
    metrics_label_values(METRIC_HTTP_REQUESTS, 0, routes, 2);
    metrics_add(METRIC_HTTP_REQUESTS, 0, 0, 1);
    metrics_add(METRIC_HTTP_REQUESTS, 1, 3, 2);
    metrics_add(METRIC_HTTP_REQUESTS, 99, 0, 4); /* past the end: the last one, "other" */
    expect_line("http_requests_total{route=\"/a\",status=\"2xx\"} 1");
    expect_line("http_requests_total{route=\"/b\\\"quoted\\\\\\n\",status=\"5xx\"} 2");
    expect_line("http_requests_total{route=\"other\",status=\"2xx\"} 4");
    expect_line("http_requests_total{route=\"other\",status=\"4xx\"} 0");
}
END_TEST

START_TEST(label_values_are_bounded)
{
    const char *values[METRIC_LABEL_VALUES_MAX + 10];
    for (int i = 0; i < METRIC_LABEL_VALUES_MAX + 10; i++)
        values[i] = i == METRIC_LABEL_VALUES_MAX - 2   ? "last"
                    : i == METRIC_LABEL_VALUES_MAX - 1 ? "one_too_many"
                                                       : "x";
    metrics_label_values(METRIC_HTTP_REQUESTS, 0, values, METRIC_LABEL_VALUES_MAX + 10);
    metrics_add(METRIC_HTTP_REQUESTS, METRIC_LABEL_VALUES_MAX + 5, 0, 1);
    char *text = written();
    ck_assert_ptr_nonnull(strstr(text, "route=\"last\""));
    ck_assert_ptr_null(strstr(text, "one_too_many"));
    ck_assert(has_line(text, "http_requests_total{route=\"other\",status=\"2xx\"} 1"));
    free(text);
}
END_TEST

/* Every line is "# HELP", "# TYPE" or "name{...} number", HELP and TYPE come once before their samples. */
START_TEST(the_text_is_exposition_format)
{
    char *text = written();
    ck_assert_ptr_null(strstr(text, "\n\n"));
    const char *family = "";
    size_t family_bytes = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "# HELP ", 7) == 0 || strncmp(line, "# TYPE ", 7) == 0) {
            family = line + 7;
            family_bytes = strcspn(family, " ");
            ck_assert(family[family_bytes] == ' ' && family[family_bytes + 1] != '\0');
            continue;
        }
        ck_assert_msg(strncmp(line, family, family_bytes) == 0, "%s is not of %.*s", line,
                      (int)family_bytes, family);
        char *number = strrchr(line, ' ');
        char *end = NULL;
        ck_assert_ptr_nonnull(number);
        strtod(number + 1, &end);
        ck_assert_msg(end != number + 1 && *end == '\0', "%s", line);
    }
    free(text);
}
END_TEST

START_TEST(the_document_names_every_metric)
{
    struct buffer out = {0};
    metrics_markdown(&out);
    ck_assert_ptr_nonnull(
        strstr(buffer_text(&out), "| `workflow_orchestration_total` | counter | result |"));
    ck_assert_ptr_nonnull(
        strstr(buffer_text(&out), "| `http_requests_total` | counter | route, status |"));
    ck_assert_ptr_nonnull(strstr(buffer_text(&out), "| `aggregation_duration_ms` | histogram |"));
    buffer_fini(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tests = tcase_create("metrics");
    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, all_series_exist_at_zero);
    tcase_add_test(tests, series_of_other_programs_are_absent);
    tcase_add_test(tests, counters_and_gauges_move);
    tcase_add_test(tests, histograms_are_cumulative);
    tcase_add_test(tests, label_values_given_at_start);
    tcase_add_test(tests, label_values_are_bounded);
    tcase_add_test(tests, the_text_is_exposition_format);
    tcase_add_test(tests, the_document_names_every_metric);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
