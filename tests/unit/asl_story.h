/* SPDX-License-Identifier: MIT */
/* asl_story.h - runs a definition on a virtual clock and tells what happened as text, one effect
 * a line.
 *
 *     enter A {..}          exit A {..}            caught A E: cause
 *     call 1 A 0.1 echo {..} [timeout 5000]        wait, state path, visit.attempt, resource,
 *     parameters timer 2 B 0.1 +5s     retry 2 A 0.2 +1s E    abandon 3 C
 *     succeeded {..}        failed E: cause
 *
 * A script is lines of events: "ok 1 {..}", "fail 1 Error cause", "fail 1 Error@0.5 cause"
 * (random), "fire 2" (the clock moves to its due time), "stop Error cause", "retry", "conflict ok 9 {}"
 * (must be refused).
 */
#ifndef TESTS_ASL_STORY_H
#define TESTS_ASL_STORY_H

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/asl.h"
#include "core/contract.h"

#define STORY_START_US 1767225600000000 /* 2026-01-01T00:00:00Z */
#define STORY_WAITS_MAX 4096

struct story {
    struct buffer text;
    int64_t now_us;
    int64_t due_us[STORY_WAITS_MAX];
};

static struct json *story_json(const char *text)
{
    struct error error = {0};
    struct json *value = json_parse(text, strlen(text), &error, NULL);
    ck_assert_msg(value != NULL, "test data is no JSON: %s: %s", error.text, text);
    return value;
}

static void story_data(struct story *story, const struct json *data)
{
    char *text = json_to_text(data);
    buffer_append_format(&story->text, " %s", text);
    free(text);
}

static void story_effect(struct story *story, const struct asl_effect *effect)
{
    struct buffer *out = &story->text;
    double after = (double)(effect->due_us - story->now_us) / 1e6;
    switch (effect->type) {
    case ASL_STATE_ENTERED:
        buffer_append_format(out, "enter %s", effect->state);
        story_data(story, effect->data);
        break;
    case ASL_STATE_EXITED:
        buffer_append_format(out, "exit %s", effect->state);
        story_data(story, effect->data);
        break;
    case ASL_STATE_CAUGHT:
        buffer_append_format(out, "caught %s %s: %s", effect->state, effect->error, effect->cause);
        break;
    case ASL_CALL:
        buffer_append_format(out, "call %u %s %u.%u %s", effect->wait, effect->state_path,
                             effect->visit, effect->attempt, effect->resource);
        story_data(story, effect->data);
        if (effect->timeout_ms)
            buffer_append_format(out, " timeout %" PRId64, effect->timeout_ms);
        if (effect->heartbeat_ms)
            buffer_append_format(out, " heartbeat %" PRId64, effect->heartbeat_ms);
        break;
    case ASL_TIMER:
        story->due_us[effect->wait % STORY_WAITS_MAX] = effect->due_us;
        buffer_append_format(out, "%s %u %s %u.%u +%gs", effect->retry ? "retry" : "timer",
                             effect->wait, effect->state_path, effect->visit, effect->attempt,
                             after);
        if (effect->retry)
            buffer_append_format(out, " %s", effect->error);
        break;
    case ASL_ABANDON:
        buffer_append_format(out, "abandon %u %s", effect->wait, effect->state_path);
        break;
    case ASL_SUCCEEDED:
        buffer_append_text(out, "succeeded");
        story_data(story, effect->data);
        break;
    case ASL_FAILED:
        buffer_append_format(out, "failed %s: %s", effect->error, effect->cause);
        break;
    }
    buffer_append_char(out, '\n');
}

/* Reads one line of the script into *event; texts point into line, which is cut up. */
static void story_event(struct story *story, char *line, struct asl_event *event,
                        struct json **result)
{
    char *rest = line;
    char *verb = strsep(&rest, " ");
    *event = (struct asl_event){.now_us = story->now_us};
    if (strcmp(verb, "stop") == 0) {
        event->type = ASL_STOP;
        event->error = strsep(&rest, " ");
        event->cause = rest ? rest : "";
        return;
    }
    if (strcmp(verb, "retry") == 0) {
        event->type = ASL_RETRY;
        return;
    }
    event->wait = (uint32_t)atoi(strsep(&rest, " "));
    if (strcmp(verb, "ok") == 0) {
        event->type = ASL_TASK_SUCCEEDED;
        event->result = *result = story_json(rest);
    } else if (strcmp(verb, "fail") == 0) {
        event->type = ASL_TASK_FAILED;
        char *error = strsep(&rest, " ");
        event->error = strsep(&error, "@");
        event->random = error ? atof(error) : 0;
        event->cause = rest ? rest : "";
    } else {
        ck_assert_str_eq(verb, "fire");
        event->type = ASL_TIMER_FIRED;
        int64_t due_us = story->due_us[event->wait % STORY_WAITS_MAX];
        if (due_us > story->now_us)
            story->now_us = due_us;
        event->now_us = story->now_us;
    }
}

