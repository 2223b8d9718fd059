/* SPDX-License-Identifier: MIT */
/* Stories of an engine: events go in, effects come out as text, one a line.
 *
 *     started 1 seq 4+2 new      a record of workflow 1: its two events are 4 and 5 of its lane
 *     call 1/2 path#1            make the call of wait 2        abandon 1/2
 *     duplicate 1 same           (or "other": another body)    unknown 1      stale 1
 */
#include "base/limits.h"
#include "orchestrator/core/engine.h"
#include "workflow_story.h"

#define TIMEOUT_MS 60000
#define MACHINE(states) "name: n\nversion: 1.0.0\nstate_machine:\n  StartAt: A\n  States:\n" states
#define TASK "Type: Task, Resource: onex:http:invoke"

static const char one_call[] = MACHINE("    A: { " TASK ", End: true }\n");
static const char two_calls[] =
    MACHINE("    A:\n      Type: Parallel\n      End: true\n"
            "      Branches:\n"
            "        - { StartAt: B, States: { B: { " TASK ", End: true } } }\n"
            "        - { StartAt: C, States: { C: { " TASK ", End: true } } }\n");
static const char call_and_wait[] =
    MACHINE("    A:\n      Type: Parallel\n      End: true\n      Branches:\n"
            "        - { StartAt: B, States: { B: { " TASK ", End: true } } }\n"
            "        - { StartAt: C, States: { C: { " TASK ", End: true } } }\n"
            "        - { StartAt: D, States: { D: { Type: Wait, Seconds: 30, End: true } } }\n");
static const char call_retried[] =
    MACHINE("    A:\n      Type: Task\n      Resource: onex:http:invoke\n      End: true\n"
            "      Retry: [ { ErrorEquals: [Busy], IntervalSeconds: 2, MaxAttempts: 2 } ]\n");
static const char waits[] = MACHINE("    A: { Type: Wait, Seconds: 20, End: true }\n");
static const char waits_twice[] =
    MACHINE("    A:\n      Type: Parallel\n      End: true\n      Branches:\n"
            "        - { StartAt: B, States: { B: { Type: Wait, Seconds: 20, End: true } } }\n"
            "        - { StartAt: C, States: { C: { Type: Wait, Seconds: 20, End: true } } }\n");
static const char waits_for_nothing[] = MACHINE("    A: { Type: Wait, Seconds: 0, Next: B }\n"
                                                "    B: { Type: Choice, Default: A, Choices: [ { "
                                                "Variable: $.s, IsPresent: true, Next: C } ] }\n"
                                                "    C: { Type: Succeed }\n");
static const char waits_by_input[] =
    MACHINE("    A: { Type: Wait, SecondsPath: $.s, End: true }\n");
static const char ends_at_once[] = MACHINE("    A: { Type: Pass, End: true }\n");

static struct engine *engine;
static struct engine_effects effects;
static struct buffer told;
static int64_t now_us;
static struct contract *contract;

static void open_engine(const char *definition, int64_t slots)
{
    contract = story_contract(definition);
    engine = engine_new(slots);
    now_us = STORY_START_US;
}

static void teardown(void)
{
    engine_effects_fini(&effects);
    engine_free(engine);
    contract_free(contract);
    buffer_fini(&told);
}

static unsigned number_of(const struct uuid *id)
{
    return (unsigned)id->octets[14] << 8 | id->octets[15];
}

static void tell(const struct engine_effect *effect)
{
    static const char *const records[RECORD_KINDS] = {
        "accepted", "started", "succeeded", "failed", "fired", "cancelled", "timed-out"};
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
    }
}

static void give(struct engine_event event)
{
    event.now_us = now_us;
    engine_step(engine, &event, &effects);
    for (size_t i = 0; i < effects.count; i++)
        tell(&effects.items[i]);
    engine_effects_clear(&effects);
}

static void submit_to(unsigned number, int16_t shard, const char *input)
{
    give((struct engine_event){
        .type = ENGINE_SUBMIT,
        .workflow = story_workflow(contract, number, shard, input, now_us, TIMEOUT_MS)});
}

static void submit(unsigned number) { submit_to(number, 0, "{}"); }

