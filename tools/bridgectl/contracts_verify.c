/* SPDX-License-Identifier: MIT */
/* contracts_verify.c - goes through the control flow of a contract: by our own exploration, and by
 * spin where spin and a C compiler are installed. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contracts_graph.h"
#include "contracts_run.h"
#include "core/asl_model.h"
#include "program.h"

#define SPIN_DEPTH "-m1000000"
#define SPIN_PLACES_MAX 400         /* a larger model takes cc and spin minutes */
#define SPIN_MEMORY "-DMEMLIM=2048" /* MiB */

struct verify_options {
    const char *promela;
    bool no_spin;
    bool as_json;
};

enum spin_answer { SPIN_ABSENT, SPIN_TOO_LARGE, SPIN_FINE, SPIN_FAULT, SPIN_FAILED };
static const char *const spin_words[] = {"not used", "not used for a model as large as this",
                                         "agrees", "disagrees", "failed"};

/* -- spin -- */

static bool step_run(const char *const *argv, const char *directory, struct buffer *output)
{
    buffer_clear(output);
    return program_run(argv, directory, NULL, output) == 0;
}

/* Compiles and runs the checker that spin has written: how many errors it finds, or -1. */
static long checker_run(const char *directory, const char *define, const char *mode,
                        struct buffer *output)
{
    const char *const compile[] = {"cc", "-O1", "-w",    define, SPIN_MEMORY,
                                   "-o", "pan", "pan.c", NULL};
    const char *const check[] = {"./pan", SPIN_DEPTH, mode, NULL};
    if (!step_run(compile, directory, output))
        return -1;
    buffer_clear(output);
    if (program_run(check, directory, NULL, output) < 0)
        return -1;
    const char *found = strstr(buffer_text(output), "errors: ");
    bool whole = !strstr(buffer_text(output), "max search depth too small") &&
                 !strstr(buffer_text(output), "out of memory");
    return found && whole ? strtol(found + strlen("errors: "), NULL, 10) : -1;
}

static enum spin_answer spin_check(const char *directory, struct buffer *output)
{
    static const char *const translate[] = {"spin", "-a", "model.pml", NULL};
    if (!step_run(translate, directory, output))
        return SPIN_FAILED;
    long safety = checker_run(directory, "-DSAFETY", "-c1", output);
    long progress = safety < 0 ? -1 : checker_run(directory, "-DNP", "-l", output);
    if (safety < 0 || progress < 0)
        return SPIN_FAILED;
    return safety + progress > 0 ? SPIN_FAULT : SPIN_FINE;
}

static void directory_remove(const char *directory)
{
    const char *const argv[] = {"rm", "-rf", "--", directory, NULL};
    struct buffer output = {0};
    if (program_run(argv, NULL, NULL, &output) != 0)
        fprintf(stderr, "%s", buffer_text(&output));
    buffer_fini(&output);
}

static enum spin_answer spin_run(const struct buffer *promela, struct buffer *output)
{
    const char *parent = getenv("TMPDIR");
    struct buffer directory = {0}, file = {0};
    buffer_append_format(&directory, "%s/bridgectl-verify-XXXXXX", parent ? parent : "/tmp");
    enum spin_answer answer = SPIN_FAILED;
    if (mkdtemp(directory.data)) {
        buffer_append_format(&file, "%s/model.pml", directory.data);
        if (output_write(buffer_text(&file), promela))
            answer = spin_check(directory.data, output);
        directory_remove(directory.data);
    }
    buffer_fini(&directory);
    buffer_fini(&file);
    return answer;
}

/* -- telling -- */

static const char *const questions[ASL_MODEL_FAULT_TYPES] = {
    [ASL_MODEL_STUCK] = "no run gets stuck",
    [ASL_MODEL_ENDLESS] = "every run can come to an end",
    [ASL_MODEL_UNDO_TOO_MUCH] = "compensation runs only for what was done, and once",
    [ASL_MODEL_UNDO_MISSING] = "no run fails with something left to compensate",
};

static void faults_print(const struct asl_model_result *result, enum asl_model_fault_type type)
{
    bool found = false;
    for (size_t i = 0; i < result->faults_count; i++) {
        const struct asl_model_fault *fault = &result->faults[i];
        if (fault->type != type)
            continue;
        printf("%s  %s: %s\n", found ? "    " : "NO  ", questions[type], fault->text);
        for (size_t k = 0; k < fault->path_count; k++)
            printf("        %zu. %s\n", k + 1, fault->path[k]);
        found = true;
    }
    if (!found)
        printf("%s  %s\n", result->complete ? "yes " : "?   ", questions[type]);
}

static void result_print(const struct contract *contract, const struct asl_model *model,
                         const struct asl_model_result *result, enum spin_answer spin)
{
    printf("%s %s: %zu places%s; spin: %s\n", contract->name, contract->version, result->places,
           result->complete ? "" : ", and more than can be gone through", spin_words[spin]);
    for (int type = 0; type < ASL_MODEL_FAULT_TYPES; type++) {
        bool about_pairs = type == ASL_MODEL_UNDO_TOO_MUCH || type == ASL_MODEL_UNDO_MISSING;
        if (!about_pairs || model->pairs_count > 0)
            faults_print(result, (enum asl_model_fault_type)type);
    }
}

