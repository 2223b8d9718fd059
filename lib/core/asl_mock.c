/* SPDX-License-Identifier: MIT */
/* The outside world of a state machine, played: answers wait in a queue, timers in a heap. */
#include "core/asl_mock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/asl_internal.h"

/* Identity of every execution here, so that UUIDs and random numbers are the same each time. */
#define EXECUTION_ID "00000000-0000-7000-8000-000000000001"
#define ENTRY_BYTES 160 /* of memory, about, for each entry in the list of states */
#define JITTER 0.5      /* the random number of every retry delay */

/* -- mocks: by the state they name, and those that name none -- */

struct named_mocks {
    const char *state; /* lent by the mocks; "" for those that name none */
    size_t first;      /* the next one of this state, in order */
    size_t end;
};

struct named_mock {
    const char *state;
    size_t index;
};

struct mock_book {
    const struct json *mocks;
    struct named_mock *order; /* by state, then by index */
    struct named_mocks *groups;
    size_t groups_count;
};

static int compare_mocks(const void *a, const void *b)
{
    const struct named_mock *x = a, *y = b;
    int order = strcmp(x->state, y->state);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int compare_group(const void *state, const void *group)
{
    return strcmp(state, ((const struct named_mocks *)group)->state);
}

static void book_init(struct mock_book *book, const struct json *mocks)
{
    size_t count = json_size(mocks);
    *book = (struct mock_book){.mocks = mocks};
    book->order = must_calloc(count + 1, sizeof *book->order);
    book->groups = must_calloc(count + 1, sizeof *book->groups);
    for (size_t i = 0; i < count; i++)
        book->order[i] =
            (struct named_mock){json_string_or(json_get(json_at(mocks, i), "state"), ""), i};
    qsort(book->order, count, sizeof *book->order, compare_mocks);
    for (size_t i = 0; i < count; i++) {
        struct named_mocks *last =
            book->groups_count ? &book->groups[book->groups_count - 1] : NULL;
        if (!last || strcmp(last->state, book->order[i].state) != 0) {
            last = &book->groups[book->groups_count++];
            *last = (struct named_mocks){book->order[i].state, i, i};
        }
        last->end = i + 1;
    }
}

static void book_fini(struct mock_book *book)
{
    free(book->order);
    free(book->groups);
}

static const struct json *group_take(struct mock_book *book, const char *state)
{
    struct named_mocks *group =
        bsearch(state, book->groups, book->groups_count, sizeof *book->groups, compare_group);
    if (!group || group->first == group->end)
        return NULL;
    return json_at(book->mocks, book->order[group->first++].index);
}

/* The mock of the next attempt of the state; NULL when none is left. */
static const struct json *book_take(struct mock_book *book, const char *state)
{
    const struct json *mock = group_take(book, state);
    return mock ? mock : group_take(book, "");
}

bool asl_mock_fails(const struct json *mock)
{
    return json_type_of(json_get(mock, "error")) == JSON_STRING;
}

/* -- what is outside: calls to answer in order, timers by due time -- */

struct mock_call {
    uint32_t wait;
    const struct json *mock; /* NULL: none was left */
    const char *state;       /* lent by the machine */
};

struct mock_timer {
    int64_t due_us;
    uint32_t wait;
};

struct play {
    struct asl_execution *execution;
    const struct asl_mock_options *options;
    struct asl_mock_result *result;
    struct asl_effects effects;
    struct mock_book book;
    struct mock_call *calls; /* [calls_first, calls_count) are not answered yet */
    size_t calls_first, calls_count, calls_capacity;
    struct mock_timer *timers; /* a binary heap, the earliest first */
    size_t timers_count, timers_capacity;
    bool *abandoned; /* by wait */
    size_t abandoned_capacity;
    struct json *entered, *exited; /* the two texts, shared by all entries */
    size_t states_bytes;           /* of the list of states so far, about */
    int64_t states_left_out;
    int64_t now_us;
    bool timed_out;
};

static bool is_earlier(const struct mock_timer *a, const struct mock_timer *b)
{
    return a->due_us < b->due_us || (a->due_us == b->due_us && a->wait < b->wait);
}

static void timer_add(struct play *play, struct mock_timer timer)
{
    if (play->timers_count == play->timers_capacity) {
        play->timers_capacity = play->timers_capacity ? play->timers_capacity * 2 : 16;
        play->timers = must_realloc(play->timers, play->timers_capacity * sizeof *play->timers);
    }
    size_t at = play->timers_count++;
    for (; at > 0 && is_earlier(&timer, &play->timers[(at - 1) / 2]); at = (at - 1) / 2)
        play->timers[at] = play->timers[(at - 1) / 2];
    play->timers[at] = timer;
}

static struct mock_timer timer_take(struct play *play)
{
    struct mock_timer first = play->timers[0], last = play->timers[--play->timers_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= play->timers_count)
            break;
        child += child + 1 < play->timers_count &&
                 is_earlier(&play->timers[child + 1], &play->timers[child]);
        if (!is_earlier(&play->timers[child], &last))
            break;
        play->timers[at] = play->timers[child];
        at = child;
    }
    play->timers[at] = last;
    return first;
}

