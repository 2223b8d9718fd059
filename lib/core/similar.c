/* SPDX-License-Identifier: MIT */
#include "core/similar.h"

#include <ctype.h>
#include <string.h>

#define BYTES_MAX 80 /* longer names are not compared */

static bool same(char a, char b) { return tolower((unsigned char)a) == tolower((unsigned char)b); }

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Characters to add, remove, change or swap to get from a to b. */
static size_t mistakes_between(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    size_t rows[3][BYTES_MAX + 1]; /* of this character of a, and of the two before */
    for (size_t k = 0; k <= b_bytes; k++)
        rows[0][k] = k;
    for (size_t i = 1; i <= a_bytes; i++) {
        size_t *row = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t k = 1; k <= b_bytes; k++) {
            size_t changed = before[k - 1] + !same(a[i - 1], b[k - 1]);
            row[k] = smaller(changed, smaller(before[k], row[k - 1]) + 1);
            if (i > 1 && k > 1 && same(a[i - 1], b[k - 2]) && same(a[i - 2], b[k - 1]))
                row[k] = smaller(row[k], earlier[k - 2] + 1);
        }
    }
    return rows[a_bytes % 3][b_bytes];
}

void similar_try(struct similar *similar, const char *candidate)
{
    size_t bytes = strlen(similar->name), other = strlen(candidate);
    size_t longer = bytes > other ? bytes - other : other - bytes;
    if (bytes > BYTES_MAX || other > BYTES_MAX || longer > bytes / 3 ||
        strcmp(similar->name, candidate) == 0)
        return;
    size_t mistakes = mistakes_between(similar->name, bytes, candidate, other);
    if (mistakes > bytes / 3 || (similar->best && mistakes >= similar->mistakes))
        return;
    similar->best = candidate;
    similar->mistakes = mistakes;
}

const char *similar_ask(const struct similar *similar, struct buffer *text)
{
    buffer_clear(text);
    if (similar->best)
        buffer_append_format(text, "; did you mean \"%s\"?", similar->best);
    return buffer_text(text);
}
