/* SPDX-License-Identifier: MIT */
/* jsonpath_table.h - what a path finds in a document, as rows of a table. */
#ifndef TESTS_UNIT_JSONPATH_TABLE_H
#define TESTS_UNIT_JSONPATH_TABLE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/jsonpath.h"

struct table_row {
    const char *path, *found; /* NULL: nothing */
};

#define ROWS(table) ((int)(sizeof(table) / sizeof *(table)))

static inline struct json *table_parse(const char *text)
{
    struct json *value = json_parse(text, strlen(text), NULL, NULL);
    ck_assert_msg(value != NULL, "%s", text);
    return value;
}

static inline struct jsonpath *table_compile(const char *text)
{
    struct error error = {0};
    struct jsonpath *path = jsonpath_compile(text, strlen(text), &error);
    ck_assert_msg(path != NULL, "%s", error.text);
    return path;
}

static inline void table_check(const char *document, const struct table_row *row)
{
    struct jsonpath *path = table_compile(row->path);
    struct json *root = table_parse(document);
    bool too_much = true;
    struct json *found = jsonpath_find(path, root, &too_much);
    char *text = found ? json_to_text(found) : NULL;
    ck_assert_msg(!too_much, "%s", row->path);
    if (row->found)
        ck_assert_msg(text && strcmp(text, row->found) == 0, "%s: %s", row->path,
                      text ? text : "nothing");
    else
        ck_assert_msg(!text, "%s: %s", row->path, text);
    free(text);
    json_release(found);
    json_release(root);
    jsonpath_free(path);
}

static inline int table_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
