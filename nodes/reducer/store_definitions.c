/* SPDX-License-Identifier: MIT */
/* store_definitions.c - the loaded definitions as rows of aggregation_definitions. */
#include <stdlib.h>
#include <string.h>

#include "reducer/store_internal.h"

enum { DEFINITION_VALUES = 12 };

/* The row of a definition, made or kept; of a known one only what does not change what counts is renewed. */
static const char sql_register[] =
    "INSERT INTO aggregation_definitions AS d (name, version, content_hash, keys, measures, cells,"
    " lateness_ms, retention_days, document, size_ms, tolerance_ms, groups)"
    " VALUES ($1, $2, $3, $4::text[], $5::text[], $6::int4[], $7, $8, $9::json, $10, $11, $12)"
    " ON CONFLICT (name, version) DO UPDATE SET"
    " content_hash = coalesce(d.content_hash, excluded.content_hash),"
    " keys = CASE WHEN d.content_hash IS NULL THEN excluded.keys ELSE d.keys END,"
    " measures = CASE WHEN d.content_hash IS NULL THEN excluded.measures ELSE d.measures END,"
    " cells = CASE WHEN d.content_hash IS NULL THEN excluded.cells ELSE d.cells END,"
    " counted_otherwise = d.counted_otherwise OR (d.size_ms IS NOT NULL AND"
    "   (d.lateness_ms, d.size_ms, d.tolerance_ms, d.groups) <> (excluded.lateness_ms,"
    "    excluded.size_ms, excluded.tolerance_ms, excluded.groups)),"
    " size_ms = excluded.size_ms, tolerance_ms = excluded.tolerance_ms, groups = excluded.groups,"
    " lateness_ms = excluded.lateness_ms, retention_days = excluded.retention_days,"
    " document = CASE WHEN coalesce(d.content_hash, excluded.content_hash) = excluded.content_hash"
    " THEN excluded.document ELSE d.document END"
    " RETURNING d.id, d.content_hash";

/* The cell of a measure that is shown as it stands; -1 when it is made of others. */
static int cell_of(const struct aggregation_measure *measure)
{
    switch (measure->kind) {
    case MEASURE_COUNT:
    case MEASURE_SUM:
    case MEASURE_MIN:
    case MEASURE_MAX:
    case MEASURE_AVG:
    case MEASURE_DISTINCT:
    case MEASURE_PERCENTILE:
    case MEASURE_RATE:
    case MEASURE_FIRST:
    case MEASURE_LAST:
        return measure->cell;
    case MEASURE_SHARE:
    case MEASURE_RATIO:
    case MEASURE_WINDOW_START:
    case MEASURE_WINDOW_END:
        break;
    }
    return -1;
}

static void describe(const struct store *store, const struct aggregation *definition,
                     struct postgres_value values[DEFINITION_VALUES])
{
    const struct aggregation_set *set = store->set;
    const struct aggregation_window *window = &set->windows[definition->window];
    const struct aggregation_group *group = &set->groups[definition->group];
    postgres_set_string(&values[0], definition->name);
    postgres_set_string(&values[1], definition->version);
    postgres_set_string(&values[2], definition->content_hash);
    postgres_array_start(&values[3], PG_TEXT);
    postgres_array_start(&values[4], PG_TEXT);
    postgres_array_start(&values[5], PG_INT4);
    for (int i = 0; i < group->count; i++)
        postgres_push_string(&values[3], group->keys[i].name);
    for (int i = 0; i < definition->measures_count; i++) {
        int cell = cell_of(&definition->measures[i]);
        postgres_push_string(&values[4], definition->measures[i].name);
        if (cell < 0)
            postgres_push_null(&values[5]);
        else
            postgres_push_int4(&values[5], cell);
    }
    postgres_set_int8(&values[6], window->lateness_us / 1000);
    postgres_set_int4(&values[7], (int32_t)definition->retention_days);
    char *document = json_to_text(definition->document);
    postgres_set_string(&values[8], document);
    free(document);
    postgres_set_int8(&values[9], window->windowed ? window->size_us / 1000 : 0);
    postgres_set_int8(&values[10], store->settings.tolerance_ms);
    postgres_set_int4(&values[11], store->settings.groups);
}

static enum error_code register_one(struct store *store, int number, struct error *error)
{
    const struct aggregation *definition = store->set->items[number];
    struct postgres_value values[DEFINITION_VALUES] = {0};
    struct postgres_rows *rows = NULL;
    describe(store, definition, values);
    enum error_code code =
        postgres_query(store->load, sql_register, values, DEFINITION_VALUES, &rows, error);
    for (int i = 0; i < DEFINITION_VALUES; i++)
        postgres_value_fini(&values[i]);
    if (code)
        return code;
    size_t bytes;
    const char *hash = postgres_rows_text(rows, 0, 1, &bytes);
    store->ids[number] = (int32_t)postgres_rows_int(rows, 0, 0);
    if (bytes != strlen(definition->content_hash) ||
        memcmp(hash, definition->content_hash, bytes) != 0)
        code = error_set(error, ERR_CONFIG,
                         "the aggregation %s %s counts something else than it did under this "
                         "version: give it a new version, or its file back",
                         definition->name, definition->version);
    postgres_rows_free(rows);
    return code;
}

enum error_code store_register(struct store *store, struct error *error)
{
    enum error_code code = ERR_OK;
    for (int i = 0; i < store->set->count && !store->registered && !code; i++)
        code = register_one(store, i, error);
    store->registered = store->registered || !code;
    return code;
}
