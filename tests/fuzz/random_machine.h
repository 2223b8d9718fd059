/* SPDX-License-Identifier: MIT */
/* random_machine.h - a valid state machine drawn by chance: every kind of state, scopes within each
 * other, data flow, variables, retries and catches. Written as JSON text.
 *
 * States are numbered through the machine. Each leads to the next of its scope, so that all are
 * reached; choices and catches may skip some, and a task may lead back.
 */
#ifndef TESTS_FUZZ_RANDOM_MACHINE_H
#define TESTS_FUZZ_RANDOM_MACHINE_H

#include "base/buffer.h"
#include "chance.h"

#define RANDOM_SCOPES_MAX 4 /* within each other */
#define RANDOM_STATES_MAX 40

struct random_machine {
    struct chance *chance;
    struct buffer *out;
    unsigned states;                       /* names given so far */
    unsigned variables[RANDOM_SCOPES_MAX]; /* of each scope around */
    unsigned depth;
};

static void random_scope(struct random_machine *machine, const char *extra);

static void random_write(struct random_machine *machine, const char *text)
{
    buffer_append_text(machine->out, text);
}

/* A variable of this scope or of one around it; false when there is none. */
static bool random_variable(struct random_machine *machine, char text[16])
{
    unsigned depth = chance_of(machine->chance, machine->depth);
    if (machine->variables[depth] == 0)
        return false;
    snprintf(text, 16, "$v%u_%u", depth, chance_of(machine->chance, machine->variables[depth]));
    return true;
}

static const char *random_path(struct random_machine *machine, bool reference, char text[32])
{
    static const char *const references[] = {"$",
                                             "$.a",
                                             "$.b",
                                             "$.list",
                                             "$.a.b",
                                             "$.list[0]",
                                             "$.none",
                                             "$.list[1].a",
                                             "$['a']",
                                             "$$.State.Name",
                                             "$$.Execution.Input"};
    static const char *const paths[] = {"$..a",
                                        "$.list[*]",
                                        "$.list[0:2]",
                                        "$.list[-1]",
                                        "$.list[0,1]",
                                        "$.list[?(@.a > 1)]",
                                        "$.*",
                                        "$$.Map.Item.Index",
                                        "$$.State.RetryCount",
                                        "$$.State.EnteredTime",
                                        "$$.Execution.Id"};
    char variable[16];
    if (chance_once_in(machine->chance, 4) && random_variable(machine, variable)) {
        snprintf(text, 32, "%s%s", variable, chance_once_in(machine->chance, 3) ? ".a" : "");
        return text;
    }
    if (reference || chance_of(machine->chance, 2))
        return chance_pick(machine->chance, references);
    return chance_pick(machine->chance, paths);
}

static const char *const random_values[] = {"null",
                                            "true",
                                            "1",
                                            "-2.5",
                                            "\"x\"",
                                            "{\"a\":1,\"b\":\"t\"}",
                                            "[1,2,3]",
                                            "{\"a\":{\"b\":2},\"list\":[{\"a\":1},{\"a\":2},3]}",
                                            "[]",
                                            "{}",
                                            "\"2026-01-01T00:00:00Z\"",
                                            "3"};

static const char *const random_calls[] = {"States.UUID()",
                                           "States.MathRandom(1, 100)",
                                           "States.Format('{}-{}', $$.State.Name, 'x')",
                                           "States.Array($, 1, 'two', null)",
                                           "States.ArrayPartition(States.ArrayRange(1, 9, 2), 2)",
                                           "States.Hash('a', 'SHA-256')",
                                           "States.JsonToString($)",
                                           "States.StringToJson('{\\\"a\\\":1}')",
                                           "States.Base64Encode('text')",
                                           "States.MathAdd(1, -2)",
                                           "States.StringSplit('a,b', ',')",
                                           "States.ArrayContains($.list, 1)",
                                           "States.ArrayUnique($.list)",
                                           "States.JsonMerge($.a, $.b, false)",
                                           "States.ArrayLength($.list)"};

