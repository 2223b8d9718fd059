/* SPDX-License-Identifier: MIT */
/* histogram.h - counts in buckets of equal relative width, from which percentiles come with a relative
 * error of at most 1 %. Two histograms merge by adding their buckets. Pure.
 *
 * Owns      Its memory; zeroed is a valid empty histogram; histogram_fini releases.
 * Threads   One at a time.
 * Errors    histogram_decode is false when the octets are not what histogram_encode wrote; the
 *           histogram is then empty.
 * Units     Whatever the values are in; below HISTOGRAM_SMALLEST they count as 0, above
 *           HISTOGRAM_LARGEST as that.
 * Source    DDSketch (Masson, Rim, Lee 2019): bucket i holds (g^(i-1), g^i], g = 1.01/0.99.
 */
#ifndef CORE_HISTOGRAM_H
#define CORE_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define HISTOGRAM_SMALLEST 1e-6
#define HISTOGRAM_LARGEST 1e12
#define HISTOGRAM_RELATIVE_ERROR 0.01

struct histogram {
    uint64_t *counts; /* bucket first .. first + size - 1 */
    int32_t first;
    int32_t size;
    uint64_t zeros;
    uint64_t total;
};

void histogram_add(struct histogram *histogram, double value);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value at the nearest rank ceil(share * total), share in (0, 1]; 0 when empty. */
double histogram_percentile(const struct histogram *histogram, double share);
void histogram_encode(const struct histogram *histogram, struct buffer *out);
bool histogram_decode(struct histogram *histogram, const void *data, size_t bytes) MUST_USE;
void histogram_fini(struct histogram *histogram);

#endif
