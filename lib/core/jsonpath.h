/* SPDX-License-Identifier: MIT */
/* jsonpath.h - paths into JSON values, as the States Language uses them. Pure.
 *
 * Names ($.a.b, $['a b']), indexes ($.a[0], $.a[-1]) and wildcards ($.a[*], $.a.*). A path that
 * begins with "$$" looks into the context object. Slices, unions, filters and recursive descent
 * are refused when the path is compiled.
 *
 * Owns      A compiled path is immutable and owns its names.
 * Threads   Read-only, so any.
 * Errors    jsonpath_compile gives NULL with a sentence. A definite path (one without wildcard)
 *           that finds nothing gives NULL; one with a wildcard gives an array, which may be
 *           empty. A missing name before the first wildcard is "finds nothing" too, as the
 *           reference service has it.
 */
#ifndef CORE_JSONPATH_H
#define CORE_JSONPATH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "core/json.h"

struct jsonpath;

struct jsonpath *jsonpath_compile(const char *text, size_t bytes, struct error *error) MUST_USE;
void jsonpath_free(struct jsonpath *path);
bool jsonpath_is_context(const struct jsonpath *path);  /* begins with "$$" */
bool jsonpath_is_definite(const struct jsonpath *path); /* no wildcard: one value or none */
bool jsonpath_is_root(const struct jsonpath *path);     /* "$" or "$$" */
/* Names and indexes from 0 only, so that it names one place: a Reference Path. */
bool jsonpath_is_reference(const struct jsonpath *path);
/* true when what it finds can be larger than what it looks into: a part of it more than once. */
bool jsonpath_may_repeat(const struct jsonpath *path);
size_t jsonpath_depth(const struct jsonpath *path); /* number of its parts */
const char *jsonpath_text(const struct jsonpath *path);
/* "$name.rest" looks into the variable `name`: its name, NULL for other paths. jsonpath_get then
 * takes the variable's value as root. */
const char *jsonpath_variable(const struct jsonpath *path);

/* What the path finds below root; a new reference, or NULL when it finds nothing. */
struct json *jsonpath_get(const struct jsonpath *path, const struct json *root) MUST_USE;
/* A value like root with `member` (taken over) at the place a Reference Path names; objects on the
 * way are made when missing. NULL when something on the way is no object, or an index is not
 * there. */
struct json *jsonpath_put(const struct jsonpath *path, const struct json *root,
                          struct json *member) MUST_USE;

#endif
