/* SPDX-License-Identifier: MIT */
/* uuid.h - UUIDs as 16 octets. Pure: time and randomness come in as arguments.
 * Source    RFC 9562 (version 7 for ids that sort by time, version 8 for ids made from names).
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_TEXT_BYTES 37

struct uuid {
    uint8_t octets[16];
};

/* Version 7: 48 bits of Unix milliseconds, then 74 of the given random bits. */
struct uuid uuid_v7(int64_t unix_ms, const uint8_t random[10]);
/* Sets version 8 and the variant on 16 octets of hash: a deterministic id. */
struct uuid uuid_from_hash(const uint8_t hash[16]);
char *uuid_format(const struct uuid *uuid, char text[UUID_TEXT_BYTES]);
bool uuid_parse(const char *text, size_t bytes, struct uuid *uuid);
int64_t uuid_v7_ms(const struct uuid *uuid);
bool uuid_equal(const struct uuid *a, const struct uuid *b);
bool uuid_is_zero(const struct uuid *uuid);

#endif
