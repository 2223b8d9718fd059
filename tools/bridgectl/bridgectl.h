/* SPDX-License-Identifier: MIT */
/* bridgectl.h - what the commands of bridgectl share: the command table, arguments, output and calls
 * to the nodes.
 *
 * Owns      main() owns struct ctl; commands only read it.
 * Threads   Commands run on the main thread; submit.c starts threads of its own.
 * Errors    A command answers the exit code of the program: EXIT_FINE, EXIT_NO (the answer is no, or
 *           something failed) or EXIT_USAGE (the command line or a variable is not valid).
 */
#ifndef BRIDGECTL_H
#define BRIDGECTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/config.h"
#include "base/error.h"
#include "core/finding.h"
#include "core/json.h"

enum { EXIT_FINE = 0, EXIT_NO = 1, EXIT_USAGE = 2 };

struct ctl {
    const struct config *config;
    bool colour;   /* standard output is a terminal and NO_COLOR is not set */
    bool progress; /* standard error is a terminal */
};

/* -- commands -- */

struct command {
    const char *name; /* "submit", "contracts check" */
    const char *summary;
    const char *usage;   /* after "bridgectl <name> " */
    const char *prose;   /* paragraph of --help */
    const char *example; /* one or more lines of --help */
    int (*run)(const struct ctl *ctl, const struct command *command, int argc, char **argv);
    bool hidden;
};

extern const struct command submit_commands[];
extern const struct command workflow_commands[];
extern const struct command task_commands[];
extern const struct command service_commands[];
extern const struct command totals_commands[];
extern const struct command contract_commands[];
extern const struct command contract_version_commands[];
extern const struct command aggregation_commands[];
extern const struct command rebuild_commands[];
extern const struct command aggregation_row_commands[];
extern const struct command migrate_commands[];
extern const struct command topic_commands[];
extern const struct command shard_commands[];
extern const struct command health_commands[];
extern const struct command docs_commands[];
extern const struct command audit_commands[];

/* -- arguments -- */

enum argument_type { ARGUMENT_FLAG, ARGUMENT_UNFLAG, ARGUMENT_TEXT, ARGUMENT_INT, ARGUMENT_LIST };

struct text_list {
    const char **items;
    size_t count;
    size_t capacity;
};
void text_list_add(struct text_list *list, const char *text); /* keeps the pointer */
void text_list_fini(struct text_list *list);

struct argument {
    const char *name; /* "--namespace"; NULL ends the table */
    enum argument_type type;
    void *target; /* bool, bool (set to false), const char *, int64_t, struct text_list */
    const char *value_name;
    const char *prose;
    int64_t min, max; /* ARGUMENT_INT */
};

/* Fills the targets and *positional (which must be zeroed). EXIT_GO_ON when the command shall run,
 * else the exit code: --help was printed, or a fault was told on standard error. */
#define EXIT_GO_ON (-1)
int arguments_parse(const struct command *command, const struct argument *table, int argc,
                    char **argv, size_t positional_min, size_t positional_max,
                    struct text_list *positional) MUST_USE;
int usage_fault(const struct command *command, const char *format, ...) PRINTF_LIKE(2, 3);

/* -- files of contracts (contracts.c) -- */

bool is_contract_file(const char *path); /* .yaml, .yml or .json, and no .test. file */
void print_findings(const struct findings *findings, size_t files, size_t missing, bool as_json);
struct documents;
/* A command that checks the files named, or those of CONTRACTS_DIR/<directory>; `named`: paths were given. */
int run_files_check(const struct ctl *ctl, const struct command *command, int argc, char **argv,
                    const char *directory,
                    int (*check)(const struct command *command, const struct documents *documents,
                                 bool named, bool as_json));

/* -- output (output.c) -- */

struct table {
    int columns;
    struct text_list cells; /* owned copies, row by row; the first row is the head */
};
void table_start(struct table *table, int columns, const char *const *head);
void table_cell(struct table *table, const char *text); /* NULL prints "-" */
void table_cell_int(struct table *table, int64_t value);
void table_print(struct table *table, const struct ctl *ctl); /* and releases it */

