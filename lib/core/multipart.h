/* SPDX-License-Identifier: MIT */
/* multipart.h - finds one part of a multipart/form-data body. Pure; lends from the body.
 *
 * Source    RFC 7578, RFC 2046 section 5.1.1.
 */
#ifndef CORE_MULTIPART_H
#define CORE_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#define MULTIPART_NAME_BYTES 256

struct multipart_part {
    const char *data; /* inside the body */
    size_t bytes;
    bool has_filename;
    char filename[MULTIPART_NAME_BYTES]; /* cut off when longer */
    char content_type[MULTIPART_NAME_BYTES];
};

bool multipart_is_form(const char *content_type);
/* False when the content type has no boundary, the body is broken before the part is found, or there
 * is no part of that name. */
bool multipart_find(const char *content_type, const char *body, size_t bytes, const char *name,
                    struct multipart_part *part);

#endif
