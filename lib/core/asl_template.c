/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "core/asl_compile.h"

enum template_type {
    TEMPLATE_CONSTANT,
    TEMPLATE_PATH,
    TEMPLATE_CALL,
    TEMPLATE_OBJECT,
    TEMPLATE_ARRAY
};

struct asl_template {
    enum template_type type;
    struct json *constant;           /* of a container: its size and names */
    struct asl_bound constant_bound; /* of a container: without its members, with their names */
    struct jsonpath *path;
    struct asl_call *call;
    char *name; /* as a member of an object, ".$" cut off */
    size_t name_bytes;
    struct asl_template **members;
    size_t count;
};

struct json *asl_view_get(const struct asl_view *view, const struct jsonpath *path,
                          struct asl_failure *failure)
{
    const struct json *root = view->data;
    if (jsonpath_variable(path))
        root = asl_variable_find(view->frame, jsonpath_variable(path));
    else if (jsonpath_is_context(path))
        root = view->context;
    bool too_much = false;
    struct json *found = root ? jsonpath_find(path, root, &too_much) : NULL;
    if (too_much)
        asl_failure_set(failure, ASL_ERROR_DATA_LIMIT,
                        "The path %s looks at or finds more values than a path may.",
                        jsonpath_text(path));
    return found;
}

struct asl_bound asl_selected_bound(const struct asl_view *view, const struct jsonpath *path,
                                    const struct asl_bound *data, const struct json *selected)
{
    if (!jsonpath_is_definite(path))
        asl_meter_made(view->meter, json_size(selected) * sizeof(struct json *));
    if (jsonpath_is_context(path) || jsonpath_variable(path) || jsonpath_may_repeat(path))
        return asl_measure(view->meter, selected);
    /* A part of the data, and of an array that has two brackets more. */
    return (struct asl_bound){data->bytes + 2, data->depth + !jsonpath_is_definite(path)};
}

void asl_template_free(struct asl_template *template)
{
    if (!template)
        return;
    for (size_t i = 0; i < template->count; i++)
        asl_template_free(template->members[i]);
    free(template->members);
    json_release(template->constant);
    jsonpath_free(template->path);
    asl_call_free(template->call);
    free(template->name);
    free(template);
}

/* -- compiling -- */

static struct asl_template *template_new(enum template_type type, size_t count)
{
    struct asl_template *template = must_calloc(1, sizeof *template);
    template->type = type;
    template->count = count;
    template->members = count ? must_calloc(count, sizeof *template->members) : NULL;
    return template;
}

static struct asl_template *constant_new(const struct json *value)
{
    struct asl_template *template = template_new(TEMPLATE_CONSTANT, 0);
    template->constant = json_hold(value);
    template->constant_bound = asl_bound_of(value);
    return template;
}

/* The value of a field whose name ends in ".$": a path or an intrinsic function. */
static struct asl_template *dynamic_compile(struct asl_compiler *compiler, const struct json *value)
{
    size_t bytes = 0;
    const char *text = json_string_value(value, &bytes);
    if (!text) {
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_TEMPLATE",
                   "a field whose name ends in \".$\" must be a text with a path or an intrinsic "
                   "function, not %s",
                   json_type_name(value));
        return constant_new(value);
    }
    struct asl_template *template = template_new(text[0] == '$' ? TEMPLATE_PATH : TEMPLATE_CALL, 0);
    if (template->type == TEMPLATE_PATH)
        template->path = asl_compile_path(compiler, value, ASL_ANY_PATH);
    else
        template->call = asl_call_compile(compiler, text, bytes);
    return template;
}

static struct asl_template *member_compile(struct asl_compiler *compiler, const struct json *object,
                                           size_t index)
{
    size_t bytes = 0;
    const char *name = json_name_at(object, index, &bytes);
    const struct json *value = json_member_at(object, index);
    size_t place = compiler->pointer.bytes;
    pointer_append(&compiler->pointer, name, bytes);

    size_t plain_bytes = asl_plain_name_bytes(name, bytes);
    bool dynamic = plain_bytes < bytes;
    if (dynamic && plain_bytes == 0)
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_TEMPLATE",
                   "a field needs a name before its \".$\"");
    if (dynamic && json_get_bytes(object, name, plain_bytes))
        asl_report(compiler, FINDING_ERROR, "ASL_BAD_TEMPLATE",
                   "\"%s\" and the same name without \".$\" are both given", name);
    struct asl_template *member =
        dynamic ? dynamic_compile(compiler, value) : asl_template_compile(compiler, value);
    member->name_bytes = plain_bytes;
    member->name = must_strndup(name, member->name_bytes);
    pointer_cut(&compiler->pointer, place);
    return member;
}

/* A container without anything dynamic inside is a constant: it is shared, not built again. */
static struct asl_template *fold(struct asl_template *template, const struct json *document)
{
    for (size_t i = 0; i < template->count; i++) {
        if (template->members[i]->type != TEMPLATE_CONSTANT)
            return template;
    }
    asl_template_free(template);
    return constant_new(document);
}

