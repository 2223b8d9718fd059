/* SPDX-License-Identifier: MIT */
/* Records with any headers, times and values through the reducer, which dies once and goes on from what was
 * stored: it judges and counts as one that never died, offsets go forward, and no number of a lane twice. */
#include "base/instant.h"
#include "chance.h"
#include "counting.h"

#define RECORDS_MAX 64
#define FIRST_OFFSET 100

struct twins {
    struct reducer lasting, restarted;
    int64_t offset;
};

static struct aggregation_set *set;

static void draw_value(struct chance *chance, struct buffer *value)
{
    static const char *const types[] = {"stamp", "stamp_done", "other", ""};
    static const char *const kinds[] = {"\"a\"", "\"b\"", "\"\"", "1", "1.0", "true", "null", "{}"};
    static const char *const numbers[] = {"0",    "1",     "-1",    "2.5",
                                          "1e15", "1e300", "\"7\"", "9223372036854775807"};
    static const char *const names[] = {"\"x\"", "\"y\"", "\"\"", "null", "5", "\"\\u00e9\""};
    char time[INSTANT_TEXT_BYTES];
    int64_t after_us = ((int64_t)chance_of(chance, 200) - 60) * 200000;
    if (chance_once_in(chance, 12)) { /* anything at all */
        while (chance_is_left(chance) && value->bytes < 64 && !chance_once_in(chance, 32))
            buffer_append_char(value, (char)chance_of(chance, 256));
        return;
    }
    if (chance_once_in(chance, 20))
        after_us = chance_once_in(chance, 2) ? INSTANT_LAST_US - COUNTING_BASE_US
                                             : INSTANT_FIRST_US - COUNTING_BASE_US;
    buffer_append_format(value,
                         "{\"event_type\":\"%s\",\"event_timestamp\":\"%s\",\"payload\":{\"who\":"
                         "%s,\"size\":%s,\"ms\":%s,\"kind\":%s}}",
                         chance_pick(chance, types),
                         instant_format_us(COUNTING_BASE_US + after_us, time),
                         chance_pick(chance, names), chance_pick(chance, numbers),
                         chance_pick(chance, numbers), chance_pick(chance, kinds));
}

static const char *draw_header(struct chance *chance, size_t *bytes)
{
    static const char *const texts[] = {"1", "2", "3",  "4",   "5",   "6",
                                        "7", "8", "12", "007", "-1",  "99999999999999999999",
                                        "0", "",  "x",  "1.7", "2.7", "999999999999999999"};
    unsigned index = chance_of(chance, 24);
    const char *text = index < sizeof texts / sizeof *texts ? texts[index] : NULL;
    *bytes = text ? strlen(text) : 0;
    return text;
}

static int64_t draw_timestamp_ms(struct chance *chance)
{
    static const int64_t times[] = {COUNTING_BASE_US / 1000, 0, -1, INT64_MAX, INT64_MIN, 1};
    return times[chance_of(chance, 32) % 16 < 6 ? chance_of(chance, 6) : 0];
}

static const char *draw_lane(struct chance *chance, size_t *bytes)
{
    static const char *const lanes[] = {
        "1.7", "2.7", "1.8", "", "1.", ".7", "\xff", "a lane whose name is longer than the limit"};
    const char *lane = chance_once_in(chance, 5) ? NULL : chance_pick(chance, lanes);
    *bytes = lane ? strlen(lane) : 0;
    return lane;
}

static struct reducer_outcome give(struct reducer *reducer, const struct reducer_record *record)
{
    struct reducer_outcome outcome = reducer_record(reducer, record);
    FUZZ_CHECK(outcome.verdict != RECORD_NEEDS_WINDOW && outcome.verdict != RECORD_NEEDS_ROWS);
    bool letter = outcome.verdict == RECORD_MALFORMED || outcome.verdict == RECORD_TOO_LATE;
    FUZZ_CHECK(letter == (outcome.reason != NULL));
    FUZZ_CHECK(!outcome.reason || utf8_is_valid(outcome.reason, strlen(outcome.reason)));
    return outcome;
}

