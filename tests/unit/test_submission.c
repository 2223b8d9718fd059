/* SPDX-License-Identifier: MIT */
#include "base/limits.h"
#include "orchestrator/core/submission.h"
#include "workflow_story.h"

static struct submission submission;
static struct error error;

static void clear(void)
{
    submission_fini(&submission);
    error = (struct error){0};
}

static enum error_code read_body(const char *body, const char *key)
{
    clear();
    struct json *value = story_json(body);
    enum error_code code = submission_read(&submission, value, key, "default", &error);
    json_release(value);
    return code;
}

static void read_fine(const char *body, const char *key)
{
    enum error_code code = read_body(body, key);
    ck_assert_msg(code == ERR_OK, "%s: %s", error.text, body);
}

static void check_json(const struct json *value, const char *expected)
{
    struct json *wanted = story_json(expected);
    char *text = json_to_text(value);
    ck_assert_msg(json_equal(value, wanted), "%s\nis not\n%s", text, expected);
    free(text);
    json_release(wanted);
}

/* -- two forms -- */

START_TEST(the_general_form)
{
    read_fine("{\"workflow\":\"billing\",\"version\":\"2.1.0\",\"input\":{\"a\":[1]},"
              "\"namespace\":\"docs\",\"correlation_id\":\"c-1\",\"metadata\":{\"m\":1}}",
              NULL);
    ck_assert_str_eq(submission.workflow, "billing");
    ck_assert_str_eq(submission.version, "2.1.0");
    ck_assert_str_eq(submission.namespace, "docs");
    ck_assert_str_eq(submission.correlation_id, "c-1");
    check_json(submission.input, "{\"a\":[1]}");
    check_json(submission.metadata, "{\"m\":1}");
}
END_TEST

START_TEST(what_is_left_out_has_defaults)
{
    read_fine("{\"input\":[1,2],\"version\":null,\"namespace\":null,\"correlation_id\":null,"
              "\"metadata\":null}",
              NULL);
    ck_assert_str_eq(submission.workflow, "metadata_stamping");
    ck_assert_ptr_null(submission.version);
    ck_assert_str_eq(submission.namespace, "default");
    ck_assert_ptr_null(submission.correlation_id);
    ck_assert_ptr_null(submission.key);
    ck_assert_ptr_null(submission.metadata);
    check_json(submission.input, "[1,2]");
}
END_TEST

START_TEST(the_form_of_a_document)
{
    read_fine("{\"content\":\"hello\",\"file_path\":\"a.txt\",\"content_type\":null,"
              "\"enable_intelligence\":false,\"namespace\":\"docs\",\"metadata\":{\"m\":1}}",
              NULL);
    ck_assert_str_eq(submission.workflow, "metadata_stamping");
    ck_assert_ptr_null(submission.version);
    ck_assert_str_eq(submission.namespace, "docs");
    check_json(submission.input,
               "{\"content\":\"hello\",\"file_path\":\"a.txt\",\"enable_intelligence\":false}");
    check_json(submission.metadata, "{\"m\":1}");
}
END_TEST

/* `content` is a word like any other in the input of another contract. */
START_TEST(another_contract_says_what_its_content_is)
{
    read_fine("{\"workflow\":\"billing\",\"input\":{\"content\":{\"lines\":2}}}", NULL);
    check_json(submission.input, "{\"content\":{\"lines\":2}}");
}
END_TEST

/* -- faults -- */

