/* SPDX-License-Identifier: MIT */
/* YAML 1.2 (core schema) to json, by libfyaml. Aliases are followed; merge keys, tags of one's
 * own and keys that are no texts are refused. */
#include <errno.h>
#include <libfyaml.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/contract.h"
#include "core/source_map.h"

/* Aliases can make a small file large; this bounds what they make. */
#define YAML_NODES_MAX 200000
#define YAML_TEXT_BYTES_MAX (16u << 20) /* of all scalars, those of aliases counted each time */

struct reader {
    struct fy_document *document;
    struct source_map *map;
    struct findings *findings;
    struct buffer pointer;
    size_t nodes;
    size_t text_bytes;
    unsigned depth;
    bool broken;
};

static struct json *node_read(struct reader *reader, struct fy_node *node);

static struct json *refuse(struct reader *reader, const char *code, const char *text)
{
    if (!reader->broken)
        finding_add(reader->findings, FINDING_ERROR, reader->map, buffer_text(&reader->pointer),
                    code, "%s", text);
    reader->broken = true;
    return json_null();
}

/* The first scalar of the node: where a mapping or a sequence begins. */
static struct fy_token *first_token(struct fy_node *node)
{
    for (;;) {
        void *at = NULL;
        struct fy_node_pair *pair;
        if (!node || fy_node_is_scalar(node))
            return node ? fy_node_get_scalar_token(node) : NULL;
        if (fy_node_is_sequence(node)) {
            node = fy_node_sequence_iterate(node, &at);
        } else {
            pair = fy_node_mapping_iterate(node, &at);
            node = pair ? fy_node_pair_key(pair) : NULL;
        }
    }
}

static void place_add(struct reader *reader, struct fy_node *node)
{
    struct fy_token *token = first_token(node);
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (mark)
        source_map_add(reader->map, buffer_text(&reader->pointer), mark->line + 1,
                       mark->column + 1);
}

/* -- scalars, as section 10.3 of YAML 1.2 has them -- */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcmp(text, *words) == 0)
            return true;
    }
    return false;
}

static bool all_of(const char *text, const char *characters)
{
    return *text && text[strspn(text, characters)] == '\0';
}

static bool is_float(const char *text)
{
    text += *text == '-' || *text == '+';
    size_t whole = strspn(text, "0123456789");
    text += whole;
    size_t fraction = 0;
    if (*text == '.') {
        fraction = strspn(text + 1, "0123456789");
        text += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '-' || *text == '+';
        return all_of(text, "0123456789");
    }
    return *text == '\0';
}

static struct json *number_read(struct reader *reader, const char *text)
{
    bool sign = *text == '-' || *text == '+';
    int base = 0;
    if (all_of(text + sign, "0123456789"))
        base = 10;
    else if (strncmp(text, "0o", 2) == 0 && all_of(text + 2, "01234567"))
        base = 8;
    else if (strncmp(text, "0x", 2) == 0 && all_of(text + 2, "0123456789abcdefABCDEF"))
        base = 16;
    if (base) {
        errno = 0;
        long long value = strtoll(base == 10 ? text : text + 2, NULL, base);
        if (errno == 0)
            return json_int(value);
        return base == 10 ? json_double(strtod(text, NULL))
                          : refuse(reader, "YAML_BAD_NUMBER", "the number is too large");
    }
    if (!is_float(text))
        return NULL;
    double value = strtod(text, NULL);
    return isfinite(value) ? json_double(value)
                           : refuse(reader, "YAML_BAD_NUMBER", "the number is too large");
}

static struct json *plain_read(struct reader *reader, const char *text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const not_numbers[] = {".inf",  ".Inf",  ".INF",  "-.inf", "-.Inf",
                                              "-.INF", "+.inf", "+.Inf", "+.INF", ".nan",
                                              ".NaN",  ".NAN",  NULL};
    if (is_one_of(text, nulls))
        return json_null();
    if (is_one_of(text, trues))
        return json_bool(true);
    if (is_one_of(text, falses))
        return json_bool(false);
    if (is_one_of(text, not_numbers))
        return refuse(reader, "YAML_BAD_NUMBER", "JSON has neither infinity nor not-a-number");
    return number_read(reader, text);
}

