/* SPDX-License-Identifier: MIT */
/* test_reducer_memory.c - rows that leave memory and come back: a reducer with a tiny bound, a store that
 * commits late, and crashes, against a reducer that keeps everything. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/instant.h"
#include "reducer/core/reducer.h"

#include "aggregation_files.h"

#define BASE_US 1763740800000000ll
#define TOLERANCE_US 1000000
#define PARTITIONS 3
#define RECORDS 4000
#define SPILLS 20             /* of some rows each: enough for all */
#define ROWS_STORED_MAX 16384 /* a power of two */

static const char by_key[] = "name: by_key\nversion: 1.0.0\n"
                             "group_by: [payload.key]\n"
                             "measures:\n"
                             "  events: count\n"
                             "  total: {sum: payload.n}\n"
                             "  kinds: {distinct: payload.kind}\n"
                             "  p95: {percentile: payload.n, p: 95}\n"
                             "  newest: {last: payload.kind}\n"
                             "window: {type: tumbling, size_ms: 5000, lateness_ms: 20000}\n";
static const char of_all_time[] = "name: of_all_time\nversion: 1.0.0\n"
                                  "group_by: [payload.key, payload.kind]\n"
                                  "measures: {events: count}\n"
                                  "window: {type: none}\n";

static struct aggregation_set *set;
static uint64_t seed;

static uint32_t random_below(uint32_t limit)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((seed >> 33) % limit);
}

/* -- the topic -- */

struct message {
    int32_t partition;
    int64_t offset;
    char value[256];
    int bytes;
};
static struct message *topic; /* in the order in which they are read */

static void write_topic(uint32_t keys)
{
    int64_t ends[PARTITIONS] = {0};
    topic = calloc(RECORDS, sizeof(*topic));
    for (int i = 0; i < RECORDS; i++) {
        struct message *message = &topic[i];
        char time[INSTANT_TEXT_BYTES];
        int64_t late_us = random_below(20) == 0 ? random_below(25) * 1000000ll : 0;
        message->partition = (int32_t)random_below(PARTITIONS);
        message->offset = ends[message->partition]++;
        message->bytes = snprintf(message->value, sizeof(message->value),
                                  "{\"event_type\":\"measured\",\"event_timestamp\":\"%s\","
                                  "\"payload\":{\"key\":\"key-%u\","
                                  "\"n\":%u,\"kind\":\"kind-%u\"}}",
                                  instant_format_us(BASE_US + i * 5000ll - late_us, time),
                                  (unsigned)random_below(keys), (unsigned)random_below(1000),
                                  (unsigned)random_below(12));
    }
}

static struct reducer_record record_of(const struct message *message)
{
    return (struct reducer_record){
        .partition = message->partition,
        .offset = message->offset,
        .value = message->value,
        .value_bytes = (size_t)message->bytes,
    };
}

/* -- the store -- */

struct stored {
    int32_t partition;
    int aggregation;
    int64_t start_us;
    char group[64];
    size_t group_bytes;
    int32_t revision;
    int64_t events;
    char state[512];
    size_t state_bytes;
};
struct place {
    int64_t next_offset, newest_us;
};
static struct stored *store;
static size_t stored_count;
static struct place places[PARTITIONS], places_in_flight[PARTITIONS];
static struct stored *in_flight;
static size_t in_flight_count;
static bool has_in_flight;

/* Where it stands, or the free place for it. */
static struct stored *find_stored(const struct stored *wanted)
{
    uint64_t hash = XXH3_64bits(wanted->group, wanted->group_bytes) +
                    (uint64_t)(wanted->start_us / 1000000) * 31 +
                    (uint64_t)(wanted->partition * 7 + wanted->aggregation);
    size_t i = hash % ROWS_STORED_MAX;
    for (; store[i].group_bytes > 0; i = (i + 1) % ROWS_STORED_MAX) {
        const struct stored *at = &store[i];
        if (at->partition == wanted->partition && at->aggregation == wanted->aggregation &&
            at->start_us == wanted->start_us && at->group_bytes == wanted->group_bytes &&
            memcmp(at->group, wanted->group, at->group_bytes) == 0)
            break;
    }
    return &store[i];
}

