/* SPDX-License-Identifier: MIT */
/* Values in PostgreSQL's binary formats: parameters out, columns in. An array's wire starts with its
 * header, kept right by every push, so that nothing is copied when it is sent. */
#include <arpa/inet.h>
#include <math.h>
#include <string.h>

#include "io/postgres.h"
#include "io/postgres_internal.h"

#define EPOCH_2000_US 946684800000000 /* PostgreSQL counts from 2000-01-01 */
#define NULL_LENGTH UINT32_MAX        /* -1 */

/* Array header: dimensions, has-null flag, element type, then length and lower bound. */
enum {
    AT_DIMENSIONS = 0,
    AT_HAS_NULL = 4,
    AT_ELEMENT = 8,
    AT_COUNT = 12,
    AT_LOWER = 16,
    ARRAY_HEADER_BYTES = 20
};

/* Types of the catalogue that only appear in results. */
enum { TYPE_NAME = 19, TYPE_OID = 26, TYPE_FLOAT4 = 700, TYPE_NUMERIC = 1700, TYPE_JSONB = 3802 };

static void store32(char *place, uint32_t v)
{
    v = htonl(v);
    memcpy(place, &v, sizeof v);
}

static uint32_t load32(const char *place)
{
    uint32_t v;
    memcpy(&v, place, sizeof v);
    return ntohl(v);
}

static uint16_t load16(const char *place)
{
    uint16_t v;
    memcpy(&v, place, sizeof v);
    return ntohs(v);
}

static uint64_t load64(const char *place)
{
    return (uint64_t)load32(place) << 32 | load32(place + 4);
}

static void append16(struct buffer *wire, uint16_t v)
{
    v = htons(v);
    buffer_append(wire, &v, sizeof v);
}

static void append32(struct buffer *wire, uint32_t v)
{
    v = htonl(v);
    buffer_append(wire, &v, sizeof v);
}

static void append64(struct buffer *wire, uint64_t v)
{
    char octets[8];
    store32(octets, (uint32_t)(v >> 32));
    store32(octets + 4, (uint32_t)v);
    buffer_append(wire, octets, sizeof octets);
}

static void append_double(struct buffer *wire, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    append64(wire, bits);
}

uint32_t postgres_value_oid(const struct postgres_value *value)
{
    if (!value->is_array)
        return (uint32_t)value->type;
    switch (value->type) {
    case PG_BOOL:
        return 1000;
    case PG_BYTEA:
        return 1001;
    case PG_INT8:
        return 1016;
    case PG_INT2:
        return 1005;
    case PG_INT4:
        return 1007;
    case PG_TEXT:
        return 1009;
    case PG_JSON:
        return 199;
    case PG_DOUBLE:
        return 1022;
    case PG_TIMESTAMPTZ:
        return 1185;
    case PG_UUID:
        return 2951;
    }
    bug_stop(__FILE__, __LINE__, "array of an unknown type");
}

/* -- scalars -- */

static struct buffer *scalar(struct postgres_value *value, enum postgres_type type)
{
    value->type = type;
    value->is_array = false;
    value->is_null = false;
    value->has_null = false;
    value->count = 0;
    buffer_clear(&value->wire);
    return &value->wire;
}

void postgres_set_null(struct postgres_value *value, enum postgres_type type)
{
    scalar(value, type);
    value->is_null = true;
}

void postgres_set_bool(struct postgres_value *value, bool v)
{
    buffer_append_char(scalar(value, PG_BOOL), v ? 1 : 0);
}
void postgres_set_int2(struct postgres_value *value, int16_t v)
{
    append16(scalar(value, PG_INT2), (uint16_t)v);
}
void postgres_set_int4(struct postgres_value *value, int32_t v)
{
    append32(scalar(value, PG_INT4), (uint32_t)v);
}
void postgres_set_int8(struct postgres_value *value, int64_t v)
{
    append64(scalar(value, PG_INT8), (uint64_t)v);
}
void postgres_set_double(struct postgres_value *value, double v)
{
    append_double(scalar(value, PG_DOUBLE), v);
}

void postgres_set_text(struct postgres_value *value, const char *text, size_t bytes)
{
    buffer_append(scalar(value, PG_TEXT), text, bytes);
}

void postgres_set_string(struct postgres_value *value, const char *text)
{
    if (text == NULL)
        postgres_set_null(value, PG_TEXT);
    else
        postgres_set_text(value, text, strlen(text));
}

