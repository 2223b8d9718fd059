/* SPDX-License-Identifier: MIT */
/* event.h - what a record says, as far as the aggregations ask: its time, for which of them it counts, and
 * the values and groups they need. Each value is read, and each group hashed, at most once per event. Pure.
 *
 * Owns      Texts are lent from the record, or from the scratch buffers of struct event, until the next
 *           event_read. event_fini releases.
 * Threads   One at a time.
 * Errors    event_read gives a sentence that says why the record cannot be understood, or NULL.
 */
#ifndef REDUCER_CORE_EVENT_H
#define REDUCER_CORE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/instant.h"
#include "core/aggregation.h"

#define EVENT_FUTURE_MAX_US                                                                        \
    (7ll * 86400 * 1000000) /* an event this far ahead of its record is no event */

enum event_note { NOTE_HASH = 1, NOTE_NUMBER = 2, NOTE_IS_NUMBER = 4, NOTE_WHOLE = 8 };

/* A field of the set for this event. */
struct event_field {
    uint64_t seen;       /* the event it was read for */
    const char *fault;   /* the rule that its value breaks, "is missing ..." */
    enum json_type type; /* JSON_ABSENT: no value */
    const char *text;    /* of a string decoded, else as it stands */
    size_t bytes;
    int notes; /* enum event_note: what is known below */
    uint64_t hash;
    double number;
    int64_t whole;
    struct buffer scratch;
};

struct event_group {
    uint64_t seen;
    bool valid;
    const char *text;
    size_t bytes;
    uint64_t hash;
    struct buffer scratch;
};

struct event_truth {
    uint64_t seen;
    bool holds;
};

struct event {
    const struct aggregation_set *set;
    uint64_t number; /* events read so far */
    int64_t time_us;
    struct instant_minute minute; /* of an event before */
    int64_t offset;
    uint64_t counts;  /* a bit for each aggregation in which it counts */
    uint64_t invalid; /* those whose filter it passed but whose rules it breaks */
    const char *key;  /* the record's */
    size_t key_bytes;
    struct event_hints hints;
    const struct event_value *values; /* by slot */
    struct event_value *scanned;      /* of a record that comes without them */
    struct event_field *fields;       /* by the set's numbers, as the following */
    struct event_truth *conditions;
    struct event_truth *filters;
    struct event_group *groups;
    struct buffer scratch;
    char reason[160];
};

struct event_record {
    int64_t offset;
    uint64_t judging;     /* a bit for each aggregation whose rules may make a dead letter of it */
    int64_t timestamp_us; /* the record's own Kafka timestamp, 0 when it has none */
    const char *key, *value;
    size_t key_bytes, value_bytes;
    const struct event_value *values; /* what event_scan found, NULL when nobody scanned it */
    const char *fault;                /* what it said */
};

void event_init(struct event *event, const struct aggregation_set *set);
void event_fini(struct event *event);
const char *event_read(struct event *event, const struct event_record *record);

/* Values of the event read last, by the numbers of the set. The first look finds them, later ones are
 * short, which is why they stand here. */
const struct event_field *event_find_field(struct event *event, int field);
bool event_find_filter(struct event *event, int filter);
const struct event_group *event_find_group(struct event *event, int group);
uint64_t event_find_hash(struct event *event, int field);
bool event_find_number(struct event_field *field);

static inline const struct event_field *event_field(struct event *event, int field)
{
    const struct event_field *found = &event->fields[field];
    return found->seen == event->number ? found : event_find_field(event, field);
}

/* AGGREGATION_NONE always holds. */
static inline bool event_filter_holds(struct event *event, int filter)
{
    if (filter == AGGREGATION_NONE)
        return true;
    const struct event_truth *truth = &event->filters[filter];
    return truth->seen == event->number ? truth->holds : event_find_filter(event, filter);
}

static inline const struct event_group *event_group(struct event *event, int group)
{
    const struct event_group *found = &event->groups[group];
    return found->seen == event->number ? found : event_find_group(event, group);
}

/* For distinct counts; 0: no value. */
static inline uint64_t event_field_hash(struct event *event, int field)
{
    const struct event_field *found = event_field(event, field);
    return found->notes & NOTE_HASH ? found->hash : event_find_hash(event, field);
}

/* The field when its value is a number, else NULL. */
static inline const struct event_field *event_field_number(struct event *event, int field)
{
    const struct event_field *found = event_field(event, field);
    if (!(found->notes & NOTE_NUMBER))
        (void)event_find_number(&event->fields[field]);
    return found->notes & NOTE_IS_NUMBER ? found : NULL;
}

#endif
