/* SPDX-License-Identifier: MIT */
/* Ends requests whose body comes too slowly. The library bounds each wait for the next octets, not
 * their sum, so a client that sends one octet at a time would hold an HTTP thread for ever. */
#include <stdlib.h>

#include "io/clock.h"
#include "io/http_internal.h"
#include "io/log.h"

#define LOOK_MS_MAX 5000
#define LOOKS_PER_TIMEOUT 4
#define BODY_BYTES_PER_SECOND 65536

struct http_watch {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopping;
    bool stop;
    int port;
    int64_t timeout_ms;
    struct http_exchange *first; /* of all HTTP threads, linked by next_watched */
};

static bool is_late(const struct http_watch *watch, const struct http_exchange *exchange,
                    int64_t now_us)
{
    int64_t started_us = atomic_load(&exchange->body_started_us);
    int64_t extra_ms =
        (int64_t)(atomic_load(&exchange->body_bytes_read) * 1000 / BODY_BYTES_PER_SECOND);
    return started_us != 0 && now_us - started_us > (watch->timeout_ms + extra_ms) * 1000;
}

static void look(struct http_watch *watch)
{
    int64_t now_us = clock_monotonic_us();
    for (struct http_exchange *exchange = watch->first; exchange != NULL;
         exchange = exchange->next_watched) {
        if (!is_late(watch, exchange, now_us))
            continue;
        log_warning("request body came too slowly",
                    LOG_INT("remote_port", atomic_load(&exchange->remote_port)));
        http_port_hang_up(watch->port, atomic_load(&exchange->remote_port));
    }
}

static void *run(void *argument)
{
    struct http_watch *watch = argument;
    int64_t pause_ms = watch->timeout_ms / LOOKS_PER_TIMEOUT;
    pause_ms = pause_ms > LOOK_MS_MAX ? LOOK_MS_MAX : pause_ms;
    pthread_mutex_lock(&watch->lock);
    while (!watch->stop) {
        (void)clock_wait(&watch->stopping, &watch->lock, clock_monotonic_us() + pause_ms * 1000);
        if (!watch->stop)
            look(watch);
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

struct http_watch *http_watch_new(int64_t timeout_ms)
{
    struct http_watch *watch = must_calloc(1, sizeof *watch);
    pthread_mutex_init(&watch->lock, NULL);
    clock_condition_init(&watch->stopping);
    watch->timeout_ms = timeout_ms;
    watch->port = -1; /* not started */
    return watch;
}

enum error_code http_watch_start(struct http_watch *watch, int port, struct error *error)
{
    watch->port = port;
    if (pthread_create(&watch->thread, NULL, run, watch) == 0)
        return ERR_OK;
    watch->port = -1;
    return error_set(error, ERR_INTERNAL, "cannot start a thread");
}

void http_watch_add(struct http_watch *watch, struct http_exchange *exchange)
{
    pthread_mutex_lock(&watch->lock);
    exchange->next_watched = watch->first;
    watch->first = exchange;
    pthread_mutex_unlock(&watch->lock);
}

void http_watch_remove(struct http_watch *watch, struct http_exchange *exchange)
{
    pthread_mutex_lock(&watch->lock);
    struct http_exchange **link = &watch->first;
    while (*link != exchange)
        link = &(*link)->next_watched;
    *link = exchange->next_watched;
    pthread_mutex_unlock(&watch->lock);
}

void http_watch_free(struct http_watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->port >= 0) {
        pthread_mutex_lock(&watch->lock);
        watch->stop = true;
        pthread_cond_signal(&watch->stopping);
        pthread_mutex_unlock(&watch->lock);
        pthread_join(watch->thread, NULL);
    }
    pthread_cond_destroy(&watch->stopping);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}
