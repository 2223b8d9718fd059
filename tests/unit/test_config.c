/* SPDX-License-Identifier: MIT */
/* Is the option table right, and are its rules? */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"

/* A table of variables in place of the environment: name, value, ..., NULL. */
static const char *lookup(const char *name, void *context)
{
    const char *const *variables = context;
    for (int i = 0; variables[i] != NULL; i += 2)
        if (strcmp(variables[i], name) == 0)
            return variables[i + 1];
    return NULL;
}

static int load(struct config *config, unsigned program, const char **variables,
                struct buffer *faults)
{
    return config_load(config, program, lookup, (void *)variables, faults);
}

/* Loads, expects one fault line that contains each of the given texts. */
static void expect_fault(unsigned program, const char **variables, const char *name,
                         const char *allowed)
{
    struct config config;
    struct buffer faults = {0};
    ck_assert_int_eq(load(&config, program, variables, &faults), 1);
    ck_assert_msg(strstr(buffer_text(&faults), name) != NULL, "%s", buffer_text(&faults));
    ck_assert_msg(strstr(buffer_text(&faults), allowed) != NULL, "%s", buffer_text(&faults));
    ck_assert_ptr_eq(strchr(buffer_text(&faults), '\n'), buffer_text(&faults) + faults.bytes - 1);
    buffer_fini(&faults);
    config_fini(&config);
}

START_TEST(defaults_are_legal_for_every_program)
{
    const char *none[] = {NULL};
    for (unsigned program = 1; program <= FOR_ALL; program <<= 1) {
        struct config config;
        struct buffer faults = {0};
        ck_assert_int_eq(load(&config, program, none, &faults), 0);
        ck_assert_str_eq(buffer_text(&faults), "");
        config_fini(&config);
        buffer_fini(&faults);
    }
}
END_TEST

/* A default outside its own range would be skipped in silence: feed each one in as a value. */
START_TEST(each_default_passes_its_own_check)
{
    for (int i = 0; i < config_options_count; i++) {
        const struct config_option *option = &config_options[i];
        const char *variables[] = {option->name, option->value, NULL};
        struct config config;
        struct buffer faults = {0};
        for (unsigned program = 1; program <= FOR_ALL; program <<= 1) {
            ck_assert_msg(load(&config, program, variables, &faults) == 0, "%s",
                          buffer_text(&faults));
            config_fini(&config);
        }
        buffer_fini(&faults);
    }
}
END_TEST

START_TEST(every_option_is_described_once)
{
    for (int i = 0; i < config_options_count; i++) {
        const struct config_option *option = &config_options[i];
        size_t bytes = strlen(option->prose);
        ck_assert_msg(bytes > 5 && option->prose[bytes - 1] == '.', "%s: %s", option->name,
                      option->prose);
        ck_assert_uint_ne(option->programs & FOR_ALL, 0);
        ck_assert(option->type != CONFIG_INT ||
                  (option->min <= option->max && option->unit[0] != '\0'));
        for (int other = 0; other < i; other++)
            ck_assert_str_ne(option->name, config_options[other].name);
    }
}
END_TEST

START_TEST(defaults_are_those_of_the_table)
{
    const char *none[] = {NULL};
    struct config config;
    struct buffer faults = {0};
    ck_assert_int_eq(load(&config, FOR_ORCHESTRATOR, none, &faults), 0);
    ck_assert_int_eq(config.orchestrator_port, 8060);
    ck_assert_int_eq(config.max_workflow_queue_size, 1000);
    ck_assert_str_eq(config.kafka_workflow_topic, "dev.omninode_bridge.onex.workflows.v1");
    ck_assert(!config.api_key_required);
    config_fini(&config);
}
END_TEST

START_TEST(values_are_taken)
{
    const char *variables[] = {"ORCHESTRATOR_PORT",
                               "0",
                               "ENVIRONMENT",
                               "staging",
                               "API_KEY",
                               "k1,k2",
                               "METADATA_STAMPING_SERVICE_URL",
                               "http://stamp:1/",
                               "REQUIRE_HTTPS",
                               "yes",
                               NULL};
    struct config config;
    struct buffer faults = {0};
    ck_assert_int_eq(load(&config, FOR_ORCHESTRATOR, variables, &faults), 0);
    ck_assert_int_eq(config.orchestrator_port, 0);
    ck_assert_str_eq(config.metadata_stamping_service_url,
                     "http://stamp:1"); /* no slash at the end */
    ck_assert(config.require_https);
    ck_assert(config.api_key_required); /* auto, outside development */
    ck_assert_str_eq(config_topic_environment(&config), "staging");
    ck_assert_str_eq(config.kafka_workflow_topic, "staging.omninode_bridge.onex.workflows.v1");
    config_fini(&config);
}
END_TEST

