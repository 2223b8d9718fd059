/* SPDX-License-Identifier: MIT */
/* contracts_test.c - runs the *.test.yaml files that lie beside contracts: inputs, mocks and what is
 * expected, each case on a virtual clock of its own. docs/states-language.md describes the file. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/instant.h"
#include "contracts_run.h"
#include "core/source_map.h"

#define DIFFERENCES_MAX 20       /* told of one case */
#define DIFFERENCE_BYTES_MAX 300 /* of a value that is shown to people */

/* -- the file -- */

struct test_file {
    const char *path;
    struct source_map *map;
    struct json *document;
    struct contract *contract;
    int64_t start_us;
    struct findings *findings;
};

static void file_finding(struct test_file *file, const char *pointer, const char *text)
{
    finding_add(file->findings, FINDING_ERROR, file->map, pointer, "TEST_BAD_FIELD", "%s", text);
}

enum { MEMBER_NEEDED = 1 };

struct member {
    const char *name;
    const char *type; /* as json_type_name has it; NULL: any */
    int flags;
};

/* Each member of the object must be of the table, and of its type. */
static bool members_check(struct test_file *file, const struct json *object, const char *what,
                          const struct buffer *pointer, const struct member *table)
{
    size_t errors = file->findings->errors;
    struct buffer place = {0};
    if (json_type_of(object) != JSON_OBJECT) {
        buffer_append_format(&place, "%s must be an object", what);
        file_finding(file, buffer_text(pointer), buffer_text(&place));
    }
    for (size_t i = 0; json_type_of(object) == JSON_OBJECT && i < json_size(object); i++) {
        size_t bytes = 0;
        const char *name = json_name_at(object, i, &bytes);
        const struct json *value = json_member_at(object, i);
        const struct member *member = table;
        while (member->name && strcmp(member->name, name) != 0)
            member++;
        buffer_clear(&place);
        buffer_append_text(&place, buffer_text(pointer));
        pointer_append(&place, name, bytes);
        if (!member->name)
            finding_add(file->findings, FINDING_ERROR, file->map, buffer_text(&place),
                        "TEST_UNKNOWN_FIELD", "%s has no field \"%s\"", what, name);
        else if (member->type && strcmp(member->type, json_type_name(value)) != 0)
            finding_add(file->findings, FINDING_ERROR, file->map, buffer_text(&place),
                        "TEST_BAD_FIELD", "%s of %s must be of the type %s, not %s", name, what,
                        member->type, json_type_name(value));
    }
    for (const struct member *member = table; member->name; member++) {
        if ((member->flags & MEMBER_NEEDED) && !json_get(object, member->name))
            finding_add(file->findings, FINDING_ERROR, file->map, buffer_text(pointer),
                        "TEST_MISSING_FIELD", "%s needs the field %s", what, member->name);
    }
    buffer_fini(&place);
    return file->findings->errors == errors;
}

static const struct member file_members[] = {{"contract", "string", 0},
                                             {"start_time", "string", 0},
                                             {"cases", "array", MEMBER_NEEDED},
                                             {.name = NULL}};
static const struct member case_members[] = {{"name", "string", MEMBER_NEEDED},
                                             {"comment", "string", 0},
                                             {"input", NULL, 0},
                                             {"mocks", "array", 0},
                                             {"expect", "object", MEMBER_NEEDED},
                                             {.name = NULL}};
static const struct member expect_members[] = {
    {"status", "string", 0},         {"output", NULL, 0},
    {"output_contains", NULL, 0},    {"error", "string", 0},
    {"cause", "string", 0},          {"states", "array", 0},
    {"seconds", "number", 0},        {"mocks_left", "number", 0},
    {"input_invalid", "boolean", 0}, {.name = NULL}};

