# SPDX-License-Identifier: MIT
"""Nodes make themselves known: events on topics of their own, rows in node_registrations, Consul."""

import json
import re

from harness import consume, free_port, wait_until

INTROSPECTION = "dev.omninode_bridge.onex.evt.node-introspection.v1"
HEARTBEAT = "dev.omninode_bridge.onex.evt.node-heartbeat.v1"
WORKFLOWS = "dev.omninode_bridge.onex.workflows.v1"


def events(bridge, topic):
    return [record.value for record in consume(bridge.broker.address, topic)]


def wait_heartbeats(bridge):
    """The heartbeats, as soon as each node has sent one."""

    def of_both():
        beats = consume(bridge.broker.address, HEARTBEAT)
        kinds = {beat.value["payload"]["node_type"] for beat in beats}
        return beats if kinds == {"orchestrator", "reducer"} else None

    return wait_until(of_both, 60, "a heartbeat of each node")


def test_introspection_and_heartbeat_are_published(bridge):
    for beat in wait_heartbeats(bridge):
        payload = beat.value["payload"]
        assert beat.value["event_type"] == "node_heartbeat"
        assert beat.key == payload["node_id"] == beat.value["source_node_id"]
        assert payload["health_status"] in ("healthy", "degraded")
        assert payload["uptime_seconds"] >= 0
        assert payload["resource_usage"]["memory_mb"] > 1
        assert beat.headers["ce_type"] == "node_heartbeat"
        assert beat.headers["ce_id"] == beat.value["event_id"]
    starts = events(bridge, INTROSPECTION)
    assert len(starts) >= 2
    assert {start["payload"]["metadata"]["reason"] for start in starts} == {"startup"}
    for start in starts:
        name = start["payload"]["node_type"]
        assert start["payload"]["endpoints"]["health"].endswith(f":{bridge.port(name)}/health")


def test_the_workflow_topic_has_none_of_them(bridge):
    wait_heartbeats(bridge)
    assert bridge.submit("hello", wait_ms=60000).status == 200
    found = wait_until(lambda: events(bridge, WORKFLOWS), 20, "events of the workflow")
    assert not [event for event in found if event["event_type"].startswith("node_")]


def test_rows_follow_the_nodes(bridge):
    rows = "SELECT node_type, health_status, health_endpoint FROM node_registrations ORDER BY 1"
    found = wait_until(lambda: len(bridge.sql(rows)) == 2 and bridge.sql(rows), 20, "both rows")
    assert [row[0] for row in found] == ["orchestrator", "reducer"]
    assert {row[1] for row in found} <= {"HEALTHY", "DEGRADED"}
    assert found[0][2].endswith(f":{bridge.port('orchestrator')}/health")
    bridge.orchestrator.stop()
    wait_until(lambda: bridge.sql(rows)[0][1] == "STOPPED", 20, "the orchestrator's row says so")
    assert bridge.sql(rows)[1][1] != "STOPPED"


class Agent:
    """What a Consul agent keeps, behind a StubService."""

    def __init__(self):
        self.services = {}
        self.gone = []

    def behave(self, method, path, body):
        if (method, path) == ("PUT", "/v1/agent/service/register"):
            service = json.loads(body)
            self.services[service["ID"]] = service
            return 200, b""
        if method == "PUT" and path.startswith("/v1/agent/service/deregister/"):
            self.gone.append(path.rsplit("/", 1)[1])
            self.services.pop(self.gone[-1], None)
            return 200, b""
        if method == "GET" and path.startswith("/v1/agent/service/"):
            service = self.services.get(path.rsplit("/", 1)[1])
            return (200, json.dumps(service).encode()) if service else (404, b"unknown service ID")
        return 400, b"{}"


def test_consul_knows_the_nodes_until_they_stop(empty_bridge, stub):
    agent, port = Agent(), free_port()
    stub(port, agent.behave)
    empty_bridge.environment.update(CONSUL_HOST="127.0.0.1", CONSUL_PORT=str(port))
    bridge = empty_bridge.start()
    wait_until(lambda: len(agent.services) == 2, 20, "both nodes are registered")
    by_name = {service["Name"]: service for service in agent.services.values()}
    for kind in ("orchestrator", "reducer"):
        service = by_name[f"omninode-bridge-{kind}"]
        assert re.fullmatch(rf"omninode-bridge-{kind}-[0-9a-f-]{{36}}", service["ID"])
        assert service["Port"] == bridge.port(kind)
        assert service["Check"]["HTTP"] == f"http://127.0.0.1:{bridge.port(kind)}/health"
        assert service["Check"]["Interval"] == "10s"
        assert service["Check"]["DeregisterCriticalServiceAfter"] == "90s"
        assert f"node_type:{kind}" in service["Tags"]
    reducer = by_name["omninode-bridge-reducer"]["ID"]
    bridge.reducer.stop()
    wait_until(lambda: reducer in agent.gone, 20, "the reducer is deregistered")
    assert len(agent.services) == 1


def test_a_consul_that_is_away_does_not_hold_the_start(empty_bridge):
    empty_bridge.environment.update(CONSUL_HOST="127.0.0.1", CONSUL_PORT=str(free_port()))
    bridge = empty_bridge.start()
    assert bridge.submit("hello", wait_ms=60000).status == 200
