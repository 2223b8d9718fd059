/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "core/asl_internal.h"

const char *const asl_state_type_names[ASL_STATE_TYPES] = {"Task",    "Pass", "Choice",  "Wait",
                                                           "Succeed", "Fail", "Parallel"};

/* -- reporting and small readers -- */

void asl_report(struct asl_compiler *compiler, enum finding_severity severity, const char *code,
                const char *format, ...)
{
    char text[ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    finding_add(compiler->findings, severity, compiler->source, buffer_text(&compiler->pointer),
                code, "%s", text);
}

void asl_report_at(struct asl_compiler *compiler, const char *member, const char *code,
                   const char *format, ...)
{
    char text[ERROR_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t place = compiler->pointer.bytes;
    pointer_append(&compiler->pointer, member, strlen(member));
    finding_add(compiler->findings, FINDING_ERROR, compiler->source,
                buffer_text(&compiler->pointer), code, "%s", text);
    pointer_cut(&compiler->pointer, place);
}

struct jsonpath *asl_compile_path(struct asl_compiler *compiler, const struct json *value,
                                  unsigned rules)
{
    size_t bytes = 0;
    const char *text = json_string_value(value, &bytes);
    if (!text) {
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_PATH",
                   "a path must be a text that begins with $, not %s", json_type_name(value));
        return NULL;
    }
    struct error error = {0};
    struct jsonpath *path = jsonpath_compile(text, bytes, &error);
    if (!path) {
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_PATH", "the path %s", error.text);
        return NULL;
    }
    const char *wrong = NULL;
    if ((rules & ASL_REFERENCE_PATH) && !jsonpath_is_reference(path))
        wrong = "must be a Reference Path, which has only names and indexes";
    else if ((rules & ASL_NO_CONTEXT) && jsonpath_is_context(path))
        wrong = "must not look into the context object ($$)";
    if (wrong) {
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_PATH", "the path \"%s\" %s", text, wrong);
        jsonpath_free(path);
        return NULL;
    }
    compiler->uses_context = compiler->uses_context || jsonpath_is_context(path);
    return path;
}

static struct jsonpath *path_field(struct asl_compiler *compiler, const struct json *document,
                                   const char *name, unsigned rules, bool *is_null)
{
    const struct json *value = json_get(document, name);
    if (is_null)
        *is_null = json_type_of(value) == JSON_NULL;
    if (!value || (is_null && *is_null))
        return NULL;
    size_t place = compiler->pointer.bytes;
    pointer_append(&compiler->pointer, name, strlen(name));
    struct jsonpath *path = asl_compile_path(compiler, value, rules);
    pointer_cut(&compiler->pointer, place);
    return path;
}

static const char *text_field(struct asl_compiler *compiler, const struct json *document,
                              const char *name)
{
    const struct json *value = json_get(document, name);
    if (value && json_type_of(value) != JSON_STRING)
        asl_report_at(compiler, name, "ASL_BAD_TYPE", "%s must be a text, not %s", name,
                      json_type_name(value));
    return json_string_or(value, NULL);
}

static int64_t seconds_field(struct asl_compiler *compiler, const struct json *document,
                             const char *name, int64_t min, int64_t fallback)
{
    const struct json *value = json_get(document, name);
    if (!value)
        return fallback;
    int64_t seconds = json_int_value(value);
    if (json_is_int(value) && seconds >= min && seconds <= ASL_SECONDS_MAX)
        return seconds;
    asl_report_at(compiler, name, "ASL_BAD_NUMBER", "%s must be a whole number from %d to %d", name,
                  (int)min, ASL_SECONDS_MAX);
    return fallback;
}

static struct asl_template *template_field(struct asl_compiler *compiler,
                                           const struct json *document, const char *name)
{
    const struct json *value = json_get(document, name);
    if (!value)
        return NULL;
    size_t place = compiler->pointer.bytes;
    pointer_append(&compiler->pointer, name, strlen(name));
    struct asl_template *template = asl_template_compile(compiler, value);
    pointer_cut(&compiler->pointer, place);
    return template;
}

