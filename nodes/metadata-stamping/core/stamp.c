/* SPDX-License-Identifier: MIT */
#include "metadata-stamping/core/stamp.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/instant.h"

#define LIGHTWEIGHT_START "# ONEX:uid="
#define RICH_START "<!-- ONEX_METADATA_START -->"
#define RICH_END "<!-- ONEX_METADATA_END -->"
#define LENGTH(literal) (sizeof(literal) - 1)

const char *stamp_type_name(enum stamp_type type)
{
    return type == STAMP_RICH ? "rich" : "lightweight";
}

char *stamp_time(int64_t instant_us, char text[STAMP_TIME_BYTES])
{
    char utc[INSTANT_TEXT_BYTES];
    instant_format_us(instant_us, utc);
    utc[strcspn(utc, "Z")] = '\0';
    snprintf(text, STAMP_TIME_BYTES, "%s+00:00", utc);
    return text;
}

bool stamp_value_fits(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (iscntrl((unsigned char)text[i]))
            return false;
    }
    return memmem(text, bytes, "-->", 3) == NULL;
}

static void write_optional(struct buffer *out, const char *before, const char *value)
{
    if (value == NULL || *value == '\0')
        return;
    buffer_append_text(out, before);
    buffer_append_text(out, value);
}

static void write_rich(const struct stamp_fields *fields, const char *time, struct buffer *out)
{
    buffer_append_format(out,
                         RICH_START "\n<!-- ONEX Metadata Stamp\n  uid: %s\n  hash: %s\n  "
                                    "timestamp: %s\n  protocol_version: %s",
                         fields->uid, fields->hash, time, fields->protocol_version);
    write_optional(out, "\n  file_path: ", fields->file_path);
    if (fields->file_size_bytes >= 0)
        buffer_append_format(out, "\n  file_size: %lld", (long long)fields->file_size_bytes);
    write_optional(out, "\n  content_type: ", fields->content_type);
    if (fields->integrity)
        buffer_append_format(out, "\n  integrity:\n    algorithm: BLAKE3\n    hash: %s",
                             fields->hash);
    buffer_append_text(out, "\n-->\n" RICH_END);
}

void stamp_write(const struct stamp_fields *fields, struct buffer *out)
{
    char time[STAMP_TIME_BYTES];
    stamp_time(fields->created_us, time);
    if (fields->type == STAMP_RICH) {
        write_rich(fields, time, out);
        return;
    }
    buffer_append_format(out, LIGHTWEIGHT_START "%s,hash=%s,ts=%s", fields->uid, fields->hash,
                         time);
    write_optional(out, ",author=", fields->author);
    write_optional(out, ",v=", fields->version);
}

void stamp_apply(enum stamp_type type, const char *stamp, size_t stamp_bytes, const char *content,
                 size_t bytes, struct buffer *out)
{
    buffer_reserve(out, stamp_bytes + bytes + 2);
    if (type == STAMP_LIGHTWEIGHT) {
        buffer_append(out, stamp, stamp_bytes);
        buffer_append(out, "\n", 1);
        buffer_append(out, content, bytes);
    } else {
        buffer_append(out, content, bytes);
        buffer_append(out, "\n\n", 2);
        buffer_append(out, stamp, stamp_bytes);
    }
}

static size_t span(const char *text, const char *end, bool (*fits)(char c))
{
    size_t count = 0;
    while (text + count < end && fits(text[count]))
        count++;
    return count;
}

static bool is_uid(char c) { return isalnum((unsigned char)c) || c == '_' || c == '-'; }
static bool is_hash(char c) { return isalnum((unsigned char)c) != 0; }
static bool is_time(char c)
{
    return isdigit((unsigned char)c) || (c != '\0' && strchr("T:-+.", c) != NULL);
}
static bool is_line(char c) { return c != '\n'; }

