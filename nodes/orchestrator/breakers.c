/* SPDX-License-Identifier: MIT */
#include "orchestrator/breakers.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/metrics.h"
#include "io/clock.h"
#include "io/log.h"
#include "orchestrator/schema.h"
#include "orchestrator/worker.h"

#define CHANNEL "bridge_breakers"
#define RETRY_US INT64_C(200000)
#define COMMAND_TIMEOUT_US INT64_C(10000000)

struct guarded {
    const struct service *service;
    pthread_mutex_t lock;
    struct breaker breaker;
    uint64_t waiting;         /* workers that asked in vain, a bit each */
    int64_t revision;         /* of the row that is known; 0: none */
    int64_t since_us;         /* wall clock, of the state */
    uint64_t stored;          /* counts what was written or adopted */
    bool writing;             /* what changed is on its way to the table */
    enum breaker_state shown; /* in log and metrics: the thread's */
    bool shown_by_hand;
    atomic_llong held;
};

struct breakers {
    struct orchestrator *orchestrator;
    struct guarded *items;
    int count;
    struct postgres *postgres;
    int64_t listening_us; /* postgres_connected_us of the session that listens; 0: none */
    int64_t instances;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    int wake; /* eventfd */
    pthread_mutex_t lock;
    pthread_cond_t stored; /* some row was written or adopted */
};

static void wake(struct breakers *breakers) { eventfd_write(breakers->wake, 1); }

static bool is_shared(const struct breakers *breakers)
{
    return schema_at_least(breakers->orchestrator, SCHEMA_WITH_BREAKERS);
}

bool breakers_keep_holds(const struct orchestrator *orchestrator)
{
    return orchestrator->breakers != NULL && is_shared(orchestrator->breakers);
}

static void wake_workers(struct breakers *breakers, uint64_t workers)
{
    for (int i = 0; i < breakers->orchestrator->workers_count; i++)
        if (workers >> i & 1)
            worker_wake(breakers->orchestrator->workers[i]);
}

/* Limits are of all instances together. */
static void set_settings(struct breakers *breakers, struct guarded *guarded)
{
    const struct service *service = guarded->service;
    const struct config *config = breakers->orchestrator->config;
    int64_t instances = breakers->instances < 1 ? 1 : breakers->instances;
    int64_t own = config->orchestrator_concurrency * config->orchestrator_workers;
    int64_t share = (service->concurrency + instances - 1) / instances;
    int64_t timeout_ms =
        service->timeout_ms > 0 ? service->timeout_ms : config->orchestrator_step_timeout_ms;
    guarded->breaker.settings = (struct breaker_settings){
        .holds = service->hold_when_open,
        .failure_rate = (int)service->failure_rate_threshold,
        .slow_rate = (int)service->slow_call_rate_threshold,
        .minimum_calls = (int)service->minimum_calls,
        .window_calls = (int)service->window_calls,
        .slow_us = service->slow_call_ms * 1000,
        .open_us = service->open_ms * 1000,
        .round_us = service->round_ms * 1000,
        .patience_us = (service->open_ms + timeout_ms) * 1000,
        .calls = share,
        .round_calls_max = share > 0 && share < own ? share : own,
        .calls_per_1000s =
            service->rate_per_second == 0 ? 0 : service->rate_per_second * 1000 / instances,
    };
}

/* -- the gate of the workers -- */

static struct breaker_answer ask(void *context, int service, int64_t now_us)
{
    const struct breakers_view *view = context;
    struct guarded *guarded = &view->breakers->items[service];
    (void)now_us; /* breakers go by a clock that does not jump */
    pthread_mutex_lock(&guarded->lock);
    bool wanted_before = guarded->breaker.wants_probe;
    struct breaker_answer answer = breaker_ask(&guarded->breaker, clock_monotonic_us());
    bool wants_now = guarded->breaker.wants_probe && !wanted_before;
    if (answer.verdict != BREAKER_PASS)
        guarded->waiting |= UINT64_C(1) << view->worker;
    pthread_mutex_unlock(&guarded->lock);
    if (wants_now)
        wake(view->breakers);
    if (answer.verdict == BREAKER_REFUSE)
        metrics_add(METRIC_SERVICE_REFUSED, service, 0, 1);
    return answer;
}

