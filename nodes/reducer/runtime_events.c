/* SPDX-License-Identifier: MIT */
/* runtime_events.c - window_updated, and aggregation_started, batch_processed, state_persisted, aggregation_completed and
 * aggregation_failed. They are committed with the rows they speak of. Batches are told of together, at most
 * once a second, so that telling never costs more than counting. */
#include <string.h>

#include "base/instant.h"
#include "core/envelope.h"
#include "io/clock.h"
#include "reducer/runtime_internal.h"

#define TELL_EVERY_US 1000000
#define AGGREGATION_DEFAULT "namespace_grouping" /* the type that these events have always named */

static struct json *payload_of(const struct runtime *runtime)
{
    char time[INSTANT_TEXT_BYTES];
    struct json *payload = json_object();
    json_object_set(payload, "aggregation_id", json_text(runtime->aggregation_id));
    json_object_set(payload, "timestamp", json_text(instant_format_us(clock_now_us(), time)));
    return payload;
}

/* Takes the payload. */
static void tell_on(struct runtime *runtime, const char *topic, const char *type, const char *key,
                    const char *namespace, struct json *payload)
{
    char id[UUID_TEXT_BYTES];
    struct buffer value = {0};
    const struct envelope envelope = {
        .event_id = clock_uuid_v7(),
        .event_type = type,
        .event_us = clock_now_us(),
        .source_node_id = runtime->options.node_id,
        .source_instance = runtime->instance_id,
        .environment = runtime->options.config->environment,
        .partition_key = key,
        .payload = payload,
        .event_category = "metadata_aggregation",
        .node_type = "reducer",
        .namespace = namespace,
    };
    envelope_write(&value, &envelope);
    const struct store_message message = {
        .event_id = uuid_format(&envelope.event_id, id),
        .topic = topic,
        .event_type = type,
        .key = key,
        .key_bytes = strlen(key),
        .value = buffer_text(&value),
        .value_bytes = value.bytes,
    };
    store_add_message(runtime->store, &message);
    buffer_fini(&value);
    json_release(payload);
}

/* Takes the payload. An event type without a route is not published. */
static void tell(struct runtime *runtime, const char *type, struct json *payload)
{
    const char *topic = event_routes_topic(runtime->options.routes, type);
    if (topic)
        tell_on(runtime, topic, type, runtime->aggregation_id,
                runtime->options.config->default_namespace, payload);
    else
        json_release(payload);
}

static void set_instant(struct json *object, const char *name, int64_t instant_us)
{
    char time[INSTANT_TEXT_BYTES];
    json_object_set(object, name, json_text(instant_format(instant_us, time)));
}

static void tell_updated(struct runtime *runtime, const char *topic, const struct aggregate *row)
{
    struct json *payload = json_object();
    json_object_set(payload, "type", json_text(row->definition->name));
    json_object_set(payload, "version", json_text(row->definition->version));
    set_instant(payload, "window_start", row->start_us);
    set_instant(payload, "window_end", row->end_us);
    json_object_set(payload, "group", json_string(row->group, row->group_bytes));
    json_object_set(payload, "partition", json_int(row->partition));
    json_object_set(payload, "revision", json_int(row->revision));
    json_object_set(payload, "events", json_int(row->events));
    tell_on(runtime, topic, "window_updated", row->group, row->group, payload);
}

/* Windows that this commit changes: each at once when it is new, then at most once a second. */
void runtime_tell_updates(struct runtime *runtime, int64_t now_us)
{
    const char *topic = event_routes_topic(runtime->options.routes, "window_updated");
    const struct reducer *reducer = &runtime->reducer;
    for (size_t i = 0; topic && i < reducer->dirty_count; i++) {
        struct aggregate *row = reducer->dirty[i];
        if (!row->definition->announce_updates || row->end_us == INT64_MAX ||
            (row->told_us > 0 && now_us - row->told_us < TELL_EVERY_US))
            continue;
        row->told_us = now_us;
        tell_updated(runtime, topic, row);
    }
}

/* The measure of a row as a number; 0 when it has none of that name. */
static int64_t figure(const struct aggregate *row, const char *name)
{
    struct json *value = aggregate_value_named(row, name);
    int64_t number = json_int_value(value);
    json_release(value);
    return number;
}

/* Those whose rows have left memory, by the same hashes. */
static void add_away(const struct reducer *reducer, const struct reducer_partition *partition,
                     struct distinct *names)
{
    for (size_t i = 0; i < partition->groups_capacity; i++) {
        const struct reducer_groups *groups = partition->groups[i];
        if (!groups ||
            strcmp(reducer->set->items[groups->aggregation]->name, AGGREGATION_OF_TOTALS) != 0)
            continue;
        for (size_t slot = 0; slot < groups->left.capacity; slot++) {
            if (groups->left.slots[slot])
                distinct_add(names, groups->left.slots[slot]);
        }
    }
}

