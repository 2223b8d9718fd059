/* SPDX-License-Identifier: MIT */
/* Does a picture show every state and transition, with odd names made harmless? */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/asl_picture.h"
#include "core/contract.h"

/* Every type, every kind of edge, names and values with what each form could stumble over. */
static const char machine[] =
    "{StartAt: 'A \"b\" <c> & \\d: #1;', States: {"
    "'A \"b\" <c> & \\d: #1;': {Type: Choice, Choices: ["
    "{Variable: $.n, NumericGreaterThanEquals: 5, Next: P},"
    "{And: [{Variable: $.s, StringMatches: '*\"]]>'}, {Not: {Variable: $.b, IsPresent: true}}], "
    "Next: W},"
    "{Variable: $.t, TimestampLessThanPath: $.u, Next: A --> B}], Default: F},"
    "P: {Type: Parallel, Next: M, Catch: [{ErrorEquals: [E.one, States.ALL], Next: F}], Branches: ["
    "{StartAt: P1, States: {P1: {Type: Task, Resource: r, End: true}}},"
    "{StartAt: P2, States: {P2: {Type: Wait, Seconds: 30, Next: P3}, P3: {Type: Succeed}}}]},"
    "M: {Type: Map, ItemsPath: $.items, End: true, ItemProcessor: {StartAt: M1, States: {M1: "
    "{Type: "
    "Pass, End: true}}}},"
    "W: {Type: Wait, TimestampPath: $.when, Next: 'A --> B'},"
    "'A --> B': {Type: Task, Resource: r, Next: 'A --> B', Catch: [{ErrorEquals: [Gone], Next: "
    "'A --> B'}]},"
    "F: {Type: Fail, Error: Out}}}";

static char *picture_of(const char *definition, enum asl_picture_format format)
{
    struct findings findings = {0};
    struct json *document = yaml_parse("t.yaml", definition, strlen(definition), NULL, &findings);
    ck_assert_ptr_nonnull(document);
    struct buffer out = {0};
    struct error error = {0};
    ck_assert_int_eq(asl_picture_write(document, "a <\"title\">", format, &out, &error), ERR_OK);
    json_release(document);
    findings_fini(&findings);
    return buffer_take(&out);
}

static void picture_is(const char *definition, enum asl_picture_format format, const char *expected)
{
    char *picture = picture_of(definition, format);
    ck_assert_str_eq(picture, expected);
    free(picture);
}

START_TEST(test_text)
{
    picture_is(machine, ASL_PICTURE_TEXT,
               "A \"b\" <c> & \\d: #1; (Choice)\n"
               "    $.n ≥ 5 -> P\n"
               "    $.s like \"*\"]]>\" and not ($.b is there) -> W\n"
               "    $.t < $.u -> A --> B\n"
               "    default -> F\n"
               "P (Parallel) -> M\n"
               "    catch E.one, States.ALL -> F\n"
               "    branch 0\n"
               "        P1 (Task) -> end\n"
               "    branch 1\n"
               "        P2 (Wait 30 s) -> P3\n"
               "        P3 (Succeed) -> end\n"
               "M (Map: each of $.items) -> end\n"
               "    each item\n"
               "        M1 (Pass) -> end\n"
               "W (Wait $.when) -> A --> B\n"
               "A --> B (Task) -> A --> B\n"
               "    catch Gone -> A --> B\n"
               "F (Fail Out) -> end\n");
}
END_TEST

#define ROUTE(rule) "{StartAt: A, States: {A: {Type: Choice, Choices: [{" rule ", Next: A}]}}}"
#define IS(name) "{Variable: $." name ", IsNull: true}"
#define TWELVE                                                                                     \
    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3" \
    "\xa9"

