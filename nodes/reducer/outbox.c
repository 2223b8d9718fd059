/* SPDX-License-Identifier: MIT */
/* outbox.c - the publishing thread. */
#include "reducer/outbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/crash_point.h"
#include "io/kafka.h"
#include "io/log.h"
#include "io/postgres.h"

#define PAGE_MESSAGES 500
#define SLOW_POLL_MS 30000 /* messages of an instance that died before it could publish them */
#define RETRY_MS 500
#define FLUSH_MS 200
#define LOCK_KEY 0x6f6e65786f7574ll /* of the advisory lock: one publisher at a time */
#define APPLICATION_NAME "bridge-reducer outbox"

struct page {
    struct postgres_rows *rows;
    int count;
    atomic_int acknowledged[PAGE_MESSAGES]; /* 0 waiting, 1 acknowledged, -1 refused */
};

struct outbox {
    const struct config *config;
    struct postgres *postgres;
    struct kafka_producer *producer;
    pthread_t thread;
    pthread_mutex_t
        producer_lock; /* around replacing the producer and sending from other threads */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool woken;
    bool stopping;
    struct page page;
};

static void on_delivered(void *context, uint64_t tag_a, uint64_t tag_b, enum error_code code,
                         const char *text)
{
    struct outbox *outbox = context;
    (void)tag_b;
    (void)text;
    if (code != ERR_STOPPING)
        metrics_add(METRIC_EVENTS_PUBLISHED, code ? 1 : 0, 0, 1);
    if (tag_a >= PAGE_MESSAGES)
        return;
    atomic_store(&outbox->page.acknowledged[tag_a], code ? -1 : 1);
}

static bool is_stopping(struct outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    bool stopping = outbox->stopping;
    pthread_mutex_unlock(&outbox->lock);
    return stopping;
}

/* Until woken, stopped or the time has passed. */
static void rest(struct outbox *outbox, int ms)
{
    int64_t until_us = clock_monotonic_us() + (int64_t)ms * 1000;
    pthread_mutex_lock(&outbox->lock);
    while (!outbox->woken && !outbox->stopping &&
           clock_wait(&outbox->changed, &outbox->lock, until_us))
        continue;
    outbox->woken = false;
    pthread_mutex_unlock(&outbox->lock);
}

/* A fatal error of the producer (a gap it cannot close) makes a new one. */
static enum error_code ready_producer(struct outbox *outbox, struct error *error)
{
    enum error_code code = ERR_OK;
    pthread_mutex_lock(&outbox->producer_lock);
    if (outbox->producer && kafka_producer_fatal(outbox->producer)) {
        kafka_producer_free(outbox->producer);
        outbox->producer = NULL;
    }
    if (!outbox->producer)
        code = kafka_producer_new(&outbox->producer, outbox->config, "bridge-reducer", on_delivered,
                                  outbox, error);
    pthread_mutex_unlock(&outbox->producer_lock);
    return code;
}

enum error_code outbox_publish(struct outbox *outbox, const struct kafka_message *message,
                               struct error *error)
{
    BUG_IF(message->tag_a < PAGE_MESSAGES);
    pthread_mutex_lock(&outbox->producer_lock);
    enum error_code code = outbox->producer && !kafka_producer_fatal(outbox->producer)
                               ? kafka_produce(outbox->producer, message, error)
                               : error_set(error, ERR_BROKER, "the producer is being made");
    pthread_mutex_unlock(&outbox->producer_lock);
    return code;
}

