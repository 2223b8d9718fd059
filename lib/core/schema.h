/* SPDX-License-Identifier: MIT */
/* schema.h - a documented subset of JSON Schema draft 2020-12. Pure.
 *
 * Owns      A compiled schema is immutable.
 * Threads   Read-only, so any.
 * Errors    A keyword outside the subset is an error finding at compile time. schema_check fills
 *           struct error with the first fault: field is the dotted path ("input.content"), text names
 *           the value and the legal range.
 * Source    json-schema.org draft 2020-12; shared keywords are held against Debian's test suite.
 */
#ifndef CORE_SCHEMA_H
#define CORE_SCHEMA_H

#include "base/error.h"
#include "core/finding.h"
#include "core/json.h"

struct schema;

struct schema *schema_compile(const struct json *document, const char *pointer,
                              const struct source_map *source, struct findings *findings) MUST_USE;
void schema_free(struct schema *schema);
enum error_code schema_check(const struct schema *schema, const struct json *value,
                             const char *field,
                             struct error *error) MUST_USE; /* ERR_OK or ERR_INVALID */

#endif
