/* SPDX-License-Identifier: MIT */
/* asl_internal.h - what the files asl_*.c share; nobody else includes it.
 *
 *     asl_compile.c   definition -> struct asl_machine, with all findings
 *     asl_state.c     one state of it
 *     asl_fields.c    which field may stand in which kind of state
 *     asl_template.c  payload templates
 *     asl_choice.c    choice rules
 *     asl_error.c     error names, retriers, catchers
 *     asl_step.c      the step function: events, entering and leaving states, failures
 *     asl_work.c      what each kind of state does
 *     asl_flow.c      data flow: InputPath to OutputPath, variables, the context object
 *     asl_frame.c     what runs: frames, waits, the execution
 *     asl_effect.c    the list of effects, and the bound on the size of data
 *
 * Owns      Everything below struct asl_machine belongs to it, json values by one reference each.
 * Threads   As asl.h.
 */
#ifndef CORE_ASL_INTERNAL_H
#define CORE_ASL_INTERNAL_H

#include "base/limits.h"
#include "core/asl.h"
#include "core/jsonpath.h"
#include "core/source_map.h"

/* -- what went wrong while a state ran: reserved or own error name, and a sentence -- */

struct asl_failure {
    char *error;
    char *cause;
    bool from_branch; /* also matched by States.BranchFailed */
};
/* The first failure stays. */
void asl_failure_set(struct asl_failure *failure, const char *error, const char *format, ...)
    PRINTF_LIKE(3, 4);
void asl_failure_set_texts(struct asl_failure *failure, const char *error, const char *cause);
void asl_failure_clear(struct asl_failure *failure);

#define ASL_ERROR_ALL "States.ALL"
#define ASL_ERROR_TASK_FAILED "States.TaskFailed"
#define ASL_ERROR_TIMEOUT "States.Timeout"
#define ASL_ERROR_RUNTIME "States.Runtime"
#define ASL_ERROR_DATA_LIMIT "States.DataLimitExceeded"
#define ASL_ERROR_BRANCH_FAILED "States.BranchFailed"
#define ASL_ERROR_RESULT_PATH "States.ResultPathMatchFailure"
#define ASL_ERROR_PARAMETER_PATH "States.ParameterPathFailure"
#define ASL_ERROR_INTRINSIC "States.IntrinsicFailure"
#define ASL_ERROR_NO_CHOICE "States.NoChoiceMatched"

/* -- data that passes between states, with a bound on its size as text -- */

/* The bounds are kept along so that the limit on state data is checked without writing the document
 * out at each transition; it is counted only where the bound alone does not settle it. */
struct asl_bound {
    size_t bytes; /* as compact text */
    size_t depth; /* of arrays and objects within each other */
};

struct asl_data {
    struct json *json;
    struct asl_bound bound;
};

/* At least json_text_bytes(value), found without writing the value out, and its depth exactly. */
struct asl_bound asl_bound_of(const struct json *value);

/* What a step has done so far. Values share parts, so that little of a definition can make, or look
 * through, very much: both are bounded, whatever the data. */
struct asl_meter {
    size_t made_bytes;     /* about the memory of new values */
    size_t walked_bytes;   /* text of values that were looked through */
    size_t data_bytes_max; /* limit on the data of a state */
};
/* asl_bound_of a value on the way; where it is far over the limit on data it is not looked through to
 * its end, and the bound says so. The meter may be NULL. */
struct asl_bound asl_measure(struct asl_meter *meter, const struct json *value);
#define ASL_MEMBER_BYTES 32 /* of memory, about, for each member of a container that is made */
void asl_meter_made(struct asl_meter *meter, size_t bytes);
/* False, with the failure, when the step has done too much. */
bool asl_meter_fits(const struct asl_meter *meter, struct asl_failure *failure) MUST_USE;
/* False, with the failure, when the value is larger than data may be; `what` begins the sentence. The
 * value is counted only where its bound does not settle it, and the bound is exact then. */
bool asl_data_within(struct asl_meter *meter, const struct json *value, struct asl_bound *bound,
                     struct asl_failure *failure, const char *what, const char *name) MUST_USE;

struct asl_frame;

/* What paths and templates see. */
struct asl_view {
    const struct json *data;       /* $ */
    const struct json *context;    /* $$; NULL: none */
    const struct asl_frame *frame; /* whose variables $name finds; NULL: none */
    struct asl_meter *meter;       /* NULL: nobody counts */
    const char *seed; /* of States.UUID and unseeded States.MathRandom: the execution's id */
    uint64_t *draws;  /* how often something was drawn from the seed before; NULL: never */
};