static void call_add(struct play *play, const struct asl_effect *effect)
{
    if (play->calls_count == play->calls_capacity) {
        play->calls_capacity = play->calls_capacity ? play->calls_capacity * 2 : 16;
        play->calls = must_realloc(play->calls, play->calls_capacity * sizeof *play->calls);
    }
    const struct json *mock = book_take(&play->book, effect->state);
    play->result->mocks_used += mock != NULL;
    play->calls[play->calls_count++] = (struct mock_call){effect->wait, mock, effect->state};
}

static void wait_abandon(struct play *play, uint32_t wait)
{
    if (wait >= play->abandoned_capacity) {
        size_t capacity = 2 * (size_t)wait + 64;
        play->abandoned = must_realloc(play->abandoned, capacity);
        memset(play->abandoned + play->abandoned_capacity, 0, capacity - play->abandoned_capacity);
        play->abandoned_capacity = capacity;
    }
    play->abandoned[wait] = true;
}

static bool is_abandoned(const struct play *play, uint32_t wait)
{
    return wait < play->abandoned_capacity && play->abandoned[wait];
}

/* -- effects -- */

static void state_add(struct play *play, const struct asl_effect *effect, bool entered)
{
    if (play->states_bytes <= ASL_MOCK_STATES_BYTES_MAX)
        play->states_bytes += ENTRY_BYTES + asl_bound_of(effect->data).bytes;
    if (play->states_bytes > ASL_MOCK_STATES_BYTES_MAX) {
        play->states_left_out++;
        return;
    }
    struct json *entry = json_object();
    json_object_set(entry, "name", json_text(effect->state));
    json_object_set(entry, "event", json_hold(entered ? play->entered : play->exited));
    json_object_set(entry, entered ? "input" : "output", json_hold(effect->data));
    json_array_append(play->result->states, entry);
}

static void states_end(struct play *play)
{
    if (play->states_left_out == 0)
        return;
    struct json *entry = json_object();
    json_object_set(entry, "name", json_text(""));
    json_object_set(entry, "event", json_text("LeftOut"));
    json_object_set(entry, "entries", json_int(play->states_left_out));
    json_array_append(play->result->states, entry);
}

/* A failure without an error name or a cause has none, which is not the same as "". */
static char *text_or_none(const char *text) { return text && *text ? must_strdup(text) : NULL; }

static void effect_apply(struct play *play, const struct asl_effect *effect)
{
    switch (effect->type) {
    case ASL_STATE_ENTERED:
    case ASL_STATE_EXITED:
        state_add(play, effect, effect->type == ASL_STATE_ENTERED);
        break;
    case ASL_STATE_CAUGHT:
        break;
    case ASL_CALL:
        call_add(play, effect);
        break;
    case ASL_TIMER:
        timer_add(play, (struct mock_timer){effect->due_us, effect->wait});
        break;
    case ASL_ABANDON:
        wait_abandon(play, effect->wait);
        break;
    case ASL_SUCCEEDED:
        play->result->status = ASL_MOCK_SUCCEEDED;
        play->result->output = json_hold(effect->data);
        break;
    case ASL_FAILED:
        play->result->status = play->timed_out ? ASL_MOCK_TIMED_OUT : ASL_MOCK_FAILED;
        play->result->error = text_or_none(effect->error);
        play->result->cause = text_or_none(effect->cause);
        break;
    }
}

