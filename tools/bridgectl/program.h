/* SPDX-License-Identifier: MIT */
/* program.h - runs a foreign program where one is installed: dot, spin, cc.
 *
 * Owns      The caller owns the output.
 * Threads   Main thread.
 * Errors    program_run gives the exit status, -1 when the program could not be run or was killed.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdbool.h>

#include "base/buffer.h"

bool program_exists(const char *name); /* in PATH */
/* Runs argv[0] of PATH with the given directory (NULL: this one) and standard input (NULL: none),
 * and appends what it writes, on standard output and standard error, to *output. */
int program_run(const char *const *argv, const char *directory, const struct buffer *input,
                struct buffer *output) MUST_USE;

#endif
