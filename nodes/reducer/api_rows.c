/* SPDX-License-Identifier: MIT */
/* api_rows.c - rows of windows and for all time: which ones, in which order, and how they look. */
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "core/window.h"
#include "reducer/api_page.h"
#include "reducer/core/page_cursor.h"

/* What a request asks for. */
struct question {
    struct service_definition definition;
    struct group_question group;
    struct query_filter filter;
    bool csv;
};

static void question_fini(struct question *question)
{
    aggregation_set_free(question->definition.stored);
    buffer_fini(&question->group.made);
    free(question);
}

/* -- how rows look -- */

static struct json *instant_json(int64_t instant_us)
{
    char text[INSTANT_TEXT_BYTES];
    return json_text(instant_format(instant_us, text));
}

static struct json *row_json(const struct aggregation_set *set, const struct query_row *row)
{
    const struct aggregate *merged = row->merged;
    bool windowed = row->window_ms > 0;
    struct json *item = json_object();
    json_object_set(item, "type", json_text(merged->definition->name));
    json_object_set(item, "version", json_text(merged->definition->version));
    json_object_set(item, "window_start", windowed ? instant_json(merged->start_us) : json_null());
    json_object_set(item, "window_end", windowed ? instant_json(merged->end_us) : json_null());
    json_object_set(item, "group", json_string(merged->group, merged->group_bytes));
    json_object_set(item, "revision", json_int(merged->revision));
    json_object_set(item, "final", json_bool(row->final));
    json_object_set(item, "values", aggregate_values(set, merged));
    return item;
}

static const char *const members[] = {"type",  "version",  "window_start", "window_end",
                                      "group", "revision", "final",        NULL};

/* Keys first, then measures, of one definition or of all that have windows in the order of their files: the
 * same whatever the rows are. */
static void add_values(struct csv_columns *columns, const struct aggregation_set *set,
                       const struct aggregation *only)
{
    bool distincts = false;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < set->count; i++) {
            const struct aggregation *type = set->items[i];
            const struct aggregation_group *group = &set->groups[type->group];
            if (only ? type != only : !set->windows[type->window].windowed)
                continue;
            for (int k = 0; pass == 0 && k < group->count; k++)
                csv_columns_add_value(columns, group->keys[k].name);
            for (int m = 0; pass == 1 && m < type->measures_count; m++)
                csv_columns_add_value(columns, type->measures[m].name);
            distincts = distincts || type->distincts_count > 0;
        }
    }
    if (distincts)
        csv_columns_add_value(columns, AGGREGATION_EXACT);
}

/* -- cursors -- */

/* What the next page comes after. */
static struct json *cursor_json(const struct query_row *last, bool oldest_first)
{
    struct buffer text = {0};
    struct page_cursor cursor = {.oldest_first = oldest_first,
                                 .start_us = last->merged->start_us,
                                 .window_ms = last->window_ms,
                                 .definition = last->definition};
    BUG_IF(last->merged->group_bytes > AGGREGATION_GROUP_BYTES_MAX);
    memcpy(cursor.group, last->merged->group, last->merged->group_bytes);
    page_cursor_write(&cursor, &text);
    struct json *made = json_string(buffer_text(&text), text.bytes);
    buffer_fini(&text);
    return made;
}

static enum error_code read_cursor(const char *text, struct query_filter *filter,
                                   struct error *error)
{
    struct page_cursor cursor;
    if (!text || text[0] == '\0') /* empty: the first page */
        return ERR_OK;
    if (!page_cursor_read(text, &cursor))
        return error_set_field(error, ERR_INVALID, "cursor",
                               "cursor is not a next_cursor of this list");
    if (cursor.oldest_first != filter->oldest_first)
        return error_set_field(error, ERR_INVALID, "cursor",
                               "cursor is of a list in the other order");
    filter->has_cursor = true;
    filter->after_start_us = cursor.start_us;
    filter->after_window_ms = cursor.window_ms;
    filter->after_definition = cursor.definition;
    memcpy(filter->after_group, cursor.group, sizeof(filter->after_group));
    return ERR_OK;
}

/* -- what is asked for -- */