/* uid, hash and ts, each at least one character, then anything to the end of the line. */
static bool read_lightweight(const char *content, const char *end, const char *at,
                             struct stamp_found *found)
{
    const char *uid = at + LENGTH(LIGHTWEIGHT_START);
    size_t uid_bytes = span(uid, end, is_uid);
    const char *next = uid + uid_bytes;
    if (uid_bytes == 0 || (size_t)(end - next) < 6 || memcmp(next, ",hash=", 6) != 0)
        return false;
    const char *hash = next + 6;
    size_t hash_bytes = span(hash, end, is_hash);
    next = hash + hash_bytes;
    if (hash_bytes == 0 || (size_t)(end - next) < 4 || memcmp(next, ",ts=", 4) != 0 ||
        span(next + 4, end, is_time) == 0)
        return false;
    *found = (struct stamp_found){.type = STAMP_LIGHTWEIGHT,
                                  .start = (size_t)(at - content),
                                  .end = (size_t)(next + span(next, end, is_line) - content),
                                  .hash = hash,
                                  .hash_bytes = hash_bytes,
                                  .uid = uid,
                                  .uid_bytes = uid_bytes};
    return true;
}

static const char *line_value(const char *start, const char *end, const char *name, size_t *bytes)
{
    const char *at = memmem(start, (size_t)(end - start), name, strlen(name));
    if (at == NULL)
        return NULL;
    at += strlen(name);
    *bytes = span(at, end, is_line);
    return at;
}

static bool find_rich(const char *content, const char *from, const char *end,
                      struct stamp_found *found)
{
    const char *at = memmem(from, (size_t)(end - from), RICH_START, LENGTH(RICH_START));
    const char *stop =
        at == NULL ? NULL : memmem(at, (size_t)(end - at), RICH_END, LENGTH(RICH_END));
    if (stop == NULL)
        return false;
    *found = (struct stamp_found){.type = STAMP_RICH,
                                  .start = (size_t)(at - content),
                                  .end = (size_t)(stop + LENGTH(RICH_END) - content)};
    found->hash = line_value(at, stop, "\n  hash: ", &found->hash_bytes);
    found->uid = line_value(at, stop, "\n  uid: ", &found->uid_bytes);
    return true;
}

static bool find_lightweight(const char *content, const char *from, const char *end,
                             struct stamp_found *found)
{
    while (from < end) {
        const char *at =
            memmem(from, (size_t)(end - from), LIGHTWEIGHT_START, LENGTH(LIGHTWEIGHT_START));
        if (at == NULL)
            return false;
        if (read_lightweight(content, end, at, found))
            return true;
        from = at + 1;
    }
    return false;
}

/* Finds stamps one after another; remembers the next of each type, so the whole walk is linear. */
struct walk {
    const char *content;
    const char *end;
    struct stamp_found lightweight;
    struct stamp_found rich;
    bool has_lightweight;
    bool has_rich;
};

static void walk_start(struct walk *walk, const char *content, size_t bytes, size_t from)
{
    *walk = (struct walk){.content = content, .end = content + bytes};
    walk->has_lightweight =
        find_lightweight(content, content + from, walk->end, &walk->lightweight);
    walk->has_rich = find_rich(content, content + from, walk->end, &walk->rich);
}

static bool walk_next(struct walk *walk, struct stamp_found *found)
{
    if (!walk->has_lightweight && !walk->has_rich)
        return false;
    bool rich =
        walk->has_rich && (!walk->has_lightweight || walk->rich.start < walk->lightweight.start);
    *found = rich ? walk->rich : walk->lightweight;
    const char *from = walk->content + found->end;
    if (walk->has_lightweight && walk->lightweight.start < found->end)
        walk->has_lightweight =
            find_lightweight(walk->content, from, walk->end, &walk->lightweight);
    if (walk->has_rich && walk->rich.start < found->end)
        walk->has_rich = find_rich(walk->content, from, walk->end, &walk->rich);
    return true;
}

bool stamp_find(const char *content, size_t bytes, size_t from, struct stamp_found *found)
{
    struct walk walk;
    walk_start(&walk, content, bytes, from);
    return walk_next(&walk, found);
}

bool stamp_opens_rich(const char *content, size_t bytes)
{
    return memmem(content, bytes, RICH_START, LENGTH(RICH_START)) != NULL;
}

