/* SPDX-License-Identifier: MIT */
/* runtime_gaps.c - records that the broker dropped before they were read, topics that were made anew, and
 * brokers that come back as another cluster. */
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "io/log.h"
#include "reducer/runtime_internal.h"

#define COUNT_EVERY_US 2000000 /* gaps are filled by others: the gauge asks now and then */

enum { GAP_OF_OFFSETS, GAP_OF_LANE };

bool runtime_same_cluster(struct runtime *runtime)
{
    struct error error = {0};
    char *id = NULL;
    if (kafka_consumer_cluster_id(runtime->consumer, 0, &id, &error))
        return true; /* not known yet */
    bool same = strcmp(id, runtime->cluster_id) == 0;
    if (!same && !runtime->restart) {
        log_warning("the broker is another cluster now: its offsets begin again",
                    LOG_TEXT("cluster_id", id), LOG_TEXT("before", runtime->cluster_id));
        runtime->restart = true;
    }
    free(id);
    return same;
}

static void tell_gap(const struct store_gap *gap)
{
    if (gap->next_offset > gap->from_offset)
        log_warning("the topic was made anew: reading it from its start",
                    LOG_INT("partition", gap->partition),
                    LOG_INT("stored_offset", gap->next_offset));
    if (gap->to_offset == gap->from_offset)
        return;
    metrics_add(METRIC_GAPS, GAP_OF_OFFSETS, 0, 1);
    metrics_add(METRIC_MISSING_EVENTS, 0, 0, (uint64_t)(gap->to_offset - gap->from_offset));
    log_error("a gap: the broker dropped records before they were read",
              LOG_INT("partition", gap->partition), LOG_INT("from_offset", gap->from_offset),
              LOG_INT("to_offset", gap->to_offset),
              LOG_INT("records", gap->to_offset - gap->from_offset));
}

static enum error_code place_one(struct runtime *runtime, struct store_assignment *assignment,
                                 int64_t first, int64_t end, struct error *error)
{
    if (assignment->next_offset >= first && assignment->next_offset <= end)
        return ERR_OK;
    const struct store_gap gap = {
        .partition = assignment->partition,
        .epoch = assignment->epoch,
        .next_offset = assignment->next_offset,
        .from_offset = assignment->next_offset > end ? 0 : assignment->next_offset,
        .to_offset = first,
    };
    enum error_code code = store_note_gap(runtime->store, &gap, error);
    if (code)
        return code;
    tell_gap(&gap);
    runtime->gaps_count_at_us = 0;
    assignment->next_offset = first;
    return ERR_OK;
}

enum error_code runtime_place(struct runtime *runtime, struct store_assignment *assignments,
                              int count, struct error *error)
{
    int32_t *partitions = must_calloc((size_t)count + 1, sizeof(*partitions));
    int64_t *firsts = must_calloc(2 * (size_t)count + 1, sizeof(*firsts));
    int64_t *ends = firsts + count;
    for (int i = 0; i < count; i++)
        partitions[i] = assignments[i].partition;
    enum error_code code = error_set(error, ERR_BROKER, "the reducer is stopping");
    for (int i = 0; i < BROKER_ASKS && code && !runtime_stopping(runtime); i++)
        code = kafka_offsets_of(runtime->consumer, partitions, count, BROKER_ASK_MS, firsts, ends,
                                error);
    if (!code && !runtime_same_cluster(runtime))
        code = error_set(error, ERR_BROKER, "the broker is another cluster now");
    for (int i = 0; i < count && !code; i++)
        code = place_one(runtime, &assignments[i], firsts[i], ends[i], error);
    free(partitions);
    free(firsts);
    return code;
}

/* Everything read of the partition is committed. */
static void pass_gap(struct runtime *runtime, struct reducer_partition *partition)
{
    struct error error = {0};
    struct store_assignment assignment = {
        .partition = partition->number,
        .epoch = partition->epoch,
        .next_offset = partition->next_offset,
    };
    enum error_code code = runtime_place(runtime, &assignment, 1, &error);
    if (!code) {
        reducer_pass_gap(partition, assignment.next_offset);
        code =
            kafka_read_again(runtime->consumer, partition->number, assignment.next_offset, &error);
    }
    if (code) {
        log_warning("a partition cannot go on behind a gap yet",
                    LOG_INT("partition", partition->number),
                    LOG_TEXT("reason", (const char *)error.text));
        runtime->restart = true;
    }
}

void runtime_pass_gaps(struct runtime *runtime)
{
    if (!runtime->any_out_of_range || runtime->in_flight || runtime->resend)
        return;
    runtime->any_out_of_range = false;
    for (int32_t i = 0; i < PARTITIONS_MAX && !runtime->restart; i++) {
        struct reducer_partition *partition = runtime->reducer.partitions[i];
        if (!runtime->out_of_range[i])
            continue;
        if (partition && partition->dirty) {
            runtime->any_out_of_range = true; /* what was read before the gap is committed first */
            continue;
        }
        runtime->out_of_range[i] = false;
        if (partition)
            pass_gap(runtime, partition);
    }
}

void runtime_count_gaps(struct runtime *runtime, int64_t now_us)
{
    struct error error = {0};
    int64_t unfilled = 0;
    if (now_us < runtime->gaps_count_at_us || runtime->finals_fail ||
        runtime->retry_ms != RETRY_FIRST_MS)
        return; /* what it does not take is told already */
    runtime->gaps_count_at_us = now_us + COUNT_EVERY_US;
    enum error_code code = store_count_gaps(runtime->store, &unfilled, &error);
    runtime_database_state(runtime, !code, error.text);
    if (code)
        return;
    metrics_gauge_set(METRIC_GAPS_UNFILLED, 0, 0, (double)unfilled);
    pthread_mutex_lock(&runtime->lock);
    runtime->status.gaps_unfilled = unfilled;
    pthread_mutex_unlock(&runtime->lock);
}

void runtime_tell_lane_gap(const struct reducer_record *record,
                           const struct reducer_outcome *outcome)
{
    char lane[LANE_BYTES_MAX + 1] = {0}, previous[24] = {0};
    memcpy(lane, record->lane,
           record->lane_bytes < LANE_BYTES_MAX ? record->lane_bytes : LANE_BYTES_MAX);
    memcpy(previous, record->prev_seq,
           record->prev_seq_bytes < sizeof(previous) ? record->prev_seq_bytes
                                                     : sizeof(previous) - 1);
    metrics_add(METRIC_GAPS, GAP_OF_LANE, 0, 1);
    log_error("events of a lane are missing", LOG_INT("partition", record->partition),
              LOG_INT("offset", record->offset), LOG_TEXT("lane", (const char *)lane),
              LOG_INT("seen_seq", outcome->seen_seq),
              LOG_TEXT("previous_seq", (const char *)previous));
}