static struct stored stored_of(const struct aggregate *row)
{
    struct stored stored = {.partition = row->partition,
                            .aggregation = row->definition->index,
                            .start_us = row->start_us,
                            .group_bytes = row->group_bytes,
                            .revision = row->revision,
                            .events = row->events};
    struct buffer state = {0};
    memcpy(stored.group, row->group, row->group_bytes);
    aggregate_encode(row, &state);
    ck_assert_uint_le(state.bytes, sizeof(stored.state));
    memcpy(stored.state, state.data, state.bytes);
    stored.state_bytes = state.bytes;
    buffer_fini(&state);
    return stored;
}

static void fill(struct aggregate *row, const struct stored *from)
{
    aggregate_clear(row);
    row->revision = from->revision;
    row->events = from->events;
    ck_assert(aggregate_decode(row, from->state, from->state_bytes));
}

static void take_snapshot(struct reducer *reducer)
{
    in_flight = calloc(reducer->dirty_count + 1, sizeof(*in_flight));
    in_flight_count = reducer->dirty_count;
    for (size_t i = 0; i < reducer->dirty_count; i++)
        in_flight[i] = stored_of(reducer->dirty[i]);
    for (int32_t p = 0; p < PARTITIONS; p++)
        places_in_flight[p] =
            (struct place){reducer->partitions[p]->next_offset, reducer->partitions[p]->newest_us};
    reducer_snapshot_taken(reducer);
    has_in_flight = true;
}

static void drop_snapshot(void)
{
    free(in_flight);
    in_flight = NULL;
    has_in_flight = false;
}

static void commit(struct reducer *reducer)
{
    for (size_t i = 0; i < in_flight_count; i++) {
        struct stored *at = find_stored(&in_flight[i]);
        stored_count += at->group_bytes == 0;
        ck_assert_uint_lt(stored_count, ROWS_STORED_MAX / 2);
        *at = in_flight[i];
    }
    memcpy(places, places_in_flight, sizeof(places));
    drop_snapshot();
    reducer_snapshot_stored(reducer);
    reducer_sweep(reducer);
}

/* Takes partitions on as a new process does: rows that fit, the others by their keys. */
static void begin(struct reducer *reducer, const struct reducer_bounds *bounds)
{
    reducer_init(reducer, set, TOLERANCE_US);
    reducer->bounds = *bounds;
    for (int32_t p = 0; p < PARTITIONS; p++)
        reducer_assign(reducer, p, 1, places[p].next_offset, places[p].newest_us, WINDOW_NO_TIME);
    for (size_t i = 0; i < ROWS_STORED_MAX; i++) {
        const struct stored *from = &store[i];
        if (from->group_bytes == 0)
            continue;
        struct reducer_partition *partition = reducer->partitions[from->partition];
        if (!reducer_has_room(reducer)) {
            reducer_row_away(reducer, partition, from->aggregation, from->start_us, from->group,
                             from->group_bytes);
            continue;
        }
        struct aggregate *row = reducer_row(reducer, partition, from->aggregation, from->start_us,
                                            from->group, from->group_bytes);
        fill(row, from);
        reducer_row_filled(reducer, row);
    }
}

static void empty_store(void)
{
    stored_count = 0;
    memset(store, 0, ROWS_STORED_MAX * sizeof(*store));
    for (int p = 0; p < PARTITIONS; p++)
        places[p] = (struct place){0, WINDOW_NO_TIME};
}

static void load(struct reducer *reducer, int first)
{
    struct reducer_wanted wanted = {0};
    for (int i = first; i < RECORDS && i < first + 50; i++) {
        const struct reducer_record record = record_of(&topic[i]);
        if (!reducer_want(reducer, &record, &wanted))
            break;
    }
    ck_assert_uint_gt(wanted.count, 0);
    for (size_t i = 0; i < wanted.count; i++) {
        const struct stored key = stored_of(wanted.rows[i]);
        const struct stored *from = find_stored(&key);
        ck_assert_msg(from->group_bytes > 0, "a row left memory that is not in the store");
        fill(wanted.rows[i], from);
        reducer_row_back(reducer, wanted.rows[i]);
    }
    free(wanted.rows);
}

/* False when it was counted before. */
static bool give(struct reducer *reducer, int number)
{
    const struct reducer_record record = record_of(&topic[number]);
    struct reducer_outcome outcome = reducer_record(reducer, &record);
    if (outcome.verdict == RECORD_NEEDS_ROWS) {
        load(reducer, number);
        outcome = reducer_record(reducer, &record);
    }
    ck_assert_int_ne(outcome.verdict, RECORD_NEEDS_ROWS);
    ck_assert_int_ne(outcome.verdict, RECORD_MALFORMED);
    return outcome.verdict != RECORD_SKIPPED;
}