static struct json *scalar_read(struct reader *reader, struct fy_node *node)
{
    size_t bytes = 0;
    const char *text = fy_node_get_scalar(node, &bytes);
    if (!text)
        return json_null();
    if (memchr(text, '\0', bytes) || !utf8_is_valid(text, bytes))
        return refuse(reader, "YAML_BAD_TEXT", "a text must be UTF-8 without NUL");
    if (fy_node_get_style(node) == FYNS_PLAIN && !fy_node_get_tag_token(node)) {
        char *copy = must_strndup(text, bytes);
        struct json *value = plain_read(reader, copy);
        free(copy);
        if (value)
            return value;
    }
    return json_string(text, bytes);
}

/* -- containers -- */

static void member_read(struct reader *reader, struct fy_node_pair *pair, struct json *object)
{
    struct fy_node *key = fy_node_pair_key(pair);
    size_t bytes = 0;
    const char *name = key && fy_node_is_scalar(key) ? fy_node_get_scalar(key, &bytes) : NULL;
    if (!name || fy_node_is_alias(key)) {
        refuse(reader, "YAML_BAD_KEY", "a name in a mapping must be a plain text");
        return;
    }
    size_t length = reader->pointer.bytes;
    pointer_append(&reader->pointer, name, bytes);
    place_add(reader, key);
    if (json_get_bytes(object, name, bytes))
        refuse(reader, "YAML_DUPLICATE_NAME", "this name is given twice in one mapping");
    else if (bytes == 2 && memcmp(name, "<<", 2) == 0 && fy_node_get_style(key) == FYNS_PLAIN)
        refuse(reader, "YAML_MERGE_KEY", "merge keys (<<) are not part of YAML 1.2");
    else if (memchr(name, '\0', bytes) || !utf8_is_valid(name, bytes))
        refuse(reader, "YAML_BAD_TEXT", "a name must be UTF-8 without NUL");
    else
        json_object_set_bytes(object, name, bytes, node_read(reader, fy_node_pair_value(pair)));
    pointer_cut(&reader->pointer, length);
}

static struct json *mapping_read(struct reader *reader, struct fy_node *node)
{
    struct json *object = json_object();
    void *at = NULL;
    struct fy_node_pair *pair;
    while (!reader->broken && (pair = fy_node_mapping_iterate(node, &at)))
        member_read(reader, pair, object);
    return object;
}

static struct json *sequence_read(struct reader *reader, struct fy_node *node)
{
    struct json *array = json_array();
    void *at = NULL;
    struct fy_node *item;
    for (size_t i = 0; !reader->broken && (item = fy_node_sequence_iterate(node, &at)); i++) {
        size_t length = reader->pointer.bytes;
        pointer_append_index(&reader->pointer, i);
        place_add(reader, item);
        json_array_append(array, node_read(reader, item));
        pointer_cut(&reader->pointer, length);
    }
    return array;
}

static bool tag_is_known(struct fy_node *node)
{
    size_t bytes = 0;
    const char *tag = fy_node_get_tag(node, &bytes);
    static const char known[] = "tag:yaml.org,2002:str";
    return !tag || (bytes == sizeof known - 1 && memcmp(tag, known, bytes) == 0);
}

