/* SPDX-License-Identifier: MIT */
#include "io/clock.h"
#include "io/log.h"
#include "orchestrator/ownership_internal.h"

#define HOUSE_INTERVAL_US INT64_C(600000000)
#define HOUSE_RETRY_US INT64_C(30000000)

/* Partitions are made months ahead, and keys past their retention go in small deletes. On a
 * connection of its own: whatever holds it up must not cost the lock or the lease. */
void ownership_keep_house(struct ownership *ownership)
{
    static const char sql_keys[] =
        "DELETE FROM workflow_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM workflow_keys "
        "WHERE created_at < clock_timestamp() - make_interval(hours => $1) LIMIT 10000))";
    struct orchestrator *orchestrator = ownership->orchestrator;
    int64_t now_us = clock_monotonic_us();
    if (ownership->house_us != 0 && now_us < ownership->house_us)
        return;
    struct postgres_value hours = {0};
    struct error error = {0};
    struct postgres *postgres =
        postgres_new(orchestrator->database_url, "bridge-orchestrator housekeeping",
                     "-c lock_timeout=1s -c statement_timeout=3s");
    postgres_set_reply_timeout(postgres, (int)orchestrator->config->lease_ms / 3);
    postgres_set_int4(&hours, (int32_t)orchestrator->config->idempotency_retention_hours);
    enum error_code code =
        postgres_query(postgres, "SELECT ensure_partitions(3)", NULL, 0, NULL, &error);
    if (code == ERR_OK)
        code = postgres_query(postgres, sql_keys, &hours, 1, NULL, &error);
    if (code != ERR_OK)
        log_warning("housekeeping is put off", LOG_TEXT("error", error.text));
    ownership->house_us = now_us + (code == ERR_OK ? HOUSE_INTERVAL_US : HOUSE_RETRY_US);
    postgres_value_fini(&hours);
    postgres_free(postgres);
}
