/* SPDX-License-Identifier: MIT */
/* Does the exploration find what can go wrong in the control flow, by a shortest way, and nothing
 * else? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/asl_model.h"
#include "core/contract.h"

#define TASK "Type: Task, Resource: r"
#define ANY "ErrorEquals: [States.ALL]"
/* Do, then More; when More fails, Undo and fail. */
#define SAGA(undo)                                                                                 \
    "{StartAt: Do, States: {Do: {" TASK ", Next: More}, More: {" TASK ", Next: Z, Catch: [{" ANY   \
    ", Next: Undo}]}, Undo: {" undo "}, Z: {Type: Succeed}, F: {Type: "                            \
    "Fail, Error: Undone}}}"
#define PAIR "{Undo: Do}"

static const struct {
    const char *definition;    /* YAML for short */
    const char *compensations; /* NULL: none */
    const char *expected;      /* "type: step | step\n" of each fault */
    size_t places;             /* 0: not counted */
} cases[] = {
    {"{StartAt: A, States: {A: {Type: Pass, End: true}}}", NULL, "", 2},
    {"{StartAt: A, States: {A: {" TASK ", End: true}}}", NULL, "", 3},
    {"{StartAt: A, States: {A: {Type: Choice, Choices: [{Variable: $.a, IsNull: true, Next: B}], "
     "Default: A}, B: {Type: Succeed}}}",
     NULL, "", 3},
    /* stuck: only a definition that does not compile can be */
    {"{StartAt: A, States: {A: {Type: Pass, Next: B}, B: {Type: Wait}}}", NULL,
     "stuck: A goes on\n", 0},
    /* endless */
    {"{StartAt: A, States: {A: {Type: Choice, Choices: [{Variable: $.a, IsNull: true, Next: Z}], "
     "Default: B}, B: {Type: Wait, Seconds: 1, Next: C}, C: {Type: Pass, Next: B}, Z: {Type: "
     "Succeed}}}",
     NULL, "endless: A chooses B\n", 5},
    {"{StartAt: A, States: {A: {" TASK ", Next: A}}}", NULL, "endless: \n",
     2}, /* only by failing */
    {"{StartAt: A, States: {A: {" TASK ", Next: A, Catch: [{" ANY ", Next: Z}]}, Z: {Type: Fail}}}",
     NULL, "", 3},
    {"{StartAt: P, States: {P: {Type: Parallel, End: true, Branches: [{StartAt: A, States: {A: "
     "{Type: Pass, End: true}}}, {StartAt: B, States: {B: {Type: Wait, Seconds: 1, Next: C}, C: "
     "{Type: Pass, Next: B}}}]}}}",
     NULL, "endless: \n", 0},
    {"{StartAt: M, States: {M: {Type: Map, End: true, ItemProcessor: {StartAt: B, States: {B: "
     "{Type: Choice, Choices: [{Variable: $.a, IsNull: true, Next: E}], Default: C}, C: {Type: "
     "Pass, Next: C}, E: {Type: Succeed}}}}}}",
     NULL, "endless: B chooses C\n", 0},
    /* a failing branch ends its siblings, and the Parallel's Catch sees its error */
    {"{StartAt: P, States: {P: {Type: Parallel, Next: Z, Catch: [{ErrorEquals: [E], Next: C}], "
     "Branches: [{StartAt: A, States: {A: {Type: Fail, Error: E}}}, {StartAt: B, States: {B: "
     "{Type: "
     "Wait, Seconds: 1, End: true}}}]}, C: {Type: Pass, Next: C}, Z: {Type: Succeed}}}",
     NULL, "endless: \n", 0},
    {"{StartAt: P, States: {P: {Type: Parallel, Next: Z, Catch: [{ErrorEquals: [X], Next: C}], "
     "Branches: [{StartAt: A, States: {A: {Type: Fail, Error: E}}}]}, C: {Type: Pass, Next: C}, Z: "
     "{Type: Succeed}}}",
     NULL, "", 2}, /* nobody takes E, so C is never met */

    /* compensation */
    {SAGA("Type: Pass, Next: F"), PAIR, "", 0},
    {SAGA("Type: Pass, Next: F"), "{Undo: More}",
     "undo_too_much: Do succeeds | More fails with another error\n", 0},
    {SAGA("Type: Pass, Next: F"), "{F: Do}", "", 0},
    {SAGA("Type: Pass, Next: Do"), PAIR, "", 0}, /* once more from the start */
    {SAGA("Type: Choice, Choices: [{Variable: $.a, IsNull: true, Next: Undo}], Default: F"), PAIR,
     "undo_too_much: Do succeeds | More fails with another error | Undo chooses Undo\n", 0},
    {"{StartAt: Do, States: {Do: {" TASK ", Next: More}, More: {" TASK ", Next: Z, Catch: "
     "[{ErrorEquals: [Known], Next: Undo}]}, Undo: {Type: Pass, Next: F}, Z: {Type: Succeed}, F: "
     "{Type: Fail}}}",
     PAIR, "undo_missing: Do succeeds | More fails with another error\n", 0},
    {"{StartAt: Do, States: {Do: {" TASK ", Next: More}, More: {" TASK ", Next: Z, Catch: "
     "[{ErrorEquals: [States.TaskFailed], Next: Undo}]}, Undo: {Type: Pass, Next: F}, Z: {Type: "
     "Succeed}, F: {Type: Fail}}}",
     PAIR, "undo_missing: Do succeeds | More fails with States.Timeout\n", 0},
    {"{StartAt: Do, States: {Do: {" TASK ", Next: Check}, Check: {Type: Choice, Choices: "
     "[{Variable: $.a, IsNull: true, Next: Z}]}, Undo: {Type: Pass, Next: Z}, Z: {Type: Succeed}}}",
     PAIR, "undo_missing: Do succeeds | Check finds no rule that fits\n", 0},
    {"{StartAt: Undo, States: {Undo: {Type: Pass, Next: Do}, Do: {" TASK ", End: true}}}", PAIR,
     "undo_too_much: the run starts\n", 0},
    /* in one branch it is done, the other fails before or after */
    {"{StartAt: P, States: {P: {Type: Parallel, Next: Z, Catch: [{" ANY ", Next: Undo}], Branches: "
     "[{StartAt: B, States: {B: {" TASK ", End: true}}}, {StartAt: Do, States: {Do: {" TASK
     ", End: true}}}]}, Undo: {Type: Pass, Next: F}, Z: {Type: Succeed}, F: {Type: Fail}}}",
     PAIR, "undo_too_much: B fails with another error\n", 0},
    {"{StartAt: P, States: {P: {Type: Parallel, End: true, Branches: [{StartAt: B, States: {B: "
     "{Type: Wait, Seconds: 1, Next: B2}, B2: {Type: Fail}}}, {StartAt: Do, States: {Do: {" TASK
     ", End: true}, Undo: {Type: Pass, End: true}}}]}}}",
     PAIR, "undo_missing: B goes on | Do succeeds | B2 ends the run or branch with another error\n",
     0},
    /* a whole Parallel is what is done */
    {"{StartAt: P, States: {P: {Type: Parallel, Next: More, Branches: [{StartAt: A, States: {A: "
     "{Type: Pass, End: true}}}]}, More: {" TASK ", End: true, Catch: [{" ANY ", Next: Undo}]}, "
     "Undo: {Type: Pass, Next: F}, F: {Type: Fail}}}",
     "{Undo: P}", "", 0},
};

