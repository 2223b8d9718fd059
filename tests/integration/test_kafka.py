# SPDX-License-Identifier: MIT
"""With a real Kafka: the broker's loss, order, keys, headers and envelopes, and missing topics."""

import datetime
import subprocess
import uuid

import pytest
from harness import (
    TYPED_TOPIC,
    WORKFLOW_TOPIC,
    Load,
    check_lanes,
    check_no_conflict,
    consume,
    lanes,
    scaled,
    unique,
    wait_until,
)

pytestmark = pytest.mark.kafka

ENVELOPE_FIELDS = {
    "envelope_version",
    "event_id",
    "event_type",
    "event_version",
    "event_timestamp",
    "source_node_id",
    "source_service",
    "source_version",
    "correlation_id",
    "environment",
    "payload",
    "metadata",
}
CLOUD_EVENT_HEADERS = {"ce_id", "ce_type", "ce_source", "ce_specversion", "ce_time", "content-type"}


@pytest.fixture
def kafka_bridge(empty_bridge, own_kafka):
    empty_bridge.migrate()
    empty_bridge.use_kafka(own_kafka)
    return empty_bridge.start()


def published(bridge) -> bool:
    """Nothing waits in the outbox."""
    return bridge.sql("SELECT count(*) FROM shards WHERE published_seq < next_seq - 1")[0][0] == 0


def check_all_on_topic(bridge, ids):
    records = consume(bridge.broker.address, WORKFLOW_TOPIC)
    check_lanes(records)
    check_no_conflict(records)
    last = dict(bridge.sql("SELECT shard, next_seq - 1 FROM shards WHERE next_seq > 1"))
    found = {int(lane.rpartition(".")[2]): max(numbers) for lane, numbers in lanes(records).items()}
    assert found == last, "every lane on the topic ends where the database's does"
    keys = {
        record.key for record in records if record.value["event_type"] == "stamp_workflow_completed"
    }
    assert keys == ids
    return records


