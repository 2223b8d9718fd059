/* SPDX-License-Identifier: MIT */
/* workflow_script.h - records of one workflow, written as lines; what they do, told as text.
 *
 *     ok 1 {..}               the call of wait 1 succeeded      fire 3        the timer 3 came up
 *     fail 1 Error@0.5 cause  it failed (0.5: random)           cancel cause, timeout
 *     accepted, started, paused, resumed
 *     delivered 1 {..}        the call of wait 1 was answered,  beat 1        a heartbeat of its token
 *                             the wait goes on                  signal 1 name key {..}, wait 0: kept
 *
 * Each record is told as "record -> STATE", then its events, "+3 path#attempt" for a wait that
 * opened ("~3 path#attempt after 2s" for a timer) and "-3" for a call that is abandoned.
 */
#ifndef TESTS_WORKFLOW_SCRIPT_H
#define TESTS_WORKFLOW_SCRIPT_H

#include "workflow_story.h"

#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASHED                                                                                     \
    "{\"StatusCode\":200,\"ResponseBody\":{\"data\":{\"file_hash\":\"" HASH "\","                  \
    "\"file_size_bytes\":5,\"execution_time_ms\":1.5}}}"
#define KNOWN                                                                                      \
    "{\"StatusCode\":200,\"ResponseBody\":{\"data\":{\"intelligence\":{\"confidence_score\":0.9}," \
    "\"patterns\":[\"p\"]}}}"
#define STAMPED                                                                                    \
    "{\"StatusCode\":201,\"ResponseBody\":{\"data\":{\"stamp_id\":\"s-1\",\"stamp\":\"text\","     \
    "\"stamp_type\":\"lightweight\",\"created_at\":\"2026-01-01T00:00:03Z\",\"file_hash\":\"h2\"," \
    "\"performance_metrics\":{\"execution_time_ms\":2}}}}"
#define INPUT                                                                                      \
    "{\"content\":\"hello\",\"file_path\":\"a/b.txt\",\"content_type\":\"text/plain\","            \
    "\"enable_intelligence\":true,\"namespace\":\"docs\"}"

#define RECORDS_MAX 64

struct story {
    const char *lines[RECORDS_MAX];
    size_t count;
    char *text;
};

__attribute__((unused)) static void story_split(struct story *story, const char *script)
{
    char *rest = story->text = must_strdup(script);
    for (char *line; (line = strsep(&rest, "\n")) != NULL;)
        if (*line != '\0')
            story->lines[story->count++] = line;
}

/* The record of a line; its texts point into `copy`, its payload is *result. */
__attribute__((unused)) static struct workflow_record read_record(char *copy, int32_t n,
                                                                  struct json **result)
{
    struct workflow_record record = {.n = n, .at_us = STORY_START_US + n * SECOND_US};
    char *rest = copy, *verb = strsep(&rest, " ");
    *result = NULL;
    if (strcmp(verb, "accepted") == 0 || strcmp(verb, "started") == 0) {
        record.kind = *verb == 'a' ? RECORD_ACCEPTED : RECORD_STARTED;
        return record;
    }
    if (strcmp(verb, "paused") == 0 || strcmp(verb, "resumed") == 0) {
        record.kind = *verb == 'p' ? RECORD_PAUSED : RECORD_RESUMED;
        return record;
    }
    if (strcmp(verb, "cancel") == 0 || strcmp(verb, "timeout") == 0) {
        record.kind = *verb == 'c' ? RECORD_CANCELLED : RECORD_TIMED_OUT;
        record.error = *verb == 'c' ? "Workflow.Cancelled" : "States.Timeout";
        record.cause = rest;
        return record;
    }
    record.wait = (uint32_t)atoi(strsep(&rest, " "));
    record.duration_us = 250000;
    if (strcmp(verb, "ok") == 0) {
        record.kind = RECORD_TASK_SUCCEEDED;
        record.payload = *result = story_json(rest);
    } else if (strcmp(verb, "fail") == 0) {
        record.kind = RECORD_TASK_FAILED;
        char *error = strsep(&rest, " ");
        record.error = strsep(&error, "@");
        record.random = error == NULL ? 0 : atof(error);
        record.cause = rest == NULL ? "" : rest;
    } else if (strcmp(verb, "delivered") == 0) {
        record.kind = RECORD_TASK_DELIVERED;
        record.payload = *result = story_json(rest);
    } else if (strcmp(verb, "beat") == 0) {
        record.kind = RECORD_HEARTBEAT;
    } else if (strcmp(verb, "signal") == 0) {
        record.kind = RECORD_SIGNAL;
        *result = json_object();
        json_object_set(*result, "name", json_text(strsep(&rest, " ")));
        json_object_set(*result, "key", json_text(strsep(&rest, " ")));
        json_object_set(*result, "data", story_json(rest));
        record.payload = *result;
    } else {
        ck_assert_str_eq(verb, "fire");
        record.kind = RECORD_TIMER_FIRED;
    }
    return record;
}