static bool park(void *context, int service, bool before)
{
    const struct breakers_view *view = context;
    struct guarded *guarded = &view->breakers->items[service];
    if (atomic_fetch_add(&guarded->held, 1) >= guarded->service->held_max && !before) {
        atomic_fetch_sub(&guarded->held, 1);
        metrics_add(METRIC_SERVICE_REFUSED, service, 0, 1);
        return false;
    }
    metrics_gauge_add(METRIC_SERVICE_HELD, service, 0, 1);
    return true;
}

static void unpark(void *context, int service, size_t count)
{
    const struct breakers_view *view = context;
    atomic_fetch_sub(&view->breakers->items[service].held, (long long)count);
    metrics_gauge_add(METRIC_SERVICE_HELD, service, 0, -(double)count);
}

void breakers_gate(struct breakers_view *view, struct engine_gate *gate)
{
    *gate = (struct engine_gate){
        .context = view,
        .services = registry_services(view->breakers->orchestrator->registry),
        .ask = ask,
        .park = park,
        .unpark = unpark,
    };
}

bool breakers_end(const struct breakers_view *view, int service, uint32_t era,
                  enum breaker_outcome outcome, int64_t took_us)
{
    struct guarded *guarded = &view->breakers->items[service];
    pthread_mutex_lock(&guarded->lock);
    bool slow = took_us > guarded->breaker.settings.slow_us;
    uint32_t era_before = guarded->breaker.era;
    bool parks = breaker_end(&guarded->breaker, era, outcome, took_us, clock_monotonic_us());
    bool changed = guarded->breaker.changed;
    if (guarded->breaker.era != era_before)
        guarded->since_us = clock_now_us();
    uint64_t waiting = guarded->waiting;
    guarded->waiting = 0;
    pthread_mutex_unlock(&guarded->lock);
    if (outcome != BREAKER_UNKNOWN) /* the worker asks again by itself, with the answer */
        waiting &= ~(UINT64_C(1) << view->worker);
    wake_workers(view->breakers, waiting);
    if (changed)
        wake(view->breakers);
    if (outcome != BREAKER_UNKNOWN)
        metrics_add(METRIC_SERVICE_CALLS, service, outcome == BREAKER_BAD, 1);
    if (outcome != BREAKER_UNKNOWN && slow)
        metrics_add(METRIC_SERVICE_SLOW, service, 0, 1);
    return parks;
}

/* -- the table -- */

/* The first revision is the time: a row that was deleted does not come back with a revision that somebody knows. */
static const char sql_write[] =
    "WITH w AS (INSERT INTO service_breakers AS b (service, state, by_hand, since, reason, "
    "released, prober, revision) SELECT $1, $2, $3, clock_timestamp() - make_interval(secs => $4), "
    "$5, "
    "$6, $7, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint WHERE $8 = 0 OR EXISTS "
    "(SELECT 1 FROM service_breakers WHERE service = $1) "
    "ON CONFLICT (service) DO UPDATE SET state = excluded.state, by_hand = excluded.by_hand, "
    "since = excluded.since, reason = excluded.reason, released = excluded.released, "
    "prober = excluded.prober, revision = b.revision + 1, changed_at = clock_timestamp() "
    "WHERE b.revision = $8 RETURNING revision) "
    "SELECT revision, pg_notify('" CHANNEL "', $1) FROM w";
static const char sql_read[] =
    "SELECT service, state, by_hand, reason, revision, "
    "(extract(epoch FROM clock_timestamp() - changed_at) * 1000000)::bigint, since, "
    "prober IS NULL OR prober = $1 OR NOT EXISTS (SELECT 1 FROM instances i WHERE i.instance_id = "
    "prober "
    "AND i.lease_expires_at > clock_timestamp()) FROM service_breakers";
static const char sql_instances[] =
    "SELECT count(*) FROM instances WHERE lease_expires_at > clock_timestamp()";
#define WRITE_COLUMNS 8

/* What is to be written, taken under the lock. */
struct intent {
    bool probes; /* asks for the probe */
    enum breaker_state state;
    bool by_hand, mine;
    int64_t released, age_us, revision;
    uint32_t era;
    char reason[BREAKER_REASON_BYTES];
};

