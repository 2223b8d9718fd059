/* SPDX-License-Identifier: MIT */
/* submit.h - one document's way to the orchestrator, and the account of all of them.
 *
 * Owns      struct submission owns its texts; submission_fini releases them.
 * Threads   submission_run works on one submission with the calling thread's own struct api; nothing
 *           is shared but the read-only options.
 */
#ifndef BRIDGECTL_SUBMIT_H
#define BRIDGECTL_SUBMIT_H

#include "bridgectl.h"

struct submit_options {
    const char *namespace;
    const char *workflow; /* NULL: the documents' own workflow, flat form */
    const char *input;    /* JSON or @FILE, with workflow */
    const char *key;
    const char *files_from;
    int64_t concurrency;
    int64_t retry_seconds;
    bool intelligence;
    bool wait;
    bool json;
    bool after_tokens;
    struct json *input_value;
};

enum submission_state {
    SUBMISSION_OPEN,
    SUBMISSION_ACCEPTED, /* not ended, or not waited for */
    SUBMISSION_COMPLETED,
    SUBMISSION_FAILED,
    SUBMISSION_CANCELLED,
    SUBMISSION_REFUSED, /* or never answered */
    SUBMISSION_SKIPPED,
    SUBMISSION_STATES
};

struct submission {
    const struct document *document; /* NULL: options->input_value */
    enum submission_state state;
    enum document_kind skipped;
    char *key;
    char *workflow_id;
    char *after;
    char *error;
};

void submission_run(struct submission *submission, const struct submit_options *options,
                    struct api *api);
void submission_fini(struct submission *submission);
const char *submission_state_name(enum submission_state state);
const char *document_kind_name(enum document_kind kind);

#endif
