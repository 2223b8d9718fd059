/* SPDX-License-Identifier: MIT */
/* contracts_run.c - runs a state machine alone, on a virtual clock: one for people to follow, or a
 * stream of cases for programs. */
#include "contracts_run.h"

#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "core/source_map.h"

/* -- reading -- */

static void unreadable(const char *file, const struct error *error, struct findings *findings)
{
    struct source_map *map = source_map_new(file);
    finding_add(findings, FINDING_ERROR, map, "", "FILE_UNREADABLE", "%s", error->text);
    source_map_free(map);
}

struct contract *mocked_contract_load(const char *file, struct findings *findings)
{
    struct buffer text = {0};
    struct error error = {0};
    struct contract *contract = NULL;
    if (read_whole(file, CONTRACT_BYTES_MAX, &text, &error) != ERR_OK)
        unreadable(file, &error, findings);
    else
        contract = contract_parse_for_mocks(file, buffer_text(&text), text.bytes, findings);
    buffer_fini(&text);
    return contract;
}

struct json *document_load(const char *file, struct source_map **map, struct findings *findings)
{
    struct buffer text = {0};
    struct error error = {0};
    struct json *document = NULL;
    *map = NULL;
    if (read_whole(file, CONTENT_BYTES_MAX, &text, &error) != ERR_OK) {
        *map = source_map_new(file);
        unreadable(file, &error, findings);
    } else if (text_ends_with(file, ".yaml") || text_ends_with(file, ".yml")) {
        document = yaml_parse(file, buffer_text(&text), text.bytes, map, findings);
    } else {
        document = json_document_parse(file, buffer_text(&text), text.bytes, map, findings);
    }
    buffer_fini(&text);
    return document;
}

/* -- one run -- */

bool input_fits(const struct contract *contract, const struct json *input,
                const struct source_map *source, const char *pointer, struct findings *findings)
{
    struct error error = {0};
    if (!contract->input_schema ||
        schema_check(contract->input_schema, input, "input", &error) == ERR_OK)
        return true;
    finding_add(findings, FINDING_ERROR, source, pointer, "INPUT_INVALID",
                "the input does not fit input_state: %s", error.text);
    return false;
}

void mocked_contract_run(const struct contract *contract, const struct asl_mock_options *options,
                         struct asl_mock_result *result)
{
    asl_mock_run(contract->machine, options, result);
    struct error error = {0};
    if (result->status != ASL_MOCK_SUCCEEDED ||
        contract_output_fits(contract, result->output, &error))
        return;
    json_release(result->output);
    result->output = NULL;
    result->status = ASL_MOCK_FAILED;
    result->error = must_strdup(CONTRACT_OUTPUT_INVALID);
    result->cause = must_strdup(error.text);
}

struct json *result_json(const struct json *id, const struct asl_mock_result *result)
{
    struct json *answer = json_object();
    if (id)
        json_object_set(answer, "id", json_hold(id));
    json_object_set(answer, "status", json_text(asl_mock_status_name(result->status)));
    json_object_set(answer, "output", result->output ? json_hold(result->output) : json_null());
    json_object_set(answer, "error", json_text(result->error));
    json_object_set(answer, "cause", json_text(result->cause));
    json_object_set(answer, "states", json_hold(result->states));
    return answer;
}

char *clipped_json(const struct json *value, size_t bytes_max)
{
    char *text = json_to_text(value);
    if (strlen(text) > bytes_max) {
        text[bytes_max] = '\0';
        error_trim(text, bytes_max + 1);
        struct buffer cut = {0};
        buffer_append_format(&cut, "%s...", text);
        free(text);
        text = buffer_take(&cut);
    }
    char *plain = plain_text(text);
    free(text);
    return plain;
}

static struct json *invalid_json(const struct json *id, const struct findings *findings)
{
    struct json *answer = json_object();
    if (id)
        json_object_set(answer, "id", json_hold(id));
    json_object_set(answer, "invalid", json_bool(true));
    json_object_set(answer, "findings", findings_json(findings));
    return answer;
}

/* -- cases: a JSON object in each line -- */

struct cases {
    const char *file;
    FILE *stream;
    int line;
    struct buffer text; /* the line, without its end */
    bool too_long;      /* it was cut off; the rest was skipped */
};

