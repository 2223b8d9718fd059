/* SPDX-License-Identifier: MIT */
#include "rebuild.h"

#include <string.h>

#include "io/clock.h"
#include "reducer/record.h"

#define CONSUME_MAX 1024
#define CONSUME_MS 100
#define OFFSETS_TIMEOUT_MS 10000
#define EARLY_RECORDS 1000 /* tell how new the records before them were */
#define STALL_US 30000000  /* longest wait for the next record */

void rebuild_reducer_init(const struct rebuild *rebuild, struct reducer *reducer)
{
    const struct store_settings *settings = &rebuild->counted.settings;
    reducer_init(reducer, rebuild->set, settings->tolerance_ms * 1000);
    reducer->bounds.groups = (size_t)settings->groups;
}

/* Records that are not of this read, or come a second time, are passed over. */
static enum error_code take_record(struct rebuild *rebuild, const struct kafka_record *from,
                                   int32_t partition, int64_t *next, int64_t to, rebuild_take *take,
                                   void *context, struct error *error)
{
    if (from->code == ERR_CONFLICT || from->code == ERR_NOT_FOUND)
        return error_set(error, from->code, "the broker dropped records of partition %d meanwhile",
                         (int)partition);
    if (from->code || from->partition != partition || from->offset < *next || *next >= to)
        return ERR_OK;
    *next = from->offset + 1;
    if (from->offset >= to)
        return ERR_OK;
    const struct reducer_record record = record_read(from);
    take(context, &record);
    rebuild->done++;
    return ERR_OK;
}

enum error_code rebuild_read(struct rebuild *rebuild, int32_t partition, int64_t from, int64_t to,
                             rebuild_take *take, void *context, struct error *error)
{
    struct kafka_record records[CONSUME_MAX];
    int64_t next = from, moved_us = clock_monotonic_us();
    enum error_code code =
        from < to ? kafka_read_from(rebuild->consumer, &partition, &from, 1, error) : ERR_OK;
    while (!code && next < to) {
        int64_t before = next;
        int count = kafka_consume(rebuild->consumer, CONSUME_MS, records, CONSUME_MAX);
        for (int i = 0; i < count && !code; i++)
            code = take_record(rebuild, &records[i], partition, &next, to, take, context, error);
        kafka_records_free(records, count);
        progress_draw(&rebuild->progress, rebuild->done, rebuild->total,
                      rebuild->report.differences);
        if (next > before)
            moved_us = clock_monotonic_us();
        else if (!code && clock_monotonic_us() - moved_us > STALL_US)
            code = error_set(error, ERR_TIMEOUT,
                             "no record of partition %d came for %d s: the topic was read up to "
                             "offset %lld of %lld",
                             (int)partition, (int)(STALL_US / 1000000), (long long)next,
                             (long long)to);
    }
    return code;
}

/* -- counting -- */

struct counting {
    struct rebuild_partition *partition;
    uint64_t wanted; /* a bit for each aggregation that is looked at */
};

static uint64_t wanted_of(const struct rebuild *rebuild)
{
    return rebuild->only < 0 ? UINT64_MAX : UINT64_C(1) << rebuild->only;
}

/* An aggregation that came later counts from where the reducers began with it. All make dead letters, also
 * those that are not looked at. */
static void take_counted(void *context, const struct reducer_record *record)
{
    struct counting *counting = context;
    struct rebuild_partition *partition = counting->partition;
    struct reducer *reducer = &partition->counted;
    struct reducer_partition *counted = reducer->partitions[partition->number];
    for (int i = 0; i < reducer->set->count; i++) {
        if (partition->picture.begins[i] <= record->offset)
            counted->judging |= UINT64_C(1) << i;
    }
    counted->counting = counted->judging & counting->wanted;
    const struct reducer_outcome outcome = reducer_record(reducer, record);
    if (partition->early_count >= EARLY_RECORDS || outcome.verdict == RECORD_MALFORMED ||
        outcome.verdict == RECORD_REPEAT || outcome.verdict == RECORD_SKIPPED)
        return;
    partition->early_count++;
    if (reducer->event.time_us > partition->early_us)
        partition->early_us = reducer->event.time_us;
}

