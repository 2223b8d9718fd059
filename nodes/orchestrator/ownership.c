/* SPDX-License-Identifier: MIT */
#include "orchestrator/ownership.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/log.h"
#include "orchestrator/schema.h"
#include "orchestrator/store.h"
#include "orchestrator/worker.h"

#define HOUSE_INTERVAL_US INT64_C(600000000)
#define HOUSE_RETRY_US INT64_C(30000000)

struct ownership {
    struct orchestrator *orchestrator;
    struct postgres *postgres;
    char *advertised_url;
    int64_t lock_key;
    int64_t house_us;     /* when to keep house again */
    int64_t listening_us; /* postgres_connected_us of the session that listens; 0: none */
    pthread_t thread;
    bool started;
    atomic_bool stopping;
    int wake; /* eventfd */
};

/* The lock lives and dies with the session, and a lost session is replaced unseen: asked for at
 * each beat. Holding it several times changes nothing. */
static enum error_code hold_lock(struct ownership *ownership, struct error *error)
{
    struct postgres_value value = {0};
    postgres_set_int8(&value, ownership->lock_key);
    enum error_code code = postgres_query(ownership->postgres, "SELECT pg_try_advisory_lock($1)",
                                          &value, 1, NULL, error);
    postgres_value_fini(&value);
    return code;
}

static enum error_code renew_lease(struct ownership *ownership, struct error *error)
{
    static const char sql[] =
        "WITH gone AS (DELETE FROM instances WHERE lease_expires_at < clock_timestamp() - interval "
        "'1 day') "
        "INSERT INTO instances (instance_id, advertised_url, lock_key, lease_expires_at, version) "
        "VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4), $5) "
        "ON CONFLICT (instance_id) DO UPDATE SET lease_expires_at = excluded.lease_expires_at";
    struct postgres_value values[5] = {{0}};
    postgres_set_uuid(&values[0], &ownership->orchestrator->instance_id);
    postgres_set_string(&values[1], ownership->advertised_url);
    postgres_set_int8(&values[2], ownership->lock_key);
    postgres_set_double(&values[3], (double)ownership->orchestrator->config->lease_ms / 1000.0);
    postgres_set_string(&values[4], VERSION);
    enum error_code code = postgres_query(ownership->postgres, sql, values, 5, NULL, error);
    for (int i = 0; i < 5; i++)
        postgres_value_fini(&values[i]);
    return code;
}

static void hand_over(struct orchestrator *orchestrator, const struct postgres_rows *rows)
{
    for (int w = 0; w < orchestrator->workers_count; w++) {
        struct worker_lane lanes[SHARDS_MAX];
        int count = 0;
        for (int i = 0; i < postgres_rows_count(rows); i++) {
            int16_t shard = (int16_t)postgres_rows_int(rows, i, 0);
            if (shard % orchestrator->workers_count != w)
                continue;
            lanes[count] = (struct worker_lane){.shard = shard,
                                                .epoch = postgres_rows_int(rows, i, 1),
                                                .commits = postgres_rows_int(rows, i, 2),
                                                .next_seq = postgres_rows_int(rows, i, 3),
                                                .published_seq = postgres_rows_int(rows, i, 4)};
            snprintf(lanes[count].cluster_id, sizeof lanes[count].cluster_id, "%s",
                     postgres_rows_text(rows, i, 5, NULL));
            count++;
        }
        if (count > 0)
            worker_take(orchestrator->workers[w], lanes, count);
    }
}

static bool all_settled(const struct orchestrator *orchestrator)
{
    for (int i = 0; i < orchestrator->workers_count; i++)
        if (!worker_settled(orchestrator->workers[i]))
            return false;
    return true;
}

static enum error_code claim(struct ownership *ownership, struct error *error)
{
    struct orchestrator *orchestrator = ownership->orchestrator;
    struct postgres_value values[2] = {{0}};
    struct postgres_rows *rows = NULL;
    if (!all_settled(orchestrator) || atomic_load(&orchestrator->stopping))
        return ERR_OK; /* shards are still being loaded: not to be taken from ourselves */
    postgres_set_uuid(&values[0], &orchestrator->instance_id);
    postgres_array_start(&values[1], PG_INT2);
    for (int shard = 0; shard < orchestrator->shards; shard++)
        if (orchestrator_owns(orchestrator, shard))
            postgres_push_int2(&values[1], (int16_t)shard);
    enum error_code code = postgres_query(ownership->postgres,
                                          "SELECT shard, epoch, commits, next_seq, published_seq, "
                                          "cluster_id FROM shards_claim($1, $2)",
                                          values, 2, &rows, error);
    if (code == ERR_OK && postgres_rows_count(rows) > 0) {
        log_info("shards taken", LOG_INT("shards", postgres_rows_count(rows)));
        hand_over(orchestrator, rows);
    }
    if (code == ERR_OK)
        atomic_store(&orchestrator->claimed, true);
    postgres_rows_free(rows);
    for (int i = 0; i < 2; i++)
        postgres_value_fini(&values[i]);
    return code;
}

