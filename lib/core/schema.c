/* SPDX-License-Identifier: MIT */
#include "core/schema_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/source_map.h"

#define SCHEMA_NODES_MAX 10000

/* -- compiling -- */

struct compiler {
    struct schema *schema;
    const struct source_map *source;
    struct findings *findings;
    struct buffer pointer;
    size_t base; /* octets of the pointer before the schema begins */
    unsigned depth;
};

static struct schema_node *node_compile(struct compiler *compiler, const struct json *document);

static void report(struct compiler *compiler, const char *code, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void report(struct compiler *compiler, const char *code, const char *format, ...)
{
    char text[ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    finding_add(compiler->findings, FINDING_ERROR, compiler->source,
                buffer_text(&compiler->pointer), code, "%s", text);
}

static void bad_value(struct compiler *compiler, const char *keyword, const char *expected)
{
    report(compiler, "SCHEMA_BAD_VALUE", "%s must be %s", keyword, expected);
}

static unsigned type_named(const char *name)
{
    static const struct {
        const char *name;
        unsigned type;
    } types[] = {{"null", SCHEMA_NULL},     {"boolean", SCHEMA_BOOLEAN},
                 {"number", SCHEMA_NUMBER}, {"integer", SCHEMA_INTEGER},
                 {"string", SCHEMA_STRING}, {"array", SCHEMA_ARRAY},
                 {"object", SCHEMA_OBJECT}};
    for (size_t i = 0; name && i < sizeof types / sizeof *types; i++) {
        if (strcmp(name, types[i].name) == 0)
            return types[i].type;
    }
    return 0;
}

static pcre2_code *pattern_compile(struct compiler *compiler, const char *text, size_t bytes)
{
    int code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *pattern =
        pcre2_compile((PCRE2_SPTR)text, bytes,
                      PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY, &code, &offset, NULL);
    if (!pattern) {
        PCRE2_UCHAR message[128] = "";
        pcre2_get_error_message(code, message, sizeof message);
        report(compiler, "SCHEMA_BAD_PATTERN", "the pattern \"%.*s\" is wrong at character %zu: %s",
               (int)bytes, text, offset, (char *)message);
    }
    return pattern;
}

static void read_type(struct compiler *compiler, struct schema_node *node, const struct json *value)
{
    size_t count = json_type_of(value) == JSON_ARRAY ? json_size(value) : 1;
    bool fine = count > 0;
    for (size_t i = 0; i < count; i++) {
        unsigned type = type_named(
            json_string_or(json_type_of(value) == JSON_ARRAY ? json_at(value, i) : value, NULL));
        fine = fine && type;
        node->types |= type;
    }
    if (!fine)
        bad_value(compiler, "type",
                  "one or more of null, boolean, number, integer, string, array and object");
}

static void read_bound(struct compiler *compiler, struct schema_bound *bound, const char *keyword,
                       const struct json *value)
{
    *bound = (struct schema_bound){true, json_double_value(value)};
    if (json_type_of(value) != JSON_NUMBER)
        bad_value(compiler, keyword, "a number");
}

static void read_count(struct compiler *compiler, struct schema_count_bound *bound,
                       const char *keyword, const struct json *value)
{
    double number = json_double_value(value);
    if (json_type_of(value) != JSON_NUMBER || number < 0 || number != floor(number) ||
        number > 1e15) {
        bad_value(compiler, keyword, "a whole number, 0 or more");
        return;
    }
    *bound = (struct schema_count_bound){true, (uint64_t)number};
}

static void read_list(struct compiler *compiler, struct schema_node_list *list, const char *keyword,
                      const struct json *value)
{
    if (json_type_of(value) != JSON_ARRAY || json_size(value) == 0) {
        bad_value(compiler, keyword, "a list with at least one schema");
        return;
    }
    list->count = json_size(value);
    list->items = must_calloc(list->count, sizeof *list->items);
    for (size_t i = 0; i < list->count; i++) {
        size_t place = compiler->pointer.bytes;
        pointer_append_index(&compiler->pointer, i);
        list->items[i] = node_compile(compiler, json_at(value, i));
        pointer_cut(&compiler->pointer, place);
    }
}

static void read_named(struct compiler *compiler, struct schema_named_list *list,
                       const char *keyword, const struct json *value, bool patterns)
{
    if (json_type_of(value) != JSON_OBJECT) {
        bad_value(compiler, keyword, "an object of schemas");
        return;
    }
    list->count = json_size(value);
    list->items = must_calloc(list->count + 1, sizeof *list->items);
    for (size_t i = 0; i < list->count; i++) {
        struct schema_named *named = &list->items[i];
        const char *name = json_name_at(value, i, &named->bytes);
        named->name = must_strndup(name, named->bytes);
        size_t place = compiler->pointer.bytes;
        pointer_append(&compiler->pointer, name, named->bytes);
        if (patterns)
            named->pattern = pattern_compile(compiler, name, named->bytes);
        named->node = node_compile(compiler, json_member_at(value, i));
        pointer_cut(&compiler->pointer, place);
    }
}

static bool is_text_list(const struct json *value)
{
    if (json_type_of(value) != JSON_ARRAY)
        return false;
    for (size_t i = 0; i < json_size(value); i++) {
        if (json_type_of(json_at(value, i)) != JSON_STRING)
            return false;
    }
    return true;
}

static void read_dependent_required(struct compiler *compiler, struct schema_node *node,
                                    const struct json *value)
{
    bool fine = json_type_of(value) == JSON_OBJECT;
    for (size_t i = 0; fine && i < json_size(value); i++)
        fine = is_text_list(json_member_at(value, i));
    if (!fine)
        bad_value(compiler, "dependentRequired", "an object of lists of names");
    else
        node->dependent_required = value;
}

/* Keywords that say nothing about validity. */
static bool is_annotation(const char *keyword)
{
    static const char *const annotations[] = {
        "title",    "description", "default", "examples",        "$comment",        "deprecated",
        "readOnly", "writeOnly",   "format",  "contentEncoding", "contentMediaType"};
    for (size_t i = 0; i < sizeof annotations / sizeof *annotations; i++) {
        if (strcmp(keyword, annotations[i]) == 0)
            return true;
    }
    return false;
}

static bool read_number_keyword(struct compiler *compiler, struct schema_node *node,
                                const char *keyword, const struct json *value)
{
    const struct {
        const char *keyword;
        struct schema_bound *bound;
    } bounds[] = {{"minimum", &node->minimum},
                  {"maximum", &node->maximum},
                  {"exclusiveMinimum", &node->above},
                  {"exclusiveMaximum", &node->below},
                  {"multipleOf", &node->multiple}};
    const struct {
        const char *keyword;
        struct schema_count_bound *bound;
    } counts[] = {{"minLength", &node->min_length},      {"maxLength", &node->max_length},
                  {"minItems", &node->min_items},        {"maxItems", &node->max_items},
                  {"minProperties", &node->min_members}, {"maxProperties", &node->max_members},
                  {"minContains", &node->min_contains},  {"maxContains", &node->max_contains}};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        if (strcmp(keyword, bounds[i].keyword) == 0) {
            read_bound(compiler, bounds[i].bound, keyword, value);
            if (bounds[i].bound == &node->multiple && !(node->multiple.value > 0))
                bad_value(compiler, keyword, "a number above 0");
            return true;
        }
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (strcmp(keyword, counts[i].keyword) == 0) {
            read_count(compiler, counts[i].bound, keyword, value);
            return true;
        }
    }
    return false;
}

static bool read_schema_keyword(struct compiler *compiler, struct schema_node *node,
                                const char *keyword, const struct json *value)
{
    const struct {
        const char *keyword;
        struct schema_node **node;
    } single[] = {{"items", &node->items},
                  {"contains", &node->contains},
                  {"additionalProperties", &node->additional},
                  {"propertyNames", &node->names},
                  {"not", &node->negated},
                  {"if", &node->condition},
                  {"then", &node->then_node},
                  {"else", &node->else_node}};
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        if (strcmp(keyword, single[i].keyword) == 0) {
            *single[i].node = node_compile(compiler, value);
            return true;
        }
    }
    if (strcmp(keyword, "allOf") == 0)
        read_list(compiler, &node->all_of, keyword, value);
    else if (strcmp(keyword, "anyOf") == 0)
        read_list(compiler, &node->any_of, keyword, value);
    else if (strcmp(keyword, "oneOf") == 0)
        read_list(compiler, &node->one_of, keyword, value);
    else if (strcmp(keyword, "prefixItems") == 0)
        read_list(compiler, &node->prefix, keyword, value);
    else if (strcmp(keyword, "properties") == 0)
        read_named(compiler, &node->properties, keyword, value, false);
    else if (strcmp(keyword, "patternProperties") == 0)
        read_named(compiler, &node->patterns, keyword, value, true);
    else if (strcmp(keyword, "dependentSchemas") == 0)
        read_named(compiler, &node->dependents, keyword, value, false);
    else
        return false;
    return true;
}

