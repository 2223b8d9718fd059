/* SPDX-License-Identifier: MIT */
/* api_batch.c - many submissions in one request: those of shards owned here in one commit, the others in one
 * request to each owner, until all have their answers.
 */
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "orchestrator/api_forward.h"
#include "orchestrator/api_submit.h"
#include "orchestrator/owners.h"

/* One answer of a batch: {status, workflow} or {status, error}. */
static struct json *batch_item(struct orchestrator *orchestrator, struct attempt *attempt)
{
    struct json *item = json_object();
    int status = 202;
    struct json *workflow = attempt_finish(orchestrator, attempt, 0, &status);
    if (attempt->error.code == ERR_OK) {
        json_object_set(item, "status", json_int(status));
        json_object_set(item, "workflow", workflow);
        return item;
    }
    attempt_count_refusal(attempt->error.code);
    json_release(workflow);
    struct json *problem = json_object();
    status = error_code_status(attempt->error.code);
    json_object_set(problem, "type", json_text("about:blank"));
    json_object_set(problem, "title", json_text(error_code_text(attempt->error.code)));
    json_object_set(problem, "status", json_int(status));
    json_object_set(problem, "code", json_text(error_code_name(attempt->error.code)));
    json_object_set(problem, "detail", json_text(attempt->error.text));
    if (attempt->error.field[0] != '\0')
        json_object_set(problem, "field", json_text(attempt->error.field));
    json_object_set(item, "status", json_int(status));
    json_object_set(item, "error", problem);
    return item;
}

struct batch {
    struct orchestrator *orchestrator;
    struct http_request *request;
    const struct json *list; /* of submissions */
    int64_t until_us;        /* no owner is asked after that */
    struct attempt *attempts;
    struct json **items; /* their answers; NULL: none yet */
    size_t count;
};

/* All that have no answer yet, in one commit as far as they belong here. */
static void try_here(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->items[i] != NULL)
            continue;
        attempt_fini(&batch->attempts[i]);
        batch->attempts[i] = (struct attempt){0};
        attempt_begin(batch->orchestrator, &batch->attempts[i], json_at(batch->list, i), NULL,
                      http_header(batch->request, "traceparent"), false);
    }
    for (size_t i = 0; i < batch->count; i++) {
        struct attempt *attempt = &batch->attempts[i];
        if (batch->items[i] != NULL)
            continue;
        attempt_await(attempt);
        if (!api_is_elsewhere(&attempt->error))
            batch->items[i] = batch_item(batch->orchestrator, attempt);
    }
}

/* One without a key may go anywhere: to whoever owns the first shard. */
static int16_t shard_to_ask(const struct batch *batch, size_t i)
{
    const struct submission *submission = &batch->attempts[i].submission;
    return submission->key == NULL
               ? 0
               : orchestrator_shard(batch->orchestrator, submission->namespace, submission->key);
}

/* Those of its answers that are decisions; a shard that was on its way is asked for again. */
static void take_items(struct batch *batch, const struct http_response *response,
                       const size_t *group, size_t count)
{
    struct json *answer =
        json_parse(buffer_text(&response->body), response->body.bytes, NULL, NULL);
    const struct json *items = json_get(answer, "items");
    for (size_t i = 0; i < count; i++) {
        const struct json *item = json_at(items, i);
        const char *code = json_string_or(json_get(json_get(item, "error"), "code"), "");
        if (response->status != 200 || item == NULL) {
            struct json *refused = json_object();
            json_object_set(refused, "status", json_int(response->status));
            json_object_set(refused, "error", answer == NULL ? json_null() : json_hold(answer));
            batch->items[group[i]] = refused;
        } else if (strcmp(code, error_code_name(ERR_NOT_OWNER)) != 0 &&
                   strcmp(code, error_code_name(ERR_STOPPING)) != 0 &&
                   strcmp(code, error_code_name(ERR_FENCED)) != 0) {
            batch->items[group[i]] = json_hold(item);
        }
    }
    json_release(answer);
}

