/* SPDX-License-Identifier: MIT */
/* transitions - workflows run in memory, with ready-made answers: what the pure parts cost alone.
 *
 *     transitions CASE interpreter|workflow [--seconds N | --workflows N]
 *
 * CASE is a JSON file {contract, input, results: {state: result}}; paths are from the working directory.
 * interpreter: asl_step alone, from the input to the end. workflow: workflow_apply, so with the waits of the
 * engine and the events that are published.
 * A transition is a state that is entered, does its work and is left, so a machine of n states in a row has
 * n; branches and items count their own. Time is CPU time of this thread, so that others on the machine
 * disturb less. Prints one line of JSON.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/uuid.h"
#include "core/contract.h"
#include "orchestrator/core/workflow.h"

#define START_US INT64_C(1767225600000000) /* 2026-01-01 */
#define BETWEEN_CLOCKS 64                  /* workflows run between two looks at the clock */
#define SECONDS_DEFAULT 2
#define TIMEOUT_MS 600000
#define WORKFLOW_ID "0198f2c4-7d1e-7a63-9d4b-2f6c8b1a0e55"

enum level { LEVEL_INTERPRETER, LEVEL_WORKFLOW };

struct answer {
    uint32_t wait;
    bool is_timer;
    const struct json *result;
};

struct run {
    const struct contract *contract;
    const struct json *input, *results;
    struct asl_effects effects;
    struct workflow_outcome outcome;
    struct answer *answers; /* first in, first out */
    size_t first, count, capacity;
    int64_t workflows, transitions;
    bool succeeded; /* the last workflow did */
};

static void quit(const char *what, const char *detail)
{
    fprintf(stderr, "transitions: %s: %s\n", what, detail);
    exit(1);
}

/* -- answers that are due -- */

static void answer_push(struct run *run, uint32_t wait, const char *state, bool is_timer)
{
    if (run->count == run->capacity) {
        run->capacity = run->capacity == 0 ? 64 : run->capacity * 2;
        run->answers = must_realloc(run->answers, run->capacity * sizeof *run->answers);
    }
    const struct json *result = is_timer ? NULL : json_get(run->results, state);
    if (!is_timer && result == NULL)
        quit("no result is given for the state", state);
    run->answers[run->count++] = (struct answer){wait, is_timer, result};
}

static bool answer_take(struct run *run, struct answer *answer)
{
    if (run->first == run->count) {
        run->first = run->count = 0;
        return false;
    }
    *answer = run->answers[run->first++];
    return true;
}

/* -- the interpreter alone -- */

static void take_effects(struct run *run)
{
    for (size_t i = 0; i < run->effects.count; i++) {
        const struct asl_effect *effect = &run->effects.items[i];
        if (effect->type == ASL_STATE_ENTERED)
            run->transitions++;
        else if (effect->type == ASL_CALL || effect->type == ASL_TIMER)
            answer_push(run, effect->wait, effect->state, effect->type == ASL_TIMER);
        else if (effect->type == ASL_SUCCEEDED)
            run->succeeded = true;
    }
    asl_effects_clear(&run->effects);
}

static void step(struct run *run, struct asl_execution *execution, struct asl_event event)
{
    event.now_us = START_US;
    if (asl_step(execution, &event, &run->effects) != ERR_OK)
        quit("asl_step", "refused an answer");
    take_effects(run);
}

static void run_interpreter(struct run *run)
{
    struct asl_identity identity = {
        .execution_id = WORKFLOW_ID,
        .execution_name = WORKFLOW_ID,
        .machine_id = run->contract->name,
        .machine_name = run->contract->name,
        .start_us = START_US,
    };
    struct asl_execution *execution =
        asl_execution_new(run->contract->machine, &identity, run->input);
    struct answer answer;
    step(run, execution, (struct asl_event){.type = ASL_START});
    while (answer_take(run, &answer))
        step(run, execution,
             (struct asl_event){.type = answer.is_timer ? ASL_TIMER_FIRED : ASL_TASK_SUCCEEDED,
                                .wait = answer.wait,
                                .result = answer.result});
    asl_execution_free(execution);
}

/* -- a whole workflow, with the events that it publishes -- */

static void apply(struct run *run, struct workflow *workflow, struct workflow_record record)
{
    record.n = workflow_records(workflow);
    record.at_us = START_US + record.n * 1000;
    if (workflow_apply(workflow, &record, &run->outcome) != ERR_OK)
        quit("workflow_apply", "refused a record");
    for (size_t i = 0; i < run->outcome.opened_count; i++) {
        const struct workflow_wait *wait = workflow_wait_find(workflow, run->outcome.opened[i]);
        answer_push(run, wait->wait, wait->state, wait->is_timer);
    }
}

