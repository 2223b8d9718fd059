/* SPDX-License-Identifier: MIT */
/* Is everything that the States Language calls an error found when a definition is compiled? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "core/asl.h"
#include "core/contract.h"

#define ONE(state) "{StartAt: A, States: {A: {" state "}}}"
#define END ", End: true"
#define TASK "Type: Task, Resource: r"
#define EACH "{StartAt: E, States: {E: {Type: Succeed}}}"
#define EACH2 "{StartAt: F, States: {F: {Type: Succeed}}}"
#define CHOICE(rule)                                                                               \
    "{StartAt: A, States: {A: {Type: Choice, Choices: [{" rule ", Next: B}]}, B: {Type: "          \
    "Succeed}}}"
#define EIGHTY "12345678901234567890123456789012345678901234567890123456789012345678901234567890"

/* Each definition has exactly the findings named by code and pointer, in this order. */
static const struct {
    const char *definition; /* YAML for short */
    const char *expected;
} cases[] = {
    /* state machines */
    {"{StartAt: A, States: {A: {Type: Succeed}}, Comment: c, Version: '1.0', TimeoutSeconds: 5}",
     ""},
    {"{StartAt: A, States: {A: {Type: Succeed}}, Extra: 1}", "ASL_UNKNOWN_FIELD /Extra\n"},
    {"{States: {A: {Type: Succeed}}}", "ASL_MISSING_FIELD \n"},
    {"{StartAt: A}", "ASL_MISSING_FIELD \n"},
    {"{StartAt: A, States: {}}", "ASL_MISSING_FIELD \n"},
    {"{StartAt: B, States: {A: {Type: Succeed}}}", "ASL_UNKNOWN_STATE /StartAt\n"},
    {"{StartAt: 1, States: {A: {Type: Succeed}}}", "ASL_BAD_TYPE /StartAt\n"},
    {"{StartAt: a, States: {A: {Type: Succeed}}}",
     "ASL_UNKNOWN_STATE /StartAt\n"}, /* case counts */
    {"{StartAt: A, States: {A: {Type: Succeed}}, TimeoutSeconds: 0}",
     "ASL_BAD_NUMBER /TimeoutSeconds\n"},
    {"{StartAt: A, States: {A: {Type: Succeed}}, TimeoutSeconds: 1.5}",
     "ASL_BAD_NUMBER /TimeoutSeconds\n"},
    {"{StartAt: A, States: {A: {Type: Succeed}}, Version: '2.0'}", "ASL_BAD_VERSION /Version\n"},
    {"{StartAt: A, States: {A: {Type: Succeed}}, QueryLanguage: JSONata}",
     "ASL_UNSUPPORTED_FIELD /QueryLanguage\n"},
    {"{StartAt: A, States: {A: {Type: Succeed}}, QueryLanguage: JSONPath}", ""},
    {"[]", "ASL_BAD_TYPE \n"},
    /* names */
    {"{StartAt: '" EIGHTY "', States: {'" EIGHTY "': {Type: Succeed}}}", ""},
    {"{StartAt: '" EIGHTY "1', States: {'" EIGHTY "1': {Type: Succeed}}}",
     "ASL_BAD_NAME /States/" EIGHTY "1\n"},
    {"{StartAt: 'a/b~c', States: {'a/b~c': {Type: Succeed, X: 1}}}",
     "ASL_UNKNOWN_FIELD /States/a~1b~0c/X\n"},
    {"{StartAt: P, States: {P: {Type: Parallel, End: true, Branches: [{StartAt: P, States: {P: "
     "{Type: Succeed}}}]}}}",
     "ASL_DUPLICATE_STATE /States/P/Branches/0/States/P\n"},
    /* state types and their fields */
    {ONE("Type: Nothing"), "ASL_UNKNOWN_STATE_TYPE /States/A/Type\n"},
    {ONE("Comment: x"), "ASL_MISSING_FIELD /States/A\n"},
    {"{StartAt: \"a\\nb\", States: {\"a\\nb\": {Type: Succeed}}}", "ASL_BAD_NAME /States/a\nb\n"},
    {ONE("Type: Map, End: true"), "ASL_MISSING_FIELD /States/A\n"},
    {ONE("Type: Map" END ", ItemProcessor: " EACH), ""},
    {ONE("Type: Map" END ", Iterator: " EACH ", Parameters: {x.$: $}"), ""},
    {ONE("Type: Map" END ", Iterator: " EACH ", ItemProcessor: " EACH2),
     "ASL_CONFLICTING_FIELDS /States/A/Iterator\n"},
    {ONE("Type: Map" END ", ItemSelector: {}, Parameters: {}, ItemProcessor: " EACH),
     "ASL_CONFLICTING_FIELDS /States/A/Parameters\n"},
    {ONE("Type: Map" END ", MaxConcurrency: 2, MaxConcurrencyPath: $.a, ItemProcessor: " EACH),
     "ASL_CONFLICTING_FIELDS /States/A/MaxConcurrencyPath\n"},
    {ONE("Type: Map" END ", MaxConcurrency: -1, ItemProcessor: " EACH),
     "ASL_BAD_NUMBER /States/A/MaxConcurrency\n"},
    {ONE("Type: Map" END ", ItemsPath: '$.a[*]', ItemProcessor: " EACH),
     "ASL_BAD_PATH /States/A/ItemsPath\n"},
    {ONE("Type: Map" END ", ItemReader: {}, ItemProcessor: " EACH),
     "ASL_UNSUPPORTED_FIELD /States/A/ItemReader\n"},
    {ONE("Type: Map" END ", ItemProcessor: {ProcessorConfig: {Mode: DISTRIBUTED}, StartAt: E, "
         "States: {E: {Type: Succeed}}}"),
     "ASL_UNSUPPORTED_FIELD /States/A/ItemProcessor/ProcessorConfig\n"},
    {ONE("Type: Map" END ", ItemProcessor: {ProcessorConfig: {Mode: INLINE}, StartAt: E, "
         "States: {E: {Type: Succeed}}}"),
     ""},
    {ONE("Type: Map" END ", ItemProcessor: {StartAt: A, States: {A: {Type: Succeed}}}"),
     "ASL_DUPLICATE_STATE /States/A/ItemProcessor/States/A\n"},
    {ONE(TASK ", ItemProcessor: " EACH END), "ASL_UNKNOWN_FIELD /States/A/ItemProcessor\n"},
    {"{StartAt: A, States: {A: 1}}", "ASL_BAD_TYPE /States/A\n"},
    {ONE("Type: Pass, Resource: r" END), "ASL_UNKNOWN_FIELD /States/A/Resource\n"},
    {ONE("Type: Pass, result: 1" END), "ASL_UNKNOWN_FIELD /States/A/result\n"},
    {ONE("Type: Pass, Assign: {x: 1, y.$: $.a}" END), ""},
    {ONE("Type: Pass, Assign: 5" END), "ASL_BAD_TYPE /States/A/Assign\n"},
    {ONE("Type: Pass, Assign: {1x: 1}" END), "ASL_BAD_VARIABLE /States/A/Assign/1x\n"},
    {ONE("Type: Pass, Assign: {a-b: 1}" END), "ASL_BAD_VARIABLE /States/A/Assign/a-b\n"},
    {ONE("Type: Pass, Assign: {states: 1}" END), "ASL_BAD_VARIABLE /States/A/Assign/states\n"},
    {ONE("Type: Pass, InputPath: $x.y" END), "ASL_UNDEFINED_VARIABLE /States/A/InputPath\n"},
    {ONE("Type: Pass, ResultPath: $x, Assign: {x: 1}" END), "ASL_BAD_PATH /States/A/ResultPath\n"},
    {ONE("Type: Pass, Parameters: {a.$: \"States.Format('{}', $x)\"}" END),
     "ASL_UNDEFINED_VARIABLE /States/A/Parameters/a.$\n"},
    {ONE("Type: Succeed, Assign: {x: 1}"), "ASL_UNKNOWN_FIELD /States/A/Assign\n"},
    {ONE("Type: Fail, Assign: {x: 1}"), "ASL_UNKNOWN_FIELD /States/A/Assign\n"},
    /* inside, the variables around can be read but not assigned; outside, those inside are unknown */
    {ONE("Type: Map" END ", Assign: {x: 1}, ItemProcessor: {StartAt: E, States: {E: {Type: Pass, "
         "InputPath: $x, Assign: {x: 2}, End: true}}}"),
     "ASL_BAD_VARIABLE /States/A/ItemProcessor/States/E/Assign/x\n"},
    {ONE("Type: Map" END ", OutputPath: $x, ItemProcessor: {StartAt: E, States: {E: {Type: Pass, "
         "Assign: {x: 2}, End: true}}}"),
     "ASL_UNDEFINED_VARIABLE /States/A/OutputPath\n"},
    {ONE("Type: Pass, Retry: []" END), "ASL_UNKNOWN_FIELD /States/A/Retry\n"},
    {ONE("Type: Succeed, ResultPath: $.a"), "ASL_UNKNOWN_FIELD /States/A/ResultPath\n"},
    {ONE("Type: Succeed" END), "ASL_UNKNOWN_FIELD /States/A/End\n"},
    {ONE("Type: Fail, InputPath: $"), "ASL_UNKNOWN_FIELD /States/A/InputPath\n"},
    {ONE("Type: Fail, OutputPath: $"), "ASL_UNKNOWN_FIELD /States/A/OutputPath\n"},
    {ONE(TASK ", HeartbeatSeconds: 5" END), ""},
    {ONE(TASK ", HeartbeatSeconds: 5, TimeoutSeconds: 5" END),
     "ASL_BAD_NUMBER /States/A/HeartbeatSeconds\n"},
    {ONE(TASK ", HeartbeatSeconds: 0" END), "ASL_BAD_NUMBER /States/A/HeartbeatSeconds\n"},
    {ONE(TASK ", HeartbeatSeconds: 5, HeartbeatSecondsPath: $.a" END),
     "ASL_CONFLICTING_FIELDS /States/A/HeartbeatSecondsPath\n"},
    {ONE("Type: Pass, QueryLanguage: JSONata" END),
     "ASL_UNSUPPORTED_FIELD /States/A/QueryLanguage\n"},
    {ONE("Type: Pass, Comment: 5" END), "ASL_BAD_TYPE /States/A/Comment\n"},
    /* Next and End */
    {ONE("Type: Pass"), "ASL_MISSING_NEXT /States/A\n"},
    {ONE("Type: Pass, End: false"), "ASL_MISSING_NEXT /States/A\n"},
    {ONE("Type: Pass, End: 1"), "ASL_BAD_TYPE /States/A/End\nASL_MISSING_NEXT /States/A\n"},
    {ONE("Type: Pass, Next: A, End: true"), "ASL_NEXT_AND_END /States/A/Next\n"},
    {ONE("Type: Pass, Next: B"), "ASL_UNKNOWN_STATE /States/A/Next\n"},
    {ONE("Type: Pass, Next: A"), "ASL_NO_END \n"},
    {"{StartAt: A, States: {A: {Type: Succeed}, B: {Type: Succeed}}}",
     "ASL_UNREACHABLE_STATE /States/B\n"},
    {"{StartAt: A, States: {A: {Type: Succeed}, B: {Type: Pass, Next: C}, C: {Type: Pass, Next: "
     "B}}}",
     "ASL_UNREACHABLE_STATE /States/B\nASL_UNREACHABLE_STATE /States/C\n"},
    {"{StartAt: A, States: {A: {Type: Succeed}, B: {Type: Succeed}, a: {Type: Succeed}}}",
     "ASL_UNREACHABLE_STATE /States/B\nASL_UNREACHABLE_STATE /States/a\n"},
    /* paths and templates */
    {ONE("Type: Pass, InputPath: null, OutputPath: null, ResultPath: null" END), ""},
    {ONE("Type: Pass, InputPath: a" END), "ASL_BAD_PATH /States/A/InputPath\n"},
    {ONE("Type: Pass, InputPath: 5" END), "ASL_BAD_PATH /States/A/InputPath\n"},
    {ONE("Type: Pass, InputPath: '$.a[*]', OutputPath: '$$.Execution'" END), ""},
    {ONE("Type: Pass, OutputPath: '$.a[?(@.b)]'" END), ""},
    {ONE("Type: Pass, OutputPath: '$.a[?(@.b =~ /x/)]'" END),
     "ASL_BAD_PATH /States/A/OutputPath\n"},
    {ONE("Type: Pass, ResultPath: '$.a[*]'" END), "ASL_BAD_PATH /States/A/ResultPath\n"},
    {ONE("Type: Pass, ResultPath: '$.a[-1]'" END), "ASL_BAD_PATH /States/A/ResultPath\n"},
    {ONE("Type: Pass, ResultPath: '$$.a'" END), "ASL_BAD_PATH /States/A/ResultPath\n"},
    {ONE("Type: Pass, Parameters: {'a.$': 5}" END), "ASL_BAD_TEMPLATE /States/A/Parameters/a.$\n"},
    {ONE("Type: Pass, Parameters: {l: [{'a.$': '$['}]}" END),
     "ASL_BAD_PATH /States/A/Parameters/l/0/a.$\n"},
    {ONE("Type: Pass, Parameters: {'a.$': $.x, a: 1}" END),
     "ASL_BAD_TEMPLATE /States/A/Parameters/a.$\n"},
    {ONE("Type: Pass, Parameters: {a: '$['}" END), ""}, /* a plain text */
    {ONE(TASK ", ResultSelector: 5" END), "ASL_BAD_TYPE /States/A/ResultSelector\n"},
    {ONE("Type: Pass, ResultSelector: {}" END), "ASL_UNKNOWN_FIELD /States/A/ResultSelector\n"},
    /* Task */
    {ONE("Type: Task" END), "ASL_MISSING_FIELD /States/A\n"},
    {ONE("Type: Task, Resource: 5" END), "ASL_BAD_TYPE /States/A/Resource\n"},
    {ONE(TASK ", TimeoutSeconds: 0" END), "ASL_BAD_NUMBER /States/A/TimeoutSeconds\n"},
    {ONE(TASK ", TimeoutSeconds: 99999999" END), ""},
    {ONE(TASK ", TimeoutSeconds: 100000000" END), "ASL_BAD_NUMBER /States/A/TimeoutSeconds\n"},
    {ONE(TASK ", TimeoutSeconds: 5, TimeoutSecondsPath: $.t" END),
     "ASL_CONFLICTING_FIELDS /States/A/TimeoutSecondsPath\n"},
    /* Retry and Catch */
    {ONE(TASK ", Retry: {}" END), "ASL_BAD_TYPE /States/A/Retry\n"},
    {ONE(TASK ", Retry: [5]" END), "ASL_BAD_TYPE /States/A/Retry\n"},
    {ONE(TASK ", Retry: [{}]" END), "ASL_BAD_ERROR_NAMES /States/A/Retry/0\n"},
    {ONE(TASK ", Retry: [{ErrorEquals: []}]" END),
     "ASL_BAD_ERROR_NAMES /States/A/Retry/0/ErrorEquals\n"},
    {ONE(TASK ", Retry: [{ErrorEquals: [5]}]" END),
     "ASL_BAD_ERROR_NAMES /States/A/Retry/0/ErrorEquals\n"},
    {ONE(TASK ", Retry: [{ErrorEquals: [States.ALL, E]}]" END),
     "ASL_BAD_ERROR_NAMES /States/A/Retry/0/ErrorEquals\n"},
    {ONE(TASK ", Retry: [{ErrorEquals: [States.ALL]}, {ErrorEquals: [E]}]" END),
     "ASL_BAD_ERROR_NAMES /States/A/Retry/0/ErrorEquals\n"},
    {ONE(TASK ", Retry: [{ErrorEquals: [States.Nothing]}]" END),
     "ASL_BAD_ERROR_NAME /States/A/Retry/0/ErrorEquals\n"},
    {ONE(TASK ", Retry: [{ErrorEquals: [States.Http.StatusCode.503, States.Timeout]}]" END), ""},
    {ONE(TASK ", Retry: [{ErrorEquals: [E], IntervalSeconds: 0}]" END),
     "ASL_BAD_NUMBER /States/A/Retry/0/IntervalSeconds\n"},
    {ONE(TASK ", Retry: [{ErrorEquals: [E], MaxAttempts: -1}]" END),
     "ASL_BAD_NUMBER /States/A/Retry/0/MaxAttempts\n"},
    {ONE(TASK ", Retry: [{ErrorEquals: [E], MaxAttempts: 0}]" END), ""},
    {ONE(TASK ", Retry: [{ErrorEquals: [E], BackoffRate: 0.9}]" END),
     "ASL_BAD_NUMBER /States/A/Retry/0/BackoffRate\n"},
    {ONE(TASK ", Retry: [{ErrorEquals: [E], BackoffRate: 1.0}]" END), ""},
    {ONE(TASK ", Retry: [{ErrorEquals: [E], MaxDelaySeconds: 31622401}]" END),
     "ASL_BAD_NUMBER /States/A/Retry/0/MaxDelaySeconds\n"},
    {ONE(TASK ", Retry: [{ErrorEquals: [E], IntervalSeconds: 9, MaxDelaySeconds: 3}]" END),
     "ASL_BAD_NUMBER /States/A/Retry/0/MaxDelaySeconds\n"},
    {ONE(TASK ", Retry: [{ErrorEquals: [E], JitterStrategy: HALF}]" END),
     "ASL_BAD_VALUE /States/A/Retry/0/JitterStrategy\n"},
    {ONE(TASK ", Retry: [{ErrorEquals: [E], Next: A}]" END),
     "ASL_UNKNOWN_FIELD /States/A/Retry/0/Next\n"},
    {ONE(TASK ", Catch: [{ErrorEquals: [E]}]" END), "ASL_MISSING_FIELD /States/A/Catch/0\n"},
    {ONE(TASK ", Catch: [{ErrorEquals: [E], Next: Z}]" END),
     "ASL_UNKNOWN_STATE /States/A/Catch/0/Next\n"},
    {ONE(TASK ", Catch: [{ErrorEquals: [E], Next: A, ResultPath: '$[*]'}]" END),
     "ASL_BAD_PATH /States/A/Catch/0/ResultPath\n"},
    {ONE(TASK ", Catch: [{ErrorEquals: [E], Next: A, Assign: {x.$: $.Error}}]" END), ""},
    {ONE(TASK ", Catch: [{ErrorEquals: [E], Next: A, Assign: {x.$: $.}}]" END),
     "ASL_BAD_PATH /States/A/Catch/0/Assign/x.$\n"},
    {ONE(TASK ", Catch: [{ErrorEquals: [States.ALL], Next: A, ResultPath: null}]" END), ""},
    {ONE(TASK ", Catch: [{ErrorEquals: [States.Runtime], Next: A}]" END),
     "ASL_NEVER_MATCHES /States/A/Catch/0/ErrorEquals\n"}, /* a warning */
    /* Wait */
    {ONE("Type: Wait, Seconds: 0" END), ""},
    {ONE("Type: Wait, Seconds: -1" END), "ASL_BAD_NUMBER /States/A/Seconds\n"},
    {ONE("Type: Wait, Seconds: '5'" END), "ASL_BAD_NUMBER /States/A/Seconds\n"},
    {ONE("Type: Wait" END), "ASL_BAD_WAIT /States/A\n"},
    {ONE("Type: Wait, Seconds: 1, SecondsPath: $.s" END), "ASL_BAD_WAIT /States/A\n"},
    {ONE("Type: Wait, SecondsPath: '$.s[*]'" END), "ASL_BAD_PATH /States/A/SecondsPath\n"},
    {ONE("Type: Wait, Timestamp: '2026-01-01T00:00:00Z'" END), ""},
    {ONE("Type: Wait, Timestamp: '2026-01-01t00:00:00z'" END),
     "ASL_BAD_TIMESTAMP /States/A/Timestamp\n"},
    {ONE("Type: Wait, Timestamp: '2026-01-01'" END), "ASL_BAD_TIMESTAMP /States/A/Timestamp\n"},
    /* Choice */
    {ONE("Type: Choice, Choices: []"), "ASL_BAD_CHOICE /States/A\n"},
    {ONE("Type: Choice"), "ASL_BAD_CHOICE /States/A\n"},
    {ONE("Type: Choice, Choices: [1]"), "ASL_BAD_CHOICE /States/A/Choices/0\n"},
    {"{StartAt: A, States: {A: {Type: Choice, Choices: [{Variable: $.a, IsNull: true}]}}}",
     "ASL_MISSING_FIELD /States/A/Choices/0\n"},
    {CHOICE("Variable: $.a"), "ASL_BAD_CHOICE /States/A/Choices/0\n"},
    {CHOICE("StringEquals: a"), "ASL_BAD_CHOICE /States/A/Choices/0\n"},
    {CHOICE("Variable: $.a, StringEquals: a, IsNull: true"),
     "ASL_BAD_CHOICE /States/A/Choices/0/IsNull\n"},
    {CHOICE("Variable: $.a, StringEquals: a, And: []"), "ASL_BAD_CHOICE /States/A/Choices/0\n"},
    {CHOICE("Variable: $.a, StringIs: a"),
     "ASL_UNKNOWN_FIELD /States/A/Choices/0/StringIs\nASL_BAD_CHOICE /States/A/Choices/0\n"},
    {CHOICE("Variable: $.a, StringMatchesPath: $.b"),
     "ASL_UNKNOWN_FIELD /States/A/Choices/0/StringMatchesPath\nASL_BAD_CHOICE "
     "/States/A/Choices/0\n"},
    {CHOICE("Variable: $.a, StringEquals: 5"), "ASL_BAD_TYPE /States/A/Choices/0/StringEquals\n"},
    {CHOICE("Variable: $.a, NumericEquals: '5'"),
     "ASL_BAD_TYPE /States/A/Choices/0/NumericEquals\n"},
    {CHOICE("Variable: $.a, BooleanEquals: 'true'"),
     "ASL_BAD_TYPE /States/A/Choices/0/BooleanEquals\n"},
    {CHOICE("Variable: $.a, TimestampEquals: now"),
     "ASL_BAD_TYPE /States/A/Choices/0/TimestampEquals\n"},
    {CHOICE("Variable: $.a, IsPresent: 1"), "ASL_BAD_TYPE /States/A/Choices/0/IsPresent\n"},
    {CHOICE("Variable: $.a, StringMatches: 'a\\*b\\\\'"), ""},
    {CHOICE("Variable: $.a, StringMatches: 'a\\b'"),
     "ASL_BAD_TYPE /States/A/Choices/0/StringMatches\n"},
    {CHOICE("Variable: $.a, StringMatches: 'a\\'"),
     "ASL_BAD_TYPE /States/A/Choices/0/StringMatches\n"},
    {CHOICE("Variable: '$.a[*]', IsNull: true"), ""},
    {CHOICE("Variable: $.a, StringEqualsPath: b"),
     "ASL_BAD_PATH /States/A/Choices/0/StringEqualsPath\n"},
    {CHOICE("And: []"), "ASL_BAD_CHOICE /States/A/Choices/0/And\n"},
    {CHOICE("Or: {}"), "ASL_BAD_CHOICE /States/A/Choices/0/Or\n"},
    {CHOICE("Not: []"), "ASL_BAD_CHOICE /States/A/Choices/0/Not\n"},
    {CHOICE("Not: {Variable: $.a, IsNull: true, Next: B}"),
     "ASL_BAD_CHOICE /States/A/Choices/0/Not/Next\n"},
    {CHOICE("And: [{Or: [{Not: {Variable: $.a, StringEquals: 1}}]}]"),
     "ASL_BAD_TYPE /States/A/Choices/0/And/0/Or/0/Not/StringEquals\n"},
    {CHOICE("Condition: true, Variable: $.a, IsNull: true"),
     "ASL_UNSUPPORTED_FIELD /States/A/Choices/0/Condition\n"},
    {"{StartAt: A, States: {A: {Type: Choice, Default: Z, Choices: [{Variable: $.a, IsNull: true, "
     "Next: B}]}, B: {Type: "
     "Succeed}}}",
     "ASL_UNKNOWN_STATE /States/A/Default\n"},
    {"{StartAt: A, States: {A: {Type: Choice, End: true, Next: B, Choices: [{Variable: $.a, "
     "IsNull: true, Next: B}]}, "
     "B: {Type: Succeed}}}",
     "ASL_UNKNOWN_FIELD /States/A/End\nASL_UNKNOWN_FIELD /States/A/Next\n"},
    /* Fail */
    {ONE("Type: Fail"), ""},
    {ONE("Type: Fail, Error: E, ErrorPath: $.e"), "ASL_CONFLICTING_FIELDS /States/A/ErrorPath\n"},
    {ONE("Type: Fail, Error: 5"), "ASL_BAD_TYPE /States/A/Error\n"},
    {ONE("Type: Fail, Next: A"), "ASL_UNKNOWN_FIELD /States/A/Next\n"},
    /* Parallel */
    {ONE("Type: Parallel" END), "ASL_BAD_BRANCHES /States/A\n"},
    {ONE("Type: Parallel, Branches: []" END), "ASL_BAD_BRANCHES /States/A\n"},
    {ONE("Type: Parallel, Branches: [1]" END), "ASL_BAD_TYPE /States/A/Branches/0\n"},
    {ONE("Type: Parallel, Branches: [{StartAt: B, States: {B: {Type: Pass, Next: A}}}]" END),
     "ASL_UNKNOWN_STATE /States/A/Branches/0/States/B/Next\n"},
    {ONE("Type: Parallel, Branches: [{StartAt: B, States: {B: {Type: Pass, Next: B}}}]" END),
     "ASL_NO_END /States/A/Branches/0\n"},
    {ONE("Type: Parallel, Branches: [{StartAt: B, Version: '1.0', States: {B: {Type: "
         "Succeed}}}]" END),
     "ASL_UNKNOWN_FIELD /States/A/Branches/0/Version\n"},
    {"{StartAt: A, States: {A: {Type: Parallel, Next: B, Branches: [{StartAt: B, States: {B: "
     "{Type: Succeed}}}]}}}",
     "ASL_UNKNOWN_STATE /States/A/Next\n"}, /* a state outside must not name one inside */
    /* all at once */
    {"{StartAt: A, States: {A: {Type: Task, Next: Z, Foo: 1}, B: {Type: Wait}}}",
     "ASL_UNKNOWN_FIELD /States/A/Foo\nASL_UNKNOWN_STATE /States/A/Next\nASL_MISSING_FIELD "
     "/States/A\n"
     "ASL_MISSING_NEXT /States/B\nASL_BAD_WAIT /States/B\n"},
};

