/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core/asl_lint_internal.h"

/* Each is compared with those before it; longer lists are left alone. */
#define COMPARED_MAX 1000

/* -- error names that an earlier retrier or catcher takes -- */

/* Names that States.TaskFailed does not stand for, or not always. */
static bool task_failed_takes(const char *name)
{
    static const char *const others[] = {"States.ALL",
                                         "States.Timeout",
                                         "States.HeartbeatTimeout",
                                         "States.DataLimitExceeded",
                                         "States.BranchFailed",
                                         "States.Runtime"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(others[i], name) == 0)
            return false;
    }
    return true;
}

static bool takes(const char *earlier, const char *name)
{
    if (strcmp(earlier, name) == 0)
        return true;
    if (strcmp(earlier, "States.TaskFailed") == 0)
        return task_failed_takes(name);
    return strcmp(earlier, "States.Timeout") == 0 && strcmp(name, "States.HeartbeatTimeout") == 0;
}

static const struct json *names_at(const struct json *list, size_t index)
{
    const struct json *names = json_get(json_at(list, index), "ErrorEquals");
    return json_type_of(names) == JSON_ARRAY ? names : NULL;
}

/* The name that takes names[k] of list[i] before it is asked; NULL. */
static const char *taker_of(const struct json *list, size_t i, size_t k)
{
    const char *name = json_string_or(json_at(names_at(list, i), k), "");
    for (size_t earlier = 0; earlier < i; earlier++) {
        const struct json *names = names_at(list, earlier);
        for (size_t n = 0; n < json_size(names); n++) {
            const char *other = json_string_or(json_at(names, n), "");
            if (takes(other, name))
                return other;
        }
    }
    for (size_t n = 0; n < k; n++) {
        const char *other = json_string_or(json_at(names_at(list, i), n), "");
        if (strcmp(other, name) == 0)
            return other;
    }
    return NULL;
}

static void names_check(struct asl_lint *lint, const struct outline_state *state, const char *field)
{
    const struct json *list = json_get(state->document, field);
    size_t count = 0;
    for (size_t i = 0; json_type_of(list) == JSON_ARRAY && i < json_size(list); i++)
        count += 1 + json_size(names_at(list, i));
    if (count > COMPARED_MAX)
        return;
    for (size_t i = 0; count > 0 && i < json_size(list); i++) {
        for (size_t k = 0; k < json_size(names_at(list, i)); k++) {
            const char *taker = taker_of(list, i, k);
            if (!taker)
                continue;
            struct buffer member = {0};
            buffer_append_format(&member, "/%s/%zu/ErrorEquals/%zu", field, i, k);
            asl_lint_report(lint, state->pointer, buffer_text(&member), "ASL_ERROR_TAKEN",
                            "\"%s\" never gets here: an earlier \"%s\" of this %s takes it",
                            json_string_or(json_at(names_at(list, i), k), ""), taker, field);
            buffer_fini(&member);
        }
    }
}

/* -- choice rules -- */

/* The same condition, whatever Next, Assign and Comment are. */
static bool same_condition(const struct json *a, const struct json *b)
{
    static const char *const others[] = {"Next", "Assign", "Comment"};
    size_t a_size = json_size(a), b_size = json_size(b);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        a_size -= json_get(a, others[i]) != NULL;
        b_size -= json_get(b, others[i]) != NULL;
    }
    if (a_size != b_size || a_size == 0)
        return false;
    for (size_t i = 0; i < json_size(a); i++) {
        const char *name = json_name_at(a, i, NULL);
        bool condition = true;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++)
            condition = condition && strcmp(name, others[k]) != 0;
        if (condition && !json_equal(json_member_at(a, i), json_get(b, name)))
            return false;
    }
    return true;
}

static void rules_check(struct asl_lint *lint, const struct outline_state *state)
{
    const struct json *rules = json_get(state->document, "Choices");
    if (json_type_of(rules) != JSON_ARRAY || json_size(rules) > COMPARED_MAX)
        return;
    for (size_t i = 1; i < json_size(rules); i++) {
        size_t k = 0;
        while (k < i && !same_condition(json_at(rules, k), json_at(rules, i)))
            k++;
        if (k == i || json_type_of(json_at(rules, i)) != JSON_OBJECT)
            continue;
        struct buffer member = {0};
        buffer_append_format(&member, "/Choices/%zu", i);
        asl_lint_report(lint, state->pointer, buffer_text(&member), "ASL_CHOICE_REPEATED",
                        "this rule is never reached: rule %zu of \"%s\" asks the same", k + 1,
                        state->name);
        buffer_fini(&member);
    }
}

/* -- what a Catch without ResultPath throws away -- */

static bool is_error_output(const char *place)
{
    static const char *const members[] = {"$.Error", "$.Cause"};
    if (strncmp(place, "$.", 2) != 0)
        return true; /* the whole of it, or a variable */
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        size_t bytes = strlen(members[i]);
        if (strncmp(place, members[i], bytes) == 0 && (place[bytes] == '\0' || place[bytes] == '.'))
            return true;
    }
    return false;
}

static void lost_check(struct asl_lint *lint, const struct outline_state *state,
                       const struct outline_edge *edge)
{
    const struct json *path = json_get(edge->document, "ResultPath");
    if (edge->to->type == OUTLINE_CHOICE || (path && strcmp(json_string_or(path, ""), "$") != 0))
        return; /* a Choice may ask IsPresent */
    struct touches reads = {0};
    touches_read(&reads, edge->to);
    for (size_t i = 0; i < reads.count; i++) {
        if (is_error_output(reads.places[i]))
            continue;
        struct buffer member = {0};
        buffer_append_format(&member, "/Catch/%zu", edge->index);
        asl_lint_report(lint, state->pointer, buffer_text(&member), "ASL_INPUT_LOST",
                        "this Catch replaces the data by {Error, Cause}, and \"%s\" reads %s: a "
                        "ResultPath would keep it",
                        edge->to->name, reads.places[i]);
        buffer_fini(&member);
        break;
    }
    touches_fini(&reads);
}

void asl_lint_errors(struct asl_lint *lint, const struct outline_state *state)
{
    names_check(lint, state, "Retry");
    names_check(lint, state, "Catch");
    if (state->type == OUTLINE_CHOICE)
        rules_check(lint, state);
    for (size_t i = 0; i < state->edges_count; i++) {
        if (state->edges[i].type == OUTLINE_CATCH)
            lost_check(lint, state, &state->edges[i]);
    }
}
