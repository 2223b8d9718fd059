/* SPDX-License-Identifier: MIT */
#include "orchestrator/schema.h"

#include "io/log.h"
#include "io/migrate.h"

enum error_code schema_look(struct orchestrator *orchestrator, struct postgres *postgres,
                            struct error *error)
{
    int version = 0;
    enum error_code code = migrate_version(postgres, &version, error);
    if (code != ERR_OK)
        return code;
    int before = atomic_exchange(&orchestrator->schema_version, version);
    if (before != version && before != 0)
        log_info("the database was migrated", LOG_INT("from", before), LOG_INT("to", version));
    else if (before != version && version < SCHEMA_VERSION_NEWEST)
        log_warning("the database is not migrated yet; what needs the newer schema is switched off",
                    LOG_INT("schema", version), LOG_INT("newest", SCHEMA_VERSION_NEWEST));
    return ERR_OK;
}

bool schema_at_least(const struct orchestrator *orchestrator, int version)
{
    return atomic_load_explicit(&orchestrator->schema_version, memory_order_relaxed) >= version;
}
