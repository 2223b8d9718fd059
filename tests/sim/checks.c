/* SPDX-License-Identifier: MIT */
/* checks.c - what must hold. Beside the database stands a model of each workflow: the records that were
 * committed, applied in order. What a node does is held against it. */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "orchestrator/core/workflow.h"
#include "tables.h"
#include "world.h"

#define TEXT_BYTES 80

struct opened {
    struct opened *next;
    char *key;
    const struct process *spared; /* whose call failed while the breaker was open: no attempt */
};

struct model {
    struct uuid id;
    char text[UUID_TEXT_BYTES];
    struct workflow *workflow;
    struct opened *opened; /* idempotency keys of calls that records have opened */
    int16_t ended_run;     /* the last run that ended */
    int accepted;          /* how many clients were told */
    UT_hash_handle hh;
};

struct named {
    char key[TEXT_BYTES];
    char id[UUID_TEXT_BYTES];
    int64_t events; /* of a namespace */
    UT_hash_handle hh;
};

struct lane_check {
    int64_t next_seq;  /* as the records have it */
    int64_t published; /* checked up to here */
    struct uuid *of;   /* the workflow of each number */
    int64_t capacity;
};

static struct {
    struct model *models;
    struct named *keys;
    struct lane_check lanes[WORLD_SHARDS];
    struct workflow_outcome outcome;
    const struct process *committing;
} state;

static struct workflow_environment environment;

void checks_start(void)
{
    memset(&state, 0, sizeof state);
    memset(environment.token_secret, 7, sizeof environment.token_secret);
    environment.timeout_ms = sim.config.orchestrator_workflow_timeout_ms;
    for (int i = 0; i < WORLD_SHARDS; i++)
        state.lanes[i].next_seq = 1;
}

void checks_end(void)
{
    struct model *model, *next;
    HASH_ITER(hh, state.models, model, next)
    {
        HASH_DEL(state.models, model);
        for (struct opened *opened = model->opened, *after; opened != NULL; opened = after) {
            after = opened->next;
            free(opened->key);
            free(opened);
        }
        workflow_free(model->workflow);
        free(model);
    }
    struct named *named, *other;
    HASH_ITER(hh, state.keys, named, other)
    {
        HASH_DEL(state.keys, named);
        free(named);
    }
    for (int i = 0; i < WORLD_SHARDS; i++)
        free(state.lanes[i].of);
    workflow_outcome_fini(&state.outcome);
}

/* -- the model -- */

static struct cell cell_of(const struct row *row, enum table_name table, const char *column)
{
    return row->cells[table_column(&tables[table], column, strlen(column))];
}

static char *text_or_null(struct cell cell)
{
    return cell.bytes < 0 ? NULL : must_strndup(cell.data, (size_t)cell.bytes);
}

static struct json *json_or_null(struct cell cell)
{
    return cell.bytes < 0 ? NULL : json_parse(cell.data, (size_t)cell.bytes, NULL, NULL);
}

static struct uuid id_of(struct cell cell)
{
    struct uuid id;
    memcpy(id.octets, cell.data, sizeof id.octets);
    return id;
}

static struct model *model_of(const struct uuid *id)
{
    struct model *model;
    HASH_FIND(hh, state.models, id, sizeof *id, model);
    return model;
}

static struct opened *find_opened(const struct model *model, const char *key)
{
    struct opened *opened = model->opened;
    while (opened != NULL && strcmp(opened->key, key) != 0)
        opened = opened->next;
    return opened;
}

