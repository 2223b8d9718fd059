/* SPDX-License-Identifier: MIT */
/* Is every rule of the States Language that a definition can break an error? One row for each; the
 * table of docs/contract-checks.md is made of them (`test_asl_musts --table`), and the test fails
 * when it is old. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/asl.h"
#include "core/contract.h"

#define PAGE "docs/contract-checks.md"
#define MACHINE(states) "{StartAt: A, States: {" states "}}"
#define ONE(state) MACHINE("A: {" state "}")
#define END ", End: true"
#define TASK "Type: Task, Resource: r"
#define MAP "Type: Map, ItemProcessor: {StartAt: E, States: {E: {Type: Succeed}}}"
#define CHOICE(rule)                                                                               \
    MACHINE("A: {Type: Choice, Choices: [{" rule ", Next: B}]}, B: {Type: Succeed}")
#define EIGHTY "12345678901234567890123456789012345678901234567890123456789012345678901234567890"

static const struct {
    const char *section, *rule;
    const char *code;       /* told, at the pointer */
    const char *pointer;    /* of the finding */
    const char *definition; /* YAML for short; breaks the rule */
} rows[] = {
    {"State machine", "is an object", "ASL_BAD_TYPE", "", "[]"},
    {"", "has an object field `States`", "ASL_MISSING_FIELD", "", "{StartAt: A}"},
    {"", "`States` is an object with the states", "ASL_MISSING_FIELD", "",
     "{StartAt: A, States: [A]}"},
    {"", "has a text `StartAt`", "ASL_MISSING_FIELD", "", "{States: {A: {Type: Succeed}}}"},
    {"", "`StartAt` is the name of one of the states, case counts", "ASL_UNKNOWN_STATE", "/StartAt",
     "{StartAt: a, States: {A: {Type: Succeed}}}"},
    {"", "`Comment` is a text", "ASL_BAD_TYPE", "/Comment",
     "{StartAt: A, Comment: 1, States: {A: {Type: Succeed}}}"},
    {"", "`Version` is the text 1.0", "ASL_BAD_VERSION", "/Version",
     "{StartAt: A, Version: '1.1', States: {A: {Type: Succeed}}}"},
    {"", "`TimeoutSeconds` is a whole number", "ASL_BAD_NUMBER", "/TimeoutSeconds",
     "{StartAt: A, TimeoutSeconds: 1.5, States: {A: {Type: Succeed}}}"},
    {"", "`QueryLanguage` is JSONPath (JSONata is not supported)", "ASL_UNSUPPORTED_FIELD",
     "/QueryLanguage", "{StartAt: A, QueryLanguage: JSONata, States: {A: {Type: Succeed}}}"},

    {"States", "the name has at most 80 characters", "ASL_BAD_NAME", "/States/" EIGHTY "1",
     "{StartAt: '" EIGHTY "1', States: {'" EIGHTY "1': {Type: Succeed}}}"},
    {"", "the name is unique in the whole machine, branches and items included",
     "ASL_DUPLICATE_STATE", "/States/B",
     MACHINE(
         "A: {Type: Parallel, Next: B, Branches: [{StartAt: B, States: {B: {Type: Succeed}}}]}, "
         "B: {Type: Succeed}")},
    {"", "is an object", "ASL_BAD_TYPE", "/States/A", "{StartAt: A, States: {A: Succeed}}"},
    {"", "has a field `Type`", "ASL_MISSING_FIELD", "/States/A", ONE("Comment: x")},
    {"", "`Type` is one of the eight types", "ASL_UNKNOWN_STATE_TYPE", "/States/A/Type",
     ONE("Type: pass, End: true")},
    {"", "`Comment` is a text", "ASL_BAD_TYPE", "/States/A/Comment",
     ONE("Type: Succeed, Comment: 1")},
    {"", "has only the fields of its type", "ASL_UNKNOWN_FIELD", "/States/A/Resource",
     ONE("Type: Pass, Resource: r" END)},
    {"", "`End` is true or false", "ASL_BAD_TYPE", "/States/A/End",
     MACHINE("A: {Type: Pass, End: 1, Next: B}, B: {Type: Succeed}")},
    {"", "one that does not end has `Next`", "ASL_MISSING_NEXT", "/States/A", ONE("Type: Pass")},
    {"", "not both `Next` and `End`", "ASL_NEXT_AND_END", "/States/A/Next",
     MACHINE("A: {Type: Pass, End: true, Next: B}, B: {Type: Succeed}")},
    {"", "`Next` is the name of a state of the same scope, case counts", "ASL_UNKNOWN_STATE",
     "/States/A/Next", ONE("Type: Pass, Next: a")},
    {"", "`Next` is a text", "ASL_BAD_TYPE", "/States/A/Next", ONE("Type: Pass, Next: [A]")},
    {"", "a Succeed has no `Next`", "ASL_UNKNOWN_FIELD", "/States/A/Next",
     ONE("Type: Succeed, Next: A")},
    {"", "a Fail has no `Next`", "ASL_UNKNOWN_FIELD", "/States/A/Next", ONE("Type: Fail, Next: A")},
    {"", "a Choice does not end", "ASL_UNKNOWN_FIELD", "/States/A/End",
     MACHINE("A: {Type: Choice, End: true, Choices: [{Variable: $.a, IsNull: true, Next: B}]}, B: "
             "{Type: Succeed}")},

    {"Data", "`InputPath` is a path", "ASL_BAD_PATH", "/States/A/InputPath",
     ONE("Type: Pass, InputPath: a" END)},
    {"", "`OutputPath` is a path", "ASL_BAD_PATH", "/States/A/OutputPath",
     ONE("Type: Pass, OutputPath: 1" END)},
    {"", "`ResultPath` is a Reference Path", "ASL_BAD_PATH", "/States/A/ResultPath",
     ONE("Type: Pass, ResultPath: '$.a[*]'" END)},
    {"", "`ResultPath` does not point into the context object", "ASL_BAD_PATH",
     "/States/A/ResultPath", ONE("Type: Pass, ResultPath: '$$.a'" END)},
    {"", "a Fail has no `InputPath`", "ASL_UNKNOWN_FIELD", "/States/A/InputPath",
     ONE("Type: Fail, InputPath: $")},
    {"", "`Parameters` is an object", "ASL_BAD_TYPE", "/States/A/Parameters",
     ONE("Type: Pass, Parameters: $.a" END)},
    {"", "`ResultSelector` is an object", "ASL_BAD_TYPE", "/States/A/ResultSelector",
     ONE(TASK ", ResultSelector: $.a" END)},
    {"", "a field whose name ends in `.$` has a text", "ASL_BAD_TEMPLATE",
     "/States/A/Parameters/a.$", ONE("Type: Pass, Parameters: {a.$: 1}" END)},
    {"", "that text is a path when it begins with $", "ASL_BAD_PATH", "/States/A/Parameters/a.$",
     ONE("Type: Pass, Parameters: {a.$: '$.['}" END)},
    {"", "else it is an intrinsic function", "ASL_BAD_FUNCTION", "/States/A/Parameters/a.$",
     ONE("Type: Pass, Parameters: {a.$: a}" END)},
    {"", "no two fields have one name without the `.$`", "ASL_BAD_TEMPLATE",
     "/States/A/Parameters/a.$", ONE("Type: Pass, Parameters: {a.$: $.x, a: 1}" END)},
    {"", "an intrinsic function is one of the eighteen", "ASL_BAD_FUNCTION",
     "/States/A/Parameters/a.$", ONE("Type: Pass, Parameters: {a.$: States.Upper($.a)}" END)},
    {"", "an intrinsic function has as many arguments as it takes", "ASL_BAD_FUNCTION",
     "/States/A/Parameters/a.$", ONE("Type: Pass, Parameters: {a.$: States.MathAdd($.a)}" END)},

    {"Variables", "`Assign` is an object", "ASL_BAD_TYPE", "/States/A/Assign",
     ONE("Type: Pass, Assign: 1" END)},
    {"", "the name of a variable is an identifier", "ASL_BAD_VARIABLE", "/States/A/Assign/a-b",
     ONE("Type: Pass, Assign: {a-b: 1}" END)},
    {"", "the name of a variable has at most 80 characters", "ASL_BAD_VARIABLE",
     "/States/A/Assign/a" EIGHTY, ONE("Type: Pass, Assign: {a" EIGHTY ": 1}" END)},
    {"", "an inner scope has no variable of a name of an outer one", "ASL_BAD_VARIABLE",
     "/States/A/Branches/0/States/B/Assign/v",
     ONE("Type: Parallel, Assign: {v: 1}, Branches: [{StartAt: B, States: {B: {Type: Pass, Assign: "
         "{v: 2}" END "}}}]" END)},
    {"", "a path names only variables that are assigned", "ASL_UNDEFINED_VARIABLE",
     "/States/A/InputPath", ONE("Type: Pass, InputPath: $v" END)},

    {"Errors", "`Retry` is a list of objects", "ASL_BAD_TYPE", "/States/A/Retry",
     ONE(TASK ", Retry: {}" END)},
    {"", "a retrier has `ErrorEquals`", "ASL_BAD_ERROR_NAMES", "/States/A/Retry/0",
     ONE(TASK ", Retry: [{}]" END)},
    {"", "`ErrorEquals` is a list that is not empty", "ASL_BAD_ERROR_NAMES",
     "/States/A/Retry/0/ErrorEquals", ONE(TASK ", Retry: [{ErrorEquals: []}]" END)},
    {"", "error names are texts", "ASL_BAD_ERROR_NAMES", "/States/A/Retry/0/ErrorEquals",
     ONE(TASK ", Retry: [{ErrorEquals: [1]}]" END)},
    {"", "names of one's own do not begin with `States.`", "ASL_BAD_ERROR_NAME",
     "/States/A/Retry/0/ErrorEquals", ONE(TASK ", Retry: [{ErrorEquals: [States.Mine]}]" END)},
    {"", "`States.ALL` stands alone (Retry)", "ASL_BAD_ERROR_NAMES",
     "/States/A/Retry/0/ErrorEquals", ONE(TASK ", Retry: [{ErrorEquals: [E, States.ALL]}]" END)},
    {"", "`States.ALL` stands in the last retrier", "ASL_BAD_ERROR_NAMES",
     "/States/A/Retry/0/ErrorEquals",
     ONE(TASK ", Retry: [{ErrorEquals: [States.ALL]}, {ErrorEquals: [E]}]" END)},
    {"", "`IntervalSeconds` is a positive whole number", "ASL_BAD_NUMBER",
     "/States/A/Retry/0/IntervalSeconds",
     ONE(TASK ", Retry: [{ErrorEquals: [E], IntervalSeconds: 0}]" END)},
    {"", "`MaxAttempts` is a whole number, 0 or more", "ASL_BAD_NUMBER",
     "/States/A/Retry/0/MaxAttempts",
     ONE(TASK ", Retry: [{ErrorEquals: [E], MaxAttempts: -1}]" END)},
    {"", "`BackoffRate` is a number, 1.0 or more", "ASL_BAD_NUMBER",
     "/States/A/Retry/0/BackoffRate",
     ONE(TASK ", Retry: [{ErrorEquals: [E], BackoffRate: 0.5}]" END)},
    {"", "`MaxDelaySeconds` is a positive whole number", "ASL_BAD_NUMBER",
     "/States/A/Retry/0/MaxDelaySeconds",
     ONE(TASK ", Retry: [{ErrorEquals: [E], MaxDelaySeconds: 0}]" END)},
    {"", "`JitterStrategy` is FULL or NONE", "ASL_BAD_VALUE", "/States/A/Retry/0/JitterStrategy",
     ONE(TASK ", Retry: [{ErrorEquals: [E], JitterStrategy: HALF}]" END)},
    {"", "`Catch` is a list of objects", "ASL_BAD_TYPE", "/States/A/Catch",
     ONE(TASK ", Catch: [1]" END)},
    {"", "a catcher has `ErrorEquals`", "ASL_BAD_ERROR_NAMES", "/States/A/Catch/0",
     ONE(TASK ", Catch: [{Next: A}]" END)},
    {"", "a catcher has `Next`", "ASL_MISSING_FIELD", "/States/A/Catch/0",
     ONE(TASK ", Catch: [{ErrorEquals: [E]}]" END)},
    {"", "a catcher's `Next` is the name of a state", "ASL_UNKNOWN_STATE", "/States/A/Catch/0/Next",
     ONE(TASK ", Catch: [{ErrorEquals: [E], Next: B}]" END)},
    {"", "a catcher's `ResultPath` is a Reference Path", "ASL_BAD_PATH",
     "/States/A/Catch/0/ResultPath",
     ONE(TASK ", Catch: [{ErrorEquals: [E], Next: A, ResultPath: '$..a'}]" END)},
    {"", "`States.ALL` stands alone (Catch)", "ASL_BAD_ERROR_NAMES",
     "/States/A/Catch/0/ErrorEquals",
     ONE(TASK ", Catch: [{ErrorEquals: [E, States.ALL], Next: A}]" END)},
    {"", "`States.ALL` stands in the last catcher", "ASL_BAD_ERROR_NAMES",
     "/States/A/Catch/0/ErrorEquals",
     ONE(TASK ", Catch: [{ErrorEquals: [States.ALL], Next: A}, {ErrorEquals: [E], Next: A}]" END)},
    {"", "only Task, Parallel and Map have `Retry` and `Catch`", "ASL_UNKNOWN_FIELD",
     "/States/A/Catch", ONE("Type: Pass, Catch: []" END)},

    {"Task", "has a `Resource`", "ASL_MISSING_FIELD", "/States/A", ONE("Type: Task" END)},
    {"", "`Resource` is a text", "ASL_BAD_TYPE", "/States/A/Resource",
     ONE("Type: Task, Resource: 1" END)},
    {"", "`TimeoutSeconds` is a positive whole number", "ASL_BAD_NUMBER",
     "/States/A/TimeoutSeconds", ONE(TASK ", TimeoutSeconds: 0" END)},
    {"", "`HeartbeatSeconds` is a positive whole number", "ASL_BAD_NUMBER",
     "/States/A/HeartbeatSeconds", ONE(TASK ", HeartbeatSeconds: 0" END)},
    {"", "`HeartbeatSeconds` is smaller than `TimeoutSeconds`", "ASL_BAD_NUMBER",
     "/States/A/HeartbeatSeconds", ONE(TASK ", TimeoutSeconds: 5, HeartbeatSeconds: 5" END)},
    {"", "`TimeoutSecondsPath` is a Reference Path", "ASL_BAD_PATH", "/States/A/TimeoutSecondsPath",
     ONE(TASK ", TimeoutSecondsPath: '$.a[*]'" END)},
    {"", "`HeartbeatSecondsPath` is a Reference Path", "ASL_BAD_PATH",
     "/States/A/HeartbeatSecondsPath", ONE(TASK ", HeartbeatSecondsPath: '$.a[*]'" END)},
    {"", "not both `TimeoutSeconds` and `TimeoutSecondsPath`", "ASL_CONFLICTING_FIELDS",
     "/States/A/TimeoutSecondsPath", ONE(TASK ", TimeoutSeconds: 5, TimeoutSecondsPath: $.t" END)},
    {"", "not both `HeartbeatSeconds` and `HeartbeatSecondsPath`", "ASL_CONFLICTING_FIELDS",
     "/States/A/HeartbeatSecondsPath",
     ONE(TASK ", HeartbeatSeconds: 5, HeartbeatSecondsPath: $.t" END)},

    {"Choice", "has a list `Choices`", "ASL_BAD_CHOICE", "/States/A", ONE("Type: Choice")},
    {"", "`Choices` is not empty", "ASL_BAD_CHOICE", "/States/A", ONE("Type: Choice, Choices: []")},
    {"", "a rule is an object", "ASL_BAD_CHOICE", "/States/A/Choices/0",
     ONE("Type: Choice, Choices: [1]")},
    {"", "a rule has `Next`", "ASL_MISSING_FIELD", "/States/A/Choices/0",
     ONE("Type: Choice, Choices: [{Variable: $.a, IsNull: true}]")},
    {"", "a rule's `Next` is the name of a state", "ASL_UNKNOWN_STATE", "/States/A/Choices/0/Next",
     ONE("Type: Choice, Choices: [{Variable: $.a, IsNull: true, Next: B}]")},
    {"", "a rule within a rule has no `Next`", "ASL_BAD_CHOICE", "/States/A/Choices/0/Not/Next",
     CHOICE("Not: {Variable: $.a, IsNull: true, Next: B}")},
    {"", "`Default` is the name of a state", "ASL_UNKNOWN_STATE", "/States/A/Default",
     MACHINE("A: {Type: Choice, Default: C, Choices: [{Variable: $.a, IsNull: true, Next: B}]}, B: "
             "{Type: Succeed}")},
    {"", "a comparison has `Variable`", "ASL_BAD_CHOICE", "/States/A/Choices/0",
     CHOICE("IsNull: true")},
    {"", "`Variable` is a Path", "ASL_BAD_PATH", "/States/A/Choices/0/Variable",
     CHOICE("Variable: a, IsNull: true")},
    {"", "a comparison has an operator", "ASL_BAD_CHOICE", "/States/A/Choices/0",
     CHOICE("Variable: $.a")},
    {"", "a comparison has one operator only", "ASL_BAD_CHOICE", "/States/A/Choices/0/IsNull",
     CHOICE("Variable: $.a, IsString: true, IsNull: true")},
    {"", "the operator is one of the language", "ASL_UNKNOWN_FIELD",
     "/States/A/Choices/0/NumberEquals", CHOICE("Variable: $.a, NumberEquals: 1")},
    {"", "the value fits the operator: text", "ASL_BAD_TYPE", "/States/A/Choices/0/StringEquals",
     CHOICE("Variable: $.a, StringEquals: 1")},
    {"", "the value fits the operator: number", "ASL_BAD_TYPE",
     "/States/A/Choices/0/NumericLessThan", CHOICE("Variable: $.a, NumericLessThan: '1'")},
    {"", "the value fits the operator: boolean", "ASL_BAD_TYPE",
     "/States/A/Choices/0/BooleanEquals", CHOICE("Variable: $.a, BooleanEquals: 1")},
    {"", "the value fits the operator: timestamp of RFC 3339", "ASL_BAD_TYPE",
     "/States/A/Choices/0/TimestampEquals", CHOICE("Variable: $.a, TimestampEquals: '2026-01-01'")},
    {"", "a timestamp has an upper-case T", "ASL_BAD_TYPE", "/States/A/Choices/0/TimestampEquals",
     CHOICE("Variable: $.a, TimestampEquals: '2026-01-01t00:00:00Z'")},
    {"", "a timestamp has an upper-case Z", "ASL_BAD_TYPE", "/States/A/Choices/0/TimestampEquals",
     CHOICE("Variable: $.a, TimestampEquals: '2026-01-01T00:00:00z'")},
    {"", "the value of a test (`IsNull` and so on) is true or false", "ASL_BAD_TYPE",
     "/States/A/Choices/0/IsNull", CHOICE("Variable: $.a, IsNull: 'yes'")},
    {"", "the value of a `...Path` operator is a Path", "ASL_BAD_PATH",
     "/States/A/Choices/0/StringEqualsPath", CHOICE("Variable: $.a, StringEqualsPath: b")},
    {"", "in `StringMatches` a backslash stands before * or another one", "ASL_BAD_TYPE",
     "/States/A/Choices/0/StringMatches", CHOICE("Variable: $.a, StringMatches: 'a\\b'")},
    {"", "`And` and `Or` are lists that are not empty", "ASL_BAD_CHOICE", "/States/A/Choices/0/And",
     CHOICE("And: []")},
    {"", "`Not` is a rule", "ASL_BAD_CHOICE", "/States/A/Choices/0/Not", CHOICE("Not: [1]")},
    {"", "a rule has one of `Variable`, `And`, `Or`, `Not`", "ASL_BAD_CHOICE",
     "/States/A/Choices/0",
     CHOICE("Variable: $.a, IsNull: true, Not: {Variable: $.a, IsNull: true}")},

    {"Wait", "has one of `Seconds`, `SecondsPath`, `Timestamp`, `TimestampPath`", "ASL_BAD_WAIT",
     "/States/A", ONE("Type: Wait" END)},
    {"", "has only one of them", "ASL_BAD_WAIT", "/States/A",
     ONE("Type: Wait, Seconds: 1, SecondsPath: $.s" END)},
    {"", "`Seconds` is a whole number, 0 or more", "ASL_BAD_NUMBER", "/States/A/Seconds",
     ONE("Type: Wait, Seconds: -1" END)},
    {"", "`SecondsPath` is a Reference Path", "ASL_BAD_PATH", "/States/A/SecondsPath",
     ONE("Type: Wait, SecondsPath: '$.s[*]'" END)},
    {"", "`Timestamp` is a timestamp of RFC 3339", "ASL_BAD_TIMESTAMP", "/States/A/Timestamp",
     ONE("Type: Wait, Timestamp: tomorrow" END)},
    {"", "`TimestampPath` is a Reference Path", "ASL_BAD_PATH", "/States/A/TimestampPath",
     ONE("Type: Wait, TimestampPath: '$..t'" END)},

    {"Fail", "not both `Error` and `ErrorPath`", "ASL_CONFLICTING_FIELDS", "/States/A/ErrorPath",
     ONE("Type: Fail, Error: E, ErrorPath: $.e")},
    {"", "not both `Cause` and `CausePath`", "ASL_CONFLICTING_FIELDS", "/States/A/CausePath",
     ONE("Type: Fail, Cause: C, CausePath: $.c")},
    {"", "`Error` is a text", "ASL_BAD_TYPE", "/States/A/Error", ONE("Type: Fail, Error: 1")},
    {"", "`Cause` is a text", "ASL_BAD_TYPE", "/States/A/Cause", ONE("Type: Fail, Cause: 1")},
    {"", "`ErrorPath` is a Reference Path or a function", "ASL_BAD_PATH", "/States/A/ErrorPath",
     ONE("Type: Fail, ErrorPath: '$.e[*]'")},
    {"", "`CausePath` is a Reference Path or a function", "ASL_BAD_PATH", "/States/A/CausePath",
     ONE("Type: Fail, CausePath: c")},

    {"Parallel", "has a list `Branches`", "ASL_BAD_BRANCHES", "/States/A",
     ONE("Type: Parallel" END)},
    {"", "a branch is an object", "ASL_BAD_TYPE", "/States/A/Branches/0",
     ONE("Type: Parallel, Branches: [1]" END)},
    {"", "a branch has `States`", "ASL_MISSING_FIELD", "/States/A/Branches/0",
     ONE("Type: Parallel, Branches: [{StartAt: B}]" END)},
    {"", "a branch has `StartAt`", "ASL_MISSING_FIELD", "/States/A/Branches/0",
     ONE("Type: Parallel, Branches: [{States: {B: {Type: Succeed}}}]" END)},
    {"", "nothing in a branch leads out of it", "ASL_UNKNOWN_STATE",
     "/States/A/Branches/0/States/B/Next",
     ONE("Type: Parallel, Branches: [{StartAt: B, States: {B: {Type: Pass, Next: A}}}]" END)},
    {"", "nothing outside leads into a branch", "ASL_UNKNOWN_STATE", "/States/A/Next",
     ONE("Type: Parallel, Next: B, Branches: [{StartAt: B, States: {B: {Type: Succeed}}}]")},

    {"Map", "has an `ItemProcessor` (or the older `Iterator`)", "ASL_MISSING_FIELD", "/States/A",
     ONE("Type: Map" END)},
    {"", "`ItemProcessor` is an object", "ASL_BAD_TYPE", "/States/A/ItemProcessor",
     ONE("Type: Map, ItemProcessor: 1" END)},
    {"", "`ItemProcessor` has `StartAt`", "ASL_MISSING_FIELD", "/States/A/ItemProcessor",
     ONE("Type: Map, ItemProcessor: {States: {E: {Type: Succeed}}}" END)},
    {"", "`ItemProcessor` has `States`", "ASL_MISSING_FIELD", "/States/A/ItemProcessor",
     ONE("Type: Map, ItemProcessor: {StartAt: E}" END)},
    {"", "nothing in it leads out of it", "ASL_UNKNOWN_STATE",
     "/States/A/ItemProcessor/States/E/Next",
     ONE("Type: Map, ItemProcessor: {StartAt: E, States: {E: {Type: Pass, Next: A}}}" END)},
    {"", "`ItemsPath` is a Reference Path", "ASL_BAD_PATH", "/States/A/ItemsPath",
     ONE(MAP ", ItemsPath: items" END)},
    {"", "`ItemSelector` is an object", "ASL_BAD_TYPE", "/States/A/ItemSelector",
     ONE(MAP ", ItemSelector: $.a" END)},
    {"", "`MaxConcurrency` is a whole number, 0 or more", "ASL_BAD_NUMBER",
     "/States/A/MaxConcurrency", ONE(MAP ", MaxConcurrency: -1" END)},
    {"", "`MaxConcurrencyPath` is a Reference Path", "ASL_BAD_PATH", "/States/A/MaxConcurrencyPath",
     ONE(MAP ", MaxConcurrencyPath: n" END)},
    {"", "not both `MaxConcurrency` and `MaxConcurrencyPath`", "ASL_CONFLICTING_FIELDS",
     "/States/A/MaxConcurrencyPath", ONE(MAP ", MaxConcurrency: 1, MaxConcurrencyPath: $.n" END)},
};
#define ROWS (sizeof rows / sizeof *rows)

