/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/workflow_event.h"

#include <string.h>

#include "base/instant.h"

struct moment_row {
    const char *name;  /* in the contract's events section, and the type unless renamed */
    const char *state; /* life state in the payload */
};

static const struct moment_row rows[] = {
    [MOMENT_WORKFLOW_STARTED] = {"workflow_started", "processing"},
    [MOMENT_TRANSITION] = {"workflow_state_transition", NULL},
    [MOMENT_STEP_COMPLETED] = {"workflow_step_completed", NULL},
    [MOMENT_STEP_OWN_REQUESTED] = {"requested", NULL},
    [MOMENT_STEP_OWN_COMPLETED] = {"completed", NULL},
    [MOMENT_WORKFLOW_COMPLETED] = {"workflow_completed", "completed"},
    [MOMENT_WORKFLOW_FAILED] = {"workflow_failed", "failed"},
    [MOMENT_WORKFLOW_CANCELLED] = {"workflow_cancelled", "cancelled"},
    [MOMENT_OWN_EVENT] = {NULL, NULL},
};

static void set_text(struct json *object, const char *name, const char *text)
{
    json_object_set(object, name, json_text(text));
}

static void set_instant(struct json *object, const char *name, int64_t instant_us)
{
    char text[INSTANT_TEXT_BYTES];
    set_text(object, name, instant_format_us(instant_us, text));
}

static double milliseconds(int64_t from_us, int64_t to_us)
{
    return (double)(to_us - from_us) / 1000.0;
}

/* Members that every event of a kind has, whatever the contract says. */
static struct json *base_payload(const struct workflow *workflow,
                                 const struct workflow_moment *moment)
{
    const struct workflow_head *head = workflow_head(workflow);
    const struct workflow_record *record = moment->record;
    struct json *payload = json_object();
    char id[UUID_TEXT_BYTES];
    set_text(payload, "workflow_id", uuid_format(&head->id, id));
    set_text(payload, "workflow", workflow_contract(workflow)->name);
    set_text(payload, "namespace", head->namespace);
    set_text(payload, "correlation_id", head->correlation_id);
    json_object_set(payload, "run", json_int(head->run));
    set_instant(payload, "timestamp", record->at_us);
    if (rows[moment->kind].state != NULL)
        set_text(payload, "workflow_state", rows[moment->kind].state);
    switch (moment->kind) {
    case MOMENT_TRANSITION:
        set_text(payload, "from_state", workflow_state_name(moment->from));
        set_text(payload, "to_state", workflow_state_name(moment->to));
        break;
    case MOMENT_STEP_COMPLETED:
    case MOMENT_STEP_OWN_COMPLETED:
        set_text(payload, "step_type", moment->state);
        if (moment->kind == MOMENT_STEP_COMPLETED)
            json_object_set(payload, "step_order", json_int(moment->step_order));
        json_object_set(payload, "duration_ms", json_double((double)record->duration_us / 1000.0));
        break;
    case MOMENT_WORKFLOW_FAILED:
    case MOMENT_WORKFLOW_CANCELLED:
        set_text(payload, "error_type", workflow_error(workflow));
        set_text(payload, "error", workflow_cause(workflow));
        json_object_set(payload, "processing_time_ms",
                        json_double(milliseconds(head->created_us, record->at_us)));
        break;
    case MOMENT_WORKFLOW_COMPLETED:
        set_instant(payload, "created_at", head->created_us);
        json_object_set(payload, "processing_time_ms",
                        json_double(milliseconds(head->created_us, record->at_us)));
        break;
    case MOMENT_WORKFLOW_STARTED:
    case MOMENT_STEP_OWN_REQUESTED:
    case MOMENT_OWN_EVENT:
        break;
    }
    return payload;
}

/* What a payload template sees as $. */
static struct json *template_view(const struct workflow *workflow,
                                  const struct workflow_moment *moment)
{
    const struct workflow_head *head = workflow_head(workflow);
    struct json *view = json_object(), *about = json_object();
    char id[UUID_TEXT_BYTES];
    set_text(about, "id", uuid_format(&head->id, id));
    set_text(about, "namespace", head->namespace);
    set_text(about, "correlation_id", head->correlation_id);
    set_instant(about, "created_at", head->created_us);
    set_instant(about, "timestamp", moment->record->at_us);
    json_object_set(about, "processing_time_ms",
                    json_double(milliseconds(head->created_us, moment->record->at_us)));
    json_object_set(about, "duration_ms",
                    json_double((double)moment->record->duration_us / 1000.0));
    json_object_set(view, "workflow", about);
    json_object_set(view, "input", json_hold(head->input));
    json_object_set(view, "data", moment->data == NULL ? json_null() : json_hold(moment->data));
    return view;
}

static void add_members(struct json *payload, const struct json *members)
{
    for (size_t i = 0; i < json_size(members); i++) {
        size_t bytes;
        const char *name = json_name_at(members, i, &bytes);
        json_object_set_bytes(payload, name, bytes, json_hold(json_member_at(members, i)));
    }
}

static void add_template(struct json *payload, const struct asl_template *template,
                         const struct workflow *workflow, const struct workflow_moment *moment)
{
    struct error error = {0};
    struct json *view = template_view(workflow, moment);
    struct json *members = asl_template_evaluate(template, view, view, &error);
    if (members == NULL)
        set_text(payload, "payload_error", error.text);
    add_members(payload, members);
    json_release(members);
    json_release(view);
}

/* The contract's own event for a step, which it may have or not. */
static bool is_step_own(const struct workflow_moment *moment)
{
    return moment->kind == MOMENT_STEP_OWN_REQUESTED || moment->kind == MOMENT_STEP_OWN_COMPLETED;
}

static const struct contract_event *declaration(const struct workflow *workflow,
                                                const struct workflow_moment *moment)
{
    return contract_event_find(workflow_contract(workflow),
                               is_step_own(moment) ? moment->state : "", rows[moment->kind].name);
}

bool workflow_event_wanted(const struct workflow *workflow, const struct workflow_moment *moment)
{
    return !is_step_own(moment) || declaration(workflow, moment) != NULL;
}

struct json *workflow_event_payload(const struct workflow *workflow,
                                    const struct workflow_moment *moment, const char **type)
{
    const struct contract_event *declared = declaration(workflow, moment);
    if (is_step_own(moment) && declared == NULL)
        return NULL;
    *type = declared == NULL ? rows[moment->kind].name : declared->type;
    struct json *payload = base_payload(workflow, moment);
    if (declared != NULL && declared->payload != NULL)
        add_template(payload, declared->payload, workflow, moment);
    return payload;
}

struct json *workflow_event_own_payload(const struct workflow *workflow,
                                        const struct workflow_record *record,
                                        const struct json *own)
{
    struct json *payload = base_payload(
        workflow, &(struct workflow_moment){.kind = MOMENT_OWN_EVENT, .record = record});
    add_members(payload, own);
    return payload;
}
