/* SPDX-License-Identifier: MIT */
/* contracts.c - checks contract files, and shows those that the orchestrator has loaded. */
#include <stdlib.h>
#include <string.h>

#include "contracts_graph.h"
#include "contracts_run.h"
#include "io/contract_files.h"

static const char *path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool is_contract_file(const char *path)
{
    static const char *const endings[] = {".yaml", ".yml", ".json"};
    size_t bytes = strlen(path);
    if (strstr(path_name(path), ".test.")) /* the tests of the contract beside them */
        return false;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t ending = strlen(endings[i]);
        if (bytes > ending && strcmp(path + bytes - ending, endings[i]) == 0)
            return true;
    }
    return false;
}

void print_findings(const struct findings *findings, size_t files, size_t missing, bool as_json)
{
    if (as_json) {
        struct json *object = json_object();
        json_object_set(object, "valid", json_bool(findings->errors == 0 && missing == 0));
        json_object_set(object, "files", json_int((int64_t)files));
        json_object_set(object, "findings", findings_json(findings));
        json_object_set(object, "findings_left_out", json_int((int64_t)findings->left_out));
        print_json(object);
        json_release(object);
        return;
    }
    struct buffer text = {0};
    findings_write(findings, &text);
    fputs(buffer_text(&text), stdout);
    printf("%zu files, %zu errors, %zu warnings\n", files, findings->errors + missing,
           findings->count + findings->left_out - findings->errors);
    buffer_fini(&text);
}

static int check_all(const struct command *command, const struct documents *documents, bool named,
                     bool as_json)
{
    struct findings findings = {0};
    size_t files = 0, missing = (size_t)documents->missing;
    for (size_t i = 0; i < documents->count; i++) {
        /* In a directory other files may lie beside the contracts; one that is named is checked. */
        if (!is_contract_file(documents->items[i].path) && !(named && documents->count == 1))
            continue;
        files++;
        contract_free(contract_file_load(documents->items[i].path, &findings));
    }
    int outcome = findings.errors > 0 || missing > 0 ? EXIT_NO : EXIT_FINE;
    if (files == 0 && missing == 0)
        outcome = usage_fault(command, "there is no .yaml, .yml or .json file to check");
    else
        print_findings(&findings, files, missing, as_json);
    findings_fini(&findings);
    return outcome;
}