static void feed(struct play *play, struct asl_event event)
{
    const struct asl_mock_options *options = play->options;
    event.now_us = play->now_us;
    event.random = JITTER;
    if (options->on_step)
        options->on_step(options->context, &event, NULL);
    asl_effects_clear(&play->effects);
    enum error_code code = asl_step(play->execution, &event, &play->effects);
    BUG_IF(code != ERR_OK); /* abandoned waits are never answered */
    for (size_t i = 0; i < play->effects.count; i++)
        effect_apply(play, &play->effects.items[i]);
    if (options->on_step)
        options->on_step(options->context, &event, &play->effects);
}

/* -- events -- */

static void call_answer(struct play *play, const struct mock_call *call)
{
    const struct json *mock = call->mock;
    if (mock && !asl_mock_fails(mock)) {
        feed(play, (struct asl_event){.type = ASL_TASK_SUCCEEDED,
                                      .wait = call->wait,
                                      .result = json_get(mock, "output")});
        return;
    }
    struct buffer cause = {0};
    if (!mock)
        buffer_append_format(&cause, "No mock is left for the state \"%s\".", call->state);
    feed(play,
         (struct asl_event){
             .type = ASL_TASK_FAILED,
             .wait = call->wait,
             .error = mock ? json_string_or(json_get(mock, "error"), "") : "States.TaskFailed",
             .cause = mock ? json_string_or(json_get(mock, "cause"), "") : buffer_text(&cause)});
    buffer_fini(&cause);
}

static bool answer_next(struct play *play)
{
    while (play->calls_first < play->calls_count) {
        struct mock_call call = play->calls[play->calls_first++];
        if (play->calls_first == play->calls_count)
            play->calls_first = play->calls_count = 0;
        if (is_abandoned(play, call.wait))
            continue;
        call_answer(play, &call);
        return true;
    }
    return false;
}

/* The clock jumps to the earliest timer, or to the deadline (INT64_MAX: none) if that comes first. */
static bool fire_next(struct play *play, int64_t deadline_us)
{
    while (play->timers_count > 0) {
        struct mock_timer timer = timer_take(play);
        if (is_abandoned(play, timer.wait))
            continue;
        if (timer.due_us > deadline_us) {
            play->now_us = deadline_us;
            play->timed_out = true;
            feed(play, (struct asl_event){.type = ASL_STOP,
                                          .error = "States.Timeout",
                                          .cause = "The TimeoutSeconds of the state machine have "
                                                   "passed."});
            return true;
        }
        if (timer.due_us > play->now_us)
            play->now_us = timer.due_us;
        feed(play, (struct asl_event){.type = ASL_TIMER_FIRED, .wait = timer.wait});
        return true;
    }
    return false;
}

static void token_make(void *context, uint32_t wait, char token[ASL_TOKEN_BYTES])
{
    (void)context;
    snprintf(token, ASL_TOKEN_BYTES, "token-%" PRIu32, wait);
}

struct asl_execution *asl_mock_execution(const struct asl_machine *machine,
                                         const struct asl_mock_options *options)
{
    const char *name = options->name ? options->name : "";
    struct asl_identity identity = {.execution_id = EXECUTION_ID,
                                    .execution_name = EXECUTION_ID,
                                    .machine_id = name,
                                    .machine_name = name,
                                    .start_us = options->start_us,
                                    .token = token_make};
    struct json *input = options->input ? json_hold(options->input) : json_object();
    struct asl_execution *execution = asl_execution_new(machine, &identity, input);
    json_release(input);
    asl_execution_limit_data(execution, options->data_bytes_max ? options->data_bytes_max
                                                                : CONTRACT_RUN_DATA_BYTES_MAX);
    return execution;
}

