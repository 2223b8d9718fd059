/* SPDX-License-Identifier: MIT */
/* explanation_text.c - the sentence and the fields of an explanation. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/instant.h"
#include "base/limits.h"
#include "orchestrator/core/explanation.h"

#define TOLD_WAITS_MAX 3         /* in the sentence */
#define TOLD_CAUSE_BYTES_MAX 200 /* of an error, in the sentence */

/* -- parts of sentences -- */

static void append_instant(struct buffer *out, int64_t instant_us)
{
    char text[INSTANT_TEXT_BYTES];
    buffer_append_text(out, instant_format(instant_us, text));
}

/* In the largest unit of which there are two. */
static void append_length(struct buffer *out, int64_t us)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{86400, "days"}, {3600, "h"}, {60, "min"}};
    int64_t seconds = us / 1000000;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (seconds < 2 * units[i].seconds)
            continue;
        buffer_append_format(out, "%" PRId64 " %s", seconds / units[i].seconds, units[i].name);
        return;
    }
    buffer_append_format(out, "%g s", us < 0 ? 0 : (double)(us / 1000) / 1000);
}

static void append_since(struct buffer *out, int64_t since_us, int64_t now_us)
{
    buffer_append_text(out, " since ");
    append_instant(out, since_us);
    buffer_append_text(out, " (");
    append_length(out, now_us - since_us);
    buffer_append_char(out, ')');
}

static void append_in(struct buffer *out, int64_t at_us, int64_t now_us)
{
    if (at_us <= now_us) {
        buffer_append_text(out, " now");
        return;
    }
    buffer_append_text(out, " in ");
    append_length(out, at_us - now_us);
}

static void append_error(struct buffer *out, const char *error, const char *cause)
{
    char *told = error_cut(cause, TOLD_CAUSE_BYTES_MAX);
    buffer_append_text(out, error);
    if (told[0] != '\0')
        buffer_append_format(out, ": %s", told);
    free(told);
}

/* The end of a sentence that ends with a text of others. */
static void append_stop(struct buffer *out)
{
    const char *text = buffer_text(out);
    if (out->bytes > 0 && text[out->bytes - 1] != '.')
        buffer_append_char(out, '.');
}

/* -- what one state waits for -- */

static void append_answer(const struct explanation_wait *wait, int64_t now_us, struct buffer *out)
{
    if (wait->subject != NULL)
        buffer_append_format(out, "%s waits for an answer of %s", wait->path, wait->subject);
    else
        buffer_append_format(out, "%s waits for its workflow to be started", wait->path);
    append_since(out, wait->since_us, now_us);
    if (wait->attempt > 1)
        buffer_append_format(out, ", attempt %" PRIu32, wait->attempt);
}

static void append_ahead(const struct explanation_wait *wait, struct buffer *out)
{
    buffer_append_format(out, ", %" PRId64 " %s ahead of it", wait->ahead,
                         wait->ahead == 1 ? "is" : "are");
}

static void append_slot(const struct explanation *explanation, const struct explanation_wait *wait,
                        int64_t now_us, struct buffer *out)
{
    buffer_append_format(out, "%s waits for a free slot", wait->path);
    append_since(out, wait->since_us, now_us);
    buffer_append_format(out, ": %" PRId64 " of %" PRId64 " calls are being made",
                         explanation->calls, explanation->slots);
    append_ahead(wait, out);
}

static void append_limit(const struct explanation_wait *wait, int64_t now_us, struct buffer *out)
{
    buffer_append_format(out, "%s waits for its turn to call %s", wait->path, wait->subject);
    append_since(out, wait->since_us, now_us);
    buffer_append_text(out, ": as many calls as may be made of it are being made");
    append_ahead(wait, out);
}

