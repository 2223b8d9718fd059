/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/plain.h"

#define BUFFER_FIRST_BYTES 64u

void buffer_fini(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->bytes = 0;
    if (buffer->data != NULL)
        buffer->data[0] = '\0';
}

void buffer_reserve(struct buffer *buffer, size_t more_bytes)
{
    size_t needed = buffer->bytes + more_bytes + 1;
    if (needed <= buffer->capacity)
        return;
    size_t capacity = buffer->capacity == 0 ? BUFFER_FIRST_BYTES : buffer->capacity;
    while (capacity < needed)
        capacity *= 2;
    buffer->data = must_realloc(buffer->data, capacity);
    buffer->capacity = capacity;
    buffer->data[buffer->bytes] = '\0';
}

const char *buffer_text(const struct buffer *buffer)
{
    return buffer->data == NULL ? "" : buffer->data;
}

char *buffer_take(struct buffer *buffer)
{
    buffer_reserve(buffer, 0);
    char *text = buffer->data;
    *buffer = (struct buffer){0};
    return text;
}

void buffer_append(struct buffer *buffer, const void *data, size_t bytes)
{
    if (bytes == 0)
        return;
    buffer_reserve(buffer, bytes);
    memcpy(buffer->data + buffer->bytes, data, bytes);
    buffer->bytes += bytes;
    buffer->data[buffer->bytes] = '\0';
}

void buffer_append_character(struct buffer *buffer, uint32_t code_point)
{
    static const unsigned lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    char text[4];
    size_t bytes = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = bytes - 1; i > 0; i--) {
        text[i] = (char)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    text[0] = (char)(lead[bytes] | code_point);
    buffer_append(buffer, text, bytes);
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_append_char(struct buffer *buffer, char c) { buffer_append(buffer, &c, 1); }

void buffer_append_int(struct buffer *buffer, int64_t value)
{
    char digits[24];
    char *p = digits + sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        *--p = '-';
    buffer_append(buffer, p, (size_t)(digits + sizeof digits - p));
}

void buffer_append_format_list(struct buffer *buffer, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int bytes = vsnprintf(NULL, 0, format, arguments);
    BUG_IF(bytes < 0);
    buffer_reserve(buffer, (size_t)bytes);
    vsnprintf(buffer->data + buffer->bytes, (size_t)bytes + 1, format, again);
    va_end(again);
    buffer->bytes += (size_t)bytes;
}

void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buffer_append_format_list(buffer, format, arguments);
    va_end(arguments);
}

/* Octets of the UTF-8 character at text, 0 when it is not valid. */
static size_t utf8_length(const unsigned char *text, size_t bytes)
{
    unsigned char c = text[0];
    if (c < 0x80)
        return 1;
    size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || bytes < length)
        return 0;
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

bool utf8_is_valid(const char *text, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + bytes;
    for (;;) {
        p += plain_ascii_run((const char *)p, (size_t)(end - p));
        if (p == end)
            return true;
        size_t length = utf8_length(p, (size_t)(end - p));
        if (length == 0)
            return false;
        p += length;
    }
}

size_t utf8_keep(char *text, size_t bytes)
{
    size_t kept = 0;
    for (size_t at = 0; at < bytes;) {
        size_t length = utf8_length((const unsigned char *)text + at, bytes - at);
        memmove(text + kept, text + at, length);
        kept += length;
        at += length > 0 ? length : 1;
    }
    return kept;
}

static void append_escape(struct buffer *buffer, unsigned char c)
{
    static const char short_form[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                      ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    if (c < sizeof short_form && short_form[c] != 0) {
        char text[2] = {'\\', short_form[c]};
        buffer_append(buffer, text, 2);
    } else {
        buffer_append_format(buffer, "\\u%04x", c);
    }
}

void buffer_append_json_string(struct buffer *buffer, const char *text, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + bytes, *plain = p;
    buffer_reserve(buffer, bytes + 2);
    buffer_append_char(buffer, '"');
    while (p < end) {
        p += plain_run((const char *)p, (size_t)(end - p));
        if (p == end)
            break;
        if (*p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') {
            p++;
            continue;
        }
        size_t length = *p < 0x80 ? 0 : utf8_length(p, (size_t)(end - p));
        if (length > 0) {
            p += length;
            continue;
        }
        buffer_append(buffer, plain, (size_t)(p - plain));
        if (*p < 0x80)
            append_escape(buffer, *p);
        else
            buffer_append_text(buffer, "\xef\xbf\xbd");
        plain = ++p;
    }
    buffer_append(buffer, plain, (size_t)(p - plain));
    buffer_append_char(buffer, '"');
}

void buffer_append_json_text(struct buffer *buffer, const char *text)
{
    if (text == NULL)
        buffer_append_text(buffer, "null");
    else
        buffer_append_json_string(buffer, text, strlen(text));
}

size_t utf8_characters(const char *text, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

bool text_ends_with(const char *text, const char *ending)
{
    size_t bytes = strlen(text), ending_bytes = strlen(ending);
    return bytes >= ending_bytes && strcmp(text + bytes - ending_bytes, ending) == 0;
}
