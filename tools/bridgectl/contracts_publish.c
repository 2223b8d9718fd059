/* SPDX-License-Identifier: MIT */
/* contracts_publish.c - versions of contracts on a running orchestrator: publish, show, delete. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "contracts_graph.h"

#define CALL_TIMEOUT_MS 30000

static const char *text_of(const struct json *object, const char *name)
{
    return json_string_or(json_get(object, name), "");
}

/* -- publish -- */

static bool ends_with(const char *text, const char *ending)
{
    size_t bytes = strlen(text), ending_bytes = strlen(ending);
    return bytes > ending_bytes && strcmp(text + bytes - ending_bytes, ending) == 0;
}

/* As `contracts check` prints them. */
static void print_answered_findings(const struct json *findings)
{
    for (size_t i = 0; i < json_size(findings); i++) {
        const struct json *finding = json_at(findings, i);
        struct buffer line = {0};
        buffer_append_format(&line, "%s:%lld:%lld: %s %s: %s", text_of(finding, "file"),
                             (long long)json_int_value(json_get(finding, "line")),
                             (long long)json_int_value(json_get(finding, "column")),
                             text_of(finding, "severity"), text_of(finding, "code"),
                             text_of(finding, "message"));
        char *plain = plain_text(buffer_text(&line));
        puts(plain);
        free(plain);
        buffer_fini(&line);
    }
}

static void print_outcome(const char *file, const struct api_answer *answer)
{
    const struct json *body = answer->body;
    struct error error = {0};
    print_answered_findings(json_get(body, answer->status < 300 ? "warnings" : "findings"));
    if (answer->status < 300) {
        bool is_new = strcmp(text_of(body, "outcome"), "created") == 0;
        bool tried = json_is_true(json_get(body, "dry_run"));
        printf("%s: %s %s %s\n", file, text_of(body, "name"), text_of(body, "version"),
               !is_new ? "is there already"
               : tried ? "would be published"
                       : "published");
        return;
    }
    api_problem(answer, &error);
    char *plain = plain_text(error.text);
    printf("%s: %s\n", file, plain);
    free(plain);
}

/* Every file gets its answer, whatever became of those before it. */
static int publish_file(struct api *api, const char *file, bool dry_run, struct json *answers)
{
    struct buffer text = {0}, path = {0};
    struct api_answer answer = {0};
    struct error error = {0};
    bool is_json = ends_with(file, ".json");
    buffer_append_text(&path, "/api/v1/contracts");
    append_query(&path, "file", file);
    append_query(&path, "dry_run", dry_run ? "true" : NULL);
    enum error_code code = read_whole(file, CONTRACT_BYTES_MAX, &text, &error);
    if (code == ERR_OK)
        code = api_send(api, "POST", buffer_text(&path),
                        is_json ? "application/json" : "application/yaml", &text, CALL_TIMEOUT_MS,
                        &answer, &error);
    int outcome = EXIT_FINE;
    if (code != ERR_OK) {
        outcome = fail(&error);
    } else {
        outcome = answer.status < 300 ? EXIT_FINE : EXIT_NO;
        if (answers == NULL)
            print_outcome(file, &answer);
    }
    if (answers != NULL) {
        struct json *item = json_object();
        json_object_set(item, "file", json_text(file));
        json_object_set(item, "status", json_int(answer.status));
        json_object_set(item, "answer", answer.body != NULL ? json_hold(answer.body) : json_null());
        json_array_append(answers, item);
    }
    api_answer_fini(&answer);
    buffer_fini(&path);
    buffer_fini(&text);
    return outcome;
}

/* In a directory, and in a shell's *.yaml, other files may lie beside the contracts; one that is named
 * alone is published whatever its name. */
static int publish_all(const struct ctl *ctl, const struct command *command,
                       const struct documents *documents, bool named, bool dry_run, bool as_json)
{
    struct api *api = api_new(ctl, ctl->config->orchestrator_url);
    struct json *answers = as_json ? json_array() : NULL;
    int outcome = documents->missing > 0 ? EXIT_NO : EXIT_FINE;
    size_t files = 0;
    for (size_t i = 0; i < documents->count; i++) {
        if (!is_contract_file(documents->items[i].path) && !named)
            continue;
        files++;
        int one = publish_file(api, documents->items[i].path, dry_run, answers);
        outcome = one == EXIT_FINE ? outcome : one;
    }
    if (files == 0 && documents->missing == 0)
        outcome = usage_fault(command, "there is no .yaml, .yml or .json file to publish");
    else if (as_json)
        print_json(answers);
    json_release(answers);
    api_free(api);
    return outcome;
}

