/* SPDX-License-Identifier: MIT */
/* A bounded pool of connections for reads. The connection used last is lent first, so the others grow
 * idle and are closed down to the smallest size. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/log.h"
#include "io/postgres_internal.h"

#define IDLE_US 60000000    /* a connection beyond the smallest size is closed after this time */
#define REPLY_GRACE_MS 2000 /* the server ends a long query; past this the server itself is stuck */

struct idle {
    struct postgres *postgres;
    int64_t since_us;
};

struct postgres_pool {
    char *url;
    char *name;
    char settings[64];
    int min_size;
    int max_size;
    int reply_timeout_ms;
    int64_t acquire_us;
    int64_t max_age_us;
    pthread_mutex_t lock;
    pthread_cond_t returned;
    int lent;
    int idle_count; /* idle[0] is the one unused longest */
    struct idle *idle;
};

struct postgres_pool *postgres_pool_new(const char *url, const char *name, int min_size,
                                        int max_size, int query_timeout_s, int acquire_timeout_s,
                                        int max_age_s)
{
    struct postgres_pool *pool = must_calloc(1, sizeof *pool);
    pool->url = must_strdup(url);
    pool->name = must_strdup(name);
    snprintf(pool->settings, sizeof pool->settings, "-c statement_timeout=%ds", query_timeout_s);
    pool->min_size = min_size;
    pool->max_size = max_size < 1 ? 1 : max_size;
    pool->reply_timeout_ms = query_timeout_s * 1000 + REPLY_GRACE_MS;
    pool->acquire_us = (int64_t)acquire_timeout_s * 1000000;
    pool->max_age_us = (int64_t)max_age_s * 1000000;
    pool->idle = must_calloc((size_t)pool->max_size, sizeof *pool->idle);
    pthread_mutex_init(&pool->lock, NULL);
    clock_condition_init(&pool->returned);
    return pool;
}

void postgres_pool_free(struct postgres_pool *pool)
{
    if (pool == NULL)
        return;
    BUG_IF(pool->lent != 0);
    for (int i = 0; i < pool->idle_count; i++)
        postgres_free(pool->idle[i].postgres);
    pthread_cond_destroy(&pool->returned);
    pthread_mutex_destroy(&pool->lock);
    free(pool->idle);
    free(pool->name);
    free(pool->url);
    free(pool);
}

static void show_utilization(const struct postgres_pool *pool)
{
    metrics_gauge_set(METRIC_POOL_UTILIZATION, 0, 0, (double)pool->lent / (double)pool->max_size);
}

static bool wait_for_return(struct postgres_pool *pool)
{
    int64_t until_us = clock_monotonic_us() + pool->acquire_us;
    while (pool->lent == pool->max_size)
        if (!clock_wait(&pool->returned, &pool->lock, until_us) && pool->lent == pool->max_size)
            return false;
    return true;
}

enum error_code postgres_pool_get(struct postgres_pool *pool, struct postgres **postgres,
                                  struct error *error)
{
    *postgres = NULL;
    pthread_mutex_lock(&pool->lock);
    bool free_one = wait_for_return(pool);
    if (free_one) {
        pool->lent++;
        if (pool->idle_count > 0)
            *postgres = pool->idle[--pool->idle_count].postgres;
        show_utilization(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    if (!free_one) {
        log_warning("Connection pool exhausted", LOG_TEXT("pool", pool->name),
                    LOG_INT("max_size", pool->max_size));
        return error_set(error, ERR_UNAVAILABLE,
                         "All %d database connections of the pool are in use.", pool->max_size);
    }
    if (*postgres == NULL) {
        *postgres = postgres_new(pool->url, pool->name, pool->settings);
        postgres_set_reply_timeout(*postgres, pool->reply_timeout_ms);
    }
    if (postgres_connected(*postgres) &&
        clock_monotonic_us() - (*postgres)->connected_us > pool->max_age_us)
        postgres_disconnect(*postgres);
    return ERR_OK;
}

void postgres_pool_put(struct postgres_pool *pool, struct postgres *postgres)
{
    if (postgres == NULL)
        return;
    struct postgres *surplus = NULL;
    int64_t now_us = clock_monotonic_us();
    pthread_mutex_lock(&pool->lock);
    pool->lent--;
    if (pool->idle_count >= pool->min_size && pool->idle_count > 0 &&
        now_us - pool->idle[0].since_us > IDLE_US) {
        surplus = pool->idle[0].postgres;
        pool->idle_count--;
        for (int i = 0; i < pool->idle_count; i++)
            pool->idle[i] = pool->idle[i + 1];
    }
    pool->idle[pool->idle_count++] = (struct idle){.postgres = postgres, .since_us = now_us};
    show_utilization(pool);
    pthread_cond_signal(&pool->returned);
    pthread_mutex_unlock(&pool->lock);
    postgres_free(surplus);
}
