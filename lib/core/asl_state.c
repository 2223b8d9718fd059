/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/instant.h"
#include "core/asl_compile.h"

/* -- fields that several kinds of states share -- */

static void flow_compile(struct asl_compiler *compiler, struct asl_state *state,
                         const struct json *document)
{
    state->input_path =
        asl_path_field(compiler, document, "InputPath", ASL_ANY_PATH, &state->input_none);
    state->output_path =
        asl_path_field(compiler, document, "OutputPath", ASL_ANY_PATH, &state->output_none);
    state->result_path =
        asl_path_field(compiler, document, "ResultPath", ASL_REFERENCE_PATH | ASL_OWN_DATA,
                       &state->result_discarded);
    state->parameters = asl_template_field(compiler, document, "Parameters");
    state->result_selector = asl_template_field(compiler, document, "ResultSelector");
    const char *language = asl_text_field(compiler, document, "QueryLanguage");
    if (language && strcmp(language, "JSONPath") != 0)
        asl_report_at(compiler, "QueryLanguage", "ASL_UNSUPPORTED_FIELD",
                      "the query language \"%s\" is not supported; JSONPath is", language);
    asl_text_field(compiler, document, "Comment");
}

static void next_compile(struct asl_compiler *compiler, struct asl_state *state,
                         const struct json *document)
{
    const struct json *end = json_get(document, "End");
    const struct json *next = json_get(document, "Next");
    if (end && json_type_of(end) != JSON_TRUE && json_type_of(end) != JSON_FALSE)
        asl_report_at(compiler, "End", "ASL_BAD_TYPE", "End must be true or false");
    if (json_is_true(end) && next)
        asl_report_at(compiler, "Next", "ASL_NEXT_AND_END",
                      "the state \"%s\" has both Next and End", state->name);
    else if (!json_is_true(end) && !next)
        asl_report(compiler, FINDING_ERROR, "ASL_MISSING_NEXT",
                   "the state \"%s\" has neither Next nor End", state->name);
    if (next)
        state->next = asl_compile_target(compiler, document, "Next");
}

/* -- one function for each kind of state -- */

static void conflict_check(struct asl_compiler *compiler, const struct json *document,
                           const char *one, const char *other)
{
    if (json_get(document, one) && json_get(document, other))
        asl_report_at(compiler, other, "ASL_CONFLICTING_FIELDS", "%s and %s are both given", one,
                      other);
}

static void task_compile(struct asl_compiler *compiler, struct asl_state *state,
                         const struct json *document)
{
    state->resource = asl_text_field(compiler, document, "Resource");
    if (!json_get(document, "Resource"))
        asl_report(compiler, FINDING_ERROR, "ASL_MISSING_FIELD",
                   "the Task state \"%s\" has no Resource", state->name);
    else if (state->resource && !*state->resource)
        asl_report_at(compiler, "Resource", "ASL_BAD_VALUE", "Resource must not be empty");
    else if (state->resource && compiler->resource_known &&
             !compiler->resource_known(state->resource, compiler->resource_context))
        asl_report_at(compiler, "Resource", "ASL_UNKNOWN_RESOURCE",
                      "the resource \"%s\" is not known", state->resource);
    state->has_token = state->resource && text_ends_with(state->resource, ".waitForTaskToken");
    state->timeout_ms = asl_seconds_field(compiler, document, "TimeoutSeconds", 1, 0) * 1000;
    state->timeout_path =
        asl_path_field(compiler, document, "TimeoutSecondsPath", ASL_REFERENCE_PATH, NULL);
    state->heartbeat_ms = asl_seconds_field(compiler, document, "HeartbeatSeconds", 1, 0) * 1000;
    state->heartbeat_path =
        asl_path_field(compiler, document, "HeartbeatSecondsPath", ASL_REFERENCE_PATH, NULL);
    conflict_check(compiler, document, "TimeoutSeconds", "TimeoutSecondsPath");
    conflict_check(compiler, document, "HeartbeatSeconds", "HeartbeatSecondsPath");
    if (state->timeout_ms > 0 && state->heartbeat_ms >= state->timeout_ms)
        asl_report_at(compiler, "HeartbeatSeconds", "ASL_BAD_NUMBER",
                      "HeartbeatSeconds must be smaller than TimeoutSeconds");
}

static void wait_compile(struct asl_compiler *compiler, struct asl_state *state,
                         const struct json *document)
{
    static const char *const forms[] = {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"};
    int given = 0;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        given += json_get(document, forms[i]) != NULL;
    if (given != 1)
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_WAIT",
                   "the Wait state \"%s\" needs exactly one of Seconds, SecondsPath, Timestamp and "
                   "TimestampPath",
                   state->name);
    state->wait_us = asl_seconds_field(compiler, document, "Seconds", 0, 0) * 1000000;
    state->wait_seconds_path =
        asl_path_field(compiler, document, "SecondsPath", ASL_REFERENCE_PATH, NULL);
    state->wait_until_path =
        asl_path_field(compiler, document, "TimestampPath", ASL_REFERENCE_PATH, NULL);
    const struct json *until = json_get(document, "Timestamp");
    size_t bytes = 0;
    const char *text = json_string_value(until, &bytes);
    state->wait_has_until = text && instant_parse(text, bytes, &state->wait_until_us);
    if (until && !state->wait_has_until)
        asl_report_at(compiler, "Timestamp", "ASL_BAD_TIMESTAMP",
                      "Timestamp must be an RFC 3339 timestamp with upper-case T and Z, like "
                      "2026-01-31T12:00:00Z");
}