static enum error_code publish(struct outbox *outbox, int row, struct error *error)
{
    const struct postgres_rows *rows = outbox->page.rows;
    size_t id_bytes, topic_bytes, key_bytes = 0, value_bytes, type_bytes;
    const char *id = postgres_rows_text(rows, row, 1, &id_bytes);
    const char *topic_text = postgres_rows_text(rows, row, 2, &topic_bytes);
    char *topic = must_strndup(topic_text, topic_bytes);
    const char *key = postgres_rows_text(rows, row, 3, &key_bytes);
    const char *value = postgres_rows_text(rows, row, 4, &value_bytes);
    const char *type = postgres_rows_text(rows, row, 5, &type_bytes);
    struct kafka_header headers[] = {
        {"ce_specversion", "1.0", 3},
        {"ce_id", id, id_bytes},
        {"ce_source", "omninode-bridge", 15},
        {"ce_type", type, type_bytes},
        {"content-type", "application/json", 16},
    };
    const struct kafka_message message = {
        .topic = topic,
        .partition = -1,
        .key = key,
        .key_bytes = key_bytes,
        .value = value,
        .value_bytes = value_bytes,
        .headers = headers,
        .headers_count = (int)(sizeof(headers) / sizeof(headers[0])),
        .tag_a = (uint64_t)row,
    };
    enum error_code code = kafka_produce(outbox->producer, &message, error);
    free(topic);
    return code;
}

/* Waits until every message of the page has an answer; a broker that is away holds this up, not the reducer. */
static void wait_for_answers(struct outbox *outbox, int sent)
{
    while (!is_stopping(outbox) && !kafka_producer_fatal(outbox->producer) &&
           kafka_producer_flush(outbox->producer, FLUSH_MS) > 0)
        continue;
    for (int i = 0; i < sent && is_stopping(outbox); i++) {
        if (atomic_load(&outbox->page.acknowledged[i]) == 0) {
            kafka_producer_flush(outbox->producer, FLUSH_MS);
            break;
        }
    }
}

static enum error_code forget_published(struct outbox *outbox, int *forgotten, struct error *error)
{
    struct postgres_value ids = {0};
    *forgotten = 0;
    postgres_array_start(&ids, PG_INT8);
    for (int i = 0; i < outbox->page.count; i++) {
        if (atomic_load(&outbox->page.acknowledged[i]) != 1)
            continue;
        postgres_push_int8(&ids, postgres_rows_int(outbox->page.rows, i, 0));
        ++*forgotten;
    }
    CRASH_POINT("outbox_published");
    enum error_code code =
        *forgotten == 0 ? ERR_OK
                        : postgres_query(outbox->postgres,
                                         "DELETE FROM reducer_outbox WHERE id = ANY ($1::int8[])",
                                         &ids, 1, NULL, error);
    postgres_value_fini(&ids);
    return code;
}

/* One page; *left tells whether there may be more that can be published now. */
static enum error_code publish_page(struct outbox *outbox, bool *left, struct error *error)
{
    static const char sql[] = "SELECT id, event_id, topic, key, value, event_type FROM "
                              "reducer_outbox ORDER BY id LIMIT 500";
    struct page *page = &outbox->page;
    int forgotten = 0;
    *left = false;
    enum error_code code = ready_producer(outbox, error);
    if (!code)
        code = postgres_query(outbox->postgres, sql, NULL, 0, &page->rows, error);
    if (code)
        return code;
    page->count = postgres_rows_count(page->rows);
    int sent = 0;
    for (int i = 0; i < page->count; i++)
        atomic_store(&page->acknowledged[i], 0);
    while (!code && sent < page->count) {
        code = publish(outbox, sent, error);
        if (!code)
            sent++;
    }
    if (sent > 0) {
        wait_for_answers(outbox, sent);
        enum error_code deleted = forget_published(outbox, &forgotten, error);
        code = deleted ? deleted : code;
        *left =
            !code && (forgotten > 0 && (page->count == PAGE_MESSAGES || forgotten < page->count));
        if (!code && forgotten == 0)
            code = error_set(error, ERR_BROKER, "the broker took none of %d messages", page->count);
    }
    postgres_rows_free(page->rows);
    page->rows = NULL;
    return code;
}

/* A publisher that was stopped would keep the lock for as long as it is. One that has asked the database
 * nothing for ten seconds loses its session: it is stopped, or waits for a broker that nobody can reach. What
 * it published and did not forget comes again under the same id. */
