/* SPDX-License-Identifier: MIT */
#include "io/clock.h"

#include <sys/random.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now_us(void) { return read_clock(CLOCK_REALTIME); }
int64_t clock_monotonic_us(void) { return read_clock(CLOCK_MONOTONIC); }

void clock_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool clock_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_us)
{
    struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};
    return pthread_cond_timedwait(condition, lock, &until) == 0;
}

void clock_sleep_us(int64_t us)
{
    struct timespec span = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&span, NULL);
}

#define RANDOM_POOL_BYTES 4096

/* One system call per pool of octets, not per draw. */
static _Thread_local struct {
    uint8_t octets[RANDOM_POOL_BYTES];
    size_t left;
} pool;

void clock_random(void *octets, size_t bytes)
{
    uint8_t *out = octets;
    for (size_t i = 0; i < bytes; i++) {
        if (pool.left == 0) {
            for (size_t have = 0; have < sizeof pool.octets;) {
                ssize_t got = getrandom(pool.octets + have, sizeof pool.octets - have, 0);
                if (got > 0)
                    have += (size_t)got;
            }
            pool.left = sizeof pool.octets;
        }
        out[i] = pool.octets[--pool.left];
    }
}

double clock_random_unit(void)
{
    uint64_t bits;
    clock_random(&bits, sizeof bits);
    return (double)(bits >> 11) * 0x1.0p-53;
}

struct uuid clock_uuid_v7(void)
{
    uint8_t random[10];
    clock_random(random, sizeof random);
    return uuid_v7(clock_now_us() / 1000, random);
}