static void random_template(struct random_machine *machine, const char *field)
{
    char text[32];
    buffer_append_format(machine->out, ",\"%s\":{\"k\":%s", field,
                         chance_pick(machine->chance, random_values));
    unsigned members = chance_of(machine->chance, 4);
    for (unsigned i = 0; i < members; i++) {
        bool call = chance_once_in(machine->chance, 3);
        buffer_append_format(machine->out, ",\"%c.$\":\"%s\"", 'a' + (int)i,
                             call ? chance_pick(machine->chance, random_calls)
                                  : random_path(machine, false, text));
    }
    if (chance_once_in(machine->chance, 3))
        buffer_append_format(machine->out, ",\"list\":[1,{\"x.$\":\"%s\"}]",
                             random_path(machine, false, text));
    random_write(machine, "}");
}

static void random_path_field(struct random_machine *machine, const char *field, bool reference)
{
    char text[32];
    if (chance_once_in(machine->chance, 8))
        buffer_append_format(machine->out, ",\"%s\":null", field);
    else
        buffer_append_format(machine->out, ",\"%s\":\"%s\"", field,
                             random_path(machine, reference, text));
}

/* `all`: every variable of the scope, so that each is assigned somewhere. */
static void random_assign(struct random_machine *machine, bool all)
{
    unsigned depth = machine->depth - 1, count = machine->variables[depth];
    char text[32];
    if (count == 0 || (!all && !chance_once_in(machine->chance, 4)))
        return;
    random_write(machine, ",\"Assign\":{");
    for (unsigned i = 0; i < count; i++) {
        if (chance_once_in(machine->chance, 3))
            buffer_append_format(machine->out, "%s\"v%u_%u.$\":\"%s\"", i ? "," : "", depth, i,
                                 random_path(machine, false, text));
        else
            buffer_append_format(machine->out, "%s\"v%u_%u\":%s", i ? "," : "", depth, i,
                                 chance_pick(machine->chance, random_values));
    }
    random_write(machine, "}");
}

static void random_flow(struct random_machine *machine, bool result, bool selector)
{
    static const char *const places[] = {"null",    "\"$\"",     "\"$.a\"",
                                         "\"$.r\"", "\"$.r.s\"", "\"$.list[0]\""};
    if (chance_once_in(machine->chance, 6))
        random_path_field(machine, "InputPath", false);
    if (chance_once_in(machine->chance, 6))
        random_path_field(machine, "OutputPath", false);
    if (result && chance_once_in(machine->chance, 3))
        buffer_append_format(machine->out, ",\"ResultPath\":%s",
                             chance_pick(machine->chance, places));
    if (selector && chance_once_in(machine->chance, 5))
        random_template(machine, "ResultSelector");
}

static void random_errors(struct random_machine *machine, unsigned first, unsigned end)
{
    static const char *const names[] = {"\"E1\"",
                                        "\"E2\"",
                                        "\"States.Timeout\"",
                                        "\"States.TaskFailed\"",
                                        "\"E1\",\"E2\"",
                                        "\"States.ParameterPathFailure\""};
    static const char *const last[] = {"\"States.ALL\"", "\"E1\""};
    if (chance_once_in(machine->chance, 3)) {
        buffer_append_format(machine->out,
                             ",\"Retry\":[{\"ErrorEquals\":[%s],\"MaxAttempts\":%u,"
                             "\"JitterStrategy\":\"FULL\"},{\"ErrorEquals\":[%s],"
                             "\"IntervalSeconds\":2,\"MaxDelaySeconds\":9,\"MaxAttempts\":2}]",
                             chance_pick(machine->chance, names), chance_of(machine->chance, 3),
                             chance_pick(machine->chance, last));
    }
    if (!chance_once_in(machine->chance, 3))
        return;
    unsigned target = first + chance_of(machine->chance, end - first);
    buffer_append_format(machine->out, ",\"Catch\":[{\"ErrorEquals\":[%s],\"Next\":\"S%u\"",
                         chance_pick(machine->chance, last), target);
    if (chance_once_in(machine->chance, 2))
        random_write(machine, ",\"ResultPath\":\"$.error\"");
    random_assign(machine, false);
    random_write(machine, "}]");
}

