/* SPDX-License-Identifier: MIT */
#include "io/process.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/metrics.h"
#include "io/clock.h"

void process_metrics_start(void)
{
    static const char *const versions[] = {VERSION};
    metrics_label_values(METRIC_BUILD_INFO, 0, versions, 1);
    metrics_gauge_set(METRIC_BUILD_INFO, 0, 0, 1);
    metrics_gauge_set(METRIC_PROCESS_START, 0, 0, (double)clock_now_us() / 1e6);
    process_metrics_update();
}

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;
    if (file != NULL) {
        if (fscanf(file, "%*d %ld", &pages) != 1)
            pages = 0;
        fclose(file);
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL)
        return 0;
    int count = -1; /* this directory's own */
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void process_metrics_update(void)
{
    struct rusage usage;
    metrics_gauge_set(METRIC_PROCESS_RSS, 0, 0, resident_bytes());
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        metrics_gauge_set(METRIC_PROCESS_CPU, 0, 0,
                          seconds(usage.ru_utime) + seconds(usage.ru_stime));
    metrics_gauge_set(METRIC_PROCESS_FDS, 0, 0, open_descriptors());
}
