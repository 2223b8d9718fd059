/* SPDX-License-Identifier: MIT */
/* clock.h - the only place that reads a clock or draws randomness.
 * Units     *_us microseconds.
 */
#ifndef IO_CLOCK_H
#define IO_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

int64_t clock_now_us(void);                           /* wall clock since 1970 UTC */
int64_t clock_monotonic_us(void);                     /* for durations and deadlines */
void clock_condition_init(pthread_cond_t *condition); /* its timed waits take clock_monotonic_us */
/* Waits on such a condition, the lock held; false when until_us has passed. */
bool clock_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_us);
void clock_sleep_us(int64_t us); /* blocks the calling thread */
void clock_random(void *octets, size_t bytes);
double clock_random_unit(void);  /* in [0, 1) */
struct uuid clock_uuid_v7(void); /* never the same twice in a process */

#endif
