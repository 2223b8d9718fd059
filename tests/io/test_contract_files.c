/* SPDX-License-Identifier: MIT */
/* Is a directory of contracts loaded in order, with a bad file told and left out? */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "io/contract_files.h"

static const char machine[] = "{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Succeed\"}}}";

static char directory[64];

static void path_to(struct buffer *path, const char *name)
{
    buffer_clear(path);
    buffer_append_format(path, "%s/workflows/%s", directory, name);
}

static void write_file(const char *name, const char *text, size_t bytes)
{
    struct buffer path = {0};
    path_to(&path, name);
    FILE *stream = fopen(buffer_text(&path), "w");
    ck_assert_ptr_nonnull(stream);
    ck_assert_uint_eq(fwrite(text, 1, bytes, stream), bytes);
    ck_assert_int_eq(fclose(stream), 0);
    buffer_fini(&path);
}

static void remove_file(const char *name)
{
    struct buffer path = {0};
    path_to(&path, name);
    ck_assert_int_eq(unlink(buffer_text(&path)), 0);
    buffer_fini(&path);
}

static void setup(void)
{
    strcpy(directory, "/tmp/contract-files-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    struct buffer path = {0};
    path_to(&path, "");
    ck_assert_int_eq(mkdir(buffer_text(&path), 0700), 0);
    buffer_fini(&path);
}

static void teardown(void)
{
    struct buffer path = {0};
    path_to(&path, "");
    ck_assert_int_eq(rmdir(buffer_text(&path)), 0);
    ck_assert_int_eq(rmdir(directory), 0);
    buffer_fini(&path);
}

START_TEST(test_directory)
{
    static const char *const names[] = {"b.asl.json", "a.yaml",      "broken.yml", "notes.txt",
                                        ".c.yaml",    "a.test.yaml", "large.json"};
    static const char head[] = "name: first\nversion: 2.0.0\nstate_machine: ";
    struct buffer yaml = {0};
    buffer_append_format(&yaml, "%s%s\n", head, machine);
    write_file(names[0], machine, strlen(machine));
    write_file(names[1], yaml.data, yaml.bytes);
    write_file(names[2], "a: [", 4);
    write_file(names[3], "no contract", 11);
    write_file(names[4], "a: [", 4);
    write_file(names[5], "a: [", 4);
    char *large = must_alloc(CONTRACT_BYTES_MAX + 1);
    memset(large, ' ', CONTRACT_BYTES_MAX + 1);
    write_file(names[6], large, CONTRACT_BYTES_MAX + 1);
    free(large);

    struct contract_files files = {0};
    struct findings findings = {0};
    struct error error = {0};
    ck_assert_int_eq(contract_files_load(directory, NULL, NULL, &files, &findings, &error), ERR_OK);
    ck_assert_uint_eq(files.count, 4);
    ck_assert_str_eq(files.items[0].contract->name, "first");
    ck_assert_str_eq(files.items[0].contract->version, "2.0.0");
    ck_assert_str_eq(files.items[1].contract->name, "b");
    ck_assert_ptr_nonnull(strstr(files.items[2].path, "/workflows/broken.yml"));
    ck_assert_ptr_null(files.items[2].contract);
    ck_assert_ptr_null(files.items[3].contract);
    ck_assert_uint_eq(findings.count, 2);
    ck_assert_str_eq(findings.items[0].code, "YAML_SYNTAX");
    ck_assert_ptr_nonnull(strstr(findings.items[0].file, "/workflows/broken.yml"));
    ck_assert_str_eq(findings.items[1].code, "CONTRACT_TOO_LARGE");
    contract_files_fini(&files);
    findings_fini(&findings);
    buffer_fini(&yaml);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove_file(names[i]);
}
END_TEST

START_TEST(test_missing)
{
    struct contract_files files = {0};
    struct findings findings = {0};
    struct error error = {0};
    ck_assert_int_eq(contract_files_load("/nowhere", NULL, NULL, &files, &findings, &error),
                     ERR_IO);
    ck_assert_str_eq(error.text,
                     "the contracts directory /nowhere/workflows cannot be read: No such "
                     "file or directory");
    ck_assert_ptr_null(contract_file_load("/nowhere/a.yaml", &findings));
    ck_assert_str_eq(findings.items[0].code, "CONTRACT_UNREADABLE");
    contract_files_fini(&files);
    findings_fini(&findings);
}
END_TEST

/* What is shipped has no finding, not even a warning; run from the top of the tree. */
START_TEST(test_shipped)
{
    struct contract_files files = {0};
    struct findings findings = {0};
    struct buffer told = {0};
    ck_assert_int_eq(contract_files_load("contracts", NULL, NULL, &files, &findings, NULL), ERR_OK);
    findings_write(&findings, &told);
    ck_assert_str_eq(buffer_text(&told), "");
    bool stamping = false;
    for (size_t i = 0; i < files.count; i++)
        stamping = stamping || strcmp(files.items[i].contract->name, "metadata_stamping") == 0;
    ck_assert(stamping);
    contract_files_fini(&files);
    findings_fini(&findings);
    buffer_fini(&told);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract_files");
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_test(files, test_directory);
    tcase_add_test(files, test_missing);
    tcase_add_test(files, test_shipped);
    suite_add_tcase(suite, files);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
