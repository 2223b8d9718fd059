/* SPDX-License-Identifier: MIT */
/* event_scan.h - reads wanted members out of an event envelope, in one pass and without building a tree.
 * Accepts and refuses exactly the texts that json_parse does. Pure.
 *
 * What is wanted is a table of paths, "event_type" or "payload.order.total", compiled once. Each path, and
 * each object on its way, has a slot; a scan fills the value of every slot.
 *
 * Owns      The table owns its names; values point into the scanned text.
 * Lifetime  Paths are added before the first scan.
 * Threads   A table that is not added to any more may be used by any.
 * Errors    event_scan gives a literal that says what is wrong, or NULL when all is well.
 * Source    RFC 8259. Of a name that comes twice the last one counts.
 */
#ifndef CORE_EVENT_SCAN_H
#define CORE_EVENT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "core/json.h"

#define EVENT_SLOTS_MAX 256      /* paths and the objects on their ways */
#define EVENT_PATH_DEPTH_MAX 8   /* names of one path */
#define EVENT_PATH_BYTES_MAX 255 /* text of one path */

struct event_value {
    enum json_type type; /* JSON_ABSENT when the envelope has no such member */
    bool escaped;        /* a string with escapes: read it with event_value_text */
    const char *data;    /* a string's inside, or the text of any other value */
    size_t bytes;
};

struct event_paths;

struct event_paths *event_paths_new(void) MUST_USE;
void event_paths_free(struct event_paths *paths); /* NULL is fine */
/* The slot of a path, the same for the same path. -1: it is empty, has an empty name, is too long or too
 * deep, or the table is full. */
int event_paths_add(struct event_paths *paths, const char *path, size_t bytes);
int event_paths_count(const struct event_paths *paths); /* slots; values[] needs as many */
const char *event_paths_text(const struct event_paths *paths, int slot);

#define EVENT_HINTS 512
#define EVENT_HINT_BYTES_MAX 32

/* A member as it stood in an event before: its name from the quote to the colon. */
struct event_hint {
    char text[EVENT_HINT_BYTES_MAX];
    uint32_t mask;  /* a bit for each octet of text that counts */
    uint8_t bytes;  /* 0: none */
    int16_t object; /* in which it stood */
    int16_t slot;
    uint16_t next; /* the hint of the member that came after it */
};

/* Events of one kind have the same members in the same order: what comes next is compared with what came
 * there last, and looked up only when it is something else. Zeroed is a valid start. Belongs to one table of
 * paths, and one thread at a time. */
struct event_hints {
    struct event_hint items[EVENT_HINTS];
};

const char *event_scan(const struct event_paths *paths, struct event_hints *hints, const char *text,
                       size_t bytes, struct event_value *values) MUST_USE;

/* The string itself: lent from the event, or decoded into *scratch (which is emptied) when it has
 * escapes. NULL when the value is no string. */
const char *event_value_text(const struct event_value *value, struct buffer *scratch,
                             size_t *bytes);
/* False when the value is no number. */
bool event_value_double(const struct event_value *value, double *number);
/* False when the value is no number without fraction that fits. */
bool event_value_int(const struct event_value *value, int64_t *number);
/* Both at once: false when the value is no number; *whole is set when *is_whole says so. */
bool event_value_number(const struct event_value *value, double *number, int64_t *whole,
                        bool *is_whole);

#endif
