/* SPDX-License-Identifier: MIT */
/* contract_check.c - what the head of a contract says about its state machine: services, events,
 * verify. */
#include <stdlib.h>
#include <string.h>

#include "core/contract_internal.h"
#include "core/similar.h"
#include "core/source_map.h"
#include "core/task_resource.h"

static bool state_exists(const struct contract_loader *loader, const char *name)
{
    return loader->outline && outline_find(&loader->outline->scope, name);
}

/* -- services -- */

struct service_use {
    struct contract_loader *loader;
    bool *used;   /* by place in the contract's services */
    bool dynamic; /* some Task takes its service from the data */
};

/* A service that a Task names in plain text must be one that the contract may call. */
static void service_check(struct service_use *use, const struct outline_state *state)
{
    struct contract_loader *loader = use->loader;
    const struct json *parameters = json_get(state->document, "Parameters");
    const char *service = json_string_or(json_get(parameters, "Service"), NULL);
    use->dynamic = use->dynamic || json_get(parameters, "Service.$");
    if (!service)
        return;
    const struct json *services = loader->contract->services;
    for (size_t i = 0; i < json_size(services); i++) {
        if (strcmp(json_string_or(json_at(services, i), ""), service) == 0) {
            use->used[i] = true;
            return;
        }
    }
    struct similar similar = {.name = service};
    struct buffer pointer = {0}, question = {0};
    for (size_t i = 0; i < json_size(services); i++)
        similar_try(&similar, json_string_or(json_at(services, i), ""));
    buffer_append_format(&pointer, "%s/Parameters/Service", state->pointer);
    finding_add(
        loader->findings, FINDING_ERROR, loader->map, buffer_text(&pointer),
        "CONTRACT_UNDECLARED_SERVICE",
        "the state \"%s\" calls the service \"%s\", which is not in the contract's services%s",
        state->name, service, similar_ask(&similar, &question));
    buffer_fini(&pointer);
    buffer_fini(&question);
}

static void scope_services_check(const struct outline_scope *scope, void *context)
{
    for (size_t i = 0; i < scope->count; i++) {
        if (scope->states[i].type == OUTLINE_TASK)
            service_check(context, &scope->states[i]);
    }
}

void contract_services_check(struct contract_loader *loader)
{
    const struct json *services = loader->contract->services;
    struct service_use use = {loader, must_calloc(json_size(services) + 1, sizeof *use.used),
                              false};
    if (loader->outline)
        outline_scopes_visit(&loader->outline->scope, scope_services_check, &use);
    for (size_t i = 0; loader->outline && !use.dynamic && i < json_size(services); i++) {
        if (use.used[i])
            continue;
        struct buffer pointer = {0};
        buffer_append_format(&pointer, "/services/%zu", i);
        finding_add(loader->findings, FINDING_WARNING, loader->map, buffer_text(&pointer),
                    "CONTRACT_UNUSED_SERVICE", "no state calls the service \"%s\"",
                    json_string_or(json_at(services, i), ""));
        buffer_fini(&pointer);
    }
    free(use.used);
}

/* -- parameters of tasks -- */

static void scope_tasks_check(const struct outline_scope *scope, void *context)
{
    const struct contract_loader *loader = context;
    for (size_t i = 0; i < scope->count; i++) {
        const struct outline_state *state = &scope->states[i];
        const struct task_resource *resource =
            task_resource_find(json_string_or(json_get(state->document, "Resource"), ""));
        if (state->type == OUTLINE_TASK && resource)
            task_parameters_check(resource, json_get(state->document, "Parameters"), state->pointer,
                                  loader->map, loader->findings);
    }
}

void contract_tasks_check(struct contract_loader *loader)
{
    if (loader->outline)
        outline_scopes_visit(&loader->outline->scope, scope_tasks_check, loader);
}

/* -- events -- */

static struct contract_event *event_add(struct contract *contract, const char *state,
                                        const char *name, const struct json *event)
{
    size_t count = contract->declared_count++;
    contract->declared = must_realloc(contract->declared, (count + 1) * sizeof *contract->declared);
    contract->declared[count] = (struct contract_event){
        .state = state, .name = name, .type = json_string_or(json_get(event, "type"), "")};
    return &contract->declared[count];
}

static void event_read(struct contract_loader *loader, const char *state, const char *event_name,
                       const struct json *event, struct buffer *pointer)
{
    size_t place = pointer->bytes;
    struct contract_event *declared = event_add(loader->contract, state, event_name, event);
    if (json_type_of(event) != JSON_OBJECT ||
        !contract_name_is_valid(json_string_or(json_get(event, "type"), "")))
        finding_add(loader->findings, FINDING_ERROR, loader->map, buffer_text(pointer),
                    "CONTRACT_BAD_EVENT",
                    "an event needs a type, a name of letters, digits, dots, - and _");
    for (size_t i = 0; json_type_of(event) == JSON_OBJECT && i < json_size(event); i++) {
        const char *name = json_name_at(event, i, NULL);
        pointer_append(pointer, name, strlen(name));
        if (strcmp(name, "payload") == 0)
            declared->payload = asl_template_new(json_member_at(event, i), buffer_text(pointer),
                                                 loader->map, loader->findings);
        else if (strcmp(name, "type") != 0)
            finding_add(loader->findings, FINDING_ERROR, loader->map, buffer_text(pointer),
                        "CONTRACT_UNKNOWN_FIELD", "an event has no field \"%s\"", name);
        pointer_cut(pointer, place);
    }
}