static const struct {
    const char *body, *key, *field, *said;
} faults[] = {
    {"[]", NULL, "", "must be an object"},
    {"\"x\"", NULL, "", "the body is a string"},
    {"{\"content\":\"x\",\"contents\":1}", NULL, "contents", "content, file_path"},
    {"{\"input\":{},\"content\":\"x\"}", NULL, "content", "workflow, version, input"},
    {"{\"workflow\":\"w\"}", NULL, "input", "missing"},
    {"{\"workflow\":5,\"input\":{}}", NULL, "workflow",
     "is a number; it must be a text of 1 to 128"},
    {"{\"workflow\":\"\",\"input\":{}}", NULL, "workflow",
     "has 0 bytes; it must be a text of 1 to 128"},
    {"{\"workflow\":\"a\\nb\",\"input\":{}}", NULL, "workflow", "without control characters"},
    {"{\"version\":1,\"input\":{}}", NULL, "version", "1 to 128"},
    {"{\"namespace\":\"\",\"content\":\"x\"}", NULL, "namespace", "1 to 255"},
    {"{\"namespace\":[],\"content\":\"x\"}", NULL, "namespace", "is a array"},
    {"{\"namespace\":\"a\\u007f\",\"content\":\"x\"}", NULL, "namespace", "control characters"},
    {"{\"correlation_id\":true,\"content\":\"x\"}", NULL, "correlation_id", "1 to 128"},
    {"{\"correlation_id\":\"a\\r\\nEvil: 1\",\"content\":\"x\"}", NULL, "correlation_id",
     "control characters"},
    {"{\"metadata\":[],\"content\":\"x\"}", NULL, "metadata", "must be an object"},
    {"{\"content\":null}", NULL, "content", "content is a null; it must be a text"},
    {"{\"content\":5}", NULL, "content", "content is a number; it must be a text"},
    {"{\"content\":\"x\",\"idempotency_key\":\"\"}", NULL, "idempotency_key", "1 to 255"},
    {"{\"content\":\"x\",\"idempotency_key\":7}", NULL, "idempotency_key", "1 to 255"},
    {"{\"content\":\"x\"}", "", "Idempotency-Key", "has 0 bytes; it must be 1 to 255"},
    {"{\"content\":\"x\"}", "a\tb", "Idempotency-Key", "1 to 255 visible characters"},
    {"{\"content\":\"x\"}", " a", "Idempotency-Key", "1 to 255 visible characters"},
    {"{\"content\":\"x\"}", "\xff", "Idempotency-Key", "1 to 255 visible characters"},
};

START_TEST(a_fault_names_field_and_range)
{
    ck_assert_int_eq(read_body(faults[_i].body, faults[_i].key), ERR_INVALID);
    ck_assert_int_eq(error.code, ERR_INVALID);
    ck_assert_str_eq(error.field, faults[_i].field);
    ck_assert_msg(strstr(error.text, faults[_i].said) != NULL, "%s", error.text);
}
END_TEST

/* A body with one text of so many octets. */
static enum error_code read_long(const char *before, size_t bytes, const char *after)
{
    struct buffer body = {0};
    buffer_append_text(&body, before);
    for (size_t i = 0; i < bytes; i++)
        buffer_append_char(&body, 'a');
    buffer_append_text(&body, after);
    enum error_code code = read_body(buffer_text(&body), NULL);
    buffer_fini(&body);
    return code;
}

static const struct {
    const char *before;
    size_t bytes_max;
    enum error_code code;
    const char *field, *said;
} lengths[] = {
    {"{\"input\":{},\"workflow\":\"", NAME_BYTES_MAX, ERR_INVALID, "workflow", "has 129 bytes"},
    {"{\"input\":{},\"version\":\"", NAME_BYTES_MAX, ERR_INVALID, "version", "1 to 128"},
    {"{\"input\":{},\"namespace\":\"", NAMESPACE_BYTES_MAX, ERR_INVALID, "namespace", "1 to 255"},
    {"{\"input\":{},\"correlation_id\":\"", CORRELATION_ID_BYTES_MAX, ERR_INVALID, "correlation_id",
     "1 to 128"},
    {"{\"input\":{},\"idempotency_key\":\"", IDEMPOTENCY_KEY_BYTES_MAX, ERR_INVALID,
     "idempotency_key", "1 to 255"},
    {"{\"content\":\"", CONTENT_BYTES_MAX, ERR_TOO_LARGE, "content", "at most 10485760"},
    {"{\"metadata\":{},\"workflow\":\"metadata_stamping\",\"input\":{\"content\":\"",
     CONTENT_BYTES_MAX, ERR_TOO_LARGE, "content", "has 10485761 bytes"},
};

