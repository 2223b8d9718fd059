-- SPDX-License-Identifier: MIT
-- Nodes that have made themselves known: one row per node, written over by each of its heartbeats.

CREATE TABLE node_registrations (
    node_id varchar(255) PRIMARY KEY,
    node_type varchar(100) NOT NULL,
    node_version varchar(50) NOT NULL,
    capabilities jsonb NOT NULL DEFAULT '{}',
    endpoints jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    health_status varchar(50) NOT NULL DEFAULT 'UNKNOWN',
    health_endpoint varchar(500),
    last_heartbeat timestamptz,
    registered_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50); -- room for the next version of a row beside the last one

CREATE INDEX node_registrations_type_idx ON node_registrations (node_type, health_status);