static void submit_key(unsigned number, const char *namespace, const char *key, uint8_t body)
{
    struct engine_event event = {.type = ENGINE_SUBMIT, .key = key};
    event.workflow = story_workflow_of(namespace, contract, number, 0, "{}", now_us, TIMEOUT_MS);
    memset(event.body_hash, body, sizeof event.body_hash);
    give(event);
}

static void answer(unsigned number, uint32_t wait, uint32_t attempt, const char *error)
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

static void ok(unsigned number, uint32_t wait) { answer(number, wait, 1, NULL); }

static void cancel(unsigned number)
{
    give((struct engine_event){.type = ENGINE_CANCEL, .id = story_id(number), .cause = "unwanted"});
}

static void tick_at(int64_t seconds)
{
    now_us = STORY_START_US + seconds * SECOND_US;
    give((struct engine_event){.type = ENGINE_TICK});
}

#define check_told(expected)                                                                       \
    do {                                                                                           \
        ck_assert_str_eq(buffer_text(&told), expected);                                            \
        buffer_clear(&told);                                                                       \
    } while (0)

static void check_counts(size_t live, size_t pending, size_t in_flight)
{
    ck_assert_uint_eq(engine_live(engine), live);
    ck_assert_uint_eq(engine_pending(engine), pending);
    ck_assert_uint_eq(engine_in_flight(engine), in_flight);
}

/* -- slots -- */

START_TEST(slots_bound_calls_and_the_pending_start_in_order)
{
    open_engine(one_call, 2);
    for (unsigned i = 1; i <= 5; i++)
        submit(i);
    check_told("started 1 seq 0+2 new\ncall 1/1 A#1\n"
               "started 2 seq 2+2 new\ncall 2/1 A#1\n"
               "accepted 3 seq 4+0 new\naccepted 4 seq 4+0 new\naccepted 5 seq 4+0 new\n");
    check_counts(5, 3, 2);
    ok(2, 1);
    check_told("succeeded 2 seq 4+3 ended\nstarted 3 seq 7+2\ncall 3/1 A#1\n");
    check_counts(4, 2, 2);
    answer(1, 1, 1, "Broken");
    check_told("failed 1 seq 9+2 ended\nstarted 4 seq 11+2\ncall 4/1 A#1\n");
    ok(4, 1);
    check_told("succeeded 4 seq 13+3 ended\nstarted 5 seq 16+2\ncall 5/1 A#1\n");
    ok(3, 1);
    ok(5, 1);
    check_told("succeeded 3 seq 18+3 ended\nsucceeded 5 seq 21+3 ended\n");
    check_counts(0, 0, 0);
}
END_TEST

/* What was accepted earlier goes first, even when a slot is free at the time of a submission. */
START_TEST(nobody_overtakes_the_pending)
{
    open_engine(two_calls, 1);
    submit(1);
    submit(2);
    check_told("started 1 seq 0+2 new\ncall 1/1 A/0/B#1\naccepted 2 seq 2+0 new\n");
    ok(1, 1);
    check_told("succeeded 1 seq 2+1\ncall 1/2 A/1/C#1\n");
    submit(3);
    ok(1, 2);
    check_told("accepted 3 seq 3+0 new\nsucceeded 1 seq 3+3 ended\nstarted 2 seq 6+2\n"
               "call 2/1 A/0/B#1\n");
    check_counts(2, 1, 1);
}
END_TEST

/* Forty wait all the time, while the queue goes round many times. */
START_TEST(the_order_holds_for_long)
{
    enum { WAITING = 40, COUNT = 1000 };
    char started[64];
    open_engine(one_call, 1);
    for (unsigned i = 0; i < WAITING; i++)
        submit(i);
    for (unsigned i = 0; i + WAITING < COUNT; i++) {
        submit(i + WAITING);
        buffer_clear(&told);
        ok(i, 1);
        snprintf(started, sizeof started, "\nstarted %u seq", i + 1);
        ck_assert_ptr_nonnull(strstr(buffer_text(&told), started));
        check_counts(WAITING, WAITING - 1, 1);
    }
}
END_TEST

