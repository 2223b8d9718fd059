/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl.h"

void text_list_add(struct text_list *list, const char *text)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        list->items = must_realloc(list->items, list->capacity * sizeof *list->items);
    }
    list->items[list->count++] = text;
}

void text_list_fini(struct text_list *list)
{
    free(list->items);
    *list = (struct text_list){0};
}

int usage_fault(const struct command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "bridgectl %s: ", command->name);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "; see bridgectl %s --help\n", command->name);
    va_end(arguments);
    return EXIT_USAGE;
}

static void print_help(const struct command *command, const struct argument *table)
{
    printf("bridgectl %s - %s\n\nusage: bridgectl %s %s\n", command->name, command->summary,
           command->name, command->usage);
    if (command->prose != NULL)
        printf("\n%s\n", command->prose);
    if (table != NULL && table->name != NULL)
        printf("\noptions:\n");
    for (const struct argument *argument = table; argument != NULL && argument->name != NULL;
         argument++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", argument->name,
                 argument->value_name != NULL ? " " : "",
                 argument->value_name != NULL ? argument->value_name : "");
        printf("  %-22s %s\n", left, argument->prose);
    }
    printf("  %-22s %s\n\nexample:\n", "--help", "this text");
    for (const char *line = command->example; *line != '\0';) {
        size_t bytes = strcspn(line, "\n");
        printf("  %.*s\n", (int)bytes, line);
        line += bytes + (line[bytes] == '\n');
    }
}

static const struct argument *find(const struct argument *table, const char *name, size_t bytes)
{
    for (; table != NULL && table->name != NULL; table++)
        if (strlen(table->name) == bytes && memcmp(table->name, name, bytes) == 0)
            return table;
    return NULL;
}

static int take_value(const struct command *command, const struct argument *argument,
                      const char *value)
{
    if (argument->type == ARGUMENT_TEXT) {
        *(const char **)argument->target = value;
    } else if (argument->type == ARGUMENT_LIST) {
        text_list_add(argument->target, value);
    } else {
        char *end = NULL;
        errno = 0;
        long long number = strtoll(value, &end, 10);
        if (errno != 0 || end == value || *end != '\0' || number < argument->min ||
            number > argument->max)
            return usage_fault(command, "%s is \"%s\", it must be a whole number from %lld to %lld",
                               argument->name, value, (long long)argument->min,
                               (long long)argument->max);
        *(int64_t *)argument->target = number;
    }
    return EXIT_GO_ON;
}

/* One option at argv[*index]; moves *index on when its value is the next word. */
static int take_option(const struct command *command, const struct argument *table, int argc,
                       char **argv, int *index)
{
    const char *word = argv[*index];
    size_t name_bytes = strcspn(word, "=");
    const struct argument *argument = find(table, word, name_bytes);
    if (argument == NULL)
        return usage_fault(command, "unknown option %.*s", (int)name_bytes, word);
    bool has_value = word[name_bytes] == '=';
    if (argument->type == ARGUMENT_FLAG || argument->type == ARGUMENT_UNFLAG) {
        if (has_value)
            return usage_fault(command, "option %s takes no value", argument->name);
        *(bool *)argument->target = argument->type == ARGUMENT_FLAG;
        return EXIT_GO_ON;
    }
    if (has_value)
        return take_value(command, argument, word + name_bytes + 1);
    if (*index + 1 >= argc)
        return usage_fault(command, "option %s needs a value %s", argument->name,
                           argument->value_name);
    *index += 1;
    return take_value(command, argument, argv[*index]);
}

int arguments_parse(const struct command *command, const struct argument *table, int argc,
                    char **argv, size_t positional_min, size_t positional_max,
                    struct text_list *positional)
{
    bool options = true;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (options && strcmp(word, "--") == 0) {
            options = false;
        } else if (options && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            print_help(command, table);
            return EXIT_FINE;
        } else if (options && word[0] == '-' && word[1] != '\0') {
            int outcome = take_option(command, table, argc, argv, &i);
            if (outcome != EXIT_GO_ON)
                return outcome;
        } else if (positional->count == positional_max) {
            return usage_fault(command, "unexpected argument \"%s\"", word);
        } else {
            text_list_add(positional, word);
        }
    }
    if (positional->count < positional_min)
        return usage_fault(command, "usage: bridgectl %s %s", command->name, command->usage);
    return EXIT_GO_ON;
}
