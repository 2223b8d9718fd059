# SPDX-License-Identifier: MIT
"""What run.py removes: a text that stands once in a file, and what stands there without the protection.

Where the protection is SQL (shard_fence, reducer_fence, unique keys), it is removed from the twin of the database,
which does what the statement does."""

from dataclasses import dataclass

SIM = "tests/sim/sim"


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    old: str
    new: str
    check: str = SIM  # the program that is to notice; one protection may stand before another one in all else


COMMIT = '    CRASH_POINT("commit_unsent");\n'  # right before the transaction is sent

MUTATIONS = [
    Mutation("fence: the epoch of a shard", "tests/sim/statements.c",
             "!cell_equal(row->cells[SHARDS_EPOCH], columns[1][i]) ||\n            "
             "!cell_equal(row->cells[SHARDS_COMMITS], columns[2][i]))",
             "!cell_equal(row->cells[SHARDS_COMMITS], columns[2][i]))"),
    Mutation("fence: the whole of it", "tests/sim/statements.c",
             "!cell_equal(row->cells[SHARDS_EPOCH], columns[1][i]) ||\n            "
             "!cell_equal(row->cells[SHARDS_COMMITS], columns[2][i]))",
             "false)"),
    Mutation("save before send: calls", "nodes/orchestrator/worker_batch.c",
             COMMIT,
             COMMIT +
             "    for (size_t i = 0; i < batch->calls_count; i++)\n"
             "        worker_call(worker, &batch->calls[i]);\n"
             "    batch->calls_count = 0;\n"),
    Mutation("save before send: events", "nodes/orchestrator/worker_batch.c",
             COMMIT,
             COMMIT +
             "    publisher_commit(worker->orchestrator->publisher, &batch->events);\n"),
    Mutation("save before send: replies", "nodes/orchestrator/worker_batch.c",
             COMMIT,
             COMMIT +
             "    for (size_t i = 0; i < batch->replies_count; i++)\n        give(&batch->replies[i]);\n"
             "    batch->replies_count = 0;\n"),
    Mutation("outcome of a lost commit is looked up", "nodes/orchestrator/worker_batch.c",
             "        *is_in = postgres_rows_int(rows, 0, 1) == lane->commits + 1;",
             "        *is_in = true;"),
    Mutation("published_seq waits for the broker", "nodes/orchestrator/publisher.c",
             "*copies_of(lane, event->seq) = topic == NULL ? COPY_WORKFLOW : COPY_WORKFLOW | COPY_TYPED;",
             "*copies_of(lane, event->seq) = 0;"),
    Mutation("a taken lane publishes its backlog", "nodes/orchestrator/publisher.c",
             "    lane->published_seq = published_seq;\n    snprintf",
             "    lane->published_seq = next_seq - 1;\n    snprintf"),
    Mutation("idempotency: the look into the database", "nodes/orchestrator/api_submit.c",
             "    if (code == ERR_OK && postgres_rows_count(rows) > 0) {\n        size_t bytes;",
             "    if (false && code == ERR_OK && postgres_rows_count(rows) > 0) {\n        size_t bytes;"),
    Mutation("idempotency: the unique key", "tests/sim/tables.c",
             'TABLE("workflow_keys", keys, "shard,namespace,key")', 'TABLE("workflow_keys", keys, NULL)',
             check="tests/conform/twin"),
    Mutation("idempotency: the engine's memory of keys", "nodes/orchestrator/core/engine.c",
             "        if (known != NULL) {\n            struct engine_effect *effect = "
             "engine_effect_push(effects, ENGINE_DUPLICATE);",
             "        if (false) {\n            struct engine_effect *effect = "
             "engine_effect_push(effects, ENGINE_DUPLICATE);",
             check="tests/unit/test_engine"),
    Mutation("an answer of another attempt is stale", "nodes/orchestrator/core/engine.c",
             "fits = wait->called && !wait->delivered && wait->attempt == event->attempt;",
             "fits = true;",
             check="tests/unit/test_engine"),
    Mutation("breaker: park", "nodes/orchestrator/worker_call.c",
             ".type = failed && parks ? ENGINE_PARKED : types[said->kind],", ".type = types[said->kind],"),
    Mutation("the lease of an instance that hangs", "nodes/orchestrator/core/spread.c",
             "if (instance->lapsed && settled)", "if (false && settled)"),
    Mutation("the death of an instance frees its shards", "tests/sim/statements_owner.c",
             "        table_remove(row);\n        suspects[gone++] = suspects[i];",
             "        suspects[gone] = suspects[i];"),
    Mutation("reducer: the expected offset", "tests/sim/reducers.c",
             "(wanted->epoch != now->epoch || wanted->expected != now->next_offset))", "(wanted->epoch != now->epoch))"),
    Mutation("reducer: the epoch of a partition", "tests/sim/reducers.c",
             "(wanted->epoch != now->epoch || wanted->expected != now->next_offset))",
             "(wanted->expected != now->next_offset))"),
    Mutation("reducer: both of them", "tests/sim/reducers.c",
             "(wanted->epoch != now->epoch || wanted->expected != now->next_offset))", "false)"),
    Mutation("reducer: repeats are known by seq", "nodes/reducer/core/reducer.c",
             "if (identity.has_lane && identity.seq <= identity.last_seq) {",
             "if (false && identity.has_lane && identity.seq <= identity.last_seq) {"),
]
