/* SPDX-License-Identifier: MIT */
/* page_cursor.h - what clients give back to the lists: where the next page of rows begins, and the event that an
 * answer shall wait for (?after=). Both are texts that anybody can change. Pure.
 *
 * Owns      Nothing; what after_token_read finds lies in its text.
 * Threads   No globals.
 * Units     *_us microseconds since 1970 UTC, *_ms milliseconds, *_bytes octets.
 * Errors    false: it is not one of ours.
 *
 * Cursor: the order (a or d), window start in microseconds, length in milliseconds, number of the definition, group
 * in hexadecimal, with dots between them. Token: <lane>:<seq>:<workflow_id>, percent-encoded.
 */
#ifndef REDUCER_CORE_PAGE_CURSOR_H
#define REDUCER_CORE_PAGE_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "core/aggregation.h"

struct page_cursor {
    bool oldest_first;
    int64_t start_us, window_ms;
    int32_t definition;
    char group[AGGREGATION_GROUP_BYTES_MAX + 1];
};

void page_cursor_write(const struct page_cursor *cursor, struct buffer *out);
bool page_cursor_read(const char *text, struct page_cursor *cursor);

struct after_token {
    const char *lane, *workflow;
    int64_t seq;
};

/* Decodes and cuts the text in place. */
bool after_token_read(char *text, struct after_token *token);

#endif