static void run_workflow(struct run *run)
{
    static const struct workflow_environment environment = {.timeout_ms = TIMEOUT_MS};
    struct workflow_head head = {
        .namespace = must_strdup("bench"),
        .input = json_hold(run->input),
        .created_us = START_US,
    };
    BUG_IF(!uuid_parse(WORKFLOW_ID, strlen(WORKFLOW_ID), &head.id));
    struct workflow *workflow = workflow_new(run->contract, &head, &environment);
    struct answer answer;
    apply(run, workflow, (struct workflow_record){.kind = RECORD_STARTED});
    while (answer_take(run, &answer))
        apply(run, workflow,
              (struct workflow_record){.kind = answer.is_timer ? RECORD_TIMER_FIRED
                                                               : RECORD_TASK_SUCCEEDED,
                                       .wait = answer.wait,
                                       .attempt = 1,
                                       .duration_us = 1000,
                                       .payload = answer.result});
    run->succeeded = workflow_state(workflow) == WORKFLOW_COMPLETED;
    workflow_free(workflow);
}

/* -- the whole -- */

static void run_once(struct run *run, enum level level)
{
    run->succeeded = false;
    if (level == LEVEL_INTERPRETER)
        run_interpreter(run);
    else
        run_workflow(run);
    if (!run->succeeded)
        quit("the workflow did not succeed", run->contract->name);
    run->workflows++;
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* So many workflows, or for so long. */
static void measure(struct run *run, enum level level, int64_t workflows, double seconds)
{
    int64_t transitions = 0;
    run_once(run, LEVEL_INTERPRETER); /* memory is warm, and the transitions are counted */
    transitions = run->transitions;
    run->workflows = 0;
    double began = cpu_seconds(), spent;
    do {
        for (int i = 0; i < BETWEEN_CLOCKS && (workflows == 0 || run->workflows < workflows); i++)
            run_once(run, level);
        spent = cpu_seconds() - began;
    } while (workflows == 0 ? spent < seconds : run->workflows < workflows);
    double count = (double)run->workflows;
    printf("{\"level\":\"%s\",\"workflows\":%lld,\"seconds\":%.6f,\"transitions\":%lld,"
           "\"workflows_per_second\":%.0f,\"transitions_per_second\":%.0f,"
           "\"ns_per_transition\":%.1f}\n",
           level == LEVEL_INTERPRETER ? "interpreter" : "workflow", (long long)run->workflows,
           spent, (long long)transitions, count / spent, count * (double)transitions / spent,
           spent * 1e9 / count / (double)transitions);
}

static struct buffer file_read(const char *path)
{
    struct buffer text = {0};
    char block[65536];
    size_t bytes;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        quit("cannot be read", path);
    while ((bytes = fread(block, 1, sizeof block, file)) > 0)
        buffer_append(&text, block, bytes);
    fclose(file);
    return text;
}

static struct json *case_read(const char *path)
{
    struct error error = {0};
    struct buffer text = file_read(path);
    struct json *document = json_parse(buffer_text(&text), text.bytes, &error, NULL);
    if (document == NULL)
        quit(path, error.text);
    buffer_fini(&text);
    return document;
}

static struct contract *contract_read(const char *path)
{
    struct findings findings = {0};
    struct buffer text = file_read(path), told = {0};
    struct contract *contract = contract_parse(path, buffer_text(&text), text.bytes, &findings);
    findings_write(&findings, &told);
    if (contract == NULL)
        quit("no good contract", buffer_text(&told));
    buffer_fini(&told);
    buffer_fini(&text);
    findings_fini(&findings);
    return contract;
}

static int usage(void)
{
    fputs("usage: transitions CASE interpreter|workflow [--seconds N | --workflows N]\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    double seconds = SECONDS_DEFAULT;
    int64_t workflows = 0;
    if (argc != 3 && argc != 5)
        return usage();
    if (argc == 5 && strcmp(argv[3], "--seconds") == 0)
        seconds = atof(argv[4]);
    else if (argc == 5 && strcmp(argv[3], "--workflows") == 0)
        workflows = atoll(argv[4]);
    else if (argc == 5)
        return usage();
    bool interpreter = strcmp(argv[2], "interpreter") == 0;
    if (!interpreter && strcmp(argv[2], "workflow") != 0)
        return usage();
    struct json *document = case_read(argv[1]);
    struct contract *contract = contract_read(json_string_or(json_get(document, "contract"), ""));
    struct run run = {.contract = contract,
                      .input = json_get(document, "input"),
                      .results = json_get(document, "results")};
    measure(&run, interpreter ? LEVEL_INTERPRETER : LEVEL_WORKFLOW, workflows, seconds);
    asl_effects_fini(&run.effects);
    workflow_outcome_fini(&run.outcome);
    free(run.answers);
    contract_free(contract);
    json_release(document);
    return 0;
}
