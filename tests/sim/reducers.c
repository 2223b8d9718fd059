/* SPDX-License-Identifier: MIT */
/* reducers.c - a group of reducers: the real core, rows and offsets in a store twin that guards them by epoch
 * and expected offset as reducer_fence does, a coordinator that hands partitions to the living. The log that
 * they read is the broker's; what they count is held against the events that were committed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reducer/core/reducer.h"
#include "world.h"

#define MEMBERS 2
#define SESSION_TIMEOUT_US (6 * SECOND_US)
#define BATCH_MAX 12
#define TOLERANCE_US SECOND_US
#define TOTAL 0 /* aggregations, in the order of `definitions` */

static const char *const definitions[] = {
    "name: sim_total\nversion: 1.0.0\n"
    "filter:\n  - {field: payload.workflow_id, exists: true}\n"
    "fields:\n  namespace: {path: [payload.namespace, metadata.namespace], type: text}\n"
    "group_by: [namespace]\nmeasures:\n  events: count\nwindow: {type: none}\n",
    "name: sim_windows\nversion: 1.0.0\n"
    "filter:\n  - {field: payload.workflow_id, exists: true}\n"
    "fields:\n  kind: {path: event_type, type: text}\n"
    "group_by: [kind]\nmeasures:\n  events: count\n  last: {last: payload.workflow_state}\n"
    "window: {type: tumbling}\n",
};

/* -- the store -- */

struct stored_row {
    int aggregation;
    int64_t start_us;
    char *group;
    int32_t revision;
    int64_t events;
    struct buffer state;
};

struct stored_lane {
    char name[LANE_BYTES_MAX + 1];
    int64_t last_seq;
};

/* A partition as it is stored; also what a transaction wants it to become. */
struct stored {
    int64_t epoch, next_offset, newest_us;
    int64_t expected; /* of a transaction: next_offset before it */
    struct stored_row *rows;
    int rows_count, rows_capacity;
    struct stored_lane lanes[WORLD_SHARDS];
    int lanes_count;
    bool touched;
};

struct transaction {
    struct process *process;
    struct stored parts[WORLD_PARTITIONS];
    int holders; /* the member, and the server while it has not carried it out */
    bool done;
    enum error_code code;
};

struct member {
    struct process *process;
    int place;
    struct reducer reducer;
    bool assigned[WORLD_PARTITIONS]; /* as the coordinator told it */
};

static struct {
    struct aggregation_set *set;
    struct stored parts[WORLD_PARTITIONS];
    struct member members[MEMBERS];
    int owner[WORLD_PARTITIONS]; /* the coordinator's mind: a member, or -1 */
    int64_t gone_since_us[MEMBERS];
    int started;
    struct chance chance;
} group;

static struct stored_row *row_of(struct stored *part, int aggregation, int64_t start_us,
                                 const char *name)
{
    for (int i = 0; i < part->rows_count; i++) {
        struct stored_row *row = &part->rows[i];
        if (row->aggregation == aggregation && row->start_us == start_us &&
            strcmp(row->group, name) == 0)
            return row;
    }
    if (part->rows_count == part->rows_capacity) {
        part->rows_capacity = part->rows_capacity == 0 ? 16 : part->rows_capacity * 2;
        part->rows = must_realloc(part->rows, (size_t)part->rows_capacity * sizeof *part->rows);
    }
    struct stored_row *row = &part->rows[part->rows_count++];
    *row = (struct stored_row){
        .aggregation = aggregation, .start_us = start_us, .group = must_strdup(name)};
    return row;
}

static void put_row(struct stored *part, const struct stored_row *from)
{
    struct stored_row *row = row_of(part, from->aggregation, from->start_us, from->group);
    row->revision = from->revision;
    row->events = from->events;
    buffer_clear(&row->state);
    buffer_append(&row->state, buffer_text(&from->state), from->state.bytes);
}

static void put_lane(struct stored *part, const char *name, int64_t last_seq)
{
    int i = 0;
    while (i < part->lanes_count && strcmp(part->lanes[i].name, name) != 0)
        i++;
    BUG_IF(i == WORLD_SHARDS);
    if (i == part->lanes_count)
        part->lanes_count++;
    snprintf(part->lanes[i].name, sizeof part->lanes[i].name, "%s", name);
    part->lanes[i].last_seq = last_seq;
}

