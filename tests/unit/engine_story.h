/* SPDX-License-Identifier: MIT */
/* engine_story.h - stories of an engine: events go in, effects come out as text, one a line.
 *
 *     started 1 seq 4+2 new      a record of workflow 1: its two events are 4 and 5 of its lane
 *     call 1/2 path#1            make the call of wait 2        abandon 1/2
 *     duplicate 1 same           (or "other": another body)    unknown 1      stale 1
 */
#ifndef TESTS_ENGINE_STORY_H
#define TESTS_ENGINE_STORY_H

#include "base/limits.h"
#include "orchestrator/core/engine.h"
#include "workflow_story.h"

#define TIMEOUT_MS 60000
#define MACHINE(states) "name: n\nversion: 1.0.0\nstate_machine:\n  StartAt: A\n  States:\n" states
#define TASK "Type: Task, Resource: onex:http:invoke"

__attribute__((unused)) static const char one_call[] = MACHINE("    A: { " TASK ", End: true }\n");
__attribute__((unused)) static const char two_calls[] =
    MACHINE("    A:\n      Type: Parallel\n      End: true\n"
            "      Branches:\n"
            "        - { StartAt: B, States: { B: { " TASK ", End: true } } }\n"
            "        - { StartAt: C, States: { C: { " TASK ", End: true } } }\n");
__attribute__((unused)) static const char call_and_wait[] =
    MACHINE("    A:\n      Type: Parallel\n      End: true\n      Branches:\n"
            "        - { StartAt: B, States: { B: { " TASK ", End: true } } }\n"
            "        - { StartAt: C, States: { C: { " TASK ", End: true } } }\n"
            "        - { StartAt: D, States: { D: { Type: Wait, Seconds: 30, End: true } } }\n");
__attribute__((unused)) static const char call_retried[] =
    MACHINE("    A:\n      Type: Task\n      Resource: onex:http:invoke\n      End: true\n"
            "      Retry: [ { ErrorEquals: [Busy], IntervalSeconds: 2, MaxAttempts: 2 } ]\n");
__attribute__((unused)) static const char waits[] =
    MACHINE("    A: { Type: Wait, Seconds: 20, End: true }\n");
__attribute__((unused)) static const char waits_twice[] =
    MACHINE("    A:\n      Type: Parallel\n      End: true\n      Branches:\n"
            "        - { StartAt: B, States: { B: { Type: Wait, Seconds: 20, End: true } } }\n"
            "        - { StartAt: C, States: { C: { Type: Wait, Seconds: 20, End: true } } }\n");
__attribute__((unused)) static const char waits_for_nothing[] =
    MACHINE("    A: { Type: Wait, Seconds: 0, Next: B }\n"
            "    B: { Type: Choice, Default: A, Choices: [ { "
            "Variable: $.s, IsPresent: true, Next: C } ] }\n"
            "    C: { Type: Succeed }\n");
__attribute__((unused)) static const char waits_by_input[] =
    MACHINE("    A: { Type: Wait, SecondsPath: $.s, End: true }\n");
__attribute__((unused)) static const char ends_at_once[] =
    MACHINE("    A: { Type: Pass, End: true }\n");

static struct engine *engine;
static struct engine_effects effects;
static struct buffer told;
static int64_t now_us;
static struct contract *contract;

__attribute__((unused)) static void open_engine(const char *definition, int64_t slots)
{
    contract = story_contract(definition);
    engine = engine_new(slots);
    now_us = STORY_START_US;
}

__attribute__((unused)) static void teardown(void)
{
    engine_effects_fini(&effects);
    engine_free(engine);
    contract_free(contract);
    buffer_fini(&told);
}

__attribute__((unused)) static unsigned number_of(const struct uuid *id)
{
    return (unsigned)id->octets[14] << 8 | id->octets[15];
}

