/* SPDX-License-Identifier: MIT */
/* contract_internal.h - what contract.c (reads a contract) and contract_check.c (checks its head
 * against its state machine) share.
 *
 * Owns      The loader lends everything but its outline, which parse() in contract.c frees.
 */
#ifndef CORE_CONTRACT_INTERNAL_H
#define CORE_CONTRACT_INTERNAL_H

#include "core/asl_outline.h"
#include "core/contract.h"

struct contract_loader {
    struct contract *contract;
    struct source_map *map;
    struct findings *findings;
    const struct json *document;
    struct asl_outline *outline;           /* NULL while there is no state machine */
    bool mocked;                           /* mocks answer, so any resource and service will do */
    contract_service_known *service_known; /* NULL: any service is */
    void *service_context;
};

bool contract_name_is_valid(const char *name);
void contract_services_check(struct contract_loader *loader);
void contract_tasks_check(struct contract_loader *loader);
void contract_events_check(struct contract_loader *loader);
void contract_verify_check(struct contract_loader *loader);

#endif