static void story_line(struct story *story, struct asl_execution *execution,
                       struct asl_effects *effects, char *line)
{
    bool conflict = strncmp(line, "conflict ", 9) == 0;
    struct asl_event event;
    struct json *result = NULL;
    story_event(story, conflict ? line + 9 : line, &event, &result);
    asl_effects_clear(effects);
    enum error_code code = asl_step(execution, &event, effects);
    ck_assert_int_eq(code, conflict ? ERR_CONFLICT : ERR_OK);
    ck_assert(!conflict || effects->count == 0);
    for (size_t i = 0; i < effects->count; i++)
        story_effect(story, &effects->items[i]);
    json_release(result);
}

static struct asl_machine *story_compile(const char *definition)
{
    struct findings findings = {0};
    struct json *document = story_json(definition);
    struct asl_machine *machine = asl_compile(document, NULL, NULL, NULL, &findings);
    struct buffer text = {0};
    findings_write(&findings, &text);
    ck_assert_msg(machine != NULL, "%s", buffer_text(&text));
    buffer_fini(&text);
    findings_fini(&findings);
    json_release(document);
    return machine;
}

static void story_token(void *context, uint32_t wait, char token[ASL_TOKEN_BYTES])
{
    snprintf(token, ASL_TOKEN_BYTES, "%s-%u", (const char *)context, wait);
}

static char *story_run_limited(const char *definition, const char *input, const char *script,
                               size_t bytes_max)
{
    struct asl_machine *machine = story_compile(definition);
    struct asl_identity identity = {"w-1",          "run one",   "m-1",  "machine one",
                                    STORY_START_US, story_token, "token"};
    struct json *document = story_json(input);
    struct asl_execution *execution = asl_execution_new(machine, &identity, document);
    json_release(document);
    if (bytes_max)
        asl_execution_limit_data(execution, bytes_max);
    struct story *story = must_calloc(1, sizeof *story);
    story->now_us = STORY_START_US;
    struct asl_effects effects = {0};
    struct asl_event start = {.type = ASL_START, .now_us = story->now_us};
    ck_assert_int_eq(asl_step(execution, &start, &effects), ERR_OK);
    for (size_t i = 0; i < effects.count; i++)
        story_effect(story, &effects.items[i]);
    char *copy = must_strdup(script);
    char *rest = copy;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        if (*line)
            story_line(story, execution, &effects, line);
    }
    free(copy);
    asl_effects_fini(&effects);
    asl_execution_free(execution);
    asl_machine_free(machine);
    char *text = buffer_take(&story->text);
    free(story);
    return text;
}

/* The whole story; it is told twice, and must be the same both times. */
static char *story_run(const char *definition, const char *input, const char *script)
{
    char *once = story_run_limited(definition, input, script, 0);
    char *twice = story_run_limited(definition, input, script, 0);
    ck_assert_str_eq(once, twice);
    free(twice);
    return once;
}

/* Definitions are written as YAML for short. The story's last line tells how it ended. */
__attribute__((unused)) static char *json_of(const char *yaml)
{
    struct findings findings = {0};
    struct json *document = yaml_parse("t.yaml", yaml, strlen(yaml), NULL, &findings);
    ck_assert_msg(document != NULL, "%s: %s", yaml, findings.count ? findings.items[0].text : "");
    char *text = json_to_text(document);
    json_release(document);
    findings_fini(&findings);
    return text;
}

__attribute__((unused)) static char *story_of(const char *yaml, const char *input,
                                              const char *script)
{
    char *definition = json_of(yaml);
    char *told = story_run(definition, input, script);
    free(definition);
    return told;
}

__attribute__((unused)) static char *last_line(char *told)
{
    size_t bytes = strlen(told);
    told[bytes - 1] = '\0';
    char *line = strrchr(told, '\n');
    return line ? line + 1 : told;
}

#define story_is(definition, input, script, expected)                                              \
    do {                                                                                           \
        char *told = story_run(definition, input, script);                                         \
        ck_assert_str_eq(told, expected);                                                          \
        free(told);                                                                                \
    } while (0)

#endif