START_TEST(an_empty_value_is_unset)
{
    const char *variables[] = {"REDUCER_PORT", "", "LOG_LEVEL", "", NULL};
    struct config config;
    struct buffer faults = {0};
    ck_assert_int_eq(load(&config, FOR_REDUCER, variables, &faults), 0);
    ck_assert_int_eq(config.reducer_port, 8061);
    ck_assert_str_eq(config.log_level, "info");
    config_fini(&config);
}
END_TEST

START_TEST(bad_values_name_variable_value_and_range)
{
    expect_fault(FOR_ORCHESTRATOR, (const char *[]){"ORCHESTRATOR_PORT", "65536", NULL},
                 "ORCHESTRATOR_PORT=65536", "0 to 65535");
    expect_fault(FOR_ORCHESTRATOR, (const char *[]){"ORCHESTRATOR_PORT", "-1", NULL},
                 "ORCHESTRATOR_PORT=-1", "0 to 65535");
    expect_fault(FOR_ORCHESTRATOR, (const char *[]){"ORCHESTRATOR_PORT", "80x", NULL},
                 "ORCHESTRATOR_PORT=80x", "whole number");
    expect_fault(FOR_ORCHESTRATOR,
                 (const char *[]){"ORCHESTRATOR_WORKERS", "99999999999999999999", NULL},
                 "ORCHESTRATOR_WORKERS=", "1 to 64 (threads)");
    expect_fault(FOR_ORCHESTRATOR, (const char *[]){"LOG_LEVEL", "verbose", NULL},
                 "LOG_LEVEL=verbose", "debug|info|warning|error");
    expect_fault(FOR_ORCHESTRATOR, (const char *[]){"LOG_LEVEL", "inf", NULL}, "LOG_LEVEL=inf",
                 "one of");
    expect_fault(FOR_ORCHESTRATOR, (const char *[]){"REQUIRE_HTTPS", "maybe", NULL},
                 "REQUIRE_HTTPS=maybe", "true or false");
    expect_fault(FOR_ORCHESTRATOR, (const char *[]){"ONEXTREE_SERVICE_URL", "onextree:8080", NULL},
                 "ONEXTREE_SERVICE_URL=onextree:8080", "URL");
}
END_TEST

START_TEST(all_faults_are_told_at_once)
{
    const char *variables[] = {"ORCHESTRATOR_PORT", "x", "LOG_LEVEL", "x", "LEASE_MS", "1", NULL};
    struct config config;
    struct buffer faults = {0};
    ck_assert_int_eq(load(&config, FOR_ORCHESTRATOR, variables, &faults), 3);
    ck_assert_ptr_nonnull(strstr(buffer_text(&faults), "ORCHESTRATOR_PORT=x"));
    ck_assert_ptr_nonnull(strstr(buffer_text(&faults), "LOG_LEVEL=x"));
    ck_assert_ptr_nonnull(strstr(buffer_text(&faults), "LEASE_MS=1"));
    buffer_fini(&faults);
    config_fini(&config);
}
END_TEST

START_TEST(variables_of_other_programs_do_not_matter)
{
    const char *variables[] = {"REDUCER_PORT", "nonsense", NULL};
    struct config config;
    struct buffer faults = {0};
    ck_assert_int_eq(load(&config, FOR_ORCHESTRATOR, variables, &faults), 0);
    config_fini(&config);
}
END_TEST

START_TEST(a_file_wins_and_loses_its_line_end)
{
    char path[] = "/tmp/test_config_XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(write(descriptor, "from the file\r\n", 15), 15);
    close(descriptor);
    const char *variables[] = {"POSTGRES_PASSWORD", "from the variable", "POSTGRES_PASSWORD_FILE",
                               path, NULL};
    struct config config;
    struct buffer faults = {0};
    ck_assert_int_eq(load(&config, FOR_REDUCER, variables, &faults), 0);
    ck_assert_str_eq(config.postgres_password, "from the file");
    config_fini(&config);
    unlink(path);
    expect_fault(FOR_REDUCER, variables, "POSTGRES_PASSWORD_FILE", path);
}
END_TEST

START_TEST(secrets_are_never_printed)
{
    const char *variables[] = {"ENVIRONMENT",       "production", "API_KEY", "hunter2",
                               "POSTGRES_PASSWORD", "changeme",   NULL};
    struct config config;
    struct buffer faults = {0};
    ck_assert_int_eq(load(&config, FOR_ORCHESTRATOR, variables, &faults), 2);
    ck_assert_ptr_null(strstr(buffer_text(&faults), "hunter2"));
    ck_assert_ptr_null(strstr(buffer_text(&faults), "changeme"));
    ck_assert_ptr_nonnull(strstr(buffer_text(&faults), "API_KEY"));
    ck_assert_ptr_nonnull(strstr(buffer_text(&faults), "POSTGRES_PASSWORD"));
    buffer_fini(&faults);
    config_fini(&config);
}
END_TEST

