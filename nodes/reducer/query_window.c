/* SPDX-License-Identifier: MIT */
/* query_window.c - one window, and how far the partitions are. */
#include <stdlib.h>

#include "core/window.h"
#include "reducer/query.h"

static const char sql_window[] =
    "SELECT d.id, w.window_ms, w.events, w.revision, w.updated_at, f.final_at, d.pruned_until, "
    "d.lateness_ms"
    " FROM aggregation_definitions d LEFT JOIN LATERAL ("
    "SELECT r.window_ms, sum(r.events)::int8 AS events,"
    " (1 + sum(r.revision - 1))::int4 AS revision, max(r.updated_at) AS updated_at"
    " FROM aggregation_rows r WHERE r.definition = d.id AND r.window_start = $3"
    " AND r.group_key = $4 GROUP BY r.window_ms ORDER BY r.window_ms = $5::int8 DESC LIMIT 1)"
    " AS w ON true LEFT JOIN aggregation_finals f ON f.definition = d.id"
    " AND f.window_ms = coalesce(w.window_ms, $5) AND f.window_start = $3 AND f.group_key = $4"
    " WHERE d.name = $1 AND d.version = $2";

static const char sql_partitions[] =
    "SELECT p.partition, p.newest_event_at - $3::int8 * interval '1 ms',"
    " p.idle_at IS NOT NULL AND p.idle_at > clock_timestamp() - $4::int8 * interval '1 ms',"
    " p.owner, p.next_offset,"
    " (extract(epoch FROM clock_timestamp() - p.updated_at) * 1000)::int8,"
    " coalesce($5::int4 > 0 AND NOT $5 = ANY (p.counted), false)"
    " FROM reducer_partitions p WHERE p.cluster_id = $1 AND p.topic = $2 ORDER BY p.partition";

static int64_t instant_of(const struct postgres_rows *rows, int row, int column)
{
    return postgres_rows_null(rows, row, column) ? WINDOW_NO_TIME
                                                 : postgres_rows_instant(rows, row, column);
}

enum error_code query_window(struct postgres *postgres, const struct aggregation *definition,
                             int64_t start_us, const char *group, int64_t window_ms,
                             struct query_window *window, struct error *error)
{
    struct postgres_value values[5] = {0};
    struct postgres_rows *rows = NULL;
    *window = (struct query_window){.window_ms = window_ms,
                                    .lateness_ms = -1,
                                    .updated_us = WINDOW_NO_TIME,
                                    .final_us = WINDOW_NO_TIME,
                                    .pruned_until_us = WINDOW_NO_TIME};
    postgres_set_string(&values[0], definition->name);
    postgres_set_string(&values[1], definition->version);
    postgres_set_instant(&values[2], start_us);
    postgres_set_string(&values[3], group);
    postgres_set_int8(&values[4], window_ms);
    enum error_code code = postgres_query(postgres, sql_window, values, 5, &rows, error);
    for (int i = 0; i < 5; i++)
        postgres_value_fini(&values[i]);
    if (!code && postgres_rows_count(rows) > 0) {
        window->definition = (int32_t)postgres_rows_int(rows, 0, 0);
        if (!postgres_rows_null(rows, 0, 1)) {
            window->window_ms = postgres_rows_int(rows, 0, 1);
            window->events = postgres_rows_int(rows, 0, 2);
            window->revision = (int32_t)postgres_rows_int(rows, 0, 3);
        }
        window->updated_us = instant_of(rows, 0, 4);
        window->final_us = instant_of(rows, 0, 5);
        window->pruned_until_us = instant_of(rows, 0, 6);
        window->lateness_ms = postgres_rows_int(rows, 0, 7);
    }
    postgres_rows_free(rows);
    return code;
}

static char *copy_of(const struct postgres_rows *rows, int row, int column)
{
    size_t bytes;
    struct buffer copy = {0};
    const char *text = postgres_rows_text(rows, row, column, &bytes);
    buffer_append(&copy, text, bytes);
    return buffer_take(&copy);
}

enum error_code query_partitions(struct postgres *postgres, struct query_partitions *partitions,
                                 struct error *error)
{
    struct postgres_value values[5] = {0};
    struct postgres_rows *rows = NULL;
    postgres_set_string(&values[0], partitions->cluster_id);
    postgres_set_string(&values[1], partitions->topic);
    postgres_set_int8(&values[2], partitions->tolerance_ms);
    postgres_set_int8(&values[3], 2 * partitions->idle_ms); /* as finals are made */
    postgres_set_int4(&values[4], partitions->past_of);
    enum error_code code = postgres_query(postgres, sql_partitions, values, 5, &rows, error);
    for (int i = 0; i < 5; i++)
        postgres_value_fini(&values[i]);
    if (code)
        return code;
    partitions->count = postgres_rows_count(rows);
    unsigned long count = (unsigned long)partitions->count + 1;
    partitions->items = must_calloc(count, sizeof(*partitions->items));
    partitions->next_offsets = must_calloc(count, sizeof(*partitions->next_offsets));
    for (int i = 0; i < partitions->count; i++) {
        partitions->items[i] = (struct explain_partition){
            .number = (int32_t)postgres_rows_int(rows, i, 0),
            .watermark_us = instant_of(rows, i, 1),
            .idle = postgres_rows_bool(rows, i, 2),
            .owner = copy_of(rows, i, 3),
            .unread = -1,
            .silent_ms = postgres_rows_int(rows, i, 5),
            .past_pending = postgres_rows_bool(rows, i, 6),
        };
        partitions->next_offsets[i] = postgres_rows_int(rows, i, 4);
    }
    postgres_rows_free(rows);
    return ERR_OK;
}

void query_partitions_fini(struct query_partitions *partitions)
{
    for (int i = 0; i < partitions->count; i++)
        free((char *)(uintptr_t)partitions->items[i].owner); /* our own copies */
    free(partitions->items);
    free(partitions->next_offsets);
    partitions->items = NULL;
    partitions->next_offsets = NULL;
    partitions->count = 0;
}
