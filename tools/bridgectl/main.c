/* SPDX-License-Identifier: MIT */
/* main.c - bridgectl: finds the command and runs it. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgectl.h"
#include "io/log.h"

static const struct command *const groups[] = {
    submit_commands,      workflow_commands,        task_commands,
    totals_commands,      contract_commands,        contract_version_commands,
    aggregation_commands, aggregation_row_commands, migrate_commands,
    topic_commands,       health_commands,          shard_commands,
    docs_commands,        rebuild_commands,         audit_commands,
    service_commands,
};
#define GROUPS (sizeof groups / sizeof groups[0])

static void print_commands(FILE *out)
{
    fprintf(out, "bridgectl - the command line of OmniNode Bridge\n\nusage: bridgectl COMMAND "
                 "[OPTIONS]\n\ncommands:\n");
    for (size_t g = 0; g < GROUPS; g++)
        for (const struct command *command = groups[g]; command->name != NULL; command++)
            if (!command->hidden)
                fprintf(out, "  %-18s %s\n", command->name, command->summary);
    fprintf(
        out,
        "\n"
        "`bridgectl COMMAND --help` shows the options and an example, `bridgectl --variables` the\n"
        "environment variables (ORCHESTRATOR_URL, REDUCER_URL, API_KEY, DATABASE_URL, ...).\n"
        "Exit codes: 0 fine, 1 the answer is no, 2 the command line is not valid.\n"
        "\nexample:\n  bridgectl submit README.md docs/\n");
}

/* The command named by the first one or two words; *words says how many. */
static const struct command *find_command(int argc, char **argv, int *words)
{
    for (size_t g = 0; g < GROUPS; g++) {
        for (const struct command *command = groups[g]; command->name != NULL; command++) {
            size_t first = strcspn(command->name, " ");
            if (argc < 1 || strlen(argv[0]) != first || memcmp(command->name, argv[0], first) != 0)
                continue;
            if (command->name[first] == '\0') {
                *words = 1;
                return command;
            }
            if (argc >= 2 && strcmp(command->name + first + 1, argv[1]) == 0) {
                *words = 2;
                return command;
            }
        }
    }
    return NULL;
}

/* A known group without its second word ("bridgectl topics"): lists the group. */
static bool print_group(const char *word, FILE *out)
{
    bool any = false;
    for (size_t g = 0; g < GROUPS; g++) {
        for (const struct command *command = groups[g]; command->name != NULL; command++) {
            size_t first = strcspn(command->name, " ");
            if (strlen(word) == first && memcmp(command->name, word, first) == 0) {
                fprintf(out, "  bridgectl %-18s %s\n", command->name, command->summary);
                any = true;
            }
        }
    }
    return any;
}

static int print_variables(void)
{
    struct buffer text = {0};
    config_help(FOR_BRIDGECTL, "bridgectl COMMAND [OPTIONS]", &text);
    fputs(buffer_text(&text), stdout);
    buffer_fini(&text);
    return EXIT_FINE;
}

static int no_command(int argc, char **argv)
{
    if (argc < 1) {
        print_commands(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[0];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_commands(stdout);
        return EXIT_FINE;
    }
    if (strcmp(word, "--version") == 0) {
        printf("bridgectl %s\n", VERSION);
        return EXIT_FINE;
    }
    if (strcmp(word, "--variables") == 0)
        return print_variables();
    bool help = argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (print_group(word, help ? stdout : stderr))
        return help ? EXIT_FINE : EXIT_USAGE;
    if (word[0] == '-')
        fprintf(stderr, "bridgectl: unknown option %s; see bridgectl --help\n", word);
    else
        fprintf(stderr, "bridgectl: unknown command \"%s\"; see bridgectl --help\n", word);
    return EXIT_USAGE;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    int words = 0;
    const struct command *command = find_command(argc - 1, argv + 1, &words);
    if (command == NULL)
        return no_command(argc - 1, argv + 1);
    signal(SIGPIPE, SIG_IGN);

    struct config config = {0};
    struct buffer faults = {0};
    /* Help and generated documents must not depend on the variables of the moment. */
    bool needs_config = !asks_for_help(argc - 1, argv + 1) && !command->hidden;
    if (config_load(&config, FOR_BRIDGECTL, config_getenv, NULL, &faults) > 0 && needs_config) {
        fprintf(stderr, "%s", buffer_text(&faults));
        buffer_fini(&faults);
        config_fini(&config);
        return EXIT_USAGE;
    }
    /* Faults are told as sentences; the libraries' own log is for LOG_LEVEL=debug. */
    log_init("bridgectl", strcmp(config.log_level, "debug") == 0 ? "debug" : "error");
    log_to_standard_error();
    const char *no_colour = getenv("NO_COLOR");
    struct ctl ctl = {
        .config = &config,
        .colour = isatty(STDOUT_FILENO) && (no_colour == NULL || no_colour[0] == '\0'),
        .progress = isatty(STDERR_FILENO) != 0,
    };
    int outcome = command->run(&ctl, command, argc - 1 - words, argv + 1 + words);
    if (fflush(stdout) != 0 && outcome == EXIT_FINE)
        outcome = EXIT_NO;
    buffer_fini(&faults);
    config_fini(&config);
    return outcome;
}