START_TEST(production_insists_on_secrets)
{
    expect_fault(
        FOR_ORCHESTRATOR,
        (const char *[]){"ENVIRONMENT", "production", "DATABASE_URL", "postgres://x", NULL},
        "API_KEY", "must be set");
    expect_fault(FOR_ORCHESTRATOR, (const char *[]){"ENVIRONMENT", "staging", NULL}, "API_KEY",
                 "must be set");
    expect_fault(FOR_ORCHESTRATOR,
                 (const char *[]){"ENVIRONMENT", "staging", "API_KEY_REQUIRED", "false", NULL},
                 "API_KEY_REQUIRED", "development");
    expect_fault(
        FOR_ORCHESTRATOR,
        (const char *[]){"ENVIRONMENT", "production", "API_KEY", "0123456789abcdef0", NULL},
        "POSTGRES_PASSWORD", "must be set");
}
END_TEST

/* The engine's table of keys counts on it. */
START_TEST(the_default_namespace_has_a_longest)
{
    char longest[257];
    memset(longest, 'n', sizeof longest);
    longest[256] = '\0';
    const char *variables[] = {"DEFAULT_NAMESPACE", longest, NULL};
    expect_fault(FOR_ORCHESTRATOR, variables, "DEFAULT_NAMESPACE", "1 to 255 bytes");
    longest[255] = '\0';
    struct config config;
    struct buffer faults = {0};
    ck_assert_int_eq(load(&config, FOR_ORCHESTRATOR, variables, &faults), 0);
    config_fini(&config);
    buffer_fini(&faults);
}
END_TEST

START_TEST(the_pool_bounds_fit_each_other)
{
    expect_fault(FOR_REDUCER, (const char *[]){"POSTGRES_POOL_MIN_SIZE", "11", NULL},
                 "POSTGRES_POOL_MIN_SIZE", "larger");
}
END_TEST

START_TEST(the_database_url_is_quoted)
{
    const char *variables[] = {
        "POSTGRES_HOST", "db", "POSTGRES_PASSWORD", "it's \\ here", "POSTGRES_SSL_ENABLED",
        "true",          NULL};
    struct config config;
    struct buffer faults = {0};
    ck_assert_int_eq(load(&config, FOR_STAMPING, variables, &faults), 0);
    char *url = config_database_url(&config);
    ck_assert_str_eq(url, "host='db' port='5432' dbname='omninode_bridge' user='postgres' "
                          "password='it\\'s \\\\ here' sslmode='require'");
    free(url);
    config_fini(&config);
    const char *direct[] = {"DATABASE_URL", "postgresql://u@h/d", "POSTGRES_HOST", "elsewhere",
                            NULL};
    ck_assert_int_eq(load(&config, FOR_STAMPING, direct, &faults), 0);
    url = config_database_url(&config);
    ck_assert_str_eq(url, "postgresql://u@h/d");
    free(url);
    config_fini(&config);
}
END_TEST

START_TEST(help_and_documents_show_the_table)
{
    struct buffer help = {0}, example = {0}, markdown = {0};
    config_help(FOR_REDUCER, "bridge-reducer", &help);
    config_env_example(&example);
    config_markdown(&markdown);
    ck_assert_ptr_nonnull(
        strstr(buffer_text(&help), "REDUCER_PORT (0 to 65535 port; default 8061)"));
    ck_assert_ptr_null(strstr(buffer_text(&help), "ORCHESTRATOR_PORT"));
    for (int i = 0; i < config_options_count; i++) {
        ck_assert_ptr_nonnull(strstr(buffer_text(&example), config_options[i].name));
        ck_assert_ptr_nonnull(strstr(buffer_text(&markdown), config_options[i].name));
    }
    ck_assert_ptr_nonnull(strstr(buffer_text(&example), "\nORCHESTRATOR_PORT=8060\n"));
    ck_assert_ptr_nonnull(strstr(buffer_text(&example), "\n# POSTGRES_PASSWORD=\n"));
    buffer_fini(&help);
    buffer_fini(&example);
    buffer_fini(&markdown);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tests = tcase_create("config");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, defaults_are_legal_for_every_program);
    tcase_add_test(tests, each_default_passes_its_own_check);
    tcase_add_test(tests, every_option_is_described_once);
    tcase_add_test(tests, defaults_are_those_of_the_table);
    tcase_add_test(tests, values_are_taken);
    tcase_add_test(tests, an_empty_value_is_unset);
    tcase_add_test(tests, bad_values_name_variable_value_and_range);
    tcase_add_test(tests, all_faults_are_told_at_once);
    tcase_add_test(tests, variables_of_other_programs_do_not_matter);
    tcase_add_test(tests, a_file_wins_and_loses_its_line_end);
    tcase_add_test(tests, secrets_are_never_printed);
    tcase_add_test(tests, production_insists_on_secrets);
    tcase_add_test(tests, the_default_namespace_has_a_longest);
    tcase_add_test(tests, the_pool_bounds_fit_each_other);
    tcase_add_test(tests, the_database_url_is_quoted);
    tcase_add_test(tests, help_and_documents_show_the_table);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
