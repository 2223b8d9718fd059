/* SPDX-License-Identifier: MIT */
/* contracts_run.h - runs contracts alone, on a virtual clock, with mocks for their tasks: what
 * `contracts run` and `contracts test` share.
 *
 * Owns      Callers release what they get.
 * Threads   Main thread.
 */
#ifndef CONTRACTS_RUN_H
#define CONTRACTS_RUN_H

#include "bridgectl.h"
#include "core/asl_mock.h"
#include "core/contract.h"

/* Reads a contract or a state machine for a run with mocks; NULL with findings. */
struct contract *mocked_contract_load(const char *file, struct findings *findings) MUST_USE;
/* Reads JSON, or YAML when the name ends in .yaml or .yml; "-" is standard input. NULL with findings.
 * *map is always set. */
struct json *document_load(const char *file, struct source_map **map,
                           struct findings *findings) MUST_USE;
/* Does the input fit input_state? When not, the fault is a finding at `pointer` of the source. */
bool input_fits(const struct contract *contract, const struct json *input,
                const struct source_map *source, const char *pointer, struct findings *findings);
/* asl_mock_run, then output_state: an output that does not fit it ends as FAILED. */
void mocked_contract_run(const struct contract *contract, const struct asl_mock_options *options,
                         struct asl_mock_result *result);

/* The value as JSON on one line, fit for a terminal, cut off where it is longer; free(). */
char *clipped_json(const struct json *value, size_t bytes_max) MUST_USE;
/* {status, output, error, cause, states}, after id unless that is NULL. */
struct json *result_json(const struct json *id, const struct asl_mock_result *result) MUST_USE;

int run_run(const struct ctl *ctl, const struct command *command, int argc, char **argv);
int run_test(const struct ctl *ctl, const struct command *command, int argc, char **argv);

#endif
