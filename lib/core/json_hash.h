/* SPDX-License-Identifier: MIT */
/* json_hash.h - a number for a JSON value, to find equal values fast. Pure.
 *
 * Values that json_equal holds equal have equal hashes: 1 and 1.0, objects with members in any
 * order. Not for protection against chosen input.
 */
#ifndef CORE_JSON_HASH_H
#define CORE_JSON_HASH_H

#include <stdint.h>

#include "core/json.h"

uint64_t json_hash(const struct json *value);

#endif