START_TEST(test_rule)
{
    struct findings findings = {0};
    struct source_map *map = NULL;
    const char *definition = rows[_i].definition;
    struct json *document = yaml_parse("t.yaml", definition, strlen(definition), &map, &findings);
    ck_assert_msg(document != NULL, "%s", definition);
    struct asl_machine *machine = asl_compile(document, map, NULL, NULL, &findings);
    ck_assert_msg(machine == NULL, "accepted: %s", definition);
    bool found = false;
    for (size_t i = 0; i < findings.count; i++)
        found = found || (findings.items[i].severity == FINDING_ERROR &&
                          strcmp(findings.items[i].code, rows[_i].code) == 0 &&
                          strncmp(findings.items[i].pointer, rows[_i].pointer,
                                  strlen(rows[_i].pointer)) == 0);
    struct buffer told = {0};
    for (size_t i = 0; i < findings.count; i++)
        buffer_append_format(&told, "%s %s; ", findings.items[i].code, findings.items[i].pointer);
    ck_assert_msg(found, "%s\ntold: %s\nexpected: %s %s", definition, buffer_text(&told),
                  rows[_i].code, rows[_i].pointer);
    buffer_fini(&told);
    json_release(document);
    source_map_free(map);
    findings_fini(&findings);
}
END_TEST

