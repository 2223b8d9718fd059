/* SPDX-License-Identifier: MIT */
/* Small definitions that would make or look through far more than their data: values share parts, so a
 * document can be written down in a few octets and be larger than any memory. Each must end by its limit,
 * with little memory; what a run may take is held by RLIMIT_AS. */
#include <sys/resource.h>

#include "asl_story.h"
#include "base/limits.h"
#include "core/asl_internal.h"

#define MEMORY_BYTES_MAX (1024u << 20) /* of the whole program, its code included */

static char *repeated(const char *piece, size_t count)
{
    struct buffer text = {0};
    for (size_t i = 0; i < count; i++)
        buffer_append_text(&text, piece);
    return buffer_take(&text);
}

/* How it ends, without a word about the data on the way: "succeeded" or "Error: cause". */
static char *end_of(const char *yaml, const char *input, size_t bytes_max)
{
    char *definition = json_of(yaml);
    struct asl_machine *machine = story_compile(definition);
    struct asl_identity identity = {"w", "w", "m", "m", STORY_START_US, NULL, NULL};
    struct json *data = story_json(input);
    struct asl_execution *execution = asl_execution_new(machine, &identity, data);
    asl_execution_limit_data(execution, bytes_max);
    struct asl_effects effects = {0};
    struct asl_event start = {.type = ASL_START, .now_us = STORY_START_US};
    ck_assert_int_eq(asl_step(execution, &start, &effects), ERR_OK);
    ck_assert(asl_execution_ended(execution));
    const struct asl_effect *last = &effects.items[effects.count - 1];
    struct buffer end = {0};
    buffer_append_format(&end, "%s: %s", last->type == ASL_FAILED ? last->error : "succeeded",
                         last->type == ASL_FAILED ? last->cause : "");
    asl_effects_fini(&effects);
    asl_execution_free(execution);
    asl_machine_free(machine);
    json_release(data);
    free(definition);
    return buffer_take(&end);
}

/* With the limit of the engine, and with that of `contracts run`. */
static void ends(const char *yaml, const char *input, const char *expected)
{
    static const size_t limits[] = {CONTRACT_RUN_DATA_BYTES_MAX, STATE_DATA_BYTES_MAX};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        char *end = end_of(yaml, input, limits[i]);
        ck_assert_msg(strncmp(end, expected, strlen(expected)) == 0, "limit %zu: %.300s", limits[i],
                      end);
        free(end);
    }
}

START_TEST(test_a_template_of_many_parts)
{
    struct buffer yaml = {0};
    buffer_append_text(&yaml, "{StartAt: A, States: {A: {Type: Pass, End: true, Parameters: {");
    for (int i = 0; i < 2000; i++)
        buffer_append_format(&yaml, "k%d.$: $, ", i);
    buffer_append_text(&yaml, "z: 0}}}}");
    char *text = repeated("0123456789", 20000);
    struct buffer input = {0};
    buffer_append_format(&input, "{\"t\":\"%s\"}", text);
    ends(buffer_text(&yaml), buffer_text(&input), "States.DataLimitExceeded: ");
    buffer_fini(&yaml);
    buffer_fini(&input);
    free(text);
}
END_TEST

START_TEST(test_functions_that_grow)
{
    char *quotes = repeated("\\\"", 100000), *holes = repeated("{}", 60),
         *more = repeated(", $.t", 60);
    struct buffer input = {0}, yaml = {0};
    buffer_append_format(&input, "{\"t\":\"%s\"}", quotes);
    buffer_append_text(&yaml,
                       "{StartAt: A, States: {A: {Type: Pass, End: true, Parameters: {k.$: \"");
    for (int i = 0; i < 10; i++)
        buffer_append_text(&yaml, "States.JsonToString(");
    buffer_append_text(&yaml, "$.t))))))))))\"}}}}");
    ends(buffer_text(&yaml), buffer_text(&input), "States.DataLimitExceeded: ");
    buffer_clear(&yaml);
    buffer_append_format(&yaml,
                         "{StartAt: A, States: {A: {Type: Pass, End: true, Parameters: {k.$: "
                         "\"States.Format('%s{}', States.Format('%s'%s)%s)\"}}}}",
                         holes, holes, more, more);
    ends(buffer_text(&yaml), buffer_text(&input), "States.DataLimitExceeded: ");
    free(quotes);
    free(holes);
    free(more);
    buffer_fini(&input);
    buffer_fini(&yaml);
}
END_TEST

