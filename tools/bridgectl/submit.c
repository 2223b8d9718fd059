/* SPDX-License-Identifier: MIT */
/* submit.c - the command `submit`: finds the documents, runs them over several connections at once,
 * shows how far it is and what came of it. */
#include "submit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "io/clock.h"

#define CONCURRENCY_DEFAULT 16
#define CONCURRENCY_MAX 512
#define RETRY_SECONDS_DEFAULT 60
#define DRAW_EVERY_US 100000

struct run {
    const struct ctl *ctl;
    const struct submit_options *options;
    struct submission *submissions;
    size_t count;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t moved;
    size_t next;
    size_t done;
    size_t by_state[SUBMISSION_STATES];
};

static void *work(void *context)
{
    struct run *run = context;
    struct api *api = api_new(run->ctl, run->ctl->config->orchestrator_url);
    pthread_mutex_lock(&run->lock);
    while (run->next < run->count) {
        struct submission *submission = &run->submissions[run->next++];
        pthread_mutex_unlock(&run->lock);
        submission_run(submission, run->options, api);
        pthread_mutex_lock(&run->lock);
        run->done++;
        run->by_state[submission->state]++;
        pthread_cond_signal(&run->moved);
    }
    pthread_mutex_unlock(&run->lock);
    api_free(api);
    return NULL;
}

static void show_progress(struct run *run)
{
    struct progress progress;
    progress_start(&progress, run->ctl);
    pthread_mutex_lock(&run->lock);
    while (run->done < run->count) {
        int64_t until_us = clock_now_us() + DRAW_EVERY_US;
        struct timespec until = {until_us / 1000000, (until_us % 1000000) * 1000};
        pthread_cond_timedwait(&run->moved, &run->lock, &until);
        progress_draw(
            &progress, (int64_t)run->done, (int64_t)run->count,
            (int64_t)(run->by_state[SUBMISSION_FAILED] + run->by_state[SUBMISSION_REFUSED]));
    }
    pthread_mutex_unlock(&run->lock);
    progress_end(&progress);
}

static void run_all(struct run *run)
{
    pthread_t threads[CONCURRENCY_MAX];
    size_t wanted = (size_t)run->options->concurrency < run->count
                        ? (size_t)run->options->concurrency
                        : run->count;
    size_t started = 0;
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->moved, NULL);
    while (started < wanted && pthread_create(&threads[started], NULL, work, run) == 0)
        started++;
    if (started == 0)
        work(run);
    else
        show_progress(run);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_cond_destroy(&run->moved);
    pthread_mutex_destroy(&run->lock);
}

/* -- the account -- */

struct account {
    size_t accepted;
    size_t skipped[DOCUMENT_UNREADABLE + 1];
    int64_t missing;
    double seconds;
};

static struct account account_of(const struct run *run, int64_t missing, double seconds)
{
    struct account account = {.missing = missing, .seconds = seconds};
    for (size_t i = 0; i < run->count; i++) {
        account.accepted += run->submissions[i].workflow_id != NULL;
        if (run->submissions[i].state == SUBMISSION_SKIPPED)
            account.skipped[run->submissions[i].skipped]++;
    }
    return account;
}

static int outcome_of(const struct run *run, const struct account *account)
{
    bool bad = run->by_state[SUBMISSION_FAILED] + run->by_state[SUBMISSION_CANCELLED] +
                       run->by_state[SUBMISSION_REFUSED] + account->skipped[DOCUMENT_UNREADABLE] >
                   0 ||
               account->missing > 0 ||
               (run->options->wait && run->by_state[SUBMISSION_ACCEPTED] > 0);
    return bad ? EXIT_NO : EXIT_FINE;
}

static void set_count(struct json *object, const char *name, size_t count)
{
    json_object_set(object, name, json_int((int64_t)count));
}

static struct json *submission_json(const struct submission *submission)
{
    struct json *object = json_object();
    if (submission->document != NULL)
        json_object_set(object, "path", json_text(submission->document->path));
    json_object_set(object, "state", json_text(submission_state_name(submission->state)));
    if (submission->state == SUBMISSION_SKIPPED)
        json_object_set(object, "reason", json_text(document_kind_name(submission->skipped)));
    if (submission->workflow_id != NULL)
        json_object_set(object, "workflow_id", json_text(submission->workflow_id));
    if (submission->after != NULL)
        json_object_set(object, "after", json_text(submission->after));
    if (submission->error != NULL)
        json_object_set(object, "error", json_text(submission->error));
    return object;
}