void asl_mock_run(const struct asl_machine *machine, const struct asl_mock_options *options,
                  struct asl_mock_result *result)
{
    *result = (struct asl_mock_result){.status = ASL_MOCK_ABORTED, .states = json_array()};
    struct play play = {.options = options, .result = result, .now_us = options->start_us};
    book_init(&play.book, options->mocks);
    play.entered = json_text("Entered");
    play.exited = json_text("Exited");
    int64_t timeout_ms = asl_machine_timeout_ms(machine);
    int64_t deadline_us = timeout_ms ? options->start_us + timeout_ms * 1000 : INT64_MAX;
    play.execution = asl_mock_execution(machine, options);
    feed(&play, (struct asl_event){.type = ASL_START});
    while (!asl_execution_ended(play.execution) &&
           (answer_next(&play) || fire_next(&play, deadline_us)))
        continue;
    states_end(&play);
    result->end_us = play.now_us;
    asl_execution_free(play.execution);
    asl_effects_fini(&play.effects);
    json_release(play.entered);
    json_release(play.exited);
    book_fini(&play.book);
    free(play.calls);
    free(play.timers);
    free(play.abandoned);
}

void asl_mock_result_fini(struct asl_mock_result *result)
{
    json_release(result->output);
    json_release(result->states);
    free(result->error);
    free(result->cause);
    *result = (struct asl_mock_result){0};
}

const char *asl_mock_status_name(enum asl_mock_status status)
{
    static const char *const names[] = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"};
    BUG_IF((size_t)status >= sizeof names / sizeof *names);
    return names[status];
}

/* -- are they mocks? -- */

static bool mock_member_is_known(const char *name)
{
    static const char *const known[] = {"state", "output", "error", "cause"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i], name) == 0)
            return true;
    }
    return false;
}

static bool is_text_or_none(const struct json *value)
{
    enum json_type type = json_type_of(value);
    return type == JSON_ABSENT || type == JSON_NULL || type == JSON_STRING;
}

static void mock_check(const struct json *mock, const struct source_map *source,
                       const char *pointer, struct findings *findings)
{
    if (json_type_of(mock) != JSON_OBJECT) {
        finding_add(findings, FINDING_ERROR, source, pointer, "MOCK_BAD",
                    "a mock must be an object, not %s", json_type_name(mock));
        return;
    }
    for (size_t i = 0; i < json_size(mock); i++) {
        const char *name = json_name_at(mock, i, NULL);
        if (!mock_member_is_known(name))
            finding_add(findings, FINDING_ERROR, source, pointer, "MOCK_UNKNOWN_FIELD",
                        "a mock has state, output, error and cause, not \"%s\"", name);
    }
    static const char *const texts[] = {"state", "error", "cause"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!is_text_or_none(json_get(mock, texts[i])))
            finding_add(findings, FINDING_ERROR, source, pointer, "MOCK_BAD",
                        "%s of a mock must be a text", texts[i]);
    }
    const struct json *output = json_get(mock, "output");
    bool has_output = json_type_of(output) > JSON_NULL;
    if (asl_mock_fails(mock) ? has_output : output == NULL)
        finding_add(findings, FINDING_ERROR, source, pointer, "MOCK_BAD",
                    "a mock has either output or error");
    if (!asl_mock_fails(mock) && json_type_of(json_get(mock, "cause")) == JSON_STRING)
        finding_add(findings, FINDING_ERROR, source, pointer, "MOCK_BAD",
                    "cause of a mock goes with error");
}

void asl_mocks_check(const struct json *mocks, const struct source_map *source, const char *pointer,
                     struct findings *findings)
{
    enum json_type type = json_type_of(mocks);
    if (type == JSON_ABSENT || type == JSON_NULL)
        return;
    if (type != JSON_ARRAY) {
        finding_add(findings, FINDING_ERROR, source, pointer, "MOCK_BAD",
                    "mocks must be an array, not %s", json_type_name(mocks));
        return;
    }
    struct buffer place = {0};
    for (size_t i = 0; i < json_size(mocks); i++) {
        buffer_clear(&place);
        buffer_append_format(&place, "%s/%zu", pointer, i);
        mock_check(json_at(mocks, i), source, buffer_text(&place), findings);
    }
    buffer_fini(&place);
}
