# SPDX-License-Identifier: MIT
"""bridgectl rebuild: rows held against the topic, mended beside a running reducer, gaps filled from the log."""

import datetime
import json
import subprocess
import threading

import psycopg2
import pytest
from harness import WORKFLOW_TOPIC, Load, unique, wait_until
from test_reducer import fill_topic, get, produce, stamp

FILL_BYTES = 400_000  # of one record that pushes older ones off the embedded broker
FILL_RECORDS = 30


@pytest.fixture
def counted(empty_bridge):
    """A reducer that has counted some thousand events."""
    empty_bridge.environment["PARTITION_IDLE_MS"] = "1000"
    empty_bridge.environment["KAFKA_WORKFLOW_PARTITIONS"] = "3"
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    empty_bridge.start_reducer()
    fill_topic(empty_bridge, "--events", 3000)
    wait_counted(empty_bridge)
    return empty_bridge


def ends(bridge) -> dict[int, int]:
    """The offset behind the last record of each partition."""
    found = {}
    for partition in range(int(bridge.environment["KAFKA_WORKFLOW_PARTITIONS"])):
        place = f"{WORKFLOW_TOPIC}:{partition}:-1"
        done = subprocess.run(
            ["kcat", "-Q", "-b", bridge.broker.address, "-t", place],
            capture_output=True,
            check=True,
            timeout=300,
        )
        found[partition] = int(done.stdout.decode().split()[-1])
    return found


def wait_counted(bridge) -> None:
    """Until the reducer has read all partitions to their ends."""

    def there():
        places = dict(bridge.sql("SELECT partition, next_offset FROM reducer_partitions"))
        return all(places.get(partition, 0) >= end for partition, end in ends(bridge).items())

    wait_until(there, 120, "all records to be counted")


def rebuild(bridge, *arguments, **environment) -> tuple[int, dict]:
    done = bridge.bridgectl("rebuild", *arguments, "--json", check=False, **environment)
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def damage(bridge) -> tuple:
    """One event less in a row of a window."""
    return bridge.sql(
        "UPDATE aggregation_rows r SET events = r.events - 1 FROM (SELECT r.*, d.name FROM"
        " aggregation_rows r JOIN aggregation_definitions d ON d.id = r.definition"
        " WHERE d.name = 'namespace_grouping' ORDER BY window_start, group_key, partition LIMIT 1) AS one"
        " WHERE r.definition = one.definition AND r.window_ms = one.window_ms"
        " AND r.window_start = one.window_start AND r.group_key = one.group_key"
        " AND r.partition = one.partition RETURNING r.group_key, r.partition, r.events"
    )[0]


def test_a_damaged_row_is_named_and_mended_while_the_reducer_runs(counted):
    status, told = rebuild(counted, "--verify")
    assert (status, told["equal"], told["rows_different"]) == (0, True, 0), told
    assert told["rows_compared"] > 0
    assert told["rows_of_dropped_records"] == told["rows_unknown"] == told["aggregations_not_counted"] == 0

    group, partition, events = damage(counted)
    removed = counted.sql(
        "DELETE FROM aggregation_rows r USING aggregation_definitions d"
        " WHERE d.id = r.definition AND d.name = 'namespace_total' AND partition = %s RETURNING 1",
        partition,
    )
    status, told = rebuild(counted, "--verify")
    assert (status, told["rows_different"]) == (1, 1 + len(removed)), told
    status, told = rebuild(counted, "--verify", "--type", "namespace_grouping")
    first = told["first_difference"]
    assert (status, told["rows_different"]) == (1, 1), told
    assert (first["type"], first["group"], first["partition"]) == ("namespace_grouping", group, partition)
    assert (first["field"], first["in_topic"], first["in_database"]) == ("events", events + 1, events)
    assert 0 <= first["first_offset"] <= first["last_offset"]
    plain = counted.bridgectl("rebuild", "--verify", check=False)
    assert plain.returncode == 1 and "first difference: partition" in plain.stdout, plain.stdout

    others = {  # settings that are not the reducers', which do not matter
        "AGGREGATION_WINDOW_SIZE_MS": "1000",
        "AGGREGATION_ALLOWED_LATENESS_MS": "1",
        "AGGREGATION_WATERMARK_TOLERANCE_MS": "0",
        "MAX_AGGREGATION_GROUPS": "1",
    }
    status, told = rebuild(counted, "--repair", **others)
    assert (status, told["rows_repaired"]) == (0, 1 + len(removed)), told
    assert rebuild(counted, "--verify")[0] == 0
    # The reducer finds itself fenced, loads the rows as they were mended, and counts on.
    fill_topic(counted, "--events", 3000, "--first-seq", 3001)
    wait_counted(counted)
    assert rebuild(counted, "--verify")[0] == 0