/* What a path finds in the view: a new reference, NULL when nothing. A path that finds too much
 * finds nothing, with *failure; else what that means is the caller's to say. */
struct json *asl_view_get(const struct asl_view *view, const struct jsonpath *path,
                          struct asl_failure *failure) MUST_USE;
/* The bound of what a path selected from data with the given bound. */
struct asl_bound asl_selected_bound(const struct asl_view *view, const struct jsonpath *path,
                                    const struct asl_bound *data, const struct json *selected);
/* The value of a variable of the frame or of one around it; lent, NULL when it is not assigned. */
const struct json *asl_variable_find(const struct asl_frame *frame, const char *name);

/* -- compiling -- */

struct asl_scope;
struct asl_state;

struct asl_compiler {
    struct asl_machine *machine;
    const struct source_map *source;
    struct findings *findings;
    asl_resource_known *resource_known;
    void *resource_context;
    struct buffer pointer;   /* where we are in the document */
    bool uses_context;       /* a path into the context object was compiled; reset for each state */
    struct asl_scope *scope; /* whose states Next and so on name */
    unsigned depth;          /* of scopes within each other */
    unsigned inner_depth;    /* of a template's containers, or of And, Or and Not */
};

void asl_report(struct asl_compiler *compiler, enum finding_severity severity, const char *code,
                const char *format, ...) PRINTF_LIKE(4, 5);
/* The same at a member of where we are. */
void asl_report_at(struct asl_compiler *compiler, const char *member, const char *code,
                   const char *format, ...) PRINTF_LIKE(4, 5);

enum asl_path_rule {
    ASL_ANY_PATH = 0,
    ASL_REFERENCE_PATH = 1, /* only names and indexes */
    ASL_OWN_DATA = 2,       /* must not look into the context object or a variable */
};
/* NULL, with a finding at where we are, when value is no such path. */
struct jsonpath *asl_compile_path(struct asl_compiler *compiler, const struct json *value,
                                  unsigned rules) MUST_USE;

/* -- payload templates -- */

struct asl_template *asl_template_compile(struct asl_compiler *compiler,
                                          const struct json *document) MUST_USE;
/* A new reference; NULL with *failure. *bound is filled, given that of the view's data. */
struct json *asl_template_run(const struct asl_template *template, const struct asl_view *view,
                              const struct asl_bound *data, struct asl_bound *bound,
                              struct asl_failure *failure) MUST_USE;

/* -- intrinsic functions: States.Format('...', $.a) -- */

struct asl_call;
struct asl_call *asl_call_compile(struct asl_compiler *compiler, const char *text,
                                  size_t bytes) MUST_USE;
void asl_call_free(struct asl_call *call);
/* A new reference, or NULL with *failure; *bound is that of the value. */
struct json *asl_call_run(const struct asl_call *call, const struct asl_view *view,
                          struct asl_bound *bound, struct asl_failure *failure) MUST_USE;

/* A random number from the execution's id and the count of those drawn before. */
uint64_t asl_draw(const char *seed, uint64_t *draws);

/* -- choices -- */

struct asl_rule;
struct asl_rule *asl_rule_compile(struct asl_compiler *compiler, const struct json *document,
                                  bool nested) MUST_USE;
void asl_rule_free(struct asl_rule *rule);
enum asl_truth { ASL_FALSE, ASL_TRUE, ASL_UNDECIDED }; /* the last with *failure */
enum asl_truth asl_rule_test(const struct asl_rule *rule, const struct asl_view *view,
                             struct asl_failure *failure) MUST_USE;
/* True when text is like the pattern: * for any run of characters, \* and \\ for themselves. */
bool asl_string_matches(const char *pattern, size_t pattern_bytes, const char *text, size_t bytes);

/* -- retriers and catchers -- */

struct asl_retrier {
    const struct json *names; /* lent by the definition */
    double interval_seconds;
    double backoff_rate;
    double max_delay_seconds; /* 0: none */
    uint32_t max_attempts;
    bool full_jitter;
};

struct asl_catcher {
    const struct json *names;
    struct jsonpath *result_path; /* NULL with result_discarded */
    bool result_discarded;
    struct asl_template *assign; /* NULL: none */
    struct asl_state *next;
};

void asl_errors_compile(struct asl_compiler *compiler, struct asl_state *state,
                        const struct json *document);
