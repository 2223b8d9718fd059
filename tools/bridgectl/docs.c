/* SPDX-License-Identifier: MIT */
/* docs.c - writes the documents that are made from tables; `make docs` keeps them in the tree. */
#include <string.h>

#include "base/metrics.h"
#include "bridgectl.h"

static const char *const retry_names[] = {
    [RETRY_NEVER] = "no: the same request fails again",
    [RETRY_LATER] = "yes, after `Retry-After`",
    [RETRY_UNKNOWN] = "only with an idempotency key",
};

static void errors_markdown(struct buffer *out)
{
    buffer_append_text(
        out, "# Errors\n\nMade from `lib/base/error.def` by `make docs`. An error of an HTTP API "
             "is a problem "
             "document\n(RFC 9457, `application/problem+json`); its member `code` is stable.\n\n"
             "| code | HTTP status | meaning | repeat the request? |\n| --- | --- | --- | --- |\n");
    for (int i = ERR_OK + 1; i < ERR_CODES; i++) {
        enum error_code code = (enum error_code)i;
        buffer_append_format(out, "| `%s` | %d | %s | %s |\n", error_code_name(code),
                             error_code_status(code), error_code_text(code),
                             retry_names[error_code_retry(code)]);
    }
}

static int run_docs(const struct ctl *ctl, const struct command *command, int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*write)(struct buffer *out);
    } documents[] = {
        {"env", config_env_example},
        {"configuration", config_markdown},
        {"metrics", metrics_markdown},
        {"errors", errors_markdown},
    };
    (void)ctl;
    struct text_list names = {0};
    int outcome = arguments_parse(command, NULL, argc, argv, 1, 1, &names);
    if (outcome == EXIT_GO_ON) {
        outcome = EXIT_USAGE;
        for (size_t i = 0; i < sizeof documents / sizeof documents[0] && outcome == EXIT_USAGE;
             i++) {
            if (strcmp(documents[i].name, names.items[0]) != 0)
                continue;
            struct buffer text = {0};
            documents[i].write(&text);
            fputs(buffer_text(&text), stdout);
            buffer_fini(&text);
            outcome = EXIT_FINE;
        }
        if (outcome == EXIT_USAGE)
            outcome = usage_fault(command, "unknown document \"%s\"", names.items[0]);
    }
    text_list_fini(&names);
    return outcome;
}

const struct command docs_commands[] = {
    {.name = "docs",
     .summary = "write a document that is made from a table",
     .usage = "env|configuration|metrics|errors",
     .example = "bridgectl docs metrics > docs/reference/metrics.md",
     .run = run_docs,
     .hidden = true},
    {.name = NULL},
};