static enum error_code read_state(struct http_request *request, enum query_state *state,
                                  struct error *error)
{
    const char *text = http_query(request, "state");
    if (!text)
        return ERR_OK;
    *state = strcmp(text, "open") == 0 ? QUERY_OPEN : QUERY_FINAL;
    if (*state == QUERY_OPEN || strcmp(text, "final") == 0)
        return ERR_OK;
    return error_set_field(error, ERR_INVALID, "state",
                           "state is \"%.60s\"; it must be open or final", text);
}

/* Rows for all time begin and end nowhere. */
static enum error_code check_timeless(struct http_request *request,
                                      const struct service_definition *definition, bool open_only,
                                      struct error *error)
{
    static const char *const of_windows[] = {"from", "to", "window_ms", "state", NULL};
    for (int i = 0; of_windows[i]; i++) {
        if (http_query(request, of_windows[i]))
            return error_set_field(error, ERR_INVALID, of_windows[i],
                                   "%s goes with windows; %s has one row for all time",
                                   of_windows[i], definition->type->name);
    }
    if (open_only)
        return error_set_field(error, ERR_INVALID, "type",
                               "type is \"%.60s\"; it has no windows, its rows are for all time",
                               definition->type->name);
    return ERR_OK;
}

static enum error_code read_times(struct http_request *request, struct query_filter *filter,
                                  struct error *error)
{
    enum error_code code = page_instant(request, "from", &filter->from_us, error);
    if (!code)
        code = page_instant(request, "to", &filter->to_us, error);
    if (!code)
        code = http_query_int(request, "window_ms", 1, AGGREGATION_WINDOW_MS_MAX, 0,
                              &filter->window_ms, error);
    if (!code)
        code = read_state(request, &filter->state, error);
    return code;
}

/* Order, cursor, limit and format, which all lists of rows have. */
static enum error_code read_page(struct http_request *request, struct question *question,
                                 struct error *error)
{
    int64_t limit = 0;
    struct query_filter *filter = &question->filter;
    filter->type = question->definition.type;
    filter->group = question->group.text;
    filter->keys_count = question->group.keys_count;
    memcpy(filter->keys, question->group.keys, sizeof(filter->keys));
    enum error_code code = page_order(request, &filter->oldest_first, error);
    if (!code)
        code =
            http_query_int(request, "limit", 1, LIST_ITEMS_MAX, LIST_ITEMS_DEFAULT, &limit, error);
    if (!code)
        code = read_cursor(http_query(request, "cursor"), filter, error);
    if (!code)
        code = page_wants_csv(request, &question->csv, error);
    filter->limit = (int)limit;
    return code;
}

/* namespace=X without a type means namespace_grouping. */
static enum error_code read_question(struct service *service, struct http_request *request,
                                     bool open_only, struct question *question, struct error *error)
{
    static const char *const known[] = {"type",      "version",    "group",  "from",  "to",
                                        "window_ms", "limit",      "cursor", "order", "format",
                                        "after",     "timeout_ms", "state",  NULL};
    static const char *const known_of_open[] = {
        "type",   "version", "group",  "from",  "to",         "window_ms", "limit",
        "cursor", "order",   "format", "after", "timeout_ms", NULL};
    const char *fallback = http_query(request, "namespace") ? "namespace_grouping" : NULL;
    struct query_filter *filter = &question->filter;
    enum error_code code =
        service_find_definition(service, request, fallback, &question->definition, error);
    if (!code)
        code = service_read_group(request, &question->definition, open_only ? known_of_open : known,
                                  &question->group, error);
    bool timeless =
        !code && question->definition.type && !service_has_windows(&question->definition);
    if (timeless)
        code = check_timeless(request, &question->definition, open_only, error);
    if (!code)
        code = read_times(request, filter, error);
    filter->oldest_first = timeless; /* they come in the order of their groups */
    if (open_only)
        filter->state = QUERY_OPEN;
    return code ? code : read_page(request, question, error);
}

static enum error_code ask_rows(struct service *service, const struct question *question,
                                struct query_rows *rows, struct error *error)
{
    struct postgres *postgres;
    enum error_code code = postgres_pool_get(service->pool, &postgres, error);
    if (code)
        return code;
    code = query_rows(postgres, question->definition.set, &question->filter, rows, error);
    postgres_pool_put(service->pool, postgres);
    return code;
}

