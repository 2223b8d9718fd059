/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/breaker.h"

#include <stdio.h>
#include <string.h>

#define CALL_BAD 1
#define CALL_SLOW 2

static const char *const names[BREAKER_STATES] = {"closed", "open", "half_open"};

const char *breaker_state_name(enum breaker_state state) { return names[state]; }

bool breaker_state_of_name(const char *name, enum breaker_state *state)
{
    for (int i = 0; i < BREAKER_STATES; i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        *state = (enum breaker_state)i;
        return true;
    }
    return false;
}

void breaker_init(struct breaker *breaker, const struct breaker_settings *settings, int64_t now_us)
{
    memset(breaker, 0, sizeof *breaker);
    breaker->settings = *settings;
    breaker->state_us = now_us;
    breaker->probe_us = INT64_MAX;
}

/* -- the last calls -- */

static void forget_calls(struct breaker *breaker)
{
    breaker->window_count = breaker->window_next = 0;
    breaker->window_bad = breaker->window_slow = 0;
}

static void note_call(struct breaker *breaker, bool bad, bool slow)
{
    int size = breaker->settings.window_calls;
    uint8_t *place = &breaker->window[breaker->window_next];
    if (breaker->window_count == size) {
        breaker->window_bad -= (*place & CALL_BAD) != 0;
        breaker->window_slow -= (*place & CALL_SLOW) != 0;
    } else {
        breaker->window_count++;
    }
    *place = (uint8_t)((bad ? CALL_BAD : 0) | (slow ? CALL_SLOW : 0));
    breaker->window_bad += bad;
    breaker->window_slow += slow;
    breaker->window_next = (breaker->window_next + 1) % size;
}

/* -- states -- */

static void begin_round(struct breaker *breaker, int64_t calls, int64_t from_us)
{
    int64_t most = breaker->settings.round_calls_max;
    breaker->round_calls = calls < most ? calls : most;
    breaker->round_begun = breaker->round_good = 0;
    breaker->round_from_us = from_us;
}

static void enter(struct breaker *breaker, enum breaker_state state, int64_t now_us)
{
    breaker->state = state;
    breaker->state_us = now_us;
    breaker->era++;
    breaker->mine = breaker->ramping = breaker->wants_probe = false;
    breaker->good_calls = 0;
    breaker->probe_us =
        state == BREAKER_OPEN && !breaker->by_hand ? now_us + breaker->settings.open_us : INT64_MAX;
    forget_calls(breaker);
}

static void change(struct breaker *breaker, enum breaker_state state, const char *reason,
                   int64_t now_us)
{
    snprintf(breaker->reason, sizeof breaker->reason, "%s", reason);
    breaker->changed = true;
    enter(breaker, state, now_us);
}

static void open_when_sick(struct breaker *breaker, int64_t now_us)
{
    const struct breaker_settings *settings = &breaker->settings;
    int count = breaker->window_count;
    char reason[BREAKER_REASON_BYTES];
    if (count < settings->minimum_calls)
        return;
    if (breaker->window_bad * 100 >= settings->failure_rate * count)
        snprintf(reason, sizeof reason, "%d of the last %d calls failed", breaker->window_bad,
                 count);
    else if (breaker->window_slow * 100 >= settings->slow_rate * count)
        snprintf(reason, sizeof reason, "%d of the last %d calls took longer than %lld ms",
                 breaker->window_slow, count, (long long)(settings->slow_us / 1000));
    else
        return;
    change(breaker, BREAKER_OPEN, reason, now_us);
}

/* A call of the round has ended well. */
static void round_goes_on(struct breaker *breaker, int64_t now_us)
{
    bool full = ++breaker->round_good == breaker->round_calls;
    bool enough = ++breaker->good_calls >= BREAKER_GOOD_CALLS;
    if (full ? breaker->round_calls >= breaker->settings.round_calls_max
             : enough && breaker->round_good == breaker->round_begun) {
        breaker->ramping = false;
        if (breaker->state == BREAKER_HALF_OPEN)
            change(breaker, BREAKER_CLOSED, "its calls succeed", now_us);
        return;
    }
    if (!full)
        return;
    int64_t next_us = breaker->round_from_us + breaker->settings.round_us;
    begin_round(breaker, breaker->round_calls * 2, next_us > now_us ? next_us : now_us);
    breaker->changed = breaker->changed || breaker->state == BREAKER_HALF_OPEN;
}

/* -- asking -- */

static struct breaker_answer not_closed(const struct breaker *breaker, int64_t after_us)
{
    return (struct breaker_answer){
        .verdict = breaker->settings.holds ? BREAKER_PARK : BREAKER_REFUSE, .after_us = after_us};
}

static struct breaker_answer wait_for_probe(struct breaker *breaker, int64_t now_us)
{
    if (breaker->probe_us > now_us)
        return not_closed(breaker,
                          breaker->probe_us == INT64_MAX ? INT64_MAX : breaker->probe_us - now_us);
    breaker->wants_probe = true;
    return not_closed(breaker, INT64_MAX);
}

