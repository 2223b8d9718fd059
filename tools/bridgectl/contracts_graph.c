/* SPDX-License-Identifier: MIT */
/* contracts_graph.c - draws the state machine of a contract. */
#include "contracts_graph.h"

#include <errno.h>
#include <string.h>

#include "contracts_run.h"
#include "core/asl_picture.h"
#include "program.h"

struct graph_options {
    const char *format;
    const char *output;
    bool graphviz;
};

bool output_write(const char *file, const struct buffer *text)
{
    FILE *stream = file ? fopen(file, "w") : stdout;
    bool fine = stream && fwrite(buffer_text(text), 1, text->bytes, stream) == text->bytes;
    fine = (stream && file ? fclose(stream) == 0 : fflush(stdout) == 0) && fine;
    if (!fine)
        fail_text("%s cannot be written: %s", file ? file : "the output", strerror(errno));
    return fine;
}

/* An SVG drawn by Graphviz from the DOT form. */
static bool graphviz_draw(const struct json *definition, const char *title, struct buffer *out)
{
    static const char *const argv[] = {"dot", "-Tsvg", NULL};
    struct buffer dot = {0};
    struct error error = {0};
    bool fine = asl_picture_write(definition, title, ASL_PICTURE_DOT, &dot, &error) == ERR_OK;
    if (!program_exists(argv[0])) {
        fail_text(
            "Graphviz is not installed: there is no program dot; without --graphviz the SVG is "
            "drawn here");
        fine = false;
    } else if (fine && program_run(argv, NULL, &dot, out) != 0) {
        fail_text("dot failed: %.300s", buffer_text(out));
        fine = false;
    }
    buffer_fini(&dot);
    return fine;
}

static int contract_draw(const struct contract *contract, enum asl_picture_format format,
                         const struct graph_options *options)
{
    const struct json *definition = asl_machine_definition(contract->machine);
    struct buffer picture = {0};
    struct error error = {0};
    int outcome = EXIT_FINE;
    if (options->graphviz)
        outcome = graphviz_draw(definition, contract->name, &picture) ? EXIT_FINE : EXIT_NO;
    else if (asl_picture_write(definition, contract->name, format, &picture, &error) != ERR_OK)
        outcome = fail(&error);
    if (outcome == EXIT_FINE && !output_write(options->output, &picture))
        outcome = EXIT_NO;
    buffer_fini(&picture);
    return outcome;
}

struct contract *contract_load_or_tell(const char *file)
{
    struct findings findings = {0};
    struct contract *contract = mocked_contract_load(file, &findings);
    if (!contract) {
        struct buffer text = {0};
        findings_write(&findings, &text);
        fputs(buffer_text(&text), stderr);
        buffer_fini(&text);
    }
    findings_fini(&findings);
    return contract;
}

static int file_draw(const char *file, enum asl_picture_format format,
                     const struct graph_options *options)
{
    struct contract *contract = contract_load_or_tell(file);
    int outcome = contract ? contract_draw(contract, format, options) : EXIT_NO;
    contract_free(contract);
    return outcome;
}

int run_graph(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    (void)ctl;
    struct graph_options options = {.format = "mermaid"};
    struct text_list files = {0};
    const struct argument table[] = {{"--format", ARGUMENT_TEXT, &options.format, "FORM",
                                      "mermaid (standard), dot, svg or text", 0, 0},
                                     {"--output", ARGUMENT_TEXT, &options.output, "FILE",
                                      "write to FILE, not standard output", 0, 0},
                                     {"--graphviz", ARGUMENT_FLAG, &options.graphviz, NULL,
                                      "with --format svg: let Graphviz draw, where it is installed",
                                      0, 0},
                                     {.name = NULL}};
    int outcome = arguments_parse(command, table, argc, argv, 1, 1, &files);
    if (outcome == EXIT_GO_ON) {
        enum asl_picture_format format;
        if (!asl_picture_format_parse(options.format, &format))
            outcome = usage_fault(command,
                                  "there is no form \"%s\"; there are mermaid, dot, svg and "
                                  "text",
                                  options.format);
        else if (options.graphviz && format != ASL_PICTURE_SVG)
            outcome = usage_fault(command, "--graphviz draws an SVG: it goes with --format svg");
        else
            outcome = file_draw(files.items[0], format, &options);
    }
    text_list_fini(&files);
    return outcome;
}
