/* SPDX-License-Identifier: MIT */
/* api_after.c - ?after=<lane>:<seq>:<workflow_id>: the answer waits until the reducers have committed past
 * that event. The token may come many times. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/murmur2.h"
#include "io/clock.h"
#include "reducer/core/page_cursor.h"
#include "reducer/service.h"

#define WAIT_MS_DEFAULT 10000
#define LOOK_MS 50 /* another reducer may hold the partition: its commits are seen by asking */
#define LOOK_MS_MAX 500
#define TOKENS_MAX 100000

struct tokens {
    struct postgres_value values[4]; /* topic, partitions, lanes, seqs */
    int count;
};

static const char sql_behind[] =
    "SELECT count(*) FROM unnest($2::int4[], $3::text[], $4::int8[]) AS u (partition, lane, seq)"
    " LEFT JOIN reducer_lanes l ON l.topic = $1 AND l.partition = u.partition AND l.lane = u.lane"
    " WHERE coalesce(l.last_seq, -1) < u.seq";

static enum error_code bad_token(struct error *error, const char *token)
{
    return error_set_field(error, ERR_INVALID, "after",
                           "after is \"%.100s\"; it must be <lane>:<seq>:<workflow_id> as a "
                           "finished workflow's answer gives it",
                           token);
}

static enum error_code add_token(struct tokens *tokens, char *text, int32_t partitions,
                                 struct error *error)
{
    struct after_token token;
    if (tokens->count >= TOKENS_MAX || !after_token_read(text, &token))
        return bad_token(error, text);
    postgres_push_int4(&tokens->values[1],
                       kafka_partition_of_key(token.workflow, strlen(token.workflow), partitions));
    postgres_push_string(&tokens->values[2], token.lane);
    postgres_push_int8(&tokens->values[3], token.seq);
    tokens->count++;
    return ERR_OK;
}

static enum error_code read_tokens(struct service *service, const char *query,
                                   struct tokens *tokens, struct error *error)
{
    static const enum postgres_type types[] = {PG_TEXT, PG_INT4, PG_TEXT, PG_INT8};
    int32_t partitions = runtime_partitions(service->runtime);
    enum error_code code = ERR_OK;
    postgres_set_string(&tokens->values[0], service->topic);
    for (int i = 1; i < 4; i++)
        postgres_array_start(&tokens->values[i], types[i]);
    char *copy = must_strdup(query ? query : "");
    char *rest = copy;
    for (char *part = strsep(&rest, "&"); part && !code; part = strsep(&rest, "&")) {
        if (strncmp(part, "after=", 6) != 0)
            continue;
        if (partitions <= 0)
            code = error_set(error, ERR_BROKER, "the workflow topic was not reached yet");
        else
            code = add_token(tokens, part + 6, partitions, error);
    }
    free(copy);
    return code;
}

static enum error_code count_behind(struct service *service, const struct tokens *tokens,
                                    int64_t *behind, struct error *error)
{
    struct postgres *postgres;
    struct postgres_rows *rows = NULL;
    enum error_code code = postgres_pool_get(service->pool, &postgres, error);
    if (code)
        return code;
    code = postgres_query(postgres, sql_behind, tokens->values, 4, &rows, error);
    if (!code)
        *behind = postgres_rows_int(rows, 0, 0);
    postgres_rows_free(rows);
    postgres_pool_put(service->pool, postgres);
    return code;
}

static enum error_code wait_for(struct service *service, const struct tokens *tokens,
                                int64_t timeout_ms, struct error *error)
{
    int64_t deadline_us = clock_monotonic_us() + timeout_ms * 1000;
    int look_ms = LOOK_MS;
    for (;;) {
        int64_t behind = 0;
        enum error_code code = count_behind(service, tokens, &behind, error);
        if (code || behind == 0)
            return code;
        if (runtime_stopping(service->runtime))
            return error_set(error, ERR_STOPPING, "this reducer is stopping");
        int64_t left_ms = (deadline_us - clock_monotonic_us()) / 1000;
        if (left_ms <= 0)
            return error_set_field(error, ERR_TIMEOUT, "after",
                                   "%lld of %d events were not counted within %lld ms",
                                   (long long)behind, tokens->count, (long long)timeout_ms);
        runtime_wait_commit(service->runtime, left_ms < look_ms ? (int)left_ms : look_ms);
        look_ms = look_ms * 2 > LOOK_MS_MAX ? LOOK_MS_MAX : look_ms * 2;
    }
}

bool service_wait_after(struct service *service, struct http_request *request,
                        struct http_response *response)
{
    struct error error = {0};
    struct tokens tokens = {0};
    int64_t timeout_ms;
    enum error_code code = http_query_int(request, "timeout_ms", 0, HTTP_WAIT_MS_MAX,
                                          WAIT_MS_DEFAULT, &timeout_ms, &error);
    if (!code)
        code = read_tokens(service, request->query_string, &tokens, &error);
    if (!code && tokens.count > 0) {
        bool waits = http_wait_begin(request);
        code = wait_for(service, &tokens, waits ? timeout_ms : 0, &error);
        if (waits)
            http_wait_end(request);
    }
    for (int i = 0; i < 4; i++)
        postgres_value_fini(&tokens.values[i]);
    if (code)
        http_problem(response, &error);
    return !code;
}
