/* SPDX-License-Identifier: MIT */
/* submission.h - what a client asks for, read from the body of a submission and checked. Pure.
 *
 * Owns      struct submission owns its texts and json; zeroed is empty.
 * Threads   No globals.
 * Errors    ERR_INVALID, ERR_TOO_LARGE or ERR_NOT_FOUND with the field, its value and the legal range.
 *
 * Two forms: {workflow, version?, input, namespace?, correlation_id?, metadata?} for any contract, and
 * the flat one of a document, {content, file_path?, content_type?, enable_intelligence?, namespace?,
 * correlation_id?, metadata?}, which is a submission to metadata_stamping.
 */
#ifndef ORCHESTRATOR_CORE_SUBMISSION_H
#define ORCHESTRATOR_CORE_SUBMISSION_H

#include "core/contract.h"
#include "orchestrator/core/engine.h"

#define DEFAULT_WORKFLOW "metadata_stamping"

struct submission {
    char *workflow;
    char *version; /* or NULL: the newest */
    char *namespace;
    char *correlation_id; /* or NULL */
    char *key;            /* idempotency key: the header, else correlation_id, else NULL */
    struct json *input;
    struct json *metadata; /* or NULL */
    uint8_t body_hash
        [BODY_HASH_BYTES]; /* of workflow, version, input, namespace, metadata; member order does not count */
};

/* 1 to IDEMPOTENCY_KEY_BYTES_MAX octets of UTF-8 without control characters, and no blank at either end:
 * HTTP cuts those off. */
bool submission_key_is_valid(const char *key);

/* `key` is the Idempotency-Key header or NULL. */
enum error_code submission_read(struct submission *submission, const struct json *body,
                                const char *key, const char *default_namespace,
                                struct error *error) MUST_USE;
/* Fills the defaults that the contract's input_state declares (and the namespace, when it has such a
 * property), then checks the input against it. */
enum error_code submission_complete(struct submission *submission, const struct contract *contract,
                                    struct error *error) MUST_USE;
void submission_fini(struct submission *submission);

#endif
