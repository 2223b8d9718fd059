/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/asl_internal.h"

#define RETRY_INTERVAL_SECONDS 1.0
#define RETRY_BACKOFF_RATE 2.0
#define RETRY_ATTEMPTS 3

static const char *const reserved_names[] = {
    ASL_ERROR_ALL,
    "States.HeartbeatTimeout",
    ASL_ERROR_TIMEOUT,
    ASL_ERROR_TASK_FAILED,
    "States.Permissions",
    ASL_ERROR_RESULT_PATH,
    ASL_ERROR_PARAMETER_PATH,
    "States.QueryEvaluationError",
    ASL_ERROR_BRANCH_FAILED,
    ASL_ERROR_NO_CHOICE,
    ASL_ERROR_INTRINSIC,
    "States.ExceedToleratedFailureThreshold",
    "States.ItemReaderFailed",
    "States.ResultWriterFailed",
    ASL_ERROR_RUNTIME,
    ASL_ERROR_DATA_LIMIT,
};

/* -- failures -- */

void asl_failure_clear(struct asl_failure *failure)
{
    free(failure->error);
    free(failure->cause);
    *failure = (struct asl_failure){0};
}

void asl_failure_set_texts(struct asl_failure *failure, const char *error, const char *cause)
{
    char *error_copy = error_cut(error, ASL_ERROR_NAME_BYTES_MAX);
    char *cause_copy = error_cut(cause, ASL_CAUSE_BYTES_MAX);
    asl_failure_clear(failure);
    failure->error = error_copy;
    failure->cause = cause_copy;
}

void asl_failure_set(struct asl_failure *failure, const char *error, const char *format, ...)
{
    char text[ERROR_TEXT_BYTES];
    va_list arguments;
    if (failure->error)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    error_trim(text, sizeof text);
    asl_failure_set_texts(failure, error, text);
}

/* -- matching -- */

static bool name_matches(const char *name, const struct asl_failure *failure)
{
    const char *error = failure->error;
    if (strcmp(error, ASL_ERROR_RUNTIME) == 0)
        return false; /* always ends the execution */
    if (strcmp(name, error) == 0)
        return true;
    if (strcmp(error, ASL_ERROR_DATA_LIMIT) == 0)
        return false; /* only its own name takes it */
    if (strcmp(name, ASL_ERROR_ALL) == 0)
        return true;
    if (strcmp(name, ASL_ERROR_TASK_FAILED) == 0)
        return strcmp(error, ASL_ERROR_TIMEOUT) != 0;
    if (strcmp(name, ASL_ERROR_TIMEOUT) == 0)
        return strcmp(error, "States.HeartbeatTimeout") == 0;
    return failure->from_branch && strcmp(name, ASL_ERROR_BRANCH_FAILED) == 0;
}

bool asl_error_matches(const struct json *names, const struct asl_failure *failure)
{
    for (size_t i = 0; i < json_size(names); i++) {
        if (name_matches(json_string_or(json_at(names, i), ""), failure))
            return true;
    }
    return false;
}

int64_t asl_retry_delay_us(const struct asl_retrier *retrier, uint32_t retries_before,
                           double random)
{
    double seconds = retrier->interval_seconds * pow(retrier->backoff_rate, (double)retries_before);
    if (retrier->max_delay_seconds > 0 && seconds > retrier->max_delay_seconds)
        seconds = retrier->max_delay_seconds;
    if (!(seconds < ASL_SECONDS_MAX))
        seconds = ASL_SECONDS_MAX;
    if (retrier->full_jitter)
        seconds *= random;
    return (int64_t)(seconds * 1e6);
}

/* -- compiling -- */

static void name_check(struct asl_compiler *compiler, const char *name)
{
    if (strncmp(name, "States.", 7) != 0 || strncmp(name, "States.Http.", 12) == 0)
        return;
    for (size_t i = 0; i < sizeof reserved_names / sizeof *reserved_names; i++) {
        if (strcmp(name, reserved_names[i]) == 0)
            return;
    }
    asl_report(compiler, FINDING_ERROR, "ASL_BAD_ERROR_NAME",
               "\"%s\" is no error name of the States Language, and names of one's own must not "
               "begin with \"States.\"",
               name);
}

