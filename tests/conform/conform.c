/* SPDX-License-Identifier: MIT */
#include "tests/conform/conform.h"

#include <stdio.h>
#include <string.h>

#include "io/clock.h"
#include "orchestrator/store.h"

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            snprintf(told, sizeof told, __VA_ARGS__);                                              \
            return told;                                                                           \
        }                                                                                          \
    } while (0)

static char told[1024];
static int64_t began_us;
static struct workflow_environment environment = {.timeout_ms = 60000};

static struct uuid id_of(uint8_t number)
{
    return uuid_v7(began_us / 1000, (uint8_t[10]){[9] = number});
}

static struct workflow *new_workflow(struct registry *registry, uint8_t number)
{
    struct workflow_head head = {.id = id_of(number),
                                 .shard = 1,
                                 .run = 1,
                                 .namespace = must_strdup("docs"),
                                 .input = json_object(),
                                 .input_bytes = 2,
                                 .created_us = began_us};
    json_object_set(head.input, "n", json_int(number));
    json_object_set(head.input, "items", json_array());
    return workflow_new(registry_newest(registry, "sim_chain"), &head, &environment);
}

/* Submits a workflow to an engine of its own and sends what comes of it. */
static enum error_code submit(struct postgres *postgres, struct registry *registry, uint8_t number,
                              const char *key, struct store_lane *lane, struct error *error)
{
    static const uint8_t hash[BODY_HASH_BYTES] = {1};
    struct engine *engine = engine_new(8);
    struct engine_effects effects = {0};
    struct store_batch *batch = store_batch_new();
    engine_lane_open(engine, lane->shard, lane->next_seq);
    engine_step(engine,
                &(struct engine_event){.type = ENGINE_SUBMIT,
                                       .now_us = began_us,
                                       .id = id_of(number),
                                       .workflow = new_workflow(registry, number)},
                &effects);
    for (size_t i = 0; i < effects.count; i++)
        if (effects.items[i].type == ENGINE_RECORDED)
            store_batch_add(batch, &effects.items[i], key, hash);
    struct store_lane sent = *lane;
    sent.next_seq = engine_lane_next(engine, lane->shard);
    enum error_code code = store_batch_put(batch, postgres, &sent, 1, error);
    if (code == ERR_OK)
        code = postgres_batch_run(postgres, 0, NULL, error);
    if (code == ERR_OK) {
        lane->next_seq = sent.next_seq;
        lane->commits++;
    }
    store_batch_free(batch);
    engine_effects_fini(&effects);
    engine_free(engine);
    return code;
}

static enum error_code read_shard(struct postgres *postgres, struct store_lane *lane,
                                  struct error *error)
{
    struct postgres_value value = {0};
    struct postgres_rows *rows = NULL;
    postgres_array_start(&value, PG_INT2);
    postgres_push_int2(&value, lane->shard);
    enum error_code code = postgres_query(
        postgres,
        "SELECT shard, epoch, commits, next_seq, published_seq, cluster_id FROM shards "
        "WHERE shard = ANY($1) ORDER BY shard",
        &value, 1, &rows, error);
    if (code == ERR_OK && postgres_rows_count(rows) == 1) {
        lane->epoch = postgres_rows_int(rows, 0, 1);
        lane->commits = postgres_rows_int(rows, 0, 2);
        lane->next_seq = postgres_rows_int(rows, 0, 3);
        lane->published_seq = postgres_rows_int(rows, 0, 4);
        snprintf(lane->cluster_id, sizeof lane->cluster_id, "%s",
                 postgres_rows_text(rows, 0, 5, NULL));
    }
    postgres_rows_free(rows);
    postgres_value_fini(&value);
    return code;
}

static void count_workflow(void *context, struct workflow *workflow)
{
    int *counts = context;
    counts[0]++;
    counts[1] += workflow_records(workflow);
    workflow_free(workflow);
}

