/* SPDX-License-Identifier: MIT */
/* asl_model.h - the control flow of a state machine, without its data: can it get stuck, does
 * every run come to an end, does compensation run when and only when there is something to undo?
 * Pure.
 *
 * In the model a Choice may take any of its ways, a Task succeeds or fails with each error name
 * that its own and the surrounding Retry and Catch tell apart, and with one that nobody names. A
 * Map has two items. Paths that find nothing and wrong data (States.Runtime and the like) are left
 * out.
 *
 *     "getting stuck"    a state without a way on
 *     "coming to an end" from wherever a run gets, Choices and Catches still lead to an end; so
 *                        every run ends when no Choice decides the same for ever
 *     "compensation"     for each pair "undo: do" of the head's verify.compensations: `undo` is
 *                        entered only after `do` has succeeded, once for it, and no run fails
 *                        while it is still owed
 *
 * Owns      A result owns its faults; release it with asl_model_fini. Outline and pairs are lent.
 * Threads   Any.
 * Errors    None: a model with more than ASL_MODEL_PLACES_MAX places, or past another
 *           bound, is explored so far, and result->complete is false.
 */
#ifndef CORE_ASL_MODEL_H
#define CORE_ASL_MODEL_H

#include "base/buffer.h"
#include "core/asl_outline.h"

#define ASL_MODEL_PLACES_MAX 200000
#define ASL_MODEL_PAIRS_MAX 16
#define ASL_MODEL_ERRORS_MAX 1000          /* names of errors that are told apart */
#define ASL_MODEL_COMPARISONS_MAX 20000000 /* of errors with the names of catchers */
#define ASL_MODEL_ITEMS 2                  /* of a Map */

struct asl_model_pair {
    const struct outline_state *undo, *done;
};

struct asl_model {
    const struct asl_outline *outline;
    struct asl_model_pair pairs[ASL_MODEL_PAIRS_MAX];
    size_t pairs_count;
};

/* Takes the pairs of {compensations: {undo: do}} (or NULL). ERR_INVALID with a sentence when one
 * names no state, or a state within a Map, whose iterations would have to be told apart. */
enum error_code asl_model_init(struct asl_model *model, const struct asl_outline *outline,
                               const struct json *verify, struct error *error) MUST_USE;

enum asl_model_fault_type {
    ASL_MODEL_STUCK,
    ASL_MODEL_ENDLESS,
    ASL_MODEL_UNDO_TOO_MUCH, /* entered before its state has succeeded, or once more */
    ASL_MODEL_UNDO_MISSING,  /* a run fails without it */
    ASL_MODEL_FAULT_TYPES
};

struct asl_model_fault {
    enum asl_model_fault_type type;
    char *text;  /* a sentence */
    char **path; /* the shortest way there, a step each: "book fails with SeatTaken -> release" */
    size_t path_count;
};

struct asl_model_result {
    size_t places; /* that runs can get to */
    bool complete;
    struct asl_model_fault *faults; /* at most one of each type and pair */
    size_t faults_count;
};

void asl_model_explore(const struct asl_model *model, struct asl_model_result *result);
void asl_model_fini(struct asl_model_result *result);

/* The same model in Promela, for spin: assertions and end states for the first and third question,
 * non-progress cycles for the second. */
void asl_model_promela(const struct asl_model *model, const char *title, struct buffer *out);

#endif
