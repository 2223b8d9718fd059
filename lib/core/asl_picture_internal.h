/* SPDX-License-Identifier: MIT */
/* asl_picture_internal.h - what the files asl_picture*.c share: asl_picture.c has the forms that
 * are text, asl_picture_label.c the words on states and edges, asl_picture_svg.c the drawing.
 *
 * Owns      Nothing.
 */
#ifndef CORE_ASL_PICTURE_INTERNAL_H
#define CORE_ASL_PICTURE_INTERNAL_H

#include "core/asl_outline.h"
#include "core/asl_picture.h"

/* Appends "$.total > 100", "catch States.ALL", "default", or nothing for a plain Next; no line
 * breaks. */
void asl_picture_edge_label(const struct outline_edge *edge, struct buffer *out);
/* "Task", "Wait 30 s", "Map: each of $.items", "Fail OutOfStock". */
void asl_picture_state_label(const struct outline_state *state, struct buffer *out);
/* Appends the text with line breaks and other control characters as spaces, cut after
 * characters_max. */
void asl_picture_text(struct buffer *out, const char *text, size_t characters_max);

enum error_code asl_picture_svg(const struct asl_outline *outline, const char *title,
                                struct buffer *out, struct error *error) MUST_USE;

#endif
