/* SPDX-License-Identifier: MIT */
/* histogram.c - buckets in one array around the values seen, grown at either end. */
#include "core/histogram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define ROOM 32       /* buckets added beyond what is needed */
#define BUCKET_MAX 4096 /* larger than the bucket of HISTOGRAM_LARGEST, in either direction */
#define VARINT_BYTES_MAX 10

static double log_gamma(void) { return log((1.0 + HISTOGRAM_RELATIVE_ERROR) / (1.0 - HISTOGRAM_RELATIVE_ERROR)); }

static int32_t bucket_of(double value) { return (int32_t)ceil(log(value) / log_gamma()); }

/* The value whose distance to both ends of the bucket is the same share of the value. */
static double value_of(int32_t bucket)
{
    double gamma = (1.0 + HISTOGRAM_RELATIVE_ERROR) / (1.0 - HISTOGRAM_RELATIVE_ERROR);
    return 2.0 * exp(bucket * log_gamma()) / (gamma + 1.0);
}

static void make_room(struct histogram *histogram, int32_t bucket)
{
    int32_t end = histogram->first + histogram->size;
    if (histogram->size > 0 && bucket >= histogram->first && bucket < end)
        return;
    int32_t first = histogram->size == 0 || bucket < histogram->first ? bucket - ROOM : histogram->first;
    int32_t last = histogram->size == 0 || bucket >= end ? bucket + ROOM + 1 : end;
    uint64_t *counts = must_calloc((unsigned long)(last - first), sizeof(*counts));
    if (histogram->size > 0)
        memcpy(counts + (histogram->first - first), histogram->counts,
               (size_t)histogram->size * sizeof(*counts));
    free(histogram->counts);
    histogram->counts = counts;
    histogram->first = first;
    histogram->size = last - first;
}

static void add_bucket(struct histogram *histogram, int32_t bucket, uint64_t count)
{
    make_room(histogram, bucket);
    histogram->counts[bucket - histogram->first] += count;
    histogram->total += count;
}

void histogram_add(struct histogram *histogram, double value)
{
    if (!(value >= HISTOGRAM_SMALLEST)) {
        histogram->zeros++;
        histogram->total++;
        return;
    }
    add_bucket(histogram, bucket_of(value > HISTOGRAM_LARGEST ? HISTOGRAM_LARGEST : value), 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->zeros += from->zeros;
    into->total += from->zeros;
    for (int32_t i = 0; i < from->size; i++) {
        if (from->counts[i])
            add_bucket(into, from->first + i, from->counts[i]);
    }
}

double histogram_percentile(const struct histogram *histogram, double share)
{
    if (histogram->total == 0)
        return 0;
    uint64_t rank = (uint64_t)ceil(share * (double)histogram->total);
    uint64_t seen = histogram->zeros;
    if (rank <= seen)
        return 0;
    for (int32_t i = 0; i < histogram->size; i++) {
        seen += histogram->counts[i];
        if (seen >= rank)
            return value_of(histogram->first + i);
    }
    return value_of(histogram->first + histogram->size - 1);
}

static void append_varint(struct buffer *out, uint64_t value)
{
    while (value >= 0x80) {
        buffer_append_char(out, (char)(uint8_t)(value | 0x80));
        value >>= 7;
    }
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

/* zeros, then for each bucket that is not empty: distance to the one before (the first: to -BUCKET_MAX)
 * and its count. */
void histogram_encode(const struct histogram *histogram, struct buffer *out)
{
    int32_t before = -BUCKET_MAX;
    append_varint(out, histogram->zeros);
    for (int32_t i = 0; i < histogram->size; i++) {
        if (!histogram->counts[i])
            continue;
        append_varint(out, (uint64_t)(histogram->first + i - before));
        append_varint(out, histogram->counts[i]);
        before = histogram->first + i;
    }
}

bool histogram_decode(struct histogram *histogram, const void *data, size_t bytes)
{
    const uint8_t *p = data;
    const uint8_t *end = p + bytes;
    int64_t bucket = -BUCKET_MAX;
    uint64_t step;
    uint64_t count;
    histogram_fini(histogram);
    if (bytes == 0)
        return true;
    if (!read_varint(&p, end, &histogram->zeros))
        return false;
    histogram->total = histogram->zeros;
    while (p < end) {
        if (!read_varint(&p, end, &step) || !read_varint(&p, end, &count) || step > 2 * BUCKET_MAX ||
            bucket + (int64_t)step > BUCKET_MAX) {
            histogram_fini(histogram);
            return false;
        }
        bucket += (int64_t)step;
        add_bucket(histogram, (int32_t)bucket, count);
    }
    return true;
}

void histogram_fini(struct histogram *histogram)
{
    free(histogram->counts);
    *histogram = (struct histogram){0};
}