static struct asl_state *state_find(const struct asl_scope *scope, const char *name)
{
    for (size_t i = 0; i < scope->count; i++) {
        if (strcmp(scope->states[i].name, name) == 0)
            return &scope->states[i];
    }
    return NULL;
}

struct asl_state *asl_compile_target(struct asl_compiler *compiler, const struct json *document,
                                     const char *field)
{
    const struct json *value = json_get(document, field);
    if (json_type_of(value) != JSON_STRING) {
        if (value)
            asl_report_at(compiler, field, "ASL_BAD_TYPE", "%s must be the name of a state, not %s",
                          field, json_type_name(value));
        else
            asl_report(compiler, FINDING_ERROR, "ASL_MISSING_FIELD", "%s is missing", field);
        return NULL;
    }
    const char *name = json_string_value(value, NULL);
    struct asl_state *state = state_find(compiler->scope, name);
    if (!state)
        asl_report_at(compiler, field, "ASL_UNKNOWN_STATE",
                      "%s names \"%s\", and there is no such state here", field, name);
    return state;
}

/* -- fields that several kinds of states share -- */

static void flow_compile(struct asl_compiler *compiler, struct asl_state *state,
                         const struct json *document)
{
    state->input_path =
        path_field(compiler, document, "InputPath", ASL_ANY_PATH, &state->input_none);
    state->output_path =
        path_field(compiler, document, "OutputPath", ASL_ANY_PATH, &state->output_none);
    state->result_path = path_field(compiler, document, "ResultPath",
                                    ASL_REFERENCE_PATH | ASL_NO_CONTEXT, &state->result_discarded);
    state->parameters = template_field(compiler, document, "Parameters");
    const struct json *selector = json_get(document, "ResultSelector");
    if (selector && json_type_of(selector) != JSON_OBJECT)
        asl_report_at(compiler, "ResultSelector", "ASL_BAD_TYPE",
                      "ResultSelector must be an object");
    state->result_selector = template_field(compiler, document, "ResultSelector");
    const char *language = text_field(compiler, document, "QueryLanguage");
    if (language && strcmp(language, "JSONPath") != 0)
        asl_report_at(compiler, "QueryLanguage", "ASL_UNSUPPORTED_FIELD",
                      "the query language \"%s\" is not supported; JSONPath is", language);
    text_field(compiler, document, "Comment");
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

static void task_compile(struct asl_compiler *compiler, struct asl_state *state,
                         const struct json *document)
{
    state->resource = text_field(compiler, document, "Resource");
    if (!json_get(document, "Resource"))
        asl_report(compiler, FINDING_ERROR, "ASL_MISSING_FIELD",
                   "the Task state \"%s\" has no Resource", state->name);
    else if (state->resource && compiler->resource_known &&
             !compiler->resource_known(state->resource, compiler->resource_context))
        asl_report_at(compiler, "Resource", "ASL_UNKNOWN_RESOURCE",
                      "the resource \"%s\" is not known", state->resource);
    state->timeout_ms = seconds_field(compiler, document, "TimeoutSeconds", 1, 0) * 1000;
    state->timeout_path =
        path_field(compiler, document, "TimeoutSecondsPath", ASL_REFERENCE_PATH, NULL);
    if (json_get(document, "TimeoutSeconds") && json_get(document, "TimeoutSecondsPath"))
        asl_report_at(compiler, "TimeoutSecondsPath", "ASL_CONFLICTING_FIELDS",
                      "TimeoutSeconds and TimeoutSecondsPath are both given");
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
    state->wait_us = seconds_field(compiler, document, "Seconds", 0, 0) * 1000000;
    state->wait_seconds_path =
        path_field(compiler, document, "SecondsPath", ASL_REFERENCE_PATH, NULL);
    state->wait_until_path =
        path_field(compiler, document, "TimestampPath", ASL_REFERENCE_PATH, NULL);
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
        if (json_type_of(choice) == JSON_OBJECT)
            state->choices[i].next = asl_compile_target(compiler, choice, "Next");
        pointer_cut(&compiler->pointer, place);
    }
    if (json_get(document, "Default"))
        state->choice_default = asl_compile_target(compiler, document, "Default");
}