static void expect_check(struct test_file *file, const struct json *expect, struct buffer *pointer)
{
    static const char *const statuses[] = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"};
    size_t bytes = pointer->bytes;
    pointer_append(pointer, "expect", strlen("expect"));
    if (members_check(file, expect, "expect", pointer, expect_members)) {
        const char *status = json_string_or(json_get(expect, "status"), statuses[0]);
        size_t i = 0;
        while (i < sizeof statuses / sizeof *statuses && strcmp(statuses[i], status) != 0)
            i++;
        if (i == sizeof statuses / sizeof *statuses)
            file_finding(file, buffer_text(pointer),
                         "status is SUCCEEDED, FAILED, TIMED_OUT or ABORTED");
        if (json_size(expect) == 0)
            file_finding(file, buffer_text(pointer), "expect says nothing");
        if (json_is_true(json_get(expect, "input_invalid")) && json_size(expect) > 1)
            file_finding(file, buffer_text(pointer),
                         "an input that is invalid starts nothing: expect can say nothing else");
    }
    pointer_cut(pointer, bytes);
}

static void case_check(struct test_file *file, const struct json *test, struct buffer *pointer)
{
    if (!members_check(file, test, "a case", pointer, case_members))
        return;
    expect_check(file, json_get(test, "expect"), pointer);
    size_t bytes = pointer->bytes;
    pointer_append(pointer, "mocks", strlen("mocks"));
    asl_mocks_check(json_get(test, "mocks"), file->map, buffer_text(pointer), file->findings);
    pointer_cut(pointer, bytes);
}

static void file_check(struct test_file *file)
{
    struct buffer pointer = {0};
    if (members_check(file, file->document, "the test file", &pointer, file_members)) {
        const struct json *cases = json_get(file->document, "cases");
        for (size_t i = 0; i < json_size(cases); i++) {
            buffer_clear(&pointer);
            buffer_append_format(&pointer, "/cases/%zu", i);
            case_check(file, json_at(cases, i), &pointer);
        }
        size_t bytes = 0;
        const char *start = json_string_value(json_get(file->document, "start_time"), &bytes);
        if (start && !instant_parse(start, bytes, &file->start_us))
            file_finding(file, "/start_time", "start_time must be like 2026-01-01T00:00:00Z");
    }
    buffer_fini(&pointer);
}

/* -- the contract beside it -- */

/* The file that is there among the stem's possible names; an empty path when there is none. */
static void stem_find(const char *stem, size_t stem_bytes, const char *const *endings,
                      struct buffer *path)
{
    for (; *endings; endings++) {
        buffer_clear(path);
        buffer_append(path, stem, stem_bytes);
        buffer_append_text(path, *endings);
        if (access(buffer_text(path), F_OK) == 0)
            return;
    }
    buffer_clear(path);
}

static const char *test_mark(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *mark = strstr(slash ? slash : path, ".test.");
    return mark && strchr(mark + strlen(".test."), '.') == NULL ? mark : NULL;
}

static void contract_load(struct test_file *file)
{
    static const char *const endings[] = {".yaml", ".yml", ".json", ".asl.json", NULL};
    const char *named = json_string_or(json_get(file->document, "contract"), NULL);
    const char *slash = strrchr(file->path, '/'), *mark = test_mark(file->path);
    struct buffer path = {0};
    if (named && *named != '/' && slash)
        buffer_append(&path, file->path, (size_t)(slash + 1 - file->path));
    if (named)
        buffer_append_text(&path, named);
    else if (mark)
        stem_find(file->path, (size_t)(mark - file->path), endings, &path);
    if (path.bytes > 0)
        file->contract = mocked_contract_load(buffer_text(&path), file->findings);
    else
        file_finding(file, "",
                     "there is no contract of the same name beside it; name one in the "
                     "field contract");
    buffer_fini(&path);
}

/* -- what differs -- */

struct verdict {
    const struct test_file *file;
    const struct buffer *at;  /* pointer of expect in the file */
    struct json *differences; /* [{pointer, line, expected?, got?}] */
};

