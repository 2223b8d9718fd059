/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "core/asl_functions.h"

#define INTRINSIC_DEPTH_MAX 10
struct argument {
    struct json *constant;
    char *raw; /* a literal text as written between its quotes */
    size_t raw_bytes;
    struct jsonpath *path;
    struct asl_call *call;
};

struct asl_call {
    const struct asl_function *function;
    struct argument *arguments;
    size_t count;
};

const struct asl_function asl_functions[] = {
    {"Format", 1, ASL_ARGUMENTS_MAX, asl_function_format},
    {"StringToJson", 1, 1, asl_function_string_to_json},
    {"JsonToString", 1, 1, asl_function_json_to_string},
    {"Array", 0, ASL_ARGUMENTS_MAX, asl_function_array},
    {"ArrayPartition", 2, 2, asl_function_array_partition},
    {"ArrayContains", 2, 2, asl_function_array_contains},
    {"ArrayRange", 3, 3, asl_function_array_range},
    {"ArrayGetItem", 2, 2, asl_function_array_get_item},
    {"ArrayLength", 1, 1, asl_function_array_length},
    {"ArrayUnique", 1, 1, asl_function_array_unique},
    {"Base64Encode", 1, 1, asl_function_base64_encode},
    {"Base64Decode", 1, 1, asl_function_base64_decode},
    {"Hash", 2, 2, asl_function_hash},
    {"JsonMerge", 3, 3, asl_function_json_merge},
    {"MathRandom", 2, 3, asl_function_math_random},
    {"MathAdd", 2, 2, asl_function_math_add},
    {"StringSplit", 2, 2, asl_function_string_split},
    {"UUID", 0, 0, asl_function_uuid},
};
const size_t asl_functions_count = sizeof asl_functions / sizeof *asl_functions;

struct json *asl_function_fail(const struct asl_values *values, struct asl_failure *failure,
                               const char *text)
{
    asl_failure_set(failure, ASL_ERROR_INTRINSIC, "States.%s: %s.", values->function->name, text);
    return NULL;
}

size_t asl_function_bytes_max(const struct asl_values *values)
{
    const struct asl_meter *meter = values->view->meter;
    return meter ? meter->data_bytes_max : STATE_DATA_BYTES_MAX;
}

struct json *asl_function_too_large(const struct asl_values *values, struct asl_failure *failure)
{
    asl_failure_set(failure, ASL_ERROR_DATA_LIMIT,
                    "States.%s: the result would have more than %zu octets.",
                    values->function->name, asl_function_bytes_max(values));
    return NULL;
}

void asl_call_free(struct asl_call *call)
{
    if (!call)
        return;
    for (size_t i = 0; i < call->count; i++) {
        struct argument *argument = &call->arguments[i];
        json_release(argument->constant);
        free(argument->raw);
        jsonpath_free(argument->path);
        asl_call_free(argument->call);
    }
    free(call->arguments);
    free(call);
}

/* -- compiling -- */

struct reader {
    struct asl_compiler *compiler;
    const char *text;
    const char *at;
    const char *end;
    unsigned depth;
};

static bool refuse(struct reader *reader, const char *what)
{
    asl_report(reader->compiler, FINDING_ERROR, "ASL_BAD_FUNCTION",
               "the intrinsic function \"%.*s\" %s at character %zu",
               (int)(reader->end - reader->text), reader->text, what,
               (size_t)(reader->at - reader->text) + 1);
    return false;
}

static void skip_spaces(struct reader *reader)
{
    while (reader->at < reader->end && *reader->at == ' ')
        reader->at++;
}

static bool next_is(const struct reader *reader, char c)
{
    return reader->at < reader->end && *reader->at == c;
}

/* In a text, ' { } and \ are written with a backslash before them. */
static bool read_text(struct reader *reader, struct argument *argument)
{
    const char *start = ++reader->at;
    struct buffer text = {0};
    while (reader->at < reader->end && *reader->at != '\'') {
        if (*reader->at == '\\' && (++reader->at >= reader->end || !strchr("'{}\\", *reader->at))) {
            buffer_fini(&text);
            return refuse(reader, "has a \\ that is followed by none of ' { } \\");
        }
        buffer_append_char(&text, *reader->at++);
    }
    argument->raw_bytes = (size_t)(reader->at - start);
    argument->raw = must_strndup(start, argument->raw_bytes);
    argument->constant = json_string(buffer_text(&text), text.bytes);
    buffer_fini(&text);
    if (!next_is(reader, '\''))
        return refuse(reader, "has a text without its end");
    reader->at++;
    return true;
}

/* A path ends at the comma or parenthesis that stands outside its own brackets. */
static bool read_path(struct reader *reader, struct argument *argument)
{
    const char *start = reader->at;
    unsigned brackets = 0;
    char quote = '\0';
    for (; reader->at < reader->end; reader->at++) {
        char c = *reader->at;
        if (c == '\\' && reader->at + 1 < reader->end) {
            reader->at++;
        } else if (quote) {
            if (c == quote)
                quote = '\0';
        } else if (brackets && (c == '\'' || c == '"')) {
            quote = c;
        } else if (c == '[' || c == '(') {
            brackets++;
        } else if (brackets && (c == ']' || c == ')')) {
            brackets--;
        } else if (!brackets && (c == ',' || c == ')' || c == ' ')) {
            break;
        }
    }
    struct json *text = json_string(start, (size_t)(reader->at - start));
    argument->path = asl_compile_path(reader->compiler, text, ASL_ANY_PATH);
    json_release(text);
    return argument->path != NULL;
}

