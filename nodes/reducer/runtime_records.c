/* SPDX-License-Identifier: MIT */
/* runtime_records.c - records into the core; dead letters into the outbox. */
#include <stdio.h>
#include <string.h>

#include "base/instant.h"
#include "base/metrics.h"
#include "io/clock.h"
#include "io/log.h"
#include "reducer/dead_letter.h"
#include "reducer/runtime_internal.h"

enum { DEAD_MALFORMED, DEAD_TOO_LATE, DEAD_OTHER };
static void add_dead_letter(struct runtime *runtime, const struct reducer_record *record,
                            const char *reason, int kind)
{
    struct buffer value = {0};
    char event_id[320];
    snprintf(event_id, sizeof(event_id), "%s:%d:%lld", runtime->topic, (int)record->partition,
             (long long)record->offset);
    dead_letter_write(&value, runtime->topic, record, reason, clock_now_us());
    const struct store_message message = {
        .event_id = event_id,
        .topic = runtime->dead_letter_topic,
        .event_type = "dead_letter",
        .key = record->key,
        .key_bytes = record->key_bytes,
        .value = buffer_text(&value),
        .value_bytes = value.bytes,
    };
    store_add_message(runtime->store, &message);
    buffer_fini(&value);
    metrics_add(METRIC_DEAD_LETTERS, kind, 0, 1);
    if (kind == DEAD_MALFORMED)
        metrics_add(METRIC_AGGREGATION_ERRORS, 0, 0, 1);
    log_warning("record sent to the dead-letter topic", LOG_INT("partition", record->partition),
                LOG_INT("offset", record->offset), LOG_TEXT("reason", reason));
}

/* What the record needs, and with it the rows that those behind it need and that have left memory. */
static enum error_code load(struct runtime *runtime, const struct reading_batch *batch, int first,
                            const struct reducer_outcome *outcome, struct error *error)
{
    if (outcome->verdict == RECORD_NEEDS_WINDOW)
        return store_load_window(runtime->store, &runtime->reducer,
                                 runtime->reducer.partitions[batch->read[first].partition],
                                 outcome->aggregation, outcome->window_start_us, error);
    for (int i = first; i < batch->count; i++) {
        if (!batch->records[i].code &&
            !reducer_want(&runtime->reducer, &batch->read[i], &runtime->wanted))
            break;
    }
    return store_load_wanted(runtime->store, &runtime->reducer, &runtime->wanted, error);
}

/* The record cannot go on without these rows, so this waits for the database. */
static bool load_rows(struct runtime *runtime, const struct reading_batch *batch, int first,
                      const struct reducer_outcome *outcome)
{
    int wait_ms = RETRY_FIRST_MS;
    while (!atomic_load(&runtime->stopping)) {
        struct error error = {0};
        if (!load(runtime, batch, first, outcome, &error))
            return true;
        runtime_database_state(runtime, false, error.text);
        runtime_pause_ms(runtime, wait_ms);
        wait_ms = wait_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : wait_ms * 2;
    }
    return false;
}

static void take(struct runtime *runtime, const struct reading_batch *batch, int number)
{
    const struct reducer_record *record = &batch->read[number];
    struct reducer_outcome outcome = reducer_record(&runtime->reducer, record);
    while (outcome.verdict == RECORD_NEEDS_WINDOW || outcome.verdict == RECORD_NEEDS_ROWS) {
        if (!load_rows(runtime, batch, number, &outcome)) {
            runtime->restart = true; /* later records must not pass this one */
            return;
        }
        outcome = reducer_record(&runtime->reducer, record);
    }
    if (outcome.verdict == RECORD_SKIPPED)
        return;
    if (runtime->gathered++ == 0)
        runtime->gathered_since_us = clock_monotonic_us();
    if (outcome.missing)
        runtime_tell_lane_gap(record, &outcome);
    if (outcome.invalid)
        metrics_add(METRIC_INVALID_EVENTS, 0, 0, 1);
    if (outcome.verdict == RECORD_REPEAT)
        metrics_add(METRIC_DUPLICATE_EVENTS, 0, 0, 1);
    else if (outcome.verdict == RECORD_LATE)
        metrics_add(METRIC_LATE_EVENTS, 0, 0, 1);
    else if (outcome.verdict == RECORD_TOO_LATE)
        add_dead_letter(runtime, record, outcome.reason, DEAD_TOO_LATE);
    else if (outcome.verdict == RECORD_MALFORMED)
        add_dead_letter(runtime, record, outcome.reason, DEAD_MALFORMED);
}

/* Offsets may have holes (markers of transactions, compaction), but a hole must never be a record that
 * the client lost: the first time one shows, reading goes back to the expected offset. Nor can it be a gap: the
 * broker refuses an offset below the first one that it keeps, it never begins later instead. */
static bool passes_hole(struct runtime *runtime, const struct kafka_record *record)
{
    const struct reducer_partition *partition = runtime->reducer.partitions[record->partition];
    struct error error = {0};
    if (!partition || record->offset <= partition->next_offset ||
        runtime->hole_end[record->partition] == record->offset)
        return false;
    runtime->hole_end[record->partition] = record->offset;
    runtime->passed[record->partition] = reading_given(runtime->reading);
    if (kafka_seek(runtime->consumer, record->partition, partition->next_offset, &error))
        runtime->restart = true;
    log_debug("offsets have a hole", LOG_INT("partition", record->partition),
              LOG_INT("offset", record->offset));
    return true;
}

static void take_record(struct runtime *runtime, const struct reading_batch *batch, int number,
                        int64_t now_us)
{
    const struct kafka_record *from = &batch->records[number];
    if (from->code == ERR_NOT_FOUND) {
        log_error("the topic is no longer on the broker", LOG_INT("partition", from->partition));
        runtime->restart = true;
    }
    if (from->partition < 0 || from->partition >= PARTITIONS_MAX)
        return;
    if (from->code == ERR_CONFLICT)
        runtime->out_of_range[from->partition] = runtime->any_out_of_range = true;
    if (from->code || batch->number <= runtime->passed[from->partition] ||
        passes_hole(runtime, from))
        return;
    runtime->quiet_since_us[from->partition] = now_us;
    take(runtime, batch, number);
}

void runtime_take_batch(struct runtime *runtime, const struct reading_batch *batch)
{
    int64_t now_us = clock_monotonic_us();
    for (int i = 0; i < batch->count && !runtime->restart; i++)
        take_record(runtime, batch, i, now_us);
}