static void append_breaker(const struct explanation_wait *wait, int64_t now_us, struct buffer *out)
{
    buffer_append_format(out, "%s is held by the breaker of %s", wait->path, wait->subject);
    append_since(out, wait->since_us, now_us);
    if (wait->attempt > 1)
        buffer_append_format(out, ", before attempt %" PRIu32, wait->attempt);
    if (wait->breaker_reason != NULL) {
        char *reason = error_cut(wait->breaker_reason, TOLD_CAUSE_BYTES_MAX);
        buffer_append_format(out, ", because of: %s", reason);
        free(reason);
    }
    if (wait->by_hand) {
        buffer_append_text(out, "; it goes on when somebody releases the service");
    } else if (wait->next_us != 0) {
        buffer_append_text(out, "; the service is probed");
        append_in(out, wait->next_us, now_us);
    }
}

static void append_delay(const struct explanation *explanation, const struct explanation_wait *wait,
                         int64_t now_us, struct buffer *out)
{
    bool retry = wait->cause == EXPLANATION_RETRY;
    if (explanation->paused_us != 0) {
        buffer_append_format(out, "the %s of %s stands still with ",
                             retry ? "delay before the next attempt" : "timer", wait->path);
        append_length(out, wait->left_us);
        buffer_append_text(out, " left");
    } else if (retry) {
        buffer_append_format(out, "%s is tried again", wait->path);
        append_in(out, wait->next_us, now_us);
    } else {
        buffer_append_format(out, "%s waits until ", wait->path);
        append_instant(out, wait->next_us);
        buffer_append_text(out, " and goes on");
        append_in(out, wait->next_us, now_us);
    }
    if (!retry)
        return;
    buffer_append_format(out, ", retry %" PRIu32 " of %" PRIu32 ", because of ", wait->retry,
                         wait->retries_max);
    append_error(out, wait->error, wait->error_cause);
}

/* What ends by something that others bring. */
static void append_brought(const struct explanation_wait *wait, int64_t now_us, struct buffer *out)
{
    const char *what = wait->cause == EXPLANATION_TOKEN    ? "an answer by its task token"
                       : wait->cause == EXPLANATION_SIGNAL ? "the signal"
                                                           : "the end of the workflow";
    buffer_append_format(out, "%s waits for %s", wait->path, what);
    if (wait->cause != EXPLANATION_TOKEN && wait->subject != NULL)
        buffer_append_format(out, " %s", wait->subject);
    append_since(out, wait->since_us, now_us);
    if (wait->limit_us == 0)
        return;
    buffer_append_text(out, ", and fails if nothing comes until ");
    append_instant(out, wait->limit_us);
}

static void append_wait(const struct explanation *explanation, const struct explanation_wait *wait,
                        int64_t now_us, struct buffer *out)
{
    switch (wait->cause) {
    case EXPLANATION_SLOT:
        append_slot(explanation, wait, now_us, out);
        break;
    case EXPLANATION_BREAKER:
        append_breaker(wait, now_us, out);
        break;
    case EXPLANATION_LIMIT:
        append_limit(wait, now_us, out);
        break;
    case EXPLANATION_AGAIN:
        buffer_append_format(out, "%s could not start its workflow, which is tried again",
                             wait->path);
        append_in(out, wait->next_us, now_us);
        break;
    case EXPLANATION_RETRY:
    case EXPLANATION_TIMER:
        append_delay(explanation, wait, now_us, out);
        break;
    case EXPLANATION_TOKEN:
    case EXPLANATION_SIGNAL:
    case EXPLANATION_CHILD:
        append_brought(wait, now_us, out);
        break;
    case EXPLANATION_RESUME:
        buffer_append_format(out, "the answer for %s is recorded", wait->path);
        break;
    case EXPLANATION_ANSWER:
    case EXPLANATION_NOTHING:
    case EXPLANATION_START:
    case EXPLANATION_SEVERAL:
    case EXPLANATION_COMMIT:
    case EXPLANATION_LOADING:
    case EXPLANATION_OWNER:
    case EXPLANATION_TAKEOVER:
    case EXPLANATION_REPAIR:
    case EXPLANATION_CAUSES:
        append_answer(wait, now_us, out);
        break;
    }
}