static void print_account_json(const struct run *run, const struct account *account)
{
    struct json *object = json_object(), *skipped = json_object(), *items = json_array();
    set_count(object, "submitted", account->accepted);
    set_count(object, "completed", run->by_state[SUBMISSION_COMPLETED]);
    set_count(object, "failed", run->by_state[SUBMISSION_FAILED]);
    set_count(object, "cancelled", run->by_state[SUBMISSION_CANCELLED]);
    set_count(object, "refused", run->by_state[SUBMISSION_REFUSED]);
    set_count(object, "skipped", run->by_state[SUBMISSION_SKIPPED]);
    set_count(object, "missing", (size_t)account->missing);
    for (int kind = DOCUMENT_BINARY; kind <= DOCUMENT_UNREADABLE; kind++)
        set_count(skipped, document_kind_name((enum document_kind)kind), account->skipped[kind]);
    json_object_set(object, "skipped_reasons", skipped);
    json_object_set(object, "seconds", json_double(account->seconds));
    json_object_set(object, "namespace", json_text(run->options->namespace));
    for (size_t i = 0; i < run->count; i++)
        json_array_append(items, submission_json(&run->submissions[i]));
    json_object_set(object, "workflows", items);
    print_json(object);
    json_release(object);
}

static void print_tokens(const struct run *run)
{
    for (size_t i = 0; i < run->count; i++)
        if (run->submissions[i].after != NULL)
            puts(run->submissions[i].after);
}

static void print_faults(const struct run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        const struct submission *submission = &run->submissions[i];
        bool ended_well =
            submission->state == SUBMISSION_COMPLETED || submission->state == SUBMISSION_SKIPPED;
        if (ended_well || (submission->state == SUBMISSION_ACCEPTED && submission->error == NULL))
            continue;
        char *plain =
            plain_text(submission->error != NULL ? submission->error : "it did not complete");
        fprintf(stderr, "%s %s%s%s: %s\n", submission_state_name(submission->state),
                submission->document != NULL ? submission->document->path : run->options->workflow,
                submission->workflow_id != NULL ? " " : "",
                submission->workflow_id != NULL ? submission->workflow_id : "", plain);
        free(plain);
    }
}

static void print_account(const struct run *run, const struct account *account, FILE *out)
{
    const size_t *skipped = account->skipped;
    fprintf(out, "submitted %zu  completed %zu  failed %zu  refused %zu  skipped %zu  in %.1f s\n",
            account->accepted, run->by_state[SUBMISSION_COMPLETED],
            run->by_state[SUBMISSION_FAILED] + run->by_state[SUBMISSION_CANCELLED],
            run->by_state[SUBMISSION_REFUSED], run->by_state[SUBMISSION_SKIPPED], account->seconds);
    if (run->by_state[SUBMISSION_SKIPPED] > 0)
        fprintf(out, "skipped: %zu binary, %zu empty, %zu larger than %u bytes, %zu unreadable\n",
                skipped[DOCUMENT_BINARY], skipped[DOCUMENT_EMPTY], skipped[DOCUMENT_TOO_LARGE],
                CONTENT_BYTES_MAX, skipped[DOCUMENT_UNREADABLE]);
    if (run->count == 1 && run->submissions[0].workflow_id != NULL)
        fprintf(out, "workflow %s %s\n", run->submissions[0].workflow_id,
                submission_state_name(run->submissions[0].state));
}

static int report(const struct run *run, int64_t missing, double seconds)
{
    struct account account = account_of(run, missing, seconds);
    print_faults(run);
    if (run->options->json)
        print_account_json(run, &account);
    else
        print_account(run, &account, run->options->after_tokens ? stderr : stdout);
    if (run->options->after_tokens && !run->options->json)
        print_tokens(run);
    return outcome_of(run, &account);
}

/* -- the command -- */

/* A key of its own for each submission, the same for all tries: so that a lost answer is no second
 * workflow. --key gives keys that stay the same when the command is run again. */
static char *key_for(const struct submit_options *options, const struct document *document,
                     size_t count)
{
    struct buffer key = {0};
    char text[UUID_TEXT_BYTES];
    struct uuid uuid = clock_uuid_v7();
    if (options->key == NULL)
        buffer_append_format(&key, "bridgectl-%s", uuid_format(&uuid, text));
    else if (count == 1 || document == NULL)
        buffer_append_text(&key, options->key);
    else
        buffer_append_format(&key, "%s:%s", options->key, document->path);
    return buffer_take(&key);
}

static int submit(const struct ctl *ctl, const struct submit_options *options,
                  const struct documents *documents)
{
    struct run run = {.ctl = ctl, .options = options};
    run.count = options->input_value != NULL ? 1 : documents->count;
    run.submissions = must_calloc(run.count + 1, sizeof *run.submissions);
    for (size_t i = 0; i < run.count; i++) {
        run.submissions[i].document = options->input_value != NULL ? NULL : &documents->items[i];
        run.submissions[i].key = key_for(options, run.submissions[i].document, run.count);
    }
    int64_t started_us = clock_monotonic_us();
    if (run.count > 0)
        run_all(&run);
    int outcome =
        report(&run, documents->missing, (double)(clock_monotonic_us() - started_us) / 1e6);
    for (size_t i = 0; i < run.count; i++)
        submission_fini(&run.submissions[i]);
    free(run.submissions);
    return outcome;
}