/* A copy in which control characters are "?": what a server says must not steer a terminal. */
char *plain_text(const char *text) MUST_USE;
void print_json(const struct json *value); /* one line */
/* "error: <sentence>" on standard error; gives EXIT_NO. */
int fail(const struct error *error);
int fail_text(const char *format, ...) PRINTF_LIKE(1, 2);
/* Colour of a state's or status's name, "" without colours. */
const char *state_colour(const struct ctl *ctl, const char *state);
const char *colour_end(const struct ctl *ctl);

struct progress {
    bool shown;
    int64_t started_us;
    int64_t drawn_us;
};
void progress_start(struct progress *progress, const struct ctl *ctl);
/* Draws at most ten times a second. */
void progress_draw(struct progress *progress, int64_t done, int64_t total, int64_t failed);
void progress_end(struct progress *progress);

/* -- calls (api.c) -- */

struct api;
/* `base_url` is not copied. One struct api belongs to one thread. */
struct api *api_new(const struct ctl *ctl, const char *base_url) MUST_USE;
void api_free(struct api *api);

struct api_answer {
    int status;
    int retry_after_s; /* -1 when the answer names none */
    struct json *body; /* NULL when it is not JSON */
    struct buffer text;
};
void api_answer_fini(struct api_answer *answer);

/* ERR_OK when an answer came, whatever its status. `key` is the Idempotency-Key or NULL. */
enum error_code api_call(struct api *api, const char *method, const char *path, const char *key,
                         const struct json *body, int timeout_ms, struct api_answer *answer,
                         struct error *error) MUST_USE;
/* The same with a body of another type. */
enum error_code api_send(struct api *api, const char *method, const char *path,
                         const char *content_type, const struct buffer *body, int timeout_ms,
                         struct api_answer *answer, struct error *error) MUST_USE;
/* The same for answers that must be 2xx: another one is an error with the problem's sentence. */
enum error_code api_get(struct api *api, const char *method, const char *path, int timeout_ms,
                        struct api_answer *answer, struct error *error) MUST_USE;
/* A command that shows the `items` of what url and path answer: as a table, or as JSON with --json. */
int run_items_list(const struct ctl *ctl, const struct command *command, int argc, char **argv,
                   const char *url, const char *path,
                   void (*print)(const struct ctl *ctl, const struct json *items));
/* The sentence of a problem document, or the status. */
void api_problem(const struct api_answer *answer, struct error *error);
/* Appends text percent-encoded for a path segment or a query value. */
void append_encoded(struct buffer *buffer, const char *text);
void append_query(struct buffer *path, const char *name, const char *value); /* NULL: nothing */

bool workflow_ended(const char *state);

/* -- documents to submit (documents.c) -- */

struct document {
    char *path;
    const char *content_type;
};

struct documents {
    struct document *items;
    size_t count;
    size_t capacity;
    int64_t missing; /* named and not readable */
};
/* Adds a file, or every regular file below a directory in the order of names; .git is left out.
 * A path that cannot be read is told on standard error and counted as missing. */
void documents_add(struct documents *documents, const char *path);
/* Reads names from a file ("-": standard input), separated by NUL or, without any NUL, by newlines. */
enum error_code documents_add_list(struct documents *documents, const char *file,
                                   struct error *error) MUST_USE;
void documents_fini(struct documents *documents);

enum document_kind {
    DOCUMENT_TEXT,
    DOCUMENT_BINARY,
    DOCUMENT_EMPTY,
    DOCUMENT_TOO_LARGE,
    DOCUMENT_UNREADABLE
};
/* Reads one ("-": standard input); *content is empty unless DOCUMENT_TEXT. */
enum document_kind document_read(const char *path, struct buffer *content);
const char *content_type_of(const char *path);
/* The whole of a file or of standard input. */
enum error_code read_whole(const char *path, size_t bytes_max, struct buffer *content,
                           struct error *error) MUST_USE;

#endif
