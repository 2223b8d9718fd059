/* SPDX-License-Identifier: MIT */
/* aggregation.h - what is counted, as data: contracts/aggregations/<name>.yaml compiled into definitions
 * that share one table of wanted paths, fields, conditions and group keys, so that one scan of an event and
 * one look at each condition serve all of them. Pure.
 *
 * A definition says which events count (filter), what they are grouped by (group_by), what is measured
 * (measures) and over which windows of event time (window). docs/aggregations.md describes the files.
 *
 *     field      a value of the event: the first of its paths that is present and not null, else its
 *                default. Declared ones have a type and bounds; an event that breaks them is a dead letter
 *                or, with `invalid: skip`, does not count in that aggregation.
 *     condition  one test of one field; a list holds when all of its conditions hold.
 *     cell       what a row keeps for a measure. Measures that need the same share a cell.
 *
 * Owns      A set owns everything in it; all of it lives until aggregation_set_free.
 * Lifetime  Definitions are added, then the set is only read.
 * Threads   A set that is not added to any more may be used by any.
 * Units     *_us microseconds, *_ms milliseconds, *_bytes octets.
 * Errors    aggregation_set_parse leaves findings (codes AGGREGATION_...) and gives NULL.
 */
#ifndef CORE_AGGREGATION_H
#define CORE_AGGREGATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "core/content_hash.h"
#include "core/event_scan.h"
#include "core/finding.h"

#define AGGREGATIONS_MAX 64 /* definitions of a set; a bit for each in struct event */
#define AGGREGATION_NAME_BYTES_MAX 63
#define AGGREGATION_VERSION_BYTES_MAX 63
#define AGGREGATION_MEASURES_MAX 64
#define AGGREGATION_CELLS_MAX 64
#define AGGREGATION_KEYS_MAX 8
#define AGGREGATION_BUCKETS_MAX 64
#define AGGREGATION_ALTERNATIVES_MAX 4   /* paths of one field */
#define AGGREGATION_CONDITIONS_MAX 32    /* of one list */
#define AGGREGATION_CHOICES_MAX 64       /* of one "in" */
#define AGGREGATION_GROUP_BYTES_MAX 1024 /* text of a group; longer ones make the event invalid */
#define AGGREGATION_TEXT_BYTES_MAX 1024  /* kept by first and last; longer ones are cut */
#define AGGREGATION_WINDOWS_MAX 100      /* windows that one event falls into: size / hop */
#define AGGREGATION_WINDOW_MS_MAX (366ll * 86400 * 1000)
#define AGGREGATION_RULES_MAX 32   /* declared fields of one file */
#define AGGREGATION_FIELDS_MAX 512 /* of a set, together */

#define AGGREGATION_NONE (-1)       /* no field, no filter (holds always), no cell */
#define AGGREGATION_RECORD_KEY (-2) /* the path "record.key": the record's own key */

/* -- fields -- */

enum aggregation_field_type {
    FIELD_OF_ANY,  /* not declared: strings as they are, numbers and booleans by their JSON text */
    FIELD_OF_TEXT, /* a string that is not empty */
    FIELD_OF_INTEGER, /* a whole number */
    FIELD_OF_NUMBER,
    FIELD_OF_TIME, /* event_timestamp */
};

struct aggregation_field {
    char *name; /* as shown in reasons: the declared name, or the path */
    int slots[AGGREGATION_ALTERNATIVES_MAX]; /* of struct event_paths, or AGGREGATION_RECORD_KEY */
    int slots_count;
    enum aggregation_field_type type;
    bool required;
    char *fallback; /* NULL: none */
    size_t fallback_bytes;
    bool has_minimum, has_maximum;
    double minimum, maximum;
    size_t bytes_max; /* of a text */
};

/* -- conditions -- */

enum aggregation_test {
    TEST_EQUALS, /* one of `choices`: of the same type and value */
    TEST_PREFIX, /* a string that begins with the only choice */
    TEST_EXISTS, /* present and not null */
    TEST_LESS,   /* than `number`; false when the value is no number */
    TEST_LESS_OR_EQUAL,
    TEST_GREATER,
    TEST_GREATER_OR_EQUAL,
};

struct aggregation_choice {
    enum json_type type; /* JSON_STRING, JSON_NUMBER, JSON_TRUE, JSON_FALSE */
    char *text;          /* of a string */
    size_t bytes;
    double number;
};

struct aggregation_condition {
    int field;
    enum aggregation_test test;
    bool negated; /* not_equals, not_in, exists: false; these hold for an absent value */
    struct aggregation_choice *choices;
    int choices_count;
    double number;
};

struct aggregation_filter {
    int conditions[AGGREGATION_CONDITIONS_MAX]; /* of the set; all must hold */
    int count;
};

/* Definitions with the same filter and the same rules, so that an event is judged once for all of them. */
struct aggregation_audience {
    int filter;
    int fields
        [AGGREGATION_RULES_MAX]; /* declared ones with rules, which an event that passes must keep */
    int fields_count;
    bool invalid_is_dead_letter; /* else such an event does not count here */
    uint64_t members;            /* a bit for each definition */
};

/* -- groups -- */

struct aggregation_bucket {
    char *name;
    size_t name_bytes;
    double to; /* largest value in it; HUGE_VAL in the last one */
};