static struct json *node_read(struct reader *reader, struct fy_node *node)
{
    if (node && fy_node_is_alias(node)) {
        node = fy_node_resolve_alias(node);
        if (!node)
            return refuse(reader, "YAML_BAD_ALIAS", "the alias names no anchor");
    }
    if (!node)
        return json_null();
    if (++reader->nodes > YAML_NODES_MAX || reader->depth >= JSON_DEPTH_MAX)
        return refuse(reader, "YAML_TOO_LARGE", "the document is too large or nested too deep");
    if (!tag_is_known(node))
        return refuse(reader, "YAML_BAD_TAG", "only the tag !!str is supported");
    struct json *value = NULL;
    reader->depth++;
    switch (fy_node_get_type(node)) {
    case FYNT_SCALAR:
        reader->text_bytes += fy_token_get_text_length(fy_node_get_scalar_token(node));
        value = reader->text_bytes > YAML_TEXT_BYTES_MAX
                    ? refuse(reader, "YAML_TOO_LARGE", "the document's texts are too large")
                    : scalar_read(reader, node);
        break;
    case FYNT_SEQUENCE:
        value = sequence_read(reader, node);
        break;
    case FYNT_MAPPING:
        value = mapping_read(reader, node);
        break;
    }
    reader->depth--;
    return value;
}

/* -- documents -- */

static void syntax_finding(struct source_map *map, struct fy_diag *diag, struct findings *findings)
{
    void *at = NULL;
    struct fy_diag_error *error = fy_diag_errors_iterate(diag, &at);
    if (error)
        source_map_add(map, "", error->line > 0 ? error->line : 1,
                       error->column > 0 ? error->column : 1);
    finding_add(findings, FINDING_ERROR, map, "", "YAML_SYNTAX", "the file is no YAML: %s",
                error && error->msg ? error->msg : "it must have one document");
}

/* What the library is not given: it loops without end on some directives with control characters. */
static bool text_check(struct reader *reader, const char *text, size_t bytes)
{
    int line = 1;
    const char *wrong = utf8_is_valid(text, bytes) ? NULL : "it is not UTF-8";
    for (size_t i = 0; i < bytes && !wrong; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F)
            wrong = "it has a control character";
        else if (c == '%' && (i == 0 || text[i - 1] == '\n'))
            wrong = "directives (lines that begin with %) are not supported";
        else
            line += c == '\n';
    }
    if (!wrong)
        return true;
    source_map_add(reader->map, "", line, 1);
    finding_add(reader->findings, FINDING_ERROR, reader->map, "", "YAML_SYNTAX",
                "the file cannot be read: %s", wrong);
    return false;
}

/* The one document of the parser's text. */
static struct json *root_read(struct reader *reader, struct fy_parser *parser, struct fy_diag *diag)
{
    struct json *value = NULL;
    reader->document = fy_parse_load_document(parser);
    struct fy_node *root = reader->document ? fy_document_root(reader->document) : NULL;
    struct fy_document *second = root ? fy_parse_load_document(parser) : NULL;
    if (!root || second || fy_diag_got_error(diag)) {
        syntax_finding(reader->map, diag, reader->findings);
    } else {
        source_map_add(reader->map, "", 1, 1);
        value = node_read(reader, root);
    }
    if (reader->broken) {
        json_release(value);
        value = NULL;
    }
    fy_parse_document_destroy(parser, second);
    fy_parse_document_destroy(parser, reader->document);
    return value;
}

static struct json *text_read(struct reader *reader, const char *text, size_t bytes)
{
    struct fy_diag_cfg diag_options;
    fy_diag_cfg_default(&diag_options);
    diag_options.level = FYET_ERROR;
    diag_options.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_options);
    BUG_IF(!diag);
    fy_diag_set_collect_errors(diag, true);
    /* The library compares each key with all the others; member_read looks them up. */
    struct fy_parse_cfg options = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG |
                                            FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE |
                                            FYPCF_ALLOW_DUPLICATE_KEYS,
                                   .diag = diag};
    struct fy_parser *parser = fy_parser_create(&options);
    BUG_IF(!parser || fy_parser_set_string(parser, text, bytes) != 0);
    struct json *value = root_read(reader, parser, diag);
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return value;
}

struct json *yaml_parse(const char *file, const char *text, size_t bytes, struct source_map **map,
                        struct findings *findings)
{
    struct reader reader = {.map = source_map_new(file), .findings = findings};
    struct json *value = text_check(&reader, text, bytes) ? text_read(&reader, text, bytes) : NULL;
    buffer_fini(&reader.pointer);
    if (map)
        *map = reader.map;
    else
        source_map_free(reader.map);
    return value;
}
