# SPDX-License-Identifier: MIT
"""Far more groups than fit into the reducer's memory: rows leave it, come back, and every total is exact.

TEST_MEMORY_GROUPS sets another number of groups, of which each counts two events, TEST_MEMORY_MB the memory.
"""

import collections
import json
import os
import random
import shutil
import subprocess
import time

from harness import ROOT, WORKFLOW_TOPIC, scaled, wait_until

GROUPS = int(os.environ.get("TEST_MEMORY_GROUPS") or scaled(20000))
MEMORY_MB = os.environ.get("TEST_MEMORY_MB") or "1"
PARTITIONS = os.environ.get("TEST_MEMORY_PARTITIONS") or "4"
CONTRACT = """name: by_key
version: 1.0.0
fields: {n: {path: payload.n, type: integer}}
group_by: [payload.key]
measures:
  events: count
  total: {sum: n}
  kinds: {distinct: payload.kind}
window: {type: tumbling, size_ms: 3600000}
announce_updates: false
"""


def only_contract(directory) -> str:
    """The shipped contracts, but no aggregation except ours."""
    contracts = directory / "contracts"
    shutil.copytree(ROOT / "contracts", contracts)
    for path in (contracts / "aggregations").iterdir():
        path.unlink()
    (contracts / "aggregations" / "by_key.yaml").write_text(CONTRACT)
    return str(contracts)


def write_events(path, expected) -> None:
    """Each group twice, in random order: hardly a group is in memory when its second event comes."""
    draw = random.Random(7)
    keys = list(range(GROUPS))
    with open(path, "w") as file:
        for _ in range(2):
            draw.shuffle(keys)
            for key in keys:
                n = draw.randrange(1000)
                kind = f"kind-{draw.randrange(100)}"
                expected[f"key-{key}"].append((n, kind))
                payload = {"key": f"key-{key}", "n": n, "kind": kind}
                event = {"event_type": "measured", "event_timestamp": "2026-03-01T12:00:00Z", "payload": payload}
                file.write(f"key-{key}\x01{json.dumps(event)}\n")


def produce(bridge, path) -> None:
    command = ["kcat", "-P", "-b", bridge.broker.address, "-t", WORKFLOW_TOPIC, "-K", "\x01"]
    command += ["-X", "partitioner=murmur2_random", "-X", "queue.buffering.max.messages=10000000", "-l", str(path)]
    subprocess.run(command, check=True, timeout=300)


def committed(bridge) -> int:
    return bridge.sql("SELECT coalesce(sum(next_offset), 0)::bigint FROM reducer_partitions")[0][0]


def test_groups_that_do_not_fit_into_memory_are_counted_exactly_through_kill_9(empty_bridge, directory):
    empty_bridge.environment |= {
        "CONTRACTS_DIR": only_contract(directory),
        "KAFKA_WORKFLOW_PARTITIONS": PARTITIONS,
        "MAX_AGGREGATION_MEMORY_MB": MEMORY_MB,
        "AGGREGATION_BATCH_SIZE": "5000",
    }
    expected = collections.defaultdict(list)
    write_events(directory / "events", expected)
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    produce(empty_bridge, directory / "events")
    began = time.monotonic()
    empty_bridge.start_reducer()
    wait_until(lambda: committed(empty_bridge) > GROUPS // 2, 120, "the first half of the groups")
    first = committed(empty_bridge)
    empty_bridge.reducer.kill()
    empty_bridge.start_reducer()
    wait_until(lambda: committed(empty_bridge) == 2 * GROUPS, 300, "all events being counted")
    print(f"{2 * GROUPS / (time.monotonic() - began):.0f} events/s with a kill at {first}")

    rows = empty_bridge.sql(
        "SELECT group_key, sum(events)::bigint, sum(aggregation_whole(state, 1))::bigint,"
        " sum(aggregation_count(state, 2))::bigint FROM aggregation_rows GROUP BY group_key"
    )
    found = {row[0]: row[1:] for row in rows}
    wanted = {
        key: (len(values), sum(n for n, _ in values), len({kind for _, kind in values}))
        for key, values in expected.items()
    }
    assert found == wanted

    def metric(name: str) -> float:
        return empty_bridge.metric(name, "reducer")

    wait_until(lambda: metric("reducer_rows_loaded_total") > 0, 30, "rows that came back")
    for name in (
        "reducer_rows_in_memory",
        "reducer_rows_memory_bytes",
        "reducer_rows_spilled",
        "reducer_rows_spilled_total",
        "reducer_rows_loaded_total",
        "reducer_groups_largest_window",
        "reducer_windows_open",
        "process_resident_memory_bytes",
    ):
        print(name, int(metric(name)))
    wait_until(
        lambda: metric("reducer_rows_in_memory") + metric("reducer_rows_spilled") == GROUPS, 30, "all rows told"
    )
    assert metric("reducer_rows_memory_bytes") <= int(MEMORY_MB) * 1024 * 1024
    assert metric("reducer_windows_open") == 1