/* Whom others are to ask about each shard. */
static enum error_code read_owners(struct ownership *ownership, struct error *error)
{
    struct owner read[SHARDS_MAX] = {{0}};
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_query(
        ownership->postgres,
        "SELECT s.shard, s.epoch, i.instance_id, i.advertised_url FROM shards s JOIN instances i "
        "ON i.instance_id = s.owner",
        NULL, 0, &rows, error);
    for (int i = 0; code == ERR_OK && i < postgres_rows_count(rows); i++) {
        struct owner *owner = &read[postgres_rows_int(rows, i, 0) % SHARDS_MAX];
        owner->known = true;
        owner->epoch = postgres_rows_int(rows, i, 1);
        owner->instance = postgres_rows_uuid(rows, i, 2);
        snprintf(owner->url, sizeof owner->url, "%s", postgres_rows_text(rows, i, 3, NULL));
    }
    if (code == ERR_OK)
        owners_set(ownership->orchestrator->owners, read, SHARDS_MAX);
    postgres_rows_free(rows);
    return code;
}

/* Partitions are made months ahead, and keys past their retention go in small deletes. On a
 * connection of its own: whatever holds it up must not cost the lock or the lease. */
static void keep_house(struct ownership *ownership)
{
    static const char sql_keys[] =
        "DELETE FROM workflow_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM workflow_keys "
        "WHERE created_at < clock_timestamp() - make_interval(hours => $1) LIMIT 10000))";
    struct orchestrator *orchestrator = ownership->orchestrator;
    int64_t now_us = clock_monotonic_us();
    if (ownership->house_us != 0 && now_us < ownership->house_us)
        return;
    struct postgres_value hours = {0};
    struct error error = {0};
    struct postgres *postgres =
        postgres_new(orchestrator->database_url, "bridge-orchestrator housekeeping",
                     "-c lock_timeout=1s -c statement_timeout=3s");
    postgres_set_reply_timeout(postgres, (int)orchestrator->config->lease_ms / 3);
    postgres_set_int4(&hours, (int32_t)orchestrator->config->idempotency_retention_hours);
    enum error_code code =
        postgres_query(postgres, "SELECT ensure_partitions(3)", NULL, 0, NULL, &error);
    if (code == ERR_OK)
        code = postgres_query(postgres, sql_keys, &hours, 1, NULL, &error);
    if (code != ERR_OK)
        log_warning("housekeeping is put off", LOG_TEXT("error", error.text));
    ownership->house_us = now_us + (code == ERR_OK ? HOUSE_INTERVAL_US : HOUSE_RETRY_US);
    postgres_value_fini(&hours);
    postgres_free(postgres);
}

/* A new session hears what follows; what came before it is read. */
static enum error_code follow_contracts(struct ownership *ownership, struct error *error)
{
    struct postgres *postgres = ownership->postgres;
    bool heard = postgres_notified(postgres);
    bool listening = ownership->listening_us == postgres_connected_us(postgres);
    if (listening && !heard)
        return ERR_OK;
    ownership->listening_us = 0; /* until all has been read */
    enum error_code code =
        postgres_query(postgres, "LISTEN " REGISTRY_CHANNEL, NULL, 0, NULL, error);
    int64_t session_us = postgres_connected_us(postgres);
    if (code == ERR_OK)
        code = registry_refresh(ownership->orchestrator->registry, postgres, NULL, error);
    if (code == ERR_OK)
        ownership->listening_us = session_us;
    return code;
}

static enum error_code beat(struct ownership *ownership, struct error *error)
{
    enum error_code code = hold_lock(ownership, error);
    if (code == ERR_OK)
        code = renew_lease(ownership, error);
    if (code == ERR_OK)
        code = schema_look(ownership->orchestrator, ownership->postgres, error);
    if (code == ERR_OK)
        code = claim(ownership, error);
    if (code == ERR_OK)
        code = read_owners(ownership, error);
    return code;
}