/* Loops whose data are new each time. */
START_TEST(test_loops_that_make_data)
{
    static const char *const states[] = {
        "A: {Type: Pass, Parameters: {t.$: \"States.Format('{}', $.t)\"}, Next: C}",
        "A: {Type: Pass, Parameters: {t.$: $.t, u.$: \"States.StringSplit($.t, '0')\"}, Next: C}",
        "A: {Type: Pass, Parameters: {t.$: $.t, u.$: \"States.Array($.t, $.t)\"}, Next: C}",
    };
    char *text = repeated("01", 40000);
    struct buffer input = {0};
    buffer_append_format(&input, "{\"t\":\"%s\"}", text);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        struct buffer yaml = {0};
        buffer_append_format(
            &yaml,
            "{StartAt: A, States: {%s, C: {Type: Choice, Choices: [{Variable: $.stop, "
            "IsPresent: true, Next: D}], Default: A}, D: {Type: Succeed}}}",
            states[i]);
        ends(buffer_text(&yaml), buffer_text(&input), "States.Runtime: ");
        buffer_fini(&yaml);
    }
    free(text);
    buffer_fini(&input);
}
END_TEST

START_TEST(test_a_loop_that_writes_into_a_long_array)
{
    char *numbers = repeated("1,", 60000);
    struct buffer input = {0};
    buffer_append_format(&input, "{\"t\":[%s1]}", numbers);
    ends("{StartAt: A, States: {A: {Type: Pass, Result: 1, ResultPath: '$.t[0]', Next: C}, C: "
         "{Type: "
         "Choice, Choices: [{Variable: $.stop, IsPresent: true, Next: D}], Default: A}, D: {Type: "
         "Succeed}}}",
         buffer_text(&input), "States.Runtime: The states made more than ");
    free(numbers);
    buffer_fini(&input);
}
END_TEST

/* What a catcher hands on, and what InputPath selects, is data of a state like any other. */
START_TEST(test_every_way_in_is_bounded)
{
    char *text = repeated("0123456789", 30000);
    struct buffer script = {0}, input = {0};
    buffer_append_format(&script, "fail 1 E %s", text);
    char *definition =
        json_of("{StartAt: A, States: {A: {Type: Task, Resource: r, Catch: [{ErrorEquals: "
                "[States.ALL], Next: B}], Next: B}, B: {Type: Succeed}}}");
    char *told =
        story_run_limited(definition, "{}", buffer_text(&script), CONTRACT_RUN_DATA_BYTES_MAX);
    const char *end = last_line(told); /* the cause is cut */
    ck_assert_int_eq(strncmp(end, "succeeded {\"Error\":\"E\"", 22), 0);
    ck_assert_uint_le(strlen(end), ASL_CAUSE_BYTES_MAX + 100);
    free(told);
    free(definition);
    buffer_append_format(&input, "{\"a\":{\"b\":{\"c\":{\"d\":\"%.200000s\"}}}}", text);
    definition = json_of(
        "{StartAt: A, States: {A: {Type: Task, Resource: r, InputPath: '$..*', End: true}}}");
    told = story_run_limited(definition, buffer_text(&input), "", CONTRACT_RUN_DATA_BYTES_MAX);
    ck_assert_int_eq(strncmp(last_line(told), "failed States.DataLimitExceeded: ", 33), 0);
    free(told);
    free(definition);
    free(text);
    buffer_fini(&script);
    buffer_fini(&input);
}
END_TEST

