/* SPDX-License-Identifier: MIT */
/* submission.c - submits one document: the same key until an answer is known, then waits for the end. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "io/clock.h"
#include "submit.h"

#define CALL_TIMEOUT_MS 30000
#define RETRY_FIRST_MS 200
#define RETRY_LAST_MS 5000
#define POLL_MS 200

const char *submission_state_name(enum submission_state state)
{
    static const char *const names[SUBMISSION_STATES] = {
        "OPEN", "ACCEPTED", "COMPLETED", "FAILED", "CANCELLED", "REFUSED", "SKIPPED"};
    return names[state];
}

const char *document_kind_name(enum document_kind kind)
{
    static const char *const names[] = {"text", "binary", "empty", "too_large", "unreadable"};
    return names[kind];
}

void submission_fini(struct submission *submission)
{
    free(submission->key);
    free(submission->workflow_id);
    free(submission->after);
    free(submission->error);
}

static void sleep_ms(int64_t ms)
{
    nanosleep(&(struct timespec){ms / 1000, (ms % 1000) * 1000000}, NULL);
}

static void set_text(char **place, const char *text)
{
    if (text == NULL)
        return;
    free(*place);
    *place = must_strdup(text);
}

static struct json *request_body(const struct submission *submission,
                                 const struct submit_options *options, const struct buffer *content)
{
    struct json *body = json_object();
    if (submission->document == NULL) {
        json_object_set(body, "workflow", json_text(options->workflow));
        json_object_set(body, "input", json_hold(options->input_value));
    } else {
        const char *path = submission->document->path;
        struct json *flat = body;
        if (options->workflow !=
            NULL) { /* the documents are the input of a workflow that is named */
            flat = json_object();
            json_object_set(body, "workflow", json_text(options->workflow));
        }
        json_object_set(flat, "content", json_string(buffer_text(content), content->bytes));
        json_object_set(flat, "file_path",
                        json_text(strcmp(path, "-") == 0 ? "standard-input" : path));
        json_object_set(flat, "content_type", json_text(submission->document->content_type));
        if (!options->intelligence)
            json_object_set(flat, "enable_intelligence", json_bool(false));
        if (flat != body)
            json_object_set(body, "input", flat);
    }
    if (options->namespace[0] != '\0')
        json_object_set(body, "namespace", json_text(options->namespace));
    return body;
}

/* Takes what a workflow document says. */
static void take_workflow(struct submission *submission, const struct json *workflow)
{
    const char *state = json_string_or(json_get(workflow, "state"), "");
    set_text(&submission->workflow_id, json_string_or(json_get(workflow, "workflow_id"), NULL));
    set_text(&submission->after, json_string_or(json_get(workflow, "after"), NULL));
    submission->state = SUBMISSION_ACCEPTED;
    if (strcmp(state, "COMPLETED") == 0)
        submission->state = SUBMISSION_COMPLETED;
    else if (strcmp(state, "FAILED") == 0)
        submission->state = SUBMISSION_FAILED;
    else if (strcmp(state, "CANCELLED") == 0)
        submission->state = SUBMISSION_CANCELLED;
    const struct json *error = json_get(workflow, "error");
    if (json_type_of(error) == JSON_OBJECT) {
        char *text = json_to_text(error);
        set_text(&submission->error, text);
        free(text);
    }
}

/* Tries a request again while there is no clear answer: no connection, 429, 503, a lost reply. */
struct patience {
    int64_t until_us;
    int64_t delay_ms;
};

static struct patience patience_of(const struct submit_options *options)
{
    return (struct patience){.until_us = clock_monotonic_us() + options->retry_seconds * 1000000,
                             .delay_ms = RETRY_FIRST_MS};
}

/* False when the time is over. Waits as long as the server asked, spread a little so that many
 * waiters do not come back at the same moment. */
