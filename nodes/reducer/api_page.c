/* SPDX-License-Identifier: MIT */
#include "reducer/api_page.h"

#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "core/window.h"

#define CURSOR_HEADER "X-Next-Cursor"

/* The weight among a range's parameters, in thousandths; 1000 when there is none that is well formed. */
static int weight_of(const char *parameters, const char *end)
{
    const char *p = memchr(parameters, ';', (size_t)(end - parameters));
    for (; p; p = memchr(p, ';', (size_t)(end - p))) {
        p++;
        p += strspn(p, " \t");
        if (end - p < 3 || strncasecmp(p, "q=", 2) != 0 || (p[2] != '0' && p[2] != '1'))
            continue;
        int weight = (p[2] - '0') * 1000, unit = 100;
        for (p += p[3] == '.' ? 4 : 3; p < end && *p >= '0' && *p <= '9'; p++, unit /= 10)
            weight += (*p - '0') * unit;
        return weight > 1000 ? 1000 : weight;
    }
    return 1000;
}

/* How much Accept likes a type: its q in thousandths, -1 when it does not name it. Of ranges that fit, the one
 * that says most counts (RFC 9110, section 12.5.1). */
static int accepted(const char *accept, const char *type)
{
    size_t slash = (size_t)(strchr(type, '/') - type), best = 0;
    int quality = -1;
    for (const char *p = accept; *p;) {
        size_t bytes = strcspn(p, ",");
        size_t spaces = strspn(p, " \t");
        const char *range = p + spaces;
        size_t range_bytes = strcspn(range, ";, \t");
        size_t told = 0;
        if (range_bytes == strlen(type) && strncasecmp(range, type, range_bytes) == 0)
            told = 3;
        else if (range_bytes == slash + 2 && strncasecmp(range, type, slash + 1) == 0 &&
                 range[slash + 1] == '*')
            told = 2;
        else if (range_bytes == 3 && strncmp(range, "*/*", 3) == 0)
            told = 1;
        if (told > best) {
            best = told;
            quality = weight_of(range, p + bytes);
        }
        p += bytes;
        p += *p == ',';
    }
    return quality;
}

/* More than JSON, or as much and by its name. */
static bool prefers_csv(const char *accept)
{
    int csv = accepted(accept, "text/csv"), json = accepted(accept, "application/json");
    return csv > 0 && (csv > json || (csv == json && strcasestr(accept, "text/csv")));
}

enum error_code page_wants_csv(struct http_request *request, bool *csv, struct error *error)
{
    const char *format = http_query(request, "format");
    const char *accept = http_header(request, "Accept");
    *csv = format ? strcmp(format, "csv") == 0 : accept && prefers_csv(accept);
    if (!format || *csv || strcmp(format, "json") == 0)
        return ERR_OK;
    return error_set_field(error, ERR_INVALID, "format",
                           "format is \"%.60s\"; it must be json or csv", format);
}

enum error_code page_order(struct http_request *request, bool *oldest_first, struct error *error)
{
    const char *order = http_query(request, "order");
    if (!order)
        return ERR_OK;
    *oldest_first = strcmp(order, "asc") == 0;
    if (*oldest_first || strcmp(order, "desc") == 0)
        return ERR_OK;
    return error_set_field(error, ERR_INVALID, "order",
                           "order is \"%.60s\"; it must be asc or desc", order);
}

enum error_code page_instant(struct http_request *request, const char *name, int64_t *instant_us,
                             struct error *error)
{
    const char *text = http_query(request, name);
    *instant_us = WINDOW_NO_TIME;
    if (!text || instant_parse(text, strlen(text), instant_us))
        return ERR_OK;
    return error_set_field(error, ERR_INVALID, name,
                           "%s is \"%.60s\"; it must be a time such as 2026-11-21T16:31:00Z", name,
                           text);
}

void page_answer(struct http_response *response, struct json *page,
                 const struct csv_columns *columns, bool csv)
{
    http_response_header(response, "Vary", "Accept");
    if (csv) {
        const char *cursor = json_string_or(json_get(page, "next_cursor"), NULL);
        response->status = 200;
        response->content_type = "text/csv; charset=utf-8; header=present";
        buffer_clear(&response->body);
        csv_items(&response->body, columns->items, columns->count, json_get(page, "items"));
        if (cursor)
            http_response_header(response, CURSOR_HEADER, cursor);
    } else {
        http_json(response, 200, page);
    }
    json_release(page);
}
