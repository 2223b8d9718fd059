/* SPDX-License-Identifier: MIT */
/* workflows.c - get, explain, list, watch, history, cancel, pause, resume and retry. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "bridgectl.h"
#include "io/clock.h"

#define CALL_TIMEOUT_MS 30000
#define WATCH_EVERY_MS_DEFAULT 500

bool workflow_ended(const char *state)
{
    return strcmp(state, "COMPLETED") == 0 || strcmp(state, "FAILED") == 0 ||
           strcmp(state, "CANCELLED") == 0;
}

static const char *text_of(const struct json *object, const char *name)
{
    return json_string_or(json_get(object, name), "");
}

/* A scalar as text, an object or array as compact JSON; free() it. */
static char *shown(const struct json *value)
{
    switch (json_type_of(value)) {
    case JSON_ABSENT:
    case JSON_NULL:
        return must_strdup("");
    case JSON_STRING:
        return must_strdup(json_string_or(value, ""));
    case JSON_FALSE:
    case JSON_TRUE:
    case JSON_NUMBER:
    case JSON_ARRAY:
    case JSON_OBJECT:
        return json_to_text(value);
    }
    return must_strdup("");
}

static void print_field(const struct ctl *ctl, const char *name, const struct json *value)
{
    char *text = shown(value);
    if (text[0] != '\0') {
        const char *colour = state_colour(ctl, text);
        char *plain = plain_text(text);
        printf("%-16s %s%s%s\n", name, colour, plain, colour[0] != '\0' ? colour_end(ctl) : "");
        free(plain);
    }
    free(text);
}

static void print_rows(const struct ctl *ctl, const struct json *items, const char *const *names,
                       int count)
{
    struct table table;
    table_start(&table, count, names);
    for (size_t i = 0; i < json_size(items); i++) {
        for (int column = 0; column < count; column++) {
            char *text = shown(json_get(json_at(items, i), names[column]));
            table_cell(&table, text);
            free(text);
        }
    }
    table_print(&table, ctl);
}

/* The names of the scalar members that the items have, in the order of their first appearance. */
static int columns_of(const struct json *items, const char *names[], int max)
{
    int count = 0;
    for (size_t i = 0; i < json_size(items); i++) {
        const struct json *item = json_at(items, i);
        for (size_t member = 0; member < json_size(item) && count < max; member++) {
            const char *name = json_name_at(item, member, NULL);
            enum json_type type = json_type_of(json_member_at(item, member));
            bool known = type == JSON_ARRAY || type == JSON_OBJECT;
            for (int n = 0; n < count && !known; n++)
                known = strcmp(names[n], name) == 0;
            if (!known)
                names[count++] = name;
        }
    }
    return count;
}

#define COLUMNS_MAX 16

static void print_items(const struct ctl *ctl, const struct json *items)
{
    const char *names[COLUMNS_MAX];
    int count = columns_of(items, names, COLUMNS_MAX);
    if (count > 0)
        print_rows(ctl, items, names, count);
}

