# SPDX-License-Identifier: MIT
"""kill -9 in the middle of work: nothing lost, nothing doubled, totals exact.

The full size is 5,000 workflows by 16 clients (TEST_SCALE makes it smaller). The embedded broker
keeps about 5 MB per partition, so the workflow topic gets enough partitions to keep all.
"""

import pytest
from harness import (
    TERMINAL,
    WORKFLOW_TOPIC,
    Load,
    check_lanes,
    check_no_conflict,
    consume,
    lanes,
    scaled,
    unique,
)

WORKFLOWS = 5000
PARTITIONS = "32"


@pytest.fixture
def wide_bridge(empty_bridge):
    empty_bridge.environment["KAFKA_WORKFLOW_PARTITIONS"] = PARTITIONS
    return empty_bridge.start()


def check_story(bridge, namespace, accepted):
    """Every accepted workflow ended COMPLETED exactly once; fails with what is wrong."""
    ids = set(accepted.values())
    assert len(ids) == len(accepted), "one idempotency key, one workflow"
    states = bridge.states(namespace)
    assert states == {"COMPLETED": len(ids)}, dict(states)
    stored = {
        str(row[0])
        for row in bridge.sql("SELECT id FROM workflow_executions WHERE namespace = %s", namespace)
    }
    assert stored == ids, "what was accepted is what is stored"
    doubled = bridge.sql(
        "SELECT entity_id, count(*) FROM fsm_transitions t"
        " JOIN workflow_executions w ON w.id = t.entity_id"
        " WHERE w.namespace = %s AND to_state = ANY(%s) GROUP BY 1 HAVING count(*) <> 1",
        namespace,
        list(TERMINAL),
    )
    assert not doubled, f"not one terminal transition: {doubled[:5]}"
    ended = bridge.sql(
        "SELECT count(DISTINCT entity_id) FROM fsm_transitions t JOIN workflow_executions w"
        " ON w.id = t.entity_id WHERE w.namespace = %s AND to_state = 'COMPLETED'",
        namespace,
    )[0][0]
    assert ended == len(ids)


def check_topic(bridge, ids):
    """The workflow topic tells the same story, gapless and in order."""
    records = consume(bridge.broker.address, WORKFLOW_TOPIC)
    check_lanes(records)
    check_no_conflict(records)
    last = {int(row[0]): row[1] for row in bridge.sql("SELECT shard, next_seq - 1 FROM shards")}
    for lane, numbers in lanes(records).items():
        shard = int(lane.rpartition(".")[2])
        assert (
            max(numbers) == last[shard]
        ), f"lane {lane} ends at {max(numbers)}, the database at {last[shard]}"
    completed = {
        record.value["event_id"]: record.key
        for record in records
        if record.value["event_type"] == "stamp_workflow_completed"
    }
    assert len(completed) == len(ids) and set(completed.values()) == ids


def test_orchestrator_and_reducer_killed_in_the_middle(wide_bridge):
    bridge, namespace = wide_bridge, unique("kill")
    count = scaled(WORKFLOWS)
    load = Load(bridge, namespace, count, clients=16).start()
    kills = [
        "orchestrator",
        "reducer",
        "orchestrator",
        "orchestrator",
        "reducer",
        "orchestrator",
        "reducer",
        "orchestrator",
    ]
    for n, name in enumerate(kills):
        load.wait_accepted(count * (n + 1) // (len(kills) + 2))
        bridge.servers[name].kill()
        bridge.servers[name].start()
    accepted = load.join()
    assert len(accepted) == count
    bridge.wait_all_ended(namespace, count, 180)
    check_story(bridge, namespace, accepted)
    totals = bridge.wait_total(namespace, count, 120)
    sizes = sum(len(f"document {n} of {namespace}\n") for n in range(count))
    assert totals["total_size_bytes"] == sizes
    check_topic(bridge, set(accepted.values()))


def test_both_killed_at_once_with_everything_in_flight(wide_bridge):
    bridge, namespace = wide_bridge, unique("both")
    count = scaled(1000)
    load = Load(bridge, namespace, count, clients=16).start()
    load.wait_accepted(count // 2)
    for name in ("orchestrator", "reducer"):
        bridge.servers[name].kill()
    for name in ("orchestrator", "reducer"):
        bridge.servers[name].start()
    accepted = load.join()
    bridge.wait_all_ended(namespace, count, 120)
    check_story(bridge, namespace, accepted)
    bridge.wait_total(namespace, count)


def test_companion_killed_in_the_middle(wide_bridge):
    bridge, namespace = wide_bridge, unique("companion")
    count = scaled(1000)
    load = Load(bridge, namespace, count, clients=8).start()
    for n, name in enumerate(["stamping", "onextree", "stamping"]):
        load.wait_accepted(count * (n + 1) // 5)
        bridge.servers[name].kill()
        bridge.servers[name].start()
    accepted = load.join()
    bridge.wait_all_ended(namespace, count, 120)
    check_story(bridge, namespace, accepted)
    bridge.wait_total(namespace, count)


def test_reducer_starts_again_from_nothing_but_the_database(wide_bridge):
    """Killed with rows not yet committed: what it counts afterwards is exact."""
    bridge, namespace = wide_bridge, unique("reducer")
    count = scaled(600)
    for round_number in range(3):
        part = Load(bridge, f"{namespace}-{round_number}", count // 3, clients=8).start()
        part.wait_accepted(count // 6)
        bridge.reducer.kill()
        part.join()
        bridge.reducer.start()
        bridge.wait_all_ended(part.namespace, part.count, 60)
        bridge.wait_total(part.namespace, part.count)


def test_sigterm_in_the_middle_ends_with_zero_and_loses_nothing(wide_bridge):
    bridge, namespace = wide_bridge, unique("term")
    count = scaled(600)
    load = Load(bridge, namespace, count, clients=8).start()
    for n, name in enumerate(["orchestrator", "reducer"]):
        load.wait_accepted(count * (n + 1) // 4)
        assert bridge.servers[name].stop() == 0, bridge.servers[name].process.log_tail()
        bridge.servers[name].start()
    accepted = load.join()
    bridge.wait_all_ended(namespace, count, 120)
    check_story(bridge, namespace, accepted)
    bridge.wait_total(namespace, count)