/* ErrorPath and CausePath take a Reference Path or an intrinsic function that gives a text. */
static void fail_text_compile(struct asl_compiler *compiler, struct asl_text *text,
                              const struct json *document, const char *name, const char *path_name)
{
    text->text = text_field(compiler, document, name);
    const struct json *path = json_get(document, path_name);
    if (!path)
        return;
    if (json_get(document, name))
        asl_report_at(compiler, path_name, "ASL_CONFLICTING_FIELDS", "%s and %s are both given",
                      name, path_name);
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

static void scope_compile(struct asl_compiler *compiler, struct asl_scope *scope,
                          const struct json *document, const char *path);

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
    if (compiler->depth >= ASL_NESTING_MAX) {
        asl_report(compiler, FINDING_ERROR, "ASL_TOO_DEEP",
                   "Parallel states are nested more than %d deep", ASL_NESTING_MAX);
        return;
    }
    compiler->depth++;
    state->branches = must_calloc(count, sizeof *state->branches);
    state->branches_count = count;
    size_t place = compiler->pointer.bytes;
    for (size_t i = 0; i < count; i++) {
        struct buffer path = {0};
        buffer_append_format(&path, "%s/%zu/", state->path, i);
        pointer_append(&compiler->pointer, "Branches", strlen("Branches"));
        pointer_append_index(&compiler->pointer, i);
        scope_compile(compiler, &state->branches[i], json_at(branches, i), buffer_text(&path));
        pointer_cut(&compiler->pointer, place);
        buffer_fini(&path);
    }
    compiler->depth--;
}

static void state_compile(struct asl_compiler *compiler, struct asl_state *state,
                          const struct json *document)
{
    const char *type = json_string_or(json_get(document, "Type"), NULL);
    int found = 0;
    while (found < ASL_STATE_TYPES && (!type || strcmp(type, asl_state_type_names[found]) != 0))
        found++;
    if (found == ASL_STATE_TYPES) {
        if (type && strcmp(type, "Map") == 0)
            asl_report_at(compiler, "Type", "ASL_UNSUPPORTED_STATE",
                          "Map states are not supported yet");
        else if (type)
            asl_report_at(compiler, "Type", "ASL_UNKNOWN_STATE_TYPE",
                          "there is no state type \"%s\"", type);
        else
            asl_report(compiler, FINDING_ERROR, "ASL_MISSING_FIELD", "the state \"%s\" has no Type",
                       state->name);
        return;
    }
    state->type = (enum asl_state_type)found;
    compiler->uses_context = false;
    asl_fields_check(compiler, document, state->type);
    flow_compile(compiler, state, document);
    if (state->type == ASL_TASK || state->type == ASL_PASS || state->type == ASL_WAIT ||
        state->type == ASL_PARALLEL)
        next_compile(compiler, state, document);
    if (state->type == ASL_TASK || state->type == ASL_PARALLEL)
        asl_errors_compile(compiler, state, document);
    if (state->type == ASL_TASK)
        task_compile(compiler, state, document);
    else if (state->type == ASL_PASS)
        state->result = json_get(document, "Result");
    else if (state->type == ASL_CHOICE)
        choice_compile(compiler, state, document);
    else if (state->type == ASL_WAIT)
        wait_compile(compiler, state, document);
    if (state->type == ASL_FAIL) {
        fail_text_compile(compiler, &state->error, document, "Error", "ErrorPath");
        fail_text_compile(compiler, &state->cause, document, "Cause", "CausePath");
    }
    state->uses_context = compiler->uses_context;
    compiler->machine->uses_context = compiler->machine->uses_context || compiler->uses_context;
    if (state->type == ASL_PARALLEL)
        parallel_compile(compiler, state, document);
}

/* -- scopes -- */