static bool take_intent(struct guarded *guarded, struct intent *intent)
{
    struct breaker *breaker = &guarded->breaker;
    pthread_mutex_lock(&guarded->lock);
    bool wanted = breaker->changed || breaker->wants_probe;
    *intent = (struct intent){.probes = !breaker->changed && breaker->wants_probe,
                              .state = breaker->state,
                              .by_hand = breaker->by_hand,
                              .mine = breaker->mine,
                              .released = breaker->round_calls,
                              .age_us = clock_monotonic_us() - breaker->state_us,
                              .revision = guarded->revision,
                              .era = breaker->era};
    memcpy(intent->reason, breaker->reason, sizeof intent->reason);
    breaker->changed = false;
    guarded->writing = wanted;
    pthread_mutex_unlock(&guarded->lock);
    if (intent->probes) {
        intent->state = BREAKER_HALF_OPEN;
        intent->mine = true;
        intent->released = 1;
        intent->age_us = 0;
    }
    if (intent->state != BREAKER_HALF_OPEN || !intent->mine)
        intent->released = 0;
    return wanted;
}

static enum error_code write_row(struct breakers *breakers, const struct guarded *guarded,
                                 const struct intent *intent, int64_t *revision,
                                 struct error *error)
{
    struct postgres_value values[WRITE_COLUMNS] = {{0}};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], guarded->service->name);
    postgres_set_string(&values[1], breaker_state_name(intent->state));
    postgres_set_bool(&values[2], intent->by_hand);
    postgres_set_double(&values[3], (double)intent->age_us / 1e6);
    postgres_set_string(&values[4], intent->reason);
    postgres_set_int4(&values[5], (int32_t)intent->released);
    if (intent->mine)
        postgres_set_uuid(&values[6], &breakers->orchestrator->instance_id);
    else
        postgres_set_null(&values[6], PG_UUID);
    postgres_set_int8(&values[7], intent->revision);
    enum error_code code =
        postgres_query(breakers->postgres, sql_write, values, WRITE_COLUMNS, &rows, error);
    *revision =
        code == ERR_OK && postgres_rows_count(rows) > 0 ? postgres_rows_int(rows, 0, 0) : -1;
    postgres_rows_free(rows);
    postgres_values_fini(values, WRITE_COLUMNS);
    return code;
}

static void told_everybody(struct breakers *breakers)
{
    pthread_mutex_lock(&breakers->lock);
    pthread_cond_broadcast(&breakers->stored);
    pthread_mutex_unlock(&breakers->lock);
}

/* The row is written: revision; -1 when another instance was quicker, whose row is read next. */
static void written(struct breakers *breakers, struct guarded *guarded, const struct intent *intent,
                    int64_t revision)
{
    pthread_mutex_lock(&guarded->lock);
    guarded->writing = false;
    if (revision >= 0) {
        guarded->revision = revision;
        guarded->stored++;
    } else {
        guarded->revision = -1; /* whatever the row has, it is adopted */
    }
    if (revision >= 0 && intent->probes && guarded->breaker.era == intent->era) {
        breaker_grant(&guarded->breaker, clock_monotonic_us());
        guarded->breaker.changed = false;
        guarded->since_us = clock_now_us();
    }
    uint64_t waiting = guarded->waiting;
    guarded->waiting = 0;
    pthread_mutex_unlock(&guarded->lock);
    wake_workers(breakers, waiting);
    told_everybody(breakers);
}

static enum error_code store(struct breakers *breakers, bool *overtaken, struct error *error)
{
    for (int i = 0; i < breakers->count; i++) {
        struct guarded *guarded = &breakers->items[i];
        struct intent intent;
        int64_t revision = 0;
        if (!take_intent(guarded, &intent))
            continue;
        enum error_code code = ERR_OK;
        if (is_shared(breakers))
            code = write_row(breakers, guarded, &intent, &revision, error);
        if (code != ERR_OK) {
            pthread_mutex_lock(&guarded->lock);
            guarded->breaker.changed = guarded->breaker.changed || !intent.probes;
            guarded->writing = false;
            pthread_mutex_unlock(&guarded->lock);
            return code;
        }
        *overtaken = *overtaken || revision < 0;
        written(breakers, guarded, &intent, revision);
    }
    return ERR_OK;
}

