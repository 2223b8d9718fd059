/* SPDX-License-Identifier: MIT */
/* asl_mock.h - runs a state machine alone, on a virtual clock: mocks answer for its tasks. Pure.
 * `bridgectl contracts run` and `test`, the unit tests and the fuzzer use it.
 *
 * Owns      A result owns its json and texts; release it with asl_mock_result_fini.
 * Threads   No globals.
 * Units     *_us microseconds since 1970 UTC of the virtual clock, *_bytes octets.
 * Errors    None of ours: what goes wrong in the machine is the result's status.
 *
 * Mocks are an array of objects {state?, output} or {state?, error, cause?}. Each attempt of a Task takes
 * one: the first unused mock that names its state, else the first unused one that names none. An attempt
 * that finds no mock ends with States.TaskFailed. Answers come in the order of the attempts; timers fire
 * when no answer is left, the earliest first, and the clock jumps to them. Heartbeats and timeouts of tasks
 * play no role: a mock {error: States.Timeout} stands for one.
 */
#ifndef CORE_ASL_MOCK_H
#define CORE_ASL_MOCK_H

#include "core/asl.h"

#define ASL_MOCK_STATES_BYTES_MAX (64u << 20) /* of the list of states, about */
#define ASL_MOCK_START_US 1767225600000000    /* 2026-01-01T00:00:00Z, a clock to start with */

struct asl_mock_options {
    const struct json *input; /* NULL: {} */
    const struct json *mocks; /* NULL: none */
    const char *name;         /* of the machine, for the context object */
    int64_t start_us;         /* the clock at the start */
    size_t data_bytes_max;    /* of the data of a state; 0: CONTRACT_RUN_DATA_BYTES_MAX */
    /* NULL, or sees each event twice: right before it is fed to asl_step, with effects NULL, and right
     * after, with the effects. */
    void (*on_step)(void *context, const struct asl_event *event,
                    const struct asl_effects *effects);
    void *context;
};

enum asl_mock_status {
    ASL_MOCK_SUCCEEDED,
    ASL_MOCK_FAILED,
    ASL_MOCK_TIMED_OUT, /* the machine's TimeoutSeconds passed on the virtual clock */
    ASL_MOCK_ABORTED    /* it waits for something that no mock can answer */
};

struct asl_mock_result {
    enum asl_mock_status status;
    struct json *output; /* of SUCCEEDED */
    char *error, *cause; /* of the others; NULL when the failure names none */
    /* [{name, event: "Entered"|"Exited", input|output}] in order. Past ASL_MOCK_STATES_BYTES_MAX they
     * are counted only, and the last one is {name: "", event: "LeftOut", entries}. */
    struct json *states;
    size_t mocks_used;
    int64_t end_us;
};

void asl_mock_run(const struct asl_machine *machine, const struct asl_mock_options *options,
                  struct asl_mock_result *result);
/* The execution that asl_mock_run drives, before its first event: to feed the same events again. */
struct asl_execution *asl_mock_execution(const struct asl_machine *machine,
                                         const struct asl_mock_options *options) MUST_USE;
void asl_mock_result_fini(struct asl_mock_result *result);
const char *asl_mock_status_name(enum asl_mock_status status); /* "SUCCEEDED" */

/* Are these mocks as above? Findings MOCK_... at `pointer` of the source, which may be NULL. */
void asl_mocks_check(const struct json *mocks, const struct source_map *source, const char *pointer,
                     struct findings *findings);
bool asl_mock_fails(const struct json *mock); /* it has an error, not an output */

#endif