static void add_model(const struct row *row)
{
    const enum table_name table = TABLE_EXECUTIONS;
    const struct contract *contract = NULL;
    struct error error = {0};
    char *name = text_or_null(cell_of(row, table, "workflow_type"));
    char *version = text_or_null(cell_of(row, table, "contract_version"));
    struct workflow_head head = {
        .id = id_of(cell_of(row, table, "id")),
        .shard = (int16_t)cell_number(cell_of(row, table, "shard")),
        .run = 1,
        .correlation_id = text_or_null(cell_of(row, table, "correlation_id")),
        .namespace = text_or_null(cell_of(row, table, "namespace")),
        .input = json_or_null(cell_of(row, table, "input")),
        .metadata = json_or_null(cell_of(row, table, "metadata")),
        .traceparent = text_or_null(cell_of(row, table, "traceparent")),
        .created_us = cell_instant_us(cell_of(row, table, "created_at")),
        .parent_token = text_or_null(cell_of(row, table, "parent_token")),
        .input_bytes = cell_of(row, table, "input").bytes,
    };
    if (registry_version(sim.registry, NULL, name, version, &contract, &error) != ERR_OK ||
        contract == NULL)
        world_fail("a workflow has the contract %s %s, which is unknown", name, version);
    struct model *model = must_calloc(1, sizeof *model);
    model->id = head.id;
    uuid_format(&head.id, model->text);
    model->workflow = workflow_new(contract, &head, &environment);
    HASH_ADD(hh, state.models, id, sizeof model->id, model);
    sim.count.workflows++;
    free(name);
    free(version);
}

static void remember_opened(struct model *model)
{
    for (size_t i = 0; i < state.outcome.opened_count; i++) {
        const struct workflow_wait *wait =
            workflow_wait_find(model->workflow, state.outcome.opened[i]);
        if (wait == NULL || wait->is_timer)
            continue;
        struct buffer key = {0};
        workflow_wait_key(model->workflow, wait, &key);
        struct opened *opened = must_calloc(1, sizeof *opened);
        opened->key = buffer_take(&key);
        opened->next = model->opened;
        model->opened = opened;
    }
}

static void note_end(struct model *model)
{
    int16_t run = workflow_head(model->workflow)->run;
    if (!workflow_state_ended(workflow_state(model->workflow)))
        return;
    if (run == model->ended_run)
        world_fail("%s has a record after its end", model->text);
    model->ended_run = run;
}

static void number_events(const struct row *row, const struct model *model)
{
    int shard = (int)cell_number(cell_of(row, TABLE_EVENTS, "shard"));
    int64_t seq = cell_number(cell_of(row, TABLE_EVENTS, "seq"));
    int64_t count = cell_number(cell_of(row, TABLE_EVENTS, "seq_count"));
    struct lane_check *lane = &state.lanes[shard];
    if (seq != lane->next_seq)
        world_fail("lane %d: a record of %s has seq %lld, the next one is %lld", shard, model->text,
                   (long long)seq, (long long)lane->next_seq);
    if ((int64_t)state.outcome.events_numbered != count)
        world_fail("%s: replay makes %zu events of a record that was stored with %lld", model->text,
                   state.outcome.events_numbered, (long long)count);
    lane->next_seq = seq + count;
    if (lane->next_seq >= lane->capacity) {
        lane->capacity = lane->next_seq * 2 + 64;
        lane->of = must_realloc(lane->of, (size_t)lane->capacity * sizeof *lane->of);
    }
    for (int64_t i = seq; i < seq + count; i++)
        lane->of[i] = model->id;
}

/* Its call came to nothing while the breaker was open: until it is made again no failure of it is recorded. */
static void check_attempt(const struct model *model, const struct workflow_record *record)
{
    const struct workflow_wait *wait = workflow_wait_find(model->workflow, record->wait);
    if (record->kind != RECORD_TASK_FAILED || wait == NULL)
        return;
    struct buffer key = {0};
    workflow_wait_key(model->workflow, wait, &key);
    const struct opened *opened = find_opened(model, buffer_text(&key));
    if (opened != NULL && opened->spared != NULL && opened->spared == state.committing)
        world_fail("%s: an attempt of %s was burned while the breaker of its service was open",
                   model->text, buffer_text(&key));
    buffer_fini(&key);
}