/* `pointer` begins at expect; expected or got is NULL where there is none. */
static void differ(struct verdict *verdict, const char *pointer, const struct json *expected,
                   const struct json *got)
{
    if (json_size(verdict->differences) >= DIFFERENCES_MAX)
        return;
    struct buffer place = {0};
    int line = 1, column = 1;
    buffer_append_format(&place, "%s%s", buffer_text(verdict->at), pointer);
    source_map_find(verdict->file->map, buffer_text(&place), &line, &column);
    buffer_fini(&place);
    struct json *difference = json_object();
    json_object_set(difference, "pointer", json_text(pointer));
    json_object_set(difference, "line", json_int(line));
    if (expected)
        json_object_set(difference, "expected", json_hold(expected));
    if (got)
        json_object_set(difference, "got", json_hold(got));
    json_array_append(verdict->differences, difference);
}

static void compare(struct verdict *verdict, struct buffer *pointer, const struct json *expected,
                    const struct json *got, bool subset);

static void compare_objects(struct verdict *verdict, struct buffer *pointer,
                            const struct json *expected, const struct json *got, bool subset)
{
    size_t place = pointer->bytes, bytes = 0;
    for (size_t i = 0; i < json_size(expected); i++) {
        const char *name = json_name_at(expected, i, &bytes);
        pointer_append(pointer, name, bytes);
        compare(verdict, pointer, json_member_at(expected, i), json_get_bytes(got, name, bytes),
                subset);
        pointer_cut(pointer, place);
    }
    for (size_t i = 0; !subset && i < json_size(got); i++) {
        const char *name = json_name_at(got, i, &bytes);
        if (json_get_bytes(expected, name, bytes))
            continue;
        pointer_append(pointer, name, bytes);
        differ(verdict, buffer_text(pointer), NULL, json_member_at(got, i));
        pointer_cut(pointer, place);
    }
}

static void compare_arrays(struct verdict *verdict, struct buffer *pointer,
                           const struct json *expected, const struct json *got, bool subset)
{
    size_t place = pointer->bytes;
    for (size_t i = 0; i < json_size(expected) || i < json_size(got); i++) {
        pointer_append_index(pointer, i);
        compare(verdict, pointer, json_at(expected, i), json_at(got, i), subset);
        pointer_cut(pointer, place);
    }
}

/* A subset has the members of objects that are expected; others may be there too. */
static void compare(struct verdict *verdict, struct buffer *pointer, const struct json *expected,
                    const struct json *got, bool subset)
{
    enum json_type type = json_type_of(expected);
    if (type == JSON_OBJECT && json_type_of(got) == JSON_OBJECT)
        compare_objects(verdict, pointer, expected, got, subset);
    else if (type == JSON_ARRAY && json_type_of(got) == JSON_ARRAY)
        compare_arrays(verdict, pointer, expected, got, subset);
    else if (!expected || !got || !json_equal(expected, got))
        differ(verdict, buffer_text(pointer), expected, got);
}

/* Compares when the expectation is there; `got` is taken over. */
static void compare_field(struct verdict *verdict, const struct json *expect, const char *field,
                          struct json *got)
{
    const struct json *expected = json_get(expect, field);
    struct buffer pointer = {0};
    pointer_append(&pointer, field, strlen(field));
    if (expected)
        compare(verdict, &pointer, expected, got, strcmp(field, "output_contains") == 0);
    buffer_fini(&pointer);
    json_release(got);
}

static struct json *states_entered(const struct json *states)
{
    struct json *names = json_array();
    for (size_t i = 0; i < json_size(states); i++) {
        const struct json *state = json_at(states, i);
        if (json_get(state, "input"))
            json_array_append(names, json_hold(json_get(state, "name")));
    }
    return names;
}

/* SUCCEEDED unless it is given; FAILED where an error is expected. */
static struct json *status_expected(const struct json *expect)
{
    const struct json *status = json_get(expect, "status");
    if (status)
        return json_hold(status);
    bool fails = json_get(expect, "error") || json_get(expect, "cause");
    return json_text(asl_mock_status_name(fails ? ASL_MOCK_FAILED : ASL_MOCK_SUCCEEDED));
}