static void read_definitions(struct compiler *compiler, const struct json *value)
{
    if (json_type_of(value) != JSON_OBJECT)
        bad_value(compiler, "$defs", "an object of schemas");
    for (size_t i = 0; json_type_of(value) == JSON_OBJECT && i < json_size(value); i++) {
        size_t bytes = 0, place = compiler->pointer.bytes;
        const char *name = json_name_at(value, i, &bytes);
        pointer_append(&compiler->pointer, name, bytes);
        (void)!node_compile(compiler, json_member_at(value, i));
        pointer_cut(&compiler->pointer, place);
    }
}

static void read_reference(struct compiler *compiler, struct schema_node *node,
                           const struct json *value)
{
    const char *text = json_string_or(value, "");
    if (text[0] != '#' || (text[1] != '\0' && text[1] != '/'))
        report(compiler, "SCHEMA_BAD_REFERENCE",
               "$ref must point into the same schema, like \"#/$defs/name\"");
    else
        node->reference_text = text + 1;
}

static void keyword_compile(struct compiler *compiler, struct schema_node *node,
                            const char *keyword, const struct json *value)
{
    size_t bytes = 0;
    const char *text = json_string_value(value, &bytes);
    if (is_annotation(keyword) || read_number_keyword(compiler, node, keyword, value) ||
        read_schema_keyword(compiler, node, keyword, value))
        return;
    if (strcmp(keyword, "type") == 0) {
        read_type(compiler, node, value);
    } else if (strcmp(keyword, "const") == 0) {
        node->constant = value;
    } else if (strcmp(keyword, "enum") == 0) {
        node->enumeration = value;
        if (json_type_of(value) != JSON_ARRAY)
            bad_value(compiler, keyword, "a list of values");
    } else if (strcmp(keyword, "pattern") == 0) {
        node->pattern = text ? pattern_compile(compiler, text, bytes) : NULL;
        node->pattern_text = text ? must_strndup(text, bytes) : NULL;
        if (!text)
            bad_value(compiler, keyword, "a text");
    } else if (strcmp(keyword, "uniqueItems") == 0) {
        node->unique = json_is_true(value);
    } else if (strcmp(keyword, "required") == 0) {
        node->required = value;
        if (!is_text_list(value))
            bad_value(compiler, keyword, "a list of names");
    } else if (strcmp(keyword, "dependentRequired") == 0) {
        read_dependent_required(compiler, node, value);
    } else if (strcmp(keyword, "$defs") == 0) {
        read_definitions(compiler, value);
    } else if (strcmp(keyword, "$ref") == 0) {
        read_reference(compiler, node, value);
    } else if (strcmp(keyword, "$schema") != 0 &&
               (strcmp(keyword, "$id") != 0 || compiler->depth > 1)) {
        report(compiler, "SCHEMA_UNSUPPORTED_KEYWORD", "the keyword \"%s\" is not supported",
               keyword);
    }
}

