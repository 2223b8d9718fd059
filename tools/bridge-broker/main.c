/* SPDX-License-Identifier: MIT */
/* bridge-broker - a Kafka-protocol broker for development: memory only, random port, no JVM.
 *
 * Prints its address as one line when it is ready, writes it to a file when asked to, and runs until
 * SIGTERM or SIGINT. SIGHUP reads the topics file again and creates the topics that are new in it.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "io/mock_broker.h"

enum { EXIT_USAGE = 2, TOPIC_LINE_BYTES = 512, TOPICS_MAX = 256 };

struct settings {
    int brokers;
    const char *address_file;
    const char *topics_file;
    const char *topics[TOPICS_MAX]; /* NAME:PARTITIONS */
    int topics_count;
};

struct flag {
    const char *name;
    int letter;
    const char *argument; /* NULL when it takes none */
    const char *prose;
};

static const struct flag flags[] = {
    {"topic", 't', "NAME:PARTITIONS", "create this topic at start; may be repeated"},
    {"topics-file", 'f', "FILE", "one NAME:PARTITIONS a line, created at start and on SIGHUP"},
    {"address-file", 'a', "FILE", "write the address there when ready"},
    {"brokers", 'b', "N", "number of brokers in the cluster, 1 unless given"},
    {"help", 'h', NULL, "this text"},
};
enum { FLAGS_COUNT = sizeof flags / sizeof flags[0] };

static void print_help(void)
{
    puts("usage: bridge-broker [OPTION...]\n\n"
         "A Kafka-protocol broker for development: memory only, on free ports of 127.0.0.1, with a new\n"
         "cluster id at each start. Prints its address when ready and runs until SIGTERM.\n");
    for (int i = 0; i < FLAGS_COUNT; i++) {
        char head[64];
        snprintf(head, sizeof head, "--%s %s", flags[i].name, flags[i].argument ? flags[i].argument : "");
        printf("  %-26s %s\n", head, flags[i].prose);
    }
    puts("\nexample: bridge-broker --topic dev.omninode_bridge.onex.workflows.v1:10");
}

/* Takes a whole decimal number; false for anything else. */
static bool parse_number(const char *text, int *number)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 0 || value > 1000000)
        return false;
    *number = (int)value;
    return true;
}

static enum error_code parse_flag(struct settings *settings, int letter, const char *argument,
                                  struct error *error)
{
    switch (letter) {
    case 't':
        if (settings->topics_count == TOPICS_MAX)
            return error_set(error, ERR_INVALID, "more than %d --topic options; use --topics-file",
                             (int)TOPICS_MAX);
        settings->topics[settings->topics_count++] = argument;
        return ERR_OK;
    case 'f': settings->topics_file = argument; return ERR_OK;
    case 'a': settings->address_file = argument; return ERR_OK;
    case 'b':
        if (!parse_number(argument, &settings->brokers))
            return error_set(error, ERR_INVALID, "--brokers %s: it must be a number from 1 to %d", argument,
                             MOCK_BROKER_BROKERS_MAX);
        return ERR_OK;
    default: return error_set(error, ERR_INVALID, "see bridge-broker --help");
    }
}

static enum error_code parse_arguments(struct settings *settings, int count, char **arguments,
                                       struct error *error)
{
    struct option options[FLAGS_COUNT + 1] = {{0}};
    for (int i = 0; i < FLAGS_COUNT; i++)
        options[i] = (struct option){.name = flags[i].name,
                                     .has_arg = flags[i].argument ? required_argument : no_argument,
                                     .val = flags[i].letter};
    for (int letter; (letter = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        if (letter == 'h') {
            print_help();
            exit(EXIT_SUCCESS);
        }
        enum error_code code = parse_flag(settings, letter, optarg, error);
        if (code)
            return code;
    }
    if (optind < count)
        return error_set(error, ERR_INVALID, "%s: this program takes only options, see --help",
                         arguments[optind]);
    return ERR_OK;
}

/* Creates one topic given as NAME:PARTITIONS; one that is there already is fine. */
static enum error_code create_topic(struct mock_broker *broker, const char *text, struct error *error)
{
    char name[TOPIC_LINE_BYTES];
    const char *colon = strrchr(text, ':');
    int partitions;
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof name ||
        !parse_number(colon + 1, &partitions))
        return error_set(error, ERR_INVALID, "topic \"%s\": it must be NAME:PARTITIONS", text);
    memcpy(name, text, (size_t)(colon - text));
    name[colon - text] = '\0';
    enum error_code code = mock_broker_create_topic(broker, name, partitions, error);
    return code == ERR_CONFLICT ? ERR_OK : code;
}