/* A batch of the members of a group, to the owner of the first one's shard. */
static void ask_for_group(struct batch *batch, const size_t *group, size_t count)
{
    struct http_response response = {0};
    struct json *list = json_array(), *body = json_object();
    struct buffer text = {0};
    struct api_forward forward = {.shard = shard_to_ask(batch, group[0]), .repeats = true};
    for (size_t i = 0; i < count; i++) {
        json_array_append(list, json_hold(json_at(batch->list, group[i])));
        forward.repeats = forward.repeats && batch->attempts[group[i]].submission.key != NULL;
    }
    json_object_set(body, "workflows", list);
    json_write(body, &text);
    forward.body = buffer_text(&text);
    if (api_forward(batch->orchestrator, batch->request, &response, &forward,
                    &batch->attempts[group[0]].error) == API_FORWARD_ANSWERED)
        take_items(batch, &response, group, count);
    buffer_fini(&response.body);
    buffer_fini(&response.headers);
    buffer_fini(&text);
    json_release(body);
}

/* Shards without an owner have the same one: whoever takes them. */
static bool is_same_owner(const struct owner *one, const struct owner *other)
{
    return one->known == other->known &&
           (!one->known || uuid_equal(&one->instance, &other->instance));
}

/* False when all have their answers, or time is over. */
static bool ask_others(struct batch *batch)
{
    bool *asked = must_calloc(batch->count, sizeof *asked);
    size_t *group = must_calloc(batch->count, sizeof *group);
    bool open = false;
    for (size_t i = 0; i < batch->count && clock_monotonic_us() < batch->until_us; i++) {
        size_t members = 0;
        struct owner owner, other;
        if (batch->items[i] != NULL || asked[i])
            continue;
        owners_of(batch->orchestrator, shard_to_ask(batch, i), &owner);
        for (size_t k = i; k < batch->count; k++) {
            if (batch->items[k] != NULL || asked[k])
                continue;
            owners_of(batch->orchestrator, shard_to_ask(batch, k), &other);
            asked[k] = k == i || is_same_owner(&owner, &other);
            if (asked[k])
                group[members++] = k;
        }
        ask_for_group(batch, group, members);
    }
    for (size_t i = 0; i < batch->count; i++)
        open = open || batch->items[i] == NULL;
    free(asked);
    free(group);
    return open && clock_monotonic_us() < batch->until_us;
}

static void carry_out_batch(struct batch *batch)
{
    bool may_ask = !api_was_forwarded(batch->request, NULL);
    batch->until_us = clock_monotonic_us() + FORWARD_LIMIT_US;
    try_here(batch);
    while (may_ask && ask_others(batch)) {
        clock_sleep_us(FORWARD_LOOK_US);
        try_here(batch);
    }
}

static void answer_batch(struct batch *batch, struct http_response *response)
{
    struct json *items = json_array(), *answer = json_object();
    for (size_t i = 0; i < batch->count; i++) {
        json_array_append(items, batch->items[i] != NULL
                                     ? batch->items[i]
                                     : batch_item(batch->orchestrator, &batch->attempts[i]));
        attempt_fini(&batch->attempts[i]);
    }
    json_object_set(answer, "items", items);
    http_json(response, 200, answer);
    json_release(answer);
}

void api_submit_batch(struct http_request *request, struct http_response *response, void *context)
{
    struct json *body = attempt_read_body(request, response);
    if (body == NULL)
        return;
    const struct json *list = json_get(body, "workflows");
    size_t count = json_size(list);
    if (json_type_of(list) != JSON_ARRAY || json_size(body) != 1 || count == 0 ||
        count > HTTP_BATCH_ITEMS_MAX) {
        struct error error = {0};
        error_set_field(&error, ERR_INVALID, "workflows",
                        "the body must be an object with the one member workflows, an array of 1 "
                        "to %d submissions",
                        HTTP_BATCH_ITEMS_MAX);
        api_fail(response, &error);
        json_release(body);
        return;
    }
    struct batch batch = {.orchestrator = context,
                          .request = request,
                          .list = list,
                          .attempts = must_calloc(count, sizeof(struct attempt)),
                          .items = must_calloc(count, sizeof(struct json *)),
                          .count = count};
    carry_out_batch(&batch);
    answer_batch(&batch, response);
    json_release(body);
    free(batch.attempts);
    free(batch.items);
}
