/* SPDX-License-Identifier: MIT */
#include "audit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"

/* When a count other than zero is a fault. */
enum when { ALWAYS, WHEN_SETTLED };

static const struct {
    const char *name, *json_name, *meaning;
    enum when is_fault;
} rows[AUDIT_CHECKS] = {
    [AUDIT_LOST] = {"lost", "lost", "accepted, and not in the database", ALWAYS},
    [AUDIT_UNFINISHED] = {"not finished", "unfinished", "in no terminal state (yet)", WHEN_SETTLED},
    [AUDIT_DOUBLED] = {"doubled", "doubled", "two for one key, or a second end of one run", ALWAYS},
    [AUDIT_OTHERWISE] = {"told otherwise", "told_otherwise",
                         "ended in another state than its client was told", ALWAYS},
    [AUDIT_BROKEN] = {"broken histories", "broken_histories",
                      "records or transitions of a workflow do not fit", ALWAYS},
    [AUDIT_NUMBERS] = {"broken lanes", "broken_lanes",
                       "numbers of a lane missing in the log, or given twice", ALWAYS},
    [AUDIT_MISSING] = {"events missing", "events_missing",
                       "published by the database, and not on the topic", ALWAYS},
    [AUDIT_UNPUBLISHED] = {"events waiting", "events_waiting",
                           "in the log, and not known to be published (yet)", WHEN_SETTLED},
    [AUDIT_UNSAVED] = {"events not saved", "events_not_saved", "on the topic, and not in the log",
                       ALWAYS},
    [AUDIT_EVENTS_DOUBLED] = {"events doubled", "events_doubled",
                              "two different events under one number of a lane", ALWAYS},
    [AUDIT_MISORDERED] = {"out of order", "out_of_order",
                          "a new number of a lane below one before it in its partition", ALWAYS},
    [AUDIT_UNREAD] = {"records not counted", "records_not_counted",
                      "on the topic, and no reducer has read them (yet)", WHEN_SETTLED},
    [AUDIT_DIFFERENCES] = {"aggregate differences", "aggregate_differences",
                           "rows of the reducers that are not what the topic says", ALWAYS},
};

static bool is_fault(const struct audit *audit, int check)
{
    return audit->found[check].count > 0 && (rows[check].is_fault == ALWAYS || audit->settled);
}

bool audit_is_fine(const struct audit *audit)
{
    bool fine = true;
    for (int check = 0; check < AUDIT_CHECKS; check++)
        fine = fine && !is_fault(audit, check);
    return fine;
}

/* -- times -- */

struct recovery {
    const char *what;
    int64_t faults, never; /* never: nothing was alive, or it had not moved by the end */
    int64_t *times_us;
    size_t times_count;
};

