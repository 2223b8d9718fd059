/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/workflow_internal.h"

bool workflow_paused(const struct workflow *workflow) { return workflow->pause.since_us != 0; }
int64_t workflow_paused_us(const struct workflow *workflow) { return workflow->pause.since_us; }

void workflow_pause_begin(struct workflow *workflow, int64_t now_us)
{
    workflow->pause.since_us = now_us;
}

static char *copy(const char *text) { return text == NULL ? NULL : must_strdup(text); }

enum error_code workflow_pause_hold(struct workflow *workflow, const struct workflow_record *record,
                                    struct workflow_outcome *outcome)
{
    struct workflow_pause *pause = &workflow->pause;
    struct workflow_wait *wait = workflow_wait_find(workflow, record->wait);
    if (wait == NULL || wait->is_timer || wait->answered)
        return ERR_CONFLICT;
    if (pause->held_count == pause->held_capacity) {
        pause->held_capacity = pause->held_capacity == 0 ? 4 : pause->held_capacity * 2;
        pause->held = must_realloc(pause->held, pause->held_capacity * sizeof *pause->held);
    }
    struct workflow_record *held = &pause->held[pause->held_count++];
    *held = *record;
    held->error = copy(record->error);
    held->cause = copy(record->cause);
    held->payload = record->payload == NULL ? NULL : json_hold(record->payload);
    if (!wait->delivered)
        workflow_wait_set_called(workflow, wait, false);
    wait->answered = true;
    free(outcome->state_path);
    outcome->state_path = must_strdup(wait->state_path);
    return ERR_OK;
}

static void held_fini(struct workflow_record *held)
{
    free((char *)(uintptr_t)held->error);
    free((char *)(uintptr_t)held->cause);
    json_release((struct json *)(uintptr_t)held->payload);
}

void workflow_pause_fini(struct workflow *workflow)
{
    for (size_t i = 0; i < workflow->pause.held_count; i++)
        held_fini(&workflow->pause.held[i]);
    free(workflow->pause.held);
    workflow->pause = (struct workflow_pause){0};
}

/* A sign of life that came during the pause counts as one at its end. */
static int64_t moved(int64_t beat_us, int64_t by_us, int64_t now_us)
{
    return beat_us + by_us > now_us ? now_us : beat_us + by_us;
}

/* Its clock stood still meanwhile. */
static void move_times(struct workflow *workflow, int64_t by_us, int64_t now_us)
{
    workflow->deadline_us += by_us;
    for (size_t i = 0; i < workflow->waits_count; i++) {
        struct workflow_wait *wait = workflow_wait_at(workflow, i);
        if (wait == NULL)
            continue;
        wait->due_us += by_us;
        wait->opened_us += by_us;
        wait->heartbeat_us = moved(wait->heartbeat_us, by_us, now_us);
        wait->beat_us = wait->beat_us == 0 ? 0 : moved(wait->beat_us, by_us, now_us);
        wait->again_us = wait->limit_us = 0;
    }
}

void workflow_pause_end(struct workflow *workflow, const struct workflow_record *record,
                        struct workflow_outcome *outcome)
{
    struct workflow_pause pause = workflow->pause;
    workflow->pause = (struct workflow_pause){0};
    move_times(workflow, record->at_us - pause.since_us, record->at_us);
    for (size_t i = 0; i < pause.held_count; i++) {
        struct workflow_record *held = &pause.held[i];
        held->n = record->n;
        held->at_us = record->at_us;
        if (!workflow_state_ended(workflow->state) && workflow_wait_find(workflow, held->wait)) {
            enum error_code code = workflow_take_answer(workflow, held, outcome);
            BUG_IF(code != ERR_OK); /* it was checked when it was held */
        }
        held_fini(held);
    }
    free(pause.held);
    free(outcome->state_path); /* that of an answer which has a record of its own */
    outcome->state_path = NULL;
}
