/* SPDX-License-Identifier: MIT */
/* event.c - from scanned members to values, conditions and groups, each looked at once. */
#include "reducer/core/event.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/plain.h"
#include "base/text_hash.h"

void event_init(struct event *event, const struct aggregation_set *set)
{
    *event = (struct event){.set = set};
    event->values = event->scanned =
        must_calloc((size_t)event_paths_count(set->paths), sizeof *event->scanned);
    event->fields = must_calloc((size_t)set->fields_count + 1, sizeof *event->fields);
    event->conditions = must_calloc((size_t)set->conditions_count + 1, sizeof *event->conditions);
    event->filters = must_calloc((size_t)set->filters_count + 1, sizeof *event->filters);
    event->groups = must_calloc((size_t)set->groups_count + 1, sizeof *event->groups);
}

void event_fini(struct event *event)
{
    for (int i = 0; event->set && i < event->set->fields_count; i++)
        buffer_fini(&event->fields[i].scratch);
    for (int i = 0; event->set && i < event->set->groups_count; i++)
        buffer_fini(&event->groups[i].scratch);
    buffer_fini(&event->scratch);
    free(event->scanned);
    free(event->fields);
    free(event->conditions);
    free(event->filters);
    free(event->groups);
    *event = (struct event){0};
}

static const char *say(struct event *event, const char *name, const char *what)
{
    snprintf(event->reason, sizeof event->reason, "%.80s %s", name, what);
    return event->reason;
}

/* -- fields -- */

/* The number of a field's value, read once. */
bool event_find_number(struct event_field *field)
{
    if (!(field->notes & NOTE_NUMBER)) {
        const struct event_value value = {
            .type = field->type, .data = field->text, .bytes = field->bytes};
        bool whole;
        field->notes |= NOTE_NUMBER;
        if (event_value_number(&value, &field->number, &field->whole, &whole))
            field->notes |= whole ? NOTE_IS_NUMBER | NOTE_WHOLE : NOTE_IS_NUMBER;
    }
    return (field->notes & NOTE_IS_NUMBER) != 0;
}

static const char *bounds_fault(const struct aggregation_field *rules, const char *wrong,
                                double number)
{
    if ((rules->has_minimum && number < rules->minimum) ||
        (rules->has_maximum && number > rules->maximum))
        return wrong;
    return NULL;
}

/* The rule that a value breaks, NULL when it is fine. */
static inline const char *rule_broken(const struct aggregation_field *rules,
                                      struct event_field *field)
{
    static const char no_whole[] = "is missing or no whole number within its bounds";
    static const char no_number[] = "is missing or no number within its bounds";
    bool absent = field->type == JSON_ABSENT;
    switch (rules->type) {
    case FIELD_OF_TEXT:
        if (absent)
            return rules->required ? "is missing or no text" : NULL;
        if (field->type != JSON_STRING || field->bytes == 0)
            return "is missing or no text";
        return field->bytes > rules->bytes_max ? "is longer than allowed" : NULL;
    case FIELD_OF_INTEGER:
        if (absent)
            return rules->required ? no_whole : NULL;
        if (!event_find_number(field) || !(field->notes & NOTE_WHOLE))
            return no_whole;
        return bounds_fault(rules, no_whole, field->number);
    case FIELD_OF_NUMBER:
        if (absent)
            return rules->required ? no_number : NULL;
        return event_find_number(field) ? bounds_fault(rules, no_number, field->number) : no_number;
    case FIELD_OF_ANY:
    case FIELD_OF_TIME:
        return absent && rules->required ? "is missing" : NULL;
    }
    return NULL;
}

static inline void take_value(struct event_field *field, const struct event_value *value)
{
    field->type = value->type;
    if (value->type == JSON_STRING && value->escaped) {
        field->text = event_value_text(value, &field->scratch, &field->bytes);
    } else {
        field->text = value->data;
        field->bytes = value->bytes;
    }
}

