/* SPDX-License-Identifier: MIT */
/* source_map.h - from a JSON pointer to its line and column in a file. Pure.
 *
 * finding.h declares how a map is made and freed; here is what its readers use.
 *
 * Owns      The map owns its texts.
 * Threads   Built by one thread, then read-only.
 * Units     Lines and columns from 1.
 */
#ifndef CORE_SOURCE_MAP_H
#define CORE_SOURCE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "core/finding.h"

/* The place of `pointer`, or of its nearest ancestor that is known. False when there is none. */
bool source_map_find(const struct source_map *map, const char *pointer, int *line, int *column);

/* Where in the file the state machine sits: "" or "/state_machine"; findings begin there. */
void source_map_set_base(struct source_map *map, const char *pointer);
const char *source_map_base(const struct source_map *map);

/* Appends "/name" to a pointer text, with ~ and / escaped as RFC 6901 asks. */
void pointer_append(struct buffer *pointer, const char *name, size_t bytes);
void pointer_append_index(struct buffer *pointer, size_t index);
/* Cuts the text back to what it was when it had `bytes` octets. */
void pointer_cut(struct buffer *pointer, size_t bytes);

/* Fills a map from JSON text that json_parse has accepted, and reports names given twice. */
void source_map_scan_json(struct source_map *map, const char *text, size_t bytes,
                          struct findings *findings);

#endif
