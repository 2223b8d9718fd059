/* SPDX-License-Identifier: MIT */
/* contracts_graph.h - the commands that look at a contract's control flow: `contracts graph` draws it.
 *
 *
 * Owns      Nothing.
 * Threads   Main thread.
 */
#ifndef CONTRACTS_GRAPH_H
#define CONTRACTS_GRAPH_H

#include "bridgectl.h"

int run_graph(const struct ctl *ctl, const struct command *command, int argc, char **argv);

/* Writes to a file; NULL: standard output. Tells on standard error what went wrong. */
bool output_write(const char *file, const struct buffer *text);

#endif