void postgres_set_bytea(struct postgres_value *value, const void *data, size_t bytes)
{
    buffer_append(scalar(value, PG_BYTEA), data, bytes);
}

void postgres_set_uuid(struct postgres_value *value, const struct uuid *uuid)
{
    buffer_append(scalar(value, PG_UUID), uuid->octets, sizeof uuid->octets);
}

void postgres_set_instant(struct postgres_value *value, int64_t instant_us)
{
    append64(scalar(value, PG_TIMESTAMPTZ), (uint64_t)(instant_us - EPOCH_2000_US));
}

void postgres_value_fini(struct postgres_value *value)
{
    buffer_fini(&value->wire);
    memset(value, 0, sizeof *value);
}

void postgres_values_fini(struct postgres_value *values, int count)
{
    for (int i = 0; i < count; i++)
        postgres_value_fini(&values[i]);
}

/* -- arrays -- */

void postgres_array_start(struct postgres_value *value, enum postgres_type element)
{
    struct buffer *wire = scalar(value, element);
    value->is_array = true;
    char header[ARRAY_HEADER_BYTES] = {0};
    store32(header + AT_DIMENSIONS, 1);
    store32(header + AT_ELEMENT, (uint32_t)element);
    store32(header + AT_LOWER, 1);
    buffer_append(wire, header, sizeof header);
}

static struct buffer *element(struct postgres_value *value, enum postgres_type type, uint32_t bytes)
{
    bool same_form = value->type == type || (value->type == PG_JSON && type == PG_TEXT);
    BUG_IF(!value->is_array || !same_form);
    value->count++;
    store32(value->wire.data + AT_COUNT, (uint32_t)value->count);
    append32(&value->wire, bytes);
    return &value->wire;
}

void postgres_push_null(struct postgres_value *value)
{
    element(value, value->type, NULL_LENGTH);
    value->has_null = true;
    store32(value->wire.data + AT_HAS_NULL, 1);
}

void postgres_push_bool(struct postgres_value *value, bool v)
{
    buffer_append_char(element(value, PG_BOOL, 1), v ? 1 : 0);
}
void postgres_push_int2(struct postgres_value *value, int16_t v)
{
    append16(element(value, PG_INT2, 2), (uint16_t)v);
}
void postgres_push_int4(struct postgres_value *value, int32_t v)
{
    append32(element(value, PG_INT4, 4), (uint32_t)v);
}
void postgres_push_int8(struct postgres_value *value, int64_t v)
{
    append64(element(value, PG_INT8, 8), (uint64_t)v);
}
void postgres_push_double(struct postgres_value *value, double v)
{
    append_double(element(value, PG_DOUBLE, 8), v);
}

void postgres_push_text(struct postgres_value *value, const char *text, size_t bytes)
{
    buffer_append(element(value, PG_TEXT, (uint32_t)bytes), text, bytes);
}

void postgres_push_string(struct postgres_value *value, const char *text)
{
    if (text == NULL)
        postgres_push_null(value);
    else
        postgres_push_text(value, text, strlen(text));
}

void postgres_push_bytea(struct postgres_value *value, const void *data, size_t bytes)
{
    buffer_append(element(value, PG_BYTEA, (uint32_t)bytes), data, bytes);
}

void postgres_push_uuid(struct postgres_value *value, const struct uuid *uuid)
{
    buffer_append(element(value, PG_UUID, sizeof uuid->octets), uuid->octets, sizeof uuid->octets);
}

void postgres_push_instant(struct postgres_value *value, int64_t instant_us)
{
    append64(element(value, PG_TIMESTAMPTZ, 8), (uint64_t)(instant_us - EPOCH_2000_US));
}

/* -- rows -- */

static const PGresult *result_of(const struct postgres_rows *rows)
{
    return (const PGresult *)rows;
}

int postgres_rows_count(const struct postgres_rows *rows)
{
    return rows == NULL ? 0 : PQntuples(result_of(rows));
}

bool postgres_rows_null(const struct postgres_rows *rows, int row, int column)
{
    return PQgetisnull(result_of(rows), row, column) != 0;
}

static const char *cell(const struct postgres_rows *rows, int row, int column, int *bytes)
{
    const PGresult *result = result_of(rows);
    BUG_IF(row < 0 || row >= PQntuples(result) || column < 0 || column >= PQnfields(result));
    *bytes = PQgetlength(result, row, column);
    return PQgetvalue(result, row, column);
}