static void apply(const struct row *row)
{
    const enum table_name table = TABLE_EVENTS;
    struct uuid id = id_of(cell_of(row, table, "workflow_id"));
    struct model *model = model_of(&id);
    double random;
    uint64_t bits = (uint64_t)cell_number(cell_of(row, table, "random"));
    memcpy(&random, &bits, sizeof random);
    char *error = text_or_null(cell_of(row, table, "error"));
    char *cause = text_or_null(cell_of(row, table, "cause"));
    struct json *payload = json_or_null(cell_of(row, table, "payload"));
    struct workflow_record record = {
        .n = (int32_t)cell_number(cell_of(row, table, "n")),
        .kind = (enum record_kind)cell_number(cell_of(row, table, "kind")),
        .at_us = cell_instant_us(cell_of(row, table, "at")),
        .wait = (uint32_t)cell_number(cell_of(row, table, "wait")),
        .attempt = (uint32_t)cell_number(cell_of(row, table, "attempt")),
        .duration_us = cell_number(cell_of(row, table, "duration_us")),
        .random = random,
        .error = error,
        .cause = cause,
        .payload = payload,
    };
    if (model == NULL)
        world_fail("a record has no workflow");
    else if (record.n != workflow_records(model->workflow))
        world_fail("%s: record %d follows %d records", model->text, record.n,
                   workflow_records(model->workflow));
    else if (check_attempt(model, &record),
             workflow_apply(model->workflow, &record, &state.outcome) != ERR_OK)
        world_fail(
            "%s: record %d (kind %d, wait %u, attempt %u) does not fit: a result came twice?",
            model->text, record.n, record.kind, record.wait, record.attempt);
    else {
        remember_opened(model);
        note_end(model);
        number_events(row, model);
    }
    free(error);
    free(cause);
    json_release(payload);
}

/* -- after each commit -- */

/* A shard that was given back belongs to nobody, until another one takes it with a higher epoch. */
static void check_owner(const struct process *process, int64_t shard)
{
    const struct node *node = node_of(process);
    struct cell owner = cell_of(tables[TABLE_SHARDS].rows[shard], TABLE_SHARDS, "owner");
    if (node == NULL || owner.bytes < 0) /* one that is dead was let through by the fence */
        return;
    if (memcmp(owner.data, node->orchestrator->instance_id.octets, sizeof(struct uuid)) != 0)
        world_fail("%s wrote to shard %lld, which is not its own", process->name, (long long)shard);
}

static void check_lane(int shard)
{
    const struct row *row = tables[TABLE_SHARDS].rows[shard];
    struct lane_check *lane = &state.lanes[shard];
    int64_t next = cell_number(cell_of(row, TABLE_SHARDS, "next_seq"));
    int64_t published = cell_number(cell_of(row, TABLE_SHARDS, "published_seq"));
    if (next != lane->next_seq)
        world_fail("lane %d: next_seq is %lld, its records end before %lld", shard, (long long)next,
                   (long long)lane->next_seq);
    if (published >= next)
        world_fail("lane %d: published_seq %lld is beyond its records", shard,
                   (long long)published);
    for (; lane->published < published; lane->published++)
        if (!broker_has(shard, lane->published + 1))
            world_fail("lane %d: published_seq is %lld, and the broker does not have %lld", shard,
                       (long long)published, (long long)lane->published + 1);
}

/* Submissions on their way and workflows that wait to start: what a node takes in is bounded by it. */
static void check_queues(bool at_rest)
{
    for (int i = 0; i < WORLD_NODES_MAX; i++) {
        const struct process *process = nodes[i].process;
        if (process == NULL || !process->alive || nodes[i].orchestrator == NULL)
            continue;
        long long queued = atomic_load(&nodes[i].orchestrator->queued);
        if (queued < 0 || (at_rest && queued != 0 && process->frozen_until_us <= fiber_now_us()))
            world_fail("%s counts %lld in its queue, %s", process->name, queued,
                       at_rest ? "and there are none" : "less than none");
    }
}

void check_commit(const struct process *process)
{
    struct row *const *rows;
    struct table *const *of;
    int count = tables_added(&rows, &of);
    state.committing = process;
    if (sim.unchecked)
        return;
    for (int i = 0; i < count; i++) {
        if (of[i] == &tables[TABLE_EXECUTIONS]) {
            add_model(rows[i]);
            check_owner(process, cell_number(cell_of(rows[i], TABLE_EXECUTIONS, "shard")));
        }
    }
    for (int i = 0; i < count && !sim.failed; i++)
        if (of[i] == &tables[TABLE_EVENTS]) {
            apply(rows[i]);
            check_owner(process, cell_number(cell_of(rows[i], TABLE_EVENTS, "shard")));
        }
    for (int i = 0; i < WORLD_SHARDS && !sim.failed; i++)
        check_lane(i);
    check_queues(false);
    sim.steps++;
}

