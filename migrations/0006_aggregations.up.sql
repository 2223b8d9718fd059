-- SPDX-License-Identifier: MIT
-- Aggregations are data: rows hold the cells of any definition instead of the columns of three.
--
-- What was counted so far goes on: rows of namespace_grouping, namespace_total and time_window become rows of
-- version 1.0.0 of the shipped definitions, cell by cell.

CREATE TABLE aggregation_definitions (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    content_hash text,           -- of what counts; null until a reducer that has the file starts
    keys text[] NOT NULL,        -- names of what it groups by
    measures text[] NOT NULL,    -- names of what it measures
    cells integer[] NOT NULL,    -- of each measure: its cell in a row's state; null: it has none
    lateness_ms bigint NOT NULL, -- how long after its end a window takes late events
    retention_days integer NOT NULL DEFAULT 0, -- 0: for ever
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (name, version)
);

INSERT INTO aggregation_definitions (name, version, keys, measures, cells, lateness_ms)
VALUES ('namespace_grouping', '1.0.0', '{namespace}',
        '{total_stamps,total_size_bytes,unique_file_hashes,unique_workflows,unique_file_types}', '{0,1,2,3,4}', 60000),
       ('namespace_total', '1.0.0', '{namespace}',
        '{total_stamps,total_size_bytes,unique_file_hashes,unique_workflows,unique_file_types}', '{0,1,2,3,4}', 60000),
       ('time_window', '1.0.0', '{}', '{stamps_count}', '{0}', 60000);