/* Namespaces, each once although it may have a row on every partition; the sums are of rows in memory. */
static int64_t count_namespaces(const struct runtime *runtime, int64_t *size_bytes,
                                int64_t *workflows)
{
    struct distinct names = {0};
    *size_bytes = *workflows = 0;
    for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
        const struct reducer_partition *partition = runtime->reducer.partitions[p];
        if (partition && partition->away > 0)
            add_away(&runtime->reducer, partition, &names);
        for (size_t i = 0; partition && i < partition->rows_capacity; i++) {
            const struct aggregate *row = partition->rows[i].row;
            if (!row || strcmp(row->definition->name, AGGREGATION_OF_TOTALS) != 0)
                continue;
            distinct_add(&names, row->hash ? row->hash : 1);
            *size_bytes += figure(row, "total_size_bytes");
            *workflows += figure(row, "unique_workflows");
        }
    }
    int64_t count = distinct_count(&names);
    distinct_fini(&names);
    return count;
}

static void begin(struct runtime *runtime, int64_t now_us)
{
    struct uuid id = clock_uuid_v7();
    uuid_format(&id, runtime->aggregation_id);
    runtime->aggregation_since_us = now_us;
    runtime->told_at_us = 0;
    runtime->batches = runtime->items = runtime->told_items = 0;
    struct json *payload = payload_of(runtime);
    json_object_set(payload, "aggregation_type", json_text(AGGREGATION_DEFAULT));
    json_object_set(payload, "batch_size",
                    json_int(runtime->options.config->aggregation_batch_size));
    json_object_set(payload, "window_size_ms",
                    json_int(runtime->options.config->aggregation_window_size_ms));
    tell(runtime, "aggregation_started", payload);
}

void runtime_tell_batch(struct runtime *runtime, int64_t now_us)
{
    int64_t size_bytes, workflows;
    if (runtime->gathered == 0)
        return;
    if (!runtime->aggregation_id[0])
        begin(runtime, now_us);
    runtime->batches++;
    runtime->items += runtime->gathered;
    if (now_us - runtime->told_at_us < TELL_EVERY_US)
        return;
    struct json *payload = payload_of(runtime);
    json_object_set(payload, "batch_number", json_int(runtime->batches));
    json_object_set(payload, "batch_size", json_int(runtime->items - runtime->told_items));
    json_object_set(payload, "total_items_processed", json_int(runtime->items));
    tell(runtime, "batch_processed", payload);
    payload = payload_of(runtime);
    json_object_set(payload, "namespaces_count",
                    json_int(count_namespaces(runtime, &size_bytes, &workflows)));
    json_object_set(payload, "workflows_count", json_int(workflows));
    tell(runtime, "state_persisted", payload);
    runtime->told_at_us = now_us;
    runtime->told_items = runtime->items;
}

void runtime_tell_failure(struct runtime *runtime, const struct error *error)
{
    if (!runtime->aggregation_id[0])
        return;
    struct json *payload = payload_of(runtime);
    json_object_set(payload, "error_type", json_text(error_code_name(error->code)));
    json_object_set(payload, "error_message", json_text(error->text));
    json_object_set(payload, "duration_ms",
                    json_int((clock_monotonic_us() - runtime->aggregation_since_us) / 1000));
    json_object_set(payload, "aggregation_type", json_text(AGGREGATION_DEFAULT));
    tell(runtime, "aggregation_failed", payload);
}

bool runtime_tell_end(struct runtime *runtime)
{
    int64_t size_bytes, workflows;
    if (!runtime->aggregation_id[0])
        return false;
    int64_t duration_us = clock_monotonic_us() - runtime->aggregation_since_us;
    int64_t namespaces = count_namespaces(runtime, &size_bytes, &workflows);
    struct json *payload = payload_of(runtime);
    json_object_set(payload, "total_items", json_int(runtime->items));
    json_object_set(payload, "batches_processed", json_int(runtime->batches));
    json_object_set(payload, "total_size_bytes", json_int(size_bytes));
    json_object_set(payload, "duration_ms", json_int(duration_us / 1000));
    json_object_set(payload, "items_per_second",
                    json_double((double)runtime->items * 1e6 / (double)(duration_us + 1)));
    json_object_set(payload, "namespaces_count", json_int(namespaces));
    tell(runtime, "aggregation_completed", payload);
    return store_messages(runtime->store) > 0;
}
