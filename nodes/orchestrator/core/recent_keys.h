/* SPDX-License-Identifier: MIT */
/* recent_keys.h - the idempotency keys of the last seconds: those that a look at the database may have
 * missed, because their workflow was on its way there.
 *
 * Owns      Its entries; zeroed is empty.
 * Threads   One.
 * Units     *_us microseconds since 1970 UTC.
 */
#ifndef ORCHESTRATOR_CORE_RECENT_KEYS_H
#define ORCHESTRATOR_CORE_RECENT_KEYS_H

#include <uthash.h>

#include "orchestrator/core/engine.h"

struct recent_key {
    struct uuid id; /* of its workflow */
    uint8_t body_hash[BODY_HASH_BYTES];
    int64_t expires_us;
    struct recent_key *next; /* in order of expiry */
    UT_hash_handle hh;
    char name[]; /* namespace, NUL, key, NUL */
};

struct recent_keys {
    struct recent_key *by_name;
    struct recent_key *oldest, *newest;
};

void recent_keys_fini(struct recent_keys *keys);
/* NULL when it is not known. */
const struct recent_key *recent_keys_find(const struct recent_keys *keys, const char *namespace,
                                          const char *key);
void recent_keys_add(struct recent_keys *keys, const char *namespace, const char *key,
                     const struct uuid *id, const uint8_t body_hash[BODY_HASH_BYTES],
                     int64_t now_us);
void recent_keys_expire(struct recent_keys *keys, int64_t now_us);

#endif