static void adopt_row(struct breakers *breakers, const struct postgres_rows *rows, int row)
{
    const struct services *services = registry_services(breakers->orchestrator->registry);
    int service = services_index(services, postgres_rows_text(rows, row, 0, NULL));
    struct breaker_news news = {.by_hand = postgres_rows_bool(rows, row, 2),
                                .reason = postgres_rows_text(rows, row, 3, NULL),
                                .age_us = postgres_rows_int(rows, row, 5),
                                .free_to_probe = postgres_rows_bool(rows, row, 7)};
    if (service < 0 || !breaker_state_of_name(postgres_rows_text(rows, row, 1, NULL), &news.state))
        return;
    struct guarded *guarded = &breakers->items[service];
    uint64_t waiting = 0;
    pthread_mutex_lock(&guarded->lock);
    bool other = guarded->revision != postgres_rows_int(rows, row, 4);
    if (other && (!guarded->breaker.changed || guarded->revision < 0)) {
        breaker_adopt(&guarded->breaker, &news, clock_monotonic_us());
        guarded->revision = postgres_rows_int(rows, row, 4);
        guarded->since_us = postgres_rows_instant(rows, row, 6);
        guarded->stored++;
        waiting = guarded->waiting;
        guarded->waiting = 0;
    } else if (!other && news.free_to_probe &&
               breaker_free(&guarded->breaker, clock_monotonic_us())) {
        waiting = guarded->waiting;
        guarded->waiting = 0;
    }
    pthread_mutex_unlock(&guarded->lock);
    wake_workers(breakers, waiting);
}

/* Somebody deleted the row of one that was overtaken: what is known here is written anew. */
static void write_missing(struct breakers *breakers)
{
    for (int i = 0; i < breakers->count; i++) {
        struct guarded *guarded = &breakers->items[i];
        pthread_mutex_lock(&guarded->lock);
        bool missing = guarded->revision < 0;
        if (missing) {
            guarded->revision = 0;
            guarded->breaker.changed = true;
        }
        pthread_mutex_unlock(&guarded->lock);
        if (missing)
            wake(breakers);
    }
}

static enum error_code read_rows(struct breakers *breakers, struct error *error)
{
    struct postgres_rows *rows = NULL;
    struct postgres_value self = {0};
    postgres_set_uuid(&self, &breakers->orchestrator->instance_id);
    enum error_code code = postgres_query(breakers->postgres, sql_read, &self, 1, &rows, error);
    for (int i = 0; code == ERR_OK && i < postgres_rows_count(rows); i++)
        adopt_row(breakers, rows, i);
    postgres_rows_free(rows);
    postgres_value_fini(&self);
    if (code == ERR_OK) {
        write_missing(breakers);
        told_everybody(breakers);
    }
    return code;
}

static enum error_code count_instances(struct breakers *breakers, struct error *error)
{
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_query(breakers->postgres, sql_instances, NULL, 0, &rows, error);
    int64_t instances = code == ERR_OK ? postgres_rows_int(rows, 0, 0) : breakers->instances;
    postgres_rows_free(rows);
    if (instances == breakers->instances)
        return code;
    breakers->instances = instances;
    for (int i = 0; i < breakers->count; i++) {
        pthread_mutex_lock(&breakers->items[i].lock);
        set_settings(breakers, &breakers->items[i]);
        pthread_mutex_unlock(&breakers->items[i].lock);
    }
    return code;
}

/* A new session hears what follows; what came before it is read. */
static enum error_code follow(struct breakers *breakers, bool reads, struct error *error)
{
    bool heard = postgres_notified(breakers->postgres);
    bool listening = breakers->listening_us != 0 &&
                     breakers->listening_us == postgres_connected_us(breakers->postgres);
    if (!is_shared(breakers) || (listening && !heard && !reads))
        return ERR_OK;
    enum error_code code = ERR_OK;
    if (!listening) {
        code = postgres_query(breakers->postgres, "LISTEN " CHANNEL, NULL, 0, NULL, error);
        breakers->listening_us = code == ERR_OK ? postgres_connected_us(breakers->postgres) : 0;
    }
    return code == ERR_OK ? read_rows(breakers, error) : code;
}