static void print_workflow(const struct ctl *ctl, const struct json *workflow)
{
    static const char *const names[] = {
        "workflow_id",  "workflow",  "version",        "namespace", "state",
        "current_step", "paused_at", "correlation_id", "run",       "created_at",
        "started_at",   "ended_at",  "error",          "result",    "after"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        print_field(ctl, names[i], json_get(workflow, names[i]));
    const struct json *steps = json_get(workflow, "steps");
    if (json_size(steps) > 0) {
        putchar('\n');
        print_items(ctl, steps);
    }
}

static void workflow_path(struct buffer *path, const char *id, const char *more)
{
    buffer_clear(path);
    buffer_append_text(path, "/api/v1/workflows/");
    append_encoded(path, id);
    buffer_append_text(path, more);
}

typedef void print_answer(const struct ctl *ctl, const struct json *body);

/* One request about one workflow. */
static int show_workflow(const struct ctl *ctl, const char *method, const char *id,
                         const char *more, print_answer *print, bool as_json)
{
    struct buffer path = {0};
    struct error error = {0};
    struct api_answer answer = {0};
    struct api *api = api_new(ctl, ctl->config->orchestrator_url);
    workflow_path(&path, id, more);
    int outcome = EXIT_FINE;
    if (api_get(api, method, buffer_text(&path), CALL_TIMEOUT_MS, &answer, &error) != ERR_OK)
        outcome = fail(&error);
    else if (as_json)
        print_json(answer.body);
    else
        print(ctl, answer.body);
    api_answer_fini(&answer);
    api_free(api);
    buffer_fini(&path);
    return outcome;
}

static int run_one(const struct ctl *ctl, const struct command *command, int argc, char **argv,
                   const char *method, const char *more, print_answer *print)
{
    bool as_json = false;
    struct text_list ids = {0};
    const struct argument table[] = {
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print the answer as JSON", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 1, 1, &ids);
    if (outcome == EXIT_GO_ON)
        outcome = show_workflow(ctl, method, ids.items[0], more, print, as_json);
    text_list_fini(&ids);
    return outcome;
}

static int run_get(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run_one(ctl, command, argc, argv, "GET", "", print_workflow);
}

static int run_cancel(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run_one(ctl, command, argc, argv, "POST", "/cancel", print_workflow);
}

static int run_pause(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run_one(ctl, command, argc, argv, "POST", "/pause", print_workflow);
}

static int run_resume(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run_one(ctl, command, argc, argv, "POST", "/resume", print_workflow);
}

static int run_retry(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run_one(ctl, command, argc, argv, "POST", "/retry", print_workflow);
}

static void print_explanation(const struct ctl *ctl, const struct json *body)
{
    static const char *const names[] = {"path",  "waiting_for", "service", "signal",  "child",
                                        "since", "attempt",     "next_at", "fails_at"};
    const struct json *waits = json_get(body, "waits");
    char *sentence = plain_text(text_of(body, "explanation"));
    printf("%s\n", sentence);
    free(sentence);
    if (json_size(waits) < 2)
        return;
    putchar('\n');
    print_rows(ctl, waits, names, sizeof names / sizeof names[0]);
}

static int run_explain(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run_one(ctl, command, argc, argv, "GET", "/explain", print_explanation);
}

/* -- pages -- */

/* Asks for page after page until `limit` items were seen; a new array, or NULL with *error. */
static struct json *fetch_pages(struct api *api, const char *path_start, int64_t limit,
                                struct error *error)
{
    struct json *all = json_array();
    char *cursor = NULL;
    enum error_code code = ERR_OK;
    do {
        struct buffer path = {0};
        struct api_answer answer = {0};
        int64_t wanted = limit - (int64_t)json_size(all);
        buffer_append_format(&path, "%s%climit=%" PRId64, path_start,
                             strchr(path_start, '?') != NULL ? '&' : '?',
                             wanted < LIST_ITEMS_MAX ? wanted : (int64_t)LIST_ITEMS_MAX);
        append_query(&path, "cursor", cursor);
        code = api_get(api, "GET", buffer_text(&path), CALL_TIMEOUT_MS, &answer, error);
        const struct json *items = json_get(answer.body, "items");
        for (size_t i = 0; code == ERR_OK && i < json_size(items); i++)
            json_array_append(all, json_hold(json_at(items, i)));
        free(cursor);
        const char *next = json_string_or(json_get(answer.body, "next_cursor"), NULL);
        cursor = code == ERR_OK && next != NULL && json_size(items) > 0 ? must_strdup(next) : NULL;
        api_answer_fini(&answer);
        buffer_fini(&path);
    } while (cursor != NULL && (int64_t)json_size(all) < limit);
    free(cursor);
    if (code == ERR_OK)
        return all;
    json_release(all);
    return NULL;
}

static int print_pages(const struct ctl *ctl, const char *path, int64_t limit, bool as_json,
                       const char *const *columns, int columns_count)
{
    struct error error = {0};
    struct api *api = api_new(ctl, ctl->config->orchestrator_url);
    struct json *items = fetch_pages(api, path, limit, &error);
    int outcome = EXIT_FINE;
    if (items == NULL)
        outcome = fail(&error);
    else if (as_json)
        print_json(items);
    else if (columns != NULL)
        print_rows(ctl, items, columns, columns_count);
    else
        print_items(ctl, items);
    json_release(items);
    api_free(api);
    return outcome;
}

static int run_list(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    static const char *const columns[] = {"workflow_id", "workflow",  "namespace",
                                          "state",       "paused_at", "created_at"};
    const char *namespace = NULL, *state = NULL, *workflow = NULL, *since = NULL;
    int64_t limit = LIST_ITEMS_DEFAULT;
    bool paused = false, as_json = false;
    struct text_list none = {0};
    const struct argument table[] = {
        {"--namespace", ARGUMENT_TEXT, &namespace, "NS", "only this namespace", 0, 0},
        {"--state", ARGUMENT_TEXT, &state, "STATE",
         "only PENDING, PROCESSING, COMPLETED, FAILED or CANCELLED", 0, 0},
        {"--workflow", ARGUMENT_TEXT, &workflow, "NAME", "only this contract", 0, 0},
        {"--paused", ARGUMENT_FLAG, &paused, NULL, "only paused ones", 0, 0},
        {"--since", ARGUMENT_TEXT, &since, "TIME", "accepted at or after this time (RFC 3339)", 0,
         0},
        {"--limit", ARGUMENT_INT, &limit, "N", "at most this many (100)", 1, 10000000},
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print a JSON array", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 0, 0, &none);
    if (outcome == EXIT_GO_ON) {
        struct buffer path = {0};
        buffer_append_text(&path, "/api/v1/workflows");
        append_query(&path, "namespace", namespace);
        append_query(&path, "state", state);
        append_query(&path, "workflow", workflow);
        append_query(&path, "paused", paused ? "true" : NULL);
        append_query(&path, "since", since);
        outcome = print_pages(ctl, buffer_text(&path), limit, as_json, columns,
                              sizeof columns / sizeof columns[0]);
        buffer_fini(&path);
    }
    text_list_fini(&none);
    return outcome;
}

static int run_history(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    int64_t limit = LIST_ITEMS_MAX;
    bool as_json = false;
    struct text_list ids = {0};
    const struct argument table[] = {
        {"--limit", ARGUMENT_INT, &limit, "N", "at most this many (1000)", 1, 10000000},
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print a JSON array", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 1, 1, &ids);
    if (outcome == EXIT_GO_ON) {
        struct buffer path = {0};
        workflow_path(&path, ids.items[0], "/history");
        outcome = print_pages(ctl, buffer_text(&path), limit, as_json, NULL, 0);
        buffer_fini(&path);
    }
    text_list_fini(&ids);
    return outcome;
}

/* -- watch -- */

/* Prints a line when state or step changed since the last look. */
static void print_change(const struct ctl *ctl, const struct json *workflow, struct buffer *last)
{
    const char *state = text_of(workflow, "state"), *step = text_of(workflow, "current_step");
    struct buffer now = {0};
    buffer_append_format(&now, "%s %s", state, step);
    if (strcmp(buffer_text(&now), buffer_text(last)) != 0) {
        const char *colour = state_colour(ctl, state);
        char *plain_state = plain_text(state), *plain_step = plain_text(step);
        printf("%s%s%s%s%s\n", colour, plain_state, colour[0] != '\0' ? colour_end(ctl) : "",
               step[0] != '\0' ? "  " : "", plain_step);
        fflush(stdout);
        free(plain_state);
        free(plain_step);
    }
    buffer_fini(last);
    *last = now;
}

static int watch(const struct ctl *ctl, const char *id, int64_t every_ms, bool as_json)
{
    struct buffer path = {0}, last = {0};
    struct error error = {0};
    struct api *api = api_new(ctl, ctl->config->orchestrator_url);
    workflow_path(&path, id, "");
    int outcome = EXIT_GO_ON;
    while (outcome == EXIT_GO_ON) {
        struct api_answer answer = {0};
        if (api_get(api, "GET", buffer_text(&path), CALL_TIMEOUT_MS, &answer, &error) != ERR_OK) {
            outcome = fail(&error);
        } else {
            const char *state = text_of(answer.body, "state");
            if (!as_json)
                print_change(ctl, answer.body, &last);
            if (workflow_ended(state)) {
                outcome = strcmp(state, "COMPLETED") == 0 ? EXIT_FINE : EXIT_NO;
                if (as_json)
                    print_json(answer.body);
            }
        }
        api_answer_fini(&answer);
        if (outcome == EXIT_GO_ON)
            nanosleep(&(struct timespec){every_ms / 1000, (every_ms % 1000) * 1000000}, NULL);
    }
    api_free(api);
    buffer_fini(&path);
    buffer_fini(&last);
    return outcome;
}

static int run_watch(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    int64_t every_ms = WATCH_EVERY_MS_DEFAULT;
    bool as_json = false;
    struct text_list ids = {0};
    const struct argument table[] = {
        {"--interval-ms", ARGUMENT_INT, &every_ms, "MS", "time between two looks (500)", 10, 60000},
        {"--json", ARGUMENT_FLAG, &as_json, NULL,
         "print the ended workflow as JSON, nothing before", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 1, 1, &ids);
    if (outcome == EXIT_GO_ON)
        outcome = watch(ctl, ids.items[0], every_ms, as_json);
    text_list_fini(&ids);
    return outcome;
}

#define EXAMPLE_ID "019abcde-0000-7000-8000-000000000001"

const struct command workflow_commands[] = {
    {.name = "get",
     .summary = "show one workflow: state, steps, result",
     .usage = "ID [--json]",
     .example = "bridgectl get " EXAMPLE_ID,
     .run = run_get},
    {.name = "explain",
     .summary = "why one workflow is where it is, and what happens next",
     .usage = "ID [--json]",
     .prose = "Says in a sentence what it waits for, since when, and what goes on when: an answer, "
              "a retry, a timer, a\nsignal, a pause, a free slot, another instance. Several "
              "branches or items are listed, 20 at most.",
     .example = "bridgectl explain " EXAMPLE_ID,
     .run = run_explain},
    {.name = "list",
     .summary = "list workflows, newest first",
     .usage =
         "[--namespace NS] [--state STATE] [--workflow NAME] [--paused] [--since TIME] [--limit N] "
         "[--json]",
     .example = "bridgectl list --namespace demo --state FAILED",
     .run = run_list},
    {.name = "watch",
     .summary = "follow one workflow until it ends",
     .usage = "ID [--interval-ms MS] [--json]",
     .prose = "Exits 0 when it ends COMPLETED, 1 when it ends FAILED or CANCELLED.",
     .example = "bridgectl watch " EXAMPLE_ID,
     .run = run_watch},
    {.name = "history",
     .summary = "show the transitions and attempts of one workflow",
     .usage = "ID [--limit N] [--json]",
     .example = "bridgectl history " EXAMPLE_ID,
     .run = run_history},
    {.name = "cancel",
     .summary = "cancel a workflow that has not ended",
     .usage = "ID [--json]",
     .prose = "Exits 1 when it has already ended.",
     .example = "bridgectl cancel " EXAMPLE_ID,
     .run = run_cancel},
    {.name = "pause",
     .summary = "pause a workflow: no new call, no timer",
     .usage = "ID [--json]",
     .prose = "Calls under way go on, their answers wait. Exits 1 when it has already ended.",
     .example = "bridgectl pause " EXAMPLE_ID,
     .run = run_pause},
    {.name = "resume",
     .summary = "let a paused workflow go on",
     .usage = "ID [--json]",
     .prose = "Timers and time limits move by the length of the pause.",
     .example = "bridgectl resume " EXAMPLE_ID,
     .run = run_resume},
    {.name = "retry",
     .summary = "let a FAILED workflow go on where it failed",
     .usage = "ID [--json]",
     .prose =
         "What its steps answered stays; what failed begins anew. Exits 1 when it is not FAILED.",
     .example = "bridgectl retry " EXAMPLE_ID,
     .run = run_retry},
    {.name = NULL},
};