/* The first alternative that is present and not null, or the default. */
static inline void find_value(struct event *event, const struct aggregation_field *rules,
                              struct event_field *field)
{
    for (int i = 0; i < rules->slots_count; i++) {
        if (rules->slots[i] == AGGREGATION_RECORD_KEY) {
            if (!event->key || event->key_bytes == 0 ||
                !utf8_is_valid(event->key, event->key_bytes) ||
                memchr(event->key, 0, event->key_bytes))
                continue;
            field->type = JSON_STRING;
            field->text = event->key;
            field->bytes = event->key_bytes;
            return;
        }
        const struct event_value *value = &event->values[rules->slots[i]];
        if (value->type != JSON_ABSENT && value->type != JSON_NULL) {
            take_value(field, value);
            return;
        }
    }
    field->type = rules->fallback ? JSON_STRING : JSON_ABSENT;
    field->text = rules->fallback;
    field->bytes = rules->fallback_bytes;
}

static const struct event_field *find_any_field(struct event *event,
                                                const struct aggregation_field *rules,
                                                struct event_field *field)
{
    find_value(event, rules, field);
    if (rules->type == FIELD_OF_ANY && (field->type == JSON_OBJECT || field->type == JSON_ARRAY))
        field->type = JSON_ABSENT;
    field->fault = rule_broken(rules, field);
    if (field->fault)
        field->type = JSON_ABSENT;
    return field;
}

const struct event_field *event_find_field(struct event *event, int number)
{
    struct event_field *field = &event->fields[number];
    const struct aggregation_field *rules = &event->set->fields[number];
    field->seen = event->number;
    field->notes = 0;
    if (rules->slots[0] < 0)
        return find_any_field(event, rules, field);
    const struct event_value *value = &event->values[rules->slots[0]];
    bool bounded = rules->type == FIELD_OF_TEXT;
    if (value->type != JSON_STRING || value->escaped || (!bounded && rules->type != FIELD_OF_ANY) ||
        (bounded && (value->bytes == 0 || value->bytes > rules->bytes_max)))
        return find_any_field(event, rules, field);
    field->fault = NULL; /* a plain text, as most values are */
    field->type = JSON_STRING;
    field->text = value->data;
    field->bytes = value->bytes;
    return field;
}

uint64_t event_find_hash(struct event *event, int number)
{
    struct event_field *field = &event->fields[number];
    field->notes |= NOTE_HASH;
    field->hash = field->type == JSON_ABSENT ? 0 : text_hash(field->text, field->bytes);
    return field->hash;
}

/* -- conditions -- */

static bool is_text_choice(const struct event_field *field,
                           const struct aggregation_condition *condition)
{
    const struct aggregation_choice *choice = condition->choices;
    for (const struct aggregation_choice *end = choice + condition->choices_count; choice < end;
         choice++) {
        if (choice->bytes == field->bytes && choice->type == JSON_STRING &&
            plain_same(choice->text, field->text, field->bytes))
            return true;
    }
    return false;
}

static bool is_choice(struct event_field *field, const struct aggregation_condition *condition)
{
    for (int i = 0; i < condition->choices_count; i++) {
        const struct aggregation_choice *choice = &condition->choices[i];
        if (choice->type != field->type)
            continue;
        if (choice->type != JSON_NUMBER)
            return true;
        if (event_find_number(field) && field->number >= choice->number &&
            field->number <= choice->number)
            return true;
    }
    return false;
}

static inline bool test_value(struct event_field *field,
                              const struct aggregation_condition *condition)
{
    switch (condition->test) {
    case TEST_EQUALS:
        return field->type == JSON_STRING ? is_text_choice(field, condition)
                                          : is_choice(field, condition);
    case TEST_PREFIX:
        return field->type == JSON_STRING && field->bytes >= condition->choices[0].bytes &&
               memcmp(field->text, condition->choices[0].text, condition->choices[0].bytes) == 0;
    case TEST_EXISTS:
        return field->type != JSON_ABSENT;
    case TEST_LESS:
        return event_find_number(field) && field->number < condition->number;
    case TEST_LESS_OR_EQUAL:
        return event_find_number(field) && field->number <= condition->number;
    case TEST_GREATER:
        return event_find_number(field) && field->number > condition->number;
    case TEST_GREATER_OR_EQUAL:
        return event_find_number(field) && field->number >= condition->number;
    }
    return false;
}

