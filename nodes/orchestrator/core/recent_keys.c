/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/recent_keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

#define NAME_BYTES (NAMESPACE_BYTES_MAX + IDEMPOTENCY_KEY_BYTES_MAX + 2)

static size_t write_name(char *out, const char *namespace, const char *key)
{
    size_t namespace_bytes = strlen(namespace) + 1, key_bytes = strlen(key) + 1;
    memcpy(out, namespace, namespace_bytes);
    memcpy(out + namespace_bytes, key, key_bytes);
    return namespace_bytes + key_bytes;
}

void recent_keys_fini(struct recent_keys *keys)
{
    struct recent_key *key, *next;
    HASH_ITER(hh, keys->by_name, key, next)
    {
        HASH_DEL(keys->by_name, key);
        free(key);
    }
    *keys = (struct recent_keys){0};
}

const struct recent_key *recent_keys_find(const struct recent_keys *keys, const char *namespace,
                                          const char *key)
{
    char name[NAME_BYTES];
    struct recent_key *found;
    size_t bytes = write_name(name, namespace, key);
    HASH_FIND(hh, keys->by_name, name, bytes, found);
    return found;
}

void recent_keys_add(struct recent_keys *keys, const char *namespace, const char *key,
                     const struct uuid *id, const uint8_t body_hash[BODY_HASH_BYTES],
                     int64_t now_us)
{
    struct recent_key *added = must_calloc(1, sizeof *added + NAME_BYTES);
    size_t bytes = write_name(added->name, namespace, key);
    added->id = *id;
    memcpy(added->body_hash, body_hash, BODY_HASH_BYTES);
    added->expires_us = now_us + KEY_MEMORY_US;
    HASH_ADD_KEYPTR(hh, keys->by_name, added->name, bytes, added);
    if (keys->newest != NULL)
        keys->newest->next = added;
    else
        keys->oldest = added;
    keys->newest = added;
}

void recent_keys_expire(struct recent_keys *keys, int64_t now_us)
{
    while (keys->oldest != NULL && keys->oldest->expires_us < now_us) {
        struct recent_key *key = keys->oldest;
        keys->oldest = key->next;
        if (key->next == NULL)
            keys->newest = NULL;
        HASH_DEL(keys->by_name, key);
        free(key);
    }
}
