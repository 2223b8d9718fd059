/* SPDX-License-Identifier: MIT */
/* onex:signal:wait. Parameters: signal_name (or Name). Result: the signal's data. */
#include "base/limits.h"
#include "orchestrator/core/task.h"

const char *task_signal_name(const struct json *parameters, struct http_task_failure *failure)
{
    const char *name = json_string_or(task_parameter(parameters, "signal_name", "Name"), "");
    if (task_name_is_valid(name))
        return name;
    http_task_fail(failure, HTTP_TASK_BAD_PARAMETERS,
                   "signal_name must be a text of 1 to %d letters, digits, dots, - and _",
                   NAME_BYTES_MAX);
    return NULL;
}