static bool wait_to_retry(struct patience *patience, int retry_after_s)
{
    if (clock_monotonic_us() >= patience->until_us)
        return false;
    int64_t delay_ms = retry_after_s >= 0 ? (int64_t)retry_after_s * 1000 : patience->delay_ms;
    sleep_ms(delay_ms + (int64_t)(clock_random_unit() * (double)patience->delay_ms));
    patience->delay_ms =
        patience->delay_ms * 2 < RETRY_LAST_MS ? patience->delay_ms * 2 : RETRY_LAST_MS;
    return true;
}

/* Says once, for all submissions, why nothing seems to happen. */
static void tell_waiting(const struct submit_options *options, const struct error *error)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    if (options->retry_seconds == 0 || atomic_flag_test_and_set(&told))
        return;
    char *plain = plain_text(error->text);
    fprintf(stderr, "bridgectl: %s; trying again for up to %lld s\n", plain,
            (long long)options->retry_seconds);
    free(plain);
}

static bool is_passing(int status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

/* Calls until there is an answer that stands. True: *answer holds it; false: *error says why not. */
static bool call_patiently(struct api *api, const struct submit_options *options,
                           const char *method, const char *path, const char *key,
                           const struct json *body, int timeout_ms, struct api_answer *answer,
                           struct error *error)
{
    struct patience patience = patience_of(options);
    for (;;) {
        enum error_code code = api_call(api, method, path, key, body, timeout_ms, answer, error);
        if (code == ERR_OK && !is_passing(answer->status))
            return true;
        if (code == ERR_OK)
            api_problem(answer, error);
        int retry_after_s = code == ERR_OK ? answer->retry_after_s : -1;
        api_answer_fini(answer);
        if (code != ERR_OK)
            tell_waiting(options, error);
        if (!wait_to_retry(&patience, retry_after_s))
            return false;
    }
}

static void refuse(struct submission *submission, const struct error *error)
{
    submission->state = SUBMISSION_REFUSED;
    set_text(&submission->error,
             error->text[0] != '\0' ? error->text : error_code_text(error->code));
}

static void wait_for_end(struct submission *submission, const struct submit_options *options,
                         struct api *api)
{
    struct buffer path = {0};
    buffer_append_text(&path, "/api/v1/workflows/");
    append_encoded(&path, submission->workflow_id);
    while (submission->state == SUBMISSION_ACCEPTED) {
        struct api_answer answer = {0};
        struct error error = {0};
        sleep_ms(POLL_MS);
        if (!call_patiently(api, options, "GET", buffer_text(&path), NULL, NULL, CALL_TIMEOUT_MS,
                            &answer, &error)) {
            set_text(&submission->error, error.text);
            break;
        }
        if (answer.status != 200) {
            api_problem(&answer, &error);
            refuse(submission, &error);
        } else {
            take_workflow(submission, answer.body);
        }
        api_answer_fini(&answer);
    }
    buffer_fini(&path);
}

void submission_run(struct submission *submission, const struct submit_options *options,
                    struct api *api)
{
    struct buffer content = {0}, path = {0};
    struct api_answer answer = {0};
    struct error error = {0};
    if (submission->document != NULL)
        submission->skipped = document_read(submission->document->path, &content);
    if (submission->skipped != DOCUMENT_TEXT) {
        submission->state = SUBMISSION_SKIPPED;
        buffer_fini(&content);
        return;
    }
    struct json *body = request_body(submission, options, &content);
    buffer_append_text(&path, "/api/v1/workflows");
    if (options->wait)
        buffer_append_format(&path, "?wait=%d", HTTP_WAIT_MS_MAX);
    if (!call_patiently(api, options, "POST", buffer_text(&path), submission->key, body,
                        CALL_TIMEOUT_MS + (options->wait ? HTTP_WAIT_MS_MAX : 0), &answer,
                        &error)) {
        refuse(submission, &error);
    } else if (answer.status < 200 || answer.status > 299) {
        api_problem(&answer, &error);
        refuse(submission, &error);
    } else {
        take_workflow(submission, answer.body);
    }
    api_answer_fini(&answer);
    json_release(body);
    buffer_fini(&content);
    buffer_fini(&path);
    if (options->wait && submission->state == SUBMISSION_ACCEPTED &&
        submission->workflow_id != NULL)
        wait_for_end(submission, options, api);
}
