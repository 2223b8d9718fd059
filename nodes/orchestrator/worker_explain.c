/* SPDX-License-Identifier: MIT */
#include "io/clock.h"
#include "orchestrator/worker_internal.h"

static bool ends(const struct batch *batch, const struct uuid *id)
{
    for (size_t i = 0; i < batch->ends_count; i++)
        if (uuid_equal(&batch->ends[i].id, id))
            return true;
    return false;
}

/* It is no longer in memory, and the database does not know yet. */
static struct explanation *explain_end(const struct worker *worker, const struct uuid *id)
{
    if (!ends(&worker->gathering, id) && !ends(&worker->flying, id))
        return NULL;
    struct explanation *explanation = explanation_new();
    explanation->id = *id;
    explanation->state = WORKFLOW_PROCESSING;
    explanation->shard = -1; /* not kept */
    explanation->cause = EXPLANATION_COMMIT;
    return explanation;
}

/* Calls begin after the commit, later than their state. */
static void set_call_times(struct worker *worker, struct explanation *explanation)
{
    for (size_t i = 0; i < explanation->waits_count; i++) {
        struct explanation_wait *wait = &explanation->waits[i];
        int64_t started_us, limit_us;
        if (wait->cause != EXPLANATION_ANSWER ||
            !worker_call_times(worker, &explanation->id, wait->number, &started_us, &limit_us))
            continue;
        wait->since_us = started_us;
        wait->limit_us = limit_us;
    }
}

void worker_explain(struct worker *worker, struct ticket *ticket)
{
    struct explanation *explanation = engine_explain(
        worker->engine, &ticket->id, registry_services(worker->orchestrator->registry));
    if (explanation != NULL)
        set_call_times(worker, explanation);
    else
        explanation = explain_end(worker, &ticket->id);
    if (explanation != NULL)
        explanation->database_down = !worker_database_up(worker);
    ticket_lock(ticket);
    ticket->explanation = explanation;
    ticket_answer(ticket, explanation == NULL ? TICKET_NOT_LIVE : TICKET_EXPLAINED);
    ticket_release(ticket);
}
