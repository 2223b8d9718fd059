/* SPDX-License-Identifier: MIT */
/* counting - events counted in memory: what the reducer's pure part costs alone.
 *
 *     counting CONTRACTS_DIR [--events N] [--namespaces N] [--events-per-workflow N] [--shuffle-ms N] [--idle]
 *
 * Makes the events of stamps.h on 8 partitions in memory, then gives each of them to the core, which has all
 * aggregations of the directory; those of a partition come together, as fetches bring them. Every ROUND_EVENTS a snapshot is said to be taken and windows that passed
 * are forgotten. --idle makes the events and counts none, so that the difference of two runs is what
 * counting costs. Time is CPU time of this thread. Prints one line of JSON.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/contract_files.h"
#include "reducer/core/reducer.h"
#include "stamps.h"

#define WINDOW_MS 5000
#define LATENESS_MS 60000
#define TOLERANCE_US 5000000
#define ROUND_EVENTS 10000

struct run {
    struct stamp_plan plan;
    bool idle;
    struct reducer reducer;
    struct buffer texts; /* of all records of a round */
    struct reducer_record records[ROUND_EVENTS];
    int64_t next_offset[PARTITIONS_MAX];
    int64_t counted, dirty;
    double cpu_s;
};

static double thread_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct aggregation_set *load(const char *directory)
{
    const struct aggregation_defaults defaults = {.size_ms = WINDOW_MS, .lateness_ms = LATENESS_MS};
    struct findings findings = {0};
    struct error error = {0};
    struct buffer told = {0};
    struct aggregation_set *set = NULL;
    if (aggregation_files_load(directory, &defaults, &set, &findings, &error) || !set) {
        findings_write(&findings, &told);
        fprintf(stderr, "counting: %s: %s%s\n", directory, error.text, buffer_text(&told));
        exit(1);
    }
    buffer_fini(&told);
    findings_fini(&findings);
    return set;
}

/* Copies a text and gives its place: the buffer may move while it grows. */
static size_t keep(struct run *run, const char *data, size_t bytes)
{
    buffer_append(&run->texts, data, bytes);
    return run->texts.bytes - bytes;
}

static void make_round(struct run *run, struct stamps *stamps, int count)
{
    static size_t places[ROUND_EVENTS][5];
    struct stamp stamp;
    buffer_clear(&run->texts);
    for (int i = 0; i < count; i++) {
        stamps_next(stamps, &stamp);
        run->records[i] = (struct reducer_record){
            .partition = stamp.partition,
            .offset = run->next_offset[stamp.partition]++,
            .key_bytes = strlen(stamp.key),
            .value_bytes = (size_t)stamp.value_bytes,
            .lane_bytes = strlen(stamp.lane),
            .seq_bytes = strlen(stamp.seq),
            .prev_seq_bytes = strlen(stamp.prev_seq),
        };
        const struct reducer_record *record = &run->records[i];
        places[i][0] = keep(run, stamp.key, record->key_bytes);
        places[i][1] = keep(run, stamp.value, record->value_bytes);
        places[i][2] = keep(run, stamp.lane, record->lane_bytes);
        places[i][3] = keep(run, stamp.seq, record->seq_bytes);
        places[i][4] = keep(run, stamp.prev_seq, record->prev_seq_bytes);
    }
    for (int i = 0; i < count; i++) {
        struct reducer_record *record = &run->records[i];
        record->key = run->texts.data + places[i][0];
        record->value = run->texts.data + places[i][1];
        record->lane = run->texts.data + places[i][2];
        record->seq = run->texts.data + places[i][3];
        record->prev_seq = run->texts.data + places[i][4];
    }
}

static void count_round(struct run *run, int count)
{
    double before_s = thread_seconds();
    for (int32_t partition = 0; partition < run->plan.partitions; partition++) {
        for (int i = 0; i < count; i++) {
            if (run->records[i].partition != partition)
                continue;
            struct reducer_outcome outcome = reducer_record(&run->reducer, &run->records[i]);
            run->counted += outcome.verdict == RECORD_COUNTED || outcome.verdict == RECORD_LATE;
        }
    }
    run->dirty += (int64_t)run->reducer.dirty_count;
    reducer_snapshot_taken(&run->reducer);
    reducer_sweep(&run->reducer);
    run->cpu_s += thread_seconds() - before_s;
}

static void count_all(struct run *run)
{
    struct stamps stamps;
    stamps_init(&stamps, &run->plan);
    for (int64_t left = run->plan.events; left > 0; left -= ROUND_EVENTS) {
        int count = left < ROUND_EVENTS ? (int)left : ROUND_EVENTS;
        make_round(run, &stamps, count);
        if (!run->idle)
            count_round(run, count);
    }
    stamps_fini(&stamps);
}

static bool read_arguments(struct run *run, int argc, char **argv)
{
    static const struct option options[] = {
        {"events", 1, NULL, 'n'},
        {"namespaces", 1, NULL, 'g'},
        {"events-per-workflow", 1, NULL, 'w'},
        {"shuffle-ms", 1, NULL, 's'},
        {"idle", 0, NULL, 'i'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'n')
            run->plan.events = strtoll(optarg, NULL, 10);
        else if (c == 'g')
            run->plan.namespaces = strtoll(optarg, NULL, 10);
        else if (c == 'w')
            run->plan.events_per_workflow = strtoll(optarg, NULL, 10);
        else if (c == 's')
            run->plan.shuffle_ms = strtoll(optarg, NULL, 10);
        else if (c == 'i')
            run->idle = true;
        else
            return false;
    }
    return optind == argc - 1 && run->plan.events > 0 && run->plan.namespaces > 0 &&
           run->plan.events_per_workflow > 0;
}

int main(int argc, char **argv)
{
    static struct run run;
    run.plan = stamp_defaults;
    run.plan.namespaces = 16;
    run.plan.events_per_workflow = 10;
    if (!read_arguments(&run, argc, argv)) {
        fputs("usage: counting CONTRACTS_DIR [--events N] [...]; see counting.c\n", stderr);
        return 2;
    }
    struct aggregation_set *set = load(argv[optind]);
    reducer_init(&run.reducer, set, TOLERANCE_US);
    for (int32_t i = 0; i < run.plan.partitions; i++)
        (void)reducer_assign(&run.reducer, i, 1, 0, WINDOW_NO_TIME, WINDOW_NO_TIME);
    count_all(&run);
    printf("{\"events\":%" PRId64 ",\"counted\":%" PRId64 ",\"ns_per_event\":%.1f,"
           "\"rows\":%zu,\"changed_rows_per_event\":%.4f}\n",
           run.plan.events, run.counted, run.cpu_s * 1e9 / (double)run.plan.events,
           run.reducer.rows_count, (double)run.dirty / (double)run.plan.events);
    reducer_fini(&run.reducer);
    aggregation_set_free(set);
    buffer_fini(&run.texts);
    return 0;
}