START_TEST(texts_have_a_longest)
{
    const char *after = strstr(lengths[_i].before, "\"input\":{\"") != NULL ? "\"}}" : "\"}";
    ck_assert_int_eq(read_long(lengths[_i].before, lengths[_i].bytes_max, after), ERR_OK);
    ck_assert_int_eq(read_long(lengths[_i].before, lengths[_i].bytes_max + 1, after),
                     lengths[_i].code);
    ck_assert_str_eq(error.field, lengths[_i].field);
    ck_assert_msg(strstr(error.text, lengths[_i].said) != NULL, "%s", error.text);
}
END_TEST

START_TEST(the_header_key_has_a_longest)
{
    char key[IDEMPOTENCY_KEY_BYTES_MAX + 2];
    memset(key, 'k', sizeof key);
    key[IDEMPOTENCY_KEY_BYTES_MAX + 1] = '\0';
    ck_assert_int_eq(read_body("{\"content\":\"x\"}", key), ERR_INVALID);
    ck_assert_msg(strstr(error.text, "has 256 bytes") != NULL, "%s", error.text);
    read_fine("{\"content\":\"x\"}", key + 1);
    ck_assert_str_eq(submission.key, key + 1);
}
END_TEST

/* -- keys -- */

START_TEST(which_key_counts)
{
    read_fine("{\"content\":\"x\",\"correlation_id\":\"c\",\"idempotency_key\":\"b\"}", "h");
    ck_assert_str_eq(submission.key, "h");
    ck_assert_str_eq(submission.correlation_id, "c");
    read_fine("{\"content\":\"x\",\"correlation_id\":\"c\",\"idempotency_key\":\"b\"}", NULL);
    ck_assert_str_eq(submission.key, "b");
    read_fine("{\"content\":\"x\",\"correlation_id\":\"c\"}", "h");
    ck_assert_str_eq(submission.key, "h");
    read_fine("{\"content\":\"x\",\"correlation_id\":\"c\"}", NULL);
    ck_assert_str_eq(submission.key, "c");
    read_fine("{\"content\":\"x\"}", NULL);
    ck_assert_ptr_null(submission.key);
}
END_TEST

/* -- the hash of a body -- */

struct hash {
    uint8_t octets[BODY_HASH_BYTES];
};

static struct hash hash_of(const char *body, const char *key)
{
    struct hash hash;
    read_fine(body, key);
    memcpy(hash.octets, submission.body_hash, sizeof hash.octets);
    return hash;
}

static bool same_hash(const char *a, const char *b)
{
    struct hash one = hash_of(a, NULL), two = hash_of(b, NULL);
    return memcmp(&one, &two, sizeof one) == 0;
}

static const char *const alike[][2] = {
    {"{\"content\":\"x\",\"file_path\":\"f\"}", "{\"file_path\":\"f\",\"content\":\"x\"}"},
    {"{\"content\":\"x\"}", "{\"workflow\":\"metadata_stamping\",\"input\":{\"content\":\"x\"}}"},
    {"{\"content\":\"x\"}", "{\"content\":\"x\",\"namespace\":\"default\",\"metadata\":null}"},
    {"{\"content\":\"x\"}",
     "{\"content\":\"x\",\"correlation_id\":\"c\",\"idempotency_key\":\"k\"}"},
    {"{\"input\":{\"a\":{\"b\":1,\"c\":[2]},\"d\":3}}",
     "{\"input\":{\"d\":3,\"a\":{\"c\":[2],\"b\":1}}}"},
    {"{\"content\":\"x\",\"metadata\":{\"a\":1,\"b\":2}}",
     "{\"metadata\":{\"b\":2,\"a\":1},\"content\":\"x\"}"},
    {"{\"input\":[1,-0.0,1e2]}", "{\"input\":[1.0,0,100]}"},
    {"{\"content\":\"\\u00e9\"}", "{\"content\":\"\xc3\xa9\"}"},
};

