/* SPDX-License-Identifier: MIT */
/* Steps that are held because their service is sick: the clocks of their workflow stand still meanwhile, unless
 * the service says that held time counts. None of it is in the records, and none of it changes what they mean: a
 * held step is a call that is made later. */
#include "orchestrator/core/workflow_internal.h"

bool workflow_stands_still(const struct workflow *workflow) { return workflow->hold.standing > 0; }
bool workflow_was_held(const struct workflow *workflow) { return workflow->hold.ever; }

void workflow_hold(struct workflow *workflow, struct workflow_wait *wait, int64_t since_us,
                   bool counts)
{
    struct workflow_hold *hold = &workflow->hold;
    hold->ever = true;
    wait->held_us = since_us;
    wait->hold_counts = counts;
    if (counts)
        return;
    if (hold->standing++ == 0 || since_us < hold->since_us)
        hold->since_us = since_us;
}

int64_t workflow_hold_settle(struct workflow *workflow, int64_t now_us)
{
    struct workflow_hold *hold = &workflow->hold;
    if (hold->standing > 0 || hold->since_us == 0)
        return 0;
    int64_t by_us = now_us > hold->since_us ? now_us - hold->since_us : 0;
    hold->since_us = 0;
    workflow->deadline_us += by_us;
    return by_us;
}

int64_t workflow_release(struct workflow *workflow, struct workflow_wait *wait, int64_t now_us)
{
    int64_t by_us = now_us > wait->held_us ? now_us - wait->held_us : 0;
    if (!wait->hold_counts) {
        wait->opened_us += by_us;
        wait->heartbeat_us += by_us;
        wait->limit_us = 0;
        workflow->hold.standing--;
    }
    wait->held_us = 0;
    wait->released_us = now_us;
    by_us = workflow_hold_settle(workflow, now_us);
    wait->excluded_us += by_us;
    return by_us;
}

void workflow_hold_restore(struct workflow *workflow, struct workflow_wait *wait,
                           int64_t excluded_us)
{
    workflow->hold.ever = true;
    workflow->deadline_us += excluded_us;
    if (wait == NULL)
        return;
    wait->opened_us += excluded_us;
    wait->heartbeat_us += excluded_us;
    wait->excluded_us = excluded_us;
}

void workflow_hold_close(struct workflow *workflow, const struct workflow_wait *wait,
                         struct workflow_outcome *outcome)
{
    if (wait->held_us == 0)
        return;
    if (!wait->hold_counts)
        workflow->hold.standing--;
    if (outcome->unheld_count == outcome->unheld_capacity) {
        outcome->unheld_capacity = outcome->unheld_capacity == 0 ? 4 : outcome->unheld_capacity * 2;
        outcome->unheld =
            must_realloc(outcome->unheld, outcome->unheld_capacity * sizeof *outcome->unheld);
    }
    outcome->unheld[outcome->unheld_count++] =
        (struct workflow_unheld){wait->wait, wait->guard - 1};
}
