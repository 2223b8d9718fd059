/* SPDX-License-Identifier: MIT */
#include "reducer/core/explain.h"

#include <inttypes.h>

#include "base/instant.h"
#include "core/window.h"

static const char *const state_names[] = {
    [EXPLAIN_ALL_TIME] = "all_time",
    [EXPLAIN_FINAL] = "final",
    [EXPLAIN_PRUNED] = "pruned",
    [EXPLAIN_COUNTING] = "counting_past",
    [EXPLAIN_OPEN] = "open",
    [EXPLAIN_CLOSING] = "closing",
    [EXPLAIN_DUE] = "due",
    [EXPLAIN_NOT_SEEN_YET] = "not_seen_yet",
    [EXPLAIN_NEVER_SEEN] = "never_seen",
};

static const char *const hold_names[] = {
    [HOLD_NONE] = "none",   [HOLD_NO_OWNER] = "no_owner",   [HOLD_BEHIND] = "behind",
    [HOLD_QUIET] = "quiet", [HOLD_NO_EVENTS] = "no_events", [HOLD_WATERMARK] = "watermark",
};

const char *explain_state_name(enum explain_state state) { return state_names[state]; }

const char *explain_hold_name(enum explain_hold hold) { return hold_names[hold]; }

int64_t explain_low_watermark(const struct explain_partition *partitions, int count)
{
    int64_t low_us = count > 0 ? EXPLAIN_ALL_IDLE : WINDOW_NO_TIME;
    for (int i = 0; i < count; i++) {
        if (!partitions[i].idle && partitions[i].watermark_us < low_us)
            low_us = partitions[i].watermark_us; /* WINDOW_NO_TIME is the smallest */
    }
    return low_us;
}

static int64_t final_at_us(const struct explain_window *window)
{
    return window->end_us + window->lateness_us;
}

/* What an idle partition gets next may still belong to any window that its own watermark has not passed. */
static bool all_have_passed(const struct explain_window *window)
{
    for (int i = 0; i < window->count; i++) {
        if (window->partitions[i].watermark_us == WINDOW_NO_TIME ||
            window->partitions[i].watermark_us < final_at_us(window))
            return false;
    }
    return window->count > 0;
}

enum explain_state explain_state(const struct explain_window *window)
{
    int64_t low_us = explain_low_watermark(window->partitions, window->count);
    bool pending = false;
    if (!window->windowed)
        return EXPLAIN_ALL_TIME;
    if (window->has_final)
        return EXPLAIN_FINAL;
    if (window->events == 0 && window->pruned_until_us != WINDOW_NO_TIME &&
        window->end_us <= window->pruned_until_us)
        return EXPLAIN_PRUNED;
    for (int i = 0; i < window->count; i++)
        pending = pending || window->partitions[i].past_pending;
    if (pending)
        return EXPLAIN_COUNTING;
    if (window->events == 0)
        return all_have_passed(window) ? EXPLAIN_NEVER_SEEN : EXPLAIN_NOT_SEEN_YET;
    if (low_us < window->end_us)
        return EXPLAIN_OPEN;
    return low_us < final_at_us(window) ? EXPLAIN_CLOSING : EXPLAIN_DUE;
}

enum explain_hold explain_hold(const struct explain_window *window,
                               const struct explain_partition *partition)
{
    if (!window->windowed || window->has_final || partition->idle ||
        (partition->watermark_us != WINDOW_NO_TIME &&
         partition->watermark_us >= final_at_us(window)))
        return HOLD_NONE;
    if (partition->owner[0] == '\0')
        return HOLD_NO_OWNER;
    if (partition->unread == 0)
        return HOLD_QUIET;
    if (partition->unread > 0)
        return HOLD_BEHIND;
    return partition->watermark_us == WINDOW_NO_TIME ? HOLD_NO_EVENTS : HOLD_WATERMARK;
}

/* One without an owner holds for ever, then one without events, then the smallest watermark. Of equals one
 * with records to read: a quiet one is let go by itself. */
static bool holds_longer(enum explain_hold a_hold, const struct explain_partition *a,
                         enum explain_hold b_hold, const struct explain_partition *b)
{
    if ((a_hold == HOLD_NO_OWNER) != (b_hold == HOLD_NO_OWNER))
        return a_hold == HOLD_NO_OWNER;
    if ((a_hold == HOLD_QUIET) != (b_hold == HOLD_QUIET))
        return b_hold == HOLD_QUIET;
    return a->watermark_us < b->watermark_us;
}

const struct explain_partition *explain_holder(const struct explain_window *window)
{
    const struct explain_partition *holder = NULL;
    enum explain_hold of_holder = HOLD_NONE;
    for (int i = 0; i < window->count; i++) {
        const struct explain_partition *partition = &window->partitions[i];
        enum explain_hold hold = explain_hold(window, partition);
        if (hold == HOLD_NONE || (holder && !holds_longer(hold, partition, of_holder, holder)))
            continue;
        holder = partition;
        of_holder = hold;
    }
    return holder;
}

/* -- the sentence -- */

static void append_seconds(struct buffer *out, int64_t us)
{
    buffer_append_format(out, "%g s", (double)(us / 1000) / 1000);
}

