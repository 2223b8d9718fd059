# SPDX-License-Identifier: MIT
"""What the reducer needs is away, full or gone: nothing is lost unsaid, nothing doubled, and it goes on by itself."""

import json
import shutil
import signal
import subprocess
import time

import kafka
import psycopg2
import pytest
import web
from harness import WORKFLOW_TOPIC, scaled, unique, wait_until
from test_reducer import get, produce, stamp

DISK_FULL = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON aggregation_rows EXECUTE FUNCTION no_room();
"""
ROOM_AGAIN = "DROP FUNCTION no_room CASCADE"
SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.6); RETURN NULL; END $$;
CREATE TRIGGER slow AFTER INSERT ON aggregation_rows EXECUTE FUNCTION slow();
"""
PADDING = "x" * 4000  # the embedded broker keeps 5 MiB of a partition
TOO_MANY = 2500


def start(bridge, **environment) -> None:
    bridge.environment |= {"PARTITION_IDLE_MS": "1000", "KAFKA_WORKFLOW_PARTITIONS": "1"}
    bridge.migrate()
    bridge.start_embedded_broker()
    bridge.start_reducer(**environment)


def total(bridge, namespace: str) -> int:
    items = get(bridge, f"/api/v1/namespaces?namespace={namespace}")["items"]
    return items[0]["values"]["total_stamps"] if items else 0


def next_offset(bridge) -> int:
    return int(bridge.sql("SELECT sum(next_offset) FROM reducer_partitions")[0][0])


def gaps(bridge) -> list[dict]:
    found = get(bridge, "/api/v1/watermark")
    assert found["gaps_total"] == len(found["gaps"])
    return sorted(found["gaps"], key=lambda gap: gap["from_offset"])


def said(bridge, text: str) -> list[dict]:
    return [line for line in bridge.log_lines("reducer") if text in line["event"]]


def test_records_dropped_before_they_were_read_are_gaps_with_bounds(empty_bridge):
    """Once while the reducer runs and its database has no room, once while it is down."""
    namespace = unique("gap")
    start(empty_bridge, MAX_AGGREGATION_QUEUE_SIZE="100", AGGREGATION_BATCH_SIZE="100")
    produce(empty_bridge, [stamp(namespace, n) for n in range(10)])
    empty_bridge.wait_total(namespace, 10)
    empty_bridge.sql(DISK_FULL)
    produce(empty_bridge, [stamp(namespace, n) for n in range(200)])
    wait_until(lambda: empty_bridge.metric("aggregation_queue_size", "reducer") >= 100, 60, "a full queue")
    much = [stamp(namespace, n, padding=PADDING) for n in range(TOO_MANY)]
    produce(empty_bridge, much)
    empty_bridge.sql(ROOM_AGAIN)
    produced = 10 + 200 + TOO_MANY
    wait_until(lambda: next_offset(empty_bridge) == produced, 60, "the rest being read")
    (gap,) = gaps(empty_bridge)
    assert 110 <= gap["from_offset"] < gap["to_offset"] < produced, gap
    assert total(empty_bridge, namespace) == produced - gap["records"]

    empty_bridge.reducer.kill()
    produce(empty_bridge, much)
    empty_bridge.start_reducer()
    wait_until(lambda: next_offset(empty_bridge) == produced + TOO_MANY, 60, "the rest being read")
    first, second = gaps(empty_bridge)
    assert first == gap and second["from_offset"] == produced, second
    missing = gap["records"] + second["records"]
    assert total(empty_bridge, namespace) == produced + TOO_MANY - missing
    assert empty_bridge.metric("reducer_missing_events_total", "reducer") == second["records"]
    assert empty_bridge.metric("reducer_gaps_total", "reducer", proof="offsets") == 1
    wait_until(lambda: empty_bridge.metric("reducer_gaps_unfilled", "reducer") == 2, 30, "the gauge of gaps")
    told = said(empty_bridge, "dropped records")
    assert [(line["from_offset"], line["to_offset"]) for line in told] == [
        (gap["from_offset"], gap["to_offset"]) for gap in (first, second)
    ]


def test_a_reducer_stops_at_once_while_the_broker_is_away(empty_bridge):
    namespace = unique("away")
    start(empty_bridge, SHUTDOWN_TIMEOUT_MS="5000")
    produce(empty_bridge, [stamp(namespace, n) for n in range(scaled(5000))])
    wait_until(lambda: next_offset(empty_bridge) > 0, 60, "the first rows")
    empty_bridge.broker.process.kill()
    wait_until(lambda: said(empty_bridge, "the broker does not answer"), 60, "the broker being missed")
    counted = next_offset(empty_bridge)
    assert empty_bridge.reducer.stop() == 0, empty_bridge.reducer.process.log_tail()
    assert next_offset(empty_bridge) >= counted