static bool read_constant(struct reader *reader, struct argument *argument)
{
    const char *start = reader->at;
    while (reader->at < reader->end && !strchr(",) ", *reader->at))
        reader->at++;
    argument->constant = json_parse(start, (size_t)(reader->at - start), NULL, NULL);
    enum json_type type = json_type_of(argument->constant);
    if (type == JSON_NUMBER || type == JSON_TRUE || type == JSON_FALSE || type == JSON_NULL)
        return true;
    reader->at = start;
    return refuse(reader,
                  "has an argument that is no text, number, true, false, null, path or function");
}

static struct asl_call *read_call(struct reader *reader);

static bool read_argument(struct reader *reader, struct argument *argument)
{
    if (next_is(reader, '\''))
        return read_text(reader, argument);
    if (next_is(reader, '$'))
        return read_path(reader, argument);
    if (reader->end - reader->at > 7 && strncmp(reader->at, "States.", 7) == 0) {
        argument->call = read_call(reader);
        return argument->call != NULL;
    }
    return read_constant(reader, argument);
}

static bool read_arguments(struct reader *reader, struct asl_call *call)
{
    skip_spaces(reader);
    while (!next_is(reader, ')') || call->count > 0) {
        if (call->count == ASL_ARGUMENTS_MAX)
            return refuse(reader, "has too many arguments");
        skip_spaces(reader);
        call->arguments =
            must_realloc(call->arguments, (call->count + 1) * sizeof *call->arguments);
        call->arguments[call->count] = (struct argument){0};
        if (!read_argument(reader, &call->arguments[call->count++]))
            return false;
        skip_spaces(reader);
        if (next_is(reader, ')'))
            break;
        if (!next_is(reader, ','))
            return refuse(reader, "lacks a comma or a closing parenthesis");
        reader->at++;
    }
    reader->at++;
    return true;
}

static const struct asl_function *read_name(struct reader *reader)
{
    const char *name = reader->at;
    if (reader->end - name < 7 || strncmp(name, "States.", 7) != 0)
        return NULL;
    name += 7;
    const char *open = memchr(name, '(', (size_t)(reader->end - name));
    for (size_t i = 0; open && i < asl_functions_count; i++) {
        size_t bytes = strlen(asl_functions[i].name);
        if ((size_t)(open - name) == bytes && memcmp(name, asl_functions[i].name, bytes) == 0) {
            reader->at = open + 1;
            return &asl_functions[i];
        }
    }
    return NULL;
}

static struct asl_call *read_call(struct reader *reader)
{
    const struct asl_function *function = read_name(reader);
    if (!function) {
        refuse(reader,
               "is no path (it does not begin with $) and no function of the States Language");
        return NULL;
    }
    if (reader->depth >= INTRINSIC_DEPTH_MAX) {
        refuse(reader, "is nested too deep");
        return NULL;
    }
    reader->depth++;
    struct asl_call *call = must_calloc(1, sizeof *call);
    call->function = function;
    bool fine = read_arguments(reader, call);
    reader->depth--;
    if (fine && (call->count < function->least || call->count > function->most))
        fine = refuse(reader, "has the wrong number of arguments before");
    if (fine)
        return call;
    asl_call_free(call);
    return NULL;
}

struct asl_call *asl_call_compile(struct asl_compiler *compiler, const char *text, size_t bytes)
{
    struct reader reader = {compiler, text, text, text + bytes, 0};
    struct asl_call *call = read_call(&reader);
    if (call && reader.at < reader.end) {
        refuse(&reader, "has something after its end");
        asl_call_free(call);
        return NULL;
    }
    return call;
}

/* -- evaluating -- */

static struct json *argument_value(const struct argument *argument, const struct asl_view *view,
                                   struct asl_failure *failure)
{
    if (argument->constant)
        return json_hold(argument->constant);
    struct asl_bound ignored;
    if (argument->call)
        return asl_call_run(argument->call, view, &ignored, failure);
    struct json *value = asl_view_get(view, argument->path, failure);
    if (!value)
        asl_failure_set(failure, ASL_ERROR_PARAMETER_PATH,
                        "The path %s of an intrinsic function finds nothing.",
                        jsonpath_text(argument->path));
    return value;
}

/* What a function gave must be within the limits, before anybody works with it. */
static bool result_fits(const struct asl_values *values, struct json *result,
                        struct asl_bound *bound, struct asl_failure *failure)
{
    struct asl_meter *meter = values->view->meter;
    size_t bytes = 0;
    if (json_string_value(result, &bytes))
        asl_meter_made(meter, bytes);
    else
        asl_meter_made(meter, (json_size(result) + 1) * 2 * ASL_MEMBER_BYTES);
    *bound = asl_measure(meter, result);
    return asl_data_within(meter, result, bound, failure, "The data made by the function",
                           values->function->name) &&
           asl_meter_fits(meter, failure);
}

struct json *asl_call_run(const struct asl_call *call, const struct asl_view *view,
                          struct asl_bound *bound, struct asl_failure *failure)
{
    struct asl_values values;
    values.function = call->function;
    values.count = 0;
    values.view = view;
    values.pattern = call->count ? call->arguments[0].raw : NULL;
    values.pattern_bytes = call->count ? call->arguments[0].raw_bytes : 0;
    struct json *result = NULL;
    while (values.count < call->count) {
        struct json *value = argument_value(&call->arguments[values.count], view, failure);
        if (!value)
            goto out;
        values.items[values.count++] = value;
    }
    result = call->function->run(&values, failure);
    if (result && !result_fits(&values, result, bound, failure)) {
        json_release(result);
        result = NULL;
    }
out:
    while (values.count > 0)
        json_release(values.items[--values.count]);
    return result;
}
