/* SPDX-License-Identifier: MIT */
/* Does the tree find what is in it, and does a context say what it is about? */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onextree/core/intelligence.h"
#include "onextree/core/tree.h"

static struct tree *sample(void)
{
    static const struct {
        const char *path;
        bool is_directory;
        int64_t bytes;
    } entries[] = {
        {"src", true, 0},       {"src/core", true, 0},      {"src/core/a.c", false, 10},
        {"src/a.c", false, 20}, {"src/b.tar.gz", false, 5}, {".gitignore", false, 1},
        {"Makefile", false, 2}, {"notes.", false, 3},
    };
    struct tree *tree = tree_new();
    struct error error;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        ck_assert_int_eq(
            tree_add(tree, entries[i].path, entries[i].is_directory, entries[i].bytes, 0, &error),
            ERR_OK);
    tree_seal(tree);
    return tree;
}

/* "kind: path path" of what a query finds. */
static const char *ask(const struct tree *tree, const char *text, enum tree_query query)
{
    static const char *const names[] = {"extension", "name", "path", "directory", "auto"};
    static char answer[512];
    enum tree_index index;
    size_t first;
    size_t count = tree_query(tree, text, &query, &index, &first);
    snprintf(answer, sizeof answer, "%s:", names[query]);
    for (size_t i = 0; i < count; i++) {
        strcat(answer, " ");
        strcat(answer, tree_at(tree, index, first + i)->path);
    }
    return answer;
}

START_TEST(test_queries)
{
    struct tree *tree = sample();
    ck_assert_str_eq(ask(tree, "c", TREE_QUERY_EXTENSION), "extension: src/core/a.c src/a.c");
    ck_assert_str_eq(ask(tree, ".c", TREE_QUERY_AUTO), "extension: src/core/a.c src/a.c");
    ck_assert_str_eq(ask(tree, ".gz", TREE_QUERY_AUTO), "extension: src/b.tar.gz");
    ck_assert_str_eq(ask(tree, ".gitignore", TREE_QUERY_AUTO), "name: .gitignore");
    ck_assert_str_eq(ask(tree, "a.c", TREE_QUERY_AUTO), "name: src/core/a.c src/a.c");
    ck_assert_str_eq(ask(tree, "src/a.c", TREE_QUERY_AUTO), "path: src/a.c");
    ck_assert_str_eq(ask(tree, "./src/core/", TREE_QUERY_AUTO), "path: src/core");
    ck_assert_str_eq(ask(tree, "src", TREE_QUERY_DIRECTORY),
                     "directory: src/core src/a.c src/b.tar.gz");
    ck_assert_str_eq(ask(tree, "/", TREE_QUERY_DIRECTORY),
                     "directory: src .gitignore Makefile notes.");
    ck_assert_str_eq(ask(tree, "makefile", TREE_QUERY_NAME), "name:");
    ck_assert_str_eq(ask(tree, "a", TREE_QUERY_NAME), "name:");
    tree_free(tree);
}
END_TEST

START_TEST(test_totals_and_types)
{
    struct tree *tree = sample();
    const struct tree_totals *totals = tree_get_totals(tree);
    ck_assert_uint_eq(totals->files, 6);
    ck_assert_uint_eq(totals->directories, 2);
    ck_assert_int_eq(totals->size_bytes, 41);
    ck_assert_uint_eq(totals->index_sizes[TREE_BY_PATH], 8);
    ck_assert_uint_eq(totals->index_sizes[TREE_BY_EXTENSION], 2);
    ck_assert_uint_eq(totals->index_sizes[TREE_BY_NAME], 7);
    ck_assert_uint_eq(totals->index_sizes[TREE_BY_DIRECTORY], 3);
    size_t count;
    const struct tree_type *types = tree_types(tree, &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(types[0].extension, "c");
    ck_assert_uint_eq(types[0].count, 2);
    ck_assert_str_eq(types[1].extension, "gz");
    tree_free(tree);
}
END_TEST

START_TEST(test_empty_tree)
{
    struct tree *tree = tree_new();
    tree_seal(tree);
    ck_assert_str_eq(ask(tree, "x", TREE_QUERY_AUTO), "name:");
    ck_assert_str_eq(ask(tree, ".x", TREE_QUERY_AUTO), "name:");
    tree_free(tree);
}
END_TEST

START_TEST(test_excluded_names)
{
    static const char *const out[] = {".git", "node_modules", "x.pyc",   "a.egg-info",
                                      "dist", "build",        "f~",      "~",
                                      ".tmp", ".x.swp",       "coverage"};
    static const char *const in[] = {".github", "git", "builder", "x.py",       "pyc",
                                     "tmp",     "a~b", "swp",     ".gitignore", "coverage.c"};
    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        ck_assert_msg(tree_is_excluded(out[i]), "%s", out[i]);
    for (size_t i = 0; i < sizeof in / sizeof *in; i++)
        ck_assert_msg(!tree_is_excluded(in[i]), "%s", in[i]);
}
END_TEST

static struct intelligence analyse(const char *context)
{
    struct intelligence found;
    intelligence_analyse(context, strlen(context), true, &found);
    return found;
}

START_TEST(test_rules)
{
    static const struct {
        const char *context;
        const char *type;
        const char *confidence;
        int patterns;
    } rules[] = {
        {"", "content_validation", "0.85", 0},
        {"the latest special forest author therapist", "content_validation", "0.85", 0},
        {"LOGIN page", "security_analysis", "0.90", 2},
        {"user_auth.py", "security_analysis", "0.90", 2},
        {"rest", "api_analysis", "0.88", 2},
        {"security of an endpoint", "api_analysis", "0.88", 4},
        {"a test", "test_analysis", "0.85", 2},
        {"test the api", "test_analysis", "0.88", 4},
        {"schema", "data_analysis", "0.87", 2},
        {"auth api test database", "data_analysis", "0.87", 8},
        {"test test test", "test_analysis", "0.85", 2},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct intelligence found = analyse(rules[i].context);
        ck_assert_str_eq(found.analysis_type, rules[i].type);
        ck_assert_str_eq(found.confidence, rules[i].confidence);
        ck_assert_int_eq(found.patterns_count, rules[i].patterns);
        ck_assert_uint_gt(strlen(found.recommendations), 20);
    }
}
END_TEST

START_TEST(test_no_tree_is_minimal)
{
    struct intelligence found;
    intelligence_analyse("api", 3, false, &found);
    ck_assert_str_eq(found.analysis_type, "minimal");
    ck_assert_str_eq(found.confidence, "0.0");
    ck_assert_int_eq(found.patterns_count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tree");
    TCase *cases = tcase_create("all");
    tcase_add_test(cases, test_queries);
    tcase_add_test(cases, test_totals_and_types);
    tcase_add_test(cases, test_empty_tree);
    tcase_add_test(cases, test_excluded_names);
    tcase_add_test(cases, test_rules);
    tcase_add_test(cases, test_no_tree_is_minimal);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
