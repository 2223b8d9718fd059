/* SPDX-License-Identifier: MIT */
#include "core/task_resource.h"

#include <ctype.h>
#include <string.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "core/source_map.h"

static const struct task_resource resources[] = {
    {.name = "onex:http:invoke", .aliases = {"arn:aws:states:::http:invoke"}, .kind = TASK_HTTP},
    {.name = "onex:http:invoke.waitForTaskToken",
     .aliases = {"arn:aws:states:::http:invoke.waitForTaskToken"},
     .kind = TASK_HTTP,
     .waits_for_token = true},
    {.name = "onex:workflow:start",
     .aliases = {"arn:aws:states:::states:startExecution"},
     .kind = TASK_WORKFLOW},
    {.name = "onex:workflow:start.sync",
     .aliases = {"arn:aws:states:::states:startExecution.sync",
                 "arn:aws:states:::states:startExecution.sync:2"},
     .kind = TASK_WORKFLOW,
     .waits_for_end = true},
    {.name = "onex:workflow:start.waitForTaskToken",
     .aliases = {"arn:aws:states:::states:startExecution.waitForTaskToken"},
     .kind = TASK_WORKFLOW,
     .waits_for_token = true},
    {.name = "onex:event:publish", .kind = TASK_EVENT, .local = true},
    {.name = "onex:event:publish.waitForTaskToken",
     .kind = TASK_EVENT,
     .waits_for_token = true,
     .local = true},
    {.name = "onex:signal:wait", .kind = TASK_SIGNAL, .local = true},
};

const struct task_resource *task_resource_find(const char *name)
{
    for (size_t i = 0; i < sizeof resources / sizeof resources[0]; i++) {
        const struct task_resource *resource = &resources[i];
        if (strcmp(resource->name, name) == 0)
            return resource;
        for (int k = 0; k < 2; k++)
            if (resource->aliases[k] != NULL && strcmp(resource->aliases[k], name) == 0)
                return resource;
    }
    return NULL;
}

bool task_resource_known(const char *name, void *context)
{
    (void)context;
    return task_resource_find(name) != NULL;
}

bool task_event_type_reserved(const char *type)
{
    return strncmp(type, "workflow_", 9) == 0 || strncmp(type, "stamp_workflow_", 15) == 0;
}

bool task_name_is_valid(const char *name)
{
    size_t bytes = strlen(name);
    for (const char *p = name; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && strchr("._-", *p) == NULL)
            return false;
    /* "." and ".." would be folded away where a name is part of a path. */
    return bytes > strspn(name, ".") && bytes <= NAME_BYTES_MAX;
}

const struct json *task_parameter(const struct json *parameters, const char *name,
                                  const char *other)
{
    const struct json *value = json_get(parameters, name);
    return value != NULL || other == NULL ? value : json_get(parameters, other);
}

/* -- checks -- */

struct checking {
    const char *pointer;
    const struct source_map *source;
    struct findings *findings;
};

static void fault(const struct checking *checking, const char *member, const char *code,
                  const char *format, const char *detail) __attribute__((format(printf, 4, 0)));

static void fault(const struct checking *checking, const char *member, const char *code,
                  const char *format, const char *detail)
{
    struct buffer place = {0}, text = {0};
    buffer_append_format(&place, "%s/Parameters", checking->pointer);
    if (member != NULL)
        pointer_append(&place, member, strlen(member));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    buffer_append_format(&text, format, detail);
#pragma GCC diagnostic pop
    finding_add(checking->findings, FINDING_ERROR, checking->source, buffer_text(&place), code,
                "%s", buffer_text(&text));
    buffer_fini(&place);
    buffer_fini(&text);
}

/* Names of members by kind; the groups are alternatives of one another. */
static const char *const members[TASK_KINDS][12] = {
    [TASK_HTTP] = {"Service", "ApiEndpoint", "Method", "Path", "Headers", "QueryParameters",
                   "RequestBody"},
    [TASK_WORKFLOW] = {"workflow_type", "StateMachineArn", "version", "input", "Input", "namespace",
                       "idempotency_key", "Name"},
    [TASK_EVENT] = {"event_type", "type", "payload"},
    [TASK_SIGNAL] = {"signal_name", "Name"},
};

/* The name without the ".$" that makes it a path. */
static bool same_member(const char *given, const char *name)
{
    size_t bytes = strlen(name);
    return strncmp(given, name, bytes) == 0 &&
           (given[bytes] == '\0' || strcmp(given + bytes, ".$") == 0);
}

static bool has_member(const struct json *parameters, const char *name)
{
    for (size_t i = 0; i < json_size(parameters); i++)
        if (same_member(json_name_at(parameters, i, NULL), name))
            return true;
    return false;
}