static const char *const type_names[ASL_MODEL_FAULT_TYPES] = {"stuck", "endless", "undo_too_much",
                                                              "undo_missing"};

static struct json *parse(const char *text)
{
    struct findings findings = {0};
    struct json *document = yaml_parse("t.yaml", text, strlen(text), NULL, &findings);
    ck_assert_msg(document != NULL, "%s", text);
    findings_fini(&findings);
    return document;
}

static struct json *verify_of(const char *compensations)
{
    struct buffer text = {0};
    buffer_append_format(&text, "{compensations: %s}", compensations);
    struct json *verify = compensations ? parse(buffer_text(&text)) : NULL;
    buffer_fini(&text);
    return verify;
}

static void faults_write(const struct asl_model_result *result, struct buffer *out)
{
    for (size_t i = 0; i < result->faults_count; i++) {
        const struct asl_model_fault *fault = &result->faults[i];
        buffer_append_format(out, "%s: ", type_names[fault->type]);
        for (size_t k = 0; k < fault->path_count; k++)
            buffer_append_format(out, "%s%s", k > 0 ? " | " : "", fault->path[k]);
        buffer_append_char(out, '\n');
    }
}

START_TEST(test_faults)
{
    struct json *definition = parse(cases[_i].definition);
    struct json *verify = verify_of(cases[_i].compensations);
    struct asl_outline *outline = asl_outline_new(definition, "");
    struct asl_model model;
    struct error error = {0};
    ck_assert_msg(asl_model_init(&model, outline, verify, &error) == ERR_OK, "%s", error.text);
    struct asl_model_result result;
    asl_model_explore(&model, &result);
    ck_assert(result.complete);
    struct buffer told = {0};
    faults_write(&result, &told);
    ck_assert_msg(strcmp(buffer_text(&told), cases[_i].expected) == 0, "%s\ntold: %sexpected: %s",
                  cases[_i].definition, buffer_text(&told), cases[_i].expected);
    if (cases[_i].places > 0)
        ck_assert_uint_eq(result.places, cases[_i].places);
    asl_model_fini(&result);
    buffer_fini(&told);
    asl_outline_free(outline);
    json_release(definition);
    json_release(verify);
}
END_TEST