/* Everything that is stored at the end, with commits and crashes in between. */
static uint64_t run(const struct reducer_bounds *bounds, bool crashes)
{
    struct reducer reducer;
    uint64_t loaded = 0;
    empty_store();
    begin(&reducer, bounds);
    for (int i = 0; i < RECORDS; i++) {
        if (!give(&reducer, i))
            continue;
        uint32_t happens = random_below(100);
        if (happens < 3 && !has_in_flight)
            take_snapshot(&reducer);
        else if (happens < 6 && has_in_flight)
            commit(&reducer);
        if (happens < 30)
            reducer_spill(&reducer);
        if (crashes && random_below(300) == 0) {
            loaded += reducer.loaded;
            drop_snapshot();
            reducer_fini(&reducer);
            begin(&reducer, bounds);
            i = -1; /* what was counted is skipped by its offset */
        }
    }
    if (has_in_flight)
        commit(&reducer);
    take_snapshot(&reducer);
    commit(&reducer);
    if (bounds->rows_bytes > 0) {
        for (int i = 0; i < SPILLS; i++)
            reducer_spill(&reducer);
        ck_assert_uint_le(reducer.rows_bytes, bounds->rows_bytes);
    }
    loaded += reducer.loaded;
    reducer_fini(&reducer);
    ck_assert_uint_eq(reducer.rows_bytes, 0);
    ck_assert_uint_eq(reducer.rows_count, 0);
    ck_assert_uint_eq(reducer.rows_away, 0);
    return loaded;
}

static int compare_stored(const void *a, const void *b)
{
    const struct stored *one = a, *other = b;
    if (one->partition != other->partition)
        return one->partition - other->partition;
    if (one->aggregation != other->aggregation)
        return one->aggregation - other->aggregation;
    if (one->start_us != other->start_us)
        return one->start_us < other->start_us ? -1 : 1;
    return strcmp(one->group, other->group);
}

static void setup(void)
{
    set = aggregation_set_new(&defaults);
    add_text(set, "by_key.yaml", by_key);
    add_text(set, "of_all_time.yaml", of_all_time);
    store = calloc(ROWS_STORED_MAX, sizeof(*store));
    seed = 42;
}

static void teardown(void)
{
    free(store);
    free(topic);
    topic = NULL;
    aggregation_set_free(set);
}

/* The rows in the store, in order. */
static struct stored *list_stored(void)
{
    struct stored *list = malloc(stored_count * sizeof(*list));
    size_t count = 0;
    for (size_t i = 0; i < ROWS_STORED_MAX; i++) {
        if (store[i].group_bytes > 0)
            list[count++] = store[i];
    }
    qsort(list, count, sizeof(*list), compare_stored);
    return list;
}

static void expect_the_same(struct reducer_bounds bounds, bool crashes)
{
    const struct reducer_bounds kept = {.groups = bounds.groups};
    run(&kept, false);
    size_t count = stored_count;
    struct stored *expected = list_stored();
    ck_assert_uint_gt(run(&bounds, crashes), 500);
    ck_assert_uint_eq(stored_count, count);
    struct stored *found = list_stored();
    for (size_t i = 0; i < count; i++) {
        ck_assert_str_eq(found[i].group, expected[i].group);
        ck_assert_int_eq(found[i].events, expected[i].events);
        ck_assert_int_eq(found[i].revision, expected[i].revision);
        ck_assert_mem_eq(found[i].state, expected[i].state, expected[i].state_bytes);
    }
    free(found);
    free(expected);
}

START_TEST(rows_that_left_memory_come_back_as_they_were)
{
    write_topic(300);
    expect_the_same((struct reducer_bounds){.rows_bytes = 60000}, false);
}
END_TEST

START_TEST(crashes_do_not_change_what_is_stored)
{
    write_topic(300);
    expect_the_same((struct reducer_bounds){.rows_bytes = 60000}, true);
}
END_TEST

START_TEST(with_hardly_any_memory_each_event_loads_its_rows)
{
    write_topic(60);
    expect_the_same((struct reducer_bounds){.rows_bytes = 1}, true);
}
END_TEST

