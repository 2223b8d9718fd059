/* SPDX-License-Identifier: MIT */
/* aggregate_codec.c - a row's cells as octets and back. */
#include <stdlib.h>
#include <string.h>

#include "reducer/core/aggregate_internal.h"
#include "reducer/core/reducer.h"

#define VARINT_BYTES_MAX 10
#define TEXT_HEAD_BYTES 21 /* of a first or last value: time, offset, partition, type */
#define COUNT_MAX                                                                                  \
    (INT64_MAX / PARTITIONS_MAX) /* of one row, so that all partitions' can be added */

static void append_int64(struct buffer *out, int64_t value)
{
    uint8_t octets[8];
    for (int i = 0; i < 8; i++)
        octets[i] = (uint8_t)((uint64_t)value >> (56 - 8 * i));
    buffer_append(out, octets, sizeof(octets));
}

static int64_t read_int64(const uint8_t *p)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | p[i];
    return (int64_t)value;
}

static void append_varint(struct buffer *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buffer_append_char(out, (char)(uint8_t)(value | 0x80));
    buffer_append_char(out, (char)(uint8_t)value);
}

static bool read_varint(const uint8_t **p, const uint8_t *end, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < VARINT_BYTES_MAX && *p < end; i++) {
        uint8_t octet = *(*p)++;
        *value |= (uint64_t)(octet & 0x7f) << (7 * i);
        if (octet < 0x80)
            return true;
    }
    return false;
}

/* -- writing -- */

static void encode_cell(const struct aggregation_cell *what, const struct aggregate_cell *cell,
                        struct buffer *out)
{
    int64_t count = cell->count, value = 0;
    if (what->kind == CELL_DISTINCT && cell->set) {
        count = distinct_count(&cell->set->values);
        value = distinct_is_exact(&cell->set->values);
    } else if ((what->kind == CELL_SUM || what->kind == CELL_MIN || what->kind == CELL_MAX)) {
        memcpy(&value, &cell->whole, sizeof(value));
    }
    append_int64(out, count);
    append_int64(out, value);
}

bool aggregate_set_is_inline(const struct aggregate_set *set)
{
    return set->pieces == 0 && distinct_is_exact(&set->values) &&
           set->values.count <= INLINE_VALUES_MAX;
}

static void encode_text(const struct aggregate_text *text, struct buffer *out)
{
    append_varint(out, TEXT_HEAD_BYTES + text->bytes);
    append_int64(out, text->time_us);
    append_int64(out, text->offset);
    for (int shift = 24; shift >= 0; shift -= 8)
        buffer_append_char(out, (char)(uint8_t)((uint32_t)text->partition >> shift));
    buffer_append_char(out, (char)text->type);
    buffer_append(out, aggregate_text_data(text), text->bytes);
}

static void encode_histogram(const struct histogram *histogram, struct buffer *out)
{
    struct buffer octets = {0};
    histogram_encode(histogram, &octets);
    append_varint(out, octets.bytes);
    buffer_append(out, octets.data, octets.bytes);
    buffer_fini(&octets);
}

static void encode_rest(const struct aggregation_cell *what, const struct aggregate_cell *cell,
                        struct buffer *out)
{
    if (what->kind == CELL_DISTINCT && cell->set && aggregate_set_is_inline(cell->set)) {
        append_varint(out, cell->set->values.count * sizeof(uint64_t));
        for (uint32_t i = 0; i < cell->set->values.count; i++)
            append_int64(out, (int64_t)cell->set->values.values[i]);
    } else if (what->kind == CELL_HISTOGRAM && cell->histogram) {
        encode_histogram(cell->histogram, out);
    } else if ((what->kind == CELL_FIRST || what->kind == CELL_LAST) && cell->text) {
        encode_text(cell->text, out);
    } else if (what->kind >= CELL_DISTINCT) {
        buffer_append_char(out, 0);
    }
}

