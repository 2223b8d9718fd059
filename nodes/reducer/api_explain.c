/* SPDX-License-Identifier: MIT */
/* api_explain.c - why a window is or is not final: from its rows, the partitions' watermarks, and what the
 * broker has that was not read yet. */
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "core/window.h"
#include "io/kafka_admin.h"
#include "reducer/api_page.h"

#define ASKED_MAX 16 /* partitions that hold a window whose ends the broker is asked for */
#define ASK_TIMEOUT_MS 2000

struct question {
    struct service_definition definition;
    struct group_question group;
    int64_t start_us;
    struct query_window found;
    struct query_partitions partitions;
    struct explain_window window;
};

static void question_fini(struct question *question)
{
    query_partitions_fini(&question->partitions);
    aggregation_set_free(question->definition.stored);
    buffer_fini(&question->group.made);
    free(question);
}

static struct json *instant_json(int64_t instant_us)
{
    char text[INSTANT_TEXT_BYTES];
    return instant_us == WINDOW_NO_TIME || instant_us == EXPLAIN_ALL_IDLE
               ? json_null()
               : json_text(instant_format(instant_us, text));
}

/* -- what is asked -- */

static enum error_code check_group(struct question *question, struct error *error)
{
    const struct aggregation_group *keys =
        &question->definition.set->groups[question->definition.type->group];
    if (!question->group.text && keys->count == 0)
        question->group.text = "";
    if (question->group.text)
        return ERR_OK;
    return error_set_field(
        error, ERR_INVALID, "group", "%s groups by %s%s: give group, or all of its keys",
        question->definition.type->name, keys->keys[0].name, keys->count > 1 ? " and others" : "");
}

static enum error_code check_start(struct http_request *request, struct question *question,
                                   struct error *error)
{
    enum error_code code = page_instant(request, "window_start", &question->start_us, error);
    if (code)
        return code;
    bool windowed = service_has_windows(&question->definition);
    if (windowed == (question->start_us != WINDOW_NO_TIME)) {
        question->start_us = windowed ? question->start_us : 0;
        return ERR_OK;
    }
    return error_set_field(error, ERR_INVALID, "window_start",
                           windowed ? "window_start is missing; it says which window of %s is meant"
                                    : "window_start goes with windows; %s has one row for all time",
                           question->definition.type->name);
}

static enum error_code read_question(struct service *service, struct http_request *request,
                                     struct question *question, struct error *error)
{
    static const char *const known[] = {"type",       "version", "window_start", "group", "after",
                                        "timeout_ms", NULL};
    enum error_code code =
        service_find_definition(service, request, NULL, &question->definition, error);
    if (!code && !question->definition.type)
        code = error_set_field(error, ERR_INVALID, "type",
                               "type is missing; it names the aggregation of the window");
    if (!code)
        code = service_read_group(request, &question->definition, known, &question->group, error);
    if (!code)
        code = check_group(question, error);
    return code ? code : check_start(request, question, error);
}

/* Its times must be such that can be written. */
static enum error_code check_end(const struct explain_window *window, struct error *error)
{
    char asked[INSTANT_TEXT_BYTES];
    if (!window->windowed || window->end_us <= INSTANT_LAST_US - window->lateness_us)
        return ERR_OK;
    return error_set_field(error, ERR_INVALID, "window_start",
                           "window_start is %s; that window would end behind the year 9999",
                           instant_format_us(window->start_us, asked));
}

/* A window without rows must at least be one that there can be. */
static enum error_code check_aligned(const struct question *question, struct error *error)
{
    const struct aggregation_window *window =
        &question->definition.set->windows[question->definition.type->window];
    char asked[INSTANT_TEXT_BYTES], before[INSTANT_TEXT_BYTES], behind[INSTANT_TEXT_BYTES];
    if (!window->windowed || question->found.events > 0 ||
        question->found.final_us != WINDOW_NO_TIME)
        return ERR_OK;
    int64_t start_us = window_start(question->start_us, window->hop_us);
    if (start_us == question->start_us)
        return ERR_OK;
    return error_set_field(
        error, ERR_INVALID, "window_start",
        "window_start is %s; windows of %s start every %g s: one does at %s, the "
        "next at %s",
        instant_format_us(question->start_us, asked), question->definition.type->name,
        (double)window->hop_us / 1e6, instant_format(start_us, before),
        instant_format(start_us + window->hop_us, behind));
}