/* Reads --input: JSON, or @FILE with JSON. */
static int read_input(const struct command *command, struct submit_options *options)
{
    struct buffer text = {0};
    struct error error = {0};
    struct json_position position = {0};
    if (options->input[0] != '@')
        buffer_append_text(&text, options->input);
    else if (read_whole(options->input + 1, HTTP_BODY_BYTES_MAX, &text, &error) != ERR_OK) {
        buffer_fini(&text);
        return fail(&error);
    }
    options->input_value = json_parse(buffer_text(&text), text.bytes, &error, &position);
    buffer_fini(&text);
    if (options->input_value != NULL)
        return EXIT_GO_ON;
    return usage_fault(command, "--input is not JSON: line %d column %d: %s", position.line,
                       position.column, error.text);
}

static int gather(const struct command *command, struct submit_options *options,
                  const struct text_list *paths, struct documents *documents)
{
    struct error error = {0};
    if (options->input != NULL) {
        if (options->workflow == NULL)
            return usage_fault(command, "--input needs --workflow");
        if (paths->count > 0 || options->files_from != NULL)
            return usage_fault(command, "give either --input or documents");
        return read_input(command, options);
    }
    if (paths->count == 0 && options->files_from == NULL)
        return usage_fault(
            command,
            "name files or directories, \"-\" for standard input, --files-from or --input");
    for (size_t i = 0; i < paths->count; i++)
        documents_add(documents, paths->items[i]);
    if (options->files_from != NULL &&
        documents_add_list(documents, options->files_from, &error) != ERR_OK)
        return fail(&error);
    return EXIT_GO_ON;
}

static int run_submit(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    struct submit_options o = {.namespace = ctl->config->default_namespace,
                               .concurrency = CONCURRENCY_DEFAULT,
                               .retry_seconds = RETRY_SECONDS_DEFAULT,
                               .intelligence = true,
                               .wait = true};
    const struct argument table[] = {
        {"--namespace", ARGUMENT_TEXT, &o.namespace, "NS",
         "namespace of the workflows (DEFAULT_NAMESPACE)", 0, 0},
        {"--workflow", ARGUMENT_TEXT, &o.workflow, "NAME", "contract to run (metadata_stamping)", 0,
         0},
        {"--input", ARGUMENT_TEXT, &o.input, "JSON|@FILE", "its input, instead of documents", 0, 0},
        {"--key", ARGUMENT_TEXT, &o.key, "KEY",
         "idempotency key; with several documents KEY:<path>", 0, 0},
        {"--files-from", ARGUMENT_TEXT, &o.files_from, "FILE",
         "names of documents, one a line or NUL-separated (\"-\")", 0, 0},
        {"--concurrency", ARGUMENT_INT, &o.concurrency, "N", "requests at one time (16)", 1,
         CONCURRENCY_MAX},
        {"--retry-seconds", ARGUMENT_INT, &o.retry_seconds, "N",
         "how long one request is tried again (60)", 0, 86400},
        {"--no-intelligence", ARGUMENT_UNFLAG, &o.intelligence, NULL, "leave OnexTree out", 0, 0},
        {"--wait", ARGUMENT_FLAG, &o.wait, NULL, "wait until the workflows have ended (default)", 0,
         0},
        {"--no-wait", ARGUMENT_UNFLAG, &o.wait, NULL, "only wait until they are accepted", 0, 0},
        {"--after-tokens", ARGUMENT_FLAG, &o.after_tokens, NULL,
         "print the reducer's tokens, one a line; see totals", 0, 0},
        {"--json", ARGUMENT_FLAG, &o.json, NULL, "print one JSON object with ids and states", 0, 0},
        {.name = NULL}};
    struct text_list paths = {0};
    struct documents documents = {0};
    int outcome = arguments_parse(command, table, argc, argv, 0, SIZE_MAX, &paths);
    if (outcome == EXIT_GO_ON)
        outcome = gather(command, &o, &paths, &documents);
    if (outcome == EXIT_GO_ON)
        outcome = submit(ctl, &o, &documents);
    json_release(o.input_value);
    documents_fini(&documents);
    text_list_fini(&paths);
    return outcome;
}

const struct command submit_commands[] = {
    {.name = "submit",
     .summary = "submit documents as workflows and wait for their end",
     .usage = "PATH... [OPTIONS]",
     .prose = "PATH is a file, a directory (every text file below it; .git and links are left out) "
              "or \"-\" for\n"
              "standard input. Files that are binary (a NUL or no UTF-8), empty or too large are "
              "skipped and\n"
              "counted. A request is repeated with the same idempotency key while the orchestrator "
              "is away or\n"
              "asks to wait, so nothing is submitted twice. Exits 1 when a workflow failed or was "
              "refused.",
     .example = "bridgectl submit README.md docs/ --namespace demo\n"
                "git ls-files -z | bridgectl submit --files-from - --json\n"
                "bridgectl submit --workflow metadata_stamping --input '{\"content\": \"hello\"}'",
     .run = run_submit},
    {.name = NULL},
};