static void append_waits(const struct explanation *explanation, int64_t now_us, struct buffer *out)
{
    size_t told = 0;
    if (explanation->waits_total > 1)
        buffer_append_format(out,
                             "%zu branches or items are under way: ", explanation->waits_total);
    for (; told < explanation->waits_count && told < TOLD_WAITS_MAX; told++) {
        if (told > 0)
            buffer_append_text(out, "; ");
        append_wait(explanation, &explanation->waits[told], now_us, out);
    }
    if (explanation->waits_total > told)
        buffer_append_format(out, "; and %zu more", explanation->waits_total - told);
    if (explanation->waits_total == 0)
        buffer_append_text(out, "It goes on now");
}

/* -- the sentence -- */

static void append_start(const struct explanation *explanation, int64_t now_us, struct buffer *out)
{
    buffer_append_text(out, "Waits to start");
    append_since(out, explanation->created_us, now_us);
    if (explanation->ahead > 0)
        buffer_append_format(out, " behind %" PRId64 " other%s", explanation->ahead,
                             explanation->ahead == 1 ? "" : "s");
    else
        buffer_append_text(out, " and is the next");
    if (explanation->calls >= explanation->slots)
        buffer_append_format(out, ": all of %" PRId64 " calls at a time are being made",
                             explanation->slots);
}

static void append_pause(const struct explanation *explanation, int64_t now_us, struct buffer *out)
{
    buffer_append_text(out, "Paused");
    append_since(out, explanation->paused_us, now_us);
    buffer_append_text(out, ": no call, timer or state begins until it is resumed; ");
    if (explanation->state == WORKFLOW_PENDING)
        buffer_append_text(out, "it has not started");
    else
        append_waits(explanation, now_us, out);
}

static void append_end(const struct explanation *explanation, struct buffer *out)
{
    static const char *const ends[] = {[WORKFLOW_COMPLETED] = "Completed",
                                       [WORKFLOW_FAILED] = "Failed",
                                       [WORKFLOW_CANCELLED] = "Cancelled"};
    bool failed = explanation->state == WORKFLOW_FAILED;
    buffer_append_format(out, "%s at ", ends[explanation->state]);
    append_instant(out, explanation->completed_us);
    if (explanation->run > 1)
        buffer_append_format(out, " in run %d", explanation->run);
    buffer_append_text(out, ", ");
    append_length(out, explanation->completed_us - explanation->created_us);
    buffer_append_text(out, " after it was accepted");
    if (explanation->failed_in != NULL)
        buffer_append_format(out, ", in %s", explanation->failed_in);
    if (explanation->error != NULL) {
        buffer_append_text(out, failed ? ", with " : ": ");
        append_error(out, explanation->error, explanation->error_cause);
    }
    if (!failed || !explanation->retry_known)
        return;
    append_stop(out);
    buffer_append_text(out, explanation->can_retry
                                ? " It can be retried, and goes on where it failed"
                                : " It cannot be retried: it failed before its first state, or "
                                  "after its last one");
}

/* One that has not ended and is not in memory here. */
static void append_stored(const struct explanation *explanation, struct buffer *out)
{
    buffer_append_text(out, workflow_state_name(explanation->state));
    if (explanation->step != NULL)
        buffer_append_format(out, " at %s", explanation->step);
    switch ((int)explanation->cause) {
    case EXPLANATION_COMMIT:
        buffer_append_text(out, "; it has ended, and that is being written to the database");
        break;
    case EXPLANATION_LOADING:
        buffer_append_format(out, "; its shard %d was taken over just now and is being loaded",
                             explanation->shard);
        break;
    case EXPLANATION_TAKEOVER:
        buffer_append_format(out,
                             "; nobody alive owns its shard %d, which is taken over in a moment",
                             explanation->shard);
        break;
    case EXPLANATION_REPAIR:
        buffer_append_text(out, ", and stands still: its records cannot be applied to its contract "
                                "(the log says ReplayDivergence)");
        break;
    default:
        buffer_append_format(out,
                             "; its shard %d belongs to the instance %s (%s), which knows what it "
                             "waits for and has not answered",
                             explanation->shard, explanation->instance, explanation->instance_url);
        break;
    }
}