START_TEST(equal_bodies_have_the_same_hash) { ck_assert(same_hash(alike[_i][0], alike[_i][1])); }
END_TEST

/* All of these are different from each other. */
static const char *const different[] = {
    "{\"input\":{}}",
    "{\"input\":[]}",
    "{\"input\":null}",
    "{\"input\":\"\"}",
    "{\"input\":0}",
    "{\"input\":false}",
    "{\"input\":true}",
    "{\"input\":\"null\"}",
    "{\"input\":\"0\"}",
    "{\"input\":1}",
    "{\"input\":1.5}",
    "{\"input\":-1}",
    "{\"input\":9007199254740993}",
    "{\"input\":9007199254740992}",
    "{\"input\":[null]}",
    "{\"input\":[[]]}",
    "{\"input\":[{}]}",
    "{\"input\":[1,2]}",
    "{\"input\":[2,1]}",
    "{\"input\":[1,[2]]}",
    "{\"input\":[1,1]}",
    "{\"input\":[1,1,1]}",
    "{\"input\":{\"0\":1}}",
    "{\"input\":{\"a\":null}}",
    "{\"input\":{\"a\":\"b\"}}",
    "{\"input\":{\"b\":\"a\"}}",
    "{\"input\":{\"a\":\"b\",\"b\":\"a\"}}",
    "{\"input\":{\"a\":\"a\",\"b\":\"b\"}}",
    "{\"input\":{\"a\":{\"b\":1}}}",
    "{\"input\":{\"a\":[\"b\",1]}}",
    "{\"input\":{},\"workflow\":\"other\"}",
    "{\"input\":{},\"version\":\"1.0.0\"}",
    "{\"input\":{},\"version\":\"1.0.1\"}",
    "{\"input\":{},\"namespace\":\"other\"}",
    "{\"input\":{},\"metadata\":{}}",
    "{\"input\":{},\"metadata\":{\"a\":1}}",
    "{\"content\":\"x\"}",
    "{\"content\":\"X\"}",
    "{\"content\":\"x\",\"file_path\":\"f\"}",
    "{\"content\":\"x\",\"content_type\":\"f\"}",
    "{\"content\":\"x\",\"enable_intelligence\":true}",
    "{\"content\":\"x\",\"enable_intelligence\":false}",
};
#define DIFFERENT (sizeof different / sizeof *different)

START_TEST(each_part_counts_in_the_hash)
{
    struct hash hashes[DIFFERENT];
    for (size_t i = 0; i < DIFFERENT; i++) {
        hashes[i] = hash_of(different[i], NULL);
        for (size_t k = 0; k < i; k++)
            ck_assert_msg(memcmp(&hashes[i], &hashes[k], sizeof hashes[i]) != 0, "%s and %s",
                          different[i], different[k]);
    }
}
END_TEST

START_TEST(the_key_is_no_part_of_the_hash)
{
    struct hash one = hash_of("{\"content\":\"x\"}", "k"),
                two = hash_of("{\"content\":\"x\"}", "l");
    ck_assert_mem_eq(&one, &two, sizeof one);
}
END_TEST

/* -- with the contract -- */

static enum error_code complete(const char *contract_text, const char *body)
{
    struct contract *contract =
        contract_text == NULL ? story_stamping() : story_contract(contract_text);
    read_fine(body, NULL);
    enum error_code code = submission_complete(&submission, contract, &error);
    contract_free(contract);
    return code;
}

