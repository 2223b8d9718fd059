/* SPDX-License-Identifier: MIT */
#include "base/uuid.h"

#include <string.h>

struct uuid uuid_v7(int64_t unix_ms, const uint8_t random[10])
{
    struct uuid uuid;
    for (int i = 0; i < 6; i++)
        uuid.octets[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
    memcpy(uuid.octets + 6, random, 10);
    uuid.octets[6] = (uint8_t)(0x70 | (uuid.octets[6] & 0x0f));
    uuid.octets[8] = (uint8_t)(0x80 | (uuid.octets[8] & 0x3f));
    return uuid;
}

struct uuid uuid_from_hash(const uint8_t hash[16])
{
    struct uuid uuid;
    memcpy(uuid.octets, hash, 16);
    uuid.octets[6] = (uint8_t)(0x80 | (uuid.octets[6] & 0x0f));
    uuid.octets[8] = (uint8_t)(0x80 | (uuid.octets[8] & 0x3f));
    return uuid;
}

char *uuid_format(const struct uuid *uuid, char text[UUID_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    char *p = text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = digits[uuid->octets[i] >> 4];
        *p++ = digits[uuid->octets[i] & 15];
    }
    *p = '\0';
    return text;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool uuid_parse(const char *text, size_t bytes, struct uuid *uuid)
{
    struct uuid result;
    if (bytes != UUID_TEXT_BYTES - 1)
        return false;
    const char *p = text;
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
            return false;
        int high = hex_value(p[0]), low = hex_value(p[1]);
        if (high < 0 || low < 0)
            return false;
        result.octets[i] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    *uuid = result;
    return true;
}

int64_t uuid_v7_ms(const struct uuid *uuid)
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | uuid->octets[i];
    return ms;
}

bool uuid_equal(const struct uuid *a, const struct uuid *b) { return memcmp(a, b, sizeof *a) == 0; }

bool uuid_is_zero(const struct uuid *uuid)
{
    static const struct uuid zero;
    return uuid_equal(uuid, &zero);
}