static size_t characters(const char *text, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* Lays the states out with names and numbers, so that Next can name those that come later. */
static void states_layout(struct asl_compiler *compiler, struct asl_scope *scope,
                          const struct json *states)
{
    scope->count = json_size(states);
    scope->states = must_calloc(scope->count, sizeof *scope->states);
    for (size_t i = 0; i < scope->count; i++) {
        struct asl_state *state = &scope->states[i];
        size_t bytes = 0;
        const char *name = json_name_at(states, i, &bytes);
        state->name = must_strndup(name, bytes);
        struct buffer path = {0};
        buffer_append_text(&path, scope->path);
        buffer_append_text(&path, state->name);
        state->path = buffer_take(&path);
        state->index = compiler->machine->states_count++;
        if (bytes == 0 || characters(name, bytes) > ASL_STATE_NAME_CHARACTERS_MAX)
            asl_report_at(compiler, state->name, "ASL_BAD_NAME",
                          "the name of a state must have 1 to %d characters",
                          ASL_STATE_NAME_CHARACTERS_MAX);
    }
}

static void scope_fields_check(struct asl_compiler *compiler, const struct json *document)
{
    bool outermost = compiler->depth == 0;
    for (size_t i = 0; i < json_size(document); i++) {
        const char *name = json_name_at(document, i, NULL);
        if (!strcmp(name, "StartAt") || !strcmp(name, "States") || !strcmp(name, "Comment"))
            continue;
        if (outermost && (!strcmp(name, "Version") || !strcmp(name, "TimeoutSeconds") ||
                          !strcmp(name, "QueryLanguage")))
            continue;
        asl_report_at(compiler, name, "ASL_UNKNOWN_FIELD", "a %s has no field \"%s\"",
                      outermost ? "state machine" : "branch", name);
    }
}

static void states_compile(struct asl_compiler *compiler, struct asl_scope *scope,
                           const struct json *states)
{
    size_t place = compiler->pointer.bytes;
    pointer_append(&compiler->pointer, "States", strlen("States"));
    states_layout(compiler, scope, states);
    size_t inside = compiler->pointer.bytes;
    for (size_t i = 0; i < scope->count; i++) {
        const struct json *document = json_member_at(states, i);
        pointer_append(&compiler->pointer, scope->states[i].name, strlen(scope->states[i].name));
        compiler->scope = scope;
        if (json_type_of(document) == JSON_OBJECT)
            state_compile(compiler, &scope->states[i], document);
        else
            asl_report(compiler, FINDING_ERROR, "ASL_BAD_TYPE", "a state must be an object, not %s",
                       json_type_name(document));
        pointer_cut(&compiler->pointer, inside);
    }
    compiler->scope = scope;
    pointer_cut(&compiler->pointer, place);
}

static void scope_compile(struct asl_compiler *compiler, struct asl_scope *scope,
                          const struct json *document, const char *path)
{
    scope->path = must_strdup(path);
    if (json_type_of(document) != JSON_OBJECT) {
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_TYPE", "a %s must be an object, not %s",
                   compiler->depth ? "branch" : "state machine", json_type_name(document));
        return;
    }
    scope_fields_check(compiler, document);
    text_field(compiler, document, "Comment");
    const struct json *states = json_get(document, "States");
    if (json_type_of(states) != JSON_OBJECT || json_size(states) == 0) {
        asl_report(compiler, FINDING_ERROR, "ASL_MISSING_FIELD",
                   "States must be an object with at least one state");
        return;
    }
    if (json_size(states) + compiler->machine->states_count > ASL_STATES_MAX) {
        asl_report_at(compiler, "States", "ASL_TOO_LARGE", "a state machine has at most %d states",
                      ASL_STATES_MAX);
        return;
    }
    size_t errors_before = compiler->findings->errors;
    states_compile(compiler, scope, states);
    scope->start = asl_compile_target(compiler, document, "StartAt");
    if (scope->start && compiler->findings->errors == errors_before)
        asl_graph_check(compiler, scope);
}

/* -- machines -- */

