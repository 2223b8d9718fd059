/* SPDX-License-Identifier: MIT */
#include "io/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/instant.h"
#include "io/clock.h"

static const char *const level_names[] = {"debug", "info", "warning", "error"};
static atomic_int least_level = LOG_LEVEL_INFO;
static const char *service_name = "";
static atomic_int output = STDOUT_FILENO;

void log_set_level(const char *level)
{
    for (int i = LOG_LEVEL_DEBUG; i <= LOG_LEVEL_ERROR; i++)
        if (strcmp(level, level_names[i]) == 0)
            atomic_store(&least_level, i);
}

void log_init(const char *service, const char *level)
{
    service_name = service;
    log_set_level(level);
}

void log_to_standard_error(void) { atomic_store(&output, STDERR_FILENO); }

static void append_member(struct buffer *line, const char *name, const char *text)
{
    buffer_append_char(line, line->bytes == 0 ? '{' : ',');
    buffer_append_json_text(line, name);
    buffer_append_char(line, ':');
    if (text != NULL)
        buffer_append_json_text(line, text);
}

void log_write(enum log_level level, const char *event, ...)
{
    if ((int)level < atomic_load_explicit(&least_level, memory_order_relaxed))
        return;
    struct buffer line = {0};
    char now[INSTANT_TEXT_BYTES];
    append_member(&line, "ts", instant_format_us(clock_now_us(), now));
    append_member(&line, "level", level_names[level]);
    append_member(&line, "event", event);
    append_member(&line, "service", service_name);
    va_list fields;
    va_start(fields, event);
    for (;;) {
        struct log_field field = va_arg(fields, struct log_field);
        if (field.name == NULL)
            break;
        append_member(&line, field.name, field.text);
        if (field.text == NULL)
            buffer_append_int(&line, field.number);
    }
    va_end(fields);
    buffer_append_text(&line, "}\n");
    ssize_t written =
        write(atomic_load_explicit(&output, memory_order_relaxed), line.data, line.bytes);
    (void)written;
    buffer_fini(&line);
}
