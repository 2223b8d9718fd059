-- SPDX-License-Identifier: MIT
DROP VIEW bridge_states;
DROP FUNCTION reducer_low_watermark(text, text, interval, interval);
DROP TABLE reducer_outbox;
DROP TABLE aggregation_finals;
DROP TABLE aggregation_values;
DROP TABLE aggregation_rows;
DROP TABLE reducer_lanes;
DROP FUNCTION reducer_fence(text, text, integer[], bigint[], bigint[], bigint[], timestamptz[]);
DROP TABLE reducer_partitions;
