/* SPDX-License-Identifier: MIT */
#include "core/asl_outline.h"

#include <stdlib.h>
#include <string.h>

#include "core/source_map.h"

static const char *const type_names[OUTLINE_UNKNOWN + 1] = {
    "Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map", "?"};

const char *outline_type_name(enum outline_state_type type) { return type_names[type]; }

static enum outline_state_type type_of(const struct json *document)
{
    const char *name = json_string_or(json_get(document, "Type"), "");
    int type = 0;
    while (type < OUTLINE_UNKNOWN && strcmp(type_names[type], name) != 0)
        type++;
    return (enum outline_state_type)type;
}

bool outline_waits_for_others(const struct outline_state *state)
{
    static const char *const endings[] = {".waitForTaskToken", ".sync", ".sync:2",
                                          "onex:signal:wait"};
    const char *resource = json_string_or(json_get(state->document, "Resource"), "");
    size_t bytes = strlen(resource);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t length = strlen(endings[i]);
        if (bytes >= length && strcmp(resource + bytes - length, endings[i]) == 0)
            return true;
    }
    return false;
}

/* -- states by name -- */

struct index_entry {
    const char *name;
    struct outline_state *state;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct index_entry *)a)->name, ((const struct index_entry *)b)->name);
}

static struct index_entry *index_make(struct outline_scope *scope)
{
    struct index_entry *entries = must_calloc(scope->count + 1, sizeof *entries);
    for (size_t i = 0; i < scope->count; i++)
        entries[i] = (struct index_entry){scope->states[i].name, &scope->states[i]};
    qsort(entries, scope->count, sizeof *entries, by_name);
    return entries;
}

static struct outline_state *index_find(const struct index_entry *entries, size_t count,
                                        const struct json *name)
{
    struct index_entry wanted = {json_string_or(name, NULL), NULL};
    const struct index_entry *found =
        wanted.name ? bsearch(&wanted, entries, count, sizeof *entries, by_name) : NULL;
    return found ? found->state : NULL;
}

/* -- transitions -- */

static void edge_add(struct outline_state *state, struct outline_edge edge)
{
    if (edge.to)
        state->edges[state->edges_count++] = edge;
}

static void edges_make(struct outline_state *state, const struct index_entry *entries, size_t count)
{
    const struct json *document = state->document;
    const struct json *rules = state->type == OUTLINE_CHOICE ? json_get(document, "Choices") : NULL;
    const struct json *catchers = json_get(document, "Catch");
    size_t most = json_size(rules) + json_size(catchers) + 2;
    state->edges = must_calloc(most, sizeof *state->edges);
    for (size_t i = 0; json_type_of(rules) == JSON_ARRAY && i < json_size(rules); i++) {
        const struct json *rule = json_at(rules, i);
        edge_add(state,
                 (struct outline_edge){OUTLINE_RULE, i,
                                       index_find(entries, count, json_get(rule, "Next")), rule});
    }
    if (state->type == OUTLINE_CHOICE)
        edge_add(state, (struct outline_edge){
                            OUTLINE_DEFAULT, 0,
                            index_find(entries, count, json_get(document, "Default")), NULL});
    else
        edge_add(state, (struct outline_edge){
                            OUTLINE_NEXT, 0, index_find(entries, count, json_get(document, "Next")),
                            NULL});
    for (size_t i = 0; json_type_of(catchers) == JSON_ARRAY && i < json_size(catchers); i++) {
        const struct json *catcher = json_at(catchers, i);
        edge_add(state, (struct outline_edge){OUTLINE_CATCH, i,
                                              index_find(entries, count, json_get(catcher, "Next")),
                                              catcher});
    }
}

/* -- scopes -- */

static void scope_make(struct asl_outline *outline, struct outline_scope *scope,
                       const struct json *document, struct buffer *pointer);

