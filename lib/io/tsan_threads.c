/* SPDX-License-Identifier: MIT */
/* C11 threads for ThreadSanitizer builds only. librdkafka starts its threads with thrd_create, which
 * ThreadSanitizer does not know: such a thread crashes at its first allocation. These functions take
 * the place of libc's and go to the pthread functions that it does know. Other builds have none of
 * this; MODE=tsan links it by -u thrd_create. */
#include <threads.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define TSAN 1
#endif

#ifdef TSAN

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"

/* glibc promises this much for its own implementation. */
_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a mtx_t must hold a mutex");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a cnd_t must hold a condition");
_Static_assert(sizeof(thrd_t) == sizeof(pthread_t), "a thrd_t must be a thread");

static pthread_mutex_t *mutex(mtx_t *m) { return (pthread_mutex_t *)m; }
static pthread_cond_t *condition(cnd_t *c) { return (pthread_cond_t *)c; }

static int result(int code)
{
    switch (code) {
    case 0:
        return thrd_success;
    case EBUSY:
        return thrd_busy;
    case ENOMEM:
        return thrd_nomem;
    case ETIMEDOUT:
        return thrd_timedout;
    default:
        return thrd_error;
    }
}

struct start {
    thrd_start_t function;
    void *argument;
};

static void *run(void *context)
{
    struct start start = *(struct start *)context;
    free(context);
    return (void *)(intptr_t)start.function(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
    struct start *start = must_alloc(sizeof *start);
    *start = (struct start){.function = function, .argument = argument};
    int code = pthread_create(thread, NULL, run, start);
    if (code != 0)
        free(start);
    return result(code == EAGAIN ? ENOMEM : code);
}

int thrd_join(thrd_t thread, int *value)
{
    void *ended;
    int code = pthread_join(thread, &ended);
    if (code == 0 && value != NULL)
        *value = (int)(intptr_t)ended;
    return result(code);
}

int thrd_detach(thrd_t thread) { return result(pthread_detach(thread)); }

int mtx_init(mtx_t *m, int type)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    if (type & mtx_recursive)
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    int code = pthread_mutex_init(mutex(m), &attributes);
    pthread_mutexattr_destroy(&attributes);
    return result(code);
}

void mtx_destroy(mtx_t *m) { pthread_mutex_destroy(mutex(m)); }
int mtx_lock(mtx_t *m) { return result(pthread_mutex_lock(mutex(m))); }
int mtx_trylock(mtx_t *m) { return result(pthread_mutex_trylock(mutex(m))); }
int mtx_unlock(mtx_t *m) { return result(pthread_mutex_unlock(mutex(m))); }

int cnd_init(cnd_t *c) { return result(pthread_cond_init(condition(c), NULL)); }
void cnd_destroy(cnd_t *c) { pthread_cond_destroy(condition(c)); }
int cnd_signal(cnd_t *c) { return result(pthread_cond_signal(condition(c))); }
int cnd_broadcast(cnd_t *c) { return result(pthread_cond_broadcast(condition(c))); }
int cnd_wait(cnd_t *c, mtx_t *m) { return result(pthread_cond_wait(condition(c), mutex(m))); }

int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m, const struct timespec *restrict until)
{
    return result(pthread_cond_timedwait(condition(c), mutex(m), until));
}

#endif