/* -- log and metrics -- */

static void show(struct breakers *breakers, int service)
{
    static const char *const events[BREAKER_STATES] = {
        "circuit breaker closed", "circuit breaker opened", "circuit breaker half open"};
    struct guarded *guarded = &breakers->items[service];
    char reason[BREAKER_REASON_BYTES];
    pthread_mutex_lock(&guarded->lock);
    enum breaker_state state = guarded->breaker.state;
    bool by_hand = guarded->breaker.by_hand;
    memcpy(reason, guarded->breaker.reason, sizeof reason);
    pthread_mutex_unlock(&guarded->lock);
    if (state == guarded->shown && by_hand == guarded->shown_by_hand)
        return;
    guarded->shown = state;
    guarded->shown_by_hand = by_hand;
    metrics_gauge_set(METRIC_BREAKER_STATE, service, 0, state);
    if (state == BREAKER_OPEN)
        log_warning(events[state], LOG_TEXT("to", guarded->service->name),
                    LOG_TEXT("reason", reason),
                    LOG_TEXT("when_open", guarded->service->hold_when_open ? "hold" : "fail"),
                    LOG_INT("held", atomic_load(&guarded->held)));
    else
        log_info(events[state], LOG_TEXT("to", guarded->service->name), LOG_TEXT("reason", reason),
                 LOG_INT("held", atomic_load(&guarded->held)));
}

static void show_all(struct breakers *breakers)
{
    for (int i = 0; i < breakers->count; i++)
        show(breakers, i);
}

/* -- the thread -- */

static enum error_code beat(struct breakers *breakers, bool is_due, struct error *error)
{
    bool overtaken = false;
    enum error_code code = store(breakers, &overtaken, error);
    if (code == ERR_OK)
        code = follow(breakers, overtaken || is_due, error);
    if (code == ERR_OK && is_due)
        code = count_instances(breakers, error);
    return code;
}

static void *run(void *context)
{
    struct breakers *breakers = context;
    int64_t interval_us = breakers->orchestrator->config->lease_ms * 1000 / 3;
    int64_t due_us = 0;
    bool failing = false;
    while (!atomic_load(&breakers->stopping)) {
        struct error error = {0};
        int64_t now_us = clock_monotonic_us();
        bool is_due = now_us >= due_us || postgres_is_dead(breakers->postgres);
        show_all(breakers);
        enum error_code code = beat(breakers, is_due, &error);
        show_all(breakers);
        if (code != ERR_OK && !failing)
            log_warning("breakers of services cannot be shared", LOG_TEXT("error", error.text));
        failing = code != ERR_OK;
        if (is_due || failing)
            due_us = now_us + (failing ? RETRY_US : interval_us);
        int64_t left_us = due_us - clock_monotonic_us();
        struct pollfd places[2] = {{.fd = breakers->wake, .events = POLLIN},
                                   {.fd = postgres_socket(breakers->postgres), .events = POLLIN}};
        if (failing) /* a dead socket would be ready all the time, and so would our own wishes */
            clock_sleep_us(RETRY_US);
        else
            poll(places, 2, left_us <= 0 ? 0 : (int)(left_us / 1000 + 1));
        eventfd_t rings;
        if (places[0].revents & POLLIN)
            eventfd_read(breakers->wake, &rings);
    }
    return NULL;
}

enum error_code breakers_open(struct breakers **out, struct orchestrator *orchestrator,
                              struct error *error)
{
    const struct services *services = registry_services(orchestrator->registry);
    struct breakers *breakers = must_calloc(1, sizeof *breakers);
    breakers->orchestrator = orchestrator;
    breakers->instances = 1;
    breakers->count = services->count;
    breakers->items = must_calloc((size_t)services->count + 1, sizeof *breakers->items);
    for (int i = 0; i < services->count; i++) {
        struct guarded *guarded = &breakers->items[i];
        guarded->service = &services->items[i];
        pthread_mutex_init(&guarded->lock, NULL);
        breaker_init(&guarded->breaker, &guarded->breaker.settings, clock_monotonic_us());
        set_settings(breakers, guarded);
        guarded->since_us = clock_now_us();
    }
    pthread_mutex_init(&breakers->lock, NULL);
    clock_condition_init(&breakers->stored);
    breakers->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    BUG_IF(breakers->wake < 0);
    breakers->postgres = postgres_new(orchestrator->database_url, "bridge-orchestrator breakers",
                                      "-c lock_timeout=1s -c statement_timeout=3s");
    postgres_set_reply_timeout(breakers->postgres, (int)orchestrator->config->lease_ms / 3);
    *out = breakers;
    return is_shared(breakers) ? read_rows(breakers, error) : ERR_OK;
}

