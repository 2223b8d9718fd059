/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <stdio.h>
#include <xxhash.h>

struct sim sim;
const char *const fault_names[FAULTS] = {"crash",    "freeze",    "clock",  "connection",
                                         "database", "slow-disk", "broker", "service",
                                         "network",  "stop",      "sick"};

bool world_faulty(enum fault fault)
{
    return !sim.healing && (sim.options.without >> fault & 1) == 0;
}

void world_tell(enum told kind, const char *format, ...)
{
    static const char *const names[] = {"log",  "fault",  "store", "broker",
                                        "call", "client", "CHECK"};
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (bytes >= (int)sizeof line)
        bytes = sizeof line - 1;
    sim.hash = XXH3_64bits_withSeed(line, (size_t)bytes, sim.hash + (uint64_t)fiber_now_us());
    if (sim.keep_story)
        printf("%11.6f %-6s %s%s%s\n", (double)(fiber_now_us() - WORLD_START_US) / 1e6, names[kind],
               kind == TOLD_LOG && fiber_process() != NULL ? fiber_process()->name : "",
               kind == TOLD_LOG ? ": " : "", line);
}

void world_fail(const char *format, ...)
{
    if (sim.failed)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sim.failure, sizeof sim.failure, format, arguments);
    va_end(arguments);
    sim.failed = true;
    world_tell(TOLD_CHECK, "%s", sim.failure);
}