static void result_compare(struct verdict *verdict, const struct json *expect,
                           const struct asl_mock_result *result,
                           const struct asl_mock_options *options)
{
    struct json *expected = status_expected(expect);
    struct json *status = json_text(asl_mock_status_name(result->status));
    if (!json_equal(expected, status))
        differ(verdict, "/status", expected, status);
    json_release(status);
    json_release(expected);
    compare_field(verdict, expect, "error", json_text(result->error));
    compare_field(verdict, expect, "cause", json_text(result->cause));
    compare_field(verdict, expect, "output", json_hold(result->output));
    compare_field(verdict, expect, "output_contains", json_hold(result->output));
    compare_field(verdict, expect, "states", states_entered(result->states));
    compare_field(verdict, expect, "seconds",
                  json_double((double)(result->end_us - options->start_us) / 1e6));
    size_t left = json_size(options->mocks) - result->mocks_used;
    struct json *mocks_left = json_int((int64_t)left);
    if (json_get(expect, "mocks_left")) {
        compare_field(verdict, expect, "mocks_left", mocks_left);
    } else {
        struct json *none = json_int(0);
        if (left > 0)
            differ(verdict, "/mocks_left", none, mocks_left);
        json_release(none);
        json_release(mocks_left);
    }
}

/* -- one case -- */

static struct json *invalid_input_case(struct verdict *verdict, const struct json *expect,
                                       const struct findings *findings)
{
    struct json *invalid = json_bool(true);
    if (!json_is_true(json_get(expect, "input_invalid")))
        differ(verdict, "/input_invalid", NULL, invalid);
    struct json *got = json_object();
    json_object_set(got, "input_invalid", invalid);
    json_object_set(got, "findings", findings_json(findings));
    return got;
}

/* Fills the differences; gives what the run gave. */
static struct json *case_play(const struct test_file *file, const struct json *test,
                              struct verdict *verdict)
{
    const struct json *expect = json_get(test, "expect"), *input = json_get(test, "input");
    struct json *given = input ? json_hold(input) : json_object(), *got;
    struct findings findings = {0};
    if (input_fits(file->contract, given, NULL, "", &findings)) {
        struct asl_mock_options options = {.input = given,
                                           .mocks = json_get(test, "mocks"),
                                           .name = file->contract->name,
                                           .start_us = file->start_us};
        struct asl_mock_result result;
        mocked_contract_run(file->contract, &options, &result);
        if (json_is_true(json_get(expect, "input_invalid")))
            differ(verdict, "/input_invalid", json_get(expect, "input_invalid"), NULL);
        else
            result_compare(verdict, expect, &result, &options);
        got = result_json(NULL, &result);
        asl_mock_result_fini(&result);
    } else {
        got = invalid_input_case(verdict, expect, &findings);
    }
    findings_fini(&findings);
    json_release(given);
    return got;
}

/* {name, file, line, passed, and when it failed differences, got}. */
static struct json *case_run(const struct test_file *file, size_t index)
{
    const struct json *test = json_at(json_get(file->document, "cases"), index);
    struct buffer at = {0};
    int line = 1, column = 1;
    buffer_append_format(&at, "/cases/%zu", index);
    source_map_find(file->map, buffer_text(&at), &line, &column);
    buffer_append_text(&at, "/expect");
    struct verdict verdict = {file, &at, json_array()};
    struct json *got = case_play(file, test, &verdict);
    bool passed = json_size(verdict.differences) == 0;
    struct json *report = json_object();
    json_object_set(report, "name", json_hold(json_get(test, "name")));
    json_object_set(report, "file", json_text(file->path));
    json_object_set(report, "line", json_int(line));
    json_object_set(report, "passed", json_bool(passed));
    if (!passed) {
        json_object_set(report, "differences", json_hold(verdict.differences));
        json_object_set(report, "got", json_hold(got));
    }
    json_release(got);
    json_release(verdict.differences);
    buffer_fini(&at);
    return report;
}

/* -- all of them -- */

struct tests {
    struct findings findings;
    struct json *cases; /* the reports */
    struct file_row {
        char *path;
        size_t cases, failed;
        bool invalid;
    } * rows; /* one for each file */
    size_t rows_count, failed;
};

