/* SPDX-License-Identifier: MIT */
/* Who owns which shard, and what is on it: the same answer from every instance. */
#include <stdlib.h>

#include "orchestrator/api.h"

/* backlog: lane numbers that the broker has not acknowledged yet. */
static const char sql_shards[] =
    "SELECT s.shard, s.owner::text, i.advertised_url, s.epoch, s.next_seq, s.published_seq, "
    "s.next_seq - 1 - s.published_seq, coalesce(w.live, 0), "
    "(SELECT incarnation FROM bridge_identity) || '.' || s.shard, "
    "coalesce(i.lease_expires_at < clock_timestamp(), false) "
    "FROM shards s LEFT JOIN instances i ON i.instance_id = s.owner "
    "LEFT JOIN (SELECT shard, count(*) AS live FROM workflow_executions "
    "WHERE completed_at IS NULL GROUP BY shard) w ON w.shard = s.shard ORDER BY s.shard";

static struct json *text_or_null(const struct postgres_rows *rows, int row, int column)
{
    const char *text = postgres_rows_text(rows, row, column, NULL);
    return text == NULL ? json_null() : json_text(text);
}

static struct json *item_of(const struct orchestrator *orchestrator,
                            const struct postgres_rows *rows, int row)
{
    static const char *const numbers[] = {"epoch", "next_seq", "published_seq", "backlog",
                                          "live_workflows"};
    struct json *item = json_object();
    int shard = (int)postgres_rows_int(rows, row, 0);
    json_object_set(item, "shard", json_int(shard));
    json_object_set(item, "lane", text_or_null(rows, row, 8));
    json_object_set(item, "owner", text_or_null(rows, row, 1));
    json_object_set(item, "url", text_or_null(rows, row, 2));
    json_object_set(item, "lease_lapsed", json_bool(postgres_rows_bool(rows, row, 9)));
    for (int i = 0; i < 5; i++)
        json_object_set(item, numbers[i], json_int(postgres_rows_int(rows, row, 3 + i)));
    json_object_set(item, "is_here", json_bool(orchestrator_owns(orchestrator, shard)));
    return item;
}

void api_shards(struct http_request *request, struct http_response *response, void *context)
{
    const struct orchestrator *orchestrator = context;
    struct postgres *postgres;
    struct postgres_rows *rows = NULL;
    struct error error = {0};
    (void)request;
    enum error_code code = postgres_pool_get(orchestrator->pool, &postgres, &error);
    if (code == ERR_OK) {
        code = postgres_query(postgres, sql_shards, NULL, 0, &rows, &error);
        postgres_pool_put(orchestrator->pool, postgres);
    }
    if (code != ERR_OK) {
        api_fail(response, &error);
        return;
    }
    struct json *answer = json_object(), *items = json_array();
    for (int row = 0; row < postgres_rows_count(rows); row++)
        json_array_append(items, item_of(orchestrator, rows, row));
    json_object_set(answer, "items", items);
    json_object_set(answer, "next_cursor", json_null());
    http_json(response, 200, answer);
    json_release(answer);
    postgres_rows_free(rows);
}
