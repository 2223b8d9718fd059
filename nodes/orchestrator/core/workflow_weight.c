/* SPDX-License-Identifier: MIT */
/* What a workflow weighs in memory: its input, the signals it keeps, what its calls delivered, and the data
 * between its states. That data is counted now and then only: after as much new data as makes the count pay. */
#include "orchestrator/core/workflow_internal.h"

#define COUNT_AFTER_BYTES 65536

int64_t workflow_weight(const struct workflow *workflow)
{
    const struct workflow_weight *weight = &workflow->weight;
    return workflow->head.input_bytes + (int64_t)workflow->signals.kept_bytes +
           (int64_t)(weight->delivered_bytes + weight->counted_bytes + weight->added_bytes);
}

void workflow_weigh(struct workflow *workflow, const struct workflow_record *record,
                    size_t kept_bytes_before)
{
    struct workflow_weight *weight = &workflow->weight;
    if (record->payload != NULL && record->kind == RECORD_TASK_SUCCEEDED)
        weight->added_bytes += json_text_bytes(record->payload);
    if (record->payload != NULL && record->kind == RECORD_SIGNAL && record->wait != 0)
        weight->added_bytes += json_text_bytes(record->payload);
    if (kept_bytes_before > workflow->signals.kept_bytes) /* a state took one of them */
        weight->added_bytes += kept_bytes_before - workflow->signals.kept_bytes;
    if (weight->added_bytes <= COUNT_AFTER_BYTES + weight->counted_bytes / 2)
        return;
    weight->counted_bytes = asl_execution_data_bytes(workflow->execution);
    weight->added_bytes = 0;
}