bool asl_error_matches(const struct json *names, const struct asl_failure *failure);
/* How long to wait before retry number `retries_before` + 1. */
int64_t asl_retry_delay_us(const struct asl_retrier *retrier, uint32_t retries_before,
                           double random);

/* -- machines -- */

enum asl_state_type {
    ASL_TASK,
    ASL_PASS,
    ASL_CHOICE,
    ASL_WAIT,
    ASL_SUCCEED,
    ASL_FAIL,
    ASL_PARALLEL,
    ASL_MAP,
    ASL_STATE_TYPES
};
extern const char *const asl_state_type_names[ASL_STATE_TYPES];

/* A list of states with a start: the machine itself, one branch of a Parallel state, or what a Map
 * state does with each item. */
struct asl_scope {
    const struct asl_scope *outer; /* NULL for the machine */
    struct json *variables;        /* names that an Assign of these states gives a value to */
    struct asl_state *states;
    size_t count;
    struct asl_state **by_name; /* only while it is compiled */
    struct asl_state *start;
    size_t frames; /* that run at once in it at most, one item of each Map state counted */
    char *path;    /* "", "gather/1/", or "each/" followed by a star and a slash for a Map state */
};

struct asl_choice {
    struct asl_rule *rule;
    struct asl_template *assign; /* NULL: none */
    struct asl_state *next;
};

/* A path or a text, whichever is not NULL. */
struct asl_text {
    const char *text; /* lent by the definition */
    struct jsonpath *path;
    struct asl_call *call;
};

struct asl_state {
    char *name;
    char *path;     /* "gather/1/hash_generation" */
    uint32_t index; /* in the whole machine */
    enum asl_state_type type;
    bool uses_context;
    struct asl_state *next; /* NULL: ends its scope */

    struct jsonpath *input_path; /* NULL: $, unless none is set */
    struct jsonpath *output_path;
    struct jsonpath *result_path;
    bool input_none; /* InputPath: null and so on */
    bool output_none;
    bool result_discarded;
    struct asl_template *parameters; /* of a Map state: ItemSelector */
    struct asl_template *result_selector;
    struct asl_template *assign; /* of a Choice state: where it takes its Default */

    struct asl_retrier *retriers;
    size_t retriers_count;
    struct asl_catcher *catchers;
    size_t catchers_count;

    const struct json *result; /* Pass; lent by the definition */
    const char *resource;      /* Task */
    int64_t timeout_ms;        /* Task; 0: none */
    struct jsonpath *timeout_path;
    int64_t heartbeat_ms; /* Task; 0: none */
    struct jsonpath *heartbeat_path;
    bool has_token;  /* Task whose Resource ends in .waitForTaskToken */
    int64_t wait_us; /* Wait: Seconds; -1 when another form is used */
    int64_t wait_until_us;
    bool wait_has_until;
    struct jsonpath *wait_seconds_path;
    struct jsonpath *wait_until_path;
    struct asl_choice *choices; /* Choice */
    size_t choices_count;
    struct asl_state *choice_default;
    struct asl_text error; /* Fail */
    struct asl_text cause;
    struct asl_scope *branches; /* Parallel; of a Map state one, its item processor */
    size_t branches_count;
    struct jsonpath *items_path; /* Map; NULL: $ */
    int64_t max_concurrency;     /* Map; 0: no limit of the definition's own */
    struct jsonpath *max_concurrency_path;
};

struct asl_machine {
    struct json *definition;
    struct asl_scope scope;
    uint32_t states_count; /* branches included */
    bool uses_context;     /* some state does */
    int64_t timeout_ms;
};

bool asl_fields_check(struct asl_compiler *compiler, const struct json *document,
                      enum asl_state_type type);
void asl_graph_check(struct asl_compiler *compiler, const struct asl_scope *scope);
void asl_duplicates_report(struct asl_compiler *compiler);
/* The Assign of a state, choice rule or catcher; NULL when there is none. */
struct asl_template *asl_compile_assign(struct asl_compiler *compiler,
                                        const struct json *document) MUST_USE;
/* The state that a field of document names; NULL, with a finding, when there is none in the
 * scope. */
struct asl_state *asl_compile_target(struct asl_compiler *compiler, const struct json *document,
                                     const char *field);

/* -- effects -- */

struct asl_effect *asl_effect_add(struct asl_effects *effects, enum asl_effect_type type,
                                  const struct asl_state *state);
void asl_effect_hold(struct asl_effect *effect, const struct json *data);
void asl_effect_failure(struct asl_effect *effect, const struct asl_failure *failure);

#endif
