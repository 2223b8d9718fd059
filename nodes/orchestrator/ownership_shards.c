/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/metrics.h"
#include "io/clock.h"
#include "io/crash_point.h"
#include "io/log.h"
#include "orchestrator/ownership_internal.h"
#include "orchestrator/store.h"
#include "orchestrator/worker.h"

#define SUSPECT_US                                                                                 \
    2000000 /* after the end of its connection: so long is its lock asked for again soon */
#define SUSPECT_LOOK_US 5000
#define TRYING_US 50000          /* a connection that takes longer is not waited for at the start */
#define UNLINKED_LOOK_US 1000000 /* an instance without a connection is looked after so often */

/* Ours comes first. The peer address is a column of later schemas. */
static const char sql_instances[] =
    "SELECT instance_id, advertised_url, lease_expires_at < clock_timestamp(), "
    "CASE WHEN instance_id = $1 THEN false ELSE pg_try_advisory_xact_lock(lock_key) END, "
    "to_jsonb(i) ->> 'peer_address', to_jsonb(i) ? 'peer_address' FROM instances i "
    "ORDER BY instance_id = $1 DESC, lease_expires_at DESC LIMIT $2";
static const char sql_shards[] =
    "SELECT s.shard, s.owner, s.epoch, i.advertised_url FROM shards s "
    "LEFT JOIN instances i ON i.instance_id = s.owner ORDER BY s.shard";
static const char sql_own_address[] =
    "UPDATE instances SET peer_address = $2 WHERE instance_id = $1";
/* The sessions of $1, ended: one that stopped in the middle of a transaction holds row locks. */
static const char sql_end[] =
    "SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a "
    "WHERE a.application_name = ANY (SELECT 'bridge-orchestrator ' || g FROM unnest($1::uuid[]) g)";
/* $1 takes the shards $3 as far as nobody alive owns them. What the instances $2 left behind is free, whoever
 * takes it. Each change of owner raises the epoch, so that what an old owner still sends raises in
 * shard_fence. */
static const char sql_claim[] =
    "WITH gone AS (DELETE FROM instances i WHERE i.instance_id = ANY ($2) "
    "AND (i.lease_expires_at < clock_timestamp() OR pg_try_advisory_xact_lock(i.lock_key)) "
    "RETURNING i.instance_id), "
    "free AS (SELECT s.shard FROM shards s WHERE s.owner IN (SELECT instance_id FROM gone) "
    "OR (s.shard = ANY ($3) AND (s.owner IS NULL OR s.owner = $1)) "
    "OR (s.owner IS NOT NULL AND s.owner <> $1 "
    "AND NOT EXISTS (SELECT 1 FROM instances i WHERE i.instance_id = s.owner)) "
    "ORDER BY s.shard FOR UPDATE) "
    "UPDATE shards s SET owner = CASE WHEN s.shard = ANY ($3) THEN $1 END, epoch = s.epoch + 1 "
    "FROM free WHERE s.shard = free.shard "
    "RETURNING s.shard, s.epoch, s.commits, s.next_seq, s.published_seq, s.cluster_id, "
    "s.owner IS NOT NULL";
static const char sql_give[] =
    "UPDATE shards s SET owner = NULL, epoch = s.epoch + 1, published_seq = u.published_seq, "
    "cluster_id = u.cluster_id "
    "FROM unnest($2::smallint[], $3::bigint[], $4::bigint[], $5::text[]) "
    "AS u (shard, epoch, published_seq, cluster_id) "
    "WHERE s.shard = u.shard AND s.epoch = u.epoch AND s.owner = $1";
static const char sql_tell[] = "SELECT pg_notify('" OWNERSHIP_CHANNEL "', '')";

static void sooner(struct ownership *ownership, int64_t at_us)
{
    if (at_us < ownership->look_us)
        ownership->look_us = at_us;
}

/* -- reading -- */

static enum error_code set_own_address(struct ownership *ownership, struct error *error)
{
    struct postgres_value values[2] = {{0}};
    postgres_set_uuid(&values[0], &ownership->orchestrator->instance_id);
    postgres_set_string(&values[1], ownership->peer_address);
    enum error_code code =
        postgres_query(ownership->postgres, sql_own_address, values, 2, NULL, error);
    postgres_values_fini(values, 2);
    if (code == ERR_OK)
        code = ownership_tell(ownership, error);
    return code;
}

