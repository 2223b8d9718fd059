-- SPDX-License-Identifier: MIT
ALTER TABLE reducer_partitions DROP COLUMN counted_from;
CREATE INDEX aggregation_rows_partition ON aggregation_rows (partition, window_end);
CREATE INDEX aggregation_values_partition ON aggregation_values (partition, window_start);
ALTER TABLE aggregation_rows DROP CONSTRAINT aggregation_rows_pkey,
    ADD PRIMARY KEY (definition, window_ms, window_start, group_key, partition);
DROP INDEX aggregation_rows_by_start;
CREATE INDEX aggregation_rows_newest ON aggregation_rows (window_start, definition, group_key, window_ms);
ALTER TABLE aggregation_definitions DROP COLUMN document, DROP COLUMN size_ms,
    DROP COLUMN tolerance_ms, DROP COLUMN groups, DROP COLUMN counted_otherwise;
DROP TABLE reducer_gaps;

DROP INDEX aggregation_rows_open;
CREATE INDEX aggregation_rows_open ON aggregation_rows (window_end) WHERE is_open AND window_end IS NOT NULL;
DROP FUNCTION reducer_check_pruned(integer[], timestamptz[]);
DROP INDEX aggregation_finals_age;
ALTER TABLE aggregation_definitions DROP COLUMN pruned_until;