static struct schema_node *node_new(struct compiler *compiler)
{
    struct schema_node *node = must_calloc(1, sizeof *node);
    node->pointer = must_strdup(buffer_text(&compiler->pointer) + compiler->base);
    node->next_made = compiler->schema->made;
    compiler->schema->made = node;
    compiler->schema->count++;
    return node;
}

static struct schema_node *node_compile(struct compiler *compiler, const struct json *document)
{
    struct schema_node *node = node_new(compiler);
    enum json_type type = json_type_of(document);
    node->never = type == JSON_FALSE;
    if (type == JSON_TRUE || type == JSON_FALSE)
        return node;
    if (type != JSON_OBJECT) {
        report(compiler, "SCHEMA_BAD_VALUE", "a schema must be an object, true or false");
        return node;
    }
    if (compiler->depth >= JSON_DEPTH_MAX || compiler->schema->count > SCHEMA_NODES_MAX) {
        report(compiler, "SCHEMA_TOO_LARGE", "the schema is nested too deep or has too many parts");
        return node;
    }
    compiler->depth++;
    for (size_t i = 0; i < json_size(document); i++) {
        size_t bytes = 0, place = compiler->pointer.bytes;
        const char *keyword = json_name_at(document, i, &bytes);
        pointer_append(&compiler->pointer, keyword, bytes);
        keyword_compile(compiler, node, keyword, json_member_at(document, i));
        pointer_cut(&compiler->pointer, place);
    }
    compiler->depth--;
    return node;
}

