/* SPDX-License-Identifier: MIT */
/* stamps.h - made-up events as the orchestrator publishes them: envelopes of about 460 octets, headers lane, seq
 * and prev_seq, the workflow's id as key. Every event is a stamp, so it counts in every aggregation.
 *
 * Event times rise by 1/events_per_second from start_ms; of shuffle_percent of the events they lie up to
 * shuffle_ms before that. The same seed gives the same events.
 */
#ifndef TESTS_BENCH_STAMPS_H
#define TESTS_BENCH_STAMPS_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/instant.h"
#include "core/murmur2.h"

#define STAMPS_IN_FLIGHT 64 /* workflows whose events take turns */

struct stamp_plan {
    int64_t events, namespaces, lanes, events_per_second, events_per_workflow;
    int64_t shuffle_ms, shuffle_percent, start_ms, seed, first_seq;
    int32_t partitions;
};

static const struct stamp_plan stamp_defaults = {
    .events = 100000,
    .namespaces = 4,
    .lanes = 16,
    .events_per_second = 10000,
    .events_per_workflow = 1,
    .shuffle_percent = 100,
    .start_ms = INT64_C(1767225600000), /* 2026-01-01 */
    .seed = 1,
    .first_seq = 1,
    .partitions = 8,
};

struct stamp {
    int32_t partition;
    char key[40];
    char value[700];
    int value_bytes;
    char lane[24], seq[24], prev_seq[24];
};

struct stamps {
    struct stamp_plan plan;
    int64_t made;
    uint64_t random;
    int64_t *last; /* seq of each lane on each partition */
};

/* splitmix64 */
static inline uint64_t stamps_draw(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static inline void stamps_init(struct stamps *stamps, const struct stamp_plan *plan)
{
    *stamps = (struct stamps){.plan = *plan, .random = (uint64_t)plan->seed};
    stamps->last = must_calloc((size_t)(plan->lanes * plan->partitions), sizeof *stamps->last);
}

static inline void stamps_fini(struct stamps *stamps) { free(stamps->last); }

/* The id of the n-th event's workflow: the same for as many events as a workflow has. */
static inline void stamps_workflow(const struct stamp_plan *plan, int64_t n,
                                   char id[sizeof((struct stamp *)0)->key])
{
    int64_t round = STAMPS_IN_FLIGHT * plan->events_per_workflow;
    uint64_t state = (uint64_t)(plan->seed << 40) +
                     (uint64_t)(n / round * STAMPS_IN_FLIGHT + n % STAMPS_IN_FLIGHT);
    uint64_t a = stamps_draw(&state), b = stamps_draw(&state);
    snprintf(id, sizeof((struct stamp *)0)->key, "%08x-%04x-7%03x-%04x-%012" PRIx64,
             (unsigned)(a >> 32), (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff),
             (unsigned)(0x8000 | (b >> 50 & 0x3fff)), (uint64_t)(b & 0xffffffffffff));
}

static inline void stamps_next(struct stamps *stamps, struct stamp *stamp)
{
    const struct stamp_plan *plan = &stamps->plan;
    char time[INSTANT_TEXT_BYTES];
    int64_t n = stamps->made++, lane = n % plan->lanes, seq = plan->first_seq + n / plan->lanes;
    uint64_t a = stamps_draw(&stamps->random), b = stamps_draw(&stamps->random);
    int64_t time_us = plan->start_ms * 1000 + n * 1000000 / plan->events_per_second;
    if (plan->shuffle_ms > 0 && (int64_t)(a >> 32) % 100 < plan->shuffle_percent)
        time_us -= (int64_t)(stamps_draw(&stamps->random) % (uint64_t)(plan->shuffle_ms * 1000));
    instant_format_us(time_us, time);
    stamps_workflow(plan, n, stamp->key);
    stamp->value_bytes = snprintf(
        stamp->value, sizeof stamp->value,
        "{\"envelope_version\":\"1.0\",\"event_id\":\"%08x-0000-8000-8000-%012" PRIx64
        "\",\"event_type\":\"stamp_workflow_completed\",\"event_timestamp\":\"%s\","
        "\"source_node_id\":\"bench\",\"payload\":{\"workflow_id\":\"%s\",\"stamp_id\":\"s-%" PRId64
        "\",\"file_hash\":\"%016" PRIx64 "%016" PRIx64 "\",\"file_path\":\"/data/file-%" PRId64
        ".txt\",\"file_size\":%u,\"namespace\":\"bench.ns%d\",\"content_type\":\"text/plain\","
        "\"workflow_state\":\"completed\",\"processing_time_ms\":%u.%u}}",
        (unsigned)n, (uint64_t)(b & 0xffffffffffff), time, stamp->key, n, a, b, n,
        (unsigned)(a % 100000), (int)(stamps_draw(&stamps->random) % (uint64_t)plan->namespaces),
        (unsigned)(b % 200), (unsigned)(b % 10));
    stamp->partition = kafka_partition_of_key(stamp->key, strlen(stamp->key), plan->partitions);
    int64_t *before = &stamps->last[lane * plan->partitions + stamp->partition];
    snprintf(stamp->lane, sizeof stamp->lane, "1.%" PRId64, lane);
    snprintf(stamp->seq, sizeof stamp->seq, "%" PRId64, seq);
    snprintf(stamp->prev_seq, sizeof stamp->prev_seq, "%" PRId64, *before);
    *before = seq;
}

#endif