void explanation_sentence(const struct explanation *explanation, int64_t now_us, struct buffer *out)
{
    enum explanation_cause cause = explanation_cause_of(explanation);
    if (workflow_state_ended(explanation->state))
        append_end(explanation, out);
    else if (explanation->cause != EXPLANATION_NOTHING)
        append_stored(explanation, out);
    else if (cause == EXPLANATION_RESUME)
        append_pause(explanation, now_us, out);
    else if (cause == EXPLANATION_START)
        append_start(explanation, now_us, out);
    else
        append_waits(explanation, now_us, out);
    append_stop(out);
    if (explanation->database_down)
        buffer_append_text(
            out, " The database cannot be reached: nothing of it is recorded until it can.");
}

/* -- fields -- */

static struct json *instant(int64_t instant_us)
{
    char text[INSTANT_TEXT_BYTES];
    return json_text(instant_us == 0 ? NULL : instant_format_us(instant_us, text));
}

static struct json *number(int64_t value, bool known)
{
    return known ? json_int(value) : json_null();
}

/* What happens next, in a word. */
static const char *next_of(enum explanation_cause cause)
{
    static const char *const names[EXPLANATION_CAUSES] = {
        [EXPLANATION_START] = "start",   [EXPLANATION_SLOT] = "call",
        [EXPLANATION_BREAKER] = "probe", [EXPLANATION_LIMIT] = "call",
        [EXPLANATION_ANSWER] = "go_on",  [EXPLANATION_AGAIN] = "call",
        [EXPLANATION_RETRY] = "attempt", [EXPLANATION_TIMER] = "go_on",
        [EXPLANATION_TOKEN] = "go_on",   [EXPLANATION_SIGNAL] = "go_on",
        [EXPLANATION_CHILD] = "go_on",   [EXPLANATION_RESUME] = "resume",
        [EXPLANATION_SEVERAL] = "go_on", [EXPLANATION_COMMIT] = "end",
        [EXPLANATION_LOADING] = "load",  [EXPLANATION_OWNER] = NULL,
        [EXPLANATION_TAKEOVER] = "load", [EXPLANATION_REPAIR] = NULL,
    };
    return names[cause];
}

static struct json *error_json(const char *error, const char *cause)
{
    struct json *object = json_object();
    json_object_set(object, "error", json_text(error));
    json_object_set(object, "cause", json_text(cause));
    return object;
}

/* The fields of one wait; NULL: none of them is known. */
static void set_wait(struct json *object, const struct explanation_wait *wait)
{
    static const struct explanation_wait none;
    bool signal = wait != NULL && wait->cause == EXPLANATION_SIGNAL;
    bool child = wait != NULL && wait->cause == EXPLANATION_CHILD;
    bool retry = wait != NULL && wait->cause == EXPLANATION_RETRY;
    bool queued =
        wait != NULL && (wait->cause == EXPLANATION_SLOT || wait->cause == EXPLANATION_LIMIT);
    if (wait == NULL)
        wait = &none;
    json_object_set(object, "path", json_text(wait->path));
    json_object_set(object, "service", json_text(signal || child ? NULL : wait->subject));
    json_object_set(object, "signal", json_text(signal ? wait->subject : NULL));
    json_object_set(object, "child", json_text(child ? wait->subject : NULL));
    json_object_set(object, "attempt", number(wait->attempt, wait->attempt > 0));
    json_object_set(object, "retry", number(wait->retry, retry));
    json_object_set(object, "max_retries", number(wait->retries_max, retry));
    json_object_set(object, "reason",
                    retry ? error_json(wait->error, wait->error_cause) : json_null());
    json_object_set(object, "breaker_reason", json_text(wait->breaker_reason));
    json_object_set(object, "ahead", number(wait->ahead, queued));
    json_object_set(object, "next_at", instant(wait->next_us));
    json_object_set(object, "fails_at", instant(wait->limit_us));
}

