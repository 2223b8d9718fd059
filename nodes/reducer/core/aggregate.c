/* SPDX-License-Identifier: MIT */
/* aggregate.c - rows of counted events. */
#include "reducer/core/aggregate.h"

#include <stdlib.h>
#include <string.h>

#include "base/instant.h"

#define CODEC_VERSION 1

const struct aggregation aggregations[AGGREGATION_TYPES] = {
    [AGGREGATION_NAMESPACE] = {.name = "namespace_grouping", .windowed = true, .by_namespace = true, .sets = true},
    [AGGREGATION_TIME_WINDOW] = {.name = "time_window", .windowed = true, .latency = true},
    [AGGREGATION_NAMESPACE_TOTAL] = {.name = "namespace_total", .by_namespace = true, .sets = true},
};

enum aggregation_type aggregation_by_name(const char *name, size_t bytes)
{
    enum aggregation_type type = 0;
    while (type < AGGREGATION_TYPES &&
           (strlen(aggregations[type].name) != bytes || memcmp(aggregations[type].name, name, bytes) != 0))
        type++;
    return type;
}

void aggregate_init(struct aggregate *row, enum aggregation_type type, int32_t partition, int64_t start_us, int64_t end_us,
                    const char *group, size_t group_bytes)
{
    *row = (struct aggregate){
        .type = type,
        .partition = partition,
        .start_us = start_us,
        .end_us = end_us,
        .group = must_strndup(group, group_bytes),
        .group_bytes = group_bytes,
        .revision = 1,
        .first_us = INT64_MAX,
        .last_us = INT64_MIN,
    };
}

void aggregate_fini(struct aggregate *row)
{
    for (int set = 0; set < AGGREGATE_SETS; set++)
        distinct_fini(&row->sets[set]);
    histogram_fini(&row->latency);
    free(row->group);
    row->group = NULL;
}

void aggregate_add(struct aggregate *row, const struct event *event, bool late)
{
    const struct aggregation *what = &aggregations[row->type];
    row->stamps++;
    row->size_bytes += event->size_bytes;
    if (event->time_us < row->first_us)
        row->first_us = event->time_us;
    if (event->time_us > row->last_us)
        row->last_us = event->time_us;
    if (event->has_processing_time) {
        row->latency_count++;
        row->latency_sum_ms += event->processing_time_ms;
        if (what->latency)
            histogram_add(&row->latency, event->processing_time_ms);
    }
    if (what->sets) {
        distinct_add(&row->sets[SET_FILE_HASHES], event->file_hash);
        distinct_add(&row->sets[SET_WORKFLOWS], event->workflow);
        distinct_add(&row->sets[SET_FILE_TYPES], event->content_type);
    }
    if (late && what->windowed)
        row->revision++;
}

void aggregate_merge(struct aggregate *into, const struct aggregate *from)
{
    into->stamps += from->stamps;
    into->size_bytes += from->size_bytes;
    into->latency_count += from->latency_count;
    into->latency_sum_ms += from->latency_sum_ms;
    into->revision += from->revision - 1;
    if (from->first_us < into->first_us)
        into->first_us = from->first_us;
    if (from->last_us > into->last_us)
        into->last_us = from->last_us;
    histogram_merge(&into->latency, &from->latency);
    for (int set = 0; set < AGGREGATE_SETS; set++)
        distinct_merge(&into->sets[set], &from->sets[set]);
}

void aggregate_encode(const struct aggregate *row, struct buffer *out)
{
    buffer_append_char(out, CODEC_VERSION);
    if (aggregations[row->type].latency)
        histogram_encode(&row->latency, out);
}

bool aggregate_decode(struct aggregate *row, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    return bytes >= 1 && p[0] == CODEC_VERSION && histogram_decode(&row->latency, p + 1, bytes - 1);
}

static struct json *instant_json(int64_t instant_us)
{
    char text[INSTANT_TEXT_BYTES];
    return json_text(instant_format_us(instant_us, text));
}

static double average_ms(const struct aggregate *row)
{
    return row->latency_count ? row->latency_sum_ms / (double)row->latency_count : 0;
}

static void namespace_values(const struct aggregate *row, struct json *values)
{
    bool exact = true;
    for (int set = 0; set < AGGREGATE_SETS; set++)
        exact = exact && distinct_is_exact(&row->sets[set]);
    json_object_set(values, "namespace", json_string(row->group, row->group_bytes));
    json_object_set(values, "total_stamps", json_int(row->stamps));
    json_object_set(values, "total_size_bytes", json_int(row->size_bytes));
    json_object_set(values, "unique_file_hashes", json_int(distinct_count(&row->sets[SET_FILE_HASHES])));
    json_object_set(values, "unique_workflows", json_int(distinct_count(&row->sets[SET_WORKFLOWS])));
    json_object_set(values, "unique_file_types", json_int(distinct_count(&row->sets[SET_FILE_TYPES])));
    json_object_set(values, "unique_counts_exact", json_bool(exact));
    json_object_set(values, "total_processing_time_ms", json_double(row->latency_sum_ms));
    json_object_set(values, "avg_processing_time_ms", json_double(average_ms(row)));
    json_object_set(values, "first_stamp_timestamp", row->stamps ? instant_json(row->first_us) : json_null());
    json_object_set(values, "last_stamp_timestamp", row->stamps ? instant_json(row->last_us) : json_null());
}

static void window_values(const struct aggregate *row, struct json *values)
{
    double seconds = (double)(row->end_us - row->start_us) / 1e6;
    json_object_set(values, "window_start", instant_json(row->start_us));
    json_object_set(values, "window_end", instant_json(row->end_us));
    json_object_set(values, "stamps_count", json_int(row->stamps));
    json_object_set(values, "stamps_per_second", json_double((double)row->stamps / seconds));
    json_object_set(values, "avg_latency_ms", json_double(average_ms(row)));
    json_object_set(values, "p95_latency_ms", json_double(histogram_percentile(&row->latency, 0.95)));
    json_object_set(values, "p99_latency_ms", json_double(histogram_percentile(&row->latency, 0.99)));
}

struct json *aggregate_values(const struct aggregate *row)
{
    struct json *values = json_object();
    if (row->type == AGGREGATION_TIME_WINDOW)
        window_values(row, values);
    else
        namespace_values(row, values);
    return values;
}
