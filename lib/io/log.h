/* SPDX-License-Identifier: MIT */
/* log.h - JSON lines on standard output: ts level event service, then fields.
 *
 * Threads   Any; one write(2) per line.
 * Errors    None: a log that cannot be written is dropped.
 * `event` is a literal one can grep. No bodies, no secrets.
 *
 *     log_info("workflow accepted", LOG_TEXT("workflow_id", id), LOG_INT("shard", 3));
 */
#ifndef IO_LOG_H
#define IO_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

struct log_field {
    const char *name; /* NULL ends the list */
    const char *text; /* NULL: the number counts */
    int64_t number;
};

static inline const char *log_text_or_empty(const char *text) { return text != NULL ? text : ""; }

#define LOG_TEXT(field_name, value)                                                                \
    ((struct log_field){.name = (field_name), .text = log_text_or_empty(value)})
#define LOG_INT(field_name, value)                                                                 \
    ((struct log_field){.name = (field_name), .number = (int64_t)(value)})

void log_init(const char *service, const char *level); /* level as LOG_LEVEL has it */
void log_set_level(const char *level);
void log_to_standard_error(void); /* for the command line, whose standard output is the answer */
/* Fields follow as struct log_field, ended by LOG_END; the macros below add it. */
void log_write(enum log_level level, const char *event, ...);

#define LOG_END ((struct log_field){.name = NULL})
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__, LOG_END)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__, LOG_END)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__, LOG_END)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__, LOG_END)

#endif
