/* SPDX-License-Identifier: MIT */
/* asl_lint.h - warnings about definitions that are allowed and that most likely do not do what
 * their author wants. Pure.
 *
 * Each rule stays silent where it cannot be sure from the definition alone;
 * docs/contract-checks.md says for each what it asks exactly. asl_compile reports the errors.
 *
 *     ASL_LOOP_NEVER_LEFT       nothing leads out of a loop
 *     ASL_LOOP_CHANGES_NOTHING  what would end the loop looks at data that the loop does not change
 *     ASL_LOOP_WITHOUT_WAIT     a loop asks the same of its tasks again and again without a Wait
 *     ASL_TIMEOUT_TOO_LONG      a Task or Wait may last longer than the whole machine
 *     ASL_WAITS_TOO_LONG        so do the Waits on every way to success
 *     ASL_RETRIES_TOO_LONG      so may the retries of a state
 *     ASL_NO_TIMEOUT            a Task waits for somebody else and nothing bounds how long
 *     ASL_ERROR_TAKEN           an error name that an earlier retrier or catcher takes
 *     ASL_CHOICE_REPEATED       a choice rule that an earlier one makes unreachable
 *     ASL_INPUT_LOST            a Catch leads to a state that reads what the Catch has replaced
 *
 * Owns      Nothing.
 * Threads   Any.
 * Errors    None; the findings are warnings.
 */
#ifndef CORE_ASL_LINT_H
#define CORE_ASL_LINT_H

#include "core/asl_outline.h"
#include "core/finding.h"

void asl_lint(const struct asl_outline *outline, const struct source_map *source,
              struct findings *findings);

#endif