__attribute__((unused)) static void tell(struct buffer *out, struct workflow *workflow,
                                         const struct workflow_record *record,
                                         const struct workflow_outcome *outcome, bool in_full)
{
    buffer_append_format(out, " -> %s\n", workflow_state_name(outcome->to));
    for (size_t i = 0; i < outcome->events_count; i++) {
        buffer_append_format(out, "  %s", outcome->events[i].type);
        if (in_full) {
            char id[UUID_TEXT_BYTES];
            struct uuid uuid = workflow_event_id(workflow, record->n, i);
            buffer_append_format(out, " %s ", uuid_format(&uuid, id));
            json_write(outcome->events[i].payload, out);
        }
        buffer_append_char(out, '\n');
    }
    for (size_t i = 0; i < outcome->opened_count; i++) {
        const struct workflow_wait *wait = workflow_wait_find(workflow, outcome->opened[i]);
        if (wait == NULL)
            continue; /* a local task that was answered at once */
        buffer_append_format(out, "  %c%u %s#%u", wait->is_timer ? '~' : '+', wait->wait,
                             wait->state_path, wait->attempt);
        if (wait->is_timer)
            buffer_append_format(out, " after %gs", (double)(wait->due_us - record->at_us) / 1e6);
        if (in_full && !wait->is_timer)
            json_write(wait->parameters, out);
        buffer_append_char(out, '\n');
    }
    for (size_t i = 0; i < outcome->abandoned_count; i++)
        buffer_append_format(out, "  -%u\n", outcome->abandoned[i]);
    for (size_t i = 0; i < outcome->children_count; i++)
        buffer_append_format(out, "  child %u abandoned\n", outcome->children[i].id.octets[15]);
}

/* Applies the lines from `first` to before `stop`; tells them when there is an `out`. */
__attribute__((unused)) static void apply(struct workflow *workflow, const struct story *story,
                                          size_t first, size_t stop, struct buffer *out,
                                          bool in_full)
{
    struct workflow_outcome outcome = {0};
    for (size_t i = first; i < stop; i++) {
        char *copy = must_strdup(story->lines[i]);
        struct json *result;
        struct workflow_record record = read_record(copy, (int32_t)i, &result);
        enum error_code code = workflow_apply(workflow, &record, &outcome);
        ck_assert_msg(code == ERR_OK, "refused: %s", story->lines[i]);
        if (out != NULL) {
            buffer_append_format(out, "%.*s", (int)strcspn(story->lines[i], "{"), story->lines[i]);
            tell(out, workflow, &record, &outcome, in_full);
        }
        json_release(result);
        free(copy);
    }
    workflow_outcome_fini(&outcome);
}

__attribute__((unused)) static struct workflow *begin(const struct contract *contract,
                                                      const char *input)
{
    return story_workflow(contract, 1, 7, input, STORY_START_US - 2000, 60000);
}

__attribute__((unused)) static struct workflow *run(const struct contract *contract,
                                                    const char *input, const char *script,
                                                    struct buffer *out, bool in_full)
{
    struct story story = {0};
    story_split(&story, script);
    struct workflow *workflow = begin(contract, input);
    apply(workflow, &story, 0, story.count, out, in_full);
    free(story.text);
    return workflow;
}

__attribute__((unused)) static void check_json(const struct json *value, const char *expected)
{
    struct json *wanted = story_json(expected);
    char *text = json_to_text(value);
    ck_assert_msg(json_equal(value, wanted), "%s\nis not\n%s", text, expected);
    free(text);
    json_release(wanted);
}

/* Every event of the script, with id and payload, when the process stops after `stop` records. */
__attribute__((unused)) static char *told_after_stop(const struct contract *contract,
                                                     const char *input, const struct story *story,
                                                     size_t stop)
{
    struct buffer out = {0};
    struct workflow *before = begin(contract, input);
    apply(before, story, 0, stop, &out, true);
    workflow_free(before);
    struct workflow *after = begin(contract, input);
    apply(after, story, 0, stop, NULL, false);
    apply(after, story, stop, story->count, &out, true);
    workflow_free(after);
    return buffer_take(&out);
}

__attribute__((unused)) static void check_replay(const struct contract *contract, const char *input,
                                                 const char *script)
{
    struct story story = {0};
    story_split(&story, script);
    char *whole = told_after_stop(contract, input, &story, story.count);
    for (size_t stop = 0; stop < story.count; stop++) {
        char *again = told_after_stop(contract, input, &story, stop);
        ck_assert_str_eq(again, whole);
        free(again);
    }
    free(whole);
    free(story.text);
}

__attribute__((unused)) static struct workflow *check_story(const struct contract *contract,
                                                            const char *input, const char *script,
                                                            const char *expected)
{
    struct buffer out = {0};
    struct workflow *workflow = run(contract, input, script, &out, false);
    ck_assert_str_eq(buffer_text(&out), expected);
    buffer_fini(&out);
    check_replay(contract, input, script);
    return workflow;
}

#endif