static void see_instance(struct ownership *ownership, const struct postgres_rows *rows, int row,
                         struct spread_instance *instance)
{
    static const enum spread_link links[] = {[PEER_UNKNOWN] = SPREAD_UNKNOWN,
                                             [PEER_TRYING] = SPREAD_TRYING,
                                             [PEER_LINKED] = SPREAD_LINKED,
                                             [PEER_ENDED] = SPREAD_ENDED};
    const char *address = postgres_rows_text(rows, row, 4, NULL);
    int64_t now_us = clock_monotonic_us(), since_us;
    *instance = (struct spread_instance){.id = postgres_rows_uuid(rows, row, 0),
                                         .lapsed = postgres_rows_bool(rows, row, 2),
                                         .lock_free = postgres_rows_bool(rows, row, 3)};
    if (uuid_equal(&instance->id, &ownership->orchestrator->instance_id))
        return;
    if (address != NULL)
        peers_watch(ownership->peers, &instance->id, address, now_us);
    instance->link = links[peers_state(ownership->peers, &instance->id, &since_us)];
    bool ending = instance->link == SPREAD_ENDED && !instance->lock_free;
    if (ending && now_us - since_us < SUSPECT_US)
        sooner(ownership, now_us + SUSPECT_LOOK_US);
    if (instance->link != SPREAD_LINKED)
        sooner(ownership, now_us + UNLINKED_LOOK_US);
    bool trying = instance->link == SPREAD_TRYING;
    ownership->unsure = ownership->unsure || (ending && now_us - since_us < SUSPECT_US) ||
                        (trying && (instance->lock_free || now_us - since_us < TRYING_US));
}

static enum error_code read_instances(struct ownership *ownership, struct error *error)
{
    struct postgres_value values[2] = {{0}};
    struct postgres_rows *rows = NULL;
    postgres_set_uuid(&values[0], &ownership->orchestrator->instance_id);
    postgres_set_int8(&values[1], INSTANCES_MAX);
    enum error_code code =
        postgres_query(ownership->postgres, sql_instances, values, 2, &rows, error);
    ownership->instances_count = code == ERR_OK ? postgres_rows_count(rows) : 0;
    ownership->unsure = false;
    for (int i = 0; i < ownership->instances_count; i++)
        see_instance(ownership, rows, i, &ownership->instances[i]);
    if (code == ERR_OK)
        peers_sweep(ownership->peers);
    metrics_gauge_set(METRIC_INSTANCES, 0, 0, ownership->instances_count);
    metrics_gauge_set(METRIC_PEERS_LINKED, 0, 0, peers_linked(ownership->peers));
    bool ours_is_there =
        ownership->instances_count > 0 &&
        uuid_equal(&ownership->instances[0].id, &ownership->orchestrator->instance_id);
    if (ours_is_there && postgres_rows_bool(rows, 0, 5)) {
        const char *address = postgres_rows_text(rows, 0, 4, NULL);
        if (address == NULL || strcmp(address, ownership->peer_address) != 0)
            code = set_own_address(ownership, error);
    }
    postgres_rows_free(rows);
    postgres_values_fini(values, 2);
    return code;
}

static enum error_code read_shards(struct ownership *ownership, struct error *error)
{
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_query(ownership->postgres, sql_shards, NULL, 0, &rows, error);
    for (int i = 0; code == ERR_OK && i < postgres_rows_count(rows); i++) {
        int shard = (int)postgres_rows_int(rows, i, 0);
        const char *url = postgres_rows_text(rows, i, 3, NULL);
        struct spread_shard *seen = &ownership->shards[shard];
        struct owner *owner = &ownership->owners[shard];
        *seen = (struct spread_shard){.owned = !postgres_rows_null(rows, i, 1),
                                      .here = ownership->holdings[shard] != HOLDING_NONE};
        if (seen->owned)
            seen->owner = postgres_rows_uuid(rows, i, 1);
        ownership->epochs[shard] = postgres_rows_int(rows, i, 2);
        *owner = (struct owner){.known = url != NULL, .epoch = ownership->epochs[shard]};
        if (owner->known) {
            owner->instance = seen->owner;
            snprintf(owner->url, sizeof owner->url, "%s", url);
        }
    }
    if (code == ERR_OK)
        owners_set(ownership->orchestrator->owners, ownership->owners, SHARDS_MAX);
    postgres_rows_free(rows);
    return code;
}