static void tests_fini(struct tests *tests)
{
    for (size_t i = 0; i < tests->rows_count; i++)
        free(tests->rows[i].path);
    free(tests->rows);
    json_release(tests->cases);
    findings_fini(&tests->findings);
}

static void row_add(struct tests *tests, struct file_row row)
{
    tests->rows = must_realloc(tests->rows, (tests->rows_count + 1) * sizeof *tests->rows);
    tests->rows[tests->rows_count++] = row;
}

static void file_run(struct tests *tests, const char *path)
{
    struct test_file file = {
        .path = path, .start_us = ASL_MOCK_START_US, .findings = &tests->findings};
    size_t errors = tests->findings.errors, failed = tests->failed, count = 0;
    file.document = document_load(path, &file.map, file.findings);
    if (file.document)
        file_check(&file);
    if (tests->findings.errors == errors)
        contract_load(&file);
    if (tests->findings.errors == errors)
        count = json_size(json_get(file.document, "cases"));
    for (size_t i = 0; i < count; i++) {
        struct json *report = case_run(&file, i);
        tests->failed += !json_is_true(json_get(report, "passed"));
        json_array_append(tests->cases, report);
    }
    row_add(tests, (struct file_row){must_strdup(path), count, tests->failed - failed,
                                     tests->findings.errors > errors});
    contract_free(file.contract);
    json_release(file.document);
    source_map_free(file.map);
}

static void value_print(const char *sign, const struct json *value)
{
    if (!value)
        return;
    char *text = clipped_json(value, DIFFERENCE_BYTES_MAX);
    printf("      %s %s\n", sign, text);
    free(text);
}

static void case_print(const struct json *report)
{
    const char *file = json_string_or(json_get(report, "file"), "");
    char *name = plain_text(json_string_or(json_get(report, "name"), ""));
    printf("%s:%d: FAILED: %s\n", file, (int)json_int_value(json_get(report, "line")), name);
    free(name);
    const struct json *differences = json_get(report, "differences");
    for (size_t i = 0; i < json_size(differences); i++) {
        const struct json *difference = json_at(differences, i);
        char *pointer = plain_text(json_string_or(json_get(difference, "pointer"), ""));
        printf("  %s:%d: %s\n", file, (int)json_int_value(json_get(difference, "line")), pointer);
        free(pointer);
        value_print("-", json_get(difference, "expected"));
        value_print("+", json_get(difference, "got"));
    }
    const struct json *got = json_get(report, "got");
    const struct json *findings = json_get(got, "findings");
    char *error = plain_text(json_string_or(json_get(got, "error"), ""));
    char *cause = plain_text(json_string_or(json_get(got, "cause"), ""));
    if (*error)
        printf("  it ended with %s%s%s\n", error, *cause ? ": " : "", cause);
    free(error);
    free(cause);
    for (size_t i = 0; i < json_size(findings); i++) {
        char *text = plain_text(json_string_or(json_get(json_at(findings, i), "text"), ""));
        printf("  %s\n", text);
        free(text);
    }
}

static void table_of_files(const struct tests *tests, const struct ctl *ctl)
{
    static const char *const head[] = {"FILE", "CASES", "FAILED", "NOTE"};
    struct table table;
    table_start(&table, sizeof head / sizeof *head, head);
    for (size_t i = 0; i < tests->rows_count; i++) {
        const struct file_row *row = &tests->rows[i];
        table_cell(&table, row->path);
        table_cell_int(&table, (int64_t)row->cases);
        table_cell_int(&table, (int64_t)row->failed);
        table_cell(&table, row->invalid ? "invalid" : NULL);
    }
    table_print(&table, ctl);
}