static void table_write(struct buffer *out)
{
    buffer_append_text(out, "| | rule | code |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < ROWS; i++)
        buffer_append_format(out, "| %s | %s | `%s` |\n", rows[i].section, rows[i].rule,
                             rows[i].code);
}

START_TEST(test_page_has_the_table)
{
    struct buffer page = {0}, table = {0};
    FILE *stream = fopen(PAGE, "r");
    ck_assert_msg(stream != NULL, "%s cannot be read: run this from the top of the tree", PAGE);
    char piece[4096];
    for (size_t bytes; (bytes = fread(piece, 1, sizeof piece, stream)) > 0;)
        buffer_append(&page, piece, bytes);
    fclose(stream);
    table_write(&table);
    ck_assert_msg(strstr(buffer_text(&page), buffer_text(&table)) != NULL,
                  "%s is old: test_asl_musts --table prints the table that belongs there", PAGE);
    buffer_fini(&page);
    buffer_fini(&table);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--table") == 0) {
        struct buffer table = {0};
        table_write(&table);
        fputs(buffer_text(&table), stdout);
        buffer_fini(&table);
        return 0;
    }
    Suite *suite = suite_create("asl_musts");
    TCase *rules = tcase_create("rules");
    tcase_add_loop_test(rules, test_rule, 0, (int)ROWS);
    tcase_add_test(rules, test_page_has_the_table);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