static const char *check_fence(struct postgres *postgres, struct registry *registry,
                               int64_t (*rows)(const char *table), struct store_lane *lane)
{
    struct error error = {0};
    struct store_lane other = *lane, now = *lane;
    other.epoch++;
    enum error_code code = submit(postgres, registry, 2, NULL, &other, &error);
    CHECK(code == ERR_FENCED, "another epoch: %s %s", error_code_name(code), error.text);
    other = *lane;
    other.commits++;
    code = submit(postgres, registry, 2, NULL, &other, &error);
    CHECK(code == ERR_FENCED, "another commit count: %s", error_code_name(code));
    CHECK(rows("workflow_executions") == 1, "what was fenced left a workflow behind");
    CHECK(read_shard(postgres, &now, &error) == ERR_OK && now.next_seq == lane->next_seq &&
              now.commits == lane->commits,
          "what was fenced moved the shard");
    return NULL;
}

static const char *check_key(struct postgres *postgres, struct registry *registry,
                             int64_t (*rows)(const char *table), struct store_lane *lane)
{
    struct error error = {0};
    struct store_lane now = *lane;
    int64_t events = rows("workflow_events");
    enum error_code code = submit(postgres, registry, 3, "key", lane, &error);
    CHECK(code == ERR_CONFLICT, "the same key again: %s", error_code_name(code));
    CHECK(rows("workflow_keys") == 1 && rows("workflow_events") == events &&
              rows("workflow_executions") == 1,
          "a refused batch left rows behind");
    CHECK(read_shard(postgres, &now, &error) == ERR_OK && now.next_seq == lane->next_seq,
          "a refused batch moved the shard");
    code = submit(postgres, registry, 1, NULL, lane, &error);
    CHECK(code == ERR_CONFLICT, "the same workflow again: %s", error_code_name(code));
    return NULL;
}

static const char *check_reading(struct postgres *postgres, struct registry *registry,
                                 const struct store_lane *lane)
{
    struct error error = {0};
    struct store_loading *loading = NULL;
    int counts[2] = {0};
    int64_t last_seq = 0;
    enum error_code code = store_loading_open(&loading, postgres, registry, &lane->shard, 1,
                                              &environment, count_workflow, counts, &error);
    while (code == ERR_OK && !store_loading_ended(loading))
        code = store_loading_next(loading, true, &error);
    store_loading_free(loading);
    CHECK(code == ERR_OK && counts[0] == 2 && counts[1] == 2,
          "loading a shard: %s, %d workflows with %d records", error.text, counts[0], counts[1]);
    code = store_read_lane(postgres, registry, lane->shard, 0, 100, &environment, NULL, NULL,
                           &last_seq, &error);
    CHECK(code == ERR_OK && last_seq == lane->next_seq - 1, "the lane ends at %lld, not at %lld %s",
          (long long)last_seq, (long long)lane->next_seq - 1, error.text);
    return NULL;
}

const char *conform_run(struct postgres *postgres, struct registry *registry,
                        int64_t (*rows)(const char *table))
{
    struct error error = {0};
    struct store_lane lane = {.shard = 1}, now = {.shard = 1};
    const char *fault = NULL;
    began_us = clock_now_us();
    CHECK(read_shard(postgres, &lane, &error) == ERR_OK && lane.next_seq == 1,
          "a shard as it is at first: %s", error.text);
    enum error_code code = submit(postgres, registry, 1, "key", &lane, &error);
    CHECK(code == ERR_OK, "a submission: %s %s", error_code_name(code), error.text);
    lane.published_seq = 1;
    snprintf(lane.cluster_id, sizeof lane.cluster_id, "cluster");
    CHECK(rows("workflow_executions") == 1 && rows("workflow_keys") == 1,
          "a submission left no rows");
    fault = check_fence(postgres, registry, rows, &lane);
    if (fault == NULL)
        fault = check_key(postgres, registry, rows, &lane);
    if (fault != NULL)
        return fault;
    code = submit(postgres, registry, 4, "other key", &lane, &error);
    CHECK(code == ERR_OK, "a second submission: %s %s", error_code_name(code), error.text);
    CHECK(read_shard(postgres, &now, &error) == ERR_OK && now.published_seq == 1 &&
              strcmp(now.cluster_id, "cluster") == 0 && now.commits == 2,
          "published_seq %lld, commits %lld", (long long)now.published_seq, (long long)now.commits);
    return check_reading(postgres, registry, &lane);
}
