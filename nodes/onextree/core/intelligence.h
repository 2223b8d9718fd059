/* SPDX-License-Identifier: MIT */
/* intelligence.h - what a context is about, by the words in it. Pure.
 *
 * A rule matches when one of its words stands in the context as a whole word (letters and digits;
 * case does not count). The last rule that matches names the type; a rule without a figure of its own
 * keeps the confidence that the rules before it left.
 */
#ifndef ONEXTREE_CORE_INTELLIGENCE_H
#define ONEXTREE_CORE_INTELLIGENCE_H

#include <stdbool.h>
#include <stddef.h>

#define INTELLIGENCE_PATTERNS_MAX 8

struct intelligence {
    const char *analysis_type;
    const char *confidence; /* "0.85": a text, as the older service has it */
    const char *recommendations;
    const char *patterns[INTELLIGENCE_PATTERNS_MAX];
    int patterns_count;
};

void intelligence_analyse(const char *context, size_t bytes, bool tree_loaded,
                          struct intelligence *result);

#endif