def test_a_reducer_that_cannot_register_says_so_and_goes_on_trying(empty_bridge):
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    holder = psycopg2.connect(empty_bridge.database_url)
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLE aggregation_definitions IN ACCESS EXCLUSIVE MODE")
    server = empty_bridge.reducer_server()
    server.launch()
    ready = empty_bridge.url("reducer") + "/health/ready"
    answer = wait_until(lambda: web.get(ready) if web.get(ready).status == 503 else None, 60, "not ready")
    database = next(part for part in answer.json["components"] if part["name"] == "database")
    assert "lock timeout" in database["message"], database
    assert len(said(empty_bridge, "the database takes no batches")) == 1
    holder.rollback()
    holder.close()
    server.wait_ready()
    assert said(empty_bridge, "the database takes batches")


def end_a_writer(bridge) -> bool:
    """Ends the session of a reducer that is inside its transaction."""
    return bridge.sql(
        "SELECT coalesce(bool_or(pg_terminate_backend(pid)), false) FROM pg_stat_activity"
        " WHERE application_name = 'bridge-reducer write' AND backend_xid IS NOT NULL"
        " AND datname = current_database()"
    )[0][0]


def is_writing(bridge) -> bool:
    return bridge.sql(
        "SELECT count(*) > 0 FROM pg_stat_activity"
        " WHERE application_name = 'bridge-reducer write' AND backend_xid IS NOT NULL"
    )[0][0]


def test_a_killed_database_and_a_full_disk_lose_and_double_nothing(directory, own_postgres, empty_bridge):
    namespace = unique("killed")
    empty_bridge.database_url = own_postgres.create_database("killed")
    start(empty_bridge, MAX_AGGREGATION_QUEUE_SIZE="500")
    empty_bridge.sql(SLOW)
    count = max(1000, scaled(4000))
    produce(empty_bridge, [stamp(namespace, n) for n in range(count)])
    for _ in range(2):
        wait_until(lambda: end_a_writer(empty_bridge), 60, "a session ended inside a transaction", interval=0.01)
    wait_until(lambda: is_writing(empty_bridge), 60, "a transaction", interval=0.01)
    own_postgres.process.kill()
    own_postgres.start()
    empty_bridge.sql("DROP FUNCTION slow CASCADE")
    empty_bridge.sql(DISK_FULL)
    produce(empty_bridge, [stamp(namespace, n) for n in range(count)])
    ready = empty_bridge.url("reducer") + "/health/ready"
    wait_until(lambda: "No space left" in web.get(ready).text, 60, "the full disk being told")
    answer = web.get(ready)
    assert answer.status == 503, answer.text
    wait_until(lambda: empty_bridge.metric("aggregation_queue_size", "reducer") >= 500, 60, "a full queue")
    assert empty_bridge.metric("store_commit_errors_total", "reducer") >= 3
    empty_bridge.sql(ROOM_AGAIN)
    empty_bridge.wait_total(namespace, 2 * count)
    wait_until(lambda: next_offset(empty_bridge) == 2 * count, 60, "everything being read")
    assert total(empty_bridge, namespace) == 2 * count
    rows = empty_bridge.sql(
        "SELECT sum(r.events) FROM aggregation_rows r JOIN aggregation_definitions d ON d.id = r.definition"
        " WHERE d.name = 'namespace_grouping' AND r.group_key = %s",
        namespace,
    )
    assert rows[0][0] == 2 * count
    wait_until(lambda: web.get(ready).status == 200, 60, "ready again")


def produce_in_transactions(bridge, records, transactions: int) -> None:
    """The records in so many transactions: each leaves a marker, which takes an offset."""
    lines = [f"{key}\x01{value}\n" for key, value in records]
    for n in range(transactions):
        command = ["kcat", "-P", "-b", bridge.broker.address, "-t", WORKFLOW_TOPIC, "-K", "\x01", "-p", "0"]
        command += ["-X", f"transactional.id={n}"]
        part = "".join(lines[n::transactions]).encode()

        def committed(command=command, part=part) -> bool:
            done = subprocess.run(command, input=part, capture_output=True, check=False, timeout=60)
            return done.returncode == 0

        wait_until(committed, 60, "a transaction, once its coordinator is there", interval=0.5)


