/* SPDX-License-Identifier: MIT */
#include "core/fields.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/uuid.h"

static const char *const type_names[] = {"string",  "string", "string", "boolean",
                                         "integer", "string", "object", "array"};

static bool is_type(enum field_type type, const struct json *value)
{
    enum json_type t = json_type_of(value);
    switch (type) {
    case FIELD_BOOL:
        return t == JSON_TRUE || t == JSON_FALSE;
    case FIELD_INT:
        return json_is_int(value);
    case FIELD_OBJECT:
        return t == JSON_OBJECT;
    case FIELD_ARRAY:
        return t == JSON_ARRAY;
    case FIELD_TEXT:
    case FIELD_LINE:
    case FIELD_CHOICE:
    case FIELD_UUID:
        return t == JSON_STRING;
    }
    return false;
}

static bool is_choice(const char *choices, const char *text, size_t bytes)
{
    for (const char *at = choices; at != NULL;
         at = strchr(at, '|'), at = at != NULL ? at + 1 : NULL) {
        size_t length = strcspn(at, "|");
        if (length == bytes && memcmp(at, text, bytes) == 0)
            return true;
    }
    return false;
}

static enum error_code check_text(const struct field *field, const struct json *value,
                                  const char *path, struct error *error)
{
    size_t bytes;
    const char *text = json_string_value(value, &bytes);
    struct uuid uuid;
    if (field->type == FIELD_CHOICE && !is_choice(field->choices, text, bytes))
        return error_set_field(error, ERR_INVALID, path, "%s is \"%.40s\", allowed are %s", path,
                               text, field->choices);
    if (field->type == FIELD_UUID && !uuid_parse(text, bytes, &uuid))
        return error_set_field(error, ERR_INVALID, path, "%s is \"%.40s\", which is not a UUID",
                               path, text);
    if (field->type != FIELD_TEXT && field->type != FIELD_LINE)
        return ERR_OK;
    if ((int64_t)bytes < field->min || (int64_t)bytes > field->max)
        return error_set_field(error, ERR_INVALID, path,
                               "%s has %zu octets, allowed are %lld to %lld", path, bytes,
                               (long long)field->min, (long long)field->max);
    for (size_t i = 0; field->type == FIELD_LINE && i < bytes; i++) {
        if (iscntrl((unsigned char)text[i]))
            return error_set_field(error, ERR_INVALID, path,
                                   "%s holds a control character at octet %zu", path, i + 1);
    }
    return ERR_OK;
}

static enum error_code check_value(const struct field *field, const struct json *value,
                                   const char *path, struct error *error)
{
    if (!is_type(field->type, value))
        return error_set_field(error, ERR_INVALID, path, "%s is of type %s, expected is %s", path,
                               json_type_name(value), type_names[field->type]);
    if (field->type == FIELD_INT &&
        (json_int_value(value) < field->min || json_int_value(value) > field->max))
        return error_set_field(error, ERR_INVALID, path, "%s is %lld, allowed are %lld to %lld",
                               path, (long long)json_int_value(value), (long long)field->min,
                               (long long)field->max);
    if (field->type == FIELD_ARRAY &&
        ((int64_t)json_size(value) < field->min || (int64_t)json_size(value) > field->max))
        return error_set_field(error, ERR_INVALID, path,
                               "%s has %zu items, allowed are %lld to %lld", path, json_size(value),
                               (long long)field->min, (long long)field->max);
    if (field->type == FIELD_OBJECT)
        return field->members != NULL ? fields_check(field->members, value, path, error) : ERR_OK;
    return field->type == FIELD_BOOL || field->type == FIELD_INT || field->type == FIELD_ARRAY
               ? ERR_OK
               : check_text(field, value, path, error);
}

static void path_of(const char *where, const char *name, char *path, size_t bytes)
{
    snprintf(path, bytes, "%.60s%s%.60s", where, *where != '\0' ? "." : "", name);
}

