/* SPDX-License-Identifier: MIT */
/* A path or a call of an intrinsic function (first line) against a document (the rest): it finds the same each
 * time, keeps the bounds, and what is put at a place is found there. */
#include "core/asl.h"
#include "core/jsonpath.h"
#include "fuzz.h"

static const char fallback[] =
    "{\"a\":{\"b\":[1,2,{\"c\":\"x\"}]},\"list\":[3,1,2],\"t\":\"text\"}";

static struct json *read_document(const struct fuzz_rest *rest)
{
    struct json *document = json_parse(rest->text, rest->bytes, NULL, NULL);
    return document ? document : json_parse(fallback, sizeof fallback - 1, NULL, NULL);
}

static void put(const struct jsonpath *path, const struct json *document)
{
    struct json *changed = jsonpath_put(path, document, json_text("put"));
    if (!changed)
        return;
    struct json *found = jsonpath_get(path, changed);
    FUZZ_CHECK(found && strcmp(json_string_or(found, ""), "put") == 0);
    struct json *again = jsonpath_put(path, changed, json_text("put"));
    FUZZ_CHECK(again && json_equal(again, changed));
    json_release(again);
    json_release(found);
    json_release(changed);
}

static void find(const struct jsonpath *path, const struct json *document)
{
    bool too_much = false, too_much_again = false;
    struct json *found = jsonpath_find(path, document, &too_much);
    struct json *again = jsonpath_find(path, document, &too_much_again);
    FUZZ_CHECK((found == NULL) == (again == NULL) && too_much == too_much_again);
    FUZZ_CHECK(found == NULL || (json_equal(found, again) && !too_much));
    FUZZ_CHECK(found == NULL || jsonpath_is_definite(path) || json_type_of(found) == JSON_ARRAY);
    /* An object that a filter lets through stands in an array of its own. */
    FUZZ_CHECK(found == NULL || jsonpath_may_repeat(path) ||
               json_text_bytes(found) <= json_text_bytes(document) + 2);
    json_release(found);
    json_release(again);
    if (jsonpath_is_reference(path) && !jsonpath_variable(path) && !jsonpath_is_context(path))
        put(path, document);
}

static void evaluate(const char *expression, const struct json *document)
{
    struct findings findings = {0};
    struct error error = {0};
    struct json *shape = json_object();
    if (!utf8_is_valid(expression, strlen(expression)))
        expression = "";
    json_object_set(shape, "x.$", json_text(expression));
    struct asl_template *template = asl_template_new(shape, "", NULL, &findings);
    FUZZ_CHECK((template == NULL) == (findings.errors > 0));
    if (template) {
        struct json *value = asl_template_evaluate(template, document, document, &error);
        struct json *again = asl_template_evaluate(template, document, document, &error);
        FUZZ_CHECK((value == NULL) == (again == NULL) && (value || error.text[0]));
        FUZZ_CHECK(value == NULL || json_equal(value, again));
        char *text = value ? json_to_text(value) : must_strdup("null");
        struct json *read = json_parse(text, strlen(text), NULL, NULL);
        FUZZ_CHECK(read != NULL && (value == NULL || json_equal(read, value)));
        json_release(read);
        free(text);
        json_release(value);
        json_release(again);
    }
    asl_template_free(template);
    json_release(shape);
    findings_fini(&findings);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct fuzz_rest rest = {(const char *)bytes, count};
    struct error error = {0};
    char *text = fuzz_take_line(&rest);
    struct json *document = read_document(&rest);
    struct jsonpath *path = jsonpath_compile(text, strlen(text), &error);
    FUZZ_CHECK(path != NULL || (error.text[0] && utf8_is_valid(error.text, strlen(error.text))));
    if (path) {
        FUZZ_CHECK(strcmp(jsonpath_text(path), text) == 0);
        find(path, document);
    }
    evaluate(text, document);
    jsonpath_free(path);
    json_release(document);
    free(text);
    return 0;
}