def test_broker_stopped_workflows_go_on_and_afterwards_every_event_is_there(
    kafka_bridge, own_kafka
):
    bridge, namespace = kafka_bridge, unique("broker")
    count = scaled(600)
    load = Load(bridge, namespace, count, clients=8).start()
    load.wait_accepted(count // 4)
    own_kafka.stop()
    accepted = load.join()
    ids = set(accepted.values())
    states = bridge.wait_all_ended(namespace, count, 120)
    assert states == {"COMPLETED": count}, "workflows finish without the broker"
    assert not published(bridge), "their events wait in the outbox"
    own_kafka.start()
    wait_until(lambda: published(bridge), 120, "the outbox being empty", interval=0.2)
    check_all_on_topic(bridge, ids)
    bridge.wait_total(namespace, count, 120)


def test_broker_and_orchestrator_both_lost_and_back(kafka_bridge, own_kafka):
    """The events of a dead process are published by the next one from the log alone."""
    bridge, namespace = kafka_bridge, unique("both")
    count = scaled(300)
    load = Load(bridge, namespace, count, clients=8).start()
    load.wait_accepted(count // 3)
    own_kafka.stop()
    accepted = load.join()
    bridge.wait_all_ended(namespace, count, 120)
    bridge.orchestrator.kill()
    own_kafka.start()
    bridge.orchestrator.start()
    wait_until(lambda: published(bridge), 120, "the outbox being empty", interval=0.2)
    check_all_on_topic(bridge, set(accepted.values()))
    bridge.wait_total(namespace, count, 120)


def test_killed_again_and_again_on_a_real_broker(kafka_bridge):
    bridge, namespace = kafka_bridge, unique("kill")
    count = scaled(2000)
    load = Load(bridge, namespace, count, clients=16).start()
    kills = ["orchestrator", "reducer", "orchestrator", "reducer", "orchestrator"]
    for n, name in enumerate(kills):
        load.wait_accepted(count * (n + 1) // (len(kills) + 2))
        bridge.servers[name].kill()
        bridge.servers[name].start()
    accepted = load.join()
    bridge.wait_all_ended(namespace, count, 180)
    wait_until(lambda: published(bridge), 60, "the outbox being empty", interval=0.2)
    check_all_on_topic(bridge, set(accepted.values()))
    bridge.wait_total(namespace, count, 120)


def test_keys_headers_and_envelopes(kafka_bridge):
    bridge, namespace = kafka_bridge, unique("envelope")
    content = "what a follower sees\n"
    correlation = str(uuid.uuid4())
    answer = bridge.submit(
        content,
        namespace=namespace,
        correlation_id=correlation,
        file_path="a/b.md",
        content_type="text/markdown",
        wait_ms=60000,
    )
    assert answer.status == 200 and answer.json["state"] == "COMPLETED", answer
    workflow_id = answer.json["workflow_id"]
    wait_until(lambda: published(bridge), 30, "the outbox being empty")

    records = [
        record
        for record in consume(bridge.broker.address, WORKFLOW_TOPIC)
        if record.key == workflow_id
    ]
    assert len({record.partition for record in records}) == 1, "one workflow, one partition"
    types = [record.value["event_type"] for record in records]
    assert types[0] == "stamp_workflow_started" and types[-1] == "stamp_workflow_completed", types
    assert "metadata_stamp_created" in types or "workflow_step_completed" in types, types
    for record in records:
        check_envelope(record, workflow_id, correlation)

    typed = [
        record
        for record in consume(bridge.broker.address, TYPED_TOPIC)
        if record.key == workflow_id
    ]
    assert [record.value for record in typed] == [
        records[-1].value
    ], "the same event on its typed topic"
    payload = typed[0].value["payload"]
    assert payload["file_size"] == len(content) and payload["file_path"] == "a/b.md"
    assert payload["content_type"] == "text/markdown" and payload["namespace"] == namespace
    assert len(payload["file_hash"]) == 64 and payload["workflow_id"] == workflow_id


def check_envelope(record, workflow_id, correlation):
    envelope = record.value
    assert ENVELOPE_FIELDS <= set(envelope), ENVELOPE_FIELDS - set(envelope)
    assert envelope["envelope_version"] == "1.0" and envelope["environment"] == "development"
    assert envelope["correlation_id"] == correlation
    uuid.UUID(envelope["event_id"])
    datetime.datetime.fromisoformat(envelope["event_timestamp"].replace("Z", "+00:00"))
    headers = record.headers
    assert CLOUD_EVENT_HEADERS | {"lane", "seq", "prev_seq", "traceparent"} <= set(headers), headers
    assert headers["ce_id"] == envelope["event_id"] and headers["ce_specversion"] == "1.0"
    assert headers["ce_type"].endswith(envelope["event_type"]), headers["ce_type"]
    assert int(headers["seq"]) > int(headers["prev_seq"]) >= 0
    assert headers["content-type"].startswith("application/"), headers


def test_events_of_the_nodes_themselves_are_on_their_own_topics_only(kafka_bridge):
    bridge = kafka_bridge
    bridge.submit("one", wait_ms=60000)
    wait_until(lambda: published(bridge), 30, "the outbox being empty")
    types = {
        record.value["event_type"] for record in consume(bridge.broker.address, WORKFLOW_TOPIC)
    }
    assert not {kind for kind in types if "heartbeat" in kind or "introspection" in kind}, types
    introspection = "dev.omninode_bridge.onex.evt.node-introspection.v1"
    wait_until(
        lambda: len(consume(bridge.broker.address, introspection)) >= 2,
        30,
        "introspection events of both nodes",
        interval=0.5,
    )


def test_two_orchestrators_and_two_reducers_share_the_work(kafka_bridge):
    """A rebalance in the middle of the load loses and doubles nothing."""
    bridge, namespace = kafka_bridge, unique("two")
    count = scaled(800)
    load = Load(bridge, namespace, count, clients=8).start()
    load.wait_accepted(count // 4)
    bridge.start_reducer("reducer-2")
    load.wait_accepted(count // 2)
    assert bridge.servers["reducer-2"].stop() == 0
    accepted = load.join()
    bridge.wait_all_ended(namespace, count, 120)
    bridge.wait_total(namespace, len(accepted), 120)


@pytest.mark.parametrize("node", ["orchestrator", "reducer"])
def test_a_missing_topic_stops_the_start_with_its_name(empty_bridge, kafka, node):
    bridge = empty_bridge
    topic = unique("missing") + ".v1"
    bridge.environment["KAFKA_WORKFLOW_TOPIC"] = topic
    bridge.migrate()
    bridge.broker = kafka
    server = bridge.orchestrator_server() if node == "orchestrator" else bridge.reducer_server()
    server.launch()
    assert server.process.wait_end(120) == 2
    said = server.log.read_text(encoding="utf-8")
    assert topic in said and "topics create" in said, said


def test_topics_are_created_once_with_their_partitions(empty_bridge, kafka):
    bridge = empty_bridge
    bridge.environment["KAFKA_WORKFLOW_TOPIC"] = topic = unique("created") + ".v1"
    bridge.environment["KAFKA_WORKFLOW_PARTITIONS"] = "7"
    bridge.broker = kafka
    assert bridge.bridgectl("topics", "check", check=False).returncode == 1
    bridge.bridgectl("topics", "create")
    bridge.bridgectl("topics", "create")
    assert bridge.bridgectl("topics", "check", check=False).returncode == 0
    listed = subprocess.run(
        ["kcat", "-L", "-b", kafka.address, "-t", topic], text=True, check=True, capture_output=True
    ).stdout
    assert f'topic "{topic}" with 7 partitions' in listed, listed
