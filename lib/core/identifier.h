/* SPDX-License-Identifier: MIT */
/* identifier.h - Unicode identifiers: the names of workflow variables. Pure.
 *
 * Owns      Nothing.
 * Threads   No state.
 * Units     *_bytes are octets of UTF-8, characters are code points.
 * Source    UAX #31, default identifiers: a character of ID_Start, then any of ID_Continue (so it
 *           may hold a low line, but not begin with one); Unicode 14.
 */
#ifndef CORE_IDENTIFIER_H
#define CORE_IDENTIFIER_H

#include <stdbool.h>
#include <stddef.h>

/* Octets of the identifier that text begins with, 0 when it begins with none; *characters (may be
 * NULL) is filled. */
size_t identifier_bytes(const char *text, size_t bytes, size_t *characters);

#endif