struct asl_template *asl_template_compile(struct asl_compiler *compiler,
                                          const struct json *document)
{
    enum json_type type = json_type_of(document);
    if (type != JSON_OBJECT && type != JSON_ARRAY)
        return constant_new(document);
    if (compiler->inner_depth >= JSON_DEPTH_MAX) {
        asl_report(compiler, FINDING_ERROR, "ASL_TOO_DEEP",
                   "the template is nested more than %d deep", JSON_DEPTH_MAX);
        return constant_new(document);
    }
    compiler->inner_depth++;
    size_t count = json_size(document);
    struct asl_template *template =
        template_new(type == JSON_OBJECT ? TEMPLATE_OBJECT : TEMPLATE_ARRAY, count);
    template->constant = type == JSON_OBJECT ? json_object() : json_array();
    template->constant_bound.bytes = 2;
    for (size_t i = 0; i < count; i++) {
        if (type == JSON_OBJECT) {
            template->members[i] = member_compile(compiler, document, i);
            json_object_set_bytes(template->constant, template->members[i]->name,
                                  template->members[i]->name_bytes, json_null());
            template->constant_bound.bytes += template->members[i]->name_bytes * 6 + 4;
        } else {
            size_t place = compiler->pointer.bytes;
            pointer_append_index(&compiler->pointer, i);
            template->members[i] = asl_template_compile(compiler, json_at(document, i));
            json_array_append(template->constant, json_null());
            pointer_cut(&compiler->pointer, place);
            template->constant_bound.bytes += 1;
        }
    }
    compiler->inner_depth--;
    return fold(template, document);
}

/* -- evaluating -- */

static struct json *container_run(const struct asl_template *template, const struct asl_view *view,
                                  const struct asl_bound *data, struct asl_bound *bound,
                                  struct asl_failure *failure)
{
    asl_meter_made(view->meter, (template->count + 2) * ASL_MEMBER_BYTES);
    struct json *result = json_blank(template->constant);
    struct asl_bound total = template->constant_bound;
    for (size_t i = 0; i < template->count; i++) {
        const struct asl_template *member = template->members[i];
        struct asl_bound inside = {0};
        struct json *value = asl_template_run(member, view, data, &inside, failure);
        if (!value) {
            json_release(result);
            return NULL;
        }
        total.bytes += inside.bytes;
        total.depth = inside.depth > total.depth ? inside.depth : total.depth;
        json_put_at(result, i, value);
    }
    total.depth++;
    *bound = total;
    return result;
}

static struct json *path_run(const struct asl_template *template, const struct asl_view *view,
                             const struct asl_bound *data, struct asl_bound *bound,
                             struct asl_failure *failure)
{
    struct json *value = asl_view_get(view, template->path, failure);
    if (!value) {
        asl_failure_set(failure, ASL_ERROR_PARAMETER_PATH,
                        "The path %s given for the field \"%s.$\" finds nothing in the %s.",
                        jsonpath_text(template->path), template->name ? template->name : "",
                        jsonpath_variable(template->path)     ? "variable"
                        : jsonpath_is_context(template->path) ? "context object"
                                                              : "state's data");
        return NULL;
    }
    *bound = asl_selected_bound(view, template->path, data, value);
    return value;
}

struct json *asl_template_run(const struct asl_template *template, const struct asl_view *view,
                              const struct asl_bound *data, struct asl_bound *bound,
                              struct asl_failure *failure)
{
    switch (template->type) {
    case TEMPLATE_CONSTANT:
        *bound = template->constant_bound;
        return json_hold(template->constant);
    case TEMPLATE_PATH:
        return path_run(template, view, data, bound, failure);
    case TEMPLATE_CALL:
        return asl_call_run(template->call, view, bound, failure);
    case TEMPLATE_OBJECT:
    case TEMPLATE_ARRAY:
        return container_run(template, view, data, bound, failure);
    }
    return NULL;
}

/* -- templates outside a state machine -- */

struct asl_template *asl_template_new(const struct json *document, const char *pointer,
                                      const struct source_map *source, struct findings *findings)
{
    size_t errors_before = findings->errors;
    struct asl_compiler compiler = {.source = source, .findings = findings};
    buffer_append_text(&compiler.pointer, pointer);
    struct asl_template *template = asl_template_compile(&compiler, document);
    buffer_fini(&compiler.pointer);
    if (findings->errors == errors_before)
        return template;
    asl_template_free(template);
    return NULL;
}

struct json *asl_template_evaluate(const struct asl_template *template, const struct json *data,
                                   const struct json *context, struct error *error)
{
    struct asl_view view = {.data = data, .context = context};
    struct asl_failure failure = {0};
    struct asl_bound ignored = {0};
    struct json *value = asl_template_run(template, &view, &ignored, &ignored, &failure);
    if (!value)
        error_set(error, ERR_INVALID, "%s: %s", failure.error, failure.cause);
    asl_failure_clear(&failure);
    return value;
}
