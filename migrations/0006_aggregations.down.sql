-- SPDX-License-Identifier: MIT
-- Back to the columns of three aggregations. Rows of all others are dropped.
DROP VIEW bridge_states;
DROP FUNCTION reducer_hold(text, text, integer[], bigint[]);
ALTER TABLE reducer_partitions DROP COLUMN counted;

-- The bits of a double, big-endian.
CREATE FUNCTION pg_temp.as_double(bits bigint) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN bits & 9223372036854775807 = 0 THEN 0::float8
                ELSE (CASE WHEN bits < 0 THEN -1 ELSE 1 END)
                     * (((bits & 4503599627370495) | 4503599627370496)::float8 / 4503599627370496::float8)
                     * power(2::float8, (((bits >> 52) & 2047) - 1023)::float8) END
$$;
CREATE FUNCTION pg_temp.as_time(microseconds bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT '1970-01-01 00:00:00+00'::timestamptz + microseconds * interval '1 microsecond'
$$;
-- The parts that follow a row's cells, each with its length before it.
CREATE FUNCTION pg_temp.part(state bytea, wanted integer) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    at integer := 2 + 16 * get_byte(state, 1);
    number integer := 0;
    bytes integer;
    shift integer;
BEGIN
    LOOP
        bytes := 0;
        shift := 0;
        LOOP
            bytes := bytes + ((get_byte(state, at) & 127) << shift);
            at := at + 1;
            EXIT WHEN get_byte(state, at - 1) < 128;
            shift := shift + 7;
        END LOOP;
        IF number = wanted THEN
            RETURN substring(state FROM at + 1 FOR bytes);
        END IF;
        at := at + bytes;
        number := number + 1;
    END LOOP;
END $$;
-- Numbers of 8 octets in the other order.
CREATE FUNCTION pg_temp.turned(hashes bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(string_agg(substring(hashes FROM 1 + at FOR 1), ''::bytea ORDER BY at / 8, -(at % 8)), '')
      FROM generate_series(0, length(hashes) - 1) AS at
$$;

CREATE TEMP TABLE kept AS
SELECT d.name AS aggregation, r.* FROM aggregation_rows r JOIN aggregation_definitions d ON d.id = r.definition
 WHERE d.version = '1.0.0' AND ((d.name IN ('namespace_grouping', 'namespace_total') AND get_byte(r.state, 1) = 8)
                                OR (d.name = 'time_window' AND get_byte(r.state, 1) = 3));
CREATE TEMP TABLE kept_values AS
SELECT d.name AS aggregation, v.* FROM aggregation_values v JOIN aggregation_definitions d ON d.id = v.definition
 WHERE d.version = '1.0.0' AND d.name IN ('namespace_grouping', 'namespace_total');
CREATE TEMP TABLE kept_finals AS
SELECT d.name AS aggregation, f.* FROM aggregation_finals f JOIN aggregation_definitions d ON d.id = f.definition
 WHERE d.version = '1.0.0' AND d.name IN ('namespace_grouping', 'time_window');
DROP TABLE aggregation_rows, aggregation_values, aggregation_finals;

CREATE TABLE aggregation_rows (
    aggregation text NOT NULL,
    window_ms bigint NOT NULL,
    window_start timestamptz NOT NULL,
    group_key text NOT NULL,
    partition integer NOT NULL,
    window_end timestamptz,
    revision integer NOT NULL,
    is_open boolean NOT NULL DEFAULT true,
    stamps bigint NOT NULL,
    size_bytes bigint NOT NULL,
    latency_count bigint NOT NULL,
    latency_sum_ms double precision NOT NULL,
    first_at timestamptz,
    last_at timestamptz,
    unique_file_hashes bigint NOT NULL,
    unique_workflows bigint NOT NULL,
    unique_file_types bigint NOT NULL,
    sketch bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (aggregation, window_ms, window_start, group_key, partition)
) WITH (fillfactor = 70);
INSERT INTO aggregation_rows
SELECT aggregation, window_ms, window_start, group_key, partition, window_end, revision, is_open, events,
       aggregation_whole(state, 1), aggregation_count(state, 5),
       pg_temp.as_double(aggregation_whole(state, 5)), pg_temp.as_time(aggregation_whole(state, 6)),
       pg_temp.as_time(aggregation_whole(state, 7)), aggregation_count(state, 2), aggregation_count(state, 3),
       aggregation_count(state, 4), '\x0100'::bytea, updated_at
  FROM kept WHERE aggregation <> 'time_window'
UNION ALL
SELECT aggregation, window_ms, window_start, group_key, partition, window_end, revision, is_open, events,
       0, aggregation_count(state, 1), pg_temp.as_double(aggregation_whole(state, 1)), window_start, window_start,
       0, 0, 0,
       '\x01'::bytea || CASE WHEN length(pg_temp.part(state, 0)) = 0 THEN '\x00'::bytea ELSE pg_temp.part(state, 0) END,
       updated_at
  FROM kept WHERE aggregation = 'time_window';
CREATE INDEX aggregation_rows_open ON aggregation_rows (window_end) WHERE is_open AND window_end IS NOT NULL;
CREATE INDEX aggregation_rows_partition ON aggregation_rows (partition, window_end);
CREATE INDEX aggregation_rows_newest ON aggregation_rows (window_start, aggregation, group_key, window_ms);

CREATE TABLE aggregation_values (
    aggregation text NOT NULL,
    window_ms bigint NOT NULL,
    window_start timestamptz NOT NULL,
    group_key text NOT NULL,
    partition integer NOT NULL,
    value_set smallint NOT NULL,
    first_value integer NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (aggregation, window_ms, window_start, group_key, partition, value_set, first_value)
);
INSERT INTO aggregation_values
SELECT aggregation, window_ms, window_start, group_key, partition, cell - 2, first_value, hashes FROM kept_values
UNION ALL
SELECT aggregation, window_ms, window_start, group_key, partition, value_set, 0,
       pg_temp.turned(pg_temp.part(state, value_set))
  FROM kept, generate_series(0, 2) AS value_set
 WHERE aggregation <> 'time_window' AND length(pg_temp.part(state, value_set)) > 0;
CREATE INDEX aggregation_values_partition ON aggregation_values (partition, window_start);
ALTER TABLE aggregation_values ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE aggregation_finals (
    aggregation text NOT NULL,
    window_ms bigint NOT NULL,
    window_start timestamptz NOT NULL,
    group_key text NOT NULL,
    final_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (aggregation, window_ms, window_start, group_key)
);
INSERT INTO aggregation_finals
SELECT aggregation, window_ms, window_start, group_key, final_at FROM kept_finals;

DROP TABLE kept, kept_values, kept_finals;
DROP FUNCTION pg_temp.as_double(bigint), pg_temp.as_time(bigint), pg_temp.part(bytea, integer), pg_temp.turned(bytea);
DROP FUNCTION aggregation_count(bytea, integer), aggregation_whole(bytea, integer);
DROP TABLE aggregation_definitions;

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