/* A reference is a URI fragment, so percent signs stand for octets. */
static char *fragment_decode(const char *text)
{
    char *decoded = must_strdup(text), *to = decoded;
    for (const char *at = text; *at; at++) {
        unsigned octet = 0;
        if (*at == '%' && sscanf(at + 1, "%2x", &octet) == 1 && at[1] && at[2]) {
            *to++ = (char)octet;
            at += 2;
        } else {
            *to++ = *at;
        }
    }
    *to = '\0';
    return decoded;
}

static void references_link(struct compiler *compiler)
{
    for (struct schema_node *node = compiler->schema->made; node; node = node->next_made) {
        if (!node->reference_text)
            continue;
        char *target = fragment_decode(node->reference_text);
        for (struct schema_node *other = compiler->schema->made; other && !node->reference;
             other = other->next_made) {
            if (strcmp(other->pointer, target) == 0)
                node->reference = other;
        }
        if (!node->reference) {
            buffer_append_text(&compiler->pointer, node->pointer);
            report(compiler, "SCHEMA_BAD_REFERENCE", "$ref \"#%s\" points to no schema",
                   node->reference_text);
            pointer_cut(&compiler->pointer, compiler->base);
        }
        free(target);
    }
}

struct schema *schema_compile(const struct json *document, const char *pointer,
                              const struct source_map *source, struct findings *findings)
{
    size_t errors_before = findings->errors;
    struct schema *schema = must_calloc(1, sizeof *schema);
    schema->document = json_hold(document);
    struct compiler compiler = {.schema = schema, .source = source, .findings = findings};
    buffer_append_text(&compiler.pointer, pointer);
    compiler.base = compiler.pointer.bytes;
    schema->root = node_compile(&compiler, document);
    references_link(&compiler);
    buffer_fini(&compiler.pointer);
    if (findings->errors == errors_before)
        return schema;
    schema_free(schema);
    return NULL;
}

static void named_fini(struct schema_named_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
        pcre2_code_free(list->items[i].pattern);
    }
    free(list->items);
}

void schema_free(struct schema *schema)
{
    if (!schema)
        return;
    for (struct schema_node *node = schema->made, *next; node; node = next) {
        next = node->next_made;
        free(node->pointer);
        free(node->pattern_text);
        pcre2_code_free(node->pattern);
        free(node->prefix.items);
        free(node->all_of.items);
        free(node->any_of.items);
        free(node->one_of.items);
        named_fini(&node->properties);
        named_fini(&node->patterns);
        named_fini(&node->dependents);
        free(node);
    }
    json_release(schema->document);
    free(schema);
}