/* False at the end. */
static bool line_read(struct cases *cases)
{
    buffer_clear(&cases->text);
    cases->too_long = false;
    int c = getc_unlocked(cases->stream);
    if (c == EOF)
        return false;
    cases->line++;
    for (; c != EOF && c != '\n'; c = getc_unlocked(cases->stream)) {
        if (cases->text.bytes < CONTRACT_CASE_BYTES_MAX)
            buffer_append_char(&cases->text, (char)c);
        else
            cases->too_long = true;
    }
    return true;
}

static bool is_blank(const struct buffer *text)
{
    return strspn(buffer_text(text), " \t\r") == text->bytes;
}

/* What is wrong with the text of the definition itself: names given twice, which the reader forgets. */
static void duplicates_check(struct source_map *map, const struct buffer *text,
                             struct findings *findings)
{
    static const char place[] = "definition";
    struct findings all = {0};
    source_map_scan_json(map, buffer_text(text), text->bytes, &all);
    for (size_t i = 0; i < all.count; i++) {
        const struct finding *found = &all.items[i];
        const char *rest = found->pointer + strspn(found->pointer, "/");
        if (strcspn(rest, "/") == sizeof place - 1 && strncmp(rest, place, sizeof place - 1) == 0)
            finding_add(findings, found->severity, map, found->pointer, found->code, "%s",
                        found->text);
    }
    findings_fini(&all);
}

/* The machine of the case; NULL with findings. */
static struct asl_machine *case_compile(const struct cases *cases, const struct json *document,
                                        struct findings *findings)
{
    struct source_map *map = source_map_new(cases->file);
    const struct json *definition = json_get(document, "definition");
    struct asl_machine *machine = NULL;
    duplicates_check(map, &cases->text, findings);
    asl_mocks_check(json_get(document, "mocks"), map, "/mocks", findings);
    if (definition) {
        source_map_set_base(map, "/definition");
        machine = asl_compile(definition, map, NULL, NULL, findings);
    } else {
        finding_add(findings, FINDING_ERROR, map, "", "CASE_NO_DEFINITION",
                    "the case has no definition");
    }
    source_map_free(map);
    if (findings->errors == 0)
        return machine;
    asl_machine_free(machine);
    return NULL;
}

static struct json *case_run(const struct cases *cases, const struct json *document,
                             const struct json *id, struct findings *findings)
{
    struct asl_machine *machine = case_compile(cases, document, findings);
    if (!machine)
        return NULL;
    struct asl_mock_options options = {.input = json_get(document, "input"),
                                       .mocks = json_get(document, "mocks"),
                                       .name = "case",
                                       .start_us = ASL_MOCK_START_US};
    struct asl_mock_result result;
    asl_mock_run(machine, &options, &result);
    struct json *answer = result_json(id, &result);
    asl_mock_result_fini(&result);
    asl_machine_free(machine);
    return answer;
}

static void case_finding(const struct cases *cases, const char *code, const char *text, int column,
                         struct findings *findings)
{
    struct source_map *map = source_map_new(cases->file);
    source_map_add(map, "", cases->line, column);
    finding_add(findings, FINDING_ERROR, map, "", code, "%s", text);
    source_map_free(map);
}

/* The answer to the line that was read. */
static struct json *case_answer(const struct cases *cases)
{
    struct findings findings = {0};
    struct error error = {0};
    struct json_position position = {1, 1};
    struct json *answer = NULL, *document = NULL;
    if (cases->too_long) {
        error_set(&error, ERR_TOO_LARGE, "a line has at most %u octets", CONTRACT_CASE_BYTES_MAX);
        case_finding(cases, "CASE_TOO_LARGE", error.text, 1, &findings);
    } else if (!(document =
                     json_parse(buffer_text(&cases->text), cases->text.bytes, &error, &position))) {
        case_finding(cases, "JSON_SYNTAX", error.text, position.column, &findings);
    } else if (json_type_of(document) != JSON_OBJECT) {
        case_finding(cases, "CASE_BAD", "a case must be an object", 1, &findings);
    }
    const struct json *given = json_get(document, "id");
    struct json *id = given ? json_hold(given) : json_null();
    if (findings.errors == 0)
        answer = case_run(cases, document, id, &findings);
    for (size_t i = 0; i < findings.count; i++)
        findings.items[i].line = cases->line;
    if (!answer)
        answer = invalid_json(id, &findings);
    json_release(document);
    json_release(id);
    findings_fini(&findings);
    return answer;
}

