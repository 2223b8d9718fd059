/* SPDX-License-Identifier: MIT */
/* tasks.c - signals to workflows, and answers to tasks that wait for their token. */
#include <stdlib.h>
#include <string.h>

#include "bridgectl.h"

#define CALL_TIMEOUT_MS 30000

/* The text as JSON, or as a JSON text when it is none: --data yes is "yes". */
static struct json *value_of(const char *text)
{
    struct json *value = json_parse(text, strlen(text), NULL, NULL);
    return value != NULL ? value : json_text(text);
}

static int post(const struct ctl *ctl, const char *path, const char *key, const struct json *body,
                bool as_json)
{
    struct error error = {0};
    struct api_answer answer = {0};
    struct api *api = api_new(ctl, ctl->config->orchestrator_url);
    int outcome = EXIT_FINE;
    enum error_code code = api_call(api, "POST", path, key, body, CALL_TIMEOUT_MS, &answer, &error);
    if (code == ERR_OK && (answer.status < 200 || answer.status > 299)) {
        api_problem(&answer, &error);
        code = error.code;
    }
    if (code != ERR_OK)
        outcome = fail(&error);
    else if (as_json)
        print_json(answer.body);
    else
        printf("%s %s\n", json_string_or(json_get(answer.body, "workflow_id"), ""),
               json_string_or(json_get(answer.body, "state"), ""));
    api_answer_fini(&answer);
    api_free(api);
    return outcome;
}

static int run_signal(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    const char *data = "null", *key = NULL;
    bool as_json = false;
    struct text_list words = {0};
    const struct argument table[] = {
        {"--data", ARGUMENT_TEXT, &data, "JSON", "what the workflow gets; other text is a text", 0,
         0},
        {"--key", ARGUMENT_TEXT, &key, "KEY", "the same key counts once", 0, 0},
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print the answer as JSON", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 2, 2, &words);
    if (outcome == EXIT_GO_ON) {
        struct buffer path = {0};
        struct json *body = value_of(data);
        buffer_append_text(&path, "/api/v1/workflows/");
        append_encoded(&path, words.items[0]);
        buffer_append_text(&path, "/signals/");
        append_encoded(&path, words.items[1]);
        outcome = post(ctl, buffer_text(&path), key, body, as_json);
        json_release(body);
        buffer_fini(&path);
    }
    text_list_fini(&words);
    return outcome;
}

static int post_task(const struct ctl *ctl, const char *token, const char *what,
                     const struct json *body, bool as_json)
{
    struct buffer path = {0};
    buffer_append_text(&path, "/api/v1/tasks/");
    append_encoded(&path, token);
    buffer_append_format(&path, "/%s", what);
    int outcome = post(ctl, buffer_text(&path), NULL, body, as_json);
    buffer_fini(&path);
    return outcome;
}

static int run_success(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    const char *output = "null";
    bool as_json = false;
    struct text_list tokens = {0};
    const struct argument table[] = {
        {"--output", ARGUMENT_TEXT, &output, "JSON", "the task's result; other text is a text", 0,
         0},
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print the answer as JSON", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 1, 1, &tokens);
    if (outcome == EXIT_GO_ON) {
        struct json *body = json_object();
        json_object_set(body, "output", value_of(output));
        outcome = post_task(ctl, tokens.items[0], "success", body, as_json);
        json_release(body);
    }
    text_list_fini(&tokens);
    return outcome;
}

static int run_failure(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    const char *error = "States.TaskFailed", *cause = "";
    bool as_json = false;
    struct text_list tokens = {0};
    const struct argument table[] = {
        {"--error", ARGUMENT_TEXT, &error, "NAME", "what Retry and Catch match (States.TaskFailed)",
         0, 0},
        {"--cause", ARGUMENT_TEXT, &cause, "TEXT", "a sentence", 0, 0},
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print the answer as JSON", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 1, 1, &tokens);
    if (outcome == EXIT_GO_ON) {
        struct json *body = json_object();
        json_object_set(body, "error", json_text(error));
        json_object_set(body, "cause", json_text(cause));
        outcome = post_task(ctl, tokens.items[0], "failure", body, as_json);
        json_release(body);
    }
    text_list_fini(&tokens);
    return outcome;
}

static int run_heartbeat(const struct ctl *ctl, const struct command *command, int argc,
                         char **argv)
{
    bool as_json = false;
    struct text_list tokens = {0};
    const struct argument table[] = {
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print the answer as JSON", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 1, 1, &tokens);
    if (outcome == EXIT_GO_ON)
        outcome = post_task(ctl, tokens.items[0], "heartbeat", NULL, as_json);
    text_list_fini(&tokens);
    return outcome;
}

#define EXAMPLE_TOKEN "AAcBmrzeAABwAIAAAAAAAAABAAAAAeYp0Q3yXo8jvQ2kU5m7TxE"

const struct command task_commands[] = {
    {.name = "signal",
     .summary = "send a signal to a workflow",
     .usage = "ID NAME [--data JSON] [--key KEY] [--json]",
     .prose = "A signal that nobody waits for yet is kept. Exits 1 when the workflow has ended.",
     .example = "bridgectl signal 019abcde-0000-7000-8000-000000000001 reviewed --data "
                "'{\"accepted\": true}'",
     .run = run_signal},
    {.name = "task success",
     .summary = "answer a task that waits for its token",
     .usage = "TOKEN [--output JSON] [--json]",
     .prose = "Exits 1 when nobody waits for it any more.",
     .example = "bridgectl task success " EXAMPLE_TOKEN " --output '{\"approved\": true}'",
     .run = run_success},
    {.name = "task failure",
     .summary = "fail a task that waits for its token",
     .usage = "TOKEN [--error NAME] [--cause TEXT] [--json]",
     .example = "bridgectl task failure " EXAMPLE_TOKEN " --error Refused --cause 'not this week'",
     .run = run_failure},
    {.name = "task heartbeat",
     .summary = "say that a task is still being worked on",
     .usage = "TOKEN [--json]",
     .prose = "It puts the state's HeartbeatSeconds off; TimeoutSeconds stays.",
     .example = "bridgectl task heartbeat " EXAMPLE_TOKEN,
     .run = run_heartbeat},
    {.name = NULL},
};