static int run_publish(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    bool dry_run = false, as_json = false;
    struct text_list paths = {0};
    const struct argument table[] = {
        {"--dry-run", ARGUMENT_FLAG, &dry_run, NULL, "only check, as the orchestrator would", 0, 0},
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print a JSON array with the answers", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 1, SIZE_MAX, &paths);
    if (outcome == EXIT_GO_ON) {
        struct documents documents = {0};
        for (size_t i = 0; i < paths.count; i++)
            documents_add(&documents, paths.items[i]);
        bool named = paths.count == 1 && documents.count == 1;
        outcome = publish_all(ctl, command, &documents, named, dry_run, as_json);
        documents_fini(&documents);
    }
    text_list_fini(&paths);
    return outcome;
}

/* -- one version -- */

static void version_path(struct buffer *path, const char *name, const char *version)
{
    buffer_append_text(path, "/api/v1/contracts/");
    append_encoded(path, name);
    if (version == NULL)
        return;
    buffer_append_text(path, "/versions/");
    append_encoded(path, version);
}

/* The contract alone, without what the orchestrator says about it: as it can be published. */
static struct json *document_of(const struct json *answer)
{
    static const char *const said[] = {"source",  "created_at",     "deleted_at",
                                       "offered", "live_workflows", "versions"};
    struct json *document = json_object();
    for (size_t i = 0; i < json_size(answer); i++) {
        const char *name = json_name_at(answer, i, NULL);
        bool is_said = false;
        for (size_t s = 0; s < sizeof said / sizeof said[0]; s++)
            is_said = is_said || strcmp(said[s], name) == 0;
        if (!is_said)
            json_object_set(document, name, json_hold(json_member_at(answer, i)));
    }
    return document;
}

static void print_document(const struct json *answer, bool as_json)
{
    struct json *document = document_of(answer);
    struct buffer text = {0};
    if (as_json) {
        print_json(answer);
    } else {
        yaml_write(document, &text);
        fputs(buffer_text(&text), stdout);
    }
    buffer_fini(&text);
    json_release(document);
}

static int run_show(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    const char *version = NULL, *format = "yaml";
    struct text_list names = {0};
    const struct argument table[] = {
        {"--version", ARGUMENT_TEXT, &version, "VERSION", "this one; without it the newest", 0, 0},
        {"--format", ARGUMENT_TEXT, &format, "FORMAT",
         "yaml: the contract; json: with source, times and workflows on it", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 1, 1, &names);
    bool as_json = outcome == EXIT_GO_ON && strcmp(format, "json") == 0;
    if (outcome == EXIT_GO_ON && !as_json && strcmp(format, "yaml") != 0)
        outcome = usage_fault(command, "--format is %s; it must be yaml or json", format);
    if (outcome == EXIT_GO_ON) {
        struct api_answer answer = {0};
        struct error error = {0};
        struct buffer path = {0};
        struct api *api = api_new(ctl, ctl->config->orchestrator_url);
        version_path(&path, names.items[0], version);
        outcome = EXIT_FINE;
        if (api_get(api, "GET", buffer_text(&path), CALL_TIMEOUT_MS, &answer, &error) != ERR_OK)
            outcome = fail(&error);
        else
            print_document(answer.body, as_json);
        api_answer_fini(&answer);
        api_free(api);
        buffer_fini(&path);
    }
    text_list_fini(&names);
    return outcome;
}

static int run_delete(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    struct text_list names = {0};
    int outcome = arguments_parse(command, NULL, argc, argv, 2, 2, &names);
    if (outcome == EXIT_GO_ON) {
        struct api_answer answer = {0};
        struct error error = {0};
        struct buffer path = {0};
        struct api *api = api_new(ctl, ctl->config->orchestrator_url);
        version_path(&path, names.items[0], names.items[1]);
        outcome = EXIT_FINE;
        if (api_get(api, "DELETE", buffer_text(&path), CALL_TIMEOUT_MS, &answer, &error) != ERR_OK)
            outcome = fail(&error);
        else
            printf("%s %s deleted\n", names.items[0], names.items[1]);
        api_answer_fini(&answer);
        api_free(api);
        buffer_fini(&path);
    }
    text_list_fini(&names);
    return outcome;
}

const struct command contract_version_commands[] = {
    {.name = "contracts publish",
     .summary = "publish contracts: new workflows take their versions from now on",
     .usage = "PATH... [--dry-run] [--json]",
     .prose =
         "PATH is a file or a directory; tests of contracts (*.test.*) are left out.\n"
         "The orchestrator makes all checks that it makes of files of its own, and prints the "
         "findings.\n"
         "A version that is there already with the same content is fine; with other content it "
         "is refused.\n"
         "Exits 1 when a file was refused.",
     .example = "bridgectl contracts publish greet.yaml --dry-run\n"
                "bridgectl contracts publish contracts/examples",
     .run = run_publish},
    {.name = "contracts show",
     .summary = "print a contract of the orchestrator",
     .usage = "NAME [--version VERSION] [--format yaml|json]",
     .example = "bridgectl contracts show metadata_stamping --version 1.0.0",
     .run = run_show},
    {.name = "contracts delete",
     .summary = "take a version out of offer; one that workflows run on is kept",
     .usage = "NAME VERSION",
     .prose = "The version can still be read, and published again with the same content.",
     .example = "bridgectl contracts delete greet 1.0.0",
     .run = run_delete},
    {.name = NULL},
};
