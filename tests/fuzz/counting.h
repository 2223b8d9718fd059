/* SPDX-License-Identifier: MIT */
/* counting.h - for targets that count: a set with every kind of measure, and rows through their stored form. */
#ifndef TESTS_FUZZ_COUNTING_H
#define TESTS_FUZZ_COUNTING_H

#include "fuzz.h"
#include "reducer/core/compare.h"
#include "reducer/core/reducer.h"

#define COUNTING_BASE_US 1763740800000000ll /* 2025-11-21T16:00:00Z */
#define COUNTING_PARTITION 3

static const struct aggregation_defaults counting_defaults = {.size_ms = 5000, .lateness_ms = 8000};

#define COUNTING_FILE                                                                              \
    "name: counting\nversion: 1.0.0\n"                                                             \
    "filter: [{field: event_type, prefix: stamp}]\ninvalid: dead_letter\n"                         \
    "fields: {size: {path: payload.size, type: integer, minimum: 0}, who: {path: payload.who, "    \
    "default: nobody}}\ngroup_by: [who]\n"                                                         \
    "measures: {n: count, sum: {sum: size}, least: {min: size}, most: {max: size}, "               \
    "mean: {avg: payload.ms}, kinds: {distinct: payload.kind}, p95: {percentile: payload.ms, p: "  \
    "95}, first: {first: payload.kind}, last: {last: payload.kind}, rate: rate, "                  \
    "ratio: {ratio: [sum, n]}, at: window_start, latest: {max: event_timestamp}}\n"                \
    "window: {type: hopping, size_ms: 6000, hop_ms: 2000}\n"

static inline struct aggregation_set *counting_set(void)
{
    struct findings findings = {0};
    struct buffer told = {0};
    struct aggregation_set *set = aggregation_set_new(&counting_defaults);
    const struct aggregation *made = aggregation_set_parse(set, "counting.yaml", COUNTING_FILE,
                                                           sizeof COUNTING_FILE - 1, &findings);
    findings_write(&findings, &told);
    fputs(buffer_text(&told), stderr);
    FUZZ_CHECK(made != NULL);
    buffer_fini(&told);
    findings_fini(&findings);
    return set;
}

/* Fills an empty row from what would be stored of another one. */
static inline void counting_restore(struct aggregate *restored, const struct aggregate *row)
{
    struct buffer stored = {0}, again = {0};
    struct compare_difference difference = {0};
    aggregate_encode(row, &stored);
    FUZZ_CHECK(aggregate_decode(restored, stored.data, stored.bytes));
    restored->revision = row->revision;
    restored->events = row->events;
    aggregate_encode(restored, &again);
    FUZZ_CHECK(fuzz_same(&stored, &again));
    FUZZ_CHECK(compare_rows(row, restored, &difference));
    buffer_fini(&stored);
    buffer_fini(&again);
}

#endif