static void step_events_check(struct contract_loader *loader, const struct json *steps,
                              struct buffer *pointer)
{
    size_t place = pointer->bytes;
    for (size_t i = 0; i < json_size(steps); i++) {
        const char *state = json_name_at(steps, i, NULL);
        const struct json *step = json_member_at(steps, i);
        pointer_append(pointer, state, strlen(state));
        if (!state_exists(loader, state))
            finding_add(loader->findings, FINDING_ERROR, loader->map, buffer_text(pointer),
                        "CONTRACT_UNKNOWN_STATE",
                        "events are given for the state \"%s\", and there is none", state);
        size_t inside = pointer->bytes;
        for (size_t k = 0; k < json_size(step); k++) {
            const char *when = json_name_at(step, k, NULL);
            pointer_append(pointer, when, strlen(when));
            if (strcmp(when, "requested") == 0 || strcmp(when, "completed") == 0)
                event_read(loader, state, when, json_member_at(step, k), pointer);
            else
                finding_add(loader->findings, FINDING_ERROR, loader->map, buffer_text(pointer),
                            "CONTRACT_UNKNOWN_FIELD",
                            "a step has the events requested and completed, not \"%s\"", when);
            pointer_cut(pointer, inside);
        }
        pointer_cut(pointer, place);
    }
}

void contract_events_check(struct contract_loader *loader)
{
    static const char *const known[] = {"workflow_started", "workflow_completed", "workflow_failed",
                                        "workflow_cancelled"};
    const struct json *events = json_get(loader->document, "events");
    if (!events)
        return;
    struct buffer pointer = {0};
    buffer_append_text(&pointer, "/events");
    if (json_type_of(events) != JSON_OBJECT)
        finding_add(loader->findings, FINDING_ERROR, loader->map, "/events", "CONTRACT_BAD_FIELD",
                    "events must be an object");
    size_t place = pointer.bytes;
    for (size_t i = 0; i < json_size(events); i++) {
        const char *name = json_name_at(events, i, NULL);
        size_t k = 0;
        while (k < sizeof known / sizeof *known && strcmp(known[k], name) != 0)
            k++;
        pointer_append(&pointer, name, strlen(name));
        if (strcmp(name, "steps") == 0)
            step_events_check(loader, json_member_at(events, i), &pointer);
        else if (k < sizeof known / sizeof *known)
            event_read(loader, "", name, json_member_at(events, i), &pointer);
        else
            finding_add(loader->findings, FINDING_ERROR, loader->map, buffer_text(&pointer),
                        "CONTRACT_UNKNOWN_FIELD", "there is no event \"%s\" of a workflow", name);
        pointer_cut(&pointer, place);
    }
    loader->contract->events = json_hold(events);
    buffer_fini(&pointer);
}

/* -- verify -- */

static void compensation_check(struct contract_loader *loader, const char *name,
                               const struct json *compensated, const char *pointer)
{
    const char *names[] = {name, json_string_or(compensated, NULL)};
    for (size_t i = 0; i < 2; i++) {
        if (!names[i])
            finding_add(loader->findings, FINDING_ERROR, loader->map, pointer, "CONTRACT_BAD_FIELD",
                        "a compensation is told as \"state that undoes: state that it undoes\"");
        else if (loader->outline && !state_exists(loader, names[i]))
            finding_add(loader->findings, FINDING_ERROR, loader->map, pointer,
                        "CONTRACT_UNKNOWN_STATE",
                        "a compensation names the state \"%s\", and there is none", names[i]);
    }
}

void contract_verify_check(struct contract_loader *loader)
{
    const struct json *verify = json_get(loader->document, "verify");
    const struct json *compensations = json_get(verify, "compensations");
    if (!verify)
        return;
    if (json_type_of(verify) != JSON_OBJECT || json_size(verify) != 1 ||
        json_type_of(compensations) != JSON_OBJECT) {
        finding_add(loader->findings, FINDING_ERROR, loader->map, "/verify", "CONTRACT_BAD_FIELD",
                    "verify must be an object with one field, the object compensations");
        return;
    }
    for (size_t i = 0; i < json_size(compensations); i++) {
        struct buffer pointer = {0};
        buffer_append_text(&pointer, "/verify/compensations");
        const char *name = json_name_at(compensations, i, NULL);
        pointer_append(&pointer, name, strlen(name));
        compensation_check(loader, name, json_member_at(compensations, i), buffer_text(&pointer));
        buffer_fini(&pointer);
    }
}