#define RETRY_US 200000

/* Until `due_us`, or until the connection has something to say. True when somebody asked for a beat. */
static bool wait_until(struct ownership *ownership, int64_t due_us)
{
    eventfd_t rings;
    int64_t left_us = due_us - clock_monotonic_us();
    struct pollfd places[2] = {{.fd = ownership->wake, .events = POLLIN},
                               {.fd = postgres_socket(ownership->postgres), .events = POLLIN}};
    poll(places, 2, left_us <= 0 ? 0 : (int)(left_us / 1000 + 1));
    return eventfd_read(ownership->wake, &rings) == 0;
}

static void *run(void *context)
{
    struct ownership *ownership = context;
    int64_t interval_us = ownership->orchestrator->config->lease_ms * 1000 / 3;
    int64_t due_us = clock_monotonic_us() + interval_us;
    bool failing = false;
    while (!atomic_load(&ownership->stopping)) {
        struct error error = {0};
        enum error_code code = ERR_OK;
        keep_house(ownership);
        bool asked = wait_until(ownership, due_us);
        if (atomic_load(&ownership->stopping))
            break;
        bool is_due =
            asked || clock_monotonic_us() >= due_us || postgres_is_dead(ownership->postgres);
        if (is_due)
            code = beat(ownership, &error);
        if (code != ERR_OK && !failing)
            log_warning("lease cannot be renewed", LOG_TEXT("error", error.text));
        if (code == ERR_OK) {
            code = follow_contracts(ownership, &error);
            if (code != ERR_OK && !failing)
                log_warning("published contracts cannot be read", LOG_TEXT("error", error.text));
        }
        failing = code != ERR_OK;
        if (is_due || failing)
            due_us = clock_monotonic_us() + (failing ? RETRY_US : interval_us);
    }
    return NULL;
}

enum error_code ownership_open(struct ownership **out, struct orchestrator *orchestrator,
                               const char *advertised_url, struct error *error)
{
    struct ownership *ownership = must_calloc(1, sizeof *ownership);
    char name[64];
    snprintf(name, sizeof name, "bridge-orchestrator %s", orchestrator->node_id);
    ownership->orchestrator = orchestrator;
    ownership->advertised_url = must_strdup(advertised_url);
    ownership->postgres = postgres_new(orchestrator->database_url, name,
                                       "-c lock_timeout=5s -c statement_timeout=10s");
    postgres_set_reply_timeout(ownership->postgres, (int)orchestrator->config->lease_ms / 3);
    memcpy(&ownership->lock_key, orchestrator->instance_id.octets + 8, sizeof ownership->lock_key);
    ownership->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    BUG_IF(ownership->wake < 0);
    owners_wake_by(orchestrator->owners, ownership->wake);
    enum error_code code = beat(ownership, error);
    if (code == ERR_OK)
        code = follow_contracts(ownership, error);
    if (code != ERR_OK) {
        ownership_close(ownership);
        return code;
    }
    *out = ownership;
    return ERR_OK;
}

void ownership_start(struct ownership *ownership)
{
    int failed = pthread_create(&ownership->thread, NULL, run, ownership);
    BUG_IF(failed);
    ownership->started = true;
}

static void give_back(struct ownership *ownership)
{
    struct postgres_value value = {0};
    struct error error = {0};
    postgres_set_uuid(&value, &ownership->orchestrator->instance_id);
    enum error_code code =
        postgres_query(ownership->postgres, "UPDATE shards SET owner = NULL WHERE owner = $1",
                       &value, 1, NULL, &error);
    if (code == ERR_OK)
        code = postgres_query(ownership->postgres, "DELETE FROM instances WHERE instance_id = $1",
                              &value, 1, NULL, &error);
    if (code != ERR_OK)
        log_warning("shards cannot be given back; others take them when the lease has run out",
                    LOG_TEXT("error", error.text));
    postgres_value_fini(&value);
}

void ownership_close(struct ownership *ownership)
{
    if (ownership == NULL)
        return;
    atomic_store(&ownership->stopping, true);
    eventfd_write(ownership->wake, 1);
    if (ownership->started)
        pthread_join(ownership->thread, NULL);
    if (postgres_connected(ownership->postgres))
        give_back(ownership);
    owners_wake_by(ownership->orchestrator->owners, -1);
    postgres_free(ownership->postgres);
    free(ownership->advertised_url);
    close(ownership->wake);
    free(ownership);
}