static int cases_run(const char *file)
{
    bool standard = strcmp(file, "-") == 0;
    struct cases cases = {.file = file, .stream = standard ? stdin : fopen(file, "rbe")};
    if (!cases.stream)
        return fail_text("cannot read %s", file);
    bool written = true;
    while (written && line_read(&cases)) {
        if (!cases.too_long && is_blank(&cases.text))
            continue;
        struct json *answer = case_answer(&cases);
        print_json(answer);
        json_release(answer);
        written = fflush(stdout) == 0; /* a reader of the stream gets each answer at once */
    }
    bool broken = ferror(cases.stream) != 0;
    buffer_fini(&cases.text);
    if (!standard)
        fclose(cases.stream);
    if (broken)
        return fail_text("cannot read %s to its end", file);
    return written ? EXIT_FINE : fail_text("cannot write the answers");
}

/* -- one contract -- */

struct single {
    const char *input_file, *mocks_file; /* NULL: none */
    bool as_json;
    struct contract *contract;
    struct json *input, *mocks;
};

static void single_load(struct single *single, const char *file, struct findings *findings)
{
    struct source_map *input_map = NULL, *mocks_map = NULL;
    single->contract = mocked_contract_load(file, findings);
    if (single->input_file) {
        single->input = document_load(single->input_file, &input_map, findings);
    } else {
        single->input = json_object();
        input_map = source_map_new("(no --input)");
    }
    if (single->mocks_file)
        single->mocks = document_load(single->mocks_file, &mocks_map, findings);
    if (single->mocks)
        asl_mocks_check(single->mocks, mocks_map, "", findings);
    if (single->contract && single->input)
        input_fits(single->contract, single->input, input_map, "", findings);
    source_map_free(input_map);
    source_map_free(mocks_map);
}

/* -- the story of a run, for people -- */

#define STORY_DATA_BYTES 72 /* of the data shown in a line */

struct story {
    int64_t start_us;
};

/* The beginning of a line: the clock, then the state, indented below the state it is part of. */
static void story_place(const struct story *story, int64_t now_us, const struct asl_effect *effect)
{
    size_t bytes = strlen(effect->state_path) - strlen(effect->state), depth = 0, index = 0;
    for (size_t i = 0; i < bytes; i++)
        depth += effect->state_path[i] == '/';
    for (size_t i = 0; i + 1 < bytes; i++)
        index = effect->state_path[i] == '/' ? i + 1 : index;
    char *name = plain_text(effect->state);
    printf("%10.3f s  %*s", (double)(now_us - story->start_us) / 1e6, (int)depth, "");
    if (bytes > 0)
        printf("[%.*s] ", (int)(bytes - 1 - index), effect->state_path + index);
    printf("%s", name);
    free(name);
}

static void story_failure(const struct asl_effect *effect)
{
    char *error = plain_text(effect->error), *cause = plain_text(effect->cause);
    printf("%s%s%s", *error ? error : "an error without a name", *cause ? ": " : "", cause);
    free(error);
    free(cause);
}

static void story_data(const char *before, const struct json *data)
{
    char *text = clipped_json(data, STORY_DATA_BYTES);
    printf("%s%s", before, text);
    free(text);
}

static void story_effect(const struct story *story, int64_t now_us, const struct asl_effect *effect)
{
    if (effect->type == ASL_CALL || effect->type == ASL_SUCCEEDED || effect->type == ASL_FAILED)
        return;
    story_place(story, now_us, effect);
    double later_s = (double)(effect->due_us - now_us) / 1e6;
    if (effect->type == ASL_STATE_ENTERED) {
        printf(" (%s)", effect->state_type);
        story_data(" <- ", effect->data);
    } else if (effect->type == ASL_STATE_EXITED) {
        story_data(" -> ", effect->data);
    } else if (effect->type == ASL_STATE_CAUGHT) {
        printf(" caught ");
        story_failure(effect);
    } else if (effect->type == ASL_ABANDON) {
        printf(" is abandoned");
    } else if (effect->retry) {
        printf(" failed, attempt %u follows in %g s: ", effect->attempt, later_s);
        story_failure(effect);
    } else {
        printf(" waits %g s", later_s > 0 ? later_s : 0);
    }
    putchar('\n');
}