/* Rules within rules, and what is too long, cut between characters. */
START_TEST(test_labels)
{
    picture_is(ROUTE("Or: [{And: [" IS("a") ", " IS("b") "]}, " IS("c") "]"), ASL_PICTURE_TEXT,
               "A (Choice)\n    ($.a is null and $.b is null) or $.c is null -> A\n");
    picture_is(ROUTE("Not: {Not: {Not: {Not: {Not: " IS("a") "}}}}"), ASL_PICTURE_TEXT,
               "A (Choice)\n    not (not (not (not (not (…))))) -> A\n");
    picture_is(ROUTE("Variable: $.a, StringEquals: " TWELVE TWELVE), ASL_PICTURE_TEXT,
               "A (Choice)\n    $.a = \"" TWELVE TWELVE "\" -> A\n");
    picture_is(ROUTE("Variable: $.a, StringEquals: " TWELVE TWELVE "e"), ASL_PICTURE_TEXT,
               "A (Choice)\n    $.a = \"" TWELVE TWELVE "…\" -> A\n");
    picture_is(ROUTE("Variable: $.a, StringEquals: \"x\\ty\""), ASL_PICTURE_TEXT,
               "A (Choice)\n    $.a = \"x y\" -> A\n");
}
END_TEST

START_TEST(test_mermaid)
{
    picture_is(machine, ASL_PICTURE_MERMAID,
               "stateDiagram-v2\n"
               "    direction TB\n"
               "    state \"A #34;b#34; #60;c#62; #38; #92;d#58; #35;1#59;\" as s0\n"
               "    s0 : Choice\n"
               "    state \"P (Parallel)\" as s1 {\n"
               "        state \"P1\" as s2\n"
               "        s2 : Task\n"
               "        [*] --> s2\n"
               "        s2 --> [*]\n"
               "        --\n"
               "        state \"P2\" as s3\n"
               "        s3 : Wait 30 s\n"
               "        state \"P3\" as s4\n"
               "        s4 : Succeed\n"
               "        [*] --> s3\n"
               "        s3 --> s4\n"
               "        s4 --> [*]\n"
               "    }\n"
               "    state \"M (Map#58; each of $.items)\" as s5 {\n"
               "        state \"M1\" as s6\n"
               "        s6 : Pass\n"
               "        [*] --> s6\n"
               "        s6 --> [*]\n"
               "    }\n"
               "    state \"W\" as s7\n"
               "    s7 : Wait $.when\n"
               "    state \"A #45;#45;#62; B\" as s8\n"
               "    s8 : Task\n"
               "    state \"F\" as s9\n"
               "    s9 : Fail Out\n"
               "    [*] --> s0\n"
               "    s0 --> s1 : $.n ≥ 5\n"
               "    s0 --> s7 : $.s like #34;*#34;#93;#93;#62;#34; and not ($.b is there)\n"
               "    s0 --> s8 : $.t #60; $.u\n"
               "    s0 --> s9 : default\n"
               "    s1 --> s5\n"
               "    s1 --> s9 : catch E.one, States.ALL\n"
               "    s5 --> [*]\n"
               "    s7 --> s8\n"
               "    s8 --> s8\n"
               "    s8 --> s8 : catch Gone\n"
               "    s9 --> [*]\n");
}
END_TEST