static void random_rule(struct random_machine *machine, unsigned depth)
{
    static const char *const tests[] = {"\"IsPresent\":true",
                                        "\"IsPresent\":false",
                                        "\"NumericGreaterThan\":1",
                                        "\"IsNumeric\":true",
                                        "\"StringMatches\":\"*x*\"",
                                        "\"BooleanEquals\":true",
                                        "\"NumericEqualsPath\":\"$.a\"",
                                        "\"IsNull\":false",
                                        "\"StringLessThan\":\"y\"",
                                        "\"TimestampLessThan\":\"2026-06-01T00:00:00.5+02:00\""};
    char text[32];
    unsigned kind = depth > 2 ? 0 : chance_of(machine->chance, 6);
    if (kind < 3) {
        buffer_append_format(machine->out, "\"Variable\":\"%s\",%s",
                             random_path(machine, true, text), chance_pick(machine->chance, tests));
        return;
    }
    if (kind == 3) {
        random_write(machine, "\"Not\":{");
        random_rule(machine, depth + 1);
        random_write(machine, "}");
        return;
    }
    random_write(machine, kind == 4 ? "\"And\":[{" : "\"Or\":[{");
    random_rule(machine, depth + 1);
    random_write(machine, "},{");
    random_rule(machine, depth + 1);
    random_write(machine, "}]");
}

/* Where the state leads. A task may lead back, and then an error leads on. */
static void random_next(struct random_machine *machine, unsigned first, unsigned self, unsigned end,
                        bool works)
{
    if (works && self + 1 < end && chance_once_in(machine->chance, 10)) {
        buffer_append_format(machine->out,
                             ",\"Next\":\"S%u\",\"Catch\":[{\"ErrorEquals\":[\"States.ALL\"],"
                             "\"Next\":\"S%u\"}]",
                             first + chance_of(machine->chance, self - first + 1), self + 1);
        return;
    }
    if (works)
        random_errors(machine, self, end);
    if (self + 1 < end)
        buffer_append_format(machine->out, ",\"Next\":\"S%u\"", self + 1);
    else
        random_write(machine, ",\"End\":true");
}

static void random_choice(struct random_machine *machine, unsigned self, unsigned end)
{
    random_write(machine, ",\"Choices\":[");
    unsigned rules = 1 + chance_of(machine->chance, 2);
    for (unsigned i = 0; i < rules; i++) {
        random_write(machine, i ? ",{" : "{");
        random_rule(machine, 0);
        buffer_append_format(machine->out, ",\"Next\":\"S%u\"",
                             self + 1 + chance_of(machine->chance, end - self - 1));
        random_assign(machine, false);
        random_write(machine, "}");
    }
    buffer_append_format(machine->out, "],\"Default\":\"S%u\"", self + 1);
}

static void random_task(struct random_machine *machine)
{
    static const char *const resources[] = {"r", "r.waitForTaskToken", "s"};
    static const char *const limits[] = {"", ",\"TimeoutSeconds\":9",
                                         ",\"TimeoutSeconds\":9,\"HeartbeatSeconds\":3",
                                         ",\"TimeoutSecondsPath\":\"$.a\""};
    buffer_append_format(machine->out, ",\"Resource\":\"%s\"%s",
                         chance_pick(machine->chance, resources),
                         chance_pick(machine->chance, limits));
    if (chance_once_in(machine->chance, 3))
        random_template(machine, "Parameters");
}

static void random_wait(struct random_machine *machine)
{
    static const char *const forms[] = {"\"Seconds\":0", "\"Seconds\":7", "\"SecondsPath\":\"$.a\"",
                                        "\"Timestamp\":\"2026-01-01T00:00:09.25Z\"",
                                        "\"TimestampPath\":\"$.b\""};
    buffer_append_format(machine->out, ",%s", chance_pick(machine->chance, forms));
}

