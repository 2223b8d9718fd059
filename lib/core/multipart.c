/* SPDX-License-Identifier: MIT */
#include "core/multipart.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BOUNDARY_BYTES_MAX 70 /* RFC 2046 */

bool multipart_is_form(const char *content_type)
{
    static const char form[] = "multipart/form-data";
    size_t length = sizeof form - 1;
    return strncasecmp(content_type, form, length) == 0 &&
           strchr("; \t", content_type[length]) != NULL;
}

/* Reads `name=value` or `name="value"` out of a header value's parameters. */
static bool parameter(const char *text, const char *end, const char *name, char *value,
                      size_t value_bytes)
{
    size_t name_bytes = strlen(name);
    for (const char *at = text; at < end;) {
        at = memchr(at, ';', (size_t)(end - at));
        if (at == NULL)
            return false;
        do
            at++;
        while (at < end && (*at == ' ' || *at == '\t'));
        if ((size_t)(end - at) <= name_bytes || strncasecmp(at, name, name_bytes) != 0 ||
            at[name_bytes] != '=')
            continue;
        at += name_bytes + 1;
        bool quoted = at < end && *at == '"';
        size_t used = 0;
        for (at += quoted; at < end && (quoted ? *at != '"' : strchr("; \t\r\n", *at) == NULL);
             at++) {
            if (quoted && *at == '\\' && at + 1 < end && (at[1] == '"' || at[1] == '\\'))
                at++;
            if (used + 1 < value_bytes)
                value[used++] = *at;
        }
        value[used] = '\0';
        return true;
    }
    return false;
}

static const char *header_of(const char *headers, const char *end, const char *name,
                             const char **line_end)
{
    size_t name_bytes = strlen(name);
    for (const char *line = headers; line < end;) {
        const char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);
        if (stop == NULL)
            stop = end;
        if ((size_t)(stop - line) > name_bytes && strncasecmp(line, name, name_bytes) == 0 &&
            line[name_bytes] == ':') {
            *line_end = stop;
            return line + name_bytes + 1;
        }
        line = stop + 2;
    }
    return NULL;
}

/* Fills *part from a part's headers; true when it is the one named. */
static bool take_part(const char *headers, const char *headers_end, const char *name,
                      struct multipart_part *part)
{
    char part_name[MULTIPART_NAME_BYTES];
    const char *line_end;
    const char *disposition = header_of(headers, headers_end, "Content-Disposition", &line_end);
    if (disposition == NULL ||
        !parameter(disposition, line_end, "name", part_name, sizeof part_name) ||
        strcmp(part_name, name) != 0)
        return false;
    part->has_filename =
        parameter(disposition, line_end, "filename", part->filename, sizeof part->filename);
    if (!part->has_filename)
        part->filename[0] = '\0';
    part->content_type[0] = '\0';
    const char *type = header_of(headers, headers_end, "Content-Type", &line_end);
    if (type != NULL) {
        while (type < line_end && *type == ' ')
            type++;
        snprintf(part->content_type, sizeof part->content_type, "%.*s", (int)(line_end - type),
                 type);
    }
    return true;
}

bool multipart_find(const char *content_type, const char *body, size_t bytes, const char *name,
                    struct multipart_part *part)
{
    char boundary[BOUNDARY_BYTES_MAX + 2];
    char delimiter[BOUNDARY_BYTES_MAX + 8];
    if (!multipart_is_form(content_type) ||
        !parameter(content_type, content_type + strlen(content_type), "boundary", boundary,
                   sizeof boundary) ||
        boundary[0] == '\0' || strlen(boundary) > BOUNDARY_BYTES_MAX)
        return false;
    size_t delimiter_bytes = (size_t)snprintf(delimiter, sizeof delimiter, "\r\n--%s", boundary);
    const char *end = body + bytes;
    /* The first delimiter may stand at the very start, without its line break. */
    const char *at =
        bytes >= delimiter_bytes - 2 && memcmp(body, delimiter + 2, delimiter_bytes - 2) == 0
            ? body + delimiter_bytes - 2
            : memmem(body, bytes, delimiter, delimiter_bytes);
    if (at != NULL && at != body + delimiter_bytes - 2)
        at += delimiter_bytes;
    while (at != NULL) {
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        if (end - at < 2 || memcmp(at, "\r\n", 2) != 0)
            return false; /* "--": the last delimiter */
        const char *headers = at + 2;
        const char *headers_end = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
        if (headers_end == NULL)
            return false;
        const char *data = headers_end + 4;
        const char *stop =
            memmem(headers_end + 2, (size_t)(end - headers_end - 2), delimiter, delimiter_bytes);
        if (stop == NULL)
            return false;
        if (headers < headers_end && take_part(headers, headers_end, name, part)) {
            part->data = data;
            part->bytes = stop > data ? (size_t)(stop - data) : 0;
            return true;
        }
        at = stop + delimiter_bytes;
    }
    return false;
}
