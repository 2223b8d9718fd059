/* SPDX-License-Identifier: MIT */
#include "base/metrics.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum metric_type { TYPE_COUNTER, TYPE_GAUGE, TYPE_HISTOGRAM };

struct metric_row {
    const char *name;
    enum metric_type type;
    const char *buckets;
    const char *labels[2];
    const char *values[2];
    unsigned programs;
    const char *help;
};

static const struct metric_row rows[METRIC_IDS] = {
#define COUNTER(id, name, label_a, values_a, label_b, values_b, programs, help)                    \
    [METRIC_##                                                                                     \
        id] = {name, TYPE_COUNTER, "", {label_a, label_b}, {values_a, values_b}, programs, help},
#define GAUGE(id, name, label_a, values_a, label_b, values_b, programs, help)                      \
    [METRIC_##                                                                                     \
        id] = {name, TYPE_GAUGE, "", {label_a, label_b}, {values_a, values_b}, programs, help},
#define HISTOGRAM(id, name, buckets, label_a, values_a, label_b, values_b, programs, help)         \
    [METRIC_##id] = {                                                                              \
        name, TYPE_HISTOGRAM, buckets, {label_a, label_b}, {values_a, values_b}, programs, help},
#include "base/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

/* One series. Counters count in `count`; gauges hold a double's bits there; histograms use it all. */
struct series {
    _Atomic uint64_t count;
    _Atomic uint64_t sum_bits;
    _Atomic uint64_t buckets[]; /* histograms: one per bound, not cumulative */
};

struct family {
    char **values[2];
    int values_count[2]; /* at least 1 once initialised */
    double bounds[METRIC_BUCKETS_MAX];
    int bounds_count;
    size_t series_bytes;
    char *series; /* values_count[0] * values_count[1] of them */
    bool enabled;
};

static struct family families[METRIC_IDS];

static char **split(const char *list, int *count)
{
    char **parts = must_calloc(METRIC_LABEL_VALUES_MAX, sizeof *parts);
    *count = 0;
    for (const char *p = list; *count < METRIC_LABEL_VALUES_MAX;) {
        size_t bytes = strcspn(p, "|");
        parts[(*count)++] = must_strndup(p, bytes);
        if (p[bytes] == '\0')
            break;
        p += bytes + 1;
    }
    return parts;
}

static void free_values(struct family *family, int label)
{
    for (int i = 0; i < family->values_count[label]; i++)
        free(family->values[label][i]);
    free(family->values[label]);
}

static void make_series(struct family *family)
{
    free(family->series);
    family->series_bytes = sizeof(struct series) + (size_t)family->bounds_count * sizeof(uint64_t);
    family->series = must_calloc((size_t)family->values_count[0] * (size_t)family->values_count[1],
                                 family->series_bytes);
}

static void init_family(struct family *family, const struct metric_row *row)
{
    for (int label = 0; label < 2; label++) {
        free_values(family, label);
        family->values[label] =
            split(strcmp(row->values[label], "*") == 0 ? "other" : row->values[label],
                  &family->values_count[label]);
    }
    family->bounds_count = 0;
    for (const char *p = row->buckets; *p != '\0' && family->bounds_count < METRIC_BUCKETS_MAX;) {
        char *end;
        family->bounds[family->bounds_count++] = strtod(p, &end);
        p = *end == '|' ? end + 1 : end;
    }
    make_series(family);
    family->enabled = true;
}

void metrics_init(unsigned program)
{
    for (int id = 0; id < METRIC_IDS; id++)
        if (rows[id].programs & program)
            init_family(&families[id], &rows[id]);
}

void metrics_label_values(enum metric_id id, int label, const char *const *values, int count)
{
    struct family *family = &families[id];
    if (!family->enabled)
        return;
    free_values(family, label);
    family->values[label] = must_calloc(METRIC_LABEL_VALUES_MAX, sizeof(char *));
    family->values_count[label] = 0;
    for (int i = 0; i < count && i < METRIC_LABEL_VALUES_MAX - 1; i++)
        family->values[label][family->values_count[label]++] = must_strdup(values[i]);
    family->values[label][family->values_count[label]++] = must_strdup("other");
    make_series(family);
}

static struct series *series_of(enum metric_id id, int a, int b)
{
    struct family *family = &families[id];
    if (!family->enabled)
        return NULL;
    if (a < 0 || a >= family->values_count[0])
        a = family->values_count[0] - 1;
    if (b < 0 || b >= family->values_count[1])
        b = family->values_count[1] - 1;
    return (struct series *)(void *)(family->series + (size_t)(a * family->values_count[1] + b) *
                                                          family->series_bytes);
}

static double as_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t as_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void add_double(_Atomic uint64_t *bits, double difference)
{
    uint64_t old = atomic_load_explicit(bits, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(bits, &old, as_bits(as_double(old) + difference),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void metrics_add(enum metric_id id, int a, int b, uint64_t count)
{
    struct series *series = series_of(id, a, b);
    if (series != NULL)
        atomic_fetch_add_explicit(&series->count, count, memory_order_relaxed);
}

void metrics_gauge_set(enum metric_id id, int a, int b, double value)
{
    struct series *series = series_of(id, a, b);
    if (series != NULL)
        atomic_store_explicit(&series->count, as_bits(value), memory_order_relaxed);
}

void metrics_gauge_add(enum metric_id id, int a, int b, double difference)
{
    struct series *series = series_of(id, a, b);
    if (series != NULL)
        add_double(&series->count, difference);
}

void metrics_observe(enum metric_id id, int a, int b, double value)
{
    struct series *series = series_of(id, a, b);
    if (series == NULL)
        return;
    const struct family *family = &families[id];
    int bucket = 0;
    while (bucket < family->bounds_count && value > family->bounds[bucket])
        bucket++;
    if (bucket < family->bounds_count)
        atomic_fetch_add_explicit(&series->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&series->count, 1, memory_order_relaxed);
    add_double(&series->sum_bits, value);
}

double metrics_read(enum metric_id id, int a, int b)
{
    struct series *series = series_of(id, a, b);
    if (series == NULL)
        return 0;
    uint64_t raw = atomic_load_explicit(&series->count, memory_order_relaxed);
    return rows[id].type == TYPE_GAUGE ? as_double(raw) : (double)raw;
}

static void append_label_value(struct buffer *out, const char *value)
{
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '\\' || *p == '"')
            buffer_append_char(out, '\\');
        if (*p == '\n')
            buffer_append_text(out, "\\n");
        else
            buffer_append_char(out, *p);
    }
}

/* name{labels, and le when given} followed by a space. */
static void append_head(struct buffer *out, enum metric_id id, const char *suffix, int a, int b,
                        const char *bound)
{
    const struct metric_row *row = &rows[id];
    const int index[2] = {a, b};
    const char *separator = "{";
    buffer_append_format(out, "%s%s", row->name, suffix);
    for (int label = 0; label < 2; label++) {
        if (*row->labels[label] == '\0')
            continue;
        buffer_append_format(out, "%s%s=\"", separator, row->labels[label]);
        append_label_value(out, families[id].values[label][index[label]]);
        buffer_append_char(out, '"');
        separator = ",";
    }
    if (bound != NULL) {
        buffer_append_format(out, "%sle=\"%s\"", separator, bound);
        separator = ",";
    }
    buffer_append_text(out, *separator == '{' ? " " : "} ");
}

static void write_histogram(struct buffer *out, enum metric_id id, int a, int b)
{
    const struct family *family = &families[id];
    struct series *series = series_of(id, a, b);
    uint64_t cumulative = 0, total = atomic_load_explicit(&series->count, memory_order_relaxed);
    for (int i = 0; i < family->bounds_count; i++) {
        char bound[32];
        snprintf(bound, sizeof bound, "%g", family->bounds[i]);
        cumulative += atomic_load_explicit(&series->buckets[i], memory_order_relaxed);
        append_head(out, id, "_bucket", a, b, bound);
        buffer_append_format(out, "%llu\n", (unsigned long long)cumulative);
    }
    if (total < cumulative)
        total = cumulative; /* an observation is under way */
    append_head(out, id, "_bucket", a, b, "+Inf");
    buffer_append_format(out, "%llu\n", (unsigned long long)total);
    append_head(out, id, "_sum", a, b, NULL);
    buffer_append_format(out, "%.17g\n",
                         as_double(atomic_load_explicit(&series->sum_bits, memory_order_relaxed)));
    append_head(out, id, "_count", a, b, NULL);
    buffer_append_format(out, "%llu\n", (unsigned long long)total);
}

static const char *const type_names[] = {"counter", "gauge", "histogram"};

static void write_family(struct buffer *out, enum metric_id id)
{
    const struct family *family = &families[id];
    buffer_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", rows[id].name, rows[id].help,
                         rows[id].name, type_names[rows[id].type]);
    for (int a = 0; a < family->values_count[0]; a++) {
        for (int b = 0; b < family->values_count[1]; b++) {
            if (rows[id].type == TYPE_HISTOGRAM) {
                write_histogram(out, id, a, b);
                continue;
            }
            append_head(out, id, "", a, b, NULL);
            buffer_append_format(out, "%.17g\n", metrics_read(id, a, b));
        }
    }
}

void metrics_write(struct buffer *out)
{
    for (int id = 0; id < METRIC_IDS; id++)
        if (families[id].enabled)
            write_family(out, (enum metric_id)id);
}

void metrics_markdown(struct buffer *out)
{
    buffer_append_text(out,
                       "# Metrics\n\nMade from `lib/base/metrics.def` by `make docs`. All series "
                       "exist at zero from the "
                       "start.\n\n| name | type | labels | meaning |\n| --- | --- | --- | --- |\n");
    for (int id = 0; id < METRIC_IDS; id++) {
        const struct metric_row *row = &rows[id];
        buffer_append_format(out, "| `%s` | %s | %s%s%s | %s |\n", row->name, type_names[row->type],
                             row->labels[0], *row->labels[1] != '\0' ? ", " : "", row->labels[1],
                             row->help);
    }
}
