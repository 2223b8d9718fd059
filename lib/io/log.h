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

#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

struct log_field {
    const char *name; /* NULL ends the list */
    const char *text; /* NULL: the number counts */
    int64_t number;
};

#define LOG_TEXT(field_name, value) ((struct log_field){.name = (field_name), .text = (value) ? (value) : ""})
#define LOG_INT(field_name, value) ((struct log_field){.name = (field_name), .number = (int64_t)(value)})

void log_init(const char *service, const char *level); /* level as LOG_LEVEL has it */
void log_set_level(const char *level);
void log_write(enum log_level level, const char *event, const struct log_field *fields);

#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ) {0}})
#define log_debug(event, ...) log_write(LOG_LEVEL_DEBUG, event, LOG_FIELDS(__VA_ARGS__))
#define log_info(event, ...) log_write(LOG_LEVEL_INFO, event, LOG_FIELDS(__VA_ARGS__))
#define log_warning(event, ...) log_write(LOG_LEVEL_WARNING, event, LOG_FIELDS(__VA_ARGS__))
#define log_error(event, ...) log_write(LOG_LEVEL_ERROR, event, LOG_FIELDS(__VA_ARGS__))

#endif
