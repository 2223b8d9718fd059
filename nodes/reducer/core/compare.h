/* SPDX-License-Identifier: MIT */
/* compare.h - whether two rows of one key say the same: as it was counted anew, and as it is stored. Pure.
 *
 * Compared are the revision, the number of events and every measure, under their public names. Sums of
 * numbers with fractions may differ in their last digits.
 *
 * Owns      A difference's texts are the caller's: compare_difference_fini.
 * Threads   Any.
 */
#ifndef REDUCER_CORE_COMPARE_H
#define REDUCER_CORE_COMPARE_H

#include <stdbool.h>

#include "reducer/core/aggregate.h"

#define COMPARE_PRECISION 1e-9 /* relative, of numbers with fractions */

struct compare_difference {
    const char *field; /* of the definition, or a literal; "row": one side has none */
    struct json *counted, *stored;
};

/* False when they differ; then *difference has the first field that does. Either may be NULL: no row. */
bool compare_rows(const struct aggregate *counted, const struct aggregate *stored,
                  struct compare_difference *difference) MUST_USE;
void compare_difference_fini(struct compare_difference *difference);

#endif