void breakers_start(struct breakers *breakers)
{
    int failed = pthread_create(&breakers->thread, NULL, run, breakers);
    BUG_IF(failed);
    breakers->started = true;
}

void breakers_stop(struct breakers *breakers)
{
    if (breakers == NULL || !breakers->started)
        return;
    atomic_store(&breakers->stopping, true);
    wake(breakers);
    pthread_join(breakers->thread, NULL);
    breakers->started = false;
}

void breakers_free(struct breakers *breakers)
{
    if (breakers == NULL)
        return;
    for (int i = 0; i < breakers->count; i++)
        pthread_mutex_destroy(&breakers->items[i].lock);
    postgres_free(breakers->postgres);
    pthread_mutex_destroy(&breakers->lock);
    pthread_cond_destroy(&breakers->stored);
    close(breakers->wake);
    free(breakers->items);
    free(breakers);
}

/* -- of people -- */

void breakers_status(struct breakers *breakers, int service, struct breakers_status *status)
{
    struct guarded *guarded = &breakers->items[service];
    pthread_mutex_lock(&guarded->lock);
    const struct breaker *breaker = &guarded->breaker;
    int64_t left_us =
        breaker->probe_us == INT64_MAX ? -1 : breaker->probe_us - clock_monotonic_us();
    *status = (struct breakers_status){
        .state = breaker->state,
        .by_hand = breaker->by_hand,
        .probes = breaker->mine,
        .since_us = guarded->since_us,
        .probe_after_us = breaker->probe_us == INT64_MAX ? -1
                          : left_us < 0                  ? 0
                                                         : left_us,
        .released = breaker->mine || breaker->ramping ? breaker->round_calls : 0,
        .in_flight = breaker->in_flight,
        .held = atomic_load(&guarded->held),
        .calls = breaker->window_count,
        .failures = breaker->window_bad,
        .slow = breaker->window_slow,
        .calls_max = breaker->settings.calls,
    };
    memcpy(status->reason, breaker->reason, sizeof status->reason);
    pthread_mutex_unlock(&guarded->lock);
}

/* Another instance may change it at the same time: said again until it is so and stored. */
static enum error_code command(struct breakers *breakers, int service,
                               bool (*say)(struct breaker *breaker, int64_t now_us),
                               struct error *error)
{
    struct guarded *guarded = &breakers->items[service];
    int64_t until_us = clock_monotonic_us() + COMMAND_TIMEOUT_US;
    uint64_t stored_before = 0;
    bool said = false, stored = false, in_time = true;
    pthread_mutex_lock(&breakers->lock);
    while (!stored && in_time) {
        pthread_mutex_lock(&guarded->lock);
        bool changed = say(&guarded->breaker, clock_monotonic_us());
        if (changed) {
            said = true;
            guarded->since_us = clock_now_us();
            stored_before = guarded->stored;
        }
        stored = !guarded->breaker.changed && !guarded->writing && guarded->revision >= 0 &&
                 (!said || guarded->stored > stored_before);
        pthread_mutex_unlock(&guarded->lock);
        if (stored)
            break;
        wake(breakers);
        in_time = clock_wait(&breakers->stored, &breakers->lock, until_us);
    }
    pthread_mutex_unlock(&breakers->lock);
    return stored ? ERR_OK
                  : error_set(error, ERR_DATABASE,
                              "the breaker of %s could not be written to the database in time",
                              guarded->service->name);
}

enum error_code breakers_hold(struct breakers *breakers, int service, struct error *error)
{
    return command(breakers, service, breaker_hold, error);
}

enum error_code breakers_release(struct breakers *breakers, int service, struct error *error)
{
    return command(breakers, service, breaker_release, error);
}
