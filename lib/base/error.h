/* SPDX-License-Identifier: MIT */
/* error.h - the one table of errors, and a place for the sentence that explains one.
 *
 * Owns      Nothing. struct error is the caller's memory; memset(0) is "no error".
 * Threads   No globals; every function is safe from any thread.
 * Errors    Functions that can fail return enum error_code (ERR_OK is 0) and fill struct error when
 *           given one. A sentence names the field, the value and the legal range.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first) __attribute__((format(printf, format_index, first)))

enum error_code {
#define ERROR(symbol, code, status, retry, text) ERR_##symbol,
#include "base/error.def"
#undef ERROR
    ERR_CODES
};

enum error_retry { RETRY_NEVER, RETRY_LATER, RETRY_UNKNOWN };

#define ERROR_TEXT_BYTES 512
#define ERROR_FIELD_BYTES 128

struct error {
    enum error_code code;
    char field[ERROR_FIELD_BYTES]; /* the field at fault, "" when none */
    char text[ERROR_TEXT_BYTES];   /* one sentence, cut off when longer */
};

const char *error_code_name(enum error_code code); /* stable code, for example "queue_full" */
const char *error_code_text(enum error_code code); /* general sentence */
int error_code_status(enum error_code code);       /* HTTP status */
enum error_retry error_code_retry(enum error_code code);

/* Fills *error (which may be NULL) and returns code, so that one can `return error_set(...)`. */
enum error_code error_set(struct error *error, enum error_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);
enum error_code error_set_field(struct error *error, enum error_code code, const char *field,
                                const char *format, ...) PRINTF_LIKE(4, 5);

/* After vsnprintf into text[bytes]: a sentence that was cut off must not end inside a character, for it may
 * be stored. */
void error_trim(char *text, unsigned long bytes);
/* A copy of at most so many octets, likewise; NULL gives "". free() it. */
char *error_cut(const char *text, unsigned long bytes_max) MUST_USE;

/* A broken assumption of our own code: prints where and what, then aborts. Stays on in release. */
#define BUG_IF(condition)                                                                          \
    do {                                                                                           \
        if (__builtin_expect(!!(condition), 0))                                                    \
            bug_stop(__FILE__, __LINE__, #condition);                                              \
    } while (0)
_Noreturn void bug_stop(const char *file, int line, const char *what);

/* Memory that must be had: these never return NULL; exhaustion ends the process with a message,
 * which is safe because nothing is accepted before it is committed. */
void *must_alloc(unsigned long bytes) MUST_USE;
void *must_calloc(unsigned long count, unsigned long bytes) MUST_USE;
void *must_realloc(void *memory, unsigned long bytes) MUST_USE;
char *must_strdup(const char *text) MUST_USE;
char *must_strndup(const char *text, unsigned long bytes) MUST_USE;

#endif