bool postgres_rows_bool(const struct postgres_rows *rows, int row, int column)
{
    int bytes;
    const char *data = cell(rows, row, column, &bytes);
    return bytes == 1 && data[0] != 0;
}

/* numeric (what sum(bigint) and avg() give): groups of four digits, the first weighs 10000^weight. */
static double numeric(const char *data, int bytes)
{
    enum { SIGN_NEGATIVE = 0x4000, SIGN_SPECIAL = 0xC000 };
    BUG_IF(bytes < 8);
    int groups = load16(data), weight = (int16_t)load16(data + 2), sign = load16(data + 4);
    if ((sign & SIGN_SPECIAL) == SIGN_SPECIAL)
        return NAN;
    double sum = 0;
    for (int i = 0; i < groups && 8 + i * 2 + 2 <= bytes; i++)
        sum += (double)load16(data + 8 + i * 2) * pow(10000.0, weight - i);
    return sign == SIGN_NEGATIVE ? -sum : sum;
}

/* The whole part of a numeric, exact within int64_t. */
static int64_t numeric_int(const char *data, int bytes)
{
    BUG_IF(bytes < 8);
    int groups = load16(data), weight = (int16_t)load16(data + 2), sign = load16(data + 4);
    uint64_t sum = 0;
    for (int i = 0; i <= weight; i++)
        sum = sum * 10000 + (i < groups ? load16(data + 8 + i * 2) : 0);
    return sign != 0 ? (int64_t)(0 - sum) : (int64_t)sum;
}

int64_t postgres_rows_int(const struct postgres_rows *rows, int row, int column)
{
    int bytes;
    const char *data = cell(rows, row, column, &bytes);
    if (postgres_rows_null(rows, row, column))
        return 0;
    switch (PQftype(result_of(rows), column)) {
    case PG_INT2:
        return (int16_t)load16(data);
    case PG_INT4:
        return (int32_t)load32(data);
    case PG_INT8:
        return (int64_t)load64(data);
    case PG_BOOL:
        return data[0] != 0;
    case TYPE_OID:
        return load32(data);
    case TYPE_NUMERIC:
        return numeric_int(data, bytes);
    default:
        bug_stop(__FILE__, __LINE__, "the column is no integer");
    }
}

double postgres_rows_double(const struct postgres_rows *rows, int row, int column)
{
    int bytes;
    const char *data = cell(rows, row, column, &bytes);
    if (postgres_rows_null(rows, row, column))
        return 0;
    uint64_t bits64;
    uint32_t bits32;
    double wide;
    float narrow;
    switch (PQftype(result_of(rows), column)) {
    case PG_DOUBLE:
        bits64 = load64(data);
        memcpy(&wide, &bits64, sizeof wide);
        return wide;
    case TYPE_FLOAT4:
        bits32 = load32(data);
        memcpy(&narrow, &bits32, sizeof narrow);
        return (double)narrow;
    case TYPE_NUMERIC:
        return numeric(data, bytes);
    default:
        return (double)postgres_rows_int(rows, row, column);
    }
}

const char *postgres_rows_text(const struct postgres_rows *rows, int row, int column, size_t *bytes)
{
    int length;
    const char *data = cell(rows, row, column, &length);
    if (bytes != NULL)
        *bytes = 0;
    if (postgres_rows_null(rows, row, column))
        return NULL;
    if (PQftype(result_of(rows), column) ==
        TYPE_JSONB) { /* its binary form begins with a version */
        BUG_IF(length < 1 || data[0] != 1);
        data++;
        length--;
    }
    if (bytes != NULL)
        *bytes = (size_t)length;
    return data;
}

struct uuid postgres_rows_uuid(const struct postgres_rows *rows, int row, int column)
{
    struct uuid uuid = {{0}};
    int bytes;
    const char *data = cell(rows, row, column, &bytes);
    if (postgres_rows_null(rows, row, column))
        return uuid;
    BUG_IF(bytes != sizeof uuid.octets);
    memcpy(uuid.octets, data, sizeof uuid.octets);
    return uuid;
}

int64_t postgres_rows_instant(const struct postgres_rows *rows, int row, int column)
{
    int bytes;
    const char *data = cell(rows, row, column, &bytes);
    if (postgres_rows_null(rows, row, column))
        return 0;
    BUG_IF(bytes != 8);
    return (int64_t)load64(data) + EPOCH_2000_US;
}

void postgres_rows_free(struct postgres_rows *rows) { PQclear((PGresult *)rows); }
