/* SPDX-License-Identifier: MIT */
/* fuzz.h - what the targets share: a check that says what does not hold, and the given octets cut into texts.
 *
 * A target is one function from octets to properties that must hold. libFuzzer calls it (make fuzz), and so does
 * run_corpus.c for the files of tests/fuzz/corpus (make test-corpus).
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

/* Stays on in every build. */
#define FUZZ_CHECK(held)                                                                           \
    do {                                                                                           \
        if (!(held)) {                                                                             \
            fprintf(stderr, "does not hold: %s (%s:%d)\n", #held, __FILE__, __LINE__);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

struct fuzz_rest {
    const char *text;
    size_t bytes;
};

/* The octets up to the next line end, or all that are left; a text of its own. */
static inline char *fuzz_take_line(struct fuzz_rest *rest)
{
    const char *end = rest->bytes ? memchr(rest->text, '\n', rest->bytes) : NULL;
    size_t bytes = end ? (size_t)(end - rest->text) : rest->bytes;
    char *line = must_strndup(rest->bytes ? rest->text : "", bytes);
    size_t taken = end ? bytes + 1 : bytes;
    rest->text += taken;
    rest->bytes -= taken;
    return line;
}

static inline bool fuzz_same(const struct buffer *a, const struct buffer *b)
{
    return a->bytes == b->bytes && (a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0);
}

#endif
