/* SPDX-License-Identifier: MIT */
/* aggregation_internal.h - what aggregation.c (the set), aggregation_parse.c (a file) and
 * aggregation_measures.c (its measures) share.
 *
 * Owns      The reader lends everything but its pointer text and its table of declared fields, which
 *           aggregation_set_parse frees.
 */
#ifndef CORE_AGGREGATION_INTERNAL_H
#define CORE_AGGREGATION_INTERNAL_H

#include "core/aggregation.h"
#include "core/source_map.h"

struct aggregation_reader {
    struct aggregation_set *set;
    struct aggregation *made;
    const struct source_map *map;
    struct findings *findings;
    struct buffer pointer; /* to the member being read */
    char *declared_names[AGGREGATION_RULES_MAX];
    int declared_fields[AGGREGATION_RULES_MAX];
    int declared_count;
};

/* The set's tables: each gives the number of an equal entry, or adds it. They take what the entry owns.
 * -1 when the table is full. */
int aggregation_intern_field(struct aggregation_set *set, struct aggregation_field *field);
int aggregation_intern_condition(struct aggregation_set *set,
                                 struct aggregation_condition *condition);
int aggregation_intern_filter(struct aggregation_set *set, const struct aggregation_filter *filter);
int aggregation_intern_group(struct aggregation_set *set, struct aggregation_group *group);
int aggregation_intern_window(struct aggregation_set *set, const struct aggregation_window *window);
int aggregation_intern_audience(struct aggregation_set *set,
                                const struct aggregation_audience *audience);
void aggregation_condition_fini(struct aggregation_condition *condition);
void aggregation_group_fini(struct aggregation_group *group);
void aggregation_free(struct aggregation *aggregation);

/* aggregation_parse.c: reading members of the object at the reader's pointer. */
void aggregation_fault(struct aggregation_reader *reader, const char *name, const char *code,
                       const char *format, ...) PRINTF_LIKE(4, 5); /* name: a member, or NULL */
void aggregation_known(struct aggregation_reader *reader, const struct json *object,
                       const char *const *names);
size_t aggregation_enter(struct aggregation_reader *reader, const char *name); /* for pointer_cut */
bool aggregation_name_is_valid(const char *name, size_t bytes);
int aggregation_read_field(struct aggregation_reader *reader, const struct json *value);
int aggregation_read_filter(struct aggregation_reader *reader, const struct json *list);
/* aggregation_conditions.c */
int aggregation_read_condition(struct aggregation_reader *reader, const struct json *object,
                               struct aggregation_filter *filter);
/* aggregation_measures.c */
void aggregation_read_measures(struct aggregation_reader *reader, const struct json *measures);

#endif