__attribute__((unused)) static void tell(const struct engine_effect *effect)
{
    static const char *const records[RECORD_KINDS] = {
        "accepted",  "started",   "succeeded", "failed", "fired",   "cancelled", "timed-out",
        "delivered", "heartbeat", "signal",    "paused", "resumed", "retried"};
    unsigned number = number_of(&effect->id);
    switch (effect->type) {
    case ENGINE_RECORDED:
        buffer_append_format(&told, "%s %u seq %lld+%zu%s%s\n", records[effect->record.kind],
                             number, (long long)effect->seq, effect->outcome.events_count,
                             effect->is_new ? " new" : "", effect->ended ? " ended" : "");
        break;
    case ENGINE_CALL: {
        const struct workflow_wait *wait = workflow_wait_find(effect->workflow, effect->wait);
        buffer_append_format(&told, "call %u/%u %s#%u\n", number, effect->wait, wait->state_path,
                             wait->attempt);
        break;
    }
    case ENGINE_ABANDON:
        buffer_append_format(&told, "abandon %u/%u\n", number, effect->wait);
        break;
    case ENGINE_HELD: {
        const struct workflow_wait *wait = workflow_wait_find(effect->workflow, effect->wait);
        bool held = wait != NULL && wait->held_us != 0;
        buffer_append_format(&told, "%s %u/%u\n", held ? "held" : "released", number, effect->wait);
        break;
    }
    case ENGINE_UNHELD:
        buffer_append_format(&told, "unheld %u/%u\n", number, effect->wait);
        break;
    case ENGINE_DUPLICATE:
        buffer_append_format(&told, "duplicate %u %s\n", number,
                             effect->same_body ? "same" : "other");
        break;
    case ENGINE_UNKNOWN:
        buffer_append_format(&told, "unknown %u\n", number);
        break;
    case ENGINE_STALE:
        buffer_append_format(&told, "stale %u\n", number);
        break;
    case ENGINE_HEARD:
        buffer_append_format(&told, "heard %u\n", number);
        break;
    case ENGINE_FULL:
        buffer_append_format(&told, "full %u\n", number);
        break;
    case ENGINE_ORPHAN:
        buffer_append_format(&told, "orphan %u of %u/%u\n", number, number_of(&effect->parent),
                             effect->wait);
        break;
    }
}

__attribute__((unused)) static void give(struct engine_event event)
{
    event.now_us = now_us;
    engine_step(engine, &event, &effects);
    for (size_t i = 0; i < effects.count; i++)
        tell(&effects.items[i]);
    engine_effects_clear(&effects);
}

__attribute__((unused)) static void submit_to(unsigned number, int16_t shard, const char *input)
{
    give((struct engine_event){
        .type = ENGINE_SUBMIT,
        .workflow = story_workflow(contract, number, shard, input, now_us, TIMEOUT_MS)});
}

__attribute__((unused)) static void submit(unsigned number) { submit_to(number, 0, "{}"); }

__attribute__((unused)) static void submit_key(unsigned number, const char *namespace,
                                               const char *key, uint8_t body)
{
    struct engine_event event = {.type = ENGINE_SUBMIT, .key = key};
    event.workflow = story_workflow_of(namespace, contract, number, 0, "{}", now_us, TIMEOUT_MS);
    memset(event.body_hash, body, sizeof event.body_hash);
    give(event);
}

__attribute__((unused)) static void answer(unsigned number, uint32_t wait, uint32_t attempt,
                                           const char *error)
{
    struct json *result = json_object();
    give((struct engine_event){.type = ENGINE_TASK_ENDED,
                               .id = story_id(number),
                               .wait = wait,
                               .attempt = attempt,
                               .result = result,
                               .error = error,
                               .cause = error == NULL ? NULL : "because"});
    json_release(result);
}

__attribute__((unused)) static void ok(unsigned number, uint32_t wait)
{
    answer(number, wait, 1, NULL);
}

__attribute__((unused)) static void cancel(unsigned number)
{
    give((struct engine_event){.type = ENGINE_CANCEL, .id = story_id(number), .cause = "unwanted"});
}

__attribute__((unused)) static void command(enum engine_event_type type, unsigned number)
{
    give((struct engine_event){.type = type, .id = story_id(number)});
}

/* A workflow as it is read back from these records. */
__attribute__((unused)) static struct workflow *recovered(unsigned number,
                                                          const struct workflow_record *records,
                                                          size_t count)
{
    struct workflow *workflow =
        story_workflow(contract, number, 0, "{}", STORY_START_US, TIMEOUT_MS);
    struct workflow_outcome outcome = {0};
    for (size_t i = 0; i < count; i++) {
        struct workflow_record record = records[i];
        record.n = (int32_t)i;
        ck_assert_int_eq(workflow_apply(workflow, &record, &outcome), ERR_OK);
    }
    workflow_outcome_fini(&outcome);
    return workflow;
}

__attribute__((unused)) static void tick_at(int64_t seconds)
{
    now_us = STORY_START_US + seconds * SECOND_US;
    give((struct engine_event){.type = ENGINE_TICK});
}

#define check_told(expected)                                                                       \
    do {                                                                                           \
        ck_assert_str_eq(buffer_text(&told), expected);                                            \
        buffer_clear(&told);                                                                       \
    } while (0)

__attribute__((unused)) static void check_counts(size_t live, size_t pending, size_t in_flight)
{
    ck_assert_uint_eq(engine_live(engine), live);
    ck_assert_uint_eq(engine_pending(engine), pending);
    ck_assert_uint_eq(engine_in_flight(engine), in_flight);
}

#endif