START_TEST(workflows_that_wait_hold_no_slot)
{
    open_engine(waits, 1);
    submit(1);
    submit(2);
    submit(3);
    check_told("started 1 seq 0+2 new\nstarted 2 seq 2+2 new\nstarted 3 seq 4+2 new\n");
    check_counts(3, 0, 0);
}
END_TEST

START_TEST(a_retry_delay_frees_the_slot)
{
    open_engine(call_retried, 1);
    submit(1);
    submit(2);
    buffer_clear(&told);
    answer(1, 1, 1, "Busy");
    check_told("failed 1 seq 2+0\nstarted 2 seq 2+2\ncall 2/1 A#1\n");
    tick_at(2);
    check_told("fired 1 seq 4+0\n");
    check_counts(2, 0, 1);
    ok(2, 1);
    check_told("succeeded 2 seq 4+3 ended\ncall 1/3 A#2\n");
    answer(1, 3, 2, NULL);
    check_told("succeeded 1 seq 7+3 ended\n");
    check_counts(0, 0, 0);
}
END_TEST

START_TEST(abandoned_calls_free_their_slots)
{
    open_engine(two_calls, 2);
    submit(1);
    submit(2);
    buffer_clear(&told);
    check_counts(2, 1, 2);
    answer(1, 1, 1, "Broken");
    check_told("failed 1 seq 2+2 ended\nabandon 1/2\nstarted 2 seq 4+2\ncall 2/1 A/0/B#1\n"
               "call 2/2 A/1/C#1\n");
    check_counts(1, 0, 2);
    submit(3);
    cancel(2);
    check_told("accepted 3 seq 6+0 new\ncancelled 2 seq 6+2 ended\nabandon 2/1\nabandon 2/2\n"
               "started 3 seq 8+2\ncall 3/1 A/0/B#1\ncall 3/2 A/1/C#1\n");
    check_counts(1, 0, 2);
}
END_TEST

/* Its call still stood in line: nothing was in flight, so nothing is given back twice. */
START_TEST(a_call_that_was_never_made_frees_nothing)
{
    open_engine(two_calls, 1);
    submit(1);
    buffer_clear(&told);
    cancel(1);
    check_told("cancelled 1 seq 2+2 ended\nabandon 1/1\nabandon 1/2\n");
    check_counts(0, 0, 0);
    submit(2);
    submit(3);
    check_told("started 2 seq 4+2 new\ncall 2/1 A/0/B#1\naccepted 3 seq 6+0 new\n");
    check_counts(2, 1, 1);
}
END_TEST

START_TEST(a_pending_workflow_can_be_cancelled)
{
    open_engine(one_call, 1);
    submit(1);
    submit(2);
    submit(3);
    buffer_clear(&told);
    cancel(2);
    check_told("cancelled 2 seq 2+2 ended\n");
    check_counts(2, 1, 1);
    ok(1, 1);
    check_told("succeeded 1 seq 4+3 ended\nstarted 3 seq 7+2\ncall 3/1 A#1\n");
    check_counts(1, 0, 1);
}
END_TEST

START_TEST(a_workflow_may_end_with_its_first_record)
{
    open_engine(ends_at_once, 1);
    submit_key(1, "docs", "k", 1);
    check_told("started 1 seq 0+4 new ended\n");
    check_counts(0, 0, 0);
    submit_key(2, "docs", "k", 1);
    check_told("duplicate 1 same\n");
    ck_assert_int_eq(engine_next_due_us(engine), INT64_MAX);
}
END_TEST

/* -- answers -- */

START_TEST(stale_answers_change_nothing)
{
    open_engine(call_retried, 1);
    submit(1);
    submit(2);
    buffer_clear(&told);
    ok(7, 1);
    ok(2, 1);
    ok(1, 2);
    answer(1, 1, 2, NULL);
    check_told("stale 7\nstale 2\nstale 1\nstale 1\n");
    check_counts(2, 1, 1);
    answer(1, 1, 1, "Busy");
    buffer_clear(&told);
    answer(1, 1, 1, "Busy");
    ok(1, 3);
    check_told("stale 1\nstale 1\n");
    ok(2, 1);
    buffer_clear(&told);
    ok(2, 1);
    check_told("stale 2\n");
    struct uuid id = story_id(1);
    ck_assert_int_eq(workflow_records(engine_find(engine, &id)), 2);
}
END_TEST