static inline bool condition_holds(struct event *event, int number)
{
    const struct aggregation_condition *condition = &event->set->conditions[number];
    struct event_truth *truth = &event->conditions[number];
    if (truth->seen == event->number)
        return truth->holds;
    (void)event_field(event, condition->field);
    truth->seen = event->number;
    truth->holds = test_value(&event->fields[condition->field], condition) != condition->negated;
    return truth->holds;
}

bool event_find_filter(struct event *event, int number)
{
    struct event_truth *truth = &event->filters[number];
    const struct aggregation_filter *filter = &event->set->filters[number];
    truth->seen = event->number;
    truth->holds = true;
    for (int i = 0; i < filter->count && truth->holds; i++)
        truth->holds = condition_holds(event, filter->conditions[i]);
    return truth->holds;
}

/* -- groups -- */

/* The text of a key's value; NULL when it has none. */
static const char *key_text(struct event *event, const struct aggregation_key *key, size_t *bytes)
{
    const struct event_field *field = event_field(event, key->field);
    if (field->type == JSON_ABSENT)
        return NULL;
    if (!key->buckets) {
        *bytes = field->bytes;
        return field->text;
    }
    if (!event_field_number(event, key->field))
        return NULL;
    int bucket = 0;
    while (field->number > key->buckets[bucket].to)
        bucket++;
    *bytes = key->buckets[bucket].name_bytes;
    return key->buckets[bucket].name;
}

/* A JSON string and the octet before it; most texts need no escapes. */
static void append_text(struct buffer *out, char before, const char *text, size_t bytes)
{
    size_t run = plain_run(text, bytes);
    while (run < bytes && text[run] >= 0x20 && text[run] < 0x7f && text[run] != '"' &&
           text[run] != '\\')
        run++;
    if (run < bytes) {
        buffer_append_char(out, before);
        buffer_append_json_string(out, text, bytes);
        return;
    }
    buffer_reserve(out, bytes + 3);
    char *at = out->data + out->bytes;
    *at++ = before;
    *at++ = '"';
    memcpy(at, text, bytes);
    at[bytes] = '"';
    out->bytes += bytes + 3;
}

static bool join_keys(struct event *event, const struct aggregation_group *keys,
                      struct event_group *group)
{
    struct buffer *out = &group->scratch;
    buffer_clear(out);
    for (int i = 0; i < keys->count; i++) {
        size_t bytes;
        const char *text = key_text(event, &keys->keys[i], &bytes);
        if (!text)
            return false;
        append_text(out, i == 0 ? '[' : ',', text, bytes);
    }
    buffer_append_char(out, ']');
    group->text = out->data;
    group->bytes = out->bytes;
    return true;
}

/* A group of several keys or of none, or by buckets. */
static bool find_any_group(struct event *event, const struct aggregation_group *keys,
                           struct event_group *group)
{
    group->text = "";
    group->bytes = 0;
    if (keys->count == 1)
        group->text = key_text(event, &keys->keys[0], &group->bytes);
    else if (keys->count > 1 && !join_keys(event, keys, group))
        group->text = NULL;
    if (group->text)
        group->hash = text_hash(group->text, group->bytes);
    return group->text && group->bytes <= AGGREGATION_GROUP_BYTES_MAX;
}

const struct event_group *event_find_group(struct event *event, int number)
{
    const struct aggregation_group *keys = &event->set->groups[number];
    struct event_group *group = &event->groups[number];
    group->seen = event->number;
    if (keys->count != 1 || keys->keys[0].buckets) {
        group->valid = find_any_group(event, keys, group);
        return group;
    }
    const struct event_field *field = event_field(event, keys->keys[0].field);
    group->valid = field->type != JSON_ABSENT && field->bytes <= AGGREGATION_GROUP_BYTES_MAX;
    if (group->valid) {
        group->text = field->text;
        group->bytes = field->bytes;
        group->hash = event_field_hash(event, keys->keys[0].field); /* of the same text */
    }
    return group;
}