/* -- giving -- */

/* "0, 4, 8" */
static void name_shards(const int16_t *shards, int count, struct buffer *text)
{
    for (int i = 0; i < count; i++)
        buffer_append_format(text, "%s%d", i == 0 ? "" : ", ", shards[i]);
}

static void log_shards(const char *event, const int16_t *shards, int count, bool loud)
{
    struct buffer text = {0};
    name_shards(shards, count, &text);
    if (loud)
        log_warning(event, LOG_INT("count", count), LOG_TEXT("shards", buffer_text(&text)));
    else
        log_info(event, LOG_INT("count", count), LOG_TEXT("shards", buffer_text(&text)));
    buffer_fini(&text);
}

static struct worker *worker_of(const struct ownership *ownership, int shard)
{
    struct orchestrator *orchestrator = ownership->orchestrator;
    return orchestrator->workers[shard % orchestrator->workers_count];
}

/* Asks the workers for shards they run. What no worker runs is put on `idle`. */
static int ask_back(struct ownership *ownership, const int16_t *shards, int count, int16_t *idle)
{
    int idle_count = 0;
    for (int i = 0; i < count; i++) {
        enum holding *holding = &ownership->holdings[shards[i]];
        if (*holding == HOLDING_RUN) {
            *holding = HOLDING_GIVEN;
            worker_give(worker_of(ownership, shards[i]), &shards[i], 1);
        } else if (*holding == HOLDING_NONE) {
            idle[idle_count++] = shards[i];
        }
    }
    return idle_count;
}

enum error_code ownership_tell(struct ownership *ownership, struct error *error)
{
    return postgres_query(ownership->postgres, sql_tell, NULL, 0, NULL, error);
}

static void put_lane(struct postgres_value *values, const struct worker_lane *lane)
{
    postgres_push_int2(&values[1], lane->shard);
    postgres_push_int8(&values[2], lane->epoch);
    postgres_push_int8(&values[3], lane->published_seq);
    postgres_push_string(&values[4], lane->cluster_id);
}

enum error_code ownership_take_back(struct ownership *ownership, struct error *error)
{
    struct orchestrator *orchestrator = ownership->orchestrator;
    struct worker_lane lanes[SHARDS_MAX];
    struct postgres_value values[5] = {{0}};
    int16_t given[SHARDS_MAX];
    int given_count = 0;
    enum error_code code = ERR_OK;
    postgres_set_uuid(&values[0], &orchestrator->instance_id);
    postgres_array_start(&values[1], PG_INT2);
    postgres_array_start(&values[2], PG_INT8);
    postgres_array_start(&values[3], PG_INT8);
    postgres_array_start(&values[4], PG_TEXT);
    for (int w = 0; w < orchestrator->workers_count; w++) {
        int count = worker_given(orchestrator->workers[w], lanes);
        for (int i = 0; i < count; i++) {
            enum holding *holding = &ownership->holdings[lanes[i].shard];
            if (*holding == HOLDING_GIVEN) {
                put_lane(values, &lanes[i]);
                given[given_count++] = lanes[i].shard;
            }
            *holding = HOLDING_NONE;
            sooner(ownership, 0);
        }
    }
    if (given_count > 0) {
        code = postgres_query(ownership->postgres, sql_give, values, 5, NULL, error);
        metrics_add(METRIC_SHARDS_MOVED, 1, 0, (uint64_t)given_count);
        log_shards("shards given to others", given, given_count, false);
    }
    if (code == ERR_OK && given_count > 0)
        code = ownership_tell(ownership, error);
    postgres_values_fini(values, 5);
    return code;
}