/* Stars between many literal pieces, on a text that fits none of them. */
START_TEST(test_patterns)
{
    char *text = repeated("a", 200000), *stars = repeated("*a", 500),
         *pattern = repeated("a", 60000);
    struct buffer hard = {0};
    buffer_append_format(&hard, "%sb", stars);
    ck_assert(!asl_string_matches(hard.data, hard.bytes, text, 200000));
    buffer_clear(&hard);
    buffer_append_format(&hard, "*%sb", pattern);
    for (int i = 0; i < 100; i++)
        ck_assert(!asl_string_matches(hard.data, hard.bytes, text, 200000));
    buffer_clear(&hard);
    buffer_append_format(&hard, "*%s*a", pattern);
    ck_assert(asl_string_matches(hard.data, hard.bytes, text, 200000));
    buffer_fini(&hard);
    free(text);
    free(stars);
    free(pattern);
}
END_TEST

#define SCOPES 8
#define NOTS 11
_Static_assert(SCOPES + NOTS > ASL_NESTING_MAX && SCOPES < ASL_NESTING_MAX &&
                   NOTS < ASL_NESTING_MAX,
               "");

/* And, Or, Not and scopes are counted apart. */
START_TEST(test_a_choice_in_the_innermost_branch)
{
    struct buffer yaml = {0};
    for (int i = 0; i < SCOPES; i++)
        buffer_append_format(
            &yaml, "{StartAt: P%d, States: {P%d: {Type: Parallel, End: true, Branches: [", i, i);
    buffer_append_text(&yaml, "{StartAt: C, States: {C: {Type: Choice, Choices: [{");
    for (int i = 0; i < NOTS; i++)
        buffer_append_text(&yaml, "Not: {");
    buffer_append_text(&yaml, "Variable: $.a, NumericEquals: 1");
    for (int i = 0; i < NOTS; i++)
        buffer_append_text(&yaml, "}");
    buffer_append_text(&yaml, ", Next: D}], Default: D}, D: {Type: Succeed}}}");
    for (int i = 0; i < SCOPES; i++)
        buffer_append_text(&yaml, "]}}}");
    char *told = story_of(buffer_text(&yaml), "{\"a\":1}", "");
    ck_assert_int_eq(strncmp(last_line(told), "succeeded [", 11), 0);
    free(told);
    buffer_fini(&yaml);
}
END_TEST

/* Many names: of a template, of variables, of objects that are merged. */
START_TEST(test_many_names)
{
    struct buffer names = {0}, yaml = {0};
    for (int i = 0; i < 20000; i++)
        buffer_append_format(&names, "%sv%d: %d", i ? ", " : "", i, i);
    buffer_append_format(
        &yaml,
        "{StartAt: A, States: {A: {Type: Pass, Assign: {%s, w.$: $}, Next: B}, B: {Type: "
        "Pass, Parameters: {m.$: \"States.JsonMerge($.a, $.a, true)\"}, OutputPath: "
        "$.m.v19999, Next: C}, C: {Type: Pass, InputPath: $v19999, End: true}}}",
        buffer_text(&names));
    struct buffer wrapped = {0};
    buffer_append_format(&wrapped, "{a: {%s}}", buffer_text(&names));
    char *input = json_of(buffer_text(&wrapped));
    char *told = story_of(buffer_text(&yaml), input, "");
    ck_assert_str_eq(last_line(told), "succeeded 19999");
    free(told);
    free(input);
    buffer_fini(&wrapped);
    buffer_fini(&names);
    buffer_fini(&yaml);
}
END_TEST

int main(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct rlimit memory = {MEMORY_BYTES_MAX, MEMORY_BYTES_MAX};
    if (setrlimit(RLIMIT_AS, &memory) != 0)
        return 1;
#endif
    Suite *suite = suite_create("asl_bounds");
    TCase *bounds = tcase_create("bounds");
    tcase_set_timeout(bounds, 300);
    tcase_add_test(bounds, test_a_template_of_many_parts);
    tcase_add_test(bounds, test_functions_that_grow);
    tcase_add_test(bounds, test_loops_that_make_data);
    tcase_add_test(bounds, test_a_loop_that_writes_into_a_long_array);
    tcase_add_test(bounds, test_every_way_in_is_bounded);
    tcase_add_test(bounds, test_patterns);
    tcase_add_test(bounds, test_a_choice_in_the_innermost_branch);
    tcase_add_test(bounds, test_many_names);
    suite_add_tcase(suite, bounds);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