/* -- events -- */

static const char *read_time(struct event *event, int64_t record_us)
{
    const char *name = "event_timestamp";
    size_t bytes;
    const char *text =
        event_value_text(&event->values[event->set->event_timestamp_slot], &event->scratch, &bytes);
    if (!text)
        return say(event, name, "is missing or no string");
    if (!instant_parse_near(&event->minute, text, bytes, &event->time_us))
        return say(event, name, "is not a time as RFC 3339 has it");
    if (record_us > 0 && event->time_us > record_us + EVENT_FUTURE_MAX_US)
        return say(event, name, "is more than seven days after the record itself");
    return NULL;
}

/* The first rule of an audience that the event breaks; *name is its field. */
static const char *audience_fault(struct event *event, const struct aggregation_audience *audience,
                                  const char **name)
{
    for (int i = 0; i < audience->fields_count; i++) {
        const struct event_field *field = event_field(event, audience->fields[i]);
        if (field->fault) {
            *name = event->set->fields[audience->fields[i]].name;
            return field->fault;
        }
    }
    return NULL;
}

/* Takes out the members of the audience whose group has no value or is too long; a fault is that of one that
 * judges. */
static const char *check_groups(struct event *event, const struct aggregation_audience *audience,
                                uint64_t judging)
{
    const char *fault = NULL;
    for (uint64_t members = audience->members; members; members &= members - 1) {
        int number = __builtin_ctzll(members);
        const struct aggregation *aggregation = event->set->items[number];
        if (event_group(event, aggregation->group)->valid)
            continue;
        event->counts &= ~(UINT64_C(1) << number);
        event->invalid |= UINT64_C(1) << number;
        if (judging >> number & 1)
            fault = say(event, "the group", "has no value or is longer than allowed");
    }
    return fault;
}

/* An aggregation that does not count here (yet) makes no dead letters: what others count would depend on it,
 * and could not be told from the topic afterwards. */
static const char *judge(struct event *event, uint64_t judging)
{
    const struct aggregation_set *set = event->set;
    event->counts = event->invalid = 0;
    for (int i = 0; i < set->audiences_count; i++) {
        const struct aggregation_audience *audience = &set->audiences[i];
        const char *name = NULL;
        if (!event_filter_holds(event, audience->filter))
            continue;
        const char *fault = audience_fault(event, audience, &name);
        if (fault) {
            event->invalid |= audience->members;
            fault = say(event, name, fault);
        } else {
            event->counts |= audience->members;
            fault = check_groups(event, audience, judging);
        }
        if (fault && audience->invalid_is_dead_letter && (audience->members & judging))
            return fault;
    }
    return NULL;
}

static const char *scan(struct event *event, const struct event_record *record)
{
    event->values = record->values ? record->values : event->scanned;
    return record->values ? record->fault
                          : event_scan(event->set->paths, &event->hints, record->value,
                                       record->value_bytes, event->scanned);
}

const char *event_read(struct event *event, const struct event_record *record)
{
    const struct aggregation_set *set = event->set;
    size_t bytes;
    event->number++;
    event->offset = record->offset;
    event->key = record->key;
    event->key_bytes = record->key_bytes;
    event->counts = event->invalid = 0;
    if (!record->value)
        return "the record has no value";
    const char *fault = scan(event, record);
    if (fault)
        return fault;
    if (!event_value_text(&event->values[set->event_type_slot], &event->scratch, &bytes) ||
        bytes == 0)
        return say(event, "event_type", "is missing or no text");
    if (event->values[set->payload_slot].type != JSON_OBJECT)
        return say(event, "payload", "is missing or no object");
    fault = read_time(event, record->timestamp_us);
    return fault ? fault : judge(event, record->judging);
}
