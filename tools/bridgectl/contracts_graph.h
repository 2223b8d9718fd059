/* SPDX-License-Identifier: MIT */
/* contracts_graph.h - the commands that look at a contract's control flow: `contracts graph` draws
 * it, `contracts verify` goes through it.
 *
 * Owns      Callers release what they get.
 * Threads   Main thread.
 */
#ifndef CONTRACTS_GRAPH_H
#define CONTRACTS_GRAPH_H

#include "bridgectl.h"
#include "core/contract.h"

int run_graph(const struct ctl *ctl, const struct command *command, int argc, char **argv);
int run_verify(const struct ctl *ctl, const struct command *command, int argc, char **argv);
/* A contract or a state machine, whatever its resources; NULL when the findings were told. */
struct contract *contract_load_or_tell(const char *file) MUST_USE;
/* Writes to a file; NULL: standard output. Tells on standard error what went wrong. */
bool output_write(const char *file, const struct buffer *text);

#endif