enum error_code rebuild_count_on(struct rebuild *rebuild, struct rebuild_partition *partition,
                                 int64_t to, struct error *error)
{
    struct counting counting = {.partition = partition, .wanted = wanted_of(rebuild)};
    struct reducer_partition *counted = partition->counted.partitions[partition->number];
    enum error_code code = rebuild_read(rebuild, partition->number, counted->next_offset, to,
                                        take_counted, &counting, error);
    if (!code && counted->next_offset < to)
        counted->next_offset = to; /* what was there last is gone: compacted, or a mark */
    return code;
}

enum error_code rebuild_count(struct rebuild *rebuild, struct rebuild_partition *partition,
                              int32_t number, struct error *error)
{
    int64_t end;
    *partition = (struct rebuild_partition){.number = number, .early_us = WINDOW_NO_TIME};
    rebuild_reducer_init(rebuild, &partition->stored);
    rebuild_reducer_init(rebuild, &partition->counted);
    enum error_code code =
        store_picture(rebuild->store, &partition->stored, number, &partition->picture, error);
    if (!code)
        code = kafka_offsets(rebuild->consumer, number, OFFSETS_TIMEOUT_MS,
                             &partition->first_offset, &end, error);
    if (!code && end < partition->picture.next_offset)
        code = error_set(error, ERR_NOT_FOUND,
                         "partition %d ends at offset %lld, and reducers have counted up to %lld: "
                         "the topic was made anew",
                         (int)number, (long long)end, (long long)partition->picture.next_offset);
    if (code)
        return code;
    memcpy(partition->counted.pruned_us, partition->stored.pruned_us,
           sizeof(partition->counted.pruned_us));
    struct reducer_partition *counted = reducer_assign(
        &partition->counted, number, 0, partition->first_offset, WINDOW_NO_TIME, WINDOW_NO_TIME);
    counted->counting = 0;
    return rebuild_count_on(rebuild, partition, partition->picture.next_offset, error);
}

void rebuild_partition_fini(struct rebuild_partition *partition)
{
    reducer_fini(&partition->stored);
    reducer_fini(&partition->counted);
}

/* -- the offsets behind one row -- */

struct watching {
    struct counting counting;
    const struct aggregate *row;
    int64_t events; /* of the row so far */
    int64_t first, last;
};

static void take_watched(void *context, const struct reducer_record *record)
{
    struct watching *watching = context;
    struct rebuild_partition *partition = watching->counting.partition;
    take_counted(&watching->counting, record);
    const struct aggregate *row = reducer_find_row(
        partition->counted.partitions[partition->number], watching->row->definition->index,
        watching->row->start_us, watching->row->group, watching->row->group_bytes);
    if (!row || row->events == watching->events)
        return;
    watching->events = row->events;
    watching->last = record->offset;
    if (watching->first < 0)
        watching->first = record->offset;
}

enum error_code rebuild_offsets(struct rebuild *rebuild, const struct rebuild_partition *partition,
                                const struct aggregate *row, int64_t *first, int64_t *last,
                                struct error *error)
{
    struct rebuild_partition again = {
        .number = partition->number, .picture = partition->picture, .early_us = WINDOW_NO_TIME};
    struct watching watching = {
        .counting = {.partition = &again, .wanted = UINT64_C(1) << row->definition->index},
        .row = row,
        .first = -1,
        .last = -1,
    };
    reducer_init(&again.counted, rebuild->set, partition->counted.tolerance_us);
    again.counted.bounds = partition->counted.bounds;
    reducer_init(&again.stored, rebuild->set, partition->counted.tolerance_us);
    reducer_assign(&again.counted, again.number, 0, partition->first_offset, WINDOW_NO_TIME,
                   WINDOW_NO_TIME)
        ->counting = 0;
    enum error_code code =
        rebuild_read(rebuild, again.number, partition->first_offset, partition->picture.next_offset,
                     take_watched, &watching, error);
    *first = watching.first;
    *last = watching.last;
    rebuild_partition_fini(&again);
    return code;
}
