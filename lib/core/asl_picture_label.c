/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/asl_picture_internal.h"

#define LABEL_CHARACTERS_MAX 44
#define VALUE_CHARACTERS_MAX 24
#define RULE_DEPTH_MAX 4 /* of And, Or, Not that are written out */

static bool begins_character(char c) { return ((unsigned char)c & 0xC0) != 0x80; }

void asl_picture_text(struct buffer *out, const char *text, size_t characters_max)
{
    size_t characters = 0;
    for (const char *at = text; *at; at++) {
        if (begins_character(*at) && ++characters > characters_max) {
            buffer_append_text(out, "…");
            return;
        }
        bool control = (unsigned char)*at < 0x20 || *at == 0x7F;
        buffer_append_char(out, control ? ' ' : *at);
    }
}

/* -- choice rules -- */

static const struct {
    const char *name, *sign;
} signs[] = {
    {"LessThanEquals", "≤"}, {"GreaterThanEquals", "≥"}, {"LessThan", "<"}, {"GreaterThan", ">"},
    {"Equals", "="},         {"Matches", "like"},
};

static const struct {
    const char *name, *yes, *no;
} tests[] = {
    {"IsPresent", "is there", "is missing"},        {"IsNull", "is null", "is not null"},
    {"IsNumeric", "is a number", "is no number"},   {"IsString", "is a text", "is no text"},
    {"IsBoolean", "is a boolean", "is no boolean"}, {"IsTimestamp", "is a time", "is no time"},
};

/* "StringLessThanPath" is "LessThan" between its type and "Path". */
static const char *sign_of(const char *name)
{
    static const char *const types[] = {"String", "Numeric", "Boolean", "Timestamp"};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        size_t bytes = strlen(types[t]);
        if (strncmp(name, types[t], bytes) != 0)
            continue;
        for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
            size_t length = strlen(signs[i].name);
            const char *rest = name + bytes;
            if (strncmp(rest, signs[i].name, length) == 0 &&
                (rest[length] == '\0' || strcmp(rest + length, "Path") == 0))
                return signs[i].sign;
        }
    }
    return NULL;
}

static void value_write(struct buffer *out, const char *name, const struct json *value)
{
    size_t bytes = strlen(name);
    bool path = bytes > 4 && strcmp(name + bytes - 4, "Path") == 0;
    const char *text = json_string_or(value, NULL);
    if (text) {
        buffer_append_text(out, path ? "" : "\"");
        asl_picture_text(out, text, VALUE_CHARACTERS_MAX);
        buffer_append_text(out, path ? "" : "\"");
    } else {
        struct buffer written = {0};
        json_write(value, &written);
        asl_picture_text(out, buffer_text(&written), VALUE_CHARACTERS_MAX);
        buffer_fini(&written);
    }
}

static void comparison_write(struct buffer *out, const struct json *rule)
{
    asl_picture_text(out, json_string_or(json_get(rule, "Variable"), "?"), LABEL_CHARACTERS_MAX);
    for (size_t i = 0; i < json_size(rule); i++) {
        const char *name = json_name_at(rule, i, NULL);
        const char *sign = sign_of(name);
        if (sign) {
            buffer_append_format(out, " %s ", sign);
            value_write(out, name, json_member_at(rule, i));
        }
        for (size_t t = 0; t < sizeof tests / sizeof *tests; t++) {
            if (strcmp(tests[t].name, name) == 0)
                buffer_append_format(
                    out, " %s", json_is_true(json_member_at(rule, i)) ? tests[t].yes : tests[t].no);
        }
    }
}

static void rule_write(struct buffer *out, const struct json *rule, int depth)
{
    const struct json *and = json_get(rule, "And"), * or = json_get(rule, "Or");
    const struct json *list = and? and : or ;
    if (depth > RULE_DEPTH_MAX) {
        buffer_append_text(out, "…");
    } else if (json_get(rule, "Not")) {
        buffer_append_text(out, "not (");
        rule_write(out, json_get(rule, "Not"), depth + 1);
        buffer_append_text(out, ")");
    } else if (list) {
        for (size_t i = 0; i < json_size(list); i++) {
            const struct json *part = json_at(list, i);
            bool inner = json_get(part, "And") || json_get(part, "Or");
            buffer_append_text(out, i == 0 ? "" : and? " and " : " or ");
            buffer_append_text(out, inner ? "(" : "");
            rule_write(out, part, depth + 1);
            buffer_append_text(out, inner ? ")" : "");
        }
    } else {
        comparison_write(out, rule);
    }
}

/* -- edges and states -- */

static void catch_write(struct buffer *out, const struct json *catcher)
{
    const struct json *names = json_get(catcher, "ErrorEquals");
    buffer_append_text(out, "catch ");
    for (size_t i = 0; i < json_size(names); i++)
        buffer_append_format(out, "%s%s", i > 0 ? ", " : "",
                             json_string_or(json_at(names, i), "?"));
}

void asl_picture_edge_label(const struct outline_edge *edge, struct buffer *out)
{
    struct buffer label = {0};
    switch (edge->type) {
    case OUTLINE_NEXT:
        break;
    case OUTLINE_DEFAULT:
        buffer_append_text(&label, "default");
        break;
    case OUTLINE_RULE:
        rule_write(&label, edge->document, 0);
        break;
    case OUTLINE_CATCH:
        catch_write(&label, edge->document);
        break;
    }
    asl_picture_text(out, buffer_text(&label), LABEL_CHARACTERS_MAX);
    buffer_fini(&label);
}

static const char *first_text(const struct json *document, const char *const *fields)
{
    const char *text = NULL;
    for (size_t i = 0; fields[i] && !text; i++)
        text = json_string_or(json_get(document, fields[i]), NULL);
    return text;
}

void asl_picture_state_label(const struct outline_state *state, struct buffer *out)
{
    static const char *const wait[] = {"Timestamp", "SecondsPath", "TimestampPath", NULL};
    static const char *const fail[] = {"Error", "ErrorPath", NULL};
    static const char *const map[] = {"ItemsPath", NULL};
    const struct json *seconds = json_get(state->document, "Seconds");
    const char *text = NULL;
    buffer_append_text(out, outline_type_name(state->type));
    if (state->type == OUTLINE_WAIT && json_is_int(seconds)) {
        buffer_append_format(out, " %lld s", (long long)json_int_value(seconds));
    } else if (state->type == OUTLINE_WAIT) {
        text = first_text(state->document, wait);
    } else if (state->type == OUTLINE_FAIL) {
        text = first_text(state->document, fail);
    } else if (state->type == OUTLINE_MAP) {
        buffer_append_text(out, ": each of ");
        text = first_text(state->document, map);
        text = text ? text : "$";
    }
    if (text) {
        buffer_append_text(out, state->type == OUTLINE_MAP ? "" : " ");
        asl_picture_text(out, text, VALUE_CHARACTERS_MAX);
    }
}
