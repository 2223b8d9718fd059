/* SPDX-License-Identifier: MIT */
#include "audit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"

#define OFFSETS_TIMEOUT_MS 10000
#define NUMBER_BYTES_MAX 20
#define CONSUME_MAX 1024
#define CONSUME_MS 100
#define STALL_US 30000000 /* longest wait for the next record */

enum { HEADER_LANE, HEADER_SEQ, HEADER_ID, HEADERS };

/* A header's text as a number; -1: it is none. */
static int64_t number_of(const char *text, size_t bytes)
{
    char copy[NUMBER_BYTES_MAX + 1], *end;
    if (text == NULL || bytes == 0 || bytes > NUMBER_BYTES_MAX)
        return -1;
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    long long number = strtoll(copy, &end, 10);
    return *end == '\0' && number >= 0 ? number : -1;
}

/* The shard of one of this database's lanes, else -1. */
static int shard_of(const struct audit *audit, const struct kafka_text *lane)
{
    const char *dot = lane->data ? memchr(lane->data, '.', lane->bytes) : NULL;
    if (dot == NULL)
        return -1;
    int64_t incarnation = number_of(lane->data, (size_t)(dot - lane->data));
    int64_t shard = number_of(dot + 1, lane->bytes - (size_t)(dot - lane->data) - 1);
    return incarnation == audit->incarnation && shard >= 0 && shard < audit->shards ? (int)shard
                                                                                    : -1;
}

static void take(struct audit *audit, const struct kafka_record *record)
{
    static const char *const names[HEADERS] = {"lane", "seq", "ce_id"};
    struct kafka_text headers[HEADERS];
    struct uuid id;
    kafka_record_headers(record, names, headers, HEADERS);
    int shard = shard_of(audit, &headers[HEADER_LANE]);
    int64_t seq = number_of(headers[HEADER_SEQ].data, headers[HEADER_SEQ].bytes);
    if (shard < 0 || seq < 1 || headers[HEADER_ID].data == NULL ||
        !uuid_parse(headers[HEADER_ID].data, headers[HEADER_ID].bytes, &id)) {
        audit->foreign++;
        return;
    }
    enum lane_sight sight = lane_check_saw(&audit->lanes[shard].check, record->partition, seq, &id);
    audit->repeats += sight == LANE_SIGHT_REPEAT;
    audit->unknown += sight == LANE_SIGHT_BEYOND;
    if (sight == LANE_SIGHT_DOUBLED)
        audit_found(audit, AUDIT_EVENTS_DOUBLED, 1,
                    "lane %d, number %" PRId64 ": another event at partition %d, offset %" PRId64,
                    shard, seq, (int)record->partition, record->offset);
    if (sight == LANE_SIGHT_MISORDERED)
        audit_found(audit, AUDIT_MISORDERED, 1,
                    "lane %d, number %" PRId64 " comes late: partition %d, offset %" PRId64, shard,
                    seq, (int)record->partition, record->offset);
}

struct topic_reading {
    struct audit *audit;
    int32_t count; /* of partitions */
    int32_t *partitions;
    int64_t *next, *ends;
    int64_t read, total;
    int32_t open; /* partitions that are not read to their ends */
};

/* The broker dropped records before they were read: which of the earlier ones it had is not known any more. */
static enum error_code skip_dropped(struct topic_reading *reading, int32_t partition,
                                    struct error *error)
{
    struct audit *audit = reading->audit;
    int64_t first, end;
    enum error_code code =
        kafka_offsets(audit->rebuild.consumer, partition, OFFSETS_TIMEOUT_MS, &first, &end, error);
    audit->dropped[partition] = true;
    for (int shard = 0; shard < audit->shards; shard++)
        audit->lanes[shard].check.first_seq[partition] = 0;
    if (!code && first > reading->next[partition]) {
        reading->read += first - reading->next[partition];
        reading->next[partition] = first;
        reading->open -= first >= reading->ends[partition];
    }
    return code ? code : kafka_read_again(audit->rebuild.consumer, partition, first, error);
}

static enum error_code take_record(struct topic_reading *reading, const struct kafka_record *record,
                                   struct error *error)
{
    int32_t partition = record->partition;
    if (partition < 0 || partition >= reading->count)
        return ERR_OK;
    int64_t *next = &reading->next[partition], end = reading->ends[partition];
    if (*next >= end)
        return ERR_OK;
    if (record->code == ERR_CONFLICT)
        return skip_dropped(reading, partition, error);
    if (record->code == ERR_NOT_FOUND)
        return error_set(error, ERR_NOT_FOUND, "the topic was deleted meanwhile");
    if (record->code || record->offset < *next)
        return ERR_OK;
    if (record->offset < end) {
        take(reading->audit, record);
        reading->audit->records++;
    }
    int64_t reached = record->offset + 1 < end ? record->offset + 1 : end;
    reading->read += reached - *next;
    *next = reached;
    reading->open -= reached == end;
    return ERR_OK;
}

static enum error_code read_all(struct topic_reading *reading, struct error *error)
{
    struct audit *audit = reading->audit;
    struct kafka_record records[CONSUME_MAX];
    int64_t moved_us = clock_monotonic_us();
    enum error_code code = kafka_read_from(audit->rebuild.consumer, reading->partitions,
                                           reading->next, reading->count, error);
    while (!code && reading->open > 0) {
        int64_t before = reading->read;
        int count = kafka_consume(audit->rebuild.consumer, CONSUME_MS, records, CONSUME_MAX);
        for (int i = 0; i < count && !code; i++)
            code = take_record(reading, &records[i], error);
        kafka_records_free(records, count);
        progress_draw(&audit->progress, reading->read, reading->total,
                      audit->found[AUDIT_MISORDERED].count +
                          audit->found[AUDIT_EVENTS_DOUBLED].count);
        if (reading->read > before)
            moved_us = clock_monotonic_us();
        else if (!code && clock_monotonic_us() - moved_us > STALL_US)
            code = error_set(error, ERR_TIMEOUT,
                             "no record of the topic came for %d s; %" PRId64 " of %" PRId64
                             " are read",
                             (int)(STALL_US / 1000000), reading->read, reading->total);
    }
    return code;
}

enum error_code audit_read_topic(struct audit *audit, struct error *error)
{
    struct topic_reading reading = {.audit = audit, .count = audit->rebuild.partitions};
    unsigned long count = (unsigned long)reading.count;
    reading.partitions = must_calloc(count, sizeof *reading.partitions);
    reading.next = must_calloc(count, sizeof *reading.next);
    reading.ends = must_calloc(count, sizeof *reading.ends);
    audit->dropped = must_calloc(count, sizeof *audit->dropped);
    for (int32_t i = 0; i < reading.count; i++)
        reading.partitions[i] = i;
    enum error_code code =
        kafka_offsets_of(audit->rebuild.consumer, reading.partitions, reading.count,
                         OFFSETS_TIMEOUT_MS, reading.next, reading.ends, error);
    for (int32_t i = 0; i < reading.count && !code; i++) {
        reading.total += reading.ends[i] - reading.next[i];
        reading.open += reading.ends[i] > reading.next[i];
        audit->dropped[i] = reading.next[i] > 0;
    }
    progress_start(&audit->progress, audit->ctl);
    if (!code)
        code = read_all(&reading, error);
    progress_end(&audit->progress);
    free(reading.partitions);
    free(reading.next);
    free(reading.ends);
    return code;
}