static void random_map(struct random_machine *machine)
{
    char text[32];
    if (!chance_once_in(machine->chance, 4))
        buffer_append_format(machine->out, ",\"ItemsPath\":\"%s\"",
                             chance_of(machine->chance, 2) ? "$.list"
                                                           : random_path(machine, true, text));
    if (chance_of(machine->chance, 2))
        buffer_append_format(machine->out, ",\"MaxConcurrency\":%u", chance_of(machine->chance, 4));
    if (chance_of(machine->chance, 2))
        random_template(machine, "ItemSelector");
    random_write(machine, ",\"ItemProcessor\":");
    random_scope(machine, "");
}

static void random_parallel(struct random_machine *machine)
{
    if (chance_once_in(machine->chance, 3))
        random_template(machine, "Parameters");
    random_write(machine, ",\"Branches\":[");
    unsigned branches = 1 + chance_of(machine->chance, 3);
    for (unsigned i = 0; i < branches; i++) {
        if (i)
            random_write(machine, ",");
        random_scope(machine, "");
    }
    random_write(machine, "]");
}

enum {
    OF_PASS,
    OF_TASK,
    OF_TASK_TOO,
    OF_WAIT,
    OF_CHOICE,
    OF_PARALLEL,
    OF_MAP,
    OF_SUCCEED,
    OF_FAIL
};

static unsigned random_type(struct random_machine *machine, bool is_first, bool is_last)
{
    bool nested = machine->depth < RANDOM_SCOPES_MAX && machine->states < RANDOM_STATES_MAX;
    unsigned type = chance_of(machine->chance, OF_FAIL + 1);
    if ((type == OF_CHOICE && is_last) || ((type == OF_SUCCEED || type == OF_FAIL) && !is_last) ||
        ((type == OF_PARALLEL || type == OF_MAP) && !nested) ||
        ((type == OF_SUCCEED || type == OF_FAIL) && is_first))
        return OF_TASK;
    return type;
}

static void random_state(struct random_machine *machine, unsigned first, unsigned self,
                         unsigned end)
{
    static const char *const names[] = {"Pass",     "Task", "Task",    "Wait", "Choice",
                                        "Parallel", "Map",  "Succeed", "Fail"};
    unsigned type = random_type(machine, self == first, self + 1 == end);
    bool works = type == OF_TASK || type == OF_TASK_TOO || type == OF_PARALLEL || type == OF_MAP;
    buffer_append_format(machine->out, "\"S%u\":{\"Type\":\"%s\"", self, names[type]);
    if (type == OF_FAIL) {
        random_write(machine, ",\"Error\":\"E1\",\"CausePath\":\"States.JsonToString($)\"}");
        return;
    }
    random_flow(machine, works || type == OF_PASS, works);
    if (type != OF_SUCCEED)
        random_assign(machine, self == first);
    if (type != OF_CHOICE && type != OF_SUCCEED)
        random_next(machine, first, self, end, works);
    if (type == OF_PASS && chance_of(machine->chance, 2))
        random_template(machine, chance_of(machine->chance, 2) ? "Parameters" : "Result");
    else if (type == OF_TASK || type == OF_TASK_TOO)
        random_task(machine);
    else if (type == OF_WAIT)
        random_wait(machine);
    else if (type == OF_CHOICE)
        random_choice(machine, self, end);
    else if (type == OF_PARALLEL)
        random_parallel(machine);
    else if (type == OF_MAP)
        random_map(machine);
    random_write(machine, "}");
}

static void random_scope(struct random_machine *machine, const char *extra)
{
    unsigned first = machine->states, end = first + 1 + chance_of(machine->chance, 4);
    machine->states = end;
    machine->variables[machine->depth++] = chance_of(machine->chance, 3);
    buffer_append_format(machine->out, "{\"StartAt\":\"S%u\"%s,\"States\":{", first, extra);
    for (unsigned self = first; self < end; self++) {
        if (self > first)
            random_write(machine, ",");
        random_state(machine, first, self, end);
    }
    random_write(machine, "}}");
    machine->depth--;
}

static void random_machine_write(struct chance *chance, struct buffer *out)
{
    struct random_machine machine = {.chance = chance, .out = out};
    random_scope(&machine, chance_once_in(chance, 3) ? ",\"TimeoutSeconds\":600" : "");
}

#endif