/* Owned in the database, run by no worker, and too many. */
static enum error_code give_idle(struct ownership *ownership, const int16_t *shards, int count,
                                 struct error *error)
{
    static const char sql[] = "UPDATE shards SET owner = NULL, epoch = epoch + 1 "
                              "WHERE owner = $1 AND shard = ANY ($2)";
    struct postgres_value values[2] = {{0}};
    postgres_set_uuid(&values[0], &ownership->orchestrator->instance_id);
    postgres_array_start(&values[1], PG_INT2);
    for (int i = 0; i < count; i++)
        postgres_push_int2(&values[1], shards[i]);
    enum error_code code = postgres_query(ownership->postgres, sql, values, 2, NULL, error);
    if (code == ERR_OK)
        code = ownership_tell(ownership, error);
    postgres_values_fini(values, 2);
    return code;
}

static enum error_code give(struct ownership *ownership, struct error *error)
{
    const struct spread_plan *plan = &ownership->plan;
    int16_t idle[SHARDS_MAX], lost[SHARDS_MAX];
    int lost_count = 0;
    for (int i = 0; i < plan->lost_count; i++)
        if (ownership->holdings[plan->lost[i]] == HOLDING_RUN)
            lost[lost_count++] = plan->lost[i];
    if (lost_count > 0) {
        log_shards("shards are another instance's now: this one stops running them", lost,
                   lost_count, true);
        metrics_add(METRIC_SHARDS_MOVED, 2, 0, (uint64_t)lost_count);
        (void)ask_back(ownership, lost, lost_count, idle);
    }
    int count = ask_back(ownership, plan->give, plan->give_count, idle);
    return count == 0 ? ERR_OK : give_idle(ownership, idle, count, error);
}

/* -- taking -- */

static void hand_over(struct ownership *ownership, const struct postgres_rows *rows)
{
    struct orchestrator *orchestrator = ownership->orchestrator;
    int16_t taken[SHARDS_MAX];
    int taken_count = 0;
    for (int w = 0; w < orchestrator->workers_count; w++) {
        struct worker_lane lanes[SHARDS_MAX];
        int count = 0;
        for (int i = 0; i < postgres_rows_count(rows); i++) {
            int16_t shard = (int16_t)postgres_rows_int(rows, i, 0);
            if (shard % orchestrator->workers_count != w || !postgres_rows_bool(rows, i, 6))
                continue;
            lanes[count] = (struct worker_lane){.shard = shard,
                                                .epoch = postgres_rows_int(rows, i, 1),
                                                .commits = postgres_rows_int(rows, i, 2),
                                                .next_seq = postgres_rows_int(rows, i, 3),
                                                .published_seq = postgres_rows_int(rows, i, 4)};
            snprintf(lanes[count].cluster_id, sizeof lanes[count].cluster_id, "%s",
                     postgres_rows_text(rows, i, 5, NULL));
            count++;
            ownership->holdings[shard] = HOLDING_RUN;
            taken[taken_count++] = shard;
        }
        if (count > 0)
            worker_take(orchestrator->workers[w], lanes, count);
    }
    if (taken_count == 0)
        return;
    metrics_add(METRIC_SHARDS_MOVED, 0, 0, (uint64_t)taken_count);
    log_shards("shards taken", taken, taken_count, false);
}

static void log_gone(const struct spread_instance *instance)
{
    char id[UUID_TEXT_BYTES];
    metrics_add(METRIC_INSTANCES_GONE, instance->lock_free ? 0 : 1, 0, 1);
    log_warning(instance->lock_free ? "an instance has died: its shards are free"
                                    : "an instance lets its lease run out: its shards are free",
                LOG_TEXT("instance", uuid_format(&instance->id, id)));
}

static enum error_code claim(struct ownership *ownership, const struct postgres_value *values,
                             bool some_gone, struct error *error)
{
    struct postgres_rows *rows = NULL;
    enum error_code code = ERR_OK;
    if (some_gone)
        code = postgres_query(ownership->postgres, sql_end, &values[1], 1, NULL, error);
    if (code == ERR_OK)
        code = postgres_query(ownership->postgres, sql_claim, values, 3, &rows, error);
    CRASH_POINT("claimed");
    if (code == ERR_OK)
        hand_over(ownership, rows);
    if (code == ERR_OK && postgres_rows_count(rows) > 0) {
        sooner(ownership, 0); /* to tell our own threads, too */
        code = ownership_tell(ownership, error);
    }
    postgres_rows_free(rows);
    return code;
}

