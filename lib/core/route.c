/* SPDX-License-Identifier: MIT */
#include "core/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

struct route {
    char *method;
    char *pattern; /* cut at its slashes */
    const char *segments[ROUTE_SEGMENTS_MAX];
    bool is_parameter[ROUTE_SEGMENTS_MAX]; /* the segment is then the bare name */
    int count;
};

struct route_table {
    struct route routes[ROUTES_MAX];
    int count;
};

struct route_table *route_table_new(void) { return must_calloc(1, sizeof(struct route_table)); }

void route_table_free(struct route_table *table)
{
    if (table == NULL)
        return;
    for (int i = 0; i < table->count; i++) {
        free(table->routes[i].method);
        free(table->routes[i].pattern);
    }
    free(table);
}

static enum error_code add_segment(struct route *route, char *segment, const char *pattern,
                                   struct error *error)
{
    if (route->count == ROUTE_SEGMENTS_MAX)
        return error_set(error, ERR_INVALID, "route %s has more than %d segments", pattern,
                         ROUTE_SEGMENTS_MAX);
    size_t length = strlen(segment);
    bool is_parameter = length > 2 && segment[0] == '{' && segment[length - 1] == '}';
    if (is_parameter) {
        segment[length - 1] = '\0';
        segment++;
    } else if (length == 0 || strpbrk(segment, "{}") != NULL) {
        return error_set(error, ERR_INVALID, "route %s has a broken segment", pattern);
    }
    route->segments[route->count] = segment;
    route->is_parameter[route->count++] = is_parameter;
    return ERR_OK;
}

enum error_code route_add(struct route_table *table, const char *method, const char *pattern,
                          struct error *error)
{
    if (table->count == ROUTES_MAX)
        return error_set(error, ERR_INVALID, "more than %d routes", ROUTES_MAX);
    if (pattern[0] != '/')
        return error_set(error, ERR_INVALID, "route %s does not begin with /", pattern);
    struct route *route = &table->routes[table->count];
    *route = (struct route){.method = must_strdup(method), .pattern = must_strdup(pattern + 1)};
    enum error_code code = ERR_OK;
    for (char *segment = route->pattern;
         code == ERR_OK && *route->pattern != '\0' && segment != NULL;) {
        char *slash = strchr(segment, '/');
        if (slash != NULL)
            *slash++ = '\0';
        code = add_segment(route, segment, pattern, error);
        segment = slash;
    }
    if (code != ERR_OK) {
        free(route->method);
        free(route->pattern);
        return code;
    }
    table->count++;
    return ERR_OK;
}

static bool matches(const struct route *route, const struct route_path *path)
{
    if (route->count != path->count)
        return false;
    for (int i = 0; i < route->count; i++) {
        if (route->is_parameter[i] ? path->segments[i][0] == '\0'
                                   : strcmp(route->segments[i], path->segments[i]) != 0)
            return false;
    }
    return true;
}

/* Both match the same path: is `a` the more literal one? */
static bool more_literal(const struct route *a, const struct route *b)
{
    for (int i = 0; i < a->count; i++) {
        if (a->is_parameter[i] != b->is_parameter[i])
            return b->is_parameter[i];
    }
    return false;
}

static bool method_fits(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

enum route_result route_find(const struct route_table *table, const char *method,
                             const struct route_path *path, int *route)
{
    int best = -1;
    bool path_known = false;
    for (int i = 0; i < table->count; i++) {
        const struct route *candidate = &table->routes[i];
        if (!matches(candidate, path))
            continue;
        path_known = true;
        if (method_fits(candidate, method) &&
            (best < 0 || more_literal(candidate, &table->routes[best])))
            best = i;
    }
    if (best >= 0)
        *route = best;
    return best >= 0 ? ROUTE_FOUND : path_known ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}

const char *route_parameter(const struct route_table *table, int route,
                            const struct route_path *path, const char *name)
{
    const struct route *r = &table->routes[route];
    for (int i = 0; i < r->count; i++) {
        if (r->is_parameter[i] && strcmp(r->segments[i], name) == 0)
            return path->segments[i];
    }
    return NULL;
}

static void allow(char *text, size_t bytes, const char *method)
{
    size_t used = strlen(text);
    snprintf(text + used, bytes - used, "%s%s", used > 0 ? ", " : "", method);
}

void route_allowed(const struct route_table *table, const struct route_path *path, char *text,
                   size_t bytes)
{
    text[0] = '\0';
    for (int i = 0; i < table->count; i++) {
        const struct route *route = &table->routes[i];
        bool told = !matches(route, path);
        for (int j = 0; j < i && !told; j++)
            told = matches(&table->routes[j], path) &&
                   strcmp(table->routes[j].method, route->method) == 0;
        if (told)
            continue;
        allow(text, bytes, route->method);
        if (strcmp(route->method, "GET") == 0)
            allow(text, bytes, "HEAD");
    }
}

bool route_path_parse(char *text, struct route_path *path)
{
    path->count = 0;
    if (text[0] != '/')
        return false;
    if (text[1] == '\0')
        return true;
    char *segment = text + 1;
    while (segment != NULL) {
        if (path->count == ROUTE_SEGMENTS_MAX)
            return false;
        char *slash = strchr(segment, '/');
        size_t bytes = slash != NULL ? (size_t)(slash - segment) : strlen(segment);
        size_t decoded;
        if (!percent_decode(segment, bytes, false, &decoded))
            return false;
        path->segments[path->count++] = segment;
        segment = slash != NULL ? slash + 1 : NULL;
    }
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool percent_decode(char *text, size_t bytes, bool plus_is_space, size_t *decoded_bytes)
{
    size_t out = 0;
    for (size_t in = 0; in < bytes; in++) {
        char c = text[in];
        if (c == '%') {
            int high = bytes - in > 2 ? hex_value(text[in + 1]) : -1;
            int low = high >= 0 ? hex_value(text[in + 2]) : -1;
            if (low < 0 || high * 16 + low == 0)
                return false;
            c = (char)(high * 16 + low);
            in += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        text[out++] = c;
    }
    text[out] = '\0';
    *decoded_bytes = out;
    return utf8_is_valid(text, out);
}

bool query_parse(char *text, struct query_parameter *parameters, int max, int *count)
{
    *count = 0;
    for (char *part = text; part != NULL;) {
        char *next = strchr(part, '&');
        char *end = next != NULL ? next : part + strlen(part);
        char *equals = memchr(part, '=', (size_t)(end - part));
        char *value = equals != NULL ? equals + 1 : end;
        char *name_end = equals != NULL ? equals : end;
        size_t decoded;
        if (end > part) {
            if (*count == max)
                return false;
            if (!percent_decode(value, (size_t)(end - value), true, &decoded) ||
                !percent_decode(part, (size_t)(name_end - part), true, &decoded))
                return false;
            parameters[(*count)++] = (struct query_parameter){part, equals != NULL ? value : ""};
        }
        part = next != NULL ? next + 1 : NULL;
    }
    return true;
}
