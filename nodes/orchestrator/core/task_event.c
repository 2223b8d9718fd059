/* SPDX-License-Identifier: MIT */
/* onex:event:publish. Parameters: event_type (or type), payload (an object). Result: {event_type,
 * event_id}. */
#include "base/limits.h"
#include "orchestrator/core/task.h"

#define ENVELOPE_BYTES_MAX 4096 /* what stands around a payload */

bool task_event_read(const struct json *parameters, struct task_event *event,
                     struct http_task_failure *failure)
{
    event->type = json_string_or(task_parameter(parameters, "event_type", "type"), "");
    event->payload = json_get(parameters, "payload");
    if (!task_name_is_valid(event->type))
        return http_task_fail(failure, HTTP_TASK_BAD_PARAMETERS,
                              "event_type must be a text of 1 to %d letters, digits, dots, - and _",
                              NAME_BYTES_MAX);
    if (task_event_type_reserved(event->type))
        return http_task_fail(
            failure, HTTP_TASK_BAD_PARAMETERS,
            "the event type %s is reserved: workflow_... and stamp_workflow_... tell "
            "the life of workflows",
            event->type);
    if (event->payload != NULL && json_type_of(event->payload) != JSON_OBJECT)
        return http_task_fail(failure, HTTP_TASK_BAD_PARAMETERS,
                              "payload is a %s; it must be an object",
                              json_type_name(event->payload));
    event->payload_bytes = event->payload == NULL ? 0 : json_text_bytes(event->payload);
    if (event->payload_bytes > EVENT_BYTES_MAX - ENVELOPE_BYTES_MAX)
        return http_task_fail(failure, "States.DataLimitExceeded",
                              "the payload has %zu octets; an event has at most %d",
                              event->payload_bytes, EVENT_BYTES_MAX - ENVELOPE_BYTES_MAX);
    return true;
}