static void inner_make(struct asl_outline *outline, struct outline_state *state,
                       struct buffer *pointer)
{
    size_t place = pointer->bytes;
    if (state->type == OUTLINE_PARALLEL) {
        const struct json *branches = json_get(state->document, "Branches");
        size_t count = json_type_of(branches) == JSON_ARRAY ? json_size(branches) : 0;
        state->scopes = must_calloc(count + 1, sizeof *state->scopes);
        state->scopes_count = count;
        for (size_t i = 0; i < count; i++) {
            buffer_append_text(pointer, "/Branches");
            pointer_append_index(pointer, i);
            scope_make(outline, &state->scopes[i], json_at(branches, i), pointer);
            pointer_cut(pointer, place);
        }
    } else if (state->type == OUTLINE_MAP) {
        const char *field =
            json_get(state->document, "ItemProcessor") ? "ItemProcessor" : "Iterator";
        state->scopes = must_calloc(1, sizeof *state->scopes);
        state->scopes_count = 1;
        pointer_append(pointer, field, strlen(field));
        scope_make(outline, state->scopes, json_get(state->document, field), pointer);
        pointer_cut(pointer, place);
    }
}

static void scope_make(struct asl_outline *outline, struct outline_scope *scope,
                       const struct json *document, struct buffer *pointer)
{
    scope->pointer = must_strdup(buffer_text(pointer));
    const struct json *states = json_get(document, "States");
    if (json_type_of(states) != JSON_OBJECT)
        return;
    size_t place = pointer->bytes;
    scope->states = must_calloc(json_size(states) + 1, sizeof *scope->states);
    for (size_t i = 0; i < json_size(states); i++) {
        struct outline_state *state = &scope->states[scope->count++];
        state->document = json_member_at(states, i);
        state->name = json_name_at(states, i, NULL);
        state->type = type_of(state->document);
        state->ends = state->type == OUTLINE_SUCCEED || state->type == OUTLINE_FAIL ||
                      json_is_true(json_get(state->document, "End"));
        state->number = i;
        state->serial = outline->states_count++;
        buffer_append_text(pointer, "/States");
        pointer_append(pointer, state->name, strlen(state->name));
        state->pointer = must_strdup(buffer_text(pointer));
        inner_make(outline, state, pointer);
        pointer_cut(pointer, place);
    }
    struct index_entry *entries = index_make(scope);
    for (size_t i = 0; i < scope->count; i++)
        edges_make(&scope->states[i], entries, scope->count);
    scope->start = index_find(entries, scope->count, json_get(document, "StartAt"));
    free(entries);
}

struct asl_outline *asl_outline_new(const struct json *definition, const char *base)
{
    struct asl_outline *outline = must_calloc(1, sizeof *outline);
    outline->definition = json_hold(definition);
    struct buffer pointer = {0};
    buffer_append_text(&pointer, base);
    scope_make(outline, &outline->scope, definition, &pointer);
    buffer_fini(&pointer);
    return outline;
}

static void scope_fini(struct outline_scope *scope)
{
    for (size_t i = 0; i < scope->count; i++) {
        struct outline_state *state = &scope->states[i];
        for (size_t k = 0; k < state->scopes_count; k++)
            scope_fini(&state->scopes[k]);
        free(state->scopes);
        free(state->edges);
        free(state->pointer);
    }
    free(scope->states);
    free(scope->pointer);
}

void asl_outline_free(struct asl_outline *outline)
{
    if (!outline)
        return;
    scope_fini(&outline->scope);
    json_release(outline->definition);
    free(outline);
}

const struct outline_state *outline_find(const struct outline_scope *scope, const char *name)
{
    for (size_t i = 0; i < scope->count; i++) {
        const struct outline_state *state = &scope->states[i];
        if (strcmp(state->name, name) == 0)
            return state;
        for (size_t k = 0; k < state->scopes_count; k++) {
            const struct outline_state *found = outline_find(&state->scopes[k], name);
            if (found)
                return found;
        }
    }
    return NULL;
}

void outline_scopes_visit(const struct outline_scope *scope,
                          void (*visit)(const struct outline_scope *scope, void *context),
                          void *context)
{
    visit(scope, context);
    for (size_t i = 0; i < scope->count; i++) {
        for (size_t k = 0; k < scope->states[i].scopes_count; k++)
            outline_scopes_visit(&scope->states[i].scopes[k], visit, context);
    }
}