static void take_record(struct twins *twins, struct chance *chance)
{
    struct buffer value = {0};
    struct reducer_partition *partition = twins->lasting.partitions[COUNTING_PARTITION];
    draw_value(chance, &value);
    struct reducer_record record = {.partition = COUNTING_PARTITION,
                                    .offset = twins->offset,
                                    .timestamp_ms = draw_timestamp_ms(chance),
                                    .key = "key",
                                    .key_bytes = 3,
                                    .value = value.data,
                                    .value_bytes = value.bytes};
    record.lane = draw_lane(chance, &record.lane_bytes);
    record.seq = draw_header(chance, &record.seq_bytes);
    record.prev_seq = draw_header(chance, &record.prev_seq_bytes);
    int64_t before = partition->next_offset;
    int64_t lane_before =
        record.lane ? reducer_lane_seq(partition, record.lane, record.lane_bytes) : -1;
    struct reducer_outcome outcome = give(&twins->lasting, &record);
    struct reducer_outcome other = give(&twins->restarted, &record);
    FUZZ_CHECK(outcome.verdict == other.verdict && outcome.missing == other.missing &&
               outcome.seen_seq == other.seen_seq && outcome.invalid == other.invalid);
    if (record.offset < before) {
        FUZZ_CHECK(outcome.verdict == RECORD_SKIPPED && partition->next_offset == before);
    } else {
        int64_t seq = record.lane ? reducer_record_seq(&record) : -1;
        FUZZ_CHECK(partition->next_offset == record.offset + 1);
        FUZZ_CHECK((outcome.verdict == RECORD_REPEAT) == (seq >= 0 && seq <= lane_before));
        FUZZ_CHECK(!record.lane ||
                   reducer_lane_seq(partition, record.lane, record.lane_bytes) >= lane_before);
    }
    twins->offset += chance_once_in(chance, 8) ? (int64_t)chance_of(chance, 4) - 2 : 1;
    buffer_fini(&value);
}

/* The other one goes on from what is stored of the first. */
static void restart(struct twins *twins, bool new)
{
    struct reducer_partition *from = twins->lasting.partitions[COUNTING_PARTITION];
    if (!new)
        reducer_fini(&twins->restarted);
    reducer_init(&twins->restarted, set, 1000000);
    struct reducer_partition *partition =
        reducer_assign(&twins->restarted, COUNTING_PARTITION, 1, from->next_offset, from->newest_us,
                       WINDOW_NO_TIME);
    for (size_t i = 0; i < from->lanes_capacity; i++)
        if (from->lanes[i].bytes > 0)
            reducer_load_lane(partition, from->lanes[i].name, from->lanes[i].bytes,
                              from->lanes[i].last_seq);
    for (size_t i = 0; i < from->rows_capacity; i++) {
        const struct aggregate *row = from->rows[i].row;
        if (!row)
            continue;
        struct aggregate *restored =
            reducer_row(&twins->restarted, partition, row->definition->index, row->start_us,
                        row->group, row->group_bytes);
        counting_restore(restored, row);
        reducer_row_filled(&twins->restarted, restored);
    }
}

static void compare(struct twins *twins)
{
    struct reducer_partition *from = twins->lasting.partitions[COUNTING_PARTITION];
    struct reducer_partition *to = twins->restarted.partitions[COUNTING_PARTITION];
    FUZZ_CHECK(from->rows_count == to->rows_count && from->newest_us == to->newest_us);
    for (size_t i = 0; i < from->rows_capacity; i++) {
        const struct aggregate *row = from->rows[i].row;
        struct compare_difference difference = {0};
        if (row)
            FUZZ_CHECK(compare_rows(row,
                                    reducer_find_row(to, row->definition->index, row->start_us,
                                                     row->group, row->group_bytes),
                                    &difference));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct chance chance = {bytes, count, 0};
    struct twins twins = {.offset = FIRST_OFFSET};
    if (!set)
        set = counting_set();
    reducer_init(&twins.lasting, set, 1000000);
    (void)reducer_assign(&twins.lasting, COUNTING_PARTITION, 1, FIRST_OFFSET, WINDOW_NO_TIME,
                         WINDOW_NO_TIME);
    restart(&twins, true);
    for (int i = 0; i < RECORDS_MAX && chance_is_left(&chance); i++) {
        take_record(&twins, &chance);
        if (chance_once_in(&chance, 16))
            restart(&twins, false);
    }
    compare(&twins);
    reducer_fini(&twins.lasting);
    reducer_fini(&twins.restarted);
    return 0;
}