static void result_print_json(const struct contract *contract,
                              const struct asl_model_result *result, enum spin_answer spin)
{
    static const char *const codes[ASL_MODEL_FAULT_TYPES] = {
        [ASL_MODEL_STUCK] = "stuck",
        [ASL_MODEL_ENDLESS] = "endless",
        [ASL_MODEL_UNDO_TOO_MUCH] = "compensation_too_much",
        [ASL_MODEL_UNDO_MISSING] = "compensation_missing",
    };
    struct json *faults = json_array(), *object = json_object();
    for (size_t i = 0; i < result->faults_count; i++) {
        const struct asl_model_fault *fault = &result->faults[i];
        struct json *item = json_object(), *path = json_array();
        for (size_t k = 0; k < fault->path_count; k++)
            json_array_append(path, json_text(fault->path[k]));
        json_object_set(item, "code", json_text(codes[fault->type]));
        json_object_set(item, "text", json_text(fault->text));
        json_object_set(item, "path", path);
        json_array_append(faults, item);
    }
    json_object_set(object, "name", json_text(contract->name));
    json_object_set(object, "version", json_text(contract->version));
    json_object_set(object, "places", json_int((int64_t)result->places));
    json_object_set(object, "complete", json_bool(result->complete));
    json_object_set(object, "spin", json_text(spin_words[spin]));
    json_object_set(object, "faults", faults);
    print_json(object);
    json_release(object);
}

/* -- the command -- */

/* Spin answers for the whole model: it agrees when it finds a fault where we do. */
static enum spin_answer spin_compare(const struct asl_model *model, const struct contract *contract,
                                     const struct asl_model_result *result,
                                     const struct verify_options *options)
{
    if (options->no_spin || !program_exists("spin") || !program_exists("cc") || !result->complete)
        return SPIN_ABSENT;
    if (result->places > SPIN_PLACES_MAX)
        return SPIN_TOO_LARGE;
    struct buffer promela = {0}, output = {0};
    asl_model_promela(model, contract->name, &promela);
    enum spin_answer answer = spin_run(&promela, &output);
    if (answer == SPIN_FAILED)
        fprintf(stderr, "spin could not check the model: %.1000s\n", buffer_text(&output));
    else
        answer = (answer == SPIN_FAULT) == (result->faults_count > 0) ? SPIN_FINE : SPIN_FAULT;
    buffer_fini(&promela);
    buffer_fini(&output);
    return answer;
}

static int model_verify(const struct asl_model *model, const struct contract *contract,
                        const struct verify_options *options)
{
    if (options->promela) {
        struct buffer promela = {0};
        asl_model_promela(model, contract->name, &promela);
        bool written = output_write(options->promela, &promela);
        buffer_fini(&promela);
        if (!written)
            return EXIT_NO;
    }
    struct asl_model_result result;
    asl_model_explore(model, &result);
    enum spin_answer spin = spin_compare(model, contract, &result, options);
    if (options->as_json)
        result_print_json(contract, &result, spin);
    else
        result_print(contract, model, &result, spin);
    bool fine = result.complete && result.faults_count == 0 && spin <= SPIN_FINE;
    asl_model_fini(&result);
    return fine ? EXIT_FINE : EXIT_NO;
}

static int file_verify(const char *file, const struct verify_options *options)
{
    struct contract *contract = contract_load_or_tell(file);
    if (!contract)
        return EXIT_NO;
    struct asl_outline *outline = asl_outline_new(asl_machine_definition(contract->machine), "");
    struct asl_model model;
    struct error error = {0};
    int outcome;
    if (asl_model_init(&model, outline, json_get(contract->document, "verify"), &error) != ERR_OK)
        outcome = fail(&error);
    else
        outcome = model_verify(&model, contract, options);
    asl_outline_free(outline);
    contract_free(contract);
    return outcome;
}

/* In a directory other files may lie beside the contracts; one that is named is read. */
static int paths_verify(const struct command *command, const struct text_list *paths,
                        const struct verify_options *options)
{
    struct documents documents = {0};
    int outcome = EXIT_FINE;
    size_t files = 0;
    for (size_t i = 0; i < paths->count; i++)
        documents_add(&documents, paths->items[i]);
    bool named = paths->count == 1 && documents.count == 1;
    for (size_t i = 0; i < documents.count; i++) {
        if (!is_contract_file(documents.items[i].path) && !named)
            continue;
        files++;
        if (file_verify(documents.items[i].path, options) != EXIT_FINE)
            outcome = EXIT_NO;
    }
    if (documents.missing > 0)
        outcome = EXIT_NO;
    else if (files == 0)
        outcome = usage_fault(command, "there is no .yaml, .yml or .json file to verify");
    documents_fini(&documents);
    return outcome;
}

int run_verify(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    (void)ctl;
    struct verify_options options = {0};
    struct text_list paths = {0};
    const struct argument table[] = {
        {"--promela", ARGUMENT_TEXT, &options.promela, "FILE", "write the model for spin to FILE",
         0, 0},
        {"--no-spin", ARGUMENT_FLAG, &options.no_spin, NULL, "do not run spin, installed or not", 0,
         0},
        {"--json", ARGUMENT_FLAG, &options.as_json, NULL, "print one JSON object a contract", 0, 0},
        {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 1, SIZE_MAX, &paths);
    if (outcome == EXIT_GO_ON)
        outcome = paths_verify(command, &paths, &options);
    text_list_fini(&paths);
    return outcome;
}
