/* SPDX-License-Identifier: MIT */
/* contract_files.h - the contracts of a directory: <directory>/workflows/ *.yaml, *.yml, *.json,
 * *.asl.json.
 *
 * Owns      struct contract_files owns its contracts until they are taken (set them to NULL);
 *           zeroed is empty.
 * Threads   Any; one call at a time per struct.
 * Errors    A file that cannot be read, is too large or is no valid contract leaves findings and has
 *           no contract; the others are loaded. ERR_IO when the directory itself cannot be read.
 */
#ifndef IO_CONTRACT_FILES_H
#define IO_CONTRACT_FILES_H

#include <stddef.h>

#include "core/aggregation.h"
#include "core/contract.h"
#include "core/event_routes.h"

struct contract_file {
    char *path;
    struct contract *contract; /* NULL: not valid, findings say why */
};

struct contract_files {
    struct contract_file *items; /* in the order of file names */
    size_t count;
};

/* Services as for contract_parse_among. */
enum error_code contract_files_load(const char *directory, contract_service_known *known,
                                    void *context, struct contract_files *files,
                                    struct findings *findings, struct error *error) MUST_USE;
/* One file; NULL with findings. */
struct contract *contract_file_load(const char *file, struct findings *findings) MUST_USE;
/* The text of one file of the directory, "services.yaml" and the like; free() it. NULL with a finding. *path
 * gets its name for further findings. */
char *contract_directory_read(const char *directory, const char *name, struct buffer *path,
                              size_t *bytes, struct findings *findings) MUST_USE;
/* <directory>/events.yaml; NULL with findings. */
struct event_routes *event_routes_load(const char *directory, const char *environment,
                                       struct findings *findings) MUST_USE;
/* <directory>/aggregations/ *.yaml, *.yml, *.json, all of them; *set stays NULL when one has findings that
 * are errors. ERR_IO when the directory cannot be read; one that is not there has no files. */
enum error_code aggregation_files_load(const char *directory,
                                       const struct aggregation_defaults *defaults,
                                       struct aggregation_set **set, struct findings *findings,
                                       struct error *error) MUST_USE;
/* One file into the set; NULL with findings. */
const struct aggregation *aggregation_file_load(struct aggregation_set *set, const char *file,
                                                struct findings *findings) MUST_USE;
void contract_files_fini(struct contract_files *files);

#endif
