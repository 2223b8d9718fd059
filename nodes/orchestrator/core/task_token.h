/* SPDX-License-Identifier: MIT */
/* task_token.h - task tokens: the name of one open wait of one workflow, signed so that nobody can make
 * one up. The same wait always has the same token, on any instance and after any restart. Pure.
 *
 * Owns      Nothing.
 * Threads   No globals.
 * Errors    task_token_read is false for a text that is not one of ours; how long it takes says nothing
 *           about where the text differs.
 *
 * Text: base64url without padding of shard (2 octets), workflow id (16), wait (4), and the first 16
 * octets of HMAC-SHA256(secret, those).
 */
#ifndef ORCHESTRATOR_CORE_TASK_TOKEN_H
#define ORCHESTRATOR_CORE_TASK_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/uuid.h"

#define TASK_SECRET_BYTES 32
#define TASK_CREDENTIAL_BYTES 65 /* hexadecimal, the NUL included */

struct task_token {
    int16_t shard;
    struct uuid workflow_id;
    uint32_t wait;
};

void task_token_write(const uint8_t secret[TASK_SECRET_BYTES], const struct task_token *token,
                      char text[TASK_TOKEN_BYTES_MAX]);
bool task_token_read(const uint8_t secret[TASK_SECRET_BYTES], const char *text,
                     struct task_token *token);

/* What an instance shows to the API of another one, or to its own: made from the secret, so that
 * instances of one database know each other. */
void task_credential(const uint8_t secret[TASK_SECRET_BYTES], char text[TASK_CREDENTIAL_BYTES]);

#endif
