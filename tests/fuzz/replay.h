/* SPDX-License-Identifier: MIT */
/* replay.h - is an execution a pure function of its recorded events? Drives a machine with drawn
 * events, keeps them as the orchestrator would, and runs them again from the start.
 *
 * What must hold, at every event of every machine:
 *   the same events give the same effects, whatever ran before (tale by tale);
 *   an execution restored from a prefix of the events goes on as the first one did;
 *   an answer to a wait that is not open is refused and changes nothing;
 *   waits are numbered in order, each is answered or abandoned once, none is left at the end;
 *   the execution ends once, or once more after each retry, and the calls of one place, visit and
 *   attempt are made once.
 */
#ifndef TESTS_FUZZ_REPLAY_H
#define TESTS_FUZZ_REPLAY_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/asl_mock.h"
#include "random_machine.h"

#define REPLAY_EVENTS_MAX 400
#define REPLAY_WAITS_MAX 4096
#define REPLAY_START_US INT64_C(1767225600000000)

#define REPLAY_CHECK(held)                                                                         \
    do {                                                                                           \
        if (!(held)) {                                                                             \
            fprintf(stderr, "does not hold: %s (line %d)\n", #held, __LINE__);                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum replay_wait { REPLAY_CLOSED, REPLAY_CALL, REPLAY_TIMER };

struct replay {
    struct asl_machine *machine;
    struct json *input;
    const struct asl_mock_options *mocked; /* of a case whose answers come from mocks; else NULL */
    struct asl_event events[REPLAY_EVENTS_MAX];
    char *tales[REPLAY_EVENTS_MAX]; /* the effects of each event, as text */
    size_t events_count;
    enum replay_wait waits[REPLAY_WAITS_MAX];
    int64_t due_us[REPLAY_WAITS_MAX];
    uint32_t waits_given;
    size_t open;
    int64_t now_us;
    bool ended;
};

static void replay_token(void *context, uint32_t wait, char token[ASL_TOKEN_BYTES])
{
    (void)context;
    snprintf(token, ASL_TOKEN_BYTES, "token-%u", wait);
}

static struct asl_execution *replay_execution(const struct replay *replay)
{
    if (replay->mocked)
        return asl_mock_execution(replay->machine, replay->mocked);
    struct asl_identity identity = {"id",         "name", "machine", "machine", REPLAY_START_US,
                                    replay_token, NULL};
    struct asl_execution *execution = asl_execution_new(replay->machine, &identity, replay->input);
    asl_execution_limit_data(execution, 20000);
    return execution;
}

static char *replay_tale(const struct asl_effects *effects)
{
    struct buffer tale = {0};
    for (size_t i = 0; i < effects->count; i++) {
        const struct asl_effect *effect = &effects->items[i];
        buffer_append_format(
            &tale, "%d %u %s %u.%u %s %" PRId64 " %" PRId64 " %" PRId64 " %d %s %s ",
            (int)effect->type, effect->wait, effect->state_path ? effect->state_path : "-",
            effect->visit, effect->attempt, effect->resource ? effect->resource : "-",
            effect->timeout_ms, effect->heartbeat_ms, effect->due_us, effect->retry,
            effect->error ? effect->error : "-", effect->cause ? effect->cause : "-");
        if (effect->data)
            json_write(effect->data, &tale);
        buffer_append_char(&tale, '\n');
    }
    return buffer_take(&tale);
}

/* -- what the effects say about waits -- */

static void replay_look(struct replay *replay, const struct asl_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        const struct asl_effect *effect = &effects->items[i];
        REPLAY_CHECK(!replay->ended);
        if (effect->type == ASL_CALL || effect->type == ASL_TIMER) {
            REPLAY_CHECK(effect->wait == replay->waits_given + 1);
            replay->waits_given++;
            if (effect->wait < REPLAY_WAITS_MAX) {
                replay->waits[effect->wait] = effect->type == ASL_CALL ? REPLAY_CALL : REPLAY_TIMER;
                replay->due_us[effect->wait] = effect->due_us;
            }
            replay->open++;
        } else if (effect->type == ASL_ABANDON) {
            REPLAY_CHECK(effect->wait <= replay->waits_given && replay->open > 0);
            if (effect->wait < REPLAY_WAITS_MAX) {
                REPLAY_CHECK(replay->waits[effect->wait] != REPLAY_CLOSED);
                replay->waits[effect->wait] = REPLAY_CLOSED;
            }
            replay->open--;
        } else if (effect->type == ASL_SUCCEEDED || effect->type == ASL_FAILED) {
            replay->ended = true;
            REPLAY_CHECK(replay->open == 0 && i + 1 == effects->count);
        }
    }
}

/* -- drawing the next event -- */

static uint32_t replay_draw_wait(const struct replay *replay, struct chance *chance)
{
    uint32_t first = 1 + chance_of(chance, 8);
    uint32_t most =
        replay->waits_given < REPLAY_WAITS_MAX ? replay->waits_given : REPLAY_WAITS_MAX - 1;
    for (uint32_t i = 0; i < most; i++) {
        uint32_t wait = (first + i - 1) % most + 1;
        if (replay->waits[wait] != REPLAY_CLOSED)
            return wait;
    }
    return 0;
}

static struct json *replay_value(struct chance *chance)
{
    const char *text = chance_pick(chance, random_values);
    return json_parse(text, strlen(text), NULL, NULL);
}

/* False when nothing is open that could be answered. */
static bool replay_draw(struct replay *replay, struct chance *chance, struct asl_event *event)
{
    static const char *const errors[] = {"E1",
                                         "E2",
                                         "States.Timeout",
                                         "States.HeartbeatTimeout",
                                         "States.Runtime",
                                         "States.DataLimitExceeded",
                                         ""};
    uint32_t wait = replay_draw_wait(replay, chance);
    if (wait == 0)
        return false;
    replay->now_us += chance_of(chance, 100) * 1000;
    *event = (struct asl_event){.wait = wait, .now_us = replay->now_us};
    if (chance_once_in(chance, 60)) {
        *event = (struct asl_event){
            .type = ASL_STOP, .now_us = replay->now_us, .error = "Stopped", .cause = "drawn"};
    } else if (replay->waits[wait] == REPLAY_TIMER) {
        event->type = ASL_TIMER_FIRED;
        if (replay->due_us[wait] > replay->now_us)
            event->now_us = replay->now_us = replay->due_us[wait];
    } else if (chance_once_in(chance, 3)) {
        event->type = ASL_TASK_FAILED;
        event->error = chance_pick(chance, errors);
        event->cause = "drawn";
        event->random = chance_of(chance, 256) / 256.0;
    } else {
        event->type = ASL_TASK_SUCCEEDED;
        event->result = replay_value(chance);
        event->at_once = chance_once_in(chance, 8);
    }
    return true;
}

static void replay_refuses_stale(const struct replay *replay, struct asl_execution *execution)
{
    struct asl_effects effects = {0};
    for (uint32_t wait = 0; wait <= replay->waits_given + 1 && wait < 64; wait++) {
        bool open = wait > 0 && wait <= replay->waits_given && replay->waits[wait] != REPLAY_CLOSED;
        struct asl_event wrong = {.type = ASL_TASK_SUCCEEDED, .wait = wait, .now_us = 1};
        if (open && replay->waits[wait] == REPLAY_CALL)
            wrong.type = ASL_TIMER_FIRED;
        REPLAY_CHECK(asl_step(execution, &wrong, &effects) == ERR_CONFLICT && effects.count == 0);
    }
    asl_effects_fini(&effects);
}

/* Sometimes a failed execution goes on. */
static bool replay_revive(struct replay *replay, struct asl_execution *execution,
                          struct chance *chance, struct asl_event *event)
{
    if (!chance_once_in(chance, 2) || !asl_execution_can_retry(execution))
        return false;
    replay->ended = false;
    replay->now_us += chance_of(chance, 100) * 1000;
    *event = (struct asl_event){.type = ASL_RETRY, .now_us = replay->now_us};
    return true;
}

static void replay_live(struct replay *replay, struct chance *chance)
{
    struct asl_execution *execution = replay_execution(replay);
    struct asl_effects effects = {0};
    struct asl_event event = {.type = ASL_START, .now_us = replay->now_us};
    do {
        if (event.type != ASL_START && event.type != ASL_STOP && event.type != ASL_RETRY) {
            replay->waits[event.wait] = REPLAY_CLOSED;
            replay->open--;
        }
        REPLAY_CHECK(asl_step(execution, &event, &effects) == ERR_OK);
        replay_look(replay, &effects);
        replay->events[replay->events_count] = event;
        replay->tales[replay->events_count++] = replay_tale(&effects);
        asl_effects_clear(&effects);
        REPLAY_CHECK(asl_execution_ended(execution) == replay->ended);
        if (chance_once_in(chance, 16))
            replay_refuses_stale(replay, execution);
    } while (replay->events_count < REPLAY_EVENTS_MAX && chance_is_left(chance) &&
             (replay->ended ? replay_revive(replay, execution, chance, &event)
                            : replay_draw(replay, chance, &event)));
    REPLAY_CHECK(replay->ended || replay->open > 0); /* whoever has not ended waits for something */
    asl_effects_fini(&effects);
    asl_execution_free(execution);
}

/* Feeds all events to a new execution; at `crash` it is thrown away and restored once more. */
static void replay_again(const struct replay *replay, size_t crash)
{
    struct asl_execution *execution = replay_execution(replay);
    struct asl_effects effects = {0};
    for (size_t i = 0; i < replay->events_count; i++) {
        if (i == crash) {
            asl_execution_free(execution);
            execution = replay_execution(replay);
            for (size_t k = 0; k < i; k++) {
                REPLAY_CHECK(asl_step(execution, &replay->events[k], &effects) == ERR_OK);
                asl_effects_clear(&effects);
            }
        }
        REPLAY_CHECK(asl_step(execution, &replay->events[i], &effects) == ERR_OK);
        char *tale = replay_tale(&effects);
        if (strcmp(tale, replay->tales[i]) != 0)
            fprintf(stderr, "event %zu, first:\n%sagain:\n%s", i, replay->tales[i], tale);
        REPLAY_CHECK(strcmp(tale, replay->tales[i]) == 0);
        free(tale);
        asl_effects_clear(&effects);
    }
    asl_effects_fini(&effects);
    asl_execution_free(execution);
}

static void replay_fini(struct replay *replay)
{
    for (size_t i = 0; i < replay->events_count; i++) {
        json_release((struct json *)replay->events[i].result);
        free(replay->tales[i]);
    }
    asl_machine_free(replay->machine);
    json_release(replay->input);
    free(replay);
}

/* One machine and its events, drawn from the bytes. False when the machine is not valid. */
static bool replay_bytes(const uint8_t *bytes, size_t count)
{
    struct chance chance = {bytes, count, 0};
    struct buffer text = {0};
    struct findings findings = {0};
    struct replay *replay = must_calloc(1, sizeof *replay);
    replay->now_us = REPLAY_START_US;
    random_machine_write(&chance, &text);
    struct json *definition = json_parse(text.data, text.bytes, NULL, NULL);
    REPLAY_CHECK(definition != NULL);
    replay->machine = asl_compile(definition, NULL, NULL, NULL, &findings);
    bool valid = replay->machine != NULL;
    if (!valid && getenv("REPLAY_FINDINGS")) {
        struct buffer told = {0};
        findings_write(&findings, &told);
        fprintf(stderr, "%s\n%s", buffer_text(&text), buffer_text(&told));
        buffer_fini(&told);
    }
    if (valid) {
        replay->input = replay_value(&chance);
        replay_live(replay, &chance);
        size_t crashes = chance_of(&chance, 3) + 1;
        for (size_t i = 0; i < crashes; i++)
            replay_again(replay, replay->events_count * (i + 1) / (crashes + 1));
    }
    json_release(definition);
    findings_fini(&findings);
    buffer_fini(&text);
    replay_fini(replay);
    return valid;
}

#endif