def test_nothing_is_compared_by_guess(counted):
    """A topic or files that reducers do not have, and rows that other settings made."""

    def refused(*arguments, **environment) -> str:
        done = counted.bridgectl("rebuild", *arguments, check=False, **environment)
        assert done.returncode == 1, done.stdout
        return done.stderr

    assert "does not exist" in refused("--verify", KAFKA_WORKFLOW_TOPIC="nothere")
    assert "nothere" not in counted.bridgectl("topics", "list", check=False).stdout
    assert "no reducer has counted" in refused("--verify", CONTRACTS_DIR="/nonexistent")
    counted.reducer.stop()
    counted.environment["MAX_AGGREGATION_GROUPS"] = "5000"
    counted.start_reducer()
    noted = "SELECT bool_and(counted_otherwise) FROM aggregation_definitions"
    wait_until(lambda: counted.sql(noted)[0][0], 120, "the new settings to be written down")
    assert "other settings before" in refused("--repair")
    assert rebuild(counted, "--repair", "--accept")[0] == 0
    counted.sql("UPDATE aggregation_definitions SET size_ms = NULL RETURNING 1")
    assert "is not known" in refused("--verify")


def test_rows_are_equal_under_a_running_load(bridge):
    load = Load(bridge, unique("rebuild"), 100).start()
    load.wait_accepted(20)
    for _ in range(2):
        status, told = rebuild(bridge, "--verify")
        assert status == 0, told
    load.join()


def push_out(bridge, ends_before: dict[int, int]) -> None:
    """Fills the partitions until the broker has dropped what they held."""
    event = {
        "envelope_version": "1.0",
        "event_id": "00000000-0000-4000-8000-000000000000",
        "event_type": "noise",
        "event_timestamp": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "source_node_id": "test",
        "payload": {"padding": "x" * FILL_BYTES},
        "metadata": {},
    }
    line = (json.dumps(event) + "\n").encode()

    for partition in ends_before:
        command = ["kcat", "-P", "-b", bridge.broker.address, "-t", WORKFLOW_TOPIC, "-p", str(partition)]
        subprocess.run(
            [*command, "-X", "message.max.bytes=2000000"],
            input=line * FILL_RECORDS,
            check=True,
            timeout=300,
        )


def fill_twice_at_once(bridge) -> list[dict]:
    """What two commands tell that meet where they take over partition 0."""
    told = []
    threads = [
        threading.Thread(target=lambda: told.extend(rebuild(bridge, "--fill-gaps", "--accept")[1]))
        for _ in range(2)
    ]
    connection = psycopg2.connect(bridge.database_url)
    try:
        connection.cursor().execute("SELECT FROM reducer_partitions WHERE partition = 0 FOR UPDATE")
        for thread in threads:
            thread.start()
        wait_until(
            lambda: bridge.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND query LIKE 'UPDATE reducer_partitions SET epoch = epoch + 1%'"
            )[0][0]
            == 2,
            60,
            "both to wait for the partition",
        )
    finally:
        connection.close()
        for thread in threads:
            thread.join()
    return told


