# SPDX-License-Identifier: MIT
"""Reducers that come back, go, and share an instance id: who reads which partition, and nothing counts twice.

The rules of the group itself are in tests/unit/test_group_coordinator.c.
"""

from harness import unique, wait_until
from test_reducer import produce, stamp

PARTITIONS = 8


def start(bridge) -> None:
    bridge.environment |= {"KAFKA_WORKFLOW_PARTITIONS": str(PARTITIONS)}
    bridge.migrate()
    bridge.start_embedded_broker()
    bridge.start_reducer()


def owners(bridge) -> list[tuple]:
    """Partition, owner and epoch of each partition that a reducer has taken on."""
    return bridge.sql(
        "SELECT partition, owner, epoch FROM reducer_partitions WHERE epoch > 0 ORDER BY 1"
    )


def of(rows: list[tuple], name: str) -> list[tuple]:
    return [row for row in rows if row[1] == name]


def share(bridge) -> list[tuple]:
    """The partitions when each of two reducers has half of them."""

    def halved():
        rows = owners(bridge)
        return rows if {len(of(rows, name)) for name in ("reducer", "reducer-2")} == {4} else None

    return wait_until(halved, 60, "two reducers with half of the partitions each")


def stamps(bridge, namespace: str, count: int) -> None:
    produce(bridge, [stamp(namespace, n) for n in range(count)])


def test_a_killed_reducer_comes_back_to_its_place_and_one_that_stops_gives_it_away(empty_bridge):
    bridge, namespace = empty_bridge, unique("place")
    start(bridge)
    bridge.start_reducer("reducer-2")
    before = share(bridge)
    stamps(bridge, namespace, 200)
    bridge.wait_total(namespace, 200)

    bridge.servers["reducer-2"].kill()
    stamps(bridge, namespace, 200)
    bridge.servers["reducer-2"].start()
    bridge.wait_total(namespace, 400)
    after = owners(bridge)
    assert of(after, "reducer") == of(before, "reducer"), "the other one was not disturbed"
    assert [row[0] for row in of(after, "reducer-2")] == [row[0] for row in of(before, "reducer-2")]
    assert all(new[2] == old[2] + 1 for new, old in zip(of(after, "reducer-2"), of(before, "reducer-2")))

    assert bridge.servers["reducer-2"].stop() == 0
    stamps(bridge, namespace, 200)
    bridge.wait_total(namespace, 600)
    rows = owners(bridge)
    assert len(of(rows, "reducer")) == PARTITIONS
    kept = {row[0] for row in of(after, "reducer")}
    assert [row for row in rows if row[0] in kept] == of(after, "reducer"), "taken on besides, not anew"


def test_partitions_that_nobody_took_are_assigned_anew(empty_bridge):
    """As after a kill in the middle of a move: the database names a reducer that does not read them."""
    bridge, namespace = empty_bridge, unique("deserted")
    start(bridge)
    bridge.start_reducer("reducer-2")
    share(bridge)
    bridge.servers["reducer"].kill()
    bridge.sql("UPDATE reducer_partitions SET owner = 'reducer' WHERE partition < %s", PARTITIONS)
    bridge.servers["reducer"].start()

    def said() -> bool:
        return any("taken by nobody" in line["event"] for line in bridge.log_lines("reducer"))

    wait_until(said, 60, "the reducer noticing it")
    share(bridge)
    stamps(bridge, namespace, 200)
    bridge.wait_total(namespace, 200)


def test_of_two_reducers_with_one_instance_id_the_older_goes_on_without_it(empty_bridge):
    bridge, namespace = empty_bridge, unique("twins")
    start(bridge)
    stamps(bridge, namespace, 100)
    bridge.wait_total(namespace, 100)
    bridge.start_reducer("reducer-2", REDUCER_INSTANCE_ID="reducer")

    def said(name: str) -> list[dict]:
        return [line for line in bridge.log_lines(name) if "REDUCER_INSTANCE_ID" in line["event"]]

    wait_until(lambda: said("reducer"), 60, "the older one saying so")
    wait_until(
        lambda: all(
            bridge.metric("reducer_partitions_assigned", name) == PARTITIONS / 2
            for name in ("reducer", "reducer-2")
        ),
        60,
        "both having their half",
    )
    stamps(bridge, namespace, 100)
    bridge.wait_total(namespace, 200)
    assert len(said("reducer")) == 1 and not said("reducer-2"), "they do not fight"