static void stored_fini(struct stored *part)
{
    for (int i = 0; i < part->rows_count; i++) {
        free(part->rows[i].group);
        buffer_fini(&part->rows[i].state);
    }
    free(part->rows);
    *part = (struct stored){0};
}

/* All partitions or none, as reducer_fence has it. */
static bool fence_holds(const struct transaction *transaction)
{
    for (int p = 0; p < WORLD_PARTITIONS; p++) {
        const struct stored *wanted = &transaction->parts[p], *now = &group.parts[p];
        if (wanted->touched &&
            (wanted->epoch != now->epoch || wanted->expected != now->next_offset))
            return false;
    }
    return true;
}

static enum error_code carry_out(const struct transaction *transaction)
{
    enum error_code code = fence_holds(transaction) ? ERR_OK : ERR_FENCED;
    for (int p = 0; p < WORLD_PARTITIONS && code == ERR_OK; p++) {
        const struct stored *wanted = &transaction->parts[p];
        if (!wanted->touched)
            continue;
        if (wanted->epoch != group.parts[p].epoch)
            world_fail("%s wrote to partition %d, which another one has taken",
                       transaction->process->name, p);
        if (wanted->next_offset < group.parts[p].next_offset)
            world_fail("%s set partition %d back from offset %lld to %lld",
                       transaction->process->name, p, (long long)group.parts[p].next_offset,
                       (long long)wanted->next_offset);
        group.parts[p].next_offset = wanted->next_offset;
        group.parts[p].newest_us = wanted->newest_us;
        for (int i = 0; i < wanted->lanes_count; i++)
            put_lane(&group.parts[p], wanted->lanes[i].name, wanted->lanes[i].last_seq);
        for (int i = 0; i < wanted->rows_count; i++)
            put_row(&group.parts[p], &wanted->rows[i]);
    }
    world_tell(TOLD_STORE, "%s: a batch of the reducer: %s", transaction->process->name,
               error_code_name(code));
    return code;
}

static void transaction_release(struct transaction *transaction)
{
    if (--transaction->holders > 0)
        return;
    for (int p = 0; p < WORLD_PARTITIONS; p++)
        stored_fini(&transaction->parts[p]);
    free(transaction);
}

/* The server had it, and was slow. */
static void arrive_late(void *context)
{
    (void)carry_out(context);
    transaction_release(context);
}

/* When the connection is lost it is in the database, or never comes there, or comes there later. */
static void arrive(void *context)
{
    struct transaction *transaction = context;
    bool lost = world_faulty(FAULT_CONNECTION) && chance_one_in(&group.chance, 30);
    int64_t fate = lost ? chance_between(&group.chance, 0, 2) : 0;
    if (fate == 0)
        transaction->code = carry_out(transaction);
    if (fate == 1) {
        transaction->holders++;
        fiber_at(fiber_now_us() + chance_between(&group.chance, 1, 3 * SECOND_US), arrive_late,
                 transaction);
    }
    if (lost)
        transaction->code = ERR_OUTCOME_UNKNOWN;
    transaction->done = true;
    fiber_wake(transaction);
}

/* -- a member -- */

static struct transaction *snapshot(struct member *member)
{
    struct reducer *reducer = &member->reducer;
    struct transaction *transaction = must_calloc(1, sizeof *transaction);
    transaction->process = member->process;
    transaction->holders = 1;
    for (int p = 0; p < WORLD_PARTITIONS; p++) {
        const struct reducer_partition *partition = reducer->partitions[p];
        struct stored *part = &transaction->parts[p];
        if (partition == NULL || !partition->dirty)
            continue;
        part->touched = true;
        part->epoch = partition->epoch;
        part->expected = partition->committed_offset;
        part->next_offset = partition->next_offset;
        part->newest_us = partition->newest_us;
        for (size_t i = 0; i < partition->lanes_capacity; i++)
            if (partition->lanes[i].bytes > 0 && partition->lanes[i].dirty)
                put_lane(part, partition->lanes[i].name, partition->lanes[i].last_seq);
    }
    for (size_t i = 0; i < reducer->dirty_count; i++) {
        const struct aggregate *row = reducer->dirty[i];
        char *name = must_strndup(row->group, row->group_bytes);
        struct stored_row *stored = row_of(&transaction->parts[row->partition],
                                           row->definition->index, row->start_us, name);
        stored->revision = row->revision;
        stored->events = row->events;
        aggregate_encode(row, &stored->state);
        free(name);
    }
    reducer_snapshot_taken(reducer);
    return transaction;
}