static struct json *page_json(const struct query_rows *rows, const struct question *question,
                              struct json *(*item)(const struct aggregation_set *set,
                                                   const struct query_row *row))
{
    struct json *page = json_object();
    struct json *items = json_array();
    for (int i = 0; i < rows->count; i++) {
        if (!rows->items[i].unreadable)
            json_array_append(items, item(question->definition.set, &rows->items[i]));
    }
    json_object_set(page, "items", items);
    json_object_set(page, "next_cursor",
                    rows->more
                        ? cursor_json(&rows->items[rows->count - 1], question->filter.oldest_first)
                        : json_null());
    return page;
}

static void answer_rows(struct http_request *request, struct http_response *response,
                        struct service *service, bool open_only)
{
    struct question *question = must_calloc(1, sizeof(*question));
    struct query_rows rows = {0};
    struct error error = {0};
    enum error_code code = read_question(service, request, open_only, question, &error);
    bool waited = code || service_wait_after(service, request, response);
    if (!code && waited)
        code = ask_rows(service, question, &rows, &error);
    if (code) {
        http_problem(response, &error);
    } else if (waited) {
        struct csv_columns columns = {0};
        for (int i = 0; question->csv && members[i]; i++)
            csv_columns_add(&columns, members[i], NULL, members[i]);
        if (question->csv)
            add_values(&columns, question->definition.set, question->definition.type);
        page_answer(response, page_json(&rows, question, row_json), &columns, question->csv);
        csv_columns_fini(&columns);
    }
    query_rows_fini(&rows);
    question_fini(question);
}

void handle_aggregations(struct http_request *request, struct http_response *response,
                         void *context)
{
    answer_rows(request, response, context, false);
}

void handle_windows_open(struct http_request *request, struct http_response *response,
                         void *context)
{
    answer_rows(request, response, context, true);
}

/* -- totals -- */

static enum error_code find_totals(const struct service *service,
                                   struct service_definition *definition, struct error *error)
{
    definition->set = service->aggregations;
    definition->type = aggregation_set_find(service->aggregations, AGGREGATION_OF_TOTALS,
                                            strlen(AGGREGATION_OF_TOTALS));
    if (definition->type)
        return ERR_OK;
    return error_set(error, ERR_NOT_FOUND,
                     "there is no aggregation " AGGREGATION_OF_TOTALS " in the contracts");
}

enum error_code service_total(struct service *service, const char *namespace,
                              struct query_rows *rows, struct error *error)
{
    struct question question = {
        .filter = {
            .group = namespace, .limit = 1, .from_us = WINDOW_NO_TIME, .to_us = WINDOW_NO_TIME}};
    enum error_code code = find_totals(service, &question.definition, error);
    question.filter.type = question.definition.type;
    return code ? code : ask_rows(service, &question, rows, error);
}

static struct json *total_json(const struct aggregation_set *set, const struct query_row *row)
{
    struct json *item = json_object();
    json_object_set(item, "namespace", json_string(row->merged->group, row->merged->group_bytes));
    json_object_set(item, "values", aggregate_values(set, row->merged));
    return item;
}

static enum error_code read_totals(struct service *service, struct http_request *request,
                                   struct question *question, struct error *error)
{
    static const char *const known[] = {"namespace", "limit",  "cursor",     "order",
                                        "after",     "format", "timeout_ms", NULL};
    question->filter.oldest_first = true;
    question->filter.from_us = question->filter.to_us = WINDOW_NO_TIME;
    question->group.text = http_query(request, "namespace");
    enum error_code code = http_query_known(request, known, error);
    if (!code)
        code = find_totals(service, &question->definition, error);
    return code ? code : read_page(request, question, error);
}

void handle_namespaces(struct http_request *request, struct http_response *response, void *context)
{
    struct question *question = must_calloc(1, sizeof(*question));
    struct query_rows rows = {0};
    struct error error = {0};
    enum error_code code = read_totals(context, request, question, &error);
    bool waited = code || service_wait_after(context, request, response);
    if (!code && waited)
        code = ask_rows(context, question, &rows, &error);
    if (code) {
        http_problem(response, &error);
    } else if (waited) {
        struct csv_columns columns = {0};
        if (question->csv)
            add_values(&columns, question->definition.set, question->definition.type);
        page_answer(response, page_json(&rows, question, total_json), &columns, question->csv);
        csv_columns_fini(&columns);
    }
    query_rows_fini(&rows);
    question_fini(question);
}