static int by_what(const void *a, const void *b)
{
    return strcmp(((const struct audit_fault *)a)->what, ((const struct audit_fault *)b)->what);
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Of the faults from `first` on that have one name; gives where the next ones begin. */
static size_t sum_up(const struct audit *audit, size_t first, struct recovery *recovery)
{
    size_t i = first;
    *recovery = (struct recovery){.what = audit->faults[first].what};
    recovery->times_us = must_calloc(audit->faults_count - first, sizeof *recovery->times_us);
    for (; i < audit->faults_count && strcmp(audit->faults[i].what, recovery->what) == 0; i++) {
        int64_t took_us = activity_recovery(&audit->activity, audit->faults[i].at_us);
        recovery->faults++;
        if (took_us < 0)
            recovery->never++;
        else
            recovery->times_us[recovery->times_count++] = took_us;
    }
    qsort(recovery->times_us, recovery->times_count, sizeof *recovery->times_us, by_time);
    return i;
}

static double seconds(int64_t us) { return (double)us / 1e6; }

static double middle_of(const struct recovery *recovery)
{
    return seconds(recovery->times_us[recovery->times_count / 2]);
}

static double longest_of(const struct recovery *recovery)
{
    return seconds(recovery->times_us[recovery->times_count - 1]);
}

/* -- as text -- */

static void tell_count(const char *name, int64_t count, const char *more)
{
    printf("%-22s %10" PRId64 "%s%s\n", name, count, *more ? "   " : "", more);
}

static void tell_checks(const struct audit *audit)
{
    for (int check = 0; check < AUDIT_CHECKS; check++) {
        const struct audit_found *found = &audit->found[check];
        char *plain = plain_text(found->example);
        const char *colour = state_colour(audit->ctl, is_fault(audit, check) ? "FAILED"
                                                      : found->count > 0     ? "PENDING"
                                                                             : "COMPLETED");
        printf("%-22s %s%10" PRId64 "%s", rows[check].name, colour, found->count,
               *colour ? colour_end(audit->ctl) : "");
        if (found->count > 0)
            printf("   %s; first: %s", rows[check].meaning, plain);
        putchar('\n');
        free(plain);
    }
}

static void tell_times(struct audit *audit)
{
    int64_t from_us, gap_us = activity_longest_gap(&audit->activity, &from_us);
    char text[INSTANT_TEXT_BYTES];
    printf("%-22s %8.2f s", "longest gap", seconds(gap_us));
    if (gap_us > 0)
        printf("   without progress while a workflow was unfinished, from %s",
               instant_format(from_us, text));
    putchar('\n');
    if (audit->faults_count > 0)
        qsort(audit->faults, audit->faults_count, sizeof *audit->faults, by_what);
    for (size_t i = 0; i < audit->faults_count;) {
        struct recovery recovery;
        i = sum_up(audit, i, &recovery);
        char *plain = plain_text(recovery.what);
        printf("recovery  %-32s %5" PRId64 " times", plain, recovery.faults);
        if (recovery.times_count > 0)
            printf(", median %.2f s, longest %.2f s", middle_of(&recovery), longest_of(&recovery));
        if (recovery.never > 0)
            printf(" (%" PRId64 " with nothing to recover)", recovery.never);
        putchar('\n');
        free(plain);
        free(recovery.times_us);
    }
}

static void tell_unchecked(const struct audit *audit)
{
    if (audit->unchecked.count > 0)
        puts("\nnot checked:");
    for (size_t i = 0; i < audit->unchecked.count; i++) {
        char *plain = plain_text(audit->unchecked.items[i]);
        printf("  %s\n", plain);
        free(plain);
    }
}

void audit_tell(struct audit *audit)
{
    if (audit->has_ledger) {
        tell_count("accepted", (int64_t)audit->ledger.count, "workflows, by the ledger");
        tell_count("finished", audit->ledger_finished, "of these");
    }
    tell_count("workflows", audit->workflows, "in the database");
    tell_count("finished", audit->finished, "of these");
    tell_count("events", audit->events, "in the log");
    tell_count("records", audit->records, "on the topic");
    tell_count("repeats", audit->repeats, "of them, published again and recognised as such");
    tell_count("rows", audit->rebuild.report.rows, "of aggregates compared");
    tell_checks(audit);
    tell_times(audit);
    tell_unchecked(audit);
}

/* -- as JSON -- */

static struct json *times_json(struct audit *audit)
{
    struct json *recoveries = json_array();
    if (audit->faults_count > 0)
        qsort(audit->faults, audit->faults_count, sizeof *audit->faults, by_what);
    for (size_t i = 0; i < audit->faults_count;) {
        struct recovery recovery;
        struct json *item = json_object();
        i = sum_up(audit, i, &recovery);
        bool any = recovery.times_count > 0;
        json_object_set(item, "what", json_text(recovery.what));
        json_object_set(item, "times", json_int(recovery.faults));
        json_object_set(item, "nothing_to_recover", json_int(recovery.never));
        json_object_set(item, "median_s", any ? json_double(middle_of(&recovery)) : json_null());
        json_object_set(item, "longest_s", any ? json_double(longest_of(&recovery)) : json_null());
        json_array_append(recoveries, item);
        free(recovery.times_us);
    }
    return recoveries;
}

static void set_found(const struct audit *audit, struct json *told)
{
    struct json *examples = json_object();
    for (int check = 0; check < AUDIT_CHECKS; check++) {
        json_object_set(told, rows[check].json_name, json_int(audit->found[check].count));
        if (audit->found[check].count > 0)
            json_object_set(examples, rows[check].json_name,
                            json_text(audit->found[check].example));
    }
    json_object_set(told, "examples", examples);
}

struct json *audit_json(struct audit *audit)
{
    struct json *told = json_object(), *unchecked = json_array();
    int64_t from_us, gap_us = activity_longest_gap(&audit->activity, &from_us);
    char text[INSTANT_TEXT_BYTES];
    json_object_set(told, "fine", json_bool(audit_is_fine(audit)));
    json_object_set(told, "accepted",
                    audit->has_ledger ? json_int((int64_t)audit->ledger.count) : json_null());
    json_object_set(told, "accepted_finished",
                    audit->has_ledger ? json_int(audit->ledger_finished) : json_null());
    json_object_set(told, "workflows", json_int(audit->workflows));
    json_object_set(told, "finished", json_int(audit->finished));
    json_object_set(told, "events", json_int(audit->events));
    json_object_set(told, "records", json_int(audit->records));
    json_object_set(told, "repeats", json_int(audit->repeats));
    json_object_set(told, "rows_compared", json_int(audit->rebuild.report.rows));
    set_found(audit, told);
    json_object_set(told, "longest_gap_s", json_double(seconds(gap_us)));
    json_object_set(told, "longest_gap_from",
                    gap_us > 0 ? json_text(instant_format(from_us, text)) : json_null());
    json_object_set(told, "recoveries", times_json(audit));
    for (size_t i = 0; i < audit->unchecked.count; i++)
        json_array_append(unchecked, json_text(audit->unchecked.items[i]));
    json_object_set(told, "not_checked", unchecked);
    return told;
}
