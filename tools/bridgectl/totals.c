/* SPDX-License-Identifier: MIT */
/* totals.c - what the reducer counted, by namespace. */
#include <string.h>
#include <time.h>

#include "bridgectl.h"
#include "io/clock.h"

#define CALL_TIMEOUT_MS 90000
#define ASK_EVERY_MS 200
#define TOKENS_PER_REQUEST 60 /* about 5 KiB of request line */
#define WAIT_SECONDS_DEFAULT 60
#define TOKENS_BYTES_MAX (64u << 20)
#define TOTAL_COLUMNS_MAX 12

/* Some tokens: asks again while the reducer is behind or away, until the time is over. */
static enum error_code wait_for_some(struct api *api, const char *path, int64_t until_us,
                                     struct error *error)
{
    for (;;) {
        struct api_answer answer = {0};
        enum error_code code = api_get(api, "GET", path, CALL_TIMEOUT_MS, &answer, error);
        bool later = answer.status == 0 || answer.status == 503 || answer.status == 504;
        api_answer_fini(&answer);
        if (code == ERR_OK || !later || clock_monotonic_us() >= until_us)
            return code;
        nanosleep(&(struct timespec){0, ASK_EVERY_MS * 1000000}, NULL);
    }
}

/* Waits until the reducer has committed past each token; a request carries as many as fit its line. */
static enum error_code wait_for_tokens(struct api *api, const struct text_list *tokens,
                                       int64_t wait_seconds, struct error *error)
{
    int64_t until_us = clock_monotonic_us() + wait_seconds * 1000000;
    enum error_code code = ERR_OK;
    for (size_t i = 0; i < tokens->count && code == ERR_OK;) {
        struct buffer path = {0};
        buffer_append_text(&path, "/api/v1/watermark");
        for (size_t n = 0; n < TOKENS_PER_REQUEST && i < tokens->count; n++)
            append_query(&path, "after", tokens->items[i++]);
        code = wait_for_some(api, buffer_text(&path), until_us, error);
        buffer_fini(&path);
    }
    return code;
}

static void cell(struct table *table, const struct json *value)
{
    if (json_type_of(value) == JSON_STRING) {
        table_cell(table, json_string_or(value, ""));
    } else if (json_is_int(value)) {
        table_cell_int(table, json_int_value(value));
    } else if (json_type_of(value) == JSON_NUMBER) {
        char text[64];
        snprintf(text, sizeof text, "%.1f", json_double_value(value));
        table_cell(table, text);
    } else {
        table_cell(table, NULL);
    }
}

/* Figures stand in "values"; only numbers and texts are shown. */
static void print_totals(const struct ctl *ctl, const struct json *items)
{
    const char *names[TOTAL_COLUMNS_MAX] = {"namespace"};
    int count = 1;
    const struct json *first = json_get(json_at(items, 0), "values");
    for (size_t i = 0; i < json_size(first) && count < TOTAL_COLUMNS_MAX; i++) {
        const char *name = json_name_at(first, i, NULL);
        enum json_type type = json_type_of(json_member_at(first, i));
        if ((type == JSON_NUMBER || type == JSON_STRING) && strcmp(name, names[0]) != 0)
            names[count++] = name;
    }
    struct table table;
    table_start(&table, count, names);
    for (size_t i = 0; i < json_size(items); i++) {
        cell(&table, json_get(json_at(items, i), "namespace"));
        for (int column = 1; column < count; column++)
            cell(&table, json_get(json_get(json_at(items, i), "values"), names[column]));
    }
    table_print(&table, ctl);
}

/* Lines of a file ("-": standard input) become tokens; they point into *text. */
static enum error_code read_tokens(const char *file, struct buffer *text, struct text_list *tokens,
                                   struct error *error)
{
    enum error_code code = read_whole(file, TOKENS_BYTES_MAX, text, error);
    if (code != ERR_OK || text->bytes == 0)
        return code;
    for (char *line = strtok(text->data, "\r\n"); line != NULL; line = strtok(NULL, "\r\n"))
        text_list_add(tokens, line);
    return ERR_OK;
}

static int totals(const struct ctl *ctl, const char *namespace, const struct text_list *tokens,
                  int64_t wait_seconds, bool as_json)
{
    struct error error = {0};
    struct api_answer answer = {0};
    struct buffer path = {0};
    struct api *api = api_new(ctl, ctl->config->reducer_url);
    buffer_append_text(&path, "/api/v1/namespaces");
    append_query(&path, "namespace", namespace);
    int outcome = EXIT_FINE;
    if (wait_for_tokens(api, tokens, wait_seconds, &error) != ERR_OK ||
        api_get(api, "GET", buffer_text(&path), CALL_TIMEOUT_MS, &answer, &error) != ERR_OK)
        outcome = fail(&error);
    else if (as_json)
        print_json(json_get(answer.body, "items"));
    else if (json_size(json_get(answer.body, "items")) == 0)
        puts("nothing counted yet");
    else
        print_totals(ctl, json_get(answer.body, "items"));
    api_answer_fini(&answer);
    buffer_fini(&path);
    api_free(api);
    return outcome;
}

static int run_totals(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    const char *namespace = NULL, *after_from = NULL;
    bool as_json = false;
    int64_t wait_seconds = WAIT_SECONDS_DEFAULT;
    struct text_list tokens = {0}, none = {0};
    struct buffer text = {0};
    struct error error = {0};
    const struct argument table[] = {
        {"--namespace", ARGUMENT_TEXT, &namespace, "NS", "only this namespace", 0, 0},
        {"--after", ARGUMENT_LIST, &tokens, "TOKEN",
         "first wait until this is counted; may be given many times", 0, 0},
        {"--after-from", ARGUMENT_TEXT, &after_from, "FILE",
         "the same for every line of a file (\"-\")", 0, 0},
        {"--wait", ARGUMENT_INT, &wait_seconds, "SECONDS", "how long to wait for the tokens (60)",
         0, 86400},
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print a JSON array", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 0, 0, &none);
    if (outcome == EXIT_GO_ON && after_from != NULL &&
        read_tokens(after_from, &text, &tokens, &error) != ERR_OK)
        outcome = fail(&error);
    if (outcome == EXIT_GO_ON)
        outcome = totals(ctl, namespace, &tokens, wait_seconds, as_json);
    text_list_fini(&tokens);
    text_list_fini(&none);
    buffer_fini(&text);
    return outcome;
}

const struct command totals_commands[] = {
    {.name = "totals",
     .summary = "show what the reducer counted, by namespace",
     .usage = "[--namespace NS] [--after TOKEN]... [--after-from FILE] [--wait SECONDS] [--json]",
     .prose = "A token is what the answer of a finished workflow carries as \"after\"; with the "
              "tokens of all\n"
              "submissions the totals are exact for them.",
     .example = "bridgectl submit docs --namespace demo --after-tokens > tokens\n"
                "bridgectl totals --namespace demo --after-from tokens",
     .run = run_totals},
    {.name = NULL},
};