static void story_step(void *context, const struct asl_event *event,
                       const struct asl_effects *effects)
{
    for (size_t i = 0; effects && i < effects->count; i++)
        story_effect(context, event->now_us, &effects->items[i]);
}

static void story_end(const struct single *single, const struct asl_mock_result *result)
{
    printf("\nstatus  %s after %.3f s of the virtual clock, %zu of %zu mocks used\n",
           asl_mock_status_name(result->status), (double)(result->end_us - ASL_MOCK_START_US) / 1e6,
           result->mocks_used, json_size(single->mocks));
    char *error = plain_text(result->error ? result->error : "");
    char *cause = plain_text(result->cause ? result->cause : "");
    if (result->output) {
        char *output = json_to_text(result->output), *plain = plain_text(output);
        printf("output  %s\n", plain);
        free(output);
        free(plain);
    }
    if (*error)
        printf("error   %s\n", error);
    if (*cause)
        printf("cause   %s\n", cause);
    free(error);
    free(cause);
}

static int single_play(const struct single *single)
{
    struct asl_mock_result result;
    struct story story = {ASL_MOCK_START_US};
    struct asl_mock_options options = {.input = single->input,
                                       .mocks = single->mocks,
                                       .name = single->contract->name,
                                       .start_us = ASL_MOCK_START_US,
                                       .on_step = single->as_json ? NULL : story_step,
                                       .context = &story};
    mocked_contract_run(single->contract, &options, &result);
    if (single->as_json) {
        struct json *answer = result_json(NULL, &result);
        print_json(answer);
        json_release(answer);
    } else {
        story_end(single, &result);
    }
    int outcome = result.status == ASL_MOCK_SUCCEEDED ? EXIT_FINE : EXIT_NO;
    asl_mock_result_fini(&result);
    return outcome;
}

static void single_refuse(const struct single *single, const struct findings *findings)
{
    if (single->as_json) {
        struct json *answer = invalid_json(NULL, findings);
        print_json(answer);
        json_release(answer);
        return;
    }
    struct buffer text = {0};
    findings_write(findings, &text);
    fputs(buffer_text(&text), stderr);
    buffer_fini(&text);
}

static int single_run(struct single *single, const char *file)
{
    struct findings findings = {0};
    int outcome = EXIT_NO;
    single_load(single, file, &findings);
    if (findings.errors == 0)
        outcome = single_play(single);
    else
        single_refuse(single, &findings);
    findings_fini(&findings);
    contract_free(single->contract);
    json_release(single->input);
    json_release(single->mocks);
    return outcome;
}

int run_run(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    (void)ctl;
    struct single single = {0};
    const char *cases = NULL;
    struct text_list files = {0};
    const struct argument table[] = {
        {"--input", ARGUMENT_TEXT, &single.input_file, "FILE",
         "the input, JSON or *.yaml, - for standard input; {} without", 0, 0},
        {"--mocks", ARGUMENT_TEXT, &single.mocks_file, "FILE",
         "a list of {state?, output} or {state?, error, cause?}, one for each attempt", 0, 0},
        {"--cases", ARGUMENT_TEXT, &cases, "FILE",
         "each line is a JSON case {id, definition, input, mocks}; prints an answer line for each",
         0, 0},
        {"--json", ARGUMENT_FLAG, &single.as_json, NULL, "print one JSON object", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 0, 1, &files);
    if (outcome != EXIT_GO_ON)
        goto out;
    bool both_standard = single.input_file && single.mocks_file &&
                         strcmp(single.input_file, "-") == 0 && strcmp(single.mocks_file, "-") == 0;
    if ((cases == NULL) == (files.count == 0))
        outcome = usage_fault(command, "give either a FILE or --cases FILE");
    else if (cases && (single.input_file || single.mocks_file))
        outcome = usage_fault(command, "each line of --cases has its own input and mocks");
    else if (both_standard)
        outcome = usage_fault(command, "only one of --input and --mocks can be standard input");
    else if (cases)
        outcome = cases_run(cases);
    else
        outcome = single_run(&single, files.items[0]);
out:
    text_list_fini(&files);
    return outcome;
}