static const struct json *names_compile(struct asl_compiler *compiler, const struct json *document,
                                        bool last)
{
    const struct json *names = json_get(document, "ErrorEquals");
    size_t place = compiler->pointer.bytes;
    if (names)
        pointer_append(&compiler->pointer, "ErrorEquals", strlen("ErrorEquals"));
    if (json_type_of(names) != JSON_ARRAY || json_size(names) == 0) {
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_ERROR_NAMES",
                   "ErrorEquals must be a list with at least one error name");
        pointer_cut(&compiler->pointer, place);
        return NULL;
    }
    for (size_t i = 0; i < json_size(names); i++) {
        const char *name = json_string_value(json_at(names, i), NULL);
        if (!name) {
            asl_report(compiler, FINDING_ERROR, "ASL_BAD_ERROR_NAMES",
                       "an error name must be a text, not %s", json_type_name(json_at(names, i)));
            continue;
        }
        name_check(compiler, name);
        if (strcmp(name, ASL_ERROR_ALL) == 0 && json_size(names) > 1)
            asl_report(compiler, FINDING_ERROR, "ASL_BAD_ERROR_NAMES",
                       "States.ALL must stand alone in its ErrorEquals");
        if (strcmp(name, ASL_ERROR_ALL) == 0 && !last)
            asl_report(compiler, FINDING_ERROR, "ASL_BAD_ERROR_NAMES",
                       "States.ALL must stand in the last element of its list");
        if (strcmp(name, ASL_ERROR_RUNTIME) == 0)
            asl_report(compiler, FINDING_WARNING, "ASL_NEVER_MATCHES",
                       "States.Runtime always ends the execution: nothing retries or catches it");
    }
    pointer_cut(&compiler->pointer, place);
    return names;
}

static void fields_check(struct asl_compiler *compiler, const struct json *document,
                         const char *const *known, const char *what)
{
    for (size_t i = 0; i < json_size(document); i++) {
        const char *name = json_name_at(document, i, NULL);
        size_t k = 0;
        while (known[k] && strcmp(known[k], name) != 0)
            k++;
        if (!known[k])
            asl_report_at(compiler, name, "ASL_UNKNOWN_FIELD", "%s has no field \"%s\"", what,
                          name);
    }
}

/* A number of the document within [min, max], or the fallback. */
static double number_compile(struct asl_compiler *compiler, const struct json *document,
                             const char *name, bool whole, double min, double max, double fallback)
{
    const struct json *value = json_get(document, name);
    if (!value)
        return fallback;
    double number = json_double_value(value);
    bool fits = json_type_of(value) == JSON_NUMBER && (!whole || json_is_int(value));
    if (fits && number >= min && number <= max)
        return number;
    asl_report_at(compiler, name, "ASL_BAD_NUMBER", "%s must be %s from %.0f to %.0f", name,
                  whole ? "a whole number" : "a number", min, max);
    return fallback;
}