/* -- what is known -- */

static enum error_code ask_database(struct service *service, struct question *question,
                                    struct error *error)
{
    const struct aggregation *type = question->definition.type;
    const struct aggregation_window *window = &question->definition.set->windows[type->window];
    struct query_partitions *partitions = &question->partitions;
    struct postgres *postgres;
    enum error_code code = postgres_pool_get(service->pool, &postgres, error);
    if (code)
        return code;
    runtime_cluster_id(service->runtime, partitions->cluster_id, sizeof(partitions->cluster_id));
    partitions->topic = service->topic;
    partitions->tolerance_ms = service->config->aggregation_watermark_tolerance_ms;
    partitions->idle_ms = service->config->partition_idle_ms;
    code = query_window(postgres, type, question->start_us, question->group.text,
                        window->windowed ? window->size_us / 1000 : 0, &question->found, error);
    bool loaded = !question->definition.stored;
    partitions->past_of = loaded && type->backfill ? question->found.definition : 0;
    if (!code)
        code = query_partitions(postgres, partitions, error);
    postgres_pool_put(service->pool, postgres);
    return code;
}

static void describe(struct service *service, struct question *question)
{
    const struct aggregation *type = question->definition.type;
    const struct aggregation_window *window = &question->definition.set->windows[type->window];
    const struct query_window *found = &question->found;
    question->window = (struct explain_window){
        .type = type->name,
        .windowed = window->windowed,
        .start_us = question->start_us,
        .end_us = question->start_us + found->window_ms * 1000,
        .lateness_us = found->lateness_ms < 0 ? window->lateness_us : found->lateness_ms * 1000,
        .events = found->events,
        .revision = found->revision,
        .has_final = found->final_us != WINDOW_NO_TIME,
        .final_us = found->final_us,
        .pruned_until_us = found->pruned_until_us,
        .retention_days = type->retention_days,
        .idle_ms = service->config->partition_idle_ms,
        .partitions = question->partitions.items,
        .count = question->partitions.count,
    };
}

/* How many records wait on the partitions that hold the window. A broker that does not answer leaves them
 * unknown. */
static void ask_broker(struct service *service, struct question *question)
{
    struct query_partitions *partitions = &question->partitions;
    int32_t numbers[ASKED_MAX];
    int places[ASKED_MAX], count = 0;
    int64_t ends[ASKED_MAX];
    struct error error = {0};
    for (int i = 0; i < partitions->count && count < ASKED_MAX; i++) {
        enum explain_hold hold = explain_hold(&question->window, &partitions->items[i]);
        if (hold == HOLD_NONE || hold == HOLD_NO_OWNER)
            continue;
        places[count] = i;
        numbers[count++] = partitions->items[i].number;
    }
    if (count == 0)
        return;
    bool partly = kafka_topic_ends(service->config, service->topic, numbers, ends, count,
                                   ASK_TIMEOUT_MS, &error) != ERR_OK;
    (void)partly; /* what was not answered is -1 */
    for (int i = 0; i < count; i++) {
        int64_t unread = ends[i] - partitions->next_offsets[places[i]];
        if (ends[i] >= 0)
            partitions->items[places[i]].unread = unread > 0 ? unread : 0;
    }
}

/* -- the answer -- */

static struct json *holding_json(const struct question *question, int number)
{
    const struct explain_partition *partition = &question->partitions.items[number];
    const struct explain_window *window = &question->window;
    bool none = partition->watermark_us == WINDOW_NO_TIME;
    struct json *item = json_object();
    json_object_set(item, "partition", json_int(partition->number));
    json_object_set(item, "reason", json_text(explain_hold_name(explain_hold(window, partition))));
    json_object_set(item, "owner", partition->owner[0] ? json_text(partition->owner) : json_null());
    json_object_set(item, "offset", json_int(question->partitions.next_offsets[number]));
    json_object_set(item, "watermark", instant_json(partition->watermark_us));
    json_object_set(
        item, "behind_ms",
        none ? json_null()
             : json_int((window->end_us + window->lateness_us - partition->watermark_us) / 1000));
    json_object_set(item, "unread_records",
                    partition->unread < 0 ? json_null() : json_int(partition->unread));
    json_object_set(item, "last_commit_ms", json_int(partition->silent_ms));
    return item;
}

