/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/asl_compile.h"
#include "core/similar.h"

const char *const asl_state_type_names[ASL_STATE_TYPES] = {"Task",    "Pass", "Choice",   "Wait",
                                                           "Succeed", "Fail", "Parallel", "Map"};

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

/* A variable that some Assign of these states, or of those around them, gives a value to. */
static bool variable_check(struct asl_compiler *compiler, const struct jsonpath *path)
{
    const char *name = jsonpath_variable(path);
    const struct asl_scope *scope = compiler->scope;
    if (!name)
        return true;
    while (scope && !json_get(scope->variables, name))
        scope = scope->outer;
    if (!scope)
        asl_report(compiler, FINDING_ERROR, "ASL_UNDEFINED_VARIABLE",
                   "the path \"%s\" names the variable \"%s\", and no Assign here or around "
                   "gives it a value",
                   jsonpath_text(path), name);
    return scope != NULL;
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
    else if ((rules & ASL_OWN_DATA) && jsonpath_is_context(path))
        wrong = "must not look into the context object ($$)";
    else if ((rules & ASL_OWN_DATA) && jsonpath_variable(path))
        wrong = "must not look into a variable";
    if (wrong) {
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_PATH", "the path \"%s\" %s", text, wrong);
        jsonpath_free(path);
        return NULL;
    }
    if (!variable_check(compiler, path)) {
        jsonpath_free(path);
        return NULL;
    }
    compiler->uses_context = compiler->uses_context || jsonpath_is_context(path);
    return path;
}

struct jsonpath *asl_path_field(struct asl_compiler *compiler, const struct json *document,
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

const char *asl_text_field(struct asl_compiler *compiler, const struct json *document,
                           const char *name)
{
    const struct json *value = json_get(document, name);
    if (value && json_type_of(value) != JSON_STRING)
        asl_report_at(compiler, name, "ASL_BAD_TYPE", "%s must be a text, not %s", name,
                      json_type_name(value));
    return json_string_or(value, NULL);
}

int64_t asl_seconds_field(struct asl_compiler *compiler, const struct json *document,
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

struct asl_template *asl_template_field(struct asl_compiler *compiler, const struct json *document,
                                        const char *name)
{
    const struct json *value = json_get(document, name);
    if (!value)
        return NULL;
    if (json_type_of(value) != JSON_OBJECT) {
        asl_report_at(compiler, name, "ASL_BAD_TYPE", "%s must be an object, not %s", name,
                      json_type_name(value));
        return NULL;
    }
    size_t place = compiler->pointer.bytes;
    pointer_append(&compiler->pointer, name, strlen(name));
    struct asl_template *template = asl_template_compile(compiler, value);
    pointer_cut(&compiler->pointer, place);
    return template;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct asl_state *const *)a)->name,
                  (*(const struct asl_state *const *)b)->name);
}

static struct asl_state *state_find(const struct asl_scope *scope, const char *name)
{
    const struct asl_state wanted = {.name = (char *)(uintptr_t)name}, *key = &wanted;
    struct asl_state **found = scope->by_name ? bsearch(&key, scope->by_name, scope->count,
                                                        sizeof *scope->by_name, by_name)
                                              : NULL;
    return found ? *found : NULL;
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
    if (!state) {
        struct similar similar = {.name = name};
        struct buffer question = {0};
        bool few = compiler->findings->count < SIMILAR_FINDINGS_MAX;
        for (size_t i = 0; few && i < compiler->scope->count; i++)
            similar_try(&similar, compiler->scope->states[i].name);
        asl_report_at(compiler, field, "ASL_UNKNOWN_STATE",
                      "%s names \"%s\", and there is no such state here%s", field, name,
                      similar_ask(&similar, &question));
        buffer_fini(&question);
    }
    return state;
}
size_t asl_plain_name_bytes(const char *name, size_t bytes)
{
    bool dynamic = bytes >= 2 && memcmp(name + bytes - 2, ".$", 2) == 0;
    return dynamic ? bytes - 2 : bytes;
}

