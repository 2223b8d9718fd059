/* SPDX-License-Identifier: MIT */
/* contract.h - a workflow contract: ONEX head and state machine, read from YAML (libfyaml) or JSON.
 *
 * Owns      A contract is immutable after contract_parse; free it when nothing runs on it any more.
 * Threads   Read-only, so any.
 * Errors    contract_parse collects findings and gives NULL when one is an error.
 *
 *     name: metadata_stamping
 *     version: 1.0.0                 # semantic version
 *     description: ...
 *     services: [metadata-stamping, onextree]
 *     input_state: { JSON Schema }
 *     output_state: { JSON Schema }
 *     events: ...                    # optional: names and payloads of published events, see below
 *     verify: { compensations: { undo: do } }  # optional: what asl_model.h shall prove
 *     state_machine: { StartAt: ..., States: ... }
 *
 * A plain *.asl.json file is the state machine alone; its name is the file's stem, its version 1.0.0.
 *
 * events:
 *     workflow_started:   { type: stamp_workflow_started, payload: { template } }
 *     workflow_completed, workflow_failed, workflow_cancelled: likewise, each optional
 *     steps:
 *       <state name>:
 *         requested: { type: ..., payload: ... }   # when the state's first attempt is called
 *         completed: { type: ..., payload: ... }   # when the state succeeds
 * A payload template sees $ = { workflow: { id, namespace, correlation_id, started_at, ... }, input:
 * <workflow input>, data: <the state's input or output, or the workflow's output>, ... }.
 */
#ifndef CORE_CONTRACT_H
#define CORE_CONTRACT_H

#include "core/asl.h"
#include "core/finding.h"
#include "core/schema.h"

/* An event that the contract declares, ready to be made. */
struct contract_event {
    const char *state; /* "": of the workflow itself; texts are lent by the document */
    const char *name;  /* "workflow_started", ..., of a step "requested" or "completed" */
    const char *type;
    struct asl_template *payload; /* NULL: nothing of its own */
};

struct contract {
    char *name;
    char *version;
    char *description;
    struct json *document;       /* the whole, as JSON */
    struct schema *input_schema; /* NULL: anything */
    struct schema *output_schema;
    struct json *services;           /* array of names, or NULL */
    struct json *events;             /* object, or NULL */
    struct contract_event *declared; /* the same, compiled */
    size_t declared_count;
    struct asl_machine *machine;
};

/* `file` names it in findings and decides the kind by its ending: .yaml, .yml, .json, .asl.json. */
struct contract *contract_parse(const char *file, const char *text, size_t bytes,
                                struct findings *findings) MUST_USE;
/* The same for a run with mocks: any Resource and any service will do, and a document that has StartAt
 * instead of state_machine is a state machine alone, whatever its name. */
struct contract *contract_parse_for_mocks(const char *file, const char *text, size_t bytes,
                                          struct findings *findings) MUST_USE;
/* The same as contract_parse; a service of the contract's list that is not known is an error. */
typedef bool contract_service_known(const char *name, void *context);
struct contract *contract_parse_among(const char *file, const char *text, size_t bytes,
                                      contract_service_known *known, void *context,
                                      struct findings *findings) MUST_USE;
/* A workflow whose output does not fit output_state fails by this name; *error then says why. */
#define CONTRACT_OUTPUT_INVALID "Contract.OutputInvalid"
bool contract_output_fits(const struct contract *contract, const struct json *output,
                          struct error *error) MUST_USE;
void contract_free(struct contract *contract);
/* The event of a state, or of the workflow for state "". NULL when the contract declares none. */
const struct contract_event *contract_event_find(const struct contract *contract, const char *state,
                                                 const char *name);
/* <0, 0, >0 by semantic version precedence (semver.org section 11). */
int contract_version_compare(const char *a, const char *b);
bool contract_version_is_prerelease(const char *version); /* "1.2.3-rc.1" */
bool contract_version_is_valid(const char *version);

/* YAML 1.2 (so also JSON) to json, with places. NULL with a finding when it does not parse. */
struct json *yaml_parse(const char *file, const char *text, size_t bytes, struct source_map **map,
                        struct findings *findings) MUST_USE;
/* The other way, in block style; yaml_parse gives an equal value again. */
void yaml_write(const struct json *value, struct buffer *out);
/* As yaml_parse for JSON, where a name given twice is a finding; *map is always set. */
struct json *json_document_parse(const char *file, const char *text, size_t bytes,
                                 struct source_map **map, struct findings *findings) MUST_USE;

#endif
