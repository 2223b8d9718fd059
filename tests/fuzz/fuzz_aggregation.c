/* SPDX-License-Identifier: MIT */
/* Texts as files of contracts/aggregations: what is accepted describes itself as a file that counts the same, and
 * counts events into rows that can be stored. */
#include "counting.h"

#define EVENT(type, time, payload)                                                                 \
    "{\"event_type\":\"" type "\",\"event_timestamp\":\"" time "\",\"payload\":" payload "}"

static const char *const events[] = {
    EVENT("stamp_workflow_completed", "2025-11-21T16:00:01Z",
          "{\"namespace\":\"a\",\"workflow_id\":\"w\",\"file_hash\":\"h\",\"file_size\":10,"
          "\"processing_time_ms\":4.5,\"total\":\"7\",\"ok\":true}"),
    EVENT("order_placed", "2025-11-21T16:00:02Z",
          "{\"total\":-3,\"file_size\":9007199254740993,\"a\":{\"b\":null}}"),
    EVENT("x", "2025-11-21T15:00:02Z", "{}")};

static void count_events(const struct aggregation_set *set)
{
    struct reducer reducer;
    reducer_init(&reducer, set, 0);
    struct reducer_partition *partition =
        reducer_assign(&reducer, COUNTING_PARTITION, 1, 0, WINDOW_NO_TIME, WINDOW_NO_TIME);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        const struct reducer_record record = {.partition = COUNTING_PARTITION,
                                              .offset = (int64_t)i,
                                              .key = "k",
                                              .key_bytes = 1,
                                              .value = events[i],
                                              .value_bytes = strlen(events[i])};
        (void)reducer_record(&reducer, &record);
    }
    FUZZ_CHECK(partition->next_offset == (int64_t)(sizeof events / sizeof *events));
    for (size_t i = 0; i < partition->rows_capacity; i++) {
        const struct aggregate *row = partition->rows[i].row;
        if (!row)
            continue;
        struct aggregate *restored = aggregate_new(set, row->definition, row->partition,
                                                   row->start_us, row->group, row->group_bytes);
        struct json *values = aggregate_values(set, row);
        FUZZ_CHECK(json_type_of(values) == JSON_OBJECT);
        json_release(values);
        counting_restore(restored, row);
        aggregate_free(restored);
    }
    reducer_fini(&reducer);
}

static const struct aggregation *read_again(struct aggregation_set *set,
                                            const struct json *document)
{
    struct findings findings = {0};
    char *text = json_to_text(document);
    const struct aggregation *again =
        aggregation_set_parse(set, "a.yaml", text, strlen(text), &findings);
    FUZZ_CHECK(again != NULL);
    findings_fini(&findings);
    free(text);
    return again;
}

/* The document is kept in the database, and must count the same when it is read from there; the description, shown
 * to people, says the same of itself. */
static void describe(const struct aggregation_set *set, const struct aggregation *aggregation)
{
    struct aggregation_set *stored = aggregation_set_new(&counting_defaults);
    struct aggregation_set *shown = aggregation_set_new(&counting_defaults);
    struct json *description = aggregation_describe(set, aggregation);
    FUZZ_CHECK(strcmp(read_again(stored, aggregation->document)->content_hash,
                      aggregation->content_hash) == 0);
    struct json *again = aggregation_describe(shown, read_again(shown, description));
    FUZZ_CHECK(json_equal(description, again));
    FUZZ_CHECK(aggregation_set_find(set, aggregation->name, strlen(aggregation->name)) ==
               aggregation);
    json_release(again);
    json_release(description);
    aggregation_set_free(stored);
    aggregation_set_free(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct findings findings = {0};
    struct aggregation_set *set = aggregation_set_new(&counting_defaults);
    const struct aggregation *aggregation =
        aggregation_set_parse(set, "a.yaml", (const char *)bytes, count, &findings);
    FUZZ_CHECK((aggregation == NULL) == (findings.errors > 0));
    if (aggregation) {
        describe(set, aggregation);
        count_events(set);
    }
    aggregation_set_free(set);
    findings_fini(&findings);
    return 0;
}