START_TEST(test_sentences)
{
    struct json *definition =
        parse("{StartAt: Do, States: {Do: {" TASK ", Next: Undo}, Undo: {Type: Pass, Next: Again}, "
              "Again: {" TASK ", Next: Undo}}}");
    struct json *verify = verify_of("{Undo: Do, Again: Undo}");
    struct asl_outline *outline = asl_outline_new(definition, "");
    struct asl_model model;
    struct error error = {0};
    ck_assert_int_eq(asl_model_init(&model, outline, verify, &error), ERR_OK);
    struct asl_model_result result;
    asl_model_explore(&model, &result);
    static const char *const texts[] = {
        "a run fails after \"Do\" has succeeded, and \"Undo\" has not run",
        "\"Undo\" runs when there is nothing of \"Do\" to undo",
        "a run gets to where no Choice and no Catch leads to an end any more",
    };
    struct buffer told = {0};
    for (size_t i = 0; i < result.faults_count; i++)
        buffer_append_format(&told, "%s\n", result.faults[i].text);
    ck_assert_ptr_null(strstr(buffer_text(&told), texts[0])); /* Undo follows at once */
    ck_assert_ptr_nonnull(strstr(buffer_text(&told), texts[1]));
    ck_assert_ptr_nonnull(strstr(buffer_text(&told), texts[2]));
    buffer_fini(&told);
    asl_model_fini(&result);
    asl_outline_free(outline);
    json_release(definition);
    json_release(verify);
}
END_TEST

/* Branches that do not see each other add up; they do not multiply. */
START_TEST(test_branches_add_up)
{
    struct buffer text = {0};
    buffer_append_text(&text, "{StartAt: P, States: {P: {Type: Parallel, End: true, Branches: [");
    for (int i = 0; i < 60; i++)
        buffer_append_format(&text,
                             "%s{StartAt: A%d, States: {A%d: {Type: Pass, Next: B%d}, B%d: {Type: "
                             "Pass, End: true}}}",
                             i ? ", " : "", i, i, i, i);
    buffer_append_text(&text, "]}}}");
    struct json *definition = parse(buffer_text(&text));
    struct asl_outline *outline = asl_outline_new(definition, "");
    struct asl_model model;
    struct error error = {0};
    ck_assert_int_eq(asl_model_init(&model, outline, NULL, &error), ERR_OK);
    struct asl_model_result result;
    asl_model_explore(&model, &result);
    ck_assert(result.complete);
    ck_assert_uint_eq(result.places, 121);
    asl_model_fini(&result);
    asl_outline_free(outline);
    json_release(definition);
    buffer_fini(&text);
}
END_TEST

/* With a pair among them every order counts, and past the bound that is told. */
START_TEST(test_too_many_places)
{
    struct buffer text = {0};
    buffer_append_text(&text, "{StartAt: P, States: {P: {Type: Parallel, End: true, Branches: [");
    for (int i = 0; i < 20; i++)
        buffer_append_format(&text,
                             "%s{StartAt: A%d, States: {A%d: {Type: Pass, Next: B%d}, B%d: {Type: "
                             "Pass, End: true}}}",
                             i ? ", " : "", i, i, i, i);
    buffer_append_text(&text, "]}}}");
    struct json *definition = parse(buffer_text(&text)), *verify = verify_of("{B1: A1}");
    struct asl_outline *outline = asl_outline_new(definition, "");
    struct asl_model model;
    struct error error = {0};
    ck_assert_int_eq(asl_model_init(&model, outline, verify, &error), ERR_OK);
    struct asl_model_result result;
    asl_model_explore(&model, &result);
    ck_assert(!result.complete);
    ck_assert_uint_eq(result.places, ASL_MODEL_PLACES_MAX);
    ck_assert_uint_eq(result.faults_count, 0);
    asl_model_fini(&result);
    asl_outline_free(outline);
    json_release(definition);
    json_release(verify);
    buffer_fini(&text);
}
END_TEST

