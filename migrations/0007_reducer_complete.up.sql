-- SPDX-License-Identifier: MIT
-- The reducer, complete: gaps with their bounds.

-- Records that the broker dropped before they were counted. Written in the transaction that moves the
-- partition's offset past them; what was in them can be counted from the transition log afterwards.
CREATE TABLE reducer_gaps (
    cluster_id text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    from_offset bigint NOT NULL,   -- the first record that was gone
    to_offset bigint NOT NULL,     -- the first one after it that was still there
    noted_at timestamptz NOT NULL DEFAULT now(),
    lanes text[] NOT NULL,         -- of the partition, with the last number of each that was counted by then
    last_seqs bigint[] NOT NULL,
    newest_event_at timestamptz,   -- highest event time before the gap; null: no event was counted
    filled_at timestamptz,         -- null: what was in it is not counted
    filled_events bigint,          -- counted when it was filled
    PRIMARY KEY (cluster_id, topic, partition, from_offset),
    CHECK (to_offset > from_offset),
    CHECK (cardinality(lanes) = cardinality(last_seqs)),
    CHECK ((filled_at IS NULL) = (filled_events IS NULL))
);
CREATE INDEX reducer_gaps_unfilled ON reducer_gaps (noted_at) WHERE filled_at IS NULL;

-- A definition as its file said, so that what it counted can still be read when the file is gone or has
-- another version. Null: no reducer has had the file since.
ALTER TABLE aggregation_definitions ADD COLUMN document json;

-- How reducers count it besides what its file says, so that rows are held against the topic by the same settings.
-- Null: no reducer has had the file since.
ALTER TABLE aggregation_definitions
    ADD COLUMN size_ms bigint,      -- of its windows; 0: all time
    ADD COLUMN tolerance_ms bigint, -- by which watermarks stay behind
    ADD COLUMN groups integer,      -- at most in a window on a partition
    ADD COLUMN counted_otherwise boolean NOT NULL DEFAULT false; -- one of them, or lateness_ms, was another once

-- Rows of a definition by their windows: how lists of rows walk through them, both ways, and how a partition
-- finds its own. The key leads by the group, for the windows of one group.
DROP INDEX aggregation_rows_newest;
CREATE INDEX aggregation_rows_by_start ON aggregation_rows (definition, window_start, group_key, window_ms, partition);
ALTER TABLE aggregation_rows DROP CONSTRAINT aggregation_rows_pkey,
    ADD PRIMARY KEY (definition, group_key, window_start, window_ms, partition);

-- Retention: rows of a window go retention_days after its end, and as long after it was made final. Before
-- anything is deleted pruned_until is raised; what ended by then counts no more, whatever partition it comes
-- from, so that no row begins from zero in a window whose other rows are gone.
ALTER TABLE aggregation_definitions ADD COLUMN pruned_until timestamptz; -- null: nothing was pruned
CREATE INDEX aggregation_finals_age ON aggregation_finals (definition, final_at);

-- In every transaction that writes rows, after reducer_fence or reducer_hold: raises when a window of them
-- was pruned, of which the writer did not know yet. p_oldest: the earliest end of each definition's windows.
CREATE FUNCTION reducer_check_pruned(p_definitions integer[], p_oldest timestamptz[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    pruned record;
BEGIN
    SELECT d.name, d.pruned_until INTO pruned
      FROM unnest(p_definitions, p_oldest) AS u (definition, oldest)
      JOIN aggregation_definitions d ON d.id = u.definition AND d.pruned_until >= u.oldest LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'fenced: windows of % that ended by % were pruned', pruned.name, pruned.pruned_until
            USING ERRCODE = 'OB001';
    END IF;
END $$;

-- Finals are looked for aggregation by aggregation, each with its own lateness.
DROP INDEX aggregation_rows_open;
CREATE INDEX aggregation_rows_open ON aggregation_rows (definition, window_end) WHERE is_open AND window_end IS NOT NULL;

-- Beside each id of `counted` the offset from which it was counted; null or shorter: from the beginning.
ALTER TABLE reducer_partitions ADD COLUMN counted_from bigint[];

-- Nothing looks for rows by their partition alone: a partition's open windows are a short piece of another index,
-- in which its own rows are picked.
DROP INDEX aggregation_rows_partition, aggregation_values_partition;
