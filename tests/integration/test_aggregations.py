# SPDX-License-Identifier: MIT
"""Aggregations as files: dropped in, refused, changed, and the rows of an older schema."""

import collections
import json
import shutil
import subprocess

import parts
import psycopg2
import pytest
from harness import ROOT, WORKFLOW_TOPIC, program, unique, wait_until
from test_reducer import START, get, milliseconds_of, produce, stamp, typed, windows

ORDERS = """# SPDX-License-Identifier: MIT
name: type_by_second
version: 1.0.0
filter:
  - {field: event_type, equals: stamp_workflow_completed}
  - {field: payload.file_size, greater: 100}
group_by: [payload.content_type]
measures:
  stamps: count
  size: {sum: payload.file_size}
  mean: {avg: payload.file_size}
  files: {distinct: payload.file_hash}
  largest: {max: payload.file_size}
  per_second: rate
window: {type: hopping, size_ms: 4000, hop_ms: 1000, lateness_ms: 30000}
"""


@pytest.fixture
def contracts(empty_bridge):
    """A copy of the contracts that the bridge then uses."""
    directory = empty_bridge.directory / "contracts"
    shutil.copytree(ROOT / "contracts", directory)
    empty_bridge.environment["CONTRACTS_DIR"] = str(directory)
    empty_bridge.environment["PARTITION_IDLE_MS"] = "1000"
    return directory / "aggregations"