static void check_members(const struct checking *checking, enum task_kind kind,
                          const struct json *parameters)
{
    for (size_t i = 0; i < json_size(parameters); i++) {
        const char *name = json_name_at(parameters, i, NULL);
        struct buffer list = {0};
        bool known = false;
        for (int k = 0; members[kind][k] != NULL; k++) {
            known = known || same_member(name, members[kind][k]);
            buffer_append_format(&list, "%s%s", k == 0 ? "" : ", ", members[kind][k]);
        }
        if (!known)
            fault(checking, name, "TASK_UNKNOWN_PARAMETER",
                  "this parameter is not known here; known are %s", buffer_text(&list));
        buffer_fini(&list);
    }
}

/* One of the two must be there; a static one must be a text. Gives it, or NULL. */
static const char *check_text(const struct checking *checking, const struct json *parameters,
                              const char *name, const char *other)
{
    if (!has_member(parameters, name) && (other == NULL || !has_member(parameters, other))) {
        fault(checking, NULL, "TASK_MISSING_PARAMETER", "the parameter %s is missing", name);
        return NULL;
    }
    const char *member = json_get(parameters, name) == NULL && other != NULL ? other : name;
    const struct json *value = json_get(parameters, member);
    if (value != NULL && json_string_or(value, "")[0] == '\0')
        fault(checking, member, "TASK_BAD_PARAMETER", "%s must be a text that is not empty",
              member);
    return json_string_value(value, NULL);
}

static void check_http(const struct checking *checking, const struct json *parameters)
{
    static const char methods[] = " GET POST PUT PATCH DELETE HEAD OPTIONS ";
    const struct json *method = json_get(parameters, "Method");
    if (!has_member(parameters, "ApiEndpoint") &&
        check_text(checking, parameters, "Service", NULL) != NULL &&
        !has_member(parameters, "Path"))
        fault(checking, NULL, "TASK_MISSING_PARAMETER", "the parameter %s is missing", "Path");
    struct buffer word = {0};
    buffer_append_format(&word, " %s ", json_string_or(method, "?"));
    if (method != NULL && strstr(methods, buffer_text(&word)) == NULL)
        fault(checking, "Method", "TASK_BAD_PARAMETER", "Method must be one of%s", methods);
    buffer_fini(&word);
    static const char *const objects[] = {"Headers", "QueryParameters"};
    for (int i = 0; i < 2; i++) {
        const struct json *value = json_get(parameters, objects[i]);
        if (value != NULL && json_type_of(value) != JSON_OBJECT)
            fault(checking, objects[i], "TASK_BAD_PARAMETER", "%s must be an object", objects[i]);
    }
}

static void check_event(const struct checking *checking, const struct json *parameters)
{
    const char *type = check_text(checking, parameters, "event_type", "type");
    const char *member = json_get(parameters, "event_type") != NULL ? "event_type" : "type";
    if (type != NULL && *type != '\0' && !task_name_is_valid(type))
        fault(checking, member, "TASK_BAD_PARAMETER",
              "the event type %s must be letters, digits, dots, - and _", type);
    else if (type != NULL && task_event_type_reserved(type))
        fault(checking, member, "TASK_BAD_PARAMETER",
              "the event type %s is reserved: workflow_... and stamp_workflow_... tell the life of "
              "workflows",
              type);
    const struct json *payload = json_get(parameters, "payload");
    if (payload != NULL && json_type_of(payload) != JSON_OBJECT)
        fault(checking, "payload", "TASK_BAD_PARAMETER", "%s must be an object", "payload");
}

void task_parameters_check(const struct task_resource *resource, const struct json *parameters,
                           const char *pointer, const struct source_map *source,
                           struct findings *findings)
{
    struct checking checking = {pointer, source, findings};
    if (json_type_of(parameters) != JSON_OBJECT)
        return; /* the state's input will be the parameters */
    check_members(&checking, resource->kind, parameters);
    const char *name;
    switch (resource->kind) {
    case TASK_HTTP:
        check_http(&checking, parameters);
        break;
    case TASK_WORKFLOW:
        check_text(&checking, parameters, "workflow_type", "StateMachineArn");
        break;
    case TASK_EVENT:
        check_event(&checking, parameters);
        break;
    case TASK_SIGNAL:
        name = check_text(&checking, parameters, "signal_name", "Name");
        if (name != NULL && *name != '\0' && !task_name_is_valid(name))
            fault(&checking, json_get(parameters, "signal_name") != NULL ? "signal_name" : "Name",
                  "TASK_BAD_PARAMETER", "the signal name %s must be letters, digits, dots, - and _",
                  name);
        break;
    case TASK_KINDS:
        break;
    }
}
