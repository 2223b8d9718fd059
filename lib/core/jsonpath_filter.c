/* SPDX-License-Identifier: MIT */
/* Filters: any := all {"||" all}; all := one {"&&" one}; one := "!" one | "(" any ")" | operand
 * [relation operand]. Tests in a row become one list, so that only nesting recurses. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "core/identifier.h"
#include "core/jsonpath_internal.h"

static const struct {
    const char *text;
    enum filter_relation relation;
} relations[] = {{"==", EQUAL}, {"!=", NOT_EQUAL}, {"<=", LESS_OR_EQUAL}, {">=", GREATER_OR_EQUAL},
                 {"<", LESS},   {">", GREATER}};

static bool take_text(struct path_reader *reader, const char *text)
{
    size_t bytes = strlen(text);
    bool is = (size_t)(reader->end - reader->at) >= bytes && memcmp(reader->at, text, bytes) == 0;
    reader->at += is ? bytes : 0;
    return is;
}

static void operand_fini(struct filter_operand *operand)
{
    json_release(operand->constant);
    parts_fini(&operand->parts);
}

void filter_free(struct filter_test *test)
{
    if (!test)
        return;
    for (size_t i = 0; i < test->count; i++)
        filter_free(test->tests[i]);
    free(test->tests);
    operand_fini(&test->left);
    operand_fini(&test->right);
    free(test);
}

static struct filter_test *test_new(enum filter_test_type type)
{
    struct filter_test *test = must_calloc(1, sizeof *test);
    test->type = type;
    return test;
}

static void test_add(struct filter_test *list, struct filter_test *test)
{
    list->tests = must_realloc(list->tests, (list->count + 1) * sizeof(struct filter_test *));
    list->tests[list->count++] = test;
}

/* -- operands -- */

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-' || c == '+' || c == '.' || ((unsigned char)c & 0x80);
}

/* A number, true, false, null, or a bare word, which is a text. */
static bool read_word(struct path_reader *reader, struct json **constant)
{
    const char *start = reader->at;
    while (reader->at < reader->end && is_word(*reader->at))
        reader->at++;
    size_t bytes = (size_t)(reader->at - start);
    if (bytes == 0)
        return path_refuse(reader, "lacks a path (@ or $) or a constant (a number, a quoted text, "
                                   "true, false, null) in its filter");
    *constant = json_parse(start, bytes, NULL, NULL);
    if (*constant)
        return true;
    reader->at = start;
    if (strchr("+-.0123456789", *start))
        return path_refuse(reader, "has a number that JSON does not know");
    reader->at = start + bytes;
    if (path_next_is(reader, '('))
        return path_refuse(reader, "calls a function, which paths do not have,");
    *constant = json_string(start, bytes);
    return true;
}

static bool read_operand(struct path_reader *reader, struct filter_operand *operand)
{
    path_skip_spaces(reader);
    if (path_next_is(reader, '@') || path_next_is(reader, '$')) {
        operand->from_root = *reader->at++ == '$';
        size_t left = (size_t)(reader->end - reader->at);
        if (operand->from_root &&
            (path_next_is(reader, '$') || identifier_bytes(reader->at, left, NULL)))
            return path_refuse(reader, "looks into the context object or a variable from a filter; "
                                       "only @ and $ can");
        return path_read_parts(reader, true, &operand->parts);
    }
    if (!path_next_is(reader, '\'') && !path_next_is(reader, '"'))
        return read_word(reader, &operand->constant);
    struct buffer text = {0};
    bool fine = path_read_quoted(reader, &text);
    if (fine)
        operand->constant = json_string(buffer_text(&text), text.bytes);
    buffer_fini(&text);
    return fine;
}

/* -- tests -- */