static void choice_compile(struct asl_compiler *compiler, struct asl_state *state,
                           const struct json *document)
{
    const struct json *choices = json_get(document, "Choices");
    if (json_type_of(choices) != JSON_ARRAY || json_size(choices) == 0) {
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_CHOICE",
                   "the Choice state \"%s\" needs at least one choice", state->name);
    } else {
        state->choices_count = json_size(choices);
        state->choices = must_calloc(state->choices_count, sizeof *state->choices);
    }
    size_t place = compiler->pointer.bytes;
    for (size_t i = 0; i < state->choices_count; i++) {
        const struct json *choice = json_at(choices, i);
        pointer_append(&compiler->pointer, "Choices", strlen("Choices"));
        pointer_append_index(&compiler->pointer, i);
        state->choices[i].rule = asl_rule_compile(compiler, choice, false);
        if (json_type_of(choice) == JSON_OBJECT) {
            state->choices[i].next = asl_compile_target(compiler, choice, "Next");
            state->choices[i].assign = asl_compile_assign(compiler, choice);
        }
        pointer_cut(&compiler->pointer, place);
    }
    if (json_get(document, "Default"))
        state->choice_default = asl_compile_target(compiler, document, "Default");
}

/* ErrorPath and CausePath take a Reference Path or an intrinsic function that gives a text. */
static void fail_text_compile(struct asl_compiler *compiler, struct asl_text *text,
                              const struct json *document, const char *name, const char *path_name)
{
    text->text = asl_text_field(compiler, document, name);
    const struct json *path = json_get(document, path_name);
    if (!path)
        return;
    conflict_check(compiler, document, name, path_name);
    size_t place = compiler->pointer.bytes;
    pointer_append(&compiler->pointer, path_name, strlen(path_name));
    size_t bytes = 0;
    const char *source = json_string_value(path, &bytes);
    if (source && strncmp(source, "States.", 7) == 0)
        text->call = asl_call_compile(compiler, source, bytes);
    else
        text->path = asl_compile_path(compiler, path, ASL_REFERENCE_PATH);
    pointer_cut(&compiler->pointer, place);
}
/* Room for scopes below the state; false when they would lie too deep. */
static bool scopes_open(struct asl_compiler *compiler, struct asl_state *state, size_t count)
{
    if (compiler->depth >= ASL_NESTING_MAX) {
        asl_report(compiler, FINDING_ERROR, "ASL_TOO_DEEP",
                   "Parallel and Map states are nested more than %d deep", ASL_NESTING_MAX);
        return false;
    }
    compiler->depth++;
    state->branches = must_calloc(count, sizeof *state->branches);
    state->branches_count = count;
    return true;
}

static void parallel_compile(struct asl_compiler *compiler, struct asl_state *state,
                             const struct json *document)
{
    const struct json *branches = json_get(document, "Branches");
    size_t count = json_size(branches);
    if (json_type_of(branches) != JSON_ARRAY || count == 0 || count > ASL_BRANCHES_MAX) {
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_BRANCHES",
                   "the Parallel state \"%s\" needs a list of 1 to %d Branches", state->name,
                   ASL_BRANCHES_MAX);
        return;
    }
    if (!scopes_open(compiler, state, count))
        return;
    size_t place = compiler->pointer.bytes;
    for (size_t i = 0; i < count; i++) {
        struct buffer path = {0};
        buffer_append_format(&path, "%s/%zu/", state->path, i);
        pointer_append(&compiler->pointer, "Branches", strlen("Branches"));
        pointer_append_index(&compiler->pointer, i);
        asl_scope_compile(compiler, &state->branches[i], json_at(branches, i), ASL_SCOPE_BRANCH,
                          buffer_text(&path));
        pointer_cut(&compiler->pointer, place);
        buffer_fini(&path);
    }
    compiler->depth--;
}

/* The fields of a Map state's own; its item processor comes after all of the state's paths. */
static void map_compile(struct asl_compiler *compiler, struct asl_state *state,
                        const struct json *document)
{
    state->items_path = asl_path_field(compiler, document, "ItemsPath", ASL_REFERENCE_PATH, NULL);
    state->max_concurrency_path =
        asl_path_field(compiler, document, "MaxConcurrencyPath", ASL_REFERENCE_PATH, NULL);
    state->max_concurrency = asl_seconds_field(compiler, document, "MaxConcurrency", 0, 0);
    if (json_get(document, "ItemSelector")) {
        asl_template_free(state->parameters); /* both given: an error, told below */
        state->parameters = asl_template_field(compiler, document, "ItemSelector");
    }
    conflict_check(compiler, document, "ItemSelector", "Parameters");
    conflict_check(compiler, document, "MaxConcurrency", "MaxConcurrencyPath");
    conflict_check(compiler, document, "ItemProcessor", "Iterator");
}

