/* SPDX-License-Identifier: MIT */
/* Texts as JSON: what is accepted is written as JSON and as YAML, read again and the same. */
#include "core/contract.h"
#include "core/json_hash.h"
#include "core/source_map.h"
#include "fuzz.h"

static void through_json(const struct json *value)
{
    struct buffer first = {0}, second = {0};
    size_t depth;
    json_write(value, &first);
    FUZZ_CHECK(json_text_bytes(value) == first.bytes);
    FUZZ_CHECK(json_text_bytes_within(value, SIZE_MAX, &depth) == first.bytes);
    FUZZ_CHECK(depth == json_depth(value));
    struct json *again = json_parse(first.data, first.bytes, NULL, NULL);
    FUZZ_CHECK(again != NULL && json_equal(value, again) && json_equal(again, value));
    FUZZ_CHECK(json_hash(again) == json_hash(value));
    json_write(again, &second);
    FUZZ_CHECK(fuzz_same(&first, &second));
    json_release(again);
    buffer_fini(&first);
    buffer_fini(&second);
}

static void through_yaml(const struct json *value)
{
    struct buffer text = {0};
    struct findings findings = {0};
    yaml_write(value, &text);
    struct json *again = yaml_parse("a.yaml", text.data, text.bytes, NULL, &findings);
    FUZZ_CHECK(again != NULL && json_equal(value, again));
    json_release(again);
    findings_fini(&findings);
    buffer_fini(&text);
}

/* The reader with places takes the same texts, but for names given twice. */
static void with_places(const struct json *value, const char *text, size_t bytes)
{
    struct findings findings = {0};
    struct source_map *map = NULL;
    struct json *document = json_document_parse("a.json", text, bytes, &map, &findings);
    int line = 0, column = 0;
    FUZZ_CHECK(value ? document || findings.errors > 0 : !document && findings.errors > 0);
    FUZZ_CHECK(document == NULL || json_equal(document, value));
    FUZZ_CHECK(document == NULL ||
               (source_map_find(map, "", &line, &column) && line > 0 && column > 0));
    json_release(document);
    source_map_free(map);
    findings_fini(&findings);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    const char *text = (const char *)bytes;
    struct error error = {0};
    struct json_position position = {0};
    struct json *value = json_parse(text, count, &error, &position);
    FUZZ_CHECK(value != NULL ||
               (error.code != ERR_OK && error.text[0] && position.line > 0 && position.column > 0));
    with_places(value, text, count);
    if (value) {
        through_json(value);
        through_yaml(value);
    }
    json_release(value);
    return 0;
}
