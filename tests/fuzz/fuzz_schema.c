/* SPDX-License-Identifier: MIT */
/* A JSON Schema (first line) and a value (the rest): what is refused says why, and the judgement is the same for the
 * value written anew. */
#include "core/schema.h"
#include "fuzz.h"

static enum error_code judge(const struct schema *schema, const struct json *value)
{
    struct error error = {0};
    enum error_code code = schema_check(schema, value, "input", &error);
    FUZZ_CHECK(code == ERR_OK || (code == ERR_INVALID && error.text[0] && error.field[0] &&
                                  utf8_is_valid(error.text, strlen(error.text)) &&
                                  utf8_is_valid(error.field, strlen(error.field))));
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct fuzz_rest rest = {(const char *)bytes, count};
    struct findings findings = {0};
    char *line = fuzz_take_line(&rest);
    struct json *document = json_parse(line, strlen(line), NULL, NULL);
    struct json *value = json_parse(rest.text, rest.bytes, NULL, NULL);
    struct schema *schema = document ? schema_compile(document, "", NULL, &findings) : NULL;
    FUZZ_CHECK(!document || (schema == NULL) == (findings.errors > 0));
    if (schema && value) {
        char *text = json_to_text(value);
        struct json *again = json_parse(text, strlen(text), NULL, NULL);
        FUZZ_CHECK(judge(schema, value) == judge(schema, again));
        json_release(again);
        free(text);
    }
    schema_free(schema);
    json_release(value);
    json_release(document);
    findings_fini(&findings);
    free(line);
    return 0;
}