def delete_records(broker, directory, before: int) -> None:
    plan = directory / "deleted.json"
    partition = {"topic": WORKFLOW_TOPIC, "partition": 0, "offset": before}
    plan.write_text(json.dumps({"partitions": [partition], "version": 1}), encoding="utf-8")
    arguments = ["--bootstrap-server", broker.address, "--offset-json-file", str(plan)]
    command = kafka.java("org.apache.kafka.tools.DeleteRecordsCommand", *arguments)
    subprocess.run(command, check=True, capture_output=True, timeout=120)


@pytest.mark.kafka
def test_markers_are_no_gap_deleted_records_are_and_another_cluster_begins_anew(directory, empty_bridge, own_kafka):
    namespace = unique("holes")
    empty_bridge.environment |= {"PARTITION_IDLE_MS": "1000", "KAFKA_WORKFLOW_PARTITIONS": "1"}
    empty_bridge.migrate()
    empty_bridge.use_kafka(own_kafka)
    empty_bridge.start_reducer(MAX_AGGREGATION_QUEUE_SIZE="100", AGGREGATION_BATCH_SIZE="100")
    produce_in_transactions(empty_bridge, [stamp(namespace, n) for n in range(30)], 3)
    produce(empty_bridge, [stamp(namespace, 30)])
    empty_bridge.wait_total(namespace, 31)
    base = next_offset(empty_bridge)
    assert base >= 34
    assert gaps(empty_bridge) == []

    empty_bridge.sql(DISK_FULL)
    produce(empty_bridge, [stamp(namespace, n) for n in range(200)])
    wait_until(lambda: empty_bridge.metric("aggregation_queue_size", "reducer") >= 100, 60, "a full queue")
    produce(empty_bridge, [stamp(namespace, n) for n in range(1000)])
    delete_records(own_kafka, directory, base + 700)
    empty_bridge.sql(ROOM_AGAIN)
    wait_until(lambda: next_offset(empty_bridge) == base + 1200, 60, "the rest being read")
    (gap,) = gaps(empty_bridge)
    assert base + 100 <= gap["from_offset"] <= base + 200 and gap["to_offset"] == base + 700, gap
    counted = 31 + 1200 - gap["records"]
    assert total(empty_bridge, namespace) == counted

    own_kafka.stop()
    shutil.rmtree(own_kafka.directory)
    own_kafka.start()
    empty_bridge.create_topics()
    produce(empty_bridge, [stamp(namespace, n) for n in range(2000)])
    empty_bridge.wait_total(namespace, counted + 2000)
    assert gaps(empty_bridge) == []
    assert len(said(empty_bridge, "reading the workflow topic")) >= 2


def test_a_reducer_that_was_stopped_closes_no_window_before_its_records_are_read(empty_bridge):
    """It wakes up with an old idea of the partition's end, and with records of an open window behind that."""
    idle_ms = 3000
    empty_bridge.environment |= {"PARTITION_IDLE_MS": str(idle_ms), "KAFKA_WORKFLOW_PARTITIONS": "1"}
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    empty_bridge.start_reducer()

    def rows(namespace: str) -> list[tuple]:
        return empty_bridge.sql(
            "SELECT r.events, f.final_at IS NOT NULL, f.final_at < r.updated_at FROM aggregation_rows r"
            " JOIN aggregation_definitions d ON d.id = r.definition"
            " LEFT JOIN aggregation_finals f USING (definition, window_ms, window_start, group_key)"
            " WHERE d.name = 'namespace_grouping' AND r.group_key = %s", namespace
        )

    for attempt in range(10):
        namespace, at_ms = unique("stopped"), 3600_000 * attempt
        produce(empty_bridge, [stamp(namespace, at_ms)])
        empty_bridge.wait_total(namespace, 1)
        empty_bridge.reducer.process.send(signal.SIGSTOP)
        stopped = time.monotonic()
        if rows(namespace) == [(1, False, None)]:
            break
        empty_bridge.reducer.process.send(signal.SIGCONT)  # it was quicker than the test
    wait_until(lambda: time.monotonic() > stopped + 1.1 * idle_ms / 1000, 60, "the quiet time to pass")
    produce(empty_bridge, [stamp(namespace, at_ms) for _ in range(4)])
    empty_bridge.broker.process.send(signal.SIGSTOP)  # nothing is fetched before the reducer looks for idle partitions
    empty_bridge.reducer.process.send(signal.SIGCONT)
    looks = time.monotonic() + 2  # at least once a second
    wait_until(lambda: rows(namespace)[0][1] or time.monotonic() > looks, 60, "a look for idle partitions")
    empty_bridge.broker.process.send(signal.SIGCONT)
    wait_until(lambda: rows(namespace)[0][:2] == (5, True), 60, "the window to be final")
    assert rows(namespace) == [(5, True, False)]