/* -- what nodes and clients do -- */

static struct opened *opened_by_key(const char *key)
{
    struct uuid id;
    char text[UUID_TEXT_BYTES] = "";
    if (key == NULL || strlen(key) < sizeof text)
        return NULL;
    memcpy(text, key, sizeof text - 1);
    const struct model *model = uuid_parse(text, sizeof text - 1, &id) ? model_of(&id) : NULL;
    return model == NULL ? NULL : find_opened(model, key);
}

void check_call(const struct process *process, const char *key)
{
    struct opened *opened = opened_by_key(key);
    if (opened == NULL)
        world_fail("%s made the call %s, and no committed record opened it", process->name,
                   key == NULL ? "without a key" : key);
    else
        opened->spared = NULL;
}

void check_spared(const struct process *process, const char *key)
{
    struct opened *opened = opened_by_key(key);
    if (opened != NULL)
        opened->spared = process;
}

void check_produced(const struct process *process, int shard, int64_t seq, const char *workflow)
{
    const struct lane_check *lane = &state.lanes[shard];
    char text[UUID_TEXT_BYTES] = "";
    if (seq < lane->next_seq)
        uuid_format(&lane->of[seq], text);
    if (seq >= lane->next_seq)
        world_fail("%s published seq %lld of lane %d, which is not committed", process->name,
                   (long long)seq, shard);
    else if (strcmp(text, workflow) != 0)
        world_fail("%s published seq %lld of lane %d for workflow %s, it belongs to %s",
                   process->name, (long long)seq, shard, workflow, text);
}

void check_accepted(const char *id, const char *key)
{
    struct uuid parsed;
    struct model *model = uuid_parse(id, strlen(id), &parsed) ? model_of(&parsed) : NULL;
    if (model == NULL) {
        world_fail("a client was told that %s is accepted, and it is not committed", id);
        return;
    }
    model->accepted++;
    struct named *named;
    if (key == NULL)
        return;
    HASH_FIND_STR(state.keys, key, named);
    if (named == NULL) {
        named = must_calloc(1, sizeof *named);
        strncpy(named->key, key, sizeof named->key - 1);
        strncpy(named->id, id, sizeof named->id - 1);
        HASH_ADD_STR(state.keys, key, named);
    } else if (strcmp(named->id, id) != 0) {
        world_fail("the key %s leads to %s and to %s", key, named->id, id);
    }
}

const char *check_paused(void)
{
    for (const struct model *model = state.models; model != NULL; model = model->hh.next)
        if (workflow_paused(model->workflow) &&
            !workflow_state_ended(workflow_state(model->workflow)))
            return model->text;
    return NULL;
}

void check_has_ended(const char *id, const char *command)
{
    struct uuid parsed;
    const struct model *model = uuid_parse(id, strlen(id), &parsed) ? model_of(&parsed) : NULL;
    if (model != NULL && model->ended_run == 0 && /* it may have been retried */
        !workflow_state_ended(workflow_state(model->workflow)))
        world_fail("%s of %s was refused because it has ended, and it is %s", command, id,
                   workflow_state_name(workflow_state(model->workflow)));
}

/* -- the end -- */

static bool lane_is_published(int shard)
{
    const struct row *row = tables[TABLE_SHARDS].rows[shard];
    return cell_number(cell_of(row, TABLE_SHARDS, "published_seq")) ==
           state.lanes[shard].next_seq - 1;
}

bool check_all_ended(void)
{
    for (const struct model *model = state.models; model != NULL; model = model->hh.next)
        if (!workflow_state_ended(workflow_state(model->workflow)))
            return false;
    for (int i = 0; i < WORLD_SHARDS; i++)
        if (!lane_is_published(i))
            return false;
    return true;
}

/* Why the end is not reached: the first workflow or lane that waits. */
void check_tell_unfinished(struct buffer *out)
{
    for (struct model *model = state.models; model != NULL; model = model->hh.next) {
        if (workflow_state_ended(workflow_state(model->workflow)))
            continue;
        buffer_append_format(out, "%s is %s at %s%s, %d records, shard %d; ", model->text,
                             workflow_state_name(workflow_state(model->workflow)),
                             workflow_current_step(model->workflow),
                             workflow_paused(model->workflow) ? " (paused)" : "",
                             workflow_records(model->workflow),
                             workflow_head(model->workflow)->shard);
        return;
    }
    for (int i = 0; i < WORLD_SHARDS; i++)
        if (!lane_is_published(i))
            buffer_append_format(out, "lane %d is not published up to %lld; ", i,
                                 (long long)state.lanes[i].next_seq - 1);
}