def test_rows_that_a_wrong_clock_made_are_not_taken_away(empty_bridge):
    """The one record that was ahead, and made late ones of all behind it, is gone from the topic."""
    bridge = empty_bridge
    bridge.environment["KAFKA_WORKFLOW_PARTITIONS"] = "1"
    bridge.environment["AGGREGATION_ALLOWED_LATENESS_MS"] = "5000"
    bridge.migrate()
    bridge.start_embedded_broker()
    bridge.start_reducer()
    produce(bridge, [stamp("ahead", 3_600_000)], partition=0)
    produce(bridge, [stamp("ahead", 3_600_000, padding="x" * 900_000)], partition=0)
    produce(bridge, [stamp("late", n * 300) for n in range(2000)], partition=0)
    wait_counted(bridge)
    for _ in range(9):  # drops the first batches, no more
        produce(bridge, [stamp("late", 600_000, padding="x" * FILL_BYTES)], partition=0)
    wait_counted(bridge)
    rows = "SELECT sum(events)::int FROM aggregation_rows"
    before = bridge.sql(rows)
    assert rebuild(bridge, "--verify")[1]["rows_of_dropped_records"] > 0
    status, told = rebuild(bridge, "--repair")
    assert (status, told["rows_different"], bridge.sql(rows)) == (0, 0, before), told

    # The stream passes the clock that was wrong: nothing but its row tells of it now.
    produce(bridge, [stamp("later", 7_200_000)], partition=0)
    wait_counted(bridge)
    before = bridge.sql(rows)
    status, told = rebuild(bridge, "--repair")
    assert (status, told["rows_repaired"]) == (1, 0) and told["rows_kept"] == told["rows_different"] > 0, told
    assert bridge.sql(rows) == before
    status, told = rebuild(bridge, "--repair", "--accept")
    assert (status, told["rows_kept"]) == (0, 0) and told["rows_repaired"] > 0, told


def test_what_the_broker_dropped_is_counted_from_the_log(empty_bridge):
    bridge = empty_bridge
    bridge.environment["KAFKA_WORKFLOW_PARTITIONS"] = "2"
    bridge.environment["PARTITION_IDLE_MS"] = "1000"
    bridge.start()
    namespace = unique("gap")

    def submit(count: int) -> None:
        for _ in range(count):
            answer = bridge.submit(unique("text"), wait_ms=60000, namespace=namespace)
            assert answer.status in (200, 201), answer

    def published() -> bool:
        return not bridge.sql("SELECT 1 FROM shards WHERE published_seq < next_seq - 1")

    submit(10)
    bridge.wait_total(namespace, 10)
    bridge.reducer.stop()
    submit(20)
    wait_until(published, 60, "everything to be published")
    push_out(bridge, ends(bridge))
    submit(10)
    wait_until(published, 60, "everything to be published")
    bridge.start_reducer()
    wait_counted(bridge)
    gaps = bridge.sql("SELECT partition FROM reducer_gaps WHERE filled_at IS NULL")
    assert len(gaps) == 2
    assert bridge.totals(namespace)["total_stamps"] == 20

    status, told = rebuild(bridge, "--verify")
    assert status == 0 and told["records_in_gaps"] > 0 and told["rows_of_dropped_records"] > 0, told
    # Records of another producer are among them: of these the log tells nothing.
    status, told = rebuild(bridge, "--fill-gaps")
    assert status == 1, told
    assert [(gap["filled"], gap["lost_numbers"]) for gap in told] == [(False, 0)] * 2, told
    left_out = [gap["records_left_out"] for gap in told]
    assert all(0 < count <= FILL_RECORDS for count in left_out), told
    assert bridge.totals(namespace)["total_stamps"] == 20
    told = fill_twice_at_once(bridge)
    filled = [gap for gap in told if gap["filled"]]
    assert sorted(gap["partition"] for gap in filled) == [0, 1], told
    assert sorted(gap["records_left_out"] for gap in filled) == sorted(left_out), told
    assert sum(gap["events"] for gap in filled) > 20
    assert bridge.totals(namespace)["total_stamps"] == 40
    assert rebuild(bridge, "--fill-gaps") == (0, [])
    status, told = rebuild(bridge, "--verify")
    assert (status, told["records_in_gaps"]) == (0, 0), told
    # The reducer counts on from there.
    submit(5)
    bridge.wait_total(namespace, 45)
    rows = get(bridge, f"/api/v1/aggregations?type=namespace_grouping&namespace={namespace}&limit=1000")["items"]
    assert sum(row["values"]["total_stamps"] for row in rows) == 45
