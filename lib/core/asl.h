/* SPDX-License-Identifier: MIT */
/* asl.h - the Amazon States Language: a definition is compiled once, an execution is a pure step
 * function of (definition, input, recorded events). Pure: time, randomness and results come in with
 * the event; what shall happen outside goes out as effects.
 *
 * Owns      A machine is immutable and may be shared by threads. An execution belongs to one thread;
 *           it holds references to the data its states still need, and nothing else.
 * Lifetime  Texts and json in effects are lent: valid until the next call on the same effects list
 *           or execution. asl_effects_clear keeps the memory for the next step.
 * Threads   See Owns.
 * Units     *_us microseconds since 1970, *_ms milliseconds.
 * Errors    asl_compile reports every finding at once. asl_step cannot fail for reasons of ours: a
 *           runtime error of the workflow (States.Runtime and so on) is an ASL_FAILED effect. It gives
 *           ERR_CONFLICT, and changes nothing, when the event names a wait that is not open (a stale
 *           answer, or at recovery a record that does not fit the definition), or when there is nothing
 *           to retry: no failure, or one before the first state.
 * Source    states-language.net; the reference service's behaviour where the text is silent.
 *
 * A "wait" is something outside that the execution waits for: the answer of a call or a timer. Waits
 * are numbered from 1 in the order of creation, so the same events always give the same numbers, and
 * an answer recorded with its number fits again at recovery.
 */
#ifndef CORE_ASL_H
#define CORE_ASL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "core/finding.h"
#include "core/json.h"

struct asl_machine;
struct asl_execution;

/* Compiles the state machine object. `findings` (core/finding.h) collects errors and warnings, each
 * with file, line, column, stable code and sentence. NULL when there is at least one error. The
 * resource check says whether a Task's Resource is known; NULL accepts any. */
typedef bool asl_resource_known(const char *resource, void *context);
struct asl_machine *asl_compile(const struct json *definition, const struct source_map *source,
                                asl_resource_known *known, void *known_context,
                                struct findings *findings) MUST_USE;
void asl_machine_free(struct asl_machine *machine);
int64_t asl_machine_timeout_ms(
    const struct asl_machine *machine); /* TimeoutSeconds; 0 when absent */
const struct json *asl_machine_definition(const struct asl_machine *machine);

enum asl_event_type {
    ASL_START,          /* once, first */
    ASL_TASK_SUCCEEDED, /* wait, result */
    ASL_TASK_FAILED,    /* wait, error, cause, random */
    ASL_TIMER_FIRED,    /* wait */
    ASL_STOP,           /* error, cause: ends the execution from outside (timeout, cancel) */
    ASL_RETRY, /* a failed execution goes on: the state that failed, and what was abandoned because of
                * it, begin anew as further attempts of the same visits */
};

struct asl_event {
    enum asl_event_type type;
    int64_t now_us; /* when it happened; recorded, so the same at recovery */
    uint32_t wait;
    const struct json *result;
    const char *error; /* for example "States.Timeout", "States.Http.StatusCode.503" */
    const char *cause;
    /* [0, 1), drawn by the shell and recorded: jitter of the retry delay. 0: the interpreter draws
     * one from the execution's id. */
    double random;
    /* Answered at once, within the same outside event (a local task): the bound on states in a row
     * goes on counting, so that a loop of local tasks ends too. */
    bool at_once;
};

enum asl_effect_type {
    ASL_STATE_ENTERED, /* state, data = raw input */
    ASL_STATE_EXITED,  /* state, data = output after OutputPath */
    ASL_STATE_CAUGHT, /* state, error, cause: a Catch took a failure; followed by ASL_STATE_EXITED */
    ASL_CALL,         /* make the call: wait, state, visit, attempt, resource, data = parameters */
    ASL_TIMER,     /* tell me when due: wait, due_us; retry tells a retry delay from a Wait state */
    ASL_ABANDON,   /* wait is no longer wanted: stop the call or the timer */
    ASL_SUCCEEDED, /* the execution ended: data = output */
    ASL_FAILED,    /* the execution ended: error, cause */
};