/* 0 when a call may be made now. */
static int64_t rate_wait_us(const struct breaker *breaker, int64_t now_us)
{
    int64_t early_us = breaker->rate_us - BREAKER_RATE_BURST_US;
    return breaker->settings.calls_per_1000s == 0 || early_us <= now_us ? 0 : early_us - now_us;
}

static void pay(struct breaker *breaker, int64_t now_us)
{
    if (breaker->settings.calls_per_1000s == 0)
        return;
    if (breaker->rate_us < now_us)
        breaker->rate_us = now_us;
    breaker->rate_us += INT64_C(1000000000) / breaker->settings.calls_per_1000s;
}

struct breaker_answer breaker_ask(struct breaker *breaker, int64_t now_us)
{
    bool probing = breaker->state == BREAKER_HALF_OPEN && breaker->mine;
    if (breaker->state != BREAKER_CLOSED && !probing)
        return wait_for_probe(breaker, now_us);
    if (probing || breaker->ramping) {
        int64_t after_us = breaker->round_begun >= breaker->round_calls ? INT64_MAX
                           : breaker->round_from_us > now_us ? breaker->round_from_us - now_us
                                                             : 0;
        if (after_us > 0)
            return probing ? not_closed(breaker, after_us)
                           : (struct breaker_answer){.verdict = BREAKER_WAIT, .after_us = after_us};
    }
    int64_t wait_us = rate_wait_us(breaker, now_us);
    bool full = breaker->settings.calls > 0 && breaker->in_flight >= breaker->settings.calls;
    if (full || wait_us > 0)
        return (struct breaker_answer){.verdict = BREAKER_WAIT,
                                       .after_us = wait_us > 0 ? wait_us : INT64_MAX};
    breaker->round_begun += probing || breaker->ramping;
    breaker->in_flight++;
    pay(breaker, now_us);
    return (struct breaker_answer){.verdict = BREAKER_PASS, .era = breaker->era};
}

bool breaker_end(struct breaker *breaker, uint32_t era, enum breaker_outcome outcome,
                 int64_t took_us, int64_t now_us)
{
    bool bad = outcome == BREAKER_BAD, slow = took_us > breaker->settings.slow_us;
    bool probing = breaker->state == BREAKER_HALF_OPEN && breaker->mine;
    breaker->in_flight--;
    if (era == breaker->era && outcome == BREAKER_UNKNOWN) {
        breaker->round_begun -= probing || breaker->ramping;
    } else if (era == breaker->era && probing && (bad || slow)) {
        change(breaker, BREAKER_OPEN,
               bad ? "a call that probed it failed" : "a call that probed it was slow", now_us);
    } else if (era == breaker->era) {
        note_call(breaker, bad, slow);
        if (probing || breaker->ramping)
            round_goes_on(breaker, now_us);
        if (breaker->state == BREAKER_CLOSED)
            open_when_sick(breaker, now_us);
    }
    return bad && breaker->state != BREAKER_CLOSED && breaker->settings.holds;
}

/* -- what is said -- */

bool breaker_hold(struct breaker *breaker, int64_t now_us)
{
    if (breaker->by_hand)
        return false;
    breaker->by_hand = true;
    change(breaker, BREAKER_OPEN, "held by hand", now_us);
    return true;
}

bool breaker_release(struct breaker *breaker, int64_t now_us)
{
    if (breaker->state != BREAKER_OPEN)
        return false;
    breaker->by_hand = false;
    change(breaker, BREAKER_HALF_OPEN, "released by hand", now_us);
    breaker->probe_us = now_us;
    return true;
}

void breaker_grant(struct breaker *breaker, int64_t now_us)
{
    breaker->by_hand = false;
    change(breaker, BREAKER_HALF_OPEN, "its calls are probed", now_us);
    breaker->mine = true;
    begin_round(breaker, 1, now_us);
}

void breaker_adopt(struct breaker *breaker, const struct breaker_news *news, int64_t now_us)
{
    bool closes = breaker->state != BREAKER_CLOSED && news->state == BREAKER_CLOSED;
    breaker->by_hand = news->by_hand;
    snprintf(breaker->reason, sizeof breaker->reason, "%s", news->reason);
    enter(breaker, news->state, now_us - news->age_us);
    breaker->changed = false;
    if (news->state == BREAKER_HALF_OPEN)
        breaker->probe_us =
            news->free_to_probe ? now_us : breaker->state_us + breaker->settings.patience_us;
    breaker->ramping = closes;
    if (closes)
        begin_round(breaker, 1, now_us);
}

bool breaker_free(struct breaker *breaker, int64_t now_us)
{
    if (breaker->state != BREAKER_HALF_OPEN || breaker->mine || breaker->probe_us <= now_us)
        return false;
    breaker->probe_us = now_us;
    return true;
}