START_TEST(an_answer_of_a_call_that_waits_for_a_slot_is_stale)
{
    open_engine(two_calls, 1);
    submit(1);
    buffer_clear(&told);
    ok(1, 2);
    check_told("stale 1\n");
    ok(1, 1);
    check_told("succeeded 1 seq 2+1\ncall 1/2 A/1/C#1\n");
    ok(1, 2);
    check_told("succeeded 1 seq 3+3 ended\n");
}
END_TEST

START_TEST(nobody_cancels_what_is_not_there)
{
    open_engine(one_call, 1);
    submit(1);
    ok(1, 1);
    buffer_clear(&told);
    cancel(1);
    cancel(9);
    check_told("unknown 1\nunknown 9\n");
}
END_TEST

START_TEST(a_record_carries_what_the_event_said)
{
    open_engine(call_retried, 1);
    submit(1);
    struct engine_event event = {.type = ENGINE_TASK_ENDED,
                                 .now_us = now_us + 5,
                                 .id = story_id(1),
                                 .wait = 1,
                                 .attempt = 1,
                                 .duration_us = 77,
                                 .random = 0.25,
                                 .error = "Busy",
                                 .cause = "queue"};
    engine_step(engine, &event, &effects);
    const struct engine_effect *effect = &effects.items[0];
    ck_assert_int_eq(effect->type, ENGINE_RECORDED);
    ck_assert_int_eq(effect->record.n, 1);
    ck_assert_int_eq(effect->record.kind, RECORD_TASK_FAILED);
    ck_assert_int_eq(effect->record.at_us, STORY_START_US + 5);
    ck_assert_int_eq(effect->record.duration_us, 77);
    ck_assert(effect->record.random > 0.24 && effect->record.random < 0.26);
    ck_assert_uint_eq(effect->record.wait, 1);
    ck_assert_uint_eq(effect->record.attempt, 1);
    ck_assert_str_eq(effect->record.error, "Busy");
    ck_assert_str_eq(effect->record.cause, "queue");
    ck_assert_str_eq(effect->outcome.state_path, "A");
    ck_assert_ptr_eq(effect->workflow, engine_find(engine, &effect->id));
    engine_effects_clear(&effects);
}
END_TEST

/* -- idempotency keys -- */

START_TEST(a_key_is_one_workflow)
{
    open_engine(one_call, 2);
    submit_key(1, "docs", "k", 1);
    submit_key(2, "docs", "k", 1);
    submit_key(3, "docs", "k", 2);
    check_told("started 1 seq 0+2 new\ncall 1/1 A#1\nduplicate 1 same\nduplicate 1 other\n");
    check_counts(1, 0, 1);
    submit_key(4, "docs", "l", 1);
    submit_key(5, "doc", "sk", 1);
    submit_key(6, "other", "k", 1);
    submit(7);
    submit(8);
    check_told("started 4 seq 2+2 new\ncall 4/1 A#1\naccepted 5 seq 4+0 new\n"
               "accepted 6 seq 4+0 new\naccepted 7 seq 4+0 new\naccepted 8 seq 4+0 new\n");
}
END_TEST

START_TEST(keys_are_forgotten_in_time)
{
    open_engine(one_call, 1);
    submit_key(1, "docs", "k", 1);
    ok(1, 1);
    now_us = STORY_START_US + 5;
    submit_key(2, "docs", "l", 1);
    buffer_clear(&told);
    now_us = STORY_START_US + KEY_MEMORY_US;
    submit_key(3, "docs", "k", 1);
    check_told("duplicate 1 same\n");
    now_us++;
    submit_key(4, "docs", "k", 2);
    submit_key(5, "docs", "l", 1);
    check_told("accepted 4 seq 7+0 new\nduplicate 2 same\n");
    now_us += 5;
    submit_key(6, "docs", "l", 1);
    submit_key(7, "docs", "k", 2);
    check_told("accepted 6 seq 7+0 new\nduplicate 4 same\n");
    now_us += 10ll * KEY_MEMORY_US;
    give((struct engine_event){.type = ENGINE_TICK});
    buffer_clear(&told);
    submit_key(8, "docs", "k", 1);
    check_told("accepted 8 seq 11+0 new\n");
}
END_TEST