static enum error_code take(struct ownership *ownership, struct error *error)
{
    const struct spread_plan *plan = &ownership->plan;
    struct postgres_value values[3] = {{0}};
    bool some_gone = false;
    enum error_code code = ERR_OK;
    postgres_set_uuid(&values[0], &ownership->orchestrator->instance_id);
    postgres_array_start(&values[1], PG_UUID);
    for (int i = 0; i < ownership->instances_count; i++) {
        if (!plan->gone[i])
            continue;
        some_gone = true;
        log_gone(&ownership->instances[i]);
        postgres_push_uuid(&values[1], &ownership->instances[i].id);
    }
    postgres_array_start(&values[2], PG_INT2);
    for (int i = 0; i < plan->take_count; i++)
        postgres_push_int2(&values[2], plan->take[i]);
    if (some_gone || plan->take_count > 0)
        code = claim(ownership, values, some_gone, error);
    postgres_values_fini(values, 3);
    return code;
}

/* An instance that stops and has given everything leaves the list: others share its part. */
static enum error_code leave(struct ownership *ownership, struct error *error)
{
    struct postgres_value value = {0};
    for (int s = 0; s < ownership->orchestrator->shards; s++)
        if (ownership->holdings[s] != HOLDING_NONE)
            return ERR_OK;
    if (ownership->plan.give_count > 0 || atomic_load(&ownership->left))
        return ERR_OK;
    postgres_set_uuid(&value, &ownership->orchestrator->instance_id);
    enum error_code code =
        postgres_query(ownership->postgres, "DELETE FROM instances WHERE instance_id = $1", &value,
                       1, NULL, error);
    if (code == ERR_OK)
        code = ownership_tell(ownership, error);
    if (code == ERR_OK)
        atomic_store(&ownership->left, true);
    postgres_value_fini(&value);
    return code;
}

/* What is asked here is sent on to those who took the shards, when there is anybody. */
static void see_followers(struct ownership *ownership)
{
    bool others = false, taken = true;
    for (int i = 0; i < ownership->instances_count; i++)
        others = others ||
                 !uuid_equal(&ownership->instances[i].id, &ownership->orchestrator->instance_id);
    for (int s = 0; s < ownership->orchestrator->shards; s++)
        taken = taken && ownership->owners[s].known;
    if (taken || !others)
        atomic_store(&ownership->followed, true);
}

enum error_code ownership_look(struct ownership *ownership, struct error *error)
{
    bool leaving = atomic_load(&ownership->leaving);
    int64_t now_us = clock_monotonic_us();
    int64_t session_us = postgres_connected_us(ownership->postgres);
    ownership->looked_us = now_us;
    ownership->look_us = INT64_MAX;
    enum error_code code = read_instances(ownership, error);
    if (code == ERR_OK)
        code = read_shards(ownership, error);
    if (code != ERR_OK)
        return code;
    struct spread spread = {
        .self = ownership->orchestrator->instance_id,
        .leaving = leaving,
        .watched_us = session_us == ownership->first_us ? INT64_MAX : now_us - session_us,
        .settle_us = ownership->orchestrator->config->lease_ms * 1000 / 3,
        .instances = ownership->instances,
        .instances_count = ownership->instances_count,
        .shards = ownership->shards,
        .shards_count = ownership->orchestrator->shards,
    };
    spread_plan(&spread, &ownership->plan);
    code = give(ownership, error);
    if (code == ERR_OK)
        code = take(ownership, error);
    if (code == ERR_OK && atomic_load(&ownership->left))
        see_followers(ownership);
    if (code == ERR_OK && leaving)
        code = leave(ownership, error);
    if (code == ERR_OK)
        atomic_store(&ownership->orchestrator->claimed, true);
    return code;
}
