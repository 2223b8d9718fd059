/* SPDX-License-Identifier: MIT */
/* asl_model_internal.h - what asl_model.c, asl_model_explore.c and asl_model_promela.c (the text
 * for spin) share: which errors the model tells apart, and who takes them.
 *
 * Owns      struct asl_model_errors owns its list; names are lent by the definition.
 */
#ifndef CORE_ASL_MODEL_INTERNAL_H
#define CORE_ASL_MODEL_INTERNAL_H

#include "core/asl_model.h"

#define ERROR_OTHER "another error"

struct asl_model_errors {
    const char **items;
    size_t count;
    bool too_many; /* more than ASL_MODEL_ERRORS_MAX */
};

/* Every name that the machine's Retry, Catch and Fail tell apart; the last one is ERROR_OTHER. */
void asl_model_errors_collect(struct asl_model_errors *names, const struct asl_outline *outline);
void asl_model_errors_fini(struct asl_model_errors *names);
size_t asl_model_errors_find(const struct asl_model_errors *names, const char *name);
/* The first catcher of the state that takes the error; NULL. */
const struct outline_edge *asl_model_catcher(const struct outline_state *state, const char *error,
                                             bool from_branch);
/* Some retrier with attempts takes the error. */
bool asl_model_is_retried(const struct outline_state *state, const char *error, bool from_branch);
/* Where the state leads when it succeeds; NULL: it ends its scope. */
const struct outline_state *asl_model_next(const struct outline_state *state);
size_t asl_model_copies(
    const struct outline_state *state); /* how often each of its scopes runs at once */

#endif
