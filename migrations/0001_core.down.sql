-- SPDX-License-Identifier: MIT
DROP FUNCTION shards_claim(uuid, smallint[]);
DROP FUNCTION ensure_partitions(integer);
DROP FUNCTION uuid_floor(timestamptz);
DROP VIEW workflow_steps;
DROP TABLE fsm_transitions, workflow_events, workflow_executions, workflow_keys, contracts;
DROP FUNCTION shard_fence(smallint[], bigint[], bigint[], bigint[], bigint[], text[]);
DROP TABLE shards, instances, bridge_identity;