-- A row's state is written by nodes/reducer/core/aggregate_codec.c: two octets, then 16 octets a cell.
CREATE FUNCTION aggregation_count(state bytea, cell integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT ('x' || encode(substring(state FROM 3 + 16 * cell FOR 8), 'hex'))::bit(64)::bigint
$$;
CREATE FUNCTION aggregation_whole(state bytea, cell integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT ('x' || encode(substring(state FROM 11 + 16 * cell FOR 8), 'hex'))::bit(64)::bigint
$$;
-- Seven bits an octet, the low ones first.
CREATE FUNCTION pg_temp.varint(n integer) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    octets bytea := '';
BEGIN
    WHILE n >= 128 LOOP
        octets := octets || decode(lpad(to_hex(n % 128 + 128), 2, '0'), 'hex');
        n := n / 128;
    END LOOP;
    RETURN octets || decode(lpad(to_hex(n), 2, '0'), 'hex');
END $$;
CREATE FUNCTION pg_temp.microseconds(at timestamptz) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT int8send((extract(epoch FROM at) * 1000000)::bigint)
$$;

DROP VIEW bridge_states;

ALTER TABLE aggregation_rows RENAME TO aggregation_rows_before;
ALTER TABLE aggregation_rows_before RENAME CONSTRAINT aggregation_rows_pkey TO aggregation_rows_before_pkey;
ALTER INDEX aggregation_rows_open RENAME TO aggregation_rows_before_open;
ALTER INDEX aggregation_rows_partition RENAME TO aggregation_rows_before_partition;
ALTER INDEX aggregation_rows_newest RENAME TO aggregation_rows_before_newest;

CREATE TABLE aggregation_rows (
    definition integer NOT NULL,
    window_ms bigint NOT NULL,         -- its length; 0: all time
    window_start timestamptz NOT NULL, -- 1970-01-01 for rows of all time
    group_key text NOT NULL,
    partition integer NOT NULL,
    window_end timestamptz,            -- null for rows of all time
    revision integer NOT NULL,         -- 1, and one more for each late event
    is_open boolean NOT NULL DEFAULT true, -- no final was announced since the row was made
    events bigint NOT NULL,            -- counted in it
    state bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (definition, window_ms, window_start, group_key, partition)
) WITH (fillfactor = 70);
INSERT INTO aggregation_rows (definition, window_ms, window_start, group_key, partition, window_end, revision,
                              is_open, events, state, updated_at)
SELECT d.id, r.window_ms, r.window_start, r.group_key, r.partition, r.window_end, r.revision, r.is_open, r.stamps,
       CASE WHEN r.aggregation = 'time_window' THEN
           '\x0203'::bytea || int8send(r.stamps) || int8send(0) || int8send(r.latency_count)
           || float8send(r.latency_sum_ms) || int8send(r.latency_count) || int8send(0)
           || pg_temp.varint(length(r.sketch) - 1) || substring(r.sketch FROM 2)
       ELSE
           '\x0208'::bytea || int8send(r.stamps) || int8send(0) || int8send(r.stamps) || int8send(r.size_bytes)
           || int8send(r.unique_file_hashes) || int8send(1) || int8send(r.unique_workflows) || int8send(1)
           || int8send(r.unique_file_types) || int8send(1) || int8send(r.latency_count)
           || float8send(r.latency_sum_ms) || int8send(r.stamps) || pg_temp.microseconds(r.first_at)
           || int8send(r.stamps) || pg_temp.microseconds(r.last_at) || '\x000000'::bytea
       END, r.updated_at
  FROM aggregation_rows_before r JOIN aggregation_definitions d ON d.name = r.aggregation
 ORDER BY r.window_start;
DROP TABLE aggregation_rows_before;
DROP FUNCTION pg_temp.varint(integer), pg_temp.microseconds(timestamptz);
CREATE INDEX aggregation_rows_open ON aggregation_rows (window_end) WHERE is_open AND window_end IS NOT NULL;
CREATE INDEX aggregation_rows_partition ON aggregation_rows (partition, window_end);
CREATE INDEX aggregation_rows_newest ON aggregation_rows (window_start, definition, group_key, window_ms);

-- Values behind distinct counts that are too many to stand in their row.
ALTER TABLE aggregation_values RENAME TO aggregation_values_before;
ALTER TABLE aggregation_values_before RENAME CONSTRAINT aggregation_values_pkey TO aggregation_values_before_pkey;
ALTER INDEX aggregation_values_partition RENAME TO aggregation_values_before_partition;
CREATE TABLE aggregation_values (
    definition integer NOT NULL,
    window_ms bigint NOT NULL,
    window_start timestamptz NOT NULL,
    group_key text NOT NULL,
    partition integer NOT NULL,
    cell smallint NOT NULL,         -- of the row
    first_value integer NOT NULL,   -- how many values come before this piece
    hashes bytea NOT NULL,
    PRIMARY KEY (definition, window_ms, window_start, group_key, partition, cell, first_value)
);
ALTER TABLE aggregation_values ALTER COLUMN hashes SET STORAGE EXTERNAL; -- hashes do not compress
INSERT INTO aggregation_values
SELECT d.id, v.window_ms, v.window_start, v.group_key, v.partition, v.value_set + 2, v.first_value, v.hashes
  FROM aggregation_values_before v JOIN aggregation_definitions d ON d.name = v.aggregation;
DROP TABLE aggregation_values_before;
CREATE INDEX aggregation_values_partition ON aggregation_values (partition, window_start);

ALTER TABLE aggregation_finals RENAME TO aggregation_finals_before;
ALTER TABLE aggregation_finals_before RENAME CONSTRAINT aggregation_finals_pkey TO aggregation_finals_before_pkey;
CREATE TABLE aggregation_finals (
    definition integer NOT NULL,
    window_ms bigint NOT NULL,
    window_start timestamptz NOT NULL,
    group_key text NOT NULL,
    final_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (definition, window_ms, window_start, group_key)
);
INSERT INTO aggregation_finals
SELECT d.id, f.window_ms, f.window_start, f.group_key, f.final_at
  FROM aggregation_finals_before f JOIN aggregation_definitions d ON d.name = f.aggregation;
DROP TABLE aggregation_finals_before;

-- Which definitions were counted up to next_offset: a new one starts where it finds the partition, or from
-- the topic's beginning when it asks for that. Null: not noted yet, all of them were.
ALTER TABLE reducer_partitions ADD COLUMN counted integer[];

-- First statement of the transactions that count the past of a new definition: raises when any partition is
-- no longer ours. The lock lets a new owner wait for what is under way.
CREATE FUNCTION reducer_hold(p_cluster text, p_topic text, p_partitions integer[], p_epochs bigint[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    matched integer;
BEGIN
    SELECT count(*) INTO matched FROM (
        SELECT FROM reducer_partitions p JOIN unnest(p_partitions, p_epochs) AS u (partition, epoch)
            ON p.partition = u.partition AND p.epoch = u.epoch
         WHERE p.cluster_id = p_cluster AND p.topic = p_topic FOR SHARE OF p) AS held;
    IF matched <> cardinality(p_partitions) THEN
        RAISE EXCEPTION 'fenced: % of % partitions have another epoch',
            cardinality(p_partitions) - matched, cardinality(p_partitions) USING ERRCODE = 'OB001';
    END IF;
END $$;

-- People query bridge_states; it shows one row per aggregation, window and group, partitions merged.
CREATE VIEW bridge_states AS
SELECT md5(d.name || '|' || d.version || '|' || r.window_ms || '|' || extract(epoch FROM r.window_start)::text
           || '|' || r.group_key)::uuid AS bridge_id,
       CASE WHEN d.keys = '{namespace}' THEN r.group_key
            WHEN 'namespace' = ANY (d.keys)
            THEN r.group_key::jsonb ->> (array_position(d.keys, 'namespace') - 1) ELSE '' END AS namespace,
       coalesce(sum(aggregation_count(r.state, d.cells[array_position(d.measures, 'unique_workflows')])), 0)::bigint
           AS total_workflows_processed,
       sum(r.events)::bigint AS total_items_aggregated,
       coalesce(sum(aggregation_whole(r.state, d.cells[array_position(d.measures, 'total_size_bytes')])), 0)::bigint
           AS total_size_bytes,
       CASE WHEN r.window_ms = 0 THEN 'active'
            WHEN bool_or(f.final_at IS NULL) THEN 'aggregating' ELSE 'idle' END AS current_fsm_state,
       max(r.updated_at) AS last_aggregation_timestamp,
       max(r.updated_at) AS updated_at,
       d.name AS aggregation_type,
       CASE WHEN r.window_ms = 0 THEN NULL ELSE r.window_start END AS window_start,
       max(r.window_end) AS window_end,
       (1 + sum(r.revision - 1))::integer AS version
  FROM aggregation_rows r
  JOIN aggregation_definitions d ON d.id = r.definition
  LEFT JOIN aggregation_finals f USING (definition, window_ms, window_start, group_key)
 GROUP BY d.id, r.window_ms, r.window_start, r.group_key;
