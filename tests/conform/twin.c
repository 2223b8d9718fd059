/* SPDX-License-Identifier: MIT */
/* twin.c - the conformance suite on the twin of the database, in a process of the simulation. */
#include <stdio.h>
#include <string.h>

#include "tests/conform/conform.h"
#include "tests/sim/tables.h"
#include "tests/sim/world.h"

static const char *fault = "nothing was asked";
static bool over;

static int64_t rows(const char *table) { return table_find(table, strlen(table))->count; }

static void *run(void *context)
{
    (void)context;
    struct postgres *postgres = postgres_new("postgresql://twin", "conform", NULL);
    fault = conform_run(postgres, sim.registry, rows);
    over = true;
    return NULL;
}

static bool is_over(void) { return over; }

int main(void)
{
    struct buffer faults = {0};
    sim.healing = true; /* nothing goes wrong by chance */
    sim.unchecked = true;
    if (registry_open(&sim.registry, "tests/sim/contracts", &faults) != ERR_OK) {
        fputs(buffer_text(&faults), stderr);
        return 2;
    }
    fiber_world_start(1, WORLD_START_US);
    database_start();
    process_start(process_new("conform"), run, NULL);
    (void)fiber_world_run(is_over, WORLD_START_US + 60 * SECOND_US);
    printf("conformance of the twin: %s%s\n",
           fault == NULL ? "" : "FAILED: ", fault == NULL ? "100%" : fault);
    return fault == NULL ? 0 : 1;
}
