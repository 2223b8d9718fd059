/* SPDX-License-Identifier: MIT */
/* route.h - which handler a method and path belong to; percent-encoding and query strings. Pure.
 *
 * Owns      struct route_table owns its copies of the patterns.
 * Threads   A table is read-only once built, so any.
 * Errors    route_add: ERR_INVALID for a pattern that is not one. Decoding: false for a broken
 *           escape, a NUL or octets that are not UTF-8.
 */
#ifndef CORE_ROUTE_H
#define CORE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define ROUTE_SEGMENTS_MAX 16
#define ROUTES_MAX 128
#define QUERY_PARAMETERS_MAX 64

struct route_table;

/* A decoded path, cut at its slashes. "/" has no segments. */
struct route_path {
    const char *segments[ROUTE_SEGMENTS_MAX];
    int count;
};

enum route_result { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };

struct route_table *route_table_new(void) MUST_USE;
void route_table_free(struct route_table *table);
/* "/api/{id}/history": {name} matches one segment. Routes are numbered from 0 in order of adding. */
enum error_code route_add(struct route_table *table, const char *method, const char *pattern,
                          struct error *error) MUST_USE;
/* Literal segments win over parameters, the leftmost difference decides. HEAD follows GET. */
enum route_result route_find(const struct route_table *table, const char *method,
                             const struct route_path *path, int *route);
/* The segment that {name} of a route stands for, or NULL. */
const char *route_parameter(const struct route_table *table, int route,
                            const struct route_path *path, const char *name);
/* "GET, HEAD, POST": the methods that the path has. */
void route_allowed(const struct route_table *table, const struct route_path *path, char *text,
                   size_t bytes);

/* Cuts and decodes in place; `text` begins with '/' and must outlive the path. */
bool route_path_parse(char *text, struct route_path *path);

/* Decodes %XX in place (and '+' to a space when plus_is_space), ends the text with a NUL and gives
 * its length. */
bool percent_decode(char *text, size_t bytes, bool plus_is_space, size_t *decoded_bytes);

struct query_parameter {
    const char *name;
    const char *value;
};
/* Cuts "a=1&b=2" in place and decodes it; false also when there are more than `max`. */
bool query_parse(char *text, struct query_parameter *parameters, int max, int *count);

#endif