/* The line break that stamp_apply put after a lightweight stamp, the two before a rich one. */
static void widen(const char *content, size_t bytes, size_t from, struct stamp_found *found)
{
    bool at_line_start = found->start == 0 || content[found->start - 1] == '\n';
    if (found->type == STAMP_LIGHTWEIGHT) {
        if (at_line_start && found->end < bytes)
            found->end++; /* the stamp ends where its line ends */
    } else {
        for (int i = 0; i < 2 && found->start > from && content[found->start - 1] == '\n'; i++)
            found->start--;
    }
}

static size_t strip_once(const char *content, size_t bytes, bool with_breaks, struct buffer *out)
{
    struct walk walk;
    struct stamp_found found;
    size_t from = 0;
    size_t count = 0;
    buffer_clear(out);
    buffer_reserve(out, bytes);
    walk_start(&walk, content, bytes, 0);
    while (walk_next(&walk, &found)) {
        if (with_breaks)
            widen(content, bytes, from, &found);
        buffer_append(out, content + from, found.start - from);
        from = found.end;
        count++;
    }
    buffer_append(out, content + from, bytes - from);
    return count;
}

enum error_code stamp_strip(const char *content, size_t bytes, struct buffer *out,
                            struct error *error)
{
    size_t count = strip_once(content, bytes, true, out);
    struct buffer again = {0};
    for (int i = 0; count > 0 && i < STAMP_NESTING_MAX; i++) {
        count = strip_once(buffer_text(out), out->bytes, true, &again);
        struct buffer swap = *out;
        *out = again;
        again = swap;
    }
    buffer_fini(&again);
    if (count > 0)
        return error_set_field(error, ERR_INVALID, "content",
                               "content hides stamps inside of stamps more than %d deep",
                               STAMP_NESTING_MAX);
    return ERR_OK;
}

/* White space as Python's str.strip() has it; gives its length in octets, 0 when it is none. */
static size_t space_at(const char *text, size_t bytes)
{
    const unsigned char *c = (const unsigned char *)text;
    if (bytes >= 1 && ((c[0] >= 0x09 && c[0] <= 0x0d) || (c[0] >= 0x1c && c[0] <= 0x20)))
        return 1;
    if (bytes >= 2 && c[0] == 0xc2 && (c[1] == 0x85 || c[1] == 0xa0))
        return 2;
    if (bytes < 3 || c[0] < 0xe1 || c[0] > 0xe3 || (c[1] & 0xc0) != 0x80 || (c[2] & 0xc0) != 0x80)
        return 0;
    unsigned code = ((unsigned)(c[0] & 15) << 12) | ((unsigned)(c[1] & 63) << 6) | (c[2] & 63u);
    bool space = code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
                 code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
    return space ? 3 : 0;
}

static size_t space_before(const char *text, size_t bytes)
{
    for (size_t length = 1; length <= 3 && length <= bytes; length++) {
        if (space_at(text + bytes - length, length) == length)
            return length;
    }
    return 0;
}

static size_t reduce_newlines(char *text, size_t bytes)
{
    size_t out = 0;
    size_t run = 0;
    for (size_t in = 0; in < bytes; in++) {
        run = text[in] == '\n' ? run + 1 : 0;
        if (run <= 2)
            text[out++] = text[in];
    }
    return out;
}

char *stamp_hash(const char *content, size_t bytes, struct buffer *scratch,
                 char text[CONTENT_HASH_TEXT_BYTES])
{
    strip_once(content, bytes, false, scratch);
    if (memmem(buffer_text(scratch), scratch->bytes, "\n\n\n", 3) != NULL)
        scratch->bytes = reduce_newlines(scratch->data, scratch->bytes);
    const char *start = buffer_text(scratch);
    size_t length = scratch->bytes;
    for (size_t space; (space = space_at(start, length)) > 0;) {
        start += space;
        length -= space;
    }
    for (size_t space; (space = space_before(start, length)) > 0;)
        length -= space;
    return content_hash(start, length, text);
}