struct asl_effect {
    enum asl_effect_type type;
    uint32_t wait;
    const char *state;      /* name of the state, for example "hash_generation" */
    const char *state_path; /* unique place: "gather/1/hash_generation" (Parallel/branch/state,
                             * Map/item/state) */
    const char *state_type; /* "Task", "Pass", ... */
    uint32_t visit;         /* how often this state was entered before, from 0 */
    uint32_t attempt;       /* from 1; a retry has the same visit */
    const char *resource;
    const struct json *data;
    int64_t timeout_ms;   /* of a call, 0 when the state names none */
    int64_t heartbeat_ms; /* likewise: longest time between heartbeats */
    int64_t due_us;       /* of a timer */
    char *own;            /* state_path, where it is not the machine's; the list's */
    bool retry; /* a timer that delays the next attempt; error and cause of the last one */
    uint32_t retry_number; /* of such a timer: from 1, by the retrier that takes the error */
    uint32_t retries_max;  /* likewise: that this retrier makes */
    const char *error;
    const char *cause;
};

struct asl_effects {
    struct asl_effect *items;
    size_t count;
    size_t capacity;
};
void asl_effects_clear(struct asl_effects *effects);
void asl_effects_fini(struct asl_effects *effects);

#define ASL_TOKEN_BYTES 128 /* of a task token, the NUL included */

/* Writes the task token of a wait: $$.Task.Token. The same for the same wait, at recovery too. */
typedef void asl_token_make(void *context, uint32_t wait, char token[ASL_TOKEN_BYTES]);

struct asl_identity {
    const char *execution_id; /* $$.Execution.Id; texts are copied */
    const char *execution_name;
    const char *machine_id;
    const char *machine_name;
    int64_t start_us;      /* $$.Execution.StartTime */
    asl_token_make *token; /* NULL: there is no $$.Task.Token */
    void *token_context;
};

struct asl_execution *asl_execution_new(const struct asl_machine *machine,
                                        const struct asl_identity *identity,
                                        const struct json *input) MUST_USE; /* holds input */
void asl_execution_free(struct asl_execution *execution);
/* Another bound on the data of a state than STATE_DATA_BYTES_MAX; before the first step. */
void asl_execution_limit_data(struct asl_execution *execution, size_t bytes_max);

/* The one way forward. Appends to *effects. */
enum error_code asl_step(struct asl_execution *execution, const struct asl_event *event,
                         struct asl_effects *effects) MUST_USE;
bool asl_execution_ended(const struct asl_execution *execution);
/* Whether ASL_RETRY would be taken: it failed, and not before its first state. */
bool asl_execution_can_retry(const struct asl_execution *execution);
/* Appends the path of the state whose failure ended it; false when none did, or it has not failed. */
bool asl_execution_failed_in(const struct asl_execution *execution, struct buffer *path);
/* About the text of what it holds besides its input: data and variables of the outermost state, and what its
 * branches and items have collected. Those under way are not looked into. */
size_t asl_execution_data_bytes(const struct asl_execution *execution);
/* Name of a state being executed now (the outermost), "" when ended; lent until the next step. */
const char *asl_execution_current(const struct asl_execution *execution);

/* A payload template (".$" fields with paths and intrinsics) outside a machine, such as the payload of a
 * contract's event: compiled once. NULL with findings at and below `pointer` when it has errors. */
struct asl_template;
struct asl_template *asl_template_new(const struct json *document, const char *pointer,
                                      const struct source_map *source,
                                      struct findings *findings) MUST_USE;
void asl_template_free(struct asl_template *template);
/* Evaluates it against data and context. A new reference, or NULL with error->text. */
struct json *asl_template_evaluate(const struct asl_template *template, const struct json *data,
                                   const struct json *context, struct error *error) MUST_USE;

#endif