/* True when it is in the database. ERR_FENCED: everything is dropped and loaded again. */
static bool commit(struct member *member)
{
    struct transaction *transaction = snapshot(member);
    bool committed = false;
    for (;;) {
        transaction->done = false;
        fiber_effect();
        fiber_at(fiber_now_us() + chance_between(&group.chance, 200, 5000), arrive, transaction);
        while (!transaction->done)
            (void)fiber_wait(transaction, INT64_MAX - 1);
        fiber_effect();
        if (transaction->code == ERR_OUTCOME_UNKNOWN) { /* as store_outcome does */
            bool before = true, after = true;
            for (int p = 0; p < WORLD_PARTITIONS; p++) {
                const struct stored *wanted = &transaction->parts[p], *now = &group.parts[p];
                if (!wanted->touched)
                    continue;
                after =
                    after && wanted->epoch == now->epoch && wanted->next_offset == now->next_offset;
                before =
                    before && wanted->epoch == now->epoch && wanted->expected == now->next_offset;
            }
            if (before && !after)
                continue; /* sent again */
            transaction->code = after ? ERR_OK : ERR_FENCED;
        }
        committed = transaction->code == ERR_OK;
        break;
    }
    transaction_release(transaction);
    if (committed) {
        reducer_snapshot_stored(&member->reducer);
        reducer_sweep(&member->reducer);
    }
    return committed;
}

/* Raises the epoch and loads what is stored. */
static void take_on(struct member *member, int p)
{
    struct stored *part = &group.parts[p];
    struct reducer *reducer = &member->reducer;
    fiber_effect();
    fiber_sleep_us(chance_between(&group.chance, 200, 3000));
    part->epoch++;
    fiber_effect();
    struct reducer_partition *partition =
        reducer_assign(reducer, p, part->epoch, part->next_offset, part->newest_us, WINDOW_NO_TIME);
    for (int i = 0; i < part->lanes_count; i++)
        reducer_load_lane(partition, part->lanes[i].name, strlen(part->lanes[i].name),
                          part->lanes[i].last_seq);
    for (int i = 0; i < part->rows_count; i++) {
        const struct stored_row *from = &part->rows[i];
        struct aggregate *row = reducer_row(reducer, partition, from->aggregation, from->start_us,
                                            from->group, strlen(from->group));
        row->revision = from->revision;
        row->events = from->events;
        if (!aggregate_decode(row, from->state.data, from->state.bytes))
            world_fail("a stored row of %s cannot be read", from->group);
        reducer_row_filled(reducer, row);
    }
    member->assigned[p] = true;
}

static void drop_all(struct member *member)
{
    for (int p = 0; p < WORLD_PARTITIONS; p++)
        if (member->reducer.partitions[p] != NULL)
            reducer_revoke(&member->reducer, p);
    memset(member->assigned, 0, sizeof member->assigned);
    reducer_fini(&member->reducer);
    reducer_init(&member->reducer, group.set, TOLERANCE_US);
}

static struct reducer_record record_from(const struct broker_record *from, int partition,
                                         char seq[24], char prev_seq[24])
{
    struct reducer_record record = {.partition = partition,
                                    .offset = from->offset,
                                    .timestamp_ms = from->timestamp_ms,
                                    .key = from->key,
                                    .key_bytes = strlen(from->key),
                                    .value = from->value,
                                    .value_bytes = from->value_bytes,
                                    .lane = from->lane,
                                    .lane_bytes = strlen(from->lane),
                                    .seq = seq,
                                    .seq_bytes =
                                        (size_t)snprintf(seq, 24, "%lld", (long long)from->seq)};
    if (from->prev_seq >= 0) {
        record.prev_seq = prev_seq;
        record.prev_seq_bytes = (size_t)snprintf(prev_seq, 24, "%lld", (long long)from->prev_seq);
    }
    return record;
}

