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

static void set_breaker(struct worker *worker, struct explanation_wait *wait)
{
    struct breakers_status status;
    breakers_status(worker->orchestrator->breakers, wait->service, &status);
    wait->breaker_reason = must_strdup(status.reason);
    wait->by_hand = status.by_hand;
    if (status.state == BREAKER_OPEN && !status.by_hand && status.probe_after_us >= 0)
        wait->next_us = clock_now_us() + status.probe_after_us;
}

static void set_breakers(struct worker *worker, struct explanation *explanation)
{
    for (size_t i = 0; i < explanation->waits_count; i++)
        if (explanation->waits[i].cause == EXPLANATION_BREAKER)
            set_breaker(worker, &explanation->waits[i]);
}

void worker_explain(struct worker *worker, struct ticket *ticket)
{
    struct explanation *explanation = engine_explain(
        worker->engine, &ticket->id, registry_services(worker->orchestrator->registry));
    if (explanation == NULL)
        explanation = explain_end(worker, &ticket->id);
    if (explanation != NULL) {
        set_call_times(worker, explanation);
        set_breakers(worker, explanation);
        explanation->database_down = !worker_database_up(worker);
    }
    ticket_lock(ticket);
    ticket->explanation = explanation;
    ticket_answer(ticket, explanation == NULL ? TICKET_NOT_LIVE : TICKET_EXPLAINED);
    ticket_release(ticket);
}