void aggregate_encode(const struct aggregate *row, struct buffer *out)
{
    const struct aggregation *definition = row->definition;
    buffer_append_char(out, ROW_CODEC_VERSION);
    buffer_append_char(out, (char)definition->cells_count);
    for (int i = 0; i < definition->cells_count; i++)
        encode_cell(&definition->cells[i], &row->cells[i], out);
    for (int i = 0; i < definition->cells_count; i++)
        encode_rest(&definition->cells[i], &row->cells[i], out);
}

/* -- reading -- */

static bool decode_cell(const struct aggregation_cell *what, struct aggregate_cell *cell,
                        const uint8_t *p)
{
    int64_t count = read_int64(p), value = read_int64(p + 8);
    if (count < 0 || count > COUNT_MAX)
        return false;
    cell->count = what->kind == CELL_DISTINCT ? 0 : count;
    if (what->kind == CELL_SUM || what->kind == CELL_MIN || what->kind == CELL_MAX)
        memcpy(&cell->whole, &value, sizeof(value));
    return true;
}

static bool decode_text(struct aggregate_cell *cell, const uint8_t *p, size_t bytes)
{
    if (bytes < TEXT_HEAD_BYTES || bytes > TEXT_HEAD_BYTES + AGGREGATION_TEXT_BYTES_MAX)
        return false;
    struct aggregate_text *text = cell->text = must_calloc(1, sizeof(*text));
    text->time_us = read_int64(p);
    text->offset = read_int64(p + 8);
    text->partition =
        (int32_t)((uint32_t)p[16] << 24 | (uint32_t)p[17] << 16 | (uint32_t)p[18] << 8 | p[19]);
    const char *data = (const char *)p + TEXT_HEAD_BYTES;
    bytes -= TEXT_HEAD_BYTES;
    if (p[20] < JSON_NULL || p[20] > JSON_STRING || !utf8_is_valid(data, bytes) ||
        memchr(data, 0, bytes))
        return false;
    aggregate_text_set(text, (enum json_type)p[20], data, bytes);
    return true;
}

static bool decode_set(struct aggregate *row, int cell, const uint8_t *p, size_t bytes)
{
    if (bytes % sizeof(uint64_t) != 0)
        return false;
    for (size_t at = 0; at < bytes; at += sizeof(uint64_t))
        distinct_add(&aggregate_set_of(row, cell)->values, (uint64_t)read_int64(p + at));
    return true;
}

static bool decode_rest(struct aggregate *row, int number, const uint8_t *p, size_t bytes)
{
    enum aggregation_cell_kind kind = row->definition->cells[number].kind;
    if (bytes == 0)
        return true;
    if (kind == CELL_DISTINCT)
        return decode_set(row, number, p, bytes);
    if (kind == CELL_HISTOGRAM)
        return histogram_decode(aggregate_histogram_of(&row->cells[number]), p, bytes);
    return decode_text(&row->cells[number], p, bytes);
}

bool aggregate_decode(struct aggregate *row, const void *data, size_t bytes)
{
    const struct aggregation *definition = row->definition;
    const uint8_t *p = data, *end = p + bytes;
    size_t cells_bytes = (size_t)definition->cells_count * ROW_CELL_BYTES;
    if (bytes < ROW_HEAD_BYTES + cells_bytes || p[0] != ROW_CODEC_VERSION ||
        p[1] != definition->cells_count)
        return false;
    for (int i = 0; i < definition->cells_count; i++)
        if (!decode_cell(&definition->cells[i], &row->cells[i],
                         p + ROW_HEAD_BYTES + i * ROW_CELL_BYTES))
            return false;
    p += ROW_HEAD_BYTES + cells_bytes;
    for (int i = 0; i < definition->cells_count; i++) {
        uint64_t length;
        if (definition->cells[i].kind < CELL_DISTINCT)
            continue;
        if (!read_varint(&p, end, &length) || length > (uint64_t)(end - p) ||
            !decode_rest(row, i, p, (size_t)length))
            return false;
        p += length;
    }
    return p == end;
}
