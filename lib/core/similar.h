/* SPDX-License-Identifier: MIT */
/* similar.h - which known name did somebody mean who has misspelt it? For the sentences of
 * findings. Pure.
 *
 * Owns      Nothing; names are lent.
 * Threads   Any.
 * Source    V. Levenshtein, Binary codes capable of correcting deletions, insertions, and
 *           reversals, 1966, with swapped neighbours as one mistake.
 */
#ifndef CORE_SIMILAR_H
#define CORE_SIMILAR_H

#include <stddef.h>

#include "base/buffer.h"

#define SIMILAR_FINDINGS_MAX 50 /* a file with more mistakes gets no further questions */

struct similar {
    const char *name;
    const char *best; /* NULL until something is near enough */
    size_t mistakes;
};

/* Keeps the candidate when it is nearer than those before: at most one mistake in three
 * characters, and another case of letters is none. */
void similar_try(struct similar *similar, const char *candidate);
/* Writes "; did you mean "Say"?", or nothing; lent until the next call on the same buffer. */
const char *similar_ask(const struct similar *similar, struct buffer *text);

#endif
