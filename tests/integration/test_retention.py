# SPDX-License-Identifier: MIT
"""Windows that an aggregation no longer keeps: gone in one piece, and never counted anew."""

from harness import WORKFLOW_TOPIC, consume, wait_until
from test_reducer import get, produce, stamp


def tables(bridge) -> dict[str, int]:
    """Rows of the first window in the tables of windows."""
    return {
        table: bridge.sql(
            f"SELECT count(*) FROM {table} WHERE window_ms > 0 AND window_start < '2026-03-01 12:00:05Z'"
        )[0][0]
        for table in ("aggregation_rows", "aggregation_values", "aggregation_finals")
    }


def test_windows_past_their_retention_go_and_are_not_counted_anew(empty_bridge):
    bridge = empty_bridge
    bridge.environment["PARTITION_IDLE_MS"] = "500"
    bridge.migrate()
    bridge.start_embedded_broker()
    bridge.start_reducer(AGGREGATION_PRUNE_INTERVAL_MS="200")
    produce(bridge, [stamp("kept", n) for n in range(70)], partition=1)  # more values than stand in a row
    produce(bridge, [stamp("kept", 10), stamp("kept", 200000)], partition=0)
    bridge.wait_total("kept", 72)
    wait_until(lambda: all(tables(bridge).values()), 60, "the first windows are final")

    bridge.sql("UPDATE aggregation_finals SET final_at = now() - interval '29 days' WHERE group_key = 'kept'")
    bridge.sql("UPDATE aggregation_finals SET final_at = now() - interval '31 days' WHERE group_key = ''")
    bridge.sql("INSERT INTO reducer_gaps (cluster_id, topic, partition, from_offset, to_offset, lanes,"
               " last_seqs, filled_at, filled_events) SELECT 'c', 't', n, 0, 1, '{}', '{}',"
               " now() - n * interval '60 days', 0 FROM generate_series(1, 2) AS n")
    gone = "SELECT 1 FROM aggregation_rows WHERE group_key = '' AND window_start < '2026-03-01 12:00:05Z'"
    wait_until(lambda: bridge.sql(gone) == [], 60, "old windows are gone")
    gaps = "SELECT partition FROM reducer_gaps WHERE cluster_id = 'c'"
    wait_until(lambda: bridge.sql(gaps) == [(1,)], 60, "the old gap is gone")
    assert bridge.sql("SELECT 1 FROM aggregation_rows WHERE group_key = 'kept' AND window_ms > 0") != []

    bridge.sql("UPDATE aggregation_finals SET final_at = now() - interval '31 days'")
    wait_until(lambda: not any(tables(bridge).values()), 60, "nothing is left of the first windows")
    assert get(bridge, "/api/v1/namespaces")["items"][0]["values"]["total_stamps"] == 72
    pruned = [line for line in bridge.log_lines("reducer") if "retention were pruned" in line["event"]]
    assert sum(line["rows"] for line in pruned) == bridge.metric("reducer_pruned_rows_total", "reducer")

    # By its own clock partition 1 still takes this one, and has the rows in memory.
    produce(bridge, [stamp("kept", 20)], partition=1)
    bridge.wait_total("kept", 73)
    assert not any(tables(bridge).values()), tables(bridge)
    dead_letters = WORKFLOW_TOPIC + ".dlq"
    wait_until(lambda: consume(bridge.broker.address, dead_letters), 60, "the dead letter")
    (letter,) = consume(bridge.broker.address, dead_letters)
    assert "was pruned" in str(letter.value), letter
