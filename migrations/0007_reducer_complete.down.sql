-- SPDX-License-Identifier: MIT
DROP INDEX aggregation_rows_by_start;
CREATE INDEX aggregation_rows_newest ON aggregation_rows (window_start, definition, group_key, window_ms);
ALTER TABLE aggregation_definitions DROP COLUMN document;
DROP TABLE reducer_gaps;
