/* SPDX-License-Identifier: MIT */
/* asl_model_internal.h - what asl_model.c, asl_model_explore.c and asl_model_promela.c (the text for spin) share: which
 * errors the model tells apart, and who takes them.
 *
 * Owns      struct error_names owns its list; names are lent by the definition.
 */
#ifndef CORE_ASL_MODEL_INTERNAL_H
#define CORE_ASL_MODEL_INTERNAL_H

#include "core/asl_model.h"

#define ERROR_OTHER "another error"

struct error_names {
    const char **items;
    size_t count;
};

/* Every name that the machine's Retry, Catch and Fail tell apart; the last one is ERROR_OTHER. */
void error_names_collect(struct error_names *names, const struct asl_outline *outline);
void error_names_fini(struct error_names *names);
size_t error_names_find(const struct error_names *names, const char *name);
/* The first catcher of the state that takes the error; NULL. */
const struct outline_edge *catcher_of(const struct outline_state *state, const char *error,
                                      bool from_branch);
/* Some retrier with attempts takes the error. */
bool is_retried(const struct outline_state *state, const char *error, bool from_branch);
/* Where the state leads when it succeeds; NULL: it ends its scope. */
const struct outline_state *next_of(const struct outline_state *state);
size_t copies_of(const struct outline_state *state); /* how often each of its scopes runs at once */

#endif
