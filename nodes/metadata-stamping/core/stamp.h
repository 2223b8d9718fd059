/* SPDX-License-Identifier: MIT */
/* stamp.h - ONEX stamps in texts: writing, finding and removing them. Pure.
 *
 * A lightweight stamp is one line before the content; a rich stamp is an HTML comment after it:
 *
 *     # ONEX:uid=<uid>,hash=<64 hex>,ts=<time with offset>[,author=<a>][,v=<version>]
 *
 *     <!-- ONEX_METADATA_START -->
 *     <!-- ONEX Metadata Stamp
 *       uid: ...  hash: ...  timestamp: ...  and so on, one per line
 *     -->
 *     <!-- ONEX_METADATA_END -->
 *
 * The hash of a stamp is BLAKE3 of the content without stamps, runs of three and more newlines
 * reduced to two, and white space at both ends removed: so it does not change when the content is
 * stamped. Stamping replaces the stamps that are there: stamp_strip undoes stamp_apply octet by
 * octet, so stamps never stack.
 *
 * Owns      Nothing; struct stamp_found points into the content.
 * Threads   No globals.
 * Errors    stamp_strip: ERR_INVALID when stamps are hidden in one another STAMP_NESTING_MAX deep.
 */
#ifndef METADATA_STAMPING_CORE_STAMP_H
#define METADATA_STAMPING_CORE_STAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "core/content_hash.h"

#define STAMP_NESTING_MAX 8
#define STAMP_TIME_BYTES 48

enum stamp_type { STAMP_LIGHTWEIGHT, STAMP_RICH };

const char *stamp_type_name(enum stamp_type type);

struct stamp_fields {
    enum stamp_type type;
    const char *uid;
    const char *hash;
    int64_t created_us;
    const char *protocol_version;
    const char *author;       /* lightweight; NULL or "" leaves it out */
    const char *version;      /* lightweight; likewise */
    const char *file_path;    /* rich; likewise */
    const char *content_type; /* rich; likewise */
    int64_t file_size_bytes;  /* rich; -1 leaves it out */
    bool integrity;           /* rich: the integrity block */
};

struct stamp_found {
    enum stamp_type type;
    size_t start; /* place in the content */
    size_t end;
    const char *hash; /* inside the content; NULL when the stamp has none */
    size_t hash_bytes;
    const char *uid;
    size_t uid_bytes;
};

/* The text of a stamp, without line breaks around it. Values must be free of control characters. */
void stamp_write(const struct stamp_fields *fields, struct buffer *out);
/* Puts a stamp's text before or after content that has none. */
void stamp_apply(enum stamp_type type, const char *stamp, size_t stamp_bytes, const char *content,
                 size_t bytes, struct buffer *out);
/* The first stamp at or after `from`; false when there is none. */
bool stamp_find(const char *content, size_t bytes, size_t from, struct stamp_found *found);
/* Content without stamps that still has the start mark of a rich one: a rich stamp put after it would
 * seem to begin there. */
bool stamp_opens_rich(const char *content, size_t bytes);
/* The content as it was before it was stamped. */
enum error_code stamp_strip(const char *content, size_t bytes, struct buffer *out,
                            struct error *error) MUST_USE;
/* The hash that a stamp of this content carries. `scratch` is working memory. */
char *stamp_hash(const char *content, size_t bytes, struct buffer *scratch,
                 char text[CONTENT_HASH_TEXT_BYTES]);
/* "2026-11-21T16:31:00.123456+00:00" */
char *stamp_time(int64_t instant_us, char text[STAMP_TIME_BYTES]);
/* A value that can stand in a stamp: no control characters, no end of comment. */
bool stamp_value_fits(const char *text, size_t bytes);

#endif
