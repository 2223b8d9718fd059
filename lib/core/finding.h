/* SPDX-License-Identifier: MIT */
/* finding.h - what is wrong with a file, all at once: file:line:column, stable code, sentence.
 *
 * Owns      struct findings owns its texts; zeroed is empty. struct source_map owns its entries.
 * Threads   One thread at a time.
 * Units     Lines and columns from 1.
 * Errors    Past FINDINGS_MAX findings are counted only.
 */
#ifndef CORE_FINDING_H
#define CORE_FINDING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "core/json.h"

#define FINDINGS_MAX 1000 /* kept; of further ones the number is told */

enum finding_severity { FINDING_ERROR, FINDING_WARNING };

struct finding {
    enum finding_severity severity;
    char *file;
    int line;
    int column;
    char *code;    /* for example "ASL_UNKNOWN_FIELD" */
    char *pointer; /* JSON pointer of the place, "/States/Hash/Next" */
    char *text;    /* sentence that names the thing */
};

struct findings {
    struct finding *items;
    size_t count;
    size_t capacity;
    size_t errors;   /* those past FINDINGS_MAX included */
    size_t left_out; /* past FINDINGS_MAX */
};

void findings_fini(struct findings *findings);

/* JSON pointer to place in a file, as the YAML or JSON reader saw it. */
struct source_map;
struct source_map *source_map_new(const char *file) MUST_USE;
void source_map_free(struct source_map *map);
void source_map_add(struct source_map *map, const char *pointer, int line, int column);
const char *source_map_file(const struct source_map *map);

/* Adds one; its place is that of `pointer` or its nearest ancestor in the map, which may be NULL. */
void finding_add(struct findings *findings, enum finding_severity severity,
                 const struct source_map *map, const char *pointer, const char *code,
                 const char *format, ...) PRINTF_LIKE(6, 7);
/* Puts the findings from items[from] on into the order of their places; of two that say the same
 * about the same place one goes. For one file at a time: the order of files is that of adding. */
void findings_sort(struct findings *findings, size_t from);
/* "file:line:column: error CODE: text" lines, and how many were left out. */
void findings_write(const struct findings *findings, struct buffer *out);
struct json *findings_json(const struct findings *findings) MUST_USE;

#endif
