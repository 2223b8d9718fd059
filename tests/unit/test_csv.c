/* SPDX-License-Identifier: MIT */
/* Does a line of CSV say what the item says, and never something that a spreadsheet runs? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/csv.h"

static const struct {
    const char *value; /* JSON */
    const char *field;
} cases[] = {
    {"\"plain\"", "plain"},
    {"\"\"", "\"\""},
    {"null", ""},
    {"\"a,b\"", "\"a,b\""},
    {"\"say \\\"so\\\"\"", "\"say \"\"so\"\"\""},
    {"\"two\\r\\nlines\"", "\"two\r\nlines\""},
    {"\" spaces \"", " spaces "},
    {"\"=1+1\"", "'=1+1"},
    {"\"+1\"", "'+1"},
    {"\"-1\"", "'-1"},
    {"\"@sum(a,b)\"", "\"'@sum(a,b)\""},
    {"\"\\tx\"", "'\tx"},
    {"\"\\rx\"", "\"'\rx\""},
    {"\"'quoted\"", "''quoted"},
    {"\"\\u0001x\"", "'\x01x"},
    {"\"\\u001b[m\"", "'\x1b[m"},
    {"\"\x7f\"", "'\x7f"},
    {"\"\xc3\xa9\"", "\xc3\xa9"},
    {"\"a=b\"", "a=b"},
    {"-1.5", "-1.5"},
    {"9007199254740993", "9007199254740993"},
    {"true", "true"},
    {"[1,\"a\"]", "\"[1,\"\"a\"\"]\""},
    {"\"caf\xc3\xa9\"", "caf\xc3\xa9"},
};

static struct json *parse(const char *text)
{
    struct json *value = json_parse(text, strlen(text), NULL, NULL);
    ck_assert_ptr_nonnull(value);
    return value;
}

START_TEST(test_field)
{
    static const struct csv_column column = {"c", NULL, "c"};
    struct buffer text = {0}, expected = {0};
    struct json *item = json_object();
    json_object_set(item, "c", parse(cases[_i].value));
    csv_item(&text, &column, 1, item);
    buffer_append_format(&expected, "%s\r\n", cases[_i].field);
    ck_assert_str_eq(buffer_text(&text), buffer_text(&expected));
    json_release(item);
    buffer_fini(&text);
    buffer_fini(&expected);
}
END_TEST

START_TEST(test_items)
{
    static const struct csv_column columns[] = {
        {"type", NULL, "type"}, {"values.type", "values", "type"}, {"a,b", "values", "n"}};
    struct buffer text = {0};
    struct json *items = parse("[{\"type\":\"t\",\"values\":{\"n\":1,\"type\":\"x\",\"more\":0}},"
                               "{\"type\":\"u\"}]");
    csv_items(&text, columns, 3, items);
    ck_assert_str_eq(buffer_text(&text), "type,values.type,\"a,b\"\r\nt,x,1\r\nu,,\r\n");
    json_release(items);
    buffer_fini(&text);
}
END_TEST

START_TEST(test_columns_of_values)
{
    struct csv_columns columns = {0};
    struct buffer text = {0};
    csv_columns_add(&columns, "type", NULL, "type");
    csv_columns_add_value(&columns, "n");
    csv_columns_add_value(&columns, "type");
    csv_columns_add_value(&columns, "values"); /* not a column of the row */
    csv_columns_add_value(&columns, "n");
    csv_head(&text, columns.items, columns.count);
    ck_assert_str_eq(buffer_text(&text), "type,n,values.type,values\r\n");
    csv_columns_fini(&columns);
    buffer_fini(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("csv");
    TCase *fields = tcase_create("fields");
    tcase_add_loop_test(fields, test_field, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(fields, test_items);
    tcase_add_test(fields, test_columns_of_values);
    suite_add_tcase(suite, fields);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