static void set_window(struct json *page, const struct question *question)
{
    const struct explain_window *window = &question->window;
    int64_t none = WINDOW_NO_TIME;
    bool windowed = window->windowed;
    json_object_set(page, "type", json_text(window->type));
    json_object_set(page, "version", json_text(question->definition.type->version));
    json_object_set(page, "loaded", json_bool(!question->definition.stored));
    json_object_set(page, "window_start", instant_json(windowed ? window->start_us : none));
    json_object_set(page, "window_end", instant_json(windowed ? window->end_us : none));
    json_object_set(page, "closes_after",
                    instant_json(windowed ? window->end_us + window->lateness_us : none));
    json_object_set(page, "group", json_text(question->group.text));
    json_object_set(page, "events", json_int(window->events));
    json_object_set(page, "revision",
                    window->events > 0 ? json_int(window->revision) : json_null());
    json_object_set(page, "updated_at", instant_json(question->found.updated_us));
    json_object_set(page, "final", json_bool(window->has_final));
    json_object_set(page, "final_at", instant_json(window->final_us));
    json_object_set(page, "pruned_until", instant_json(window->pruned_until_us));
    json_object_set(page, "retention_days", json_int(window->retention_days));
}

static struct json *explain_json(const struct question *question)
{
    const struct explain_window *window = &question->window;
    struct json *page = json_object();
    struct json *waiting = json_array();
    struct buffer sentence = {0};
    int idle = 0, pending = 0;
    explain_sentence(window, &sentence);
    json_object_set(page, "state", json_text(explain_state_name(explain_state(window))));
    json_object_set(page, "explanation", json_string(sentence.data, sentence.bytes));
    buffer_fini(&sentence);
    set_window(page, question);
    for (int i = 0; i < window->count; i++) {
        if (explain_hold(window, &window->partitions[i]) != HOLD_NONE)
            json_array_append(waiting, holding_json(question, i));
        idle += window->partitions[i].idle;
        pending += window->partitions[i].past_pending;
    }
    json_object_set(page, "low_watermark",
                    instant_json(explain_low_watermark(window->partitions, window->count)));
    json_object_set(page, "partitions", json_int(window->count));
    json_object_set(page, "idle_partitions", json_int(idle));
    json_object_set(page, "past_pending_partitions", json_int(pending));
    json_object_set(page, "waiting_for", waiting);
    return page;
}

static enum error_code explain(struct service *service, struct question *question,
                               struct json **page, struct error *error)
{
    enum error_code code = ask_database(service, question, error);
    if (code)
        return code;
    describe(service, question);
    code = check_end(&question->window, error);
    if (!code)
        code = check_aligned(question, error);
    if (code)
        return code;
    if (question->partitions.cluster_id[0] == '\0')
        return error_set(error, ERR_BROKER, "the workflow topic was not reached yet");
    ask_broker(service, question);
    struct json *gaps = json_object();
    if (question->window.windowed)
        code = service_add_window_gaps(service, &question->window, gaps,
                                       &question->window.lost_records, error);
    if (!code) {
        *page = explain_json(question);
        json_object_set(*page, "lost_records", json_int(question->window.lost_records));
        const struct json *list = json_get(gaps, "gaps");
        json_object_set(*page, "gaps", list ? json_hold(list) : json_array());
    }
    json_release(gaps);
    return code;
}

void handle_window_explain(struct http_request *request, struct http_response *response,
                           void *context)
{
    struct question *question = must_calloc(1, sizeof(*question));
    struct json *page = NULL;
    struct error error = {0};
    enum error_code code = read_question(context, request, question, &error);
    bool waited = code || service_wait_after(context, request, response);
    if (!code && waited)
        code = explain(context, question, &page, &error);
    if (code)
        http_problem(response, &error);
    else if (waited)
        http_json(response, 200, page);
    json_release(page);
    question_fini(question);
}