/* A variable has the name of an identifier, and no scope around has one of the same name. */
static void assign_name_check(struct asl_compiler *compiler, const char *name, size_t bytes)
{
    struct buffer text = {0};
    struct error error = {0};
    size_t plain = asl_plain_name_bytes(name, bytes);
    buffer_append_format(&text, "$%.*s", (int)plain, name);
    struct jsonpath *path = jsonpath_compile(buffer_text(&text), text.bytes, &error);
    const char *variable = path ? jsonpath_variable(path) : NULL;
    const struct asl_scope *outer = compiler->scope->outer;
    while (outer && variable && !json_get(outer->variables, variable))
        outer = outer->outer;
    if (!variable || strlen(variable) != plain)
        asl_report_at(compiler, name, "ASL_BAD_VARIABLE",
                      "the name of a variable must be an identifier of at most %d characters: "
                      "a letter, then letters, digits and _",
                      ASL_VARIABLE_NAME_CHARACTERS_MAX);
    else if (strcmp(variable, "states") == 0)
        asl_report_at(compiler, name, "ASL_BAD_VARIABLE", "the variable \"states\" is reserved");
    else if (outer)
        asl_report_at(compiler, name, "ASL_BAD_VARIABLE",
                      "the variable \"%s\" belongs to the states around this one, which can read "
                      "it but not assign it",
                      variable);
    jsonpath_free(path);
    buffer_fini(&text);
}

struct asl_template *asl_compile_assign(struct asl_compiler *compiler, const struct json *document)
{
    const struct json *assign = json_get(document, "Assign");
    if (!assign)
        return NULL;
    if (json_type_of(assign) != JSON_OBJECT) {
        asl_report_at(compiler, "Assign", "ASL_BAD_TYPE", "Assign must be an object, not %s",
                      json_type_name(assign));
        return NULL;
    }
    size_t place = compiler->pointer.bytes;
    pointer_append(&compiler->pointer, "Assign", strlen("Assign"));
    for (size_t i = 0; i < json_size(assign); i++) {
        size_t bytes = 0;
        const char *name = json_name_at(assign, i, &bytes);
        assign_name_check(compiler, name, bytes);
    }
    struct asl_template *template = asl_template_compile(compiler, assign);
    pointer_cut(&compiler->pointer, place);
    return template;
}

/* -- scopes -- */

/* A / in a name would make two places look the same: written as in a JSON pointer. */
static void path_append(struct buffer *path, const char *name)
{
    for (; *name; name++) {
        if (*name == '~' || *name == '/')
            buffer_append_text(path, *name == '~' ? "~0" : "~1");
        else
            buffer_append_char(path, *name);
    }
}

static bool has_control_character(const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name < 0x20 || *name == 0x7F)
            return true;
    return false;
}

/* Lays the states out with names and numbers, so that Next can name those that come later. */
static void states_layout(struct asl_compiler *compiler, struct asl_scope *scope,
                          const struct json *states)
{
    scope->count = json_size(states);
    scope->states = must_calloc(scope->count, sizeof *scope->states);
    scope->by_name = must_calloc(scope->count, sizeof(struct asl_state *));
    for (size_t i = 0; i < scope->count; i++) {
        struct asl_state *state = scope->by_name[i] = &scope->states[i];
        size_t bytes = 0;
        const char *name = json_name_at(states, i, &bytes);
        state->name = must_strndup(name, bytes);
        struct buffer path = {0};
        buffer_append_text(&path, scope->path);
        path_append(&path, state->name);
        state->path = buffer_take(&path);
        state->index = compiler->machine->states_count++;
        if (bytes == 0 || utf8_characters(name, bytes) > ASL_STATE_NAME_CHARACTERS_MAX)
            asl_report_at(compiler, state->name, "ASL_BAD_NAME",
                          "the name of a state must have 1 to %d characters",
                          ASL_STATE_NAME_CHARACTERS_MAX);
        else if (has_control_character(state->name))
            asl_report_at(compiler, state->name, "ASL_BAD_NAME",
                          "the name of a state must have no control characters");
    }
    qsort(scope->by_name, scope->count, sizeof(struct asl_state *), by_name);
}

static bool name_is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

static const char *const scope_names[] = {"state machine", "branch", "item processor"};

static void scope_fields_check(struct asl_compiler *compiler, const struct json *document,
                               enum asl_scope_kind kind)
{
    static const char *const of_all[] = {"StartAt", "States", "Comment", NULL};
    static const char *const of_machine[] = {"Version", "TimeoutSeconds", "QueryLanguage", NULL};
    static const char *const of_processor[] = {"ProcessorConfig", NULL};
    static const char *const none[] = {NULL};
    const char *const *own = kind == ASL_SCOPE_MACHINE     ? of_machine
                             : kind == ASL_SCOPE_PROCESSOR ? of_processor
                                                           : none;
    for (size_t i = 0; i < json_size(document); i++) {
        const char *name = json_name_at(document, i, NULL);
        if (!name_is_one_of(name, of_all) && !name_is_one_of(name, own))
            asl_report_at(compiler, name, "ASL_UNKNOWN_FIELD", "a %s has no field \"%s\"",
                          scope_names[kind], name);
    }
}

