/* SPDX-License-Identifier: MIT */
/* asl_picture.h - a state machine as a picture: Mermaid, DOT, SVG, or plain text. Pure.
 *
 * Parallel and Map are drawn with their branches inside. The ways out of a Choice carry a short
 * form of their rule, those of a Catch its error names (dashed in DOT and SVG; Mermaid has no
 * dashes here).
 *
 * Owns      Nothing.
 * Threads   Any.
 * Errors    ERR_TOO_LARGE for an SVG of more than ASL_PICTURE_STATES_MAX states; the other forms
 *           have no bound.
 */
#ifndef CORE_ASL_PICTURE_H
#define CORE_ASL_PICTURE_H

#include "base/buffer.h"
#include "core/json.h"

#define ASL_PICTURE_STATES_MAX 1000 /* of an SVG */

enum asl_picture_format { ASL_PICTURE_MERMAID, ASL_PICTURE_DOT, ASL_PICTURE_SVG, ASL_PICTURE_TEXT };

/* "mermaid", "dot", "svg", "text"; false for others. */
bool asl_picture_format_parse(const char *name, enum asl_picture_format *format);
const char *asl_picture_media_type(enum asl_picture_format format);
/* Appends the picture of the definition; *out is unchanged on error. */
enum error_code asl_picture_write(const struct json *definition, const char *title,
                                  enum asl_picture_format format, struct buffer *out,
                                  struct error *error) MUST_USE;

#endif