static bool read_relation(struct path_reader *reader, struct filter_test *test, bool *found)
{
    path_skip_spaces(reader);
    *found = false;
    if (reader->end - reader->at >= 2 && memcmp(reader->at, "=~", 2) == 0)
        return path_refuse(reader, "has a regular expression, which paths do not have,");
    for (size_t i = 0; !*found && i < sizeof relations / sizeof *relations; i++) {
        *found = take_text(reader, relations[i].text);
        test->relation = relations[i].relation;
    }
    if (*found && reader->at < reader->end && strchr("=<>~", *reader->at) && *reader->at)
        reader->at--;
    else if (*found || reader->at == reader->end || path_next_is(reader, ')') ||
             path_next_is(reader, ']') || path_next_is(reader, '&') || path_next_is(reader, '|'))
        return true;
    return path_refuse(reader, "lacks an operator that is known: == != < <= > >= && || or )");
}

static bool compares_one(const struct filter_operand *operand)
{
    return operand->constant || operand->parts.single;
}

/* A comparison, or whether a path finds something. */
static bool read_comparison(struct path_reader *reader, struct filter_test *test)
{
    bool compared = false;
    if (!read_operand(reader, &test->left) || !read_relation(reader, test, &compared))
        return false;
    if (!compared) {
        test->type = TEST_EXISTS;
        return !test->left.constant ||
               path_refuse(reader, "has a constant that is compared with nothing");
    }
    if (!read_operand(reader, &test->right))
        return false;
    return (compares_one(&test->left) && compares_one(&test->right)) ||
           path_refuse(reader, "compares a path that can find several values (only names and "
                               "indexes can be compared)");
}

static struct filter_test *read_group(struct path_reader *reader)
{
    reader->at++;
    struct filter_test *test = filter_read(reader);
    if (test && !path_next_is(reader, ')')) {
        path_refuse(reader, "lacks the ) of its filter");
        filter_free(test);
        return NULL;
    }
    reader->at += test != NULL;
    return test;
}

static struct filter_test *read_one(struct path_reader *reader);

static struct filter_test *read_not(struct path_reader *reader)
{
    reader->at++;
    path_skip_spaces(reader);
    bool grouped = path_next_is(reader, '(');
    struct filter_test *inner = read_one(reader);
    if (inner && inner->type == TEST_COMPARISON && !grouped) {
        path_refuse(reader, "has a ! before a comparison, which needs parentheses: !(... == ...),");
        filter_free(inner);
        return NULL;
    }
    if (!inner)
        return NULL;
    struct filter_test *test = test_new(TEST_NOT);
    test_add(test, inner);
    return test;
}

static struct filter_test *read_one(struct path_reader *reader)
{
    path_skip_spaces(reader);
    struct filter_test *test = NULL;
    if (++reader->nesting > JSONPATH_FILTER_NESTING_MAX) {
        path_refuse(reader, "has a filter nested more than %d deep", JSONPATH_FILTER_NESTING_MAX);
    } else if (path_next_is(reader, '(')) {
        test = read_group(reader);
    } else if (path_next_is(reader, '!')) {
        test = read_not(reader);
    } else {
        test = test_new(TEST_COMPARISON);
        if (!read_comparison(reader, test)) {
            filter_free(test);
            test = NULL;
        }
    }
    reader->nesting--;
    path_skip_spaces(reader);
    return test;
}

/* What `read` reads, once or several times with `between` between them. */
static struct filter_test *read_list(struct path_reader *reader, enum filter_test_type type,
                                     const char *between,
                                     struct filter_test *(*read)(struct path_reader *))
{
    struct filter_test *first = read(reader);
    if (!first || !take_text(reader, between))
        return first;
    struct filter_test *list = test_new(type);
    test_add(list, first);
    do {
        struct filter_test *next = read(reader);
        if (!next) {
            filter_free(list);
            return NULL;
        }
        test_add(list, next);
    } while (take_text(reader, between));
    return list;
}

static struct filter_test *read_all(struct path_reader *reader)
{
    return read_list(reader, TEST_ALL_OF, "&&", read_one);
}

struct filter_test *filter_read(struct path_reader *reader)
{
    return read_list(reader, TEST_ANY_OF, "||", read_all);
}