static size_t names_collect(const struct asl_scope *scope, const struct asl_state **names,
                            size_t count)
{
    for (size_t i = 0; i < scope->count; i++) {
        names[count++] = &scope->states[i];
        for (size_t b = 0; b < scope->states[i].branches_count; b++)
            count = names_collect(&scope->states[i].branches[b], names, count);
    }
    return count;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct asl_state *const *)a)->name,
                  (*(const struct asl_state *const *)b)->name);
}

/* State names are unique in the whole machine, branches included. */
static void names_check(struct asl_compiler *compiler)
{
    struct asl_machine *machine = compiler->machine;
    const struct asl_state **names = must_calloc(machine->states_count + 1, sizeof *names);
    size_t count = names_collect(&machine->scope, names, 0);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(names[i - 1]->name, names[i]->name) == 0)
            asl_report(compiler, FINDING_ERROR, "ASL_DUPLICATE_STATE",
                       "the name \"%s\" is used by more than one state of the machine (%s and %s)",
                       names[i]->name, names[i - 1]->path, names[i]->path);
    }
    free(names);
}

struct asl_machine *asl_compile(const struct json *definition, const struct source_map *source,
                                asl_resource_known *known, void *known_context,
                                struct findings *findings)
{
    size_t errors_before = findings->errors;
    struct asl_machine *machine = must_calloc(1, sizeof *machine);
    machine->definition = json_hold(definition);
    struct asl_compiler compiler = {.machine = machine,
                                    .source = source,
                                    .findings = findings,
                                    .resource_known = known,
                                    .resource_context = known_context};
    if (source)
        buffer_append_text(&compiler.pointer, source_map_base(source));
    scope_compile(&compiler, &machine->scope, definition, "");
    machine->timeout_ms = seconds_field(&compiler, definition, "TimeoutSeconds", 1, 0) * 1000;
    const char *version = text_field(&compiler, definition, "Version");
    if (version && strcmp(version, "1.0") != 0)
        asl_report_at(&compiler, "Version", "ASL_BAD_VERSION",
                      "Version must be \"1.0\", not \"%s\"", version);
    const char *language = text_field(&compiler, definition, "QueryLanguage");
    if (language && strcmp(language, "JSONPath") != 0)
        asl_report_at(&compiler, "QueryLanguage", "ASL_UNSUPPORTED_FIELD",
                      "the query language \"%s\" is not supported; JSONPath is", language);
    names_check(&compiler);
    buffer_fini(&compiler.pointer);
    if (findings->errors == errors_before)
        return machine;
    asl_machine_free(machine);
    return NULL;
}

static void text_fini(struct asl_text *text)
{
    jsonpath_free(text->path);
    asl_call_free(text->call);
}

static void scope_fini(struct asl_scope *scope);

static void state_fini(struct asl_state *state)
{
    free(state->name);
    free(state->path);
    jsonpath_free(state->input_path);
    jsonpath_free(state->output_path);
    jsonpath_free(state->result_path);
    asl_template_free(state->parameters);
    asl_template_free(state->result_selector);
    free(state->retriers);
    for (size_t i = 0; i < state->catchers_count; i++)
        jsonpath_free(state->catchers[i].result_path);
    free(state->catchers);
    jsonpath_free(state->timeout_path);
    jsonpath_free(state->wait_seconds_path);
    jsonpath_free(state->wait_until_path);
    for (size_t i = 0; i < state->choices_count; i++)
        asl_rule_free(state->choices[i].rule);
    free(state->choices);
    text_fini(&state->error);
    text_fini(&state->cause);
    for (size_t i = 0; i < state->branches_count; i++)
        scope_fini(&state->branches[i]);
    free(state->branches);
}

static void scope_fini(struct asl_scope *scope)
{
    for (size_t i = 0; i < scope->count; i++)
        state_fini(&scope->states[i]);
    free(scope->states);
    free(scope->path);
}

void asl_machine_free(struct asl_machine *machine)
{
    if (!machine)
        return;
    scope_fini(&machine->scope);
    json_release(machine->definition);
    free(machine);
}

int64_t asl_machine_timeout_ms(const struct asl_machine *machine) { return machine->timeout_ms; }

const struct json *asl_machine_definition(const struct asl_machine *machine)
{
    return machine->definition;
}