START_TEST(test_dot)
{
    char *dot = picture_of(machine, ASL_PICTURE_DOT);
    static const char *const parts[] = {
        "digraph \"a <\\\"title\\\">\" {\n",
        "s0 [label=\"A \\\"b\\\" <c> & \\\\d: #1;\\nChoice\", shape=diamond, style=\"\"];\n",
        "subgraph cluster_1 {\n",
        "subgraph cluster_1_0 {\n",
        "subgraph cluster_1_1 {\n",
        "s1 -> s2;\n",
        "s2 -> j1;\n",
        "s4 -> j1;\n",
        "j1 -> s5 [label=\"\"];\n",
        "j1 -> s9 [label=\"catch E.one, States.ALL\", style=dashed];\n",
        "s6 -> j5;\n",
        "j5 -> end;\n",
        "s0 -> s7 [label=\"$.s like \\\"*\\\"]]>\\\" and not ($.b is there)\"];\n",
        "s9 -> end;\n",
        "start -> s0;\n}\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        ck_assert_msg(strstr(dot, parts[i]) != NULL, "no %s in\n%s", parts[i], dot);
    free(dot);
}
END_TEST

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

START_TEST(test_svg)
{
    char *svg = picture_of(machine, ASL_PICTURE_SVG);
    ck_assert_ptr_nonnull(strstr(svg, "<title>a &lt;&quot;title&quot;&gt;</title>"));
    ck_assert_ptr_nonnull(strstr(svg, ">A &quot;b&quot; &lt;c&gt; &amp; \\d: #1;</text>"));
    ck_assert_ptr_nonnull(strstr(svg, ">catch E.one, States.ALL</text>"));
    ck_assert_ptr_nonnull(strstr(svg, ">$.n ≥ 5</text>"));
    ck_assert_uint_eq(count_of(svg, "class=\"n\""), 10); /* states */
    ck_assert_uint_eq(count_of(svg, "class=\"c\""), 2);  /* dashed */
    /* 8 transitions, 3 starts and 1 of the whole, 5 ends; the two of Fail and Map count too */
    ck_assert_uint_eq(count_of(svg, "class=\"e\""), 17);
    ck_assert_uint_eq(count_of(svg, "class=\"r\""), 3); /* branches and the processor */
    ck_assert_ptr_null(strstr(svg, "nan"));
    ck_assert_ptr_null(strstr(svg, "inf"));
    free(svg);
}
END_TEST

/* What is no machine, or a broken one, has a picture too; none of it may crash. */
START_TEST(test_broken)
{
    static const char *const broken[] = {
        "[]",
        "{StartAt: A, States: {}}",
        "{StartAt: Z, States: {A: {Type: Pass, Next: B}, C: 5}}",
        "{StartAt: A, States: {A: {Type: Choice, Choices: [{Next: A}, 5, {And: 5, Next: A}, {Not: "
        "{Not: {Not: {Not: {Not: {Not: {Variable: $.a, IsNull: true}}}}}}, Next: A}]}}}",
        "{StartAt: A, States: {A: {Type: Parallel, Branches: [1, {}], End: true}}}",
        "{StartAt: A, States: {A: {Type: Map, End: true}}}",
    };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        for (int format = ASL_PICTURE_MERMAID; format <= ASL_PICTURE_TEXT; format++)
            free(picture_of(broken[i], (enum asl_picture_format)format));
    }
}
END_TEST

START_TEST(test_too_many_states)
{
    struct buffer text = {0};
    buffer_append_text(&text, "{\"StartAt\":\"S0\",\"States\":{");
    for (int i = 0; i <= ASL_PICTURE_STATES_MAX; i++)
        buffer_append_format(&text, "%s\"S%d\":{\"Type\":\"Succeed\"}", i ? "," : "", i);
    buffer_append_text(&text, "}}");
    struct json *document = json_parse(text.data, text.bytes, NULL, NULL);
    struct buffer out = {0};
    struct error error = {0};
    ck_assert_int_eq(asl_picture_write(document, "t", ASL_PICTURE_SVG, &out, &error),
                     ERR_TOO_LARGE);
    ck_assert_uint_eq(out.bytes, 0);
    ck_assert_int_eq(asl_picture_write(document, "t", ASL_PICTURE_DOT, &out, &error), ERR_OK);
    json_release(document);
    buffer_fini(&text);
    buffer_fini(&out);
}
END_TEST

START_TEST(test_formats)
{
    enum asl_picture_format format;
    ck_assert(asl_picture_format_parse("svg", &format) && format == ASL_PICTURE_SVG);
    ck_assert(asl_picture_format_parse("dot", &format) && format == ASL_PICTURE_DOT);
    ck_assert(!asl_picture_format_parse("SVG", &format));
    ck_assert_str_eq(asl_picture_media_type(ASL_PICTURE_SVG), "image/svg+xml");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("asl_picture");
    TCase *rules = tcase_create("rules");
    tcase_add_test(rules, test_text);
    tcase_add_test(rules, test_labels);
    tcase_add_test(rules, test_mermaid);
    tcase_add_test(rules, test_dot);
    tcase_add_test(rules, test_svg);
    tcase_add_test(rules, test_broken);
    tcase_add_test(rules, test_too_many_states);
    tcase_add_test(rules, test_formats);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
