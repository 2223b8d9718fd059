/* SPDX-License-Identifier: MIT */
/* asl_outline.h - the shape of a definition in the States Language: scopes, states and
 * transitions, and what else can be told without running it. The checks (asl_lint.h), the pictures
 * (asl_picture.h) and the model of the control flow (asl_model.h) work on it. Pure.
 *
 * Owns      An outline holds one reference to its definition, which lends names and documents.
 * Lifetime  States and scopes live as long as the outline.
 * Threads   Read-only once made, so any.
 * Errors    None: what is malformed is left out, so that a broken definition has an outline too;
 *           asl_compile reports what is wrong.
 */
#ifndef CORE_ASL_OUTLINE_H
#define CORE_ASL_OUTLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/json.h"

enum outline_state_type {
    OUTLINE_TASK,
    OUTLINE_PASS,
    OUTLINE_CHOICE,
    OUTLINE_WAIT,
    OUTLINE_SUCCEED,
    OUTLINE_FAIL,
    OUTLINE_PARALLEL,
    OUTLINE_MAP,
    OUTLINE_UNKNOWN
};

enum outline_edge_type { OUTLINE_NEXT, OUTLINE_RULE, OUTLINE_DEFAULT, OUTLINE_CATCH };

struct outline_edge {
    enum outline_edge_type type;
    size_t index; /* of the rule or catcher in its list */
    struct outline_state *to;
    const struct json *document; /* the choice rule or the catcher; NULL for the others */
};

struct outline_state {
    const char *name;
    const struct json *document;
    char *pointer; /* JSON pointer of the state in its file */
    enum outline_state_type type;
    bool ends;                  /* Succeed, Fail, or "End": true */
    size_t number;              /* in its scope, in the order of the file */
    size_t serial;              /* in the whole outline */
    struct outline_edge *edges; /* choice rules in order, Default, Next, catchers in order */
    size_t edges_count;
    struct outline_scope *scopes; /* branches of Parallel; the one processor of Map */
    size_t scopes_count;
};

struct outline_scope {
    struct outline_state *states; /* in the order of the file */
    size_t count;
    struct outline_state *start; /* NULL when StartAt names none */
    char *pointer;
};

struct asl_outline {
    struct json *definition;
    struct outline_scope scope;
    size_t states_count;
};

/* `base` is the pointer of the definition in its file: "" or "/state_machine". */
struct asl_outline *asl_outline_new(const struct json *definition, const char *base) MUST_USE;
void asl_outline_free(struct asl_outline *outline);

const char *outline_type_name(enum outline_state_type type); /* "Task"; "?" for the unknown */
/* The Resource of a Task waits for somebody else: a token, a child workflow, a signal. */
bool outline_waits_for_others(const struct outline_state *state);
/* The state of this name in the scope or below it; NULL. */
const struct outline_state *outline_find(const struct outline_scope *scope, const char *name);
/* Calls visit for the scope and all scopes within it, outermost first. */
void outline_scopes_visit(const struct outline_scope *scope,
                          void (*visit)(const struct outline_scope *scope, void *context),
                          void *context);

#endif
