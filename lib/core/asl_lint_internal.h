/* SPDX-License-Identifier: MIT */
/* asl_lint_internal.h - what the rules of asl_lint share: asl_lint.c runs them, asl_lint_loops.c
 * has those about loops, asl_lint_time.c those about timeouts, asl_lint_errors.c those about
 * Retry, Catch and Choice.
 *
 * Owns      Nothing.
 */
#ifndef CORE_ASL_LINT_INTERNAL_H
#define CORE_ASL_LINT_INTERNAL_H

#include "core/asl_lint.h"
#include "core/asl_touch.h"

struct asl_lint {
    const struct asl_outline *outline;
    const struct source_map *source;
    struct findings *findings;
    int64_t deadline_s; /* TimeoutSeconds of the machine; 0: none */
};

/* A warning at `pointer` followed by `member` ("" or "/Retry/0"). */
void asl_lint_report(struct asl_lint *lint, const char *pointer, const char *member,
                     const char *code, const char *format, ...) PRINTF_LIKE(5, 6);

void asl_lint_loops(struct asl_lint *lint, const struct outline_scope *scope);
void asl_lint_time(struct asl_lint *lint, const struct outline_state *state);
void asl_lint_waits(struct asl_lint *lint);
void asl_lint_errors(struct asl_lint *lint, const struct outline_state *state);

#endif