static void tests_print(const struct tests *tests, const struct ctl *ctl)
{
    struct buffer text = {0};
    if (tests->findings.errors > 0) /* warnings alone are for `contracts check` */
        findings_write(&tests->findings, &text);
    fputs(buffer_text(&text), stdout);
    buffer_fini(&text);
    for (size_t i = 0; i < json_size(tests->cases); i++) {
        const struct json *report = json_at(tests->cases, i);
        if (!json_is_true(json_get(report, "passed")))
            case_print(report);
    }
    if (tests->failed > 0 || tests->findings.errors > 0)
        putchar('\n');
    table_of_files(tests, ctl);
    size_t cases = json_size(tests->cases);
    printf("%zu files, %zu cases, %zu passed", tests->rows_count, cases, cases - tests->failed);
    if (tests->failed > 0)
        printf(", %zu failed", tests->failed);
    if (tests->findings.errors > 0)
        printf(", %zu errors in the files", tests->findings.errors);
    putchar('\n');
}

static void tests_print_json(const struct tests *tests)
{
    struct json *object = json_object();
    json_object_set(object, "files", json_int((int64_t)tests->rows_count));
    json_object_set(object, "passed", json_int((int64_t)(json_size(tests->cases) - tests->failed)));
    json_object_set(object, "failed", json_int((int64_t)tests->failed));
    json_object_set(object, "cases", json_hold(tests->cases));
    json_object_set(object, "findings", findings_json(&tests->findings));
    print_json(object);
    json_release(object);
}

/* The tests of a contract that is named: they lie beside it. */
static void contract_tests_run(struct tests *tests, const char *path)
{
    static const char *const endings[] = {".test.yaml", ".test.yml", ".test.json", NULL};
    static const char *const contract_endings[] = {".asl.json", ".json", ".yaml", ".yml"};
    struct buffer found = {0};
    for (size_t i = 0; i < sizeof contract_endings / sizeof *contract_endings; i++) {
        size_t bytes = strlen(path), ending = strlen(contract_endings[i]);
        if (found.bytes == 0 && bytes > ending &&
            strcmp(path + bytes - ending, contract_endings[i]) == 0)
            stem_find(path, bytes - ending, endings, &found);
    }
    if (found.bytes > 0)
        file_run(tests, buffer_text(&found));
    buffer_fini(&found);
}

/* One of the paths that were named; false when it cannot be read or has no tests. */
static bool path_run(struct tests *tests, const char *path)
{
    struct stat status;
    struct documents documents = {0};
    size_t rows = tests->rows_count;
    documents_add(&documents, path); /* tells what cannot be read */
    bool fine = documents.missing == 0;
    if (fine && stat(path, &status) == 0 && !S_ISDIR(status.st_mode) && !test_mark(path)) {
        contract_tests_run(tests, path);
        fine = tests->rows_count > rows;
        if (!fine)
            fprintf(stderr, "bridgectl: there is no test file beside %s\n", path);
    }
    for (size_t i = 0; i < documents.count; i++) {
        if (test_mark(documents.items[i].path))
            file_run(tests, documents.items[i].path);
    }
    documents_fini(&documents);
    return fine;
}

int run_test(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    bool as_json = false;
    struct text_list paths = {0};
    const struct argument table[] = {
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print one JSON object with all cases", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 0, SIZE_MAX, &paths);
    if (outcome != EXIT_GO_ON) {
        text_list_fini(&paths);
        return outcome;
    }
    struct tests tests = {.cases = json_array()};
    bool missing = false;
    if (paths.count == 0)
        text_list_add(&paths, ctl->config->contracts_dir);
    for (size_t i = 0; i < paths.count; i++)
        missing = !path_run(&tests, paths.items[i]) || missing;
    if (tests.rows_count == 0 && !missing)
        outcome = usage_fault(command, "there is no *.test.yaml, *.test.yml or *.test.json file");
    else
        outcome = tests.failed || tests.findings.errors || missing ? EXIT_NO : EXIT_FINE;
    if (as_json && outcome != EXIT_USAGE)
        tests_print_json(&tests);
    if (!as_json && outcome != EXIT_USAGE)
        tests_print(&tests, ctl);
    tests_fini(&tests);
    text_list_fini(&paths);
    return outcome;
}