static void retrier_compile(struct asl_compiler *compiler, struct asl_retrier *retrier,
                            const struct json *document, bool last)
{
    static const char *const known[] = {
        "ErrorEquals",     "IntervalSeconds", "MaxAttempts", "BackoffRate",
        "MaxDelaySeconds", "JitterStrategy",  "Comment",     NULL};
    fields_check(compiler, document, known, "a retrier");
    retrier->names = names_compile(compiler, document, last);
    retrier->interval_seconds = number_compile(compiler, document, "IntervalSeconds", true, 1,
                                               ASL_SECONDS_MAX, RETRY_INTERVAL_SECONDS);
    retrier->max_attempts = (uint32_t)number_compile(compiler, document, "MaxAttempts", true, 0,
                                                     ASL_SECONDS_MAX, RETRY_ATTEMPTS);
    retrier->backoff_rate = number_compile(compiler, document, "BackoffRate", false, 1,
                                           ASL_SECONDS_MAX, RETRY_BACKOFF_RATE);
    retrier->max_delay_seconds = number_compile(compiler, document, "MaxDelaySeconds", true, 1,
                                                ASL_MAX_DELAY_SECONDS_MAX, 0);
    if (retrier->max_delay_seconds > 0 && retrier->max_delay_seconds < retrier->interval_seconds)
        asl_report_at(compiler, "MaxDelaySeconds", "ASL_BAD_NUMBER",
                      "MaxDelaySeconds must not be smaller than IntervalSeconds");
    const struct json *jitter = json_get(document, "JitterStrategy");
    retrier->full_jitter = strcmp(json_string_or(jitter, ""), "FULL") == 0;
    if (jitter && !retrier->full_jitter && strcmp(json_string_or(jitter, ""), "NONE") != 0)
        asl_report_at(compiler, "JitterStrategy", "ASL_BAD_VALUE",
                      "JitterStrategy must be FULL or NONE");
}

static void catcher_compile(struct asl_compiler *compiler, struct asl_catcher *catcher,
                            const struct json *document, bool last)
{
    static const char *const known[] = {"ErrorEquals", "Next",    "ResultPath",
                                        "Assign",      "Comment", NULL};
    fields_check(compiler, document, known, "a catcher");
    catcher->names = names_compile(compiler, document, last);
    catcher->next = asl_compile_target(compiler, document, "Next");
    catcher->assign = asl_compile_assign(compiler, document);
    const struct json *path = json_get(document, "ResultPath");
    catcher->result_discarded = json_type_of(path) == JSON_NULL;
    if (path && !catcher->result_discarded) {
        size_t place = compiler->pointer.bytes;
        pointer_append(&compiler->pointer, "ResultPath", strlen("ResultPath"));
        catcher->result_path = asl_compile_path(compiler, path, ASL_REFERENCE_PATH | ASL_OWN_DATA);
        pointer_cut(&compiler->pointer, place);
    }
}

/* The list of the given name; 0 when it is absent or is no list of objects. */
static size_t list_begin(struct asl_compiler *compiler, const struct json *document,
                         const char *name, const struct json **list)
{
    *list = json_get(document, name);
    if (!*list)
        return 0;
    bool objects = json_type_of(*list) == JSON_ARRAY;
    for (size_t i = 0; objects && i < json_size(*list); i++)
        objects = json_type_of(json_at(*list, i)) == JSON_OBJECT;
    if (!objects)
        asl_report_at(compiler, name, "ASL_BAD_TYPE", "%s must be a list of objects", name);
    return objects ? json_size(*list) : 0;
}

void asl_errors_compile(struct asl_compiler *compiler, struct asl_state *state,
                        const struct json *document)
{
    const struct json *list = NULL;
    size_t place = compiler->pointer.bytes;
    size_t count = list_begin(compiler, document, "Retry", &list);
    if (count) {
        state->retriers = must_calloc(count, sizeof *state->retriers);
        state->retriers_count = count;
    }
    for (size_t i = 0; i < count; i++) {
        pointer_append(&compiler->pointer, "Retry", strlen("Retry"));
        pointer_append_index(&compiler->pointer, i);
        retrier_compile(compiler, &state->retriers[i], json_at(list, i), i + 1 == count);
        pointer_cut(&compiler->pointer, place);
    }
    count = list_begin(compiler, document, "Catch", &list);
    if (count) {
        state->catchers = must_calloc(count, sizeof *state->catchers);
        state->catchers_count = count;
    }
    for (size_t i = 0; i < count; i++) {
        pointer_append(&compiler->pointer, "Catch", strlen("Catch"));
        pointer_append_index(&compiler->pointer, i);
        catcher_compile(compiler, &state->catchers[i], json_at(list, i), i + 1 == count);
        pointer_cut(&compiler->pointer, place);
    }
}
