/* SPDX-License-Identifier: MIT */
#include "core/asl_touch.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

void touches_fini(struct touches *touches)
{
    for (size_t i = 0; i < touches->count; i++)
        free(touches->places[i]);
    free(touches->places);
    *touches = (struct touches){0};
}

static void place_add(struct touches *touches, const char *text, size_t bytes)
{
    if (touches->count == touches->capacity) {
        touches->capacity = touches->capacity ? touches->capacity * 2 : 8;
        touches->places =
            must_realloc(touches->places, touches->capacity * sizeof *touches->places);
    }
    touches->places[touches->count++] = must_strndup(text, bytes);
}

static bool is_name_character(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || (unsigned char)c >= 0x80;
}

/* Adds the place of the path that begins at text; gives what follows the part that was read. */
static const char *path_add(struct touches *touches, const char *text)
{
    const char *at = text + 1;
    if (*at == '$') {
        touches->context = true;
        return at + 1;
    }
    while (is_name_character(*at))
        at++;
    while (*at == '.' && is_name_character(at[1])) {
        for (at++; is_name_character(*at); at++)
            ;
    }
    place_add(touches, text, (size_t)(at - text));
    return at;
}

/* A path, or a call of an intrinsic function with paths among its arguments. */
static void expression_add(struct touches *touches, const struct json *value)
{
    const char *text = json_string_or(value, "");
    if (*text == '$') {
        path_add(touches, text);
        return;
    }
    bool quoted = false;
    for (const char *at = text; *at;) {
        if (*at == '\\' && at[1]) {
            at += 2;
        } else if (*at == '$' && !quoted) {
            at = path_add(touches, at);
        } else {
            quoted = quoted != (*at == '\'');
            at++;
        }
    }
}

/* Every path of a payload template: fields whose names end in ".$". */
static void template_add(struct touches *touches, const struct json *template)
{
    bool object = json_type_of(template) == JSON_OBJECT;
    if (!object && json_type_of(template) != JSON_ARRAY)
        return;
    for (size_t i = 0; i < json_size(template); i++) {
        const struct json *member = object ? json_member_at(template, i) : json_at(template, i);
        size_t bytes = 0;
        const char *name = object ? json_name_at(template, i, &bytes) : "";
        if (bytes > 2 && strcmp(name + bytes - 2, ".$") == 0)
            expression_add(touches, member);
        else
            template_add(touches, member);
    }
}

/* Variable and the ...Path forms of a choice rule, however deep. */
static void rule_add(struct touches *touches, const struct json *rule)
{
    bool object = json_type_of(rule) == JSON_OBJECT;
    if (!object && json_type_of(rule) != JSON_ARRAY)
        return;
    for (size_t i = 0; i < json_size(rule); i++) {
        const struct json *member = object ? json_member_at(rule, i) : json_at(rule, i);
        size_t bytes = 0;
        const char *name = object ? json_name_at(rule, i, &bytes) : "";
        if (strcmp(name, "Variable") == 0 || (bytes > 4 && strcmp(name + bytes - 4, "Path") == 0))
            expression_add(touches, member);
        else if (!object || strcmp(name, "And") == 0 || strcmp(name, "Or") == 0 ||
                 strcmp(name, "Not") == 0)
            rule_add(touches, member);
    }
}

static bool is_root(const struct json *path)
{
    return !path || strcmp(json_string_or(path, ""), "$") == 0;
}

/* What lies in the state's effective input is read through InputPath. */
static void through_input(struct touches *touches, const struct outline_state *state)
{
    const struct json *path = json_get(state->document, "InputPath");
    if (is_root(path))
        return;
    size_t kept = 0;
    for (size_t i = 0; i < touches->count; i++) {
        bool data = touches->places[i][1] == '\0' || touches->places[i][1] == '.';
        if (data)
            free(touches->places[i]);
        else
            touches->places[kept++] = touches->places[i];
    }
    touches->count = kept;
    expression_add(touches, path);
}

