/* SPDX-License-Identifier: MIT */
#include "core/json_hash.h"

static uint64_t hash_bytes(const void *data, size_t bytes, uint64_t hash)
{
    const unsigned char *octets = data;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ octets[i]) * UINT64_C(1099511628211);
    return hash ^ (hash >> 29);
}

uint64_t json_hash(const struct json *value)
{
    uint64_t hash =
        hash_bytes(&(int){(int)json_type_of(value)}, sizeof(int), UINT64_C(14695981039346656037));
    size_t bytes = 0;
    double number;
    switch (json_type_of(value)) {
    case JSON_NUMBER:
        if (json_is_int(value)) /* also 1.0 and -0.0 */
            return hash_bytes(&(int64_t){json_int_value(value)}, sizeof(int64_t), hash);
        number = json_double_value(value);
        return hash_bytes(&number, sizeof number, hash);
    case JSON_STRING: {
        const char *text = json_string_value(value, &bytes);
        return hash_bytes(text, bytes, hash);
    }
    case JSON_ARRAY:
        for (size_t i = 0; i < json_size(value); i++) {
            uint64_t item = json_hash(json_at(value, i));
            hash = hash_bytes(&item, sizeof item, hash);
        }
        return hash;
    case JSON_OBJECT:
        for (size_t i = 0; i < json_size(value); i++) {
            const char *name = json_name_at(value, i, &bytes);
            uint64_t member = json_hash(json_member_at(value, i));
            hash += hash_bytes(name, bytes, member);
        }
        return hash;
    case JSON_ABSENT:
    case JSON_NULL:
    case JSON_FALSE:
    case JSON_TRUE:
        break;
    }
    return hash;
}