START_TEST(groups_past_the_bound_are_counted_together_whatever_is_in_memory)
{
    write_topic(300);
    expect_the_same((struct reducer_bounds){.rows_bytes = 30000, .groups = 40}, true);
    struct stored *found = list_stored();
    size_t others = 0, most = 0, groups = 0;
    for (size_t i = 0; i < stored_count; i++) {
        bool same = i > 0 && found[i - 1].partition == found[i].partition &&
                    found[i - 1].aggregation == found[i].aggregation &&
                    found[i - 1].start_us == found[i].start_us;
        groups = same ? groups + 1 : 1;
        most = groups > most ? groups : most;
        others += strcmp(found[i].group, GROUP_OF_OTHERS) == 0 ||
                  strcmp(found[i].group, "[\"(other groups)\",\"(other groups)\"]") == 0;
    }
    free(found);
    ck_assert_uint_eq(most, 41);
    ck_assert_uint_gt(others, PARTITIONS);
}
END_TEST

START_TEST(rows_that_are_not_in_the_store_yet_stay)
{
    struct reducer reducer;
    const struct reducer_bounds bounds = {.rows_bytes = 1};
    write_topic(300);
    empty_store();
    begin(&reducer, &bounds);
    for (int i = 0; i < 100; i++)
        give(&reducer, i);
    size_t rows = reducer.rows_count;
    for (int i = 0; i < SPILLS; i++)
        reducer_spill(&reducer);
    ck_assert_uint_eq(reducer.rows_count, rows); /* all of them are dirty */
    take_snapshot(&reducer);
    for (int i = 0; i < SPILLS; i++)
        reducer_spill(&reducer);
    ck_assert_uint_eq(reducer.rows_count, rows); /* all of them are under way */
    commit(&reducer);
    for (int i = 0; i < SPILLS; i++)
        reducer_spill(&reducer);
    ck_assert_uint_eq(reducer.rows_count, 0);
    ck_assert_uint_eq(reducer.rows_away, rows);
    reducer_fini(&reducer);
}
END_TEST

START_TEST(a_window_that_was_loaded_in_part_is_forgotten)
{
    struct reducer reducer;
    reducer_init(&reducer, set, TOLERANCE_US);
    struct reducer_partition *partition =
        reducer_assign(&reducer, 0, 1, 0, WINDOW_NO_TIME, WINDOW_NO_TIME);
    for (int i = 0; i < 100; i++) {
        char group[16];
        size_t bytes = (size_t)snprintf(group, sizeof(group), "key-%d", i);
        if (i % 3 == 0)
            reducer_row_away(&reducer, partition, 0, BASE_US, group, bytes);
        else
            (void)reducer_row(&reducer, partition, 0, i % 3 == 1 ? BASE_US : BASE_US + 5000000,
                              group, bytes);
    }
    reducer_forget_window(&reducer, partition, 0, BASE_US);
    ck_assert_uint_eq(reducer.rows_away, 0);
    ck_assert_uint_eq(reducer.rows_count, 33);
    for (int i = 0; i < 100; i++) {
        char group[16];
        size_t bytes = (size_t)snprintf(group, sizeof(group), "key-%d", i);
        ck_assert(reducer_find_row(partition, 0, BASE_US, group, bytes) == NULL);
        ck_assert((reducer_find_row(partition, 0, BASE_US + 5000000, group, bytes) != NULL) ==
                  (i % 3 == 2));
    }
    reducer_fini(&reducer);
    ck_assert_uint_eq(reducer.rows_bytes, 0);
}
END_TEST

START_TEST(a_key_set_has_what_was_added)
{
    struct key_set keys = {0};
    ck_assert(!key_set_has(&keys, 7));
    for (uint64_t i = 0; i < 10000; i++)
        key_set_add(&keys, i * 0x9e3779b97f4a7c15ull);
    key_set_add(&keys, 0);
    ck_assert_uint_eq(keys.count, 10000);
    for (uint64_t i = 0; i < 10000; i++)
        ck_assert(key_set_has(&keys, i * 0x9e3779b97f4a7c15ull));
    ck_assert(!key_set_has(&keys, 12345));
    ck_assert_uint_le(keys.capacity, 16384);
    key_set_fini(&keys);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reducer_memory");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, rows_that_left_memory_come_back_as_they_were);
    tcase_add_test(tests, crashes_do_not_change_what_is_stored);
    tcase_add_test(tests, with_hardly_any_memory_each_event_loads_its_rows);
    tcase_add_test(tests, groups_past_the_bound_are_counted_together_whatever_is_in_memory);
    tcase_add_test(tests, rows_that_are_not_in_the_store_yet_stay);
    tcase_add_test(tests, a_window_that_was_loaded_in_part_is_forgotten);
    tcase_add_test(tests, a_key_set_has_what_was_added);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