void touches_read(struct touches *touches, const struct outline_state *state)
{
    static const char *const paths[] = {
        "SecondsPath", "TimestampPath",      "TimeoutSecondsPath", "HeartbeatSecondsPath",
        "ItemsPath",   "MaxConcurrencyPath", "ErrorPath",          "CausePath"};
    const struct json *document = state->document;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        expression_add(touches, json_get(document, paths[i]));
    if (state->type == OUTLINE_CHOICE)
        rule_add(touches, json_get(document, "Choices"));
    template_add(touches, json_get(document, "Parameters"));
    template_add(touches, json_get(document, "ItemSelector"));
    bool works = state->type == OUTLINE_TASK || state->type == OUTLINE_PARALLEL ||
                 state->type == OUTLINE_MAP || state->type == OUTLINE_PASS;
    if (works && !json_get(document, "Parameters") && !json_get(document, "Result"))
        place_add(touches, "$", 1); /* it is given the whole */
    through_input(touches, state);
}

static void assigned_add(struct touches *touches, const struct json *assign)
{
    for (size_t i = 0; json_type_of(assign) == JSON_OBJECT && i < json_size(assign); i++) {
        size_t bytes = 0;
        const char *name = json_name_at(assign, i, &bytes);
        struct buffer place = {0};
        buffer_append_char(&place, '$');
        if (bytes > 2 && strcmp(name + bytes - 2, ".$") == 0)
            bytes -= 2;
        buffer_append(&place, name, bytes);
        place_add(touches, place.data, place.bytes);
        buffer_fini(&place);
    }
}

static bool makes_result(const struct outline_state *state)
{
    const struct json *document = state->document;
    switch (state->type) {
    case OUTLINE_TASK:
    case OUTLINE_PARALLEL:
    case OUTLINE_MAP:
    case OUTLINE_UNKNOWN:
        return true;
    case OUTLINE_PASS:
        return json_get(document, "Result") || json_get(document, "Parameters") ||
               json_get(document, "ResultPath") || !is_root(json_get(document, "InputPath"));
    case OUTLINE_CHOICE:
    case OUTLINE_WAIT:
    case OUTLINE_SUCCEED:
    case OUTLINE_FAIL:
        return !is_root(json_get(document, "InputPath"));
    }
    return true;
}

static void caught_add(struct touches *touches, const struct json *catcher)
{
    const struct json *path = json_get(catcher, "ResultPath");
    if (!path)
        place_add(touches, "$", 1);
    else
        expression_add(touches, path); /* null changes nothing */
}

void touches_write(struct touches *touches, const struct outline_state *state,
                   const struct outline_edge *edge)
{
    const struct json *document = state->document;
    const struct json *result_path = json_get(document, "ResultPath");
    assigned_add(touches, json_get(edge->document, "Assign"));
    if (edge->type == OUTLINE_CATCH) {
        caught_add(touches, edge->document);
        return;
    }
    if (edge->type != OUTLINE_RULE)
        assigned_add(touches, json_get(document, "Assign"));
    if (!is_root(json_get(document, "OutputPath")) || (makes_result(state) && !result_path))
        place_add(touches, "$", 1);
    else if (makes_result(state))
        expression_add(touches, result_path);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void touches_sort(struct touches *touches)
{
    if (touches->count > 1)
        qsort(touches->places, touches->count, sizeof *touches->places, by_text);
}

/* The first place that does not come before the text. */
static const char *place_from(const struct touches *sorted, const char *text)
{
    size_t low = 0, high = sorted->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(sorted->places[middle], text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sorted->count ? sorted->places[low] : "";
}

/* A place of the set is this one, or around it, or within it. */
static bool place_meets(const char *place, const struct touches *sorted)
{
    struct buffer part = {0};
    bool meets = false;
    for (const char *at = place; !meets && *at; at++) {
        buffer_append_char(&part, *at);
        if (at[1] == '\0' || at[1] == '.')
            meets = strcmp(place_from(sorted, buffer_text(&part)), buffer_text(&part)) == 0;
    }
    buffer_append_char(&part, '.');
    meets = meets ||
            strncmp(place_from(sorted, buffer_text(&part)), buffer_text(&part), part.bytes) == 0;
    buffer_fini(&part);
    return meets;
}

bool touches_meet(const struct touches *a, const struct touches *sorted)
{
    for (size_t i = 0; i < a->count; i++) {
        if (place_meets(a->places[i], sorted))
            return true;
    }
    return false;
}