static enum error_code check_known(const struct field *fields, const struct json *object,
                                   const char *where, struct error *error)
{
    for (size_t i = 0; i < json_size(object); i++) {
        size_t bytes;
        const char *name = json_name_at(object, i, &bytes);
        const struct field *field = fields;
        while (field->name != NULL &&
               (strlen(field->name) != bytes || memcmp(field->name, name, bytes) != 0))
            field++;
        if (field->name != NULL)
            continue;
        char path[ERROR_FIELD_BYTES];
        path_of(where, name, path, sizeof path);
        return error_set_field(error, ERR_INVALID, path, "field %s is not known here", path);
    }
    return ERR_OK;
}

enum error_code fields_check(const struct field *fields, const struct json *object,
                             const char *where, struct error *error)
{
    if (json_type_of(object) != JSON_OBJECT)
        return error_set_field(error, ERR_INVALID, where, "%s is of type %s, expected is object",
                               *where != '\0' ? where : "the body", json_type_name(object));
    enum error_code code = check_known(fields, object, where, error);
    for (const struct field *field = fields; code == ERR_OK && field->name != NULL; field++) {
        const struct json *value = json_get(object, field->name);
        char path[ERROR_FIELD_BYTES];
        path_of(where, field->name, path, sizeof path);
        bool absent = json_type_of(value) == JSON_ABSENT || json_type_of(value) == JSON_NULL;
        if (!absent)
            code = check_value(field, value, path, error);
        else if (field->required)
            code = error_set_field(error, ERR_INVALID, path, "field %s is required", path);
    }
    return code;
}

static void describe_choices(const char *choices, struct json *schema)
{
    struct json *list = json_array();
    for (const char *at = choices; at != NULL;
         at = strchr(at, '|'), at = at != NULL ? at + 1 : NULL)
        json_array_append(list, json_string(at, strcspn(at, "|")));
    json_object_set(schema, "enum", list);
}

static struct json *describe(const struct field *field)
{
    if (field->type == FIELD_OBJECT && field->members != NULL)
        return fields_schema(field->members);
    struct json *schema = json_object();
    json_object_set(schema, "type", json_text(type_names[field->type]));
    if (field->type == FIELD_CHOICE)
        describe_choices(field->choices, schema);
    if (field->type == FIELD_UUID)
        json_object_set(schema, "format", json_text("uuid"));
    bool is_text = field->type == FIELD_TEXT || field->type == FIELD_LINE;
    if (is_text || field->type == FIELD_INT || field->type == FIELD_ARRAY) {
        json_object_set(schema,
                        is_text                    ? "minLength"
                        : field->type == FIELD_INT ? "minimum"
                                                   : "minItems",
                        json_int(field->min));
        json_object_set(schema,
                        is_text                    ? "maxLength"
                        : field->type == FIELD_INT ? "maximum"
                                                   : "maxItems",
                        json_int(field->max));
    }
    return schema;
}

struct json *fields_schema(const struct field *fields)
{
    struct json *properties = json_object();
    struct json *required = json_array();
    for (const struct field *field = fields; field->name != NULL; field++) {
        json_object_set(properties, field->name, describe(field));
        if (field->required)
            json_array_append(required, json_text(field->name));
    }
    struct json *schema = json_object();
    json_object_set(schema, "type", json_text("object"));
    json_object_set(schema, "properties", properties);
    json_object_set(schema, "required", required);
    json_object_set(schema, "additionalProperties", json_bool(false));
    return schema;
}

const char *fields_text(const struct json *object, const char *name, const char *fallback)
{
    return json_string_or(json_get(object, name), fallback);
}

bool fields_bool(const struct json *object, const char *name, bool fallback)
{
    enum json_type type = json_type_of(json_get(object, name));
    return type == JSON_TRUE || (type != JSON_FALSE && fallback);
}

int64_t fields_int(const struct json *object, const char *name, int64_t fallback)
{
    const struct json *value = json_get(object, name);
    return json_is_int(value) ? json_int_value(value) : fallback;
}