static bool take_records(struct member *member, int p)
{
    char seq[24], prev_seq[24];
    const struct reducer_partition *partition = member->reducer.partitions[p];
    int64_t count = chance_between(&group.chance, 1, BATCH_MAX);
    bool any = false;
    for (int64_t i = 0; i < count; i++) {
        const struct broker_record *from = broker_record(p, partition->next_offset);
        if (from == NULL)
            break;
        struct reducer_record record = record_from(from, p, seq, prev_seq);
        struct reducer_outcome outcome = reducer_record(&member->reducer, &record);
        if (outcome.verdict == RECORD_MALFORMED || outcome.verdict == RECORD_SKIPPED ||
            outcome.verdict == RECORD_NEEDS_WINDOW || outcome.verdict == RECORD_NEEDS_ROWS)
            world_fail("%s: partition %d offset %lld has verdict %d: %s", member->process->name, p,
                       (long long)from->offset, outcome.verdict,
                       outcome.reason == NULL ? "" : outcome.reason);
        if (outcome.missing)
            world_fail(
                "%s: partition %d offset %lld: lane %s seq %lld says that a record is missing",
                member->process->name, p, (long long)from->offset, from->lane,
                (long long)from->seq);
        any = true;
    }
    return any;
}

/* What the coordinator has decided since; what was gathered for a partition that goes is not committed. */
static void rebalance(struct member *member)
{
    for (int p = 0; p < WORLD_PARTITIONS; p++) {
        bool wanted = group.owner[p] == member->place;
        if (member->assigned[p] && !wanted) {
            reducer_revoke(&member->reducer, p);
            member->assigned[p] = false;
        } else if (!member->assigned[p] && wanted) {
            take_on(member, p);
        }
    }
}

static void *run(void *context)
{
    struct member *member = context;
    for (;;) {
        bool any = false;
        rebalance(member);
        for (int p = 0; p < WORLD_PARTITIONS; p++)
            if (member->assigned[p])
                any = take_records(member, p) || any;
        if (any && !commit(member))
            drop_all(member);
        fiber_sleep_us(chance_between(&group.chance, 1000, any ? 20000 : 400000));
    }
    return NULL;
}

/* -- the group -- */

static void start(void *context)
{
    struct member *member = context;
    char name[16];
    snprintf(name, sizeof name, "reducer-%d.%d", member->place, group.started++);
    memset(member->assigned, 0, sizeof member->assigned);
    member->process = process_new(name);
    member->process->killed = reducers_break;
    reducer_init(&member->reducer, group.set, TOLERANCE_US); /* of one that was killed: leaks */
    process_start(member->process, run, member);
}

void reducers_break(struct process *process)
{
    for (int i = 0; i < MEMBERS; i++)
        if (group.members[i].process == process) {
            world_tell(TOLD_FAULT, "%s is killed", process->name);
            fiber_at(fiber_now_us() + chance_between(&group.chance, 1, 100) * 50000, start,
                     &group.members[i]);
        }
}

struct process *reducer_process(int place) { return group.members[place % MEMBERS].process; }

/* Who does not answer for a while is out, whether it is dead or only stopped. */
static void coordinate(void *context)
{
    bool in[MEMBERS];
    int count = 0;
    for (int i = 0; i < MEMBERS; i++) {
        const struct process *process = group.members[i].process;
        bool answers = process->alive && process->frozen_until_us <= fiber_now_us();
        if (answers)
            group.gone_since_us[i] = 0;
        else if (group.gone_since_us[i] == 0)
            group.gone_since_us[i] = fiber_now_us();
        in[i] = answers || fiber_now_us() - group.gone_since_us[i] < SESSION_TIMEOUT_US;
        count += in[i];
    }
    for (int p = 0; p < WORLD_PARTITIONS && count > 0; p++) {
        bool moved = world_faulty(FAULT_NETWORK) && chance_one_in(&group.chance, 100);
        int owner = group.owner[p];
        while (owner < 0 || !in[owner] || moved) {
            owner = (owner + 1) % MEMBERS;
            moved = false;
        }
        group.owner[p] = owner;
    }
    fiber_at(fiber_now_us() + SECOND_US, coordinate, context);
}

