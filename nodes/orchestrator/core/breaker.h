/* SPDX-License-Identifier: MIT */
/* breaker.h - the circuit breaker of one service, its limit of calls at a time and its limit of calls per
 * second. Pure: a function of what it was told and when.
 *
 *     CLOSED ---- too many of the last calls failed, or were slow; somebody holds it ----> OPEN
 *     OPEN ------ its time is over and an instance has a call to make; released ---------> HALF_OPEN
 *     HALF_OPEN - a call fails, or is slow ------------------------------------------------> OPEN
 *     HALF_OPEN - a round of round_calls_max has succeeded --------------------------------> CLOSED
 *
 * While it is half open one instance, the prober, makes calls in rounds: one call, the canary, then twice as
 * many in each round after one that succeeded, and no two rounds closer than round_us. An instance that learns
 * that another one has closed the breaker goes through the same rounds, so that nobody bursts.
 *
 * It closes earlier when BREAKER_GOOD_CALLS calls have succeeded and nobody asks for more than are released.
 *
 * Owns      Nothing; zeroed with breaker_init it is closed.
 * Threads   One at a time (orchestrator/breakers.h has a lock for each).
 * Units     *_us microseconds of one clock that does not jump. Rates are percent.
 * Errors    None: every event has a meaning in every state.
 * Source    The names of settings and the sliding window of calls are those of resilience4j; the limit of
 *           calls per second is the generic cell rate algorithm (ITU-T I.371).
 */
#ifndef ORCHESTRATOR_CORE_BREAKER_H
#define ORCHESTRATOR_CORE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define BREAKER_WINDOW_MAX 1000
#define BREAKER_REASON_BYTES 160
#define BREAKER_GOOD_CALLS 8
#define BREAKER_RATE_BURST_US 100000 /* calls of this time may come at once */

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
#define BREAKER_STATES 3
const char *breaker_state_name(enum breaker_state state); /* "half_open" */
/* False when there is no such name. */
bool breaker_state_of_name(const char *name, enum breaker_state *state);

struct breaker_settings {
    bool holds; /* calls that may not be made are parked; else they are refused */
    int failure_rate, slow_rate;
    int minimum_calls, window_calls; /* at most BREAKER_WINDOW_MAX */
    int64_t slow_us;                 /* a call that takes longer is slow */
    int64_t open_us;                 /* before it is probed */
    int64_t round_us;
    int64_t patience_us;     /* before another instance takes a probe over that does not go on */
    int64_t calls;           /* of this instance at a time; 0: no limit */
    int64_t round_calls_max; /* a round of so many closes it */
    int64_t calls_per_1000s; /* of this instance; 0: no limit */
};

enum breaker_verdict {
    BREAKER_PASS,   /* make the call and say breaker_end; a place is taken */
    BREAKER_WAIT,   /* not now: a limit is reached */
    BREAKER_PARK,   /* it is not closed: park the step */
    BREAKER_REFUSE, /* it is not closed: fail the call */
};
struct breaker_answer {
    enum breaker_verdict verdict;
    uint32_t era;     /* of BREAKER_PASS: for breaker_end */
    int64_t after_us; /* of the others: ask again then; INT64_MAX: when something has changed */
};

enum breaker_outcome {
    BREAKER_GOOD,
    BREAKER_BAD,    /* no answer, or one that says that the service is sick */
    BREAKER_UNKNOWN /* the call was not made, or given up by us */
};

struct breaker {
    struct breaker_settings settings;
    enum breaker_state state;
    bool by_hand;
    bool mine;        /* half open: this instance probes */
    bool ramping;     /* closed by another instance: rounds until the limit is reached */
    bool changed;     /* here, and not stored yet: the shell's to clear */
    bool wants_probe; /* its time has come and there is a call to make: the shell's to grant */
    uint32_t era;     /* raised by each change: answers to calls of earlier ones say nothing */
    int64_t state_us; /* since when */
    int64_t probe_us; /* when it may be probed; INT64_MAX: not before something changes */
    char reason[BREAKER_REASON_BYTES];
    int64_t in_flight;
    int64_t round_calls, round_begun, round_good, round_from_us;
    int64_t good_calls; /* of all rounds */
    int64_t rate_us;    /* when the calls made so far are paid for */
    uint8_t window[BREAKER_WINDOW_MAX];
    int window_count, window_next, window_bad, window_slow;
};

void breaker_init(struct breaker *breaker, const struct breaker_settings *settings, int64_t now_us);
struct breaker_answer breaker_ask(struct breaker *breaker, int64_t now_us) MUST_USE;
/* The call has ended. True: it failed while the breaker is not closed, so its step is to be parked and no
 * attempt of it counts. */
bool breaker_end(struct breaker *breaker, uint32_t era, enum breaker_outcome outcome,
                 int64_t took_us, int64_t now_us);

/* Said by somebody; false when it is so already. A release lets the probe begin at once. */
bool breaker_hold(struct breaker *breaker, int64_t now_us);
bool breaker_release(struct breaker *breaker, int64_t now_us);

/* The probe is this instance's. */
void breaker_grant(struct breaker *breaker, int64_t now_us);

/* What another instance made of it, `age_us` ago. */
struct breaker_news {
    enum breaker_state state;
    bool by_hand;
    bool free_to_probe; /* half open, and nobody has begun */
    int64_t age_us;
    const char *reason;
};
void breaker_adopt(struct breaker *breaker, const struct breaker_news *news, int64_t now_us);
/* Another instance probes, and is gone. True: it may be probed from now on. */
bool breaker_free(struct breaker *breaker, int64_t now_us) MUST_USE;

#endif
