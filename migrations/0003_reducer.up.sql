-- SPDX-License-Identifier: MIT
-- The reducer: how far each partition is read, what was counted, and what is to be told.
--
-- Rows and offsets are written in one transaction that begins with reducer_fence. A row is the whole
-- state of (aggregation, window, group, partition) and is written over, never added to; queries merge the
-- partitions of a group.

CREATE TABLE reducer_partitions (
    cluster_id text NOT NULL,  -- a rebuilt broker has another one, and its offsets begin again
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0 CHECK (next_offset >= 0), -- of the first record not counted yet
    epoch bigint NOT NULL DEFAULT 0,  -- the fencing token: raised by each assignment, and only there
    owner text NOT NULL DEFAULT '',   -- REDUCER_INSTANCE_ID of the last assignment
    newest_event_at timestamptz,      -- highest event time below next_offset
    idle_at timestamptz,              -- when the owner last found it read to its end and quiet; null: it is not
    missing_records bigint NOT NULL DEFAULT 0, -- records the broker dropped before they were read
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cluster_id, topic, partition)
) WITH (fillfactor = 50);

-- First statement of every write transaction: raises when any partition is no longer ours or was moved
-- by someone else.
CREATE FUNCTION reducer_fence(p_cluster text, p_topic text, p_partitions integer[], p_epochs bigint[],
                              p_expected bigint[], p_next bigint[], p_newest timestamptz[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    matched integer;
BEGIN
    UPDATE reducer_partitions p
       SET next_offset = u.next_offset, newest_event_at = u.newest, idle_at = NULL, updated_at = now()
      FROM unnest(p_partitions, p_epochs, p_expected, p_next, p_newest)
           AS u (partition, epoch, expected, next_offset, newest)
     WHERE p.cluster_id = p_cluster AND p.topic = p_topic AND p.partition = u.partition
       AND p.epoch = u.epoch AND p.next_offset = u.expected;
    GET DIAGNOSTICS matched = ROW_COUNT;
    IF matched <> cardinality(p_partitions) THEN
        RAISE EXCEPTION 'fenced: % of % partitions have another epoch or offset',
            cardinality(p_partitions) - matched, cardinality(p_partitions) USING ERRCODE = 'OB001';
    END IF;
END $$;

-- The last number of each lane that was counted: how a repeat is recognised. Not bound to a cluster: lanes
-- publish again to a new one, and what was counted stays counted.
CREATE TABLE reducer_lanes (
    topic text NOT NULL,
    partition integer NOT NULL,
    lane text NOT NULL,
    last_seq bigint NOT NULL,
    PRIMARY KEY (topic, partition, lane)
) WITH (fillfactor = 50);

CREATE TABLE aggregation_rows (
    aggregation text NOT NULL,      -- namespace_grouping, time_window, ...; namespace_total: all time
    window_ms bigint NOT NULL,      -- its length; 0: all time
    window_start timestamptz NOT NULL, -- 1970-01-01 for rows of all time
    group_key text NOT NULL,
    partition integer NOT NULL,
    window_end timestamptz,         -- null for rows of all time
    revision integer NOT NULL,      -- 1, and one more for each late event
    is_open boolean NOT NULL DEFAULT true, -- no final was announced since the row was made
    stamps bigint NOT NULL,
    size_bytes bigint NOT NULL,
    latency_count bigint NOT NULL,
    latency_sum_ms double precision NOT NULL,
    first_at timestamptz,
    last_at timestamptz,
    unique_file_hashes bigint NOT NULL,
    unique_workflows bigint NOT NULL,
    unique_file_types bigint NOT NULL,
    sketch bytea NOT NULL,          -- histogram, see nodes/reducer/core/aggregate.c
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (aggregation, window_ms, window_start, group_key, partition)
) WITH (fillfactor = 70);
CREATE INDEX aggregation_rows_open ON aggregation_rows (window_end) WHERE is_open AND window_end IS NOT NULL;
CREATE INDEX aggregation_rows_partition ON aggregation_rows (partition, window_end);
CREATE INDEX aggregation_rows_newest ON aggregation_rows (window_start, aggregation, group_key, window_ms);

-- The values behind distinct counts, as hashes of 8 octets in pieces that are only appended. Of a set that
-- is no longer exact: its HyperLogLog registers (first_value -1), then the values that changed them since.
CREATE TABLE aggregation_values (
    aggregation text NOT NULL,
    window_ms bigint NOT NULL,
    window_start timestamptz NOT NULL,
    group_key text NOT NULL,
    partition integer NOT NULL,
    value_set smallint NOT NULL,    -- enum aggregate_set of nodes/reducer/core/aggregate.h
    first_value integer NOT NULL,   -- how many values come before this piece
    hashes bytea NOT NULL,
    PRIMARY KEY (aggregation, window_ms, window_start, group_key, partition, value_set, first_value)
);
CREATE INDEX aggregation_values_partition ON aggregation_values (partition, window_start);
ALTER TABLE aggregation_values ALTER COLUMN hashes SET STORAGE EXTERNAL; -- hashes do not compress

-- One row per window and group that was announced as final. A later accepted event makes a revision of its
-- row, never a second final.
CREATE TABLE aggregation_finals (
    aggregation text NOT NULL,
    window_ms bigint NOT NULL,
    window_start timestamptz NOT NULL,
    group_key text NOT NULL,
    final_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (aggregation, window_ms, window_start, group_key)
);

-- What is to be published: dead letters and the reducer's own events. Written with the rows, deleted when
-- the broker has acknowledged.
CREATE TABLE reducer_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL,   -- stays the same when it is published again
    topic text NOT NULL,
    event_type text NOT NULL,
    key bytea,
    value bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The smallest watermark over all partitions; idle ones do not hold it. Null while a partition that is not
-- idle has no event yet; infinity when all are idle.
CREATE FUNCTION reducer_low_watermark(p_cluster text, p_topic text, p_tolerance interval, p_idle interval)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN count(*) = 0 THEN NULL
                WHEN bool_and(idle) THEN 'infinity'::timestamptz
                WHEN bool_or(NOT idle AND newest_event_at IS NULL) THEN NULL
                ELSE min(newest_event_at) FILTER (WHERE NOT idle) - p_tolerance END
      FROM (SELECT newest_event_at, idle_at IS NOT NULL AND idle_at > clock_timestamp() - p_idle AS idle
              FROM reducer_partitions WHERE cluster_id = p_cluster AND topic = p_topic) AS p
$$;

-- People query bridge_states; it shows one row per aggregation, window and group, partitions merged.
CREATE VIEW bridge_states AS
SELECT md5(r.aggregation || '|' || r.window_ms || '|' || extract(epoch FROM r.window_start)::text || '|' || r.group_key)::uuid AS bridge_id,
       CASE WHEN r.aggregation = 'time_window' THEN '' ELSE r.group_key END AS namespace,
       sum(r.unique_workflows)::bigint AS total_workflows_processed,
       sum(r.stamps)::bigint AS total_items_aggregated,
       sum(r.size_bytes)::bigint AS total_size_bytes,
       CASE WHEN r.window_ms = 0 THEN 'active'
            WHEN bool_or(f.final_at IS NULL) THEN 'aggregating' ELSE 'idle' END AS current_fsm_state,
       max(r.updated_at) AS last_aggregation_timestamp,
       max(r.updated_at) AS updated_at,
       r.aggregation AS aggregation_type,
       CASE WHEN r.window_ms = 0 THEN NULL ELSE r.window_start END AS window_start,
       max(r.window_end) AS window_end,
       (1 + sum(r.revision - 1))::integer AS version
  FROM aggregation_rows r
  LEFT JOIN aggregation_finals f USING (aggregation, window_ms, window_start, group_key)
 GROUP BY r.aggregation, r.window_ms, r.window_start, r.group_key;