START_TEST(test_pairs)
{
    static const struct {
        const char *compensations, *fault;
    } pairs[] = {
        {"{B: Z}", "a compensation names the state \"Z\", and there is none"},
        {"{Z: B}", "a compensation names the state \"Z\", and there is none"},
        {"{B: E}", "the compensation state \"E\" lies in a Map; its items are not told apart here"},
    };
    struct json *definition = parse(
        "{StartAt: M, States: {M: {Type: Map, Next: B, ItemProcessor: {StartAt: E, States: {E: "
        "{Type: Pass, End: true}}}}, B: {Type: Succeed}}}");
    struct asl_outline *outline = asl_outline_new(definition, "");
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct json *verify = verify_of(pairs[i].compensations);
        struct asl_model model;
        struct error error = {0};
        ck_assert_int_eq(asl_model_init(&model, outline, verify, &error), ERR_INVALID);
        ck_assert_str_eq(error.text, pairs[i].fault);
        json_release(verify);
    }
    asl_outline_free(outline);
    json_release(definition);
}
END_TEST

START_TEST(test_promela)
{
    struct json *definition = parse(SAGA("Type: Pass, Next: F")), *verify = verify_of(PAIR);
    struct asl_outline *outline = asl_outline_new(definition, "");
    struct asl_model model;
    struct error error = {0};
    ck_assert_int_eq(asl_model_init(&model, outline, verify, &error), ERR_OK);
    struct buffer out = {0};
    asl_model_promela(&model, "odd */ title", &out);
    static const char *const parts[] = {
        "/* odd ?/ title */\n",
        "bool owed_0; /* Undo */\n",
        ":: atomic { true; owed_0 = 1; }; goto s1\n",
        "/* another error */ goto s2\n",
        "s2: skip; /* Undo */ assert(owed_0); owed_0 = 0;",
        "assert(outcome == 0 || !owed_0);\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(buffer_text(&out), parts[i]) != NULL, "no %s in\n%s", parts[i],
                      buffer_text(&out));
    buffer_fini(&out);
    asl_outline_free(outline);
    json_release(definition);
    json_release(verify);
}
END_TEST

/* Retries are bounded, a Choice without Default may find no rule, and wildcards are no errors. */
START_TEST(test_promela_errors)
{
    struct json *definition =
        parse("{StartAt: A, States: {A: {" TASK ", Next: B, Retry: [{ErrorEquals: [Busy]}, "
              "{ErrorEquals: [Never], MaxAttempts: 0}], Catch: [{" ANY ", Next: B}]}, B: {Type: "
              "Choice, Choices: [{Variable: $.a, IsNull: true, Next: C}]}, C: {Type: Succeed}}}");
    struct asl_outline *outline = asl_outline_new(definition, "");
    struct asl_model model;
    struct error error = {0};
    ck_assert_int_eq(asl_model_init(&model, outline, NULL, &error), ERR_OK);
    struct buffer out = {0};
    asl_model_promela(&model, "t", &out);
    const char *text = buffer_text(&out);
    ck_assert_ptr_nonnull(strstr(text,
                                 ":: true; /* Busy */ if :: tries < 2 -> tries++; goto again_0 "
                                 ":: else fi; goto s1\n"));
    ck_assert_ptr_nonnull(strstr(text, ":: true; /* Never */ goto s1\n"));
    ck_assert_ptr_nonnull(strstr(text, "/* States.NoChoiceMatched */"));
    ck_assert_ptr_nonnull(strstr(text, ":: true; outcome = 3; goto ended\n"));
    ck_assert_ptr_null(strstr(text, "States.ALL"));
    buffer_fini(&out);
    asl_outline_free(outline);
    json_release(definition);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("asl_model");
    TCase *rules = tcase_create("rules");
    tcase_set_timeout(rules, 60); /* all places of a large model, on a busy machine */
    tcase_add_loop_test(rules, test_faults, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(rules, test_sentences);
    tcase_add_test(rules, test_branches_add_up);
    tcase_add_test(rules, test_too_many_places);
    tcase_add_test(rules, test_pairs);
    tcase_add_test(rules, test_promela);
    tcase_add_test(rules, test_promela_errors);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
