/* SPDX-License-Identifier: MIT */
/* ownership_house.c - what the tables need from time to time: partitions are made months ahead, and keys past
 * their retention go in small deletes. On a thread and a connection of its own: whatever holds it up costs
 * neither the lock nor the lease, and no shard waits for it.
 */
#include "io/clock.h"
#include "io/log.h"
#include "orchestrator/ownership_internal.h"

#define HOUSE_INTERVAL_US INT64_C(600000000)
#define HOUSE_RETRY_US INT64_C(30000000)

static enum error_code keep_house(const struct orchestrator *orchestrator, struct error *error)
{
    static const char sql_keys[] =
        "DELETE FROM workflow_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM workflow_keys "
        "WHERE created_at < clock_timestamp() - make_interval(hours => $1) LIMIT 10000))";
    struct postgres_value hours = {0};
    struct postgres *postgres =
        postgres_new(orchestrator->database_url, "bridge-orchestrator housekeeping",
                     "-c lock_timeout=1s -c statement_timeout=3s");
    postgres_set_reply_timeout(postgres, (int)orchestrator->config->lease_ms / 3);
    postgres_set_int4(&hours, (int32_t)orchestrator->config->idempotency_retention_hours);
    enum error_code code =
        postgres_query(postgres, "SELECT ensure_partitions(3)", NULL, 0, NULL, error);
    if (code == ERR_OK)
        code = postgres_query(postgres, sql_keys, &hours, 1, NULL, error);
    postgres_value_fini(&hours);
    postgres_free(postgres);
    return code;
}

/* False when it is to stop. */
static bool rest(struct house *house, int64_t until_us)
{
    pthread_mutex_lock(&house->lock);
    while (!house->stopping && clock_wait(&house->wake, &house->lock, until_us))
        ;
    bool goes_on = !house->stopping;
    pthread_mutex_unlock(&house->lock);
    return goes_on;
}

static void *run(void *context)
{
    struct house *house = context;
    int64_t due_us = 0; /* a database that rested for months has no partition for today */
    while (rest(house, due_us)) {
        struct error error = {0};
        enum error_code code = keep_house(house->orchestrator, &error);
        if (code != ERR_OK)
            log_warning("housekeeping is put off", LOG_TEXT("error", error.text));
        due_us = clock_monotonic_us() + (code == ERR_OK ? HOUSE_INTERVAL_US : HOUSE_RETRY_US);
    }
    return NULL;
}

void ownership_house_start(struct house *house, const struct orchestrator *orchestrator)
{
    house->orchestrator = orchestrator;
    pthread_mutex_init(&house->lock, NULL);
    clock_condition_init(&house->wake);
    int failed = pthread_create(&house->thread, NULL, run, house);
    BUG_IF(failed);
    house->started = true;
}

void ownership_house_stop(struct house *house)
{
    if (!house->started)
        return;
    pthread_mutex_lock(&house->lock);
    house->stopping = true;
    pthread_cond_signal(&house->wake);
    pthread_mutex_unlock(&house->lock);
    pthread_join(house->thread, NULL);
    pthread_cond_destroy(&house->wake);
    pthread_mutex_destroy(&house->lock);
    house->started = false;
}
