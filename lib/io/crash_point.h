/* SPDX-License-Identifier: MIT */
/* crash_point.h - places at which a node of `make prove` ends as by kill -9. Nothing in any other build.
 *
 *     CRASH_POINT("commit_sent");
 *
 * BRIDGE_CRASH_POINT names the one that fires, BRIDGE_CRASH_SKIP how often it is passed before, BRIDGE_CRASH_FILE a
 * file that it appends its label to first. With BRIDGE_CRASH_STOP=1 the process stops there once, as by SIGSTOP,
 * and goes on when it is told to: by then others have what it owned. tests/prove reads the labels from the
 * sources and lets each fire.
 *
 * Threads   Any.
 */
#ifndef IO_CRASH_POINT_H
#define IO_CRASH_POINT_H

#ifndef CRASH_POINTS
#define CRASH_POINT(label) ((void)0)
#else

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void crash_here(const char *label, int passed)
{
    const char *skip = getenv("BRIDGE_CRASH_SKIP"), *stop = getenv("BRIDGE_CRASH_STOP");
    const char *path = getenv("BRIDGE_CRASH_FILE");
    if (passed != (skip ? atoi(skip) : 0))
        return;
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;
    if (file >= 0 && write(file, label, strlen(label)) >= 0 && write(file, "\n", 1) >= 0)
        close(file);
    if (stop && *stop) {
        kill(getpid(), SIGSTOP);
        return;
    }
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

#define CRASH_POINT(label)                                                                         \
    do {                                                                                           \
        static atomic_int passed_crash;                                                            \
        const char *wanted_crash = getenv("BRIDGE_CRASH_POINT");                                   \
        if (wanted_crash && strcmp(wanted_crash, label) == 0)                                      \
            crash_here(label, atomic_fetch_add(&passed_crash, 1));                                 \
    } while (0)

#endif
#endif
