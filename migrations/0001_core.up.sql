-- SPDX-License-Identifier: MIT
-- Workflows, their recorded events (which are also the outbox), shards and their owners.
--
-- Workflow ids are UUIDv7, so id order is time order: the big tables are partitioned by ranges of the
-- workflow's id, one partition a month. All rows of a workflow lie in the partition of its birth, and a
-- partition whose workflows have all ended can be dropped at once.

CREATE TABLE bridge_identity (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Names the lanes. A restored or copied database takes a new one, so that its seq numbers are new.
    incarnation bigint NOT NULL,
    system_identifier bigint NOT NULL, -- of the PostgreSQL cluster that the incarnation belongs to
    database_oid bigint NOT NULL,      -- of the database in it: a dump restored beside the old one differs
    shards smallint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO bridge_identity (incarnation, system_identifier, database_oid, shards)
SELECT extract(epoch FROM clock_timestamp())::bigint, c.system_identifier, d.oid::bigint, 16
  FROM pg_control_system() c, pg_database d WHERE d.datname = current_database();

-- One row per orchestrator process that is alive.
CREATE TABLE instances (
    instance_id uuid PRIMARY KEY,
    advertised_url text NOT NULL,
    lock_key bigint NOT NULL,             -- held by pg_advisory_lock while the process lives
    lease_expires_at timestamptz NOT NULL, -- by the database's clock
    started_at timestamptz NOT NULL DEFAULT now(),
    version text NOT NULL
);

CREATE TABLE shards (
    shard smallint PRIMARY KEY,
    owner uuid,                             -- instances.instance_id
    epoch bigint NOT NULL DEFAULT 0,        -- the fencing token: raised by each new owner
    commits bigint NOT NULL DEFAULT 0,      -- counts the owner's transactions: tells after a lost reply
    next_seq bigint NOT NULL DEFAULT 1,     -- first free seq of the lane
    published_seq bigint NOT NULL DEFAULT 0, -- all up to here is acknowledged by the broker below
    cluster_id text NOT NULL DEFAULT ''     -- of the broker that published_seq speaks of
) WITH (fillfactor = 20);
INSERT INTO shards (shard) SELECT generate_series(0, 15);

-- First statement of every write transaction: raises when any shard is no longer ours.
CREATE FUNCTION shard_fence(p_shards smallint[], p_epochs bigint[], p_commits bigint[], p_next bigint[],
                            p_published bigint[], p_clusters text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    matched integer;
BEGIN
    UPDATE shards s
       SET commits = s.commits + 1, next_seq = u.next_seq, published_seq = u.published_seq, cluster_id = u.cluster_id
      FROM unnest(p_shards, p_epochs, p_commits, p_next, p_published, p_clusters)
           AS u (shard, epoch, commits, next_seq, published_seq, cluster_id)
     WHERE s.shard = u.shard AND s.epoch = u.epoch AND s.commits = u.commits;
    GET DIAGNOSTICS matched = ROW_COUNT;
    IF matched <> cardinality(p_shards) THEN
        RAISE EXCEPTION 'fenced: % of % shards have another epoch or commit count',
            cardinality(p_shards) - matched, cardinality(p_shards) USING ERRCODE = 'OB001';
    END IF;
END $$;

-- Contract versions that were ever used: a running workflow keeps the one it started with.
CREATE TABLE contracts (
    name text NOT NULL,
    version text NOT NULL,
    file text NOT NULL,
    content text NOT NULL,
    content_sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);

-- Idempotency keys. Not partitioned by time: uniqueness must hold over all of the retention.
CREATE TABLE workflow_keys (
    shard smallint NOT NULL,
    namespace text NOT NULL,
    key text NOT NULL,
    workflow_id uuid NOT NULL,
    body_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (shard, namespace, key)
);
CREATE INDEX workflow_keys_created_at ON workflow_keys USING brin (created_at);

CREATE TABLE workflow_executions (
    id uuid NOT NULL PRIMARY KEY,
    shard smallint NOT NULL,
    run smallint NOT NULL DEFAULT 1,
    correlation_id text,
    workflow_type text NOT NULL,
    contract_version text NOT NULL,
    namespace text NOT NULL,
    current_state text NOT NULL
        CHECK (current_state IN ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    input json NOT NULL,
    metadata json,
    traceparent text,
    result json,
    error_code text,
    error_message text,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    completed_at timestamptz,
    execution_time_ms bigint CHECK (execution_time_ms >= 0)
) PARTITION BY RANGE (id);
CREATE INDEX workflow_executions_live ON workflow_executions (shard) WHERE completed_at IS NULL;
CREATE INDEX workflow_executions_namespace ON workflow_executions (namespace, id);
CREATE INDEX workflow_executions_correlation ON workflow_executions (correlation_id) WHERE correlation_id IS NOT NULL;

-- One row per event from outside, in the order of the workflow: what recovery replays. Each row covers
-- the lane numbers [seq, seq + seq_count) of the events published for it: what the outbox repeats.
CREATE TABLE workflow_events (
    workflow_id uuid NOT NULL,
    n integer NOT NULL,          -- 0, 1, 2, ... of the workflow
    shard smallint NOT NULL,
    seq bigint NOT NULL,
    seq_count smallint NOT NULL,
    run smallint NOT NULL,
    kind smallint NOT NULL,      -- enum record_kind of nodes/orchestrator/core/workflow.h
    wait integer NOT NULL,       -- the interpreter's number of what was waited for; 0: none
    attempt smallint NOT NULL,
    duration_us bigint NOT NULL,
    at timestamptz NOT NULL,
    random double precision NOT NULL,
    state_path text,
    current_step text,           -- the state the workflow is in after this event
    error text,
    cause text,
    payload json,
    PRIMARY KEY (workflow_id, n)
) PARTITION BY RANGE (workflow_id);
CREATE INDEX workflow_events_lane ON workflow_events (shard, (seq + seq_count)) WHERE seq_count > 0;

CREATE TABLE fsm_transitions (
    entity_id uuid NOT NULL,
    entity_type text NOT NULL DEFAULT 'workflow_execution',
    run smallint NOT NULL,
    from_state text,
    to_state text NOT NULL,
    transition_event text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (entity_id, run, to_state)
) PARTITION BY RANGE (entity_id);
-- A workflow ends once per run, whatever a program believes.
CREATE UNIQUE INDEX fsm_transitions_terminal ON fsm_transitions (entity_id, run)
    WHERE to_state IN ('COMPLETED', 'FAILED', 'CANCELLED');

-- Attempts of steps, under the name people already query.
CREATE VIEW workflow_steps AS
SELECT workflow_id, regexp_replace(state_path, '^.*/', '') AS step_name, state_path, n AS step_order, attempt,
       CASE kind WHEN 2 THEN 'COMPLETED' ELSE 'FAILED' END AS status, duration_us / 1000 AS execution_time_ms,
       payload AS step_data, concat_ws(': ', error, cause) AS error_message, at AS created_at
  FROM workflow_events WHERE kind IN (2, 3);

-- The smallest UUIDv7 of a moment.
CREATE FUNCTION uuid_floor(p_at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Partitions from last month to p_months ahead; nodes call it at start and once a day.
CREATE FUNCTION ensure_partitions(p_months integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    month timestamptz;
    part text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY['workflow_executions', 'workflow_events', 'fsm_transitions'] LOOP
        FOR i IN -1 .. p_months LOOP
            month := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => i)) AT TIME ZONE 'UTC';
            part := parent || to_char(month AT TIME ZONE 'UTC', '_YYYYMM');
            IF to_regclass(part) IS NULL THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = %s)',
                               part, parent, uuid_floor(month), uuid_floor((month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'),
                               CASE parent WHEN 'workflow_executions' THEN 80 ELSE 100 END);
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
SELECT ensure_partitions(3);

-- Takes the shards that nobody alive owns: never owned, left by a dead process (its advisory lock is
-- free), by a lost host (its lease has run out), or ours already but not in p_held. Each gets a higher
-- epoch, so that whatever the old owner still sends raises in shard_fence.
CREATE FUNCTION shards_claim(p_instance uuid, p_held smallint[])
RETURNS TABLE (shard smallint, epoch bigint, commits bigint, next_seq bigint, published_seq bigint, cluster_id text)
LANGUAGE plpgsql AS $$
DECLARE
    other record;
    dead uuid[] := '{}';
BEGIN
    FOR other IN SELECT DISTINCT s.owner AS id, i.lock_key AS lock_key, i.lease_expires_at AS lease
                   FROM shards s LEFT JOIN instances i ON i.instance_id = s.owner
                  WHERE s.owner IS NOT NULL AND s.owner <> p_instance LOOP
        IF other.lock_key IS NULL OR other.lease < clock_timestamp() THEN
            dead := dead || other.id;
        ELSIF pg_try_advisory_lock(other.lock_key) THEN
            PERFORM pg_advisory_unlock(other.lock_key);
            dead := dead || other.id;
        END IF;
    END LOOP;
    -- A process stopped in the middle of a transaction holds row locks: end its sessions first.
    PERFORM pg_terminate_backend(a.pid) FROM pg_stat_activity a
      WHERE a.application_name = ANY (SELECT 'bridge-orchestrator ' || d FROM unnest(dead) d);
    DELETE FROM instances i WHERE i.instance_id = ANY (dead);
    RETURN QUERY UPDATE shards s SET owner = p_instance, epoch = s.epoch + 1
      WHERE s.owner IS NULL OR s.owner = ANY (dead) OR (s.owner = p_instance AND NOT s.shard = ANY (p_held))
      RETURNING s.shard, s.epoch, s.commits, s.next_seq, s.published_seq, s.cluster_id;
END $$;
