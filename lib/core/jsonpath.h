/* SPDX-License-Identifier: MIT */
/* jsonpath.h - paths into JSON values, as the States Language uses them. Pure.
 *
 *     $.a.b  $['a b']  $["a"]  $.a\.b   names; \ before a character takes it as it is, \u00e9 works
 *     $.a[0]  $.a[-1]                   indexes, from the end when negative
 *     $.a[*]  $.a.*                     every member
 *     $.a[1:3]  $.a[-2:]  $.a[::2]      slices [start:end:step], each may be missing
 *     $.a[0,2]  $['a','b']              unions
 *     $..a  $..*  $..[0]  $..[?(...)]   recursive descent
 *     $.a[?(@.p < 10 && !@.q)]          filters: == != < <= > >=, && before ||, !, parentheses;
 *                                       @ is the member at hand, $ the root; constants are numbers,
 *                                       'texts', "texts", bare words, true, false and null
 *
 * "$$" is the root of the context object, "$name" that of the workflow variable `name`.
 *
 * Where RFC 9535 and the reference service differ, the service is followed:
 *   - A path without *, slices, several indexes, filters and .. is definite: it gives one value, or
 *     nothing. Any other gives an array, empty when nothing fits, also when a name before its first
 *     indefinite part is missing. Only an index, a slice or a filter that meets a wrong type
 *     there (a text, say) finds nothing, which is an error for the callers.
 *   - ['a','b'] at the end gives one object of those members that are there, and is definite.
 *   - A filter looks at the members of an array, but at an object itself.
 *   - @.a alone is true when `a` is there and not null; false, 0 and "" are values like others.
 *   - A bare word is a text: [?(@.kind == home)].
 *   - There are no functions (length()), scripts, regular expressions, nor operators in words.
 * Values of different types are neither equal nor ordered; what is missing equals nothing.
 *
 * Owns      A compiled path is immutable and owns its names.
 * Threads   Read-only, so any.
 * Errors    jsonpath_compile gives NULL with a sentence: what is wrong, at which character, what
 *           would be right. Work and results are bounded (JSONPATH_..._MAX); past that a path
 *           finds nothing, and *too_much of jsonpath_find is set.
 * Source    RFC 9535 for the grammar; the service's documentation of paths and its examples.
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
bool jsonpath_is_definite(const struct jsonpath *path); /* one value or none */
bool jsonpath_is_root(const struct jsonpath *path);     /* "$", "$$" or "$name" */
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
/* The same; *too_much tells whether it finds nothing because a bound was reached. */
struct json *jsonpath_find(const struct jsonpath *path, const struct json *root,
                           bool *too_much) MUST_USE;
/* How many members of containers jsonpath_put copies. */
size_t jsonpath_put_members(const struct jsonpath *path, const struct json *root);
/* A value like root with `member` (taken over) at the place a Reference Path names; objects on the
 * way are made when missing. NULL when something on the way is no object, or an index is not
 * there. */
struct json *jsonpath_put(const struct jsonpath *path, const struct json *root,
                          struct json *member) MUST_USE;

#endif
