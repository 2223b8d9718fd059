/* SPDX-License-Identifier: MIT */
/* breakers.h - the breakers of all services (core/breaker.h), shared by the workers of this instance and, by
 * the table service_breakers, with all others. A thread of its own writes what changed here, to the revision
 * that it knew, and hears of what others wrote; calls never wait for it.
 *
 * Owns      Its breakers, its thread and one connection.
 * Lifetime  From before the first worker to after the last one.
 * Threads   Any.
 * Units     *_us microseconds; since_us since 1970 UTC.
 * Errors    While the database cannot be reached, breakers open by themselves and none is probed. On a
 *           database of schema 7 each instance has breakers of its own, and what it holds is not written down.
 */
#ifndef ORCHESTRATOR_BREAKERS_H
#define ORCHESTRATOR_BREAKERS_H

#include "orchestrator/core/engine.h"
#include "orchestrator/orchestrator.h"

struct breakers;

/* Reads the table, so that what was open stays open. */
enum error_code breakers_open(struct breakers **breakers, struct orchestrator *orchestrator,
                              struct error *error) MUST_USE;
void breakers_start(struct breakers *breakers); /* once the workers are there */
void breakers_stop(struct breakers *breakers);  /* before the workers are freed */
void breakers_free(struct breakers *breakers);

/* What is held is written down. */
bool breakers_keep_holds(const struct orchestrator *orchestrator);

/* -- of the workers -- */

/* What a worker asks its gate by; it is lent. Without breakers there is no gate. */
struct breakers_view {
    struct breakers *breakers;
    int worker;
};
void breakers_gate(struct breakers_view *view, struct engine_gate *gate);
/* A call that was let pass has ended. True: its failure is to be parked, not recorded. */
bool breakers_end(const struct breakers_view *view, int service, uint32_t era,
                  enum breaker_outcome outcome, int64_t took_us);

/* -- of people -- */

struct breakers_status {
    enum breaker_state state;
    bool by_hand;
    bool probes; /* this instance does */
    int64_t since_us;
    int64_t probe_after_us; /* until it may be probed; -1: nobody knows */
    char reason[BREAKER_REASON_BYTES];
    int64_t released; /* calls of the present round */
    int64_t in_flight, held;
    int calls, failures, slow; /* of the sliding window */
    int64_t calls_max;         /* of this instance at a time */
};
void breakers_status(struct breakers *breakers, int service, struct breakers_status *status);
/* Until it is in the database. Saying it twice is fine. ERR_DATABASE, ERR_TIMEOUT. */
enum error_code breakers_hold(struct breakers *breakers, int service, struct error *error) MUST_USE;
enum error_code breakers_release(struct breakers *breakers, int service,
                                 struct error *error) MUST_USE;

#endif