START_TEST(keys_and_namespaces_may_be_as_long_as_they_may_be)
{
    char namespace[NAMESPACE_BYTES_MAX + 1], key[IDEMPOTENCY_KEY_BYTES_MAX + 1];
    memset(namespace, 'n', sizeof namespace);
    memset(key, 'k', sizeof key);
    namespace[NAMESPACE_BYTES_MAX] = key[IDEMPOTENCY_KEY_BYTES_MAX] = '\0';
    open_engine(one_call, 1);
    submit_key(1, namespace, key, 1);
    submit_key(2, namespace, key, 1);
    check_told("started 1 seq 0+2 new\ncall 1/1 A#1\nduplicate 1 same\n");
}
END_TEST

/* -- timers -- */

START_TEST(timers_fire_in_order)
{
    open_engine(waits_by_input, 1);
    submit_to(1, 0, "{\"s\":30}");
    submit_to(2, 0, "{\"s\":10}");
    submit_to(3, 0, "{\"s\":20}");
    buffer_clear(&told);
    ck_assert_int_eq(engine_next_due_us(engine), STORY_START_US + 10 * SECOND_US);
    tick_at(9);
    check_told("");
    tick_at(20);
    check_told("fired 2 seq 6+2 ended\nfired 3 seq 8+2 ended\n");
    ck_assert_int_eq(engine_next_due_us(engine), STORY_START_US + 30 * SECOND_US);
    tick_at(30);
    check_told("fired 1 seq 10+2 ended\n");
    tick_at(100);
    check_told("");
    ck_assert_int_eq(engine_next_due_us(engine), INT64_MAX);
}
END_TEST

START_TEST(the_time_limit_counts_from_the_start)
{
    open_engine(one_call, 1);
    submit(1);
    submit(2);
    buffer_clear(&told);
    tick_at(59);
    check_told("");
    tick_at(60);
    check_told("timed-out 1 seq 2+2 ended\nabandon 1/1\nstarted 2 seq 4+2\ncall 2/1 A#1\n");
    tick_at(119);
    check_told("");
    tick_at(120);
    check_told("timed-out 2 seq 6+2 ended\nabandon 2/1\n");
    check_counts(0, 0, 0);
}
END_TEST

/* A state that waits for nothing must not keep the thread for ever; its time limit ends it. */
START_TEST(a_loop_of_empty_waits_lets_others_live)
{
    open_engine(waits_for_nothing, 1);
    submit(1);
    buffer_clear(&told);
    tick_at(0);
    check_told("fired 1 seq 2+0\nfired 1 seq 2+0\n");
    ck_assert_int_eq(engine_next_due_us(engine), now_us);
    tick_at(61);
    ck_assert_ptr_nonnull(strstr(buffer_text(&told), "timed-out 1 seq 2+2 ended\n"));
    check_counts(0, 0, 0);
}
END_TEST

/* The heap is swept while the timers of a new workflow are added: its own must stay. */
START_TEST(a_sweep_leaves_the_timers_of_a_new_workflow)
{
    enum { COUNT = 2500 };
    open_engine(waits_twice, 1);
    for (unsigned i = 0; i < COUNT; i++)
        submit(i);
    check_counts(COUNT, 0, 0);
    tick_at(20);
    check_counts(0, 0, 0);
}
END_TEST

START_TEST(timers_of_the_ended_do_not_pile_up)
{
    open_engine(one_call, 1);
    for (unsigned i = 0; i < 20000; i++) {
        now_us++;
        submit(i);
        ok(i, 1);
        buffer_clear(&told);
    }
    check_counts(0, 0, 0);
    size_t fired = 0;
    while (engine_next_due_us(engine) != INT64_MAX) {
        now_us = engine_next_due_us(engine);
        give((struct engine_event){.type = ENGINE_TICK});
        ck_assert_uint_le(++fired, 2048);
    }
    check_told("");
}
END_TEST