def refusal(bridge) -> str:
    """What a reducer says that does not start."""
    done = subprocess.run(
        [program("bridge-reducer")],
        env={**parts.clean_environment(), **bridge.settings, "REDUCER_PORT": "0", "REDUCER_METRICS_PORT": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode != 0
    return done.stdout + done.stderr


def expected_rows(stamps: list[tuple[int, str, int]]) -> dict:
    """(window start, content type) -> sizes, for windows of 4 s that start every second."""
    rows = collections.defaultdict(list)
    for at_ms, content_type, size in stamps:
        if size > 100:
            newest = at_ms // 1000 * 1000
            for start in range(newest - 3000, newest + 1, 1000):
                rows[(start, content_type)].append(size)
    return rows


def test_a_dropped_file_counts_and_is_announced(contracts, empty_bridge):
    (contracts / "type_by_second.yaml").write_text(ORDERS)
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    empty_bridge.start_reducer()
    start_ms = int(START.timestamp() * 1000)
    stamps = [
        (137 * n % 6000, ("text/plain", "image/png", 'a"b')[n % 3], 90 + n % 40) for n in range(120)
    ]
    records = [
        stamp("ns", at_ms, content_type=content_type, file_size=size)
        for at_ms, content_type, size in stamps
    ]
    produce(empty_bridge, records)
    empty_bridge.wait_total("ns", len(stamps))
    expected = expected_rows([(start_ms + at_ms, *rest) for at_ms, *rest in stamps])
    rows = windows(empty_bridge, "type=type_by_second")
    found = {(milliseconds_of(row["window_start"]), row["group"]): row["values"] for row in rows}
    assert found.keys() == expected.keys()
    for key, sizes in expected.items():
        values = found[key]
        assert values["content_type"] == key[1]
        assert (values["stamps"], values["files"]) == (len(sizes), len(sizes))
        assert (values["size"], values["largest"]) == (sum(sizes), max(sizes))
        assert values["mean"] == pytest.approx(sum(sizes) / len(sizes))
        assert values["per_second"] == len(sizes) / 4
        assert values["unique_counts_exact"] is True

    def finals() -> list[tuple] | None:
        told = [event["payload"] for event in typed(empty_bridge, "window-final")]
        told = [(milliseconds_of(f["window_start"]), f["group"]) for f in told if f["type"] == "type_by_second"]
        return told if len(told) >= len(expected) else None

    assert sorted(wait_until(finals, 60, "every final", interval=0.5)) == sorted(expected)
    updated = [event["payload"] for event in typed(empty_bridge, "window-updated")]
    updated = [u for u in updated if u["type"] == "type_by_second"]
    assert {(milliseconds_of(u["window_start"]), u["group"]) for u in updated} == expected.keys()
    assert all(u["events"] >= 1 and u["revision"] >= 1 for u in updated)
    listed = json.loads(empty_bridge.bridgectl("aggregations", "list", "--json").stdout)
    mine = [item for item in listed if item["name"] == "type_by_second"][0]
    assert mine["window"] == {"type": "hopping", "size_ms": 4000, "hop_ms": 1000, "lateness_ms": 30000}
    assert "type_by_second" in empty_bridge.bridgectl("aggregations", "list").stdout


def test_a_bad_file_stops_the_start(contracts, empty_bridge):
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    bad = contracts / "bad.yaml"
    bad.write_text(ORDERS.replace("hop_ms: 1000", "hop_ms: 3"))
    said = refusal(empty_bridge)
    assert "bad.yaml:15:40:" in said and "AGGREGATION_" in said and "hop_ms" in said
    checked = empty_bridge.bridgectl("aggregations", "check", check=False)
    assert checked.returncode == 1 and "bad.yaml:15:40:" in checked.stdout
    bad.unlink()
    assert empty_bridge.bridgectl("aggregations", "check").stdout.endswith("0 errors, 0 warnings\n")


def test_a_changed_definition_needs_a_new_version(contracts, empty_bridge):
    file = contracts / "type_by_second.yaml"
    file.write_text(ORDERS)
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    empty_bridge.start_reducer()
    produce(empty_bridge, [stamp("ns", 0, file_size=200)])
    empty_bridge.wait_total("ns", 1)
    empty_bridge.reducer.stop()
    file.write_text(ORDERS.replace("greater: 100", "greater: 150"))
    assert "type_by_second 1.0.0 counts something else" in refusal(empty_bridge)
    file.write_text(ORDERS.replace("greater: 100", "greater: 150").replace("1.0.0", "1.1.0"))
    empty_bridge.start_reducer()
    produce(empty_bridge, [stamp("ns", 10, file_size=120), stamp("ns", 20, file_size=160)])
    empty_bridge.wait_total("ns", 3)
    rows = windows(empty_bridge, "type=type_by_second")
    assert {(row["version"], row["values"]["stamps"]) for row in rows} == {("1.1.0", 1)}
    counts = empty_bridge.sql(
        "SELECT version, sum(events) FROM aggregation_rows r JOIN aggregation_definitions d"
        " ON d.id = r.definition WHERE name = 'type_by_second' GROUP BY 1 ORDER BY 1"
    )
    assert counts == [("1.0.0", 4), ("1.1.0", 4)]  # four windows each


def test_every_built_in_type_has_its_outputs(contracts, empty_bridge):
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    empty_bridge.start_reducer()
    first = stamp("a", 0, file_size=1048576, processing_time_ms=10)
    second = stamp("a", 10, file_size=1048577, processing_time_ms=30, content_type="image/png")
    produce(empty_bridge, [first, second])
    workflow = first[0]
    steps = []
    for order in (1, 2):
        event = json.loads(first[1])
        event["event_type"] = "workflow_step_completed"
        event["payload"] = {"workflow_id": workflow, "namespace": "a", "step_order": order, "run": 1}
        steps.append((workflow, json.dumps(event)))
    produce(empty_bridge, steps)
    empty_bridge.wait_total("a", 2)
    wait_until(
        lambda: sum(mark["offset"] for mark in get(empty_bridge, "/api/v1/watermark")["items"]) == 4,
        30,
        "four records",
    )

    def values(kind: str) -> dict:
        return {row["group"]: row["values"] for row in windows(empty_bridge, f"type={kind}")}

    buckets = values("size_buckets")
    assert buckets["small"] == {
        "size_bucket": "small",
        "total_stamps": 1,
        "avg_processing_time_ms": 10,
        "min_size_bytes": 1048576,
        "max_size_bytes": 1048576,
    }
    assert buckets["medium"]["total_stamps"] == 1
    assert values("file_type_grouping")["image/png"] == {
        "file_type": "image/png",
        "total_stamps": 1,
        "total_size_bytes": 1048577,
        "avg_size_bytes": 1048577,
        "unique_namespaces": 1,
        "unique_counts_exact": True,
    }
    assert values("workflow_grouping")[workflow] == {
        "workflow_id": workflow,
        "total_steps": 2,
        "runs": 1,
        "avg_steps": 2,
        "processing_time_ms": 10,
        "success_rate": 1,
        "fsm_state": "completed",
        "unique_counts_exact": True,
    }
    assert values("workflow_status_distribution")['["a","completed"]'] == {
        "namespace": "a",
        "workflow_state": "completed",
        "workflow_status_counts": 2,
    }
    window = values("time_window")[""]
    assert (window["stamps_count"], window["stamps_per_second"], window["avg_latency_ms"]) == (2, 0.4, 20)
    assert window["p95_latency_ms"] == pytest.approx(30, rel=0.01)
    states = empty_bridge.sql(
        "SELECT aggregation_type, namespace, total_workflows_processed, total_items_aggregated, total_size_bytes"
        " FROM bridge_states WHERE aggregation_type IN ('namespace_total', 'workflow_status_distribution') ORDER BY 1"
    )
    assert states == [("namespace_total", "a", 2, 2, 2097153), ("workflow_status_distribution", "a", 0, 2, 0)]


BEFORE = """
INSERT INTO aggregation_rows (aggregation, window_ms, window_start, group_key, partition, window_end, revision, stamps,
    size_bytes, latency_count, latency_sum_ms, first_at, last_at, unique_file_hashes, unique_workflows, unique_file_types,
    sketch)
VALUES ('namespace_total', 0, '1970-01-01Z', 'old', 0, NULL, 1, 3, 700, 2, 12.75, '2026-03-01 12:00:00.000001Z',
        '2026-03-01 12:00:01Z', 3, 2, 1, '\\x0100'),
       ('namespace_grouping', 5000, '2026-03-01 12:00:00Z', 'old', 0, '2026-03-01 12:00:05Z', 4, 3, 700, 2, 12.75,
        '2026-03-01 12:00:00.000001Z', '2026-03-01 12:00:01Z', 3, 2, 1, '\\x0100'),
       ('time_window', 5000, '2026-03-01 12:00:00Z', '', 0, '2026-03-01 12:00:05Z', 1, 3, 700, 3, 7.5,
        '2026-03-01 12:00:00Z', '2026-03-01 12:00:00Z', 0, 0, 0, '\\x0100ae2003');
INSERT INTO aggregation_values SELECT a, w, s::timestamptz, 'old', 0, n, 0, decode(h, 'hex')
  FROM (VALUES ('namespace_total', 0, '1970-01-01Z'), ('namespace_grouping', 5000, '2026-03-01 12:00:00Z')) AS r (a, w, s),
       (VALUES (0, '010000000000000002000000000000000300000000000000'),
               (1, '01000000000000000200000000000000'), (2, '0900000000000000')) AS v (n, h);
INSERT INTO aggregation_finals VALUES ('time_window', 5000, '2026-03-01 12:00:00Z', '');
"""
ROWS = (
    "SELECT aggregation, window_ms, group_key, revision, is_open, stamps, latency_count, latency_sum_ms,"
    " unique_file_hashes, unique_workflows, unique_file_types, encode(sketch, 'hex')"
    " FROM aggregation_rows ORDER BY aggregation"
)
TOTAL = "SELECT size_bytes, first_at, last_at FROM aggregation_rows WHERE aggregation = 'namespace_total'"
VALUES = (
    "SELECT aggregation, value_set, first_value, encode(hashes, 'hex') FROM aggregation_values ORDER BY 1, 2, 3"
)


def run_sql(bridge, text: str) -> None:
    connection = psycopg2.connect(bridge.database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute(text)
    connection.close()


def test_rows_of_the_schema_before_go_on_and_come_back(empty_bridge):
    empty_bridge.bridgectl("migrate", "up", "--to", "5")
    run_sql(empty_bridge, BEFORE)
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    empty_bridge.start_reducer()
    old = empty_bridge.totals("old")
    assert (old["total_stamps"], old["total_size_bytes"], old["total_processing_time_ms"]) == (3, 700, 12.75)
    assert (old["unique_file_hashes"], old["unique_workflows"], old["unique_file_types"]) == (3, 2, 1)
    assert old["first_stamp_timestamp"] == "2026-03-01T12:00:00.000001Z"
    rows = {row["type"]: row for row in windows(empty_bridge, "to=2026-03-02T00:00:00Z")}
    assert rows["namespace_grouping"]["revision"] == 4 and rows["namespace_grouping"]["values"]["total_stamps"] == 3
    assert rows["time_window"]["final"] and rows["time_window"]["values"]["avg_latency_ms"] == 2.5
    assert rows["time_window"]["values"]["p95_latency_ms"] == pytest.approx(2.5, rel=0.01)
    produce(empty_bridge, [stamp("old", 2000), stamp(unique("new"), 7000)], partition=0)
    assert empty_bridge.wait_total("old", 4)["unique_workflows"] == 3
    empty_bridge.reducer.stop()
    empty_bridge.bridgectl("migrate", "down", "--to", "5")
    mine = "aggregation = 'namespace_total' AND group_key = 'old'"
    counted = "SELECT stamps, size_bytes, unique_workflows, latency_sum_ms FROM aggregation_rows WHERE " + mine
    assert empty_bridge.sql(counted) == [(4, 800, 3, 15.25)]
    assert empty_bridge.sql("SELECT sum(length(hashes)) FROM aggregation_values WHERE value_set = 1 AND " + mine) == [(24,)]
    empty_bridge.bridgectl("migrate", "up")


def test_the_way_down_and_up_changes_nothing(empty_bridge):
    empty_bridge.bridgectl("migrate", "up", "--to", "5")
    run_sql(empty_bridge, BEFORE)
    before = [empty_bridge.sql(statement) for statement in (ROWS, TOTAL, VALUES)]
    empty_bridge.bridgectl("migrate", "up", "--to", "6")
    empty_bridge.bridgectl("migrate", "down", "--to", "5")
    assert [empty_bridge.sql(statement) for statement in (ROWS, TOTAL, VALUES)] == before


def counted_by(bridge, kind: str) -> dict:
    return {
        (milliseconds_of(row["window_start"]), row["group"]): (row["values"]["stamps"], row["values"]["files"])
        for row in windows(bridge, f"type={kind}")
    }


def test_a_later_aggregation_counts_the_past_beside_the_others(contracts, empty_bridge):
    """The same definition twice: from the start, and added later with `backfill`. Their rows are equal, and
    the others' are what they were, through a kill in the middle."""
    (contracts / "type_by_second.yaml").write_text(ORDERS)
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    empty_bridge.start_reducer()
    records = [
        stamp("ns", 37 * n % 9000, content_type=f"type/{n % 5}", file_size=90 + n % 60) for n in range(2000)
    ]
    produce(empty_bridge, records[:1000])
    empty_bridge.wait_total("ns", 1000)
    before = counted_by(empty_bridge, "type_by_second")
    empty_bridge.reducer.stop()
    later = ORDERS.replace("type_by_second", "type_added_later") + "backfill: true\n"
    (contracts / "later.yaml").write_text(later)
    (contracts / "from_now.yaml").write_text(ORDERS.replace("type_by_second", "type_from_now"))
    empty_bridge.start_reducer()
    empty_bridge.reducer.kill()
    empty_bridge.start_reducer()
    produce(empty_bridge, records[1000:])
    empty_bridge.wait_total("ns", 2000)
    after = counted_by(empty_bridge, "type_by_second")
    wait_until(
        lambda: counted_by(empty_bridge, "type_added_later") == after, 60, "the past to be counted", interval=0.5
    )
    assert after != before
    from_now = counted_by(empty_bridge, "type_from_now")
    assert 0 < sum(stamps for stamps, _ in from_now.values()) < sum(stamps for stamps, _ in after.values())
    joined = (
        "SELECT bool_and(d.id = ANY (p.counted)) FROM reducer_partitions p, aggregation_definitions d"
        " WHERE d.name = 'type_added_later'"
    )
    wait_until(lambda: empty_bridge.sql(joined) == [(True,)], 30, "every partition to be joined")
    produce(empty_bridge, [stamp("ns", 100, content_type="type/0", file_size=200)])
    empty_bridge.wait_total("ns", 2001)
    assert counted_by(empty_bridge, "type_added_later") == counted_by(empty_bridge, "type_by_second")
    finals = "SELECT name, count(*) FROM aggregation_finals f JOIN aggregation_definitions d ON d.id = f.definition"
    finals += " WHERE name IN ('type_by_second', 'type_added_later') GROUP BY 1"
    wait_until(
        lambda: {count for _, count in empty_bridge.sql(finals)} == {len(after)}, 60, "all finals of both"
    )


# Rows of `later` on partition 1 are refused from the moment when partition 0 is joined, until the table is empty.
REFUSED = """
CREATE TABLE refusing AS SELECT true AS yes;
CREATE SEQUENCE refusals;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.partition = 1 AND EXISTS (SELECT FROM refusing) AND EXISTS (
        SELECT FROM reducer_partitions p, aggregation_definitions d
         WHERE d.name = 'later' AND d.id = NEW.definition AND p.partition = 0 AND d.id = ANY (p.counted)) THEN
        PERFORM nextval('refusals');
        RAISE EXCEPTION 'refused by the test';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON aggregation_rows FOR EACH ROW EXECUTE FUNCTION refuse();
"""


def test_a_partition_whose_past_was_taken_over_is_not_counted_again(contracts, empty_bridge):
    """The past of partition 1 begins again after an error, while partition 0 goes on with what was joined."""
    bridge = empty_bridge
    bridge.environment["KAFKA_WORKFLOW_PARTITIONS"] = "2"
    bridge.migrate()
    bridge.start_embedded_broker()
    control = ORDERS.partition("filter:")[0].replace("type_by_second", "control")
    control += "measures: {stamps: count}\nwindow: {type: none}\n"
    (contracts / "control.yaml").write_text(control)
    bridge.start_reducer()
    produce(bridge, [stamp("ns", n) for n in range(20)], partition=0)
    produce(bridge, [stamp("ns", n) for n in range(20)], partition=1)
    bridge.wait_total("ns", 40)
    bridge.reducer.stop()
    run_sql(bridge, REFUSED)
    (contracts / "later.yaml").write_text(control.replace("control", "later") + "backfill: true\n")

    def counted(name: str) -> list[tuple]:
        return bridge.sql(
            "SELECT partition, events FROM aggregation_rows r JOIN aggregation_definitions d ON d.id = r.definition"
            " WHERE d.name = %s ORDER BY 1", name
        )

    def joined() -> list[int]:
        return [partition for (partition,) in bridge.sql(
            "SELECT p.partition FROM reducer_partitions p JOIN aggregation_definitions d ON d.id = ANY (p.counted)"
            " WHERE d.name = 'later' ORDER BY 1"
        )]

    # Records come to partition 1 all the time, so that there is something to count between the two joins.
    command = ["kcat", "-P", "-b", bridge.broker.address, "-t", WORKFLOW_TOPIC, "-K", "\x01", "-p", "1"]
    with subprocess.Popen([*command, "-X", "linger.ms=5"], stdin=subprocess.PIPE, text=True) as trickle:
        bridge.start_reducer()

        def refused() -> bool:
            trickle.stdin.write("\x01".join(stamp("ns", 0)) + "\n")
            trickle.stdin.flush()
            return bridge.sql("SELECT is_called FROM refusals") == [(True,)]

        wait_until(refused, 60, "the past of partition 1 to be refused", interval=0.05)
        trickle.stdin.close()
    assert joined() == [0]
    produce(bridge, [stamp("ns", n) for n in range(7)], partition=0)
    wait_until(lambda: counted("control")[0] == (0, 27), 60, "partition 0 to go on")
    run_sql(bridge, "DELETE FROM refusing")
    wait_until(lambda: joined() == [0, 1], 60, "partition 1 to be joined")
    wait_until(lambda: counted("later") == counted("control"), 30, "the same rows of both")


def test_what_the_schema_before_counted_was_counted_from_the_beginning(empty_bridge):
    """Else `rebuild` would hold rows of the whole topic against what came after the upgrade, and write them down."""
    empty_bridge.environment |= {"KAFKA_WORKFLOW_PARTITIONS": "1", "PARTITION_IDLE_MS": "1000"}
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    empty_bridge.start_reducer()
    produce(empty_bridge, [stamp("ns", n) for n in range(20)])
    empty_bridge.wait_total("ns", 20)
    empty_bridge.reducer.stop()
    empty_bridge.bridgectl("migrate", "down", "--to", "5")
    empty_bridge.bridgectl("migrate", "up")
    empty_bridge.start_reducer()
    produce(empty_bridge, [stamp("ns", 20)])
    empty_bridge.wait_total("ns", 21)
    noted = empty_bridge.sql(
        "SELECT d.name, u.begin FROM reducer_partitions p, unnest(p.counted, p.counted_from) AS u (id, begin)"
        " JOIN aggregation_definitions d ON d.id = u.id"
    )
    before = {"namespace_grouping", "namespace_total", "time_window"}
    assert {name for name, begin in noted if begin == 0} == before
    assert {begin for name, begin in noted if name not in before} == {20}