struct aggregation_key {
    char *name; /* under which the group's part is shown */
    int field;
    struct aggregation_bucket *buckets; /* NULL: by the value itself */
    int buckets_count;
};

/* The keys of one or more definitions: their values are read and hashed once per event. The group's text is
 * the value of its only key, a JSON array of texts when there are more, "" when there is none. */
struct aggregation_group {
    struct aggregation_key keys[AGGREGATION_KEYS_MAX];
    int count;
};

/* -- measures -- */

enum aggregation_cell_kind {
    CELL_COUNT, /* events for which `where` holds */
    CELL_SUM,   /* how many values, and their sum */
    CELL_MIN,
    CELL_MAX,
    CELL_DISTINCT,  /* different values: core/distinct.h */
    CELL_HISTOGRAM, /* core/histogram.h */
    CELL_FIRST,     /* value of the event first, or last, by (event time, offset) */
    CELL_LAST,
};

struct aggregation_cell {
    enum aggregation_cell_kind kind;
    int field;  /* AGGREGATION_NONE for a count */
    int where;  /* filter, or AGGREGATION_NONE */
    bool whole; /* sum, min, max: of whole numbers (or times), kept as int64_t */
    bool time;  /* min, max: of the event's time */
};

enum aggregation_measure_kind {
    MEASURE_COUNT,
    MEASURE_SUM,
    MEASURE_MIN,
    MEASURE_MAX,
    MEASURE_AVG,
    MEASURE_DISTINCT,
    MEASURE_PERCENTILE,
    MEASURE_RATE, /* events per second of the window */
    MEASURE_FIRST,
    MEASURE_LAST,
    MEASURE_SHARE, /* cell / per: of the events for which `of` holds, those for which `share` does too */
    MEASURE_RATIO, /* one measure divided by another: cell and per are measures */
    MEASURE_WINDOW_START,
    MEASURE_WINDOW_END,
};

struct aggregation_measure {
    char *name;
    enum aggregation_measure_kind kind;
    int cell; /* of the definition; MEASURE_RATIO: a measure */
    int per;
    double share; /* percentile: 0.95 */
    bool is_time; /* min, max: shown as a time */
};

/* -- definitions -- */

#define AGGREGATION_EXACT "unique_counts_exact" /* shown beside distinct counts */

struct aggregation_window {
    bool windowed; /* else one row for all time, window_start 1970-01-01 */
    int64_t size_us;
    int64_t hop_us; /* size_us: tumbling */
    int64_t lateness_us;
};

struct aggregation {
    int index; /* in the set */
    char *name;
    char *version;
    char *description;
    char content_hash
        [CONTENT_HASH_TEXT_BYTES]; /* of what counts: description and retention are left out */
    struct json *document;
    int audience; /* of the set */
    int group;    /* of the set */
    struct aggregation_measure measures[AGGREGATION_MEASURES_MAX];
    int measures_count;
    struct aggregation_cell cells[AGGREGATION_CELLS_MAX];
    int cells_count;
    int distincts_count; /* cells of kind CELL_DISTINCT */
    uint64_t distincts;  /* a bit for each of them */
    int window;          /* of the set */
    bool announce_updates;
    bool backfill;
    int64_t retention_days; /* 0: for ever */
};

/* What a file that says nothing about it gets. */
struct aggregation_defaults {
    int64_t size_ms;
    int64_t lateness_ms;
};

struct aggregation_set {
    struct aggregation_defaults defaults;
    struct event_paths *paths;
    int event_type_slot, event_timestamp_slot, payload_slot; /* every event must have them */
    struct aggregation *items[AGGREGATIONS_MAX];
    int count;
    struct aggregation_field *fields;
    int fields_count;
    struct aggregation_condition *conditions;
    int conditions_count;
    struct aggregation_filter *filters;
    int filters_count;
    struct aggregation_group *groups;
    int groups_count;
    struct aggregation_audience audiences[AGGREGATIONS_MAX];
    int audiences_count;
    struct aggregation_window
        windows[AGGREGATIONS_MAX]; /* definitions with equal windows share one */
    int windows_count;
};

struct aggregation_set *aggregation_set_new(const struct aggregation_defaults *defaults) MUST_USE;
void aggregation_set_free(struct aggregation_set *set); /* NULL is fine */
/* Adds the definition of one file. NULL with findings: the set then is of no use any more, but further files
 * may be parsed into it for their findings. */
const struct aggregation *aggregation_set_parse(struct aggregation_set *set, const char *file,
                                                const char *text, size_t bytes,
                                                struct findings *findings) MUST_USE;
/* NULL when there is none. */
const struct aggregation *aggregation_set_find(const struct aggregation_set *set, const char *name,
                                               size_t bytes);
/* Other windows for one of the definitions; size_us 0: one row for all time. false: it cannot have such. The
 * numbers of windows change, so nothing may have been counted by the set before. */
bool aggregation_set_window(struct aggregation_set *set, int index, int64_t size_us,
                            int64_t lateness_us) MUST_USE;
/* The file as JSON, its window with what the options say where the file says nothing. */
struct json *aggregation_describe(const struct aggregation_set *set,
                                  const struct aggregation *aggregation) MUST_USE;
const char *aggregation_measure_kind_name(enum aggregation_measure_kind kind);

#endif