static void append_instant(struct buffer *out, int64_t instant_us)
{
    char text[INSTANT_TEXT_BYTES];
    buffer_append_text(out, instant_format(instant_us, text));
}

static void append_events(const struct explain_window *window, struct buffer *out)
{
    buffer_append_format(out, "%" PRId64 " event%s", window->events,
                         window->events == 1 ? "" : "s");
    if (window->revision > 1)
        buffer_append_format(out, ", revision %" PRId32 " by late ones", window->revision);
}

static void append_reader(const struct explain_partition *holder, struct buffer *out)
{
    buffer_append_format(out, "partition %" PRId32 " (read by %s)", holder->number, holder->owner);
}

static void append_holder(const struct explain_window *window,
                          const struct explain_partition *holder, struct buffer *out)
{
    enum explain_hold hold = explain_hold(window, holder);
    if (hold == HOLD_NO_OWNER) {
        buffer_append_format(out, "partition %" PRId32 ", which no reducer has taken on yet",
                             holder->number);
        return;
    }
    append_reader(holder, out);
    if (holder->watermark_us == WINDOW_NO_TIME) {
        buffer_append_text(out, ", of which no event was read yet");
    } else {
        buffer_append_text(out, ", whose watermark is ");
        append_seconds(out, final_at_us(window) - holder->watermark_us);
        buffer_append_text(out, " short of that");
    }
    if (hold == HOLD_BEHIND)
        buffer_append_format(out,
                             ": %" PRId64 " record%s wait%s to be read, the last commit was %g s "
                             "ago",
                             holder->unread, holder->unread == 1 ? "" : "s",
                             holder->unread == 1 ? "s" : "", (double)holder->silent_ms / 1000);
    else if (hold == HOLD_QUIET)
        buffer_append_format(out, ": it is read to its end, and let go once it was quiet for %g s",
                             (double)window->idle_ms / 1000);
    else
        buffer_append_format(out,
                             ": how many records wait is not known, the last commit was %g s "
                             "ago",
                             (double)holder->silent_ms / 1000);
}

static void append_wait(const struct explain_window *window, struct buffer *out)
{
    const struct explain_partition *holder = explain_holder(window);
    int others = -1;
    for (int i = 0; i < window->count; i++)
        others += explain_hold(window, &window->partitions[i]) != HOLD_NONE;
    buffer_append_text(out, "it closes when every watermark has passed ");
    append_instant(out, final_at_us(window));
    buffer_append_text(out, " (its end and ");
    append_seconds(out, window->lateness_us);
    buffer_append_text(out, " of lateness)");
    if (!holder)
        return;
    buffer_append_text(out, "; it waits for ");
    append_holder(window, holder, out);
    if (others > 0)
        buffer_append_format(out, ", and for %d other partition%s", others, others == 1 ? "" : "s");
}

static void append_loss(const struct explain_window *window, struct buffer *out)
{
    if (window->lost_records > 0 && window->windowed)
        buffer_append_format(out,
                             "; %" PRId64 " record%s that may belong to it %s dropped by the "
                             "broker before %s read",
                             window->lost_records, window->lost_records == 1 ? "" : "s",
                             window->lost_records == 1 ? "was" : "were",
                             window->lost_records == 1 ? "it was" : "they were");
}

static void append_without_wait(const struct explain_window *window, enum explain_state state,
                                struct buffer *out)
{
    if (state == EXPLAIN_ALL_TIME) {
        buffer_append_format(out,
                             "%s has no windows, so nothing of it becomes final: ", window->type);
        append_events(window, out);
        buffer_append_text(out, " so far");
    } else if (state == EXPLAIN_FINAL) {
        buffer_append_text(out, "Final since ");
        append_instant(out, window->final_us);
        buffer_append_text(out, ": ");
        append_events(window, out);
    } else if (state == EXPLAIN_PRUNED) {
        buffer_append_format(out,
                             "Its rows are gone: %s keeps windows for %" PRId64
                             " days, and those that ended by ",
                             window->type, window->retention_days);
        append_instant(out, window->pruned_until_us);
        buffer_append_text(out, " were pruned");
    } else if (state == EXPLAIN_COUNTING) {
        buffer_append_format(out, "Not final, because the topic's past is still counted for %s",
                             window->type);
    } else if (state == EXPLAIN_NEVER_SEEN) {
        buffer_append_text(out, "No event was counted in it, and every watermark has passed it");
    } else {
        buffer_append_text(out, "Every watermark has passed it, it becomes final in a moment: ");
        append_events(window, out);
    }
}

void explain_sentence(const struct explain_window *window, struct buffer *out)
{
    enum explain_state state = explain_state(window);
    if (state == EXPLAIN_NOT_SEEN_YET) {
        buffer_append_text(out, "No event was counted in it yet; ");
        append_wait(window, out);
    } else if (state == EXPLAIN_OPEN || state == EXPLAIN_CLOSING) {
        buffer_append_text(out,
                           state == EXPLAIN_OPEN ? "Open with " : "Over, open for late ones: ");
        append_events(window, out);
        buffer_append_text(out, "; ");
        append_wait(window, out);
    } else {
        append_without_wait(window, state, out);
    }
    append_loss(window, out);
    buffer_append_char(out, '.');
}
