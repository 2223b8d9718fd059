/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "orchestrator/core/engine_internal.h"

void engine_lane_open(struct engine *engine, int16_t shard, int64_t next_seq)
{
    engine->next_seq[shard] = next_seq;
}

int64_t engine_lane_next(const struct engine *engine, int16_t shard)
{
    return engine->next_seq[shard];
}

size_t engine_shard_close(struct engine *engine, int16_t shard)
{
    size_t closed = 0;
    struct live *live, *next;
    HASH_ITER(hh, engine->live, live, next)
    {
        struct workflow *workflow = live->workflow;
        if (workflow_head(workflow)->shard != shard)
            continue;
        engine->in_flight -= workflow_calls(workflow);
        engine->pending_count -= engine_waits_to_start(workflow);
        engine_gate_forget(engine, workflow);
        engine_remove_live(engine, &live->id);
        workflow_free(workflow);
        closed++;
    }
    return closed;
}