static struct json *waits_json(const struct explanation *explanation)
{
    struct json *waits = json_array();
    for (size_t i = 0; i < explanation->waits_count; i++) {
        const struct explanation_wait *wait = &explanation->waits[i];
        struct json *object = json_object();
        json_object_set(object, "waiting_for", json_text(explanation_cause_name(wait->cause)));
        json_object_set(object, "since", instant(wait->since_us));
        json_object_set(object, "next", json_text(next_of(wait->cause)));
        set_wait(object, wait);
        json_array_append(waits, object);
    }
    return waits;
}

static int64_t since_us(const struct explanation *explanation, enum explanation_cause cause)
{
    if (workflow_state_ended(explanation->state))
        return explanation->completed_us;
    if (cause == EXPLANATION_RESUME)
        return explanation->paused_us;
    if (cause == EXPLANATION_START)
        return explanation->created_us;
    return explanation->waits_count == 0 ? 0 : explanation->waits[0].since_us;
}

static void set_workflow(struct json *object, const struct explanation *explanation)
{
    bool failed = explanation->state == WORKFLOW_FAILED;
    json_object_set(object, "step", json_text(explanation->step));
    json_object_set(object, "run", number(explanation->run, explanation->run > 0));
    json_object_set(object, "created_at", instant(explanation->created_us));
    json_object_set(object, "started_at", instant(explanation->started_us));
    json_object_set(object, "ended_at", instant(explanation->completed_us));
    json_object_set(object, "paused_at", instant(explanation->paused_us));
    json_object_set(object, "deadline_at", instant(explanation->deadline_us));
    json_object_set(object, "failed_in", json_text(explanation->failed_in));
    json_object_set(object, "can_retry",
                    failed && explanation->retry_known ? json_bool(explanation->can_retry)
                                                       : json_null());
    json_object_set(object, "shard", number(explanation->shard, explanation->shard >= 0));
    json_object_set(object, "instance", json_text(explanation->instance));
    json_object_set(object, "instance_url", json_text(explanation->instance_url));
    json_object_set(object, "lease_until", instant(explanation->lease_us));
    json_object_set(object, "database", json_text(explanation->database_down ? "down" : "up"));
}

struct json *explanation_json(const struct explanation *explanation, int64_t now_us)
{
    enum explanation_cause cause = explanation_cause_of(explanation);
    struct json *object = json_object();
    struct buffer sentence = {0};
    char id[UUID_TEXT_BYTES];
    bool one = explanation->waits_total == 1 && cause == explanation->waits[0].cause;
    explanation_sentence(explanation, now_us, &sentence);
    json_object_set(object, "workflow_id", json_text(uuid_format(&explanation->id, id)));
    json_object_set(object, "explanation", json_string(sentence.data, sentence.bytes));
    buffer_fini(&sentence);
    json_object_set(object, "state", json_text(workflow_state_name(explanation->state)));
    json_object_set(object, "waiting_for", json_text(explanation_cause_name(cause)));
    json_object_set(object, "since", instant(since_us(explanation, cause)));
    json_object_set(object, "next", json_text(next_of(cause)));
    set_wait(object, one ? &explanation->waits[0] : NULL);
    if (cause == EXPLANATION_START)
        json_object_set(object, "ahead", json_int(explanation->ahead));
    if (explanation->error != NULL)
        json_object_set(object, "reason", error_json(explanation->error, explanation->error_cause));
    json_object_set(object, "waits", waits_json(explanation));
    json_object_set(object, "waits_total", json_int((int64_t)explanation->waits_total));
    set_workflow(object, explanation);
    return object;
}