/* Which variables the Assign of a state, choice rule or catcher gives a value to. */
static void variables_add(struct asl_scope *scope, const struct json *document)
{
    const struct json *assign = json_get(document, "Assign");
    for (size_t i = 0; json_type_of(assign) == JSON_OBJECT && i < json_size(assign); i++) {
        size_t bytes = 0;
        const char *name = json_name_at(assign, i, &bytes);
        json_object_set_bytes(scope->variables, name, asl_plain_name_bytes(name, bytes),
                              json_bool(true));
    }
}

static void variables_add_list(struct asl_scope *scope, const struct json *list)
{
    for (size_t i = 0; json_type_of(list) == JSON_ARRAY && i < json_size(list); i++)
        variables_add(scope, json_at(list, i));
}

/* Before the states are compiled: a path may name a variable that a later state assigns. */
static void variables_collect(struct asl_scope *scope, const struct json *states)
{
    scope->variables = json_object();
    for (size_t i = 0; i < json_size(states); i++) {
        const struct json *document = json_member_at(states, i);
        if (json_type_of(document) != JSON_OBJECT)
            continue;
        variables_add(scope, document);
        variables_add_list(scope, json_get(document, "Choices"));
        variables_add_list(scope, json_get(document, "Catch"));
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
            asl_state_compile(compiler, &scope->states[i], document);
        else
            asl_report(compiler, FINDING_ERROR, "ASL_BAD_TYPE", "a state must be an object, not %s",
                       json_type_name(document));
        pointer_cut(&compiler->pointer, inside);
    }
    compiler->scope = scope;
    pointer_cut(&compiler->pointer, place);
}

/* One for the list itself, and the most that any of its states runs below it. */
static size_t frames_of(const struct asl_scope *scope)
{
    size_t most = 0;
    for (size_t i = 0; i < scope->count; i++) {
        size_t below = 0;
        for (size_t b = 0; b < scope->states[i].branches_count; b++)
            below += scope->states[i].branches[b].frames;
        most = below > most ? below : most;
    }
    return most + 1;
}

void asl_scope_compile(struct asl_compiler *compiler, struct asl_scope *scope,
                       const struct json *document, enum asl_scope_kind kind, const char *path)
{
    scope->path = must_strdup(path);
    scope->outer = compiler->scope;
    if (json_type_of(document) != JSON_OBJECT) {
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_TYPE", "a %s must be an object, not %s",
                   scope_names[kind], json_type_name(document));
        return;
    }
    scope_fields_check(compiler, document, kind);
    asl_text_field(compiler, document, "Comment");
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
    variables_collect(scope, states);
    states_compile(compiler, scope, states);
    scope->frames = frames_of(scope);
    scope->start = asl_compile_target(compiler, document, "StartAt");
    free(scope->by_name);
    scope->by_name = NULL;
    if (scope->start && compiler->findings->errors == errors_before)
        asl_graph_check(compiler, scope);
    compiler->scope = (struct asl_scope *)(uintptr_t)scope->outer;
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

/* State names are unique in the whole machine, branches included. */
static void names_check(struct asl_compiler *compiler)
{
    struct asl_machine *machine = compiler->machine;
    const struct asl_state **names = must_calloc(machine->states_count + 1, sizeof *names);
    size_t count = names_collect(&machine->scope, names, 0);
    qsort(names, count, sizeof *names, by_name);
    bool twice = false;
    for (size_t i = 1; i < count; i++)
        twice = twice || strcmp(names[i - 1]->name, names[i]->name) == 0;
    if (twice)
        asl_duplicates_report(compiler);
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
    asl_scope_compile(&compiler, &machine->scope, definition, ASL_SCOPE_MACHINE, "");
    machine->timeout_ms = asl_seconds_field(&compiler, definition, "TimeoutSeconds", 1, 0) * 1000;
    const char *version = asl_text_field(&compiler, definition, "Version");
    if (version && strcmp(version, "1.0") != 0)
        asl_report_at(&compiler, "Version", "ASL_BAD_VERSION",
                      "Version must be \"1.0\", not \"%s\"", version);
    const char *language = asl_text_field(&compiler, definition, "QueryLanguage");
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
    asl_template_free(state->assign);
    free(state->retriers);
    for (size_t i = 0; i < state->catchers_count; i++) {
        jsonpath_free(state->catchers[i].result_path);
        asl_template_free(state->catchers[i].assign);
    }
    free(state->catchers);
    jsonpath_free(state->timeout_path);
    jsonpath_free(state->heartbeat_path);
    jsonpath_free(state->items_path);
    jsonpath_free(state->max_concurrency_path);
    jsonpath_free(state->wait_seconds_path);
    jsonpath_free(state->wait_until_path);
    for (size_t i = 0; i < state->choices_count; i++) {
        asl_rule_free(state->choices[i].rule);
        asl_template_free(state->choices[i].assign);
    }
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
    json_release(scope->variables);
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
