# SPDX-License-Identifier: MIT
"""Every row of every aggregation against an independent reference, while reducers start, stop, are killed,
freeze past their session and wake up.

TEST_EXACT_EVENTS sets the number of records on a real Kafka (200,000; at most 2,000,000 make sense),
TEST_SEED another course of events.
"""

import os
import random
import shutil
import signal
import time

import exact
import pytest
from exact import compare, contract, reference
from harness import ROOT, scaled, wait_until

CONTRACTS = ROOT / "tests" / "reference" / "contracts"
SEED = int(os.environ.get("TEST_SEED") or 1)
KAFKA_EVENTS = int(os.environ.get("TEST_EXACT_EVENTS") or scaled(200000))


def add_contracts(bridge, directory) -> list:
    """The shipped aggregations and some of our own: hopping windows, no lateness, every measure."""
    contracts = directory / "contracts"
    shutil.copytree(ROOT / "contracts", contracts)
    own = [contracts / "aggregations" / path.name for path in sorted(CONTRACTS.glob("*.json"))]
    for path in own:
        shutil.copy(CONTRACTS / path.name, path)
    bridge.environment["CONTRACTS_DIR"] = str(contracts)
    return reference.SHIPPED + [contract.load(str(path)) for path in own]


def run(bridge, directory, aggregations, plan: dict, script_of, ahead: int, seconds: float) -> None:
    arguments = [text for name, value in plan.items() for text in (f"--{name}", str(value))]
    stream = exact.Stream(bridge, directory, arguments, ahead)
    follower = exact.Follower(bridge, directory / "finals")
    script = script_of(stream)
    try:
        stream.start()
        script.run()
        truth = exact.Truth(bridge, stream, aggregations)
        script.say("the reference is ready")
        truth.check_classes(stream.records)
        truth.wait_quiet(seconds)
        script.say("everything is final and told")
        truth.check_rows()
        script.say("rows are equal")
        truth.check_finals(follower, seconds)
        truth.check_dead_letters(seconds)
        script.say("finals and dead letters are equal")
    finally:
        print("\n".join(script.story))
        follower.close()
        stream.close()


def test_rows_finals_and_dead_letters_are_those_of_the_reference(empty_bridge, directory):
    """100,000 events; three reducers that come and go, three kills, one that freezes."""
    empty_bridge.environment |= {"PARTITION_IDLE_MS": "1000", "KAFKA_WORKFLOW_PARTITIONS": "32"}
    aggregations = add_contracts(empty_bridge, directory)
    empty_bridge.migrate()
    empty_bridge.start_embedded_broker()
    plan = {"events": scaled(100000), "partitions": 32, "seed": SEED}
    quotas = {"start": 3, "stop": 1, "kill": 3, "freeze": 1}

    def script(stream):
        return exact.Script(empty_bridge, stream, SEED, quotas)

    run(empty_bridge, directory, aggregations, plan, script, 20000, 60)


# Long transactions and long publishing, until the table is empty.
SLOW = """
CREATE TABLE slowness AS SELECT 0.3 AS seconds;
CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(seconds) FROM slowness; RETURN NULL; END $$;
CREATE TRIGGER slow AFTER UPDATE ON reducer_partitions EXECUTE FUNCTION be_slow();
CREATE TRIGGER slow AFTER INSERT ON aggregation_rows EXECUTE FUNCTION be_slow();
CREATE TRIGGER slow AFTER DELETE ON reducer_outbox EXECUTE FUNCTION be_slow();
"""
QUICK_AGAIN = "DELETE FROM slowness"


def freeze_while(condition, process, progress, records: int) -> None:
    """Stops it at moments drawn at random until it is caught."""
    draw = random.Random(SEED)
    while True:
        assert progress() < records, "everything was read before it could be caught"
        process.send(signal.SIGSTOP)
        if condition():
            return
        process.send(signal.SIGCONT)
        time.sleep(draw.uniform(0, 0.005))


def check_frozen(bridge, directory, condition: str, events: int) -> None:
    """A reducer stops where it hurts most; another one takes over, and all is told before it wakes up."""
    bridge.environment |= {"KAFKA_WORKFLOW_PARTITIONS": "32", "PARTITION_IDLE_MS": "1000"}
    bridge.migrate()
    bridge.sql(SLOW)
    bridge.start_embedded_broker()
    plan = ["--events", str(events), "--partitions", "32", "--seed", str(SEED)]
    stream = exact.Stream(bridge, directory, plan, events)
    follower = exact.Follower(bridge, directory / "finals")
    progress = exact.Progress(bridge)
    try:
        stream.start().finish()
        bridge.start_reducer()
        process = bridge.reducer.process
        wait_until(lambda: progress.owned("reducer") > 0, 30, "its partitions", interval=0.001)
        freeze_while(getattr(progress, condition), process, progress, events)
        bridge.sql(QUICK_AGAIN)
        bridge.start_reducer("reducer-2")
        wait_until(lambda: progress.owned("reducer") == 0, 60, "another one having its partitions")
        wait_until(lambda: progress() >= stream.records, 60, "everything being read", interval=0.1)
        truth = exact.Truth(bridge, stream, reference.SHIPPED)
        truth.wait_quiet(60)
        process.send(signal.SIGCONT)
        bridge.reducer.wait_ready()
        told = compare.compare(truth.reference, bridge.reducer.url, str(stream.dump))
        assert not told, "\n".join(told)
        truth.check_finals(follower, 30)
        truth.check_dead_letters(30)
    finally:
        for server in bridge.servers.values():
            server.process.send(signal.SIGCONT)
        follower.close()
        stream.close()


def test_a_reducer_frozen_inside_a_transaction_is_taken_over(empty_bridge, directory):
    """Its locks do not keep the others from its partitions, and it writes nothing when it wakes up."""
    empty_bridge.environment |= {  # transactions that do not fit what the sockets hold
        "MAX_AGGREGATION_QUEUE_SIZE": "100000",
        "AGGREGATION_BATCH_SIZE": "50000",
    }
    check_frozen(empty_bridge, directory, "is_inside_transaction", 80000)


def test_a_reducer_frozen_while_it_publishes_does_not_silence_the_others(empty_bridge, directory):
    check_frozen(empty_bridge, directory, "is_publishing", max(20000, scaled(80000)))


@pytest.mark.kafka
def test_the_same_on_kafka_with_many_kills_and_the_broker_killed_too(
    empty_bridge, directory, own_kafka
):
    """20 kills, 5 reducers that freeze past their session timeout, and kill -9 of Kafka."""
    empty_bridge.environment |= {"PARTITION_IDLE_MS": "2000", "KAFKA_WORKFLOW_PARTITIONS": "8"}
    aggregations = add_contracts(empty_bridge, directory)
    empty_bridge.migrate()
    empty_bridge.use_kafka(own_kafka)
    plan = {"events": KAFKA_EVENTS, "partitions": 8, "seed": SEED, "span-seconds": 1200}
    quotas = {"start": 10, "stop": 5, "kill": 20, "freeze": 5, "kill_broker": 2}

    def script(stream):
        made = exact.Script(empty_bridge, stream, SEED, quotas, KAFKA_EVENTS // 200)
        made.broker = own_kafka
        return made

    run(empty_bridge, directory, aggregations, plan, script, KAFKA_EVENTS // 40, 300)