static enum error_code create_topics_of_file(struct mock_broker *broker, const char *path,
                                             struct error *error)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return error_set(error, ERR_IO, "cannot read %s: %s", path, strerror(errno));
    char line[TOPIC_LINE_BYTES];
    enum error_code code = ERR_OK;
    while (code == ERR_OK && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] && line[0] != '#')
            code = create_topic(broker, line, error);
    }
    fclose(file);
    return code;
}

/* Written beside and renamed, so that a reader never sees half an address. */
static enum error_code write_address(const char *path, const char *address, struct error *error)
{
    struct buffer beside = {0};
    buffer_append_format(&beside, "%s.%ld", path, (long)getpid());
    FILE *file = fopen(buffer_text(&beside), "w");
    bool written = file && fprintf(file, "%s\n", address) > 0;
    if (file && fclose(file) != 0)
        written = false;
    if (!written || rename(buffer_text(&beside), path) != 0) {
        error_set(error, ERR_IO, "cannot write %s: %s", path, strerror(errno));
        buffer_fini(&beside);
        return ERR_IO;
    }
    buffer_fini(&beside);
    return ERR_OK;
}

static enum error_code get_ready(struct mock_broker *broker, const struct settings *settings,
                                 struct error *error)
{
    for (int i = 0; i < settings->topics_count; i++) {
        enum error_code code = create_topic(broker, settings->topics[i], error);
        if (code)
            return code;
    }
    if (settings->topics_file) {
        enum error_code code = create_topics_of_file(broker, settings->topics_file, error);
        if (code)
            return code;
    }
    if (settings->address_file) {
        enum error_code code = write_address(settings->address_file, mock_broker_bootstrap(broker), error);
        if (code)
            return code;
    }
    printf("%s\n", mock_broker_bootstrap(broker));
    fflush(stdout);
    return ERR_OK;
}

static void serve_until_stopped(struct mock_broker *broker, const struct settings *settings,
                                const sigset_t *signals)
{
    for (int number; sigwait(signals, &number) == 0 && number == SIGHUP;) {
        struct error error = {0};
        if (settings->topics_file && create_topics_of_file(broker, settings->topics_file, &error))
            fprintf(stderr, "bridge-broker: %s\n", error.text);
    }
}

int main(int count, char **arguments)
{
    struct settings settings = {.brokers = 1};
    struct error error = {0};
    if (parse_arguments(&settings, count, arguments, &error)) {
        fprintf(stderr, "bridge-broker: %s\n", error.text);
        return EXIT_USAGE;
    }
    /* Blocked before the cluster starts, so that its threads inherit the mask and sigwait gets them. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    struct mock_broker *broker = NULL;
    enum error_code code = mock_broker_new(&broker, settings.brokers, &error);
    if (!code)
        code = get_ready(broker, &settings, &error);
    if (code)
        fprintf(stderr, "bridge-broker: %s\n", error.text);
    else
        serve_until_stopped(broker, &settings, &signals);
    mock_broker_free(broker);
    if (settings.address_file && !code)
        unlink(settings.address_file);
    return code == ERR_INVALID ? EXIT_USAGE : code ? EXIT_FAILURE : EXIT_SUCCESS;
}