/* -- lanes -- */

struct lane_check {
    int64_t next[4];
    size_t records;
};

static void lanes_take(struct lane_check *check)
{
    for (size_t i = 0; i < effects.count; i++) {
        const struct engine_effect *effect = &effects.items[i];
        if (effect->type != ENGINE_RECORDED)
            continue;
        int16_t shard = workflow_head(effect->workflow)->shard;
        ck_assert_int_eq(effect->seq, check->next[shard]);
        ck_assert_int_eq(effect->record.n, workflow_records(effect->workflow) - 1);
        check->next[shard] += (int64_t)effect->outcome.events_count;
        check->records++;
    }
    for (int16_t shard = 0; shard < 4; shard++)
        ck_assert_int_eq(engine_lane_next(engine, shard), check->next[shard]);
    ck_assert_uint_le(engine_in_flight(engine), 5);
    engine_effects_clear(&effects);
}

/* 300 workflows over four lanes, answered, failed and cancelled in a scattered but fixed order. */
START_TEST(lane_numbers_have_no_gaps)
{
    enum { COUNT = 300 };
    struct lane_check check = {.next = {10, 0, 7000000000, 1}};
    open_engine(call_retried, 5);
    for (int16_t shard = 0; shard < 4; shard++)
        engine_lane_open(engine, shard, check.next[shard]);
    uint32_t dice = 1;
    for (unsigned step = 0; step < COUNT || engine_live(engine) > 0; step++) {
        now_us += SECOND_US / 4;
        struct engine_event event = {.type = ENGINE_TICK, .now_us = now_us};
        if (step < COUNT) {
            event.type = ENGINE_SUBMIT;
            event.workflow =
                story_workflow(contract, step, (int16_t)(step % 4), "{}", now_us, TIMEOUT_MS);
        }
        engine_step(engine, &event, &effects);
        lanes_take(&check);
        for (unsigned i = 0; i < COUNT; i++) {
            struct uuid id = story_id(i);
            struct workflow *workflow = engine_find(engine, &id);
            const struct workflow_wait *wait =
                workflow == NULL ? NULL : workflow_wait_at(workflow, 0);
            dice = dice * 1664525u + 1013904223u;
            if (wait == NULL || (dice >> 28) > 3)
                continue;
            event =
                (struct engine_event){.type = (dice >> 28) == 0 ? ENGINE_CANCEL : ENGINE_TASK_ENDED,
                                      .now_us = now_us,
                                      .id = id,
                                      .wait = wait->wait,
                                      .attempt = wait->attempt,
                                      .error = (dice >> 28) < 2 ? "Busy" : NULL,
                                      .cause = ""};
            engine_step(engine, &event, &effects);
            lanes_take(&check);
        }
    }
    check_counts(0, 0, 0);
    ck_assert_uint_gt(check.records, COUNT * 2);
}
END_TEST

/* -- recovery -- */

