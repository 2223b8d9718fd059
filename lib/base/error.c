/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

struct error_row {
    const char *name;
    const char *text;
    int status;
    enum error_retry retry;
};

static const struct error_row rows[ERR_CODES] = {
#define ERROR(symbol, code, status, retry, text)                                                   \
    [ERR_##symbol] = {code, text, status, RETRY_##retry},
#include "base/error.def"
#undef ERROR
};

const char *error_code_name(enum error_code code) { return rows[code].name; }
const char *error_code_text(enum error_code code) { return rows[code].text; }
int error_code_status(enum error_code code) { return rows[code].status; }
enum error_retry error_code_retry(enum error_code code) { return rows[code].retry; }

char *error_cut(const char *text, unsigned long bytes_max)
{
    size_t bytes = text ? strnlen(text, bytes_max + 1) : 0;
    char *copy = must_strndup(text ? text : "", bytes > bytes_max ? bytes_max : bytes);
    if (bytes > bytes_max)
        error_trim(copy, bytes_max + 1);
    return copy;
}

static void fill(struct error *error, enum error_code code, const char *field, const char *format,
                 va_list arguments) PRINTF_LIKE(4, 0);

void error_trim(char *text, unsigned long bytes)
{
    size_t length = strlen(text), start = length;
    if (length + 1 < bytes)
        return;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0 && (unsigned char)text[start - 1] >= 0xc0)
        text[start - 1] = '\0'; /* its last character may lack octets: drop it */
}

static void fill(struct error *error, enum error_code code, const char *field, const char *format,
                 va_list arguments)
{
    if (error == NULL)
        return;
    error->code = code;
    snprintf(error->field, sizeof error->field, "%s", field);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    /* Values are cut by the sentence (%.64s), and the sentence by its place: both within characters. */
    error->field[utf8_keep(error->field, strlen(error->field))] = '\0';
    error->text[utf8_keep(error->text, strlen(error->text))] = '\0';
}

enum error_code error_set(struct error *error, enum error_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(error, code, "", format, arguments);
    va_end(arguments);
    return code;
}

enum error_code error_set_field(struct error *error, enum error_code code, const char *field,
                                const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(error, code, field, format, arguments);
    va_end(arguments);
    return code;
}

void bug_stop(const char *file, int line, const char *what)
{
    fprintf(stderr, "bug: %s:%d: %s\n", file, line, what);
    abort();
}

static void *must(void *memory, unsigned long bytes)
{
    if (memory == NULL && bytes > 0) {
        fprintf(stderr, "out of memory: %lu bytes\n", bytes);
        abort();
    }
    return memory;
}

void *must_alloc(unsigned long bytes) { return must(malloc(bytes), bytes); }
void *must_calloc(unsigned long count, unsigned long bytes)
{
    return must(calloc(count, bytes), count);
}
void *must_realloc(void *memory, unsigned long bytes)
{
    return must(realloc(memory, bytes), bytes);
}
char *must_strdup(const char *text) { return must_strndup(text, strlen(text)); }

char *must_strndup(const char *text, unsigned long bytes)
{
    char *copy = must_alloc(bytes + 1);
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return copy;
}