static struct aggregation_set *read_definitions(void)
{
    static const struct aggregation_defaults defaults = {.size_ms = 5000, .lateness_ms = 60000};
    struct aggregation_set *set = aggregation_set_new(&defaults);
    for (size_t i = 0; i < sizeof definitions / sizeof definitions[0]; i++) {
        struct findings findings = {0};
        const char *text = definitions[i];
        BUG_IF(aggregation_set_parse(set, "sim.yaml", text, strlen(text), &findings) == NULL);
        findings_fini(&findings);
    }
    return set;
}

void reducers_start(void)
{
    struct aggregation_set *set = group.set;
    memset(&group, 0, sizeof group);
    group.set = set == NULL ? read_definitions() : set;
    group.chance = chance_of(sim.options.seed, 0x4ed);
    for (int p = 0; p < WORLD_PARTITIONS; p++) {
        group.owner[p] = -1;
        group.parts[p].newest_us = WINDOW_NO_TIME;
    }
    for (int i = 0; i < MEMBERS; i++) {
        group.members[i].place = i;
        start(&group.members[i]);
    }
    coordinate(NULL);
}

void reducers_end(void)
{
    for (int p = 0; p < WORLD_PARTITIONS; p++)
        stored_fini(&group.parts[p]);
}

bool reducers_caught_up(void)
{
    for (int p = 0; p < WORLD_PARTITIONS; p++)
        if (broker_record(p, group.parts[p].next_offset) != NULL)
            return false;
    return true;
}

/* Events of a namespace, all partitions together. */
int64_t reducers_total(const char *namespace)
{
    int64_t total = 0;
    for (int p = 0; p < WORLD_PARTITIONS; p++)
        for (int i = 0; i < group.parts[p].rows_count; i++)
            if (group.parts[p].rows[i].aggregation == TOTAL &&
                strcmp(group.parts[p].rows[i].group, namespace) == 0)
                total += group.parts[p].rows[i].events;
    return total;
}

/* Windows, revisions and totals are those of one reader that was never disturbed. */
void reducers_check(void)
{
    struct reducer fresh;
    reducer_init(&fresh, group.set, TOLERANCE_US);
    for (int p = 0; p < WORLD_PARTITIONS && !sim.failed; p++) {
        struct reducer_partition *partition =
            reducer_assign(&fresh, p, 1, 0, WINDOW_NO_TIME, WINDOW_NO_TIME);
        const struct broker_record *from;
        char seq[24], prev_seq[24];
        for (int64_t offset = 0; (from = broker_record(p, offset)) != NULL; offset++) {
            struct reducer_record record = record_from(from, p, seq, prev_seq);
            (void)reducer_record(&fresh, &record);
        }
        for (int i = 0; i < group.parts[p].rows_count && !sim.failed; i++) {
            const struct stored_row *row = &group.parts[p].rows[i];
            const struct aggregate *other = reducer_find_row(
                partition, row->aggregation, row->start_us, row->group, strlen(row->group));
            struct buffer state = {0};
            if (other != NULL)
                aggregate_encode(other, &state);
            if (other == NULL || other->events != row->events || other->revision != row->revision ||
                state.bytes != row->state.bytes ||
                memcmp(buffer_text(&state), buffer_text(&row->state), state.bytes) != 0)
                world_fail("partition %d: %s counted %lld events in revision %d, one undisturbed "
                           "reader %lld in %d",
                           p, row->group, (long long)row->events, row->revision,
                           other == NULL ? 0 : (long long)other->events,
                           other == NULL ? 0 : other->revision);
            buffer_fini(&state);
        }
    }
    reducer_fini(&fresh);
}
