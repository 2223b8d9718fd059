/* SPDX-License-Identifier: MIT */
#include "core/asl_model.h"

#include <stdlib.h>
#include <string.h>

#include "core/asl_internal.h"
#include "core/asl_model_internal.h"

/* -- errors -- */

static bool stands_for_others(const char *name)
{
    static const char *const names[] = {ASL_ERROR_ALL, ASL_ERROR_TASK_FAILED,
                                        ASL_ERROR_BRANCH_FAILED, ASL_ERROR_RUNTIME};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static void name_add(struct asl_model_errors *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], name) == 0)
            return;
    }
    names->too_many = names->count > ASL_MODEL_ERRORS_MAX; /* ERROR_OTHER still has room */
    if (names->too_many)
        return;
    names->items = must_realloc(names->items, (names->count + 1) * sizeof *names->items);
    names->items[names->count++] = name;
}

static void names_add_list(struct asl_model_errors *names, const struct json *list)
{
    for (size_t i = 0; json_type_of(list) == JSON_ARRAY && i < json_size(list); i++) {
        const struct json *equals = json_get(json_at(list, i), "ErrorEquals");
        for (size_t k = 0; k < json_size(equals); k++) {
            const char *name = json_string_or(json_at(equals, k), ASL_ERROR_ALL);
            if (names->too_many)
                return;
            if (!stands_for_others(name))
                name_add(names, name);
            if (strcmp(name, ASL_ERROR_TASK_FAILED) == 0)
                name_add(names, ASL_ERROR_TIMEOUT); /* the one it does not stand for */
        }
    }
}

static void scope_names_add(const struct outline_scope *scope, void *context)
{
    for (size_t i = 0; i < scope->count; i++) {
        const struct outline_state *state = &scope->states[i];
        names_add_list(context, json_get(state->document, "Retry"));
        names_add_list(context, json_get(state->document, "Catch"));
        const char *own = json_string_or(json_get(state->document, "Error"), NULL);
        if (state->type == OUTLINE_FAIL && own)
            name_add(context, own);
        if (state->type == OUTLINE_CHOICE && !json_get(state->document, "Default"))
            name_add(context, ASL_ERROR_NO_CHOICE);
    }
}

void asl_model_errors_collect(struct asl_model_errors *names, const struct asl_outline *outline)
{
    *names = (struct asl_model_errors){0};
    outline_scopes_visit(&outline->scope, scope_names_add, names);
    if (!names->too_many)
        name_add(names, ERROR_OTHER);
}

void asl_model_errors_fini(struct asl_model_errors *names) { free(names->items); }

size_t asl_model_errors_find(const struct asl_model_errors *names, const char *name)
{
    size_t i = 0;
    while (i + 1 < names->count && strcmp(names->items[i], name) != 0)
        i++;
    return i;
}

static bool takes(const struct json *document, const char *error, bool from_branch)
{
    char *name = must_strdup(error);
    struct asl_failure failure = {.error = name, .from_branch = from_branch};
    bool taken = asl_error_matches(json_get(document, "ErrorEquals"), &failure);
    free(name);
    return taken;
}

const struct outline_edge *asl_model_catcher(const struct outline_state *state, const char *error,
                                             bool from_branch)
{
    for (size_t e = 0; e < state->edges_count; e++) {
        if (state->edges[e].type == OUTLINE_CATCH &&
            takes(state->edges[e].document, error, from_branch))
            return &state->edges[e];
    }
    return NULL;
}

bool asl_model_is_retried(const struct outline_state *state, const char *error, bool from_branch)
{
    const struct json *retriers = json_get(state->document, "Retry");
    for (size_t i = 0; i < json_size(retriers); i++) {
        const struct json *attempts = json_get(json_at(retriers, i), "MaxAttempts");
        if (takes(json_at(retriers, i), error, from_branch))
            return !attempts || json_int_value(attempts) > 0;
    }
    return false;
}

const struct outline_state *asl_model_next(const struct outline_state *state)
{
    for (size_t e = 0; e < state->edges_count; e++) {
        if (state->edges[e].type == OUTLINE_NEXT)
            return state->edges[e].to;
    }
    return NULL;
}

size_t asl_model_copies(const struct outline_state *state)
{
    return state->type == OUTLINE_MAP ? ASL_MODEL_ITEMS : 1;
}

/* -- pairs -- */

static bool lies_in_map(const struct outline_scope *scope, const struct outline_state *wanted,
                        bool in_map)
{
    for (size_t i = 0; i < scope->count; i++) {
        const struct outline_state *state = &scope->states[i];
        if (state == wanted)
            return in_map;
        for (size_t k = 0; k < state->scopes_count; k++) {
            if (lies_in_map(&state->scopes[k], wanted, in_map || state->type == OUTLINE_MAP))
                return true;
        }
    }
    return false;
}

static enum error_code pair_find(const struct asl_outline *outline, const char *name,
                                 const struct outline_state **state, struct error *error)
{
    *state = outline_find(&outline->scope, name);
    if (!*state)
        return error_set(error, ERR_INVALID,
                         "a compensation names the state \"%s\", and there is "
                         "none",
                         name);
    if (lies_in_map(&outline->scope, *state, false))
        return error_set(
            error, ERR_INVALID,
            "the compensation state \"%s\" lies in a Map; its items are not told apart "
            "here",
            name);
    return ERR_OK;
}

enum error_code asl_model_init(struct asl_model *model, const struct asl_outline *outline,
                               const struct json *verify, struct error *error)
{
    *model = (struct asl_model){.outline = outline};
    const struct json *pairs = json_get(verify, "compensations");
    if (json_size(pairs) > ASL_MODEL_PAIRS_MAX)
        return error_set(error, ERR_INVALID, "verify takes at most %d compensations",
                         ASL_MODEL_PAIRS_MAX);
    for (size_t i = 0; i < json_size(pairs); i++) {
        struct asl_model_pair *pair = &model->pairs[model->pairs_count++];
        const char *done = json_string_or(json_member_at(pairs, i), "");
        enum error_code code = pair_find(outline, json_name_at(pairs, i, NULL), &pair->undo, error);
        if (code == ERR_OK)
            code = pair_find(outline, done, &pair->done, error);
        if (code != ERR_OK)
            return code;
    }
    return ERR_OK;
}