START_TEST(test_findings)
{
    struct findings findings = {0};
    struct source_map *map = NULL;
    struct json *document =
        yaml_parse("t.yaml", cases[_i].definition, strlen(cases[_i].definition), &map, &findings);
    ck_assert_msg(document != NULL, "%s", cases[_i].definition);
    struct asl_machine *machine = asl_compile(document, map, NULL, NULL, &findings);
    struct buffer told = {0};
    for (size_t i = 0; i < findings.count; i++)
        buffer_append_format(&told, "%s %s\n", findings.items[i].code, findings.items[i].pointer);
    ck_assert_msg(strcmp(buffer_text(&told), cases[_i].expected) == 0, "%s\ntold: %sexpected: %s",
                  cases[_i].definition, buffer_text(&told), cases[_i].expected);
    ck_assert((machine == NULL) == (findings.errors > 0));
    asl_machine_free(machine);
    json_release(document);
    source_map_free(map);
    findings_fini(&findings);
    buffer_fini(&told);
}
END_TEST

/* Parallel within Parallel, as deep as allowed and one deeper. */
START_TEST(test_nesting)
{
    for (int depth = ASL_NESTING_MAX; depth <= ASL_NESTING_MAX + 1; depth++) {
        struct buffer text = {0};
        for (int i = 0; i < depth; i++)
            buffer_append_format(
                &text,
                "{\"StartAt\":\"P%d\",\"States\":{\"P%d\":{\"Type\":\"Parallel\",\"End\":true,"
                "\"Branches\":[",
                i, i);
        buffer_append_text(&text, "{\"StartAt\":\"Z\",\"States\":{\"Z\":{\"Type\":\"Succeed\"}}}");
        for (int i = 0; i < depth; i++)
            buffer_append_text(&text, "]}}}");
        struct findings findings = {0};
        struct json *document = json_parse(text.data, text.bytes, NULL, NULL);
        ck_assert_ptr_nonnull(document);
        struct asl_machine *machine = asl_compile(document, NULL, NULL, NULL, &findings);
        ck_assert((machine != NULL) == (depth == ASL_NESTING_MAX));
        ck_assert(machine || strcmp(findings.items[0].code, "ASL_TOO_DEEP") == 0);
        asl_machine_free(machine);
        json_release(document);
        findings_fini(&findings);
        buffer_fini(&text);
    }
}
END_TEST

static bool only_echo(const char *resource, void *context)
{
    return strcmp(resource, context) == 0;
}

START_TEST(test_resources)
{
    static const char text[] =
        "{\"StartAt\":\"A\",\"TimeoutSeconds\":7,\"States\":{\"A\":{\"Type\":\"Task\","
        "\"Resource\":\"echo\",\"End\":true}}}";
    struct findings findings = {0};
    struct json *document = json_parse(text, strlen(text), NULL, NULL);
    ck_assert_ptr_null(asl_compile(document, NULL, only_echo, "other", &findings));
    ck_assert_str_eq(findings.items[0].code, "ASL_UNKNOWN_RESOURCE");
    struct asl_machine *machine = asl_compile(document, NULL, only_echo, "echo", &findings);
    ck_assert_ptr_nonnull(machine);
    ck_assert_int_eq(asl_machine_timeout_ms(machine), 7000);
    ck_assert(json_equal(asl_machine_definition(machine), document));
    asl_machine_free(machine);
    json_release(document);
    findings_fini(&findings);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("asl_compile");
    TCase *rules = tcase_create("rules");
    tcase_add_loop_test(rules, test_findings, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(rules, test_nesting);
    tcase_add_test(rules, test_resources);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
