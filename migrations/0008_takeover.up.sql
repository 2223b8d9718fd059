-- SPDX-License-Identifier: MIT
-- Takeover and outages: the breakers of services, and the steps that they hold. Nodes of schema 7 know nothing
-- of this and go on: to them a held step is a call that is still to be made.

-- The breaker of each service, as all instances see it. A missing row is a closed one. Every change raises the
-- revision, and is made only to the revision that its writer knew.
CREATE TABLE service_breakers (
    service text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    by_hand boolean NOT NULL DEFAULT false, -- held by somebody, until it is released
    since timestamptz NOT NULL,             -- when this state began
    reason text NOT NULL,
    released integer NOT NULL DEFAULT 0,    -- calls of the present round, while it is half open
    prober uuid,                            -- the instance that makes them; null: whoever comes first
    revision bigint NOT NULL DEFAULT 1,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- Steps parked while the breaker of their service is open. Written in the fenced transactions of their shards,
-- gone with the end of the workflow.
CREATE TABLE held_steps (
    workflow_id uuid NOT NULL,
    wait integer NOT NULL,              -- as in workflow_events
    shard smallint NOT NULL,
    service text NOT NULL,
    state_path text NOT NULL,
    attempt smallint NOT NULL,          -- the one that it waits to make
    held_at timestamptz NOT NULL,
    released_at timestamptz,            -- null: it is held
    excluded_us bigint NOT NULL DEFAULT 0, -- by which its time limits moved at its releases
    PRIMARY KEY (workflow_id, wait)
);
CREATE INDEX held_steps_shard ON held_steps (shard);
CREATE INDEX held_steps_service ON held_steps (service, held_at) WHERE released_at IS NULL;

-- Where other instances keep a connection to this one, whose end tells that it is gone. Null: nowhere (schema 7).
ALTER TABLE instances ADD COLUMN peer_address text;

-- Which workflows are paused, for lists: kept by the database, so that it is right whatever node writes. Of those that
-- were cancelled while they were paused it stays as it was; they are not live.
ALTER TABLE workflow_executions ADD COLUMN paused_at timestamptz;
CREATE FUNCTION workflow_note_pause() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE workflow_executions SET paused_at = CASE NEW.kind WHEN 10 THEN NEW.at END WHERE id = NEW.workflow_id;
    RETURN NULL;
END $$;
CREATE TRIGGER workflow_events_pause AFTER INSERT ON workflow_events
    FOR EACH ROW WHEN (NEW.kind IN (10, 11)) EXECUTE FUNCTION workflow_note_pause();
UPDATE workflow_executions w SET paused_at = p.at
  FROM (SELECT l.id, last.kind, last.at FROM workflow_executions l,
               LATERAL (SELECT e.kind, e.at FROM workflow_events e
                         WHERE e.workflow_id = l.id AND e.kind IN (10, 11) ORDER BY e.n DESC LIMIT 1) last
         WHERE l.completed_at IS NULL) p
 WHERE w.id = p.id AND p.kind = 10;
CREATE INDEX workflow_executions_paused ON workflow_executions (id) WHERE paused_at IS NOT NULL AND completed_at IS NULL;
