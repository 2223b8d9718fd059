# SPDX-License-Identifier: MIT
"""Every row of every aggregation against an independent reference, while reducers start, stop, are killed,
freeze past their session and wake up.

TEST_EXACT_EVENTS sets the number of records on a real Kafka (200,000; at most 2,000,000 make sense),
TEST_SEED another course of events.
"""

import os

import exact
import pytest
import reference
from harness import scaled

SEED = int(os.environ.get("TEST_SEED") or 1)
KAFKA_EVENTS = int(os.environ.get("TEST_EXACT_EVENTS") or scaled(200000))


def known_aggregations():
    """Those that the reducer has."""
    return reference.SHIPPED


def run(bridge, directory, plan: dict, quotas: dict, ahead: int, seconds: float, broker=None) -> None:
    arguments = [text for name, value in plan.items() for text in (f"--{name}", str(value))]
    stream = exact.Stream(bridge, directory, arguments, ahead)
    follower = exact.Follower(bridge, exact.FINAL_TOPIC, directory / "finals")
    script = exact.Script(bridge, stream, SEED, quotas)
    script.broker = broker
    try:
        stream.start()
        script.run()
        truth = exact.Truth(bridge, stream.dump_topic(), known_aggregations())
        truth.check_classes(stream.records)
        exact.check_all(truth, follower, seconds)
    finally:
        print("\n".join(script.story))
        follower.close()
        stream.close()


def test_rows_finals_and_dead_letters_are_those_of_the_reference(empty_bridge, directory):
    """100,000 events; three reducers that come and go, four kills, one that freezes."""
    empty_bridge.environment |= {"PARTITION_IDLE_MS": "1000", "KAFKA_WORKFLOW_PARTITIONS": "32"}
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    plan = {"events": scaled(100000), "partitions": 32, "seed": SEED}
    quotas = {"start": 4, "stop": 1, "kill": 4, "freeze": 1}
    run(empty_bridge, directory, plan, quotas, 20000, 60)


@pytest.mark.kafka
def test_the_same_on_kafka_with_many_kills_and_the_broker_killed_too(empty_bridge, directory, own_kafka):
    """20 kills, 5 reducers that freeze past their session timeout, and kill -9 of Kafka."""
    empty_bridge.environment |= {"PARTITION_IDLE_MS": "2000", "KAFKA_WORKFLOW_PARTITIONS": "8"}
    empty_bridge.migrate()
    empty_bridge.use_kafka(own_kafka)
    plan = {"events": KAFKA_EVENTS, "partitions": 8, "seed": SEED, "span-seconds": 1200}
    quotas = {"start": 10, "stop": 5, "kill": 20, "freeze": 5, "kill_broker": 2}
    run(empty_bridge, directory, plan, quotas, max(20000, KAFKA_EVENTS // 20), 300, own_kafka)