int run_files_check(const struct ctl *ctl, const struct command *command, int argc, char **argv,
                    const char *directory,
                    int (*check)(const struct command *command, const struct documents *documents,
                                 bool named, bool as_json))
{
    bool as_json = false;
    struct text_list paths = {0};
    const struct argument table[] = {
        {"--json", ARGUMENT_FLAG, &as_json, NULL, "print one JSON object with the findings", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 0, SIZE_MAX, &paths);
    if (outcome == EXIT_GO_ON) {
        struct documents documents = {0};
        struct buffer standard = {0};
        buffer_append_format(&standard, "%s/%s", ctl->config->contracts_dir, directory);
        if (paths.count == 0)
            documents_add(&documents, buffer_text(&standard));
        for (size_t i = 0; i < paths.count; i++)
            documents_add(&documents, paths.items[i]);
        outcome = check(command, &documents, paths.count > 0, as_json);
        documents_fini(&documents);
        buffer_fini(&standard);
    }
    text_list_fini(&paths);
    return outcome;
}

static int run_check(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run_files_check(ctl, command, argc, argv, "workflows", check_all);
}

static void print_contracts(const struct ctl *ctl, const struct json *items)
{
    static const char *const head[] = {"NAME", "NEWEST", "VERSIONS", "DESCRIPTION"};
    struct table table;
    table_start(&table, 4, head);
    for (size_t i = 0; i < json_size(items); i++) {
        const struct json *versions = json_get(json_at(items, i), "versions");
        struct buffer all = {0};
        for (size_t v = 0; v < json_size(versions); v++)
            buffer_append_format(&all, "%s%s", v == 0 ? "" : " ",
                                 json_string_or(json_get(json_at(versions, v), "version"), ""));
        table_cell(&table, json_string_or(json_get(json_at(items, i), "name"), ""));
        table_cell(&table, json_string_or(json_get(json_at(items, i), "version"), NULL));
        table_cell(&table, buffer_text(&all));
        buffer_fini(&all);
        char *first_line =
            must_strdup(json_string_or(json_get(json_at(items, i), "description"), ""));
        first_line[strcspn(first_line, "\n")] = '\0';
        table_cell(&table, first_line);
        free(first_line);
    }
    table_print(&table, ctl);
}

static int run_list(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    return run_items_list(ctl, command, argc, argv, ctl->config->orchestrator_url,
                          "/api/v1/contracts", print_contracts);
}

const struct command contract_commands[] = {
    {.name = "contracts check",
     .summary = "check contract files: schemas, state machine, references",
     .usage = "[PATH...] [--json]",
     .prose = "PATH is a file or a directory; CONTRACTS_DIR/workflows without one. Findings are "
              "printed as\n"
              "file:line:column. Exits 1 when one is an error; warnings alone exit 0.",
     .example = "bridgectl contracts check contracts/workflows",
     .run = run_check},
    {.name = "contracts run",
     .summary = "run a state machine alone, on a virtual clock, with mocked tasks",
     .usage = "FILE [--input FILE] [--mocks FILE] [--json] | --cases FILE",
     .prose =
         "FILE is a contract or a state machine, in YAML or JSON; any Resource will do. Each "
         "attempt of a\n"
         "Task takes the first unused mock that names its state, else the first that names none; "
         "without\n"
         "one it fails with States.TaskFailed. Nothing is called and nothing waits: the clock "
         "jumps.\n"
         "Exits 1 when the run does not end as SUCCEEDED; with --cases 0 when every line was "
         "answered.",
     .example = "bridgectl contracts run contracts/workflows/metadata_stamping.yaml --input "
                "input.json --mocks mocks.yaml\n"
                "bridgectl contracts run --cases - < cases.jsonl > answers.jsonl",
     .run = run_run},
    {.name = "contracts test",
     .summary = "run the *.test.yaml files beside contracts",
     .usage = "[PATH...] [--json]",
     .prose = "PATH is a test file, a contract with one beside it, or a directory; CONTRACTS_DIR "
              "without one.\n"
              "A case gives an input, mocks for the tasks and what is expected; the format is in\n"
              "docs/states-language.md. Exits 1 when a case fails or a file is not valid.",
     .example = "bridgectl contracts test contracts",
     .run = run_test},
    {.name = "contracts graph",
     .summary = "draw the state machine of a contract",
     .usage = "FILE [--format mermaid|dot|svg|text] [--output FILE] [--graphviz]",
     .prose =
         "FILE is a contract or a state machine, in YAML or JSON; any Resource will do. The SVG "
         "is drawn\n"
         "without foreign tools.",
     .example = "bridgectl contracts graph contracts/workflows/metadata_stamping.yaml --format svg "
                "--output stamping.svg",
     .run = run_graph},
    {.name = "contracts verify",
     .summary = "prove that the control flow of a contract has no dead end and runs to an end",
     .usage = "PATH... [--promela FILE] [--no-spin] [--json]",
     .prose =
         "PATH is a contract, a state machine, or a directory.\n"
         "Goes through every way that Choices, errors and branches can take: does a run get "
         "stuck, can it\n"
         "always come to an end, and do compensations (the head's verify.compensations) run when "
         "and\n"
         "only when there is something to undo? Where spin and cc are installed, spin checks the "
         "same\n"
         "model. Exits 1 with the shortest way to each fault.",
     .example = "bridgectl contracts verify contracts/examples/saga.yaml",
     .run = run_verify},
    {.name = "contracts list",
     .summary = "list the contracts that the orchestrator offers, with their versions",
     .usage = "[--json]",
     .prose = "NEWEST is what a submission gets that names no version; pre-releases must be named.",
     .example = "bridgectl contracts list",
     .run = run_list},
    {.name = NULL},
};
