/* SPDX-License-Identifier: MIT */
/* twin_clock.c - io/clock.h and io/log.h on the virtual clock: wall clocks of processes may jump, the
 * monotonic clock is the world's, chance comes from the seed. */
#include <stdarg.h>
#include <string.h>

#include "io/clock.h"
#include "io/log.h"
#include "world.h"

int64_t clock_now_us(void)
{
    const struct process *process = fiber_process();
    return fiber_now_us() + (process == NULL ? 0 : process->wall_offset_us);
}

int64_t clock_monotonic_us(void) { return fiber_now_us() - WORLD_START_US + 1000000; }

void clock_condition_init(pthread_cond_t *condition) { pthread_cond_init(condition, NULL); }

bool clock_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_us)
{
    pthread_mutex_unlock(lock);
    bool woken = fiber_wait(condition, until_us + WORLD_START_US - 1000000);
    pthread_mutex_lock(lock);
    return woken;
}

void clock_sleep_us(int64_t us) { fiber_sleep_us(us); }

static struct chance *chance_here(void)
{
    struct process *process = fiber_process();
    return process == NULL ? &sim.chance : &process->chance;
}

void clock_random(void *octets, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)octets)[i] = (uint8_t)chance_draw(chance_here());
}

double clock_random_unit(void) { return (double)(chance_draw(chance_here()) >> 11) * 0x1.0p-53; }

struct uuid clock_uuid_v7(void)
{
    uint8_t random[10];
    clock_random(random, sizeof random);
    return uuid_v7(clock_now_us() / 1000, random);
}

void log_init(const char *service, const char *level) { (void)service, (void)level; }
void log_set_level(const char *level) { (void)level; }
void log_to_standard_error(void) {}

void log_write(enum log_level level, const char *event, ...)
{
    struct buffer line = {0};
    if (level < LOG_LEVEL_INFO)
        return;
    va_list fields;
    va_start(fields, event);
    buffer_append_text(&line, event);
    for (;;) {
        struct log_field field = va_arg(fields, struct log_field);
        if (field.name == NULL)
            break;
        if (field.text != NULL)
            buffer_append_format(&line, ", %s: %s", field.name, field.text);
        else
            buffer_append_format(&line, ", %s: %lld", field.name, (long long)field.number);
    }
    va_end(fields);
    world_tell(TOLD_LOG, "%s", buffer_text(&line));
    buffer_fini(&line);
}
