/* SPDX-License-Identifier: MIT */
/* buffer.h - a growing run of octets; the string builder of the house.
 *
 * Owns      Its memory. struct buffer zeroed is valid and empty; buffer_fini releases it.
 * Threads   One thread at a time per buffer.
 * Units     *_bytes are octets. The text is always followed by a NUL that bytes does not count
 *           (buffer_text of an empty buffer is "").
 * Errors    Memory exhaustion ends the process (error.h), so appending cannot fail.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct buffer {
    char *data;
    size_t bytes;
    size_t capacity;
};

void buffer_fini(struct buffer *buffer);
void buffer_clear(struct buffer *buffer); /* keeps the memory */
void buffer_reserve(struct buffer *buffer, size_t more_bytes);
const char *buffer_text(const struct buffer *buffer);
char *buffer_take(struct buffer *buffer); /* hands the text to the caller (free), empties */

void buffer_append(struct buffer *buffer, const void *data, size_t bytes);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_char(struct buffer *buffer, char c);
void buffer_append_character(struct buffer *buffer, uint32_t code_point); /* as UTF-8 */
void buffer_append_int(struct buffer *buffer, int64_t value);
void buffer_append_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
void buffer_append_format_list(struct buffer *buffer, const char *format, va_list arguments)
    PRINTF_LIKE(2, 0);

/* A JSON string with quotes and escapes. Input is UTF-8; what is not valid becomes U+FFFD. */
void buffer_append_json_string(struct buffer *buffer, const char *text, size_t bytes);
void buffer_append_json_text(struct buffer *buffer, const char *text); /* NULL becomes null */

/* true when the octets are UTF-8 as RFC 3629 has it (no surrogates, no overlong forms). */
bool utf8_is_valid(const char *text, size_t bytes);
/* Takes away in place the octets that are not UTF-8, such as half a character that a limit has cut; how many are left. */
size_t utf8_keep(char *text, size_t bytes);
size_t utf8_characters(const char *text, size_t bytes); /* of valid UTF-8 */
bool text_ends_with(const char *text, const char *ending);

#endif