static void processor_config_check(struct asl_compiler *compiler, const struct json *processor)
{
    const struct json *config = json_get(processor, "ProcessorConfig");
    if (!config)
        return;
    const char *mode = json_string_or(json_get(config, "Mode"), "INLINE");
    if (json_type_of(config) != JSON_OBJECT)
        asl_report_at(compiler, "ProcessorConfig", "ASL_BAD_TYPE",
                      "ProcessorConfig must be an object, not %s", json_type_name(config));
    else if (strcmp(mode, "DISTRIBUTED") == 0)
        asl_report_at(compiler, "ProcessorConfig", "ASL_UNSUPPORTED_FIELD",
                      "the processing mode DISTRIBUTED is not supported; INLINE is");
    else if (strcmp(mode, "INLINE") != 0)
        asl_report_at(compiler, "ProcessorConfig", "ASL_BAD_VALUE", "Mode must be INLINE");
}

static void processor_compile(struct asl_compiler *compiler, struct asl_state *state,
                              const struct json *document)
{
    const char *field = json_get(document, "ItemProcessor") ? "ItemProcessor" : "Iterator";
    const struct json *processor = json_get(document, field);
    if (!processor) {
        asl_report(compiler, FINDING_ERROR, "ASL_MISSING_FIELD",
                   "the Map state \"%s\" has no ItemProcessor", state->name);
        return;
    }
    if (!scopes_open(compiler, state, 1))
        return;
    size_t place = compiler->pointer.bytes;
    struct buffer path = {0};
    buffer_append_format(&path, "%s/*/", state->path);
    pointer_append(&compiler->pointer, field, strlen(field));
    processor_config_check(compiler, processor);
    asl_scope_compile(compiler, &state->branches[0], processor, ASL_SCOPE_PROCESSOR,
                      buffer_text(&path));
    pointer_cut(&compiler->pointer, place);
    buffer_fini(&path);
    compiler->depth--;
}

static bool type_compile(struct asl_compiler *compiler, struct asl_state *state,
                         const struct json *document)
{
    const char *type = json_string_or(json_get(document, "Type"), NULL);
    int found = 0;
    while (found < ASL_STATE_TYPES && (!type || strcmp(type, asl_state_type_names[found]) != 0))
        found++;
    state->type = (enum asl_state_type)found;
    if (found < ASL_STATE_TYPES)
        return true;
    if (type)
        asl_report_at(compiler, "Type", "ASL_UNKNOWN_STATE_TYPE", "there is no state type \"%s\"",
                      type);
    else if (json_get(document, "Type"))
        asl_report_at(compiler, "Type", "ASL_BAD_TYPE", "Type must be a text, not %s",
                      json_type_name(json_get(document, "Type")));
    else
        asl_report(compiler, FINDING_ERROR, "ASL_MISSING_FIELD", "the state \"%s\" has no Type",
                   state->name);
    return false;
}

/* What only states of this type have. */
static void own_fields_compile(struct asl_compiler *compiler, struct asl_state *state,
                               const struct json *document)
{
    switch (state->type) {
    case ASL_TASK:
        task_compile(compiler, state, document);
        break;
    case ASL_PASS:
        state->result = json_get(document, "Result");
        break;
    case ASL_CHOICE:
        choice_compile(compiler, state, document);
        break;
    case ASL_WAIT:
        wait_compile(compiler, state, document);
        break;
    case ASL_FAIL:
        fail_text_compile(compiler, &state->error, document, "Error", "ErrorPath");
        fail_text_compile(compiler, &state->cause, document, "Cause", "CausePath");
        break;
    case ASL_MAP:
        map_compile(compiler, state, document);
        break;
    case ASL_PARALLEL:
    case ASL_SUCCEED:
    case ASL_STATE_TYPES:
        break;
    }
}

void asl_state_compile(struct asl_compiler *compiler, struct asl_state *state,
                       const struct json *document)
{
    if (!type_compile(compiler, state, document))
        return;
    bool works = state->type == ASL_TASK || state->type == ASL_PARALLEL || state->type == ASL_MAP;
    compiler->uses_context = false;
    asl_fields_check(compiler, document, state->type);
    flow_compile(compiler, state, document);
    if (works || state->type == ASL_PASS || state->type == ASL_WAIT)
        next_compile(compiler, state, document);
    if (works)
        asl_errors_compile(compiler, state, document);
    own_fields_compile(compiler, state, document);
    state->assign = asl_compile_assign(compiler, document);
    state->uses_context = compiler->uses_context;
    compiler->machine->uses_context = compiler->machine->uses_context || compiler->uses_context;
    if (state->type == ASL_PARALLEL)
        parallel_compile(compiler, state, document);
    else if (state->type == ASL_MAP)
        processor_compile(compiler, state, document);
}