static struct workflow *recovered(unsigned number, const struct workflow_record *records,
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

static void load(struct workflow *workflow)
{
    give((struct engine_event){.type = ENGINE_LOAD, .workflow = workflow});
}

START_TEST(recovery_makes_the_open_calls_again)
{
    const struct workflow_record records[] = {
        {.kind = RECORD_ACCEPTED, .at_us = STORY_START_US},
        {.kind = RECORD_STARTED, .at_us = STORY_START_US + 1 * SECOND_US},
        {.kind = RECORD_TASK_SUCCEEDED, .at_us = STORY_START_US + 2 * SECOND_US, .wait = 1},
    };
    open_engine(call_and_wait, 8);
    engine_lane_open(engine, 0, 3);
    now_us = STORY_START_US + 10 * SECOND_US;
    load(recovered(1, records, 3));
    check_told("call 1/2 A/1/C#1\n");
    check_counts(1, 0, 1);
    ck_assert_int_eq(engine_next_due_us(engine), STORY_START_US + 31 * SECOND_US);
    load(recovered(2, records, 2));
    check_told("call 2/1 A/0/B#1\ncall 2/2 A/1/C#1\n");
    ok(1, 1);
    ok(1, 2);
    check_told("stale 1\nsucceeded 1 seq 3+1\n");
    tick_at(31);
    check_told("fired 1 seq 4+2 ended\nfired 2 seq 6+0\n");
    tick_at(61);
    check_told("timed-out 2 seq 6+2 ended\nabandon 2/1\nabandon 2/2\n");
    check_counts(0, 0, 0);
}
END_TEST

/* Timers that came up while nobody ran fire at the first tick. */
START_TEST(recovery_finds_what_is_overdue)
{
    const struct workflow_record records[] = {{.kind = RECORD_STARTED, .at_us = STORY_START_US}};
    open_engine(call_and_wait, 8);
    now_us = STORY_START_US + 1000 * SECOND_US;
    load(recovered(1, records, 1));
    buffer_clear(&told);
    tick_at(1000);
    check_told("fired 1 seq 0+0\ntimed-out 1 seq 0+2 ended\nabandon 1/1\nabandon 1/2\n");
}
END_TEST

START_TEST(recovery_ignores_nothing_that_waits_for_a_slot)
{
    const struct workflow_record records[] = {
        {.kind = RECORD_ACCEPTED, .at_us = STORY_START_US},
        {.kind = RECORD_STARTED, .at_us = STORY_START_US},
    };
    open_engine(two_calls, 1);
    load(recovered(1, records, 2));
    load(recovered(2, records, 2));
    load(recovered(3, records, 1));
    load(recovered(4, records, 1));
    check_told("call 1/1 A/0/B#1\n");
    check_counts(4, 2, 1);
    ok(1, 1);
    ok(1, 2);
    check_told("succeeded 1 seq 0+1\ncall 1/2 A/1/C#1\nsucceeded 1 seq 1+3 ended\n"
               "call 2/1 A/0/B#1\n");
    ok(2, 1);
    ok(2, 2);
    check_told("succeeded 2 seq 4+1\ncall 2/2 A/1/C#1\nsucceeded 2 seq 5+3 ended\n"
               "started 3 seq 8+2\ncall 3/1 A/0/B#1\n");
    check_counts(2, 1, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine");
    TCase *tests = tcase_create("engine");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, slots_bound_calls_and_the_pending_start_in_order);
    tcase_add_test(tests, nobody_overtakes_the_pending);
    tcase_add_test(tests, the_order_holds_for_long);
    tcase_add_test(tests, workflows_that_wait_hold_no_slot);
    tcase_add_test(tests, a_retry_delay_frees_the_slot);
    tcase_add_test(tests, abandoned_calls_free_their_slots);
    tcase_add_test(tests, a_call_that_was_never_made_frees_nothing);
    tcase_add_test(tests, a_pending_workflow_can_be_cancelled);
    tcase_add_test(tests, a_workflow_may_end_with_its_first_record);
    tcase_add_test(tests, stale_answers_change_nothing);
    tcase_add_test(tests, an_answer_of_a_call_that_waits_for_a_slot_is_stale);
    tcase_add_test(tests, nobody_cancels_what_is_not_there);
    tcase_add_test(tests, a_record_carries_what_the_event_said);
    tcase_add_test(tests, a_key_is_one_workflow);
    tcase_add_test(tests, keys_are_forgotten_in_time);
    tcase_add_test(tests, keys_and_namespaces_may_be_as_long_as_they_may_be);
    tcase_add_test(tests, timers_fire_in_order);
    tcase_add_test(tests, the_time_limit_counts_from_the_start);
    tcase_add_test(tests, a_loop_of_empty_waits_lets_others_live);
    tcase_add_test(tests, a_sweep_leaves_the_timers_of_a_new_workflow);
    tcase_add_test(tests, timers_of_the_ended_do_not_pile_up);
    tcase_add_test(tests, lane_numbers_have_no_gaps);
    tcase_add_test(tests, recovery_makes_the_open_calls_again);
    tcase_add_test(tests, recovery_finds_what_is_overdue);
    tcase_add_test(tests, recovery_ignores_nothing_that_waits_for_a_slot);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
