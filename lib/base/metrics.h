/* SPDX-License-Identifier: MIT */
/* metrics.h - counters, gauges and histograms, declared once in metrics.def; all series exist at zero
 * from the start and no label has unbounded values.
 *
 * Owns      The series of the process (atomics in static tables, plus label values added at start).
 * Threads   Updates are lock-free from any thread. metrics_label_values only before threads start.
 * Units     As the name says: _ms, _seconds, _bytes, _total.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/config.h"

enum metric_id {
#define COUNTER(id, name, label_a, values_a, label_b, values_b, programs, help) METRIC_##id,
#define GAUGE(id, name, label_a, values_a, label_b, values_b, programs, help) METRIC_##id,
#define HISTOGRAM(id, name, buckets, label_a, values_a, label_b, values_b, programs, help)         \
    METRIC_##id,
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
    METRIC_IDS
};

#define METRIC_LABEL_VALUES_MAX 64
#define METRIC_BUCKETS_MAX 24

void metrics_init(unsigned program); /* one FOR_... bit; makes its series at zero */
/* Replaces the values of a label declared as "*" (services, routes); value n has index n. Texts are
 * copied. Values past METRIC_LABEL_VALUES_MAX - 1 share the last one, "other". */
void metrics_label_values(enum metric_id id, int label, const char *const *values, int count);

/* a and b are indexes of label values; 0 where the metric has no such label. */
void metrics_add(enum metric_id id, int a, int b, uint64_t count);
void metrics_gauge_set(enum metric_id id, int a, int b, double value);
void metrics_gauge_add(enum metric_id id, int a, int b, double difference);
void metrics_observe(enum metric_id id, int a, int b, double value);
double metrics_read(enum metric_id id, int a, int b); /* counter or gauge value, histogram count */

/* Prometheus text format 0.0.4 (content type METRICS_CONTENT_TYPE). */
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
void metrics_write(struct buffer *out);
void metrics_markdown(struct buffer *out); /* docs/reference/metrics.md */

#endif