START_TEST(defaults_of_the_contract_are_filled_in)
{
    ck_assert_int_eq(complete(NULL, "{\"content\":\"x\",\"namespace\":\"docs\"}"), ERR_OK);
    check_json(submission.input,
               "{\"content\":\"x\",\"file_path\":\"<api-submitted>\",\"content_type\":"
               "\"text/plain\",\"enable_intelligence\":true,\"namespace\":\"docs\"}");
    ck_assert_int_eq(complete(NULL,
                              "{\"content\":\"x\",\"file_path\":\"f\",\"content_type\":\"a/b\","
                              "\"enable_intelligence\":false}"),
                     ERR_OK);
    check_json(submission.input, "{\"content\":\"x\",\"file_path\":\"f\",\"content_type\":\"a/b\","
                                 "\"enable_intelligence\":false,\"namespace\":\"default\"}");
    ck_assert_int_eq(complete(NULL, "{\"namespace\":\"docs\",\"input\":{\"content\":\"x\","
                                    "\"namespace\":\"own\"}}"),
                     ERR_OK);
    ck_assert_str_eq(json_string_or(json_get(submission.input, "namespace"), ""), "own");
}
END_TEST

#define ANY_CONTRACT                                                                               \
    "name: n\nversion: 1.0.0\nstate_machine: { StartAt: A, States: { A: { Type: Succeed } } }\n"

START_TEST(a_contract_without_input_state_takes_anything)
{
    static const char *const inputs[] = {"{\"a\":1}", "[]", "null", "\"text\"", "5"};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        struct buffer body = {0};
        buffer_append_format(&body, "{\"workflow\":\"n\",\"input\":%s}", inputs[i]);
        ck_assert_int_eq(complete(ANY_CONTRACT, buffer_text(&body)), ERR_OK);
        check_json(submission.input, inputs[i]);
        buffer_fini(&body);
    }
}
END_TEST

static const struct {
    const char *body, *field, *said;
} misfits[] = {
    {"{}", "input", "lacks the field \"content\""},
    {"{\"content\":\"\"}", "input.content", "at least 1"},
    {"{\"content\":\"x\",\"file_path\":\"\"}", "input.file_path", "at least 1"},
    {"{\"content\":\"x\",\"content_type\":7}", "input.content_type", "string"},
    {"{\"content\":\"x\",\"enable_intelligence\":\"yes\"}", "input.enable_intelligence", "boolean"},
    {"{\"input\":{\"content\":5}}", "input.content", "string"},
    {"{\"input\":{\"content\":\"x\",\"more\":1}}", "input", "unknown field \"more\""},
    {"{\"input\":[]}", "input", "object"},
    {"{\"input\":null}", "input", "object"},
};

START_TEST(an_input_that_does_not_fit_the_contract_is_refused)
{
    ck_assert_int_eq(complete(NULL, misfits[_i].body), ERR_INVALID);
    ck_assert_str_eq(error.field, misfits[_i].field);
    ck_assert_msg(strstr(error.text, misfits[_i].said) != NULL, "%s", error.text);
}
END_TEST

#define COUNT(table) (int)(sizeof table / sizeof *table)

int main(void)
{
    Suite *suite = suite_create("submission");
    TCase *tests = tcase_create("submission");
    tcase_set_timeout(tests, 30);
    tcase_add_checked_fixture(tests, NULL, clear);
    tcase_add_test(tests, the_general_form);
    tcase_add_test(tests, what_is_left_out_has_defaults);
    tcase_add_test(tests, the_form_of_a_document);
    tcase_add_test(tests, another_contract_says_what_its_content_is);
    tcase_add_loop_test(tests, a_fault_names_field_and_range, 0, COUNT(faults));
    tcase_add_loop_test(tests, texts_have_a_longest, 0, COUNT(lengths));
    tcase_add_test(tests, the_header_key_has_a_longest);
    tcase_add_test(tests, which_key_counts);
    tcase_add_loop_test(tests, equal_bodies_have_the_same_hash, 0, COUNT(alike));
    tcase_add_test(tests, each_part_counts_in_the_hash);
    tcase_add_test(tests, the_key_is_no_part_of_the_hash);
    tcase_add_test(tests, defaults_of_the_contract_are_filled_in);
    tcase_add_test(tests, a_contract_without_input_state_takes_anything);
    tcase_add_loop_test(tests, an_input_that_does_not_fit_the_contract_is_refused, 0,
                        COUNT(misfits));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