static enum error_code end_stopped_publisher(struct outbox *outbox, struct error *error)
{
    static const char sql[] =
        "SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND (l.classid::int8 << 32 | l.objid::int8) = $1"
        " AND a.application_name = '" APPLICATION_NAME "' AND a.usename = current_user"
        " AND a.state_change < clock_timestamp() - interval '10 s'";
    struct postgres_value key = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_int8(&key, LOCK_KEY);
    enum error_code code = postgres_query(outbox->postgres, sql, &key, 1, &rows, error);
    if (!code && postgres_rows_count(rows) > 0)
        log_warning("ended the session of a publisher that has stopped",
                    LOG_INT("count", postgres_rows_count(rows)));
    postgres_rows_free(rows);
    postgres_value_fini(&key);
    return code;
}

static enum error_code drain(struct outbox *outbox, bool *busy, struct error *error)
{
    struct postgres_value key = {0};
    struct postgres_rows *rows = NULL;
    bool left = true;
    *busy = false;
    postgres_set_int8(&key, LOCK_KEY);
    enum error_code code =
        postgres_query(outbox->postgres, "SELECT pg_try_advisory_lock($1)", &key, 1, &rows, error);
    if (!code) {
        *busy = !postgres_rows_bool(rows, 0, 0);
        postgres_rows_free(rows);
    }
    if (!code && *busy)
        code = end_stopped_publisher(outbox, error);
    if (!code && !*busy) {
        while (!code && left && !is_stopping(outbox))
            code = publish_page(outbox, &left, error);
        struct error ignored;
        if (postgres_query(outbox->postgres, "SELECT pg_advisory_unlock($1)", &key, 1, NULL,
                           &ignored))
            postgres_disconnect(outbox->postgres); /* the lock goes with the session */
    }
    postgres_value_fini(&key);
    return code;
}

static void *run(void *argument)
{
    struct outbox *outbox = argument;
    while (!is_stopping(outbox)) {
        struct error error = {0};
        bool busy = false;
        enum error_code code = drain(outbox, &busy, &error);
        if (code)
            log_warning("the outbox is not empty yet",
                        LOG_TEXT("reason", (const char *)error.text));
        rest(outbox, code || busy ? RETRY_MS : SLOW_POLL_MS);
    }
    return NULL;
}

enum error_code outbox_start(struct outbox **outbox, const struct config *config,
                             const char *database_url, struct error *error)
{
    struct outbox *made = must_calloc(1, sizeof(*made));
    made->config = config;
    made->postgres = postgres_new(database_url, APPLICATION_NAME, NULL);
    postgres_set_reply_timeout(made->postgres, 30000);
    pthread_mutex_init(&made->lock, NULL);
    pthread_mutex_init(&made->producer_lock, NULL);
    clock_condition_init(&made->changed);
    enum error_code code = ready_producer(made, error);
    if (code) {
        postgres_free(made->postgres);
        free(made);
        return code;
    }
    if (pthread_create(&made->thread, NULL, run, made) != 0) {
        kafka_producer_free(made->producer);
        postgres_free(made->postgres);
        free(made);
        return error_set(error, ERR_INTERNAL, "no thread could be started for the outbox");
    }
    *outbox = made;
    return ERR_OK;
}

void outbox_wake(struct outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    outbox->woken = true;
    pthread_cond_signal(&outbox->changed);
    pthread_mutex_unlock(&outbox->lock);
}

void outbox_stop(struct outbox *outbox)
{
    if (!outbox)
        return;
    pthread_mutex_lock(&outbox->lock);
    outbox->stopping = true;
    pthread_cond_signal(&outbox->changed);
    pthread_mutex_unlock(&outbox->lock);
    pthread_join(outbox->thread, NULL);
    if (outbox->producer)
        kafka_producer_flush(outbox->producer, FLUSH_MS);
    kafka_producer_free(outbox->producer);
    postgres_free(outbox->postgres);
    pthread_mutex_destroy(&outbox->lock);
    pthread_mutex_destroy(&outbox->producer_lock);
    pthread_cond_destroy(&outbox->changed);
    free(outbox);
}