/* A reader of one partition takes a number that is not above the last one of its lane for a repeat: so a
 * number must come before all higher ones of its lane, and prev_seq must name the one before it. */
static void check_partition(int partition)
{
    int64_t last[WORLD_SHARDS] = {0};
    const struct broker_record *record;
    for (int64_t offset = 0; (record = broker_record(partition, offset)) != NULL; offset++) {
        int shard = atoi(strrchr(record->lane, '.') + 1);
        if (record->seq <= last[shard])
            continue;
        if (record->prev_seq >= 0 && record->prev_seq != last[shard])
            world_fail("partition %d offset %lld: lane %d seq %lld says that it follows %lld, it "
                       "follows %lld",
                       partition, (long long)offset, shard, (long long)record->seq,
                       (long long)record->prev_seq, (long long)last[shard]);
        last[shard] = record->seq;
    }
}

static void check_complete(int shard)
{
    for (int64_t seq = 1; seq < state.lanes[shard].next_seq; seq++)
        if (!broker_has(shard, seq))
            world_fail("lane %d: seq %lld is not on the topic", shard, (long long)seq);
}

static void check_first_comes(int partition)
{
    int64_t last[WORLD_SHARDS] = {0};
    const struct broker_record *record;
    /* Which numbers a reader counts; the rest must be repeats of these. */
    for (int64_t offset = 0; (record = broker_record(partition, offset)) != NULL; offset++) {
        int shard = atoi(strrchr(record->lane, '.') + 1);
        bool counted = record->seq > last[shard];
        if (counted) {
            last[shard] = record->seq;
            continue;
        }
        bool before = false;
        for (int64_t i = 0; i < offset && !before; i++) {
            const struct broker_record *other = broker_record(partition, i);
            before = other->seq == record->seq && strcmp(other->lane, record->lane) == 0;
        }
        if (!before)
            world_fail("partition %d offset %lld: lane %s seq %lld comes first after a higher one",
                       partition, (long long)offset, record->lane, (long long)record->seq);
    }
}

/* Each committed event is counted once. */
static void check_totals(void)
{
    struct named *counts = NULL, *named, *next;
    for (int shard = 0; shard < WORLD_SHARDS; shard++)
        for (int64_t seq = 1; seq < state.lanes[shard].next_seq; seq++) {
            const struct model *model = model_of(&state.lanes[shard].of[seq]);
            const char *namespace = workflow_head(model->workflow)->namespace;
            HASH_FIND_STR(counts, namespace, named);
            if (named == NULL) {
                named = must_calloc(1, sizeof *named);
                strncpy(named->key, namespace, sizeof named->key - 1);
                HASH_ADD_STR(counts, key, named);
            }
            named->events++;
        }
    HASH_ITER(hh, counts, named, next)
    {
        if (reducers_total(named->key) != named->events)
            world_fail("namespace %s: %lld events were committed, the reducers counted %lld",
                       named->key, (long long)named->events, (long long)reducers_total(named->key));
        HASH_DEL(counts, named);
        free(named);
    }
}

static void check_nothing_held(void)
{
    const struct table *table = &tables[TABLE_HELD];
    for (int i = 0; i < table->count; i++)
        if (!table->rows[i]->gone)
            world_fail("a step is held for %.*s, and its workflow has ended",
                       (int)cell_of(table->rows[i], TABLE_HELD, "service").bytes,
                       cell_of(table->rows[i], TABLE_HELD, "service").data);
}

void check_end(void)
{
    check_nothing_held();
    check_queues(true);
    for (int i = 0; i < WORLD_SHARDS; i++)
        check_complete(i);
    for (int p = 0; p < WORLD_PARTITIONS && !sim.failed; p++) {
        check_partition(p);
        check_first_comes(p);
    }
    if (!sim.failed)
        check_totals();
}
