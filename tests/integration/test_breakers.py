# SPDX-License-Identifier: MIT
"""Sick services: steps are held without burning attempts, or fail at once; breakers are shared and kept."""

import shutil

import pytest
from harness import ROOT, Load, unique, wait_until
from test_openapi import Document, shipped

QUICK = """
    minimum_number_of_calls: 5
    wait_duration_in_open_state_ms: 300
    release_interval_ms: 10
    when_open:"""
MANY = 120
TASK_FAILED = 3  # workflow_events.kind


@pytest.fixture
def breakers(empty_bridge, directory):
    """The shipped contracts, with breakers that are quick."""
    contracts = directory / "contracts"
    shutil.copytree(ROOT / "contracts", contracts)
    services = contracts / "services.yaml"
    services.write_text(services.read_text().replace("\n    when_open:", QUICK))
    empty_bridge.environment["CONTRACTS_DIR"] = str(contracts)
    empty_bridge.environment["ORCHESTRATOR_CONCURRENCY"] = "32"
    return empty_bridge.start()


def service(bridge, name):
    answer = bridge.get(f"/api/v1/services/{name}")
    Document(shipped("orchestrator")).check("get", "/api/v1/services/{service}", answer)
    assert answer.status == 200, answer
    return answer.json


def held_steps(bridge, workflow_id):
    return [step for step in bridge.workflow(workflow_id)["steps"] if step["state"] == "HELD"]


def burned_since(bridge, since):
    return bridge.sql(
        "SELECT count(*) FROM workflow_events WHERE kind = %s AND at > %s AND error <> 'Service.CircuitOpen'"
        " AND state_path NOT LIKE '%%onextree%%'",
        TASK_FAILED,
        since,
    )[0][0]


def test_a_service_that_holds_is_away_under_load(breakers):
    """No attempt is burned while its breaker is open, nothing fails, and a crash in the middle changes nothing."""
    bridge, namespace = breakers, unique("hold")
    bridge.servers["stamping"].stop()
    load = Load(bridge, namespace, MANY).start()
    wait_until(lambda: service(bridge, "metadata-stamping")["state"] != "CLOSED", 120, "it opens")
    opened = bridge.sql("SELECT clock_timestamp()")[0][0]
    accepted = load.join()
    wait_until(lambda: service(bridge, "metadata-stamping")["held"] >= MANY - 5, 120, "steps held")

    bridge.orchestrator.kill()
    bridge.servers["orchestrator"].start()
    told = service(bridge, "metadata-stamping")
    assert told["state"] != "CLOSED" and told["held"] >= MANY - 5, told
    one = wait_until(
        lambda: next(filter(None, (held_steps(bridge, i) for i in accepted.values())), None),
        120,
        "a step that is held",
    )
    assert one[0]["service"] == "metadata-stamping" and one[0]["held_since"], one
    assert bridge.metric("service_steps_held", service="metadata-stamping") > 0

    bridge.servers["stamping"].start()
    states = bridge.wait_all_ended(namespace, MANY, 120)
    assert states == {"COMPLETED": MANY}, states
    assert burned_since(bridge, opened) == 0
    wait_until(lambda: service(bridge, "metadata-stamping")["state"] == "CLOSED", 120, "it closes")
    assert bridge.sql("SELECT count(*) FROM held_steps")[0][0] == 0


def test_by_hand_on_all_instances(breakers):
    bridge = breakers
    bridge.start_orchestrator("other")
    said = bridge.bridgectl("services", "hold", "metadata-stamping").stdout
    assert "held by hand" in said and "OPEN" in said, said
    again = bridge.call("POST", "/api/v1/services/metadata-stamping/hold")
    assert again.status == 200 and again.json["by_hand"], again
    workflow_id = bridge.submit("held").json["workflow_id"]
    step = wait_until(lambda: held_steps(bridge, workflow_id), 120, "its step is held")[0]
    assert (step["step"], step["attempts"]) == ("hash_generation", 0), step

    def listed():
        text = bridge.bridgectl("services", ORCHESTRATOR_URL=bridge.url("other")).stdout
        return text if "held by hand" in text else None

    assert "onextree" in wait_until(listed, 120, "the other instance knows")
    bridge.sql("DELETE FROM service_breakers")  # the next change writes it anew
    for _ in range(2):
        said = bridge.bridgectl("services", "release", "metadata-stamping")
        assert said.returncode == 0, said
    assert bridge.wait_workflow(workflow_id, 120)["state"] == "COMPLETED"

    def is_free():
        text = bridge.bridgectl("services", ORCHESTRATOR_URL=bridge.url("other")).stdout
        return "metadata-stamping" in text and "held by hand" not in text

    wait_until(is_free, 120, "the other instance knows of the release")
    assert bridge.call("POST", "/api/v1/services/nobody/hold").status == 404


def test_a_service_that_fails_degrades_at_once(breakers):
    bridge, namespace = breakers, unique("fail")
    bridge.servers["onextree"].stop()
    assert bridge.call("POST", "/api/v1/services/onextree/hold").status == 200
    load = Load(bridge, namespace, 20).start()
    accepted = load.join()
    assert bridge.wait_all_ended(namespace, 20, 120) == {"COMPLETED": 20}
    result = bridge.workflow(accepted[0])["result"]
    assert result["intelligence_status"] == "degraded", result
    errors = bridge.sql(
        "SELECT error, count(*) FROM workflow_events WHERE kind = %s AND state_path LIKE '%%onextree%%'"
        " GROUP BY error",
        TASK_FAILED,
    )
    assert errors == [("Service.CircuitOpen", 20)], errors
    assert bridge.metric("service_calls_refused_total", service="onextree") == 20
